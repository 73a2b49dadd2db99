"""Steady precession: field-like and damping-like torque per site and contribution, with the texture on top."""

from __future__ import annotations

import contextlib

import numpy as np

from llgnegf.axes import count_sites, least_span, settle
from llgnegf.compare import NothingToCompare, compare
from llgnegf.dynamics.torques import field_and_damping_like, torque
from llgnegf.pictures import Axes, Figure
from llgnegf.plots.curves import STYLES
from llgnegf.runfile.reader import Run
from llgnegf.spin_transfer import exchange_of


def picture(run: Run) -> Figure:
    """The last frame; the exact result beside it where there is one."""
    deck = run.deck
    assert deck.electrons is not None
    J = exchange_of(run)
    largest = float(np.abs(J).max())
    m, velocity = run["moment"][-1], run["velocity"][-1]
    frequency = deck.motion.frequency or 0.0
    spins = {name: run[f"spin_{name}"][-1] for name in ("geometric", "sea", "surface")}
    spins["sum"] = np.sum(list(spins.values()), axis=0)
    with contextlib.suppress(NothingToCompare):
        spins["exact"] = compare(run)[0].exact
    # Components along dm/dt are even in the frequency: its size scales them, not its sign.
    scale = abs(frequency) if frequency else 1.0
    components = {
        name: np.array(field_and_damping_like(torque(spin, m, J), m, velocity)) / scale for name, spin in spins.items()
    }
    span = least_span(components.values(), sizes=[largest], error=largest * deck.electrons.tolerance / scale)
    sites = np.arange(len(m))
    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, gridspec_kw={"height_ratios": [1, 3.2]})
    for k, (column, label) in enumerate(zip(axes.T, ("FL", "DL"), strict=True)):
        _draw_texture(column[0], m, show_scale=k == 1, figure=figure)
        ax = column[1]
        ax.axhline(0, color="0.75", linewidth=0.8, zorder=0)
        for name, both in components.items():
            ax.plot(sites, both[k], **STYLES[name])
        ax.set_xlabel(r"site $i$")
        ax.set_ylabel(rf"$T_i^{{\mathrm{{{label}}}}} / \hbar|\omega|$")
        settle(ax, span)
        ax.set_title("field-like" if label == "FL" else "damping-like", fontsize=9, loc="right")
        count_sites(ax.xaxis, len(m))
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, handlelength=2.6)
    couplings = " and ".join(f"{deck.electrons.coupling(side):g}" for side in ("left", "right"))
    told = f"= {J:g}" if isinstance(J, float) else f"up to {largest:g}"
    figure.suptitle(
        rf"$J_{{sd}}$ {told}, $\gamma_c$ = {couplings}, $E_F$ = "
        rf"{deck.electrons.fermi_energy:g}, $k_BT$ = {deck.electrons.temperature:g}, "
        rf"$\hbar\omega$ = {frequency:g} (all in {deck.units.label})",
        fontsize=9,
    )
    return figure


def _draw_texture(ax: Axes, m: np.ndarray, show_scale: bool, figure: Figure) -> None:
    """The moments as arrows in the y-z plane, coloured by m_x."""
    # More than some two dozen arrows would hide each other.
    sites = np.arange(0, len(m), -(-len(m) // 24))
    n, m = len(m), np.where(m.any(axis=-1, keepdims=True), m, np.nan)[sites]  # no dot for a moment that is not there
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
