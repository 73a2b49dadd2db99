"""The bonds of a lattice, as numbers and as 2 x 2 matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .spin_orbit import bond_matrix
from .system import System


def hops_and_matrices(device: System) -> tuple[NDArray[np.float64], NDArray[np.complex128] | None]:
    """Hoppings of the bonds to the next x and the next y, (nx, 2, ny), energy, 0 where there is none.

    With them H_(site,next), (nx, 2, ny, 2, 2), in the place of -hops where bonds are matrices, else None.  With
    periodic y there is also a bond from the last y to the first.
    """
    nx, ny = device.shape
    hops = np.zeros((nx, 2, ny))
    hops[:-1, 0] = device.hops[:, None]
    hops[:, 1, : ny if device.periodic and ny > 1 else ny - 1] = device.hopping
    if not device.has_matrices:
        return hops, None
    matrices = bond_matrix(hops, np.zeros(3, complex))
    if device.bonds_along_x is not None:
        matrices[:-1, 0] = device.bonds_along_x[:, None]
    if device.bonds_along_y is not None:
        matrices[:, 1] = (hops[:, 1] > 0)[..., None, None] * device.bonds_along_y[:, None]
    return hops, matrices
