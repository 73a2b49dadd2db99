"""Zeros of K(E) = E - H - Sigma(E) from first guesses, with both eigenvectors, accurate to rounding.

Two-sided inverse iteration with the Rayleigh functional of the exact self-energy; zeros that are closer together than
the error of their first guesses are treated as one block.

The response of a narrow level is proportional to 1/width.  Its half-width gamma is therefore computed from the
amplitudes at the ends, gamma r^+ r = -Im r^+ Sigma r, with the relative accuracy of the amplitudes, not that of E_p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .open_system import OpenSystem, Segment, Vectors

# Half-widths below this (times the hopping) count as zero: such a level would take 1e14 hopping times to empty.
_DISCRETE = 1e-14
# Zeros this close to each other (times the hopping) are one and the same level.
_SAME = 1e-12
_MOST_PASSES = 8
# Residual |K r|, over the hopping, at which only rounding is left.
_CONVERGED = 3e-14
# A residual below this that no longer decreases also counts as converged.
_STALLED = 1e-9
# Half-width (times the hopping) below which a zero is refined with the matrix of the device itself instead of folded
# levels.
NARROW = 1e-4


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


def same_level(system: OpenSystem) -> float:
    """Zeros this close to each other, energy, are one and the same level."""
    return _SAME * system.modes.hopping


def groups_of(energies: Vectors, errors: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Groups of indices of energies (k,) that are closer together than their errors (k,)."""
    order = np.argsort(energies.real)
    groups: list[list[int]] = []
    for i in order:
        near = [g for g in groups if any(abs(energies[i] - energies[j]) < errors[i] + errors[j] for j in g)]
        merged = [int(i), *(j for g in near for j in g)]
        groups = [g for g in groups if g not in near] + [merged]
    return [np.array(sorted(g)) for g in groups]


def polished(system: OpenSystem, segment: Segment, energies: Vectors, V: Vectors, W: Vectors) -> Resonances | None:
    """Zeros of K near `energies` (k,) from first guesses V, W (N, k) of the eigenvectors; None without convergence."""
    t, open_modes = system.modes.hopping, segment.open_modes
    size = len(energies)
    limit = _CONVERGED * max(t, float(abs(system.h).max()))
    best: tuple[float, Vectors, Vectors, Vectors] | None = None
    converged = False
    for _ in range(_MOST_PASSES):
        factors = system.factorized(complex(energies.mean()), open_modes)
        V, W = (orthonormal(factors.solve(x, adjoint=adjoint)) for x, adjoint in ((V, False), (W, True)))
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
        is_narrow = float((-energies.imag).min()) < NARROW * t
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


def orthonormal(vectors: Vectors) -> Vectors:
    """Orthonormal basis of the space spanned by the vectors (N, k)."""
    if vectors.shape[1] == 1:
        return vectors / np.linalg.norm(vectors)
    return np.asarray(np.linalg.qr(vectors)[0])


def _with_width(system: OpenSystem, segment: Segment, energy: complex, right: Vectors) -> complex:
    """E_p with imaginary part -gamma = Im r^+ Sigma(E_p) r/r^+ r, by Newton; real if gamma is below `_DISCRETE`."""
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
    if gamma < _DISCRETE * system.modes.hopping:
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
                same = [
                    q for q in order if q not in taken and abs(energies[q] - energies[p]) <= same_level(self.system)
                ]
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


def each_once(found: list[tuple[int, Resonances]], same: float) -> list[tuple[int, Resonances]]:
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
