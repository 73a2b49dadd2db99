"""Leads: `Lead` is how a user describes one, `AttachedLead` what it does to the device (self-energy, occupation).

Another kind of lead (magnetic, biased, with a given memory in time) is a class with the methods of `AttachedLead`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .memory import Exponentials, semicircle
from .modes import Modes, chain_self_energy, transverse_modes
from .near_poles import near_poles
from .quadrature import FermiPoles, fermi, fermi_derivative
from .reservoirs import Reservoir, reservoir

SIDES = ("left", "right")
# Unit vectors that differ by less are the same direction.
_PARALLEL = 1e-9


def real_number(value: Any) -> float:
    """`value` as a float if it is a real number (a bool, a text or an array is none), else NaN."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class Polarization:
    """The magnetisation of a ferromagnetic lead: H_lead has -(splitting/2) sigma.d on each of its sites.

    direction: d, three numbers, not all zero, of any length; splitting >= 0: by how much the levels of spins along d
    (the majority) lie below those against it, energy.  A splitting above the distance of E_F from the lower edge of
    the band makes a half-metal, which has states of one spin alone there.
    Raises ValueError for anything else.
    """

    direction: tuple[float, float, float]
    splitting: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", _direction(self.direction, "polarization"))
        splitting = real_number(self.splitting)
        if not (math.isfinite(splitting) and splitting >= 0):
            raise ValueError(f"splitting = {self.splitting!r} of a polarization: use a finite number >= 0")

    @property
    def unit(self) -> NDArray[np.float64]:
        """d/|d|, (3,)."""
        return _unit(self.direction)


@dataclass(frozen=True)
class SpinBias:
    """A spin accumulation in a reservoir: electrons along d have another chemical potential than those against it.

    direction: d, three numbers, not all zero, of any length; difference: by how much that of spins along d is higher,
    energy of either sign, half of it above and half below that of the lead.
    Raises ValueError for anything else.
    """

    direction: tuple[float, float, float]
    difference: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", _direction(self.direction, "spin_bias"))
        if not math.isfinite(real_number(self.difference)):
            raise ValueError(f"difference = {self.difference!r} of a spin_bias: use a finite number")

    @property
    def unit(self) -> NDArray[np.float64]:
        """d/|d|, (3,)."""
        return _unit(self.direction)


