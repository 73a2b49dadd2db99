"""Green's functions of a chain that knows the spin beside its moments: those of a lattice with one row.

The kernels of `green.py` know scalar bonds, and for real energies leads that treat both spins alike; block elimination
(`slices.py`) takes any bond and any self-energy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .chain_rows import BiasedRows
from .counter import Counter
from .fermi_step import Step
from .lattice import LatticeSweeps
from .lattice_surface import LatticeSurface
from .quadrature import FermiPoles
from .sweeps import Response, Sea
from .system import System

Blocks = NDArray[np.complex128]
Floats = NDArray[np.float64]


class SlicedChainSweeps:
    """`sweeps.Sweeps` of a chain at fixed moments (n, 3) and gates (n,), by those of a lattice (n, 1).

    Flows into the leads are those deep inside (`LatticeSweeps.into_leads`).
    """

    leads_need_response = False
    surface_is_cheap = True

    def __init__(
        self,
        device: System,
        blocks: Blocks,
        bounds: tuple[float, float],
        counter: Counter,
        at_fermi_energy: bool = False,
    ) -> None:
        self.device, self.blocks, self.bounds, self.counter = device, blocks, bounds, counter
        self.narrow: dict[Any, Any] = {}
        self._lattice = LatticeSweeps(device.one_row, blocks[:, None], bounds, counter, at_fermi_energy)

    @property
    def rule(self) -> FermiPoles:
        """See `Sweeps`."""
        return self._lattice.rule

    @property
    def step(self) -> Step | None:
        """See `Sweeps`."""
        return self._lattice.step

    @cached_property
    def surface(self) -> _OneRow:
        """See `Sweeps`."""
        return _OneRow(self._lattice.surface)

    @property
    def adiabatic(self) -> Floats:
        """See `Sweeps`."""
        return self._lattice.adiabatic[:, 0]

    @property
    def grand_potential(self) -> float:
        """See `Sweeps`."""
        return self._lattice.grand_potential

    def sea(self, rate: Blocks) -> Sea:
        """See `Sweeps`."""
        return Sea(self._lattice.sea(rate[:, None]).density[:, 0], None)

    def adiabatic_rate(self, rate: Blocks) -> Floats:
        """See `Sweeps`."""
        return self._lattice.adiabatic_rate(rate[:, None])[:, 0]

    def flows(self, rate: Blocks) -> dict[str, Floats]:
        """See `Sweeps`."""
        found = self._lattice.flows(rate[:, None])
        return {origin: bonds[:-1, 0, 0] for origin, bonds in found.items()}  # leaving and arriving of matrices

    def into_leads(self, rate: Blocks, response: Response | None) -> Floats:
        """See `Sweeps`, and `LatticeSweeps.into_leads`."""
        return self._lattice.into_leads(rate[:, None], None)

    def energy_into_leads(self, rate: Blocks, response: Response | None) -> Floats:
        """See `Sweeps`."""
        raise ValueError("energy_into_leads: not available beside leads or bonds that know the spin")

    def biased(self, energies: Floats, rate: Blocks | None, with_bonds: bool = False) -> BiasedRows:
        """See `Sweeps`."""
        found = self._lattice.biased(energies, None if rate is None else rate[:, None], with_bonds)
        # Energies, lead, order, nx, direction, ny.
        bonds = found.bonds[:, :, :, :-1, 0, 0] if with_bonds else found.bonds[..., 0, :]
        return BiasedRows(found.rows[..., 0, :], bonds, found.flows, found.stored)

    def smallest_width(self, energies: Floats) -> float:
        """See `Sweeps`."""
        return self._lattice.smallest_width(energies)

    def narrow_zeros(self, _low: float, _high: float, _widest: float) -> None:
        """See `Sweeps`; there is no search beside leads or bonds that know the spin."""
        return

    def thermal_states(self) -> tuple[Floats, float]:
        """See `Sweeps`."""
        states, error = self._lattice.thermal_states()
        return states[:, 0], error

    def states(self, energy: float) -> Floats:
        """See `Sweeps`."""
        return self._lattice.states(energy)[:, 0]

    def transmission(self, energy: float) -> Floats:
        """See `Sweeps`."""
        return self._lattice.transmission(energy)

    def level_width(self, energy: float) -> float:
        """See `Sweeps`."""
        return self._lattice.level_width(energy)

    def dense_hamiltonian(self) -> Blocks:
        """See `Sweeps`."""
        return self._lattice.dense_hamiltonian()

    def working_bytes(self, order: int) -> int:
        """See `Sweeps`."""
        return self._lattice.working_bytes(order)


class _OneRow:
    """`sweeps.Surface` of a chain, by that of a lattice with one row."""

    def __init__(self, lattice: LatticeSurface) -> None:
        self._lattice = lattice

    def density(self, rate: Blocks) -> Floats:
        """See `Surface`."""
        return self._lattice.density(rate[:, None])[:, 0]

    def kept(self, rate: Blocks) -> Floats:
        """See `Surface`."""
        return self._lattice.kept(rate[:, None])[:, 0]
