"""A single skyrmion on a square lattice."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._arguments import choice, length, number, square_shape, vector


def skyrmion(
    shape: Sequence[int],
    center: Sequence[float],
    radius: float,
    wall_width: float,
    helicity: float = 0.0,
    charge: int = -1,
) -> NDArray[np.float64]:
    """Skyrmion with the profile of a 360-degree wall along every line through its centre; moments (nx, ny, 3).

        m = (sin theta cos(phi + helicity), sin theta sin(phi + helicity), -charge cos theta)
        theta(r) = 2 atan2(sinh(radius/wall_width), sinh(r/wall_width))

    with (r, phi) polar coordinates about `center` (index coordinates (x, y), may lie between sites). theta falls from
    pi at the centre through pi/2 at r = radius to 0 outside: the core is charge * z in a background of -charge * z,
    and the winding in the plane is +1, so that Q = (1/4 pi) int m.(d_x m x d_y m) = `charge`, -1 (core down) or +1.
    `radius` and `wall_width` in lattice constants. `helicity` in radians: 0 Neel, in-plane moments outwards; pi Neel,
    inwards; pi/2 Bloch, anticlockwise; -pi/2 Bloch, clockwise.

    Raises ValueError for a chain and for impossible arguments.

    Source: the Walker-like 360-degree wall formula that X. S. Wang, H. Y. Yuan and X. R. Wang, Commun. Phys. 1, 31
    (2018) found to describe relaxed skyrmions well.
    """
    nx, ny = square_shape(shape, "skyrmion")
    cx, cy = vector("center", center, 2)
    R, w = length("radius", radius), length("wall_width", wall_width)
    turn = number("helicity", helicity)
    choice("charge", charge, (-1, 1))

    x, y = np.arange(nx)[:, None] - cx, np.arange(ny)[None, :] - cy
    theta = _polar_angle(np.hypot(x, y) / w, R / w)
    phi = np.arctan2(y, x) + turn
    in_plane = np.sin(theta)
    return np.stack([in_plane * np.cos(phi), in_plane * np.sin(phi), -charge * np.cos(theta)], axis=-1)


def _polar_angle(r: NDArray[np.float64], R: float) -> NDArray[np.float64]:
    """theta = 2 atan2(sinh R, sinh r), both divided by exp(max(r, R))/2 so that neither overflows."""
    largest = np.maximum(r, R)
    return 2.0 * np.arctan2(-math.expm1(-2.0 * R) * np.exp(R - largest), -np.expm1(-2.0 * r) * np.exp(r - largest))
