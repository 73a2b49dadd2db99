"""Nested dissection of wide lattices: against dense matrices, and against the sweeps that smaller lattices take."""

import numpy as np
import pytest

from llgnegf.electrons import (
    Bath,
    Device,
    Lead,
    Polarization,
    SpinHopping,
    SpinOrbit,
    nested_dissection,
    nested_sea,
    sea,
)
from llgnegf.electrons.counter import Counter
from llgnegf.electrons.dissection import dissect, least_cost
from llgnegf.electrons.lattice import LatticeSweeps, lattice_bonds
from llgnegf.electrons.nested_dissection import NestedDissection
from llgnegf.electrons.slices import new
from tests.electrons.spin_systems import FERROMAGNETS, ORBIT, errors, motion, system
from tests.electrons.spin_systems import device_of as device_beside

BOTH, LEFT, RIGHT, NONE = (1.0, 0.8), (0.7, 0.0), (0.0, 1.2), (0.0, 0.0)
# nx, ny, periodic, couplings of the leads, largest element of G of a part that is eliminated alone.
SYSTEMS = {
    "one site": (1, 1, False, BOTH, 10.0),
    "one column": (1, 9, False, BOTH, 10.0),
    "one row": (12, 1, "y", BOTH, 10.0),
    "two columns": (2, 7, False, LEFT, 10.0),
    "12 x 9": (12, 9, False, BOTH, 10.0),
    "12 x 9, parts put off": (12, 9, False, BOTH, 0.6),
    "9 x 12 ring": (9, 12, "y", BOTH, 10.0),
    "9 x 12 ring, parts put off": (9, 12, "y", RIGHT, 0.6),
    "ring of two": (11, 2, "y", LEFT, 10.0),
    "ring of three": (7, 3, "y", NONE, 0.6),
    "closed": (8, 7, False, NONE, 10.0),
    "wide": (3, 12, False, BOTH, 0.6),
    "ring of one column": (1, 8, "y", BOTH, 0.6),
    "8 x 7, any bonds": (8, 7, False, BOTH, 10.0),
    "7 x 9 ring, any bonds, parts put off": (7, 9, "y", RIGHT, 0.6),
    "9 x 2 ring, spin-orbit coupling": (9, 2, "y", LEFT, 10.0),
}
ANY = SpinHopping((0.3, 0.1 + 0.2j, -0.25), (0.1j, -0.3, 0.2 + 0.1j))
# What bonds and leads know of the spin, in systems with these words.
OF_SPINS = {"any bonds": {"spin_hopping": ANY}, "spin-orbit coupling": {"spin_orbit": SpinOrbit(0.4, -0.2)}}


def device_of(rng, name, **options):
    nx, ny, periodic, couplings, _ = SYSTEMS.get(name, (8, 7, False, BOTH, 10.0))
    leads = [Lead(side, c) for side, c in zip(("left", "right"), couplings, strict=True) if c]
    hops = rng.uniform(0.4, 1.3, nx - 1)
    hops[4:5] = 0.1  # a weak bond
    for words, bonds in OF_SPINS.items():
        options = (bonds if words in name else {}) | options
    options = {"sd_exchange": 0.7, "fermi_energy": 0.3, "temperature": 0.05, "leads": leads} | options
    return Device((nx, ny), periodic=periodic, bond_hoppings=hops, **options).straight


def texture(rng, shape):
    """Moments, a tenth of them missing, and gates."""
    m = rng.normal(size=(*shape, 3))
    m /= np.linalg.norm(m, axis=-1)[..., None]
    m[rng.random(shape) < 0.1] = 0
    return m, 0.4 * rng.normal(size=shape)


def ways(device, m, potential):
    """The same lattice by sweeps and by nested dissection."""
    given = device, device.hamiltonian_blocks(m, potential), device.spectrum_bounds(m, potential)
    return [LatticeSweeps(*given, Counter(), nested=nested) for nested in (False, True)]


@pytest.fixture(params=SYSTEMS)
def lattice(request, rng, monkeypatch):
    """A lattice by nested dissection."""
    monkeypatch.setattr(nested_dissection, "_LARGEST_PARTIAL", SYSTEMS[request.param][-1])
    monkeypatch.setattr(nested_dissection, "_LEAST_ROOM", 500_000)
    device = device_of(rng, request.param)
    return ways(device, *texture(rng, device.shape))[1]


