"""Poles of the Fermi function that are not far from the spectrum, for electrons in real time.

The near-optimal poles of `quadrature.fermi_poles` reach far beyond the spectrum, where they describe nothing but how f
bends over the band.  In real time each is an exponent of the leads' memory, and one far away would force small steps.
Here they are replaced by a few poles on a half circle around the spectrum.

A lead of constant width (`bath.py`) has states at all energies, and what it sends in, with n(tau) = width int dE/2pi
f(E) exp(-i E tau), is right if the part of f whose poles lie above the axis is: with x = (E - E_F)/kT

    f(E) = u(E) + u(E)^*,      u = 1/4 + (i/2 pi) psi(1/2 + i x/(2 pi)),      psi: digamma,

where levels are, -width/2 <= Im E <= 0 beside the spectrum.  An imaginary constant in u does nothing: it is the energy
of the bonds to an infinite band.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .quadrature import FermiPoles, ToleranceError, refuse_too_sharp
from .rational import aaa
from .threads import one_numpy_thread

# Poles within this share of the half circle's radius are kept.
_KEPT = 0.85
_MOST_ON_CIRCLE = 10
# Of those for what lies below the axis as well.
_MOST_AROUND = 16
# Where 1 + exp overflows.
_FAR = 700.0
# Poles with smaller residues, in units of kT, come from rounding.
_SPURIOUS = 1e-13
# Points on either side of the rectangle where levels with a width are.
_DOWN = 41
# The circle is larger than the spectrum, else its poles lie too close to it.
_SMALLEST_RADIUS = 0.75


@lru_cache(maxsize=32)
@one_numpy_thread  # AAA factors many small matrices, which threads of BLAS only slow down
def near_poles(
    lowest: float,
    highest: float,
    fermi_energy: float,
    temperature: float,
    tolerance: float,
    radius: float,
    depth: float | None = None,
) -> FermiPoles:
    """Poles of the Fermi function at kT > 0 on the spectrum [lowest, highest], all within `radius` of its middle.

    All arguments but tolerance, which bounds the error of f, are energies; a radius below 3/4 of the width of the
    spectrum is enlarged to that.  If E_F lies outside the spectrum the spectrum is extended to it.  depth: if given,
    also u, the part of f with poles above the axis, is within the tolerance, on the spectrum and down to so far below.
    Raises ToleranceError where the tolerance cannot be reached.
    """
    refuse_too_sharp(highest - lowest, temperature)
    low, high = (
        (min(lowest, fermi_energy) - fermi_energy) / temperature,
        (max(highest, fermi_energy) - fermi_energy) / temperature,
    )
    across = math.hypot(high - low, 2 * (depth or 0.0) / temperature)
    middle, radius = (low + high) / 2, max(radius / temperature, _SMALLEST_RADIUS * across)

    def grid(n_core: int, n_far: int) -> NDArray[np.float64]:
        reach = max(-low, high)
        core = min(60.0, reach)
        far = np.geomspace(core, reach, n_far) if reach > core else np.empty(0)
        return np.unique(np.clip(np.concatenate([np.linspace(-core, core, n_core), far, -far]), low, high))

    x, check = grid(1601, 400), grid(8009, 4001)
    f = np.array([_fermi(one) for one in x.tolist()])
    target: _Target = _OnTheAxis() if depth is None else _Below(depth / temperature)
    points, points_check = target.points(x), target.points(check)
    wanted, wanted_check = target.values(points), target.values(points_check)
    best, kept = np.inf, None
    for poles in _candidates(x, f, tolerance):
        is_real = abs(poles.imag) <= 1e-9 * abs(poles)
        near = poles[(poles.imag > 0) & ~is_real & (abs(poles - middle) <= _KEPT * radius)]
        of_near = target.columns(points, near)
        for n in range(1 + (_MOST_ON_CIRCLE if depth is None else _MOST_AROUND)):
            circle = middle + radius * np.exp(1j * np.pi * (np.arange(n) + 0.5) / max(n, 1))
            upper = np.concatenate([near, circle])
            if not len(upper):
                continue
            columns = np.concatenate([of_near, target.columns(points, circle)[:, target.constants :]], axis=1)
            scale = np.linalg.norm(columns, axis=0)
            coefficients = np.linalg.lstsq(columns / scale, wanted, rcond=None)[0] / scale
            error = target.error(columns @ coefficients - wanted)
            if error <= tolerance:
                found = target.columns(points_check, upper) @ coefficients
                error = max(error, target.error(found - wanted_check))
            if error < best:
                best, kept = error, (upper, coefficients)
            if best <= tolerance:
                break
        if best <= tolerance:
            break
    if kept is None or best > tolerance:
        raise ToleranceError(
            f"the Fermi function at temperature = {temperature:g} on a spectrum of width {highest - lowest:g} is "
            f"approximated to {best:.1e} only, {tolerance:.1e} is needed: use a higher temperature or a larger "
            "electrons.tolerance"
        )
    upper, coefficients = kept
    residues = coefficients[target.constants :].reshape(-1, 2) @ np.array([1, 1j]) * upper.imag
    return FermiPoles(
        nodes=fermi_energy + temperature * upper,
        weights=temperature * residues,
        constant=float(coefficients[0]),
        bound=best,
    )


def _candidates(x: NDArray[np.float64], f: NDArray[np.float64], tolerance: float) -> Iterator[NDArray[np.complex128]]:
    """Poles of rational functions near f, to be tried in turn until one set is good enough."""
    asked = tolerance
    for _ in range(4):
        # Rounding may keep the fit from what is asked; the error that the caller measures decides.
        fit = aaa(x, f, asked)
        # The second way loads SciPy, but is more exact where the spectrum is 1e5 kT wide.
        for found in (fit.poles, fit.poles_of_pencil):
            poles = found()
            yield poles[abs(fit.residues(poles)) > _SPURIOUS]
        asked /= 5


def _fermi(x: float) -> float:
    """f at (E - E_F)/kT."""
    return 1 / (1 + math.exp(x)) if x < _FAR else 0.0


class _Target(Protocol):
    """What sums over poles and constants should be equal to; x in units of kT from E_F.

    constants: how many there are, the first that of f.
    """

    constants: int

    def points(self, x: NDArray[np.float64]) -> NDArray[Any]:
        """Where, if it is to be right at real x (m,)."""

    def values(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """What it should be there, as real numbers."""

    def columns(self, points: NDArray[Any], upper: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Values of the constants, and of real and imaginary part of each residue over Im of its pole."""

    def error(self, missed: NDArray[np.float64]) -> float:
        """Bound on the error of f, from the differences to the values."""


