"""Green's functions of a chain along arcs above the real axis: its `thermal_surface.Backend`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .counter import Counter
from .green import between_terms
from .open_system import Mask, OpenSystem, Segment, Solver, Vectors, mode_self_energies
from .pauli import pauli_traces
from .resonances import ResonanceSearch
from .system import System
from .threads import spread

_NO_ENDS = np.empty((0, 2, 2, 2), complex)


@dataclass(frozen=True, eq=False)
class ChainArcs:
    """blocks: (n, 2, 2), H on the sites, energy; counter: counts Green's functions."""

    device: System
    blocks: NDArray[np.complex128]
    counter: Counter

    gives_jump = False

    @cached_property
    def open_system(self) -> OpenSystem:
        """The wire as slices of one site."""
        return OpenSystem(
            self.blocks, self.device.hops, self.device.modes, (self.device.couplings[0], self.device.couplings[1])
        )

    def between(
        self, z: Vectors, segment: Segment, rate: Vectors, ends: Vectors | None = None, with_bonds: bool = False
    ) -> tuple[Vectors, Vectors, Vectors]:
        """See `thermal_surface.Backend`."""
        device, n, k = self.device, self.device.n_sites, len(z)
        strengths = np.array(device.couplings) ** 2 / device.hopping
        z = np.ascontiguousarray(z)
        retarded, advanced = (
            np.ascontiguousarray(strengths * mode_self_energies(z, device.modes, segment.open_modes, side))
            for side in (False, True)
        )
        states, response = np.empty((k, n, 4), complex), np.empty((k, n, 4), complex)
        bonds = np.empty((k if with_bonds else 0, n - 1, 4), complex)
        y_ends = _NO_ENDS if ends is None else np.ascontiguousarray(ends)

        def kernel(s: slice) -> None:
            given = z[s], self.blocks, device.hops, retarded[s], advanced[s], rate, y_ends[s]
            between_terms(*given, states[s], response[s], bonds[s])

        self.counter.add(k * (2 if segment.open_modes.any() else 1))
        spread(k, 2 * n, kernel)
        return states, response, bonds

    def at_ends(
        self, z: Vectors, segment: Segment, rate: Vectors, ends: Vectors | None, response: Vectors | None
    ) -> Vectors:
        """See `thermal_surface.Backend`."""
        found = self.between(z, segment, rate, ends)[1] if response is None else response
        return found[:, [0, -1], None]

    def search(self, low: float, high: float) -> ResonanceSearch:
        """A search for the resonances between the energies `low` and `high`."""
        return ResonanceSearch(self.open_system, low, high, self.device.fermi_energy)

    def solver(self, z: complex, open_modes: Mask) -> Solver:
        """See `thermal_surface.Backend`."""
        return self.open_system.factorized(z, open_modes)

    def over_bonds(self, a: Vectors, b: Vectors) -> Vectors:
        """See `thermal_surface.Backend`."""
        a, b = a.reshape(-1, 2), b.reshape(-1, 2).conj()
        blocks = a[1:, :, None] * b[:-1, None, :] - a[:-1, :, None] * b[1:, None, :]
        return np.asarray(pauli_traces(blocks))


class TurningLeads:
    """The term -K Gamma on the end sites: with it as Y, G Y A is the surface part of Bajpai and Nikolic's split."""

    def __init__(self, system: OpenSystem, K: NDArray[np.complex128]) -> None:
        self.system, self.K = system, K

    def __call__(self, z: Vectors, segment: Segment) -> Vectors:
        """-K Gamma at energies z (k,) above a segment: (k, 2, 2, 2) [energy, left or right, spin, spin]."""
        return np.asarray(-self.system.widths(z, segment.open_modes)[:, :, 0, None, None] * self.K)
