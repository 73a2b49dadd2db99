"""Resonances in the basis of all levels of the device; levels far from the energy are folded into the end channels.

In the basis of the levels e_j of H + Re Sigma(E_F) the leads act through the amplitudes Q of the levels at the ends,

    K = E - e - Q^+ D Q,        D(E) = Sigma(E) - Re Sigma(E_F)         (diagonal: mode by mode),

and the levels F that are far from the energies of interest can be eliminated exactly, which leaves the near ones n,

    K_n = E - e_n - Q_n^+ S Q_n,    S = D (1 - G D)^-1,    G(E) = Q_F (E - e_F)^-1 Q_F^+ .

Finding a zero of K then takes matrices of the size of the number of channels or of nearby levels, not of the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .open_system import Mask, OpenSystem, Segment, Vectors

Floats = NDArray[np.float64]

# Levels farther than this from a centre (times the hopping) enter G through its Taylor series about the centre.
_FAR = 1.5
# Number of terms of the series, and distance of the centres (times the hopping): |E - centre| < 0.3, so that each term
# is at least 5 times smaller than the one before.
_TERMS, _CENTRES_APART = 10, 0.3
_MOST_STEPS = 8


@dataclass(frozen=True)
class _Centre:
    """Taylor series about `energy` of the part of G from levels far from it: G = sum_m terms[m] (E - energy)^m.

    near: (N,), the levels that are not part of it; terms: (terms, channels, channels).
    """

    energy: float
    near: NDArray[np.bool_]
    terms: Vectors


class FoldedLevels:
    """All levels (N,) and states (N, N) of H + Re Sigma(E_F), and their amplitudes at the ends by channel (4 ny, N)."""

    def __init__(self, system: OpenSystem, levels: Floats, states: Vectors, ends: Vectors, sigma: Floats) -> None:
        self.system, self.levels, self.states, self.ends, self.sigma = system, levels, states, ends, sigma
        self._centres: dict[int, _Centre] = {}

    def centre(self, energy: float) -> _Centre:
        """The expansion about the centre nearest to `energy`; kept."""
        apart = _CENTRES_APART * self.system.modes.hopping
        number = round(energy / apart)
        if number not in self._centres:
            middle = number * apart
            near = abs(self.levels - middle) < _FAR * self.system.modes.hopping
            ends, away = self.ends[:, ~near], self.levels[~near] - middle
            powers = [-(ends / away ** (m + 1)) @ ends.conj().T for m in range(_TERMS)]
            self._centres[number] = _Centre(middle, near, np.array(powers))
        return self._centres[number]


class Piece:
    """K_n(E) on a segment, for energies near low ... high.  near: (N,), the levels that are not folded."""

    def __init__(self, folded: FoldedLevels, segment: Segment, low: float, high: float, near: Mask) -> None:
        self.folded, self.segment = folded, segment
        self.low, self.high = low, high
        self.middle = 0.5 * (low + high)
        self.centre = folded.centre(self.middle)
        levels = folded.levels
        # A level that is part of the centre's series remains folded.
        self.near = near & self.centre.near
        between = self.centre.near & ~near
        self.levels, self.ends = levels[self.near], np.ascontiguousarray(folded.ends[:, self.near])
        self.other_levels, self.other_ends = levels[between], np.ascontiguousarray(folded.ends[:, between])
        self._adjoint = self.ends.conj().T.copy(), self.other_ends.conj().T.copy()

    def _leads(self, energy: complex) -> Vectors:
        return self.folded.system.self_energy(energy, self.segment.open_modes) - self.folded.sigma

    def _others(self, energy: complex) -> Vectors:
        """G(E), (channels, channels)."""
        x = energy - self.centre.energy
        out = (self.other_ends / (energy - self.other_levels)) @ self._adjoint[1]
        out += np.tensordot(x ** np.arange(_TERMS), self.centre.terms, axes=1)
        return out

    def _others_slope(self, energy: complex, left: Vectors, right: Vectors) -> complex:
        """left^T G'(E) right for channels (4 ny,)."""
        m = np.arange(1, _TERMS)
        far = np.tensordot(m * (energy - self.centre.energy) ** (m - 1), self.centre.terms[1:], axes=1)
        shares = (left @ self.other_ends) * (self._adjoint[1] @ right) / (energy - self.other_levels) ** 2
        return complex(left @ far @ right - shares.sum())

    def value(self, energy: complex) -> tuple[Vectors, Vectors, Vectors, Vectors]:
        """K_n (k, k) for k near levels; D (c,), G (c, c) and S (c, c) for c channels."""
        D, G = self._leads(energy), self._others(energy)
        dressed = np.linalg.inv(np.eye(len(D)) - G * D)
        S = D[:, None] * dressed
        K = -(self._adjoint[0] @ S) @ self.ends
        K.flat[:: len(self.levels) + 1] += energy - self.levels
        return K, D, G, S

    def guesses(self) -> tuple[Vectors, Vectors, Vectors, Floats]:
        """Zeros of K_n approximated by a quadratic polynomial in E.

        Returns E (k,), right and left vectors (near levels, k), and estimated errors of E (k,), energy.
        """
        step = 0.5 * (self.high - self.low)
        before, here, after = (self.value(self.middle + share * step)[0] for share in (-0.9, 0.0, 0.9))
        slope, bend = (after - before) / (1.8 * step), (after + before - 2 * here) / (0.9 * step) ** 2
        away, right = np.linalg.eig(np.linalg.solve(slope, here))
        left = np.linalg.pinv(slope @ right, rcond=1e-13).conj().T
        shift = 0.5 * np.einsum("ik,ij,jk->k", left.conj(), bend, right, optimize=True) * away**2
        energies = np.asarray(self.middle - away, complex)
        sound = abs(shift) < 0.2 * step
        energies[sound] -= shift[sound]
        errors = 0.3 * abs(shift) + 1e-5 * self.folded.system.modes.hopping
        return energies, right, left, np.asarray(errors, float)

    def polished(self, energy: complex, c: Vectors, d: Vectors) -> tuple[complex, Vectors, Vectors] | None:
        """The zero near a guess by two-sided Rayleigh iteration: E_p, r_p and l_p in the basis of all levels (N,).

        l_p^+ K' r_p = 1.  None if the iteration does not converge near this piece.
        """
        t = self.folded.system.modes.hopping
        c, d = c / np.linalg.norm(c), d / np.linalg.norm(d)
        for _ in range(_MOST_STEPS):
            K, D, G, S = self.value(energy)
            try:
                inverse = np.linalg.inv(K)
            except np.linalg.LinAlgError:
                return None
            new_c, new_d = inverse @ c, inverse.conj().T @ d
            size_c, size_d = np.linalg.norm(new_c), np.linalg.norm(new_d)
            if not (np.isfinite(size_c) and np.isfinite(size_d)):
                return None
            left_over = np.vdot(new_d, c) / (size_c * size_d)
            c, d = new_c / size_c, new_d / size_d
            slope, u, w = self._slope(energy, c, d, D, G, S)
            step = left_over / slope
            energy -= complex(step)
            if abs(energy - self.middle) > 0.6 * t:
                return None
            if abs(step) < 1e-8 * t:
                return energy, *self._full(energy, c, d / np.conj(slope), D * u, D.conj() * w / np.conj(slope))
        return None

    def _slope(
        self, energy: complex, c: Vectors, d: Vectors, D: Vectors, G: Vectors, S: Vectors
    ) -> tuple[complex, Vectors, Vectors]:
        """d^+ K_n' c, and the amplitudes of c and of d at the ends, folded levels included, (channels,)."""
        right, left = self.ends @ c, (self.ends @ d).conj()
        u = right + G @ (S @ right)
        w = left + (left @ S) @ G
        dD = self.folded.system.slope(energy, self.segment.open_modes)
        slope = np.vdot(d, c) - (w * dD) @ u - self._others_slope(energy, w * D, D * u)
        return complex(slope), u, w.conj()

    def _full(self, energy: complex, c: Vectors, d: Vectors, right: Vectors, left: Vectors) -> tuple[Vectors, Vectors]:
        """Both vectors in the basis of all levels (N,); the folded ones are driven by D u and D^* w at the ends."""
        away = energy - self.folded.levels
        r = self.folded.ends.conj().T @ right / away
        left_vector = self.folded.ends.conj().T @ left / away.conj()
        r[self.near], left_vector[self.near] = c, d
        return r, left_vector
