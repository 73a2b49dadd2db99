"""Ensembles: mean and spread over paths, made once and gone on with."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from llgnegf import open_run
from llgnegf.cli import main
from llgnegf.deck import load_deck, parse_deck
from llgnegf.errors import DeckError, RunError
from llgnegf.plots import plot
from llgnegf.sweep import ensemble
from llgnegf.sweep import runs as sweeping
from llgnegf.sweep.paths import ENSEMBLE_FILE, _batches, seeds, write_statistics
from llgnegf.sweep.work import ERROR_FILE, RUN_FILE, Outcome, work

DECK = """
title = "three moments"
[lattice]
shape = [3]
[texture]
kind = "uniform"
direction = [1, 0, 1]
[magnet]
exchange = 0.2
damping = 0.3
temperature = 0.1
[integrator]
step = 0.1
[run]
duration = 1.0
save_every = 0.2
seed = 4
"""


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """As a sweep does its runs, without the time that processes take to start."""
    monkeypatch.setattr(sweeping, "this_machine", lambda tasks, stop, workers: (work(task) for task in tasks))


def read(folder):
    with h5py.File(folder / ENSEMBLE_FILE) as file:
        return {name: file[name][()] for name in file}, dict(file.attrs)


def paths_of(folder):
    told = json.loads((folder / "sweep.json").read_text())
    return [folder / point["folder"] / RUN_FILE for point in told["points"]]


def test_mean_and_spread_are_those_of_the_runs(tmp_path):
    deck = parse_deck(DECK)
    rows = ensemble(deck, 5, tmp_path / "e")
    assert [row["run.seed"] for row in rows] == ["4", "5", "6", "7", "8"]
    found, attrs = read(tmp_path / "e")
    assert (attrs["paths"], attrs["paths_asked"], attrs["seed"], attrs["title"]) == (5, 5, 4, "three moments")
    runs = [open_run(path) for path in paths_of(tmp_path / "e")]
    assert np.array_equal(found["time"], runs[0].times)
    in_time = [name for name in runs[0].names if name not in ("time", "step", "solves")]
    assert {f"{name}_{ending}" for name in in_time for ending in ("mean", "std", "paths")} <= found.keys()
    for name in in_time:
        values = np.array([np.asarray(run[name]) for run in runs])
        assert np.allclose(found[f"{name}_mean"], values.mean(axis=0), rtol=1e-12, atol=1e-15)
        assert np.allclose(found[f"{name}_std"], values.std(axis=0, ddof=1), rtol=1e-9, atol=1e-12)
        assert found[f"{name}_paths"].tolist() == [5] * 6
    assert found["moment_std"][0].max() < 1e-15
    assert found["moment_std"][-1].min() > 0.01
    for run in runs:
        run.close()


def test_it_goes_on_with_more_paths(tmp_path, monkeypatch):
    deck, folder = parse_deck(DECK), tmp_path / "e"
    ensemble(deck, 2, folder)
    two, _ = read(folder)
    made = []

    def counting(tasks, stop, workers):
        for task in tasks:
            made.append(task)
            yield work(task)

    monkeypatch.setattr(sweeping, "this_machine", counting)
    ensemble(deck, 4, folder)
    assert len(made) == 2
    four, _ = read(folder)
    assert (four["moment_paths"] == 4).all()
    ensemble(deck, 2, folder)
    assert len(made) == 2
    again, _ = read(folder)
    assert all(np.array_equal(again[name], two[name], equal_nan=again[name].dtype.kind == "f") for name in two)


def test_it_opens_in_xarray(tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    ensemble(parse_deck(DECK), 2, tmp_path)
    with xarray.open_dataset(tmp_path / ENSEMBLE_FILE, engine="h5netcdf") as found:
        assert found["moment_mean"].dims == ("time", "x", "component")
        assert found["moment_paths"].dims == ("time",)
        assert "unit vectors" in found["moment_std"].long_name
        assert found["energy_classical_mean"].units == "eV"


def test_walls_that_have_left_and_angles(tmp_path):
    """NaN are left out path by path, and tilts are followed through pi."""
    changes = {
        "lattice.shape": [9],
        "texture": {"kind": "bloch", "width": 1.5},
        "magnet.anisotropy": 0.1,
        "magnet.temperature": 0.5,
        "run.duration": 12.0,
        "run.save_every": 0.5,
    }
    ensemble(parse_deck(DECK, overrides=changes), 6, tmp_path)
    found, _ = read(tmp_path)
    runs = [open_run(path) for path in paths_of(tmp_path)]
    positions = np.array([np.asarray(run["wall_position"]) for run in runs])
    there = np.isfinite(positions).sum(axis=0)
    assert there.min() < 6
    assert found["wall_position_paths"].tolist() == there.tolist()
    several = there > 1
    assert np.allclose(found["wall_position_mean"][several], np.nanmean(positions, axis=0)[several])
    assert np.allclose(found["wall_position_std"][several], np.nanstd(positions, axis=0, ddof=1)[several])
    assert np.isnan(found["wall_position_std"][~several]).all()
    tilts = np.array([np.asarray(run["wall_tilt"]) for run in runs])
    jumps = (abs(np.diff(tilts, axis=1)) > np.pi).any()
    assert jumps
    followed = [np.array(tilt) for tilt in tilts]
    for tilt in followed:
        known = np.isfinite(tilt)
        tilt[known] = np.unwrap(tilt[known])
    assert np.allclose(found["wall_tilt_mean"][several], np.nanmean(followed, axis=0)[several])
    for run in runs:
        run.close()


def test_much_is_summed_in_parts(tmp_path, monkeypatch):
    """The same numbers where only a few frames of a variable are held at once."""
    ensemble(parse_deck(DECK), 3, tmp_path)
    whole, _ = read(tmp_path)
    runs = paths_of(tmp_path)
    monkeypatch.setattr("llgnegf.sweep.paths._MOST_HELD", 300)
    with open_run(runs[0]) as first:
        assert len(list(_batches(first))) > 4
    write_statistics(tmp_path / ENSEMBLE_FILE, parse_deck(DECK), runs, 3)
    parts, _ = read(tmp_path)
    assert all(np.array_equal(parts[name], whole[name], equal_nan=whole[name].dtype.kind == "f") for name in whole)


def test_paths_that_fail_are_left_out(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.toml").write_text(DECK)
    monkeypatch.chdir(tmp_path)

    def crew(tasks, stop, workers):
        return (_failed(task) if k == 1 else work(task) for k, task in enumerate(tasks))

    monkeypatch.setattr(sweeping, "this_machine", crew)
    assert main(["ensemble", "a.toml", "--paths", "3", "-o", "e"]) == 1
    told = capsys.readouterr()
    assert "no luck" in told.err
    assert "2 of 3 runs done in e; see e/ensemble.h5" in told.out
    _, attrs = read(tmp_path / "e")
    assert (attrs["paths"], attrs["paths_asked"]) == (2, 3)


def _failed(task):
    Path(task.folder).mkdir(parents=True)
    (Path(task.folder) / ERROR_FILE).write_text("no luck\n")
    return Outcome(task.folder, "failed", "no luck")


def test_other_times_are_refused(tmp_path):
    deck = parse_deck(DECK)
    ensemble(deck, 1, tmp_path)
    ensemble(parse_deck(DECK, overrides={"run.seed": 9, "run.save_every": 0.5}), 1, tmp_path / "other")
    with pytest.raises(RunError, match=r"has other frames than .*: remove its folder"):
        write_statistics(tmp_path / "x.h5", deck, [*paths_of(tmp_path), *paths_of(tmp_path / "other")], 2)
    assert not list(tmp_path.glob("*x.h5*"))


@pytest.mark.parametrize(
    ("changes", "paths", "words"),
    [
        ({}, 0, r"--paths 0: must be at least 1"),
        ({"magnet.temperature": 0.0}, 3, r"every path would be the same, .*; allowed: magnet\.temperature > 0, elec"),
        ({"run.seed": 2**63 - 2}, 3, r"run\.seed = 9223372036854775806: is the first of 3 seeds; allowed: up to"),
    ],
)
def test_what_makes_no_ensemble(changes, paths, words):
    with pytest.raises(DeckError, match=words):
        seeds(parse_deck(DECK, overrides=changes), paths)
    seeds(parse_deck(DECK, overrides={"magnet.temperature": 0.0, "texture": {"kind": "random"}}), 3)


def test_the_picture_shows_mean_and_spread(tmp_path):
    ensemble(parse_deck(DECK), 3, tmp_path)
    figure = plot(tmp_path, tmp_path / "a.png", variable="energy_exchange")
    found, _ = read(tmp_path)
    left, right = figure.axes[0], figure.axes[1]
    assert any(np.allclose(line.get_ydata(), found["energy_exchange_mean"]) for line in left.lines)
    assert np.allclose(right.lines[0].get_ydata(), found["energy_exchange_std"] ** 2)
    with pytest.raises(DeckError, match="--variable moment: no number in time of the ensemble"):
        plot(tmp_path, variable="moment")


@pytest.mark.slow
def test_the_shipped_wall_diffuses(tmp_path):
    """<dX^2> = 2 D t, D = alpha kT width/[2 S (1 + alpha^2)]; the variance of 60 paths is known to 18 %."""
    deck = load_deck("diffusing_wall")
    ensemble(deck, 60, tmp_path)
    found, _ = read(tmp_path)
    magnet = deck.magnet
    width = np.sqrt(magnet.exchange / (2 * magnet.anisotropy))
    diffusion = magnet.damping * magnet.temperature * width / (2 * magnet.spin * (1 + magnet.damping**2))
    late = found["time"] > 20
    slope = found["wall_position_std"][late] ** 2 / found["time"][late]
    assert slope.mean() == pytest.approx(2 * diffusion, rel=0.4)


def test_show_tells_mean_and_spread_of_all_numbers_with_their_units(tmp_path, capsys):
    deck = parse_deck(DECK, overrides={"units.energy": "meV", "run.duration": 0.2})
    ensemble(deck, 3, tmp_path / "e")
    found, _ = read(tmp_path / "e")
    for path in (tmp_path / "e", tmp_path / "e" / ENSEMBLE_FILE):
        assert main(["show", str(path)]) == 0
        told = capsys.readouterr().out
        assert "three moments" in told
        assert "paths        3, seeds from 4 on" in told
        assert "t = 0.2 of 0.2 hbar/meV" in told
        (row,) = [line.split() for line in told.splitlines() if line.startswith("  energy_exchange ")]
        assert row[2] == row[5] == "+-"
        assert row[-1] == "meV"
        for column, frame in ((1, 0), (4, -1)):
            assert float(row[column]) == pytest.approx(found["energy_exchange_mean"][frame], rel=1e-7)
            assert float(row[column + 2]) == pytest.approx(found["energy_exchange_std"][frame], rel=1e-2, abs=1e-14)
        assert "  moment" not in told  # of sites
    with h5py.File(tmp_path / "e" / ENSEMBLE_FILE) as file:
        assert file["time"].attrs["units"] == "hbar/meV"
    assert main(["plot", str(tmp_path / "e" / ENSEMBLE_FILE), "-o", str(tmp_path / "a.png")]) == 0
