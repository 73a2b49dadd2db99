"""Energy and effective field against loops over sites and finite differences that share no code with the package."""

import numpy as np
import pytest

from llgnegf.magnet import Magnet
from tests.oracles import classical

LATTICES = [
    ((1,), ""),
    ((1,), "x"),
    ((2,), ""),
    ((2,), "x"),
    ((7,), ""),
    ((7,), "x"),
    ((1, 1), "xy"),
    ((1, 5), ""),
    ((1, 5), "xy"),
    ((5, 1), ""),
    ((5, 1), "x"),
    ((2, 3), "xy"),
    ((3, 5), ""),
    ((3, 5), "x"),
    ((5, 3), "y"),
    ((4, 3), "xy"),
]
TERMS = {
    "exchange": {"exchange": 1.3},
    "bulk": {"dmi": 0.7},
    "interfacial": {"dmi": -0.4, "dmi_kind": "interfacial"},
    "easy x": {"anisotropy": 0.6, "easy_axis": (1, 0, 0)},
    "easy y": {"anisotropy": 0.6, "easy_axis": (0, 1, 0)},
    "easy z": {"anisotropy": -0.6, "easy_axis": (0, 0, 1)},
    "hard": {"hard_anisotropy": 0.5, "hard_axis": (1, 2, -2)},
    "field": {"field": (0.1, -0.2, 0.3), "spin": 2.5},
}
ALL = {
    "spin": 1.7,
    "exchange": 1.3,
    "dmi": 0.7,
    "anisotropy": 0.6,
    "easy_axis": (1, -2, 3),
    "hard_anisotropy": 0.4,
    "hard_axis": (0, 1, 1),
    "field": (0.1, -0.2, 0.3),
}
TERMS["all"] = ALL
TERMS["all, interfacial"] = ALL | {"dmi_kind": "interfacial"}


@pytest.fixture(params=LATTICES, ids=str)
def lattice(request):
    return request.param


@pytest.fixture(params=TERMS.values(), ids=TERMS.keys())
def terms(request):
    return request.param


