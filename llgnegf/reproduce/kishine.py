"""J. Kishine and A. S. Ovchinnikov, "Correlated dynamics of itinerant spins and a domain wall": their two equations.

A head-to-head wall in a chain of 200 moments feels a spin density that is given and goes with the wall, as the field of
a run; its position, velocity and tilt are beside the collective coordinates X and xi_0 of Eqs. (12).  Energies are in
units of the exchange J, hbar = a = 1.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.beside import textures
from llgnegf.deck import Deck, deck_from
from llgnegf.magnet.collective import CollectiveWall, boltzmann_torque
from llgnegf.parts.moments import initial_moments
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.simulation import run

SITES, WIDTH, DAMPING, HARD, SD_EXCHANGE = 200, 8.0, 0.2, 0.04, 0.5
# T and P of the spin density in most panels: a tilt of 0.003, so that what is not linear in it stays below 1e-5.
TORQUE, PARALLEL = -0.0003, 0.1
WIDTHS = (3.0, 4.0, 6.0, 8.0, 12.0)
RELAXATION_TIMES = 7.0  # length of a run, in tau_DW
ELECTRON_TIME = 6.0
CURRENTS = (0.02, 0.1, 0.2, 0.3, 0.45, 0.6)
# Of the wall in panel f: J_sd and kT in Eq. (20), electrons half-way up the band.
_WEAK, _THERMAL = 0.05, 0.1
_STEP, _FRAMES = 0.5, 50

CHAIN: dict[str, Any] = {"color": "black", "linestyle": "", "marker": "o", "markersize": 3.0}
EXACT: dict[str, Any] = {"color": "#0072B2", "linestyle": "-"}
PRINTED: dict[str, Any] = {"color": "#D55E00", "linestyle": "--"}
OTHER: dict[str, Any] = {"color": "#009E73", "linestyle": "-."}
FOURTH: dict[str, Any] = {"color": "#CC79A7", "linestyle": ":"}

SpinDensity = Callable[[float], tuple[float, float]]


def collective(track: Track) -> Figure:
    """A wall in a given spin density: 200 moments beside the two equations, their print, and the master formula."""
    jobs = ["constant", "current", "rising", *WIDTHS, *CURRENTS]
    done: dict[Any, dict[str, np.ndarray]] = {}
    for job in track(jobs):
        done[job] = _JOBS[job]() if isinstance(job, str) else (_of_width(job) if job in WIDTHS else _of_current(job))
    panels = [*_constant(done["constant"]), _current(done["current"]), _rising(done["rising"])]
    by_width, said = _by_width([done[width] for width in WIDTHS])
    by_current, linear = _by_current([done[j] for j in CURRENTS])
    return Figure(
        "Head-to-head wall in a given spin density: 200 moments, and two collective coordinates",
        [*panels, by_width, by_current],
        3,
        (*_told(done["constant"]), *said, *linear),
    )


# --- runs -------------------------------------------------------------------------------------------------------------


def deck_of(width: float, duration: float, current: tuple[float, float] | None = None, center: float = 0.5) -> Deck:
    """A chain with this wall.

    duration: in hbar/J, rounded up to frames; current: u and beta of the Zhang-Li torque; center: share of the chain.
    """
    every = max(1, round(duration / _FRAMES / _STEP)) * _STEP
    magnet: dict[str, Any] = {
        "exchange": 1.0, "anisotropy": 0.5 / width**2, "easy_axis": [1, 0, 0], "hard_anisotropy": HARD,
        "hard_axis": [0, 0, 1], "damping": DAMPING,
    }  # fmt: skip
    if current is not None:
        magnet["zhang_li"] = {"velocity": [current[0], 0.0], "beta": current[1]}
    return deck_from(
        {
            "lattice": {"shape": [SITES]},
            "texture": {"kind": "neel_wall", "orientation": "kishine", "width": width, "center": center * (SITES - 1)},
            "magnet": magnet,
            "integrator": {"step": _STEP},
            "run": {"duration": math.ceil(duration / every) * every, "save_every": every},
        }
    )


def moved(deck: Deck, spins: SpinDensity | None = None, sd_exchange: float = SD_EXCHANGE) -> dict[str, np.ndarray]:
    """time, X, V and xi_0 of all frames of a run, and its last moments m; spins(t): T and P that act on it."""
    width = deck.texture.width  # type: ignore[union-attr]

    def field(t: float, m: np.ndarray) -> np.ndarray:
        assert spins is not None
        return sd_exchange * density(m, width, *spins(t))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        with run(deck, path, field=field) if spins else run(deck, path) as result:
            names = ("wall_position_projected", "wall_velocity", "out_of_plane")
            found = {short: np.array(result[name]) for short, name in zip(("X", "V", "xi"), names, strict=True)}
            return found | {"time": np.array(result.times), "m": np.array(result.moment[-1])}


def density(m: np.ndarray, width: float, torque: float, parallel: float) -> np.ndarray:
    """A spin density (n, 3) of these T and P about the wall of m: across n0 as sech^2, along n0 everywhere."""
    wall = textures.flat_wall(m, width)
    u = (np.arange(len(m)) - wall.position) / width
    sech = 1.0 / np.cosh(u)
    x, y = -wall.head * np.tanh(u), wall.side * sech  # n0; z x n0 = (-y, x)
    across = wall.turn * 2.0 / np.pi * torque * sech**2  # int sech^3 = pi/2
    return np.stack([parallel * x - across * y, parallel * y + across * x, np.zeros_like(u)], axis=-1)


def equations(width: float | None = None, sd_exchange: float = SD_EXCHANGE, **changes: Any) -> CollectiveWall:
    """Eqs. (12) of the wall of `deck_of`; width: None is WIDTH."""
    return CollectiveWall(width or WIDTH, HARD, 1.0, DAMPING, sd_exchange, **changes)


def acting(width: float, torque: float, parallel: float) -> tuple[float, float, float]:
    """T, P and Q as measured on the chain, where the sums over sites differ a little from the integrals."""
    m = initial_moments(deck_of(width, 1.0))
    return tuple(textures.spin_on_wall(m, density(m, width, torque, parallel), width))  # type: ignore[return-value]


def _duration(width: float) -> float:
    return RELAXATION_TIMES * equations(width).relaxation_time(PARALLEL)


def _of_width(width: float) -> dict[str, np.ndarray]:
    return moved(deck_of(width, _duration(width)), lambda t: (TORQUE, PARALLEL))


def _of_current(current: float) -> dict[str, np.ndarray]:
    torque = boltzmann_torque(_WEAK, _THERMAL, 0.0, current)
    duration = RELAXATION_TIMES * equations(sd_exchange=_WEAK).relaxation_time()
    return moved(deck_of(WIDTH, duration, center=0.75), lambda t: (torque, 0.0), _WEAK)


# u and beta of panel c: beta < alpha, so that the wall is slowed down.
CURRENT = (0.01, 0.1)


def rising(t: float) -> float:
    """T of electrons that need ELECTRON_TIME to come to their stationary state."""
    return TORQUE * (1.0 - math.exp(-t / ELECTRON_TIME))


_JOBS: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "constant": lambda: moved(deck_of(WIDTH, _duration(WIDTH)), lambda t: (TORQUE, PARALLEL)),
    "current": lambda: moved(deck_of(WIDTH, RELAXATION_TIMES * equations().relaxation_time(), CURRENT)),
    "rising": lambda: moved(deck_of(WIDTH, _duration(WIDTH)), lambda t: (rising(t), PARALLEL)),
}

# --- panels -----------------------------------------------------------------------------------------------------------

_TIME = r"$t$ ($\hbar/J$)"


def _constant(found: dict[str, np.ndarray]) -> list[Panel]:
    w, spins = equations(), acting(WIDTH, TORQUE, PARALLEL)
    t = np.linspace(0.0, found["time"][-1], 300)
    exact, tau = w.exact(t, *spins), w.relaxation_time(spins[1])
    printed = w.terminal_velocity(spins[0]) * (1 - np.exp(-t / tau))
    return [
        Panel(
            "a", "constant $T_\\perp$: velocity", _TIME, r"velocity $V$ ($aJ/\hbar$)",
            [
                Curve("200 moments", found["time"], found["V"], CHAIN),
                Curve("Eqs. (12)", t, exact.velocity, EXACT),
                Curve("as printed", t, printed, PRINTED),
            ],
        ),
        Panel(
            "b", "constant $T_\\perp$: tilt", _TIME, r"out of plane $\xi_0$",
            [
                Curve("200 moments", found["time"], found["xi"], CHAIN),
                Curve("Eqs. (12)", t, exact.out_of_plane, EXACT),
                Curve("as printed", t, equations(clockwise=True).exact(t, *spins)[2], PRINTED),
            ],
        ),
    ]  # fmt: skip


def _current(found: dict[str, np.ndarray]) -> Panel:
    w = equations(sd_exchange=1.0)
    torque, push = w.spins_of_current(*CURRENT)
    t = np.linspace(0.0, found["time"][-1], 300)
    return Panel(
        "c", rf"Zhang-Li torque, $\beta$ = {CURRENT[1] / DAMPING:g}$\alpha$", _TIME, r"velocity $V$ ($aJ/\hbar$)",
        [
            Curve("200 moments", found["time"], found["V"], CHAIN),
            Curve("Eqs. (12)", t, w.exact(t, torque, 0.0, push).velocity, EXACT),
            Curve("as printed", t, w.exact(t, torque).velocity, PRINTED),
        ],
    )  # fmt: skip


def _rising(found: dict[str, np.ndarray]) -> Panel:
    w, (torque, parallel, _) = equations(), acting(WIDTH, TORQUE, PARALLEL)
    t = np.linspace(0.0, found["time"][-1], 300)
    exact = w.integrate(t, lambda now, X, xi: (torque * rising(now) / TORQUE, parallel, 0.0))
    ends = (w.terminal_velocity(torque), w.terminal_out_of_plane(torque, parallel))
    return Panel(
        "d", rf"$T_\perp$ rises in $\tau_\mathrm{{el}}$ = {ELECTRON_TIME:g}", _TIME, "share of the final value",
        [
            Curve("200 moments", found["time"], found["V"] / ends[0], CHAIN),
            Curve("Eqs. (12)", t, exact.velocity / ends[0], EXACT),
            Curve(r"$\xi_0$", t, exact.out_of_plane / ends[1], OTHER),
            Curve(r"$T_\perp$", t, [rising(float(now)) / TORQUE for now in t], FOURTH),
        ],
    )  # fmt: skip


def deviations(width: float, found: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Relative, of V*, xi_0* and tau_DW of the chain from the formulas with its own T and P.

    V* is what is left of V beside the fitted xi_0* (1 - exp(-t/tau)), at the end of the run.
    """
    from scipy.optimize import curve_fit

    w, spins = equations(width), acting(width, TORQUE, PARALLEL)
    expected = (w.terminal_out_of_plane(spins[0], spins[1]), w.relaxation_time(spins[1]))
    time = found["time"]
    (end, tau), _ = curve_fit(lambda t, end, tau: end * (1 - np.exp(-t / tau)), time, found["xi"], expected)
    speed = found["V"][-1] / (1 - math.exp(-time[-1] / tau) / (1 + DAMPING**2))
    return (
        abs(speed / w.terminal_velocity(spins[0]) - 1.0),
        abs(end / expected[0] - 1.0),
        abs(tau / expected[1] - 1.0),
    )


