"""Integrals over energy of scattering states in a long wire, with work and memory in proportion to its length.

Waves that run to the ends of a wire and come back interfere there: densities oscillate with the energy the faster the
longer it is, so that the number of energies grows with the length, and on each of them all sites had to be passed.  But
a short piece of the wire, with absorbing ends, varies slowly.  So the wire is cut into blocks (`wire_kernels.py`),
which are evaluated at few energies.  Two neighbours are joined at more energies, for which polynomials serve what was
evaluated, then two pairs, and so on to the whole wire, for which an energy is a few products of 4 x 4 matrices.  From
there products of the amplitudes on the ends of blocks, a a^+ with the weights of the integral, are handed down again:
they are needed only as integrals with the polynomials of the next smaller blocks.

A level of the tree has half as many blocks as the one below and about twice as many energies: n sites are n log n work.

On each level panels of 15 energies are halved until the last Legendre coefficients of densities on the ends of all
blocks, and inside where they were joined, are small.  Panels of one level lie inside those of the level below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .counter import Counter
from .green import smallest_widths
from .modes import chain_self_energy
from .quadrature import KRONROD_NODES, ToleranceError
from .system import System
from .threads import spread
from .window import Panel, Window, to_polynomials
from .wire_kernels import block_densities, block_ends, hand_down, join

Floats = NDArray[np.float64]
Blocks = NDArray[np.complex128]

# Blocks have at least this number of sites: then one passes them as often as pairs of them are joined.
_SITES = 16
# Panels are halved until this share of the tolerance is met, on every level of the tree.
_SHARE = 1 / 8
_ROUNDING = 1e-12
# Energies on one level, and for each site of a long wire: memory for one is about that of 20 sites.
_MOST_ENERGIES, _MOST_PER_SITE = 40_000, 40
_N = len(KRONROD_NODES)
# Panels whose values are in memory at once, but for what is kept.
_PANELS_AT_ONCE = 64
# A vector of amplitudes that favours no end, no spin and no phase: densities of such waves are judged.
_PROBE = np.array([0.6 + 0.3j, -0.2 + 0.7j, 0.5 - 0.5j, -0.4 - 0.6j])
# Next to a level ln |det (E - H - Sigma)| is ln |E - level|, however narrow it is: up to this error it has to be smooth
# where the widths at so many energies of each stretch, which may be too large by the margin, are below this share of
# the spacing of nodes.
_SMOOTH, _WIDTH_SAMPLES, _MARGIN, _WIDE = 1e-3, 31, 4, 0.25
# Share of the tolerance that the response of one level may be and not count.
_NOTHING = 1e-3

# A panel is (stretch, k, j): the j-th of 2^k equal parts in x.
Place = tuple[int, int, int]


@lru_cache(maxsize=256)
def _interpolation(depth: int, part: int) -> Floats:
    """(15, 15): values at the nodes of the `part`-th of 2^depth parts of a panel, from those at its own nodes."""
    at = -1 + (2 * part + 1 + KRONROD_NODES) / 2**depth
    return np.asarray(np.polynomial.legendre.legvander(at, _N - 1) @ to_polynomials()[0])


@dataclass
class _Level:
    """Blocks of one level: first sites (m + 1,), panels in increasing energy, and on their nodes, one after the other,
    `ends` (n, m, words, 4, 4), `logs` (n, m), ln |det| but for a constant, and, but for the lowest level, `inner`
    (`wire_kernels.join`)."""

    starts: NDArray[np.int64]
    places: list[Place]
    panels: list[Panel]
    ends: Blocks
    inner: Blocks
    logs: Floats

    @property
    def energies(self) -> Floats:
        return np.concatenate([one.energies for one in self.panels])

    @property
    def slopes(self) -> Floats:
        """dE/dx."""
        return np.concatenate([one.slopes for one in self.panels])


@dataclass(frozen=True)
class Sums:
    """What the wire has of integrals over energy.

    density: (q, n, 4), sum_p int w_qp psi_p psi_p^+, traced, for each of the weights asked for, psi_p from lead p;
    first: (n, 4), of the first order, or None; bonds: (2, n - 1, 4), flows of the first of the weights and of the
    first order from each site to the next, or (2, 0, 4).
    """

    density: Floats
    first: Floats | None
    bonds: Floats


class WireBlocks:
    """The tree of one texture between two leads, for the energies and factors of one window.

    words: 1 for scattering states at rest; 2 with G Y psi, 4 with G B G Y psi for Y = dH/dt = `rate` (n, 2, 2).
    allowed: the error of an integral of densities; widths: whether panels have to resolve levels that no density shows;
    evenly: whether blocks are as accurate where the factors are small, but narrow levels count, as elsewhere.
    Raises ToleranceError where too many energies are needed.
    """

    def __init__(
        self,
        device: System,
        blocks: Blocks,
        window: Window,
        counter: Counter,
        allowed: float,
        rate: Blocks | None = None,
        words: int = 1,
        *,
        widths: bool = False,
        evenly: bool = False,
    ) -> None:
        self.device, self.blocks, self.window, self.counter = device, blocks, window, counter
        self.words, self.allowed, self._widths = words, allowed, _widths(device, blocks, window) if widths else []
        self.rate, self._evenly = np.zeros_like(blocks) if rate is None else rate, evenly
        self.reference = _reference(device, blocks, window)
        self.levels: list[_Level] = []
        # How much larger errors of blocks become where they are joined: about 1, and 1/width where levels are narrow.
        self.growth = 1.0
        self._grow()

    @cached_property
    def _moving(self) -> float:
        """How many sites move, counted in shares of the fastest one; at least 1."""
        sizes = abs(self.rate).max(axis=(1, 2))
        return max(1.0, float(sizes.sum() / max(float(sizes.max()), 1e-300)))

    @cached_property
    def _whole_weight(self) -> float:
        """The integral of a factor over all energies, over 2 pi."""
        panels = [self.window.panels.panel(one, 0.0, 1.0) for one in self.window.stretches]
        return sum(float(abs(one.weights).sum(axis=1).max()) for one in panels) / (2 * np.pi)

    @property
    def usual(self) -> float:
        """How large a response to leads that move by one energy unit a time unit may be, as `expected`."""
        return max(self._whole_weight / self.device.hopping**3, 1e-300)

    @property
    def expected(self) -> float:
        """How large a response to this motion, an integral over 2 pi, may be so that its error is what is allowed."""
        size = float(abs(self.rate).max()) / self.device.hopping
        return max(size * self._moving * self._whole_weight / self.device.hopping**2, 1e-300)

    @property
    def top(self) -> _Level:
        """The whole wire as one block."""
        return self.levels[-1]

    def with_rate(self, rate: Blocks) -> WireBlocks:
        """The same energies for another motion."""
        other = object.__new__(WireBlocks)
        other.__dict__.update(self.__dict__, rate=rate, levels=[])
        for level in self.levels:
            pieces = range(0, len(level.places), _PANELS_AT_ONCE)
            each = [
                other._evaluated(level.starts, level.places[s], level.panels[s])
                for s in (slice(k, k + _PANELS_AT_ONCE) for k in pieces)
            ]
            found = (np.concatenate(parts) for parts in zip(*each, strict=True))
            other.levels.append(_Level(level.starts, level.places, level.panels, *found))
        return other

    # --- from blocks to the wire --------------------------------------------------------------------

    def _grow(self) -> None:
        n = self.device.n_sites
        count = 2 ** int(np.log2(n / _SITES))
        starts = np.linspace(0, n, count + 1).round().astype(np.int64)
        span = sum(one.high - one.low for one in self.window.stretches)
        places: list[Place] = [(k, 0, 0) for k in range(len(self.window.stretches))]
        while True:
            level = self._adapted(starts, places, span)
            self.levels.append(level)
            if len(starts) == 2:
                return
            starts, places = starts[::2], level.places

    def _adapted(self, starts: NDArray[np.int64], places: list[Place], span: float) -> _Level:
        """A level whose panels lie inside `places` and are small enough."""
        device = self.device
        band = device.band[1] - device.band[0]
        # As in `window.Window`: a panel for every few levels of a block.
        longest = 8 * band / (2 * int(np.diff(starts).max()))
        smallest = 1e-13 * device.hopping
        most = max(_MOST_ENERGIES, _MOST_PER_SITE * device.n_sites)
        done: list[tuple[Any, ...]] = []  # place, panel, and there `ends`, `inner` and `logs`
        waiting, used = places, 0
        while waiting:
            some, panels = [], []
            queue = list(waiting)
            while queue:
                place = queue.pop()
                one = self._panel(place)
                if one.width > longest and self._counts(place):
                    queue += _halves(place)
                else:
                    some.append(place)
                    panels.append(one)
                if len(queue) + len(some) > most // _N:
                    raise self._too_many(most)
            used += _N * len(some)
            if used > most:
                raise self._too_many(most)
            pieces = [slice(k, k + _PANELS_AT_ONCE) for k in range(0, len(some), _PANELS_AT_ONCE)]
            widths = np.array([one.width for one in panels])
            by_panel, errors = [], []
            for s in pieces:
                found = self._evaluated(starts, some[s], panels[s])
                errors.append(self._errors(some[s], span, *found[:2]))
                by_panel.append([values.reshape(-1, _N, *values.shape[1:]) for values in found])
            good = np.concatenate(errors) <= self.allowed * _SHARE * np.maximum(widths / span, 0.02)
            hides = [self._may_hide_levels(place) for place in some]
            if any(hides):
                logs = np.concatenate([found[2] for found in by_panel])
                rough = 2 * abs(np.einsum("kn,pnm->pkm", to_polynomials()[0][-2:], logs)).max(axis=(1, 2))
                rough[~np.array(hides)] = 0.0
                if (rough[widths < smallest] > _SMOOTH).any():
                    raise ToleranceError("a level in a long wire has no width")
                good &= rough <= _SMOOTH
            good |= widths < smallest
            waiting = []
            for k, place in enumerate(some):
                if good[k]:
                    # Copies, so that what is not kept can be given up.
                    kept = [values[k % _PANELS_AT_ONCE].copy() for values in by_panel[k // _PANELS_AT_ONCE]]
                    done.append((place, panels[k], *kept))
                else:
                    waiting += _halves(place)
        done.sort(key=lambda one: (one[0][0], one[0][2] / 2 ** one[0][1]))
        found = (np.concatenate([one[k] for one in done]) for k in (2, 3, 4))
        return _Level(starts, [one[0] for one in done], [one[1] for one in done], *found)

    def _counts(self, place: Place) -> bool:
        """Whether a level in this panel, the response of which grows as 1/width, can count."""
        if not self._widths:
            return True
        one, narrowest = self._panel(place), self._narrowest(place)
        share = max(float(abs(factor.value(one.energies)).max()) for factor in self.window.panels.factors)
        return share * self.device.hopping > _NOTHING * self.allowed * narrowest

    def _may_hide_levels(self, place: Place) -> bool:
        """Whether a level in this panel may be too narrow for its nodes, and counts."""
        return (
            bool(self._widths)
            and self._narrowest(place) < _WIDE * self._panel(place).width / _N
            and self._counts(place)
        )

    def _narrowest(self, place: Place) -> float:
        """Half-width of the narrowest level of the wire that is expected near a panel, energy."""
        energies, widths = self._widths[place[0]]
        low, high = self._panel(place).energies[[0, -1]]
        near = energies[1] - energies[0]
        return float(widths[(energies > low - near) & (energies < high + near)].min())

    def _too_many(self, most: int) -> ToleranceError:
        return ToleranceError(
            f"an energy integral of a long wire did not converge to {self.allowed:.1e} within {most} energies"
        )

    def _panel(self, place: Place) -> Panel:
        stretch, k, j = place
        return self.window.panels.panel(self.window.stretches[stretch], j / 2**k, (j + 1) / 2**k)

    def _evaluated(self, starts: NDArray[np.int64], places: Sequence[Place], panels: Sequence[Panel]):
        """`ends`, `inner` and `logs` on the nodes of panels; as `inner` of the lowest level, P on middle sites."""
        energies, slopes = (np.concatenate([getattr(one, name) for one in panels]) for name in ("energies", "slopes"))
        n, m = len(energies), len(starts) - 1
        ends, logs = np.empty((n, m, self.words, 4, 4), complex), np.empty((n, m))
        if not self.levels:
            inner = np.empty((n, m, self.words, 2, 4), complex)
            given = self._given(energies, slopes)

            def sites(s: slice) -> None:
                e, d, sigma, sigma_slopes = (one[s] for one in given)
                wire = self.blocks, self.device.hops, self.reference
                leads = sigma, sigma_slopes, self.rate, self.words
                block_ends(e, d, starts, *wire, *leads, ends[s], inner[s], logs[s])

            self.counter.add(n)
            spread(n, self.device.n_sites, sites)
            return ends, inner, logs
        below = self.levels[-1]
        inner = np.empty_like(ends)
        pairs, known = self._between(below, places)
        hops = np.ascontiguousarray(self.device.hops[below.starts[1:-1:2] - 1])

        growth = np.empty((n, m))

        def joined(s: slice) -> None:
            join(pairs[s], hops, self.reference, ends[s], inner[s], logs[s], growth[s])

        spread(n, 10 * m, joined)
        self.growth = max(self.growth, float(growth.max()) * self.device.hopping)
        return ends, inner, logs + known[:, ::2] + known[:, 1::2]

    def _given(self, energies: Floats, slopes: Floats):
        """Energies, dE/dx, and Sigma and dSigma/dx of the leads there, (n, 2) each."""
        sigma, by_energy = self.device.chain_rules.ends_at(energies)
        return energies, slopes, sigma, by_energy * slopes[:, None]

    def _between(self, below: _Level, places: Sequence[Place]) -> tuple[Blocks, Floats]:
        """`ends` and `logs` of a level on the nodes of panels inside its own."""
        parents, matrices = _nested(below.places, places)
        values = below.ends.reshape(len(below.places), _N, -1)
        # A real matrix times complex numbers, as pairs of reals.
        found = matrices @ np.ascontiguousarray(values).view(float)[parents]
        logs = matrices @ below.logs.reshape(len(below.places), _N, -1)[parents]
        return found.view(complex).reshape(len(places) * _N, *below.ends.shape[1:]), logs.reshape(len(found) * _N, -1)

    def _errors(self, places: Sequence[Place], span: float, ends: Blocks, inner: Blocks) -> Floats:
        """Estimated errors of integrals over these panels, (p,), from the last Legendre coefficients of densities."""
        device, panels = self.device, [self._panel(place) for place in places]
        amplitudes = np.concatenate([ends, inner], axis=3) @ _PROBE
        n, m, words, rows = amplitudes.shape
        sites = amplitudes.reshape(n, m, words, rows // 2, 2)
        # Each word times the adjoint of P itself.
        products = sites[..., :, None] * sites[:, :, :1, :, None, :].conj()
        values = products.transpose(0, 2, 1, 3, 4, 5).reshape(len(panels), _N, words, m * 2 * rows)
        last = to_polynomials()[0][-2:]
        missed = 2 * abs(np.einsum("kn,pnwc->pkwc", last, values)).max(axis=(1, 3))
        largest = abs(values).max(axis=(1, 3))
        weight = np.array([abs(one.weights).sum(axis=1).max() for one in panels]) / (2 * np.pi)
        if self._evenly:
            shares = [one.width * self._counts(place) for one, place in zip(panels, places, strict=True)]
            weight = np.maximum(weight, self._whole_weight / span * np.array(shares))
        error = np.maximum(missed[:, 0] - _ROUNDING * largest[:, 0], 0.0) * device.hopping
        if words > 1:
            # The more sites move, the larger is the response.
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = np.where(largest > 0, np.maximum(missed / largest - _ROUNDING, 0.0), 0.0)[:, 1:].max(axis=1)
            error = np.maximum(error, shares * self._moving / device.hopping)
        return error * weight

    # --- from the wire to its sites -----------------------------------------------------------------

    def sums(self, weights: Floats, first: Floats | None = None, with_bonds: bool = False) -> Sums:
        """Integrals with these weights at the energies of `top`.

        weights: (q, 2, n), of scattering states from the left and from the right lead; first: (2, n), those of the
        first order, times dx/dE for 4 words.
        """
        device, top = self.device, self.top
        gamma = np.maximum(-2 * device.chain_rules.ends_at(top.energies)[0].imag, 0.0)
        plain, more = len(weights), 0 if first is None else {2: 2, 4: 3}[self.words]
        sums = np.zeros((len(top.energies), 1, plain + more, 4, 4), complex)
        for q in range(plain + (first is not None)):
            for p in range(2):
                w = weights[q, p] if q < plain or first is None else first[p]
                for spin in (2 * p, 2 * p + 1):
                    sums[:, 0, q, spin, spin] = w * gamma[:, p]
        out, change, bonds = self.descended(sums, plain, with_bonds)
        return Sums(out, None if first is None else change, bonds)

    def descended(self, sums: Blocks, plain: int, with_bonds: bool) -> tuple[Floats, Floats, Floats]:
        """Densities (plain, n, 4) and (n, 4), and flows over the bonds, from products of amplitudes on the whole wire.

        sums: (k, 1, plain + more, 4, 4) at its energies, as in `wire_kernels.hand_down`; results as in
        `wire_kernels.block_densities`, and flows (2, n - 1, 4), or (2, 0, 4) if not requested.
        """
        device = self.device
        for level, below in zip(self.levels[:0:-1], self.levels[-2::-1], strict=True):
            sums = self._handed_down(level, below, sums, plain)
        low, n = self.levels[0], device.n_sites
        energies, slopes, sigma, sigma_slopes = self._given(low.energies, low.slopes)
        sums = np.ascontiguousarray(sums.transpose(1, 0, 2, 3, 4))
        out, change = np.zeros((plain, n, 4)), np.zeros((n, 4))
        bonds = np.zeros((2, n if with_bonds else 0, 4))
        blocks = len(low.starts) - 1

        def sites(s: slice) -> None:
            where = np.array([s.start, s.stop]), energies, slopes, low.starts
            wire = self.blocks, device.hops, self.reference
            leads = sigma, sigma_slopes, self.rate, self.words
            block_densities(*where, *wire, *leads, sums, plain, out, change, bonds)

        self.counter.add(len(energies))
        spread(blocks, len(energies) * n // blocks, sites)
        return out, change, bonds[:, :-1] if with_bonds else bonds

    def _handed_down(self, level: _Level, below: _Level, sums: Blocks, plain: int) -> Blocks:
        """`sums` of a level become those of the level below, on its energies."""
        m, q = sums.shape[1:3]
        parents, matrices = _nested(below.places, level.places)
        # Panels are in increasing order, so that those inside one of the level below are neighbours.
        cuts = np.searchsorted(parents, np.arange(len(below.places) + 1))
        total = np.empty((len(below.places), _N, 2 * m * q * 32))
        for first, stop in _pieces(cuts):
            s = slice(_N * int(cuts[first]), _N * int(cuts[stop]))
            inner, above = level.inner[s], sums[s]
            found = np.empty((len(above), 2 * m, q, 4, 4), complex)

            def parts(k: slice, inner=inner, above=above, found=found) -> None:
                hand_down(inner[k], above[k], plain, found[k])

            spread(len(above), 10 * m * q, parts)
            values = found.reshape(len(above), -1).view(float)
            for k in range(first, stop):
                panels = slice(int(cuts[k]), int(cuts[k + 1]))
                nodes = slice(_N * panels.start - s.start, _N * panels.stop - s.start)
                np.matmul(matrices[panels].reshape(-1, _N).T, values[nodes], out=total[k])
        return total.view(complex).reshape(len(below.places) * _N, 2 * m, q, 4, 4)


def _pieces(cuts: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Ranges of the panels of one level with few panels of the level above in each; `cuts`: the first ones in each."""
    found, first = [], 0
    for k in range(1, len(cuts)):
        if k == len(cuts) - 1 or cuts[k + 1] - cuts[first] > _PANELS_AT_ONCE:
            found.append((first, k))
            first = k
    return found


