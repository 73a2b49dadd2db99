"""Heun's method, the explicit trapezoidal rule of order 2."""

import numpy as np

from llgnegf.kernels import njit

# One step multiplies the solution of dy/dt = -rate y by 1 + z + z^2/2, z = -rate dt, which is at most 1 in size up to
# rate dt = 2.  Undamped precession (imaginary z) grows in every step, by a factor of about 1 + |z|^4/8; normalising the
# moments removes this growth, but not the error of their angle.
STABILITY = 2.0
COEFFICIENTS = (0.0, 1.0), (0.5, 0.5)


def step(rhs, t, y, dt):
    """One step of Heun's two-stage method, order 2.

        k1 = f(t, y),   k2 = f(t + dt, y + dt k1),   y(t + dt) = y + dt (k1 + k2)/2

    y: float64, C-contiguous, any shape; rhs(t, y) returns a new array of that shape.  Returns a new array.
    Source: K. Heun, Z. Math. Phys. 45, 23 (1900).
    """
    k1 = rhs(t, y)
    stage = np.empty_like(y)
    _advance(y, dt, k1, stage)
    k2 = rhs(t + dt, stage)
    new = np.empty_like(y)
    _combine(y, 0.5 * dt, k1, k2, new)
    return new


# numba's cache does not notice changes in other files, so that each method has kernels of its own.
@njit(cache=True, nogil=True)
def _advance(y, h, k, out):
    """out = y + h k."""
    a, b, c = y.ravel(), k.ravel(), out.ravel()
    for i in range(a.size):
        c[i] = a[i] + h * b[i]


@njit(cache=True, nogil=True)
def _combine(y, h, k1, k2, out):
    """out = y + h (k1 + k2)."""
    a, b1, b2, c = y.ravel(), k1.ravel(), k2.ravel(), out.ravel()
    for i in range(a.size):
        c[i] = a[i] + h * (b1[i] + b2[i])
