"""The protocol `Sweeps`: what a class that evaluates Green's functions of one texture has to provide.

`chain.ChainSweeps` and `lattice.LatticeSweeps` implement it.  *s is the shape of the system, (n,) or (nx, ny); the last
axis of densities holds traces with 1, sigma_x, sigma_y and sigma_z; Hd = dH/dt is given by its blocks on the sites,
(*s, 2, 2), energy/time.  Physics that does not depend on how Green's functions are evaluated is in `frozen.Frozen`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .chain_rows import BiasedRows
from .counter import Counter
from .fermi_step import Step
from .quadrature import FermiPoles
from .system import System

Floats = NDArray[np.float64]
Blocks = NDArray[np.complex128]


class Response(NamedTuple):
    """Densities (*s, 4) of the sea and the surface part, traced with 1 and sigma, linear in dH/dt.

    bias: what leads with Fermi functions of their own add to them (`bias.py`), or None.
    driven_ends: for chains G Hd G on both end sites at the nodes of the pole rule, (n_nodes, 2, 2, 2) [node, left or
    right, spin, spin], from which the current of the sea part into the leads follows.  None on lattices.
    """

    sea: NDArray[np.float64]
    surface: NDArray[np.float64]
    driven_ends: NDArray[np.complex128] | None
    bias: NDArray[np.float64] | None = None

    @property
    def density(self) -> NDArray[np.float64]:
        """All of it, (*s, 4)."""
        both = self.sea + self.surface
        return both if self.bias is None else both + self.bias


class LeadResponse(NamedTuple):
    """First order in the rates of the leads' voltages (`moving_leads.py`): densities (*s, 4) by origin, traced.

    into_leads: flow of all of them over the first bond of the left and the right lead into it, (2, 4), 1/time.
    into_bath: flow into the bath on each of its b sites, (b, 4), b = 0 without a bath.
    energy_into_leads: d<H_lead>/dt of the left and the right lead, counted from its levels, (2,), energy/time; None
    where it was not asked for.
    """

    sea: NDArray[np.float64]
    surface: NDArray[np.float64]
    bias: NDArray[np.float64]
    into_leads: NDArray[np.float64]
    into_bath: NDArray[np.float64]
    energy_into_leads: NDArray[np.float64] | None = None

    @property
    def density(self) -> NDArray[np.float64]:
        """All of it, (*s, 4)."""
        return self.sea + self.surface + self.bias


class Sea(NamedTuple):
    """Density (*s, 4) of the Fermi sea; driven_ends: see `Response`."""

    density: Floats
    driven_ends: Blocks | None


class Surface(Protocol):
    """The Fermi-surface term of one texture; its energies are chosen for the first motion and kept for all others."""

    def density(self, rate: Blocks) -> Floats:
        """rho_surf on the sites, (*s, 4), for Hd = `rate`."""
        ...

    def kept(self, rate: Blocks) -> Floats:
        """Part of d rho_ad/dt from changes of f at discrete levels, whose occupation is kept: (*s, 4), 1/time."""
        ...


class Sweeps(Protocol):
    """Green's functions of one texture and integrals of them over energy.

    Raises ToleranceError, naming the remedy, if an integral cannot reach the tolerance of the device.
    """

    device: System
    blocks: Blocks  # of H on the sites, (*s, 2, 2), energy
    bounds: tuple[float, float]  # an interval that contains the spectrum, energy
    counter: Counter  # counts every Green's function evaluated
    leads_need_response: bool  # whether `into_leads` needs the argument `response`
    surface_is_cheap: bool  # whether the surface part costs much less than the sea part at kT = 0
    narrow: dict[Any, Any]  # what `narrow_levels.py` has found of this texture

    @property
    def rule(self) -> FermiPoles:
        """The pole rule: poles and weights that represent the Fermi function on the spectrum."""
        ...

    @property
    def step(self) -> Step | None:
        """Where the step of the Fermi function is placed at kT = 0; None at kT > 0."""
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
        """(1/pi) int f Im ln det G^-1 by the poles of `adiabatic`, minus that without moments and gates, energy."""
        ...

    def sea(self, rate: Blocks) -> Sea:
        """The Fermi-sea part of the response to Hd = `rate`, which must not be zero."""
        ...

    def adiabatic_rate(self, rate: Blocks) -> Floats:
        """-(1/pi) int f Im[G Hd G], (*s, 4), 1/time, without changes of the occupation of discrete levels."""
        ...

    def flows(self, rate: Blocks) -> dict[str, Floats]:
        """Flows over the bonds, by origin "adiabatic", "sea" and "surface", 1/time.

        Chain: (n - 1, 4), from each site to the next.  Lattice: (nx, 2, ny, 4), from each site to the next x, [:, 0],
        and to the next y, [:, 1].  Where bonds are matrices (`System.has_matrices`) what leaves the one site and what
        arrives at the other, in an axis before the last.
        """
        ...

    def into_leads(self, rate: Blocks, response: Response | None) -> Floats:
        """Flow into the left and the right lead to first order in the velocities, (2, 4), 1/time."""
        ...

    def energy_into_leads(self, rate: Blocks, response: Response | None) -> Floats:
        """Energy into the left and the right lead to first order in the velocities, (2,), energy/time.

        Counted from the levels of the lead; over the first bonds of a chain, deep in the leads of a lattice.
        """
        ...

    def biased(self, energies: Floats, rate: Blocks | None, with_bonds: bool = False) -> BiasedRows:
        """Scattering states of either lead at real energies (n,), and with Hd = `rate` their change to first order."""
        ...

    def smallest_width(self, energies: Floats) -> float:
        """A half-width below which no level near these real energies is expected to be; 0 where it is not known."""
        ...

    def narrow_zeros(self, low: float, high: float, widest: float) -> list[tuple[complex, Blocks]] | None:
        """Levels between real energies with half-widths up to about `widest`: e - i half-width and state (2 sites,).

        None where there is no search of its own for them: see `narrow_levels.py`.
        """
        ...

    def thermal_states(self) -> tuple[Floats, float]:
        """-(1/pi) int f Im dG/dE, (*s, 4), at kT > 0, and a bound on its error; both 1/energy."""
        ...

    def states(self, energy: float) -> Floats:
        """G Gamma G^+ at a real energy, (*s, 4), 1/energy."""
        ...

    def transmission(self, energy: float) -> Floats:
        """Transmission from left to right at a real energy, summed over modes, (2, 2) [spin out, spin in]."""
        ...

    def level_width(self, energy: float) -> float:
        """Width of the narrowest level at an energy, which must lie in the lead band, energy."""
        ...

    def dense_hamiltonian(self) -> Blocks:
        """H as a dense matrix (2 N, 2 N) for N sites, index 2 site + spin; for small systems."""
        ...

    def working_bytes(self, order: int) -> int:
        """Estimated working memory of evaluations of this order in the velocities (0 or 1), bytes, without results."""
        ...
