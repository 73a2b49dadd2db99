"""One deck with keys that take several values: a run for each combination, each in a folder of its own.

Many paths of a deck that differ in their random numbers alone are an ensemble.
"""

from __future__ import annotations

from llgnegf.sweep.paths import ensemble
from llgnegf.sweep.points import Axis, Point, parse_axis, points_of
from llgnegf.sweep.runs import sweep
from llgnegf.sweep.summary import sweep_results

__all__ = ["Axis", "Point", "ensemble", "parse_axis", "points_of", "sweep", "sweep_results"]
