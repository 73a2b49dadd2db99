"""Kernels of electrons in real time for chains and small lattices: the state as rows, one row after the other.

The state Y = [R | X] and the order of its rows and columns are those of `real_time.RealTime`.  With the matrix A of
that page, K = A Y is made row by row, each a sum of few other rows; dR/dt is then K + K^+ on the square part.
"""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import njit


@njit(cache=True, nogil=True, fastmath=True)
def add_row(out, c, row):
    """out += c row."""
    for j in range(out.size):
        out[j] += c * row[j]


@njit(cache=True, nogil=True, fastmath=True)
def derivative(Y, blocks, hops, across, periodic, vectors, ends, z, g, a, poles, b, shifts, out):
    """out = dY/dt.

    Y, out: (D, D + E).  blocks: of H on the sites, (nx, ny, 2, 2); hops: hopping of each bond along x, (nx - 1,);
    across, periodic: hopping along y, and whether the last y is bound to the first.  vectors: transverse modes in
    columns, (ny, ny).  For each of the leads: ends: its slice; z, a: (leads, k, ny), g: (leads, k), poles: (leads, p),
    b: (leads, p, ny), as in `Reservoir`; shifts: voltage.
    """
    nx, ny = blocks.shape[0], blocks.shape[1]
    leads, kept = g.shape
    n_poles = poles.shape[1]
    n = 2 * ny
    D, width = Y.shape
    out[:] = 0.0
    # H on the sites
    for x in range(nx):
        for s in range(2):
            for y in range(ny):
                row = out[x * n + s * ny + y]
                for other in range(2):
                    h = blocks[x, y, s, other]
                    if h != 0:
                        add_row(row, -1j * h, Y[x * n + other * ny + y])
                if x > 0:
                    add_row(row, 1j * hops[x - 1], Y[(x - 1) * n + s * ny + y])
                if x < nx - 1:
                    add_row(row, 1j * hops[x], Y[(x + 1) * n + s * ny + y])
                if y > 0 or (periodic and ny > 1):
                    add_row(row, 1j * across, Y[x * n + s * ny + (y - 1) % ny])
                if y < ny - 1 or (periodic and ny > 1):
                    add_row(row, 1j * across, Y[x * n + s * ny + (y + 1) % ny])
    # between the leads' slices and their channels
    total = np.empty(width, np.complex128)
    for lead in range(leads):
        first, end = nx * n + lead * kept * n, ends[lead] * n
        for s in range(2):
            for mode in range(ny):
                total[:] = 0.0
                for k in range(kept):
                    add_row(total, 1.0 + 0.0j, Y[first + k * n + s * ny + mode])
                for p in range(n_poles):
                    column = D + (lead * n_poles + p) * n + s * ny + mode
                    for j in range(D):
                        total[j] += Y[j, column].conjugate()
                # The source: half of it here, the other half is the adjoint.
                for k in range(kept):
                    total[first + k * n + s * ny + mode] += a[lead, k, mode].conjugate()
                for p in range(n_poles):
                    total[D + (lead * n_poles + p) * n + s * ny + mode] += b[lead, p, mode].conjugate()
                for y in range(ny):
                    add_row(out[end + s * ny + y], vectors[y, mode] + 0.0j, total)
                total[:] = 0.0
                for y in range(ny):
                    add_row(total, vectors[y, mode] + 0.0j, Y[end + s * ny + y])
                for k in range(kept):
                    row = out[first + k * n + s * ny + mode]
                    add_row(row, -g[lead, k], total)
                    add_row(row, -1j * (z[lead, k, mode] + shifts[lead]), Y[first + k * n + s * ny + mode])
    # the columns of the poles turn with their energy
    for lead in range(leads):
        for p in range(n_poles):
            turn = 1j * (poles[lead, p].conjugate() + shifts[lead])
            first = D + (lead * n_poles + p) * n
            for i in range(D):
                for j in range(first, first + n):
                    out[i, j] += turn * Y[i, j]
    # and the square part gets the adjoint
    for i in range(D):
        out[i, i] = 2 * out[i, i].real
        for j in range(i):
            value = out[i, j] + out[j, i].conjugate()
            out[i, j] = value
            out[j, i] = value.conjugate()
