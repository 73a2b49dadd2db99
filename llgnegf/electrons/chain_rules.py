"""Rules over energy of a chain with the self-energies of its leads at their nodes, which textures share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.once import cached_property

from .leads import AttachedLead
from .pauli import IDENTITY
from .pole_rules import PoleRules
from .quadrature import FermiPoles, thermal_gauss

# Number of energies in the thermal window at which the smallest width is estimated.
_WIDTH_SAMPLES = 7


@dataclass(frozen=True, eq=False)
class Contour:
    """A pole rule with the lead self-energies at its nodes: (n, 2, 2) for each side and their energy derivatives."""

    rule: FermiPoles
    sigma: tuple[NDArray[np.complex128], NDArray[np.complex128]]
    derivative: tuple[NDArray[np.complex128], NDArray[np.complex128]]

    @cached_property
    def derivative_ends(self) -> NDArray[np.complex128]:
        """-dSigma/dE as (n, 2, 2, 2) [energy, left/right]: with the identity on every site, B of the sea term."""
        return -np.stack(self.derivative, axis=1)


@dataclass(frozen=True)
class RealRule:
    """Weights at real energies, (n,) each, with lead self-energies (n, 2, 2) and sqrt(Gamma) (n, 2, 2, 2) there."""

    energies: NDArray[np.float64]
    weights: NDArray[np.float64]
    sigma: tuple[NDArray[np.complex128], NDArray[np.complex128]]
    roots: NDArray[np.complex128]


@dataclass(frozen=True)
class WidthSamples:
    """Real energies (n,) of a chain at which the smallest widths of its levels are estimated.

    retarded: self-energies of both leads there, (n, 2).  inside: which lie in the thermal window, (n,).  largest: the
    largest response of a level of half-width w there is `largest`/w, energy, (n,).
    """

    energies: NDArray[np.float64]
    retarded: NDArray[np.complex128]
    inside: NDArray[np.bool_]
    largest: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChainRules:
    """leads: the left and the right one, without a splitting; poles: the pole rules of the device.

    band: edges of the lead band; thermal_range: energies between which -df/dE is not negligible.
    onsite: (n,) levels of the sites without moments, U and V; hops: (n - 1,).  All energies.
    """

    leads: tuple[AttachedLead, AttachedLead]
    poles: PoleRules
    band: tuple[float, float]
    thermal_range: tuple[float, float]
    onsite: NDArray[np.float64]
    hops: NDArray[np.float64]

    def _self_energy(self, energy: ArrayLike) -> list[tuple[NDArray[np.complex128], NDArray[np.complex128]]]:
        """[(Sigma, dSigma/dE) for left and right], shaped as `energy`: numbers, the same for both spins."""
        return [lead.on_chain(energy) for lead in self.leads]

    # --- complex energies -------------------------------------------------------------------------

    def contour(self, bounds: tuple[float, float], gap: float, sharpness: int = 0) -> Contour:
        """The pole rule of `PoleRules.rule`, whose arguments these are, with the self-energies at its nodes; cached."""
        return self._contour(*bounds, gap, sharpness)

    @cached_property
    def _contour(self) -> Callable[[float, float, float, int], Contour]:
        return functools.lru_cache(maxsize=8)(self._make_contour)

    def _make_contour(self, low: float, high: float, gap: float, sharpness: int) -> Contour:
        return self.contour_of(self.poles.rule((low, high), gap, sharpness=sharpness))

    def contour_of(self, rule: FermiPoles) -> Contour:
        """This pole rule with the self-energies at its nodes."""
        ends = self._self_energy(rule.nodes)
        (left, d_left), (right, d_right) = [(s[:, None, None] * IDENTITY, d[:, None, None] * IDENTITY) for s, d in ends]
        return Contour(rule, (left, right), (d_left, d_right))

    @cached_property
    def bare_logdet(self) -> Callable[[Contour], NDArray[np.complex128]]:
        """ln det G^-1 of the chain without moments, U and V at the nodes of a contour, (k,); cached."""
        return functools.lru_cache(maxsize=8)(self._make_bare_logdet)

    def _make_bare_logdet(self, contour: Contour) -> NDArray[np.complex128]:
        # The sum of ln a_i, a_i = z - onsite - Sigma - t^2/a_(i-1): scalars, the same for both spins.
        z, n = contour.rule.nodes, len(self.onsite)
        left, right = (sigma[:, 0, 0] for sigma in contour.sigma)
        logdet = np.zeros(len(z), complex)
        a = np.ones(len(z), complex)
        for i in range(n):
            before = self.hops[i - 1] ** 2 / a if i else left
            a = z - self.onsite[i] - before - (i == n - 1) * right
            phase = np.angle(a)
            logdet += 2 * (np.log(abs(a)) + 1j * np.where(phase < 0, phase + 2 * np.pi, phase))
        return logdet

    @cached_property
    def probed_self_energy(self) -> Callable[[complex], tuple[NDArray[np.complex128], NDArray[np.complex128]]]:
        """Self-energies of left and right, (2, 2, 2) each, at two nodes with the same energy z; cached.

        `ChainSweeps.probe` needs the energy twice.
        """
        return functools.lru_cache(maxsize=16)(self._make_probed_self_energy)

    def _make_probed_self_energy(self, z: complex) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        left, right = (s[:, None, None] * IDENTITY for s, _ in self._self_energy(np.full(2, z)))
        return left, right

    # --- real energies ----------------------------------------------------------------------------

    def ends_at(self, energies: NDArray[np.float64]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Sigma and dSigma/dE of left and right at real energies (n,), (n, 2) each; cached."""
        return self._ends_at(energies.tobytes())

    @cached_property
    def _ends_at(self) -> Callable[[bytes], tuple[NDArray[np.complex128], NDArray[np.complex128]]]:
        return functools.lru_cache(maxsize=64)(self._make_ends_at)

    def _make_ends_at(self, energies: bytes) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        found = self._self_energy(np.frombuffer(energies))
        sigma, slopes = (np.ascontiguousarray(np.stack(part, axis=1)) for part in zip(*found, strict=True))
        return sigma, slopes

    def real_rule(self, energies: NDArray[np.float64], weights: NDArray[np.float64]) -> RealRule:
        """These real energies and weights (k,) with the self-energies and sqrt(Gamma) of the leads there."""
        left, right = (s for s, _ in self._self_energy(energies))
        gamma = np.stack([np.sqrt(np.maximum(-2 * s.imag, 0.0)) for s in (left, right)], axis=1)
        sigma = left[:, None, None] * IDENTITY, right[:, None, None] * IDENTITY
        return RealRule(energies, weights, sigma, gamma[:, :, None, None] * IDENTITY)

    def unit_rule(self, energies: NDArray[np.float64]) -> RealRule:
        """These real energies with weight one; cached."""
        return self._unit_rule(energies.tobytes())

    @cached_property
    def _unit_rule(self) -> Callable[[bytes], RealRule]:
        return functools.lru_cache(maxsize=64)(self._make_unit_rule)

    def _make_unit_rule(self, energies: bytes) -> RealRule:
        values = np.frombuffer(energies)
        return self.real_rule(values, np.ones(len(values)))

    @cached_property
    def no_rule(self) -> RealRule:
        """An empty rule: no energies, the integral is zero."""
        return self.real_rule(np.empty(0), np.empty(0))

    @cached_property
    def fermi_rule(self) -> RealRule:
        """The Fermi energy alone, with weight one: -df/dE at kT = 0."""
        return self.real_rule(np.array([self.poles.occupation.fermi_energy]), np.ones(1))

    @cached_property
    def thermal_rule(self) -> Callable[[tuple[int, ...]], RealRule]:
        """Gauss rules of these lengths for the weight -df/dE, concatenated; cached."""
        return functools.lru_cache(maxsize=8)(self._make_thermal_rule)

    def _make_thermal_rule(self, lengths: tuple[int, ...]) -> RealRule:
        filled = self.poles.occupation
        x, weights = (np.concatenate(part) for part in zip(*map(thermal_gauss, lengths), strict=True))
        return self.real_rule(filled.fermi_energy + filled.temperature * x, weights)

    @cached_property
    def sigma_at_fermi_energy(self) -> tuple[complex, complex]:
        """Self-energies of left and right at E_F, or at the nearest band edge where E_F lies outside the band."""
        nearest = np.clip(self.poles.occupation.fermi_energy, *self.band)
        left, right = (complex(sigma) for sigma, _ in self._self_energy(nearest))
        return left, right

    @cached_property
    def width_samples(self) -> WidthSamples:
        """Energies in the thermal window, which has to lie inside the band, and beyond; none at kT = 0.

        Beyond the window, levels contribute if a narrow width amplifies their response.
        """
        mu, kT, t = self.poles.occupation.fermi_energy, self.poles.occupation.temperature, self.poles.hopping
        if kT == 0:
            return WidthSamples(np.empty(0), np.empty((0, 2), complex), np.empty(0, bool), np.empty(0))
        low, high = self.thermal_range
        far = 2 * kT * np.log(max(t / kT, 1.0)) * np.array([-1.0, -0.5, 0.5, 1.0])
        beyond = np.where(far < 0, low, high) + far
        beyond = beyond[(beyond > self.band[0]) & (beyond < self.band[1])]
        energies = np.concatenate([np.linspace(low, high, _WIDTH_SAMPLES), beyond])
        retarded, _ = self.ends_at(energies)
        inside = np.arange(len(energies)) < _WIDTH_SAMPLES
        return WidthSamples(energies, retarded, inside, np.exp(-abs(energies - mu) / kT) * t * t / kT)
