"""Unitary evolution of a long closed chain whose middle carries precessing moments: leads as they are in time.

The initial state is f(H(0)); the moments start to turn at t = 0.  Valid from the death of the transients until
electrons return from the ends, about (length)/(2 * hopping) apart.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


def hamiltonian(m, exchange, n_lead, coupling=1.0, hopping=1.0):
    """(2L, 2L), L = n + 2 n_lead."""
    n = len(m)
    length = n + 2 * n_lead
    bonds = np.full(length - 1, -hopping)
    bonds[[n_lead - 1, n_lead + n - 1]] = -coupling
    H = np.kron(np.diag(bonds, 1) + np.diag(bonds, -1), np.eye(2)).astype(complex)
    for i in range(n):
        a = 2 * (n_lead + i)
        H[a : a + 2, a : a + 2] -= exchange * np.tensordot(m[i], SIGMA, 1)
    return H


def thermal_state(H, fermi_energy, temperature):
    E, U = np.linalg.eigh(H)
    return (U * expit(-(E - fermi_energy) / temperature)) @ U.conj().T


def spin(rho, sites):
    blocks = [rho[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] for i in sites]
    return np.array([[np.trace(b @ s).real for s in SIGMA] for b in blocks])


def rotation(axis, angle):
    """(3, 3), Rodrigues."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K


def evolve_in_rotating_frame(m, axis, frequency, exchange, times, n_lead, coupling, fermi_energy, temperature):
    """Spin densities (n_times, n, 3) seen from the turning frame, by diagonalising H(0) - (w/2) sigma_a."""
    H = hamiltonian(m, exchange, n_lead, coupling)
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    E, U = np.linalg.eigh(H - np.kron(np.eye(len(H) // 2), frequency / 2 * np.tensordot(axis, SIGMA, 1)))
    rho = U.conj().T @ thermal_state(H, fermi_energy, temperature) @ U
    out = []
    sites = range(n_lead, n_lead + len(m))
    rows = U[2 * n_lead : 2 * (n_lead + len(m))]
    for t in times:
        phase = np.exp(-1j * E * t)
        out.append(spin(rows @ (phase[:, None] * rho * phase.conj()) @ rows.conj().T, range(len(sites))))
    return np.array(out)


def evolve_in_laboratory(m, axis, frequency, exchange, time, steps, n_lead, coupling, fermi_energy, temperature):
    """Spin density (n, 3) at `time` in the laboratory, by Crank-Nicolson steps of H(t + dt/2)."""
    rho = thermal_state(hamiltonian(m, exchange, n_lead, coupling), fermi_energy, temperature)
    dt = time / steps
    one = np.eye(len(rho))
    for k in range(steps):
        turned = m @ rotation(axis, frequency * (k + 0.5) * dt).T
        H = hamiltonian(turned, exchange, n_lead, coupling)
        U = np.linalg.solve(one + 0.5j * dt * H, one - 0.5j * dt * H)
        rho = U @ rho @ U.conj().T
    return spin(rho, range(n_lead, n_lead + len(m)))


def evolve_from_rest(m, axis, frequency, exchange, rise, time, n_lead, coupling, fermi_energy, temperature, step=0.1):
    """Spin density (n, 3) seen from the turning frame after a start from rest within `rise`, frequency * sin^2.

    The device's rows of the evolution operator, backwards in time: Taylor series of the midpoint Hamiltonian.
    """
    from scipy.sparse import csr_array

    H = hamiltonian(m, exchange, n_lead, coupling)
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    K = np.kron(np.eye(len(H) // 2), np.tensordot(axis, SIGMA, 1) / 2)
    still, turning = csr_array(H), csr_array(K)
    rows = np.eye(len(H), dtype=complex)[:, 2 * n_lead : 2 * (n_lead + len(m))]
    for k in reversed(range(round(time / step))):
        now = (k + 0.5) * step
        w = frequency * (np.sin(np.pi / 2 * now / rise) ** 2 if now < rise else 1.0)
        now_H = still - w * turning
        term = rows
        for order in range(1, 13):
            term = (1j * step / order) * (now_H @ term)
            rows = rows + term
    return spin(rows.conj().T @ thermal_state(H, fermi_energy, temperature) @ rows, range(len(m)))
