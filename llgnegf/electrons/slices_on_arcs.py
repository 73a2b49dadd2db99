"""The jump of a lattice's Green's function between two sheets, at complex energies above a segment of the real axis.

G(z) is the retarded function, A(z) the continuation of G^+ from the segment (`thermal_surface.py`).  Both belong to the
same slices; their self-energies differ by -i Gamma(z) in the open modes U at both ends.  With r such channels

    A - G = X M W,    G Y (A - G) = C M W,    U^T G Y A U = U^T C (1 + M g),
    X = G U,    W = U^T G,    C = G Y X,    g = U^T G U,    M = i Gamma (1 - g i Gamma)^-1 .

So one elimination serves both functions: X, W and C are columns and rows of r <= 4 ny elements a site, about 5 n^2 r
operations for each slice, where blocks of G, A and G Y A would take two eliminations and 10 n^3.

Close to a level of a partial lattice, where elimination loses digits, X, W and C come from LU factors of the whole band
matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from llgnegf.kernels import njit

from .open_system import Mask, OpenSystem, Solver, Vectors, mode_self_energies
from .pauli import pauli_traces
from .ranks import each_energy
from .slice_blocks import Slices, Stack
from .slices import eliminate, solve
from .slices_near_levels import growth

# Arrays and sequences with an entry for each slice or each end.
Ordered = TypeVar("Ordered", bound=Any)

_options = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}


@njit(**_options)
def _solved(g, hops, first, last, transposed, out):
    """Fill out (nx, n, r) with (E - H - Sigma)^-1 U, or with that of the transposed matrix.

    g: (nx, n, n) of one energy; first (n, r_1), last (n, r_2): the columns of U on the first and on the last slice.
    """
    nx, n = g.shape[0], g.shape[1]
    r1, r = first.shape[1], out.shape[2]
    product = np.empty((n, r), np.complex128)
    if r > r1:
        # From the last slice to the first; only columns of the last slice have a source there.
        passed, found = last.copy(), np.empty((n, r - r1), np.complex128)
        for i in range(nx - 1, -1, -1):
            if transposed:
                np.dot(g[i].T, passed, found)
            else:
                np.dot(g[i], passed, found)
            for a in range(n):
                for b in range(r - r1):
                    out[i, a, r1 + b] = found[a, b]
                    passed[a, b] = -hops[i - 1] * found[a, b] if i else 0.0
    if r1:
        found_first = np.empty((n, r1), np.complex128)
        if transposed:
            np.dot(g[0].T, first, found_first)
        else:
            np.dot(g[0], first, found_first)
        out[0, :, :r1] = found_first
    for i in range(1, nx):
        if transposed:
            np.dot(g[i].T, out[i - 1], product)
        else:
            np.dot(g[i], out[i - 1], product)
        t = hops[i - 1]
        for a in range(n):
            for b in range(r1):
                out[i, a, b] = -t * product[a, b]
            for b in range(r1, r):
                out[i, a, b] -= t * product[a, b]


@njit(**_options)
def _driven(g, hops, Y, moved, X, out):
    """Fill out (nx, n, r) with G Y X, for Y (nx, ny, 2, 2) that is zero from slice `moved` on."""
    nx, n, r = X.shape
    source, product = np.empty((n, r), np.complex128), np.empty((n, r), np.complex128)
    for i in range(moved - 1, -1, -1):
        t = hops[i] if i < moved - 1 else 0.0
        above = out[i + 1] if i < moved - 1 else product
        for y in range(n // 2):
            a, b, c, d = Y[i, y, 0, 0], Y[i, y, 0, 1], Y[i, y, 1, 0], Y[i, y, 1, 1]
            for j in range(r):
                up, down = X[i, 2 * y, j], X[i, 2 * y + 1, j]
                source[2 * y, j] = a * up + b * down
                source[2 * y + 1, j] = c * up + d * down
                if t != 0:
                    source[2 * y, j] -= t * above[2 * y, j]
                    source[2 * y + 1, j] -= t * above[2 * y + 1, j]
        np.dot(g[i], source, out[i])
    if not moved:
        out[0] = 0
    for i in range(1, nx):
        np.dot(g[i], out[i - 1], product)
        t = hops[i - 1]
        for a in range(n):
            for b in range(r):
                out[i, a, b] = (out[i, a, b] if i < moved else 0.0) - t * product[a, b]


@njit(**_options)
def _site_traces(a, b, out):
    """Fill out (ny, 4) with the traces of a_y b_y^T with 1, sigma_x, sigma_y, sigma_z, for a, b (2 ny, r)."""
    for y in range(out.shape[0]):
        p00, p01, p10, p11 = 0j, 0j, 0j, 0j
        for j in range(a.shape[1]):
            up, down = a[2 * y, j], a[2 * y + 1, j]
            left_up, left_down = b[2 * y, j], b[2 * y + 1, j]
            p00 += up * left_up
            p01 += up * left_down
            p10 += down * left_up
            p11 += down * left_down
        out[y, 0] = p00 + p11
        out[y, 1] = p01 + p10
        out[y, 2] = 1j * (p01 - p10)
        out[y, 3] = p00 - p11


@njit(**_options)
def _columns(g, hops, first, last, Y, moved, X, W, C):
    """Fill X, the transposed W, and C, (k, nx, n, r) each, from g (k, nx, n, n)."""
    for k in range(g.shape[0]):
        _solved(g[k], hops, first, last, False, X[k])
        _solved(g[k], hops, first, last, True, W[k])
        _driven(g[k], hops, Y, moved, X[k], C[k])


@njit(**_options)
def _bond_traces(a_next, b_next, a, b, sign, out):
    """Fill out (ny, 4) with the traces of F_(next,this) + sign F_(this,next) for F = a b^T, of sites (2 ny, r)."""
    back = np.empty_like(out)
    _site_traces(a_next, b, out)
    _site_traces(a, b_next, back)
    for y in range(out.shape[0]):
        for c in range(4):
            out[y, c] += sign * back[y, c]


@njit(**_options)
def _contracted(X, W, C, first, last, widths, states, response, bonds, ends):
    """Fill the arrays of `Jump` from X, W, C (k, nx, n, r) and widths (k, r); W is overwritten.

    bonds (k, nx, 2 or 3, ny, 4) and ends (k, r, r) may have k = 0: they are not wanted.
    """
    nx, n, r = X.shape[1], X.shape[2], X.shape[3]
    r1 = first.shape[1]
    first_rows, last_rows = np.ascontiguousarray(first.T), np.ascontiguousarray(last.T)
    g, driven, matrix = np.empty((r, r), np.complex128), np.empty((r, r), np.complex128), np.eye(r) + 0j
    product = np.empty((n, r), np.complex128)
    for k in range(X.shape[0]):
        if r1:
            g[:r1] = np.dot(first_rows, X[k, 0])
        if r > r1:
            g[r1:] = np.dot(last_rows, X[k, nx - 1])
        for a in range(r):
            for b in range(r):
                matrix[b, a] = (a == b) - 1j * g[a, b] * widths[k, b]
        try:
            M = np.ascontiguousarray(np.linalg.inv(matrix))
        except Exception:  # a pole of A: NaN never counts as converged
            M = np.full((r, r), np.nan + 0j)
        if ends.shape[0]:
            if r1:
                driven[:r1] = np.dot(first_rows, C[k, 0])
            if r > r1:
                driven[r1:] = np.dot(last_rows, C[k, nx - 1])
            # 1 + M g is the inverse of 1 - i Gamma g.
            for a in range(r):
                for b in range(r):
                    matrix[a, b] = (a == b) - 1j * widths[k, a] * g[a, b]
            try:
                np.dot(driven, np.ascontiguousarray(np.linalg.inv(matrix)), ends[k])
            except Exception:
                ends[k] = np.nan
        for a in range(r):
            for b in range(r):
                M[a, b] *= 1j * widths[k, b]
        for i in range(nx):
            np.dot(W[k, i], M, product)
            W[k, i] = product
            _site_traces(X[k, i], product, states[k, i])
            _site_traces(C[k, i], product, response[k, i])
        if bonds.shape[0]:
            for i in range(nx):
                up = np.concatenate((C[k, i, 2:], C[k, i, :2])), np.concatenate((W[k, i, 2:], W[k, i, :2]))
                _bond_traces(up[0], up[1], C[k, i], W[k, i], -1.0, bonds[k, i, 1])
                if bonds.shape[2] > 2:
                    _bond_traces(up[0], up[1], C[k, i], W[k, i], 1.0, bonds[k, i, 2])
                if i < nx - 1:
                    _bond_traces(C[k, i + 1], W[k, i + 1], C[k, i], W[k, i], -1.0, bonds[k, i, 0])
                else:
                    bonds[k, i, 0] = 0


@dataclass(frozen=True)
class Jump:
    """Traces with 1, sigma_x, sigma_y, sigma_z at k energies, of F = G Y (A - G) unless said otherwise.

    states: of A - G on the sites; response: on the sites; (k, nx, ny, 4) each.
    bonds: F_(next,this) - F_(this,next), for the next x in [:, :, 0] and the next y in [:, :, 1], (k, nx, 2, ny, 4);
    where those along y are matrices, (k, nx, 3, ny, 4), also F_(next,this) + F_(this,next) for the next y, [:, :, 2].
    ends: of G Y A by mode on the first and the last slice, (k, 2, ny, 4); zero in closed modes and without a lead.
    k = 0 for what is not wanted.
    """

    states: Vectors
    response: Vectors
    bonds: Vectors
    ends: Vectors


class FromOneEnd:
    """Elimination of a lattice with its leads, on the sheets of its segments, from the end with the better contact.

    system: the lattice with its leads; slices: the same blocks, with the counter; from_left: at which end it starts.
    """

    def __init__(self, system: OpenSystem, slices: Slices, from_left: bool) -> None:
        self.system, self.from_left = system, from_left
        # In the order of `slices.eliminate`, which starts at the last one.
        self.slices = slices.reversed() if from_left else slices

    def ordered(self, values: Ordered) -> Ordered:
        """Reverse the first axis if elimination runs from the left: to its order from that of the lattice, or back."""
        return values[::-1] if self.from_left else values

    def eliminated(self, z: Vectors, of_modes: Vectors) -> tuple[Stack, NDArray[np.float64]]:
        """g (k, nx, n, n) of partial lattices at energies z (k,), Im z > 0, and its `growth` (k,).

        of_modes: self-energies (k, ny) of the modes for c^2/t = 1.
        """
        sigma = [np.array([self.system.end_block(s, c) for s in of_modes]) for c in self.system.couplings]
        first, last = self.ordered(sigma)
        g, _ = eliminate(self.slices, z, (first, last))
        return g, growth(g, self.slices.hops)

    def solver(self, z: complex, open_modes: Mask, largest_growth: float) -> Solver:
        """K(z), Im z > 0, on the sheet of a segment; by LU factors where partial lattices grow beyond this."""
        at = np.array([z])
        g, grown = self.eliminated(at, mode_self_energies(at, self.system.modes, open_modes))
        # Written so that NaN counts as too large.
        return _Eliminated(self, g[0]) if grown[0] <= largest_growth else self.system.factorized(z, open_modes)


@dataclass(frozen=True)
class _Eliminated:
    """K(z) as g (nx, n, n) of partial lattices, in the order of elimination."""

    lattice: FromOneEnd
    g: Stack

    def solve(self, b: Vectors) -> Vectors:
        """x with K x = b, (N, k)."""
        nx, n, _ = self.g.shape
        x = solve(self.g, self.lattice.slices, self.lattice.ordered(b.reshape(nx, n, -1)))
        return np.ascontiguousarray(self.lattice.ordered(x)).reshape(b.shape)


class Sheets:
    """G and A of one lattice above a segment with these open modes (ny,), for rate = Y (nx, ny, 2, 2)."""

    def __init__(self, lattice: FromOneEnd, open_modes: Mask, rate: Vectors) -> None:
        self.lattice, self.open_modes, self.rate = lattice, open_modes, rate
        self._Y = np.ascontiguousarray(lattice.ordered(rate))
        moved = np.flatnonzero(self._Y.any(axis=(1, 2, 3)))
        self._moved = int(moved[-1]) + 1 if len(moved) else 0
        modes, couplings = lattice.system.modes.vectors[:, open_modes], lattice.system.couplings
        channels = np.kron(modes, np.eye(2)).astype(complex)
        # Which end of the lattice is the first and which the last of the elimination, and U there.
        self._sides = lattice.ordered([0, 1])
        self._U = [channels if couplings[side] else channels[:, :0] for side in self._sides]

    def jump(
        self,
        z: Vectors,
        chunks: Sequence[slice],
        largest_growth: float,
        with_bonds: bool = False,
        with_ends: bool = False,
    ) -> Jump:
        """At energies z (k,) above the segment, a chunk at a time, spread over threads and ranks.

        largest_growth: of partial lattices (`slices_near_levels.growth`), up to which elimination is accurate enough.
        """
        (first, last), system = self._U, self.lattice.system
        r, (nx, n, _) = first.shape[1] + last.shape[1], self.lattice.slices.h.shape
        of_modes = mode_self_energies(z, system.modes, self.open_modes)
        coupled = [side for side in self._sides if system.couplings[side]]
        widths = system.widths(z, self.open_modes)[:, coupled][:, :, self.open_modes]
        gamma = np.repeat(widths.reshape(len(z), -1), 2, axis=1)

        def part(chunk: slice) -> tuple[Vectors, Vectors, Vectors, Vectors]:
            k = len(z[chunk])
            states, response = np.zeros((k, nx, n // 2, 4), complex), np.zeros((k, nx, n // 2, 4), complex)
            bonds = np.zeros((k if with_bonds else 0, nx, 2 + self.lattice.slices.whole, n // 2, 4), complex)
            ends = np.zeros((k if with_ends else 0, r, r), complex)
            if r:
                columns = self._columns(z[chunk], of_modes[chunk], largest_growth)
                _contracted(*columns, first, last, gamma[chunk], states, response, bonds, ends)
            return states, response, bonds, ends

        parts = each_energy(part, chunks, self.lattice.slices.counter)
        states, response, bonds, ends = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        if self.lattice.from_left:
            states, response, bonds = states[:, ::-1], response[:, ::-1], bonds[:, ::-1].copy()
            # Entry x holds the bond from x to x - 1: move it to x - 1 and change its sign.
            bonds[:, :, 0] = -np.roll(bonds[:, :, 0], -1, axis=1)
        return Jump(states, response, bonds, self._by_mode(ends))

    def _columns(self, z: Vectors, of_modes: Vectors, largest_growth: float) -> tuple[Stack, Stack, Stack]:
        """X, the transposed W, and C, (k, nx, n, r) each; of_modes: see `FromOneEnd.eliminated`."""
        slices, (first, last) = self.lattice.slices, self._U
        g, grown = self.lattice.eliminated(z, of_modes)
        shape = *g.shape[:3], first.shape[1] + last.shape[1]
        X, W, C = np.empty(shape, complex), np.empty(shape, complex), np.empty(shape, complex)
        _columns(g, slices.hops, first, last, self._Y, self._moved, X, W, C)
        # Written with `~`, so that NaN counts as too large.
        for one in np.flatnonzero(~(grown <= largest_growth)):
            X[one], W[one], C[one] = self._columns_near_level(complex(z[one]))
        return X, W, C

    def _columns_near_level(self, z: complex) -> list[Stack]:
        """The same at an energy close to a level of a partial lattice, (nx, n, r) each."""
        nx, n, _ = self.lattice.slices.h.shape
        first, last = self._U
        r1, r = first.shape[1], first.shape[1] + last.shape[1]
        U = np.zeros((nx, n, r), complex)
        U[0, :, :r1] = first
        U[-1, :, r1:] = last
        U = self.lattice.ordered(U).reshape(nx * n, r)
        factors = self.lattice.system.factorized(z, self.open_modes)
        X = factors.solve(U)
        W = factors.solve(U, adjoint=True).conj()  # U is real
        source = np.matmul(self.rate, X.reshape(nx, n // 2, 2, r)).reshape(nx * n, r)
        return [self.lattice.ordered(columns.reshape(nx, n, r)) for columns in (X, W, factors.solve(source))]

    def _by_mode(self, ends: Vectors) -> Vectors:
        """Traces by mode, (k, 2, ny, 4) in the order of the lattice, of matrices (k, r, r) of the channels."""
        out = np.zeros((len(ends), 2, len(self.open_modes), 4), complex)
        start = 0
        for side, U in zip(self._sides, self._U, strict=True):
            part, m = slice(start, start + U.shape[1]), U.shape[1] // 2
            start += U.shape[1]
            if m:
                by_spin = ends[:, part, part].reshape(len(ends), m, 2, m, 2)
                out[:, side, self.open_modes] = pauli_traces(np.einsum("kmsmr->kmsr", by_spin))
        return out
