"""First order of an open or closed wire at kT = 0, however near the Fermi energy is to a band edge or a level.

The Fermi sea as one integral down the vertical line z = E_F + iy, graded to y = 2^-140, with a self-energy written in
terms of the distance to the edges, so that no digit of it is lost.
"""

from __future__ import annotations

import numpy as np

from tests.oracles.electrons_dense import SIGMA, hermitian_imaginary, panels, traced


def chain_end(z_from_edges, hopping):
    """g and dg/dE of a semi-infinite chain from E - (bottom, top) of its band, Im E >= 0."""
    bottom, top = z_from_edges
    middle = (bottom + top) / 2
    root = np.sqrt(bottom) * np.sqrt(top)
    g = (middle - root) / (2 * hopping**2)
    small = abs(middle) > 10 * hopping
    g = np.where(small, 2 / (middle + root), g)
    return g, -g / root


def wire_parts(wire, first=-140, last=60):
    """{"adiabatic", "sea", "surface"} (n, 4) of an oracle `Wire`."""
    mu, t, n = wire.fermi_energy, wire.hopping, wire.n
    y, w = panels(2.0 ** np.arange(first, last + 1), 16)

    def green(height):
        height = np.asarray(height, float)
        edges = [(mu - wire.onsite - s * 2 * t) + 1j * height for s in (-1, 1)]
        g, dg = chain_end(edges, t)
        sigma = np.zeros((len(height), 2 * n, 2 * n), complex)
        slope = np.zeros_like(sigma)
        for end, coupling in zip((slice(0, 2), slice(-2, None)), wire.couplings, strict=True):
            sigma[:, end, end] += coupling**2 * g[:, None, None] * np.eye(2)
            slope[:, end, end] += coupling**2 * dg[:, None, None] * np.eye(2)
        energy = mu + 1j * height
        G = np.linalg.inv(energy[:, None, None] * np.eye(2 * n) - wire.H - sigma)
        return G, np.eye(2 * n) - slope

    G, B = green(y)
    G1 = -0.5j * (G @ B @ G @ wire.Hd @ G - G @ wire.Hd @ G @ B @ G)
    # int_-inf^mu F dE = -i int_0^inf F(mu + iy) dy for F that falls off as 1/z^2; G itself has half of a circle more.
    sea = -hermitian_imaginary(-1j * np.einsum("k,kab->ab", w, G1)) / np.pi
    top = y[-1]
    adiabatic = -hermitian_imaginary(-1j * np.einsum("k,kab->ab", w, G)) / np.pi + np.eye(2 * n) / 2
    surface = np.zeros((2 * n, 2 * n), complex)
    if any(wire.couplings) and abs(mu - wire.onsite) < 2 * t:
        G = green([0.0])[0][0]
        Gd = G.conj().T
        surface = -((Gd @ wire.Hd @ Gd + G @ wire.Hd @ G) / 2 - G @ wire.Hd @ Gd) / (2 * np.pi)
    assert top > 1e15
    return {"adiabatic": traced(adiabatic), "sea": traced(sea), "surface": traced(surface)}


assert SIGMA.shape == (4, 2, 2)
