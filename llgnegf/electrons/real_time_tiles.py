"""The state of electrons in real time on lattices as tiles, and a stage of a one-step method in one pass over them.

A large state is bound by memory: what matters is how often it is read and written.  So it is kept as tiles that fit in a
core's cache, of the Hermitian R the lower triangle alone, and a stage of a step reads and writes each tile once:
derivative, sum over the stages, and the state of the next stage together.

Tiles are n x n, n = 2 ny: tile rows and columns 0 ... nx - 1 are slices of sites, in the order (spin, y), then the
exponents (lead, k), in the order (spin, mode).  Tile rows T + (lead, pole) hold X^+ of `real_time`.  Stored one
after the other are the rows, each up to its diagonal tile, or all T columns where there is none: an array (tiles, n, 2, n)
[tile, row, real/imaginary, column].
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from . import real_time_stage as kernels
from .real_time import RealTime
from .threads import each

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]

# Bytes of the state in one task of a thread.
_TASK = 4_000_000


class Tiles:
    """The electrons `electrons` with their state as tiles."""

    def __init__(self, electrons: RealTime) -> None:
        self.electrons = electrons
        system, reservoirs = electrons.system, electrons.reservoirs
        self.nx, self.ny, self.n = electrons.nx, electrons.ny, electrons.n
        self.kept, self.n_poles, self.leads = electrons.kept, electrons.n_poles, len(reservoirs)
        self.columns = self.nx + self.leads * self.kept
        self.rows = self.columns + self.leads * self.n_poles
        self.tiles = kernels.tile_index(self.rows, 0, self.columns) if self.rows > self.columns else (
            self.columns * (self.columns + 1) // 2
        )
        self.ends = np.array([one.site for one in reservoirs], np.int64)
        ny = self.ny

        def stacked(parts: list[Complex], *shape: int) -> Complex:
            return np.array(parts, complex).reshape(self.leads, *shape)

        self.z = stacked([one.energies for one in reservoirs], self.kept, ny)
        self.g = stacked([one.weights for one in reservoirs], self.kept)
        self.a = stacked([one.filled for one in reservoirs], self.kept, ny)
        self.poles = stacked([one.poles for one in reservoirs], self.n_poles)
        self.b = stacked([one.pole_filled for one in reservoirs], self.n_poles, ny)
        vectors = system.modes.vectors
        self.modes = np.ascontiguousarray([vectors.T, vectors])
        self.sides = np.array(electrons.sides, int)
        self.hops = np.ascontiguousarray(system.hops, float)
        self.periodic = system.periodic == "y"
        self._V = np.zeros((2, self.leads, self.rows, self.n, 2, 2, ny))
        self._W = np.zeros((2, self.leads, self.columns, self.n, 2, 2, ny))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the state."""
        return self.tiles, self.n, 2, self.n

    # --- rows and tiles -----------------------------------------------------------------------------

    def from_rows(self, Y: Real) -> Real:
        """The state Y of `RealTime` as tiles."""
        D, n, T = self.electrons.D, self.n, self.columns
        out = np.empty(self.shape)
        blocks = Y[:, :, :D].reshape(T, n, 2, T, n)
        for I in range(T):
            first = kernels.tile_index(I, 0, T)
            out[first : first + I + 1] = np.moveaxis(blocks[I, :, :, : I + 1], 2, 0)
        if self.rows > T:
            X = Y[:, :, D:].reshape(T, n, 2, self.rows - T, n)
            below = out[kernels.tile_index(T, 0, T) :].reshape(self.rows - T, T, n, 2, n)
            below[:, :, :, 0] = X[:, :, 0].transpose(2, 0, 3, 1)
            below[:, :, :, 1] = -X[:, :, 1].transpose(2, 0, 3, 1)
        return out

    def to_rows(self, S: Real) -> Real:
        """Tiles as the state Y of `RealTime`."""
        D, n, T = self.electrons.D, self.n, self.columns
        Y = np.empty(self.electrons.shape)
        blocks = Y[:, :, :D].reshape(T, n, 2, T, n)
        for I in range(T):
            first = kernels.tile_index(I, 0, T)
            for J in range(I + 1):
                tile = S[first + J]
                blocks[I, :, :, J] = tile
                if J < I:
                    blocks[J, :, 0, I] = tile[:, 0].T
                    blocks[J, :, 1, I] = -tile[:, 1].T
        if self.rows > T:
            X = Y[:, :, D:].reshape(T, n, 2, self.rows - T, n)
            below = S[kernels.tile_index(T, 0, T) :].reshape(self.rows - T, T, n, 2, n)
            X[:, :, 0] = below[:, :, :, 0].transpose(1, 3, 0, 2)
            X[:, :, 1] = -below[:, :, :, 1].transpose(1, 3, 0, 2)
        return Y

    # --- the equation -------------------------------------------------------------------------------

    def stage(
        self,
        y: Real,
        stage: Real,
        acc: Real,
        new: Real | None,
        m: Real,
        potential: Real,
        voltages: Real,
        b_dt: float,
        c_dt: float = 0.0,
    ) -> None:
        """One stage of a step from y, with k the derivative of `stage`: acc += b_dt k, new = y + c_dt k.

        In the first stage, where `stage` is y, acc = y + b_dt k, whatever it held.  new: the state of the next stage,
        None in the last one.  m (*s, 3), potential (*s,), voltages (2,): moments, gates and voltages of the left
        and right lead, energy.  y and `stage` are not changed; acc and new must be none of the other arrays.
        """
        n, ny, T = self.n, self.ny, self.columns
        system = self.electrons.system
        zeta, mixed = np.zeros((self.rows + 1, 2, 2, ny)), np.empty((self.nx, 2, ny))
        sites = self.nx, ny
        kernels.diagonal(
            m.reshape(*sites, 3), potential.reshape(sites), system.onsite, system.sd_exchange, zeta, mixed
        )
        shifts = voltages[self.sides][:, None, None]
        z = (self.z + shifts).reshape(-1, 1, ny)
        zeta[self.nx : T, 0], zeta[self.nx : T, 1] = z.real, z.imag
        poles = np.broadcast_to(self.poles[:, :, None] + shifts, (self.leads, self.n_poles, ny)).reshape(-1, 1, ny)
        zeta[T:-1, 0], zeta[T:-1, 1] = poles.real, poles.imag

        arrays = y, stage, acc, acc if new is None else new
        if self.leads:
            self._spread(
                self.leads * self.rows,
                lambda first, last: kernels.gather(
                    first, last, stage.reshape(-1, n, 2, 2, ny), T, self.nx, self.ends, self.kept, self.n_poles, self.a, self.b, self.modes,
                    self._V, self._W
                ),
                self.columns,
            )
        mode = 2 if new is None else 0 if stage is y else 1
        self._spread(
            self.tiles,
            lambda first, last: kernels.pass_over(
                first, last, *arrays, mode, b_dt, c_dt, T, self.nx, self.ends, self.kept, zeta.reshape(-1, 2, n), mixed, self.hops,
                system.hopping, self.periodic, self.g, self._V.reshape(2, self.leads, self.rows, n, 2, n), self._W.reshape(2, self.leads, T, n, 2, n)
            ),
            1,
        )

    def _spread(self, items, kernel, each_tiles):
        count = max(1, min(items, items * each_tiles * self.n**2 * 16 // _TASK))
        cuts = np.linspace(0, items, count + 1).astype(int)
        each(lambda part: kernel(int(part[0]), int(part[1])), list(zip(cuts[:-1], cuts[1:])))
