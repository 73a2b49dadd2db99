"""Pictures where a site has nothing, and of response tensors, as their readers see them."""

from dataclasses import replace

import numpy as np
import pytest

from llgnegf import load_deck, movie, open_run, plots, run
from llgnegf.axes import fit
from llgnegf.build import METHODS
from llgnegf.cli import main
from llgnegf.pictures import Figure, with_unit
from llgnegf.plots import tensors, variable
from llgnegf.plots.vacant import vacant
from llgnegf.response_report import save_response
from llgnegf.variables.variable import Variable

SHEET = {
    "lattice": {"shape": [6, 4], "vacancies": [[2, 1], [5, 3]]},
    "texture": {"kind": "random"},
    "magnet.field": [0.3, 0.0, 0.5],
    "integrator.step": 0.1,
    "run.duration": 0.3,
    "run.save_every": 0.1,
}
WIRE = {"lattice.shape": [4], "texture.center": 1.5, "lattice.vacancies": [1], "run.duration": 1.0}
TINY = {"lattice.shape": [3], "texture.center": 1.0, "electrons.tolerance": 1e-4}


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "sheet.h5"
    run(load_deck("wall_classical", SHEET), path).close()
    return path


@pytest.fixture(scope="module")
def wire(tmp_path_factory):
    path = tmp_path_factory.mktemp("wire") / "wire.h5"
    run(load_deck("wall_in_wire", {**WIRE, "electrons.tolerance": 1e-3}), path).close()
    return path


def images(figure):
    return [image for ax in figure.axes for image in ax.images]


