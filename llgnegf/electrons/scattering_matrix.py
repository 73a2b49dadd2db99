"""The scattering matrix of a texture and its derivatives: another way to the friction at kT = 0.

With W = sqrt(Gamma) of the open channels of all leads (Fisher and Lee, Phys. Rev. B 23, 6851 (1981)),

    S = -1 + i W^+ G W,        dS/dm_i^a = i W^+ G V_ia G W,        V_ia = dH/dm_i^a,

the symmetric Gilbert tensor at kT = 0 without a bias is that of the power pumped into the leads,

    alpha_ij = (1/4pi) Re Tr[ dS/dm_i  dS^+/dm_j ]

(Brataas, Tserkovnyak and Bauer, Phys. Rev. Lett. 101, 037207 (2008); the adjoint is missing in Eq. (D1) of Xu et al.,
Phys. Rev. B 108, 144409 (2023)).  It needs the columns of G that belong to open channels, and no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .pauli import PAULI

Matrices = NDArray[np.complex128]


class Waves(NamedTuple):
    """W, G W and G^+ W at a real energy, (2 sites, channels) each; lead: (channels,) which reservoir each is of."""

    injected: Matrices
    retarded: Matrices
    advanced: Matrices
    lead: NDArray[np.intp]


class Scatterer(Protocol):
    """What a scattering matrix needs of `Propagators`; see there."""

    exchange: NDArray[np.float64]
    owner: NDArray[np.intp]

    def waves(self, energy: float) -> Waves:
        """The open channels at a real energy."""
        ...


@dataclass(frozen=True)
class ScatteringMatrix:
    """At one real energy, for p open channels: those of the left lead, of the right lead, ..., spin fastest.

    S: (p, p), unitary, [out, in]; derivative: dS/dm_i^a, (moments, 3, p, p); lead: (p,) reservoir of each channel.
    """

    S: Matrices
    derivative: Matrices
    lead: NDArray[np.intp]

    @property
    def friction(self) -> NDArray[np.float64]:
        """(1/4pi) Re Tr[dS/dm_i^a dS^+/dm_j^b], (moments, moments, 3, 3), hbar."""
        moments, p = len(self.derivative), len(self.S)
        flat = self.derivative.reshape(3 * moments, p * p)
        gram = np.real(flat @ flat.conj().T).reshape(moments, 3, moments, 3)
        return np.moveaxis(gram, 1, 2) / (4 * np.pi)


def scattering_matrix(source: Scatterer, energy: float) -> ScatteringMatrix:
    """S and its derivatives with respect to all moments, at this energy."""
    W, psi, phi, lead = source.waves(energy)
    p, sites = W.shape[1], len(source.owner)
    S = 1j * W.conj().T @ psi - np.eye(p)
    turned = np.einsum("aqr,srp->asqp", PAULI[1:], psi.reshape(sites, 2, p))
    left = phi.conj().reshape(sites, 2, p)
    each = -1j * source.exchange[:, None, None, None] * np.einsum("sqo,asqp->saop", left, turned)
    members = (source.owner[None] == np.arange(source.owner.max() + 1)[:, None]).astype(float)
    return ScatteringMatrix(S, np.tensordot(members, each, 1), lead)
