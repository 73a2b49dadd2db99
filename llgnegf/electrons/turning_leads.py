"""Leads of a chain as they are seen from the frame that turns with the moments: by spins along and against its axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .leads import AttachedLead
from .modes import Modes, chain_self_energy
from .system import System

# Sigma and dSigma/dE.
SelfEnergy = tuple[NDArray[np.complex128], NDArray[np.complex128]]


class LeadsInMotion:
    """Self-energies of the leads in the frame that turns, of spins along and against the rotation vector.

    up, down: (2, 2) projectors on these spins; half: |omega|/2, by which their energies are shifted.
    """

    def __init__(self, device: System, up: np.ndarray, down: np.ndarray, half: float) -> None:
        self.up, self.down, self.half = up, down, half
        self._couplings = [lead.coupling for lead in device.ends]
        # Modes of spins along and against the rotation vector, of the left and the right lead.
        self._modes = [_along_and_against(lead, up) for lead in device.ends]

    def populations(self, energy: ArrayLike, half: float | None = None) -> list[tuple[SelfEnergy, SelfEnergy]]:
        """(Sigma, dSigma/dE) of either spin, of the left and the right lead, shaped as `energy`; half: another one."""
        shift = self.half if half is None else half

        def of(modes: Modes, coupling: float, by: float) -> SelfEnergy:
            return chain_self_energy(np.asarray(energy) + by - modes.energies[0], modes.hopping, coupling)

        return [
            (of(along, coupling, shift), of(against, coupling, -shift))
            for (along, against), coupling in zip(self._modes, self._couplings, strict=True)
        ]

    def matrices(self, energies: np.ndarray) -> list[NDArray[np.complex128]]:
        """Sigma of the left and the right lead, (n, 2, 2)."""
        return [
            plus[0][:, None, None] * self.up + minus[0][:, None, None] * self.down
            for plus, minus in self.populations(energies)
        ]

    def roots(self, energies: np.ndarray) -> NDArray[np.complex128]:
        """sqrt(Gamma) at real energies, (n, 2, 2, 2) [energy, lead]."""
        found = []
        for plus, minus in self.populations(np.asarray(energies, complex)):
            of_up, of_down = (np.sqrt(np.maximum(-2 * s[0].imag, 0.0)) for s in (plus, minus))
            found.append(of_up[:, None, None] * self.up + of_down[:, None, None] * self.down)
        return np.stack(found, axis=1)

    def bands(self, half: float) -> list[tuple[float, float]]:
        """Bands of all spins of all leads, shifted by -half and half; [] without leads."""
        return [
            (modes.band[0] - s * half, modes.band[1] - s * half)
            for both, coupling in zip(self._modes, self._couplings, strict=True)
            if coupling
            for s, modes in zip((1, -1), both, strict=True)
        ]

    def gaps(self, low: float, high: float, half: float, margin: float) -> list[tuple[float, float]]:
        """Intervals between two energies in which no spin of any lead has states, and `margin` less at a band."""
        found, start = [], low
        for bottom, top in sorted(self.bands(half)):
            if start < bottom - margin:
                found.append((start, min(bottom - margin, high)))
            start = max(start, top + margin)
        return [(a, b) for a, b in [*found, (start, high)] if a < b]


def _along_and_against(lead: AttachedLead, up: np.ndarray) -> tuple[Modes, Modes]:
    """Modes of spins along and against the vector that `up` (2, 2) projects on."""
    first, second = lead.by_spin
    if lead.spin is None or np.vdot(lead.spin[:, 0], up @ lead.spin[:, 0]).real > 0.5:
        return first, second
    return second, first
