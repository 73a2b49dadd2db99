"""Dense Green's functions between leads of which some have constant width: other self-energies in `bathed_dense`.

Nothing is imported from the package.  A wide-band lead adds -i width/2 to its end site; nothing else is known of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.oracles.bathed_dense import Bathed


@dataclass(frozen=True)
class WideBand(Bathed):
    """A chain; widths: of the left and the right lead, 0 for one with a band.  A wide one has coupling 0 beside it."""

    widths: tuple[float, float] = (0.0, 0.0)

    def sigmas(self, energy):
        found = super().sigmas(energy)
        for width, part, one in zip(self.widths, (slice(0, 2), slice(-2, None)), found, strict=True):
            one[:, part, part] -= 0.5j * width * np.eye(2)
        return found


@dataclass(frozen=True)
class Bonded(WideBand):
    """Any size; along_x, along_y: (2, 2) matrices H_(i,i+1) of all bonds of the device."""

    along_x: np.ndarray | None = None
    along_y: np.ndarray | None = None

    @property
    def H(self):
        nx, ny = self.shape
        H = self._local(self.m, self.potential + self.onsite) - 0.5j * sum(self.of_bath)
        for x, y in np.ndindex(nx, ny):
            here = 2 * (x * ny + y)
            for T, there, exists in (
                (self.along_x, here + 2 * ny, x + 1 < nx),
                (self.along_y, here + 2, y + 1 < ny),
            ):
                if exists:
                    H[here : here + 2, there : there + 2] += T
                    H[there : there + 2, here : here + 2] += T.conj().T
        return H
