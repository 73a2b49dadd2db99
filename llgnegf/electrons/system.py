"""The open electronic system: a tight-binding chain or square lattice with local moments between two leads.

    H = onsite - t sum_<ij> c_i^+ c_j - J_sd sum_i c_i^+ sigma c_i . m_i + sum_i (U_i + V_i) n_i

with Pauli matrices (no 1/2), hbar = 1, all energies in one unit.  U is the potential of the device itself, such as
disorder; V is that of gates; J_sd may differ from site to site, and bonds may turn the spin (`spin_orbit.py`).
`System` holds what does not change during a run: parameters, blocks of H, leads, and what is cached of the rules for
integrals over energy (`pole_rules.py`, `chain_rules.py`, `window.py`).  What stands on sites is in `sites.py`, what
arguments have to be in `arguments.py`, which of them fit together in `fitting.py`.  The electrons of one texture are
`frozen.Frozen`; the class for users is `device.Device`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.once import cached_property

from .arguments import bond_array, exchange, finite_array, in_scale, lattice_shape, lead_tuple, number, site_list
from .bath import Bath
from .chain_rules import ChainRules
from .fitting import (
    bond_matrices,
    check_overlap,
    check_spin_biases,
    check_wide_leads,
    fitting_bath,
    fitting_spin_hopping,
    fitting_spin_orbit,
    refuse_matrices,
)
from .leads import SIDES, AttachedLead, AttachedWideLead, Lead, Occupation, spin_states
from .modes import Modes, transverse_modes
from .pauli import IDENTITY
from .pole_rules import MovedPoleRules, PoleRules
from .scratch import Scratch
from .sites import Sites, read_only
from .spin_orbit import SpinFrame, SpinHopping, SpinOrbit, bond_matrix, frame_along
from .window import BiasWindow, ThermalWindow

# Beyond so many kT nothing is left of a Fermi function, even where a narrow level amplifies it.
BIAS_TAILS = 45.0
# On-site energy of a vacancy, in units of the hopping.  Its orbital is empty, and no other one is moved by more than
# the hopping over this; rounding of an elimination with row exchanges does not depend on the size of a column.
_VACANT = 1e13


def tails(tolerance: float) -> float:
    """Beyond how many kT from its step a density cannot notice what is left of a Fermi function."""
    return min(BIAS_TAILS, 8 - math.log(tolerance))


class System(Sites):
    """What a device is: parameters, blocks of H, leads, and the rules for integrals over energy.

    Arguments, errors and `changed` as `device.Device`, which adds what users ask.
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        *,
        periodic: bool | str = False,
        hopping: float = 1.0,
        onsite: float = 0.0,
        sd_exchange: ArrayLike,
        fermi_energy: float = 0.0,
        temperature: float = 0.0,
        tolerance: float = 1e-6,
        leads: Sequence[Lead] = (Lead("left"), Lead("right")),
        bond_hoppings: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        bath: Bath | None = None,
        spin_orbit: SpinOrbit | None = None,
        bonds_along_y: ArrayLike | None = None,
        spin_hopping: SpinHopping | None = None,
        bonds_along_x: ArrayLike | None = None,
        vacancies: Sequence[int] | Sequence[tuple[int, ...]] = (),
    ) -> None:
        self.shape = lattice_shape(shape)
        known = isinstance(periodic, str | int | np.bool_)  # an array cannot be compared with these
        if not known or periodic not in ((False,) if len(self.shape) == 1 else (False, "y")):
            allowed = "False (a chain has no y)" if len(self.shape) == 1 else "False and 'y' (the leads need an open x)"
            allowed += "; without leads `ClosedDevice` has others"
            raise ValueError(f"periodic = {periodic!r}: allowed are {allowed}")
        self.periodic = periodic
        self.hopping = number("hopping", hopping, "> 0", lambda x: x > 0)
        self.onsite = number("onsite", onsite, "finite")
        self.sd_exchange = exchange(sd_exchange, self.shape)
        self.fermi_energy = number("fermi_energy", fermi_energy, "finite")
        self.temperature = number("temperature", temperature, ">= 0", lambda x: x >= 0)
        self.tolerance = number("tolerance", tolerance, "between 1e-12 and 0.1", lambda x: 1e-12 <= x <= 0.1)
        self.leads = lead_tuple(leads)
        hops = bond_array(bond_hoppings, self.shape, self.hopping)
        self.bond_hoppings = None if bond_hoppings is None else tuple(hops.tolist())
        self.hops = read_only(hops)
        self.potential = None if potential is None else read_only(finite_array("potential", potential, self.shape))
        # That of a wide-band lead says nothing, but that it is there.
        strengths = {ld.side: ld.coupling if ld.width is None else self.hopping for ld in self.leads}
        self.couplings = tuple(strengths.get(side, 0.0) for side in SIDES)
        self.voltages = tuple(next((float(ld.voltage) for ld in self.leads if ld.side == side), 0.0) for side in SIDES)
        self.largest_exchange = float(np.abs(self.sd_exchange).max())  # of all sites
        in_scale(self.hopping, onsite=self.onsite, sd_exchange=self.largest_exchange, fermi_energy=self.fermi_energy)
        if self.potential is not None:
            in_scale(self.hopping, potential=float(self.potential.flat[abs(self.potential).argmax()]))
        for lead in self.leads:
            keys = "coupling", "voltage", "chemical_potential", "hopping", "splitting", "width", "spin_difference"
            given = {key: getattr(lead, key) for key in keys if key != "coupling" or lead.width is None}
            told = {f"{key} of the {lead.side} lead": value for key, value in given.items() if value is not None}
            in_scale(self.hopping, **told)
        self.vacancies = site_list("vacancies", vacancies, self.shape)
        check_wide_leads(self.leads, self.hopping, self.holes, self.vacancies)
        check_overlap(self.ends, self.voltages)
        check_spin_biases(self.leads)
        scale = self.shape, self.hopping
        self.bonds_along_y = None if bonds_along_y is None else bond_matrices("bonds_along_y", bonds_along_y, *scale)
        self.bonds_along_x = None if bonds_along_x is None else bond_matrices("bonds_along_x", bonds_along_x, *scale)
        self.spin_orbit = fitting_spin_orbit(spin_orbit, self.hopping, self.has_matrices)
        self.spin_hopping = fitting_spin_hopping(spin_hopping, *scale, self.has_matrices)
        if self.bonds_along_x is not None:  # what hops are for is the scale of a bond
            self.hops = read_only(np.linalg.norm(self.bonds_along_x, 2, axis=(1, 2)))
        matrices = self._matrices_of_chain
        self.bath = fitting_bath(bath, *scale, matrices=matrices, other=self._not_beside_bath)
        for lead in self.leads:
            if lead.width is not None:
                width = f"width = {lead.width!r} of the {lead.side} lead"
                refuse_matrices(width, matrices, "use a lead with a coupling")
        self.lead_slices = functools.lru_cache(maxsize=256)(self._make_lead_slices)
        self._filled_by = functools.lru_cache(maxsize=4)(self._make_filled)
        self._bias_window = functools.lru_cache(maxsize=2)(self._make_bias_window)
        self._at_voltages = functools.lru_cache(maxsize=4)(self._make_at_voltages)
        self._is_made = True

    def __setattr__(self, name: str, value: object) -> None:
        # (Cached properties write past this, into __dict__.)
        if "_is_made" in self.__dict__:
            raise AttributeError(
                f"{name} of a Device cannot be set: copies and everything cached would belong to another system; "
                f"make the other one with `changed({name}=...)`, whose arguments are those of the constructor"
            )
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} of a Device cannot be deleted: make another device with `changed(...)`")

    def _arguments(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "periodic": self.periodic,
            "hopping": self.hopping,
            "onsite": self.onsite,
            "sd_exchange": self.sd_exchange,
            "fermi_energy": self.fermi_energy,
            "temperature": self.temperature,
            "tolerance": self.tolerance,
            "leads": self.leads,
            "bond_hoppings": self.bond_hoppings,
            "potential": self.potential,
            "bath": self.bath,
            "spin_orbit": self.spin_orbit,
            "bonds_along_y": self.bonds_along_y,
            "spin_hopping": self.spin_hopping,
            "bonds_along_x": self.bonds_along_x,
            "vacancies": self.vacancies,
        }

    # --- Hamiltonian ------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """True when no lead is connected."""
        return not any(self.couplings)

    @cached_property
    def scratch(self) -> Scratch:
        """Large work arrays of lattice calculations, reused from one texture to the next."""
        return Scratch()

    @cached_property
    def modes(self) -> Modes:
        """Transverse modes of a slice, and of the leads without voltages; for a chain, a single mode."""
        width = self.shape[1] if self.is_lattice else 1
        return transverse_modes(width, self.hopping, self.onsite, self.periodic == "y")

    @property
    def occupation(self) -> Occupation:
        """The Fermi function that fills the device where nothing flows: that of leads without one of their own."""
        return Occupation(self.fermi_energy, self.temperature)

    @cached_property
    def ends(self) -> tuple[AttachedLead, AttachedLead]:
        """The left and the right lead; a missing lead has coupling 0."""
        given = {lead.side: lead for lead in self.leads}
        left, right = (
            self._attached(given[side]) if side in given else AttachedLead(side, 0.0, self.modes, self.occupation)
            for side in SIDES
        )
        return left, right

    def _attached(self, lead: Lead) -> AttachedLead:
        """This lead as the device sees it."""
        modes = self.modes
        if lead.hopping is not None and lead.hopping != self.hopping:
            width = self.shape[1] if self.is_lattice else 1
            modes = transverse_modes(width, float(lead.hopping), self.onsite, self.periodic == "y")
        filled = lead.occupation(self.fermi_energy, self.temperature)
        if lead.width is not None:
            rows = replace(modes, vectors=read_only(np.eye(len(modes.energies))))
            return AttachedWideLead(lead.side, lead.coupling, rows, filled, width=float(lead.width))
        polarized = lead.polarization if lead.splitting else lead.spin_bias if lead.spin_difference else None
        return AttachedLead(
            lead.side,
            lead.coupling,
            modes.shifted(lead.voltage),
            filled,
            lead.splitting,
            None if polarized is None else spin_states(polarized.unit),
            lead.spin_difference,
        )

    @cached_property
    def is_shifted(self) -> bool:
        """Whether the levels of a lead are others than without voltage, hopping and polarization of its own."""
        return any(self.voltages) or self.has_other_leads

    @cached_property
    def has_other_leads(self) -> bool:
        """Whether a lead has another hopping than the device, a polarization, or a wide band."""
        return any(
            lead.coupling and (lead.splitting or lead.is_wide or lead.modes.hopping != self.hopping)
            for lead in self.ends
        )

    @cached_property
    def has_wide_leads(self) -> bool:
        """Whether a lead has states at all energies."""
        return any(lead.is_wide for lead in self.ends)

    @cached_property
    def tails(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Flat indices of sites whose levels have tails, (q,), and their widths by the bath and the leads, (q, 1)."""
        widths = np.zeros(self.shape)
        if self.bath is not None:
            widths.reshape(-1)[self.bath.on(self.shape)] = self.bath.width
        for lead, end in zip(self.ends, (0, -1), strict=True):
            widths[end] += lead.width if isinstance(lead, AttachedWideLead) else 0.0
        if self.holes is not None:
            widths[self.holes] = 0.0
        return np.flatnonzero(widths), widths[widths > 0, None]

    @cached_property
    def has_tails(self) -> bool:
        """Whether the spectrum has no end: beside a bath, and between wide-band leads."""
        return self.bath is not None or self.has_wide_leads

    @cached_property
    def is_polarized(self) -> bool:
        """Whether a lead tells the two spins apart."""
        return self.fills_spins or any(lead.coupling and lead.splitting for lead in self.ends)

    @cached_property
    def fills_spins(self) -> bool:
        """Whether a lead has a Fermi function for each spin."""
        return any(lead.coupling and lead.spin_difference for lead in self.ends)

    @cached_property
    def is_separable(self) -> bool:
        """Whether without moments and potentials the modes of the leads are those of every slice, of either spin."""
        return not self.has_other_leads and not self.has_matrices and not self.vacancies

    @cached_property
    def turns_spins(self) -> bool:
        """Whether bonds of the device know the spin."""
        return self.spin_orbit is not None or self.spin_hopping is not None or self.has_matrices

    @cached_property
    def has_matrices(self) -> bool:
        """Whether bonds are matrices, none of which a frame of the spins removes: of `straight`, or of any array."""
        return self.bonds_along_y is not None or self.bonds_along_x is not None

    @cached_property
    def is_plain(self) -> bool:
        """Whether bonds and leads know no spin, leads have the hopping of the device, and no site is vacant."""
        return self.is_separable and self.spin_orbit is None and self.spin_hopping is None and not self.fills_spins

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

    # --- spin-orbit coupling ------------------------------------------------------------------------

    @cached_property
    def frame(self) -> SpinFrame | None:
        """The frame of spins in which the bonds along x are scalars; None where they are, or where there is none."""
        if self.spin_orbit is None and self.spin_hopping is None:
            return None
        if self.spin_hopping is not None and not self.spin_hopping.turns_alone:
            return None
        return frame_along(np.imag(self.bond_vectors[0]), self.hops)

    @cached_property
    def straight(self) -> System:
        """This system in that frame, or where there is none with its bonds as arrays of matrices.

        It has neither `spin_orbit` nor `spin_hopping`; a system without these is its own.
        """
        return self if self.spin_orbit is None and self.spin_hopping is None else _Straight(self, self.frame)

    def out_of_frame(self, traced: NDArray[np.float64]) -> NDArray[np.float64]:
        """Traces (*s, 4) of `straight` with 1 and sigma as those outside of its frame, 0 on vacancies."""
        if self.frame is not None:
            traced = self.frame.back(traced)
        return traced if self.holes is None else np.where(self.holes[..., None], 0.0, traced)

    def flow_out_of_frame(self, flow: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for flows (..., 2, 4) into the left and the right lead."""
        return flow if self.frame is None else self.frame.back_at_ends(flow)

    @property
    def bond_vectors(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """a and b, (3,), of H_(i,i+x) = -t + a.sigma and H_(i,i+y) = -t + b.sigma, energy."""
        a, b = np.zeros(3, complex), np.zeros(3, complex)
        if self.spin_orbit is not None:
            a, b = a + 1j * self.spin_orbit.along_x, b + 1j * self.spin_orbit.along_y
        if self.spin_hopping is not None:
            a, b = a + self.spin_hopping.along_x, b + self.spin_hopping.along_y
        return a, b

    @property
    def _matrices_of_chain(self) -> str:
        """What makes the bonds of a chain matrices that no frame of the spins removes, in words; "" for nothing."""
        alone = self.spin_hopping is None or self.spin_hopping.turns_alone
        if self.is_lattice or (alone and self.bonds_along_x is None):
            return ""
        return "bonds_along_x" if alone else f"the real part of {self.spin_hopping!r}"

    @property
    def _not_beside_bath(self) -> str:
        """What the system has that is not known beside a bath, in words; "" for nothing."""
        if self.fills_spins:
            return "a spin_bias of a lead"
        return "vacancies" if self.vacancies else "a polarization of a lead" if self.is_polarized else ""

    @cached_property
    def needs_shifted_surface(self) -> bool:
        """Whether the Fermi surface spans energies at which the leads have different bands, or what joins them is none
        of the slices that arcs know: with vacancies, and with bonds along x that are matrices."""
        others = bool(self.vacancies) or self.bonds_along_x is not None
        differs = self.is_shifted or (others and not self.is_closed)
        return differs and self.temperature > 0

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
    def is_biased(self) -> bool:
        """Whether a lead has another Fermi function than `occupation`."""
        return any(lead.coupling and {*lead.occupations} != {self.occupation} for lead in self.ends)

    def bias_window(self, reach: float | None = None) -> BiasWindow:
        """Energies at which leads are filled otherwise than by `occupation`; cached.

        reach: up to how many kT from a step of a Fermi function; None: where a density can notice.
        """
        return self._bias_window(tails(self.tolerance) if reach is None else reach)

    def at_voltages(self, voltages: ArrayLike) -> Self:
        """The same system with these voltages (2,) of the left and the right lead, energies; cached.

        What does not depend on them, such as pole rules, is shared.  ValueError for what are not two finite numbers,
        where the bands of the leads do not overlap, or for a voltage of a side without a lead.
        """
        asked = tuple(finite_array("voltages", voltages, (2,)).tolist())
        return self if asked == self.voltages else cast(Self, self._at_voltages(asked))

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

    @property
    def sources(self) -> list[tuple[AttachedLead, Occupation]]:
        """What scattering states come from, each with one Fermi function: leads, or where one fills spins by
        themselves the first and the second spin of either lead."""
        if not self.fills_spins:
            return [(lead, lead.occupation) for lead in self.ends]
        return [(lead, one) for lead in self.ends for one in lead.occupations]

    def _make_bias_window(self, reach: float) -> BiasWindow:
        occupations = [one if lead.coupling else self.occupation for lead, one in self.sources]
        every = [*occupations, self.occupation]
        where = self.with_tails([(f.fermi_energy, reach * f.temperature) for f in every]), self.openings, reach
        return BiasWindow(occupations, self.occupation, *where, self.hopping, 2 * self.n_sites)

    def with_tails(self, around: list[tuple[float, float]]) -> tuple[float, float]:
        """Energies at which the system has states: the band, and with a bath all so far from these energies."""
        low, high = self.band
        if not self.has_tails:
            return low, high
        return min(low, *(e - reach for e, reach in around)), max(high, *(e + reach for e, reach in around))

    @cached_property
    def thermal_window(self) -> ThermalWindow:
        """Energies around E_F at which -df/dE is not negligible, at kT > 0."""
        band = self.with_tails([(self.fermi_energy, BIAS_TAILS * self.temperature)])
        where = band, self.openings, BIAS_TAILS
        return ThermalWindow(self.occupation, self.occupation.slope, *where, self.hopping, 2 * self.n_sites)

    def filled_by(self, occupation: Occupation) -> System:
        """The same system in equilibrium with another Fermi function."""
        return self._filled_by(occupation)

    def _make_filled(self, occupation: Occupation) -> System:
        leads = [replace(lead, chemical_potential=None, temperature=None, spin_bias=None) for lead in self.leads]
        return _Filled(
            **self._arguments()
            | {"fermi_energy": occupation.fermi_energy, "temperature": occupation.temperature, "leads": leads}
        )

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
    def nearest_opening(self) -> float:
        """The energy nearest to E_F at which a mode of the leads opens or closes; inf for a closed system.

        There Sigma(E) has a square-root singularity.
        """
        if self.is_closed:
            return np.inf
        openings = self.openings if self.is_lattice or self.is_shifted else np.array(self.band)
        return float(openings[np.argmin(abs(openings - self.fermi_energy))])

    @cached_property
    def openings(self) -> NDArray[np.float64]:
        """Energies at which a mode of a connected lead opens or closes, increasing."""
        return np.unique([e for lead in self.ends if lead.coupling for e in lead.thresholds.tolist()])

    def coupling_blocks(self, vectors: NDArray[np.float64], scalars: NDArray[np.float64]) -> NDArray[np.complex128]:
        """-J_sd sigma.v_i + u_i, (..., 2, 2): the part of H (or of dH/dt) due to the moments v and the gates u.

        With spin-orbit coupling in the frame of `straight`.
        """
        if self.frame is not None:
            vectors = self.frame.into(vectors)
        j = -self._exchange * vectors
        jx, jy, jz = j[..., 0], j[..., 1], j[..., 2]
        blocks = np.empty((*vectors.shape[:-1], 2, 2), dtype=complex)
        blocks[..., 0, 0] = scalars + jz
        blocks[..., 1, 1] = scalars - jz
        blocks[..., 0, 1] = jx - 1j * jy
        blocks[..., 1, 0] = jx + 1j * jy
        if self.holes is not None:
            blocks[self.holes] = 0.0
        return blocks

    @cached_property
    def bare_blocks(self) -> NDArray[np.complex128]:
        """Blocks of H on the sites without moments, U and V, (*s, 2, 2)."""
        blocks = np.zeros((*self.shape, 2, 2), complex)
        blocks[..., 0, 0] = blocks[..., 1, 1] = self.onsite
        if self.holes is not None:
            blocks[self.holes] = _VACANT * self.hopping * IDENTITY
        return read_only(blocks)

    def hamiltonian_blocks(self, m: NDArray[np.float64], gates: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Blocks of H on the sites, shape (..., 2, 2)."""
        blocks = self.coupling_blocks(m, self.on_sites(gates) + self.onsite)
        if self.holes is not None:
            blocks[self.holes] = _VACANT * self.hopping * IDENTITY
        return blocks

    def self_energy(self, energy: ArrayLike) -> list[tuple[NDArray[np.complex128], NDArray[np.complex128]]]:
        """[(Sigma, dSigma/dE) for left and right] of a chain, shaped as `energy`: numbers, the same for both spins."""
        return [lead.on_chain(energy) for lead in self.ends]

    def end_self_energies(self, energy: complex) -> list[tuple[slice, NDArray[np.complex128], NDArray[np.complex128]]]:
        """For each end: the slice of its orbitals (2 site + spin) in the dense H, and Sigma and dSigma/dE there."""
        width = 2 * (self.shape[1] if self.is_lattice else 1)
        z = np.array([energy], complex)
        where = slice(0, width), slice(-width, None)
        found = [(part, lead.self_energy(z)[0], lead.slope(z)[0]) for part, lead in zip(where, self.ends, strict=True)]
        if self.holes is None:
            return found
        kept = np.repeat(~self.holes.ravel(), 2)
        both_kept = [kept[part][:, None] & kept[part] for part in where]
        return [
            (part, np.where(there, sigma, 0.0), np.where(there, slope, 0.0))
            for (part, sigma, slope), there in zip(found, both_kept, strict=True)
        ]

    @cached_property
    def _shifts(self) -> tuple[float, float]:
        """By how much levels of the leads are moved at most, down and up, energy; 0 where none is."""
        moved = [(v, lead.splitting / 2) for v, lead in zip(self.voltages, self.ends, strict=True)]
        return min(0.0, *(v - s for v, s in moved)), max(0.0, *(v + s for v, s in moved))

    # --- energies ---------------------------------------------------------------------------------

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
    def pole_rules(self) -> PoleRules:
        """Rules for the Fermi function of the device at complex energies."""
        return PoleRules(self.occupation, self.hopping, self.tolerance, self.is_closed)

    @cached_property
    def chain_rules(self) -> ChainRules:
        """The same of a chain, and rules at real energies, with the self-energies of the leads at their nodes."""
        onsite = np.full(self.shape[0], self.onsite)
        if self.holes is not None:
            onsite[self.holes] = _VACANT * self.hopping
        return ChainRules(self.ends, self.pole_rules, self.band, self.thermal_range, read_only(onsite), self.hops)

    def _make_lead_slices(self, energies: tuple[complex, ...]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Self-energies of the left and the right lead of a square lattice, (k, 2 ny, 2 ny); cached."""
        left, right = (lead.self_energy(np.array(energies)) for lead in self.ends)
        return left, right

    @cached_property
    def bare_logdets(self) -> dict[complex, complex]:
        """ln det G^-1 of the bare lattice by energy, as far as they were asked for; see `LatticeSweeps`."""
        return {}

    @cached_property
    def thermal_range(self) -> tuple[float, float]:
        """(low, high): energies between which -df/dE is not negligible."""
        reach = self.temperature * min(45.0, 8 - np.log(self.tolerance))
        return self.fermi_energy - reach, self.fermi_energy + reach


# Python tells a call with too few, too many or unknown arguments by this name: users call `Device`.
System.__init__.__qualname__ = "Device"


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
