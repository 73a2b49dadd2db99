"""Exchange constants of the electrons: the second derivative of their grand potential taken apart.

    d^2 Omega = sum_(i<j) dm_i K_ij dm_j + ... ,    m_i K_ij m_j = -J_ij m_i.m_j + D_ij.(m_i x m_j) + m_i A_ij m_j

with A symmetric and traceless in its components, each pair counted once.  Signs as in `magnet/`: J > 0 is
ferromagnetic.  K is taken about the given texture and depends on it; moments are free vectors in it, so that what
changes their length is in K too.  For collinear moments the constants of rotations alone, those of Liechtenstein et
al., J. Magn. Magn. Mater. 67, 65 (1987), are `of_rotations`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .pairs import exchanged

_LEVI_CIVITA = np.zeros((3, 3, 3))
for _a in range(3):
    _b, _c = (_a + 1) % 3, (_a + 2) % 3
    _LEVI_CIVITA[_a, _b, _c], _LEVI_CIVITA[_a, _c, _b] = 1.0, -1.0
# Moments whose angle has a larger sine are not collinear.
_COLLINEAR = 1e-6


@dataclass(frozen=True)
class ExchangeConstants:
    """All in energy, zero for i = j: J, isotropic (n, n); dmi, vectors D (n, n, 3), D_ji = -D_ij; anisotropic, A.

    stiffness: K (n, n, 3, 3), from which they follow, with its diagonal.
    """

    J: NDArray[np.float64]
    dmi: NDArray[np.float64]
    anisotropic: NDArray[np.float64]
    stiffness: NDArray[np.float64]

    @staticmethod
    def of(stiffness: NDArray[np.float64]) -> ExchangeConstants:
        """From K_ij^ab, (n, n, 3, 3).  At a bias forces have no energy: that of the symmetric part is returned."""
        K = (stiffness + exchanged(stiffness)) / 2
        pairs = K * (1 - np.eye(len(K)))[:, :, None, None]
        J = 0.0 - np.trace(pairs, axis1=2, axis2=3) / 3
        D = np.einsum("abc,ijbc->ija", _LEVI_CIVITA, pairs) / 2
        symmetric = (pairs + np.swapaxes(pairs, 2, 3)) / 2
        return ExchangeConstants(J, D, symmetric + J[:, :, None, None] * np.eye(3), K)

    def of_rotations(self, m: NDArray[np.float64]) -> NDArray[np.float64]:
        """J_ij for rotations of collinear moments m (n, 3), or (nx, ny, 3), by small angles: (n, n), energy.

        Raises ValueError for a texture that is not collinear.
        """
        m = np.asarray(m, float).reshape(-1, 3)
        axis = m[np.argmax((m**2).sum(axis=1))]
        axis = axis / np.linalg.norm(axis)
        if not (np.linalg.norm(np.cross(m, axis), axis=1) <= _COLLINEAR).all():
            raise ValueError("m: must be collinear; constants of a texture are J, dmi and anisotropic")
        K = self.stiffness * (1 - np.eye(len(m)))[:, :, None, None]
        return -(np.trace(K, axis1=2, axis2=3) - np.einsum("a,ijab,b->ij", axis, K, axis)) / 2
