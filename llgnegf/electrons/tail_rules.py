"""Pole rules for levels with tails at all energies, less the local levels with the same tails (`bathed.py`)."""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass

import numpy as np

from llgnegf.once import cached_property

from .pole_rules import DERIVATIVE_ERROR, POLE_SHARE, moved_poles
from .quadrature import FermiPoles, ToleranceError, step_poles
from .system import System

# Of the tolerance, for states beyond the poles.
_TAIL_SHARE = 1 / 8


@dataclass(frozen=True, eq=False)
class TailRules:
    """bounds: of the spectrum without tails; widest: the largest width of a level by a bath or a wide-band lead."""

    device: System
    bounds: tuple[float, float]
    widest: float

    def rule(self, gap: float) -> FermiPoles:
        """Its error is the usual share of the tolerance; gap: half-width that is left unresolved at kT = 0, energy."""
        device = self.device
        mu, share = device.fermi_energy, POLE_SHARE * device.tolerance
        if device.temperature == 0:
            return step_poles(mu, gap, self.reach, share)
        return moved_poles(self.reach, mu, device.temperature, share)

    def sharp(self, rule: FermiPoles) -> FermiPoles:
        """The rule at kT > 0 whose energy derivative is accurate, or as far as one more accurate than `rule` exists."""
        device = self.device
        share = 0.1 * POLE_SHARE * device.tolerance * min(1.0, device.temperature / device.hopping) / DERIVATIVE_ERROR
        found = _sharpest(self.reach, device.temperature, max(1e-13, share), rule.bound)
        return rule if found is None else moved_poles(self.reach, device.fermi_energy, device.temperature, found)

    @cached_property
    def reach(self) -> float:
        """How far from E_F states are told from local levels, energy."""
        device, widest = self.device, self.widest
        scale = max(abs(device.fermi_energy - end) for end in self.bounds) + widest
        # Less the local level, the states of both spins beyond E are width hops^2/(pi E^3), about.
        along_y = [] if device.bonds_along_y is None else np.linalg.norm(device.bonds_along_y, 2, axis=(1, 2))
        neighbours = 2 * max([device.hopping, *device.couplings, *device.hops, *along_y]) ** 2 * (1 + device.is_lattice)
        beyond = (widest * (neighbours + widest**2) / (_TAIL_SHARE * device.tolerance)) ** (1 / 3)
        fraction, exponent = math.frexp(max(4 * scale, beyond) / device.hopping)
        # Few different ones for all textures.
        return device.hopping * math.ldexp(math.ceil(16 * fraction) / 16, exponent)


@functools.lru_cache(maxsize=32)
def _sharpest(reach: float, temperature: float, share: float, bound: float) -> float | None:
    """The least error of `moved_poles` from `share` on, in powers of ten, that can be had; None if none below `bound`.

    What cannot be had is tried once for all textures.
    """
    while share < bound:
        with contextlib.suppress(ToleranceError):
            moved_poles(reach, 0.0, temperature, share)
            return share
        share *= 10
    return None
