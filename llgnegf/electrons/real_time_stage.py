"""Kernels of electrons in real time for lattices: tiles of the state, each read and written once in a stage.

The state and its tiles are those of `real_time_tiles`.  With the matrix A of `real_time`, a tile (i, j) changes by

    dR[i, j]/dt = i Q,    Q = R conj(zeta_j) - zeta_i R + (what other rows and columns of A give),

where zeta_i are the diagonal elements of iA: those of H on a site, z + voltage of an exponent.  All else in Q comes
from the spin at the same site, from the four neighbours of a site, and, at the ends of the device and for the
exponents, from the products V and W with all exponents of a lead:

    V[0, l, i] = sum_k R[i, (l, k)] U^T + source,    V[1, l, i] = R[i, end of l] U,    W[., l, j] = V[., l, j]^+,

U the transverse modes.  These are made first (`real_time_gather`), then each tile in one pass: derivative and the state
of the next stage, or that after the step.  Each tile is made on its own, so that the bits do not depend on how tiles
are spread over threads.

Loops are over the columns of a tile.  One that adds to an array does so to real parts alone, or to imaginary ones: of
both in one loop the compiler cannot tell that they do not overlap, and takes one number at a time instead of eight.
"""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import fetch, njit


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


# --- one tile ------------------------------------------------------------------------------------

# Views without counting references: a thread would wait for the others' at every tile.  Nothing may be allocated.
_tiles = {"cache": True, "nogil": True, "fastmath": True, "_nrt": False}
_tile = _tiles | {"noalias": True}

# Numbers in a line of the cache.
LINE = 8


@njit(**_tile)
def fetch_row(at, ahead):
    """Have the row `at` of four tiles brought, which are needed next: half of a stage would wait for memory."""
    one, two, three, four = ahead
    row = 2 * one.shape[2]
    for number in range(at * row, (at + 1) * row, LINE):
        fetch(one, number)
        fetch(two, number)
        fetch(three, number)
        fetch(four, number)


@njit(**_tile)
def on_the_left(q, tile, rows, left, t_left):
    """q = -zeta tile - t_left left: the half of a tile on the diagonal; rows: zeta, (2, n)."""
    n = tile.shape[2]
    for at in range(n):
        re, im = -rows[0, at], -rows[1, at]
        for j in range(n):
            q[at, 0, j] = re * tile[at, 0, j] - im * tile[at, 1, j] - t_left * left[at, 0, j]
            q[at, 1, j] = re * tile[at, 1, j] + im * tile[at, 0, j] - t_left * left[at, 1, j]


@njit(**_tile)
def of_exponents(q, tile, columns, rows, one, g_re, g_im, two, h_re, h_im, ahead):
    """q = tile conj(zeta of columns) - zeta of rows tile + i (g_re + i g_im) one + i (h_re + i h_im) two."""
    n = tile.shape[2]
    for at in range(n):
        fetch_row(at, ahead)
        re, im = rows[0, at], rows[1, at]
        for j in range(n):
            dr, di = columns[0, j] - re, -columns[1, j] - im
            q[at, 0, j] = (
                (dr * tile[at, 0, j] - di * tile[at, 1, j])
                - (g_re * one[at, 1, j] + g_im * one[at, 0, j])
                - (h_re * two[at, 1, j] + h_im * two[at, 0, j])
            )
            q[at, 1, j] = (
                (dr * tile[at, 1, j] + di * tile[at, 0, j])
                + (g_re * one[at, 0, j] - g_im * one[at, 1, j])
                + (h_re * two[at, 0, j] - h_im * two[at, 1, j])
            )


