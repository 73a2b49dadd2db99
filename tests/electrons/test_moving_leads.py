"""Voltages that change slowly: gauge, conservation laws by finite differences at rest, and independence of f_ref."""

from dataclasses import replace

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, ToleranceError, lead_columns, moving_leads
from tests.electrons.test_bias import both
from tests.electrons.test_lead_energies import stored_energy

CASES = {
    "one site": ((1,), False, 0.02, (0.3, 0.0)),
    "chain": ((4,), False, 0.05, (0.3, -0.1)),
    "chain, kT = 0": ((4,), False, 0.0, (0.3, -0.1)),
    "chain without bias": ((4,), False, 0.05, (0.0, 0.0)),
    "chain without bias, kT = 0": ((3,), False, 0.0, (0.0, 0.0)),
    "shifted alike": ((3,), False, 0.05, (0.2, 0.2)),
    "lattice": ((3, 2), False, 0.05, (0.3, -0.1)),
    "lattice, kT = 0, modes that open": ((2, 3), False, 0.0, (0.6, -0.2)),
    "periodic lattice": ((2, 3), "y", 0.02, (0.4, 0.0)),
    "one row": ((3, 1), False, 0.0, (0.3, 0.0)),
}


def made(case, **changes):
    shape, periodic, kT, voltages = CASES[case]
    rng = np.random.default_rng(7)
    m, potential = rng.normal(size=(*shape, 3)), 0.3 * rng.normal(size=shape)
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    sides = zip(("left", "right"), (0.8, 0.9), voltages, strict=True)
    leads = [Lead(side, coupling, voltage) for side, coupling, voltage in sides]
    arguments = {"sd_exchange": 0.6, "fermi_energy": -0.3, "temperature": kT, "tolerance": 1e-7, "leads": leads}
    return Device(shape, periodic=periodic, potential=potential, **arguments | changes), m


@pytest.mark.parametrize("case", CASES)
def test_the_same_shift_of_leads_and_sites_changes_nothing(case):
    """Levels of both leads and of all sites rise together: a gauge."""
    device, m = made(case)
    sites = device.freeze(m).respond(np.zeros_like(m), np.ones(device.shape))
    leads = device.moving_leads(m).response((1.0, 1.0))
    assert abs(sites.density).max() > 0.05
    assert np.allclose(leads.density, -sites.density, atol=1e-6)
    assert leads.energy_into_leads is None
    if device.is_lattice:
        return  # there, what the sites pump is known deep in the leads
    with_energy = device.moving_leads(m, energy=True).response((1.0, 1.0))
    assert np.allclose(with_energy.density, leads.density, atol=1e-9)
    assert np.allclose(with_energy.into_leads, leads.into_leads, atol=1e-9)
    pumped = device.freeze(m).energy_pumped(np.zeros_like(m), np.ones(device.shape))
    assert abs(pumped).max() > 0.02
    assert np.allclose(with_energy.energy_into_leads, -pumped, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "more", "filled"),
    [
        ((2, 2), {}, {"chemical_potential": 1.6}),
        ((1,), {"temperature": 0.1}, {"temperature": 0.3}),
        ((2,), {"temperature": 0.1, "bath": Bath([0], 0.25, False)}, {"temperature": 0.3}),
    ],
)
def test_edges_that_coincide_and_are_filled_differently_have_no_first_order(shape, more, filled):
    """It grows as the logarithm of their distance: by the same for each factor of ten."""
    m = np.zeros((*shape, 3))
    m[..., 2] = 1.0
    m[(0,) * len(shape)] = [1.0, 0.0, 0.0]

    def answer(apart):
        leads = [Lead("left", 0.8, voltage=apart), Lead("right", 0.9, **filled)]
        device = Device(shape, sd_exchange=0.5, fermi_energy=0.3, onsite=0.1, leads=leads, **more)
        return device.moving_leads(m).response([1, 0]).density

    far, near, nearer = (answer(apart) for apart in (1e-4, 1e-6, 1e-8))
    assert abs(near - far).max() > 1e-4
    np.testing.assert_allclose(nearer - near, near - far, rtol=0.05, atol=1e-4)
    for apart in (0.0, 1e-12):
        with pytest.raises(ToleranceError, match="a mode of both leads opens at the energy"):
            answer(apart)


