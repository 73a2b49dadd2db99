"""Textures of classical moments: initial states, and measures of a state. Pure geometry: numpy and scipy only.

Moments are float64 arrays (nx, 3) on a chain along x and (nx, ny, 3) on a square lattice: unit vectors, or the exact
zero vector for a vacancy. Positions are index coordinates (site 0 at 0.0), lengths are in lattice constants, angles
in radians.

`TEXTURES` maps the name of a state to its function f(shape, **parameters) -> moments.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .files import from_file, numbers_from_file, vectors_from_file
from .measures import skyrmion_center, thresholded_center, topological_charge, wall_position, wall_tilt
from .ovf import ovf_bytes, read_ovf
from .simple import columns, random, spiral, uniform
from .skyrmion import skyrmion
from .walls import bloch, bloch_wall, neel, neel_wall
from .zero_mode import FlatWall, SpinOnWall, flat_wall, spin_on_wall, wall_velocity, zero_mode

TEXTURES: dict[str, Callable[..., NDArray[np.float64]]] = {
    "uniform": uniform,
    "bloch": bloch,
    "neel": neel,
    "bloch_wall": bloch_wall,
    "neel_wall": neel_wall,
    "skyrmion": skyrmion,
    "spiral": spiral,
    "columns": columns,
    "random": random,
    "file": from_file,
}

__all__ = [
    "TEXTURES",
    "FlatWall",
    "SpinOnWall",
    "bloch",
    "bloch_wall",
    "columns",
    "flat_wall",
    "from_file",
    "neel",
    "neel_wall",
    "numbers_from_file",
    "ovf_bytes",
    "random",
    "read_ovf",
    "skyrmion",
    "skyrmion_center",
    "spin_on_wall",
    "spiral",
    "thresholded_center",
    "topological_charge",
    "uniform",
    "vectors_from_file",
    "wall_position",
    "wall_tilt",
    "wall_velocity",
    "zero_mode",
]