def dense_inverse(lattice, z):
    """G, and dG/dz = -G (1 - dSigma/dz) G by a difference of the self-energies alone."""
    device = lattice.device
    n, width = 2 * device.n_sites, 2 * device.shape[1]

    def sigma(energy):
        out = np.zeros((n, n), complex)
        for end, lead in zip((slice(0, width), slice(n - width, n)), device.ends, strict=True):
            out[end, end] += lead.self_energy(np.array([energy]))[0]
        return out

    G = np.linalg.inv(z * np.eye(n) - lattice.dense_hamiltonian() - sigma(z))
    step = 2e-4
    slope = (8 * (sigma(z + step) - sigma(z - step)) - sigma(z + 2 * step) + sigma(z - 2 * step)) / (12 * step)
    return G, -G @ (np.eye(n) - slope) @ G


def local(device, matrix):
    """The layout of `slices.Sweep.blocks` with bonds, (nx, 3 or 5, ny, 2, 2), and bonds times the hopping."""
    nx, ny = device.shape
    blocks = matrix.reshape(device.n_sites, 2, device.n_sites, 2)
    site = np.arange(device.n_sites)
    bonds = lattice_bonds(device)
    on_sites = blocks[site, :, site].reshape(nx, 1, ny, 2, 2)
    forth, back = blocks[bonds.starts, :, bonds.ends], blocks[bonds.ends, :, bonds.starts]
    both = [forth - back, forth + back] if device.has_matrices else [forth - back]
    return np.concatenate([on_sites, *(bonds.hops[..., None, None] * over for over in both)], axis=1)


def times_hops(device, blocks):
    """Blocks whose bonds, if any, are multiplied with the hopping, which is 0 where there is no bond."""
    blocks = blocks.copy()
    if blocks.shape[1] > 1:
        for first in range(1, blocks.shape[1], 2):
            blocks[:, first : first + 2] *= lattice_bonds(device).hops[..., None, None]
    return blocks


def far(found, expected):
    """Largest difference over the largest value."""
    return abs(found - expected).max() / abs(expected).max()


Z = 0.37 + 0.11j


def test_blocks_of_g_equal_those_of_the_dense_inverse(lattice):
    G, _ = dense_inverse(lattice, Z)
    factors = lattice.nested.factorize(Z, new, new)
    expected = local(lattice.device, G)
    assert far(times_hops(lattice.device, factors.blocks(True, new)), expected) < 1e-12
    assert far(factors.blocks(False, new), expected[:, :1]) < 1e-12


def test_parts_are_put_off_where_their_green_function_is_large(rng, monkeypatch):
    device = device_of(rng, "12 x 9")
    lattice = ways(device, *texture(rng, device.shape))[1]
    for largest, several in ((10.0, False), (0.6, True)):
        monkeypatch.setattr(nested_dissection, "_LARGEST_PARTIAL", largest)
        monkeypatch.setattr(nested_dissection, "_LEAST_ROOM", 500_000)
        factors = lattice.nested.factorize(Z, new, new)
        assert (factors.put_off.sum() > 3) == several
        assert factors.growth <= largest


def test_log_determinant_is_on_the_branch_of_the_sweeps(lattice):
    sigma = lattice.device.lead_slices((Z,))
    H = lattice.dense_hamiltonian()
    width = 2 * lattice.device.shape[1]
    H[:width, :width] += sigma[0][0]
    H[-width:, -width:] += sigma[1][0]
    # Phases in (0, pi): those of z - H, whose imaginary part is positive definite.
    expected = np.log(np.linalg.eigvals(Z * np.eye(len(H)) - H)).sum()
    assert abs(lattice.log_determinants(np.array([Z]))[0] - expected) < 1e-12 * max(1, abs(expected))


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.slow
def test_columns_of_g_equal_those_of_the_dense_inverse(lattice, rng, adjoint):
    G, _ = dense_inverse(lattice, Z)
    nx, ny = lattice.device.shape
    sources = rng.normal(size=(nx, 2 * ny, 3)) + 1j * rng.normal(size=(nx, 2 * ny, 3))
    kept = sources.copy()
    found = lattice.nested.factorize(Z, new, new).solve(sources, adjoint)
    expected = (G.conj().T if adjoint else G) @ sources.reshape(-1, 3)
    assert far(found.reshape(-1, 3), expected) < 1e-12
    assert np.array_equal(sources, kept)


