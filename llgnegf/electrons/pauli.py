"""Pauli matrices, and traces of 2 x 2 blocks in the space of the spin with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IDENTITY = np.eye(2, dtype=complex)
# 1, sigma_x, sigma_y, sigma_z, and the last three alone.
PAULI = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
SIGMA = PAULI[1:]


def pauli_traces(blocks: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Tr[sigma_a F] for a = identity, x, y, z: (..., 2, 2) -> (..., 4)."""
    f00, f01, f10, f11 = blocks[..., 0, 0], blocks[..., 0, 1], blocks[..., 1, 0], blocks[..., 1, 1]
    return np.stack([f00 + f11, f01 + f10, 1j * (f01 - f10), f00 - f11], axis=-1)


def state_traces(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Traces of a_i b_i^+ with 1, sigma_x, sigma_y, sigma_z for states (N,): (N/2, 4)."""
    a, b = a.reshape(-1, 2), b.reshape(-1, 2).conj()
    p00, p01, p10, p11 = a[:, 0] * b[:, 0], a[:, 0] * b[:, 1], a[:, 1] * b[:, 0], a[:, 1] * b[:, 1]
    return np.stack([p00 + p11, p01 + p10, 1j * (p01 - p10), p00 - p11], axis=1)
