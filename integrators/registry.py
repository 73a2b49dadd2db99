"""The registry of one-step methods: what a deck may name, and what the tests iterate over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from integrators import heun, rk4

Array = np.ndarray[Any, np.dtype[np.float64]]
RightHandSide = Callable[[float, Array], Array]
Step = Callable[[RightHandSide, float, Array, float], Array]


@dataclass(frozen=True)
class Method:
    """A one-step method.

    `step(rhs, t, y, dt)` returns y(t + dt) as a new array and leaves y alone.  `rhs(t, y)` returns dy/dt as a new
    array of y's shape; y is float64 and C-contiguous, of any shape.  `order` is the global order of convergence,
    `stages` the calls of `rhs` per step, `source` where the method comes from.
    """

    name: str
    order: int
    stages: int
    step: Step
    source: str


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("rk4", 4, 4, rk4.step, "W. Kutta, Z. Math. Phys. 46, 435 (1901)"),
        Method("heun", 2, 2, heun.step, "K. Heun, Z. Math. Phys. 45, 23 (1900)"),
    )
}


def get(name: str) -> Method:
    """The method registered under `name`.  ValueError if there is none."""
    try:
        return METHODS[name]
    except (KeyError, TypeError):
        allowed = ", ".join(METHODS)
        raise ValueError(f"integrator method {name!r} is not known; allowed: {allowed}; choose one of these") from None