def random_moments(rng, shape):
    m = rng.normal(size=(*shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def test_energy_by_term(lattice, terms, rng):
    shape, periodic = lattice
    m = random_moments(rng, shape)
    magnet = Magnet(shape, periodic=periodic, **terms)
    expected = classical.energies(m, periodic=periodic, **terms)
    assert magnet.energies(magnet.pack(m)) == pytest.approx(expected, rel=1e-13, abs=1e-13)


def test_field_is_minus_the_gradient_of_the_energy(lattice, terms, rng):
    shape, periodic = lattice
    m = random_moments(rng, shape)
    magnet = Magnet(shape, periodic=periodic, **terms)
    b = magnet.effective_field(magnet.pack(m))
    np.testing.assert_allclose(magnet.unpack(b), classical.field(m, periodic=periodic, **terms), rtol=1e-11, atol=1e-11)
    magnet.unpack(b)[...] = 0.0
    assert not b.any()  # ghosts


def test_field_is_minus_the_gradient_of_its_own_energy(lattice, rng):
    """The same without the oracle: a directional derivative of the package's energy."""
    shape, periodic = lattice
    magnet = Magnet(shape, periodic=periodic, **ALL)
    m, direction = random_moments(rng, shape), random_moments(rng, shape)
    rise = [magnet.energies(magnet.pack(m + h * direction))["classical"] for h in (0.5, -0.5)]
    b = magnet.unpack(magnet.effective_field(magnet.pack(m)))
    assert rise[0] - rise[1] == pytest.approx(-np.sum(b * direction), rel=1e-11)


def test_local_energy_change_equals_global(rng):
    """Turning one moment costs -(m' - m).B minus the anisotropy's second order, whatever the rest does."""
    magnet = Magnet((5, 4), periodic="xy", **ALL)
    m = random_moments(rng, (5, 4))
    y = magnet.pack(m)
    b = magnet.unpack(magnet.effective_field(y))
    for site in [(0, 0), (4, 3), (2, 1)]:
        turned = m.copy()
        turned[site] = random_moments(rng, ())
        change = turned[site] - m[site]
        second_order = classical.energies(change[None], **ALL)["anisotropy"]
        expected = -change @ b[site] + second_order
        actual = magnet.energies(magnet.pack(turned))["classical"] - magnet.energies(y)["classical"]
        assert actual == pytest.approx(expected, rel=1e-11)


def test_vacancies_and_open_edges_are_the_same(rng):
    """A lattice whose last row is vacant is a smaller lattice."""
    m = random_moments(rng, (4, 5))
    m[3] = 0.0
    large, small = Magnet((4, 5), **ALL), Magnet((3, 5), **ALL)
    y, z = large.pack(m), small.pack(m[:3])
    assert large.energies(y) == pytest.approx(small.energies(z), rel=1e-13)
    np.testing.assert_array_equal(large.unpack(large.effective_field(y))[:3], small.unpack(small.effective_field(z)))


def test_chain_is_a_square_lattice_one_site_wide(rng):
    m = random_moments(rng, (6,))
    chain, square = Magnet((6,), **ALL), Magnet((6, 1), **ALL)
    b = chain.unpack(chain.effective_field(chain.pack(m)))
    np.testing.assert_allclose(b, square.unpack(square.effective_field(square.pack(m[:, None])))[:, 0], rtol=1e-14)


def test_bulk_and_interfacial_dmi_favour_their_spirals():
    """D > 0 bulk: E falls for a Bloch spiral along x turning from y to -z; interfacial: in the z-x plane."""
    q = 2 * np.pi * np.arange(8) / 8
    zero = np.zeros(8)
    bulk = np.stack([zero, np.cos(q), -np.sin(q)], axis=-1)
    cycloid = np.stack([-np.sin(q), zero, np.cos(q)], axis=-1)
    for kind, m in (("bulk", bulk), ("interfacial", cycloid)):
        magnet = Magnet((8,), periodic=True, dmi=0.5, dmi_kind=kind)
        assert magnet.energies(magnet.pack(m))["dmi"] == pytest.approx(-8 * 0.5 * np.sin(2 * np.pi / 8))


def test_static_wall_energy():
    """Continuum: a wall of width sqrt(J/2K) costs 2 sqrt(2JK) above the uniform state."""
    exchange, anisotropy, n = 1.0, 0.002, 401
    width = np.sqrt(exchange / (2 * anisotropy))
    x = (np.arange(n) - n // 2) / width
    m = np.stack([1 / np.cosh(x), 0 * x, np.tanh(x)], axis=-1)
    magnet = Magnet((n,), exchange=exchange, anisotropy=anisotropy)
    wall = magnet.energies(magnet.pack(m))["classical"]
    uniform = magnet.energies(magnet.pack(np.tile([0.0, 0.0, 1.0], (n, 1))))["classical"]
    assert wall - uniform == pytest.approx(2 * np.sqrt(2 * exchange * anisotropy), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0,)}, r"shape = \(0,\)"),
        ({"shape": (2, 2, 2)}, r"shape = \(2, 2, 2\)"),
        ({"shape": (2.5,)}, r"shape = \(2.5,\)"),
        ({"easy_axis": (0, 0, 0)}, r"easy_axis = \(0, 0, 0\): an axis cannot be the zero vector"),
        ({"hard_axis": (0, 0, 0)}, r"hard_axis = \(0, 0, 0\)"),
        ({"field": (0, 1)}, r"field = \(0, 1\): 3 finite numbers"),
        ({"spin": 0.0}, r"spin = 0.0: a number above 0"),
        ({"damping": -0.1}, r"damping = -0.1: a number not below 0"),
        ({"exchange": float("nan")}, r"exchange = nan"),
        ({"dmi_kind": "neel"}, r"dmi_kind = 'neel'"),
        ({"periodic": "y"}, r"periodic = 'y': allowed on a chain are False, True, 'x'"),
        ({"shape": (2, 2), "periodic": "z"}, r"periodic = 'z'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Magnet(**({"shape": (3,)} | arguments))


def test_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"shape \(4, 3\) does not fit this lattice: pass shape \(3, 3\)"):
        Magnet((3,)).pack(np.zeros((4, 3)))


def test_axes_are_normalised(rng):
    m = random_moments(rng, (3,))
    one, two = (Magnet((3,), anisotropy=1.0, easy_axis=axis) for axis in ((0, 0.6, 0.8), (0, 3, 4)))
    assert one.energies(one.pack(m)) == pytest.approx(two.energies(two.pack(m)), rel=1e-14)
