"""Kernels of long wires that are cut into blocks (`wire_blocks.py`): blocks site by site, pairs of blocks, and back.

A block is a piece of the wire that ends on both sides in a constant self-energy, absorbing and without meaning; at the
ends of the wire it is that of the lead.  What comes from outside enters a block as amplitudes a on its two ends (left,
right; two spins each, four numbers): the states on its sites are P a, P = (E - H_block - Sigma)^-1 on the end sites.

Quantities are elements of an algebra of words, in which X is a derivative by the energy and Y a perturbation dH/dt:

    P + P_Y + P_X + P_XY,        P_Y = G Y P,    P_X = G X P,    P_XY = G X G Y P,

in this order in the axis `words`, of length 1 (P alone), 2 (and P_Y) or 4.  Energies are functions of a variable x, and
X is dE/dx times 1 - dSigma/dE, which stays finite where a mode opens.

Kernels call only functions of this file: numba does not notice changes in other files.
"""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import njit

_options = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False, "fastmath": {"contract", "nsz"}}

# As in `green.py`: above this value times 1/hopping of an element of g, elimination exchanges rows.
_LARGEST_GROWTH = 100.0


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
def _times(s, a):
    return s * a[0], s * a[1], s * a[2], s * a[3]


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
def _quarter(m, r, c):
    """The 2 x 2 block of a 4 x 4 matrix at rows 2 r and columns 2 c."""
    return m[2 * r, 2 * c], m[2 * r, 2 * c + 1], m[2 * r + 1, 2 * c], m[2 * r + 1, 2 * c + 1]


@njit(inline="always", **_options)
def _put_quarter(m, r, c, a):
    m[2 * r, 2 * c] = a[0]
    m[2 * r, 2 * c + 1] = a[1]
    m[2 * r + 1, 2 * c] = a[2]
    m[2 * r + 1, 2 * c + 1] = a[3]


@njit(inline="always", **_options)
def _bilinear(o, i, a, b, scale):
    """o[i] += scale Re Tr[sigma_a A B^+] for blocks A, B (a = identity, x, y, z)."""
    p00 = a[0] * b[0].conjugate() + a[1] * b[1].conjugate()
    p01 = a[0] * b[2].conjugate() + a[1] * b[3].conjugate()
    p10 = a[2] * b[0].conjugate() + a[3] * b[1].conjugate()
    p11 = a[2] * b[2].conjugate() + a[3] * b[3].conjugate()
    o[i, 0] += (scale * (p00 + p11)).real
    o[i, 1] += (scale * (p01 + p10)).real
    o[i, 2] -= (scale * (p01 - p10)).imag
    o[i, 3] += (scale * (p00 - p11)).real


