"""R. Cheng and Q. Niu, "Microscopic derivation of spin-transfer torque in ferromagnets": their local spin dynamics.

The solver of Eq. (8) with relaxation beside Eqs. (9), (11) and (13), and the moments that feel such spins beside the
renormalised magnet of Eqs. (16) and (17).  Times are in units of the exchange time tau_ex where there is no other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from llgnegf.magnet.local_spin import LocalSpins, torque_coefficients
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.panels import Curve, Figure, Panel

EPS = (0.03, 0.04)
XI = 0.1
# Wall width over v tau_ex.
SHOWN = (10.0, 2.0, 0.5)
RATIOS = (0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 50.0)
FLIPS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
# The macrospin of panel f: S, alpha, xi, precession in exchange times.
_SPIN, _DAMPING, _FLIP, _FIELD, _TURNS = 1.0, 0.05, 0.5, 0.02, 1.5

SOLVER: dict[str, Any] = {"color": "black", "linestyle": "", "marker": "o", "markersize": 2.5}
CLOSED: dict[str, Any] = {"color": "#0072B2", "linestyle": "-"}
PRINTED: dict[str, Any] = {"color": "#D55E00", "linestyle": "--"}
LOCAL: dict[str, Any] = {"color": "black", "linestyle": ":"}
_COLOURS = ("#0072B2", "#D55E00", "#009E73")
_DASHES = ("-", "--", "-.")


def local(track: Track) -> Figure:
    """Spins of electrons that follow a turning magnetisation, and the torque they give: solver and closed forms."""
    electrons = LocalSpins(1.0, 1.0 / XI)
    coefficients = {ratio: _through(electrons, ratio) for ratio in track(RATIOS)}
    betas = [_through(LocalSpins(1.0, 1.0 / xi if xi else np.inf), RATIOS[-1])[1] for xi in FLIPS]
    precession = [_macrospin(share) for share in track(SHARES)]
    panels, lost = _constant_rotation(electrons)
    by_ratio = np.array(list(coefficients.values()))
    expected = np.array([1.0, XI]) / (1.0 + XI * XI)
    share = np.stack([by_ratio[:, 0], by_ratio.prod(axis=1)], axis=-1) / expected
    panels += [
        _profiles(electrons),
        Panel(
            "d", rf"torque on a wall, $\xi$ = {XI:g}", r"wall width $l/v\tau_\mathrm{ex}$", "over the local formula",
            [
                Curve("adiabatic", RATIOS, share[:, 0], {**CLOSED, "marker": "o", "markersize": 3.0}),
                Curve("non-adiabatic", RATIOS, share[:, 1], {**PRINTED, "marker": "s", "markersize": 3.0}),
                Curve("local formula", RATIOS, np.ones(len(RATIOS)), LOCAL),
            ],
            log_x=True,
        ),
        Panel(
            "e", rf"wide wall, $l$ = {RATIOS[-1]:g} $v\tau_\mathrm{{ex}}$", r"$\tau_\mathrm{ex}/\tau_\mathrm{sf}$",
            r"non-adiabatic $\beta$",
            [Curve("solver", FLIPS, betas, SOLVER), Curve("local formula", FLIPS, FLIPS, LOCAL)],
        ),
        _renormalised(precession),
    ]  # fmt: skip
    told = (RATIOS[-1], 5.0, 2.0, 1.0, RATIOS[0])
    return Figure(
        "Electron spins that follow a magnetisation locally, and their torque",
        panels,
        3,
        (
            f"s_1, s_2 of Eqs. (9a, b) differ from the solver by at most {lost[0]:.1e}, s_3 of Eq. (9c) as printed by "
            f"{lost[1]:.1e}, with the lost term by {lost[2]:.1e}; eps = {np.hypot(*EPS):g}",
            "torque on a wall over the local formula, adiabatic and non-adiabatic: "
            + ", ".join(
                f"{a:.3f} and {b:.3f} at l = {ratio:g} v tau_ex"
                for ratio, (a, b) in zip(RATIOS, share, strict=True)
                if ratio in told
            ),
            f"beta = xi on the wide wall to {max(abs(np.subtract(betas, FLIPS))):.1e}",
            "S~/S and alpha~ from the moving moment differ from Eqs. (17) by at most "
            f"{max(abs(p[0] - p[2]) for p in precession):.1e} and {max(abs(p[1] - p[3]) for p in precession):.1e}",
        ),
    )


def _constant_rotation(electrons: LocalSpins) -> tuple[list[Panel], tuple[float, float, float]]:
    """Panels a and b; largest errors of s_1 and s_2, of s_3 as printed, and of s_3 with the lost term."""
    eps_1, eps_2 = EPS
    times = np.linspace(0.0, 40.0, 81)
    solved = electrons.follow(times, lambda t: (0.5 * np.pi, eps_2, eps_1))
    closed = electrons.slow_rotation(times, eps_1, eps_2)
    printed = closed[:, 2] + (eps_1**2 + eps_2**2) / (1 + electrons.xi**2)
    xlabel = r"$t/\tau_\mathrm{ex}$"
    across = [Curve("solver", times, solved[:, k], SOLVER) for k in (0, 1)]
    across += [Curve("Eqs. (9), (11)", times, closed[:, k], CLOSED) for k in (0, 1)]
    across += [
        Curve("average (11)", times, np.full(len(times), value), LOCAL) for value in electrons.average(eps_1, eps_2)[:2]
    ]
    along = [
        Curve("solver", times, solved[:, 2] - 1, SOLVER),
        Curve("Eqs. (9), (11)", times, closed[:, 2] - 1, CLOSED),
        Curve("(9c) as printed", times, printed - 1, PRINTED),
    ]
    errors = (
        float(abs(solved - closed)[:, :2].max()),
        float(abs(solved[:, 2] - printed).max()),
        float(abs(solved[:, 2] - closed[:, 2]).max()),
    )
    return [
        Panel("a", rf"$\xi$ = {XI:g}: across $\mathbf{{n}}$", xlabel, "$s_1$ (upper), $s_2$ (lower)", across),
        Panel("b", r"along $\mathbf{n}$", xlabel, "$s_3 - 1$", along),
    ], errors


def _wall_path(ratio: float, points: int = 801) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in tau_ex, theta and dtheta/dt of an electron on its way through a wall of width `ratio` v tau_ex."""
    t = np.linspace(-8.0 * ratio, 8.0 * ratio + 30.0, points)
    return (
        t,
        2.0 * np.arctan(np.exp(np.minimum(t / ratio, 500.0))),
        1.0 / (ratio * np.cosh(np.minimum(t / ratio, 500.0))),
    )


