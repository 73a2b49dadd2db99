"""Kernels of electrons in real time for lattices: tiles of the state, each read and written once in a stage.

The state and its tiles are those of `real_time_tiles`.  With the matrix A of `real_time`, a tile (I, J) changes by

    dR[I, J]/dt = i Q,    Q = conj(zeta) R - R zeta' + (what other rows and columns of A give),

where zeta are the diagonal elements of iA: those of H on a site, z + voltage of an exponent.  All else in Q comes from
the spin at the same site, from the four neighbours of a site, and, at the ends of the device and for the exponents,
from the products V and W with all exponents of a lead:

    V[0, l, I] = sum_k R[I, (l, k)] U^T + source,    V[1, l, I] = R[I, end of l] U,    W[., l, J] = V[., l, J]^+,

U the transverse modes.  These are made first (`gather`), then each tile in one pass: derivative, the sum over the stages
and the state of the next stage.  What a tile becomes depends on no other one, so the bits do not depend on how tiles
are spread over threads.
"""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import njit


@njit(cache=True, nogil=True)
def tile_index(I, J, T):
    """Index of the tile of row I and column J <= I; T: columns."""
    return I * (I + 1) // 2 + J if I < T else T * (T + 1) // 2 + (I - T) * T + J


@njit(cache=True, nogil=True)
def row_of(tile, T):
    """Row of a tile."""
    square = T * (T + 1) // 2
    if tile >= square:
        return T + (tile - square) // T
    I = int((np.sqrt(8.0 * tile + 1.0) - 1.0) / 2.0)
    while I * (I + 1) // 2 > tile:
        I -= 1
    while (I + 1) * (I + 2) // 2 <= tile:
        I += 1
    return I


@njit(cache=True, nogil=True)
def diagonal(m, potential, onsite, sd_exchange, zeta, mixed):
    """Fill what the moments m (nx, ny, 3) and gates (nx, ny) change: zeta of the sites, and mixed.

    zeta: (tile rows, 2, 2, ny) [row, real/imaginary, spin, y]; mixed: (nx, 2, ny), <up|H|down> of each site.
    """
    nx, ny = potential.shape
    for x in range(nx):
        for y in range(ny):
            level, split = onsite + potential[x, y], sd_exchange * m[x, y, 2]
            zeta[x, 0, 0, y] = level - split
            zeta[x, 0, 1, y] = level + split
            zeta[x, 1, 0, y] = zeta[x, 1, 1, y] = 0.0
            mixed[x, 0, y] = -sd_exchange * m[x, y, 0]
            mixed[x, 1, y] = sd_exchange * m[x, y, 1]


# --- the products with the leads ------------------------------------------------------------------


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def add_flat(total, row):
    """total += row, (n,)."""
    for j in range(len(total)):
        total[j] += row[j]


@njit(cache=True, nogil=True, fastmath=True)
def add_adjoint(total, tile):
    """total += tile^+."""
    ny = total.shape[3]
    for sa in range(2):
        for ya in range(ny):
            for s in range(2):
                for y in range(ny):
                    total[sa * ny + ya, 0, s, y] += tile[s * ny + y, 0, sa, ya]
                    total[sa * ny + ya, 1, s, y] -= tile[s * ny + y, 1, sa, ya]


