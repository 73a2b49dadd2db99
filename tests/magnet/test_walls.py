"""The textbook walls are minima of the classical energy: exchange and easy axis, in closed form."""

import numpy as np
import pytest

from llgnegf.magnet import Magnet
from llgnegf.magnet.relax import relax
from textures import bloch, neel, neel_wall

CASES = [
    *((bloch, axis) for axis in [(0, 0, 1), (0, 1, 0), (0, 1, -2)]),
    *((neel, axis) for axis in [(0, 0, 1), (0, 1, 0), (1, 0, 0), (-1, 0, 0), (1, 1, 1), (2, -1, 0.5)]),
]


def relaxed(wall, easy_axis, width, shape=None, scale=1.0):
    """(energy above the domain in closed form's units, largest move of a moment in relaxation) of J = 1 x scale."""
    shape = shape or (int(24 * width),)
    anisotropy = scale / (2 * width**2)
    magnet = Magnet(shape, exchange=scale, anisotropy=anisotropy, easy_axis=easy_axis)
    start = wall(shape, (shape[0] - 1) / 2, width, easy_axis)
    domain = np.broadcast_to(np.array(easy_axis) / np.linalg.norm(easy_axis), start.shape)
    energy, ground = (magnet.energies(magnet.pack(m))["classical"] for m in (start, domain))
    m, torque = relax(magnet, start)
    assert torque < 1e-9 * scale
    rows = shape[1] if len(shape) == 2 else 1
    return (energy - ground) / (rows * 2 * np.sqrt(2 * scale * anisotropy)), abs(m - start).max()


@pytest.mark.parametrize(("wall", "easy_axis"), CASES)
def test_a_textbook_wall_costs_what_the_closed_form_says_and_stays(wall, easy_axis):
    """Energy 2 sqrt(2 J K), width sqrt(J/2K): the rest is of second order in 1/width."""
    (coarse, moved), (fine, moved_less) = (relaxed(wall, easy_axis, width) for width in (3.0, 6.0))
    assert abs(fine - 1) < 0.1 / 6**2
    assert abs(fine - 1) == pytest.approx(abs(coarse - 1) / 4, rel=0.1)
    assert moved_less < 0.2 / 6**2
    assert moved_less == pytest.approx(moved / 4, rel=0.15)
    assert moved_less > 0


@pytest.mark.parametrize("width", [0.5, 2.0])
def test_another_width_is_no_minimum(width):
    """The test above would see a wall of half or twice the width."""
    shape = (144,)
    magnet = Magnet(shape, exchange=1.0, anisotropy=1 / 72, easy_axis=(0, 0, 1))
    start = neel(shape, 71.5, 6.0 * width)
    m, _ = relax(magnet, start)
    assert abs(m - start).max() > 0.2
    np.testing.assert_allclose(m, neel(shape, 71.5, 6.0), atol=0.01)


def test_on_a_square_every_row_is_the_wall_of_the_chain():
    chain, square = relaxed(neel, (1, 1, 1), 3.0), relaxed(neel, (1, 1, 1), 3.0, shape=(72, 4))
    assert square == pytest.approx(chain, rel=1e-6)


@pytest.mark.parametrize("hard", [0.0, 0.05])
def test_the_flat_wall_of_kishine_and_ovchinnikov_is_at_rest(hard):
    """Easy axis x, hard axis z, width sqrt(J/2K): its torque falls as 1/width^2 of K, J m''''/12 on a lattice."""
    left = {}
    for width in (3.0, 6.0, 12.0):
        K = 0.5 / width**2
        magnet = Magnet(
            (200,), exchange=1.0, anisotropy=K, easy_axis=(1, 0, 0), hard_anisotropy=hard, hard_axis=(0, 0, 1)
        )  # fmt: skip
        m = neel_wall((200,), 99.5, width, "kishine")
        y = magnet.pack(m)
        torque = np.linalg.norm(np.cross(m, magnet.unpack(magnet.effective_field(y))), axis=-1)
        left[width] = torque[5:-5].max() / K  # the ends are less than 8 widths of the widest away
        relaxed, _ = relax(magnet, m)
        assert abs(relaxed - m)[20:-20].max() < 0.25 / width**2
    assert 0 < left[12.0] < 0.02
    assert left[3.0] / left[6.0] == pytest.approx(4, rel=0.1)
    assert left[6.0] / left[12.0] == pytest.approx(4, rel=0.1)
