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


@njit(cache=True, nogil=True, fastmath=True)
def add_tile(total, tile):
    """total += tile."""
    for a in range(total.shape[0]):
        for c in range(2):
            for s in range(2):
                for y in range(total.shape[3]):
                    total[a, c, s, y] += tile[a, c, s, y]


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
                    add_tile(flipped, state[tile_index(start + k, I, T)])
            for p in range(n_poles):
                add_tile(flipped, state[tile_index(poles + p, I, T)])
            add_adjoint(total, flipped)
        for k in range(kept):
            if start + k < I:
                add_tile(total, state[tile_index(I, start + k, T)])
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


# --- one stage ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, fastmath=True)
def change_of_row(
    q, t, at, I, J, is_left, is_right, state, T, nx, ends, kept, zeta, mixed, hops, across, periodic, g, V, W
):
    """q = Q of one row (2, 2, ny) of tile t, in row I and column J: the parts from the left and from the right.

    Both on a tile off the diagonal.  On it Q = half - half^+, with half what comes from the left, but for the neighbours
    of lower x: of these the part from the right is taken, since their tile is in the triangle.
    """
    ny = state.shape[4]
    sa, ya = at // ny, at % ny
    re, im = zeta[I, 0, sa, ya], zeta[I, 1, sa, ya]
    for s in range(2):
        for y in range(ny):
            q[0, s, y] = im * state[t, at, 1, s, y] - re * state[t, at, 0, s, y]
            q[1, s, y] = -re * state[t, at, 1, s, y] - im * state[t, at, 0, s, y]
    if I < nx:
        # Rows of the same slice: the other spin, and the bonds across.
        other = (1 - sa) * ny + ya
        re, im = mixed[I, 0, ya], mixed[I, 1, ya]
        if sa:
            im = -im
        for s in range(2):
            for y in range(ny):
                q[0, s, y] -= re * state[t, other, 0, s, y] - im * state[t, other, 1, s, y]
                q[1, s, y] -= re * state[t, other, 1, s, y] + im * state[t, other, 0, s, y]
        up, t_up = (sa * ny + (ya + 1) % ny, across) if ny > 1 and (ya < ny - 1 or periodic) else (at, 0.0)
        down, t_down = (sa * ny + (ya - 1) % ny, across) if ny > 1 and (ya > 0 or periodic) else (at, 0.0)
        if t_up != 0.0 or t_down != 0.0:
            for c in range(2):
                for s in range(2):
                    for y in range(ny):
                        q[c, s, y] += t_up * state[t, up, c, s, y] + t_down * state[t, down, c, s, y]
        # The slices beside it.
        if I > 0 and is_right:
            above, hop = tile_index(I - 1, J, T), hops[I - 1]
            for c in range(2):
                for s in range(2):
                    for y in range(ny):
                        q[c, s, y] += hop * state[above, at, c, s, y]
        if I < nx - 1:
            below, hop = tile_index(I + 1, J, T), hops[I]
            for c in range(2):
                for s in range(2):
                    for y in range(ny):
                        q[c, s, y] += hop * state[below, at, c, s, y]
        for lead in range(len(ends)):
            if ends[lead] == I:
                for s in range(2):
                    for y in range(ny):
                        q[0, s, y] += W[0, lead, J, at, 1, s, y]
                        q[1, s, y] -= W[0, lead, J, at, 0, s, y]
    elif I < T:
        lead = (I - nx) // kept
        weight = g[lead, (I - nx) % kept]
        re, im = weight.real, weight.imag
        for s in range(2):
            for y in range(ny):
                q[0, s, y] -= re * W[1, lead, J, at, 1, s, y] + im * W[1, lead, J, at, 0, s, y]
                q[1, s, y] += re * W[1, lead, J, at, 0, s, y] - im * W[1, lead, J, at, 1, s, y]
    if J < nx and J > 0:
        left, hop = tile_index(I, J - 1, T), hops[J - 1]
        for c in range(2):
            for s in range(2):
                for y in range(ny):
                    q[c, s, y] -= hop * state[left, at, c, s, y]
    if not is_right:
        return
    for s in range(2):
        for y in range(ny):
            q[0, s, y] += zeta[J, 0, s, y] * state[t, at, 0, s, y] + zeta[J, 1, s, y] * state[t, at, 1, s, y]
            q[1, s, y] += zeta[J, 0, s, y] * state[t, at, 1, s, y] - zeta[J, 1, s, y] * state[t, at, 0, s, y]
    if J < nx:
        for y in range(ny):
            q[0, 0, y] += mixed[J, 0, y] * state[t, at, 0, 1, y] + mixed[J, 1, y] * state[t, at, 1, 1, y]
            q[1, 0, y] += mixed[J, 0, y] * state[t, at, 1, 1, y] - mixed[J, 1, y] * state[t, at, 0, 1, y]
            q[0, 1, y] += mixed[J, 0, y] * state[t, at, 0, 0, y] - mixed[J, 1, y] * state[t, at, 1, 0, y]
            q[1, 1, y] += mixed[J, 0, y] * state[t, at, 1, 0, y] + mixed[J, 1, y] * state[t, at, 0, 0, y]
        if J < nx - 1:
            right, hop = tile_index(I, J + 1, T), hops[J]
            for c in range(2):
                for s in range(2):
                    for y in range(ny):
                        q[c, s, y] -= hop * state[right, at, c, s, y]
        for c in range(2):
            for s in range(2):
                for y in range(ny - 1):
                    q[c, s, y] -= across * state[t, at, c, s, y + 1]
                for y in range(ny - 1):
                    q[c, s, y + 1] -= across * state[t, at, c, s, y]
                if periodic and ny > 1:
                    q[c, s, 0] -= across * state[t, at, c, s, ny - 1]
                    q[c, s, ny - 1] -= across * state[t, at, c, s, 0]
        for lead in range(len(ends)):
            if ends[lead] == J:
                for s in range(2):
                    for y in range(ny):
                        q[0, s, y] += V[0, lead, I, at, 1, s, y]
                        q[1, s, y] -= V[0, lead, I, at, 0, s, y]
    else:
        lead = (J - nx) // kept
        weight = g[lead, (J - nx) % kept]
        re, im = weight.real, -weight.imag
        for s in range(2):
            for y in range(ny):
                q[0, s, y] -= re * V[1, lead, I, at, 1, s, y] + im * V[1, lead, I, at, 0, s, y]
                q[1, s, y] += re * V[1, lead, I, at, 0, s, y] - im * V[1, lead, I, at, 1, s, y]


