"""How few sites with reservoirs or wide-band leads answer to a slow motion, at many real energies at once.

The same as `bathed_energy.BathedEnergy.moved` and `bathed_motion.MotionAtBias` of leads at rest, without probes, for a
stack of energies: of few sites one energy takes longer to call than to calculate.  With Gd = G Hd G, Y = G B G =
-dG/dE and Z = G B Gd - Gd B G = 2i G1 the density is an integral of

    -df/dE   times  -Im[G Hd A],   A = i (G - G^+) = sum_l G Gamma_l G^+,
    F_l      times   Im[Z Gamma_l G^+ - Gd Gamma_l Y^+ + Gd Gamma_l' G^+],
    dF_l/dE  times   Im[Gd Gamma_l G^+],

over 2 pi.  What flows into leads and reservoirs is told in those two files.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .bathed_energy import NO_WIDTH, Layout, pauli
from .counter import Counter
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats
from .system import System
from .threads import one_blas_thread

# So many sites are few; so many energies are taken at once, and arrays of so many bytes are kept for further motions.
MOST_SITES = 32
_AT_ONCE, _KEPT_BYTES = 256, 200_000_000


class _Given(Protocol):
    """What this needs of `bathed.BathedSweeps`."""

    device: System
    counter: Counter

    @property
    def layout(self) -> Layout: ...

    def dense_hamiltonian(self) -> Blocks: ...


@dataclass
class _Lead:
    """A lead at k energies: orbitals of its slice (p,); Sigma, dSigma/dE, Gamma and dGamma/dE (k, p, p); G and Y from
    it, (k, 2 N, p)."""

    orbitals: NDArray[np.intp]
    sigma: Blocks
    slope: Blocks
    gamma: Blocks
    gamma_slope: Blocks
    green: Blocks
    y: Blocks


@dataclass(frozen=True)
class _Stack:
    """energies (k,); G, (k, 2 N, 2 N); both leads; of_bath: G from the sites of the bath, (k, 2 N, 2 b)."""

    energies: Floats
    green: Blocks
    leads: tuple[_Lead, ...]
    of_bath: Blocks


class FewSites:
    """Of one texture, whose Green's functions are kept."""

    def __init__(self, sweeps: _Given) -> None:
        self._device, self._layout, self._counter = sweeps.device, sweeps.layout, sweeps.counter
        self._bath = (2 * self._layout.where[:, None] + np.arange(2)).ravel()
        self._H = sweeps.dense_hamiltonian()
        self._H[self._bath, self._bath] -= 0.5j * self._layout.width
        self._kept: dict[bytes, _Stack] = {}

    def moved(self, energies: Floats, rate: Blocks) -> tuple[Floats, ...]:
        """As `BathedSweeps.moved`, without flows over the bonds; rate: dH/dt, (N, 2, 2)."""
        return self._joined(energies, lambda stack: self._moved(stack, rate))

    def moved_at_bias(self, energies: Floats, rate: Blocks) -> tuple[Floats, ...]:
        """As `BathedSweeps.moved_at_bias`, without flows over the bonds."""
        return self._joined(energies, lambda stack: self._moved_at_bias(stack, rate))

    def _joined(self, energies: Floats, of: Callable[[_Stack], tuple[Floats, ...]]) -> tuple[Floats, ...]:
        # Without energies the shapes are those of any other.
        asked = energies if len(energies) else np.array([self._device.fermi_energy])
        with one_blas_thread:
            parts = [of(self._stack(asked[i : i + _AT_ONCE])) for i in range(0, len(asked), _AT_ONCE)]
        return tuple(np.concatenate(part)[: len(energies)] for part in zip(*parts, strict=True))

    def _stack(self, energies: Floats) -> _Stack:
        key = energies.tobytes()
        if key in self._kept:
            return self._kept[key]
        z = energies.astype(complex)
        inverse = z[:, None, None] * np.eye(len(self._H)) - self._H
        leads = []
        for lead, orbitals in zip(self._device.ends, self._layout.ends, strict=True):
            sigma, slope = lead.self_energy(z), lead.slope(z)
            inverse[:, orbitals[:, None], orbitals] -= sigma
            gamma, change = (1j * (one - _adjoint(one)) for one in (sigma, slope))
            leads.append(_Lead(orbitals, sigma, slope, gamma, change, sigma, sigma))
        try:
            G = np.asarray(np.linalg.inv(inverse), complex)
        except np.linalg.LinAlgError:
            raise ToleranceError(NO_WIDTH) from None
        self._counter.add(len(energies))
        stack = _Stack(energies, G, tuple(leads), G[:, :, self._bath])
        for one in leads:
            one.green = G[:, :, one.orbitals]
            one.y = G @ self._times_b(stack, one.green)
        if (1 + len(self._kept)) * 3 * G.nbytes <= _KEPT_BYTES:
            self._kept[key] = stack
        return stack

    @staticmethod
    def _times_b(stack: _Stack, columns: Blocks) -> Blocks:
        """(1 - dSigma/dE) times columns (k, 2 N, c)."""
        out = columns.copy()
        for lead in stack.leads:
            out[:, lead.orbitals] -= lead.slope @ columns[:, lead.orbitals]
        return out

    def _moved(self, stack: _Stack, rate: Blocks) -> tuple[Floats, ...]:
        width, where = self._layout.width, self._layout.where
        # Columns of G, of G Hd G, and G sqrt(Gamma) sqrt(Gamma)^+ of everything that fills.
        columns = [lead.green for lead in stack.leads] + [stack.of_bath]
        x = [stack.green @ _times(rate, one) for one in columns]
        filled = [lead.green @ lead.gamma for lead in stack.leads] + [width * stack.of_bath]
        driven = _sum(_imaginary(a, b) for a, b in zip(x, filled, strict=True))
        states = _sum(_sites(a, b) for a, b in zip(columns, filled, strict=True))
        density = -pauli(driven)
        b = np.arange(len(where))
        own = x[2][:, self._bath].reshape(len(density), len(b), 2, len(b), 2)[:, b, :, b]  # (b, k, 2, 2)
        into_bath = width * (np.moveaxis(pauli(own), 0, 1) + density[:, where])
        flows = []
        for lead, of_lead in zip(stack.leads, x, strict=False):
            at = lead.orbitals
            M = _sum(u[:, at] @ _adjoint(v[:, at]) for u, v in zip(x, filled, strict=True))
            flows.append(_traced(lead.gamma, of_lead[:, at] - _imaginary_part(M)))
        return density, np.stack(flows, axis=1), into_bath, np.empty((len(density), 0)), pauli(states)

    def _moved_at_bias(self, stack: _Stack, rate: Blocks) -> tuple[Floats, ...]:
        G, k, n = stack.green, len(stack.green), self._device.n_sites
        density, flows = np.zeros((k, 4, n, 4)), np.zeros((k, 4, 2, 4))
        energy = np.zeros((k, 4, 2))
        above = stack.energies[:, None, None] - np.array(self._device.voltages)
        for p, one in enumerate(stack.leads):
            x = G @ _times(rate, one.green)
            z = G @ (self._times_b(stack, x) - _times(rate, one.y))
            filled, changed = one.green @ one.gamma, one.green @ one.gamma_slope
            of_y = one.y @ one.gamma
            pairs = [(z, filled, 1), (x, of_y, -1), (x, changed, 1)], [(x, filled, 1)]
            for row, parts in ((p, pairs[0]), (2 + p, pairs[1])):
                density[:, row] = pauli(_sum(sign * _imaginary(a, b) for a, b, sign in parts))
                for q, into in enumerate(stack.leads):
                    at = into.orbitals
                    M = _sum(sign * (a[:, at] @ _adjoint(b[:, at])) for a, b, sign in parts)
                    flows[:, row, q] = _traced(into.gamma, _imaginary_part(M))
            for q, into in enumerate(stack.leads):
                at = into.orbitals
                M = x[:, at] @ _adjoint(filled[:, at])
                changing = M + _adjoint(M)
                flows[:, p, q] -= _traced(_hermitian(into.slope), changing)
                energy[:, p, q] -= _traced(_hermitian(into.sigma), changing)[:, 0]
            # What the lead itself has more or less of.
            own_x, own_z = x[:, one.orbitals], z[:, one.orbitals]
            flows[:, p, p] -= _traced(one.gamma, own_z) + _traced(one.gamma_slope, own_x)
            flows[:, 2 + p, p] -= _traced(one.gamma, own_x)
            energy[:, p, p] -= _traced(one.gamma, own_x)[:, 0]
        into_bath = self._layout.width * density[:, :, self._layout.where]
        return density, flows, into_bath, energy + above * flows[..., 0]


