"""What flows from each site of the end slices into wide-band leads, which have no sites to which a flow could be told.

Such a lead takes electrons from every row by itself.  In equilibrium nothing flows into it, nor of the sea: it is the
same at all energies, so that what enters at an energy, Tr[sigma Gamma (G^n - f A)], is that of the surface and of a
bias alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .bathed import BathedSweeps
from .bathed_bias import BathedBias
from .bathed_energy import BathedEnergy
from .frozen import Frozen
from .spin_orbit import SpinFrame
from .sweeps import Blocks, Floats


def into_wide_leads(frozen: Frozen, rate: Blocks, frame: SpinFrame | None) -> dict[str, Floats]:
    """Flow into the left and the right lead from each row by origin, (2, ny, 4), ny = 1 of a chain, traced, 1/time.

    rate: dH/dt, (*s, 2, 2); frame: that of the spins in which these are, and out of which the flows are turned.  Zero
    into a lead that has a band; no origins without wide-band leads.
    """
    sweeps, bias = frozen.sweeps, frozen.bias
    if not (frozen.device.has_wide_leads and isinstance(sweeps, BathedSweeps)):
        return {}
    moves = bool(rate.any())
    blocks = rate.reshape(-1, 2, 2)
    found = {}
    if moves:
        energies, weights = sweeps.surface.rule(rate)
        found["surface"] = _sum(sweeps, energies, lambda k, q, one: weights[k] * one.moved_into_modes(q, blocks))
    if isinstance(bias, BathedBias):
        energies, filled = bias.filled
        found["bias"] = _sum(sweeps, energies, lambda k, q, one: one.filled_into_modes(q, filled(k, one)))
        if moves:
            energies, of_motion = bias.rule_of_motion(rate)

            def moved(k: int, q: int, one: BathedEnergy) -> Floats:
                motion = sweeps.motion_at_bias(one, float(energies[k]), blocks)
                return np.tensordot(of_motion[:, k], motion.into_modes(q), 1)

            found["bias_motion"] = _sum(sweeps, energies, moved)
    if frame is None:
        return found
    return {origin: frame.back_at_ends(flow.swapaxes(0, 1)).swapaxes(0, 1) for origin, flow in found.items()}


def _sum(sweeps: BathedSweeps, energies: Floats, into: Callable[[int, int, BathedEnergy], Floats]) -> Floats:
    """Over the energies (n,) of what enters either wide-band lead q at the k-th, (ny, 4), over 2 pi: (2, ny, 4)."""
    ends = sweeps.device.ends
    total = np.zeros((2, len(ends[0].modes.energies), 4))
    for k, energy in enumerate(energies.tolist()):
        one = sweeps.keep(energy)
        for q in range(2):
            if ends[q].is_wide:
                total[q] += into(k, q, one)
    return total / (2 * np.pi)
