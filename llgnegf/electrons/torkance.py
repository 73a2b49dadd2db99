"""Spin-transfer torque: what a small bias does to the moments, beside the direction of another magnet.

A torque on the moment m is taken apart by a reference direction p, the moment of a fixed layer:

    T = T_in (p - (m.p) m)/|m x p| + T_out (p x m)/|m x p|.

The in-plane (damping-like) part T_in lies in the plane of m and p: where it is positive it turns m towards p.  The
out-of-plane (field-like) part T_out is that of a field along p, where it is positive (Slonczewski, J. Magn. Magn.
Mater. 159, L1 (1996); Theodonis et al., Phys. Rev. Lett. 97, 237205 (2006)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import real_array
from .bias_response import bias_response
from .frozen import Frozen

# Of the angle between m and p: below, the direction of m x p is that of rounding errors.
_LEAST_SINE = 1e-9


@dataclass(frozen=True)
class Torkance:
    """dT/dV for a bias V > 0 that drives electrons from left to right.

    torque: (n, 3) or (nx, ny, 3) of J_sd s x m on each moment; in_plane, out_of_plane: its components, (n,) or
    (nx, ny), NaN where there is no moment or where it lies along the reference.  Energy per energy: no unit.
    conductance: dI/dV, particles per time and energy, 1/(2 pi) for each open channel of one spin (hbar = 1).
    """

    torque: NDArray[np.float64]
    in_plane: NDArray[np.float64]
    out_of_plane: NDArray[np.float64]
    conductance: float


def torkance(frozen: Frozen, reference: ArrayLike) -> Torkance:
    """Of these moments beside a `reference` (3,) of any length but zero, or one on each site, shaped as the moments.

    The chemical potential of the left lead is raised by V/2, that of the right one lowered by V/2; levels stay.
    Raises ValueError for another reference, ToleranceError as `bias_response`.
    """
    in_plane_and_out_of_plane(frozen.m, frozen.m, reference)  # a wrong reference is told before the work
    found = bias_response(frozen)
    torque = (found.torque[0] - found.torque[1]) / 2
    parts = in_plane_and_out_of_plane(torque, frozen.m, reference)
    return Torkance(torque, *parts, conductance=float(found.charge[0, 1] - found.charge[1, 1]) / 2)


def in_plane_and_out_of_plane(
    torque: ArrayLike, m: ArrayLike, reference: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """T_in and T_out of torques (..., 3) on moments along m (..., 3), each (...,); NaN where |m x p| < 1e-9.

    reference: p, (3,) or a shape that broadcasts with m, of any length.  Raises ValueError where one is zero or not
    finite.
    """
    T, m = (np.asarray(one, dtype=np.float64) for one in (torque, m))
    try:
        p = real_array(reference)
    except (TypeError, ValueError):
        p = np.zeros(0)
    length = np.linalg.norm(p, axis=-1, keepdims=True) if _fits(p.shape, m.shape) else np.zeros(1)
    if not (np.isfinite(length) & (length > 0)).all():
        raise ValueError(
            f"reference = {reference!r}: must be three finite numbers, not all zero, or such for each site"
        )
    p = p / length
    long = np.linalg.norm(m, axis=-1, keepdims=True)
    m = np.where((abs(long - 1) > 1e-9) & (long > 0), m / np.where(long > 0, long, 1.0), m)
    across = np.cross(p, m)
    sine = np.linalg.norm(across, axis=-1)
    sine = np.where(sine > _LEAST_SINE, sine, np.nan)
    towards = np.cross(m, across)
    return np.asarray((T * towards).sum(axis=-1) / sine), np.asarray((T * across).sum(axis=-1) / sine)


def _fits(shape: tuple[int, ...], of_moments: tuple[int, ...]) -> bool:
    """Whether vectors of this shape can stand beside the moments."""
    pairs = zip(reversed(shape), reversed(of_moments), strict=False)
    return shape[-1:] == (3,) and all(n in (1, wanted) for n, wanted in pairs)
