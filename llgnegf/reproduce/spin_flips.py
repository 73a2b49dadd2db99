"""Spins that flip: the beta of the torque of a current, from Green's functions with probes on all sites of a wire.

Each probe (`electrons.bath`) takes an electron at the rate `width` and gives it back without its spin: tau_sf =
1/width, and the same elastic time.  Cheng and Niu's Eq. (16) then has xi = tau_ex/tau_sf = -width/(2 J_sd): the torque
of a spin current j of sigma/2 along n is j [dn/dx - xi n x dn/dx]/(1 + xi^2).  Here j is that at the same place, since
the spin of the current builds up and decays along the wire.  Uniform moments that turn are damped by Eq. (17): with
eta = -s_0/(2 S (1 + xi^2)), S = 1, the torque of the electrons is -eta dn/dt + eta xi n x dn/dt.  Ohm's law of such a
wire is that of D'Amato and Pastawski, Phys. Rev. B 41, 7411 (1990).  Energies are in units of the hopping, hbar = a
= 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from llgnegf.beside import textures
from llgnegf.electrons import Bath, Device
from llgnegf.magnet.local_spin import LocalSpins, torque_coefficients
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.panels import Curve, Figure, Panel

SD_EXCHANGE, FERMI_ENERGY = -0.3, -1.0
RATES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)  # widths of the bath
WIDTHS = (3.0, 6.0, 12.0, 24.0)  # of the wall
SHOWN = 12.0, 0.2
LENGTHS = (10, 20, 40, 80, 160)
RESISTIVE = (0.05, 0.2)
TURNING = 161  # sites of a wire of uniform moments
ROOM, SHORTEST = 11.0, 60  # length of the wire in widths of the wall, and at least

_COLOURS = dict(zip(WIDTHS, ("#CC79A7", "#009E73", "#D55E00", "#0072B2"), strict=True))
_LOCAL: dict[str, Any] = {"color": "black", "linestyle": ":"}
_MARKERS, _DASHES = ("o", "s", "^", "d"), ("-", "--", "-.", (0, (5, 1)))  # beside the colours, for print
_OF_SHOWN: dict[str, Any] = {"color": _COLOURS[SHOWN[0]], "linestyle": _DASHES[WIDTHS.index(SHOWN[0])]}


@dataclass(frozen=True)
class WallTorque:
    """Torque of a small bias on a flat wall, per voltage.

    x: (n,) distances from the wall; torque: (n, 3); n: directions (n, 3); slope: dn/dx (n, 3); current: (n,) of sigma/2
    along n at each site.
    """

    x: np.ndarray
    torque: np.ndarray
    n: np.ndarray
    slope: np.ndarray
    current: np.ndarray

    @property
    def coefficients(self) -> tuple[float, float]:
        """Adiabatic and non-adiabatic, over the current at the same place."""
        return torque_coefficients(self.torque, self.n, self.current[:, None] * self.slope)

    @property
    def beta(self) -> float:
        """Of the Zhang-Li torque."""
        a, b = self.coefficients
        return -b / a

    @property
    def left_over(self) -> float:
        """Share of the torque (r.m.s.) that no local formula with two coefficients gives."""
        return float(np.linalg.norm(self.torque - self._local(*self.coefficients)) / np.linalg.norm(self.torque))

    def _local(self, a: float, b: float) -> np.ndarray:
        drive = self.current[:, None] * self.slope
        return a * drive + b * np.cross(self.n, drive)

    def along(self, out_of_plane: bool) -> np.ndarray:
        """Torque in the plane across n, or along z: (n,)."""
        return _along(self.torque, self.n, out_of_plane)

    def expected(self, xi: float, out_of_plane: bool) -> np.ndarray:
        """That of the local formula: (n,)."""
        scale = 1.0 / (1.0 + xi * xi)
        return _along(self._local(scale, -xi * scale), self.n, out_of_plane)


def _along(torque: np.ndarray, n: np.ndarray, out_of_plane: bool) -> np.ndarray:
    e_phi = np.stack([-n[:, 1], n[:, 0], 0.0 * n[:, 0]], axis=-1)
    return torque[:, 2] if out_of_plane else (torque * e_phi).sum(axis=-1)


def torque_on_wall(width: float, rate: float, sd_exchange: float = SD_EXCHANGE) -> WallTorque:
    """Of a bias that raises the left lead by half of a small voltage and lowers the right one as much.

    width: of the wall; rate: width of the probes on all sites.
    """
    sites = max(SHORTEST, 2 * round(0.5 * ROOM * width))
    centre = 0.5 * (sites - 1)
    m, x = textures.neel_wall((sites,), centre, width, "kishine"), np.arange(sites) - centre
    slope = textures.zero_mode(x, width)[:, None] * math.sqrt(2.0 / width) * np.cross([0.0, 0.0, 1.0], m)
    device = Device(sites, sd_exchange=sd_exchange, fermi_energy=FERMI_ENERGY, bath=Bath(range(sites), rate))
    # At kT = 0 the linear response is that of the states at E_F, from the left less from the right.
    states = device.freeze(m).sweeps.biased(np.array([FERMI_ENERGY]), None, with_bonds=True)
    density, over_bonds = (0.5 * (part[0, 0, 0] - part[0, 1, 0]) / (2 * np.pi) for part in (states.rows, states.bonds))
    between = m[1:] + m[:-1]
    along = (over_bonds[:, 1:] / 2 * between).sum(axis=1) / np.linalg.norm(between, axis=1)
    current = np.interp(x, 0.5 * (x[1:] + x[:-1]), along)
    return WallTorque(x, sd_exchange * np.cross(density[:, 1:], m), m, slope, current)


def resistance(sites: int, rate: float) -> float:
    """Of a wire of so many sites with probes on all of them, over that of a clean one of the same two channels."""
    device = Device(sites, sd_exchange=0.0, bath=Bath(range(sites), rate))
    return 2.0 / float(device.transmission(FERMI_ENERGY, np.zeros((sites, 3))).sum())


def turning_magnet(rate: float) -> tuple[float, float, float]:
    """Torque of electrons on uniform moments that turn slowly, over dn/dt and over n x dn/dt, and s_0 along n.

    The mean over the middle of the wire; first order in the velocity.
    """
    n = np.tile([0.6, 0.0, 0.8], (TURNING, 1))
    device = Device(TURNING, sd_exchange=SD_EXCHANGE, fermi_energy=FERMI_ENERGY, bath=Bath(range(TURNING), rate))
    moving = np.cross([0.0, 0.0, 0.01], n)
    spin = device.spin_density(n, moving)
    middle = slice(TURNING // 2 - TURNING // 8, TURNING // 2 + TURNING // 8 + 1)
    torque = SD_EXCHANGE * np.cross(spin.first_order, n)[middle].mean(axis=0)
    across, speed = np.cross(n[0], moving[0]), moving[0] @ moving[0]
    along = float((spin.adiabatic @ n[0])[middle].mean())
    return float(torque @ moving[0] / speed), float(torque @ across / speed), along


def stt_with_spin_flips(track: Track) -> Figure:
    """Torque of a current on walls where spins flip, beside the local formula; and Ohm's law."""
    found = {(w, r): torque_on_wall(w, r) for w in track(WIDTHS) for r in RATES}
    turning = {r: turning_magnet(r) for r in RATES}
    ohm = {(n, r): resistance(n, r) for r in RESISTIVE for n in LENGTHS}
    xi = np.array([_xi(rate) for rate in RATES])
    left_over = {key: one.left_over for key, one in found.items()}
    return Figure(
        "Torque of a current on a wall where probes flip spins: Green's functions and the local formula",
        [
            _by_rate("a", "beta", r"$\beta$", xi, {key: one.beta for key, one in found.items()}, xi),
            _by_rate(
                "b",
                "adiabatic",
                r"over $j\,\partial_x\mathbf{n}$",
                xi,
                {key: one.coefficients[0] for key, one in found.items()},
                1.0 / (1.0 + xi**2),
            ),
            _by_rate("c", "what is not local", "share of the torque", xi, left_over),
            _profile("d", "in the plane", False),
            _profile("e", "along the hard axis", True),
            _ohm(ohm),
            _damping(xi, turning, True),
            _damping(xi, turning, False),
        ],
        3,
        (*(_told(width, found) for width in WIDTHS), _told_ohm(ohm), _told_damping(turning)),
    )  # fmt: skip


