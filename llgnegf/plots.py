"""Pictures of a run: the figure a person of the field expects for that kind of run.

Precession with electrons: field-like and damping-like torque profile by origin (as Fig. 3 of Bajpai and Nikolic, Phys.
Rev. Lett. 125, 187202 (2020)).  A chain or a single moment in motion: trajectory, energies, torque.  A square lattice:
maps of the first and the last frame.  Colours are those of Okabe and Ito, which most eyes tell apart; markers and
dashes differ as well, for print.
"""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llgnegf.build import refuse_misfit
from llgnegf.compare import NothingToCompare, compare
from llgnegf.dynamics.torques import field_and_damping_like, torque
from llgnegf.errors import RunError
from llgnegf.pictures import Figure, as_label, check_ending, drawing, save
from llgnegf.runfile.reader import Run, open_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES: dict[str, dict[str, Any]] = {
    "geometric": {"color": "#D55E00", "marker": "o", "linestyle": "-", "label": "geometric"},
    "sea": {"color": "#0072B2", "marker": "s", "linestyle": "--", "label": "sea"},
    "surface": {"color": "#009E73", "marker": "^", "linestyle": "-.", "label": "surface"},
    "sum": {"color": "black", "marker": ".", "linestyle": ":", "label": "sum"},
    "exact": {
        "color": "black", "marker": "o", "linestyle": "", "label": "exact", "markerfacecolor": "none", "markersize": 9
    },
}  # fmt: skip
COMPONENT_COLOURS = {"x": "#E69F00", "y": "#56B4E9", "z": "black"}


def plot(run: Run | str | Path, path: str | Path | None = None) -> Figure:
    """The picture of a run as a matplotlib Figure, also written to `path` if one is given.

    run: an open run or the path of a run file; path: its ending (.png, .pdf, .svg, ...) decides the format.  The figure
    is not pyplot's: notebooks show it, `figure.axes` and `figure.savefig` change and write it.
    Raises RunError without frames, DeckError for another ending, FileError for disk trouble.
    """
    if not isinstance(run, Run):
        with open_run(run) as opened:
            return plot(opened, path)
    if not run.n_frames:
        raise RunError(f"{run.path} holds no complete frame yet: nothing to draw")
    path = None if path is None else Path(path)
    if path is not None:
        check_ending(path)
    # A line through one frame would be invisible.
    markers = {"lines__marker": "o"} if run.n_frames == 1 else {}
    with drawing(**markers):
        deck = run.deck
        refuse_misfit(run)
        two_dimensional = len(deck.lattice.shape) == 2 and min(deck.lattice.shape) > 1
        if "spin_geometric" in run.names:
            figure = _torque_profiles(run)
        elif two_dimensional:
            figure = _maps(run)
        else:
            figure = _trajectory(run)
        if path is not None:
            save(figure, path)
    return figure


# More points of a curve, and more frames side by side, than any picture has dots across.
_MOST_POINTS, _MOST_FRAMES = 20_000, 2_000
# Variables of many frames are read in blocks of so many bytes.
_BLOCK = 8 << 20


