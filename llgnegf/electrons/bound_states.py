"""Discrete levels that the thermal window around the Fermi energy may contain.

A closed system has nothing else, and they are found here; those of an open one are among its `resonances.py`.  A level
does not change its occupation while it is dragged along (there is nothing to exchange electrons with), so its diagonal
response is left out; what remains of the Fermi-surface term is

    rho_surf = sum_n f'(E_n) Im[ R_n Hd P_n ],        R_n: resolvent at E_n without the level itself,

the limit of the general formula for Gamma -> 0 off the diagonal.  It vanishes at kT = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .quadrature import fermi_derivative
from .system import System

# Where the bonds of a chain start and end.
_CHAIN = slice(None, -1), slice(1, None)


@dataclass(frozen=True)
class BoundStates:
    """Levels as (n_levels, n, 2) states, with the matrices R_n (2n, 2n) and f'(E_n).

    same: levels closer than this (energy) are one degenerate level.
    weighted: (n_levels, n, 2) B v with B = 1 - dSigma/dE at E_n; v^+ B v = 1 counts the tails in the leads.
    """

    energies: NDArray[np.float64]
    states: NDArray[np.complex128]
    weighted: NDArray[np.complex128]
    resolvents: list[NDArray[np.complex128]]
    slopes: NDArray[np.float64]
    same: float

    @property
    def any(self) -> bool:
        """Whether there are any levels at all."""
        return len(self.energies) > 0

    def surface(self, rate: NDArray[np.complex128]) -> Shares:
        """Their part of rho_surf for dH/dt = `rate` (n, 2, 2)."""
        pairs = []
        for v, resolvent, slope in zip(self.states, self.resolvents, self.slopes, strict=True):
            driven = (resolvent @ np.einsum("iab,ib->ia", rate, v).ravel()).reshape(v.shape)
            pairs.append((-1j * slope * driven, v))
        return Shares(pairs, self.states.shape[1])

    def unturned(self, K: NDArray[np.complex128]) -> Shares:
        """sum_n f'(E_n) P_n K B P_n for the generator K (2, 2) of a rigid precession.

        The geometric and lead terms fill the levels as in equilibrium with the frame that turns, f(E_n - <K>).
        The levels keep their occupation instead: this takes the difference back.
        """
        return self._among_themselves([w @ K.T for w in self.weighted])  # B knows no spin

    def kept(self, rate: NDArray[np.complex128]) -> Shares:
        """sum_n f'(E_n) P_n Hd P_n of dH/dt = `rate` (n, 2, 2): what the instantaneous equilibrium fills otherwise."""
        return self._among_themselves([np.einsum("iab,ib->ia", rate, v) for v in self.states])

    def _among_themselves(self, images: list[NDArray[np.complex128]]) -> Shares:
        """sum f'(E_n) |u><u|X|v><v| over degenerate levels u, v with the images X v (n, 2)."""
        pairs = []
        for n, (v, image) in enumerate(zip(self.states, images, strict=True)):
            for m in np.flatnonzero(abs(self.energies - self.energies[n]) <= self.same):
                u = self.states[m]
                pairs.append((self.slopes[n] * u * np.vdot(u, image), v))
        return Shares(pairs, self.states.shape[1])


NO_LEVELS = BoundStates(np.empty(0), np.empty((0, 0, 2), complex), np.empty((0, 0, 2), complex), [], np.empty(0), 0.0)


@dataclass(frozen=True)
class Shares:
    """A density matrix sum (a b^+ + b a^+)/2 over pairs of spinors (n, 2)."""

    pairs: list[tuple[NDArray[np.complex128], NDArray[np.complex128]]]
    n_sites: int

    def on_sites(self) -> NDArray[np.float64]:
        """Traced with 1, sigma_x, sigma_y, sigma_z on each site: (n, 4)."""
        return sum((np.real(_traces(a, b)) for a, b in self.pairs), np.zeros((self.n_sites, 4)))

    def over_bonds(
        self,
        hops: NDArray[np.float64],
        starts: NDArray[np.intp] | slice = _CHAIN[0],
        ends: NDArray[np.intp] | slice = _CHAIN[1],
    ) -> NDArray[np.float64]:
        """Flow as in `green.contour_sums` over bonds of these hoppings between these sites: (n_bonds, 4)."""
        flows = [np.imag(_traces(a[ends], b[starts]) + _traces(b[ends], a[starts])) for a, b in self.pairs]
        return hops[:, None] * sum(flows, np.zeros((len(hops), 4)))


def _same(device: System, H: NDArray[np.complex128]) -> float:
    """Levels closer than this (energy) are one degenerate level: far above the rounding of H."""
    return 1e-11 * max(device.hopping, float(abs(H).sum(axis=0).max()))


def _traces(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Traces of a_i b_i^+ with 1, sigma_x, sigma_y, sigma_z for spinors (n, 2): (n, 4)."""
    block = a[:, :, None] * b[:, None, :].conj()
    return np.stack(
        [
            block[:, 0, 0] + block[:, 1, 1],
            block[:, 0, 1] + block[:, 1, 0],
            1j * (block[:, 0, 1] - block[:, 1, 0]),
            block[:, 0, 0] - block[:, 1, 1],
        ],
        axis=1,
    )


def closed_levels(device: System, H: NDArray[np.complex128], low: float, high: float) -> BoundStates:
    """All levels between `low` and `high` (energies) of a closed device with the dense Hamiltonian H (2n, 2n)."""
    n = len(H) // 2
    if device.temperature == 0:
        return NO_LEVELS
    same = _same(device, H)
    levels = _closed(H, low, high, same)
    if not levels:
        return NO_LEVELS
    energies = np.array([level[0] for level in levels])
    return BoundStates(
        energies,
        np.array([level[1].reshape(n, 2) for level in levels]),
        np.array([level[2].reshape(n, 2) for level in levels]),
        [level[3] for level in levels],
        fermi_derivative(energies, device.fermi_energy, device.temperature),
        same,
    )


def _closed(H, low, high, same):
    energies, vectors = np.linalg.eigh(H)
    found = []
    for e, v in zip(energies, vectors.T, strict=True):
        if low <= e <= high:
            other = abs(energies - e) > same
            rest = vectors[:, other]
            found.append((e, v, v, (rest / (e - energies[other])) @ rest.conj().T))
    return found