def _widths(device: System, blocks: Blocks, window: Window) -> list[tuple[Floats, Floats]]:
    """For each stretch energies and the half-widths that a level there has at least, as far as they are estimated."""
    found = []
    for stretch in window.stretches:
        margin = min(1e-3 * device.hopping, (stretch.high - stretch.low) / 4)
        energies = np.linspace(stretch.low + margin, stretch.high - margin, _WIDTH_SAMPLES)
        widths = np.empty(len(energies))
        smallest_widths(energies, blocks, device.hops, device.chain_rules.ends_at(energies)[0], widths)
        found.append((energies, np.maximum(widths / _MARGIN, 1e-14 * device.hopping)))
    return found


def _halves(place: Place) -> list[Place]:
    stretch, k, j = place
    return [(stretch, k + 1, 2 * j), (stretch, k + 1, 2 * j + 1)]


def _nested(outer: Sequence[Place], inner: Sequence[Place]) -> tuple[NDArray[np.intp], Floats]:
    """For each inner panel the outer one around it, (p,), and the matrix of `_interpolation`, (p, 15, 15)."""
    known = {place: k for k, place in enumerate(outer)}
    parents, matrices = [], []
    for stretch, k, j in inner:
        depth = 0
        while (stretch, k - depth, j >> depth) not in known:
            depth += 1
        parents.append(known[stretch, k - depth, j >> depth])
        matrices.append(_interpolation(depth, j - ((j >> depth) << depth)))
    return np.array(parents), np.array(matrices)


def _reference(device: System, blocks: Blocks, window: Window) -> complex:
    """The self-energy on cut ends: that of a wire like this one, on the average over energies, sites and spins."""
    levels = np.linalg.eigvalsh(blocks).ravel()
    some = np.unique(np.quantile(levels, np.linspace(0, 1, 9)))
    low, high = (window.stretches[k].low if k == 0 else window.stretches[k].high for k in (0, -1))
    energies = np.linspace(low, high, 9)
    t = device.hopping
    found = complex(chain_self_energy(energies[:, None] - some, t, t, 0.0)[0].mean())
    return complex(found.real, min(found.imag, -0.3 * t))
