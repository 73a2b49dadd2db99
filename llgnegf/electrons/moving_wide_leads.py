"""First order in dV/dt of wide-band leads, whose occupation moves with their voltages V_l(t) and whose levels stay.

Sigma_l is the same at all energies and times, and Sigma_l^< = i f(E - V_l(t)) Gamma_l changes with the occupation
alone.  What is left of the gradient expansion of `moving_leads.py` is, with D = 0 and Y = G G = -dG/dE,

    rho = (1/2pi) sum_l dV_l/dt int (-df_l/dE) Im[Y Gamma_l G^+]                                        (surface)

and into the lead q flow Tr[Gamma_q rho] and, of what it has itself, -(1/2pi) dV_q/dt int (-df_q/dE) Re Tr[Gamma_q Y].
A rate common to all leads and all sites gives zero: that is a change of gauge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arguments import finite_array
from .bathed import BathedSweeps
from .bathed_energy import pauli, traces
from .bathed_surface import check_states, narrow_levels
from .frozen import Frozen
from .sweeps import Floats, LeadResponse
from .threads import each


class MovingWideLeads:
    """The response of one texture, as `moving_leads.MovingLeads`, where all leads have wide bands and no bath is."""

    def __init__(self, frozen: Frozen) -> None:
        assert isinstance(frozen.sweeps, BathedSweeps)
        # The sweeps are in the frame of spins of `device`.
        self._sweeps, self.device = frozen.sweeps, frozen.device
        self._known: tuple[float, Floats] = 0.0, np.empty(0)

    def response(self, rates: ArrayLike) -> LeadResponse:
        """For dV/dt = `rates` (2,) of the left and the right lead, energy/time; a side without a lead adds nothing."""
        device, n = self.device, 4 * self.device.n_sites
        rates = np.where(np.array(device.couplings) > 0, finite_array("rates", rates, (2,)), 0.0)
        share = min(1.0, float(abs(rates).max()) / device.hopping**2)
        if share > self._known[0]:
            self._known = share, np.array([self._unit(side, share) for side in range(2)])
        found = rates @ self._known[1] if share else np.zeros(n + 8)
        surface = device.out_of_frame(found[:n].reshape(*device.shape, 4))
        nothing = np.zeros_like(surface)
        into_leads = device.flow_out_of_frame(found[n:].reshape(2, 4))
        return LeadResponse(nothing, surface, nothing.copy(), into_leads, np.zeros((0, 4)))

    def _unit(self, side: int, share: float) -> Floats:
        """Density and flows for a unit rate of this lead, (4 N + 8,); rates up to `share` hopping^2 are to be right."""
        sweeps, device = self._sweeps, self._sweeps.device
        lead, n = device.ends[side], 4 * device.n_sites
        if not lead.coupling:
            return np.zeros(n + 8)
        if lead.occupation.temperature == 0:
            return self._at(side, np.array([lead.occupation.fermi_energy]))[0, 0, : n + 8] / (2 * np.pi)
        window = device.filled_by(lead.occupation).thermal_window
        scale = np.concatenate([np.full(n + 8, share * device.hopping**2), np.full(n, device.hopping)]) / (2 * np.pi)
        levels = [] if sweeps.broadens_all else narrow_levels(sweeps, window)
        rule = window.panels.adapted(
            window.divided(levels),
            lambda energies: self._at(side, energies),
            lambda values: values * scale,
            device.tolerance,
            1e-13 * device.hopping,
        )
        found = rule.weights[0] @ rule.values[:, 0]
        check_states(sweeps, lead.occupation, found[n + 8 :])
        return np.asarray(found[: n + 8]) / (2 * np.pi)

    def _at(self, side: int, energies: Floats) -> Floats:
        """What -df/dE of this lead multiplies at energies (n,): density, flows into leads, all states; (n, 1, all)."""
        return np.array(each(lambda energy: self._at_energy(side, energy), energies.tolist()))[:, None]

    def _at_energy(self, side: int, energy: float) -> Floats:
        one = self._sweeps.keep(energy)
        own = one.psi[:, :, one.spans[side]]
        y = one.lu.solve(own.reshape(-1, own.shape[2])).reshape(own.shape)
        flows = np.zeros((2, 4))
        for q, sites in enumerate(one.end_sites):
            root = one.sources[q]  # sqrt(Gamma), (rows, rows)
            if root.size:
                at, driven = (np.einsum("yk,ysc->ksc", root, columns[sites]) for columns in (own, y))
                flows[q] = traces(driven, at, np.imag).sum(axis=(0, -1))
                if q == side:
                    rows = len(driven)
                    flows[q] -= pauli(np.einsum("kskr->sr", driven.reshape(rows, 2, rows, 2)))
        return np.concatenate([traces(y, own, np.imag).sum(axis=-1).ravel(), flows.ravel(), one.states.ravel()])
