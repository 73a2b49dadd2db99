"""When the electrons are asked: at every stage of a step, once per step, or as often as their field needs it.

Steppers of moments that follow the LLG equation, with or without electrons (`stepper.Stepper`): each advances by one
step.  Electrons evaluated for a frame are those with which the next step begins: each instant is evaluated once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

import integrators
from integrators.registry import RightHandSide
from llgnegf.coupling import Coupling, Motion
from llgnegf.deck import Deck
from llgnegf.electron_instant import ElectronInstant
from llgnegf.electrons import ToleranceError
from llgnegf.errors import RunError
from llgnegf.stepper import Instant, Remembered, Stepper
from llgnegf.watch import check_moments

# Evaluations through which the electrons' field is extrapolated, at most.  More gain little: 4 need 1.6 times as many
# evaluations at a tolerance of 1e-6, 7 need as many.
_MOST_POINTS = 6
# Evaluations before the first look ahead.  Until then the electrons are asked at every stage: a first step taken with
# a polynomial of low order would spoil what comes after it.
_STARTING_POINTS = 3
# Steps between two evaluations, at most: all of them together are a trifle beside one evaluation of many sites.
_LONGEST_STRIDE = 1000
# The next stride relative to this one lies between these; _SAFETY keeps rejections rare.
_SHRINK, _GROWTH, _SAFETY = 0.2, 2.0, 0.8


def stepper(deck: Deck, coupling: Coupling) -> Stepper:
    """The stepper that `integrator.electrons` asks for."""
    if deck.electrons is None or coupling.strength == 0:
        return Classical(deck, coupling)
    if deck.integrator.electrons == "adaptive":
        return Adaptive(deck, coupling, deck.electrons.tolerance)
    return {"stage": Stage, "step": Step}[deck.integrator.electrons](deck, coupling)


class Classical:
    """No electrons act on the moments.  Base of the others: one step of a method from `integrators`."""

    def __init__(self, deck: Deck, coupling: Coupling) -> None:
        self.deck, self.coupling = deck, coupling
        self.method, self.dt = integrators.get(deck.integrator.method).step, deck.integrator.step

    @property
    def solves(self) -> int:
        """Green's functions evaluated so far."""
        return self.coupling.solves

    @solves.setter
    def solves(self, count: int) -> None:
        self.coupling.solves = count

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        y = self._step(n, y)
        magnet = self.coupling.magnet
        if magnet.stretched is not None:
            check_moments(magnet.unpack(y), n + 1, self.dt, magnet.stretched)
        return n + 1, y

    def instant(self, n: int, y: np.ndarray) -> Instant:
        return self._at(n, y, self.coupling.motion(n * self.dt, y))

    def state(self) -> Remembered:
        return {}

    def restore(self, remembered: Remembered) -> None:
        pass

    def _at(self, n: int, y: np.ndarray, motion: Motion) -> Instant:
        coupling = self.coupling
        if motion.frozen is None:
            return Instant(self.deck, coupling.magnet, n, y, motion.velocity)
        first_order = coupling.order == 1
        feedback = first_order and coupling.velocity_feedback
        return ElectronInstant(self.deck, coupling, n, y, motion, feedback=feedback, first_order=first_order)

    def _step(self, n: int, y: np.ndarray) -> np.ndarray:
        """Packed moments at step n + 1."""
        return self._integrate(partial(self.coupling.velocity_in, None), n, y)

    def _integrate(self, rhs: RightHandSide, n: int, y: np.ndarray) -> np.ndarray:
        return self.coupling.magnet.normalize(self.method(rhs, n * self.dt, y, self.dt))


class Coupled(Classical):
    """Electrons act on the moments.  What was evaluated for a frame is kept until the step that begins there."""

    _begun: tuple[int, Motion] | None = None

    def instant(self, n: int, y: np.ndarray) -> Instant:
        motion = self.coupling.motion(n * self.dt, y, self._near(n))
        # Without the electrons, whose sweeps may be large.
        self._begun = n, Motion(motion.velocity, None, motion.electron_field)
        return self._at(n, y, motion)

    def _near(self, n: int) -> np.ndarray | None:
        """About the field of the electrons (packed) at step n, the one reached: where to solve from."""
        raise NotImplementedError

    def _beginning(self, n: int, y: np.ndarray) -> Motion:
        """Velocity and field at the beginning of step n, evaluated now unless a frame has done so."""
        begun, self._begun = self._begun, None
        return begun[1] if begun is not None and begun[0] == n else self.coupling.motion(n * self.dt, y, self._near(n))

    def state(self) -> Remembered:
        if self._begun is None:
            return {}
        n, motion = self._begun
        assert motion.electron_field is not None
        return {
            "begun_step": np.array(n, dtype=np.int64),
            "begun_velocity": motion.velocity,
            "begun_field": motion.electron_field,
        }

    def restore(self, remembered: Remembered) -> None:
        self._begun = None
        if "begun_step" in remembered:  # not in checkpoints between frames, or of versions that evaluated twice
            motion = Motion(remembered["begun_velocity"], None, remembered["begun_field"])
            self._begun = int(remembered["begun_step"]), motion

    def _step_from(self, first: np.ndarray, rhs: RightHandSide, n: int, y: np.ndarray) -> np.ndarray:
        """One step whose velocity at its beginning is known."""

        def velocity(t: float, stage: np.ndarray) -> np.ndarray:
            return first.copy() if stage is y and t == n * self.dt else rhs(t, stage)

        return self._integrate(velocity, n, y)


