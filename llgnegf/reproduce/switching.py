"""A moment that a bias turns over: its threshold by response tensors and by runs, and what noise makes of it.

The deck `bias_switching` at constant bias.  About a free moment against its fixed one, u = m_x + i m_y to first order,

    S du/dt = -m x (F_0 z - K(0) u) + m x (alpha du/dt),

with the field at rest F_0 = -dE/dm, the stiffness K(0) and the damping alpha of the electrons at that bias, and Gilbert
damping beside.  Current-driven torque is the part of K(0) that is no derivative of an energy; where it outweighs what
damps, u grows: the threshold.  Below it the electrons' noise heats the moment, the more the less is damped: in the
linear equation <|u|^2> = J_sd^2 C/(c^2 gamma), c S: inertia of u, gamma: its rate of decay, C: correlator of the spins
(`electrons/spin_noise.py`), which means a temperature k <|u|^2>/2, k: stiffness.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.deck import Deck, load_deck
from llgnegf.electrons import Device
from llgnegf.errors import RunWarning
from llgnegf.parts.electrons import build_device
from llgnegf.parts.moments import initial_moments
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.simulation import run

BIASES = tuple(np.linspace(-0.1, 0.3, 17).tolist())
MEASURED = (-0.1, 0.0, 0.1, 0.2)
SHOWN = (0.04, 0.15, 0.25)
NOISY, SEEDS = (0.02, 0.04, 0.06, 0.08, 0.15), (1, 2, 3, 4)
DURATION, MEASURING, STEP = 2400.0, 300.0, 5.0
_FREE = 4
_QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00")


def valve(bias: float, changes: dict[str, Any] | None = None) -> Deck:
    """The deck at a constant bias between its leads."""
    voltages = {"electrons.lead.0.voltage": bias / 2, "electrons.lead.1.voltage": -bias / 2}
    return load_deck("bias_switching", voltages | {"integrator.step": STEP} | (changes or {}))


@dataclass(frozen=True)
class Linear:
    """rate: at which u grows, 1/time; temperature: of the noise below the threshold, energy (nan above);
    barrier: height of the anisotropy, energy."""

    rate: float
    temperature: float
    barrier: float


def linear(bias: float, changes: dict[str, Any] | None = None) -> Linear:
    """The free moment about -z, by response tensors and the correlator of its spin density."""
    deck = valve(bias, changes)
    device, table = build_device(deck), deck.magnet
    assert isinstance(device, Device)
    m = initial_moments(deck)
    m[_FREE] = [0, 0, -1]
    frozen = device.freeze(m)
    tensors = device.linear_response_of(frozen).tensors
    K, alpha = (one[_FREE, _FREE, :2, :2] for one in (tensors.stiffness, tensors.gilbert))
    J = deck.electrons.uniform_exchange  # type: ignore[union-attr]
    anisotropy = table.anisotropy
    assert isinstance(anisotropy, float)
    F = -2 * anisotropy + J * frozen.at_rest[_FREE, 3]
    # z x u = _QUARTER u, and m = -z.
    A = F * _QUARTER - _QUARTER @ K
    M = table.spin * np.eye(2) + _QUARTER @ (table.spin * table.damping * np.eye(2) + alpha)
    rate = float(np.linalg.eigvals(np.linalg.solve(M, A)).real.max())
    noise = J**2 * float(np.trace(device.spin_noise(m)[_FREE, _FREE][:2, :2])) / 2
    spread = noise / (np.linalg.det(M) * -rate)
    heat = abs(A[1, 0]) * spread / 2 if rate < 0 else np.nan
    return Linear(rate, float(heat), anisotropy)


def measured_rate(bias: float) -> float:
    """The rate at which the free moment begins to swing up in a run, 1/time."""
    small = {"texture.directions": [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0.01, 0, -1]]}
    times, m = path(
        valve(bias, {"run.duration": MEASURING, "run.save_every": STEP, "integrator.step": STEP / 2} | small)
    )
    return float(np.polyfit(times, np.log(np.hypot(m[:, 0], m[:, 1])), 1)[0])


def path(deck: Deck) -> tuple[np.ndarray, np.ndarray]:
    """Times, and the free moment (frames, 3) of a run."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Steps follow the precession, of period 150 and more; that electrons could turn moments at J_sd/S is a bound.
        warnings.filterwarnings("ignore", "integrator.step = .* perhaps too large", RunWarning)
        with run(deck, Path(folder) / "run.h5") as found:
            return np.array(found.times), np.array(found.moment)[:, _FREE]


