"""What `import llgnegf` shows and does: completion, help, lazy imports."""

import pydoc
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import llgnegf
from llgnegf.deck import shipped_decks
from llgnegf.errors import DeckError, FileError
from tests.test_simulation import CLASSICAL

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
