"""Electrons in real time without any theory of leads: a long finite system evolves by Schroedinger's equation.

The device sits between leads that are finite, but long enough that nothing returns from their far ends
(`long_system.py`).  At t = 0 the electrons are in equilibrium; from then on moments, gates and the levels of the leads
may do anything, and the moments may obey the LLG equation in the field of the electrons.

A wave travels at most 2t columns per unit of time; `columns_needed` is what follows from this for n_lead.  For the same
reason the far columns are dropped when what they hold can no longer reach the device before the last time asked for.

All orbitals are integrated together by the explicit Runge-Kutta method of order 8 of Dormand and Prince with a fixed
step; `History.norm_error` says how far this was from unitary.  Everything that is a function of time has to be smooth
for t > 0.  Only numpy and scipy, nothing of the package.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.integrate import DOP853

from tests.oracles.long_system import SIGMA, LongSystem

__all__ = ["History", "LongSystem", "columns_needed", "evolve", "evolve_with_moments"]

_ABSENT = 1e-13  # orbitals with a smaller weight are left out
_STAGES = DOP853.n_stages
_DROPPED_TOGETHER = 6  # columns


def front(time, hopping, error):
    """Columns that a wave covers within `time`, but for an amplitude `error`: the tail of a Bessel function J_n(x).

    J_n(x) = (2/x)^(1/3) Ai(z), z = (2/x)^(1/3) (n - x), and Ai falls as exp(-2/3 z^(3/2)).
    """
    x = 2 * hopping * time
    return x + (1.5 * np.log(1 / error)) ** (2 / 3) * (max(x, 1.0) / 2) ** (1 / 3) + 4


def columns_needed(time, *, hopping=1.0, temperature=0.0, start="finite", error=1e-9):
    """n_lead with which the far ends are not felt before `time`, but for about `error`.

    start "finite": what the device sends out comes back after n_lead / hopping, and equilibrium itself feels the ends
    as exp(-pi kT n_lead / hopping); for kT = 0 only as a power of 1/n_lead: refused.
    start "infinite": equilibrium is that of endless leads, but not at rest where they are cut; the news of this takes
    n_lead / (2 hopping).
    """
    if start == "infinite":
        return int(np.ceil(front(time, hopping, error)))
    if temperature == 0:
        raise ValueError(
            "temperature = 0: the equilibrium of finite leads depends on their length; use start = 'infinite'"
        )
    return int(np.ceil(max(front(2 * time, hopping, error) / 2, hopping * np.log(1 / error) / (np.pi * temperature))))


@dataclass(frozen=True)
class History:
    """What was seen at `times` (k,).  Device arrays have (nx,) or (nx, ny) for `...`; leads are left, right.

    moments, spin (k, ..., 3): m and s_i = Tr[rho_i sigma].  density (k, ...): electrons on each site.
    current (k, 2), spin_current (k, 2, 3): particles, Tr[sigma/2 ...] per time INTO each lead at its contact.
    density_matrix (k, 2n, 2n): of the device, rho_ab = <c_b^+ c_a>; orbital 2 site + spin, site x * ny + y.
    energy (k,): Tr[H_device(t) rho], onsite, hopping, exchange and gates of the device; bonds to leads not included.
    total_energy (k,): the same of the whole finite system, voltages included; NaN unless it was kept `whole`.
    norm_error: largest change of the orbitals' overlaps, which no unitary evolution changes.
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


def evolve(system, times, moments, **options):
    """`History` of a `LongSystem` at `times` >= 0, ascending, for moments that move as they are told.

    moments: (..., 3) or callable t -> (..., 3).  Options:
    potential: gates, (...) or callable t -> (...), None = 0.
    voltages: (left, right) or callable t -> (left, right): shift of all levels of a lead, None = 0.
    before: what equilibrium at t = 0- has otherwise, a dict of constants "moments", "potential", "voltages"; what is
    not named there is as at t = 0.  A bias that begins at t = 0: before={"voltages": (0, 0)}.
    start: "finite" or "infinite", see `columns_needed`.
    step: None = `default_step`.  whole: keep all columns to the end, for the total energy.
    Raises ValueError if echoes from the far ends reach the device in time.
    """
    return _Run(system, moments, None, **options).history(times)


def evolve_with_moments(system, times, m, field, *, spin=1.0, damping=0.0, back_action=1.0, **options):
    """`History` for moments that start at m (..., 3) and obey the LLG equation in the field of the electrons:

        S dm/dt = -m x (B + back_action J_sd s) + S damping m x dm/dt

    field: callable (t, m) -> B = -dE/dm (..., 3), energy.  spin S: hbar.  Options as `evolve`.
    """
    return _Run(system, np.asarray(m, float), (field, spin, damping, back_action), **options).history(times)


def default_step(system):
    """A step with an error below 1e-9 up to t = 30 if gates and voltages stay below the hopping."""
    return 0.4 / ((2 if system.ny == 1 else 4) * system.hopping + abs(system.sd_exchange))


