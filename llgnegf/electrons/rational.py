"""Rational functions through given values: the AAA algorithm.

SciPy has it, too (`scipy.interpolate.AAA`), but loading that takes longer than a short run.  Points and weights are the
same here, to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

_MOST_POINTS = 100
# Values whose squares underflow.
_SMALLEST = 1e-150


@dataclass(frozen=True, eq=False)
class Rational:
    """sum_j [weights_j values_j/(z - points_j)] / sum_j [weights_j/(z - points_j)]; all (n,) and real."""

    points: Floats
    values: Floats
    weights: Floats

    def poles(self) -> Complex:
        """The zeros of the denominator, and perhaps infinite or spurious ones, (n,), without SciPy.

        With D = diag(points - below) and s = sum_j weights_j the eigenvalues of D - 1 (weights D)/s are 0 and those of
        z - below: for a number `below` that is none of the points.
        """
        below = 2 * self.points.min() - self.points.max() - 1
        y = self.points - below
        return np.linalg.eigvals(np.diag(y) - self.weights * y / self.weights.sum()) + below

    def poles_of_pencil(self) -> Complex:
        """The zeros of the denominator, (n - 1,), as eigenvalues of an arrow-shaped pencil: a little more exact."""
        from scipy.linalg import eigvals

        n = len(self.points)
        arrow, metric = np.zeros((n + 1, n + 1)), np.eye(n + 1)
        arrow[0, 1:], arrow[1:, 0], metric[0, 0] = self.weights, 1.0, 0.0
        np.fill_diagonal(arrow[1:, 1:], self.points)
        found = eigvals(arrow, metric)
        return np.asarray(found[np.isfinite(found)], complex)

    def residues(self, poles: Complex) -> Complex:
        """Of the function at its poles, (k,); not finite at a pole that is one of the points."""
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = 1 / (poles[:, None] - self.points)
            return -(apart @ (self.weights * self.values)) / (apart**2 @ self.weights)


def aaa(x: Floats, f: Floats, tolerance: float) -> Rational:
    """A rational function with values f at x (m,), ascending, to tolerance * max |f| if rounding allows it.

    Points are added one by one where the error is largest; the weights, of norm 1, are those that fit f at all others
    best (Nakatsukasa, Sete and Trefethen, SIAM J. Sci. Comput. 40, A1494 (2018)).  Spurious poles are not removed.
    """
    others, fit, chosen = np.ones(len(x), bool), np.full(len(x), f.mean()), np.empty(0, int)
    cauchy, ill_conditioned = np.zeros((len(x), _MOST_POINTS)), False
    for n in range(1, min(_MOST_POINTS, len(x)) + 1):
        chosen = np.append(chosen, np.flatnonzero(others)[np.argmax(abs(f - fit)[others])])
        others[chosen] = False
        with np.errstate(divide="ignore"):
            cauchy[:, n - 1] = 1 / (x - x[chosen[-1]])  # infinite at the point itself
        seen = cauchy[:, :n]
        loewner = (f[others, None] - f[chosen]) * seen[others]
        if len(loewner) >= n:
            scale = np.ones(n)
            if not ill_conditioned:
                _, s, directions = np.linalg.svd(loewner, full_matrices=False)
                ill_conditioned = s[0] > s[-1] / (3 * np.finfo(float).eps)
            if ill_conditioned:
                scale = np.maximum(np.linalg.norm(loewner, axis=0), _SMALLEST)
                _, s, directions = np.linalg.svd(loewner / scale, full_matrices=False)
            directions = directions[s == s.min()]
        else:
            scale, (_, s, directions) = np.ones(n), np.linalg.svd(loewner)
            directions = directions[int((s > s.max(initial=0) * np.finfo(float).eps * n).sum()) :]
        weights = directions.sum(axis=0) / np.sqrt(len(directions)) / scale
        used = weights != 0
        seen, weights_used = seen[:, used], weights[used]
        with np.errstate(invalid="ignore"):
            fit = (seen @ (weights_used * f[chosen[used]])) / (seen @ weights_used)
        fit[chosen[used]] = f[chosen[used]]
        if abs(f - fit).max() <= tolerance * abs(f).max():
            break
    chosen = chosen[used]
    return Rational(x[chosen], f[chosen], weights[used])
