"""How moments and electrons in real time go from step to step: in whole steps, or in as many parts as they need."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from llgnegf.dynamics.moments_and_electrons import MomentsAndElectrons, Together
from llgnegf.dynamics.profiles import Drive, Profile, inside, next_jump
from llgnegf.dynamics.step_error import Course, Trail
from llgnegf.dynamics.stepper import Remembered
from llgnegf.errors import RunError, RunWarning

# Steps between two that are compared with two of half their length, and the share of the tolerance that the errors of
# all steps may add up to.
_JUDGED_EVERY, _SHARE = 8, 0.5
_MOST_PARTS = 4096
# Below this share of what is allowed errors are no measure of how good their estimate is.
_MEASURABLE = 0.01
# Steps made at once, where moments are known beforehand.
_MOST_TOGETHER = 64


class WholeSteps:
    """Steps as they are.  A RunWarning tells of one, early in the run, that is too long for `tolerance`; None: never.

    duration: of the run; planned_for: over which errors add up; profiles: of all that drives.
    """

    parts = 1

    def __init__(
        self,
        both: MomentsAndElectrons,
        duration: float,
        planned_for: float,
        tolerance: float | None,
        profiles: Sequence[Profile],
    ) -> None:
        self._both, self._planned_for, self._tolerance, self._profiles = both, planned_for, tolerance, profiles
        # Early in short runs.
        self._told_at = min(_JUDGED_EVERY, max(0, round(duration / both.dt) - 1))

    def advance(self, n: int, now: Together, limit: int) -> tuple[Together, int]:
        """One step, or where moments are known beforehand as many as to `limit` or a jump; and where that is."""
        if n == self._told_at and self._tolerance is not None:
            return self._told(n, now, self._tolerance), n + 1
        last = n + 1
        if self._both.makes_many:
            last = min(limit, self._told_at if n < self._told_at else n + _MOST_TOGETHER)
            jump = next_jump(self._profiles, n, self._both.dt)
            last = last if jump is None else min(last, jump)
        return self._both.make(n, now, 1, last - n)[0], last

    def state(self) -> Remembered:
        """For a checkpoint."""
        return {"parts": np.array(self.parts)}

    def restore(self, remembered: Remembered) -> None:
        """Nothing is taken up.  Raises ValueError where the checkpoint is none of whole steps."""
        if float(remembered["parts"]) != self.parts:
            raise ValueError(f"steps in {float(remembered['parts']):g} parts")

    def _told(self, n: int, now: Together, tolerance: float) -> Together:
        both = self._both
        coarse, fine, gain = both.make(n, now, 1)[0], both.make(n, now, 2)[0], 2**both.method.order
        error = _distance(both.seen(coarse), both.seen(fine)) * gain / (gain - 1)
        both.release(fine.state)
        total = error * self._planned_for / both.dt
        if not total <= tolerance:
            better = both.dt * max(tolerance / total, 1e-12) ** (1 / both.method.order)
            divided = 'integrator.electrons = "adaptive", or ' if both.coupling.thermal is None else ""
            warnings.warn(
                f"a step of integrator.step = {both.dt:g} has an error of {error:.1e} in moments or spin density, "
                f"which may add up to {total:.1e} by the end, more than electrons.tolerance = {tolerance:g}; use "
                f"{divided}a step of about {better:.1g}",
                RunWarning,
                stacklevel=2,
            )
        return coarse


class DividedSteps:
    """Steps in as many equal parts as keep the errors of moments and spin density within half the tolerance to the end
    of the run, however those of single steps add up.

    Every eighth step, and each after a jump, is compared with two of half its length (`judged`).  All others are
    divided like it, and judged too where their own estimate (`Course`) says that they miss more than is allowed.  Steps
    are judged in smaller parts where a profile changes within less than a part, and where a potential is not integrated
    well: the electrons take its integral up as phases between sites, which their density shows only later.
    planned_for: duration of the run; fewest: parts for which the method is stable; profiles: of all that drives;
    potentials: of gates and leads.
    """

    def __init__(
        self,
        both: MomentsAndElectrons,
        tolerance: float,
        planned_for: float,
        fewest: int,
        profiles: Sequence[Profile],
        potentials: Sequence[Drive],
    ) -> None:
        self._both, self._fewest, self._profiles, self._potentials = both, fewest, profiles, potentials
        self._allowed = _SHARE * tolerance * min(1.0, both.dt / planned_for)
        self._gain = 2**both.method.order
        self.parts = fewest
        # What came last, and how large errors are beside their estimate.
        self.course, self.ratio = Course(both.method.order), 1.0

    def advance(self, n: int, now: Together, limit: int) -> tuple[Together, int]:
        """One step, or where moments are known beforehand as many as to `limit` or a jump; and where that is."""
        if n % _JUDGED_EVERY == 0 or not self.course or self._jumps_at(n) or self._least(n) > self.parts:
            return self._judged(n, now), n + 1
        last = n + 1
        if self._both.makes_many:
            end = min(limit, n + _JUDGED_EVERY - n % _JUDGED_EVERY)
            while last < end and not self._jumps_at(last) and self._least(last) <= self.parts:
                last += 1
        moved, trail = self._both.make(n, now, self.parts, last - n, watched=True)
        assert trail is not None
        sound = self._sound(trail)
        if sound < last - n:
            self._both.release(moved.state)
            if sound == 0:
                return self._judged(n, now), n + 1
            last = n + sound
            moved, trail = self._both.make(n, now, self.parts, sound, watched=True)
            assert trail is not None
        self.course.follow(trail)
        return moved, last

    def state(self) -> Remembered:
        """For a checkpoint."""
        course = self.course
        return {
            "parts": np.array(self.parts),
            "course_begins": course.begins,
            "course_rates": course.rates,
            "course_ratio": np.array(self.ratio),
        }

    def restore(self, remembered: Remembered) -> None:
        """As it was.  Raises ValueError where that cannot be."""
        parts, ratio = float(remembered["parts"]), float(remembered.get("course_ratio", 1.0))
        # Older checkpoints have no course: then the next step is judged.
        begins, rates = (np.array(remembered.get(f"course_{name}", []), float) for name in ("begins", "rates"))
        if not (1 <= parts <= 2 * max(_MOST_PARTS, self._fewest) and parts == int(parts)):
            raise ValueError(f"steps in {parts:g} parts")
        if not (len(begins) == len(rates) < self.course.order and np.isfinite(begins).all()):
            raise ValueError(f"{len(begins)} beginnings of steps, {len(rates)} rates")
        if not (np.isfinite(rates).all() and ratio > 0):
            raise ValueError("rates that are not finite, or an estimate of no size")
        self.parts, self.ratio = int(parts), ratio
        self.course.begins, self.course.rates = begins, rates

    def _jumps_at(self, n: int) -> bool:
        return next_jump(self._profiles, n - 1, self._both.dt) == n

    def _least(self, n: int) -> int:
        """Parts in which a step sees what drives it, not less than `parts`."""
        if not self._profiles:
            return self.parts
        dt = self._both.dt
        fastest = max((one.fastest(n * dt, (n + 1) * dt) for one in self._profiles), default=0.0)
        if not dt * fastest <= _MOST_PARTS:
            raise RunError(
                f"t = {n * dt:g}: a gate, voltage or field changes within {1 / fastest:.1g}, of which {_MOST_PARTS} "
                f"parts of integrator.step = {dt:g} see nothing: use a step of up to {_MOST_PARTS / fastest:.1g}, or a "
                "slower profile"
            )
        parts = max(self.parts, int(np.ceil(dt * fastest)))
        while parts < _MOST_PARTS and not self._phase_error(n, parts) <= self._allowed:
            parts *= 2
        return parts

    def _phase_error(self, n: int, parts: int) -> float:
        """Of the integral of a potential over a step, in so many parts."""
        coarse, fine = self._phases(n, parts), self._phases(n, 2 * parts)
        return max((abs(a - b) for a, b in zip(coarse, fine, strict=True)), default=0.0) * self._gain / (self._gain - 1)

    def _phases(self, n: int, parts: int) -> list[float]:
        """Integrals of the potentials over a step, as the method makes them."""
        dt, coefficients = self._both.dt, self._both.method.coefficients
        if coefficients is None or not self._potentials:
            return []
        h, within = dt / parts, inside(n, dt)
        at = [
            (n * dt + (part + node) * h, weight * h)
            for part in range(parts)
            for node, weight in zip(*coefficients, strict=True)
        ]
        return [sum(weight * drive.value(t, within) for t, weight in at) for drive in self._potentials]

    def _sound(self, trail: Trail) -> int:
        """How many of these steps, from the first on, are within what is allowed."""
        of_parts = self.course.errors(trail)
        of_steps = self.ratio * of_parts.reshape(-1, self.parts).sum(axis=1)
        beyond = np.flatnonzero(~(of_steps <= self._allowed))
        return int(beyond[0]) if len(beyond) else len(of_steps)

    def _judged(self, n: int, now: Together) -> Together:
        both, gain, allowed = self._both, self._gain, self._allowed
        if self._jumps_at(n):
            self.course.forget()
        least = self._least(n)
        parts, (tried, trail) = least, both.make(n, now, least, watched=True)
        coarse = both.seen(tried)
        both.release(tried.state)
        while True:
            fine, fine_trail = both.make(n, now, 2 * parts, watched=True)
            # That of `coarse`: the steps until the next one that is judged are divided like it.
            error = _distance(coarse, both.seen(fine)) * gain / (gain - 1)
            if error <= allowed:
                break
            if parts >= _MOST_PARTS:
                raise RunError(
                    f"t = {n * both.dt:g}: the error of a step of {both.dt / parts:g} is {error:.1e}, but "
                    f"{allowed:.1e} is needed: use a larger electrons.tolerance, or slower gates and moments"
                )
            parts, coarse, trail = 2 * parts, both.seen(fine), fine_trail
            both.release(fine.state)
        self._learn(error, trail, fine_trail)
        if parts > least or self.parts == least:
            self.parts = parts
        # Half the parts would do: their error is 2^order times as large.
        if self.parts == parts and 2 * error * gain < allowed and self.parts > self._fewest:
            self.parts = max(self._fewest, self.parts // 2)
        return fine

    def _learn(self, error: float, trail: Trail | None, fine: Trail | None) -> None:
        """From a step of this error: what it left as it was tried, and where it went."""
        if trail is None or fine is None:
            return
        self.ratio = 1.0
        if self.course and error > _MEASURABLE * self._allowed:
            estimate = float(self.course.errors(trail).sum())
            if estimate > 0:
                self.ratio = max(1.0, error / estimate)
        self.course.follow(fine)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of any two numbers; inf where one is none."""
    found = float(abs(one - other).max(initial=0.0))
    return found if np.isfinite(found) else np.inf
