"""Kernels that read densities, flows and energy from the tiles of `real_time_tiles`; beside them those of rows."""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import njit


@njit(cache=True, nogil=True)
def index(i, j, T):
    """Index of the tile of row i and column j <= i; T: columns."""
    return i * (i + 1) // 2 + j if i < T else T * (T + 1) // 2 + (i - T) * T + j


@njit(cache=True, nogil=True)
def traced(state, nx, T):
    """Tr[rho_i (1, sigma)] of each site, (nx, ny, 4); state: (tiles, n, 2, n)."""
    ny = state.shape[1] // 2
    out = np.empty((nx, ny, 4))
    for x in range(nx):
        tile = state[index(x, x, T)]
        for y in range(ny):
            up, down = tile[y, 0, y], tile[ny + y, 0, ny + y]
            out[x, y, 0] = up + down
            out[x, y, 1] = 2 * tile[ny + y, 0, y]
            out[x, y, 2] = 2 * tile[ny + y, 1, y]
            out[x, y, 3] = up - down
    return out


@njit(cache=True, nogil=True)
def exchanged(state, nx, T, modes, ends, z, poles):
    """For each lead <c|phi_c> summed over exponents and modes, (leads, 2, 2) [spin, spin], and its trace with z^*.

    state: (tiles, n, 2, n); modes: U^T, (ny, ny); ends: slices of the leads; z: (leads, kept, ny), poles: (leads, p).
    """
    leads, kept, ny = z.shape
    n_poles = poles.shape[1]
    out, weighted = np.zeros((leads, 2, 2), np.complex128), np.zeros(leads, np.complex128)
    for lead in range(leads):
        for k in range(kept + n_poles):
            row = nx + lead * kept + k if k < kept else T + lead * n_poles + k - kept
            tile = state[index(row, ends[lead], T)]  # the adjoint of phi
            for other in range(2):
                for mode in range(ny):
                    turn = z[lead, k, mode] if k < kept else poles[lead, k - kept]
                    for s in range(2):
                        re = im = 0.0
                        for y in range(ny):
                            re += modes[mode, y] * tile[other * ny + mode, 0, s * ny + y]
                            im -= modes[mode, y] * tile[other * ny + mode, 1, s * ny + y]
                        out[lead, s, other] += complex(re, im)
                        if s == other:
                            weighted[lead] += turn.conjugate() * complex(re, im)
    return out, weighted


@njit(cache=True, nogil=True)
def own_energy(state, T, m, potential, onsite, sd_exchange, hops, across, periodic):
    """Tr[rho H] of the device; arguments as those of `real_time_rows.derivative`, state: (tiles, n, 2, n)."""
    nx, ny = potential.shape
    total = 0.0
    for x in range(nx):
        tile = state[index(x, x, T)]
        for y in range(ny):
            up, down = tile[y, 0, y], tile[ny + y, 0, ny + y]
            total += (onsite + potential[x, y]) * (up + down) - sd_exchange * m[x, y, 2] * (up - down)
            total -= 2 * sd_exchange * (m[x, y, 0] * tile[ny + y, 0, y] + m[x, y, 1] * tile[ny + y, 1, y])
            for s in range(2):
                at = s * ny + y
                if x < nx - 1:
                    total -= 2 * hops[x] * state[index(x + 1, x, T), at, 0, at]
                if ny > 1 and (y < ny - 1 or periodic):
                    total -= 2 * across * tile[at, 0, s * ny + (y + 1) % ny]
    return total
