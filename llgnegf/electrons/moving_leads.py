"""First order in dV/dt of the leads: their levels and the occupation of these move together with the voltages V_l(t).

The self-energies of a lead get the phase exp(-i int V_l dt), whose Wigner transform has no term of first order in
dV_l/dt of its own: Sigma_l(E, T) = Sigma_l^0(E - V_l(T)), and the same with f_l Gamma_l.  What is left of the gradient
expansion of G^< = G Sigma^< G^+ is, after the derivatives of f_ref were integrated by parts,

    rho = -(1/pi) int f_ref Im G1                                                                       (sea)
          + (1/2pi) sum_l int f_l' Im[G_l Gamma_l G^+]                                                  (surface)
          + (1/2pi) sum_l int (f_l - f_ref) 2 Re[G1 Gamma_l G^+ - (i/2) G_l (Gamma_l G^+)']             (bias_motion)

    G1 = (i/2) (G' D G - G D G'),    G_l = G D G + dV_l/dt G',    D = -sum_m dV_m/dt dSigma_m/dE,    ' = d/dE,

with Gamma_l' the derivative at fixed V_l.  Levels bound outside the bands are filled by f_ref, the Fermi function of
the device; their part of the surface term is in `outside_levels.py`.  Else the sum does not depend on f_ref.  A rate
common to all leads and all sites, D = dV/dt (1 - dSigma/dE), gives exactly zero: that is a change of gauge.  With
H as in `frozen.py`; the equations there follow for D = Hd at rest of the leads.

Flows into the leads need the bond to the first site of a lead, which moves with it: the device is extended by one site
(column) of each lead, where D has dV_m/dt besides.  The energy of a lead needs another site,

    d<H_lead>/dt = 2 t_0 Im Tr[h rho_10 - t rho_20],        0: end of the device, 1, 2: first sites of the lead,

with t_0 the hopping to the lead, and h, the Hamiltonian of its columns, and t inside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .arguments import finite_array
from .bias import Bias
from .frozen import Frozen, refuse_spin_bias
from .lead_columns import Columns, adjoint, refuse_shared_edges
from .leads import Occupation
from .long_moving_leads import integrated
from .long_wires import is_long
from .outside_levels import bound_levels, thermal_levels
from .quadrature import ToleranceError
from .shifted_surface import thermal_rule
from .sweeps import Blocks, Floats, LeadResponse, Sweeps
from .system import BIAS_TAILS, System


class MovingLeads:
    """The response of one texture.  Both leads are evaluated at once, when first needed, and again for larger rates.

    extended: the electrons of the device with `depth` sites (columns) of each connected lead, 1, or 2 where energies
    are asked for; sites: slice along x of the device within it; equilibrium: the same electrons filled by another Fermi
    function; original: the device itself, which knows the frame of spins that results are turned out of.
    """

    def __init__(
        self,
        extended: Frozen,
        sites: slice,
        equilibrium: Callable[[Occupation], Frozen],
        original: System,
        depth: int = 1,
    ) -> None:
        refuse_spin_bias(extended.device, "moving_leads")
        self._original = original
        self._columns = Columns(extended.sweeps, depth)
        self._extended, self._sites, self._equilibrium = extended, sites, equilibrium
        self.device = extended.device
        # The largest rate that was asked for, over hopping^2 and at most 1, and the parts for unit rates: see `_units`.
        self._known: tuple[float, tuple[Floats, Floats, Floats]] = 0.0, (np.empty(0),) * 3

    def response(self, rates: ArrayLike) -> LeadResponse:
        """For dV/dt = `rates` (2,) of the left and the right lead, energy/time; a side without a lead adds nothing."""
        rates = np.where(np.array(self.device.couplings) > 0, finite_array("rates", rates, (2,)), 0.0)
        share = min(1.0, float(abs(rates).max()) / self.device.hopping**2)
        if share > self._known[0]:
            self._known = share, self._units(share)
        size, shape = 4 * self.device.n_sites, (*self.device.shape, 4)
        nothing = np.zeros(self._columns.size)
        parts = [np.tensordot(rates, part, 1) for part in self._known[1]] if share else [nothing] * 3
        sea, surface, bias = (self._original.out_of_frame(part[:size].reshape(shape)[self._sites]) for part in parts)
        flows = np.sum(parts, axis=0)[size:]
        energy = flows[8:] if len(flows) > 8 else None
        into_leads = self._original.flow_out_of_frame(flows[:8].reshape(2, 4))
        return LeadResponse(sea, surface, bias, into_leads, np.zeros((0, 4)), energy)

    def _units(self, share: float) -> tuple[Floats, Floats, Floats]:
        """Sea, surface and bias for a unit rate of either lead, (2, all) each: densities and flows, one after another.

        Rates up to `share` hopping^2 are held to that share of the tolerance, as a slow motion is.
        """
        found = self._columns.sea(self._extended.rule), self._surface(share), self._bias(share)
        step = self._extended.step
        if step is not None and step.is_delicate(self.device.tolerance):
            unit = self.device.coupling_blocks(np.zeros((*self.device.shape, 3)), np.ones(self.device.shape))
            self._extended.check_first_order(unit, np.array(found))
        return found

    def _surface(self, share: float) -> Floats:
        total = np.zeros((2, self._columns.size))
        for k in self._columns.connected:
            lead = self.device.ends[k]
            if lead.occupation.temperature == 0:
                low, high = self.device.band
                if low < lead.occupation.fermi_energy < high:
                    energy = np.array([lead.occupation.fermi_energy])
                    total -= self._columns.surface(energy, k)[0, 1:] / (2 * np.pi)
            else:
                total -= self._thermal(k, lead.occupation, share) / (2 * np.pi)
        return total + self._of_levels() if self.device.temperature > 0 else total

    def _of_levels(self) -> Floats:
        """What levels outside the bands add to the surface term for a unit rate of either lead, (2, all)."""
        total, columns = np.zeros((2, self._columns.size)), self._columns
        levels = thermal_levels(self._extended.sweeps)
        if levels.any and self.device.has_other_leads:
            raise ToleranceError(
                f"temperature = {self.device.temperature:g} and a voltage that changes, between leads with a hopping "
                "or a polarization of their own: levels outside their bands lie within some kT of fermi_energy = "
                f"{self.device.fermi_energy:g}; use order = 0, temperature = 0.0 or another fermi_energy"
            )
        for energy, v, resolvent, slope in zip(
            levels.energies.tolist(), levels.states, levels.resolvents, levels.slopes, strict=True
        ):
            ends, state = self.device.end_self_energies(energy), v.reshape(1, columns.nx, columns.p, 1)
            for m in columns.connected:
                part, _, dSigma = ends[m]
                image = np.zeros(state.shape, complex)
                # D on the sites of the lead: dV/dt, less dV/dt dSigma/dE on the last of them.
                image[:, columns.added[m]] = state[:, columns.added[m]]
                image = image.ravel()
                image[part] -= dSigma.real @ v.ravel()[part]
                driven = (resolvent @ image).reshape(state.shape)
                total[m] += columns.observed(-0.5j * slope * driven, adjoint(state))[0]
        return total

    def _thermal(self, k: int, occupation: Occupation, share: float) -> Floats:
        """int (-df/dE) of `Columns.surface` over the thermal window of lead k."""
        columns, device = self._columns, self.device
        unit = share * device.hopping**2
        scales = np.repeat([device.hopping, unit, unit], columns.size) / (2 * np.pi)
        sweeps = self._equilibrium(occupation).sweeps

        def slope(energy: float) -> float:
            return -float(occupation.slope(np.array([energy]))[0])

        beyond = bound_levels(sweeps, sweeps.device.thermal_window)
        bound = sum((slope(energy) * traced for energy, traced in beyond), np.zeros((*device.shape, 4)))
        if is_long(device, moving=True):
            known, known_to = sweeps.thermal_states()

            def missed(states: Floats) -> float:
                lost = float(abs(known - bound - states[0] / (2 * np.pi)).max())
                return max(lost - known_to, 0.0) * device.hopping

            with contextlib.suppress(ToleranceError):
                window = sweeps.device.thermal_window
                return integrated(columns, sweeps, window, (k,), of_slope=True, warm=True, lost=missed).moved
        rule, lost = thermal_rule(
            sweeps,
            lambda energies: columns.surface(energies, k).reshape(len(energies), 1, 3 * columns.size),
            lambda values: values * scales,
            lambda values: values[:, 0, : 4 * device.n_sites],
            lambda energy, width: slope(energy) * unit / width > 1e-3 * device.tolerance,
            bound,
        )
        if lost > 0:
            raise ToleranceError(
                f"a voltage that changes: the states within some kT of the chemical potential "
                f"{occupation.fermi_energy:g} of the {device.ends[k].side} lead are found to {lost:.1e} only, "
                f"{device.tolerance:.1e} is needed: a level has no contact to the leads; use order = 0, a larger "
                "tolerance, or temperature = 0.0"
            )
        return rule.integral(rule.values).reshape(3, columns.size)[1:]

    def _bias(self, share: float) -> Floats:
        if not self.device.is_biased:
            return np.zeros((2, self._columns.size))
        refuse_shared_edges(self.device, share)
        sweeps = self._extended.sweeps
        bias = _MovingBias(sweeps, lambda other: self._equilibrium(other).adiabatic, self._columns, share)
        if is_long(self.device, moving=True):
            with contextlib.suppress(ToleranceError):
                return bias.by_blocks()
        return bias.units


class _MovingBias(Bias):
    """The integrals of `Bias`, with the response to the two voltages in place of that to a motion."""

    def __init__(
        self, sweeps: Sweeps, equilibrium: Callable[[Occupation], Floats], columns: Columns, share: float
    ) -> None:
        super().__init__(sweeps, equilibrium)
        self._columns, self._share = columns, share
        self._long = None  # blocks do not know this response

    def by_blocks(self) -> Floats:
        """The same as `units` in a long wire; ToleranceError where blocks miss states."""
        device = self.device
        warm = device.temperature > 0 or any(lead.occupation.temperature for lead in device.ends)
        window = device.bias_window(BIAS_TAILS) if warm else device.bias_window()

        def missed(states: Floats) -> float:
            return self._lost(lambda k: states[k] / (2 * np.pi))

        given = self._columns, self.sweeps, window, (0, 1)
        return integrated(*given, of_slope=False, warm=warm, lost=missed).moved / (2 * np.pi)

    @property
    def units(self) -> Floats:
        """For a unit rate of either lead, (2, all): densities and flows, one after another."""
        rule = self._adapted(np.ones((1, 2, 2), complex))
        found = rule.integral(rule.values) / (2 * np.pi)
        rows, flows = self._parts(found[None, None])
        energy = found[found.size - 3 * (self._columns.size - 4 * self.device.n_sites - 8) :]
        parts = rows[0, 0, 1:], flows[0, 0, 1:], energy.reshape(3, -1)[1:]
        return np.concatenate([part.reshape(2, part[0].size) for part in parts], axis=1)

    def _scale(self, rate: Blocks | None) -> Floats:
        unit = self._share * self.device.hopping**2
        return np.array([1.0, unit, unit]) / (2 * np.pi)

    def _scale_stored(self, scale: Floats) -> Floats:
        return np.repeat(scale / self.device.hopping**2, self._columns.size - 4 * self.device.n_sites - 8)

    def _values(self, energies: Floats, rate: Blocks | None) -> Floats:
        found = self._columns.biased(energies)
        n, sites = len(energies), 4 * self.device.n_sites
        parts = np.split(found, [sites, sites + 8], axis=-1)
        return np.concatenate([part.reshape(n, 2, 3 * part.shape[-1]) for part in parts], axis=2)
