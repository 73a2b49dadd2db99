"""Oscillating gates: V_i(t) = sum over gates of amplitude cos(frequency t + phase) on their columns (first axis)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Gate(Protocol):
    """One gate: indices along x, amplitude in energy, angular frequency in 1/time, phase in radians."""

    @property
    def columns(self) -> Sequence[int]: ...
    @property
    def amplitude(self) -> float: ...
    @property
    def frequency(self) -> float: ...
    @property
    def phase(self) -> float: ...


class Gates:
    """Gate voltages on a lattice of `shape` (energy) and their rates (energy per time).

    Gates on the same column add.  `frequencies`: of the gates whose amplitude is not zero, 1/time.
    """

    def __init__(self, gates: Sequence[Gate], shape: tuple[int, ...]) -> None:
        self._gates = [(np.array(gate.columns), gate.amplitude, gate.frequency, gate.phase) for gate in gates]
        self.shape = shape
        self.frequencies = tuple(gate.frequency for gate in gates if gate.amplitude)

    @property
    def reach(self) -> float:
        """No voltage is larger than this, energy."""
        return sum(abs(amplitude) for _, amplitude, _, _ in self._gates)

    def __bool__(self) -> bool:
        return bool(self._gates)

    def potential(self, t: float) -> np.ndarray:
        """V_i(t), shape of the lattice."""
        values = np.zeros(self.shape)
        for columns, amplitude, frequency, phase in self._gates:
            values[columns] += amplitude * np.cos(frequency * t + phase)
        return values

    def rate(self, t: float) -> np.ndarray:
        """dV_i/dt, shape of the lattice."""
        values = np.zeros(self.shape)
        for columns, amplitude, frequency, phase in self._gates:
            values[columns] -= amplitude * frequency * np.sin(frequency * t + phase)
        return values
