"""The wall of Kishine and Ovchinnikov in a wire under bias: what electrons do to it, and how it answers.

A wide wall and one so narrow that it reflects electrons, beside Eqs. (12) with the T, P and Q that the electrons of the
run have; the narrow one with electrons in real time; the push of reflected electrons by momentum; the threshold.
Energies are in units of the hopping, hbar = a = 1.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.beside import textures
from llgnegf.deck import Deck, deck_from, load_deck
from llgnegf.deck.tables import UNUSED
from llgnegf.electrons import Device, Lead
from llgnegf.magnet.collective import CollectiveWall, WallMotion, boltzmann_torque
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.kishine import CHAIN, EXACT, FOURTH, OTHER, PRINTED
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.simulation import run
from llgnegf.walls_beside import beside, equations

WIDE: dict[str, Any] = {}
# Electrons of both spins with wavelengths far above the width: some of them are reflected.
REFLECTING: dict[str, Any] = {
    "lattice.shape": [160], "texture.center": 75.0, "texture.width": 2.0, "magnet.anisotropy": 0.125,
    "magnet.hard_anisotropy": 0.02, "electrons.sd_exchange": -0.1, "run.duration": 1000.0,
}  # fmt: skip
# kT = 0.02: the thermal length, 10 sites, has to be short beside the way to the ends.
REALTIME: dict[str, Any] = REFLECTING | {
    "lattice.shape": [64], "texture.center": 31.3, "electrons.temperature": 0.02, "electrons.method": "real-time",
    "electrons.lead.0.voltage": {"amplitude": 0.1, "profile": {"kind": "ramp", "duration": 20.0}},
    "electrons.tolerance": 1e-4, "run.duration": 600.0, "run.save_every": 2.0,
}  # fmt: skip
# A soft hard axis: the threshold S u = K_hard lambda lies within the voltages.
SOFT: dict[str, Any] = {
    "lattice.shape": [140], "texture.center": 40.0, "texture.width": 4.0, "magnet.anisotropy": 0.03125,
    "magnet.hard_anisotropy": 0.001, "magnet.damping": 1.0, "run.duration": 9000.0,
    "run.save_every": 50.0,
}  # fmt: skip
# Of the deck.
VOLTAGE = 0.1
VOLTAGES = (0.03, 0.06, 0.1, 0.12)
WIDTHS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
SITES, ENERGIES = 161, 40

_NAMES = {
    "X": "wall_position_projected", "V": "wall_velocity", "xi": "out_of_plane", "T": "torque_perpendicular",
    "P": "spin_parallel", "Q": "spin_out_of_plane", "charge": "current_charge", "spin": "current_spin",
}  # fmt: skip
TIME = r"$t$ ($\hbar/t_\mathrm{h}$)"
_VELOCITY = r"velocity $V$ ($a\,t_\mathrm{h}/\hbar$)"


class Found:
    """A run: variables by short names, the last moments, the wall; the motion by Eqs. (12), with and without Q."""

    def __init__(self, deck: Deck) -> None:
        self.deck = deck
        with tempfile.TemporaryDirectory() as folder, run(self.deck, Path(folder) / "run.h5") as result:
            self.time = np.array(result.times)
            values = {short: np.array(result[name]) for short, name in _NAMES.items()}
            self.exact: WallMotion = beside(result)
            self.last = np.array(result["moment"][-1])
        assert self.deck.electrons is not None
        self.J = self.deck.electrons.uniform_exchange
        self.wall: CollectiveWall = equations(self.deck)
        self.X, self.V, self.xi, self.charge, self.spin = (values[n] for n in ("X", "V", "xi", "charge", "spin"))
        self.T, self.P, self.Q = (self.J * values[name] for name in "TPQ")  # as fields

    @property
    def printed(self) -> WallMotion:
        """Eqs. (12) as in print: without Q."""
        from scipy.interpolate import CubicSpline  # heavy import

        spins = CubicSpline(self.time, np.stack([self.T, self.P], axis=-1))
        return self.wall.integrate(self.time, lambda t, X, xi: (*spins(t), 0.0), position=float(self.X[0]))

    @property
    def terminal(self) -> tuple[float, float, float]:
        """V* and xi_0*, Eq. (15), with T, P and Q of the last frame, and tau_DW of the hard axis alone, Eq. (16)."""
        last = float(self.T[-1]), float(self.P[-1]), float(self.Q[-1])
        return self.wall.terminal_velocity(last[0]), self.wall.terminal_out_of_plane(*last), self.wall.relaxation_time()


def deck_of(changes: dict[str, Any]) -> Deck:
    """The shipped deck `current_driven_wall`, changed."""
    tables: Any = load_deck("current_driven_wall").tables()
    if changes.get("electrons.method") == "real-time":
        for key in UNUSED["real-time"]:  # of frozen electrons alone
            tables["electrons"].pop(key, None)
    for key, value in changes.items():
        *path, last = key.split(".")
        table = tables
        for part in path:
            table = table[int(part)] if part.isdigit() else table[part]
        table[last] = value
    return deck_from(tables)


def driven(track: Track) -> Figure:
    """Walls under bias: two coordinates with the torques of the run, both time scales, reflected electrons."""
    jobs = [WIDE, REFLECTING, REALTIME, *(_soft(voltage) for voltage in VOLTAGES)]
    wide, narrow, real, *soft = [Found(deck_of(job)) for job in track(jobs)]
    reflected, said = _reflected(pushes())
    threshold, told = _threshold(soft)
    return Figure(
        "Head-to-head wall in a wire under bias: electrons from Green's functions, and two collective coordinates",
        [
            velocity_panel("a", "wide wall: velocity", wide), tilt_panel("b", "wide wall: tilt", wide),
            velocity_panel("c", "narrow wall: velocity", narrow), _scales(real), reflected, threshold,
        ],
        3,
        (_told("wide wall", wide), _told("narrow wall", narrow), _in_real_time(real), _master(narrow), *said, *told),
    )  # fmt: skip


# --- motions ----------------------------------------------------------------------------------------------------------


def velocity_panel(key: str, title: str, found: Found) -> Panel:
    """V of the moments beside Eqs. (12) and V*."""
    last = np.full(2, found.terminal[0])
    return Panel(
        key, title, TIME, _VELOCITY,
        [
            Curve("moments", found.time[::4], found.V[::4], CHAIN),
            Curve("Eqs. (12), $T$, $P$, $Q$ of run", found.time, found.exact.velocity, EXACT),
            Curve("without $Q$, as printed", found.time, found.printed.velocity, PRINTED),
            Curve(r"$V^*$, $\xi_0^*$ of Eq. (15)", found.time[[0, -1]], last, FOURTH),
        ],
    )  # fmt: skip


def tilt_panel(key: str, title: str, found: Found) -> Panel:
    """xi_0 of the moments beside Eqs. (12) and xi_0*."""
    last = np.full(2, found.terminal[1])
    return Panel(
        key, title, TIME, r"out of plane $\xi_0$",
        [
            Curve("moments", found.time[::4], found.xi[::4], CHAIN),
            Curve("Eqs. (12), $T$, $P$, $Q$ of run", found.time, found.exact.out_of_plane, EXACT),
            Curve("without $Q$, as printed", found.time, found.printed.out_of_plane, PRINTED),
            Curve(r"$V^*$, $\xi_0^*$ of Eq. (15)", found.time[[0, -1]], last, FOURTH),
        ],
    )  # fmt: skip


def _scales(found: Found) -> Panel:
    """Electrons in real time: T_perp comes first, then the wall."""
    shown = found.time >= 10.0
    time = found.time[shown]

    def share(values: np.ndarray) -> np.ndarray:
        return np.asarray(values[shown] / settled(values))

    return Panel(
        "d", "narrow wall, electrons in real time", TIME, "share of the final value",
        [
            Curve(r"$T_\perp$", time, share(found.T), PRINTED),
            Curve("current, right lead", time, share(found.charge[:, 1]), FOURTH),
            Curve(r"$V$", time, share(found.V), {**EXACT, "linewidth": 1.6}),
            Curve(r"$\xi_0$", time, share(found.xi), OTHER),
        ],
        log_x=True,
    )  # fmt: skip


def settled(values: np.ndarray) -> float:
    """Mean over the last tenth of the frames."""
    return float(values[-max(1, len(values) // 10) :].mean())


def reached(time: np.ndarray, values: np.ndarray, share: float) -> float:
    """The last time at which this share of the settled value was not yet reached."""
    below = np.flatnonzero(values / settled(values) < share)
    return float(time[min(below[-1] + 1, len(time) - 1)]) if below.size else float(time[0])


def _told(name: str, found: Found) -> str:
    velocity, tilt, tau = found.terminal
    absorbed = 0.5 * float(found.spin[0, :, 0].sum()) / (1 + found.wall.damping**2)
    return (
        f"{name}: V begins with {found.V[0]:.5f}, by the spin that the current loses {absorbed:.5f}; ends "
        f"with {found.V[-1]:.5f}, V* = {velocity:.5f}; xi_0 {found.xi[-1]:.4f}, xi_0* = {tilt:.4f}; tau = {tau:.0f}; "
        f"Eqs. (12) and the moments differ by at most {abs(found.exact.velocity - found.V).max():.1e} in V and "
        f"{abs(found.exact.out_of_plane - found.xi).max():.1e} in xi_0"
    )


def _in_real_time(found: Found) -> str:
    halves = [reached(found.time, np.asarray(v), 0.5) for v in (found.T, found.charge[:, 1], found.xi)]
    return (
        "electrons in real time: half of the final value is reached for good by the current into the right lead at "
        f"t = {halves[1]:.0f}, by T_perp at {halves[0]:.0f}, by xi_0 at {halves[2]:.0f}; tau_DW = "
        f"{found.terminal[2]:.0f}; J_sd T_perp = {settled(found.T):.2e}, V = {settled(found.V):.5f}"
    )


def _master(found: Found) -> str:
    """Eq. (20) for this current, at the level where it is largest."""
    electrons = found.deck.electrons
    assert electrons is not None
    density = 2.0 / math.pi * math.acos(-electrons.fermi_energy / 2.0)  # both spins, of the bare wire
    current = -math.pi * float(found.charge[-1, 1]) / (8.0 * density)  # j/j0 with m = 1/(2 hopping); j0 = 4 n/(pi m)
    largest = abs(boltzmann_torque(electrons.uniform_exchange, electrons.temperature, 0.0, current))
    return (
        f"narrow wall: T_perp = {abs(found.T[-1] / found.J):.2e}, Eq. (20) gives up to {largest:.2e} for its current "
        f"j/j0 = {abs(current):.3f}"
    )


# --- reflected electrons ----------------------------------------------------------------------------------------------


def pushes() -> np.ndarray:
    """(widths, 4): push -J_sd T and J_sd Q sqrt(width/2), what the current loses of its spin, and the push by momentum.

    All per voltage, the mean over the energies between the leads' chemical potentials of the deck.
    """
    electrons = deck_of(REFLECTING).electrons
    assert electrons is not None
    J, bottom = electrons.uniform_exchange, electrons.fermi_energy
    leads = [Lead("left"), Lead("right")]
    energies = bottom + VOLTAGE * (np.arange(ENERGIES) + 0.5) / ENERGIES
    rows = []
    for width in WIDTHS:
        m = textures.neel_wall((SITES,), 0.5 * SITES - 0.8, width, "kishine")
        found = []
        for energy in energies:
            device = Device(SITES, sd_exchange=J, fermi_energy=float(energy), temperature=0.0, leads=leads)
            response = device.bias_response(m)
            spin, flow = response.spin[0] - response.spin[1], response.spin_current[0] - response.spin_current[1]
            acting = textures.spin_on_wall(m, 0.5 * J * spin, width)
            lost = -0.25 * float(flow[:, 0].sum())
            by_momentum = momentum_of_electrons(m[SITES // 4 : -(SITES // 4)], J, float(energy))
            push = acting.out_of_plane * math.sqrt(0.5 * width)
            found.append((-acting.torque_perpendicular, push, lost, by_momentum))
        rows.append(np.mean(found, axis=0))
    return np.array(rows)


def momentum_of_electrons(m: np.ndarray, sd_exchange: float, energy: float) -> float:
    """Force on a wall, per voltage, in an endless wire whose moments go on as at the ends of m, along +-x.

        (1/2pi) sum_a [k_a - sum_b T_ba k_b + sum_b R_ba k_b]

    over channels a of electrons that come from the left, and b in which they go on or are reflected; k: wave number.
    m: (n, 3).  From the inverse of a dense matrix.  hopping 1.
    """
    n = len(m)
    sigma = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    H = np.zeros((2 * n, 2 * n), complex)
    for i in range(n):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = -sd_exchange * np.tensordot(m[i], sigma, 1)
    H -= np.kron(np.eye(n, k=1) + np.eye(n, k=-1), np.eye(2))
    channels = []  # (end, state, velocity, wave number) of those that are open
    for end, place in ((0, slice(0, 2)), (1, slice(2 * n - 2, 2 * n))):
        for s in (1, -1):
            state = np.zeros(2 * n, complex)
            state[place] = np.array([1, s]) / math.sqrt(2.0)
            x = 0.5 * (energy + sd_exchange * s * np.sign(m[-end, 0]))
            self_energy = x - np.sqrt(complex(x - 1.0)) * np.sqrt(complex(x + 1.0))
            H += self_energy * np.outer(state, state.conj())
            if abs(x) < 1.0:
                channels.append((end, state, -2.0 * self_energy.imag, math.acos(-x)))
    G = np.linalg.inv(energy * np.eye(2 * n) - H)
    force = 0.0
    for a in channels:
        if a[0] != 0:
            continue
        force += a[3]
        for b in channels:
            amplitude = 1j * math.sqrt(a[2] * b[2]) * (b[1].conj() @ G @ a[1]) - (a is b)
            force += abs(amplitude) ** 2 * b[3] * (1.0 if b[0] == 0 else -1.0)
    return force / (2.0 * math.pi)


def _reflected(found: np.ndarray) -> tuple[Panel, tuple[str, ...]]:
    dots = {**PRINTED, "linestyle": "", "marker": "s", "markersize": 3.5}
    panel = Panel(
        "e", "per voltage, by width", r"width $\lambda$ ($a$)", r"push ($1/a$), spin flow (1)",
        [
            Curve(r"$-J_{sd}T_\perp$", WIDTHS, found[:, 0], CHAIN),
            Curve("momentum of electrons", WIDTHS, found[:, 3], EXACT),
            Curve(r"$|J_{sd}Q|\sqrt{\lambda/2}$", WIDTHS, abs(found[:, 1]), dots),
            Curve("spin lost by the current", WIDTHS, abs(found[:, 2]), OTHER),
        ],
        log_y=True,
    )  # fmt: skip
    told = ", ".join(f"{a:.2e} and {b:.2e} at {w:g}" for w, a, b in zip(WIDTHS, found[:, 0], found[:, 3], strict=True))
    apart = abs(abs(found[:, 1]) - abs(found[:, 2])).max()
    return panel, (
        f"push -J_sd T_perp per voltage, and by the momentum of reflected electrons, by width: {told}",
        f"J_sd Q sqrt(width/2) is what the current loses of its spin, to {apart:.1e} of {abs(found[:, 2]).max():.1e}",
    )


# --- the threshold ----------------------------------------------------------------------------------------------------


def _soft(voltage: float) -> dict[str, Any]:
    return SOFT | {"electrons.lead.0.voltage": voltage}


def drift(found: Found) -> float:
    """Mean velocity, over the time between the first and the last minimum of V where the wall turns over and over.

    Else that over the last quarter of the run.
    """
    V = found.V
    lowest = np.flatnonzero((V[1:-1] < V[:-2]) & (V[1:-1] <= V[2:]) & (V[1:-1] < 0.5 * V.max())) + 1
    turns = len(lowest) > 1
    first, last = (lowest[0], lowest[-1]) if turns else (3 * len(V) // 4, len(V) - 1)
    return float((found.X[last] - found.X[first]) / (found.time[last] - found.time[first]))


def _threshold(found: list[Found]) -> tuple[Panel, tuple[str, ...]]:
    wall = found[0].wall
    highest, alpha = wall.hard_anisotropy * wall.width / wall.spin, wall.damping
    speeds = np.array([drift(each) for each in found])
    starts = np.array([each.V[0] * (1 + alpha**2) for each in found])
    fine = np.linspace(0.0, VOLTAGES[-1], 200)
    u = fine * float((starts / np.array(VOLTAGES)).mean())
    panel = Panel(
        "f", "wide wall, soft hard axis: drift", r"voltage ($t_\mathrm{h}$)", _VELOCITY,
        [
            Curve("moments", VOLTAGES, speeds, CHAIN),
            Curve("rigid wall", fine, np.sqrt(np.maximum(u * u - highest * highest, 0.0)) / (1 + alpha**2), EXACT),
            Curve("$u$ of the current", fine, u, OTHER),
        ],
    )  # fmt: skip
    told = ", ".join(f"{v:.5f} at {each:g}" for each, v in zip(VOLTAGES, speeds, strict=True))
    return panel, (
        f"drift by voltage: {told}; threshold u = K_hard lambda/S = {highest:g}, u per voltage "
        f"{float((starts / np.array(VOLTAGES)).mean()):.4f}",
    )
