"""What of a deck changes in time: gates, voltages, driven fields and currents, random fields."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from llgnegf.deck import Deck
from llgnegf.deck.tables import Gate as GateTable
from llgnegf.dynamics.electron_noise import ElectronNoise
from llgnegf.dynamics.external import DrivenField, Drives
from llgnegf.dynamics.gates import Gates, LeadVoltages
from llgnegf.dynamics.profiles import Constant, Cosine, Drive, Profile, make
from llgnegf.dynamics.thermal import ThermalField
from llgnegf.magnet import Magnet

from .sites import sites_of


def profile_of(table: BaseModel | None) -> Profile:
    """The function of time that a table of a deck means; constant where there is none."""
    return Constant() if table is None else make(**table.model_dump(exclude={"path"}))


def build_gates(deck: Deck) -> Gates:
    """The gates of a deck, none without electrons."""
    gates = deck.electrons.gate if deck.electrons is not None else ()
    return Gates([_gate(gate) for gate in gates], deck.lattice.shape)


@dataclass(frozen=True)
class _Gate:
    columns: tuple[int, ...]
    amplitude: float
    profile: Profile
    frequency: None = None
    phase: float = 0.0


def _gate(table: GateTable) -> _Gate:
    if table.profile is not None:
        return _Gate(table.columns, table.amplitude, profile_of(table.profile))
    assert table.frequency is not None
    return _Gate(table.columns, table.amplitude, Cosine(table.frequency, table.phase))


def build_drives(deck: Deck, magnet: Magnet) -> Drives | None:
    """What acts on the moments of a deck and changes in time; None where nothing does."""
    table = deck.magnet
    current = table.zhang_li.profile if table.zhang_li is not None else None
    if not table.drive and current is None:
        return None
    fields = [
        DrivenField(
            one.direction,
            one.amplitude,
            profile_of(one.profile),
            None if one.sites is None else sites_of(one.sites),
        )
        for one in table.drive
    ]
    return Drives(magnet, fields, None if current is None else profile_of(current))


def build_thermal(deck: Deck, magnet: Magnet) -> ThermalField | None:
    """The thermal field of a deck; None at `magnet.temperature` = 0."""
    if deck.magnet.temperature == 0.0:
        return None
    return ThermalField(magnet, deck.magnet.temperature, deck.run.seed, deck.integrator.step)


def build_voltages(deck: Deck) -> LeadVoltages | None:
    """The voltages of a deck's leads, functions of time; None where all are zero.

    Frozen electrons have those that are constant as part of their leads: None where no other is given.
    """
    if deck.electrons is not None and deck.electrons.method == "frozen" and not deck.electrons.voltages_vary:
        return None
    leads = deck.electrons.lead if deck.electrons is not None else ()
    drives = {
        lead.side: Drive(lead.voltage, Constant())
        if isinstance(lead.voltage, float)
        else Drive(lead.voltage.amplitude, profile_of(lead.voltage.profile))
        for lead in leads
        if lead.voltage != 0.0
    }
    return LeadVoltages(drives.get("left"), drives.get("right")) if drives else None


def build_electron_noise(deck: Deck, magnet: Magnet) -> ElectronNoise | None:
    """The fluctuations of a deck's electrons as a field; decks have them with one J_sd for all sites."""
    table = deck.electrons
    if table is None or not table.noise:
        return None
    assert isinstance(table.sd_exchange, float)
    return ElectronNoise(magnet, table.sd_exchange, deck.run.seed, deck.integrator.step)
