"""Leads made of identical cells: their self-energy at complex energies, by decimation.

With h the Hamiltonian of a cell and V the coupling from a cell to the next one inwards, the surface Green's function
of a half-infinite lead comes from replacing every second cell again and again by what it does to its neighbours
(Lopez Sancho, Lopez Sancho and Rubio, J. Phys. F 15, 851 (1985), Eqs. 11 to 16): 2^k cells after k rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..quadrature import ToleranceError

Block = NDArray[np.complex128]

# Rounds of decimation; 2^64 cells are more than any energy above the rounding errors of the real axis sees.
_ROUNDS = 64


@dataclass(frozen=True)
class Cells:
    """h (n, n) of a cell, and V (n, k) from the k orbitals at its inner neighbour to a cell; energies."""

    h: Block
    V: Block

    def self_energy(self, z: complex) -> Block:
        """Sigma = V^+ g V at a complex energy, or outside the spectrum of the lead, (k, k).

        ToleranceError where the cells do not become independent of each other.
        """
        n, k = self.V.shape
        inwards = np.zeros((n, n), complex)
        inwards[:, :k] = self.V
        outwards, cell, surface = inwards.conj().T, self.h, self.h
        unit, size = np.eye(n), abs(self.V).max(initial=0.0)
        for _ in range(_ROUNDS):
            g = np.linalg.inv(z * unit - cell)
            there, back = outwards @ g @ inwards, inwards @ g @ outwards
            surface = surface + there
            if abs(there).max() <= 1e-17 * size and abs(back).max() <= 1e-17 * size:
                break
            cell = cell + there + back
            inwards, outwards = inwards @ g @ inwards, outwards @ g @ outwards
        else:
            raise ToleranceError(
                f"the self-energy of a lead does not converge at z = {z:g}: use a temperature > 0, or a Fermi energy "
                "farther from where a band of the lead begins"
            )
        return np.asarray(self.V.conj().T @ np.linalg.solve(z * unit - surface, self.V))

    @property
    def bounds(self) -> tuple[float, float]:
        """An interval that contains the spectrum of the infinite lead (Gershgorin), energy."""
        return gershgorin(self.h.diagonal().real, _off_diagonal(self.h) + abs(self.V).sum(1) + self._from_outside)

    @property
    def _from_outside(self) -> NDArray[np.float64]:
        found = np.zeros(len(self.h))
        found[: self.V.shape[1]] = self.coupling
        return found

    @property
    def coupling(self) -> NDArray[np.float64]:
        """(k,): by how much the lead widens the Gershgorin disc of each orbital it is attached to, energy."""
        return np.asarray(abs(self.V).sum(axis=0))


@dataclass(frozen=True)
class GeneralLead:
    """A lead: the sites it is attached to, its self-energy at real energies, and its cells where they are known.

    sites: places of the sites, in the order of the rows of the self-energy.
    """

    sites: NDArray[np.int64]
    at_real: Callable[[float], Block]
    cells: Cells | None


def gershgorin(levels: NDArray[np.float64], radii: NDArray[np.float64]) -> tuple[float, float]:
    """(low, high) of the union of Gershgorin's discs."""
    return float((levels - radii).min()), float((levels + radii).max())


def _off_diagonal(matrix: Block) -> NDArray[np.float64]:
    return np.asarray(abs(matrix).sum(axis=1) - abs(matrix.diagonal()))
