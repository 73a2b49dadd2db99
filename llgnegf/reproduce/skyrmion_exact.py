"""Figures 4-6 of Xu et al. with the electrons exactly in real time, over tens of periods of the gates.

No expansion in the velocities, no reading of what E = 1.9 means beyond that it is the Fermi energy: electrons of a
definite temperature between two leads, gates that oscillate, moments that obey the LLG equation in the field J_sd s(t).
Currents are those over the first bond of the right lead.  Runs are kept in a folder beside the figures, and continued
if they stopped early.  `LLGNEGF_DEVICE=gpu` (environment) makes them on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llgnegf.deck import Deck, deck_from, load_deck
from llgnegf.deck.tables import UNUSED
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.reproduce.skyrmion_pump import COLOURS, GREEN, PINK, RED, WITHOUT, simulate

Track = Callable[[Iterable], Iterable]
Array = NDArray[np.float64]

# Folder of the run files, in the folder of the figures.
RUNS = "xu_exact_runs"
_TEMPERATURE, _TOLERANCE = 0.01, 1e-4
_STEPS, _FRAMES = 63, 21  # per period at frequency 1; steps of about the same length at others


@dataclass(frozen=True)
class Scale:
    """A deck of the pump, and how many periods at frequency 1 each run takes: others as long in time."""

    deck: str
    periods: int
    amplitudes: tuple[float, ...] = (0.4, 0.6, 0.8, 1.0, 1.2)
    frequencies: tuple[float, ...] = (0.2, 0.5, 1.0)


FULL, SHORT = Scale("skyrmion_pump", 30), Scale("skyrmion_pump_small", 30)


@dataclass(frozen=True)
class Case:
    """One run: amplitude and frequency of the gates, phase of the second one, sign of J_sd.

    sense -1: J_sd = -2, as in `skyrmion_pump`; +1: J_sd = +2, which with y turned round is the sense of precession of
    the paper's LLG equation.
    """

    amplitude: float = 0.8
    frequency: float = 1.0
    phase: float = np.pi / 2
    sense: int = -1

    @property
    def name(self) -> str:
        """For file names and findings."""
        reverse, sense = "_reversed" if self.phase < 0 else "", "_paper" if self.sense > 0 else ""
        return f"V{self.amplitude:g}_w{self.frequency:g}{reverse}{sense}"


def deck_of(scale: Scale, case: Case) -> Deck:
    """The deck of one run."""
    tables = load_deck(scale.deck).tables()
    unused = dict.fromkeys(UNUSED["real-time"])
    electrons = {
        **tables["electrons"],
        **unused,
        "method": "real-time",
        "sd_exchange": 2.0 * case.sense,
        "temperature": _TEMPERATURE,
        "tolerance": _TOLERANCE,
    }
    for gate, phase in zip(electrons["gate"], (0.0, case.phase), strict=True):
        gate.update(amplitude=case.amplitude, frequency=case.frequency, phase=phase)
    per_frame = max(1, round(_STEPS / _FRAMES / case.frequency))
    step = 2 * np.pi / case.frequency / (per_frame * _FRAMES)
    periods = max(1, round(scale.periods * case.frequency))
    tables["electrons"] = electrons
    tables["integrator"] = {"method": "rk4", "step": step, "electrons": "adaptive"}
    tables["run"] = {
        "duration": periods * _FRAMES * per_frame * step,
        "save_every": per_frame * step,
        "device": os.environ.get("LLGNEGF_DEVICE", "cpu"),
    }
    return deck_from(tables, name=f"{scale.deck}_{case.name}")


@dataclass(frozen=True)
class Seen:
    """What the figures need of one run: t/T (n,), current into the right lead (n,), centre (n, 2), electrons (n,)."""

    phase: Array
    charge: Array
    centre: Array
    electrons: Array

    @property
    def displacement(self) -> Array:
        """Of the centre since the start, (n, 2), lattice constants."""
        return self.centre - self.centre[0]

    @property
    def periods(self) -> int:
        """Whole periods of the gates."""
        return int(self.phase[-1] + 1e-9)

    @property
    def half(self) -> int:
        """The period behind which the later half begins."""
        return self.periods // 2

    def drift(self) -> tuple[Array, Array]:
        """Of the centre per period, (2,), and its standard error, (2,), lattice constants.

        Means over single periods are taken, and the later half of them: what they gain from one to the next, the mean
        and its error as if these gains were independent.  nan: fewer periods than that takes, 2 and 3.
        """
        means = np.array([self._mean(k) for k in range(max(self.half, 1), self.periods + 1)])
        gains = np.diff(means, axis=0)
        n = len(gains)
        unknown = np.full(2, np.nan)
        return (gains.mean(axis=0) if n else unknown), (gains.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else unknown)

    def speed(self) -> Array:
        """r.m.s. velocity of the centre over the later half, (2,), lattice constants per period."""
        late = self.phase >= self.phase[-1] / 2
        return np.sqrt(np.mean(np.gradient(self.centre[late], self.phase[late], axis=0) ** 2, axis=0))

    def swing(self) -> Array:
        """Amplitude of the first harmonic of the centre over the later half, (2,), lattice constants."""
        return np.array([abs(self._harmonic(self.centre[:, k])) for k in (0, 1)])

    def lag(self) -> float:
        """Of the first harmonic of x behind that of the current, over the later half, as a part of a period, 0 to 1."""
        turned = np.angle(self._harmonic(self.charge)) - np.angle(self._harmonic(self.centre[:, 0]))
        return float(turned / (2 * np.pi) % 1)

    def wave(self) -> float:
        """Amplitude of the first harmonic of the current over the later half, as `charge`."""
        return abs(self._harmonic(self.charge))

    def per_cycle(self) -> float:
        """Particles into the right lead per period, mean of the later half."""
        late = (self.phase >= self.half - 1e-9) & (self.phase <= self.periods + 1e-9)
        return float(np.trapezoid(self.charge[late], 2 * np.pi * self.phase[late]) / max(self.periods - self.half, 1))

    def _mean(self, period: int) -> Array:
        inside = (self.phase > period - 1 + 1e-9) & (self.phase <= period + 1e-9)
        mean: Array = self.displacement[inside].mean(axis=0)
        return mean

    def _harmonic(self, values: Array) -> complex:
        """c of Re(c exp(2 pi i t/T)), over the whole periods of the later half, without the straight line in it."""
        late = (self.phase >= self.half - 1e-9) & (self.phase <= self.periods + 1e-9)
        phase, values = self.phase[late], values[late]
        line = values[0] + (values[-1] - values[0]) * np.linspace(0, 1, len(values))
        # The last sample is the first one of the next period.
        return complex(2 * np.mean(((values - line) * np.exp(-2j * np.pi * phase))[:-1]))


def seen(folder: Path, scale: Scale, case: Case, progress: bool = False) -> Seen:
    """The run of a case, made unless its file is complete."""
    deck = deck_of(scale, case)
    shape = "x".join(map(str, deck.lattice.shape))
    with simulate(folder / RUNS / f"{shape}_{case.name}.h5", deck, progress) as found:
        n = deck.n_frames
        times = np.asarray(found["time"])[:n]
        held = np.array([found["density"][k].sum() for k in range(n)])
        # Per unit of the phase omega t, so that currents at different frequencies can be compared.
        charge = np.asarray(found["current_charge"])[:n, 1] / case.frequency
        centre = np.asarray(found["skyrmion_center"])[:n]
    return Seen(times * case.frequency / (2 * np.pi), charge, centre, held)


def exact_pump(track: Track, folder: Path, progress: bool = False, scale: Scale = FULL) -> Figure:
    """Current, motion against amplitude and frequency, reversed phase, both senses of precession."""
    return figure_of(scale, {case: seen(folder, scale, case, progress) for case in track(cases_of(scale))})


def cases_of(scale: Scale) -> list[Case]:
    """The runs of the figure."""
    return [
        *(Case(amplitude=V) for V in scale.amplitudes),
        *(Case(frequency=w) for w in scale.frequencies if w != 1.0),
        Case(phase=-np.pi / 2),
        Case(sense=1),
        Case(amplitude=0.4, sense=1),
        Case(amplitude=1.2, sense=1),
    ]


def figure_of(scale: Scale, runs: dict[Case, Seen]) -> Figure:
    """The figure, from what was seen of each case of `cases_of`."""
    usual, back, paper = runs[Case()], runs[Case(phase=-np.pi / 2)], runs[Case(sense=1)]
    first = usual.phase <= 6
    panels = [
        Panel(
            "a", "current to the right, $V$ = 0.8", "$t/T$", r"$I/\omega_p$",
            [
                Curve("phase $\\pi/2$", usual.phase[first], usual.charge[first], {"color": RED}),
                Curve("phase $-\\pi/2$", back.phase[first], back.charge[first], WITHOUT),
            ],
        ),
        Panel(
            "b", "electrons in the lattice", "$t/T$", "$N - N(0)$",
            [
                Curve(f"$V$ = {V:g}", r.phase, r.electrons - r.electrons[0], {"color": colour})
                for (V, r), colour in zip(
                    ((V, runs[Case(amplitude=V)]) for V in scale.amplitudes), COLOURS, strict=False
                )
            ],
        ),
    ]  # fmt: skip
    for key, k in (("c", 0), ("d", 1)):
        axis = "xy"[k]
        curves = [
            Curve(
                f"$V$ = {V:g}", runs[Case(amplitude=V)].phase, runs[Case(amplitude=V)].displacement[:, k], {"color": c}
            )
            for V, c in zip(scale.amplitudes, COLOURS, strict=False)
        ]
        panels.append(Panel(key, "centre", "$t/T$", rf"${axis} - {axis}(0)$ ($a$)", curves))
    for key, k in (("e", 0), ("f", 1)):
        axis = "xy"[k]
        curves = []
        for w, colour, line in zip(scale.frequencies, (GREEN, PINK, "black"), ("--", "-.", "-"), strict=False):
            one, style = runs[Case(frequency=w)], {"color": colour, "linestyle": line}
            curves.append(Curve(rf"$\hbar\omega_p$ = {w:g}", one.phase / w, one.displacement[:, k], style))
        time = r"$t$ (periods at $\hbar\omega_p$ = 1)"
        panels.append(Panel(key, "centre, $V$ = 0.8", time, rf"${axis} - {axis}(0)$ ($a$)", curves))
    for key, k in (("g", 0), ("h", 1)):
        axis, turned = "xy"[k], (1, -1)[k]
        other = {"color": PINK, "linestyle": "--"}
        curves = [
            Curve("usual", usual.phase, usual.displacement[:, k], {"color": "black"}),
            Curve("phase $-\\pi/2$", back.phase, back.displacement[:, k], WITHOUT),
            Curve("the paper's sense", paper.phase, turned * paper.displacement[:, k], other),
        ]
        panels.append(Panel(key, "centre, $V$ = 0.8", "$t/T$", rf"${axis} - {axis}(0)$ ($a$)", curves))
    findings = tuple(_finding(case, one) for case, one in runs.items())
    shape = r" $\times$ ".join(map(str, load_deck(scale.deck).lattice.shape))
    title = rf"Skyrmion pumped by two gates, electrons in real time, {shape} sites, $k_BT$ = {_TEMPERATURE:g}"
    return Figure(title, panels, 2, findings)


def _finding(case: Case, one: Seen) -> str:
    turned = np.array([1, -1 if case.sense > 0 else 1])
    (drift, error), speed, swing, end = one.drift(), one.speed(), one.swing(), one.displacement[-1] * turned
    drift = drift * turned
    lost = (one.electrons[-1] - one.electrons[0]) / one.phase[-1]
    return (
        f"{case.name:16} after {one.phase[-1]:.0f} T ({end[0]:+.4f}, {end[1]:+.4f}), drift per T ({drift[0]:+.5f} +- "
        f"{error[0]:.5f}, {drift[1]:+.5f} +- {error[1]:.5f}), r.m.s. speed ({speed[0]:.4f}, {speed[1]:.4f}) per T, "
        f"first harmonic ({swing[0]:.4f}, {swing[1]:.4f}), x {one.lag():.2f} T behind the current, "
        f"{one.per_cycle():+.3f} particles to the right (first harmonic of the current "
        f"{one.wave():.2f}) and {lost:+.3f} into the lattice per T"
    )
