"""Spin-orbit coupling of the device: bonds that turn the spin, and the frame in which those along x do not.

On a square lattice with the hopping t, an electron that hops to the next site turns its spin (Rashba and linear
Dresselhaus terms of a (001) film, on a lattice as in Nikolic, Zarbo and Souma, Phys. Rev. B 73, 075303 (2006)):

    H_(i,i+x) = -t + i v.sigma,   v = (-beta, alpha, 0),      H_(i,i+y) = -t + i w.sigma,   w = (-alpha, beta, 0)

with alpha = `rashba` and beta = `dresselhaus`, energies; in the continuum that is 2 alpha (sigma_x k_y - sigma_y k_x) +
2 beta (sigma_x k_x - sigma_y k_y), lattice constant 1.

Along x the bond matrices are t' times rotations about one axis n = v/|v|:

    -t + i v.sigma = -t' exp(-i theta n.sigma),      t' = sqrt(t^2 + v^2),   tan(theta) = |v|/t.

With spinors c_i = U_i c'_i, U_i = exp(i Theta_i n.sigma), Theta_i the sum of theta over the bonds before column i, the
bonds along x become -t' times the unit matrix, and moments, spin densities and bonds along y are turned by
R(n, 2 Theta_i) (Meir, Gefen and Entin-Wohlman, Phys. Rev. Lett. 63, 798 (1989)).  On a chain nothing of the coupling
is left but t' and turned moments: the kernels for scalar bonds are exact.  On a lattice it stays in the bonds along y,
inside the blocks of the slices.  Equal Rashba and Dresselhaus coupling turns along x and y about one axis: then it can
be removed there, too (the persistent helix of Bernevig, Orenstein and Zhang, Phys. Rev. Lett. 97, 236601 (2006)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .leads import real_number
from .pauli import SIGMA


@dataclass(frozen=True)
class SpinOrbit:
    """Spin-orbit coupling on all bonds of the device; those to the leads and inside them have none.

    rashba, dresselhaus: alpha and beta of the equations above, energies of either sign.  ValueError for what are no
    finite numbers.
    """

    rashba: float = 0.0
    dresselhaus: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rashba", "dresselhaus"):
            value = real_number(getattr(self, name))
            if not math.isfinite(value):
                raise ValueError(f"{name} = {getattr(self, name)!r} of spin_orbit: must be a finite number")

    @property
    def along_x(self) -> NDArray[np.float64]:
        """v, (3,), energy."""
        return np.array([-float(self.dresselhaus), float(self.rashba), 0.0])

    @property
    def along_y(self) -> NDArray[np.float64]:
        """w, (3,), energy."""
        return np.array([-float(self.rashba), float(self.dresselhaus), 0.0])


def frame_along(v: NDArray[np.float64], hops: NDArray[np.float64]) -> SpinFrame:
    """The frame for bonds -t + i v.sigma along x with these hoppings t (nx - 1,), energy."""
    size = float(np.linalg.norm(v))
    axis = v / size if size else np.array([0.0, 0.0, 1.0])
    angles = np.concatenate([[0.0], np.cumsum(np.arctan2(size, hops))])
    turns = np.array([_rotation(axis, 2 * angle) for angle in angles])
    n = np.einsum("a,aij->ij", axis, SIGMA)
    spinors = np.cos(angles)[:, None, None] * np.eye(2) + 1j * np.sin(angles)[:, None, None] * n
    return SpinFrame(np.hypot(hops, size), turns, spinors, axis)


@dataclass(frozen=True)
class SpinHopping:
    """A hopping that knows the spin, on all bonds of the device: H_(i,i+x) = -t + a.sigma and H_(i,i+y) = -t + b.sigma.

    along_x, along_y: a and b, three numbers each, real or complex, energies.  Real parts are hoppings that differ for
    spins along and against an axis, imaginary parts turn spins, as spin-orbit coupling does.
    ValueError for what are no three finite numbers.
    """

    along_x: tuple[complex, complex, complex] = (0.0, 0.0, 0.0)
    along_y: tuple[complex, complex, complex] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("along_x", "along_y"):
            given = getattr(self, name)
            try:
                found = np.array(given, complex)
            except (TypeError, ValueError):
                found = np.empty(0)
            if found.shape != (3,) or not np.isfinite(found).all():
                raise ValueError(f"{name} = {given!r} of spin_hopping: must be three finite numbers, real or complex")
            object.__setattr__(self, name, tuple(found.tolist()))

    @property
    def turns_alone(self) -> bool:
        """Whether bonds along x are a number times a rotation, which a frame of the spins removes."""
        return not np.real(self.along_x).any()


@dataclass(frozen=True, eq=False)
class SpinFrame:
    """hops: (nx - 1,) t' of each bond along x, energy; turns: (nx, 3, 3), R(n, 2 Theta) of each column, which takes
    vectors into the frame; spinors: (nx, 2, 2), U of each column, which takes spinors out of it; axis: n, (3,)."""

    hops: NDArray[np.float64]
    turns: NDArray[np.float64]
    spinors: NDArray[np.complex128]
    axis: NDArray[np.float64]

    def into(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Vectors (nx[, ny], 3) of the sites in the frame."""
        return np.ascontiguousarray(np.einsum("xab,x...b->x...a", self.turns, vectors))

    def back(self, traced: NDArray[np.float64]) -> NDArray[np.float64]:
        """Traces (nx[, ny], 4) of the frame with 1 and sigma as traces outside of it."""
        out = traced.copy()
        out[..., 1:] = np.einsum("xba,x...b->x...a", self.turns, traced[..., 1:])
        return out

    def back_at_ends(self, flow: NDArray[np.float64]) -> NDArray[np.float64]:
        """Traces (..., 2, 4) of flows into the left and the right lead outside of the frame."""
        out = flow.copy()
        for side, column in ((0, 0), (1, -1)):
            out[..., side, 1:] = flow[..., side, 1:] @ self.turns[column]
        return out

    def matrix_back(self, matrix: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """A matrix (2 sites, 2 sites) of the frame, such as H, outside of it; index 2 site + spin."""
        nx = len(self.spinors)
        blocks = matrix.reshape(nx, -1, 2, nx, len(matrix) // (2 * nx), 2)
        turned = np.einsum("xab,xybzwc,zdc->xyazwd", self.spinors, blocks, self.spinors.conj(), optimize=True)
        return np.ascontiguousarray(turned.reshape(matrix.shape))


def _rotation(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """R(n, angle), (3, 3), right-handed about the unit vector n (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross)


def bond_matrix(hopping: NDArray[np.float64] | float, vector: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """-t + a.sigma for hoppings t (...) and vectors a (..., 3): (..., 2, 2), energy."""
    scalar = -np.asarray(hopping)[..., None, None] * np.eye(2)
    return np.asarray(scalar + np.einsum("...a,aij->...ij", vector, SIGMA))
