"""Electrons in real time beside exact steady precession, a closed form, and frozen electrons.

All are runs of shipped decks.  The electrons are at rest until the moments are set going at t = 0, so that each begins
with a transient.  Torques are divided by hbar omega where the motion has a frequency.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.deck import Deck, load_deck
from llgnegf.dynamics.torques import field_and_damping_like, torque
from llgnegf.electrons import steady_precession
from llgnegf.parts.electrons import build_open_device
from llgnegf.reproduce.geometric_torque import EXACT_LINE, LINES, SMF, Track, both_couplings, phase_shift_torque
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.seams import path_of
from llgnegf.simulation import run
from llgnegf.units import femtoseconds

REAL_TIME: dict[str, Any] = {"color": "black", "linestyle": "-"}
ORDERS: dict[int, dict[str, Any]] = {
    0: {"color": "#0072B2", "linestyle": "--"},
    1: {"color": "#D55E00", "linestyle": "-."},
}
_POINTS: dict[str, Any] = {"marker": "o", "markersize": 3.5}
_BEHIND = {**EXACT_LINE, "zorder": 1}
# Of the exact results that everything else is compared with.
_REFERENCE_TOLERANCE = 1e-9


def _recorded(deck: Deck, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Variables of a run of this deck by name, and its times; paths of circular ones without jumps."""
    with tempfile.TemporaryDirectory() as folder, run(deck, Path(folder) / "run.h5") as result:
        return {"time": np.array(result.times)} | {name: np.array(path_of(result, name)) for name in names}


def _time_label(deck: Deck) -> str:
    unit = deck.units.label
    return rf"$t$ ($\hbar$/{unit} = {femtoseconds(1.0, deck.units_energy_ev):.3g} fs)"


# --- a wall in steady precession --------------------------------------------------------------------------------------

WALL_FREQUENCIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.5)
WALL_SHOWN = 0.03
# The burst of the start has left in the later half; slow turns are not completed.
_WALL_DURATION = 100.0


def wall(track: Track) -> Figure:
    """A wall set into precession suddenly: deviations from exact precession, and the transient."""
    sizes: dict[str, list[float]] = {"real time": [], "order 0 + 1": [], "order 0": []}
    left_over = []
    shown: dict[str, Any] = {}
    for frequency in track(WALL_FREQUENCIES):
        deck = _wall_deck(frequency)
        found = _wall_beside_exact(deck)
        # In the frame that turns with the moments the mean over time is free of what is left of the start: levels bound
        # above and below the band, which oscillate against each other for good.
        later = found["time"] >= 0.5 * _WALL_DURATION
        sizes["real time"].append(_largest(found["turned"][later].mean(axis=0) - found["exact"]))
        for name in ("order 0", "order 0 + 1"):
            sizes[name].append(_largest(found[name] - found["exact"]))
        left_over.append(_largest(found["turned"][later] - found["exact"]) / frequency)
        if frequency == WALL_SHOWN:
            shown = found | {"deck": deck}
    frequencies = np.array(WALL_FREQUENCIES)
    tolerance = _wall_deck(WALL_SHOWN).electrons.tolerance  # type: ignore[union-attr]
    styles = {"real time": REAL_TIME, "order 0 + 1": ORDERS[1], "order 0": ORDERS[0]}
    against_frequency = [Curve(name, frequencies, v, {**styles[name], **_POINTS}) for name, v in sizes.items()]
    against_frequency.append(Curve("tolerance", frequencies, np.full(len(frequencies), tolerance), SMF))
    label = r"largest $|\mathbf{s}_i - \mathbf{s}_i^\mathrm{exact}|$"
    panels = [
        Panel("a", "after the transient", r"$\hbar\omega$ (eV)", label, against_frequency, log_x=True, log_y=True),
        *_wall_transient(shown, styles, label),
    ]
    slopes = {name: np.polyfit(np.log(frequencies[:-1]), np.log(v[:-1]), 1)[0] for name, v in sizes.items()}
    return Figure(
        "Bloch wall set into precession at $t$ = 0: electrons in real time, and frozen",
        panels,
        3,
        (
            f"real time differs from the exact result by at most {max(sizes['real time']):.1e} at any frequency "
            f"(electrons.tolerance = {tolerance:g})",
            f"frozen electrons, power of the frequency up to 0.1: order 0 {slopes['order 0']:.2f}, "
            f"order 0 + 1 {slopes['order 0 + 1']:.2f}",
            f"of the start there is left after t = {_WALL_DURATION / 2:g} at most {max(left_over):.1e} times the "
            "frequency",
        ),
    )


