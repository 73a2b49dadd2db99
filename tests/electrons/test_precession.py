"""Steady precession: the split of Bajpai and Nikolic, the exact rotating frame, and time itself on a long chain."""

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, steady_precession
from tests.electrons.systems import AXES, device_of, random_motion, still, wall
from tests.oracles import finite_chain

TILTED = np.array([[np.sin(0.7) * np.cos(0.4), np.sin(0.7) * np.sin(0.4), np.cos(0.7)]])
OBLIQUE = {**AXES, "oblique": (0.5, -0.3, 0.8)}


@pytest.mark.parametrize("temperature", [0.0, 0.05])
@pytest.mark.parametrize("axis", OBLIQUE)
def test_geometric_lead_and_surface_terms_equal_dense_matrices(rng, axis, temperature):
    m, _ = random_motion(rng, 4)
    wire = still(m, 0.7, couplings=(0.6, 1.0), fermi_energy=0.3, temperature=temperature)
    reference = wire.precession_parts(OBLIQUE[axis], 0.02)
    result = device_of(wire, 1e-9).freeze(m).precession(np.array(OBLIQUE[axis]), 0.02)
    for name, expected in reference.items():
        assert abs(getattr(result, name) - expected[:, 1:]).max() < 1e-10, name


@pytest.mark.parametrize("temperature", [0.0, 0.05])
@pytest.mark.parametrize("exchange", [0.3, 20.0])
@pytest.mark.parametrize("axis", OBLIQUE)
def test_general_motion_and_rotating_frame_give_the_same_total(rng, axis, exchange, temperature):
    m, _ = random_motion(rng, 5)
    device = Device(5, sd_exchange=exchange, fermi_energy=0.2, temperature=temperature, tolerance=1e-12)
    a = np.array(OBLIQUE[axis]) / np.linalg.norm(OBLIQUE[axis])
    general = device.spin_density(m, np.cross(a, m))
    rotating = device.freeze(m).precession(a, 1.0)
    assert abs(general.nonadiabatic - rotating.nonadiabatic).max() < 1e-12
    first = [r.density_sea + r.density_surface for r in (general, rotating)]
    assert abs(first[0] - first[1]).max() < 1e-12


@pytest.mark.parametrize(
    ("exchange", "fermi_energy", "leads"),
    [(0.5, 0.13, ()), (0.0, 0.3, ()), (0.5, 1.97, (1.0, 1.0)), (20.0, 19.5, (1.0, 1.0)), (0.8, 0.2, (1.0, 0.0))],
    ids=["closed", "closed and degenerate", "levels above the band", "split off", "one lead"],
)
@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_levels_that_no_lead_reaches_keep_their_population_in_both_formulas(
    rng, exchange, fermi_energy, leads, temperature
):
    m, _ = random_motion(rng, 3)
    device = Device(
        3,
        sd_exchange=exchange,
        fermi_energy=fermi_energy,
        temperature=temperature,
        tolerance=1e-10,
        leads=[Lead(side, g) for side, g in zip(("left", "right"), leads, strict=False)],
    )
    a = np.array([0.5, -0.3, 0.8]) / np.linalg.norm([0.5, -0.3, 0.8])
    general = device.spin_density(m, np.cross(a, m))
    rotating = device.freeze(m).precession(a, 1.0)
    assert abs(general.nonadiabatic - rotating.nonadiabatic).max() < 2e-10


@pytest.mark.parametrize("temperature", [0.0, 0.05])
@pytest.mark.parametrize("axis", OBLIQUE)
@pytest.mark.parametrize("frequency", [0.3, -0.2])
def test_exact_precession_equals_dense_rotating_frame(rng, axis, frequency, temperature):
    m, _ = random_motion(rng, 3)
    wire = still(m, 0.7, couplings=(0.6, 1.0), fermi_energy=0.3, temperature=temperature)
    exact = steady_precession(device_of(wire, 1e-6), m, OBLIQUE[axis], frequency)
    reference = wire.exact_precession(OBLIQUE[axis], frequency)
    assert abs(exact.spin - reference[:, 1:]).max() < 3e-11
    assert abs(exact.density - reference[:, 0]).max() < 3e-11
    assert abs(exact.spin_adiabatic - wire.adiabatic()[:, 1:]).max() < 3e-11


