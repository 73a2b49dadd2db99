"""The Fermi-surface term of an open device at kT > 0, also where its resonances are much narrower than kT.

    rho_surf = (1/2pi) int f' [ (G Y G + h.c.)/2 - G Y G^+ ] dE,        Y = dH/dt.

The first term is analytic above the real axis and is integrated there, well away from the poles of f.  In the second
each resonance of half-width gamma causes a peak of height 1/gamma^2.  Let A(z) be the continuation of G^+ from a
segment of the real axis between two thresholds into the upper half plane.  The integral over G Y A is taken along an
arc above that segment, where it is smooth, and the poles of A between the arc and the axis contribute their residues,

    int f' G Y G^+ dE = int_arc f' G Y A dz + 2 pi i sum_p f'(z_p) G(z_p) Y l_p r_p^+,        z_p = E_p^*

(`resonances.py`).  A pole about as high as the arc would need a very fine quadrature.  Instead the quadrature error of
1/(z - z_p), which is known exactly, is added to the weight of the residue of that pole.  A discrete level is a pole on
the axis itself: it keeps its occupation while the moments move, so that its diagonal response is left out.  Where all
modes are closed, A equals G and both terms cancel except for such levels.

Where G Y (A - G) costs less than G Y A, as on a lattice (`slices_on_arcs.py`), the arcs serve both terms: the integral
over G Y G does not depend on the path.

A resonance that was missed would change the thermal density of states, -(1/2pi) int f' i (G - G^+) dE, which is known
independently from the poles of f.  If the two values disagree, levels are looked for more thoroughly, then the arcs are
lowered; if they still disagree after several attempts, ToleranceError is raised.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .bound_states import NO_LEVELS, BoundStates
from .open_system import Mask, OpenSystem, Segment, Solver, Vectors, segments
from .quadrature import ToleranceError
from .resonances import Residue, ResonanceSearch

PAULI = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@dataclass(frozen=True)
class _Gauss:
    """Gauss' rule on -1 < s < 1: nodes and weights (n,), and the matrix (n, n) from values to Legendre coefficients."""

    x: NDArray[np.float64]
    weights: NDArray[np.float64]
    to_legendre: NDArray[np.float64]

    def error(self, values: Vectors) -> float:
        """Estimated error of the integral of values (n, m), the largest over m.

        The Legendre coefficients of an analytic function fall as rho^-k; the error of Gauss' rule is then rho^-2n.
        """
        if not values.size:
            return 0.0
        coefficients = abs(self.to_legendre @ values)
        largest = np.maximum(coefficients.max(axis=0), 1e-300)
        tail = coefficients[-2:].max(axis=0) / largest
        return float((tail ** (2 * len(self.x) / (len(self.x) - 1)) * largest).max())


@cache
def _gauss(points: int) -> _Gauss:
    x, weights = np.polynomial.legendre.leggauss(points)
    to_legendre = (np.arange(points)[:, None] + 0.5) * np.polynomial.legendre.legvander(x, points - 1).T * weights
    return _Gauss(x, weights, to_legendre)


# Points on a circle for the residue of a pole of f, whose radius is this share of the distance to the next pole.
_CIRCLE, _RADIUS = 8, 0.04
# Resonances are followed up to this multiple of the arc height, because first guesses of their widths are inaccurate.
_SEARCHED_HEIGHTS = 1.5
# Energies farther than this from E_F, in kT, are ignored: -f' < exp(-_FAR) is negligible for the narrowest level too.
_FAR = 60.0
# Levels outside all bands that are farther than this from E_F, in kT, are ignored (sooner at larger tolerances): their
# response is not amplified by a small width.
_BOUND = 45.0
# The arcs are tried at this many heights; each is the previous height times this factor.
_ATTEMPTS, _LOWER = 5, 0.3
_MOST_PANELS = 2000
# Panels are not halved below this (half-length over the hopping): a level at a threshold makes the response diverge.
_SHORTEST_PANEL = 1e-10
# Relative rounding error of a width computed from the amplitudes at the ends.
_WIDTH_ROUNDING = 5e-15


def complex_fermi_derivative(z: Vectors, fermi_energy: float, temperature: float) -> Vectors:
    """df/dE at complex energies (1/energy), |Im z| < pi kT; without overflow."""
    x = (np.asarray(z, complex) - fermi_energy) / temperature
    decayed = np.exp(-np.where(x.real >= 0, x, -x))
    return np.asarray(-decayed / (1 + decayed) ** 2 / temperature)


@dataclass(frozen=True)
class Arcs:
    """Nodes z (k,) above the real axis with weights f'(z) dz (k,), dimensionless, and the segment of each (k,)."""

    nodes: Vectors
    weights: Vectors
    owners: NDArray[np.intp]

    def parts(self) -> list[tuple[int, NDArray[np.intp]]]:
        """Pairs (segment, indices of its nodes)."""
        return [(int(s), np.flatnonzero(self.owners == s)) for s in np.unique(self.owners)]


