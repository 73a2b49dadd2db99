"""A pole rule along the vertical line above E_F, for Green's functions with tails: of levels between wide bands.

    -(1/pi) int f Im F dE = -[ sum_k R_k F(z_k) + h.c. ],        z_k = E_F + i y_k

holds for every F that is analytic in the upper half plane, without bounds of a spectrum: at kT = 0, R_k = -w_k/2pi
with the weights of int_0^inf dy; at kT > 0 the y_k are the Matsubara frequencies (2 n + 1) pi kT with R = -kT.  From
the M-th one on their sum is the integral from Y = 2 pi kT M, corrected by the first term of Euler and Maclaurin's
formula, h^2/24 dF/dy (h = 2 pi kT); what is left is of order M^-4.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .quadrature import FermiPoles, ToleranceError

_MATSUBARA = 100
_GAUSS = np.polynomial.legendre.leggauss(16)
# Beyond so many times the largest distance of a level the integral is taken in 1/y.
_FAR = 4.0
# dF/dy by a difference of fourth order with this share of y as step.
_STEP = 0.02


def line_rule(fermi_energy: float, temperature: float, levels: NDArray[np.complex128]) -> FermiPoles:
    """The rule for G with these poles below the real axis; `constant` holds for F that falls off as 1/E, as G does."""
    distances = abs(levels - fermi_energy)
    nearest, farthest = float(distances.min()), float(distances.max())
    if not nearest > 1e-12 * max(farthest, abs(fermi_energy)):
        raise ToleranceError(f"a level lies at fermi_energy = {fermi_energy:g} and has no width: use another one")
    y: NDArray[np.float64] = np.empty(0)
    weights: NDArray[np.float64] = np.empty(0)
    if temperature:
        h = 2 * np.pi * temperature
        start = h * _MATSUBARA
        y = np.asarray(h * (np.arange(_MATSUBARA) + 0.5), float)
        weights = np.full(_MATSUBARA, h)
        slope = np.array([1.0, -8.0, 8.0, -1.0]) / (12 * _STEP * start)
        y = np.concatenate([y, start * (1 + _STEP * np.array([-2.0, -1.0, 1.0, 2.0]))])
        weights = np.concatenate([weights, h**2 / 24 * slope])
        edges = [start]
    else:
        edges = [0.0, nearest / 2]
    while edges[-1] < _FAR * max(farthest, nearest):
        edges.append(2 * edges[-1])
    x, w = _GAUSS
    for a, b in pairwise(edges):
        y = np.concatenate([y, (a + b) / 2 + (b - a) / 2 * x])
        weights = np.concatenate([weights, (b - a) / 2 * w])
    u = (1 + x) / (2 * edges[-1])
    y, weights = np.concatenate([y, 1 / u]), np.concatenate([weights, w / (2 * edges[-1] * u**2)])
    return FermiPoles(fermi_energy + 1j * y, (-weights / (2 * np.pi)).astype(complex), 0.5, 1e-10)
