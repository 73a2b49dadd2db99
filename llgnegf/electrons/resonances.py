"""Resonances and bound states of an open device: the zeros of K(E) = E - H - Sigma(E), with both eigenvectors.

Near a zero E_p the Green's function is G(E) = r_p l_p^+/(E - E_p) + regular, with K r = 0, l^+ K = 0, l^+ K' r = 1.
Zeros on the real axis are discrete levels: bound states outside the lead bands, or levels inside them that the symmetry
of the device decouples from the open modes.  All other zeros lie below the axis by their half-width.

First guesses are the eigenvectors of H + Re Sigma(E_F) (Hermitian, "Hermitian levels" below) at the energies of
interest, and eigenvectors of H + Sigma in the basis of these.  Two-sided inverse iteration with the Rayleigh functional
of the exact self-energy refines them to zeros accurate to rounding.  Zeros that are closer together than the error of
their first guesses are treated as one block.

The response of a narrow level is proportional to 1/width.  Its half-width gamma is therefore computed from the
amplitudes at the ends, gamma r^+ r = -Im r^+ Sigma r, with the relative accuracy of the amplitudes, not that of E_p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .folding import FoldedLevels, Piece
from .open_system import Mask, OpenSystem, Segment, Solver, Vectors
from .threads import each

Floats = NDArray[np.float64]

# Half-widths below this (times the hopping) count as zero: such a level would take 1e14 hopping times to empty.
DISCRETE = 1e-14
# Zeros this close to each other (times the hopping) are one and the same level.
_SAME = 1e-12
_MOST_PASSES = 8
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
# Residual |K r|, over the hopping, at which only rounding is left.
_CONVERGED = 3e-14
# A residual below this that no longer decreases also counts as converged.
_STALLED = 1e-9
# Margin around a piece (times the hopping) in which levels are not folded, and the half-width (times the hopping) below
# which a zero is refined with the matrix of the device itself instead of folded levels.
_FOLDED_MARGIN, _NARROW = 0.2, 1e-4
# Up to this number of orbitals per slice, the band eigenvalue solver is faster than the dense one.
_NARROW_BAND = 8


@dataclass(frozen=True)
class Resonances:
    """A block: zeros of K on one segment that are treated together.

    energies: E_p (k,); right, left: eigenvectors r_p, l_p (N, k).
    """

    segment: Segment
    energies: Vectors
    right: Vectors
    left: Vectors

    @property
    def half_widths(self) -> NDArray[np.float64]:
        """gamma_p = -Im E_p, (k,), energy."""
        return -self.energies.imag

    def of(self, chosen: Sequence[int] | NDArray[np.intp]) -> Resonances:
        """The zeros with these indices only."""
        return Resonances(self.segment, self.energies[chosen], self.right[:, chosen], self.left[:, chosen])


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
                V = _orthonormal(factors.solve(system.overlapping(V, slope)))
                W = _orthonormal(factors.solve(system.overlapping(W, slope.conj()), adjoint=True))
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
        return [block for _, block in _each_once(list(enumerate(found)), self._same)]

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
            block = _polished(self.system, segment, np.array(group, complex), near, near)
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

    @property
    def _same(self) -> float:
        return _SAME * self.system.modes.hopping

    def _followed(self, guess: FirstGuess, index: NDArray[np.intp]) -> list[Resonances]:
        """The zeros to which the guesses with these indices converge."""
        groups = [index[g] for g in _groups(guess.energies[index], guess.errors[index])]
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
        return _polished(self.system, guess.segment, guess.energies[group], *guess.vectors(group))

    def _folded_zeros(self, guess: FirstGuess, piece: Piece, alone: list[int]) -> tuple[set[int], list[Resonances]]:
        """Zeros near isolated guesses, from folded levels: the guesses that were accurate enough, and their blocks."""
        found = [(p, piece.polished(complex(guess.energies[p]), guess.right[:, p], guess.left[:, p])) for p in alone]
        # Narrow widths need more accurate amplitudes at the ends than this basis gives.
        narrow = _NARROW * self.system.modes.hopping
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


def _groups(energies: Vectors, errors: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Groups of indices of energies (k,) that are closer together than their errors (k,)."""
    order = np.argsort(energies.real)
    groups: list[list[int]] = []
    for i in order:
        near = [g for g in groups if any(abs(energies[i] - energies[j]) < errors[i] + errors[j] for j in g)]
        merged = [int(i), *(j for g in near for j in g)]
        groups = [g for g in groups if g not in near] + [merged]
    return [np.array(sorted(g)) for g in groups]


