"""Dense Green's functions between leads of which some have constant width: other self-energies in `bathed_dense`.

Nothing is imported from the package.  A wide-band lead adds -i width/2 to its end site; nothing else is known of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tests.oracles.bathed_dense import Bathed
from tests.oracles.lattice_dense import ring_or_line


@dataclass(frozen=True)
class WideBand(Bathed):
    """Any size; widths: of the left and the right lead, 0 for one with a band.  A wide one has coupling 0 beside it."""

    widths: tuple[float, float] = (0.0, 0.0)

    def sigmas(self, energy):
        found, size = super().sigmas(energy), 2 * self.shape[1]
        for width, part, one in zip(self.widths, (slice(0, size), slice(-size, None)), found, strict=True):
            one[:, part, part] -= 0.5j * width * np.eye(size)
        return found


@dataclass(frozen=True)
class Bonded(WideBand):
    """Any size; along_x, along_y: (2, 2) matrices H_(i,i+1) of all bonds of the device; periodic: along y too.

    exchange: one number, or one for each site, (nx, ny).  missing: (x, y) of sites without contact to anything, at
    which results say nothing.
    """

    along_x: np.ndarray | None = None
    along_y: np.ndarray | None = None
    periodic: bool = False
    missing: tuple[tuple[int, int], ...] = ()

    @property
    def _there(self):
        kept = np.ones(self.shape, bool)
        for site in self.missing:
            kept[site] = False
        return np.repeat(kept.ravel(), 2).astype(float)

    def _local(self, vectors, scalars):
        J = np.broadcast_to(self.exchange, self.shape)[..., None]
        return replace(self, exchange=1.0)._of_moments(J * vectors, scalars)

    def _of_moments(self, vectors, scalars):
        return super()._local(vectors, scalars)

    @property
    def H(self):
        nx, ny = self.shape
        H = self._local(self.m, self.potential + self.onsite) - 0.5j * sum(self.of_bath)
        along_x = -np.eye(2) if self.along_x is None else self.along_x
        along_y = -np.eye(2) if self.along_y is None else self.along_y
        for x, y in np.ndindex(nx, ny):
            here, up = 2 * (x * ny + y), 2 * (x * ny + (y + 1) % ny)
            for T, there, exists in (
                (along_x, here + 2 * ny, x + 1 < nx),
                (along_y, up, y + 1 < ny or (self.periodic and ny > 1)),
            ):
                if exists:
                    H[here : here + 2, there : there + 2] += T
                    H[there : there + 2, here : here + 2] += T.conj().T
        there = self._there
        return H * there[:, None] * there + 1e3 * np.diag(1 - there)

    @property
    def Hd(self):
        return super().Hd * self._there

    def sigmas(self, energy):
        there = self._there
        return [one * there[:, None] * there for one in super().sigmas(energy)]

    def slopes(self, energy, step=1e-3):
        there = self._there
        return [one * there[:, None] * there for one in super().slopes(energy, step)]

    @property
    def transverse(self):
        ny = self.shape[1]
        return np.linalg.eigh(ring_or_line(ny, 1.0, self.periodic) + self.onsite * np.eye(ny))
