"""Spin density of slowly driven electrons by origin: adiabatic, Fermi sea, Fermi surface.

With B = 1 - dSigma/dE, Hd = dH/dt and Im A = (A - A^+)/2i,

    rho_ad   = -(1/pi)  int f Im G
    rho_sea  = -(1/pi)  int f Im G1,     G1 = -(i/2) [G B G Hd G - G Hd G B G]
    rho_surf =  (1/2pi) int f' Im[G Hd G Gamma G^+]

The surface term is the symmetric form (1/2pi) int f' [(G^+ Hd G^+ + G Hd G)/2 - G Hd G^+] rewritten with
G - G^+ = -i G Gamma G^+: it needs scattering states only.  (First-order gradient expansion of the Keldysh equation,
as in Bode et al., Phys. Rev. Lett. 107, 036804 (2011), for any slow H(t).)  For rigid precession with
K = (omega/2) sigma_a the same total has the split of Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202 (2020), Eq. (2):

    geo = (1/pi) int f Im[G K G],   sea = -(1/pi) int f Im[G K Sigma' G],   surf = (1/2pi) int f' G K Gamma G^+.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .chain import ChainSweeps
from .counter import Counter
from .fermi_step import Step
from .lattice import LatticeSweeps
from .quadrature import FermiPoles
from .sweeps import Response, Sweeps
from .system import System


@dataclass(frozen=True)
class SpinDensity:
    """Tr[rho_i sigma], (n, 3), by origin, and electrons per site, (n,), by origin.

    `geometric` is there for steady precession only, where `sea` is the lead term of that split.
    """

    adiabatic: NDArray[np.float64]
    sea: NDArray[np.float64]
    surface: NDArray[np.float64]
    geometric: NDArray[np.float64] | None
    density_adiabatic: NDArray[np.float64]
    density_sea: NDArray[np.float64]
    density_surface: NDArray[np.float64]
    solves: int

    @property
    def nonadiabatic(self) -> NDArray[np.float64]:
        """Everything but the adiabatic part, (n, 3)."""
        total = self.sea + self.surface
        return total if self.geometric is None else total + self.geometric

    @property
    def total(self) -> NDArray[np.float64]:
        """Sum to first order in the velocities, (n, 3)."""
        return self.adiabatic + self.nonadiabatic

    @property
    def density(self) -> NDArray[np.float64]:
        """Electrons per site to first order, (n,)."""
        return self.density_adiabatic + self.density_sea + self.density_surface


class Frozen:
    """The electrons of a system at fixed moments and gates, and their linear response to a slow motion.

    device: the wire or lattice; m: (*s, 3) moments, *s being (n,) or (nx, ny); potential: (*s,) gate voltages, energy;
    counter: is told of every Green's function evaluated, beside `solves`.
    What evaluates Green's functions are the `sweeps`; nothing here knows whether they are those of a chain.
    """

    def __init__(
        self,
        device: System,
        m: NDArray[np.float64],
        potential: NDArray[np.float64],
        counter: Counter | None = None,
    ) -> None:
        self.device, self.m, self.potential = device, m, potential
        self.counter = Counter(counter)
        kind = LatticeSweeps if device.is_lattice else ChainSweeps
        self.sweeps: Sweeps = kind(device, m, potential, self.counter)

    @property
    def solves(self) -> int:
        """Green's functions evaluated so far."""
        return self.counter.count

    @property
    def blocks(self) -> NDArray[np.complex128]:
        """Blocks of H on the sites, (*s, 2, 2), energy."""
        return self.sweeps.blocks

    @property
    def bounds(self) -> tuple[float, float]:
        """An interval that holds the spectrum, energy."""
        return self.sweeps.bounds

    @property
    def rule(self) -> FermiPoles:
        """Poles that stand for the Fermi function."""
        return self.sweeps.rule

    @property
    def surface_is_cheap(self) -> bool:
        """Whether `surface` costs much less than the rest of a response, at kT = 0."""
        return self.sweeps.surface_is_cheap

    @property
    def step(self) -> Step | None:
        """What stands for the Fermi function at kT = 0; None at kT > 0."""
        return self.sweeps.step

    # --- equilibrium ------------------------------------------------------------------------------

    @property
    def adiabatic(self) -> NDArray[np.float64]:
        """rho_ad traced with 1, sigma_x, sigma_y, sigma_z: (*s, 4)."""
        return self.sweeps.adiabatic

    @property
    def grand_potential(self) -> float:
        """Grand potential of the electrons relative to the same system with J_sd = 0 and V = 0, energy.

        Omega = (1/pi) int f Im ln det G^-1, with the poles of f that give rho_ad, so that
        J_sd s_i = -dOmega/dm_i holds to rounding whatever the tolerance.
        """
        if self.step is not None and self.step.places != (self.device.fermi_energy,):
            # The potential itself is smooth where a level crosses the Fermi energy; it depends on where that is.
            other = Frozen(self.device, self.m, self.potential, self.counter)
            other.sweeps.__dict__["step"] = None
            return other.grand_potential
        return self.sweeps.grand_potential

    # --- first order in the velocities ------------------------------------------------------------

    def response(
        self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(sea, surface) densities, each (*s, 4), linear in the velocities (*s, 3) and gate rates (*s,).

        The energies of the surface part are chosen in the first call and kept, so that later calls are linear maps
        of the velocities.  On lattices gates on a few columns cost a third of a motion of all moments: ask for them
        first.
        """
        found = self.respond(mdot, potential_rate)
        return found.sea, found.surface

    def respond(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> Response:
        """`response` with what tells the currents of this motion, from the same sweeps."""
        rate = self.device.coupling_blocks(mdot, potential_rate)
        if not rate.any():
            nothing = np.zeros((*self.device.shape, 4))
            return Response(nothing, nothing.copy(), None)
        sea = self.sweeps.sea(rate)
        surface = self.sweeps.surface.density(rate)
        self.check_first_order(rate, sea.density + surface)
        return Response(sea.density, surface, sea.driven_ends)

    def surface(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """rho_surf of dH/dt = `rate` (*s, 2, 2), traced: (*s, 4)."""
        return self.sweeps.surface.density(rate)

    def adiabatic_rate(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """d rho_ad/dt = -(1/pi) int f Im[G Hd G] of dH/dt = `rate` (*s, 2, 2), traced: (*s, 4), 1/time.

        Without what discrete levels would have to change their occupation by.
        """
        return self.sweeps.adiabatic_rate(rate)

    def check_first_order(self, rate: NDArray[np.complex128], response: NDArray[np.float64]) -> None:
        """ToleranceError where the response to dH/dt = `rate` (*s, 2, 2) hangs on the last digits of E_F at kT = 0."""
        if self.step is not None and self.step.is_delicate(self.device.tolerance):
            self.step.check_first_order(self.device, rate, response)

    def spin_density(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> SpinDensity:
        """All parts for one motion."""
        moves = mdot.any() or potential_rate.any()
        return self.parts(self.respond(mdot, potential_rate) if moves else None)

    def parts(self, response: Response | None) -> SpinDensity:
        """All parts of the spin density with this response; None: nothing moves."""
        nothing = np.zeros((*self.device.shape, 4))
        sea, surface = (nothing, nothing) if response is None else (response.sea, response.surface)
        return self._pack(sea, surface, None)

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
        """Particles (2,) and spin (2, 3) that flow into the left and the right lead, first order in the motion.

        On a chain over the first bonds of the leads, on a lattice deep inside them (`LatticeSweeps.into_leads`).
        response: that to this motion, where it is known.
        """
        rate = self.device.coupling_blocks(mdot, potential_rate)
        if not rate.any():
            return np.zeros(2), np.zeros((2, 3))
        if response is None and self.sweeps.leads_need_response:
            response = self.respond(mdot, potential_rate)
        return as_flow(self.sweeps.into_leads(rate, response))

    def flows(self, rate: NDArray[np.complex128]) -> dict[str, NDArray[np.float64]]:
        """Flow over all bonds of dH/dt = `rate` (*s, 2, 2) by origin, traced: see `Sweeps.flows`."""
        parts = self.sweeps.flows(rate)
        self.check_first_order(rate, parts["sea"] + parts["surface"])
        return parts

    # --- steady precession ------------------------------------------------------------------------

    def precession(self, axis: NDArray[np.float64], frequency: float) -> SpinDensity:
        """Geometric, lead (sea) and surface parts of steady precession about `axis` (Bajpai and Nikolic, Eq. (2)).

        axis: (3,); frequency: omega (1/time), right-handed about the axis.  ValueError on a lattice.
        """
        return self._precession(axis, frequency)[0]

    def precession_with_currents(
        self, axis: NDArray[np.float64], frequency: float
    ) -> tuple[SpinDensity, NDArray[np.float64], NDArray[np.float64]]:
        """`precession`, with particles (2,) and spin (2, 3) that flow over the first bonds of both leads."""
        spin, sea_flow, (rate, K) = self._precession(axis, frequency)
        return spin, *as_flow(sea_flow + self.sweeps.turning_into_leads(rate, K))

    def _precession(
        self, axis: NDArray[np.float64], frequency: float
    ) -> tuple[SpinDensity, NDArray[np.float64], tuple[NDArray[np.complex128], NDArray[np.complex128]]]:
        """All parts, the flow of the sea into the leads (2, 4), and dH/dt with the generator of the rotation."""
        K = rotation_generator(axis, frequency)
        axis = np.asarray(axis, float) / np.linalg.norm(axis)
        turning = frequency * np.cross(axis, self.m)
        rate = self.device.coupling_blocks(turning, np.zeros(self.device.shape))
        geometric, sea, surface, flow = self.sweeps.turned(rate, K)
        self.check_first_order(rate, sea + surface + geometric)
        return self._pack(sea, surface, geometric), flow, (rate, K)

    # --- levels and states ------------------------------------------------------------------------

    def thermal_states(self) -> tuple[NDArray[np.float64], float]:
        """-(1/pi) int f Im dG/dE, (*s, 4) as traces, at kT > 0, and to what it is known; both 1/energy.

        The number of thermal states of each site, from the poles of f: without any look at the real axis.
        """
        return self.sweeps.thermal_states()

    def transmission(self, energy: float) -> NDArray[np.float64]:
        """Sum over modes of |sqrt(Gamma_R) G sqrt(Gamma_L)|^2, (2, 2) [spin out, spin in]."""
        return self.sweeps.transmission(energy)

    def density_of_states(self, energy: float) -> NDArray[np.float64]:
        """(*s, 4): local density of states and its spin components at a real energy in the band, 1/energy."""
        return self.sweeps.states(energy) / (2 * np.pi)

    def level_width(self) -> float:
        """Width (energy) of the sharpest level at E_F, 4 over its dwell time; inf where the leads have no states there.

        Dwell times are the eigenvalues of the overlap psi^+ psi of the scattering states in the device (Wigner and
        Smith, without the part of the leads); a lone Breit-Wigner level of width Gamma has 4/Gamma.
        """
        low, high = self.device.band
        if self.device.is_closed or not low < self.device.fermi_energy < high:
            return np.inf
        return self.sweeps.level_width()

    def working_bytes(self, order: int) -> int:
        """Memory that evaluations of this order take beside the results, bytes, about."""
        return self.sweeps.working_bytes(order)


def as_flow(traced: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Particles (2,) and spin (2, 3) from (2, 4), traced with 1 and sigma."""
    return traced[:, 0], traced[:, 1:] / 2


def rotation_generator(axis: NDArray[np.float64], frequency: float) -> NDArray[np.complex128]:
    """K = (omega/2) sigma.axis, (2, 2): spinors of a rigid precession turn by exp(-i K t)."""
    axis = np.asarray(axis, dtype=float)
    length = np.linalg.norm(axis)
    if axis.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"axis = {axis.tolist()!r}: a finite vector of three components, not zero")
    x, y, z = 0.5 * frequency * axis / length
    return np.array([[z, x - 1j * y], [x + 1j * y, -z]])
