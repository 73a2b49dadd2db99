"""A device is one system from beginning to end: nothing of it can be set, and its copies are the same system."""

import copy
import pickle

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead
from llgnegf.electrons.currents import Extended
from llgnegf.errors import RunWarning
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
    assert {"hops", "sd_exchange", "leads", "pole_rules", "band", "freeze"} < names
    for name in names:
        with pytest.raises(AttributeError, match=rf"{name} of a Device cannot be set.*`changed\({name}="):
            setattr(device, name, getattr(device, name, 1.0))
        with pytest.raises(AttributeError, match=rf"{name} of a Device cannot be deleted.*changed"):
            delattr(device, name)


@pytest.mark.parametrize("arguments", [CHAIN, UNEVEN, LATTICE], ids=["chain", "uneven", "lattice"])
def test_no_array_can_be_written_to(arguments):
    device = Device(**arguments)
    _ = device.modes, device.chain_rules.no_rule
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
        ((3,), {"potential": [-7.0, 0.0, 5.0]}),
        ((2, 2), {"potential": [[4.0, 6.0], [5.0, 4.0]], "onsite": 0.5}),
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
    sites = np.arange(length * ny, (length + shape[0]) * ny)
    H[sites, sites] += 0 if device.potential is None else device.potential.ravel()
    levels = np.linalg.eigvalsh(H)
    low, high = device.spectrum_bounds(np.zeros((*shape, 3)), np.zeros(shape))
    assert low <= levels[0]
    assert levels[-1] <= high


@pytest.mark.parametrize(
    "wrong",
    [[1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0], 1, "abc", [1.0, "x", 2.0]],
)
def test_impossible_bonds_are_refused(wrong):
    with pytest.raises(ValueError, match=r"bond_hoppings = .*: one number > 0 for each of the 3 bonds"):
        Device(4, sd_exchange=1.0, bond_hoppings=wrong)


# --- what a user sees and may hand over -------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [CHAIN, UNEVEN, LATTICE, {"shape": 4, "sd_exchange": 0.1, "leads": []}])
def test_a_device_shows_the_call_that_makes_it(arguments):
    device = Device(**arguments)
    shown = repr(device)
    again = eval(shown, {"Device": Device, "Lead": Lead})
    assert again._arguments() == device._arguments()
    assert repr(again) == shown
    assert shown.startswith("Device((")
    assert "sd_exchange=" in shown
    assert "temperature" not in shown  # at its default


@pytest.mark.parametrize("arguments", [CHAIN, LATTICE], ids=["chain", "lattice"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (0,)])
def test_arrays_of_energies_give_what_each_energy_gives(rng, arguments, shape):
    device = Device(**arguments)
    m, _, potential, _ = motion(rng, device)
    energies = rng.uniform(*device.band, size=shape)
    for ask, last in ((device.transmission, (2, 2)), (device.density_of_states, (*device.shape, 4))):
        found = ask(energies, m, potential)
        assert found.shape == (*shape, *last)
        for index in np.ndindex(shape):
            np.testing.assert_array_equal(found[index], ask(float(energies[index]), m, potential))
            np.testing.assert_array_equal(found[index], ask(energies[index], m, potential))
        if shape == (7,):
            np.testing.assert_array_equal(ask(energies.tolist(), m, potential), found)
            assert len({float(values.sum()) for values in found}) == 7


@pytest.mark.parametrize("arguments", [CHAIN, LATTICE], ids=["chain", "lattice"])
@pytest.mark.parametrize("energy", [np.nan, [0.1, np.inf], "0.1", None, 1j, [0.1, "x"], [[0.1], [0.1, 0.2]], True])
def test_impossible_energies_are_refused(rng, arguments, energy):
    device = Device(**arguments)
    m = motion(rng, device)[0]
    for ask in (device.transmission, device.density_of_states):
        with pytest.raises(ValueError, match=r"energy = .*: must be (finite|a real number or an array of them)"):
            ask(energy, m)


WRITE = r"write for example leads=\[Lead\(\"left\"\), Lead\(\"right\", coupling=0.5\)\]"


