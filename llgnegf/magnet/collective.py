"""A wall by two numbers: its position X and the amplitude xi_0 of its zero mode out of the plane.

The wall of J. Kishine and A. S. Ovchinnikov, "Correlated dynamics of itinerant spins and a domain wall": easy axis x,
hard axis z, width lambda = sqrt(J/2K), moments turning along x in the x-y plane.  phi = phi0(x - X) and theta = pi/2 +
xi_0 Phi_0(x - X), as measured by `textures.zero_mode`.  Electrons with spin density s act on it through

    T = sum d(phi0)/dx s.(z x n0),   P = sum Phi_0^2 s.n0,   Q = sum Phi_0 s.z      (`textures.spin_on_wall`).

Derivation.  Moments that obey S dm/dt = -m x B + S alpha m x dm/dt have the Lagrangian and the dissipation function

    L = S sum (1 - cos theta) dphi/dt - E,   R = (alpha S/2) sum (dm/dt)^2.

Inserting the wall, to second order in xi_0, with dphi/dt = -V d(phi0)/dx = -V turn sqrt(2/lambda) Phi_0, m = n0 - z
xi_0 Phi_0 - n0 (xi_0 Phi_0)^2/2, E_electrons = -J_sd sum s.m, and K_hard the hard axis (the only term of E that depends
on xi_0; that on X is the electrons'):

    L = -turn S sqrt(2/lambda) xi_0 V - K_hard xi_0^2 + J_sd (sum s.n0 - xi_0 Q - xi_0^2 P/2) + total derivative,
    R = (alpha S/2) [(d xi_0/dt)^2 + 2 V^2/lambda].

The equations of motion, with g = -turn S sqrt(2/lambda) and V = dX/dt, are

    g d(xi_0)/dt + J_sd T = -2 alpha S V/lambda,                                                            (12a)
    -g V + (2 K_hard + J_sd P) xi_0 + J_sd Q = -alpha S d(xi_0)/dt.                                         (12b)

In print g = +S sqrt(2/lambda) for their wall, turn = 1, because their Lagrangian, S (cos theta - 1) dphi/dt, is that
of moments that turn clockwise about the field: xi_0 has the other sign, V the same.  Print also has no Q.  Their J S^2
is J here, K_hard = J/(2 kappa^2), and their J_sd T is J_sd T/S here (`textures.spin_on_wall`).  hbar = a = 1.

Solution at constant T, P and Q: everything relaxes with tau = S (1/alpha + alpha)/(2 K_hard + J_sd P), their Eq. (16),
to V* = -lambda J_sd T/(2 alpha S) and xi_0* = (g V* - J_sd Q)/(2 K_hard + J_sd P), their Eq. (15) at Q = 0.  From rest
at Q = 0

    xi_0 = xi_0* (1 - e^(-t/tau)),   V = V* [1 - e^(-t/tau)/(1 + alpha^2)]:

V begins with alpha^2/(1 + alpha^2) of V*, not with 0 as their Eq. (14) has it.

P and Q belong together.  Electrons that follow the wall when it tilts, as in equilibrium, have s along m = n0 - z xi_0
Phi_0, so that Q = -xi_0 P, and J_sd P xi_0 + J_sd Q = 0: they do not hold the wall in its plane, and tau and xi_0* are
those of K_hard alone.  P without Q, as in print, is a spin density that stays in the plane.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray[Any, np.dtype[np.float64]]


class WallMotion(NamedTuple):
    """A motion at the times asked for: position X, velocity dX/dt and out_of_plane xi_0, each (times,)."""

    position: Array
    velocity: Array
    out_of_plane: Array


@dataclass(frozen=True)
class CollectiveWall:
    """Equations (12) of a wall, see above.

    width: lambda, lattice constants (`wall_width`).  hard_anisotropy: K_hard, energy; hard axis z.  spin: S, hbar.
    damping: Gilbert's alpha.  sd_exchange: J_sd, with which the spin densities T, P, Q act; 1 where they are fields.
    turn: 1 where the moments turn from x to y along x, -1 the other way (`textures.FlatWall.turn`).  clockwise: True
    for moments that turn clockwise about a field, as in print.  Raises ValueError for impossible arguments.
    """

    width: float
    hard_anisotropy: float = 0.0
    spin: float = 1.0
    damping: float = 0.0
    sd_exchange: float = 1.0
    turn: int = 1
    clockwise: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "hard_anisotropy", "spin", "damping", "sd_exchange"):
            value = getattr(self, name)
            if not math.isfinite(value):
                raise ValueError(f"{name} = {value!r}: a finite number is needed")
        for name in ("width", "spin"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"{name} = {getattr(self, name)!r}: a number above 0 is needed")
        if self.damping < 0.0:
            raise ValueError(f"damping = {self.damping!r}: a number not below 0 is needed")
        if self.turn not in (1, -1):
            raise ValueError(f"turn = {self.turn!r}: allowed are 1 and -1")

    @property
    def gyration(self) -> float:
        """g of Eqs. (12): -turn S sqrt(2/lambda), reversed for moments that turn clockwise."""
        return (1.0 if self.clockwise else -1.0) * self.turn * self.spin * math.sqrt(2.0 / self.width)

    def stiffness(self, parallel: float = 0.0) -> float:
        """2 K_hard + J_sd P, energy."""
        return 2.0 * self.hard_anisotropy + self.sd_exchange * parallel

    def rates(
        self, out_of_plane: float, torque: float, parallel: float = 0.0, spin_out_of_plane: float = 0.0
    ) -> tuple[float, float]:
        """(dX/dt, d(xi_0)/dt) by Eqs. (12); out_of_plane: xi_0; torque: T, parallel: P, spin_out_of_plane: Q."""
        S, alpha, g = self.spin, self.damping, self.gyration
        along = self.sd_exchange * torque
        across = self.stiffness(parallel) * out_of_plane + self.sd_exchange * spin_out_of_plane
        scale = self.width / (2.0 * S * S * (1.0 + alpha * alpha))
        velocity = scale * (g * across - alpha * S * along)
        return velocity, -scale * (g * along + 2.0 * alpha * S * across / self.width)

    def terminal_velocity(self, torque: float) -> float:
        """V* = -lambda J_sd T/(2 alpha S): their text below Eq. (15).  ValueError without damping."""
        return -self.width * self.sd_exchange * torque / (2.0 * self._damped() * self.spin)

    def terminal_out_of_plane(self, torque: float, parallel: float = 0.0, spin_out_of_plane: float = 0.0) -> float:
        """xi_0*, their Eq. (15) with Q.  ValueError without damping, or where nothing holds xi_0 back."""
        stiffness = self.stiffness(parallel)
        if stiffness <= 0.0:
            raise ValueError(f"2 K_hard + J_sd P = {stiffness!r}: a number above 0 is needed for xi_0 to come to rest")
        push = self.sd_exchange * spin_out_of_plane
        return (self.gyration * self.terminal_velocity(torque) - push) / stiffness

    def relaxation_time(self, parallel: float = 0.0) -> float:
        """tau of Eq. (16); inf without damping or where nothing holds xi_0 back, negative where xi_0 grows."""
        rate = self._relaxation_rate(parallel)
        return 1.0 / rate if rate else math.inf

    def exact(
        self,
        times: ArrayLike,
        torque: float,
        parallel: float = 0.0,
        spin_out_of_plane: float = 0.0,
        *,
        position: float = 0.0,
        out_of_plane: float = 0.0,
    ) -> WallMotion:
        """The solution at constant T, P and Q, with X = position and xi_0 = out_of_plane at time 0."""
        t = np.asarray(times, dtype=np.float64)
        spins = (torque, parallel, spin_out_of_plane)
        rate = self._relaxation_rate(parallel)
        start, push = self.rates(0.0, *spins)
        per_tilt = self.rates(1.0, *spins)[0] - start  # V = start + per_tilt xi_0, d(xi_0)/dt = push - rate xi_0
        # (1 - e^(-rate t))/rate and its integral, also for rate -> 0.
        grown = -np.expm1(-rate * t) / rate if rate else t
        xi = out_of_plane * np.exp(-rate * t) + push * grown
        integral = out_of_plane * grown + push * ((t - grown) / rate if rate else 0.5 * t * t)
        return WallMotion(position + start * t + per_tilt * integral, start + per_tilt * xi, xi)

    def integrate(
        self,
        times: ArrayLike,
        spins: Callable[[float, float, float], tuple[float, float, float]],
        *,
        position: float = 0.0,
        out_of_plane: float = 0.0,
        tolerance: float = 1e-10,
    ) -> WallMotion:
        """The solution where T, P and Q change: spins(t, X, xi_0) returns them.

        times: ascending, (n,); X = position and xi_0 = out_of_plane at the first.  tolerance: relative error of a step
        of an embedded Runge-Kutta method of order 8.  Raises ValueError for times that do not ascend, ArithmeticError
        where no step is short enough.
        """
        from scipy.integrate import solve_ivp  # heavy import

        t = np.asarray(times, dtype=np.float64)
        if t.ndim != 1 or len(t) == 0 or not np.all(np.isfinite(t)) or np.any(np.diff(t) <= 0.0):
            raise ValueError(f"times = {times!r}: finite, ascending times are needed")

        def rates(now: float, state: Array) -> tuple[float, float]:
            return self.rates(float(state[1]), *spins(now, float(state[0]), float(state[1])))

        state = np.array([[position], [out_of_plane]])
        if len(t) > 1:
            found = solve_ivp(
                rates, (t[0], t[-1]), state[:, 0], "DOP853", t_eval=t, rtol=tolerance, atol=tolerance
            )  # fmt: skip
            if not found.success:
                raise ArithmeticError(f"the equations of the wall were not solved: {found.message}")
            state = found.y
        velocity = [rates(float(now), each)[0] for now, each in zip(t, state.T, strict=True)]
        return WallMotion(state[0], np.array(velocity), state[1])

    def spins_of_current(self, velocity: float, beta: float) -> tuple[float, float]:
        """J_sd T and J_sd Q of the Zhang-Li torque -u dm/dx + beta m x u dm/dx on this wall, u = velocity, as fields.

        -m x b is that torque times S for b = -S u d(phi0)/dx (z + beta z x n0): T = -2 beta S u/lambda, Q = -turn S u
        sqrt(2/lambda).  With them V begins with u (1 + alpha beta)/(1 + alpha^2) and ends with beta u/alpha.  For
        sd_exchange = 1.  ValueError for moments that turn clockwise, for which the torque has another form.
        """
        if self.clockwise:
            raise ValueError("clockwise = True: this form of the torque is that of moments that turn counterclockwise")
        push = -self.turn * self.spin * velocity * math.sqrt(2.0 / self.width)
        return -2.0 * beta * self.spin * velocity / self.width, push

    def _relaxation_rate(self, parallel: float) -> float:
        return self.damping * self.stiffness(parallel) / (self.spin * (1.0 + self.damping**2))

    def _damped(self) -> float:
        if self.damping == 0.0:
            raise ValueError("damping = 0: a number above 0 is needed, without it the wall has no terminal velocity")
        return self.damping


def wall_width(exchange: float, anisotropy: float) -> float:
    """lambda = sqrt(J/2K), lattice constants.  ValueError unless both energies are above 0."""
    if not (exchange > 0.0 and anisotropy > 0.0 and math.isfinite(exchange / anisotropy)):
        raise ValueError(f"exchange = {exchange!r}, anisotropy = {anisotropy!r}: numbers above 0 are needed for a wall")
    return math.sqrt(exchange / (2.0 * anisotropy))


def boltzmann_torque(sd_exchange: float, temperature: float, level: float, current: float) -> float:
    """T of a wall in a current, their Eq. (20): (J_sd/kT) sech^2(level/2kT) current, 1/lattice constant.

    sd_exchange: J_sd; temperature: kT; level: epsilon_0 - mu; all energies.  current: j/j0, j0 = 4 n e hbar/(pi m a),
    positive for electrons that move to -x.  With `CollectiveWall.terminal_velocity` this is their Eq. (21).  In their
    units T is half of it, with J_sd/2 for J_sd.

    Range: first order in J_sd (J_sd far below kT), electrons with one relaxation time, and momenta of the two spins
    that are shifted by pi/2a in either direction.  The gauge field of a wall shifts them by half of d(phi0)/dx, at
    most 1/(2 lambda), so that epsilon_0 is not an energy that a wide wall knows: the formula gives an order of
    magnitude.  Raises ValueError unless temperature is above 0.
    """
    if not temperature > 0.0:
        raise ValueError(f"temperature = {temperature!r}: a number above 0 is needed")
    # sech^2(y) = 4 e^-2|y|/(1 + e^-2|y|)^2 does not overflow.
    decay = math.exp(-abs(level) / temperature)
    return sd_exchange / temperature * 4.0 * decay / (1.0 + decay) ** 2 * current
