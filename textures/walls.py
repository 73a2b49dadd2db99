"""Domain walls along x: a chain (nx, 3), or a square (nx, ny, 3) that repeats the chain along y."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._arguments import choice, lattice_shape, length, number

ORIENTATIONS = ("paper", "kishine")


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
