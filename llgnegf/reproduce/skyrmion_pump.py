"""Figures 3-6 of Xu et al. (microscopic LLG theory, skyrmion pumped by two gates), from the decks of the pump.

Their coupling +J sigma.m with J = 2 is `sd_exchange` = -2 here.  Two kinds of dynamics are drawn:

* "consistent": electrons to first order in the velocities of moments and gates, with the full field J_sd s
  (Hellmann-Feynman) as back-action;
* "letter": the equations as printed, with the adiabatic density alone and s_D = <sigma>/2, half of that field.

Two differences from the paper concern both kinds.
* The effective field is B = -dE/dm, with the energy E of moments and electrons, so that damping lowers E.  In their
  Eq. (39) the sign of s_D is the opposite of that in their Eqs. (8), (10) and (17).
* Here dm/dt = m x dE/dm (S = 1, without damping), in the paper -m x dE/dm.  At order 0 the two motions are mirror
  images in y, at order 1 they are not.

`Device.lead_currents` is their Eq. (40) with two factors that are missing in print: Gamma = i (Sigma - Sigma^+), and
1/2pi.  Currents are those pumped by the gates alone unless a curve says otherwise.  Simulations are stored as run files
in a folder beside the figures; existing ones are read, and continued if they stopped early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.deck import Deck, changes_past, load_deck
from llgnegf.electrons import Device
from llgnegf.electrons.threads import each
from llgnegf.errors import DeckError, FileError
from llgnegf.parts.driven import build_gates
from llgnegf.parts.electrons import build_open_device
from llgnegf.parts.moments import initial_moments
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.runfile.reader import Run, open_run
from llgnegf.simulation import resume, run

Track = Callable[[Iterable], Iterable]
Array = NDArray[np.float64]

# Folder of the run files, in the folder of the figures.
RUNS = "xu_runs"
# Instants per period for currents that need no simulation: without the skyrmion, and with the moments held fixed.
_SMOOTH, _HELD = 96, 48

CONSISTENT, LETTER = "consistent", "letter"
DYNAMICS: dict[str, dict[str, object]] = {
    CONSISTENT: {"electrons.order": 1, "electrons.velocity_feedback": True, "electrons.back_action": 1.0},
    LETTER: {"electrons.order": 0, "electrons.velocity_feedback": False, "electrons.back_action": 0.5},
    # Between the two: first order in the velocities of the gates only, so that the electrons do not damp the moments.
    "explicit": {"electrons.order": 1, "electrons.velocity_feedback": False, "electrons.back_action": 1.0},
}
DASHES = {CONSISTENT: "-", LETTER: (0, (3.5, 1.5))}
TITLES = {CONSISTENT: "consistent", LETTER: "the paper's letter"}

BLUE, ORANGE, GREEN, RED, PINK, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
UP, DOWN = {"color": ORANGE}, {"color": BLUE}
WITHOUT = {"color": "black", "linestyle": ":"}
MOMENTS_TOO = {"color": SKY, "linewidth": 1.1, "linestyle": (0, (5, 1, 1, 1))}
COLOURS = (SKY, GREEN, BLUE, ORANGE, RED)


@dataclass(frozen=True)
class Scale:
    """Size of a reproduction: its deck, and amplitudes, frequencies and numbers of periods of the gates.

    periods: of a simulation; held_periods: of the current with the moments held fixed; energies: number of energies in
    Fig. 3; changes: values of keys of the deck by dotted name.
    """

    deck: str
    amplitudes: tuple[float, ...] = (0.4, 0.6, 0.8, 1.0, 1.2)
    frequencies: tuple[float, ...] = (0.2, 0.5, 1.0)
    periods: int = 4
    held_periods: int = 4
    steps: int = 72  # per period at frequency 1; at lower frequencies more steps of the same length
    finer: int = 4  # factor in the number of steps at order 1, where resonances cause short, strong torques
    frames: int = 24  # per period
    energies: int = 321
    changes: dict[str, object] = field(default_factory=dict)

    def system(self, **changes: object) -> Deck:
        """The deck with these changes; in names of keys two underscores stand for a dot."""
        return load_deck(self.deck, {**self.changes, **{k.replace("__", "."): v for k, v in changes.items()}})


FULL = Scale("skyrmion_pump")
SHORT = Scale(
    "skyrmion_pump_small", (0.4, 0.8, 1.2), (0.5, 1.0), periods=1, steps=36, finer=2, frames=18, energies=161,
    changes={"electrons.tolerance": 1e-3, "integrator.electrons": "step"},
)  # fmt: skip


def pump_deck(
    scale: Scale,
    dynamics: str,
    amplitude: float = 0.8,
    frequency: float = 1.0,
    phase: float = np.pi / 2,
    periods: int | None = None,
) -> Deck:
    """The deck of one simulation.

    periods: of the gates, default `scale.periods`; phase: of the second gate against the first, radians.
    """
    # About the same step for all frequencies, and the same number of frames in each period.
    steps = scale.steps * (1 if dynamics == LETTER else scale.finer)
    per_frame = max(1, round(steps / scale.frames / frequency))
    step = 2 * np.pi / frequency / (per_frame * scale.frames)
    changes: dict[str, object] = {
        **DYNAMICS[dynamics],
        "integrator.step": step,
        "run.save_every": step * per_frame,
        "run.duration": step * per_frame * scale.frames * (periods or scale.periods),
        "electrons.gate.1.phase": phase,
    }
    for gate in (0, 1):
        changes |= {f"electrons.gate.{gate}.amplitude": amplitude, f"electrons.gate.{gate}.frequency": frequency}
    return scale.system(**changes)


def simulate(path: Path, deck: Deck, progress: bool = False) -> Run:
    """The run of `deck` in the file `path`, which is read if complete, continued if it stopped early, else made.

    Raises DeckError if the file is a run of another deck.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return run(deck, path, progress=progress)
    try:
        old = open_run(path)
        changed = changes_past(old.deck, deck)
        # A run may be continued with another save_every, but the figure needs all frames at the same phases.
        if old.deck.run.save_every != deck.run.save_every:
            changed["run.save_every"] = str(old.deck.run.save_every), str(deck.run.save_every)
        done = old.n_frames >= deck.n_frames
        old.close()
        if changed:
            what = "; ".join(f"{key} = {was}, now {now}" for key, (was, now) in changed.items())
            raise DeckError(f"{path} is of another deck ({what}): remove it, or choose another folder")
        return open_run(path) if done else resume(path, until=deck.run.duration, progress=progress)
    except FileError:
        # It stopped before the first frame and the first checkpoint were written.
        return run(deck, path, overwrite=True, progress=progress)


