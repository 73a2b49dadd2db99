"""The self-test: small systems whose results are known in closed form, or by diagonalising H.

Each takes another way through the package: chains and lattices, equilibrium, first order and scattering states, runs in
real time and of the LLG equation, run files and resuming.  hbar = 1; energies in one unit.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf import simulation
from llgnegf.deck import Deck, deck_from
from llgnegf.electrons import Device, Lead


@dataclass(frozen=True)
class Check:
    """A number of the package beside what it must be; allowed: their largest difference; trouble: why there is none."""

    what: str
    got: float = math.nan
    expected: float = math.nan
    allowed: float = 0.0
    trouble: str | None = None

    @property
    def ok(self) -> bool:
        """Whether they agree."""
        return self.trouble is None and abs(self.got - self.expected) <= self.allowed

    def as_json(self) -> dict[str, Any]:
        """The same for other programs; null where there is no number."""
        numbers = {"got": self.got, "expected": self.expected, "allowed": self.allowed}
        return {
            "what": self.what,
            **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
            "ok": self.ok,
            "trouble": self.trouble,
        }


def self_test() -> list[Check]:
    """All checks.  What raises an error, of whatever kind, has failed and says which."""
    return [_checked(what, check) for what, check in CHECKS.items()]


def _checked(what: str, check: Callable[[], tuple[float, float, float]]) -> Check:
    try:
        got, expected, allowed = check()
    except Exception as error:
        return Check(what, trouble=f"{type(error).__name__}: {error}")
    return Check(what, float(got), float(expected), allowed)


def _self_energy(energy: float, coupling: float) -> complex:
    """Of a half-infinite chain of hopping 1 at a real energy within its band, retarded."""
    return coupling**2 * (energy / 2 - 1j * math.sqrt(1 - energy**2 / 4))


def _level() -> tuple[float, float, float]:
    """Breit and Wigner: T = Gamma_L Gamma_R/|E - onsite - Sigma_L - Sigma_R|^2, with the band of the leads."""
    energy, onsite, left, right = 0.4, 0.3, 0.5, 0.8
    device = Device(1, onsite=onsite, sd_exchange=0.0, leads=[Lead("left", left), Lead("right", right)])
    found = device.transmission(energy + onsite, [[0, 0, 1]])[0, 0]
    a, b = _self_energy(energy, left), _self_energy(energy, right)
    return found, 4 * a.imag * b.imag / abs(energy - a - b) ** 2, 1e-12


def _moment_at_rest() -> tuple[float, float, float]:
    """One moment in an infinite wire, half filled: s = J/sqrt(J^2 + 4 t^2) along the moment, here along y."""
    exchange = 0.7
    device = Device(1, sd_exchange=exchange, tolerance=1e-9)
    return device.spin_density([[0, 1, 0]]).adiabatic[0, 1], exchange / math.hypot(exchange, 2), 2e-9


def _moving_moment(component: int) -> tuple[float, float, float]:
    """Torque on one moment that turns, kT = 0: [(1 - cos 2D) m x mdot + (2D - sin 2D) mdot]/(4 pi).

    D = arg(E_F - J - Sigma) - arg(E_F + J - Sigma).  Component 1 is that along m x mdot, 2 that along mdot.
    """
    exchange, fermi, coupling = 0.7, 0.3, 0.9
    device = Device(
        1, sd_exchange=exchange, fermi_energy=fermi, tolerance=1e-9, leads=[Lead("left", coupling), Lead("right")]
    )
    m, mdot = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    spin = device.spin_density(m[None], mdot=mdot[None])
    torque = exchange * np.cross((spin.sea + spin.surface)[0], m)
    sigma = _self_energy(fermi, coupling) + _self_energy(fermi, 1.0)
    D = float(np.angle(fermi - exchange - sigma) - np.angle(fermi + exchange - sigma))
    if component == 1:
        return float(torque @ np.cross(m, mdot)), (1 - math.cos(2 * D)) / (4 * math.pi), 1e-7
    return float(torque @ mdot), (2 * D - math.sin(2 * D)) / (4 * math.pi), 1e-7


def _closed_lattice() -> tuple[float, float, float]:
    """Spin on a closed lattice of 4 x 3, moments in all directions, where it is farthest from f(H), H diagonalised."""
    shape, exchange, fermi, kT = (4, 3), 0.8, 0.25, 0.05
    places = np.arange(12).reshape(shape)
    theta, phi = 0.4 + 0.2 * places, 0.7 * places
    m = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    device = Device(shape, sd_exchange=exchange, fermi_energy=fermi, temperature=kT, tolerance=1e-9, leads=[])
    found = device.spin_density(m).adiabatic
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    along_x, along_y = (np.eye(n, k=1) + np.eye(n, k=-1) for n in shape)
    bonds = -np.kron(along_x, np.eye(3)) - np.kron(np.eye(4), along_y)
    H = np.kron(bonds, np.eye(2)).astype(complex)
    for i, direction in enumerate(m.reshape(-1, 3)):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] -= exchange * np.tensordot(direction, pauli, 1)
    levels, states = np.linalg.eigh(H)
    rho = (states / (1 + np.exp((levels - fermi) / kT))) @ states.conj().T
    expected = [[np.trace(rho[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] @ s).real for s in pauli] for i in range(12)]
    place = np.unravel_index(np.abs(found - np.reshape(expected, found.shape)).argmax(), found.shape)
    return found[place], np.reshape(expected, found.shape)[place], 2e-9


def _landauer() -> tuple[float, float, float]:
    """A clean strip transmits one for each open mode and spin; modes lie at -2 cos(pi j/(W + 1))."""
    width, energy = 9, -1.7
    device = Device((3, width), sd_exchange=0.0)
    thresholds = [-2 * math.cos(math.pi * j / (width + 1)) for j in range(1, width + 1)]
    modes = sum(abs(energy - level) < 2 for level in thresholds)
    return float(device.transmission(energy, np.zeros((3, width, 3))).sum()), 2 * modes, 1e-8


def _precessing() -> tuple[float, float, float]:
    """A damped moment in a field along z, S = 1: tan(theta/2) falls as exp(-alpha B t/(1 + alpha^2)); its m_x."""
    field, damping, theta, time = 0.9, 0.2, 1.1, 4.0
    deck = _deck(1, theta, {"field": [0, 0, field], "damping": damping}, step=0.02, duration=time)
    with tempfile.TemporaryDirectory() as folder, simulation.run(deck, Path(folder) / "run.h5") as run:
        found = float(run["moment"][-1][0, 0])
    turned = field * time / (1 + damping**2)
    theta = 2 * math.atan(math.tan(theta / 2) * math.exp(-damping * turned))
    return found, math.sin(theta) * math.cos(turned), 1e-7


def _resumed() -> tuple[float, float, float]:
    """Largest difference between a run of coupled moments and the same one stopped and resumed: none, in any bit."""
    magnet = {"exchange": 0.5, "field": [0, 0.3, 0.9], "damping": 0.1}
    deck = _deck(5, 1.1, magnet, step=0.1, duration=2.0)
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole.h5", Path(folder) / "cut.h5"
        simulation.run(deck, cut, until=0.9).close()
        with simulation.run(deck, whole) as one, simulation.resume(cut) as other:
            return float(np.abs(np.asarray(one["moment"]) - np.asarray(other["moment"])).max()), 0.0, 0.0


def _dragged() -> tuple[float, float, float]:
    """Spin of one electron beside a moment that turns, in real time: Rabi's rotation about 2 J m + w z; its y."""
    exchange, frequency, theta, time = 0.6, 0.8, 1.1, 5.0
    electrons = {"method": "real-time", "sd_exchange": exchange, "lead": []}
    motion = {"kind": "precession", "axis": [0, 0, 1], "frequency": frequency}
    deck = _deck(1, theta, {}, step=0.02, duration=time, electrons=electrons, motion=motion)
    with tempfile.TemporaryDirectory() as folder, simulation.run(deck, Path(folder) / "run.h5") as run:
        found = float(run["spin_density"][-1][0, 1])
    m = np.array([math.sin(theta), 0, math.cos(theta)])
    axis = 2 * exchange * m + [0, 0, frequency]
    rate = float(np.linalg.norm(axis))
    axis /= rate
    # Opposite to a moment in this field, as electrons' spins are.
    c, s = math.cos(rate * time), -math.sin(rate * time)
    x, y, _ = c * m + s * np.cross(axis, m) + (1 - c) * (axis @ m) * axis
    return found, math.sin(frequency * time) * x + math.cos(frequency * time) * y, 1e-6


def _deck(sites: int, theta: float, magnet: dict[str, Any], step: float, duration: float, **tables: Any) -> Deck:
    """A chain of moments at the angle theta to z, towards x."""
    direction = [math.sin(theta), 0.0, math.cos(theta)]
    return deck_from(
        {
            "lattice": {"shape": [sites]},
            "texture": {"kind": "uniform", "direction": direction},
            "magnet": magnet,
            "integrator": {"step": step},
            "run": {"duration": duration, "save_every": duration / 2},
            **tables,
        }
    )


CHECKS: dict[str, Callable[[], tuple[float, float, float]]] = {
    "level between leads, transmission": _level,
    "moment in a wire, spin": _moment_at_rest,
    "moving moment, damping torque": lambda: _moving_moment(1),
    "moving moment, torque along dm/dt": lambda: _moving_moment(2),
    "lattice 4 x 3 by f(H), spin": _closed_lattice,
    "strip, sum over open modes": _landauer,
    "moment in a field, run": _precessing,
    "stopped and resumed run": _resumed,
    "dragged electron, real time": _dragged,
}
