"""Each approximation of the electrons' answer beside electrons in real time, against the frequency of the motion.

Two moments in a wire turn rigidly about z, on a narrow and on a wide cone, from t = 0 on; and one moment moves by
itself in a field along z.  What frozen electrons miss of a torque is taken relative to its part of first order in the
velocities, so that order 0 misses all of it, order 0 + 1 as omega, and with the inertia tensor as omega^2: of the
torque itself omega, omega^2, omega^3.  Expansions about the first texture miss what is of second order in the way of
the moments, at any frequency.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.deck import Deck, load_deck
from llgnegf.electrons import Device, steady_precession
from llgnegf.electrons.device_memory import DeviceMemory, Steps
from llgnegf.parts.electrons import build_device
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.simulation import run

FREQUENCIES = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
CONES = (0.03, 0.5)
_TOLERANCE = 2e-7
_WIRE = {
    "electrons.sd_exchange": 0.5,
    "electrons.fermi_energy": 0.3,
    "electrons.temperature": 0.05,
    "electrons.tolerance": _TOLERANCE,
    "electrons.lead.0.coupling": 0.6,
    "electrons.lead.1.coupling": 0.6,
}
# By name, in the order of the figure.
_STYLES: dict[str, dict[str, Any]] = {
    "order 0": {"color": "#0072B2", "linestyle": "--"},
    "order 0 + 1": {"color": "#D55E00", "linestyle": "-."},
    "tensor, instantaneous": {"color": "black", "linestyle": "", "marker": "x", "markersize": 5},
    "tensor, first texture": {"color": "#E69F00", "linestyle": "-"},
    "with inertia": {"color": "#009E73", "linestyle": "-"},
    "memory, first texture": {"color": "#CC79A7", "linestyle": "-", "marker": "o", "markersize": 3.5},
}


def imposed(cone: float, frequency: float) -> Deck:
    """Two moments on a cone, a quarter turn apart, that turn about z; electrons in real time."""
    across = np.sin(cone)
    changes = {
        "lattice.shape": [2],
        "texture": {"kind": "columns", "directions": [[across, 0, np.cos(cone)], [0, across, np.cos(cone)]]},
        "electrons.frozen_beside": False,
        "motion.frequency": frequency,
        "integrator.step": 0.2,
        "integrator.electrons": "adaptive",
        "run.save_every": 1.0,
        "run.duration": float(np.ceil(max(80.0, 2 * np.pi / frequency))),
    }
    return load_deck("switched_moment", _WIRE | changes)


def of_torques(cone: float, frequency: float) -> dict[str, float]:
    """Largest error of the torque on a moment, later than half of the run, over that of first order, by approximation.

    Under "real time" that of the judge itself, against exact steady precession.
    """
    deck = imposed(cone, frequency)
    device = build_device(deck)
    assert isinstance(device, Device)
    with tempfile.TemporaryDirectory() as folder, run(deck, Path(folder) / "run.h5") as found:
        times, m, spin = np.array(found.times), np.array(found.moment), np.array(found.spin_density)
    later = times >= times[-1] / 2
    first = m[0]
    velocity = frequency * np.cross([0.0, 0.0, 1.0], m)
    J, tensors = deck.electrons.uniform_exchange, device.linear_response(first).tensors  # type: ignore[union-attr]

    def turned(answer: np.ndarray) -> np.ndarray:
        """Of the first moments, as they turn: (frames, 2, 3)."""
        cosine, sine = np.cos(frequency * times)[:, None], np.sin(frequency * times)[:, None]
        x, y, z = answer.T[:, None]
        return np.stack([cosine * x - sine * y, sine * x + cosine * y, np.broadcast_to(z, (*cosine.shape[:1], 2))], -1)

    def torque(density: np.ndarray) -> np.ndarray:
        return J * np.cross(density, m)

    frozen = device.freeze(first)
    parts = frozen.respond(velocity[0], np.zeros(2))
    at_rest = frozen.adiabatic[:, 1:]
    moving = (parts.sea + parts.surface)[:, 1:]
    pulled, pushed = (
        np.einsum("ijab,jb->ia", tensor, rate) / J
        for tensor, rate in ((tensors.gilbert, velocity[0]), (tensors.inertia, -(frequency**2) * _across(first)))
    )
    susceptible = np.einsum("ijab,tjb->tia", tensors.susceptibility, m - first)
    answers = {
        "order 0": turned(at_rest),
        "order 0 + 1": turned(at_rest + moving),
        "tensor, instantaneous": turned(at_rest - pulled),
        "tensor, first texture": at_rest + susceptible - np.einsum("ijab,tjb->tia", tensors.gilbert, velocity) / J,
        "with inertia": turned(at_rest - pulled - pushed),
        "memory, first texture": at_rest + remembered(device, first, frequency, times),
    }
    unit = float(np.linalg.norm(J * np.cross(moving, first), axis=-1).max())
    exact = turned(steady_precession(device, first, [0, 0, 1], frequency).spin)

    def largest(difference: np.ndarray) -> float:
        return float(np.linalg.norm(difference[later], axis=-1).max()) / unit

    errors = {name: largest(torque(answer - spin)) for name, answer in answers.items()}
    return errors | {"real time": largest(torque(spin - exact))}


def _across(m: np.ndarray) -> np.ndarray:
    """The parts of vectors (..., 3) across z."""
    return m * [1.0, 1.0, 0.0]


def remembered(device: Device, first: np.ndarray, frequency: float, times: np.ndarray) -> np.ndarray:
    """What spins change from the first moments on, (frames, 2, 3), by the memory of electrons at rest until t = 0."""
    per_frame = 20
    steps = Steps(DeviceMemory.of(device, first, float(times[-1])), float(times[1] - times[0]) / per_frame)
    past, found = steps.nothing, [np.zeros_like(first)]

    def moved(t: float) -> np.ndarray:
        cosine, sine = np.cos(frequency * t) - 1, np.sin(frequency * t)
        x, y = first[:, 0], first[:, 1]
        return np.stack([cosine * x - sine * y, sine * x + cosine * y, np.zeros(2)], axis=-1)

    for n in range(per_frame * (len(times) - 1)):
        past = steps.ends(steps.goes_on(past, moved(n * steps.dt)), moved((n + 1) * steps.dt))
        if (n + 1) % per_frame == 0:
            found.append(steps.spin(past))
    return np.array(found)


# --- a moment that moves by itself ------------------------------------------------------------------------------------

_TILT = 0.05
_PATHS: dict[str, dict[str, Any]] = {
    "real time": {"electrons.method": "real-time"},
    "order 0": {"electrons.order": 0},
    "order 0 + 1": {},
    "tensor, instantaneous": {"motion.kind": "tensor"},
    "tensor, first texture": {"motion.kind": "tensor", "motion.tensor": "reference"},
    "memory, first texture": {"motion.kind": "kernel", "motion.kernel": "reference", "integrator.method": "heun"},
}


def of_paths(frequency: float) -> dict[str, float]:
    """How far from where it is with electrons in real time a moment is after half a turn in a field, by approximation,
    over the way across the field, sin(tilt)."""

    def end(changes: dict[str, Any]) -> np.ndarray:
        duration = np.pi / frequency
        # Heun's method, which has the memory, needs shorter ones.
        steps = 2000 if "motion.kernel" in changes else 60
        always = {
            "electrons.frozen_beside": False,
            "electrons.method": "frozen",
            "motion.kind": "llg",
            "integrator.electrons": "adaptive",
            "texture.direction": [np.sin(_TILT), 0.0, np.cos(_TILT)],
            "magnet.field": [0.0, 0.0, frequency],
            "integrator.step": duration / steps,
            "run.duration": duration,
            "run.save_every": duration,
        }
        deck = load_deck("switched_moment", _WIRE | always | changes)
        with tempfile.TemporaryDirectory() as folder, run(deck, Path(folder) / "run.h5") as found:
            return np.array(found.moment[-1, 0])

    found = {name: end(changes) for name, changes in _PATHS.items()}
    exact = found.pop("real time")
    return {name: float(np.linalg.norm(m - exact)) / np.sin(_TILT) for name, m in found.items()}


# --- the figure -------------------------------------------------------------------------------------------------------


def approximations(track: Track) -> Figure:
    """Errors of torques on two cones and of paths against the frequency, and how far each approximation holds."""
    w = np.array(FREQUENCIES)
    torques = [[of_torques(cone, frequency) for frequency in FREQUENCIES] for cone in track(CONES)]
    paths = [of_paths(frequency) for frequency in track(FREQUENCIES)]

    def curves(found: list[dict[str, float]]) -> list[Curve]:
        return [Curve(name, w, [one[name] for one in found], _STYLES[name]) for name in _STYLES if name in found[0]]

    judge = max(one["real time"] for found in torques for one in found)
    label = "error / torque of first order"
    panels = [
        Panel(key, f"torque, cone of {cone:g} rad", r"$\hbar\omega$ (hopping)", label, curves(found), True, True)
        for key, cone, found in zip("ab", CONES, torques, strict=False)
    ]
    panels.append(
        Panel("c", "path, half a turn in a field", r"$\hbar\omega$ (hopping)", "error / way", curves(paths), True, True)
    )
    return Figure(
        "How far each approximation of the electrons' answer holds, beside real time",
        panels,
        3,
        (
            f"real time differs from exact steady precession by at most {judge:.1e} of the torque of first order",
            *(
                line
                for cone, found in zip(CONES, torques, strict=True)
                for line in _in_words(f"torque, cone of {cone:g}", w, found)
            ),
            *_in_words("path", w, paths),
        ),
    )


def _in_words(what: str, w: np.ndarray, found: list[dict[str, float]]) -> list[str]:
    """For each approximation the power of omega by which its error grows at first, and its errors."""
    lines = []
    for name in _STYLES:
        if name in found[0]:
            errors = np.array([one[name] for one in found])
            power = float(np.log(errors[1] / errors[0]) / np.log(w[1] / w[0]))
            told = ", ".join(f"{one:.2g}" for one in errors)
            lines.append(f"{what}: {name}: {told} at omega = {', '.join(f'{one:g}' for one in w)}; omega^{power:.2f}")
    return lines