@pytest.mark.parametrize("columns", [slice(0, None), slice(0, 1), slice(-1, None)])
def test_driven_blocks_equal_dense_products(lattice, rng, columns):
    G, slope = dense_inverse(lattice, Z)
    device = lattice.device
    Y = np.zeros((*device.shape, 2, 2), complex)
    Y[columns] = rng.normal(size=Y[columns].shape) + 1j * rng.normal(size=Y[columns].shape)
    y = np.zeros((device.n_sites, 2, device.n_sites, 2), complex)
    y[np.arange(device.n_sites), :, np.arange(device.n_sites)] = Y.reshape(-1, 2, 2)
    y = y.reshape(G.shape)
    factors = lattice.nested.factorize(Z, new, new)
    change = lattice.nested.slope(factors, new, new)
    for with_bonds in (True, False):
        parts = slice(0, None if with_bonds else 1)
        known, driven = lattice.nested.driven(factors, change, Y, new, with_bonds, everywhere=True)
        _, still = lattice.nested.driven(factors, None, Y, new, with_bonds)
        expected = local(device, slope @ y @ G - G @ y @ slope)[:, parts]
        # The slope of the reference is a difference.
        assert far(times_hops(device, driven), expected) < 1e-9
        assert far(times_hops(device, still), local(device, G @ y @ G)[:, parts]) < 1e-12
        assert far(times_hops(device, known), local(device, G)[:, parts]) < 1e-12


def test_the_hamiltonian_times_columns(lattice, rng):
    nx, ny = lattice.device.shape
    x = rng.normal(size=(nx, 2 * ny, 3)) + 0j
    expected = lattice.dense_hamiltonian() @ x.reshape(-1, 3)
    assert far(lattice.nested.times(x).reshape(-1, 3), expected) < 1e-13
    assert far(lattice.slices.times(x).reshape(-1, 3), expected) < 1e-13


BESIDE_SPINS = {
    "vacancies": [(3, 4), (0, 2), (5, 5), (5, 6)],
    "leads": [
        Lead("left", 0.8, polarization=Polarization((0, 1, 0), 0.9)),
        Lead("right", 1.1, hopping=1.3, polarization=Polarization((1, 0, 1), 0.4)),
    ],
}


@pytest.mark.parametrize(
    ("name", "temperature", "options"),
    [
        ("12 x 9", 0.0, {}),
        ("9 x 12 ring", 0.0, {}),
        ("two columns", 0.05, {}),
        ("8 x 7, any bonds", 0.0, {}),
        ("7 x 9 ring, any bonds, parts put off", 0.0, BESIDE_SPINS),
        ("9 x 2 ring, spin-orbit coupling", 0.05, {}),
        pytest.param("12 x 9", 0.0, BESIDE_SPINS, marks=pytest.mark.slow),
    ],
)
def test_every_part_is_that_of_the_sweeps(rng, name, temperature, options):
    device = device_of(rng, name, temperature=temperature, tolerance=1e-8, **options)
    m, potential = texture(rng, device.shape)
    rate = device.coupling_blocks(np.cross(m, rng.normal(size=m.shape)), rng.normal(size=device.shape))
    sweeps, nested = ways(device, m, potential)
    assert nested.adiabatic == pytest.approx(sweeps.adiabatic, abs=1e-12)
    assert nested.grand_potential == pytest.approx(sweeps.grand_potential, abs=1e-11)
    size = abs(rate).max()
    assert nested.sea(rate).density == pytest.approx(sweeps.sea(rate).density, abs=1e-8 * size)
    assert nested.surface.density(rate) == pytest.approx(sweeps.surface.density(rate), abs=1e-8 * size)
    assert nested.adiabatic_rate(rate) == pytest.approx(sweeps.adiabatic_rate(rate), abs=1e-8 * size)
    assert nested.into_leads(rate, None) == pytest.approx(sweeps.into_leads(rate, None), abs=1e-8 * size)
    flows, expected = nested.flows(rate), sweeps.flows(rate)
    for origin, flow in expected.items():
        assert flows[origin] == pytest.approx(flow, abs=1e-8 * size), origin
    for ask in (lambda one: one.transmission(0.3), lambda one: one.states(0.3)):
        assert ask(nested) == pytest.approx(ask(sweeps), abs=1e-11)
    energies = np.array([0.1, 0.4])
    found, wanted = (vars(one.biased(energies, rate, True)) for one in (nested, sweeps))
    for rows, expected in wanted.items():
        assert found[rows] == pytest.approx(expected, abs=1e-9), rows


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ((4, 3), {"hop_x": ANY.along_x, "hop_y": ANY.along_y, "vacancies": ((1, 1),)} | FERROMAGNETS),
        ((3, 4), {"periodic": True} | ORBIT),
        pytest.param((3, 4), {"hop_x": ANY.along_x, "temperature": 0.05}, marks=pytest.mark.slow),
    ],
)
def test_bonds_that_know_the_spin_as_dense_calculations_have_it(monkeypatch, shape, given):
    monkeypatch.setattr(nested_dissection, "_FEWEST_SITES", 0)
    monkeypatch.setattr(nested_dissection, "_GAIN", np.inf)
    monkeypatch.setattr(nested_dissection, "_GAIN_FOR_MOTION", np.inf)
    oracle = system(1, shape, **given)
    device = device_beside(oracle)
    assert device.freeze(oracle.m, oracle.potential).sweeps.nested.gains_for_motion
    found = errors(oracle)
    assert max(found.values()) < 1e-9, found
    # Flows over the bonds and into the leads, and the torque of the bonds.
    assert abs(device.spin_balance(*motion(oracle))).max() < 1e-9