def turns(bias: float, changes: dict[str, Any]) -> bool:
    """Whether the free moment turns over within DURATION."""
    always = {"run.duration": DURATION, "run.save_every": 2 * STEP}
    return bool(path(valve(bias, always | changes))[1][:, 2].max() > 0)


def switching(track: Track) -> Figure:
    """Growth against bias, runs that turn over, and how often they do with the electrons' noise."""
    found = [linear(bias) for bias in track(BIASES)]
    rates = np.array([one.rate for one in found])
    measured = np.array([measured_rate(bias) for bias in track(MEASURED)])
    crossing = int(np.flatnonzero((rates[:-1] < 0) & (rates[1:] >= 0))[0])
    threshold = float(np.interp(0.0, rates[crossing : crossing + 2], BIASES[crossing : crossing + 2]))
    at = np.interp(MEASURED, BIASES, rates)
    paths = [path(valve(b, {"run.duration": DURATION, "run.save_every": 2 * STEP})) for b in track(SHOWN)]
    quiet = [float(turns(bias, {})) for bias in track(NOISY)]
    random = {"electrons.noise": True, "integrator.method": "heun", "integrator.electrons": "stage"}
    noisy = [float(np.mean([turns(bias, random | {"run.seed": seed}) for seed in SEEDS])) for bias in track(NOISY)]
    below = [(b, share) for b, share in zip(NOISY, noisy, strict=True) if b < threshold]
    label, bias = "bias (hopping)", np.array(BIASES)
    dots = {"color": "black", "linestyle": "", "marker": "o", "markersize": 3.5}
    panels = [
        Panel(
            "a",
            "swing of the free moment",
            label,
            r"growth (hopping/$\hbar$)",
            [
                Curve("response tensors", bias, rates, {"color": _COLOURS[0]}),
                Curve("runs", MEASURED, measured, dots),
            ],
        ),
        Panel(
            "b",
            "runs at constant bias",
            r"time ($\hbar$/hopping)",
            "free moment $m_z$",
            [
                Curve(f"bias {b:g}", times, m[:, 2], {"color": colour, "linestyle": "-."})
                for b, (times, m), colour in zip(SHOWN, paths, _COLOURS[1:], strict=False)
            ],
        ),
        Panel(
            "c",
            f"turned over by t = {DURATION:g}",
            label,
            "share of paths",
            [
                Curve(
                    "without noise", NOISY, quiet, {"color": "0.5", "linestyle": "--", "marker": "s", "markersize": 3}
                ),
                Curve("with noise", NOISY, noisy, {"color": "#CC79A7", "marker": "^", "markersize": 4}),
            ],
        ),
        Panel(
            "d",
            "heated by shot noise, below threshold",
            label,
            "temperature / barrier",
            [
                Curve(
                    "noise temperature",
                    bias[rates < 0],
                    [one.temperature / one.barrier for one in found if one.rate < 0],
                    {"color": "#CC79A7", "linestyle": ":"},
                )
            ],
        ),
    ]
    return Figure(
        "Switching by a bias",
        panels,
        2,
        (
            f"threshold by response tensors {threshold:.3f}; growth in runs is that of the tensors within "
            f"{abs(measured - at).max():.1e}, of {abs(at).max():.1e} at most",
            "without noise turned over by t = "
            + f"{DURATION:g}: "
            + ", ".join(f"{share:.0%} at {b:g}" for b, share in zip(NOISY, quiet, strict=True)),
            "with the electrons' noise: "
            + ", ".join(f"{share:.0%} at {b:g}" for b, share in zip(NOISY, noisy, strict=True))
            + f" ({len(SEEDS)} paths each)",
            "claim: fluctuations lower the threshold: below it "
            + ", ".join(f"{share:.0%} turn over at {b / threshold:.0%} of it" for b, share in below),
        ),
    )
