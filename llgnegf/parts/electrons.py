"""The electrons of a deck: a device between leads, one without leads, a molecule."""

from __future__ import annotations

import numpy as np

from llgnegf.deck import Deck
from llgnegf.deck.closed_conflicts import is_closed_lattice
from llgnegf.deck.tables import SpinHopping as SpinHoppingTable
from llgnegf.electrons import (
    Bath,
    ClosedDevice,
    Device,
    Lead,
    Molecule,
    MoleculeLead,
    Polarization,
    SpinBias,
    SpinHopping,
    SpinOrbit,
)
from llgnegf.electrons.threads import workers_asked_for
from llgnegf.errors import DeckError

from .sites import sd_exchange, sites_of, static_potential, vacancies


def build_device(deck: Deck) -> Device | ClosedDevice | None:
    """The electrons of a deck, or None for a classical run.  DeckError where the environment does not fit."""
    table = deck.electrons
    if table is None:
        return None
    try:
        workers_asked_for()  # before anything is written
    except ValueError as error:
        raise DeckError(str(error)) from None
    potential = static_potential(deck)
    orbit = SpinOrbit(table.spin_orbit.rashba, table.spin_orbit.dresselhaus)
    if is_closed_lattice(deck):
        return ClosedDevice(
            deck.lattice.shape,
            periodic=deck.lattice.periodic,
            hopping=table.hopping,
            onsite=table.onsite,
            sd_exchange=sd_exchange(deck),
            fermi_energy=table.fermi_energy,
            temperature=table.temperature,
            potential=potential,
            spin_orbit=orbit,
            spin_hopping=_spin_hopping(table.spin_hopping),
            vacancies=vacancies(deck),
        )
    leads = [
        # Voltages that are switched on, from equilibrium without them, are no part of the device.
        Lead(
            one.side,
            one.coupling,
            one.voltage if table.method == "frozen" and isinstance(one.voltage, float) else 0.0,
            one.chemical_potential,
            one.temperature,
            one.hopping,
            None if one.polarization is None else Polarization(one.polarization.direction, one.polarization.splitting),
            one.width,
            spin_bias=None if one.spin_bias is None else SpinBias(one.spin_bias.direction, one.spin_bias.difference),
        )
        for one in table.lead
    ]
    try:
        return Device(
            deck.lattice.shape,
            periodic=deck.lattice.periodic,
            hopping=table.nearest_hopping,
            onsite=table.onsite,
            potential=potential,
            bath=_bath(deck),
            sd_exchange=sd_exchange(deck),
            vacancies=vacancies(deck),
            spin_orbit=orbit,
            spin_hopping=_spin_hopping(table.spin_hopping),
            fermi_energy=table.fermi_energy,
            temperature=table.temperature,
            tolerance=table.tolerance,
            leads=leads,
        )
    except ValueError as error:  # bands of the leads that do not overlap
        raise DeckError(f"electrons.lead: {error}") from None


def _spin_hopping(table: SpinHoppingTable) -> SpinHopping:
    along = (table.along_x, table.imaginary_x), (table.along_y, table.imaginary_y)
    (ax, ay, az), (bx, by, bz) = (
        [complex(*part) for part in zip(real, imaginary, strict=True)] for real, imaginary in along
    )
    return SpinHopping((ax, ay, az), (bx, by, bz))


def build_molecule(deck: Deck) -> Molecule | None:
    """The levels of a deck with a [molecule], or None.  DeckError where they do not fit together."""
    table = deck.molecule
    if table is None:
        return None
    leads = [MoleculeLead(**one.model_dump()) for one in table.lead]
    try:
        of_runs = {"lead", "order", "back_action", "response_frequencies"}
        return Molecule(leads=leads, **table.model_dump(exclude=of_runs))
    except ValueError as error:
        raise DeckError(f"molecule: {error}") from None


def _bath(deck: Deck) -> Bath | None:
    table = deck.electrons.bath if deck.electrons is not None else None
    if table is None:
        return None
    sites = list(np.ndindex(deck.lattice.shape)) if isinstance(table.sites, str) else sites_of(table.sites)
    return Bath(sites, table.width, table.zero_current)


def build_open_device(deck: Deck) -> Device:
    """The electrons of a deck that has some, where leads may be attached to them; DeckError for others."""
    device = build_device(deck)
    if not isinstance(device, Device):
        raise DeckError(
            "lattice.periodic, electrons.hopping: not available without leads; use an open x and one hopping"
        )
    return device
