"""Electrons in real time on lattices: the state as tiles, and a stage of a one-step method in one pass over them.

A large state is bound by memory: what counts is how often it is read and written.  So it is kept as tiles that fit into
a core's cache, of the Hermitian R the lower triangle alone, and a stage of a step reads and writes each tile once:
derivative, sum over the stages, and the state of the next stage together.

Tiles are n x n, n = 2 ny.  Tile rows and columns 0 ... nx - 1 are the slices of sites, in the order (spin, y); then come
the exponents (lead, k), in the order (spin, mode): T of them.  Tile rows T + (lead, pole) hold X^+ of `real_time`.
The rows are stored one after the other, each up to its diagonal tile, or all T columns where there is none: an array
(tiles, n, 2, n) [tile, row, real/imaginary, column].
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import real_time_stage as kernels
from . import real_time_sums as sums
from .real_time import Flows, RealTime
from .real_time_start import equilibrium
from .threads import each

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]

# Bytes of the state that a thread passes over at a time.
_TASK = 4_000_000


class Tiles:
    """The electrons `electrons` in real time, with their state as tiles.

    Its work arrays serve one stage at a time.
    """

    def __init__(self, electrons: RealTime) -> None:
        self.electrons = electrons
        system, reservoirs = electrons.system, electrons.reservoirs
        self.nx, self.ny, self.n = electrons.nx, electrons.ny, electrons.n
        self.kept, self.n_poles, self.leads = electrons.kept, electrons.n_poles, len(reservoirs)
        self.columns = self.nx + self.leads * self.kept
        self.rows = self.columns + self.leads * self.n_poles
        self.count = self.columns * (self.columns + 1) // 2 + (self.rows - self.columns) * self.columns
        self.ends = np.array([one.site for one in reservoirs], np.int64)
        leads, kept, ny = self.leads, self.kept, self.ny

        def stacked(parts: list[Complex], *shape: int) -> Complex:
            return np.array(parts, complex).reshape(leads, *shape)

        self.z = stacked([one.energies for one in reservoirs], kept, ny)
        self.g = stacked([one.weights for one in reservoirs], kept)
        self.a = stacked([one.filled for one in reservoirs], kept, ny)
        self.poles = stacked([one.poles for one in reservoirs], self.n_poles)
        self.b = stacked([one.pole_filled for one in reservoirs], self.n_poles, ny)
        self.modes = np.stack([system.modes.vectors.T, system.modes.vectors])
        self.sides = np.array(electrons.sides, int)
        self.hops = np.array(system.hops, float)
        self.periodic = system.periodic == "y"

    @cached_property
    def _products(self) -> tuple[Real, Real]:
        """V and W of `kernels.gather`, work arrays."""
        one = self.n, 2, self.n
        return np.empty((2, self.leads, self.rows, *one)), np.empty((2, self.leads, self.columns, *one))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the state."""
        return self.count, self.n, 2, self.n

    def empty(self) -> Any:
        """An array for a state, not initialised."""
        return np.empty(self.shape)

    def put(self, state: Real) -> Any:
        """A NumPy array (*shape,) as an array that `stage` takes: a copy."""
        return state.copy()

    def get(self, state: Any) -> Real:
        """An array that `stage` takes as a NumPy array: a copy."""
        return state.copy()

    # --- rows and tiles -----------------------------------------------------------------------------

    def from_rows(self, Y: Real) -> Real:
        """The state Y of `RealTime`, in its own layout, as tiles."""
        n, T = self.n, self.columns
        out = np.empty(self.shape)
        (blocks, X), below = self._blocks(Y), self._below(out)
        for I in range(T):
            out[kernels.tile_index(I, 0, T) :][: I + 1] = np.moveaxis(blocks[I, :, :, : I + 1], 2, 0)
        if self.rows > T:
            below[:, :, :, 0] = X[:, :, 0].transpose(2, 0, 3, 1)
            below[:, :, :, 1] = -X[:, :, 1].transpose(2, 0, 3, 1)
        return out

    def to_rows(self, state: Real) -> Real:
        """Tiles as the state of `RealTime` in its own layout."""
        T, Y = self.columns, np.empty(self.electrons.shape)
        (blocks, X), below = self._blocks(Y), self._below(state)
        for I in range(T):
            for J in range(I + 1):
                tile = state[kernels.tile_index(I, J, T)]
                blocks[I, :, :, J] = tile
                if J < I:
                    blocks[J, :, 0, I], blocks[J, :, 1, I] = tile[:, 0].T, -tile[:, 1].T
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

    # --- the start and the equation -----------------------------------------------------------------

    def equilibrium(self, m: Real, potential: Real) -> Real:
        """The state in equilibrium at moments m (*s, 3) and gates `potential` (*s,)."""
        return equilibrium(self, m, potential)

    def derivative(self, state: Real, m: Real, potential: Real, voltages: Real) -> Real:
        """dR/dt as tiles; arguments as those of `RealTime.derivative`."""
        nothing = np.zeros(self.shape)
        out = np.zeros(self.shape)
        self.stage(nothing, state, out, None, m, potential, voltages, 1.0)
        return out

    def stage(
        self,
        y: Real,
        stage: Real,
        total: Real,
        new: Real | None,
        m: Real,
        potential: Real,
        voltages: Real,
        b_dt: float,
        c_dt: float = 0.0,
    ) -> None:
        """One stage of a step that begins at y, with k the derivative of `stage`: total += b_dt k, new = y + c_dt k.

        In the first stage, where `stage` is y itself, total = y + b_dt k, whatever it held.  new: the state of the next
        stage; None in the last one, after which `total` is the state at the end of the step.  m (*s, 3), potential
        (*s,), voltages (2,): moments, gates, and voltages of the left and right lead, energy.
        y and `stage` stay as they are.  Raises ValueError where two arrays share memory that must not.
        """
        self._check(y, stage, total, new)
        is_first = self._shares_memory(stage, y)
        zeta, mixed = self._diagonal(m, potential, voltages)
        T = self.columns
        V, W = self._products
        if self.leads:
            split, V_split, W_split = (one.reshape(*one.shape[:-1], 2, self.ny) for one in (stage, V, W))

            def gather(first: int, last: int) -> None:
                kernels.gather(
                    first,
                    last,
                    split,
                    T,
                    self.nx,
                    self.ends,
                    self.kept,
                    self.n_poles,
                    self.a,
                    self.b,
                    self.modes,
                    V_split,
                    W_split,
                )

            self._spread(self.leads * self.rows, self.count / self.rows, gather)
        if new is None and is_first:
            np.copyto(total, y)
        mode = 2 if new is None else 0 if is_first else 1
        target = total if new is None else new

        def pass_over(first: int, last: int) -> None:
            kernels.pass_over(
                first,
                last,
                y,
                stage,
                total,
                target,
                mode,
                b_dt,
                c_dt,
                T,
                self.nx,
                self.ends,
                self.kept,
                zeta,
                mixed,
                self.hops,
                self.electrons.system.hopping,
                self.periodic,
                self.g,
                V,
                W,
            )

        self._spread(self.count, 1, pass_over)

    def _check(self, y: Any, stage: Any, total: Any, new: Any | None) -> None:
        named = {"y": y, "stage": stage, "total": total} | ({} if new is None else {"new": new})
        for name, one in named.items():
            if one.shape != self.shape or one.dtype != np.float64 or not one.flags.c_contiguous:
                raise ValueError(
                    f"{name} has shape {one.shape} and type {one.dtype}: a state of these electrons is a C-contiguous "
                    f"array of shape {self.shape} and type float64"
                )
        for name, other in itertools.combinations(named, 2):
            if (name, other) != ("y", "stage") and self._shares_memory(named[name], named[other]):
                raise ValueError(
                    f"{other} shares memory with {name}: a stage writes {other} while it reads {name}; use an array of "
                    "its own"
                )

    def _shares_memory(self, one: Any, other: Any) -> bool:
        return np.may_share_memory(one, other)

    def _diagonal(self, m: Real, potential: Real, voltages: Real) -> tuple[Real, Real]:
        """zeta (rows + 1, 2, n), the last row zero, and mixed (nx, 2, ny) of `kernels.pass_over`."""
        T, ny, system = self.columns, self.ny, self.electrons.system
        zeta, mixed = np.zeros((self.rows + 1, 2, 2, ny)), np.empty((self.nx, 2, ny))
        sites = self.nx, ny
        kernels.diagonal(m.reshape(*sites, 3), potential.reshape(sites), system.onsite, system.sd_exchange, zeta, mixed)
        shifts = np.asarray(voltages, float)[self.sides][:, None, None]
        z = (self.z + shifts).reshape(-1, 1, ny)
        poles = np.broadcast_to(self.poles[:, :, None] + shifts, (self.leads, self.n_poles, ny)).reshape(-1, 1, ny)
        zeta[self.nx : T, 0], zeta[self.nx : T, 1] = z.real, z.imag
        zeta[T:-1, 0], zeta[T:-1, 1] = poles.real, poles.imag
        return zeta.reshape(-1, 2, self.n), mixed

    def _spread(self, items: int, tiles_each: float, kernel: Callable[[int, int], None]) -> None:
        """kernel(first, last) for parts of the items, in threads; tiles_each: how many tiles an item reads."""
        parts = int(items * tiles_each * self.n**2 * 16 / _TASK) + 1
        cuts = np.linspace(0, items, min(parts, items) + 1).astype(int).tolist()
        each(lambda part: kernel(*part), list(itertools.pairwise(cuts)))

    # --- what it says -------------------------------------------------------------------------------

    def traced(self, state: Real) -> Real:
        """Density and spin density of each site, Tr[rho_i (1, sigma)]: (*s, 4)."""
        return sums.traced(state, self.nx, self.columns).reshape(*self.electrons.system.shape, 4)

    def flows(self, state: Real) -> Flows:
        """What flows into the left and the right lead."""
        P, weighted = sums.exchanged(state, self.nx, self.columns, self.modes[0], self.ends, self.z, self.poles)
        out, energy = np.zeros((2, 2, 2), complex), np.zeros(2)
        out[self.sides], energy[self.sides] = P, -2 * weighted.real
        return Flows(out, energy)

    def energy(self, state: Real, m: Real, potential: Real) -> float:
        """Tr[rho H] of the device, without its coupling to the leads, energy."""
        system, sites = self.electrons.system, (self.nx, self.ny)
        return sums.own_energy(
            state,
            self.columns,
            m.reshape(*sites, 3),
            potential.reshape(sites),
            system.onsite,
            system.sd_exchange,
            self.hops,
            system.hopping,
            self.periodic,
        )