@dataclass(frozen=True)
class Pumped:
    """What the figures need of one run: t/T, currents into the right lead (1/time), centre of the skyrmion."""

    phase: Array  # t/T, (n,)
    charge: Array  # by the gates alone, Eq. (40), (n,)
    spin: Array  # along z, (n,), by the gates alone
    centre: Array  # (n, 2)
    whole: Array | None = None  # charge by gates and moments, if the run has it, (n,)

    @property
    def displacement(self) -> Array:
        """Displacement of the centre since t = 0, (n, 2), lattice constants."""
        return self.centre - self.centre[0]


def right_current(device: Device, deck: Deck, times: Sequence[float] | Array, moments: Sequence[Array] | Array):
    """Charge and spin along z that the gates alone pump into the right lead per time, Eq. (40): (n, 2).

    times: (n,); moments: (nx, ny, 3) at each of them.
    """
    assert deck.electrons is not None
    gates = build_gates(deck)

    def at(item: tuple[float, Array]) -> tuple[float, float]:
        t, m = item
        charge, spin = device.lead_currents(m, None, gates.potential(t), gates.rate(t))
        return float(charge[1]), float(spin[1, 2])

    return np.array(each(at, list(zip(map(float, times), moments, strict=True))))


def pumped(folder: Path, scale: Scale, dynamics: str, progress: bool = False, **pump: Any) -> Pumped:
    """Results of the simulation `pump_deck(scale, dynamics, **pump)`, which is run unless its file is complete."""
    deck = pump_deck(scale, dynamics, **pump)
    assert deck.electrons is not None
    gate = deck.electrons.gate[1]
    shape = "x".join(map(str, deck.lattice.shape))
    reverse = "_reversed" if gate.phase < 0 else ""
    name = f"xu_{shape}_{dynamics}_V{gate.amplitude:g}_w{gate.cosine_frequency:g}{reverse}.h5"
    with simulate(folder / RUNS / name, deck, progress) as found:
        n = deck.n_frames
        times = np.asarray(found["time"])[:n]
        centre = np.asarray(found["skyrmion_center"])[:n]
        whole = np.asarray(found["current_charge"])[:n, 1] if "current_charge" in found.names else None
        device = build_open_device(deck)
        charge, spin = right_current(device, deck, times, np.asarray(found["moment"])[:n]).T
    return Pumped(times * gate.cosine_frequency / (2 * np.pi), charge, spin, centre, whole)


