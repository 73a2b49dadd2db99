"""A sweep: a family of curves for one key of several values, a map for two."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.axes import least_span, legend_above, settle, time_axis
from llgnegf.deck.messages import among
from llgnegf.errors import DeckError
from llgnegf.pictures import Axes, Figure, as_label, with_unit
from llgnegf.plots.curves import curve, edges
from llgnegf.runfile.reader import open_run
from llgnegf.seams import path_of
from llgnegf.sweep.summary import Summary, summary_of
from llgnegf.sweep.work import RUN_FILE

# What a sweep is made for, as far as its runs have it: the first that all of them have is drawn.
_WANTED = (
    "wall_velocity_mean",
    "skyrmion_center_x_last",
    "wall_position_last",
    "current_charge_right_mean",
    "topological_charge_last",
    "energy_classical_last",
)
_MOST_CURVES, _MOST_TICKS = 12, 6


def picture(folder: Path, name: str | None = None) -> Figure:
    """A column of the summary of a sweep over its keys, such as wall_velocity_mean; beside it the runs in time.

    name: the column, or a variable with one number a frame, which stands for its last value.  Without it the first of
    what sweeps are made for.  One key of several values gives curves, two a map; fixed ones do not count.
    Raises DeckError for an unknown name, for three keys and more, and where no run has a frame yet.
    """
    found = summary_of(folder)
    keys = found.keys_of_several
    if not 1 <= len(keys) <= 2:
        raise DeckError(
            f"{folder}: has {len(keys)} keys of several values ({', '.join(keys)}); a picture shows one or two: choose "
            "with llgnegf.sweep_results"
        )
    column = _column(found, folder, name)
    values = found.column(column)
    if len(keys) == 1:
        figure = _curves(found, folder, column, values)
    else:
        figure = _map(found, column, values)
    figure.suptitle(f"{as_label(folder.name)}: {as_label(column)}", fontsize=9)
    return figure


def _column(found: Summary, folder: Path, name: str | None) -> str:
    known = found.columns
    if not known:
        raise DeckError(f"{folder}: none of its runs has a frame yet: nothing to draw")
    if name is None:
        numbers = [column for column in known if not np.isnan(found.column(column)).all()] or known
        return next((column for column in _WANTED if column in numbers), numbers[0])
    for column in (name, f"{name}_last"):
        if column in known:
            return column
    raise DeckError(f"--variable {name}: no column of the sweep; {among(name, known)}")


def _numbers(texts: list[str]) -> np.ndarray | None:
    """The values of a key as numbers, if all of them are."""
    with contextlib.suppress(ValueError):
        return np.array([float(text) for text in texts])
    return None


def _label(found: Summary, name: str) -> str:
    return with_unit(as_label(name), found.units.get(name, ""))


def _over_key(ax: Axes, found: Summary, key: str, axis: str) -> np.ndarray:
    """Where the values of a key stand on an axis, with its label and ticks."""
    texts = found.keys[key]
    numbers = _numbers(texts)
    getattr(ax, f"set_{axis}label")(_label(found, key))
    if numbers is not None:
        if len(numbers) <= _MOST_TICKS:
            getattr(ax, f"set_{axis}ticks")(numbers)
        return numbers
    places = np.arange(len(texts))
    getattr(ax, f"set_{axis}ticks")(places, [as_label(text) for text in texts], rotation=30 if axis == "x" else 0)
    return places


def _curves(found: Summary, folder: Path, column: str, values: np.ndarray) -> Figure:
    key, *_ = found.keys_of_several
    variable = column.rpartition("_")[0]
    runs = [row for row in found.rows if row["frames"] > 1]
    in_time = _is_one_number(folder, runs, variable)
    figure = Figure(figsize=(4.2 + 4.2 * in_time, 3.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, 1 + in_time))
    places = _over_key(axes[0], found, key, "x")
    order = np.argsort(places, kind="stable")
    axes[0].plot(places[order], values[order], marker="o", color="black")
    axes[0].set_ylabel(_label(found, column))
    settle(axes[0], least_span([values]))
    if in_time:
        _in_time(axes[1], found, folder, key, variable, runs)
    return figure


def _is_one_number(folder: Path, runs: list[dict[str, Any]], name: str) -> bool:
    """Whether the runs have a variable of this name with one number in each frame."""
    if not runs:
        return False
    with open_run(folder / runs[0]["folder"] / RUN_FILE) as run:
        return name in run and run[name].dims == ("time",)


def _in_time(ax: Axes, found: Summary, folder: Path, key: str, name: str, runs: list[dict[str, Any]]) -> None:
    """The variable against time, in each run or, of many, in some of them."""
    import matplotlib

    shown = (
        runs
        if len(runs) <= _MOST_CURVES
        else [runs[i] for i in np.linspace(0, len(runs) - 1, _MOST_CURVES).astype(int)]
    )
    drawn, longest = [], np.zeros(1)
    for k, row in enumerate(shown):
        with open_run(folder / row["folder"] / RUN_FILE) as run:
            drawn.append(np.asarray(path_of(run, name), float))
            # From dark to light with the value; dashes as well, for print.
            style = {
                "color": matplotlib.colormaps["viridis"](0.9 * k / max(len(shown) - 1, 1)),
                "linestyle": ("-", "--", "-.", ":")[k % 4],
            }
            curve(ax, run.times, drawn[-1], label=as_label(row[key]), **style)
            longest = max(longest, run.times, key=lambda times: times[-1])
            outline = run.outline
            unit = run[name].unit
    ax.set_ylabel(with_unit(as_label(name), unit))
    settle(ax, least_span(drawn))
    legend_above(ax, columns=4, title=_label(found, key))
    time_axis(ax, longest, outline.energy_label, outline.energy_ev)


def _map(found: Summary, column: str, values: np.ndarray) -> Figure:
    first, second = found.keys_of_several
    figure = Figure(figsize=(5.4, 4.0), layout="constrained")
    ax = figure.subplots()
    x, y = _over_key(ax, found, first, "x"), _over_key(ax, found, second, "y")
    by_x, by_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    mesh = ax.pcolormesh(edges(x[by_x]), edges(y[by_y]), values[np.ix_(by_x, by_y)].T, cmap="cividis")
    figure.colorbar(mesh, ax=ax, pad=0.02, label=_label(found, column))
    return figure
