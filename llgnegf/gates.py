"""Oscillating gates: V_i(t) = sum over gates of amplitude cos(frequency t + phase) on their columns (first axis)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llgnegf.deck.tables import Gate


class Gates:
    """Gate voltages on a lattice of `shape` (energy) and their rates (energy per time)."""

    def __init__(self, gates: Sequence[Gate], shape: tuple[int, ...]) -> None:
        self._gates = [(np.array(gate.columns), gate.amplitude, gate.frequency, gate.phase) for gate in gates]
        self.shape = shape

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
