"""Integrals over real energies of a smooth function times Fermi functions, which vary as fast as they like.

    int dE w(E) F(E),      w: f_left - f_ref, -df/dE, ...,      F: from Green's functions on the real axis

On each panel F is replaced by the polynomial through the 15 nodes of the Gauss-Kronrod rule, and w times this
polynomial is integrated as exactly as w is known: product integration (Davis and Rabinowitz, Methods of Numerical
Integration, Sec. 2.5.6).  So few nodes serve steps and low temperatures as well; only the widths of levels and the
openings of modes decide.  Where a mode opens F has a square-root singularity: on a stretch between two openings
energies are written as a function of x that turns there, E = a + (b - a) x^2 and the like, and F dE/dx is smooth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .quadrature import KRONROD_NODES, ToleranceError

Floats = NDArray[np.float64]

# Panels are halved until this share of the tolerance is met ...
_SHARE = 1 / 4
# ... or rounding decides: values lose digits near a level.
_ROUNDING = 1e-12
MOST_ENERGIES = 100_000
# Panels end at these numbers of half-widths from a narrow level, or at the nearest and farther by this factor: then the
# level, a pole beside the real axis, is far from each panel in units of its length.
_AROUND = (-30.0, -3.0, 0.0, 3.0, 30.0)
_NEAREST, _FARTHER = 3.0, 8.0
# So many panels at once, or fewer, are joined once and for all.
_FEW = 32
# Cuts of the integral over w, in units of kT around its step, between which Gauss rules are exact to rounding.
_CUTS = np.array([-38.0, -12.0, -4.0, 4.0, 12.0, 38.0])
_GAUSS = np.polynomial.legendre.leggauss(20)
_N = len(KRONROD_NODES)


@lru_cache(maxsize=1)
def to_polynomials() -> tuple[Floats, Floats]:
    """Legendre coefficients, (15, 15) each, of the polynomials through all nodes and through every second one."""
    every = np.linalg.inv(np.polynomial.legendre.legvander(KRONROD_NODES, _N - 1))
    second = np.zeros((_N, _N))
    gauss = slice(1, None, 2)
    second[: _N // 2, gauss] = np.linalg.inv(np.polynomial.legendre.legvander(KRONROD_NODES[gauss], _N // 2 - 1))
    return every, second


@dataclass(frozen=True)
class Stretch:
    """Energies low < E < high as a function of 0 < x < 1; roots: whether a mode opens or closes at either end."""

    low: float
    high: float
    roots: tuple[bool, bool]

    def energy(self, x: Floats) -> Floats:
        """E(x)."""
        width = self.high - self.low
        if self.roots == (True, True):
            return self.low + width * np.sin(np.pi * x / 2) ** 2
        if self.roots == (True, False):
            return self.low + width * x**2
        if self.roots == (False, True):
            return self.high - width * (1 - x) ** 2
        return self.low + width * x

    def slope(self, x: Floats) -> Floats:
        """dE/dx."""
        width = self.high - self.low
        if self.roots == (True, True):
            return width * np.pi / 2 * np.sin(np.pi * x)
        if self.roots == (True, False):
            return 2 * width * x
        if self.roots == (False, True):
            return 2 * width * (1 - x)
        return np.full_like(x, width)

    def x(self, energy: Floats) -> Floats:
        """The x of an energy; 0 or 1 for those outside."""
        y = np.clip((np.asarray(energy, float) - self.low) / (self.high - self.low), 0.0, 1.0)
        if self.roots == (True, True):
            return np.arcsin(np.sqrt(y)) * 2 / np.pi
        if self.roots == (True, False):
            return np.sqrt(y)
        if self.roots == (False, True):
            return 1 - np.sqrt(1 - y)
        return y


# For each stretch the ends of its first panels, x.
Edges = Sequence[tuple[Stretch, Sequence[float]]]


def stretches(low: float, high: float, openings: Floats, least: float) -> tuple[Stretch, ...]:
    """The pieces of low ... high between these openings of modes; openings closer than `least` (energy) are one."""
    inside: list[float] = []
    for e in openings.tolist():
        if low + least < e < high - least and not (inside and e - inside[-1] < least):
            inside.append(e)
    edges = [low, *inside, high]

    def is_root(e: float) -> bool:
        return bool(len(openings)) and float(abs(openings - e).min()) < least

    return tuple(Stretch(a, b, (is_root(a), is_root(b))) for a, b in pairwise(edges))


@dataclass(frozen=True)
class Factor:
    """A function w(E) of real energies; steps: energies and widths (kT) around which it varies, smooth elsewhere."""

    value: Callable[[Floats], Floats]
    steps: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel a < x < b of one stretch: energies of its nodes (15,), weights and differences of them (w, 15).

    differences: less those of the rule through every second node, whose error is much larger; slopes: dE/dx (15,).
    Panels are told apart by identity.
    """

    stretch: Stretch
    a: float
    b: float
    energies: Floats
    weights: Floats
    differences: Floats
    slopes: Floats

    @property
    def width(self) -> float:
        """In energy."""
        ends = self.stretch.energy(np.array([self.a, self.b]))
        return float(ends[1] - ends[0])