@njit(**_options)
def _band_factors(energy, h, hops, left, right, band, pivots):
    """LU factors, with row pivoting, of E - H - Sigma: a band matrix of index 2 site + spin, two diagonals each side.

    left, right: numbers added to H on the ends.  band: (2N, 7), columns r - 2 to r + 4 of row r; pivots: (2N,).
    """
    n_sites = h.shape[0]
    n = 2 * n_sites
    band[:] = 0.0
    for i in range(n_sites):
        for a in range(2):
            r = 2 * i + a
            for b in range(2):
                band[r, 2 + b - a] = -h[i, a, b]
            band[r, 2] += energy
            if i == 0:
                band[r, 2] -= left
            else:
                band[r, 0] = hops[i - 1]
            if i == n_sites - 1:
                band[r, 2] -= right
            else:
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
def _states_of(energy, h, hops, ends, slopes, slope, Y, words, g, c, band, pivots, states):
    """P and its words on all sites of one block at one energy.

    h: (n, 2, 2), hops: (n - 1,), Y: (n, 2, 2) of the block; ends, slopes: (2,) Sigma and dSigma/dx on its ends; slope:
    dE/dx; words: 1, 2 or 4.  states: (2 words, n, 4) receives [2 word + end that a is on, site, block]; g, c:
    (1, n, 4), band: (2 n, 7) and pivots: (2 n,) are work arrays.  Returns ln |det (E - H - Sigma)|.
    """
    n = h.shape[0]
    strongest = 0.0
    for i in range(n - 1):
        strongest = max(strongest, abs(hops[i]))
    limit = (_LARGEST_GROWTH / strongest) ** 2 if strongest > 0 else np.inf
    zero = (0j, 0j, 0j, 0j)
    last = zero
    exchange = False
    logarithm = 0.0
    for i in range(n):
        t2 = hops[i - 1] * hops[i - 1] if i > 0 else 0.0
        e = energy + 0j
        if i == 0:
            e -= ends[0]
        if i == n - 1:
            e -= ends[1]
        a00, a01 = e - h[i, 0, 0] - t2 * last[0], -h[i, 0, 1] - t2 * last[1]
        a10, a11 = -h[i, 1, 0] - t2 * last[2], e - h[i, 1, 1] - t2 * last[3]
        det = a00 * a11 - a01 * a10
        logarithm += 0.5 * np.log(det.real * det.real + det.imag * det.imag)
        r = 1.0 / det
        last = (r * a11, -r * a01, -r * a10, r * a00)
        _put(g, 0, i, last)
        size = 0.0
        for s in range(4):
            size += g[0, i, s].real * g[0, i, s].real + g[0, i, s].imag * g[0, i, s].imag
        # Written with `not`, so that NaN, the inverse of a singular block, counts as too large.
        if i < n - 1 and not size <= limit:
            exchange = True
    if exchange:
        _band_factors(energy + 0j, h, hops, ends[0], ends[1], band, pivots)
    for word in range(words):
        # Y acts on P; X on P (word 2) and on P_Y (word 3).
        for p in range(2):
            source = p if word < 3 else 2 + p
            carry = zero
            # From the right end nothing enters before the last site.
            begin = n - 1 if word == 0 and p == 1 and not exchange else 0
            for i in range(n):
                b = zero
                if i >= begin:
                    if word == 0:
                        if i == (0 if p == 0 else n - 1):
                            b = (1.0 + 0j, 0j, 0j, 1.0 + 0j)
                    elif word == 1:
                        b = _mul((Y[i, 0, 0], Y[i, 0, 1], Y[i, 1, 0], Y[i, 1, 1]), _get(states, source, i))
                    else:
                        s = slope + 0j
                        if i == 0:
                            s -= slopes[0]
                        if i == n - 1:
                            s -= slopes[1]
                        b = _times(s, _get(states, source, i))
                    if i > begin and not exchange:
                        b = _add(b, _times(-hops[i - 1], _mul(_get(g, 0, i - 1), carry)))
                    carry = b
                _put(c, 0, i, b)
            if exchange:
                _band_solve(band, pivots, c[0])
            x = zero
            for j in range(n):
                i = n - 1 - j
                b = _get(c, 0, i)
                if exchange:
                    x = b
                else:
                    if j > 0:
                        b = _add(b, _times(-hops[i], x))
                    x = _mul(_get(g, 0, i), b)
                _put(states, 2 * word + p, i, x)
    return logarithm


@njit(**_options)
def block_ends(energies, slopes, starts, h, hops, reference, sigma, sigma_slopes, Y, words, ends, middles, logs):
    """P on the ends of blocks, from which blocks are joined, and on a site in the middle of each.

    energies, slopes: (n,) E and dE/dx; starts: (m + 1,) first sites of m blocks, and the number of sites; h: (N, 2, 2),
    hops: (N - 1,), Y: (N, 2, 2); reference: the self-energy on cut ends; sigma, sigma_slopes: (n, 2) Sigma and
    dSigma/dx of the left and the right lead.
    ends: (n, m, words, 4, 4) receives [.., 2 end + spin, 2 end of the amplitude + spin]; middles: (n, m, words, 2, 4);
    logs: (n, m) receives ln |det (E - H_block - Sigma)|.
    """
    longest = 0
    for b in range(len(starts) - 1):
        longest = max(longest, starts[b + 1] - starts[b])
    g = np.empty((1, longest, 4), dtype=np.complex128)
    c = np.empty((1, longest, 4), dtype=np.complex128)
    states = np.empty((2 * words, longest, 4), dtype=np.complex128)
    band, pivots = np.empty((2 * longest, 7), dtype=np.complex128), np.empty(2 * longest, dtype=np.int64)
    here, there = np.empty(2, dtype=np.complex128), np.empty(2, dtype=np.complex128)
    for b in range(len(starts) - 1):
        first, stop = starts[b], starts[b + 1]
        n = stop - first
        for k in range(energies.shape[0]):
            here[:] = reference
            there[:] = 0.0
            if first == 0:
                here[0], there[0] = sigma[k, 0], sigma_slopes[k, 0]
            if stop == h.shape[0]:
                here[1], there[1] = sigma[k, 1], sigma_slopes[k, 1]
            logs[k, b] = _states_of(
                energies[k], h[first:stop], hops[first : stop - 1], here, there, slopes[k], Y[first:stop], words,
                g, c, band[: 2 * n], pivots[: 2 * n], states,
            )  # fmt: skip
            for word in range(words):
                for p in range(2):
                    _put_quarter(ends[k, b, word], 0, p, _get(states, 2 * word + p, 0))
                    _put_quarter(ends[k, b, word], 1, p, _get(states, 2 * word + p, n - 1))
                    _put_quarter(middles[k, b, word], 0, p, _get(states, 2 * word + p, n // 2))


@njit(**_options)
def _product(a, b, out):
    """out = a b, 4 x 4."""
    for i in range(4):
        for j in range(4):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j] + a[i, 3] * b[3, j]


@njit(**_options)
def _add_product(a, b, out):
    """out += a b, 4 x 4."""
    for i in range(4):
        for j in range(4):
            out[i, j] += a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j] + a[i, 3] * b[3, j]


