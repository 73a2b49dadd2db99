"""The open electronic system: a tight-binding chain or square lattice with local moments between two leads.

    H = onsite - t sum_<ij> c_i^+ c_j - J_sd sum_i c_i^+ sigma c_i . m_i + sum_i (U_i + V_i) n_i

with Pauli matrices (no 1/2), hbar = 1, all energies in one unit.  U is the potential of the device itself, such as
disorder; V is that of gates; J_sd may differ from site to site, and bonds may turn the spin (`spin_orbit.py`).
`System` holds what does not change during a run: parameters, blocks of H and leads (`connected.py`), and at which
energies there are states, with what is cached of the rules for integrals over them (`pole_rules.py`, `chain_rules.py`,
`window.py`).  The electrons of one texture are `frozen.Frozen`; the class for users is `device.Device`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.once import cached_property

from .arguments import finite_array
from .chain_rules import ChainRules
from .connected import ConnectedSites
from .leads import SIDES, AttachedLead, Occupation
from .pole_rules import MovedPoleRules, PoleRules
from .scratch import Scratch
from .sites import read_only
from .spin_orbit import SpinFrame, bond_matrix
from .window import BiasWindow, ThermalWindow

# Beyond so many kT nothing is left of a Fermi function, even where a narrow level amplifies it.
BIAS_TAILS = 45.0


def tails(tolerance: float) -> float:
    """Beyond how many kT from its step a density cannot notice what is left of a Fermi function."""
    return min(BIAS_TAILS, 8 - math.log(tolerance))


class System(ConnectedSites):
    """What a device is, with the energies at which it has states and the rules for integrals over them.

    Arguments, errors and `changed` as `device.Device`, which adds what users ask.
    """

    # --- the same system otherwise -------------------------------------------------------------------

    @cached_property
    def one_row(self) -> System:
        """This chain as a lattice with one row; a lattice itself."""
        if self.is_lattice:
            return self
        across = {
            "shape": (*self.shape, 1),
            "vacancies": [(*site, 0) for site in self.vacancies],
            "sd_exchange": self.sd_exchange if isinstance(self.sd_exchange, float) else self.sd_exchange[:, None],
            "potential": None if self.potential is None else self.potential[:, None],
        }
        row = System(**self._arguments() | across)
        row.__dict__["ends"] = self.ends
        return row

    @cached_property
    def straight(self) -> System:
        """This system in its `frame`, or where there is none with its bonds as arrays of matrices.

        It has neither `spin_orbit` nor `spin_hopping`; a system without these is its own.
        """
        return self if self.spin_orbit is None and self.spin_hopping is None else _Straight(self, self.frame)

    def at_voltages(self, voltages: ArrayLike) -> Self:
        """The same system with these voltages (2,) of the left and the right lead, energies; cached.

        What does not depend on them, such as pole rules, is shared.  ValueError for what are not two finite numbers,
        where the bands of the leads do not overlap, or for a voltage of a side without a lead.
        """
        asked = tuple(finite_array("voltages", voltages, (2,)).tolist())
        return self if asked == self.voltages else self._at_voltages(asked)

    @cached_property
    def _at_voltages(self) -> Callable[[tuple[float, ...]], Self]:
        return functools.lru_cache(maxsize=4)(self._make_at_voltages)

    def _make_at_voltages(self, voltages: tuple[float, ...]) -> Self:
        given = {lead.side: lead for lead in self.leads}
        for side, voltage in zip(SIDES, voltages, strict=True):
            if voltage and side not in given:
                raise ValueError(f"voltage = {voltage:g} of the {side} lead: there is no lead on that side")
        shifted = dict(zip(SIDES, voltages, strict=True))
        other = self.changed(leads=[replace(lead, voltage=shifted[lead.side]) for lead in self.leads])
        for shared in ("pole_rules", "tell_once", "scratch"):
            other.__dict__[shared] = getattr(self, shared)
        return other

    def filled_by(self, occupation: Occupation) -> System:
        """The same system in equilibrium with another Fermi function."""
        return self._filled_by(occupation)

    @cached_property
    def _filled_by(self) -> Callable[[Occupation], System]:
        return functools.lru_cache(maxsize=4)(self._make_filled)

    def _make_filled(self, occupation: Occupation) -> System:
        leads = [replace(lead, chemical_potential=None, temperature=None, spin_bias=None) for lead in self.leads]
        return _Filled(
            **self._arguments()
            | {"fermi_energy": occupation.fermi_energy, "temperature": occupation.temperature, "leads": leads}
        )

    # --- energies ------------------------------------------------------------------------------------

    def spectrum_bounds(self, m: NDArray[np.float64], gates: NDArray[np.float64]) -> tuple[float, float]:
        """Interval (low, high) that contains the spectrum of the infinite system (Gershgorin), energy.

        Rounded outwards to multiples of 1/8 hopping, so that slightly different gate voltages share one pole rule.
        """
        reach = self._reach
        if isinstance(self.sd_exchange, float):
            exchange = abs(self.sd_exchange) * np.sqrt((m**2).sum(axis=-1).max())
        else:
            exchange = np.sqrt((self.exchange_times(m) ** 2).sum(axis=-1).max())
        grain = self.hopping / 8
        potential = self.on_sites(gates)
        lowest, highest = self._shifts
        low = self.onsite - reach - exchange + min(potential.min(), lowest)
        high = self.onsite + reach + exchange + max(potential.max(), highest)
        return grain * np.floor(low / grain - 1e-9), grain * np.ceil(high / grain + 1e-9)

    @cached_property
    def _reach(self) -> float:
        """The largest sum of hoppings at any one site, sites of the leads included, energy."""
        left, right = self.couplings
        beyond = [lead.modes.hopping for lead in self.ends]
        along_x = np.array([beyond[0], left, *self.hops, right, beyond[1]])
        widest = max(self.hopping, *beyond)
        if self.bonds_along_y is not None:
            widest = max(widest, float(np.linalg.norm(self.bonds_along_y, 2, axis=(1, 2)).max()))
        along_y = 2 * widest * self.is_lattice
        return float(max(2 * max(self.hopping, *beyond), (along_x[1:] + along_x[:-1]).max())) + along_y

    @cached_property
    def _shifts(self) -> tuple[float, float]:
        """By how much levels of the leads are moved at most, down and up, energy; 0 where none is."""
        moved = [(v, lead.splitting / 2) for v, lead in zip(self.voltages, self.ends, strict=True)]
        return min(0.0, *(v - s for v, s in moved)), max(0.0, *(v + s for v, s in moved))

    def without_holes(self, H: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """A dense H (2 N, 2 N) whose vacancies are levels far away without bonds, not as far as those of the blocks.

        With those, eigenvalues would lose digits.
        """
        if self.holes is None:
            return H
        rows = np.repeat(self.holes.ravel(), 2)
        H = np.where(rows[:, None] | rows, 0.0, H)
        size = float(abs(H).sum(axis=0).max()) + abs(self.fermi_energy) + 1000 * self.temperature
        H[rows, rows] = 10 * (size + self._reach + max(abs(e) for e in self.band))
        return H

    @cached_property
    def band(self) -> tuple[float, float]:
        """Edges of the lead band, energy; of leads that differ, of the bands of all together, which overlap.

        Beside a wide-band lead all energies at which anything changes.
        """
        if self.has_wide_leads:
            filled = [self.occupation, *(lead.occupation for lead in self.ends)]
            around = [f.fermi_energy + k * (BIAS_TAILS * f.temperature + self.hopping) for f in filled for k in (-1, 1)]
            bands = [lead.band for lead in self.ends if lead.coupling and not lead.is_wide]
            edges = [*around, *(e for band in (*bands, self.modes.band) for e in band)]
            return min(edges), max(edges)
        if self.is_shifted:
            bands = [lead.band for lead in self.ends if lead.coupling]
            return min(low for low, _ in bands), max(high for _, high in bands)
        if self.is_lattice:
            return self.modes.band
        return self.onsite - 2 * self.hopping, self.onsite + 2 * self.hopping

    @cached_property
    def openings(self) -> NDArray[np.float64]:
        """Energies at which a mode of a connected lead opens or closes, increasing."""
        return np.unique([e for lead in self.ends if lead.coupling for e in lead.thresholds.tolist()])

    @cached_property
    def nearest_opening(self) -> float:
        """The energy nearest to E_F at which a mode of the leads opens or closes; inf for a closed system.

        There Sigma(E) has a square-root singularity.
        """
        if self.is_closed:
            return np.inf
        openings = self.openings if self.is_lattice or self.is_shifted else np.array(self.band)
        return float(openings[np.argmin(abs(openings - self.fermi_energy))])

    def with_tails(self, around: list[tuple[float, float]]) -> tuple[float, float]:
        """Energies at which the system has states: the band, and with a bath all so far from these energies."""
        low, high = self.band
        if not self.has_tails:
            return low, high
        return min(low, *(e - reach for e, reach in around)), max(high, *(e + reach for e, reach in around))

    def bias_window(self, reach: float | None = None) -> BiasWindow:
        """Energies at which leads are filled otherwise than by `occupation`; cached.

        reach: up to how many kT from a step of a Fermi function; None: where a density can notice.
        """
        return self._bias_window(tails(self.tolerance) if reach is None else reach)

    @cached_property
    def _bias_window(self) -> Callable[[float], BiasWindow]:
        return functools.lru_cache(maxsize=2)(self._make_bias_window)

    def _make_bias_window(self, reach: float) -> BiasWindow:
        occupations = [one if lead.coupling else self.occupation for lead, one in self.sources]
        every = [*occupations, self.occupation]
        where = self.with_tails([(f.fermi_energy, reach * f.temperature) for f in every]), self.openings, reach
        return BiasWindow(occupations, self.occupation, *where, self.hopping, 2 * self.n_sites)

    @cached_property
    def thermal_window(self) -> ThermalWindow:
        """Energies around E_F at which -df/dE is not negligible, at kT > 0."""
        band = self.with_tails([(self.fermi_energy, BIAS_TAILS * self.temperature)])
        where = band, self.openings, BIAS_TAILS
        return ThermalWindow(self.occupation, self.occupation.slope, *where, self.hopping, 2 * self.n_sites)

    @cached_property
    def thermal_range(self) -> tuple[float, float]:
        """(low, high): energies between which -df/dE is not negligible."""
        reach = self.temperature * min(45.0, 8 - np.log(self.tolerance))
        return self.fermi_energy - reach, self.fermi_energy + reach

    # --- rules ---------------------------------------------------------------------------------------

    @cached_property
    def pole_rules(self) -> PoleRules:
        """Rules for the Fermi function of the device at complex energies."""
        return PoleRules(self.occupation, self.hopping, self.tolerance, self.is_closed)

    @cached_property
    def chain_rules(self) -> ChainRules:
        """The same of a chain, and rules at real energies, with the self-energies of the leads at their nodes."""
        onsite = read_only(np.ascontiguousarray(self.bare_blocks[:, 0, 0].real))
        return ChainRules(self.ends, self.pole_rules, self.band, self.thermal_range, onsite, self.hops)

    @cached_property
    def lead_slices(self) -> Callable[[tuple[complex, ...]], tuple[NDArray[np.complex128], NDArray[np.complex128]]]:
        """Self-energies of the left and the right lead of a square lattice, (k, 2 ny, 2 ny), at k energies; cached."""
        return functools.lru_cache(maxsize=256)(self._make_lead_slices)

    def _make_lead_slices(self, energies: tuple[complex, ...]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        left, right = (lead.self_energy(np.array(energies)) for lead in self.ends)
        return left, right

    @cached_property
    def bare_logdets(self) -> dict[complex, complex]:
        """ln det G^-1 of the bare lattice by energy, as far as they were asked for; see `LatticeSweeps`."""
        return {}

    @cached_property
    def scratch(self) -> Scratch:
        """Large work arrays of lattice calculations, reused from one texture to the next."""
        return Scratch()


class _Straight(System):
    """A system with bonds that know the spin, in the frame in which those along x are scalars, if there is one.

    Its sites, gates and leads are those of `lab`; moments come to it turned by the frame.
    """

    def __init__(self, lab: System, frame: SpinFrame | None) -> None:
        changes: dict[str, Any] = {"spin_orbit": None, "spin_hopping": None}
        a, b = lab.bond_vectors
        along_y = np.broadcast_to(b, (lab.shape[0], 3))
        if frame is None:
            changes["bonds_along_x"] = bond_matrix(lab.hops, a)
        else:
            changes["bond_hoppings"] = frame.hops
            along_y = np.einsum("xab,xb->xa", frame.turns, along_y)
        if lab.is_lattice:
            changes["bonds_along_y"] = bond_matrix(lab.hopping, along_y)
        super().__init__(**lab._arguments() | changes)
        if frame is not None:
            self.__dict__["ends"] = lab.ends[0], _turned(lab.ends[1], frame)


def _turned(lead: AttachedLead, frame: SpinFrame) -> AttachedLead:
    """The right lead as it is seen from the frame, which the last column ends in."""
    states = frame.spinors[-1].conj().T
    return replace(lead, spin=states if lead.spin is None else states @ lead.spin)


class _Filled(System):
    """A system in equilibrium with a lead: its pole rules at kT > 0 are one rule, moved to each chemical potential."""

    @cached_property
    def pole_rules(self) -> PoleRules:
        """See `MovedPoleRules`."""
        return MovedPoleRules(self.occupation, self.hopping, self.tolerance, self.is_closed)
