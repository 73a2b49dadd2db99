"""The effective field B = -dE/dm and the Landau-Lifshitz-Gilbert velocity it causes.

    S dm/dt = -m x B + S alpha m x dm/dt   <=>   dm/dt = -[m x B + alpha m x (m x B)] / [S (1 + alpha^2)]

for |m| = 1.  Moments precess counterclockwise about B, seen from its tip, and damping turns them towards B.

All arrays are packed (grid.py).  The kernels loop over the flattened array, in which the ghosts at both ends of each
row are included: a single long loop is vectorised better than one for each row.  At ghosts of open edges m = 0 and the
velocity is 0.  Values at ghosts of periodic edges are wrong; the caller overwrites them with `grid.wrap`.
"""

from typing import Any

import numpy as np

from llgnegf.kernels import njit

# "contract" allows fused multiply-adds but no reordering of sums, so that results do not depend on the vector width of
# the processor.
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
# Unsigned indices: numba has to provide for negative values of signed ones, and then does not vectorise the loops.
_ONE = np.uint64(1)


def terms(exchange, bonds, anisotropy, easy, hard_anisotropy, hard, zeeman):
    """Coefficients of the effective field, (16,), in the order in which `_field_at` reads them.

    One array, because each argument of a numba function adds to the time of a call.  Arguments as in
    `energy.energies`.
    """
    return np.array(
        [
            exchange,
            *(bonds[0, :2]),
            *(bonds[1, :2]),
            2.0 * anisotropy,
            *easy,
            -2.0 * hard_anisotropy,
            *hard,
            *zeeman,
        ]
    )


@njit(inline="always", **_OPTIONS)
def _field_at(mx, my, mz, i, row, p):
    """B = -dE/dm at flat index i, with `row` packed sites in each row; E: see `energy.energies`; p: from `terms`.

    Exchange J sum m_j; DMI d x (m_next - m_previous) for each axis, since d.(m_i x m_j) = m_i.(m_j x d) = m_j.(d x m_i)
    makes it -m_next x d - d x m_previous; anisotropies 2 K k (k.m) and -2 K_hard h (h.m); Zeeman S B_ext.
    """
    xl, xr, xd, xu = mx[i - _ONE], mx[i + _ONE], mx[i - row], mx[i + row]
    yl, yr, yd, yu = my[i - _ONE], my[i + _ONE], my[i - row], my[i + row]
    zl, zr, zd, zu = mz[i - _ONE], mz[i + _ONE], mz[i - row], mz[i + row]
    easy = p[5] * (p[6] * mx[i] + p[7] * my[i] + p[8] * mz[i])
    hard = p[9] * (p[10] * mx[i] + p[11] * my[i] + p[12] * mz[i])
    dza, dzb = zu - zd, zr - zl
    bx = p[0] * ((xl + xr) + (xd + xu)) + (p[2] * dza + p[4] * dzb) + (p[6] * easy + p[10] * hard) + p[13]
    by = p[0] * ((yl + yr) + (yd + yu)) - (p[1] * dza + p[3] * dzb) + (p[7] * easy + p[11] * hard) + p[14]
    curl = (p[1] * (yu - yd) - p[2] * (xu - xd)) + (p[3] * (yr - yl) - p[4] * (xr - xl))
    bz = p[0] * ((zl + zr) + (zd + zu)) + curl + (p[8] * easy + p[12] * hard) + p[15]
    return bx, by, bz


@njit(inline="always", **_OPTIONS)
def _turn(mx, my, mz, bx, by, bz, first, second):
    """first m x B + second m x (m x B)."""
    wx, wy, wz = my * bz - mz * by, mz * bx - mx * bz, mx * by - my * bx
    return (
        first * wx + second * (my * wz - mz * wy),
        first * wy + second * (mz * wx - mx * wz),
        first * wz + second * (mx * wy - my * wx),
    )


@njit("void(float64[:,:,::1], float64[::1], float64[:,:,::1])", **_OPTIONS)
def effective_field(y, p, out):
    """out = B = -dE/dm, energy units, zero at ghosts; y, out: packed (3, A + 2, B + 2), p: from `terms`.

    At a vacancy it is the field that the neighbours and B_ext would exert on a moment there, without anisotropy.
    """
    row, size = np.uint64(y.shape[2]), np.uint64(y.shape[1] * y.shape[2])
    mx, my, mz = y[0].ravel(), y[1].ravel(), y[2].ravel()
    ox, oy, oz = out[0].ravel(), out[1].ravel(), out[2].ravel()
    for i in range(row, size - row):
        bx, by, bz = _field_at(mx, my, mz, i, row, p)
        ox[i] = bx
        oy[i] = by
        oz[i] = bz
    out[:, 0, :] = 0.0
    out[:, -1, :] = 0.0
    out[:, :, 0] = 0.0
    out[:, :, -1] = 0.0


@njit("void(float64[:,:,::1], float64[::1], float64, float64, float64[:,:,::1])", **_OPTIONS)
def velocity(y, p, spin, damping, out):
    """out = dm/dt in the effective field of y, energy/hbar; equation and arrays as above; spin: S, damping: alpha."""
    row, size = np.uint64(y.shape[2]), np.uint64(y.shape[1] * y.shape[2])
    first = -1.0 / (spin * (1.0 + damping * damping))
    second = damping * first
    mx, my, mz = y[0].ravel(), y[1].ravel(), y[2].ravel()
    vx, vy, vz = out[0].ravel(), out[1].ravel(), out[2].ravel()
    out[:, 0, :] = 0.0
    out[:, -1, :] = 0.0
    for i in range(row, size - row):
        bx, by, bz = _field_at(mx, my, mz, i, row, p)
        sx, sy, sz = _turn(mx[i], my[i], mz[i], bx, by, bz, first, second)
        vx[i] = sx
        vy[i] = sy
        vz[i] = sz


@njit("void(float64[:,:,::1], float64[:,:,::1], float64, float64, float64[:,:,::1])", **_OPTIONS)
def add_response(y, b, spin, damping, out):
    """out += the part of dm/dt caused by the packed field b, energy units; the LLG velocity is linear in the field."""
    first = -1.0 / (spin * (1.0 + damping * damping))
    second = damping * first
    mx, my, mz = y[0].ravel(), y[1].ravel(), y[2].ravel()
    bx, by, bz = b[0].ravel(), b[1].ravel(), b[2].ravel()
    vx, vy, vz = out[0].ravel(), out[1].ravel(), out[2].ravel()
    for i in range(mx.size):
        sx, sy, sz = _turn(mx[i], my[i], mz[i], bx[i], by[i], bz[i], first, second)
        vx[i] += sx
        vy[i] += sy
        vz[i] += sz
