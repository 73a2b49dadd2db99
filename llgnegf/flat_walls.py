"""Which decks have the flat wall of Kishine and Ovchinnikov, and its variables in their run files."""

from __future__ import annotations

from typing import Any

import numpy as np

from llgnegf.beside import textures
from llgnegf.deck import Deck
from llgnegf.dynamics.stepper import Instant

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