def test_exact_precession_fills_levels_bound_below_the_band(rng):
    m, _ = random_motion(rng, 3)
    wire = still(m, 20.0, fermi_energy=0.3)
    exact = steady_precession(device_of(wire, 1e-6), m, (0, 1, 0), 0.3)
    reference = wire.exact_precession((0, 1, 0), 0.3)
    assert abs(exact.spin - reference[:, 1:]).max() < 3e-11
    assert (np.linalg.norm(exact.spin, axis=1) > 0.9).all()


@pytest.mark.parametrize("texture", ["one moment", "bloch wall", "neel wall"])
@pytest.mark.parametrize("temperature", [0.0, 0.05])
@pytest.mark.parametrize("axis", AXES)
def test_what_the_frozen_split_leaves_out_is_of_second_order_in_the_frequency(axis, temperature, texture):
    m = TILTED if texture == "one moment" else wall(kind=texture.split()[0])
    device = Device(len(m), sd_exchange=0.4, fermi_energy=0.3, temperature=temperature, tolerance=1e-11)
    frequencies = np.array([0.005, 0.01, 0.02])
    left_out = []
    for w in frequencies:
        exact = steady_precession(device, m, AXES[axis], w)
        split = device.freeze(m).precession(np.array(AXES[axis]), w)
        left_out.append(np.linalg.norm(exact.spin_nonadiabatic - split.nonadiabatic))
    slope = np.polyfit(np.log(frequencies), np.log(left_out), 1)[0]
    assert slope == pytest.approx(2, abs=0.1)


def test_two_evolutions_of_a_finite_chain_agree():
    """The rotating frame and honest time steps in the laboratory."""
    settings = {"n_lead": 12, "coupling": 1.0, "fermi_energy": 0.1, "temperature": 0.05}
    m, axis, w, time = wall(3), np.array([0.2, 1.0, -0.4]), 0.6, 4.0
    frame = finite_chain.evolve_in_rotating_frame(m, axis, w, 0.8, [time], **settings)[0]
    errors = []
    for steps in (100, 200):
        laboratory = finite_chain.evolve_in_laboratory(m, axis, w, 0.8, time, steps, **settings)
        errors.append(abs(laboratory - frame @ finite_chain.rotation(axis, w * time).T).max())
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("axis", AXES)
def test_exact_precession_is_what_a_long_chain_evolves_to(axis):
    m = wall(5) @ finite_chain.rotation((1, 1, 0), 0.4).T
    evolved = finite_chain.evolve_in_rotating_frame(
        m, AXES[axis], 0.1, 0.1, [150.0, 160.0], n_lead=200, coupling=1.0, fermi_energy=0.2, temperature=0.05
    )
    device = Device(5, sd_exchange=0.1, fermi_energy=0.2, temperature=0.05)
    exact = steady_precession(device, m, AXES[axis], 0.1)
    assert abs(evolved - exact.spin).max() < 3e-6
    assert abs(exact.spin_nonadiabatic).max() > 100 * abs(evolved - exact.spin).max()


def test_total_surface_damping_is_the_pumped_spin_current():
    m = wall(7, 0.9, "twisted")
    device = Device(7, sd_exchange=0.1, tolerance=1e-10)
    split = device.freeze(m).precession(np.array([0, 0, 1.0]), 1.0)
    torque = 0.1 * np.cross(split.surface, m).sum(axis=0)[2]
    pumped = still(m, 0.1).pumped_spin_per_frequency()
    assert torque == pytest.approx(pumped, rel=1e-9)
    assert torque == pytest.approx(2.718e-3, abs=0.5e-6)


