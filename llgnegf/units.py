"""From units of the deck (hbar = 1, energies in one unit E0) to units for people."""

from __future__ import annotations

import math
import string

ENERGY_UNITS = {"eV": 1.0, "meV": 1e-3}  # those that have a name, in eV
HBAR_EV_FS = 0.6582119569509066  # hbar in eV fs (CODATA 2018, exact)
# SI; all but the last are exact (CODATA 2018).
ELEMENTARY_CHARGE, HBAR, BOLTZMANN = 1.602176634e-19, 1.0545718176461565e-34, 1.380649e-23
BOHR_MAGNETON = 9.2740100783e-24
_METRES_IN = {"m": 1.0, "um": 1e-6, "µm": 1e-6, "nm": 1e-9, "angstrom": 1e-10, "Å": 1e-10, "pm": 1e-12}
_FS_IN = {"us": 1e9, "ns": 1e6, "ps": 1e3, "fs": 1.0}  # from the largest unit to the smallest


def energy_in_ev(unit: str | float) -> float:
    """A unit of energy in eV; unit: a name of `ENERGY_UNITS`, or a number of eV."""
    return ENERGY_UNITS[unit] if isinstance(unit, str) else unit


def energy_label(unit: str | float) -> str:
    """A unit of energy in words: "eV", "meV" or a number of eV."""
    return unit if isinstance(unit, str) else f"({unit:g} eV)"


def femtoseconds(time: float, energy_ev: float) -> float:
    """A time of hbar/E0 in fs, E0 = `energy_ev`."""
    return time * HBAR_EV_FS / energy_ev


def time_unit(longest: float, energy_ev: float) -> tuple[float, str]:
    """How many of which unit hbar/E0 is: (factor, "fs", "ps", "ns" or "us"), for times up to `longest` (hbar/E0).

    The unit is the largest in which `longest` is 1 or more, fs where there is none.  energy_ev: E0 in eV.
    """
    fs = abs(femtoseconds(longest, energy_ev))
    name = next((name for name, size in _FS_IN.items() if fs >= size), "fs")
    return femtoseconds(1.0, energy_ev) / _FS_IN[name], name


def readable_time(time: float, energy_ev: float) -> str:
    """A time of hbar/E0 with a sensible prefix: "12.3 ps"."""
    _, name = time_unit(time, energy_ev)
    return f"{femtoseconds(time, energy_ev) / _FS_IN[name]:.4g} {name}"


def readable_temperature(energy: float, energy_ev: float) -> str:
    """The temperature at which kT is so many E0 = `energy_ev`, in kelvin: "300 K"."""
    return f"{energy * energy_ev * ELEMENTARY_CHARGE / BOLTZMANN:.4g} K"


def counted(n: int, what: str) -> str:
    """How many of something there are, in words: "1 step", "2 steps"."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def metres(text: str) -> float:
    """A length with its unit, such as "0.5nm", in metres.  Raises ValueError, which says what is allowed."""
    text = text.strip()
    number = text.rstrip("µÅ" + string.ascii_letters)
    unit, number = text[len(number) :], number.strip()
    if number[-1:] and number[-1:] in "0123456789." and unit in _METRES_IN:
        try:
            length = float(number)
        except ValueError:
            length = math.nan
        if 0 < length < math.inf:
            return length * _METRES_IN[unit]
    raise ValueError(f"{text!r} must be a length above 0 with its unit, one of {', '.join(_METRES_IN)}: 0.5nm")