@njit(**_options)
def _add_product_adjoint(a, b, out):
    """out += a b^+, 4 x 4."""
    for i in range(4):
        for j in range(4):
            out[i, j] += (
                a[i, 0] * b[j, 0].conjugate()
                + a[i, 1] * b[j, 1].conjugate()
                + a[i, 2] * b[j, 2].conjugate()
                + a[i, 3] * b[j, 3].conjugate()
            )


@njit(**_options)
def _invert(m, out):
    """out = m^-1 (4 x 4) by Gauss and Jordan with row pivoting; m is overwritten.  Returns ln |det m|."""
    out[:] = 0.0
    logarithm = 0.0
    for i in range(4):
        out[i, i] = 1.0
    for k in range(4):
        pivot = k
        for r in range(k + 1, 4):
            if abs(m[r, k]) > abs(m[pivot, k]):
                pivot = r
        if pivot != k:
            for c in range(4):
                kept = m[k, c]
                m[k, c] = m[pivot, c]
                m[pivot, c] = kept
                kept = out[k, c]
                out[k, c] = out[pivot, c]
                out[pivot, c] = kept
        logarithm += np.log(abs(m[k, k]))
        r0 = 1.0 / m[k, k]
        for c in range(4):
            m[k, c] *= r0
            out[k, c] *= r0
        for r in range(4):
            if r != k:
                f = m[r, k]
                for c in range(4):
                    m[r, c] -= f * m[k, c]
                    out[r, c] -= f * out[k, c]
    return logarithm


