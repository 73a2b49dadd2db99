"""The protocol `LatticeParts`: what the sea term, scattering states and Fermi surface need of a lattice.

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
from .quadrature import FermiPoles
from .slice_blocks import Allocator, Slices
from .slices import Sweep, new
from .system import System


@dataclass(frozen=True)
class Difference:
    """A central difference with steps s = offset * step.

    slopes: weights of [f(s) - f(-s)]/step, whose sum is f'(0); means: weights of [f(s) + f(-s)]/2, whose sum is f(0).
    """

    step: float
    offsets: tuple[float, ...]
    slopes: tuple[float, ...]
    means: tuple[float, ...]


class LatticeParts(Protocol):
    """A lattice at one texture.

    slices: blocks of H along x; bounds: an interval that contains the spectrum, energy; difference, steps: the central
    difference with which the sea term is evaluated, and its step at each node of the rule, energy.
    """

    device: System
    slices: Slices
    bounds: tuple[float, float]
    counter: Counter

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
        """How well the left and the right lead are connected: the weakest hopping at that end, energy."""
        ...

    @property
    def knows_equilibrium(self) -> bool:
        """Whether the adiabatic density is known already."""
        ...

    def come_across(self, equilibrium: NDArray[np.float64]) -> None:
        """-(1/pi) int f Im G, (nx, ny, 4), without the constant of the rule; where it is not known yet."""
        ...

    def chunks(self, n: int, per_node: int = 1) -> Sequence[slice]:
        """Pieces of n energies that are swept together."""
        ...

    def sweep(
        self,
        z: NDArray[np.complex128],
        keep: int = 0,
        flipped: bool = False,
        with_bonds: bool = False,
        allocate: Allocator = new,
    ) -> Sweep:
        """See `slices.sweep`; flipped: from the other end."""
        ...

    def thermal_states(self) -> tuple[NDArray[np.float64], float]:
        """See `Sweeps`."""
        ...

    def dense_hamiltonian(self) -> NDArray[np.complex128]:
        """See `Sweeps`."""
        ...
