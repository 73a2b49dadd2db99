"""Columns of the Green's function of a block-tridiagonal system, for any Hermitian bonds between its slices.

    G(z) = [z - H - Sigma(z)]^-1,        H_ii = h_i,  H_(i,i+1) = U_i,  H_(i+1,i) = U_i^+.

Slices are eliminated from the last to the first, g_i = (z - h_i - U_i g_(i+1) U_i^+)^-1, and all columns follow by
substitution: n times as many operations as results, where a dense inverse takes as many as there are orbitals.  Close
to a level of a partial system g_i is large and digits are lost; then LU factors of the band matrix, with row pivoting,
are used instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Stack = NDArray[np.complex128]

# If an element of g of a partial system exceeds this over the largest bond, rows are pivoted.
_LARGEST_PARTIAL = 100.0


@dataclass(frozen=True)
class BlockColumns:
    """Slices h (nx, n, n) and bonds up (nx - 1, n, n) from each to the next; energies."""

    h: Stack
    up: Stack

    @staticmethod
    def of_dense(H: Stack, nx: int) -> BlockColumns:
        """Of a dense H (nx n, nx n) whose other blocks are zero."""
        n = len(H) // nx
        blocks, x = H.reshape(nx, n, nx, n), np.arange(nx)
        return BlockColumns(blocks[x, :, x, :], blocks[x[:-1], :, x[1:], :])

    def at(self, z: NDArray[np.complex128], first: Stack, last: Stack) -> Solver:
        """What solves (z - H - Sigma) x = c at energies z (k,); first, last: Sigma (k, n, n) of the end slices."""
        nx, n, _ = self.h.shape
        a = z[:, None, None, None] * np.eye(n) - self.h
        a[:, 0] -= first
        a[:, -1] -= last
        g = np.empty_like(a)
        down = np.conj(np.swapaxes(self.up, -1, -2))
        for i in range(nx - 1, -1, -1):
            partial = a[:, i] if i == nx - 1 else a[:, i] - self.up[i] @ g[:, i + 1] @ down[i]
            g[:, i] = _inverse(partial)
        scale = float(abs(self.up).max(initial=0.0))
        grown = abs(g[:, 1:]).max(axis=(1, 2, 3), initial=0.0) * scale
        # Written with `~`, so that NaN counts as too large.
        return Solver(self, a, g, np.flatnonzero(~(grown <= _LARGEST_PARTIAL)))


@dataclass(frozen=True)
class Solver:
    """Factors at k energies: diagonal blocks a of z - H - Sigma, and g, (k, nx, n, n) each; pivoted: where not g."""

    blocks: BlockColumns
    a: Stack
    g: Stack
    pivoted: NDArray[np.intp]

    def solve(self, sources: Stack) -> Stack:
        """x of (z - H - Sigma) x = sources, (k, nx n, p) both."""
        k, nx, n, _ = self.g.shape
        up, down = self.blocks.up, np.conj(np.swapaxes(self.blocks.up, -1, -2))
        c = sources.reshape(k, nx, n, sources.shape[-1]).copy()
        for i in range(nx - 2, -1, -1):
            c[:, i] += up[i] @ (self.g[:, i + 1] @ c[:, i + 1])
        by_slice = np.empty_like(c)
        for i in range(nx):
            if i:
                c[:, i] += down[i - 1] @ by_slice[:, i - 1]
            by_slice[:, i] = self.g[:, i] @ c[:, i]
        x: Stack = by_slice.reshape(sources.shape)
        for one in self.pivoted:
            x[one] = self._solve_banded(one, sources[one])
        return x

    def _solve_banded(self, one: int, sources: Stack) -> Stack:
        from scipy.linalg import solve_banded  # heavy import, rarely needed

        nx, n, _ = self.blocks.h.shape
        wide = 2 * n - 1
        band = np.zeros((2 * wide + 1, nx * n), complex)  # element (r, c) at [wide + r - c, c]
        r, c = np.indices((n, n))
        for i in range(nx):
            band[wide + r - c, i * n + c] = self.a[one, i]
        for i, up in enumerate(self.blocks.up):
            band[wide + r - c - n, (i + 1) * n + c] = -up
            band[wide + r - c + n, i * n + c] = -up.conj().T
        return np.asarray(solve_banded((wide, wide), band, sources, check_finite=False))


def _inverse(stack: Stack) -> Stack:
    """Inverses of k matrices (k, n, n); NaN where one is singular."""
    try:
        return np.asarray(np.linalg.inv(stack))
    except np.linalg.LinAlgError:
        out = np.full_like(stack, np.nan)
        for i, matrix in enumerate(stack):
            if np.linalg.cond(matrix) < 1 / np.finfo(float).eps:
                out[i] = np.linalg.inv(matrix)
        return out
