"""Collective coordinates of a flat wall: known walls give back what they were made of, torques what the LLG does."""

import math

import numpy as np
import pytest

from llgnegf.magnet import Magnet
from llgnegf.magnet.collective import CollectiveWall
from textures import neel, neel_wall
from textures.zero_mode import flat_wall, spin_on_wall, wall_velocity, zero_mode

SIDES = [(1, 1), (1, -1), (-1, 1), (-1, -1)]


def wall(n, position, width, tilt=0.0, head=1, side=1, deviation=0.0):
    """theta = pi/2 + tilt Phi_0 and phi = phi0 (+ deviation), from angles."""
    u = (np.arange(n) - position) / width
    phi = 2 * np.arctan(np.exp(u)) if head == 1 else np.pi - 2 * np.arctan(np.exp(u))
    phi = side * phi + deviation
    theta = 0.5 * np.pi + tilt / np.sqrt(2 * width) / np.cosh(u)
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)


@pytest.mark.parametrize(("head", "side"), SIDES)
@pytest.mark.parametrize(("width", "tilt"), [(0.4, 0.0), (3.0, 0.3), (6.0, -1.7)])
def test_a_displaced_and_tilted_wall_is_found(head, side, width, tilt):
    m = wall(61, 27.3, width, tilt, head, side)
    found = flat_wall(m, width)
    assert found.position == pytest.approx(27.3, abs=1e-9)
    assert found.out_of_plane == pytest.approx(tilt, abs=1e-9)
    assert (found.head, found.side, found.turn) == (head, side, head * side)
    square = np.repeat(m[:, None], 3, axis=1)
    assert flat_wall(square, width) == pytest.approx(found, abs=1e-12)


def test_the_texture_of_the_deck_is_theirs():
    m = neel_wall((41,), 20.2, 3.0, "kishine")
    np.testing.assert_allclose(m, wall(41, 20.2, 3.0), atol=1e-15)
    assert flat_wall(m, 3.0)[:2] == pytest.approx((20.2, 0.0), abs=1e-12)
    for easy_axis, chirality, head, side in [((1, 0, 0), 1, 1, 1), ((1, 0, 0), -1, 1, -1), ((-1, 0, 0), 1, -1, 1)]:
        found = flat_wall(neel((41,), 20.2, 3.0, easy_axis, chirality), 3.0)
        assert found == pytest.approx((20.2, 0.0, head, side), abs=1e-12)


def test_fluctuations_across_the_zero_mode_change_neither():
    """Where the zero crossing moves: an in-plane fluctuation that is orthogonal to Phi_0."""
    width, position = 4.0, 30.4
    mode = zero_mode(np.arange(61) - position, width)
    assert (mode**2).sum() == pytest.approx(1.0, abs=1e-6)  # their normalisation
    fluctuation = 0.2 * np.exp(-(((np.arange(61) - 33.0) / 3.0) ** 2))
    fluctuation -= mode * (mode @ fluctuation) / (mode @ mode)
    found = flat_wall(wall(61, position, width, 0.4, deviation=fluctuation), width)
    assert found[:2] == pytest.approx((position, 0.4), abs=1e-9)
    bulged = wall(61, position, width, deviation=fluctuation + 0.01 * mode)
    assert flat_wall(bulged, width).position == pytest.approx(position - 0.01 * math.sqrt(width / 2), rel=1e-4)


def test_no_wall_and_vacancies():
    uniform = np.tile([1.0, 0.0, 0.0], (7, 1))
    assert np.isnan(flat_wall(uniform, 2.0)[:2]).all()
    assert np.isnan(wall_velocity(uniform, uniform, 2.0))
    assert np.isnan(spin_on_wall(uniform, uniform, 2.0)).all()
    assert np.isnan(flat_wall(uniform[:1], 2.0)[:2]).all()
    two = np.array([[1.0, 0, 0], [-1.0, 0, 0]])
    assert flat_wall(two, 1.0) == pytest.approx((0.5, 0.0, 1, 1), abs=1e-12)
    m = wall(61, 27.3, 3.0, 0.3)
    m[[5, 26, 28]] = 0.0
    assert flat_wall(m, 3.0)[:2] == pytest.approx((27.3, 0.3), abs=1e-9)
    with pytest.raises(ValueError, match="spin must have the shape of m"):
        spin_on_wall(m, m[1:], 3.0)
    with pytest.raises(ValueError, match="width must be a number"):
        flat_wall(m, 0.0)
    with pytest.raises(ValueError, match="velocity must have shape"):
        wall_velocity(m, m[:, :2], 3.0)


