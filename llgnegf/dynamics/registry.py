"""Steppers of the LLG equation by `integrator.electrons`, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llgnegf.beside import integrators
from llgnegf.dynamics.adaptive import Adaptive
from llgnegf.dynamics.coupling import Coupling
from llgnegf.dynamics.refresh import Classical, Stage, Step
from llgnegf.dynamics.stepper import Stepper

# From the right-hand side, the one-step method, the step, and the tolerance of the electrons' spin density.
Make = Callable[[Coupling, integrators.Step, float, float], Stepper]

REFRESH: Mapping[str, Make] = {
    "stage": lambda coupling, method, dt, _tolerance: Stage(coupling, method, dt),
    "step": lambda coupling, method, dt, _tolerance: Step(coupling, method, dt),
    "adaptive": Adaptive,
}


def llg_stepper(coupling: Coupling, method: integrators.Step, dt: float, refresh: str, tolerance: float) -> Stepper:
    """The stepper that refreshes the electrons as `refresh` says; none needs to where they do not act."""
    return REFRESH[refresh](coupling, method, dt, tolerance) if coupling.acts else Classical(coupling, method, dt)
