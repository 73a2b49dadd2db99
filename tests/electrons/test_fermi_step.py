"""kT = 0 with something sharp at the Fermi energy: right to the tolerance, or refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, ToleranceError, steady_precession
from tests.electrons import systems, test_lattice
from tests.electrons.systems import AXES, largest_error, random_motion, wall
from tests.oracles.down_the_line import lattice_parts, wire_parts
from tests.oracles.electrons_dense import Wire
from tests.oracles.lattice_dense import ring_or_line

# Distances of E_F from an edge inside the band (> 0) and outside; those of ROUNDING may be refused.
DISTANCES = [1e-2, 1e-4, 1e-6, 1e-9, 0.0, -1e-12, -1e-9, -1e-6, -1e-4]
ROUNDING = [1e-12, 1e-15, -1e-15]


def within(parts, reference, tolerance):
    for name, error in largest_error(parts, reference).items():
        assert error < tolerance, name


def unless_refused(may_be, evaluate):
    """The result, or None where it `may_be` refused and is, with its reason."""
    if not may_be:
        return evaluate()
    try:
        return evaluate()
    except ToleranceError as error:
        if "where a band of the leads begins or ends" in str(error):
            return None
        raise


def test_reference_equals_dense_matrices_elsewhere(rng):
    wire = systems.moving(rng, 3, 0.7, couplings=(0.6, 1.0), fermi_energy=0.3)
    within(wire_parts(wire), wire.parts(), 1e-10)
    lattice = test_lattice.moving(rng, 2, 3, couplings=(0.6, 1.0), fermi_energy=0.3)
    within(lattice_parts(lattice), lattice.parts(), 1e-10)


# --- band edges and openings of modes --------------------------------------------------------------


@pytest.mark.parametrize("edge", [2.0, -2.0])
@pytest.mark.parametrize("distance", [*DISTANCES, *ROUNDING])
def test_a_wire_with_the_fermi_energy_at_a_band_edge(rng, distance, edge):
    wire = systems.moving(rng, 4, 0.7, couplings=(1.0, 0.8), fermi_energy=edge - np.sign(edge) * distance)
    expected = wire_parts(wire)
    for tolerance in (1e-4, 1e-6):
        parts = unless_refused(distance in ROUNDING, lambda tolerance=tolerance: systems.parts_of(wire, tolerance)[0])
        if parts is not None:
            within(parts, expected, tolerance)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("distance", [*DISTANCES, *ROUNDING])
def test_a_lattice_with_the_fermi_energy_at_the_opening_of_a_mode(rng, distance, periodic):
    modes = np.linalg.eigvalsh(ring_or_line(3, 1.0, periodic))
    lattice = test_lattice.moving(rng, 2, 3, couplings=(1.0, 0.8), periodic=periodic)
    # The top of the lowest mode lies inside the bands of the others.
    lattice = replace(lattice, fermi_energy=float(modes[0]) + 2 - distance)
    # Inside the other bands no side of the edge is safe.
    near = distance in [*ROUNDING, 0.0, -1e-12]
    expected = lattice_parts(lattice)
    for tolerance in (1e-4, 1e-6):
        parts = unless_refused(near, lambda tolerance=tolerance: test_lattice.parts_of(lattice, tolerance))
        if parts is not None:
            within(parts, expected, tolerance)


@pytest.mark.parametrize("fermi_energy", [2.0, 2.0 - 1e-15, 2.0 - 1e-12])
def test_a_clean_wire_has_no_response_at_its_band_edge(fermi_energy):
    """The response to a gate grows as one over the distance on one side and is zero on the other."""
    nothing, gate = np.zeros((3, 3)), np.array([0.5, 0.0, 0.0])
    device = Device(3, sd_exchange=0.0, fermi_energy=fermi_energy)
    assert device.spin_density(nothing).density == pytest.approx(np.full(3, 2.0), abs=1e-4)
    with pytest.raises(ToleranceError, match=r"the Fermi energy \S+ lies \S+ from 2, where a band of the leads"):
        device.spin_density(nothing, potential_rate=gate)
    above = Device(3, sd_exchange=0.0, fermi_energy=2 + 1e-9).spin_density(nothing, potential_rate=gate)
    assert abs(above.density - 2).max() < 1e-6


def test_a_tolerance_beyond_the_last_digit_is_refused(rng):
    wire = systems.moving(rng, 3, 0.7, fermi_energy=2.0 - 1e-13)
    with pytest.raises(ToleranceError, match="use a temperature > 0 or a larger tolerance"):
        systems.parts_of(wire, 1e-10)


# --- discrete levels -------------------------------------------------------------------------------


def closed_total(parts):
    return {"adiabatic": parts["adiabatic"], "total": parts["sea"] + parts["surface"]}


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-9])
@pytest.mark.parametrize("distance", [s * d for s in (1, -1) for d in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)])
def test_a_closed_wire_with_a_level_beside_the_fermi_energy(rng, distance, tolerance):
    wire = systems.moving(rng, 4, 0.7, couplings=(0, 0))
    wire = replace(wire, fermi_energy=float(wire.levels()[0][3]) + distance)
    adiabatic, total = wire.closed_parts()
    parts, _ = systems.parts_of(wire, tolerance)
    within(closed_total(parts), {"adiabatic": adiabatic, "total": total}, tolerance)
    omega = systems.device_of(wire, tolerance).freeze(wire.m, wire.potential).grand_potential
    assert omega == pytest.approx(wire.closed_grand_potential(), abs=10 * tolerance)


@pytest.mark.parametrize("distance", [1e-12, 1e-8, -1e-8, 1e-4])
def test_a_closed_lattice_with_a_level_beside_the_fermi_energy(rng, distance):
    lattice = test_lattice.moving(rng, 2, 3, couplings=(0, 0))
    lattice = replace(lattice, fermi_energy=float(np.linalg.eigvalsh(lattice.H)[5]) + distance)
    adiabatic, total = lattice.closed_parts()
    parts = test_lattice.parts_of(lattice, 1e-7)
    within(closed_total(parts), {"adiabatic": adiabatic, "total": total}, 1e-7)
    omega = test_lattice.device_of(lattice, 1e-7).freeze(lattice.m, lattice.potential).grand_potential
    assert omega == pytest.approx(lattice.closed_grand_potential(), abs=1e-6)


@pytest.mark.parametrize("level", [0, 3, 7])
def test_a_level_at_the_fermi_energy_is_half_filled_as_when_the_temperature_falls(rng, level):
    wire = systems.moving(rng, 4, 0.7, couplings=(0, 0))
    wire = replace(wire, fermi_energy=float(wire.levels()[0][level]))
    parts, _ = systems.parts_of(wire, 1e-8)
    for temperature in (1e-3, 1e-4):
        adiabatic, total = replace(wire, temperature=temperature).closed_parts()
        within(closed_total(parts), {"adiabatic": adiabatic, "total": total}, 1e-7)


def test_degenerate_levels_at_the_fermi_energy_are_half_filled_alike():
    """Three closed moments side by side, J_sd = E_F = 1: the lower middle level of one spin."""
    m, mdot = np.tile([0.6, 0.0, 0.8], (3, 1)), np.tile([0.0, 1.0, 0.0], (3, 1))
    still = np.zeros(3)
    wire = Wire(m, mdot, still, still, 1.0, couplings=(0, 0), fermi_energy=1.0, temperature=1e-4)
    adiabatic, total = wire.closed_parts()
    parts, _ = systems.parts_of(replace(wire, temperature=0.0), 1e-6)
    within(closed_total(parts), {"adiabatic": adiabatic, "total": total}, 1e-6)
    assert abs(total[:, 1:]).max() > 0.1
    # Reflection with all moments turned around is a symmetry: every level is double.
    half, speed = random_motion(np.random.default_rng(3), 2)
    wire = replace(wire, m=np.concatenate([half, -half[::-1]]), mdot=np.concatenate([speed, speed]))
    wire = replace(wire, potential=np.zeros(4), potential_rate=np.zeros(4))
    levels = wire.levels()[0]
    assert levels[2] == pytest.approx(levels[3], abs=1e-13)
    wire = replace(wire, fermi_energy=float(levels[2]))
    adiabatic, total = wire.closed_parts()
    parts, _ = systems.parts_of(replace(wire, temperature=0.0), 1e-7)
    within(closed_total(parts), {"adiabatic": adiabatic, "total": total}, 1e-7)


@pytest.mark.parametrize("distance", [0.0, 1e-11, -1e-11, 1e-7, -1e-5])
def test_a_bound_level_at_or_beside_the_fermi_energy_equals_that_of_a_long_chain(rng, distance):
    """Below the band a closed chain of many sites has the same levels."""
    m, mdot = random_motion(rng, 3)
    pad = ((40, 40), (0, 0))
    chain = Wire(np.pad(m, pad), np.pad(mdot, pad), np.zeros(83), np.zeros(83), 3.0, couplings=(0, 0))
    level = float(chain.levels()[0][1])
    assert level < -2.1
    chain = replace(chain, fermi_energy=level + distance, temperature=0.0 if distance else 1e-4)
    adiabatic, total = (part[40:43] for part in chain.closed_parts())
    device = Device(3, sd_exchange=3.0, fermi_energy=level + distance)
    found = device.spin_density(m, mdot)
    assert abs(found.adiabatic - adiabatic[:, 1:]).max() < 1e-6
    assert abs(found.nonadiabatic - total[:, 1:]).max() < 1e-6


@pytest.mark.parametrize("axis", AXES)
def test_exact_precession_with_a_level_at_the_fermi_energy(axis):
    device = Device(7, sd_exchange=3.0, fermi_energy=-3.2104171219, tolerance=1e-10)
    levels = device.freeze(wall(7)).sweeps.distances(device.fermi_energy)
    at = device.fermi_energy + levels[np.argmin(abs(levels))]
    for _ in range(20):
        at += device.freeze(wall(7)).sweeps.distances(at)[np.argmin(abs(levels))] / 2
    device = device.changed(fermi_energy=float(at))
    exact = steady_precession(device, wall(7), AXES[axis], 1e-3)
    first = device.freeze(wall(7)).precession(np.array(AXES[axis]), 1e-3)
    assert len(first.sea) == 7
    assert np.linalg.norm(exact.spin_nonadiabatic - first.nonadiabatic) < 3e-3 * np.linalg.norm(first.nonadiabatic)


def test_a_level_at_the_fermi_energy_inside_a_band_is_named():
    """A gate on both rows binds the upper mode, 1 - sqrt(5), where the lower mode is open."""
    level = 1 - np.sqrt(5)
    none, gate = np.zeros((1, 2, 3)), np.full((1, 2), -1.0)
    leads = [Lead("left"), Lead("right")]
    at_level = Device((1, 2), sd_exchange=0.0, fermi_energy=level, leads=leads)
    with pytest.raises(ToleranceError, match=r"a level at -1\.236067977\d* lies \S+ from the Fermi energy"):
        at_level.spin_density(none, potential=gate)
    beside = [at_level.changed(fermi_energy=level + d).spin_density(none, potential=gate) for d in (1e-6, -1e-6)]
    assert (beside[0].density - beside[1].density).sum() == pytest.approx(2 / np.sqrt(5), abs=1e-4)
