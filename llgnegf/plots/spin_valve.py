"""A fixed and a free layer with a current through both: the free moment, the torques on it, the current, energies."""

from __future__ import annotations

import numpy as np

from llgnegf.axes import least_span, legend_above, settle, time_axis
from llgnegf.dynamics.torques import fixed_direction, on_free_layer, torque
from llgnegf.pictures import Axes, Figure, as_label
from llgnegf.plots.curves import curve, energies
from llgnegf.runfile.reader import Run
from llgnegf.spin_transfer import exchange_of, fixed_sites

_COMPONENTS = {"x": ("#E69F00", "-"), "y": ("#56B4E9", "--"), "z": ("black", "-.")}
_IN_PLANE, _OUT_OF_PLANE, _COUPLING = "#D55E00", "#0072B2", "#009E73"
# Variables of many frames are read in blocks of so many bytes.
_BLOCK = 8 << 20


def picture(run: Run) -> Figure:
    """All frames, from top to bottom; runs that have `torque_in_plane`."""
    deck = run.deck
    figure = Figure(figsize=(6.2, 1.3 + 1.75 * 4), layout="constrained")
    axes = list(figure.subplots(4, 1, sharex=True))
    free, cosine, coupling = _free_layer(run)
    _moment(axes[0], run, free, cosine)
    _torques(axes[1], run, coupling)
    _current(axes[2], run)
    energies(axes[3], run)
    legend_above(axes[3])
    time_axis(axes[3], run.times, deck.units.label, deck.units_energy_ev)
    figure.suptitle(as_label(deck.title or deck.name), fontsize=9)
    return figure


def _free_layer(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean free moment (frames, 3), its component along the fixed ones, and the torque of equilibrium out of plane."""
    electrons = run.deck.electrons
    assert electrons is not None
    fixed = fixed_sites(run.deck)
    step = max(1, _BLOCK // (8 * max(1, run["moment"].size // run.n_frames)))
    found: list[tuple[np.ndarray, ...]] = []
    for first in range(0, run.n_frames, step):
        block = slice(first, first + step)
        m = np.asarray(run["moment"][block])
        there = np.flatnonzero(m[0].any(axis=-1) & ~fixed)
        mean = m.reshape(len(m), -1, 3)[:, there].mean(axis=1) if len(there) else np.full((len(m), 3), np.nan)
        T = torque(np.asarray(run["spin_adiabatic"][block]), m, exchange_of(run))
        found.append((mean, (mean * fixed_direction(m, fixed)).sum(axis=-1), on_free_layer(T, m, fixed)[1]))
    free, cosine, coupling = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return free, cosine, coupling


def _moment(ax: Axes, run: Run, free: np.ndarray, cosine: np.ndarray) -> None:
    for k, (name, (colour, line)) in enumerate(_COMPONENTS.items()):
        curve(ax, run.times, free[:, k], color=colour, linestyle=line, label=rf"$\bar m_{name}$")
    curve(
        ax, run.times, cosine, color="#CC79A7", linestyle=":", linewidth=2.0, label=r"$\bar{\mathbf{m}}\cdot\mathbf{p}$"
    )
    ax.set_ylabel("free layer")
    ax.set_ylim(-1.08, 1.08)
    legend_above(ax, columns=4)


def _torques(ax: Axes, run: Run, coupling: np.ndarray) -> None:
    """Sums over the free layer: of the current by its two parts, and of equilibrium, which couples the layers."""
    electrons = run.deck.electrons
    assert electrons is not None
    J = float(np.abs(exchange_of(run)).max())
    in_plane, out_of_plane = (np.asarray(run[f"torque_{part}"]) for part in ("in_plane", "out_of_plane"))
    curve(ax, run.times, in_plane, color=_IN_PLANE, label="current, in-plane")
    curve(ax, run.times, out_of_plane, color=_OUT_OF_PLANE, linestyle="--", label="current, out-of-plane")
    curve(ax, run.times, coupling, color=_COUPLING, linestyle=":", label="equilibrium, out-of-plane")
    ax.set_ylabel(f"torque ({run.deck.units.label})")
    settle(ax, least_span([in_plane, out_of_plane, coupling], sizes=[J], error=J * electrons.tolerance))
    legend_above(ax, columns=3)


def _current(ax: Axes, run: Run) -> None:
    """Particles into the right lead: they follow the angle between the layers."""
    electrons = run.deck.electrons
    assert electrons is not None
    charge = np.asarray(run["current_charge"])[:, 1]
    curve(ax, run.times, charge, color="black")
    ax.set_ylabel(rf"particle current ({run.deck.units.label}/$\hbar$)")
    settle(ax, least_span([charge], sizes=[electrons.nearest_hopping], error=electrons.tolerance))
