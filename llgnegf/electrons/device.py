"""The door of the electrons: spin density, currents, transmission and states of a wire or lattice between two leads.

Nothing in this package imports this file.  What a `Device` is, is in `system.py`; what it is at one texture, in
`frozen.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .balance import spin_balance
from .counter import Counter
from .currents import Currents, currents
from .frozen import Frozen, SpinDensity
from .system import System


class Device(System):
    """A chain of n sites, or a square lattice of nx x ny, between up to two leads.

    shape: (n,) or n, or (nx, ny).  periodic: "y" joins the last y to the first, in the leads as well; two rows then
    have two bonds between them (hopping 2t), one row has none, as the moments (`magnet.Magnet`).
    hopping t > 0, onsite, sd_exchange J_sd, fermi_energy, temperature kT >= 0: energies.
    tolerance: bound asked of the spin density Tr[rho sigma] on each site (dimensionless).
    leads: at most one `Lead` a side; a side without one, or with coupling 0, is closed.
    bond_hoppings: (nx - 1,) hopping > 0 of each bond along x, where it is not the same everywhere (None).

    A device does not change: `changed` makes another one.
    Raises ValueError naming the argument, its value and what is allowed; AttributeError where an attribute is set.
    """

    # --- what users ask ---------------------------------------------------------------------------

    def freeze(self, m: ArrayLike, potential: ArrayLike | None = None, counter: Counter | None = None) -> Frozen:
        """The electrons at one texture: everything that shares its Green's functions.

        m: (n, 3) or (nx, ny, 3) moments (unit vectors; zero = vacancy); potential: gate voltages V_i, energy.
        counter: is told of every Green's function evaluated, beside the `solves` of what is returned.
        """
        return Frozen(self, self.vectors("m", m), self.scalars("potential", potential), counter)

    def spin_density(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
        *,
        split: str = "general",
    ) -> SpinDensity:
        """Spin density Tr[rho_i sigma] of moments and gates in slow motion, by origin.

        m, mdot: (n, 3) or (nx, ny, 3) moments and their velocity (1/time); potential, potential_rate: (n,) or
        (nx, ny) gate voltages and their rates.  Returns adiabatic, sea and surface parts, shaped as m, and the same
        for the charge.
        split: "general" for any motion; "precession" for the geometric, sea and surface parts of Bajpai and Nikolic,
        which exist where all moments turn about one axis and the gates stand still (one moment: the shortest
        rotation).  ValueError where they do not.
        """
        frozen = self.freeze(m, potential)
        velocity = np.zeros((*self.shape, 3)) if mdot is None else self.vectors("mdot", mdot)
        rate = self.scalars("potential_rate", potential_rate)
        if split == "general":
            return frozen.spin_density(velocity, rate)
        if split != "precession":
            raise ValueError(f"split = {split!r}: allowed are 'general' and 'precession'")
        if self.is_lattice:
            raise ValueError("split = 'precession': available on a chain; on a square lattice use 'general'")
        rotation = _rigid_rotation(frozen.m, velocity)
        if rotation is None or rate.any():
            reason = "the gates move" if rate.any() else "no rotation about one axis carries all the moments"
            raise ValueError(
                f"split = 'precession': {reason}, so that there is no geometric part of its own; the split that "
                "exists for this motion is 'general' (sea and surface)"
            )
        frequency = float(np.linalg.norm(rotation))
        return frozen.precession(rotation if frequency else np.array([0.0, 0.0, 1.0]), frequency)

    def lead_currents(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Particles (2,) and spin (2, 3) that a slow motion pumps into the left and the right lead.

        Arguments as `spin_density`.  On a square lattice what arrives deep inside the leads: the flow over their first
        bonds (`currents`) differs by what the lead stores near its end, and agrees over a cycle.  On a chain that flow,
        without the other bonds.
        """
        velocity = np.zeros((*self.shape, 3)) if mdot is None else self.vectors("mdot", mdot)
        return self.freeze(m, potential).lead_currents(velocity, self.scalars("potential_rate", potential_rate))

    def currents(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
    ) -> Currents:
        """Particle and spin flows over all bonds and into the leads by origin; arguments as `spin_density`."""
        return currents(self, m, mdot, potential, potential_rate)

    def spin_balance(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """By how much the spin does not balance on each site, an error estimate of all parts: see `balance`."""
        velocity = np.zeros((*self.shape, 3)) if mdot is None else self.vectors("mdot", mdot)
        rate = self.scalars("potential_rate", potential_rate)
        flows = self.currents(m, velocity, potential, rate)
        return spin_balance(self.freeze(m, potential), flows, velocity, rate)

    def transmission(self, energy: float, m: ArrayLike, potential: ArrayLike | None = None) -> NDArray[np.float64]:
        """Spin-resolved transmission left -> right at a real energy, (2, 2) as [spin out, spin in] (up, down along z).

        Landauer and Buettiker: Tr[Gamma_R G Gamma_L G^+] is the sum of the four.
        """
        return self.freeze(m, potential).transmission(float(energy))

    def density_of_states(self, energy: float, m: ArrayLike, potential: ArrayLike | None = None) -> NDArray[np.float64]:
        """Local density of states at a real energy in the lead band: (n, 4), traced with 1, sigma_x, sigma_y, sigma_z.

        1/energy; discrete levels of closed or detached parts are not broadened and do not appear.
        """
        return self.freeze(m, potential).density_of_states(float(energy))


def _rigid_rotation(m: NDArray[np.float64], velocity: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The shortest Omega (3,) with Omega x m_i = velocity_i on all sites, or None."""
    # Omega x m = -[m]_x Omega, row by row.
    x, y, z = m.T
    o = np.zeros(len(m))
    rows = np.stack([np.stack([o, z, -y], 1), np.stack([-z, o, x], 1), np.stack([y, -x, o], 1)], axis=1)
    rotation = np.linalg.lstsq(rows.reshape(-1, 3), velocity.ravel(), rcond=1e-12)[0]
    misfit = abs(np.cross(rotation, m) - velocity).max()
    return rotation if misfit <= 1e-9 * abs(velocity).max() else None
