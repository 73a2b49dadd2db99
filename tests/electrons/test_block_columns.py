"""Columns of G for bonds of any form, beside the dense inverse, also where elimination would lose digits."""

import numpy as np
import pytest

from llgnegf.electrons.block_columns import BlockColumns


def hermitian(rng, *shape):
    a = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return (a + np.conj(np.swapaxes(a, -1, -2))) / 2


@pytest.mark.parametrize("pivoted", [False, True])
@pytest.mark.parametrize(("nx", "n"), [(1, 4), (2, 2), (5, 2), (4, 6)])
def test_against_the_dense_inverse(nx, n, pivoted):
    rng = np.random.default_rng(nx + n)
    h, up = hermitian(rng, nx, n, n), rng.normal(size=(nx - 1, n, n)) + 1j * rng.normal(size=(nx - 1, n, n))
    if pivoted:  # E = 1 is a level of the last slice
        h[-1] += np.eye(n) - np.linalg.eigvalsh(h[-1])[0] * np.eye(n)
    first, last = (-0.3j * np.eye(n) + hermitian(rng, n, n) for _ in range(2))
    if pivoted and nx > 1:
        last = np.zeros((n, n), complex)
    H = np.zeros((nx, n, nx, n), complex)
    for x in range(nx):
        H[x, :, x] = h[x]
    for x, bond in enumerate(up):
        H[x, :, x + 1], H[x + 1, :, x] = bond, bond.conj().T
    H = H.reshape(nx * n, nx * n)
    z = np.array([1.0, 0.4 + 0.2j])
    blocks = BlockColumns.of_dense(H, nx)
    solver = blocks.at(z, np.array([first] * 2), np.array([last] * 2))
    assert (0 in solver.pivoted) == (pivoted and nx > 1)
    sources = rng.normal(size=(2, nx * n, 3)) + 0j
    found = solver.solve(sources)
    H[:n, :n] += first
    H[-n:, -n:] += last
    for energy, c, x in zip(z, sources, found, strict=True):
        expected = np.linalg.solve(energy * np.eye(nx * n) - H, c)
        np.testing.assert_allclose(x, expected, atol=1e-11 * abs(expected).max())