def test_exact_pumped_current_tends_to_the_surface_torque_and_charge_is_conserved(rng):
    m = wall(7, 0.9, "twisted")
    w = 1e-3
    exact = steady_precession(Device(7, sd_exchange=0.1), m, (0, 0, 1), w)
    assert exact.pumped_spin.sum() / w == pytest.approx(2.718e-3, rel=1e-3)
    texture, _ = random_motion(rng, 4)
    device = Device(
        4, sd_exchange=0.9, fermi_energy=0.4, temperature=0.05, leads=[Lead("left", 0.5), Lead("right", 1.0)]
    )
    for frequency in (0.3, -0.3):
        result = steady_precession(device, texture, (0.2, 1, 0.4), frequency)
        assert abs(result.pumped_charge.sum()) < 1e-10
        assert abs(result.pumped_charge[0]) > 1e-6


def test_pumped_spin_leaves_as_torque_on_the_moments_about_the_axis(rng):
    """Exact at every frequency: nothing else carries angular momentum along the axis."""
    texture, _ = random_motion(rng, 4)
    for axis in AXES.values():
        for frequency in (0.4, -0.4):
            device = Device(4, sd_exchange=0.9, fermi_energy=0.4, temperature=0.05)
            result = steady_precession(device, texture, axis, frequency)
            torque = 0.9 * np.cross(result.spin, texture).sum(axis=0) @ np.array(axis)
            assert torque == pytest.approx(result.pumped_spin.sum(), abs=1e-9)


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_geometric_torque_transfers_no_angular_momentum_about_the_axis(rng, temperature):
    m, _ = random_motion(rng, 6)
    split = (
        Device(6, sd_exchange=0.7, temperature=temperature, tolerance=1e-10)
        .freeze(m)
        .precession(np.array([0, 0, 1.0]), 1.0)
    )
    torque = np.cross(split.geometric + split.sea, m)
    assert abs(torque[:, 2]).max() > 1e-3
    assert abs(torque[:, 2].sum()) < 1e-11
    assert abs(np.cross(split.geometric, m)[:, 2].sum()) < 1e-11


def test_geometric_torque_of_a_neel_wall_is_purely_field_like():
    m = wall(7, 0.9, "neel")
    split = Device(7, sd_exchange=0.1, tolerance=1e-10).freeze(m).precession(np.array([0, 0, 1.0]), 1.0)
    torque = np.cross(split.geometric, m)
    mdot = np.cross((0, 0, 1.0), m)
    damping_like = np.einsum("ij,ij->i", torque, np.cross(m, mdot))
    field_like = np.einsum("ij,ij->i", torque, mdot)
    assert abs(damping_like).max() < 1e-11
    assert abs(field_like).max() > 1e-3


def test_split_does_not_depend_on_how_a_precession_is_written():
    device = Device(7, sd_exchange=0.3, tolerance=1e-10).freeze(wall())
    one = device.precession(np.array([0, 2.0, 0]), 0.3)
    other = device.precession(np.array([0, -1.0, 0]), -0.3)
    for name in ("geometric", "sea", "surface"):
        assert abs(getattr(one, name) - getattr(other, name)).max() < 1e-15


@pytest.mark.parametrize("axis", [(0, 0, 0), (np.nan, 0, 1)])
def test_an_axis_without_direction_is_refused(axis):
    device = Device(7, sd_exchange=0.3)
    with pytest.raises(ValueError, match="a finite vector of three components, not zero"):
        steady_precession(device, wall(), axis, 0.1)


@pytest.mark.parametrize("frequency", [1e-15, -1e-15, 1e-300])
def test_a_frequency_that_rounding_swallows_changes_nothing(frequency):
    device = Device(2, sd_exchange=0.5, fermi_energy=0.3, leads=[Lead("left"), Lead("right")])
    found = steady_precession(device, np.array([[0, 0.6, 0.8], [1, 0, 0]]), (0, 0, 1), frequency)
    assert abs(found.spin_nonadiabatic).max() < 1e-13
    assert abs(found.pumped_spin).max() < 1e-14