@pytest.mark.parametrize("keeps", [True, False])
def test_grand_potential_after_a_first_order_is_the_same(rng, monkeypatch, keeps):
    if not keeps:
        monkeypatch.setattr(nested_sea, "KEPT_BYTES", 0)
    device = device_of(rng, "12 x 9")
    m, potential = texture(rng, device.shape)
    rate = device.coupling_blocks(np.cross(m, rng.normal(size=m.shape)), np.zeros(device.shape))
    still, moving = (ways(device, m, potential)[1] for _ in range(2))
    moving.sea(rate)  # gives the equilibrium too
    before = moving.counter.count
    # At the nodes of the rule themselves, not at pairs around them, so that it agrees to rounding.
    assert moving.grand_potential == pytest.approx(still.grand_potential, abs=1e-11)
    assert moving.adiabatic == pytest.approx(still.adiabatic, abs=1e-12)
    assert (moving.counter.count == before) == keeps


@pytest.mark.parametrize("by_nested", [False, True])
def test_the_lattice_without_moments_is_eliminated_once_for_each_energy(rng, by_nested):
    device, fresh, other = (
        device_of(np.random.default_rng(1), "8 x 7" + bonds)
        for bonds in (", any bonds", ", any bonds", ", spin-orbit coupling")
    )
    first, second = (texture(rng, device.shape) for _ in range(2))
    found, kept = [], []
    for one in (first, second, first):
        found.append(ways(device, *one)[by_nested].grand_potential)
        kept.append(len(device.bare_logdets))
    assert found[0] == found[2]
    assert kept[0] >= 5
    assert kept[1] == kept[2]
    # A rule may have a pole on the real axis, where the branch of the logarithm is a matter of rounding.
    assert found[1] == pytest.approx(ways(fresh, *second)[not by_nested].grand_potential, abs=1e-9)
    # Another device knows nothing of these.
    assert ways(other, *first)[by_nested].grand_potential == pytest.approx(
        ways(other, *first)[not by_nested].grand_potential, abs=1e-9
    )


def test_further_motions_use_the_factors_again(rng):
    device = device_of(rng, "12 x 9", temperature=0.0)
    m, potential = texture(rng, device.shape)
    first, second = (device.coupling_blocks(rng.normal(size=m.shape), rng.normal(size=device.shape)) for _ in range(2))
    _, nested = ways(device, m, potential)
    total = nested.sea(first).density
    count = nested.counter.count
    total = total + nested.sea(second).density
    assert nested.counter.count == count
    assert total == pytest.approx(ways(device, m, potential)[1].sea(first + second).density, abs=1e-11)


