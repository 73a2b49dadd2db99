"""Dense Green's functions of a chain or lattice whose bonds and leads know the spin: other matrices of `lattice_dense`.

Nothing is imported from the package.  Bonds are 2 x 2 matrices in the given spin axes, with no change of gauge.  A lead
is the set of eigenvectors of its column with both spins, each a chain; `decimated` finds its end without them.
A chain is a lattice with ny = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from tests.oracles.electrons_dense import SIGMA, chain_end
from tests.oracles.lattice_dense import Lattice, decimated_lead, integrate, ring_or_line


def field(vector):
    """vector . sigma, (2, 2)."""
    return np.tensordot(np.asarray(vector, float), SIGMA[1:], 1)


@dataclass(frozen=True)
class SpinLattice(Lattice):
    """`exchange` may be an array (nx, ny); the other fields are those of a `Lattice`.

    rashba, dresselhaus: alpha, beta; hop_x, hop_y: three complex numbers each, times sigma in the bonds; lead_hoppings:
    (left, right), None: hopping; directions, splittings: of the polarizations of the left and the right lead; voltages
    shift their levels; vacancies: sites (x, y) without orbitals.
    """

    rashba: float = 0.0
    dresselhaus: float = 0.0
    hop_x: tuple = (0, 0, 0)
    hop_y: tuple = (0, 0, 0)
    lead_hoppings: tuple = (None, None)
    directions: tuple = ((0, 0, 1), (0, 0, 1))
    splittings: tuple = (0.0, 0.0)
    voltages: tuple = (0.0, 0.0)
    vacancies: tuple = ()

    def _local(self, vectors, scalars):
        out = np.zeros((self.size, self.size), complex)
        J = np.broadcast_to(self.exchange, (self.nx, self.ny))
        for i, (v, u, j) in enumerate(zip(vectors.reshape(-1, 3), scalars.ravel(), J.ravel(), strict=True)):
            out[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = u * SIGMA[0] - j * field(v)
        return out

    @property
    def kept(self):
        """Mask (size,) of the orbitals that are there."""
        mask = np.ones((self.nx, self.ny, 2), bool)
        for site in self.vacancies:
            mask[site] = False
        return mask.ravel()

    def green(self, energy):
        """As that of `Lattice`, inverted on the orbitals that are there alone."""
        energy = np.atleast_1d(np.asarray(energy, complex))
        sigma, derivative = self.self_energies(energy)
        there = np.ix_(self.kept, self.kept)
        matrix = energy[:, None, None] * np.eye(self.size) - self.H - sum(sigma)
        G = np.zeros_like(matrix)
        G[:, there[0], there[1]] = np.linalg.inv(matrix[:, there[0], there[1]])
        return G, [1j * (s - np.conj(np.swapaxes(s, 1, 2))) for s in sigma], derivative

    @property
    def Hd(self):
        return np.where(self.kept[:, None] & self.kept, super().Hd, 0.0)

    @property
    def H(self):
        H = self._local(self.m, self.potential + self.onsite)
        alpha, beta = self.rashba, self.dresselhaus
        # From the site to the next one: c_i^+ T c_(i+1).
        bonds = self.x_bonds if self.x_bonds is not None else [self.hopping] * (self.nx - 1)
        turns_x, along_y = (sum(c * s for c, s in zip(a, SIGMA[1:], strict=True)) for a in (self.hop_x, self.hop_y))
        turns_x = turns_x + 1j * (alpha * SIGMA[2] - beta * SIGMA[1])
        along_y = along_y - self.hopping * SIGMA[0] + 1j * (beta * SIGMA[2] - alpha * SIGMA[1])
        for x in range(self.nx):
            for y in range(self.ny):
                here = slice(2 * (x * self.ny + y), 2 * (x * self.ny + y) + 2)
                if x + 1 < self.nx:
                    there = slice(here.start + 2 * self.ny, here.stop + 2 * self.ny)
                    T = -bonds[x] * SIGMA[0] + turns_x
                    H[here, there] += T
                    H[there, here] += T.conj().T
                if y + 1 < self.ny or (self.periodic and self.ny > 1):
                    up = 2 * (x * self.ny + (y + 1) % self.ny)
                    there = slice(up, up + 2)
                    H[here, there] += along_y
                    H[there, here] += along_y.conj().T
        return H

    def lead_hopping(self, side):
        return self.hopping if self.lead_hoppings[side] is None else self.lead_hoppings[side]

    def lead_column(self, side):
        """(2 ny, 2 ny) Hamiltonian of one column of a lead."""
        d = np.asarray(self.directions[side], float)
        spin = -self.splittings[side] / 2 * field(d / np.linalg.norm(d))
        space = ring_or_line(self.ny, self.lead_hopping(side), self.periodic)
        level = (self.onsite + self.voltages[side]) * np.eye(2 * self.ny)
        return np.kron(space, SIGMA[0]) + np.kron(np.eye(self.ny), spin) + level

    def lead(self, side, energy):
        """Sigma and dSigma/dE at energies (ne,): (ne, 2 ny, 2 ny)."""
        t = self.lead_hopping(side)
        levels, modes = np.linalg.eigh(self.lead_column(side))
        g = chain_end(np.asarray(energy)[:, None] - levels, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            dg = -(g**2) / (1 - (t * g) ** 2)
        return tuple(self.couplings[side] ** 2 * np.einsum("an,en,bn->eab", modes, x, modes.conj()) for x in (g, dg))

    def decimated(self, side, energy):
        """Sigma by decimation of the columns, (2 ny, 2 ny), at one energy with Im E > 0."""
        return self.couplings[side] ** 2 * decimated_lead(energy, self.lead_column(side), self.lead_hopping(side))

    def self_energies(self, energy):
        both = []
        for side, rows in ((0, slice(0, 2 * self.ny)), (1, slice(self.size - 2 * self.ny, self.size))):
            pair = []
            for block in self.lead(side, energy):
                out = np.zeros((len(block), self.size, self.size), complex)
                out[:, rows, rows] = block
                out = np.where(self.kept[:, None] & self.kept, out, 0.0)
                pair.append(out)
            both.append(pair)
        return [both[0][0], both[1][0]], [both[0][1], both[1][1]]

    @property
    def openings(self):
        bands = []
        for side in (0, 1):
            if self.couplings[side]:
                levels = np.linalg.eigvalsh(self.lead_column(side))
                bands.append(np.stack([levels - 2 * self.lead_hopping(side), levels + 2 * self.lead_hopping(side)], 1))
        bands = np.concatenate(bands)
        return np.unique(np.round(bands, 13)), bands

    @property
    def reach(self):
        """(low, high) energies that enclose the spectrum, with a margin."""
        size = abs(np.linalg.eigvalsh(self.H)).max()
        leads = max(abs(self.openings[0]).max(), size) + 2 * max(self.couplings) + 2
        return -leads, leads

    def grand_potential(self):
        bare, there = replace(self, m=0 * self.m, potential=0 * self.potential), np.ix_(self.kept, self.kept)

        def logdet(lattice, z):
            matrix = z[:, None, None] * np.eye(self.size) - lattice.H - sum(lattice.self_energies(z)[0])
            return np.log(np.linalg.eigvals(matrix[:, there[0], there[1]])).sum(1)

        return float(self.fermi_sea(lambda z: logdet(bare, z) - logdet(self, z)))

    def transmission(self, energy):
        """Tr[Gamma_R G Gamma_L G^+]."""
        G, (left, right), _ = self.green(np.array([energy]))
        return np.trace(right[0] @ G[0] @ left[0] @ G[0].conj().T).real

    def biased(self, mu, kT):
        """(nx, ny, 4) of (1/2pi) sum_l int (f_l - f) G Gamma_l G^+, by brute force; mu: chemical potentials (2,)."""
        reach = 40 * max(kT, 1e-12)
        low, high = min(*mu, self.fermi_energy) - reach, max(*mu, self.fermi_energy) + reach
        points = np.concatenate([[low, high, self.fermi_energy, *mu], self.openings[0], self.resonances().real])
        points = np.unique(points[(points >= low) & (points <= high)])

        def f(energy, at):
            return 1 / (1 + np.exp(np.clip((energy - at) / kT, -700, 700))) if kT else np.heaviside(at - energy, 0.5)

        def integrand(energies):
            G, gammas, _ = self.green(energies)
            filled = sum(
                (f(energies, at) - f(energies, self.fermi_energy))[:, None, None] * gamma
                for at, gamma in zip(mu, gammas, strict=True)
            )
            return G @ filled @ np.conj(np.swapaxes(G, 1, 2)) / (2 * np.pi)

        total = sum(integrate(integrand, a, b, 1e-11) for a, b in pairwise(points))
        return self.on_sites(total)