@njit(**_tile)
def of_sites(q, tile, columns, rows, exchanged, mixed, before, after, bonds, left, t_left, right, t_right, ahead):
    """q = tile zeta of columns - zeta of rows tile + what sites in the columns get from each other.

    columns: real; exchanged: the tile with spins of columns exchanged; mixed: as in `pass_over`; before, after: the
    tile shifted by a column, with the hoppings `bonds` to these; left, right: in the slices beside.
    """
    n = tile.shape[2]
    for at in range(n):
        fetch_row(at, ahead)
        re, im = rows[0, at], rows[1, at]
        for j in range(n):
            d, m_re, m_im = columns[0, j] - re, mixed[0, j], mixed[1, j]
            q[at, 0, j] = (
                (d * tile[at, 0, j] + im * tile[at, 1, j])
                + (m_re * exchanged[at, 0, j] + m_im * exchanged[at, 1, j])
                - (bonds[0, j] * before[at, 0, j] + bonds[1, j] * after[at, 0, j])
                - (t_left * left[at, 0, j] + t_right * right[at, 0, j])
            )
            q[at, 1, j] = (
                (d * tile[at, 1, j] - im * tile[at, 0, j])
                + (m_re * exchanged[at, 1, j] - m_im * exchanged[at, 0, j])
                - (bonds[0, j] * before[at, 1, j] + bonds[1, j] * after[at, 1, j])
                - (t_left * left[at, 1, j] + t_right * right[at, 1, j])
            )


@njit(**_tile)
def exchange_spins(tile, out):
    """out = tile with the spins of its columns exchanged; (n, 2, 2, ny)."""
    for at in range(tile.shape[0]):
        for c in range(2):
            for y in range(tile.shape[3]):
                out[at, c, 0, y] = tile[at, c, 1, y]
                out[at, c, 1, y] = tile[at, c, 0, y]


@njit(**_tile)
def add_around(q, t, tile):
    """q -= t times the first and the last column of a slice, exchanged; (n, 2, 2, ny)."""
    end = tile.shape[3] - 1
    for at in range(tile.shape[0]):
        for c in range(2):
            for s in range(2):
                q[at, c, s, 0] -= t * tile[at, c, s, end]
                q[at, c, s, end] -= t * tile[at, c, s, 0]


@njit(**_tile)
def add_rows(q, tile, mixed, across, around, above, t_above, below, t_below):
    """q += what sites in the rows get from each other: the rows of the other spin, and of the sites beside.

    mixed: as in `pass_over`; across, around: hopping to the next row of a spin, and from its last one to its first;
    above, below: in the slices beside.
    """
    n = tile.shape[2]
    ny = n // 2
    for s in range(2):
        for y in range(ny):
            at, other = s * ny + y, (1 - s) * ny + y
            re, im = mixed[0, at], mixed[1, at]
            up, t_up = (at + 1, across) if y < ny - 1 else (s * ny, around)
            down, t_down = (at - 1, across) if y > 0 else (s * ny + ny - 1, around)
            for j in range(n):
                q[at, 0, j] += (
                    (im * tile[other, 1, j] - re * tile[other, 0, j])
                    + (t_up * tile[up, 0, j] + t_down * tile[down, 0, j])
                    + (t_above * above[at, 0, j] + t_below * below[at, 0, j])
                )
            for j in range(n):
                q[at, 1, j] += (
                    (t_up * tile[up, 1, j] + t_down * tile[down, 1, j])
                    + (t_above * above[at, 1, j] + t_below * below[at, 1, j])
                    - (re * tile[other, 1, j] + im * tile[other, 0, j])
                )


@njit(**_tile)
def add_product(q, re, im, product):
    """q += i (re + i im) product."""
    n = product.shape[2]
    for at in range(n):
        for j in range(n):
            q[at, 0, j] -= re * product[at, 1, j] + im * product[at, 0, j]
        for j in range(n):
            q[at, 1, j] += re * product[at, 0, j] - im * product[at, 1, j]


@njit(**_tile)
def move(q, start, c, new):
    """new = start + c k with k = i q."""
    n = start.shape[2]
    for at in range(n):
        for j in range(n):
            new[at, 0, j] = start[at, 0, j] - c * q[at, 1, j]
            new[at, 1, j] = start[at, 1, j] + c * q[at, 0, j]