@pytest.mark.parametrize(
    ("leads", "told"),
    [
        (["left"], r'leads\[0\] = \'left\': must be a Lead, here Lead\("left"\); ' + WRITE),
        ([Lead("left"), "right"], r'leads\[1\] = \'right\': must be a Lead, here Lead\("right"\); ' + WRITE),
        ([("left", 1.0)], r"leads\[0\] = \('left', 1.0\): must be a Lead[;,] " + WRITE),
        ([{"side": "left"}], r"leads\[0\] = .*: must be a Lead[;,] " + WRITE),
        ("left", r'leads = \'left\': must be a list of leads \(leads=\[Lead\("left"\)\]\); ' + WRITE),
        (Lead("left", 0.5), r"must be a list of leads \(leads=\[Lead\(side='left', coupling=0.5\)\]\); " + WRITE),
        (None, r"leads = None: must be a list of leads \(leads=\[\] for none\); " + WRITE),
        (2, r"leads = 2: must be a list of leads"),
        ([Lead("left"), Lead("left")], r"leads = \['left', 'left'\]: at most one lead a side"),
    ],
)
def test_what_is_no_list_of_leads_says_what_to_write(leads, told):
    with pytest.raises(ValueError, match=told):
        Device(4, sd_exchange=1.0, leads=leads)
    assert len(Device(4, sd_exchange=1.0, leads=iter([Lead("left"), Lead("right")])).leads) == 2


NO_NUMBERS = ["1", None, [0.5], np.array([0.5, 1]), 1j, np.nan, np.inf, 10**400, True]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", ["hopping", "onsite", "sd_exchange", "fermi_energy", "temperature", "tolerance"])
def test_what_is_no_number_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name} = .*: must be a number, "):
        Device(**{"shape": 4, "sd_exchange": 1.0, name: value})
    with pytest.raises(ValueError, match=r"^coupling = .* of the left lead: use a finite number >= 0"):
        Lead("left", value)


@pytest.mark.parametrize(
    "shape", ["4", 4.0, (2.5, 3), ("4",), True, (True, 2), None, [[1, 2]], (), (1, 2, 3), 0, (3, -1)]
)
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"^shape = .*: use n or \(n,\) for a chain or \(nx, ny\) for a square lattice"
    ):
        Device(shape, sd_exchange=1.0)


@pytest.mark.parametrize("periodic", [np.array(["y", "x"]), ["y"], None, "x", True])
def test_impossible_edges_are_refused(periodic):
    with pytest.raises(ValueError, match=r"^periodic = .*: allowed are False and 'y'"):
        Device((3, 3), sd_exchange=1.0, periodic=periodic)


@pytest.mark.parametrize("wrong", ["moments", None, [[1, 2], [3]], 1j * np.ones((4, 3)), [["0", "0", "1"]] * 4])
def test_what_are_no_moments_is_refused_by_name(wrong):
    device = Device(4, sd_exchange=1.0)
    with pytest.raises(ValueError, match=r"^m: expected finite values of shape \(4, 3\)"):
        device.spin_density(wrong)
    if wrong is not None:
        with pytest.raises(ValueError, match=r"^potential: expected finite values of shape \(4,\)"):
            device.spin_density(np.ones((4, 3)) / np.sqrt(3), potential=wrong)


def test_bonds_must_fit_a_changed_shape():
    with pytest.raises(ValueError, match="each of the 4 bonds along x of shape"):
        Device(**UNEVEN).changed(shape=5)


@pytest.mark.parametrize(
    ("arguments", "named", "told"),
    [
        ((), {"sd_exchange": 0.1}, "shape"),
        ((7,), {}, "sd_exchange"),
        ((7,), {"sd_exchange": 0.1, "J_sd": 0.1}, "J_sd"),
        ((7, 0.1), {}, "positional"),
    ],
)
def test_wrong_calls_are_told_by_the_name_that_users_wrote(arguments, named, told):
    with pytest.raises(TypeError, match=rf"^Device\(\) .*{told}"):
        Device(*arguments, **named)


WRONG = {
    "text": "x",
    "shape": np.zeros(5),
    "ragged": [[1], [2, 3]],
    "complex": 1j,
    "dict": {},
    "bool": True,
}


