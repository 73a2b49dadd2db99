"""Discrete levels of a texture at rest and in steady precession, and which of them correspond to each other.

A level that no lead broadens cannot exchange electrons.  When a precession starts slowly, the level keeps the
occupation f(E_n) that it had at rest.  In the rotating frame its energy is different, and the Fermi functions of the
leads at that energy would fill it differently: in the thermal window the difference is of first order in the frequency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Matrices H + Sigma and B = 1 - dSigma/dE, (2n, 2n) each, at a real energy outside the lead bands.
Effective = Callable[[float], tuple[NDArray[np.complex128], NDArray[np.complex128]]]

# A level in motion is identified with a level at rest only if their overlap is at least this.
_SHARE = 0.5


@dataclass(frozen=True)
class Levels:
    """Discrete levels: energies (k,), states (k, 2n) with v^+ B v = 1, and weighted = B v (k, 2n)."""

    energies: NDArray[np.float64]
    states: NDArray[np.complex128]
    weighted: NDArray[np.complex128]


def discrete_levels(
    effective: Effective, gaps: list[tuple[float, float]], scale: float, bands: int | None = None
) -> Levels:
    """Solutions of (H + Sigma(E)) v = E v in intervals outside the lead bands, orthogonal within degenerate ones.

    gaps: intervals (low, high) of energy; scale: energy; levels closer than 1e-10 of it count as degenerate; bands:
    how many there are on either side of the diagonal of H, None: it is taken as a full matrix.
    In a gap each eigenvalue of H + Sigma(E) - E decreases with E at a rate of at least 1, so that it has at most one
    zero.
    """
    from scipy.optimize import brentq

    eigenvalues = _eigenvalues(bands)
    roots: list[tuple[float, int]] = []
    for low, high in gaps:
        if low >= high:
            continue
        above_low, above_high = (eigenvalues(effective(e)[0], None) - e for e in (low, high))
        for k in np.flatnonzero((above_low > 0) & (above_high <= 0)):
            root: float = brentq(
                lambda e, k=k: eigenvalues(effective(e)[0], int(k))[0] - e, low, high, xtol=1e-15 * scale, rtol=1e-15
            )
            roots.append((root, int(k)))
    roots.sort()
    size = len(effective(gaps[0][0])[0])
    energies, states, weighted = [], [np.empty((0, size), complex)], [np.empty((0, size), complex)]
    while roots:
        group = [r for r in roots if r[0] <= roots[0][0] + 1e-10 * scale]
        roots = roots[len(group) :]
        matrix, overlap = effective(float(np.mean([e for e, _ in group])))
        v = np.linalg.eigh(matrix)[1][:, [k for _, k in group]]
        # Orthonormal with respect to B: multiply by B^(-1/2) within the group.
        weights, turn = np.linalg.eigh(v.conj().T @ overlap @ v)
        v = v @ (turn / np.sqrt(weights)) @ turn.conj().T
        energies += [e for e, _ in group]
        states.append(v.T)
        weighted.append((overlap @ v).T)
    return Levels(np.array(energies), np.concatenate(states), np.concatenate(weighted))


def _eigenvalues(bands: int | None) -> Callable[[NDArray[np.complex128], int | None], NDArray[np.float64]]:
    """A function of a Hermitian matrix with so many bands and of k: the k-th eigenvalue, or for None all of them."""

    def of_full(matrix: NDArray[np.complex128], k: int | None) -> NDArray[np.float64]:
        found = np.asarray(np.linalg.eigvalsh(matrix), float)
        return found if k is None else found[k : k + 1]

    if bands is None:
        return of_full
    from scipy.linalg import eigvals_banded  # heavy import

    def of_banded(matrix: NDArray[np.complex128], k: int | None) -> NDArray[np.float64]:
        n = len(matrix)
        below = np.zeros((bands + 1, n), complex)
        for d in range(bands + 1):
            below[d, : n - d] = np.diagonal(matrix, -d)
        chosen: dict = {} if k is None else {"select": "i", "select_range": (k, k)}
        return np.asarray(eigvals_banded(below, lower=True, check_finite=False, **chosen))

    return of_banded


def partners(at_rest: Levels, moving: Levels, spread: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of a level at rest and the level in motion that it has become: indices (k,) of both.

    The pairs are chosen so that the sum of their overlaps is largest; pairing by energy would fail where levels cross.
    A level at rest without a partner has moved into a band.  spread: levels at rest within this energy may mix.
    """
    from scipy.optimize import linear_sum_assignment

    # |<v|B|u>|^2, with the B of the level at rest for both levels: it changes little over one frequency.
    shares = abs(at_rest.weighted.conj() @ moving.states.T) ** 2
    rest, motion = linear_sum_assignment(-shares)
    alike = abs(at_rest.energies[:, None] - at_rest.energies[rest]) <= spread
    sound = (shares[:, motion] * alike).sum(axis=0) >= _SHARE
    return rest[sound], motion[sound]
