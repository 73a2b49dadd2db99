"""What the sweeps through a lattice need of it: its slices along x."""

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
    """What the sweeps need of a system: h (nx, n, n) blocks of the Hamiltonian and hops (nx - 1,) t between slices.

    counter: is told of every energy at which they are eliminated.
    """

    h: Stack
    hops: NDArray[np.float64]
    counter: Counter

    def reversed(self) -> Slices:
        """The mirror image in x."""
        return Slices(np.ascontiguousarray(self.h[::-1]), backwards(self.hops), self.counter)


def backwards(hops: NDArray[np.float64]) -> NDArray[np.float64]:
    """The hoppings from the other end; read-only, as those of a device are, because kernels compile for either kind."""
    mirrored = hops[::-1].copy()
    mirrored.flags.writeable = False
    return mirrored
