"""Moments that are not integrated: they rest, or turn rigidly, and the electrons respond without acting on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from llgnegf.dynamics.counted import Counted
from llgnegf.dynamics.coupling import Coupling, Motion
from llgnegf.dynamics.electron_instant import ElectronInstant
from llgnegf.dynamics.profiles import inside
from llgnegf.dynamics.stepper import Instant, Remembered
from llgnegf.electrons import SpinDensity
from llgnegf.once import cached_property


class Imposed(Counted):
    """A `Stepper` of moments known at every time: m(t) = R(axis, frequency t) m(0), dm/dt = frequency axis x m.

    start: m(0), (nx[, ny], 3); dt: the step; axis: (3,), of any length; frequency: 1/time, right-handed, 0 for moments
    at rest.  precession: whether electrons are split as in steady precession (geometric, sea, surface); otherwise they
    respond to the gates alone.
    """

    def __init__(
        self,
        coupling: Coupling,
        start: np.ndarray,
        dt: float,
        axis: ArrayLike = (0.0, 0.0, 1.0),
        frequency: float = 0.0,
        *,
        precession: bool = False,
    ) -> None:
        self.coupling, self.start, self.dt = coupling, start, dt
        self.frequency, self.precession = frequency, precession
        vector = np.array(axis)
        self.axis = vector / np.linalg.norm(vector)
        self._along = (start @ self.axis)[..., None] * self.axis
        self._across, self._turned = start - self._along, np.cross(self.axis, start)

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        """Goes to `limit` at once: nothing is integrated."""
        return limit, self.coupling.magnet.pack(self.moments(limit * self.dt))

    def moments(self, t: float) -> np.ndarray:
        """m(t) by Rodrigues' formula, (nx[, ny], 3)."""
        if self.frequency * t == 0.0:
            return self.start.copy()  # bit for bit: a resumed run starts from the first frame
        return self.at(np.array(t))[0]

    def velocity(self, t: float) -> np.ndarray:
        """dm/dt, (nx[, ny], 3)."""
        return self.at(np.array(t))[1]

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """m and dm/dt at many times of any shape: (*times, nx[, ny], 3) each."""
        angles = self.frequency * times[(..., *(None,) * self.start.ndim)]
        cosine, sine = np.cos(angles), np.sin(angles)
        moments = self._along + cosine * self._across + sine * self._turned
        return moments, self.frequency * (cosine * self._turned - sine * self._across)

    def instant(self, n: int, y: np.ndarray) -> Instant:
        """Electrons respond to gates, and to the rotation as a whole, but not to single moments."""
        coupling, magnet, t, within = self.coupling, self.coupling.magnet, n * self.dt, inside(n, self.dt)
        m = magnet.unpack(y).copy()
        velocity = magnet.pack(self.frequency * np.cross(self.axis, m))
        if coupling.device is None:
            return Instant(magnet, n, t, y, velocity, coupling.external(t, within))
        motion = Motion(velocity, coupling.freeze(t, m, within), None)
        if self.precession:
            return TurningInstant(coupling, n, t, y, motion, self.axis, self.frequency, within)
        return ElectronInstant(
            coupling, n, t, y, motion, feedback=False, first_order=coupling.order == 1, within=within
        )

    def state(self) -> Remembered:
        """Nothing: the moments follow from the time."""
        return {}

    def restore(self, remembered: Remembered) -> None:
        """Nothing is needed."""


class TurningInstant(ElectronInstant):
    """Electrons of a texture in steady precession, split as Bajpai and Nikolic do; gates may move beside it."""

    def __init__(
        self,
        coupling: Coupling,
        n: int,
        t: float,
        y: np.ndarray,
        motion: Motion,
        axis: np.ndarray,
        frequency: float,
        within: float | None = None,
    ) -> None:
        """axis: (3,), of length 1; frequency: of the rotation, 1/time."""
        super().__init__(coupling, n, t, y, motion, feedback=False, first_order=True, within=within)
        self._axis, self._frequency = axis, frequency

    @cached_property
    def _precession(self) -> tuple[SpinDensity, np.ndarray, np.ndarray]:
        return self.frozen.precession_with_currents(self._axis, self._frequency)

    @cached_property
    def spin(self) -> SpinDensity:
        """Geometric, sea (of the leads) and surface part of the precession, with the response to the gates."""
        response = self.response
        spin = self._precession[0]
        return spin if response is None else _with_gates(spin, self.frozen.parts(response))

    @cached_property
    def currents(self) -> tuple[np.ndarray, np.ndarray]:
        """Particles (2,) and spin (2, 3) that flow into the left and the right lead, 1/time."""
        charge, flow = self._driven_currents()
        return charge + self._precession[1], flow + self._precession[2]


def _with_gates(precession: SpinDensity, gates: SpinDensity) -> SpinDensity:
    """Steady precession and moving gates at once: both are first order, so they add."""
    return SpinDensity(
        adiabatic=precession.adiabatic,
        sea=precession.sea + gates.sea,
        surface=precession.surface + gates.surface,
        geometric=precession.geometric,
        density_adiabatic=precession.density_adiabatic,
        density_sea=precession.density_sea + gates.density_sea,
        density_surface=precession.density_surface + gates.density_surface,
        solves=gates.solves,
    )
