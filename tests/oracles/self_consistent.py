"""Moments and electrons that move together, by dense linear algebra; shares no code with the package.

The response chi of the spin density to the velocities is assembled column by column from the dense Green's functions
of electrons_dense.py, the classical field comes from finite differences of the energy (classical.py), and

    S v - S alpha m x v + m x (b J_sd chi v) = -m x [B + b J_sd (s_ad + chi_V dV/dt)]

is solved as one (3n, 3n) system.  b scales the back-action.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import block_diag

from tests.oracles import classical
from tests.oracles.electrons_dense import Wire


def cross_matrix(v):
    """X with X w = v x w."""
    x, y, z = v
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def still(m, exchange, **options):
    n = len(m)
    return Wire(np.array(m, float), np.zeros((n, 3)), np.zeros(n), np.zeros(n), exchange, **options)


def first_order(wire):
    """Sea and surface spin density of a moving wire, (n, 3)."""
    return (wire.sea() + wire.surface())[:, 1:]


def response(wire):
    """chi (3n, 3n): change of the spin density per velocity."""
    columns = [
        first_order(replace(wire, mdot=e.reshape(wire.n, 3), potential_rate=np.zeros(wire.n)))
        for e in np.eye(3 * wire.n)
    ]
    return np.array([c.ravel() for c in columns]).T


def equations(wire, B, *, spin=1.0, damping=0.0, back_action=1.0, order=1, feedback=True):
    """(A, b, R) with A v = b and R the part of A that the electrons' response to the velocity makes."""
    m, strength = wire.m, back_action * wire.exchange
    s = wire.adiabatic()[:, 1:]
    if order == 1 and wire.potential_rate.any():
        s = s + first_order(replace(wire, mdot=np.zeros_like(m)))
    one, cross = np.eye(3 * wire.n), block_diag(*[cross_matrix(v) for v in m])
    R = cross @ (strength * response(wire)) if order == 1 and feedback else 0 * one
    return spin * (one - damping * cross) + R, -cross @ (B + strength * s).ravel(), R


def velocity(wire, B, **options):
    """dm/dt, (n, 3)."""
    A, b, _ = equations(wire, B, **options)
    return np.linalg.solve(A, b).reshape(-1, 3)


def plain_iteration(wire, B, n=60, **options):
    """|v_k - v| of the fixed-point iteration v_k+1 = explicit velocity - response to v_k, from v_0 = 0."""
    A, b, R = equations(wire, B, **options)
    exact, v, distances = np.linalg.solve(A, b), np.zeros(len(b)), []
    for _ in range(n):
        v = np.linalg.solve(A - R, b - R @ v)
        distances.append(np.linalg.norm(v - exact))
    return np.array(distances)


def trajectory(m, exchange, duration, steps, *, gates=lambda t: (0.0, 0.0), terms=None, wire=None, **options):
    """m(duration) by textbook RK4 steps with |m| = 1 restored after each.  gates(t): potential and its rate, (n,)."""
    terms = dict(terms or {})

    def rhs(t, m):
        potential, rate = (np.zeros(len(m)) + part for part in gates(t))
        here = replace(still(m, exchange, **(wire or {})), potential=potential, potential_rate=rate)
        B = classical.field(m, **terms)
        return velocity(here, B, spin=terms.get("spin", 1.0), damping=terms.get("damping", 0.0), **options)

    h = duration / steps
    for k in range(steps):
        t = k * h
        k1 = rhs(t, m)
        k2 = rhs(t + h / 2, m + h / 2 * k1)
        k3 = rhs(t + h / 2, m + h / 2 * k2)
        k4 = rhs(t + h, m + h * k3)
        m = m + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        m = m / np.linalg.norm(m, axis=1)[:, None]
    return m


def macrospin(m0, field, time, *, exchange, couplings, fermi_energy=0.0, spin=1.0, damping=0.0):
    """Closed form of one moment between chain leads (hopping 1) at kT = 0, first order in the motion, in a field.

    The electrons' torque is (1/4pi)[(1 - cos 2D) m x mdot + (2D - sin 2D) mdot], D the difference of the phase shifts
    of spin up and down: it renormalises S and alpha of

        tan(theta/2) = tan(theta0/2) exp(-alpha b),  phi = phi0 + b,  b = B t/(1 + alpha^2).
    """
    x = fermi_energy / 2
    sigma = sum(g**2 for g in couplings) * (x - 1j * np.sqrt(1 - x**2))
    D = np.angle(fermi_energy - exchange - sigma) - np.angle(fermi_energy + exchange - sigma)
    spin_seen = spin - (2 * D - np.sin(2 * D)) / (4 * np.pi)
    alpha = (spin * damping + (1 - np.cos(2 * D)) / (4 * np.pi)) / spin_seen
    size = np.linalg.norm(field)
    turned = spin * size / spin_seen * time / (1 + alpha**2)
    axis = np.asarray(field) / size
    across = m0 - (m0 @ axis) * axis
    first = across / np.linalg.norm(across)
    theta = 2 * np.arctan(np.tan(np.arccos(m0 @ axis) / 2) * np.exp(-alpha * turned))
    in_plane = np.cos(turned) * first + np.sin(turned) * np.cross(axis, first)
    return np.cos(theta) * axis + np.sin(theta) * in_plane
