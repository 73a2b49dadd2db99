"""Electrons in real time whose bonds and leads know the spin, with an exchange of each site, and with vacancies."""

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, Polarization, SpinOrbit
from llgnegf.electrons.frozen import Frozen
from llgnegf.electrons.real_time_leads import adjusted
from tests.electrons.real_time_cases import SEEN, evolved, follow, rows, softly_turning, tiles, turning, unit_vectors
from tests.oracles.spin_long import SpinLong

pytestmark = pytest.mark.filterwarnings("ignore:a level outside the bands:llgnegf.errors.RunWarning")

MAGNETS = {
    "lead_hoppings": (1.3, 1.0),
    "couplings": (0.8, 1.1),
    "polarizations": (((0, 1, 0), 0.9), ((1, 0, 1), 0.4)),
}
ORBIT = {"rashba": 0.4, "dresselhaus": -0.2}
SITES = np.array([[0.5, -0.3], [0.0, 1.1], [0.7, 0.2]])
FILLED = {"filled": ((0.5, 0.2), (-0.1, 0.3)), "settling": 45.0}


def device_of(oracle, **changes):
    """The package's device; one row becomes a chain."""
    chain = oracle.shape[1] == 1
    leads = [
        Lead(
            side,
            oracle.couplings[k],
            hopping=oracle.lead_hoppings[k],
            polarization=Polarization(*oracle.polarizations[k]),
            **(
                {"chemical_potential": oracle.filled[k][0], "temperature": oracle.filled[k][1]} if oracle.filled else {}
            ),
        )
        for k, side in enumerate(("left", "right"))
    ]
    given = {
        "periodic": "y" if oracle.periodic else False,
        "sd_exchange": oracle.exchange
        if np.ndim(oracle.exchange) == 0
        else np.reshape(oracle.exchange, shape_of(oracle)),
        "spin_orbit": SpinOrbit(oracle.rashba, oracle.dresselhaus),
        "vacancies": [x if chain else (x, y) for x, y in oracle.vacancies],
        "fermi_energy": oracle.fermi_energy,
        "temperature": oracle.temperature,
        "tolerance": 1e-4,
        "leads": leads,
    }
    return Device(shape_of(oracle), **given | changes)


def shape_of(oracle):
    return oracle.shape[:1] if oracle.shape[1] == 1 else oracle.shape


def moves_of(oracle, seed=1):
    """Moments that turn, gates, voltages that begin softly, as functions of time in the shape of the oracle."""
    rng = np.random.default_rng(seed)
    m, V = unit_vectors(rng, oracle.shape), 0.1 * rng.normal(size=oracle.shape)
    for site in oracle.vacancies:
        m[site] = 0.0
    return (
        lambda t: turning(m, (0.3, -0.5, 0.8), 0.9)(t),
        lambda t: V * np.cos(0.8 * t),
        lambda t: np.array([0.3, -0.2]) * np.sin(np.pi * t / 8) ** 2,
    )


UNITARY = {
    "exchange of each site, leads of another hopping": SpinLong(
        (3, 1), 24, SITES[:, :1], lead_hoppings=(1.3, 0.8), couplings=(0.7, 1.0)
    ),
    "spin-orbit coupling of a chain, ferromagnets": SpinLong((3, 1), 24, SITES[:, :1], **MAGNETS, **ORBIT),
    "all of it on a lattice": SpinLong(
        (2, 2), 14, SITES[:2], **MAGNETS, **ORBIT, periodic=True, vacancies=((1, 0),), temperature=0.5
    ),
    "at a bias": SpinLong(
        (2, 1), 52, 0.2, polarizations=(((0, 1, 0), 0.3), ((1, 0, 1), 0.2)), couplings=(0.6, 0.7), **FILLED
    ),
}


@pytest.mark.parametrize("name", UNITARY)
def test_everything_that_moves_equals_unitary_evolution(name):
    oracle, times = UNITARY[name], [1.5, 4.0]
    system, moves = device_of(oracle), moves_of(oracle)
    exact = oracle.evolve(times, *moves)
    at = shape_of(oracle)
    found = follow(system, times, lambda t: moves[0](t).reshape(*at, 3), lambda t: moves[1](t).reshape(at), moves[2])
    kept = np.repeat([site not in oracle.vacancies for site in np.ndindex(oracle.shape)], 2)
    for key in SEEN:
        one, other = found[key], getattr(exact, key).reshape(found[key].shape)
        if key == "density_matrix":
            if oracle.rashba:
                continue  # in the frame
            one, other = one[:, kept][:, :, kept], other[:, kept][:, :, kept]
        assert abs(one - other).max() <= 2e-4, key
    assert abs(exact.spin[1] - exact.spin[0]).max() > 0.01


def spins(shape, **given):
    """A device; leads at a bias unless given."""
    leads = [
        Lead("left", 0.8, chemical_potential=0.5, hopping=1.3, polarization=Polarization((0, 1, 0), 0.9)),
        Lead("right", 1.1, polarization=Polarization((1, 0, 1), 0.4)),
    ]
    given = {"leads": leads, "sd_exchange": 0.8, "fermi_energy": 0.2, "temperature": 0.1, "tolerance": 1e-5} | given
    return Device(shape, **given)


