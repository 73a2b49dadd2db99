"""Traces over pairs of sites, from which response tensors are made.

For matrices X and Y on sites and spins,

    P_ij^ab[X, Y] = Tr_spin[ sigma_a X_ij sigma_b Y_ji ],        a, b = x, y, z.

Its complex conjugate is P[X, Y]^* = P[Y^+, X^+] with both matrices adjoint and exchanged, which is why tensors that are
real as a whole need not be so term by term.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scattering import pauli_traces

Matrices = NDArray[np.complex128]

PAULI = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
# Tr[sigma_a sigma_c sigma_b sigma_d] as (4 c, 4 d, 3 a, 3 b).
SPIN = np.einsum("apq,cqr,brs,dsp->cdab", PAULI[1:], PAULI, PAULI[1:], PAULI)


def pauli_components(matrices: Matrices) -> Matrices:
    """x_ij^c with X_ij = sum_c x_ij^c sigma_c, c = 1, x, y, z, of matrices (k, 2 sites, 2 sites): (k, i, j, 4)."""
    k, n = matrices.shape[0], matrices.shape[1] // 2
    return pauli_traces(np.moveaxis(matrices.reshape(k, n, 2, n, 2), 2, 3)) / 2


def pair_sum(weights: NDArray[np.inexact], x: Matrices, y: Matrices) -> Matrices:
    """sum_k weights_k P[X_k, Y_k], (i, j, 3, 3), for weights (k,) and `pauli_components` x, y (k, i, j, 4)."""
    n = x.shape[1]
    products = np.empty((n, n, 4, 4), complex)
    back = np.swapaxes(y, 1, 2)
    for c in range(4):
        weighted = weights[:, None, None] * x[..., c]
        for d in range(4):
            np.einsum("kij,kij->ij", weighted, back[..., d], out=products[:, :, c, d])
    return (products.reshape(n * n, 16) @ SPIN.reshape(16, 9)).reshape(n, n, 3, 3)


def exchanged(tensor: NDArray[np.float64]) -> NDArray[np.float64]:
    """T_ji^ba of a tensor T_ij^ab, (i, j, 3, 3): its transpose as a matrix over (site, component)."""
    return np.transpose(tensor, (1, 0, 3, 2))
