"""Recursive Green's functions of a chain of sites with spin 1/2: the numba kernels.

The Green's function of the open chain is G(z) = [z - H - Sigma(z)]^-1.  H has a 2 x 2 block h_i in spin space on each
site, and between neighbours the hopping -t times the identity; Sigma acts on the first and the last site.

`contour_sums` (complex energies): diagonal blocks of G, G X G, G Y G, G X G Y G and G Y G X G for block-diagonal X and
    Y.  Each 2 x 2 block of the recursion is replaced by an element g + gX + gY + gXY + gYX of an algebra in which
    products with two factors X or two factors Y vanish, and XY differs from YX.  One sweep from each end then
    suffices; the number of operations is proportional to the number of sites.
`contour_sums_near_levels`, `ends_near_levels`: the same results, for energies so close to a level of a partial chain
    that `contour_sums` loses too many digits.
`surface_terms` (real energies): scattering states psi = G sqrt(Gamma), four columns for two leads, and the response
    G Y psi, by block elimination.
`biased_terms` (real energies): the scattering states of either lead by itself, and their change to first order.
`between_terms` (complex energies): diagonal blocks of G Y A for a retarded G and a resolvent A of other self-energies.
`smallest_widths` (real energies): an estimate of the smallest width that a level can have.

A partial chain consists of the sites from one end up to the present one, without those behind; its Green's function
is the g of the recursion, and its levels differ from those of the whole chain.

Blocks are 4-tuples (00, 01, 10, 11), which numba keeps in registers.  All kernels release the GIL, because energies
are shared among threads (`threads.py`).  Kernels with cache=True call only functions of this file: numba does not
notice changes in other files.
"""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import njit

# Close to a level of a partial chain its Green's function g is large, and elimination site by site loses digits.  If an
# element of g exceeds this value times 1/hopping, `surface_terms` exchanges rows instead.
_LARGEST_GROWTH = 100.0

_options = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False, "fastmath": {"contract", "nsz"}}


@njit(inline="always", **_options)
def _mul(a, b):
    return (
        a[0] * b[0] + a[1] * b[2],
        a[0] * b[1] + a[1] * b[3],
        a[2] * b[0] + a[3] * b[2],
        a[2] * b[1] + a[3] * b[3],
    )


@njit(inline="always", **_options)
def _add(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


@njit(inline="always", **_options)
def _sub(a, b):
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]


@njit(inline="always", **_options)
def _commutator(a, b):
    return _sub(_mul(a, b), _mul(b, a))


@njit(inline="always", **_options)
def _inv(a):
    r = 1.0 / (a[0] * a[3] - a[1] * a[2])
    return r * a[3], -r * a[1], -r * a[2], r * a[0]


@njit(inline="always", **_options)
def _size2(a):
    """Sum of the squared elements."""
    return (
        a[0].real * a[0].real
        + a[0].imag * a[0].imag
        + a[1].real * a[1].real
        + a[1].imag * a[1].imag
        + a[2].real * a[2].real
        + a[2].imag * a[2].imag
        + a[3].real * a[3].real
        + a[3].imag * a[3].imag
    )


@njit(inline="always", **_options)
def _load(m, i):
    return m[i, 0, 0], m[i, 0, 1], m[i, 1, 0], m[i, 1, 1]


@njit(inline="always", **_options)
def _get(store, c, i):
    return store[c, i, 0], store[c, i, 1], store[c, i, 2], store[c, i, 3]


@njit(inline="always", **_options)
def _put(store, c, i, a):
    store[c, i, 0] = a[0]
    store[c, i, 1] = a[1]
    store[c, i, 2] = a[2]
    store[c, i, 3] = a[3]


@njit(inline="always", **_options)
def _gather(out, c, i, r, f):
    """out[c, i] -= 2 Re(r Tr[sigma_a f]) for a = 0 (identity), x, y, z: contribution of one pole to -(r F + h.c.)."""
    out[c, i, 0] -= 2 * (r * (f[0] + f[3])).real
    out[c, i, 1] -= 2 * (r * (f[1] + f[2])).real
    out[c, i, 2] += 2 * (r * (f[1] - f[2])).imag
    out[c, i, 3] -= 2 * (r * (f[0] - f[3])).real