@dataclass(frozen=True)
class _Panel:
    """z(s) = c0 + c1 s + c2 s^2 for -1 < s < 1 above segment `owner`."""

    owner: int
    c0: complex
    c1: complex
    c2: complex = 0j

    def digits(self, singularities: Vectors, points: int) -> NDArray[np.float64]:
        """-ln of the error of Gauss' rule due to each of these singularities (energies): larger is better.

        The error is set by the ellipse with foci at the ends of the panel that passes through the singularity.
        """
        if self.c2 == 0:
            s = (singularities - self.c0) / self.c1
        else:
            middle = self.c1 / (2 * self.c2)
            root = np.sqrt((singularities - self.c0) / self.c2 + middle**2)
            s = np.stack([root - middle, -root - middle])
        radius = abs(s + np.sqrt(s - 1) * np.sqrt(s + 1))
        gained = 2 * points * np.log(np.maximum(radius, 1 / np.maximum(radius, 1e-300)))
        return gained if self.c2 == 0 else gained.min(axis=0)

    def halves(self) -> tuple[_Panel, _Panel]:
        left, right = (
            _Panel(
                self.owner,
                self.c0 + self.c1 * m + self.c2 * m * m,
                (self.c1 + 2 * self.c2 * m) / 2,
                self.c2 / 4,
            )
            for m in (-0.5, 0.5)
        )
        return left, right

    def at(self, s: NDArray[np.float64]) -> tuple[Vectors, Vectors]:
        """z and dz/ds."""
        z, dz = self.c0 + self.c1 * s + self.c2 * s * s, self.c1 + 2 * self.c2 * s
        return np.asarray(z, np.complex128), np.asarray(dz, np.complex128)


