"""A run of a flat wall beside its two collective coordinates, Eqs. (12) of Kishine and Ovchinnikov.

What pushes the wall comes from the run: T, P and Q of its electrons at every frame, its field and its current.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from llgnegf.beside import textures
from llgnegf.deck import Deck
from llgnegf.errors import DeckError, RunError
from llgnegf.magnet.collective import CollectiveWall, WallMotion, wall_width
from llgnegf.parts.moments import initial_moments
from llgnegf.runfile.reader import Run
from llgnegf.variables.flat_walls import has_flat_wall, is_along

_OF_ELECTRONS = ("torque_perpendicular", "spin_parallel", "spin_out_of_plane")
# What acts on the wall at a time, as fields: J_sd T, J_sd P, J_sd Q, energy per lattice constant and energies.
Acting = Callable[[float], tuple[float, float, float]]


def equations(deck: Deck) -> CollectiveWall:
    """Eqs. (12) of the wall with which this deck begins; T, P and Q in them are fields (sd_exchange = 1).

    Raises DeckError where the deck has no flat wall, or one that other terms pull out of its plane.
    """
    magnet = deck.magnet
    if not has_flat_wall(deck):
        raise DeckError(
            f"texture.kind = {deck.texture.kind!r}: a wall between domains along x is needed, neel_wall with "
            'orientation = "kishine" or neel, with magnet.exchange, magnet.anisotropy > 0, easy_axis along x and open x'
        )
    if magnet.field[1] != 0.0:
        raise DeckError(f"magnet.field = {list(magnet.field)!r}: a field along y widens the wall; allowed are x and z")
    if magnet.dmi != 0.0:
        raise DeckError(f"magnet.dmi = {magnet.dmi!r}: two coordinates do not describe a wall with DMI; set it to 0")
    if magnet.hard_anisotropy != 0.0 and not is_along(magnet.hard_axis, 2):
        raise DeckError(f"magnet.hard_axis = {list(magnet.hard_axis)!r}: allowed here is z, to which the wall tilts")
    width = wall_width(magnet.exchange, magnet.anisotropy)
    wall = textures.flat_wall(initial_moments(deck), width)
    return CollectiveWall(width, magnet.hard_anisotropy, magnet.spin, magnet.damping, turn=wall.turn)


def beside(run: Run) -> WallMotion:
    """X, dX/dt and xi_0 at the frames of a run by Eqs. (12), from X and xi_0 of its first frame.

    T, P and Q of the electrons are those of the run, between frames by cubic splines: frames must be so close that they
    resolve them.  To them come those of `magnet.field` and of `magnet.zhang_li` for a wall in an endless chain.

    Raises DeckError as `equations`, and for what else moves the wall but is not known here: a user's field, an imposed
    motion, drives that change with time.  RunError for a run without frames, or whose wall has left.
    """
    deck = run.deck
    wall = equations(deck)
    if deck.motion.kind != "llg":
        raise DeckError(f"motion.kind = {deck.motion.kind!r}: allowed here is 'llg', a wall that moves by itself")
    if "user_field" in run.attrs:
        raise DeckError(f"{run.path}: it was made with a field from Python, of which T, P and Q are not known")
    for table in (deck.magnet, deck.magnet.zhang_li):
        for key in ("drive", "profile"):
            if getattr(table, key, None):
                raise DeckError(f"magnet: its {key} changes with time; allowed here are a constant field and current")
    if deck.magnet.temperature or (deck.electrons is not None and deck.electrons.noise):
        raise DeckError("magnet.temperature, electrons.noise: the two coordinates have no random field; run without it")
    if deck.magnet.fixed:
        raise DeckError(f"magnet.fixed = {list(deck.magnet.fixed)!r}: allowed here are moments that all move")
    names = ("wall_position_projected", "out_of_plane", *(_OF_ELECTRONS if deck.electrons else ()))
    missing = [name for name in names if name not in run]
    if missing or run.n_frames == 0:
        raise RunError(f"{run.path}: {', '.join(missing) or 'a complete frame'} is needed and not there")
    found = {name: np.asarray(run[name], dtype=float) for name in names}
    if not all(np.isfinite(values).all() for values in found.values()):
        raise RunError(f"{run.path}: the wall has left; stop the run before (--until)")
    given = _constant(deck, wall)
    acting = _with_electrons(deck, run.times, found, given) if deck.electrons else lambda t: given
    start = {"position": found["wall_position_projected"][0], "out_of_plane": found["out_of_plane"][0]}
    return wall.integrate(run.times, lambda t, X, xi: acting(t), **start)


def _constant(deck: Deck, wall: CollectiveWall) -> tuple[float, float, float]:
    """Of field and current: integrals over an endless chain."""
    head = textures.flat_wall(initial_moments(deck), wall.width).head
    field = deck.magnet.spin * np.array(deck.magnet.field)
    torque = -2.0 * head * field[0]  # -d/dX of 2 head X b_x
    push = math.pi * math.sqrt(0.5 * wall.width) * field[2]
    zhang_li = deck.magnet.zhang_li
    if zhang_li is not None:
        current = wall.spins_of_current(zhang_li.velocity[0], zhang_li.beta)
        torque, push = torque + current[0], push + current[1]
    return float(torque), 0.0, float(push)


def _with_electrons(
    deck: Deck, times: np.ndarray, found: dict[str, np.ndarray], given: tuple[float, float, float]
) -> Acting:
    electrons = deck.electrons
    assert electrons is not None
    scale = electrons.uniform_exchange * electrons.back_action
    values = np.stack([found[name] for name in _OF_ELECTRONS], axis=-1)
    if len(times) == 1:
        return lambda t: _three(np.array(given) + scale * values[0])
    from scipy.interpolate import CubicSpline  # heavy import

    between = CubicSpline(times, values)
    return lambda t: _three(np.array(given) + scale * between(t))


def _three(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