def panel(stretch: Stretch, a: float, b: float, factors: Sequence[Factor]) -> Panel:
    """The rule on one panel for each of these factors."""

    def values(energies: Floats) -> Floats:
        return np.array([factor.value(energies) for factor in factors])

    return panel_of(stretch, a, b, values, [step for factor in factors for step in factor.steps])


def panel_of(
    stretch: Stretch,
    a: float,
    b: float,
    values: Callable[[Floats], Floats],
    steps: Sequence[tuple[float, float]],
) -> Panel:
    """The same for functions of energies (k,) whose values, (w, k), come together; steps: of all, as in `Factor`."""
    centre, half = (a + b) / 2, (b - a) / 2
    x = centre + half * KRONROD_NODES
    cuts = np.concatenate([_cuts(step) for step in steps])
    inner = (stretch.x(cuts) - centre) / half
    edges = np.unique(np.concatenate([[-1.0, 1.0], inner[(inner > -1) & (inner < 1)]]))
    middle, halves = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    fine = (middle[:, None] + halves[:, None] * _GAUSS[0]).ravel()
    weights = (halves[:, None] * _GAUSS[1]).ravel()
    energies = stretch.energy(centre + half * fine)
    moments = values(energies) * weights
    moments = moments @ np.polynomial.legendre.legvander(fine, _N - 1) * half
    every, second = to_polynomials()
    slope = stretch.slope(x)
    return Panel(stretch, a, b, stretch.energy(x), moments @ every * slope, moments @ (every - second) * slope, slope)


def _cuts(step: tuple[float, float]) -> Floats:
    energy, width = step
    return energy + width * _CUTS if width else np.array([energy])


@dataclass(frozen=True)
class Rule:
    """Energies (n,) and weights (w, n) for each factor; values: those that F (n, w, ...) had there; panels: of them."""

    energies: Floats
    weights: Floats
    values: Floats
    panels: tuple[Panel, ...] = ()

    def integral(self, values: Floats) -> Floats:
        """sum_w int w(E) F_w(E) dE for F (n, w, ...)."""
        flat = values.reshape(*values.shape[:2], math.prod(values.shape[2:]))
        total = sum(self.weights[k] @ flat[:, k] for k in range(len(self.weights)))
        return np.asarray(total).reshape(values.shape[2:])

    def crossed(self, values: Floats) -> Floats:
        """int w_k(E) sum_w F_w(E) dE for F (n, w, ...), for all factors w_k."""
        total = values.sum(axis=1)  # a matrix product: tensordot takes longer than all the rest on a short wire
        flat = total.reshape(len(total), math.prod(total.shape[1:]))
        return np.asarray(self.weights @ flat).reshape(len(self.weights), *total.shape[1:])


class Occupied(Protocol):
    """A Fermi function."""

    @property
    def fermi_energy(self) -> float: ...

    @property
    def temperature(self) -> float: ...

    def __call__(self, energies: Floats, /) -> Floats: ...


