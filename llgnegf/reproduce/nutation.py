"""A moment with inertia: its precession and nutation beside the linearised equation, alone and among electrons.

The deck `nutation`.  Near the field u = m_x + i m_y ~ exp(i Omega t), with

    S eta Omega^2 + (S - b - i (S alpha + a)) Omega - S B = 0,

where m x (alpha_el dm/dt) = a m x dm/dt + b dm/dt is what electrons answer; for one moment in a wire at kT = 0, with
D = arg(E_F - J - Sigma) - arg(E_F + J - Sigma), a = (1 - cos 2D)/4pi and b = (2D - sin 2D)/4pi.  The real part of Omega
is a frequency, negative for the nutation, which turns against the precession; the imaginary one a rate of decay.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.deck import Deck, load_deck
from llgnegf.electrons import chain_self_energy
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.simulation import run

INERTIAS = tuple(np.geomspace(0.05, 5.0, 9).tolist())
DAMPINGS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
EXCHANGES = (10.0, 30.0, 50.0, 80.0, 120.0)
_TILT = 0.003
_HOPPING, _FERMI_ENERGY = 100.0, 20.0
_LINES = {"precession": {"color": "#0072B2"}, "nutation": {"color": "#D55E00", "linestyle": "--"}}
_DOTS = {"color": "black", "linestyle": "", "markersize": 4}


def roots(field: float, inertia: float, damping: float, a: float = 0.0, b: float = 0.0) -> tuple[complex, complex]:
    """Omega of precession and nutation, S = 1, 1/time."""
    found = np.roots([inertia, 1 - b - 1j * (damping + a), -field])
    slow, fast = sorted(found.tolist(), key=abs)
    return complex(slow), complex(fast)


def answer(exchange: float) -> tuple[float, float]:
    """a and b of one moment in a wire, hbar."""
    sigma = 2 * complex(chain_self_energy(_FERMI_ENERGY, _HOPPING, _HOPPING)[0])
    D = np.angle(_FERMI_ENERGY - exchange - sigma) - np.angle(_FERMI_ENERGY + exchange - sigma)
    return float((1 - np.cos(2 * D)) / (4 * np.pi)), float((2 * D - np.sin(2 * D)) / (4 * np.pi))


def measured(changes: dict[str, Any], nearly: tuple[complex, complex]) -> tuple[complex, complex]:
    """Omega of precession and nutation in a run that starts at rest beside the field; nearly: the expected ones."""
    fastest, slowest = abs(nearly[1]), min(one.imag for one in nearly)
    step = 0.06 / fastest
    frames = int(min(max(8 / abs(nearly[0]), 30 / fastest), 3 / slowest) / step / 6)
    always = {
        "texture.direction": [np.sin(_TILT), 0.0, np.cos(_TILT)],
        "integrator.step": step,
        "run.save_every": 6 * step,
        "run.duration": 6 * frames * step,
    }
    u = _path(load_deck("nutation", always | changes))
    # u[n + 1] = c u[n] + d u[n - 1], whose characteristic roots are exp(i Omega tau).
    c, d = np.linalg.lstsq(np.stack([u[1:-1], u[:-2]], axis=1), u[2:], rcond=None)[0]
    found = -1j * np.log(np.roots([1, -c, -d])) / (6 * step)
    slow, fast = sorted(found.tolist(), key=abs)
    return complex(slow), complex(fast)


def _path(deck: Deck) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder, run(deck, Path(folder) / "run.h5") as found:
        m = np.array(found.moment)[:, 0]
    return np.asarray(m[:, 0] + 1j * m[:, 1])


def nutation(track: Track) -> Figure:
    """The path of the deck; frequencies against inertia, decay against damping, and among electrons."""
    deck = load_deck("nutation")
    field, eta, alpha = deck.magnet.field[2], deck.magnet.inertia, deck.magnet.damping
    assert isinstance(eta, float)
    u = _path(deck)
    of_inertia, of_damping, of_exchange = [], [], []
    for one in track(INERTIAS):
        expected = roots(field, one, alpha)
        of_inertia.append((expected, measured({"magnet.inertia": one}, expected)))
    for one in track(DAMPINGS):
        expected = roots(field, eta, one)
        of_damping.append((expected, measured({"magnet.damping": one}, expected)))
    for exchange in track(EXCHANGES):
        expected = roots(field, eta, alpha, *answer(exchange))
        of_exchange.append((expected, measured(_wire(exchange), expected)))

    def curves(x: tuple[float, ...], found: list[Any], part: str) -> list[Curve]:
        lines, dots = [], []
        for k, (name, marker) in enumerate((("precession", "o"), ("nutation", "s"))):
            expected, runs = (abs(np.array([getattr(one[which][k], part) for one in found])) for which in (0, 1))
            lines.append(Curve(name, x, expected, _LINES[name]))
            dots.append(Curve(f"{name}, runs", x, runs, {**_DOTS, "marker": marker}))
        return lines + dots

    label = deck.units.label
    panels = [
        Panel("a", "the deck", "$m_x$", "$m_y$", [Curve("path", u.real, u.imag, {"color": "#CC79A7"})]),
        Panel(
            "b",
            "frequencies",
            rf"inertia $\eta$ ($\hbar$/{label})",
            rf"$|\Omega|$ ({label}/$\hbar$)",
            curves(INERTIAS, of_inertia, "real"),
            log_x=True,
            log_y=True,
        ),
        Panel(
            "c",
            "damping",
            r"Gilbert damping $\alpha$",
            rf"rate of decay ({label}/$\hbar$)",
            curves(DAMPINGS, of_damping, "imag"),
            log_x=True,
            log_y=True,
        ),
        Panel(
            "d",
            "in a wire",
            rf"$J_\mathrm{{sd}}$ ({label})",
            rf"rate of decay ({label}/$\hbar$)",
            curves(EXCHANGES, of_exchange, "imag"),
            log_y=True,
        ),
    ]

    def apart(found: list[Any]) -> float:
        """Largest deviation of frequencies and of rates, each relative to itself."""
        pairs = np.array(found)
        return float(
            max(abs(pairs[:, 1].real / pairs[:, 0].real - 1).max(), abs(pairs[:, 1].imag / pairs[:, 0].imag - 1).max())
        )

    slow, fast = roots(field, eta, alpha)
    return Figure(
        "Nutation of a moment with inertia",
        panels,
        2,
        (
            f"the deck: precession {slow.real:.4f} (field {field:g}), nutation {fast.real:.4f}, without damping "
            f"-(1 + sqrt(1 + 4 eta B))/(2 eta) = {-(1 + np.sqrt(1 + 4 * eta * field)) / (2 * eta):.4f}; they decay at "
            f"{slow.imag:.4f} and {fast.imag:.4f}",
            f"runs have the frequencies and rates of the linearised equation within {apart(of_inertia):.1e} (inertia), "
            f"{apart(of_damping):.1e} (damping), {apart(of_exchange):.1e} (in a wire)",
            f"electrons of J_sd = {EXCHANGES[-1]:g} damp the nutation at {of_exchange[-1][1][1].imag:.3f} and the "
            f"precession at {of_exchange[-1][1][0].imag:.4f}; alone {fast.imag:.3f} and {slow.imag:.4f}",
        ),
    )


def _wire(exchange: float) -> dict[str, Any]:
    return {
        "electrons.hopping": _HOPPING,
        "electrons.fermi_energy": _FERMI_ENERGY,
        "electrons.sd_exchange": exchange,
        "electrons.tolerance": 1e-8,
        "electrons.lead": [{"side": "left", "coupling": _HOPPING}, {"side": "right", "coupling": _HOPPING}],
        "integrator.electrons": "stage",
    }