@njit(**_options)
def contour_sums(
    z, weights, h, hops, sigma_left, sigma_right, order, X, Y, x_ends, y_ends, out, logdet, bonds, ends, growth
):
    """Diagonal blocks of G and of its products with X and Y at complex energies, traced with 1 and the Pauli matrices.

    z, weights: (n,) nodes and weights w of a pole rule.  h: (N, 2, 2) blocks of the Hamiltonian; hops: (N - 1,) hopping
    t of each bond, H_(i,i+1) = -t.  sigma_left, sigma_right: (n, 2, 2) self-energies.  All these are energies.
    X, Y: (N, 2, 2) perturbations on the sites; x_ends, y_ends: (n, 2, 2, 2) [energy, left or right, spin, spin], added
    to them on the first and the last site.  order: 0 for G only, 1 also G X G and G Y G, 2 also their mixed products.

    The kernel fills these arrays:
    out: (n, 4, N, 4) [energy, F, site, trace], traces of -(w F + h.c.) with 1, sigma_x, sigma_y, sigma_z for F = G,
        G X G, G Y G and -(i/2)(G X G Y G - G Y G X G).
    logdet: (n,), ln det G^-1, the sum over the sites of the recursion.  Im g^-1 is positive definite, so that the phase
        of each 2 x 2 determinant is taken from (0, 2 pi): this branch is continuous in H.
    bonds: (n, 4, N - 1, 4), flow from site i to i + 1 of the same four F: Tr[sigma_a j] with the current matrix
        j = -i t (rho_(i+1,i) - rho_(i,i+1)), rho = -(w F + h.c.).  Not computed if its first axis has length 0.
    ends: (n, 2, 2, 4) [energy, G or G Y G, first or last site, block]; G Y G is zero at order 0.
    growth: (n,), at order > 0 the largest |g| of a partial chain, 1/energy.  The rounding error grows with one factor
        |g| for every factor of G in F; where it is too large, use `contour_sums_near_levels`.
    """
    n_sites = h.shape[0]
    with_bonds = bonds.shape[0] > 0
    zero = (0j, 0j, 0j, 0j)
    left = np.empty((5, n_sites, 4), dtype=np.complex128)
    for k in range(z.shape[0]):
        w = weights[k]
        o = out[k]
        o[:] = 0.0
        if with_bonds:
            bonds[k] = 0.0
        ln = 0j
        largest = 0.0
        g, gX, gY, gXY, gYX = zero, zero, zero, zero, zero
        # Forward: g of the partial chains that begin at the left end, stored.  Backward: g of those that begin at the
        # right end, combined with the stored ones site by site.
        for direction in range(2):
            if direction == 1:
                g, gX, gY, gXY, gYX = zero, zero, zero, zero, zero
            for j in range(n_sites):
                i = j if direction == 0 else n_sites - 1 - j
                left_hop = hops[i - 1] if i > 0 else 0.0
                right_hop = hops[i] if i < n_sites - 1 else 0.0
                t2 = left_hop * left_hop if direction == 0 else right_hop * right_hop
                f, fX, fY, fXY, fYX = g, gX, gY, gXY, gYX
                hi = _load(h, i)
                A = (z[k] - hi[0], -hi[1], -hi[2], z[k] - hi[3])
                bX, bY = zero, zero
                if order > 0:
                    bX, bY = _load(X, i), _load(Y, i)
                if i == 0:
                    s = _load(sigma_left, k)
                    A = (A[0] - s[0], A[1] - s[1], A[2] - s[2], A[3] - s[3])
                    if order > 0:
                        bX = _add(bX, _load(x_ends[k], 0))
                        bY = _add(bY, _load(y_ends[k], 0))
                if i == n_sites - 1:
                    s = _load(sigma_right, k)
                    A = (A[0] - s[0], A[1] - s[1], A[2] - s[2], A[3] - s[3])
                    if order > 0:
                        bX = _add(bX, _load(x_ends[k], 1))
                        bY = _add(bY, _load(y_ends[k], 1))
                A = (A[0] - t2 * g[0], A[1] - t2 * g[1], A[2] - t2 * g[2], A[3] - t2 * g[3])
                bXY, bYX = zero, zero
                if order > 0:
                    bX = (bX[0] + t2 * gX[0], bX[1] + t2 * gX[1], bX[2] + t2 * gX[2], bX[3] + t2 * gX[3])
                    bY = (bY[0] + t2 * gY[0], bY[1] + t2 * gY[1], bY[2] + t2 * gY[2], bY[3] + t2 * gY[3])
                    if order > 1:
                        bXY = (t2 * gXY[0], t2 * gXY[1], t2 * gXY[2], t2 * gXY[3])
                        bYX = (t2 * gYX[0], t2 * gYX[1], t2 * gYX[2], t2 * gYX[3])
                if direction == 0:
                    det = A[0] * A[3] - A[1] * A[2]
                    phase = np.arctan2(det.imag, det.real)
                    if phase < 0:
                        phase += 2 * np.pi
                    ln += complex(0.5 * np.log(det.real * det.real + det.imag * det.imag), phase)
                # full = 0: one inverse in the algebra, for the partial chain that ends here.  full = 1, only backward:
                # another one for the block of G, which also contains the partial chain on the left of this site.
                for full in range(direction + 1):
                    if full == 1 and i > 0:
                        t2 = left_hop * left_hop
                        m = _get(left, 0, i - 1)
                        A = (A[0] - t2 * m[0], A[1] - t2 * m[1], A[2] - t2 * m[2], A[3] - t2 * m[3])
                        if order > 0:
                            m = _get(left, 1, i - 1)
                            bX = (bX[0] + t2 * m[0], bX[1] + t2 * m[1], bX[2] + t2 * m[2], bX[3] + t2 * m[3])
                            m = _get(left, 2, i - 1)
                            bY = (bY[0] + t2 * m[0], bY[1] + t2 * m[1], bY[2] + t2 * m[2], bY[3] + t2 * m[3])
                        if order > 1:
                            m = _get(left, 3, i - 1)
                            bXY = (bXY[0] + t2 * m[0], bXY[1] + t2 * m[1], bXY[2] + t2 * m[2], bXY[3] + t2 * m[3])
                            m = _get(left, 4, i - 1)
                            bYX = (bYX[0] + t2 * m[0], bYX[1] + t2 * m[1], bYX[2] + t2 * m[2], bYX[3] + t2 * m[3])
                    e = _inv(A)
                    eX, eY, eXY, eYX = zero, zero, zero, zero
                    if order > 0:
                        u, v = _mul(e, bX), _mul(e, bY)
                        eX, eY = _mul(u, e), _mul(v, e)
                        if order > 1:
                            eXY = _mul(_add(_mul(e, bXY), _mul(u, v)), e)
                            eYX = _mul(_add(_mul(e, bYX), _mul(v, u)), e)
                    if full == 0:
                        g, gX, gY, gXY, gYX = e, eX, eY, eXY, eYX
                        if order > 0 and j < n_sites - 1:
                            largest = max(largest, _size2(g))
                        if direction == 0:
                            _put(left, 0, i, g)
                            if order > 0:
                                _put(left, 1, i, gX)
                                _put(left, 2, i, gY)
                            if order > 1:
                                _put(left, 3, i, gXY)
                                _put(left, 4, i, gYX)
                    else:
                        if i == 0:
                            _put(ends[k], 0, 0, e)
                            _put(ends[k], 1, 0, eY)
                        if i == n_sites - 1:
                            _put(ends[k], 0, 1, e)
                            _put(ends[k], 1, 1, eY)
                        _gather(o, 0, i, w, e)
                        if order > 0:
                            _gather(o, 1, i, w, eX)
                            _gather(o, 2, i, w, eY)
                        if order > 1:
                            _gather(o, 3, i, -0.5j * w, _sub(eXY, eYX))
                        if with_bonds and i < n_sites - 1:
                            # G_(i+1,i) = -t f G_ii and G_(i,i+1) = -t G_ii f, where f is g of the partial chain right
                            # of this site: the current is the commutator of f and G_ii, in the algebra.
                            c = 1j * right_hop * right_hop * w
                            _gather(bonds[k], 0, i, c, _commutator(f, e))
                            if order > 0:
                                _gather(bonds[k], 1, i, c, _add(_commutator(f, eX), _commutator(fX, e)))
                                _gather(bonds[k], 2, i, c, _add(_commutator(f, eY), _commutator(fY, e)))
                            if order > 1:
                                XY = _add(_sub(_mul(fX, eY), _mul(eX, fY)), _commutator(fXY, e))
                                YX = _add(_sub(_mul(fY, eX), _mul(eY, fX)), _commutator(fYX, e))
                                XY, YX = _add(XY, _commutator(f, eXY)), _add(YX, _commutator(f, eYX))
                                _gather(bonds[k], 3, i, -0.5j * c, _sub(XY, YX))
        logdet[k] = ln
        growth[k] = np.sqrt(largest)