@njit(**_tile)
def finish(q, start, third, own, weights, c, new):
    """new = weights[0] start + weights[1] new + weights[2] third + weights[3] own + c k with k = i q."""
    w_start, w_new, w_third, w_own = weights
    n = start.shape[2]
    for at in range(n):
        for p in range(2):
            sign = 2.0 * p - 1.0
            for j in range(n):
                new[at, p, j] = (
                    (w_start * start[at, p, j] + w_new * new[at, p, j])
                    + (w_third * third[at, p, j] + w_own * own[at, p, j])
                    + sign * c * q[at, 1 - p, j]
                )


# --- one stage ------------------------------------------------------------------------------------


@njit(**_tiles)
def pass_over(
    first,
    last,
    y0,
    state,
    split_state,
    before,
    after,
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
    mixed,
    bonds,
    hops,
    across,
    periodic,
    g,
    V,
    W,
    q,
    split_q,
    exchanged,
    split_exchanged,
):
    """Tiles first ... last - 1 in a stage with k = dR/dt of `state`: new = y0 + c k.

    is_last: new = weights[0] y0 + weights[1] new + weights[2] third + weights[3] state + c k.  Arrays of the state:
    (tiles, n, 2, n).  before, after: the state of all tiles but one, shifted by a number: before[t - 1] and after[t]
    are columns of the tile t.  zeta: (rows, 2, n); mixed: (nx, 2, n), <up|H|down> of each site at up, its conjugate at
    down; bonds: (2, n), hopping of each site of a slice to that before and that after it, 0 at the ends; hops:
    (nx - 1,); across, periodic: hopping along y, and whether the last y is bound to the first; g: (leads, kept); V, W:
    as `gather` leaves them; q, exchanged: work arrays of one tile.  split_...: the same arrays with the last axis as
    (2, ny).

    On the diagonal Q = half - half^+, with half what comes from the left, but for the neighbours of lower x: of these
    the part from the right is taken, since their tile is in the triangle.
    """
    leads = len(ends)
    around = across if periodic and split_state.shape[4] > 1 else 0.0
    i = row_of(first, T)
    j = first - tile_index(i, 0, T)
    for t in range(first, last):
        tile = state[t]
        ahead = y0[t], new[t], state[min(t + 1, last - 1)], third[t]
        on_diagonal = i == j
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
        # Of the exponents: their leads and their weights.
        row_lead = column_lead = 0
        h_re = h_im = g_re = g_im = 0.0
        if nx <= i < T:
            row_lead = (i - nx) // kept
            weight = g[row_lead, (i - nx) % kept]
            h_re, h_im = weight.real, weight.imag
        if j >= nx:
            column_lead = (j - nx) // kept
            weight = g[column_lead, (j - nx) % kept]
            g_re, g_im = weight.real, -weight.imag
        if on_diagonal:
            on_the_left(q, tile, zeta[i], state[left], t_left)
        elif j < nx:
            exchange_spins(split_state[t], split_exchanged)
            of_sites(
                q,
                tile,
                zeta[j],
                zeta[i],
                exchanged,
                mixed[j],
                before[t - 1],
                after[t],
                bonds,
                state[left],
                t_left,
                state[right],
                t_right,
                ahead,
            )
            if around != 0.0:
                add_around(split_q, around, split_state[t])
            for lead in range(leads):
                if ends[lead] == j:
                    add_product(q, -1.0, 0.0, V[0, lead, i])
        else:
            product = V[1, column_lead, i]
            rows_product = W[1, row_lead, j] if i < T else product  # of weight 0
            of_exponents(q, tile, zeta[j], zeta[i], product, g_re, g_im, rows_product, h_re, h_im, ahead)
        if i < nx:
            add_rows(q, tile, mixed[i], across, around, state[above], t_above, state[below], t_below)
            for lead in range(leads):
                if ends[lead] == i:
                    add_product(q, -1.0, 0.0, W[0, lead, j])
        elif i < T and (j < nx or on_diagonal):
            add_product(q, h_re, h_im, W[1, row_lead, j])
        if on_diagonal:
            subtract_adjoint(q)
        if is_last:
            finish(q, y0[t], third[t], tile, weights, c, new[t])
        else:
            move(q, y0[t], c, new[t])
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
