"""Integration over energy: pole rules for the Fermi function, Gauss rules and adaptive rules on the real axis.

Let the Fermi function be approximated on the spectrum by a rational function with poles z_k in the upper half plane,

    f(E) ~ r(E) = c0 + sum_k [ R_k/(E - z_k) + c.c. ].

For every F(E) that is analytic in the upper half plane and vanishes faster than 1/E at infinity,

    -(1/pi) int r(E) Im F(E) dE = -[ sum_k R_k F(z_k) + h.c. ],      Im A = (A - A^+)/2i.

F = G, which falls off as 1/E, adds the constant c0.  G is the exact resolvent of the infinite system, so that the
result is the function r of its Hamiltonian.  The error of every element of the density matrix is therefore at most the
largest |f - r| on the spectrum: a bound that holds for any texture without a convergence study.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .rational import aaa
from .threads import one_blas_thread

# Smallest error with which double precision can represent an approximation of the step function.
SHARPEST = 5e-14


class ToleranceError(ValueError):
    """An integral over energy cannot be computed to the requested tolerance; the message says what to change.

    Typical reasons: kT very small against the band width, a level almost at E_F at kT = 0, or a level almost
    disconnected from the leads.  Typical remedies: a larger tolerance, another kT or Fermi energy, stronger couplings.
    """


@dataclass(frozen=True)
class FermiPoles:
    """Pole rule: f(E) ~ constant + sum_k [ weights_k/(E - nodes_k) + c.c. ] for every E of the spectrum.

    nodes: (n,) complex, Im >= 0, energy; weights: (n,) complex, energy; bound: largest error on the spectrum.
    A node on the real axis lies outside the spectrum, and its weight is half its residue (c.c. gives the other half).
    """

    nodes: np.ndarray
    weights: np.ndarray
    constant: float
    bound: float


def fermi(energy: np.ndarray | float, fermi_energy: float, temperature: float) -> NDArray[np.float64]:
    """Fermi function at real energies of any shape; at kT = 0 the step with value 1/2 at the Fermi energy."""
    x = np.asarray(energy, dtype=float) - fermi_energy
    if temperature == 0:
        return np.heaviside(-x, 0.5)
    from scipy.special import expit  # heavy import, at kT > 0 alone

    return expit(-x / temperature)


def fermi_derivative(energy: NDArray[np.float64], fermi_energy: float, temperature: float) -> NDArray[np.float64]:
    """df/dE at kT > 0 (1/energy)."""
    f = fermi(energy, fermi_energy, temperature)
    return -f * (1 - f) / temperature


# --- finite temperature ----------------------------------------------------------------------------------------------


def _partial_fractions(x: NDArray[np.float64], upper: NDArray[np.complex128], real: NDArray[np.float64]):
    """Values at x (m,) of the functions of the fit: 1, two for each pole and its conjugate, one for each real pole.

    upper, real: poles in units of kT; all functions are scaled to be of order one.  Returns (m, functions).
    """
    columns = [np.ones_like(x)]
    for pole in upper:
        kernel = pole.imag / (x - pole)
        columns += [2 * kernel.real, -2 * kernel.imag]
    columns += [abs(pole) / (x - pole) for pole in real]
    return np.array(columns).T


# If the spectrum lies within this distance of E_F, in units of kT, `_pade_poles` needs no more poles than AAA.
_NEARLY_LINEAR = 6.0


def _pade_poles(reach: float, tolerance: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """y, R and error of f(x) ~ 1/2 - sum_k R_k [1/(x - iy_k) + 1/(x + iy_k)] on |x| <= reach, x = (E - E_F)/kT.

    The truncated continued fraction of tanh (Ozaki, Phys. Rev. B 75, 035123 (2007)).  With n pairs of poles the error
    is proportional to x^(4n + 1) for small x, so that f - 1/2 keeps a small relative error even if kT is large.
    The error is at most `tolerance` times the largest |f - 1/2|; None if 20 pairs do not reach this.
    """
    from scipy.linalg import eigh_tridiagonal

    x = np.linspace(0.0, reach, 2001)
    exact = 0.5 * np.tanh(x / 2)
    for n in range(1, 21):
        k = np.arange(1, 2 * n)
        b, vectors = eigh_tridiagonal(np.zeros(2 * n), 0.5 / np.sqrt(4.0 * k**2 - 1))
        y, residues = 1 / b[n:], vectors[0, n:] ** 2 / (4 * b[n:] ** 2)
        error = float(abs((2 * residues * x[:, None] / (x[:, None] ** 2 + y**2)).sum(axis=1) - exact).max())
        # An error below the second limit is only the rounding of this comparison.
        if error <= max(tolerance, 1e-15) * exact[-1]:
            return y, residues, error
    return None


def refuse_too_sharp(width: float, temperature: float) -> None:
    """ToleranceError where kT is far below what poles can represent, which AAA would find out after a long time."""
    if not (np.isfinite(width) and temperature > 1e-11 * width):
        raise ToleranceError(
            f"temperature = {temperature:g} is too low for a spectrum of width {width:g}: use temperature = 0.0, a "
            "higher one, or compare the energies with electrons.hopping"
        )


@lru_cache(maxsize=256)
@one_blas_thread  # AAA factors many small matrices, which threads of BLAS only slow down
def fermi_poles(lowest: float, highest: float, fermi_energy: float, temperature: float, tolerance: float) -> FermiPoles:
    """Near-optimal poles of the Fermi function at kT > 0 on the spectrum [lowest, highest] (energies).

    The poles come from the AAA algorithm (Nakatsukasa, Sete, Trefethen 2018), the residues from a least-squares fit
    at those poles; `bound` is the largest error on a grid ten times finer than that of the fit.  The smallest possible
    error decreases exponentially with the number of poles; the number needed grows as ln((highest - lowest)/kT).  If kT
    is so high that f is nearly linear, the poles are those of `_pade_poles`, with an error below `tolerance` times the
    largest |f - 1/2|.
    tolerance: requested bound on the error of f on the spectrum.

    Raises ToleranceError if double precision cannot reach it (kT below about 1e-6 of the width of the spectrum).
    """
    from scipy.special import expit

    refuse_too_sharp(highest - lowest, temperature)
    low, high = (lowest - fermi_energy) / temperature, (highest - fermi_energy) / temperature
    reach = max(abs(low), abs(high))
    pade = _pade_poles(reach, tolerance) if reach <= _NEARLY_LINEAR else None
    if pade is not None:
        y, residues, error = pade
        return FermiPoles(fermi_energy + 1j * temperature * y, (-temperature * residues).astype(complex), 0.5, error)

    def grid(n_core: int, n_far: int) -> NDArray[np.float64]:
        far = np.geomspace(60.0, max(reach, 61.0), n_far)
        return np.unique(np.clip(np.concatenate([np.linspace(-60, 60, n_core), far, -far]), low, high))

    x, check = grid(1601, 400), grid(16007, 4001)
    asked, best = tolerance, np.inf
    for _ in range(4):
        # Rounding may keep the fit from what is asked; the bound measured below decides.
        poles = aaa(x, expit(-x), asked).poles_of_pencil()
        is_real = abs(poles.imag) <= 1e-9 * abs(poles)
        upper = poles[(poles.imag > 0) & ~is_real]
        real = poles.real[is_real & ((poles.real < low) | (poles.real > high))]
        coefficients = np.linalg.lstsq(_partial_fractions(x, upper, real), expit(-x), rcond=None)[0]
        error = _partial_fractions(check, upper, real) @ coefficients - expit(-check)
        bound = float(abs(error).max())
        if bound < best:
            best, kept = bound, (upper, real, coefficients)
        if best <= tolerance:
            break
        asked /= 5
    if best > tolerance:
        raise ToleranceError(
            f"the Fermi function at temperature = {temperature:g} on a spectrum of width {highest - lowest:g} is "
            f"approximated to {best:.1e} only, {tolerance:.1e} is needed: use temperature = 0.0, a higher temperature "
            "or a larger electrons.tolerance"
        )
    upper, real, coefficients = kept
    n = len(upper)
    if not n and not len(real):  # f is constant on the spectrum: one pole with weight 0, so that no sum is empty
        return FermiPoles(
            np.array([fermi_energy + 1j * np.pi * temperature]), np.zeros(1, complex), float(coefficients[0]), best
        )
    pairs = coefficients[1 : 1 + 2 * n].reshape(n, 2) @ np.array([1, 1j])
    return FermiPoles(
        nodes=fermi_energy + temperature * np.concatenate([upper, real.astype(complex)]),
        weights=temperature * np.concatenate([pairs * upper.imag, 0.5 * coefficients[1 + 2 * n :] * abs(real)]),
        constant=float(coefficients[0]),
        bound=best,
    )


# --- zero temperature ------------------------------------------------------------------------------------------------


def _jacobi_sc(u: float, complement: float) -> float:
    """sn/cn of Jacobi at modulus^2 = 1 - complement, by descending Landen steps (Bulirsch 1965).

    complement = 1 - modulus^2 is the argument, because it is tiny here: computed from the modulus it would be lost by
    rounding.  u: between 0 and the quarter period.
    """
    arithmetic, geometric = [1.0], [np.sqrt(complement)]
    while arithmetic[-1] - geometric[-1] > 1e-9 * arithmetic[-1]:
        a, b = arithmetic[-1], geometric[-1]
        arithmetic.append((a + b) / 2)
        geometric.append(np.sqrt(a * b))
    c = (arithmetic[-1] + geometric[-1]) / 2
    ratio, dn = 1 / np.tan(u * c), 1.0
    c *= ratio
    for a, b in zip(reversed(arithmetic), reversed(geometric), strict=True):
        ratio *= c
        c *= dn
        dn = (b + ratio) / (a + ratio)
        ratio = c / a
    return 1 / c


# K(1 - x) ~ P(x) - ln(x) Q(x), highest powers first: S. L. Moshier, Cephes library, ellpk.c.
_P = (
    1.37982864606273237150e-4, 2.28025724005875567385e-3, 7.97404013220415179367e-3, 9.85821379021226008714e-3,
    6.87489687449949877925e-3, 6.18901033637687613229e-3, 8.79078273952743772254e-3, 1.49380448916805252718e-2,
    3.08851465246711995998e-2, 9.65735902811690126535e-2, 1.38629436111989062502,
)  # fmt: skip
_Q = (
    2.94078955048598507511e-5, 9.14184723865917226571e-4, 5.94058303753167793257e-3, 1.54850516649762399335e-2,
    2.39089602715924892727e-2, 3.01204715227604046988e-2, 3.73774314173823228969e-2, 4.88280347570998239232e-2,
    7.03124996963957469739e-2, 1.24999999999870820058e-1, 4.99999999999999999821e-1,
)  # fmt: skip


def _quarter_period(complement: float) -> float:
    """The complete elliptic integral K at modulus^2 = 1 - complement, 0 < complement <= 1, to rounding.

    The same as `scipy.special.ellipkm1`, which takes a tenth of a second to load.
    """
    p, q = 0.0, 0.0
    for of_p, of_q in zip(_P, _Q, strict=True):
        p, q = p * complement + of_p, q * complement + of_q
    return p - math.log(complement) * q


def _zolotarev(n: int, gap: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """y (n,), a (n,) and error of the best approximation of sign(x) on gap <= |x| <= 1 (Zolotarev 1877).

    It is sum_k a_k x/(x^2 + y_k^2).
    """
    quarter = float(_quarter_period(gap**2))
    c = np.array([(gap * _jacobi_sc(j * quarter / (2 * n), gap**2)) ** 2 for j in range(1, 2 * n)])
    poles, zeros = c[::2], c[1::2]

    residues = np.empty(n)
    for k in range(n):
        others = np.delete(poles, k)
        # The factors are paired so that they stay of order one; two separate products would overflow for small gaps.
        residues[k] = np.prod((zeros - poles[k]) / (others - poles[k]))

    def shape(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return (x[:, None] * residues / (x[:, None] ** 2 + poles)).sum(axis=1)

    samples = shape(np.geomspace(gap, 1, 400 * n))
    low, high = samples.min(), samples.max()
    scale = 2 / (low + high)
    return np.sqrt(poles), scale * residues, float((high - low) / (high + low))


# Of gap/reach.
_SMALLEST_GAP = 1e-40


@lru_cache(maxsize=256)
def step_poles(fermi_energy: float, gap: float, reach: float, tolerance: float) -> FermiPoles:
    """Optimal poles of the Fermi function at kT = 0: nodes z = E_F + iy on the vertical line through E_F.

    The error of f is below `tolerance`, or `SHARPEST` if that is larger, for gap <= |E - E_F| <= reach (energies).  It
    is at most 1/2 for |E - E_F| < gap; the caller has to bound the weight of the states there.  The number of poles
    grows as ln(reach/gap) ln(1/tolerance)/pi^2.  The rule covers all energies from E_F - reach to E_F + reach, states
    bound below the band included.
    Raises ToleranceError where reach/gap is beyond 1e40, for which a rule would need hundreds of poles.
    """
    tolerance = max(tolerance, SHARPEST)
    if not gap >= _SMALLEST_GAP * reach:
        raise ToleranceError(
            f"energies reach {reach:.3g} from the Fermi energy, and {gap:.3g} matters: too far apart for double "
            "precision; compare onsite, fermi_energy, sd_exchange and the amplitudes of gates with electrons.hopping"
        )
    n_expected = np.log(4 / tolerance) * np.log(4 * reach / gap) / np.pi**2
    fewest = max(2, int(n_expected * (0.5 if n_expected < 50 else 0.85)))
    for n in range(fewest, 2 * fewest + 50):
        y, a, error = _zolotarev(n, gap / reach)
        if error <= 2 * tolerance:
            break
    else:
        raise ToleranceError(f"the Fermi function at kT = 0 cannot be represented to {tolerance:.1e}")
    return FermiPoles(
        nodes=fermi_energy + 1j * reach * y,
        weights=(-0.25 * reach * a).astype(complex),
        constant=0.5,
        bound=error / 2,
    )


# --- the real axis ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def thermal_gauss(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss rule for int (-df/dE) g(E) dE: nodes (E - E_F)/kT and weights (their sum is 1).

    The orthogonal polynomials of the weight -df/dx (the logistic distribution) have the recursion coefficients
    b_k = pi^2 k^4/(4 k^2 - 1), from which nodes and weights follow (Golub and Welsch).
    """
    from scipy.linalg import eigh_tridiagonal

    k = np.arange(1, n)
    nodes, vectors = eigh_tridiagonal(np.zeros(n), np.pi * k**2 / np.sqrt(4 * k**2 - 1.0))
    return nodes, vectors[0] ** 2