def _polished(system: OpenSystem, segment: Segment, energies: Vectors, V: Vectors, W: Vectors) -> Resonances | None:
    """Zeros of K near `energies` (k,) from first guesses V, W (N, k) of the eigenvectors; None without convergence."""
    t, open_modes = system.modes.hopping, segment.open_modes
    size = len(energies)
    limit = _CONVERGED * max(t, float(abs(system.h).max()))
    best: tuple[float, Vectors, Vectors, Vectors] | None = None
    converged = False
    for _ in range(_MOST_PASSES):
        factors = system.factorized(complex(energies.mean()), open_modes)
        V, W = (_orthonormal(factors.solve(x, adjoint=adjoint)) for x, adjoint in ((V, False), (W, True)))
        if not (np.isfinite(V).all() and np.isfinite(W).all()):
            return None
        small = _Projection(system, segment, V, W)
        found = small.zeros(complex(energies.mean()), size, energies)
        if found is None:
            return None
        energies, right, left = found[0], V @ found[1], W @ found[2]
        left_over = max(
            float(np.linalg.norm(system.residual(e, open_modes, r[:, None]))) / max(float(np.linalg.norm(r)), 1e-300)
            for e, r in zip(energies, right.T, strict=True)
        )
        stalls = best is not None and left_over > 0.5 * best[0]
        if best is None or left_over < max(best[0], limit):
            best = left_over, energies, right, left
        is_narrow = float((-energies.imag).min()) < _NARROW * t
        # The residual does not see small amplitudes at the ends, which decide narrow widths: one more pass.
        if left_over < limit and (converged or not is_narrow):
            break
        if (converged or stalls) and left_over < _STALLED * t:
            break
        converged = left_over < limit
        V, W = right, left
    assert best is not None
    left_over, energies, right, left = best
    if left_over > max(_STALLED * t, 10 * limit):
        return None
    energies = np.array([_with_width(system, segment, e, r) for e, r in zip(energies, right.T, strict=True)])
    return Resonances(segment, energies, right, left)


def _orthonormal(vectors: Vectors) -> Vectors:
    """Orthonormal basis of the space spanned by the vectors (N, k)."""
    if vectors.shape[1] == 1:
        return vectors / np.linalg.norm(vectors)
    return np.asarray(np.linalg.qr(vectors)[0])


def _with_width(system: OpenSystem, segment: Segment, energy: complex, right: Vectors) -> complex:
    """E_p with imaginary part -gamma = Im r^+ Sigma(E_p) r/r^+ r, by Newton; real if gamma is below `DISCRETE`."""
    weight = abs(system.amplitudes(right[:, None])[:, 0]) ** 2 / np.vdot(right, right).real
    gamma = max(-energy.imag, 0.0)
    if -energy.imag > 1e-3 * system.modes.hopping:
        return energy
    for _ in range(50):
        at = complex(energy.real, -gamma)
        excess = gamma + float((weight * system.self_energy(at, segment.open_modes).imag).sum())
        slope = 1 - float((weight * system.slope(at, segment.open_modes).real).sum())
        step = excess / slope
        gamma -= step
        if abs(step) <= 1e-16 * abs(gamma):
            break
    if gamma < DISCRETE * system.modes.hopping:
        return complex(energy.real, 0.0)
    return complex(energy.real, -gamma)


