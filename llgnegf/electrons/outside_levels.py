"""Levels bound outside the bands of all leads, and their part of the Fermi-surface term between leads with voltages.

No lead fills such a level, and none empties it: it keeps its occupation while moments, gates and the levels of leads
move.  What it adds to the Fermi-surface term is the limit of `bound_states.py`,

    rho_surf = sum_n f'(E_n) Im[ R_n D P_n ],      D = Hd, or -sum_m dV_m/dt dSigma_m/dE for leads that move,

R_n: constant part of G at E_n, without P_n/(E - E_n).  What D has within the leads beside that is P_n D' P_n, which is
Hermitian.  Together with the Fermi sea this is f(E_n) 2 Im[R_n^2 Hd P_n] of the infinite system: the level follows
adiabatically, to first order in the rates.
"""

from __future__ import annotations

import numpy as np

from .bound_states import NO_LEVELS, BoundStates
from .dragged_levels import Levels, discrete_levels
from .narrow_levels import MOST_ORBITALS, effective_hamiltonian, shares
from .pauli import pauli_traces
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats, Sweeps
from .system import System
from .window import ThermalWindow, Window

# Levels closer than this (over the hopping) are one degenerate level, as in `discrete_levels`.
_SAME = 1e-10
# Levels whose f' times the hopping is below this share of the tolerance add nothing that can be seen.
_UNSEEN = 1e-6
# Matrices R_n of all levels may have so many elements: 1 GB.
_MOST_ELEMENTS = 2**26
# From so many orbitals on those of a matrix with few bands are taken as such.
_MANY = 100
# Step, over the hopping, of the second derivative of self-energies.
_STEP = 1e-4


def bound_levels(sweeps: Sweeps, window: Window) -> list[tuple[float, Floats]]:
    """Levels in this window outside the bands of all leads: energy, and |v|^2 on the sites, traced (*s, 4).

    None where the device is too large for dense eigenvalues.
    """
    if not _gaps(sweeps.device, window) or 2 * sweeps.device.n_sites > MOST_ORBITALS:
        return []
    found = _found(sweeps, window)
    return list(zip(found.energies.tolist(), shares(sweeps, found.states), strict=True))


def thermal_levels(sweeps: Sweeps) -> BoundStates:
    """Levels outside the bands of all leads at energies where f' of the device can be seen; kT > 0.

    Raises ToleranceError where the device is too large for them.
    """
    device, window = sweeps.device, sweeps.device.thermal_window
    gaps = _gaps(device, window)
    if not gaps:
        return NO_LEVELS
    edges = np.array([high if high < device.fermi_energy else max(low, device.fermi_energy) for low, high in gaps])
    seen = _UNSEEN * device.tolerance / device.hopping
    if not np.any(-device.occupation.slope(edges) > seen):
        return NO_LEVELS
    if 2 * device.n_sites > MOST_ORBITALS:
        raise ToleranceError(
            f"temperature = {device.temperature:g}: energies within some kT of fermi_energy = {device.fermi_energy:g} "
            "lie outside the bands of the leads, and levels there are searched for on up to "
            f"{MOST_ORBITALS // 2} sites, not {device.n_sites}: use order = 0, a lower temperature, another "
            "fermi_energy or a smaller device"
        )
    found = _found(sweeps, window)
    slopes = device.occupation.slope(found.energies)
    kept = -slopes > seen
    found, slopes = Levels(found.energies[kept], found.states[kept], found.weighted[kept]), slopes[kept]
    if not len(slopes):
        return NO_LEVELS
    if found.states.shape[1] ** 2 * len(slopes) > _MOST_ELEMENTS:
        raise ToleranceError(
            f"temperature = {device.temperature:g}: {len(slopes)} levels outside the bands of the leads lie within "
            f"some kT of fermi_energy = {device.fermi_energy:g}, too many to follow their motion: use order = 0, a "
            "lower temperature or another fermi_energy"
        )
    spinors = (len(slopes), -1, 2)
    resolvents = _resolvents(sweeps, found)
    states, weighted = found.states.reshape(spinors), found.weighted.reshape(spinors)
    return BoundStates(found.energies, states, weighted, resolvents, slopes, _SAME * device.hopping)


