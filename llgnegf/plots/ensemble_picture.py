"""An ensemble: the mean of a variable in time with its spread, single paths, and the variance."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from llgnegf.axes import least_span, legend_above, settle, time_axis
from llgnegf.deck.messages import among
from llgnegf.errors import DeckError
from llgnegf.pictures import Figure, as_label, with_unit
from llgnegf.plots.curves import curve
from llgnegf.runfile.disk import disk_errors
from llgnegf.runfile.layout import OPEN, as_text
from llgnegf.runfile.reader import open_run
from llgnegf.seams import path_of
from llgnegf.sweep.paths import ENSEMBLE_FILE
from llgnegf.sweep.summary import summary_of
from llgnegf.sweep.work import RUN_FILE

# What an ensemble is made for, as far as its runs have it.
_WANTED = ("wall_position", "energy_classical")
_MOST_PATHS = 8


def picture(folder: Path, name: str | None = None) -> Figure:
    """A variable with one number a frame: mean and standard deviation over the paths, some of them, and the variance.

    name: the variable; without it the position of a wall, or the energy.  DeckError for one that is not there.
    """
    path = folder / ENSEMBLE_FILE
    with disk_errors(path, "read the ensemble"), h5py.File(path, "r", **OPEN) as file:
        ending = "_mean"
        known = [one.removesuffix(ending) for one in file if one.endswith(ending) and file[one].ndim == 1]
        chosen = name or next((one for one in _WANTED if one in known), known[0])
        if chosen not in known:
            raise DeckError(f"--variable {chosen}: no number in time of the ensemble; {among(chosen, known)}")
        times, unit, paths = file["time"][:], as_text(file[f"{chosen}_mean"].attrs["units"]), int(file.attrs["paths"])
        mean, deviation = file[f"{chosen}_mean"][:], file[f"{chosen}_std"][:]
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    drawn = [mean]
    done = [row for row in summary_of(folder).rows if row["state"] == "done"]
    for row in done[:_MOST_PATHS]:
        with open_run(folder / row["folder"] / RUN_FILE) as run:
            drawn.append(np.asarray(path_of(run, chosen), float))
            curve(left, run.times, drawn[-1], color="0.7", linestyle="-", linewidth=0.7)
            outline = run.outline
    curve(left, times, mean, color="black", linestyle="-", label="mean")
    if paths > 1:
        left.fill_between(times, mean - deviation, mean + deviation, alpha=0.3, label="standard deviation")
        drawn += [mean - deviation, mean + deviation]
    curve(right, times, deviation**2, color="black", linestyle="-")
    quantity = as_label(chosen)
    left.set_ylabel(with_unit(quantity, unit))
    right.set_ylabel(
        with_unit("variance", unit if unit in ("", "1") else f"({unit})^2" if "/" in unit else f"{unit}^2")
    )
    settle(left, least_span(drawn))
    settle(right, least_span([deviation**2]))
    legend_above(left, columns=2)
    for ax in (left, right):
        time_axis(ax, times, outline.energy_label, outline.energy_ev)
    figure.suptitle(f"{as_label(folder.name)}: {quantity}, {paths} paths", fontsize=9)
    return figure
