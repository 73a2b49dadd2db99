"""The protocol `LatticeParts`: what the sea term and the Fermi-surface term need of a lattice.

`lattice.LatticeSweeps` implements it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .counter import Counter
from .fermi_step import Step
from .nested_dissection import NestedDissection
from .quadrature import FermiPoles
from .slice_blocks import Allocator, Slices
from .slices import Sweep, new
from .system import System


@dataclass(frozen=True)
class Difference:
    """A central difference of a function f at the arguments s = +- offset * step.

    slopes: for each offset the weight of [f(s) - f(-s)]/step; the sum is f'(0) up to the error of the difference.
    means: for each offset the weight of [f(s) + f(-s)]/2; the sum is f(0).
    step: as a fraction of the distance of a node to the spectrum.
    """

    step: float
    offsets: tuple[float, ...]
    slopes: tuple[float, ...]
    means: tuple[float, ...]


class LatticeParts(Protocol):
    """A lattice with one texture.

    slices: blocks of H along x; nested: nested dissection in place of sweeps, where that is faster; bounds: an interval
    that contains the spectrum, energy; rule: the pole rule; step: see `Sweeps`; difference, steps: the central
    difference with which the sea term is evaluated, and its step at each node of the rule, energy.
    """

    device: System
    nested: NestedDissection | None
    bounds: tuple[float, float]
    counter: Counter

    @property
    def slices(self) -> Slices: ...

    @property
    def near_levels(self) -> NestedDissection | None:
        """Nested dissection for single energies close to levels of partial lattices; None for small lattices."""
        ...

    @property
    def rule(self) -> FermiPoles: ...

    @property
    def step(self) -> Step | None: ...

    @property
    def difference(self) -> Difference: ...

    @property
    def steps(self) -> NDArray[np.inexact]: ...

    @property
    def contacts(self) -> tuple[float, float]:
        """Weakest hopping at the left and at the right end, of the bonds to the lead and to the next slice; energy."""
        ...

    @property
    def knows_equilibrium(self) -> bool:
        """Whether the adiabatic density has been evaluated."""
        ...

    def come_across(self, equilibrium: NDArray[np.float64], is_split: bool) -> None:
        """Receive a by-product of the sea term: -(1/pi) int f Im G, (nx, ny, 4), without the constant of the rule.

        is_split: it comes from pairs of energies around the nodes of the rule (`steps`), not from these themselves.
        Called only if the adiabatic density has not been evaluated.
        """
        ...

    def chunks(self, n: int, per_node: int = 1) -> Sequence[slice]:
        """Slices of n nodes that are swept in one call; per_node: number of energies at each node."""
        ...

    def sweep(
        self,
        z: NDArray[np.complex128],
        keep: int = 0,
        flipped: bool = False,
        with_bonds: bool = False,
        allocate: Allocator = new,
    ) -> Sweep:
        """`slices.sweep` at energies z (k,); flipped: with the order of the slices reversed, in the result too."""
        ...

    def thermal_states(self) -> tuple[NDArray[np.float64], float]:
        """See `Sweeps`."""
        ...

    def dense_hamiltonian(self) -> NDArray[np.complex128]:
        """See `Sweeps`."""
        ...
