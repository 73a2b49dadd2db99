"""Maps of the moments when little moves, and panels of what a run does not have."""

import numpy as np
import pytest

from llgnegf import deck_from, run
from llgnegf.plots import plot
from llgnegf.plots.moment_colours import colours_of, moment_colours

TILTED = {"kind": "uniform", "direction": [0.02, 0, 1]}


def moved(path, shape, texture=TILTED, **tables):
    magnet = {"field": [0, 0, 0.3], "damping": 0.3}
    parts = {"lattice": {"shape": shape}, "texture": texture, "magnet": magnet, "run": {"duration": 1.0}}
    return run(deck_from({**parts, "integrator": {"step": 0.1}, **tables}), path)


def maps(figure):
    return [each for ax in figure.axes for each in (*ax.images, *ax.collections) if hasattr(each, "colorbar")]


@pytest.mark.parametrize("shape", [[5], [4, 3]])
@pytest.mark.parametrize("variable", [None, "moment"])
def test_small_motions_are_seen_and_the_colours_say_so(tmp_path, shape, variable):
    with moved(tmp_path / "a.h5", shape) as r:
        figure = plot(r, variable=variable)
        m_z = np.asarray(r.moment)[..., 2]
    if shape == [4, 3] and variable is None:
        m_z = m_z[[0, -1]]
    drawn = [each for each in maps(figure) if each.colorbar is not None][-1]
    assert drawn.get_clim() == (m_z.min(), m_z.max())
    assert drawn.cmap.name != "PuOr"
    label = drawn.colorbar.ax.get_ylabel().replace("\n", " ")
    assert label.endswith(f"colours span {np.ptp(m_z):.1e}")


@pytest.mark.parametrize("values", [[-0.2, 0.3], [1.0, 1.0], [0.5, 0.5 + 1e-15], [np.nan, np.nan]])
def test_all_else_is_drawn_from_minus_one_to_one(values):
    found = colours_of(values, "$m_z$")
    assert (found.low, found.high, found.cmap.name, found.label) == (-1.0, 1.0, "PuOr", "$m_z$")


def test_the_scale_has_the_values_between_its_ends():
    found = moment_colours(0.3, 0.31, "$m_y$")
    assert (found.low, found.high, found.label) == (0.3, 0.31, "$m_y$, colours span 1.0e-02")


def test_a_lattice_with_one_column_is_a_line_of_sites_and_a_wall_that_is_not_there_has_no_panel(tmp_path, rng):
    m = rng.normal(size=(1, 3, 3)) + np.array([0, 0, 5])
    np.save(tmp_path / "m.npy", m)
    electrons = {"sd_exchange": 0.5, "fermi_energy": 0.3, "lead": [{"side": "left"}, {"side": "right"}]}
    texture = {"kind": "file", "path": str(tmp_path / "m.npy"), "normalize": True}
    with moved(tmp_path / "a.h5", [1, 3], texture, electrons=electrons, run={"duration": 0.1}) as r:
        figure = plot(r)
    by_label = {ax.get_ylabel().split("$")[1]: ax for ax in figure.axes if "T_i" in ax.get_ylabel()}
    assert len(by_label) >= 2
    for ax in by_label.values():
        lines = [line for line in ax.lines if not line.get_label().startswith("_")]
        if "sum_i" not in ax.get_ylabel():
            assert [line.get_label() for line in lines] == ["sea", "surface", "sum"]
            assert all(list(line.get_xdata()) == [0, 1, 2] for line in lines)
    assert not any("wall" in ax.get_ylabel() for ax in figure.axes)
