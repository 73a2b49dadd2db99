"""What a moving moment pumps into the leads of a molecule, to first order in dm/dt: (A2) and (A3) of Xu et al.

With Hd = dH/dt, G' = -G G (wide bands) and G^r(t, E) = G + i G' Hd G of (A4), the flow of O into the lead l is

    I_l = Re Tr[O Gamma_l rho_1] + (1/pi) int f_l Re Tr[G' Hd G Gamma_l O],

for O = 1 (particles) and sigma/2, of which the first part leaves the levels, and the second is what the lead has less
of as it fills them; a lead with Fermi functions of its own for two spins is the sum of both.  rho_1 is as in `bias.py`
and `frozen.py`,

    rho_1 = -(1/pi) int f Im G1 + (1/2pi) int f' Im[G Hd A] - (1/pi) sum_r int (f_r - f) Im[G' Hd A_r],
    G1 = (i/2) (G' Hd G - G Hd G').

Xu et al., Phys. Rev. B 108, 144409 (2023), Appendix A; theirs are out of the leads, and charges.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .pauli import PAULI
from .propagators import Floats, Matrices, Propagators


class OfWideBands(Propagators, Protocol):
    """`Propagators` of levels between wide bands."""

    @property
    def widths(self) -> list[tuple[int, Matrices]]:
        """Lead and Gamma (2 levels, 2 levels), energy, of each of `reservoirs`."""
        ...


class Pumping:
    """electrons: of a moment at rest; Hd: (2 levels, 2 levels), energy/time."""

    def __init__(self, electrons: OfWideBands, Hd: Matrices) -> None:
        self._electrons, self._Hd = electrons, Hd
        rule = electrons.rule()
        G, slope = electrons.at(rule.nodes, 1)
        first = 0.5j * (slope @ Hd @ G - G @ Hd @ slope)
        half = np.einsum("k,kab->ab", rule.weights, first)
        self._driven = np.einsum("k,kab->ab", rule.weights, slope @ Hd @ G)  # (1/2 pi i) int f G' Hd G
        rho = -half - half.conj().T + self._surface()
        # (1/2pi) int (f_r - f) of G' Hd G and of G' Hd A_r
        self._more = self._biased()
        if self._more is not None:
            rho = rho - 2 * _imaginary(self._more[:, 1].sum(axis=0))
        self.density_matrix = rho

    def into_leads(self) -> Floats:
        """Flow into each lead, of particles and of the spin sigma/2, (leads, 4), 1/time."""
        electrons, n = self._electrons, len(self._Hd) // 2
        out = np.zeros((1 + max(lead for lead, _ in electrons.widths), 4))
        for r, (lead, gamma) in enumerate(electrons.widths):
            driven = 2j * np.pi * self._driven
            if self._more is not None:
                driven = driven + 2 * np.pi * self._more[r, 0]
            for a, part in enumerate(PAULI):
                one = np.kron(np.eye(n), part) / (2 if a else 1)
                leaving = np.trace(one @ gamma @ self.density_matrix).real
                out[lead, a] += float(leaving + np.trace(driven @ gamma @ one).real / np.pi)
        return out

    def _surface(self) -> Matrices:
        """(1/2pi) int f' Im[G Hd A]."""
        electrons, kT = self._electrons, self._electrons.occupation.temperature
        size = len(self._Hd)

        def at(energies: Floats) -> Matrices:
            G = electrons.at(energies, 0)[0]
            return G @ self._Hd @ electrons.spectral(energies, G).sum(axis=1)

        if not kT:
            return -_imaginary(at(np.array([electrons.occupation.fermi_energy]))[0]) / (2 * np.pi)

        def integrand(energies: Floats) -> tuple[Floats, Floats]:
            found = at(energies).reshape(len(energies), 1, size**2)
            return np.concatenate([found.real, found.imag], axis=2), np.empty((len(energies), 0, 0))

        rule = electrons.thermal(integrand)
        values = rule.values[..., : size**2] + 1j * rule.values[..., size**2 :]
        total = np.einsum("n,nc->c", rule.weights[0], values[:, 0]).reshape(size, size)
        return -_imaginary(total) / (2 * np.pi)

    def _biased(self) -> Matrices | None:
        """(r, 2, n, n); None without a bias."""
        electrons, size = self._electrons, len(self._Hd)

        def integrand(energies: Floats) -> tuple[Floats, Floats]:
            G, slope = electrons.at(energies, 1)
            A, moved = electrons.spectral(energies, G), slope @ self._Hd
            both = np.stack([np.broadcast_to((moved @ G)[:, None], A.shape), moved[:, None] @ A], axis=2)
            both = both.reshape(*A.shape[:2], 2 * size**2)
            return np.concatenate([both.real, both.imag], axis=2), np.empty((len(energies), 0, 0))

        rule = electrons.biased(integrand)
        if rule is None:
            return None
        values = rule.values[..., : 2 * size**2] + 1j * rule.values[..., 2 * size**2 :]
        return np.asarray(np.einsum("rn,nrc->rc", rule.weights, values).reshape(-1, 2, size, size) / (2 * np.pi))


def _imaginary(matrix: Matrices) -> Matrices:
    """(X - X^+)/2i."""
    return (matrix - matrix.conj().T) / 2j
