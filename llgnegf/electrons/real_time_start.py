"""The start of electrons in real time as tiles: `RealTime.at_rest` without inverses of the whole lattice.

Of a lattice, whose Hamiltonian is block-tridiagonal, each block of G follows from its neighbour with one product,

    G[i, j] = -t gR[i] G[i-1, j],    G[j, i] = -t G[j, i-1] gR[i],    i > j,
    gR[i] = (zeta - H[i] - t^2 gR[i+1])^-1,    G[j, j] = (zeta - H[j] - t^2 gL[j-1] - t^2 gR[j+1])^-1,

gL and gR being G of the lattice from one end up to a slice, its lead included.  No more than a few blocks of G are kept
at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .real_time_bias import BiasedStart
from .real_time_gather import add_green, tile_index
from .real_time_layout import TileLayout, aligned
from .threads import each

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]


def at_rest(tiles: TileLayout, m: Real, potential: Real) -> Real:
    """The state of `tiles` at rest at moments m (*s, 3) and gates `potential` (*s,)."""
    return _Start(tiles, m, potential).state


class _Start:
    """The state, made pole after pole, and then among the exponents."""

    def __init__(self, tiles: TileLayout, m: Real, potential: Real) -> None:
        self.tiles, self.rule = tiles, tiles.electrons.rule
        self.state = aligned(tiles.shape)
        self.state[...] = 0.0
        self.H = tiles.electrons.slices(m, potential)
        leads, nx, n = tiles.leads, tiles.nx, tiles.n
        # Of each lead with its slice e: G[j, e]^+ and G[e, j], in the transverse modes of the rows.
        self.at_ends = np.empty((leads, nx, 2, n, n), complex)
        rules = tiles.electrons.lead_rules
        self.biased = [lead for lead, (one, _) in enumerate(rules) if one is not self.rule]
        for p in range(len(self.rule.nodes)):
            self._add_pole(p)
        for x in range(nx):
            tile = self.state[tile_index(x, x, tiles.columns)]
            tile[np.arange(n), 0, np.arange(n)] += self.rule.constant
            _make_hermitian(tile)
        if self.biased:
            self._add_bias(m, potential)
        self._exponents()

    def _in_modes(self, block: Complex) -> Complex:
        """U^+ times a block (n, n)."""
        return np.matmul(self.tiles.modes[0], block.reshape(2, self.tiles.ny, -1)).reshape(block.shape)

    def _add_pole(self, p: int) -> None:
        """What the pole p of the Fermi function adds to rho and phi, and X of the sites."""
        tiles, nx = self.tiles, self.tiles.nx
        zeta, w = complex(self.rule.nodes[p]), complex(self.rule.weights[p])
        own = zeta * np.eye(tiles.n) - self.H
        for one, _ in tiles.electrons.reservoirs:
            U = tiles.modes[1]
            sigma = (U * one.self_energy(zeta)) @ U.T
            own[one.site] -= np.kron(np.eye(2), sigma)
        partial_right, partial_left = each(
            lambda side: _partial(own, tiles.hops) if side else _partial(own[::-1], tiles.hops[::-1])[::-1], [1, 0]
        )

        def column(j: int) -> None:
            inverse = own[j].copy()
            if j > 0:
                inverse -= tiles.hops[j - 1] ** 2 * partial_left[j - 1]
            if j < nx - 1:
                inverse -= tiles.hops[j] ** 2 * partial_right[j + 1]
            G = transposed = np.linalg.inv(inverse)  # G[i, j] and G[j, i]
            for i in range(j, nx):
                if i > j:
                    G = -tiles.hops[i - 1] * (partial_right[i] @ G)
                    transposed = -tiles.hops[i - 1] * (transposed @ partial_right[i])
                add_green(self.state[tile_index(i, j, tiles.columns)], w, G, transposed)
                for lead, end in enumerate(tiles.ends):
                    if end == i:
                        self.at_ends[lead, j] = self._in_modes(transposed.conj().T), self._in_modes(G)
                    elif end == j:
                        self.at_ends[lead, i] = self._in_modes(G.conj().T), self._in_modes(transposed)

        each(column, range(nx))
        each(
            lambda where: self._add_to_memory(p, zeta, w, *where),
            [(lead, j) for lead in range(tiles.leads) for j in range(nx)],
        )

    def _add_to_memory(self, p: int, zeta: complex, w: complex, lead: int, j: int) -> None:
        tiles, T = self.tiles, self.tiles.columns
        advanced, retarded = self.at_ends[lead, j]  # (U^+ G[j, end]^+) and U^+ G[end, j]
        for k in range(tiles.kept):
            z, g = np.tile(tiles.z[lead, k], 2)[:, None], tiles.g[lead, k]
            change = 1j * g * (w.conjugate() / (zeta.conjugate() - z) * advanced + w / (zeta - z) * retarded)
            _add(self.state[tile_index(tiles.nx + lead * tiles.kept + k, j, T)], change)
        if lead not in self.biased:
            self._put_pole(p, lead, j, advanced)

    def _put_pole(self, p: int, lead: int, j: int, advanced: Complex) -> None:
        """X of the sites of slice j, of a pole of this lead; advanced: U^+ G[j, end]^+ at the pole."""
        tiles = self.tiles
        change = -1j * np.tile(tiles.b[lead, p], 2)[:, None] * advanced
        _add(self.state[tile_index(tiles.columns + lead * tiles.n_poles + p, j, tiles.columns)], change)

    def _add_bias(self, m: Real, potential: Real) -> None:
        """What leads with Fermi functions of their own have more or less than the device, and their poles."""
        tiles, nx, n, T = self.tiles, self.tiles.nx, self.tiles.n, self.tiles.columns
        start = BiasedStart(tiles.electrons, m, potential)
        for lead in self.biased:
            zeta = tiles.electrons.lead_rules[lead][0].nodes
            for p, column in enumerate(start.columns(lead, zeta)):
                for j, block in enumerate(column.reshape(nx, n, n)):
                    self._put_pole(p, lead, j, self._in_modes(block.conj().T))
        orbitals, exponents = nx * n, tiles.leads * tiles.kept * n
        rho, phi = np.zeros((orbitals, orbitals), complex), np.zeros((orbitals, exponents), complex)
        start.add(rho, phi)
        for i in range(nx):
            rows = slice(i * n, (i + 1) * n)
            for j in range(i + 1):
                tile = self.state[tile_index(i, j, T)]
                _add(tile, rho[rows, j * n : (j + 1) * n])
                if i == j:
                    _make_hermitian(tile)
            for k in range(tiles.leads * tiles.kept):
                _add(self.state[tile_index(nx + k, i, T)], phi[rows, k * n : (k + 1) * n].conj().T)

    def _exponents(self) -> None:
        """Omega, and X in the columns of the exponents."""
        tiles, T, nx, kept = self.tiles, self.tiles.columns, self.tiles.nx, self.tiles.kept
        # R[i, end] U of the rows i of exponents and poles: <c|phi_b>^* and <c|X_b>^* with b in the rows.
        met = np.empty((tiles.leads, tiles.rows - nx, tiles.n, tiles.n), complex)
        for lead, end in enumerate(tiles.ends):
            for i in range(nx, tiles.rows):
                tile = self.state[tile_index(i, end, T)]
                block = (tile[:, 0] + 1j * tile[:, 1]).reshape(-1, tiles.ny)
                met[lead, i - nx] = (block @ tiles.modes[1]).reshape(tiles.n, tiles.n)
        z = np.tile(tiles.z, (1, 1, 2)).reshape(-1, tiles.n)
        for j in range(nx, T):
            column_lead, column = divmod(j - nx, kept)
            z_b, g_b = z[j - nx].conj(), tiles.g[column_lead, column].conjugate()
            for i in range(j, T):
                lead, k = divmod(i - nx, kept)
                half = tiles.g[lead, k] * met[lead, j - nx].conj().T + g_b * met[column_lead, i - nx]
                tile = self.state[tile_index(i, j, T)]
                _add(tile, half / (1j * (z_b - z[i - nx][:, None])))
                if i == j:
                    _make_hermitian(tile)
            for i in range(T, tiles.rows):
                zeta = tiles.poles[divmod(i - T, tiles.n_poles)]  # conjugated
                _add(self.state[tile_index(i, j, T)], 1j * g_b / (zeta - z_b) * met[column_lead, i - nx])


def _partial(own: Complex, hops: Real) -> Complex:
    """G of the lattice from its end up to each slice, (nx, n, n): own holds zeta - H - Sigma of the slices."""
    out = np.empty_like(own)
    out[-1] = np.linalg.inv(own[-1])
    for x in range(len(own) - 2, -1, -1):
        out[x] = np.linalg.inv(own[x] - hops[x] ** 2 * out[x + 1])
    return out


def _add(tile: Real, block: Complex) -> None:
    tile[:, 0] += block.real
    tile[:, 1] += block.imag


def _make_hermitian(tile: Real) -> None:
    """Average of a tile and its adjoint, equal to the last bit."""
    tile[:, 0] = (tile[:, 0] + tile[:, 0].T) / 2
    tile[:, 1] = (tile[:, 1] - tile[:, 1].T) / 2
