"""Cheng and Niu's local formula for the torque of a current, Eq. (16), beside Green's functions, by width of the wall.

A flat wall is held in a wire between two leads, and the torque J_sd s x m of a small bias is split into adiabatic and
non-adiabatic parts.  Where spins follow the moments locally, it is j dn/dx, with j the current of sigma/2 along n far
from the wall; without spin flips there is no non-adiabatic part.  Electrons are clean: nothing but their spread in
velocity averages their precession.  Energies are in units of the hopping, hbar = a = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from llgnegf.beside import textures
from llgnegf.electrons import Device, Lead
from llgnegf.magnet.local_spin import torque_coefficients
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.panels import Curve, Figure, Panel


@dataclass(frozen=True)
class Wire:
    """A wire of so many rows: its name, E_F, J_sd; its fastest electrons have the velocity of the lowest mode."""

    name: str
    rows: int
    fermi_energy: float
    sd_exchange: float

    @property
    def length(self) -> float:
        """v_F/(2 |J_sd|) of the fastest electrons at J_sd = 0, lattice constants."""
        along = self.fermi_energy + (2.0 * math.cos(math.pi / (self.rows + 1)) if self.rows > 1 else 0.0)
        return math.sqrt(4.0 - along**2) / (2.0 * abs(self.sd_exchange))


# Several modes of both spins; one mode of one spin alone; one mode of both spins.
STRIP = Wire("strip, 10 rows", 10, -2.5, -0.3)
CHAIN = Wire("chain, one spin", 1, -1.85, -0.3)
BOTH = Wire("chain, both spins", 1, -1.0, -0.3)
WIDTHS = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0, 30.0)
SHOWN = (14.0, 3.0, 1.0)
ENERGIES, SPREAD = 40, 0.06  # electrons between E_F -+ SPREAD, so many energies: what ends of the wire reflect averages
ROOM = 11.0  # length of the wire in widths, and at least
SHORTEST = 60

_STYLES: dict[str, dict[str, Any]] = {
    STRIP.name: {"color": "#0072B2", "linestyle": "-", "marker": "o", "markersize": 3.5},
    CHAIN.name: {"color": "#D55E00", "linestyle": "--", "marker": "s", "markersize": 3.5},
    BOTH.name: {"color": "black", "linestyle": "", "marker": "o", "markersize": 3.0},
}
_COLOURS = {14.0: ("#0072B2", "-"), 3.0: ("#D55E00", "--"), 1.0: ("#009E73", "-.")}
LOCAL: dict[str, Any] = {"color": "black", "linestyle": ":"}


@dataclass(frozen=True)
class Torque:
    """Torque of a bias on a wall, per voltage, summed over rows.

    x: (n,) distances from the wall; torque: (n, 3); n: directions (n, 3); slope: dn/dx (n, 3); current: of sigma/2
    along n of the uniform wire; absorbed: half of what the current leaves of its spin, by the flows into the leads.
    """

    x: np.ndarray
    torque: np.ndarray
    n: np.ndarray
    slope: np.ndarray
    current: float
    absorbed: float

    @property
    def coefficients(self) -> tuple[float, float]:
        """Adiabatic and non-adiabatic, over the current of the uniform wire."""
        a, b = torque_coefficients(self.torque, self.n, self.slope)
        return a / self.current, b / self.current

    @property
    def left_over(self) -> float:
        """Share of the torque (r.m.s.) that no local formula with two coefficients gives."""
        a, b = torque_coefficients(self.torque, self.n, self.slope)
        rest = self.torque - a * self.slope - b * np.cross(self.n, self.slope)
        return float(np.linalg.norm(rest) / np.linalg.norm(self.torque))

    def along(self, out_of_plane: bool) -> np.ndarray:
        """Torque in the plane across n, or along z: (n,)."""
        e_phi = np.stack([-self.n[:, 1], self.n[:, 0], 0.0 * self.x], axis=-1)
        return self.torque[:, 2] if out_of_plane else (self.torque * e_phi).sum(axis=-1)


def torque_on_wall(wire: Wire, width: float, sites: int | None = None) -> Torque:
    """Of a bias that raises the left lead by half of a small voltage and lowers the right one as much."""
    sites = sites or max(SHORTEST, 2 * round(0.5 * ROOM * width))
    centre = 0.5 * (sites - 1)
    shape: Any = (sites, wire.rows) if wire.rows > 1 else sites
    m = textures.neel_wall((sites,), centre, width, "kishine")
    x = np.arange(sites) - centre
    slope = textures.zero_mode(x, width)[:, None] * math.sqrt(2.0 / width) * np.cross([0.0, 0.0, 1.0], m)
    uniform = np.tile([1.0, 0.0, 0.0], (sites, 1))
    leads = [Lead("left"), Lead("right")]
    torque, current, absorbed = np.zeros((sites, 3)), 0.0, 0.0
    for shift in SPREAD * (2.0 * (np.arange(ENERGIES) + 0.5) / ENERGIES - 1.0):
        device = Device(
            shape, sd_exchange=wire.sd_exchange, fermi_energy=wire.fermi_energy + shift, temperature=0.0, leads=leads
        )
        found, flow = _biased(device, m, wire.rows)
        torque += found / ENERGIES
        absorbed -= 0.5 * flow[:, 0].sum() / ENERGIES
        current += _biased(device, uniform, wire.rows)[1][1, 0] / ENERGIES
    return Torque(x, torque, m, slope, float(current), float(absorbed))


def _biased(device: Device, m: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Torque (sites, 3), summed over rows, and flow of sigma/2 into the leads (2, 3), per voltage."""
    response = device.bias_response(m if rows == 1 else np.repeat(m[:, None], rows, axis=1))
    torque = 0.5 * (response.torque[0] - response.torque[1])
    flow = 0.5 * (response.spin_current[0] - response.spin_current[1])
    return (torque if rows == 1 else torque.sum(axis=1)), flow


