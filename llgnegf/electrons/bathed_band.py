"""z - H - Sigma of a system with a bath on sites as a band, and its levels: eigenvalues of H + Sigma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .bathed_energy import BandedLU
from .lattice import slice_hamiltonians
from .pauli import IDENTITY
from .quadrature import ToleranceError
from .sweeps import Blocks
from .system import System

# From so many sites on a level is followed by inverse iteration, at most so often from one shift, with so many shifts.
_FEW_SITES, _MOST_ITERATIONS, _MOST_SHIFTS = 12, 8, 4


@dataclass(frozen=True, eq=False)
class BathedBand:
    """damped: blocks of H on the sites with the bath, (*s, 2, 2); where: flat indices of its sites, (b,); width: its
    own, energy; ends: orbitals (2 site + spin) of the first and of the last slice."""

    device: System
    damped: Blocks
    where: NDArray[np.intp]
    width: float
    ends: tuple[NDArray[np.intp], NDArray[np.intp]]

    @property
    def bandwidth(self) -> int:
        """b: elements farther than this from the diagonal are zero."""
        return self._band[0]

    @cached_property
    def _band(self) -> tuple[int, Blocks]:
        """Bandwidth b and the bands (2 b + 1, 2 N) of -(H + Sigma of the bath)."""
        device, N = self.device, 2 * self.device.n_sites
        ny = device.shape[1] if device.is_lattice else 1
        T = -device.hops[:, None, None] * IDENTITY if device.bonds_along_x is None else device.bonds_along_x
        b = 2 * ny + (device.bonds_along_x is not None)
        bands = np.zeros((2 * b + 1, N), complex)

        def put(i: NDArray[np.intp], j: NDArray[np.intp], value: Any) -> None:
            bands[b + i - j, j] -= value

        sites = np.arange(device.n_sites)
        ahead = sites[:-ny].reshape(-1, ny)
        for s in range(2):
            for r in range(2):
                put(2 * sites + s, 2 * sites + r, self.damped.reshape(-1, 2, 2)[:, s, r])
                if s == r or device.bonds_along_x is not None:
                    put(2 * ahead + s, 2 * (ahead + ny) + r, T[:, None, s, r])
                    put(2 * (ahead + ny) + r, 2 * ahead + s, T[:, None, s, r].conj())
        if device.is_lattice:
            across = slice_hamiltonians(device, np.zeros((*device.shape, 2, 2), complex))
            x, row, column = np.nonzero(across)
            put(2 * ny * x + row, 2 * ny * x + column, across[x, row, column])
        return b, bands

    def at(self, z: complex, energy: float) -> Blocks:
        """z - H - Sigma(E) in LAPACK's layout, (3 b + 1, 2 N)."""
        b, bands = self._band
        matrix = np.zeros((3 * b + 1, 2 * self.device.n_sites), complex)
        matrix[b:] = bands
        matrix[2 * b] += z
        for lead, orbitals in zip(self.device.ends, self.ends, strict=True):
            sigma = lead.self_energy(np.array([energy], complex))[0]
            i, j = np.repeat(orbitals, len(orbitals)), np.tile(orbitals, len(orbitals))
            matrix[2 * b + i - j, j] -= sigma.ravel()
        return matrix

    def dense_hamiltonian(self) -> Blocks:
        """H without the bath, (2 N, 2 N), index 2 site + spin."""
        b, bands = self._band
        N = bands.shape[1]
        dense = np.zeros((N, N), complex)
        i, j = np.nonzero(abs(np.subtract.outer(np.arange(N), np.arange(N))) <= b)
        dense[i, j] = -bands[b + i - j, j]
        orbitals = (2 * self.where[:, None] + np.arange(2)).ravel()
        dense[orbitals, orbitals] += 0.5j * self.width
        return dense

    def levels_near(self, energy: float) -> Blocks:
        """Eigenvalues of H + Sigma(E) at a real energy, those of the bath included: levels e - i half-width."""
        if all(lead.is_wide for lead in self.device.ends if lead.coupling):
            return self._constant_levels
        return self._levels_at(energy)

    def level_near(self, energy: float, level: complex) -> complex:
        """Of `levels_near` the one that is nearest to this; by inverse iteration."""
        if all(lead.is_wide for lead in self.device.ends if lead.coupling) or self.device.n_sites < _FEW_SITES:
            return nearest(self.levels_near(energy), level)
        x = np.random.default_rng(0).normal(size=(2 * self.device.n_sites, 1)).astype(complex)
        shift, found = level, complex(np.inf)
        for _ in range(_MOST_SHIFTS):
            try:
                lu = BandedLU(self.at(shift, energy), self.bandwidth)
            except ToleranceError:  # it is a level to the last digit
                return shift
            for _ in range(_MOST_ITERATIONS):
                y = lu.solve(x)
                before, found = found, shift - complex(np.vdot(x, x) / np.vdot(x, y))
                x = y / np.linalg.norm(y)
                if abs(found - before) <= max(0.01 * abs(found.imag), 1e-13 * self.device.hopping):
                    return found
            shift = found  # others are about as near: no matter which, for none of them is narrow
        return nearest(self.levels_near(energy), level)

    @cached_property
    def _constant_levels(self) -> Blocks:
        """Those of a system whose leads are the same at all energies."""
        return self._levels_at(self.device.fermi_energy)

    def _levels_at(self, energy: float) -> Blocks:
        dense = self.dense_hamiltonian()
        orbitals = (2 * self.where[:, None] + np.arange(2)).ravel()
        dense[orbitals, orbitals] -= 0.5j * self.width
        for part, sigma, _ in self.device.end_self_energies(energy):
            dense[part, part] += sigma
        if self.device.holes is not None:  # beside levels so far away others would lose digits
            kept = np.repeat(~self.device.holes.ravel(), 2)
            dense = dense[np.ix_(kept, kept)]
        return np.asarray(np.linalg.eigvals(dense))


def nearest(levels: Blocks, level: complex) -> complex:
    """Of these levels the nearest to that one."""
    return complex(levels[abs(levels - level).argmin()])
