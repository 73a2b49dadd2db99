"""Discrete levels that the thermal window around the Fermi energy may contain.

A closed wire has nothing else; an open one has bound states outside the lead band (strong exchange, gates).  A level
does not change its occupation while it is dragged along (there is nothing to exchange electrons with), so its diagonal
response is left out; what remains of the Fermi-surface term is

    rho_surf = sum_n f'(E_n) Im[ R_n Hd P_n ],        R_n: resolvent at E_n without the level itself,

the limit of the general formula for Gamma -> 0 off the diagonal.  It vanishes at kT = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .leads import chain_self_energy
from .quadrature import fermi_derivative

if TYPE_CHECKING:
    from .device import Device


@dataclass(frozen=True)
class BoundStates:
    """Levels as (n_levels, n, 2) states, with the matrices R_n (2n, 2n) and f'(E_n)."""

    energies: NDArray[np.float64]
    states: NDArray[np.complex128]
    resolvents: list[NDArray[np.complex128]]
    slopes: NDArray[np.float64]

    def surface(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Their part of rho_surf, traced with 1, sigma_x, sigma_y, sigma_z: (n, 4)."""
        out = np.zeros((len(rate), 4))
        for v, resolvent, slope in zip(self.states, self.resolvents, self.slopes, strict=True):
            driven = (resolvent @ np.einsum("iab,ib->ia", rate, v).ravel()).reshape(v.shape)
            block = driven[:, :, None] * v[:, None, :].conj()
            traces = [
                block[:, 0, 0] + block[:, 1, 1],
                block[:, 0, 1] + block[:, 1, 0],
                1j * (block[:, 0, 1] - block[:, 1, 0]),
                block[:, 0, 0] - block[:, 1, 1],
            ]
            out += slope * np.imag(np.stack(traces, axis=1))
        return out


def bound_states(device: Device, blocks: NDArray[np.complex128], low: float, high: float) -> BoundStates:
    """All discrete levels between `low` and `high` (energies); dense, called for the rare windows that hold any."""
    from .density import dense_hamiltonian

    n = len(blocks)
    none = BoundStates(np.empty(0), np.empty((0, n, 2), complex), [], np.empty(0))
    if device.temperature == 0 or (not device.is_closed and device.band[0] <= low and high <= device.band[1]):
        return none
    H = dense_hamiltonian(blocks, device.hopping)
    levels = _closed(H, low, high) if device.is_closed else _open(device, H, low, high)
    if not levels:
        return none
    energies = np.array([level[0] for level in levels])
    return BoundStates(
        energies,
        np.array([level[1].reshape(n, 2) for level in levels]),
        [level[2] for level in levels],
        fermi_derivative(energies, device.fermi_energy, device.temperature),
    )


def _closed(H, low, high):
    energies, vectors = np.linalg.eigh(H)
    width = 1e-11 * max(1.0, abs(energies).max())
    found = []
    for e, v in zip(energies, vectors.T, strict=True):
        if low <= e <= high:
            other = abs(energies - e) > width
            rest = vectors[:, other]
            found.append((e, v, (rest / (e - energies[other])) @ rest.conj().T))
    return found


def _open(device, H, low, high):
    """Roots of eigenvalue_k(H + Sigma(E)) = E outside the band: each is unique, because dSigma/dE < 0 there."""
    from scipy.optimize import brentq

    def effective(energy):
        matrix = H.copy()
        slope = np.zeros(len(H))
        for side, coupling in zip((slice(0, 2), slice(-2, None)), device.couplings, strict=True):
            sigma, derivative = chain_self_energy(energy, device.hopping, coupling, device.onsite)
            matrix[side, side] += np.eye(2) * sigma.real
            slope[side] -= derivative.real
        return matrix, 1 + slope

    found = []
    margin = 1e-9 * device.hopping
    for a, b in [(low, min(high, device.band[0] - margin)), (max(low, device.band[1] + margin), high)]:
        if a >= b:
            continue
        above_a = np.linalg.eigvalsh(effective(a)[0]) - a
        above_b = np.linalg.eigvalsh(effective(b)[0]) - b
        for k in np.flatnonzero((above_a > 0) & (above_b <= 0)):
            energy = brentq(lambda e, k=k: np.linalg.eigvalsh(effective(e)[0])[k] - e, a, b, xtol=1e-14)
            matrix, overlap = effective(energy)
            vectors = np.linalg.eigh(matrix)[1]
            v = vectors[:, k] / np.sqrt((overlap * abs(vectors[:, k]) ** 2).sum())
            # Averaged over both sides of the pole the level drops out of the resolvent to second order in the offset.
            offset = 1e-4 * device.hopping
            resolvent = sum(
                0.5 * np.linalg.inv((energy + s) * np.eye(len(H)) - effective(energy + s)[0]) for s in (-offset, offset)
            )
            found.append((energy, v, resolvent))
    return found
