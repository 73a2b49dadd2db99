"""The open electronic system: a tight-binding chain or square lattice with local moments between two leads.

    H = onsite - t sum_<ij> c_i^+ c_j - J_sd sum_i c_i^+ sigma c_i . m_i + sum_i (U_i + V_i) n_i

with Pauli matrices (no 1/2), hbar = 1, all energies in one unit.  U is the potential of the device itself, such as
disorder; V is that of gates; J_sd may differ from site to site, and bonds may turn the spin (`spin_orbit.py`).
`System` holds what does not change during a run:
parameters, leads, and the rules for integrals over energy, which it caches.  The electrons of one texture are
`frozen.Frozen`; the class for users is `device.Device`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.errors import RunWarning
from llgnegf.once import cached_property

from .arguments import (
    Rebuilt,
    bond_array,
    exchange,
    finite_array,
    in_scale,
    lattice_shape,
    lead_tuple,
    number,
    site_list,
)
from .bath import Bath
from .leads import SIDES, AttachedLead, AttachedWideLead, Lead, Occupation
from .modes import Modes, transverse_modes
from .quadrature import FermiPoles, ToleranceError, fermi_poles, step_poles, thermal_gauss
from .scratch import Scratch
from .spin_orbit import SpinFrame, SpinHopping, SpinOrbit, bond_matrix, frame_along
from .window import BiasWindow, ThermalWindow

IDENTITY = np.eye(2, dtype=complex)

# The pole rule may use this share of `tolerance`; the rest is for rounding, the trace over spin and the integral on the
# real axis.
POLE_SHARE = 1 / 20
# Beyond so many kT nothing is left of a Fermi function, even where a narrow level amplifies it.
BIAS_TAILS = 45.0
# The energy derivative of a pole rule has about this many times the rule's own error divided by kT.
DERIVATIVE_ERROR = 30.0
# On-site energy of a vacancy, in units of the hopping.  Its orbital is empty, and no other one is moved by more than
# the hopping over this; rounding of an elimination with row exchanges does not depend on the size of a column.
_VACANT = 1e13
# A bath is at least so wide, in units of the hopping; sites times those of a bath are at most so many, or so many where
# probes have chemical potentials of their own.
LEAST_WIDTH, MOST_PAIRS, MOST_NET_PAIRS = 1e-9, 1_000_000, 40_000
_ALONG = "along_x", "along_y"  # of `SpinHopping`
# What leads may have beside a spin bias.
_BESIDE_SPIN_BIAS = {
    *("side", "coupling", "voltage", "chemical_potential", "temperature", "hopping", "polarization", "spin_bias"),
}
# Number of energies in the thermal window at which the smallest width is estimated.
_WIDTH_SAMPLES = 7


def tails(tolerance: float) -> float:
    """Beyond how many kT from its step a density cannot notice what is left of a Fermi function."""
    return min(BIAS_TAILS, 8 - math.log(tolerance))


@dataclass(frozen=True, eq=False)
class Contour:
    """A pole rule with the lead self-energies at its nodes: (n, 2, 2) for each side and their energy derivatives."""

    rule: FermiPoles
    sigma: tuple[NDArray[np.complex128], NDArray[np.complex128]]
    derivative: tuple[NDArray[np.complex128], NDArray[np.complex128]]

    @cached_property
    def derivative_ends(self) -> NDArray[np.complex128]:
        """-dSigma/dE as (n, 2, 2, 2) [energy, left/right]: with the identity on every site, B of the sea term."""
        return -np.stack(self.derivative, axis=1)


@dataclass(frozen=True)
class RealRule:
    """Weights at real energies, (n,) each, with lead self-energies (n, 2, 2) and sqrt(Gamma) (n, 2, 2, 2) there."""

    energies: NDArray[np.float64]
    weights: NDArray[np.float64]
    sigma: tuple[NDArray[np.complex128], NDArray[np.complex128]]
    roots: NDArray[np.complex128]


@dataclass(frozen=True)
class WidthSamples:
    """Real energies (n,) of a chain at which the smallest widths of its levels are estimated.

    retarded: self-energies of both leads there, (n, 2).  inside: which lie in the thermal window, (n,).  largest: the
    largest response of a level of half-width w there is `largest`/w, energy, (n,).
    """

    energies: NDArray[np.float64]
    retarded: NDArray[np.complex128]
    inside: NDArray[np.bool_]
    largest: NDArray[np.float64]


class System(Rebuilt):
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
        self.n_sites = int(np.prod(self.shape))
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
        self._check_wide_leads()
        self._check_overlap()
        self._check_spin_biases()
        self.bonds_along_y = None if bonds_along_y is None else self._matrices("bonds_along_y", bonds_along_y)
        self.bonds_along_x = None if bonds_along_x is None else self._matrices("bonds_along_x", bonds_along_x)
        self.spin_orbit = self._of_bonds(spin_orbit)
        self.spin_hopping = self._hopping_of_spins(spin_hopping)
        if self.bonds_along_x is not None:  # what hops are for is the scale of a bond
            self.hops = read_only(np.linalg.norm(self.bonds_along_x, 2, axis=(1, 2)))
        self.bath = self._fitting(bath)
        for lead in self.leads:
            if lead.width is not None:
                self._refuse_matrices(f"width = {lead.width!r} of the {lead.side} lead", "use a lead with a coupling")
        self._contour = functools.lru_cache(maxsize=8)(self._make_contour)
        self.pole_rule = functools.lru_cache(maxsize=32)(self._make_pole_rule)
        self.lead_slices = functools.lru_cache(maxsize=256)(self._make_lead_slices)
        self.thermal_rule = functools.lru_cache(maxsize=8)(self._make_thermal_rule)
        self.probed_self_energy = functools.lru_cache(maxsize=16)(self._make_probed_self_energy)
        self.bare_logdet = functools.lru_cache(maxsize=8)(self._make_bare_logdet)
        # A dictionary of those of a lattice, by energy, as far as they were asked for; see `LatticeSweeps`.
        self.bare_logdets = functools.lru_cache(maxsize=1)(_no_logdets)
        self._filled_by = functools.lru_cache(maxsize=4)(self._make_filled)
        self._bias_window = functools.lru_cache(maxsize=2)(self._make_bias_window)
        self._at_voltages = functools.lru_cache(maxsize=4)(self._make_at_voltages)
        self._unit_rule = functools.lru_cache(maxsize=64)(self._make_unit_rule)
        self.tell_once = functools.lru_cache(maxsize=8)(_tell)
        self._ends_at = functools.lru_cache(maxsize=64)(self._make_ends_at)
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

    @property
    def is_lattice(self) -> bool:
        """True for a square lattice."""
        return len(self.shape) == 2

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

    def _matrices(self, name: str, given: ArrayLike) -> NDArray[np.complex128]:
        """`bonds_along_x` or `bonds_along_y` as finite complex numbers, read-only; ValueError otherwise."""
        along_y = name == "bonds_along_y"
        n = self.shape[0] if along_y else self.shape[0] - 1
        try:
            found = np.array(given, complex)
            fine = found.shape == (n, 2, 2) and bool(np.isfinite(found).all()) and (self.is_lattice or not along_y)
        except (TypeError, ValueError):
            fine = False
        if not fine:
            what = "one 2 x 2 matrix for each " + ("column of a lattice" if along_y else "bond along x")
            allowed = f"({n}, 2, 2), finite, or None" if self.is_lattice or not along_y else "None on a chain"
            raise ValueError(f"{name}: {what} is allowed, {allowed}")
        in_scale(self.hopping, **{name: float(abs(found).max(initial=0.0))})
        return read_only(found)

    def _hopping_of_spins(self, given: Any) -> SpinHopping | None:
        """The spin-dependent hopping, if it fits; ValueError otherwise.  None where it is zero."""
        if given is None:
            return None
        if not isinstance(given, SpinHopping):
            raise ValueError(
                f"spin_hopping = {given!r}: use None, or for example SpinHopping(along_x=(0, 0, 0.2)) of "
                "llgnegf.electrons"
            )
        sizes = {f"{key} of spin_hopping": float(abs(np.array(getattr(given, key))).max()) for key in _ALONG}
        in_scale(self.hopping, **sizes)
        if self.has_matrices:
            raise ValueError(f"spin_hopping = {given!r}: beside it use bonds_along_x=None and bonds_along_y=None")
        if not self.is_lattice and any(given.along_y):
            raise ValueError(f"along_y = {given.along_y!r} of spin_hopping: a chain has no y; leave it out")
        return given if any(sizes.values()) else None

    def _of_bonds(self, spin_orbit: Any) -> SpinOrbit | None:
        """The spin-orbit coupling, if it fits; ValueError otherwise.  None where it is zero."""
        if spin_orbit is None:
            return None
        if not isinstance(spin_orbit, SpinOrbit):
            raise ValueError(
                f"spin_orbit = {spin_orbit!r}: use None, or for example SpinOrbit(rashba=0.1) of llgnegf.electrons"
            )
        given = {f"{key} of spin_orbit": getattr(spin_orbit, key) for key in ("rashba", "dresselhaus")}
        in_scale(self.hopping, **given)
        if self.has_matrices:
            raise ValueError(
                f"spin_orbit = {spin_orbit!r}: gives the bonds; use bonds_along_x=None and bonds_along_y=None beside it"
            )
        return spin_orbit if any(given.values()) else None

    @cached_property
    def needs_shifted_surface(self) -> bool:
        """Whether the Fermi surface spans energies at which the leads have different bands, or what joins them is none
        of the slices that arcs know: with vacancies, and with bonds along x that are matrices."""
        others = bool(self.vacancies) or self.bonds_along_x is not None
        differs = self.is_shifted or (others and not self.is_closed)
        return differs and self.temperature > 0

    @cached_property
    def holes(self) -> NDArray[np.bool_] | None:
        """Mask (*s,) of the sites without an orbital; None where all have one."""
        if not self.vacancies:
            return None
        mask = np.zeros(self.shape, bool)
        mask[tuple(np.array(self.vacancies).T)] = True
        return read_only(mask)

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
        for shared in ("pole_rule", "tell_once"):
            other.__dict__[shared] = getattr(self, shared)
        other.__dict__["scratch"] = self.scratch
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

    def _fitting(self, bath: Any) -> Bath | None:
        """The bath, if it fits; ValueError otherwise."""
        if bath is None:
            return None
        if not isinstance(bath, Bath):
            raise ValueError(f"bath = {bath!r}: use None, or for example Bath([3], 0.1) of llgnegf.electrons")
        bath.on(self.shape)
        self._refuse_matrices(f"bath = {bath!r}", "use bath=None")
        if self.is_polarized or self.vacancies or self.fills_spins:
            what = "vacancies" if self.vacancies else "a polarization of a lead"
            what = "a spin_bias of a lead" if self.fills_spins else what
            raise ValueError(f"bath = {bath!r}: not available with {what}; use bath=None, or a device without it")
        in_scale(self.hopping, **{"width of the bath": bath.width})
        if bath.width < LEAST_WIDTH * self.hopping:
            raise ValueError(
                f"width = {bath.width:g} of the bath: must be at least {LEAST_WIDTH:g} times the hopping, which is "
                f"{self.hopping:g}; below, levels would be told from sharp ones by rounding errors; use bath=None"
            )
        values = self.n_sites * len(bath.sites)
        most = MOST_NET_PAIRS if bath.floats else MOST_PAIRS
        if values > most:
            raise ValueError(
                f"bath on {len(bath.sites)} of {self.n_sites} sites: their product is at most {most}, for the "
                "bath on each site fills all others; use fewer sites"
            )
        return bath

    def _refuse_matrices(self, told: str, instead: str) -> None:
        """ValueError for what a chain has not beside bonds that are matrices."""
        alone = self.spin_hopping is None or self.spin_hopping.turns_alone
        if not self.is_lattice and not (alone and self.bonds_along_x is None):
            what = "bonds_along_x" if alone else f"the real part of {self.spin_hopping!r}"
            raise ValueError(f"{told}: not available on a chain with {what}; {instead}, or bonds that turn spins alone")

    def _check_wide_leads(self) -> None:
        """ValueError where a wide-band lead is too narrow, or beside a lead that it is not known beside."""
        for lead in self.leads:
            if lead.width is None:
                continue
            if lead.width < LEAST_WIDTH * self.hopping:
                raise ValueError(
                    f"width = {lead.width!r} of the {lead.side} lead: must be at least {LEAST_WIDTH:g} times the "
                    f"hopping, which is {self.hopping:g}; below, levels would be told from sharp ones by rounding "
                    "errors; leave the lead out"
                )
            if self.holes is not None and self.holes[-SIDES.index(lead.side)].all():
                raise ValueError(
                    f"width = {lead.width!r} of the {lead.side} lead: there is no site for it, its end of the device "
                    f"is vacant; vacancies = {list(self.vacancies)}; leave one of the two out"
                )
            for other in self.leads:
                if other.splitting:
                    raise ValueError(
                        f"width = {lead.width!r} of the {lead.side} lead: not available beside a polarization of the "
                        f"{other.side} lead; use polarization=None, or leads with a coupling"
                    )

    def _check_spin_biases(self) -> None:
        """ValueError where a lead has something that is not known beside a spin bias of either."""
        if not any(lead.coupling and lead.spin_difference for lead in self.leads):
            return
        for lead in self.leads:
            for one in fields(lead):
                value = getattr(lead, one.name)
                if one.name not in _BESIDE_SPIN_BIAS and value != one.default:
                    raise ValueError(
                        f"{one.name} = {value!r} of the {lead.side} lead: not available beside a spin_bias; use leads "
                        "without one of the two"
                    )

    def _check_overlap(self) -> None:
        """ValueError where there is no energy at which both leads have states."""
        if not all(self.couplings):
            return
        (low, high), (lower, higher) = (lead.band for lead in self.ends)
        if not max(low, lower) < min(high, higher):
            given = [f"{low:g} to {high:g}", f"{lower:g} to {higher:g}"]
            voltages = " and ".join(f"{v:g}" for v in self.voltages)
            raise ValueError(
                f"voltage = {voltages} of the leads: their bands, {' and '.join(given)}, do not overlap; use voltages "
                "that differ by less"
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

    def vectors(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        """`values` as finite (n, 3) or (nx, ny, 3) floats, or a ValueError naming the argument."""
        return finite_array(name, values, (*self.shape, 3))

    def scalars(self, name: str, values: ArrayLike | None) -> NDArray[np.float64]:
        """`values` as finite (n,) or (nx, ny) floats (None: zeros), or a ValueError naming the argument."""
        return np.zeros(self.shape) if values is None else finite_array(name, values, self.shape)

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

    def exchange_times(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """J_sd v_i for vectors (..., *s, 3) of the sites, such as the field of spin densities."""
        return self._exchange * vectors

    @cached_property
    def _exchange(self) -> float | NDArray[np.float64]:
        """J_sd as a factor of vectors (..., *s, 3)."""
        return self.sd_exchange if isinstance(self.sd_exchange, float) else self.sd_exchange[..., None]

    @cached_property
    def bare_blocks(self) -> NDArray[np.complex128]:
        """Blocks of H on the sites without moments, U and V, (*s, 2, 2)."""
        blocks = np.zeros((*self.shape, 2, 2), complex)
        blocks[..., 0, 0] = blocks[..., 1, 1] = self.onsite
        if self.holes is not None:
            blocks[self.holes] = _VACANT * self.hopping * IDENTITY
        return read_only(blocks)

    def on_sites(self, gates: NDArray[np.float64]) -> NDArray[np.float64]:
        """U_i + V_i at these gate voltages (..., *s), shaped as they are: what stands beside `onsite` on the sites."""
        return gates if self.potential is None else gates + self.potential

    def hamiltonian_blocks(self, m: NDArray[np.float64], gates: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Blocks of H on the sites, shape (..., 2, 2)."""
        blocks = self.coupling_blocks(m, self.on_sites(gates) + self.onsite)
        if self.holes is not None:
            blocks[self.holes] = _VACANT * self.hopping * IDENTITY
        return blocks

    def self_energy(self, energy: ArrayLike) -> list[tuple[NDArray[np.complex128], NDArray[np.complex128]]]:
        """[(Sigma, dSigma/dE) for left and right] of a chain, shaped as `energy`: numbers, the same for both spins."""
        return [lead.on_chain(energy) for lead in self.ends]

    def ends_at(self, energies: NDArray[np.float64]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Sigma and dSigma/dE of left and right at real energies (n,) of a chain, (n, 2) each; cached."""
        return self._ends_at(energies.tobytes())

    def _make_ends_at(self, energies: bytes) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        found = self.self_energy(np.frombuffer(energies))
        sigma, slopes = (np.ascontiguousarray(np.stack(part, axis=1)) for part in zip(*found, strict=True))
        return sigma, slopes

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

    def contour(
        self, bounds: tuple[float, float], gap: float, fermi_energy: float | None = None, sharpness: int = 0
    ) -> Contour:
        """Pole rule for the Fermi function on the interval `bounds`, with the self-energies at its nodes; cached.

        gap: half-width (energy) of the interval around E_F that is left unresolved at kT = 0; unused at kT > 0.
        fermi_energy: another Fermi energy than that of the system (None).
        sharpness: the error of the rule is this many powers of ten below its usual share of the tolerance, which
        levels close to E_F need.
        """
        mu = self.fermi_energy if fermi_energy is None else fermi_energy
        return self._contour(*bounds, gap, mu, sharpness)

    def sharpness(self, bounds: tuple[float, float]) -> int:
        """The `sharpness` at which the energy derivative of the rule at kT > 0 is accurate to the tolerance.

        The response of narrow levels contains this derivative.  Where double precision does not allow it, the largest
        possible sharpness is returned.
        """
        share = POLE_SHARE * self.tolerance
        asked = max(1e-13, 0.1 * share * min(1.0, self.temperature / self.hopping) / DERIVATIVE_ERROR)
        for sharpness in range(max(0, math.ceil(math.log10(share / asked))), 0, -1):
            with contextlib.suppress(ToleranceError):
                self.pole_rule(*bounds, self.hopping, self.fermi_energy, sharpness)
                return sharpness
        return 0

    def sharp_pole_rule(self, bounds: tuple[float, float]) -> FermiPoles:
        """The pole rule with the sharpness that `sharpness` returns."""
        return self.pole_rule(*bounds, self.hopping, self.fermi_energy, self.sharpness(bounds))

    def contour_of(self, rule: FermiPoles) -> Contour:
        """This pole rule with the self-energies at its nodes (chain)."""
        ends = self.self_energy(rule.nodes)
        (left, d_left), (right, d_right) = [(s[:, None, None] * IDENTITY, d[:, None, None] * IDENTITY) for s, d in ends]
        return Contour(rule, (left, right), (d_left, d_right))

    def _make_pole_rule(self, low: float, high: float, gap: float, mu: float, sharpness: int) -> FermiPoles:
        # Below an error of 1e-13 more poles do not help near a level: rounding loses as much
        # (`fermi_step.check_surface`).
        share = POLE_SHARE * self.tolerance
        share = max(1e-14, min(share, max(1e-13, share * 10.0**-sharpness)))
        if self.temperature == 0:
            reach = max(high - mu, mu - low, 2 * gap, self.hopping)
            return step_poles(mu, gap, reach, share)
        # G1 contains the derivative of the rule, and a discrete level has no width that would smooth it.
        share = max(1e-13, share * min(1.0, 0.1 * self.temperature / self.hopping)) if self.is_closed else share
        return fermi_poles(low, high, mu, self.temperature, share)

    def _make_contour(self, low: float, high: float, gap: float, mu: float, sharpness: int) -> Contour:
        return self.contour_of(self.pole_rule(low, high, gap, mu, sharpness))

    def _make_lead_slices(self, energies: tuple[complex, ...]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Self-energies of the left and the right lead of a square lattice, (k, 2 ny, 2 ny); cached."""
        left, right = (lead.self_energy(np.array(energies)) for lead in self.ends)
        return left, right

    def real_rule(self, energies: NDArray[np.float64], weights: NDArray[np.float64]) -> RealRule:
        """These real energies and weights (k,) with the self-energies and sqrt(Gamma) of the leads there."""
        left, right = (s for s, _ in self.self_energy(energies))
        gamma = np.stack([np.sqrt(np.maximum(-2 * s.imag, 0.0)) for s in (left, right)], axis=1)
        sigma = left[:, None, None] * IDENTITY, right[:, None, None] * IDENTITY
        return RealRule(energies, weights, sigma, gamma[:, :, None, None] * IDENTITY)

    def unit_rule(self, energies: NDArray[np.float64]) -> RealRule:
        """These real energies with weight one; cached."""
        return self._unit_rule(energies.tobytes())

    def _make_unit_rule(self, energies: bytes) -> RealRule:
        values = np.frombuffer(energies)
        return self.real_rule(values, np.ones(len(values)))

    def _make_bare_logdet(self, contour: Contour) -> NDArray[np.complex128]:
        """ln det G^-1 of the chain without moments, U and V at the nodes of `contour`, (k,); cached as `bare_logdet`.

        ln det G^-1 = sum of ln a_i, a_i = z - onsite - Sigma - t^2/a_(i-1): scalars, the same for both spins.
        """
        z, n = contour.rule.nodes, self.shape[0]
        onsite = np.full(n, self.onsite)
        if self.holes is not None:
            onsite[self.holes] = _VACANT * self.hopping
        left, right = (sigma[:, 0, 0] for sigma in contour.sigma)
        logdet = np.zeros(len(z), complex)
        a = np.ones(len(z), complex)
        for i in range(n):
            before = self.hops[i - 1] ** 2 / a if i else left
            a = z - onsite[i] - before - (i == n - 1) * right
            phase = np.angle(a)
            logdet += 2 * (np.log(abs(a)) + 1j * np.where(phase < 0, phase + 2 * np.pi, phase))
        return logdet

    @cached_property
    def thermal_range(self) -> tuple[float, float]:
        """(low, high): energies between which -df/dE is not negligible."""
        reach = self.temperature * min(45.0, 8 - np.log(self.tolerance))
        return self.fermi_energy - reach, self.fermi_energy + reach

    @cached_property
    def width_samples(self) -> WidthSamples:
        """Energies in the thermal window, which has to lie inside the band, and beyond; none at kT = 0.

        Beyond the window, levels contribute if a narrow width amplifies their response.
        """
        mu, kT, t = self.fermi_energy, self.temperature, self.hopping
        if kT == 0:
            return WidthSamples(np.empty(0), np.empty((0, 2), complex), np.empty(0, bool), np.empty(0))
        low, high = self.thermal_range
        far = 2 * kT * np.log(max(t / kT, 1.0)) * np.array([-1.0, -0.5, 0.5, 1.0])
        beyond = np.where(far < 0, low, high) + far
        beyond = beyond[(beyond > self.band[0]) & (beyond < self.band[1])]
        energies = np.concatenate([np.linspace(low, high, _WIDTH_SAMPLES), beyond])
        retarded, _ = self.ends_at(energies)
        inside = np.arange(len(energies)) < _WIDTH_SAMPLES
        return WidthSamples(energies, retarded, inside, np.exp(-abs(energies - mu) / kT) * t * t / kT)

    @cached_property
    def no_rule(self) -> RealRule:
        """An empty rule: no energies, the integral is zero."""
        return self.real_rule(np.empty(0), np.empty(0))

    @cached_property
    def fermi_rule(self) -> RealRule:
        """The Fermi energy alone, with weight one: -df/dE at kT = 0."""
        return self.real_rule(np.array([self.fermi_energy]), np.ones(1))

    def _make_probed_self_energy(self, z: complex) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Self-energies of left and right, (2, 2, 2) each, at two nodes with the same energy z; cached.

        `ChainSweeps.probe` needs the energy twice; callers use the cached `probed_self_energy`.
        """
        left, right = (s[:, None, None] * IDENTITY for s, _ in self.self_energy(np.full(2, z)))
        return left, right

    @cached_property
    def sigma_at_fermi_energy(self) -> tuple[complex, complex]:
        """Self-energies of left and right at E_F, or at the nearest band edge where E_F lies outside the band."""
        left, right = (complex(sigma) for sigma, _ in self.self_energy(np.clip(self.fermi_energy, *self.band)))
        return left, right

    def _make_thermal_rule(self, lengths: tuple[int, ...]) -> RealRule:
        """Gauss rules of these lengths for the weight -df/dE, concatenated; cached as `thermal_rule`."""
        x, weights = (np.concatenate(part) for part in zip(*map(thermal_gauss, lengths), strict=True))
        return self.real_rule(self.fermi_energy + self.temperature * x, weights)


def _no_logdets() -> dict[complex, complex]:
    """Nothing known yet."""
    return {}


# Python tells a call with too few, too many or unknown arguments by this name: users call `Device`.
System.__init__.__qualname__ = "Device"


def _tell(text: str) -> None:
    """Warns with RunWarning; `System.tell_once` does so once for each text and device."""
    warnings.warn(text, RunWarning, stacklevel=2)


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

    def _make_pole_rule(self, low: float, high: float, gap: float, mu: float, sharpness: int) -> FermiPoles:
        if self.temperature == 0:
            return super()._make_pole_rule(low, high, gap, mu, sharpness)
        grain = self.hopping / 2
        reach = grain * math.ceil(max(high - mu, mu - low) / grain)
        rule = fermi_poles(-reach, reach, 0.0, self.temperature, POLE_SHARE * self.tolerance)
        return FermiPoles(rule.nodes + mu, rule.weights, rule.constant, rule.bound)


def spin_states(direction: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Spinors along, [:, 0], and against, [:, 1], a unit vector (3,): (2, 2), unitary."""
    x, y, z = direction.tolist()
    if z < 0:  # the other column is the accurate one there
        against = spin_states(-direction)
        return np.ascontiguousarray(against[:, ::-1])
    up = np.array([1 + z, x + 1j * y]) / math.sqrt(2 * (1 + z))
    return np.array([[up[0], -up[1].conjugate()], [up[1], up[0].conjugate()]])


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, made read-only."""
    array.flags.writeable = False
    return array


def dense_hamiltonian(blocks: NDArray[np.complex128], hops: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The (2n, 2n) Hamiltonian of the device; for short wires and discrete levels."""
    n = len(blocks)
    matrix = np.zeros((n, 2, n, 2), complex)
    i = np.arange(n)
    matrix[i, :, i, :] = blocks
    for spin in range(2):
        matrix[i[:-1], spin, i[1:], spin] = -hops
        matrix[i[1:], spin, i[:-1], spin] = -hops
    return matrix.reshape(2 * n, 2 * n)
