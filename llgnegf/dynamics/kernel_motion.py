"""A moment that a molecule's electrons remember: the LLG equation with a convolution in place of a Gilbert tensor.

    S dm/dt = -m x (B + F),     F = J_sd s(m_r) - K(0) (m - m_r) - int_0^t a(tau) dm/dt(t - tau) dtau

to first order in m - m_r and for any frequency: (27) to (30) of Xu et al., Phys. Rev. B 108, 144409 (2023), where
m_r = 0 ("weak": electrons without the moment, for a weak J_sd).  Or m_r = m(0), for small motions at any J_sd.  Until
t = 0 the moment stood still.  a and K(0): `electrons/memory_kernel.py`.  One step is Heun's, the integral the
trapezoidal rule on the steps: of second order in the step, which has to resolve the electrons.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from llgnegf.dynamics.counted import Counted
from llgnegf.dynamics.coupling import Motion
from llgnegf.dynamics.external import Drives, External
from llgnegf.dynamics.profiles import inside
from llgnegf.dynamics.stepper import Instant, Remembered, check_moments
from llgnegf.dynamics.tensor_motion import Nearness, OfMolecule, TensorCoupling
from llgnegf.electrons import FrozenMolecule, LinearResponse, Molecule, Tensors
from llgnegf.electrons.memory_kernel import memory_kernel
from llgnegf.errors import RunWarning
from llgnegf.magnet import Magnet
from llgnegf.once import cached_property

# J_sd over the distance of the nearest level, from which on its first order is wrong by some ten per cent.
_WEAK = 0.3


class KernelCoupling(TensorCoupling):
    """The right-hand side at a time at which the past is known.

    reference: m_r, (3,); dt: the step, energy^-1.
    """

    def __init__(
        self,
        magnet: Magnet,
        molecule: Molecule,
        reference: np.ndarray,
        dt: float,
        *,
        back_action: float,
        drives: Drives | None = None,
        field: Any = None,
    ) -> None:
        super().__init__(
            magnet,
            OfMolecule(molecule),
            back_action=back_action,
            sd_exchange=molecule.sd_exchange,
            field=field,
            drives=drives,
        )
        self.reference, self.dt = reference, dt
        self._frozen: FrozenMolecule = molecule.freeze(reference)
        self._nearness = Nearness('kernel = "reference"') if reference.any() else None
        strength = abs(molecule.sd_exchange) / self._frozen.distance_of_levels
        if self._nearness is None and strength > _WEAK:
            warnings.warn(
                f'motion.kernel = "weak": the answer of the electrons is of first order in J_sd, which is '
                f"{strength:.2g} times the distance of the nearest level, its width included, from the Fermi energy; "
                f'use it below about {_WEAK:g}, or kernel = "reference" for small motions',
                RunWarning,
                stacklevel=2,
            )

    def judge(self, m: np.ndarray) -> None:
        """Tell once where moments m (1, 3) have gone far from the reference."""
        if self._nearness is not None:
            self._nearness.judge(m - self.reference)

    @property
    def tensors(self) -> Tensors:
        """About the reference."""
        return self.linear_response.tensors

    @property
    def linear_response(self) -> LinearResponse:
        """About the reference."""
        return self._frozen.linear_response

    @cached_property
    def kernel(self) -> np.ndarray:
        """a at whole steps, (n, 3, 3)."""
        return memory_kernel(self._frozen, self.dt)

    def remembered(self, past: np.ndarray, n: int) -> np.ndarray:
        """The integral at step n less the share of the velocity there: (3,); past: the last velocities, (k, 3)."""
        k = len(past)
        if not k:
            return np.zeros(3)
        weights = np.full(k, self.dt)
        if k == n:
            weights[0] /= 2  # the first step of the run: an end of the integral
        return np.asarray(np.einsum("k,kab,kb->a", weights, self.kernel[k:0:-1], past))

    def at(self, t: float, y: np.ndarray, past: np.ndarray, n: int, within: float) -> Motion:
        """Velocity at step n (packed), for velocities `past` (k, 3) of the steps before."""
        external = self.external(t, within)
        own, m = self._own_field(t, y, external, within), self.magnet.unpack(y).reshape(3)
        at_rest = self._back_action * self._field(m, past, n).reshape(self.magnet.unpack(y).shape)
        velocity, field = self._solved(y, at_rest, self._back_action * self._share(n), own, external.current, t)
        return Motion(velocity, None, field)

    def _field(self, m: np.ndarray, past: np.ndarray, n: int) -> np.ndarray:
        """J_sd s of a moment m (3,) at step n without the share of the velocity there, (3,)."""
        at_rest = self.sd_exchange * self._frozen.spin - self.tensors.stiffness[0, 0] @ (m - self.reference)
        return np.asarray(at_rest - self.remembered(past, n))

    def _share(self, n: int) -> np.ndarray:
        """What -J_sd s has of the velocity at step n, (1, 1, 3, 3), hbar."""
        return self.kernel[None, None, 0] * (self.dt / 2 if n else 0.0)

    def spin(self, m: np.ndarray, velocity: np.ndarray, past: np.ndarray, n: int) -> np.ndarray:
        """Tr[rho sigma] of a moment (1, 3) with this velocity (1, 3) at step n: (1, 3)."""
        if not self.sd_exchange:
            return np.array(self._frozen.spin, float).reshape(m.shape)
        field = self._field(m.reshape(3), past, n) - self._share(n)[0, 0] @ velocity.reshape(3)
        return np.asarray(field / self.sd_exchange).reshape(m.shape)

    @property
    def longest(self) -> int:
        """How many velocities are remembered."""
        return len(self.kernel) - 1


class KernelInstant(Instant):
    """An instant of such a run; spin_density: Tr[rho sigma] to first order in m - m_r, shaped as m."""

    def __init__(
        self,
        coupling: KernelCoupling,
        n: int,
        t: float,
        y: np.ndarray,
        motion: Motion,
        external: External,
        past: np.ndarray,
    ):
        super().__init__(coupling.magnet, n, t, y, motion.velocity, external)
        self._coupling, self.sd_exchange = coupling, coupling.sd_exchange
        self.spin_density = coupling.spin(self.m, self.velocity, past, n)

    @property
    def response_frequencies(self) -> tuple[float, ...]:
        """At which alpha(omega) is asked for, energy/hbar."""
        return self._coupling.response_frequencies

    @property
    def linear_response(self) -> LinearResponse:
        """About the reference."""
        return self._coupling.linear_response

    @property
    def solves(self) -> int:
        """Green's functions evaluated so far: none are counted."""
        return self._coupling.solves


