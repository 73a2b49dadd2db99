"""The open system as one matrix K(E) = E - H - Sigma(E), also for the analytic continuation of Sigma.

A chain is treated as a lattice of width one.  Sigma of a mode is a function of x = (E - epsilon)/2t with two
sheets, Sigma = (c^2/t) (x - S), S^2 = x^2 - 1.  Between two neighbouring thresholds of the modes, on a segment of the
real axis, each mode is either open (|x| < 1, Im Sigma < 0) or closed.  The continuation of the retarded K from a
segment into the lower half plane has zeros there: the resonances and bound states of the device (`resonances.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .modes import Modes

Vectors = NDArray[np.complex128]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Segment:
    """A piece low < E < high (energy) of the real axis on which no mode opens or closes.

    open_modes: (ny,), which modes are open.  at_threshold: whether `low` and `high` are thresholds; otherwise they are
    arbitrary ends.
    """

    low: float
    high: float
    open_modes: Mask
    at_threshold: tuple[bool, bool]


def segments(modes: Modes, low: float, high: float) -> list[Segment]:
    """The pieces of the real axis between `low` and `high` (energies), from left to right."""
    near = 1e-9 * modes.hopping
    inside: list[float] = []
    for e in modes.thresholds.tolist():
        # Thresholds of degenerate modes may differ by rounding.
        if low + near < e < high - near and not (inside and e - inside[-1] < near):
            inside.append(e)
    edges = [low, *inside, high]
    pieces = []
    for a, b in pairwise(edges):
        open_modes = abs(0.5 * (a + b) - modes.energies) < 2 * modes.hopping
        pieces.append(Segment(a, b, open_modes, (a in inside, b in inside)))
    return pieces


@dataclass(frozen=True)
class OpenSystem:
    """Slices h (nx, n, n) with n = 2 ny, hops (nx - 1,) between them, and leads of the same modes at both ends.

    couplings: hopping of the bond to the left and to the right lead, energy; 0 where there is none.
    """

    h: Vectors
    hops: NDArray[np.float64]
    modes: Modes
    couplings: tuple[float, float]

    @property
    def size(self) -> int:
        """Number of orbitals N = nx n."""
        return self.h.shape[0] * self.h.shape[1]

    # --- the leads, on the 4 ny channels (end, mode, spin) ------------------------------------------

    def amplitudes(self, vectors: Vectors) -> Vectors:
        """Amplitudes of states (N, k) on the end slices, by channel: (4 ny, k)."""
        nx, n, _ = self.h.shape
        spinors = vectors.reshape(nx, n // 2, -1)[[0, -1]]
        return np.matmul(self.modes.vectors.T, spinors).reshape(2 * n, -1)

    def roots(self, energy: complex, open_modes: Mask, advanced: bool = False) -> Vectors:
        """S of each mode, (ny,), on the sheet of a segment with these open modes."""
        return mode_roots(np.array([energy]), self.modes, open_modes, advanced)[0]

    def _by_channel(self, of_modes: Vectors) -> Vectors:
        """Values (ny,) of the modes times coupling^2/2 t^2 of either lead, by channel: (4 ny,)."""
        ends = np.array(self.couplings)[:, None] ** 2 * of_modes / (2 * self.modes.hopping**2)
        return np.repeat(ends.ravel(), 2)

    def self_energy(self, energy: complex, open_modes: Mask) -> Vectors:
        """Sigma by channel, (4 ny,), energy."""
        t = self.modes.hopping
        return self._by_channel(2 * t * mode_self_energies(np.array([energy]), self.modes, open_modes)[0])

    @property
    def largest_self_energy(self) -> NDArray[np.float64]:
        """Bound on |Sigma(E)| over all real E by channel, (4 ny,), energy: |g| <= 1/t at the end of any lead mode."""
        return np.real(self._by_channel(np.full(len(self.modes.energies), 2 * self.modes.hopping)))

    def imaginary_self_energy(self, energy: float) -> NDArray[np.float64]:
        """Im Sigma(E) on the real axis by channel, (4 ny,), energy."""
        return np.imag(self.self_energy(energy, self._open_modes(energy)))

    def real_self_energy(self, energy: float) -> NDArray[np.float64]:
        """Re Sigma(E) on the real axis by channel, (4 ny,), energy."""
        return np.real(self.self_energy(energy, self._open_modes(energy)))

    def _open_modes(self, energy: float) -> Mask:
        return np.asarray(abs(energy - self.modes.energies) < 2 * self.modes.hopping)

    def slope(self, a: complex, open_modes: Mask, b: complex | None = None) -> Vectors:
        """[Sigma(a) - Sigma(b)]/(a - b) by channel, (4 ny,), without cancellation; dSigma/dE for b = a (default)."""
        b = a if b is None else b
        x = ((a + b) / 2 - self.modes.energies) / self.modes.hopping
        return self._by_channel(1 - x / (self.roots(a, open_modes) + self.roots(b, open_modes)))

    def curvature(self, a: complex, b: complex, c: complex, open_modes: Mask) -> Vectors:
        """Second divided difference of Sigma at a, b, c, by channel (4 ny,), 1/energy, without cancellation."""
        t = self.modes.hopping
        x, y, z = ((e - self.modes.energies) / (2 * t) for e in (a, b, c))
        p, q, r = (self.roots(e, open_modes) for e in (a, b, c))
        above = p * q + q * r + r * p - x * y - y * z - z * x - 1
        return self._by_channel(-above / ((p + q) * (q + r) * (r + p)) / (2 * t))

    def widths(self, z: Vectors, open_modes: Mask) -> Vectors:
        """Gamma = i (Sigma - Sigma^+) of the modes of both leads, continued to energies z (k,): (k, 2, ny), energy."""
        retarded, advanced = (mode_self_energies(z, self.modes, open_modes, side) for side in (False, True))
        strengths = np.array(self.couplings) ** 2 / self.modes.hopping
        return np.asarray(1j * (retarded - advanced)[:, None, :] * strengths[:, None])

    # --- the device ---------------------------------------------------------------------------------

    def apply(self, vectors: Vectors) -> Vectors:
        """H v for states (N, k)."""
        nx, n, _ = self.h.shape
        v = vectors.reshape(nx, n, -1)
        out = np.matmul(self.h, v)
        out[:-1] -= self.hops[:, None, None] * v[1:]
        out[1:] -= self.hops[:, None, None] * v[:-1]
        return out.reshape(vectors.shape)

    def overlapping(self, vectors: Vectors, slope: Vectors) -> Vectors:
        """(1 - dSigma/dE) v for states (N, k) with the slope by channel (4 ny,)."""
        nx, n, _ = self.h.shape
        out = vectors.reshape(nx, n // 2, -1).copy()
        ends = (slope[:, None] * self.amplitudes(vectors)).reshape(2, n // 2, -1)
        for end, part in zip((0, -1), ends, strict=True):
            out[end] -= self.modes.vectors @ part
        return out.reshape(vectors.shape)

    def end_block(self, of_modes: Vectors, coupling: float) -> Vectors:
        """Self-energy (n, n) of a lead with coupling c: c^2/t times the values (ny,) of the modes."""
        ny = len(of_modes)
        block = np.zeros((ny, 2, ny, 2), complex)
        values = coupling**2 / self.modes.hopping * of_modes
        block[:, 0, :, 0] = block[:, 1, :, 1] = (self.modes.vectors * values) @ self.modes.vectors.T
        return block.reshape(2 * ny, 2 * ny)

    def hermitian(self, energy: float) -> NDArray[np.complex128]:
        """H + Re Sigma(E), dense (N, N)."""
        nx, n, _ = self.h.shape
        H = np.zeros((nx, n, nx, n), complex)
        x, c = np.arange(nx), np.arange(n)
        H[x, :, x, :] = self.h
        for a, b in ((x[:-1], x[1:]), (x[1:], x[:-1])):
            H[a[:, None], c, b[:, None], c] -= self.hops[:, None]
        for end, sigma in zip((0, -1), self._real_ends(energy), strict=True):
            H[end, :, end, :] += sigma
        return H.reshape(nx * n, nx * n)

    def hermitian_band(self, energy: float) -> Vectors:
        """H + Re Sigma(E) in lower band storage (n + 1, N), for `scipy.linalg.eig_banded`."""
        nx, n, _ = self.h.shape
        h = self.h.copy()
        for end, sigma in zip((0, -1), self._real_ends(energy), strict=True):
            h[end] += sigma
        band = np.zeros((n + 1, nx, n), complex)
        for d in range(n):
            band[d, :, : n - d] = np.diagonal(h, -d, axis1=1, axis2=2)
        band[n, :-1] = -self.hops[:, None]
        return band.reshape(n + 1, nx * n)

    def _real_ends(self, energy: float) -> list[Vectors]:
        of_modes = mode_self_energies(np.array([energy + 0j]), self.modes, self._open_modes(energy))[0].real
        return [self.end_block(of_modes, coupling) for coupling in self.couplings]

    @cached_property
    def _band(self) -> Vectors:
        """-H as LAPACK's general band matrix with room for its factors, (3 n + 1, N)."""
        nx, n, _ = self.h.shape
        band = np.zeros((3 * n + 1, nx, n), complex)
        column = np.arange(n)
        for row in range(n):
            band[2 * n + row - column, :, column] = -self.h[:, row, :].T
        band[n, 1:] = self.hops[:, None]
        band[3 * n, :-1] = self.hops[:, None]
        return band.reshape(3 * n + 1, nx * n)

    def factorized(self, energy: complex, open_modes: Mask) -> Factorized:
        """LU factors of K(E) on the sheet of a segment, with row pivoting: about n^2 N operations."""
        from scipy.linalg.lapack import zgbtrf  # heavy import, not needed in every run

        n = self.h.shape[1]
        band = self._band.copy()
        band[2 * n] += energy
        of_modes = mode_self_energies(np.array([energy]), self.modes, open_modes)[0]
        row, column = np.indices((n, n))
        for start, coupling in zip((0, self.size - n), self.couplings, strict=True):
            if coupling:
                band[2 * n + row - column, start + column] -= self.end_block(of_modes, coupling)
        lu, pivots, info = zgbtrf(band, n, n, overwrite_ab=True)
        if info > 0:  # exactly singular, as at degenerate levels: replace zero pivots by rounding errors
            lu[2 * n, lu[2 * n] == 0] = 1e-17 * (abs(energy) + self.modes.hopping)
        return Factorized(lu, pivots, n)

    def residual(self, energy: complex, open_modes: Mask, vectors: Vectors) -> Vectors:
        """K(E) v for states (N, k)."""
        out = energy * vectors - self.apply(vectors)
        of_modes = mode_self_energies(np.array([energy]), self.modes, open_modes)[0]
        n = self.h.shape[1]
        for rows, coupling in zip((slice(0, n), slice(-n, None)), self.couplings, strict=True):
            out[rows] -= self.end_block(of_modes, coupling) @ vectors[rows]
        return out


