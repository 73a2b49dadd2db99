"""Dense Green's functions between leads out of equilibrium: full matrices, real energies, brute-force quadrature.

Slow and literal on purpose, and nothing is imported from the package.  G< to first order in the motion is written down
as it comes out of the Wigner transform of G Sigma< G^+, with the derivatives of Sigma< in it (at kT = 0: its steps),

    G<_1 = G1 S G^+ + G S G1^+ + (i/2) [-Gd S' G^+ + (G' S + G S') Gd^+ - Gd S G'^+],   G1 = (i/2)(G' Hd G - G Hd G'),

Gd = G Hd G, for S = i sum_l (f_l - f_ref) Gamma_l; electrons in equilibrium with f_ref come on top, by a path above the
real axis and by df/dE on it.  Derivatives of self-energies are finite differences.  Errors are about 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.special import expit

from tests.oracles.electrons_dense import SIGMA, chain_end, fermi_path, hermitian_imaginary
from tests.oracles.lattice_dense import integrate, ring_or_line


@dataclass(frozen=True)
class Reservoir:
    """A lead: hopping to the device, shift of its levels, chemical potential and temperature of its electrons."""

    coupling: float = 1.0
    shift: float = 0.0
    mu: float = 0.0
    kT: float = 0.0

    def f(self, energy):
        x = np.asarray(energy, float) - self.mu
        return expit(-x / self.kT) if self.kT else np.heaviside(-x, 0.5)

    def slope(self, energy):
        f = self.f(energy)
        return -f * (1 - f) / self.kT if self.kT else 0 * f


@dataclass(frozen=True)
class Biased:
    """nx x ny sites (chain: ny = 1) between `left` and `right`, filled as by `reference`; hopping 1, hard walls."""

    m: np.ndarray  # (nx, ny, 3)
    mdot: np.ndarray
    potential: np.ndarray  # (nx, ny)
    potential_rate: np.ndarray
    exchange: float
    left: Reservoir
    right: Reservoir
    reference: Reservoir
    onsite: float = 0.0

    @property
    def shape(self):
        return self.m.shape[:2]

    @property
    def size(self):
        return 2 * self.m.shape[0] * self.m.shape[1]

    def _local(self, vectors, scalars):
        vectors, scalars = vectors.reshape(-1, 3), scalars.ravel()
        out = np.zeros((self.size, self.size), complex)
        for i, (v, u) in enumerate(zip(vectors, scalars, strict=True)):
            sigma = sum(c * s for c, s in zip(v, SIGMA[1:], strict=True))
            out[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = u * SIGMA[0] - self.exchange * sigma
        return out

    @property
    def H(self):
        nx, ny = self.shape
        along_x = -(np.eye(nx, k=1) + np.eye(nx, k=-1))
        bonds = np.kron(along_x, np.eye(ny)) + np.kron(np.eye(nx), ring_or_line(ny, 1.0, False))
        return self._local(self.m, self.potential + self.onsite) + np.kron(bonds, SIGMA[0])

    @property
    def Hd(self):
        return self._local(self.mdot, self.potential_rate)

    @property
    def transverse(self):
        return np.linalg.eigh(ring_or_line(self.shape[1], 1.0, False) + self.onsite * np.eye(self.shape[1]))

    def sigmas(self, energy):
        """[Sigma_left, Sigma_right] at energies (k,): (k, size, size) each."""
        energies, vectors = self.transverse
        width = 2 * self.shape[1]
        out = []
        for lead, part in ((self.left, slice(0, width)), (self.right, slice(self.size - width, None))):
            g = chain_end(np.asarray(energy)[:, None] - energies - lead.shift)
            matrix = np.einsum("ya,ka,za->kyz", vectors, lead.coupling**2 * g, vectors)
            full = np.zeros((len(g), self.size, self.size), complex)
            full[:, part, part] = np.kron(matrix, SIGMA[0]).reshape(len(g), width, width)
            out.append(full)
        return out

    def green(self, energy):
        energy = np.atleast_1d(np.asarray(energy))
        left, right = self.sigmas(energy)
        return np.linalg.inv(energy[:, None, None] * np.eye(self.size) - self.H - left - right)

    def everything(self, energy):
        """G, dG/dE, [Gamma], [dGamma/dE] at real energies; derivatives of Sigma in the variable of each mode."""
        energy = np.atleast_1d(np.asarray(energy, float))
        G = self.green(energy)
        sigma = self.sigmas(energy)
        slopes = self.slopes(energy)
        dG = -G @ (np.eye(self.size) - slopes[0] - slopes[1]) @ G
        gammas, d_gammas = ([1j * (s - dagger(s)) for s in part] for part in (sigma, slopes))
        return G, dG, gammas, d_gammas

    def slopes(self, energy, step=1e-3):
        """dSigma/dE by differences of fourth order of a smooth function: Sigma as a function of the lead's phase."""
        energies, vectors = self.transverse
        width = 2 * self.shape[1]
        out = []
        for lead, part in ((self.left, slice(0, width)), (self.right, slice(self.size - width, None))):
            x = (np.asarray(energy, float)[:, None] - energies - lead.shift) / 2
            # Phase of the wave, g = exp(-i phase): real in the band, decaying into the lead outside.
            phase = np.arccos(x.clip(-1, 1)) - 1j * np.arccosh(abs(x).clip(min=1))

            def end(p):
                return np.exp(-1j * p)

            d = (8 * (end(phase + step) - end(phase - step)) - (end(phase + 2 * step) - end(phase - 2 * step))) / (
                12 * step
            )
            sine = np.sin(phase)
            dg = np.where(sine == 0, 0.0, lead.coupling**2 * d / np.where(sine == 0, 1.0, -2 * sine))
            matrix = np.einsum("ya,ka,za->kyz", vectors, dg, vectors)
            full = np.zeros((len(matrix), self.size, self.size), complex)
            full[:, part, part] = np.kron(matrix, SIGMA[0]).reshape(len(matrix), width, width)
            out.append(full)
        return out

    # --- integrals ------------------------------------------------------------------------------------

    @property
    def edges(self):
        """Energies at which a mode of a connected lead opens or closes."""
        energies, _ = self.transverse
        found = [e + lead.shift + s for lead in self.leads for e in energies for s in (-2.0, 2.0) if lead.coupling]
        return sorted(found)

    @property
    def leads(self):
        return self.left, self.right

    def over(self, function, extra=(), error=1e-10):
        """int function(E) dE over the bands and the energies at which any occupation varies."""
        if not self.edges:
            return 0.0
        steps = [one.mu + k * one.kT for one in (*self.leads, self.reference) for k in (-36, -12, -4, 0, 4, 12, 36)]
        low, high = max(min(steps), self.edges[0]), min(max(steps), self.edges[-1])
        if low >= high:
            return 0.0
        points = [low, high, *(e for e in (*self.edges, *steps, *extra, *self.peaks) if low < e < high)]
        points = sorted(set(points))
        points = [p for k, p in enumerate(points) if k == 0 or p - points[k - 1] > 1e-12]
        return sum(integrate(function, a, b, error) for a, b in pairwise(points))

    @property
    def peaks(self):
        """Where levels may be narrow."""
        found = []
        for middle in np.linspace(self.edges[0], self.edges[-1], 13):
            left, right = self.sigmas(np.array([middle]))
            values = np.linalg.eigvals(self.H + (left + right)[0])
            near = values[abs(values.real - middle) < 1.0]
            found += [e.real + k * e.imag for e in near for k in (-10, 0, 10) if abs(e.imag) < 0.1]
        return found

    def equilibrium(self, F):
        """-(1/pi) int f_ref Im F."""
        below = -8 - abs(self.exchange) - abs(self.potential).max() - abs(self.onsite)
        below -= max(abs(lead.shift) + 2 * lead.coupling for lead in self.leads)
        z, w = fermi_path(below, self.reference.mu, self.reference.kT)
        total = sum(
            np.tensordot(w[part], F(z[part]), 1)
            for part in np.array_split(np.arange(len(z)), 1 + len(z) * self.size // 4000)
        )
        return -hermitian_imaginary(total) / np.pi

    def parts(self):
        """{name: (nx, ny, 4)} of rho by origin."""
        Hd, one = self.Hd, np.eye(self.size)

        def G1(z):
            G = self.green(z)
            step = 1e-4 * z.imag.clip(min=1e-12)[:, None, None]
            # dG/dz along the imaginary axis
            h = 1j * step[:, 0, 0]
            dG = (8 * (self.green(z + h) - self.green(z - h)) - (self.green(z + 2 * h) - self.green(z - 2 * h))) / (
                12j * step
            )
            return 0.5j * (dG @ Hd @ G - G @ Hd @ dG)

        ref = self.reference

        def surface(energy):
            G = self.green(energy)
            terms = (dagger(G) @ Hd @ dagger(G) + G @ Hd @ G) / 2 - G @ Hd @ dagger(G)
            return ref.slope(energy)[:, None, None] * terms

        if ref.kT:
            surf = self.over(surface) / (2 * np.pi)
        else:
            G = self.green(ref.mu)[0]
            surf = -((dagger(G) @ Hd @ dagger(G) + G @ Hd @ G) / 2 - G @ Hd @ dagger(G)) / (2 * np.pi)
        assert one is not None
        parts = {
            "adiabatic": self.equilibrium(self.green),
            "sea": self.equilibrium(G1),
            "surface": surf + 0 * one,
            "bias": self.bias(),
            "bias_motion": self.bias_motion(),
        }
        return {name: self.traced(value) for name, value in parts.items()}

    def bias(self):
        def window(energy):
            G, _, gammas, _ = self.everything(energy)
            S = sum(
                (lead.f(energy) - self.reference.f(energy))[:, None, None] * g
                for lead, g in zip(self.leads, gammas, strict=True)
            )
            return G @ S @ dagger(G)

        return self.over(window) / (2 * np.pi) + np.zeros((self.size, self.size))

    def bias_motion(self):
        Hd = self.Hd

        def lesser(energy, S, dS, with_G1=True):
            G, dG, _, _ = self.everything(energy)
            Gd = G @ Hd @ G
            first = 0.5j * (dG @ Hd @ G - G @ Hd @ dG) @ S @ dagger(G) if with_G1 else 0.0
            rest = -Gd @ dS @ dagger(G) + (dG @ S + G @ dS) @ dagger(Gd) - Gd @ S @ dagger(dG)
            return first + (G @ S @ dagger(first_of(G, dG, Hd)) if with_G1 else 0.0) + 0.5j * rest

        def first_of(G, dG, Hd):
            return 0.5j * (dG @ Hd @ G - G @ Hd @ dG)

        def window(energy):
            _, _, gammas, d_gammas = self.everything(energy)
            S = dS = 0.0
            for lead, g, dg in zip(self.leads, gammas, d_gammas, strict=True):
                df = (lead.f(energy) - self.reference.f(energy))[:, None, None]
                slope = (lead.slope(energy) - self.reference.slope(energy))[:, None, None]
                S, dS = S + 1j * df * g, dS + 1j * (slope * g + df * dg)
            return lesser(energy, S, dS) / 1j

        total = self.over(window) / (2 * np.pi) + np.zeros((self.size, self.size), complex)
        # At kT = 0 the derivative of a Fermi function is minus a delta function at its step.
        for k, lead in enumerate(self.leads):
            for one, sign in ((lead, -1.0), (self.reference, 1.0)):
                if one.kT == 0 and self.edges and self.edges[0] < one.mu < self.edges[-1]:
                    energy = np.array([one.mu])
                    gamma = self.everything(energy)[2][k]
                    none = np.zeros_like(gamma)
                    total += (lesser(energy, none, 1j * sign * gamma) / 1j)[0] / (2 * np.pi)
        return total

    def into_leads(self):
        """Order 0: particles (2,), spin (2, 3) and energy (2,) per time into the leads, by Landauer's formula."""
        width = 2 * self.shape[1]
        ends = slice(0, width), slice(self.size - width, None)

        def window(energy):
            G, _, gammas, _ = self.everything(energy)
            out = np.zeros((len(energy), 2, 5))
            for p in range(2):
                filled = G @ gammas[p] @ dagger(G)
                for q in range(2):
                    df = self.leads[p].f(energy) - self.leads[q].f(energy)
                    M = (gammas[q] @ filled)[:, ends[q], ends[q]].reshape(len(energy), width // 2, 2, width // 2, 2)
                    t = np.array([np.einsum("kyayb,ba->k", M, s).real for s in SIGMA]).T
                    out[:, q, :4] += df[:, None] * t
                    out[:, q, 4] += df * (energy - self.leads[q].shift) * t[:, 0]
            return out

        found = self.over(window) / (2 * np.pi) + np.zeros((2, 5))
        return found[:, 0], found[:, 1:4] / 2, found[:, 4]

    def traced(self, matrix):
        nx, ny = self.shape
        n = nx * ny
        blocks = np.array([matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] for i in range(n)])
        return np.einsum("iab,cba->ic", blocks, SIGMA).real.reshape(nx, ny, 4)


def dagger(a):
    return np.conj(np.swapaxes(a, -1, -2))


__all__ = ["Biased", "Reservoir", "replace"]
