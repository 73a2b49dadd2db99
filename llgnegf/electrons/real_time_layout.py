"""The state of electrons in real time as tiles: where they lie, and the same numbers as rows.

Tiles are n x n, n = 2 ny.  Tile rows and columns 0 ... nx - 1 are the slices of sites, in the order (spin, y); then
come the exponents (lead, k), in the order (spin, mode): T together.  Of the Hermitian R the lower triangle is kept.
Tile rows T + (lead, pole) hold X^+ of `real_time`, all T columns.  The tiles of a row lie one after the other, and so
do the rows: an array (tiles, n, 2, n) [tile, row, real/imaginary, column].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .real_time import RealTime
from .real_time_gather import tile_index
from .real_time_stage import LINE

Real = NDArray[np.float64]


class TileLayout:
    """Sizes, and what does not change in the equation of `electrons`.

    columns: T; rows: of tiles; count: of tiles; modes: U^T and U, (2, ny, ny), U with a transverse mode in each column;
    the other numbers and arrays are those of `RealTime`.
    Raises ValueError for a system with a bath, or with bonds or leads that know the spin, or with vacancies, which rows
    alone hold.
    """

    def __init__(self, electrons: RealTime) -> None:
        if len(electrons.bath):
            raise ValueError(
                f"electrons in real time as tiles: not available with a bath on sites, {electrons.system.bath!r}; use "
                "rows, on a CPU"
            )
        if not electrons.is_plain:
            raise ValueError(
                "electrons in real time as tiles: not available with vacancies, or with bonds or leads that know the "
                "spin; use rows, on a CPU"
            )
        self.electrons = electrons
        self.nx, self.ny, self.n = electrons.nx, electrons.ny, electrons.n
        self.kept, self.n_poles, self.leads = electrons.kept, electrons.n_poles, len(electrons.reservoirs)
        self.columns = self.nx + self.leads * self.kept
        self.rows = self.columns + self.leads * self.n_poles
        self.count = self.columns * (self.columns + 1) // 2 + (self.rows - self.columns) * self.columns
        self.ends, self.sides, self.hops, self.periodic = (
            electrons.ends,
            electrons.sides,
            electrons.hops,
            electrons.periodic,
        )
        # Of either spin.
        self.z, self.a, self.b = (np.ascontiguousarray(one[:, :, 0]) for one in (electrons.z, electrons.a, electrons.b))
        self.g, self.poles = electrons.g, np.ascontiguousarray(electrons.poles[:, :, 0])
        vectors = electrons.system.modes.vectors
        self.modes = np.stack([vectors.T, vectors])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the state."""
        return self.count, self.n, 2, self.n

    # --- rows and tiles -----------------------------------------------------------------------------

    def from_rows(self, Y: Real) -> Real:
        """The state Y of `RealTime`, in its own layout, as tiles."""
        T, out = self.columns, np.empty(self.shape)
        (blocks, X), below = self._blocks(Y), self._below(out)
        for i in range(T):
            out[tile_index(i, 0, T) :][: i + 1] = np.moveaxis(blocks[i, :, :, : i + 1], 2, 0)
        if self.rows > T:
            below[:, :, :, 0] = X[:, :, 0].transpose(2, 0, 3, 1)
            below[:, :, :, 1] = -X[:, :, 1].transpose(2, 0, 3, 1)
        return out

    def to_rows(self, state: Real) -> Real:
        """Tiles as the state of `RealTime` in its own layout."""
        T, Y = self.columns, np.empty(self.electrons.shape)
        (blocks, X), below = self._blocks(Y), self._below(state)
        for i in range(T):
            for j in range(i + 1):
                tile = state[tile_index(i, j, T)]
                blocks[i, :, :, j] = tile
                if j < i:
                    blocks[j, :, 0, i], blocks[j, :, 1, i] = tile[:, 0].T, -tile[:, 1].T
        if self.rows > T:
            X[:, :, 0] = below[:, :, :, 0].transpose(1, 3, 0, 2)
            X[:, :, 1] = -below[:, :, :, 1].transpose(1, 3, 0, 2)
        return Y

    def _blocks(self, Y: Real) -> tuple[Real, Real]:
        """Views of the square part and of X: (tile row, n, 2, tile column, n)."""
        n, T, D = self.n, self.columns, self.electrons.D
        return Y[:, :, :D].reshape(T, n, 2, T, n), Y[:, :, D:].reshape(T, n, 2, self.rows - T, n)

    def _below(self, state: Real) -> Real:
        """View of the tile rows of X^+: (tile row, tile column, n, 2, n)."""
        n, T = self.n, self.columns
        return state[T * (T + 1) // 2 :].reshape(self.rows - T, T, n, 2, n)


def aligned(shape: tuple[int, ...]) -> Real:
    """An array, not initialised, that begins with a line of the cache, so that few loads reach over two lines."""
    numbers = int(np.prod(shape))
    memory = np.empty(numbers + LINE)
    first = -(memory.ctypes.data // memory.itemsize) % LINE
    return memory[first : first + numbers].reshape(shape)
