"""First order at kT = 0, however near the Fermi energy is to the opening of a mode, a band edge or a level.

The Fermi sea is one integral down the vertical line z = E_F + iy, in panels that halve down to y = 2^-140, with
self-energies written in terms of the distances to the edges of their band, so that no digit of those is lost.
"""

from __future__ import annotations

import numpy as np

from tests.oracles.electrons_dense import hermitian_imaginary, panels, traced


def chain_end(bottom, top, hopping):
    """g and dg/dE of a semi-infinite chain; bottom, top: E minus the edges of its band, Im E >= 0."""
    middle, root = (bottom + top) / 2, np.sqrt(bottom) * np.sqrt(top)
    g = np.where(abs(middle) > 10 * hopping, 2 / (middle + root), (middle - root) / (2 * hopping**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return g, -g / root


def first_order(mu, H, Hd, lead, is_open):
    """{"adiabatic", "sea", "surface"}: density matrices, all (2n, 2n).

    lead: y (k,) -> Sigma and dSigma/dE of all leads at mu + iy, (k, 2n, 2n); is_open: whether any mode is, at mu.
    """
    y, w = panels(2.0 ** np.arange(-140, 61), 16)
    one = np.eye(len(H))

    def green(height):
        sigma, slope = lead(height)
        return np.linalg.inv((mu + 1j * height)[:, None, None] * one - H - sigma), one - slope

    # int_-inf^mu F dE = -i int_0^inf F(mu + iy) dy for F that falls off as 1/z^2; G has a quarter of a circle more.
    sea, adiabatic = np.zeros((2, *H.shape), complex)
    for part in np.array_split(np.arange(len(y)), 1 + len(y) * len(H) ** 2 // 10**6):
        G, B = green(y[part])
        adiabatic += np.einsum("k,kab->ab", w[part], G)
        ahead = G @ Hd @ G
        sea += np.einsum("k,kab->ab", w[part], -0.5j * (G @ B @ ahead - ahead @ B @ G))
    surface = np.zeros_like(sea)
    if is_open:
        G = green(np.zeros(1))[0][0]
        Gd = G.conj().T
        surface = -((Gd @ Hd @ Gd + G @ Hd @ G) / 2 - G @ Hd @ Gd) / (2 * np.pi)
    return {
        "adiabatic": -hermitian_imaginary(-1j * adiabatic) / np.pi + one / 2,
        "sea": -hermitian_imaginary(-1j * sea) / np.pi,
        "surface": surface,
    }


def wire_parts(wire):
    """(n, 4) by origin of an oracle `Wire`."""
    mu, t, size = wire.fermi_energy, wire.hopping, 2 * wire.n

    def lead(y):
        pair = chain_end(*((mu - wire.onsite + edge) + 1j * y for edge in (2 * t, -2 * t)), t)
        out = np.zeros((2, len(y), size, size), complex)
        for end, coupling in zip((slice(0, 2), slice(-2, None)), wire.couplings, strict=True):
            for matrix, value in zip(out, pair, strict=True):
                matrix[:, end, end] += coupling**2 * value[:, None, None] * np.eye(2)
        return out

    is_open = any(wire.couplings) and abs(mu - wire.onsite) < 2 * t
    return {name: traced(rho) for name, rho in first_order(mu, wire.H, wire.Hd, lead, is_open).items()}


def lattice_parts(lattice):
    """(nx, ny, 4) by origin of an oracle `Lattice`."""
    mu, t, ny = lattice.fermi_energy, lattice.hopping, lattice.ny
    energies, vectors = np.linalg.eigh(lattice.column)

    def lead(y):
        pair = chain_end(*((mu - energies + edge) + 1j * y[:, None] for edge in (2 * t, -2 * t)), t)
        out = np.zeros((2, len(y), *lattice.H.shape), complex)
        for end, coupling in zip((slice(0, 2 * ny), slice(-2 * ny, None)), lattice.couplings, strict=True):
            for matrix, value in zip(out, pair, strict=True):
                in_space = np.einsum("ym,km,zm->kyz", vectors, value, vectors)
                matrix[:, end, end] += coupling**2 * np.kron(in_space, np.eye(2))
        return out

    is_open = any(lattice.couplings) and (abs(mu - energies) < 2 * t).any()
    parts = first_order(mu, lattice.H, lattice.Hd, lead, is_open)
    return {name: lattice.on_sites(rho) for name, rho in parts.items()}
