"""The Hamiltonian of a lattice as blocks, one for each slice (column x), for the sweeps of `slices.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .counter import Counter

Stack = NDArray[np.complex128]
Allocator = Callable[[tuple[int, ...]], Stack]


@dataclass(frozen=True)
class Slices:
    """Slices of a lattice along x.

    h: (nx, n, n), blocks of H, energy, n = 2 ny, index 2 y + spin; hops: (nx - 1,), hopping between slices, energy;
    counter: counts every energy at which the slices are eliminated; holes: (nx, ny), sites without an orbital, whose
    level in h is huge; None: there are none.
    bonds: (nx - 1, 2, 2), H_(i,i+1) between sites of neighbouring slices with the same y, energy, in the place of
    -hops, which are their norms then; None: -hops.  whole: whether flows over bonds take both G_ab - G_ba and
    G_ab + G_ba, because some bond is a matrix.
    """

    h: Stack
    hops: NDArray[np.float64]
    counter: Counter
    holes: NDArray[np.bool_] | None = None
    bonds: Stack | None = None
    whole: bool = False

    def layers(self, with_bonds: bool) -> int:
        """How many blocks there are for a site, with those of its bonds or without; see `slices.Sweep.blocks`."""
        return layers(self.whole, with_bonds)

    @cached_property
    def both_ways(self) -> Stack:
        """`bonds` and their adjoints, (2, nx - 1, 2, 2), for kernels; (2, 0, 2, 2) where bonds are scalars."""
        if self.bonds is None:
            return np.empty((2, 0, 2, 2), complex)
        return np.ascontiguousarray(np.stack([self.bonds, np.conj(np.swapaxes(self.bonds, 1, 2))]))

    def dense(self) -> Stack:
        """H of all slices, (nx n, nx n)."""
        nx, n, _ = self.h.shape
        H = np.zeros((nx, n, nx, n), complex)
        x = np.arange(nx)
        H[x, :, x, :] = self.h
        for i in range(nx - 1):
            T = -self.hops[i] * np.eye(2) if self.bonds is None else self.bonds[i]
            H[i, :, i + 1] = np.kron(np.eye(n // 2), T)
            H[i + 1, :, i] = H[i, :, i + 1].conj().T
        return H.reshape(nx * n, nx * n)

    def times(self, x: Stack) -> Stack:
        """H x for x (nx, n, p), without leads."""
        out = np.asarray(self.h @ x)
        if self.bonds is not None:
            nx, n, p = x.shape
            by_site, found = x.reshape(nx, n // 2, 2, p), out.reshape(nx, n // 2, 2, p)
            found[:-1] += self.both_ways[0][:, None] @ by_site[1:]
            found[1:] += self.both_ways[1][:, None] @ by_site[:-1]
            return out
        hops = self.hops[:, None, None]
        out[1:] -= hops * x[:-1]
        out[:-1] -= hops * x[1:]
        return out

    def reversed(self) -> Slices:
        """The mirror image in x."""
        holes = None if self.holes is None else self.holes[::-1]
        bonds = None if self.bonds is None else np.ascontiguousarray(self.both_ways[1][::-1])
        return Slices(np.ascontiguousarray(self.h[::-1]), backwards(self.hops), self.counter, holes, bonds, self.whole)


def layers(whole: bool, with_bonds: bool) -> int:
    """How many blocks there are for a site, see `slices.Sweep.blocks`; whole: as of `Slices`."""
    return (5 if whole else 3) if with_bonds else 1


def backwards(hops: NDArray[np.float64]) -> NDArray[np.float64]:
    """The hoppings in reverse order, read-only.

    Those of a device are read-only too.  numba compiles a kernel once more for arrays that are not.
    """
    mirrored = hops[::-1].copy()
    mirrored.flags.writeable = False
    return mirrored