@njit(cache=True, nogil=True, fastmath=True)
def advance_row(q, t, at, y0, total, new, mode, b, c):
    """With k = i q: total += b k and new = y0 + c k; in the first stage (mode 0) total = y0 + b k, in the last (2) no new."""
    ny = q.shape[2]
    for s in range(2):
        if mode == 0:
            for y in range(ny):
                total[t, at, 0, s, y] = y0[t, at, 0, s, y] - b * q[1, s, y]
                total[t, at, 1, s, y] = y0[t, at, 1, s, y] + b * q[0, s, y]
        else:
            for y in range(ny):
                total[t, at, 0, s, y] -= b * q[1, s, y]
                total[t, at, 1, s, y] += b * q[0, s, y]
        if mode != 2:
            for y in range(ny):
                new[t, at, 0, s, y] = y0[t, at, 0, s, y] - c * q[1, s, y]
                new[t, at, 1, s, y] = y0[t, at, 1, s, y] + c * q[0, s, y]


@njit(cache=True, nogil=True, fastmath=True)
def pass_over(
    first, last, y0, state, total, new, mode, b, c, T, nx, ends, kept, zeta, mixed, hops, across, periodic, g, V, W
):
    """Tiles first ... last - 1 in a stage with k = dR/dt of `state`, see `advance_row`.

    Arrays of the state: (tiles, n, 2, 2, ny).  zeta, mixed: as `diagonal` fills them; hops: (nx - 1,); across, periodic:
    hopping along y, and whether the last y is bound to the first; g: (leads, kept); V, W: as `gather` leaves them.
    """
    n, ny = state.shape[1], state.shape[4]
    half = np.empty((n, 2, 2, ny))
    q = np.empty((2, 2, ny))
    I = row_of(first, T)
    J = first - tile_index(I, 0, T)
    for t in range(first, last):
        if I == J:
            for at in range(n):
                change_of_row(
                    half[at], t, at, I, J, True, False, state, T, nx, ends, kept, zeta, mixed, hops, across, periodic, g, V, W
                )
            for at in range(n):
                sa, ya = at // ny, at % ny
                for other in range(at + 1):
                    s, y = other // ny, other % ny
                    # k = i (half - half^+) is Hermitian to the last bit.
                    re = half[at, 0, s, y] - half[other, 0, sa, ya]
                    im = half[at, 1, s, y] + half[other, 1, sa, ya]
                    half[at, 0, s, y], half[at, 1, s, y] = re, im
                    half[other, 0, sa, ya], half[other, 1, sa, ya] = -re, im
                half[at, 0, sa, ya] = 0.0
            for at in range(n):
                advance_row(half[at], t, at, y0, total, new, mode, b, c)
        else:
            for at in range(n):
                change_of_row(
                    q, t, at, I, J, True, True, state, T, nx, ends, kept, zeta, mixed, hops, across, periodic, g, V, W
                )
                advance_row(q, t, at, y0, total, new, mode, b, c)
        J += 1
        if J == min(I + 1, T):
            I, J = I + 1, 0
