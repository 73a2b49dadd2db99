"""The velocity of moments that electrons act on and that act on the electrons.

The electrons' field on the moments is B_el = back_action J_sd s (Hellmann-Feynman, s = Tr[rho sigma]).  To first
order in the motion s = s_ad + chi_V dV/dt + chi dm/dt, so the LLG equation is implicit in the velocity,

    v = v_0 - L[back_action J_sd chi v],   L b = [m x b + alpha m x (m x b)]/[S (1 + alpha^2)],

with v_0 the explicit velocity under the classical field, s_ad and the gates.  The linear system is solved (GMRES on
the map itself) and not lagged: a fixed-point iteration diverges for strong coupling, a lag destroys the balance
between the sea and the surface part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from llgnegf.electrons import Device, Frozen
from llgnegf.errors import RunError
from llgnegf.gates import Gates
from llgnegf.magnet import Magnet

Field = Callable[[float, np.ndarray], np.ndarray]

# Near a resonance rounding may keep GMRES from the tolerance asked; this is still below what a step errs by.
ACCEPTED_RESIDUAL = 1e-8
# A stage of a step may stretch moments a little; this long, the step is far too large and the electrons mean nothing.
_LONGEST_MOMENT = 10.0


@dataclass(frozen=True)
class Motion:
    """Velocity and what came with it: v (packed), the electrons at this instant and their field (packed)."""

    velocity: np.ndarray
    frozen: Frozen | None
    electron_field: np.ndarray | None


class Coupling:
    """The right-hand side of the self-consistent equations.

    order 0: only s_ad acts; order 1: also the sea and surface terms, with `velocity_feedback` those of dm/dt as well
    as those of dV/dt.  `velocity_tolerance`: residual of the velocity equation relative to v_0.  `field(t, m)`: a
    user's own effective field, energy units, shape of m.

    It remembers nothing of one instant for the next but the count of `solves`.
    """

    def __init__(
        self,
        magnet: Magnet,
        device: Device | None = None,
        gates: Gates | None = None,
        *,
        order: int = 1,
        velocity_feedback: bool = True,
        back_action: float = 1.0,
        velocity_tolerance: float = 1e-11,
        field: Field | None = None,
    ) -> None:
        self.magnet, self.device, self.gates, self.field = magnet, device, gates, field
        self.order, self.velocity_feedback = order, velocity_feedback
        self.velocity_tolerance = velocity_tolerance
        self.strength = back_action * device.sd_exchange if device else 0.0
        self.solves = 0

    def velocity(self, t: float, y: np.ndarray) -> np.ndarray:
        """dm/dt, packed."""
        if self.strength == 0 and self.field is None:
            return self.magnet.velocity(y)
        return self.motion(t, y).velocity

    def velocity_in(self, electron_field: np.ndarray | None, t: float, y: np.ndarray) -> np.ndarray:
        """dm/dt, packed, in a given field of the electrons (packed): explicit, no electron is asked."""
        return self.magnet.velocity(y, _sum(self._user_field(t, y), electron_field))

    def motion(self, t: float, y: np.ndarray, near: np.ndarray | None = None) -> Motion:
        """Velocity, electrons and their field at (t, y); raises RunError where the velocity cannot be had.

        near: a field of the electrons (packed) like the one to be found; the velocity equation is solved from there.
        """
        own = self._user_field(t, y)
        if self.device is None:
            return Motion(self.magnet.velocity(y, own), None, None)
        if not np.abs(y).max() < _LONGEST_MOMENT:  # NaN included
            raise RunError(
                f"a moment grew to a length above {_LONGEST_MOMENT:g} within a step, at t = {t:g}: integrator.step is "
                "too large, or a term of the deck is; try half the step. The last checkpoint is kept"
            )
        potential, rate = self.gate_state(t)
        frozen = self.device.freeze(self.magnet.unpack(y), potential)
        if self.strength == 0:
            return Motion(self.magnet.velocity(y, own), frozen, None)
        spin = frozen.adiabatic[:, 1:]
        if self.order == 1 and rate.any():
            sea, surface = frozen.response(np.zeros_like(frozen.m), rate)
            spin = spin + (sea + surface)[:, 1:]
        field = self._packed_field(spin)
        velocity = self.magnet.velocity(y, _sum(own, field))
        if self.order == 1 and self.velocity_feedback:
            guess = velocity if near is None else self.magnet.velocity(y, _sum(own, near))
            velocity, feedback = self._solve(frozen, y, velocity, t, guess)
            field = field + feedback
        self.solves += frozen.solves
        frozen.solves = 0
        return Motion(velocity, frozen, field)

    def gate_state(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """Gate voltages and their rates at t, each (n,)."""
        assert self.device is not None
        if not self.gates:
            return np.zeros(self.device.n_sites), np.zeros(self.device.n_sites)
        return self.gates.potential(t), self.gates.rate(t)

    def _packed_field(self, spin: np.ndarray) -> np.ndarray:
        return self.magnet.pack(self.strength * spin)

    def _user_field(self, t: float, y: np.ndarray) -> np.ndarray | None:
        if self.field is None:
            return None
        m = self.magnet.unpack(y).copy()
        name = field_name(self.field)
        try:
            values = np.asarray(self.field(t, m), dtype=float)
        except Exception as error:
            raise RunError(f"field {name!r} raised {type(error).__name__} at t = {t:g}: {error}") from error
        if values.shape != m.shape:
            raise RunError(f"field {name!r} returned shape {values.shape} at t = {t:g}: expected {m.shape}")
        if not np.isfinite(values).all():
            site = np.argwhere(~np.isfinite(values).all(axis=-1))[0].tolist()
            raise RunError(
                f"field {name!r} returned {values[tuple(site)].tolist()} for site {site} at t = {t:g}: expected finite "
                "numbers"
            )
        return self.magnet.pack(values)

    def _solve(
        self, frozen: Frozen, y: np.ndarray, v0: np.ndarray, t: float, guess: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """v and the packed field of the moments' own motion: v + L[...] = v0, solved from `guess` (packed)."""
        magnet, rtol = self.magnet, self.velocity_tolerance
        start = magnet.unpack(v0)
        if not start.any():
            return v0, np.zeros_like(v0)
        accepted = max(ACCEPTED_RESIDUAL, 10 * rtol)
        no_rate = np.zeros(frozen.device.n_sites)

        def feedback(velocity: np.ndarray) -> np.ndarray:
            sea, surface = frozen.response(velocity.reshape(start.shape), no_rate)
            return self._packed_field((sea + surface)[:, 1:])

        def residual(velocity: np.ndarray) -> np.ndarray:
            return velocity - magnet.unpack(magnet.respond(y, feedback(velocity))).ravel()

        n = start.size
        operator = LinearOperator((n, n), matvec=residual, dtype=float)
        b = np.ascontiguousarray(start).ravel()
        # The first application fixes the energies of the surface part; it is made with a physical motion, never with 0.
        x0 = np.ascontiguousarray(magnet.unpack(guess)).ravel() if guess.any() else b
        solution, failed = gmres(operator, b, x0=x0, rtol=rtol, atol=0.0, restart=min(n, 60), maxiter=20)
        if failed:
            left = np.linalg.norm(b - residual(solution)) / np.linalg.norm(b)
        if failed and not left < accepted:
            raise RunError(
                f"the velocity equation did not converge at t = {t:g} (residual {left:.1e}, asked "
                f"{accepted:.0e}): a resonance at the Fermi energy, perhaps; try a higher "
                "electrons.temperature, or electrons.velocity_feedback = false to see the motion without it"
            )
        return magnet.pack(solution.reshape(start.shape)), feedback(solution)


def _sum(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    """Two packed fields, each of which may not be there."""
    return b if a is None else a if b is None else a + b


def field_name(field: Field) -> str:
    """The name under which a user's field is recorded."""
    module = getattr(field, "__module__", None)
    name = getattr(field, "__qualname__", type(field).__qualname__)
    return f"{module}.{name}" if module else name