AT_REST = {
    "exchange of each site, tiles": (
        tiles,
        (3, 2),
        {"sd_exchange": SITES, "leads": [Lead("left"), Lead("right", 0.8)]},
    ),
    "half-metals": (rows, (2,), {"leads": [Lead("left", polarization=Polarization((0, 1, 0), 3.0)), Lead("right")]}),
    "ferromagnets, kT = 0": (rows, (3,), {"temperature": 0.0}),
    "chain with spin-orbit coupling": (rows, (3,), {"spin_orbit": SpinOrbit(0.4, -0.2)}),
    "lattice with spin-orbit coupling": (rows, (2, 3), {"spin_orbit": SpinOrbit(0.4, -0.2), "periodic": "y"}),
    "vacancies": (
        rows,
        (3, 2),
        {"vacancies": [(0, 1), (1, 0)], "leads": [Lead("left", chemical_potential=0.5), Lead("right")]},
    ),
}


@pytest.mark.parametrize("name", AT_REST)
def test_the_start_is_that_of_frozen_electrons_and_stays(name):
    carrier, shape, given = AT_REST[name]
    system = spins(shape, **given)
    rng = np.random.default_rng(4)
    m, V = unit_vectors(rng, system.shape), 0.2 * rng.normal(size=system.shape)
    if system.holes is not None:
        m[system.holes] = 0.0
    electrons, carried, state = adjusted(system, m, V, 20.0, carrier)
    frozen = Frozen(system, m, V)
    charge = frozen.lead_currents(np.zeros_like(m), np.zeros(system.shape))[0]
    assert abs(carried.derivative(state, m, V, np.zeros(2))).max() <= system.tolerance / 2
    found = evolved(electrons, carried, state, [1e-9, 5.0], m, V)
    for k in range(2):
        assert abs(found["spin"][k] - frozen.at_rest[..., 1:]).max() <= system.tolerance
        assert abs(found["density"][k] - frozen.at_rest[..., 0]).max() <= system.tolerance
        assert abs(found["current"][k] - charge).max() <= system.tolerance


@pytest.mark.parametrize(
    "axis",
    [
        pytest.param((1.0, 0.0, 0.0), marks=pytest.mark.slow),
        (0.0, 1.0, 0.0),
        pytest.param((0.0, 0.0, 1.0), marks=pytest.mark.slow),
    ],
)
def test_a_slow_motion_is_that_of_frozen_electrons_to_first_order(axis):
    """What is left falls as the square of the frequency; at a bias, with all that knows the spin."""
    J = np.array([0.9, -0.6])
    system = spins((2,), sd_exchange=J, spin_orbit=SpinOrbit(0.4, -0.2), temperature=0.15, tolerance=1e-6)
    m = unit_vectors(np.random.default_rng(5), (2,))
    left = []
    for w in (0.025, 0.0125):
        moments = softly_turning(m, axis, w)
        found = follow(system, [30.0], moments, np.zeros(2))
        now = moments(30.0)
        parts = Frozen(system, now, np.zeros(2)).spin_density(w * np.cross(axis, now), np.zeros(2))
        left.append(np.linalg.norm(found["spin"][-1] - parts.total))
        assert left[-1] < 0.02 * np.linalg.norm(parts.first_order)
    assert 3.2 < left[0] / left[1] < 4.8


def test_tiles_hold_an_exchange_of_each_site_and_refuse_the_rest():
    plain = {"leads": [Lead("left"), Lead("right")], "temperature": 0.3, "tolerance": 1e-3}
    system = spins((3, 2), sd_exchange=SITES, **plain)
    m, V, U = unit_vectors(np.random.default_rng(1), (3, 2)), np.zeros((3, 2)), np.zeros(2)
    electrons, _, state = adjusted(system, m, V, 5.0, rows)
    carried = tiles(electrons)
    other = np.ascontiguousarray(m[::-1])
    held = carried.from_rows(state)
    assert (
        abs(carried.to_rows(carried.derivative(held, other, V, U)) - electrons.derivative(state, other, V, U)).max()
        < 1e-12
    )
    assert carried.energy(held, other, V) == pytest.approx(electrons.energy(state, other, V), abs=1e-12)
    for refused in ({"vacancies": [(0, 1)]}, {"spin_orbit": SpinOrbit(0.3)}, {"leads": spins((2,)).leads}):
        system = spins((3, 2), **(plain | refused))
        with pytest.raises(ValueError, match="tiles: not available"):
            adjusted(system, m, V, 5.0, tiles)


def test_the_energy_of_bonds_that_turn_spins():
    """Tr[rho H] of the device, by dense matrices."""
    system = spins((2, 3), spin_orbit=SpinOrbit(0.4, -0.2), periodic="y", tolerance=1e-3)
    m, V = unit_vectors(np.random.default_rng(1), (2, 3)), np.random.default_rng(2).normal(size=(2, 3))
    electrons, _, state = adjusted(system, m, V, 5.0, rows)
    N = electrons.orbitals
    rho = state[:N, 0, :N] + 1j * state[:N, 1, :N]
    assert electrons.energy(state, m, V) == pytest.approx(np.trace(rho @ electrons.hamiltonian(m, V)).real, abs=1e-10)
