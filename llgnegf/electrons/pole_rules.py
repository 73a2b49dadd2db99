"""The pole rules of a device for integrals over its occupied energies: how accurate they have to be; each made once.

The rules themselves are in `quadrature.py`.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from llgnegf.once import cached_property

from .leads import Occupation
from .quadrature import FermiPoles, ToleranceError, fermi_poles, step_poles

# The pole rule may use this share of `tolerance`; the rest is for rounding, the trace over spin and the integral on the
# real axis.
POLE_SHARE = 1 / 20
# The energy derivative of a pole rule has about this many times the rule's own error divided by kT.
DERIVATIVE_ERROR = 30.0


@dataclass(frozen=True, eq=False)
class PoleRules:
    """occupation: the Fermi function; hopping: the unit of accuracy, energy; tolerance: that of the spin density.

    is_closed: whether no lead broadens the levels.
    """

    occupation: Occupation
    hopping: float
    tolerance: float
    is_closed: bool

    @property
    def least_gap(self) -> float:
        """Half-width of an interval around the step, energy, that no density notices unless a level lies there."""
        return 0.1 * self.tolerance * self.hopping

    def rule(self, bounds: tuple[float, float], gap: float, mu: float | None = None, sharpness: int = 0) -> FermiPoles:
        """The rule for a spectrum within `bounds`; cached.

        gap: half-width (energy) of the interval around the step that is left unresolved at kT = 0; unused at kT > 0.
        mu: where the step is, None: at the Fermi energy.
        sharpness: the error of the rule is this many powers of ten below its usual share of the tolerance, which
        levels close to E_F need.
        """
        return self._rule(*bounds, gap, self.occupation.fermi_energy if mu is None else mu, sharpness)

    def sharpness(self, bounds: tuple[float, float]) -> int:
        """The `sharpness` at which the energy derivative of the rule at kT > 0 is accurate to the tolerance.

        The response of narrow levels contains this derivative.  Where double precision does not allow it, the largest
        possible sharpness is returned.
        """
        share = POLE_SHARE * self.tolerance
        asked = max(1e-13, 0.1 * share * min(1.0, self.occupation.temperature / self.hopping) / DERIVATIVE_ERROR)
        for sharpness in range(max(0, math.ceil(math.log10(share / asked))), 0, -1):
            with contextlib.suppress(ToleranceError):
                self.rule(bounds, self.hopping, sharpness=sharpness)
                return sharpness
        return 0

    def sharp_rule(self, bounds: tuple[float, float]) -> FermiPoles:
        """The rule with the sharpness that `sharpness` returns."""
        return self.rule(bounds, self.hopping, sharpness=self.sharpness(bounds))

    @cached_property
    def _rule(self) -> Callable[[float, float, float, float, int], FermiPoles]:
        return functools.lru_cache(maxsize=32)(self._make)

    def _make(self, low: float, high: float, gap: float, mu: float, sharpness: int) -> FermiPoles:
        # Below an error of 1e-13 more poles do not help near a level: rounding loses as much
        # (`fermi_step.check_surface`).
        kT = self.occupation.temperature
        share = POLE_SHARE * self.tolerance
        share = max(1e-14, min(share, max(1e-13, share * 10.0**-sharpness)))
        if kT == 0:
            reach = max(high - mu, mu - low, 2 * gap, self.hopping)
            return step_poles(mu, gap, reach, share)
        # G1 contains the derivative of the rule, and a discrete level has no width that would smooth it.
        share = max(1e-13, share * min(1.0, 0.1 * kT / self.hopping)) if self.is_closed else share
        return fermi_poles(low, high, mu, kT, share)


class MovedPoleRules(PoleRules):
    """Those of a device in equilibrium with a lead: at kT > 0 one rule, moved to each chemical potential."""

    def _make(self, low: float, high: float, gap: float, mu: float, sharpness: int) -> FermiPoles:
        kT = self.occupation.temperature
        if kT == 0:
            return super()._make(low, high, gap, mu, sharpness)
        grain = self.hopping / 2
        reach = grain * math.ceil(max(high - mu, mu - low) / grain)
        return moved_poles(reach, mu, kT, POLE_SHARE * self.tolerance)


def moved_poles(reach: float, mu: float, temperature: float, share: float) -> FermiPoles:
    """Poles for energies within `reach` of mu: one rule for all mu."""
    rule = fermi_poles(-reach, reach, 0.0, temperature, share)
    return FermiPoles(rule.nodes + mu, rule.weights, rule.constant, rule.bound)
