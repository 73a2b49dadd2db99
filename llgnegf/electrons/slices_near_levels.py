"""Green's functions of a lattice at energies close to a level of a partial lattice.

The elimination of `slices.py` uses the Green's function g of the partial lattice eliminated so far, whose levels differ
from those of the whole lattice.  If no lead broadens such a level, g is very large close to it, and digits of all other
contributions are lost.  The two methods here avoid large intermediate results:

* complex energies: the partial lattice gets an additional lead at its growing end, with self-energy -i broadening, so
  that n = (1/g + i broadening)^-1 is at most 1/broadening.  With d = 1 - i broadening n, g = n/d (n and d commute), and
  no formula divides by d (`green.contour_sums_near_levels` does the same):

      n_(i+1) = d [(A + i broadening) d - t^2 n]^-1,
      G_ii    = dL [dR (A dL - tL^2 nL) - tR^2 nR dL]^-1 dR,        L, R: left and right of the slice
      G_(i+1,i) = -t nR [dL dR - t^2 nL nR]^-1 nL,                  L, R: left and right of the bond

* real energies: LU factors of the whole band matrix with row pivoting.

The first multiplies by levels, and would lose all digits beside the huge ones of vacancies, and needs bonds between
slices that are scalars: otherwise the inverse of the whole matrix takes its place, without the vacancies, up to
`MOST_WITH_HOLES` sites.

Each takes about five times as long as the elimination, and only a few energies need it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .quadrature import ToleranceError
from .slice_blocks import Slices, Stack

MOST_WITH_HOLES = 1000


def growth(g: Stack, hops: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest element of g (k, nx, n, n) of all partial lattices, times the largest hopping: (k,); normally about 1.

    g of the first slice, in which no slice is missing, is left out.  NaN if g contains NaN.
    """
    passed = np.ascontiguousarray(g[:, 1:]).reshape(len(g), -1).view(float)
    return np.maximum(passed.max(axis=1, initial=0.0), -passed.min(axis=1, initial=0.0)) * hops.max(initial=0.0)


def _inverse(stack: Stack) -> Stack:
    """Inverses of k matrices (k, n, n); all NaN if one is singular."""
    try:
        return np.asarray(np.linalg.inv(stack))
    except np.linalg.LinAlgError:
        return np.full_like(stack, np.nan)


def blocks_near_levels(
    slices: Slices, z: NDArray[np.complex128], sigma: tuple[Stack, Stack], with_bonds: bool
) -> Stack:
    """G in the layout of `slices.Sweep.blocks` at energies z (k,), Im z > 0.

    sigma: self-energies (k, n, n) of the first and of the last slice.
    """
    return _blocks(slices, z, sigma, None, with_bonds)


def two_point_near_levels(
    slices: Slices,
    z: tuple[NDArray[np.complex128], NDArray[np.complex128]],
    first: tuple[Stack, Stack],
    last: tuple[Stack, Stack],
    Y: Stack,
    with_bonds: bool,
) -> Stack:
    """G(z_a) Y G(z_b) in the layout of `slices.Sweep.blocks`, for Y (nx, ny, 2, 2).

    It is the off-diagonal block of the resolvent of [[H, Y], [0, H]] with z_a and z_b on the diagonal.
    z: energies z_a, z_b, (k,) each, Im > 0; first, last: self-energies (k, n, n) of the first and of the last slice, a
    pair for z_a and z_b each.
    """
    none = np.zeros_like(first[0])
    ends = [np.block([[a, none], [none, b]]) for a, b in (first, last)]
    return _blocks(slices, np.stack(z, axis=1), (ends[0], ends[1]), Y, with_bonds)


