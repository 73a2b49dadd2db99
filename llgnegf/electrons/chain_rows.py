"""Calls of the kernels of a chain (`green.py`): allocate arrays, share energies among threads, repeat with another
algorithm the energies at which a level of a partial chain costs too many digits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .chain_rules import Contour
from .counter import Counter
from .green import biased_terms, contour_sums, contour_sums_near_levels, ends_near_levels, surface_terms
from .pauli import IDENTITY
from .slice_blocks import backwards
from .threads import spread

# Relative rounding error of a few operations on 2 x 2 blocks.
_ROUNDING = 16 * float(np.finfo(float).eps)


@lru_cache(maxsize=8)
def _no_perturbation(n_sites: int, n_energies: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    return np.zeros((n_sites, 2, 2), complex), np.zeros((n_energies, 2, 2, 2), complex)


@lru_cache(maxsize=8)
def identity_blocks(n_sites: int) -> NDArray[np.complex128]:
    return np.tile(IDENTITY, (n_sites, 1, 1))


@dataclass(frozen=True)
class ContourRows:
    """Results of `green.contour_sums` at n energies for N sites.

    rows: (n, 4, N, 4), integrands on the sites; logdet: (n,), ln det G^-1; bonds: (n, 4, N - 1, 4), flows over the
    bonds, or (0, ...) if they were not requested; ends: (n, 2, 2, 2, 2), blocks [energy, G or G Y G, left or right] of
    the end sites.
    """

    rows: NDArray[np.float64]
    logdet: NDArray[np.complex128]
    bonds: NDArray[np.float64]
    ends: NDArray[np.complex128]


def contour_rows(
    z: NDArray[np.complex128],
    weights: NDArray[np.complex128],
    blocks: NDArray[np.complex128],
    hops: NDArray[np.float64],
    sigma: tuple[NDArray[np.complex128], NDArray[np.complex128]],
    order: int = 0,
    X: NDArray[np.complex128] | None = None,
    Y: NDArray[np.complex128] | None = None,
    x_ends: NDArray[np.complex128] | None = None,
    y_ends: NDArray[np.complex128] | None = None,
    with_bonds: bool = False,
    *,
    counter: Counter,
    bound: float = np.inf,
) -> ContourRows:
    """The kernel `contour_sums` at complex energies z (n,), shared among threads; nothing else calls this kernel.

    bound: allowed rounding error of a density.  Nodes so close to a level of a partial chain that rounding is larger
    are evaluated again with `contour_sums_near_levels`.
    """
    n, n_energies = len(blocks), len(z)
    no_blocks, no_ends = _no_perturbation(n, n_energies)
    X, Y = no_blocks if X is None else X, no_blocks if Y is None else Y
    x_ends, y_ends = no_ends if x_ends is None else x_ends, no_ends if y_ends is None else y_ends
    out = np.empty((n_energies, 4, n, 4))
    bonds = np.empty((n_energies if with_bonds else 0, 4, n - 1, 4))
    logdet, growth = np.empty(n_energies, complex), np.empty(n_energies)
    ends = np.empty((n_energies, 2, 2, 4), complex)

    def kernel(s: slice) -> None:
        given = z[s], weights[s], blocks, hops, sigma[0][s], sigma[1][s], order, X, Y, x_ends[s], y_ends[s]
        contour_sums(*given, out[s], logdet[s], bonds[s], ends[s], growth[s])

    counter.add(n_energies)
    spread(n_energies, n, kernel)
    if order > 0 and n > 1:
        hopping = float(hops.max())
        redo = np.flatnonzero(_lost_digits(abs(weights), hopping, growth, order) > bound)
        if len(redo):
            w, again, bonds_again, ends_again = (a[redo] for a in (weights, out, bonds if with_bonds else out, ends))
            at_ends = [e[redo] for e in (*sigma, x_ends, y_ends)]
            bonds_again = bonds_again if with_bonds else bonds

            def careful_kernel(s: slice) -> None:
                left, right, x, y = (e[s] for e in at_ends)
                given = z[redo][s], w[s], blocks, hops, left, right, order, X, Y, x, y, hopping
                contour_sums_near_levels(*given, again[s], bonds_again[s])
                ends_near_levels(z[redo][s], blocks, hops, left, right, Y, y, ends_again[s])

            spread(len(redo), n, careful_kernel)
            out[redo], ends[redo] = again, ends_again
            if with_bonds:
                bonds[redo] = bonds_again
    return ContourRows(out, logdet, bonds, ends.reshape(n_energies, 2, 2, 2, 2))


def contour_integral(
    blocks: NDArray[np.complex128],
    hops: NDArray[np.float64],
    contour: Contour,
    order: int = 0,
    X: NDArray[np.complex128] | None = None,
    Y: NDArray[np.complex128] | None = None,
    x_ends: NDArray[np.complex128] | None = None,
    y_ends: NDArray[np.complex128] | None = None,
    with_bonds: bool = False,
    *,
    counter: Counter,
) -> tuple[NDArray[np.float64], NDArray[np.complex128], NDArray[np.float64]]:
    """-(1/pi) int f Im F for F = G, G X G, G Y G and -(i/2)(G X G Y G - G Y G X G), without the constant of the rule.

    Returns the densities (4, n, 4), ln det G^-1 at each node and, if `with_bonds`, the flow over each bond,
    (4, n - 1, 4) (`green.contour_sums`).  The last axis holds traces with 1, sigma_x, sigma_y, sigma_z.
    """
    rule, ends = contour.rule, (x_ends, y_ends)
    where = rule.nodes, rule.weights, blocks, hops, contour.sigma
    found = contour_rows(*where, order, X, Y, *ends, with_bonds, counter=counter, bound=rule.bound)
    # Rows are added in the order of the nodes: the result does not depend on the number of threads.
    return found.rows.sum(axis=0), found.logdet, found.bonds.sum(axis=0)


@dataclass(frozen=True)
class SurfaceRows:
    """Results of `green.surface_terms` at n real energies for N sites.

    rows: (n, 3, N, 4), integrands on the sites; amplitudes: (n, 2, 2, 2, 2), scattering amplitudes; bonds:
    (n, 3, N - 1, 4), flows over the bonds, or (0, ...) if they were not requested; driven: (n, 2, 2, 2), the change of
    the reflection into each lead caused by Y.
    """

    rows: NDArray[np.float64]
    amplitudes: NDArray[np.complex128]
    bonds: NDArray[np.float64]
    driven: NDArray[np.complex128]


def surface_rows(
    energies: np.ndarray,
    blocks: NDArray[np.complex128],
    hops: NDArray[np.float64],
    sigma: tuple[NDArray[np.complex128], NDArray[np.complex128]],
    roots: NDArray[np.complex128],
    Y: NDArray[np.complex128],
    K: NDArray[np.complex128],
    with_bonds: bool = False,
    *,
    counter: Counter,
) -> SurfaceRows:
    """The kernel `surface_terms` at real energies, shared among threads; nothing else calls this kernel."""
    # Elimination starts at the better connected end.  Starting from a closed end, the partial chain would have
    # discrete levels, and energies close to one would lose digits.
    mirrored = abs(sigma[0].imag).max() < abs(sigma[1].imag).max()
    if mirrored:
        flip = np.ascontiguousarray
        blocks, hops, Y = flip(blocks[::-1]), backwards(hops), flip(Y[::-1])
        sigma, roots = (sigma[1], sigma[0]), flip(roots[:, ::-1])
    n, n_energies = len(blocks), len(energies)
    out = np.empty((n_energies, 3, n, 4))
    bonds = np.empty((n_energies if with_bonds else 0, 3, n - 1, 4))
    amplitudes = np.empty((n_energies, 2, 2, 2, 2), complex)
    driven = np.empty((n_energies, 2, 2, 2), complex)
    z = np.asarray(energies, complex)

    def kernel(s: slice) -> None:
        received = out[s], amplitudes[s], bonds[s], driven[s]
        surface_terms(z[s], blocks, hops, sigma[0][s], sigma[1][s], roots[s], Y, K, *received)

    counter.add(n_energies)
    spread(n_energies, n, kernel)
    if mirrored:
        return SurfaceRows(out[:, :, ::-1], amplitudes[:, ::-1, ::-1], -bonds[:, :, ::-1], driven[:, ::-1])
    return SurfaceRows(out, amplitudes, bonds, driven)


@dataclass(frozen=True)
class BiasedRows:
    """Scattering states of either lead at n real energies, *s the shape of the system.

    Axes [energy, lead that they come from, psi psi^+ or its change to first order, ..., trace]; on lattices where leads
    have a spin bias each of their spins counts as one, 4 in place of 2:
    rows: (n, 2, f, *s, 4), on the sites, 1/energy; f is 2 with the change, which is per time as well, else 1.
    bonds: (n, 2, f, ..., 4), flows over the bonds in the layout of `Sweeps.flows`, or (0, ...) if not requested.
    flows: (n, 2, f, 2, 4), flow over the first bond of the left and the right lead into it.
    stored: (n, 2, f - 1, 2), energy that the left and the right lead get from their first bonds, beside the energy of
    the particles in `flows`.
    """

    rows: NDArray[np.float64]
    bonds: NDArray[np.float64]
    flows: NDArray[np.float64]
    stored: NDArray[np.float64]


def biased_rows(
    energies: NDArray[np.float64],
    blocks: NDArray[np.complex128],
    hops: NDArray[np.float64],
    sigma: NDArray[np.complex128],
    slopes: NDArray[np.complex128],
    Y: NDArray[np.complex128] | None,
    with_bonds: bool = False,
    *,
    counter: Counter,
) -> BiasedRows:
    """The kernel `biased_terms` at real energies (n,), shared among threads; nothing else calls this kernel.

    sigma, slopes: (n, 2) Sigma and dSigma/dE of left and right; Y: dH/dt (N, 2, 2), or None without the first order.
    """
    n, n_energies, order = len(blocks), len(energies), int(Y is not None)
    roots = np.sqrt(np.maximum(-2 * sigma.imag, 0.0))
    Y = _no_perturbation(n, 0)[0] if Y is None else Y
    mirrored = abs(sigma[:, 0].imag).sum() < abs(sigma[:, 1].imag).sum()  # see `surface_rows`
    if mirrored:
        flip = np.ascontiguousarray
        blocks, hops, Y = flip(blocks[::-1]), backwards(hops), flip(Y[::-1])
        sigma, slopes, roots = (flip(one[:, ::-1]) for one in (sigma, slopes, roots))
    out = np.empty((n_energies, 2, order + 1, n, 4))
    bonds = np.empty((n_energies if with_bonds else 0, 2, order + 1, n - 1, 4))
    flows = np.empty((n_energies, 2, order + 1, 2, 4))
    stored = np.empty((n_energies, 2, order, 2))

    def kernel(s: slice) -> None:
        given = energies[s], blocks, hops, sigma[s], slopes[s], roots[s], Y, order
        biased_terms(*given, out[s], bonds[s], flows[s], stored[s])

    counter.add(n_energies)
    spread(n_energies, n, kernel)
    if mirrored:
        out, bonds, flows = out[:, ::-1, :, ::-1], -bonds[:, ::-1, :, ::-1], flows[:, ::-1, :, ::-1]
        stored = stored[:, ::-1, :, ::-1]
    return BiasedRows(out, bonds, flows, stored)


def _lost_digits(weights, hopping, growth, order):
    """Estimated rounding error of a sum over poles with these weights in `contour_sums` of `order` 1 or 2.

    growth: largest Green's function of the partial chains, which enters once for each factor g in the formula.
    """
    return _ROUNDING * weights / hopping * (hopping * growth) ** (order + 1)
