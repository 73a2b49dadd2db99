"""Resonances and bound states of an open device: the zeros of K(E) = E - H - Sigma(E), with both eigenvectors.

Near a zero E_p the Green's function is G(E) = r_p l_p^+/(E - E_p) + regular, with K r = 0, l^+ K = 0, l^+ K' r = 1.
Zeros on the real axis are discrete levels: bound states outside the lead bands, or levels inside them that the symmetry
of the device decouples from the open modes.  All other zeros lie below the axis by their half-width.

First guesses are the eigenvectors of H + Re Sigma(E_F) (Hermitian, "Hermitian levels" below) at the energies of
interest, and eigenvectors of H + Sigma in the basis of these.  `zeros.py` refines them to zeros accurate to rounding;
`residues.py` has what these contribute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .folding import FoldedLevels, Piece
from .open_system import Mask, OpenSystem, Segment, Vectors
from .threads import each
from .zeros import NARROW, Resonances, each_once, groups_of, orthonormal, polished, same_level

Floats = NDArray[np.float64]

# Length of the pieces of energy (times the hopping) on which Sigma is about linear; the second for small systems.
_PIECE, _PIECE_OF_FEW = 0.2, 0.5
_NEAR_THRESHOLD = np.array([0.01, 0.03, 0.1])
# Levels up to this distance (times the hopping) from a piece are mixed by the leads with those in it.
_MARGIN = 0.4
# Number of iterations of the subspace, and margin around a piece (times the hopping) from which it keeps vectors.
_SUBSPACE_PASSES, _KEPT = 2, 0.3
_OVERLAP = 0.01
# Up to this number of orbitals, all levels are included in every piece.
_FEW = 64
# Margin around a piece (times the hopping) in which levels are not folded.
_FOLDED_MARGIN = 0.2
# Up to this number of orbitals per slice, the band eigenvalue solver is faster than the dense one.
_NARROW_BAND = 8


@dataclass(frozen=True)
class FirstGuess:
    """First guesses of zeros near a segment.

    energies: E_p (k,), with estimated errors (k,), energy; right, left: coefficients (n, k) of the eigenvectors in the
    basis; basis: states (N, n) for the right and for the left vectors; piece: the `Piece` with folded levels whose
    zeros these are, or None.
    """

    segment: Segment
    energies: Vectors
    right: Vectors
    left: Vectors
    errors: NDArray[np.float64]
    basis: tuple[Vectors, Vectors]
    piece: Piece | None = None

    def vectors(self, chosen: NDArray[np.intp]) -> tuple[Vectors, Vectors]:
        """Right and left vectors (N, k) of the guesses with these indices."""
        return self.basis[0] @ self.right[:, chosen], self.basis[1] @ self.left[:, chosen]


class ResonanceSearch:
    """All zeros of K(E) near a piece of the real axis.

    low, high: the piece, energy; reference: energy at which Re Sigma enters the Hermitian levels; accuracy: allowed
    error of the response of a narrow level, relative to 1/gamma; 0 for rounding accuracy, which is slow in large
    systems.
    """

    def __init__(self, system: OpenSystem, low: float, high: float, reference: float, accuracy: float = 0.0) -> None:
        self.system, self.reference, self.accuracy = system, reference, accuracy
        margin = _MARGIN * system.modes.hopping if system.size > _FEW else np.inf
        self.levels, self.states = _hermitian_levels(system, low - margin, high + margin, reference)
        self.ends = system.amplitudes(self.states)
        self.margin = margin
        # If all levels are known, most are folded into the end channels, which is exact.
        self._folded = None
        if accuracy > 0 and len(self.levels) == system.size and system.size > _FEW:
            self._folded = FoldedLevels(system, self.levels, self.states, self.ends, self._at_reference)

    def first_guesses(
        self,
        segment: Segment,
        low: float,
        high: float,
        wanted: Callable[[Floats, Floats], Mask] | None = None,
        thorough: bool = False,
    ) -> list[FirstGuess]:
        """Eigenvectors of H + Sigma from Hermitian levels, for energies of a segment between `low` and `high`.

        The energies are divided into pieces, and Sigma is expanded about the middle of each; a guess belongs to the
        piece that contains its energy.  wanted(energies, half-widths): which levels are needed (None: all); pieces
        without any such Hermitian level are skipped.
        thorough: no piece is skipped for what the leads do to Hermitian levels to first order.  Where these are
        degenerate, or nearly so, the leads choose other states among them, with other shifts and widths.  That is
        always so for one wide slice: with both couplings equal to the hopping all its modes are degenerate.
        """
        slices, orbitals, _ = self.system.h.shape
        thorough |= slices == 1 and orbitals > 2
        hopping = self.system.modes.hopping
        a, b = max(low, segment.low), min(high, segment.high)
        if b - a <= 1e-12 * hopping:  # at a threshold Sigma has no slope
            return []
        # The factor allows for the error of first-order widths of Hermitian levels.
        promising = np.ones(len(self.levels), bool) if wanted is None else wanted(self.levels, 0.03 * self.level_widths)
        piece = hopping * (_PIECE if np.isfinite(self.margin) else _PIECE_OF_FEW)
        cuts = np.linspace(a, b, 1 + int(np.ceil((b - a) / piece)))
        # Sigma has a square-root singularity at a threshold: shorter pieces there.
        for edge, at_threshold, sign in zip((segment.low, segment.high), segment.at_threshold, (1, -1), strict=True):
            if at_threshold:
                cuts = np.append(cuts, edge + sign * hopping * _NEAR_THRESHOLD)
        cuts = np.unique(cuts[(cuts >= a) & (cuts <= b)])
        # High temperatures ask for far more energies than levels can be at.
        lowest, highest = self._all_levels_between(0.3 * hopping)
        reached = (cuts[1:] > lowest) & (cuts[:-1] < highest)
        pieces = []
        for start, stop in zip(cuts[:-1][reached].tolist(), cuts[1:][reached].tolist(), strict=True):
            if thorough:
                reachable = self._may_reach(segment, start, stop)
            else:
                reachable = self._near(segment, start, stop, 0.2 * hopping) & promising
            if reachable.any():
                pieces.append((start, stop))
        if self._folded is None:
            return [self._first_guess(segment, *piece) for piece in pieces]
        return each(lambda piece: self._folded_guess(segment, *piece, thorough), pieces)

    def _folded_guess(self, segment: Segment, low: float, high: float, thorough: bool) -> FirstGuess:
        """First guesses between `low` and `high` (energies) from nearby levels; all others are folded."""
        assert self._folded is not None
        t = self.system.modes.hopping
        near = self._near(segment, low, high, _FOLDED_MARGIN * t)
        if thorough:
            near |= self._may_reach(segment, low, high)
        piece = Piece(self._folded, segment, low, high, near)
        energies, right, left, errors = piece.guesses()
        overlap = np.minimum(_OVERLAP * t, 1e-3 * t + 3 * errors)
        mine = (energies.real > low - overlap) & (energies.real < high + overlap)
        states = self.states[:, piece.near]
        return FirstGuess(segment, energies[mine], right[:, mine], left[:, mine], errors[mine], (states, states), piece)

    @cached_property
    def level_widths(self) -> Floats:
        """Half-widths of the Hermitian levels to first order in Im Sigma, (k,)."""
        if not len(self.levels):
            return np.zeros(0)
        widths = [self.system.imaginary_self_energy(float(e)) for e in self.levels]
        of_levels: Floats = np.array(widths, float).reshape(len(self.levels), -1).T * self._end_weights
        return -of_levels.sum(axis=0)

    def _near(self, segment: Segment, low: float, high: float, margin: float) -> Mask:
        """Which Hermitian levels, with or without their first-order shift by Sigma(E) - Sigma(E_F), are near the piece.

        low, high, margin: energies.
        """
        there = self.system.self_energy(0.5 * (low + high), segment.open_modes).real - self._at_reference
        shifts = there @ self._end_weights
        return np.any([(e > low - margin) & (e < high + margin) for e in (self.levels, self.levels + shifts)], axis=0)

    def _may_reach(self, segment: Segment, low: float, high: float) -> Mask:
        """Which Hermitian levels Sigma(E) - Sigma(E_F) may bring to the piece, whichever states it mixes."""
        margin = self._shift(0.5 * (low + high), segment) + 0.2 * self.system.modes.hopping
        return (self.levels > low - margin) & (self.levels < high + margin)

    def _all_levels_between(self, margin: float) -> tuple[float, float]:
        """Energies outside of which `_near` holds for no level, whatever the leads do to it; margin: energy."""
        if not len(self.levels):
            return np.inf, -np.inf
        shifts = (self.system.largest_self_energy + abs(self._at_reference)) @ self._end_weights
        return float((self.levels - shifts).min()) - margin, float((self.levels + shifts).max()) + margin

    @cached_property
    def _end_weights(self) -> Floats:
        """|amplitude|^2 of the Hermitian levels at the ends by channel, (4 ny, k)."""
        return np.asarray(abs(self.ends) ** 2, float)

    def _shift(self, energy: float, segment: Segment) -> float:
        """Bound (Weyl) on the shift of the Hermitian levels if Re Sigma is taken at this energy instead, energy."""
        there = self.system.self_energy(energy, segment.open_modes).real
        both_ends = 1 if len(self.system.h) > 1 else 2
        return both_ends * float(abs(there - self._at_reference).max())

    @cached_property
    def _at_reference(self) -> Floats:
        return self.system.real_self_energy(self.reference)

    def _first_guess(self, segment: Segment, low: float, high: float) -> FirstGuess:
        """Eigenvectors with Sigma linear in the energy between `low` and `high`.

        First in the basis of nearby Hermitian levels; the contribution of other levels is added by subspace iterations.
        """
        system, t = self.system, self.system.modes.hopping
        middle = 0.5 * (low + high)
        slope = system.slope(middle, segment.open_modes)
        sigma = system.self_energy(middle, segment.open_modes)
        margin = self.margin + self._shift(middle, segment)
        near = (self.levels > low - margin) & (self.levels < high + margin)
        V = W = self.states[:, near]
        energies, right, left = np.empty(0, complex), np.empty((0, 0), complex), np.empty((0, 0), complex)
        whole = len(V) == V.shape[1]
        factors = None if whole else system.factorized(middle, segment.open_modes)
        for number in range(1 if whole else 1 + _SUBSPACE_PASSES):
            if number:
                assert factors is not None
                kept = abs(energies - middle) < 0.5 * (high - low) + _KEPT * t
                V, W = V @ right[:, kept], W @ left[:, kept]
                V = orthonormal(factors.solve(system.overlapping(V, slope)))
                W = orthonormal(factors.solve(system.overlapping(W, slope.conj()), adjoint=True))
            ends, left_ends = system.amplitudes(V), system.amplitudes(W).conj().T
            overlap = W.conj().T @ V - left_ends @ (slope[:, None] * ends)
            matrix = W.conj().T @ system.apply(V) + left_ends @ ((sigma - middle * slope)[:, None] * ends)
            energies, right = np.linalg.eig(np.linalg.solve(overlap, matrix))
            left = np.linalg.solve(overlap.conj().T, np.linalg.pinv(right, rcond=1e-13).conj().T)
        # Neighbouring pieces overlap a little, because guesses have errors.
        mine = np.flatnonzero((energies.real > low - _OVERLAP * t) & (energies.real < high + _OVERLAP * t))
        # Estimated error of the linear approximation of Sigma.
        bend = system.curvature(middle, middle, middle, segment.open_modes)
        left, right = left[:, mine], right[:, mine]
        weights = abs((left_ends.T.conj() @ left).conj() * (ends @ right))
        weights = weights / abs((left.conj() * (overlap @ right)).sum(axis=0))
        errors = (abs(bend) @ weights) * abs(energies[mine] - middle) ** 2 + 1e-6 * t
        return FirstGuess(segment, energies[mine], right, left, errors, (V, W))

    def zeros(self, guesses: list[FirstGuess], chosen: list[NDArray[np.bool_]]) -> list[Resonances]:
        """The zeros to which the chosen first guesses converge, on the sheet of their segment; each zero once."""
        found: list[Resonances] = []
        asked = [(guess, np.flatnonzero(mine)) for guess, mine in zip(guesses, chosen, strict=True)]
        for blocks in each(lambda one: self._followed(*one), asked):
            found += blocks
        return [block for _, block in each_once(list(enumerate(found)), same_level(self.system))]

    def bound_states(self, segment: Segment, low: float, high: float) -> list[Resonances]:
        """All levels between `low` and `high` (energies) of a segment where no mode is open; none can be missed.

        There each eigenvalue e_k of H + Sigma(E) decreases with E, so that e_k(E) = E has exactly one solution if
        e_k - E changes sign, and the number of levels is known beforehand.
        """
        t = self.system.modes.hopping
        a = max(low, segment.low + 1e-12 * t * segment.at_threshold[0])
        b = min(high, segment.high - 1e-12 * t * segment.at_threshold[1])
        if a >= b:
            return []
        above, below = (self._eigenvalues(e) for e in (a, b))
        asked = np.flatnonzero((above > a) & (below <= b))
        if not len(asked):
            return []
        guesses = self.first_guesses(segment, a, b)
        everything = [np.ones(len(guess.energies), bool) for guess in guesses]
        found = [block.of(np.flatnonzero(_between(block, a, b))) for block in self.zeros(guesses, everything)]
        if sum(len(block.energies) for block in found) == len(asked):
            return [block for block in found if len(block.energies)]
        from scipy.optimize import brentq  # heavy import, seldom needed

        energies = [
            float(brentq(lambda e, k=k: self._eigenvalues(e)[k] - e, a, b, xtol=1e-14 * t, rtol=1e-14)) for k in asked
        ]
        groups: list[list[float]] = []
        for energy in energies:
            if groups and energy - groups[-1][-1] < 1e-7 * t:
                groups[-1].append(energy)
            else:
                groups.append([energy])
        found = []
        for group in groups:
            values, vectors = np.linalg.eigh(self.system.hermitian(group[0]))
            near = vectors[:, np.argsort(abs(values - group[0]))[: len(group)]]
            block = polished(self.system, segment, np.array(group, complex), near, near)
            if block is not None:
                found.append(block)
        return found

    def _eigenvalues(self, energy: float) -> Floats:
        """All eigenvalues of H + Re Sigma(E), in order."""
        if self.system.h.shape[1] <= _NARROW_BAND and self.system.size > 4 * _NARROW_BAND:
            import scipy.linalg  # heavy import, not needed in every run

            band = self.system.hermitian_band(energy)
            return np.asarray(scipy.linalg.eigvals_banded(band, lower=True, check_finite=False))
        return np.asarray(np.linalg.eigvalsh(self.system.hermitian(energy)), dtype=np.float64)

    def _followed(self, guess: FirstGuess, index: NDArray[np.intp]) -> list[Resonances]:
        """The zeros to which the guesses with these indices converge."""
        groups = [index[g] for g in groups_of(guess.energies[index], guess.errors[index])]
        found: list[Resonances | None] = []
        if guess.piece is not None:
            alone = [int(g[0]) for g in groups if len(g) == 1]
            done, blocks = self._folded_zeros(guess, guess.piece, alone)
            groups = [g for g in groups if not (len(g) == 1 and int(g[0]) in done)]
            found += blocks
        for group in groups:
            block = self._each_polished(guess, group)
            if block is None and len(group) > 1:
                # Levels that the leads separate too much for one common subspace: refine each alone.
                found += [self._each_polished(guess, group[[p]]) for p in range(len(group))]
            else:
                found.append(block)
        return [block for block in found if block is not None]

    def _each_polished(self, guess: FirstGuess, group: NDArray[np.intp]) -> Resonances | None:
        return polished(self.system, guess.segment, guess.energies[group], *guess.vectors(group))

    def _folded_zeros(self, guess: FirstGuess, piece: Piece, alone: list[int]) -> tuple[set[int], list[Resonances]]:
        """Zeros near isolated guesses, from folded levels: the guesses that were accurate enough, and their blocks."""
        found = [(p, piece.polished(complex(guess.energies[p]), guess.right[:, p], guess.left[:, p])) for p in alone]
        # Narrow widths need more accurate amplitudes at the ends than this basis gives.
        narrow = NARROW * self.system.modes.hopping
        good = [(p, zero) for p, zero in found if zero is not None and -zero[0].imag > narrow]
        if not good:
            return set(), []
        both = self.states @ np.array([v for _, (_, *pair) in good for v in pair]).T
        done, blocks = set(), []
        for number, (p, (energy, *_)) in enumerate(good):
            right, left = both[:, 2 * number : 2 * number + 1], both[:, 2 * number + 1 : 2 * number + 2]
            left_over = np.linalg.norm(self.system.residual(energy, guess.segment.open_modes, right))
            # The response is proportional to 1/gamma.
            if left_over <= self.accuracy * abs(energy.imag) * np.linalg.norm(right):
                done.add(p)
                blocks.append(Resonances(guess.segment, np.array([energy]), right, left))
        return done, blocks


def _between(block: Resonances, low: float, high: float) -> Mask:
    return np.asarray((block.energies.real > low) & (block.energies.real <= high))


def _hermitian_levels(system: OpenSystem, low: float, high: float, reference: float):
    """Eigenvalues (k,) of H + Re Sigma(reference) between `low` and `high`, and eigenvectors (N, k)."""
    import scipy.linalg

    if np.isfinite(low + high) and system.h.shape[1] <= _NARROW_BAND and system.size > 4 * _NARROW_BAND:
        band = system.hermitian_band(reference)
        return scipy.linalg.eig_banded(band, lower=True, select="v", select_range=(low, high), check_finite=False)
    H = system.hermitian(reference)
    if system.size <= 200:
        energies, states = np.linalg.eigh(H)
        inside = (energies > low) & (energies <= high)
        return energies[inside], np.ascontiguousarray(states[:, inside])
    if low == -np.inf and high == np.inf:  # faster than by a range
        return scipy.linalg.eigh(H, overwrite_a=True, check_finite=False)
    return scipy.linalg.eigh(H, subset_by_value=(low, high), overwrite_a=True, check_finite=False)
