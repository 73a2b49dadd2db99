"""The LLG velocity and its motions against loops over sites and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import integrators
from llgnegf.magnet import Magnet
from tests.magnet.test_energy import ALL, LATTICES, random_moments
from tests.oracles import classical

CURRENT = {"zhang_li_velocity": (0.3, -0.2), "zhang_li_beta": 0.15}


def integrate(magnet, m, duration, dt, method="rk4", normalize=True, watch=None):
    step = integrators.get(method).step
    y = magnet.pack(m)
    for n in range(round(duration / dt)):
        y = step(lambda t, y: magnet.velocity(y), n * dt, y, dt)
        if normalize:
            magnet.normalize(y)
        if watch is not None:
            watch(y)
    return magnet.unpack(y).copy()


def assert_ghosts_right(magnet, y):
    assert np.array_equal(y, magnet.pack(magnet.unpack(y)))


def with_vacancies(rng, shape):
    m = random_moments(rng, shape)
    m[rng.random(shape) < 0.2] = 0.0
    return m


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
@pytest.mark.parametrize("current", [{}, CURRENT], ids=["field", "field and current"])
@pytest.mark.parametrize("moments", [random_moments, with_vacancies])
def test_velocity_solves_the_llg_equation(lattice, current, moments, rng):
    shape, periodic = lattice
    terms = ALL | current | {"damping": 0.3, "periodic": periodic}
    m, extra = moments(rng, shape), rng.normal(size=(*shape, 3))
    magnet = Magnet(shape, **terms)
    y = magnet.pack(m)
    v = magnet.velocity(y, magnet.pack_vector(extra))
    torque = classical.zhang_li(m, **terms) if current else None
    expected = classical.velocity(m, classical.field(m, **terms) + extra, spin=1.7, damping=0.3, torque=torque)
    np.testing.assert_allclose(magnet.unpack(v), expected, rtol=1e-10, atol=1e-11)
    assert_ghosts_right(magnet, v)
    assert_ghosts_right(magnet, magnet.respond(y, magnet.pack(extra)))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=2).map(tuple),
    kind=st.sampled_from(["bulk", "interfacial"]),
    periodic=st.booleans(),
    numbers=st.lists(st.floats(-2, 2), min_size=5, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_terms_on_any_lattice(shape, kind, periodic, numbers, seed):
    rng = np.random.default_rng(seed)
    terms = dict(zip(("exchange", "dmi", "anisotropy", "hard_anisotropy"), numbers, strict=False))
    terms |= {"dmi_kind": kind, "damping": abs(numbers[4])}
    m = random_moments(rng, shape)
    magnet = Magnet(shape, periodic=periodic, **terms)
    b = classical.field(m, periodic="xy" if periodic else "", **terms)
    v = magnet.unpack(magnet.velocity(magnet.pack(m)))
    np.testing.assert_allclose(v, classical.velocity(m, b, **terms), rtol=1e-9, atol=1e-11)


def test_respond_is_the_part_of_the_velocity_due_to_a_field(rng):
    magnet = Magnet((4, 3), periodic="y", damping=0.2, **ALL)
    y = magnet.pack(random_moments(rng, (4, 3)))
    b, c = (magnet.pack(rng.normal(size=(4, 3, 3))) for _ in range(2))
    np.testing.assert_allclose(magnet.velocity(y, b) - magnet.velocity(y), magnet.respond(y, b), atol=1e-13)
    np.testing.assert_allclose(
        magnet.respond(y, b - 2 * c), magnet.respond(y, b) - 2 * magnet.respond(y, c), atol=1e-13
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_macrospin(axis, damping):
    """In S B along an axis: tan(theta/2) = tan(theta0/2) exp(-alpha b), phi = phi0 + b, b = B t/(1 + alpha^2)."""
    field, spin, time, theta, phi = 0.7, 1.5, 5.0, 1.1, 0.4

    def moment(theta, phi):
        # Cyclic permutation keeps the handedness: counterclockwise about the field.
        return np.roll([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis - 2)

    magnet = Magnet((1,), field=field * np.eye(3)[axis], spin=spin, damping=damping)
    turned = field * time / (1 + damping**2)
    expected = moment(2 * np.arctan(np.tan(theta / 2) * np.exp(-damping * turned)), phi + turned)
    m = integrate(magnet, moment(theta, phi)[None], time, 0.01)
    np.testing.assert_allclose(m[0], expected, atol=1e-9)
    # The same field, handed over from outside.
    bare = Magnet((1,), spin=spin, damping=damping)
    y, b = magnet.pack(m), magnet.pack([spin * field * np.eye(3)[axis]])
    np.testing.assert_allclose(bare.velocity(y, b), magnet.velocity(y), atol=1e-15)


@pytest.mark.parametrize("mode", [-5, -1, 1, 5])
@pytest.mark.parametrize("geometry", ["chain x", "square x", "square y", "interfacial x", "interfacial y"])
def test_magnon_frequency(mode, geometry):
    """omega = [2J(1 - cos k) + 2D sin k + 2K + B]/S for m+ ~ exp(i k r + i omega t), m along the DMI vector."""
    n, spin, exchange, dmi, anisotropy, field, epsilon = 16, 1.5, 1.0, 0.4, 0.3, 0.2, 1e-5
    kind, along = ("interfacial" if geometry.startswith("inter") else "bulk"), geometry[-1]
    axes = {"bulk x": (1, 0, 0), "bulk y": (0, 1, 0), "interfacial x": (0, 1, 0), "interfacial y": (-1, 0, 0)}
    axis = np.array(axes[f"{kind} {along}"], dtype=float)
    first = np.array([0.0, 0.0, 1.0])
    second = np.cross(axis, first)
    k, r = 2 * np.pi * mode / n, np.arange(n)
    m = axis + epsilon * (np.cos(k * r)[:, None] * first + np.sin(k * r)[:, None] * second)
    shape: tuple[int, ...] = (n,)
    if geometry != "chain x":
        shape, m = ((n, 1), m[:, None]) if along == "x" else ((1, n), m[None])
    magnet = Magnet(
        shape,
        periodic=along,
        spin=spin,
        exchange=exchange,
        dmi=dmi,
        dmi_kind=kind,
        anisotropy=anisotropy,
        easy_axis=axis,
        field=field / spin * axis,
    )
    omega = (2 * exchange * (1 - np.cos(k)) + 2 * dmi * np.sin(k) + 2 * anisotropy + field) / spin
    time = 2.0
    final = integrate(magnet, m, time, 0.005).reshape(n, 3)
    amplitude = np.mean((final @ first + 1j * final @ second) * np.exp(-1j * k * r)) / epsilon
    assert amplitude == pytest.approx(np.exp(1j * omega * time), abs=1e-7)


def wall(n, center, width, phi=0.5 * np.pi):
    """Domain wall from -z (left) to +z (right), its centre pointing along the angle phi in the x-y plane."""
    x = (np.arange(n) - center) / width
    return np.stack([np.cos(phi) / np.cosh(x), np.sin(phi) / np.cosh(x), np.tanh(x)], axis=-1)


def drift(magnet, m, settle, measure, dt):
    """Mean velocity of the wall of `wall`, from the sum of m_z, after it has settled."""
    m = integrate(magnet, m, settle, dt)
    start = m[:, 2].sum()
    m = integrate(magnet, m, measure, dt)
    return -(m[:, 2].sum() - start) / 2 / measure, m


def test_static_wall_width():
    """A wall of the wrong width relaxes to tanh(x/Delta), Delta = sqrt(J/2K)."""
    exchange, anisotropy, n = 1.0, 0.01, 121
    magnet = Magnet((n,), exchange=exchange, anisotropy=anisotropy, damping=1.0)
    width = np.sqrt(exchange / (2 * anisotropy))
    m = integrate(magnet, wall(n, n // 2, 0.6 * width), 600.0, 0.3)
    np.testing.assert_allclose(m, wall(n, n // 2, width), atol=3e-3)


@pytest.mark.parametrize("sign", [-1, 1])
def test_walker_velocity_below_breakdown(sign):
    """sin 2 phi = B/(alpha K_hard), v = Delta(phi) B/alpha, Delta(phi) = sqrt(J/2(K + K_hard sin^2 phi))."""
    exchange, anisotropy, hard, damping, n = 1.0, 0.02, 0.02, 0.3, 200
    field = sign * 0.6 * damping * hard
    magnet = Magnet(
        (n,), exchange=exchange, anisotropy=anisotropy, hard_anisotropy=hard, field=(0, 0, field), damping=damping
    )
    start = 130 if sign > 0 else 70  # +z is on the right, so B > 0 drives the wall to the left
    velocity, m = drift(magnet, wall(n, start, 5.0), 600.0, 600.0, 0.25)
    tilt = 0.5 * np.arcsin(field / (damping * hard))
    width = np.sqrt(exchange / (2 * (anisotropy + hard * np.sin(tilt) ** 2)))
    assert velocity == pytest.approx(-width * field / damping, rel=0.01)
    centre = m[np.argmin(np.abs(m[:, 2]))]
    assert abs(centre[0]) == pytest.approx(abs(np.sin(tilt)), rel=0.02)


@pytest.mark.parametrize("axis", [0, 1])
def test_zhang_li_velocity_without_hard_axis(axis):
    """v = u (1 + alpha beta)/(1 + alpha^2), along +u, on either axis."""
    damping, beta, u, n = 0.2, 0.1, 0.2, 160
    current = {"zhang_li_velocity": u * np.eye(2)[axis], "zhang_li_beta": beta, "damping": damping}
    m = wall(n, 50, 5.0)[:, None] if axis == 0 else wall(n, 50, 5.0)[None]
    magnet = Magnet(m.shape[:2], exchange=1.0, anisotropy=0.02, **current)
    velocity, _ = drift(_Line(magnet), m.reshape(n, 3), 20.0, 200.0, 0.2)
    assert velocity == pytest.approx(u * (1 + damping * beta) / (1 + damping**2), rel=0.01)


class _Line:
    """A square lattice one site wide seen as a chain."""

    def __init__(self, magnet):
        self._magnet = magnet
        self.velocity, self.normalize = magnet.velocity, magnet.normalize

    def pack(self, m):
        return self._magnet.pack(m.reshape(*self._magnet.shape, 3))

    def unpack(self, y):
        return self._magnet.unpack(y).reshape(-1, 3)


def test_zhang_li_velocity_below_breakdown():
    """With a hard axis v = beta u/alpha."""
    damping, beta, u = 0.3, 0.75, 0.02
    magnet = Magnet(
        (200,),
        exchange=1.0,
        anisotropy=0.02,
        hard_anisotropy=0.02,
        damping=damping,
        zhang_li_velocity=(u, 0.0),
        zhang_li_beta=beta,
    )
    velocity, _ = drift(magnet, wall(200, 60, 5.0), 600.0, 600.0, 0.25)
    assert velocity == pytest.approx(beta * u / damping, rel=0.01)


@pytest.mark.parametrize("method", integrators.METHODS.values(), ids=integrators.METHODS.keys())
def test_energy_is_conserved_to_the_order_of_the_method(method, rng):
    magnet = Magnet((5, 4), periodic="y", **ALL)
    m = random_moments(rng, (5, 4))
    before = magnet.energies(magnet.pack(m))["classical"]
    steps, drifts = np.array([0.01, 0.005, 0.0025]), []
    for dt in steps:
        final = integrate(magnet, m, 2.0, dt, method.name, normalize=False)
        drifts.append(abs(magnet.energies(magnet.pack(final))["classical"] - before))
    slope = np.polyfit(np.log(steps), np.log(drifts), 1)[0]
    assert slope > method.order - 0.2


@pytest.mark.parametrize("method", integrators.METHODS.values(), ids=integrators.METHODS.keys())
def test_order_of_every_method_on_the_llg(method, rng):
    magnet = Magnet((3, 4), damping=0.1, **ALL)
    m = random_moments(rng, (3, 4))
    exact = integrate(magnet, m, 1.0, 1 / 2000)
    steps = 1.0 / np.array([50, 100, 200])
    errors = [np.linalg.norm(integrate(magnet, m, 1.0, dt, method.name) - exact) for dt in steps]
    assert abs(np.polyfit(np.log(steps), np.log(errors), 1)[0] - method.order) < 0.2


def test_energy_falls_with_damping(rng):
    magnet = Magnet((6, 5), damping=0.2, **ALL)
    energies = []
    integrate(magnet, random_moments(rng, (6, 5)), 5.0, 0.02, watch=lambda y: energies.append(magnet.energies(y)))
    falling = np.array([e["classical"] for e in energies])
    assert np.all(np.diff(falling) < 0.0)


@pytest.mark.parametrize(("shape", "periodic"), LATTICES, ids=str)
def test_vacancies_lengths_and_ghosts_survive_a_run(shape, periodic, rng):
    magnet = Magnet(shape, periodic=periodic, damping=0.1, **ALL, **CURRENT)
    m = with_vacancies(rng, shape)
    vacant = ~m.any(axis=-1)

    def watch(y):
        assert_ghosts_right(magnet, y)
        lengths = np.linalg.norm(magnet.unpack(y), axis=-1)
        np.testing.assert_allclose(lengths[~vacant], 1.0, rtol=1e-15 * 4)
        assert not lengths[vacant].any()

    integrate(magnet, m, 0.5, 0.05, watch=watch)


def test_length_drifts_only_with_the_order_of_the_step(rng):
    """The velocity is across m, so |m| = 1 is lost by truncation alone."""
    magnet = Magnet((4, 4), damping=0.1, **ALL)
    m = integrate(magnet, random_moments(rng, (4, 4)), 0.5, 0.005, normalize=False)
    np.testing.assert_allclose(np.linalg.norm(m, axis=-1), 1.0, atol=1e-8)


def test_normalize_works_in_place(rng):
    magnet = Magnet((3, 4), periodic="xy")
    m = rng.normal(size=(3, 4, 3))
    y = magnet.pack(m)
    assert magnet.normalize(y) is y
    np.testing.assert_allclose(magnet.unpack(y), m / np.linalg.norm(m, axis=-1, keepdims=True), rtol=1e-15 * 4)
    assert_ghosts_right(magnet, y)


def test_unpack_is_a_view(rng):
    for shape in ((4,), (3, 2)):
        magnet = Magnet(shape)
        y = magnet.pack(random_moments(rng, shape))
        assert np.shares_memory(magnet.unpack(y), y)


def test_max_precession_rate():
    magnet = Magnet((2, 2), spin=2.0, field=(0.0, 0.3, 0.4), exchange=5.0)
    m = np.zeros((2, 2, 3))
    m[0, 0] = (0.0, 0.0, 1.0)  # the vacancies feel its exchange field, but nothing turns there
    assert magnet.max_precession_rate(magnet.pack(m)) == pytest.approx(0.5)
