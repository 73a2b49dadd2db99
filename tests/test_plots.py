"""Pictures: every kind of run gets one, with the curves it should have."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.transforms import Bbox

from llgnegf import load_deck, plots, run
from llgnegf.deck import parse_deck
from llgnegf.errors import DeckError, RunError
from tests.test_simulation import BASE, CLASSICAL

KINDS = {
    "precession": ("precessing_wall", {"run.duration": 80.0}),
    "precession, one moment": ("precessing_moment", {"run.duration": 80.0}),
    "macrospin": ("macrospin_in_wire", {"run.duration": 40.0}),
    "chain": ("wall_in_wire", {"run.duration": 4.0, "magnet.dmi": 0.05}),
    "classical chain": ("wall_classical", {"run.duration": 20.0}),
    "square": ("skyrmion_classical", {"run.duration": 1.0}),
    "gates": (BASE, {}),
    "square without a skyrmion": (CLASSICAL, {"lattice.shape": [4, 5], "texture.kind": "uniform"}),
    "strip": (CLASSICAL, {"lattice.shape": [5, 1]}),
    "frozen": ("precessing_wall", {"run.duration": 80.0, "motion.kind": "frozen"}),
}


def result_of(kind, path, **more):
    source, changes = KINDS[kind]
    changes = {**changes, **more}
    deck = parse_deck(source, overrides=changes) if "\n" in source else load_deck(source, changes)
    return run(deck, path)


def drawn(monkeypatch):
    """The figures that `plot` makes, kept for a look at their contents."""
    figures = []
    real = plots.Figure.savefig
    monkeypatch.setattr(
        plots.Figure, "savefig", lambda self, *file, **how: (figures.append(self), real(self, *file, **how))[1]
    )
    return figures


def curves(figure):
    return {
        line.get_label(): line for ax in figure.axes for line in ax.get_lines() if not line.get_label().startswith("_")
    }


@pytest.mark.parametrize("frames", ["several", "one"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_a_picture(tmp_path, monkeypatch, kind, frames):
    figures = drawn(monkeypatch)
    more = {"run.duration": 0.0} if frames == "one" else {}
    with result_of(kind, tmp_path / "a.h5", **more) as r:
        plots.plot(r, tmp_path / "a.png")
    picture = imread(tmp_path / "a.png")[..., :3]
    assert min(picture.shape[:2]) > 500
    assert (picture.min(axis=-1) < 0.9).mean() > 0.005  # not an empty page
    (figure,) = figures
    # Something is drawn inside the limits of every pair of axes (twins apart), or an image fills it.
    for ax in figure.axes:
        shown = [np.isfinite(np.asarray(line.get_ydata(), float)).any() for line in ax.get_lines()]
        assert any(shown) or ax.images or ax.collections, ax.get_ylabel()
    # Nothing sticks out of the page.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = Bbox([[-1, -1], np.add(canvas.get_width_height(), 1)])
    for ax in figure.axes:
        for artist in (ax.get_legend(), ax.xaxis.label, ax.yaxis.label, ax.title):
            if artist is not None:
                box = artist.get_window_extent(canvas.get_renderer())
                assert Bbox.union([page, box]).bounds == page.bounds, artist


def test_precession_shows_contributions_sum_and_exact(tmp_path, monkeypatch):
    figures = drawn(monkeypatch)
    with result_of("precession", tmp_path / "a.h5") as r:
        plots.plot(r, tmp_path / "a.pdf")
        lower = figures[0].axes[2:4]
        m, v = r["moment"][-1], r["velocity"][-1]
        for ax, direction in zip(lower, (v, np.cross(m, v)), strict=True):
            lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
            assert set(lines) >= {"geometric", "sea", "surface", "sum", "exact"}
            unit = direction / np.linalg.norm(direction, axis=1)[:, None]
            for name in ("geometric", "sea", "surface"):
                T = 0.1 * np.cross(r[f"spin_{name}"][-1], m)
                np.testing.assert_allclose(lines[name], (T * unit).sum(axis=1) / 0.001, atol=1e-12)
            np.testing.assert_allclose(lines["sum"], lines["exact"], atol=5e-3 * abs(lines["sum"]).max())


def test_macrospin_shows_its_components_and_energies_from_zero(tmp_path, monkeypatch):
    figures = drawn(monkeypatch)
    with result_of("macrospin", tmp_path / "a.h5") as r:
        plots.plot(r, tmp_path / "a.svg")
        lines = curves(figures[0])
        for k, name in enumerate(("$m_x$", "$m_y$", "$m_z$")):
            np.testing.assert_array_equal(lines[name].get_ydata(), r["moment"][:, 0, k])
        energy = np.asarray(r["energy_classical"])
        np.testing.assert_allclose(lines["classical"].get_ydata(), energy - energy[0], atol=1e-15)
        assert {"sea", "surface", "electrons"} <= set(lines)


def test_classical_runs_have_no_electrons_in_their_picture(tmp_path, monkeypatch):
    figures = drawn(monkeypatch)
    with result_of("classical chain", tmp_path / "a.h5") as r:
        plots.plot(r, tmp_path / "a.png")
    assert {"sea", "surface", "electrons"}.isdisjoint(curves(figures[0]))


def test_settings_of_the_user_come_back(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    with result_of("classical chain", tmp_path / "a.h5", **{"run.duration": 0.0}) as r:
        plots.plot(r, tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before


def test_nothing_to_draw_and_wrong_endings(tmp_path):
    with result_of("classical chain", tmp_path / "a.h5", **{"run.duration": 0.0}) as r:
        with pytest.raises(DeckError, match=r"a\.doc: a picture ends in one of .*\.png"):
            plots.plot(r, tmp_path / "a.doc")
        r.n_frames = 0
        with pytest.raises(RunError, match="no complete frame"):
            plots.plot(r, tmp_path / "a.png")


@pytest.mark.parametrize("times", [[0.0], [0.0, 2.0], [1.0, 2.0, 4.0]])
def test_edges_enclose_the_frames(times):
    edges = plots._edges(np.array(times))
    assert len(edges) == len(times) + 1
    assert np.all(np.diff(edges) > 0)
    assert all(a < t < b for a, t, b in zip(edges, times, edges[1:], strict=False))
