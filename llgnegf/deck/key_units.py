"""The units of the keys of a deck, for the deck reference and for what people read of sweeps."""

from __future__ import annotations

import re

ENERGY, TIME, RATE = "energy", "hbar/energy", "energy/hbar"
LENGTH, POSITION, ANGLE, NO_UNIT = "lattice constants", "index coordinates", "radians", "none"
# The units of keys whose values are numbers, by their dotted names.
UNITS = {
    "units.energy": "eV",
    "magnet.spin": "hbar",
    **dict.fromkeys(("exchange", "dmi", "anisotropy", "hard_anisotropy", "field", "magnet.temperature"), ENERGY),
    "magnet.inertia": TIME,
    "motion.velocity": RATE,
    **dict.fromkeys(("damping", "zhang_li.beta"), NO_UNIT),
    "zhang_li.velocity": "lattice constants energy/hbar",
    "drive.amplitude": ENERGY,
    **dict.fromkeys(("hopping", "onsite", "sd_exchange", "fermi_energy", "electrons.temperature"), ENERGY),
    **dict.fromkeys(("rashba", "dresselhaus", "splitting", "difference"), ENERGY),
    **dict.fromkeys(("tolerance", "velocity_tolerance", "back_action"), NO_UNIT),
    **dict.fromkeys(("disorder.amplitude", "gate.amplitude", "voltage.amplitude"), ENERGY),
    **dict.fromkeys(("lead.coupling", "lead.voltage", "chemical_potential", "lead.temperature"), ENERGY),
    **dict.fromkeys(("bath.width", "lead.width", "along_x", "along_y", "imaginary_x", "imaginary_y"), ENERGY),
    **dict.fromkeys(("molecule.levels", "spin_orbit", "widths", "spin_bias", "molecule.temperature"), ENERGY),
    "polarization": NO_UNIT,
    "gate.frequency": RATE,
    "gate.phase": ANGLE,
    **dict.fromkeys(("motion.frequency", "response_frequencies"), RATE),
    **dict.fromkeys(("integrator.step", "run.duration", "run.save_every"), TIME),
    # textures
    "center": POSITION,
    **dict.fromkeys(("width", "radius", "wall_width", "spiral.period"), LENGTH),
    **dict.fromkeys(("helicity", "phase"), ANGLE),
    # profiles
    **dict.fromkeys(("cosine.frequency", "chirp.from", "chirp.to"), RATE),
    **dict.fromkeys(("start", "duration", "pulse.center", "pulse.width", "square.period", "times"), TIME),
    **dict.fromkeys(("duty", "values"), NO_UNIT),
}

# Kinds of texture and of profile whose keys are called like others.
_TEXTURES, _PROFILES = ("spiral",), ("cosine", "chirp", "pulse", "square")
_SHORT = {LENGTH: "a", POSITION: "a", ANGLE: "rad", NO_UNIT: ""}


def unit_of_key(key: str, energy: str) -> str:
    """The unit of a key as it is written with --set ("electrons.lead.0.voltage"); "" for one without.

    energy: the name of `units.energy`.
    """
    parts = re.sub(r"\.\d+|\[\d+\]", "", key).split(".")
    kinds = _PROFILES if "profile" in parts else _TEXTURES if parts[0] == "texture" else ()
    names = [f"{kind}.{parts[-1]}" for kind in kinds] + [".".join(parts[k:]) for k in range(len(parts))]
    found = next((UNITS[name] for name in names if name in UNITS), "")
    return _SHORT.get(found, found).replace("lattice constants", "a").replace(ENERGY, energy)