# Gauss-Kronrod 7-15 (Kronrod 1965; QUADPACK): nodes >= 0 and weights; every second node belongs to the Gauss rule.
_KRONROD_X = np.array(
    [
        0.991455371120812639206854697526329,
        0.949107912342758524526189684047851,
        0.864864423359769072789712788640926,
        0.741531185599394439863864773280788,
        0.586087235467691130294144691693013,
        0.405845151377397166906606412076961,
        0.207784955007898467600689403773245,
        0.0,
    ]
)
_KRONROD_W = np.array(
    [
        0.022935322010529224963732008058970,
        0.063092092629978553290700663189204,
        0.104790010322250183839876322541518,
        0.140653259715525918745189590510238,
        0.169004726639267902826583426598550,
        0.190350578064785409913256402421014,
        0.204432940075298892414161999234649,
        0.209482141084727828012999174891714,
    ]
)
_GAUSS_W = np.array(
    [
        0.129484966168869693270611432679082,
        0.279705391489276667901467771423780,
        0.381830050505118944950369775488975,
        0.417959183673469387755102040816327,
    ]
)
KRONROD_NODES = np.concatenate([-_KRONROD_X[:-1], _KRONROD_X[::-1]])
KRONROD_WEIGHTS = np.concatenate([_KRONROD_W[:-1], _KRONROD_W[::-1]])
GAUSS_WEIGHTS = np.zeros(15)
GAUSS_WEIGHTS[1::2] = np.concatenate([_GAUSS_W[:-1], _GAUSS_W[::-1]])


