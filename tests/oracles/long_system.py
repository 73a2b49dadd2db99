"""A device between leads that end: its Hamiltonian as a matrix, and its equilibrium.

    H = onsite - t sum_<ij> c_i^+ c_j - J_sd sum_i c_i^+ sigma c_i . m_i + sum_i V_i n_i + sum_l V_l N_l

with Pauli matrices, hbar = 1, lattice constant 1; device and leads have the same hopping and onsite energy.  Orbitals
are numbered 2 (x ny + y) + spin from the far end of the left lead on.  Nothing is imported from the package.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_array, diags_array, kron
from scipy.special import expit

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@dataclass(frozen=True)
class LongSystem:
    """Device of this shape, (nx,) or (nx, ny), between finite leads of n_lead columns at its first and last x.

    couplings: hopping of the bonds to the left and the right lead, 0 = that lead is missing.
    periodic: the last row is bonded to the first, in the leads as well: two rows get a double bond, one row none.
    hopping t, onsite, sd_exchange J_sd, fermi_energy, temperature kT >= 0: energies.
    """

    shape: tuple
    n_lead: int
    sd_exchange: float
    couplings: tuple = (1.0, 1.0)
    hopping: float = 1.0
    onsite: float = 0.0
    fermi_energy: float = 0.0
    temperature: float = 0.0
    periodic: bool = False

    # --- where things are ---------------------------------------------------------------------------

    @property
    def ny(self):
        return self.shape[1] if len(self.shape) == 2 else 1

    @property
    def columns(self):
        """(left lead, device, right lead): number of columns of each."""
        left, right = (self.n_lead if c else 0 for c in self.couplings)
        return left, self.shape[0], right

    @property
    def device(self):
        """Orbitals of the device, a slice."""
        left, n, _ = self.columns
        return slice(2 * self.ny * left, 2 * self.ny * (left + n))

    def contacts(self):
        """[side, coupling, orbitals of the device's end column, orbitals of the lead's first column] per lead."""
        left, n, right = self.columns
        column = [slice(2 * self.ny * x, 2 * self.ny * (x + 1)) for x in range(left + n + right)]
        found = []
        if left:
            found.append((0, self.couplings[0], column[left], column[left - 1]))
        if right:
            found.append((1, self.couplings[1], column[left + n - 1], column[left + n]))
        return found

    # --- Hamiltonian --------------------------------------------------------------------------------

    def across(self):
        """(ny, ny) hopping within one column."""
        ny, t = self.ny, self.hopping
        bonds = np.zeros((ny, ny))
        for a in range(ny if self.periodic and ny > 1 else ny - 1):
            b = (a + 1) % ny
            bonds[a, b] -= t
            bonds[b, a] -= t
        return bonds

    def bonds(self):
        """All hopping of the finite system: real sparse matrix of orbitals; no onsite energy."""
        left, n, right = self.columns
        along = np.full(left + n + right - 1, -self.hopping)
        if left:
            along[left - 1] = -self.couplings[0]
        if right:
            along[left + n - 1] = -self.couplings[1]
        chain = diags_array([along, along], offsets=[1, -1], shape=(len(along) + 1,) * 2) if len(along) else 0
        one_row, one_column = np.eye(self.ny), np.eye(left + n + right)
        lattice = kron(chain, one_row) if len(along) else csr_array((self.ny, self.ny))
        return csr_array(kron(lattice + kron(one_column, self.across()), np.eye(2)))

    def on_sites(self, m, potential):
        """(n sites, 2, 2) exchange and gates of the device."""
        flat = np.asarray(m, float).reshape(-1, 3)
        gates = np.broadcast_to(np.asarray(potential, float), self.shape).reshape(-1)
        return gates[:, None, None] * np.eye(2) - self.sd_exchange * np.einsum("ik,kab->iab", flat, SIGMA)

    def lead_levels(self, voltages):
        """Diagonal of the finite system: the voltages of the leads; zero in the device."""
        left, n, right = self.columns
        return np.repeat([voltages[0], 0.0, voltages[1]], 2 * self.ny * np.array([left, n, right]))

    def hamiltonian(self, m, potential=0.0, voltages=(0.0, 0.0)):
        """(N, N) complex, of the whole finite system."""
        H = self.bonds().toarray().astype(complex)
        H[np.diag_indices(len(H))] += self.onsite + self.lead_levels(voltages)
        for k, block in enumerate(self.on_sites(m, potential)):
            a = self.device.start + 2 * k
            H[a : a + 2, a : a + 2] += block
        return H

    # --- equilibrium --------------------------------------------------------------------------------

    def occupation(self, energies):
        """f(E); at kT = 0 a step with f = 1/2 for levels at E_F."""
        x = np.asarray(energies) - self.fermi_energy
        if self.temperature:
            return expit(-x / self.temperature)
        return np.where(abs(x) < 1e-10 * self.hopping, 0.5, x < 0)

    def equilibrium(self, m, potential=0.0, voltages=(0.0, 0.0), start="finite"):
        """(weights, orbitals): rho = sum_k w_k |k><k|, (N,) and (N, N).

        start "finite": f(H) of the finite system.  "infinite": f(H) of the system whose leads go on for ever, cut out.
        """
        if start == "finite":
            energies, orbitals = eigh(self.hamiltonian(m, potential, voltages))
            return self.occupation(energies), orbitals
        if start != "infinite":
            raise ValueError(f"start = {start!r}: allowed are 'finite' and 'infinite'")
        return eigh(self._cut_out(m, potential, voltages))

    def _cut_out(self, m, potential, voltages):
        """f(H_infinite) on the finite system, (N, N): a sum of Green's functions at complex energies E_F + iy."""
        one = np.eye(sum(self.columns) * 2 * self.ny)
        H = self.hamiltonian(m, potential, voltages) - self.fermi_energy * one
        reach = np.linalg.norm(H, 1)
        if self.temperature:
            heights, residues = fermi_poles(self.temperature, reach)
            weights, tail = 2 * residues, 0.0
        else:
            # theta(E_F - E) = 1/2 + (1/pi) int_0^inf dy Re 1/(E_F + iy - E), by equal steps in log y: the poles are at
            # arg y = pi/2, so that the error is exp(-pi^2 / step).  Beyond the last point Re G = (E_F - H)/y^2: a
            # geometric series.
            step = 0.35
            heights = np.exp(np.arange(np.log(1e-12 * self.hopping), np.log(1e5 * reach), step))
            weights = heights * step / np.pi
            tail = -H / heights[-1] * step / np.pi / np.expm1(step)
        H_device = H[self.device, self.device]
        total = np.zeros(H.shape, complex)
        for y, weight in zip(heights, weights, strict=True):
            self._add_green(total, weight, 1j * y, H_device, voltages)
        return one / 2 + (total + total.conj().T) / 2 + tail

    def _add_green(self, total, weight, z, H_device, voltages):
        """total += weight G of the infinite system at E_F + z, by Dyson's equation for the bonds lead-device.

        A mode of a lone lead has g_jk = b lambda^(j-k) (1 - lambda^2k)/(1 - lambda^2), j >= k >= 1, lambda = -t b, b
        the end of a chain.  Then G = g_leads + W G_device W^T, W = 1 in the device and g_j1 times the bond in a lead.
        """
        levels, modes = np.linalg.eigh(self.across())
        W = np.zeros((len(total), len(H_device)), complex)
        W[self.device] = np.eye(len(H_device))
        inverse = z * np.eye(len(H_device)) - H_device
        for side, coupling, end, _ in self.contacts():
            n = self.n_lead
            x = (z + self.fermi_energy - voltages[side] - self.onsite - levels) / (2 * self.hopping)
            b = 1 / (self.hopping * (x + np.sqrt(x - 1) * np.sqrt(x + 1)))
            lam = -self.hopping * b
            j = np.arange(1, n + 1)
            low, apart = np.minimum.outer(j, j), abs(np.subtract.outer(j, j))
            lead = np.moveaxis((b * lam ** apart[..., None] * (1 - lam ** (2 * low[..., None])) / (1 - lam**2)), 2, 0)
            if side == 0:
                lead = lead[:, ::-1, ::-1]
            in_space = np.einsum("ya,ajk,wa->jykw", modes, lead, modes).reshape(n * self.ny, n * self.ny)
            rows = slice(0, self.device.start) if side == 0 else slice(self.device.stop, len(total))
            total[rows, rows] += weight * np.kron(in_space, np.eye(2))
            nearest = slice(-self.ny, None) if side == 0 else slice(0, self.ny)
            first = slice(end.start - self.device.start, end.stop - self.device.start)
            W[rows, first] += -coupling * np.kron(in_space[:, nearest], np.eye(2))
            inverse[first, first] -= coupling**2 * np.kron((modes * b) @ modes.T, np.eye(2))
        total += weight * (W @ np.linalg.inv(inverse)) @ W.T


def fermi_poles(temperature, reach):
    """Heights y_p > 0 of poles E_F + i y_p and R_p: f = 1/2 + 2 sum_p R_p Re 1/(E_F + i y_p - E) for |E - E_F| < reach.

    Continued fraction of Ozaki, Phys. Rev. B 75, 035123 (2007), Eqs. (11)-(14).
    """
    count = 2 * int(reach / temperature / 4) + 40  # even: an odd matrix has b = 0, a pole at infinity
    odd = 2 * np.arange(1, count) - 1.0
    off = 1 / (2 * np.sqrt(odd * (odd + 2)))
    b, v = np.linalg.eigh(np.diag(off, 1) + np.diag(off, -1))
    upper = b > 0
    b, first = b[upper], v[0, upper]
    return temperature / b, temperature * first**2 / (4 * b**2)
