"""The entry point for users: spin density, currents, transmission and states of a wire or lattice between two leads.

Parameters, leads and the Hamiltonian are in `system.py`; the electrons at given moments and gates in `frozen.py`.
No other file of `electrons` imports this one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import energies, number
from .balance import spin_balance
from .bathed import NOT_TO_FIRST_ORDER
from .bathed_propagators import propagators_of
from .bias_response import BiasResponse, bias_response
from .counter import Counter
from .currents import Currents, Extended, currents
from .frozen import Frozen, SpinDensity, refuse_spins
from .general.device import GeneralDevice
from .leads import Occupation
from .leads_beside_bath import LeadsBesideBath
from .moving_leads import MovingLeads
from .moving_wide_leads import MovingWideLeads
from .probed_response import response_of
from .response import LinearResponse
from .scattering_matrix import ScatteringMatrix, scattering_matrix
from .system import System
from .threads import each
from .torkance import Torkance, torkance

# Lengths of moments that differ by less are the same; one that is so close to 1 is meant to be 1.
_ALIKE, _ONE = 1e-6, 1e-3


class Device(System):
    """A chain of n sites, or a square lattice of nx x ny, between up to two leads.

    shape: n or (n,) for a chain, (nx, ny) for a square lattice; the leads are attached along x.
    periodic: False, or on a lattice "y": the last row is bonded to the first, in the leads as well.  Two rows then have
    two bonds between them (hopping 2t), a single row has none, as for the moments (`magnet.Magnet`).
    hopping t > 0, onsite, sd_exchange J_sd, fermi_energy E_F, temperature kT >= 0: all in one unit of energy; hbar = 1.
    tolerance: requested bound on the error of the spin density Tr[rho sigma] of each site, 1e-12 ... 0.1 (no unit).
    leads: at most one `Lead` per side; a side without a lead, or with coupling 0, is a closed end.
    bond_hoppings: (nx - 1,) hoppings > 0 of the bonds along x, energy; None: `hopping` everywhere.
    potential: (n,) or (nx, ny) on-site energies of the device itself, beside `onsite`, such as disorder; None: none.
    The `potential` that the methods take, that of gates, is added to it.

    bath: a `Bath` of constant width on some sites, probes or reservoirs (`bath.py`); None: none.
    spin_orbit, spin_hopping: a `SpinOrbit` and a `SpinHopping` on the bonds of the device (`spin_orbit.py`), which add
    up; None: none.
    bonds_along_x, bonds_along_y: (nx - 1, 2, 2) matrices H_(x,x+1) and (nx, 2, 2) matrices H_(y,y+1) of the bonds along
    x, and along y in each column, energy, with any dependence on the spin; None: -hopping, or what the two say.
    vacancies: sites without an orbital and without a moment, x or (x, y); what is given there is not used.
    sd_exchange may also be an array (n,) or (nx, ny), one J_sd for each site.

    A device is immutable: `changed` returns a new one with other arguments.
    Raises ValueError naming the argument, its value and what is allowed; AttributeError if an attribute is assigned.
    """

    # --- what users ask ---------------------------------------------------------------------------

    def freeze(self, m: ArrayLike, potential: ArrayLike | None = None, counter: Counter | None = None) -> Frozen:
        """The electrons at fixed moments and gates.  All quantities asked of the result share its Green's functions.

        m: (n, 3) or (nx, ny, 3) moments.  H has J_sd m as it is given: a moment of another length than 1 means a local
        exchange J_sd |m|, a zero no exchange; none is normalised or refused, but a RunWarning tells where all have one
        other length, as moments in other units do.  potential: (n,) or (nx, ny) gate voltages V_i, energy (None: zero),
        added to the potential of the device.  counter: an additional counter of the Green's functions evaluated, that
        of a whole run, whose moments are known; `Frozen.solves` counts them in any case.
        Raises ValueError if a shape is wrong or a value is not finite.
        """
        moments = self.vectors("m", m)
        if counter is None:
            self._tell_length(moments)
        return Frozen(self, moments, self.scalars("potential", potential), counter)

    def _tell_length(self, m: NDArray[np.float64]) -> None:
        """RunWarning, once, where all moments that are not zero have the same length, and it is not 1."""
        x, y, z = m.reshape(-1, 3)[0].tolist()
        if abs(x * x + y * y + z * z - 1) < _ONE:  # for speed: not all have another length
            return
        lengths = np.sqrt((m**2).sum(axis=-1))
        longest = float(lengths.max())
        alike = lengths[lengths > 0].min(initial=longest) > (1 - _ALIKE) * longest
        if longest and alike and abs(longest - 1) > _ONE and np.any(self.sd_exchange):
            self.tell_once(
                f"all moments have the length {longest:.6g}: H takes them as they are, with an exchange J_sd |m| so "
                "many times that of unit vectors; divide m by it if these are meant"
            )

    def moving_leads(
        self,
        m: ArrayLike,
        potential: ArrayLike | None = None,
        counter: Counter | None = None,
        *,
        energy: bool = False,
    ) -> MovingLeads | MovingWideLeads | LeadsBesideBath:
        """The first order in the rates of the leads' voltages, levels and occupation of a lead moving together.

        m, potential, counter: as `freeze`.  `MovingLeads.response((dV_left/dt, dV_right/dt))` has densities by origin
        and flows into the leads, to be added to those of moments and gates that move; equations in `moving_leads.py`.
        energy: whether also the energy of the leads, at the cost of another site (column) of each.
        Beside a bath, whose levels and occupation stay (those of probes follow the leads), also flows into it.  Of
        wide-band leads the occupation moves alone (`moving_wide_leads.py`); both leads are of one kind, without a bath.
        Raises ValueError for a wrong shape and with probes of zero_current="net", ToleranceError where the accuracy
        cannot be reached.
        """
        if self.bath is not None and self.bath.floats:
            raise ValueError(f"moving_leads: {NOT_TO_FIRST_ORDER}")
        if self.bath is not None or energy:
            refuse_spins(
                self, "moving_leads beside a bath" if self.bath is not None else "moving_leads with energy=True"
            )
        if self.has_wide_leads:
            if self.bath is not None or not all(lead.is_wide for lead in self.ends if lead.coupling):
                beside = "a bath" if self.bath is not None else "a lead with a band"
                raise ValueError(
                    f"moving_leads: {[lead for lead in self.leads if lead.width]!r}, wide-band leads, beside {beside} "
                    "are not available; use voltages at rest, or leads of one kind and no bath"
                )
            return MovingWideLeads(self.freeze(m, potential, counter))
        depth = 2 if energy else 1
        extended = Extended(self, depth)
        frozen = extended.freeze(m, potential, counter)
        if self.bath is not None:
            return LeadsBesideBath(frozen, extended.sites, depth)

        def filled_by(occupation: Occupation) -> Frozen:
            return Frozen(extended.device.filled_by(occupation), frozen.m, frozen.potential, counter)

        return MovingLeads(frozen, extended.sites, filled_by, self, depth)

    def spin_density(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
        *,
        split: str = "general",
    ) -> SpinDensity:
        """Spin density Tr[rho_i sigma] of slowly moving moments and gates, to first order in the velocities, by origin.

        m, mdot: (n, 3) or (nx, ny, 3) moments and their velocity (1/time; None: at rest); potential, potential_rate:
        (n,) or (nx, ny) gate voltages (energy) and their rates (energy/time; None: zero).
        Returns the adiabatic, sea and surface parts of the spin density, shaped as m, and of the charge density.
        split: "general" for any motion (equations in `frozen.py`); "precession" for the geometric, sea and surface
        parts of Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202 (2020), Eq. (2).  These exist only where the
        moments all rotate about one common axis with the gates at rest, and leads and bonds know no other
        (`turning.py`); a single moment fixes its velocity but not the rotation, and the slowest rotation is taken.
        Raises ValueError for a wrong shape, an unknown split, or a motion without the split asked for; ToleranceError
        if the accuracy cannot be reached.
        """
        frozen = self.freeze(m, potential)
        velocity = np.zeros((*self.shape, 3)) if mdot is None else self.vectors("mdot", mdot)
        rate = self.scalars("potential_rate", potential_rate)
        if split == "general":
            return frozen.spin_density(velocity, rate)
        if split != "precession":
            raise ValueError(f"split = {split!r}: allowed are 'general' and 'precession'")
        rotation = _rigid_rotation(frozen.m.reshape(-1, 3), velocity.reshape(-1, 3))
        if rotation is None or rate.any():
            reason = "the gates move" if rate.any() else "no rotation about one axis carries all the moments"
            raise ValueError(
                f"split = 'precession': {reason}, so that there is no geometric part of its own; the split that "
                "exists for this motion is 'general' (sea and surface)"
            )
        frequency = float(np.linalg.norm(rotation))
        return frozen.precession(rotation if frequency else np.array([0.0, 0.0, 1.0]), frequency)

    def lead_currents(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Particle (2,) and spin (2, 3) currents that a slow motion pumps into the left and the right lead, 1/time.

        Arguments as `spin_density`; first order in the velocities.  On a chain: the flow over the first bond of each
        lead, as in `currents` but cheaper.  On a square lattice, and on a chain beside a lead with a polarization or
        spin bias or with bonds along x that are no rotations: the flow deep inside the leads.  It differs from the flow
        over their first bonds (`currents`) by what the lead stores near its end; over one period of a cyclic
        motion both pump the same amount.
        """
        velocity = np.zeros((*self.shape, 3)) if mdot is None else self.vectors("mdot", mdot)
        return self.freeze(m, potential).lead_currents(velocity, self.scalars("potential_rate", potential_rate))

    def lead_energies(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Energy per time into the left and the right lead, (2,): what a bias carries, and what a slow motion pumps.

        Arguments as `spin_density`; first order in the velocities; counted from the levels of the lead, which a voltage
        shifts.  On a chain it is the change of <H_lead>, without its bond to the device; on a square lattice what
        moments and gates pump is that deep inside the leads, as of `lead_currents`.
        Raises ValueError for a wrong shape and for bonds or leads that know the spin.
        """
        velocity = np.zeros((*self.shape, 3)) if mdot is None else self.vectors("mdot", mdot)
        frozen, rate = self.freeze(m, potential), self.scalars("potential_rate", potential_rate)
        return frozen.energy_currents + frozen.energy_pumped(velocity, rate)

    def bath_currents(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Particle (b,) and spin (b, 3) currents, 1/time, into the bath on each of its b sites, in their order.

        Arguments as `spin_density`.  No particles enter a probe, but spin does.
        """
        velocity = np.zeros((*self.shape, 3)) if mdot is None else self.vectors("mdot", mdot)
        return self.freeze(m, potential).bath_currents(velocity, self.scalars("potential_rate", potential_rate))

    def bath_potentials(self, m: ArrayLike, potential: ArrayLike | None = None) -> NDArray[np.float64]:
        """Chemical potential, (b,), energy, of the bath on each of its b sites.

        E_F for reservoirs, that at which no net current enters for probes with zero_current="net"; not a number for
        probes with True.

        Arguments as `freeze`.  Raises ToleranceError where none is found.
        """
        return self.freeze(m, potential).bath_potentials

    def currents(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
    ) -> Currents:
        """Particle and spin flows (1/time) over all bonds and into the leads, by origin; arguments as `spin_density`.

        Returns `Currents` of a chain, `LatticeCurrents` of a lattice.
        """
        return currents(self, m, mdot, potential, potential_rate)

    def bias_response(self, m: ArrayLike, potential: ArrayLike | None = None) -> BiasResponse:
        """Derivatives of spin density, torque and currents with respect to the chemical potential of either lead.

        m, potential: as `freeze`.  About the equilibrium with `fermi_energy` and `temperature`: one energy at kT = 0.
        Levels of the leads stay where they are.  Raises ToleranceError where the tolerance cannot be reached.
        """
        return bias_response(self.freeze(m, potential))

    def spin_noise(self, m: ArrayLike, potential: ArrayLike | None = None) -> NDArray[np.float64]:
        """White noise of the spin density at rest, shot noise of a bias included: (N, N, 3, 3), [i, j, a, b].

        int dt <{ds_i^a(t), ds_j^b(0)}>/2 of s = Tr[rho sigma] over all N sites in the order of the lattice (x ny + y),
        1/energy; symmetric under exchange of (i, a) and (j, b).  Without a bias J_sd^2 of it is 2 kT times the friction
        that the electrons exert on moments; see `spin_noise.py`.  m, potential: as `freeze`.
        Raises ValueError for a wrong shape, a bath and more than 64 sites, ToleranceError where a level is too narrow.
        """
        return self.freeze(m, potential).spin_noise()

    def linear_response(self, m: ArrayLike, potential: ArrayLike | None = None) -> LinearResponse:
        """Gilbert and inertia tensors, susceptibility and alpha(omega) of every pair of moments; see `response.py`.

        m, potential: as `freeze`.  Its arrays have (sites, sites, 3, 3), sites counted as in `m.reshape(-1, 3)`.
        Beside probes that take no current at any energy it has no inertia and no alpha(omega): `probed_response.py`.
        Raises ValueError with probes with zero_current="net", ToleranceError where the accuracy cannot be reached.
        """
        return self.linear_response_of(self.freeze(m, potential))

    @staticmethod
    def linear_response_of(frozen: Frozen) -> LinearResponse:
        """`linear_response` of electrons that are frozen already."""
        return response_of(frozen)

    def scattering_matrix(
        self, m: ArrayLike, energy: float | None = None, potential: ArrayLike | None = None
    ) -> ScatteringMatrix:
        """S of all open channels at a real energy, None: at the Fermi energy, and its derivatives by all moments.

        m, potential: as `freeze`.  Raises ValueError with probes on sites, and for an energy that is not finite.
        """
        E = self.fermi_energy if energy is None else number("energy", energy, "finite")
        return scattering_matrix(propagators_of(self.freeze(m, potential)), E)

    def torkance(self, m: ArrayLike, reference: ArrayLike, potential: ArrayLike | None = None) -> Torkance:
        """dT/dV of the torque on each moment, in the plane of the moment and the `reference` and out of it.

        m, potential: as `freeze`; reference: (3,), the direction of a fixed layer, or one on each site, shaped as m.
        V > 0 drives electrons from left to right.  Signs and units are in `torkance.py`; errors as `bias_response`.
        """
        return torkance(self.freeze(m, potential), reference)

    def spin_balance(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Residual of spin conservation on each site, (n, 3) or (nx, ny, 3), energy: an error estimate of all parts.

        Arguments as `spin_density`.  Zero within a few tolerances times the hopping; the equation is in `balance.py`.
        """
        velocity = np.zeros((*self.shape, 3)) if mdot is None else self.vectors("mdot", mdot)
        rate = self.scalars("potential_rate", potential_rate)
        if self.is_biased and (velocity.any() or rate.any()):
            raise ValueError(
                "spin_balance between leads with a chemical potential, voltage or temperature of their own: available "
                "for moments and gates at rest; leave out mdot and potential_rate"
            )
        flows = self.currents(m, velocity, potential, rate)
        return spin_balance(self.freeze(m, potential), flows, velocity, rate)

    def transmission(self, energy: ArrayLike, m: ArrayLike, potential: ArrayLike | None = None) -> NDArray[np.float64]:
        """Spin-resolved transmission from left to right at real energies: (..., 2, 2), [spin out, spin in] along z.

        energy: a number or an array of any shape, which comes first in the shape of the result.  Index 0 is up, 1 down.
        The four entries sum to Tr[Gamma_R G Gamma_L G^+] of Landauer and Buettiker.  m, potential: as `freeze`.
        Raises ValueError for energies that are not finite real numbers.
        """
        return self._spectrum(energy, self.freeze(m, potential).transmission, (2, 2))

    def density_of_states(
        self, energy: ArrayLike, m: ArrayLike, potential: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Local density of states at real energies in the lead band, traced with 1, sigma_x, sigma_y, sigma_z.

        energy: a number or an array of any shape.  Returns (..., n, 4) or (..., nx, ny, 4), 1/energy; the shape of
        `energy` comes first.  Discrete levels, which no lead broadens, do not appear.  m, potential, errors: as
        `transmission`.
        """
        return self._spectrum(energy, self.freeze(m, potential).density_of_states, (*self.shape, 4))

    def _spectrum(
        self, energy: ArrayLike, of: Callable[[float], NDArray[np.float64]], shape: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """of(E), each of this shape, at every energy; on a lattice, whose time is spent in BLAS, in threads."""
        asked = energies(energy)
        each_energy = asked.ravel().tolist()
        found = each(of, each_energy) if self.is_lattice else [of(e) for e in each_energy]
        return np.array(found).reshape(*asked.shape, *shape)

    # --- Kwant ------------------------------------------------------------------------------------

    @classmethod
    def from_kwant(
        cls,
        system: Any,
        params: dict[str, Any] | None = None,
        *,
        sd_exchange: float | None = None,
        fermi_energy: float = 0.0,
        temperature: float = 0.0,
        tolerance: float = 1e-6,
    ) -> KwantDevice:
        """The device, and the moments, of a finalized Kwant system: `device, m, sites = Device.from_kwant(system)`.

        system: of a `kwant.Builder`, with one or two leads; params: values of its parameters, as `kwant.smatrix` takes
        them.  It becomes a `Device` if its sites are a chain without gaps, or nx x ny sites of a square lattice, by
        their tags (x,) or (x, y).  Hoppings between nearest neighbours: -t times the unit matrix, the same t > 0 in
        leads and device, each bond along x (all rows alike) with a t of its own.  Onsite matrices: a + b.sigma.
        Leads: along x, as wide as the device, without spin; tags grow from the left to the right one.
        Columns that `attach_lead(..., add_cells=...)` added belong to the lead; the bond behind them is its `coupling`.
        With one orbital on each site (no spin) the device has both spins, degenerate, no moments and J_sd = 0: each of
        them is what Kwant has, sums over spin are twice that.

        Every other system (other lattices, holes, spin-orbit coupling, magnetic flux, farther neighbours, any orbitals,
        any leads) becomes a `GeneralDevice`: transmission, density of states and equilibrium, nothing that moves.  Its
        sites are in the order of `system.sites`; `device.reason` tells what no `Device` has.  Its transmission is the
        sum over spins.

        sd_exchange: J_sd, energy, so that m = -b/J_sd, of length 1 where |b| = |J_sd| (others as in `freeze`).  None:
        |b|, which must be the same wherever it is not zero; m = -b/|b|.  (In a `GeneralDevice` the largest |b|.)
        fermi_energy, temperature, tolerance: as the arguments of a device; Kwant's leads have no filling.  A lead whose
        levels differ from those of the other one has a voltage, and the Fermi energy of the device.

        Kwant is not imported, and every element of its Hamiltonian is compared with that of the device (1e-12 of the
        hopping).  Raises ValueError for a Hamiltonian that is not finite or not Hermitian, no lead or more than two,
        and spin splittings that sd_exchange does not allow.
        """
        from .kwant_systems.general import read_general
        from .kwant_systems.reader import read
        from .kwant_systems.words import NoLattice

        J = None if sd_exchange is None else number("sd_exchange", sd_exchange, "finite, or None")
        filling = {"fermi_energy": fermi_energy, "temperature": temperature, "tolerance": tolerance}
        try:
            found = read(system, params, J, number("fermi_energy", fermi_energy, "finite"))
        except NoLattice as no:
            reason = str(no)
        else:
            return KwantDevice(cls(**(found.arguments | filling)), found.m, found.numbers)
        general = read_general(system, params, J, filling, reason)
        return KwantDevice(general, general.m, np.arange(general.n_sites))

    def to_kwant(self, m: ArrayLike | None = None, potential: ArrayLike | None = None) -> Any:
        """A finalized Kwant system with this Hamiltonian and these leads, for `kwant.smatrix`, `wave_function`, ...

        m, potential: as `freeze`; m may be left out where J_sd = 0.  Tags are the indices of the sites, (x,) or (x, y);
        two orbitals on each, up and down.  A lead with another coupling than the hopping brings one column of sites
        beside the device, x = -1 or nx.  The left lead comes first, one with coupling 0 is missing.  Leads conserve
        sigma_z: (lead, 0) in `smatrix.transmission` is spin up, (lead, 1) down.  Voltages shift the levels of leads;
        Kwant knows no filling: Fermi energies and temperatures are left behind.

        Raises LLGNEGFError without the package kwant, ValueError as `freeze` and with a bath.
        """
        from .kwant_systems.writer import write

        if self.bath is not None:
            raise ValueError(
                f"to_kwant: a bath on sites, {self.bath!r}, is no lead that Kwant's modes describe; use "
                "changed(bath=None).to_kwant(...)"
            )
        refuse_spins(self, "to_kwant")
        if m is None and np.any(self.sd_exchange):
            raise ValueError(f"m = None: moments of shape {(*self.shape, 3)} are needed, since J_sd is not zero")
        moments = np.zeros((*self.shape, 3)) if m is None else self.vectors("m", m)
        return write(self, moments, self.scalars("potential", potential))

    def __repr__(self) -> str:
        """The call that makes this device; arguments at their defaults are left out."""
        defaults = {name: p.default for name, p in inspect.signature(System.__init__).parameters.items()}
        words = [repr(self.shape)]
        for name, value in self._arguments().items():
            if isinstance(value, np.ndarray):
                words.append(f"{name}={value.tolist()}")
            elif name != "shape" and value != defaults[name]:
                words.append(f"{name}={list(value) if name == 'leads' else value!r}")
        return f"{type(self).__name__}({', '.join(words)})"


class KwantDevice(NamedTuple):
    """What `Device.from_kwant` returns.

    device: a `Device`, or a `GeneralDevice` of a system that is no chain and no square lattice with a scalar hopping.
    m: (n, 3) or (nx, ny, 3) moments; sites: (n,) or (nx, ny), the place of each site of the device in `system.sites`
    and in what Kwant's operators return.
    """

    device: Device | GeneralDevice
    m: NDArray[np.float64]
    sites: NDArray[np.int64]


def _rigid_rotation(m: NDArray[np.float64], velocity: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The shortest angular velocity Omega (3,) with Omega x m_i = velocity_i on all sites; None if there is none."""
    # Omega x m = -[m]_x Omega, row by row.
    x, y, z = m.T
    o = np.zeros(len(m))
    rows = np.stack([np.stack([o, z, -y], 1), np.stack([-z, o, x], 1), np.stack([y, -x, o], 1)], axis=1)
    rotation = np.linalg.lstsq(rows.reshape(-1, 3), velocity.ravel(), rcond=1e-12)[0]
    misfit = abs(np.cross(rotation, m) - velocity).max()
    return rotation if misfit <= 1e-9 * abs(velocity).max() else None
