"""From units of the deck (hbar = 1, energies in one unit E0) to units for people."""

from __future__ import annotations

HBAR_EV_FS = 0.6582119569509066  # hbar in eV fs (CODATA 2018, exact)


def femtoseconds(time: float, energy_ev: float) -> float:
    """A time of hbar/E0 in fs, E0 = `energy_ev`."""
    return time * HBAR_EV_FS / energy_ev


def readable_time(time: float, energy_ev: float) -> str:
    """The same with a sensible prefix: "12.3 ps"."""
    fs = femtoseconds(time, energy_ev)
    for factor, name in ((1e9, "us"), (1e6, "ns"), (1e3, "ps")):
        if abs(fs) >= factor:
            return f"{fs / factor:.4g} {name}"
    return f"{fs:.4g} fs"