def good_enough(missed: Floats, size: Floats, widths: Floats, span: float, tolerance: float) -> NDArray[np.bool_]:
    """Whether panels, (p,), of these widths (energy), `span` in all, meet the tolerance of the whole integral.

    missed: differences between the two rules on each; size: integrals of absolute values.
    """
    # As in QUADPACK, the error is much smaller than the difference: with twice as many nodes it is about the
    # square of it.  A smaller power and a factor leave room for functions that converge less well.
    error = size * np.minimum(1.0, 20 * missed / np.maximum(size, 1e-300)) ** 1.75
    allowed = np.maximum(_SHARE * tolerance * np.maximum(widths / span, 0.02), _ROUNDING * size)
    return np.asarray(error <= allowed)


class _Joined(NamedTuple):
    """Some panels together: energies (15 p,), differences and |weights| (p, w, 15), widths (p,) in energy."""

    energies: Floats
    differences: Floats
    sizes: Floats
    widths: Floats


def _joined(panels: tuple[Panel, ...]) -> _Joined:
    return _Joined(
        np.concatenate([one.energies for one in panels]),
        np.array([one.differences for one in panels]),
        np.array([abs(one.weights) for one in panels]),
        np.array([one.width for one in panels]),
    )


class Panels:
    """Panels that have been made already, for the factors of one device: the same ones serve many textures."""

    def __init__(self, factors: Sequence[Factor]) -> None:
        self.factors = tuple(factors)
        self.panel = lru_cache(maxsize=4096)(self._panel)
        # On a short wire this takes as long as the Green's functions; of many panels it is not worth the memory.
        self._joined = lru_cache(maxsize=64)(_joined)

    def _panel(self, stretch: Stretch, a: float, b: float) -> Panel:
        return panel(stretch, a, b, self.factors)

    def adapted(
        self,
        edges: Edges,
        integrand: Callable[[Floats], Floats],
        scales: Callable[[Floats], Floats],
        tolerance: float,
        smallest: float,
        most: int = MOST_ENERGIES,
    ) -> Rule:
        """The rule whose estimated error is below `tolerance` for every component of `scales(F)`.

        edges: where to begin; integrand: F (n, w, ...) at energies (n,), one F for
        each factor; scales: those of its components that count, (n, w, c), in units of the tolerance; smallest: panels
        narrower than that (energy) are not halved; most: number of energies.  Raises ToleranceError where too many
        energies would be needed.
        """
        open_panels = [
            self.panel(stretch, float(a), float(b)) for stretch, points in edges for a, b in pairwise(points)
        ]
        span = sum(one.width for one in open_panels)
        done: list[tuple[Panel, Floats]] = []
        used = 0
        while open_panels:
            join = self._joined if len(open_panels) <= _FEW else _joined
            energies, differences, sizes, widths = join(tuple(open_panels))
            used += len(energies)
            if used > most:
                raise ToleranceError(
                    f"an energy integral did not converge to {tolerance:.1e} within {most} Green's "
                    "functions: use a larger electrons.tolerance, a higher temperature or a stronger coupling to the "
                    "leads"
                )
            values = integrand(energies)
            judged = scales(values)
            judged = judged.reshape(len(open_panels), _N, *judged.shape[1:])
            missed = abs(np.einsum("pwn,pnwc->pc", differences, judged)).max(axis=1)
            size = np.einsum("pwn,pnwc->pc", sizes, abs(judged)).max(axis=1)
            good = good_enough(missed, size, widths, span, tolerance) | (widths < smallest)
            following = []
            for k, one in enumerate(open_panels):
                if good[k]:
                    done.append((one, values[k * _N : (k + 1) * _N]))
                else:
                    middle = (one.a + one.b) / 2
                    following += [
                        self.panel(one.stretch, one.a, middle),
                        self.panel(one.stretch, middle, one.b),
                    ]
            open_panels = following
        if not done:  # no lead has states there
            none = np.empty(0)
            return Rule(none, np.empty((len(self.factors), 0)), integrand(none))
        return Rule(
            np.concatenate([one.energies for one, _ in done]),
            np.concatenate([one.weights for one, _ in done], axis=1),
            np.concatenate([values for _, values in done]),
            tuple(one for one, _ in done),
        )


