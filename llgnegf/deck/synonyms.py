"""Other names for the keys of a deck: symbols of papers, keys of other programs.

They are not accepted, because one letter means different things to different people, but the message about an unknown
key then names the right one.
"""

from __future__ import annotations

# As written, capitals and all: T is a temperature and t a hopping.  The first key is what is meant most often.
SYMBOLS: dict[str, tuple[str, ...]] = {
    "A": ("magnet.exchange",),
    "B": ("magnet.field",),
    "D": ("magnet.dmi",),
    "E_F": ("electrons.fermi_energy",),
    "Ef": ("electrons.fermi_energy",),
    "H": ("magnet.field",),
    "J": ("magnet.exchange", "electrons.sd_exchange"),
    "K": ("magnet.anisotropy", "magnet.hard_anisotropy"),
    "L": ("lattice.shape",),
    "N": ("lattice.shape",),
    "R": ("texture.radius",),
    "S": ("magnet.spin",),
    "T": ("electrons.temperature", "run.duration"),
    "V": ("electrons.lead.voltage", "electrons.gate.amplitude"),
    "a": ("magnet.damping",),
    "b": ("magnet.field",),
    "d": ("magnet.dmi",),
    "h": ("integrator.step", "magnet.field"),
    "j": ("magnet.exchange", "electrons.sd_exchange"),
    "k": ("magnet.anisotropy",),
    "l": ("lattice.shape",),
    "n": ("lattice.shape",),
    "s": ("magnet.spin",),
    "t": ("electrons.hopping", "run.duration"),
    "u": ("magnet.zhang_li.velocity",),
    "v": ("electrons.lead.voltage", "electrons.gate.amplitude"),
    "w": ("texture.width", "motion.frequency"),
}
# Whole words, compared without capitals, dashes and underscores.
WORDS: dict[str, tuple[str, ...]] = {
    key: keys
    for names, keys in {
        "alpha gilbert gilbertdamping gilbertalpha dampingconstant": ("magnet.damping",),
        "dt timestep stepsize deltat": ("integrator.step",),
        "bext hext bfield hfield magneticfield externalfield appliedfield zeeman": ("magnet.field",),
        "bias biasvoltage vbias vb": ("electrons.lead.voltage",),
        "aex jex jexchange jheisenberg heisenberg stiffness exchangestiffness": ("magnet.exchange",),
        "dm dmistrength dij dind dbulk": ("magnet.dmi",),
        "ku ku1 k1 kani kz kx ky anis uniaxial": ("magnet.anisotropy",),
        "khard kperp": ("magnet.hard_anisotropy",),
        "anisu easy anisotropyaxis": ("magnet.easy_axis",),
        "pinned pinnedsites fixedsites heldsites frozensites": ("magnet.fixed",),
        "ms msat magnetization magnetisation moment": ("magnet.spin",),
        "mu": ("electrons.fermi_energy", "magnet.spin"),
        "muleft muright mulead leadpotential": ("electrons.lead.chemical_potential",),
        "tleft tright leadtemperature": ("electrons.lead.temperature",),
        "nonadiabaticity xi": ("magnet.zhang_li.beta",),
        "jsd sd sdcoupling exchangecoupling kondo": ("electrons.sd_exchange",),
        "gamma thop hop tij": ("electrons.hopping",),
        "efermi fermi fermilevel chemicalpotential": ("electrons.fermi_energy",),
        "kt kbt temp": ("electrons.temperature", "magnet.temperature"),
        "thermal thermalfield thermalnoise langevin noise": ("magnet.temperature", "electrons.noise"),
        "eta tau inertial inertiatensor nutation": ("magnet.inertia",),
        "initialvelocity initialvelocities mdot v0": ("motion.velocity",),
        "eps epsilon epsilon0 onsiteenergy": ("electrons.onsite",),
        "anderson disorderstrength randompotential": ("electrons.disorder.amplitude",),
        "impurity impurities staticpotential": ("electrons.potential",),
        "gammac leadcoupling tc tlead": ("electrons.lead.coupling",),
        "leads electrodes contacts": ("electrons.lead",),
        "gates": ("electrons.gate",),
        "tol accuracy precision": ("electrons.tolerance",),
        "omega freq": ("motion.frequency", "electrons.gate.frequency"),
        "vg gatevoltage vgate": ("electrons.gate.amplitude",),
        "tmax tend tfinal ttotal tstop totaltime simtime maxtime nsteps steps": ("run.duration",),
        "saveinterval outputevery output every dump dumpevery autosave nsave": ("run.save_every",),
        "checkpoint checkpointinterval": ("run.checkpoint_every",),
        "randomseed rng": ("run.seed",),
        "nx ny size length sites nsites gridsize cells": ("lattice.shape",),
        "pbc boundary boundaryconditions": ("lattice.periodic",),
        "solver scheme algorithm": ("integrator.method",),
        "refresh": ("integrator.electrons",),
        "type initial": ("texture.kind",),
        "dwwidth delta lambda": ("texture.width", "texture.wall_width"),
        "position x0 z0": ("texture.center",),
        "handedness polarity": ("texture.chirality", "texture.helicity"),
        "file filename": ("texture.path",),
        "electron": ("electrons",),
        "material spins magnetism": ("magnet",),
        "grid mesh geometry system": ("lattice",),
        "m0 initialstate magneticstate": ("texture",),
        "dynamics": ("motion",),
        "simulation": ("run",),
        "time": ("integrator.step", "run.duration"),
        "integration": ("integrator",),
        "unit": ("units",),
    }.items()
    for key in names.split()
}


def meant_by(word: str) -> tuple[str, ...]:
    """The dotted keys that a newcomer may mean by `word`, the likeliest first; empty if it is no synonym."""
    plain = word.lower().replace("_", "").replace("-", "").replace(" ", "")
    return SYMBOLS.get(word) or WORDS.get(plain) or ()
