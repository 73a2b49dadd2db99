"""Blocks of the inverse of a block-tridiagonal matrix whose blocks have any sizes.

With diagonal blocks A_i, couplings U_i to the next block and L_i back from it, block Gaussian elimination from the
first block onwards gives

    g_i = (A_i - L_(i-1) g_(i-1) U_(i-1))^-1,       G_ii = g_i + g_i U_i G_(i+1,i+1) L_i g_i,

the recursive Green's functions of Thouless and Kirkpatrick, J. Phys. C 14, 235 (1981), with U = L = -H of the bonds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.complex128]


class Elimination:
    """G = A^-1 of one A.  diagonal: A_i (n_i, n_i); after: U_i (n_i, n_(i+1)); before: L_i (n_(i+1), n_i)."""

    def __init__(self, diagonal: Sequence[Block], after: Sequence[Block], before: Sequence[Block]) -> None:
        self._after, self._before = after, before
        self._g = [_inverse(diagonal[0])]
        for A, U, L in zip(diagonal[1:], after, before, strict=True):
            self._g.append(_inverse(A - L @ self._g[-1] @ U))
        self._G: list[Block] = []  # from the last block backwards

    def diagonal(self, i: int) -> Block:
        """G_ii."""
        last = len(self._g) - 1
        while last - len(self._G) >= i:
            k = last - len(self._G)
            g = self._g[k]
            self._G.append(g if k == last else g + g @ self._after[k] @ self._G[-1] @ self._before[k] @ g)
        return self._G[last - i]

    def columns(self, i: int, which: NDArray[np.int64]) -> list[Block]:
        """G_ki for all blocks k, of block i the columns `which` alone."""
        found = [self.diagonal(i)[:, which]]
        for k in range(i - 1, -1, -1):  # G_ki = -g_k U_k G_(k+1,i)
            found.insert(0, -self._g[k] @ (self._after[k] @ found[0]))
        # G_ki = -G_kk L_(k-1) (part of the blocks before k)_(k-1,i)
        part = self._g[i][:, which]
        for k in range(i + 1, len(self._g)):
            through = self._before[k - 1] @ part
            found.append(-self.diagonal(k) @ through)
            part = -self._g[k] @ through
        return found

    def block(self, i: int, k: int, which: NDArray[np.int64]) -> Block:
        """G_ik for i >= k, of block k the columns `which` alone."""
        if i == k:
            return self.diagonal(k)[:, which]
        part = self._g[k][:, which]
        for j in range(k + 1, i + 1):
            inverse = self._g[j] if j < i else self.diagonal(i)
            part = -inverse @ (self._before[j - 1] @ part)
        return np.asarray(part)


def _inverse(matrix: NDArray[Any]) -> Block:
    return np.asarray(np.linalg.inv(matrix))
