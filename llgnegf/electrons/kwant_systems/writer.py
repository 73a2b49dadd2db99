"""A device with its moments as a finalized Kwant system (Groth et al., New J. Phys. 16, 063065 (2014))."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.errors import LLGNEGFError

from ..modes import cross_section

if TYPE_CHECKING:
    from ..system import System

_UNIT = np.eye(2)
_SIGMA_Z = np.diag([1.0, -1.0])


def write(device: System, m: NDArray[np.float64], gates: NDArray[np.float64]) -> Any:
    """This device at these moments and gates; what is returned, and errors, as `Device.to_kwant`."""
    try:
        import kwant
    except ImportError:
        raise LLGNEGFError(
            'to_kwant needs the package kwant: pip install "llgnegf[kwant]" installs it (it is compiled, and its '
            "version 1.5.0 needs numpy < 2; conda-forge has it ready)"
        ) from None
    lattice = (kwant.lattice.square if device.is_lattice else kwant.lattice.chain)(norbs=2)
    nx, ny = device.shape if device.is_lattice else (*device.shape, 1)

    def column(x: int) -> list[Any]:
        return [lattice(x, y) for y in range(ny)] if device.is_lattice else [lattice(x)]

    along_y = cross_section(ny, device.hopping, 0.0, device.periodic == "y")
    bonds = [(a, b) for a in range(ny) for b in range(a) if along_y[a, b]]

    def bind_within(builder: Any, sites: list[Any]) -> None:
        for a, b in bonds:
            builder[sites[a], sites[b]] = along_y[a, b] * _UNIT

    def bind(builder: Any, one: list[Any], other: list[Any], hopping: float) -> None:
        for a, b in zip(one, other, strict=True):
            builder[a, b] = -hopping * _UNIT

    system = kwant.Builder()
    onsite = device.hamiltonian_blocks(m, gates).reshape(nx, ny, 2, 2)
    columns = [column(x) for x in range(nx)]
    for x, sites in enumerate(columns):
        for site, block in zip(sites, onsite[x], strict=True):
            system[site] = block
        bind_within(system, sites)
        if x:
            bind(system, columns[x - 1], sites, device.hops[x - 1])

    # The blocks of a conserved matrix come in the order of its eigenvalues: -sigma_z puts up first.
    for step, end, coupling, voltage in zip((-1, 1), (0, nx - 1), device.couplings, device.voltages, strict=True):
        if not coupling:
            continue
        period = (step, 0) if device.is_lattice else (step,)
        lead = kwant.Builder(kwant.TranslationalSymmetry(period), conservation_law=-_SIGMA_Z)
        first, second = column(0), column(1)
        for site in first:
            lead[site] = (device.onsite + voltage) * _UNIT
        bind_within(lead, first)
        bind(lead, first, second, device.hopping)
        # A lead is bonded to the system by its own hopping; another coupling needs a column of the lead before it.
        own = coupling != device.hopping
        system.attach_lead(lead, add_cells=int(own))
        if own:
            bind(system, column(end + step), columns[end], coupling)
    return system.finalized()
