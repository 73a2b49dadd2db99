"""Green's functions between the end slices of a system and all others: what it takes to move its leads.

Equations in `moving_leads.py`.  By elimination from slice to slice, energy by energy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .bathed import BathedSweeps
from .bathed_energy import BandedLU
from .bond_flows import Bonds
from .lattice import LatticeSweeps
from .modes import cross_section
from .pauli import pauli_traces
from .quadrature import FermiPoles, ToleranceError
from .ranks import each_energy
from .sweeps import Blocks, Floats, Sweeps
from .system import System

# Work arrays of a block of energies may have so many elements.
_ELEMENTS = 2_000_000
# Where an element of g of a partial system exceeds this, in 1/hopping, its square times 1e-16 is lost in derivatives.
_LARGEST_GROWTH = 300.0


# Edges so close, in units of the hopping, are one; the logarithm of what a rule leaves out next to one.
_SAME_EDGE, _LOGARITHM = 1e-9, 30.0


def refuse_shared_edges(device: System, share: float) -> None:
    """ToleranceError where a mode of both leads opens at an energy that they fill differently.

    There the first order in dV/dt has a factor 1/(E - E_0) from the slopes of both self-energies, whose integral grows
    as the logarithm of the distance of the two edges.  share: rates over hopping^2 that are held to the tolerance.
    """
    left, right = device.ends
    if not (left.coupling and right.coupling):
        return
    for edge in left.thresholds.tolist():
        if not np.any(abs(right.thresholds - edge) <= _SAME_EDGE * device.hopping):
            continue
        differ = abs(float(left.occupation(edge) - right.occupation(edge)))
        if differ * _LOGARITHM * share > device.tolerance:
            raise ToleranceError(
                f"a voltage that changes: a mode of both leads opens at the energy {edge:g}, which they fill "
                f"differently, by {differ:.1e}: the first order in dV/dt grows as the logarithm of the distance of the "
                "two edges, and has no value where they coincide; use order = 0, or electrons in real time, or a "
                "hopping or voltage that keeps the edges of the bands apart"
            )


@dataclass(frozen=True)
class Slice:
    """A column and a row of G of the slice `at`, (k, nx, p, p), their energy derivatives, and D there for dV/dt = 1.

    D: (k, p, p), or None for the identity.  Without rows these are empty.
    """

    at: int
    column: Blocks
    slope: Blocks
    row: Blocks
    row_slope: Blocks
    D: Blocks | None

    def times(self, blocks: Blocks) -> Blocks:
        """D times blocks (k, ..., p, p)."""
        if self.D is None:
            return blocks
        return self.D.reshape(len(self.D), *[1] * (blocks.ndim - 3), *self.D.shape[1:]) @ blocks


@dataclass(frozen=True)
class LeadColumns:
    """Columns and rows of G where the left and the right lead move the system: the end slice first."""

    ends: tuple[list[Slice], list[Slice]]

    def column(self, k: int) -> Blocks:
        """Of the end slice of lead k."""
        return self.ends[k][0].column

    def slope(self, k: int) -> Blocks:
        """Its energy derivative."""
        return self.ends[k][0].slope

    def first_order_pairs(self, m: int) -> Iterator[tuple[Blocks, Blocks]]:
        """G1 = (i/2) (G' D G - G D G') for a unit rate of lead m, as products of a column and a row."""
        for one in self.ends[m]:
            yield 0.5j * one.slope, one.times(one.row)
            yield -0.5j * one.column, one.times(one.row_slope)


class Columns:
    """Green's functions between the end slices and all others, and what is made of them.

    Values "observed" are densities on all sites, flows into the leads, traced, and, with two sites of each lead (depth
    2), the energy that goes with them, one after another: (k, size).
    """

    def __init__(self, sweeps: Sweeps, depth: int = 1) -> None:
        self.sweeps, self.device, self.depth = sweeps, sweeps.device, depth
        device = self.device
        nx, ny = device.shape if device.is_lattice else (device.shape[0], 1)
        self.nx, self.ny, self.p = nx, ny, 2 * ny
        self.size = 4 * device.n_sites + (8 if depth == 1 else 10)
        self.connected = [k for k, coupling in enumerate(device.couplings) if coupling]
        # Along x, the sites of the leads from the end of the device on, and those that were added on either side.
        self.into = list(range(depth, -1, -1)), list(range(nx - 1 - depth, nx))
        self.added = slice(0, depth), slice(nx - depth, nx)
        self.h = _slices(sweeps)
        # H between each slice and the next, (nx - 1, p, p) or numbers (nx - 1, 1, 1).
        matrices = device.bonds_along_x
        self.between: Blocks = np.asarray(
            -device.hops[:, None, None] if matrices is None else np.kron(np.eye(ny), matrices)
        )
        self.ends = (0, nx - 1)

    def chunks(self, n: int) -> list[slice]:
        size = max(1, _ELEMENTS // (self.nx * self.p**2))
        return [slice(a, min(a + size, n)) for a in range(0, n, size)]

    def _blocked(self, energies: Floats, one: Callable[[Floats], Floats]) -> Floats:
        parts = self.each(lambda chunk: one(energies[chunk]), self.chunks(len(energies)))
        return np.concatenate(parts) if parts else one(energies)

    def each(self, one: Callable[[slice], Floats], chunks: list[slice]) -> list[Floats]:
        """one(chunk) of all chunks; on a lattice, whose time is spent in BLAS, in threads and in all MPI processes."""
        if self.device.is_lattice:
            return each_energy(one, chunks, self.sweeps.counter)
        return [one(chunk) for chunk in chunks]

    def _leads_at(self, z: NDArray) -> tuple[list[Blocks], list[Blocks]]:
        """Sigma and dSigma/dE of both leads, (k, p, p) each."""
        nothing = np.zeros((len(z), self.p, self.p), complex)
        ends = self.device.ends
        return (
            [lead.self_energy(z) if lead.coupling else nothing for lead in ends],
            [lead.slope(z) if lead.coupling else nothing for lead in ends],
        )

    def at(self, z: NDArray, with_rows: bool = False) -> LeadColumns:
        """At energies z (k,), Im z >= 0; rows are left out unless asked for."""
        self.sweeps.counter.add(len(z))
        sigma, slope = self._leads_at(z)
        one = np.eye(self.p)
        a = np.asarray(z, complex)[:, None, None, None] * one - self.h[None]
        da = np.zeros_like(a)
        da[:] = one
        for side, end in enumerate(self.ends):
            a[:, end] -= sigma[side]
            da[:, end] -= slope[side]
        found = [self._from_end(a, da, with_rows)]
        mirrored = self._from_end(a[:, ::-1], da[:, ::-1], with_rows, adjoint(self.between)[::-1])
        found.append(tuple(part[:, ::-1] for part in mirrored))
        ends = []
        for side, (end, parts) in enumerate(zip(self.ends, found, strict=True)):
            column, d_column, row, d_row = parts
            slices = [Slice(end, column, d_column, row, d_row, one - slope[side])]
            if self.depth > 1 and side in self.connected:
                slices.append(self._next_to(side, slices[0], a[:, end], da[:, end], with_rows))
            ends.append(slices)
        return LeadColumns((ends[0], ends[1]))

    def _next_to(self, side: int, end: Slice, a: Blocks, da: Blocks, with_rows: bool) -> Slice:
        """What `end` has, of the next slice towards the device: from the equation of the end slice, a and da there."""
        at, hop = self.into[side][-2], self.device.hops[0 if side == 0 else -1]
        a, da = a[:, None], da[:, None]
        column, slope = -end.column @ a / hop, -(end.slope @ a + end.column @ da) / hop
        column[:, end.at] += np.eye(self.p) / hop
        if not with_rows:
            return Slice(at, column, slope, end.row, end.row_slope, None)
        row, row_slope = -a @ end.row / hop, -(a @ end.row_slope + da @ end.row) / hop
        row[:, end.at] += np.eye(self.p) / hop
        return Slice(at, column, slope, row, row_slope, None)

    def _from_end(self, a: Blocks, da: Blocks, with_rows: bool, across: Blocks | None = None) -> tuple[Blocks, ...]:
        """G and dG/dE between the first slice and all: column, its derivative, row, its derivative.

        a, da: diagonal blocks of z - H - Sigma and their derivatives.  By elimination from the far end.
        """
        across = self.between if across is None else across
        with np.errstate(all="ignore"):  # at a level of a partial system; these energies are solved anew below
            parts, growth = self._eliminated(a, da, with_rows, across)
        for k in np.flatnonzero(~(growth * self.device.hopping <= _LARGEST_GROWTH)):
            for part, exact in zip(parts, self._banded_from_end(a[k], da[k], with_rows, across), strict=True):
                part[k] = exact
        return parts

    def _banded_from_end(self, a: Blocks, da: Blocks, with_rows: bool, across: Blocks) -> tuple[Blocks, ...]:
        """The same at one energy, a and da (nx, p, p), by LU factors of the whole matrix with row exchanges."""
        n, p = self.nx, self.p
        b, size = 2 * p - 1, n * p
        matrix = np.zeros((3 * b + 1, size), complex)  # in LAPACK's layout of bands
        x, i, j = np.meshgrid(np.arange(n), np.arange(p), np.arange(p), indexing="ij")
        matrix[2 * b + i - j, x * p + j] = a
        if across.shape[1] == 1:
            matrix[2 * b + p, : size - p] = matrix[2 * b - p, p:] = -np.repeat(across.ravel(), p)
        else:
            for place, T in enumerate(across):
                up, down = np.nonzero(T)
                here, there = place * p + up, (place + 1) * p + down
                matrix[2 * b + here - there, there] = -T[up, down]
                matrix[2 * b + there - here, here] = -T[up, down].conj()
        lu = BandedLU(matrix, b)
        blocks, first = (n, p, p), np.eye(size, p, dtype=complex)

        def derivative(found: Blocks, transposed: bool) -> Blocks:
            image = (da.swapaxes(1, 2) if transposed else da) @ found.reshape(blocks)
            return -lu.solve(image.reshape(size, p), transposed)

        column = lu.solve(first)
        found = [column, derivative(column, False)]
        if not with_rows:
            return *(part.reshape(blocks) for part in found), a[:1], a[:1]
        row = lu.solve(first, True)
        rows = [row, derivative(row, True)]
        return *(part.reshape(blocks) for part in found), *(part.reshape(blocks).swapaxes(1, 2) for part in rows)

    def _eliminated(self, a: Blocks, da: Blocks, with_rows: bool, across: Blocks) -> tuple[tuple[Blocks, ...], Floats]:
        """What `_from_end` returns, and the largest element of g of any partial system, (k,), 1/energy."""
        n, scalar = self.nx, across.shape[-1] == 1
        squares, backs = across[:, 0, 0].real ** 2, adjoint(across)
        g, dg = np.empty_like(a), np.empty_like(a)
        for i in range(n - 1, -1, -1):
            e, de = a[:, i], da[:, i]
            if i < n - 1 and scalar:
                e, de = e - squares[i] * g[:, i + 1], de - squares[i] * dg[:, i + 1]
            elif i < n - 1:
                T, back = across[i], backs[i]
                e, de = e - T @ g[:, i + 1] @ back, de - T @ dg[:, i + 1] @ back
            g[:, i] = one = _inverse(e)
            dg[:, i] = -one @ de @ one
        growth = abs(g).max(axis=(1, 2, 3))
        column, slope = np.empty_like(a), np.empty_like(a)
        column[:, 0], slope[:, 0] = g[:, 0], dg[:, 0]
        # For all slices at once: g of the next slice with the bond to it, and its derivative.
        next_g, next_dg = g[:, 1:], dg[:, 1:]
        after, d_after = (next_g * across, next_dg * across) if scalar else (next_g @ backs, next_dg @ backs)
        for i in range(n - 1):
            column[:, i + 1] = after[:, i] @ column[:, i]
            slope[:, i + 1] = d_after[:, i] @ column[:, i] + after[:, i] @ slope[:, i]
        if not with_rows:
            return (column, slope, a[:, :1], a[:, :1]), growth
        row, row_slope = np.empty_like(a), np.empty_like(a)
        row[:, 0], row_slope[:, 0] = g[:, 0], dg[:, 0]
        before, d_before = (after, d_after) if scalar else (across @ next_g, across @ next_dg)
        for i in range(n - 1):
            row[:, i + 1] = row[:, i] @ before[:, i]
            row_slope[:, i + 1] = row_slope[:, i] @ before[:, i] + row[:, i] @ d_before[:, i]
        return (column, slope, row, row_slope), growth

    def observed(self, left: Blocks, right: Blocks) -> Floats:
        """Of rho = Y + Y^+ with Y_ij = left_i right_j, (k, nx, p, q) and (k, nx, q, p): (k, size)."""
        k, nx, ny = len(left), self.nx, self.ny
        q = left.shape[-1]
        each_left = left.reshape(k, nx, ny, 2, q)
        each_right = np.moveaxis(right.reshape(k, nx, q, ny, 2), 2, 3)
        sites = 2 * np.real(pauli_traces(each_left @ each_right))
        flows, energies = np.zeros((k, 2, 4)), np.zeros((k, 2))
        for side in self.connected:
            first, hop = self.into[side][:2], self.device.hops[self._bond(side)]
            (here, pad), h = first, self._across
            ahead, back = each_left[:, here] @ each_right[:, pad], each_left[:, pad] @ each_right[:, here]
            both = np.imag(pauli_traces(ahead) - pauli_traces(back)).sum(axis=1)
            flows[:, side] = -2 * hop * both
            if self.depth > 1:
                beyond = self.into[side][2]
                inner = self.device.hops[0 if side == 0 else -1]

                def between(far: int, near: int, h: Floats) -> Floats:
                    """Im Tr[h rho] of the blocks from `near` to `far`."""
                    there = np.einsum("yz,kzsq,kyqs->k", h, each_left[:, far], each_right[:, near])
                    again = np.einsum("yz,kysq,kzqs->k", h, each_left[:, near], each_right[:, far])
                    return np.imag(there - again)

                one = np.eye(ny)
                energies[:, side] = 2 * hop * (between(pad, here, h) - inner * between(beyond, here, one))
        parts = sites.reshape(k, 4 * nx * ny), flows.reshape(k, 8)
        return np.concatenate(parts if self.depth == 1 else (*parts, energies), axis=1)

    def bonds(self, side: int) -> Bonds:
        """The bonds over which particles enter the lead."""
        here, pad = (x * self.ny + np.arange(self.ny) for x in self.into[side][:2])
        return Bonds(here, pad, np.full(self.ny, self.device.hops[self._bond(side)]))

    def energy_bonds(self, side: int) -> Bonds:
        """The same, so that particles over them are d<H_lead>/dt: see the top of `moving_leads.py`."""
        here, pad, beyond = (x * self.ny + np.arange(self.ny) for x in self.into[side])
        starts, ends, hops = np.repeat(here, self.ny), np.tile(pad, self.ny), self._across.ravel()
        inner = np.full(self.ny, -self.device.hops[0 if side == 0 else -1])
        both = np.concatenate([hops, inner]) * self.device.hops[self._bond(side)]
        return Bonds(np.concatenate([starts, here]), np.concatenate([ends, beyond]), both)

    def _bond(self, side: int) -> int:
        """Where `System.hops` has the bond from the device to the lead."""
        return self.depth - 1 if side == 0 else self.nx - 1 - self.depth

    @cached_property
    def _across(self) -> Floats:
        """h of a column of the leads, from their levels: (ny, ny)."""
        device = self.device
        if not device.is_lattice:
            return np.array([[device.onsite]])
        return cross_section(self.ny, device.hopping, device.onsite, device.periodic == "y")

    def widths(self, energies: Floats, k: int) -> tuple[Blocks, Blocks]:
        """Gamma and dGamma/dE of lead k, (n, 1, p, p)."""
        sigma, slope = (part[k] for part in self._leads_at(energies.astype(complex)))
        return tuple((1j * (one - adjoint(one)))[:, None] for one in (sigma, slope))  # type: ignore[return-value]

    def _moved(self, found: LeadColumns, k: int, m: int) -> tuple[Blocks, Blocks]:
        """G1 and G_k on end k for a unit rate of lead m, (n, nx, p, p); see the top of the file."""
        through = first = np.zeros((1, 1, 1, 1), complex)
        for one in found.ends[m]:
            at_end, d_at_end = (one.times(part[:, None, one.at]) for part in (found.column(k), found.slope(k)))
            through = through + one.column @ at_end
            first = first + 0.5j * (one.slope @ at_end - one.column @ d_at_end)
        return first, through + found.slope(k) if m == k else through

    def sea(self, rule: FermiPoles) -> Floats:
        """-(1/pi) int f Im G1 by this rule for a unit rate of either lead, (2, size)."""
        total = np.zeros((2, self.size))

        def part(chunk: slice) -> Floats:
            found, weights = self.at(rule.nodes[chunk], with_rows=True), -rule.weights[chunk]
            parts = np.zeros((2, self.size))
            for m in self.connected:
                for left, right in found.first_order_pairs(m):
                    parts[m] += self.observed(weights[:, None, None, None] * left, right).sum(axis=0)
            return parts

        for one in self.each(part, self.chunks(len(rule.nodes))):
            total += one
        return total

    def surface(self, energies: Floats, k: int) -> Floats:
        """G Gamma_k G^+ ... of all leads, and Im[G_k Gamma_k G^+] for both rates: (n, 3, size)."""
        return self._blocked(energies, lambda part: self._surface(part, k))

    def _surface(self, energies: Floats, k: int) -> Floats:
        found = self.at(energies.astype(complex))
        out = np.zeros((len(energies), 3, self.size))
        for lead in self.connected:
            gamma = self.widths(energies, lead)[0]
            out[:, 0] += self.observed(found.column(lead) @ (gamma / 2), adjoint(found.column(lead)))
        gamma, back = self.widths(energies, k)[0], adjoint(found.column(k))
        for m in self.connected:
            out[:, 1 + m] = self.observed(-0.5j * (self._moved(found, k, m)[1] @ gamma), back)
        return out

    def biased(self, energies: Floats) -> Floats:
        """G Gamma_k G^+ of each lead k, and the integrand of f_k - f_ref for both rates: (n, 2, 3, size)."""
        return self._blocked(energies, self._biased)

    def _biased(self, energies: Floats) -> Floats:
        out = np.zeros((len(energies), 2, 3, self.size))
        found = self.at(energies.astype(complex))
        for k in self.connected:
            (gamma, d_gamma), back = self.widths(energies, k), adjoint(found.column(k))
            d_back = adjoint(found.slope(k))
            out[:, k, 0] = self.observed(found.column(k) @ (gamma / 2), back)
            for m in self.connected:
                first, moved = self._moved(found, k, m)
                out[:, k, 1 + m] = self.observed(first @ gamma - 0.5j * (moved @ d_gamma), back)
                out[:, k, 1 + m] += self.observed(-0.5j * (moved @ gamma), d_back)
        return out


def _slices(sweeps: Sweeps) -> Blocks:
    """H by slices along x, (nx, p, p), a bath included."""
    if isinstance(sweeps, BathedSweeps):
        return sweeps.damped_slices
    return sweeps.slices.h if isinstance(sweeps, LatticeSweeps) else sweeps.blocks


def adjoint(blocks: Blocks) -> Blocks:
    return np.conj(np.swapaxes(blocks, -1, -2))


def _inverse(blocks: Blocks) -> Blocks:
    if blocks.shape[-1] != 2:
        try:
            return np.asarray(np.linalg.inv(blocks))
        except np.linalg.LinAlgError:  # one of them: the others are good
            out = np.full_like(blocks, np.nan)
            for k, one in enumerate(blocks):
                with contextlib.suppress(np.linalg.LinAlgError):
                    out[k] = np.linalg.inv(one)
            return out
    a, b, c, d = blocks[:, 0, 0], blocks[:, 0, 1], blocks[:, 1, 0], blocks[:, 1, 1]
    out = np.empty_like(blocks)
    out[:, 0, 0], out[:, 0, 1], out[:, 1, 0], out[:, 1, 1] = d, -b, -c, a
    return np.asarray(out / (a * d - b * c)[:, None, None])