def adaptive_nodes(
    integrand: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    breakpoints: NDArray[np.float64],
    tolerance: float,
    max_evaluations: int = 200_000,
    unit: float = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Nodes and weights for int integrand(x) dx, refined by bisection until every component converges to `tolerance`.

    integrand: function of points (n,) that returns values (n, k); all intervals that still have to be halved are
    evaluated in one call.  breakpoints: (p,) increasing, ends of the first intervals.  tolerance: absolute.
    unit: a typical size of x (an energy of the system, or 1); intervals with a half-length below 1e-13 of it or of the
    whole range are not halved.
    Returns nodes, weights, number of evaluations.
    Raises ToleranceError if `max_evaluations` points do not suffice.
    """
    left, right = np.asarray(breakpoints[:-1], float), np.asarray(breakpoints[1:], float)
    span = right[-1] - left[0]
    done_nodes, done_weights, used = [], [], 0
    while len(left):
        centre, half = (left + right) / 2, (right - left) / 2
        points = centre[:, None] + half[:, None] * KRONROD_NODES
        used += points.size
        if used > max_evaluations:
            raise ToleranceError(
                f"an energy integral did not converge to {tolerance:.1e} within {max_evaluations} Green's functions: "
                "use a larger electrons.tolerance, a higher temperature or a stronger coupling to the leads"
            )
        values = integrand(points.ravel()).reshape(len(left), 15, -1)
        error = abs(np.einsum("pnk,n->pk", values, KRONROD_WEIGHTS - GAUSS_WEIGHTS)).max(axis=1) * half
        # As in QUADPACK, the error of the Kronrod value is much smaller than its difference from the Gauss value.
        # Differences below the rounding error of the integrand, estimated as 1e-12 of its size because Green's
        # functions lose digits near a resonance, do not become smaller by bisection.
        rounding = 1e-12 * abs(values).max(axis=(1, 2)) * half
        good = (error <= np.maximum(tolerance * np.maximum(half * 2 / span, 0.02), rounding)) | (
            half < 1e-13 * max(unit, span)
        )
        done_nodes.append(points[good].ravel())
        done_weights.append((half[good, None] * KRONROD_WEIGHTS).ravel())
        left, centre, right = left[~good], centre[~good], right[~good]
        left, right = np.concatenate([left, centre]), np.concatenate([centre, right])
    return np.concatenate(done_nodes), np.concatenate(done_weights), used
