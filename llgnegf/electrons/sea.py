"""The Fermi-sea term of a square lattice: two-point functions at pairs of energies around each node of the pole rule.

    rho_sea = -(1/pi) int f Im G1,      G1 = -(i/2) (G B G Hd G - G Hd G B G),      B = 1 - dSigma/dE

With G B G = -dG/dz this needs G' Hd G - G Hd G', the derivative of G(z + s) Hd G(z - s) with respect to s at s = 0.  It
is approximated by a central difference whose step is a small fraction of the distance of the node to the spectrum.  The
function is analytic within that distance, so that the error is of second (or fourth) order in this fraction.  This
takes fewer matrix products than recursions for the derivatives.

Close to levels of partial lattices digits would be lost.  There larger lattices take nested dissection, which needs no
difference (`fronts.py`), smaller ones `slices_near_levels.py`.

If dH/dt is nonzero only on a few columns near one lead, as with gates alone, products with dH/dt are needed only for
the slices up to these columns, counted from that lead.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .lattice_parts import Difference, LatticeParts
from .pauli import pauli_traces
from .ranks import each_energy
from .scratch import KEPT_BYTES
from .slice_blocks import Allocator, Stack
from .slices import Sweep, log_determinant, two_point
from .slices_near_levels import two_point_near_levels

# Energies and weights of some nodes, (k,), and a function that returns ln det G^-1 (k,) there.
WeightedLogarithms = tuple[NDArray[Any], NDArray[Any], Callable[[], NDArray[np.complex128]]]


# Relative errors of the difference: about 1e-14/step by rounding, and step^2 or step^4.
SECOND_ORDER = Difference(3e-5, (1.0,), (1 / 2,), (1.0,))
_ROUNDING = float(np.finfo(float).eps)
FOURTH_ORDER = Difference(2e-3, (1.0, 2.0), (8 / 12, -1 / 12), (4 / 3, -1 / 3))


def traced(weights: NDArray[np.inexact], blocks: NDArray[np.complex128]) -> NDArray[np.float64]:
    """rho = -sum_k [w_k F_k + h.c.] traced with 1, sigma_x, sigma_y, sigma_z: (nx, 1, 3 or 5, ny, 4).

    weights: w (k,); blocks: F in the layout of `Sweep.blocks`.  [:, 0]: density on the sites; with bonds also [:, 1]
    and [:, 2]: i (rho_ab - rho_ba) for the bond to the next x and y; times the hopping it is the flow over the bond.
    With five layers [:, 3] and [:, 4]: rho_ab + rho_ba.
    """
    total = pauli_traces(-2 * np.einsum("k,k...->...", weights, blocks))
    out = np.real(total).copy()
    out[:, 1:3] = -np.imag(total[:, 1:3])
    return out


class FirstOrder:
    """Pairs of sweeps around each node of the pole rule, for the sea term of one lattice.

    Up to a total size of `KEPT_BYTES` they are kept for further motions, else repeated for each.
    moved: number of slices, from the first, on which dH/dt may be nonzero; flipped: from the last slice instead.
    The lattice is an argument of every method and is not stored: in a reference cycle large arrays would stay alive
    until the next garbage collection.
    """

    def __init__(self, lattice: LatticeParts, moved: int, flipped: bool) -> None:
        self.moved, self.flipped = moved, flipped
        self.n_slices, n = lattice.device.shape[0], 2 * lattice.device.shape[1]
        d = lattice.difference
        self.chunks = lattice.chunks(len(lattice.rule.nodes), 2)
        self.size = 16 * n * n * 2 * len(d.offsets) * len(lattice.rule.nodes) * (self.n_slices + 2 * moved)
        self.keeps = self.size <= KEPT_BYTES
        self.kept: dict[int, list[tuple[Sweep, Sweep]]] = {}
        self._arrays: list[Stack] = []
        weakref.finalize(self, lattice.device.scratch.take_back, self._arrays)

    @property
    def nbytes(self) -> int:
        """Memory of the sweeps kept for further motions, bytes; 0 if they are too large to be kept."""
        return self.size if self.keeps else 0

    def serves(self, moved: int, flipped: bool) -> bool:
        """Whether these sweeps can be used if dH/dt is nonzero on the first (flipped: last) `moved` slices only."""
        return moved <= self.moved and (flipped == self.flipped or self.moved == self.n_slices)

    def log_determinants(self, lattice: LatticeParts) -> list[WeightedLogarithms] | None:
        """ln det G^-1 at the energies of all sweeps, with weights for an integral over f; None if they are not kept."""
        if len(self.kept) < len(self.chunks):
            return None
        found: list[WeightedLogarithms] = []
        d = lattice.difference
        for number, chunk in enumerate(self.chunks):
            z, weights, steps = lattice.rule.nodes[chunk], lattice.rule.weights[chunk], lattice.steps[chunk]
            for pair, offset, mean in zip(self.kept[number], d.offsets, d.means, strict=True):
                for one, sign in zip(pair, (1, -1), strict=True):
                    found.append((z + sign * offset * steps, mean / 2 * weights, partial(log_determinant, one.g)))
        return found

    def _pairs(self, lattice: LatticeParts, number: int, allocate: Allocator) -> list[tuple[Sweep, Sweep]]:
        """Sweeps at z + s and at z - s, for each offset of the difference and the nodes z of this chunk."""
        chunk = self.chunks[number]
        z, steps = lattice.rule.nodes[chunk], lattice.steps[chunk]
        pairs = []
        for offset in lattice.difference.offsets:
            nodes = np.concatenate([z + offset * steps, z - offset * steps])
            both = lattice.sweep(nodes, self.moved, self.flipped, allocate=allocate)
            pairs.append((both.of(slice(0, len(z))), both.of(slice(len(z), None))))
        return pairs

    def _near_levels(self, lattice: LatticeParts, number: int, pairs: list[tuple[Sweep, Sweep]]) -> NDArray[np.bool_]:
        """Which nodes of this chunk lie so close to a level of a partial lattice that digits are lost, (k,)."""
        chunk = self.chunks[number]
        weights, steps = abs(lattice.rule.weights[chunk]), lattice.steps[chunk]
        grown = np.max([np.maximum(a.growth, b.growth) for a, b in pairs], axis=0)  # NaN stays NaN
        # Estimated rounding error of the sea term: four factors g of partial lattices, divided by the step.
        lost = _ROUNDING * weights / abs(steps) * grown**4
        return np.asarray(~(lost <= 0.1 * lattice.device.tolerance))

    def _exact(self, lattice: LatticeParts, z: complex, Y: NDArray[np.complex128], with_bonds: bool) -> Stack | None:
        """G' Y G - G Y G' at a node, by no difference, in the layout of `Sweep.blocks`, (1, ...); None: it failed."""
        nested = lattice.near_levels
        if nested is None:
            return None
        found = nested.exact_motion(z, Y[::-1] if self.flipped else Y, with_bonds)
        if found is None:
            return None
        return (mirrored(found) if self.flipped else found)[None]

    def _by_differences(
        self, lattice: LatticeParts, node: int, Y: NDArray[np.complex128], with_bonds: bool
    ) -> NDArray[np.complex128]:
        """The same times the step of this node, by differences that lose no digits next to levels."""
        slices = lattice.slices.reversed() if self.flipped else lattice.slices
        z, step, d = lattice.rule.nodes[node : node + 1], lattice.steps[node], lattice.difference
        total = np.zeros((), complex)
        for offset, slope in zip(d.offsets, d.slopes, strict=True):
            for sign in (1, -1):
                pair = z + sign * offset * step, z - sign * offset * step
                left, right = zip(*(lattice.device.lead_slices(tuple(e)) for e in pair), strict=True)
                first, last = (right, left) if self.flipped else (left, right)
                total = total + sign * slope * two_point_near_levels(slices, pair, first, last, Y, with_bonds)
        return total

    def at_nodes(
        self, lattice: LatticeParts, number: int, Y: NDArray[np.complex128], with_bonds: bool, needs_equilibrium: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the nodes of one chunk add to the sea term, and to the adiabatic density if it is needed.

        Y: Hd in the order of the sweeps; the results too.
        """
        d = lattice.difference
        slices = lattice.slices.reversed() if self.flipped else lattice.slices
        moved = int(np.flatnonzero(Y.any(axis=(1, 2, 3)))[-1]) + 1
        arrays: list[Stack] = []
        pairs = self.kept.get(number) or self._pairs(lattice, number, lattice.device.scratch.lender(arrays))
        chunk = self.chunks[number]
        weights, steps = lattice.rule.weights[chunk], lattice.steps[chunk]
        nx, ny = lattice.device.shape
        sea = np.zeros((nx, slices.layers(with_bonds), ny, 4))
        equilibrium = np.zeros((nx, ny, 4))
        near = self._near_levels(lattice, number, pairs)
        for (a, b), slope, mean in zip(pairs, d.slopes, d.means, strict=True):
            if not near.all():
                ahead, back = (two_point(*pair, slices, Y, moved, with_bonds) for pair in ((a, b), (b, a)))
                change = np.where(near[:, None, None, None, None, None], 0.0, ahead - back)
                sea += traced(0.5j * slope * weights / steps, change)
            if needs_equilibrium:
                equilibrium += traced(mean / 2 * weights, a.blocks + b.blocks)[:, 0]
        for k in np.flatnonzero(near):
            node, weight = chunk.start + int(k), weights[k : k + 1]
            exact = self._exact(lattice, complex(lattice.rule.nodes[node]), Y, with_bonds)
            if exact is None:
                sea += traced(0.5j * weight / steps[k], self._by_differences(lattice, node, Y, with_bonds))
            else:
                sea += traced(0.5j * weight, exact)
        if self.keeps:
            self.kept[number] = pairs
            self._arrays += arrays
        else:
            lattice.device.scratch.take_back(arrays)
        return sea, equilibrium

    def apply(
        self, lattice: LatticeParts, rate: NDArray[np.complex128], with_bonds: bool = False
    ) -> NDArray[np.float64]:
        """rho_sea for Hd = `rate` (nx, ny, 2, 2), not zero, in the layout of `traced`.

        If the adiabatic density of the lattice is not known, it follows from the same sweeps and is handed over.
        """
        Y = rate[::-1] if self.flipped else rate
        needs_equilibrium = not lattice.knows_equilibrium

        def part(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            return self.at_nodes(lattice, number, Y, with_bonds, needs_equilibrium)

        sea, equilibrium = (
            sum(parts) for parts in zip(*each_energy(part, range(len(self.chunks)), lattice.counter), strict=True)
        )
        if self.flipped:
            sea, equilibrium = mirrored(np.asarray(sea)), equilibrium[::-1].copy()
        if needs_equilibrium:
            lattice.come_across(equilibrium, True)
        return np.asarray(sea)


def mirrored(layers: NDArray[Any]) -> NDArray[Any]:
    """Values (nx, 1, 3 or 5, ny, ...) laid out as `Sweep.blocks`, with the order of the slices reversed."""
    out = layers[::-1].copy()
    # After the reversal, entry x holds the bond from x to x - 1: move it to entry x - 1 and change its sign.
    out[:, 1:2] = -np.roll(out[:, 1:2], -1, axis=0)
    out[:, 3:4] = np.roll(out[:, 3:4], -1, axis=0)
    return out
