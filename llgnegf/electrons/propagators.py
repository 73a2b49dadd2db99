"""The protocol `Propagators`: what response tensors need of the electrons.

Indices of matrices are 2 site + spin.  A *reservoir* fills scattering states with a Fermi function of its own: a lead,
or the electrons of one spin direction in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .leads import Occupation
from .quadrature import FermiPoles
from .scattering_matrix import Waves
from .window import Factor, Rule

Floats = NDArray[np.float64]
Matrices = NDArray[np.complex128]


class Integrand(Protocol):
    """Values (n, factors, c) that are to be integrated and values (n, factors, 4 sites) of G Gamma G^+, traced."""

    def __call__(self, energies: Floats, /) -> tuple[Floats, Floats]: ...


class Propagators(Protocol):
    """Green's functions of electrons at fixed moments.

    exchange: (sites,) J_sd on each site, energy: dH/dm_i = -J_i sigma.  owner: (sites,) which moment acts there.
    scale: a typical energy (the hopping); tolerance: of densities.  reservoirs: Fermi functions of scattering states;
    occupation: that of everything else, the reference.  thresholds: energies at which modes open.
    """

    exchange: Floats
    owner: NDArray[np.intp]
    scale: float
    tolerance: float
    occupation: Occupation
    reservoirs: tuple[Occupation, ...]
    thresholds: Floats

    def at(self, z: NDArray[np.inexact], order: int) -> list[Matrices]:
        """G, and dG/dz for order = 1, at energies z (k,), Im z >= 0: (k, 2 sites, 2 sites) each."""
        ...

    def spectral(self, energies: Floats, green: Matrices) -> Matrices:
        """A_r = G Gamma_r G^+ of each reservoir at real energies (k,), where G is `green`: (k, r, 2 sites, 2 sites)."""
        ...

    def spectral_slope(self, energies: Floats, green: Matrices, slope: Matrices) -> Matrices:
        """dA_r/dE at real energies (k,), where G and dG/dE are `green` and `slope`: (k, r, 2 sites, 2 sites)."""
        ...

    def waves(self, energy: float) -> Waves:
        """The open channels at a real energy; see `scattering_matrix`."""
        ...

    def rule(self, wider: float = 0.0) -> FermiPoles:
        """Poles of the Fermi function `occupation` on the spectrum, and `wider` (energy) beyond it on either side."""
        ...

    def thermal(self, integrand: Integrand) -> Rule:
        """A rule for int (-df/dE) dE at kT > 0; integrand with one factor."""
        ...

    def biased(self, integrand: Integrand) -> Rule | None:
        """A rule for int (f_r - f) dE, one factor for each reservoir; None where all are filled by f."""
        ...

    def biased_slopes(self, integrand: Integrand) -> Rule:
        """A rule for int (df_r/dE - df/dE) dE, one factor for each reservoir, where `biased` is not None."""
        ...

    def between(self, factor: Factor, low: float, high: float, shift: float, integrand: Integrand) -> Rule:
        """A rule for int w(E) dE over low < E < high; shift: G is needed at E + shift too."""
        ...

    def check(self, response: Floats) -> None:
        """Raise ToleranceError where rounding of E_F changes such a first-order response by more than the tolerance."""
        ...


def chunks(n: int, orbitals: int) -> list[slice]:
    """Slices of n energies whose matrices (orbitals, orbitals) stay within some ten MB each."""
    size = max(1, int(1_000_000 / orbitals**2))
    return [slice(a, min(a + size, n)) for a in range(0, n, size)]


def slope_rule(
    reservoirs: Sequence[Occupation],
    reference: Occupation,
    reach: float,
    adapted: Callable[[Sequence[Factor], float, float], Rule],
) -> Rule:
    """A rule for int (df_r/dE - df/dE) dE, one factor for each reservoir r; of a step at kT = 0 where it stands.

    reach: beyond how many kT a slope is zero; adapted: a rule for these factors between two energies.
    """
    every = (*reservoirs, reference)
    steps = sorted({one.fermi_energy for one in every if not one.temperature})
    weights = np.array([[_at_step(one, e) - _at_step(reference, e) for e in steps] for one in reservoirs])
    points = Rule(np.array(steps), weights.reshape(len(reservoirs), len(steps)), np.empty((len(steps), 0)))
    warm = [one for one in every if one.temperature]
    if not warm:
        return points

    def factor(one: Occupation) -> Factor:
        parts = [(sign, f) for sign, f in ((1.0, one), (-1.0, reference)) if f.temperature and one != reference]
        return Factor(
            lambda e: sum((sign * f.slope(e) for sign, f in parts), np.zeros_like(e)),
            tuple((f.fermi_energy, f.temperature) for _, f in parts),
        )

    low = min(one.fermi_energy - reach * one.temperature for one in warm)
    high = max(one.fermi_energy + reach * one.temperature for one in warm)
    rule = adapted([factor(one) for one in reservoirs], low, high)
    return Rule(
        np.concatenate([rule.energies, points.energies]),
        np.concatenate([rule.weights, points.weights], axis=1),
        np.empty((len(rule.energies) + len(steps), 0)),
    )


def _at_step(occupation: Occupation, energy: float) -> float:
    """Weight at this energy of the slope of a Fermi function at kT = 0; 0 of one at kT > 0."""
    return -float(not occupation.temperature and occupation.fermi_energy == energy)