def _spin_in_wall(electrons: LocalSpins, ratio: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times, theta, dtheta/dt, and (s_1, s_2, s_3) of a majority electron in a wall, (times, 3)."""
    t, theta, rate = _wall_path(ratio)

    def path(now: float) -> tuple[float, float, float]:
        return 2.0 * np.arctan(np.exp(min(now / ratio, 500.0))), 1.0 / (ratio * np.cosh(min(now / ratio, 500.0))), 0.0

    return t, theta, rate, electrons.follow(t, path)


def _through(electrons: LocalSpins, ratio: float) -> tuple[float, float]:
    """Adiabatic and non-adiabatic coefficient of the torque on a wall: a of v dn/dx/2, and beta.

    Weighted with (dn/dx)^2, as the wall's own collective coordinates weigh them.
    """
    t, theta, rate, s = _spin_in_wall(electrons, ratio)
    zero = np.zeros_like(t)
    n = np.stack([np.sin(theta), zero, np.cos(theta)], axis=-1)
    e_theta, e_phi = np.stack([np.cos(theta), zero, -np.sin(theta)], axis=-1), np.array([0.0, 1.0, 0.0])
    spin = s[:, :1] * e_theta + s[:, 1:2] * e_phi
    torque = -np.cross(spin, n)  # J_sd s x m for J_sd = -1/(2 tau_ex), times 2
    a, b = torque_coefficients(torque, n, rate[:, None] * e_theta)
    return a, -b / a


def _profiles(electrons: LocalSpins) -> Panel:
    curves = []
    for ratio, color, dashes in zip(SHOWN, _COLOURS, _DASHES, strict=True):
        t, _, rate, s = _spin_in_wall(electrons, ratio)
        shown = abs(t) <= 8.0 * ratio
        curves.append(
            Curve(
                rf"$l$ = {ratio:g} $v\tau_\mathrm{{ex}}$", t[shown] / ratio, ratio * s[shown, 1],
                {"color": color, "linestyle": dashes},
            )
        )  # fmt: skip
    t, _, rate = _wall_path(1.0)
    local_one = -rate / (1 + XI * XI)
    shown = abs(t) <= 8.0
    curves.append(Curve("local formula", t[shown], local_one[shown], LOCAL))
    return Panel("c", "on the way through a wall", "$x/l$", r"$s_2\,l/v\tau_\mathrm{ex}$", curves)


def _macrospin(share: float) -> tuple[float, float, float, float]:
    """S~/S and alpha~ of a moment with electrons of n_0/M_s = share, followed with their spin, and by Eqs. (17).

    The moment turns in a field along z; its azimuth b and tan(theta/2) = exp(-alpha~ b) tan(theta_0/2) tell both.
    """
    from scipy.integrate import solve_ivp

    electrons = LocalSpins(1.0, 1.0 / _FLIP)
    J, s_0 = -0.5, -2.0 * _SPIN * share  # antiparallel, their sign

    def rhs(t: float, y: np.ndarray) -> np.ndarray:
        m, s = y[:3], y[3:]
        torque = -np.cross(m, [0.0, 0.0, _FIELD]) + J * np.cross(s, m)
        velocity = (torque + _DAMPING * np.cross(m, torque)) / (_SPIN * (1 + _DAMPING**2))
        return np.concatenate([velocity, np.cross(m, s) - (s - s_0 * m) * _FLIP])

    one = electrons.effective_magnet(_SPIN, _DAMPING, s_0)
    times = np.linspace(0.0, _TURNS * 2 * np.pi * _SPIN / _FIELD, 200)
    start = np.array([np.sin(1.0), 0.0, np.cos(1.0)])
    found = solve_ivp(
        rhs, (0.0, times[-1]), [*start, *(s_0 * start)], "DOP853", t_eval=times, rtol=1e-7, atol=1e-9
    ).y  # fmt: skip
    later = times > 0.1 * times[-1]  # the spin has found its place
    b = np.unwrap(np.arctan2(found[1], found[0]))[later]
    slope = np.polyfit(times[later], b, 1)[0]
    half = np.log(np.hypot(found[0], found[1]) / (1 + found[2]))[later]
    damping = -np.polyfit(b, half, 1)[0]
    return _FIELD / (slope * _SPIN * (1 + damping**2)), damping, one.spin / _SPIN, one.damping


def _renormalised(found: list[tuple[float, float, float, float]]) -> Panel:
    spin, damping, spin_formula, damping_formula = np.array(found).T
    return Panel(
        "f", rf"moment with electrons, $\xi$ = {_FLIP:g}", "$n_0/M_s$", r"$\tilde S/S$ and $\tilde\alpha/\alpha$",
        [
            Curve("solver", SHARES, spin, SOLVER),
            Curve("solver", SHARES, damping / _DAMPING, SOLVER),
            Curve(r"Eq. (17): $\gamma/\tilde\gamma$", SHARES, spin_formula, CLOSED),
            Curve(r"Eq. (17): $\tilde\alpha/\alpha$", SHARES, damping_formula / _DAMPING, PRINTED),
        ],
    )  # fmt: skip
