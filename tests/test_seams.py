"""Paths of circular quantities do not jump: angles, walls along a ring, skyrmions through a periodic edge."""

import numpy as np
import pytest

from llgnegf import deck_from, open_run, plot, run
from llgnegf.seams import path_of, unwrapped
from llgnegf.summary import summary


def test_unwrapped_goes_on_behind_gaps():
    path = unwrapped(np.array([8.0, 9.5, np.nan, 0.5, 2.0, 9.0]), 10.0)
    np.testing.assert_allclose(path, [8.0, 9.5, np.nan, 10.5, 12.0, 9.0])
    assert np.isnan(unwrapped(np.array([np.nan]), 1.0)).all()
    assert len(unwrapped(np.array([]), 1.0)) == 0


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """A pair of walls that a current carries around a ring of 24 sites, one and a half times."""
    folder = tmp_path_factory.mktemp("ring")
    x, n = np.arange(24), 24
    u = (6.0 - np.abs((x - 12.0 + n / 2) % n - n / 2)) / 2  # down between 6 and 18
    m = np.stack([np.zeros(n), 1 / np.cosh(u), -np.tanh(u)], axis=-1)
    np.save(folder / "m.npy", m)
    tables = {
        "lattice": {"shape": [n], "periodic": True},
        "texture": {"kind": "file", "path": str(folder / "m.npy")},
        "magnet": {
            "exchange": 1.0, "anisotropy": 0.125, "damping": 0.1,
            "zhang_li": {"velocity": [0.5, 0.0], "beta": 0.1},
        },
        "integrator": {"step": 0.1},
        "run": {"duration": 80.0, "save_every": 1.0},
    }  # fmt: skip
    run(deck_from(tables), folder / "a.h5").close()
    return folder / "a.h5"


def test_a_wall_goes_around_a_ring(ring):
    with open_run(ring) as result:
        stored, path = np.asarray(result.wall_position), path_of(result, "wall_position")
        assert 0 <= stored.min() < stored.max() < 24
        assert abs(np.diff(stored)).max() > 20  # it does pass the seam
        assert abs(np.diff(path)).max() < 1.5
        assert abs(path[-1] - path[0]) > 24
        np.testing.assert_allclose((path - stored) / 24, np.round((path - stored) / 24), atol=1e-12)
        lines = [line for ax in plot(result).axes for line in ax.get_lines() if line.get_color() == "#D55E00"]
        assert sum(np.array_equal(line.get_ydata(), path) for line in lines) == 1
        row = next(line for line in summary(result).splitlines() if "wall_position" in line)
        assert float(row.split()[-2]) == pytest.approx(path[-1] - path[0], rel=1e-2)


@pytest.mark.parametrize("periodic", ["xy", "y", False])
def test_skyrmions_go_through_periodic_edges_alone(tmp_path, periodic):
    """A core that sits across the edge y = 0, moved by a current along y."""
    tables = {
        "lattice": {"shape": [14, 12], "periodic": periodic},
        "texture": {"kind": "skyrmion", "center": [7.0, 6.0], "radius": 2.5, "wall_width": 1.0, "helicity": -np.pi / 2},
        "magnet": {
            "exchange": 1.0, "dmi": 0.45, "anisotropy": 0.2, "damping": 0.3,
            "zhang_li": {"velocity": [0.0, 0.5], "beta": 0.3},
        },
        "integrator": {"step": 0.1},
        "run": {"duration": 20.0, "save_every": 1.0},
    }  # fmt: skip
    with run(deck_from(tables), tmp_path / "a.h5") as result:
        stored, path = np.asarray(result.skyrmion_center), path_of(result, "skyrmion_center")
        figure = plot(result)
        lines = {line.get_label(): line.get_ydata() for ax in figure.axes for line in ax.get_lines()}
        for k, name in enumerate("xy"):
            np.testing.assert_array_equal(lines[f"${name}$"], path[:, k] - path[0, k])
        if periodic:
            assert np.nanmax(abs(np.diff(stored[:, 1]))) > 6
            assert abs(np.diff(path, axis=0)).max() < 2
        else:
            np.testing.assert_array_equal(path, stored)


def test_no_other_variable_is_touched(ring):
    with open_run(ring) as result:
        np.testing.assert_array_equal(path_of(result, "energy_classical"), result.energy_classical)
