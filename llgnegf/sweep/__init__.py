"""One deck with keys that take several values: a run for each combination, each in a folder of its own."""

from __future__ import annotations

from llgnegf.sweep.points import Axis, Point, parse_axis, points_of
from llgnegf.sweep.runs import sweep
from llgnegf.sweep.summary import sweep_results

__all__ = ["Axis", "Point", "parse_axis", "points_of", "sweep", "sweep_results"]
