"""Colours of a component of the moments: from -1 to 1 where that shows something, else from the least to the largest.

The second scale has other colours, so that a small motion does not look like a reversal, and its label says its
length.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from llgnegf.plots.vacant import colours

# Differences below this share of the whole scale are hardly seen; below the other one they are rounding errors.
_SEEN, _ROUNDING = 0.1, 1e-12


class MomentColours(NamedTuple):
    """Limits and colours of a map, and its label."""

    low: float
    high: float
    cmap: Any
    label: str

    @property
    def limits(self) -> dict[str, Any]:
        """Arguments of matplotlib's maps."""
        return {"cmap": self.cmap, "vmin": self.low, "vmax": self.high}


def moment_colours(least: float, largest: float, label: str) -> MomentColours:
    """Colours of values between these two; NaN: there are none.  label: of the component, which has no unit."""
    span = largest - least
    if not _ROUNDING < span < 2 * _SEEN:
        return MomentColours(-1.0, 1.0, colours("PuOr"), label)
    return MomentColours(least, largest, colours("cividis"), f"{label}, colours span {span:.1e}")


def colours_of(values: Any, label: str) -> MomentColours:
    """Colours of all that is drawn of a component, NaN where there is nothing."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    least, largest = (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
    return moment_colours(least, largest, label)
