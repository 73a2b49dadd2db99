"""Linear response of electrons to moments that swing at a frequency, by brute force on the real axis.

    K_ij = int dE/(2 pi i) Tr[V_i G(E + w) V_j G<(E) + V_i G<(E) V_j G^+(E - w)],       G< = i sum_r f_r G Gamma_r G^+

with dense matrices and adaptive quadrature; nothing is imported from the package.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.integrate import quad_vec
from scipy.special import expit

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


class Dense:
    """H (2n, 2n); exchange: (n,) J; sigmas: E -> [Sigma_r]; fillings: (mu, kT) of each; edges: cuts of energies."""

    def __init__(self, H, exchange, sigmas, fillings, edges):
        self.H, self.sigmas, self.fillings, self.edges = H, sigmas, fillings, sorted(edges)
        n = len(H) // 2
        self.V = np.zeros((n, 3, 2 * n, 2 * n), complex)
        for i in range(n):
            for a in range(3):
                self.V[i, a, 2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = -exchange[i] * SIGMA[a]

    def green(self, E):
        return np.linalg.inv(E * np.eye(len(self.H)) - self.H - sum(self.sigmas(E)))

    def lesser(self, E):
        G, out = self.green(E), 0
        for sigma, (mu, kT) in zip(self.sigmas(E), self.fillings, strict=True):
            f = expit(-(E - mu) / kT) if kT else float(mu > E)
            out = out + 1j * f * G @ (1j * (sigma - sigma.conj().T)) @ G.conj().T
        return out

    def _integral(self, function, more=()):
        points = sorted({*self.edges, *more})
        total = 0
        for a, b in pairwise(points):
            # E = a + (b - a) sin^2 removes square roots at both ends
            def turned(x, a=a, b=b):
                E = a + (b - a) * np.sin(x) ** 2
                return function(E) * (b - a) * np.sin(2 * x)

            total = total + quad_vec(turned, 0, np.pi / 2, epsabs=1e-10, epsrel=1e-10, limit=4000)[0]
        return total

    def forces(self, omega):
        """K_ij^ab, (n, n, 3, 3)."""
        V = self.V

        def at(E):
            lesser = self.lesser(E)
            first = np.einsum("iapq,qr,jbrs,sp->ijab", V, self.green(E + omega), V, lesser, optimize=True)
            second = np.einsum("iapq,qr,jbrs,sp->ijab", V, lesser, V, self.green(E - omega).conj().T, optimize=True)
            return (first + second) / (2j * np.pi)

        low, high = self.edges[0], self.edges[-1]
        shifted = [e + s for e in self.edges for s in (omega, -omega) if low < e + s < high]
        return self._integral(at, shifted)

    def spin(self):
        """Tr[rho sigma] on each site, (n, 3)."""
        rho = self._integral(lambda E: self.lesser(E) / (2j * np.pi))
        n = len(self.H) // 2
        blocks = rho.reshape(n, 2, n, 2)[np.arange(n), :, np.arange(n), :]
        return np.einsum("apq,iqp->ia", SIGMA, blocks).real


def chain(m, J, mus, kT=0.0, couplings=(1.0, 1.0), hopping=1.0):
    """A chain of moments m (n, 3) with this hopping between two leads of hopping 1, filled to `mus`.

    Without bound states, which energies in the bands do not find: weak couplings, hopping and J.
    """
    n = len(m)
    H = np.kron(-hopping * (np.eye(n, k=1) + np.eye(n, k=-1)), np.eye(2)).astype(complex)
    for i in range(n):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] -= J * np.einsum("a,apq->pq", m[i], SIGMA)

    def sigmas(E):
        x = complex(E) / 2
        g = x - np.sqrt(x - 1) * np.sqrt(x + 1)
        if abs(E) < 2:
            g = complex(E / 2, -np.sqrt(1 - E * E / 4))
        out = np.zeros((2, 2 * n, 2 * n), complex)
        out[0, :2, :2] = couplings[0] ** 2 * g * np.eye(2)
        out[1, -2:, -2:] = couplings[1] ** 2 * g * np.eye(2)
        return out

    edges = [-2.0, 2.0, *mus] if not kT else [-2.0, 2.0, *mus, *(mu + k * kT for mu in mus for k in (-8, 8))]
    return Dense(H, np.full(n, J), sigmas, [(mu, kT) for mu in mus], edges)


def levels(energies, spin_orbit, J, m, gammas, fillings):
    """Levels on one moment m between wide bands: gammas, matrices Gamma_r (2k, 2k), filled by (mu, kT) each."""
    k = len(energies)
    H = np.kron(np.diag(energies), np.eye(2)).astype(complex)
    for n in range(k):
        for q in range(k):
            H[2 * q, 2 * n + 1] += spin_orbit[n][q]  # t_nq d_q,up^+ d_n,down
            H[2 * n + 1, 2 * q] += np.conj(spin_orbit[n][q])
        H[2 * n : 2 * n + 2, 2 * n : 2 * n + 2] -= J * np.einsum("a,apq->pq", m, SIGMA)
    edges = [-1e8, -1e5, -1e3, -30.0, -5.0, 5.0, 30.0, *(mu for mu, _ in fillings)]
    edges += [mu + s * kT for mu, kT in fillings for s in (-8, 8) if kT]
    return Dense(H, np.full(k, J), lambda _E: [-0.5j * g for g in gammas], fillings, edges)
