"""A flat wall against time: velocity and tilt beside its two collective coordinates, and what electrons do to it."""

from __future__ import annotations

import numpy as np

from llgnegf.axes import least_span, legend_above, settle
from llgnegf.errors import LLGNEGFError
from llgnegf.pictures import Axes
from llgnegf.plots.curves import curve
from llgnegf.runfile.reader import Run
from llgnegf.walls_beside import beside

_VELOCITY, _TILT, _TORQUE, _PUSH = "#D55E00", "#0072B2", "black", "#009E73"
# A tilt of this size is what xi_0 is measured by.
_ONE = 1.0


def panels_of(run: Run) -> int:
    """How many panels a run has for its flat wall: none, one, or two with electrons."""
    return ("out_of_plane" in run.names) + ("torque_perpendicular" in run.names)


def draw(axes: list[Axes], run: Run) -> None:
    """Draws them; axes: as many as `panels_of` says."""
    _motion(axes[0], run)
    if len(axes) > 1:
        _torques(axes[1], run)


def _motion(ax: Axes, run: Run) -> None:
    """V and xi_0 of the moments, and by Eqs. (12) where they apply to this run."""
    time, unit = run.times, run.deck.units.label
    velocity, tilt = np.asarray(run["wall_velocity"]), np.asarray(run["out_of_plane"])
    twin = ax.twinx()
    curve(ax, time, velocity, color=_VELOCITY, label="$V$")
    curve(twin, time, tilt, color=_TILT, linestyle="--", label=r"$\xi_0$")
    try:
        found = beside(run) if run.n_frames > 1 else None
    except LLGNEGFError:  # of another deck, or the wall has left: the moments alone are drawn
        found = None
    if found is not None:
        curve(ax, time, found.velocity, color=_VELOCITY, linestyle=":", label="$V$, two coordinates")
        curve(twin, time, found.out_of_plane, color=_TILT, linestyle="-.", label=r"$\xi_0$, two coordinates")
    ax.set_ylabel(rf"velocity $V$ ($a\,${unit}$/\hbar$)", color=_VELOCITY)
    twin.set_ylabel(r"out of plane $\xi_0$", color=_TILT)
    settle(ax, least_span([velocity]))
    settle(twin, least_span([_ONE]))
    handles = [*ax.lines, *twin.lines]
    ax.legend(
        handles, [str(each.get_label()) for each in handles], loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4
    )  # fmt: skip


def _torques(ax: Axes, run: Run) -> None:
    """T_perp and the spin along the hard axis, in one unit: J_sd times what Eqs. (12) have."""
    electrons = run.deck.electrons
    assert electrons is not None
    J, width = electrons.uniform_exchange * electrons.back_action, np.sqrt(0.5 * run.deck.magnet.exchange)
    width /= np.sqrt(run.deck.magnet.anisotropy)
    # d(phi0)/dx = turn sqrt(2/width) Phi_0: with it both drive their coordinate alike.
    torque = J * np.asarray(run["torque_perpendicular"])
    push = J * np.sqrt(2.0 / width) * np.asarray(run["spin_out_of_plane"])
    curve(ax, run.times, torque, color=_TORQUE, label=r"$J_{sd}T_\perp$")
    curve(ax, run.times, push, color=_PUSH, linestyle="--", label=r"$J_{sd}Q\sqrt{2/\lambda}$")
    ax.set_ylabel(rf"on the wall ({run.deck.units.label}$/a$)")
    settle(ax, least_span([torque, push], sizes=[J], error=abs(J) * electrons.tolerance))
    legend_above(ax, columns=2)