@pytest.mark.parametrize(("head", "side"), SIDES)
def test_the_torque_is_the_derivative_of_the_energy(head, side, rng):
    """T = -d/dX sum s.n0(x - X), P and Q by plain sums; the signs of all four walls."""
    n, width, position, h = 41, 3.0, 19.7, 1e-5
    s = rng.normal(size=(n, 3))
    found = spin_on_wall(wall(n, position, width, 0.0, head, side), s, width)
    energy = [(s * wall(n, position + d, width, 0.0, head, side)).sum() for d in (h, -h)]
    assert found.torque_perpendicular == pytest.approx(-(energy[0] - energy[1]) / (2 * h), rel=1e-7)
    mode = np.sqrt(1 / (2 * width)) / np.cosh((np.arange(n) - position) / width)
    assert found.parallel == pytest.approx((mode**2 * (s * wall(n, position, width, 0, head, side)).sum(1)).sum())
    assert found.out_of_plane == pytest.approx((mode * s[:, 2]).sum())


@pytest.mark.parametrize(("head", "side"), SIDES)
@pytest.mark.parametrize("J", [0.7, -0.4])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_electrons_move_the_coordinates_as_the_llg_does(head, side, J, damping, rng):
    """X and xi_0 of moments pushed along the LLG velocity in a random spin density, against Eqs. (12) with T and Q."""
    n, width, spin, h = 81, 3.0, 1.3, 1e-5
    s = rng.normal(size=(n, 3)) * np.exp(-(((np.arange(n) - 40.0) / 15.0) ** 2))[:, None]
    m = wall(n, 40.3, width, 0.0, head, side)
    magnet = Magnet((n,), spin=spin, damping=damping)
    velocity = magnet.unpack(magnet.respond(magnet.pack(m), magnet.pack(J * s)))
    moved = [flat_wall((m + d * velocity) / np.linalg.norm(m + d * velocity, axis=-1)[:, None], width) for d in (h, -h)]
    rates = [(moved[0][k] - moved[1][k]) / (2 * h) for k in (0, 1)]
    collective = CollectiveWall(width, 0.1, spin, damping, J, turn=flat_wall(m, width).turn)
    torque, parallel, out_of_plane = spin_on_wall(m, s, width)
    assert rates == pytest.approx(collective.rates(0.0, torque, parallel, out_of_plane), rel=1e-6)
    assert wall_velocity(m, velocity, width) == pytest.approx(rates[0], rel=1e-7)
    # The tilted wall feels P: the part of d(xi_0)/dt, dX/dt that is linear in xi_0, for a spin density along n0.
    tilted = wall(n, 40.3, width, 1e-3, head, side)
    along = (0.5 + 0.3 * rng.random()) * wall(n, 40.3, width, 0.0, head, side)
    velocity = magnet.unpack(magnet.respond(magnet.pack(tilted), magnet.pack(J * along)))
    parallel = spin_on_wall(tilted, along, width).parallel
    felt = CollectiveWall(width, 0.0, spin, damping, J, turn=collective.turn).rates(1e-3, 0.0, parallel)
    assert wall_velocity(tilted, velocity, width) == pytest.approx(felt[0], rel=1e-4)


def test_velocity_of_a_tilted_wall_that_also_deforms(rng):
    """dX/dt against differences, far from the form of the wall."""
    n, width, h = 61, 4.0, 1e-6
    x = np.arange(n)
    m = wall(n, 30.4, width, 1.2, deviation=0.3 * np.exp(-(((x - 34) / 4.0) ** 2)))
    velocity = np.cross(m, rng.normal(size=(n, 3)))
    moved = [flat_wall(m + d * velocity, width).position for d in (h, -h)]
    assert wall_velocity(m, velocity, width) == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-7)
