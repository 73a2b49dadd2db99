"""The figures of Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202 (2020), from shipped decks.

Torques are divided by hbar omega, spin currents by omega: to first order both are proportional to omega.  A bond
current is positive along +x, a lead current into the lead.  Sites count from 0, in the paper from 1.  The paper's split
(geometric, sea, surface) exists for steady precession only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from llgnegf.deck import Deck, load_deck
from llgnegf.dynamics.torques import field_and_damping_like, torque
from llgnegf.electrons import Device, chain_self_energy, steady_precession
from llgnegf.electrons.currents import Currents, precession_currents
from llgnegf.parts.electrons import build_open_device
from llgnegf.parts.moments import initial_moments
from llgnegf.plots.curves import STYLES
from llgnegf.reproduce.panels import Curve, Figure, Panel

Track = Callable[[Iterable], Iterable]

PARTS = ("geometric", "sea", "surface")
EXCHANGES = (0.1, 20.0)
FREQUENCIES = (0.001, 0.01, 0.1, 0.5)
MARKED = {name: {k: v for k, v in style.items() if k != "label"} for name, style in STYLES.items()}
LINES = {name: {**style, "marker": ""} for name, style in MARKED.items()}
FORMULA = {"color": "#CC79A7", "linestyle": (0, (4, 1.5)), "linewidth": 1.1}
EXACT_LINE = {"color": "#E69F00", "linestyle": (0, (1, 1.2)), "linewidth": 2.2}
SMF = {"color": "black", "linestyle": "--"}
# Where flows over bonds are drawn: bond i -> i + 1 at i + 1/2, those to the leads at both ends.
BONDS = "site $i$ (ends: leads)"
FREQUENCY_STYLES: list[dict[str, Any]] = [
    {"color": "#56B4E9", "linestyle": "-"},
    {"color": "#009E73", "linestyle": "--"},
    {"color": "#E69F00", "linestyle": "-."},
    {"color": "#D55E00", "linestyle": ":"},
]


class System:
    """Device, moments (n, 3) and axis of precession of a shipped deck.

    name: of the deck; changes: values of its keys by dotted name.  axis: unit vector (3,).
    """

    def __init__(self, name: str, **changes: Any) -> None:
        deck: Deck = load_deck(name, {key.replace("__", "."): value for key, value in changes.items()})
        device = build_open_device(deck)
        assert deck.motion.axis is not None
        self.device: Device = device
        self.m = initial_moments(deck)
        self.axis = np.array(deck.motion.axis, dtype=float) / np.linalg.norm(deck.motion.axis)
        self.sd_exchange = device.sd_exchange

    @property
    def velocity(self) -> np.ndarray:
        """dm/dt for omega = 1, (n, 3)."""
        return np.cross(self.axis, self.m)

    def torques(self) -> dict[str, np.ndarray]:
        """T/omega by origin and their sum, (n, 3)."""
        frozen = self.device.freeze(self.m)
        spin = frozen.precession(self.axis, 1.0)
        assert spin.geometric is not None
        parts = {"geometric": spin.geometric, "sea": spin.sea, "surface": spin.surface}
        parts["sum"] = spin.nonadiabatic
        return {name: torque(s, self.m, self.sd_exchange) for name, s in parts.items()}

    def exact_torque(self, frequency: float) -> np.ndarray:
        """Nonadiabatic torque/omega from the exact density matrix, (n, 3)."""
        exact = steady_precession(self.device, self.m, self.axis, frequency)
        return torque(exact.spin_nonadiabatic, self.m, self.sd_exchange) / frequency

    def currents(self) -> Currents:
        """Charge and spin flow divided by omega, by origin."""
        return precession_currents(self.device, self.m, self.axis, 1.0)

    def components(self, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(field-like, damping-like) of torques (n, 3)."""
        return field_and_damping_like(T, self.m, self.velocity)


def both_couplings(coupling: float) -> dict[str, float]:
    """Changes of a deck that give both leads the same coupling."""
    return {"electrons.lead.0.coupling": coupling, "electrons.lead.1.coupling": coupling}


