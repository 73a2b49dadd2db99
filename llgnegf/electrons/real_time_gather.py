"""Kernels of tiles of electrons in real time: what a stage needs beside them, and G in the equilibrium at the start.

Names as in `real_time_stage`.
"""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import njit


@njit(cache=True, nogil=True)
def tile_index(i, j, T):
    """Index of the tile of row i and column j <= i; T: columns."""
    return i * (i + 1) // 2 + j if i < T else T * (T + 1) // 2 + (i - T) * T + j


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


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def add_four(total, one, two, three, four):
    """total += one + two + three + four, (m,)."""
    for j in range(len(total)):
        total[j] += (one[j] + two[j]) + (three[j] + four[j])


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def add_one(total, one):
    """total += one, (m,)."""
    for j in range(len(total)):
        total[j] += one[j]


@njit(cache=True, nogil=True)
def sum_tiles(numbers, which, total):
    """total = the sum of these tiles; numbers: (tiles, m), total: (m,)."""
    total[:] = 0.0
    first = len(which) % 4
    for k in range(first):
        add_one(total, numbers[which[k]])
    for k in range(first, len(which), 4):
        add_four(total, numbers[which[k]], numbers[which[k + 1]], numbers[which[k + 2]], numbers[which[k + 3]])


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def put_adjoint(to, tile):
    """to = tile^+."""
    ny = to.shape[3]
    for sa in range(2):
        for ya in range(ny):
            for s in range(2):
                for y in range(ny):
                    to[sa * ny + ya, 0, s, y] = tile[s * ny + y, 0, sa, ya]
                    to[sa * ny + ya, 1, s, y] = -tile[s * ny + y, 1, sa, ya]


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
    numbers = state.reshape(len(state), -1)
    total = np.empty((n, 2, 2, ny))
    flipped = np.empty((n, 2, 2, ny))
    which = np.empty(kept + n_poles, np.int64)
    for item in range(first, last):
        lead, i = item // rows, item % rows
        end, start = ends[lead], nx + lead * kept
        poles = T + lead * n_poles
        # The sum over the exponents: of the tiles below the row first, since the others are adjoints.
        if i < T:
            count = 0
            for k in range(kept):
                if start + k >= i:
                    which[count] = tile_index(start + k, i, T)
                    count += 1
            for p in range(n_poles):
                which[count] = tile_index(poles + p, i, T)
                count += 1
            sum_tiles(numbers, which[:count], flipped.reshape(-1))
            put_adjoint(total, flipped)
        else:
            total[:] = 0.0
        count = 0
        for k in range(kept):
            if start + k < i:
                which[count] = tile_index(i, start + k, T)
                count += 1
        if count > 0:
            sum_tiles(numbers, which[:count], flipped.reshape(-1))
            add_one(total.reshape(-1), flipped.reshape(-1))
        if start <= i < start + kept:
            for s in range(2):
                for y in range(ny):
                    total[s * ny + y, 0, s, y] += a[lead, i - start, y].real
                    total[s * ny + y, 1, s, y] += a[lead, i - start, y].imag
        if poles <= i < poles + n_poles:
            for s in range(2):
                for y in range(ny):
                    total[s * ny + y, 0, s, y] += b[lead, i - poles, y].real
                    total[s * ny + y, 1, s, y] += b[lead, i - poles, y].imag
        product = V[0, lead, i]
        np.dot(total.reshape(4 * n, ny), modes[0], product.reshape(4 * n, ny))
        if i <= end:
            put_adjoint(W[0, lead, i], product)
        # the slice at the end
        product = V[1, lead, i]
        if i < end:
            put_adjoint(total, state[tile_index(end, i, T)])
            np.dot(total.reshape(4 * n, ny), modes[1], product.reshape(4 * n, ny))
        else:
            np.dot(state[tile_index(i, end, T)].reshape(4 * n, ny), modes[1], product.reshape(4 * n, ny))
        if i < start + kept:
            put_adjoint(W[1, lead, i], product)


@njit(cache=True, nogil=True, fastmath=True)
def add_green(tile, w, G, transposed):
    """tile -= w G + (w transposed)^+; tile: (n, 2, n), the others (n, n), w complex."""
    for a in range(len(tile)):
        for b in range(len(tile)):
            change = w * G[a, b] + (w * transposed[b, a]).conjugate()
            tile[a, 0, b] -= change.real
            tile[a, 1, b] -= change.imag
