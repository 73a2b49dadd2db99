"""Electrons in real time between leads that fill their two spins by themselves: unitary evolution, frozen electrons."""

from dataclasses import replace

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, Polarization, SpinBias, SpinHopping, SpinOrbit
from llgnegf.electrons.frozen import Frozen
from llgnegf.electrons.real_time import RealTime
from llgnegf.electrons.real_time_leads import adjusted
from tests.electrons.real_time_cases import evolved, follow, rows, softly_turning, unit_vectors
from tests.electrons.test_real_time_spins import FILLED, ORBIT, device_of, moves_of, shape_of
from tests.oracles.spin_long import SpinLong

pytestmark = pytest.mark.filterwarnings("ignore:a level outside the bands:llgnegf.errors.RunWarning")

X, Y, Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)
LONG = {"n_lead": 52, "couplings": (0.6, 0.7), **FILLED}


def long(shape, left, right, **given):
    return SpinLong(shape, **LONG | {"exchange": 0.3, "spin_biases": (left, right)} | given)


UNITARY = {
    "one site, along x and y": long((1, 1), (X, 0.5), (Y, -0.3)),
    "along z and x": long((2, 1), (Z, 0.4), (X, 0.3)),
    "along y alone, spin-orbit coupling": long((2, 1), (Z, 0.0), (Y, 0.5), **ORBIT),
    "beside polarizations": long((2, 1), ((1, 1, 0), 0.5), (Z, 0.0), polarizations=(((1, 1, 0), 0.3), (Z, 0.2))),
    "lattice": long((2, 2), (Y, 0.5), (X, 0.2), n_lead=38, settling=30.0),
}


@pytest.mark.parametrize("name", UNITARY)
def test_everything_that_moves_equals_unitary_evolution(name):
    oracle, times = UNITARY[name], [3.0]
    system, moves, at = device_of(oracle), moves_of(oracle), shape_of(oracle)
    biased = [
        replace(lead, spin_bias=SpinBias(*one)) for lead, one in zip(system.leads, oracle.spin_biases, strict=True)
    ]
    system = system.changed(leads=biased)
    assert system.fills_spins
    exact = oracle.evolve([1e-9, *times], *moves)
    found = follow(
        system, [1e-9, *times], lambda t: moves[0](t).reshape(*at, 3), lambda t: moves[1](t).reshape(at), moves[2]
    )
    for key in ("spin", "density", "current", "spin_current"):
        assert abs(found[key] - getattr(exact, key).reshape(found[key].shape)).max() <= 2e-4, key
    assert abs(exact.spin[1] - exact.spin[0]).max() > 0.005


AT_REST = {
    "chain, kT = 0": ((3,), Y, {"temperature": 0.0}),
    "ferromagnet": ((2,), (1, 0, 1), {}),
    "hopping of spins": ((3,), X, {"spin_hopping": SpinHopping((0.3, 0.1 + 0.2j, -0.25))}),
    "lattice": ((2, 3), Y, {"spin_orbit": SpinOrbit(0.4, -0.2), "periodic": "y"}),
    "vacancy": ((3, 2), Z, {"vacancies": [(1, 0)], "temperature": 0.0}),
}


@pytest.mark.parametrize("name", AT_REST)
def test_the_start_is_that_of_frozen_electrons_and_stays(name):
    shape, axis, given = AT_REST[name]
    magnet = Polarization(axis, 0.6) if name == "ferromagnet" else None
    leads = [
        Lead("left", 0.8, chemical_potential=0.5, hopping=1.3, polarization=magnet, spin_bias=SpinBias(axis, -0.4)),
        Lead("right", 1.1, spin_bias=SpinBias((0, 1, 1), 0.3), temperature=0.2),
    ]
    given = {"temperature": 0.1, "leads": leads, "tolerance": 1e-5} | given
    system = Device(shape, sd_exchange=0.8, fermi_energy=0.2, **given)
    rng = np.random.default_rng(4)
    m, V = unit_vectors(rng, system.shape), 0.2 * rng.normal(size=system.shape)
    if system.holes is not None:
        m[system.holes] = 0.0
    electrons, carried, state = adjusted(system, m, V, 20.0, rows)
    frozen = Frozen(system, m, V)
    charge, spin = frozen.lead_currents(np.zeros_like(m), np.zeros(system.shape))
    equal = system.changed(
        leads=[replace(one, spin_bias=None, chemical_potential=None, temperature=None) for one in leads]
    )
    _, plain, rest = adjusted(equal, m, V, 20.0, rows)
    assert abs(carried.derivative(state, m, V, np.zeros(2))).max() <= system.tolerance
    found = evolved(electrons, carried, state, [1e-9, 3.0], m, V)
    for k in range(2):
        assert abs(found["spin"][k] - frozen.at_rest[..., 1:]).max() <= system.tolerance
        assert abs(found["density"][k] - frozen.at_rest[..., 0]).max() <= system.tolerance
        assert abs(found["current"][k] - charge).max() <= system.tolerance
        # Frozen electrons leave out what flows in equilibrium.
        assert abs(found["spin_current"][k] - plain.flows(rest).spin - spin).max() <= 2 * system.tolerance
    assert abs(spin).min(axis=0).max() > 1e-3
    again = RealTime.recalled(system, electrons.remembered())
    for one in ("derivative", "flows"):
        asked = (m, V, np.array([0.2, -0.1])) if one == "derivative" else ()
        old, new = getattr(electrons, one)(state, *asked), getattr(again, one)(state, *asked)
        if one == "flows":
            assert np.array_equal(old.spin, new.spin)
            assert np.array_equal(old.energy, new.energy)
        else:
            assert np.array_equal(old, new)


def test_what_energy_flows_in_is_that_of_frozen_electrons():
    """Of each spin at its own energies."""
    leads = [Lead("left", 0.8, spin_bias=SpinBias((1, 1, 0), 0.8)), Lead("right", chemical_potential=0.4)]
    system = Device((2,), sd_exchange=0.8, fermi_energy=0.2, temperature=0.1, tolerance=1e-5, leads=leads)
    m, V = unit_vectors(np.random.default_rng(2), (2,)), np.zeros(2)
    _, carried, state = adjusted(system, m, V, 5.0, rows)
    frozen = Frozen(system, m, V).energy_currents
    assert carried.flows(state).energy == pytest.approx(frozen, abs=1e-5)
    assert abs(frozen).min() > 2e-3


@pytest.mark.parametrize("axis", [pytest.param(X, marks=pytest.mark.slow), Y, pytest.param(Z, marks=pytest.mark.slow)])
def test_a_slow_motion_is_that_of_frozen_electrons_to_first_order(axis):
    """What is left falls as the square of the frequency."""
    leads = [Lead("left", 0.9, spin_bias=SpinBias((1, 2, 0), 0.5)), Lead("right", 1.1, spin_bias=SpinBias(Z, -0.3))]
    system = Device((2,), sd_exchange=0.5, fermi_energy=0.2, temperature=0.1, tolerance=1e-6, leads=leads)
    m, left = unit_vectors(np.random.default_rng(5), (2,)), []
    for w in (0.025, 0.0125):
        moments = softly_turning(m, axis, w)
        found = follow(system, [30.0], moments, np.zeros(2))
        now = moments(30.0)
        parts = Frozen(system, now, np.zeros(2)).spin_density(w * np.cross(axis, now), np.zeros(2))
        left.append(np.linalg.norm(found["spin"][-1] - parts.total))
        assert left[-1] < 0.02 * np.linalg.norm(parts.first_order)
    assert 3.2 < left[0] / left[1] < 4.8
