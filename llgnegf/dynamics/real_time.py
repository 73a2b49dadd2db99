"""Moments together with electrons in real time: one system of equations, one step.

The moments feel the field back_action J_sd s(t) of the electrons as they are, with no expansion in velocities; the
electrons feel the moments as they are.  Both are stages of the same one-step method, so that its order holds for both.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from llgnegf.beside import integrators
from llgnegf.dynamics.coupling import Coupling, Motion
from llgnegf.dynamics.electron_instant import ElectronInstant
from llgnegf.dynamics.gates import Voltages
from llgnegf.dynamics.imposed import Imposed, TurningInstant
from llgnegf.dynamics.profiles import inside, next_jump
from llgnegf.dynamics.stepper import Instant, Remembered, check_moments
from llgnegf.electrons.quadrature import ToleranceError
from llgnegf.electrons.real_time import (
    Carrier,
    Flows,
    RealTime,
    adjusted,
    error_near_edges,
    exponentials,
    temperature_used,
)
from llgnegf.electrons.real_time_layout import TileLayout
from llgnegf.electrons.real_time_rows import farthest_outside
from llgnegf.electrons.real_time_tiles import Tiles
from llgnegf.errors import RunError, RunWarning
from llgnegf.machine import memory_of_machine
from llgnegf.once import cached_property

# What is added up along the run: energy of the leads, particles in the left and the right one, work on the electrons;
# and what driven fields give to the moments, S sum B.dm.
_SUMS, _SUMS_OF_OLDER_RUNS = 5, 4
# Steps between two estimates of the error, and the share of the tolerance that the errors of all steps may add up to.
_JUDGED_EVERY, _SHARE = 8, 0.5
_MOST_PARTS = 4096
_MOST_STABLE_PARTS = 10**6
# Steps made at once, where moments are known beforehand.
_MOST_TOGETHER = 64
# Arrays kept to be used again.
_MOST_FREE = 4
_NO_VOLTAGES = np.zeros(2)
# A step of a system that its method leaves stable has at most this share of the limit.
_STABLE = 0.8
_LARGE = 1 << 24  # bytes
# Rows across from which on tiles are faster than rows.
_NARROWEST = 8


@dataclass
class Together:
    """All that is integrated: packed moments, the sums, and the state of the electrons."""

    y: np.ndarray
    sums: np.ndarray
    state: Any


class RealTimeInstant(Instant):
    """A run with electrons in real time at one step.

    potential: gate voltages, (nx[, ny]), energy; static_potential: that of the device, or None; sd_exchange: energy;
    traced: density and spin density Tr[rho_i (1, sigma)], (nx[, ny], 4); flows: particles and spin that flow into the
    leads; energy_electrons: less that at the start, leads included; voltages: of the leads, (2,), energy; work: done by
    gates, voltages, driven fields and an imposed motion since the start, work_drives: by driven fields alone, energy.
    Where something jumps at t, all of it is as after the jump.
    """

    def __init__(
        self,
        stepper: RealTimeStepper,
        n: int,
        y: np.ndarray,
        velocity: np.ndarray,
        state: Any,
        sums: np.ndarray,
    ) -> None:
        """velocity: packed; state: of the electrons."""
        coupling, within = stepper.coupling, inside(n, stepper.dt)
        super().__init__(coupling.magnet, n, n * stepper.dt, y, velocity, coupling.external(n * stepper.dt, within))
        # At once, because the array of the state is used again.
        electrons = stepper.electrons
        self.traced, self.flows = electrons.traced(state), electrons.flows(state)
        self.potential = coupling.gate_state(self.t, within)[0]
        self.static_potential, self.sd_exchange = coupling.static_potential, coupling.sd_exchange
        self.voltages = stepper.voltages_at(self.t, within)
        self.work_drives = 0.0
        if stepper.imposed is None and self.external.field is not None:
            # The energy in the driven fields changes by this work, and by what they give to the motion.
            field = self.external.field
            self.work_drives = float(sums[4]) - coupling.magnet.overlap(y, field)
        self.work = float(sums[3]) + self.work_drives
        self.energy_electrons = stepper.energy(state, self.m, self.potential, self.flows, sums)
        self._stepper = stepper

    @property
    def spin_density(self) -> np.ndarray:
        """Tr[rho_i sigma], (nx[, ny], 3)."""
        return self.traced[..., 1:]

    @cached_property
    def frozen(self) -> ElectronInstant:
        """Frozen electrons at the moments, gates and velocities of this instant, to first order."""
        return self._stepper.frozen_instant(self)


class RealTimeStepper:
    """A `Stepper` of moments and electrons in real time.

    coupling: the classical terms, the device, gates and a user's field; start: m(0), (nx[, ny], 3); dt: the step, of
    the registered `method`; duration: of the run, for which the memory of the leads has to be right.  imposed: the
    motion of the moments, where it is known beforehand.  tolerance: if given, each step is divided into as many equal
    parts as keep the error of moments and spin density within it to the end of the run, however the errors of single
    steps add up; None: steps are whole.  voltages: of the leads at time t > 0, None: zero; at the start the leads are
    in equilibrium without them.  on_gpu: whether an NVIDIA GPU holds and moves the electrons.  tells: whether a
    RunWarning tells of whole steps that are too long for the tolerance of the device.
    """

    solves = 0

    def __init__(
        self,
        coupling: Coupling,
        start: np.ndarray,
        dt: float,
        method: integrators.Method,
        duration: float,
        *,
        imposed: Imposed | None = None,
        tolerance: float | None = None,
        voltages: Voltages | None = None,
        on_gpu: bool = False,
        tells: bool = False,
    ) -> None:
        assert coupling.device is not None
        self.coupling, self.start, self.dt, self.method, self.duration = coupling, start, dt, method, duration
        self.imposed, self.tolerance, self.voltages, self.on_gpu = imposed, tolerance, voltages, on_gpu
        self.parts, self._device, self._tells = 0, coupling.device, tells
        # Remembered, since a run that is resumed may be longer than it was meant to be when its leads were chosen.
        self._planned_for = max(duration, dt)
        # The step by which too long ones are told, early in short runs.
        self._told_at = min(_JUDGED_EVERY, max(0, round(duration / dt) - 1))
        # The state of the electrons, the sums, and the energy at the start; made when first needed, as their equation
        # and what carries their state.
        self._kept: tuple[Any, np.ndarray, float] | None = None
        self._equation: RealTime | None = None
        self._carrier: Carrier | None = None
        self._free: list[Any] = []
        self._profiles = coupling.profiles + (voltages.profiles if voltages is not None else ())

    # --- before the start -------------------------------------------------------------------------

    @cached_property
    def planned(self) -> RealTime:
        """The equation of the electrons as far as it is known before their equilibrium is.

        Raises ToleranceError where the memory of the leads cannot be had to the tolerance, RunError where the step is
        too large.
        """
        potential = self._first_potential
        planned = RealTime(self._device, *exponentials(self._device, self.start, potential, self.duration))
        self._fewest_parts(planned)
        error = error_near_edges(self._device, planned.fit, self.duration)
        if error > self._device.tolerance:
            warnings.warn(
                f"the memory of the leads is known to {planned.fit.error:.1e} at best; within run.duration = "
                f"{self.duration:g} this may become {error:.1e} in the density matrix where levels, or the Fermi "
                "energy, lie near the edges of the leads' bands (bound levels do), more than electrons.tolerance = "
                f"{self._device.tolerance:g}: only a larger tolerance or a shorter run is sure",
                RunWarning,
                stacklevel=2,
            )
        return planned

    @property
    def memory_bytes(self) -> tuple[int, int]:
        """Of the state, as in a checkpoint, and of all that a step needs beside it: planned, until it is there."""
        return self._bytes_for(self._equation or self.planned)

    def _bytes_for(self, electrons: RealTime) -> tuple[int, int]:
        shape = Tiles(electrons).shape if electrons.ny >= _NARROWEST else electrons.shape
        size = 8 * int(np.prod(shape))
        return size, size * (6 if self.method.coefficients else 3 + self.method.stages)

    @property
    def state_is_large(self) -> bool:
        """Whether copies of the state are too dear to have one at every frame."""
        return 8 * int(np.prod(self.electrons.shape)) > _LARGE

    @property
    def in_words(self) -> str:
        """How the electrons are described, for people."""
        used = known = self._equation or self.planned
        if np.isnan(used.fit.error) and (used.kept, used.n_poles) == (self.planned.kept, self.planned.n_poles):
            known = self.planned  # a state that was recalled, from a checkpoint or after a trial, has no errors
        errors = [f"{one:.1e}" if np.isfinite(one) else "not known" for one in (known.fit.error, known.rule.bound)]
        kT = temperature_used(self._device, self.duration, used.sharper)
        instead = "" if self._device.temperature else f", kT = {kT:.1e} for 0"
        return (
            f"in real time, {used.kept} exponentials per channel of a lead (error {errors[0]}) and "
            f"{used.n_poles} poles of the Fermi function ({errors[1]}{instead}): {used.D} x "
            f"{used.D + used.E} complex numbers"
        )

    def _carry(self, electrons: RealTime) -> Carrier:
        """What carries the state: tiles on lattices, on a GPU if asked for, rows on chains and narrow lattices.

        Raises RunError where it needs more memory than the machine has: what was planned may not have been enough.
        """
        if (needed := sum(self._bytes_for(electrons))) > (available := memory_of_machine()):
            raise RunError(
                f"electrons in real time: with {electrons.kept} exponentials per channel of a lead and "
                f"{electrons.n_poles} poles of the Fermi function, which the equilibrium at the start takes, they need "
                f"{needed / 1e9:.3g} GB of memory, this machine has {available / 1e9:.3g} GB; use a smaller lattice, a "
                "larger electrons.tolerance or a higher temperature"
            )
        if self.on_gpu:
            from llgnegf.electrons.real_time_gpu import GpuTiles

            return GpuTiles(electrons)
        return Tiles(electrons) if electrons.ny >= _NARROWEST else electrons

    def _fewest_parts(self, electrons: RealTime) -> int:
        """Parts of a step that the method needs to be stable."""
        gates = self.coupling.gates.reach if self.coupling.gates else 0.0
        rate = electrons.fastest_rate(gates, 0.0 if self.voltages is None else self.voltages.reach)
        largest = _STABLE * self.method.stability / rate
        parts = np.ceil(self.dt / largest)
        if not parts <= _MOST_STABLE_PARTS:
            raise RunError(
                f"integrator.step = {self.dt:g}: electrons in real time need steps of {largest:.2g}; allowed: up to "
                f"{_MOST_STABLE_PARTS:g} times as much"
            )
        if self.tolerance is None and parts > 1:
            raise RunError(
                f"integrator.step = {self.dt:g}: {self.method.name} is unstable for electrons in real time; allowed: "
                f'at most {largest:.2g}, or integrator.electrons = "adaptive", which divides it'
            )
        return max(1, int(parts))

    @property
    def _first_potential(self) -> np.ndarray:
        return self.coupling.gate_state(0.0, inside(0, self.dt))[0]

    def _first_sums(self) -> np.ndarray:
        """Of the last one, what the moments have in the driven fields at the start, so that work begins at 0."""
        sums, magnet = np.zeros(_SUMS), self.coupling.magnet
        field = self.coupling.external(0.0, inside(0, self.dt)).field
        if field is not None:
            sums[4] = magnet.overlap(magnet.pack(self.start), field)
        return sums

    def voltages_at(self, t: float, within: float | None = None) -> np.ndarray:
        """Of the left and the right lead, (2,), energy."""
        return _NO_VOLTAGES if self.voltages is None else self.voltages.at(t, within)

    @property
    def equation(self) -> RealTime:
        """The equation of the electrons."""
        self._now()
        assert self._equation is not None
        return self._equation

    @property
    def electrons(self) -> Carrier:
        """What carries the state of the electrons."""
        self._now()
        assert self._carrier is not None
        return self._carrier

    # --- what is remembered -----------------------------------------------------------------------

    def _now(self) -> tuple[Any, np.ndarray, float]:
        """State of the electrons, the sums, and the energy at the start."""
        if self._kept is None:
            potential = self._first_potential
            try:
                equation, carrier, state = adjusted(self._device, self.start, potential, self.duration, self._carry)
            except ToleranceError as error:
                raise RunError(f"electrons in real time, at the start: {error}") from None
            energy = carrier.energy(state, self.start, potential) + carrier.flows(state).coupling_energy
            self._equation, self._carrier, self._kept = equation, carrier, (state, self._first_sums(), energy)
            self.parts = self._fewest_parts(equation)
        return self._kept

    def state(self) -> Remembered:
        state, sums, energy = self._now()
        own = {
            "electrons": self.electrons.get(state),
            "sums": sums,
            "planned_for": np.array(self._planned_for),
            "energy_at_start": np.array(energy),
            "parts": np.array(self.parts),
        }
        return own | self.equation.remembered()

    def restore(self, remembered: Remembered) -> None:
        equation = RealTime.recalled(self._device, remembered)
        carrier = self._carry(equation)
        state = np.asarray(remembered["electrons"], float)
        if carrier.shape != equation.shape and state.shape == equation.shape:  # narrow lattices, now on a GPU
            state = TileLayout(equation).from_rows(state)
        elif carrier is equation and state.shape == (layout := TileLayout(equation)).shape:
            state = layout.to_rows(state)
        if state.shape != carrier.shape:
            raise ValueError(f"electrons of shape {state.shape}, not {carrier.shape}")
        sums = np.array(remembered["sums"], float)
        if sums.shape == (_SUMS_OF_OLDER_RUNS,):  # which had no driven fields
            sums = np.append(sums, np.zeros(_SUMS - _SUMS_OF_OLDER_RUNS))
        if sums.shape != (_SUMS,):
            raise ValueError(f"sums of shape {sums.shape}, not ({_SUMS},)")
        energy, parts, planned_for = (float(remembered[name]) for name in ("energy_at_start", "parts", "planned_for"))
        if not (np.isfinite(state).all() and np.isfinite([*sums, energy, planned_for]).all()):
            raise ValueError("electrons or sums that are not finite")
        if not (1 <= parts <= _MOST_PARTS and parts == int(parts) and planned_for > 0):
            raise ValueError(f"steps in {parts:g} parts, for a run of {planned_for:g}")
        self._equation, self._carrier = equation, carrier
        # A copy of the state: its array is used again.
        self._kept = carrier.put(state), sums, energy
        self.parts, self._planned_for = int(parts), planned_for
        if self.duration > planned_for * (1 + 1e-9):
            warnings.warn(
                f"leads and steps were chosen for a run of {planned_for:g} and stay as they are; beyond it errors "
                f"go on to grow, so that electrons.tolerance = {self._device.tolerance:g} need not hold up to "
                f"run.duration = {self.duration:g}: only a new run of this duration has it to its end",
                RunWarning,
                stacklevel=2,
            )

    # --- the step ---------------------------------------------------------------------------------

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        _, sums, energy = self._now()
        moved, after = self._whole_steps(n, Together(y, sums, self._now()[0]), limit)
        n = after - 1
        if self.imposed is not None:
            y = self.coupling.magnet.pack(self.imposed.moments((n + 1) * self.dt))
        else:
            y = self.coupling.magnet.normalize(moved.y)
            self._check(n, y)
        self._check_electrons(n, moved.state)
        self._add_work_of_jump(n + 1, moved)
        self._release(self._now()[0])
        self._kept = moved.state, moved.sums, energy
        return n + 1, y

    def _next_jump(self, n: int) -> int | None:
        """The first step after n at which something jumps."""
        return next_jump(self._profiles, n, self.dt)

    def _add_work_of_jump(self, n: int, moved: Together) -> None:
        """What gates that jump at the beginning of step n give to the electrons at once."""
        if self.coupling.gates and self._next_jump(n - 1) == n:
            before, after = (self.coupling.gate_state(n * self.dt, inside(k, self.dt))[0] for k in (n - 1, n))
            moved.sums[3] += ((after - before) * self.electrons.traced(moved.state)[..., 0]).sum()

    def _whole_steps(self, n: int, now: Together, limit: int) -> tuple[Together, int]:
        """One step, or where moments are known beforehand all to `limit` that need no judgement; and where that is."""
        judged = self.tolerance is not None
        if judged and (n % _JUDGED_EVERY == 0 or self._next_jump(n - 1) == n):
            return self._judged_step(n, now), n + 1
        if n == self._told_at and self._tells and not judged:
            return self._whole_step_that_is_told(n, now), n + 1
        last = n + 1
        if self._is_quick:
            if judged:
                last = n + _JUDGED_EVERY - n % _JUDGED_EVERY
            else:
                last = self._told_at if n < self._told_at else n + _MOST_TOGETHER
            jump = self._next_jump(n)
            last = min(limit, last if jump is None else min(last, jump))
        return self._in_parts(n, now, self.parts, last - n), last

    def _whole_step_that_is_told(self, n: int, now: Together) -> Together:
        """A whole step, and a RunWarning if such steps do not keep the tolerance: nobody else would notice."""
        tolerance, gain = self._device.tolerance, 2**self.method.order
        coarse, fine = self._in_parts(n, now, 1), self._in_parts(n, now, 2)
        error = _distance(self._seen(coarse), self._seen(fine)) * gain / (gain - 1)
        self._release(fine.state)
        total = error * self._planned_for / self.dt
        if not total <= tolerance:
            better = self.dt * max(tolerance / total, 1e-12) ** (1 / self.method.order)
            warnings.warn(
                f"a step of integrator.step = {self.dt:g} has an error of {error:.1e} in moments or spin density, "
                f"which may add up to {total:.1e} by the end, more than electrons.tolerance = {tolerance:g}; use "
                f'integrator.electrons = "adaptive", or a step of about {better:.1g}',
                RunWarning,
                stacklevel=2,
            )
        return coarse

    @property
    def _is_quick(self) -> bool:
        """Whether many steps can be made at once."""
        return self.imposed is not None and self.method.coefficients is not None and self.electrons is self.equation

    def _judged_step(self, n: int, now: Together) -> Together:
        assert self.tolerance is not None
        allowed, gain = _SHARE * self.tolerance * min(1.0, self.dt / self._planned_for), 2**self.method.order
        coarse = self._seen(tried := self._in_parts(n, now, self.parts))
        self._release(tried.state)
        while True:
            fine = self._in_parts(n, now, 2 * self.parts)
            # That of `coarse`: the steps until the next estimate are divided like it.
            error = _distance(coarse, self._seen(fine)) * gain / (gain - 1)
            if error <= allowed:
                break
            if self.parts >= _MOST_PARTS:
                raise RunError(
                    f"t = {n * self.dt:g}: the error of a step of {self.dt / self.parts:g} is {error:.1e}, but "
                    f"{allowed:.1e} is needed: use a larger electrons.tolerance, or slower gates and moments"
                )
            self.parts, coarse = 2 * self.parts, self._seen(fine)
            self._release(fine.state)
        # Half the parts would do: their error is 2^order times as large.
        if 2 * error * gain < allowed and self.parts > self._fewest_parts(self.equation):
            self.parts = max(self._fewest_parts(self.equation), self.parts // 2)
        return fine

    def _in_parts(self, n: int, now: Together, parts: int, steps: int = 1) -> Together:
        h = self.dt / parts
        if self._is_quick:
            return self._quickly(n, now, parts, steps)
        step = self._in_stages if self.method.coefficients else self._by_method
        for part in range(parts):
            before, now = now, step(n * self.dt + part * h, now, h, inside(n, self.dt))
            if part:
                self._release(before.state)
        return now

    def _quickly(self, n: int, now: Together, parts: int, steps: int) -> Together:
        """Steps in which moments and gates are known beforehand."""
        h, coefficients = self.dt / parts, self.method.coefficients
        assert coefficients is not None
        assert self.imposed is not None
        # As `_in_parts` counts: the same bits for one step as for many.
        begins = np.arange(n, n + steps)[:, None] * self.dt + np.arange(parts) * h
        times = begins.reshape(-1, 1) + np.array(coefficients[0]) * h
        within = np.repeat([inside(k, self.dt) for k in range(n, n + steps)], parts * len(coefficients[0]))
        each = [(float(t), float(side)) for t, side in zip(times.flat, within, strict=True)]
        gates = [self.coupling.gate_state(*one) for one in each] if self.coupling.gates else None
        shape = (*times.shape, *self._device.shape)
        potential, rate = (
            (np.stack([gate[k] for gate in gates]).reshape(shape) if gates else np.zeros(shape)) for k in (0, 1)
        )
        voltages = np.zeros((*times.shape, 2))
        if self.voltages is not None:
            voltages[:] = np.array([self.voltages.at(*one) for one in each]).reshape(voltages.shape)
        state, sums = self.equation.steps(
            now.state, h, coefficients, self.imposed.at(times), (potential, rate), voltages, now.sums
        )
        return Together(now.y, sums, state)

    def _array(self) -> np.ndarray:
        """An array for a state: one that is not used any more, if there is one, because new ones cost time."""
        return self._free.pop() if self._free else self.electrons.empty()

    def _release(self, state: Any) -> None:
        """An array that is not used any more; ways to step that take none need not have them kept."""
        if len(self._free) < _MOST_FREE:
            self._free.append(state)

    def _in_stages(self, t: float, now: Together, h: float, within: float) -> Together:
        """One step of a method with `coefficients`: electrons in a few arrays of their size.

        within: a time inside the whole step, for what jumps at its ends.
        """
        coefficients = self.method.coefficients
        assert coefficients is not None
        nodes, weights = coefficients
        electrons, at, y, sums = self.electrons, now.state, now.y, now.sums
        acc, others = self._array(), (self._array(), self._array())
        y_end = now.y.copy()
        for i, (node, weight) in enumerate(zip(nodes, weights, strict=True)):
            is_last = i + 1 == len(nodes)
            following, new = (0.0, None) if is_last else (nodes[i + 1], others[i % 2])
            m, potential, voltages, velocity, rates = self._rates(t + node * h, y, at, within)
            electrons.stage(now.state, at, acc, new, m, potential, voltages, weight * h, following * h)
            at = new
            sums = sums + weight * h * rates
            if velocity is not None:
                y_end += weight * h * velocity
                y = now.y + following * h * velocity
        for array in others:
            self._release(array)
        return Together(y_end, sums, acc)

    def _by_method(self, t: float, now: Together, h: float, within: float) -> Together:
        """One step of any registered method, on everything as one array; within: as above."""
        sizes = np.cumsum([now.y.size, now.sums.size])
        shapes = now.y.shape, now.sums.shape, now.state.shape

        def split(flat: np.ndarray) -> Together:
            return Together(*(part.reshape(shape) for part, shape in zip(np.split(flat, sizes), shapes, strict=True)))

        def rhs(at: float, flat: np.ndarray) -> np.ndarray:
            now, out = split(flat), np.zeros_like(flat)
            change = split(out)
            m, potential, voltages, velocity, change.sums[:] = self._rates(at, now.y, now.state, within)
            if velocity is not None:
                change.y[:] = velocity
            change.state[...] = self.electrons.derivative(now.state, m, potential, voltages)
            return out

        return split(self.method.step(rhs, t, np.concatenate([now.y.ravel(), now.sums, now.state.ravel()]), h))

    def _seen(self, one: Together) -> tuple[np.ndarray, np.ndarray]:
        """What the error of a step is judged by: moments and spin density."""
        return one.y, self.electrons.traced(one.state)

    def _rates(
        self, t: float, y: np.ndarray, state: Any, within: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
        """Moments (nx[, ny], 3), gates and voltages at t; dm/dt, packed, unless imposed; and d(sums)/dt."""
        electrons, coupling, magnet = self.electrons, self.coupling, self.coupling.magnet
        traced = electrons.traced(state)
        potential, rate = coupling.gate_state(t, within)
        voltages = self.voltages_at(t, within)
        sums, velocity = np.zeros(_SUMS), None
        flows = electrons.flows(state)
        charge = flows.charge
        sums[0], sums[1:3] = flows.energy.sum(), charge
        sums[3] = (rate * traced[..., 0]).sum() - voltages @ charge
        if self.imposed is None:
            velocity = self._velocity(t, y, traced, within)
            driving = coupling.external(t, within).field
            if driving is not None:
                sums[4] = magnet.overlap(velocity, driving)
            m = np.ascontiguousarray(magnet.unpack(y))
        else:
            m = self.imposed.moments(t)
            sums[3] -= coupling.sd_exchange * (traced[..., 1:] * self.imposed.velocity(t)).sum()
        return m, potential, voltages, velocity, sums

    def _velocity(self, t: float, y: np.ndarray, traced: np.ndarray, within: float) -> np.ndarray:
        """dm/dt, packed, in the field of the electrons."""
        coupling = self.coupling
        field = coupling.magnet.pack(coupling.strength * traced[..., 1:]) if coupling.strength else None
        return coupling.velocity_in(field, t, y, within)

    def _check(self, n: int, y: np.ndarray) -> None:
        magnet = self.coupling.magnet
        if magnet.stretched is not None or not np.isfinite(y).all():
            check_moments(magnet.unpack(y), n + 1, self.dt, magnet.stretched)

    def _check_electrons(self, n: int, state: Any) -> None:
        """Each site holds between 0 and 1 electrons of each spin, whatever its axis."""
        worst, outside = farthest_outside(self.electrons.traced(state))
        if not outside <= 10 * self._device.tolerance:
            site = [int(i) for i in np.unravel_index(worst, self._device.shape)]
            raise RunError(
                f"the electrons of site {site} left their range at t = {(n + 1) * self.dt:g}: an orbital holds "
                f"{outside:.1e} more than 1 or less than 0 electrons: integrator.step = {self.dt:g} is too "
                f"large; try half of it, --set integrator.step={self.dt / 2:g}, or integrator.electrons = "
                '"adaptive". The last checkpoint is kept'
            )

    # --- an instant -------------------------------------------------------------------------------

    def instant(self, n: int, y: np.ndarray) -> RealTimeInstant:
        state, sums, _ = self._now()
        t, magnet = n * self.dt, self.coupling.magnet
        if self.imposed is None:
            velocity = self._velocity(t, y, self.electrons.traced(state), inside(n, self.dt))
        else:
            velocity = magnet.pack(self.imposed.velocity(t))
        return RealTimeInstant(self, n, y, velocity, state, sums)

    def energy(self, state: Any, m: np.ndarray, potential: np.ndarray, flows: Flows, sums: np.ndarray) -> float:
        """Energy of the electrons since the start, leads included."""
        own = self.electrons.energy(state, np.ascontiguousarray(m), potential) + flows.coupling_energy
        return own + float(sums[0]) - self._now()[2]

    def frozen_instant(self, instant: RealTimeInstant) -> ElectronInstant:
        coupling, t, within = self.coupling, instant.t, inside(instant.n, self.dt)
        velocity = coupling.magnet.pack(np.ascontiguousarray(instant.velocity))
        motion = Motion(velocity, coupling.freeze(t, np.ascontiguousarray(instant.m), within), None)
        if self.imposed is not None and self.imposed.precession:
            axis, frequency = self.imposed.axis, self.imposed.frequency
            return TurningInstant(coupling, instant.n, t, instant.y, motion, axis, frequency, within)
        return ElectronInstant(
            coupling, instant.n, t, instant.y, motion, feedback=True, first_order=True, within=within
        )


def _distance(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> float:
    """The largest difference of any two numbers; inf where one is none."""
    found = max(float(abs(a - b).max()) for a, b in zip(one, other, strict=True))
    return found if np.isfinite(found) else np.inf
