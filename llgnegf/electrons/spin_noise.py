"""Fluctuations of the electrons' spin density at frozen moments: white noise, for motions that are slow beside it.

The symmetrised correlator at frequency zero, s_i^a the operator of Tr[rho_i sigma_a],

    C_ij^ab = int dt <{ds_i^a(t), ds_j^b(0)}>/2
            = int dE/2pi sum_ll' f_l (1 - f_l') Re Tr[sigma_a^i A_l sigma_b^j A_l'],     A_l = G Gamma_l G^+,

follows from Wick's theorem with G< = i sum f_l A_l and G> = -i sum (1 - f_l) A_l (M. Buettiker, Phys. Rev. B 46,
12485 (1992), for currents).  It is symmetric under exchange of (i, a) and (j, b), and positive semi-definite.  With one
Fermi function it is kT int dE/2pi (-f') Re Tr[sigma A sigma A]: the field J_sd s then fluctuates as fluctuation and
dissipation ask, J_sd^2 C = 2 kT alpha, with alpha the symmetric part of the damping that the electrons exert.  At
kT = 0 a bias leaves f_l (1 - f_l') = 1 between the chemical potentials: shot noise.

Levels that no lead broadens have no white noise, and no friction; they are left out.

C is a sum of squares over energies and pairs of open channels, of which there are few: X_i^a = psi^+ sigma_a^i psi of
scattering states psi, C = sum w (Re X Re X + Im X Im X).  So a sample needs no root of C and no pair of sites: on many
sites numbers are drawn for energies and pairs of channels, and states come from a sweep along the system.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .block_columns import BlockColumns
from .counter import Counter
from .leads import Occupation
from .narrow_levels import MOST_ORBITALS, may_be_narrow, narrow_levels
from .pauli import SIGMA
from .quadrature import ToleranceError
from .sweeps import Sweeps
from .system import BIAS_TAILS, System
from .window import Factor, Rule, Window

Floats = NDArray[np.float64]
Matrix = NDArray[np.complex128]

# The matrix and the dense Green's functions of more sites would take too long.
MOST_SITES = 64
# Samples: narrow levels are found by dense eigenvalue solvers.
MOST_SITES_OF_SAMPLES = MOST_ORBITALS // 2
# Levels narrower than this over the hopping have no contact to a lead.
_NO_WIDTH = 1e-11
# Levels wider than this over the hopping are seen by any rule.
_WIDE = 0.05
# What the rule may miss, relative to the largest diagonal element of the result.
_TOLERANCE = 1e-6
_MOST_ENERGIES = 20_000
_CHUNK = 64 << 20  # bytes


class SpinNoise:
    """The correlator of one texture, from scattering states of a dense Hamiltonian.

    sweeps: of the texture; counter: of Green's functions; most: sites, MOST_SITES for the matrix,
    MOST_SITES_OF_SAMPLES for samples of its noise.  ValueError for a bath, and for more sites.
    """

    def __init__(self, device: System, sweeps: Sweeps, counter: Counter, most: int = MOST_SITES) -> None:
        if device.bath is not None:
            raise ValueError(f"spin_noise: not available with a bath on sites, {device.bath!r}; use bath=None")
        if device.n_sites > most:
            raise ValueError(
                f"spin_noise: not available on {device.n_sites} sites; allowed: up to {most}"
                f"{', since it needs every pair of them' if most == MOST_SITES else ''}"
            )
        self._device, self._sweeps, self._counter = device, sweeps, counter
        self._h = sweeps.dense_hamiltonian()
        self._is_large = device.n_sites > MOST_SITES
        self._occupations = [lead.occupation if lead.coupling else device.occupation for lead in device.ends]

    @cached_property
    def matrix(self) -> Floats:
        """C, (N, N, 3, 3), [i, j, a, b], of all N sites in the order of the lattice; time/hbar is 1/energy.

        Raises ToleranceError where its integral over energy does not converge.
        """
        n = self._device.n_sites
        total = np.zeros((3 * n, 3 * n))
        if not self._window.stretches or self._is_still:
            return total.reshape(n, 3, n, 3).swapaxes(1, 2)
        rule = self._rule
        step = self._chunk
        for begin in range(0, len(rule.energies), step):
            chosen = slice(begin, begin + step)
            for k, x in enumerate(self._pairs(rule.energies[chosen])):
                weights = rule.weights[k, chosen] / (2 * np.pi)
                # Re sum_cc' X_i[c', c] X_j[c, c'] with X hermitian.
                flat = x.reshape(len(weights), 3 * n, -1)
                total += np.einsum("e,eip,ejp->ij", weights, flat.real, flat.real, optimize=True)
                total += np.einsum("e,eip,ejp->ij", weights, flat.imag, flat.imag, optimize=True)
        return total.reshape(n, 3, n, 3).swapaxes(1, 2)

    def sample(self, numbers: Generator) -> Floats:
        """A random spin density (N, 3) with the covariance C, from independent normal numbers.

        Raises ToleranceError where the integral of C over energy does not converge.
        """
        found = np.zeros((self._device.n_sites, 3))
        if not self._window.stretches or self._is_still:
            return found
        rule = self._rule
        for begin in range(0, len(rule.energies), self._chunk):
            chosen = slice(begin, begin + self._chunk)
            for k, x in enumerate(self._pairs(rule.energies[chosen])):
                sizes = np.sqrt(np.maximum(rule.weights[k, chosen], 0.0) / (2 * np.pi))[:, None, None]
                drawn = numbers.standard_normal((2, len(sizes), *x.shape[-2:])) * sizes
                found += np.einsum("eiapq,epq->ia", x.real, drawn[0])
                found += np.einsum("eiapq,epq->ia", x.imag, drawn[1])
        return found

    @property
    def _is_still(self) -> bool:
        """Whether nothing fluctuates: all leads filled alike, at kT = 0."""
        left, right = self._occupations
        return left == right and left.temperature == 0.0

    @cached_property
    def _window(self) -> Window:
        left, right = self._occupations
        steps = tuple((one.fermi_energy, one.temperature) for one in (left, right))

        def within(one: Occupation) -> Factor:
            return Factor(lambda e: one(e) * (1 - one(e)), ((one.fermi_energy, one.temperature),))

        across = Factor(lambda e: left(e) * (1 - right(e)) + right(e) * (1 - left(e)), steps)
        low = min(mu - BIAS_TAILS * kT for mu, kT in steps)
        high = max(mu + BIAS_TAILS * kT for mu, kT in steps)
        device = self._device
        factors = [within(left), within(right), across]
        return Window(factors, low, high, device.band, device.openings, device.hopping, 2 * device.n_sites)

    @cached_property
    def _rule(self) -> Rule:
        """Energies and weights by the diagonal elements, which bound all others."""
        window, device = self._window, self._device

        def diagonal(energies: Floats) -> Floats:
            chunks = range(0, len(energies), self._chunk)
            return np.concatenate([self._sizes(energies[begin : begin + self._chunk]) for begin in chunks])

        edges = window.divided(self._levels)
        smallest = 1e-13 * device.hopping
        coarse = window.panels.adapted(edges, diagonal, lambda values: values, np.inf, smallest, _MOST_ENERGIES)
        scale = float(coarse.integral(coarse.values).max())
        if scale == 0.0:
            return coarse
        for _ in range(3):  # the first panels may see little of a narrow level
            rule = window.panels.adapted(
                edges, diagonal, lambda values: values, _TOLERANCE * scale, smallest, _MOST_ENERGIES
            )
            found = float(rule.integral(rule.values).max())
            if found < 2 * scale:
                return rule
            scale = found
        raise ToleranceError(
            "the fluctuations of the electrons did not converge: a level is too narrow; use a stronger coupling to the "
            "leads, or a higher temperature"
        )

    @property
    def _chunk(self) -> int:
        """Energies at once."""
        n = 2 * self._device.n_sites
        if self._is_large:  # factors of the slices, states, and X
            width = n // self._device.shape[0]
            return max(1, _CHUNK // (16 * n * (4 * width + 3 * width**2)))
        return max(1, _CHUNK // (16 * n * (2 * n + 3 * 64)))

    def _sizes(self, energies: Floats) -> Floats:
        """sum_cc' |X_i[c', c]|^2 by pair of leads, (e, 3, 3 N)."""
        parts = [(abs(x) ** 2).sum(axis=(-2, -1)).reshape(len(energies), -1) for x in self._pairs(energies)]
        return np.stack(parts, axis=1)

    def _pairs(self, energies: Floats) -> list[Matrix]:
        """X_i^a = psi^+ sigma_a^i psi between states of left and left, right and right, left and right.

        Each (e, N, 3, p, p'), columns of modes that are open at no energy zero.
        """
        left, right = self._states(energies)

        def between(bra: Matrix, ket: Matrix) -> Matrix:
            return np.asarray(np.einsum("eisp,ast,eitq->eiapq", bra.conj(), SIGMA, ket, optimize=True))

        return [between(left, left), between(right, right), between(left, right)]

    def _states(self, energies: Floats) -> list[Matrix]:
        """Scattering states G sqrt(Gamma) of both leads, each (e, N, 2, p)."""
        device = self._device
        self._counter.add(len(energies))
        n, z = 2 * device.n_sites, energies.astype(complex)
        if self._is_large:
            return self._states_by_slices(z)
        matrix = z[:, None, None] * np.eye(n) - self._h
        width = n // device.shape[0]
        ends = (slice(0, width), slice(n - width, n))
        for lead, end in zip(device.ends, ends, strict=True):
            matrix[:, end, end] -= lead.self_energy(z)
        injected = [[lead.injection(float(e)) for e in energies] for lead in device.ends]
        found: list[Matrix] = []
        for one, end in zip(injected, ends, strict=True):
            most = max(source.shape[1] for source in one)
            sources = np.zeros((len(energies), n, most), complex)
            for k, source in enumerate(one):
                sources[k, end, : source.shape[1]] = source
            states = np.asarray(np.linalg.solve(matrix, sources)) if most else sources
            found.append(states.reshape(len(energies), device.n_sites, 2, most))
        return found

    def _states_by_slices(self, z: Matrix) -> list[Matrix]:
        left, right = self._device.ends
        sigma = left.self_energy(z), right.self_energy(z)
        solver = self._blocks.at(z, *sigma)
        found: list[Matrix] = []
        for lead, first in ((left, True), (right, False)):
            injected = [lead.injection(float(e)) for e in z.real]
            most = max(source.shape[1] for source in injected)
            sources = np.zeros((len(z), len(self._h), most), complex)
            for k, source in enumerate(injected):
                rows = slice(0, len(source)) if first else slice(len(self._h) - len(source), None)
                sources[k, rows, : source.shape[1]] = source
            states = solver.solve(sources) if most else sources
            found.append(states.reshape(len(z), self._device.n_sites, 2, most))
        return found

    @cached_property
    def _blocks(self) -> BlockColumns:
        return BlockColumns.of_dense(self._h, self._device.shape[0])

    @cached_property
    def _levels(self) -> list[tuple[float, float]]:
        """Narrow resonances (energy, half-width) in the window, from H with the self-energies at their own energies."""
        device, window = self._device, self._window
        if self._is_large:
            if not may_be_narrow(self._sweeps, window.edges):
                return []
            levels = narrow_levels(self._sweeps, window.stretches, lambda _e, width: width < device.hopping)
            return [(one.energy, one.width) for one in levels]
        n = 2 * device.n_sites
        width = n // device.shape[0]
        ends = (slice(0, width), slice(n - width, n))

        def dressed(energy: float) -> NDArray[np.complex128]:
            matrix = self._h.copy()
            for lead, end in zip(device.ends, ends, strict=True):
                matrix[end, end] += lead.self_energy(np.array([energy + 0j]))[0]
            return np.asarray(np.linalg.eigvals(matrix), dtype=complex)

        middle = (window.low + window.high) / 2
        found = []
        for first in dressed(middle):
            level = first
            for _ in range(3):
                if -level.imag > _WIDE * device.hopping:
                    break
                near = dressed(level.real)
                level = near[np.argmin(abs(near - level))]
            width = -level.imag / device.hopping
            if _NO_WIDTH < width < _WIDE and window.low < level.real < window.high:
                found.append((float(level.real), float(-level.imag)))
        return found
