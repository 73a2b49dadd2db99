"""A material in SI units and the numbers of a deck that stand for it, both ways.

A site of a deck stands for a cell of the volume V = a w h: one lattice constant a along x; w along y, which on a square
lattice is a as well; h along z.  Its moment is g mu_B S = M_s V, its angular momentum hbar S.  The continuum's energy,

    int dV [ A |grad m|^2 - K (m.k)^2 + K_hard (m.h)^2 + w_D ],
    w_D = D m.(curl m)                            "bulk"
    w_D = D [m_z div m - (m.grad) m_z]            "interfacial", film normal z,

is, for moments that turn little from cell to cell, that of a deck (`magnet/energy.py`) with

    exchange = 2 A V/a^2,  anisotropy = K V,  hard_anisotropy = K_hard V,  dmi = -D V/a (bulk), +D V/a (interfacial).

The signs of D are those of Vansteenkiste et al., AIP Advances 4, 107133 (2014), Eqs. (8), (9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from llgnegf.units import BOHR_MAGNETON, HBAR

# From dmi of a deck to D: the bond vector of "bulk" points against that of the curl.
_SIGN = {"bulk": -1.0, "interfacial": 1.0}


@dataclass(frozen=True)
class Cell:
    """What a site stands for: lengths in m along x (the lattice constant), y and z."""

    length: float
    width: float
    thickness: float

    @property
    def volume(self) -> float:
        """V, m^3."""
        return self.length * self.width * self.thickness


@dataclass(frozen=True)
class Material:
    """A in J/m, K and K_hard in J/m^3, D in J/m^2 of the kind `dmi_kind`, M_s in A/m."""

    saturation: float
    exchange_stiffness: float
    anisotropy: float = 0.0
    hard_anisotropy: float = 0.0
    dmi: float = 0.0
    dmi_kind: str = "bulk"

    @property
    def wall_width(self) -> float | None:
        """sqrt(A/K), m: a wall is tanh(x/width); None where K or A has another sign."""
        ratio = self.exchange_stiffness / self.anisotropy if self.anisotropy else -1.0
        return math.sqrt(ratio) if ratio > 0 else None

    @property
    def spiral_period(self) -> float | None:
        """4 pi A/|D|, m: of the spiral that DMI and exchange alone make; None where there is none."""
        return (
            4 * math.pi * self.exchange_stiffness / abs(self.dmi) if self.dmi and self.exchange_stiffness > 0 else None
        )

    def resonance(self, g: float) -> float | None:
        """Ferromagnetic resonance about the easy axis without a field, Hz; None where that is no minimum.

        gamma sqrt(2K (2K + 2K_hard))/(2 pi M_s), the hard axis across the easy one (Kittel, Phys. Rev. 73, 155 (1948)).
        """
        soft, stiff = 2 * self.anisotropy, 2 * (self.anisotropy + self.hard_anisotropy)
        if soft <= 0 or stiff <= 0:
            return None
        return g * BOHR_MAGNETON * math.sqrt(soft * stiff) / (2 * math.pi * HBAR * self.saturation)


@dataclass(frozen=True)
class Numbers:
    """Keys of [magnet], energies in units of the deck."""

    spin: float
    exchange: float
    anisotropy: float = 0.0
    hard_anisotropy: float = 0.0
    dmi: float = 0.0
    dmi_kind: str = "bulk"


def numbers_of(material: Material, cell: Cell, unit: float, g: float = 2.0) -> Numbers:
    """The numbers of a deck for a material.  unit: `units.energy` in J; g: of the moments."""
    V = cell.volume / unit
    return Numbers(
        spin=material.saturation * cell.volume / (g * BOHR_MAGNETON),
        exchange=2 * material.exchange_stiffness * V / cell.length**2,
        anisotropy=material.anisotropy * V,
        hard_anisotropy=material.hard_anisotropy * V,
        dmi=_SIGN[material.dmi_kind] * material.dmi * V / cell.length,
        dmi_kind=material.dmi_kind,
    )


def material_of(numbers: Numbers, cell: Cell, unit: float, g: float = 2.0) -> Material:
    """The material for which the numbers of a deck stand; arguments as `numbers_of`."""
    V = cell.volume / unit
    return Material(
        saturation=numbers.spin * g * BOHR_MAGNETON / cell.volume,
        exchange_stiffness=numbers.exchange * cell.length**2 / (2 * V),
        anisotropy=numbers.anisotropy / V,
        hard_anisotropy=numbers.hard_anisotropy / V,
        dmi=_SIGN[numbers.dmi_kind] * numbers.dmi * cell.length / V,
        dmi_kind=numbers.dmi_kind,
    )