def test_levels_of_parts_cost_no_digits():
    """Without moments a part of one site, or of a square, has a level at E = 0 exactly."""
    device = Device((13, 13), sd_exchange=0.0, temperature=0.05, fermi_energy=0.0)
    none = np.zeros((13, 13, 3))
    sweeps, nested = ways(device, none, none[..., 0])
    for z in (1e-9j, 1e-4j, 1e-13 + 1e-12j):
        assert nested.nested.factorize(z, new, new).put_off.any()
        G, _ = dense_inverse(sweeps, z)
        assert far(nested.local_blocks(np.array([z]))[0], local(device, G)[:, :1]) < 1e-11
    G, _ = dense_inverse(sweeps, 0j)
    sources = np.eye(26)[None] * np.eye(13)[:, :1, None] + 0j
    found = nested.nested.factorize(0j, new, new).solve(sources)
    assert far(found.reshape(-1, 26), G[:, :26]) < 1e-11


def test_a_level_of_a_closed_lattice_is_left_to_the_sweeps():
    device = Device((3, 3), sd_exchange=0.0, leads=[])
    m = np.zeros((3, 3, 3))
    m[..., 2] = 1
    _, nested = ways(device, m, np.zeros((3, 3)))
    assert nested.nested.factorize(0j, new, new) is None
    assert nested.nested.factorize(0.1 + 0j, new, new) is not None


def test_without_room_for_large_parts_sweeps_take_over(rng, monkeypatch):
    monkeypatch.setattr(nested_dissection, "_ROOM", (0.0,))
    monkeypatch.setattr(nested_dissection, "_LEAST_ROOM", 50)
    device = device_of(rng, "12 x 9")
    m, potential = texture(rng, device.shape)
    rate = device.coupling_blocks(rng.normal(size=m.shape), rng.normal(size=device.shape))
    sweeps, nested = ways(device, m, potential)
    assert nested.nested.factorize(Z, new, new) is None
    assert nested.sea(rate).density == pytest.approx(sweeps.sea(rate).density, abs=1e-7)
    assert nested.grand_potential == pytest.approx(sweeps.grand_potential, abs=1e-7)
    assert ways(device, m, potential)[1].adiabatic == pytest.approx(sweeps.adiabatic, abs=1e-8)
    assert np.array_equal(nested.driven_blocks(np.array([Z]), rate), sweeps.driven_blocks(np.array([Z]), rate))
    assert np.array_equal(nested.transmission(0.3), sweeps.transmission(0.3))


@pytest.mark.parametrize(
    ("name", "fewest"),
    [
        ("8 x 7, any bonds", 0),
        ("two columns", 1000),
        ("9 x 2 ring, spin-orbit coupling", 1000),
        pytest.param("12 x 9", 0, marks=pytest.mark.slow),
        pytest.param("12 x 9", 1000, marks=pytest.mark.slow),
        pytest.param("7 x 9 ring, any bonds, parts put off", 1000, marks=pytest.mark.slow),
    ],
)
def test_nodes_close_to_levels_of_parts(rng, monkeypatch, name, fewest):
    """All nodes are taken for such: by nested dissection on large lattices, by differences on small ones."""
    device = device_of(rng, name, temperature=0.0, tolerance=1e-8)
    m, potential = texture(rng, device.shape)
    given = device, device.hamiltonian_blocks(m, potential), device.spectrum_bounds(m, potential)
    for columns in (slice(0, None), slice(-1, None)):  # the latter from the last column
        rate = device.coupling_blocks(np.cross(m, rng.normal(size=m.shape)), rng.normal(size=device.shape))
        rate[: columns.start] = 0
        usual, nested = ways(device, m, potential)
        with monkeypatch.context() as patch:
            patch.setattr(nested_dissection, "_FEWEST_SITES", fewest)
            patch.setattr(nested_dissection, "_GAIN", 0.0)
            patch.setattr(sea, "_ROUNDING", 1.0)
            near = LatticeSweeps(*given, Counter())
            assert near.nested is None
            flows = near.flows(rate)["sea"]
        expected = (usual if fewest else nested).flows(rate)["sea"]
        assert flows == pytest.approx(expected, abs=1e-12 * abs(rate).max() if not fewest else 1e-8)
        assert (near.counter.count > usual.counter.count) == (not fewest)