@njit(**_options)
def join(pairs, hops, reference, ends, inner, logs, growth):
    """Pairs of neighbouring blocks as one block each, and the amplitudes on the ends that meet.

    pairs: (n, 2 m, words, 4, 4), `ends` of the blocks; hops: (m,) hopping of the bond between the two of each pair;
    reference: the self-energy on cut ends.
    ends: (n, m, words, 4, 4) receives those of the pairs.  inner: (n, m, words, 4, 4) receives S: amplitudes on the
    right end of the left block (rows 0, 1) and the left end of the right block (rows 2, 3) are S a.  logs: (n, m)
    receives by how much ln |det| grows, but for a constant.  growth: (n, m) receives the largest element of T, by which
    errors of `pairs` grow, 1/energy: (U^-1 - G)^-1 on the ends that meet, U the bond less the two self-energies.
    """
    words = pairs.shape[2]
    gii = np.empty((words, 4, 4), dtype=np.complex128)
    gio, goi = np.zeros((words, 4, 4), dtype=np.complex128), np.zeros((words, 4, 4), dtype=np.complex128)
    T = np.empty((words, 4, 4), dtype=np.complex128)
    m = np.empty((4, 4), dtype=np.complex128)
    for k in range(pairs.shape[0]):
        for b in range(hops.shape[0]):
            t = hops[b]
            # Of the bond and of the self-energies that it replaces, U = -(Sigma + t to the other end): U^-1 by r.
            r = 1.0 / (t * t - reference * reference)
            gii[:] = 0.0
            for word in range(words):
                left, right = pairs[k, 2 * b, word], pairs[k, 2 * b + 1, word]
                _put_quarter(gii[word], 0, 0, _quarter(left, 1, 1))
                _put_quarter(gii[word], 1, 1, _quarter(right, 0, 0))
                _put_quarter(gio[word], 0, 0, _quarter(left, 1, 0))
                _put_quarter(gio[word], 1, 1, _quarter(right, 0, 1))
                _put_quarter(goi[word], 0, 0, _quarter(left, 0, 1))
                _put_quarter(goi[word], 1, 1, _quarter(right, 1, 0))
            for i in range(4):
                for j in range(4):
                    m[i, j] = -gii[0, i, j]
            for i in range(4):
                m[i, i] += r * reference
            for i in range(2):
                m[i, i + 2] -= r * t
                m[i + 2, i] -= r * t
            logs[k, b] = _invert(m, T[0])
            largest = 0.0
            for i in range(4):
                for j in range(4):
                    largest = max(largest, abs(T[0, i, j]))
            growth[k, b] = largest
            for word in range(1, words):
                _product(T[0], gii[word], m)
                if word == 3:  # T X T Y T with T X T = T[2]
                    _add_product(T[2], gii[1], m)
                _product(m, T[0], T[word])
            e, s = ends[k, b], inner[k, b]
            for word in range(words):
                _product(T[0], gio[word], s[word])
                if word > 0:
                    _add_product(T[word], gio[0], s[word])
                if word == 3:
                    _add_product(T[2], gio[1], s[word])
            for word in range(words):
                _product(goi[0], s[word], e[word])
                if word > 0:
                    _add_product(goi[word], s[0], e[word])
                if word == 3:
                    _add_product(goi[2], s[1], e[word])
                for i in range(2):
                    for j in range(2):
                        e[word, i, j] += pairs[k, 2 * b, word, i, j]
                        e[word, i + 2, j + 2] += pairs[k, 2 * b + 1, word, i + 2, j + 2]


@njit(**_options)
def hand_down(inner, sums, plain, of_pairs):
    """Products of amplitudes a a^+ on the ends of blocks become those on the ends of the two parts of each.

    inner: (n, m, words, 4, 4) of `join`; sums: (n, m, plain + k, 4, 4): a a^+ `plain` times, with different weights,
    and then, for 2 words (k = 2), a a^+ and a_Y a^+, for 4 words (k = 3) also a_XY a^+; k = 0: none of these.
    of_pairs: (n, 2 m, plain + k, 4, 4) receives the same of the parts.
    """
    row, product, across = (
        np.empty((4, 4), dtype=np.complex128), np.empty((4, 4), dtype=np.complex128),
        np.empty((4, 4), dtype=np.complex128),
    )  # fmt: skip
    for k in range(sums.shape[0]):
        for b in range(sums.shape[1]):
            S = inner[k, b]
            for q in range(sums.shape[2]):
                C = sums[k, b, q]
                _product(S[0], C, row)
                if q == plain + 1:
                    _add_product(S[1], sums[k, b, plain], row)
                if q == plain + 2:
                    _add_product(S[3], sums[k, b, plain], row)
                    _add_product(S[2], sums[k, b, plain + 1], row)
                product[:] = 0.0
                _add_product_adjoint(row, S[0], product)
                across[:] = 0.0
                _add_product_adjoint(C, S[0], across)
                left, right = of_pairs[k, 2 * b, q], of_pairs[k, 2 * b + 1, q]
                _put_quarter(left, 0, 0, _quarter(C, 0, 0))
                _put_quarter(left, 1, 0, _quarter(row, 0, 0))
                _put_quarter(left, 0, 1, _quarter(across, 0, 0))
                _put_quarter(left, 1, 1, _quarter(product, 0, 0))
                _put_quarter(right, 1, 1, _quarter(C, 1, 1))
                _put_quarter(right, 0, 1, _quarter(row, 1, 1))
                _put_quarter(right, 1, 0, _quarter(across, 1, 1))
                _put_quarter(right, 0, 0, _quarter(product, 1, 1))


@njit(inline="always", **_options)
def _driven(states, word, i, C, column):
    """Columns of P_word C on site i that belong to the left (0) or the right (1) end."""
    return _add(
        _mul(_get(states, 2 * word, i), _quarter(C, 0, column)),
        _mul(_get(states, 2 * word + 1, i), _quarter(C, 1, column)),
    )