def smf_current(system: System) -> tuple[np.ndarray, np.ndarray]:
    """Spin-motive-force formula on the bonds: positions (n - 1,) and I_z/omega = (G_0/4) [dM/dt x dM/dx]_z/omega.

    G_0 = G_up + G_down = (T_up + T_down)/(2 pi) in units of e^2/hbar; for precession about z the bracket is
    omega M_z dM_z/dx (Zhang and Zhang, Phys. Rev. Lett. 102, 086601 (2009); caption of Fig. 4).
    """
    transmission = system.device.transmission(system.device.fermi_energy, system.m).sum()
    mz = system.m[:, 2]
    bonds = np.arange(len(mz) - 1) + 0.5
    return bonds, transmission / (8 * np.pi) * 0.5 * (mz[1:] + mz[:-1]) * np.diff(mz)


def _letters(count: int) -> str:
    return "abcdefghijklmnop"[:count]


# --- Fig. 2 ----------------------------------------------------------------------------------------


def fig2(track: Track) -> Figure:
    """Torque on a single moment against its coupling to the leads."""
    couplings = np.linspace(0, 1, 41)
    values: dict[tuple[float, str, str], list[float]] = {}
    formulas: dict[tuple[float, str, str], list[float]] = {}
    for sd_exchange in EXCHANGES:
        for coupling in track(couplings):
            system = _moment(sd_exchange, coupling)
            sine = np.linalg.norm(system.velocity[0])
            for name, T in system.torques().items():
                for kind, value in zip(("FL", "DL"), system.components(T), strict=True):
                    values.setdefault((sd_exchange, kind, name), []).append(value[0] / sine)
            for name, pair in (
                ("phase shift (sum)", phase_shift_torque(sd_exchange, coupling)),
                ("wide band (geometric)", (wide_band_geometric(sd_exchange, coupling), np.nan)),
            ):
                for kind, number in zip(("FL", "DL"), pair, strict=True):
                    formulas.setdefault((sd_exchange, kind, name), []).append(number)
    panels = []
    for key, (kind, sd_exchange) in zip(
        _letters(4), [(kind, J) for kind in ("FL", "DL") for J in EXCHANGES], strict=True
    ):
        curves = [Curve(name, couplings, values[sd_exchange, kind, name], LINES[name]) for name in (*PARTS, "sum")]
        curves.append(
            Curve("phase shift (sum)", couplings, formulas[sd_exchange, kind, "phase shift (sum)"], EXACT_LINE)
        )
        if kind == "FL":
            wide = formulas[sd_exchange, kind, "wide band (geometric)"]
            curves.append(Curve("wide band (geometric)", couplings, wide, FORMULA))
        # The paper's order: (a), (b) are field-like, (c), (d) damping-like.
        title = rf"$J_{{sd}}$ = {sd_exchange:g} $t$"
        panels.append(_torque_panel(key, kind, title, r"$\gamma_c/t$", curves, r"\sin\theta"))
    return Figure("Single precessing moment, Fig. 2", panels, 2)


def _moment(sd_exchange: float, coupling: float) -> System:
    """A single precessing moment between two leads with this coupling."""
    return System("precessing_moment", **{"electrons.sd_exchange": sd_exchange, **both_couplings(float(coupling))})


def phase_shift_torque(sd_exchange: float, coupling: float, energy: float = 0.0) -> tuple[float, float]:
    """(FL, DL) torque/(omega sin theta) of one moment, exact to first order: (2D - sin 2D)/4pi, (1 - cos 2D)/4pi.

    D is the difference of the scattering phases of the two spins, arg(E - J - Sigma) - arg(E + J - Sigma).
    """
    sigma = 2 * chain_self_energy(energy, 1.0, coupling)[0]
    # For coupling 0 the argument is real; the tiny imaginary part selects the limit from above.
    tiny = 1e-300j
    phase = np.angle(energy - sd_exchange - sigma + tiny) - np.angle(energy + sd_exchange - sigma + tiny)
    return float(2 * phase - np.sin(2 * phase)) / (4 * np.pi), float(1 - np.cos(2 * phase)) / (4 * np.pi)