class _Projection:
    """W^+ K(E) V for V, W (N, k), with the exact Sigma(E).

    Its zeros are zeros of K if V and W contain the right and left eigenvectors.
    """

    def __init__(self, system: OpenSystem, segment: Segment, V: Vectors, W: Vectors) -> None:
        self.system, self.segment = system, segment
        self.overlap, self.hamiltonian = W.conj().T @ V, W.conj().T @ system.apply(V)
        self.right, self.left = system.amplitudes(V), system.amplitudes(W).conj().T

    def value(self, energy: complex) -> Vectors:
        sigma = self.system.self_energy(energy, self.segment.open_modes)
        return energy * self.overlap - self.hamiltonian - self.left @ (sigma[:, None] * self.right)

    def slope(self, energy: complex) -> Vectors:
        slope = self.system.slope(energy, self.segment.open_modes)
        return np.asarray(self.overlap - self.left @ (slope[:, None] * self.right))

    def _steps(self, energy: complex) -> tuple[Vectors, Vectors]:
        """Newton steps: distances of `energy` from the zeros, (k,), and their right vectors (k, k)."""
        away, y = np.linalg.eig(np.linalg.solve(self.slope(energy), self.value(energy)))
        return away, y

    def zeros(self, mean: complex, size: int, guesses: Vectors) -> tuple[Vectors, Vectors, Vectors] | None:
        """Energies (k,), right and left vectors (k, k) with l^+ K' r = 1; None where Newton's method fails."""
        if size == 1:
            return self._zero(complex(guesses[0]))
        try:
            energies = mean - self._steps(mean)[0] if size > 1 else guesses.copy()
            for p in range(size):
                e = complex(energies[p])
                for _ in range(30):
                    away = self._steps(e)[0]
                    step = away[np.argmin(abs(away))]
                    e -= step
                    if abs(step) <= 1e-16 * max(abs(e), self.system.modes.hopping):
                        break
                energies[p] = e
            right, left = np.empty((size, size), complex), np.empty((size, size), complex)
            order = np.lexsort((energies.imag, energies.real))
            taken: list[int] = []
            for p in order:
                if p in taken:
                    continue
                same = [q for q in order if q not in taken and abs(energies[q] - energies[p]) <= self._same]
                e = complex(np.mean(energies[same]))
                away, y = self._steps(e)
                chosen = np.argsort(abs(away))[: len(same)]
                left_all = np.linalg.inv(self.slope(e) @ y).conj().T
                energies[same], right[:, same], left[:, same] = e, y[:, chosen], left_all[:, chosen]
                taken += same
        except np.linalg.LinAlgError:
            return None
        if not (np.isfinite(energies).all() and np.isfinite(right).all() and np.isfinite(left).all()):
            return None
        return energies, right, left

    # At the very edge of a mode dSigma/dE is infinite: there is no zero then, which is seen below.
    @np.errstate(divide="ignore", invalid="ignore")
    def _zero(self, energy: complex) -> tuple[Vectors, Vectors, Vectors] | None:
        """`zeros` for a single vector, where W^+ K V is a number."""
        system, open_modes = self.system, self.segment.open_modes
        weights = self.left[0] * self.right[:, 0]
        overlap, hamiltonian = self.overlap[0, 0], self.hamiltonian[0, 0]
        slope = overlap
        for _ in range(30):
            value = energy * overlap - hamiltonian - weights @ system.self_energy(energy, open_modes)
            slope = overlap - weights @ system.slope(energy, open_modes)
            if slope == 0 or not np.isfinite(value):
                return None
            step = value / slope
            energy -= step
            if abs(step) <= 1e-15 * max(abs(energy), system.modes.hopping):
                break
        one = np.ones((1, 1), complex)
        return np.array([energy]), one, one / np.conj(slope)

    @property
    def _same(self) -> float:
        return _SAME * self.system.modes.hopping


def _each_once(found: list[tuple[int, Resonances]], same: float) -> list[tuple[int, Resonances]]:
    """The numbered blocks without zeros that an earlier block already contains."""
    kept: list[tuple[int, Resonances]] = []
    for number, block in found:
        new = []
        for p, (energy, right) in enumerate(zip(block.energies, block.right.T, strict=True)):
            twins = [
                other.right[:, q]
                for _, other in kept
                for q in np.flatnonzero(abs(other.energies - energy) <= 100 * same)
            ]
            if twins:
                basis = np.linalg.qr(np.array(twins).T)[0]
                rest = right - basis @ (basis.conj().T @ right)
                if np.linalg.norm(rest) < 1e-5 * np.linalg.norm(right):
                    continue
            new.append(p)
        if new:
            kept.append((number, block.of(np.array(new))))
    return kept


