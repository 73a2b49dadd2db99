"""Poles of the Fermi function that are not far from the spectrum, for electrons in real time.

The near-optimal poles of `quadrature.fermi_poles` reach far beyond the spectrum, where they describe nothing but how f
bends over the band.  In real time each is an exponent of the leads' memory, and one far away would force small steps.
Here they are replaced by a few poles on a half circle around the spectrum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .quadrature import FermiPoles, ToleranceError, refuse_too_sharp
from .rational import aaa
from .threads import one_numpy_thread

# Poles within this share of the half circle's radius are kept.
_KEPT = 0.85
_MOST_ON_CIRCLE = 10
# Where 1 + exp overflows.
_FAR = 700.0
# Poles with smaller residues, in units of kT, come from rounding.
_SPURIOUS = 1e-13
# The circle is larger than the spectrum, else its poles lie too close to it.
_SMALLEST_RADIUS = 0.75


@lru_cache(maxsize=32)
@one_numpy_thread  # AAA factors many small matrices, which threads of BLAS only slow down
def near_poles(
    lowest: float, highest: float, fermi_energy: float, temperature: float, tolerance: float, radius: float
) -> FermiPoles:
    """Poles of the Fermi function at kT > 0 on the spectrum [lowest, highest], all within `radius` of its middle.

    All arguments but tolerance, which bounds the error of f, are energies; a radius below 3/4 of the width of the
    spectrum is enlarged to that.  If E_F lies outside the spectrum the spectrum is extended to it.
    Raises ToleranceError where the tolerance cannot be reached.
    """
    refuse_too_sharp(highest - lowest, temperature)
    low, high = (
        (min(lowest, fermi_energy) - fermi_energy) / temperature,
        (max(highest, fermi_energy) - fermi_energy) / temperature,
    )
    middle, radius = (low + high) / 2, max(radius / temperature, _SMALLEST_RADIUS * (high - low))

    def grid(n_core: int, n_far: int) -> NDArray[np.float64]:
        reach = max(-low, high)
        core = min(60.0, reach)
        far = np.geomspace(core, reach, n_far) if reach > core else np.empty(0)
        return np.unique(np.clip(np.concatenate([np.linspace(-core, core, n_core), far, -far]), low, high))

    x, check = grid(1601, 400), grid(8009, 4001)
    f, f_check = (np.array([_fermi(one) for one in points.tolist()]) for points in (x, check))
    best, kept = np.inf, None
    for poles in _candidates(x, f, tolerance):
        is_real = abs(poles.imag) <= 1e-9 * abs(poles)
        near = poles[(poles.imag > 0) & ~is_real & (abs(poles - middle) <= _KEPT * radius)]
        of_near = _columns(x, near)
        for n in range(_MOST_ON_CIRCLE + 1):
            circle = middle + radius * np.exp(1j * np.pi * (np.arange(n) + 0.5) / max(n, 1))
            upper = np.concatenate([near, circle])
            if not len(upper):
                continue
            columns = np.concatenate([of_near, _columns(x, circle)[:, 1:]], axis=1)
            scale = np.linalg.norm(columns, axis=0)
            coefficients = np.linalg.lstsq(columns / scale, f, rcond=None)[0] / scale
            error = float(abs(columns @ coefficients - f).max())
            if error <= tolerance:
                error = max(error, float(abs(_columns(check, upper) @ coefficients - f_check).max()))
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
    residues = coefficients[1:].reshape(-1, 2) @ np.array([1, 1j]) * upper.imag
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


def _columns(x: NDArray[np.float64], upper: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Values at x (m,) of 1 and of real and imaginary part of each pole with its conjugate: (m, 1 + 2 poles)."""
    kernels = upper.imag / (x[:, None] - upper)
    pairs = np.stack([2 * kernels.real, -2 * kernels.imag], axis=-1).reshape(len(x), -1)
    return np.concatenate([np.ones((len(x), 1)), pairs], axis=1)