class _Run:
    """One evolution: the orbitals, what drives them, and what is seen."""

    def __init__(
        self,
        system,
        moments,
        law,
        *,
        potential=None,
        voltages=None,
        before=None,
        start="finite",
        step=None,
        whole=False,
    ):
        self.system, self.law, self.start, self.whole = system, law, start, whole
        self.longest = default_step(system) if step is None else step
        self.moments = _in_time(moments)
        self.potential = _in_time(np.zeros(system.shape) if potential is None else potential)
        self.voltages = _in_time((0.0, 0.0) if voltages is None else voltages)
        at_rest = {name: getattr(self, name)(0.0) for name in ("moments", "potential", "voltages")}
        unknown = set(before or {}) - set(at_rest)
        if unknown:
            raise ValueError(f"before has {sorted(unknown)}: allowed are {sorted(at_rest)}")
        at_rest |= before or {}
        weights, orbitals = system.equilibrium(at_rest["moments"], at_rest["potential"], at_rest["voltages"], start)
        # Electrons or holes, whichever are fewer: rho = Psi Psi^+ or 1 - Psi Psi^+.
        self.holes = weights.sum() > len(weights) / 2
        weights = 1 - weights if self.holes else weights
        kept = weights > _ABSENT
        self.m = self.moments(0.0) if law else None
        self.norm_error = 0.0
        self._take(system, orbitals[:, kept] * np.sqrt(weights[kept]))

    def _take(self, system, orbitals):
        """From now on these orbitals, (N, any number), of a system with this n_lead."""
        self.system = system
        self.orbitals = np.ascontiguousarray(orbitals)
        self.bonds = system.bonds()
        self.slopes = np.empty((_STAGES, *orbitals.shape), complex)
        self.overlap = orbitals.conj().T @ orbitals

    def _judge_norm(self):
        overlap = self.orbitals.conj().T @ self.orbitals
        self.norm_error = max(self.norm_error, float(abs(overlap - self.overlap).max(initial=0.0)))

    def drop_columns(self, time_left):
        """Forget the columns whose electrons cannot reach the device any more."""
        system, ny = self.system, self.system.ny
        enough = int(np.ceil(front(time_left, system.hopping, 1e-10)))
        if self.whole or enough > system.n_lead - _DROPPED_TOGETHER:
            return
        self._judge_norm()
        left, right = (2 * ny * (system.n_lead - enough) if c else 0 for c in system.couplings)
        psi = self.orbitals[left : len(self.orbitals) - right]
        if psi.shape[1] > psi.shape[0]:
            # Psi^+ = QR gives Psi Psi^+ = R^+ R: as many orbitals as rows are enough.
            psi = np.linalg.qr(psi.conj().T, mode="r").conj().T
        self._take(replace(system, n_lead=enough), psi)

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
        psi, m, slopes = self.orbitals, self.m, self.slopes
        turns = None if m is None else np.empty((_STAGES, *m.shape))
        for k, (a, c) in enumerate(zip(DOP853.A[:_STAGES], DOP853.C[:_STAGES], strict=True)):
            m_k = None if m is None else m + h * np.tensordot(a[:k], turns[:k], 1)
            slopes[k], dm = self.slope(t + c * h, _advanced(psi, h * a[:k], slopes), m_k)
            if m is not None:
                turns[k] = dm
        self.orbitals = _advanced(psi, h * DOP853.B, slopes)
        if m is not None:
            self.m = m + h * np.tensordot(DOP853.B, turns, 1)

    def history(self, times):
        times = np.atleast_1d(np.asarray(times, float))
        if times[0] < 0 or (np.diff(times) <= 0).any():
            raise ValueError(f"times = {times}: allowed are ascending times, 0 or later")
        system, last = self.system, times[-1]
        shortest = system.hopping * last * (2 if self.start == "infinite" else 1)
        if any(system.couplings) and system.n_lead < shortest:
            raise ValueError(
                f"n_lead = {system.n_lead}: echoes reach the device before t = {last}; more than {shortest} columns "
                "are needed, see columns_needed"
            )
        now, seen = 0.0, []
        for until in times:
            count = int(np.ceil((until - now) / self.longest - 1e-9))
            h = (until - now) / max(count, 1)
            for k in range(count):
                self.drop_columns(last - now - k * h)
                self.step(now + k * h, h)
            now = until
            seen.append(self.look(now))
        self._judge_norm()
        return History(times, *(np.array(q) for q in zip(*seen, strict=True)), self.norm_error)

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
        total = np.nan
        if self.whole:
            total = np.vdot(psi, H @ psi).real
            total = np.trace(H).real - total if self.holes else total
        return m, self.spin_density(psi), density, current, spin_current, rho, energy, total


def _advanced(psi, factors, slopes):
    """psi + sum_k factors[k] slopes[k], the sum by BLAS."""
    if not len(factors):
        return psi
    new = (factors @ slopes[: len(factors)].reshape(len(factors), -1).view(float)).view(complex).reshape(psi.shape)
    new += psi
    return new


def _in_time(given):
    """A callable of time, of anything that may also be constant."""
    if callable(given):
        return lambda t: np.asarray(given(t), float)
    fixed = np.asarray(given, float)
    return lambda t: fixed
