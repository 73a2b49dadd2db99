"""The Hamiltonian of a lattice as blocks, one for each slice (column x), for the sweeps of `slices.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .counter import Counter

Stack = NDArray[np.complex128]
Allocator = Callable[[tuple[int, ...]], Stack]


@dataclass(frozen=True)
class Slices:
    """Slices of a lattice along x.

    h: (nx, n, n), blocks of H, energy, n = 2 ny, index 2 y + spin; hops: (nx - 1,), hopping between slices, energy;
    counter: counts every energy at which the slices are eliminated; holes: (nx, ny), sites without an orbital, whose
    level in h is huge; None: there are none.
    """

    h: Stack
    hops: NDArray[np.float64]
    counter: Counter
    holes: NDArray[np.bool_] | None = None

    def times(self, x: Stack) -> Stack:
        """H x for x (nx, n, p), without leads."""
        out = self.h @ x
        hops = self.hops[:, None, None]
        out[1:] -= hops * x[:-1]
        out[:-1] -= hops * x[1:]
        return out

    def reversed(self) -> Slices:
        """The mirror image in x."""
        holes = None if self.holes is None else self.holes[::-1]
        return Slices(np.ascontiguousarray(self.h[::-1]), backwards(self.hops), self.counter, holes)


def backwards(hops: NDArray[np.float64]) -> NDArray[np.float64]:
    """The hoppings in reverse order, read-only.

    Those of a device are read-only too.  numba compiles a kernel once more for arrays that are not.
    """
    mirrored = hops[::-1].copy()
    mirrored.flags.writeable = False
    return mirrored
