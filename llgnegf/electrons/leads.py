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
class Lead:
    """One semi-infinite lead, as wide as the device, with the device's hopping and onsite energy and no moments.

    side: "left" (attached to the first x) or "right" (to the last x).
    coupling: hopping >= 0 of the bonds between lead and device, energy; 0 disconnects the lead.
    voltage: shifts all levels of the lead and their occupation together, energy.
    chemical_potential, temperature: of its reservoir, energies; None: `fermi_energy` + voltage, and `temperature` of
    the device.  They change the occupation of its levels alone.
    Raises ValueError for anything else, and for a disconnected lead with a voltage or an occupation of its own.
    """

    side: str
    coupling: float = 1.0
    voltage: float = 0.0
    chemical_potential: float | None = None
    temperature: float | None = None

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

    def __repr__(self) -> str:
        """The call that makes this lead; what says nothing about its occupation is left out."""
        words = [f"side={self.side!r}", f"coupling={self.coupling!r}"]
        if self.voltage:
            words.append(f"voltage={self.voltage!r}")
        for name in ("chemical_potential", "temperature"):
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
        exponentials add up to.  Raises ToleranceError where the tolerance cannot be had.
        """
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
    Matrices act on the n = 2 ny orbitals of the end slice, index 2 y + spin (chain: ny = 1).
    """

    side: str
    coupling: float
    modes: Modes
    occupation: Occupation

    def self_energy(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Sigma at energies z (k,), Im z >= 0: (k, n, n), energy."""
        return self.modes.self_energy(z, self.coupling)

    def slope(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """dSigma/dE at energies z (k,): (k, n, n)."""
        return self.modes.self_energy_slope(z, self.coupling)

    def curvature(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """d^2 Sigma/dE^2 at energies z (k,): (k, n, n), 1/energy."""
        return self.modes.self_energy_curvature(z, self.coupling)

    def injection(self, energy: float) -> NDArray[np.complex128]:
        """sqrt(Gamma) of the p open modes at a real energy, (n, 2 p): sources of the waves that enter from it."""
        return self.modes.sources(energy, self.coupling)

    def memory(self, site: int, fit: Exponentials, rule: FermiPoles) -> Reservoir:
        """What it remembers in real time, as exponentials; attached to slice `site`.

        fit: the memory of a chain of hopping 1; rule: the Fermi function of its reservoir.
        """
        return reservoir(site, self.coupling, self.modes.hopping, self.modes.energies, fit, rule)

    def on_chain(self, energy: ArrayLike) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Sigma and dSigma/dE of the single mode of a chain at energies of any shape; the same for both spins."""
        modes = self.modes
        return chain_self_energy(energy, modes.hopping, self.coupling, float(modes.energies[0]))

    def of_modes(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Sigma of each mode at energies z (k,): (k, ny), energy; the same for both spins."""
        return self.modes.chain_self_energy(z, self.coupling)
