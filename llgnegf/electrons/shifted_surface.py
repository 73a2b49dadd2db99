"""The Fermi-surface term at kT > 0 between leads whose levels are shifted against the device's, by voltages.

The arcs of `thermal_surface.py` need one band for both leads.  Here the integral is taken on the real axis, on panels
that end at openings of either lead and at narrow levels (`window.py`), and is held against the thermal density of
states from the poles of f, where no level is missed.  Levels outside the bands keep their occupation while they move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .bound_states import BoundStates
from .chain_rules import RealRule
from .chain_surface import ChainSurface
from .lattice_surface import LatticeSurface
from .narrow_levels import may_be_narrow, narrow_levels
from .outside_levels import tails, thermal_levels, thermal_states
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats, Sweeps
from .system import BIAS_TAILS
from .window import Rule


class ShiftedChainSurface(ChainSurface):
    """The term of a chain; see `ChainSurface`."""

    @cached_property
    def needs_arcs(self) -> bool:
        """The thermal density of states has to be sharp, as for arcs."""
        return True

    @cached_property
    def levels(self) -> BoundStates:
        """Levels outside the bands, inside the thermal window."""
        return thermal_levels(cast(Sweeps, self.sweeps))

    def _into_leads(self, rate: NDArray[np.complex128], K: NDArray[np.complex128] | None, energy: bool) -> Floats:
        flow = super()._into_leads(rate, K, energy)
        return flow + tails(self.device, self.levels, rate, energy) if self.levels.any else flow

    def _for_motion(self, rate: NDArray[np.complex128]) -> RealRule:
        if self._rule is None:
            device = self.device

            def integrand(energies: Floats) -> Floats:
                rows = self.sweeps.real_rows(device.chain_rules.unit_rule(energies), rate, _NO_TURN).rows
                return rows[:, None, :2].reshape(len(energies), 1, 8 * device.n_sites)

            # The sea term has found the thermal density of states already, with the sharp rule.
            chosen = _chosen(cast(Sweeps, self.sweeps), rate, integrand, self.levels, lambda: self._sharp_states)
            self._rule = replace(device.chain_rules.unit_rule(chosen.energies), weights=chosen.weights[0])
            sums = (chosen.weights[0] @ chosen.values[:, 0]).reshape(2, device.n_sites, 4)
            self._known = self._rule, rate, sums
        return self._rule


class ShiftedLatticeSurface(LatticeSurface):
    """The term of a lattice; see `LatticeSurface`."""

    @cached_property
    def levels(self) -> BoundStates:
        """Levels outside the bands, inside the thermal window."""
        return thermal_levels(cast(Sweeps, self.sweeps))

    def _for_motion(self, rate: NDArray[np.complex128]):
        if self._chosen is None:

            def integrand(energies: Floats) -> Floats:
                found = np.array(self._terms(energies, rate))
                return found.reshape(len(energies), 1, 8 * self.device.n_sites)

            sweeps = cast(Sweeps, self.sweeps)
            chosen = _chosen(sweeps, rate, integrand, self.levels, sweeps.thermal_states)
            self._chosen = chosen.energies, chosen.weights[0]
            self.sweeps.keep_states(chosen.energies)
        return self._chosen


_NO_TURN = np.zeros((2, 2), complex)
# The thermal density of states and a bound on its error: see `Sweeps.thermal_states`.
Known = Callable[[], tuple[Floats, float]]


def _chosen(sweeps: Sweeps, rate: Blocks, integrand, levels: BoundStates, known: Known) -> Rule:
    """A rule for int (-df/dE) dE that meets the tolerance for this motion and finds all thermal states but `levels`.

    integrand: at real energies (n,), G Gamma G^+ and Im[G Hd G Gamma G^+], traced: (n, 1, 2 * sites * 4); known: see
    `thermal_rule`.
    """
    device = sweeps.device
    half = 4 * device.n_sites
    size = min(1.0, float(abs(rate).max()) / device.hopping**2)
    scale = np.repeat([device.hopping, 1 / size if size else 0.0], half) / (2 * np.pi)

    def counts(energy: float, width: float) -> bool:
        slope = -float(device.occupation.slope(np.array([energy]))[0])
        return slope * device.hopping**2 / width > 1e-3 * device.tolerance

    if levels.any and device.has_other_leads:
        raise ToleranceError(
            f"temperature = {device.temperature:g} between leads with a hopping or a polarization of their own: levels "
            f"outside their bands lie within some kT of fermi_energy = {device.fermi_energy:g}; the first order is not "
            "available there: use order = 0, temperature = 0.0 or another fermi_energy"
        )
    bound = thermal_states(sweeps, levels) if levels.any else 0.0

    def states(values: Floats) -> Floats:
        return values[:, 0, :half]

    rule, lost = thermal_rule(sweeps, integrand, lambda values: values * scale, states, counts, bound, known)
    if lost > 0:
        told = "with voltages on the leads" if any(device.voltages) else "between leads of different bands"
        instead = "chemical_potential in place of voltage, " if any(device.voltages) else ""
        raise ToleranceError(
            f"temperature = {device.temperature:g} {told}: {lost:.1e} of the states within about "
            f"{BIAS_TAILS:g} kT of fermi_energy = {device.fermi_energy:g} have no contact to the leads; the first "
            f"order is not available there: use {instead}order = 0, temperature = 0.0 or another fermi_energy"
        )
    return rule


def thermal_rule(
    sweeps: Sweeps,
    integrand: Callable[[Floats], Floats],
    scales: Callable[[Floats], Floats],
    states: Callable[[Floats], Floats],
    counts: Callable[[float, float], bool],
    bound: Floats | float = 0.0,
    known: Known | None = None,
) -> tuple[Rule, float]:
    """A rule for int (-df/dE) dE on the real axis, and what it lacks of the thermal density of states; 0: nothing.

    integrand, scales: see `window.Panels.adapted`; states: G Gamma G^+ traced, (n, 4 * sites), among the values of the
    integrand; counts: which narrow levels matter, see `narrow_levels`; bound: what levels outside the bands have of
    the thermal density of states, (*s, 4), 1/energy; known: this density, as `Sweeps.thermal_states` (None).  kT > 0.
    """
    device, window = sweeps.device, sweeps.device.thermal_window
    levels = narrow_levels(sweeps, window.stretches, counts) if may_be_narrow(sweeps, window.edges) else []
    rule = window.panels.adapted(
        window.divided([(one.energy, one.width) for one in levels]),
        integrand,
        scales,
        device.tolerance,
        1e-13 * device.hopping,
    )
    all_states, known_to = (known or sweeps.thermal_states)()
    found = (rule.weights[0] @ states(rule.values)).reshape(all_states.shape) / (2 * np.pi)
    lost = float(abs(all_states - bound - found).max()) * device.hopping
    return rule, lost if lost > device.tolerance + known_to * device.hopping else 0.0
