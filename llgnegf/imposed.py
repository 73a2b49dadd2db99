"""Moments that are not integrated: they rest, or turn rigidly, and the electrons only watch."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from llgnegf.coupling import Coupling, Motion
from llgnegf.deck import Deck
from llgnegf.electron_instant import ElectronInstant
from llgnegf.electrons import SpinDensity
from llgnegf.stepper import Instant, Remembered


class Imposed:
    """A `Stepper` of moments known at every time: m(t) = R(axis, frequency t) m(0), dm/dt = frequency axis x m.

    start: m(0), (nx[, ny], 3); axis: (3,), of any length; frequency: 1/time, right-handed, 0 for moments at rest.
    """

    def __init__(self, deck: Deck, coupling: Coupling, start: np.ndarray, axis: ArrayLike, frequency: float) -> None:
        self.deck, self.coupling, self.start, self.frequency = deck, coupling, start, frequency
        vector = np.array(axis)
        self.axis = vector / np.linalg.norm(vector)

    @property
    def solves(self) -> int:
        """Green's functions evaluated so far."""
        return self.coupling.solves

    @solves.setter
    def solves(self, count: int) -> None:
        self.coupling.solves = count

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        """Straight to `limit`: nothing happens in between."""
        return limit, self.coupling.magnet.pack(self.moments(limit * self.deck.integrator.step))

    def moments(self, t: float) -> np.ndarray:
        """m(t) by Rodrigues' formula, (nx[, ny], 3)."""
        angle, a, m = self.frequency * t, self.axis, self.start
        if angle == 0.0:
            return m.copy()  # bit for bit: a resumed run starts from the first frame
        along = (m @ a)[..., None] * a
        turned: np.ndarray = along + np.cos(angle) * (m - along) + np.sin(angle) * np.cross(a, m)
        return turned

    def instant(self, n: int, y: np.ndarray) -> Instant:
        """Electrons respond to gates, and to the rotation as a whole, but not to single moments."""
        coupling, magnet = self.coupling, self.coupling.magnet
        m = magnet.unpack(y).copy()
        velocity = magnet.pack(self.frequency * np.cross(self.axis, m))
        if coupling.device is None:
            return Instant(self.deck, magnet, n, y, velocity)
        motion = Motion(velocity, coupling.freeze(n * self.deck.integrator.step, m), None)
        if self.deck.motion.kind == "precession":
            return TurningInstant(self.deck, coupling, n, y, motion, self.axis, self.frequency)
        return ElectronInstant(self.deck, coupling, n, y, motion, feedback=False, first_order=coupling.order == 1)

    def state(self) -> Remembered:
        """Nothing: the time tells all."""
        return {}

    def restore(self, remembered: Remembered) -> None:
        """Nothing is needed."""


class TurningInstant(ElectronInstant):
    """Electrons of a texture in steady precession, split as Bajpai and Nikolic do; gates may move beside it."""

    def __init__(
        self, deck: Deck, coupling: Coupling, n: int, y: np.ndarray, motion: Motion, axis: np.ndarray, frequency: float
    ) -> None:
        super().__init__(deck, coupling, n, y, motion, feedback=False, first_order=True)
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