def wide_band_geometric(sd_exchange: float, coupling: float) -> float:
    """Eq. (4): geometric torque/(omega sin theta) for Sigma = -i Gamma, Gamma = 2 gamma_c^2/t at the band centre."""
    return (np.pi - 2 * np.arctan(2 * coupling**2 / sd_exchange)) / (2 * np.pi)


# --- Figs. 3 and S1 --------------------------------------------------------------------------------


def profiles(wall: str, track: Track) -> Figure:
    """Torque on each site of a wall, by origin: without and with leads, for weak and strong exchange."""
    cases = [(coupling, J, kind) for coupling in (0.0, 1.0) for kind in ("FL", "DL") for J in EXCHANGES]
    results = {}
    for coupling, J in track([(c, J) for c in (0.0, 1.0) for J in EXCHANGES]):
        system = System(wall, **{"electrons.sd_exchange": J, **both_couplings(coupling)})
        results[coupling, J] = {name: system.components(T) for name, T in system.torques().items()}
    panels = []
    for key, (coupling, J, kind) in zip(_letters(8), cases, strict=True):
        k = ("FL", "DL").index(kind)
        parts = results[coupling, J]
        sites = np.arange(len(parts["sum"][k]))
        curves = [Curve(name, sites, parts[name][k], MARKED[name]) for name in PARTS]
        title = rf"{'closed' if coupling == 0 else 'open'}, $J_{{sd}}$ = {J:g}"
        panels.append(_torque_panel(key, kind, title, "site $i$", curves, sites=True))
    return Figure(f"{_wall_name(wall)}, torque by origin", panels, 4)


def _wall_name(wall: str) -> str:
    return "Neel wall" if "neel" in wall else "Bloch wall"


def _torque_panel(key, kind, title, xlabel, curves, extra="", sites=False) -> Panel:
    """A panel of torques of this kind (FL or DL) over hbar omega, with `extra` as a further factor in the divisor."""
    divisor = r"\hbar\omega" + (rf"\,{extra}" if extra else "")
    return Panel(key, title, xlabel, rf"$T^{{\mathrm{{{kind}}}}}/{divisor}$", curves, sites=sites)


def fig3(track: Track) -> Figure:
    """Fig. 3: torque on each site of the Bloch wall."""
    return profiles("precessing_wall", track)


def fig_s1(track: Track) -> Figure:
    """Fig. S1: torque on each site of the Neel wall."""
    return profiles("precessing_neel_wall", track)


# --- Figs. 4 and S2 --------------------------------------------------------------------------------


def totals(wall: str, track: Track) -> Figure:
    """Total torque and pumped currents against J_sd; bond currents by origin at J_sd = 0.1."""
    exchanges = np.geomspace(0.02, 20, 61)
    names = ("surface", "geometric", "geometric, in plane", "pumped (leads)", "spin-motive force")
    curves: dict[str, list[float]] = {name: [] for name in names}
    for J in track(exchanges):
        system = System(wall, **{"electrons.sd_exchange": float(J)})
        T, flows = system.torques(), system.currents()
        surface, geometric = (_summed_damping_like(system, T[name]) for name in ("surface", "geometric"))
        curves["surface"].append(surface[2])
        curves["geometric"].append(geometric[2])
        curves["geometric, in plane"].append(np.hypot(geometric[0], geometric[1]))
        curves["pumped (leads)"].append(flows.into_leads()[1][:, 2].sum())
        _, smf = smf_current(system)
        curves["spin-motive force"].append(smf[-1] - smf[0])
    styles = {
        "surface": LINES["surface"],
        "geometric": LINES["geometric"],
        "geometric, in plane": {**LINES["geometric"], "linestyle": "-."},
        "pumped (leads)": {**MARKED["exact"], "markersize": 4},
        "spin-motive force": SMF,
    }
    panels = [
        Panel(
            "a", "total, all sites", r"$J_{sd}/t$", r"$\sum_i T_i/\hbar\omega$",
            [Curve(name, exchanges, values, styles[name]) for name, values in curves.items()],
            log_x=True,
        )
    ]  # fmt: skip
    system = System(wall, **{"electrons.sd_exchange": 0.1})
    flows = system.currents()
    bonds = np.arange(len(system.m) + 1) - 0.5
    smf_at, smf = smf_current(system)
    for key, origins in (("b", ("surface",)), ("c", ("geometric", "sea"))):
        drawn = [Curve(o, bonds, flows.spin[o][:, 2], MARKED[o]) for o in origins]
        if key == "b":
            drawn.append(Curve("spin-motive force", smf_at, smf, SMF))
        panels.append(Panel(key, "$J_{sd}$ = 0.1 $t$", BONDS, r"$I^{S_z}_{i\to i+1}/\omega$", drawn, sites=True))
    return Figure(f"{_wall_name(wall)}, pumped spin current", panels, 3)


