"""Particle and spin flows over the bonds of a square lattice and into its leads, by origin.

Definitions and the columns of the leads that are attached: `current.py`.  The parts of the density matrix rho between
neighbours a, b come from the sums that give its diagonal; the flow a -> b is Tr[sigma_a i t (rho_ab - rho_ba)].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .current import Currents, Extended
from .device import Device
from .lattice import FrozenLattice


@dataclass(frozen=True)
class LatticeCurrents(Currents):
    """Flows of one motion by origin: "adiabatic", "sea", "surface".

    charge[origin]: (nx + 1, ny) particles along +x, spin[origin]: (nx + 1, ny, 3).  Entry 0 holds the bonds from the
    left lead to column 0, entry x those from column x-1 to x, entry nx those to the right lead; zero without a lead.
    charge_y[origin]: (nx, ny), spin_y[origin]: (nx, ny, 3).  Entry y is the bond y -> y+1; the last one that from the
    last row to the first, zero between hard walls.
    """

    charge_y: dict[str, np.ndarray]
    spin_y: dict[str, np.ndarray]

    def into_leads(self, *origins: str) -> tuple[np.ndarray, np.ndarray]:
        """(particles (2,), spin (2, 3)) that flow into the left and the right lead: of these origins, or of all."""
        charge, spin = super().into_leads(*origins)
        return charge.sum(axis=1), spin.sum(axis=1)

    def divergence(self, origin: str) -> np.ndarray:
        """Spin flow out of each site minus the flow in, (nx, ny, 3)."""
        along_y = self.spin_y[origin]
        return super().divergence(origin) + along_y - np.roll(along_y, 1, axis=1)


@dataclass(frozen=True)
class _Bonds:
    """Bonds from each site to the next x, [:, 0], and the next y, [:, 1]: (nx, 2, ny), hopping 0 where there is none.

    starts, ends: sites x ny + y.
    """

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]
    hops: NDArray[np.float64]


def _bonds(device: Device) -> _Bonds:
    nx, ny = device.shape
    site = np.arange(nx * ny).reshape(nx, ny)
    hops = np.zeros((nx, 2, ny))
    hops[:-1, 0] = device.hops[:, None]
    hops[:, 1, : ny if device.periodic and ny > 1 else ny - 1] = device.hopping
    ends = np.stack([np.roll(site, -1, axis=0), np.roll(site, -1, axis=1)], axis=1)
    return _Bonds(np.stack([site, site], axis=1), ends, hops)


def lattice_currents(
    device: Device,
    m: ArrayLike,
    mdot: ArrayLike | None = None,
    potential: ArrayLike | None = None,
    potential_rate: ArrayLike | None = None,
) -> LatticeCurrents:
    """Flows of moments and gates in slow motion: adiabatic, sea and surface part.  Arguments as `spin_density`."""
    extended = Extended(device)
    embed = extended.embed
    frozen = FrozenLattice(
        extended.device, embed(device.vectors("m", m)), embed(device.scalars("potential", potential))
    )
    velocity = np.zeros((*device.shape, 3)) if mdot is None else device.vectors("mdot", mdot)
    rate = extended.device.coupling_blocks(embed(velocity), embed(device.scalars("potential_rate", potential_rate)))
    bonds = _bonds(extended.device)
    parts = {"adiabatic": bonds.hops[..., None] * frozen.equilibrium_sum(with_bonds=True)[:, 1:]}
    if rate.any():
        # The sea first: it tells the surface how many states there are at the Fermi energy.
        parts["sea"] = bonds.hops[..., None] * frozen.sea(rate, with_bonds=True)[:, 1:]
        parts["surface"] = frozen.fermi_surface.flows(rate, bonds.starts, bonds.ends, bonds.hops)
        frozen.check_first_order(rate, parts["sea"] + parts["surface"])
    else:
        parts["sea"] = parts["surface"] = np.zeros((*bonds.hops.shape, 4))
    along_x = {origin: extended.flows(part[:-1, 0]) for origin, part in parts.items()}
    along_y = {origin: part[extended.sites, 1] for origin, part in parts.items()}
    return LatticeCurrents(
        charge={origin: flow[0] for origin, flow in along_x.items()},
        spin={origin: flow[1] for origin, flow in along_x.items()},
        charge_y={origin: flow[..., 0].copy() for origin, flow in along_y.items()},
        spin_y={origin: flow[..., 1:] / 2 for origin, flow in along_y.items()},
    )