@njit(inline="always", **_options)
def _response(states, words, i, sums, plain, column):
    """Columns of P_Y a a^+ + P a_Y a^+ on site i (words 2) or P_XY a a^+ + P_X a_Y a^+ + P a_XY a^+ (words 4)."""
    if words == 2:
        return _add(_driven(states, 1, i, sums[plain], column), _driven(states, 0, i, sums[plain + 1], column))
    return _add(
        _add(_driven(states, 3, i, sums[plain], column), _driven(states, 2, i, sums[plain + 1], column)),
        _driven(states, 0, i, sums[plain + 2], column),
    )


@njit(**_options)
def block_densities(
    some, energies, slopes, starts, h, hops, reference, sigma, sigma_slopes, Y, words, sums, plain, out, first, bonds
):
    """Densities on the sites of blocks from products of the amplitudes on their ends.

    some: first of the blocks and the one behind the last, of which only these sites are written.  Arguments up to
    `words` as in `block_ends`; sums: (m, n, plain + k, 4, 4), otherwise as in `hand_down`, and plain as there.
    out: (plain, N, 4) receives sums over the energies of Tr[sigma_a psi psi^+].  first: (N, 4) receives that of
    Im Tr[sigma_a G Y psi psi^+] (words 2) or 2 Im Tr[sigma_a chi psi^+] (words 4), chi = G B G Y psi; k = 0: nothing.
    bonds: (2, N, 4) receives the flow from each site to the next of the first of `plain` and of `first`; not computed
    if its second axis has length 0.
    """
    longest = 0
    for b in range(len(starts) - 1):
        longest = max(longest, starts[b + 1] - starts[b])
    g = np.empty((1, longest, 4), dtype=np.complex128)
    c = np.empty((1, longest, 4), dtype=np.complex128)
    states = np.empty((2 * words, longest + 1, 4), dtype=np.complex128)
    band, pivots = np.empty((2 * longest, 7), dtype=np.complex128), np.empty(2 * longest, dtype=np.int64)
    here, there = np.empty(2, dtype=np.complex128), np.empty(2, dtype=np.complex128)
    moved = sums.shape[2] > plain
    share = 1.0 if words == 2 else 2.0
    with_bonds = bonds.shape[1] > 0
    n_sites = h.shape[0]
    for b in range(some[0], some[1]):
        start, stop = starts[b], starts[b + 1]
        n = stop - start
        for k in range(energies.shape[0]):
            here[:] = reference
            there[:] = 0.0
            if start == 0:
                here[0], there[0] = sigma[k, 0], sigma_slopes[k, 0]
            if stop == n_sites:
                here[1], there[1] = sigma[k, 1], sigma_slopes[k, 1]
            _states_of(
                energies[k], h[start:stop], hops[start : stop - 1], here, there, slopes[k], Y[start:stop], words,
                g, c, band[: 2 * n], pivots[: 2 * n], states,
            )  # fmt: skip
            if with_bonds and stop < n_sites:
                # The site behind the block: a = -(t psi + Sigma psi on the last site) on its right end.
                for word in range(words):
                    for p in range(2):
                        x = _times(reference, _get(states, 2 * word + p, n - 1))
                        if word == 0 and p == 1:
                            x = (x[0] + 1.0, x[1], x[2], x[3] + 1.0)
                        _put(states, 2 * word + p, n, _times(-1.0 / hops[stop - 1], x))
            for i in range(n):
                for q in range(plain):
                    for p in range(2):
                        x = _driven(states, 0, i, sums[b, k, q], p)
                        _bilinear(out[q], start + i, x, _get(states, p, i), 1.0 + 0j)
                        if with_bonds and q == 0 and start + i < n_sites - 1:
                            x = _driven(states, 0, i + 1, sums[b, k, q], p)
                            _bilinear(bonds[0], start + i, x, _get(states, p, i), -2j * hops[start + i])
                if not moved:
                    continue
                for p in range(2):
                    x = _response(states, words, i, sums[b, k], plain, p)
                    _bilinear(first, start + i, x, _get(states, p, i), -1j * share)
                    if with_bonds and start + i < n_sites - 1:
                        hop = share * hops[start + i] + 0j
                        ahead = _response(states, words, i + 1, sums[b, k], plain, p)
                        _bilinear(bonds[1], start + i, ahead, _get(states, p, i), -hop)
                        # psi on the next site, the response on this one: the adjoint has the same traces.
                        _bilinear(bonds[1], start + i, _get(states, p, i + 1), x, hop)
