"""Flows over bonds that are 2 x 2 matrices, where the spin that leaves a site is not the spin that arrives.

Over the bond from site a to site b, with T = H_ab and the density matrix rho,

    leaving a: -2 Im Tr[sigma T rho_ba],        arriving at b: -2 Im Tr[T sigma rho_ba];

the particles of both (1 in the place of sigma) are the same.  A flow is the mean of the two; their difference is a
torque of the bond on the electrons' spin, half of it at either end (`currents.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .pauli import SIGMA, pauli_traces
from .spin_orbit import SpinFrame

_ONE_AND_PAULI = np.concatenate([np.eye(2)[None], SIGMA])


@dataclass(frozen=True)
class Bonds:
    """Bonds of a device in the layout of `Sweeps.flows`, *b: of a lattice (nx, 2, ny), of a chain (n - 1,).

    starts, ends: flat indices of the two sites, (*b,); hops: hopping, energy, 0 where there is no bond; matrices:
    (*b, 2, 2), H_(start,end) in their place, None where all are scalars.
    """

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]
    hops: NDArray[np.float64]
    matrices: NDArray[np.complex128] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of flows, but for the traces."""
        return self.hops.shape if self.matrices is None else (*self.hops.shape, 2)

    def flow(self, between: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Flows (..., *b, 4), or leaving and arriving (..., *b, 2, 4) where bonds are matrices, 1/time.

        between: traces of 2 rho_(end,start), (..., *b, 4).
        """
        if self.matrices is None:
            return np.asarray(self.hops[..., None] * np.imag(between))
        return over_matrices(self.matrices, between)


def of_layers(layers: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Traces of 2 rho_(end,start), (nx, 2, ny, 4), from those of `sea.traced` with bonds."""
    found = 1j * layers[:, 1:3]
    return np.asarray(found if layers.shape[1] == 3 else found + layers[:, 3:])


def over_matrices(matrices: NDArray[np.complex128], pairs: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Flows traced with 1 and sigma, (..., 2, 4), leaving and arriving, 1/time.

    matrices: T (..., 2, 2), energy; pairs: Tr[(1, sigma) 2 rho_ba], (..., 4).
    """
    twice = 0.5 * np.einsum("...c,cij->...ij", pairs, _ONE_AND_PAULI)  # 2 rho_ba
    return np.stack([-np.imag(pauli_traces(matrices @ twice)), -np.imag(pauli_traces(twice @ matrices))], axis=-2)


def outside(
    over: NDArray[np.float64], frame: SpinFrame | None, pads: tuple[int, int] = (0, 0)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flows as `Sweeps.flows` has them outside of the frame, and the torque of the bonds at each site.

    over: of a chain (n - 1, 4), of a lattice (nx, 2, ny, 4), or where bonds are matrices (n - 1, 2, 4) and
    (nx, 2, ny, 2, 4), leaving and arriving; pads: sites (columns) of the left and of the right lead among them.
    Returns the means of what leaves and what arrives, (n - 1, 4) or (nx, 2, ny, 4), and (n, 4) or (nx, ny, 4), energy,
    what the bonds add to the traces at each site beside these flows.
    """
    if over.ndim in (2, 3):
        as_lattice = np.zeros((len(over) + 1, 2, 1, *over.shape[1:]))
        as_lattice[:-1, 0, 0] = over
        mean, torque = outside(as_lattice, frame, pads)
        return mean[:-1, 0, 0], torque[:, 0]
    leaving, arriving = (over, over) if over.ndim == 4 else (over[..., 0, :], over[..., 1, :])
    if frame is not None:
        leaving, arriving = leaving.copy(), arriving.copy()
        turns = np.concatenate([*pads[0] * [frame.turns[:1]], frame.turns, *pads[1] * [frame.turns[-1:]]])
        ends = np.stack([np.roll(turns, -1, axis=0), turns], axis=1)  # of the next x and of the next y
        leaving[..., 1:] = np.einsum("xba,xdyb->xdya", turns, leaving[..., 1:])
        arriving[..., 1:] = np.einsum("xdba,xdyb->xdya", ends, arriving[..., 1:])
    mean = (leaving + arriving) / 2
    at_start, at_end = mean - leaving, arriving - mean
    torque = at_start.sum(axis=1)
    torque[1:] += at_end[:-1, 0]
    torque += np.roll(at_end[:, 1], 1, axis=1)
    return mean, torque