def _curve(ax: Axes, time: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """Draws values against time; of very many points those that look the same, since each takes 100 bytes and more."""
    if len(time) > _MOST_POINTS:
        chosen = _extremes(values, _MOST_POINTS // 2)
        time, values = time[chosen], values[chosen]
    ax.plot(time, values, **style)


def _extremes(values: np.ndarray, pieces: int) -> np.ndarray:
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


# --- steady precession ----------------------------------------------------------------------------------------------


def _torque_profiles(run: Run) -> Figure:
    """Field-like and damping-like torque per site and contribution, with the texture on top."""
    deck = run.deck
    assert deck.electrons is not None
    m, velocity = run["moment"][-1], run["velocity"][-1]
    frequency = deck.motion.frequency or 0.0
    spins = {name: run[f"spin_{name}"][-1] for name in ("geometric", "sea", "surface")}
    spins["sum"] = np.sum(list(spins.values()), axis=0)
    with contextlib.suppress(NothingToCompare):
        spins["exact"] = compare(run)[0].exact
    # Components along dm/dt are even in the frequency: its size scales them, not its sign.
    scale = abs(frequency) if frequency else 1.0
    sites = np.arange(len(m))
    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, gridspec_kw={"height_ratios": [1, 3.2]})
    for k, (column, label) in enumerate(zip(axes.T, ("FL", "DL"), strict=True)):
        _draw_texture(column[0], m, show_scale=k == 1, figure=figure)
        ax = column[1]
        ax.axhline(0, color="0.75", linewidth=0.8, zorder=0)
        for name, spin in spins.items():
            values = field_and_damping_like(torque(spin, m, deck.electrons.sd_exchange), m, velocity)[k]
            ax.plot(sites, values / scale, **STYLES[name])
        ax.set_xlabel(r"site $i$")
        ax.set_ylabel(rf"$T_i^{{\mathrm{{{label}}}}} / \hbar|\omega|$")
        ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
        ax.set_title("field-like" if label == "FL" else "damping-like", fontsize=9, loc="right")
        _integer_sites(ax, len(m))
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, handlelength=2.6)
    couplings = " and ".join(f"{deck.electrons.coupling(side):g}" for side in ("left", "right"))
    figure.suptitle(
        rf"$J_{{sd}}$ = {deck.electrons.sd_exchange:g}, $\gamma_c$ = {couplings}, $E_F$ = "
        rf"{deck.electrons.fermi_energy:g}, $k_BT$ = {deck.electrons.temperature:g}, "
        rf"$\hbar\omega$ = {frequency:g} (all in {deck.units.label})",
        fontsize=9,
    )
    return figure


