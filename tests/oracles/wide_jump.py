"""A chain between wide-band leads after a jump of its levels and of the leads' voltages: an integral over energies.

With H_0 before and H_1 after t = 0, the leads' -i Gamma/2 included, and lead l at the chemical potential mu_l and V_l,

    A_l(E, t) = G_1(E + V_l) + exp(i (E + V_l - H_1) t) [G_0(E) - G_1(E + V_l)],
    rho(t) = sum_l int dE/2pi f_l(E) A_l Gamma_l A_l^+,
    I_l(t) = Tr[Gamma_l (rho + (1/pi) int dE f_l Im A_l)],      Im A = (A - A^+)/2i,

particles per time into lead l: A(E, t) of Jauho, Wingreen and Meir, Phys. Rev. B 50, 5528 (1994), Eq. (34), as
a matrix.  The state before is steady.  Only numpy and scipy.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

FAR = 400.0  # energies down to here by panels, below by their leading term


def jumped(time, H_0, H_1, gammas, filled, voltages):
    """rho (n, n) and currents (leads,); gammas: (leads, n, n); filled: (mu, kT) of each."""
    first, then = (H - 0.5j * sum(gammas) for H in (H_0, H_1))
    rho, amplitudes = np.zeros(H_0.shape, complex), []
    for gamma, (mu, kT), V in zip(gammas, filled, voltages, strict=True):
        energies, weights = _rule(mu, kT, time)
        before, after = _green(first, energies), _green(then, energies + V)
        moved = _function(then, lambda z, e=energies + V: np.exp(1j * (e[:, None] - z) * time))
        A = after + moved @ (before - after)
        rho += np.einsum("e,eab,bc,edc->ad", weights, A, gamma, A.conj(), optimize=True) / (2 * np.pi)
        rho += gamma / (2 * np.pi * FAR)
        total = np.einsum("e,eab->ab", weights, A) - 0.5j * sum(gammas) / FAR
        amplitudes.append((total - total.conj().T) / 2j / np.pi)
    currents = [np.trace(gamma @ (rho + one)).real for gamma, one in zip(gammas, amplitudes, strict=True)]
    return rho, np.array(currents)


def _function(H, f):
    """f(z) of a matrix that is not Hermitian, (energies, n, n); f: of the eigenvalues, (energies, n)."""
    z, U = np.linalg.eig(H)
    return (U * f(z)[:, None, :]) @ np.linalg.inv(U)


def _green(H, energies):
    return _function(H, lambda z: 1 / (energies[:, None] - z))


def _rule(mu, kT, time):
    """Gauss's rule on panels, times f."""
    near = np.linspace(-8.0, mu, 120)
    edges = np.concatenate([-np.geomspace(FAR, 8.0, 10 + int(150 * max(time, 1.0)))[:-1], near])
    if kT:
        edges = np.concatenate([edges, mu + kT * np.linspace(0, 40.0, 60)[1:]])
        edges = np.unique(np.concatenate([edges, mu - kT * np.linspace(0, 40.0, 60)]))
    x, w = np.polynomial.legendre.leggauss(10)
    a, b = edges[:-1, None], edges[1:, None]
    energies = ((a + b) / 2 + (b - a) / 2 * x).ravel()
    weights = ((b - a) / 2 * w).ravel()
    return energies, weights * (expit((mu - energies) / kT) if kT else 1.0)
