"""Figures of the geometric-torque paper: what the text of the paper states and closed forms, read from the CSV data."""

import csv
from collections import defaultdict

import numpy as np
import pytest

from llgnegf.cli import main
from llgnegf.errors import DeckError
from llgnegf.reproduce import TARGETS, choose


def read(path):
    data = defaultdict(lambda: ([], []))
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            x, y = data[row["panel"], row["curve"]]
            x.append(float(row["x"]))
            y.append(float(row["y"]))
    return {key: (np.array(x), np.array(y)) for key, (x, y) in data.items()}


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    assert main(["reproduce", "fig2", "fig3", "fig4", "figS1", "-o", str(folder)]) == 0
    for name in ("fig2", "fig3", "fig4", "figS1"):
        assert (folder / f"{name}.png").stat().st_size > 20_000
    return {name: read(folder / f"{name}.csv") for name in ("fig2", "fig3", "fig4", "figS1")}


def test_single_moment_follows_the_phase_shift_formula(figures):
    """Sum against (2D - sin 2D)/4pi and (1 - cos 2D)/4pi; geo at gamma_c = t against J/(2 sqrt(J^2 + 4t^2))."""
    data = figures["fig2"]
    for panel in "abcd":
        assert data[panel, "sum"][1] == pytest.approx(data[panel, "phase shift (sum)"][1], abs=1e-8)
    for panel, J in (("a", 0.1), ("b", 20.0)):
        geometric = data[panel, "geometric"][1]
        assert geometric[0] == pytest.approx(0.5, abs=1e-8)
        assert geometric[-1] == pytest.approx(J / (2 * np.sqrt(J**2 + 4)), abs=1e-8)
    ratio = data["a", "sea"][1][-1] / data["a", "geometric"][1][-1]
    assert ratio == pytest.approx(-0.363, abs=1e-3)


def test_closed_wall_feels_the_geometric_torque_alone(figures):
    for name in ("fig3", "figS1"):
        for panel in "abcd":
            assert abs(figures[name][panel, "geometric"][1]).max() > (1e-4 if name == "fig3" or panel in "ab" else -1)
            for part in ("sea", "surface"):
                assert abs(figures[name][panel, part][1]).max() < 1e-8


def test_open_wall_profiles(figures):
    """Surface damping-like torque dominates at J = 0.1; the Neel wall's geometric torque is field-like only."""
    bloch, neel = figures["fig3"], figures["figS1"]
    assert abs(bloch["g", "surface"][1]).max() > 10 * abs(bloch["g", "geometric"][1]).max()
    assert abs(bloch["f", "surface"][1]).max() < 0.01 * abs(bloch["f", "geometric"][1]).max()
    for panel in "cdgh":
        assert abs(neel[panel, "geometric"][1]).max() < 1e-8


def test_total_damping_is_the_pumped_spin_current(figures):
    data = figures["fig4"]
    assert data["a", "surface"][1] == pytest.approx(data["a", "pumped (leads)"][1], abs=1e-10)
    assert abs(data["a", "geometric"][1]).max() < 1e-8
    assert abs(data["c", "geometric"][1].sum()) < 1e-10
    assert abs(data["c", "geometric"][1]).max() > 1e-6


def test_names(capsys):
    assert choose([]) == choose(["all"]) == [name for name, target in TARGETS.items() if target.group == "all"]
    with pytest.raises(DeckError, match='reproduce fig33: no such figure; did you mean "fig3"'):
        choose(["fig33"])
    with pytest.raises(DeckError) as told:
        choose(["nosuch"])
    names = str(told.value).partition("allowed: ")[2].split(", ")
    assert len(names) == len(set(names))
    assert main(["reproduce", "fig33"]) == 2
    assert main(["reproduce", "--list"]) == 0
    assert "beyond the paper" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.beyond] + ["figS2", "figS3"])
def test_every_other_figure_is_made(name, tmp_path):
    assert main(["reproduce", name, "-o", str(tmp_path)]) == 0
    data = read(tmp_path / f"{name}.csv")
    assert all(np.isfinite(y).all() for _, y in data.values())
    if name.startswith("exact_") and name != "exact_figS3":
        # At the lowest frequency the exact curve lies on the first-order one.  Not so in the closed Bloch wall at
        # J_sd = 0.1, panels a and c: its levels at E_F are 0.033 apart, and first order divides by the square of that.
        near_degenerate = ("a", "c") if name in ("exact_fig3", "exact_figS1") else ()
        for (panel, curve), (_, y) in data.items():
            if curve.startswith("first order") and panel not in near_degenerate:
                exact = data[panel, r"exact, $\hbar\omega$ = 0.001"][1]
                assert abs(exact - y).max() < 0.02 * max(abs(y).max(), 1e-3)
