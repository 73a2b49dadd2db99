"""How the electrons of a chain or lattice remember small motions of its moments, at any frequency.

About moments m^0 that stood still, with the electrons in equilibrium, or steady between leads with Fermi functions of
their own, to first order in what the moments moved since,

    ds_i(t) = sum_j int_0^inf chi_ij(tau) dm_j(t - tau) dtau,      chi(omega) = int_0^inf chi(tau) exp(i omega tau) dtau

where -J_sd chi(omega) is K(omega) of `response.py`, and chi(0) the static susceptibility: (27) to (30) of Xu et al.,
Phys. Rev. B 108, 144409 (2023), with the moments of all sites, and about a texture in place of no moment.  It is the
equation of electrons in real time (`real_time.py`), to first order in dH = -J_sd sum_j sigma.dm_j: with R its state at
rest and A its matrix, a kick of dH leaves -i dH R + h.c. behind, so that

    chi_ij^ab(tau) = 2 Re Tr[ sigma_a^i U(tau) i J_sd sigma_b^j L(tau) ],      U = [exp(A tau)]_oo,
                                                                               L = [exp(A tau) R]_oo^+,

o: the orbitals.  The memory of the leads is a sum of exponentials there, and so chi is one, of all pairs of values of
A: nothing is cut off, levels without width, which never forget, included.  A run holds one number for each pair, Y with
2 Re Tr[sigma_a (v Y w^+)_ii] = ds_i^a, which grows within a step by an integral that is exact where dm changes
linearly.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.errors import RunWarning

from .pauli import PAULI
from .real_time import RealTime
from .real_time_leads import adjusted, error_near_edges
from .system import System

Complex = NDArray[np.complex128]
Floats = NDArray[np.float64]

# Below this |x| functions of x are summed as series.
_SMALL = 0.1
_TERMS = 9


@dataclass(frozen=True, eq=False)
class DeviceMemory:
    """chi of N sites as exponentials; k: values of A, k' : those with the poles of the Fermi function.

    sd_exchange: J_sd, energy.  left: (k,), its values, energy; shown: (2 N, k), forced: (k, 2 N), U = shown exp(left
    tau) forced.  right: (k',), energy, seen: (2 N, k'), held: (k', 2 N), L^+ = seen exp(right tau) held.
    orbitals: (N, 2), rows of spin up and down of each site in those matrices.
    """

    sd_exchange: float
    left: Complex
    shown: Complex
    forced: Complex
    right: Complex
    seen: Complex
    held: Complex
    orbitals: NDArray[np.int64]

    @classmethod
    def of(cls, system: System, m: ArrayLike, duration: float) -> DeviceMemory:
        """Of a device at moments m (n, 3) or (nx, ny, 3); duration: how long chi is needed, 1/energy.

        RunWarning where its error may grow beyond the tolerance within `duration`.  Raises ToleranceError where the
        tolerance of the device cannot be had, ValueError for probes on sites, a spin bias, vacancies, or a J_sd of each
        site.
        """
        if system.bath is not None and system.bath.zero_current is not False:
            raise ValueError(
                f"memory of a device: not available with probes on sites, {system.bath!r}; use zero_current=False"
            )
        if system.vacancies or system.fills_spins or not isinstance(system.sd_exchange, float):
            raise ValueError(
                "memory of a device: known for one J_sd, without vacancies, between leads without spin_bias"
            )
        moments = np.asarray(m, float).reshape(*system.shape, 3)
        still = np.zeros(system.shape)
        electrons, _, state = adjusted(system, moments, still, duration, lambda found: found, at_voltages=True)
        error = error_near_edges(system, electrons.fit, duration)
        if error > system.tolerance:
            warnings.warn(
                f"the memory of the leads is known to {electrons.fit.error:.1e} at best; within {duration:g} this may "
                f"become {error:.1e} in what electrons remember where levels lie near the edges of the leads' bands, "
                f"more than electrons.tolerance = {system.tolerance:g}: only a larger tolerance or a shorter run is "
                "sure",
                RunWarning,
                stacklevel=2,
            )
        return cls.about(electrons, state, moments)

    @classmethod
    def about(cls, electrons: RealTime, state: Floats, m: Floats) -> DeviceMemory:
        """From electrons in real time and their state at rest at moments m."""
        N, D, R = electrons.orbitals, electrons.D, state[:, 0] + 1j * state[:, 1]
        A = _matrix(electrons, m)
        left, vectors = np.linalg.eig(A[:D, :D])
        right, both = np.linalg.eig(A)
        at_rest = np.concatenate([R[:, :N], R[:N, D:].conj().T])
        site = np.arange(electrons.nx * electrons.ny)
        up = site // electrons.ny * electrons.n + site % electrons.ny
        J, orbitals = electrons.system.sd_exchange, up[:, None] + electrons.ny * np.arange(2)
        assert isinstance(J, float)  # `of` refuses others
        turned = [vectors[:N], np.linalg.inv(vectors)[:, :N], both[:N], np.linalg.solve(both, at_rest)]
        if electrons.given.frame is not None:
            # In the given axes: spinors of the frame as columns, rows those outside of it.
            back = np.zeros((N, N), complex)
            back[orbitals[:, :, None], orbitals[:, None]] = electrons.given.frame.spinors[site // electrons.ny]
            there = back.conj().T
            turned = [back @ turned[0], turned[1] @ there, back @ turned[2], turned[3] @ there]
        return cls(J, left, turned[0], turned[1], right, turned[2], turned[3], orbitals)

    def kernel(self, tau: ArrayLike) -> Floats:
        """chi_ij^ab at times tau >= 0 (n,), 1/energy: (n, N, N, 3, 3), [time, i, j, a, b], energy."""
        t = np.asarray(tau, float)[:, None, None]
        U = (self.shown * np.exp(t * self.left)) @ self.forced
        L = np.conj(np.swapaxes((self.seen * np.exp(t * self.right)) @ self.held, 1, 2))
        at = self.orbitals
        pairs = U[:, at[:, None, :, None], at[None, :, None, :]], L[:, at[:, None, :, None], at[None, :, None, :]]
        sigma = PAULI[1:]
        found = np.einsum("apq,tijqr,brs,tjisp->tijab", sigma, pairs[0], sigma, pairs[1], optimize=True)
        return np.asarray((2j * self.sd_exchange * found).real)

    def at_frequency(self, omega: complex) -> Complex:
        """chi_ij^ab(omega), Im omega >= 0, energy: (N, N, 3, 3), 1.

        Where levels have no width it diverges at the frequencies at which they ring, and is not known below
        1/duration: a level that never forgets is one with a width of that order here.
        """
        at, sigma = self.orbitals, PAULI[1:]
        # chi(tau) is real: half of it is that sum over pairs, the other half its conjugate.
        rate = self.left[:, None] + self.right.conj()
        halves = []
        for frequency in (omega, -np.conj(omega)):
            response = -1 / (rate + 1j * frequency)
            U, W = self.shown[at], self.forced[:, at]  # (i, q, k), (k, j, r)
            L, held = self.seen[at].conj(), self.held[:, at].conj()  # (i, p, l), (l, j, s)
            found = np.einsum("apq,iqk,kjr,brs,ljs,ipl,kl->ijab", sigma, U, W, sigma, held, L, response, optimize=True)
            halves.append(1j * self.sd_exchange * found)
        return np.asarray(halves[0] + np.conj(halves[1]))

    def remembered(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays, for `recalled`: the same bits, whatever library found the values of A."""
        return {f"memory_{one.name}": np.asarray(getattr(self, one.name)) for one in fields(self)}

    @classmethod
    def recalled(cls, arrays: Mapping[str, NDArray[Any]]) -> DeviceMemory:
        """The same again, from what `remembered` gave.  KeyError, ValueError where that is something else."""
        given: dict[str, Any] = {one.name: arrays[f"memory_{one.name}"] for one in fields(cls)}
        found = cls(**given | {"sd_exchange": float(given["sd_exchange"])})
        k, both, N = len(found.left), len(found.right), 2 * len(found.orbitals)
        shapes = {"shown": (N, k), "forced": (k, N), "seen": (N, both), "held": (both, N), "orbitals": (N // 2, 2)}
        for name, shape in shapes.items():
            if getattr(found, name).shape != shape or not np.isfinite(getattr(found, name)).all():
                raise ValueError(f"memory_{name}: not finite of shape {shape}")
        return found


class Steps:
    """What the electrons remember of the past of a run in steps of length dt, 1/energy."""

    def __init__(self, memory: DeviceMemory, dt: float) -> None:
        self.memory, self.dt = memory, dt
        x = dt * (memory.left[:, None] + memory.right.conj())
        first, second = _integrals(x)
        self._decay = np.exp(x)
        # Of dm at the beginning and at the end of the step.
        self._begin, self._end = dt * (first - second), dt * second
        n = 3 * len(memory.orbitals)
        self._at_once = np.empty((n, n))
        for k, unit in enumerate(np.eye(n).reshape(n, -1, 3)):
            self._at_once[:, k] = self.spin(self._end * self._kicked(unit)).ravel()

    @property
    def nothing(self) -> Complex:
        """Y where nothing has moved yet."""
        return np.zeros((len(self.memory.left), len(self.memory.right)), complex)

    def _kicked(self, moved: Floats) -> Complex:
        """What dm (N, 3) adds to Y, over the time."""
        of, N = self.memory, len(moved)
        H = np.einsum("ia,apq->ipq", -self.memory.sd_exchange * moved, PAULI[1:])
        forced, held = of.forced[:, of.orbitals], of.held[:, of.orbitals].conj()
        turned = -1j * np.einsum("kip,ipq->kiq", forced, H).reshape(-1, 2 * N)
        return np.asarray(turned @ held.reshape(-1, 2 * N).T)

    def goes_on(self, Y: Complex, moved: Floats) -> Complex:
        """Y at the end of a step, without what dm (N, 3) is there; moved: what it is at its beginning."""
        return self._decay * Y + self._begin * self._kicked(moved)

    def ends(self, Y: Complex, moved: Floats) -> Complex:
        """Y of `goes_on` with what dm (N, 3) is at the end of the step."""
        return Y + self._end * self._kicked(moved)

    def spin(self, Y: Complex) -> Floats:
        """ds (N, 3) of a Y."""
        of, at = self.memory, self.memory.orbitals
        shown = of.shown @ Y
        rho = np.einsum("ipk,iqk->ipq", shown[at], of.seen[at].conj())
        return np.asarray(2 * np.einsum("apq,iqp->ia", PAULI[1:], rho).real)

    def spin_at_once(self, moved: Floats) -> Floats:
        """What dm (N, 3) at the end of a step adds to ds there."""
        return np.asarray((self._at_once @ moved.ravel()).reshape(moved.shape))


def _matrix(electrons: RealTime, m: Floats) -> Complex:
    """A at moments m, the exponents of the Fermi function among its rows, which are met but do not meet: g = 0."""
    N, D, n = electrons.orbitals, electrons.D, electrons.n
    A = np.zeros((D + electrons.E, D + electrons.E), complex)
    A[:N, :N] = -1j * electrons.hamiltonian(m, np.zeros(electrons.system.shape))
    for lead, end in enumerate(electrons.ends.tolist()):
        channels = np.zeros((N, n), complex)
        channels[end * n : (end + 1) * n] = electrons.channels(lead)
        for k in range(electrons.kept):
            rows = slice(N + (lead * electrons.kept + k) * n, N + (lead * electrons.kept + k + 1) * n)
            A[:N, rows], A[rows, :N] = channels, -electrons.g[lead, k] * channels.conj().T
            A[rows, rows] = np.diag(-1j * electrons.z[lead, k].reshape(n))
        for p in range(electrons.n_poles):
            rows = slice(D + (lead * electrons.n_poles + p) * n, D + (lead * electrons.n_poles + p + 1) * n)
            A[:N, rows] = channels
            A[rows, rows] = np.diag(-1j * np.repeat(electrons.poles[lead, p], n // 2))
    for q, width in enumerate(electrons.widths.tolist()):
        at = electrons.bath[q]
        A[at, at] -= width / 2
        for p, pole in enumerate(electrons.bath_poles[q].tolist()):
            rows_of_pole = electrons.rows_of_pole(q, p)
            A[at, rows_of_pole], A[rows_of_pole, rows_of_pole] = 1.0, -1j * pole
    return A


def _integrals(x: Complex) -> tuple[Complex, Complex]:
    """int_0^1 exp(x s) ds and int_0^1 (1 - s) exp(x s) ds."""
    small = abs(x) < _SMALL
    safe = np.where(small, 1.0, x)
    first, second = np.expm1(safe) / safe, (np.expm1(safe) - safe) / safe**2
    term = np.ones_like(x)
    near = np.zeros_like(x), np.zeros_like(x)
    for k in range(1, _TERMS + 2):  # x^(k-1)/k!, and x^(k-1)/(k+1)!
        term = term / k if k == 1 else term * x / k
        near[0][...] += term
        near[1][...] += term / (k + 1)
    return np.where(small, near[0], first), np.where(small, near[1], second)
