"""Recursive Green's functions of a lattice cut into slices: block elimination from the last slice to the first.

The Green's function of the open system is G(z) = [z - H - Sigma(z)]^-1.  H has a block h_i (n x n) for each slice, and
between neighbouring slices the hopping -t times the identity, so that no coupling matrix is multiplied.  t may differ
from one pair of slices to the next:

    g_i = (z - h_i - t^2 g_(i+1))^-1,       G_i = g_i + t^2 g_i G_(i-1) g_i        (3 n^3 multiply-adds a slice)

Off the diagonal, G_(i-1,i) = -t G_(i-1) g_i and G_(i,i-1) = -t g_i G_(i-1).  Flows over bonds need only the 2 x 2
blocks of neighbouring sites, about n^2 operations for each bond direction.

Where the bonds to the next slice are any 2 x 2 matrix T_i = H_(i,i+1), the same for all y, T takes the place of -t:

    g_i = (z - h_i - T_i g_(i+1) T_i^+)^-1,      G_(i,i-1) = g_i T_(i-1)^+ G_(i-1),      G_(i-1,i) = G_(i-1) T_(i-1) g_i

No product of these is larger than n^2, and no inverse of T is taken: bonds may be closed to one spin.

`two_point`: blocks of G(a) Y G(b) for a block-diagonal Y and two energies a, b.  This is the off-diagonal block of the
resolvent of [[H, Y], [0, H]] with a and b on the diagonal, and follows from the same recursions for triples
(g(a), g(b), f) with the product rule (p q)_f = p_f q(b) + p(a) q_f: 6 n^3 more for each slice.

g_i belongs to a partial lattice: the slices from i to the last, without those before.  Close to one of its levels g_i
is large and digits are lost; the functions of `slices_near_levels.py` are used instead.

Matrix products are those of BLAS, called from kernels that release the GIL, because energies are shared among threads
(`threads.py`).  Kernels with cache=True call only functions of this file: numba does not notice changes in other files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llgnegf.kernels import njit

from .slice_blocks import Allocator, Slices, Stack
from .slices_near_levels import blocks_near_levels, growth

_options = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}

# Matrices up to this size are inverted by LAPACK; larger ones faster by matrix products (`inverse`).
_SMALL = 40
# `inverse` does not pivot between blocks.  If the inverse of its first block exceeds the result by this factor, digits
# are lost, and LAPACK, which does pivot, inverts the matrix.
_LARGEST_GROWTH = 1e5
# If an element of g of a partial lattice exceeds this value times 1/hopping, digits are lost, and the blocks of G are
# computed by `blocks_near_levels`.
_LARGEST_PARTIAL = 100.0


@njit(**_options)
def _largest(a):
    """Largest absolute value of the elements of a matrix."""
    largest = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            largest = max(largest, a[i, j].real ** 2 + a[i, j].imag ** 2)
    return np.sqrt(largest)


@njit(**_options)
def inverse(a):
    """Inverse of a contiguous (n, n) matrix by blocks; LAPACK's inverse runs at a third of the rate of matrix products.

    There is no pivoting between the blocks.  For energies above the real axis none is needed: the imaginary part of
    `a` is positive definite, so that no leading block is singular.  On the real axis one may happen to be nearly
    singular; LAPACK then inverts the whole matrix.
    """
    n = a.shape[0]
    if n <= _SMALL:
        return np.ascontiguousarray(np.linalg.inv(a))
    h = n // 2
    above, left = np.ascontiguousarray(a[:h, h:]), np.ascontiguousarray(a[h:, :h])
    first = inverse(np.ascontiguousarray(a[:h, :h]))
    right_of_first = np.dot(first, above)
    last = inverse(np.ascontiguousarray(a[h:, h:]) - np.dot(left, right_of_first))
    upper = np.dot(right_of_first, last)
    below_first = np.dot(left, first)
    lower = np.dot(last, below_first)
    corner = first + np.dot(upper, below_first)
    if _largest(first) > _LARGEST_GROWTH * max(_largest(corner), _largest(last)):
        return np.ascontiguousarray(np.linalg.inv(a))
    out = np.empty_like(a)
    out[:h, :h] = corner
    out[h:, h:] = last
    for i in range(h):
        for j in range(n - h):
            out[i, h + j] = -upper[i, j]
            out[h + j, i] = -lower[j, i]
    return out


@njit(**_options)
def _log_determinant(a):
    """ln det of a matrix (n, n) with positive definite Im a, on the branch where the phase of each pivot is in (0, pi).

    The pivots of an elimination without row exchanges are Schur complements, whose imaginary parts are positive.
    `a` is overwritten.
    """
    n = a.shape[0]
    out = 0j
    for i in range(n):
        pivot = a[i, i]
        phase = np.arctan2(pivot.imag, pivot.real)
        if phase < 0:  # rounding, or a real energy outside the spectrum
            phase += 2 * np.pi
        out += complex(0.5 * np.log(pivot.real**2 + pivot.imag**2), phase)
        for j in range(i + 1, n):
            factor = a[j, i] / pivot
            for c in range(i + 1, n):
                a[j, c] -= factor * a[i, c]
    return out


@njit(**_options)
def _times_bond(x, T, out):
    """out = x T for x (n, n) and T (2, 2) on each site."""
    t00, t01, t10, t11 = T[0, 0], T[0, 1], T[1, 0], T[1, 1]
    for a in range(x.shape[0]):
        for y in range(x.shape[1] // 2):
            up, down = x[a, 2 * y], x[a, 2 * y + 1]
            out[a, 2 * y] = up * t00 + down * t10
            out[a, 2 * y + 1] = up * t01 + down * t11


@njit(**_options)
def _bond_times(T, x, out):
    """out = T x for x (n, p) and T (2, 2) on each site."""
    t00, t01, t10, t11 = T[0, 0], T[0, 1], T[1, 0], T[1, 1]
    for y in range(x.shape[0] // 2):
        for b in range(x.shape[1]):
            up, down = x[2 * y, b], x[2 * y + 1, b]
            out[2 * y, b] = t00 * up + t01 * down
            out[2 * y + 1, b] = t10 * up + t11 * down


@njit(**_options)
def _eliminate(h, hops, bonds, z, first, last, with_logdet, g, logdet):
    """Fill g (k, nx, n, n) and logdet = ln det G^-1 (k,) for slices h (nx, n, n) at energies z (k,).

    hops: (nx - 1,); bonds: (2, nx - 1, 2, 2), T and T^+ in their place, or (2, 0, 2, 2); first, last: self-energies
    (k, n, n) of the first and of the last slice.  Without `with_logdet` logdet is 0.
    """
    nx, n = h.shape[0], h.shape[1]
    a, half = np.empty((n, n), np.complex128), np.empty((n, n), np.complex128)
    for k in range(z.shape[0]):
        logdet[k] = 0j
        for i in range(nx - 1, -1, -1):
            if i < nx - 1 and bonds.shape[1] > 0:
                _bond_times(bonds[0, i], g[k, i + 1], half)
                _times_bond(half, bonds[1, i], a)
                a[:] = -a - h[i]
            elif i < nx - 1:
                a[:] = -hops[i] * hops[i] * g[k, i + 1] - h[i]
            else:
                a[:] = -h[i] - last[k]
            if i == 0:
                a -= first[k]
            for c in range(n):
                a[c, c] += z[k]
            try:
                g[k, i] = inverse(a)
            except Exception:  # singular: z is a level of a partial lattice; `growth` treats NaN as too large
                g[k, i] = np.nan
            if with_logdet:
                logdet[k] += _log_determinant(a)


@njit(**_options)
def _add_log_determinants(g, out):
    """out (k,) += ln det G^-1 from g (k, nx, n, n): det G^-1 is the product of det g_i^-1 over the slices.

    Im(-g) is positive definite, as `_log_determinant` requires; the result is on the same branch as that of
    `_eliminate`.
    """
    n = g.shape[2]
    a = np.empty((n, n), np.complex128)
    for k in range(g.shape[0]):
        for i in range(g.shape[1]):
            a[:] = -g[k, i]
            # det g = (-1)^n det(-g), and -1 = exp(i pi).
            out[k] += complex(0, n * np.pi) - _log_determinant(a)


@njit(**_options)
def _local_blocks(a, out):
    """Copy from a matrix (n, n) of one slice the 2 x 2 block of each site y into out[0, y].

    If out (1, 3 or 5, n/2, 2, 2) has room for bonds, out[2, y] receives a_(y,y+1) - a_(y+1,y); the last y is followed
    by the first.  Of five, out[4, y] receives their sum.
    """
    ny = a.shape[0] // 2
    for y in range(ny):
        up = y + 1 if y + 1 < ny else 0
        for s in range(2):
            for r in range(2):
                out[0, y, s, r] = a[2 * y + s, 2 * y + r]
                if out.shape[0] > 1:
                    out[2, y, s, r] = a[2 * y + s, 2 * up + r] - a[2 * up + s, 2 * y + r]
                if out.shape[0] > 3:
                    out[4, y, s, r] = a[2 * y + s, 2 * up + r] + a[2 * up + s, 2 * y + r]


@njit(**_options)
def _add_product(a, b, factor, out):
    """out (n/2, 2, 2) += factor times the 2 x 2 blocks, on the diagonal, of the matrix product a b."""
    for y in range(a.shape[0] // 2):
        for s in range(2):
            for r in range(2):
                total = 0j
                for c in range(a.shape[1]):
                    total += a[2 * y + s, c] * b[c, 2 * y + r]
                out[y, s, r] += factor * total


@njit(**_options)
def _diagonal(g, hops, keep, blocks, before, after):
    """Fill blocks, before = t^2 g_i G_(i-1) and after = t^2 G_(i-1) g_i for 0 < i < keep, in the layout of `Sweep`."""
    n = g.shape[2]
    with_bonds = blocks.shape[2] > 1
    product, G = np.empty((n, n), np.complex128), np.empty((n, n), np.complex128)
    for k in range(g.shape[0]):
        G[:] = g[k, 0]
        _local_blocks(G, blocks[k, 0])
        for i in range(1, g.shape[1]):
            t = hops[i - 1]
            G *= t * t
            np.dot(g[k, i], G, product)
            if with_bonds:
                _add_product(g[k, i], G, 1 / t, blocks[k, i - 1, 1])
                _add_product(G, g[k, i], -1 / t, blocks[k, i - 1, 1])
            if i < keep:
                before[k, i] = product
                np.dot(G, g[k, i], after[k, i])
            np.dot(product, g[k, i], G)
            G += g[k, i]
            _local_blocks(G, blocks[k, i])


@njit(**_options)
def _pair(a, b, c, d, difference, total):
    """difference += a b - c d and total += a b + c d, their 2 x 2 blocks on the diagonal, (n/2, 2, 2)."""
    _add_product(a, b, 1.0, difference)
    _add_product(c, d, -1.0, difference)
    _add_product(a, b, 1.0, total)
    _add_product(c, d, 1.0, total)


@njit(**_options)
def _diagonal_of_bonds(g, bonds, keep, blocks, before, after):
    """`_diagonal` for bonds (2, nx - 1, 2, 2): before = G_(i,i-1), after = G_(i-1,i) for 0 < i < keep."""
    n = g.shape[2]
    with_bonds = blocks.shape[2] > 1
    product, G, right, left = (
        np.empty((n, n), np.complex128),
        np.empty((n, n), np.complex128),
        np.empty((n, n), np.complex128),
        np.empty((n, n), np.complex128),
    )
    for k in range(g.shape[0]):
        G[:] = g[k, 0]
        _local_blocks(G, blocks[k, 0])
        for i in range(1, g.shape[1]):
            T, back = bonds[0, i - 1], bonds[1, i - 1]
            _times_bond(G, T, right)
            _bond_times(back, G, left)
            if with_bonds:
                _pair(right, g[k, i], g[k, i], left, blocks[k, i - 1, 1], blocks[k, i - 1, 3])
            if i < keep:
                np.dot(g[k, i], left, before[k, i])
                np.dot(right, g[k, i], after[k, i])
            _bond_times(back, right, left)
            np.dot(g[k, i], left, product)
            np.dot(product, g[k, i], G)
            G += g[k, i]
            _local_blocks(G, blocks[k, i])


@njit(**_options)
def _two_point_of_bonds(ga, after, gb, before, bonds, Y, moved, out):
    """`_two_point` with bonds (2, nx - 1, 2, 2) and what `_diagonal_of_bonds` keeps."""
    nx, n = ga.shape[1], ga.shape[2]
    with_bonds = out.shape[2] > 1
    D = np.empty((moved, n, n), np.complex128)
    f, half = np.empty((n, n), np.complex128), np.empty((n, n), np.complex128)
    F, middle = np.empty((n, n), np.complex128), np.empty((n, n), np.complex128)
    driven = np.empty((n, n), np.complex128)
    for k in range(ga.shape[0]):
        # f of the partial lattice: D_i = Y_i + T_i f_(i+1) T_i^+, f_i = g_i(a) D_i g_i(b).
        for i in range(moved - 1, -1, -1):
            if i < moved - 1:
                np.dot(ga[k, i + 1], D[i + 1], half)
                np.dot(half, gb[k, i + 1], f)
                _bond_times(bonds[0, i], f, half)
                _times_bond(half, bonds[1, i], D[i])
            else:
                D[i] = 0.0
            for y in range(n // 2):
                for s in range(2):
                    for r in range(2):
                        D[i, 2 * y + s, 2 * y + r] += Y[i, y, s, r]
        # F_i = g_i(a) [T^+ F_(i-1) T + D_i + D_i G_(i,i-1)(b) T + T^+ G_(i-1,i)(a) D_i] g_i(b), T that of i - 1 and i;
        # F_(i-1,i) = [F_(i-1) T + G_(i-1,i)(a) D_i] g_i(b), F_(i,i-1) = g_i(a) [T^+ F_(i-1) + D_i G_(i,i-1)(b)].
        for i in range(nx):
            if i == 0:
                middle[:] = D[0]
            else:
                T, back = bonds[0, i - 1], bonds[1, i - 1]
                _times_bond(F, T, half)
                _bond_times(back, F, f)
                if i < moved:
                    np.dot(D[i], before[k, i], driven)
                    f += driven
                    np.dot(after[k, i], D[i], middle)
                    half += middle
                if with_bonds:
                    _pair(half, gb[k, i], ga[k, i], f, out[k, i - 1, 1], out[k, i - 1, 3])
                _bond_times(back, half, middle)
                if i < moved:
                    middle += D[i]
                    _times_bond(driven, T, f)
                    middle += f
            np.dot(ga[k, i], middle, f)
            np.dot(f, gb[k, i], F)
            _local_blocks(F, out[k, i])


@njit(**_options)
def _two_point(ga, after, gb, before, hops, Y, moved, out):
    """Fill `out` as `two_point` returns it."""
    nx, n = ga.shape[1], ga.shape[2]
    with_bonds = out.shape[2] > 1
    D = np.empty((moved, n, n), np.complex128)
    f, middle = np.empty((n, n), np.complex128), np.empty((n, n), np.complex128)
    for k in range(ga.shape[0]):
        # f of the partial lattice: D_i = Y_i + t^2 f_(i+1), f_i = g_i(a) D_i g_i(b).
        for i in range(moved - 1, -1, -1):
            if i < moved - 1:
                np.dot(ga[k, i + 1], D[i + 1], f)
                np.dot(f, gb[k, i + 1], D[i])
                D[i] *= hops[i] * hops[i]
            else:
                D[i] = 0.0
            for y in range(n // 2):
                for s in range(2):
                    for r in range(2):
                        D[i, 2 * y + s, 2 * y + r] += Y[i, y, s, r]
        # F_i = g_i(a) [t^2 F_(i-1) + D_i + D_i before_i(b) + after_i(a) D_i] g_i(b), beyond the last moved slice D = 0;
        # F_(i-1,i) = -[t^2 F_(i-1) + after_i(a) D_i] g_i(b)/t, F_(i,i-1) = -g_i(a) [t^2 F_(i-1) + D_i before_i(b)]/t.
        for i in range(nx):
            if i == 0:
                middle[:] = D[0]
            else:
                t = hops[i - 1]
                middle *= t * t
                if with_bonds:
                    _add_product(ga[k, i], middle, 1 / t, out[k, i - 1, 1])
                    _add_product(middle, gb[k, i], -1 / t, out[k, i - 1, 1])
                if i < moved:
                    middle += D[i]
                    np.dot(D[i], before[k, i], f)
                    middle += f
                    if with_bonds:
                        _add_product(ga[k, i], f, 1 / t, out[k, i - 1, 1])
                    np.dot(after[k, i], D[i], f)
                    middle += f
                    if with_bonds:
                        _add_product(f, gb[k, i], -1 / t, out[k, i - 1, 1])
            np.dot(ga[k, i], middle, f)
            np.dot(f, gb[k, i], middle)
            _local_blocks(middle, out[k, i])


@njit(**_options)
def _solve(g, hops, bonds, c, x):
    """Fill x (nx, n, p), the solution of (E - H - Sigma) x = c, with g (nx, n, n) of one energy; c is overwritten.

    hops, bonds: as `_eliminate`.
    """
    nx = g.shape[0]
    product = np.empty_like(c[0])
    across = np.empty_like(c[0])
    for i in range(nx - 2, -1, -1):
        np.dot(g[i + 1], c[i + 1], product)
        if bonds.shape[1] > 0:
            _bond_times(bonds[0, i], product, across)
            c[i] += across
        else:
            c[i] -= hops[i] * product
    np.dot(g[0], c[0], x[0])
    for i in range(1, nx):
        if bonds.shape[1] > 0:
            _bond_times(bonds[1, i - 1], x[i - 1], across)
            c[i] += across
        else:
            c[i] -= hops[i - 1] * x[i - 1]
        np.dot(g[i], c[i], x[i])


@dataclass(frozen=True)
class Sweep:
    """Blocks of G at k energies, and the matrices from which `two_point` computes the response to a perturbation.

    g: (k, nx, n, n), Green's functions of the partial lattices.
    blocks: (k, nx, 1, 3 or 5, ny, 2, 2).  [:, :, 0]: G on each site.  With bonds also G_ab - G_ba of the bond from each
    site to the next x, [:, :, 1], zero at the last x, and to the next y, [:, :, 2], where the last is followed by the
    first.  Where bonds are matrices (`Slices.whole`) also G_ab + G_ba, [:, :, 3] and [:, :, 4]; along x it is zero
    beside scalar bonds between slices, where nothing asks for it.
    before, after: (k, kept slices, n, n), t^2 g_i G_(i-1) and t^2 G_(i-1) g_i, or G_(i,i-1) and G_(i-1,i) where bonds
    between slices are matrices.
    growth: (k,), see `slices_near_levels.growth`; where it is large, use `two_point_near_levels` instead of
    `two_point`.
    """

    g: Stack
    blocks: Stack
    before: Stack
    after: Stack
    growth: NDArray[np.float64]

    def of(self, energies: slice) -> Sweep:
        """The part of this sweep at these of its energies; the arrays are views."""
        e = energies
        return Sweep(self.g[e], self.blocks[e], self.before[e], self.after[e], self.growth[e])


def new(shape: tuple[int, ...]) -> Stack:
    """A newly allocated array, not initialised: an `Allocator` without reuse."""
    return np.empty(shape, complex)


def eliminate(
    slices: Slices,
    z: NDArray[np.complex128],
    sigma: tuple[Stack, Stack],
    with_logdet: bool = False,
    allocate: Allocator = new,
) -> tuple[Stack, NDArray[np.complex128]]:
    """g_i of all slices, (k, nx, n, n), and ln det G^-1, (k,), which is 0 unless `with_logdet`.

    z: (k,) energies, Im z >= 0; sigma: self-energies (k, n, n) of the first and of the last slice.
    """
    nx, n, _ = slices.h.shape
    g, logdet = allocate((len(z), nx, n, n)), np.empty(len(z), complex)
    slices.counter.add(len(z))
    _eliminate(slices.h, slices.hops, slices.both_ways, z, sigma[0], sigma[1], with_logdet, g, logdet)
    return g, logdet


def log_determinant(g: Stack) -> NDArray[np.complex128]:
    """ln det G^-1, (k,), as `eliminate` returns it, from g (k, nx, n, n) of a sweep that began at either end."""
    out = np.zeros(len(g), complex)
    _add_log_determinants(g, out)
    return out


def sweep(
    slices: Slices,
    z: NDArray[np.complex128],
    sigma: tuple[Stack, Stack],
    keep: int = 0,
    with_bonds: bool = False,
    allocate: Allocator = new,
) -> Sweep:
    """Blocks of G at energies z (k,), Im z >= 0; sigma: self-energies (k, n, n) of the first and of the last slice.

    keep: number of slices, counted from the first, that a perturbation Y of `two_point` may change.
    """
    g, _ = eliminate(slices, z, sigma, allocate=allocate)
    k, nx, n, _ = g.shape
    blocks = np.zeros((k, nx, slices.layers(with_bonds), n // 2, 2, 2), complex)
    before, after = allocate((k, keep, n, n)), allocate((k, keep, n, n))
    if slices.bonds is None:
        _diagonal(g, slices.hops, keep, blocks, before, after)
    else:
        _diagonal_of_bonds(g, slices.both_ways, keep, blocks, before, after)
    grown = growth(g, slices.hops)
    # Written with `~`, so that NaN counts as too large.
    for i in np.flatnonzero(~(grown <= _LARGEST_PARTIAL)):
        s = slice(i, i + 1)
        blocks[s] = blocks_near_levels(slices, z[s], (sigma[0][s], sigma[1][s]), with_bonds)
    return Sweep(g, blocks, before, after, grown)


def two_point(a: Sweep, b: Sweep, slices: Slices, Y: Stack, moved: int, with_bonds: bool = False) -> Stack:
    """G(z_a) Y G(z_b) in the layout of `Sweep.blocks`, for two sweeps a, b and Y (nx, ny, 2, 2).

    slices: those of the sweeps, in their order; moved: Y is zero from this slice on.  Cost: six matrix products for
    each of the first `moved` slices, two for each other one.
    """
    k, nx, _, ny, _, _ = a.blocks.shape
    out = np.zeros((k, nx, slices.layers(with_bonds), ny, 2, 2), complex)
    if slices.bonds is None:
        _two_point(a.g, a.after, b.g, b.before, slices.hops, np.ascontiguousarray(Y), moved, out)
    else:
        _two_point_of_bonds(a.g, a.after, b.g, b.before, slices.both_ways, np.ascontiguousarray(Y), moved, out)
    return out


def solve(g: Stack, slices: Slices, sources: Stack) -> Stack:
    """Solution x (nx, n, p) of (E - H - Sigma) x = sources, from g (nx, n, n) of these slices at this energy."""
    x = np.empty_like(sources)
    _solve(g, slices.hops, slices.both_ways, np.array(sources, order="C"), x)
    return x


def solve_adjoint(g: Stack, slices: Slices, sources: Stack) -> Stack:
    """Solution x of (E - H - Sigma)^+ x = sources, as `solve`: advanced states."""
    return solve(np.ascontiguousarray(np.conj(np.swapaxes(g, 1, 2))), slices, sources)
