"""Sites between two leads: the parameters of a device, the leads as it sees them, its bonds and blocks of H.

What stands on sites is in `sites.py`, what arguments have to be in `arguments.py`, which of them fit together in
`fitting.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.once import cached_property

from .arguments import bond_array, exchange, finite_array, in_scale, lattice_shape, lead_tuple, number, site_list
from .bath import Bath
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
from .sites import Sites, read_only
from .spin_orbit import SpinFrame, SpinHopping, SpinOrbit, frame_along

# On-site energy of a vacancy, in units of the hopping.  Its orbital is empty, and no other one is moved by more than
# the hopping over this; rounding of an elimination with row exchanges does not depend on the size of a column.
_VACANT = 1e13


class ConnectedSites(Sites):
    """What a device is; arguments, errors and `changed` as `device.Device`."""

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

    # --- leads ---------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """True when no lead is connected."""
        return not any(self.couplings)

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

    @property
    def sources(self) -> list[tuple[AttachedLead, Occupation]]:
        """What scattering states come from, each with one Fermi function: leads, or where one fills spins by
        themselves the first and the second spin of either lead."""
        if not self.fills_spins:
            return [(lead, lead.occupation) for lead in self.ends]
        return [(lead, one) for lead in self.ends for one in lead.occupations]

    @cached_property
    def is_biased(self) -> bool:
        """Whether a lead has another Fermi function than `occupation`."""
        return any(lead.coupling and {*lead.occupations} != {self.occupation} for lead in self.ends)

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

    # --- bonds ---------------------------------------------------------------------------------------

    @property
    def bond_vectors(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """a and b, (3,), of H_(i,i+x) = -t + a.sigma and H_(i,i+y) = -t + b.sigma, energy."""
        a, b = np.zeros(3, complex), np.zeros(3, complex)
        if self.spin_orbit is not None:
            a, b = a + 1j * self.spin_orbit.along_x, b + 1j * self.spin_orbit.along_y
        if self.spin_hopping is not None:
            a, b = a + self.spin_hopping.along_x, b + self.spin_hopping.along_y
        return a, b

    @cached_property
    def frame(self) -> SpinFrame | None:
        """The frame of spins in which the bonds along x are scalars; None where they are, or where there is none."""
        if self.spin_orbit is None and self.spin_hopping is None:
            return None
        if self.spin_hopping is not None and not self.spin_hopping.turns_alone:
            return None
        return frame_along(np.imag(self.bond_vectors[0]), self.hops)

    def out_of_frame(self, traced: NDArray[np.float64]) -> NDArray[np.float64]:
        """Traces (*s, 4) of `straight` with 1 and sigma as those outside of its frame, 0 on vacancies."""
        if self.frame is not None:
            traced = self.frame.back(traced)
        return traced if self.holes is None else np.where(self.holes[..., None], 0.0, traced)

    def flow_out_of_frame(self, flow: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for flows (..., 2, 4) into the left and the right lead."""
        return flow if self.frame is None else self.frame.back_at_ends(flow)

    @cached_property
    def turns_spins(self) -> bool:
        """Whether bonds of the device know the spin."""
        return self.spin_orbit is not None or self.spin_hopping is not None or self.has_matrices

    @cached_property
    def has_matrices(self) -> bool:
        """Whether bonds are matrices, none of which a frame of the spins removes: of `straight`, or of any array."""
        return self.bonds_along_y is not None or self.bonds_along_x is not None

    @cached_property
    def is_separable(self) -> bool:
        """Whether without moments and potentials the modes of the leads are those of every slice, of either spin."""
        return not self.has_other_leads and not self.has_matrices and not self.vacancies

    @cached_property
    def is_plain(self) -> bool:
        """Whether bonds and leads know no spin, leads have the hopping of the device, and no site is vacant."""
        return self.is_separable and self.spin_orbit is None and self.spin_hopping is None and not self.fills_spins

    @cached_property
    def needs_shifted_surface(self) -> bool:
        """Whether the Fermi surface spans energies at which the leads have different bands, or what joins them is none
        of the slices that arcs know: with vacancies, and with bonds along x that are matrices."""
        others = bool(self.vacancies) or self.bonds_along_x is not None
        differs = self.is_shifted or (others and not self.is_closed)
        return differs and self.temperature > 0

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

    # --- blocks of H ---------------------------------------------------------------------------------

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


# Python tells a call with too few, too many or unknown arguments by this name: users call `Device`.
ConnectedSites.__init__.__qualname__ = "Device"
