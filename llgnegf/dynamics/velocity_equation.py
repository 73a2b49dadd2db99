"""The implicit equation for the velocity of the moments, solved.

    v = v_0 - L[back_action J_sd chi v],   L b = [m x b + alpha m x (m x b)]/[S (1 + alpha^2)],

with v_0 the explicit velocity under the classical field, s_ad and the gates, and chi the response of the electrons'
spin density to dm/dt.  The linear system is solved (minimal residuals) and not lagged: a fixed-point iteration diverges
for strong coupling, a lag destroys the balance between the sea and the surface part.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from llgnegf.electrons import ClosedFrozen, Frozen, Response
from llgnegf.errors import RunError
from llgnegf.magnet import Magnet

# Relative residual that is accepted where rounding, near a resonance, keeps it above the tolerance asked for.  It is
# still below the error of a time step.
ACCEPTED_RESIDUAL = 1e-8
# Most iterations of the velocity equation.  Every direction is kept, so memory grows with them.
_MOST_DIRECTIONS = 200
# Relative tolerance and most iterations of the inner solve, which has the surface part alone.  To solve it better gains
# nothing: the sea part that it lacks is larger than this tolerance, and on a resonance it cancels most of the surface.
_INNER_TOLERANCE, _MOST_INNER = 1e-1, 15


@dataclass
class Tried:
    """Responses to the motions tried on the way to a velocity, and how the velocity is made of them.

    responses: the first is that to the initial guess, which enters with weight 1; each later one belongs to a trial
    motion.  A trial motion becomes a direction in that `overlaps` times the earlier directions are subtracted, in their
    order and twice, and the rest is divided by its length (`lengths`).  The velocity is the guess and `shares` of the
    directions.
    """

    responses: list[Response]
    overlaps: list[list[float]] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

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

        def combined(parts: list[np.ndarray]) -> np.ndarray:
            return np.asarray(np.einsum("i,i...->...", taken, np.array(parts)))

        used = self.responses[: n + 1]
        ends = [one.driven_ends for one in used if one.driven_ends is not None]
        sea, surface = combined([one.sea for one in used]), combined([one.surface for one in used])
        bias = [one.bias for one in used if one.bias is not None]
        return Response(sea, surface, combined(ends) if ends else None, combined(bias) if bias else None)


def solve(
    magnet: Magnet,
    frozen: Frozen | ClosedFrozen,
    strength: float | np.ndarray,
    y: np.ndarray,
    rate: np.ndarray,
    own: np.ndarray | None,
    near: np.ndarray | None,
    *,
    t: float,
    tolerance: float,
    current: float = 1.0,
    leads: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, Tried]:
    """v = velocity under the field of s_ad + chi_V dV/dt + chi v; v, that field (both packed) and the responses in it.

    Leads at different chemical potentials add s_bias to s_ad.

    frozen: the electrons at packed moments y; strength: see `Coupling`; rate:
    dV/dt, (nx[, ny]); own: fields of a user and of drives, packed; near: a field of the electrons to start from,
    packed; t: for messages; tolerance: of the residual relative to the velocity; current: scales that of Zhang and Li;
    leads: density (nx[, ny], 4) that voltages which change add to s_ad, traced with 1 and sigma.
    Fixed moments have neither row nor column: magnet.velocity and magnet.respond are zero there, and so is v.  Raises
    RunError where it does not converge.

    Minimal residuals over the directions tried so far (GCR, Eisenstat, Elman, Schultz 1983), which allows another
    approximate inverse in every pass: on lattices that of the equation without the sea part, whose surface part
    costs one energy where the sea part costs a whole contour.
    """
    shape = frozen.m.shape

    def flat(packed: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(magnet.unpack(packed)).ravel()

    def packed(vector: np.ndarray) -> np.ndarray:
        return magnet.pack(vector.reshape(shape))

    def packed_field(density: np.ndarray) -> np.ndarray:
        return magnet.pack(strength * density[..., 1:])

    def without_sea(b: np.ndarray) -> np.ndarray:
        """About the v with v - L[J_sd chi_surf v] = b where that is cheap; b on chains, where both parts cost alike."""
        if not (frozen.surface_is_cheap and isinstance(frozen, Frozen)):
            return b
        from scipy.sparse.linalg import LinearOperator, gmres  # heavy import, for lattices alone

        no_rate = np.zeros(frozen.device.shape)

        def image(vector: np.ndarray) -> np.ndarray:
            density = frozen.surface(frozen.device.coupling_blocks(vector.reshape(shape), no_rate))
            return vector - magnet.unpack(magnet.respond(y, packed_field(density))).ravel()

        operator = LinearOperator((b.size, b.size), matvec=image, dtype=float)
        found = gmres(operator, b, rtol=_INNER_TOLERANCE, atol=0.0, restart=_MOST_INNER, maxiter=1)[0]
        return np.asarray(found)

    def answer(vector: np.ndarray, gates: np.ndarray) -> tuple[np.ndarray, Response]:
        response = frozen.respond(vector.reshape(shape), gates)
        return packed_field(response.density), response

    def at_rest() -> np.ndarray:
        return packed_field(frozen.at_rest if leads is None else frozen.at_rest + leads)

    # The first application fixes the energies of the surface part; it is made with a physical motion.
    v = flat(magnet.velocity(y, sum_of(own, near), current))
    if not v.any() and not rate.any():
        v = flat(magnet.velocity(y, sum_of(own, at_rest()), current))
    field, response = answer(v, rate)
    field += at_rest()
    explicit = flat(magnet.velocity(y, sum_of(own, field), current))
    residual = explicit - v
    # The first guess may lead far astray; a solution near zero is judged by what drives it.
    least = 1e-3 * float(np.linalg.norm(explicit))
    directions: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    tried = Tried([response])
    still = np.zeros_like(rate)
    most = min(v.size, _MOST_DIRECTIONS)
    while np.linalg.norm(residual) > tolerance * max(float(np.linalg.norm(v)), least) and len(directions) < most:
        step = without_sea(residual)
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
    return packed(v), field, tried


def sum_of(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    """The sum of two packed fields, where None stands for no field."""
    return b if a is None else a if b is None else a + b
