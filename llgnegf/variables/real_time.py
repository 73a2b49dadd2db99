"""Variables of electrons in real time, from a `RealTimeInstant`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from llgnegf.deck import Deck
from llgnegf.dynamics.torques import torque

from .conditions import (
    all_of,
    always,
    any_of,
    differs_from_device,
    has_bath,
    has_drives,
    has_floating_probes,
    has_gates,
    has_leads,
    has_spin_orbit,
    has_voltages,
    has_wide_leads,
    is_not,
)
from .device import EXCHANGE, MISSING, STATIC, bath_currents, sites_of_bath
from .electrons import BIAS_SPIN, FROZEN_SPIN
from .flat_walls import on_wall
from .variable import NUMBER, SCALAR, VECTOR, Variable

_FIRST_BOND = "over the lead's first bond"


def _beside(one: Variable, applies: Callable[[Deck], bool] | None = None) -> Variable:
    """A variable of frozen electrons, recorded beside those in real time at the same instant.

    applies: to which decks, if others than those of frozen electrons.
    """
    applies = applies or one.applies
    return replace(
        one,
        meaning=f"{one.meaning}; frozen electrons beside",
        applies=lambda deck: deck.electrons is not None and deck.electrons.frozen_beside and applies(deck),
        value=lambda instant: one.value(instant.frozen),
    )


REAL_TIME = (
    Variable("spin_density", VECTOR, "1", "Tr[rho sigma] in real time", always, lambda i: i.spin_density),
    Variable("density", SCALAR, "1", "electrons per site in real time", always, lambda i: i.traced[..., 0]),
    Variable(
        "torque",
        VECTOR,
        "energy",
        "J_sd s x m of the whole spin density in real time",
        always,
        lambda i: torque(i.spin_density, i.m, i.sd_exchange),
    ),
    Variable(
        "torque_spin_orbit",
        VECTOR,
        "energy",
        "of the bonds that turn spins on the electrons' spin sigma/2, all of it, in real time",
        has_spin_orbit,
        lambda i: i.torque_spin_orbit,
    ),
    Variable(
        "current_charge",
        ("time", "lead"),
        "energy/hbar",
        f"particles into the lead, {_FIRST_BOND}, in real time",
        has_leads,
        lambda i: i.flows.charge,
    ),
    Variable(
        "current_spin",
        ("time", "lead", "component"),
        "energy/hbar",
        f"Tr[sigma/2 ...] into the lead, {_FIRST_BOND}, in real time",
        has_leads,
        lambda i: i.flows.spin,
    ),
    Variable(
        "current_energy",
        ("time", "lead"),
        "energy^2/hbar",
        f"energy into the lead, {_FIRST_BOND}, in real time",
        all_of(has_leads, is_not(has_wide_leads)),
        lambda i: i.flows.energy,
    ),
    *bath_currents(always, ", in real time"),
    Variable(
        "bath_potential",
        ("time", "bath"),
        "energy",
        "voltage of the floating probe on each site, which shifts its levels and their occupation, in real time",
        has_floating_probes,
        lambda i: i.bath_voltages,
        coordinates=sites_of_bath,
    ),
    # That of a bath, or of a wide-band lead, whose band has no bottom, is not known.
    Variable(
        "energy_electrons",
        NUMBER,
        "energy",
        "of the electrons, leads included, less that at the start",
        is_not(any_of(has_bath, has_wide_leads)),
        lambda i: i.energy_electrons,
    ),
    Variable(
        "work",
        NUMBER,
        "energy",
        "done so far by gates, voltages and driven fields, and by an imposed motion on the electrons alone",
        always,
        lambda i: i.work,
    ),
    Variable(
        "work_drives",
        NUMBER,
        "energy",
        "done by driven fields on the moments so far, part of work",
        all_of(has_drives, lambda deck: not deck.motion.is_imposed),
        lambda i: i.work_drives,
    ),
    Variable("voltage", ("time", "lead"), "energy", "voltage of the lead", has_voltages, lambda i: i.voltages),
    Variable("potential", SCALAR, "energy", "gate voltage", has_gates, lambda i: i.potential),
    STATIC,
    MISSING,
    EXCHANGE,
    *on_wall(lambda i: i.spin_density),
    *map(_beside, FROZEN_SPIN),
    *(_beside(one, differs_from_device) for one in BIAS_SPIN),
)
