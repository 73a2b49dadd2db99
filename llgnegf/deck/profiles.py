"""Profiles in a deck, `profile = {kind = "pulse", center = 10.0, width = 2.0}`: how a drive depends on time.

What they mean is written in `dynamics/profiles.py`, under the same kinds and keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import create_model

from llgnegf.deck.rules import NAME, NUMBER, NUMBERS, POSITIVE, SHARE
from llgnegf.deck.table import Table


class Constant(Table):
    """1 at all times."""

    kind: Literal["constant"]


class Cosine(Table):
    """cos(frequency t + phase): angular frequency, radians."""

    kind: Literal["cosine"]
    frequency: Annotated[float, NUMBER]
    phase: Annotated[float, NUMBER] = 0.0


class Ramp(Table):
    """Rises from 0 at `start` to 1 at `start` + `duration` as sin^2, and stays."""

    kind: Literal["ramp"]
    start: Annotated[float, NUMBER] = 0.0
    duration: Annotated[float, POSITIVE]


class Pulse(Table):
    """exp(-(t - center)^2 / (2 width^2)): `width` is the standard deviation."""

    kind: Literal["pulse"]
    center: Annotated[float, NUMBER]
    width: Annotated[float, POSITIVE]


class Step(Table):
    """0 before `start`, 1 from then on."""

    kind: Literal["step"]
    start: Annotated[float, NUMBER]


class Square(Table):
    """1 in the first `duty` share of each period, 0 in the rest of it."""

    kind: Literal["square"]
    period: Annotated[float, POSITIVE]
    duty: Annotated[float, SHARE] = 0.5


if TYPE_CHECKING:

    class Chirp(Table):
        kind: Literal["chirp"]
        to: float
        duration: float

else:  # `from` is a word of Python, with which no attribute can be written
    Chirp = create_model(
        "Chirp",
        __base__=Table,
        __doc__="A cosine whose angular frequency goes linearly `from` one `to` another within `duration`, and stays.",
        kind=(Literal["chirp"], ...),
        **{"from": (Annotated[float, NUMBER], ...)},
        to=(Annotated[float, NUMBER], ...),
        duration=(Annotated[float, POSITIVE], ...),
    )


class File(Table):
    """The cubic spline through a table, constant outside: from a file of two columns, time and value, or in the deck.

    `profile_files.py` puts `times` and `values` in place of `path`, so that a run file holds the numbers.
    """

    kind: Literal["file"]
    path: Annotated[str | None, NAME] = None
    times: Annotated[tuple[float, ...] | None, NUMBERS] = None
    values: Annotated[tuple[float, ...] | None, NUMBERS] = None


Profile = Constant | Cosine | Ramp | Pulse | Step | Square | Chirp | File
