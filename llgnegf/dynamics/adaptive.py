"""Electrons refreshed only as often as their field needs it, by prediction and interpolation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from llgnegf.beside import integrators
from llgnegf.dynamics.coupling import Coupling, Motion
from llgnegf.dynamics.profiles import inside, next_jump
from llgnegf.dynamics.refresh import Coupled, remembered_array
from llgnegf.dynamics.stepper import Instant, Remembered
from llgnegf.electrons import ToleranceError
from llgnegf.errors import RunError

# Most evaluations that an extrapolation goes through.  At a tolerance of 1e-6 a limit of 4 costs 1.6 times as many
# evaluations in all; a limit of 7 saves none.
_MOST_POINTS = 6
# Evaluations before the first prediction.  Until then the electrons are evaluated at every stage: the error of first
# steps with a polynomial of low order would remain in all that follows.
_STARTING_POINTS = 3
# Most steps between two evaluations.  So many steps cost little beside one evaluation of a large system.
_LONGEST_STRIDE = 1000
# Bounds of the next stride over the last one; _SAFETY < 1 keeps rejected strides rare.
_SHRINK, _GROWTH, _SAFETY = 0.2, 2.0, 0.8


class Adaptive(Coupled):
    """Electrons as often as their field, a smooth function of time along the trajectory, needs it.

    The moments are carried `stride` steps ahead in the field extrapolated through the last evaluations; the electrons
    are evaluated there, and the same steps are taken again, now in the field interpolated through the new evaluation
    too.  The distance between extrapolated and evaluated field gives an estimate of the interpolation error, which is
    kept below the error that `tolerance` (of the spin density) allows each evaluation.  A stride with a larger error is
    repeated with fewer steps.  Where even one step is too many, as at a resonance, the electrons are asked at every
    stage, until what they answer at the beginning of a step is again what was extrapolated: no error is larger than
    allowed, but for that of the method itself.

    Where a gate or a drive jumps, the field is no smooth function: no stride crosses the jump, and what was evaluated
    before it is forgotten, as at the start of a run.

    The component of the field along each moment exerts no torque and is left out: it is the largest, turns with the
    moment, and would make a torque where the moment is not quite where it was predicted.
    """

    def __init__(self, coupling: Coupling, method: integrators.Step, dt: float, tolerance: float) -> None:
        super().__init__(coupling, method, dt)
        self.bound = float(np.abs(coupling.strength).max()) * tolerance
        self.nodes: list[int] = []  # steps at which the electrons were evaluated, the newest last
        self.fields = np.empty((0, *coupling.magnet.packed_shape))  # what was found there, energy
        # Steps between two evaluations; 0 where every stage asks.
        self.points, self.stride = _STARTING_POINTS, 1

    def _step(self, n: int, y: np.ndarray) -> np.ndarray:
        self._forget_at_jump(n)
        first = None
        if self._asks_every_stage:
            first = self._beginning(n, y)
            self._note(n, self._across(y, first.electron_field))
            if self._asks_every_stage:
                return self._stage_by_stage(n, y, first)
        if n == self.nodes[-1]:
            self._look_ahead(n, y)
            if self._asks_every_stage:
                if first is None:  # what is known at n was evaluated where the moments were predicted
                    first = self._beginning(n, y)
                    self.fields = np.concatenate([self.fields[:-1], self._across(y, first.electron_field)[None]])
                return self._stage_by_stage(n, y, first)
        return self._carry(n, y, self.points + 1)

    def _stage_by_stage(self, n: int, y: np.ndarray, first: Motion) -> np.ndarray:
        here, within = self.fields[-1], inside(n, self.dt)
        return self._step_from(first.velocity, lambda t, y: self.coupling.motion(t, y, here, within).velocity, n, y)

    def _forget_at_jump(self, n: int) -> None:
        """Begin anew at step n if something jumps there: the same, however often it is asked."""
        if next_jump(self.coupling.profiles, n - 1, self.dt) == n and (self.nodes and self.nodes[0] < n):
            self.nodes, self.fields = [], self.fields[:0]
            self.points, self.stride = _STARTING_POINTS, 1

    def instant(self, n: int, y: np.ndarray) -> Instant:
        self._forget_at_jump(n)
        instant = super().instant(n, y)
        if not self._asks_every_stage:
            self._begun = None  # this step asks no electrons where it begins
        return instant

    @property
    def _asks_every_stage(self) -> bool:
        """Whether the electrons are asked at every stage of this step: at the start, and where no stride will do."""
        return len(self.nodes) < _STARTING_POINTS or self.stride == 0

    def state(self) -> Remembered:
        plan = np.array([self.points, self.stride], dtype=np.int64)
        nodes = np.array(self.nodes, dtype=np.int64)
        return super().state() | {"nodes": nodes, "electron_fields": self.fields, "plan": plan}

    def restore(self, remembered: Remembered) -> None:
        super().restore(remembered)
        nodes, plan = (np.asarray(remembered[name]) for name in ("nodes", "plan"))
        if nodes.ndim != 1 or nodes.dtype.kind != "i" or (np.diff(nodes) <= 0).any():
            raise ValueError(f"nodes: {nodes.dtype} of shape {nodes.shape}, not steps one after the other")
        if plan.shape != (2,) or plan.dtype.kind != "i" or plan[0] < 1 or plan[1] < 0:
            raise ValueError(f"plan: {plan.tolist()}, not a number of points >= 1 and a stride >= 0")
        shape = len(nodes), *self.coupling.magnet.packed_shape
        self.nodes, self.fields = nodes.tolist(), remembered_array(remembered, "electron_fields", shape)
        self.points, self.stride = plan.tolist()

    def _near(self, n: int) -> np.ndarray | None:
        return self._field(n, min(self.points + 1, len(self.nodes))) if self.nodes else None

    def _carry(self, n: int, y: np.ndarray, points: int) -> np.ndarray:
        """One step in the field through the last `points` evaluations."""

        within = inside(n, self.dt)

        def velocity(t: float, y: np.ndarray) -> np.ndarray:
            return self.coupling.velocity_in(self._field(t / self.dt, points), t, y, within)

        return self._integrate(velocity, n, y)

    def _field(self, x: float, points: int) -> np.ndarray:
        """Polynomial through the last `points` evaluations at x, a time in steps; packed, energy."""
        # einsum, because BLAS may add in another order with another number of threads.
        field: np.ndarray = np.einsum("i,iabc->abc", lagrange(self.nodes[-points:], x), self.fields[-points:])
        return field

    def _across(self, y: np.ndarray, field: np.ndarray | None) -> np.ndarray:
        """The part of a field (packed) across each moment."""
        assert field is not None
        across: np.ndarray = field - y * (y * field).sum(axis=0)
        return across

    def _keep(self, n: int, field: np.ndarray) -> None:
        self.nodes = [*self.nodes, n][-_MOST_POINTS - 1 :]
        self.fields = np.concatenate([self.fields, field[None]])[-_MOST_POINTS - 1 :]

    def _note(self, n: int, field: np.ndarray) -> None:
        """Keep what was found at the beginning of step n; go over to strides where it could have been foretold."""
        if self.stride == 0:
            points, reach = self._furthest(self._errors(n, field))
            if reach >= 1:
                self.points, self.stride = points, 1
        self._keep(n, field)

    def _look_ahead(self, n: int, y: np.ndarray) -> None:
        """Evaluate the electrons ahead of step n; choose the polynomial up to there and the stride from there.

        The stride is 0, and nothing else is changed, where even that of one step has too large an error.
        """
        longest = _LONGEST_STRIDE
        jump = next_jump(self.coupling.profiles, n, self.dt)
        stride = self.stride if jump is None else min(self.stride, jump - n)
        while True:
            try:
                field = self._predict(n, y, n + stride)
            except (RunError, ToleranceError):
                # The run may never get there: a prediction may be wrong, and a user's field may end with the run.
                if stride == 1:
                    raise
                stride = longest = max(1, stride // 4)
                continue
            points, reach = self._furthest(self._errors(n + stride, field))
            if reach >= 1:
                break
            if stride == 1:
                self.stride = 0
                return
            stride = longest = max(1, int(stride * max(_SHRINK, _SAFETY * reach)))
        factor = min(_GROWTH, max(_SHRINK, _SAFETY * reach))
        self._keep(n + stride, field)
        self.points, self.stride = points, max(1, min(longest, int(stride * factor)))

    def _predict(self, n: int, y: np.ndarray, ahead: int) -> np.ndarray:
        """The field at the step `ahead`, where the extrapolated field leads from step n."""
        for k in range(n, ahead):
            y = self._carry(k, y, self.points)
        # At the end of a step: before whatever jumps there.
        before = inside(ahead - 1, self.dt)
        motion = self.coupling.motion(ahead * self.dt, y, self._field(ahead, self.points), before)
        return self._across(y, motion.electron_field)

    def _furthest(self, errors: dict[int, float]) -> tuple[int, float]:
        """Number of points that allows the longest stride, and that stride over the one with these `errors`."""
        reach = {
            points: (self.bound / error if error else math.inf) ** (1 / points) for points, error in errors.items()
        }
        points = max(reach, key=lambda points: reach[points])
        return points, reach[points]

    def _errors(self, ahead: int, field: np.ndarray) -> dict[int, float]:
        """{points: error of the field up to `ahead` when `field` is added to the last `points` evaluations}, energy.

        It is the error of the polynomial without the oldest of them, and so an upper estimate for the one in use, which
        is one order better.  It grows as the stride to the power `points`.
        """
        return {
            points: share(self.nodes[-points:], ahead) * float(abs(field - self._field(ahead, points)).max())
            for points in range(1, min(len(self.nodes), _MOST_POINTS) + 1)
        }


def lagrange(nodes: Sequence[float], x: float) -> np.ndarray:
    """Weights of the values at `nodes` in the value at x of the polynomial through them, (n,)."""
    return np.array([math.prod((x - b) / (a - b) for b in nodes if b != a) for a in nodes])


def share(nodes: Sequence[float], ahead: float) -> float:
    """Error of an interpolation relative to that of an extrapolation, whose next derivative is the same.

    The extrapolation leads from `nodes` (n) to `ahead`; the interpolation is through `ahead` and all but the first of
    `nodes`, and its error is the largest between the last node and `ahead`.
    """
    x = np.linspace(nodes[-1], ahead, 33)
    error = np.prod([abs(x - node) for node in (*nodes[1:], ahead)], axis=0)
    return float(error.max()) / math.prod(ahead - node for node in nodes)