# Elements of the algebra of `contour_sums` as tuples (g, gX, gY, gXY, gYX) of blocks, for kernels called rarely.


@njit(**_options)
def _minus_element(p, q, factor):
    """The element p - factor q."""
    return (
        (
            p[0][0] - factor * q[0][0],
            p[0][1] - factor * q[0][1],
            p[0][2] - factor * q[0][2],
            p[0][3] - factor * q[0][3],
        ),
        (
            p[1][0] - factor * q[1][0],
            p[1][1] - factor * q[1][1],
            p[1][2] - factor * q[1][2],
            p[1][3] - factor * q[1][3],
        ),
        (
            p[2][0] - factor * q[2][0],
            p[2][1] - factor * q[2][1],
            p[2][2] - factor * q[2][2],
            p[2][3] - factor * q[2][3],
        ),
        (
            p[3][0] - factor * q[3][0],
            p[3][1] - factor * q[3][1],
            p[3][2] - factor * q[3][2],
            p[3][3] - factor * q[3][3],
        ),
        (
            p[4][0] - factor * q[4][0],
            p[4][1] - factor * q[4][1],
            p[4][2] - factor * q[4][2],
            p[4][3] - factor * q[4][3],
        ),
    )


@njit(**_options)
def _mul_elements(p, q):
    """The product p q, without terms that contain X or Y twice."""
    return (
        _mul(p[0], q[0]),
        _add(_mul(p[1], q[0]), _mul(p[0], q[1])),
        _add(_mul(p[2], q[0]), _mul(p[0], q[2])),
        _add(_add(_mul(p[3], q[0]), _mul(p[1], q[2])), _mul(p[0], q[3])),
        _add(_add(_mul(p[4], q[0]), _mul(p[2], q[1])), _mul(p[0], q[4])),
    )


@njit(**_options)
def _inv_exchanging(a):
    """Inverse of a 2 x 2 block by elimination, with the larger element of the first column as pivot.

    For a nearly singular block this loses fewer digits than `_inv`, which divides by the determinant.
    """
    a00, a01, a10, a11 = a
    exchange = abs(a10) > abs(a00)
    if exchange:
        a00, a01, a10, a11 = a10, a11, a00, a01
    f = a10 / a00
    d = 1.0 / (a11 - f * a01)
    r = 1.0 / a00
    b00, b01, b10, b11 = r * (1.0 + a01 * d * f), -r * a01 * d, -d * f, d
    if exchange:
        return b01, b00, b11, b10
    return b00, b01, b10, b11


@njit(**_options)
def _inv_element(p):
    """The inverse of the element p, without terms that contain X or Y twice."""
    zero = (0j, 0j, 0j, 0j)
    e = _inv_exchanging(p[0])
    eX = _sub(zero, _mul(_mul(e, p[1]), e))
    eY = _sub(zero, _mul(_mul(e, p[2]), e))
    eXY = _sub(zero, _mul(e, _add(_mul(p[3], e), _mul(p[1], eY))))
    eYX = _sub(zero, _mul(e, _add(_mul(p[4], e), _mul(p[2], eX))))
    return e, eX, eY, eXY, eYX


@njit(**_options)
def _gather_element(out, order, i, w, f):
    """Add the contribution of the element f at site or bond i to `out` (4, N, 4), as in `contour_sums`."""
    _gather(out, 0, i, w, f[0])
    if order > 0:
        _gather(out, 1, i, w, f[1])
        _gather(out, 2, i, w, f[2])
    if order > 1:
        _gather(out, 3, i, -0.5j * w, _sub(f[3], f[4]))