def stt_against_wall_width(track: Track) -> Figure:
    """Torque of a current on walls from wide to narrow, beside the local formula."""
    found = {(wire.name, w): torque_on_wall(wire, w) for wire in (STRIP, CHAIN) for w in track(WIDTHS)}
    oscillating, said = _oscillating()
    return Figure(
        "Torque of a current on a wall, by its width: Green's functions and the local formula",
        [
            _by_width("a", "adiabatic", r"over $j\,\partial_x\mathbf{n}$", found, 0),
            _by_width("b", "non-adiabatic", r"over $j\,\mathbf{n}\times\partial_x\mathbf{n}$", found, 1),
            _left_over(found),
            _profiles("d", "strip: in the plane", found, False),
            _profiles("e", "strip: along the hard axis", found, True),
            oscillating,
        ],
        3,
        (*(_told(wire, found) for wire in (STRIP, CHAIN)), *said),
    )  # fmt: skip


_RATIO = r"width $2|J_{sd}|\lambda/v_F$"


def _ratios(wire: Wire) -> np.ndarray:
    return np.array(WIDTHS) / wire.length


def _by_width(key: str, title: str, ylabel: str, found: dict[Any, Torque], part: int) -> Panel:
    curves = [
        Curve(
            wire.name, _ratios(wire), [found[wire.name, w].coefficients[part] for w in WIDTHS], _STYLES[wire.name]
        )
        for wire in (STRIP, CHAIN)
    ]  # fmt: skip
    ends = [min(_ratios(STRIP)[0], _ratios(CHAIN)[0]), max(_ratios(STRIP)[-1], _ratios(CHAIN)[-1])]
    return Panel(key, title, _RATIO, ylabel, [*curves, Curve("local formula", ends, [1.0 - part] * 2, LOCAL)], True)


def _left_over(found: dict[Any, Torque]) -> Panel:
    curves = [
        Curve(wire.name, _ratios(wire), [found[wire.name, w].left_over for w in WIDTHS], _STYLES[wire.name])
        for wire in (STRIP, CHAIN)
    ]
    return Panel("c", "what is not local", _RATIO, "share of the torque", curves, log_x=True)


