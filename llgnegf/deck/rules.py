"""What a single key of a deck accepts: one `Rule` for each kind of value.

A `Rule` both parses the value and says in words what is allowed, so that a message can always name the value and the
remedy.  `tables.py` says which key has which rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticCustomError, core_schema

from llgnegf.units import ENERGY_UNITS

MAX_SITES_PER_SIDE = 1_000_000
MAX_INTEGER = 2**63 - 1  # what TOML and HDF5 attributes hold


@dataclass(frozen=True)
class Rule:
    """What a key accepts: `allowed` in words, and `parse`, which returns the value or raises ValueError.

    schema: the same as a JSON schema, for editors (`schema.py`); it never refuses what `parse` accepts, but cannot say
    everything (three numbers that are not all zero).
    """

    allowed: str
    parse: Callable[[Any], Any]
    schema: dict[str, Any] = field(default_factory=dict, compare=False)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        def check(value: Any) -> Any:
            try:
                return self.parse(value)
            except ValueError:
                raise PydanticCustomError("rule", "{text}", {"text": f"must be {self.allowed}"}) from None

        return core_schema.no_info_plain_validator_function(check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**self.schema, "description": f"must be {self.allowed}"}


@dataclass(frozen=True)
class NumberOrTable(Rule):
    """A key that holds a value of its own or a table (class `table`) of keys; `parse` is for the value."""

    table: type[BaseModel] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.tagged_union_schema(
            {
                "value": super().__get_pydantic_core_schema__(source, handler),
                "table": handler.generate_schema(self.table),
            },
            discriminator=lambda value: "table" if isinstance(value, dict | BaseModel) else "value",
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [self.schema, handler(schema["choices"]["table"])], "description": f"must be {self.allowed}"}


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


_NUMBER = {"type": "number"}
# For > 0, words that all drafts of JSON schema share: `exclusiveMinimum` means two things.
_ABOVE_ZERO = {**_NUMBER, "minimum": 0, "not": {"enum": [0]}}


def _list_of(items: dict[str, Any], low: int, high: int) -> dict[str, Any]:
    """The schema of a list of `low` to `high` such items."""
    return {"type": "array", "items": items, "minItems": low, "maxItems": high}


def _number_rule(allowed: str, test: Callable[[float], bool], schema: dict[str, Any] = _NUMBER) -> Rule:
    def parse(value: Any) -> float:
        result = number(value)
        if not test(result):
            raise ValueError
        return result

    return Rule(allowed, parse, schema)


def choice(*options: str | int) -> Rule:
    """The rule of a key that accepts these options alone, two or more."""

    def parse(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int) or value not in options:
            raise ValueError
        return value

    shown = [f'"{option}"' if isinstance(option, str) else str(option) for option in options]
    return Rule(" or ".join([", ".join(shown[:-1]), shown[-1]]), parse, {"enum": list(options)})


def _direction(value: Any) -> tuple[float, ...]:
    vector = numbers(value, 3)
    if math.hypot(*vector) < 1e-150:  # its square would underflow when the vector is normalised
        raise ValueError
    return vector


def _vectors(value: Any) -> tuple[tuple[float, ...], ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError
    return tuple(_direction(x) if any(numbers(x, 3)) else (0.0, 0.0, 0.0) for x in value)


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) < 2:
        raise ValueError
    return tuple(number(x) for x in value)


def _levels(value: Any) -> tuple[float, ...]:
    if not value:
        raise ValueError
    return _frequencies(value)


def _frequencies(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError
    return tuple(number(x) for x in value)


def _widths(value: Any) -> tuple[float, ...]:
    found = _levels(value)
    if any(x < 0 for x in found):
        raise ValueError
    return found


def _square(value: Any) -> tuple[tuple[float, ...], ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError
    return tuple(numbers(row, len(value)) for row in value)


def _sites(value: Any) -> tuple[int | tuple[int, ...], ...]:
    if not isinstance(value, list | tuple):
        raise ValueError
    return tuple(_site(site) for site in value)


def _site(value: Any) -> int | tuple[int, ...]:
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError
        return tuple(integer(x, 0) for x in value)
    return integer(value, 0)


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


def _energy_unit(value: Any) -> str | float:
    if isinstance(value, str):
        return choice(*ENERGY_UNITS).parse(value)
    return _number_rule("", lambda x: x > 0).parse(value)


_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
_CLOCK = re.compile(
    r"(?:(?P<days>\d+)-(?P<of_day>\d+(?::\d+(?::\d+)?)?)|(?P<clock>\d+:\d+(?::\d+)?)|(?P<bare>\d+(?:\.\d*)?))", re.ASCII
)
_PART = r"(\d+(?:\.\d*)?)\s*([a-z]+)"


def parse_wall_time(text: str) -> float:
    """Seconds in a wall time; ValueError for anything else.

    With units, "30 s", "5 min", "1.5 h", "1h30m" or "2 d"; as batch systems write it, "90" (seconds), "1:30"
    (minutes:seconds), "1:30:00" (hours:minutes:seconds), "1-12" (days-hours), "1-12:30" or "1-12:30:00".
    """
    allowed = 'write for example "90" (seconds), "90m", "1h30m", "1:30:00" or "1-12:00:00" (days-hours:minutes:seconds)'
    word = text.strip().lower()
    clock = _CLOCK.fullmatch(word)
    if clock is not None:
        seconds = _clock_seconds(text, clock)
    else:
        parts = re.findall(_PART, word, flags=re.ASCII)
        if not re.fullmatch(rf"(?:{_PART}\s*)+", word, flags=re.ASCII) or any(
            unit not in _SECONDS for _, unit in parts
        ):
            raise ValueError(f"{text!r} is not a wall time: {allowed}")
        seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text!r} is not a positive, finite wall time: {allowed}")
    return seconds


def _clock_seconds(text: str, clock: re.Match[str]) -> float:
    """Seconds of one of the forms with colons, or of a bare number; a part past its range is a slip, not a time."""
    if clock["bare"]:
        return float(clock["bare"])
    parts = [float(part) for part in (clock["of_day"] or clock["clock"]).split(":")]
    units = (3600.0, 60.0, 1.0) if clock["days"] or len(parts) == 3 else (60.0, 1.0)
    limits = [24.0 if clock["days"] else math.inf, *[60.0] * (len(parts) - 1)]
    for part, limit in zip(parts, limits, strict=True):
        if part >= limit:
            raise ValueError(f"{text!r} is not a wall time: {part:g} must be below {limit:g} there")
    days = float(clock["days"] or 0)
    return 86400.0 * days + sum(part * unit for part, unit in zip(parts, units, strict=False))


def _checkpoint_every(value: Any) -> str | int:
    if isinstance(value, str):
        if value.strip().isdigit():  # steps, if it had no quotes: too easily taken for the other
            raise ValueError
        parse_wall_time(value)
        return value
    return integer(value, 1)


NUMBER = Rule("a finite number", number, _NUMBER)
POSITIVE = _number_rule("a number > 0", lambda x: x > 0, _ABOVE_ZERO)
NON_NEGATIVE = _number_rule("a number >= 0", lambda x: x >= 0, {**_NUMBER, "minimum": 0})
TOLERANCE = _number_rule(
    "a number from 1e-12 to 0.1", lambda x: 1e-12 <= x <= 0.1, {**_NUMBER, "minimum": 1e-12, "maximum": 0.1}
)
SHARE = _number_rule(
    "a number between 0 and 1",
    lambda x: 0 < x < 1,
    {**_NUMBER, "minimum": 0, "maximum": 1, "not": {"enum": [0, 1]}},
)
BOOLEAN = Rule("true or false", _boolean, {"type": "boolean"})
TEXT = Rule("a text in quotes", _text, {"type": "string"})
NAME = Rule("a non-empty text in quotes", _name, {"type": "string", "minLength": 1})
VECTOR = Rule("three finite numbers [x, y, z]", lambda value: numbers(value, 3), _list_of(_NUMBER, 3, 3))
DIRECTION = Rule("three finite numbers [x, y, z], not all zero (any length)", _direction, _list_of(_NUMBER, 3, 3))
DIRECTIONS = Rule(
    "a list of vectors [x, y, z], finite numbers, one for each x (any length; [0, 0, 0]: no moment)",
    _vectors,
    {"type": "array", "items": _list_of(_NUMBER, 3, 3), "minItems": 1},
)
PLANE_VECTOR = Rule("two finite numbers [x, y]", lambda value: numbers(value, 2), _list_of(_NUMBER, 2, 2))
SHAPE = Rule(
    f"[nx] for a chain or [nx, ny] for a square lattice, whole numbers from 1 to {MAX_SITES_PER_SIDE}",
    _shape,
    _list_of({"type": "integer", "minimum": 1, "maximum": MAX_SITES_PER_SIDE}, 1, 2),
)
COLUMNS = Rule(
    "a non-empty list of different whole numbers >= 0",
    _columns,
    {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
)
NUMBERS = Rule("a list of two or more finite numbers", _numbers, {"type": "array", "items": _NUMBER, "minItems": 2})
FREQUENCIES = Rule("a list of finite numbers", _frequencies, {"type": "array", "items": _NUMBER})
LEVELS = Rule("a list of one or more finite numbers", _levels, {"type": "array", "items": _NUMBER, "minItems": 1})
WIDTHS = Rule(
    "a list of one or more numbers >= 0", _widths, {"type": "array", "items": {**_NUMBER, "minimum": 0}, "minItems": 1}
)
SQUARE = Rule(
    "a square list of lists of finite numbers",
    _square,
    {"type": "array", "items": {"type": "array", "items": _NUMBER}, "minItems": 1},
)
POLARIZATION = _number_rule("a number from -1 to 1", lambda x: -1 <= x <= 1, {**_NUMBER, "minimum": -1, "maximum": 1})
_INDEX = {"type": "integer", "minimum": 0}
SITES = Rule(
    "a list of sites, whole numbers >= 0: [0, 1] on a chain, [[0, 0], [3, 4]], each [x, y], on a square lattice",
    _sites,
    {"type": "array", "items": {"anyOf": [_INDEX, _list_of(_INDEX, 2, 2)]}},
)
SITES_OR_ALL = Rule(
    f'"all" or {SITES.allowed}',
    lambda value: value if value == "all" else _sites(value),
    {"anyOf": [{"const": "all"}, SITES.schema]},
)
VACANCIES = Rule(
    f"{SITES.allowed}; or the name of a file in quotes",
    lambda value: _name(value) if isinstance(value, str) else _sites(value),
    {"anyOf": [NAME.schema, SITES.schema]},
)
NO_CURRENT = Rule(
    'true, false or "net"', lambda value: value if value == "net" else _boolean(value), {"enum": [False, True, "net"]}
)
PERIODIC = Rule('false, true, "x", "y" or "xy"', _periodic, {"enum": [False, True, "x", "y", "xy"]})


def _hoppings(value: Any) -> float | tuple[float, ...]:
    if not isinstance(value, list | tuple):
        return float(POSITIVE.parse(value))
    if not 1 <= len(value) <= 3:
        raise ValueError
    return (POSITIVE.parse(value[0]), *(number(x) for x in value[1:]))


HOPPING = Rule(
    "a number > 0, or a list of up to three: of nearest (> 0), next and third neighbours",
    _hoppings,
    {"anyOf": [_ABOVE_ZERO, _list_of(_NUMBER, 1, 3)]},
)


def nearest(hopping: float | tuple[float, ...]) -> float:
    """The hopping to nearest neighbours."""
    return hopping if isinstance(hopping, float) else hopping[0]


def reaches_farther(hopping: float | tuple[float, ...]) -> bool:
    """Whether there are bonds between others than nearest neighbours."""
    return not isinstance(hopping, float) and any(hopping[1:])


REFRESH = choice("stage", "step", "adaptive")


def _start_velocity(value: Any) -> str | tuple[float, ...]:
    return value if value in ("from_llg", "zero") else numbers(value, 3)


START_VELOCITY = Rule(
    '"from_llg", "zero", three finite numbers [x, y, z] or a table {file = "v.npy"}',
    _start_velocity,
    {"anyOf": [{"enum": ["from_llg", "zero"]}, VECTOR.schema]},
)
ENERGY_UNIT = Rule(
    ", ".join(f'"{name}"' for name in ENERGY_UNITS) + " or a number > 0 of eV",
    _energy_unit,
    {"anyOf": [{"enum": list(ENERGY_UNITS)}, _ABOVE_ZERO]},
)
CHECKPOINT_EVERY = Rule(
    'a wall time such as "30 s", "5 min" or "1 h", or a whole number >= 1 of steps',
    _checkpoint_every,
    {"anyOf": [{"type": "string", "minLength": 2}, {"type": "integer", "minimum": 1}]},
)
SEED = Rule("a whole number >= 0", lambda value: integer(value, 0), {"type": "integer", "minimum": 0})
INDEX = Rule(
    "a whole number (negative ones count from the end)",
    lambda value: integer(value, -MAX_INTEGER),
    {"type": "integer"},
)