def _wall_deck(frequency: float) -> Deck:
    changes = {
        "motion.frequency": frequency,
        "run.duration": _WALL_DURATION,
        "run.save_every": 0.2,
        "electrons.frozen_beside": False,
        "electrons.tolerance": 1e-6,
    }
    return load_deck("precessing_wall_real_time", changes)


def _wall_beside_exact(deck: Deck) -> dict[str, np.ndarray]:
    """Spin densities of a run in the frame that turns with the moments.

    turned: (frames, n, 3) in real time; exact, "order 0" and "order 0 + 1": (n, 3), which do not depend on time there;
    also the torque summed over the sites, along the axis, of all four, and the pumped spin.
    """
    found = _recorded(deck, ("moment", "spin_density", "current_spin"))
    electrons, frequency = deck.electrons, deck.motion.frequency
    assert electrons is not None
    assert frequency is not None
    assert deck.motion.axis is not None
    axis, device = np.array(deck.motion.axis, float), build_open_device(deck)
    device, m = device.changed(tolerance=_REFERENCE_TOLERANCE), found["moment"][0]
    exact, frozen = steady_precession(device, m, axis, frequency), device.freeze(m).precession(axis, frequency)
    spins = {
        "turned": _turned(found["spin_density"], -frequency * found["time"]),
        "exact": exact.spin,
        "order 0": frozen.adiabatic,
        "order 0 + 1": frozen.adiabatic + frozen.nonadiabatic,
    }
    along_axis = {
        f"torque {name}": torque(spin, m, electrons.uniform_exchange)[..., 2].sum(axis=-1) / frequency
        for name, spin in spins.items()
    }
    pumped = {"pumped": found["current_spin"][..., 2].sum(axis=-1) / frequency}
    return spins | along_axis | pumped | {"time": found["time"]}


