"""Fermi-surface term of a wire at kT > 0 by dense scattering states on panels graded around every pole.

Nothing is imported from the package.  With E = onsite - t (lambda + 1/lambda) the open wire is a quadratic eigenvalue
problem in lambda, Sigma = -(c^2/t) lambda; its eigenvalues tell where the real axis has to be resolved, to a fraction
of each half-width.  The error is about the rounding over the square of the smallest half-width.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from .electrons_dense import SIGMA

_X, _W = np.polynomial.legendre.leggauss(16)


def resonances(wire):
    """All eigenvalues E of the open wire on the sheet that continues the retarded one through the band (complex)."""
    H, t, n = wire.H, wire.hopping, 2 * wire.n
    ends = np.zeros(n)
    ends[:2] += wire.couplings[0] ** 2 / t
    ends[-2:] += wire.couplings[1] ** 2 / t
    second, first, zeroth = np.diag(ends - t), wire.onsite * np.eye(n) - H, -t * np.eye(n)
    nothing, one = np.zeros((n, n)), np.eye(n)
    left = np.block([[nothing, one], [-zeroth, -first]])
    right = np.block([[one, nothing], [nothing, second]])
    lam = scipy.linalg.eigvals(left, right)
    lam = lam[np.isfinite(lam) & (abs(lam) > 1e-12)]
    energies = wire.onsite - t * (lam + 1 / lam)
    x = (energies - wire.onsite) / (2 * t)
    return energies[abs(1j * np.sqrt(1 - x * x) - x - lam) < 1e-5]


def _edges(wire, poles, low, high):
    mu, kT, t = wire.fermi_energy, wire.temperature, wire.hopping
    cuts = [low, high, *(mu + kT * np.arange(-60, 61, 2.0))]
    for e in poles[(poles.real > low - t) & (poles.real < high + t)]:
        width = max(abs(e.imag), 1e-13 * t)
        steps = width * 2.0 ** np.arange(-2, np.ceil(np.log2(8 * t / width)) + 1)
        cuts += [e.real, *(e.real + steps), *(e.real - steps)]
    for edge in (wire.onsite - 2 * t, wire.onsite + 2 * t):  # a root
        steps = t * 2.0 ** -np.arange(0.0, 42)
        cuts += [*(edge + steps), *(edge - steps)]
    cuts = np.unique([c for c in cuts if low <= c <= high])
    return cuts[np.concatenate([[True], np.diff(cuts) > 1e-13 * t])]


def surface_and_states(wire):
    """rho_surf without discrete levels, thermal density of states, both (n, 4), and an error to be expected."""
    mu, kT, t, n = wire.fermi_energy, wire.temperature, wire.hopping, wire.n
    low, high = max(mu - 60 * kT, wire.onsite - 2 * t), min(mu + 60 * kT, wire.onsite + 2 * t)
    surface, states = np.zeros((n, 4)), np.zeros((n, 4))
    if low >= high or not any(wire.couplings):
        return surface, states, 0.0
    poles = resonances(wire)
    near = poles[(poles.real > low) & (poles.real < high)]
    slopes = 1 / (4 * kT * np.cosh((near.real - mu) / (2 * kT)) ** 2)
    error = float((1e-14 * slopes / np.clip(abs(near.imag), 1e-12, None) ** 2).max(initial=0.0))
    cuts = _edges(wire, poles, low, high)
    half = np.diff(cuts) / 2
    energies = ((cuts[:-1] + half)[:, None] + half[:, None] * _X).ravel()
    weights = -(half[:, None] * _W).ravel() / (4 * kT * np.cosh((energies - mu) / (2 * kT)) ** 2) / (2 * np.pi)
    H, Hd = wire.H, wire.Hd
    for part in np.array_split(np.arange(len(energies)), max(1, len(energies) * n * n // 200_000)):
        x = (energies[part] - wire.onsite) / (2 * t)
        sigma = (x - 1j * np.sqrt(np.maximum(1 - x * x, 0))) / t
        K = energies[part, None, None] * np.eye(2 * n) - H
        sources = np.zeros((len(part), 2 * n, 4), complex)
        for end, side in ((0, 0), (2 * n - 2, 1)):
            for s in range(2):
                K[:, end + s, end + s] -= wire.couplings[side] ** 2 * sigma
                sources[:, end + s, 2 * side + s] = wire.couplings[side] * np.sqrt(np.maximum(-2 * sigma.imag, 0))
        psi = np.linalg.solve(K, sources)
        driven = np.linalg.solve(K, Hd @ psi)
        shape = (len(part), n, 2, 4)
        psi, driven = psi.reshape(shape), driven.reshape(shape)
        w = weights[part]
        blocks = np.einsum("e,eiap,eibp->iab", w, driven, psi.conj())
        surface += np.einsum("iab,cba->ic", blocks, SIGMA).imag
        blocks = np.einsum("e,eiap,eibp->iab", -w, psi, psi.conj())
        states += np.einsum("iab,cba->ic", blocks, SIGMA).real
    return surface, states, error