class Residue:
    """-i f'(z) G(z) Y l r^+ at the conjugates z of the zeros of one block, for any perturbation Y.

    The pole of the advanced function lies at z = E_p^*, 2 gamma above the zero of K.  The contribution of the block to
    G(z) is removed from the numerical solution and added analytically, so that neither a narrow width nor neighbouring
    zeros in the block cost digits.

    solver(z, open_modes): K(z), made once for each zero and kept.
    """

    def __init__(self, system: OpenSystem, block: Resonances, solver: Callable[[complex, Mask], Solver]) -> None:
        self.system, self.block, self._solver = system, block, solver
        self._solvers: dict[int, Solver] = {}

    def _at(self, p: int) -> Solver:
        """K(E_p^*)."""
        if p not in self._solvers:
            z = complex(np.conj(self.block.energies[p]))
            self._solvers[p] = self._solver(z, self.block.segment.open_modes)
        return self._solvers[p]

    def response(self, p: int, source: Vectors) -> tuple[Vectors, Vectors]:
        """G(z) b at z = E_p^* for a source b (N,) without sum_q r_q c_q/(z - E_q), and c (k,).

        c_q = l_q^+ b for level p itself and, of discrete levels, for all that are degenerate with it; else 0.
        """
        system, block, open_modes = self.system, self.block, self.block.segment.open_modes
        z = complex(np.conj(block.energies[p]))
        shares = block.left.conj().T @ source
        right, left = system.amplitudes(block.right), system.amplitudes(block.left)
        rest, wanted = source.copy(), np.zeros(len(shares), complex)
        overlap = np.empty((len(shares), len(shares)), complex)
        for q, e in enumerate(block.energies):
            # b = sum_q c_q [1 - Sigma(z, E_q)] r_q + rest:  G takes the sum to sum_q c_q r_q/(z - E_q).
            slope = system.slope(z, open_modes, complex(e))
            rest -= shares[q] * system.overlapping(block.right[:, q : q + 1], slope)[:, 0]
            overlap[q] = block.left[:, q].conj() @ block.right - (left[:, q].conj() * slope) @ right
            for s, other in enumerate(block.energies):
                bend = system.curvature(z, complex(e), complex(other), open_modes)
                wanted[s] += shares[q] * (left[:, s].conj() * bend * right[:, q]).sum()
        found = self._at(p).solve(rest[:, None])[:, 0]
        # The contribution of the block to G(z) rest is known exactly, whereas in the solution its relative error is
        # rounding over gamma: replace it.
        is_at = np.array([block.left[:, q].conj() @ found for q in range(len(shares))]) - self._slope_products(
            left, z, found
        )
        found = found + block.right @ np.linalg.solve(overlap, wanted - is_at)
        left_out = np.zeros_like(shares)
        for q, e in enumerate(block.energies):
            if q == p or (block.half_widths[p] == 0 and abs(e - block.energies[p]) <= self.same):
                left_out[q] = shares[q]
            else:
                found = found + block.right[:, q] * (shares[q] / (z - e))
        return found, left_out

    def orthonormal(self, p: int) -> Vectors:
        """Discrete levels degenerate with level p, (N, k), with v^+ B v = 1 and B = 1 - dSigma/dE."""
        block = self.block
        group = np.flatnonzero((abs(block.energies - block.energies[p]) <= self.same) & (block.half_widths == 0))
        V = block.right[:, group]
        values, turned = np.linalg.eigh(V.conj().T @ self.overlapping(p, V))
        return np.asarray(V @ (turned / np.sqrt(values)))

    def overlapping(self, p: int, vectors: Vectors) -> Vectors:
        """B v at the energy of a discrete level p, for states (N, k)."""
        slope = self.system.slope(complex(self.block.energies[p]), self.block.segment.open_modes)
        return self.system.overlapping(vectors, slope)

    @property
    def same(self) -> float:
        """Discrete levels this close to each other (energy) count as degenerate."""
        return 1e4 * _SAME * self.system.modes.hopping

    def _slope_products(self, left: Vectors, z: complex, found: Vectors) -> Vectors:
        """l_q^+ Sigma(z, E_q) x for each q."""
        at_ends = self.system.amplitudes(found[:, None])[:, 0]
        slopes = [self.system.slope(z, self.block.segment.open_modes, complex(e)) for e in self.block.energies]
        return np.array([(left[:, q].conj() * slope * at_ends).sum() for q, slope in enumerate(slopes)])