def _profiles(key: str, title: str, found: dict[Any, Torque], out_of_plane: bool) -> Panel:
    """Over the largest torque of the local formula."""
    curves = []
    for width in (w for w in SHOWN if w in WIDTHS):
        one = found[STRIP.name, width]
        colour, dash = _COLOURS[width]
        near = abs(one.x) < 6.0 * width if width > 1.0 else abs(one.x) < 10.0
        scale = one.current / width
        name = rf"$\lambda$ = {width:g}, {width / STRIP.length:.2g} $v_F/2|J_{{sd}}|$"
        style = {"color": colour, "linestyle": dash}
        curves.append(Curve(name, one.x[near] / width, one.along(out_of_plane)[near] / scale, style))
    u = np.linspace(-6.0, 6.0, 121)
    curves.append(Curve("local formula", u, np.zeros(121) if out_of_plane else 1.0 / np.cosh(u), LOCAL))
    ylabel = r"torque ($j/\lambda$)"
    return Panel(key, title, r"$(x-X)/\lambda$", ylabel, curves)


def _oscillating() -> tuple[Panel, tuple[str, ...]]:
    """Behind a narrow wall in a chain of both spins: the torque goes on, and turns with k_up - k_down.

    What the ends reflect adds ripples with k_up + k_down, along the hard axis most of all.
    """
    one = torque_on_wall(BOTH, 1.0, 2 * SHORTEST)
    J, energy = abs(BOTH.sd_exchange), BOTH.fermi_energy
    expected = math.acos(-(energy + J) / 2.0) - math.acos(-(energy - J) / 2.0)
    behind = (one.x > 8.0) & (one.x < one.x[-1] - 5.0)
    values, x = one.along(False)[behind], one.x[behind]
    wave = _wave_number(x, values, abs(expected))
    scale = 1e3
    panel = Panel(
        "f", "chain of both spins, width 1", "$x - X$ ($a$)", r"torque ($10^{-3}$ of the voltage)",
        [
            Curve("along the hard axis", one.x, scale * one.along(True), _STYLES[STRIP.name] | {"markersize": 2.0}),
            Curve("in the plane", one.x, scale * one.along(False), _STYLES[CHAIN.name] | {"markersize": 2.0}),
        ],
    )  # fmt: skip
    return panel, (
        f"behind a wall of width 1 in a chain the torque has the wave number {wave:.4f}; |k_up - k_down| = "
        f"{abs(expected):.4f}, 2 |J_sd|/v_F = {1.0 / BOTH.length:.4f}; its size there is "
        f"{abs(values).max() / abs(one.along(False)).max():.2g} of that at the wall",
    )


def _wave_number(x: np.ndarray, values: np.ndarray, near: float) -> float:
    """Of the cosine of decaying size that fits the values best."""
    from scipy.optimize import curve_fit

    def wave(x: np.ndarray, a: float, b: float, k: float, decay: float) -> np.ndarray:
        return np.exp(-decay * (x - x[0])) * (a * np.cos(k * x) + b * np.sin(k * x))

    size = float(abs(values).max())
    (_, _, k, _), _ = curve_fit(wave, x, values, (size, size, near, 0.0), maxfev=20000)
    return abs(float(k))


def _told(wire: Wire, found: dict[Any, Torque]) -> str:
    each = [(w / wire.length, *found[wire.name, w].coefficients, found[wire.name, w].left_over) for w in WIDTHS]
    told = "; ".join(f"{r:.2g}: {a:.3f}, {b:+.4f}, {c:.2g}" for r, a, b, c in each)
    lost = max(
        abs(found[wire.name, w].torque[:, 0].sum() + 2.0 * found[wire.name, w].absorbed)
        / abs(found[wire.name, w].absorbed)
        for w in WIDTHS
    )
    return (
        f"{wire.name}: v_F/(2 J_sd) = {wire.length:.3g}; by width over it: adiabatic, non-adiabatic, share that is not "
        f"local: {told}; the sum of the torque is the spin that the current loses, to {lost:.1e}"
    )
