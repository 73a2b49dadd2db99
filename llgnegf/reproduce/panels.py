"""A figure as data: panels of named curves, written as CSV and drawn as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.axes import count_sites, fit, least_span, settle, split_unit
from llgnegf.pictures import Figure as Canvas
from llgnegf.pictures import drawing, save
from llgnegf.runfile.disk import disk_errors, write_file


@dataclass(frozen=True)
class Curve:
    """One named curve: x, y of equal length; style: keyword arguments of matplotlib's `plot`."""

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    style: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """Curves in one pair of axes.

    key: the letter of the panel in the paper; ylabel: with the unit in parentheses at its end, if it has one; log_x:
    logarithmic x axis, log_y: y axis, which leaves out zeros; sites: the x axis counts sites, from 0.
    """

    key: str
    title: str
    xlabel: str
    ylabel: str
    curves: list[Curve]
    log_x: bool = False
    log_y: bool = False
    sites: bool = False


@dataclass(frozen=True)
class Figure:
    """Panels in `columns` columns, row by row; `findings`: lines of text that `reproduce` prints with the figure."""

    title: str
    panels: list[Panel]
    columns: int
    findings: tuple[str, ...] = ()

    def write(self, folder: Path, name: str) -> list[Path]:
        """Write NAME.csv (columns panel, curve, x, y) and NAME.png into `folder`; returns both paths.

        Raises FileError for disk trouble.
        """
        table, picture = folder / f"{name}.csv", folder / f"{name}.png"
        with disk_errors(table, "write the data"):
            folder.mkdir(parents=True, exist_ok=True)
        write_file(table, self._table().encode(), "write the data")
        with drawing():
            save(self._draw(), picture)
        return [table, picture]

    def _table(self) -> str:
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(["panel", "curve", "x", "y"])
        for panel in self.panels:
            for curve in panel.curves:
                for x, y in zip(curve.x, curve.y, strict=True):
                    rows.writerow([panel.key, curve.name, repr(float(x)), repr(float(y))])
        return text.getvalue()

    def _draw(self) -> Canvas:
        rows = -(-len(self.panels) // self.columns)
        canvas = Canvas(figsize=(0.6 + 2.7 * self.columns, 0.9 + 2.2 * rows), layout="constrained")
        axes = canvas.subplots(rows, self.columns, squeeze=False).ravel()
        handles: dict[str, Any] = {}
        for ax, panel in zip(axes, self.panels, strict=False):
            for curve in panel.curves:
                (line,) = ax.plot(curve.x, curve.y, **curve.style)
                handles.setdefault(curve.name, line)
            ax.set_title(f"({panel.key}) {panel.title}", fontsize=8, loc="left")
            ax.set_xlabel(panel.xlabel)
            ax.set_ylabel(panel.ylabel)
            if panel.log_x:
                ax.set_xscale("log")
            if panel.log_y:
                ax.set_yscale("log")
                ax.margins(y=0.02)  # of the few decades that `settle` leaves
            low, high = ax.get_ylim()
            if low < 0 < high:  # elsewhere the line would only squeeze the curves
                ax.axhline(0, color="0.8", linewidth=0.7, zorder=0)
            if panel.sites:
                count_sites(ax.xaxis)
            # Beside panels in the same unit, and beside 1: energies are in units of the hopping, torques per frequency.
            comparable = [each for each in self.panels if split_unit(each.ylabel)[1] == split_unit(panel.ylabel)[1]]
            settle(ax, least_span((curve.y for each in comparable for curve in each.curves), sizes=[1.0]))
        for ax in axes[len(self.panels) :]:
            ax.set_axis_off()
        canvas.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=min(4, self.columns + 1),
            handlelength=2.6,
        )
        canvas.suptitle(self.title, fontsize=9)
        fit(canvas)
        return canvas
