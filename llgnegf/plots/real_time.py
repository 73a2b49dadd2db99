"""A chain with electrons in real time: moments, energies, torque, currents, and frozen electrons beside."""

from __future__ import annotations

import numpy as np

from llgnegf.axes import least_span, legend_above, settle, time_axis
from llgnegf.dynamics.torques import torque
from llgnegf.judged import Judgement, judge
from llgnegf.pictures import Axes, Figure, as_label
from llgnegf.plots import flat_wall
from llgnegf.plots.curves import currents, curve, energies
from llgnegf.plots.trajectory import moments_or_one
from llgnegf.runfile.reader import Run
from llgnegf.spin_transfer import exchange_of

_EXACT, _ZERO, _ONE = "black", "#0072B2", "#D55E00"


def picture(run: Run) -> Figure:
    """All frames, from top to bottom; what the run does not have is left out."""
    deck = run.deck
    assert deck.electrons is not None
    has_leads = "current_charge" in run.names
    beside = judge(run) if deck.electrons.frozen_beside and run.times.any() else None
    of_flat_wall = flat_wall.panels_of(run)
    panels = 3 + has_leads + (beside is not None) + of_flat_wall
    figure = Figure(figsize=(6.2, 1.3 + 1.7 * panels), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(panels, 1, sharex=True)))
    moments_or_one(axes[0], run, figure)
    if of_flat_wall:
        flat_wall.draw([axes.pop(1) for _ in range(of_flat_wall)], run)
    energies(axes[1], run)
    legend_above(axes[1])
    _torque(axes[2], run, beside)
    if has_leads:
        currents(axes[3], run)
    if beside is not None:
        deviations(axes[-1], beside)
    time_axis(axes[-1], run.times, deck.units.label, deck.units_energy_ev)
    figure.suptitle(as_label(deck.title or deck.name), fontsize=9)
    return figure


def deviations(ax: Axes, found: Judgement) -> None:
    """r.m.s. distance of the spin density of frozen electrons from that in real time, to two orders."""
    for order, colour, line in ((0, _ZERO, "--"), (1, _ONE, "-")):
        values = np.sqrt(np.mean(found.deviation(order).reshape(len(found.times), -1) ** 2, axis=1))
        label = "order 0" if order == 0 else "order 0 + 1"
        curve(ax, found.times, np.where(values > 0, values, np.nan), color=colour, linestyle=line, label=label)
    ax.set_yscale("log")
    ax.set_ylabel("frozen $-$ real time\n" + r"$|\Delta\mathbf{s}|$, r.m.s.")
    settle(ax)
    legend_above(ax, columns=2)


def _torque(ax: Axes, run: Run, found: Judgement | None) -> None:
    """|sum over sites of J_sd s x m| in real time, and of frozen electrons beside."""
    electrons = run.deck.electrons
    assert electrons is not None
    J, m = exchange_of(run), np.asarray(run["moment"])
    shown = {"real time": (np.asarray(run["torque"]), {"color": _EXACT})}
    if found is not None:
        shown["order 0"] = torque(found.order_0, m, J), {"color": _ZERO, "linestyle": "--"}
        shown["order 0 + 1"] = torque(found.order_1, m, J), {"color": _ONE, "linestyle": ":"}
    sums = {name: np.linalg.norm(T.reshape(len(m), -1, 3).sum(axis=1), axis=-1) for name, (T, _) in shown.items()}
    for name, values in sums.items():
        curve(ax, run.times, values, label=name, **shown[name][1])
    ax.set_ylabel(rf"$|\sum_i\mathbf{{T}}_i|$ ({run.deck.units.label})")
    largest = float(np.abs(J).max())
    settle(ax, least_span(sums.values(), sizes=[largest], error=largest * electrons.tolerance))
    legend_above(ax, columns=3)
