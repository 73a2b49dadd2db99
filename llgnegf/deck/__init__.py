"""Decks: the TOML description of a run, read, overridden, judged.

Knows nothing of the physics, of run files or of numba: `llgnegf list` and a typo in a deck need none of them.  The
doors are imported when first used, so that who only lists decks, or tells of a run, does not wait for the tables.

deck.py       the `Deck`, and how it is read        messages.py   what is wrong with a key, in words
tables.py     every key, its range and default      conflicts.py  keys that contradict each other
rules.py      what a single key accepts             edit.py       changing single keys, comments kept
synonyms.py   other names for keys                  schema.py     the tables as a JSON schema, for editors
table.py      the base of all tables                profiles.py   functions of time (profile_files.py: from files)
drive_conflicts.py  contradictions among what changes in time
outline.py    a judged deck in a few numbers        shipped.py    the decks that come with the package
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llgnegf.deck.deck import (
        FREE_ON_RESUME,
        Deck,
        changes_past,
        deck_from,
        load_deck,
        parse_deck,
        recorded_deck,
        with_changes,
        with_refresh,
    )
    from llgnegf.deck.edit import parse_override
    from llgnegf.deck.rules import parse_wall_time
    from llgnegf.deck.shipped import shipped_decks

__all__ = [
    "FREE_ON_RESUME",
    "Deck",
    "changes_past",
    "deck_from",
    "load_deck",
    "parse_deck",
    "parse_override",
    "parse_wall_time",
    "recorded_deck",
    "shipped_decks",
    "with_changes",
    "with_refresh",
]

_HOMES = {"parse_override": "edit", "parse_wall_time": "rules", "shipped_decks": "shipped"}  # all others: deck


def __getattr__(name: str) -> Any:
    import importlib

    if name not in __all__:
        raise AttributeError(f"module 'llgnegf.deck' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"llgnegf.deck.{_HOMES.get(name, 'deck')}"), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
