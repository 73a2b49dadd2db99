"""Recursive Green's functions of a lattice cut into slices: block elimination from the last slice to the first.

The open system is G(z) = [z - H - Sigma(z)]^-1 with blocks h_i (n x n) on the diagonal and hopping -t (a number, its
own between any two slices) times the identity between neighbours, so that no coupling matrix is ever multiplied:

    g_i = (z - h_i - t^2 g_(i+1))^-1,       G_i = g_i + t^2 g_i G_(i-1) g_i        (3 n^3 multiply-adds a slice)

Off the diagonal G_(i-1,i) = -t G_(i-1) g_i and G_(i,i-1) = -t g_i G_(i-1); bonds need their site blocks only, n^2.  The
same recursions over the nilpotent algebra of triples (g(a), g(b), f) with the product rule
(p q)_f = p_f q(b) + p(a) q_f give the blocks of G(a) Y G(b) for a block-diagonal Y: `two_point`.  It is the
off-diagonal block of the resolvent of [[H, Y], [0, H]] at two energies, 6 n^3 a slice more.

Near levels of a partial lattice, which end in the middle, digits are lost: `slices_near_levels.py` goes another way.

The products are BLAS's, called from kernels that release the GIL: energies spread over threads (`threads.py`).
cache=True kernels call only functions of this file (numba does not see edits elsewhere).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .slice_blocks import Allocator, Slices, Stack
from .slices_near_levels import blocks_near_levels, growth

_options = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}

# Up to this size LAPACK's inverse is as fast as matrix products.
_SMALL = 40
# Beyond this growth inside an inverse that does not pivot between blocks, digits are lost: LAPACK pivots.
_LARGEST_GROWTH = 1e5
# Beyond this growth of partial lattices, in units of 1/hopping, the blocks of G are had in another way.
_LARGEST_PARTIAL = 100.0


@njit(**_options)
def _largest(a):
    largest = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            largest = max(largest, a[i, j].real ** 2 + a[i, j].imag ** 2)
    return np.sqrt(largest)


@njit(**_options)
def inverse(a):
    """Inverse of a contiguous (n, n) matrix by blocks: products, because LAPACK's own runs at a third of their rate.

    There is no pivoting between the blocks.  Above the real axis none is needed (Im a > 0 makes every leading block
    regular); on it a leading block may be singular by accident, then LAPACK does it all.
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
    """ln det of (n, n) with positive definite Im a, on the sheet where each pivot's phase is in (0, pi).

    (The pivots of an elimination without pivoting are Schur complements, whose imaginary parts are positive too.)
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
def _eliminate(h, hops, z, first, last, with_logdet, g, logdet):
    """g (k, nx, n, n) and ln det G^-1 (k,) of the slices h (nx, n, n) with self-energies first, last (k, n, n)."""
    nx, n = h.shape[0], h.shape[1]
    a = np.empty((n, n), np.complex128)
    for k in range(z.shape[0]):
        logdet[k] = 0j
        for i in range(nx - 1, -1, -1):
            if i < nx - 1:
                a[:] = -hops[i] * hops[i] * g[k, i + 1] - h[i]
            else:
                a[:] = -h[i] - last[k]
            if i == 0:
                a -= first[k]
            for c in range(n):
                a[c, c] += z[k]
            try:
                g[k, i] = inverse(a)
            except Exception:  # singular to the last digit: a level of a partial lattice, see `growth`
                g[k, i] = np.nan
            if with_logdet:
                logdet[k] += _log_determinant(a)


@njit(**_options)
def _add_log_determinants(g, out):
    """out (k,) += ln det G^-1 of k systems by their g (k, nx, n, n): the product of det g_i^-1.

    Im g is negative definite, so that the pivots' phases lie in (-pi, 0): the sheet of `_log_determinant`.
    """
    n = g.shape[2]
    a = np.empty((n, n), np.complex128)
    for k in range(g.shape[0]):
        for i in range(g.shape[1]):
            a[:] = -g[k, i]
            # -1 = exp(i pi) at each of the n pivots.
            out[k] += complex(0, n * np.pi) - _log_determinant(a)


@njit(**_options)
def _local_blocks(a, out):
    """2 x 2 blocks of (n, n) for its sites y, out[0, y], and, where there is room, bonds y -> y + 1, out[2, y]."""
    ny = a.shape[0] // 2
    for y in range(ny):
        up = y + 1 if y + 1 < ny else 0
        for s in range(2):
            for r in range(2):
                out[0, y, s, r] = a[2 * y + s, 2 * y + r]
                if out.shape[0] > 1:
                    out[2, y, s, r] = a[2 * y + s, 2 * up + r] - a[2 * up + s, 2 * y + r]


@njit(**_options)
def _add_product(a, b, factor, out):
    """out (n/2, 2, 2) += factor times the blocks of the sites of a b."""
    for y in range(a.shape[0] // 2):
        for s in range(2):
            for r in range(2):
                total = 0j
                for c in range(a.shape[1]):
                    total += a[2 * y + s, c] * b[c, 2 * y + r]
                out[y, s, r] += factor * total


@njit(**_options)
def _diagonal(g, hops, keep, blocks, before, after):
    """Blocks of G (k, nx, 1 or 3, n/2, 2, 2), and t^2 g_i G_(i-1), t^2 G_(i-1) g_i for 0 < i < keep."""
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
def _two_point(ga, after, gb, before, hops, Y, moved, out, ends):
    """See `two_point`; arrays (k, nx, ...); ends (k, 2, n, n) receives the first and the last slice, if not empty."""
    nx, n = ga.shape[1], ga.shape[2]
    with_bonds = out.shape[2] > 1
    D = np.empty((moved, n, n), np.complex128)
    f, middle = np.empty((n, n), np.complex128), np.empty((n, n), np.complex128)
    for k in range(ga.shape[0]):
        # Right-connected part: D_i = Y_i + t^2 f_(i+1), f_i = g_i(a) D_i g_i(b).
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
            if ends.shape[0] > 0 and i == 0:
                ends[k, 0] = middle
            if ends.shape[0] > 0 and i == nx - 1:
                ends[k, 1] = middle


@njit(**_options)
def _solve(g, hops, c, x):
    """x (nx, n, p) with (E - H - Sigma) x = c by the g (nx, n, n) of one energy; c is overwritten."""
    nx = g.shape[0]
    product = np.empty_like(c[0])
    for i in range(nx - 2, -1, -1):
        np.dot(g[i + 1], c[i + 1], product)
        c[i] -= hops[i] * product
    np.dot(g[0], c[0], x[0])
    for i in range(1, nx):
        c[i] -= hops[i - 1] * x[i - 1]
        np.dot(g[i], c[i], x[i])


@dataclass(frozen=True)
class Sweep:
    """Blocks of G at k energies and what a first order needs of them.

    g: (k, nx, n, n).  blocks: (k, nx, 1 or 3, ny, 2, 2), of each site, and with bonds G_ab - G_ba of each bond from it
    to the next x, [:, :, 1] (zero at the last), and to the next y, [:, :, 2] (from the last to the first).
    before, after: (k, kept slices, n, n), t^2 g_i G_(i-1) and t^2 G_(i-1) g_i.
    growth: (k,) `slices_near_levels.growth`; where it is large, `two_point_near_levels` does better than `two_point`.
    """

    g: Stack
    blocks: Stack
    before: Stack
    after: Stack
    growth: NDArray[np.float64]

    def of(self, energies: slice) -> Sweep:
        """Some of the energies."""
        e = energies
        return Sweep(self.g[e], self.blocks[e], self.before[e], self.after[e], self.growth[e])


def new(shape: tuple[int, ...]) -> Stack:
    """An array of its own, not initialised."""
    return np.empty(shape, complex)


def eliminate(
    slices: Slices,
    z: NDArray[np.complex128],
    sigma: tuple[Stack, Stack],
    with_logdet: bool = False,
    allocate: Allocator = new,
) -> tuple[Stack, NDArray[np.complex128]]:
    """g_i of all slices, (k, nx, n, n), at energies z (k,), Im z >= 0; and, `with_logdet`, ln det G^-1 (k,), else 0.

    sigma: self-energies (k, n, n) of the first and of the last slice.
    """
    nx, n, _ = slices.h.shape
    g, logdet = allocate((len(z), nx, n, n)), np.empty(len(z), complex)
    slices.counter.add(len(z))
    _eliminate(slices.h, slices.hops, z, sigma[0], sigma[1], with_logdet, g, logdet)
    return g, logdet


def log_determinant(g: Stack) -> NDArray[np.complex128]:
    """ln det G^-1 (k,) as `eliminate` gives it, by the g (k, nx, n, n) of a sweep from either side."""
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
    """Blocks of G; keep: how many slices, from the first, a first order will perturb."""
    g, _ = eliminate(slices, z, sigma, allocate=allocate)
    k, nx, n, _ = g.shape
    blocks = np.zeros((k, nx, 3 if with_bonds else 1, n // 2, 2, 2), complex)
    before, after = allocate((k, keep, n, n)), allocate((k, keep, n, n))
    _diagonal(g, slices.hops, keep, blocks, before, after)
    grown = growth(g, slices.hops)
    # Put this way, what is not a number counts.
    for i in np.flatnonzero(~(grown <= _LARGEST_PARTIAL)):
        s = slice(i, i + 1)
        blocks[s] = blocks_near_levels(slices, z[s], (sigma[0][s], sigma[1][s]), with_bonds)
    return Sweep(g, blocks, before, after, grown)


def two_point(a: Sweep, b: Sweep, hops: NDArray[np.float64], Y: Stack, moved: int, with_bonds: bool = False) -> Stack:
    """`Sweep.blocks` of G(z_a) Y G(z_b) for Y = (nx, ny, 2, 2), zero from slice `moved` on.

    Beyond the last moved slice two products a slice, up to it six.
    """
    k, nx, _, ny, _, _ = a.blocks.shape
    out = np.zeros((k, nx, 3 if with_bonds else 1, ny, 2, 2), complex)
    no_ends = np.empty((0, 2, a.g.shape[2], a.g.shape[2]), complex)
    _two_point(a.g, a.after, b.g, b.before, hops, np.ascontiguousarray(Y), moved, out, no_ends)
    return out


def two_point_ends(a: Sweep, b: Sweep, hops: NDArray[np.float64], Y: Stack, moved: int) -> Stack:
    """The first and the last slice of G(z_a) Y G(z_b), (k, 2, n, n); arguments as `two_point`."""
    k, nx, _, ny, _, _ = a.blocks.shape
    out, ends = np.zeros((k, nx, 1, ny, 2, 2), complex), np.empty((k, 2, 2 * ny, 2 * ny), complex)
    _two_point(a.g, a.after, b.g, b.before, hops, np.ascontiguousarray(Y), moved, out, ends)
    return ends


def solve(g: Stack, hops: NDArray[np.float64], sources: Stack) -> Stack:
    """x with (E - H - Sigma) x = source, (nx, n, p), by the g_i (nx, n, n) of one energy."""
    x = np.empty_like(sources)
    _solve(g, hops, np.array(sources, order="C"), x)
    return x


def solve_adjoint(g: Stack, hops: NDArray[np.float64], sources: Stack) -> Stack:
    """x with (E - H - Sigma)^+ x = source: the advanced states."""
    return solve(np.ascontiguousarray(np.conj(np.swapaxes(g, 1, 2))), hops, sources)