@njit(cache=True, nogil=True, fastmath=True)
def gather(first, last, state, T, nx, ends, kept, n_poles, a, b, modes, V, W):
    """V and W of the items first ... last - 1; item = lead * rows + row, rows = T + leads * n_poles.

    state: (tiles, n, 2, 2, ny); ends: slice of each lead; a: (leads, kept, ny), b: (leads, poles, ny): sources; modes:
    U^T and U, (2, ny, ny); V: (2, leads, rows, n, 2, 2, ny), W: (2, leads, T, n, 2, 2, ny), made where a tile needs
    it: W[0] up to the end of the lead, W[1] up to its last exponent.
    """
    leads = len(ends)
    n, ny = state.shape[1], state.shape[4]
    rows = T + leads * n_poles
    total = np.empty((n, 2, 2, ny))
    flipped = np.empty((n, 2, 2, ny))
    for item in range(first, last):
        lead, I = item // rows, item % rows
        end, start = ends[lead], nx + lead * kept
        poles = T + lead * n_poles
        # the sum over the exponents
        flipped[:] = 0.0
        total[:] = 0.0
        if I < T:
            for k in range(kept):
                if start + k >= I:
                    add_flat(flipped.reshape(-1), state[tile_index(start + k, I, T)].reshape(-1))
            for p in range(n_poles):
                add_flat(flipped.reshape(-1), state[tile_index(poles + p, I, T)].reshape(-1))
            add_adjoint(total, flipped)
        for k in range(kept):
            if start + k < I:
                add_flat(total.reshape(-1), state[tile_index(I, start + k, T)].reshape(-1))
        if start <= I < start + kept:
            for s in range(2):
                for y in range(ny):
                    total[s * ny + y, 0, s, y] += a[lead, I - start, y].real
                    total[s * ny + y, 1, s, y] += a[lead, I - start, y].imag
        if poles <= I < poles + n_poles:
            for s in range(2):
                for y in range(ny):
                    total[s * ny + y, 0, s, y] += b[lead, I - poles, y].real
                    total[s * ny + y, 1, s, y] += b[lead, I - poles, y].imag
        product = V[0, lead, I]
        np.dot(total.reshape(4 * n, ny), modes[0], product.reshape(4 * n, ny))
        if I <= end:
            W[0, lead, I] = 0.0
            add_adjoint(W[0, lead, I], product)
        # the slice at the end
        if I < end:
            total[:] = 0.0
            add_adjoint(total, state[tile_index(end, I, T)])
        else:
            total[:] = state[tile_index(I, end, T)]
        product = V[1, lead, I]
        np.dot(total.reshape(4 * n, ny), modes[1], product.reshape(4 * n, ny))
        if I < start + kept:
            W[1, lead, I] = 0.0
            add_adjoint(W[1, lead, I], product)


@njit(cache=True, nogil=True, fastmath=True)
def add_green(tile, w, G, transposed):
    """tile -= w G + (w transposed)^+; tile: (n, 2, n), the others (n, n), w complex."""
    for a in range(len(tile)):
        for b in range(len(tile)):
            change = w * G[a, b] + (w * transposed[b, a]).conjugate()
            tile[a, 0, b] -= change.real
            tile[a, 1, b] -= change.imag


