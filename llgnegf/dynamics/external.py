"""What acts on the moments from outside and changes in time: driven fields, and the Zhang-Li current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llgnegf.dynamics.profiles import Drive, Profile
from llgnegf.magnet import Magnet


@dataclass(frozen=True)
class DrivenField:
    """A field B(t) = amplitude g(t) along `direction` (3,), of any length, with E = -S sum m.B on `sites`.

    amplitude: as `magnet.field`, an energy per spin; sites: indices (i,) or (ix, iy); None: all.
    """

    direction: Sequence[float]
    amplitude: float
    profile: Profile
    sites: Sequence[tuple[int, ...]] | None = None


@dataclass(frozen=True)
class External:
    """At one time: `field`, S B of all driven fields on the sites (packed, energy; None: none), `strengths`: amplitude
    g(t) of each, and `current`: g(t) of the Zhang-Li current."""

    field: np.ndarray | None = None
    strengths: tuple[float, ...] = ()
    current: float = 1.0


NOTHING = External()


class Drives:
    """All of a magnet's driven fields, and the profile of its Zhang-Li current (None: constant)."""

    def __init__(self, magnet: Magnet, fields: Sequence[DrivenField] = (), current: Profile | None = None) -> None:
        self._drives = [Drive(one.amplitude, one.profile) for one in fields]
        self._patterns = [_pattern(magnet, one) for one in fields]
        self._current = current
        self.profiles = tuple(one.profile for one in fields) + (() if current is None else (current,))
        # Bounds: of S B on a moment, energy, and of g(t) of the current.
        self.reach = magnet.spin * sum(drive.reach for drive in self._drives)
        self.current_reach = 1.0 if current is None else current.reach

    def at(self, t: float, within: float | None = None) -> External:
        """The external fields at time t; within: on which side of a jump, see `Profile.value`."""
        current = 1.0 if self._current is None else self._current.value(t, within)
        if not self._drives:
            return External(current=current)
        strengths = tuple(drive.value(t, within) for drive in self._drives)
        field = strengths[0] * self._patterns[0]
        for strength, pattern in zip(strengths[1:], self._patterns[1:], strict=True):
            field += strength * pattern
        return External(field, strengths, current)


def _pattern(magnet: Magnet, one: DrivenField) -> np.ndarray:
    """S times the direction on the sites of a field, packed."""
    pattern = np.zeros((*magnet.shape, 3))
    chosen = tuple(np.array(one.sites).reshape(-1, len(magnet.shape)).T) if one.sites is not None else ...
    direction = np.array(one.direction, float)
    pattern[chosen] = magnet.spin * direction / np.linalg.norm(direction)
    return magnet.pack(pattern)
