"""Dense Green's functions of the open wire: full matrices, numerical leads, brute-force quadrature.

Slow and literal on purpose.  Nothing is imported from the package: the leads come from the quadratic equation
g = 1/(E - t^2 g) of a semi-infinite chain, the Fermi function is integrated around its Matsubara poles on a
rectangular path (kT > 0) or down a graded path that ends at E_F (kT = 0), df/dE by adaptive quadrature on the real
axis.  Errors are about 1e-11.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.integrate import quad_vec
from scipy.optimize import newton
from scipy.special import expit

SIGMA = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


def chain_end(energy, hopping=1.0):
    """Retarded g of the last site of a semi-infinite chain, solving hopping^2 g^2 - E g + 1 = 0, Im E >= 0."""
    energy = np.asarray(energy, complex)
    root = np.sqrt(energy**2 - 4 * hopping**2)
    pair = np.stack([energy + root, energy - root]) / (2 * hopping**2)
    # Decaying into the lead; both roots have |t g| = 1 in the band, where the retarded one has Im g < 0.
    decaying = np.where(abs(pair[0]) < abs(pair[1]), pair[0], pair[1])
    retarded = np.where(pair[0].imag < pair[1].imag, pair[0], pair[1])
    on_circle = abs(abs(pair[0]) - abs(pair[1])) < 1e-7 * abs(pair[0])
    return np.where(on_circle, retarded, decaying)


def decimated_chain_end(energy, hopping=1.0, steps=60):
    """The same by decimation (Lopez Sancho et al., J. Phys. F 15, 851 (1985)); Im E > 0."""
    end = bulk = complex(energy)
    link = hopping
    for _ in range(steps):
        end, bulk, link = end - link**2 / bulk, bulk - 2 * link**2 / bulk, link**2 / bulk
    return 1 / end


def hermitian_imaginary(matrix):
    """Im A = (A - A^+)/2i."""
    return (matrix - np.conj(np.swapaxes(matrix, -1, -2))) / 2j


def traced(matrix):
    """(n, 4): trace of each diagonal 2 x 2 block with 1, sigma_x, sigma_y, sigma_z."""
    n = len(matrix) // 2
    blocks = np.array([matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] for i in range(n)])
    return np.einsum("iab,cba->ic", blocks, SIGMA).real


def panels(edges, order):
    """Composite Gauss-Legendre nodes and weights on straight (complex) panels."""
    x, w = np.polynomial.legendre.leggauss(order)
    edges = np.asarray(edges)
    half = np.diff(edges) / 2
    return ((edges[:-1] + half)[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


def fermi_path(low, mu, kT):
    """z_k, w_k with int f F dE = sum w_k F(z_k) for F analytic in Im z > 0; `low` is below the spectrum and mu."""
    if kT == 0:
        height = 1.0
        across = np.linspace(low, mu, 2 + int(2 * (mu - low))) + 1j * height
        down = mu + 1j * height * np.concatenate([0.5 ** np.arange(50), [0.0]])
        up = low + 1j * np.linspace(0, height, 5)
        pieces = [panels(up, 12), panels(across, 16), panels(down, 12)]
        return tuple(np.concatenate(part) for part in zip(*pieces, strict=True))
    low = min(low, mu - 45 * kT)
    n_poles = max(1, round(0.5 / (2 * np.pi * kT)))
    height = 2 * np.pi * kT * n_poles
    smooth = np.linspace(low, mu - 40 * kT, 2 + int(2 * (mu - 40 * kT - low) / min(height, 1.0)))
    across = np.concatenate([smooth, mu + kT * np.linspace(-40, 40, 41)[1:]]) + 1j * height
    z, w = panels(low + 1j * np.linspace(0, height, 5), 12)
    zz, ww = panels(across, 16)
    ww = ww * expit(-(zz.real - mu) / kT)  # f has the period 2 pi i kT
    matsubara = mu + 1j * np.pi * kT * (2 * np.arange(n_poles) + 1)
    return np.concatenate([z, zz, matsubara]), np.concatenate([w, ww, np.full(n_poles, -2j * np.pi * kT)])


@dataclass(frozen=True)
class Wire:
    """n sites, all arrays explicit; couplings = (left, right)."""

    m: np.ndarray
    mdot: np.ndarray
    potential: np.ndarray
    potential_rate: np.ndarray
    exchange: float
    couplings: tuple = (1.0, 1.0)
    hopping: float = 1.0
    onsite: float = 0.0
    fermi_energy: float = 0.0
    temperature: float = 0.0

    @property
    def n(self):
        return len(self.m)

    def _local(self, vectors, scalars):
        out = np.zeros((2 * self.n, 2 * self.n), complex)
        for i in range(self.n):
            block = scalars[i] * SIGMA[0] - self.exchange * sum(
                v * s for v, s in zip(vectors[i], SIGMA[1:], strict=True)
            )
            out[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = block
        return out

    @property
    def H(self):
        chain = -self.hopping * (np.eye(self.n, k=1) + np.eye(self.n, k=-1))
        return self._local(self.m, self.potential + self.onsite) + np.kron(chain, SIGMA[0])

    @property
    def Hd(self):
        return self._local(self.mdot, self.potential_rate)

    def lead(self, side, energy):
        """Sigma and dSigma/dE of one lead, scalars."""
        g = chain_end(np.asarray(energy) - self.onsite, self.hopping)
        # g = 1/(E - t^2 g), differentiated.
        with np.errstate(divide="ignore", invalid="ignore"):
            dg = -(g**2) / (1 - (self.hopping * g) ** 2)
        return self.couplings[side] ** 2 * g, self.couplings[side] ** 2 * dg

    def at_ends(self, left, right):
        """(ne, 2n, 2n) with the 2 x 2 blocks left, right (ne, 2, 2) on the end sites (added for n = 1)."""
        out = np.zeros((len(left), 2 * self.n, 2 * self.n), complex)
        out[:, :2, :2] += left
        out[:, -2:, -2:] += right
        return out

    def self_energies(self, energy):
        """[Sigma_left, Sigma_right] (ne, 2n, 2n) and the sum of their derivatives."""
        (left, d_left), (right, d_right) = (self.lead(side, energy) for side in (0, 1))
        none = np.zeros((len(left), 2, 2))
        spin = [x[:, None, None] * SIGMA[0] for x in (left, right, d_left, d_right)]
        return [self.at_ends(spin[0], none), self.at_ends(none, spin[1])], self.at_ends(spin[2], spin[3])

    def green(self, energy):
        energy = np.atleast_1d(np.asarray(energy, complex))
        (left, right), derivative = self.self_energies(energy)
        one = np.eye(2 * self.n)
        G = np.linalg.inv(energy[:, None, None] * one - self.H - left - right)
        gammas = [1j * (s - np.conj(np.swapaxes(s, 1, 2))) for s in (left, right)]
        return G, gammas, derivative

    @property
    def below(self):
        """An energy below the spectrum of the infinite system."""
        return (
            self.onsite
            - 3 * self.hopping
            - 2 * max(*self.couplings)
            - abs(self.exchange) * 1.8
            - 1
            - abs(self.potential).max()
        )

    # --- integrals ----------------------------------------------------------------------------------------------

    def fermi_sea(self, F, mu=None, low=None):
        """-(1/pi) int f Im F(E) dE, (2n, 2n)."""
        mu = self.fermi_energy if mu is None else mu
        below = self.below if low is None else low
        z, w = fermi_path(min(below, mu - 1), mu, self.temperature)
        total = 0
        for part in np.array_split(np.arange(len(z)), 1 + len(z) * self.n // 4000):
            total = total + np.tensordot(w[part], F(z[part]), 1)
        return -hermitian_imaginary(total) / np.pi

    def fermi_surface(self, S):
        """int f' S(E) dE over the lead band, (2n, 2n); S at scalar energies."""
        mu, kT = self.fermi_energy, self.temperature
        band = self.onsite - 2 * self.hopping, self.onsite + 2 * self.hopping
        if not any(self.couplings):
            return np.zeros((2 * self.n, 2 * self.n), complex)
        if kT == 0:
            return -S(mu) if band[0] < mu < band[1] else np.zeros((2 * self.n, 2 * self.n), complex)

        a, b = max(band[0], mu - 40 * kT), min(band[1], mu + 40 * kT)
        if a >= b:
            return np.zeros((2 * self.n, 2 * self.n), complex)

        def k_of(energy):
            return np.arccos(np.clip((self.onsite - energy) / (2 * self.hopping), -1, 1))

        def integrand(k):
            energy = self.onsite - 2 * self.hopping * np.cos(k)
            return self.slope(energy) * 2 * self.hopping * np.sin(k) * S(energy)

        # Levels of the detached wire shifted by the leads: where narrow resonances may hide.
        levels = np.linalg.eigvals(self.H + sum(self.self_energies(np.array([(a + b) / 2]))[0])[0])
        points = [mu + c * kT for c in (-10, -3, 0, 3, 10)]
        points += [level.real + c * level.imag for level in levels for c in (-30, -5, 0, 5, 30)]
        points = np.unique(k_of(np.array([p for p in points if a < p < b])))
        value, *_ = quad_vec(
            integrand,
            k_of(a),
            k_of(b),
            epsabs=2e-12,
            epsrel=0,
            norm="max",
            points=points,
            limit=40000,
            quadrature="gk21",
        )
        return value

    # --- section 2: any slow motion -----------------------------------------------------------------------------

    def adiabatic(self):
        return traced(self.fermi_sea(lambda z: self.green(z)[0]))

    def sea(self):
        def G1(z):
            G, _, dSigma = self.green(z)
            B = np.eye(2 * self.n) - dSigma
            return -0.5j * (G @ B @ G @ self.Hd @ G - G @ self.Hd @ G @ B @ G)

        return traced(self.fermi_sea(G1))

    def surface(self):
        Hd = self.Hd

        def three_terms(energy):
            G = self.green(energy)[0][0]
            Gd = G.conj().T
            return (Gd @ Hd @ Gd + G @ Hd @ G) / 2 - G @ Hd @ Gd

        total = self.fermi_surface(three_terms) / (2 * np.pi)
        for energy, P, R in self.bound_levels():
            # What the three terms become for a level of vanishing width, without the change of its population.
            total = total + self.slope(energy) * hermitian_imaginary(R @ Hd @ P)
        return traced(total)

    def slope(self, energy):
        """df/dE."""
        x = (energy - self.fermi_energy) / self.temperature
        return -expit(x) * expit(-x) / self.temperature

    def bound_levels(self, n_lead=120):
        """(E, projector P, regular part R of G at E) of discrete levels of an open wire, by circles around the poles.

        A long finite chain says where they are.
        """
        reach = 40 * self.temperature
        inside = abs(self.fermi_energy - self.onsite) + reach <= 2 * self.hopping
        if self.temperature == 0 or not any(self.couplings) or inside:
            return []
        size = self.n + 2 * n_lead
        bonds = np.full(size - 1, -self.hopping)
        bonds[n_lead - 1], bonds[n_lead + self.n - 1] = -self.couplings[0], -self.couplings[1]
        far = np.kron(np.diag(bonds, 1), SIGMA[0])
        far = far + far.conj().T + self.onsite * np.eye(2 * size)
        a = slice(2 * n_lead, 2 * (n_lead + self.n))
        far[a, a] = self.H
        energies = np.linalg.eigvalsh(far)
        outside = abs(energies - self.onsite) > 2 * self.hopping * (1 + 1e-5)
        reach = abs(energies - self.fermi_energy) < 40 * self.temperature

        def nearest_zero(energy):
            values = np.linalg.eigvalsh(energy * np.eye(2 * self.n) - self.H - sum(self.self_energies([energy])[0])[0])
            return values[np.argmin(abs(values))]

        found = []
        for guess in energies[outside & reach]:
            energy = newton(nearest_zero, guess, tol=1e-15, maxiter=100, rtol=1e-14)
            if not any(abs(energy - e) < 1e-9 for e, *_ in found):
                found.append((energy,))
        for k, (energy,) in enumerate(found):
            others = [e for e in energies[outside] if abs(e - energy) > 1e-7]
            edges = [self.onsite + s * 2 * self.hopping for s in (-1, 1)]
            radius = 0.5 * min(abs(energy - e) for e in others + edges)
            turn = radius * np.exp(2j * np.pi * (np.arange(128) + 0.5) / 128)
            G = self.green(energy + turn)[0]
            found[k] = energy, (turn[:, None, None] * G).mean(0), G.mean(0)
        return found

    def parts(self):
        return {"adiabatic": self.adiabatic(), "sea": self.sea(), "surface": self.surface()}

    # --- Bajpai and Nikolic: rigid precession -------------------------------------------------------------------

    def generator(self, axis, frequency):
        axis = np.asarray(axis, float) / np.linalg.norm(axis)
        return np.kron(np.eye(self.n), frequency / 2 * np.tensordot(axis, SIGMA[1:], 1))

    def precession_parts(self, axis, frequency):
        K = self.generator(axis, frequency)

        def geometric(z):
            G = self.green(z)[0]
            return G @ K @ G

        def lead(z):
            G, _, dSigma = self.green(z)
            return G @ K @ dSigma @ G

        def surface(energy):
            G, gammas, _ = self.green(energy)
            return G[0] @ K @ sum(gammas)[0] @ G[0].conj().T

        return {
            "geometric": -traced(self.fermi_sea(geometric)),
            "sea": traced(self.fermi_sea(lead)),
            "surface": traced(self.fermi_surface(surface) / (2 * np.pi)),
        }

    def rotating_green(self, energy, axis, frequency):
        """G of the frame that turns, and Gamma of the two spin populations along the axis (up, down)."""
        energy = np.atleast_1d(np.asarray(energy, complex))
        axis = np.asarray(axis, float) / np.linalg.norm(axis)
        s = np.tensordot(axis, SIGMA[1:], 1)
        spins = [((SIGMA[0] + s) / 2, frequency / 2), ((SIGMA[0] - s) / 2, -frequency / 2)]
        per_spin = [
            self.at_ends(*(self.lead(side, energy + shift)[0][:, None, None] * P for side in (0, 1)))
            for P, shift in spins
        ]
        H = self.H - self.generator(axis, frequency)
        G = np.linalg.inv(energy[:, None, None] * np.eye(2 * self.n) - H - sum(per_spin))
        return G, [1j * (x - np.conj(np.swapaxes(x, 1, 2))) for x in per_spin]

    def exact_precession(self, axis, frequency):
        """rho of the rotating frame: f(E) for all plus what f(E +- omega/2) of the two populations changes."""
        mu, kT = self.fermi_energy, self.temperature
        equilibrium = self.fermi_sea(
            lambda z: self.rotating_green(z, axis, frequency)[0], low=self.below - abs(frequency)
        )

        def f(energy):
            return expit(-(energy - mu) / kT) if kT else np.heaviside(mu - energy, 0.5)

        def window(energy):
            G, gammas = self.rotating_green(energy, axis, frequency)
            total = sum(
                (f(energy + s * frequency / 2) - f(energy)) * g[0] for s, g in zip((1, -1), gammas, strict=True)
            )
            return G[0] @ total @ G[0].conj().T / (2 * np.pi)

        half = abs(frequency) / 2
        reach = half + 40 * kT
        edges = [mu - reach, mu - half, mu, mu + half, mu + reach]
        edges += [self.onsite + b * 2 * self.hopping + s for b in (-1, 1) for s in (-half, half)]
        edges = sorted({e for e in edges if mu - reach <= e <= mu + reach})
        for a, b in pairwise(edges):
            if b - a > 1e-13:
                equilibrium = equilibrium + quad_vec(window, a, b, epsabs=1e-13, epsrel=0, norm="max", limit=2000)[0]
        return traced(equilibrium)

    def pumped_spin_per_frequency(self):
        """(1/2pi) sum_pq Tr[Gamma_p,up G Gamma_q,down G^+] at E_F: spin per time and frequency, axis z."""
        G, gammas, _ = self.green(self.fermi_energy)
        up, down = (np.kron(np.eye(self.n), (SIGMA[0] + s * SIGMA[3]) / 2) for s in (1, -1))
        gamma = sum(gammas)[0]
        return np.trace(up @ gamma @ G[0] @ down @ gamma @ G[0].conj().T).real / (2 * np.pi)

    # --- closed wires -------------------------------------------------------------------------------------------

    def levels(self):
        return np.linalg.eigh(self.H)

    def closed_parts(self):
        """Adiabatic density and first-order TOTAL of a closed wire whose level populations are frozen."""
        E, U = self.levels()
        f = (
            np.array([float(expit(-(e - self.fermi_energy) / self.temperature)) for e in E])
            if self.temperature
            else (np.heaviside(self.fermi_energy - E, 0.5))
        )
        rate = U.conj().T @ self.Hd @ U
        gap = E[:, None] - E[None, :]
        far = abs(gap) > 1e-9
        first = np.where(far, 1j * (f[:, None] - f[None, :]) * rate / np.where(far, gap, 1) ** 2, 0)
        return traced(U @ np.diag(f) @ U.conj().T), traced(U @ first @ U.conj().T)

    def closed_grand_potential(self):
        """Omega relative to the wire without moments and gates."""

        def omega(wire):
            E = wire.levels()[0] - wire.fermi_energy
            return (
                -wire.temperature * np.logaddexp(0, -E / wire.temperature).sum()
                if wire.temperature
                else (np.minimum(E, 0).sum())
            )

        return omega(self) - omega(replace(self, m=0 * self.m, potential=0 * self.potential))
