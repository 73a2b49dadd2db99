"""Leads in real time: what they remember, as few decaying exponentials.

The electrons that left the device and may come back, and those that the lead sends in, are described for each channel
(lead, transverse mode, spin) by two functions of the time tau >= 0 that has passed,

    g(tau) = int dE/2pi      Gamma(E) exp(-i E tau) = sum_k g_k exp(-i z_k tau)
    n(tau) = int dE/2pi f(E) Gamma(E) exp(-i E tau) = sum_k a_k exp(-i z_k tau),      Im z_k < 0.

g is that of a chain (`memory.semicircle`), shifted by the energy of the mode.  The Fermi function is the rational one
of `near_poles`, f(E) ~ c + sum_p [w_p/(E - zeta_p) + c.c.], so that n follows exactly from g: at the exponents of g,
a_k = f(z_k) g_k, and the poles of f add exponents conj(zeta_p) with g = 0 and a_p = -i conj(w_p) Gamma(conj(zeta_p)).
Fluctuation and dissipation then agree at every energy, also outside the band, where Gamma is only small instead of
zero: equilibrium stays at rest, levels bound outside the band included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .memory import Exponentials
from .quadrature import FermiPoles

Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Reservoir:
    """A lead of ny modes as exponentials; energies are those at rest, a voltage shifts all of them.

    site: index along x of the slice that it is attached to.
    energies: z, (k, ny), Im < 0; weights: g, (k,), energy^2; filled: a, (k, ny), energy^2: the exponents of g.
    poles: conj(zeta), (p,), Im <= 0; pole_filled: a, (p, ny), energy^2: those of the Fermi function, where g = 0.
    """

    site: int
    energies: Complex
    weights: Complex
    filled: Complex
    poles: Complex
    pole_filled: Complex

    def padded(self, poles: int) -> Reservoir:
        """The same lead with so many poles of the Fermi function, or more: those that are added hold nothing."""
        more = poles - len(self.poles)
        if more <= 0:
            return self
        return replace(
            self,
            poles=np.concatenate([self.poles, np.repeat(self.poles[-1:], more)]),
            pole_filled=np.concatenate([self.pole_filled, np.zeros((more, *self.pole_filled.shape[1:]))]),
        )

    def self_energy(self, z: complex) -> Complex:
        """Sigma of each mode at an energy with Im z >= 0, (ny,)."""
        return (self.weights[:, None] / (z - self.energies)).sum(axis=0)

    def memory(self, tau: ArrayLike) -> Complex:
        """g of each mode at times tau >= 0 of any shape: (..., ny), energy^2."""
        t = np.asarray(tau, float)[..., None, None]
        return (self.weights[:, None] * np.exp(-1j * t * self.energies)).sum(axis=-2)

    def filled_memory(self, tau: ArrayLike) -> Complex:
        """n of each mode at times tau >= 0 of any shape: (..., ny), energy^2."""
        t = np.asarray(tau, float)[..., None, None]
        own = (self.filled * np.exp(-1j * t * self.energies)).sum(axis=-2)
        return own + (self.pole_filled * np.exp(-1j * t * self.poles[:, None])).sum(axis=-2)


def reservoir(
    site: int, coupling: float, hopping: float, modes: NDArray[np.float64], fit: Exponentials, rule: FermiPoles
) -> Reservoir:
    """The lead attached to slice `site` with hopping `coupling`, whose modes of energies `modes` (ny,) have `hopping`.

    fit: of a chain of hopping 1; rule: the Fermi function of the lead.
    """
    z = hopping * fit.energies[:, None] + modes
    g = coupling**2 * fit.weights
    poles = rule.nodes.conj()
    apart = poles[:, None, None] - z  # (p, k, ny)
    apart_conjugate = poles[:, None, None] - z.conj()
    # Gamma = i (Sigma - Sigma^+), continued to the poles
    gamma = 1j * (g[:, None] / apart - g.conj()[:, None] / apart_conjugate).sum(axis=1)
    return Reservoir(
        site=site,
        energies=z,
        weights=g,
        filled=g[:, None] * occupation(rule, z),
        poles=poles,
        pole_filled=-1j * rule.weights.conj()[:, None] * gamma,
    )


def occupation(rule: FermiPoles, z: Complex) -> Complex:
    """The rational Fermi function at complex energies of any shape."""
    above = (rule.weights / (z[..., None] - rule.nodes)).sum(axis=-1)
    below = (rule.weights.conj() / (z[..., None] - rule.nodes.conj())).sum(axis=-1)
    return rule.constant + above + below
