"""The registry of one-step methods: those that a deck can name in `integrator.method`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
RightHandSide: TypeAlias = Callable[[float, Array], Array]
Step: TypeAlias = Callable[[RightHandSide, float, Array, float], Array]


@dataclass(frozen=True)
class Method:
    """A one-step method, the file NAME.py beside this one, which is imported when its step is first asked for.

    Names are known without the kernels, and so without numba: reading a deck needs no more.  `order` is the accuracy
    order: the error at a given time is proportional to dt^order.  `stages` is the number of calls of `rhs` per step,
    `source` the publication of the method.
    """

    name: str
    order: int
    stages: int
    source: str

    @property
    def step(self) -> Step:
        """`step(rhs, t, y, dt)` returns y(t + dt) as a new array and does not change y.

        `rhs(t, y)` returns dy/dt as a new array of y's shape; y is float64 and C-contiguous, of any shape.
        """
        step: Step = self._module.step
        return step

    @property
    def is_stratonovich(self) -> bool:
        """Whether it solves equations with white noise, held constant within each step, in the sense of Stratonovich.

        It does if sum b_i c_i = 1/2 over its weights and nodes (W. Ruemelin, SIAM J. Numer. Anal. 19, 604 (1982)), the
        condition for order 2: of order 1, Euler's method solves them in the sense of Ito, others in neither.
        """
        return self.order >= 2

    @property
    def stability(self) -> float:
        """The largest rate * dt at which the solution of dy/dt = -rate y does not grow."""
        return float(self._module.STABILITY)

    @property
    def coefficients(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Nodes c and weights b of a method of two to four stages that each need the one before alone, else None.

        Stage i is at t + c_i dt and y + c_i dt k_(i-1), and y(t + dt) = y + dt sum_i b_i k_i.  Whoever has a large y
        can make such a step within a few arrays, without one for each k.
        """
        found: tuple[tuple[float, ...], tuple[float, ...]] | None = getattr(self._module, "COEFFICIENTS", None)
        return found if found is None or 2 <= len(found[0]) <= 4 else None

    @property
    def _module(self) -> ModuleType:
        return importlib.import_module(f".{self.name}", __package__)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("rk4", 4, 4, "W. Kutta, Z. Math. Phys. 46, 435 (1901)"),
        Method("heun", 2, 2, "K. Heun, Z. Math. Phys. 45, 23 (1900)"),
    )
}


def stable_product(method: Method, damping: float, growth: float = 1.0) -> float:
    """The largest rate * dt up to which one step multiplies a damped precession by at most `growth`.

    The motion is dy/dt = rate (-alpha + i)/sqrt(1 + alpha^2) y with alpha = `damping`.  The result, dimensionless, is
    at most `method.stability`.
    """
    import numpy as np

    products = np.linspace(0.0, method.stability, 401)
    real, imaginary = -damping / np.hypot(1.0, damping), 1.0 / np.hypot(1.0, damping)

    def rhs(t: float, y: Array) -> Array:
        return np.array([real * y[0] - imaginary * y[1], imaginary * y[0] + real * y[1]]) * products

    y = method.step(rhs, 0.0, np.stack([np.ones_like(products), np.zeros_like(products)]), 1.0)
    amplified = np.hypot(y[0], y[1]) > growth * (1 + 1e-12)
    return float(products[np.argmax(amplified) - 1]) if amplified.any() else method.stability


def get(name: str) -> Method:
    """The method registered under `name`.  ValueError if there is none."""
    try:
        return METHODS[name]
    except (KeyError, TypeError):
        allowed = ", ".join(METHODS)
        raise ValueError(f"integrator method {name!r} is not known; allowed: {allowed}; choose one of these") from None
