"""Kernels of electrons in real time for lattices: tiles of the state, each read and written once in a stage.

The state and its tiles are those of `real_time_tiles`.  With the matrix A of `real_time`, a tile (i, j) changes by

    dR[i, j]/dt = i Q,    Q = conj(zeta) R - R zeta' + (what other rows and columns of A give),

where zeta are the diagonal elements of iA: those of H on a site, z + voltage of an exponent.  All else in Q comes from
the spin at the same site, from the four neighbours of a site, and, at the ends of the device and for the exponents,
from the products V and W with all exponents of a lead:

    V[0, l, i] = sum_k R[i, (l, k)] U^T + source,    V[1, l, i] = R[i, end of l] U,    W[., l, j] = V[., l, j]^+,

U the transverse modes.
These are made first (`real_time_gather`), then each tile in one pass: derivative and the state of
the next stage, or that after the step.  Each tile is made on its own, so that the bits do not
depend on how tiles are spread over threads.
"""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import njit


@njit(cache=True, nogil=True)
def tile_index(i, j, T):
    """Index of the tile of row i and column j <= i; T: columns."""
    return i * (i + 1) // 2 + j if i < T else T * (T + 1) // 2 + (i - T) * T + j


@njit(cache=True, nogil=True)
def row_of(tile, T):
    """Row of a tile."""
    square = T * (T + 1) // 2
    if tile >= square:
        return T + (tile - square) // T
    i = int((np.sqrt(8.0 * tile + 1.0) - 1.0) / 2.0)
    while i * (i + 1) // 2 > tile:
        i -= 1
    while (i + 1) * (i + 2) // 2 <= tile:
        i += 1
    return i


# --- one row of a tile ----------------------------------------------------------------------------

# Views without counting references: a thread would wait for the others' at every row.  Nothing may be allocated.
_tiles = {"cache": True, "nogil": True, "fastmath": True, "_nrt": False}
_row = _tiles | {"noalias": True}


@njit(**_row)
def own(q, row, zeta, re, im, left, t_left):
    """q = row (conj(zeta) - re - i im) - t_left left."""
    for j in range(row.shape[1]):
        dr, di = zeta[0, j] - re, -zeta[1, j] - im
        q[0, j] = dr * row[0, j] - di * row[1, j] - t_left * left[0, j]
        q[1, j] = dr * row[1, j] + di * row[0, j] - t_left * left[1, j]


@njit(**_row)
def among_sites(q, row, zeta, re, im, mixed, left, t_left, right, t_right):
    """q = row (zeta - re - i im) + the other spin of the columns, sites of a slice, - hoppings times the rows beside.

    All (2, 2, ny) [real/imaginary, spin, y], but mixed: (2, ny); zeta is real.
    """
    for s in range(2):
        sign, other = 1.0 - 2.0 * s, 1 - s
        for y in range(row.shape[2]):
            d, m_re, m_im = zeta[0, s, y] - re, mixed[0, y], sign * mixed[1, y]
            q[0, s, y] = (
                (d * row[0, s, y] + im * row[1, s, y])
                + (m_re * row[0, other, y] + m_im * row[1, other, y])
                - (t_left * left[0, s, y] + t_right * right[0, s, y])
            )
            q[1, s, y] = (
                (d * row[1, s, y] - im * row[0, s, y])
                + (m_re * row[1, other, y] - m_im * row[0, other, y])
                - (t_left * left[1, s, y] + t_right * right[1, s, y])
            )


@njit(**_row)
def subtract_both(q, t, one, two):
    """q -= t (one + two), (m,)."""
    for j in range(len(q)):
        q[j] -= t * (one[j] + two[j])


@njit(**_row)
def add_across(q, row, across, around):
    """q += the bonds between columns of a slice; around: from the last y to the first.  (2, 2, ny), ny > 1."""
    ny = row.shape[2]
    for c in range(2):
        for s in range(2):
            # Views that begin at 0: an index with an offset might be negative, and its loop would not be vectorised.
            subtract_both(q[c, s, 1 : ny - 1], across, row[c, s, : ny - 2], row[c, s, 2:])
            q[c, s, 0] -= across * row[c, s, 1] + around * row[c, s, ny - 1]
            q[c, s, ny - 1] -= across * row[c, s, ny - 2] + around * row[c, s, 0]


@njit(**_row)
def add_rows(q, other, re, im, up, t_up, down, t_down, above, t_above, below, t_below):
    """q += hoppings times the rows beside a site - (re + i im) times that of its other spin."""
    for j in range(q.shape[1]):
        q[0, j] += (
            (im * other[1, j] - re * other[0, j])
            + (t_up * up[0, j] + t_down * down[0, j])
            + (t_above * above[0, j] + t_below * below[0, j])
        )
        q[1, j] += (
            (t_up * up[1, j] + t_down * down[1, j])
            + (t_above * above[1, j] + t_below * below[1, j])
            - (re * other[1, j] + im * other[0, j])
        )


@njit(**_row)
def add_product(q, re, im, row):
    """q += i (re + i im) row."""
    for j in range(row.shape[1]):
        q[0, j] -= re * row[1, j] + im * row[0, j]
        q[1, j] += re * row[0, j] - im * row[1, j]


@njit(**_row)
def move(q, start, c, new):
    """new = start + c k with k = i q."""
    for j in range(start.shape[1]):
        new[0, j] = start[0, j] - c * q[1, j]
        new[1, j] = start[1, j] + c * q[0, j]