def thermal_states(sweeps: Sweeps, levels: BoundStates) -> Floats:
    """What these levels have of the thermal density of states -(1/pi) int f Im dG/dE, traced: (*s, 4), 1/energy."""
    return -np.tensordot(levels.slopes, shares(sweeps, levels.states), 1)


def tails(device: System, levels: BoundStates, rate: Blocks, energy: bool = False) -> Floats:
    """Flow over the first bonds of a chain's leads due to changing tails of these levels in them: (2, 4), 1/time.

    Their occupation stays, but where the level moves with Hd = `rate` (n, 2, 2), what it has in the leads changes.
    energy: what the leads have of its energy, counted from their levels, instead.
    """
    v, flow = levels.states, np.zeros((2, 4))
    driven = np.einsum("kia,iab,lib->kl", v.conj(), rate, v)
    same = abs(levels.energies[:, None] - levels.energies) <= levels.same
    kept = np.einsum("kia,kl,l->lia", v, driven * same, levels.slopes)  # f' P Hd v
    for at, moved, state in zip(levels.energies.tolist(), kept, v, strict=True):
        for lead, (_, sigma, slope) in enumerate(device.end_self_energies(at)):
            change = slope[0, 0]
            if energy:  # the derivative of (E - V) Sigma
                change = (at - device.voltages[lead]) * change + sigma[0, 0]
            flow[lead] += np.real(change * pauli_traces(np.outer(moved[-lead], state[-lead].conj())))
    return flow


def _gaps(device: System, window: Window | ThermalWindow) -> list[tuple[float, float]]:
    """Intervals of the window below and above the bands of all leads."""
    (low, high), margin = device.band, 1e-9 * device.hopping
    gaps = [(window.low, min(window.high, low - margin)), (max(window.low, high + margin), window.high)]
    return [(a, b) for a, b in gaps if a < b]


def _found(sweeps: Sweeps, window: Window) -> Levels:
    both = effective_hamiltonian(sweeps)

    def effective(energy: float) -> tuple[Blocks, Blocks]:
        # Self-energies are real there; their imaginary parts are rounding.
        matrix, overlap = both(energy)
        return (matrix + matrix.conj().T) / 2, (overlap + overlap.conj().T) / 2

    device = sweeps.device
    # A block of a slice, and unit matrices beside it.
    bands = 2 * (device.shape[1] if device.is_lattice else 1)
    narrow = 2 * device.n_sites >= _MANY and 4 * bands < 2 * device.n_sites
    return discrete_levels(effective, _gaps(device, window), device.hopping, bands if narrow else None)


def _resolvents(sweeps: Sweeps, levels: Levels) -> list[Blocks]:
    """R_n of each level, (2 sites, 2 sites); degenerate levels share one."""
    device, effective = sweeps.device, effective_hamiltonian(sweeps)
    found: list[Blocks] = []
    while len(found) < len(levels.energies):
        first = len(found)
        last = int(np.searchsorted(levels.energies, levels.energies[first] + 2 * _SAME * device.hopping, "right"))
        energy, V, BV = levels.energies[first], levels.states[first:last].T, levels.weighted[first:last].T
        n, k = V.shape
        bordered = np.zeros((n + k, n + k), complex)
        bordered[:n, :n] = energy * np.eye(n) - effective(energy)[0]
        bordered[:n, n:], bordered[n:, :n] = BV, BV.conj().T
        resolvent: Blocks = np.asarray(np.linalg.inv(bordered)[:n, :n], complex)
        if k > 1:
            # G = P/x + R + ... solves (A_0 + A_1 x + A_2 x^2) G = 1: also P has a part in R, -V V^+ A_2 V V^+.  Of a
            # single level it is a real multiple of P, and drops out.
            h = _STEP * device.hopping
            A2 = (effective(energy + h)[1] - effective(energy - h)[1]) / (4 * h)
            resolvent = resolvent - V @ (V.conj().T @ A2 @ V) @ V.conj().T
        found += [resolvent] * (last - first)
    return found