class Solver(Protocol):
    """K(E) at one energy, ready to be solved with."""

    def solve(self, b: Vectors) -> Vectors:
        """x with K x = b, (N, k)."""
        ...


@dataclass(frozen=True)
class Factorized:
    """LU factors of a band matrix (LAPACK's gbtrf)."""

    lu: Vectors
    pivots: NDArray[np.int32]
    bandwidth: int

    def solve(self, b: Vectors, adjoint: bool = False) -> Vectors:
        """x with K x = b or K^+ x = b, (N, k)."""
        from scipy.linalg.lapack import zgbtrs

        kl = self.bandwidth
        x, info = zgbtrs(self.lu, kl, kl, b, self.pivots, trans=2 if adjoint else 0)
        if info:
            raise ValueError(f"LAPACK gbtrs returned info = {info}")
        return np.ascontiguousarray(x)


def mode_roots(z: Vectors, modes: Modes, open_modes: Mask, advanced: bool = False) -> Vectors:
    """S = sqrt(x^2 - 1) of each mode at energies z (k,): (k, ny).

    For open modes +i sqrt(1 - x^2) (advanced: -i), which is analytic across the segment; for closed modes the branch
    whose waves decay into the lead.
    """
    x = (np.asarray(z, complex)[:, None] - modes.energies) / (2 * modes.hopping)
    across = (-1j if advanced else 1j) * np.sqrt(1 - x * x)
    return np.where(open_modes, across, np.sqrt(x - 1) * np.sqrt(x + 1))


def mode_self_energies(z: Vectors, modes: Modes, open_modes: Mask, advanced: bool = False) -> Vectors:
    """Sigma of each mode for a coupling c with c^2/t = 1, at energies z (k,): (k, ny), on the sheet of a segment."""
    x = (np.asarray(z, complex)[:, None] - modes.energies) / (2 * modes.hopping)
    root = mode_roots(z, modes, open_modes, advanced)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(open_modes, x - root, 1 / (x + root))
