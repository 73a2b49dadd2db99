"""The table of the variables of a run file: which a deck has, how they are laid out, and their values at an instant.

To add a variable, add a line: to `MOMENTS` or `TEXTURE` (`variables/moments.py`) for every run, to `ELECTRONS`
(`variables/electrons.py`) for runs with frozen electrons, to `REAL_TIME` (`variables/real_time.py`) where they move in
real time.  Other ways to treat electrons bring their own lines (`build.METHODS`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llgnegf.deck import Deck
from llgnegf.dynamics.stepper import Instant
from llgnegf.runfile.layout import Layout
from llgnegf.variables.moments import ENERGIES, MOMENTS, TEXTURE
from llgnegf.variables.variable import Variable


def variables_of(deck: Deck, electrons: Sequence[Variable] = ()) -> tuple[Variable, ...]:
    """Those of this deck, in the order of the file; electrons: the table of its electrons, empty where it has none.

    Raises ValueError where two of one name apply.
    """
    found = tuple(one for one in (*MOMENTS, *electrons, *ENERGIES, *TEXTURE) if one.applies(deck))
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)}: more than one line of the table of variables applies; allowed: one")
    return found


def layouts(deck: Deck, variables: Sequence[Variable]) -> dict[str, Layout]:
    """What a run file is laid out by: dimensions, units and meanings of these variables; `time` comes by itself."""
    axes, energy = ("x", "y")[: len(deck.lattice.shape)], deck.units.label

    stands_for = {"site": axes, "motion_site": tuple(f"motion_{axis}" for axis in axes)}

    def dims(one: Variable) -> tuple[str, ...]:
        return tuple(axis for dim in one.dims for axis in stands_for.get(dim, (dim,)))

    return {one.name: Layout(dims(one), one.unit.replace("energy", energy), one.meaning) for one in variables}


def coordinates(deck: Deck, variables: Sequence[Variable]) -> dict[str, Sequence[Any]]:
    """Values of the dimensions that these variables have beside those of every run file.

    Raises ValueError where two of them disagree.
    """
    sizes = zip(("x", "y"), deck.lattice.shape, strict=False)
    found: dict[str, Sequence[Any]] = {f"motion_{axis}": range(n) for axis, n in sizes}
    found["motion_component"] = ["x", "y", "z"]
    for one in variables:
        for dim, values in one.coordinates(deck).items():
            if dim in found and list(found[dim]) != list(values):
                raise ValueError(f"{one.name}: another variable has other values of {dim}; allowed: the same values")
            found[dim] = values
    return found


def frame(instant: Instant, variables: Sequence[Variable]) -> dict[str, Any]:
    """{name: value} at an instant, `time` included; what has no time axis only at the beginning of the run."""
    values = {one.name: one.value(instant) for one in variables if "time" in one.dims or instant.n == 0}
    return {"time": instant.t} | values