@dataclass(frozen=True)
class _Gate:
    """The path above one segment: at constant height (energy), but down at 45 degrees to an end that is a threshold.

    At a threshold the integrand has a square-root singularity, which z = threshold + u^2 removes on the last panel.
    crosses: whether the path passes above the first pole of f.
    """

    segment: Segment
    height: float
    crosses: bool = False

    def encloses(self, z: Vectors) -> NDArray[np.bool_]:
        """Which energies lie between the path and the real axis."""
        inside = (z.real > self.segment.low) & (z.real <= self.segment.high)
        return np.asarray(inside & (z.imag < self._ceiling(z.real)))

    def passes_by(self, z: Vectors) -> NDArray[np.bool_]:
        """Which energies z are above a quarter of the height of the path, or close to its ends."""
        low, high = self.segment.low - self.height, self.segment.high + self.height
        beside = (z.real > low) & (z.real < high)
        return np.asarray(beside & (z.imag > 0.25 * self._ceiling(z.real)) & (z.imag > 0))

    def _ceiling(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the path above real energies x (k,), energy."""
        ceiling = np.full(len(x), self.height)
        for edge, distance in zip(
            self.segment.at_threshold, (x - self.segment.low, self.segment.high - x), strict=True
        ):
            if edge:
                ceiling = np.clip(distance, 0, ceiling)
        return ceiling

    def panels(self, owner: int, length: float) -> list[_Panel]:
        """The path in panels no longer than `length` (energy), except at thresholds."""
        a, b, eta = self.segment.low, self.segment.high, self.height
        left, right = (a + eta if self.segment.at_threshold[0] else a), (b - eta if self.segment.at_threshold[1] else b)
        cuts = np.linspace(left, right, 1 + int(np.ceil((right - left) / length)))
        found = [
            _Panel(owner, complex((x + y) / 2, eta), complex((y - x) / 2)) for x, y in itertools.pairwise(cuts.tolist())
        ]
        # E = threshold + u^2 with u = root (1 + s)/2, and its mirror image.
        if self.segment.at_threshold[0]:
            square = complex(eta, eta) / 4
            found.append(_Panel(owner, a + square, 2 * square, square))
        if self.segment.at_threshold[1]:
            square = complex(-eta, eta) / 4
            found.append(_Panel(owner, b + square, -2 * square, square))
        return found

    def over_pole(self, pole: complex, fermi_energy: float, temperature: float) -> complex:
        """The integral of f'(z)/(z - pole) along the path: f'(pole) times a logarithm, plus a smooth rest by Gauss."""
        total, slope = 0j, complex_fermi_derivative(np.array([pole]), fermi_energy, temperature)[0]
        rule = _gauss(16)
        for panel in self.panels(0, temperature):
            start, end = (panel.c0 - panel.c1 + panel.c2, panel.c0 + panel.c1 + panel.c2)  # a straight line
            total += slope * np.log((end - pole) / (start - pole))
            z, dz = panel.at(rule.x)
            smooth = complex_fermi_derivative(z, fermi_energy, temperature) - slope
            total += (rule.weights * dz * smooth / (z - pole)).sum()
        return complex(total)


@dataclass
class _Pole:
    """Pole z_p = E_p^* of A near the path of segment `owner`; E_p is the p-th zero of the block of `residue`.

    weight: factor of its residue, in units of 2 pi i: f'(z_p) if the path encloses the pole; if the path passes close
    to it (`is_near`), plus the correction for the error of the quadrature.
    response: G(z_p) Y l_p of the motion for which the arcs were laid, once known.
    """

    residue: Residue
    p: int
    owner: int
    weight: complex
    is_near: bool
    response: Vectors | None = None

    @property
    def at(self) -> complex:
        """z_p."""
        return complex(np.conj(self.residue.block.energies[self.p]))


@dataclass(frozen=True)
class _Done:
    """Nodes (k,) on the path of one segment, their weights, and traces of A (states) and of G Y A (response) there."""

    owner: int
    nodes: Vectors
    weights: Vectors
    states: Vectors
    response: Vectors


class Backend(Protocol):
    """What `ThermalSurface` needs of a chain or a lattice: Green's functions and a search for resonances.

    gives_jump: `between` returns A - G and G Y (A - G) in place of A and G Y A.  Both terms of rho_surf are then
    integrated along the arcs.
    """

    gives_jump: bool

    @property
    def open_system(self) -> OpenSystem: ...

    def between(
        self, z: Vectors, segment: Segment, rate: Vectors, ends: Vectors | None = None, with_bonds: bool = False
    ) -> tuple[Vectors, Vectors, Vectors]:
        """Traces with 1, sigma_x, sigma_y, sigma_z at energies z (k,): of A and G Y A on sites, of G Y A over bonds.

        Over a bond of F: F_(next, this) - F_(this, next).
        rate: Y on the sites; ends: (k, 2, 2, 2), a term added to Y on the first and on the last site.
        """
        ...

    def at_ends(
        self, z: Vectors, segment: Segment, rate: Vectors, ends: Vectors | None, response: Vectors | None
    ) -> Vectors:
        """Traces of G Y A on the end slices, by mode: (k, 2, ny, 4); response: that of `between`, if it is known."""
        ...

    def solver(self, z: complex, open_modes: Mask) -> Solver:
        """K(z) on the sheet of a segment with these open modes, for z on the real axis or above it."""
        ...

    def over_bonds(self, a: Vectors, b: Vectors) -> Vectors:
        """The traces over bonds of F = a b^+, for states a, b (N,)."""
        ...

    def search(self, low: float, high: float) -> ResonanceSearch:
        """A search for resonances that covers at least the energies between `low` and `high`."""
        ...


@dataclass
class ThermalSurface:
    """Arcs and resonances that meet the tolerance for one texture; its methods are linear in dH/dt.

    temperature kT > 0, fermi_energy: energies; tolerance: bound on the error of the density.
    thermal_states: -(1/2pi) int f' i (G - G^+) from the poles of f, traced, with an error below `known_to`; 1/energy.
    rate: the motion for which the tolerance is met; size: about its largest |dH/dt| over hopping^2; ends: a term that
    is added to Y on the end sites, see `Backend.between`.
    Raises ToleranceError naming the level or the remedy.
    """

    backend: Backend
    fermi_energy: float
    temperature: float
    tolerance: float
    thermal_states: NDArray[np.float64]
    known_to: float
    rate: Vectors
    ends: Callable[[Vectors, Segment], Vectors] | None = None
    size: float = 1.0
    arcs: Arcs = field(init=False)
    poles: list[_Pole] = field(init=False)
    missed: float = field(init=False)

    _may_cross: bool = field(init=False, default=True)
    _thorough: bool = field(init=False, default=False)
    _circle_error: float = field(init=False, default=0.0)
    _known: dict[int, tuple[Vectors, Vectors]] = field(init=False, default_factory=dict)
    _at_poles: dict[int, tuple[Vectors, Vectors, Vectors]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.system = self.backend.open_system
        self.hopping = self.system.modes.hopping
        height = self._highest
        allowed = min(1.0, self.size) * self.tolerance
        for attempt in range(_ATTEMPTS):
            self._thorough = attempt > 0
            self._search(height)
            self._lay_arcs(allowed)
            if self._circle_error > 0.1 * allowed:
                self._may_cross = False
                self._search(height)
                self._lay_arcs(allowed)
            self.missed = float(abs(self.states() - self.thermal_states).max())
            if self.missed <= self._states_target + self.known_to:  # False for NaN
                self._check_rounding(allowed)
                self._check_widths(self.rate)
                return
            if attempt:  # the second attempt looks for levels again, at the same height
                height *= _LOWER
        raise ToleranceError(
            f"the Fermi-surface term at temperature = {self.temperature:g} finds other thermal states than the poles "
            f"of the Fermi function do ({self.missed:.1e} a site and unit of energy, {self.known_to:.1e} are allowed) "
            f"at tolerance = {self.tolerance:g}: use a larger electrons.tolerance, another temperature or 0.0"
        )

    # --- choice of energies ---------------------------------------------------------------------------

    @property
    def _highest(self) -> float:
        """Largest height of arcs that pass below the first pole of f: half its height, at most `_harmless`; energy."""
        return min(0.5 * np.pi * self.temperature, self._harmless)

    @property
    def _harmless(self) -> float:
        """Height (energy) up to which waves that run through the device grow by a harmless factor only."""
        return 6 * self.hopping / len(self.system.h)

    @property
    def _states_target(self) -> float:
        """Allowed error of the arcs in the thermal density of states, 1/energy."""
        return max(2.5e-2 * self._share * self.tolerance, 1e-12) / self.hopping

    @property
    def _share(self) -> int:
        """How often what `between` says of the states counts: A - G once; A twice, since on the axis G is A^+."""
        return 1 if self.backend.gives_jump else 2

    @property
    def _core(self) -> tuple[float, float]:
        """Interval of energy outside which the arcs contribute less than the tolerance."""
        smooth = self.hopping / self._highest
        reach = self.temperature * (4 - np.log(self.tolerance) + 2 * np.log(max(smooth, 1.0)))
        return self.fermi_energy - reach, self.fermi_energy + reach

    @cached_property
    def segments(self) -> list[Segment]:
        """Segments between thresholds, as far from E_F as the narrowest level could contribute."""
        far = _FAR * self.temperature
        return segments(self.system.modes, self.fermi_energy - far, self.fermi_energy + far)

    def _crossing(self, segment: Segment, highest: float) -> bool:
        """Whether a path above the first pole of f is possible: far from thresholds, and not too high."""
        low, high = self._core
        raised = 2 * np.pi * self.temperature
        alone = segment.low < low and high < segment.high
        clear = min(self.fermi_energy - segment.low, segment.high - self.fermi_energy) > 4 * raised
        return self._may_cross and alone and clear and raised <= highest

    def _search(self, height: float) -> None:
        """Choose the paths, at about this height (energy) and away from resonances, and find the poles below them."""
        mu, kT = self.fermi_energy, self.temperature
        pieces, search = self.segments, self._searched
        far = pieces[0].low, pieces[-1].high
        raised = height == self._highest and any(self._crossing(piece, self._harmless) for piece in pieces)
        height = 2 * np.pi * kT if raised else height
        guesses = [
            search.first_guesses(piece, *far, partial(self._wanted, height), self._thorough)
            if piece.open_modes.any()
            else []
            for piece in pieces
        ]
        energies = [np.concatenate([np.empty(0, complex), *(g.energies for g in one)]) for one in guesses]
        first_pole = mu + 1j * np.pi * kT
        near_pole = min((abs(e.conj() - first_pole).min(initial=np.inf) for e in energies), default=np.inf)
        if raised and near_pole < 0.3 * kT:  # a resonance almost at the pole of f: both residues would be huge
            raised, height = False, self._highest
        self._near_pole = min(near_pole, np.pi * kT)
        self.gates: list[_Gate] = []
        self.poles = []
        self._zeros_of: dict[int, Vectors] = {}
        self._passed = self._core
        for number, (piece, guessed) in enumerate(zip(pieces, guesses, strict=True)):
            crosses = raised and self._crossing(piece, self._harmless)
            clear = _clear_height(-energies[number].imag, height, 0.75 if crosses else 1 / 3)
            gate = _Gate(piece, min(clear, 0.25 * (piece.high - piece.low)), crosses)
            self.gates.append(gate)
            if piece.open_modes.any():
                found = search.zeros(guessed, [self._followed(gate, g.energies) for g in guessed])
            else:
                away = kT * min(_BOUND, 14 - np.log(self.tolerance))
                found = search.bound_states(piece, mu - away, mu + away)
            # The paths avoid all zeros; for zeros above the path, first guesses are accurate enough.
            above = energies[number][-energies[number].imag > _SEARCHED_HEIGHTS * gate.height]
            self._zeros_of[number] = np.concatenate([above, *(block.energies for block in found)])
            for block in found:
                residue = Residue(self.system, block, self.backend.solver)
                z = block.energies.conj()
                inside = gate.encloses(z)
                near = gate.passes_by(z) & piece.open_modes.any()
                # A path that passes close to a level outside the core, next to a threshold, must extend beyond it.
                wanted = ~inside & (z.imag < 0.5 * gate.height) & self._wanted(gate.height, z.real, z.imag)
                for e in z[wanted & bool(piece.open_modes.any())]:
                    low, high = self._passed
                    if e.real - e.imag < low or e.real + e.imag > high:
                        self._passed = min(low, e.real - 10 * e.imag), max(high, e.real + 10 * e.imag)
                slopes = np.where(inside, complex_fermi_derivative(z, mu, kT), 0)
                for p in np.flatnonzero(inside | near):
                    self.poles.append(_Pole(residue, int(p), number, complex(slopes[p]), bool(near[p])))

    def _wanted(self, height: float, positions: NDArray[np.float64], widths: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which levels, by position and half-width (energies), contribute if the arcs have this height."""
        t, (low, high) = self.hopping, self._core
        slopes = abs(complex_fermi_derivative(positions.astype(complex), self.fermi_energy, self.temperature))
        # Far from E_F only a response amplified by a narrow width can contribute.
        large = slopes * t * t > 1e-3 * self.tolerance * np.clip(widths, 1e-14 * t, None)
        inside = (positions > low) & (positions < high)
        return np.asarray((inside | large) & (widths < _SEARCHED_HEIGHTS * height))

    def _followed(self, gate: _Gate, guesses: Vectors) -> NDArray[np.bool_]:
        """Which first guesses (energies) may lead to a zero below this path."""
        low, high = gate.segment.low, gate.segment.high
        margin = min(0.05 * self.hopping, 0.3 * (high - low))
        inside = (guesses.real > low - margin) & (guesses.real < high + margin)
        return np.asarray(inside & self._wanted(gate.height, guesses.real, -guesses.imag))

    @property
    def _rule(self) -> _Gauss:
        """Gauss' rule used on each panel."""
        return _gauss(8 if self.tolerance > 3e-5 else 13)

    @cached_property
    def _searched(self) -> ResonanceSearch:
        return self.backend.search(self.segments[0].low, self.segments[-1].high)

    def _paths(self) -> list[tuple[int, _Gate]]:
        """Pairs (owner, part of its path where f' contributes).

        owner: number of the segment; the number after the last segment stands for `_analytic_gate`.
        """
        low, high = self._passed
        paths = []
        analytic = [] if self.ends or self.backend.gives_jump else [self._analytic_gate]
        for number, gate in enumerate([*self.gates, *analytic]):
            a, b = max(gate.segment.low, low), min(gate.segment.high, high)
            if a >= b or not (number == len(self.gates) or gate.segment.open_modes.any()):
                continue
            if b - a < 4 * gate.height:  # too short to reach the height that decides what it encloses
                a = max(gate.segment.low, b - 4 * gate.height) if a == low else a
                b = min(gate.segment.high, a + 4 * gate.height) if b == high else b
            at_low, at_high = gate.segment.at_threshold
            ends = at_low and a == gate.segment.low, at_high and b == gate.segment.high
            paths.append((number, _Gate(Segment(a, b, gate.segment.open_modes, ends), gate.height, gate.crosses)))
        return paths

    def _lay_arcs(self, tolerance: float) -> None:
        """Halve panels until the integrals of `rate` and of the thermal states converge; sets `arcs`."""
        kT, rule = self.temperature, self._rule
        paths = self._paths()
        for pole in self.poles:
            pole.is_near = pole.is_near and any(n == pole.owner and g.passes_by(np.array([pole.at])) for n, g in paths)
        panels = []
        for number, gate in paths:
            panels += self._resolving(gate.panels(number, 12 * kT), number, tolerance)
        done: list[_Done] = []
        self._at_poles = {}
        target = 2 * np.pi * tolerance / np.sqrt(max(len(panels), 1))
        states_target = np.pi / self._share * self._states_target / np.sqrt(max(len(panels), 1))
        while panels:
            if len(panels) + len(done) > _MOST_PANELS:
                raise ToleranceError(
                    f"the Fermi-surface term at temperature = {kT:g} did not converge to tolerance = "
                    f"{self.tolerance:g} within {_MOST_PANELS * len(rule.x)} energies: use a larger "
                    "electrons.tolerance, a higher temperature or a stronger coupling to the leads"
                )
            coarse = []
            for panel, one in zip(panels, self._evaluated(panels), strict=True):
                jacobian = (one.weights / rule.weights)[:, None]
                states, response = (
                    jacobian * (values.reshape(len(rule.x), -1) - poles.reshape(len(rule.x), -1))
                    for values, poles in zip((one.states, one.response), self._near_poles(one), strict=True)
                )
                # The thermal states are taken from A; on the path for G Y G they are not needed.
                fine = one.owner == len(self.gates) or rule.error(states) <= states_target
                if fine and rule.error(response) <= target:
                    done.append(one)
                elif abs(panel.c1) > _SHORTEST_PANEL * self.hopping:
                    coarse.append(panel)
                else:
                    raise ToleranceError(
                        f"the Fermi-surface term at temperature = {kT:g} has no limit at "
                        f"{complex(one.nodes[0]).real:.9g}, where a mode of the leads opens and there is a level: "
                        "change electrons.fermi_energy or electrons.sd_exchange, or use temperature = 0.0"
                    )
            panels = [half for panel in coarse for half in panel.halves()]
        path_of = dict(paths)
        for pole in self.poles:
            if pole.is_near:
                gate = path_of[pole.owner]
                on_path = [one for one in done if one.owner == pole.owner]
                z, weights = (np.concatenate([getattr(one, name) for one in on_path]) for name in ("nodes", "weights"))
                exact = gate.over_pole(pole.at, self.fermi_energy, kT)
                pole.weight += (exact - (weights / (z - pole.at)).sum()) / (2j * np.pi)
        circles = [self._circle(owner) for owner, gate in paths if gate.crosses]
        self._circle_error = max((self._error_of_circle(one) for one in circles), default=0.0)
        done += circles
        done.sort(key=lambda one: (one.owner, one.nodes[0].real))
        self.arcs = Arcs(
            nodes=np.concatenate([np.empty(0, complex), *(one.nodes for one in done)]),
            weights=np.concatenate([np.empty(0, complex), *(one.weights for one in done)]),
            owners=np.concatenate([np.empty(0, int), *(np.full(len(one.nodes), one.owner) for one in done)]),
        )
        # (states, response) at the nodes of each owner, kept so that they are not evaluated again.
        self._known = {}
        for owner in sorted({one.owner for one in done}):
            mine = [one for one in done if one.owner == owner]
            both = np.concatenate([one.states for one in mine]), np.concatenate([one.response for one in mine])
            self._known[owner] = both

    def _near_poles(self, one: _Done) -> tuple[Vectors, Vectors]:
        """Contributions of the poles near a path to the states and the response at its nodes: (nodes, sites x 4)."""
        if one.owner not in self._at_poles:
            mine = [pole for pole in self.poles if pole.owner == one.owner and pole.is_near]
            traces = [(_site_traces(left, r), _site_traces(a, r)) for left, r, a in map(self._vectors, mine)]
            size = self.thermal_states.size
            states, response = (
                np.array([pair[i].ravel() for pair in traces], complex).reshape(len(mine), size) for i in (0, 1)
            )
            self._at_poles[one.owner] = np.array([pole.at for pole in mine], complex), states, response
        at, states, response = self._at_poles[one.owner]
        cauchy = 1 / (one.nodes[:, None] - at)
        return cauchy @ states, cauchy @ response

    def _vectors(self, pole: _Pole) -> tuple[Vectors, Vectors, Vectors]:
        """l_p, r_p and G(z_p) Y l_p, (N,) each, for the motion `rate`."""
        block = pole.residue.block
        return block.left[:, pole.p], block.right[:, pole.p], self._driven_response(pole, self.rate)

    def _resolving(self, panels: list[_Panel], owner: int, tolerance: float) -> list[_Panel]:
        """The panels, halved until Gauss' rule resolves what lies near them: resonances, thresholds and poles of f."""
        mu, kT, t = self.fermi_energy, self.temperature, self.hopping
        known = mu + 1j * np.pi * kT * np.array([-1, 1, 3])
        if owner < len(self.gates):
            near = {pole.at for pole in self.poles if pole.owner == owner and pole.is_near}
            zeros = [z for z in self._zeros_of.get(owner, np.empty(0, complex)).conj() if complex(z) not in near]
            known = np.concatenate([known, zeros])
        thresholds = self.system.modes.thresholds
        resolved, open_ones = [], panels
        while open_ones:
            halves: list[_Panel] = []
            for panel in open_ones:
                ends = panel.c0 + panel.c2 - panel.c1, panel.c0 + panel.c2 + panel.c1
                # On a panel that begins at a threshold, the substitution has removed its square root.
                others = thresholds[[min(abs(e - x) for x in ends) > 1e-9 * t for e in thresholds]]
                singular = np.concatenate([known, others])
                asked = np.log(max(1.0, t / self._highest)) - np.log(tolerance)
                asked = np.maximum(asked - abs(singular.real - mu) / kT, 2.0)
                if (panel.digits(singular, len(self._rule.x)) >= asked).all() or abs(panel.c1) < 1e-6 * min(kT, t):
                    resolved.append(panel)
                else:
                    halves += panel.halves()
            open_ones = halves
        return resolved

    @property
    def _analytic_gate(self) -> _Gate:
        """The path for G Y G, over all bands at once; with all modes closed, A is G."""
        modes, kT = self.system.modes, self.temperature
        low, high = modes.band
        segment = Segment(low, high, np.zeros(len(modes.energies), bool), (True, True))
        crosses = self._crossing(segment, 0.25 * (high - low))
        return _Gate(segment, min((2 if crosses else 0.5) * np.pi * kT, 0.25 * (high - low)), crosses)

    def _evaluated(self, panels: list[_Panel]) -> list[_Done]:
        """Integrands of the states and of the response at the points of each panel."""
        rule = self._rule
        points = [panel.at(rule.x) for panel in panels]
        out: dict[int, _Done] = {}
        for owner in sorted({panel.owner for panel in panels}):
            mine = [i for i, panel in enumerate(panels) if panel.owner == owner]
            states, response, _ = self._between(np.concatenate([points[i][0] for i in mine]), owner, self.rate)
            for j, i in enumerate(mine):
                z, dz = points[i]
                weights = complex_fermi_derivative(z, self.fermi_energy, self.temperature) * dz * rule.weights
                part = slice(j * len(rule.x), (j + 1) * len(rule.x))
                out[i] = _Done(owner, z, weights, states[part], response[part])
        return [out[i] for i in range(len(panels))]

    def _circle(self, owner: int) -> _Done:
        """2 pi i times the residue at the first pole z_0 of f, where f' = kT/(z - z_0)^2.

        It is a derivative of the integrand at z_0, evaluated from points on a circle around z_0.
        """
        radius = _RADIUS * self._near_pole
        turns = np.exp(2j * np.pi * np.arange(_CIRCLE) / _CIRCLE)
        z = self.fermi_energy + 1j * np.pi * self.temperature + radius * turns
        states, response, _ = self._between(z, owner, self.rate)
        return _Done(owner, z, 2j * np.pi * self.temperature / (_CIRCLE * radius * turns), states, response)

    def _error_of_circle(self, one: _Done) -> float:
        """Estimated error of the density due to the circle: of its number of points, and of rounding on it."""
        radius = _RADIUS * self._near_pole
        energy = max(abs(self.fermi_energy), self.hopping)
        relative = _RADIUS ** (_CIRCLE + 1) + np.finfo(float).eps * energy / radius
        size = abs(one.weights) @ abs(one.response).reshape(len(one.weights), -1)
        return float(relative * size.max() / (2 * np.pi))

    def _between(self, z: Vectors, owner: int, rate: Vectors, with_bonds: bool = False):
        segment = (self.gates[owner] if owner < len(self.gates) else self._analytic_gate).segment
        ends = None if self.ends is None else self.ends(z, segment)
        return self.backend.between(z, segment, rate, ends, with_bonds)

    # --- results --------------------------------------------------------------------------------------

    def states(self) -> NDArray[np.float64]:
        """Thermal density of states -(1/2pi) int f' i (G - G^+) on the sites, traced, 1/energy."""
        out = np.zeros(self.thermal_states.shape)
        for owner, part in self.arcs.parts():
            if owner == len(self.gates):
                continue
            states, _ = self._known[owner]
            out += np.real(np.tensordot(self._share * 0.5j * self.arcs.weights[part] / np.pi, states, axes=1))
        for pole in self.poles:
            block, p = pole.residue.block, pole.p
            share = self._share if block.segment.open_modes.any() else 1
            out -= np.real(share * pole.weight * _site_traces(block.left[:, p], block.right[:, p])).reshape(out.shape)
        return out

    def _is_known(self, rate: Vectors) -> bool:
        return rate is self.rate or np.array_equal(rate, self.rate)

    def _sign(self, owner: int) -> int:
        return -1 if owner == len(self.gates) else 1

    def density(self, rate: Vectors) -> NDArray[np.float64]:
        """rho_surf on the sites, traced, for Y = `rate` (dH/dt on the sites)."""
        out = np.zeros(self.thermal_states.shape)
        for owner, part in self.arcs.parts():
            response = (
                self._known[owner][1] if self._is_known(rate) else self._between(self.arcs.nodes[part], owner, rate)[1]
            )
            out -= self._sign(owner) * np.real(np.tensordot(self.arcs.weights[part] / (2 * np.pi), response, axes=1))
        for a, b in self._pairs(rate):
            out += np.real(_site_traces(a, b)).reshape(out.shape)
        if not np.isfinite(out).all():
            raise ToleranceError(
                f"the Fermi-surface term at temperature = {self.temperature:g} is not a number: an energy is out of "
                "range or a level lies exactly at a band edge; change electrons.fermi_energy or electrons.temperature"
            )
        return out

    def bonds(self, rate: Vectors) -> NDArray[np.float64]:
        """rho_surf over bonds: Tr[sigma_a i (rho_this,next - rho_next,this)], the flow if the hopping were 1.

        Of a lattice whose bonds along y are matrices also Tr[sigma_a (rho_this,next + rho_next,this)] of those, [:, 2].
        """
        nothing = np.zeros(self.system.size, complex)
        total = self.backend.over_bonds(nothing, nothing)
        for owner, part in self.arcs.parts():
            _, _, bonds = self._between(self.arcs.nodes[part], owner, rate, with_bonds=True)
            total = total - self._sign(owner) * np.tensordot(self.arcs.weights[part] / (2 * np.pi), bonds, axes=1)
        for a, b in self._pairs(rate):
            total = total + self.backend.over_bonds(a, b)
        found = np.imag(total)
        if total.ndim == 4 and total.shape[1] == 3:
            found[:, 2] = np.real(total[:, 2])
        return found

    def into_leads(self, rate: Vectors, K: Vectors | None = None, energy: bool = False) -> NDArray[np.float64]:
        """Flow into the left and the right lead, Tr[sigma_a Gamma rho_surf] on the end slices: (2, 4), 1/time.

        K: generator of the rotation, if `ends` is the `TurningLeads` of a chain; then 2 Im[K Gamma G^+] is subtracted,
        for the wave that enters from the same lead.  energy: the energy that all this carries, energy/time.
        """
        flow = np.zeros((2, 4))
        for owner, part in self.arcs.parts():
            if owner == len(self.gates):
                continue
            z, weights, segment = self.arcs.nodes[part], self.arcs.weights[part], self.gates[owner].segment
            weights = z * weights if energy else weights
            widths = self.system.widths(z, segment.open_modes)
            ends = None if self.ends is None else self.ends(z, segment)
            known = self._known[owner][1] if self._is_known(rate) else None
            taken = self.backend.at_ends(z, segment, rate, ends, known)
            flow -= np.real(np.einsum("k,kpm,kpma->pa", weights, widths, taken)) / (2 * np.pi)
            if K is not None:
                states = self._known[owner][0][:, [0, -1]]
                flow -= np.imag(np.einsum("k,kp,kpa,ba->pb", weights, widths[..., 0], states, _turned(K))) / np.pi
        for pole, (a, b) in zip(self.poles, self._pairs(rate), strict=True):
            block, p = pole.residue.block, pole.p
            z = np.array([pole.at])
            widths = self.system.widths(z, block.segment.open_modes)[0] * (pole.at if energy else 1.0)
            flow += np.real(np.einsum("pm,pma->pa", widths, self._end_traces(a, b)))
            if K is not None:
                states = self._end_traces(block.left[:, p], block.right[:, p])[:, 0]
                flow -= np.imag(2j * pole.weight * widths * (states @ _turned(K).T))
        return flow

    def _end_traces(self, a: Vectors, b: Vectors) -> Vectors:
        """Traces of a b^+ on both end slices by mode, for states a, b (N,): (2, ny, 4)."""
        at_ends = [self.system.amplitudes(v[:, None])[:, 0] for v in (a, b)]
        return _site_traces(*at_ends).reshape(2, -1, 4)

    def tails(self, rate: Vectors, energy: bool = False) -> NDArray[np.float64]:
        """Flow over the first bonds of the leads due to changing tails of discrete levels in the leads: (2, 4), 1/time.

        It decays inside the lead: no particles arrive deep inside.  energy: what leads have of their energy instead.
        """
        flow = np.zeros((2, 4))
        for pole in self.poles:
            residue, p = pole.residue, pole.p
            block = residue.block
            if block.half_widths[p] == 0:
                left_out = residue.response(p, self._driven(residue, p, rate))[1]
                at = complex(block.energies[p])
                change = self.system.slope(at, block.segment.open_modes)[::2].reshape(2, -1)
                if energy:  # d(E Sigma)/dE
                    sigma = self.system.self_energy(at, block.segment.open_modes)[::2].reshape(2, -1)
                    change = at * change + sigma
                traces = self._end_traces(block.right @ left_out, block.right[:, p])
                flow += np.real(pole.weight * np.einsum("pm,pma->pa", change, traces))
        return flow

    def discrete(self) -> BoundStates:
        """The discrete levels in the thermal window, as `BoundStates` without resolvents."""
        levels = [pole for pole in self.poles if pole.residue.block.half_widths[pole.p] == 0]
        states, weighted, energies = [], [], []
        done: list[tuple[int, float]] = []
        for pole in levels:
            residue, p = pole.residue, pole.p
            energy = float(residue.block.energies[p].real)
            if any(key == id(residue) and abs(e - energy) <= residue.same for key, e in done):
                continue
            done.append((id(residue), energy))
            basis = residue.orthonormal(p)
            for v, w in zip(basis.T, residue.overlapping(p, basis).T, strict=True):
                states.append(v.reshape(-1, 2))
                weighted.append(w.reshape(-1, 2))
                energies.append(energy)
        if not energies:
            return NO_LEVELS
        slopes = np.real(complex_fermi_derivative(np.array(energies, complex), self.fermi_energy, self.temperature))
        same = 1e-8 * self.hopping
        return BoundStates(np.array(energies), np.array(states), np.array(weighted), [], slopes, same)

    def _pairs(self, rate: Vectors) -> list[tuple[Vectors, Vectors]]:
        """Pairs of states (a, b), (N,) each: the residues add the Hermitian part of sum a b^+ to the density matrix."""
        self._check_widths(rate)
        return [
            (-1j * pole.weight * self._driven_response(pole, rate), pole.residue.block.right[:, pole.p])
            for pole in self.poles
        ]

    def _driven_response(self, pole: _Pole, rate: Vectors) -> Vectors:
        """G(z_p) Y l_p, (N,), without the diagonal response of a discrete level; kept for the motion `self.rate`."""
        if pole.response is not None and self._is_known(rate):
            return pole.response
        residue, p, block = pole.residue, pole.p, pole.residue.block
        response, left_out = residue.response(p, self._driven(residue, p, rate))
        if block.half_widths[p] > 0:
            response = response + block.right[:, p] * (left_out[p] / (2j * block.half_widths[p]))
        if self._is_known(rate):
            pole.response = response
        return response

    def _driven(self, residue: Residue, p: int, rate: Vectors) -> Vectors:
        """Y l_p, (N,)."""
        left = residue.block.left[:, p]
        spinors = left.reshape(-1, 2)
        out = np.matmul(rate.reshape(-1, 2, 2), spinors[:, :, None])[:, :, 0]
        if self.ends is not None:
            z = np.array([np.conj(residue.block.energies[p])])
            on_ends = self.ends(z, residue.block.segment)[0]
            out = out.copy()
            out[0] += on_ends[0] @ spinors[0]
            out[-1] += on_ends[1] @ spinors[-1]
        return out.ravel()

    def _check_rounding(self, allowed: float) -> None:
        """Raise ToleranceError if rounding of the energies changes the integrals along the paths by more than this.

        Singularities, of f' as of resonances, are about as far away as the path is high above the axis.
        """
        energy = max(abs(self.fermi_energy), self.hopping)
        total = np.zeros(self.thermal_states.size)
        for owner, part in self.arcs.parts():
            z, weights = self.arcs.nodes[part], self.arcs.weights[part]
            response = abs(self._known[owner][1]).reshape(len(z), -1)
            total += (abs(weights) * energy / abs(z.imag)) @ response / (2 * np.pi)
        error = 4 * np.finfo(float).eps * float(total.max(initial=0.0))
        if error > allowed:
            raise ToleranceError(
                f"the Fermi-surface response at temperature = {self.temperature:g} is so large that rounding of the "
                f"energies changes it by up to {error:.1e}, more than tolerance = {self.tolerance:g} allows: use a "
                "larger electrons.tolerance, a stronger coupling to the leads, a higher temperature, or 0.0"
            )

    def _check_widths(self, rate: Vectors) -> None:
        """Raise ToleranceError if rounding of a narrow width changes its response by more than the tolerance."""
        size = float(abs(rate).max()) / self.hopping**2 if self.ends is None else self.size
        allowed = self.tolerance * min(1.0, size)
        for pole in self.poles:
            residue, p, slope = pole.residue, pole.p, pole.weight
            block = residue.block
            gamma = block.half_widths[p]
            if gamma == 0:
                continue
            share = abs(np.vdot(block.left[:, p], self._driven(residue, p, rate)))
            largest = abs(block.right[:, p].reshape(-1, 2) ** 2).sum(axis=1).max()
            response = abs(slope) * share * largest / (2 * gamma)
            # f'(E_p) has a relative error of the rounding of E_p over kT.
            energy = max(abs(block.energies[p]), abs(self.fermi_energy), self.hopping)
            rounding = _WIDTH_ROUNDING + 1.5 * np.finfo(float).eps * energy / self.temperature
            if response * rounding > allowed:
                raise ToleranceError(
                    f"a level at {block.energies[p].real:.6g}, {block.energies[p].real - self.fermi_energy:.3g} from "
                    f"the Fermi energy, has a half-width of {gamma:.1e}: its Fermi-surface response is {response:.1e} "
                    f"and cannot be computed to tolerance = {self.tolerance:g}; use a larger electrons.tolerance, a "
                    "stronger coupling to the leads, or temperature = 0.0"
                )


def _clear_height(heights: NDArray[np.float64], highest: float, least: float) -> float:
    """A height (energy) between `least` times `highest` and `highest`, as far as possible from all `heights`."""
    candidates = highest * np.geomspace(1.0, least, 25)
    near = heights[(heights > highest / 12) & (heights < 4 * highest)]
    if not len(near):
        return highest
    clearance = abs(np.log(candidates[:, None] / near)).min(axis=1)
    return float(candidates[np.argmax(np.minimum(clearance, 0.7) * candidates**0.25)])


def _turned(K: Vectors) -> Vectors:
    """Matrix (4, 4) that maps the traces of a 2 x 2 block B with 1, sigma_x, sigma_y, sigma_z to those of K B."""
    return np.einsum("bij,jk,aki->ba", PAULI, K, PAULI) / 2


def _site_traces(a: Vectors, b: Vectors) -> Vectors:
    """Traces of a_i b_i^+ with 1, sigma_x, sigma_y, sigma_z for states (N,): (N/2, 4)."""
    a, b = a.reshape(-1, 2), b.reshape(-1, 2).conj()
    p00, p01, p10, p11 = a[:, 0] * b[:, 0], a[:, 0] * b[:, 1], a[:, 1] * b[:, 0], a[:, 1] * b[:, 1]
    return np.stack([p00 + p11, p01 + p10, 1j * (p01 - p10), p00 - p11], axis=1)
