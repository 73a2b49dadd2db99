"""Transverse modes of a square-lattice lead, from which its self-energy follows exactly.

A semi-infinite chain with the hopping t of the device, attached to it by a bond with hopping `coupling` (gamma_c in the
papers), has the self-energy, with x = (E - onsite)/2t,

    Sigma(E) = (coupling^2/t) (x - sqrt(x - 1) sqrt(x + 1)) = (coupling^2/t) / (x + sqrt(x - 1) sqrt(x + 1)).

The product of the two roots, unlike the root of the product, is the retarded branch for every Im E >= 0; on the real
axis it is the limit from above.  In the second form nothing cancels far from the band.

In a lead as wide as the device, each eigenmode chi_k(y) of the cross-section, with energy epsilon_k, is a chain with
the on-site energy epsilon_k: Sigma(E) = sum_k chi_k chi_k^T Sigma_chain(E - epsilon_k), the same for both spins.
In a ferromagnetic lead the levels of the spins along and against its polarization are shifted by -splitting/2 and
+splitting/2 (`leads.AttachedLead`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def chain_self_energy(
    energy: ArrayLike, hopping: float, coupling: float, onsite: float = 0.0
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Self-energy of a chain lead (energy) and its derivative dSigma/dE (dimensionless), in the shape of `energy`.

    energy: real or complex with Im E >= 0, any shape; hopping > 0, coupling, onsite: energies.
    Exactly at a band edge, E = onsite +- 2t, the derivative diverges; it is returned as 0 there.
    """
    x = (np.asarray(energy, dtype=complex) - onsite) / (2 * hopping)
    root = np.sqrt(x - 1) * np.sqrt(x + 1)
    sigma = (coupling**2 / hopping) / (x + root)
    safe = np.where(root == 0, 1.0, root)
    derivative = np.where(root == 0, 0.0, -sigma / (2 * hopping * safe))
    return sigma, derivative


@dataclass(frozen=True)
class Modes:
    """Transverse modes of a lead.

    energies: (ny,), increasing; vectors: (ny, ny), real and orthonormal, one mode in each column; hopping: t along the
    lead, energy.
    """

    energies: NDArray[np.float64]
    vectors: NDArray[np.float64]
    hopping: float

    def shifted(self, by: float) -> Modes:
        """The same modes with all energies shifted."""
        return Modes(self.energies + by, self.vectors, self.hopping) if by else self

    @property
    def band(self) -> tuple[float, float]:
        """Lowest and highest energy of the bands of all modes."""
        return float(self.energies[0]) - 2 * self.hopping, float(self.energies[-1]) + 2 * self.hopping

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Energies at which a mode opens or closes, increasing."""
        return np.unique(np.concatenate([self.energies - 2 * self.hopping, self.energies + 2 * self.hopping]))

    def chain_self_energy(self, z: NDArray[np.complex128], coupling: float) -> NDArray[np.complex128]:
        """Sigma of each mode at energies z (k,), Im z >= 0: (k, ny), energy; coupling: hopping to the device."""
        return chain_self_energy(np.asarray(z)[:, None] - self.energies, self.hopping, coupling)[0]

    def chain_self_energy_slope(self, z: NDArray[np.complex128], coupling: float) -> NDArray[np.complex128]:
        """dSigma/dE of each mode at energies z (k,): (k, ny)."""
        return chain_self_energy(np.asarray(z)[:, None] - self.energies, self.hopping, coupling)[1]

    def self_energy(self, z: NDArray[np.complex128], coupling: float) -> NDArray[np.complex128]:
        """Sigma at energies z (k,): (k, 2 ny, 2 ny), energy, index 2 y + spin."""
        return self._in_space(self.chain_self_energy(z, coupling))

    def self_energy_slope(self, z: NDArray[np.complex128], coupling: float) -> NDArray[np.complex128]:
        """dSigma/dE at energies z (k,): (k, 2 ny, 2 ny)."""
        return self._in_space(self.chain_self_energy_slope(z, coupling))

    def _in_space(self, of_modes: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Values (k, ny) of the modes as matrices (k, 2 ny, 2 ny) in space and spin, the same for both spins."""
        k, ny = of_modes.shape
        out = np.zeros((k, ny, 2, ny, 2), complex)
        out[:, :, 0, :, 0] = out[:, :, 1, :, 1] = self.in_rows(of_modes)
        return out.reshape(k, 2 * ny, 2 * ny)

    def in_rows(self, of_modes: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Values (k, ny) of the modes as matrices (k, ny, ny) over the rows of a slice."""
        return np.asarray((self.vectors * of_modes[:, None, :]) @ self.vectors.T)

    def sources(self, energy: float, coupling: float) -> NDArray[np.complex128]:
        """sqrt(Gamma) of the open modes at a real energy: (2 ny, 2 p), column 2 k + spin for the k-th of p modes."""
        sigma, _ = chain_self_energy(energy - self.energies, self.hopping, coupling)
        gamma = np.maximum(-2 * sigma.imag, 0.0)
        open_modes = gamma > 0
        columns = self.vectors[:, open_modes] * np.sqrt(gamma[open_modes])
        ny, p = columns.shape
        out = np.zeros((ny, 2, p, 2), complex)
        out[:, 0, :, 0] = out[:, 1, :, 1] = columns
        return out.reshape(2 * ny, 2 * p)


def cross_section(ny: int, hopping: float, onsite: float, periodic: bool) -> NDArray[np.float64]:
    """Hamiltonian (ny, ny) of one slice without moments, energy; periodic: with a bond from the last y to the first.

    As for the moments (`magnet.Magnet`), two rows with periodic y have two bonds between them, hence the hopping 2t,
    and a single row has none.
    """
    H = onsite * np.eye(ny)
    y = np.arange(ny - 1)
    H[y, y + 1] -= hopping
    H[y + 1, y] -= hopping
    if periodic and ny > 1:
        H[ny - 1, 0] -= hopping
        H[0, ny - 1] -= hopping
    return H


def transverse_modes(ny: int, hopping: float, onsite: float, periodic: bool) -> Modes:
    """The transverse modes of a lead of width ny; hopping, onsite: energies."""
    energies, vectors = np.linalg.eigh(cross_section(ny, hopping, onsite, periodic))
    for array in (energies, vectors):
        array.flags.writeable = False
    return Modes(energies, vectors, hopping)
