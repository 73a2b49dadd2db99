"""Sites where a picture shows that nothing is there: vacancies, and for what belongs to moments those without one.

A colour of no moment, or an arrow of no length, would read as a value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.pictures import Axes
from llgnegf.runfile.reader import Run
from llgnegf.variables.device import VACANCY

# What a site without a moment has none of; its orbital, if it has one, has all else.
_OF_MOMENTS = ("moment", "velocity", "torque")
_HATCHED: dict[str, Any] = {"facecolor": "0.88", "edgecolor": "0.35", "hatch": "//////", "linewidth": 0}


def vacant(run: Run, name: str = "moment") -> NDArray[np.bool_] | None:
    """Which sites, (nx[, ny]), have no value of a variable on sites; None where all have one."""
    if name == VACANCY or not run.n_frames:
        return None
    found = np.zeros(run["moment"].shape[1:-1], bool)
    if VACANCY in run.names:
        found |= np.asarray(run[VACANCY]) > 0
    if name in _OF_MOMENTS:
        found |= ~np.asarray(run["moment"][0]).any(axis=-1)
    return found if found.any() else None


def without(values: NDArray[np.float64], missing: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """The values (..., nx[, ny], ...) of a variable, NaN at `missing` sites; the sites are axes 0, ... of `values`."""
    if missing is None:
        return values
    mask = missing.reshape(*missing.shape, *(1,) * (values.ndim - missing.ndim))
    return np.where(mask, np.nan, values)


def colours(name: str) -> Any:
    """The colours of this name, through which the axes are seen where a value is NaN."""
    import matplotlib

    return matplotlib.colormaps[name].with_extremes(bad=(0, 0, 0, 0))


def hatch(ax: Axes, missing: NDArray[np.bool_] | None) -> None:
    """Hatches the axes behind a map that leaves missing sites out: no colour of it is taken for one, in print too."""
    if missing is not None:
        ax.patch.set(**_HATCHED)


def legend_of_vacant(ax: Axes, missing: NDArray[np.bool_] | None, **place: Any) -> None:
    """What the hatches mean, above the axes unless `place` says otherwise."""
    if missing is not None:
        from matplotlib.patches import Patch

        where: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2} | place
        ax.legend([Patch(**_HATCHED)], ["vacant"], **where)
