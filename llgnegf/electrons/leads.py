"""Leads: what users say of one, `Lead`, and what the device sees of it, `AttachedLead`.

Another kind of lead (magnetic, biased, of a given memory in time) is another class with the face of `AttachedLead`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .modes import Modes, chain_self_energy
from .quadrature import fermi, fermi_derivative

SIDES = ("left", "right")


@dataclass(frozen=True)
class Lead:
    """One semi-infinite chain lead.

    side: "left" (first x) or "right" (last x).  coupling: hopping of the bond to the device, energy; 0 disconnects.
    """

    side: str
    coupling: float = 1.0

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise ValueError(f"side = {self.side!r} of a lead: use 'left' or 'right'")
        if not (np.isfinite(self.coupling) and self.coupling >= 0):
            raise ValueError(f"coupling = {self.coupling!r} of the {self.side} lead: use a finite number >= 0")


@dataclass(frozen=True)
class Occupation:
    """The Fermi function of a reservoir.  fermi_energy, temperature kT >= 0: energies."""

    fermi_energy: float
    temperature: float

    def __call__(self, energies: ArrayLike) -> NDArray[np.float64]:
        """f(E); a half at E_F, also for kT = 0."""
        return fermi(np.asarray(energies, float), self.fermi_energy, self.temperature)

    def slope(self, energies: NDArray[np.float64]) -> NDArray[np.float64]:
        """df/dE, 1/energy, for kT > 0."""
        return fermi_derivative(energies, self.fermi_energy, self.temperature)


@dataclass(frozen=True, eq=False)
class AttachedLead:
    """A semi-infinite lead as wide as the device, seen from the end slice that it is attached to.

    side: "left" or "right"; coupling: hopping of the bonds to it, energy, 0 for a closed end; modes: of its
    cross-section, n = 2 ny orbitals with index 2 y + spin (chain: ny = 1); occupation: of its reservoir.
    """

    side: str
    coupling: float
    modes: Modes
    occupation: Occupation

    def self_energy(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Sigma at energies z (k,), Im z >= 0: (k, n, n), energy."""
        return self.modes.self_energy(z, self.coupling)

    def slope(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """dSigma/dE at energies z (k,): (k, n, n)."""
        return self.modes.self_energy_slope(z, self.coupling)

    def injection(self, energy: float) -> NDArray[np.complex128]:
        """sqrt(Gamma) of the open modes at a real energy, (n, 2 p) for p open modes: what comes in from this lead."""
        return self.modes.sources(energy, self.coupling)

    def on_chain(self, energy: ArrayLike) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Sigma and dSigma/dE of the single mode of a chain at energies of any shape; the same for both spins."""
        modes = self.modes
        return chain_self_energy(energy, modes.hopping, self.coupling, float(modes.energies[0]))

    def of_modes(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Sigma of each mode at energies z (k,): (k, ny), energy; the same for both spins."""
        return self.modes.chain_self_energy(z, self.coupling)
