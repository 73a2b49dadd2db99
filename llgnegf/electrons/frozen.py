"""Spin density of slowly driven electrons by origin: adiabatic, Fermi sea, Fermi surface.

With the retarded Green's function G, B = 1 - dSigma/dE, Hd = dH/dt, f' = df/dE, Gamma = i (Sigma - Sigma^+) and
Im A = (A - A^+)/2i,

    rho_ad   = -(1/pi)  int f Im G
    rho_sea  = -(1/pi)  int f Im G1,     G1 = -(i/2) [G B G Hd G - G Hd G B G]
    rho_surf =  (1/2pi) int f' Im[G Hd G Gamma G^+]

These follow from the first-order gradient expansion of the Keldysh equation, as in Bode et al., Phys. Rev. Lett. 107,
036804 (2011), for any slow H(t).  The surface term is (1/2pi) int f' [(G^+ Hd G^+ + G Hd G)/2 - G Hd G^+], rewritten
with G - G^+ = -i G Gamma G^+ so that it needs scattering states only.  For rigid precession with K = (omega/2) sigma_a
the sum of sea and surface is split differently by Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202 (2020), Eq. (2):

    geo = (1/pi) int f Im[G K G],   sea = -(1/pi) int f Im[G K Sigma' G],   surf = (1/2pi) int f' G K Gamma G^+.

Leads with Fermi functions of their own add two parts, at rest and to first order: see `bias.py`.

With spin-orbit coupling all Green's functions are those of `System.straight`, in the frame of spins in which bonds
along x are scalars (`spin_orbit.py`); what `Frozen` returns is turned back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .bathed import BathedSweeps
from .bathed_bias import BathedBias
from .bias import Bias
from .bond_flows import outside
from .chain import ChainSweeps
from .counter import Counter
from .fermi_step import Step
from .lattice import LatticeSweeps
from .leads import Occupation
from .net_probes import NetBias
from .quadrature import FermiPoles, ToleranceError
from .sliced_chain import SlicedChainSweeps
from .spin_noise import MOST_SITES_OF_SAMPLES, SpinNoise
from .sweeps import LeadResponse, Response, Sea, Sweeps
from .system import System
from .turning import refuse_precession, turning_parts


@dataclass(frozen=True)
class SpinDensity:
    """Spin density Tr[rho_i sigma] and electrons per site, both by origin, to first order in the velocities.

    adiabatic, sea, surface: (n, 3) or (nx, ny, 3), dimensionless (no factor hbar/2).  density_adiabatic, density_sea,
    density_surface: electrons per site, (n,) or (nx, ny).
    geometric: None, or in steady precession the geometric part, (n, 3); `sea` is then the contribution of the leads
    alone, and density_sea that of the geometric part and the leads together.
    bias, bias_motion: None, or (n, 3) or (nx, ny, 3) what leads with Fermi functions of their own add, at rest and to
    first order in the velocities; density_bias: electrons per site of both.
    solves: Green's functions evaluated so far for this texture.
    """

    adiabatic: NDArray[np.float64]
    sea: NDArray[np.float64]
    surface: NDArray[np.float64]
    geometric: NDArray[np.float64] | None
    density_adiabatic: NDArray[np.float64]
    density_sea: NDArray[np.float64]
    density_surface: NDArray[np.float64]
    solves: int
    bias: NDArray[np.float64] | None = None
    bias_motion: NDArray[np.float64] | None = None
    density_bias: NDArray[np.float64] | None = None

    @property
    def first_order(self) -> NDArray[np.float64]:
        """Sea + surface (+ geometric, bias_motion): what is first order in the velocities, shaped as `sea`."""
        total = self.sea + self.surface
        total = total if self.geometric is None else total + self.geometric
        return total if self.bias_motion is None else total + self.bias_motion

    @property
    def nonadiabatic(self) -> NDArray[np.float64]:
        """All that is not adiabatic: the first order, and what a bias drives (bias)."""
        return self.first_order if self.bias is None else self.first_order + self.bias

    @property
    def total(self) -> NDArray[np.float64]:
        """Adiabatic + nonadiabatic: the spin density to first order in the velocities."""
        return self.adiabatic + self.nonadiabatic

    @property
    def density(self) -> NDArray[np.float64]:
        """Electrons per site to first order in the velocities, (n,) or (nx, ny)."""
        density = self.density_adiabatic + self.density_sea + self.density_surface
        return density if self.density_bias is None else density + self.density_bias


class Frozen:
    """The electrons of a system at fixed moments and gates, and their linear response to a slow motion of both.

    device: the wire or lattice; m: (*s, 3) moments, where *s is (n,) or (nx, ny); potential: (*s,) gate voltages,
    energy; counter: an additional counter of the Green's functions evaluated (`solves` counts them in any case).
    Results are evaluated on first use and kept.  "Traced" means traces with 1, sigma_x, sigma_y, sigma_z in the last
    axis.  Green's functions come from `sweeps`, which hides whether the system is a chain or a lattice; they, and dH/dt
    (`System.coupling_blocks`), are in the frame of `System.straight`.
    Methods raise ToleranceError, which names the remedy, if an integral cannot reach the tolerance of the device.
    """

    def __init__(
        self,
        device: System,
        m: NDArray[np.float64],
        potential: NDArray[np.float64],
        counter: Counter | None = None,
        *,
        at_fermi_energy: bool = False,
        same_h: Frozen | None = None,
    ) -> None:
        """same_h: electrons whose H is that of `device` at the same moments and gates, to be taken from there."""
        self.device, self.m, self.potential = device, m, potential
        self.counter = Counter(counter)
        # Blocks of H on the sites, (*s, 2, 2), and an interval that contains the spectrum: energies.
        self.blocks: NDArray[np.complex128]
        self.bounds: tuple[float, float]
        if same_h is None:
            self.blocks = device.hamiltonian_blocks(m, potential)
            self.bounds = device.straight.spectrum_bounds(m, potential)
        else:
            self.blocks, self.bounds = same_h.blocks, same_h.bounds
        self._is_plain = device.frame is None and device.holes is None
        device = device.straight
        given = device, self.blocks, self.bounds, self.counter, at_fermi_energy
        self.sweeps: Sweeps
        # What leads with Fermi functions of their own add; None where they have none.
        self.bias: Bias | BathedBias | None = None
        if device.has_tails:
            self.sweeps = bathed = BathedSweeps(*given)
            make = NetBias if device.bath is not None and device.bath.floats else BathedBias
            self.bias = make(bathed, self._filled_by) if device.is_biased else None
        else:
            sliced = device.is_polarized or device.bonds_along_x is not None
            kind = SlicedChainSweeps if sliced else ChainSweeps
            self.sweeps = LatticeSweeps(*given) if device.is_lattice else kind(*given)
            self.bias = Bias(self.sweeps, self._filled_by) if device.is_biased else None

    @property
    def solves(self) -> int:
        """How many Green's functions were evaluated so far."""
        return self.counter.count

    @property
    def rule(self) -> FermiPoles:
        """The pole rule: poles and weights that represent the Fermi function on the spectrum."""
        return self.sweeps.rule

    @property
    def surface_is_cheap(self) -> bool:
        """Whether, at kT = 0, the surface part costs much less than the sea part."""
        return self.sweeps.surface_is_cheap

    @property
    def step(self) -> Step | None:
        """Where the step of the Fermi function is placed at kT = 0; None at kT > 0."""
        return self.sweeps.step

    # --- equilibrium ------------------------------------------------------------------------------

    @property
    def adiabatic(self) -> NDArray[np.float64]:
        """rho_ad traced with 1, sigma_x, sigma_y, sigma_z: (*s, 4)."""
        return self.out_of_frame(self.sweeps.adiabatic)

    @property
    def grand_potential(self) -> float:
        """Grand potential of the electrons relative to the same system with J_sd = 0 and V = 0, energy.

        Omega = (1/pi) int f Im ln det G^-1, with the poles of f that give rho_ad, so that
        J_sd s_i = -dOmega/dm_i holds to rounding whatever the tolerance.
        """
        if self.step is not None and self.step.places != (self.device.fermi_energy,):
            # The step was moved from E_F into a gap of the spectrum.  Occupations do not depend on its place there, but
            # the grand potential does: evaluate it at E_F, where it is continuous even if a level crosses E_F.
            return Frozen(self.device, self.m, self.potential, self.counter, at_fermi_energy=True).grand_potential
        return self.sweeps.grand_potential

    def _filled_by(self, occupation: Occupation) -> NDArray[np.float64]:
        """rho_ad of this texture with another Fermi function, in the frame of the sweeps: (*s, 4)."""
        if isinstance(self.sweeps, ChainSweeps) and occupation.temperature > 0:
            return self.sweeps.filled_by(occupation)
        other = self.device.filled_by(occupation)
        try:
            return Frozen(other, self.m, self.potential, self.counter, same_h=self).sweeps.adiabatic
        except ToleranceError as error:
            raise ToleranceError(
                f"at the chemical potential {occupation.fermi_energy:g} of a lead, in place of the Fermi energy: "
                f"{error}"
            ) from None

    @property
    def at_rest(self) -> NDArray[np.float64]:
        """The density of everything that does not need a motion, traced: rho_ad and rho_bias, (*s, 4)."""
        return self.adiabatic if self.bias is None else self.adiabatic + self.out_of_frame(self.bias.density)

    def out_of_frame(self, traced: NDArray[np.float64]) -> NDArray[np.float64]:
        """Traces (*s, 4) that the sweeps return as those for users: with spin-orbit coupling turned, 0 on vacancies."""
        return traced if self._is_plain else self.device.out_of_frame(traced)

    def flow_out_of_frame(self, flow: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for flows (..., 2, 4) into the left and the right lead."""
        return self.device.flow_out_of_frame(flow)

    # --- first order in the velocities ------------------------------------------------------------

    def response(
        self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(sea, surface) densities, each (*s, 4), linear in the velocities (*s, 3) and gate rates (*s,); no bias.

        The energies of the surface part are chosen in the first call and kept, so that results of later calls are
        exactly linear in the velocities.  On a lattice the response to gates on a few columns costs a third of that to
        a motion of all moments, if it is asked for first.
        """
        found = self.respond(mdot, potential_rate)
        return found.sea, found.surface

    def respond(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> Response:
        """`response`, with the additional data from which `lead_currents` gets the currents of the same motion."""
        rate = self.device.coupling_blocks(mdot, potential_rate)
        if not rate.any():
            nothing = np.zeros((*self.device.shape, 4))
            return Response(nothing, nothing.copy(), None, None if self.bias is None else nothing.copy())
        sea = self.sweeps.sea(rate)
        surface = self.sweeps.surface.density(rate)
        self.check_first_order(rate, sea.density + surface)
        bias = None if self.bias is None else self.out_of_frame(self.bias.moved(rate))
        return Response(self.out_of_frame(sea.density), self.out_of_frame(surface), sea.driven_ends, bias)

    def surface(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """rho_surf of dH/dt = `rate` (*s, 2, 2), traced: (*s, 4)."""
        return self.out_of_frame(self.sweeps.surface.density(rate))

    def adiabatic_rate(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """d rho_ad/dt = -(1/pi) int f Im[G Hd G] for dH/dt = `rate` (*s, 2, 2), traced: (*s, 4), 1/time.

        Discrete levels keep their occupation when they move, so the change of f at their energy is left out.
        """
        return self.out_of_frame(self.sweeps.adiabatic_rate(rate))

    def check_first_order(self, rate: NDArray[np.complex128], response: NDArray[np.float64]) -> None:
        """Raise ToleranceError if, at kT = 0, rounding of E_F changes this response by more than the tolerance.

        rate: dH/dt (*s, 2, 2); response: the densities or flows that it causes.
        """
        if self.step is not None and self.step.is_delicate(self.device.tolerance):
            self.step.check_first_order(self.device, rate, response)

    def spin_density(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> SpinDensity:
        """All parts of the spin density for one motion: mdot (*s, 3), 1/time; potential_rate (*s,), energy/time."""
        moves = mdot.any() or potential_rate.any()
        return self.parts(self.respond(mdot, potential_rate) if moves else None)

    def parts(self, response: Response | None, leads: LeadResponse | None = None) -> SpinDensity:
        """All parts of the spin density, with a `respond` result as the first-order part; None: nothing moves.

        leads: the first order in the rates of voltages (`MovingLeads`), to be added.
        """
        nothing = np.zeros((*self.device.shape, 4))
        sea, surface = (nothing, nothing) if response is None else (response.sea, response.surface)
        if leads is not None:
            sea, surface = sea + leads.sea, surface + leads.surface
        packed = self._pack(sea, surface, None)
        if self.bias is None:
            return packed
        still = self.out_of_frame(self.bias.density)
        moved = nothing if response is None or response.bias is None else response.bias
        if leads is not None:
            moved = moved + leads.bias
        return replace(
            packed,
            bias=still[..., 1:].copy(),
            bias_motion=moved[..., 1:].copy(),
            density_bias=still[..., 0] + moved[..., 0],
            solves=self.solves,
        )

    def _pack(
        self, sea: NDArray[np.float64], surface: NDArray[np.float64], geometric: NDArray[np.float64] | None
    ) -> SpinDensity:
        adiabatic = self.adiabatic
        first = sea if geometric is None else sea + geometric
        return SpinDensity(
            adiabatic=adiabatic[..., 1:].copy(),
            sea=sea[..., 1:].copy(),
            surface=surface[..., 1:].copy(),
            geometric=None if geometric is None else geometric[..., 1:].copy(),
            density_adiabatic=adiabatic[..., 0].copy(),
            density_sea=first[..., 0].copy(),
            density_surface=surface[..., 0].copy(),
            solves=self.solves,
        )

    # --- currents ---------------------------------------------------------------------------------

    def lead_currents(
        self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64], response: Response | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Particle (2,) and spin (2, 3) currents into the left and the right lead, 1/time, first order in velocities.

        On a chain over the first bond of each lead, on a lattice deep inside the leads (`LatticeSweeps.into_leads`),
        and so on chains that are evaluated as one (`sliced_chain.py`);
        what leads with Fermi functions of their own add, over the first bonds in either case.
        response: the result of `respond` for the same motion, if it is known already.
        """
        rate = self.device.coupling_blocks(mdot, potential_rate)
        moves = bool(rate.any())
        if not moves and self.bias is None:
            return np.zeros(2), np.zeros((2, 3))
        flow = np.zeros((2, 4))
        if moves:
            if response is None and self.sweeps.leads_need_response:
                response = self.respond(mdot, potential_rate)
            flow = self.sweeps.into_leads(rate, response)
        if self.bias is not None:
            flow = flow + (self.bias.moved_into_leads(rate) if moves else 0.0) + self.bias.into_leads
        return as_flow(self.flow_out_of_frame(flow))

    @property
    def knows_energy_pumped(self) -> bool:
        """Whether `energy_pumped` is available."""
        return self.device.is_plain

    def energy_pumped(
        self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64], response: Response | None = None
    ) -> NDArray[np.float64]:
        """Energy that moments and gates carry into the left and the right lead to first order, (2,), energy/time.

        Counted from the levels of the lead.  On a chain it is d<H_lead>/dt, on a lattice that deep inside the leads;
        what leads with Fermi functions of their own add is d<H_lead>/dt in either case.  Arguments as `lead_currents`;
        ValueError with bonds or leads that know the spin.
        """
        refuse_spins(self.device, "lead_energies")
        rate = self.device.coupling_blocks(mdot, potential_rate)
        if not rate.any():
            return np.zeros(2)
        if response is None and self.sweeps.leads_need_response:
            response = self.respond(mdot, potential_rate)
        energy = self.sweeps.energy_into_leads(rate, response)
        return energy if self.bias is None else energy + self.bias.moved_energy_into_leads(rate)

    @property
    def energy_currents(self) -> NDArray[np.float64]:
        """Energy that a bias carries into the left and the right lead at rest, (2,), energy/time; 0 without a bias."""
        return np.zeros(2) if self.bias is None else self.bias.energy_into_leads

    def bath_currents(
        self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Particle (b,) and spin (b, 3) currents into the bath on each of its b sites, 1/time, in their order.

        Due to a bias, and to first order in the velocities; no particles enter a probe, but spin does.  b = 0
        without a bath.
        """
        if not isinstance(self.sweeps, BathedSweeps):
            return as_flow(np.zeros((0, 4)))
        rate = self.device.coupling_blocks(mdot, potential_rate)
        moves = bool(rate.any())
        flow = self.sweeps.surface.into_bath(rate) if moves else np.zeros((len(self.sweeps.where), 4))
        if isinstance(self.bias, BathedBias):
            flow = flow + self.bias.into_bath + (self.bias.moved_into_bath(rate) if moves else 0.0)
        if self.device.frame is not None:
            everywhere = np.zeros((self.device.n_sites, 4))
            everywhere[self.sweeps.where] = flow
            flow = self.device.frame.back(everywhere.reshape(*self.device.shape, 4)).reshape(-1, 4)[self.sweeps.where]
        return as_flow(flow)

    @property
    def bath_potentials(self) -> NDArray[np.float64]:
        """Chemical potentials of the bath on each of its b sites, (b,), energy; of probes that take no net current at
        any energy, which have none, not a number."""
        bath, b = self.device.bath, 0 if self.device.bath is None else len(self.device.bath.sites)
        if bath is not None and bath.elastic:
            return np.full(b, np.nan)
        if isinstance(self.bias, NetBias):
            return self.bias.potentials.copy()
        return np.full(b, self.device.fermi_energy)

    def flows(self, rate: NDArray[np.complex128]) -> dict[str, NDArray[np.float64]]:
        """Flows over all bonds for dH/dt = `rate` (*s, 2, 2), by origin, traced: see `Sweeps.flows`."""
        parts = self.sweeps.flows(rate)
        self.check_first_order(rate, parts["sea"] + parts["surface"])
        if self.bias is not None:
            parts["bias"], parts["bias_motion"] = self.bias.bonds(rate if rate.any() else None)
        return parts

    def torque_spin_orbit(
        self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Torque of bonds that know the spin on the electrons' spin sigma/2 at each site, by origin: (*s, 3).

        See `currents.Currents.torque_spin_orbit`.
        """
        parts = self.flows(self.device.coupling_blocks(mdot, potential_rate))
        return {origin: outside(over, self.device.frame)[1][..., 1:] / 2 for origin, over in parts.items()}

    # --- steady precession ------------------------------------------------------------------------

    def precession(self, axis: NDArray[np.float64], frequency: float) -> SpinDensity:
        """Geometric, lead (sea) and surface parts of steady precession about `axis` (Bajpai and Nikolic, Eq. (2)).

        axis: (3,), any length > 0; frequency: omega (1/time), right-handed about the axis.  See `turning.py`.
        Raises ValueError for a zero axis, and for electrons that are not steady in the frame that turns.
        """
        return self._precession(axis, frequency)[0]

    def precession_with_currents(
        self, axis: NDArray[np.float64], frequency: float
    ) -> tuple[SpinDensity, NDArray[np.float64], NDArray[np.float64]]:
        """`precession`, and the particle (2,) and spin (2, 3) currents into each lead, 1/time, as `lead_currents`."""
        spin, into_leads = self._precession(axis, frequency)
        return spin, *as_flow(self.flow_out_of_frame(into_leads()))

    @property
    def turning(self) -> ChainSweeps | None:
        """The sweeps that have kernels of their own for the parts of steady precession, or None."""
        sweeps = self.sweeps
        return sweeps if isinstance(sweeps, ChainSweeps) and not sweeps.device.needs_shifted_surface else None

    def _precession(
        self, axis: NDArray[np.float64], frequency: float
    ) -> tuple[SpinDensity, Callable[[], NDArray[np.float64]]]:
        """All parts, and a function that returns the flow into the leads, (2, 4)."""
        K = rotation_generator(axis, frequency)
        refuse_precession(self.device, axis)
        axis = np.asarray(axis, float) / np.linalg.norm(axis)
        turning = frequency * np.cross(axis, self.m)
        rate = self.device.coupling_blocks(turning, np.zeros(self.device.shape))
        into_leads: Callable[[], NDArray[np.float64]]
        chain = self.turning
        if chain is not None:
            geometric, lead, surface, flow = chain.turned(rate, K)

            def into_leads() -> NDArray[np.float64]:
                return flow + chain.turning_into_leads(rate, K)
        else:
            moves, nothing = bool(rate.any()), np.zeros((*self.device.shape, 4))
            sea = self.sweeps.sea(rate) if moves else Sea(nothing, None)
            first = self.sweeps.surface.density(rate) if moves else nothing
            geometric, lead, surface = turning_parts(self.sweeps, sea, first, K)

            def into_leads() -> NDArray[np.float64]:
                response = Response(sea.density, first, sea.driven_ends)
                return self.sweeps.into_leads(rate, response) if moves else np.zeros((2, 4))

        self.check_first_order(rate, lead + surface + geometric)
        return self._pack(*(self.out_of_frame(part) for part in (lead, surface, geometric))), into_leads

    # --- levels and states ------------------------------------------------------------------------

    def thermal_states(self) -> tuple[NDArray[np.float64], float]:
        """Thermal density of states -(1/pi) int f Im dG/dE, (*s, 4), and its error bound; 1/energy, kT > 0.

        Evaluated at the poles of f, off the real axis, where no narrow level can be missed; rules on the real axis are
        checked against it.
        """
        states, error = self.sweeps.thermal_states()
        return self.out_of_frame(states), error

    def transmission(self, energy: float) -> NDArray[np.float64]:
        """|sqrt(Gamma_R) G sqrt(Gamma_L)|^2 at a real energy, summed over modes: (2, 2) [spin out, spin in].

        Spins along z, in a lead with a polarization or a spin bias along that.
        """
        return self.sweeps.transmission(energy)

    def density_of_states(self, energy: float) -> NDArray[np.float64]:
        """Local density of states and its spin components at a real energy in the lead band: (*s, 4), 1/energy."""
        return self.out_of_frame(self.sweeps.states(energy)) / (2 * np.pi)

    def spin_noise(self) -> NDArray[np.float64]:
        """The correlator of the spin density's fluctuations at frequency zero, see `Device.spin_noise`."""
        refuse_spins(self.device, "spin_noise")
        return SpinNoise(self.device, self.sweeps, self.counter).matrix

    def sample_of_spin_noise(self, numbers: np.random.Generator) -> NDArray[np.float64]:
        """A random spin density (*s, 3) with the covariance of `spin_noise`, also on many sites; of these numbers."""
        refuse_spins(self.device, "spin_noise")
        noise = SpinNoise(self.device, self.sweeps, self.counter, MOST_SITES_OF_SAMPLES)
        return noise.sample(numbers).reshape(*self.device.shape, 3)

    def level_width(self) -> float:
        """Width of the narrowest level at E_F, energy: 4 over the longest dwell time; inf if no lead has states at E_F.

        Under a bias, at the chemical potentials of the leads too.
        Dwell times are the eigenvalues of the overlap psi^+ psi of the scattering states inside the device (Wigner and
        Smith, without the contribution of the leads); a single Breit-Wigner level of width Gamma has 4/Gamma.
        """
        low, high = self.device.band
        if self.device.is_closed:
            return np.inf
        filled = {self.device.fermi_energy}
        if self.bias is not None:
            filled |= {one.fermi_energy for lead, one in self.device.sources if lead.coupling}
        return min((self.sweeps.level_width(mu) for mu in sorted(filled) if low < mu < high), default=np.inf)

    def working_bytes(self, order: int) -> int:
        """Estimated working memory of evaluations of this order in the velocities (0 or 1), bytes, without results."""
        return self.sweeps.working_bytes(order)


def refuse_spins(device: System, what: str) -> None:
    """ValueError where `what` is asked for, of a device with bonds or leads that know the spin, with leads of another
    hopping, or with vacancies."""
    if device.spin_orbit is not None:
        raise ValueError(f"{what}: not available with {device.spin_orbit!r}; use spin_orbit=None")
    if device.spin_hopping is not None:
        raise ValueError(f"{what}: not available with {device.spin_hopping!r}; use spin_hopping=None")
    for name in ("bonds_along_x", "bonds_along_y"):
        if getattr(device, name) is not None:
            raise ValueError(f"{what}: not available with {name}; use {name}=None")
    if device.vacancies:
        raise ValueError(f"{what}: not available with vacancies = {list(device.vacancies)}; use none")
    refuse_spin_bias(device, what)
    if device.has_other_leads:
        given = [lead for lead in device.leads if lead.hopping is not None or lead.splitting or lead.width]
        raise ValueError(
            f"{what}: not available with {given!r}, a hopping, polarization or width of its own; use leads without "
            "these"
        )


def refuse_spin_bias(device: System, what: str) -> None:
    """ValueError where `what` is asked for between leads that fill spins by themselves."""
    if device.fills_spins:
        biased = [lead for lead in device.leads if lead.spin_difference]
        raise ValueError(f"{what}: not available with {biased!r}, a spin_bias; use leads without one")


def as_flow(traced: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Particle (2,) and spin (2, 3) currents from traces (2, 4) with 1 and sigma; a spin is sigma/2."""
    return traced[:, 0], traced[:, 1:] / 2


def rotation_generator(axis: NDArray[np.float64], frequency: float) -> NDArray[np.complex128]:
    """K = (omega/2) sigma.a, (2, 2), a = axis/|axis|: in a rigid precession spinors turn by exp(-i K t).

    axis: (3,), not zero (ValueError); frequency: omega, 1/time.
    """
    axis = np.asarray(axis, dtype=float)
    length = np.linalg.norm(axis)
    if axis.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"axis = {axis.tolist()!r}: a finite vector of three components, not zero")
    x, y, z = 0.5 * frequency * axis / length
    return np.array([[z, x - 1j * y], [x + 1j * y, -z]])
