"""A steady state between leads with Fermi functions of their own, without any theory of leads.

Long before t = 0 the device is cut off and each of the finite leads is in equilibrium on its own; then their bonds are
there at once, and Schroedinger's equation does the rest: what the device remembers of its past leaves through the
leads, and what is left flows on steadily until echoes from the far ends arrive.  Only numpy, nothing of the package.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tests.oracles.long_system import LongSystem


@dataclass(frozen=True)
class BiasedLongSystem(LongSystem):
    """As `LongSystem`, whose `equilibrium` is the steady state instead.

    chemical_potentials, temperatures: of the left and the right lead, energies; settling: how long the bonds were there
    at t = 0.  n_lead has to be larger than hopping times settling and the time that follows.  Levels without width do
    not settle: their part is not that of any steady state.
    """

    chemical_potentials: tuple = (0.0, 0.0)
    temperatures: tuple = (0.1, 0.1)
    settling: float = 60.0

    def equilibrium(self, m, potential=0.0, voltages=(0.0, 0.0), start="finite"):
        H = self.hamiltonian(m, potential, voltages)
        rho = np.zeros(H.shape, complex)
        inside = self.device
        for side, part in enumerate((slice(0, inside.start), slice(inside.stop, len(H)))):
            alone = replace(self, fermi_energy=self.chemical_potentials[side], temperature=self.temperatures[side])
            rho[part, part] = filled(H[part, part], alone.occupation)
        rho[inside, inside] = filled(H[inside, inside], self.occupation)
        energies, states = np.linalg.eigh(H)
        U = (states * np.exp(-1j * energies * self.settling)) @ states.conj().T
        return np.linalg.eigh(U @ rho @ U.conj().T)


def filled(H, occupation):
    """f(H)."""
    energies, states = np.linalg.eigh(H)
    return (states * occupation(energies)) @ states.conj().T
