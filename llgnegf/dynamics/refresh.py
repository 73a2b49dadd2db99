"""Steppers of moments that follow the LLG equation: electrons refreshed at every stage, once a step, or never.

Each is a `stepper.Stepper` and advances by one step; `adaptive.py` has the one that refreshes as needed.  To refresh is
to evaluate the electrons and with them their field on the moments.  Electrons evaluated for a frame are those with
which the next step begins: each instant is evaluated once.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from llgnegf.beside import integrators
from llgnegf.dynamics.counted import Counted
from llgnegf.dynamics.coupling import Coupling, Motion
from llgnegf.dynamics.electron_instant import ElectronInstant
from llgnegf.dynamics.profiles import inside
from llgnegf.dynamics.stepper import Instant, Remembered, check_moments


class Classical(Counted):
    """No electrons act on the moments.  Base of the others: one step dt of a method from `integrators`."""

    def __init__(self, coupling: Coupling, method: integrators.Step, dt: float) -> None:
        self.coupling, self.method, self.dt = coupling, method, dt

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        y = self._step(n, y)
        magnet = self.coupling.magnet
        if magnet.stretched is not None:
            check_moments(magnet.unpack(y), n + 1, self.dt, magnet.stretched)
        return n + 1, y

    def instant(self, n: int, y: np.ndarray) -> Instant:
        return self._at(n, y, self.coupling.motion(n * self.dt, y, within=inside(n, self.dt)))

    def state(self) -> Remembered:
        return {}

    def restore(self, remembered: Remembered) -> None:
        pass

    def _at(self, n: int, y: np.ndarray, motion: Motion) -> Instant:
        coupling, t, within = self.coupling, n * self.dt, inside(n, self.dt)
        if motion.frozen is None:
            return Instant(coupling.magnet, n, t, y, motion.velocity, coupling.external(t, within))
        first_order = coupling.order == 1
        feedback = first_order and coupling.velocity_feedback
        return ElectronInstant(coupling, n, t, y, motion, feedback=feedback, first_order=first_order, within=within)

    def _step(self, n: int, y: np.ndarray) -> np.ndarray:
        """Packed moments at step n + 1."""
        return self._integrate(partial(self.coupling.velocity_in, None, within=inside(n, self.dt)), n, y)

    def _integrate(self, rhs: integrators.RightHandSide, n: int, y: np.ndarray) -> np.ndarray:
        return self.coupling.magnet.normalize(self.method(rhs, n * self.dt, y, self.dt))


def remembered_array(remembered: Remembered, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of a checkpoint, for kernels.  ValueError unless it is finite, of float64 and of `shape`."""
    array = remembered[name]
    if array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name}: {array.dtype} of shape {array.shape}, not finite float64 of shape {shape}")
    return np.ascontiguousarray(array)


class Coupled(Classical):
    """Electrons act on the moments.  What was evaluated for a frame is kept until the step that begins there."""

    _begun: tuple[int, Motion] | None = None

    def instant(self, n: int, y: np.ndarray) -> Instant:
        motion = self._evaluated(n, y)
        # Without the frozen electrons: what their sweeps keep may be large.
        self._begun = n, Motion(motion.velocity, None, motion.electron_field)
        return self._at(n, y, motion)

    def _near(self, n: int) -> np.ndarray | None:
        """A guess of the electrons' field (packed) at step n, from which the velocity equation is solved."""
        raise NotImplementedError

    def _beginning(self, n: int, y: np.ndarray) -> Motion:
        """Velocity and field at the beginning of step n, evaluated now unless a frame has done so."""
        begun, self._begun = self._begun, None
        return begun[1] if begun is not None and begun[0] == n else self._evaluated(n, y)

    def _evaluated(self, n: int, y: np.ndarray) -> Motion:
        self._draw(n, y)
        return self.coupling.motion(n * self.dt, y, self._near(n), inside(n, self.dt))

    def _draw(self, n: int, y: np.ndarray) -> None:
        self.coupling.begin_step(n, n * self.dt, y, inside(n, self.dt))

    def state(self) -> Remembered:
        found: Remembered = {}
        noise = self.coupling.electron_noise
        if noise is not None and noise.begun is not None:
            found |= {"noise_step": np.array(noise.begun[0], dtype=np.int64), "noise_field": noise.begun[1]}
        if self._begun is not None:
            n, motion = self._begun
            assert motion.electron_field is not None
            found |= {
                "begun_step": np.array(n, dtype=np.int64),
                "begun_velocity": motion.velocity,
                "begun_field": motion.electron_field,
            }
        return found

    def restore(self, remembered: Remembered) -> None:
        self._begun = None
        noise = self.coupling.electron_noise
        if noise is not None:
            noise.begun = None
            if "noise_step" in remembered:
                field = remembered_array(remembered, "noise_field", self.coupling.magnet.packed_shape)
                noise.begun = int(remembered["noise_step"]), field
        if "begun_step" in remembered:  # absent in checkpoints between two frames and in older ones
            shape = self.coupling.magnet.packed_shape
            velocity, field = (remembered_array(remembered, f"begun_{name}", shape) for name in ("velocity", "field"))
            motion = Motion(velocity, None, field)
            self._begun = int(remembered["begun_step"]), motion

    def _step_from(self, first: np.ndarray, rhs: integrators.RightHandSide, n: int, y: np.ndarray) -> np.ndarray:
        """One step whose velocity at its beginning is known."""

        def velocity(t: float, stage: np.ndarray) -> np.ndarray:
            return first.copy() if stage is y and t == n * self.dt else rhs(t, stage)

        return self._integrate(velocity, n, y)


class Stage(Coupled):
    """Electrons at every stage of a step; the field of one is the guess for the velocity equation of the next."""

    field: np.ndarray | None = None

    def _step(self, n: int, y: np.ndarray) -> np.ndarray:
        self._draw(n, y)
        first = self._beginning(n, y)
        self.field = first.electron_field
        return self._step_from(first.velocity, partial(self._velocity, inside(n, self.dt)), n, y)

    def _velocity(self, within: float, t: float, y: np.ndarray) -> np.ndarray:
        motion = self.coupling.motion(t, y, self.field, within)
        self.field = motion.electron_field
        return motion.velocity

    def _near(self, n: int) -> np.ndarray | None:
        return self.field

    def state(self) -> Remembered:
        return super().state() | ({} if self.field is None else {"electron_field": self.field})

    def restore(self, remembered: Remembered) -> None:
        super().restore(remembered)
        self.field = None
        if "electron_field" in remembered:
            self.field = remembered_array(remembered, "electron_field", self.coupling.magnet.packed_shape)


class Step(Stage):
    """Electrons at the beginning of each step, their field held during it: first order in the step."""

    def _step(self, n: int, y: np.ndarray) -> np.ndarray:
        self.field = self._beginning(n, y).electron_field
        return self._integrate(partial(self.coupling.velocity_in, self.field, within=inside(n, self.dt)), n, y)
