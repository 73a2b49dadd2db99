"""Measures of a texture: topological charge, wall position and tilt, skyrmion centre.

Moments are (nx, 3) or (nx, ny, 3), unit vectors or zero (vacancy); ValueError for other shapes. Positions are index
coordinates. If a texture has no wall or no skyrmion, the result is NaN, not an error: a run continues after its wall
has left the lattice.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import choice, number, vector
from .frame import plane_axes

PERIODIC = ("", "x", "y", "xy")
ROUNDING = 1e-12  # components m.k below this are zero up to rounding: their sign does not count


def topological_charge(m: ArrayLike, periodic: str = "") -> float:
    """Q = (1/4 pi) sum of the solid angles Omega of all triangles of neighbouring moments.

        tan(Omega/2) = a.(b x c)/(1 + a.b + b.c + c.a)

    Each plaquette of four sites is two triangles, anticlockwise in (x, y). `periodic` names the periodic axes: "", "x",
    "y" or "xy". On a torus ("xy") Q is an integer; with open edges it is nearly an integer if the moments at the edge
    are nearly parallel. Without plaquettes (chains) Q = 0. Triangles with a vacancy do not count. Q is undefined for
    neighbours that are exactly antiparallel.

    Source: B. Berg and M. Luscher, Nucl. Phys. B 190, 412 (1981).
    """
    m = _square(m)
    choice("periodic", periodic, PERIODIC)
    for axis, name in enumerate("xy"):
        if name in periodic:
            m = np.concatenate([m, m.take([0], axis=axis)], axis=axis)
    corner, right, across, up = m[:-1, :-1], m[1:, :-1], m[1:, 1:], m[:-1, 1:]
    return float((_solid_angle(corner, right, across) + _solid_angle(corner, across, up)).sum() / (4.0 * np.pi))


def _solid_angle(a: NDArray, b: NDArray, c: NDArray) -> NDArray[np.float64]:
    """Signed solid angle of the triangles a, b, c of unit vectors (..., 3), by the formula above; 0 with a vacancy."""
    volume = _dot(a, np.cross(b, c))
    angle = 2.0 * np.arctan2(volume, 1.0 + _dot(a, b) + _dot(b, c) + _dot(c, a))
    # With a vacancy a = 0 the angle is 2 atan2(0, 1 + b.c): 2 pi instead of 0 if rounding makes 1 + b.c negative.
    return np.where(_present(a) & _present(b) & _present(c), angle, 0.0)


def wall_position(
    m: ArrayLike, easy_axis: Sequence[float] = (0, 0, 1), near: float | None = None, periodic: str = ""
) -> float:
    """Position along x where m.k changes sign (k = easy axis), averaged over the rows of a square lattice.

    Between the two sites u = artanh(m.k) is interpolated linearly, so that a wall m.k = ±tanh((x - X)/W) gives X
    exactly, for any W. If a row has several crossings, the one nearest to `near` counts, or without `near` the first;
    rows without a crossing are left out; NaN if no row has one. Vacancies are skipped.

    `periodic` as in `topological_charge`. If "x" is in it, x is a ring: a crossing between the last and the first site
    is found as well, and the position is in [0, nx). A ring has as many crossings from + to - as from - to +: without
    `near`, the first of those from + to - (towards larger x) counts, so that a pair of walls that moves through the
    seam changes its position by nx and in no other way.
    """
    m = _square(m)
    ring = "x" in choice("periodic", periodic, PERIODIC)
    positions = np.array([position for _, position, _ in _walls(m, easy_axis, near, ring)])
    if not len(positions):
        return math.nan
    if not ring:
        return float(np.mean(positions))
    n = len(m)
    apart = (positions - positions[0] + n / 2) % n - n / 2
    return _into_ring(float(positions[0] + np.mean(apart)), n)


def wall_tilt(
    m: ArrayLike, easy_axis: Sequence[float] = (0, 0, 1), near: float | None = None, periodic: str = ""
) -> float:
    """Azimuth (radians, in [-pi, pi]) about the easy axis k of the in-plane moment at the wall.

        tilt = atan2(sum w m.e2, sum w m.e1),  w = 1 - (m.k)^2

    The sums run over the sites nearer to this wall than to any other of the row. (e1, e2, k) is the right-handed frame
    of `textures.frame.plane_axes`: for k = z, atan2(m_y, m_x); for k = x, atan2(m_z, m_y); for k = y, atan2(m_x, m_z).
    Reversing k changes the sign. The wall is chosen as in `wall_position`. NaN if there is none, or if the sums vanish,
    as for a wall without in-plane moments.
    """
    m = _square(m)
    e1, e2, k = plane_axes(easy_axis, "easy_axis")
    total = np.zeros(3)
    for y, _, chosen in _walls(m, easy_axis, near, "x" in choice("periodic", periodic, PERIODIC)):
        sites = m[chosen, y]
        # A vacancy has w = 1 and m = 0: it contributes nothing.
        total = total + ((1.0 - (sites @ k) ** 2)[:, None] * sites).sum(axis=0)
    along = (float(total @ e1), float(total @ e2))
    return math.atan2(along[1], along[0]) if math.hypot(*along) > ROUNDING else math.nan


def _walls(
    m: NDArray, easy_axis: Sequence[float], near: float | None, ring: bool
) -> list[tuple[int, float, slice | NDArray[np.int_]]]:
    """The wall of each row that has one: (y, position, sites); ring: whether the first site follows on the last.

    The sites (indices along x) are those nearer to this crossing than to any other of the row.
    """
    if near is not None:
        near = number("near", near)
    *_, k = plane_axes(easy_axis, "easy_axis")
    present = _present(m)
    along = m @ k
    across = np.linalg.norm(m - along[..., None] * k, axis=-1)
    # artanh(p) = log((1 + p)/sqrt(1 - p^2)). The root is computed from the components perpendicular to k, because
    # 1 - p^2 has lost its digits where p is rounded to 1.
    u = np.sign(along) * (np.log1p(np.abs(along)) - np.log(np.maximum(across, 1e-150)))
    u[np.abs(along) < ROUNDING] = 0.0

    walls = []
    for y in range(m.shape[1]):
        sites = np.flatnonzero(present[:, y])
        found = _on_ring(sites, u[sites, y], len(m), near) if ring else _on_line(sites, u[sites, y], len(m), near)
        if found is not None:
            walls.append((y, *found))
    return walls


def _on_line(x: NDArray, u: NDArray, n: int, near: float | None) -> tuple[float, slice] | None:
    """Position of the chosen crossing, and the sites nearest to it, in a row with open ends."""
    crossings = _sign_changes(x, u)
    if not crossings:
        return None
    chosen = crossings[0] if near is None else min(crossings, key=lambda c: abs(c - near))
    i = crossings.index(chosen)
    low = 0 if i == 0 else math.ceil((crossings[i - 1] + chosen) / 2)
    high = n if i + 1 == len(crossings) else math.ceil((crossings[i + 1] + chosen) / 2)
    return chosen, slice(low, high)


def _on_ring(x: NDArray, u: NDArray, n: int, near: float | None) -> tuple[float, NDArray[np.int_]] | None:
    """The same on a ring of n sites, the position in [0, n)."""
    definite = np.flatnonzero(u)
    if definite.size == 0:
        return None
    # Once around, from a site with a sign to itself.
    first = int(definite[0])
    around = np.concatenate([x[first:], x[: first + 1] + n])
    crossings = _sign_changes(around, np.concatenate([u[first:], u[: first + 1]]))
    if not crossings:
        return None
    # They alternate; every second one goes from + to -.
    falling = crossings[0 if u[first] > 0 else 1 :: 2]
    if near is None:
        chosen = min(falling, key=lambda c: c % n)
    else:
        chosen = min(crossings, key=lambda c: abs((c - near + n / 2) % n - n / 2))
    i = crossings.index(chosen)
    before = crossings[i - 1] - (n if i == 0 else 0)
    behind = crossings[(i + 1) % len(crossings)] + (n if i + 1 == len(crossings) else 0)
    nearest = np.arange(math.ceil((before + chosen) / 2), math.ceil((chosen + behind) / 2)) % n
    return _into_ring(chosen, n), nearest


def _into_ring(position: float, n: int) -> float:
    """The same position in [0, n)."""
    position %= n
    return 0.0 if position >= n else position  # a tiny negative number is rounded to n


def _sign_changes(x: NDArray, u: NDArray) -> list[float]:
    """Positions, ascending, where u changes sign; x, u: (n,), positions and values.

    A zero, or several in succession, is one change of sign if the values on both sides have opposite signs. A single
    zero at either end counts as well.
    """
    definite = np.flatnonzero(u)
    if definite.size == 0:
        return []
    crossings = []
    if definite[0] == 1:
        crossings.append(float(x[0]))
    for a, b in pairwise(definite):
        if (u[a] > 0) != (u[b] > 0):
            between = (x[a + 1] + x[b - 1]) / 2 if b - a > 1 else x[a] + (x[b] - x[a]) * u[a] / (u[a] - u[b])
            crossings.append(float(between))
    if definite[-1] == u.size - 2:
        crossings.append(float(x[-1]))
    return crossings


def skyrmion_center(
    m: ArrayLike, charge: int | None = None, near: Sequence[float] | None = None, periodic: str = ""
) -> NDArray[np.float64]:
    """Centre (x, y) of a skyrmion: the centroid of its connected reversed core; shape (2,).

        R = sum_i |m_z,i| r_i / sum_i |m_z,i|   over the core

    The core is a connected region (of neighbours along x and y) in which m_z has the sign of the core: the one with the
    largest sum of weights, or the one whose centroid is nearest to `near` = (x, y). Other reversed sites do not count.
    The weight is zero where m_z changes sign. With another weight, such as 1 ± m_z, the centre would jump each time
    m_z of a site at the border changes sign.

    `charge` +1 or -1 is the sign of m_z in the core; None takes the sign opposite to the sum of m_z over the open
    edges (all sites if there is no open edge). `periodic` as in `topological_charge`: the core may then extend across
    the edge from the last site to the first, and the centre is in [0, n). NaN for a chain, and if nothing is reversed.

    Source: the weights of Xu et al. (see `thresholded_center`) with threshold zero, restricted to one region.
    """
    choice("periodic", periodic, PERIODIC)
    target = None if near is None else vector("near", near, 2)
    reversed_z = _reversed(m, charge, periodic)
    if reversed_z is None:
        return np.full(2, np.nan)
    weight = np.maximum(reversed_z, 0.0)
    # Shift the sites of a periodic lattice cyclically, so that the core does not extend across its edge.
    shift = np.array([_to_middle(weight, axis, target) if "xy"[axis] in periodic else 0 for axis in (0, 1)])
    weight = np.roll(weight, shift, axis=(0, 1))
    if target is not None:
        target = target + shift
    from scipy import ndimage  # heavy import, for skyrmions alone

    regions, count = ndimage.label(weight > 0.0)
    if count == 0:
        return np.full(2, np.nan)
    labels = np.arange(1, count + 1)
    sums = ndimage.sum_labels(weight, regions, labels)
    positions = np.indices(weight.shape)
    centers = np.stack([ndimage.sum_labels(weight * r, regions, labels) / sums for r in positions], axis=-1)
    chosen = np.argmax(sums) if target is None else np.argmin(np.hypot(*(centers - target).T))
    center = centers[chosen] - shift
    for axis, name in enumerate("xy"):
        if name in periodic:
            center[axis] = _into_ring(float(center[axis]), weight.shape[axis])
    return center


def thresholded_center(
    m: ArrayLike, threshold: float = -0.1, charge: int | None = None, periodic: str = ""
) -> NDArray[np.float64]:
    """Centre (x, y) of all reversed sites, connected or not; shape (2,).

        R = sum_i (m0 - m_z,i) r_i / sum_i (m0 - m_z,i)   over the sites with m_z,i < m0 = threshold

    for a core down; with m_z -> -m_z for a core up. `charge`, `periodic` and NaN as in `skyrmion_center`. Along a
    periodic axis r_i counts from the site opposite to the circular mean, and the centre is in [0, n).

    Source: F. Xu, G. Li, J. Chen, Z. Yu, L. Zhang, B. Wang and J. Wang, "Unified framework of the microscopic
    Landau-Lifshitz-Gilbert equation and its application to skyrmion dynamics", text on their Fig. 4: m0 = -0.1.
    """
    number("threshold", threshold, -1.0, 1.0)
    choice("periodic", periodic, PERIODIC)
    reversed_z = _reversed(m, charge, periodic)
    if reversed_z is None:
        return np.full(2, np.nan)
    weight = np.maximum(reversed_z + threshold, 0.0)
    if not weight.any():
        return np.full(2, np.nan)
    shift = np.array([_to_middle(weight, axis, None) if "xy"[axis] in periodic else 0 for axis in (0, 1)])
    weight = np.roll(weight, shift, axis=(0, 1))
    center = np.array([(weight * r).sum() for r in np.indices(weight.shape)]) / weight.sum() - shift
    for axis, name in enumerate("xy"):
        if name in periodic:
            center[axis] = _into_ring(float(center[axis]), weight.shape[axis])
    return center


def _reversed(m: ArrayLike, charge: int | None, periodic: str) -> NDArray[np.float64] | None:
    """m_z, or -m_z if the core points down, (nx, ny): positive in the core.

    None for a chain, or if the sign of the background cannot be determined.
    """
    if np.ndim(m) == 2:
        _square(m)
        return None
    m_z = _square(m)[..., 2]
    if charge is not None:
        return m_z * choice("charge", charge, (-1, 1))
    open_edge = np.full(m_z.shape, periodic == "xy")
    if "x" not in periodic:
        open_edge[[0, -1], :] = True
    if "y" not in periodic:
        open_edge[:, [0, -1]] = True
    background = np.sign(m_z[open_edge].sum())
    return None if background == 0.0 else -background * m_z


def _to_middle(weight: NDArray, axis: int, target: NDArray | None) -> int:
    """Number of sites by which to shift `axis` cyclically so that `target` is in the middle.

    Without a target, the circular mean of the weight takes its place.
    """
    n = weight.shape[axis]
    if target is None:
        circle = np.exp(2j * np.pi * np.arange(n) / n) @ weight.sum(axis=1 - axis)
        middle = np.angle(circle) * n / (2.0 * np.pi)
    else:
        middle = target[axis]
    return round(n / 2 - middle)


def _square(m: ArrayLike) -> NDArray[np.float64]:
    """`m` as (nx, ny, 3), a chain as (nx, 1, 3)."""
    m = np.asarray(m, dtype=np.float64)
    if m.ndim not in (2, 3) or m.shape[-1] != 3 or m.size == 0:
        raise ValueError(f"m must have shape (nx, 3) or (nx, ny, 3), got {m.shape}")
    return m if m.ndim == 3 else m[:, None, :]


def _dot(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    return np.einsum("...i,...i->...", a, b)


def _present(m: NDArray) -> NDArray[np.bool_]:
    """Where there is a moment and no vacancy."""
    return np.asarray(m.any(axis=-1))
