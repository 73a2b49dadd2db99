"""Messages about Kwant systems that no device has, and which numbers count as the same."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

# Elements of H are the same if they differ by less than this times (hopping + the element).
ROUNDING = 1e-12


class NoLattice(ValueError):
    """No chain and no square lattice with a scalar hopping; a `GeneralDevice` may do."""


def refuse(what: str, allowed: str) -> NoReturn:
    """NoLattice: what is in the way, and what is allowed."""
    raise NoLattice(f"system: {what}; allowed: {allowed}")


def reject(what: str, allowed: str) -> NoReturn:
    """ValueError: what no device of any kind has, and what is allowed."""
    raise ValueError(f"system: {what}; allowed: {allowed}")


def same(values: Any, wanted: Any, hopping: float) -> bool:
    return bool(close(np.asarray(values), np.asarray(wanted), hopping).all())


def close(values: NDArray[Any], wanted: NDArray[Any], hopping: float) -> NDArray[np.bool_]:
    return np.asarray(abs(values - wanted) <= ROUNDING * (hopping + abs(wanted)))


def told(tag: Any) -> str:
    return str(tuple(int(c) for c in tag))


def some_sites(tags: NDArray[np.int64]) -> str:
    return f"site {told(tags[0])}" if len(tags) == 1 else f"sites {told(tags[0])} ... {told(tags[-1])}"


def block_text(matrix: NDArray[Any]) -> str:
    """A matrix in words: a number if it is a multiple of the unit matrix."""
    if np.array_equal(matrix, matrix[0, 0] * np.eye(len(matrix))):
        return number_text(matrix[0, 0]) + (" times the unit matrix" if len(matrix) > 1 else "")
    return "[" + ", ".join("[" + ", ".join(map(number_text, row)) + "]" for row in matrix) + "]"


def number_text(value: complex) -> str:
    value = complex(value) + 0.0  # no -0
    return f"{value.real:g}" if value.imag == 0 else f"{value.real:g}{value.imag:+g}j"
