"""Scattering states of a system with a bath at one real energy, what fills them, and how they answer to a slow motion.

Columns are G sqrt(Gamma) of both leads and of the bath on each site.  A motion Hd = dH/dt pumps into the lead or bath
alpha, at each energy, (-df/dE) Tr[Gamma_alpha G Hd G^+]/2pi particles (Buettiker, Thomas and Pretre, Z. Phys. B 94, 133
(1994)); probes are filled further, so that none of them takes what is pumped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .bath import fillings
from .bond_flows import Bonds
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats

NO_WIDTH = (
    "a level without any width lies at an energy where the response of the electrons is asked for: use "
    "temperature > 0, another fermi_energy, or a bath on more sites"
)


class Layout(NamedTuple):
    """Where things are in a system with a bath.

    n_sites: N; where: flat indices of the sites of the bath, (b,); width: of the bath, energy; probes: whether it takes
    no net current; ends: orbitals 2 site + spin of the first and of the last slice; bonds: those of the device.
    """

    n_sites: int
    where: NDArray[np.intp]
    width: float
    probes: bool
    ends: tuple[NDArray[np.intp], NDArray[np.intp]]
    bonds: Bonds


class BandedLU:
    """LU factors with row exchanges of a banded matrix, (3 b + 1, N) in LAPACK's layout, b bands on either side."""

    def __init__(self, matrix: Blocks, b: int) -> None:
        from scipy.linalg.lapack import zgbtrf  # heavy import

        self.b = b
        self.factors, self.rows, info = zgbtrf(matrix, b, b, overwrite_ab=True)
        if info > 0:
            raise ToleranceError(NO_WIDTH)

    def solve(self, rhs: Blocks, transposed: bool = False) -> Blocks:
        """Of right-hand sides (N, k); transposed: with the transposed matrix."""
        from scipy.linalg.lapack import zgbtrs

        return np.asarray(zgbtrs(self.factors, self.b, self.b, rhs, self.rows, trans=int(transposed))[0])


