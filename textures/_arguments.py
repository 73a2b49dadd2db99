"""Checks of arguments: every message names the argument, the value and what is allowed."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

FARTHEST = 1e9  # lattice constants; larger coordinates have too few digits after the decimal point
NEAREST = 1e-6  # lattice constants; a wall this narrow is a jump from one site to the next


def lattice_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """`shape` as a tuple of one (chain) or two (square) positive ints; ValueError otherwise."""
    sizes = tuple(shape) if isinstance(shape, Sequence | np.ndarray) and not isinstance(shape, str) else ()
    integers = all(isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in sizes)
    if len(sizes) not in (1, 2) or not integers:
        raise ValueError(f"shape must be (n,) for a chain or (nx, ny) for a square, positive integers, got {shape!r}")
    return tuple(int(n) for n in sizes)


def square_shape(shape: Sequence[int], texture: str) -> tuple[int, int]:
    """`shape` as (nx, ny); ValueError for a chain, on which the named texture does not exist."""
    sizes = lattice_shape(shape)
    if len(sizes) != 2:
        raise ValueError(f"shape must be (nx, ny), because a {texture} needs a square lattice, got {shape!r}")
    return sizes[0], sizes[1]


def number(name: str, value: Any, low: float = -FARTHEST, high: float = FARTHEST) -> float:
    """`value` as a float within [low, high]; ValueError otherwise."""
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) <= high:  # no NaN either
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def length(name: str, value: Any) -> float:
    """`value` as a positive length in lattice constants; ValueError otherwise."""
    return number(name, value, low=NEAREST)


def vector(name: str, value: Any, components: int) -> NDArray[np.float64]:
    """`value` as a float array of that many components; ValueError otherwise."""
    try:
        numbers = [number(name, v) for v in value]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != components:
        raise ValueError(f"{name} must be {components} numbers within ±{FARTHEST:g}, got {value!r}")
    return np.array(numbers)


def direction(name: str, value: Any) -> NDArray[np.float64]:
    """`value` scaled to a unit vector (3,); ValueError if it is not three numbers or has no length."""
    v = vector(name, value, 3)
    longest = np.abs(v).max()
    if longest == 0.0:
        raise ValueError(f"{name} must be a vector other than zero, got {value!r}")
    v = v / longest  # before squaring, so that the squares of a tiny vector do not underflow
    return v / math.sqrt(v @ v)


def choice(name: str, value: Any, allowed: Sequence[Any]) -> Any:
    """`value` if it is one of `allowed`; ValueError otherwise."""
    if isinstance(value, bool) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(repr(a) for a in allowed)}, got {value!r}")
    return value