@njit(**_options)
def contour_sums_near_levels(
    z, weights, h, hops, sigma_left, sigma_right, order, X, Y, x_ends, y_ends, broadening, out, bonds
):
    """`out` and `bonds` of `contour_sums` where a level of a partial chain is close to z; takes four times as long.

    The partial chain gets an additional lead at its last site, with self-energy -i broadening (broadening: an energy,
    about the hopping), so that n = (1/g + i broadening)^-1 is at most 1/broadening, wherever the levels are.  With
    d = 1 - i broadening n, g = n/d (n and d commute), and no formula divides by d:

        n_(i+1) = d [(A + i broadening) d - t^2 n]^-1,
        G_ii    = dL [dR A dL - tL^2 dR nL - tR^2 nR dL]^-1 dR,      L, R: parts left and right of the site,
        G_(i+1,i) = -t nR [dL dR - t^2 nL nR]^-1 nL,                 L, R: parts left and right of the bond.
    """
    n_sites = h.shape[0]
    with_bonds = bonds.shape[0] > 0
    zero = (0j, 0j, 0j, 0j)
    none = (zero, zero, zero, zero, zero)
    one = ((1.0 + 0j, 0j, 0j, 1.0 + 0j), zero, zero, zero, zero)
    left = np.empty((5, n_sites, 4), dtype=np.complex128)
    ib = 1j * broadening
    for k in range(z.shape[0]):
        w = weights[k]
        out[k] = 0.0
        if with_bonds:
            bonds[k] = 0.0
        n, d = none, one
        for direction in range(2):
            if direction == 1:
                n, d = none, one
            for j in range(n_sites):
                i = j if direction == 0 else n_sites - 1 - j
                left_hop = hops[i - 1] if i > 0 else 0.0
                right_hop = hops[i] if i < n_sites - 1 else 0.0
                hi, bX, bY = _load(h, i), _load(X, i), _load(Y, i)
                A = (z[k] - hi[0], -hi[1], -hi[2], z[k] - hi[3])
                if i == 0:
                    A = _sub(A, _load(sigma_left, k))
                    bX = _add(bX, _load(x_ends[k], 0))
                    bY = _add(bY, _load(y_ends[k], 0))
                if i == n_sites - 1:
                    A = _sub(A, _load(sigma_right, k))
                    bX = _add(bX, _load(x_ends[k], 1))
                    bY = _add(bY, _load(y_ends[k], 1))
                a = (A, _sub(zero, bX), _sub(zero, bY), zero, zero)
                hop = left_hop if direction == 0 else right_hop
                if direction == 1:
                    # n, d: partial chain right of this site; nl, dl: partial chain left of it.
                    nl, dl = none, one
                    if i > 0:
                        nl = (
                            _get(left, 0, i - 1),
                            _get(left, 1, i - 1),
                            _get(left, 2, i - 1),
                            _get(left, 3, i - 1),
                            _get(left, 4, i - 1),
                        )
                        dl = _minus_element(one, nl, ib)
                    middle = _minus_element(_mul_elements(a, dl), nl, left_hop * left_hop)
                    middle = _minus_element(_mul_elements(d, middle), _mul_elements(n, dl), right_hop * right_hop)
                    G = _mul_elements(_mul_elements(dl, _inv_element(middle)), d)
                    _gather_element(out[k], order, i, w, G)
                    if with_bonds and i < n_sites - 1:
                        nl = (_get(left, 0, i), _get(left, 1, i), _get(left, 2, i), _get(left, 3, i), _get(left, 4, i))
                        dl = _minus_element(one, nl, ib)
                        t2 = right_hop * right_hop
                        forth = _inv_element(_minus_element(_mul_elements(dl, d), _mul_elements(nl, n), t2))
                        forth = _mul_elements(_mul_elements(n, forth), nl)
                        back = _inv_element(_minus_element(_mul_elements(d, dl), _mul_elements(n, nl), t2))
                        back = _mul_elements(_mul_elements(nl, back), n)
                        _gather_element(bonds[k], order, i, 1j * t2 * w, _minus_element(forth, back, 1.0))
                grown = _minus_element(_mul_elements(a, d), n, hop * hop)
                n = _mul_elements(d, _inv_element(_minus_element(grown, d, -ib)))
                d = _minus_element(one, n, ib)
                if direction == 0:
                    for c in range(5):
                        _put(left, c, i, n[c])


@njit(inline="always", **_options)
def _bilinear(o, c, i, a, b, scale):
    """o[c, i] += scale Re Tr[sigma_a A B^+] for blocks A, B (a = identity, x, y, z)."""
    p00 = a[0] * b[0].conjugate() + a[1] * b[1].conjugate()
    p01 = a[0] * b[2].conjugate() + a[1] * b[3].conjugate()
    p10 = a[2] * b[0].conjugate() + a[3] * b[1].conjugate()
    p11 = a[2] * b[2].conjugate() + a[3] * b[3].conjugate()
    o[c, i, 0] += (scale * (p00 + p11)).real
    o[c, i, 1] += (scale * (p01 + p10)).real
    o[c, i, 2] -= (scale * (p01 - p10)).imag
    o[c, i, 3] += (scale * (p00 - p11)).real


@njit(**_options)
def _band_factors(energy, h, hops, sigma_left, sigma_right, band, pivots):
    """LU factors, with row pivoting, of E - H - Sigma: a band matrix of index 2 site + spin, two diagonals each side.

    h: (N, 2, 2); sigma_left, sigma_right: (2, 2); energies.  band: (2N, 7) receives columns r - 2 to r + 4 of row r,
    with the factors of the elimination left of the diagonal; pivots: (2N,) receives the row exchanged with each row.
    """
    n_sites = h.shape[0]
    n = 2 * n_sites
    band[:] = 0.0
    for i in range(n_sites):
        for a in range(2):
            r = 2 * i + a
            for b in range(2):
                band[r, 2 + b - a] = -h[i, a, b]
                if i == 0:
                    band[r, 2 + b - a] -= sigma_left[a, b]
                if i == n_sites - 1:
                    band[r, 2 + b - a] -= sigma_right[a, b]
            band[r, 2] += energy
            if i > 0:
                band[r, 0] = hops[i - 1]
            if i < n_sites - 1:
                band[r, 4] = hops[i]
    for k in range(n):
        last_row, last_column = min(k + 2, n - 1), min(k + 4, n - 1)
        pivot = k
        for r in range(k + 1, last_row + 1):
            if abs(band[r, k - r + 2]) > abs(band[pivot, k - pivot + 2]):
                pivot = r
        pivots[k] = pivot
        if pivot != k:
            for c in range(k, last_column + 1):
                kept = band[k, c - k + 2]
                band[k, c - k + 2] = band[pivot, c - pivot + 2]
                band[pivot, c - pivot + 2] = kept
        for r in range(k + 1, last_row + 1):
            factor = band[r, k - r + 2] / band[k, 2]
            band[r, k - r + 2] = factor
            for c in range(k + 1, last_column + 1):
                band[r, c - r + 2] -= factor * band[k, c - k + 2]


