"""What the pictures of all kinds of run share: styles, curves of very many points, energies against time.

Colours are those of Okabe and Ito, which most eyes tell apart; markers and dashes differ as well, for print.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from llgnegf.axes import least_span, legend_above, settle
from llgnegf.pictures import Axes
from llgnegf.runfile.reader import Run

STYLES: dict[str, dict[str, Any]] = {
    "geometric": {"color": "#D55E00", "marker": "o", "linestyle": "-", "label": "geometric"},
    "sea": {"color": "#0072B2", "marker": "s", "linestyle": "--", "label": "sea"},
    "surface": {"color": "#009E73", "marker": "^", "linestyle": "-.", "label": "surface"},
    "bias": {"color": "#CC79A7", "marker": "v", "linestyle": (0, (3, 1, 1, 1)), "label": "bias"},
    "bias_motion": {"color": "#E69F00", "marker": "d", "linestyle": (0, (1, 1)), "label": "bias, motion"},
    "sum": {"color": "black", "marker": ".", "linestyle": ":", "label": "sum"},
    "exact": {
        "color": "black", "marker": "o", "linestyle": "", "label": "exact", "markerfacecolor": "none", "markersize": 9
    },
}  # fmt: skip
_ENERGY_COLOURS, _ENERGY_LINES = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7"), ("--", "-.", ":", "-")

# More points of a curve than any picture has dots across.
MOST_POINTS = 20_000


def curve(ax: Axes, time: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """Draws values against time; of very many points those that look the same, since each takes 100 bytes and more."""
    if len(time) > MOST_POINTS:
        chosen = extremes(values, MOST_POINTS // 2)
        time, values = time[chosen], values[chosen]
    ax.plot(time, values, **style)


def extremes(values: np.ndarray, pieces: int) -> np.ndarray:
    """Indices, increasing, of the smallest and the largest value in each of so many pieces, and of both ends."""
    starts = np.linspace(0, len(values), pieces + 1).astype(int)
    chosen = [0, len(values) - 1]
    for a, b in itertools.pairwise(starts):
        piece = values[a:b]
        known = np.flatnonzero(~np.isnan(piece))
        if len(known):
            chosen += [a + known[np.argmin(piece[known])], a + known[np.argmax(piece[known])]]
        if len(known) < len(piece):
            chosen.append(a + int(np.argmax(np.isnan(piece))))  # the gap stays one
    return np.unique(chosen)


def edges(time: np.ndarray) -> np.ndarray:
    """Times halfway between the frames, with one before and one after: a single frame gets a width too."""
    if len(time) == 1:
        return time[0] + np.array([-0.5, 0.5])
    middle = (time[1:] + time[:-1]) / 2
    return np.concatenate([[2 * time[0] - middle[0]], middle, [2 * time[-1] - middle[-1]]])


def energy_style(k: int) -> dict[str, Any]:
    """The style of term number k of the energy: from the fifth on a colour comes again, with another line."""
    return {"color": _ENERGY_COLOURS[k % 4], "linestyle": _ENERGY_LINES[(k + k // 4) % 4]}


def energies(ax: Axes, run: Run) -> None:
    """Energies of moments, by term, and of electrons, less those at the beginning."""
    time, deck = run.times, run.deck
    names = [name for name in run.names if name.startswith("energy_") and name != "energy_classical"]
    values = {name.removeprefix("energy_"): np.asarray(run[name], float) for name in (*names, "energy_classical")}
    if "work" in run.names and "electrons" in values and not deck.motion.is_imposed:
        # What the gates did is far more than what electrons and moments give to each other.
        work = np.asarray(run["work"], float)
        if "work_drives" in run.names:  # that on the moments
            work = work - np.asarray(run["work_drives"], float)
        values["electrons $-$ work"] = values.pop("electrons") - work
    # A term that does not change is the zero line.
    terms = {name: values[name] for name in values if name != "classical" and np.ptp(values[name]) > 0}
    sizes = [*values.values()]
    if "grand_potential" in run.names:
        sizes.append(np.asarray(run["grand_potential"], float))
    span = least_span([each - each[0] for each in sizes], sizes=sizes)
    curve(ax, time, values["classical"] - values["classical"][0], color="black", label="classical")
    for k, (name, each) in enumerate(terms.items()):
        if np.ptp(each) < span:
            continue  # rounding alone
        curve(ax, time, each - each[0], label=name, **energy_style(k))
    if "grand_potential" in run.names:
        curve(ax, time, sizes[-1] - sizes[-1][0], color="#0072B2", linestyle=(0, (1, 1)), label="electrons")
    ax.set_ylabel(f"$E - E(0)$ ({deck.units.label})")
    settle(ax, span)


def currents(ax: Axes, run: Run) -> None:
    """Particles and spin that flow into the leads: at half filling moving moments pump spin alone."""
    electrons = run.deck.electrons
    assert electrons is not None
    charge, spin = np.asarray(run["current_charge"]), np.linalg.norm(np.asarray(run["current_spin"]), axis=-1)
    for k, (lead, colour) in enumerate((("left", "#0072B2"), ("right", "#D55E00"))):
        curve(ax, run.times, charge[:, k], color=colour, linestyle=(":", "--")[k], label=f"particles, {lead}")
        curve(ax, run.times, spin[:, k], color=colour, linestyle=("-", "-.")[k], label=f"|spin|, {lead}")
    ax.set_ylabel(rf"into the leads ({run.deck.units.label}/$\hbar$)")
    settle(ax, least_span([*charge.T, *spin.T], sizes=[electrons.nearest_hopping], error=electrons.tolerance))
    legend_above(ax, columns=4)