class Window:
    """Energies between `low` and `high` inside `band`, cut at `openings`, and the rules on them for some factors.

    levels: how many the device has, in a band of hopping `hopping`.
    """

    def __init__(
        self,
        factors: Sequence[Factor],
        low: float,
        high: float,
        band: tuple[float, float],
        openings: Floats,
        hopping: float,
        levels: int,
    ) -> None:
        self.low, self.high = low, high
        inside = max(low, band[0]), min(high, band[1])
        self.panels = Panels(factors)
        self.stretches = stretches(*inside, openings, 1e-9 * hopping) if inside[0] < inside[1] else ()
        # A panel for every few levels, so that no first panel is blind to most of them.
        per_energy = levels / (band[1] - band[0]) / 8
        self.edges = [
            (one, np.linspace(0.0, 1.0, 2 + int(per_energy * (one.high - one.low) + 0.6)).tolist())
            for one in self.stretches
        ]

    def divided(self, levels: Sequence[tuple[float, ...]]) -> list[tuple[Stretch, list[float]]]:
        """First panels that end at narrow levels (energy, half-width) and at a few widths around them.

        A third number of a level tells up to how many half-widths its tails count: farther panels may be wide.
        Levels wider than the spacing of the nodes show in the first panels as they are, which are halved there.
        """
        if not levels:
            return self.edges
        found = []
        for stretch, edges in self.edges:
            dx = 1 / (len(edges) - 1) / _N

            def spacing(energy: float, stretch: Stretch = stretch, dx: float = dx) -> float:
                """Of the nodes of first panels next to this energy."""
                x = stretch.x(np.array(energy))
                ends = stretch.energy(np.clip([x - dx, x + dx], 0.0, 1.0))
                return float(ends[1] - ends[0]) / 2

            narrow = [one for one in levels if one[1] < spacing(one[0])]
            near = [one[0] + k * one[1] for one in narrow for k in (_AROUND if len(one) < 3 else _around(one[2]))]
            inside = np.array([e for e in near if stretch.low < e < stretch.high])
            points = np.unique(np.concatenate([edges, stretch.x(inside)]))
            apart = np.concatenate([[True], np.diff(points) > 1e-14])
            found.append((stretch, points[apart].tolist()))
        return found


def _around(reach: float) -> list[float]:
    """Half-widths from a level at which panels end: each is so many times as far from it as the one before."""
    found = [0.0]
    x = _NEAREST
    while x < max(reach, _NEAREST * 1.01):
        found += [-x, x]
        x *= _FARTHER
    return found


class BiasWindow(Window):
    """Energies at which the leads of one device are filled otherwise than it is.

    occupations: Fermi functions of left and right lead, and `reference`; band: edges of the leads' bands together;
    openings: of their modes; reach: beyond how many kT from a step Fermi functions are constant; hopping: energy;
    levels: how many the device has.
    """

    def __init__(
        self,
        occupations: Sequence[Occupied],
        reference: Occupied,
        band: tuple[float, float],
        openings: Floats,
        reach: float,
        hopping: float,
        levels: int,
    ) -> None:
        def factor(one: Occupied) -> Factor:
            steps = tuple((f.fermi_energy, f.temperature) for f in (one, reference))
            return Factor(lambda e: one(e) - reference(e), steps if one != reference else ())

        every = [(one.fermi_energy, one.temperature) for one in occupations if one != reference]
        every.append((reference.fermi_energy, reference.temperature))
        low, high = min(mu - reach * kT for mu, kT in every), max(mu + reach * kT for mu, kT in every)
        super().__init__([factor(one) for one in occupations], low, high, band, openings, hopping, levels)


class ThermalWindow(Window):
    """Energies within `reach` kT > 0 of the Fermi energy, for the factor -df/dE; other arguments as `BiasWindow`."""

    def __init__(
        self,
        occupation: Occupied,
        slope: Callable[[Floats], Floats],
        band: tuple[float, float],
        openings: Floats,
        reach: float,
        hopping: float,
        levels: int,
    ) -> None:
        mu, kT = occupation.fermi_energy, occupation.temperature
        factor = Factor(lambda e: -slope(e), ((mu, kT),))
        super().__init__([factor], mu - reach * kT, mu + reach * kT, band, openings, hopping, levels)
