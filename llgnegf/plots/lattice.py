"""A square lattice: m_z of the first and the last frame with in-plane arrows; centre, charge, energy against time."""

from __future__ import annotations

import numpy as np

from llgnegf.axes import count_sites, least_span, legend_above, settle, time_axis
from llgnegf.deck import Deck
from llgnegf.judged import judge
from llgnegf.pictures import Axes, Figure, as_label
from llgnegf.plots.curves import curve, energies
from llgnegf.plots.moment_colours import colours_of
from llgnegf.plots.real_time import deviations
from llgnegf.plots.vacant import hatch, legend_of_vacant, vacant, without
from llgnegf.runfile.reader import Run
from llgnegf.seams import path_of
from llgnegf.units import readable_time

_BLUE, _RED = "#0072B2", "#D55E00"
# Of such a size is what a centre (lattice constants) and a charge (whole numbers) are measured by.
_ONE = 1.0


def picture(run: Run) -> Figure:
    """Two maps, what moves below them, and at the bottom currents and validity where leads are pumped."""
    deck, time = run.deck, run.times
    pumped = "current_charge" in run.names
    figure = Figure(figsize=(7.2, 7.6 if pumped else 5.8), layout="constrained")
    grid = figure.add_gridspec(2 + pumped, 2, height_ratios=[1.6, 1, 1][: 2 + pumped])
    _maps(run, figure, [figure.add_subplot(grid[0, column]) for column in (0, 1)])
    lower = [[figure.add_subplot(grid[row, column]) for column in (0, 1)] for row in range(1, 2 + pumped)]
    _centre_or_charge(lower[0][0], run)
    energies(lower[0][1], run)
    legend_above(lower[0][1], columns=3)
    if pumped:
        _currents(lower[1][0], run)
        if "rate_over_width" in run.names:
            _validity(lower[1][1], run)
        elif deck.electrons is not None and deck.electrons.frozen_beside and run.times.any():
            deviations(lower[1][1], judge(run))
        else:
            _electrons(lower[1][1], run)
    for ax in lower[0][:] if pumped else ():
        ax.tick_params(labelbottom=False)
        ax.set_xlim(*((time[0], time[-1]) if len(time) > 1 else (time[0] - 0.5, time[0] + 0.5)))
    for ax in lower[-1]:
        time_axis(ax, time, deck.units.label, deck.units_energy_ev, _period(deck))
    first, last = (float(run["topological_charge"][i]) for i in (0, -1))
    figure.suptitle(f"{as_label(deck.title or deck.name)}   {charges_in_words(first, last)}", fontsize=9)
    return figure


def _period(deck: Deck) -> float | None:
    """The period of the gates, where all of them have the same one."""
    gates = deck.electrons.gate if deck.electrons is not None else ()
    found = {gate.frequency for gate in gates if gate.amplitude}
    (frequency,) = found if len(found) == 1 else (None,)
    return 2 * np.pi / abs(frequency) if frequency else None


def charges_in_words(first: float, last: float) -> str:
    """The topological charge of the first and of the last frame, as the title gives them."""
    return rf"$Q$ = {first:z.3f} $\to$ {last:z.3f}"


