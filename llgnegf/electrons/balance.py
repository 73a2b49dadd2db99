"""Does the spin balance on every site?  A check that shares nothing with how energies were chosen.

To first order in the motion the torque of the electrons on a moment is the spin that stays on its site,

    J_sd s_i x m_i = (flow out) - (flow in) + (1/2) ds_i/dt,

with s of the sea and the surface part and ds/dt that of the adiabatic density, -(1/pi) int f Im[G Hd G].  A state that
the Fermi-surface term misses, or an integral that is not what it should be, breaks it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .device import Device


def spin_balance(
    device: Device,
    m: ArrayLike,
    mdot: ArrayLike | None = None,
    potential: ArrayLike | None = None,
    potential_rate: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """J_sd s x m minus divergence of the spin flow minus (1/2) ds/dt on every site: (n, 3) or (nx, ny, 3), energy.

    Arguments as `Device.spin_density`.  Zero up to a few times the tolerance (and the hopping).  Discrete levels keep
    their occupation, so that ds/dt is that of the adiabatic density without what fills or empties them.
    """
    moments = device.vectors("m", m)
    velocity = np.zeros((*device.shape, 3)) if mdot is None else device.vectors("mdot", mdot)
    rate = device.coupling_blocks(velocity, device.scalars("potential_rate", potential_rate))
    spin = device.spin_density(moments, velocity, potential, potential_rate)
    flows = device.currents(moments, velocity, potential, potential_rate)
    torque = device.sd_exchange * np.cross(spin.nonadiabatic, moments)
    frozen = device.freeze(moments, potential)
    change = frozen.adiabatic_rate(rate)[..., 1:]
    return np.asarray(torque - flows.divergence("sea") - flows.divergence("surface") - 0.5 * change)
