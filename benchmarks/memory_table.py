"""Makes llgnegf/electrons/memory_table.py: the parameters of `memory.semicircle`, by optimisation.

    python benchmarks/memory_table.py [FIRST LAST]     minutes; numbers of exponentials, 3 to 30

The largest |fit - J_1(2 tau)/tau| / (1 + tau)^(3/4) over all tau is made as small as possible: least squares
(Levenberg and Marquardt, exact derivatives) whose weights are multiplied again and again by the error at each time
(Lawson 1961), until the error has the same height at all its maxima.  The fit keeps its form, a broadening that is a
square, so there is nothing to constrain.  The start for K exponentials is the result for K - 2 with one more pair.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import j1

from llgnegf.electrons.memory import FORGIVEN, from_parameters, sum_of_exponentials

TARGET = Path(__file__).parent.parent / "llgnegf" / "electrons" / "memory_table.py"
HEAD = '''"""Optimal parameters of `memory.semicircle`, made by benchmarks/memory_table.py; not to be edited by hand.

For each number K of exponentials: ln Im(-z) and ln(2 - Re z) of the poles with Re z > 0, ln Im(-z) of the pole on the
imaginary axis (K odd), ln(s - 2) of the double zeros s > 2 of Gamma, and ln Gamma(0).  ERRORS: the largest error over
all times, counted as |error|/(1 + tau)^(3/4), and |error| itself, as measured by that script.
"""

from __future__ import annotations

# fmt: off
PARAMETERS: dict[int, tuple[list[float], list[float], list[float], list[float], float]] = {
'''
ERRORS = "ERRORS: dict[int, tuple[float, float]] = {\n"
Array = NDArray[np.float64]


class Form:
    """The fit with K exponentials as a function of its parameters (those of the table, one after the other)."""

    def __init__(self, k: int) -> None:
        self.k, self.pairs, self.odd, self.zeros = k, k // 2, k % 2, (k - 1) // 2

    def split(self, p: Array) -> list[Array]:
        n = self.pairs
        return np.split(p, np.cumsum([n, n, self.odd, self.zeros]))

    def poles_and_zeros(self, p: Array) -> tuple[NDArray[np.complex128], Array]:
        widths, edges, middle, zeros, _ = self.split(p)
        right = 2 - np.exp(edges) - 1j * np.exp(widths)
        return np.concatenate([right, -right.conj(), -1j * np.exp(middle)]), 2 + np.exp(zeros)

    def __call__(self, p: Array, tau: Array) -> tuple[Array, Array]:
        """g (tau) and its derivatives (tau, parameters)."""
        z, s = self.poles_and_zeros(p)
        n = self.pairs
        apart = z[:, None] - z
        np.fill_diagonal(apart, 1.0)
        across = z[:, None] - z.conj()
        factors = 1 - (z[:, None] / s) ** 2
        weights = -1j * np.exp(p[-1]) * np.prod(factors, axis=1) ** 2 * np.prod(abs(z) ** 2 / (apart * across), axis=1)
        terms = np.exp(-1j * np.outer(tau, z)) * weights

        # ln(weights_k) depends on every z_j and z_j^*.
        np.fill_diagonal(apart, np.inf)
        by_z = 1 / apart + 1 / z
        by_z += np.diag((-4 * z[:, None] / s**2 / factors).sum(axis=1) - (1 / apart + 1 / across).sum(axis=1))
        by_conjugate = 1 / across + 1 / z.conj()

        moves = np.zeros((self.k, 2 * n + self.odd), complex)  # dz/dparameter
        j = np.arange(n)
        moves[j, j] = moves[n + j, j] = 1j * z[:n].imag
        moves[j, n + j] = z[:n].real - 2
        moves[n + j, n + j] = -moves[j, n + j]
        if self.odd:
            moves[-1, -1] = z[-1]
        logs = by_z @ moves + by_conjugate @ moves.conj()
        of_zeros = 4 * z[:, None] ** 2 / s**3 / factors * (s - 2)
        poles = terms @ logs + (-1j * tau[:, None] * terms) @ moves
        g = terms.sum(axis=1).real
        return g, np.concatenate([poles.real, (terms @ of_zeros).real, g[:, None]], axis=1)

    def sorted(self, p: Array) -> Array:
        widths, edges, middle, zeros, height = self.split(p)
        order = np.argsort(widths)
        return np.concatenate([widths[order], edges[order], middle, np.sort(zeros), height])

    def with_one_more_pair(self, p: Array, closer: float = 0.0) -> Array:
        """Parameters for K + 2 on the same curves, with one point more, whose ends are nearer to the band edges."""
        widths, edges, middle, zeros, height = self.split(p)

        def longer(logs: Array) -> Array:
            if not len(logs):
                return np.array([-0.3])
            n = len(logs)
            return np.interp(np.linspace(0, n - 1, n + 1), np.arange(n), logs) - np.linspace(closer, 0, n + 1)

        return np.concatenate([longer(widths), longer(edges), middle, longer(zeros), height])


def start(k: int, found: dict[int, Array]) -> Array:
    """Start for K from the results for K - 2 and, if there is one, for K - 4: how far the same rule missed K - 2."""
    before = Form(k - 2)
    p = before.with_one_more_pair(found[k - 2], 2 / np.sqrt(k - 2))
    if k >= 9:
        missed = found[k - 2] - Form(k - 4).with_one_more_pair(found[k - 4], 2 / np.sqrt(k - 4))
        p += before.with_one_more_pair(missed)
    return p


def times(expected: float) -> Array:
    """Until |g| itself, falling as tau^-1.5, is forgiven; later in bursts of half a period of the band edges."""
    last = 30 + 3 * expected ** (-1 / (1.5 + FORGIVEN))
    bursts = np.geomspace(15.0, last, int(24 * np.log(last / 15)))[:, None] + np.arange(6) * (np.pi / 12)
    return np.concatenate([np.arange(0, 15, 0.08), bursts.ravel()])


def optimum(form: Form, p: Array, expected: float, rounds: int = 30) -> tuple[float, Array]:
    """The smallest weighted error, to 1 or 2 %, and its parameters; later rounds only wander about it."""
    tau = times(expected)
    exact = np.where(tau > 0, j1(2 * tau) / np.where(tau > 0, tau, 1.0), 1.0)
    scale = (1 + tau) ** -FORGIVEN
    emphasis = np.ones_like(tau)
    best = (np.inf, p)
    idle = 0
    for i in range(rounds):
        weight = scale * np.sqrt(emphasis)
        p = least_squares(
            lambda p, weight=weight: (form(p, tau)[0] - exact) * weight,
            p,
            lambda p, weight=weight: form(p, tau)[1] * weight[:, None],
            method="lm",
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-15,
            max_nfev=400 if i == 0 else 40,
        ).x
        error = abs(form(p, tau)[0] - exact) * scale
        idle = 0 if error.max() < 0.995 * best[0] else idle + 1
        if error.max() < best[0]:
            best = (float(error.max()), p)
        if idle == 4:
            break
        emphasis = np.maximum(emphasis * error / error.max(), 1e-8)
        emphasis /= emphasis.max()
    return best[0], form.sorted(best[1])


def measured(parameters: tuple[list[float], list[float], list[float], list[float], float]) -> tuple[float, float]:
    """The largest error of an entry of the table at any time, forgiven as there, and not forgiven.

    Every 0.02 up to 30, then bursts of half a period, graded: late errors oscillate as cos(2 tau), with an envelope
    that changes on a logarithmic scale.  After 10^8 both g and the fit have vanished.
    """
    bursts = np.geomspace(30.0, 1e8, 400)[:, None] + np.arange(16) * (np.pi / 32)
    tau = np.concatenate([np.arange(0.0, 30.0, 0.02), bursts.ravel()])
    exact = np.where(tau > 0, j1(2 * tau) / np.where(tau > 0, tau, 1.0), 1.0)
    energies, weights, _ = from_parameters(*parameters)
    errors = abs(sum_of_exponentials(energies, weights, tau) - exact)
    return float((errors * (1 + tau) ** -FORGIVEN).max()), float(errors.max())


def main(first: int, last: int) -> None:
    found = {1: np.array([0.0, 0.7]), 2: np.array([-0.7, -0.4, 0.7])}
    error = 0.1
    lines, errors = [], []
    for k in range(3, last + 1):
        error, found[k] = optimum(Form(k), start(k, found), error / 2)
        print(k, f"{error:.3e}", flush=True)
        if k < first:
            continue
        *lists, height = Form(k).split(found[k])
        rows = [f"[{', '.join(f'{x:.12g}' for x in values)}]" for values in lists]
        lines.append("\n".join([f"    {k}: (", *map(_wrapped, rows), f"        {height[0]:.12g},", "    ),"]))
        written: tuple[list[float], ...] = tuple([float(f"{x:.12g}") for x in values] for values in lists)
        forgiven, largest = measured((*written, float(f"{height[0]:.12g}")))
        errors.append(f"    {k}: ({forgiven!r}, {largest!r}),\n")
        TARGET.write_text(HEAD + "\n".join(lines) + "\n}\n" + ERRORS + "".join(errors) + "}\n")


def _wrapped(text: str) -> str:
    return textwrap.fill(text + ",", 120, initial_indent=" " * 8, subsequent_indent=" " * 9)


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:]) if len(sys.argv) > 1 else (3, 30)))