def _sum(parts: Iterable[Blocks]) -> Blocks:
    return functools.reduce(np.add, parts)


def _adjoint(stack: Blocks) -> Blocks:
    return np.conj(np.swapaxes(stack, -1, -2))


def _hermitian(stack: Blocks) -> Blocks:
    return (stack + _adjoint(stack)) / 2


def _imaginary_part(stack: Blocks) -> Blocks:
    return (stack - _adjoint(stack)) / 2j


def _times(rate: Blocks, columns: Blocks) -> Blocks:
    """Blocks (N, 2, 2) times columns (k, 2 N, c)."""
    k, size, c = columns.shape
    return (rate @ columns.reshape(k, size // 2, 2, c)).reshape(k, size, c)


def _sites(a: Blocks, b: Blocks) -> Blocks:
    """Blocks of a b^+ on the sites, (k, N, 2, 2), of columns (k, 2 N, c) twice."""
    k, size, c = a.shape
    return a.reshape(k, size // 2, 2, c) @ _adjoint(b.reshape(k, size // 2, 2, c))


def _imaginary(a: Blocks, b: Blocks) -> Blocks:
    """Those of Im[a b^+]."""
    return _imaginary_part(_sites(a, b))


def _traced(weight: Blocks, of: Blocks) -> Floats:
    """Re Tr[(1, sigma) W F] of matrices on a slice, (k, p, p) twice, W the same for both spins: (k, 4)."""
    k, p, _ = of.shape
    product = (weight @ of).reshape(k, p // 2, 2, p // 2, 2)
    return pauli(np.einsum("kysyt->kst", product))
