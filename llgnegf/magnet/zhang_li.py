"""The spin-transfer torque of a current on a smooth texture (S. Zhang and Z. Li, PRL 93, 127204 (2004))."""

from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(inline="always", **_OPTIONS)
def _difference(y, c, a, b, step_a, step_b, before, after):
    """dm_c along one axis at a site; `before` and `after` are 1 where the neighbour there exists, else 0.

    Central where both neighbours exist, one-sided where one is missing (edge, vacancy), zero where both are."""
    forward = after * (y[c, a + step_a, b + step_b] - y[c, a, b])
    backward = before * (y[c, a, b] - y[c, a - step_a, b - step_b])
    return (forward + backward) / max(before + after, 1.0)


@njit(inline="always", **_OPTIONS)
def _exists(y, a, b):
    return 1.0 if y[0, a, b] != 0.0 or y[1, a, b] != 0.0 or y[2, a, b] != 0.0 else 0.0


@njit("void(float64[:,:,::1], float64, float64, float64, float64, float64[:,:,::1])", **_OPTIONS)
def add_zhang_li(y, u_a, u_b, beta, damping, out):
    """out += (tau + alpha m x tau)/(1 + alpha^2),   tau = -g + beta m x g,   g = (u . grad) m without its part along m.

    u = (u_a, u_b) along the packed axes, lattice constants per hbar/E0; a texture drifts along +u.  Packed arrays; the
    ghosts of out are left alone.
    """
    scale = 1.0 / (1.0 + damping * damping)
    along, across = -scale * (1.0 + damping * beta), scale * (beta - damping)
    for a in range(1, y.shape[1] - 1):
        for b in range(1, y.shape[2] - 1):
            if _exists(y, a, b) == 0.0:
                continue
            left, right = _exists(y, a, b - 1), _exists(y, a, b + 1)
            down, up = _exists(y, a - 1, b), _exists(y, a + 1, b)
            mx, my, mz = y[0, a, b], y[1, a, b], y[2, a, b]
            gx = u_a * _difference(y, 0, a, b, 1, 0, down, up) + u_b * _difference(y, 0, a, b, 0, 1, left, right)
            gy = u_a * _difference(y, 1, a, b, 1, 0, down, up) + u_b * _difference(y, 1, a, b, 0, 1, left, right)
            gz = u_a * _difference(y, 2, a, b, 1, 0, down, up) + u_b * _difference(y, 2, a, b, 0, 1, left, right)
            # m x (m x g) = -g holds for g perpendicular to m and |m| = 1; it turns the two-step form above into
            # dm/dt = [-(1 + alpha beta) g + (beta - alpha) m x g]/(1 + alpha^2).
            dot = mx * gx + my * gy + mz * gz
            gx, gy, gz = gx - dot * mx, gy - dot * my, gz - dot * mz
            out[0, a, b] += along * gx + across * (my * gz - mz * gy)
            out[1, a, b] += along * gy + across * (mz * gx - mx * gz)
            out[2, a, b] += along * gz + across * (mx * gy - my * gx)
