"""A step of a one-step method by stages, in few arrays of the size of the electrons' state.

Stage i of a method with nodes c and weights b is at y_i = y + c_i dt k_(i-1), so that the derivatives k of all stages
but the last are known from the y_i, and the end of the step is

    y + dt sum_i b_i k_i = y + sum_(i>0) (b_(i-1)/c_i) (y_i - y) + b_last dt k_last.

No array is kept for the sum: of rk4 a state is read or written 13 times in a step, with such an array 16 times.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Weights = tuple[float, float, float, float]
Coefficients = tuple[tuple[float, ...], tuple[float, ...]]


class MakesStages(Protocol):
    """What makes a stage of a step (`Carrier`)."""

    def stage(
        self,
        y: Any,
        stage: Any,
        new: Any,
        m: Real,
        potential: Real,
        voltages: Real,
        dt: float,
        last: tuple[Any, Weights] | None = None,
    ) -> None:
        """One stage of a step that begins at y, with k the derivative of `stage`: new = y + dt k.

        last = (third, w), in the last stage: new = w[0] y + w[1] new + w[2] third + w[3] stage + dt k.
        All but `new` stay as they are.
        """


class StagedStep:
    """A step of length dt from the state y, of the method with these coefficients: nodes and weights, two to four each.

    `at` is the state of the present stage; after the last one it is the end of the step.  arrays: of the size of the
    state, `arrays_for` of them, for the stages; one becomes the end of the step.  y stays as it is.
    """

    def __init__(self, carrier: MakesStages, y: Any, dt: float, coefficients: Coefficients, arrays: list[Any]) -> None:
        self._carrier, self._y, self._dt, self._coefficients = carrier, y, dt, coefficients
        self._states, self._free = [y], list(arrays)

    @property
    def at(self) -> Any:
        """The state of the present stage, and in the end that after the step."""
        return self._states[-1]

    @property
    def released(self) -> list[Any]:
        """The arrays that are not needed any more, after the last stage."""
        return [array for array in self._states[1:-1] if array is not self.at]

    def advance(self, m: Real, potential: Real, voltages: Real) -> None:
        """The next stage, or the end: moments m (*s, 3), gates (*s,) and voltages (2,) of the present stage."""
        (nodes, weights), stage, y = self._coefficients, len(self._states) - 1, self._y
        following = stage + 1
        if following < len(nodes):
            new = self._free.pop(0)
            self._carrier.stage(y, self.at, new, m, potential, voltages, self._dt * nodes[following])
            self._states.append(new)
            return
        # y, the first stage after it, whose array gets the end, the second one, and this one
        parts = [weights[i] / nodes[i + 1] for i in range(stage)]
        second, third = [*parts[:-1], 0.0, 0.0][:2]
        if stage > 1:
            end = self._states[1]
        else:
            end = self._free.pop(0)
            end[...] = 0.0  # times 0, and whatever it held may be no number
        last = self._states[2] if stage > 2 else y, (1.0 - sum(parts), second, third, parts[-1])
        self._carrier.stage(y, self.at, end, m, potential, voltages, self._dt * weights[-1], last)
        self._states.append(end)


def arrays_for(coefficients: Coefficients) -> int:
    """How many arrays a `StagedStep` takes beside the state at its start."""
    return max(2, len(coefficients[0]) - 1)
