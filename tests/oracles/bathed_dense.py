"""Dense Green's functions with baths on sites: full matrices, probes by a linear solve, brute-force quadrature.

Nothing is imported from the package.  In equilibrium the density is a sum over Matsubara energies (kT = 0: an integral)
up the imaginary axis, which needs no band and no bound on the spectrum:

    rho = 1/2 + kT sum_n [G(mu + i y_n) + h.c.],     y_n = pi kT (2 n + 1);

above some y the sum is an integral (Euler and Maclaurin's midpoint rule).  At real energies the probes' occupations
solve their equations of zero current as they stand.  Errors are about 1e-10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.oracles.biased_dense import Biased, dagger
from tests.oracles.electrons_dense import SIGMA


@dataclass(frozen=True)
class Bathed(Biased):
    """`Biased` with self-energies -i width/2 on the sites `where` (flat indices x ny + y)."""

    where: tuple[int, ...] = ()
    width: float = 0.1
    zero_current: bool = True

    @property
    def of_bath(self):
        """Gamma of each site of the bath, (size, size) each."""
        found = []
        for site in self.where:
            gamma = np.zeros((self.size, self.size), complex)
            gamma[2 * site, 2 * site] = gamma[2 * site + 1, 2 * site + 1] = self.width
            found.append(gamma)
        return found

    @property
    def H(self):
        """Of the device and, not Hermitian, the bath."""
        return super().H - 0.5j * sum(self.of_bath)

    @property
    def peaks(self):
        """Where levels may be narrow, beyond the bands as well."""
        low, high = self.range
        found = []
        for middle in np.linspace(low, high, 4):
            left, right = self.sigmas(np.array([middle]))
            values = np.linalg.eigvals(self.H + (left + right)[0])
            found += [e.real + k * e.imag for e in values for k in (-10, 0, 10) if abs(e.imag) < 0.03]
        return found

    @property
    def range(self):
        steps = [one.mu + k * one.kT for one in (*self.leads, self.reference) for k in (-36, 36)]
        return min(steps), max(steps)

    @property
    def edges(self):
        """Those of the leads' modes, and beyond, where the bath has states."""
        return sorted([*super().edges, self.range[0] - 1, self.range[1] + 1])

    # --- equilibrium ----------------------------------------------------------------------------------

    def equilibrium(self, F=None):
        """-(1/pi) int f_ref Im F of F = G, or of another one that falls off faster."""
        mu, kT = self.reference.mu, self.reference.kT
        # Bound methods are equal where they are the same one of the same object.
        half = 0.5 * np.eye(self.size) * (F is None or self.green == F)
        F = F or self.green

        def g(y):
            G = F(mu + 1j * np.atleast_1d(y))
            return G + dagger(G)

        x, w = np.polynomial.legendre.leggauss(40)
        if kT == 0:
            # Panels that shrink towards mu, where a lead may open, and one beyond to infinity.
            edges = np.concatenate([[0.0], 2.0 ** np.arange(-45.0, 8.0)])
            middle, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
            total = sum(
                np.tensordot(h * w, g(m + h * x), 1) for m, h in zip(middle, halves, strict=True)
            ) + self._beyond(g, edges[-1])
            return half + total / (2 * np.pi)
        step, n = 2 * np.pi * kT, max(20, int(150 / (2 * np.pi * kT)))
        total = sum(g(step * (k + 0.5)).sum(axis=0) for k in np.array_split(np.arange(n), 1 + n // 500))
        end = n * step
        slope = (g(end + 0.01 * end) - g(end - 0.01 * end))[0] / (0.02 * end)
        return half + kT * total + (self._beyond(g, end) + step**2 / 24 * slope) / (2 * np.pi)

    @staticmethod
    def _beyond(g, start):
        """int_start^inf g(y) dy, y = start/u."""
        x, w = np.polynomial.legendre.leggauss(40)
        u = (1 + x) / 2
        return np.tensordot(w / 2 * start / u**2, g(start / u), 1)

    # --- what is driven -------------------------------------------------------------------------------

    def shares(self, energy, G, gammas):
        """w_pl (k, b, 2): f_p - f_ref = sum_l w_pl (f_l - f_ref)."""
        k, b = len(energy), len(self.where)
        shares = np.zeros((k, b, 2))
        if not self.zero_current:
            return shares
        baths = self.of_bath

        def transmission(into, out_of):
            return np.einsum("ab,kbc,kcd,kad->k", into, G, out_of, G.conj()).real

        T = np.array([[transmission(p, np.broadcast_to(q, G.shape)) for q in baths] for p in baths])
        T_leads = np.array([[transmission(p, gamma) for gamma in gammas] for p in baths])
        for i in range(k):
            if not any(gamma[i].any() for gamma in gammas):
                continue
            M = np.diag(T[:, :, i].sum(axis=1) + T_leads[:, :, i].sum(axis=1)) - T[:, :, i]
            shares[i] = np.linalg.solve(M, T_leads[:, :, i])
        return shares

    def less(self, energy):
        """G, A, [Gamma], f_p - f_ref (k, b), and the part of G^n that is not f_ref A at real energies."""
        G, _, gammas, _ = self.everything(energy)
        df = np.array([lead.f(energy) - self.reference.f(energy) for lead in self.leads])
        of_probes = np.einsum("kpl,lk->kp", self.shares(energy, G, gammas), df)
        S = sum(f[:, None, None] * g for f, g in zip(df, gammas, strict=True))
        S = S + sum(of_probes[:, p, None, None] * gamma for p, gamma in enumerate(self.of_bath))
        return G, 1j * (G - dagger(G)), gammas, of_probes, G @ S @ dagger(G)

    def _flow(self, gamma, filled):
        """Tr[sigma gamma filled], (k, 4), on the orbitals of gamma."""
        n = self.size // 2
        M = np.matmul(gamma, filled).reshape(-1, n, 2, n, 2)
        return np.array([np.einsum("kyayb,ba->k", M, s).real for s in SIGMA]).T

    def driven(self):
        """(n, 4) density; particles (2,), spin (2, 3), energy (2,) into leads; particles, spin into baths."""
        sites = [2 * np.arange(self.size // 2) + s for s in range(2)]

        def window(energy):
            _, A, gammas, of_probes, less = self.less(energy)
            blocks = np.array([[less[:, a, b] for b in sites] for a in sites])
            density = np.einsum("abki,cba->kic", blocks, SIGMA).real
            leads = np.zeros((len(energy), 2, 5))
            for q, (lead, gamma) in enumerate(zip(self.leads, gammas, strict=True)):
                df = (lead.f(energy) - self.reference.f(energy))[:, None, None]
                leads[:, q, :4] = self._flow(gamma, less - df * A)
                leads[:, q, 4] = (energy - lead.shift) * leads[:, q, 0]
            baths = [self._flow(gamma, less - of_probes[:, p, None, None] * A) for p, gamma in enumerate(self.of_bath)]
            every = density, leads, np.stack(baths, axis=1)
            return np.concatenate([one.reshape(len(energy), one[0].size) for one in every], axis=1)

        n, b = self.size // 2, len(self.where)
        found = self.over(window) / (2 * np.pi) + np.zeros(4 * n + 10 + 4 * b)
        density, leads, baths = np.split(found, [4 * n, 4 * n + 10])
        leads, baths = leads.reshape(2, 5), baths.reshape(b, 4)
        return (
            density.reshape(*self.shape, 4), leads[:, 0], leads[:, 1:4] / 2, leads[:, 4], baths[:, 0], baths[:, 1:] / 2
        )  # fmt: skip

    def pumped(self):
        """To first order: (n, 4) density that probes add, and what flows into the bath, (b, 4)."""
        Hd, baths = self.Hd, self.of_bath
        sites = [2 * np.arange(self.size // 2) + s for s in range(2)]

        def at(energy):
            G, _, gammas, _ = self.everything(energy)
            A = 1j * (G - dagger(G))
            inward = np.stack([self._flow(p, G @ Hd @ dagger(G)) for p in baths], axis=1)
            density = np.zeros_like(G)
            if self.zero_current:
                T = np.array([[np.einsum("ab,kbc,cd,kad->k", p, G, q, G.conj()).real for q in baths] for p in baths])
                out = np.array(
                    [[np.einsum("ab,kbc,kcd,kad->k", p, G, q, G.conj()).real for q in gammas] for p in baths]
                )
                for i in range(len(G)):
                    M = np.diag(T[:, :, i].sum(axis=1) + out[:, :, i].sum(axis=1)) - T[:, :, i]
                    u = np.linalg.solve(M, inward[i, :, 0])
                    extra = G[i] @ sum(x * q for x, q in zip(u, baths, strict=True)) @ dagger(G[i])
                    density[i] = extra
                    for k, (x, p) in enumerate(zip(u, baths, strict=True)):
                        inward[i, k] += self._flow(p, (extra - x * A[i])[None])[0]
            blocks = np.array([[density[:, a, b] for b in sites] for a in sites])
            traces = np.einsum("abki,cba->kic", blocks, SIGMA).real
            return np.concatenate([traces.reshape(len(G), -1), inward.reshape(len(G), -1)], axis=1)

        ref = self.reference
        if ref.kT:
            found = self.over(lambda e: -ref.slope(e)[:, None] * at(e)) / (2 * np.pi)
        else:
            found = at(np.array([ref.mu]))[0] / (2 * np.pi)
        n = 4 * (self.size // 2)
        return found[:n].reshape(*self.shape, 4), found[n:].reshape(-1, 4)

    def transmission(self, energy):
        """Effective transmission from left to right at one energy, summed over spins."""
        G, _, (left, right), _ = self.everything(np.array([energy]))
        shares = self.shares(np.array([energy]), G, (left, right))[0]
        direct = np.einsum("ab,bc,cd,ad->", right[0], G[0], left[0], G[0].conj()).real
        return direct + sum(
            np.einsum("ab,bc,cd,ad->", right[0], G[0], gamma, G[0].conj()).real * shares[p, 0]
            for p, gamma in enumerate(self.of_bath)
        )


__all__ = ["Bathed"]
