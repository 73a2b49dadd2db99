"""Retarded self-energies of semi-infinite leads, in closed form.

The lead is a semi-infinite tight-binding chain with the hopping `t` and the on-site energy of the wire, attached to
the device through the bond `coupling` (the papers' gamma_c).  With x = (E - onsite)/2t

    Sigma(E) = (coupling^2/t) (x - sqrt(x - 1) sqrt(x + 1)) = (coupling^2/t) / (x + sqrt(x - 1) sqrt(x + 1)).

The product of roots (not the root of the product) is on the retarded sheet for every Im E >= 0, on the real axis it
is the limit from above; the second form has no cancellation far from the band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIDES = ("left", "right")


@dataclass(frozen=True)
class Lead:
    """One semi-infinite chain lead.

    side: "left" (first x) or "right" (last x).  coupling: hopping of the bond to the device, energy; 0 disconnects.
    """

    side: str
    coupling: float = 1.0

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise ValueError(f"side = {self.side!r} of a lead: use 'left' or 'right'")
        if not (np.isfinite(self.coupling) and self.coupling >= 0):
            raise ValueError(f"coupling = {self.coupling!r} of the {self.side} lead: use a finite number >= 0")


def chain_self_energy(
    energy: ArrayLike, hopping: float, coupling: float, onsite: float = 0.0
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Self-energy of a chain lead and its derivative dSigma/dE (energy units; the derivative is dimensionless).

    energy: complex with Im E >= 0, any shape.  At a band edge (E = onsite +- 2t exactly) the derivative diverges;
    it is returned as 0 there, a set of measure zero for every integral.
    """
    x = (np.asarray(energy, dtype=complex) - onsite) / (2 * hopping)
    root = np.sqrt(x - 1) * np.sqrt(x + 1)
    sigma = (coupling**2 / hopping) / (x + root)
    safe = np.where(root == 0, 1.0, root)
    derivative = np.where(root == 0, 0.0, -sigma / (2 * hopping * safe))
    return sigma, derivative
