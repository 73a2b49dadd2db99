"""Results beyond Bajpai and Nikolic: their panels to all orders in the frequency, and a field-driven wall.

The moments of that wall follow their LLG equation, with the electrons' back-action.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from llgnegf.deck import load_deck
from llgnegf.dynamics.torques import field_and_damping_like, torque
from llgnegf.electrons import steady_precession
from llgnegf.reproduce.geometric_torque import (
    BONDS,
    EXCHANGES,
    FREQUENCIES,
    FREQUENCY_STYLES,
    LINES,
    MARKED,
    System,
    Track,
    both_couplings,
)
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.seams import path_of
from llgnegf.simulation import run
from llgnegf.units import femtoseconds


def _with_frequencies(x, frozen, exact, style) -> list[Curve]:
    """Curves of the first order in omega (`frozen`) and of the exact result at each frequency (`exact[frequency]`)."""
    curves = [Curve("first order in $\\omega$", x, frozen, style)]
    for frequency, line in zip(FREQUENCIES, FREQUENCY_STYLES, strict=True):
        curves.append(Curve(rf"exact, $\hbar\omega$ = {frequency:g}", x, exact[frequency], line))
    return curves


def exact_fig2(track: Track) -> Figure:
    """Fig. 2, sum of the torques, from the exact density matrix."""
    couplings = np.linspace(0.05, 1, 20)
    frozen: dict = {}
    exact: dict = {}
    for J in EXCHANGES:
        for coupling in track(couplings):
            system = System("precessing_moment", **{"electrons.sd_exchange": J, **both_couplings(float(coupling))})
            sine = np.linalg.norm(system.velocity[0])
            for kind, value in zip(("FL", "DL"), system.components(system.torques()["sum"]), strict=True):
                frozen.setdefault((kind, J), []).append(value[0] / sine)
            for frequency in FREQUENCIES:
                values = system.components(system.exact_torque(frequency))
                for kind, value in zip(("FL", "DL"), values, strict=True):
                    exact.setdefault((kind, J), {}).setdefault(frequency, []).append(value[0] / sine)
    panels = [
        Panel(
            key, rf"$J_{{sd}}$ = {J:g} $t$", r"$\gamma_c/t$", rf"$T^{{\mathrm{{{kind}}}}}/\hbar\omega\,\sin\theta$",
            _with_frequencies(couplings, frozen[kind, J], exact[kind, J], LINES["sum"]),
        )
        for key, (kind, J) in zip("abcd", [(kind, J) for kind in ("FL", "DL") for J in EXCHANGES], strict=True)
    ]  # fmt: skip
    return Figure("Single moment, sum of the torques to all orders in the frequency", panels, 2)


def _exact_profiles(wall: str, track: Track) -> Figure:
    """Sum of the torques on each site of a wall, from the exact density matrix."""
    cases = [(coupling, J) for coupling in (0.0, 1.0) for J in EXCHANGES]
    panels = []
    letters = iter("abcdefgh")
    results = {}
    for coupling, J in track(cases):
        system = System(wall, **{"electrons.sd_exchange": J, **both_couplings(coupling)})
        frozen = system.components(system.torques()["sum"])
        results[coupling, J] = frozen, {f: system.components(system.exact_torque(f)) for f in FREQUENCIES}
    for coupling in (0.0, 1.0):
        for k, kind in enumerate(("FL", "DL")):
            for J in EXCHANGES:
                frozen, exact = results[coupling, J]
                sites = np.arange(len(frozen[k]))
                at = {f: values[k] for f, values in exact.items()}
                title = rf"{'closed' if coupling == 0 else 'open'}, $J_{{sd}}$ = {J:g}"
                label = rf"$T^{{\mathrm{{{kind}}}}}/\hbar\omega$"
                curves = _with_frequencies(sites, frozen[k], at, MARKED["sum"])
                panels.append(Panel(next(letters), title, "site $i$", label, curves, sites=True))
    name = "Neel" if "neel" in wall else "Bloch"
    return Figure(f"{name} wall, sum of the torques to all orders in the frequency", panels, 4)


def exact_fig3(track: Track) -> Figure:
    """Fig. 3 from the exact density matrix."""
    return _exact_profiles("precessing_wall", track)


def exact_fig_s1(track: Track) -> Figure:
    """Fig. S1 from the exact density matrix."""
    return _exact_profiles("precessing_neel_wall", track)


def _exact_totals(wall: str, track: Track) -> Figure:
    """Spin currents into the leads against J_sd, and over the bonds at J_sd = 0.1, from the exact density matrix."""
    exchanges = np.geomspace(0.05, 20, 33)
    frozen, exact = [], {f: [] for f in FREQUENCIES}  # type: ignore[var-annotated]
    for J in track(exchanges):
        system = System(wall, **{"electrons.sd_exchange": float(J)})
        frozen.append(system.currents().into_leads()[1][:, 2].sum())
        for f in FREQUENCIES:
            exact[f].append(steady_precession(system.device, system.m, system.axis, f).pumped_spin.sum() / f)
    system = System(wall, **{"electrons.sd_exchange": 0.1})
    flows = system.currents()
    bonds = np.arange(len(system.m) + 1) - 0.5
    local = {}
    for f in FREQUENCIES:
        steady = steady_precession(system.device, system.m, system.axis, f)
        local[f] = (steady.bond_spin - flows.spin["adiabatic"])[:, 2] / f
    summed = sum(flows.spin[o][:, 2] for o in ("geometric", "sea", "surface"))
    panels = [
        Panel(
            "a", "into the leads", r"$J_{sd}/t$", r"$(I^{S_z}_L + I^{S_z}_R)/\omega$",
            _with_frequencies(exchanges, frozen, exact, LINES["sum"]), log_x=True,
        ),
        Panel(
            "b", "$J_{sd}$ = 0.1 $t$", BONDS, r"$I^{S_z}_{i\to i+1}/\omega$",
            _with_frequencies(bonds, summed, local, MARKED["sum"]), sites=True,
        ),
    ]  # fmt: skip
    name = "Neel" if "neel" in wall else "Bloch"
    return Figure(f"{name} wall, pumped spin current to all orders in the frequency", panels, 2)


def exact_fig4(track: Track) -> Figure:
    """Fig. 4 from the exact density matrix."""
    return _exact_totals("precessing_wall", track)


def exact_fig_s2(track: Track) -> Figure:
    """Fig. S2 from the exact density matrix."""
    return _exact_totals("precessing_neel_wall", track)


def exact_fig_s3(track: Track) -> Figure:
    """Fig. S3 from the exact density matrix."""
    widths = np.arange(1, 16, dtype=float)
    panels = []
    for keys, wall in (("ac", "precessing_wall"), ("bd", "precessing_neel_wall")):
        frozen: list = []
        exact: dict = {f: [] for f in FREQUENCIES}
        for width in track(widths):
            changes = {"lattice.shape": [21], "texture.center": 10.0, "texture.width": float(width)}
            system = System(wall, **changes)
            flows = system.currents()
            total = np.sum([flows.spin[o][:, 2] for o in ("geometric", "sea", "surface")], axis=0)
            frozen.append((total[12], total[-1]))
            for f in FREQUENCIES:
                steady = steady_precession(system.device, system.m, system.axis, f)
                moved = (steady.bond_spin - flows.spin["adiabatic"])[:, 2] / f
                exact[f].append((moved[12], moved[-1]))
        for k, (key, label) in enumerate(
            zip(keys, (r"$I^{S_z}_{11\to 12}/\omega$", r"$I^{S_z}_R/\omega$"), strict=True)
        ):
            at = {f: [row[k] for row in rows] for f, rows in exact.items()}
            name = "Neel" if "neel" in wall else "Bloch"
            curves = _with_frequencies(widths, [row[k] for row in frozen], at, LINES["sum"])
            panels.append(Panel(key, f"{name} wall", "width $W$ ($a$)", label, curves))
    panels.sort(key=lambda panel: panel.key)
    return Figure("Wide walls, N = 21, to all orders in the frequency", panels, 2)


def free_wall(track: Track) -> Figure:
    """A field-driven wall with the electrons' back-action: torque of the electrons by origin along the motion."""
    deck = load_deck("wall_in_wire")
    with tempfile.TemporaryDirectory() as folder:
        for _ in track([deck.name]):
            pass
        with run(deck, Path(folder) / "wall.h5") as result:
            time = np.array(result.times)
            m, velocity = np.asarray(result["moment"]), np.asarray(result["velocity"])
            spins = {name: np.asarray(result[f"spin_{name}"]) for name in ("sea", "surface")}
            position, tilt = path_of(result, "wall_position"), path_of(result, "wall_tilt")
    assert deck.electrons is not None
    torques = {name: torque(s, m, deck.electrons.uniform_exchange) for name, s in spins.items()}
    speed = np.linalg.norm(velocity, axis=-1).max(axis=1)
    unit = deck.units.label
    xlabel = rf"$t$ ($\hbar$/{unit} = {femtoseconds(1.0, deck.units_energy_ev):.3g} fs)"
    panels = [
        Panel("a", "wall", xlabel, "position $X$ ($a$)", [Curve("position", time, position, {"color": "#0072B2"})]),
        Panel(
            "b",
            "wall",
            xlabel,
            r"tilt $\phi$ (rad)",
            [Curve("tilt", time, tilt, {"color": "#D55E00", "linestyle": "--"})],
        ),
    ]
    for key, k, kind in (("c", 0, "FL"), ("d", 1, "DL")):
        curves = []
        for name, T in torques.items():
            parts = field_and_damping_like(T, m, velocity)[k]
            curves.append(Curve(name, time, np.nansum(parts, axis=1) / speed, LINES[name]))
        panels.append(
            Panel(key, "summed over sites", xlabel, rf"$\sum_i T^{{\mathrm{{{kind}}}}}_i/\hbar|\dot m|_\max$", curves)
        )
    work = {name: (T * np.cross(m, velocity)).sum(axis=(1, 2)) for name, T in torques.items()}
    panels.append(
        Panel(
            "e", "energy taken from the moments", xlabel, rf"power $P$ ({unit}$^2/\hbar$)",
            [Curve(name, time, values, LINES[name]) for name, values in work.items()],
        )
    )  # fmt: skip
    return Figure("Field-driven wall, self-consistent: torque by origin along its trajectory", panels, 3)
