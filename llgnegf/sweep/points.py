"""The combinations of a sweep: values of each key as they are written, a deck and a folder for each combination."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.deck import FREE_ON_RESUME, Deck, parse_override, with_changes
from llgnegf.errors import DeckError, RunWarning

MANY = 100_000  # runs that are only begun when they were asked for twice
_MOST_VALUES = 1_000_000  # of one key, whatever was asked for
_MOST_JUDGED = 2_000  # combinations that are judged one by one before the start; of more, each value of each key
_SPACED = re.compile(r"(lin|log)\((.*)\)")
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Axis:
    """A key of a deck and its values.  texts: as they were written, which name them; values: what they mean."""

    key: str
    texts: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Point:
    """One combination: the texts of its values by key, its deck, and the name of its folder."""

    texts: dict[str, str]
    deck: Deck
    folder: str


def parse_axis(text: str) -> Axis:
    """The axis of "a.b=v1,v2", "a.b=lin(first,last,n)" or "a.b=log(first,last,n)", n values with both ends.

    Values are TOML; commas within brackets and quotes do not part them.  Raises DeckError.
    """
    key, equals, written = (part.strip() for part in text.partition("="))
    if not equals or not key or not written:
        raise DeckError(f"--set {text}: must be KEY=VALUE,VALUE,..., KEY=lin(FIRST,LAST,N) or KEY=log(FIRST,LAST,N)")
    spaced = _SPACED.fullmatch(written)
    texts = _spaced(key, spaced[1], spaced[2]) if spaced else _parted(key, written)
    values = tuple(parse_override(f"{key}={each}")[1] for each in texts)
    seen: set[Any] = set()
    tables: list[Any] = []  # and lists, which no set can hold
    for written_so, value in zip(texts, values, strict=True):
        plain = isinstance(value, int | float | str)
        if value in (seen if plain else tables):
            raise DeckError(f"--set {key}: the value {written_so} is given twice")
        (seen.add if plain else tables.append)(value)
    return Axis(key, tuple(texts), values)


def _spaced(key: str, kind: str, inside: str) -> list[str]:
    try:
        first, last, n = inside.split(",")
        low, high, count = float(first), float(last), int(n)
        if not (math.isfinite(low) and math.isfinite(high) and count >= 1 and (count > 1 or low == high)):
            raise ValueError
        if kind == "log" and not low * high > 0:
            raise ValueError
    except ValueError:
        more = ", of one sign and not 0" if kind == "log" else ""
        raise DeckError(
            f"--set {key}={kind}({inside}): must be {kind}(FIRST,LAST,N), finite numbers{more}, and N of them, a whole "
            "number of at least 2; it stands alone, without other values"
        ) from None
    if count > _MOST_VALUES:
        raise DeckError(f"--set {key}={kind}({inside}): {count} values are more than {_MOST_VALUES}")
    if (
        kind == "lin"
        and count > 1
        and _is_whole(first)
        and _is_whole(last)
        and (int(last) - int(first)) % (count - 1) == 0
    ):
        return [str(int(first) + i * (int(last) - int(first)) // (count - 1)) for i in range(count)]
    values = np.linspace(low, high, count) if kind == "lin" else np.geomspace(low, high, count)
    # Rounded where that is what was meant: 0.3 and not 0.30000000000000004.
    return [repr(float(f"{value:.14g}")) for value in values.tolist()]


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?\d+\s*", text) is not None


def _parted(key: str, written: str) -> list[str]:
    """The values between commas that no bracket and no quote encloses."""
    parts, depth, quote = [""], 0, ""
    for letter in written:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    parts = [part.strip() for part in parts]
    if "" in parts:
        raise DeckError(f"--set {key}={written}: a value is missing between two commas, or at an end")
    return parts


def points_of(base: Deck, axes: Sequence[Axis], many: bool = False) -> list[Point]:
    """All combinations, the last axis fastest; every deck is judged before any of them runs.

    many: whether more than `MANY` are meant.  Raises DeckError with what is wrong with any combination, each mistake
    once, and for a key that comes twice.
    """
    keys = [axis.key for axis in axes]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DeckError(f"--set {twice}: is given twice; its values go into one --set, with commas between")
    for one, other in itertools.permutations(keys, 2):
        if other.startswith(f"{one}."):
            raise DeckError(
                f"--set {one}, --set {other}: one sets a part of the other; a value would not be what it is named"
            )
    count = math.prod(len(axis.values) for axis in axes)
    if count > MANY and not many:
        raise DeckError(f"{count} runs, more than {MANY}: give fewer values, or --yes if this is meant")
    _judge(base, axes, count)
    return [_point(base, axes, chosen) for chosen in itertools.product(*(range(len(axis.values)) for axis in axes))]


def _judge(base: Deck, axes: Sequence[Axis], count: int) -> None:
    """DeckError with every mistake in any combination, as far as they can all be looked at."""
    if count <= _MOST_JUDGED:
        choices: Any = itertools.product(*(range(len(axis.values)) for axis in axes))
    else:
        choices = (
            tuple(i if k == n else 0 for k in range(len(axes)))
            for n, axis in enumerate(axes)
            for i in range(len(axis.values))
        )
    problems: dict[str, None] = {}
    for chosen in choices:
        try:
            _judge_start(with_changes(base, {axis.key: axis.values[i] for axis, i in zip(axes, chosen, strict=True)}))
        except DeckError as error:
            problems |= dict.fromkeys(error.problems)
            if len(problems) > 20:
                break
    if problems:
        raise DeckError(list(problems))


def _judge_start(deck: Deck) -> None:
    """DeckError where a run could not begin: files that are not there or do not fit, a step too long."""
    from llgnegf.parts import moments, sites  # numba, not needed for a wrong key
    from llgnegf.watch import check_step

    unrelaxed = with_changes(deck, {"texture.relax": False}) if deck.texture.relax else deck
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)  # of the runs themselves
        check_step(deck, moments.build_magnet(deck), moments.initial_moments(unrelaxed))
        sites.static_potential(deck)
        if deck.electrons is not None:
            sites.sd_exchange(deck)


def _point(base: Deck, axes: Sequence[Axis], chosen: Sequence[int]) -> Point:
    texts = {axis.key: axis.texts[i] for axis, i in zip(axes, chosen, strict=True)}
    deck = with_changes(base, {axis.key: axis.values[i] for axis, i in zip(axes, chosen, strict=True)})
    # A key that does not change what was computed so far counts only where it tells runs of this sweep apart.
    telling = {axis.key for axis in axes if len(axis.values) > 1 or axis.key not in FREE_ON_RESUME}
    words = ",".join(f"{key.rpartition('.')[2]}={text}" for key, text in texts.items() if key in telling)
    readable = re.sub(r"[^\w.,=+-]", "_", words)[:_LONGEST_NAME] or "run"
    return Point(texts, deck, f"{readable}-{_fingerprint(deck, telling)}")


def _fingerprint(deck: Deck, swept: set[str]) -> str:
    """Ten letters that change with what a run computes; its length does not count, unless it is what is swept."""
    tables = json.loads(json.dumps(deck.tables(), default=str))
    for key in FREE_ON_RESUME - swept:
        *path, last = key.split(".")
        table = tables
        for name in path:
            table = table.get(name) or {}
        table.pop(last, None)
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()[:10]


def write_axes(folder: Path, axes: Sequence[Axis], points: Sequence[Point]) -> str:
    """The text of sweep.json: what the sweep in `folder` is made of."""
    told = {
        "keys": {axis.key: list(axis.texts) for axis in axes},
        "points": [{"folder": point.folder, "values": point.texts, "end": point.deck.run.duration} for point in points],
    }
    return json.dumps(told, indent=1) + "\n"
