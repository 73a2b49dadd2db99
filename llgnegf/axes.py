"""How axes are scaled and labelled, in every picture alike: their least length, sites, times, legends.

It imports matplotlib by way of `pictures`, which gives it this project's settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from textwrap import wrap
from typing import Any

import numpy as np

from llgnegf.pictures import Axes, Figure, FigureCanvasAgg, MaxNLocator, ScalarFormatter
from llgnegf.units import time_unit

# The least share of the largest value in the same unit, and of what a difference was taken of, that is drawn in full
# height.  Sums of a few hundred numbers are exact to some 1e-14 of the largest.
SHARE, ROUNDING = 1e-6, 1e-11
# The least share of the allowed error of the spin density (`electrons.tolerance`): what vanishes by symmetry is found
# as a small part of it.
OF_TOLERANCE = 1e-2
# Points from an axis to the second one below it.
_BELOW = 31


def least_span(shown: Iterable[Any], *, sizes: Iterable[Any] = (), error: float = 0.0) -> float:
    """The length that an axis must have at least, so that rounding errors do not fill it.

    shown: all arrays in the same unit that a reader compares, in this panel and those beside it; sizes: arrays of which
    differences are drawn (energies, where E - E(0) is), or the scale of a single term; error: allowed error of what is
    drawn.  Zero where everything is zero.
    """
    return max(SHARE * _largest(shown), ROUNDING * _largest(sizes), OF_TOLERANCE * error)


def _largest(arrays: Iterable[Any]) -> float:
    """Largest finite absolute value, 0 where there is none."""
    found = 0.0
    for each in arrays:
        values = np.abs(np.asarray(each, dtype=float))
        values = values[np.isfinite(values)]
        found = max(found, float(values.max(initial=0.0)))
    return found


def settle(ax: Axes, span: float = 0.0) -> None:
    """The limits and numbers of the y axis, when everything is drawn and labelled.

    It is made at least `span` long about its middle (`least_span`); a logarithmic one at most 1/SHARE from end to end.
    A power of ten of its numbers goes into the label, before the unit, where it is in nobody's way.
    """
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log":
        ax.set_ylim(bottom=max(low, SHARE * high))
        return
    if high - low < span:
        middle = (low + high) / 2
        low, high = ax.set_ylim(middle - span / 2, middle + span / 2)
    power = int(np.floor(np.log10(max(abs(low), abs(high)))))
    if not -2 <= power <= 3:
        numbers = ScalarFormatter(useMathText=True, useOffset=False)
        numbers.set_powerlimits((power, power))
        ax.yaxis.set_major_formatter(numbers)
        ax.yaxis.get_offset_text().set_visible(False)
        ax.set_ylabel(_with_power(ax.get_ylabel(), power))


def _with_power(label: str, power: int) -> str:
    """The label with 10^power in its unit, which stands in parentheses at the end; without a unit it becomes one."""
    ten = f"$10^{{{power}}}$"
    what, unit = split_unit(label)
    return f"{what} ({ten} {unit})" if unit else f"{label} ({ten})"


def split_unit(label: str) -> tuple[str, str]:
    """What is drawn and its unit: "$T$ (eV)" -> "$T$", "eV"; a label without parentheses at its end has the unit ""."""
    found = re.fullmatch(r"(.*\S)\s+\((.+)\)", label)
    return (found[1], found[2]) if found else (label, "")


def count_sites(axis: Any, n: int | None = None) -> None:
    """Ticks at sites alone, which count from 0.

    axis: `ax.xaxis` or `ax.yaxis`; n: how many sites, if all are in view.
    """
    if n is not None and n <= 12:
        axis.set_ticks(range(n))
    else:
        axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def time_axis(ax: Axes, times: np.ndarray, energy: str, energy_ev: float, period: float | None = None) -> None:
    """The time as label and limits, in hbar/E0, and a second axis below in fs, ps, ns or us.

    times: of all frames, hbar/E0; energy: the name of E0; energy_ev: E0 in eV; period: of what drives the run, hbar/E0,
    in which a third axis counts.
    """
    ax.set_xlim(*((times[0], times[-1]) if len(times) > 1 else (times[0] - 0.5, times[0] + 0.5)))
    ax.set_xlabel(rf"$t$ ($\hbar$/{energy})")
    factor, name = time_unit(max(map(abs, ax.get_xlim())), energy_ev)

    def shown(t: Any) -> Any:
        return t * factor

    def back(t: Any) -> Any:
        return t / factor

    second = ax.secondary_xaxis("bottom", functions=(shown, back))
    second.spines["bottom"].set_position(("outward", _BELOW))
    second.set_xlabel(f"$t$ ({name.replace('u', chr(0xB5))})")
    if period is not None:
        count = period

        def periods(t: Any) -> Any:
            return t / count

        def times_of(n: Any) -> Any:
            return n * count

        third = ax.secondary_xaxis("bottom", functions=(periods, times_of))
        third.spines["bottom"].set_position(("outward", 2 * _BELOW))
        third.set_xlabel("$t$ (periods)")


def fit(figure: Figure) -> None:
    """Breaks what is longer than its place, when everything is drawn: the figure's title, labels of vertical axes."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    for ax in figure.axes:
        label = ax.yaxis.label
        if label.get_window_extent(renderer).height > ax.bbox.height and "\n" not in label.get_text():
            what, unit = split_unit(label.get_text())
            label.set_text(f"{what}\n({unit})" if unit else "\n".join(wrap(what, len(what) // 2 + 4)))
    title = next((text for text in figure.texts if text.get_text() == figure.get_suptitle()), None)
    if title is None or not title.get_text():
        return
    room = figure.bbox.width / title.get_window_extent(renderer).width
    if room < 1.02:
        lines = title.get_text().split("\n")
        letters = int(0.95 * room * max(map(len, lines)))
        title.set_text("\n".join(piece for line in lines for piece in wrap(line, letters)))


# Letters that the entries in a row of a legend may have.
_LETTERS = 72


def _letters(label: str) -> int:
    """About how many letters wide a label is, of whose formulas the commands are not seen."""
    return len(re.sub(r"\\[A-Za-z]+|[{}$^_\\]", "", label))


def legend_above(ax: Axes, columns: int = 6, title: str | None = None) -> None:
    """A legend above the axes, where it covers no curve; a row has room for six short entries, or fewer long ones."""
    longest = max((_letters(str(label)) for label in ax.get_legend_handles_labels()[1]), default=0)
    columns = min(columns, max(1, _LETTERS // max(1, longest)))
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    place |= {"title": title, "title_fontsize": 8}
    ax.legend(**place, ncols=columns, handlelength=1.8, columnspacing=0.7, handletextpad=0.4)