class _OnTheAxis:
    """f on the real axis."""

    constants = 1

    def points(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x

    def values(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([_fermi(one) for one in points.tolist()])

    def columns(self, points: NDArray[np.float64], upper: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Of 1, and of each pole with its conjugate: (m, 1 + 2 poles)."""
        kernels = upper.imag / (points[:, None] - upper)
        pairs = np.stack([2 * kernels.real, -2 * kernels.imag], axis=-1).reshape(len(points), -1)
        return np.concatenate([np.ones((len(points), 1)), pairs], axis=1)

    def error(self, missed: NDArray[np.float64]) -> float:
        return float(abs(missed).max())


class _Below:
    """u on the real axis and down to `depth` below; real parts first, then imaginary ones."""

    constants = 2

    def __init__(self, depth: float) -> None:
        self.depth = depth

    def points(self, x: NDArray[np.float64]) -> NDArray[np.complex128]:
        """The edge of the rectangle: what is analytic within is the farthest off there."""
        down = -1j * self.depth * np.linspace(0, 1, _DOWN)[1:-1]
        return np.concatenate([x, x - 1j * self.depth, x[0] + down, x[-1] + down])

    def values(self, points: NDArray[np.complex128]) -> NDArray[np.float64]:
        from scipy.special import digamma  # heavy import, beside a bath alone

        u = 0.25 + 0.5j / np.pi * digamma(0.5 + 0.5j * points / np.pi)
        return np.concatenate([u.real, u.imag])

    def columns(self, points: NDArray[np.complex128], upper: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Of 1/2, of i, and of each pole: (2 m, 2 + 2 poles)."""
        kernels = upper.imag / (points[:, None] - upper)
        pairs = np.stack([kernels, 1j * kernels], axis=-1).reshape(len(points), -1)
        found = np.concatenate([np.full((len(points), 1), 0.5), np.full((len(points), 1), 1j), pairs], axis=1)
        return np.concatenate([found.real, found.imag])

    def error(self, missed: NDArray[np.float64]) -> float:
        return 2 * float(np.hypot(*missed.reshape(2, -1)).max())
