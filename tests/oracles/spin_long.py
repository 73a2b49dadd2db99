"""A device whose bonds and leads know the spin, between leads that end, moved by Schroedinger's equation.

    H = onsite + sum_<ij> c_i^+ H_ij c_j - J_i c_i^+ sigma c_i . m_i + V_i n_i,     H_(i,i+x) = -t + i v.sigma,
    H_(i,i+y) = -t + i w.sigma,   v = (-beta, alpha, 0),   w = (-alpha, beta, 0)

and hop_x.sigma, hop_y.sigma in the device; in lead l hopping t_l, levels -(D_l/2) sigma.d_l + U_l(t), bonds of numbers;
bonds c_l to it.  The state at t = 0 is equilibrium, or, with `filled`, what is left long after leads of their own were
joined to the device.  The orbitals that are looked at are moved back in time to t = 0, where the state is known.  Only
numpy and scipy.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
FAR = 100.0  # energy of vacancies, which have no bonds


@dataclass(frozen=True)
class SpinLong:
    """shape (nx, ny); exchange: a number or (nx, ny); polarizations: (direction, splitting) of each lead; filled:
    ((mu, kT) left, (mu, kT) right), joined `settling` before t = 0; spin_biases: (direction, difference) of mu of spins
    along and against it, of each lead; vacancies: sites (x, y)."""

    shape: tuple
    n_lead: int
    exchange: object
    couplings: tuple = (1.0, 1.0)
    lead_hoppings: tuple = (1.0, 1.0)
    polarizations: tuple = (((0, 0, 1), 0.0), ((0, 0, 1), 0.0))
    rashba: float = 0.0
    dresselhaus: float = 0.0
    hop_x: tuple = (0, 0, 0)
    hop_y: tuple = (0, 0, 0)
    periodic: bool = False
    vacancies: tuple = ()
    fermi_energy: float = 0.0
    temperature: float = 0.2
    filled: tuple = ()
    spin_biases: tuple = (((0, 0, 1), 0.0), ((0, 0, 1), 0.0))
    settling: float = 0.0

    def at(self, x, y):
        """Orbitals of a site; x counts from the first of the device."""
        k = 2 * ((self.n_lead + x) * self.shape[1] + y)
        return slice(k, k + 2)

    def moved(self, base, m, V, U):
        """(n, n) at moments m, gates V, and voltages U of the leads; base: the same without."""
        H, J = base.copy(), np.broadcast_to(self.exchange, self.shape)
        first = 2 * self.n_lead * self.shape[1]
        i = np.arange(len(H))
        H[i, i] += np.where(i < first, U[0], np.where(i >= len(H) - first, U[1], 0.0))
        for x, y in np.ndindex(self.shape):
            if (x, y) not in self.vacancies:
                here = self.at(x, y)
                H[here, here] += V[x, y] * np.eye(2) - J[x, y] * np.tensordot(m[x, y], SIGMA, 1)
        return H

    def base(self):
        """(n, n) without moments, gates and voltages."""
        nx, ny = self.shape
        n = 2 * (2 * self.n_lead + nx) * ny
        H = np.zeros((n, n), complex)
        orbit = {
            "x": np.tensordot(1j * np.array([-self.dresselhaus, self.rashba, 0.0]) + self.hop_x, SIGMA, 1),
            "y": np.tensordot(1j * np.array([-self.rashba, self.dresselhaus, 0.0]) + self.hop_y, SIGMA, 1),
        }

        def bond(one, other, block):
            H[one, other] += block
            H[other, one] += block.conj().T

        for x in range(-self.n_lead, nx + self.n_lead):
            side = 0 if x < 0 else 1
            inside = 0 <= x < nx
            for y in range(ny):
                here, empty = self.at(x, y), (x, y) in self.vacancies
                if empty:
                    H[here, here] = FAR * np.eye(2)
                    continue
                if not inside:
                    direction, splitting = self.polarizations[side]
                    d = np.array(direction) / np.linalg.norm(direction)
                    H[here, here] -= splitting / 2 * np.tensordot(d, SIGMA, 1)
                up = (y + 1) % ny if self.periodic and ny > 1 else y + 1
                if up < ny and (x, up) not in self.vacancies:
                    t = 1.0 if inside else self.lead_hoppings[side]
                    bond(here, self.at(x, up), -t * np.eye(2) + (orbit["y"] if inside else 0))
                if x + 1 < nx + self.n_lead and (x + 1, y) not in self.vacancies:
                    if inside and x + 1 < nx:
                        block = -np.eye(2) + orbit["x"]
                    elif x == -1 or x + 1 == nx:
                        block = -self.couplings[0 if x == -1 else 1] * np.eye(2)
                    else:
                        block = -self.lead_hoppings[side] * np.eye(2)
                    bond(here, self.at(x + 1, y), block)
        return H

    def state(self, H):
        """rho at t = 0, (n, n)."""
        if not self.filled:
            return _filled(H, self.fermi_energy, self.temperature)
        rho, first = np.zeros(H.shape, complex), 2 * self.n_lead * self.shape[1]
        parts = (slice(0, first), self.filled[0]), (slice(len(H) - first, None), self.filled[1])
        for (part, (mu, kT)), (direction, difference) in zip(parts, self.spin_biases, strict=True):
            d = np.array(direction) / np.linalg.norm(direction)
            for sign in (1, -1):
                along = np.kron(np.eye(first // 2), (np.eye(2) + sign * np.tensordot(d, SIGMA, 1)) / 2)
                rho[part, part] += _filled(H[part, part], mu + sign * difference / 2, kT) @ along
        inside = slice(first, len(H) - first)
        rho[inside, inside] = _filled(H[inside, inside], self.fermi_energy, self.temperature)
        energies, states = np.linalg.eigh(H)
        past = (states * np.exp(-1j * energies * self.settling)) @ states.conj().T
        return past @ rho @ past.conj().T

    def evolve(self, times, moments, potential, voltages):
        """spin, density, current, spin_current, density_matrix, torque at `times`; arguments: functions of time."""
        nx, ny = self.shape
        base = self.base()
        rho = self.state(self.moved(base, moments(0.0), potential(0.0), np.zeros(2)))
        columns = [self.at(x, y) for x in range(-1, nx + 1) for y in range(ny)]
        rows = np.concatenate([np.arange(one.start, one.stop) for one in columns])
        seen = []
        for until in times:

            def back(s, flat, until=until):
                H = self.moved(base, moments(until - s), potential(until - s), voltages(until - s))
                return (1j * H @ flat.reshape(len(H), -1)).ravel()

            start = np.eye(len(rho), dtype=complex)[:, rows].ravel()
            found = solve_ivp(back, (0, until), start, "DOP853", rtol=1e-8, atol=1e-10).y[:, -1].reshape(len(rho), -1)
            seen.append(self._look(found.conj().T @ rho @ found, base))
        return SimpleNamespace(**{name: np.array([one[name] for one in seen]) for name in seen[0]})

    def _look(self, rho, base):
        """rho: of the device and one column of either lead."""
        nx, ny = self.shape
        blocks = rho.reshape(nx + 2, ny, 2, nx + 2, ny, 2)
        own = np.einsum("xyaxyb->xyab", blocks[1:-1, :, :, 1:-1])
        own = np.where([[[[(x, y) in self.vacancies]] for y in range(ny)] for x in range(nx)], 0.0, own)
        current, spin_current = np.zeros(2), np.zeros((2, 3))
        for side, (end, lead) in enumerate(((1, 0), (nx, nx + 1))):
            on_bonds = np.zeros((2, 2), complex)
            for y in range(ny):
                if (end - 1, y) not in self.vacancies:
                    on_bonds -= 2 * self.couplings[side] * blocks[end, y, :, lead, y, :]
            current[side] = np.trace(on_bonds).imag
            spin_current[side] = np.einsum("kab,ba->k", SIGMA / 2, on_bonds).imag
        return {
            "spin": np.einsum("xyab,kba->xyk", own, SIGMA).real,
            "density": np.einsum("xyaa->xy", own).real,
            "current": current,
            "spin_current": spin_current,
            "density_matrix": rho[2 * ny : -2 * ny, 2 * ny : -2 * ny],
            "torque": self._torque(rho[2 * ny : -2 * ny, 2 * ny : -2 * ny], base),
        }

    def _torque(self, rho, base):
        """(nx, ny, 3): half of what arrives less what leaves, in spin sigma/2, at both ends of each bond."""
        n, first = rho.shape[0] // 2, 2 * self.n_lead * self.shape[1]
        out = np.zeros((n, 3))
        for a in range(n):
            for b in range(a + 1, n):
                T = base[first + 2 * a : first + 2 * a + 2, first + 2 * b : first + 2 * b + 2]
                back = rho[2 * b : 2 * b + 2, 2 * a : 2 * a + 2]
                half = [-np.trace((T @ s - s @ T) @ back).imag / 2 for s in SIGMA]
                out[a] += half
                out[b] += half
        return out.reshape(*self.shape, 3)


def _filled(H, mu, kT):
    energies, states = np.linalg.eigh(H)
    return (states * expit((mu - energies) / kT)) @ states.conj().T
