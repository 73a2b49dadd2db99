"""Discrete levels under a steady precession: they keep the occupation they had at rest, as time itself shows."""

import numpy as np
import pytest

from llgnegf.electrons import Device, steady_precession
from tests.electrons.systems import AXES, random_motion, wall
from tests.oracles import finite_chain

# A level that seven moments of a Bloch wall with J_sd = 3 bind below the band [-2, 2] of the leads.
LEVEL = -3.21041712


@pytest.mark.parametrize(
    ("temperature", "fermi_energy"),
    [(0.05, LEVEL), (0.0, LEVEL + 0.003), (0.0, LEVEL - 0.003)],
    ids=["level in the thermal window", "just filled", "just empty"],
)
@pytest.mark.parametrize("axis", AXES)
def test_exact_precession_with_bound_levels_is_what_a_long_chain_evolves_to(axis, temperature, fermi_energy):
    m, w = wall(7), 0.02
    settings = {"n_lead": 98, "coupling": 1.0, "fermi_energy": fermi_energy, "temperature": temperature or 1e-9}
    evolved = finite_chain.evolve_from_rest(m, AXES[axis], w, 3.0, rise=60.0, time=80.0, **settings)
    device = Device(7, sd_exchange=3.0, fermi_energy=fermi_energy, temperature=temperature)
    exact = steady_precession(device, m, AXES[axis], w)
    assert abs(evolved - exact.spin).max() < 6e-6
    assert abs(exact.spin_nonadiabatic).max() > 1e-3


@pytest.mark.parametrize(("temperature", "fermi_energy"), [(0.05, LEVEL), (0.05, -4.4), (0.05, -2.1), (0.0, -3.3)])
@pytest.mark.parametrize("axis", AXES)
def test_what_the_frozen_split_leaves_out_is_of_second_order_beside_bound_levels(axis, temperature, fermi_energy):
    device = Device(7, sd_exchange=3.0, fermi_energy=fermi_energy, temperature=temperature, tolerance=1e-11)
    assert _order_of_the_rest(device, wall(7), axis) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("axis", AXES)
def test_degenerate_bound_levels_keep_their_occupation_too(rng, axis):
    """Reflection with all moments turned around is a symmetry, so that every level is double."""
    half, _ = random_motion(rng, 2)
    m = np.concatenate([half, -half[::-1]])
    device = Device(4, sd_exchange=3.0, fermi_energy=-3.2, temperature=0.2, tolerance=1e-11)
    assert _order_of_the_rest(device, m, axis) == pytest.approx(2, abs=0.05)


def _order_of_the_rest(device, m, axis):
    """Exponent with which |exact - frozen| falls with the frequency."""
    frequencies = np.array([0.0025, 0.005, 0.01])
    left_out = []
    for w in frequencies:
        exact = steady_precession(device, m, AXES[axis], w)
        split = device.freeze(m).precession(np.array(AXES[axis]), w)
        left_out.append(np.linalg.norm(exact.spin_nonadiabatic - split.nonadiabatic))
    return np.polyfit(np.log(frequencies), np.log(left_out), 1)[0]


@pytest.mark.parametrize("leads", [True, False], ids=["open", "closed"])
@pytest.mark.parametrize("frequency", [0.4, -0.4])
def test_moments_that_turn_about_themselves_do_not_move(leads, frequency):
    """The levels of the two spins cross in the turning frame: their order does not tell which is which."""
    axis = np.array([0.0, 0.6, 0.8])
    options = {} if leads else {"leads": ()}
    device = Device(6, sd_exchange=0.15, fermi_energy=-4.5, temperature=0.1, **options)
    exact = steady_precession(device, np.tile(axis, (6, 1)), axis, frequency, np.full(6, -3.0))
    assert abs(exact.spin_nonadiabatic).max() < 1e-10
    assert np.linalg.norm(exact.spin, axis=1).max() > 0.01
    assert abs(exact.bond_spin).max() < 1e-10


def test_bound_levels_leave_the_spin_balance_of_every_site_alone():
    """Torque = flow out - flow in + (1/2) ds/dt, and ds/dt = omega axis x s in the turning frame."""
    m, axis, w = wall(7), np.array([0.3, 0.5, 0.8]), 0.3
    axis = axis / np.linalg.norm(axis)
    device = Device(7, sd_exchange=3.0, fermi_energy=LEVEL, temperature=0.05)
    exact = steady_precession(device, m, axis, w)
    torque = 3.0 * np.cross(exact.spin, m)
    balance = torque - np.diff(exact.bond_spin, axis=0) - 0.5 * w * np.cross(axis, exact.spin)
    assert abs(balance).max() < 1e-9
    assert abs(torque).max() > 0.05
