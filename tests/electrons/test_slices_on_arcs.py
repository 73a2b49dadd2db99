"""G and its continuation A above a segment of the real axis, from one elimination: against dense inverses."""

import itertools

import numpy as np
import pytest

from llgnegf.electrons.counter import Counter
from llgnegf.electrons.modes import Modes, cross_section
from llgnegf.electrons.open_system import OpenSystem, segments
from llgnegf.electrons.slice_blocks import Slices
from llgnegf.electrons.slices_on_arcs import FromOneEnd, Sheets
from tests.oracles.electrons_dense import SIGMA

Z = np.array([-0.7 + 0.2j, -0.65 + 0.03j, -0.6 + 1e-4j])
LARGE = 1e9


def system_of(rng, nx, ny, couplings, periodic=False):
    """Slices with any Hermitian 2 x 2 blocks on the sites and unequal hoppings along x."""
    column = cross_section(ny, 1.0, 0.0, periodic)
    modes = Modes(*np.linalg.eigh(column), 1.0)
    h = np.array([np.kron(column, np.eye(2)) for _ in range(nx)], complex)
    for x, y in itertools.product(range(nx), range(ny)):
        block = rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2))
        h[x, 2 * y : 2 * y + 2, 2 * y : 2 * y + 2] += block + block.conj().T
    hops = rng.uniform(0.5, 1.5, nx - 1)
    hops.flags.writeable = False
    segment = next(s for s in segments(modes, -4.0, 4.0) if s.low < Z[0].real < s.high)
    return OpenSystem(h, hops, modes, couplings), segment


def dense(system, segment, z, advanced):
    """(z - H - Sigma)^-1 with Sigma = (c^2/t)(x - S), S^2 = x^2 - 1, on each mode's sheet; index x, then y, spin."""
    nx, n, _ = system.h.shape
    K = z * np.eye(nx * n) - np.zeros((nx * n, nx * n), complex)
    for i in range(nx):
        K[i * n : (i + 1) * n, i * n : (i + 1) * n] -= system.h[i]
    for i, t in enumerate(system.hops):
        K[i * n : (i + 1) * n, (i + 1) * n : (i + 2) * n] += t * np.eye(n)
        K[(i + 1) * n : (i + 2) * n, i * n : (i + 1) * n] += t * np.eye(n)
    x = (z - system.modes.energies) / 2
    across, closed = np.sqrt(1 - x * x), np.sqrt(x - 1) * np.sqrt(x + 1)
    sigma = x - np.where(segment.open_modes, (-1j if advanced else 1j) * across, closed)
    block = np.kron((system.modes.vectors * sigma) @ system.modes.vectors.T, np.eye(2))
    K[:n, :n] -= system.couplings[0] ** 2 * block
    K[-n:, -n:] -= system.couplings[1] ** 2 * block
    return np.linalg.inv(K)


def traces(F, a, b):
    """Tr[sigma F_ab] of the 2 x 2 block of sites a, b."""
    return np.einsum("cij,ji->c", SIGMA, F[2 * a : 2 * a + 2, 2 * b : 2 * b + 2])


def expected(system, segment, z, rate):
    nx, n, _ = system.h.shape
    ny = n // 2
    Y = np.zeros((nx * n, nx * n), complex)
    for site, block in enumerate(rate.reshape(-1, 2, 2)):
        Y[2 * site : 2 * site + 2, 2 * site : 2 * site + 2] = block
    G, A = (dense(system, segment, z, advanced) for advanced in (False, True))
    F = G @ Y @ (A - G)
    place = np.arange(nx * ny).reshape(nx, ny)
    on_sites = [np.array([traces(M, i, i) for i in place.ravel()]).reshape(nx, ny, 4) for M in (A - G, F)]
    bonds = np.zeros((nx, 2, ny, 4), complex)
    for x, y in itertools.product(range(nx), range(ny)):
        for axis, near in ((0, place[x + 1, y] if x + 1 < nx else None), (1, place[x, (y + 1) % ny])):
            if near is not None:
                bonds[x, axis, y] = traces(F, near, place[x, y]) - traces(F, place[x, y], near)
    ends = np.zeros((2, ny, 4), complex)
    modes = np.kron(system.modes.vectors, np.eye(2))
    for side, part in enumerate((slice(0, n), slice(-n, None))):
        by_mode = modes.T @ (G @ Y @ A)[part, part] @ modes
        for m in np.flatnonzero(segment.open_modes & (system.couplings[side] != 0)):
            ends[side, m] = traces(by_mode, m, m)
    return *on_sites, bonds, ends


@pytest.mark.parametrize("largest", [LARGE, 0.0], ids=["elimination", "LU"])
@pytest.mark.parametrize("from_left", [False, True])
@pytest.mark.parametrize("couplings", [(1.0, 0.4), (0.0, 0.7), (0.3, 0.0)])
@pytest.mark.parametrize(("nx", "ny", "periodic", "columns"), [(1, 2, False, 1), (4, 3, False, 4), (3, 3, True, 2)])
def test_jump_equals_dense_inverses(rng, nx, ny, periodic, columns, couplings, from_left, largest):
    system, segment = system_of(rng, nx, ny, couplings, periodic)
    if (ny, periodic) == (3, False):
        assert 0 < segment.open_modes.sum() < ny
    rate = rng.normal(size=(nx, ny, 2, 2)) + 1j * rng.normal(size=(nx, ny, 2, 2))
    rate[columns:] = 0
    counter = Counter(None)
    lattice = FromOneEnd(system, Slices(system.h, system.hops, counter), from_left)
    found = Sheets(lattice, segment.open_modes, rate).jump(Z, [slice(0, 2), slice(2, 3)], largest, True, True)
    assert counter.count == len(Z)
    for k, z in enumerate(Z):
        parts = (found.states[k], found.response[k], found.bonds[k], found.ends[k])
        for mine, known in zip(parts, expected(system, segment, z, rate), strict=True):
            assert abs(mine - known).max() < 1e-11 * max(1.0, abs(known).max())
    short = Sheets(lattice, segment.open_modes, rate).jump(Z, [slice(0, 3)], largest)
    assert not len(short.bonds)
    assert not len(short.ends)
    assert np.array_equal(short.response, found.response)


@pytest.mark.parametrize("largest", [LARGE, 0.0], ids=["elimination", "LU"])
@pytest.mark.parametrize("from_left", [False, True])
def test_solver_equals_dense_inverse(rng, from_left, largest):
    system, segment = system_of(rng, 4, 3, (1.0, 0.4))
    lattice = FromOneEnd(system, Slices(system.h, system.hops, Counter(None)), from_left)
    source = rng.normal(size=(24, 2)) + 1j * rng.normal(size=(24, 2))
    solved = lattice.solver(complex(Z[1]), segment.open_modes, largest).solve(source)
    assert abs(solved - dense(system, segment, Z[1], False) @ source).max() < 1e-12 * abs(solved).max()


def test_no_motion_and_no_contact(rng):
    system, segment = system_of(rng, 3, 2, (0.0, 0.0))
    for couplings, rate in (
        ((0.0, 0.0), np.ones((3, 2, 2, 2), complex)),
        ((1.0, 1.0), np.zeros((3, 2, 2, 2), complex)),
    ):
        open_system = OpenSystem(system.h, system.hops, system.modes, couplings)
        lattice = FromOneEnd(open_system, Slices(system.h, system.hops, Counter(None)), False)
        found = Sheets(lattice, segment.open_modes, rate).jump(Z, [slice(0, 3)], LARGE, True, True)
        assert not found.response.any()
        assert not found.bonds.any()
        assert found.states.any() == any(couplings)
