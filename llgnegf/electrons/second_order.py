"""The spin density of second order in the rate of a motion, at a given dm/dt and d^2m/dt^2.

With V = dH/dt and W = d^2H/dt^2 of this motion, all else as in `response.py`, and M = G' V G V + G' W/2,

    s_2 = -(1/pi) int f Im Tr[sigma M G'] + (1/pi) int f' Re Tr[sigma M A]
          + (1/pi) int Re Tr[sigma M ((f_r - f)' A_r + (f_r - f) A_r')]
          + (1/2pi) int (f_r - f) Tr[sigma G' V A_r V G'^+].

From the quadratic response to V e^(-i w1 t) and V e^(-i w2 t), with c = E, b = E + w2 and a = E + w1 + w2,

    G<_2 = G(a) V G(b) V G<(c) + G(a) V G<(b) V G^+(c) + G<(a) V G^+(b) V G^+(c),

of which a motion V t has the second derivative, i^2 d/dw1 d/dw2 at w1 = w2 = 0; G'' is removed by parts.  The part
linear in d^2m/dt^2 is -I d^2m/dt^2/J_sd; that quadratic in dm/dt is no part of a linear tensor.  (20) of Xu et al.,
Phys. Rev. B 108, 144409 (2023), has the same terms for wide bands, G' = -G G; the expansion of G in print above it
lacks the order of the factors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .pairs import local_traces
from .pauli import PAULI
from .propagators import Floats, Integrand, Matrices, Propagators, chunks
from .threads import total_of
from .window import Rule


def second_order(source: Propagators, velocity: Floats, acceleration: Floats, knows_bias: bool) -> Floats:
    """Tr[sigma rho_2] on each site, (sites, 3), for dm/dt and d^2m/dt^2 of the moments, (moments, 3) each.

    knows_bias: whether what a bias adds exists; where it does not (`response.py`) all is nan.
    Raises ToleranceError where an integral cannot reach the tolerance.
    """
    size = max(float(abs(velocity).max()), float(np.sqrt(abs(acceleration).max()))) * float(abs(source.exchange).max())
    if not size:
        return np.zeros((len(source.owner), 3))
    # Of rates of about one energy/time, as which the tolerance is meant.
    unit = size / source.scale**2
    V, W = (_rate(source, rate / unit**k) for k, rate in ((1, velocity), (2, acceleration)))
    return unit**2 * _Motion(source, V, W).spin(knows_bias)


def _rate(source: Propagators, vectors: Floats) -> Matrices:
    """-J_i sigma.v_i of the moment on each site, (sites, 2, 2)."""
    moving = -source.exchange[:, None] * vectors[source.owner]
    return np.einsum("ia,apq->ipq", moving, PAULI[1:])


class _Motion:
    """V, W: dH/dt and d^2H/dt^2 on the sites, (sites, 2, 2)."""

    def __init__(self, source: Propagators, V: Matrices, W: Matrices) -> None:
        self._source, self._V, self._W = source, V, W

    def spin(self, knows_bias: bool) -> Floats:
        source = self._source
        rule = source.rule()

        def at_poles(chunk: slice) -> list[Floats]:
            G, slope = source.at(rule.nodes[chunk], 1)
            found = _traced(self._middle(G, slope), slope)
            return [np.real(np.tensordot(rule.weights[chunk], found, 1))]

        total = -2 * total_of(at_poles, chunks(len(rule.nodes), 2 * len(source.owner)))[0]
        total = total + self._integral(self._thermal(), self._at_surface)
        if not knows_bias:
            return np.full_like(total, np.nan)
        biased = source.biased(self._judged(self._of_bias))
        if biased is None:
            return total
        slopes = source.biased_slopes(self._judged(self._of_slopes))
        return total + self._integral(biased, self._of_bias) + self._integral(slopes, self._of_slopes)

    def _thermal(self) -> Rule:
        source = self._source
        if source.occupation.temperature:
            rule = source.thermal(self._judged(self._at_surface))
            return Rule(rule.energies, -rule.weights, rule.values)
        step = np.array([source.occupation.fermi_energy])
        return Rule(step, -np.ones((1, 1)), np.empty((1, 1, 0)))

    def _middle(self, G: Matrices, slope: Matrices) -> Matrices:
        """M = G' V G V + G' W/2."""
        return _times(slope, self._V) @ _times(G, self._V) + _times(slope, self._W) / 2

    # --- integrands: (k, factors, sites, 3), and A of each factor -------------------------------------

    def _at_surface(self, energies: Floats) -> tuple[Floats, Matrices]:
        G, slope = self._source.at(energies, 1)
        A = self._source.spectral(energies, G).sum(axis=1)
        return np.real(_traced(self._middle(G, slope), A))[:, None] / np.pi, A[:, None]

    def _of_slopes(self, energies: Floats) -> tuple[Floats, Matrices]:
        G, slope = self._source.at(energies, 1)
        A, M = self._source.spectral(energies, G), self._middle(G, slope)
        found = [np.real(_traced(M, A[:, r])) / np.pi for r in range(A.shape[1])]
        return np.stack(found, axis=1), A

    def _of_bias(self, energies: Floats) -> tuple[Floats, Matrices]:
        G, slope = self._source.at(energies, 1)
        A, M = self._source.spectral(energies, G), self._middle(G, slope)
        changes, moved = self._source.spectral_slope(energies, G, slope), _times(slope, self._V)
        adjoint = np.conj(np.swapaxes(slope, 1, 2))
        found = [
            np.real(2 * _traced(M, changes[:, r]) + _traced(moved @ _times(A[:, r], self._V), adjoint)) / (2 * np.pi)
            for r in range(A.shape[1])
        ]
        return np.stack(found, axis=1), A

    # --- integrals ----------------------------------------------------------------------------------

    def _judged(self, of) -> Integrand:
        sites = len(self._source.owner)

        def integrand(energies: Floats) -> tuple[Floats, Floats]:
            parts = [of(energies[chunk]) for chunk in chunks(len(energies), 2 * sites)] or [of(energies)]
            values = np.concatenate([one for one, _ in parts])
            states = np.concatenate([local_traces(A) for _, A in parts])
            return values.reshape(*values.shape[:2], 3 * sites), states.reshape(*states.shape[:2], 4 * sites)

        return integrand

    def _integral(self, rule: Rule, of) -> Floats:
        def part(chunk: slice) -> list[Floats]:
            return [np.einsum("wk,kwia->ia", rule.weights[:, chunk], of(rule.energies[chunk])[0])]

        found = total_of(part, chunks(len(rule.energies), 2 * len(self._source.owner)))
        return found[0] if found else np.zeros((len(self._source.owner), 3))


def _times(stack: Matrices, blocks: Matrices) -> Matrices:
    """Matrices (k, 2 sites, 2 sites) times the block-diagonal one of blocks (sites, 2, 2)."""
    k, size, _ = stack.shape
    return np.einsum("kxip,ipq->kxiq", stack.reshape(k, size, -1, 2), blocks).reshape(k, size, size)


def _traced(X: Matrices, Y: Matrices) -> NDArray[np.complex128]:
    """Tr[sigma_a (X Y)_ii], (k, sites, 3)."""
    k, size, _ = X.shape
    n = size // 2
    blocks = np.einsum("kipx,kxiq->kipq", X.reshape(k, n, 2, size), Y.reshape(k, size, n, 2))
    return np.einsum("apq,kiqp->kia", PAULI[1:], blocks)
