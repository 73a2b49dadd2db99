"""What a single key of a deck accepts: one `Rule` for each kind of value.

A `Rule` both parses the value and says in words what is allowed, so that a message can always name the value and the
remedy.  `tables.py` says which key has which rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticCustomError, core_schema

MAX_SITES_PER_SIDE = 1_000_000
MAX_INTEGER = 2**63 - 1  # what TOML and HDF5 attributes hold


class NotAvailable(ValueError):
    """A value that means something, but not in this version."""


@dataclass(frozen=True)
class Rule:
    """What a key accepts: `allowed` in words, and `parse`, which returns the value or raises ValueError."""

    allowed: str
    parse: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        def check(value: Any) -> Any:
            try:
                return self.parse(value)
            except NotAvailable as error:
                raise PydanticCustomError("rule", "{text}", {"text": str(error)}) from None
            except ValueError:
                raise PydanticCustomError("rule", "{text}", {"text": f"must be {self.allowed}"}) from None

        return core_schema.no_info_plain_validator_function(check)


def number(value: Any) -> float:
    """A finite float from an int or a float; booleans and strings are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    try:
        result = float(value)
    except OverflowError:
        raise ValueError from None
    if not math.isfinite(result):
        raise ValueError
    return result


def integer(value: Any, low: int, high: int = MAX_INTEGER) -> int:
    """A whole number from low to high; booleans and 2.0 are none."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError
    return value


def numbers(value: Any, length: int) -> tuple[float, ...]:
    """So many finite numbers, from a list."""
    if not isinstance(value, list | tuple) or len(value) != length:
        raise ValueError
    return tuple(number(x) for x in value)


def _number_rule(allowed: str, test: Callable[[float], bool]) -> Rule:
    def parse(value: Any) -> float:
        result = number(value)
        if not test(result):
            raise ValueError
        return result

    return Rule(allowed, parse)


def choice(*options: str | int) -> Rule:
    """The rule of a key that accepts these options alone, two or more."""

    def parse(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int) or value not in options:
            raise ValueError
        return value

    shown = [f'"{option}"' if isinstance(option, str) else str(option) for option in options]
    return Rule(" or ".join([", ".join(shown[:-1]), shown[-1]]), parse)


def _direction(value: Any) -> tuple[float, ...]:
    vector = numbers(value, 3)
    if math.hypot(*vector) < 1e-150:  # its square would underflow when the vector is normalised
        raise ValueError
    return vector


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _name(value: Any) -> str:
    if not _text(value).strip() or "\0" in value:
        raise ValueError
    return value


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) not in (1, 2):
        raise ValueError
    return tuple(integer(n, 1, MAX_SITES_PER_SIDE) for n in value)


def _columns(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError
    columns = tuple(integer(x, 0) for x in value)
    if len(set(columns)) != len(columns):
        raise ValueError
    return columns


def _periodic(value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    if value in ("x", "y", "xy"):
        return value
    raise ValueError


def _voltage(value: Any) -> float:
    if number(value) != 0.0:
        raise NotAvailable("leads at a voltage are not available in this version; allowed: 0.0")
    return 0.0


def _energy_unit(value: Any) -> str | float:
    if isinstance(value, str):
        return choice("eV", "meV").parse(value)
    return _number_rule("", lambda x: x > 0).parse(value)


_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_wall_time(text: str) -> float:
    """Seconds in a wall time such as "30 s", "5 min", "1h", "1.5 h" or "2 d"; ValueError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([a-z]+)\s*", text, flags=re.ASCII)
    if match is None or match[2] not in _SECONDS:
        raise ValueError(f'{text!r} is not a wall time: write for example "30 s", "5 min" or "1 h"')
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text!r} is not a positive, finite wall time")
    return seconds


def _checkpoint_every(value: Any) -> str | int:
    if isinstance(value, str):
        parse_wall_time(value)
        return value
    return integer(value, 1)


NUMBER = Rule("a finite number", number)
POSITIVE = _number_rule("a number > 0", lambda x: x > 0)
NON_NEGATIVE = _number_rule("a number >= 0", lambda x: x >= 0)
TOLERANCE = _number_rule("a number from 1e-12 to 0.1", lambda x: 1e-12 <= x <= 0.1)
BOOLEAN = Rule("true or false", _boolean)
TEXT = Rule("a text in quotes", _text)
NAME = Rule("a non-empty text in quotes", _name)
VECTOR = Rule("three finite numbers [x, y, z]", lambda value: numbers(value, 3))
DIRECTION = Rule("three finite numbers [x, y, z], not all zero (any length)", _direction)
PLANE_VECTOR = Rule("two finite numbers [x, y]", lambda value: numbers(value, 2))
SHAPE = Rule(f"[nx] for a chain or [nx, ny] for a square lattice, whole numbers from 1 to {MAX_SITES_PER_SIDE}", _shape)
COLUMNS = Rule("a non-empty list of different whole numbers >= 0", _columns)
PERIODIC = Rule('false, true, "x", "y" or "xy"', _periodic)
VOLTAGE = Rule("0.0 (leads at a voltage are not available in this version)", _voltage)
REFRESH = choice("stage", "step", "adaptive")
ENERGY_UNIT = Rule('"eV", "meV" or a number > 0 of eV', _energy_unit)
CHECKPOINT_EVERY = Rule(
    'a wall time such as "30 s", "5 min" or "1 h", or a whole number >= 1 of steps', _checkpoint_every
)
SEED = Rule("a whole number >= 0", lambda value: integer(value, 0))
INDEX = Rule("a whole number (negative ones count from the end)", lambda value: integer(value, -MAX_INTEGER))
