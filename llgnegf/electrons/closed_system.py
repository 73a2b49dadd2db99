"""Electrons without leads on a chain or a square lattice: ends open or bound to each other, bonds of any reach.

    H = onsite - sum_k t_k sum_<ij>_k c_i^+ c_j - J_sd sum_i c_i^+ sigma c_i . m_i + sum_i (U_i + V_i) n_i

<ij>_k are the pairs of k-th neighbours: sites 1, 2, 3 apart on a chain; on a lattice nearest ones, those along the
diagonals, and those two sites apart along x or y.  Spin-orbit coupling is that of `spin_orbit.py`, on bonds between
nearest neighbours.  H is one dense matrix, which `closed_frozen.py` diagonalises: what is asked of it is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.once import cached_property

from .arguments import (
    exchange,
    finite_array,
    in_scale,
    lattice_shape,
    no_along_y,
    number,
    site_list,
    spin_hopping_or_none,
    spin_orbit_or_none,
)
from .pauli import SIGMA
from .sites import Sites
from .spin_orbit import SpinHopping, SpinOrbit, bond_matrix

# More sites than this have matrices that no run can diagonalise at every step.
MOST_SITES = 2500
# Bonds to k-th neighbours, each once.
_ALONG_CHAIN = (((1,),), ((2,),), ((3,),))
_ON_LATTICE = (((1, 0), (0, 1)), ((1, 1), (1, -1)), ((2, 0), (0, 2)))


class ClosedSystem(Sites):
    """Parameters and H; arguments as `closed_device.ClosedDevice`, which adds what users ask."""

    def __init__(
        self,
        shape: int | Sequence[int],
        *,
        periodic: bool | str = False,
        hopping: float | Sequence[float] = 1.0,
        onsite: float = 0.0,
        sd_exchange: ArrayLike,
        fermi_energy: float = 0.0,
        temperature: float = 0.0,
        potential: ArrayLike | None = None,
        spin_orbit: SpinOrbit | None = None,
        spin_hopping: SpinHopping | None = None,
        vacancies: Sequence[int] | Sequence[tuple[int, ...]] = (),
    ) -> None:
        self.shape = lattice_shape(shape)
        if self.n_sites > MOST_SITES:
            raise ValueError(
                f"shape = {self.shape!r}: {self.n_sites} sites; up to {MOST_SITES} are allowed without leads, whose H "
                "is a dense matrix"
            )
        allowed = (False, True, "x") if len(self.shape) == 1 else (False, True, "x", "y", "xy")
        if not isinstance(periodic, str | bool) or periodic not in allowed:
            raise ValueError(f"periodic = {periodic!r}: allowed are {', '.join(map(repr, allowed))}")
        self.periodic = periodic
        self.hoppings = _hoppings(hopping)
        self.onsite = number("onsite", onsite, "finite")
        self.sd_exchange = exchange(sd_exchange, self.shape)
        self.fermi_energy = number("fermi_energy", fermi_energy, "finite")
        self.temperature = number("temperature", temperature, ">= 0", lambda x: x >= 0)
        self.potential = None if potential is None else finite_array("potential", potential, self.shape)
        self.spin_orbit = spin_orbit_or_none(spin_orbit)
        self.spin_hopping = spin_hopping_or_none(spin_hopping)
        if self.spin_hopping is not None:
            no_along_y(self.spin_hopping, self.shape)
        self.vacancies = site_list("vacancies", vacancies, self.shape)
        self.voltages = (0.0, 0.0)
        sizes = {"onsite": self.onsite, "fermi_energy": self.fermi_energy, "temperature": self.temperature}
        sizes |= {"sd_exchange": float(np.abs(self.sd_exchange).max()), "farther hopping": max(map(abs, self.hoppings))}
        if self.potential is not None:
            sizes["potential"] = float(abs(self.potential).max())
        if spin_orbit is not None:
            sizes |= {"rashba": spin_orbit.rashba, "dresselhaus": spin_orbit.dresselhaus}
        if spin_hopping is not None:
            along = np.array([spin_hopping.along_x, spin_hopping.along_y])
            sizes["spin_hopping"] = float(abs(along).max())
        in_scale(self.hoppings[0], **sizes)
        self.known: dict[str, float] = {}  # of the bare system, evaluated once

    def _arguments(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "periodic": self.periodic,
            "hopping": self.hoppings,
            "onsite": self.onsite,
            "sd_exchange": self.sd_exchange,
            "fermi_energy": self.fermi_energy,
            "temperature": self.temperature,
            "potential": self.potential,
            "spin_orbit": self.spin_orbit,
            "spin_hopping": self.spin_hopping,
            "vacancies": self.vacancies,
        }

    # --- H ----------------------------------------------------------------------------------------

    @cached_property
    def kept(self) -> NDArray[np.int64]:
        """Numbers of the sites that have an orbital, counted along the last axis first."""
        return np.arange(self.n_sites) if self.holes is None else np.flatnonzero(~self.holes.ravel())

    def coupling_blocks(self, vectors: NDArray[np.float64], scalars: NDArray[np.float64]) -> NDArray[np.complex128]:
        """-J_sd sigma.v_i + u_i on the sites of `kept`, (k, 2, 2): the part of H (or of dH/dt) due to moments and U."""
        v, u = (-self._exchange * vectors).reshape(-1, 3)[self.kept], scalars.ravel()[self.kept]
        return np.einsum("ic,cab->iab", v, SIGMA) + u[:, None, None] * np.eye(2)

    def hamiltonian(self, m: NDArray[np.float64], gates: NDArray[np.float64]) -> NDArray[np.complex128]:
        """H on the sites of `kept`, (2 k, 2 k), index 2 site + spin, energy."""
        H = self._bonds.copy()
        blocks = self.coupling_blocks(m, self.on_sites(gates) + self.onsite)
        rows = 2 * np.arange(len(blocks))
        for a, b in np.ndindex(2, 2):
            H[rows + a, rows + b] += blocks[:, a, b]
        return H

    @cached_property
    def _bonds(self) -> NDArray[np.complex128]:
        """All of H but what is on the sites."""
        n = self.n_sites
        H = np.zeros((n, 2, n, 2), complex)
        for start, end, matrix in self._each_bond():
            # Each pair once in `start`, `end`: of two bonds between two sites one starts at either.
            H[start, :, end] += matrix
            H[end, :, start] += matrix.conj().T
        rows = np.add.outer(2 * self.kept, np.arange(2)).ravel()
        return np.ascontiguousarray(H.reshape(2 * n, 2 * n)[np.ix_(rows, rows)])

    def _each_bond(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.complex128]]]:
        """Sites at which bonds start and end, and their matrix H_(start,end), (2, 2)."""
        places = np.indices(self.shape).reshape(len(self.shape), -1)
        wraps = [self.periodic is True or (self.periodic and axis in str(self.periodic)) for axis in "xy"]
        neighbours = _ALONG_CHAIN if len(self.shape) == 1 else _ON_LATTICE
        for k, (t, shifts) in enumerate(zip(self.hoppings, neighbours, strict=False)):
            for axis, shift in enumerate(shifts):
                if not t or any(d and d % n == 0 for d, n in zip(shift, self.shape, strict=True)):
                    continue
                ends = places + np.array(shift)[:, None]
                inside = np.ones(self.n_sites, bool)
                for x, n, wrap in zip(ends, self.shape, wraps, strict=False):
                    inside &= wrap | ((x >= 0) & (x < n))
                ends = [x % n for x, n in zip(ends, self.shape, strict=True)]
                turn = np.zeros(3, complex)
                if k == 0 and self.spin_orbit is not None:
                    turn = turn + 1j * (self.spin_orbit.along_y if axis else self.spin_orbit.along_x)
                if k == 0 and self.spin_hopping is not None:
                    turn = turn + (self.spin_hopping.along_y if axis else self.spin_hopping.along_x)
                there = np.ravel_multi_index(ends, self.shape)
                yield np.arange(self.n_sites)[inside], there[inside], bond_matrix(t, turn)


def _hoppings(hopping: Any) -> tuple[float, ...]:
    """One to three hoppings, the first > 0; ValueError otherwise."""
    given = tuple(hopping) if isinstance(hopping, Iterable) and not isinstance(hopping, str) else (hopping,)
    if not 1 <= len(given) <= len(_ON_LATTICE):
        raise ValueError(f"hopping = {hopping!r}: use a number > 0, or up to three: nearest, next, third neighbours")
    first = number("hopping", given[0], "> 0 between nearest neighbours", lambda x: x > 0)
    return (first, *(number(f"hopping[{k + 1}]", t, "finite") for k, t in enumerate(given[1:])))
