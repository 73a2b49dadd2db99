"""Conservation of spin on every site: an error estimate that does not depend on how energies were chosen.

To first order in the velocities the torque of the electrons on a moment equals the spin that the flows carry away from
its site plus the rate at which the spin on the site changes,

    J_sd s_i x m_i = (flow out) - (flow in) + (1/2) ds_i/dt,

to whose left side spin-orbit coupling adds a torque of its own (`currents.Currents.torque_spin_orbit`), and
where the spin that a bath takes from its sites counts as flow out, s and the flows are those of the sea and the surface
part together, and ds/dt is the rate of the adiabatic spin density, -(1/pi) int f Im[G Hd G].  The equation is violated
if the Fermi-surface term misses a state or an integral has not converged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .currents import Currents
from .frozen import Frozen


def spin_balance(
    frozen: Frozen, flows: Currents, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]
) -> NDArray[np.float64]:
    """J_sd s x m minus divergence of the spin flow minus (1/2) ds/dt on every site: (n, 3) or (nx, ny, 3), energy.

    mdot, potential_rate: as `Frozen.spin_density`; flows: `currents` of the same motion.  Correct results give zero
    within a few tolerances times the hopping.  Discrete levels keep their occupation, so that the change of the
    adiabatic density that would fill or empty them is left out of ds/dt.  Under a bias nothing may move.
    """
    spin = frozen.spin_density(mdot, potential_rate)
    torque = frozen.device.exchange_times(np.cross(spin.nonadiabatic, frozen.m))
    change = frozen.adiabatic_rate(frozen.device.coupling_blocks(mdot, potential_rate))[..., 1:]
    balance = torque - flows.divergence("sea") - flows.divergence("surface") - 0.5 * change
    if "bias" in flows.origins:
        balance = balance - flows.divergence("bias")
    for origin, of_bonds in flows.torque_spin_orbit.items():
        if origin != "adiabatic":
            balance = balance + of_bonds
    if frozen.device.bath is not None:
        balance.reshape(-1, 3)[frozen.device.bath.on(frozen.device.shape)] -= frozen.bath_currents(
            mdot, potential_rate
        )[1]
    return np.asarray(balance)
