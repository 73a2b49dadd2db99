"""Response tensors of electrons without leads, by sums over levels; terms and signs are those of `response.py`.

With dm_i exp(-i omega t), V_ia = -J_i sigma_a at site i and D = E_n - E_m,

    K_ij(omega) = sum_nm <m|V_i|n><n|V_j|m> (f_n - f_m)/(D - omega) = K(0) - i omega alpha - omega^2 I + ...
    alpha = i sum <m|V_i|n><n|V_j|m> (f_n - f_m)/D^2,      I = -sum <m|V_i|n><n|V_j|m> (f_n - f_m)/D^3.

alpha is antisymmetric, the Berry curvature of the filled levels: there is no friction.  Degenerate levels keep their
occupation in alpha and I; K(0), the second derivative of the grand potential, has f' of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .closed_frozen import ClosedFrozen
from .pauli import SIGMA
from .quadrature import ToleranceError, fermi_derivative
from .response import Tensors

Floats = NDArray[np.float64]

# So many sites have matrix elements of some hundred MB.
MOST_SITES = 100
# A frequency is told from the distance of two levels by this share of the largest energy.
_RESONANT = 1e-9


class ClosedResponse:
    """Tensors of every pair of moments; evaluated on first use and kept.

    Raises ValueError for more than 100 sites; methods ToleranceError where a level lies at the Fermi energy at kT = 0.
    """

    def __init__(self, frozen: ClosedFrozen) -> None:
        self._frozen, self._device = frozen, frozen.device
        if self._device.n_sites > MOST_SITES:
            raise ValueError(
                f"response tensors: {self._device.n_sites} sites without leads; up to {MOST_SITES} are allowed, for "
                "all matrix elements between levels are kept"
            )

    @cached_property
    def tensors(self) -> Tensors:
        """All of one texture; `sea` is all of the Gilbert tensor."""
        difference, distance, apart = self._frozen.pairs
        inverse = np.divide(1.0, distance, out=np.zeros_like(distance), where=apart)
        static = difference * inverse
        if self._device.temperature > 0:
            E = self._frozen.levels
            slopes = fermi_derivative((E[:, None] + E) / 2, self._device.fermi_energy, self._device.temperature)
            static = np.where(apart, static, slopes)
        nothing = np.zeros((self._device.n_sites,) * 2 + (3, 3))
        susceptibility, lag = self._sum(static).real, self._sum(difference * inverse**2).imag
        return Tensors(
            sea=-lag * self._forces,
            surface=nothing,
            bias=nothing.copy(),
            inertia=-self._sum(difference * inverse**3).real * self._forces,
            stiffness=susceptibility * self._forces,
            susceptibility=-susceptibility * self._exchange[None, :, :, None],
            drag=lag * self._exchange[None, :, :, None],
        )

    def alpha(self, omega: float) -> NDArray[np.complex128]:
        """alpha(omega) = i [K(omega) - K(0)]/omega, (sites, sites, 3, 3), hbar; omega real, 1/time; at 0 the Gilbert
        tensor.  ToleranceError where omega is the distance of two levels that are filled differently."""
        if omega == 0:
            return self.tensors.gilbert.astype(complex)
        difference, distance, apart = self._frozen.pairs
        scale = float(abs(distance).max(initial=abs(omega)))
        counts = apart & (difference != 0)
        if np.any(abs(distance[counts] - omega) < _RESONANT * scale):
            raise ToleranceError(
                f"omega = {omega:g} is the distance of two levels without a width: use another frequency"
            )
        # i [1/(D - omega) - 1/D]/omega
        weights = np.divide(difference, distance * (distance - omega), out=np.zeros_like(distance), where=counts)
        return 1j * self._sum(weights) * self._forces

    @cached_property
    def _elements(self) -> NDArray[np.complex128]:
        """<n|sigma_a|m> at each site that has an orbital, (3 k, levels^2)."""
        U = self._frozen.states
        u = U.reshape(-1, 2, len(U))
        return np.einsum("kin,cij,kjm->kcnm", u.conj(), SIGMA, u, optimize=True).reshape(-1, len(U) ** 2)

    @cached_property
    def _exchange(self) -> Floats:
        """J_sd of every site, energy, (sites, 1)."""
        return np.broadcast_to(self._device.sd_exchange, self._device.shape).ravel()[:, None]

    def _sum(self, weights: Floats) -> NDArray[np.complex128]:
        """sum_nm <m|sigma_ia|n><n|sigma_jb|m> w_nm, (sites, sites, 3, 3); zero on vacancies."""
        A, kept = self._elements, self._device.kept
        found = (A.conj() @ (A * weights.ravel()).T).reshape(len(kept), 3, len(kept), 3).swapaxes(1, 2)
        out = np.zeros((self._device.n_sites,) * 2 + (3, 3), complex)
        out[np.ix_(kept, kept)] = found
        return out

    @cached_property
    def _forces(self) -> Floats:
        """J_i J_j, by which sums over sigma become those over V on either side: (sites, sites, 1, 1)."""
        J = self._exchange[:, 0]
        return (J[:, None] * J)[:, :, None, None]
