"""The Fermi-sea term of a large lattice by nested dissection; the equations are in `sea.py`.

The derivative in s is exact here (`fronts.py`), with no difference of two energies.  Factors and their change with the
energy serve every motion; where dH/dt is zero on a whole part of the lattice, nothing is computed on the way up
through it.
"""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

from .lattice_parts import LatticeParts
from .nested_dissection import Factors, NestedDissection
from .ranks import each_energy
from .scratch import KEPT_BYTES
from .sea import FirstOrder, WeightedLogarithms, traced
from .slice_blocks import Stack


class NestedFirstOrder:
    """`sea.FirstOrder` by nested dissection; where that fails (`NestedDissection.factorize`) by sweeps, as there.

    Up to a total size of `KEPT_BYTES` factors are kept for further motions.  As there, the lattice is not stored.
    """

    def __init__(self, lattice: LatticeParts, nested: NestedDissection) -> None:
        n = len(lattice.rule.nodes)
        self.size = 2 * n * nested.factor_bytes()
        self.keeps = self.size <= KEPT_BYTES
        self.kept: dict[int, tuple[Factors, Stack]] = {}
        self._arrays: list[Stack] = []
        weakref.finalize(self, lattice.device.scratch.take_back, self._arrays)
        self._by_sweeps = FirstOrder(lattice, lattice.device.shape[0], False)
        self._by_sweeps.chunks = [slice(k, k + 1) for k in range(n)]
        self._by_sweeps.keeps = False

    @property
    def nbytes(self) -> int:
        """Memory of the factors kept for further motions, bytes; 0 if they are too large to be kept."""
        return self.size if self.keeps else 0

    def log_determinants(self, lattice: LatticeParts) -> list[WeightedLogarithms] | None:
        """ln det G^-1 at the nodes, with their weights; None if the factors are not kept."""
        if len(self.kept) < len(lattice.rule.nodes):
            return None
        z, weights = lattice.rule.nodes, lattice.rule.weights
        return [(z[k : k + 1], weights[k : k + 1], self.kept[k][0].log_determinant) for k in range(len(z))]

    def apply(
        self, lattice: LatticeParts, nested: NestedDissection, rate: NDArray[np.complex128], with_bonds: bool = False
    ) -> NDArray[np.float64]:
        """rho_sea for Hd = `rate` (nx, ny, 2, 2), not zero, in the layout of `sea.traced`.

        If the adiabatic density of the lattice is not known, it follows from the same factors and is handed over.
        """
        rule, scratch, everywhere = lattice.rule, lattice.device.scratch, not lattice.knows_equilibrium

        def part(k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            arrays: list[Stack] = []
            with scratch.lent() as temporary:
                known = self.kept.get(k)
                if known is None:
                    allocate = scratch.lender(arrays)
                    factors = nested.factorize(complex(rule.nodes[k]), allocate, temporary)
                    known = None if factors is None else (factors, nested.slope(factors, allocate, temporary))
                if known is not None:
                    G, found = nested.driven(*known, rate, temporary, with_bonds, everywhere)
            if known is not None and self.keeps:
                self.kept[k] = known
                self._arrays += arrays
            else:
                scratch.take_back(arrays)
            if known is None:
                return self._by_sweeps.at_nodes(lattice, k, rate, with_bonds, everywhere)
            weight = rule.weights[k : k + 1]
            return traced(0.5j * weight, found[None]), traced(weight, G[None])[:, 0]

        parts = each_energy(part, range(len(rule.nodes)), lattice.counter)
        sea, equilibrium = (sum(one) for one in zip(*parts, strict=True))
        if everywhere:
            lattice.come_across(np.asarray(equilibrium), False)
        return np.asarray(sea)
