"""Initial states against closed forms written in other terms than the code's."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import textures
from textures import TEXTURES, bloch, bloch_wall, columns, neel, neel_wall, random, skyrmion, spiral, uniform
from textures.frame import plane_axes

SHAPES = [(1,), (2,), (7,), (1, 1), (1, 6), (6, 1), (5, 8)]
EXAMPLES = {
    "uniform": {"direction": (1, 2, -2)},
    "bloch": {"center": 3.0, "width": 0.9, "easy_axis": (0, 1, 2), "chirality": -1},
    "neel": {"center": 3.0, "width": 0.9, "easy_axis": (1, 1, -3)},
    "bloch_wall": {"center": 3.0, "width": 0.9},
    "neel_wall": {"center": 3.0, "width": 0.9, "orientation": "kishine"},
    "skyrmion": {"center": (2.3, 3.1), "radius": 1.5, "wall_width": 0.7},
    "spiral": {"period": 5.5, "normal": (1, 1, 0)},
    "random": {"seed": 7},
}
positions = st.floats(-200, 200)
lengths = st.floats(1e-6, 1e6)


# One direction for each column; its shapes differ.
GIVEN = {"columns": {"directions": [(0, 3, 4), (0, 0, 0), (1e-160, 0, 0)]}}


def test_every_registered_state_is_exported_and_has_an_example_here():
    assert set(EXAMPLES) | set(GIVEN) | {"file"} == set(TEXTURES)
    assert all(function.__name__ in textures.__all__ for function in TEXTURES.values())
    assert all(next(iter(inspect.signature(f).parameters)) == "shape" for f in TEXTURES.values())


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("shape", SHAPES)
def test_unit_moments_of_the_lattice_s_shape(kind, shape):
    if np.size(EXAMPLES[kind].get("center", 0)) > len(shape):
        pytest.skip("needs a square lattice")
    m = TEXTURES[kind](shape, **EXAMPLES[kind])
    assert m.shape == (*shape, 3)
    assert m.dtype == np.float64
    assert m.flags.c_contiguous
    assert m.flags.writeable
    np.testing.assert_allclose(np.linalg.norm(m, axis=-1), 1.0, rtol=0, atol=1e-14)


def test_columns_are_what_was_given():
    expected = [[0, 0.6, 0.8], [0, 0, 0], [1, 0, 0]]
    for shape in ((3,), (3, 1), (3, 4)):
        m = columns(shape, **GIVEN["columns"])
        assert m.shape == (*shape, 3)
        assert m.flags.c_contiguous
        assert m.flags.writeable
        np.testing.assert_allclose(
            m.reshape(3, -1, 3), np.broadcast_to(np.array(expected)[:, None], (3, m.size // 9, 3))
        )
    for shape, directions, words in (
        ((2,), GIVEN["columns"]["directions"], "3 of them for 2 columns"),
        ((1,), [(0, 1)], r"directions\[0\] must be 3 numbers"),
        ((1,), [(0, math.nan, 1)], r"directions\[0\] must be 3 numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            columns(shape, directions)


@given(center=positions, width=lengths)
def test_walls_are_unit_vectors_for_any_center_and_width(center, width):
    for m in (bloch_wall((9,), center, width), neel_wall((9,), center, width)):
        np.testing.assert_allclose(np.linalg.norm(m, axis=-1), 1.0, rtol=0, atol=1e-14)


def test_bloch_wall_of_the_paper_with_seven_moments():
    m = bloch_wall((7,), center=3.0, width=0.9)
    for site in range(7):
        u = (4 - (site + 1)) / 0.9  # Z = 4, moments 1..7
        expected = (-math.tanh(u) / math.cosh(u), 1 / math.cosh(u) ** 2, math.tanh(u))
        np.testing.assert_allclose(m[site], expected, atol=1e-15)


def test_walls_turn_as_their_polar_angle_says():
    x = np.arange(9.0)
    polar = 2 * np.arctan(np.exp((x - 4.2) / 1.7))  # from +z to -z
    m = neel_wall((9,), 4.2, 1.7)
    np.testing.assert_allclose(m, np.stack([0 * x, np.sin(polar), np.cos(polar)], axis=-1), atol=1e-14)
    m = neel_wall((9,), 4.2, 1.7, orientation="kishine")  # phi0 from +x to -x
    np.testing.assert_allclose(m, np.stack([np.cos(polar), np.sin(polar), 0 * x], axis=-1), atol=1e-14)


ACROSS_X = [(0, 0, 1), (0, 1, 0), (0, 0, -3), (0, 2, -1), (1e-12, 1, 1)]
ANY_AXIS = [*ACROSS_X, (1, 0, 0), (-2, 0, 0), (1, 1, 1), (3, -1, 0.2)]


@pytest.mark.parametrize("chirality", [1, -1])
@pytest.mark.parametrize(
    ("wall", "easy_axis"), [*((bloch, axis) for axis in ACROSS_X), *((neel, axis) for axis in ANY_AXIS)]
)
def test_textbook_walls_turn_in_one_plane_between_the_domains(wall, easy_axis, chirality):
    """In closed form: the polar angle from the easy axis is 2 arctan(exp((x - X)/W)), the azimuth is constant."""
    x, k = np.arange(60.0), np.array(easy_axis) / np.linalg.norm(easy_axis)
    m = wall((60,), 30.2, 3.1, easy_axis, chirality)
    np.testing.assert_allclose(m @ k, np.cos(2 * np.arctan(np.exp((x - 30.2) / 3.1))), atol=1e-14)
    np.testing.assert_allclose(m[0], k, atol=1e-3)
    np.testing.assert_allclose(m[-1], -k, atol=1e-3)
    center = wall((1,), 0.0, 1.0, easy_axis, chirality)[0]
    assert center @ k == pytest.approx(0, abs=1e-12)
    normal = np.cross(k, center)  # the axis about which the moments turn
    np.testing.assert_allclose(m @ normal, 0, atol=1e-12)
    if wall is bloch:
        np.testing.assert_allclose(m[:, 0], 0, atol=1e-9)
        np.testing.assert_allclose(abs(normal), (1, 0, 0), atol=1e-9)
    else:
        assert normal[0] == pytest.approx(0, abs=1e-12)  # x lies in the plane
        assert chirality * center[0] >= -1e-15
    np.testing.assert_allclose(center, -wall((1,), 0.0, 1.0, easy_axis, -chirality)[0], atol=1e-15)


def test_textbook_walls_beside_those_of_the_papers():
    """The flat wall of Bajpai and Nikolic turns across x: what they call Neel wall is the Bloch wall of textbooks."""
    at = {"center": 4.2, "width": 1.7}
    np.testing.assert_allclose(bloch((9,), **at), neel_wall((9,), **at), atol=1e-15)
    kishine = neel_wall((9,), **at, orientation="kishine")
    np.testing.assert_allclose(neel((9,), **at, easy_axis=(1, 0, 0)), kishine, atol=1e-15)
    np.testing.assert_allclose(neel((9,), **at)[:, [1, 0, 2]], neel_wall((9,), **at), atol=1e-15)
    assert abs(bloch_wall((9,), **at) - bloch((9,), **at)).max() > 0.3


@pytest.mark.parametrize("easy_axis", [(1, 0, 0), (1, 1, 1), (1e-6, 0, 1)])
def test_a_bloch_wall_needs_an_easy_axis_across_x(easy_axis):
    with pytest.raises(ValueError, match=r"easy_axis must be across x, .*got \(.*; a neel wall turns about any"):
        bloch((9,), 4.0, 1.0, easy_axis)
    neel((9,), 4.0, 1.0, easy_axis)


@pytest.mark.parametrize("wall", [bloch, neel, bloch_wall, neel_wall])
def test_a_square_repeats_the_wall_along_y(wall):
    chain, square = wall((6,), 2.2, 1.3), wall((6, 4), 2.2, 1.3)
    for y in range(4):
        np.testing.assert_array_equal(square[:, y], chain)


@given(
    center=st.tuples(positions, positions),
    radius=lengths,
    wall_width=lengths,
    helicity=st.floats(-10, 10),
    charge=st.sampled_from([-1, 1]),
)
def test_skyrmion_is_unit_vectors_without_overflow(center, radius, wall_width, helicity, charge):
    m = skyrmion((6, 9), center, radius, wall_width, helicity, charge)
    np.testing.assert_allclose(np.linalg.norm(m, axis=-1), 1.0, rtol=0, atol=1e-14)


def test_skyrmion_profile_where_sinh_does_not_overflow():
    R, w = 3.3, 1.2
    m = skyrmion((12, 12), (5.0, 6.0), R, w)
    for site in [(5, 6), (5, 7), (8, 6), (9, 9), (0, 11)]:
        r = math.hypot(site[0] - 5, site[1] - 6)
        ratio = math.sinh(r / w) / math.sinh(R / w)
        # cos(2 arccot q) = (q^2 - 1)/(q^2 + 1)
        assert m[(*site, 2)] == pytest.approx((ratio**2 - 1) / (ratio**2 + 1), abs=1e-14)
    assert skyrmion((9, 9), (4, 4), 3.0, w)[7, 4, 2] == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("charge", [-1, 1])
def test_core_and_background_of_a_skyrmion(charge):
    m = skyrmion((31, 31), (15, 15), 6.0, 1.0, charge=charge)
    assert m[15, 15, 2] == charge
    assert m[0, 0, 2] * charge < -0.999


@pytest.mark.parametrize("charge", [-1, 1])
@pytest.mark.parametrize(
    ("helicity", "radial", "anticlockwise"),
    [(0.0, 1, 0), (math.pi, -1, 0), (math.pi / 2, 0, 1), (-math.pi / 2, 0, -1)],
)
def test_helicity(helicity, radial, anticlockwise, charge):
    m = skyrmion((21, 21), (10, 10), 5.0, 2.0, helicity, charge)
    for dx, dy in [(5, 0), (0, 5), (-5, 0), (0, -5), (3, 4), (-4, 3)]:
        site = m[10 + dx, 10 + dy]
        assert site @ (dx / 5, dy / 5, 0) == pytest.approx(radial, abs=1e-12)
        assert site @ (-dy / 5, dx / 5, 0) == pytest.approx(anticlockwise, abs=1e-12)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, -2), (1, 1, 1), (-3, 2, 0.1), (0, 1e-9, 0)])
def test_frame_is_right_handed(axis):
    e1, e2, k = plane_axes(axis)
    np.testing.assert_allclose(np.array([e1, e2, k]) @ np.array([e1, e2, k]).T, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(np.cross(e1, e2), k, atol=1e-15)
    np.testing.assert_allclose(k, np.array(axis) / np.linalg.norm(axis), atol=1e-15)


def test_frames_of_the_cartesian_axes():
    x, y, z = np.eye(3)
    for axis, expected in [(z, (x, y)), (x, (y, z)), (y, (z, x)), (-z, (x, -y))]:
        np.testing.assert_array_equal(plane_axes(axis)[:2], expected)


@pytest.mark.parametrize(
    ("normal", "second"),
    [((0, 0, 1), (0, 1, 0)), ((1, 0, 0), (0, 0, 1)), ((0, 1, 0), (1, 0, 0)), ((0, 0, -1), (0, -1, 0))],
)
def test_spiral_turns_about_its_normal(normal, second):
    m = spiral((9,), period=4, normal=normal)
    np.testing.assert_allclose(m @ normal, 0.0, atol=1e-15)
    np.testing.assert_allclose(m[1], second, atol=1e-15)  # a quarter turn on
    np.testing.assert_allclose(m[4:], m[:5], atol=1e-15)
    np.testing.assert_allclose(np.cross(m[:-1], m[1:]), np.tile(normal, (8, 1)), atol=1e-15)


def test_spiral_along_y_and_phase():
    m = spiral((3, 8), period=8, axis="y", phase=math.pi / 2)
    np.testing.assert_array_equal(m[0], m[2])
    np.testing.assert_allclose(m[1, 0], (0, 1, 0), atol=1e-15)
    np.testing.assert_allclose(m[1, 2], (-1, 0, 0), atol=1e-15)


def test_uniform_normalises():
    np.testing.assert_allclose(uniform((2, 3), (3, 0, -4)), np.tile([0.6, 0.0, -0.8], (2, 3, 1)), atol=1e-15)
    np.testing.assert_array_equal(uniform((2,)), [[0, 0, 1], [0, 0, 1]])


def test_random_is_isotropic_and_repeatable():
    m = random((200, 200), seed=3)
    n = 200 * 200
    # Four standard deviations: <m_a> has 1/sqrt(3n); <m_a m_b> has sqrt(4/45n) on the diagonal, 1/sqrt(15n) off it.
    assert np.abs(m.mean(axis=(0, 1))).max() < 4 / math.sqrt(3 * n)
    second = np.einsum("xya,xyb->ab", m, m) / n
    assert np.abs(second - np.eye(3) / 3).max() < 4 * math.sqrt(4 / (45 * n))
    np.testing.assert_array_equal(m, random((200, 200), seed=3))
    assert not np.array_equal(m, random((200, 200), seed=4))


def test_random_does_not_share_the_stream_of_a_generator_with_the_same_seed():
    assert random((1,), seed=5)[0, 2] != np.random.Generator(np.random.Philox(5)).uniform(-1.0, 1.0)


@pytest.mark.parametrize(
    ("kind", "shape", "parameters", "message"),
    [
        ("uniform", (2, 2, 2), {}, r"shape must be \(n,\) for a chain or .*, got \(2, 2, 2\)"),
        ("uniform", (0,), {}, r"shape must be .* positive integers, got \(0,\)"),
        ("uniform", (2.5,), {}, r"shape must be .*got \(2\.5,\)"),
        ("uniform", 7, {}, r"shape must be .*got 7"),
        ("uniform", (2,), {"direction": (0, 0, 0)}, r"direction must be a vector other than zero, got \(0, 0, 0\)"),
        ("uniform", (2,), {"direction": (1, 2)}, r"direction must be 3 numbers .*got \(1, 2\)"),
        ("uniform", (2,), {"direction": "x"}, r"direction must be 3 numbers .*got 'x'"),
        ("bloch_wall", (2,), {"center": math.nan, "width": 1}, r"center must be a number from -1e\+09 to .*got nan"),
        ("bloch_wall", (2,), {"center": 0, "width": 0.0}, r"width must be a number from 1e-06 to 1e\+09, got 0\.0"),
        ("neel_wall", (2,), {"center": 0, "width": True}, r"width must be a number .*got True"),
        ("neel_wall", (2,), {"center": 0, "width": "1"}, r"width must be a number .*got '1'"),
        (
            "neel_wall",
            (2,),
            {"center": 0, "width": 1, "orientation": "head"},
            r"orientation must be one of 'paper', 'kishine', got 'head'",
        ),
        ("bloch", (2,), {"center": 0, "width": 1, "chirality": 0}, r"chirality must be one of -1, 1, got 0"),
        ("neel", (2,), {"center": 0, "width": 1, "easy_axis": (0, 0, 0)}, r"easy_axis must be a vector other than"),
        (
            "skyrmion",
            (7,),
            {"center": (1, 1), "radius": 1, "wall_width": 1},
            r"shape must be \(nx, ny\), because a skyrmion needs a square lattice, got \(7,\)",
        ),
        (
            "skyrmion",
            (7, 7),
            {"center": 3.0, "radius": 1, "wall_width": 1},
            r"center must be 2 numbers .*got 3\.0",
        ),
        ("skyrmion", (7, 7), {"center": (1, 1), "radius": -1, "wall_width": 1}, r"radius must be .*got -1"),
        ("skyrmion", (7, 7), {"center": (1, 1), "radius": 1, "wall_width": 0}, r"wall_width must be .*got 0"),
        (
            "skyrmion",
            (7, 7),
            {"center": (1, 1), "radius": 1, "wall_width": 1, "helicity": math.inf},
            r"helicity must be .*got inf",
        ),
        (
            "skyrmion",
            (7, 7),
            {"center": (1, 1), "radius": 1, "wall_width": 1, "charge": 2},
            r"charge must be one of -1, 1, got 2",
        ),
        ("spiral", (7,), {"period": 0}, r"period must be .*got 0"),
        ("spiral", (7,), {"period": 3, "axis": "z"}, r"axis must be one of 'x', 'y', got 'z'"),
        ("spiral", (7,), {"period": 3, "axis": "y"}, r"axis must be 'x' on a chain of shape \(7,\), got 'y'"),
        ("spiral", (7,), {"period": 3, "normal": (0, 0)}, r"normal must be 3 numbers .*got \(0, 0\)"),
        ("spiral", (7,), {"period": 3, "phase": None}, r"phase must be .*got None"),
        ("random", (7,), {"seed": -1}, r"seed must be an integer, 0 or more, got -1"),
        ("random", (7,), {"seed": 1.5}, r"seed must be an integer, 0 or more, got 1\.5"),
    ],
)
def test_impossible_arguments_are_named_with_value_and_remedy(kind, shape, parameters, message):
    with pytest.raises(ValueError, match=message):
        TEXTURES[kind](shape, **parameters)