def _by_width(found: list[dict[str, np.ndarray]]) -> tuple[Panel, tuple[str, ...]]:
    apart = np.array([deviations(width, each) for width, each in zip(WIDTHS, found, strict=True)])
    names = (r"$V^*$", r"$\xi_0^*$", r"$\tau_\mathrm{DW}$")
    styles = (EXACT, PRINTED, OTHER)
    curves = [
        Curve(f"{name}, relative", WIDTHS, values, {**style, "marker": "o", "markersize": 3.5})
        for name, values, style in zip(names, apart.T, styles, strict=True)
    ]
    told = ", ".join(
        f"{name} {100 * a:.2g} % -> {100 * b:.2g} %"
        for name, a, b in zip(("V*", "xi_0*", "tau_DW"), apart[0], apart[-1], strict=True)
    )
    panel = Panel(
        "e", "moments against formulas", r"width $\lambda$ ($a$)", "relative deviation", curves, log_y=True
    )  # fmt: skip
    return panel, (f"deviation of the chain, from width {WIDTHS[0]:g} to {WIDTHS[-1]:g}: {told}",)


def _by_current(found: list[dict[str, np.ndarray]]) -> tuple[Panel, tuple[str, ...]]:
    w = equations(sd_exchange=_WEAK)
    fine = np.linspace(0.0, CURRENTS[-1], 50)

    def master(j: float) -> float:
        return w.terminal_velocity(boltzmann_torque(_WEAK, _THERMAL, 0.0, j))

    speeds = np.array([each["V"][-1] for each in found])
    apart = speeds / np.array([master(j) for j in CURRENTS]) - 1.0
    tilts = [float(np.degrees(np.arcsin(abs(each["m"][:, 2]).max()))) for each in found]
    panel = Panel(
        "f", "final velocity, $T_\\perp$ of Eq. (20)", "current $j/j_0$", r"$V^*$ ($aJ/\hbar$)",
        [
            Curve("200 moments", CURRENTS, speeds, CHAIN),
            Curve("Eq. (21)", fine, [master(float(j)) for j in fine], EXACT),
        ],
    )  # fmt: skip
    return panel, (
        f"final velocity against Eq. (21): {100 * apart[0]:+.2g} % at a tilt of {tilts[0]:.2g} degrees, "
        f"{100 * apart[-1]:+.2g} % at {tilts[-1]:.2g} degrees",
    )


