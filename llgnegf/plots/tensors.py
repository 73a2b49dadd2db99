"""Response tensors: how each moment answers to the motion of each; of one moment as numbers, of several as maps.

Moments are counted one after the other, on a lattice as x n_y + y, as `llgnegf response --json` has them.
"""

from __future__ import annotations

import numpy as np

from llgnegf.axes import ROUNDING, count_sites, least_span, legend_above, settle
from llgnegf.pictures import Axes, Figure, as_label, with_unit
from llgnegf.plots.vacant import colours, hatch, vacant
from llgnegf.runfile.reader import Run
from llgnegf.variables.tensors import NAMES

_COMPONENTS = ("x", "y", "z")
# Okabe and Ito, with markers and lines for print.
_STYLES = (("#E69F00", "o", "-"), ("#56B4E9", "s", "--"), ("black", "^", "-."))
_MOST_MARKERS = 60
_SYMBOLS = {"damping_tensor": r"\alpha", "inertia_tensor": "I", "susceptibility": r"\chi", "dmi": "D", "exchange": "J"}


def is_tensor(run: Run, name: str) -> bool:
    """Whether a variable is a 3 x 3 matrix for every pair of moments, the same in all frames."""
    dims = run[name].dims
    return not run[name].per_frame and dims[-2:] == ("component", "motion_component") and len(dims) in (4, 6)


def _symbol(name: str) -> str:
    return next((symbol for known, symbol in _SYMBOLS.items() if name.startswith(known)), "X")


def tensors_of(run: Run) -> list[str]:
    """Those that a run has, in the order of its variables."""
    return [name for name, *_ in NAMES if name in run.names and is_tensor(run, name)]


def pairs(run: Run, name: str) -> np.ndarray:
    """A variable of pairs, (n, n, ...), over moments counted one after the other; NaN at vacant sites."""
    values = np.asarray(run[name][...], float)
    n, rest = int(np.prod(run["moment"].shape[1:-1])), len(_around_pairs(run, name)[1])
    values = values.reshape(n, n, *values.shape[values.ndim - rest :])
    missing = vacant(run)
    if missing is not None:
        values[missing.ravel()] = values[:, missing.ravel()] = np.nan
    return values


def picture(run: Run) -> Figure:
    """All tensors of a run: of one moment as numbers; else their isotropic part for each pair, and on each moment."""
    names = tensors_of(run)
    if run["moment"].size == 3 * run.n_frames:
        figure = Figure(figsize=(7.4, 2.9), layout="constrained")
        for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            matrix(ax, run, name)
    else:
        figure = Figure(figsize=(7.4, 0.6 + 2.8 * len(names)), layout="constrained")
        for (left, right), name in zip(figure.subplots(len(names), 2, squeeze=False), names, strict=True):
            values = pairs(run, name)
            _map(figure, left, run, name, np.einsum("ijaa->ij", values) / 3)
            _on_site(figure, right, run, name, values)
    figure.suptitle(f"{as_label(run.deck.title or run.deck.name)}: response of the electrons at $t$ = 0", fontsize=9)
    return figure


def is_of_pairs(run: Run, name: str) -> bool:
    """Whether a variable is a number, vector or matrix for every pair of moments, perhaps at several frequencies."""
    dims = run[name].dims
    if run[name].per_frame or "motion_x" not in dims or "x" not in dims:
        return False
    before, rest = _around_pairs(run, name)
    return len(before) <= 1 and rest in ((), ("component",), ("component", "motion_component"))


