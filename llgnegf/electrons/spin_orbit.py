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

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


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

    def frame(self, hops: NDArray[np.float64]) -> SpinFrame:
        """The frame for bonds along x with these hoppings (nx - 1,), energy."""
        v = self.along_x
        size = float(np.linalg.norm(v))
        axis = v / size if size else np.array([0.0, 0.0, 1.0])
        angles = np.concatenate([[0.0], np.cumsum(np.arctan2(size, hops))])
        turns = np.array([_rotation(axis, 2 * angle) for angle in angles])
        n = np.einsum("a,aij->ij", axis, PAULI)
        spinors = np.cos(angles)[:, None, None] * np.eye(2) + 1j * np.sin(angles)[:, None, None] * n
        return SpinFrame(np.hypot(hops, size), turns, spinors)


@dataclass(frozen=True, eq=False)
class SpinFrame:
    """hops: (nx - 1,) t' of each bond along x, energy; turns: (nx, 3, 3), R(n, 2 Theta) of each column, which takes
    vectors into the frame; spinors: (nx, 2, 2), U of each column, which takes spinors out of it."""

    hops: NDArray[np.float64]
    turns: NDArray[np.float64]
    spinors: NDArray[np.complex128]

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

    def over_bonds(
        self, bonds: NDArray[np.float64], pads: tuple[int, int] = (0, 0)
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Traced flows over the bonds of a chain, (n_bonds, 4), outside of the frame, and the torque of the bonds.

        A flow is the mean of what leaves a site and what arrives at the next, which differ by the turn of the bond.
        pads: sites of the left and of the right lead at the ends of the chain.  torque: (n_bonds + 1, 4), energy, what
        the bonds add to the traces at each site beside these flows, half of it at either end of a bond.
        """
        turns = np.concatenate([*pads[0] * [self.turns[:1]], self.turns, *pads[1] * [self.turns[-1:]]])
        leaving, arriving = bonds.copy(), bonds.copy()
        leaving[:, 1:] = np.einsum("iba,ib->ia", turns[:-1], bonds[:, 1:])
        arriving[:, 1:] = np.einsum("iba,ib->ia", turns[1:], bonds[:, 1:])
        mean = (leaving + arriving) / 2
        torque = np.zeros((len(bonds) + 1, 4))
        torque[:-1] += mean - leaving
        torque[1:] += arriving - mean
        return mean, torque


def _rotation(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """R(n, angle), (3, 3), right-handed about the unit vector n (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross)


def bond_matrix(hopping: float, vector: NDArray[np.float64]) -> NDArray[np.complex128]:
    """-t + i v.sigma for vectors v (..., 3): (..., 2, 2), energy."""
    return np.asarray(-hopping * np.eye(2) + 1j * np.einsum("...a,aij->...ij", vector, PAULI))