@njit(**_options)
def _band_solve(band, pivots, x):
    """Replace x by (E - H - Sigma)^-1 x; x: (N, 4), a 2 x 2 block on each site; band, pivots: of `_band_factors`."""
    n = len(pivots)
    for spin in range(2):
        for k in range(n):
            p = pivots[k]
            value = x[p // 2, 2 * (p % 2) + spin]
            x[p // 2, 2 * (p % 2) + spin] = x[k // 2, 2 * (k % 2) + spin]
            x[k // 2, 2 * (k % 2) + spin] = value
            for r in range(k + 1, min(k + 3, n)):
                x[r // 2, 2 * (r % 2) + spin] -= band[r, k - r + 2] * value
        for k in range(n - 1, -1, -1):
            value = x[k // 2, 2 * (k % 2) + spin]
            for c in range(k + 1, min(k + 5, n)):
                value -= band[k, c - k + 2] * x[c // 2, 2 * (c % 2) + spin]
            x[k // 2, 2 * (k % 2) + spin] = value / band[k, 2]


@njit(**_options)
def ends_near_levels(z, h, hops, sigma_left, sigma_right, Y, y_ends, ends):
    """`ends` of `contour_sums`, (n, 2, 2, 4), by LU factors with row pivoting; other arguments as there."""
    n_sites = h.shape[0]
    band, pivots = np.empty((2 * n_sites, 7), dtype=np.complex128), np.empty(2 * n_sites, dtype=np.int64)
    x = np.empty((n_sites, 4), dtype=np.complex128)
    c = np.empty((1, n_sites, 4), dtype=np.complex128)
    for k in range(z.shape[0]):
        _band_factors(z[k], h, hops, sigma_left[k], sigma_right[k], band, pivots)
        for p in range(2):
            end = 0 if p == 0 else n_sites - 1
            x[:] = 0.0
            x[end, 0] = 1.0
            x[end, 3] = 1.0
            _band_solve(band, pivots, x)
            for s in range(4):
                ends[k, 0, p, s] = x[end, s]
            for i in range(n_sites):
                y = _load(Y, i)
                if i == 0:
                    y = _add(y, _load(y_ends[k], 0))
                if i == n_sites - 1:
                    y = _add(y, _load(y_ends[k], 1))
                _put(c, 0, i, _mul(y, (x[i, 0], x[i, 1], x[i, 2], x[i, 3])))
            x[:] = c[0]
            _band_solve(band, pivots, x)
            for s in range(4):
                ends[k, 1, p, s] = x[end, s]


@njit(**_options)
def surface_terms(energies, h, hops, sigma_left, sigma_right, roots, Y, K, out, transmission, bonds, driven):
    """Integrands of the Fermi surface from the scattering states psi_p = G_(.,p) sqrt(Gamma_p), p = left, right.

    energies: (n,) real.  h: (N, 2, 2), hops: (N - 1,) as in `contour_sums`.
    sigma_left, sigma_right: (n, 2, 2) retarded self-energies.
    roots: (n, 2, 2, 2) [energy, left or right, spin, spin], Hermitian square roots of Gamma.
    Y: (N, 2, 2) perturbation dH/dt; K: (2, 2) generator of a rigid rotation.

    The kernel fills these arrays:
    out: (n, 3, N, 4), traces with 1, sigma_x, sigma_y, sigma_z of
        0: G Gamma G^+              (2 pi times the local density of states)
        1: Im[G Y G Gamma G^+]      (response of the Fermi surface to dH/dt)
        2: G K Gamma G^+            (the same for steady precession, Bajpai and Nikolic, Eq. (2d))
    transmission: (n, 2, 2, 2, 2), amplitudes sqrt(Gamma_q) G_qp sqrt(Gamma_p) as [q, p, spin, spin].
    bonds: (n, 3, N - 1, 4), flow from site i to i + 1 of parts 1 and 2 as in `contour_sums`; part 0 stays zero.  Not
        computed if its first axis has length 0.
    driven: (n, 2, 2, 2), sqrt(Gamma_p) (G Y G)_pp sqrt(Gamma_p) as [p, spin, spin].

    Rounding has the same effect as a relative change of H by the machine precision, for any coupling to the leads: if a
    partial chain has a level close to the energy, rows are exchanged instead of eliminating site by site.
    """
    with_bonds = bonds.shape[0] > 0
    n_sites = h.shape[0]
    zero = (0j, 0j, 0j, 0j)
    g = np.empty((1, n_sites, 4), dtype=np.complex128)
    c = np.empty((1, n_sites, 4), dtype=np.complex128)
    psi = np.empty((1, n_sites, 4), dtype=np.complex128)
    # LU factors with row pivoting, for the few energies that need them.
    band = np.empty((0, 7), dtype=np.complex128)
    pivots = np.empty(0, dtype=np.int64)
    kk = (K[0, 0], K[0, 1], K[1, 0], K[1, 1])
    strongest = 0.0
    for i in range(n_sites - 1):
        strongest = max(strongest, abs(hops[i]))
    limit = (_LARGEST_GROWTH / strongest) ** 2 if strongest > 0 else np.inf
    for k in range(energies.shape[0]):
        o = out[k]
        o[:] = 0.0
        if with_bonds:
            bonds[k] = 0.0
        transmission[k] = 0.0
        driven[k] = 0.0
        last = zero
        exchange = False
        for i in range(n_sites):
            hi = _load(h, i)
            t2 = hops[i - 1] * hops[i - 1] if i > 0 else 0.0
            A = (
                energies[k] - hi[0] - t2 * last[0],
                -hi[1] - t2 * last[1],
                -hi[2] - t2 * last[2],
                energies[k] - hi[3] - t2 * last[3],
            )
            if i == 0:
                s = _load(sigma_left, k)
                A = (A[0] - s[0], A[1] - s[1], A[2] - s[2], A[3] - s[3])
            if i == n_sites - 1:
                s = _load(sigma_right, k)
                A = (A[0] - s[0], A[1] - s[1], A[2] - s[2], A[3] - s[3])
            last = _inv(A)
            _put(g, 0, i, last)
            # Written with `not`, so that NaN, the inverse of a singular block, counts as too large.
            if i < n_sites - 1 and not _size2(last) <= limit:
                exchange = True
        if exchange:
            if len(band) == 0:
                band, pivots = np.empty((2 * n_sites, 7), dtype=np.complex128), np.empty(2 * n_sites, dtype=np.int64)
            _band_factors(energies[k], h, hops, sigma_left[k], sigma_right[k], band, pivots)
        for p in range(2):
            root = _load(roots[k], p)
            if root[0] == 0 and root[1] == 0 and root[3] == 0:
                continue
            first = 0 if p == 0 else n_sites - 1
            # (E - H - Sigma) x = b by block elimination: right-hand sides c from left to right, then x from right to
            # left.  solve = 0: x = psi, for the source sqrt(Gamma); solve = 1: x = G Y psi.
            for solve in range(2):
                carry = zero
                for i in range(n_sites):
                    b = zero
                    if solve == 0:
                        if i == first:
                            b = root
                    else:
                        b = _mul(_load(Y, i), _get(psi, 0, i))
                    if i > 0 and not exchange:
                        t = hops[i - 1]
                        m = _mul(_get(g, 0, i - 1), carry)
                        b = (b[0] - t * m[0], b[1] - t * m[1], b[2] - t * m[2], b[3] - t * m[3])
                    carry = b
                    _put(c, 0, i, b)
                if exchange:
                    _band_solve(band, pivots, c[0])
                x = zero
                for j in range(n_sites):
                    i = n_sites - 1 - j
                    b = _get(c, 0, i)
                    t = hops[i] if i < n_sites - 1 else 0.0
                    neighbour = x
                    x = (
                        b
                        if exchange
                        else _mul(_get(g, 0, i), (b[0] - t * x[0], b[1] - t * x[1], b[2] - t * x[2], b[3] - t * x[3]))
                    )
                    if solve == 0:
                        _put(psi, 0, i, x)
                        _bilinear(o, 0, i, x, x, 1.0 + 0j)
                        # Gamma of a lead is a multiple of the identity: G K Gamma G^+ = psi K psi^+.
                        _bilinear(o, 2, i, _mul(x, kk), x, 1.0 + 0j)
                        if with_bonds and i < n_sites - 1:
                            _bilinear(bonds[k], 2, i, _mul(neighbour, kk), x, -2j * t)
                    else:
                        _bilinear(o, 1, i, x, _get(psi, 0, i), -1j)
                        if i == first:
                            m = _mul(root, x)
                            driven[k, p, 0, 0], driven[k, p, 0, 1] = m[0], m[1]
                            driven[k, p, 1, 0], driven[k, p, 1, 1] = m[2], m[3]
                        if with_bonds and i < n_sites - 1:
                            _bilinear(bonds[k], 1, i, neighbour, _get(psi, 0, i), -t + 0j)
                            _bilinear(bonds[k], 1, i, _get(psi, 0, i + 1), x, t + 0j)
            for q in range(2):
                end = 0 if q == 0 else n_sites - 1
                m = _mul(_load(roots[k], q), _get(psi, 0, end))
                transmission[k, q, p, 0, 0] = m[0]
                transmission[k, q, p, 0, 1] = m[1]
                transmission[k, q, p, 1, 0] = m[2]
                transmission[k, q, p, 1, 1] = m[3]


@njit(**_options)
def biased_terms(energies, h, hops, sigma, slopes, roots, Y, order, out, bonds, flows, stored):
    """Scattering states psi_p = G_(.,p) sqrt(Gamma_p) of each lead by itself, and their change to first order in Y.

    chi_p = -dG/dE Y psi_p = G B G Y psi_p with B = 1 - dSigma/dE: a state that follows dH/dt = Y is psi - i chi.
    energies: (n,) real.  h: (N, 2, 2), hops: (N - 1,) as in `contour_sums`; sigma, slopes, roots: (n, 2) self-energies,
    their energy derivatives and sqrt(Gamma) [energy, left or right], the same for both spins.  Y: (N, 2, 2).
    order: 0 for psi alone, 1 with chi.

    The kernel fills these arrays, [energy, lead p that the states come from, F, ..., trace] with 1, sigma_x, sigma_y,
    sigma_z of F = psi psi^+ and, at order 1, F = -i (chi psi^+ - psi chi^+):
    out: (n, 2, order + 1, N, 4) on the sites.
    bonds: (n, 2, order + 1, N - 1, 4), flow from site i to i + 1 as in `contour_sums`; not computed if its first axis
        has length 0.
    flows: (n, 2, order + 1, 2, 4), flow over the first bond of each lead q into it.
    stored: (n, 2, order, 2), -2 Re Tr[Sigma_q G Y psi psi^+], energy into lead q beside that of the particles.
    Rounding: as `surface_terms`.
    """
    with_bonds = bonds.shape[0] > 0
    n_sites = h.shape[0]
    zero = (0j, 0j, 0j, 0j)
    g = np.empty((1, n_sites, 4), dtype=np.complex128)
    c = np.empty((1, n_sites, 4), dtype=np.complex128)
    states = np.empty((3, n_sites, 4), dtype=np.complex128)  # psi, G Y psi, chi
    band = np.empty((0, 7), dtype=np.complex128)
    pivots = np.empty(0, dtype=np.int64)
    strongest = 0.0
    for i in range(n_sites - 1):
        strongest = max(strongest, abs(hops[i]))
    limit = (_LARGEST_GROWTH / strongest) ** 2 if strongest > 0 else np.inf
    left, right = np.zeros((2, 2), dtype=np.complex128), np.zeros((2, 2), dtype=np.complex128)
    for k in range(energies.shape[0]):
        out[k] = 0.0
        flows[k] = 0.0
        stored[k] = 0.0
        if with_bonds:
            bonds[k] = 0.0
        last = zero
        exchange = False
        for i in range(n_sites):
            hi = _load(h, i)
            t2 = hops[i - 1] * hops[i - 1] if i > 0 else 0.0
            e = energies[k] + 0j
            if i == 0:
                e -= sigma[k, 0]
            if i == n_sites - 1:
                e -= sigma[k, 1]
            A = (e - hi[0] - t2 * last[0], -hi[1] - t2 * last[1], -hi[2] - t2 * last[2], e - hi[3] - t2 * last[3])
            last = _inv(A)
            _put(g, 0, i, last)
            # Written with `not`, so that NaN, the inverse of a singular block, counts as too large.
            if i < n_sites - 1 and not _size2(last) <= limit:
                exchange = True
        if exchange:
            if len(band) == 0:
                band, pivots = np.empty((2 * n_sites, 7), dtype=np.complex128), np.empty(2 * n_sites, dtype=np.int64)
            left[0, 0] = left[1, 1] = sigma[k, 0]
            right[0, 0] = right[1, 1] = sigma[k, 1]
            _band_factors(energies[k] + 0j, h, hops, left, right, band, pivots)
        for p in range(2):
            root = roots[k, p]
            if root == 0:
                continue
            first = 0 if p == 0 else n_sites - 1
            # solve = 0: psi, for the source sqrt(Gamma); 1: x = G Y psi; 2: chi = G B x.
            for solve in range(2 * order + 1):
                carry = zero
                for i in range(n_sites):
                    b = zero
                    if solve == 0:
                        if i == first:
                            b = (root + 0j, 0j, 0j, root + 0j)
                    elif solve == 1:
                        b = _mul(_load(Y, i), _get(states, 0, i))
                    else:
                        b = _get(states, 1, i)
                        s = 1.0 + 0j
                        if i == 0:
                            s -= slopes[k, 0]
                        if i == n_sites - 1:
                            s -= slopes[k, 1]
                        b = (s * b[0], s * b[1], s * b[2], s * b[3])
                    if i > 0 and not exchange:
                        t = hops[i - 1]
                        m = _mul(_get(g, 0, i - 1), carry)
                        b = (b[0] - t * m[0], b[1] - t * m[1], b[2] - t * m[2], b[3] - t * m[3])
                    carry = b
                    _put(c, 0, i, b)
                if exchange:
                    _band_solve(band, pivots, c[0])
                x = zero
                for j in range(n_sites):
                    i = n_sites - 1 - j
                    b = _get(c, 0, i)
                    t = hops[i] if i < n_sites - 1 else 0.0
                    x = (
                        b
                        if exchange
                        else _mul(_get(g, 0, i), (b[0] - t * x[0], b[1] - t * x[1], b[2] - t * x[2], b[3] - t * x[3]))
                    )
                    _put(states, solve, i, x)
            for i in range(n_sites):
                psi = _get(states, 0, i)
                _bilinear(out[k, p], 0, i, psi, psi, 1.0 + 0j)
                chi = _get(states, 2, i)
                if order:
                    _bilinear(out[k, p], 1, i, chi, psi, -2j)
                if with_bonds and i < n_sites - 1:
                    ahead = _get(states, 0, i + 1)
                    _bilinear(bonds[k, p], 0, i, ahead, psi, -2j * hops[i])
                    if order:
                        _bilinear(bonds[k, p], 1, i, _get(states, 2, i + 1), psi, -2 * hops[i] + 0j)
                        _bilinear(bonds[k, p], 1, i, ahead, chi, 2 * hops[i] + 0j)
            for q in range(2):
                # u = -(hopping to the lead) times the state on the first site of the lead.
                end = 0 if q == 0 else n_sites - 1
                psi = _get(states, 0, end)
                s = sigma[k, q]
                u = (s * psi[0], s * psi[1], s * psi[2], s * psi[3])
                if p == q:
                    u = (u[0] + root, u[1], u[2], u[3] + root)
                _bilinear(flows[k, p], 0, q, u, psi, 2j)
                if order:
                    chi, x, d = _get(states, 2, end), _get(states, 1, end), slopes[k, q]
                    v = (s * chi[0] - d * x[0], s * chi[1] - d * x[1], s * chi[2] - d * x[2], s * chi[3] - d * x[3])
                    _bilinear(flows[k, p], 1, q, v, psi, 2.0 + 0j)
                    _bilinear(flows[k, p], 1, q, u, chi, -2.0 + 0j)
                    overlap = 0j
                    for a in range(4):
                        overlap += x[a] * psi[a].conjugate()
                    stored[k, p, 0, q] = -2 * (s * overlap).real


@njit(inline="always", **_options)
def _trace(out, k, i, f):
    """out[k, i] = Tr[sigma_a f] for a = identity, x, y, z."""
    out[k, i, 0] = f[0] + f[3]
    out[k, i, 1] = f[1] + f[2]
    out[k, i, 2] = 1j * (f[1] - f[2])
    out[k, i, 3] = f[0] - f[3]


@njit(**_options)
def between_terms(z, h, hops, retarded, advanced, Y, y_ends, states, response, bonds):
    """Diagonal blocks of A(z) and of F = G(z) Y A(z) for two resolvents that differ in their self-energies only.

    z: (n,).  h: (N, 2, 2), hops: (N - 1,), Y: (N, 2, 2) as in `contour_sums`.
    retarded, advanced: (n, 2) self-energies of G and of A [energy, left or right], the same for both spins.
    y_ends: (n, 2, 2, 2), added to Y on the first and the last site; with a first axis of length 0 nothing is added.

    The kernel fills these arrays:
    states, response: (n, N, 4), traces with 1, sigma_x, sigma_y, sigma_z of A and of F on the sites.
    bonds: (n, N - 1, 4), the same traces of F_(i+1,i) - F_(i,i+1); not computed if its first axis has length 0.
    """
    n_sites = h.shape[0]
    with_bonds = bonds.shape[0] > 0
    with_ends = y_ends.shape[0] > 0
    zero = (0j, 0j, 0j, 0j)
    left = np.empty((3, n_sites, 4), dtype=np.complex128)
    for k in range(z.shape[0]):
        g, a, f = zero, zero, zero
        for direction in range(2):
            if direction == 1:
                g, a, f = zero, zero, zero
            for j in range(n_sites):
                i = j if direction == 0 else n_sites - 1 - j
                left_hop = hops[i - 1] if i > 0 else 0.0
                right_hop = hops[i] if i < n_sites - 1 else 0.0
                t2 = left_hop * left_hop if direction == 0 else right_hop * right_hop
                g_next, a_next, f_next = g, a, f
                hi = _load(h, i)
                bare = (z[k] - hi[0], -hi[1], -hi[2], z[k] - hi[3])
                sg, sa = 0j, 0j
                y = _load(Y, i)
                if i == 0:
                    sg, sa = sg + retarded[k, 0], sa + advanced[k, 0]
                    if with_ends:
                        y = _add(y, _load(y_ends[k], 0))
                if i == n_sites - 1:
                    sg, sa = sg + retarded[k, 1], sa + advanced[k, 1]
                    if with_ends:
                        y = _add(y, _load(y_ends[k], 1))
                G = (bare[0] - sg - t2 * g[0], bare[1] - t2 * g[1], bare[2] - t2 * g[2], bare[3] - sg - t2 * g[3])
                A = (bare[0] - sa - t2 * a[0], bare[1] - t2 * a[1], bare[2] - t2 * a[2], bare[3] - sa - t2 * a[3])
                y = (y[0] + t2 * f[0], y[1] + t2 * f[1], y[2] + t2 * f[2], y[3] + t2 * f[3])
                for full in range(direction + 1):
                    if full == 1 and i > 0:
                        t2 = left_hop * left_hop
                        m = _get(left, 0, i - 1)
                        G = (G[0] - t2 * m[0], G[1] - t2 * m[1], G[2] - t2 * m[2], G[3] - t2 * m[3])
                        m = _get(left, 1, i - 1)
                        A = (A[0] - t2 * m[0], A[1] - t2 * m[1], A[2] - t2 * m[2], A[3] - t2 * m[3])
                        m = _get(left, 2, i - 1)
                        y = (y[0] + t2 * m[0], y[1] + t2 * m[1], y[2] + t2 * m[2], y[3] + t2 * m[3])
                    e, b = _inv(G), _inv(A)
                    fe = _mul(_mul(e, y), b)
                    if full == 0:
                        g, a, f = e, b, fe
                        if direction == 0:
                            _put(left, 0, i, g)
                            _put(left, 1, i, a)
                            _put(left, 2, i, f)
                    else:
                        _trace(states, k, i, b)
                        _trace(response, k, i, fe)
                        if with_bonds and i < n_sites - 1:
                            # F_(i+1,i) = -t (f A_ii + g F_ii), F_(i,i+1) = -t (F_ii a + G_ii f), where f, g, a belong
                            # to the partial chain right of this site.
                            there = _add(_mul(f_next, b), _mul(g_next, fe))
                            back = _add(_mul(fe, a_next), _mul(e, f_next))
                            d = _sub(back, there)
                            _trace(
                                bonds, k, i, (right_hop * d[0], right_hop * d[1], right_hop * d[2], right_hop * d[3])
                            )


@njit(**_options)
def _square(x):
    """|x|^2."""
    return x.real * x.real + x.imag * x.imag


@njit(**_options)
def smallest_widths(energies, h, hops, retarded, out):
    """Estimate of the smallest half-width that a level at each of these real energies can have.

    A level r with half-width gamma has 2 gamma |r|^2 = Gamma_L |r_0|^2 + Gamma_R |r_(N-1)|^2.  Starting from the left
    end, its equation gives r_i = T_i r_0, and the same from the right end.  If the sites left of a bond are bounded by
    |r_0| and those right of it by |r_(N-1)|, gamma >= min(Gamma_L/sum |T|^2, Gamma_R/sum |T|^2)/2; the bond with the
    largest bound counts.  |T|^2 is the mean over the two spin directions: for one of them it can be twice as large, and
    the bound half as large.  The slope dSigma/dE and the imaginary part of the level's energy are neglected.

    energies: (n,).  h, hops, retarded: as in `between_terms`.  out: (n,) receives the half-widths, energy.
    """
    n_sites = h.shape[0]
    grown = np.empty((2, n_sites))
    for k in range(energies.shape[0]):
        for direction in range(2):
            before = (0j, 0j, 0j, 0j)
            this = (1.0 + 0j, 0j, 0j, 1.0 + 0j)
            total = 0.0
            for j in range(n_sites):
                i = j if direction == 0 else n_sites - 1 - j
                total += 0.5 * (_square(this[0]) + _square(this[1]) + _square(this[2]) + _square(this[3]))
                grown[direction, j] = total
                if j == n_sites - 1 or not total < 1e200:
                    for rest in range(j + 1, n_sites):
                        grown[direction, rest] = total
                    break
                hi = _load(h, i)
                e = energies[k]
                a = (e - hi[0], -hi[1], -hi[2], e - hi[3])
                if j == 0:
                    s = retarded[k, direction]
                    a = (a[0] - s, a[1], a[2], a[3] - s)
                ahead = hops[i] if direction == 0 else hops[i - 1]
                behind = 0.0
                if j > 0:
                    behind = hops[i - 1] if direction == 0 else hops[i]
                m = _mul(a, this)
                following = (
                    -(m[0] + behind * before[0]) / ahead,
                    -(m[1] + behind * before[1]) / ahead,
                    -(m[2] + behind * before[2]) / ahead,
                    -(m[3] + behind * before[3]) / ahead,
                )
                before, this = this, following
        left, right = -2 * retarded[k, 0].imag, -2 * retarded[k, 1].imag
        best = max(left / grown[0, n_sites - 1], right / grown[1, n_sites - 1])
        for m in range(1, n_sites):
            best = max(best, min(left / grown[0, m - 1], right / grown[1, n_sites - m - 1]))
        out[k] = 0.5 * best
