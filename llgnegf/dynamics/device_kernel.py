"""Moments that the electrons of a chain or small lattice remember: the LLG equation with a convolution.

    S dm_i/dt = -m_i x (B_i + F_i),     F_i = J_sd [s_i(m^r) + sum_j chi_ij(0) (m_j(0) - m_j^r)
                                                    + sum_j int_0^t chi_ij(tau) (m_j(t - tau) - m_j(0)) dtau]

to first order in m - m^r and for any frequency: (27) to (30) of Xu et al., Phys. Rev. B 108, 144409 (2023), where
m^r = 0 ("weak": electrons without moments, for a weak J_sd).  Or m^r = m(0), for small motions at any J_sd.  Until t =
0 the moments stood still.  chi: `electrons/device_memory.py`.  One step is Heun's; the integral is exact where moments
move on straight lines within a step: of second order in the step, which has to resolve the moments alone.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from llgnegf.dynamics.counted import Counted
from llgnegf.dynamics.coupling import Coupling, Motion
from llgnegf.dynamics.external import Drives, External
from llgnegf.dynamics.profiles import inside
from llgnegf.dynamics.stepper import Instant, Remembered, check_moments
from llgnegf.dynamics.tensor_motion import Nearness
from llgnegf.electrons import Device, LinearResponse
from llgnegf.electrons.counter import Counter
from llgnegf.electrons.device_memory import DeviceMemory, Steps
from llgnegf.errors import RunWarning
from llgnegf.magnet import Magnet

# J_sd over the hopping from which on its first order may be wrong by some ten per cent.
_WEAK = 0.3


class DeviceKernelCoupling(Coupling):
    """The right-hand side at a time at which the past is known.

    start: m(0); reference: m^r, both shaped as the lattice, (..., 3); duration: of the run, dt: its step, energy^-1.
    """

    def __init__(
        self,
        magnet: Magnet,
        device: Device,
        start: np.ndarray,
        reference: np.ndarray,
        duration: float,
        dt: float,
        *,
        back_action: float,
        drives: Drives | None = None,
        field: Any = None,
    ) -> None:
        super().__init__(magnet, field=field, drives=drives)
        J = device.sd_exchange
        assert isinstance(J, float)  # decks have memories with one number for all sites
        self.sd_exchange, self.strength = J, back_action * J
        self.acts = self.strength != 0
        self.start, self.reference, self.dt, self.duration = start, reference, dt, max(duration, dt)
        frozen = device.freeze(reference, counter=Counter())
        self.linear_response = device.linear_response_of(frozen)
        self._at_start = frozen.at_rest[..., 1:].copy()
        away = start - reference
        if away.any():
            chi = self.linear_response.tensors.susceptibility
            n = away.size // 3
            moved = np.moveaxis(chi, 1, 2).reshape(3 * n, 3 * n) @ away.ravel()
            self._at_start = self._at_start + moved.reshape(away.shape)
        self.take(DeviceMemory.of(device, reference, self.duration))
        self._nearness = Nearness('kernel = "reference"') if reference.any() else None
        strength = abs(J) / device.hopping
        if self._nearness is None and strength > _WEAK:
            warnings.warn(
                f'motion.kernel = "weak": the answer of the electrons is of first order in J_sd, which is '
                f'{strength:.2g} times the hopping; use it below about {_WEAK:g}, or kernel = "reference" for small '
                "motions",
                RunWarning,
                stacklevel=2,
            )

    def take(self, memory: DeviceMemory) -> None:
        """Go on with this memory."""
        self.steps = Steps(memory, self.dt)

    def moved(self, y: np.ndarray) -> np.ndarray:
        """m - m(0) of packed moments, (N, 3)."""
        return (self.magnet.unpack(y) - self.start).reshape(-1, 3)

    def judge(self, m: np.ndarray) -> None:
        """Tell once where moments m (..., 3) have gone far from the reference."""
        if self._nearness is not None:
            self._nearness.judge(m - self.reference)

    def spin(self, past: np.ndarray, at_once: np.ndarray | float = 0.0) -> np.ndarray:
        """Tr[rho sigma], (..., 3), of a past Y; at_once: what Y does not have yet, (N, 3)."""
        return np.asarray(self._at_start + (self.steps.spin(past) + at_once).reshape(self.start.shape))

    def at(self, t: float, y: np.ndarray, spin: np.ndarray, within: float) -> Motion:
        """Velocity of packed moments among electrons of this spin density, (..., 3)."""
        field = self.magnet.pack(self.strength * spin)
        return Motion(self.velocity_in(field, t, y, within), None, field)


class DeviceKernelInstant(Instant):
    """An instant of such a run; spin_density: Tr[rho sigma] to first order in m - m^r, shaped as m."""

    def __init__(
        self,
        coupling: DeviceKernelCoupling,
        n: int,
        t: float,
        y: np.ndarray,
        motion: Motion,
        external: External,
        spin: np.ndarray,
    ):
        super().__init__(coupling.magnet, n, t, y, motion.velocity, external)
        self._coupling, self.spin_density, self.sd_exchange = coupling, spin, coupling.sd_exchange

    @property
    def linear_response(self) -> LinearResponse:
        """About the reference."""
        return self._coupling.linear_response

    @property
    def response_frequencies(self) -> tuple[float, ...]:
        """At which alpha(omega) is asked for, energy/hbar."""
        return self._coupling.response_frequencies


class DeviceKernelStepper(Counted):
    """Heun steps; the state is what the electrons remember, and as what they do."""

    coupling: DeviceKernelCoupling

    def __init__(self, coupling: DeviceKernelCoupling) -> None:
        self.coupling, self.dt = coupling, coupling.dt
        self._past, self._planned_for = coupling.steps.nothing, coupling.duration

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        """See `Stepper`."""
        coupling, magnet, within = self.coupling, self.coupling.magnet, inside(n, self.dt)
        first = coupling.at(n * self.dt, y, coupling.spin(self._past), within).velocity
        past = coupling.steps.goes_on(self._past, coupling.moved(y))
        tried = y + self.dt * first
        spin = coupling.spin(past, coupling.steps.spin_at_once(coupling.moved(tried)))
        second = coupling.at((n + 1) * self.dt, tried, spin, within).velocity
        new = magnet.normalize(y + self.dt / 2 * (first + second))
        stretched = magnet.stretched
        coupling.judge(magnet.unpack(new))
        if stretched is not None:
            check_moments(magnet.unpack(new), n + 1, self.dt, stretched)
        self._past = coupling.steps.ends(past, coupling.moved(new))
        return n + 1, new

    def instant(self, n: int, y: np.ndarray) -> Instant:
        """See `Stepper`."""
        coupling, t, within = self.coupling, n * self.dt, inside(n, self.dt)
        spin = coupling.spin(self._past)
        motion = coupling.at(t, y, spin, within)
        return DeviceKernelInstant(coupling, n, t, y, motion, coupling.external(t, within), spin)

    def state(self) -> Remembered:
        """See `Stepper`."""
        planned = {"planned_for": np.array(self._planned_for)}
        return {"past": self._past, **planned, **self.coupling.steps.memory.remembered()}

    def restore(self, remembered: Remembered) -> None:
        """See `Stepper`.  KeyError, ValueError for what is not such a state."""
        coupling, planned_for = self.coupling, float(remembered["planned_for"])
        if not planned_for > 0:
            raise ValueError(f"electrons for a run of {planned_for:g}")
        coupling.take(DeviceMemory.recalled(remembered))
        past, shape = remembered["past"], coupling.steps.nothing.shape
        if past.shape != shape or past.dtype != np.complex128 or not np.isfinite(past).all():
            raise ValueError(f"past: {past.dtype} of shape {past.shape}, not finite complex128 of shape {shape}")
        self._past, self._planned_for = np.ascontiguousarray(past), planned_for
        if coupling.duration > planned_for * (1 + 1e-9):
            warnings.warn(
                f"the memory of the leads was chosen for a run of {planned_for:g} and stays as it is; beyond it its "
                f"error goes on to grow, so that electrons.tolerance need not hold up to run.duration = "
                f"{coupling.duration:g}: only a new run of this duration has it to its end",
                RunWarning,
                stacklevel=2,
            )
