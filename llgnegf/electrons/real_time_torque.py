"""The torque of bonds that know the spin, of electrons in real time: its own term in the balance of spin at each site.

With s_i = Tr[rho_i sigma] and tau_i what bonds do to the spin sigma/2 (`currents.py`), at each time and site

    (1/2) ds_i/dt = J_sd s_i x m_i + tau_i - (flow out) + (flow in),

flows over bonds being the means of what leaves one site and what arrives at the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .bond_flows import Bonds, outside
from .lattice import lattice_bonds
from .pauli import pauli_traces
from .real_time import RealTime


def torque_of_bonds(electrons: RealTime, Y: NDArray[np.float64]) -> NDArray[np.float64]:
    """tau of each site, of the whole density matrix of a state Y in rows: (n, 3) or (nx, ny, 3), energy."""
    system, ny, N = electrons.system, electrons.ny, electrons.orbitals
    site = np.arange(electrons.nx * ny)
    of_chain = Bonds(site[:-1], site[1:], system.hops, system.bonds_along_x)
    bonds = lattice_bonds(system) if system.is_lattice else of_chain
    rows = (site // ny * electrons.n + site % ny)[:, None] + ny * np.arange(2)  # of spin up and down
    at = rows[bonds.ends][..., :, None], rows[bonds.starts][..., None, :]
    rho = Y[:, 0, :N][at] + 1j * Y[:, 1, :N][at]
    _, torque = outside(bonds.flow(pauli_traces(2 * rho)), electrons.given.frame)
    return np.asarray(torque[..., 1:] / 2).reshape(*system.shape, 3)
