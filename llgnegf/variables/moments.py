"""Variables of every run: of the moments, their energies, and their texture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from llgnegf.beside import textures
from llgnegf.deck import Deck
from llgnegf.dynamics.stepper import Instant
from llgnegf.magnet.energy import TERMS

from .conditions import (
    all_of,
    always,
    current_varies,
    has_drives,
    has_inertia,
    has_skyrmion,
    has_wall,
    inertia_varies,
    is_kishine,
    is_not,
    is_plane,
)
from .flat_walls import FLAT_WALL
from .variable import NUMBER, VECTOR, Variable

INERTIA = "inertia"

MOMENTS = (
    Variable("step", NUMBER, "1", "steps taken", always, lambda i: i.n),
    Variable("moment", VECTOR, "1", "unit vectors of the local moments", always, lambda i: i.m),
    Variable("velocity", VECTOR, "energy/hbar", "dm/dt", always, lambda i: i.velocity),
    Variable(
        "field_drive",
        ("time", "drive"),
        "energy",
        "amplitude g(t) of each driven field",
        has_drives,
        lambda i: np.array(i.external.strengths),
        coordinates=lambda deck: {"drive": range(len(deck.magnet.drive))},
    ),
    Variable(
        "zhang_li_profile",
        NUMBER,
        "1",
        "g(t), by which the velocity of the Zhang-Li current is multiplied",
        current_varies,
        lambda i: i.external.current,
    ),
    Variable(INERTIA, ("site",), "hbar/energy", "eta of each moment", inertia_varies, lambda i: i.inertia),
)


def _energy(term: str) -> Variable:
    meaning = f"{term} energy of the moments"
    return Variable(f"energy_{term}", NUMBER, "energy", meaning, always, lambda i: i.energies[term])


# "classical" is the sum of the terms.
ENERGIES = (
    *(_energy(term) for term in (*TERMS, "classical")),
    Variable(
        "energy_kinetic",
        NUMBER,
        "energy",
        "of moments with inertia that move, S eta/2 sum (dm/dt)^2; not part of energy_classical",
        has_inertia,
        lambda i: i.kinetic,
    ),
)


def _wall(
    applies: Callable[[Deck], bool], easy_axis: Callable[[Instant], Sequence[float]]
) -> tuple[Variable, Variable]:
    return (
        Variable(
            "wall_position",
            NUMBER,
            "lattice constant",
            "where the easy component changes sign",
            applies,
            lambda i: textures.wall_position(i.m, easy_axis(i), periodic=i.magnet.periodic),
        ),
        Variable(
            "wall_tilt",
            NUMBER,
            "rad",
            "azimuth of the wall about the easy axis",
            applies,
            lambda i: textures.wall_tilt(i.m, easy_axis(i), periodic=i.magnet.periodic),
        ),
    )


TEXTURE = (
    *_wall(all_of(has_wall, is_not(is_kishine)), lambda i: i.magnet.easy_axis),
    *_wall(all_of(has_wall, is_kishine), lambda i: (1.0, 0.0, 0.0)),
    *FLAT_WALL,
    Variable(
        "topological_charge",
        NUMBER,
        "1",
        "Berg-Luscher charge",
        is_plane,
        lambda i: textures.topological_charge(i.m, i.magnet.periodic),
    ),
    Variable(
        "skyrmion_center",
        ("time", "plane"),
        "lattice constant",
        "centre of the reversed core",
        has_skyrmion,
        lambda i: textures.skyrmion_center(i.m, periodic=i.magnet.periodic),
    ),
    Variable(
        "skyrmion_center_thresholded",
        ("time", "plane"),
        "lattice constant",
        "centre of all moments with m_z < -0.1 (Xu et al.)",
        has_skyrmion,
        lambda i: textures.thresholded_center(i.m, periodic=i.magnet.periodic),
    ),
)
