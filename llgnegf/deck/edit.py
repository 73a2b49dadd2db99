"""Changing single keys of a deck, in the text (comments survive) and in the parsed tables alike."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from llgnegf.errors import DeckError

_LONG = 100


def parse_override(text: str) -> tuple[str, Any]:
    """("a.b", value) from "a.b=value"; the value is TOML, a bare word is a string.  Raises DeckError."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key or not value:
        raise DeckError(f"{text!r}: must be KEY=VALUE, for example electrons.temperature=0.01")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except ValueError as error:
        if value[0] in "[{\"'":
            raise DeckError(f"{key} = {value}: not a TOML value: {error}") from None
        return key, value
    return key, parsed["value"] if len(parsed) == 1 else value


def edited(text: str, raw: dict[str, Any], overrides: Mapping[str, object]) -> tuple[str, dict[str, Any]]:
    """The text and the tables of a deck after `overrides`, which are put in one after the other.

    Raises DeckError, with one line for each override that has no place in the deck.
    """
    problems = []
    changes = []
    for key, value in overrides.items():
        try:
            path, plain = _path(key), _plain(value)
            _put(raw, path, plain, dict)
            changes.append((path, plain))
        except _NoPlace as error:
            problems.append(f"{key}: {error}")
    if problems:
        raise DeckError(problems)
    return _edited_text(text, raw, changes), raw


def _edited_text(text: str, raw: dict[str, Any], changes: list[tuple[list[str | int], Any]]) -> str:
    """The text with the changes in place, or, where its layout resists, a fresh text that says the same."""
    import tomlkit  # here: most decks are taken as they are
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        for path, value in changes:
            _put(document, path, _written(value), tomlkit.table)
        result = tomlkit.dumps(document)
        if tomllib.loads(result) == raw:
            return result
    except (TOMLKitError, ValueError, TypeError, KeyError, IndexError, AttributeError, _NoPlace):
        pass  # tomlkit knows fewer layouts than TOML has; what the deck says matters more than its comments
    return tomlkit.dumps(raw)


def _written(value: Any) -> Any:
    """The same, but long lists of numbers as parsed text: tomlkit takes half a minute to append ten thousand."""
    import tomlkit

    if isinstance(value, Mapping):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list) and len(value) > _LONG and all(type(item) is float for item in value):
        return tomlkit.value(f"[{', '.join(map(repr, value))}]")
    return value


class _NoPlace(Exception):
    """The key leads nowhere, or the value cannot be written."""


def _path(key: str) -> list[str | int]:
    """electrons.lead.0.side and electrons.lead[0].side -> ["electrons", "lead", 0, "side"]."""
    parts = re.sub(r"\[(\d+)\]", r".\1", key).split(".")
    if not all(part.strip() for part in parts):
        raise _NoPlace("must be a dotted key, for example electrons.temperature")
    return [int(part) if re.fullmatch(r"\d{1,9}", part.strip(), flags=re.ASCII) else part.strip() for part in parts]


def _plain(value: Any) -> Any:
    """TOML's own types from Python's and NumPy's."""
    if isinstance(value, bool | int | float | str):
        return value if type(value) in (bool, int, float, str) else _base(value)
    if isinstance(value, Mapping):
        # None stands for a key that is left out, as in `Deck.tables`.
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _plain(value.tolist())
    if hasattr(value, "__fspath__"):
        return str(value)
    if hasattr(value, "isoformat"):  # a date, which TOML has and no key takes: the tables will say so
        return value
    raise _NoPlace(f"{value!r} cannot be written in a deck; allowed: numbers, texts, true, false, lists and tables")


def _base(value: Any) -> Any:
    return next(base(value) for base in (int, float, str) if isinstance(value, base))


def _of_list(where: str, n: int) -> str:
    """What may follow the name of a list of n items."""
    there = {0: "has no item", 1: f"has one item, {where}.0"}.get(n, f"has {n} items, {where}.0 to {where}.{n - 1}")
    return f"{where} {there}; {where}.{n} makes a new one"


def _put(tables: Any, path: list[str | int], value: Any, new_table: Any) -> None:
    """Sets one key, making the tables on its way."""
    here = tables
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        where = ".".join(map(str, path[:depth]))
        if isinstance(here, list):
            if not isinstance(part, int) or part > len(here):
                raise _NoPlace(_of_list(where, len(here)))
            if part == len(here):
                here.append(value if last else new_table())
            elif last:
                here[part] = value
            here = here[part]
        elif isinstance(here, Mapping):
            name = str(part)
            if last:
                here[name] = value  # type: ignore[index]
            else:
                if name not in here:
                    following = path[depth + 1]
                    here[name] = [] if isinstance(following, int) else new_table()  # type: ignore[index]
                here = here[name]
        else:
            raise _NoPlace(f"{where} = {here!r} is a value, not a table")
