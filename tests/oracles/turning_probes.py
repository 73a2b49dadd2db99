"""A chain with elastic probes whose moments precess, exact in the frequency: dense matrices in the frame that turns.

A probe of width Gamma is filled by one function F(e) of the energy e in the laboratory, which is E + w/2 for spins
along the axis and E - w/2 for those against it at the energy E of the frame, such that at each e no net particle enters
it.  So F at energies that differ by w is coupled: e lies on a grid of spacing w, on which integrals of smooth functions
are sums with errors that vanish faster than any power of it.  Nothing is imported from the package.  kT > 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@dataclass(frozen=True)
class Turning:
    """m (n, 3) moments; J: of each site, (n,); couplings and mus of the two leads; where: sites of probes."""

    m: np.ndarray
    J: np.ndarray
    where: tuple
    width: float
    couplings: tuple = (1.0, 1.0)
    mus: tuple = (0.0, 0.0)
    reference: float = 0.0
    kT: float = 0.05

    def spin(self, axis, w):
        """Tr[rho sigma] less that of electrons at rest filled by the reference, (n, 3), at w > 0 about the axis."""
        n, a = len(self.m), np.asarray(axis, float) / np.linalg.norm(axis)
        U = np.linalg.eigh(np.einsum("a,apq->pq", a, SIGMA))[1][:, ::-1]  # along, against
        H = np.kron(-(np.eye(n, k=1) + np.eye(n, k=-1)), np.eye(2)).astype(complex)
        for i in range(n):
            here = slice(2 * i, 2 * i + 2)
            H[here, here] -= self.J[i] * U.conj().T @ np.einsum("a,apq->pq", self.m[i], SIGMA) @ U
        probes = np.ravel([[2 * p, 2 * p + 1] for p in self.where])
        H[probes, probes] -= 0.5j * self.width
        turned = H - w / 2 * np.kron(np.eye(n), np.diag([1.0, -1.0]))
        rho = self._reference(H, turned, w)
        # Energies in the laboratory e_k, and of the frame between them.
        count = int(36 * self.kT / w) + int(abs(np.subtract(*self.mus)) / w) + 1
        lab = self.reference + w * np.arange(-count, count + 1)
        E = (lab[1:] + lab[:-1]) / 2
        gammas = -2 * np.imag(self._sigmas(E, w, n))  # (2, k, 2 n), diagonal
        sigmas = self._sigmas(E, w, n).sum(0)
        G = np.array([np.linalg.inv(e * np.eye(2 * n) - turned - np.diag(s)) for e, s in zip(E, sigmas, strict=True)])
        through = abs(G) ** 2
        states = -2 * np.imag(np.einsum("kii->ki", G))
        F = self._filled(through, states, gammas, lab, E, w, n)
        at = np.stack([F[1:], F[:-1]], axis=2).reshape(len(E), -1)  # of each spin of each probe
        inside = sum(
            g * (self._at(E, w, n, mu) - self._f(E, self.reference)[:, None])
            for g, mu in zip(gammas, self.mus, strict=True)
        )
        inside[:, probes] += self.width * (at - self._f(E, self.reference)[:, None])
        rho = rho + w / (2 * np.pi) * np.einsum("kij,kj,klj->il", G, inside, G.conj())
        blocks = np.array([U @ rho[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] @ U.conj().T for i in range(n)])
        return np.einsum("apq,iqp->ia", SIGMA, blocks).real

    def _f(self, E, mu):
        return expit(-(E - mu) / self.kT)

    def _at(self, E, w, n, mu):
        """f at E + w/2 and at E - w/2 on all orbitals, (k, 2 n)."""
        return np.tile(np.stack([self._f(E + w / 2, mu), self._f(E - w / 2, mu)], axis=1), (1, n))

    def _sigmas(self, z, w, n):
        """Of both leads at energies z (k,), (2, k, 2 n), diagonal."""
        out = np.zeros((2, len(z), 2 * n), complex)
        for side, at in ((0, 0), (1, n - 1)):
            for s in (0, 1):
                x = np.asarray(z + (1 - 2 * s) * w / 2, complex) / 2
                real = (x.imag == 0) & (abs(x.real) < 1)
                g = np.where(
                    real, x - 1j * np.sqrt(1 - np.where(real, x.real, 0) ** 2), x - np.sqrt(x - 1) * np.sqrt(x + 1)
                )
                out[side, :, 2 * at + s] = self.couplings[side] ** 2 * g
        return out

    def _reference(self, H, turned, w, count=4000):
        """What filling all by the reference at E in the frame changes: a sum over Matsubara energies, and its tail."""
        n, total = len(self.m), 0
        y = np.pi * self.kT * (2 * np.arange(count) + 1)
        for of, shift, sign in ((turned, w, 1), (H, 0.0, -1)):
            z = self.reference + 1j * y
            sigmas = self._sigmas(z, shift, n).sum(0)
            G = np.linalg.inv(z[:, None, None] * np.eye(2 * n) - of - sigmas[:, :, None] * np.eye(2 * n))
            total = total + sign * self.kT * (G + np.conj(np.swapaxes(G, 1, 2))).sum(0)
        return total - (turned - H) / (np.pi * 2 * np.pi * self.kT * count)

    def _filled(self, through, states, gammas, lab, E, w, n):
        """F of each probe at energies of the laboratory, (len(lab), b)."""
        b, K = len(self.where), len(lab)
        rows, rhs = np.zeros((K, b, K, b)), np.zeros((K, b))
        for k in range(len(E)):
            for p, site in enumerate(self.where):
                for s in (0, 1):
                    i, here = 2 * site + s, k + 1 - s
                    entering = sum(
                        (g[k] * through[k, i] * self._at(E[k : k + 1], w, n, mu)[0]).sum()
                        for g, mu in zip(gammas, self.mus, strict=True)
                    )
                    rhs[here, p] += entering
                    rows[here, p, here, p] += states[k, i]
                    for q, other in enumerate(self.where):
                        for r in (0, 1):
                            rows[here, p, k + 1 - r, q] -= self.width * through[k, i, 2 * other + r]
        for end in (0, K - 1):  # all are filled alike there
            rows[end] = 0.0
            for p in range(b):
                rows[end, p, end, p] = 1.0
            rhs[end] = self._f(lab[end], self.reference)
        return np.linalg.solve(rows.reshape(K * b, K * b), rhs.ravel()).reshape(K, b)
