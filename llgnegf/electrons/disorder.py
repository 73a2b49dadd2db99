"""Anderson disorder: independent random on-site energies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .arguments import lattice_shape, number, whole_number

# Added to the user's seed, so that other random numbers made from the same seed are independent of these.
_STREAM = 0x6469736F  # "diso"


def uniform_disorder(shape: int | Sequence[int], amplitude: float, seed: int = 1) -> NDArray[np.float64]:
    """On-site energies drawn evenly from [-amplitude/2, amplitude/2]: (n,) or (nx, ny), a `potential` of a device.

    shape: as that of `device.Device`; amplitude: W >= 0 of Anderson, Phys. Rev. 109, 1492 (1958), energy; seed: whole
    number >= 0.  The numbers are those of seed and shape alone (NumPy's counter-based Philox generator), times the
    amplitude.
    Raises ValueError naming the argument, its value and what is allowed.
    """
    sizes = lattice_shape(shape)
    width = number("amplitude", amplitude, ">= 0", lambda x: x >= 0)
    key = np.random.SeedSequence(whole_number("seed", seed), spawn_key=(_STREAM,))
    return width * (np.random.Generator(np.random.Philox(key)).random(sizes) - 0.5)
