"""Electrons in real time without any theory of leads: a long finite system evolves by Schroedinger's equation.

The device (a chain, or a square lattice) sits between finite leads of n_lead columns that are as wide as the device and
long enough that nothing returns from their far ends.  At t = 0 the electrons are in equilibrium; from then on moments,
gates and the levels of the leads may do anything, and the moments may obey the LLG equation in the field of the
electrons.  hbar = 1, lattice constant 1.

    H = onsite - t sum_<ij> c_i^+ c_j - J_sd sum_i c_i^+ sigma c_i . m_i + sum_i V_i(t) n_i + sum_l V_l(t) N_l

A wave travels at most 2t columns per unit of time.  `columns_needed` is what follows from this for n_lead.

All orbitals are integrated together by the explicit Runge-Kutta method of order 8 of Dormand and Prince with a fixed
step; `History.norm_error` says how far this was from unitary.  Only numpy and scipy, nothing of the package.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.integrate import DOP853
from scipy.linalg import eigh
from scipy.sparse import csr_array, diags_array, kron
from scipy.special import expit

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
_ABSENT = 1e-15  # orbitals with a smaller weight are left out
_STAGES = DOP853.n_stages


def columns_needed(time, *, hopping=1.0, temperature=0.0, start="finite", error=1e-9):
    """Columns of each lead after which the far ends are not felt before `time`, beyond about `error`.

    start "finite": what the device sends out comes back after n_lead / hopping, and equilibrium itself feels the ends
    as exp(-pi kT n_lead / hopping); for kT = 0 only as a power of 1/n_lead, and 0 is refused.
    start "infinite": equilibrium is exact, but it is not at rest at the cut ends, whose news take n_lead / (2 hopping).
    Both with room for what runs ahead of the front, as the tail of the Bessel function J_n(x) beyond n = x.
    """
    front = 2 * hopping * time
    front += (1.5 * np.log(1 / error)) ** (2 / 3) * (max(front, 1) / 2) ** (1 / 3) + 4
    if start == "infinite":
        return int(np.ceil(front))
    if temperature == 0:
        raise ValueError("temperature = 0: no finite lead is in the equilibrium of a long one; use start = 'infinite'")
    return int(np.ceil(max(front / 2, hopping * np.log(1 / error) / (np.pi * temperature))))


@dataclass(frozen=True)
class History:
    """What was seen at `times` (k,).  Device arrays have (nx,) or (nx, ny) for `...`; leads are left, right.

    moments, spin (k, ..., 3): m and s_i = Tr[rho_i sigma].  density (k, ...): electrons on each site.
    current (k, 2): particles per time INTO each lead over the bonds lead-device; spin_current (k, 2, 3): Tr[sigma/2 ...].
    density_matrix (k, 2n, 2n): of the device, rho_ab = <c_b^+ c_a>; orbital 2 site + spin, site x * ny + y.
    energy (k,): Tr[H_device(t) rho], onsite, hopping, exchange and gates of the device; bonds to leads not included.
    total_energy (k,): the same of the whole finite system, voltages included.
    norm_error: largest deviation from orthonormal orbitals at the end.
    """

    times: np.ndarray
    moments: np.ndarray
    spin: np.ndarray
    density: np.ndarray
    current: np.ndarray
    spin_current: np.ndarray
    density_matrix: np.ndarray
    energy: np.ndarray
    total_energy: np.ndarray
    norm_error: float


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
        H = self.hamiltonian(m, potential, voltages)
        if start == "finite":
            energies, orbitals = eigh(H)
            return self.occupation(energies), orbitals
        if start != "infinite":
            raise ValueError(f"start = {start!r}: allowed are 'finite' and 'infinite'")
        return eigh(self._cut_out(H, voltages))

    def _cut_out(self, H, voltages):
        """f(H_infinite) on the finite system: a sum of Green's functions that know the rest of each lead."""
        one = np.eye(len(H))

        def hermitian_green(z):
            A = z * one - H
            for side, _, _, _ in self.contacts():
                a = slice(0, 2 * self.ny) if side == 0 else slice(len(H) - 2 * self.ny, len(H))
                A[a, a] -= self._rest_of_lead(z - voltages[side])
            G = np.linalg.inv(A)
            return (G + G.conj().T) / 2

        if self.temperature:
            heights, residues = fermi_poles(self.temperature, 2 * np.linalg.norm(H - self.fermi_energy * one, 1))
            return one / 2 + sum(
                2 * R * hermitian_green(self.fermi_energy + 1j * y) for y, R in zip(heights, residues, strict=True)
            )
        # theta(E_F - E) = 1/2 + (1/pi) int_0^inf dy Re 1/(E_F - E + iy), by equal steps in log y: the poles are at
        # arg y = pi/2, so that the error is exp(-pi^2 / step).  Beyond the last point Re G = (E_F - H)/y^2: a geometric
        # series.
        step, bottom, top = 0.35, 1e-12 * self.hopping, 1e5 * np.linalg.norm(H - self.fermi_energy * one, 1)
        y = np.exp(np.arange(np.log(bottom), np.log(top), step))
        total = sum(v * hermitian_green(self.fermi_energy + 1j * v) for v in y)
        total += (self.fermi_energy * one - H) / (y[-1] * np.expm1(step))
        return one / 2 + total * step / np.pi

    def _rest_of_lead(self, z):
        """(2 ny, 2 ny) t^2 g of the columns beyond the cut, each transverse mode a chain."""
        levels, modes = np.linalg.eigh(self.across())
        x = (z - self.onsite - levels) / (2 * self.hopping)
        beyond = self.hopping * (1 / (x + np.sqrt(x - 1) * np.sqrt(x + 1)))
        return np.kron((modes * beyond) @ modes.T, np.eye(2))

    # --- time ---------------------------------------------------------------------------------------

    def evolve(self, times, moments, *, potential=None, voltages=None, before=None, start="finite", step=None):
        """`History` at `times` >= 0, ascending, for moments that move as they are told.

        moments: (..., 3) or callable t -> (..., 3).  potential: gates, (...) or callable t -> (...), None = 0.
        voltages: (left, right) or callable t -> (left, right): shift of all levels of a lead, None = 0.
        before: what the equilibrium at t = 0- has otherwise, a dict of constants "moments", "potential", "voltages";
        whatever is not named there is as at t = 0.  start: as `equilibrium`.  step: None = `default_step`.
        """
        run = _Run(self, moments, potential, voltages, before, start)
        return run.history(np.atleast_1d(np.asarray(times, float)), step)

    def evolve_with_moments(
        self,
        times,
        m,
        field,
        *,
        spin=1.0,
        damping=0.0,
        back_action=1.0,
        potential=None,
        voltages=None,
        before=None,
        start="finite",
        step=None,
    ):
        """`History` for moments that start at m (..., 3) and obey the LLG equation in the field of the electrons:

            S dm/dt = -m x (B + back_action J_sd s) + S damping m x dm/dt

        field: callable (t, m) -> B = -dE/dm (..., 3), energy.  spin S: hbar.  Other arguments as `evolve`.
        """
        m = np.asarray(m, float)
        law = (field, spin, damping, back_action)
        run = _Run(self, m, potential, voltages, before, start, law)
        return run.history(np.atleast_1d(np.asarray(times, float)), step)

    def default_step(self):
        """A step with an error below 1e-9 up to t = 30 if gates and voltages stay below the hopping."""
        return 0.5 / ((2 if self.ny == 1 else 4) * self.hopping + abs(self.sd_exchange))


