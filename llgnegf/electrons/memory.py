"""The memory of a chain lead as a few decaying exponentials, with a broadening that is nowhere negative.

A semi-infinite chain with hopping 1, attached by a bond of strength 1, band centre 0, has the self-energy (`modes.py`)

    Sigma(E) = E/2 - sqrt(E/2 - 1) sqrt(E/2 + 1),   Gamma(E) = -2 Im Sigma(E) = sqrt(4 - E^2) within the band, else 0,

and remembers what was on its first site for g(tau) = int dE/2pi Gamma(E) exp(-i E tau) = J_1(2 tau)/tau.  Any other
chain lead follows by scaling: hopping t, coupling c, band centre e have c^2 exp(-i e tau) g(t tau).

    g(tau) ~ sum_k g_k exp(-i z_k tau),   Sigma(E) ~ sum_k g_k/(E - z_k),   Im z_k < 0.

**Passivity.** With Gamma(E) < 0 at any real E, a level of the device there would gain particles from nowhere and grow
exponentially.  So the broadening of the fit is a square by construction,

    Gamma(E) = Gamma(0) prod_j (1 - E^2/s_j^2)^2 / prod_k |1 - E/z_k|^2,   s_j > 2 real,   2 #s < #z,

with double zeros s_j outside the band; the weights follow as its residues at z_k times -i.  Poles come in pairs
z, -z^*, since the band is symmetric and g real.  Complex zeros gain nothing (tried for K = 8: they become real).

**Which error.** The error of late times is left over from the band edges: it oscillates as cos(2 tau), slowly changing,
and a device without a level there averages it out.  An error at time tau therefore counts as |error|/(1 + tau)^(3/4).
Density matrices of small devices (quenches; in the band, weakly coupled, at the band edges, with bound states) are
several times closer to the exact ones than with as many exponentials that make the largest error itself small, from the
first moment to 10^4 hbar/t, and no exponent did better for all of them.  In equilibrium, and where all levels lie
within the band, the error of the density matrix stays below the tolerance; with bound states, or levels within 0.2 t of
a band edge, it grows with the time after a quench, to about tolerance * time * t/hbar.

**How good it can be.** Both band edges are square roots, for which poles accumulate geometrically (Newman 1964;
Stahl 1993; Gopal and Trefethen, SIAM J. Numer. Anal. 57, 2074 (2019)), with an error of exp(-pi sqrt(3 K/2)) for the
largest error and exp(-pi sqrt(9 K/4)) for the one used here.  The parameters in `memory_table.py` follow this law,
to a few per cent up to K = 18 and within a factor of 1.7 beyond; without passivity the same K would have an error
smaller by a quarter or a third only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.electrons.memory_table import ERRORS, PARAMETERS
from llgnegf.electrons.quadrature import ToleranceError

# An error of g at time tau counts as |error|/(1 + tau)^FORGIVEN.
FORGIVEN = 0.75


@dataclass(frozen=True, eq=False)
class Exponentials:
    """g(tau) = sum_k weights_k exp(-i energies_k tau) for tau >= 0, and the self-energy that belongs to it.

    energies: (k,) complex, Im < 0, in pairs z, -z^*; weights: (k,) complex, in pairs g, g^*; zeros: (m,), > 2, m < k/2:
    the broadening has double zeros at +-zeros and no other real ones.  error: largest
    |g(tau) - J_1(2 tau)/tau|/(1 + tau)^(3/4) over all tau, what a tolerance bounds;
    largest_error: largest |g(tau) - J_1(2 tau)/tau| itself.  Units: hopping 1, coupling 1, centre of the band 0.
    """

    energies: NDArray[np.complex128]
    weights: NDArray[np.complex128]
    zeros: NDArray[np.float64]
    error: float
    largest_error: float

    def memory(self, tau: ArrayLike) -> NDArray[np.float64]:
        """g at times tau >= 0 of any shape."""
        return sum_of_exponentials(self.energies, self.weights, np.asarray(tau, float))

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


# No fit of the table has a smaller error.
SHARPEST = 2.5e-10


@lru_cache(maxsize=64)
def semicircle(tolerance: float) -> Exponentials:
    """The fewest exponentials with |g(tau) - J_1(2 tau)/tau| <= tolerance (1 + tau)^(3/4) for all tau >= 0.

    tolerance: > 0, relative to g(0) = 1.  Returns the same object for the same tolerance; its arrays are read-only.
    The time of a run does not matter: fits for tau <= 50 alone would save less than one exponential.
    Raises ToleranceError if the best fit is not that good.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance = {tolerance} must be positive")
    for count, (error, largest_error) in ERRORS.items():
        if error <= tolerance:
            energies, weights, zeros = from_parameters(*PARAMETERS[count])
            for array in (energies, weights, zeros):
                array.flags.writeable = False
            return Exponentials(energies, weights, zeros, error, largest_error)
    best = min(error for error, _ in ERRORS.values())
    raise ToleranceError(
        f"electrons.tolerance = {tolerance:g}: the memory of a lead is known as exponentials to {best:.2g} only; "
        f"use a tolerance of {1.1 * best:.1e} or more"
    )


def sum_of_exponentials(
    energies: NDArray[np.complex128], weights: NDArray[np.complex128], tau: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum of the exponentials, real because of the pairs."""
    return (np.exp(-1j * tau[..., None] * energies) @ weights).real


def from_parameters(
    widths: list[float], edges: list[float], middle: list[float], zeros: list[float], height: float
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.float64]]:
    """Poles, weights and zeros from an entry of the table (logarithms, see there)."""
    right = 2 - np.exp(edges) - 1j * np.exp(widths)
    z = np.concatenate([right, -right.conj(), -1j * np.exp(middle)])
    s = 2 + np.exp(zeros)
    # -i times the residue of Gamma(E) at z_k, where |E - z_j|^2 continues as (E - z_j)(E - z_j^*).
    others = z[:, None] - z
    np.fill_diagonal(others, 1.0)
    squares = np.prod(1 - (z[:, None] / s) ** 2, axis=1) ** 2
    ratios = abs(z) ** 2 / (others * (z[:, None] - z.conj()))
    return z, -1j * math.exp(height) * squares * np.prod(ratios, axis=1), s
