"""The potential of a device itself: every path has it, alone and beside gates; impurities and Anderson disorder."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, steady_precession, uniform_disorder
from tests.electrons import systems, test_lattice
from tests.electrons.real_time_cases import errors, follow, rows, tiles, turning, unit_vectors, unitary
from tests.oracles.lattice_dense import Lattice

TEMPERATURES = pytest.mark.parametrize("temperature", [0.0, 0.1])


def moving_lattice(rng, shape, **options):
    m = unit_vectors(rng, shape)
    V, rate = 0.5 * rng.uniform(-1, 1, (2, *shape))
    return Lattice(m, np.cross(m, 0.3 * rng.normal(size=m.shape)), V, rate, 0.7, **options)


# --- against dense matrices -----------------------------------------------------------------------------------------


@TEMPERATURES
def test_all_parts_of_a_chain_equal_dense_matrices(rng, temperature):
    wire = systems.moving(rng, 4, 0.7, couplings=(0.6, 1.2), onsite=0.2, fermi_energy=0.3, temperature=temperature)
    U = uniform_disorder(4, 3.0, 5)
    device = systems.device_of(wire, 1e-9).changed(potential=U)
    result = device.spin_density(wire.m, wire.mdot, wire.potential, wire.potential_rate)
    reference = replace(wire, potential=wire.potential + U).parts()
    for name, expected in reference.items():
        assert abs(getattr(result, name) - expected[:, 1:]).max() < 3e-9, name
        assert abs(getattr(result, f"density_{name}") - expected[:, 0]).max() < 3e-9, name
    still = device.spin_density(wire.m)
    assert abs(still.adiabatic - replace(wire, potential=U).adiabatic()[:, 1:]).max() < 3e-9


@TEMPERATURES
def test_all_parts_of_a_lattice_equal_dense_matrices(rng, temperature):
    lattice = moving_lattice(
        rng, (3, 2), couplings=(0.8, 1.1), onsite=0.2, fermi_energy=0.4, temperature=temperature, periodic=True
    )
    U = uniform_disorder((3, 2), 3.0, 5)
    device = test_lattice.device_of(lattice, 1e-8).changed(potential=U)
    found = test_lattice.stacked(device.spin_density(*test_lattice.motion(lattice)))
    reference = replace(lattice, potential=lattice.potential + U).parts()
    for name, expected in reference.items():
        assert abs(found[name] - expected.reshape(found[name].shape)).max() < 3e-8, name


@TEMPERATURES
@pytest.mark.parametrize("axis", systems.AXES)
def test_precession_equals_dense_matrices(rng, axis, temperature):
    m, _ = systems.random_motion(rng, 3)
    U, axis = uniform_disorder(3, 3.0, 5), systems.AXES[axis]
    wire = systems.still(m, 0.7, couplings=(0.6, 1.0), fermi_energy=0.3, temperature=temperature)
    device, wire = systems.device_of(wire, 1e-9).changed(potential=U), replace(wire, potential=U)
    split = device.freeze(m).precession(np.array(axis), 0.1)
    for name, expected in wire.precession_parts(axis, 0.1).items():
        assert abs(getattr(split, name) - expected[:, 1:]).max() < 1e-9, name
    exact = steady_precession(device, m, axis, 0.1)
    assert abs(exact.spin - wire.exact_precession(axis, 0.1)[:, 1:]).max() < 1e-9
    assert abs(exact.spin_adiabatic - wire.adiabatic()[:, 1:]).max() < 1e-9


@TEMPERATURES
def test_levels_of_a_closed_wire_and_its_grand_potential_equal_dense_matrices(rng, temperature):
    wire = systems.moving(rng, 3, 0.7, couplings=(0.0, 0.0), fermi_energy=0.13, temperature=temperature)
    U = uniform_disorder(3, 3.0, 5)
    device = systems.device_of(wire, 1e-10).changed(potential=U)
    wire = replace(wire, potential=wire.potential + U)
    result = device.spin_density(wire.m, wire.mdot, wire.potential - U, wire.potential_rate)
    adiabatic, first = wire.closed_parts()
    assert abs(result.adiabatic - adiabatic[:, 1:]).max() < 1e-9
    assert abs(result.nonadiabatic - first[:, 1:]).max() < 1e-9
    assert device.freeze(wire.m, wire.potential - U).grand_potential == pytest.approx(
        wire.closed_grand_potential(), abs=1e-9
    )


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 2)])
def test_real_time_equals_unitary_evolution(shape):
    leads = [Lead("left", 0.7), Lead("right")]
    bare = Device(shape, sd_exchange=0.5, fermi_energy=0.3, temperature=0.2, tolerance=1e-5, leads=leads)
    rng, U = np.random.default_rng(4), uniform_disorder(shape, 3.0, 5)
    m, V = turning(unit_vectors(rng, shape), rng.normal(size=3), 0.7), 0.4 * rng.uniform(-1, 1, shape)
    exact = unitary(bare, [3.0], m, lambda t: U + V * np.cos(0.9 * t))
    for carrier in (rows, tiles):
        found = follow(bare.changed(potential=U), [3.0], m, lambda t: V * np.cos(0.9 * t), carrier=carrier)
        assert max(errors(found, exact).values()) < 1e-5


# --- the same as gates of these voltages ----------------------------------------------------------------------------


def answers(device, m, mdot, V, rate):
    """All that a device says, as arrays."""
    spin, frozen = device.spin_density(m, mdot, V, rate), device.freeze(m, V)
    flows = device.currents(m, mdot, V, rate)
    found = {name: getattr(spin, name) for name in ("adiabatic", "sea", "surface", "density")}
    found |= {f"{kind} {o}": getattr(flows, kind)[o] for kind in ("charge", "spin") for o in flows.origins}
    found |= {
        "currents": np.concatenate([part.ravel() for part in device.lead_currents(m, mdot, V, rate)]),
        "balance": device.spin_balance(m, mdot, V, rate),
        "transmission": device.transmission([0.1, 0.4], m, V),
        "states": device.density_of_states([0.1, 0.4], m, V),
        "numbers": np.array([frozen.grand_potential, frozen.level_width()]),
    }
    if not device.is_lattice:
        exact = steady_precession(device, m, (0, 0.6, 0.8), 0.05, V)
        found |= {name: getattr(exact, name) for name in ("spin", "pumped_spin", "pumped_charge", "bond_spin")}
    return found


@TEMPERATURES
@pytest.mark.parametrize("shape", [(1,), (4,), (3, 2)])
@pytest.mark.parametrize("couplings", [(0.7, 1.0), (0.0, 1.0)])
def test_a_potential_is_a_gate_that_does_not_move_in_all_that_a_device_says(rng, shape, couplings, temperature):
    leads = [Lead(side, c) for side, c in zip(("left", "right"), couplings, strict=True) if c]
    bare = Device(shape, sd_exchange=0.5, fermi_energy=0.3, temperature=temperature, leads=leads, onsite=0.1)
    U, m = uniform_disorder(shape, 2.0, 3), unit_vectors(rng, shape)
    V, rate = 0.3 * rng.normal(size=(2, *shape))
    mdot = np.cross(m, rng.normal(size=m.shape))
    expected, found = answers(bare, m, mdot, V + U, rate), answers(bare.changed(potential=U), m, mdot, V, rate)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert abs(expected["adiabatic"] - bare.spin_density(m, None, V).adiabatic).max() > 1e-3


@TEMPERATURES
@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_a_potential_is_a_gate_that_does_not_move_under_a_bias(rng, shape, temperature):
    leads = [Lead("left", 0.7, voltage=0.2, temperature=0.15), Lead("right", chemical_potential=0.1)]
    bare = Device(shape, sd_exchange=0.5, fermi_energy=0.3, temperature=temperature, leads=leads, tolerance=1e-5)
    U, m = uniform_disorder(shape, 2.0, 3), unit_vectors(rng, shape)
    V = 0.3 * rng.normal(size=shape)
    expected, found = (
        one.spin_density(m, None, gates) for one, gates in ((bare, V + U), (bare.changed(potential=U), V))
    )
    for name in ("adiabatic", "bias", "density"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert abs(bare.spin_density(m, None, V).bias - found.bias).max() > 1e-3


# --- closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", [0, 2, 4])
def test_an_impurity_in_a_wire_scatters_as_it_should(site):
    """T = 1/(1 + U^2/(4 t^2 sin^2 k)), E = onsite - 2t cos k."""
    U, t, k = 1.7, 1.3, np.linspace(0.2, 3.0, 7)
    potential = np.where(np.arange(5) == site, U, 0.0)
    leads = [Lead("left", t), Lead("right", t)]
    wire = Device(5, sd_exchange=0.8, hopping=t, onsite=0.4, leads=leads, potential=potential)
    found = wire.transmission(0.4 - 2 * t * np.cos(k), np.zeros((5, 3)))
    expected = 1 / (1 + U**2 / (2 * t * np.sin(k)) ** 2)
    np.testing.assert_allclose(found, expected[:, None, None] * np.eye(2), atol=1e-12)


@pytest.mark.parametrize(("energy", "seeds"), [(0.5, 200), (-1.2, 100)])
def test_disorder_localises_within_the_length_of_weak_disorder(energy, seeds):
    """<ln T> = -2 L/xi with xi = 96 (1 - (E/2t)^2) (t/W)^2, off the centre of the band.

    Kappus and Wegner, Z. Phys. B 45, 15 (1981).  <ln T> of 200 wires of this length is known to 3 %.
    """
    L, W = 500, 1.0
    devices = (Device(L, sd_exchange=0.0, potential=uniform_disorder(L, W, seed)) for seed in range(seeds))
    found = np.log([one.transmission(energy, np.zeros((L, 3)))[0, 0] for one in devices])
    error = found.std(ddof=1) / np.sqrt(seeds)
    assert abs(found.mean() + 2 * L / (96 * (1 - energy**2 / 4) / W**2)) < 2.5 * error
    assert error < 0.06 * abs(found.mean())


# --- numbers and arguments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [1, (20000,), (130, 170)])
def test_disorder_is_even_between_its_limits_and_known_by_its_seed(shape):
    one = uniform_disorder(shape, 3.0, 7)
    assert one.shape == ((shape,) if isinstance(shape, int) else shape)
    assert abs(one).max() <= 1.5
    np.testing.assert_array_equal(one, uniform_disorder(shape, 3.0, 7))
    np.testing.assert_array_equal(uniform_disorder(shape, 6.0, 7), 2 * one)
    assert (one != uniform_disorder(shape, 3.0, 8)).any()
    if one.size > 1:  # moments of the even distribution, W^2/12 and W^4/80, within five of their errors
        n = one.size
        assert abs(one.mean()) < 5 * 3 / np.sqrt(12 * n)
        assert np.mean(one**2) == pytest.approx(9 / 12, abs=5 * 9 / np.sqrt(180 * n))
        neighbours = (one[1:] * one[:-1]).mean()
        assert abs(neighbours) < 5 * 0.75 / np.sqrt(n)
        np.testing.assert_allclose(np.quantile(one, [0.25, 0.5, 0.75]), [-0.75, 0, 0.75], atol=5 * 1.5 / np.sqrt(n))


def test_disorder_of_a_seed_is_the_same_on_every_machine():
    found = uniform_disorder(3, 1.0, 1).tolist()
    assert found == [0.1625958114967898, 0.3444530522451541, -0.4984438201861243]


def test_wrong_disorder_is_told():
    for arguments, told in (
        ((4, -1.0), r"amplitude = -1\.0: must be a number, >= 0"),
        ((4, np.nan), "amplitude = nan"),
        ((4, 1.0, -1), "seed = -1: must be a whole number >= 0"),
        ((4, 1.0, 1.5), "seed = 1.5: must be"),
        ((4, 1.0, True), "seed = True: must be"),
        ((0, 1.0), "shape = 0"),
    ):
        with pytest.raises(ValueError, match=told):
            uniform_disorder(*arguments)


def test_a_device_keeps_its_potential():
    U = np.array([0.5, -1.0, 2.0])
    device = Device(3, sd_exchange=0.5, potential=U)
    U[:] = 9.0  # the device has numbers of its own
    for one in (device, copy.deepcopy(device), pickle.loads(pickle.dumps(device)), device.changed(temperature=0.1)):
        np.testing.assert_array_equal(one.potential, [0.5, -1.0, 2.0])
        assert not one.potential.flags.writeable
    assert repr(device) == "Device((3,), sd_exchange=0.5, potential=[0.5, -1.0, 2.0])"
    assert eval(repr(device)).potential.tolist() == [0.5, -1.0, 2.0]
    assert Device(3, sd_exchange=0.5).potential is None


@pytest.mark.parametrize("wrong", [1.0, [1.0, 2.0], [[1.0, 2.0, 3.0]], [1, 2, np.nan], [0, np.inf, 0], "abc", [1j] * 3])
def test_a_wrong_potential_is_told(wrong):
    with pytest.raises(ValueError, match=r"^potential: expected finite values of shape \(3,\)"):
        Device(3, sd_exchange=0.5, potential=wrong)


def test_a_potential_has_to_fit_a_changed_shape_and_the_hopping():
    device = Device(3, sd_exchange=0.5, potential=np.ones(3))
    with pytest.raises(ValueError, match=r"^potential: expected finite values of shape \(4,\), got shape \(3,\)"):
        device.changed(shape=4)
    with pytest.raises(ValueError, match=r"^potential = -1e\+12: must be within 1e\+10 times the hopping, which is 1"):
        Device(3, sd_exchange=0.5, potential=[1.0, -1e12, 1e11])
