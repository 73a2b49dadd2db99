"""Profiles: dimensionless functions g(t) by which drives change in time.  A drive is amplitude * g(t).

One vocabulary for gates, voltages of leads, external fields and currents.  Profiles are C^1 functions, but for those
that jump (step, square).  At a jump there are two values: which of them holds within a time step is decided by a time
inside that step (`within`), not by rounding, so that a step that begins or ends at a jump sees a smooth function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# A Gaussian is nothing so many widths from its centre: exp(-_PULSE_ENDS^2/2) = 1e-14.
_PULSE_ENDS = 8.0
# Changes of a table below this share of its largest value are rounding.
_NOTHING = 1e-12


class Profile:
    """g(t) and dg/dt, times in 1/energy.

    Subclasses say `reach`: no |g| is larger, and `frequency`: the angular frequency of their fastest change, jumps
    aside, 1/time: it is compared with the widths of levels.
    """

    reach: float = 1.0
    frequency: float = 0.0

    def value(self, t: float, within: float | None = None) -> float:
        """g(t), where g jumps at t on the side of the time `within`; None: of t itself, which then belongs to what
        follows the jump."""
        raise NotImplementedError

    def rate(self, t: float, within: float | None = None, amplitude: float = 1.0) -> float:
        """amplitude * dg/dt, without the jumps; arguments as for `value`."""
        raise NotImplementedError

    def fastest(self, begin: float, end: float) -> float:
        """The angular frequency of the fastest change between two times, jumps aside, 1/time: steps as long as its
        inverse see it."""
        return self.frequency

    def next_jump(self, t: float) -> float:
        """The first time after t at which g jumps; inf if there is none."""
        return math.inf


@dataclass(frozen=True)
class Constant(Profile):
    """g = 1."""

    def value(self, t: float, within: float | None = None) -> float:
        return 1.0

    def rate(self, t: float, within: float | None = None, amplitude: float = 1.0) -> float:
        return 0.0


class Cosine(Profile):
    """g = cos(frequency t + phase); frequency: angular, 1/time; phase: radians."""

    def __init__(self, frequency: float, phase: float = 0.0) -> None:
        self.frequency, self.phase = frequency, phase

    def value(self, t: float, within: float | None = None) -> float:
        return float(np.cos(self.frequency * t + self.phase))

    def rate(self, t: float, within: float | None = None, amplitude: float = 1.0) -> float:
        return -float(amplitude * self.frequency * np.sin(self.frequency * t + self.phase))


class Ramp(Profile):
    """From 0 before `start` to 1 after `start + duration`, in between sin^2(pi (t - start)/(2 duration))."""

    def __init__(self, start: float, duration: float) -> None:
        self.start, self.duration = start, _positive("duration", duration)
        self.frequency = math.pi / duration

    def value(self, t: float, within: float | None = None) -> float:
        share = min(max((t - self.start) / self.duration, 0.0), 1.0)
        return math.sin(math.pi / 2 * share) ** 2

    def rate(self, t: float, within: float | None = None, amplitude: float = 1.0) -> float:
        share = min(max((t - self.start) / self.duration, 0.0), 1.0)
        return amplitude * math.pi / (2 * self.duration) * math.sin(math.pi * share)

    def fastest(self, begin: float, end: float) -> float:
        return self.frequency if begin < self.start + self.duration and end > self.start else 0.0


class Pulse(Profile):
    """g = exp(-(t - center)^2 / (2 width^2)): `width` is the standard deviation, 0.42466 of the full width at half
    maximum."""

    def __init__(self, center: float, width: float) -> None:
        self.center, self.width = center, _positive("width", width)
        self.frequency = 1.0 / width

    def value(self, t: float, within: float | None = None) -> float:
        x = (t - self.center) / self.width
        return math.exp(-0.5 * x * x)

    def rate(self, t: float, within: float | None = None, amplitude: float = 1.0) -> float:
        x = (t - self.center) / self.width
        g = math.exp(-0.5 * x * x)
        return -amplitude * x / self.width * g if g else 0.0  # far away x / width may be beyond all numbers

    def fastest(self, begin: float, end: float) -> float:
        reach = _PULSE_ENDS * self.width
        return self.frequency if begin < self.center + reach and end > self.center - reach else 0.0


class Step(Profile):
    """0 before `start`, 1 from then on."""

    def __init__(self, start: float) -> None:
        self.start = start

    def value(self, t: float, within: float | None = None) -> float:
        return 1.0 if (t if within is None else within) >= self.start else 0.0

    def rate(self, t: float, within: float | None = None, amplitude: float = 1.0) -> float:
        return 0.0

    def next_jump(self, t: float) -> float:
        return self.start if t < self.start else math.inf


class Square(Profile):
    """1 in the first `duty` share of each period (counted from t = 0), 0 in the rest; period: time, 0 < duty < 1."""

    def __init__(self, period: float, duty: float = 0.5) -> None:
        if not 0 < duty < 1:
            raise ValueError(f"duty = {duty!r}: a number between 0 and 1 is needed")
        self.period, self.duty = _positive("period", period), duty
        self.frequency = 2 * math.pi / period

    def value(self, t: float, within: float | None = None) -> float:
        periods = (t if within is None else within) / self.period
        return 1.0 if periods - math.floor(periods) < self.duty else 0.0

    def rate(self, t: float, within: float | None = None, amplitude: float = 1.0) -> float:
        return 0.0

    def next_jump(self, t: float) -> float:
        begun = math.floor(t / self.period)
        ends = (begun + self.duty, begun + 1, begun + 1 + self.duty)
        return next(time for time in (end * self.period for end in ends) if time > t)

    def fastest(self, begin: float, end: float) -> float:
        return 0.0


class Chirp(Profile):
    """A cosine whose angular frequency goes linearly from one value to another between t = 0 and t = `duration`.

    Before and after it is constant, and the phase goes on: g = cos(from t + (to - from) t^2/(2 duration)) up to the
    end, cos((from + to) duration/2 + to (t - duration)) from then on.  Arguments `from`, `to`: 1/time.
    """

    def __init__(self, duration: float, **ends: float) -> None:
        self.first, self.last = ends.pop("from"), ends.pop("to")
        if ends:
            raise TypeError(f"unknown arguments {', '.join(ends)}; allowed: from, to, duration")
        self.duration = _positive("duration", duration)
        self.frequency = max(abs(self.first), abs(self.last))

    def _phase(self, t: float) -> tuple[float, float]:
        """The phase and its rate."""
        first, last, duration = self.first, self.last, self.duration
        if t <= 0:
            return first * t, first
        if t >= duration:
            return (first + last) / 2 * duration + last * (t - duration), last
        share = t / duration
        return (first + (last - first) * share / 2) * t, first + (last - first) * share

    def value(self, t: float, within: float | None = None) -> float:
        return math.cos(self._phase(t)[0])

    def rate(self, t: float, within: float | None = None, amplitude: float = 1.0) -> float:
        phase, frequency = self._phase(t)
        return -amplitude * frequency * math.sin(phase)

    def fastest(self, begin: float, end: float) -> float:
        return max(abs(self._phase(begin)[1]), abs(self._phase(end)[1]))


class Table(Profile):
    """The cubic spline through (times, values) whose slope is 0 at both ends, and constant outside.

    times: (k,), increasing, k >= 2; values: (k,).
    """

    def __init__(self, times: Sequence[float], values: Sequence[float]) -> None:
        from scipy.interpolate import CubicSpline  # heavy import, for this profile alone

        x, y = np.array(times, float), np.array(values, float)
        if x.ndim != 1 or x.shape != y.shape or len(x) < 2 or not (np.diff(x) > 0).all():
            raise ValueError("times must be two or more increasing numbers, and values as many")
        self._ends = float(x[0]), float(x[-1])
        with np.errstate(all="ignore"):
            spacing = np.diff(x)
            steepest = abs(np.diff(y) / spacing).max() / spacing.min() ** 2
        if not np.isfinite(steepest):
            raise ValueError("times too near to each other, or values too large, for a spline between them")
        self._spline = CubicSpline(x, y, bc_type="clamped")
        self._slope = self._spline.derivative()
        turning = self._slope.roots(extrapolate=False)
        turning = turning[np.isfinite(turning)]  # NaN: constant up to the next knot
        self.reach = float(abs(np.concatenate([y, self._spline(turning)])).max())
        bends = self._slope.derivative().roots(extrapolate=False)
        fastest = abs(self._slope(np.concatenate([x, bends[np.isfinite(bends)]]))).max()
        self.frequency = float(fastest) / self.reach if self.reach else 0.0
        # Between two knots: the third derivative, and about the steepest slope.
        self._knots, self._third = x, 6 * abs(self._spline.c[0])
        slopes = abs(self._slope(x))
        self._steepest = np.maximum(np.maximum(slopes[:-1], slopes[1:]), abs(self._slope((x[:-1] + x[1:]) / 2)))

    def value(self, t: float, within: float | None = None) -> float:
        low, high = self._ends
        return float(self._spline(min(max(t, low), high)))

    def rate(self, t: float, within: float | None = None, amplitude: float = 1.0) -> float:
        low, high = self._ends
        return amplitude * float(self._slope(t)) if low < t < high else 0.0

    def fastest(self, begin: float, end: float) -> float:
        """A wave of frequency w has a third derivative w^2 times its slope."""
        first = max(0, int(np.searchsorted(self._knots, begin, "right")) - 1)
        last = int(np.searchsorted(self._knots, end, "left"))
        third, steepest = self._third[first:last], self._steepest[first:last]
        if not len(third) or not steepest.max() * (end - begin) > _NOTHING * self.reach:
            return 0.0
        return math.sqrt(third.max() / steepest.max())


# By the name of their kind in a deck, with the arguments as keys (`deck/profiles.py`).
PROFILES: dict[str, Callable[..., Profile]] = {
    "constant": Constant,
    "cosine": Cosine,
    "ramp": Ramp,
    "pulse": Pulse,
    "step": Step,
    "square": Square,
    "chirp": Chirp,
    "file": Table,
}


@dataclass(frozen=True)
class Drive:
    """amplitude * g(t); amplitude: in the unit of what is driven."""

    amplitude: float
    profile: Profile

    @property
    def reach(self) -> float:
        """No |amplitude g(t)| is larger."""
        return abs(self.amplitude) * self.profile.reach

    def value(self, t: float, within: float | None = None) -> float:
        """amplitude g(t); see `Profile.value`."""
        return self.amplitude * self.profile.value(t, within)

    def rate(self, t: float, within: float | None = None) -> float:
        """amplitude dg/dt; see `Profile.rate`."""
        return self.profile.rate(t, within, self.amplitude)


def next_jump(profiles: Iterable[Profile], n: int, dt: float) -> int | None:
    """The first step number after n at which one of the profiles jumps, for jumps at multiples of dt; None: none."""
    later = min((one.next_jump((n + 0.5) * dt) for one in profiles), default=math.inf)
    return round(later / dt) if math.isfinite(later) else None


def inside(n: int, dt: float) -> float:
    """A time inside the step that begins at n * dt: quantities `within` it are those at its beginning."""
    return (n + 0.5) * dt


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} = {value!r}: a number above 0 is needed")
    return value


def make(kind: str, **arguments: Any) -> Profile:
    """The profile of this kind; ValueError for an unknown one or arguments out of range."""
    if kind not in PROFILES:
        raise ValueError(f"kind = {kind!r}: allowed are {', '.join(PROFILES)}")
    return PROFILES[kind](**arguments)
