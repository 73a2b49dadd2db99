"""Moments together with electrons in real time: the stepper of a run, its start and checkpoints, and an instant."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from llgnegf.beside import integrators
from llgnegf.dynamics.coupling import Coupling, Motion
from llgnegf.dynamics.electron_instant import ElectronInstant
from llgnegf.dynamics.gates import Voltages
from llgnegf.dynamics.imposed import Imposed, TurningInstant
from llgnegf.dynamics.moments_and_electrons import SUMS, MomentsAndElectrons, Together
from llgnegf.dynamics.profiles import inside, next_jump
from llgnegf.dynamics.step_lengths import DividedSteps, WholeSteps
from llgnegf.dynamics.stepper import Instant, Remembered, check_moments
from llgnegf.electrons import Device
from llgnegf.electrons.leads import Occupation
from llgnegf.electrons.quadrature import ToleranceError
from llgnegf.electrons.real_time import RealTime
from llgnegf.electrons.real_time_carrier import Carrier, Flows
from llgnegf.electrons.real_time_layout import TileLayout
from llgnegf.electrons.real_time_leads import Gating, adjusted, error_near_edges, exponentials, smeared
from llgnegf.electrons.real_time_rows import farthest_outside
from llgnegf.electrons.real_time_tiles import Tiles
from llgnegf.electrons.real_time_torque import torque_of_bonds
from llgnegf.errors import RunError, RunWarning
from llgnegf.machine import memory_of_machine
from llgnegf.once import cached_property

_SUMS_OF_OLDER_RUNS = 4  # which had no driven fields
_MOST_STABLE_PARTS = 10**6
_NO_VOLTAGES = np.zeros(2)
# A step of a system that its method leaves stable has at most this share of the limit.
_STABLE = 0.8
_LARGE = 1 << 24  # bytes
# Rows across from which on tiles are faster than rows.
_NARROWEST = 8


def _in_tiles(electrons: RealTime) -> bool:
    """Whether the state is held as tiles, which know neither baths nor spins of bonds and leads."""
    return electrons.ny >= _NARROWEST and electrons.is_plain


def _of_leads(device: Device) -> list[Occupation]:
    """The Fermi functions of the leads that are there."""
    return [one for lead in device.ends if lead.coupling for one in lead.occupations]


class RealTimeInstant(Instant):
    """A run with electrons in real time at one step.

    potential: gate voltages, (nx[, ny]), energy; static_potential: that of the device, or None; sd_exchange: energy, or
    (nx[, ny]) of each site; vacancy: 1 where there is one; traced: density and spin density Tr[rho_i (1, sigma)],
    (nx[, ny], 4); flows: particles and spin that flow into the leads; energy_electrons: less that at the start, leads
    included, not a number with a bath or a wide-band lead, whose is unknown; voltages: of the leads, (2,), energy;
    work: done by gates, voltages, driven fields and an imposed motion since the
    start, work_drives: by driven fields alone, energy.  bath_currents: particles (b,) and spin (b, 3) that flow into
    the bath on each of its b sites, 1/time; bath_voltages: of floating probes, (b,), energy.  torque_spin_orbit: of
    bonds that know the spin on the electrons' spin sigma/2, (nx[, ny], 3), energy, where there are some.
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
        self.vacancy = coupling.vacancy
        self.voltages = stepper.voltages_at(self.t, within)
        self.work_drives = 0.0
        if stepper.imposed is None and self.external.field is not None:
            # The energy in the driven fields changes by this work, and by what they give to the motion.
            field = self.external.field
            self.work_drives = float(sums[4]) - coupling.magnet.overlap(y, field)
        self.work = float(sums[3]) + self.work_drives
        self.energy_electrons = stepper.energy(state, self.m, self.potential, self.flows, sums)
        equation = stepper.equation
        if equation.given.turns_spins:
            self.torque_spin_orbit = torque_of_bonds(equation, state)
        if equation.in_probes:
            self.bath_currents, self.bath_voltages = equation.into_bath(state), equation.probe_voltages(state)
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
    steps add up; None: steps are whole.  voltages: of the leads at time t > 0, None: zero.  At the start all is at
    rest without them: in equilibrium, or steady between leads with Fermi functions of their own, which voltages then
    move along with the levels.  on_gpu: whether an NVIDIA GPU holds and moves the electrons.  tells: whether a
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
        assert isinstance(coupling.device, Device)
        self.coupling, self.start, self.dt, self.method, self.duration = coupling, start, dt, method, duration
        self.imposed, self.tolerance, self.voltages, self.on_gpu = imposed, tolerance, voltages, on_gpu
        self._device, self._tells = coupling.device, tells
        # Remembered, since a run that is resumed may be longer than it was meant to be when its leads were chosen.
        self._planned_for = max(duration, dt)
        # The state of the electrons, the sums, and the energy at the start; made when first needed, as the equations
        # and how they are followed.
        self._kept: tuple[Any, np.ndarray, float] | None = None
        self._both: MomentsAndElectrons | None = None
        self._steps: WholeSteps | DividedSteps | None = None
        self._profiles = coupling.profiles + (voltages.profiles if voltages is not None else ())
        gates = coupling.gates.drives if coupling.gates else ()
        self._potentials = gates + (voltages.drives if voltages is not None else ())

    # --- before the start -------------------------------------------------------------------------

    @cached_property
    def planned(self) -> RealTime:
        """The equation of the electrons as far as it is known before their equilibrium is.

        Raises ToleranceError where the memory of the leads cannot be had to the tolerance, RunError where the step is
        too large.
        """
        potential = self._first_potential
        sums = exponentials(self._device, self.start, potential, self.duration, gates=self._gates)
        planned = RealTime(self._device, *sums)
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
        return self._bytes_for(self._used)

    def _bytes_for(self, electrons: RealTime) -> tuple[int, int]:
        shape = Tiles(electrons).shape if _in_tiles(electrons) else electrons.shape
        size = 8 * int(np.prod(shape))
        return size, size * (6 if self.method.coefficients else 3 + self.method.stages)

    @property
    def state_is_large(self) -> bool:
        """Whether copies of the state are too dear to have one at every frame."""
        return 8 * int(np.prod(self.electrons.shape)) > _LARGE

    @property
    def in_words(self) -> str:
        """How the electrons are described, for people."""
        used = known = self._used
        if np.isnan(used.fit.error) and (used.kept, used.n_poles) == (self.planned.kept, self.planned.n_poles):
            known = self.planned  # a state that was recalled, from a checkpoint or after a trial, has no errors
        errors = [f"{one:.1e}" if np.isfinite(one) else "not known" for one in (known.fit.error, known.rule.bound)]
        device = self._device
        cold = [one for one in (device.occupation, *_of_leads(device)) if not one.temperature]
        instead = f", kT = {smeared(cold[0], device, self.duration, used.sharper):.1e} for 0" if cold else ""
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
        return Tiles(electrons) if _in_tiles(electrons) else electrons

    @property
    def _gates(self) -> Gating:
        gates, voltages = self.coupling.gates, None
        if self._device.has_wide_leads:
            voltages = self.voltages  # by which the levels move as seen from their occupation
        reach = (gates.reach if gates else 0.0) + (voltages.reach if voltages else 0.0)
        if not self._device.has_tails:  # where alone jumps count
            return Gating(reach, 0.0)
        drives = [one for given in (gates, voltages) if given for one in given.drives]
        jumps = next_jump((one.profile for one in drives), 0, self.dt) is not None
        # Until t = 0 leads are without voltages.
        jumps = jumps or (voltages is not None and bool(self.voltages_at(0.0, inside(0, self.dt)).any()))
        return Gating(reach, 2 * reach if jumps else 0.0)

    def _fewest_parts(self, electrons: RealTime) -> int:
        """Parts of a step that the method needs to be stable."""
        rate = electrons.fastest_rate(self._gates.largest, 0.0 if self.voltages is None else self.voltages.reach)
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
        sums, magnet = np.zeros(SUMS), self.coupling.magnet
        field = self.coupling.external(0.0, inside(0, self.dt)).field
        if field is not None:
            sums[4] = magnet.overlap(magnet.pack(self.start), field)
        return sums

    def voltages_at(self, t: float, within: float | None = None) -> np.ndarray:
        """Of the left and the right lead, (2,), energy."""
        return _NO_VOLTAGES if self.voltages is None else self.voltages.at(t, within)

    @property
    def both(self) -> MomentsAndElectrons:
        """The equations of moments and electrons."""
        self._now()
        assert self._both is not None
        return self._both

    @property
    def steps(self) -> WholeSteps | DividedSteps:
        """How they are followed."""
        self._now()
        assert self._steps is not None
        return self._steps

    @property
    def equation(self) -> RealTime:
        """The equation of the electrons."""
        return self.both.equation

    @property
    def electrons(self) -> Carrier:
        """What carries the state of the electrons."""
        return self.both.carrier

    @property
    def _used(self) -> RealTime:
        """The equation of the electrons, or what is planned until it is there."""
        return self._both.equation if self._both else self.planned

    def _begin(self, equation: RealTime, carrier: Carrier, kept: tuple[Any, np.ndarray, float]) -> None:
        self._kept = kept
        self._both = both = MomentsAndElectrons(
            self.coupling, self.dt, self.method, equation, carrier, self.imposed, self.voltages
        )
        if self.tolerance is None:
            tolerance = self._device.tolerance if self._tells else None
            self._steps = WholeSteps(both, self.duration, self._planned_for, tolerance, self._profiles)
        else:
            fewest = self._fewest_parts(equation)
            self._steps = DividedSteps(
                both, self.tolerance, self._planned_for, fewest, self._profiles, self._potentials
            )

    # --- what is remembered -----------------------------------------------------------------------

    def _now(self) -> tuple[Any, np.ndarray, float]:
        """State of the electrons, the sums, and the energy at the start."""
        if self._kept is None:
            potential = self._first_potential
            try:
                equation, carrier, state = adjusted(
                    self._device, self.start, potential, self.duration, self._carry, self._gates
                )
            except ToleranceError as error:
                raise RunError(f"electrons in real time, at the start: {error}") from None
            energy = carrier.energy(state, self.start, potential) + carrier.flows(state).coupling_energy
            self._fewest_parts(equation)
            self._begin(equation, carrier, (state, self._first_sums(), energy))
        assert self._kept is not None
        return self._kept

    def state(self) -> Remembered:
        state, sums, energy = self._now()
        own = {
            "electrons": self.electrons.get(state),
            "sums": sums,
            "planned_for": np.array(self._planned_for),
            "energy_at_start": np.array(energy),
        }
        return own | self.steps.state() | self.equation.remembered()

    def restore(self, remembered: Remembered) -> None:
        equation = RealTime.recalled(self._device, remembered)
        carrier = self._carry(equation)
        state = np.asarray(remembered["electrons"], float)
        if carrier.shape != equation.shape and state.shape == equation.shape:  # narrow lattices, now on a GPU
            state = TileLayout(equation).from_rows(state)
        elif carrier is equation and equation.is_plain and state.shape == (layout := TileLayout(equation)).shape:
            state = layout.to_rows(state)
        if state.shape != carrier.shape:
            raise ValueError(f"electrons of shape {state.shape}, not {carrier.shape}")
        sums = np.array(remembered["sums"], float)
        if sums.shape == (_SUMS_OF_OLDER_RUNS,):  # which had no driven fields
            sums = np.append(sums, np.zeros(SUMS - _SUMS_OF_OLDER_RUNS))
        if sums.shape != (SUMS,):
            raise ValueError(f"sums of shape {sums.shape}, not ({SUMS},)")
        energy, planned_for = (float(remembered[name]) for name in ("energy_at_start", "planned_for"))
        if not (np.isfinite(state).all() and np.isfinite([*sums, energy, planned_for]).all()):
            raise ValueError("electrons or sums that are not finite")
        if not planned_for > 0:
            raise ValueError(f"electrons for a run of {planned_for:g}")
        self._planned_for = planned_for
        # A copy of the state: its array is used again.
        self._begin(equation, carrier, (carrier.put(state), sums, energy))
        self.steps.restore(remembered)
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
        state, sums, energy = self._now()
        moved, after = self.steps.advance(n, Together(y, sums, state), limit)
        n = after - 1
        if self.imposed is not None:
            y = self.coupling.magnet.pack(self.imposed.moments((n + 1) * self.dt))
        else:
            y = self.coupling.magnet.normalize(moved.y)
            self._check(n, y)
        self._check_electrons(n, moved.state)
        self._add_work_of_jump(n + 1, moved)
        self.both.release(state)
        self._kept = moved.state, moved.sums, energy
        return n + 1, y

    def _add_work_of_jump(self, n: int, moved: Together) -> None:
        """What gates that jump at the beginning of step n give to the electrons at once."""
        if self.coupling.gates and next_jump(self._profiles, n - 1, self.dt) == n:
            before, after = (self.coupling.gate_state(n * self.dt, inside(k, self.dt))[0] for k in (n - 1, n))
            moved.sums[3] += ((after - before) * self.electrons.traced(moved.state)[..., 0]).sum()

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
            velocity = self.both.velocity(t, y, self.electrons.traced(state), inside(n, self.dt))
        else:
            velocity = magnet.pack(self.imposed.velocity(t))
        return RealTimeInstant(self, n, y, velocity, state, sums)

    def energy(self, state: Any, m: np.ndarray, potential: np.ndarray, flows: Flows, sums: np.ndarray) -> float:
        """Energy of the electrons since the start, leads included; not a number with a bath or a wide-band lead."""
        if len(self.equation.bath):
            return math.nan
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
