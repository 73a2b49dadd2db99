"""Long wires between leads whose voltages change: what `moving_leads.py` integrates over real energies, by blocks.

On the sites of the device all of it is of the form 2 Re[g A g^+ + g' C g^+] with the columns g of G at the end sites of
the wire, g' = dg/dE = -G (1 - dSigma/dE) g, and matrices A and C of blocks of G between these ends, and so of the whole
wire.  As products of amplitudes they are handed down to its blocks (`wire_blocks.py`), where g' is known besides g.
Flows into the leads need the sites at the ends alone, which follow from the blocks between these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .lead_columns import Columns, LeadColumns, Slice, adjoint
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats, Sweeps
from .window import Window
from .wire_blocks import WireBlocks

# See `long_wires.py`.
_GROWTH, _ATTEMPTS = 1e3, 3


class ByBlocks(NamedTuple):
    """Integrals for a unit rate of either lead, (2, size), as `Columns.observed` has them.

    states: of all states that leads fill, with each factor of the window, traced: (w, n, 4).
    """

    moved: Floats
    states: Floats


def integrated(
    columns: Columns,
    sweeps: Sweeps,
    window: Window,
    leads: tuple[int, ...],
    *,
    of_slope: bool,
    warm: bool,
    lost: Callable[[Floats], float],
) -> ByBlocks:
    """Integrals of `Columns.surface` for one lead (of_slope), or of `Columns.biased` for both, over `window`.

    leads: for each factor the lead whose states it fills; warm: whether narrow levels count where factors are small;
    lost: what `ByBlocks.states` miss of known ones.  Raises ToleranceError where they miss more than the tolerance.
    """
    device, share, missed = sweeps.device, 1.0, np.inf
    if not window.stretches:
        raise ToleranceError("no lead has states there")
    for _ in range(_ATTEMPTS):
        given = device, sweeps.blocks, window, sweeps.counter, share * device.tolerance, None, 4
        tree = WireBlocks(*given, widths=warm or share < 1, evenly=share < 1)
        found = _Integrals(columns, tree, leads, of_slope).all()
        missed = lost(found.states)
        largest = float(abs(found.moved).max()) / (2 * np.pi)
        needed = tree.usual / max(tree.usual, largest) * min(1.0, _GROWTH / tree.growth)
        if missed <= device.tolerance and needed >= 0.5 * share:
            return found
        share = min(1e-2 * share if missed > device.tolerance else share, needed)
    raise ToleranceError(f"{missed:.1e} of the states in a long wire are not found, {device.tolerance:.1e} is allowed")


class _Integrals:
    def __init__(self, columns: Columns, tree: WireBlocks, leads: tuple[int, ...], of_slope: bool) -> None:
        self._columns, self._tree, self._leads, self._of_slope = columns, tree, leads, of_slope
        self._ends = _Ends(columns, tree)
        self._weights = np.concatenate([one.weights for one in tree.top.panels], axis=1)

    def all(self) -> ByBlocks:
        """The integrals."""
        columns, tree, ends = self._columns, self._tree, self._ends
        energies, n = tree.top.energies, self._columns.nx
        gammas = [ends.widths(energies, k)[0][:, 0] for k in range(2)]
        moved, states = np.zeros((2, columns.size)), np.zeros((len(self._weights), n, 4))
        for m in columns.connected:
            A, C = np.zeros((2, len(energies), 4, 4), complex)
            for w, k in zip(self._weights, self._leads, strict=True):
                a, c = self._coefficients(k, m)
                A += w[:, None, None] * a
                C += w[:, None, None] * c
                flows = ends.surface_at(energies, k) if self._of_slope else ends.biased_at(energies)[:, k]
                moved[m, 4 * n :] += w @ flows[:, 1 + m, ends.size - (columns.size - 4 * n) :]
            first = m == columns.connected[0]
            plain = [A + adjoint(A)]
            if first:
                everything = np.zeros_like(A)
                for k, gamma in enumerate(gammas):
                    everything[:, 2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = gamma
                plain += [w[:, None, None] * everything for w in self._weights]
            given = np.zeros((len(energies), 1, len(plain) + 3, 4, 4), complex)
            given[:, 0, : len(plain)] = np.stack(plain, axis=1)
            # g' = -P_X/(dE/dx), and what is handed down gives 2 Im.
            given[:, 0, len(plain) + 1] = -1j * C / tree.top.slopes[:, None, None]
            still, change, _ = tree.descended(given, len(plain), False)
            moved[m, : 4 * n] = (still[0] + change).ravel()
            if first:
                states = still[1:]
        return ByBlocks(moved, states)

    def _coefficients(self, k: int, m: int) -> tuple[Blocks, Blocks]:
        """A and C of the states from lead k for a unit rate of lead m, (n, 4, 4) each, index 2 end + spin."""
        energies = self._tree.top.energies
        (gamma, d_gamma), found = (one[:, 0] for one in self._ends.widths(energies, k)), self._ends.found
        shape = len(energies), 2, 2
        through, to_slope, to_column = np.zeros((3, *shape), complex)
        for one, (R, dR) in zip(found.ends[m], self._ends.relations(m), strict=True):
            at, d_at = one.times(found.column(k)[:, one.at]), one.times(found.slope(k)[:, one.at])
            through += R @ at
            to_slope += 0.5j * R @ at
            to_column += 0.5j * (dR @ at - R @ d_at)
        A, C = np.zeros((2, len(energies), 4, 4), complex)
        on_m, on_k = slice(2 * m, 2 * m + 2), slice(2 * k, 2 * k + 2)
        if self._of_slope:
            A[:, on_m, on_k] += -0.5j * through @ gamma
            if m == k:
                C[:, on_k, on_k] += -0.5j * gamma
            return A, C
        A[:, on_m, on_k] += to_column @ gamma - 0.5j * through @ d_gamma
        C[:, on_m, on_k] += to_slope @ gamma
        # g_m X g_k'^+ has the same traces as g_k' X^+ g_m^+.
        C[:, on_k, on_m] += adjoint(-0.5j * through @ gamma)
        if m == k:
            C[:, on_k, on_k] += -0.5j * d_gamma
        return A, C


class _Ends(Columns):
    """The sites of the leads and the ends of the device alone, at the energies of the whole wire."""

    def __init__(self, columns: Columns, tree: WireBlocks) -> None:
        self.__dict__.update(columns.__dict__)
        self._whole, self._tree = columns, tree
        depth = columns.depth
        self.nx = 2 * (depth + 1)
        self.size = 4 * self.nx + columns.size - 4 * columns.nx
        self.into = list(range(depth, -1, -1)), list(range(depth + 1, self.nx))
        self.ends = (0, self.nx - 1)
        self.found = self._found()

    def _bond(self, side: int) -> int:
        return self._whole._bond(side)

    def at(self, z: Blocks, with_rows: bool = False) -> LeadColumns:
        """At all energies of the whole wire."""
        return self.found

    def surface_at(self, energies: Floats, k: int) -> Floats:
        """`Columns.surface` of these sites."""
        return self._surface(energies, k)

    def biased_at(self, energies: Floats) -> Floats:
        """`Columns.biased` of these sites."""
        return self._biased(energies)

    def relations(self, m: int) -> list[tuple[Blocks, Blocks]]:
        """R and dR/dE, with which the columns of the moving slices of lead m are g_m R on the sites of the device."""
        one = np.broadcast_to(np.eye(2, dtype=complex), (len(self._tree.top.energies), 2, 2))
        found = [(one, 0 * one)]
        if self.depth > 1:
            a, da = self._on_end[m]
            hop = self.device.hops[0 if m == 0 else -1]
            found.append((-a / hop, -da / hop))
        return found

    def _found(self) -> LeadColumns:
        top, hops, h = self._tree.top, self.device.hops, self.h
        energies = top.energies.astype(complex)
        n, depth, one = len(energies), self.depth, np.eye(2)
        sigma, slope = self._leads_at(energies)
        G = top.ends[:, 0, 0].reshape(n, 2, 2, 2, 2)
        dG = -top.ends[:, 0, 2].reshape(n, 2, 2, 2, 2) / top.slopes[:, None, None, None, None]
        E = energies[:, None, None] * one
        self._on_end = [(E - h[i] - sigma[side], one - slope[side]) for side, i in enumerate((0, -1))]
        ends = []
        for k in range(2):
            column, d_column = np.zeros((2, n, self.nx, 2, 2), complex)
            for side in range(2):
                order = list(range(depth + 1)) if side == 0 else list(range(self.nx - 1, depth, -1))
                sites = range(depth + 1) if side == 0 else range(-1, -depth - 2, -1)
                bonds = range(depth) if side == 0 else range(-1, -depth - 1, -1)
                (a, da), first, second = self._on_end[side], order[0], order[1]
                column[:, first], d_column[:, first] = G[:, side, :, k], dG[:, side, :, k]
                # From the equations of the sites one after the other.
                hop = hops[bonds[0]]
                column[:, second] = ((one if side == k else 0) - a @ column[:, first]) / hop
                d_column[:, second] = -(da @ column[:, first] + a @ d_column[:, first]) / hop
                for j in range(1, depth):
                    here, before, after = order[j], order[j - 1], order[j + 1]
                    back, hop, a_here = hops[bonds[j - 1]], hops[bonds[j]], E - h[sites[j]]
                    column[:, after] = -(back * column[:, before] + a_here @ column[:, here]) / hop
                    change = back * d_column[:, before] + column[:, here] + a_here @ d_column[:, here]
                    d_column[:, after] = -change / hop
            nothing = column[:, :1]
            slices = [Slice(self.ends[k], column, d_column, nothing, nothing, one - slope[k])]
            if depth > 1 and k in self.connected:
                slices.append(self._next_to(k, slices[0], *self._on_end[k], False))
            ends.append(slices)
        return LeadColumns((ends[0], ends[1]))