def spin_states(direction: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Spinors along, [:, 0], and against, [:, 1], a unit vector (3,): (2, 2), unitary."""
    x, y, z = direction.tolist()
    if z < 0:  # the other column is the accurate one there
        against = spin_states(-direction)
        return np.ascontiguousarray(against[:, ::-1])
    up = np.array([1 + z, x + 1j * y]) / math.sqrt(2 * (1 + z))
    return np.array([[up[0], -up[1].conjugate()], [up[1], up[0].conjugate()]])


def _direction(given: Any, what: str) -> tuple[float, ...]:
    """Three finite numbers, not all zero; ValueError otherwise."""
    values = [real_number(x) for x in given] if isinstance(given, tuple | list | np.ndarray) else []
    length = math.hypot(*values)
    if len(values) != 3 or not math.isfinite(length) or length < 1e-150:
        raise ValueError(f"direction = {given!r} of a {what}: use three finite numbers, not all zero")
    return tuple(values)


def _unit(direction: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.asarray(np.array(direction) / math.hypot(*direction))


@dataclass(frozen=True)
class Lead:
    """One semi-infinite lead, as wide as the device, with the device's onsite energy, without moments and spin-orbit
    coupling; or with `width` a wide-band lead, whose self-energy is -i width/2 at all energies.

    side: "left" (attached to the first x) or "right" (to the last x).
    coupling: hopping >= 0 of the bonds between lead and device, energy; 0 disconnects the lead.
    voltage: shifts all levels of the lead and their occupation together, energy.
    chemical_potential, temperature: of its reservoir, energies; None: `fermi_energy` + voltage, and `temperature` of
    the device.  They change the occupation of its levels alone.
    hopping: > 0, of all bonds inside the lead, energy; None: that of the device.
    polarization: a `Polarization` of a ferromagnetic lead; None: none.
    width: Gamma > 0 of a wide-band lead, energy: so fast a level on the end site, or on each site of the end column of
    a lattice by itself, empties into it; in the place of `coupling`, `hopping` and `polarization`.  Its levels are the
    same everywhere: a voltage moves its occupation, as a chemical potential does, and where its energy is counted from.
    spin_bias: a `SpinBias` of its occupation, in a ferromagnetic lead along the polarization; None: none.
    Raises ValueError for anything else, and for a disconnected lead with one of these but `coupling`.
    """

    side: str
    coupling: float = 1.0
    voltage: float = 0.0
    chemical_potential: float | None = None
    temperature: float | None = None
    hopping: float | None = None
    polarization: Polarization | None = None
    width: float | None = None
    spin_bias: SpinBias | None = None

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise ValueError(f"side = {self.side!r} of a lead: use 'left' or 'right'")
        coupling = real_number(self.coupling)
        if not (math.isfinite(coupling) and coupling >= 0):
            raise ValueError(f"coupling = {self.coupling!r} of the {self.side} lead: use a finite number >= 0")
        for name, least in (("voltage", -math.inf), ("chemical_potential", -math.inf), ("temperature", 0.0)):
            given = getattr(self, name)
            if given is None and name != "voltage":
                continue
            value = real_number(given)
            if not (math.isfinite(value) and value >= least):
                allowed = (
                    "a finite number" + (" >= 0" if least == 0 else "") + (", or None" if name != "voltage" else "")
                )
                raise ValueError(f"{name} = {given!r} of the {self.side} lead: use {allowed}")
            if coupling == 0 and (name != "voltage" or value):
                raise ValueError(
                    f"{name} = {given!r} of the {self.side} lead: means nothing without contact, coupling = 0; leave "
                    "it out, or use a coupling > 0"
                )
        if self.hopping is not None:
            hopping = real_number(self.hopping)
            if not (math.isfinite(hopping) and hopping > 0):
                raise ValueError(
                    f"hopping = {self.hopping!r} of the {self.side} lead: use a finite number > 0, or None"
                )
        if self.polarization is not None and not isinstance(self.polarization, Polarization):
            raise ValueError(
                f"polarization = {self.polarization!r} of the {self.side} lead: use None, or for example "
                "Polarization((0, 0, 1), 0.5) of llgnegf.electrons"
            )
        if self.width is not None:
            self._check_width()
        self._check_spin_bias()
        for name in ("hopping", "polarization", "spin_bias"):
            if coupling == 0 and getattr(self, name) is not None:
                raise ValueError(
                    f"{name} = {getattr(self, name)!r} of the {self.side} lead: means nothing without contact, "
                    "coupling = 0; leave it out, or use a coupling > 0"
                )

    def _check_width(self) -> None:
        width = real_number(self.width)
        if not (math.isfinite(width) and width > 0):
            raise ValueError(f"width = {self.width!r} of the {self.side} lead: use a finite number > 0, or None")
        for name, plain in (("coupling", 1.0), ("hopping", None), ("polarization", None)):
            if getattr(self, name) != plain:
                raise ValueError(
                    f"{name} = {getattr(self, name)!r} of the {self.side} lead: says nothing beside width = "
                    f"{self.width!r}, by which it is a wide-band lead; leave out one of the two"
                )

    def _check_spin_bias(self) -> None:
        bias = self.spin_bias
        if bias is None:
            return
        if not isinstance(bias, SpinBias):
            raise ValueError(
                f"spin_bias = {bias!r} of the {self.side} lead: use None, or for example SpinBias((0, 0, 1), 0.1) of "
                "llgnegf.electrons"
            )
        polarized = self.polarization if self.splitting else None
        if polarized is not None and np.linalg.norm(polarized.unit - bias.unit) > _PARALLEL:
            raise ValueError(
                f"spin_bias = {bias!r} of the {self.side} lead: spins across its polarization do not stay in it, and "
                "against it is a difference < 0; "
                f"use the direction {polarized.direction}"
            )

    @property
    def spin_difference(self) -> float:
        """By how much the chemical potential of spins along `spin_bias` is above that of those against it, energy."""
        return 0.0 if self.spin_bias is None else float(self.spin_bias.difference)

    @property
    def splitting(self) -> float:
        """Distance of the levels of the two spins, energy; 0 for a lead without a magnetisation."""
        return 0.0 if self.polarization is None else float(self.polarization.splitting)

    def __repr__(self) -> str:
        """The call that makes this lead; what says nothing about its occupation is left out."""
        words = [f"side={self.side!r}", f"coupling={self.coupling!r}"]
        if self.voltage:
            words.append(f"voltage={self.voltage!r}")
        for name in ("chemical_potential", "temperature", "hopping", "polarization", "width", "spin_bias"):
            if getattr(self, name) is not None:
                words.append(f"{name}={getattr(self, name)!r}")
        return f"Lead({', '.join(words)})"

    def occupation(self, fermi_energy: float, temperature: float) -> Occupation:
        """The Fermi function of its reservoir on a device of this Fermi energy and temperature."""
        mu = fermi_energy + self.voltage if self.chemical_potential is None else self.chemical_potential
        return Occupation(float(mu), float(temperature if self.temperature is None else self.temperature))

    def memory(
        self,
        tolerance: float = 1e-6,
        *,
        width: int = 1,
        periodic: bool = False,
        hopping: float = 1.0,
        onsite: float = 0.0,
        fermi_energy: float = 0.0,
        temperature: float,
    ) -> Reservoir:
        """What it remembers in real time as a few decaying exponentials, with which runs in real time describe it.

        tolerance: of the memory, relative to its value at tau = 0, see `memory.Exponentials`, and of the Fermi
        function; width: rows of a lattice, 1 for a chain; periodic: along y; temperature: kT > 0; the other arguments
        are those of a device.  `Reservoir.memory` and `Reservoir.filled_memory` are the functions of time that the
        exponentials add up to.  Raises ToleranceError where the tolerance cannot be had, ValueError for a wide-band
        lead, whose memory is none but the reservoir's.
        """
        if self.width is not None:
            raise ValueError(f"memory: that of a lead with a band, not of width = {self.width!r}; use coupling")
        modes = transverse_modes(width, hopping, onsite, periodic)
        low, high = modes.band
        rule = near_poles(low, high, fermi_energy, temperature, tolerance, 0.9 * (high - low))
        lead = AttachedLead(self.side, self.coupling, modes, Occupation(fermi_energy, temperature))
        return lead.memory(0, semicircle(tolerance), rule)


@dataclass(frozen=True)
class Occupation:
    """The Fermi function of a reservoir.  fermi_energy E_F, temperature kT >= 0: energies."""

    fermi_energy: float
    temperature: float

    def __call__(self, energies: ArrayLike) -> NDArray[np.float64]:
        """f(E), shaped as `energies`; f(E_F) = 1/2 also at kT = 0."""
        return fermi(np.asarray(energies, float), self.fermi_energy, self.temperature)

    def slope(self, energies: NDArray[np.float64]) -> NDArray[np.float64]:
        """df/dE at real energies, 1/energy; kT > 0 only."""
        return fermi_derivative(energies, self.fermi_energy, self.temperature)


@dataclass(frozen=True, eq=False)
class AttachedLead:
    """A semi-infinite lead as the device sees it: self-energy and injected waves on the slice it is attached to.

    side: "left" or "right"; coupling: hopping of the bonds between lead and device, energy, 0 for a closed end;
    modes: transverse modes of its cross-section, its voltage included; occupation: Fermi function of its reservoir.
    splitting: distance of the levels of its two spins, energy; spin: (2, 2), unitary, its spin states in the columns:
    along and against its polarization or spin bias, or the two along z of a lead without; None: the unit matrix.
    spin_difference: of the chemical potentials of spins in the first and in the second column, energy.
    Matrices act on the n = 2 ny orbitals of the end slice, index 2 y + spin (chain: ny = 1).
    """

    side: str
    coupling: float
    modes: Modes
    occupation: Occupation
    splitting: float = 0.0
    spin: NDArray[np.complex128] | None = None
    spin_difference: float = 0.0

    @property
    def occupations(self) -> tuple[Occupation, Occupation]:
        """Fermi functions of the spins in the two columns of `spin`."""
        if not self.spin_difference:
            return self.occupation, self.occupation
        mu, kT = self.occupation.fermi_energy, self.occupation.temperature
        half = self.spin_difference / 2
        return Occupation(mu + half, kT), Occupation(mu - half, kT)

    is_wide = False  # whether it has states at all energies

    @property
    def tells_spins(self) -> bool:
        """Whether it has other levels, or fills them otherwise, for one of its spins."""
        return bool(self.splitting or self.spin_difference)

    @property
    def by_spin(self) -> tuple[Modes, Modes]:
        """Modes of the spins in the two columns of `spin`."""
        return self.modes.shifted(-self.splitting / 2), self.modes.shifted(self.splitting / 2)

    @property
    def band(self) -> tuple[float, float]:
        """Lowest and highest energy of the bands of all modes of either spin."""
        first, second = self.by_spin
        return first.band[0], second.band[1]

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Energies at which a mode of either spin opens or closes, increasing."""
        return np.unique(np.concatenate([modes.thresholds for modes in self.by_spin]))

    def self_energy(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Sigma at energies z (k,), Im z >= 0: (k, n, n), energy."""
        if not self.splitting:
            return self.modes.self_energy(z, self.coupling)
        return self._of_spins([modes.chain_self_energy(z, self.coupling) for modes in self.by_spin])

    def slope(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """dSigma/dE at energies z (k,): (k, n, n)."""
        if not self.splitting:
            return self.modes.self_energy_slope(z, self.coupling)
        return self._of_spins([modes.chain_self_energy_slope(z, self.coupling) for modes in self.by_spin])

    def _of_spins(self, of_modes: list[NDArray[np.complex128]]) -> NDArray[np.complex128]:
        """Values (k, ny) of the modes of either spin as matrices (k, n, n) in space and spin."""
        k, ny = of_modes[0].shape
        out = np.zeros((k, ny, 2, ny, 2), complex)
        for values, state in zip(of_modes, self._spin_states.T, strict=True):
            out += np.einsum("kxy,a,b->kxayb", self.modes.in_rows(values), state, state.conj())
        return out.reshape(k, 2 * ny, 2 * ny)

    @property
    def _spin_states(self) -> NDArray[np.complex128]:
        return np.eye(2, dtype=complex) if self.spin is None else self.spin

    def injection(self, energy: float) -> NDArray[np.complex128]:
        """sqrt(Gamma) of the p open modes at a real energy, (n, 2 p): sources of the waves that enter from it.

        Column 2 k + s belongs to the k-th mode and the spin in column s of `spin`; it is zero where that one is closed.
        """
        if not self.splitting and self.spin is None:
            return self.modes.sources(energy, self.coupling)
        z = np.array([energy], complex)
        gamma = np.array([-2 * modes.chain_self_energy(z, self.coupling)[0].imag for modes in self.by_spin])
        roots = np.sqrt(np.maximum(gamma, 0.0))[:, gamma.max(axis=0) > 0]
        vectors = self.modes.vectors[:, gamma.max(axis=0) > 0]
        columns = np.einsum("yk,sk,as->yaks", vectors, roots, self._spin_states)
        return np.ascontiguousarray(columns.reshape(2 * len(vectors), roots.size))

    def memory(self, site: int, fit: Exponentials, rule: FermiPoles) -> Reservoir:
        """What it remembers in real time, as exponentials; attached to slice `site`.

        fit: the memory of a chain of hopping 1; rule: the Fermi function of its reservoir.
        """
        return reservoir(site, self.coupling, self.modes.hopping, self.modes.energies, fit, rule)

    def memories(
        self, site: int, fit: Exponentials, rules: tuple[FermiPoles, FermiPoles]
    ) -> tuple[Reservoir, Reservoir]:
        """The same of each of its two spins, in the columns of `spin`, with a Fermi function for each."""
        if not self.splitting and rules[0] is rules[1]:
            return (self.memory(site, fit, rules[0]),) * 2
        first, second = (
            reservoir(site, self.coupling, modes.hopping, modes.energies, fit, rule)
            for modes, rule in zip(self.by_spin, rules, strict=True)
        )
        return first, second

    def on_chain(self, energy: ArrayLike) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Sigma and dSigma/dE of the single mode of a chain at energies of any shape; the same for both spins.

        For leads without a splitting.
        """
        modes = self.modes
        return chain_self_energy(energy, modes.hopping, self.coupling, float(modes.energies[0]))

    def sources(self, energy: float) -> NDArray[np.complex128]:
        """`injection` over the rows of the slice, (ny, p), the same for both spins; for leads without a splitting."""
        gamma = np.maximum(-2 * self.at_real(energy)[0].imag, 0.0)
        return np.asarray(self.modes.vectors[:, gamma > 0] * np.sqrt(gamma[gamma > 0]) + 0j)

    def at_real(self, energy: float) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Sigma and dSigma/dE of each mode at a real energy, (ny,) each, for leads without a splitting."""
        return chain_self_energy(energy - self.modes.energies, self.modes.hopping, self.coupling)

    def of_modes(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Sigma of each mode at energies z (k,): (k, ny), energy; the same for both spins, for leads without a
        splitting."""
        return self.modes.chain_self_energy(z, self.coupling)


@dataclass(frozen=True, eq=False)
class AttachedWideLead(AttachedLead):
    """A wide-band lead: Sigma = -i width/2 of every orbital of the end slice, at all energies.

    width: Gamma > 0, energy.  coupling is not 0 and says nothing; the modes are the rows of the slice.
    """

    width: float = 1.0

    is_wide = True

    @property
    def band(self) -> tuple[float, float]:
        """All energies."""
        return -math.inf, math.inf

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """None."""
        return np.empty(0)

    def self_energy(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """See `AttachedLead`."""
        n = 2 * len(self.modes.energies)
        return np.broadcast_to(-0.5j * self.width * np.eye(n), (len(z), n, n)).copy()

    def slope(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """See `AttachedLead`: zero."""
        return np.zeros_like(self.self_energy(z))

    def injection(self, energy: float) -> NDArray[np.complex128]:
        """See `AttachedLead`."""
        columns = np.sqrt(self.width) * np.kron(self.modes.vectors, self._spin_states)
        return np.ascontiguousarray(columns)

    def memory(self, site: int, fit: Exponentials, rule: FermiPoles) -> Reservoir:
        """ValueError: nothing but its reservoir, which `RealTime` has as a bath on the end site."""
        raise ValueError("a wide-band lead has no memory but that of its reservoir")

    def on_chain(self, energy: ArrayLike) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """See `AttachedLead`."""
        sigma = np.full(np.shape(energy), -0.5j * self.width)
        return sigma, np.zeros_like(sigma)

    def at_real(self, energy: float) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """See `AttachedLead`."""
        return self.on_chain(self.modes.energies)

    def of_modes(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """See `AttachedLead`."""
        return self.on_chain(np.empty((len(z), len(self.modes.energies))))[0]