def _xi(rate: float) -> float:
    return LocalSpins.of_coupling(SD_EXCHANGE, 1.0 / rate).xi


_XI = r"$\xi = \tau_{ex}/\tau_{sf}$"


def _by_rate(
    key: str, title: str, ylabel: str, xi: np.ndarray, values: dict[Any, float], local: np.ndarray | None = None
) -> Panel:
    curves = [
        Curve(
            rf"$\lambda$ = {width:g}",
            xi,
            [values[width, rate] for rate in RATES],
            {"color": _COLOURS.get(width), "marker": marker, "linestyle": line, "markersize": 3.0},
        )
        for width, marker, line in zip(WIDTHS, _MARKERS, _DASHES, strict=False)
    ]
    if local is not None:
        curves.append(Curve("local formula", xi, local, _LOCAL))
    return Panel(key, title, _XI, ylabel, curves)


def _profile(key: str, title: str, out_of_plane: bool) -> Panel:
    width, rate = SHOWN
    one = torque_on_wall(width, rate)
    scale = float(abs(one.along(False)).max())
    near = abs(one.x) < 5.0 * width
    curves = [
        Curve(rf"$\lambda$ = {width:g}", one.x[near], one.along(out_of_plane)[near] / scale, _OF_SHOWN),
        Curve("local formula", one.x[near], one.expected(_xi(rate), out_of_plane)[near] / scale, _LOCAL),
    ]
    return Panel(key, rf"{title}, $\xi$ = {_xi(rate):.2g}", "$x - X$ ($a$)", "torque, over the largest", curves)


