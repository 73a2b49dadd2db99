"""The classical energy and the LLG velocity by plain loops over sites; shares no code with the package.

Moments m of shape (nx, 3) or (nx, ny, 3).  `terms` are keyword arguments named as those of llgnegf.magnet.Magnet.
"""

import itertools

import numpy as np


def bonds(shape, periodic=""):
    """(site, next site, direction of the bond in space) of every bond, once."""
    directions = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    found = []
    for site in itertools.product(*(range(n) for n in shape)):
        for axis, n in enumerate(shape):
            neighbour = list(site)
            neighbour[axis] += 1
            if neighbour[axis] == n:
                if "xy"[axis] not in periodic or n == 1:
                    continue
                neighbour[axis] = 0
            found.append((site, tuple(neighbour), np.array(directions[axis])))
    return found


def energies(
    m,
    *,
    periodic="",
    spin=1.0,
    exchange=0.0,
    dmi=0.0,
    dmi_kind="bulk",
    anisotropy=0.0,
    easy_axis=(0, 0, 1),
    hard_anisotropy=0.0,
    hard_axis=(1, 0, 0),
    field=(0, 0, 0),
    **_,
):
    shape = m.shape[:-1]
    k = np.asarray(easy_axis) / np.linalg.norm(easy_axis)
    h = np.asarray(hard_axis) / np.linalg.norm(hard_axis)
    out = {"exchange": 0.0, "dmi": 0.0, "anisotropy": 0.0, "zeeman": 0.0}
    for i, j, r in bonds(shape, periodic):
        d = dmi * (r if dmi_kind == "bulk" else np.cross([0.0, 0.0, 1.0], r))
        out["exchange"] -= exchange * np.dot(m[i], m[j])
        out["dmi"] += np.dot(d, np.cross(m[i], m[j]))
    for i in itertools.product(*(range(n) for n in shape)):
        out["anisotropy"] += hard_anisotropy * np.dot(m[i], h) ** 2 - anisotropy * np.dot(m[i], k) ** 2
        out["zeeman"] -= spin * np.dot(m[i], field)
    out["classical"] = sum(out.values())
    return out


def field(m, **terms):
    """B = -dE/dm by central differences; E is quadratic in m, so a large step is exact and keeps the rounding small."""
    b = np.zeros_like(m)
    for index in np.ndindex(m.shape):
        shifted = m.copy()
        shifted[index] = m[index] + 0.5
        above = energies(shifted, **terms)["classical"]
        shifted[index] = m[index] - 0.5
        b[index] = energies(shifted, **terms)["classical"] - above
    return b


def velocity(m, b, *, spin=1.0, damping=0.0, torque=None, **_):
    """dm/dt from S v = -m x B + S alpha m x v + S torque, solved as it stands: a 3x3 linear system per site."""
    v = np.zeros_like(m)
    for i in np.ndindex(m.shape[:-1]):
        x, y, z = m[i]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        push = -np.cross(m[i], b[i]) / spin + (0.0 if torque is None else torque[i])
        v[i] = np.linalg.solve(np.eye(3) - damping * cross, push)
    return v


def zhang_li(m, *, zhang_li_velocity, zhang_li_beta, periodic="", **_):
    """tau = -g + beta m x g, g the part of (u.grad) m across m; one case per pair of neighbours that exist."""
    shape = m.shape[:-1]
    tau = np.zeros_like(m)

    def at(site):
        wrapped = []
        for axis, n in enumerate(shape):
            inside = 0 <= site[axis] < n
            if not inside and ("xy"[axis] not in periodic or n == 1):
                return None
            wrapped.append(site[axis] % n)
        moment = m[tuple(wrapped)]
        return moment if np.any(moment) else None

    for i in np.ndindex(shape):
        if not np.any(m[i]):
            continue
        g = np.zeros(3)
        for axis in range(len(shape)):
            step = np.eye(len(shape), dtype=int)[axis]
            after, before = at(np.array(i) + step), at(np.array(i) - step)
            if after is not None and before is not None:
                slope = (after - before) / 2
            elif after is not None:
                slope = after - m[i]
            elif before is not None:
                slope = m[i] - before
            else:
                slope = np.zeros(3)
            g += zhang_li_velocity[axis] * slope
        g -= np.dot(g, m[i]) * m[i]
        tau[i] = -g + zhang_li_beta * np.cross(m[i], g)
    return tau
