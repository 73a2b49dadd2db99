"""A device is one system from beginning to end: nothing of it can be set, and its copies are the same system."""

import copy
import pickle

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead
from llgnegf.electrons.currents import Extended
from tests.electrons.systems import random_motion

LEADS = [Lead("left", 0.6), Lead("right", 1.3)]
CHAIN = {"shape": 4, "sd_exchange": 0.7, "fermi_energy": 0.2, "tolerance": 1e-8, "leads": LEADS}
LATTICE = {"shape": (3, 2), "periodic": "y", "sd_exchange": 0.7, "onsite": 3.6, "fermi_energy": 1.9, "leads": LEADS}
UNEVEN = CHAIN | {"bond_hoppings": [0.5, 1.4, 0.8]}
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda device: pickle.loads(pickle.dumps(device)),
    "changed": lambda device: device.changed(),
}


def motion(rng, device):
    m, mdot = (array.reshape(*device.shape, 3) for array in random_motion(rng, device.n_sites))
    return m, mdot, *(0.3 * rng.normal(size=(2, *device.shape)))


def everything(device, arguments):
    """All that a motion gives: spin and charge densities and flows by origin, in one array."""
    spin, flows = device.spin_density(*arguments), device.currents(*arguments)
    parts = [spin.adiabatic, spin.sea, spin.surface, spin.density_adiabatic, spin.density_sea, spin.density_surface]
    parts += [values for by_origin in (flows.charge, flows.spin) for values in by_origin.values()]
    return np.concatenate([part.ravel() for part in parts])


@pytest.mark.parametrize("arguments", [CHAIN, UNEVEN, LATTICE], ids=["chain", "uneven", "lattice"])
def test_no_attribute_can_be_set_or_deleted(rng, arguments):
    device = Device(**arguments)
    everything(device, motion(rng, device))  # caches are there
    names = {*vars(device), *(name for name in dir(Device) if not name.startswith("__")), "something_new"}
    assert {"hops", "sd_exchange", "leads", "_contour", "band", "freeze"} < names
    for name in names:
        with pytest.raises(AttributeError, match=rf"{name} of a Device cannot be set.*`changed\({name}="):
            setattr(device, name, getattr(device, name, 1.0))
        with pytest.raises(AttributeError, match=rf"{name} of a Device cannot be deleted.*changed"):
            delattr(device, name)


@pytest.mark.parametrize("arguments", [CHAIN, UNEVEN, LATTICE], ids=["chain", "uneven", "lattice"])
def test_no_array_can_be_written_to(arguments):
    device = Device(**arguments)
    _ = device.modes, device.no_rule
    arrays = {name: value for name, value in vars(device).items() if isinstance(value, np.ndarray)}
    arrays |= {name: value for name, value in vars(device.modes).items() if isinstance(value, np.ndarray)}
    assert {"hops", "vectors"} <= arrays.keys()
    for array in arrays.values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 2.0
    containers = [value for value in vars(device).values() if isinstance(value, list | dict | set)]
    assert containers == []


def test_what_was_handed_over_may_change_afterwards():
    hoppings, leads = np.array([0.5, 1.4, 0.8]), [Lead("left")]
    device = Device(4, sd_exchange=1.0, leads=leads, bond_hoppings=hoppings)
    hoppings[:] = 7.0
    leads.append(Lead("right"))
    assert device.hops.tolist() == [0.5, 1.4, 0.8]
    assert device.bond_hoppings == (0.5, 1.4, 0.8)
    assert device.leads == (Lead("left"),)


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("arguments", [CHAIN, UNEVEN, LATTICE], ids=["chain", "uneven", "lattice"])
@pytest.mark.parametrize("extended", [False, True])
def test_copies_are_the_same_system(rng, arguments, how, extended):
    device = Device(**arguments)
    if extended:
        device = Extended(device).device
        assert device.hops[0] == 0.6
        assert device.hops[-1] == 1.3
    twin = COPIES[how](device)
    assert twin is not device
    moved = motion(rng, device)
    np.testing.assert_array_equal(everything(twin, moved), everything(device, moved))
    other = device.changed(bond_hoppings=0.9 * device.hops)
    assert abs(everything(other, moved) - everything(device, moved)).max() > 1e-4


def test_uneven_bonds_are_those_of_the_dense_hamiltonian(rng):
    """Closed, at kT = 0: the sum over the levels below the Fermi energy."""
    device = Device(4, sd_exchange=0.7, fermi_energy=0.1, leads=[], bond_hoppings=[0.5, 1.9, 0.8], tolerance=1e-9)
    m = random_motion(rng, 4)[0]
    H = np.kron(np.diag([-0.5, -1.9, -0.8], 1), np.eye(2)).astype(complex)
    H += H.conj().T
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    for i in range(4):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] -= 0.7 * np.einsum("a,abc->bc", m[i], pauli)
    energies, states = np.linalg.eigh(H)
    filled = states[:, energies < 0.1].reshape(4, 2, -1)
    expected = np.einsum("abc,icn,ibn->ia", pauli, filled, filled.conj()).real
    np.testing.assert_allclose(device.spin_density(m).adiabatic, expected, atol=1e-8)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1,), {"leads": [Lead("left", 2.0), Lead("right", 2.0)]}),
        ((1,), {"leads": [Lead("left", 3.0), Lead("right", 3.0)]}),
        ((4,), {"bond_hoppings": [2.0, 2.0, 2.0]}),
        ((4,), {"bond_hoppings": [0.1, 3.0, 0.1], "leads": []}),
        ((3, 2), {"bond_hoppings": [2.0, 1.5], "onsite": 0.5}),
    ],
)
def test_bounds_of_the_spectrum_hold_for_strong_bonds(shape, options):
    """Against the dense spectrum of the device with 60 sites of each lead."""
    device = Device(shape, sd_exchange=0.3, **options)
    ny = shape[1] if len(shape) == 2 else 1
    length = 60
    (left, right), hops = device.couplings, device.hops
    bonds = np.concatenate([np.ones(length - 1), [left], hops, [right], np.ones(length - 1)])
    H = -np.kron(np.diag(bonds, 1) + np.diag(bonds, -1), np.eye(ny))
    H -= np.kron(np.eye(len(bonds) + 1), np.diag(np.ones(ny - 1), 1) + np.diag(np.ones(ny - 1), -1))
    H += device.onsite * np.eye(len(H))
    levels = np.linalg.eigvalsh(H)
    low, high = device.spectrum_bounds(np.zeros((*shape, 3)), np.zeros(shape))
    assert low <= levels[0]
    assert levels[-1] <= high


@pytest.mark.parametrize(
    "wrong", [[1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0], 1]
)
def test_impossible_bonds_are_refused(wrong):
    with pytest.raises(ValueError, match=r"bond_hoppings = .*: one number > 0 for each of the 3 bonds"):
        Device(4, sd_exchange=1.0, bond_hoppings=wrong)


def test_bonds_must_fit_a_changed_shape():
    with pytest.raises(ValueError, match="each of the 4 bonds along x of shape"):
        Device(**UNEVEN).changed(shape=5)
