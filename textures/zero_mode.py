"""A flat wall between domains along +-x by its collective coordinates, and what a spin density does to them.

The wall of J. Kishine and A. S. Ovchinnikov, "Correlated dynamics of itinerant spins and a domain wall": easy axis x,
hard axis z.  With u = (x - X)/width,

    n0 = (-head tanh u, side sech u, 0),   phi0 = atan2(n0_y, n0_x),   d(phi0)/dx = turn sech(u)/width,
    theta = pi/2 + xi_0 Phi_0(x - X),      Phi_0 = sech(u)/sqrt(2 width),   sum_i Phi_0^2 = 1

(their Eqs. 6 to 8, lattice constant 1).  head = 1: head to head (+x at small x), -1: tail to tail; side: the sign of
m_y at the centre; turn = head side: the sense in which the moments turn along x, 1 if from x to y.  Their wall has
head = side = 1.  theta counts from +z, so that m_z = cos(theta) = -sin(xi_0 Phi_0): xi_0 > 0 is a wall tilted to -z.

Moments and spin densities are (nx, 3), or (nx, ny, 3) with a straight wall, of which results are means over the rows.
Vacancies count for nothing.  `width` is that of the wall, in lattice constants: sqrt(J/2K) at rest.  Where there is no
wall, results are NaN, as those of `measures`.  ValueError for other shapes and impossible arguments.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import length

# Newton's iteration ends where it moves the wall by less than this, in widths.
CLOSE = 1e-12
ROUNDING = 1e-12  # m_x below this is zero up to rounding: its sign does not count
ITERATIONS = 50


class FlatWall(NamedTuple):
    """A flat wall: position X (index coordinate), out_of_plane xi_0, and the signs head and side; NaN without wall."""

    position: float
    out_of_plane: float
    head: int
    side: int

    @property
    def turn(self) -> int:
        """Sign of d(phi0)/dx."""
        return self.head * self.side


class SpinOnWall(NamedTuple):
    """What a spin density does to a flat wall (`spin_on_wall`): 1/lattice constant, 1, and 1."""

    torque_perpendicular: float
    parallel: float
    out_of_plane: float


def zero_mode(x: ArrayLike, width: float) -> NDArray[np.float64]:
    """Phi_0 = sech(x/width)/sqrt(2 width) at distances x from the wall, shaped as x: their Eq. (6)."""
    width = length("width", width)
    return _sech(np.asarray(x, dtype=np.float64) / width) / math.sqrt(2.0 * width)


def flat_wall(m: ArrayLike, width: float) -> FlatWall:
    """The wall by projection on the zero mode; see above.

        X:     sum_i Phi_0(x_i - X) delta_phi_i = 0,   delta_phi = phi - phi0(x - X) within [-pi, pi)
        xi_0 = sum_i Phi_0(x_i - X) delta_theta_i / sum_i Phi_0(x_i - X)^2,   delta_theta = theta - pi/2

    That is: in-plane fluctuations contain no zero mode, whose place X takes, and xi_0 is the amplitude of the zero mode
    in those out of the plane.  Other fluctuations, which are orthogonal to it, change neither.  For a wall of the form
    above both are exact, for any width.  Of several walls it is the first.

    Source: Kishine and Ovchinnikov, Eqs. (5) to (8).
    """
    m, width = _rows("m", m), length("width", width)
    near = _crossing(m)
    if not math.isfinite(near):
        return FlatWall(math.nan, math.nan, 1, 1)
    head, side = _signs(m, near, width)
    position = near
    for _ in range(ITERATIONS):
        mode, _, overlap, slope = _in_plane(m, position, width, head, side)
        move = -overlap / slope if slope else math.nan
        if not math.isfinite(move):
            break
        position += min(max(move, -width), width)
        if abs(move) < CLOSE * width:  # so that Phi_0 of the place before is that of this one
            tilt = -np.arcsin(np.clip(m[..., 2], -1.0, 1.0))  # theta - pi/2
            return FlatWall(position, float((mode * tilt).sum() / (mode * mode).sum()), head, side)
    return FlatWall(math.nan, math.nan, head, side)


def wall_velocity(m: ArrayLike, velocity: ArrayLike, width: float) -> float:
    """dX/dt of `flat_wall` while the moments move with `velocity` = dm/dt, shaped as m; lattice constants per time.

    From the time derivative of the condition for X: dX/dt = -sum Phi_0 dphi/dt / (d/dX sum Phi_0 delta_phi).
    """
    m, velocity, width = _rows("m", m), _rows("velocity", velocity), length("width", width)
    wall = flat_wall(m, width)
    if not math.isfinite(wall.position):
        return math.nan
    mode, _, _, slope = _in_plane(m, wall.position, width, wall.head, wall.side)
    across = m[..., 0] ** 2 + m[..., 1] ** 2
    turning = np.divide(
        m[..., 0] * velocity[..., 1] - m[..., 1] * velocity[..., 0], across, out=np.zeros_like(across), where=across > 0
    )
    return -float((mode * turning).sum()) / slope


def spin_on_wall(m: ArrayLike, spin: ArrayLike, width: float) -> SpinOnWall:
    """Torques of a spin density s_i = Tr[rho_i sigma] on the wall of m; spin: shaped as m.

        torque_perpendicular: T = sum_i d(phi0)/dx s_i.(z x n0)   = -d/dX sum_i s_i.n0(x_i - X)
        parallel:             P = sum_i Phi_0^2 s_i.n0
        out_of_plane:         Q = sum_i Phi_0 s_i.z

    with n0, phi0, Phi_0 at x_i - X.  T and P are their Eqs. (13a) and (13b).  They leave Q out, which is of the same
    order as T: it is the adiabatic torque, and drives X as T drives xi_0 (`llgnegf.magnet.collective`).

    Factors: their coupling is -J s.S n with s = sigma/2, here it is -J_sd sigma.m, so that their J S/2 is J_sd here,
    their T and P are half of those here, and their J T is J_sd T/S.

    Any field on the moments b_i = J_sd s_i does the same; with b in place of s, the results are energies per lattice
    constant and energies.
    """
    m, spin, width = _rows("m", m), _rows("spin", spin), length("width", width)
    if spin.shape != m.shape:
        raise ValueError(f"spin must have the shape of m, {m.shape}, got {spin.shape}")
    wall = flat_wall(m, width)
    if not math.isfinite(wall.position):
        return SpinOnWall(math.nan, math.nan, math.nan)
    mode, angle, *_ = _in_plane(m, wall.position, width, wall.head, wall.side)
    rows = m.shape[1]
    cosine, sine = np.cos(angle), np.sin(angle)
    along, across = spin[..., 0] * cosine + spin[..., 1] * sine, spin[..., 1] * cosine - spin[..., 0] * sine
    turning = wall.turn * math.sqrt(2.0 / width) * mode  # d(phi0)/dx
    return SpinOnWall(
        float((turning * across).sum()) / rows,
        float((mode * mode * along).sum()) / rows,
        float((mode * spin[..., 2]).sum()) / rows,
    )


def _crossing(m: NDArray) -> float:
    """About where the rows' mean of m_x first changes sign: Newton's iteration begins there.  NaN if nowhere."""
    along = m[..., 0].mean(axis=1)
    sites = np.flatnonzero(np.abs(along) > ROUNDING)
    changes = np.flatnonzero(np.diff(np.sign(along[sites])))
    if not changes.size:
        return math.nan
    i, j = sites[changes[0]], sites[changes[0] + 1]
    u = np.arctanh(np.clip(along[[i, j]], -1.0 + 1e-15, 1.0 - 1e-15))
    return float(i + (j - i) * u[0] / (u[0] - u[1]))


def _signs(m: NDArray, near: float, width: float) -> tuple[int, int]:
    """head and side of the wall at `near`."""
    u = ((np.arange(len(m)) - near) / width)[:, None]
    sech = _sech(u)
    head = -1 if float((sech**2 * np.tanh(u) * m[..., 0]).sum()) > 0.0 else 1
    return head, -1 if float((sech * m[..., 1]).sum()) < 0.0 else 1


def _in_plane(m: NDArray, position: float, width: float, head: int, side: int) -> tuple[NDArray, NDArray, float, float]:
    """Phi_0 (nx, ny), 0 at vacancies; phi0 (nx, 1); sum Phi_0 delta_phi and its derivative with respect to X."""
    u = ((np.arange(len(m)) - position) / width)[:, None]
    sech, tanh = _sech(u), np.tanh(u)
    mode = sech / math.sqrt(2.0 * width) * m.any(axis=-1)
    angle = np.arctan2(side * sech, -head * tanh)
    fluctuation = (np.arctan2(m[..., 1], m[..., 0]) - angle + np.pi) % (2.0 * np.pi) - np.pi
    overlap = mode * fluctuation
    # Both factors depend on X: dPhi_0/dX = Phi_0 tanh(u)/width, d(delta_phi)/dX = d(phi0)/dx.
    turning = head * side * math.sqrt(2.0 / width) * mode
    return mode, angle, float(overlap.sum()), float((overlap * tanh).sum() / width + (mode * turning).sum())


def _sech(u: NDArray) -> NDArray[np.float64]:
    decay = np.exp(-np.abs(u))  # 1/cosh(u) would overflow far from a narrow wall
    return np.asarray(2.0 * decay / (1.0 + decay * decay))


def _rows(name: str, vectors: ArrayLike) -> NDArray[np.float64]:
    """`vectors` as (nx, ny, 3), a chain as (nx, 1, 3)."""
    array = np.asarray(vectors, dtype=np.float64)
    if array.ndim not in (2, 3) or array.shape[-1] != 3 or array.size == 0:
        raise ValueError(f"{name} must have shape (nx, 3) or (nx, ny, 3), got {array.shape}")
    return array if array.ndim == 3 else array[:, None, :]
