"""What `import llgnegf` shows and does: completion, help, lazy imports."""

import json
import os
import pydoc
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure

import llgnegf
from llgnegf.cli import main
from llgnegf.deck import shipped_decks
from llgnegf.errors import DeckError, FileError
from tests.test_older_runs import RUNS as OLDER
from tests.test_simulation import CLASSICAL, deck

ALL = set(llgnegf.__all__)


def test_completion_and_help_show_every_door():
    fresh = "import llgnegf; print(*dir(llgnegf))"
    shown = set(
        subprocess.run([sys.executable, "-c", fresh], capture_output=True, text=True, check=True).stdout.split()
    )
    assert {name for name in shown if not name.startswith("_")} == {name for name in ALL if not name.startswith("_")}
    page = pydoc.plain(pydoc.render_doc(llgnegf))
    for name in ("load_deck", "deck_from", "run", "resume", "open_run", "plot", "build_device", "initial_moments"):
        assert f"    {name}(" in page
    for name in ("Device", "Lead", "Deck", "Run"):
        assert f"class {name}(" in page


def test_every_door_opens_and_names_its_home():
    for name in ALL:
        assert getattr(llgnegf, name) is not None
    assert llgnegf.electrons.Device is llgnegf.Device
    assert llgnegf.errors.DeckError is DeckError
    with pytest.raises(AttributeError, match=r"no attribute 'laod_deck'; it has Deck, Device"):
        _ = llgnegf.laod_deck


def test_looking_at_the_doors_opens_none():
    """Nothing that needs compiled kernels is loaded by completion or by the doors to decks."""
    script = (
        "import sys, llgnegf; dir(llgnegf); llgnegf.load_deck; llgnegf.errors\n"
        "raise SystemExit('numba' in sys.modules or 'h5py' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# --- decks from dictionaries ----------------------------------------------------------------------------------------

SMALL = {
    "lattice": {"shape": [3]},
    "texture": {"kind": "uniform", "direction": np.array([1.0, 0.0, 1.0])},
    "integrator": {"step": np.float64(0.1)},
    "run": {"duration": 1, "save_every": None},
    "electrons": None,
}


@pytest.mark.parametrize("name", shipped_decks())
def test_a_deck_of_the_tables_of_a_deck_is_that_deck(name):
    deck = llgnegf.load_deck(name)
    again = llgnegf.deck_from(deck.tables(), folder=deck.folder, name=deck.name)
    assert again.tables() == deck.tables()
    assert (again.folder, again.name, again.n_steps) == (deck.folder, deck.name, deck.n_steps)
    assert llgnegf.deck.parse_deck(again.text).tables() == deck.tables()


def test_a_deck_from_a_dictionary_runs(tmp_path):
    deck = llgnegf.deck_from(SMALL, magnet__field=(0, 0, 0.5))
    assert deck.texture.direction == (1.0, 0.0, 1.0)
    assert (deck.magnet.field, deck.electrons, deck.run.save_every) == ((0.0, 0.0, 0.5), None, 0.1)
    assert llgnegf.deck_from({**SMALL, "magnet.field": [0, 0, 0.5]}).tables() == deck.tables()
    with llgnegf.run(deck, tmp_path / "a.h5") as run:
        assert run.n_frames == 11
        assert run.deck.tables() == deck.tables()


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({**SMALL, "magnet": {"alpha": 0.1}}, 'magnet.alpha = 0.1: unknown key; did you mean "damping"?'),
        ({**SMALL, "run": {"duration": "long"}}, 'run.duration = "long": must be a number >= 0'),
        ({**SMALL, "lattice": {"shape": object()}}, "cannot be written in a deck"),
        ({**SMALL, 3: 4}, "3: the keys of a deck are texts"),
        ({}, "lattice is missing"),
        (
            "precessing_wall",
            "deck_from takes a dictionary of tables, got str; a file or a shipped deck is read by load",
        ),
        (None, "deck_from takes a dictionary of tables, got NoneType"),
    ],
)
def test_wrong_dictionaries_are_told_like_wrong_decks(tables, told):
    with pytest.raises(DeckError) as caught:
        llgnegf.deck_from(tables)
    assert told in str(caught.value)


def test_changes_are_not_taken_for_the_folder():
    """load_deck takes a second dictionary, deck_from the folder of the deck."""
    with pytest.raises(DeckError, match=r"folder = {.magnet.damping.: 0.1}: .*keyword arguments such as"):
        llgnegf.deck_from(SMALL, {"magnet.damping": 0.1})


