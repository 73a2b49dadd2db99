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
        lead, i = item // rows, item % rows
        end, start = ends[lead], nx + lead * kept
        poles = T + lead * n_poles
        # the sum over the exponents
        flipped[:] = 0.0
        total[:] = 0.0
        if i < T:
            for k in range(kept):
                if start + k >= i:
                    add_flat(flipped.reshape(-1), state[tile_index(start + k, i, T)].reshape(-1))
            for p in range(n_poles):
                add_flat(flipped.reshape(-1), state[tile_index(poles + p, i, T)].reshape(-1))
            add_adjoint(total, flipped)
        for k in range(kept):
            if start + k < i:
                add_flat(total.reshape(-1), state[tile_index(i, start + k, T)].reshape(-1))
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
            W[0, lead, i] = 0.0
            add_adjoint(W[0, lead, i], product)
        # the slice at the end
        if i < end:
            total[:] = 0.0
            add_adjoint(total, state[tile_index(end, i, T)])
        else:
            total[:] = state[tile_index(i, end, T)]
        product = V[1, lead, i]
        np.dot(total.reshape(4 * n, ny), modes[1], product.reshape(4 * n, ny))
        if i < start + kept:
            W[1, lead, i] = 0.0
            add_adjoint(W[1, lead, i], product)


@njit(cache=True, nogil=True, fastmath=True)
def add_green(tile, w, G, transposed):
    """tile -= w G + (w transposed)^+; tile: (n, 2, n), the others (n, n), w complex."""
    for a in range(len(tile)):
        for b in range(len(tile)):
            change = w * G[a, b] + (w * transposed[b, a]).conjugate()
            tile[a, 0, b] -= change.real
            tile[a, 1, b] -= change.imag
