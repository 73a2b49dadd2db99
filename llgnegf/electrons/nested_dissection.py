"""Green's functions of a large lattice by nested dissection, beside the sweeps of `slices.py`.

Blocks of G on the sites at one energy take a time of L^3 for L x L sites, where a sweep takes L^4.  The order of
elimination is in `dissection.py`, the kernels are in `fronts.py`.  `NestedDissection.of` says which lattices gain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .counter import Counter
from .dissection import Dissection, dissect, least_cost
from .fronts import driven, factorize, moved, selected, solve
from .lattice_hops import hops_and_matrices
from .slice_blocks import Allocator, Stack, layers
from .slices import log_determinant
from .system import System

# A sweep takes 3 (2 ny)^3 multiply-adds for each of nx slices; nested dissection is taken where its estimated cost is
# less than this multiple of it, at about 34 x 34 sites (38 x 38 with periodic y), for the sea term at 60 x 60
# (`benchmarks/wide_lattices.py`).
_GAIN = 1.25
_GAIN_FOR_MOTION = 0.65
# Lattices with fewer sites are not judged, and single energies close to levels of their parts stay with sweeps.
_FEWEST_SITES = 400
# A part of the lattice whose Green's function has an element beyond this, times 1/hopping, is eliminated with what
# surrounds it: about 1e-16 times the square of this value and the rows of its matrix is lost.  Beside solutions refined
# in extended precision, at Im z = 1e-9, blocks of G are off by 2e-13 on 30 x 30 sites, 7e-12 on 60 x 60, 5e-11 on
# 100 x 100; sweeps, whose partial lattices are open, by 1e-13.  Poles of f so close to the axis have weights that are
# as small as their height, and scattering states are refined (`RealEnergy.refined`).
_LARGEST_PARTIAL = 10.0
# Room for that, over the sizes of a lattice without such parts; then once more.
_ROOM = (1.2, 4.0)
_LEAST_ROOM = 20_000
_NOTHING = np.empty(0, complex)


def _lengths(tree: Dissection, room: float) -> tuple[int, int, int, int]:
    """Elements of the arrays in which matrices lie one behind the other (`Dissection.sizes`), with this much room."""
    store, even, odd, down = (int(room * size) + _LEAST_ROOM for size in tree.sizes)
    return store, even, odd, down


@dataclass(frozen=True)
class Factors:
    """z - H - Sigma at one energy, eliminated.

    put_off, sizes, offsets: (n,), see `fronts.factorize`; room, down: of the arrays, see there; growth: largest element
    of the Green's function of a part of the lattice, times the hopping, normally about 1.
    """

    lattice: NestedDissection
    z: complex
    put_off: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    store: Stack
    room: float
    down: int
    growth: float

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""
        return self.store.nbytes

    @property
    def known(self) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """What the kernels need beside the store."""
        return self.put_off, self.sizes, self.offsets

    def blocks(self, with_bonds: bool, temporary: Allocator) -> Stack:
        """Blocks of G in the layout of `slices.Sweep.blocks`, of one energy: (nx, 1, 3 or 5, ny, 2, 2)."""
        lattice = self.lattice
        out = np.zeros((lattice.layers(with_bonds), lattice.n_sites, 2, 2), complex)
        selected(lattice.tree.arrays, lattice.hop, *self.known, self.store, temporary((self.down,)), out)
        return lattice.by_slice(out)

    def log_determinant(self) -> NDArray[np.complex128]:
        """ln det G^-1, (1,), on the branch of `slices.eliminate`."""
        out = np.zeros(1, complex)
        for s, offset, put_off in zip(self.sizes, self.offsets, self.put_off, strict=True):
            if not put_off:
                out += log_determinant(self.store[offset : offset + s * s].reshape(1, 1, s, s))
        return out

    def solve(self, sources: Stack, adjoint: bool = False) -> Stack:
        """Solution x of (E - H - Sigma) x = sources, or of the equation with the adjoint matrix; both (nx, 2 ny, p)."""
        lattice = self.lattice
        x = np.array(sources.reshape(lattice.n_sites, 2, sources.shape[-1]), order="C")
        if x.shape[-1]:
            solve(lattice.tree.arrays, lattice.hop, *self.known, self.store, adjoint, x)
        return x.reshape(sources.shape)


class NestedDissection:
    """A lattice with one texture; blocks: of H on the sites, (nx, ny, 2, 2), energy.

    counter: counts every energy at which the lattice is eliminated.  gains_for_motion: whether the sea term is faster
    by nested dissection, too.
    """

    def __init__(
        self, device: System, blocks: NDArray[np.complex128], counter: Counter, wanted: bool | None = None
    ) -> None:
        self.device, self.counter, self.shape = device, counter, device.shape
        self.n_sites = device.n_sites
        self.tree = dissect(*_key(device))
        hops, self._matrices = hops_and_matrices(device)
        self.hop = self._hop(hops.ravel())
        self._blocks = np.array(blocks.reshape(-1, 2, 2), order="C")
        self.gains_for_motion = bool(wanted) or self.tree.cost < _GAIN_FOR_MOTION * _sweep_cost(device)

    @classmethod
    def of(
        cls, device: System, blocks: NDArray[np.complex128], counter: Counter, wanted: bool | None = None
    ) -> NestedDissection | None:
        """It for this lattice, or None if sweeps are faster; wanted: whether it is taken in any case or not at all."""
        gains = wanted
        if wanted is None:
            gains = device.n_sites >= _FEWEST_SITES and least_cost(*_key(device)) < _GAIN * _sweep_cost(device)
        return cls(device, blocks, counter, wanted) if gains else None

    @classmethod
    def near_levels(
        cls, device: System, blocks: NDArray[np.complex128], counter: Counter, wanted: bool | None = None
    ) -> NestedDissection | None:
        """It for single energies at which sweeps lose digits, whatever else is faster; None for small lattices."""
        large = device.n_sites >= _FEWEST_SITES and wanted is not False
        return cls(device, blocks, counter) if large else None

    def exact_motion(self, z: complex, rate: Stack, with_bonds: bool) -> Stack | None:
        """G' Y G - G Y G' at one energy, Y = `rate`, as `driven`; None where `factorize` fails."""
        scratch = self.device.scratch
        with scratch.lent() as temporary:
            factors = self.factorize(z, temporary, temporary)
            if factors is None:
                return None
            return self.driven(factors, self.slope(factors, temporary, temporary), rate, temporary, with_bonds)[1]

    def _hop(self, hops: NDArray[np.float64]) -> tuple[NDArray[np.float64], Stack]:
        """The bonds of the tree as the kernels take them (`fronts.py`); hops: of all bonds, (2 sites,)."""
        begins, number = self.tree.bonds[:, 2].astype(bool), self.tree.bonds[:, 3]
        if self._matrices is None:
            return hops[number], np.empty((2, 0, 2, 2), complex)
        forth = -self._matrices.reshape(-1, 2, 2)[number]
        back = _adjoint(forth)
        from_own = begins[:, None, None]
        return hops[number], np.stack([np.where(from_own, forth, back), np.where(from_own, back, forth)])

    def layers(self, with_bonds: bool) -> int:
        """See `Slices.layers`."""
        return layers(self._matrices is not None, with_bonds)

    def by_slice(self, out: Stack) -> Stack:
        """Blocks (..., 1, 3 or 5, sites, 2, 2) in the layout of `slices.Sweep.blocks`."""
        nx, ny = self.shape
        return np.moveaxis(out.reshape(*out.shape[:-3], nx, ny, 2, 2), -5, -4)

    def factorize(self, z: complex, allocate: Allocator, temporary: Allocator) -> Factors | None:
        """z - H - Sigma eliminated at an energy, Im z >= 0; None where too large a part has a level there.

        allocate: for arrays that are kept; temporary: for those that are not.
        """
        sigma = np.concatenate(self.device.lead_slices((z,)))
        self.counter.add(1)
        for room in _ROOM:
            kept, even, odd, down = _lengths(self.tree, room)
            store = allocate((kept,))
            n = len(self.tree.parent)
            put_off, sizes, offsets = np.zeros(n, bool), np.zeros(n, np.int64), np.zeros(n, np.int64)
            known = z, self._blocks, self.hop, sigma, _LARGEST_PARTIAL / self.device.hopping
            passing = temporary((even,)), temporary((odd,))
            growth, status, needed = factorize(self.tree.arrays, *known, put_off, sizes, offsets, store, *passing)
            if not status:
                growth *= self.device.hopping
                return Factors(self, z, put_off, sizes, offsets, store, room, max(down, needed), growth)
        return None

    def slope(self, factors: Factors, allocate: Allocator, temporary: Allocator) -> Stack:
        """The change of the factors with the energy, for `driven`."""
        one = np.tile(np.eye(2, dtype=complex), (self.n_sites, 1, 1))
        slopes = np.concatenate([lead.slope(np.array([factors.z])) for lead in self.device.ends])
        every = np.ones(len(self.tree.parent), bool)
        (store,) = self._moved(factors, None, one, slopes, every, allocate, temporary)
        return store

    def _moved(
        self,
        factors: Factors,
        slope: Stack | None,
        X: Stack,
        slopes: Stack,
        touched: NDArray[np.bool_],
        allocate: Allocator,
        temporary: Allocator,
    ) -> list[Stack]:
        """See `fronts.moved`: the store of f, and that of q if there is a store of p, `slope`."""
        kept, even, odd, _ = _lengths(self.tree, factors.room)
        many = 1 if slope is None else 2
        stores = [allocate((kept,)) for _ in range(many)]
        p, q = (_NOTHING, _NOTHING) if slope is None else (slope, stores[1])
        passing = temporary((many, even)), temporary((many, odd))
        known = self.tree.arrays, self.hop, X, slopes, touched, *factors.known, factors.store
        moved(*known, p, stores[0], q, *passing)
        return stores

    def driven(
        self,
        factors: Factors,
        slope: Stack | None,
        Y: Stack,
        temporary: Allocator,
        with_bonds: bool = False,
        everywhere: bool = False,
    ) -> tuple[Stack, Stack]:
        """G, and G' Y G - G Y G' with G' = dG/dz, or G Y G without `slope`; Y: (nx, ny, 2, 2).

        Both in the layout of `slices.Sweep.blocks`, of one energy.  everywhere: whether all of G is needed; else it is
        left out at sites far from those with Y.
        """
        tree = self.tree
        X = -np.ascontiguousarray(Y.reshape(-1, 2, 2))
        touched = np.zeros(len(tree.parent), bool)
        drives = np.asarray(X.any(axis=(1, 2)))
        touched[:] = np.logical_or.reduceat(drives[tree.own], tree.own_start[:-1])
        for k, parent in enumerate(tree.parent[:-1]):
            touched[parent] |= touched[k]
        f, *more = self._moved(factors, slope, X, np.zeros((0, 0, 0), complex), touched, temporary, temporary)
        p, q = (_NOTHING, _NOTHING) if slope is None else (slope, more[0])
        stacks = temporary((2 if slope is None else 4, factors.down))
        out = np.zeros((2, self.layers(with_bonds), self.n_sites, 2, 2), complex)
        known = tree.arrays, self.hop, touched, everywhere, *factors.known, factors.store
        driven(*known, p, f, q, stacks, out)
        G, found = self.by_slice(out)
        return G, found

    def times(self, x: Stack) -> Stack:
        """H x for x (nx, 2 ny, p), without leads."""
        device = self.device
        nx, ny = self.shape
        x = x.reshape(nx, ny, 2, x.shape[-1])
        out = self._blocks.reshape(nx, ny, 2, 2) @ x
        if self._matrices is not None:
            along_x, along_y = self._matrices[:-1, 0], self._matrices[:, 1]
            out[:-1] += along_x @ x[1:]
            out[1:] += _adjoint(along_x) @ x[:-1]
            # The matrix of a bond that is not there is zero.
            out += along_y @ np.roll(x, -1, axis=1)
            out += np.roll(_adjoint(along_y) @ x, 1, axis=1)
            return out.reshape(nx, 2 * ny, -1)
        hops = device.hops[:, None, None, None]
        out[1:] -= hops * x[:-1]
        out[:-1] -= hops * x[1:]
        out[:, 1:] -= device.hopping * x[:, :-1]
        out[:, :-1] -= device.hopping * x[:, 1:]
        if device.periodic and ny > 1:
            out[:, 0] -= device.hopping * x[:, -1]
            out[:, -1] -= device.hopping * x[:, 0]
        return out.reshape(nx, 2 * ny, -1)

    def factor_bytes(self) -> int:
        """Memory of the factors at one energy, bytes."""
        return 16 * _lengths(self.tree, _ROOM[0])[0]

    def working_bytes(self, order: int) -> int:
        """Memory of one thread for an energy of order 0, or for a pair of energies of the sea term, bytes."""
        store, even, odd, down = _lengths(self.tree, _ROOM[0])
        return 16 * ((4 if order else 1) * (store + down) + even + odd)


def _adjoint(matrices: Stack) -> Stack:
    """The adjoint of each matrix (..., 2, 2)."""
    return np.conj(np.swapaxes(matrices, -1, -2))


def _key(device: System) -> tuple[int, int, bool, tuple[bool, bool]]:
    """What the order of elimination depends on."""
    nx, ny = device.shape
    left, right = device.couplings
    return nx, ny, device.periodic == "y", (bool(left), bool(right))


def _sweep_cost(device: System) -> float:
    """Of all blocks of G on the sites by a sweep at one energy, as `Dissection.cost`."""
    nx, ny = device.shape
    return 3.0 * nx * (2 * ny) ** 3
