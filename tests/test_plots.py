"""Pictures: every kind of run gets one, with the curves it should have."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.transforms import Bbox

from llgnegf import deck_from, load_deck, plots, run
from llgnegf.deck import parse_deck
from llgnegf.errors import DeckError, RunError
from llgnegf.plots import lattice
from llgnegf.plots.curves import energy_style
from tests.test_cli import ENVIRONMENT
from tests.test_simulation import BASE, CLASSICAL

KINDS = {
    "precession": ("precessing_wall", {"run.duration": 80.0}),
    "precession, one moment": ("precessing_moment", {"run.duration": 80.0}),
    "macrospin": ("macrospin_in_wire", {"run.duration": 40.0}),
    "chain": ("wall_in_wire", {"run.duration": 4.0, "magnet.dmi": 0.05}),
    "chain under a bias": ("wall_in_wire", {"run.duration": 4.0, "electrons.lead.0.voltage": 0.2}),
    "classical chain": ("wall_classical", {"run.duration": 20.0}),
    "square": ("skyrmion_classical", {"run.duration": 1.0}),
    "gates": (BASE, {}),
    "square without a skyrmion": (CLASSICAL, {"lattice.shape": [4, 5], "texture.kind": "uniform"}),
    "strip": (CLASSICAL, {"lattice.shape": [5, 1]}),
    "spin valve": ("current_switching", {"run.duration": 16.0}),
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


# One frame is drawn with markers, in each kind of picture.
ONE_FRAME = ("precession", "macrospin", "chain", "square", "strip", "frozen")


@pytest.mark.parametrize(
    ("kind", "frames"), [*((kind, "several") for kind in KINDS), *((kind, "one") for kind in ONE_FRAME)]
)
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


def test_a_charge_of_rounding_has_no_sign():
    assert lattice.charges_in_words(-1e-16, -0.9996) == r"$Q$ = 0.000 $\to$ -1.000"


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


def test_chains_under_a_bias_show_its_torque_and_currents(tmp_path, monkeypatch):
    figures = drawn(monkeypatch)
    with result_of("chain under a bias", tmp_path / "a.h5") as r:
        plots.plot(r, tmp_path / "a.png")
        (ax,) = (ax for ax in figures[0].axes if r"\sum_i" in ax.get_ylabel())
        lines = curves(figures[0]) | {line.get_label(): line for line in ax.get_lines()}
        for name, label in (("bias", "bias"), ("bias_motion", "bias, motion"), ("surface", "surface")):
            T = r.deck.electrons.sd_exchange * np.cross(r[f"spin_{name}"], r["moment"]).sum(axis=1)
            np.testing.assert_allclose(lines[label].get_ydata(), np.linalg.norm(T, axis=-1), rtol=1e-9)
        np.testing.assert_array_equal(lines["particles, right"].get_ydata(), r["current_charge"][:, 1])
        assert r["current_charge"][0, 1] > 0.01


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
    edges = plots.curves.edges(np.array(times))
    assert len(edges) == len(times) + 1
    assert np.all(np.diff(edges) > 0)
    assert all(a < t < b for a, t, b in zip(edges, times, edges[1:], strict=False))


# --- whatever the user's matplotlib is told -------------------------------------------------------------------------

HOSTILE = {
    "backend": ({"MPLBACKEND": "nonsense"}, "", "MPLBACKEND = nonsense"),
    "window": ({"MPLBACKEND": "tkagg"}, "", None),
    "usetex": ({}, "text.usetex: True\nfont.family: No Such Font\n", None),
    "broken": ({}, "\udcff\udcfe: no text\n", "settings of matplotlib cannot be read"),
    "unknown": (
        {},
        "backend: nonsense\nfigure.autolayout: True\nsavefig.bbox: tight\naxes.prop_cycle: nonsense\n",
        None,
    ),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case not in ("usetex", "broken"))) for case in HOSTILE]
)
def test_settings_for_other_pictures_do_no_harm(tmp_path, case):
    """The picture is the same to the last pixel; what cannot be used is said once."""
    environment, settings, told = HOSTILE[case]
    (tmp_path / "matplotlibrc").write_bytes(os.fsencode(settings))
    with result_of("classical chain", tmp_path / "a.h5", **{"run.duration": 5.0}) as r:
        plots.plot(r, tmp_path / "own.png")
    for name in ("MPLBACKEND", "MATPLOTLIBRC", "PYTHONWARNINGS"):
        environment = {name: os.environ.get(name, ""), **environment}
    line = [sys.executable, "-m", "llgnegf", "plot", "a.h5"]
    done = subprocess.run(
        line, cwd=tmp_path, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("llgnegf: note:") == (told is not None)
    assert told is None or told in done.stderr
    assert np.array_equal(imread(tmp_path / "a.png"), imread(tmp_path / "own.png"))


@pytest.mark.slow
def test_titles_are_drawn_as_they_stand(tmp_path, monkeypatch):
    figures = drawn(monkeypatch)
    for i, (title, shown) in enumerate(
        [
            ("costs $5 and {", "costs $5 and {"),
            ("$x_1$ and $\\nonsense", "$x_1$ and $\\nonsense"),
            ("NUL \0 and\tescape \x1b", "NUL \ufffd and escape \ufffd"),
            (os.fsdecode(b"caf\xe9"), "caf\ufffd"),
            ("long " * 100, ("long " * 100)[:119] + "…"),
            ("\u4e2d", "\u4e2d"),  # not in every font
        ]
    ):
        for kind in ("classical chain", "square"):
            with result_of(kind, tmp_path / f"{i}{kind}.h5", **{"run.duration": 0.0, "title": title}) as r:
                plots.plot(r, tmp_path / "a.png")
            drawn_title = figures[-1].get_suptitle().replace("\n", " ")
            assert drawn_title.replace(r"\$", "$").startswith(shown)
            if kind == "classical chain":
                assert "$" not in drawn_title.replace(r"\$", "")


def test_an_unlucky_ending_of_a_title_breaks_no_formula():
    from llgnegf.pictures import as_label

    assert as_label("a $ b") == r"a \$ b"
    assert as_label("two\nlines") == "two lines"


# --- axes of the pictures -------------------------------------------------------------------------------------------


def test_a_torque_that_vanishes_does_not_fill_its_axis(tmp_path):
    """The closed Neel wall has no damping-like torque: what there is of it is rounding."""
    deck = load_deck("precessing_neel_wall", {"run.duration": 40.0, "electrons.lead": []})
    with run(deck, tmp_path / "a.h5") as r:
        figure = plots.plot(r)
    field_like, damping_like = figure.axes[2:4]
    shown = [np.abs(line.get_ydata()).max() for line in damping_like.get_lines() if len(line.get_ydata()) == 7]
    assert max(shown[:4]) < 1e-12
    largest = max(np.abs(line.get_ydata()).max() for line in field_like.get_lines())
    assert np.ptp(damping_like.get_ylim()) >= 1e-6 * largest > 1e5 * max(shown[:4])


def test_energies_at_rest_do_not_fill_their_axis(tmp_path):
    deck = deck_from(
        {
            "lattice": {"shape": [30]},
            "texture": {"kind": "uniform", "direction": [1, 2, 3]},
            "magnet": {"exchange": 0.1, "anisotropy": 0.3, "easy_axis": [1, 2, 3], "damping": 0.1},
            "integrator": {"step": 0.1},
            "run": {"duration": 2.0, "save_every": 0.1},
        }
    )
    with run(deck, tmp_path / "a.h5") as r:
        figure = plots.plot(r)
        size = abs(np.asarray(r["energy_classical"])).max()
    (ax,) = [ax for ax in figure.axes if ax.get_ylabel().startswith("$E - E(0)$")]
    assert np.ptp(ax.get_ylim()) >= 1e-11 * size > 0
    assert [line.get_label() for line in ax.get_lines()] == ["classical"]


@pytest.mark.parametrize("kind", KINDS)
def test_sites_have_whole_numbers_from_zero(tmp_path, kind):
    with result_of(kind, tmp_path / "a.h5", **{"run.duration": 0.0}) as r:
        figure, shape = plots.plot(r), r.deck.lattice.shape
    axes = [
        (axis, k)
        for ax in figure.axes
        for k, axis in enumerate((ax.xaxis, ax.yaxis))
        if "site" in axis.label.get_text()
    ]
    assert axes or np.prod(shape) == 1 or kind == "spin valve"  # of the free layer as a whole
    for axis, k in axes:
        ticks, (low, high) = axis.get_ticklocs(), sorted(axis.get_view_interval())
        assert all(float(tick).is_integer() for tick in ticks)
        assert 0 in ticks
        assert low < 0
        n = shape[k] if len(shape) == 2 and min(shape) > 1 else int(np.prod(shape))
        assert n - 1 < high < n


@pytest.mark.parametrize(("unit", "name", "factor"), [("meV", "ps", 0.6582119569), (0.5, "fs", 0.6582119569 / 0.5)])
@pytest.mark.parametrize("kind", ["classical chain", "square"])
def test_times_stand_beside_in_seconds(tmp_path, kind, unit, name, factor):
    with result_of(kind, tmp_path / "a.h5", **{"units.energy": unit}) as r:
        figure, last = plots.plot(r), r.times[-1]
    seconds = [second for ax in figure.axes for second in ax.child_axes if second.get_xlabel().startswith("$t$ (")]
    FigureCanvasAgg(figure).draw()
    assert seconds
    for second in seconds:
        factor_here = factor * (1000 if second.get_xlabel() == "$t$ (fs)" and name == "ps" else 1)
        assert second.get_xlim()[1] == pytest.approx(last * factor_here)


@pytest.mark.parametrize("kind", ["gates", "chain", "macrospin", "square"])
def test_no_legend_covers_a_curve_or_a_label(tmp_path, kind):
    with result_of(kind, tmp_path / "a.h5") as r:
        figure = plots.plot(r)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert legends
    texts = [label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label, ax.title) if label.get_text()]
    for legend in legends:
        box = legend.get_window_extent(canvas.get_renderer())
        boxes = [ax.get_window_extent() for ax in figure.axes] + [t.get_window_extent() for t in texts]
        # The padding of a legend may touch what it stands above.
        assert not any(box.padded(-4).overlaps(other.padded(-1)) for other in boxes)


def test_terms_of_the_energy_are_told_apart_also_beyond_four_colours():
    styles = [tuple(sorted(energy_style(k).items())) for k in range(16)]
    assert len(set(styles)) == 16


@pytest.mark.parametrize("magnet", [{}, {"magnet.dmi": 0.05, "magnet.damping": 0.1}])
def test_a_wall_shows_its_velocity_and_the_torque_on_each_moment(tmp_path, monkeypatch, magnet):
    """Of the frame where the torque is largest: along dm/dt and m x dm/dt of each moment, by origin."""
    figures = drawn(monkeypatch)
    with result_of("chain", tmp_path / "a.h5", **magnet) as r:
        plots.plot(r, tmp_path / "a.png")
        axes = {re.split(r"\s\(", ax.get_ylabel())[0]: ax for ax in figures[0].axes}
        k = int(np.argmax([np.linalg.norm(one) for one in r["torque"]]))
        m, v, J = r["moment"][k], r["velocity"][k], r.deck.electrons.sd_exchange
        for name, direction in (("FL", v), ("DL", np.cross(m, v))):
            ax = axes[rf"$T_i^{{\mathrm{{{name}}}}}$"]
            lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
            unit = direction / np.linalg.norm(direction, axis=1)[:, None]
            for origin in ("sea", "surface"):
                wanted = (J * np.cross(r[f"spin_{origin}"][k], m) * unit).sum(axis=1)
                np.testing.assert_allclose(lines[origin], wanted, atol=1e-15)
                assert abs(wanted).max() > 0
            np.testing.assert_allclose(lines["sum"], lines["sea"] + lines["surface"], atol=1e-12)
        (line,) = axes["velocity $\\dot X$"].get_lines()
        steps = np.diff(r["wall_position"]) / np.diff(r.times)
        np.testing.assert_allclose(line.get_ydata()[1:-1], (steps[1:] + steps[:-1]) / 2, atol=1e-12)