class Stage(Coupled):
    """Electrons at every stage of a step; each velocity equation is solved from the field before it."""

    field: np.ndarray | None = None

    def _step(self, n: int, y: np.ndarray) -> np.ndarray:
        first = self._beginning(n, y)
        self.field = first.electron_field
        return self._step_from(first.velocity, self._velocity, n, y)

    def _velocity(self, t: float, y: np.ndarray) -> np.ndarray:
        motion = self.coupling.motion(t, y, self.field)
        self.field = motion.electron_field
        return motion.velocity

    def _near(self, n: int) -> np.ndarray | None:
        return self.field

    def state(self) -> Remembered:
        return super().state() | ({} if self.field is None else {"electron_field": self.field})

    def restore(self, remembered: Remembered) -> None:
        super().restore(remembered)
        self.field = remembered.get("electron_field")


class Step(Stage):
    """Electrons once a step; their field is held as it is at the start."""

    def _step(self, n: int, y: np.ndarray) -> np.ndarray:
        self.field = self._beginning(n, y).electron_field
        return self._integrate(partial(self.coupling.velocity_in, self.field), n, y)


class Adaptive(Coupled):
    """Electrons as often as their field, a smooth function of time along the trajectory, needs it.

    The moments are carried `stride` steps ahead in the field extrapolated through the last evaluations; the electrons
    are evaluated there, and the same steps are taken again, now in the field interpolated through the new evaluation
    too.  The distance between extrapolated and evaluated field tells the error of the interpolation; it is kept below
    what `tolerance` (of the spin density) lets each evaluation err by.  A stride that misses this is tried again
    shorter, down to one step: with an evaluation at every step it is for the user to choose smaller ones.

    The component of the field along each moment exerts no torque and is left out: it is the largest, turns with the
    moment, and would make a torque where the moment is not quite where it was predicted.
    """

    def __init__(self, deck: Deck, coupling: Coupling, tolerance: float) -> None:
        super().__init__(deck, coupling)
        self.bound = abs(coupling.strength) * tolerance
        self.nodes: list[int] = []  # steps at which the electrons were evaluated, the newest last
        self.fields = np.empty((0, *coupling.magnet.packed_shape))  # what was found there, energy
        self.points, self.stride = _STARTING_POINTS, 1

    def _step(self, n: int, y: np.ndarray) -> np.ndarray:
        if self._is_starting:
            first = self._beginning(n, y)
            self._keep(n, self._across(y, first.electron_field))
            if self._is_starting:
                here = self.fields[-1]
                return self._step_from(first.velocity, lambda t, y: self.coupling.motion(t, y, here).velocity, n, y)
        if n == self.nodes[-1]:
            self._look_ahead(n, y)
        return self._carry(n, y, self.points + 1)

    def instant(self, n: int, y: np.ndarray) -> Instant:
        instant = super().instant(n, y)
        if not self._is_starting:
            self._begun = None  # this step asks no electrons where it begins
        return instant

    @property
    def _is_starting(self) -> bool:
        """Whether the electrons are asked at every stage of this step."""
        return len(self.nodes) < _STARTING_POINTS

    def state(self) -> Remembered:
        plan = np.array([self.points, self.stride], dtype=np.int64)
        nodes = np.array(self.nodes, dtype=np.int64)
        return super().state() | {"nodes": nodes, "electron_fields": self.fields, "plan": plan}

    def restore(self, remembered: Remembered) -> None:
        super().restore(remembered)
        self.nodes, self.fields = remembered["nodes"].tolist(), remembered["electron_fields"]
        self.points, self.stride = remembered["plan"].tolist()

    def _near(self, n: int) -> np.ndarray | None:
        return self._field(n, min(self.points + 1, len(self.nodes))) if self.nodes else None

    def _carry(self, n: int, y: np.ndarray, points: int) -> np.ndarray:
        """One step in the field through the last `points` evaluations."""

        def velocity(t: float, y: np.ndarray) -> np.ndarray:
            return self.coupling.velocity_in(self._field(t / self.dt, points), t, y)

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

    def _look_ahead(self, n: int, y: np.ndarray) -> None:
        """Evaluate the electrons ahead of step n; choose the polynomial up to there and the stride from there."""
        stride, longest = self.stride, _LONGEST_STRIDE
        while True:
            try:
                field = self._predict(n, y, n + stride)
            except (RunError, ToleranceError):
                # It may never come to that: a user's field may end with the run, a prediction may lead astray.
                if stride == 1:
                    raise
                stride = longest = max(1, stride // 4)
                continue
            errors = self._errors(n + stride, field)
            reach = {
                points: (self.bound / error if error else math.inf) ** (1 / points) for points, error in errors.items()
            }
            points = max(reach, key=lambda points: reach[points])
            if reach[points] >= 1 or stride == 1:
                break
            stride = longest = max(1, int(stride * max(_SHRINK, _SAFETY * reach[points])))
        factor = min(_GROWTH, max(_SHRINK, _SAFETY * reach[points]))
        if reach[points] < 1:
            points = min(errors, key=lambda points: errors[points])
        self._keep(n + stride, field)
        self.points, self.stride = points, max(1, min(longest, int(stride * factor)))

    def _predict(self, n: int, y: np.ndarray, ahead: int) -> np.ndarray:
        """The field at the step `ahead`, where the extrapolated field leads from step n."""
        for k in range(n, ahead):
            y = self._carry(k, y, self.points)
        motion = self.coupling.motion(ahead * self.dt, y, self._field(ahead, self.points))
        return self._across(y, motion.electron_field)

    def _errors(self, ahead: int, field: np.ndarray) -> dict[int, float]:
        """{points: error of the field up to `ahead` when `field` is added to the last `points` evaluations}, energy.

        It is told by the polynomial that leaves out the oldest of them, of which it is the error: the one in use is of
        one order more.  It grows with the stride to the power `points`.
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
