"""Pictures of sweeps: what is drawn are the numbers of the run files."""

import numpy as np
import pytest

from llgnegf import errors, load_deck, open_run, plot
from llgnegf.cli import main
from llgnegf.deck.key_units import unit_of_key
from llgnegf.sweep import parse_axis, sweep, sweep_results

SHORT = {"lattice.shape": [40], "texture.center": 19.0, "run.duration": 20.0, "magnet.field": [0, 0, 0.05]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Walls by damping, not in their order, and by field."""
    folder = tmp_path_factory.mktemp("sweeps")
    axes = [parse_axis("magnet.damping=0.3,0.01,0.1"), parse_axis("run.seed=1")]
    sweep(load_deck("wall_classical", SHORT), axes, folder / "one", workers=1)
    axes = [parse_axis("magnet.damping=0.3,0.1"), parse_axis("texture.kind=bloch,neel")]
    sweep(load_deck("wall_classical", SHORT), axes, folder / "two", workers=1)
    return folder


def runs_of(folder):
    for path in sorted(folder.glob("*/run.h5")):
        with open_run(path) as run:
            yield run


def test_one_key_gives_curves(folder):
    figure = plot(folder / "one", variable="wall_position")
    expected = sorted((run.deck.magnet.damping, run.wall_position[-1]) for run in runs_of(folder / "one"))
    (line,) = figure.axes[0].get_lines()
    assert list(zip(*line.get_data(), strict=True)) == expected
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("magnet.damping", "wall_position_last ($a$)")
    in_time = {float(line.get_label()): line.get_ydata() for line in figure.axes[1].get_lines()}
    for run in runs_of(folder / "one"):
        np.testing.assert_array_equal(in_time[run.deck.magnet.damping], run.wall_position[:])


def test_two_keys_give_a_map(folder):
    figure = plot(folder / "two", variable="energy_zeeman_last")
    values = np.asarray(figure.axes[0].collections[0].get_array())
    for run in runs_of(folder / "two"):
        column, row = int(run.deck.magnet.damping == 0.3), ["bloch", "neel"].index(run.deck.texture.kind)
        assert values[row, column] == run.energy_zeeman[-1]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["bloch", "neel"]


def test_what_is_drawn_unasked_is_of_walls(folder):
    assert plot(folder / "one").axes[0].get_ylabel() == "wall_position_last ($a$)"


def test_the_command_draws_a_sweep(folder, tmp_path, capsys):
    assert main(["plot", str(folder / "one"), "-o", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert main(["plot", str(folder / "one"), "--variable", "wal_position", "-o", str(tmp_path / "b.png")]) == 2
    assert "--variable wal_position: no column of the sweep; did you mean wall_position" in capsys.readouterr().err
    assert main(["plot", str(folder / "one"), "--variable", "wall_tilt", "--frame", "1"]) == 2
    assert "--frame 1: a sweep has no frames" in capsys.readouterr().err
    assert main(["plot", str(tmp_path)]) == 74
    assert "is a folder without a sweep: sweep.json is not there" in capsys.readouterr().err


def test_three_keys_are_too_many(tmp_path):
    axes = [parse_axis("magnet.damping=0.3,0.1"), parse_axis("run.seed=1,2"), parse_axis("texture.kind=bloch,neel")]
    short = load_deck("wall_classical", {**SHORT, "run.duration": 0.0})
    sweep(short, axes, tmp_path / "three", workers=1)
    with pytest.raises(
        errors.DeckError, match=r"has 3 keys of several values \(magnet\.damping, run\.seed, texture\.k"
    ):
        plot(tmp_path / "three")


def test_labels_and_tables_have_units(folder):
    figure = plot(folder / "one", variable="wall_position")
    legend = figure.axes[1].get_legend()
    assert (figure.axes[0].get_xlabel(), legend.get_title().get_text()) == ("magnet.damping", "magnet.damping")
    figure = plot(folder / "two", variable="energy_zeeman_last")
    assert figure.axes[-1].get_ylabel() == "energy_zeeman_last (meV)"
    units = dict(line.split(",") for line in (folder / "two" / "units.csv").read_text().splitlines())
    assert units["energy_zeeman_mean"] == "meV"
    assert units["time"] == "hbar/meV"
    assert not {"magnet.damping", "texture.kind"} & set(units)
    table = sweep_results(folder / "two")
    assert table["energy_zeeman_last"].attrs["units"] == "meV"
    assert "units" not in table["magnet.damping"].attrs


def test_runs_of_several_units_are_told(tmp_path):
    axes = [parse_axis("units.energy=meV,eV"), parse_axis("magnet.exchange=0.1,0.2")]
    sweep(load_deck("wall_classical", {**SHORT, "run.duration": 0.0}), axes, tmp_path / "s", workers=1)
    table = sweep_results(tmp_path / "s")
    assert table["energy_classical_last"].attrs["units"] == table["magnet.exchange"].attrs["units"] == "of each run"


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("magnet.exchange", "eV"),
        ("electrons.lead.0.voltage", "eV"),
        ("electrons.lead[1].polarization.splitting", "eV"),
        ("electrons.gate.0.profile.period", "hbar/eV"),
        ("magnet.drive.0.profile.frequency", "eV/hbar"),
        ("texture.period", "a"),
        ("texture.width", "a"),
        ("magnet.drive.0.profile.width", "hbar/eV"),
        ("texture.helicity", "rad"),
        ("magnet.zhang_li.velocity", "a eV/hbar"),
        ("magnet.damping", ""),
        ("run.seed", ""),
        ("texture.kind", ""),
    ],
)
def test_the_unit_of_a_key(key, unit):
    assert unit_of_key(key, "eV") == unit
