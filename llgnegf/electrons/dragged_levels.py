"""Discrete levels of a texture at rest and in steady precession: which becomes which, and how they are filled.

A level that no lead broadens has nothing to exchange electrons with.  Dragged along by a slowly starting precession it
keeps the occupation f(E_n) that it had at rest; the frame that turns knows it at another energy, where the leads'
Fermi functions would fill it differently, at first order in the frequency wherever it lies in the thermal window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Matrices H + Sigma and B = 1 - dSigma/dE, (2n, 2n) each, at a real energy outside the lead bands.
Effective = Callable[[float], tuple[NDArray[np.complex128], NDArray[np.complex128]]]

# A level in motion belongs to levels at rest that hold this share of it, or it is none of them.
_SHARE = 0.5


@dataclass(frozen=True)
class Levels:
    """Discrete levels: energies (k,), states (k, 2n) with v^+ B v = 1, and weighted = B v (k, 2n)."""

    energies: NDArray[np.float64]
    states: NDArray[np.complex128]
    weighted: NDArray[np.complex128]


def discrete_levels(effective: Effective, gaps: list[tuple[float, float]], scale: float) -> Levels:
    """Solutions of (H + Sigma(E)) v = E v in intervals outside the lead bands, orthogonal within degenerate ones.

    gaps: (low, high) energies; scale: energy, levels closer than 1e-10 of it are taken as degenerate.
    Each eigenvalue of H + Sigma(E) - E falls with E at a rate of at least 1 there, so it has one zero at most.
    """
    from scipy.optimize import brentq

    roots: list[tuple[float, int]] = []
    for low, high in gaps:
        if low >= high:
            continue
        above_low, above_high = (np.linalg.eigvalsh(effective(e)[0]) - e for e in (low, high))
        for k in np.flatnonzero((above_low > 0) & (above_high <= 0)):
            root: float = brentq(
                lambda e, k=k: np.linalg.eigvalsh(effective(e)[0])[k] - e, low, high, xtol=1e-15 * scale, rtol=1e-15
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
        # B^(-1/2) within the group.
        weights, turn = np.linalg.eigh(v.conj().T @ overlap @ v)
        v = v @ (turn / np.sqrt(weights)) @ turn.conj().T
        energies += [e for e, _ in group]
        states.append(v.T)
        weighted.append((overlap @ v).T)
    return Levels(np.array(energies), np.concatenate(states), np.concatenate(weighted))


def partners(at_rest: Levels, moving: Levels, spread: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which level at rest has become which level in motion: indices into both, paired.

    The pairs share the largest total overlap: the order of the energies would fail where levels cross.  Levels at rest
    without a partner have entered a band.  spread: levels at rest within this energy may mix.
    """
    from scipy.optimize import linear_sum_assignment

    # |<v|B|u>|^2 with the overlap of the level at rest also for its tails: B changes little over a frequency.
    shares = abs(at_rest.weighted.conj() @ moving.states.T) ** 2
    rest, motion = linear_sum_assignment(-shares)
    alike = abs(at_rest.energies[:, None] - at_rest.energies[rest]) <= spread
    sound = (shares[:, motion] * alike).sum(axis=0) >= _SHARE
    return rest[sound], motion[sound]
