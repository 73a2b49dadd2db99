"""Potentials that change in time: gates and voltages of leads.

Gates: V_i(t) = sum over gates of amplitude g(t) on their columns (first axis), g a cosine or another profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from llgnegf.dynamics.profiles import Cosine, Drive, Profile


class Gate(Protocol):
    """One gate: indices along x, amplitude in energy, angular frequency in 1/time, phase in radians.

    One with a `profile` changes as that says, and its frequency and phase are not used.
    """

    @property
    def columns(self) -> Sequence[int]: ...
    @property
    def amplitude(self) -> float: ...
    @property
    def frequency(self) -> float | None: ...
    @property
    def phase(self) -> float: ...


class Gates:
    """Gate voltages on a lattice of `shape` (energy) and their rates (energy per time).

    Gates on the same column add.  `frequencies`: of the fastest change of the gates whose amplitude is not zero,
    1/time; `profiles`: their functions of time; `drives`: those with their amplitudes.
    """

    def __init__(self, gates: Sequence[Gate], shape: tuple[int, ...]) -> None:
        self._gates = [(np.array(gate.columns), Drive(gate.amplitude, _profile(gate))) for gate in gates]
        self.shape = shape
        self.drives = tuple(drive for _, drive in self._gates)
        self.profiles = tuple(drive.profile for drive in self.drives)
        self.frequencies = tuple(drive.profile.frequency for _, drive in self._gates if drive.amplitude)

    @property
    def reach(self) -> float:
        """No voltage is larger than this, energy."""
        return sum(drive.reach for _, drive in self._gates)

    def __bool__(self) -> bool:
        return bool(self._gates)

    def potential(self, t: float, within: float | None = None) -> np.ndarray:
        """V_i(t), shape of the lattice; within: on which side of a jump, see `Profile.value`."""
        values = np.zeros(self.shape)
        for columns, drive in self._gates:
            values[columns] += drive.value(t, within)
        return values

    def rate(self, t: float, within: float | None = None) -> np.ndarray:
        """dV_i/dt without the jumps, shape of the lattice."""
        values = np.zeros(self.shape)
        for columns, drive in self._gates:
            values[columns] += drive.rate(t, within)
        return values


def _profile(gate: Gate) -> Profile:
    """TypeError for a profile that is none, such as the table of a deck (`build_gates` makes gates of a deck)."""
    profile = getattr(gate, "profile", None)
    if profile is None:
        assert gate.frequency is not None
        return Cosine(gate.frequency, gate.phase)
    if not isinstance(profile, Profile):
        raise TypeError(f"profile = {profile!r} of a gate: expected a Profile of llgnegf.dynamics.profiles")
    return profile


class Voltages(Protocol):
    """Voltages of the left and the right lead.

    `reach`: no |voltage| is larger, energy; `drives`: what they consist of; `profiles`: of these.
    """

    @property
    def reach(self) -> float: ...
    @property
    def drives(self) -> tuple[Drive, ...]: ...
    @property
    def profiles(self) -> tuple[Profile, ...]: ...
    def at(self, t: float, within: float | None = None) -> np.ndarray:
        """(2,), energy; within: on which side of a jump, see `Profile.value`."""
        ...


class LeadVoltages:
    """`Voltages` of a left and a right lead; None: zero.  `frequencies`: of the fastest change of each, 1/time."""

    def __init__(self, left: Drive | None = None, right: Drive | None = None) -> None:
        self._sides = left, right
        self.drives = tuple(one for one in self._sides if one is not None)
        self.profiles = tuple(one.profile for one in self.drives)
        self.reach = max((one.reach for one in self.drives), default=0.0)
        self.frequencies = tuple(one.profile.frequency for one in self.drives if one.amplitude)

    def at(self, t: float, within: float | None = None) -> np.ndarray:
        return np.array([0.0 if one is None else one.value(t, within) for one in self._sides])

    def rate(self, t: float, within: float | None = None) -> np.ndarray:
        """dV/dt without the jumps, (2,), energy per time."""
        return np.array([0.0 if one is None else one.rate(t, within) for one in self._sides])
