"""The classical Runge-Kutta method of order 4."""

import numpy as np

from llgnegf.kernels import njit

# One step multiplies the solution of dy/dt = -rate y by 1 + z + z^2/2 + z^3/6 + z^4/24, z = -rate dt, which is at most
# 1 in size up to rate dt = 2.785; for undamped precession (imaginary z) up to 2.83.
STABILITY = 2.785
COEFFICIENTS = (0.0, 0.5, 0.5, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6)


def step(rhs, t, y, dt):
    """One step of the classical four-stage method, order 4.

        k1 = f(t, y)                      k3 = f(t + dt/2, y + dt k2/2)
        k2 = f(t + dt/2, y + dt k1/2)     k4 = f(t + dt, y + dt k3)
        y(t + dt) = y + dt (k1 + 2 k2 + 2 k3 + k4)/6

    y: float64, C-contiguous, any shape; rhs(t, y) returns a new array of that shape.  Returns a new array.
    Source: W. Kutta, Z. Math. Phys. 46, 435 (1901).
    """
    half = 0.5 * dt
    k1 = rhs(t, y)
    stage = np.empty_like(y)
    _advance(y, half, k1, stage)
    k2 = rhs(t + half, stage)
    # A new array for every stage, because the right-hand side may keep a reference to its argument.
    stage = np.empty_like(y)
    _advance(y, half, k2, stage)
    k3 = rhs(t + half, stage)
    stage = np.empty_like(y)
    _advance(y, dt, k3, stage)
    k4 = rhs(t + dt, stage)
    new = np.empty_like(y)
    _combine(y, dt / 6.0, k1, k2, k3, k4, new)
    return new


@njit(cache=True, nogil=True)
def _advance(y, h, k, out):
    """out = y + h k."""
    a, b, c = y.ravel(), k.ravel(), out.ravel()
    for i in range(a.size):
        c[i] = a[i] + h * b[i]


@njit(cache=True, nogil=True)
def _combine(y, h, k1, k2, k3, k4, out):
    """out = y + h (k1 + 2 k2 + 2 k3 + k4)."""
    a, b1, b2, b3, b4, c = y.ravel(), k1.ravel(), k2.ravel(), k3.ravel(), k4.ravel(), out.ravel()
    for i in range(a.size):
        c[i] = a[i] + h * ((b1[i] + b4[i]) + 2.0 * (b2[i] + b3[i]))
