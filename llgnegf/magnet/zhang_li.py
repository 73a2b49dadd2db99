"""The spin-transfer torque of a current on a smooth texture (S. Zhang and Z. Li, PRL 93, 127204 (2004))."""

from typing import Any

import numpy as np

from llgnegf.kernels import njit

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# Unsigned indices, and weights 0 or 1 instead of branches, so that the loop is vectorised (llg.py).
_ONE = np.uint64(1)


@njit(inline="always", **_OPTIONS)
def _exists(mx, my, mz, i):
    """1 where there is a moment, 0 at a ghost of an open edge or a vacancy."""
    return 1.0 if mx[i] * mx[i] + my[i] * my[i] + mz[i] * mz[i] > 0.0 else 0.0


@njit(inline="always", **_OPTIONS)
def _weights(before, after, u):
    """Weights (w_before, w_after) in u dm/dx = w_before (m - m_before) + w_after (m_after - m).

    before, after: 1 if that neighbour exists, else 0.  A central difference if both exist, a one-sided one if one is
    missing, 0 if both are."""
    share = u / max(before + after, 1.0)
    return share * before, share * after


@njit("void(float64[:,:,::1], float64, float64, float64, float64, float64[:,:,::1])", **_OPTIONS)
def add_zhang_li(y, u_a, u_b, beta, damping, out):
    """out += (tau + alpha m x tau)/(1 + alpha^2),   tau = -g + beta m x g,   g = (u . grad) m without its part along m.

    u = (u_a, u_b) along the packed axes, lattice constants per hbar/E0; a texture drifts along +u.  y, out: packed.
    Values at ghosts of periodic edges are wrong; the caller overwrites them with `grid.wrap`.
    """
    row, size = np.uint64(y.shape[2]), np.uint64(y.shape[1] * y.shape[2])
    mx, my, mz = y[0].ravel(), y[1].ravel(), y[2].ravel()
    vx, vy, vz = out[0].ravel(), out[1].ravel(), out[2].ravel()
    # For g perpendicular to m and |m| = 1, m x (m x g) = -g, and the formula above becomes
    # dm/dt = [-(1 + alpha beta) g + (beta - alpha) m x g]/(1 + alpha^2).
    scale = 1.0 / (1.0 + damping * damping)
    along, across = -scale * (1.0 + damping * beta), scale * (beta - damping)
    for i in range(row, size - row):
        down, up = _weights(_exists(mx, my, mz, i - row), _exists(mx, my, mz, i + row), u_a)
        left, right = _weights(_exists(mx, my, mz, i - _ONE), _exists(mx, my, mz, i + _ONE), u_b)
        here = (down - up) + (left - right)
        sx, sy, sz = mx[i], my[i], mz[i]
        gx = (up * mx[i + row] - down * mx[i - row]) + (right * mx[i + _ONE] - left * mx[i - _ONE]) + here * sx
        gy = (up * my[i + row] - down * my[i - row]) + (right * my[i + _ONE] - left * my[i - _ONE]) + here * sy
        gz = (up * mz[i + row] - down * mz[i - row]) + (right * mz[i + _ONE] - left * mz[i - _ONE]) + here * sz
        # At a vacancy the difference of the neighbours may be nonzero, but the torque is zero.
        present = _exists(mx, my, mz, i)
        dot = sx * gx + sy * gy + sz * gz
        gx, gy, gz = present * (gx - dot * sx), present * (gy - dot * sy), present * (gz - dot * sz)
        vx[i] += along * gx + across * (sy * gz - sz * gy)
        vy[i] += along * gy + across * (sz * gx - sx * gz)
        vz[i] += along * gz + across * (sx * gy - sy * gx)