def _summed_damping_like(system: System, T: np.ndarray) -> np.ndarray:
    """Sum over sites of the damping-like part (T.e_DL) e_DL, (3,)."""
    e_dl = np.cross(system.m, system.velocity)
    e_dl = e_dl / np.linalg.norm(e_dl, axis=1, keepdims=True)
    return ((T * e_dl).sum(axis=1, keepdims=True) * e_dl).sum(axis=0)


def fig4(track: Track) -> Figure:
    """Fig. 4: total torque and pumped spin currents of the Bloch wall."""
    return totals("precessing_wall", track)


def fig_s2(track: Track) -> Figure:
    """Fig. S2: total torque and pumped spin currents of the Neel wall."""
    return totals("precessing_neel_wall", track)


# --- Fig. S3 ---------------------------------------------------------------------------------------


def fig_s3(track: Track) -> Figure:
    """Spin current over one bond and into the right lead against the width of the wall, 21 sites."""
    widths = np.arange(1, 16, dtype=float)
    shown = {w: _wide("precessing_wall", w).m[:, 1] for w in (1.0, 15.0)}
    sites = np.arange(21)
    panels = [
        Panel(
            "a", "Bloch wall", "site $i$", "$M^y_i$",
            [Curve(f"W = {w:g}", sites, my, s) for (w, my), s in zip(shown.items(), FREQUENCY_STYLES, strict=False)],
            sites=True,
        )
    ]  # fmt: skip
    local, outflow = {}, {}
    for wall in ("precessing_wall", "precessing_neel_wall"):
        rows = []
        for width in track(widths):
            system = _wide(wall, width)
            flows = system.currents()
            total = np.sum([flows.spin[o][:, 2] for o in PARTS], axis=0)
            _, smf = smf_current(system)
            # The bond 11 -> 12, in the paper 12 -> 13: entry 12 of the flows (0 is the left lead's), 11 of the formula.
            rows.append((total[12], smf[11], total[-1], smf[-1]))
        values = np.array(rows).T
        local[wall], outflow[wall] = values[:2], values[2:]
    for key, wall, data, label in [
        ("b", "precessing_wall", local, r"$I^{S_z}_{11\to 12}/\omega$"),
        ("c", "precessing_neel_wall", local, r"$I^{S_z}_{11\to 12}/\omega$"),
        ("d", "precessing_wall", outflow, r"$I^{S_z}_R/\omega$"),
        ("e", "precessing_neel_wall", outflow, r"$I^{S_z}_R/\omega$"),
    ]:
        curves = [
            Curve("frozen Green's functions", widths, data[wall][0], {"color": "#0072B2", "marker": "o"}),
            Curve("spin-motive force", widths, data[wall][1], SMF),
        ]
        panels.append(Panel(key, _wall_name(wall), "width $W$ ($a$)", label, curves))
    return Figure("Wide walls, N = 21, Fig. S3", panels, 3)


def _wide(wall: str, width: float) -> System:
    """A wall of this width in the middle of 21 sites."""
    return System(wall, **{"lattice.shape": [21], "texture.center": 10.0, "texture.width": float(width)})
