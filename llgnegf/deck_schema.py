"""The tables of a deck: every key with its type, its range and its default.

Conventions of a deck: energies in units of `units.energy` (hbar = 1), times in hbar/energy, lengths in lattice
constants, positions in index coordinates (site 0 at 0.0).  Each leaf key carries a `Rule`, which both parses the
value and says in words what is allowed, so that a message can always name the value and the remedy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError, core_schema

Vector = tuple[float, float, float]

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
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError
    return value


def numbers(value: Any, length: int) -> tuple[float, ...]:
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


def _choice(*options: str | int) -> Rule:
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
        return _choice("eV", "meV").parse(value)
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
REFRESH = _choice("stage", "step", "adaptive")
ENERGY_UNIT = Rule('"eV", "meV" or a number > 0 of eV', _energy_unit)
CHECKPOINT_EVERY = Rule(
    'a wall time such as "30 s", "5 min" or "1 h", or a whole number >= 1 of steps', _checkpoint_every
)
SEED = Rule("a whole number >= 0", lambda value: integer(value, 0))
INDEX = Rule("a whole number (negative ones count from the end)", lambda value: integer(value, -MAX_INTEGER))


class Table(BaseModel):
    """Base of every table: no unknown keys, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Units(Table):
    """[units]: what one unit of energy is; used only to report times in fs and ps."""

    energy: Annotated[str | float, ENERGY_UNIT] = "eV"

    @property
    def energy_ev(self) -> float:
        """The unit of energy, in eV."""
        return {"eV": 1.0, "meV": 1e-3}[self.energy] if isinstance(self.energy, str) else self.energy

    @property
    def label(self) -> str:
        """The unit of energy in words: "eV", "meV" or a number of eV."""
        return self.energy if isinstance(self.energy, str) else f"({self.energy:g} eV)"


class Lattice(Table):
    """[lattice]: a chain along x, or a square lattice; leads attach to the first and the last x.

    A periodic axis of two sites has two bonds between them (exchange and hopping count twice, DMI cancels), one of one
    site has none; for moments and electrons alike.
    """

    shape: Annotated[tuple[int, ...], SHAPE]
    periodic: Annotated[bool | str, PERIODIC] = False

    @property
    def periodic_axes(self) -> tuple[bool, ...]:
        """For each lattice axis, whether its two ends are bound to each other."""
        if isinstance(self.periodic, bool):
            return tuple(self.periodic for _ in self.shape)
        return tuple(axis in self.periodic for axis in "xy"[: len(self.shape)])


class _Texture(Table):
    relax: Annotated[bool, BOOLEAN] = False


class Uniform(_Texture):
    kind: Literal["uniform"]
    direction: Annotated[Vector, DIRECTION] = (0.0, 0.0, 1.0)


class BlochWall(_Texture):
    """Wall across x; `center` in index coordinates (default: the middle), `width` in lattice constants."""

    kind: Literal["bloch_wall"]
    center: Annotated[float | None, NUMBER] = None
    width: Annotated[float, POSITIVE]


class NeelWall(_Texture):
    kind: Literal["neel_wall"]
    center: Annotated[float | None, NUMBER] = None
    width: Annotated[float, POSITIVE]
    orientation: Annotated[str, _choice("paper", "kishine")] = "paper"


class Skyrmion(_Texture):
    kind: Literal["skyrmion"]
    center: Annotated[tuple[float, float] | None, PLANE_VECTOR] = None
    radius: Annotated[float, POSITIVE]
    wall_width: Annotated[float, POSITIVE]
    helicity: Annotated[float, NUMBER] = 0.0
    charge: Annotated[int, _choice(-1, 1)] = -1


class Spiral(_Texture):
    kind: Literal["spiral"]
    period: Annotated[float, POSITIVE]
    axis: Annotated[str, _choice("x", "y")] = "x"
    normal: Annotated[Vector, DIRECTION] = (0.0, 0.0, 1.0)
    phase: Annotated[float, NUMBER] = 0.0


class Random(_Texture):
    """Moments drawn evenly from the sphere with the generator of `run.seed`."""

    kind: Literal["random"]


class FromFile(_Texture):
    """Moments of an earlier calculation; a relative `path` counts from the folder of the deck."""

    kind: Literal["file"]
    path: Annotated[str, NAME]
    index: Annotated[int, INDEX] = -1


Texture = Uniform | BlochWall | NeelWall | Skyrmion | Spiral | Random | FromFile


class ZhangLi(Table):
    """[magnet.zhang_li]: the torque -(u.grad) m + beta m x (u.grad) m, u in lattice constants per unit of time."""

    velocity: Annotated[tuple[float, float], PLANE_VECTOR] = (0.0, 0.0)
    beta: Annotated[float, NUMBER] = 0.0


class Magnet(Table):
    """[magnet]: E = -J_ex sum m.m' + D sum r.(m x m') - K sum (m.k)^2 + K_hard sum (m.h)^2 - S sum m.B.

    Sums over bonds count each once; r points along the bond, or is z x r for the interfacial kind.
    """

    spin: Annotated[float, POSITIVE] = 1.0
    exchange: Annotated[float, NUMBER] = 0.0
    dmi: Annotated[float, NUMBER] = 0.0
    dmi_kind: Annotated[str, _choice("bulk", "interfacial")] = "bulk"
    anisotropy: Annotated[float, NUMBER] = 0.0
    easy_axis: Annotated[Vector, DIRECTION] = (0.0, 0.0, 1.0)
    hard_anisotropy: Annotated[float, NUMBER] = 0.0
    hard_axis: Annotated[Vector, DIRECTION] = (1.0, 0.0, 0.0)
    field: Annotated[Vector, VECTOR] = (0.0, 0.0, 0.0)
    damping: Annotated[float, NON_NEGATIVE] = 0.0
    zhang_li: ZhangLi | None = None


