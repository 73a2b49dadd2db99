"""Traces over pairs of sites, from which response tensors are made.

For matrices X and Y on sites and spins,

    P_ij^ab[X, Y] = Tr_spin[ sigma_a X_ij sigma_b Y_ji ],        a, b = x, y, z.

Its complex conjugate is P[X, Y]^* = P[Y^+, X^+] with both matrices adjoint and exchanged, which is why tensors that are
real as a whole need not be so term by term.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llgnegf.kernels import njit

from .pauli import PAULI, pauli_traces

Matrices = NDArray[np.complex128]

# Tr[sigma_a sigma_c sigma_b sigma_d] as (4 c, 4 d, 3 a, 3 b).
SPIN = np.einsum("apq,cqr,brs,dsp->cdab", PAULI[1:], PAULI, PAULI[1:], PAULI)


def pauli_components(matrices: Matrices) -> Matrices:
    """x_ij^c with X_ij = sum_c x_ij^c sigma_c, c = 1, x, y, z, of matrices (k, 2 sites, 2 sites): (k, i, j, 4)."""
    k, n = matrices.shape[0], matrices.shape[1] // 2
    return pauli_traces(np.moveaxis(matrices.reshape(k, n, 2, n, 2), 2, 3)) / 2


def pair_sum(weights: NDArray[np.inexact], X: Matrices, Y: Matrices) -> Matrices:
    """sum_k weights_k P[X_k, Y_k], (i, j, 3, 3), for weights (k,) and matrices (k, 2 sites, 2 sites)."""
    n = X.shape[1] // 2
    out = np.empty((n, n, 3, 3), complex)
    given = (np.ascontiguousarray(one, complex) for one in (weights, X, Y))
    _add_pairs(*given, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
def _add_pairs(weights, X, Y, out):
    """With X = x0 + x.sigma and Y = y0 + y.sigma between two sites, the trace is

        2 [ (x0 y0 - x.y) delta_ab + x_a y_b + x_b y_a + i epsilon_abc (x0 y_c - y0 x_c) ].

    out: (n, n, 3, 3), overwritten; tile by tile, so that Y_ji is near X_ij.
    """
    n = out.shape[0]
    x = np.empty(3, np.complex128)
    y = np.empty(3, np.complex128)
    for first in range(0, n, 16):
        for second in range(0, n, 16):
            for i in range(first, min(first + 16, n)):
                for j in range(second, min(second + 16, n)):
                    one = out[i, j]
                    one[:] = 0.0
                    for k in range(weights.shape[0]):
                        up, flip = X[k, 2 * i, 2 * j], X[k, 2 * i, 2 * j + 1]
                        back, down = X[k, 2 * i + 1, 2 * j], X[k, 2 * i + 1, 2 * j + 1]
                        w = 0.5 * weights[k]
                        x0 = w * (up + down)
                        x[0] = w * (flip + back)
                        x[1] = 1j * w * (flip - back)
                        x[2] = w * (up - down)
                        up, flip = Y[k, 2 * j, 2 * i], Y[k, 2 * j, 2 * i + 1]
                        back, down = Y[k, 2 * j + 1, 2 * i], Y[k, 2 * j + 1, 2 * i + 1]
                        y0 = up + down
                        y[0] = flip + back
                        y[1] = 1j * (flip - back)
                        y[2] = up - down
                        scalar = x0 * y0 - x[0] * y[0] - x[1] * y[1] - x[2] * y[2]
                        for a in range(3):
                            b, c = (a + 1) % 3, (a + 2) % 3
                            one[a, a] += scalar + 2 * x[a] * y[a]
                            both = x[a] * y[b] + x[b] * y[a]
                            across = 1j * (x0 * y[c] - y0 * x[c])
                            one[a, b] += both + across
                            one[b, a] += both - across


def local_traces(matrices: Matrices) -> NDArray[np.float64]:
    """Blocks on the sites of Hermitian matrices (..., 2 sites, 2 sites), traced with 1 and sigma: (..., sites, 4)."""
    n = matrices.shape[-1] // 2
    blocks = matrices.reshape(*matrices.shape[:-2], n, 2, n, 2)
    return np.real(pauli_traces(np.moveaxis(np.diagonal(blocks, axis1=-4, axis2=-2), -1, -3)))


def exchanged(tensor: NDArray[np.float64]) -> NDArray[np.float64]:
    """T_ji^ba of a tensor T_ij^ab, (i, j, 3, 3): its transpose as a matrix over (site, component)."""
    return np.transpose(tensor, (1, 0, 3, 2))
