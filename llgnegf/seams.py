"""Circular quantities along a run: angles, and positions on a ring, as paths that do not jump at the seam."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llgnegf.runfile.reader import Run


def unwrapped(values: NDArray[np.float64], period: float) -> NDArray[np.float64]:
    """The path (n,) of a quantity that is known up to multiples of `period`: without steps of more than half of it.

    NaN stay where they are; the path goes on behind them.
    """
    path = np.array(values, dtype=float)
    known = ~np.isnan(path)
    path[known] = np.unwrap(path[known], period=period)
    return path


def path_of(run: Run, name: str) -> NDArray[np.float64]:
    """A variable of all frames, (n,) or (n, 2): what is circular is unwrapped, everything else as it is in the file.

    The tilt of a wall turns on through pi; walls and skyrmions go on through the seam of a periodic axis.
    """
    values = np.asarray(run[name], dtype=float)
    if name == "wall_tilt":
        return unwrapped(values, 2 * np.pi)
    if name == "wall_position":
        return unwrapped(values, run.outline.shape[0]) if "x" in run.outline.periodic_axes else values
    if name in ("skyrmion_center", "skyrmion_center_thresholded"):
        values = values.copy()
        for k, axis in enumerate("xy"):
            if axis in run.outline.periodic_axes:
                values[:, k] = unwrapped(values[:, k], run.outline.shape[k])
    return values
