"""Electrons in real time: how few exponentials and poles describe their leads to the tolerance, and the start.

What the memory and the Fermi functions have to be right for is known before the run; whether the state at rest is that
of frozen electrons is seen when it is there, and where it is not, both are made sharper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frozen import Frozen
from .leads import AttachedLead, Occupation
from .memory import SHARPEST, Exponentials, semicircle
from .near_poles import near_poles
from .quadrature import FermiPoles, ToleranceError
from .real_time import RealTime
from .real_time_carrier import Carrier
from .system import System

Real = NDArray[np.float64]

# The share of the tolerance that the Fermi function may use, and the equilibrium at the start.
_RULE_SHARE, _START_SHARE = 0.1, 0.5
# An error of the memory (`Exponentials.error`) makes at most T/0.8 times as much of the density matrix within T
# hbar/hopping: so much in small devices whose levels, or whose Fermi energy, lie near the edges of the bands, because a
# level beside the bands never forgets.  Leads on bonds of a multiple of the hopping count as much more.
_FIT_SHARE = 0.8
# Elsewhere an error of the memory makes one of about its size.
_FIT_SHARE_WITHIN = 0.5
# The broadening of the fit has tails beside the spectrum: there, within this share of its width, f has to be right too.
_MARGIN = 0.05
# Levels in a bath lie at most half of its width below the real axis: so far, in widths, u of `near_poles` has to hold.
_BELOW = 0.55
# A motion that begins at once with a rate of hopping^2 makes so many times width hopping^2/reach^3 of an error by the
# states of a bath beyond the reach of f; a gate that jumps, so many times width/reach^2 of its jump.
_SUDDEN, _JUMP = 1e-3, 1.5e-3
# kT = 0 is replaced by so many hoppings times the root of the tolerance: smooth densities of states then change by less
# than the tolerance.  A level of half-width w at E_F takes 9 w/hopping times as low a temperature, but hbar/w to be
# filled: so runs longer than so many hbar/hopping have a lower one, in proportion.  Levels that are at E_F at the start
# are seen by `adjusted`, those that come there later by nobody.
_SMEARING, _UNRESOLVED = 0.2, 8.0
_MOST_TRIES = 7
# From this try on a temperature that stands for 0 falls by this factor, not by 2, from one try to the next: where the
# density of states is singular at E_F, as at the edge of a band, its root counts.
_EDGE_TRY, _EDGE_FACTOR = 5, 8.0
# So near an edge, in hoppings, E_F is told to be.
_NEAR_AN_EDGE = 0.02


@dataclass(frozen=True)
class Gating:
    """largest: voltage of any gate in a run, jump: by which one changes at once, energies; those of wide-band leads
    added."""

    largest: float
    jump: float


def exponentials(
    system: System,
    m: Real,
    potential: Real,
    duration: float,
    sharper: int = 0,
    gates: Gating | None = None,
    *,
    at_voltages: bool = False,
) -> tuple[Exponentials, FermiPoles, tuple[tuple[FermiPoles, FermiPoles], ...]]:
    """The memory of a lead and the Fermi functions for a run from moments m (*s, 3) and gates `potential` (*s,).

    Of the Fermi functions first that of the device, then those of the two spins of the left and of the right lead.

    duration: of the run, 1/energy; sharper: how often the error of both was made smaller, by factors of four; gates:
    later on, which count where levels are filled at all energies, beside a bath or a wide-band lead; at_voltages:
    whether voltages of the leads are there from the start, and none is switched on.
    Raises ToleranceError where the tolerance of the system cannot be reached.  Over long times it may be reached but
    for levels near the edges of the bands: see `error_near_edges`.
    """
    if any(system.voltages) and not at_voltages:
        raise ValueError(
            "electrons in real time start at rest, before voltages are switched on: give those of the leads as "
            "`voltages` of the stepper, and leads without a voltage"
        )
    if system.bath is not None and system.bath.elastic:
        raise ValueError(
            f"electrons in real time: not available with a probe without current at any energy, {system.bath!r}; use "
            'zero_current="net" or False'
        )
    tolerance = system.tolerance / 4**sharper
    low, high = system.straight.spectrum_bounds(m, potential)
    if system.has_tails:
        low, high = _beside_bath(system, low, high, gates or Gating(float(abs(potential).max(initial=0.0)), 0.0))
    low, high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
    depth = _BELOW * float(system.tails[1].max()) if system.has_tails else None

    def filled_by(mu: float, kT: float, depth: float | None = None) -> FermiPoles:
        return near_poles(low, high, mu, kT, _RULE_SHARE * tolerance, 0.9 * (high - low), depth)

    rule = filled_by(system.fermi_energy, smeared(system.occupation, system, duration, sharper), depth)
    known = {system.occupation: rule}
    for lead in sorted(system.ends, key=lambda lead: not lead.is_wide):
        for one in lead.occupations:
            if one not in known:
                kT = smeared(one, system, duration, sharper)
                known[one] = filled_by(one.fermi_energy, kT, depth if lead.is_wide else None)
    of_leads = tuple((known[lead.occupations[0]], known[lead.occupations[1]]) for lead in system.ends)
    if _banded(system) and _FIT_SHARE_WITHIN * tolerance / _strength(system) < SHARPEST:
        raise ToleranceError(
            f"the memory of a lead as a sum of exponentials cannot be had to this tolerance ({tolerance:g}): use a "
            "larger electrons.tolerance"
        )
    share = min(_FIT_SHARE_WITHIN, _FIT_SHARE / max(duration * _fastest_hopping(system), 1.0))
    return semicircle(max(SHARPEST, tolerance * share / _strength(system))), rule, of_leads


def _beside_bath(system: System, low: float, high: float, gates: Gating) -> tuple[float, float]:
    """The energies at which f has to be right beside a bath: those of levels, and what sudden motions reach."""
    low, high = low - 2 * gates.largest, high + 2 * gates.largest
    allowed = system.tolerance / (float(system.tails[1].max()) / system.hopping)
    reach = system.hopping * max((_SUDDEN / allowed) ** (1 / 3), (_JUMP * gates.jump / system.hopping / allowed) ** 0.5)
    return min(low, (low + high) / 2 - reach), max(high, (low + high) / 2 + reach)


def error_near_edges(system: System, fit: Exponentials, duration: float) -> float:
    """What the error of `fit` may become in the density matrix within `duration`, where levels lie near band edges."""
    if not _banded(system):
        return 0.0
    return fit.error * _strength(system) * max(duration * _fastest_hopping(system), 1.0) / _FIT_SHARE


def _banded(system: System) -> list[AttachedLead]:
    """Leads with a band, whose memory is exponentials; others have none but that of their Fermi function."""
    return [lead for lead in system.ends if lead.coupling and not lead.is_wide]


def _strength(system: System) -> float:
    """By how much the error of the memory counts more: bonds to the leads over hoppings of either side."""
    return max(1.0, *(lead.coupling / min(system.hopping, lead.modes.hopping) for lead in _banded(system)), 0.0)


def _fastest_hopping(system: System) -> float:
    return max(system.hopping, *(lead.modes.hopping for lead in system.ends))


def smeared(occupation: Occupation, system: System, duration: float, sharper: int = 0) -> float:
    """kT of this Fermi function, energy, or a small one that stands for 0.  Other arguments as `exponentials`."""
    at_rest = _SMEARING * system.hopping * (system.tolerance / 4**sharper) ** 0.5
    if sharper >= _EDGE_TRY:
        at_rest /= (_EDGE_FACTOR / 2) ** (sharper - _EDGE_TRY + 1)
    return occupation.temperature or at_rest * min(1.0, _UNRESOLVED / max(duration * system.hopping, 1.0))


def adjusted(
    system: System,
    m: Real,
    potential: Real,
    duration: float,
    carrier: Callable[[RealTime], Carrier],
    gates: Gating | None = None,
    *,
    at_voltages: bool = False,
) -> tuple[RealTime, Carrier, Any]:
    """Electrons in real time, what carries their state, and this state at rest: in equilibrium, or steady between leads
    with Fermi functions of their own.

    Its density is that of `Frozen` to half the tolerance, and between such leads it changes by no more than the
    tolerance within hbar/hopping.  carrier: makes one; other arguments as those of `exponentials`.  Raises
    ToleranceError where that cannot be reached.
    """
    still = system
    if system.is_biased and system.bath is not None and system.bath.floats:
        # Probes begin to float at t = 0: until then they are filled as the device.
        still = system.changed(bath=replace(system.bath, zero_current=False))
    exact, best, allowed = Frozen(still, m, potential).at_rest, np.inf, _START_SHARE * system.tolerance
    for sharper in range(_MOST_TRIES):
        try:
            sums = exponentials(system, m, potential, duration, sharper, gates, at_voltages=at_voltages)
        except ToleranceError:
            if sharper == 0:
                raise
            break  # no sharper ones can be had
        electrons = RealTime(system, *sums, sharper)
        found = carrier(electrons)
        state = found.at_rest(m, potential)
        error = float(abs(found.traced(state) - exact).max())
        if system.is_biased:
            # A density alone may be right by chance of integrals that miss something else: it has to stay as it is.
            rate = found.derivative(state, m, potential, np.zeros(2))
            error = max(error, float(abs(found.traced(rate)).max()) / (2 * system.hopping))
        if error <= allowed:
            return electrons, found, state
        best = min(best, error)
    raise ToleranceError(
        f"the spin density at rest is approximated to {best:.1e} at best by leads whose memory is a sum of "
        f"exponentials, {allowed:.1e} is needed{_at_an_edge(system)}: use a larger electrons.tolerance, a higher "
        "temperature, or a Fermi energy farther from narrow levels and from the edges of the leads' bands"
    )


def _at_an_edge(system: System) -> str:
    """In words, whether E_F, or the chemical potential of a lead, lies near an edge of a band of a lead."""
    edges = system.openings
    if not len(edges):
        return ""
    for what, mu in (
        ("electrons.fermi_energy", system.fermi_energy),
        *(
            ("the chemical potential of a lead", one.fermi_energy)
            for lead in system.ends
            if lead.coupling
            for one in lead.occupations
        ),
    ):
        edge = float(edges[abs(edges - mu).argmin()])
        distance = abs(edge - mu)
        if distance <= _NEAR_AN_EDGE * system.hopping:
            return (
                f" ({what} = {mu:g} is {distance:.1g} from the edge of a lead's band at {edge:g}, where the density of "
                "states diverges if little scatters)"
            )
    return ""