@pytest.mark.parametrize(("case", "side"), [(case, k % 2) for k, case in enumerate(CASES)] + [("chain", 0)])
def test_particles_and_spin_are_conserved(case, side):
    """What flows into the leads is missing in the device, and the torque is a flow of spin, at the rate of rest."""
    device, m = made(case)
    found = device.moving_leads(m).response(np.eye(2)[side])
    h = 1e-3

    def at(shift):
        voltages = np.array(device.voltages) + shift * np.eye(2)[side]
        return device.at_voltages(voltages).freeze(m).at_rest.reshape(-1, 4).sum(axis=0)

    rate = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    flow = found.into_leads.sum(axis=0)
    assert abs(rate[0]) > 0.1
    assert flow[0] == pytest.approx(-rate[0], abs=2e-6)
    torque = 0.6 * np.cross(found.density[..., 1:], m).reshape(-1, 3).sum(axis=0)
    assert np.allclose(torque, (flow[1:] + rate[1:]) / 2, atol=2e-6)
    assert abs(flow[1:]).max() > 1e-3
    assert abs(torque).max() > 1e-3 or device.n_sites == 1


@pytest.mark.parametrize(("shape", "kT", "side"), [((2,), 0.1, 0), ((2,), 0.1, 1), ((1, 2), 0.1, 0)])
def test_energy_is_conserved(shape, kT, side):
    """What a lead gets beside V times its particles is missing in the device and its bonds, by differences at rest."""
    voltages = (0.3, -0.1)
    oracle, device = both((shape, 0.6, (0.8, 0.9), kT, voltages, None, voltages), 3, fermi_energy=0.0)
    found = device.moving_leads(oracle.m.reshape(*shape, 3), oracle.potential.reshape(shape), energy=True)
    one, h = found.response(np.eye(2)[side]), 0.02
    name = ("left", "right")[side]

    def at(shift):
        lead = getattr(oracle, name)
        return stored_energy(replace(oracle, **{name: replace(lead, shift=lead.shift + shift, mu=lead.mu + shift)}))[0]

    kept = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    assert abs(kept) > 1e-2
    gained = one.energy_into_leads + np.array(voltages) * one.into_leads[:, 0]
    assert kept + gained.sum() == pytest.approx(0.0, abs=2e-6)


@pytest.mark.parametrize("kT", [0.0, 0.01])
def test_a_bound_level_spreads_as_its_leads_move(kT):
    """Chemical potentials below the bands: one occupied level, and no energy between the leads' Fermi functions."""
    m = np.array([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0]])
    arguments = {"sd_exchange": 0.4, "fermi_energy": -2.5, "temperature": kT, "potential": [-3.0, 0.0]}
    device = Device(2, **arguments, leads=[Lead("left", 0.8, 0.1), Lead("right")], tolerance=1e-8)
    found, h = device.moving_leads(m).response((1.0, 0.0)), 1e-3
    up, down = (device.at_voltages((0.1 + shift, 0.0)).freeze(m).at_rest[:, 0].sum() for shift in (h, -h))
    assert abs(up - down) / (2 * h) > 1e-2
    assert found.into_leads[:, 0].sum() == pytest.approx((down - up) / (2 * h), abs=1e-5)


def test_the_sum_does_not_depend_on_how_the_device_is_filled_first():
    leads = [Lead("left", 0.8, 0.3, 0.1, 0.03), Lead("right", 0.9, -0.1, -0.4, 0.05)]
    found = []
    for filled in ({"fermi_energy": -0.3, "temperature": 0.05}, {"fermi_energy": 0.25, "temperature": 0.0}):
        device, m = made("chain", leads=leads, **filled)
        found.append(device.moving_leads(m).response((1.0, -0.4)))
    one, other = found
    assert abs(one.sea - other.sea).max() > 1e-2
    assert np.allclose(one.density, other.density, atol=1e-6)
    assert np.allclose(one.into_leads, other.into_leads, atol=1e-6)


def test_it_is_linear_and_a_side_without_a_lead_adds_nothing():
    device, m = made("chain", leads=[Lead("left", 0.8, 0.2)])
    moving = device.moving_leads(m)
    small, large = moving.response((0.01, 0.0)), moving.response((1.0, 3.0))
    assert np.allclose(100 * small.density, large.density, atol=1e-6)
    assert not moving.response((0.0, 1.0)).density.any()
    assert not moving.response((0.0, 0.0)).into_leads.any()


def test_a_lattice_has_the_same_bits_in_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(lead_columns, "_ELEMENTS", 1000)  # many blocks of energies
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("LLGNEGF_NUM_THREADS", threads)
        device, m = made("lattice")
        found.append(device.moving_leads(m).response((1.0, -0.4)))
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))