class Lead(Table):
    """[[electrons.lead]]: a half-infinite lead at one end, bound with hopping `coupling` (0 closes that end)."""

    side: Annotated[str, _choice("left", "right")]
    coupling: Annotated[float, NON_NEGATIVE] = 1.0
    voltage: Annotated[float, VOLTAGE] = 0.0


class Gate(Table):
    """[[electrons.gate]]: V(x, t) = amplitude cos(frequency t + phase) on the named columns."""

    columns: Annotated[tuple[int, ...], COLUMNS]
    amplitude: Annotated[float, NUMBER]
    frequency: Annotated[float, NUMBER]
    phase: Annotated[float, NUMBER] = 0.0


class Electrons(Table):
    """[electrons]: H = onsite - hopping sum c^+ c - sd_exchange sum c^+ sigma c.m; absent in a classical run."""

    method: Annotated[str, NAME] = "frozen"
    hopping: Annotated[float, POSITIVE] = 1.0
    onsite: Annotated[float, NUMBER] = 0.0
    sd_exchange: Annotated[float, NUMBER]
    fermi_energy: Annotated[float, NUMBER] = 0.0
    temperature: Annotated[float, NON_NEGATIVE] = 0.0
    order: Annotated[int, _choice(0, 1)] = 1
    velocity_feedback: Annotated[bool, BOOLEAN] = True
    back_action: Annotated[float, NON_NEGATIVE] = 1.0
    tolerance: Annotated[float, TOLERANCE] = 1e-6
    velocity_tolerance: Annotated[float, TOLERANCE] = 1e-11
    lead: tuple[Lead, ...] = ()
    gate: tuple[Gate, ...] = ()

    def coupling(self, side: str) -> float:
        """Hopping to the lead on `side`, "left" or "right"; 0 where there is none."""
        return next((lead.coupling for lead in self.lead if lead.side == side), 0.0)


class Motion(Table):
    """[motion]: self-consistent LLG, an imposed rigid rotation m(t) = R(axis, frequency t) m(0), or frozen moments."""

    kind: Annotated[str, _choice("llg", "precession", "frozen")] = "llg"
    axis: Annotated[Vector | None, DIRECTION] = None
    frequency: Annotated[float | None, NUMBER] = None

    @property
    def is_imposed(self) -> bool:
        """Whether m(t) is known beforehand, so that nothing is integrated."""
        return self.kind in ("precession", "frozen")


class Integrator(Table):
    """[integrator]: the step of the moments; `electrons`: asked at every stage, every step, or as needed."""

    method: Annotated[str, NAME] = "rk4"
    step: Annotated[float, POSITIVE]
    electrons: Annotated[str, REFRESH] = "stage"


class RunTable(Table):
    """[run]: how long, what is kept and how often a checkpoint is written; save_every defaults to every step."""

    duration: Annotated[float, NON_NEGATIVE]
    save_every: Annotated[float | None, POSITIVE] = None
    checkpoint_every: Annotated[str | int, CHECKPOINT_EVERY] = "5 min"
    seed: Annotated[int, SEED] = 0

    @property
    def checkpoint_seconds(self) -> float | None:
        """Wall time between checkpoints in seconds; None where the deck counts steps."""
        return parse_wall_time(self.checkpoint_every) if isinstance(self.checkpoint_every, str) else None

    @property
    def checkpoint_steps(self) -> int | None:
        """Steps between checkpoints; None where the deck gives a wall time."""
        return self.checkpoint_every if isinstance(self.checkpoint_every, int) else None


class Root(Table):
    """The whole deck, table by table."""

    title: Annotated[str, TEXT] = ""
    units: Units = Units()
    lattice: Lattice
    texture: Annotated[Texture, Field(discriminator="kind")]
    magnet: Magnet = Magnet()
    electrons: Electrons | None = None
    motion: Motion = Motion()
    integrator: Integrator
    run: RunTable

    TEXTURES: ClassVar[dict[str, type[Table]]] = {
        "uniform": Uniform,
        "bloch_wall": BlochWall,
        "neel_wall": NeelWall,
        "skyrmion": Skyrmion,
        "spiral": Spiral,
        "random": Random,
        "file": FromFile,
    }


# By `electrons.method`: the table that it takes beside [electrons], if any; `build.METHODS` has what they do.
METHOD_TABLES: dict[str, type[Table] | None] = {"frozen": None}


def method_table(method: str) -> str:
    """The name in a deck of the table of an `electrons.method`: dashes are underscores there."""
    return method.replace("-", "_")


def root() -> type[Root]:
    """`Root` with the tables of all methods, none of which has to be in a deck."""
    tables: dict[str, Any] = {
        method_table(name): (table | None, None) for name, table in METHOD_TABLES.items() if table is not None
    }
    return create_model("Root", __base__=Root, **tables) if tables else Root
