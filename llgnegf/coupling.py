"""The velocity of moments that electrons act on and that act on the electrons.

The electrons' field on the moments is B_el = back_action J_sd s (Hellmann-Feynman, s = Tr[rho sigma]).  To first
order in the motion s = s_ad + chi_V dV/dt + chi dm/dt, so the LLG equation is implicit in the velocity,

    v = v_0 - L[back_action J_sd chi v],   L b = [m x b + alpha m x (m x b)]/[S (1 + alpha^2)],

with v_0 the explicit velocity under the classical field, s_ad and the gates.  The linear system is solved (minimal
residuals) and not lagged: a fixed-point iteration diverges for strong coupling, a lag destroys the balance between the
sea and the surface part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as made_by
from functools import cached_property

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from llgnegf.electrons import Device, Frozen, Response
from llgnegf.electrons.counter import Counter
from llgnegf.errors import RunError
from llgnegf.gates import Gates
from llgnegf.magnet import Magnet

Field = Callable[[float, np.ndarray], np.ndarray]

# Near a resonance rounding may keep the residual above the tolerance asked; this is still below what a step errs by.
ACCEPTED_RESIDUAL = 1e-8
# A stage of a step may stretch moments a little; this long, the step is far too large and the electrons mean nothing.
_LONGEST_MOMENT = 10.0
# Passes of the velocity equation, at most: each direction is kept.
_MOST_DIRECTIONS = 200
# To what the equation without the sea part is solved in each pass, and in how many steps at most: the sea part spoils
# more than that, and on a resonance it cancels so much of the surface part that the latter alone leads astray.
_INNER_TOLERANCE, _MOST_INNER = 1e-1, 15


@dataclass
class Tried:
    """Responses to the motions tried on the way to a velocity, and how the velocity is made of them.

    The first is taken as it is.  Of each later one the overlaps with the directions before it are taken away, in turn;
    over its length it is the next direction, of which the solution takes a share.
    """

    responses: list[Response]
    overlaps: list[list[float]] = made_by(default_factory=list)
    lengths: list[float] = made_by(default_factory=list)
    shares: list[float] = made_by(default_factory=list)

    def together(self) -> Response:
        """The response to the velocity: linear in the motions, so nothing is evaluated again."""
        n = len(self.shares)
        taken = np.zeros(n + 1)
        taken[0] = 1.0
        directions = np.zeros((n, n + 1))
        for k, (overlaps, length, share) in enumerate(zip(self.overlaps, self.lengths, self.shares, strict=True)):
            directions[k, k + 1] = 1.0
            for j, overlap in enumerate(overlaps):
                directions[k] -= overlap * directions[j % k]
            directions[k] /= length
            taken += share * directions[k]

        def sum_of(parts: list[np.ndarray]) -> np.ndarray:
            return np.asarray(np.einsum("i,i...->...", taken, np.array(parts)))

        used = self.responses[: n + 1]
        ends = [one.driven_ends for one in used if one.driven_ends is not None]
        sea, surface = sum_of([one.sea for one in used]), sum_of([one.surface for one in used])
        return Response(sea, surface, sum_of(ends) if ends else None)


@dataclass(frozen=True)
class Motion:
    """Velocity and what came with it: v (packed), the electrons at this instant and their field (packed).

    tried: responses of the electrons that make up that to this motion, where any were needed.
    """

    velocity: np.ndarray
    frozen: Frozen | None
    electron_field: np.ndarray | None
    tried: Tried | None = None

    @cached_property
    def response(self) -> Response | None:
        """Of the electrons to this motion and to that of the gates."""
        return None if self.tried is None else self.tried.together()


class Coupling:
    """The right-hand side of the self-consistent equations.

    order 0: only s_ad acts; order 1: also the sea and surface terms, with `velocity_feedback` those of dm/dt as well
    as those of dV/dt.  `velocity_tolerance`: residual of the velocity equation relative to the velocity.
    `field(t, m)`: a user's own effective field, energy units, shape of m.

    It remembers nothing of one instant for the next but the count of `solves`, the Green's functions evaluated by all
    electrons that it froze.
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
        self._counter = Counter()

    @property
    def solves(self) -> int:
        """Green's functions evaluated so far."""
        return self._counter.count

    @solves.setter
    def solves(self, count: int) -> None:
        self._counter.count = count

    def freeze(self, t: float, m: np.ndarray) -> Frozen:
        """The electrons of moments m (nx[, ny], 3) and of the gates at t; what they evaluate counts as `solves`."""
        assert self.device is not None
        return self.device.freeze(m, self.gate_state(t)[0], self._counter)

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
        rate = self.gate_state(t)[1]
        frozen = self.freeze(t, self.magnet.unpack(y))
        if self.strength == 0:
            return Motion(self.magnet.velocity(y, own), frozen, None)
        if self.order == 1 and self.velocity_feedback:
            return self._solve(frozen, y, own, rate, near, t)
        # The response comes first: what it costs includes the adiabatic part.
        response = frozen.respond(np.zeros_like(frozen.m), rate) if self.order == 1 and rate.any() else None
        sea, surface = (0, 0) if response is None else (response.sea, response.surface)
        field = self._packed_field(frozen.adiabatic + sea + surface)
        velocity = self.magnet.velocity(y, _sum(own, field))
        return Motion(velocity, frozen, field, None if response is None else Tried([response]))

    def gate_state(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """Gate voltages and their rates at t, each of the lattice's shape."""
        assert self.device is not None
        if not self.gates:
            return np.zeros(self.device.shape), np.zeros(self.device.shape)
        return self.gates.potential(t), self.gates.rate(t)

    def _packed_field(self, density: np.ndarray) -> np.ndarray:
        """Field of a density (..., 4) traced with 1, sigma_x, sigma_y, sigma_z."""
        return self.magnet.pack(self.strength * density[..., 1:])

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
        self,
        frozen: Frozen,
        y: np.ndarray,
        own: np.ndarray | None,
        rate: np.ndarray,
        near: np.ndarray | None,
        t: float,
    ) -> Motion:
        """v = velocity under the field of s_ad + chi_V dV/dt + chi v, with that field and that response.

        Minimal residuals over the directions tried so far (GCR, Eisenstat, Elman, Schultz 1983), which allows another
        approximate inverse in every pass: on lattices that of the equation without the sea part, whose surface part
        costs one energy where the sea part costs a whole contour.
        """
        magnet, tolerance = self.magnet, self.velocity_tolerance
        shape = frozen.m.shape

        def flat(packed: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(magnet.unpack(packed)).ravel()

        def packed(vector: np.ndarray) -> np.ndarray:
            return magnet.pack(vector.reshape(shape))

        def answer(vector: np.ndarray, gates: np.ndarray) -> tuple[np.ndarray, Response]:
            response = frozen.respond(vector.reshape(shape), gates)
            return self._packed_field(response.sea + response.surface), response

        # The first application fixes the energies of the surface part; it is made with a physical motion.
        v = flat(magnet.velocity(y, _sum(own, near)))
        if not v.any() and not rate.any():
            v = flat(magnet.velocity(y, _sum(own, self._packed_field(frozen.adiabatic))))
        field, response = answer(v, rate)
        field += self._packed_field(frozen.adiabatic)
        explicit = flat(magnet.velocity(y, _sum(own, field)))
        residual = explicit - v
        # The first guess may lead far astray; a solution near zero is judged by what drives it.
        least = 1e-3 * float(np.linalg.norm(explicit))
        directions: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        tried = Tried([response])
        still = np.zeros_like(rate)
        most = min(v.size, _MOST_DIRECTIONS)
        while np.linalg.norm(residual) > tolerance * max(float(np.linalg.norm(v)), least) and len(directions) < most:
            step = self._without_sea(frozen, y, residual)
            reply, response = answer(step, still)
            tried.responses.append(response)
            overlaps = []
            image = step - flat(magnet.respond(y, reply))
            for _ in range(2):  # once more for what rounding left
                for old_step, old_image, old_reply in directions:
                    overlap = old_image @ image
                    overlaps.append(float(overlap))
                    step, image, reply = (
                        step - overlap * old_step,
                        image - overlap * old_image,
                        reply - overlap * old_reply,
                    )
            length = np.linalg.norm(image)
            if not length > 1e-14 * np.linalg.norm(residual):
                break
            step, image, reply = step / length, image / length, reply / length
            directions.append((step, image, reply))
            share = image @ residual
            tried.overlaps.append(overlaps)
            tried.lengths.append(float(length))
            tried.shares.append(float(share))
            v, residual, field = v + share * step, residual - share * image, field + share * reply
        size = max(float(np.linalg.norm(v)), least)
        left = float(np.linalg.norm(residual)) / size if size else 0.0  # nothing moves and nothing drives
        worst = np.unravel_index(np.argmax(np.where(np.isfinite(residual), abs(residual), np.inf)), shape)[:-1]
        site = [int(i) for i in worst]
        if not np.isfinite(left):
            raise RunError(
                f"the velocity of site {site} is beyond all bounds at t = {t:g}: integrator.step is too large, or a "
                "term of the deck is; try half the step. The last checkpoint is kept"
            )
        if left > max(ACCEPTED_RESIDUAL, 10 * tolerance):
            raise RunError(
                f"the velocity equation did not converge at t = {t:g} (residual {left:.1e}, asked {tolerance:.0e}, "
                f"largest at site {site}): a resonance at the Fermi energy, perhaps; try a larger "
                "electrons.velocity_tolerance, another electrons.fermi_energy, a shorter integrator.step, or "
                "electrons.velocity_feedback = false to see the motion without it. The last checkpoint is kept"
            )
        return Motion(packed(v), frozen, field, tried)

    def _without_sea(self, frozen: Frozen, y: np.ndarray, b: np.ndarray) -> np.ndarray:
        """About the v with v - L[J_sd chi_surf v] = b where that is cheap; b on chains, where both cost alike."""
        if not frozen.surface_is_cheap:
            return b
        magnet, shape = self.magnet, frozen.m.shape
        no_rate = np.zeros(frozen.device.shape)

        def image(vector: np.ndarray) -> np.ndarray:
            density = frozen.surface(frozen.device.coupling_blocks(vector.reshape(shape), no_rate))
            return vector - magnet.unpack(magnet.respond(y, self._packed_field(density))).ravel()

        operator = LinearOperator((b.size, b.size), matvec=image, dtype=float)
        return gmres(operator, b, rtol=_INNER_TOLERANCE, atol=0.0, restart=_MOST_INNER, maxiter=1)[0]


def _sum(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    """Two packed fields, each of which may not be there."""
    return b if a is None else a if b is None else a + b


def field_name(field: Field) -> str:
    """The name under which a user's field is recorded."""
    module = getattr(field, "__module__", None)
    name = getattr(field, "__qualname__", type(field).__qualname__)
    return f"{module}.{name}" if module else name