# --- one row of a tile ----------------------------------------------------------------------------


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def own(q, row, zeta, re, im):
    """q = row (conj(zeta) - re - i im)."""
    for j in range(row.shape[1]):
        dr, di = zeta[0, j] - re, -zeta[1, j] - im
        q[0, j] = dr * row[0, j] - di * row[1, j]
        q[1, j] = dr * row[1, j] + di * row[0, j]


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def own_beside(q, row, zeta, re, im, left, t_left, right, t_right):
    """q = row (conj(zeta) - re - i im) - t_left left - t_right right."""
    for j in range(row.shape[1]):
        dr, di = zeta[0, j] - re, -zeta[1, j] - im
        q[0, j] = dr * row[0, j] - di * row[1, j] - t_left * left[0, j] - t_right * right[0, j]
        q[1, j] = dr * row[1, j] + di * row[0, j] - t_left * left[1, j] - t_right * right[1, j]


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def of_site(
    q, row, zeta, level, left, t_left, right, t_right, other, re, im, up, t_up, down, t_down, above, t_above, below, t_below
):
    """q = row (zeta - level) - (re + i im) other + hoppings times what is beside: a site's row among sites, zeta real."""
    for j in range(row.shape[1]):
        d = zeta[0, j] - level
        q[0, j] = (
            (d * row[0, j] - re * other[0, j] + im * other[1, j])
            + (t_up * up[0, j] + t_down * down[0, j])
            + (t_above * above[0, j] + t_below * below[0, j])
            - (t_left * left[0, j] + t_right * right[0, j])
        )
        q[1, j] = (
            (d * row[1, j] - re * other[1, j] - im * other[0, j])
            + (t_up * up[1, j] + t_down * down[1, j])
            + (t_above * above[1, j] + t_below * below[1, j])
            - (t_left * left[1, j] + t_right * right[1, j])
        )


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def add_mixed(q, row, mixed, across):
    """q += what the spin and the bonds across of the columns give; all but q, row: (2, 2, ny), mixed: (2, ny)."""
    ny = row.shape[2]
    for s in range(2):
        sign = 1.0 - 2.0 * s
        for y in range(ny):
            re, im = mixed[0, y], sign * mixed[1, y]
            q[0, s, y] += re * row[0, 1 - s, y] + im * row[1, 1 - s, y]
            q[1, s, y] += re * row[1, 1 - s, y] - im * row[0, 1 - s, y]
        for y in range(1, ny - 1):
            q[0, s, y] -= across * (row[0, s, y - 1] + row[0, s, y + 1])
            q[1, s, y] -= across * (row[1, s, y - 1] + row[1, s, y + 1])


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def add_edges(q, row, across, around):
    """q += the bonds across to the first and the last y, and `around` from one to the other; (2, 2, ny), ny > 1."""
    ny = row.shape[2]
    for c in range(2):
        for s in range(2):
            q[c, s, 0] -= across * row[c, s, 1] + around * row[c, s, ny - 1]
            q[c, s, ny - 1] -= across * row[c, s, ny - 2] + around * row[c, s, 0]


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def add_product(q, re, im, row):
    """q += i (re + i im) row."""
    for j in range(row.shape[1]):
        q[0, j] -= re * row[1, j] + im * row[0, j]
        q[1, j] += re * row[0, j] - im * row[1, j]


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def begin(q, start, total, new, b, c):
    """total = start + b k, new = start + c k with k = i q: the first stage."""
    for j in range(start.shape[1]):
        total[0, j] = start[0, j] - b * q[1, j]
        total[1, j] = start[1, j] + b * q[0, j]
        new[0, j] = start[0, j] - c * q[1, j]
        new[1, j] = start[1, j] + c * q[0, j]


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def go_on(q, start, total, new, b, c):
    """total += b k, new = start + c k with k = i q."""
    for j in range(start.shape[1]):
        total[0, j] -= b * q[1, j]
        total[1, j] += b * q[0, j]
        new[0, j] = start[0, j] - c * q[1, j]
        new[1, j] = start[1, j] + c * q[0, j]


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def end_with(q, total, b):
    """total += b i q: the last stage."""
    for j in range(total.shape[1]):
        total[0, j] -= b * q[1, j]
        total[1, j] += b * q[0, j]