def fermi_poles(temperature, reach):
    """Heights y_p > 0 of poles E_F + i y_p and R_p: f = 1/2 + 2 sum_p R_p Re 1/(E_F + i y_p - E) for |E - E_F| < reach.

    Continued fraction of Ozaki, Phys. Rev. B 75, 035123 (2007), Eqs. (11)-(14).
    """
    count = int(reach / temperature) + 40
    odd = 2 * np.arange(1, count) - 1.0
    off = 1 / (2 * np.sqrt(odd * (odd + 2)))
    b, v = np.linalg.eigh(np.diag(off, 1) + np.diag(off, -1))
    upper = b > 0
    b, first = b[upper], v[0, upper]
    return temperature / b, temperature * first**2 / (4 * b**2)


class _Run:
    """One evolution: the orbitals, what drives them, and what is seen."""

    def __init__(self, system, moments, potential, voltages, before, start, law=None):
        self.system, self.law = system, law
        self.moments = _in_time(moments)
        self.potential = _in_time(np.zeros(system.shape) if potential is None else potential)
        self.voltages = _in_time((0.0, 0.0) if voltages is None else voltages)
        at_rest = {
            "moments": self.moments(0.0),
            "potential": self.potential(0.0),
            "voltages": self.voltages(0.0),
        } | (before or {})
        if len(at_rest) > 3:
            raise ValueError(f"before = {before!r}: allowed are 'moments', 'potential', 'voltages'")
        weights, orbitals = system.equilibrium(at_rest["moments"], at_rest["potential"], at_rest["voltages"], start)
        # Electrons or holes, whichever are fewer: rho = Psi Psi^+ or 1 - Psi Psi^+.
        self.holes = weights.sum() > len(weights) / 2
        weights = 1 - weights if self.holes else weights
        kept = weights > _ABSENT
        self.weights = weights[kept]
        self.orbitals = np.ascontiguousarray(orbitals[:, kept] * np.sqrt(self.weights))
        self.bonds = system.bonds()
        self.m = self.moments(0.0) if law else None

    def slope(self, t, psi, m):
        """(dPsi/dt, dm/dt); the onsite energy, a common phase, is left out."""
        system, device = self.system, self.system.device
        told = self.moments(t) if m is None else m
        H_psi = (self.bonds @ psi.view(float)).view(complex)
        levels = system.lead_levels(self.voltages(t))
        if levels.any():
            H_psi += levels[:, None] * psi
        inside = psi[device].reshape(-1, 2, psi.shape[1])
        H_psi[device] += (system.on_sites(told, self.potential(t)) @ inside).reshape(-1, psi.shape[1])
        H_psi *= -1j
        if m is None:
            return H_psi, None
        field, S, damping, back_action = self.law
        B = field(t, m) + back_action * system.sd_exchange * self.spin_density(psi)
        w = -np.cross(m, B) / S
        return H_psi, (w + damping * np.cross(m, w)) / (1 + damping**2)

    def step(self, t, h):
        """One step of Dormand and Prince's method of order 8."""
        psi, m = self.orbitals, self.m
        slopes = np.empty((_STAGES, *psi.shape), complex)
        turns = None if m is None else np.empty((_STAGES, *m.shape))
        for k, (a, c) in enumerate(zip(DOP853.A[:_STAGES], DOP853.C[:_STAGES], strict=True)):
            psi_k = psi + h * _combined(a[:k], slopes[:k])
            m_k = None if m is None else m + h * np.tensordot(a[:k], turns[:k], 1)
            slopes[k], dm = self.slope(t + c * h, psi_k, m_k)
            if m is not None:
                turns[k] = dm
        self.orbitals = psi + h * _combined(DOP853.B, slopes)
        if m is not None:
            m = m + h * np.tensordot(DOP853.B, turns, 1)
            self.m = m

    def history(self, times, step):
        longest = self.system.default_step() if step is None else step
        if times[0] < 0 or (np.diff(times) <= 0).any():
            raise ValueError(f"times = {times}: 0 or later, and ascending")
        now, seen = 0.0, []
        for until in times:
            count = int(np.ceil((until - now) / longest - 1e-9))
            for k in range(count):
                self.step(now + k * (until - now) / count, (until - now) / count)
            now = until
            seen.append(self.look(now))
        overlap = self.orbitals.conj().T @ self.orbitals
        norm_error = abs(overlap - np.diag(self.weights)).max(initial=0.0)
        return History(times, *(np.array(q) for q in zip(*seen, strict=True)), float(norm_error))

    def block(self, psi, rows, columns):
        """rho[rows, columns]."""
        found = psi[rows] @ psi[columns].conj().T
        return np.eye(len(psi))[rows, columns] - found if self.holes else found

    def spin_density(self, psi):
        inside = psi[self.system.device].reshape(-1, 2, psi.shape[1])
        on_site = inside @ inside.conj().transpose(0, 2, 1) * (-1 if self.holes else 1)
        return np.einsum("iab,kba->ik", on_site, SIGMA).real.reshape(*self.system.shape, 3)

    def look(self, t):
        """All of a `History` but times and norm."""
        system, psi, ny = self.system, self.orbitals, self.system.ny
        m = self.moments(t) if self.m is None else self.m
        rho = self.block(psi, system.device, system.device)
        density = np.einsum("iaia->i", rho.reshape(len(rho) // 2, 2, len(rho) // 2, 2)).real.reshape(system.shape)
        current, spin_current = np.zeros(2), np.zeros((2, 3))
        for side, coupling, end, first in system.contacts():
            # d/dt Tr[sigma rho_lead] = -i Tr[sigma (H_ld rho_dl - rho_ld H_dl)] = 2 Im Tr[sigma H_ld rho_dl]
            rho_dl = self.block(psi, end, first).reshape(ny, 2, ny, 2)
            on_bonds = -2 * coupling * np.einsum("yayb->ab", rho_dl)
            current[side] = np.trace(on_bonds).imag
            spin_current[side] = np.einsum("kab,ba->k", SIGMA / 2, on_bonds).imag
        H = system.hamiltonian(m, self.potential(t), self.voltages(t))
        energy = np.einsum("ab,ba->", H[system.device, system.device], rho).real
        whole = np.einsum("ak,ak->", psi.conj(), H @ psi).real
        total = np.trace(H).real - whole if self.holes else whole
        return m, self.spin_density(psi), density, current, spin_current, rho, energy, total


def _combined(factors, slopes):
    """sum_k factors[k] slopes[k], by BLAS."""
    flat = slopes.reshape(len(slopes), int(np.prod(slopes.shape[1:]))).view(float)
    return (np.asarray(factors) @ flat).view(complex).reshape(slopes.shape[1:])


def _in_time(given):
    """A callable of time, of anything that may also be constant."""
    if callable(given):
        return lambda t: np.asarray(given(t), float)
    fixed = np.asarray(given, float)
    return lambda t: fixed
