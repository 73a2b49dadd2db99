"""Electrons' spins that follow a texture locally, with relaxation, and the torque that they give back to it.

R. Cheng and Q. Niu, "Microscopic derivation of spin-transfer torque in ferromagnets".  A spin s of an electron that
sees the direction n(t) obeys

    ds/dt = n x s/tau_ex - (s - p n)/tau_sf,    p = 1 (majority) or -1 (minority),    xi = tau_ex/tau_sf.

In the frame (e_theta, e_phi, n), n = (sin theta cos phi, sin theta sin phi, cos theta), this is their Eq. (8) with
relaxation.  eps_1 = tau_ex sin(theta) dphi/dt and eps_2 = tau_ex dtheta/dt are small where n turns slowly.

Signs.  They take M and s as magnetic moments: both turn counterclockwise about their fields, 1/tau_ex > 0.  In this
package m does so, too, but s = Tr[rho sigma] turns about -J_sd m as spins do: ds/dt = -2 J_sd m x s.  Everything below
holds with

    tau_ex = -1/(2 J_sd),

negative for J_sd > 0; xi has its sign.  Theirs is J_sd < 0, with s reversed (`LocalSpins.of_coupling`).

Where print is off: (9c) lacks -(eps_1^2 + eps_2^2)/(1 + xi^2), without which s_3(0) is not 1 (`slow_rotation`; appendix
B is exact).  In (12) the factor is 1/tau_ex, not |dn/dt|/tau_ex.  The velocity in (13) is +dE/(hbar dk), as (15) needs.
The gap in the text, E_down - E_up, has the other sign in (A2) and (8).  hbar = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class EffectiveMagnet:
    """A magnet without electrons that moves as one with local spins: arguments of `Magnet` by their names there.

    spin: S (1 + eta), hbar.  damping: alpha~.  zhang_li_velocity: along the current, lattice constants per time.
    zhang_li_beta: xi.
    """

    spin: float
    damping: float
    zhang_li_velocity: float
    zhang_li_beta: float


@dataclass(frozen=True)
class LocalSpins:
    """Spins with an exchange time (signed, see above) and a spin-flip time (inf: none), hbar/energy.

    Raises ValueError for times that are zero or not a number, and for a spin-flip time below 0.
    """

    exchange_time: float
    spin_flip_time: float = math.inf

    def __post_init__(self) -> None:
        if not math.isfinite(self.exchange_time) or self.exchange_time == 0.0:
            raise ValueError(f"exchange_time = {self.exchange_time!r}: a finite number other than 0 is needed")
        if not self.spin_flip_time > 0.0:
            raise ValueError(f"spin_flip_time = {self.spin_flip_time!r}: a number above 0 is needed, inf for no flips")

    @classmethod
    def of_coupling(cls, sd_exchange: float, spin_flip_time: float = math.inf) -> LocalSpins:
        """Electrons of this package with -J_sd sigma.m: exchange time -1/(2 J_sd).  ValueError for J_sd = 0."""
        if sd_exchange == 0.0:
            raise ValueError("sd_exchange = 0: another number is needed, without it spins do not follow the moments")
        return cls(-0.5 / sd_exchange, spin_flip_time)

    @property
    def xi(self) -> float:
        """tau_ex/tau_sf, the beta of the torque."""
        return self.exchange_time / self.spin_flip_time

    def follow(
        self,
        times: ArrayLike,
        path: Callable[[float], tuple[float, float, float]],
        *,
        equilibrium: int = 1,
        start: ArrayLike | None = None,
        tolerance: float = 1e-10,
    ) -> Array:
        """(s_1, s_2, s_3) along (e_theta, e_phi, n) at the times, (n, 3): Eq. (8) with relaxation, solved numerically.

        path(t): theta, dtheta/dt and dphi/dt.  equilibrium: p.  start: s at the first time; None: (0, 0, p).
        tolerance: relative error of a step.  Raises ValueError for impossible arguments, ArithmeticError where no step
        is short enough.
        """
        from scipy.integrate import solve_ivp  # heavy import

        t = np.asarray(times, dtype=np.float64)
        if t.ndim != 1 or len(t) < 2 or not np.all(np.isfinite(t)) or np.any(np.diff(t) <= 0.0):
            raise ValueError(f"times = {times!r}: two or more finite, ascending times are needed")
        p = _equilibrium(equilibrium)
        rest = np.array([0.0, 0.0, p])
        s = rest if start is None else np.asarray(start, dtype=np.float64)
        if s.shape != (3,):
            raise ValueError(f"start = {start!r}: three numbers are needed")
        larmor, decay = 1.0 / self.exchange_time, 1.0 / self.spin_flip_time

        def rate(now: float, s: Array) -> Array:
            theta, theta_rate, phi_rate = path(now)
            spin = larmor - math.cos(theta) * phi_rate
            turn = math.sin(theta) * phi_rate
            return np.array(
                [
                    -spin * s[1] - theta_rate * s[2] - decay * s[0],
                    spin * s[0] - turn * s[2] - decay * s[1],
                    theta_rate * s[0] + turn * s[1] - decay * (s[2] - p),
                ]
            )

        found = solve_ivp(rate, (t[0], t[-1]), s, "DOP853", t_eval=t, rtol=tolerance, atol=tolerance)
        if not found.success:
            raise ArithmeticError(f"the equation of the spin was not solved: {found.message}")
        return np.array(found.y.T)

    def steady_rotation(
        self, times: ArrayLike, theta_rate: float, turn: float, spin: float = 0.0, equilibrium: int = 1
    ) -> Array:
        """The exact solution from s = p n at constant rates, (n, 3): their appendix B.

        theta_rate: dtheta/dt; turn: sin(theta) dphi/dt; spin: cos(theta) dphi/dt.  With W = (turn, -theta_rate,
        1/tau_ex - spin), ds/dt = W x s - (s - p e_3)/tau_sf.
        """
        t = np.asarray(times, dtype=np.float64)[:, None]
        w = np.array([turn, -theta_rate, 1.0 / self.exchange_time - spin])
        decay, e3 = 1.0 / self.spin_flip_time, np.array([0.0, 0.0, 1.0])
        squared = float(w @ w)
        settled = e3
        if squared > 0.0:
            settled = (decay**2 * e3 + decay * np.cross(w, e3) + w[2] * w) / (squared + decay**2)
        left, rate = e3 - settled, math.sqrt(squared)
        across = np.cross(w, left) / rate if rate else np.zeros(3)
        # `left` is perpendicular to W: it turns about it.
        turned = np.exp(-decay * t) * (left * np.cos(rate * t) + across * np.sin(rate * t))
        return np.asarray(_equilibrium(equilibrium) * (settled + turned))

    def slow_rotation(self, times: ArrayLike, eps_1: float, eps_2: float) -> Array:
        """Their Eqs. (9) for p = 1, (n, 3): s_1 and s_2 to first order in eps, s_3 to second, with the lost term.

        s_3 = 1 - (eps_1^2 + eps_2^2)/(1 + xi^2) [1 - e^(-xi t) (cos t + xi sin t)],   t in tau_ex.
        """
        t, xi = np.asarray(times, dtype=np.float64) / self.exchange_time, self.xi
        decay = np.exp(-xi * t) / (1.0 + xi * xi)
        even, odd = np.cos(t) + xi * np.sin(t), np.sin(t) - xi * np.cos(t)
        s_1, s_2, s_3 = self.average(eps_1, eps_2)
        return np.stack(
            [
                s_1 - decay * (eps_1 * even + eps_2 * odd),
                s_2 - decay * (eps_1 * odd - eps_2 * even),
                s_3 - (eps_1**2 + eps_2**2) * (1.0 / (1.0 + xi * xi) - decay * even),
            ],
            axis=-1,
        )

    def average(self, eps_1: float, eps_2: float) -> Array:
        """<s> = ((eps_1 - xi eps_2)/(1 + xi^2), -(xi eps_1 + eps_2)/(1 + xi^2), 1) for p = 1: their Eqs. (11)."""
        xi = self.xi
        return np.array([(eps_1 - xi * eps_2) / (1 + xi * xi), -(xi * eps_1 + eps_2) / (1 + xi * xi), 1.0])

    def accumulation(self, n: ArrayLike, rate: ArrayLike, equilibrium: ArrayLike = 1.0) -> Array:
        """delta s = -p tau_ex/(1 + xi^2) [n x dn/dt + xi dn/dt], (..., 3): their Eq. (13).

        n: directions (..., 3).  rate: dn/dt = partial_t n + (v.grad) n as an electron of velocity v sees it, (..., 3).
        equilibrium: p.  Of many electrons, p partial_t n + (p v.grad) n summed over them is (s_0 partial_t + j d/dx) n
        with the spin density s_0 and the spin current j along n.
        """
        n, rate = np.asarray(n, dtype=np.float64), np.asarray(rate, dtype=np.float64)
        p = np.asarray(equilibrium, dtype=np.float64)[..., None]
        return np.asarray(-p * self.exchange_time / (1.0 + self.xi**2) * (np.cross(n, rate) + self.xi * rate))

    def effective_magnet(
        self, spin: float, damping: float, spin_density: float, spin_current: float = 0.0
    ) -> EffectiveMagnet:
        """Moments and local spins as moments alone: their Eqs. (16) and (17).

        spin: S; damping: alpha; spin_density: s_0 = Tr[rho sigma].m of each site at rest; spin_current: that of
        Tr[rho sigma] along m, positive for flow to +x, 1/time: twice that of `current_spin`.  With J_sd delta s x m on
        the moments, J_sd = -1/(2 tau_ex), and

            eta = -s_0/(2 S (1 + xi^2)),   S~ = S (1 + eta),   alpha~ = (alpha + eta xi)/(1 + eta),   beta = xi,
            u = -spin_current/(2 S (1 + xi^2) (1 + eta))

        the moments obey S~ dm/dt = -m x B + S~ alpha~ m x dm/dt + S~ (-u dm/dx + beta m x u dm/dx), B as before: gamma~
        = gamma/(1 + eta).  Their n_0/M_s is -s_0/(2 S).  For J_sd > 0 with s_0 > 0 eta is negative, for moments precess
        against their spins here; xi is negative as well, and eta xi damps.

        Range: textures that are long beside v_F tau_ex and slow beside tau_ex.  ValueError unless spin (1 + eta) > 0.
        """
        if not spin > 0.0:
            raise ValueError(f"spin = {spin!r}: a number above 0 is needed")
        xi = self.xi
        shrunk = 2.0 * spin * (1.0 + xi * xi)
        eta = -spin_density / shrunk
        if not 1.0 + eta > 0.0:
            raise ValueError(
                f"spin_density = {spin_density!r}: below {shrunk!r} is needed, or the electrons would carry all spin"
            )
        return EffectiveMagnet(
            spin * (1.0 + eta), (damping + eta * xi) / (1.0 + eta), -spin_current / (shrunk * (1.0 + eta)), xi
        )


def torque_coefficients(torque: ArrayLike, n: ArrayLike, slope: ArrayLike) -> tuple[float, float]:
    """(a, b) of torque = a slope + b n x slope by least squares over all sites; arrays (..., 3).

    slope: dn/dx, say; then a is the adiabatic coefficient, b the non-adiabatic one, and -b/a is beta.  Torques along n
    do not count.  ValueError where the slope vanishes everywhere.
    """
    torque, n, slope = (np.asarray(v, dtype=np.float64) for v in (torque, n, slope))
    size = float((slope * slope).sum())
    if not size > 0.0:
        raise ValueError("slope: it is zero everywhere; a texture that changes is needed")
    return float((torque * slope).sum()) / size, float((torque * np.cross(n, slope)).sum()) / size


def _equilibrium(p: int) -> float:
    if p not in (1, -1):
        raise ValueError(f"equilibrium = {p!r}: allowed are 1 (majority) and -1 (minority)")
    return float(p)
