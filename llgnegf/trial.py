"""The first frame and steps of a deck, to foresee what all of them will cost: for `llgnegf check`.

Steps that ask the electrons cost far more than the others, and with integrator.electrons = "adaptive" only the steps
themselves show how often they do.  So the trial goes on over several such steps, and the later half of them stands for
the rest of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from llgnegf import observables
from llgnegf.beside import integrators
from llgnegf.build import Parts
from llgnegf.compiling import clock
from llgnegf.errors import RunError
from llgnegf.simulation import TROUBLE, at_time

# Most steps of a trial that ask the electrons: enough for the distance between two of them, which grows by factors of
# two, to settle.  Without adaptive electrons fewer will do.
_MOST, _ENOUGH = 24, 8
# Where strides still grow, or are none yet, as long as something that began with the run rings down (moments in a
# current that is there at once): so many times as many, for this share of the time limit and of the steps of the run.
_LONGER, _SHARE_OF_TIME, _SHARE_OF_STEPS = 10, 1 / 6, 1 / 2
# Strides have settled where the last quarter of them is not longer than the one before by more than this.
_SETTLED = 1.25
# Seconds for which steps without electrons are timed.
_SHORTEST = 0.1
# Electrons in real time examine one step in eight, which then costs more.
_JUDGED = 8
# Frames of an imposed motion that are tried, spread over the run.
_FRAMES = 4


@dataclass(frozen=True)
class Cost:
    """Green's functions and seconds, those of compiling kernels left out."""

    solves: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.solves + other.solves, self.seconds + other.seconds)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(max(self.solves - other.solves, 0.0), max(self.seconds - other.seconds, 0.0))

    def times(self, factor: float) -> Cost:
        """So many of it."""
        return Cost(factor * self.solves, factor * self.seconds)


@dataclass(frozen=True)
class Forecast:
    """What a run will cost.

    total: in all, at least `least` and at most `most` if it goes on as in the trial; step: one step without a frame;
    frame: what a frame adds.  strides: fewest and most steps from one that asks the electrons to the next, in the later
    half of the trial; None where none asks or the motion is imposed.  steps: how many were tried.  bytes_frame: size of
    a frame.  cut_off: time ran out before adaptive strides could grow, or before any step: `total` is an upper bound.
    trouble: what ended the trial, as it will end the run; "" if nothing did.
    """

    total: Cost
    least: Cost
    most: Cost
    step: Cost
    frame: Cost
    strides: tuple[int, int] | None
    steps: int
    bytes_frame: int
    cut_off: bool = False
    trouble: str = ""


def forecast(parts: Parts, seconds: float = 30.0) -> Forecast:
    """Foresee the cost of a run.

    seconds: after which the trial takes no further step; a single one may take longer.  Raises the RunError with which
    the run would end at its first frame.
    """
    return (_imposed if parts.deck.is_known_beforehand else _stepped)(_Meter(parts, seconds))


class _Meter:
    """What frames and steps of a run cost."""

    def __init__(self, parts: Parts, limit: float) -> None:
        self.deck, self.variables, self.stepper, self.limit = parts.deck, parts.variables, parts.stepper, limit
        self.start = parts.magnet.pack(parts.start)
        self.began, self.bytes_frame = clock(), 0

    @property
    def is_late(self) -> bool:
        return clock() - self.began > self.limit

    def so_far(self) -> Cost:
        return Cost(self.stepper.solves, clock())

    def frame(self, n: int, y: np.ndarray) -> Cost:
        """That of a frame at step n with packed moments y."""
        variables = [one for one in self.variables if n == 0 or "time" in one.dims]
        before = self.so_far()
        frame = observables.frame(self.stepper.instant(n, y), variables)
        if n == 0:
            self.bytes_frame = sum(np.asarray(value).nbytes for value in frame.values()) + 8
        return self.so_far() - before

    def frame_on_top(self, n: int, y: np.ndarray) -> Cost:
        """What a frame adds: it and the step after it, less the same step without it."""
        remembered, before = self.stepper.state(), self.so_far()
        self.frame(n, y)
        self.stepper.advance(n, y, n + 1)
        with_frame = self.so_far() - before
        self.stepper.restore(remembered)
        before = self.so_far()
        self.stepper.advance(n, y, n + 1)
        return with_frame - (self.so_far() - before)

    def first_frame(self) -> Cost:
        """That of the frame at t = 0; RunError where the run would end there."""
        try:
            return self.frame(0, self.start)
        except TROUBLE as error:
            raise at_time(0.0, error) from error

    def at(self, n: int, error: Exception) -> str:
        t = n * self.deck.integrator.step
        return f"t = {t:g}: {error}" if isinstance(error, RunError) else str(at_time(t, error))


