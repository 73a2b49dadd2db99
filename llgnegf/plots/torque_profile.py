"""The torque of electrons on each moment of a wall that moves: field-like and damping-like, by origin, at one time."""

from __future__ import annotations

import numpy as np

from llgnegf.axes import count_sites, least_span, settle
from llgnegf.dynamics.torques import field_and_damping_like, torque
from llgnegf.pictures import Axes
from llgnegf.plots.curves import STYLES
from llgnegf.runfile.reader import Run
from llgnegf.variables.device import SD_EXCHANGE

ORIGINS = ("sea", "surface", "bias", "bias_motion")
# Of more sites, markers would hide each other.
_MOST_MARKERS = 24
# `torque` is read in blocks of so many bytes.
_BLOCK = 8 << 20


def has_profile(run: Run) -> bool:
    """Whether a run has moments that move and electrons that act on them, beyond their equilibrium."""
    moves = run.deck.motion.kind != "frozen"
    return moves and "torque" in run.names and any(f"spin_{name}" in run.names for name in ORIGINS)


def draw(field_like: Axes, damping_like: Axes, run: Run) -> None:
    """Both components at the frame where the torque is largest, as steady precession has them at every time."""
    k, electrons = _frame(run), run.deck.electrons
    assert electrons is not None
    J = electrons.sd_exchange if isinstance(electrons.sd_exchange, float) else np.asarray(run[SD_EXCHANGE])
    # A lattice with one column or one row is a line of sites as well.
    m, velocity = run["moment"][k].reshape(-1, 3), run["velocity"][k].reshape(-1, 3)
    J = np.ravel(J) if np.ndim(J) else J
    largest = float(np.abs(J).max())
    names = [name for name in ORIGINS if f"spin_{name}" in run.names]
    torques = {name: torque(run[f"spin_{name}"][k].reshape(-1, 3), m, J) for name in names}
    if len(names) > 1:
        torques["sum"] = np.asarray(run["torque"][k]).reshape(-1, 3)
    parts = {name: field_and_damping_like(each, m, velocity) for name, each in torques.items()}
    span = least_span(parts.values(), sizes=[largest], error=largest * electrons.tolerance)
    sites = np.arange(len(m))
    for ax, which, name, label in (
        (field_like, 0, "field-like", "FL"),
        (damping_like, 1, "damping-like", "DL"),
    ):
        ax.axhline(0, color="0.75", linewidth=0.8, zorder=0)
        for origin, both in parts.items():
            few = {} if len(m) <= _MOST_MARKERS else {"marker": ""}
            ax.plot(sites, both[which], **STYLES[origin] | few)
        ax.set_ylabel(rf"$T_i^{{\mathrm{{{label}}}}}$ ({run.deck.units.label})")
        settle(ax, span)
        ax.set_xlim(-0.5, len(m) - 0.5)
        ax.set_title(rf"{name}, $t$ = {run.times[k]:.4g} $\hbar$/{run.deck.units.label}", fontsize=8, loc="left")
        count_sites(ax.xaxis, len(m))
    field_like.tick_params(labelbottom=False)
    damping_like.set_xlabel("site $i$")
    # Below the label of the axis, where the panels beside have their times.
    damping_like.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=4.6, ncols=2, handlelength=2.2)


def _frame(run: Run) -> int:
    """Of the largest torque: later it may have died out."""
    stored = run["torque"]
    step = max(1, _BLOCK // (8 * max(1, stored.size // run.n_frames)))
    sizes = [
        (np.asarray(stored[first : first + step]) ** 2).reshape(-1, stored.size // run.n_frames).sum(axis=1)
        for first in range(0, run.n_frames, step)
    ]
    return int(np.nanargmax(np.concatenate(sizes)))
