"""Which paths above the real axis serve one texture at kT > 0, and the poles of resonances below and near them.

The equations are in `thermal_surface.py`, the paths themselves in `arcs.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .arcs import Gate, Panel, clear_height, complex_fermi_derivative
from .open_system import Mask, OpenSystem, Segment, Solver, Vectors, segments
from .residues import Residue
from .resonances import ResonanceSearch

# Resonances are followed up to this multiple of the arc height, because first guesses of their widths are inaccurate.
_SEARCHED_HEIGHTS = 1.5
# Energies farther than this from E_F, in kT, are ignored: -f' < exp(-_FAR) is negligible for the narrowest level too.
_FAR = 60.0
# Levels outside all bands that are farther than this from E_F, in kT, are ignored (sooner at larger tolerances): their
# response is not amplified by a small width.
_BOUND = 45.0


@dataclass
class Pole:
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


class Searched(Protocol):
    """A chain or a lattice in which resonances are searched."""

    @property
    def open_system(self) -> OpenSystem: ...

    def solver(self, z: complex, open_modes: Mask) -> Solver:
        """K(z) on the sheet of a segment with these open modes, for z on the real axis or above it."""
        ...

    def search(self, low: float, high: float) -> ResonanceSearch:
        """A search for resonances that covers at least the energies between `low` and `high`."""
        ...


@dataclass
class ArcPaths:
    """The paths for one texture, which `search` chooses, with the poles below and near them.

    temperature kT > 0, fermi_energy: energies; tolerance: bound on the error of the density.
    with_analytic: whether G Y G is integrated along a path of its own, `analytic_gate`.
    may_cross: whether a path may pass above the first pole of f; thorough: whether levels are looked for among all that
    leads may mix, as in `ResonanceSearch.first_guesses`.
    gates: the path above each segment; near_pole: distance of the nearest pole of A from the first pole of f, energy.
    """

    backend: Searched
    fermi_energy: float
    temperature: float
    tolerance: float
    with_analytic: bool
    may_cross: bool = True
    thorough: bool = False
    gates: list[Gate] = field(init=False, default_factory=list)
    poles: list[Pole] = field(init=False, default_factory=list)
    near_pole: float = field(init=False)

    _zeros_of: dict[int, Vectors] = field(init=False, default_factory=dict)
    _passed: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        self.system = self.backend.open_system
        self.hopping = self.system.modes.hopping

    @property
    def highest(self) -> float:
        """Largest height of arcs that pass below the first pole of f: half its height, at most `_harmless`; energy."""
        return min(0.5 * np.pi * self.temperature, self._harmless)

    @property
    def _harmless(self) -> float:
        """Height (energy) up to which waves that run through the device grow by a harmless factor only."""
        return 6 * self.hopping / len(self.system.h)

    @property
    def _core(self) -> tuple[float, float]:
        """Interval of energy outside which the arcs contribute less than the tolerance."""
        smooth = self.hopping / self.highest
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
        return self.may_cross and alone and clear and raised <= highest

    def search(self, height: float) -> None:
        """Choose the paths, at about this height (energy) and away from resonances, and find the poles below them."""
        mu, kT = self.fermi_energy, self.temperature
        pieces, search = self.segments, self._searched
        far = pieces[0].low, pieces[-1].high
        raised = height == self.highest and any(self._crossing(piece, self._harmless) for piece in pieces)
        height = 2 * np.pi * kT if raised else height
        guesses = [
            search.first_guesses(piece, *far, partial(self._wanted, height), self.thorough)
            if piece.open_modes.any()
            else []
            for piece in pieces
        ]
        energies = [np.concatenate([np.empty(0, complex), *(g.energies for g in one)]) for one in guesses]
        first_pole = mu + 1j * np.pi * kT
        near_pole = min((abs(e.conj() - first_pole).min(initial=np.inf) for e in energies), default=np.inf)
        if raised and near_pole < 0.3 * kT:  # a resonance almost at the pole of f: both residues would be huge
            raised, height = False, self.highest
        self.near_pole = min(near_pole, np.pi * kT)
        self.gates, self.poles, self._zeros_of, self._passed = [], [], {}, self._core
        for number, (piece, guessed) in enumerate(zip(pieces, guesses, strict=True)):
            crosses = raised and self._crossing(piece, self._harmless)
            clear = clear_height(-energies[number].imag, height, 0.75 if crosses else 1 / 3)
            gate = Gate(piece, min(clear, 0.25 * (piece.high - piece.low)), crosses)
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
                    self.poles.append(Pole(residue, int(p), number, complex(slopes[p]), bool(near[p])))

    def _wanted(self, height: float, positions: NDArray[np.float64], widths: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which levels, by position and half-width (energies), contribute if the arcs have this height."""
        t, (low, high) = self.hopping, self._core
        slopes = abs(complex_fermi_derivative(positions.astype(complex), self.fermi_energy, self.temperature))
        # Far from E_F only a response amplified by a narrow width can contribute.
        large = slopes * t * t > 1e-3 * self.tolerance * np.clip(widths, 1e-14 * t, None)
        inside = (positions > low) & (positions < high)
        return np.asarray((inside | large) & (widths < _SEARCHED_HEIGHTS * height))

    def _followed(self, gate: Gate, guesses: Vectors) -> NDArray[np.bool_]:
        """Which first guesses (energies) may lead to a zero below this path."""
        low, high = gate.segment.low, gate.segment.high
        margin = min(0.05 * self.hopping, 0.3 * (high - low))
        inside = (guesses.real > low - margin) & (guesses.real < high + margin)
        return np.asarray(inside & self._wanted(gate.height, guesses.real, -guesses.imag))

    @cached_property
    def _searched(self) -> ResonanceSearch:
        return self.backend.search(self.segments[0].low, self.segments[-1].high)

    def paths(self) -> list[tuple[int, Gate]]:
        """Pairs (owner, part of its path where f' contributes).

        owner: number of the segment; the number after the last segment stands for `analytic_gate`.
        """
        low, high = self._passed
        paths = []
        analytic = [self.analytic_gate] if self.with_analytic else []
        for number, gate in enumerate([*self.gates, *analytic]):
            a, b = max(gate.segment.low, low), min(gate.segment.high, high)
            if a >= b or not (number == len(self.gates) or gate.segment.open_modes.any()):
                continue
            if b - a < 4 * gate.height:  # too short to reach the height that decides what it encloses
                a = max(gate.segment.low, b - 4 * gate.height) if a == low else a
                b = min(gate.segment.high, a + 4 * gate.height) if b == high else b
            at_low, at_high = gate.segment.at_threshold
            ends = at_low and a == gate.segment.low, at_high and b == gate.segment.high
            paths.append((number, Gate(Segment(a, b, gate.segment.open_modes, ends), gate.height, gate.crosses)))
        return paths

    def resolving(self, panels: list[Panel], owner: int, points: int, tolerance: float) -> list[Panel]:
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
            halves: list[Panel] = []
            for panel in open_ones:
                ends = panel.c0 + panel.c2 - panel.c1, panel.c0 + panel.c2 + panel.c1
                # On a panel that begins at a threshold, the substitution has removed its square root.
                others = thresholds[[min(abs(e - x) for x in ends) > 1e-9 * t for e in thresholds]]
                singular = np.concatenate([known, others])
                asked = np.log(max(1.0, t / self.highest)) - np.log(tolerance)
                asked = np.maximum(asked - abs(singular.real - mu) / kT, 2.0)
                if (panel.digits(singular, points) >= asked).all() or abs(panel.c1) < 1e-6 * min(kT, t):
                    resolved.append(panel)
                else:
                    halves += panel.halves()
            open_ones = halves
        return resolved

    @property
    def analytic_gate(self) -> Gate:
        """The path for G Y G, over all bands at once; with all modes closed, A is G."""
        modes, kT = self.system.modes, self.temperature
        low, high = modes.band
        segment = Segment(low, high, np.zeros(len(modes.energies), bool), (True, True))
        crosses = self._crossing(segment, 0.25 * (high - low))
        return Gate(segment, min((2 if crosses else 0.5) * np.pi * kT, 0.25 * (high - low)), crosses)