# --- Fig. 3 ----------------------------------------------------------------------------------------


def fig3(track: Track, folder: Path, progress: bool = False, scale: Scale = FULL) -> Figure:
    """Transmission and density of states without gates, with and without the skyrmion."""
    deck = scale.system()
    device, m = build_open_device(deck), initial_moments(deck)
    # Without the edges of the band themselves, where no mode of the leads is open.
    energies = np.linspace(0, 8, scale.energies + 2)[1:-1]
    panels = []
    for title, one, keys in (
        ("no skyrmion", device.changed(sd_exchange=0.0), "ab"),
        ("skyrmion", device, "cd"),
    ):

        def at(energy: float, one: Device = one) -> tuple[Array, Array]:
            frozen = one.freeze(m)
            return frozen.transmission(energy), frozen.density_of_states(energy).mean(axis=(0, 1))

        found = []
        for some in track(np.array_split(energies, 20)):
            found += each(at, [float(e) for e in some])
        T = np.array([t for t, _ in found])  # [energy, spin out, spin in]
        states = np.array([s for _, s in found])
        for key, label, up, down in (
            (keys[0], r"$T_\sigma(E)$", T[:, 0].sum(axis=1), T[:, 1].sum(axis=1)),
            (keys[1], r"DOS per site ($1/t$)", (states[:, 0] + states[:, 3]) / 2, (states[:, 0] - states[:, 3]) / 2),
        ):
            curves = [
                Curve("spin up", energies, up, UP),
                Curve("spin down", energies, down, {**DOWN, "linestyle": "--"}),
            ]
            panels.append(Panel(key, title, "$E$ ($t$)", label, curves))
    return Figure(f"Transmission by outgoing spin, density of states by spin, {_size(scale)}", panels, 2)


# --- Figs. 4 to 6 ----------------------------------------------------------------------------------


def without_skyrmion(scale: Scale) -> tuple[Array, Array]:
    """t/T and the charge current into the right lead at J_sd = 0."""
    deck = pump_deck(scale, LETTER)
    device = build_open_device(deck)
    m = initial_moments(deck)
    phase = np.linspace(0, scale.periods, _SMOOTH * scale.periods + 1)
    free = device.changed(sd_exchange=0.0)
    return phase, right_current(free, deck, 2 * np.pi * phase, [m] * len(phase))[:, 0]


def fig4(track: Track, folder: Path, progress: bool = False, scale: Scale = FULL) -> Figure:
    """Current into the right lead and motion of the centre for V = 0.8 and frequency 1."""
    runs = {dynamics: pumped(folder, scale, dynamics, progress) for dynamics in track([LETTER, CONSISTENT])}
    phase, free = without_skyrmion(scale)
    current = [Curve("no skyrmion", phase, free, WITHOUT)]
    spin: list[Curve] = []
    for dynamics, r in runs.items():
        dashes = {"linestyle": DASHES[dynamics]}
        current.append(Curve(dynamics, r.phase, r.charge, {"color": RED, **dashes}))
        if r.whole is not None:
            current.append(Curve(f"{dynamics}, moments too", r.phase, r.whole, MOMENTS_TOO))
        spin.append(Curve(f"up, {dynamics}", r.phase, r.charge / 2 + r.spin, {**UP, **dashes}))
        spin.append(Curve(f"down, {dynamics}", r.phase, r.charge / 2 - r.spin, {**DOWN, **dashes}))
    panels = [
        Panel("a", "pumped by the gates to the right", "$t/T$", r"$I_p$ ($t/\hbar$)", current),
        Panel("b", "the same by spin", "$t/T$", r"$I_p^\sigma$ ($t/\hbar$)", spin),
    ]
    for key, dynamics in (("c", CONSISTENT), ("c2", LETTER)):
        r = runs[dynamics]
        dashes = {"linestyle": DASHES[dynamics]}
        motion = [
            Curve(f"{axis}, {dynamics}", r.phase, r.displacement[:, k], {"color": colour, **dashes})
            for k, (axis, colour) in enumerate((("x", GREEN), ("y", PINK)))
        ]
        panels.append(Panel(key, f"centre, {TITLES[dynamics]}", "$t/T$", r"$R - R(0)$ ($a$)", motion))
    return Figure(rf"Pumped current and skyrmion, $V$ = 0.8, $\hbar\omega_p$ = 1, {_size(scale)}", panels, 2)


