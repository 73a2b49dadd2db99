"""Measures of textures whose charge, wall and centre are known beforehand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from textures import (
    bloch_wall,
    neel_wall,
    random,
    skyrmion,
    skyrmion_center,
    spiral,
    thresholded_center,
    topological_charge,
    uniform,
    wall_position,
    wall_tilt,
)
from textures.frame import plane_axes

TINY = [(1,), (2,), (1, 1), (1, 2), (2, 1), (1, 7), (7, 1), (2, 2), (2, 5)]
seeds = st.integers(0, 2**32 - 1)


def nan_pair(r):
    return r.shape == (2,) and np.isnan(r).all()


# --- topological charge ---


def test_one_octant_is_an_eighth_of_the_sphere():
    # Triangles (x, y, z), area pi/2 and anticlockwise as its sites are, and (x, z, z), area 0.
    m = np.array([[[1.0, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1]]])
    assert topological_charge(m) == pytest.approx(1 / 8, abs=1e-15)
    assert topological_charge(m.transpose(1, 0, 2)) == pytest.approx(-1 / 8, abs=1e-15)


@given(
    x=st.floats(11.0, 20.0),
    y=st.floats(11.0, 16.0),
    radius=st.floats(2.5, 5.0),
    helicity=st.floats(-7, 7),
    charge=st.sampled_from([-1, 1]),
    periodic=st.sampled_from(["", "x", "y", "xy"]),
)
def test_skyrmion_carries_its_charge(x, y, radius, helicity, charge, periodic):
    m = skyrmion((32, 28), (x, y), radius, 1.0, helicity, charge)
    q = topological_charge(m, periodic)
    assert q == pytest.approx(charge, abs=0.005)  # the tails that open edges cut
    if periodic == "xy":
        assert q == pytest.approx(charge, abs=1e-12)


def test_charge_of_a_belavin_polyakov_skyrmion_is_the_sphere_less_its_cap():
    """Stereographic: within radius L of the centre the moments cover all but the cap, charge L^2/(L^2 + R^2)."""
    n, R = 201, 12.0
    x, y = np.meshgrid(np.arange(n) - 100.0, np.arange(n) - 100.0, indexing="ij")
    rr = x**2 + y**2
    m = np.stack([2 * R * x, 2 * R * y, rr - R**2], axis=-1) / (rr + R**2)[..., None]
    # On the square |x|, |y| < L: (R^2/pi) int dx dy/(r^2 + R^2)^2
    L = 100.0
    covered = (4 / math.pi) * L / math.sqrt(L**2 + R**2) * math.atan(L / math.sqrt(L**2 + R**2))
    assert topological_charge(m) == pytest.approx(-covered, abs=1e-5)


@given(seed=seeds, nx=st.integers(1, 6), ny=st.integers(1, 6))
def test_any_texture_on_a_torus_has_integer_charge(seed, nx, ny):
    q = topological_charge(random((nx, ny), seed), "xy")
    assert q == pytest.approx(round(q), abs=1e-12)


@given(seed=seeds, nx=st.integers(3, 12), ny=st.integers(3, 12))
def test_smooth_texture_on_a_torus_has_integer_charge(seed, nx, ny):
    a, b = 2 * np.pi * np.arange(nx)[:, None] / nx, 2 * np.pi * np.arange(ny)[None, :] / ny
    waves = np.stack([np.cos(a) + 0 * b, np.sin(a) + 0 * b, np.cos(b) + 0 * a, np.sin(b) + 0 * a, 1 + 0 * a * b])
    m = np.einsum("ck,kxy->xyc", np.random.default_rng(seed).normal(size=(3, 5)), waves)
    q = topological_charge(m / np.linalg.norm(m, axis=-1, keepdims=True), "xy")
    assert q == pytest.approx(round(q), abs=1e-12)


@given(seed=seeds, periodic=st.sampled_from(["", "x", "y", "xy"]))
def test_charge_does_not_see_a_rotation_and_sees_a_reflection(seed, periodic):
    m = random((5, 4), seed)
    q = topological_charge(m, periodic)
    turned = m @ Rotation.from_quat(np.random.default_rng(seed).normal(size=4)).as_matrix().T
    assert topological_charge(turned, periodic) == pytest.approx(q, abs=1e-9)
    assert topological_charge(-m, periodic) == pytest.approx(-q, abs=1e-9)
    assert topological_charge(m * (1, -1, 1), periodic) == pytest.approx(-q, abs=1e-9)


def test_charge_adds_over_a_seam():
    """Closing an axis is the same as repeating the first row by hand."""
    m = random((4, 5), seed=11)
    assert topological_charge(m, "x") == topological_charge(np.concatenate([m, m[:1]]))
    assert topological_charge(m, "y") == topological_charge(np.concatenate([m, m[:, :1]], axis=1))


def test_vacancies_take_only_their_triangles_out():
    m = skyrmion((20, 20), (9.5, 9.5), 4.0, 1.0)
    m[0, :] = 0.0
    assert topological_charge(m) == pytest.approx(-1.0, abs=0.005)
    assert topological_charge(np.zeros((3, 3, 3)), "xy") == 0.0
    b = np.array([0.6, 0.8, 0.0]) * (1 + 1e-15)  # so that 1 + b.(-b) < 0
    assert topological_charge(np.array([[0 * b, b], [-b, b]])) == 0.0


@pytest.mark.parametrize("m", [uniform((4, 4), (1, 1, 0)), spiral((8, 4), 8), random((9,), 1), random((1, 9), 1)])
def test_textures_without_charge(m):
    assert topological_charge(m) == 0.0


# --- walls ---


def tanh_wall(n, center, width, easy_axis, azimuth=0.3, side=1):
    e1, e2, k = plane_axes(easy_axis)
    polar = 2 * np.arctan(np.exp(side * (np.arange(n) - center) / width))[:, None]
    return np.cos(polar) * k + np.sin(polar) * (math.cos(azimuth) * e1 + math.sin(azimuth) * e2)


@given(
    center=st.floats(1.0, 17.0),
    width=st.floats(0.5, 20.0),
    azimuth=st.floats(-3.1, 3.1),
    side=st.sampled_from([-1, 1]),
    axis=st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1), (1, -2, 2)]),
)
def test_position_and_tilt_of_a_tanh_wall_are_exact(center, width, azimuth, side, axis):
    m = tanh_wall(19, center, width, axis, azimuth, side)
    assert wall_position(m, axis) == pytest.approx(center, abs=1e-9)
    assert wall_tilt(m, axis) == pytest.approx(azimuth, abs=1e-9)


@given(center=st.floats(0.0, 8.0), width=st.floats(0.01, 5.0))
def test_position_of_the_wall_states(center, width):
    for m in (bloch_wall((9,), center, width), neel_wall((9,), center, width), neel_wall((9, 3), center, width)):
        assert wall_position(m) == pytest.approx(center, abs=1e-9)
    m = neel_wall((9,), center, width, orientation="kishine")
    assert wall_position(m, (1, 0, 0)) == pytest.approx(center, abs=1e-9)


@pytest.mark.parametrize(("axis", "reference"), [((0, 0, 1), 0), ((1, 0, 0), 1), ((0, 1, 0), 2)])
@pytest.mark.parametrize("angle", [0.4, -2.5])
def test_tilt_counts_right_handed_from_the_next_axis(axis, reference, angle):
    """Turning the whole wall about the easy axis turns the tilt by as much; it starts along the next axis."""
    k = np.array(axis, dtype=float)
    in_plane = np.eye(3)[reference]
    m = tanh_wall(9, 4.0, 1.0, axis, azimuth=0.0)
    np.testing.assert_allclose(m[4], in_plane, atol=1e-12)
    assert wall_tilt(m, axis) == pytest.approx(0.0, abs=1e-12)
    turned = Rotation.from_rotvec(angle * k).apply(m)
    assert wall_tilt(turned, axis) == pytest.approx(angle, abs=1e-12)
    assert wall_tilt(turned, -k) == pytest.approx(-angle, abs=1e-12)


def test_tilt_of_the_wall_states():
    assert wall_tilt(bloch_wall((21,), 10.0, 1.5)) == pytest.approx(math.pi / 2, abs=1e-6)
    assert wall_tilt(neel_wall((21, 2), 10.0, 1.5)) == pytest.approx(math.pi / 2, abs=1e-12)
    assert wall_tilt(neel_wall((21,), 10.0, 1.5, "kishine"), (1, 0, 0)) == pytest.approx(0.0, abs=1e-12)


def two_walls():
    """Walls at 9.3 (tilt 0.2) and 40.6 (tilt -1.1)."""
    first, second = tanh_wall(60, 9.3, 1.2, (0, 0, 1), 0.2), tanh_wall(60, 40.6, 1.2, (0, 0, 1), -1.1, side=-1)
    return np.where(np.arange(60)[:, None] < 25, first, second)


@pytest.mark.parametrize(
    ("near", "position", "tilt"),
    [(None, 9.3, 0.2), (0.0, 9.3, 0.2), (24.0, 9.3, 0.2), (26.0, 40.6, -1.1), (99, 40.6, -1.1)],
)
def test_one_of_several_walls(near, position, tilt):
    assert wall_position(two_walls(), near=near) == pytest.approx(position, abs=1e-9)
    assert wall_tilt(two_walls(), near=near) == pytest.approx(tilt, abs=1e-9)


def test_slanted_wall_is_averaged_over_the_rows_that_have_it():
    rows = [tanh_wall(20, c, 1.0, (0, 0, 1)) for c in (7.0, 8.5, 9.8)] + [uniform((20,))]
    assert wall_position(np.stack(rows, axis=1)) == pytest.approx((7.0 + 8.5 + 9.8) / 3, abs=1e-9)
    assert wall_tilt(np.stack(rows, axis=1)) == pytest.approx(0.3, abs=1e-9)


def test_wall_across_a_vacancy():
    m = tanh_wall(12, 5.4, 2.0, (0, 0, 1))
    m[5] = 0.0
    assert wall_position(m) == pytest.approx(5.4, abs=1e-9)
    m[0:5] = 0.0
    assert math.isnan(wall_position(m))


@pytest.mark.parametrize(
    ("m_z", "position"),
    [
        ([1, 1, -1, -1], 1.5),
        ([1, 0, -1, -1], 1.0),
        ([1, 0, 0, -1], 1.5),
        ([0, -1], 0.0),
        ([1, 0], 1.0),
        ([1, 0, 1], math.nan),
        ([0, 0, 1], math.nan),
        ([0, 0], math.nan),
        ([1, 1], math.nan),
        ([1], math.nan),
    ],
)
def test_saturated_and_in_plane_sites(m_z, position):
    m = np.array([[0, 1 - abs(z), z] for z in m_z], dtype=float)
    assert wall_position(m) == pytest.approx(position, nan_ok=True)
    hard_wall = all(m_z) or math.isnan(position)
    assert wall_tilt(m) == pytest.approx(math.nan if hard_wall else math.pi / 2, nan_ok=True)


# --- skyrmion centre ---

inside = st.tuples(st.floats(13.0, 18.0), st.floats(12.0, 25.0))


@given(center=inside, radius=st.floats(3.0, 7.0), helicity=st.floats(-4, 4), charge=st.sampled_from([-1, 1]))
def test_center_of_a_skyrmion_anywhere_between_sites(center, radius, helicity, charge):
    m = skyrmion((32, 38), center, radius, 1.5, helicity, charge)
    for r in (skyrmion_center(m), skyrmion_center(m, charge), skyrmion_center(m, charge, near=(0, 0))):
        # The edge of the core runs between sites: up to 0.034 seen over 6000 draws.
        np.testing.assert_allclose(r, center, rtol=0, atol=0.035)
    np.testing.assert_allclose(thresholded_center(m), center, rtol=0, atol=0.05)


def test_center_by_symmetry():
    for center in [(10, 12), (10.5, 12.5)]:
        m = skyrmion((22, 26), center, 4.0, 1.5)
        np.testing.assert_allclose(skyrmion_center(m), center, rtol=0, atol=1e-12)
        np.testing.assert_allclose(thresholded_center(m), center, rtol=0, atol=1e-12)


def test_center_follows_a_moving_skyrmion_without_jumps():
    step = 1e-4
    x = [skyrmion_center(skyrmion((30, 30), (14.0 + step * n, 14.3), 5.0, 2.0))[0] for n in range(2000)]
    assert np.abs(np.diff(x) - step).max() < 0.5 * step


def test_a_detached_spot_does_not_move_the_center():
    m = skyrmion((30, 24), (12.3, 11.6), 5.0, 1.0)
    clean, plain = skyrmion_center(m), thresholded_center(m)
    m[27:29, 2:4] = (0, 0, -1)  # a spot after the core in the order of the sites, and one before it
    m[1, 20] = (0, 0, -1)
    np.testing.assert_allclose(skyrmion_center(m), clean, rtol=0, atol=1e-13)
    assert np.hypot(*(thresholded_center(m) - plain)) > 0.5
    np.testing.assert_allclose(skyrmion_center(m, near=(26, 5)), (27.5, 2.5), rtol=0, atol=1e-13)


def test_thresholded_center_by_hand():
    m = uniform((5, 4))
    m[1, 1], m[3, 2], m[4, 3] = (0, 0, -1), (0.8, 0, -0.6), (math.sqrt(1 - 0.05**2), 0, -0.05)  # the last one is above
    expected = (np.array([1, 1]) * 0.9 + np.array([3, 2]) * 0.5) / 1.4
    np.testing.assert_allclose(thresholded_center(m), expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(thresholded_center(-m), expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(thresholded_center(m, threshold=-0.7), (1, 1), rtol=0, atol=1e-14)


@given(shift=st.tuples(st.integers(0, 29), st.integers(0, 23)))
def test_center_on_a_torus_moves_with_the_lattice(shift):
    m = skyrmion((30, 24), (12.3, 11.6), 4.0, 1.0)
    center = skyrmion_center(m)
    moved = np.roll(m, shift, axis=(0, 1))
    expected = (center + shift) % (30, 24)
    np.testing.assert_allclose(skyrmion_center(moved, -1, periodic="xy"), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(skyrmion_center(moved, periodic="xy", near=center + shift), expected, rtol=0, atol=1e-9)
    moved = np.roll(m, shift[1], axis=1)
    expected = np.array([center[0], (center[1] + shift[1]) % 24])
    np.testing.assert_allclose(skyrmion_center(moved, periodic="y"), expected, rtol=0, atol=1e-9)


def test_no_skyrmion():
    for m in (uniform((5, 4)), uniform((5, 4), (1, 0, 0)), random((5,), 1), uniform((1, 1))):
        assert nan_pair(skyrmion_center(m))
        assert nan_pair(thresholded_center(m))
    assert nan_pair(skyrmion_center(uniform((5, 4)), charge=-1))
    np.testing.assert_array_equal(skyrmion_center(uniform((1, 1)), charge=1), (0, 0))


# --- all of them ---


@pytest.mark.parametrize("shape", TINY)
@pytest.mark.parametrize("seed", range(5))
def test_small_lattices_give_numbers_or_nan(shape, seed):
    states = [random(shape, seed), uniform(shape), uniform(shape, (1, 0, 0)), np.zeros((*shape, 3))]
    states.append(random(shape, seed) * (np.arange(shape[0]) % 2).reshape(-1, *[1] * len(shape)))
    for m in states:
        for periodic in ("", "x", "y", "xy"):
            assert math.isfinite(topological_charge(m, periodic))
            assert skyrmion_center(m, periodic=periodic).shape == (2,)
        for axis in np.eye(3):
            assert isinstance(wall_position(m, axis, near=0.5), float)
            assert isinstance(wall_tilt(m, axis), float)
        assert skyrmion_center(m, 1, near=(0, 0)).shape == (2,)
        assert thresholded_center(m, charge=-1).shape == (2,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: topological_charge(np.zeros((2, 2))), r"m must have shape \(nx, 3\) or \(nx, ny, 3\), got \(2, 2\)"),
        (lambda: wall_position(np.zeros((0, 3))), r"m must have shape .*got \(0, 3\)"),
        (lambda: skyrmion_center(np.zeros((4, 2, 2, 3))), r"m must have shape .*got \(4, 2, 2, 3\)"),
        (lambda: topological_charge(uniform((2, 2)), "yx"), r"periodic must be one of '', 'x', 'y', 'xy', got 'yx'"),
        (lambda: wall_tilt(uniform((2,)), (0, 0, 0)), r"easy_axis must be a vector other than zero, got \(0, 0, 0\)"),
        (lambda: wall_position(uniform((2,)), near=math.nan), r"near must be a number .*got nan"),
        (lambda: skyrmion_center(uniform((2, 2)), charge=0), r"charge must be one of -1, 1, got 0"),
        (lambda: skyrmion_center(uniform((2, 2)), near=1.0), r"near must be 2 numbers .*got 1\.0"),
        (lambda: thresholded_center(uniform((2, 2)), -1.5), r"threshold must be a number from -1 to 1, got -1\.5"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- rings ---


def walls_on_a_ring(n, first, second, width=2.0, tilt=0.3):
    """A ring of n sites, up except between the walls `first` (+ to -, towards larger x) and `second` (- to +)."""
    x = np.arange(n)

    def away(center):
        return (x - center + n / 2) % n - n / 2

    # The nearer wall decides; halfway between them both are uniform.
    falling = abs(away(first)) <= abs(away(second))
    u = np.where(falling, -away(first), away(second)) / width
    across = 1 / np.cosh(u)
    return np.stack([across * np.cos(tilt), across * np.sin(tilt), np.tanh(u)], axis=-1)


@pytest.mark.parametrize("first", [0.0, 0.3, 12.7, 39.2, 39.7, 39.999, 20.0])
def test_a_wall_on_a_ring_is_found_wherever_it_is(first):
    """The wall from + to - is the one that counts, also between the last and the first site, and in [0, n)."""
    n, tilt = 40, 0.3
    m = walls_on_a_ring(n, first, (first + 20) % n, tilt=tilt)
    found = wall_position(m, periodic="x")
    assert 0 <= found < n
    assert abs((found - first + n / 2) % n - n / 2) < 1e-9
    assert wall_tilt(m, periodic="x") == pytest.approx(tilt, abs=1e-12)
    # The other one is found by what it is near to, around the ring too.
    assert wall_position(m, near=first + 20 - n, periodic="x") == pytest.approx((first + 20) % n, abs=1e-9)


def test_rows_of_a_ring_average_over_its_seam():
    rows = [walls_on_a_ring(40, c % 40, (c + 20) % 40) for c in (39.8, 40.2, 40.3)]
    found = wall_position(np.stack(rows, axis=1), periodic="x")
    assert found == pytest.approx(0.1, abs=1e-9)


def test_the_tilt_of_a_wall_on_a_ring_is_not_that_of_the_other():
    m = walls_on_a_ring(40, 39.9, 19.9, tilt=0.3)
    m[10:30, :2] = -m[10:30, :2]  # the other wall points the other way
    assert wall_tilt(m, periodic="x") == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize("periodic", ["", "y"])
def test_open_lines_are_as_they_were(periodic):
    m = walls_on_a_ring(40, 39.7, 19.7)
    assert wall_position(m, periodic=periodic) == pytest.approx(19.7, abs=1e-9)


def test_rings_without_walls_and_wrong_axes():
    assert math.isnan(wall_position(uniform((5,), (0, 0, 1)), periodic="x"))
    assert math.isnan(wall_position(uniform((5,), (1, 0, 0)), periodic="x"))
    assert math.isnan(wall_tilt(uniform((5,), (0, 0, 1)), periodic="x"))
    for measure in (wall_position, wall_tilt, thresholded_center):
        with pytest.raises(ValueError, match="periodic"):
            measure(uniform((5,), (0, 0, 1)), periodic="z")


@pytest.mark.parametrize("center", [(0.2, 5.0), (15.8, 11.7), (7.0, 6.0)])
def test_centre_of_all_reversed_sites_across_the_seam(center):
    m = skyrmion((16, 12), center, 2.5, 0.8, 0.0, -1) if center == (7.0, 6.0) else None
    if m is None:
        middle = skyrmion((16, 12), (8.0, 6.0), 2.5, 0.8, 0.0, -1)
        shift = np.round(np.subtract(center, (8.0, 6.0))).astype(int)
        center, m = (np.add((8.0, 6.0), shift) % (16, 12)), np.roll(middle, tuple(shift), axis=(0, 1))
    found = thresholded_center(m, periodic="xy")
    assert np.all((found >= 0) & (found < (16, 12)))
    assert np.abs((found - center + 6) % (16, 12) - 6) == pytest.approx(0, abs=1e-9)