def words(figure):
    return [text.get_text() for ax in figure.axes if ax.get_legend() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("name", [None, "moment", "velocity"])
def test_vacancies_of_a_lattice_are_neither_colours_nor_arrows(sheet, name):
    with open_run(sheet) as result:
        figure = plots.plot(result, variable=name)
        assert "vacant" in words(figure)
        for image in images(figure):
            shown = image.get_array()
            holes = np.argwhere(np.ma.getmaskarray(np.ma.masked_invalid(shown)).T)
            assert holes.tolist() == [[2, 1], [5, 3]]
            assert image.get_cmap()(np.ma.masked_all(1))[0, 3] == 0  # hatches are seen through it
            assert image.axes.patch.get_hatch()
        arrows = [each for ax in figure.axes for each in ax.collections if hasattr(each, "U")]
        assert arrows
        for each in arrows:
            assert np.argwhere(np.reshape(each.Umask, (4, 6)).T).tolist() == [[2, 1], [5, 3]]


def test_vacancies_of_a_chain_are_gaps(wire):
    with open_run(wire) as result:
        for name in (None, "moment", "density"):
            figure = plots.plot(result, variable=name)
            assert "vacant" in words(figure)
            rows = np.ma.getmaskarray(np.ma.masked_invalid(figure.axes[0].collections[0].get_array())).reshape(4, -1)
            assert rows.all(axis=1).tolist() == [False, True, False, False]
            assert not rows[[0, 2, 3]].any()
        # What is there fills the scale: no zero of a hole is in it.
        known = np.delete(np.asarray(result["density"]), 1, axis=1)
        scale = variable.scale_of(result, "density")
        assert (scale.low, scale.high) == (known.min(), known.max())
        for line in plots.plot(result, variable="moment", frame=0).axes[0].get_lines():
            assert np.isnan(line.get_ydata()).tolist() == [False, True, False, False]


@pytest.mark.filterwarnings("ignore:texture.path")
def test_an_orbital_without_a_moment_has_a_density(tmp_path):
    m = np.tile([0.0, 0.0, 1.0], (3, 1))
    m[2] = 0.0
    np.save(tmp_path / "m.npy", m)
    texture = {"kind": "file", "path": str(tmp_path / "m.npy")}
    with run(
        load_deck("wall_in_wire", {"lattice.shape": [3], "texture": texture, "run.duration": 0.0}), tmp_path / "a.h5"
    ) as r:
        assert vacant(r).tolist() == vacant(r, "torque").tolist() == [False, False, True]
        assert vacant(r, "density") is None


def test_a_movie_shows_vacancies(sheet, tmp_path, monkeypatch):
    seen = []
    real = variable.at_frame
    monkeypatch.setattr(variable, "at_frame", lambda figure, *more: (real(figure, *more), seen.append(figure))[0])
    with open_run(sheet) as result:
        assert movie.movie(result, tmp_path / "a.gif") == 4
    assert len(seen) == 4
    assert all("vacant" in words(figure) for figure in seen)


# --- response tensors -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_one(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "one.h5"
    save_response(load_deck("molecular_magnet"), path)
    return path


@pytest.fixture(scope="module")
def of_several(tmp_path_factory):
    path = tmp_path_factory.mktemp("several") / "several.h5"
    save_response(load_deck("precessing_wall", TINY), path)
    return path


def test_tensors_of_one_moment_as_numbers(of_one, tmp_path):
    assert main(["plot", str(of_one), "-o", str(tmp_path / "a.png")]) == 0
    with open_run(of_one) as result:
        figure = plots.plot(result)
        assert [ax.get_title() for ax in figure.axes] == [
            r"damping_tensor ($\hbar$)", r"inertia_tensor ($\hbar$$^2$/eV)", "susceptibility",
        ]  # fmt: skip
        for name, ax in zip(tensors.tensors_of(result), figure.axes, strict=True):
            values = np.asarray(result[name])[0, 0]
            shown = np.array([float(text.get_text()) for text in ax.texts]).reshape(3, 3)
            np.testing.assert_allclose(shown, values, rtol=6e-3, atol=1e-10)
        (ax,) = plots.plot(result, variable="damping_tensor").axes
        np.testing.assert_array_equal(ax.images[0].get_array(), np.asarray(result["damping_tensor"])[0, 0])


def test_tensors_of_several_moments_as_maps(of_several):
    with open_run(of_several) as result:
        alpha = np.asarray(result["damping_tensor"])
        figure = plots.plot(result)
        left, right = figure.axes[:2]
        np.testing.assert_allclose(left.images[0].get_array(), np.einsum("ijaa->ij", alpha) / 3, rtol=1e-12)
        for a, line in enumerate(right.get_lines()):
            np.testing.assert_array_equal(line.get_ydata(), [alpha[i, i, a, a] for i in range(3)])
        panels = plots.plot(result, variable="damping_tensor").axes[:9]
        for (a, b), ax in zip(np.ndindex(3, 3), panels, strict=True):
            np.testing.assert_array_equal(ax.images[0].get_array(), alpha[:, :, a, b])


def test_a_molecule_in_time_stands_beside_its_tensors(tmp_path):
    with run(load_deck("molecular_magnet", {"run.duration": 1.0}), tmp_path / "a.h5") as result:
        titles = [ax.get_title() for ax in plots.plot(result).axes]
    assert r"damping_tensor ($\hbar$)" in titles


# --- words ----------------------------------------------------------------------------------------------------------


def test_labels_longer_than_their_axis_are_broken_before_the_unit():
    figure = Figure(figsize=(3.0, 1.2), layout="constrained")
    ax = figure.subplots()
    ax.set_ylabel("a label that is longer than this ($10^{-3}$ eV)")
    figure.suptitle("a title that is so long that no page of this width has room for all of it")
    fit(figure)
    assert ax.get_ylabel() == "a label that is longer than this\n($10^{-3}$ eV)"
    title = figure.get_suptitle()
    assert "\n" in title
    assert title.replace("\n", " ") == "a title that is so long that no page of this width has room for all of it"
    short = Figure(figsize=(5.0, 3.0), layout="constrained")
    short.subplots().set_ylabel("short (eV)")
    short.suptitle("short")
    fit(short)
    assert (short.axes[0].get_ylabel(), short.get_suptitle()) == ("short (eV)", "short")


def test_units_of_labels():
    assert with_unit("solves", "1") == "solves"
    assert with_unit("torque", "meV") == "torque (meV)"
    assert with_unit("v", "lattice constant meV/hbar") == r"v ($a$ meV/$\hbar$)"
    assert with_unit("I", "hbar^2/(0.5 eV)") == r"I ($\hbar$$^2$/(0.5 eV))"


@pytest.mark.filterwarnings("ignore:texture.path")
def test_no_arrow_stands_for_a_moment_that_is_not_there_in_a_precession(tmp_path):
    m = np.tile([0.6, 0.0, 0.8], (3, 1))
    m[1] = 0.0
    np.save(tmp_path / "m.npy", m)
    changes = {"lattice.shape": [3], "texture": {"kind": "file", "path": str(tmp_path / "m.npy")}, "run.duration": 0.0}
    with run(load_deck("precessing_wall", changes), tmp_path / "a.h5") as r:
        figure = plots.plot(r)
    (arrows, *_) = [each for ax in figure.axes for each in ax.collections if hasattr(each, "U")]
    assert np.ravel(arrows.Umask).tolist() == [False, True, False]


@pytest.mark.parametrize("shape", [[3], [3, 2]])
def test_other_variables_of_pairs(tmp_path, monkeypatch, shape):
    """Numbers and vectors of pairs as maps; at several frequencies what each moment does to itself."""
    n, rng = int(np.prod(shape)), np.random.default_rng(1)
    J, D, A = rng.normal(size=(n, n)), rng.normal(size=(n, n, 3)), rng.normal(size=(4, n, n, 3, 3))

    def as_is(values, lead=0):
        return lambda _: values.reshape(*values.shape[:lead], *shape, *shape, *values.shape[lead + 2 :])

    both, always = ("site", "motion_site"), lambda _: True
    extra = (
        Variable("exchange_constants", both, "energy", "J", always, as_is(J)),
        Variable("dmi_vectors", (*both, "component"), "energy", "D", always, as_is(D)),
        Variable(
            "damping_tensor_real", ("response_frequency", *both, "component", "motion_component"), "hbar", "A", always,
            as_is(A, 1), coordinates=lambda _: {"response_frequency": (0.0, 0.1, 0.2, 0.4)},
        ),
    )  # fmt: skip
    frozen = METHODS["frozen"]
    monkeypatch.setitem(METHODS, "frozen", replace(frozen, variables=(*frozen.variables, *extra)))
    changes = {"lattice.shape": shape, "texture": {"kind": "uniform"}, "run.duration": 0.0}
    with run(load_deck("wall_in_wire", {**changes, "electrons.tolerance": 1e-3}), tmp_path / "a.h5") as r:
        (image,) = images(plots.plot(r, variable="exchange_constants"))
        np.testing.assert_array_equal(image.get_array(), J)
        shown = [image.get_array() for image in images(plots.plot(r, variable="dmi_vectors"))[:3]]
        np.testing.assert_array_equal(np.stack(shown, axis=-1), D)
        panels = plots.plot(r, variable="damping_tensor_real").axes
        for (a, b), ax in zip(np.ndindex(3, 3), panels, strict=True):
            (line,) = ax.get_lines()
            np.testing.assert_array_equal(line.get_xdata(), [0.0, 0.1, 0.2, 0.4])
            np.testing.assert_allclose(line.get_ydata(), [np.mean(A[w, range(n), range(n), a, b]) for w in range(4)])
        assert panels[-1].get_xlabel() == r"$\omega$ (eV/$\hbar$)"
