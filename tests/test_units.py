"""No energy is large or small by itself: every deck in other units of energy gives the same numbers in the new units.

All energies are multiplied by one factor and all times divided by it.  Powers of two change no mantissa, so that with
them nothing but rounding in logarithms and a threshold that is absolute can make a difference.
"""

import re

import numpy as np
import pytest

import llgnegf
from llgnegf.deck import load_deck, shipped_decks

JOULE = 1.602176634e-19  # per eV
POWERS_OF_TWO = (2.0**-62, 2.0**20)
OTHERS = (JOULE, 1e6, 1e-3)

ENERGIES = [
    *(f"magnet.{key}" for key in ("exchange", "dmi", "anisotropy", "hard_anisotropy", "field")),
    *(f"electrons.{key}" for key in ("hopping", "onsite", "sd_exchange", "fermi_energy", "temperature")),
    *(f"electrons.lead.{i}.{key}" for i in range(2) for key in ("coupling", "voltage")),
    *(f"electrons.gate.{i}.{key}" for i in range(2) for key in ("amplitude", "frequency")),
    "magnet.zhang_li.velocity",
    "motion.frequency",
]
TIMES = ["integrator.step", "run.duration", "run.save_every"]

# What makes a shipped deck short.
SMALL_PUMP = {
    "lattice.shape": [8, 7],
    "texture.center": [3.5, 3.0],
    "texture.radius": 2.0,
    "texture.wall_width": 1.0,
    "run.duration": 0.6,
    "run.save_every": 0.3,
}
SHORT = {
    "skyrmion_classical": {"run.duration": 1.0},
    "skyrmion_pump": SMALL_PUMP,
    "skyrmion_pump_small": SMALL_PUMP,
    "wall_classical": {"run.duration": 10.0},
    "wall_in_wire": {"run.duration": 2.0},
    "macrospin_in_wire": {"run.duration": 10.0},
}


def at(tables, key):
    """The value of a dotted key, or None."""
    for part in key.split("."):
        if tables is None or (isinstance(tables, list | tuple) and int(part) >= len(tables)):
            return None
        tables = tables[int(part)] if isinstance(tables, list | tuple) else tables.get(part)
    return tables


def in_other_units(name, factor, changes):
    """A shipped deck, changed, with all energies `factor` times as large and all times as many times shorter."""
    deck = load_deck(name, changes)
    tables = deck.tables()
    new = {"units.energy": deck.units_energy_ev / factor}
    for keys, by in ((ENERGIES, factor), (TIMES, 1 / factor)):
        for key in keys:
            value = at(tables, key)
            if value is not None:
                new[key] = [by * v for v in value] if isinstance(value, tuple) else by * value
    return load_deck(name, {**changes, **new})


def power_of_energy(unit, label):
    """How a variable of the run file with this unit grows with the energies of the deck."""
    powers = {"1": 0, "rad": 0, "lattice constant": 0, label: 1, f"{label}/hbar": 1, "hbar/energy": -1}
    return powers[unit]


def differences(run, other, factor):
    """{variable: largest difference over largest value} between a run and the same one in other units."""
    found = {}
    assert run.names == other.names
    for name in ("time", *run.names):
        unit, theirs = (r[name].unit if name != "time" else "hbar/energy" for r in (run, other))
        power = power_of_energy(unit, run.deck.units.label)
        assert power_of_energy(theirs, other.deck.units.label) == power
        a, b = (np.asarray(r[name] if name != "time" else r.times, float) for r in (run, other))
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=name)
        size = np.nanmax(abs(a), initial=0.0)
        found[name] = float(np.nanmax(abs(a - b / factor**power), initial=0.0)) / (size or 1.0)
    return found
