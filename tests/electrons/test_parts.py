"""Adiabatic, sea and surface densities against dense matrices: any texture, any motion, the tolerance honoured."""

import numpy as np
import pytest

from llgnegf.electrons import Device
from tests.electrons.systems import device_of, largest_error, moving, parts_of
from tests.oracles.finite_chain import rotation

TOLERANCES = (1e-4, 1e-6, 1e-8)

SYSTEMS = {
    "one moment": {"n": 1, "exchange": 0.7, "couplings": (0.6, 1.0), "fermi_energy": 0.3},
    "two sites, one lead, J < 0": {"n": 2, "exchange": -1.0, "couplings": (1.0, 0.0), "fermi_energy": 0.5},
    "other units": {"n": 2, "exchange": 0.8, "hopping": 1.7, "onsite": 0.9, "fermi_energy": 0.4},
    "five sites, unequal leads": {"n": 5, "exchange": 0.3, "couplings": (1.0, 0.7), "fermi_energy": 0.2},
    "eight sites": {"n": 8, "exchange": 0.1, "fermi_energy": -1.1},
    "no exchange": {"n": 5, "exchange": 0.0, "fermi_energy": 0.6, "couplings": (1.0, 0.4)},
    "bound levels far below": {"n": 5, "exchange": 20.0, "fermi_energy": 0.1},
    "bound levels at E_F": {"n": 3, "exchange": 20.0, "fermi_energy": 19.5},
    "close to the band edge": {"n": 5, "exchange": 0.5, "fermi_energy": 1.97},
    "above the band": {"n": 2, "exchange": 0.4, "fermi_energy": 2.5},
    "weak coupling": {"n": 5, "exchange": 0.1, "couplings": (0.05, 0.05), "fermi_energy": 0.1},
    "lead bond stronger than the wire": {"n": 3, "exchange": 0.5, "couplings": (1.6, 1.0), "fermi_energy": 0.2},
}


def check(rng, name, temperature):
    wire = moving(rng, temperature=temperature, **SYSTEMS[name])
    reference = wire.parts()
    for tolerance in TOLERANCES:
        errors = largest_error(parts_of(wire, tolerance)[0], reference)
        assert max(errors.values()) <= tolerance, (name, temperature, tolerance, errors)


@pytest.mark.parametrize("temperature", [0.0, 0.001, 0.01])
@pytest.mark.parametrize("name", [name for name in SYSTEMS if "band" not in name and "at E_F" not in name])
def test_every_part_holds_the_tolerance_against_dense_matrices(rng, name, temperature):
    check(rng, name, temperature)


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_part_holds_the_tolerance_when_hot(rng, name):
    check(rng, name, 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 0.001, 0.01])
@pytest.mark.parametrize("name", ["close to the band edge", "above the band", "bound levels at E_F"])
def test_every_part_holds_the_tolerance_with_levels_outside_the_band(rng, name, temperature):
    check(rng, name, temperature)


@pytest.mark.parametrize("temperature", [0.0, 0.01])
def test_narrow_resonances_at_the_fermi_energy_are_not_missed(rng, temperature):
    """A detached level put at E_F, then a fraction of kT beside it; width about 1e-3."""
    wire = moving(rng, 3, 0.4, gates=0.0, couplings=(0.05, 0.05), temperature=temperature)
    level = np.linalg.eigvalsh(wire.H)[2]
    for offset in (0.0003, 0.017, 0.045):
        shifted = moving(rng, 3, 0.4, couplings=(0.05, 0.05), temperature=temperature, fermi_energy=level + offset)
        shifted = type(wire)(**{**vars(shifted), "m": wire.m, "potential": wire.potential})
        reference = shifted.parts()
        for tolerance in TOLERANCES:
            errors = largest_error(parts_of(shifted, tolerance)[0], reference)
            assert max(errors.values()) <= tolerance, (offset, tolerance, errors)


@pytest.mark.parametrize(
    ("seed", "n", "couplings"), [(5, 3, (0.05, 0.0)), (10, 4, (0.05, 0.05)), (0, 4, (0.1, 0.0))], ids=str
)
def test_narrow_resonances_between_the_nodes_of_two_agreeing_rules_are_not_missed(seed, n, couplings):
    """Wires for which the Gauss rules of 5 and 8 energies agree to 1e-4 and are both wrong by 1e-2."""
    wire = moving(np.random.default_rng(seed), n, 0.4, couplings=couplings, temperature=0.03, fermi_energy=0.1)
    surface = wire.surface()
    for tolerance in TOLERANCES:
        assert abs(parts_of(wire, tolerance)[0]["surface"] - surface).max() <= tolerance


