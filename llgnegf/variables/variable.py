"""What a variable of a run file is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llgnegf.deck import Deck

# Dimensions of a number, and of a scalar and a vector on the sites, of each frame.
NUMBER, SCALAR, VECTOR = ("time",), ("time", "site"), ("time", "site", "component")


@dataclass(frozen=True)
class Variable:
    """A variable of the run file.

    dims: "time" first; or without "time" for what is evaluated and written once, at the beginning (tensors, spectra).
        "site" stands for the axes of the lattice, x or x and y.  In the response to the motion of a moment,
        "motion_site" and "motion_component" are the axes of that moment.
    unit: "energy" in it stands for the deck's unit.
    meaning: in words, for whoever opens the file.
    applies: whether a run of this deck has it; two lines of the same name never apply to the same deck.
    value: from the `Instant` that the run's stepper gives, in the shape that `dims` say, a number for time alone.
    coordinates: {dimension: values}, for dimensions of its own such as the energies of a spectrum.
    """

    name: str
    dims: tuple[str, ...]
    unit: str
    meaning: str
    applies: Callable[[Deck], bool]
    value: Callable[[Any], Any]
    coordinates: Callable[[Deck], Mapping[str, Sequence[Any]]] = lambda _deck: {}
