"""Domain walls along x: a chain (nx, 3), or a square (nx, ny, 3) that repeats the chain along y.

`bloch` and `neel` are the walls of textbooks, which turn in one plane; `bloch_wall` and `neel_wall` have the names and
profiles of a paper, whose Bloch wall leaves every plane.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._arguments import choice, direction, lattice_shape, length, number
from .frame import plane_axes

ORIENTATIONS = ("paper", "kishine")
# A direction counts as perpendicular or parallel to x within this (sine of the angle).
ALIGNED = 1e-9


def bloch(
    shape: Sequence[int], center: float, width: float, easy_axis: Sequence[float] = (0, 0, 1), chirality: int = 1
) -> NDArray[np.float64]:
    """Bloch wall of textbooks: the moments turn in the plane across x, the normal of the wall.

        m = k tanh u + c sech u,  u = (center - x)/width,  c = chirality k x e_x

    with k the unit vector of `easy_axis`, across x: the moments are along k at small x, along c at the centre (+y for
    k = z) and along -k at large x. `chirality` -1 turns the other way. With width = sqrt(J/2K) it is the domain wall
    of least energy for exchange J and easy axis K without anything else, 2 sqrt(2 J K) above the domain; on a lattice
    to second order in 1/width. `center`, `width` and the square as in `bloch_wall`.

    Raises ValueError for impossible arguments, and for an easy axis that is not across x, along which no such wall
    exists.

    Source: L. Landau and E. Lifshitz, Phys. Z. Sowjetunion 8, 153 (1935); A. Hubert and R. Schafer, Magnetic Domains
    (Springer, 1998), Sec. 3.6.
    """
    k = direction("easy_axis", easy_axis)
    if abs(k[0]) > ALIGNED:
        raise ValueError(
            f"easy_axis must be across x, because a bloch wall turns in the plane across x, got {easy_axis!r}; a neel "
            "wall turns about any easy axis"
        )
    c = np.cross(k, [1.0, 0.0, 0.0])
    return _turning(shape, center, width, k, c / np.sqrt(c @ c), chirality)


def neel(
    shape: Sequence[int], center: float, width: float, easy_axis: Sequence[float] = (0, 0, 1), chirality: int = 1
) -> NDArray[np.float64]:
    """Neel wall of textbooks: the moments turn in the plane of x, the normal of the wall, and the easy axis.

    As `bloch`, but c is the direction across `easy_axis` that is nearest to +x (times `chirality`): the moments are
    along +x at the centre if the easy axis is across x. If it is along x, the domains meet head to head, every plane
    holds both, and c = y for k = x, z x k in general (`textures.frame.plane_axes`). Units and errors as in `bloch`.
    """
    k = direction("easy_axis", easy_axis)
    c = np.array([1.0, 0.0, 0.0]) - k[0] * k
    size = np.sqrt(c @ c)
    return _turning(shape, center, width, k, c / size if size > ALIGNED else plane_axes(easy_axis)[0], chirality)


def _turning(shape, center, width, k, c, chirality):
    """k tanh u + c sech u along x, for unit vectors k and c across each other."""
    sign = choice("chirality", chirality, (-1, 1))
    sech, tanh, repeat = _profile(shape, center, width)
    return repeat(tanh[:, None] * k + sign * sech[:, None] * c)


def bloch_wall(shape: Sequence[int], center: float, width: float) -> NDArray[np.float64]:
    """Bloch wall m = (-sech u tanh u, sech^2 u, tanh u), u = (center - x)/width.

    Up (+z) at small x, down at large x, along +y at the centre. `center` in index coordinates (site 0 at 0.0; it may
    lie outside the lattice), `width` in lattice constants. Raises ValueError for impossible arguments.

    Source: U. Bajpai and B. K. Nikolic, Phys. Rev. Lett. 125, 187202 (2020), whose print lost the division by the width
    inside the tanh of M^x (without it |M| is not 1).
    """
    sech, tanh, repeat = _profile(shape, center, width)
    return repeat(np.stack([-sech * tanh, sech * sech, tanh], axis=-1))


def neel_wall(shape: Sequence[int], center: float, width: float, orientation: str = "paper") -> NDArray[np.float64]:
    """Neel wall, turning in one plane, u = (center - x)/width.

    orientation "paper": m = (0, sech u, tanh u), easy axis z, up at small x (Bajpai and Nikolic, Phys. Rev. Lett. 125,
    187202 (2020)). orientation "kishine": n0 = (cos phi0, sin phi0, 0), phi0 = 2 arctan(exp((x - center)/width)), that
    is (tanh u, sech u, 0), easy axis x, along +x at small x (J. Kishine and A. S. Ovchinnikov, correlated dynamics of
    itinerant spins and a domain wall, the stationary wall below their Eq. (1); width = lambda = sqrt(J/K) there).

    Both are along +y at the centre. Units and errors as in `bloch_wall`.
    """
    choice("orientation", orientation, ORIENTATIONS)
    sech, tanh, repeat = _profile(shape, center, width)
    zero = np.zeros_like(sech)
    if orientation == "kishine":
        return repeat(np.stack([tanh, sech, zero], axis=-1))
    return repeat(np.stack([zero, sech, tanh], axis=-1))


def _profile(shape, center, width):
    """sech u and tanh u along x, and the function that repeats a chain (nx, 3) over the lattice."""
    sizes = lattice_shape(shape)
    u = (number("center", center) - np.arange(sizes[0])) / length("width", width)
    decay = np.exp(-np.abs(u))  # 1/cosh(u) would overflow far from a narrow wall
    sech = 2.0 * decay / (1.0 + decay * decay)

    def repeat(chain):
        return chain if len(sizes) == 1 else np.repeat(chain[:, None, :], sizes[1], axis=1)

    return sech, np.tanh(u), repeat
