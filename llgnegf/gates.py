"""Oscillating gates: V_i(t) = sum over gates of amplitude cos(frequency t + phase) on their columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llgnegf.deck_schema import Gate


class Gates:
    """Gate voltages of a chain of `n_columns` sites (energy) and their rates (energy per time)."""

    def __init__(self, gates: Sequence[Gate], n_columns: int) -> None:
        self._gates = [(np.array(gate.columns), gate.amplitude, gate.frequency, gate.phase) for gate in gates]
        self.n_columns = n_columns

    def __bool__(self) -> bool:
        return bool(self._gates)

    def potential(self, t: float) -> np.ndarray:
        """V_i(t), shape (n,)."""
        values = np.zeros(self.n_columns)
        for columns, amplitude, frequency, phase in self._gates:
            values[columns] += amplitude * np.cos(frequency * t + phase)
        return values

    def rate(self, t: float) -> np.ndarray:
        """dV_i/dt, shape (n,)."""
        values = np.zeros(self.n_columns)
        for columns, amplitude, frequency, phase in self._gates:
            values[columns] -= amplitude * frequency * np.sin(frequency * t + phase)
        return values