def _around_pairs(run: Run, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The dimensions before and after those of the pairs."""
    dims = run[name].dims
    first, last = dims.index("x"), max(k for k, dim in enumerate(dims) if dim in ("motion_x", "motion_y"))
    return dims[:first], dims[last + 1 :]


def components(run: Run, name: str) -> Figure:
    """A variable of pairs, every component: of one moment as numbers, else as maps, all in one scale of colours.

    At several frequencies: against these, of several moments what each does to itself.
    """
    before, rest = _around_pairs(run, name)
    if before:
        figure = _against(run, name, before[0])
    elif len(rest) == 2 and run["moment"].size == 3 * run.n_frames:
        figure = Figure(figsize=(3.2, 3.2), layout="constrained")
        matrix(figure.subplots(), run, name)
    else:
        figure = _maps(run, name, rest)
    figure.suptitle(f"{as_label(run.deck.title or run.deck.name)}\n{as_label(run[name].long_name)}", fontsize=9)
    return figure


def _maps(run: Run, name: str, rest: tuple[str, ...]) -> Figure:
    values = pairs(run, name)
    rows, columns = {0: (1, 1), 1: (1, 3), 2: (3, 3)}[len(rest)]
    figure = Figure(figsize=(1.3 + 2.1 * max(columns, 1.4), 0.5 + 2.1 * max(rows, 1.4)), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    span = _largest(values)
    for index, ax in zip(np.ndindex(values.shape[2:]), axes.ravel(), strict=True):
        image = _pairs(ax, values[(slice(None), slice(None), *index)], span)
        if index:
            ax.set_title(f"${_symbol(name)}_{{ij}}^{{{''.join(_COMPONENTS[k] for k in index)}}}$", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("moment that turns $j$" if len(rest) == 2 else "moment $j$")
    for ax in axes[:, 0]:
        ax.set_ylabel("moment $i$")
    figure.colorbar(image, ax=axes, pad=0.02, label=with_unit(as_label(name), run[name].unit))
    return figure


def _against(run: Run, name: str, dim: str) -> Figure:
    """Components of what moments do to themselves against a coordinate: their mean, and from least to most."""
    at, n = np.asarray(run[dim], float), int(np.prod(run["moment"].shape[1:-1]))
    values = np.asarray(run[name][...], float)
    rest = len(_around_pairs(run, name)[1])
    values = values.reshape(len(at), n, n, *values.shape[values.ndim - rest :])
    own = np.einsum("wii...->wi...", values)
    missing = vacant(run)
    if missing is not None:
        own = own[:, ~missing.ravel()]
    kinds = list(np.ndindex(own.shape[2:]))
    rows, columns = {1: (1, 1), 3: (1, 3), 9: (3, 3)}[len(kinds)]
    figure = Figure(figsize=(1.0 + 2.2 * max(columns, 1.6), 0.8 + 1.7 * max(rows, 1.4)), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    span = least_span([own])
    for index, ax in zip(kinds, axes.ravel(), strict=True):
        one = own[(slice(None), slice(None), *index)]
        ax.plot(at, one.mean(axis=1), color="black", marker="o" if len(at) <= _MOST_MARKERS else "")
        ax.fill_between(at, one.min(axis=1), one.max(axis=1), color="#56B4E9", alpha=0.5)
        title = f"${_symbol(name)}_{{ii}}^{{{''.join(_COMPONENTS[k] for k in index)}}}$"
        ax.set_ylabel(with_unit(title, run[name].unit))
        settle(ax, span)
    for ax in axes[-1]:
        ax.set_xlabel(rf"$\omega$ ({run.deck.units.label}/$\hbar$)" if "frequency" in dim else dim)
    return figure


def matrix(ax: Axes, run: Run, name: str, digits: int = 3, size: float = 8) -> None:
    """The 3 x 3 matrix of a single moment: numbers on colours, a column for each component of its motion.

    digits, size (points): of the numbers.
    """
    values = pairs(run, name)[0, 0]
    largest = _largest(values)
    _pairs(ax, values, largest)
    for a, b in np.ndindex(3, 3):
        value = 0.0 if abs(values[a, b]) < ROUNDING * largest else values[a, b]
        text = "?" if np.isnan(value) else f"{value:.{digits}g}"
        dark = abs(value) > 0.6 * largest
        ax.text(b, a, text, ha="center", va="center", fontsize=size, color="white" if dark else "black")
    ax.invert_yaxis()
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(range(3), [f"${each}$" for each in _COMPONENTS])
    ax.tick_params(length=0)
    ax.set_title(with_unit(as_label(name), run[name].unit), fontsize=size + 1)


def _largest(values: np.ndarray) -> float:
    known = abs(values[np.isfinite(values)])
    return float(known.max(initial=0.0)) or 1.0


def _pairs(ax: Axes, values: np.ndarray, span: float):
    """A map of i (up) and j (to the right), white at 0; hatched where nothing is known."""
    hatch(ax, np.isnan(values) if np.isnan(values).any() else None)
    image = ax.imshow(
        values, origin="lower", cmap=colours("PuOr"), vmin=-span, vmax=span, interpolation="nearest", aspect="equal"
    )
    for axis, n in zip((ax.yaxis, ax.xaxis), values.shape, strict=True):
        count_sites(axis, n)
    return image


def _isotropic(run: Run, name: str, which: str) -> str:
    return with_unit(rf"$\mathrm{{tr}}\,{_symbol(name)}_{{{which}}}/3$", run[name].unit)


def _map(figure: Figure, ax: Axes, run: Run, name: str, values: np.ndarray) -> None:
    image = _pairs(ax, values, _largest(values))
    figure.colorbar(image, ax=ax, pad=0.02, label=_isotropic(run, name, "ij"))
    ax.set_xlabel("moment that turns $j$")
    ax.set_ylabel("moment $i$")
    ax.set_title(as_label(name), fontsize=9, loc="left")


def _on_site(figure: Figure, ax: Axes, run: Run, name: str, values: np.ndarray) -> None:
    """What each moment does to itself: of a chain the three diagonal components, of a lattice their mean as a map."""
    own = np.einsum("iiaa->ia", values)
    shape = run["moment"].shape[1:-1]
    if len(shape) == 2 and min(shape) > 1:
        mean = own.mean(axis=1).reshape(shape)
        image = _pairs(ax, mean.T, _largest(mean))
        figure.colorbar(
            image, ax=ax, pad=0.02, label=with_unit(rf"$\mathrm{{tr}}\,{_symbol(name)}_{{ii}}/3$", run[name].unit)
        )
        ax.set_xlabel("site $x$ ($a$)")
        ax.set_ylabel("site $y$ ($a$)")
        return
    for k, (colour, marker, line) in enumerate(_STYLES):
        shown = marker if len(own) <= _MOST_MARKERS else ""
        c = _COMPONENTS[k]
        ax.plot(own[:, k], color=colour, marker=shown, linestyle=line, label=f"${_symbol(name)}_{{ii}}^{{{c}{c}}}$")
    ax.set_xlabel("site $i$")
    ax.set_ylabel(with_unit(f"${_symbol(name)}_{{ii}}$", run[name].unit))
    settle(ax, least_span([own, np.nan_to_num(values)]))
    count_sites(ax.xaxis, len(own))
    legend_above(ax)
