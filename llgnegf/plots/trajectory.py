"""A chain or one moment against time: moments; wall position, tilt, velocity; energies; torque of the electrons; of a
bias the currents.

Of one moment its path on the sphere and its response tensors, of a wall the torque on each moment stands beside them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from llgnegf.axes import count_sites, least_span, legend_above, settle, time_axis
from llgnegf.dynamics.torques import torque
from llgnegf.pictures import Axes, Figure, as_label
from llgnegf.plots import flat_wall, tensors, torque_profile
from llgnegf.plots.curves import MOST_POINTS, STYLES, currents, curve, edges, energies
from llgnegf.plots.moment_colours import colours_of
from llgnegf.plots.vacant import hatch, legend_of_vacant, vacant
from llgnegf.runfile.reader import Run
from llgnegf.seams import path_of
from llgnegf.spin_transfer import exchange_of

COMPONENT_COLOURS = {"x": "#E69F00", "y": "#56B4E9", "z": "black"}

# More frames side by side than any picture has dots across.
_MOST_FRAMES = 2_000
# Variables of many frames are read in blocks of so many bytes.
_BLOCK = 8 << 20
# Lengths in lattice constants and angles in radians: of such a size is what they are measured by.
_ONE = 1.0


def picture(run: Run) -> Figure:
    """All frames, from top to bottom; what the run does not have is left out."""
    deck, time = run.deck, run.times
    unit = deck.units.label
    torques = _torque_norms(run)
    follows_wall = "wall_position" in run.names
    has_wall = follows_wall and bool(np.isfinite(run["wall_position"]).any())
    of_flat_wall = flat_wall.panels_of(run)
    has_velocity = has_wall and not of_flat_wall and run.n_frames > 1
    is_driven = "spin_bias" in run.names and "current_charge" in run.names
    panels = 2 + bool(torques) + is_driven + has_wall + has_velocity + of_flat_wall
    on_sphere = run["moment"].size == 3 * run.n_frames and run.n_frames > 1
    with_profile = follows_wall and torque_profile.has_profile(run)
    beside = on_sphere or with_profile
    matrices = tensors.tensors_of(run)[:2] if on_sphere else []
    width = 2.9 + 0.7 * bool(matrices)
    figure = Figure(figsize=(6.2 + width * beside, 1.3 + 1.75 * panels), layout="constrained")
    grid = figure.add_gridspec(panels, 1 + beside, width_ratios=[6.2, width][: 1 + beside])
    axes = [figure.add_subplot(grid[0, 0])]
    axes += [figure.add_subplot(grid[k, 0], sharex=axes[0]) for k in range(1, panels)]
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    if on_sphere:
        column = grid[:, 1].subgridspec(1 + bool(matrices), 1, height_ratios=[2, 1.2][: 1 + bool(matrices)])
        _sphere(figure.add_subplot(column[0], projection="3d"), run)
        for ax, name in zip(_side_by_side(figure, column, len(matrices)), matrices, strict=True):
            tensors.matrix(ax, run, name, digits=2, size=6.5)
    elif with_profile:
        halves = grid[:, 1].subgridspec(2, 1)
        torque_profile.draw(figure.add_subplot(halves[0]), figure.add_subplot(halves[1]), run)
    last = axes[-1]

    ax = axes.pop(0)
    moments_or_one(ax, run, figure)
    if has_wall:
        _wall(axes.pop(0), run)
    if has_velocity:
        _velocity(axes.pop(0), run)
    if of_flat_wall:
        flat_wall.draw([axes.pop(0) for _ in range(of_flat_wall)], run)
    ax = axes.pop(0)
    energies(ax, run)
    legend_above(ax)
    if torques:
        assert deck.electrons is not None
        ax, J = axes.pop(0), float(np.abs(exchange_of(run)).max())
        for name, values in torques.items():
            curve(ax, time, values, **{**STYLES[name], "marker": "o" if len(time) == 1 else ""})
        ax.set_ylabel(rf"$|\sum_i\mathbf{{T}}_i|$ ({unit})")
        low, high = ax.get_ylim()
        # A length: a change of its last digits alone is seen to be small.
        ax.set_ylim(min(low, -0.05 * high), 1.05 * high)
        settle(ax, least_span(torques.values(), sizes=[J], error=J * deck.electrons.tolerance))
        legend_above(ax, columns=4)
    if is_driven:
        currents(axes.pop(0), run)
    time_axis(last, time, unit, deck.units_energy_ev)
    figure.suptitle(as_label(deck.title or deck.name), fontsize=9)
    return figure


def _side_by_side(figure: Figure, column: Any, n: int) -> list[Axes]:
    """n axes in the second row of a column."""
    if not n:
        return []
    row = column[1].subgridspec(1, n)
    return [figure.add_subplot(row[k]) for k in range(n)]


def moments_or_one(ax: Axes, run: Run, figure: Figure) -> None:
    """The three components of a single moment, or one component of all."""
    if run["moment"].size == 3 * run.n_frames:
        _one_moment(ax, run)
    else:
        _all_moments(ax, run, figure)


def _one_moment(ax: Axes, run: Run) -> None:
    m = np.asarray(run["moment"]).reshape(-1, 3)
    for k, name in enumerate("xyz"):
        curve(
            ax, run.times, m[:, k], color=COMPONENT_COLOURS[name], linestyle=("-", "--", "-.")[k], label=f"$m_{name}$"
        )
    ax.set_ylabel(r"$\mathbf{m}$")
    ax.set_ylim(-1.08, 1.08)
    legend_above(ax)


def _sphere(ax: Any, run: Run) -> None:
    """The path of one moment on the unit sphere, from a ring to a dot, with three great circles."""
    m = np.asarray(run["moment"]).reshape(-1, 3)
    if len(m) > MOST_POINTS:
        m = m[:: -(-len(m) // MOST_POINTS)]
    angle = np.linspace(0, 2 * np.pi, 121)
    circle = np.array([np.cos(angle), np.sin(angle), np.zeros_like(angle)])
    for k in range(3):
        ax.plot(*np.roll(circle, k, axis=0), color="0.75", linewidth=0.7)
    for k, name in enumerate("xyz"):
        end = 1.25 * np.eye(3)[k]
        ax.plot(*np.array([0.0 * end, end]).T, color="0.75", linewidth=0.7)
        ax.text(*(1.15 * end), f"${name}$", ha="center", va="center", color=COMPONENT_COLOURS[name])
    ax.plot(*m.T, color="#0072B2", linewidth=1.2)
    ax.plot(*m[:1].T, marker="o", color="#0072B2", markerfacecolor="white", linestyle="")
    ax.plot(*m[-1:].T, marker="o", color="#D55E00", linestyle="")
    ax.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    ax.set_box_aspect((1, 1, 1), zoom=1.25)
    ax.view_init(elev=22, azim=35)
    ax.set_axis_off()


def _all_moments(ax: Axes, run: Run, figure: Figure) -> None:
    """A component of every site against time, as a picture: z, or that in which domains differ by the easy axis."""
    time, magnet = run.times, run.deck.magnet
    shown = slice(None, None, -(-run.n_frames // _MOST_FRAMES))
    k = int(np.argmax(np.abs(magnet.easy_axis))) if magnet.anisotropy > 0 else 2
    m_k = run["moment"][shown, ..., k]
    if (missing := vacant(run)) is not None:
        m_k[:, missing] = np.nan
    m_k = m_k.reshape(len(time[shown]), -1)
    grid = edges(time[shown]), np.arange(m_k.shape[1] + 1) - 0.5
    hatch(ax, missing)
    legend_of_vacant(ax, missing)
    shown_in = colours_of(m_k, f"$m_{'xyz'[k]}$")
    mesh = ax.pcolormesh(*grid, m_k.T, **shown_in.limits, rasterized=True)
    # In the axes' own frame: beside all axes it would stand behind the second scale of the wall.
    figure.colorbar(mesh, cax=ax.inset_axes((1.015, 0, 0.02, 1)), label=shown_in.label)
    ax.set_ylabel("site $i$")
    count_sites(ax.yaxis)


def _wall(ax: Axes, run: Run) -> None:
    """Position and tilt of the wall, both as paths without jumps."""
    time = run.times
    curve(ax, time, path_of(run, "wall_position"), color="#D55E00")
    ax.set_ylabel("wall position $X$ ($a$)", color="#D55E00")
    settle(ax, least_span([_ONE]))
    twin = ax.twinx()
    tilt = path_of(run, "wall_tilt")
    known = ~np.isnan(tilt)
    curve(twin, time[known], tilt[known], color="#0072B2", linestyle="--")
    twin.set_ylabel(r"tilt $\phi$ (rad)", color="#0072B2")
    settle(twin, least_span([_ONE]))


def _velocity(ax: Axes, run: Run) -> None:
    """Of the wall, by differences of its positions in the frames."""
    velocity = np.gradient(path_of(run, "wall_position"), run.times)
    curve(ax, run.times, velocity, color="#D55E00")
    ax.set_ylabel(rf"velocity $\dot X$ ($a\,${run.deck.units.label}$/\hbar$)", color="#D55E00")
    settle(ax, least_span([velocity], sizes=[_ONE / max(run.times[-1], _ONE)]))


def _torque_norms(run: Run) -> dict[str, np.ndarray]:
    """|sum over sites of the torque| by origin, where electrons do more than follow the moments."""
    names = [name for name in torque_profile.ORIGINS if f"spin_{name}" in run.names]
    if not names:
        return {}
    J = exchange_of(run)
    step = max(1, _BLOCK // (8 * max(1, run["moment"].size // run.n_frames)))
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for first in range(0, run.n_frames, step):
        block = slice(first, first + step)
        m = run["moment"][block]
        for name in names:
            each = torque(run[f"spin_{name}"][block], m, J)
            found[name].append(np.linalg.norm(each.reshape(len(m), -1, 3).sum(axis=1), axis=1))
    return {name: np.concatenate(parts) for name, parts in found.items()}