def _eta(rate: float, along: float) -> float:
    return -along / (2.0 * (1.0 + _xi(rate) ** 2))


def _damping(xi: np.ndarray, turning: dict[float, tuple[float, float, float]], damps: bool) -> Panel:
    found = [turning[rate][1] if damps else -turning[rate][0] for rate in RATES]
    local = [_eta(rate, turning[rate][2]) * (_xi(rate) if damps else 1.0) for rate in RATES]
    style = {"color": "black", "linestyle": "", "marker": "o", "markersize": 3.0}
    title = "damping of uniform moments" if damps else "spin that moves with them"
    return Panel(
        "g" if damps else "h",
        title,
        _XI,
        r"$\eta\xi$" if damps else r"$\eta$",
        [Curve("uniform moments", xi, found, style), Curve("local formula", xi, local, _LOCAL)],
    )


def _told_damping(turning: dict[float, tuple[float, float, float]]) -> str:
    each = [
        (_xi(r), turning[r][1], _eta(r, turning[r][2]) * _xi(r), -turning[r][0], _eta(r, turning[r][2])) for r in RATES
    ]
    told = "; ".join(f"{xi:.3g}: {a:.3g} ({b:.3g}), {c:.3g} ({d:.3g})" for xi, a, b, c, d in each)
    return f"uniform moments; by xi: damping (eta xi of Eq. (17)), spin that moves with them (eta): {told}"


def _velocity() -> float:
    return math.sqrt(4.0 - FERMI_ENERGY**2)


def _ohm(ohm: dict[Any, float]) -> Panel:
    curves = []
    n = np.array(LENGTHS, dtype=float)
    for rate, colour, marker in zip(RESISTIVE, ("#0072B2", "#D55E00"), _MARKERS, strict=False):
        style = {"color": colour, "linestyle": "", "marker": marker, "markersize": 3.0}
        curves.append(Curve(rf"$\Gamma$ = {rate:g}", n, [ohm[k, rate] for k in LENGTHS], style))
        curves.append(Curve(r"$1 + L/2\ell$", n, 1.0 + n * rate / (2.0 * _velocity()), _LOCAL))
    return Panel("f", "Ohm's law, over a clean wire", "sites", "resistance", curves)


def _told(width: float, found: dict[Any, WallTorque]) -> str:
    each = [(_xi(r), found[width, r].beta, found[width, r].coefficients[0], found[width, r].left_over) for r in RATES]
    told = "; ".join(f"{xi:.3g}: {beta:.3g}, {a:.3f} ({1.0 / (1.0 + xi * xi):.3f}), {c:.2g}" for xi, beta, a, c in each)
    return f"wall of width {width:g}; by xi: beta, adiabatic (local formula), share that is not local: {told}"


def _told_ohm(ohm: dict[Any, float]) -> str:
    worst = max(
        abs(found / (1.0 + n * rate / (2.0 * _velocity())) - 1.0)
        for (n, rate), found in ohm.items()
        if n >= LENGTHS[-1]
    )
    return f"resistance of {LENGTHS[-1]} sites: 1 + L/2l, l = v/width, to {worst:.1%}"