class BathedEnergy:
    """One energy.

    lu: of E - H - Sigma; rhs: (2 N, columns), sqrt(Gamma) of left, right and bath, spin fastest; sources: those of left
    and right without spin, (ny, modes) each; spin: (2, 2), the spin states of the right lead in which transmission is
    told, None: those of the columns.
    """

    def __init__(
        self, layout: Layout, lu: BandedLU, rhs: Blocks, sources: list[Blocks], spin: Blocks | None = None
    ) -> None:
        self.layout, self.lu, self.sources, self._spin = layout, lu, sources, spin
        self.width, self.where = layout.width, layout.where
        self.psi = lu.solve(rhs).reshape(layout.n_sites, 2, rhs.shape[1])
        counts = [2 * s.shape[1] for s in sources]
        first = sum(counts)
        self.spans = slice(0, counts[0]), slice(counts[0], first), slice(first, rhs.shape[1])
        # The (y, spin) of the end slices, as sites.
        self.end_sites = [orbitals[::2] // 2 for orbitals in layout.ends]

    @property
    def nbytes(self) -> int:
        """Memory of the kept arrays, bytes."""
        return int(self.psi.nbytes + self.lu.factors.nbytes)

    @cached_property
    def transmissions(self) -> tuple[Floats, Floats]:
        """Into each site of the bath from each other one, (b, b), and from up and down of either lead, (b, 4)."""
        into = self.width * (abs(self.psi[self.where]) ** 2).sum(axis=1)
        by_lead = np.stack([into[:, span][:, s::2].sum(axis=1) for span in self.spans[:2] for s in range(2)], axis=1)
        b = len(self.where)
        return into[:, self.spans[2]].reshape(b, b, 2).sum(axis=2), by_lead

    @cached_property
    def by_spin(self) -> Floats:
        """How far each probe is filled by up and down of left, then of right, (b, 4)."""
        if not self.layout.probes:
            return np.zeros((len(self.where), 4))
        return fillings(*self.transmissions)[0]

    @cached_property
    def weights(self) -> Floats:
        """How far each probe is filled by the left and by the right lead, (2, b)."""
        return np.stack([self.by_spin[:, :2].sum(axis=1), self.by_spin[:, 2:].sum(axis=1)])

    @cached_property
    def _filled(self) -> Floats:
        """Of the columns, how far each is filled from the left, from the right, and by all: (3, columns)."""
        filled = np.zeros((3, self.psi.shape[2]))
        filled[0, self.spans[0]] = filled[1, self.spans[1]] = filled[2] = 1.0
        filled[:2, self.spans[2]] = np.repeat(self.weights, 2, axis=1)
        return filled

    def mixed(self, with_bonds: bool) -> tuple[Floats, ...]:
        """Rows, all states, flows into leads and bath, bonds and transmissions of `bathed.Mixed`."""
        filled = self._filled
        density = traces(self.psi, self.psi) @ filled.T  # (N, 4, 3)
        rows, everything = np.moveaxis(density[..., :2], -1, 0), density[..., 2]
        into_bath = self.width * (rows[:, self.where] - self.weights[..., None] * everything[self.where])
        flows = np.empty((2, 2, 4))
        for q in range(2):
            arriving = self._arriving(q, self.psi)
            found = (traces(arriving, arriving) @ filled.T).sum(axis=0)
            flows[:, q] = found[:, :2].T
            flows[q, q] -= found[:, 2]
        bonds = self.over_bonds(filled[:2]) if with_bonds else np.empty((2, 0))
        return rows, everything, flows, into_bath, bonds, self._through()

    def _columns_of(self, filled: Floats) -> Floats:
        """Of each column what its lead or site of the bath has, filled: (2 + b,), left, right, and the sites."""
        columns = np.empty(self.psi.shape[2])
        columns[self.spans[0]], columns[self.spans[1]] = filled[0], filled[1]
        columns[self.spans[2]] = np.repeat(filled[2:], 2)
        return columns

    def filled_density(self, filled: Floats) -> Floats:
        """Of all columns, each lead and each site of the bath having so much, (2 + b,): traced, (N, 4)."""
        return np.asarray(traces(self.psi, self.psi) @ self._columns_of(filled))

    def filled(self, filled: Floats) -> tuple[Floats, Floats, Floats]:
        """The same, and what flows into the leads (2, 4) and into each site of the bath (b, 4)."""
        density = np.asarray(traces(self.psi, self.psi) @ self._columns_of(filled))
        flows = np.array([self.filled_into_modes(q, filled).sum(axis=0) for q in range(2)])
        into_bath = self.width * (density[self.where] - filled[2:, None] * self.states[self.where])
        return density, flows, into_bath

    def filled_into_modes(self, q: int, filled: Floats) -> Floats:
        """What of it flows into each open mode of the lead q, of a wide-band lead into each row: (modes, 4)."""
        arriving = self._arriving(q, self.psi)
        return np.asarray(traces(arriving, arriving) @ (self._columns_of(filled) - filled[q]))

    def filled_bonds(self, filled: Floats) -> Floats:
        """Its flows over the bonds, (..., 4), in the layout of `Sweeps.flows`."""
        return np.asarray(self.over_bonds(self._columns_of(filled)[None])[0])

    def _arriving(self, q: int, columns: Blocks) -> Blocks:
        """sqrt(Gamma)^+ of the lead q times columns (N, 2, c): (modes, 2, c)."""
        return np.einsum("yk,ysc->ksc", self.sources[q], columns[self.end_sites[q]])

    def over_bonds(self, filled: Floats, bonds: Bonds | None = None) -> Floats:
        """Flows of rho = sum filled psi psi^+ over all bonds of the system, or over these: (k, ..., 4)."""
        bonds = self.layout.bonds if bonds is None else bonds
        between = 2 * (complex_traces(self.psi[bonds.ends], self.psi[bonds.starts]) @ filled.T)
        return bonds.flow(np.moveaxis(between, -1, 0))

    def _through(self) -> Floats:
        """Transmission from left to right, (2, 2), of what comes directly and what probes hand on."""
        arriving = self._arriving(1, self.psi)
        if self._spin is not None:
            arriving = np.einsum("sr,ksc->krc", self._spin.conj(), arriving)
        out = (abs(arriving) ** 2).sum(axis=0)  # (spin, columns)
        direct = np.stack([out[:, self.spans[0]][:, s::2].sum(axis=1) for s in range(2)], axis=1)
        from_bath = out[:, self.spans[2]].reshape(2, len(self.where), 2).sum(axis=2)
        return np.asarray(direct + from_bath @ self.by_spin[:, :2])

    # --- a slow motion ----------------------------------------------------------------------------

    @cached_property
    def states(self) -> Floats:
        """i (G - G^+) traced, (N, 4)."""
        return traces(self.psi, self.psi).sum(axis=-1)

    def own(self, columns: Blocks) -> Blocks:
        """Of columns M sqrt(Gamma), those of each site of the bath on it, (b, 2, 2): sqrt(width) times blocks of M."""
        b = len(self.where)
        found = columns[self.where][:, :, self.spans[2]].reshape(b, 2, b, 2)
        return np.moveaxis(np.diagonal(found, axis1=0, axis2=2), -1, 0)

    def moved(self, rate: Blocks, with_bonds: bool) -> tuple[Floats, ...]:
        """What (-df/dE)/2pi multiplies for Hd = `rate` (N, 2, 2), traced.

        Density (N, 4), flow into the leads (2, 4) and into the bath on each site (b, 4), the former without what
        dSigma/dE of the leads adds on a chain, and flows over the bonds (..., 4), or (0,) if not requested.
        """
        psi, where = self.psi, self.where
        x = self._driven(rate)
        driven, into_bath, u = self._pumped(x)
        density, further = -driven, self._into_probes(u)
        if self.layout.probes:
            from_probes = traces(psi, psi) @ further
            density = density + from_probes
            into_bath = into_bath + self.width * (from_probes[where] - u[:, None] * self.states[where])
        flows = np.array([self._moved_into(q, x, further).sum(axis=0) for q in range(2)])
        bonds = np.empty(0)
        if with_bonds:
            every = np.ones((1, psi.shape[2]))
            bonds = (self.over_bonds(further[None]) - over_imaginary(self.layout.bonds, x, psi, every))[0]
        return density, flows, into_bath, bonds

    def moved_into_modes(self, q: int, rate: Blocks) -> Floats:
        """Of the same what flows into each open mode of the lead q, of a wide-band lead into each row: (modes, 4)."""
        x = self._driven(rate)
        return self._moved_into(q, x, self._into_probes(self._pumped(x)[2]))

    def _pumped(self, x: Blocks) -> tuple[Floats, Floats, Floats]:
        """Of x = G Hd psi: Im[G Hd A] traced (N, 4), what is pumped into the bath (b, 4) before probes are filled
        further, and how far they are, (b,)."""
        # A = i (G - G^+) = sum psi psi^+.
        driven = traces(x, self.psi, np.imag).sum(axis=-1)
        # G Hd G on each site of the bath: G Hd G^+ is the Hermitian part less Im[G Hd A].
        into_bath = np.sqrt(self.width) * pauli(self.own(x)) - self.width * driven[self.where]
        if not self.layout.probes:
            return driven, into_bath, np.zeros(len(self.where))
        return driven, into_bath, fillings(*self.transmissions, into_bath[:, :1])[1][:, 0]

    def _into_probes(self, u: Floats) -> Floats:
        """Columns, of which those of the probes are filled so far: (columns,)."""
        further = np.zeros(self.psi.shape[2])
        further[self.spans[2]] = np.repeat(u, 2)
        return further

    def _driven(self, rate: Blocks) -> Blocks:
        """G Hd psi."""
        return self.lu.solve((rate @ self.psi).reshape(-1, self.psi.shape[2])).reshape(self.psi.shape)

    def _moved_into(self, q: int, x: Blocks, further: Floats) -> Floats:
        """Into each open mode of the lead q, (modes, 4), of x = G Hd psi and columns that are filled further."""
        arriving, at_rest = self._arriving(q, x), self._arriving(q, self.psi)
        # G Hd G in the modes, less Im[G Hd A] as on the sites.
        back = arriving[:, :, self.spans[q]].reshape(len(arriving), 2, len(arriving), 2)
        back = np.einsum("kskr->ksr", back)
        flow = pauli(back) - traces(arriving, at_rest, np.imag).sum(axis=-1)
        return np.asarray(flow + traces(at_rest, at_rest) @ further) if further.any() else flow


def over_imaginary(bonds: Bonds, a: Blocks, b: Blocks, filled: Floats) -> Floats:
    """Flows over the bonds of rho = Im[a filled b^+], (k, ..., 4), for columns a, b (N, 2, C) and fillings (k, C)."""
    back = complex_traces(a[bonds.ends], b[bonds.starts]) - complex_traces(a[bonds.starts], b[bonds.ends]).conj()
    return bonds.flow(np.moveaxis(-1j * (back @ filled.T), -1, 0))


def complex_traces(a: Blocks, b: Blocks) -> Blocks:
    """Tr[sigma F] of F = a_c b_c^+ for each column c: (..., 2, C) twice -> (..., 4, C)."""
    up, down = a[..., 0, :], a[..., 1, :]
    to_up, to_down = b[..., 0, :].conj(), b[..., 1, :].conj()
    f00, f01, f10, f11 = up * to_up, up * to_down, down * to_up, down * to_down
    return np.stack([f00 + f11, f01 + f10, 1j * (f01 - f10), f00 - f11], axis=-2)


def traces(a: Blocks, b: Blocks, part: Any = np.real) -> Floats:
    """Tr[sigma F] of F = a_c b_c^+ for each column c: (..., 2, C) twice -> (..., 4, C).

    part: np.real for the Hermitian part of F, np.imag for (F - F^+)/2i.
    """
    return np.asarray(part(complex_traces(a, b)))


def pauli(blocks: NDArray[np.complex128]) -> Floats:
    """Re Tr[sigma F] of blocks (..., 2, 2): (..., 4)."""
    f00, f01, f10, f11 = blocks[..., 0, 0], blocks[..., 0, 1], blocks[..., 1, 0], blocks[..., 1, 1]
    return np.real(np.stack([f00 + f11, f01 + f10, 1j * (f01 - f10), f00 - f11], axis=-1))
