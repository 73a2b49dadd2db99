"""A right-handed frame (e1, e2, axis) for any axis; azimuths about the axis are measured from e1 towards e2."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._arguments import direction


def plane_axes(axis: Sequence[float], name: str = "axis") -> tuple[NDArray[np.float64], ...]:
    """Unit vectors (e1, e2, k), each (3,), with k along `axis` and e1 x e2 = k.

    e1 is the Cartesian direction that follows the largest component of k in the cycle x -> y -> z -> x, made
    orthogonal to k; e2 = k x e1. So k = z gives (x, y), k = x gives (y, z), k = y gives (z, x); reversing k keeps e1
    and reverses e2. An azimuth is atan2(m.e2, m.e1): for k = z, atan2(m_y, m_x).

    Raises ValueError, naming the argument by `name`, if `axis` is not three numbers or is zero.
    """
    k = direction(name, axis)
    follows = np.zeros(3)
    follows[(int(np.argmax(np.abs(k))) + 1) % 3] = 1.0
    e1 = follows - (follows @ k) * k
    e1 = e1 / np.sqrt(e1 @ e1)
    return e1, np.cross(k, e1), k