def _size(scale: Scale) -> str:
    return r" $\times$ ".join(map(str, scale.system().lattice.shape)) + " sites"


def _trajectories(runs: dict[str, dict[str, Pumped]], keys: Sequence[str]) -> list[Panel]:
    """Panels of x and of y of the centre for each kind of dynamics, with one curve for each run."""
    panels = []
    letters = iter(keys)
    for dynamics, cases in runs.items():
        for k, axis in enumerate("xy"):
            curves = [
                Curve(name, r.phase, r.displacement[:, k], {"color": colour, "linestyle": DASHES[dynamics]})
                for (name, r), colour in zip(cases.items(), COLOURS, strict=False)
            ]
            label = rf"${axis} - {axis}(0)$ ($a$)"
            panels.append(Panel(next(letters), f"centre, {TITLES[dynamics]}", "$t/T$", label, curves))
    return panels


def fig5(track: Track, folder: Path, progress: bool = False, scale: Scale = FULL) -> Figure:
    """Centre against time for several amplitudes of the gates."""
    runs: dict[str, dict[str, Pumped]] = {CONSISTENT: {}, LETTER: {}}
    for dynamics, V in track([(d, V) for d in (LETTER, CONSISTENT) for V in scale.amplitudes]):
        runs[dynamics][f"$V$ = {V:g}"] = pumped(folder, scale, dynamics, progress, amplitude=V)
    panels = _trajectories(runs, ["a", "b", "a2", "b2"])
    return Figure(rf"Motion of the skyrmion against the amplitude, $\hbar\omega_p$ = 1, {_size(scale)}", panels, 2)


def fig6(track: Track, folder: Path, progress: bool = False, scale: Scale = FULL) -> Figure:
    """For several frequencies of the gates: current over frequency, and motion of the skyrmion.

    The current is computed with the moments held fixed, and without the skyrmion.
    """
    device = build_open_device(scale.system())
    m = initial_moments(scale.system())
    phase = np.linspace(0, scale.held_periods, _HELD * scale.held_periods + 1)
    held: dict[str, list[Curve]] = {"skyrmion held": [], "no skyrmion": []}
    for k, w in enumerate(track(scale.frequencies)):
        deck = pump_deck(scale, LETTER, frequency=w)
        # The curves coincide: later ones are thinner, so that all remain visible.
        style = {"color": COLOURS[k], "linewidth": (5.0, 2.6, 1.0)[k + 3 - len(scale.frequencies)]}
        for curves, one in zip(held.values(), (device, device.changed(sd_exchange=0.0)), strict=True):
            current = right_current(one, deck, 2 * np.pi / w * phase, [m] * len(phase))[:, 0]
            curves.append(Curve(_frequency(w), phase, current / w, style))
    runs: dict[str, dict[str, Pumped]] = {CONSISTENT: {}, LETTER: {}}
    for dynamics, w in track([(d, w) for d in (LETTER, CONSISTENT) for w in reversed(scale.frequencies)]):
        runs[dynamics][_frequency(w)] = pumped(folder, scale, dynamics, progress, frequency=w)
    runs = {d: {_frequency(w): runs[d][_frequency(w)] for w in scale.frequencies} for d in runs}
    b, c, b2, c2 = _trajectories(runs, ["b", "c", "b2", "c2"])
    a, a2 = (
        Panel(key, title, "$t/T$", r"$I_p/\omega_p$", curves)
        for key, (title, curves) in zip(("a", "a2"), held.items(), strict=True)
    )
    title = rf"Current and motion against the frequency, $V$ = 0.8, {_size(scale)}"
    return Figure(title, [a, b, c, a2, b2, c2], 3)


def _frequency(w: float) -> str:
    return rf"$\hbar\omega_p$ = {w:g}"