def _blocks(slices, z, sigma, Y, with_bonds):
    """Blocks of G (Y is None; z: (k,)) or of G(z_a) Y G(z_b) (z: (k, 2)), by the formulas at the top of this file."""
    if slices.holes is not None or slices.bonds is not None:
        return _whole(slices, z, sigma, Y, with_bonds)
    nx, n, _ = slices.h.shape
    hops, broadening = slices.hops, slices.hops.max(initial=0.0) or 1.0
    size = n if Y is None else 2 * n
    one = np.eye(size)
    ib = 1j * broadening
    energies = z[:, None, None] * one if Y is None else np.repeat(z, n, axis=1)[:, :, None] * one

    def inverse_green(i):
        """z - h - Sigma of slice i; for two energies the matrix [[z_a - h - Sigma_a, -Y], [0, z_b - h - Sigma_b]]."""
        h = np.zeros((size, size), complex)
        h[:n, :n] = slices.h[i]
        if Y is not None:
            h[n:, n:] = slices.h[i]
            for y, block in enumerate(Y[i]):
                h[2 * y : 2 * y + 2, n + 2 * y : n + 2 * y + 2] = block
        a = energies - h
        if i == 0:
            a = a - sigma[0]
        if i == nx - 1:
            a = a - sigma[1]
        return a

    def grown(a, part, t):
        """n and d of the partial lattice with one more slice, and A d - t^2 n."""
        p, d = part
        middle = a @ d - t * t * p
        p = d @ _inverse(middle + ib * d)
        return (p, one - ib * p), middle

    def last(matrix):
        """The requested block: the whole matrix for G, the off-diagonal block for G Y G."""
        return matrix if Y is None else matrix[:, :n, n:]

    nothing = np.zeros((len(z), size, size), complex), np.broadcast_to(one, (len(z), size, size))
    lefts, middles = [nothing], []
    for i in range(nx):
        part, middle = grown(inverse_green(i), lefts[-1], hops[i - 1] if i else 0.0)
        lefts.append(part)
        middles.append(middle)
    out = np.zeros((len(z), nx, slices.layers(with_bonds), n // 2, 2, 2), complex)
    right = nothing
    for i in range(nx - 1, -1, -1):
        t = hops[i] if i < nx - 1 else 0.0
        (nr, dr), (_, dl) = right, lefts[i]
        G = last(dl @ _inverse(dr @ middles[i] - t * t * nr @ dl) @ dr)
        sites = G.reshape(len(z), n // 2, 2, n // 2, 2)
        out[:, i, 0] = np.einsum("kyayb->kyab", sites)
        if with_bonds:
            y = np.arange(n // 2)
            up = np.roll(y, -1)
            out[:, i, 2] = np.moveaxis(sites[:, y, :, up] - sites[:, up, :, y], 0, 1)
            if slices.whole:
                out[:, i, 4] = np.moveaxis(sites[:, y, :, up] + sites[:, up, :, y], 0, 1)
            if t:
                nl, dl = lefts[i + 1]
                forth = nr @ _inverse(dl @ dr - t * t * nl @ nr) @ nl
                back = nl @ _inverse(dr @ dl - t * t * nr @ nl) @ nr
                flow = t * last(forth - back)
                out[:, i, 1] = np.einsum("kyayb->kyab", flow.reshape(len(z), n // 2, 2, n // 2, 2))
        right, _ = grown(inverse_green(i), right, t)
    return out


def _whole(slices, z, sigma, Y, with_bonds):
    """`_blocks` from the inverse of the whole matrix, on the orbitals that are there."""
    nx, n, _ = slices.h.shape
    if nx * n // 2 > MOST_WITH_HOLES:
        beside = "vacancies" if slices.bonds is None else "bonds that know the spin"
        raise ToleranceError(
            f"beside {beside}, energies next to levels are solved for on up to {MOST_WITH_HOLES} sites, not "
            f"{nx * n // 2}: use a temperature > 0, a larger electrons.tolerance or a smaller lattice"
        )
    kept = np.arange(nx * n) if slices.holes is None else np.flatnonzero(~np.repeat(slices.holes.ravel(), 2))
    x, H = np.arange(nx), slices.dense()

    def green(k, part, energy):
        """G at one energy, (nx n, nx n), with this part of the self-energies."""
        matrix = energy * np.eye(nx * n) - H
        matrix[:n, :n] -= sigma[0][k, part, part]
        matrix[-n:, -n:] -= sigma[1][k, part, part]
        G = np.zeros_like(matrix)
        G[np.ix_(kept, kept)] = _inverse(matrix[np.ix_(kept, kept)])
        return G

    out = np.zeros((len(z), nx, slices.layers(with_bonds), n // 2, 2, 2), complex)
    y = np.arange(n // 2)
    for k in range(len(z)):
        if Y is None:
            F = green(k, slice(0, n), z[k])
        else:
            first, second = green(k, slice(0, n), z[k, 0]), green(k, slice(n, None), z[k, 1])
            F = np.einsum("iya,yab->iyb", first.reshape(-1, nx * n // 2, 2), Y.reshape(-1, 2, 2))
            F = F.reshape(nx * n, nx * n) @ second
        F = F.reshape(nx, n // 2, 2, nx, n // 2, 2)
        out[k, :, 0] = F[x[:, None], y, :, x[:, None], y]
        if with_bonds:
            right, up = (x + 1) % nx, np.roll(y, -1)
            forth, back = F[x[:, None], y, :, right[:, None], y], F[right[:, None], y, :, x[:, None], y]
            up_forth, up_back = F[x[:, None], y, :, x[:, None], up], F[x[:, None], up, :, x[:, None], y]
            out[k, :-1, 1], out[k, :, 2] = (forth - back)[:-1], up_forth - up_back
            if slices.whole:
                out[k, :-1, 3], out[k, :, 4] = (forth + back)[:-1], up_forth + up_back
    return out


class BandFactors:
    """LU factors, with row pivoting, of E - H - Sigma of a lattice at one real energy.

    sigma: self-energies (n, n) of the first and of the last slice.
    """

    def __init__(self, slices: Slices, energy: float, sigma: tuple[Stack, Stack]) -> None:
        from scipy.linalg.lapack import zgbtrf  # heavy import, for lattices alone

        nx, n, _ = slices.h.shape
        self.n = n
        # One more band on either side where bonds mix the spins.
        self.b = b = n + (slices.bonds is not None)
        band = np.zeros((3 * b + 1, nx * n), complex)  # element (r, c) at [2 b + r - c, c]
        r, c = np.indices((n, n))
        for i in range(nx):
            a = energy * np.eye(n) - slices.h[i]
            if i == 0:
                a = a - sigma[0]
            if i == nx - 1:
                a = a - sigma[1]
            band[2 * b + r - c, i * n + c] = a
        if slices.bonds is None:
            band[n, n:] = band[3 * n, :-n] = np.repeat(slices.hops, n)
        else:
            for i, T in enumerate(slices.bonds):
                for s in range(2):
                    for t in range(2):
                        row, column = i * n + np.arange(s, n, 2), (i + 1) * n + np.arange(t, n, 2)
                        band[2 * b + row - column, column] = -T[s, t]
                        band[2 * b + column - row, row] = -T[s, t].conjugate()
        self._factors, self._exchanged, _ = zgbtrf(band, b, b)

    @property
    def nbytes(self) -> int:
        """Memory of the factors, bytes."""
        return int(self._factors.nbytes + self._exchanged.nbytes)

    def solve(self, sources: Stack, adjoint: bool = False) -> Stack:
        """Solution x of (E - H - Sigma) x = sources, or of the equation with the adjoint matrix; both (nx, n, p)."""
        from scipy.linalg.lapack import zgbtrs

        nx, n, p = sources.shape
        flat = sources.reshape(nx * n, p)
        x, _ = zgbtrs(self._factors, self.b, self.b, flat, self._exchanged, trans=2 if adjoint else 0)
        return np.ascontiguousarray(x).reshape(nx, n, p)
