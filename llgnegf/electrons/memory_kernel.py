"""How electrons of a molecule remember: alpha(omega) as a function of time.

    d<V_a>(t) = K(0) dm(t) + int_0^inf a(tau) dm/dt(t - tau) dtau
    int_0^inf a(tau) exp(i omega tau) dtau = alpha(omega)

With wide bands, h = H - i Gamma/2, and F = sum_r f_r G Gamma_r G^+,

    a_ab(tau) = -2 Re int dE/2pi Tr[ V_a exp(-i (h - E) tau) G(E) V_b F(E) ],

which decays as the slowest level empties.  It is the Fourier transform of (29) and (30) of Xu et al., Phys. Rev. B 108,
144409 (2023), without its static part.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .molecule import FrozenMolecule
from .pauli import PAULI
from .quadrature import ToleranceError

Floats = NDArray[np.float64]

# Times at which the rule over energies is judged, as shares of the longest one.
_JUDGED = np.array([0.0, 0.01, 0.03, 0.1, 0.3, 1.0])
# A memory of more steps is refused.
_MOST_STEPS = 200_000


def memory_kernel(frozen: FrozenMolecule, step: float) -> Floats:
    """a(tau) of the one moment at tau = 0, step, 2 step, ...: (n, 3, 3), energy; up to where it is below the tolerance.

    Raises ToleranceError where that takes too many steps.
    """
    tolerance, J, size = frozen.tolerance, frozen.molecule.sd_exchange, len(frozen.H)
    h = frozen.H - 0.5j * frozen.molecule.gamma
    values, vectors = np.linalg.eig(h)
    slowest = float(-values.imag.max())
    reach = math.log(10 / tolerance) / slowest
    if not reach < _MOST_STEPS * step:
        raise ToleranceError(
            f"a level empties at the rate {2 * slowest:.3g}, so that its memory of {reach:.3g} would take "
            f"{reach / step:.3g} steps: use larger widths, a longer step or a larger tolerance"
        )
    V = [-J * np.kron(np.eye(size // 2), sigma) for sigma in PAULI[1:]]

    def weighted(energies: Floats) -> NDArray[np.complex128]:
        """G V_b G Gamma_r G^+ at each energy: (k, reservoirs, 3, size, size)."""
        G = frozen.at(energies, 0)[0]
        A = frozen.spectral(energies, G)
        return np.stack([(G @ v)[:, None] @ A for v in V], axis=2)

    def filled(z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """G V_b sum_r G Gamma_r G^+ continued to complex energies: (k, 3, size, size)."""
        G, conjugate = frozen.at(z, 0)[0], frozen.at(z.conj(), 0)[0]
        A = 1j * (G - np.conj(np.swapaxes(conjugate, 1, 2)))
        return np.stack([G @ v @ A for v in V], axis=1)

    def integrand(energies: Floats) -> tuple[Floats, Floats]:
        products = weighted(energies).reshape(len(energies), -1, 1, 3 * size**2)
        swing = np.exp((1j * energies[:, None] - slowest) * (_JUDGED * reach))[:, None, :, None]
        found = (swing * products).reshape(len(energies), products.shape[1], -1) * J**2
        return np.concatenate([found.real, found.imag], axis=2), np.empty((len(energies), 0, 0))

    # Below all levels exp(i E tau) is smooth along a line into the upper half plane, and small tails are not cut off.
    bottom = frozen.bottom
    rule, below = frozen.occupied_above(bottom, integrand), frozen.rule_below(bottom, 1 / reach)
    energies = np.concatenate([rule.energies.astype(complex), below.nodes])
    summed = np.concatenate(
        [
            np.einsum("rn,nrbpq->nbpq", rule.weights, weighted(rule.energies)) / (2 * np.pi),
            1j * below.weights[:, None, None, None] * filled(below.nodes),
        ]
    )
    times = step * np.arange(1 + math.ceil(reach / step))
    out, inverse = np.empty((len(times), 3, 3)), np.linalg.inv(vectors)
    rotated = inverse @ summed  # exp(-i h tau) = vectors exp(-i values tau) inverse
    left = [v @ vectors for v in V]
    for first in range(0, len(times), 256):
        part = times[first : first + 256]
        moved = np.tensordot(np.exp(1j * part[:, None] * energies), rotated, 1)  # (times, b, p, q)
        moved *= np.exp(-1j * part[:, None] * values)[:, None, :, None]
        for a in range(3):
            out[first : first + 256, a] = -2 * np.einsum("qp,tbpq->tb", left[a], moved).real
    return out