def _turned(vectors: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Vectors (frames, n, 3) turned about z by the angle of each frame, (frames,)."""
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=-1)


def _largest(vectors: np.ndarray) -> float:
    return float(np.linalg.norm(vectors, axis=-1).max())


def _wall_transient(found: dict[str, Any], styles: dict[str, dict[str, Any]], label: str) -> list[Panel]:
    """Total torque along the axis and pumped spin, and the deviations, against time."""
    time, title = found["time"], rf"$\hbar\omega$ = {WALL_SHOWN:g}"
    early = time <= 30.0
    flat = np.ones(int(early.sum()))
    torques = [
        Curve("real time", time[early], found["torque turned"][early], REAL_TIME),
        Curve("pumped spin current", time[early], found["pumped"][early], LINES["surface"]),
        Curve("exact precession", time[early], flat * found["torque exact"], _BEHIND),
        Curve("order 0 + 1", time[early], flat * found["torque order 0 + 1"], ORDERS[1]),
    ]
    sites = np.linalg.norm(found["turned"] - found["exact"], axis=-1).max(axis=1)
    deviations = [Curve("real time", time, sites, REAL_TIME)] + [
        Curve(name, time, np.full(len(time), _largest(found[name] - found["exact"])), styles[name])
        for name in ("order 0 + 1", "order 0")
    ]
    xlabel = _time_label(found["deck"])
    return [
        Panel("b", f"total, {title}", xlabel, r"$\sum_i T_{i,z}/\hbar\omega$", torques),
        Panel("c", f"each site, {title}", xlabel, label, deviations, log_y=True),
    ]


# --- one moment -------------------------------------------------------------------------------------------------------

COUPLINGS_SHOWN = (0.2, 0.5, 1.0)
MOMENT_COUPLINGS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_MOMENT_STYLES = (
    {"color": "black", "linestyle": "-"},
    {"color": "#0072B2", "linestyle": "--"},
    {"color": "#D55E00", "linestyle": "-."},
)


def moment(track: Track) -> Figure:
    """A moment set into precession suddenly: both torques against time, and where they end for each coupling."""
    kinds, exchange = ("FL", "DL"), _moment_deck(1.0).electrons.uniform_exchange  # type: ignore[union-attr]
    against_time: dict[str, list[Curve]] = {kind: [] for kind in kinds}
    ends: dict[str, list[float]] = {kind: [] for kind in kinds}
    styles = dict(zip(COUPLINGS_SHOWN, _MOMENT_STYLES, strict=True))
    for coupling in track(MOMENT_COUPLINGS):
        deck = _moment_deck(coupling)
        time, *components = _moment_torques(deck)
        formula = phase_shift_torque(exchange, coupling)
        for kind, values, settled in zip(kinds, components, formula, strict=True):
            ends[kind].append(float(values[time >= 0.75 * time[-1]].mean()))
            if coupling in styles:
                early = time <= 40.0
                against_time[kind] += [
                    Curve(rf"$\gamma_c$ = {coupling:g}", time[early], values[early], styles[coupling]),
                    Curve("closed form", [0.0, 40.0], [settled, settled], _BEHIND),
                ]
    fine = np.linspace(0.01, 1, 100)
    formulas = np.array([phase_shift_torque(exchange, float(coupling)) for coupling in fine]).T
    at_couplings = np.array([phase_shift_torque(exchange, coupling) for coupling in MOMENT_COUPLINGS]).T
    panels, worst = [], {}
    for key, kind in zip("ab", kinds, strict=True):
        title = f"{'field' if kind == 'FL' else 'damping'}-like, $J_{{sd}}$ = {exchange:g}"
        label = rf"$T^{{\mathrm{{{kind}}}}}/\hbar\omega\,\sin\theta$"
        panels.append(Panel(key, title, _time_label(_moment_deck(1.0)), label, against_time[kind]))
    for key, kind, line, exact in zip("cd", kinds, formulas, at_couplings, strict=True):
        label = rf"$T^{{\mathrm{{{kind}}}}}/\hbar\omega\,\sin\theta$"
        curves = [
            Curve("closed form", fine, line, _BEHIND),
            Curve("real time, settled", MOMENT_COUPLINGS, ends[kind], {"color": "black", "linestyle": "", **_POINTS}),
        ]
        panels.append(Panel(key, "after the transient", r"$\gamma_c/t$", label, curves))
        worst[kind] = float(abs(np.array(ends[kind]) - exact).max())
    return Figure(
        "One moment set into precession at $t$ = 0: torques of electrons in real time",
        panels,
        2,
        (
            "settled torques differ from the closed form (first order, kT = 0) by at most "
            f"{worst['FL']:.1e} (field-like) and {worst['DL']:.1e} (damping-like), of 0.5 and 1/(2 pi) at most",
        ),
    )


def _moment_deck(coupling: float) -> Deck:
    # The level empties at the rate 4 coupling^2; twelve times that leaves 6e-6 of the transient.
    duration = max(60.0, np.ceil(3 / coupling**2))
    changes = {
        # In the plane the torque over omega is even in omega: what the closed form leaves out is of second order.
        "texture.direction": [1, 0, 0],
        "motion.frequency": 0.001,
        "electrons.temperature": 0.0,
        "electrons.frozen_beside": False,
        "run.duration": float(duration),
        **both_couplings(coupling),
    }
    return load_deck("switched_moment", changes)


def _moment_torques(deck: Deck) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, and field-like and damping-like torque of one moment over omega sin(theta), each (frames,)."""
    found = _recorded(deck, ("moment", "velocity", "torque"))
    m, velocity = found["moment"][:, 0], found["velocity"][:, 0]
    components = field_and_damping_like(found["torque"][:, 0], m, velocity)
    speed = np.linalg.norm(velocity, axis=-1)  # omega sin(theta)
    return found["time"], components[0] / speed, components[1] / speed


# --- a wall that moves by itself --------------------------------------------------------------------------------------

_WALL_PATH = ("moment", "velocity", "wall_position", "wall_tilt")


def free_wall(track: Track) -> Figure:
    """The field-driven wall with electrons in real time beside that with frozen ones, and the torques of both."""
    deck = load_deck("free_wall")
    # The same step, so that nothing but the electrons differs.
    changes = {"integrator.step": deck.integrator.step, "integrator.electrons": "stage"}
    frozen_deck = load_deck("wall_in_wire", changes)
    parts = ("spin_adiabatic", "spin_sea", "spin_surface")
    jobs = ((deck, (*_WALL_PATH, "spin_density", *parts)), (frozen_deck, _WALL_PATH))
    exact, frozen = (_recorded(each, names) for each, names in track(jobs))
    electrons, unit = deck.electrons, deck.units.label
    assert electrons is not None
    time, m, velocity, J = exact["time"], exact["moment"], exact["velocity"], electrons.uniform_exchange
    spins = {
        "real time": exact["spin_density"] - exact["spin_adiabatic"],
        "sea": exact["spin_sea"],
        "surface": exact["spin_surface"],
    }
    styles = {"real time": REAL_TIME, "sea": LINES["sea"], "surface": LINES["surface"]}
    torques = {name: torque(s, m, J) for name, s in spins.items()}
    speed = np.linalg.norm(velocity, axis=-1).max(axis=1)
    xlabel = _time_label(deck)
    panels = [
        Panel(
            key, "wall, self-consistent", xlabel, label,
            [
                Curve("real time", time, exact[name], REAL_TIME),
                Curve("order 0 + 1", frozen["time"], frozen[name], ORDERS[1]),
            ],
        )
        for key, name, label in (("a", "wall_position", "position $X$ ($a$)"), ("b", "wall_tilt", r"tilt $\phi$ (rad)"))
    ]  # fmt: skip
    apart = np.linalg.norm(frozen["moment"] - m, axis=-1).max(axis=1)
    panels.append(
        Panel(
            "c", "moments of both runs", xlabel, r"largest $|\mathbf{m}_i^\mathrm{frozen} - \mathbf{m}_i|$",
            [Curve("order 0 + 1", time, apart, ORDERS[1])],
        )
    )  # fmt: skip
    for key, k, kind in (("d", 0, "FL"), ("e", 1, "DL")):
        curves = [
            Curve(name, time, np.nansum(field_and_damping_like(T, m, velocity)[k], axis=1) / speed, styles[name])
            for name, T in torques.items()
        ]
        label = rf"$\sum_i T^{{\mathrm{{{kind}}}}}_i/\hbar|\dot m|_\max$"
        panels.append(Panel(key, "beyond order 0", xlabel, label, curves))
    power = {name: (T * np.cross(m, velocity)).sum(axis=(1, 2)) for name, T in torques.items()}
    panels.append(
        Panel(
            "f", "energy taken from the moments", xlabel, rf"power $P$ ({unit}$^2/\hbar$)",
            [Curve(name, time, values, styles[name]) for name, values in power.items()],
        )
    )  # fmt: skip
    later = time >= 0.5 * time[-1]
    beyond = spins["real time"][later]
    missed = np.sqrt(np.mean((beyond - (spins["sea"] + spins["surface"])[later]) ** 2) / np.mean(beyond**2))
    taken = {name: float(np.trapezoid(values, time)) for name, values in power.items()}
    return Figure(
        "Field-driven wall: electrons in real time beside frozen ones",
        panels,
        3,
        (
            f"the wall ends at {exact['wall_position'][-1]:.3f} in real time, at {frozen['wall_position'][-1]:.3f} "
            f"with frozen electrons; tilts {exact['wall_tilt'][-1]:.3f} and {frozen['wall_tilt'][-1]:.3f} rad",
            f"moments of the two runs differ by at most {apart.max():.2e}",
            f"order 0 + 1 misses {100 * missed:.2g} % of the spin density beyond order 0 (r.m.s., later half)",
            f"energy taken from the moments beyond order 0: {taken['real time']:.4g} {unit} in real time, surface "
            f"{taken['surface']:.4g}, sea {taken['sea']:.1e}",
        ),
    )