def test_a_dictionary_given_to_another_door_is_told_where_it_belongs(tmp_path):
    for door in (llgnegf.load_deck, lambda tables: llgnegf.run(tables, tmp_path / "a.h5")):
        with pytest.raises(DeckError, match="a dictionary is read by deck_from"):
            door(SMALL)


# --- pictures -------------------------------------------------------------------------------------------------------


def test_plot_returns_the_figure(tmp_path):
    deck = llgnegf.deck.parse_deck(CLASSICAL)
    with llgnegf.run(deck, tmp_path / "a.h5") as run:
        figure = llgnegf.plot(run)
        assert not list(tmp_path.glob("*.png"))
        written = llgnegf.plot(run, tmp_path / "b.png")
    assert isinstance(figure, Figure)
    assert isinstance(written, Figure)
    assert (tmp_path / "b.png").stat().st_size > 10_000
    again = llgnegf.plot(tmp_path / "a.h5")
    assert [ax.get_ylabel() for ax in again.axes] == [ax.get_ylabel() for ax in figure.axes]
    again.axes[0].set_ylabel("mine")
    again.savefig(tmp_path / "c.pdf")
    assert (tmp_path / "c.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(FileError, match="no such file"):
        llgnegf.plot(tmp_path / "none.h5")


# --- files that are there, and times --------------------------------------------------------------------------------


def _foreign(path):
    with h5py.File(path, "w") as file:
        file["measured"] = [1.0, 2.0]
        file.attrs["format"] = "another program"


@pytest.mark.parametrize("make", [lambda path: path.write_text("title = 'the only copy'"), _foreign])
def test_overwriting_replaces_run_files_alone(tmp_path, make):
    path = tmp_path / "run.h5"
    make(path)
    content = path.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(DeckError, match=r"run\.h5 is there and is not a run file of llgnegf: give another name"):
            llgnegf.run(deck(CLASSICAL), path, overwrite=overwrite)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["run.h5"]


def test_overwriting_replaces_runs_damaged_ones_and_empty_files(tmp_path):
    path = tmp_path / "run.h5"
    path.touch()
    llgnegf.run(deck(CLASSICAL), path, overwrite=True).close()
    os.truncate(path, 9000)
    llgnegf.run(deck(CLASSICAL), path, overwrite=True).close()
    with zipfile.ZipFile(OLDER) as older:
        path.write_bytes(older.read(next(name for name in older.namelist() if name.endswith(".h5"))))
    assert not path.read_bytes().startswith(b"llgnegf")  # before run files had seals
    llgnegf.run(deck(CLASSICAL), path, overwrite=True).close()
    with llgnegf.open_run(path) as result:
        assert result.frames_ok().all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"until": "never"}, r'until = "never" \(--until\): must be a number >= 0'),
        ({"until": -1}, r"until = -1\.0 \(--until\): must be a number >= 0"),
        ({"until": 0.25}, r"until = 0\.25 \(--until\): must be a multiple of integrator\.step = .*nearest: "),
        ({"walltime": "soon"}, "walltime: 'soon' is not a wall time: write for example"),
        ({"walltime": [1]}, r"walltime = \[1\]: must be a number >= 0 of seconds, or a text such as"),
        ({"walltime": float("nan")}, "walltime = nan: must be a number >= 0 of seconds"),
    ],
    ids=str,
)
def test_times_that_are_none_are_told_by_their_names(tmp_path, words, message):
    with pytest.raises(DeckError, match=message):
        llgnegf.run(deck(CLASSICAL), tmp_path / "run.h5", **words)
    assert os.listdir(tmp_path) == []


def test_a_wall_time_in_words(tmp_path):
    with llgnegf.run(deck(CLASSICAL), tmp_path / "run.h5", walltime="1h30m") as result:
        assert result.n_frames


def test_control_characters_of_a_title_are_visible(tmp_path, capsys):
    title = "wall\x1b[2J\nno\x07 \u202eright\u2028 to \xb5eV, \u03b1 \U0001f9f2"
    path = tmp_path / "d.toml"
    path.write_text(CLASSICAL)
    llgnegf.run(llgnegf.load_deck(path, {"title": title}), tmp_path / "run.h5").close()
    for words in (
        ("show", str(tmp_path / "run.h5")),
        ("check", str(path), "--set", f"title={json.dumps(title, ensure_ascii=False)}"),
    ):
        assert main(list(words)) == 0
        line = capsys.readouterr().out.splitlines()[0]
        assert "wall\\x1b[2J\\nno\\x07 \\u202eright\\u2028 to \xb5eV, \u03b1 \U0001f9f2" in line
