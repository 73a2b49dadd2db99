"""Runs that begin with a textbook wall: they know its axis, and it stays where it is."""

import numpy as np
import pytest

from llgnegf import deck_from, initial_moments, run

WIDTH = 4.0


def wall_deck(kind, easy_axis, **more):
    tables = {
        "lattice": {"shape": [64]},
        "texture": {"kind": kind, "width": WIDTH, "center": 31.5, **more},
        "magnet": {"exchange": 1.0, "anisotropy": 0.5 / WIDTH**2, "easy_axis": easy_axis, "damping": 0.3},
        "integrator": {"step": 0.1},
        "run": {"duration": 40.0, "save_every": 20.0},
    }
    return deck_from(tables)


@pytest.mark.parametrize(
    ("kind", "easy_axis"), [("bloch", [0, 0, 1]), ("bloch", [0, 3, -4]), ("neel", [1, 0, 0]), ("neel", [1, 2, -2])]
)
@pytest.mark.parametrize("chirality", [1, -1])
def test_a_wall_about_any_axis_is_found_and_rests(tmp_path, kind, easy_axis, chirality):
    deck = wall_deck(kind, easy_axis, chirality=chirality)
    with run(deck, tmp_path / "a.h5") as result:
        np.testing.assert_allclose(result.wall_position, 31.5, atol=1e-6)
        tilt = np.array(result.wall_tilt)
        np.testing.assert_allclose(np.cos(tilt - tilt[0]), 1.0, atol=1e-12)
        assert abs(result.moment[-1] - result.moment[0]).max() < 0.3 / WIDTH**2
        k = np.array(easy_axis) / np.linalg.norm(easy_axis)
        assert np.sign(result.moment[0, 0] @ k) == 1
        assert np.sign(result.moment[0, -1] @ k) == -1
        assert result.deck.tables() == deck.tables()


def test_relaxing_it_first_moves_it_by_the_lattice_alone():
    """In the middle, where symmetry keeps it."""
    deck = wall_deck("neel", [1, 2, -2], relax=True, center=None)
    relaxed, start = initial_moments(deck), initial_moments(wall_deck("neel", [1, 2, -2], center=None))
    assert 0 < abs(relaxed - start).max() < 0.2 / WIDTH**2