def test_a_device_at_other_voltages_is_the_one_made_with_them():
    device, m = made("chain")
    other = device.at_voltages((0.1, 0.2))
    leads = [Lead("left", 0.8, 0.1), Lead("right", 0.9, 0.2)]
    assert other.leads == tuple(leads)
    assert (other.freeze(m).at_rest == device.changed(leads=leads).freeze(m).at_rest).all()
    assert device.at_voltages(device.voltages) is device
    with pytest.raises(ValueError, match="do not overlap"):
        device.at_voltages((3.0, -2.0))
    with pytest.raises(ValueError, match="no lead on that side"):
        device.changed(leads=[Lead("left")]).at_voltages((0.1, 0.2))


@pytest.mark.parametrize("case", ["chain", "lattice, kT = 0, modes that open", "one row"])
def test_next_to_levels_of_parts_the_whole_matrix_is_solved(case, monkeypatch):
    """Elimination, and solving with the whole matrix at every energy, agree."""
    device, m = made(case)
    expected = device.moving_leads(m).response((0.7, -0.4))
    monkeypatch.setattr(lead_columns, "_LARGEST_GROWTH", 0.0)
    found = made(case)[0].moving_leads(m).response((0.7, -0.4))
    for name in ("sea", "surface", "bias", "into_leads"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("shape", "energy"), [((3,), 0.1), ((3, 3), 1.1)])
def test_the_fermi_energy_at_a_level_of_a_part(shape, energy):
    """Two slices without the first one have a level there: elimination divides by zero."""
    m = np.zeros((*shape, 3))
    m[..., 2], m[0] = 1.0, (0.6, 0.0, 0.8)

    def surface(fermi_energy):
        device = Device(shape, sd_exchange=0.1, fermi_energy=fermi_energy, leads=[Lead("left")])
        return device.moving_leads(m).response((0.2, 0.0)).surface

    found = surface(energy)
    assert abs(found).max() > 0.01
    np.testing.assert_allclose(found, (surface(energy - 1e-3) + surface(energy + 1e-3)) / 2, rtol=0, atol=3e-5)


@pytest.mark.filterwarnings("ignore:a level outside the bands")
@pytest.mark.parametrize("kT", [0.01, 0.3])
@pytest.mark.parametrize("voltage", [0.0, 0.1])
def test_levels_outside_the_bands_are_part_of_the_gauge(kT, voltage):
    m = np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.48, 0.6, 0.64]])
    leads = [Lead("left", 1.0, voltage), Lead("right", 0.8, voltage)]
    device = Device(3, sd_exchange=4.0, fermi_energy=2.4 + voltage, temperature=kT, leads=leads)
    found = device.moving_leads(m).response((1.0, 1.0))
    expected = -device.freeze(m).respond(np.zeros((3, 3)), np.ones(3)).density
    assert abs(expected).max() > 1e-4
    np.testing.assert_allclose(found.density, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kT", "fermi_energy", "voltages"),
    [
        (0.05, -0.3, (0.3, -0.1)),
        (0.0, -0.3, (0.3, -0.1)),
        pytest.param(0.05, 0.4, (0.0, 0.0), marks=pytest.mark.slow),
    ],
)
def test_blocks_of_a_long_wire_give_what_single_energies_give(kT, fermi_energy, voltages, monkeypatch):
    rng, n = np.random.default_rng(2), 34
    x = (np.arange(n) - n / 2) / 4
    m = np.column_stack([1 / np.cosh(x), 0.3 / np.cosh(x), np.tanh(x)]) + 0.05 * rng.normal(size=(n, 3))
    m /= np.linalg.norm(m, axis=1)[:, None]
    leads = [Lead("left", 0.8, voltages[0]), Lead("right", 0.9, voltages[1])]
    device = Device(n, sd_exchange=0.5, fermi_energy=fermi_energy, temperature=kT, leads=leads, tolerance=1e-6)
    found = []
    for is_long in (True, False):
        monkeypatch.setattr(moving_leads, "is_long", lambda device, moving, is_long=is_long: is_long)
        moving = device.moving_leads(m, energy=True)
        found.append([moving.response(unit) for unit in np.eye(2)])
        solves = moving._extended.solves
        found[-1].append(solves)
    assert found[0].pop() != found[1].pop()  # another way
    for one, other in zip(*found, strict=True):
        assert abs(other.surface).max() > 0.05
        assert abs(other.bias).max() > 0.05 or not any(voltages)
        for name in ("sea", "surface", "bias", "into_leads", "energy_into_leads"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-6), name
