"""Discrete levels in the thermal window around the Fermi energy.

A closed system has discrete levels only, which `closed_levels` finds; those of an open one are found together with its
resonances (`resonances.py`).  A discrete level exchanges no electrons with the leads: it keeps its occupation while the
moments move, so that its diagonal response is left out.  What remains of the Fermi-surface term is

    rho_surf = sum_n f'(E_n) Im[ R_n Hd P_n ],        R_n: resolvent at E_n without the level itself,

the limit of the general formula for Gamma -> 0 off the diagonal.  It vanishes at kT = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .quadrature import fermi_derivative
from .system import System

# The sites at which the bonds of a chain start and end.
_CHAIN = slice(None, -1), slice(1, None)


@dataclass(frozen=True)
class BoundStates:
    """Discrete levels with what their response to a motion needs.

    energies: (n_levels,); states: v (n_levels, n, 2), with v^+ B v = 1, which counts the tails in the leads too;
    weighted: B v (n_levels, n, 2) with B = 1 - dSigma/dE at E_n; resolvents: matrices R_n (2n, 2n), 1/energy;
    slopes: f'(E_n) (n_levels,), 1/energy; same: levels closer than this (energy) are one degenerate level.
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
        """Contribution of the levels to rho_surf for dH/dt = `rate` (n, 2, 2)."""
        pairs = []
        for v, resolvent, slope in zip(self.states, self.resolvents, self.slopes, strict=True):
            driven = (resolvent @ np.einsum("iab,ib->ia", rate, v).ravel()).reshape(v.shape)
            pairs.append((-1j * slope * driven, v))
        return Shares(pairs, self.states.shape[1])

    def unturned(self, K: NDArray[np.complex128]) -> Shares:
        """sum_n f'(E_n) P_n K B P_n for the generator K (2, 2) of a rigid precession.

        The geometric and lead terms fill the levels as if they were in equilibrium with the rotating frame,
        f(E_n - <K>).  In fact the levels keep their occupation; this is the correction to first order.
        """
        return self._among_themselves([w @ K.T for w in self.weighted])  # B is the same for both spins

    def kept(self, rate: NDArray[np.complex128]) -> Shares:
        """sum_n f'(E_n) P_n Hd P_n for dH/dt = `rate` (n, 2, 2).

        At this rate the adiabatic density matrix would fill the levels, which in fact keep their occupation.
        """
        return self._among_themselves([np.einsum("iab,ib->ia", rate, v) for v in self.states])

    def _among_themselves(self, images: list[NDArray[np.complex128]]) -> Shares:
        """sum f'(E_n) |u><u|X|v><v| over pairs of degenerate levels u, v; images: X v (n, 2) of each level v."""
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
        """Flow over bonds with these hoppings from sites `starts` to `ends`, (n_bonds, 4): as `green.contour_sums`."""
        return np.asarray(hops[:, None] * np.imag(self.between(starts, ends, len(hops))))

    def between(
        self, starts: NDArray[np.intp] | slice, ends: NDArray[np.intp] | slice, n_bonds: int
    ) -> NDArray[np.complex128]:
        """Traces of 2 rho_(end,start), (n_bonds, 4)."""
        found = [_traces(a[ends], b[starts]) + _traces(b[ends], a[starts]) for a, b in self.pairs]
        return sum(found, np.zeros((n_bonds, 4), complex))


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
    """All levels between `low` and `high` (energies) of a closed device with the dense Hamiltonian H (2n, 2n).

    None at kT = 0, where their part of the Fermi-surface term vanishes.
    """
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
