"""Steppers of moments with inertia, whose state is m and dm/dt; the equation is in `magnet/inertia.py`.

The electrons act through their field as on moments without inertia.  They answer to the dm/dt that the moments have, so
that no velocity equation is to be solved.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from llgnegf.beside import integrators
from llgnegf.dynamics.coupling import Coupling, Motion
from llgnegf.dynamics.profiles import inside
from llgnegf.dynamics.refresh import Coupled, remembered_array
from llgnegf.dynamics.stepper import Instant, Remembered, check_moments


class Inertial(Coupled):
    """One step dt of a method from `integrators` for m and v = dm/dt together.

    start: m(0), (nx[, ny], 3).  inertia: eta > 0, time, a number or one for each site (nx[, ny]).  velocity: v(0),
    (nx[, ny], 3), across the moments; None: that which moments without inertia have, without random fields.
    holds: whether the field of the electrons is held over each step, instead of being asked for at every stage.
    """

    def __init__(
        self,
        coupling: Coupling,
        method: integrators.Step,
        dt: float,
        start: np.ndarray,
        inertia: float | np.ndarray,
        velocity: np.ndarray | None,
        *,
        holds: bool = False,
    ) -> None:
        super().__init__(coupling, method, dt)
        magnet = coupling.magnet
        self.inertia = np.broadcast_to(np.asarray(inertia, dtype=np.float64), magnet.shape)
        self._per_inertia = np.ascontiguousarray(magnet.pack(np.repeat((1.0 / self.inertia)[..., None], 3, axis=-1))[0])
        self._start, self._holds = start, holds
        self._moving = None if velocity is None else magnet.across(magnet.pack(start), magnet.pack(velocity))

    @property
    def moving(self) -> np.ndarray:
        """dm/dt where the run stands, packed."""
        if self._moving is None:
            magnet, quiet = self.coupling.magnet, copy.copy(self.coupling)
            quiet.thermal = quiet.electron_noise = None
            y = magnet.pack(self._start)
            self._moving = magnet.across(y, quiet.motion(0.0, y, within=inside(0, self.dt)).velocity)
        return self._moving

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        magnet, within = self.coupling.magnet, inside(n, self.dt)
        both = np.stack([y, self.moving])
        if self.coupling.acts:
            self._draw(n, y)
            first = self._beginning(n, y)
            rhs = self._in(first.electron_field, within) if self._holds else self._at_each_stage(both, n, first, within)
        else:
            rhs = self._in(None, within)
        y, v = self.method(rhs, n * self.dt, both, self.dt)
        magnet.normalize(y)
        if magnet.stretched is not None or not np.isfinite(v).all():
            check_moments(magnet.unpack(y), n + 1, self.dt, magnet.stretched)
            check_moments(magnet.unpack(v), n + 1, self.dt)
        self._moving = magnet.across(y, v)
        return n + 1, y

    def instant(self, n: int, y: np.ndarray) -> Instant:
        if self.coupling.acts:
            return super().instant(n, y)
        return self._at(n, y, self._evaluated(n, y))

    def state(self) -> Remembered:
        return super().state() | {"moving": self.moving}

    def restore(self, remembered: Remembered) -> None:
        super().restore(remembered)
        self._moving = remembered_array(remembered, "moving", self.coupling.magnet.packed_shape)

    def _evaluated(self, n: int, y: np.ndarray) -> Motion:
        self._draw(n, y)
        return self.coupling.motion(n * self.dt, y, within=inside(n, self.dt), moving=self.moving)

    def _at(self, n: int, y: np.ndarray, motion: Motion) -> Instant:
        instant = super()._at(n, y, replace(motion, velocity=self.moving))
        squares = (self.coupling.magnet.unpack(self.moving) ** 2).sum(axis=-1)
        instant.inertia = self.inertia
        instant.kinetic = 0.5 * self.coupling.magnet.spin * float((self.inertia * squares).sum())
        return instant

    def _rates(self, both: np.ndarray, w: np.ndarray) -> np.ndarray:
        """d/dt of m and v, where w is the velocity without inertia."""
        y, v = both
        return np.stack([v, self.coupling.magnet.acceleration(y, v, w, self._per_inertia)])

    def _in(self, field: np.ndarray | None, within: float) -> integrators.RightHandSide:
        """The right-hand side in a field of the electrons."""

        def rhs(t: float, both: np.ndarray) -> np.ndarray:
            return self._rates(both, self.coupling.velocity_in(field, t, both[0], within))

        return rhs

    def _at_each_stage(
        self, start: np.ndarray, n: int, first: Motion, within: float
    ) -> Callable[[float, np.ndarray], np.ndarray]:
        """The right-hand side with the electrons of every stage, those of the first one known already."""

        def rhs(t: float, both: np.ndarray) -> np.ndarray:
            if both is start and t == n * self.dt:
                return self._rates(both, first.velocity)
            y, v = both
            return self._rates(both, self.coupling.motion(t, y, within=within, moving=v).velocity)

        return rhs
