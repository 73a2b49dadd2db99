"""The wall of Kishine and Ovchinnikov where electrons are scattered, in real time: both time scales on one picture.

The deck `wall_with_probes_real_time`: a floating probe on every site scatters electrons at the rate of its width and
takes their spin, which gives them a time of their own.  The torque T_perp that drives the wall for good is there within
that time after the front of the current, the wall follows within tau_DW.  Energies are in units of the hopping, hbar =
a = 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from llgnegf.beside import textures
from llgnegf.deck import Deck, deck_from, load_deck
from llgnegf.parts.electrons import build_device
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.kishine import EXACT, FOURTH, OTHER, PRINTED
from llgnegf.reproduce.kishine_driven import TIME, Found, reached, settled, tilt_panel, velocity_panel
from llgnegf.reproduce.panels import Curve, Figure, Panel

DECK = "wall_with_probes_real_time"
CHANGES: dict[str, Any] = {}  # of the deck


def scattered(track: Track) -> Figure:
    """A wall in a wire of floating probes: T_perp within the electrons' time, the wall within tau_DW."""
    (found,) = [Found(deck) for deck in track([load_deck(DECK, CHANGES)])]
    return Figure(
        "Wall in a wire that scatters electrons, in real time: their torque, and two collective coordinates",
        [_scales(found), velocity_panel("b", "velocity", found), tilt_panel("c", "tilt", found)],
        3,
        (*_times(found), _at_the_end(found)),
    )


def _scales(found: Found) -> Panel:
    shown = found.time > 0

    def share(values: np.ndarray) -> np.ndarray:
        return np.asarray((values / settled(values))[shown])

    time, (rise, tau) = found.time[shown], scales(found)
    return Panel(
        "a", "after the voltage is switched on", TIME, "share of the final value",
        [
            Curve(r"$T_\perp$", time, share(found.T), PRINTED),
            Curve(r"$\xi_0$", time, share(found.xi), {**EXACT, "linewidth": 1.6}),
            Curve(r"$1 - e^{-(t - t_0)/\tau_\mathrm{DW}}$", time, 1 - np.exp(-np.maximum(time - rise, 0) / tau), OTHER),
            Curve("current, left lead", time, share(found.charge[:, 0]), FOURTH),
        ],
        log_x=True,
    )  # fmt: skip


def scales(found: Found) -> tuple[float, float]:
    """When half of the final T_perp is there for good, and tau_DW, Eq. (16)."""
    return reached(found.time, np.asarray(found.T), 0.5), found.terminal[2]


def _times(found: Found) -> tuple[str, ...]:
    electrons = found.deck.electrons
    assert electrons is not None
    assert electrons.bath is not None
    time, (half, tau) = found.time, scales(found)
    first, last = (reached(time, np.asarray(found.T), share) for share in (0.1, 0.9))
    xi = np.asarray(found.xi)
    return (
        f"J_sd T_perp = {settled(found.T):.2e}: a tenth of it is there for good at t = {first:.0f}, half at "
        f"{half:.0f}, nine tenths at {last:.0f}; 1/width of the probes = {1 / electrons.bath.width:.0f}",
        f"xi_0: half of what it has at t = {time[-1]:.0f} at {reached(time, xi, 0.5):.0f}, nine tenths at "
        f"{reached(time, xi, 0.9):.0f}; tau_DW = {tau:.0f}",
        f"V at the end {settled(found.V):.5f}, V* = -lambda J_sd T_perp/(2 alpha) = {found.terminal[0]:.5f}; xi_0 "
        f"{settled(xi):.4f}, xi_0* = {found.terminal[1]:.4f}; Eqs. (12) and the moments differ by at most "
        f"{abs(found.exact.velocity - found.V).max():.1e} in V and {abs(found.exact.out_of_plane - xi).max():.1e} in "
        "xi_0",
    )


def _at_the_end(found: Found) -> str:
    frozen = build_device(at_rest(found.deck))
    assert frozen is not None
    spin = frozen.spin_density(found.last).total
    torque = found.J * textures.spin_on_wall(found.last, spin, found.wall.width).torque_perpendicular
    return (
        "frozen electrons with probes without net current, at the moments of the last frame: J_sd T_perp = "
        f"{torque:.2e}, in real time {found.T[-1]:.2e}"
    )


def at_rest(deck: Deck) -> Deck:
    """The same with frozen electrons of order 0 at the last voltage."""
    tables = deck.tables()
    electrons = tables["electrons"] | {"method": "frozen", "order": 0, "velocity_feedback": False}
    electrons.pop("frozen_beside", None)
    for lead in electrons["lead"]:
        if isinstance(lead["voltage"], dict):
            lead["voltage"] = lead["voltage"]["amplitude"]
    return deck_from(tables | {"electrons": electrons})
