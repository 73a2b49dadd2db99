"""Scattering states of a square lattice at one real energy: density of states, transmission, Fermi-surface terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .lattice_parts import LatticeParts
from .nested_dissection import Factors
from .pauli import pauli_traces
from .slice_blocks import Slices, Stack
from .slices import eliminate, new, solve, solve_adjoint
from .slices_near_levels import BandFactors, growth

# If an element of g of a partial lattice exceeds this value times 1/hopping, the whole band matrix is factorized with
# row pivoting.
_LARGEST_PARTIAL = 1e3
# Beyond this value digits may be lost: transmission and density of states, which users ask for, have a step of
# iterative refinement then, if the residual exceeds this share of the sources in one of a few sums of columns.
_LARGE_PARTIAL = 5.0
_LARGEST_RESIDUAL = 5e-12
_PROBES = 4


@dataclass(frozen=True)
class _Eliminated:
    """E - H - Sigma as g (nx, n, n) of partial lattices of these slices."""

    g: Stack
    slices: Slices

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""
        return self.g.nbytes

    def solve(self, sources: Stack, adjoint: bool = False) -> Stack:
        """G sources, or G^+ sources, both (nx, n, p)."""
        return (solve_adjoint if adjoint else solve)(self.g, self.slices, sources)


class RealEnergy:
    """Scattering states psi = G sqrt(Gamma) of all open modes of both leads at one real energy.

    Elimination starts at the better connected lead.  If it started at a closed end, partial lattices would have
    discrete levels, and close to them digits would be lost.  Where that still happens, LU factors of the whole band
    matrix with row pivoting are used instead.

    On large lattices nested dissection takes the place of elimination, in the order of the lattice.

    psi: (nx, 2 ny, p), slices in the order of the sweep, i.e. reversed if `flipped`; columns: first those of the left
    lead, then those of the right lead, spin fastest.  Products with dH/dt = `rate` take it in the order of the lattice,
    (nx, ny, 2, 2).
    """

    def __init__(self, lattice: LatticeParts, energy: float) -> None:
        device = lattice.device
        self.shape, self.energy, self._leads = device.shape, energy, device.ends
        z = np.array([energy], complex)
        sigma = tuple(lead.self_energy(z) for lead in device.ends)
        self._sigma = [one[0] for one in sigma]
        self.ends = [lead.injection(energy) for lead in device.ends]
        self._by_spin = device.fills_spins
        factors = None
        if lattice.nested is not None:
            with device.scratch.lent() as temporary:
                factors = lattice.nested.factorize(complex(energy), new, temporary)
        self._solver: Factors | BandFactors | _Eliminated
        if factors is not None:
            self.flipped, self._growth, self._solver = False, factors.growth, factors
            self._hamiltonian: Callable[[Stack], Stack] = factors.lattice.times
        else:
            self.flipped = lattice.contacts[0] > lattice.contacts[1]
            slices = lattice.slices.reversed() if self.flipped else lattice.slices
            first, last = sigma[::-1] if self.flipped else sigma
            g = eliminate(slices, z, (first, last))[0][0]
            self._growth = float(growth(g[None], slices.hops)[0])
            self._solver = _Eliminated(g, slices)
            # Written with `not`, so that NaN counts as too large.
            if not self._growth <= _LARGEST_PARTIAL:
                self._solver = BandFactors(slices, energy, (first[0], last[0]))
            self._hamiltonian = slices.times
        self.psi = self._solver.solve(self._sources())

    def _sources(self) -> NDArray[np.complex128]:
        """sqrt(Gamma) of both leads as right-hand sides, (nx, 2 ny, p), in the layout of `psi`."""
        left, right = self.ends
        nx, ny = self.shape
        out = np.zeros((nx, 2 * ny, left.shape[1] + right.shape[1]), complex)
        first, last = (-1, 0) if self.flipped else (0, -1)
        out[first, :, : left.shape[1]] += left
        out[last, :, left.shape[1] :] += right
        return out

    @cached_property
    def refined(self) -> NDArray[np.complex128]:
        """`psi` after a step of iterative refinement, where elimination lost digits near levels of partial lattices."""
        psi = self.psi
        if isinstance(self._solver, BandFactors) or self._growth <= _LARGE_PARTIAL or not psi.size:
            return psi
        sources = self._sources()
        sums = np.random.default_rng(0).choice([-1.0, 1.0], (psi.shape[-1], _PROBES)) + 0j
        scale = np.abs(sources @ sums).max()
        if np.abs(self._residual(psi @ sums, sources @ sums)).max() <= _LARGEST_RESIDUAL * scale:
            return psi
        return psi + self._solver.solve(self._residual(psi, sources))

    def _residual(self, x: NDArray[np.complex128], sources: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """sources - (E - H - Sigma) x, all (nx, 2 ny, p) in the order of the sweep."""
        residual = self._hamiltonian(x)
        residual -= self.energy * x
        residual += sources
        for end, sigma in zip(self._end_slices, self._sigma, strict=True):
            residual[end] += sigma @ x[end]
        return residual

    @property
    def nbytes(self) -> int:
        """Memory of the kept arrays, bytes."""
        return self._solver.nbytes + self.psi.nbytes

    def _ordered(self, values: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Reorder the first axis from the order of the sweep to that of the lattice, or back."""
        return values[::-1] if self.flipped else values

    def _times(self, rate: NDArray[np.complex128], psi: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Hd psi in the order of the sweep."""
        nx, ny = self.shape
        return (self._ordered(rate) @ psi.reshape(nx, ny, 2, psi.shape[-1])).reshape(psi.shape)

    def _site_products(self, a: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Blocks (nx, ny, 2, 2) of a b^+ in the order of the lattice."""
        nx, ny = self.shape
        # Explicit sizes, here and below: without open modes there are no columns, and -1 would be ambiguous.
        a, b = (x.reshape(nx, ny, 2, x.shape[-1]) for x in (a, b))
        return self._ordered(a @ np.conj(np.swapaxes(b, -1, -2)))

    @cached_property
    def states(self) -> NDArray[np.float64]:
        """G Gamma G^+ traced, 2 pi times the local density of states: (nx, ny, 4), 1/energy."""
        return np.real(pauli_traces(self._site_products(self.psi, self.psi)))

    @cached_property
    def refined_states(self) -> NDArray[np.float64]:
        """`states` of `refined`."""
        return np.real(pauli_traces(self._site_products(self.refined, self.refined)))

    def driven_states(self, rate: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """G Hd psi in the order of the sweep."""
        return self._solver.solve(self._times(rate, self.psi))

    def driven(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Im[G Hd G Gamma G^+] traced: (nx, ny, 4)."""
        return np.imag(pauli_traces(self._site_products(self.driven_states(rate), self.psi)))

    def driven_over(
        self, rate: NDArray[np.complex128], starts: NDArray[np.intp], ends: NDArray[np.intp]
    ) -> NDArray[np.complex128]:
        """Traces of i (A_ab - A_ba) and of A_ab + A_ba, their imaginary and real parts: (..., 4), for bonds a to b.

        i Re[Tr sigma (A_ab - A_ba)] + Im[Tr sigma (A_ab + A_ba)], A = G Hd G Gamma G^+.  starts, ends: indices x ny + y
        of a and b, arrays of the same shape.
        """
        a, b = (
            self._ordered(x).reshape(self.shape[0] * self.shape[1], 2, x.shape[-1])
            for x in (self.driven_states(rate), self.psi)
        )
        forth, back = (
            pauli_traces(a[i] @ np.conj(np.swapaxes(b[j], -1, -2))) for i, j in ((starts, ends), (ends, starts))
        )
        return np.imag(forth + back) + 1j * np.real(forth - back)

    def biased(
        self, rate: NDArray[np.complex128] | None, bonds: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.complex128] | None, NDArray[np.float64], NDArray[np.float64]]:
        """Scattering states of either lead by itself, and with `rate` = dH/dt their change to first order.

        Returns the arrays of one energy in `chain_rows.BiasedRows`: on the sites (s, f, nx, ny, 4), over the bonds from
        sites bonds[0] to bonds[1] (indices x ny + y), or None, the traces of 2 rho_(end,start), whose imaginary parts
        are flows for a hopping of 1, into the leads (s, f, 2, 4), and stored (s, f - 1, 2); s = 2 leads, or 4 spins of
        leads, as `System.sources`.
        The change is -i chi with chi = -dG/dE Hd psi = G B G Hd psi, B = 1 - dSigma/dE.
        """
        states = [self.psi]
        if rate is not None:
            x = self.driven_states(rate)
            source = x.copy()
            for end, slope in zip(self._end_slices, self._slopes, strict=True):
                source[end] -= slope @ x[end]
            states.append(self._solver.solve(source))
        sites: list[list[NDArray[np.float64]]] = []
        over: list[list[NDArray[np.complex128]]] = []
        into: list[list[list[NDArray[np.float64]]]] = []
        stored = np.zeros((len(self._groups), len(states) - 1, 2))
        for s, (p, columns) in enumerate(self._groups):
            psi, *chi = (one[:, :, columns] for one in states)
            sites.append([np.real(pauli_traces(self._site_products(psi, psi)))])
            if chi:
                sites[-1].append(2 * np.imag(pauli_traces(self._site_products(chi[0], psi))))
            if bonds is not None:
                a, b = bonds
                ordered = [self._by_site(one) for one in (psi, *chi)]
                over.append([2 * _pairs(ordered[0], ordered[0], b, a)])
                if chi:
                    change = _pairs(ordered[1], ordered[0], b, a) - _pairs(ordered[0], ordered[1], b, a)
                    over[-1].append(-2j * change)
            into.append([[], []] if chi else [[]])
            for q, end in enumerate(self._end_slices):
                # u = -(hopping to the lead) times the state on the first slice of the lead.
                u = self._sigma[q] @ psi[end]
                if p == q:
                    u = u + self._injected[:, columns]
                into[-1][0].append(-2 * np.imag(_over_slice(u, psi[end])))
                if chi:
                    v = self._sigma[q] @ chi[0][end] - self._slopes[q] @ x[end][:, columns]
                    into[-1][1].append(2 * np.real(_over_slice(v, psi[end]) - _over_slice(u, chi[0][end])))
                    stored[s, 0, q] = -2 * np.vdot(psi[end], self._sigma[q] @ x[end][:, columns]).real
        return np.array(sites), np.array(over) if bonds is not None else None, np.array(into), stored

    @cached_property
    def _groups(self) -> list[tuple[int, slice]]:
        """Of each of `System.sources` the lead, 0 or 1, and its columns of `psi`."""
        split, all_columns = self.ends[0].shape[1], self.psi.shape[-1]
        if not self._by_spin:
            return [(0, slice(0, split)), (1, slice(split, all_columns))]
        starts = ((0, 0, split), (0, 1, split), (1, split, all_columns), (1, split + 1, all_columns))
        return [(lead, slice(start, end, 2)) for lead, start, end in starts]

    @cached_property
    def _injected(self) -> NDArray[np.complex128]:
        """sqrt(Gamma) of the lead that each column of `psi` comes from, on its slice: (2 ny, p)."""
        return np.concatenate(self.ends, axis=1)

    @property
    def _end_slices(self) -> tuple[int, int]:
        """Where the slices next to the left and the right lead stand in the order of the sweep."""
        return (-1, 0) if self.flipped else (0, -1)

    @cached_property
    def _slopes(self) -> list[NDArray[np.complex128]]:
        """dSigma/dE of the left and the right lead, (2 ny, 2 ny)."""
        return [lead.slope(np.array([self.energy], complex))[0] for lead in self._leads]

    def _by_site(self, states: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """States (nx, 2 ny, p) in the order of the lattice, by site: (nx ny, 2, p)."""
        return self._ordered(states).reshape(self.shape[0] * self.shape[1], 2, states.shape[-1])

    @cached_property
    def transmission(self) -> NDArray[np.float64]:
        """Transmission from left to right, summed over modes: (2, 2) [spin out, spin in]."""
        left, right = self.ends
        arrived = self._ordered(self.refined)[-1][:, : left.shape[1]]
        amplitudes = right.conj().T @ arrived
        return (abs(amplitudes.reshape(right.shape[1] // 2, 2, left.shape[1] // 2, 2)) ** 2).sum(axis=(0, 2))

    @cached_property
    def advanced(self) -> NDArray[np.complex128]:
        """G^+ sqrt(Gamma) of both leads, in the order of the sweep."""
        return self._solver.solve(self._sources(), adjoint=True)

    def into_leads(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Tr[sigma_a Gamma G Hd G^+] of the left and the right lead: (2, 4).

        Deep in a ferromagnetic lead the two spins have different wave numbers: the spin across its polarization
        averages out over distance, and is zero here.
        """
        phi = self.advanced
        driven = self._times(rate, phi)
        out = []
        split = self.ends[0].shape[1]
        for lead, part in zip(self._leads, (slice(0, split), slice(split, None)), strict=True):
            width = phi[:, :, part].shape[-1] // 2
            a, b = (x[:, :, part].reshape(phi.shape[0] * phi.shape[1], width, 2) for x in (phi, driven))
            found = np.einsum("nka,nkb->ab", a.conj(), b)
            if lead.splitting:
                found = np.diag(np.diag(found))
            if lead.spin is not None:
                found = lead.spin @ found @ lead.spin.conj().T
            out.append(np.real(pauli_traces(found)))
        return np.array(out)


def _pairs(
    a: NDArray[np.complex128], b: NDArray[np.complex128], at: NDArray[np.intp], to: NDArray[np.intp]
) -> NDArray[np.complex128]:
    """Tr[sigma_a A_at B_to^+] for states by site (sites, 2, p): (..., 4)."""
    return pauli_traces(a[at] @ np.conj(np.swapaxes(b[to], -1, -2)))


def _over_slice(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Tr[sigma_a A B^+] over all sites of a slice, for states (2 ny, p): (4,)."""
    width, columns = a.shape[0] // 2, a.shape[1]
    a, b = a.reshape(width, 2, columns), b.reshape(width, 2, columns)
    return pauli_traces(np.einsum("yap,ybp->ab", a, b.conj()))