def _draw_texture(ax, m: np.ndarray, show_scale: bool, figure: Figure) -> None:
    """The moments as arrows in the y-z plane, coloured by m_x."""
    # More than some two dozen arrows would hide each other.
    sites = np.arange(0, len(m), -(-len(m) // 24))
    n, m = len(m), m[sites]
    arrows = ax.quiver(
        sites, np.zeros(len(sites)), m[:, 1], m[:, 2], m[:, 0], pivot="mid", cmap="PuOr", clim=(-1, 1), angles="uv",
        scale=1.35, scale_units="height", units="height", width=0.05, edgecolor="0.2", linewidth=0.4,
    )  # fmt: skip
    ax.set_ylim(-0.7, 0.7)
    ax.set_xlim(-0.6, n - 0.4)
    ax.set_yticks([])
    ax.tick_params(labelbottom=False)
    ax.set_ylabel(r"$(m_y, m_z)$", fontsize=8)
    if show_scale:
        bar = figure.colorbar(arrows, ax=ax, pad=0.02, aspect=6, ticks=[-1, 0, 1])
        bar.set_label(r"$m_x$", fontsize=8)


def _integer_sites(ax, n: int) -> None:
    if n <= 12:
        ax.set_xticks(range(n))
    else:
        ax.xaxis.get_major_locator().set_params(integer=True)


# --- moments in motion ----------------------------------------------------------------------------------------------


def _trajectory(run: Run) -> Figure:
    """A chain or one moment against time: moments, wall position and tilt, energies, torque of the electrons."""
    deck = run.deck
    unit = deck.units.label
    time = run.times
    one_moment = run["moment"].size == 3 * run.n_frames
    torques = _torque_norms(run)
    has_wall = "wall_position" in run.names
    panels = 2 + bool(torques) + has_wall
    figure = Figure(figsize=(6.2, 1.0 + 1.75 * panels), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(panels, 1, sharex=True)))

    ax = axes.pop(0)
    if one_moment:
        m = np.asarray(run["moment"]).reshape(-1, 3)
        for k, name in enumerate("xyz"):
            style = ("-", "--", "-.")[k]
            _curve(ax, time, m[:, k], color=COMPONENT_COLOURS[name], linestyle=style, label=f"$m_{name}$")
        ax.set_ylabel(r"$\mathbf{m}$")
        ax.set_ylim(-1.08, 1.08)
        _legend_above(ax)
    else:
        shown = slice(None, None, -(-run.n_frames // _MOST_FRAMES))
        m_z = run["moment"][shown, ..., 2].reshape(len(time[shown]), -1)
        edges = _edges(time[shown]), np.arange(m_z.shape[1] + 1) - 0.5
        picture = ax.pcolormesh(*edges, m_z.T, cmap="PuOr", vmin=-1, vmax=1, rasterized=True)
        figure.colorbar(picture, ax=ax, pad=0.01, label=r"$m_z$")
        ax.set_ylabel("site $x$ ($a$)")
    if has_wall:
        ax = axes.pop(0)
        _curve(ax, time, np.asarray(run["wall_position"]), color="#D55E00")
        ax.set_ylabel("wall position ($a$)", color="#D55E00")
        twin = ax.twinx()
        tilt = np.asarray(run["wall_tilt"])
        known = ~np.isnan(tilt)
        _curve(twin, time[known], np.unwrap(tilt[known]), color="#0072B2", linestyle="--")
        twin.set_ylabel("tilt (rad)", color="#0072B2")
    ax = axes.pop(0)
    names = [name for name in run.names if name.startswith("energy_") and name != "energy_classical"]
    palette = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7")
    for k, name in enumerate(names):
        values = np.asarray(run[name])
        if np.ptp(values) > 0:
            label = name.removeprefix("energy_")
            _curve(
                ax, time, values - values[0], color=palette[k % 4], linestyle=("--", "-.", ":", "-")[k % 4], label=label
            )
    classical = np.asarray(run["energy_classical"])
    _curve(ax, time, classical - classical[0], color="black", label="classical")
    if "grand_potential" in run.names:
        omega = np.asarray(run["grand_potential"])
        _curve(ax, time, omega - omega[0], color="#0072B2", linestyle=(0, (1, 1)), label="electrons")
    ax.set_ylabel(f"$E - E(0)$ ({unit})")
    _legend_above(ax)
    if torques:
        ax = axes.pop(0)
        for name, values in torques.items():
            _curve(ax, time, values, **{**STYLES[name], "marker": "o" if len(time) == 1 else ""})
        ax.set_ylabel(rf"$|\sum_i\mathbf{{T}}_i|$ ({unit})")
        _legend_above(ax)
    ax.set_xlabel(rf"$t$ ($\hbar$/{unit})")
    ax.set_xlim(*((time[0], time[-1]) if len(time) > 1 else _edges(time)))
    figure.suptitle(as_label(deck.title or deck.name), fontsize=9)
    return figure


def _edges(time: np.ndarray) -> np.ndarray:
    """Times halfway between the frames, with one before and one after: a single frame gets a width too."""
    if len(time) == 1:
        return time[0] + np.array([-0.5, 0.5])
    middle = (time[1:] + time[:-1]) / 2
    return np.concatenate([[2 * time[0] - middle[0]], middle, [2 * time[-1] - middle[-1]]])


def _legend_above(ax) -> None:
    """A legend above the axes, where it covers no curve; it has room for six entries."""
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    ax.legend(**place, ncols=6, handlelength=1.8, columnspacing=0.7, handletextpad=0.4)


def _torque_norms(run: Run) -> dict[str, np.ndarray]:
    """|sum over sites of the torque| by origin, where the run has first-order electrons."""
    names = [name for name in ("sea", "surface") if f"spin_{name}" in run.names]
    if not names:
        return {}
    electrons = run.deck.electrons
    assert electrons is not None
    step = max(1, _BLOCK // (8 * max(1, run["moment"].size // run.n_frames)))
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for first in range(0, run.n_frames, step):
        block = slice(first, first + step)
        m = run["moment"][block]
        for name in names:
            each = torque(run[f"spin_{name}"][block], m, electrons.sd_exchange)
            found[name].append(np.linalg.norm(each.reshape(len(m), -1, 3).sum(axis=1), axis=1))
    return {name: np.concatenate(parts) for name, parts in found.items()}


# --- square lattices ------------------------------------------------------------------------------------------------


def _pumped_panels(run: Run, left, right) -> list:
    """Currents into the leads by spin along z, and two ratios that must be small: first order over adiabatic density,
    and rate of the motion over level width."""
    unit = run.deck.units.label
    time = run.times
    charge, spin = np.asarray(run["current_charge"]), np.asarray(run["current_spin"])[..., 2]
    for lead, colour in (("left", "#0072B2"), ("right", "#D55E00")):
        k = ("left", "right").index(lead)
        for sign, style, arrow in ((1, "-", r"\uparrow"), (-1, "--", r"\downarrow")):
            label = rf"{lead} ${arrow}$"
            _curve(left, time, charge[:, k] / 2 + sign * spin[:, k], color=colour, linestyle=style, label=label)
    left.set_ylabel(rf"into the leads ({unit}/$\hbar$)")
    left.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, ncols=4, handlelength=1.6,
                columnspacing=0.7, handletextpad=0.4)  # fmt: skip
    for name, label, style in (
        ("rate_over_width", "rate / level width", "-"),
        ("first_order_ratio", r"$|s^{(1)}|/|s^{(0)}|$", "--"),
    ):
        right.semilogy(time, np.maximum(np.asarray(run[name]), 1e-16), color="black", linestyle=style, label=label)
    right.axhline(1, color="0.7", linewidth=0.8, zorder=0)
    right.set_ylabel("adiabatic where $\\ll$ 1")
    right.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, ncols=2, handlelength=1.6)
    return [left, right]


def _maps(run: Run) -> Figure:
    """m_z of the first and the last frame with in-plane arrows; centre, charge and energy against time."""
    deck = run.deck
    unit = deck.units.label
    time = run.times
    pumped = "current_charge" in run.names
    figure = Figure(figsize=(7.2, 7.2 if pumped else 5.4), layout="constrained")
    grid = figure.add_gridspec(2 + pumped, 2, height_ratios=[1.6, 1, 1][: 2 + pumped])
    for column, (index, label) in enumerate(((0, "first"), (run.n_frames - 1, "last"))):
        ax = figure.add_subplot(grid[0, column])
        m = run["moment"][index]
        nx, ny = m.shape[:2]
        picture = ax.imshow(m[..., 2].T, origin="lower", cmap="PuOr", vmin=-1, vmax=1, interpolation="nearest")
        stride = max(1, max(nx, ny) // 20)
        x, y = np.arange(0, nx, stride), np.arange(0, ny, stride)
        ax.quiver(
            x, y, m[::stride, ::stride, 0].T, m[::stride, ::stride, 1].T, pivot="mid", scale=1.25 / stride,
            scale_units="xy", angles="xy", width=0.006,
        )  # fmt: skip
        ax.set_title(f"{label} frame, $t$ = {time[index]:g}", fontsize=9)
        ax.set_xlabel("$x$ ($a$)")
        ax.set_ylabel("$y$ ($a$)")
        if column == 1:
            figure.colorbar(picture, ax=ax, label="$m_z$", pad=0.02)
    left, right = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    if "skyrmion_center" in run.names:
        centre = np.asarray(run["skyrmion_center"])
        for k, (name, style) in enumerate((("x", "-"), ("y", "--"))):
            colour = ("#D55E00", "#0072B2")[k]
            _curve(left, time, centre[:, k] - centre[0, k], color=colour, linestyle=style, label=f"${name}$")
        left.set_ylabel("centre $-$ start ($a$)")
        left.legend(loc="best")
    elif "topological_charge" in run.names:
        _curve(left, time, np.asarray(run["topological_charge"]), color="#D55E00")
        left.set_ylabel("topological charge $Q$")
    classical = np.asarray(run["energy_classical"])
    _curve(right, time, classical - classical[0], color="black")
    right.set_ylabel(f"$E - E(0)$ ({unit})")
    lower = [left, right]
    if pumped:
        lower += _pumped_panels(run, figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1]))
    for ax in lower:
        ax.set_xlabel(rf"$t$ ($\hbar$/{unit})")
    charges = [float(run["topological_charge"][i]) for i in (0, -1)]
    figure.suptitle(f"{as_label(deck.title or deck.name)}   $Q$ = {charges[0]:.3f} $\\to$ {charges[1]:.3f}", fontsize=9)
    return figure