def _told(found: dict[str, np.ndarray]) -> tuple[str, ...]:
    w, spins = equations(), acting(WIDTH, TORQUE, PARALLEL)
    wall = textures.flat_wall(found["m"], WIDTH)
    # Eq. (17) with the whole of Eq. (15), and the sense of precession of this package.
    formula = -w.terminal_out_of_plane(spins[0], spins[1]) * textures.zero_mode(
        np.arange(SITES) - wall.position, WIDTH
    )  # fmt: skip
    rough = math.sqrt(WIDTH / 2) * SD_EXCHANGE * spins[0] / (DAMPING * 2 * HARD)
    return (
        f"V* = {w.terminal_velocity(spins[0]):.5f}, found {found['V'][-1]:.5f}; xi_0* = "
        f"{w.terminal_out_of_plane(spins[0], spins[1]):.5f}, found {found['xi'][-1]:.5f} (without P it would be "
        f"{rough:.5f}); tau_DW = {w.relaxation_time(spins[1]):.2f}",
        f"velocity at t = 0: {found['V'][0] / w.terminal_velocity(spins[0]):.4f} of V*; alpha^2/(1 + alpha^2) = "
        f"{DAMPING**2 / (1 + DAMPING**2):.4f}",
        f"m_z along the chain differs from Eq. (17) by at most {abs(found['m'][:, 2] - formula).max():.1e} of "
        f"{abs(formula).max():.1e}",
    )
