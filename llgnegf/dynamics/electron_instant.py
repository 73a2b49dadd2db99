"""An instant with frozen electrons and their response to the motion to first order: the quantities that frames hold."""

from __future__ import annotations

import numpy as np

from llgnegf.dynamics.coupling import Coupling, Motion
from llgnegf.dynamics.stepper import Instant
from llgnegf.electrons import (
    ClosedFrozen,
    ClosedResponse,
    Device,
    Frozen,
    LeadResponse,
    LinearResponse,
    Response,
    SpinDensity,
)
from llgnegf.electrons.frozen import as_flow
from llgnegf.once import cached_property


class ElectronInstant(Instant):
    """Electrons frozen at moments and gates of this instant.

    potential: gate voltages, (nx[, ny]), energy; static_potential: that of the device, or None; driving_frequencies:
    of gates and voltages that are on, 1/time; voltages: of the leads, (2,), energy; vacancy: 1 where there is
    no orbital; sd_exchange: energy, a number or of each site.
    """

    def __init__(
        self,
        coupling: Coupling,
        n: int,
        t: float,
        y: np.ndarray,
        motion: Motion,
        *,
        feedback: bool,
        first_order: bool,
        within: float | None = None,
    ) -> None:
        """motion: with its electrons; feedback: whether they respond to dm/dt beside the gates, first_order: at all.

        within: where gates or drives jump at t, a time on the side that is meant.
        """
        super().__init__(coupling.magnet, n, t, y, motion.velocity, coupling.external(t, within))
        assert motion.frozen is not None
        self.electrons: Frozen | ClosedFrozen = motion.frozen
        self.potential, self._rate = coupling.gate_state(self.t, within)
        self.static_potential, self.vacancy = coupling.static_potential, coupling.vacancy
        self.driving_frequencies = coupling.frequencies
        self.voltages = coupling.voltages_at(self.t, within)
        self.sd_exchange = coupling.sd_exchange
        self._driving = np.ascontiguousarray(self.velocity) if feedback else np.zeros_like(self.m)
        self._coupling, self._motion, self._first_order, self._within = coupling, motion, first_order, within

    @property
    def frozen(self) -> Frozen:
        """The electrons of a device that may have leads."""
        assert isinstance(self.electrons, Frozen)
        return self.electrons

    @property
    def closed(self) -> ClosedFrozen:
        """Those of one without leads, diagonalised."""
        assert isinstance(self.electrons, ClosedFrozen)
        return self.electrons

    @cached_property
    def response(self) -> Response | None:
        """Response of the electrons to moments and gates that move; None where nothing moves, or at order 0."""
        known = self._motion.response
        if known is None and self._first_order and (self._driving.any() or self._rate.any()):
            return self.electrons.respond(self._driving, self._rate)
        return known

    @cached_property
    def leads(self) -> LeadResponse | None:
        """Response of the electrons to voltages that change; None where none does, or at order 0."""
        if self._motion.leads is not None or not self._first_order:
            return self._motion.leads
        return self._coupling.lead_response(self.t, self.m, self._within)

    @cached_property
    def spin(self) -> SpinDensity:
        """Spin density and electrons per site, by origin."""
        return self.electrons.parts(self.response, self.leads)

    @cached_property
    def currents(self) -> tuple[np.ndarray, np.ndarray]:
        """Particles (2,) and spin (2, 3) that flow into the left and the right lead, 1/time."""
        return self._driven_currents()

    def _driven_currents(self) -> tuple[np.ndarray, np.ndarray]:
        """Currents due to the response, and to a bias; see `currents`."""
        if not self._first_order:
            return self.frozen.lead_currents(np.zeros_like(self.m), np.zeros_like(self._rate))
        charge, spin = self.frozen.lead_currents(self._driving, self._rate, self.response)
        if self.leads is None:
            return charge, spin
        by_leads = as_flow(self.leads.into_leads)
        return charge + by_leads[0], spin + by_leads[1]

    @property
    def power_voltages(self) -> float:
        """Work per time that voltages do on the particles that flow into the leads: -sum V I, energy/time."""
        return 0.0 - float(self.voltages @ self.currents[0])

    @property
    def bath_potentials(self) -> np.ndarray:
        """Of each probe, (b,), less the Fermi energy: energy."""
        return self.frozen.bath_potentials - self.frozen.device.fermi_energy

    @property
    def response_frequencies(self) -> tuple[float, ...]:
        """At which alpha(omega) is asked for, energy/hbar."""
        return self._coupling.response_frequencies

    @property
    def reference(self) -> np.ndarray | None:
        """Beside which the torque at rest is asked for, (3,)."""
        return self._coupling.reference

    @property
    def spin_at_rest(self) -> np.ndarray:
        """Tr[rho sigma] of moments and gates that stand still, shaped as m."""
        return self.frozen.at_rest[..., 1:]

    @cached_property
    def linear_response(self) -> LinearResponse | ClosedResponse:
        """Of the electrons at rest here."""
        closed = isinstance(self.electrons, ClosedFrozen)
        return ClosedResponse(self.closed) if closed else Device.linear_response_of(self.frozen)

    @cached_property
    def bath_currents(self) -> tuple[np.ndarray, np.ndarray]:
        """Particles (b,) and spin (b, 3) that flow into the bath on each of its b sites, 1/time."""
        if not self._first_order:
            return self.frozen.bath_currents(np.zeros_like(self.m), np.zeros_like(self._rate))
        charge, spin = self.frozen.bath_currents(self._driving, self._rate)
        if self.leads is None:
            return charge, spin
        by_leads = as_flow(self.leads.into_bath)
        return charge + by_leads[0], spin + by_leads[1]

    @property
    def torque_spin_orbit(self) -> np.ndarray:
        """Of the bonds on the electrons' spins, (nx[, ny], 3), energy; without the adiabatic part."""
        driving = self._driving, self._rate
        if not self._first_order:
            driving = np.zeros_like(self.m), np.zeros_like(self._rate)
        by_origin = self.frozen.torque_spin_orbit(*driving)
        found = [torque for origin, torque in by_origin.items() if origin != "adiabatic"]
        return np.sum(found, axis=0)

    @cached_property
    def energy_currents(self) -> np.ndarray:
        """Energy that a bias carries into the left and the right lead, (2,), energy/time.

        At order 1 with what moments, gates and voltages pump, but for bonds and leads that know the spin.
        """
        found = self.frozen.energy_currents
        if not self._first_order or not self.frozen.knows_energy_pumped:
            return found
        found = found + self.frozen.energy_pumped(self._driving, self._rate, self.response)
        if self.leads is None:
            return found
        # Two sites of each lead beside the device: more than the moments need at every step.
        moving = self._coupling.lead_response(self.t, self.m, self._within, energy=True)
        assert moving is not None
        assert moving.energy_into_leads is not None
        return found + moving.energy_into_leads

    @cached_property
    def level_width(self) -> float:
        """Width of the sharpest level at the Fermi energy, energy; inf where the leads have no states there."""
        return self.frozen.level_width()

    @property
    def grand_potential(self) -> float:
        """Of the electrons, relative to the bare wire, energy."""
        return self.electrons.grand_potential

    @property
    def solves(self) -> int:
        """Green's functions, or matrices diagonalised, of the run so far; of this instant as far as they are."""
        return self._coupling.solves
