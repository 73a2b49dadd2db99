"""The outline of a deck, read without the tables, says what the deck itself says, defaults included."""

import pytest

from llgnegf.deck import load_deck, parse_deck, shipped_decks
from llgnegf.deck.outline import outline_of
from tests.deck.test_deck import SMALL, SQUARE, WIRE


def same(deck):
    """Whether all that the outline says is what the deck says."""
    found, electrons, motion = outline_of(deck.text), deck.electrons, deck.motion
    assert (found.title, found.shape, found.duration) == (deck.title, deck.lattice.shape, deck.run.duration)
    assert (found.energy_ev, found.energy_label) == (deck.units_energy_ev, deck.units.label)
    assert tuple(axis in found.periodic_axes for axis in "xy"[: len(found.shape)]) == deck.lattice.periodic_axes
    assert found.texture == deck.texture.kind
    assert (found.motion, found.axis, found.frequency) == (motion.kind, motion.axis, motion.frequency)
    assert found.is_imposed == motion.is_imposed
    assert found.order == (None if electrons is None else electrons.order)
    assert found.back_action == (None if electrons is None else electrons.back_action)
    zhang_li = deck.magnet.zhang_li
    assert found.zhang_li_velocity == ((0.0, 0.0) if zhang_li is None else zhang_li.velocity)


@pytest.mark.parametrize("name", shipped_decks())
def test_of_shipped_decks(name):
    same(load_deck(name))


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (SMALL.replace("title", "# title"), {}),
        (SMALL, {"units.energy": "meV", "lattice.periodic": True}),
        (SMALL, {"units.energy": 2, "motion.kind": "frozen", "run.duration": 3}),
        (SQUARE, {"lattice.periodic": "y"}),
        (SQUARE, {"magnet.zhang_li": {"velocity": [1, -0.5]}}),
        (SQUARE, {"magnet.zhang_li": {"beta": 0.5}}),
        (SQUARE, {"lattice.periodic": "xy"}),
        (SMALL, {"lattice.periodic": "x"}),
        (WIRE, {}),
        (WIRE, {"electrons.order": 0, "electrons.back_action": 0}),
        (WIRE, {"motion": {"kind": "precession", "axis": [0, 0, 2], "frequency": 1}}),
    ],
)
def test_of_defaults_and_of_all_that_it_tells(text, changes):
    same(parse_deck(text, overrides=changes))


@pytest.mark.parametrize("text", ["hello", "", "lattice = 3", "[lattice]\nshape = 3\n", "texture = []"])
def test_what_is_no_deck_has_none(text):
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        outline_of(text)
