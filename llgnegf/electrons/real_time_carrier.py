"""What holds and moves the state of electrons in real time, and what flows from them into the leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .real_time_step import MakesStages

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]


class Carrier(MakesStages, Protocol):
    """Holds and moves the state of electrons in real time: `RealTime` itself as rows, others as tiles or on a GPU."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the state."""

    def empty(self) -> Any:
        """An array for a state, not initialised."""

    def put(self, state: Real) -> Any:
        """A NumPy array as a state: a copy."""

    def get(self, state: Any) -> Real:
        """A state as a NumPy array: a copy."""

    def at_rest(self, m: Real, potential: Real) -> Any:
        """The state at rest, with the leads at moments m (*s, 3) and gates `potential` (*s,)."""

    def derivative(self, state: Any, m: Real, potential: Real, voltages: Real) -> Any:
        """d(state)/dt at moments m, gates, and voltages of the left and right lead (2,), energy."""

    def traced(self, state: Any) -> Real:
        """Density and spin density of each site, Tr[rho_i (1, sigma)]: (*s, 4)."""

    def flows(self, state: Any) -> Flows:
        """What flows into the left and the right lead."""

    def energy(self, state: Any, m: Real, potential: Real) -> float:
        """Tr[rho H] of the device, without its coupling to the leads, energy."""


@dataclass(frozen=True)
class Flows:
    """What the left and the right lead take up.

    exchanged: <c|phi_c> summed over the exponents, (2, 2, 2) [lead, spin, spin], 1/time; energy: (2,), energy/time,
    counted from the levels of the lead, which a voltage shifts; not a number of wide-band leads, whose is not known.
    """

    exchanged: Complex
    energy: Real

    @classmethod
    def of(cls, sides: NDArray[np.int64], exchanged: Complex, weighted: Complex) -> Flows:
        """From what each lead that is there exchanges, (leads, 2, 2), and from its trace with z^*, (leads,)."""
        everywhere, energy = np.zeros((2, 2, 2), complex), np.zeros(2)
        everywhere[sides], energy[sides] = exchanged, -2 * weighted.real
        return cls(everywhere, energy)

    @property
    def charge(self) -> Real:
        """Particles that flow into the left and the right lead, (2,), 1/time."""
        return -2 * np.trace(self.exchanged, axis1=1, axis2=2).real

    @property
    def spin(self) -> Real:
        """Tr[sigma/2 ...] of what flows in, (2, 3), 1/time."""
        return spin_flow(self.exchanged)

    @property
    def coupling_energy(self) -> float:
        """Energy of the bonds between device and leads."""
        return 2 * float(np.trace(self.exchanged, axis1=1, axis2=2).imag.sum())


def spin_flow(exchanged: Complex) -> Real:
    """Tr[sigma/2 ...] of what flows out of sites that exchange <s|phi_s>, (k, 2, 2) [spin, spin]: (k, 3), 1/time."""
    flow = -exchanged - exchanged.conj().swapaxes(1, 2)
    return np.stack([flow[:, 1, 0].real, flow[:, 1, 0].imag, (flow[:, 0, 0] - flow[:, 1, 1]).real / 2], axis=-1)