# --- one stage ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, fastmath=True)
def pass_over(
    first, last, y0, state, total, new, mode, b, c, T, nx, ends, kept, zeta, mixed, hops, across, periodic, g, V, W
):
    """Tiles first ... last - 1 in a stage with k = dR/dt of `state`: total += b k, new = y0 + c k.

    mode: 0 the first stage, where total = y0 + b k; 2 the last one, without new; else 1.  Arrays of the state:
    (tiles, n, 2, n).  zeta, mixed: as `diagonal` fills them; hops: (nx - 1,); across, periodic: hopping along y, and
    whether the last y is bound to the first; g: (leads, kept); V, W: as `gather` leaves them.

    On the diagonal Q = half - half^+, with half what comes from the left, but for the neighbours of lower x: of these
    the part from the right is taken, since their tile is in the triangle.
    """
    n, ny = state.shape[1], mixed.shape[2]
    leads = len(ends)
    around = across if periodic else 0.0
    halves = np.empty((n, 2, n))
    split_halves, split_state = halves.reshape(n, 2, 2, ny), state.reshape(len(state), n, 2, 2, ny)
    I = row_of(first, T)
    J = first - tile_index(I, 0, T)
    for t in range(first, last):
        on_diagonal = I == J
        column = len(zeta) - 1 if on_diagonal else J  # a column of zeros
        left = right = above = below = t
        t_left = t_right = t_above = t_below = 0.0
        if J < nx:
            if J > 0:
                left, t_left = t - 1, hops[J - 1]
            if J < nx - 1 and not on_diagonal:
                right, t_right = t + 1, hops[J]
        if I < nx:
            if I > 0 and not on_diagonal:
                above, t_above = tile_index(I - 1, J, T), hops[I - 1]
            if I < nx - 1:
                below, t_below = tile_index(I + 1, J, T), hops[I]
        for at in range(n):
            slot = at if on_diagonal else 0
            re, im = zeta[I, 0, at], zeta[I, 1, at]
            if I < nx:
                s, y = at // ny, at % ny
                up = down = at
                t_up = t_down = 0.0
                if y < ny - 1 or (periodic and ny > 1):
                    up, t_up = s * ny + (y + 1) % ny, across
                if y > 0 or (periodic and ny > 1):
                    down, t_down = s * ny + (y - 1) % ny, across
                of_site(
                    halves[slot],
                    state[t, at],
                    zeta[column],
                    re,
                    state[left, at],
                    t_left,
                    state[right, at],
                    t_right,
                    state[t, (1 - s) * ny + y],
                    mixed[I, 0, y],
                    (1.0 - 2.0 * s) * mixed[I, 1, y],
                    state[t, up],
                    t_up,
                    state[t, down],
                    t_down,
                    state[above, at],
                    t_above,
                    state[below, at],
                    t_below,
                )
            elif J < nx:
                own_beside(halves[slot], state[t, at], zeta[column], re, im, state[left, at], t_left, state[right, at], t_right)
            else:
                own(halves[slot], state[t, at], zeta[column], re, im)
            if J < nx and not on_diagonal:
                add_mixed(split_halves[slot], split_state[t, at], mixed[J], across)
                if ny > 1:
                    add_edges(split_halves[slot], split_state[t, at], across, around)
            # the products with the leads
            if I < nx:
                for lead in range(leads):
                    if ends[lead] == I:
                        add_product(halves[slot], -1.0, 0.0, W[0, lead, J, at])
            elif I < T:
                lead = (I - nx) // kept
                weight = g[lead, (I - nx) % kept]
                add_product(halves[slot], weight.real, weight.imag, W[1, lead, J, at])
            if on_diagonal:
                continue
            if J < nx:
                for lead in range(leads):
                    if ends[lead] == J:
                        add_product(halves[slot], -1.0, 0.0, V[0, lead, I, at])
            else:
                lead = (J - nx) // kept
                weight = g[lead, (J - nx) % kept]
                add_product(halves[slot], weight.real, -weight.imag, V[1, lead, I, at])
            if mode == 0:
                begin(halves[slot], y0[t, at], total[t, at], new[t, at], b, c)
            elif mode == 1:
                go_on(halves[slot], y0[t, at], total[t, at], new[t, at], b, c)
            else:
                end_with(halves[slot], total[t, at], b)
        if on_diagonal:
            subtract_adjoint(halves)
            for at in range(n):
                if mode == 0:
                    begin(halves[at], y0[t, at], total[t, at], new[t, at], b, c)
                elif mode == 1:
                    go_on(halves[at], y0[t, at], total[t, at], new[t, at], b, c)
                else:
                    end_with(halves[at], total[t, at], b)
        J += 1
        if J == min(I + 1, T):
            I, J = I + 1, 0


@njit(cache=True, nogil=True)
def subtract_adjoint(half):
    """half - half^+ in place, (n, 2, n): i times it is Hermitian to the last bit."""
    for at in range(len(half)):
        for other in range(at):
            re, im = half[at, 0, other] - half[other, 0, at], half[at, 1, other] + half[other, 1, at]
            half[at, 0, other], half[at, 1, other] = re, im
            half[other, 0, at], half[other, 1, at] = -re, im
        half[at, 0, at] = 0.0
        half[at, 1, at] *= 2.0
