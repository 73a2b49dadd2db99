"""Any variable of a run file: numbers against time, chains as maps or profiles, lattices as maps with arrows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np

from llgnegf.axes import count_sites, least_span, legend_above, settle, time_axis
from llgnegf.errors import DeckError
from llgnegf.export.selection import SITES, chosen_variables
from llgnegf.pictures import Axes, Figure, as_label, with_unit
from llgnegf.plots import tensors
from llgnegf.plots.curves import curve, edges
from llgnegf.plots.moment_colours import MomentColours, colours_of, moment_colours
from llgnegf.plots.vacant import colours, hatch, legend_of_vacant, vacant, without
from llgnegf.runfile.reader import Run
from llgnegf.seams import path_of
from llgnegf.units import readable_time

# Okabe and Ito; every colour comes with a line of its own, for print.
_COLOURS, _LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black"), ("-", "--", "-.", ":")
_BLOCK = 8 << 20  # bytes of a variable that are read at once
_MOST_COLUMNS = 2_000  # more frames side by side than any picture has dots across
_MOST_CURVES = 12
_ARROWS = 24  # along the longer side of a map
_LETTERS = 13  # of a title in an inch; movies have no time to measure it (`axes.fit`)


def check_variable(run: Run, name: str) -> None:
    """DeckError for a variable that the run does not have, or that no picture shows."""
    chosen_variables(run, [name])
    if not run[name].per_frame and len(run[name].dims) > 2 and not tensors.is_of_pairs(run, name):
        raise DeckError(f"--variable {name}: has the dimensions {', '.join(run[name].dims)}, too many for a picture")


def check_frame(run: Run, frame: int) -> int:
    """The index from 0 of a frame, of which negative ones count from the end.  DeckError where there is none."""
    try:
        return range(run.n_frames)[frame]
    except IndexError:
        raise DeckError(f"--frame {frame}: there are {run.n_frames} frames, from 0 to {run.n_frames - 1}") from None


def picture(run: Run, name: str, frame: int | None = None) -> Figure:
    """A variable of all frames, or of one.

    frame: its index; by default chains are drawn as maps of site and time, lattices at their last frame.
    Raises DeckError for an unknown variable or frame.
    """
    check_variable(run, name)
    index = None if frame is None else check_frame(run, frame)
    dims = run[name].dims
    if not run[name].per_frame:
        if frame is not None:
            raise DeckError(f"--frame {frame}: {name} is the same in all frames; leave it out")
        if tensors.is_of_pairs(run, name):
            return tensors.components(run, name)
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        _once(figure, run, name)
    elif not set(SITES) & set(dims):
        if frame is not None:
            raise DeckError(f"--frame {frame}: {name} is drawn against the time; leave it out")
        figure = Figure(figsize=(6.2, 3.4), layout="constrained")
        _series(figure.subplots(), run, name)
    elif index is None and _is_chain(run, name) and run.n_frames > 1:
        figure = _space_and_time(run, name)
    else:
        figure = Figure(figsize=(5.6, 4.4), layout="constrained")
        at_frame(figure, run, name, run.n_frames - 1 if index is None else index, scale_of(run, name))
        return figure
    figure.suptitle(f"{as_label(run.deck.title or run.deck.name)}\n{as_label(run[name].long_name or name)}", fontsize=9)
    return figure


@dataclass(frozen=True)
class Scale:
    """What all frames of a variable have in common.

    low, high: least and largest value; in_plane: longest in-plane vector; missing: sites without a value, as `vacant`
    has them; along_z: least and largest z component of a vector.
    """

    low: float
    high: float
    in_plane: float
    missing: np.ndarray | None = None
    along_z: tuple[float, float] = (np.inf, -np.inf)


def scale_of(run: Run, name: str, frames: Sequence[int] | None = None) -> Scale:
    """The scale of a variable on sites over the given frames (default: all)."""
    variable, is_vector = run[name], run[name].dims[-1] == "component"
    wanted = np.arange(run.n_frames) if frames is None else np.asarray(frames)
    step = max(1, _BLOCK // (8 * max(1, int(np.prod(variable.shape[1:])))))
    missing = vacant(run, name)
    low, high, plane = np.inf, -np.inf, 0.0
    along_z = np.inf, -np.inf
    for first in range(int(wanted.min()), int(wanted.max()) + 1, step):
        chosen = wanted[(wanted >= first) & (wanted < first + step)]
        if not len(chosen):
            continue
        values = np.asarray(variable[first : int(chosen.max()) + 1], float)[chosen - first]
        if missing is not None:
            values[:, missing] = np.nan
        if np.isnan(values).all():
            continue
        low, high = min(low, float(np.nanmin(values))), max(high, float(np.nanmax(values)))
        if is_vector:
            plane = max(plane, float(np.nanmax(np.hypot(values[..., 0], values[..., 1]))))
            z = values[..., 2]
            along_z = min(along_z[0], float(np.nanmin(z))), max(along_z[1], float(np.nanmax(z)))
    if low > high:
        low, high = 0.0, 0.0
    return Scale(low, high, plane, missing, along_z)


def at_frame(figure: Figure, run: Run, name: str, index: int, scale: Scale) -> None:
    """Draws a variable on sites in frame `index`: a chain as profile, a lattice as map."""
    deck = run.deck
    ax = figure.subplots()
    values = without(np.asarray(run[name][index], float), scale.missing)
    if _is_chain(run, name):
        _profile(ax, run, name, values.reshape(-1, *values.shape[_site_axes(run, name) :]), scale)
    else:
        _map(figure, ax, run, name, values, scale)
    time = float(run.times[index])
    real = readable_time(time, deck.units_energy_ev).replace("us", "\u00b5s")
    title = "\n".join(wrap(as_label(deck.title or deck.name), int(_LETTERS * figure.get_figwidth())))
    figure.suptitle(
        f"{title}\n"
        rf"{as_label(name)}, $t$ = {time:.6g} $\hbar$/{deck.units.label} ({real})",
        fontsize=9,
    )


def _site_axes(run: Run, name: str) -> int:
    return sum(dim in SITES for dim in run[name].dims)


def _is_chain(run: Run, name: str) -> bool:
    """Whether the sites lie on one line, also where that is a lattice of width 1."""
    sizes = [size for dim, size in zip(run[name].dims, run[name].shape, strict=True) if dim in SITES]
    return len(sizes) == 1 or min(sizes) == 1


def _limits(scale: Scale, symmetric: bool, size: float) -> tuple[float, float]:
    """Limits of colours or of an axis, never of no length; size: what the values are measured by."""
    low, high = scale.low, scale.high
    if symmetric:
        high = max(abs(low), abs(high), least_span([], sizes=[size]))
        low = -high
    if high - low < (least := max(least_span([[low, high]]), 1e-300)):
        low, high = (low + high - least) / 2, (low + high + least) / 2
    return low, high


def _labels(run: Run, dims: Sequence[str], shape: Sequence[int]) -> list[str]:
    """A word for every number of a frame, such as "left y"."""
    words = []
    for dim, size in zip(dims, shape, strict=True):
        known = dim in run.coordinates and run[dim].dtype.kind in "UO"
        words.append([str(word) for word in run[dim]] if known else [f"{dim} {i}" for i in range(size)])
    return [" ".join(each) for each in itertools.product(*words)]


def _style(k: int) -> dict[str, Any]:
    return {"color": _COLOURS[k % len(_COLOURS)], "linestyle": _LINES[k % len(_LINES)]}


def _series(ax: Axes, run: Run, name: str) -> None:
    variable, times = run[name], run.times
    values = path_of(run, name).reshape(len(times), -1)
    labels = _labels(run, variable.dims[1:], variable.shape[1:])
    if len(labels) > _MOST_CURVES:
        raise DeckError(
            f"--variable {name}: has {len(labels)} numbers in each frame, more than {_MOST_CURVES} curves; "
            "`llgnegf export --format csv` writes them"
        )
    for k, label in enumerate(labels):
        curve(ax, times, values[:, k], label=label or None, **_style(k))
    ax.set_ylabel(with_unit(as_label(name), run[name].unit))
    settle(ax, least_span([values]))
    if len(labels) > 1:
        legend_above(ax)
    time_axis(ax, times, run.deck.units.label, run.deck.units_energy_ev)


def _space_and_time(run: Run, name: str) -> Figure:
    """A chain: every component as a map of site and time."""
    variable, deck = run[name], run.deck
    stride = -(-run.n_frames // _MOST_COLUMNS)
    times = run.times[::stride]
    values = np.asarray(variable[::stride], float)
    missing = vacant(run, name)
    if missing is not None:
        values[:, missing] = np.nan
    values = values.reshape(len(times), -1, *variable.shape[1 + _site_axes(run, name) :])
    parts = [values] if values.ndim == 2 else list(np.moveaxis(values, 2, 0))
    figure = Figure(figsize=(6.2, 1.4 + 1.9 * len(parts)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(parts), 1, sharex=True))
    grid = edges(times), np.arange(values.shape[1] + 1) - 0.5
    whole = Scale(float(np.nanmin(values)), float(np.nanmax(values)), 0.0)
    low, high = _limits(whole, len(parts) > 1, float(np.nanmax(abs(values))))
    for ax, part, component in zip(axes, parts, ("x", "y", "z"), strict=False):
        hatch(ax, missing)
        label = f"{as_label(name)} {component}" if len(parts) > 1 else as_label(name)
        if name == "moment":
            shown_in = colours_of(part, label)
        else:
            cmap = colours("PuOr" if len(parts) > 1 else "cividis")
            shown_in = MomentColours(low, high, cmap, with_unit(label, run[name].unit))
        mesh = ax.pcolormesh(*grid, part.T, **shown_in.limits, rasterized=True)
        figure.colorbar(mesh, ax=ax, pad=0.01, label=shown_in.label)
        ax.set_ylabel("site $i$")
        count_sites(ax.yaxis)
    legend_of_vacant(axes[0], missing)
    time_axis(axes[-1], times, deck.units.label, deck.units_energy_ev)
    return figure


def _profile(ax: Axes, run: Run, name: str, values: np.ndarray, scale: Scale) -> None:
    parts = [values] if values.ndim == 1 else list(values.T)
    markers, sites = ("o", "s", "^"), np.arange(len(values))
    for k, (part, component) in enumerate(zip(parts, ("x", "y", "z"), strict=False)):
        marker = markers[k] if len(sites) <= 60 else ""
        ax.plot(sites, part, marker=marker, label=component if len(parts) > 1 else None, **_style(k))
    low, high = _limits(scale, False, 1.0)
    ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    ax.set_xlabel("site $i$")
    ax.set_ylabel(with_unit(as_label(name), run[name].unit))
    settle(ax)
    count_sites(ax.xaxis, len(sites))
    if len(parts) > 1:
        legend_above(ax)


def _map(figure: Figure, ax: Axes, run: Run, name: str, values: np.ndarray, scale: Scale) -> None:
    is_vector = values.ndim == 3
    shown = values[..., 2] if is_vector else values
    label = f"{as_label(name)} z" if is_vector else as_label(name)
    if name == "moment":
        shown_in = moment_colours(*scale.along_z, label)
    else:
        cmap = colours("PuOr" if is_vector else "cividis")
        shown_in = MomentColours(*_limits(scale, is_vector, 1.0), cmap, with_unit(label, run[name].unit))
    image = ax.imshow(shown.T, origin="lower", **shown_in.limits, interpolation="nearest")
    hatch(ax, scale.missing)
    legend_of_vacant(ax, scale.missing)
    nx, ny = values.shape[:2]
    if is_vector and scale.in_plane > 0:
        stride = max(1, -(-max(nx, ny) // _ARROWS))
        x, y = np.arange(0, nx, stride), np.arange(0, ny, stride)
        arrows = values[::stride, ::stride] / scale.in_plane
        ax.quiver(
            x, y, arrows[..., 0].T, arrows[..., 1].T, pivot="mid", scale=1.25 / stride, scale_units="xy", angles="xy",
            width=0.005,
        )  # fmt: skip
    figure.colorbar(image, ax=ax, pad=0.02, label=shown_in.label)
    ax.set_xlabel("site $x$ ($a$)")
    ax.set_ylabel("site $y$ ($a$)")
    count_sites(ax.xaxis, nx)
    count_sites(ax.yaxis, ny)


def _once(figure: Figure, run: Run, name: str) -> None:
    """A variable that is the same in all frames: a number, a profile, a map or a matrix."""
    values, ax = np.asarray(run[name][...], float), figure.subplots()
    dims = run[name].dims
    on_sites = bool(dims) and set(dims) <= set(SITES)
    missing = vacant(run, name) if on_sites else None
    values = without(values, missing)
    label = with_unit(as_label(name), run[name].unit)
    if values.ndim < 2:
        ax.plot(np.arange(values.size), np.atleast_1d(values), marker="o" if values.size <= 60 else "", color="black")
        ax.set_xlabel("site $i$" if dims == ("x",) else " ".join(dims))
        ax.set_ylabel(label)
        settle(ax, least_span([values]))
        count_sites(ax.xaxis)
        return
    whole = Scale(float(np.nanmin(values)), float(np.nanmax(values)), 0.0)
    low, high = _limits(whole, False, 1.0)
    hatch(ax, missing)
    legend_of_vacant(ax, missing)
    image = ax.imshow(values.T, origin="lower", cmap=colours("cividis"), vmin=low, vmax=high, interpolation="nearest")
    figure.colorbar(image, ax=ax, pad=0.02, label=label)
    ax.set_xlabel("site $x$ ($a$)" if on_sites else dims[0])
    ax.set_ylabel("site $y$ ($a$)" if on_sites else dims[1])
    for axis in (ax.xaxis, ax.yaxis):
        count_sites(axis)
