"""Does the spin balance on every site?  A check that shares nothing with how energies were chosen.

To first order in the motion the torque of the electrons on a moment is the spin that stays on its site,

    J_sd s_i x m_i = (flow out) - (flow in) + (1/2) ds_i/dt,

with s of the sea and the surface part and ds/dt that of the adiabatic density, -(1/pi) int f Im[G Hd G].  A state that
the Fermi-surface term misses, or an integral that is not what it should be, breaks it.
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

    mdot, potential_rate: as `Frozen.spin_density`; flows: `currents` of the same motion.  Zero up to a few times the
    tolerance (and the hopping).  Discrete levels keep their occupation, so that ds/dt is that of the adiabatic density
    without what fills or empties them.
    """
    spin = frozen.spin_density(mdot, potential_rate)
    torque = frozen.device.sd_exchange * np.cross(spin.nonadiabatic, frozen.m)
    change = frozen.adiabatic_rate(frozen.device.coupling_blocks(mdot, potential_rate))[..., 1:]
    return np.asarray(torque - flows.divergence("sea") - flows.divergence("surface") - 0.5 * change)