@pytest.mark.parametrize("wrong", [*WRONG, "nan"])
@pytest.mark.parametrize("shape", [(3,), (2, 2)], ids=str)
def test_every_door_names_the_array_that_does_not_fit(shape, wrong):
    device, m, zero = Device(shape, sd_exchange=0.4), np.zeros((*shape, 3)), np.zeros(shape)
    m[..., 2] = 1.0
    still, moving = {"m": m, "potential": zero}, {"m": m, "mdot": 0 * m, "potential": zero, "potential_rate": zero}
    doors = dict.fromkeys(("spin_density", "lead_currents", "currents", "spin_balance"), moving)
    doors |= dict.fromkeys(("freeze", "moving_leads", "bias_response"), still)
    doors |= {"torkance": still | {"reference": np.ones(3)}}
    doors |= dict.fromkeys(("transmission", "density_of_states"), still | {"energy": 0.1})
    for door, arguments in doors.items():
        for key, right in arguments.items():
            given = np.full(np.shape(right), np.nan) if wrong == "nan" else WRONG[wrong]
            if key == "energy" and wrong == "shape":
                continue  # energies may be an array of any shape
            with pytest.raises(ValueError, match=rf"^{key}( =|:)"):
                getattr(device, door)(**arguments | {key: given})
    for door in (device.at_voltages, device.moving_leads(m).response):
        with pytest.raises(ValueError, match=r"voltages|rates"):
            door(np.full(2, np.nan) if wrong == "nan" else WRONG[wrong])


def test_values_that_are_not_finite_are_told_with_their_place():
    m = np.zeros((3, 3))
    m[1, 2] = np.inf
    with pytest.raises(ValueError, match=r"m: expected finite values of shape \(3, 3\), got inf at \[1, 2\]"):
        Device(3, sd_exchange=0.4).freeze(m)


@pytest.mark.filterwarnings("ignore:all moments have the length 2")
@pytest.mark.parametrize("shape", [(3,), (2, 2)], ids=str)
def test_moments_of_another_length_mean_another_local_exchange(shape):
    rng = np.random.default_rng(5)
    m, mdot = rng.normal(size=(2, *shape, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    one, other = (Device(shape, sd_exchange=J, temperature=0.1) for J in (0.4, 0.8))
    leads = [Lead("left", voltage=0.2), Lead("right")]
    long, strong = one.spin_density(2 * m, 2 * mdot), other.spin_density(m, mdot)
    for part in ("adiabatic", "sea", "surface"):
        assert np.allclose(getattr(long, part), getattr(strong, part), atol=1e-12)
    biased, alike = one.changed(leads=leads).spin_density(2 * m), other.changed(leads=leads).spin_density(m)
    assert np.allclose(biased.bias, alike.bias, atol=1e-12)
    # Torques J_sd s x m are those of the same H, in plane and out of plane of the same directions.
    assert np.allclose(one.torkance(2 * m, [1, 0, 0]).in_plane, other.torkance(m, [1, 0, 0]).in_plane, atol=1e-12)
    assert np.allclose(one.spin_balance(2 * m, 2 * mdot), other.spin_balance(m, mdot), atol=1e-12)


def test_moments_of_one_other_length_are_told_once(rng):
    """As they come in units of another program; lengths that differ are exchanges of their own."""
    m = rng.normal(size=(4, 3))
    m /= np.linalg.norm(m, axis=1)[:, None]
    device = Device(4, sd_exchange=0.5)
    device.spin_density(m)
    with pytest.warns(RunWarning, match=r"all moments have the length 2.2: H takes them as they are, .*; divide m by"):
        twice = device.transmission(0.3, 2.2 * m)
    assert device.transmission(0.3, 2.2 * m) == pytest.approx(twice)
    assert Device(4, sd_exchange=1.1).transmission(0.3, m) == pytest.approx(twice, abs=1e-13)
    other = device.changed(fermi_energy=0.1)
    other.spin_density([[0, 0, 1.0], [0, 0, 0], [0, 0, 2.0], [0, 1, 0]])
    other.spin_density(np.zeros((4, 3)))
    device.changed(sd_exchange=0.0).spin_density(3 * m)