def _maps(run: Run, figure: Figure, both: list[Axes]) -> None:
    """m_z as colour and the in-plane components as arrows, of the first and the last frame."""
    deck = run.deck
    missing, chosen = vacant(run), (0, run.n_frames - 1)
    frames = [without(run["moment"][index], missing) for index in chosen]
    shown_in = colours_of([m[..., 2] for m in frames], "$m_z$")
    for ax, index, m, label in zip(both, chosen, frames, ("first", "last"), strict=True):
        t = run.times[index]
        nx, ny = m.shape[:2]
        image = ax.imshow(m[..., 2].T, origin="lower", **shown_in.limits, interpolation="nearest")
        stride = max(1, max(nx, ny) // 20)
        x, y = np.arange(0, nx, stride), np.arange(0, ny, stride)
        ax.quiver(
            x, y, m[::stride, ::stride, 0].T, m[::stride, ::stride, 1].T, pivot="mid", scale=1.25 / stride,
            scale_units="xy", angles="xy", width=0.006,
        )  # fmt: skip
        ax.set_title(
            f"{label} frame, $t$ = {readable_time(t, deck.units_energy_ev)}".replace("us", "\u00b5s"), fontsize=9
        )
        hatch(ax, missing)
        ax.set_xlabel("site $x$ ($a$)")
        ax.set_ylabel("site $y$ ($a$)")
        count_sites(ax.xaxis, nx)
        count_sites(ax.yaxis, ny)
    if "skyrmion_center" in run.names and run.n_frames > 1:
        path = np.asarray(run["skyrmion_center"])  # not unwrapped: it is drawn on the lattice
        both[1].plot(*path.T, color=_RED, linewidth=1.1, marker=".", markersize=1.5, linestyle="")
    figure.colorbar(image, ax=both[1], label=shown_in.label, pad=0.02)
    legend_of_vacant(both[0], missing, loc="upper left", bbox_to_anchor=(0.0, -0.16), borderaxespad=0.0)


def _centre_or_charge(ax: Axes, run: Run) -> None:
    if "skyrmion_center" in run.names:
        centre = path_of(run, "skyrmion_center")
        known = np.flatnonzero(np.isfinite(centre).all(axis=1))
        if not len(known):
            ax.text(0.5, 0.5, "no skyrmion in any frame", transform=ax.transAxes, ha="center", va="center")
        start = centre[known[0]] if len(known) else centre[0]
        for k, (name, style) in enumerate((("x", "-"), ("y", "--"))):
            curve(ax, run.times, centre[:, k] - start[k], color=(_RED, _BLUE)[k], linestyle=style, label=f"${name}$")
        ax.set_ylabel(r"centre $\mathbf{R} - \mathbf{R}(0)$ ($a$)")
        legend_above(ax)
    elif "topological_charge" in run.names:
        curve(ax, run.times, np.asarray(run["topological_charge"]), color=_RED)
        ax.set_ylabel("topological charge $Q$")
    settle(ax, least_span([_ONE]))


def _currents(ax: Axes, run: Run) -> None:
    """Currents into the leads by spin along z."""
    electrons = run.deck.electrons
    assert electrons is not None
    charge, spin = np.asarray(run["current_charge"]), np.asarray(run["current_spin"])[..., 2]
    shown = []
    for k, (lead, colour) in enumerate((("left", _BLUE), ("right", _RED))):
        for sign, style, arrow in ((1, "-", r"\uparrow"), (-1, "--", r"\downarrow")):
            shown.append(charge[:, k] / 2 + sign * spin[:, k])
            curve(ax, run.times, shown[-1], color=colour, linestyle=style, label=rf"{lead} ${arrow}$")
    ax.set_ylabel(rf"into lead $I_\sigma$ ({run.deck.units.label}/$\hbar$)")
    settle(ax, least_span(shown, sizes=[electrons.nearest_hopping]))
    legend_above(ax, columns=2)


def _electrons(ax: Axes, run: Run) -> None:
    """How many electrons the lattice holds, less those at the beginning."""
    held = np.array([run["density"][k].sum() for k in range(run.n_frames)])
    curve(ax, run.times, held - held[0], color="black")
    ax.set_ylabel("electrons $N - N(0)$")
    settle(ax, least_span([held - held[0]], sizes=[_ONE]))


def _validity(ax: Axes, run: Run) -> None:
    """Two ratios that must be small: first order over adiabatic density, rate of the motion over level width."""
    for name, label, style in (
        ("rate_over_width", "rate / level width", "-"),
        ("first_order_ratio", r"$|s^{(1)}|/|s^{(0)}|$", "--"),
    ):
        values = np.asarray(run[name], dtype=float)
        curve(ax, run.times, np.where(values > 0, values, np.nan), color="black", linestyle=style, label=label)
    ax.set_yscale("log")
    ax.axhline(1, color="0.7", linewidth=0.8, zorder=0)
    ax.set_ylabel("valid where $\\ll$ 1")
    settle(ax)
    legend_above(ax, columns=2)