@njit(**_row)
def finish(q, start, third, own, weights, c, new):
    """new = weights[0] start + weights[1] new + weights[2] third + weights[3] own + c k with k = i q."""
    w_start, w_new, w_third, w_own = weights
    for j in range(start.shape[1]):
        re = (w_start * start[0, j] + w_new * new[0, j]) + (w_third * third[0, j] + w_own * own[0, j])
        im = (w_start * start[1, j] + w_new * new[1, j]) + (w_third * third[1, j] + w_own * own[1, j])
        new[0, j] = re - c * q[1, j]
        new[1, j] = im + c * q[0, j]


# --- one stage ------------------------------------------------------------------------------------


@njit(**_tiles)
def pass_over(
    first,
    last,
    y0,
    state,
    split_state,
    new,
    third,
    weights,
    is_last,
    c,
    T,
    nx,
    ends,
    kept,
    zeta,
    split_zeta,
    mixed,
    hops,
    across,
    periodic,
    g,
    V,
    W,
    halves,
    split_halves,
):
    """Tiles first ... last - 1 in a stage with k = dR/dt of `state`: new = y0 + c k.

    is_last: new = weights[0] y0 + weights[1] new + weights[2] third + weights[3] state + c k.  Arrays of the state:
    (tiles, n, 2, n).  zeta, mixed: as `diagonal` fills them; hops: (nx - 1,); across, periodic: hopping along y, and
    whether the last y is bound to the first; g: (leads, kept); V, W: as `gather` leaves them; halves: work array of one
    tile.  split_...: the same arrays with the last axis as (2, ny).

    On the diagonal Q = half - half^+, with half what comes from the left, but for the neighbours of lower x: of these
    the part from the right is taken, since their tile is in the triangle.
    """
    n, ny = state.shape[1], mixed.shape[2]
    leads = len(ends)
    around = across if periodic else 0.0
    i = row_of(first, T)
    j = first - tile_index(i, 0, T)
    for t in range(first, last):
        on_diagonal = i == j
        column = len(zeta) - 1 if on_diagonal else j  # a column of zeros
        left = right = above = below = t
        t_left = t_right = t_above = t_below = 0.0
        if j < nx:
            if j > 0:
                left, t_left = t - 1, hops[j - 1]
            if j < nx - 1 and not on_diagonal:
                right, t_right = t + 1, hops[j]
        if i < nx:
            if i > 0 and not on_diagonal:
                above, t_above = tile_index(i - 1, j, T), hops[i - 1]
            if i < nx - 1:
                below, t_below = tile_index(i + 1, j, T), hops[i]
        for at in range(n):
            slot = at if on_diagonal else 0
            re, im = zeta[i, 0, at], zeta[i, 1, at]
            if j < nx and not on_diagonal:
                among_sites(
                    split_halves[slot],
                    split_state[t, at],
                    split_zeta[j],
                    re,
                    im,
                    mixed[j],
                    split_state[left, at],
                    t_left,
                    split_state[right, at],
                    t_right,
                )
                if ny > 1:
                    add_across(split_halves[slot], split_state[t, at], across, around)
            else:
                own(halves[slot], state[t, at], zeta[column], re, im, state[left, at], t_left)
            if i < nx:
                s, y = at // ny, at % ny
                up = down = at
                t_up = t_down = 0.0
                if y < ny - 1 or (periodic and ny > 1):
                    up, t_up = s * ny + (y + 1) % ny, across
                if y > 0 or (periodic and ny > 1):
                    down, t_down = s * ny + (y - 1) % ny, across
                add_rows(
                    halves[slot],
                    state[t, (1 - s) * ny + y],
                    mixed[i, 0, y],
                    (1.0 - 2.0 * s) * mixed[i, 1, y],
                    state[t, up],
                    t_up,
                    state[t, down],
                    t_down,
                    state[above, at],
                    t_above,
                    state[below, at],
                    t_below,
                )
            # the products with the leads
            if i < nx:
                for lead in range(leads):
                    if ends[lead] == i:
                        add_product(halves[slot], -1.0, 0.0, W[0, lead, j, at])
            elif i < T:
                lead = (i - nx) // kept
                weight = g[lead, (i - nx) % kept]
                add_product(halves[slot], weight.real, weight.imag, W[1, lead, j, at])
            if on_diagonal:
                continue
            if j < nx:
                for lead in range(leads):
                    if ends[lead] == j:
                        add_product(halves[slot], -1.0, 0.0, V[0, lead, i, at])
            else:
                lead = (j - nx) // kept
                weight = g[lead, (j - nx) % kept]
                add_product(halves[slot], weight.real, -weight.imag, V[1, lead, i, at])
            if is_last:
                finish(halves[slot], y0[t, at], third[t, at], state[t, at], weights, c, new[t, at])
            else:
                move(halves[slot], y0[t, at], c, new[t, at])
        if on_diagonal:
            subtract_adjoint(halves)
            for at in range(n):
                if is_last:
                    finish(halves[at], y0[t, at], third[t, at], state[t, at], weights, c, new[t, at])
                else:
                    move(halves[at], y0[t, at], c, new[t, at])
        j += 1
        if j == min(i + 1, T):
            i, j = i + 1, 0


@njit(**_tiles)
def subtract_adjoint(half):
    """half - half^+ in place, (n, 2, n): i times it is Hermitian to the last bit."""
    for at in range(len(half)):
        for other in range(at):
            re, im = half[at, 0, other] - half[other, 0, at], half[at, 1, other] + half[other, 1, at]
            half[at, 0, other], half[at, 1, other] = re, im
            half[other, 0, at], half[other, 1, at] = -re, im
        half[at, 0, at] = 0.0
        half[at, 1, at] *= 2.0
