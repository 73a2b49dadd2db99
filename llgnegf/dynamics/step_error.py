"""An estimate of the error of every step, from values that a Runge-Kutta step has anyway.

A method of order p misses from y(t + h) terms of the size h^(p+1) |d^(p+1)y/dt^(p+1)| / (p+1)!.  This derivative
follows from how far y(t + h) lies from the integral of the polynomial through dy/dt at the beginning of this step and
of the p - 1 before it: the difference to the predictor of Adams and Bashforth, for steps of any lengths.  It sees what
begins within a step, such as a pulse of a gate.  While fewer than p are known it is a lower derivative that follows,
and the rates are taken to change by as much as themselves within h, about the fastest that such steps resolve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Trail:
    """Where steps of length h came from: their beginnings (k,), values there and at the end (k + 1, values), and the
    rates of change at the beginnings (k, values)."""

    begins: Real
    h: float
    values: Real
    rates: Real


# Polynomials must miss so much of the term looked for, beyond what a step misses of it.
_LEAST = 0.5


class Course:
    """The last few beginnings of steps of a method of this order, and rates there."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.begins, self.rates = np.empty(0), np.empty((0, 0))

    def __bool__(self) -> bool:
        """Whether a next step can be judged."""
        return len(self.begins) > 0

    def forget(self) -> None:
        """What comes does not continue smoothly what was."""
        self.begins, self.rates = np.empty(0), np.empty((0, 0))

    def follow(self, trail: Trail) -> None:
        """What comes follows these steps."""
        self.begins, self.rates = (one[max(0, len(one) - self.order + 1) :] for one in self._with(trail))

    def errors(self, trail: Trail) -> Real:
        """Of each of these steps, (k,): of the value that is the farthest off; inf where nothing is known."""
        begins, rates = self._with(trail)
        before, count = len(self.begins), len(trail.begins)
        out = np.empty(count)
        # The first have fewer points before them.
        early = min(count, max(0, self.order - 1 - before))
        for j in range(early):
            out[j : j + 1] = self._miss(trail, begins, rates, slice(j, j + 1), before + j + 1)
        if early < count:
            out[early:] = self._miss(trail, begins, rates, slice(early, count), self.order)
        return out

    def _with(self, trail: Trail) -> tuple[Real, Real]:
        """Beginnings and rates, of before and of these steps."""
        if not self:
            return trail.begins, trail.rates
        return np.append(self.begins, trail.begins), np.concatenate([self.rates, trail.rates])

    def _miss(self, trail: Trail, begins: Real, rates: Real, which: slice, points: int) -> Real:
        """Errors of the steps `which`, from so many points each."""
        first = len(begins) - len(trail.begins)
        at = np.arange(first + which.start, first + which.stop)[:, None] - np.arange(points)
        # Rounded, so that equal steps have equal weights, whatever others they are evaluated with.
        x = np.round((begins[at] - begins[at[:, :1]]) / trail.h, 6)
        found = [_beyond(*row) for row in x.tolist()]
        weights, missed = (np.array(one) for one in zip(*found, strict=True))
        ahead = np.zeros_like(trail.values[which])
        for i in range(points):
            ahead += weights[:, i : i + 1] * rates[at[:, i]]
        change = trail.values[1:][which] - trail.values[:-1][which]
        miss = abs(change - trail.h * ahead).max(axis=1, initial=0.0)
        if points == self.order:
            # Of the term looked for a step misses all, where the equation is linear: it is a Taylor series.  Through
            # beginnings near to each other goes that series too, and the difference tells nothing.
            missed = missed - 1
        tells = missed > _LEAST
        error: Real = np.where(tells, miss / np.where(tells, missed, 1.0), np.inf)
        return error * (math.factorial(points + 1) / math.factorial(self.order + 1))


@lru_cache(maxsize=256)
def _beyond(*x: float) -> tuple[Real, float]:
    """Weights of rates at x <= 0 for the integral from 0 to 1, (n,), and what they miss of that of (n + 1) t^n: nothing
    is told where two x are the same."""
    at, n = np.array(x), len(x)
    if len(set(x)) < n:
        return np.zeros(n), 0.0
    weights = np.asarray(np.linalg.solve(at ** np.arange(n)[:, None], 1.0 / np.arange(1, n + 1)), np.float64)
    return weights, abs(1 - (n + 1) * float((weights * at**n).sum()))
