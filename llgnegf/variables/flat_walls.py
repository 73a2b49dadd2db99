"""The flat wall of Kishine and Ovchinnikov: which decks have it, and its variables in their run files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from llgnegf.beside import textures
from llgnegf.deck import Deck
from llgnegf.dynamics.stepper import Instant

from .variable import NUMBER, Variable

# Axes count as x or z within this (sine of the angle).
_ALIGNED = 1e-9


def has_flat_wall(deck: Deck) -> bool:
    """Whether the deck begins with a wall between domains along +-x, whose width exchange and anisotropy give.

    Textures: "neel_wall" with orientation "kishine", "neel" about an easy axis along x; "file" where the hard axis is
    along z besides.  Not on a ring, where walls come in pairs, and not with vacancies or an
    `electrons.sd_exchange` of each site.
    """
    texture, magnet = deck.texture, deck.magnet
    if "electrons.sd_exchange.file" in deck.site_files or deck.lattice.vacancies:
        return False
    if not (magnet.exchange > 0.0 and magnet.anisotropy > 0.0 and is_along(magnet.easy_axis, 0)):
        return False
    if deck.lattice.periodic_axes[0]:
        return False
    if texture.kind == "file":
        return magnet.hard_anisotropy > 0.0 and is_along(magnet.hard_axis, 2)
    return texture.kind == "neel" or getattr(texture, "orientation", None) == "kishine"


def position(instant: Instant) -> float:
    """X by projection on the zero mode, lattice constants."""
    return textures.flat_wall(instant.m, instant.magnet.wall_width).position


def velocity(instant: Instant) -> float:
    """dX/dt, lattice constants per hbar/energy."""
    return textures.wall_velocity(instant.m, instant.velocity, instant.magnet.wall_width)


def out_of_plane(instant: Instant) -> float:
    """xi_0."""
    return textures.flat_wall(instant.m, instant.magnet.wall_width).out_of_plane


def spin(name: str, instant: Instant, spin_density: np.ndarray) -> float:
    """A field of `textures.SpinOnWall`; spin_density: Tr[rho_i sigma], shaped as the moments."""
    found: Any = textures.spin_on_wall(instant.m, spin_density, instant.magnet.wall_width)
    return float(getattr(found, name))


def is_along(axis: tuple[float, float, float], component: int) -> bool:
    """Whether an axis is along x, y or z: component 0, 1 or 2."""
    k = np.array(axis)
    across = np.delete(k, component)
    return bool(np.linalg.norm(across) <= _ALIGNED * np.linalg.norm(k))


FLAT_WALL = (
    Variable(
        "wall_position_projected",
        NUMBER,
        "lattice constant",
        "X of a flat wall, by projection on its zero mode",
        has_flat_wall,
        position,
    ),
    Variable(
        "wall_velocity",
        NUMBER,
        "lattice constant energy/hbar",
        "d/dt of wall_position_projected",
        has_flat_wall,
        velocity,
    ),
    Variable(
        "out_of_plane",
        NUMBER,
        "1",
        "xi_0, zero mode of a flat wall out of its plane; positive to -z",
        has_flat_wall,
        out_of_plane,
    ),
)

# What a spin density does to a flat wall, from an `Instant` with electrons and their spin density.
_ON_WALL = (
    (
        "torque_perpendicular",
        "torque_perpendicular",
        "1/lattice constant",
        "T = sum d(phi0)/dx s.(z x n0)",
    ),
    ("spin_parallel", "parallel", "1", "P = sum Phi_0^2 s.n0"),
    ("spin_out_of_plane", "out_of_plane", "1", "Q = sum Phi_0 s.z"),
)


def on_wall(spin_density: Callable[[Any], np.ndarray]) -> tuple[Variable, ...]:
    def one(name: str, part: str, unit: str, meaning: str) -> Variable:
        meaning = f"{meaning} on a flat wall, s = Tr[rho sigma]"
        return Variable(name, NUMBER, unit, meaning, has_flat_wall, lambda i: spin(part, i, spin_density(i)))

    return tuple(one(*line) for line in _ON_WALL)
