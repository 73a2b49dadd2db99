"""Paths above the real axis for integrals with -df/dE, in panels: what they enclose, how accurate Gauss' rule is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .open_system import Segment, Vectors


def complex_fermi_derivative(z: Vectors, fermi_energy: float, temperature: float) -> Vectors:
    """df/dE at complex energies (1/energy), |Im z| < pi kT; without overflow."""
    x = (np.asarray(z, complex) - fermi_energy) / temperature
    decayed = np.exp(-np.where(x.real >= 0, x, -x))
    return np.asarray(-decayed / (1 + decayed) ** 2 / temperature)


@dataclass(frozen=True)
class Gauss:
    """Gauss' rule on -1 < s < 1: nodes and weights (n,), and the matrix (n, n) from values to Legendre coefficients."""

    x: NDArray[np.float64]
    weights: NDArray[np.float64]
    to_legendre: NDArray[np.float64]

    def error(self, values: Vectors) -> float:
        """Estimated error of the integral of values (n, m), the largest over m.

        The Legendre coefficients of an analytic function fall as rho^-k; the error of Gauss' rule is then rho^-2n.
        """
        if not values.size:
            return 0.0
        coefficients = abs(self.to_legendre @ values)
        largest = np.maximum(coefficients.max(axis=0), 1e-300)
        tail = coefficients[-2:].max(axis=0) / largest
        return float((tail ** (2 * len(self.x) / (len(self.x) - 1)) * largest).max())


@cache
def gauss_rule(points: int) -> Gauss:
    x, weights = np.polynomial.legendre.leggauss(points)
    to_legendre = (np.arange(points)[:, None] + 0.5) * np.polynomial.legendre.legvander(x, points - 1).T * weights
    return Gauss(x, weights, to_legendre)


@dataclass(frozen=True)
class Arcs:
    """Nodes z (k,) above the real axis with weights f'(z) dz (k,), dimensionless, and the segment of each (k,)."""

    nodes: Vectors
    weights: Vectors
    owners: NDArray[np.intp]

    def parts(self) -> list[tuple[int, NDArray[np.intp]]]:
        """Pairs (segment, indices of its nodes)."""
        return [(int(s), np.flatnonzero(self.owners == s)) for s in np.unique(self.owners)]


@dataclass(frozen=True)
class Panel:
    """z(s) = c0 + c1 s + c2 s^2 for -1 < s < 1 above segment `owner`."""

    owner: int
    c0: complex
    c1: complex
    c2: complex = 0j

    def digits(self, singularities: Vectors, points: int) -> NDArray[np.float64]:
        """-ln of the error of Gauss' rule due to each of these singularities (energies): larger is better.

        The error is set by the ellipse with foci at the ends of the panel that passes through the singularity.
        """
        if self.c2 == 0:
            s = (singularities - self.c0) / self.c1
        else:
            middle = self.c1 / (2 * self.c2)
            root = np.sqrt((singularities - self.c0) / self.c2 + middle**2)
            s = np.stack([root - middle, -root - middle])
        radius = abs(s + np.sqrt(s - 1) * np.sqrt(s + 1))
        gained = 2 * points * np.log(np.maximum(radius, 1 / np.maximum(radius, 1e-300)))
        return gained if self.c2 == 0 else gained.min(axis=0)

    def halves(self) -> tuple[Panel, Panel]:
        left, right = (
            Panel(
                self.owner,
                self.c0 + self.c1 * m + self.c2 * m * m,
                (self.c1 + 2 * self.c2 * m) / 2,
                self.c2 / 4,
            )
            for m in (-0.5, 0.5)
        )
        return left, right

    def at(self, s: NDArray[np.float64]) -> tuple[Vectors, Vectors]:
        """z and dz/ds."""
        z, dz = self.c0 + self.c1 * s + self.c2 * s * s, self.c1 + 2 * self.c2 * s
        return np.asarray(z, np.complex128), np.asarray(dz, np.complex128)


@dataclass(frozen=True)
class Gate:
    """The path above one segment: at constant height (energy), but down at 45 degrees to an end that is a threshold.

    At a threshold the integrand has a square-root singularity, which z = threshold + u^2 removes on the last panel.
    crosses: whether the path passes above the first pole of f.
    """

    segment: Segment
    height: float
    crosses: bool = False

    def encloses(self, z: Vectors) -> NDArray[np.bool_]:
        """Which energies lie between the path and the real axis."""
        inside = (z.real > self.segment.low) & (z.real <= self.segment.high)
        return np.asarray(inside & (z.imag < self._ceiling(z.real)))

    def passes_by(self, z: Vectors) -> NDArray[np.bool_]:
        """Which energies z are above a quarter of the height of the path, or close to its ends."""
        low, high = self.segment.low - self.height, self.segment.high + self.height
        beside = (z.real > low) & (z.real < high)
        return np.asarray(beside & (z.imag > 0.25 * self._ceiling(z.real)) & (z.imag > 0))

    def _ceiling(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the path above real energies x (k,), energy."""
        ceiling = np.full(len(x), self.height)
        for edge, distance in zip(
            self.segment.at_threshold, (x - self.segment.low, self.segment.high - x), strict=True
        ):
            if edge:
                ceiling = np.clip(distance, 0, ceiling)
        return ceiling

    def panels(self, owner: int, length: float) -> list[Panel]:
        """The path in panels no longer than `length` (energy), except at thresholds."""
        a, b, eta = self.segment.low, self.segment.high, self.height
        left, right = (a + eta if self.segment.at_threshold[0] else a), (b - eta if self.segment.at_threshold[1] else b)
        cuts = np.linspace(left, right, 1 + int(np.ceil((right - left) / length)))
        found = [
            Panel(owner, complex((x + y) / 2, eta), complex((y - x) / 2)) for x, y in itertools.pairwise(cuts.tolist())
        ]
        # E = threshold + u^2 with u = root (1 + s)/2, and its mirror image.
        if self.segment.at_threshold[0]:
            square = complex(eta, eta) / 4
            found.append(Panel(owner, a + square, 2 * square, square))
        if self.segment.at_threshold[1]:
            square = complex(-eta, eta) / 4
            found.append(Panel(owner, b + square, -2 * square, square))
        return found

    def over_pole(self, pole: complex, fermi_energy: float, temperature: float) -> complex:
        """The integral of f'(z)/(z - pole) along the path: f'(pole) times a logarithm, plus a smooth rest by Gauss."""
        total, slope = 0j, complex_fermi_derivative(np.array([pole]), fermi_energy, temperature)[0]
        rule = gauss_rule(16)
        for panel in self.panels(0, temperature):
            start, end = (panel.c0 - panel.c1 + panel.c2, panel.c0 + panel.c1 + panel.c2)  # a straight line
            total += slope * np.log((end - pole) / (start - pole))
            z, dz = panel.at(rule.x)
            smooth = complex_fermi_derivative(z, fermi_energy, temperature) - slope
            total += (rule.weights * dz * smooth / (z - pole)).sum()
        return complex(total)


def clear_height(heights: NDArray[np.float64], highest: float, least: float) -> float:
    """A height (energy) between `least` times `highest` and `highest`, as far as possible from all `heights`."""
    candidates = highest * np.geomspace(1.0, least, 25)
    near = heights[(heights > highest / 12) & (heights < 4 * highest)]
    if not len(near):
        return highest
    clearance = abs(np.log(candidates[:, None] / near)).min(axis=1)
    return float(candidates[np.argmax(np.minimum(clearance, 0.7) * candidates**0.25)])