def _imposed(meter: _Meter) -> Forecast:
    deck, y, trouble = meter.deck, meter.start, ""
    first, frames = meter.first_frame(), []
    for k in range(1, min(_FRAMES, deck.n_frames)):
        n = min((deck.n_frames - 1) * k // (_FRAMES - 1) * deck.save_interval_steps, deck.n_steps)
        if meter.is_late:
            break
        try:
            _, y = meter.stepper.advance(0, meter.start, n)
            frames.append(meter.frame(n, y))
        except (RunError, *TROUBLE) as error:
            trouble = meter.at(n, error)
            break
    each = sum(frames, Cost()).times(1 / len(frames)) if frames else first
    total = first + each.times(deck.n_frames - 1)
    return Forecast(total, total, total, Cost(), each, None, 0, meter.bytes_frame, trouble=trouble)


def _stepped(meter: _Meter) -> Forecast:
    deck, stepper, trouble = meter.deck, meter.stepper, ""
    n, y, spent, adaptive = 0, meter.start, Cost(), deck.integrator.electrons == "adaptive"
    first, began = meter.first_frame(), clock()
    # Steps that asked the electrons, each with what all steps up to it have cost.
    asked: list[tuple[int, Cost]] = []
    try:
        while n < deck.n_steps and not meter.is_late:
            before = meter.so_far()
            n, y = stepper.advance(n, y, n + 1)
            cost = meter.so_far() - before
            spent += cost
            if cost.solves:
                asked.append((n, spent))
            if len(asked) >= (_MOST if adaptive else _ENOUGH):
                late = clock() - began > _SHARE_OF_TIME * meter.limit or n >= _SHARE_OF_STEPS * deck.n_steps
                if not adaptive or late or len(asked) >= _LONGER * _MOST or _settled(asked):
                    break
            if not asked and n > _JUDGED and clock() - began > _SHORTEST:
                break
        frames = deck.n_frames - 1
        extra = first if meter.is_late or not frames else meter.frame_on_top(n, y)
    except (RunError, *TROUBLE) as error:
        trouble, extra, frames = meter.at(n, error), first, deck.n_frames - 1
    rest = deck.n_steps - n
    step, strides = _per_step(asked, n, spent)
    cut_off = first.solves > 0 and rest > 0 and (n == 0 or (adaptive and 0 < len(asked) < _ENOUGH)) and not trouble
    if n == 0 and rest:  # every stage evaluates once what the first frame did
        step = first.times(integrators.get(deck.integrator.method).stages)
    least = most = step
    if strides is not None:
        mean = step.solves and (strides[0] + strides[1]) / 2
        least, most = (step.times(mean / stride) for stride in (strides[1], strides[0]))
    total, low, high = (first + spent + each.times(rest) + extra.times(frames) for each in (step, least, most))
    return Forecast(total, low, high, step, extra, strides, n, meter.bytes_frame, cut_off, trouble)


def _settled(asked: list[tuple[int, Cost]]) -> bool:
    """Whether the strides between steps that asked the electrons are longer than a step, and grow no more."""
    quarter = len(asked) // 4
    last, before = (asked[-1 - k * quarter][0] - asked[-1 - (k + 1) * quarter][0] for k in (0, 1))
    return last > 1.5 * quarter and last < _SETTLED * before


def _per_step(asked: list[tuple[int, Cost]], n: int, spent: Cost) -> tuple[Cost, tuple[int, int] | None]:
    """The cost of a step of the later half of the n steps that cost `spent`, and the strides in it."""
    if len(asked) < 2:
        return spent.times(1 / max(n, 1)), None
    # The later half; of a trial that goes on because strides grow, the last quarter.
    half = asked[(len(asked) - 1) * (3 if len(asked) > _MOST else 2) // 4 :]
    strides = [after[0] - before[0] for before, after in pairwise(half)]
    return (half[-1][1] - half[0][1]).times(1 / (half[-1][0] - half[0][0])), (min(strides), max(strides))