@pytest.mark.slow
def test_tolerance_is_honoured_for_random_wires_with_sharp_and_broad_levels(rng):
    missed = []
    for _ in range(40):
        n, temperature = int(rng.integers(1, 9)), rng.choice([0.0, 0.001, 0.01, 0.03])
        couplings = rng.choice([0.05, 0.1, 0.4, 1.0]), rng.choice([0.0, 0.05, 0.2, 1.0])
        exchange, mu = rng.choice([-1.0, 0.1, 0.5]), rng.uniform(-1.1, 1.1)
        wire = moving(rng, n, exchange, couplings=couplings, fermi_energy=mu, temperature=temperature)
        reference, tolerance = wire.parts(), rng.choice(TOLERANCES)
        errors = largest_error(parts_of(wire, tolerance)[0], reference)
        if max(errors.values()) > tolerance:
            missed.append((n, exchange, couplings, mu, temperature, tolerance, errors))
    assert not missed


@pytest.mark.parametrize("temperature", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_closed_wire_equals_its_eigenstates_with_frozen_populations(rng, n, temperature):
    wire = moving(rng, n, 0.5, couplings=(0.0, 0.0), fermi_energy=0.13, temperature=temperature)
    adiabatic, first = wire.closed_parts()
    for tolerance in TOLERANCES:
        parts, _ = parts_of(wire, tolerance)
        assert abs(parts["adiabatic"] - adiabatic).max() <= tolerance
        assert abs(parts["sea"] + parts["surface"] - first).max() <= tolerance


@pytest.mark.parametrize("temperature", [0.0, 0.01])
def test_densities_turn_with_the_moments(rng, temperature):
    wire = moving(rng, 4, 0.6, temperature=temperature, fermi_energy=0.2)
    R = rotation((0.3, -1.0, 0.5), 1.1)
    turned = type(wire)(**{**vars(wire), "m": wire.m @ R.T, "mdot": wire.mdot @ R.T})
    here, there = parts_of(wire, 1e-10)[0], parts_of(turned, 1e-10)[0]
    for name in here:
        assert abs(here[name][:, 0] - there[name][:, 0]).max() < 1e-12
        assert abs(here[name][:, 1:] @ R.T - there[name][:, 1:]).max() < 1e-12


def test_mirrored_wire_has_mirrored_densities(rng):
    wire = moving(rng, 5, 0.6, couplings=(0.4, 1.0), temperature=0.01)
    flipped = {k: getattr(wire, k)[::-1].copy() for k in ("m", "mdot", "potential", "potential_rate")}
    mirrored = type(wire)(**{**vars(wire), **flipped, "couplings": (1.0, 0.4)})
    here, there = parts_of(wire, 1e-10)[0], parts_of(mirrored, 1e-10)[0]
    for name in here:
        assert abs(here[name] - there[name][::-1]).max() < 1e-12


def test_first_order_is_linear_and_vanishes_at_rest(rng):
    wire = moving(rng, 4, 0.6, temperature=0.01)
    device = device_of(wire, 1e-8)
    rest = device.spin_density(wire.m, potential=wire.potential)
    assert not rest.sea.any()
    assert not rest.surface.any()
    assert not rest.nonadiabatic.any()
    once = device.spin_density(wire.m, wire.mdot, wire.potential, wire.potential_rate)
    twice = device.spin_density(wire.m, 2 * wire.mdot, wire.potential, 2 * wire.potential_rate)
    assert abs(twice.nonadiabatic - 2 * once.nonadiabatic).max() < 3e-8
    assert abs(once.total - once.adiabatic - once.sea - once.surface).max() < 1e-15
    assert np.allclose(once.density, once.density_adiabatic + once.density_sea + once.density_surface)


def test_green_functions_per_refresh_are_few(rng):
    counts = {}
    for n in (7, 100, 1000):
        u = np.arange(n) / 20.0
        m = np.column_stack([np.cos(u), np.sin(u), 0 * u])
        mdot = np.cross((0, 0, 0.01), m)
        for temperature in (0.0, 0.01):
            device = Device(n, sd_exchange=0.1, temperature=temperature, tolerance=1e-6)
            counts[n, temperature] = device.spin_density(m, mdot).solves
    assert counts[7, 0.01] <= 35
    assert counts[7, 0.0] <= 50
    assert counts[1000, 0.0] <= counts[7, 0.0] + 10
    assert counts[100, 0.01] <= 300
    assert counts[1000, 0.01] <= 800
