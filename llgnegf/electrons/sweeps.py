"""What everything that evaluates Green's functions of one texture offers: a chain, a lattice, whatever comes next.

*s is the shape of the system, (n,) or (nx, ny); the last axis of densities holds traces with 1, sigma_x, sigma_y and
sigma_z; Hd = dH/dt is given by its blocks on the sites, (*s, 2, 2), energy/time.  Physics that does not depend on how
Green's functions are had belongs to `frozen.Frozen`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .counter import Counter
from .fermi_step import Step
from .quadrature import FermiPoles
from .system import System

Floats = NDArray[np.float64]
Blocks = NDArray[np.complex128]


class Response(NamedTuple):
    """Densities (..., 4) of the sea and the surface part, traced with 1 and sigma, linear in dH/dt.

    driven_ends: (n_nodes, 2, 2, 2) [node, left or right, spin, spin], G Hd G of both end sites of a chain at the nodes
    of the contour, for what the sea part lets flow into the leads.  None on lattices.
    """

    sea: NDArray[np.float64]
    surface: NDArray[np.float64]
    driven_ends: NDArray[np.complex128] | None


class Sea(NamedTuple):
    """Density (*s, 4) of the Fermi sea; driven_ends: see `Response`."""

    density: Floats
    driven_ends: Blocks | None


class Surface(Protocol):
    """The Fermi-surface term of one texture; its energies are chosen for the first motion and kept."""

    def density(self, rate: Blocks) -> Floats:
        """rho_surf on the sites, (*s, 4), for Hd = `rate`."""
        ...


class Sweeps(Protocol):
    """Green's functions of one texture, and what is made of them by sums over energy.  ToleranceError as `Frozen`."""

    device: System
    blocks: Blocks  # of H on the sites, (*s, 2, 2), energy
    bounds: tuple[float, float]  # an interval that holds the spectrum, energy
    counter: Counter  # is told of every Green's function
    leads_need_response: bool  # whether `into_leads` asks for the response
    surface_is_cheap: bool  # whether the surface part costs much less than the sea part at kT = 0

    @property
    def rule(self) -> FermiPoles:
        """Poles that stand for the Fermi function."""
        ...

    @property
    def step(self) -> Step | None:
        """What stands for the Fermi function at kT = 0; None at kT > 0."""
        ...

    @property
    def surface(self) -> Surface:
        """The Fermi-surface term."""
        ...

    @property
    def adiabatic(self) -> Floats:
        """-(1/pi) int f Im G, (*s, 4)."""
        ...

    @property
    def grand_potential(self) -> float:
        """(1/pi) int f Im ln det G^-1 with the poles that gave `adiabatic`, less that without moments and gates."""
        ...

    def sea(self, rate: Blocks) -> Sea:
        """The Fermi-sea part of the response to Hd = `rate`, not zero."""
        ...

    def adiabatic_rate(self, rate: Blocks) -> Floats:
        """-(1/pi) int f Im[G Hd G], (*s, 4), 1/time, without what would change the occupation of discrete levels."""
        ...

    def flows(self, rate: Blocks) -> dict[str, Floats]:
        """Flow over the bonds of the "adiabatic", "sea" and "surface" part, 1/time.

        Chain: (n - 1, 4), from each site to the next.  Lattice: (nx, 2, ny, 4), to the next x and to the next y.
        """
        ...

    def into_leads(self, rate: Blocks, response: Response | None) -> Floats:
        """Flow into the left and the right lead to first order, (2, 4), 1/time."""
        ...

    def turned(self, rate: Blocks, K: Blocks) -> tuple[Floats, Floats, Floats, Floats]:
        """Geometric, lead (sea) and surface part of steady precession, (*s, 4), and the flow of the sea into the leads.

        K: (2, 2) generator of the rotation, rate: Hd of it.  ValueError where there is no such split (lattices).
        """
        ...

    def turning_into_leads(self, rate: Blocks, K: Blocks) -> Floats:
        """Flow of the surface part of steady precession into the leads, (2, 4), 1/time."""
        ...

    def thermal_states(self) -> tuple[Floats, float]:
        """-(1/pi) int f Im dG/dE, (*s, 4), at kT > 0, and to what it is known; both 1/energy."""
        ...

    def states(self, energy: float) -> Floats:
        """G Gamma G^+ at a real energy, (*s, 4), 1/energy."""
        ...

    def transmission(self, energy: float) -> Floats:
        """From left to right, summed over modes, (2, 2) [spin out, spin in]."""
        ...

    def level_width(self) -> float:
        """Width of the sharpest level at a Fermi energy in the band of the leads, energy."""
        ...

    def dense_hamiltonian(self) -> Blocks:
        """H, (2 N, 2 N) for N sites, index 2 site + spin; for small systems."""
        ...

    def working_bytes(self, order: int) -> int:
        """Memory that evaluations of this order take beside the results, bytes, about."""
        ...
