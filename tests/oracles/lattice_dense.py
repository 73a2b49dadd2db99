"""Dense Green's functions of an open square lattice: full matrices, numerical leads, brute-force quadrature.

Slow and literal on purpose, and nothing is imported from the package.  Lattice sites are numbered x * ny + y, spin
innermost.  A lead of width ny is a sum over its transverse modes, each a chain whose end solves g = 1/(E - t^2 g);
`decimated_lead` finds the same matrix without modes.  Energies are integrated as in `electrons_dense`: on a path
above the real axis, and for df/dE on the real axis between the openings of the modes.  Errors are about 1e-11.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from tests.oracles.electrons_dense import SIGMA, chain_end, fermi_path, hermitian_imaginary

PART_NAMES = ("adiabatic", "sea", "surface")


def ring_or_line(n, hopping, periodic):
    """(n, n) hopping matrix of one column, each bond once: a ring of two sites has two bonds, of one site none."""
    matrix = np.zeros((n, n))
    for a in range(n if periodic and n > 1 else n - 1):
        b = (a + 1) % n
        matrix[a, b] -= hopping
        matrix[b, a] -= hopping
    return matrix


def decimated_lead(energy, column, hopping, steps=60):
    """(ny, ny) end of a semi-infinite lead of columns by decimation, no modes (J. Phys. F 15, 851 (1985)); Im E > 0."""
    one = np.eye(len(column))
    end = bulk = energy * one - column
    ahead = back = -hopping * one
    for _ in range(steps):
        inverse = np.linalg.inv(bulk)
        end = end - ahead @ inverse @ back
        bulk = bulk - ahead @ inverse @ back - back @ inverse @ ahead
        ahead, back = ahead @ inverse @ ahead, back @ inverse @ back
    return np.linalg.inv(end)


def integrate(F, a, b, error, order=20):
    """int_a^b F(E) dE for F on arrays of energies with root singularities at the ends, by halving panels."""
    x, w = np.polynomial.legendre.leggauss(order)
    middle, half = (a + b) / 2, (b - a) / 2
    if half < 1e-14:
        return 0.0

    def panels(left, right):
        theta = (left + right)[:, None] / 2 + (right - left)[:, None] / 2 * x
        weights = (right - left)[:, None] / 2 * w * half * np.sin(theta)
        values = F((middle - half * np.cos(theta)).ravel())
        values = values.reshape(*theta.shape, *values.shape[1:])
        return np.einsum("pk,pk...->p...", weights, values)

    total = 0.0
    left, right = np.array([0.0]), np.array([np.pi])
    coarse = panels(left, right)
    for _ in range(60):
        centre = (left + right) / 2
        finer = panels(np.stack([left, centre], 1).ravel(), np.stack([centre, right], 1).ravel())
        pairs = finer.reshape(len(left), 2, *finer.shape[1:])
        wrong = abs(pairs.sum(1) - coarse).reshape(len(left), -1).max(1) > error
        total = total + pairs[~wrong].sum((0, 1))
        if not wrong.any():
            return total
        left, right = np.stack([left, centre], 1)[wrong].ravel(), np.stack([centre, right], 1)[wrong].ravel()
        coarse = pairs[wrong].reshape(-1, *finer.shape[1:])
    raise AssertionError("the integral over real energies does not converge")


@dataclass(frozen=True)
class Lattice:
    """nx x ny sites, all arrays explicit; couplings = (left, right); periodic along y or hard walls.

    m, mdot: (nx, ny, 3); potential, potential_rate: (nx, ny); x_bonds: hopping between columns, (nx - 1,), or None.
    """

    m: np.ndarray
    mdot: np.ndarray
    potential: np.ndarray
    potential_rate: np.ndarray
    exchange: float
    couplings: tuple = (1.0, 1.0)
    periodic: bool = False
    hopping: float = 1.0
    onsite: float = 0.0
    fermi_energy: float = 0.0
    temperature: float = 0.0
    x_bonds: tuple | None = None

    @property
    def nx(self):
        return self.m.shape[0]

    @property
    def ny(self):
        return self.m.shape[1]

    @property
    def size(self):
        return 2 * self.nx * self.ny

    # --- matrices -----------------------------------------------------------------------------------------------

    @property
    def column(self):
        """Spinless Hamiltonian of one column of the lead, (ny, ny)."""
        return self.onsite * np.eye(self.ny) + ring_or_line(self.ny, self.hopping, self.periodic)

    def _local(self, vectors, scalars):
        out = np.zeros((self.size, self.size), complex)
        for i, (v, u) in enumerate(zip(vectors.reshape(-1, 3), scalars.ravel(), strict=True)):
            block = u * SIGMA[0] - self.exchange * np.tensordot(v, SIGMA[1:], 1)
            out[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = block
        return out

    @property
    def H(self):
        bonds = self.x_bonds if self.x_bonds is not None else [self.hopping] * (self.nx - 1)
        along_x = np.diag(-np.array(bonds, float), 1)
        along_x = np.kron(along_x + along_x.T, np.eye(self.ny))
        space = along_x + np.kron(np.eye(self.nx), self.column)
        return np.kron(space, SIGMA[0]) + self._local(self.m, self.potential)

    @property
    def Hd(self):
        return self._local(self.mdot, self.potential_rate)

    def lead(self, side, energy):
        """Sigma and dSigma/dE of one lead at energies (ne,): (ne, ny, ny)."""
        levels, modes = np.linalg.eigh(self.column)
        g = chain_end(np.asarray(energy)[:, None] - levels, self.hopping)
        with np.errstate(divide="ignore", invalid="ignore"):
            dg = -(g**2) / (1 - (self.hopping * g) ** 2)  # of g = 1/(E - t^2 g)
        return tuple(self.couplings[side] ** 2 * np.einsum("an,en,bn->eab", modes, x, modes) for x in (g, dg))

    def self_energies(self, energy):
        """Sigma and dSigma/dE of both leads on the whole lattice: two lists of (ne, size, size)."""
        both = []
        for side, rows in ((0, slice(0, 2 * self.ny)), (1, slice(self.size - 2 * self.ny, self.size))):
            pair = []
            for block in self.lead(side, energy):
                out = np.zeros((len(block), self.size, self.size), complex)
                out[:, rows, rows] = np.einsum("eab,st->easbt", block, SIGMA[0]).reshape(len(block), 2 * self.ny, -1)
                pair.append(out)
            both.append(pair)
        return [both[0][0], both[1][0]], [both[0][1], both[1][1]]

    def green(self, energy):
        """G, [Gamma_left, Gamma_right], [dSigma_left/dE, dSigma_right/dE] at energies (ne,)."""
        energy = np.atleast_1d(np.asarray(energy, complex))
        sigma, derivative = self.self_energies(energy)
        G = np.linalg.inv(energy[:, None, None] * np.eye(self.size) - self.H - sum(sigma))
        return G, [1j * (s - np.conj(np.swapaxes(s, 1, 2))) for s in sigma], derivative

    # --- integrals ----------------------------------------------------------------------------------------------

    @property
    def openings(self):
        """Band edges of the modes of the leads, sorted, and (bottom, top) of each mode."""
        levels = np.linalg.eigvalsh(self.column)
        bands = np.stack([levels - 2 * self.hopping, levels + 2 * self.hopping], 1)
        return np.unique(bands), bands

    def is_open_at(self, energy):
        bands = self.openings[1]
        return any(self.couplings) and bool(((bands[:, 0] < energy) & (energy < bands[:, 1])).any())

    @property
    def reach(self):
        """(low, high) energies that enclose the spectrum of the infinite system (Gershgorin), with a margin of 1."""
        hops = 4 * self.hopping + 2 * max(*self.couplings, self.hopping)
        spin = abs(self.exchange) * np.linalg.norm(self.m, axis=-1).max() + abs(self.potential).max()
        return self.onsite - hops - spin - 1, self.onsite + hops + spin + 1

    def fermi_sea(self, F):
        """-(1/pi) int f Im F(E) dE for F on arrays of energies."""
        z, w = fermi_path(min(self.reach[0], self.fermi_energy - 1), self.fermi_energy, self.temperature)
        total = 0
        for part in np.array_split(np.arange(len(z)), 1 + len(z) * self.size**2 // 200_000):
            total = total + np.tensordot(w[part], F(z[part]), 1)
        return -(hermitian_imaginary(total) if np.ndim(total) > 1 else np.imag(total)) / np.pi

    def slope(self, energy):
        """df/dE."""
        x = (energy - self.fermi_energy) / self.temperature
        return -expit(x) * expit(-x) / self.temperature

    def fermi_surface(self, S):
        """int f' S(E) dE over the bands of the leads, for S on arrays of energies."""
        mu, kT = self.fermi_energy, self.temperature
        if kT == 0 or not any(self.couplings):
            open_now = kT == 0 and self.is_open_at(mu)
            return -S(np.array([mu]))[0] if open_now else 0 * S(np.array([mu + 1j]))[0]
        cuts = [mu + c * kT for c in (-40, -10, -3, 0, 3, 10, 40)]
        points = np.concatenate([self.openings[0], cuts, self.resonances().real])
        points = np.unique(points[(points >= mu - 40 * kT) & (points <= mu + 40 * kT)])
        total = 0 * S(np.array([mu + 1j]))[0]
        for a, b in pairwise(points):
            if self.is_open_at((a + b) / 2):
                total = total + integrate(lambda e: np.einsum("e,e...->e...", self.slope(e), S(e)), a, b, 1e-12)
        return total

    def resonances(self):
        """Eigenvalues of H + Sigma(E_F)."""
        return np.linalg.eigvals(self.H + sum(self.self_energies(np.array([self.fermi_energy + 1e-9j]))[0])[0])

    def levels(self):
        """[(E, projector P, regular part R of G)] of discrete levels within 40 kT of E_F that lie outside all bands."""
        if self.temperature == 0:
            return []
        mu, kT, edges = self.fermi_energy, self.temperature, self.openings[0]
        low, high = mu - 40 * kT, mu + 40 * kT
        if not any(self.couplings):
            energies, U = np.linalg.eigh(self.H)
            groups = [abs(energies - e) < 1e-9 for e in energies]
            found = []
            for k, (energy, group) in enumerate(zip(energies, groups, strict=True)):
                if low < energy < high and not group[:k].any():
                    gap = np.where(group, 1.0, energy - energies)
                    R = (U * np.where(group, 0.0, 1 / gap)) @ U.conj().T
                    found.append((energy, U[:, group] @ U[:, group].conj().T, R))
            return found

        def values(energy):
            sigma = sum(self.self_energies(np.array([energy], complex))[0])[0]
            return np.linalg.eigvalsh(energy * np.eye(self.size) - self.H - sigma)

        # Outside the bands the eigenvalues of E - H - Sigma(E) grow with E: each crosses zero at most once.
        zeros = []
        for a, b in ((self.reach[0] - 1, edges[0] - 1e-9), (edges[-1] + 1e-9, self.reach[1] + 1)):
            signs = np.stack([values(a), values(b)])
            for k in np.flatnonzero((signs[0] < 0) & (signs[1] > 0)):
                zeros.append(brentq(lambda e, k=k: values(e)[k], a, b, xtol=1e-15, rtol=1e-14))
        found = []
        for energy in zeros:
            if low < energy < high and not any(abs(energy - e) < 1e-9 for e, *_ in found):
                others = [abs(energy - e) for e in zeros if abs(e - energy) > 1e-9] + [abs(energy - e) for e in edges]
                turn = 0.5 * min(others) * np.exp(2j * np.pi * (np.arange(128) + 0.5) / 128)
                G = self.green(energy + turn)[0]
                found.append((energy, (turn[:, None, None] * G).mean(0), G.mean(0)))
        return found

    # --- the density matrix by origin ---------------------------------------------------------------------------

    def sea_terms(self, z):
        """G and G1 at energies z, (ne, 2, size, size)."""
        G, _, dSigma = self.green(z)
        B, Hd = np.eye(self.size) - sum(dSigma), self.Hd
        return np.stack([G, -0.5j * (G @ B @ G @ Hd @ G - G @ Hd @ G @ B @ G)], axis=1)

    def surface_matrix(self):
        Hd = self.Hd

        def three_terms(energy):
            G = self.green(energy)[0]
            Gd = np.conj(np.swapaxes(G, 1, 2))
            return (Gd @ Hd @ Gd + G @ Hd @ G) / 2 - G @ Hd @ Gd

        total = self.fermi_surface(three_terms) / (2 * np.pi)
        for energy, P, R in self.levels():
            # What the three terms become for a level of vanishing width, without the change of its population.
            total = total + self.slope(energy) * hermitian_imaginary(R @ Hd @ P)
        return total

    def matrices(self):
        """(size, size) density matrices by origin."""
        adiabatic, sea = self.fermi_sea(self.sea_terms)
        return dict(zip(PART_NAMES, (adiabatic, sea, self.surface_matrix()), strict=True))

    def on_sites(self, matrix):
        """(nx, ny, 4): traces of the diagonal blocks with 1, sigma_x, sigma_y, sigma_z."""
        blocks = matrix.reshape(self.nx * self.ny, 2, self.nx * self.ny, 2)
        return np.einsum("iaib,cba->ic", blocks, SIGMA).real.reshape(self.nx, self.ny, 4)

    def parts(self):
        """(nx, ny, 4) by origin."""
        return {name: self.on_sites(matrix) for name, matrix in self.matrices().items()}

    def grand_potential(self):
        """Relative to the same lattice without moments and gates: (1/pi) int f Im ln det (E - H - Sigma)."""
        bare = replace(self, m=0 * self.m, potential=0 * self.potential)

        def logdet(lattice, z):
            # Im (E - H - Sigma) > 0 keeps all eigenvalues in the upper half plane, away from the cut.
            sigma = sum(lattice.self_energies(z)[0])
            values = np.linalg.eigvals(z[:, None, None] * np.eye(self.size) - lattice.H - sigma)
            return np.log(values).sum(1)

        return float(self.fermi_sea(lambda z: logdet(bare, z) - logdet(self, z)))

    # --- currents -----------------------------------------------------------------------------------------------

    def extended(self):
        """The same system with one column of each connected lead counted as part of the lattice."""
        pads = tuple(int(c > 0) for c in self.couplings)
        bonds = list(self.x_bonds or [self.hopping] * (self.nx - 1))
        bonds = [self.couplings[0]] * pads[0] + bonds + [self.couplings[1]] * pads[1]

        def pad(values):
            return np.pad(values, [pads] + [(0, 0)] * (values.ndim - 1))

        return replace(
            self,
            m=pad(self.m),
            mdot=pad(self.mdot),
            potential=pad(self.potential),
            potential_rate=pad(self.potential_rate),
            couplings=tuple(self.hopping * p for p in pads),
            x_bonds=tuple(bonds),
        )

    def flows(self):
        """{origin: ((nx + 1, ny, 4) along x, (nx, ny, 4) along y)}: particles and spin (hbar/time), zero where no bond.

        The flow a -> b over a bond -t is i t (rho_ab - rho_ba), traced with 1 and sigma/2.
        """
        wide = self.extended()
        shift = int(self.couplings[0] > 0)
        unit = SIGMA * np.array([1, 0.5, 0.5, 0.5])[:, None, None]
        out = {}
        for name, matrix in wide.matrices().items():
            rho = matrix.reshape(wide.nx, wide.ny, 2, wide.nx, wide.ny, 2)

            def flow(a, b, hopping, rho=rho):
                j = 1j * hopping * (rho[a[0], a[1], :, b[0], b[1], :] - rho[b[0], b[1], :, a[0], a[1], :])
                return np.einsum("cst,ts->c", unit, j).real

            x = np.zeros((self.nx + 1, self.ny, 4))
            y = np.zeros((self.nx, self.ny, 4))
            for row in range(self.ny):
                for bond, hopping in enumerate(wide.x_bonds):
                    x[bond + 1 - shift, row] = flow((bond, row), (bond + 1, row), hopping)
            for col in range(self.nx):
                for row in range(self.ny if self.periodic else self.ny - 1):
                    y[col, row] = flow((col + shift, row), (col + shift, (row + 1) % self.ny), self.hopping)
            out[name] = x, y
        return out

    def lead_currents(self):
        """Particles (2,) and spin (2, 3) into left and right: (1/2pi) int (-f') Tr[(1 or sigma/2) Gamma G Hd G^+]."""
        spins = np.array([np.kron(np.eye(self.nx * self.ny), s) for s in (SIGMA[0], *(SIGMA[1:] / 2))])
        Hd = self.Hd

        def traces(energy):
            G, gammas, _ = self.green(energy)
            core = G @ Hd @ np.conj(np.swapaxes(G, 1, 2))
            return np.stack([np.einsum("cij,eji->ec", spins, g @ core).real for g in gammas], 1)

        flow = -self.fermi_surface(traces) / (2 * np.pi)
        return flow[:, 0], flow[:, 1:]

    def charging_of_leads(self):
        """d/dt of particles (2,) and spin (2, 3) that the leads hold in equilibrium beyond those of detached leads.

        (1/pi) int f Im Tr[(1 or sigma/2) dSigma/dE G Hd G]: what flows over the bond to a lead and is not pumped away.
        """
        spins = np.array([np.kron(np.eye(self.nx * self.ny), s) for s in (SIGMA[0], *(SIGMA[1:] / 2))])
        Hd = self.Hd

        def matrices(z):
            G, _, dSigma = self.green(z)
            core = G @ Hd @ G
            return np.stack([spins @ (d @ core)[:, None] for d in dSigma], 1)

        total = self.fermi_sea(lambda z: -matrices(z))
        rate = np.einsum("scii->sc", total).real
        return rate[:, 0], rate[:, 1:]

    # --- real energies ------------------------------------------------------------------------------------------

    def transmission(self, energy):
        """(2, 2) [spin out on the right, spin in on the left], summed over the modes."""
        G, gammas, _ = self.green([energy])
        up_down = [np.kron(np.eye(self.nx * self.ny), (SIGMA[0] + s * SIGMA[3]) / 2) for s in (1, -1)]
        Gd = G[0].conj().T
        return np.array(
            [[np.trace(P @ gammas[1][0] @ G[0] @ Q @ gammas[0][0] @ Gd).real for Q in up_down] for P in up_down]
        )

    def density_of_states(self, energy):
        """(nx, ny, 4)."""
        return -self.on_sites(hermitian_imaginary(self.green([energy])[0][0])) / np.pi

    # --- closed lattices ----------------------------------------------------------------------------------------

    def populations(self, energies):
        mu, kT = self.fermi_energy, self.temperature
        return expit(-(energies - mu) / kT) if kT else np.heaviside(mu - energies, 0.5)

    def closed_parts(self):
        """Adiabatic density and first-order TOTAL of a closed lattice whose level populations are frozen."""
        E, U = np.linalg.eigh(self.H)
        f = self.populations(E)
        rate = U.conj().T @ self.Hd @ U
        gap = E[:, None] - E[None, :]
        far = abs(gap) > 1e-9
        first = np.where(far, 1j * (f[:, None] - f[None, :]) * rate / np.where(far, gap, 1) ** 2, 0)
        return self.on_sites(U @ np.diag(f) @ U.conj().T), self.on_sites(U @ first @ U.conj().T)

    def closed_grand_potential(self):
        """Omega relative to the lattice without moments and gates, from the levels."""

        def omega(lattice):
            E = np.linalg.eigvalsh(lattice.H) - self.fermi_energy
            kT = self.temperature
            return -kT * np.logaddexp(0, -E / kT).sum() if kT else np.minimum(E, 0).sum()

        return omega(self) - omega(replace(self, m=0 * self.m, potential=0 * self.potential))
