"""Quantities with SI units as numbers of a deck, and back: what `llgnegf units` tells beside materials."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from llgnegf.deck import Deck
from llgnegf.deck.deck import leaves
from llgnegf.deck.key_units import ENERGY, LENGTH, RATE, TIME, UNITS, unit_of_key
from llgnegf.errors import DeckError
from llgnegf.materials import Cell
from llgnegf.units import ELEMENTARY_CHARGE

_PREFIXES = {"a": -18, "f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
_FREQUENCIES = ("frequency", "from", "to")  # the last part of keys that are angular frequencies


class Scale(Protocol):
    """What 1 in a deck is in SI units; `unit_table.Scale`."""

    @property
    def energy(self) -> float: ...
    @property
    def cell(self) -> Cell | None: ...
    @property
    def g(self) -> float: ...
    @property
    def time(self) -> float: ...
    @property
    def field(self) -> float: ...
    @property
    def temperature(self) -> float: ...
    @property
    def current(self) -> float: ...


# By the SI unit: what it is called in a deck, its unit there, and what 1 is in the SI unit; None without a cell.
_Kind = tuple[str, str, Callable[[Scale], float | None]]


def _of_cell(value: Callable[[Scale, Cell], float]) -> Callable[[Scale], float | None]:
    return lambda scale: None if scale.cell is None else value(scale, scale.cell)


_KINDS: dict[str, _Kind] = {
    "K": ("kT of a table's temperature", ENERGY, lambda s: s.temperature),
    "T": ("a field, magnet.drive.amplitude", ENERGY, lambda s: s.field),
    "s": ("a time, magnet.inertia", TIME, lambda s: s.time),
    "Hz": ("a frequency, angular in the deck", RATE, lambda s: 1 / (2 * math.pi * s.time)),
    "eV": ("an energy", ENERGY, lambda s: s.energy / ELEMENTARY_CHARGE),
    "J": ("an energy", ENERGY, lambda s: s.energy),
    "V": ("a voltage", ENERGY, lambda s: s.energy / ELEMENTARY_CHARGE),
    "A": ("a charge current", RATE, lambda s: s.current),
    "mu_B": ("magnet.spin", "hbar", lambda s: s.g),
    "m": ("a length", LENGTH, _of_cell(lambda s, cell: cell.length)),
    "m/s": ("a velocity, magnet.zhang_li.velocity", "a energy/hbar", _of_cell(lambda s, cell: cell.length / s.time)),
}  # fmt: skip
_WITHOUT_PREFIX = ("mu_B", "m/s")


def in_deck(text: str, scale: Scale, energy: str) -> tuple[float, str, str]:
    """A quantity with its SI unit, such as "300 K" or "5ps", as a number of a deck, its unit there, and what it is.

    energy: the name of `units.energy`.  DeckError for what is no number with a known unit, and for lengths without a
    cell.
    """
    found = re.fullmatch(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(\S+)\s*", text)
    try:
        number = float(found[1]) if found else math.nan
    except ValueError:
        number = math.nan
    unit = found[2] if found else ""
    for si, (what, name, one_of) in sorted(_KINDS.items(), key=lambda kind: -len(kind[0])):
        prefix = unit.removesuffix(si)
        if not unit.endswith(si) or prefix not in _PREFIXES or (prefix and si in _WITHOUT_PREFIX):
            continue
        if not math.isfinite(number):
            break
        one = one_of(scale)
        if one is None:
            raise DeckError(f"--quantity {text!r}: {what} needs the lattice constant: give --cell, such as --cell 2nm")
        return number * 10.0 ** _PREFIXES[prefix] / one, name.replace(LENGTH, "a").replace(ENERGY, energy), what
    raise DeckError(
        f"--quantity {text!r}: must be a number with one of the units {', '.join(_KINDS)} and a prefix from a to T, "
        'such as "300 K" or 5ps'
    )


def numbers_of_deck(deck: Deck, scale: Scale) -> Iterator[tuple[str, float, float, str]]:
    """Every number of a deck with a unit that is not zero: key, what the deck says, its value in SI units, the unit.

    Of lists each number by itself; positions, and the components of a direction, are left out.
    """
    for key, value in leaves(deck.tables()).items():
        unit = unit_of_key(key, ENERGY)
        si = _si_unit(key, unit)
        one = None if si is None else _KINDS[si][2](scale)
        if si is None or one is None:
            continue
        for name, number in _single(key, value):
            yield name, number, number * one, si


def _si_unit(key: str, unit: str) -> str | None:
    last = re.sub(r"\[\d+\]", "", key).split(".")[-1]
    if unit == ENERGY:
        is_field = key == "magnet.field" or re.fullmatch(r"magnet\.drive\[\d+\]\.amplitude", key)
        return "T" if is_field else "K" if last == "temperature" else "eV"
    if unit == RATE:
        return "Hz" if last in _FREQUENCIES else None
    if unit == "a":
        return "m" if UNITS.get(last) == LENGTH or key == "texture.period" else None
    return {TIME: "s", "hbar": "mu_B"}.get(unit)


def _single(key: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        if value:
            yield key, float(value)
    elif isinstance(value, list | tuple):
        for k, one in enumerate(value):
            yield from _single(f"{key}[{k}]", one)
