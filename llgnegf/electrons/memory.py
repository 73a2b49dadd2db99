"""The memory of a chain lead as a few decaying exponentials, with a broadening that is nowhere negative.

A semi-infinite chain with hopping 1, attached by a bond of strength 1, band centre 0, has the self-energy (`modes.py`)

    Sigma(E) = E/2 - sqrt(E/2 - 1) sqrt(E/2 + 1),   Gamma(E) = -2 Im Sigma(E) = sqrt(4 - E^2) within the band, else 0,

and remembers what was on its first site for g(tau) = int dE/2pi Gamma(E) exp(-i E tau) = J_1(2 tau)/tau.  Any other
chain lead follows by scaling: hopping t, coupling c, band centre e give c^2 exp(-i e tau) g(t tau).

    g(tau) ~ sum_k g_k exp(-i z_k tau),   Sigma(E) ~ sum_k g_k/(E - z_k),   Im z_k < 0.

**Passivity.** With Gamma(E) < 0 at any real E, a level of the device there would gain particles from nowhere and grow
exponentially.  So the broadening of the fit is a square by construction,

    Gamma(E) = Gamma(0) prod_j (1 - E^2/s_j^2)^2 / prod_k |1 - E/z_k|^2,   s_j > 2 real,   2 #s < #z,

whose double zeros s_j lie outside the band; the weights follow as the residues of i Sigma.  Poles come in pairs
z, -z^*, because the band is symmetric and g real.

**How good it can be.** Both band edges are square roots.  Poles that accumulate there geometrically (Newman 1964;
Stahl 1993; Gopal and Trefethen, SIAM J. Numer. Anal. 57, 2074 (2019)) give an error that falls as exp(-pi sqrt(1.5 K))
in the largest |error of g(tau)| over all times; the parameters in `memory_table.py` are optimal in this sense.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import j1

from llgnegf.electrons.memory_table import PARAMETERS
from llgnegf.electrons.quadrature import ToleranceError


@dataclass(frozen=True, eq=False)
class Exponentials:
    """g(tau) = sum_k weights_k exp(-i energies_k tau) for tau >= 0, and the self-energy that belongs to it.

    energies: (k,) complex, Im < 0, in pairs z, -z^*; weights: (k,) complex, in pairs g, g^*; zeros: (m,), > 2, m < k/2:
    the broadening has double zeros at +-zeros and no other real ones; error: largest |g(tau) - J_1(2 tau)/tau| for
    0 <= tau <= the duration that was asked for.  Units: hopping 1, coupling 1, centre of the band 0.
    """

    energies: NDArray[np.complex128]
    weights: NDArray[np.complex128]
    zeros: NDArray[np.float64]
    error: float

    def memory(self, tau: ArrayLike) -> NDArray[np.float64]:
        """g at times tau >= 0 of any shape."""
        return (np.exp(-1j * np.asarray(tau, float)[..., None] * self.energies) @ self.weights).real

    def self_energy(self, energy: ArrayLike) -> NDArray[np.complex128]:
        """Retarded Sigma at energies of any shape, Im >= 0."""
        return (self.weights / (np.asarray(energy, complex)[..., None] - self.energies)).sum(axis=-1)

    def broadening(self, energy: ArrayLike) -> NDArray[np.float64]:
        """Gamma = -2 Im Sigma at real energies of any shape, from its factors: not below 0 by rounding either."""
        at = np.asarray(energy, float)[..., None]
        # Pole by pole, so that nothing overflows far outside the band.
        ratios = 1 / abs(1 - at / self.energies)
        ratios[..., : 2 * len(self.zeros)] *= 1 - at / np.concatenate([self.zeros, -self.zeros])
        return -2 * self.self_energy(0.0).imag * np.prod(ratios, axis=-1) ** 2


@lru_cache(maxsize=64)
def semicircle(tolerance: float, duration: float = math.inf) -> Exponentials:
    """The fewest exponentials of the table with |g(tau) - J_1(2 tau)/tau| <= tolerance for 0 <= tau <= duration.

    tolerance: > 0, relative to g(0) = 1; duration: > 0, in units of hbar/hopping.  The broadening is >= 0 at every real
    energy, and g decays, also beyond the duration.
    Raises ToleranceError if no fit of the table is that good.
    """
    if not (tolerance > 0 and duration > 0):
        raise ValueError(f"tolerance = {tolerance} and duration = {duration} must be positive")
    times = _times(duration)
    exact = np.where(times > 0, j1(2 * times) / np.where(times > 0, times, 1.0), 1.0)
    best = math.inf
    for parameters in PARAMETERS.values():
        energies, weights, zeros = _from_parameters(*parameters)
        fit = Exponentials(energies, weights, zeros, 0.0)
        best = min(best, error := float(abs(fit.memory(times) - exact).max()))
        if error <= tolerance:
            for array in (energies, weights, zeros):
                array.flags.writeable = False
            return Exponentials(energies, weights, zeros, error)
    raise ToleranceError(
        f"electrons.tolerance = {tolerance:g}: the memory of a lead as exponentials is known to {best:.1e} only; "
        f"use a tolerance of {1.05 * best:.1e} or more"
    )


def _from_parameters(
    widths: list[float], edges: list[float], middle: list[float], zeros: list[float], height: float
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.float64]]:
    """Poles, weights and zeros from a line of the table (logarithms, see there)."""
    right = 2 - np.exp(edges) - 1j * np.exp(widths)
    z = np.concatenate([right, -right.conj(), -1j * np.exp(middle)])
    s = 2 + np.exp(zeros)
    # -i times the residue of Gamma(E) at z_k.  In real arithmetic Gamma is a product over pairs E - z_j, E - z_j^*.
    others = z[:, None] - z
    np.fill_diagonal(others, 1.0)
    numerator = np.prod(1 - (z[:, None] / s) ** 2, axis=1) ** 2
    moduli = abs(z) ** 2
    weights = -1j * math.exp(height) * numerator * np.prod(moduli / (others * (z[:, None] - z.conj())), axis=1)
    return z, weights, s


def _times(duration: float) -> NDArray[np.float64]:
    """Times at which the error of a fit is measured: all of 0 ... 30, then bursts of half a period, graded.

    The error oscillates with the band edges, cos(2 tau), and its envelope changes on a logarithmic scale.
    """
    early = np.arange(0.0, min(30.0, duration), 0.02)
    if duration <= 30.0:
        return np.append(early, duration)
    bursts = np.geomspace(30.0, 1e8, 500)[:, None] + np.arange(16) * (np.pi / 32)
    return np.concatenate([early, bursts[bursts <= duration]])