class KernelStepper(Counted):
    """Heun steps; the state is the velocities of the steps that are remembered."""

    coupling: KernelCoupling

    def __init__(self, coupling: KernelCoupling) -> None:
        self.coupling, self.dt = coupling, coupling.dt
        self._past = np.empty((0, 3))

    def _motion(self, n: int, y: np.ndarray, past: np.ndarray, step: int) -> Motion:
        return self.coupling.at(n * self.dt, y, past, n, inside(step, self.dt))

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        """See `Stepper`."""
        magnet = self.coupling.magnet
        first = self._motion(n, y, self._past, n).velocity
        past = np.concatenate([self._past, magnet.unpack(first).reshape(1, 3)])[-self.coupling.longest :]
        second = self._motion(n + 1, y + self.dt * first, past, n).velocity
        self._past = past
        new = magnet.normalize(y + self.dt / 2 * (first + second))
        self.coupling.judge(magnet.unpack(new))
        if magnet.stretched is not None:
            check_moments(magnet.unpack(new), n + 1, self.dt, magnet.stretched)
        return n + 1, new

    def instant(self, n: int, y: np.ndarray) -> Instant:
        """See `Stepper`."""
        t = n * self.dt
        motion = self._motion(n, y, self._past, n)
        external = self.coupling.external(t, inside(n, self.dt))
        return KernelInstant(self.coupling, n, t, y, motion, external, self._past)

    def state(self) -> Remembered:
        """See `Stepper`."""
        return {"past_velocities": self._past}

    def restore(self, remembered: Remembered) -> None:
        """See `Stepper`.  ValueError for what is not such a state."""
        past = remembered["past_velocities"]
        if past.dtype != np.float64 or past.ndim != 2 or past.shape[1] != 3 or not np.isfinite(past).all():
            raise ValueError(f"past_velocities: {past.dtype} of shape {past.shape}, not finite float64 of shape (n, 3)")
        self._past = np.ascontiguousarray(past)
