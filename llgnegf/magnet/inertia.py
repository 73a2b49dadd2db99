"""Moments with inertia: the acceleration that the inertial Landau-Lifshitz-Gilbert equation gives.

    S dm/dt = -m x B + S alpha m x dm/dt + S eta m x d2m/dt2 + S tau

(M.-C. Ciornei, J. M. Rubi, J.-E. Wegrowe, Phys. Rev. B 83, 020410 (2011), Eq. (13), in our signs; their tau is our
eta/alpha.)  Crossed with m it says what the acceleration is across m, and |m| = 1 what it is along m.  With w, the
velocity that the equation has without inertia in the same field B and torque tau (`Magnet.velocity`), this is

    d2m/dt2 = [alpha (w - v) + m x (w - v)]/eta - |v|^2 m,   v = dm/dt,

because m x (-m x B/S + tau) = alpha w + m x w.  The sign of eta > 0 is that of a kinetic energy S eta |v|^2/2, which
makes d/dt(E + S eta |v|^2/2) = -S alpha |v|^2 where only damping acts.
"""

from typing import Any

from llgnegf.kernels import njit

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


_VECTORS = "float64[:,:,::1]"


@njit(f"void({_VECTORS}, {_VECTORS}, {_VECTORS}, float64, float64[:,::1], {_VECTORS})", **_OPTIONS)
def acceleration(y, v, w, damping, per_inertia, out):
    """out = d2m/dt2 of packed moments y that move with v; w: velocity without inertia; per_inertia: 1/eta, 0 at ghosts.

    Packed arrays (3, A + 2, B + 2), per_inertia (A + 2, B + 2).
    """
    mx, my, mz = y[0].ravel(), y[1].ravel(), y[2].ravel()
    vx, vy, vz = v[0].ravel(), v[1].ravel(), v[2].ravel()
    wx, wy, wz = w[0].ravel(), w[1].ravel(), w[2].ravel()
    ox, oy, oz = out[0].ravel(), out[1].ravel(), out[2].ravel()
    per = per_inertia.ravel()
    for i in range(mx.size):
        dx, dy, dz = wx[i] - vx[i], wy[i] - vy[i], wz[i] - vz[i]
        square = vx[i] * vx[i] + vy[i] * vy[i] + vz[i] * vz[i]
        ox[i] = per[i] * (damping * dx + (my[i] * dz - mz[i] * dy)) - square * mx[i]
        oy[i] = per[i] * (damping * dy + (mz[i] * dx - mx[i] * dz)) - square * my[i]
        oz[i] = per[i] * (damping * dz + (mx[i] * dy - my[i] * dx)) - square * mz[i]


@njit(f"void({_VECTORS}, {_VECTORS})", **_OPTIONS)
def project(y, v):
    """Take from packed velocities v, in place, what is along the unit vectors y; zero where there is no moment."""
    mx, my, mz = y[0].ravel(), y[1].ravel(), y[2].ravel()
    vx, vy, vz = v[0].ravel(), v[1].ravel(), v[2].ravel()
    for i in range(mx.size):
        along = mx[i] * vx[i] + my[i] * vy[i] + mz[i] * vz[i]
        there = 1.0 if mx[i] != 0.0 or my[i] != 0.0 or mz[i] != 0.0 else 0.0
        vx[i] = there * (vx[i] - along * mx[i])
        vy[i] = there * (vy[i] - along * my[i])
        vz[i] = there * (vz[i] - along * mz[i])