@pytest.mark.parametrize("bonds", [{}, {"spin_hopping": ANY}])
def test_a_bath_on_sites(rng, monkeypatch, bonds):
    bath = Bath([(2, 1), (4, 3)], 0.2)
    device = Device((6, 5), sd_exchange=0.6, temperature=0.0, fermi_energy=0.3, bath=bath, **bonds)
    m, potential = texture(rng, device.shape)
    mdot, rate = np.cross(m, rng.normal(size=m.shape)), rng.normal(size=device.shape)
    expected = device.spin_density(m, mdot, potential, rate)
    monkeypatch.setattr(nested_dissection, "_FEWEST_SITES", 0)
    monkeypatch.setattr(nested_dissection, "_GAIN", np.inf)
    monkeypatch.setattr(nested_dissection, "_GAIN_FOR_MOTION", np.inf)
    found = device.spin_density(m, mdot, potential, rate)
    for part in ("adiabatic", "sea", "surface", "density_adiabatic", "density_sea"):
        assert getattr(found, part) == pytest.approx(getattr(expected, part), abs=1e-7), part


@pytest.mark.parametrize("shape", [(1, 1), (7, 4), (30, 17), (5, 40), (64, 3)])
@pytest.mark.parametrize("periodic", [False, True])
def test_every_site_is_eliminated_once_and_every_bond_met_once(shape, periodic):
    nx, ny = shape
    tree = dissect(nx, ny, periodic, (True, False))
    assert sorted(tree.own) == list(range(nx * ny))
    n_bonds = (nx - 1) * ny + nx * (ny if periodic and ny > 1 else ny - 1)
    assert len(tree.bonds) == len(set(tree.bonds[:, 3])) == n_bonds
    assert all(parent > k for k, parent in enumerate(tree.parent[:-1]))
    assert tree.cost == least_cost(nx, ny, periodic, (True, False))


def test_it_is_chosen_by_size():
    def chosen(shape, **options):
        device = Device(shape, sd_exchange=0.5, **options)
        m = np.zeros((*shape, 3))
        lattice = LatticeSweeps(device, device.hamiltonian_blocks(m, m[..., 0]), (-5.0, 5.0), Counter())
        return lattice.nested

    assert chosen((20, 20)) is None
    assert chosen((1000, 8)) is None
    assert chosen((60, 60)) is not None
    assert chosen((60, 60), periodic="y") is not None
    assert chosen((100, 100)).gains_for_motion
    assert chosen((60, 60), spin_orbit=SpinOrbit(0.2)) is not None
    assert chosen((60, 60), vacancies=[(3, 4)]) is not None


def test_cost_and_memory_grow_slower_than_those_of_sweeps():
    both = (True, True)
    assert least_cost(160, 160, False, both) / least_cost(80, 80, False, both) < 9  # a sweep: 16
    device = Device((100, 100), sd_exchange=0.5)
    m = np.zeros((100, 100, 3))
    given = device, device.hamiltonian_blocks(m, m[..., 0]), (-5.0, 5.0), Counter()
    sweeps, nested = (LatticeSweeps(*given, nested=one) for one in (False, True))
    assert nested.working_bytes(0) < sweeps.working_bytes(0)
    assert isinstance(nested.nested, NestedDissection)


@pytest.mark.slow
def test_what_is_lost_close_to_the_real_axis(rng):
    """Closed parts of the lattice have sharp levels there; what their growth costs is what is said of it."""
    device = Device((16, 16), sd_exchange=0.7, fermi_energy=0.3)
    m = rng.normal(size=(16, 16, 3))
    m /= np.linalg.norm(m, axis=-1)[..., None]
    sweeps, nested = ways(device, m, np.zeros((16, 16)))
    for energy in (0.3, 0.7):
        z = energy + 1e-9j
        G = local(device, dense_inverse(sweeps, z)[0])[:, :1]
        factors = nested.nested.factorize(z, new, new)
        assert 1.0 < factors.growth < 10.0
        assert abs(factors.blocks(False, new) - G).max() < 1e-16 * factors.growth**2 * 2 * 16 * 10
        assert abs(sweeps.local_blocks(np.array([z]))[0] - G).max() < 1e-12
