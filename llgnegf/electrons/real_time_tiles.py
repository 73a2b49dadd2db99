"""Electrons in real time on lattices: the state as tiles, and a stage of a one-step method in one pass over them.

A large state is bound by memory: what counts is how often it is read and written.  So it is kept as tiles that fit into
a core's cache, of the Hermitian R the lower triangle alone, and a stage of a step reads and writes each tile once:
derivative and the state of the next stage together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from . import real_time_gather, real_time_stage
from . import real_time_sums as sums
from .real_time_carrier import Flows
from .real_time_layout import TileLayout, aligned
from .real_time_start import at_rest
from .real_time_step import Weights
from .threads import each, pool_size

Real = NDArray[np.float64]

# Bytes of the state that a thread passes over at a time: more, threads wait for the last one; fewer, for Python.
_LARGEST, _LEAST = 16e6, 1e6


class Tiles(TileLayout):
    """The electrons `electrons` in real time, with their state as tiles (`real_time_layout`).

    Its work arrays serve one stage at a time.
    """

    @cached_property
    def _products(self) -> tuple[Real, Real]:
        """V and W of `real_time_gather.gather`, work arrays."""
        one = self.n, 2, self.n
        return aligned((2, self.leads, self.rows, *one)), aligned((2, self.leads, self.columns, *one))

    @cached_property
    def _bonds(self) -> Real:
        """Hopping of each column of a slice to that before and that after it, (2, n)."""
        bonds = np.full((2, 2, self.ny), self.electrons.system.hopping)
        bonds[0, :, 0] = bonds[1, :, -1] = 0.0
        return bonds.reshape(2, self.n)

    def empty(self) -> Any:
        """An array for a state, not initialised."""
        return aligned(self.shape)

    def put(self, state: Real) -> Any:
        """A NumPy array (*shape,) as an array that `stage` takes: a copy."""
        out = self.empty()
        out[...] = state
        return out

    def get(self, state: Any) -> Real:
        """An array that `stage` takes as a NumPy array: a copy."""
        return state.copy()

    # --- the start and the equation -----------------------------------------------------------------

    def at_rest(self, m: Real, potential: Real) -> Real:
        """The state at rest at moments m (*s, 3) and gates `potential` (*s,)."""
        return at_rest(self, m, potential)

    def derivative(self, state: Real, m: Real, potential: Real, voltages: Real) -> Real:
        """dR/dt as tiles; arguments as those of `RealTime.derivative`."""
        nothing, out = np.zeros(self.shape), self.empty()
        self.stage(nothing, state, out, m, potential, voltages, 1.0)
        return out

    def stage(
        self,
        y: Real,
        stage: Real,
        new: Real,
        m: Real,
        potential: Real,
        voltages: Real,
        dt: float,
        last: tuple[Real, Weights] | None = None,
    ) -> None:
        """One stage of a step that begins at y: new = y + dt k, with k the derivative of `stage`.

        last = (third, w), in the last stage: new = w[0] y + w[1] new + w[2] third + w[3] stage + dt k.  What a step
        adds up of the k before is what earlier stages differ by, so that there is no array for the sum.
        m (*s, 3), potential (*s,), voltages (2,): moments, gates, and voltages of the left and right lead, energy.
        All but `new` stay as they are.  Raises ValueError where two arrays share memory that must not.
        """
        third, weights = (y, (1.0, 0.0, 0.0, 0.0)) if last is None else last
        self._check(y, stage, third, new)
        is_last = last is not None
        zeta, mixed = self._diagonal(m, potential, voltages)
        T = self.columns
        V, W = self._products
        split = self._split(stage)
        if self.leads:
            V_split, W_split = self._split(V), self._split(W)

            def gather(first: int, last: int) -> None:
                real_time_gather.gather(
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
        mixed = np.concatenate([mixed, mixed * [[1.0], [-1.0]]], axis=2)
        before, after = self._beside(stage)

        def pass_over(first: int, last: int) -> None:
            q, exchanged = aligned(self.shape[1:]), aligned(self.shape[1:])
            real_time_stage.pass_over(
                first,
                last,
                y,
                stage,
                split,
                before,
                after,
                new,
                third,
                weights,
                is_last,
                dt,
                T,
                self.nx,
                self.ends,
                self.kept,
                zeta,
                mixed,
                self._bonds,
                self.hops,
                self.electrons.system.hopping,
                self.periodic,
                self.g,
                V,
                W,
                q,
                self._split(q),
                exchanged,
                self._split(exchanged),
            )

        self._spread(self.count, 1, pass_over)

    def _check(self, y: Any, stage: Any, third: Any, new: Any) -> None:
        named = {"y": y, "stage": stage, "third": third, "new": new}
        for name, one in named.items():
            if one.shape != self.shape or one.dtype != np.float64 or not one.flags.c_contiguous:
                raise ValueError(
                    f"{name} has shape {one.shape} and type {one.dtype}: a state of these electrons is a C-contiguous "
                    f"array of shape {self.shape} and type float64"
                )
        for name in ("y", "stage", "third"):
            if self._shares_memory(named[name], new):
                raise ValueError(
                    f"new shares memory with {name}: a stage writes new while it reads {name}; use an array of its own"
                )

    def _shares_memory(self, one: Any, other: Any) -> bool:
        return np.may_share_memory(one, other)

    def _beside(self, state: Real) -> tuple[Real, Real]:
        """The state of all tiles but one, shifted by a number: `before` and `after` of `real_time_stage.pass_over`."""
        numbers, shape = state.reshape(-1), (self.count - 1, *self.shape[1:])
        size = numbers.size - numbers.size // self.count
        first = numbers.size - size - 1
        return numbers[first : first + size].reshape(shape), numbers[1 : 1 + size].reshape(shape)

    def _split(self, array: Real) -> Real:
        """The same array with the last axis as (spin, y)."""
        return array.reshape(*array.shape[:-1], 2, self.ny)

    def _diagonal(self, m: Real, potential: Real, voltages: Real) -> tuple[Real, Real]:
        """zeta (rows, 2, n) of `real_time_stage.pass_over`, and <up|H|down> of each site, (nx, 2, ny)."""
        T, ny, system = self.columns, self.ny, self.electrons.system
        zeta, mixed = np.zeros((self.rows, 2, 2, ny)), np.empty((self.nx, 2, ny))
        sites = self.nx, ny
        moments, on_sites = self.electrons.felt(m), system.on_sites(potential).reshape(sites)
        real_time_gather.diagonal(moments, on_sites, system.onsite, self.electrons.exchange, zeta, mixed)
        shifts = np.asarray(voltages, float)[self.sides][:, None, None]
        z = (self.z + shifts).reshape(-1, 1, ny)
        poles = np.broadcast_to(self.poles[:, :, None] + shifts, (self.leads, self.n_poles, ny)).reshape(-1, 1, ny)
        zeta[self.nx : T, 0], zeta[self.nx : T, 1] = z.real, z.imag
        zeta[T:, 0], zeta[T:, 1] = poles.real, poles.imag
        return zeta.reshape(-1, 2, self.n), mixed

    def _spread(self, items: int, tiles_each: float, kernel: Callable[[int, int], None]) -> None:
        """kernel(first, last) for parts of the items, in threads; tiles_each: how many tiles an item reads."""
        size = items * tiles_each * self.n**2 * 16
        parts = int(max(1, size / _LARGEST, min(2 * pool_size(), size / _LEAST)))
        cuts = np.linspace(0, items, min(parts, items) + 1).astype(int).tolist()
        each(lambda part: kernel(*part), list(itertools.pairwise(cuts)))

    # --- what it says -------------------------------------------------------------------------------

    def traced(self, state: Real) -> Real:
        """Density and spin density of each site, Tr[rho_i (1, sigma)]: (*s, 4)."""
        return sums.traced(state, self.nx, self.columns).reshape(*self.electrons.system.shape, 4)

    def flows(self, state: Real) -> Flows:
        """What flows into the left and the right lead."""
        found = sums.exchanged(state, self.nx, self.columns, self.modes[0], self.ends, self.z, self.poles)
        return Flows.of(self.sides, *found)

    def energy(self, state: Real, m: Real, potential: Real) -> float:
        """Tr[rho H] of the device, without its coupling to the leads, energy."""
        system, sites = self.electrons.system, (self.nx, self.ny)
        return sums.own_energy(
            state,
            self.columns,
            self.electrons.felt(m),
            system.on_sites(potential).reshape(sites),
            system.onsite,
            self.electrons.exchange,
            self.hops,
            system.hopping,
            self.periodic,
        )
