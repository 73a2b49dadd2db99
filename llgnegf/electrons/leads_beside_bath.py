"""First order in dV/dt of the leads of a system with a bath on sites, whose own levels stay.

As in `moving_leads.py`, with the same D on the sites of the leads and with the probes' shares, which change as the
leads move.  Filled by f_ref at first, then by F_l = f_l - f_ref, of which dF_l/dt = -dV_l/dt df_l/dE: what these
multiply is in `bathed_motion.py`, and the derivatives of F_l are those of f_l less f_ref's.  What then multiplies
df_ref/dE is that of a bath which takes current, and nothing of probes: of them all is filled from the leads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import finite_array
from .bathed import BathedSweeps
from .bathed_bias import steps_of
from .bathed_motion import LeadModes, MotionAtBias
from .bathed_surface import check_states, narrow_levels, refuse_isolated_probes
from .frozen import Frozen
from .lead_columns import Columns, refuse_shared_edges
from .leads import Occupation
from .sweeps import Blocks, Floats, LeadResponse
from .system import BIAS_TAILS, System
from .threads import each
from .window import Factor, Window


class LeadsBesideBath:
    """The response of one texture, as `moving_leads.MovingLeads`; both leads are evaluated when first needed.

    extended: the electrons of the device with `depth` sites (columns) of each connected lead, 2 where energies are
    asked for; sites: slice along x of the device within it.
    """

    def __init__(self, extended: Frozen, sites: slice, depth: int = 1) -> None:
        assert isinstance(extended.sweeps, BathedSweeps)
        self._sweeps: BathedSweeps = extended.sweeps
        self._columns, self._sites = Columns(extended.sweeps, depth), sites
        self.device = extended.device
        self._known: tuple[float, tuple[Floats, Floats, Floats]] = 0.0, (np.empty(0),) * 3

    def response(self, rates: ArrayLike) -> LeadResponse:
        """For dV/dt = `rates` (2,) of the left and the right lead, energy/time; a side without a lead adds nothing."""
        rates = np.where(np.array(self.device.couplings) > 0, finite_array("rates", rates, (2,)), 0.0)
        share = min(1.0, float(abs(rates).max()) / self.device.hopping**2)
        if share > self._known[0]:
            self._known = share, self._units(share)
        size, n, b = self._columns.size, 4 * self.device.n_sites, len(self._sweeps.where)
        parts = [np.tensordot(rates, part, 1) for part in self._known[1]] if share else [np.zeros(size + 4 * b)] * 3
        sea, surface, bias = (part[:n].reshape(*self.device.shape, 4)[self._sites] for part in parts)
        flows = np.sum(parts, axis=0)[n:]
        energy = flows[8 : size - n] if size > n + 8 else None
        return LeadResponse(sea, surface, bias, flows[:8].reshape(2, 4), flows[size - n :].reshape(b, 4), energy)

    def _units(self, share: float) -> tuple[Floats, Floats, Floats]:
        """Sea, surface (with derivatives of Fermi functions) and bias for a unit rate of either lead, (2, all) each.

        Rates up to `share` hopping^2 are held to the tolerance.
        """
        device, sweeps, columns = self.device, self._sweeps, self._columns
        refuse_shared_edges(device, share)
        sea = np.zeros((2, columns.size + 4 * len(sweeps.where)))
        sea[:, : columns.size] = columns.sea(sweeps.sharp_rule)
        if sweeps.probes:
            for lead in device.ends:
                if lead.coupling:
                    refuse_isolated_probes(device, lead.occupation)
        window = _MovingWindow(device, not sweeps.probes)
        unit, size = share * device.hopping**2, 2 * sea.shape[1]
        scale = np.concatenate([np.full(size, unit), np.full(4 * device.n_sites, device.hopping)]) / (2 * np.pi)
        levels = [] if sweeps.broadens_all else narrow_levels(sweeps, window)
        rule = window.panels.adapted(
            window.divided(levels),
            self._at,
            lambda found: found * scale,
            device.tolerance,
            1e-13 * device.hopping,
        )
        found = np.einsum("wn,nwc->wc", rule.weights, rule.values)
        for row, occupation in window.slopes:
            if occupation.temperature > 0:
                check_states(sweeps, occupation, found[row, size:])
        energies, weights = window.at_steps
        if len(energies):
            found = found + np.einsum("wn,nwc->wc", weights, self._at(energies))
        parts = found[:, :size].reshape(5, 2, size // 2) / (2 * np.pi)
        # The rule is for -df/dE.
        return sea, -parts[2:].sum(axis=0), parts[:2].sum(axis=0)

    def _at(self, energies: Floats) -> Floats:
        """What F_left, F_right, the slopes of f_left, f_right and f_ref multiply: (n, 5, all).

        All: for a unit rate of the left and of the right lead, then all states (of the slopes alone).
        """
        found = each(self._at_energy, energies.tolist())
        width = 2 * (self._columns.size + 4 * len(self._sweeps.where)) + 4 * self.device.n_sites
        return np.array(found).reshape(len(energies), 5, width)

    def _at_energy(self, energy: float) -> Floats:
        sweeps, columns = self._sweeps, self._columns
        one, modes = sweeps.keep(energy), sweeps.modes_at(energy)
        out = []
        for m in range(2):
            if m not in columns.connected:
                out.append(np.zeros((5, columns.size + 4 * len(sweeps.where))))
                continue
            rates = (1.0, 0.0) if m == 0 else (0.0, 1.0)
            motion = MotionAtBias(one, modes, self._driven(m, modes[m], one.end_sites[m]), rates)
            flows = np.zeros((7, 2, 4))
            energy_flows = np.zeros((7, 2))
            for side in columns.connected:
                flows[:, side] = motion.bonds(columns.bonds(side)).sum(axis=1)
                if columns.depth > 1:
                    energy_flows[:, side] = motion.bonds(columns.energy_bonds(side))[..., 0].sum(axis=1)
            parts = [motion.density.reshape(7, -1), flows.reshape(7, 8)]
            parts += [energy_flows] * (columns.depth > 1) + [motion.into_bath.reshape(7, -1)]
            rows = np.concatenate(parts, axis=1)
            # F, F' = f' - f_ref' and what changes with F in time.
            out.append(np.stack([*rows[:2], *(rows[2:4] + rows[4:6]), rows[6]]))
        states = np.zeros((5, 4 * self.device.n_sites))
        states[2:] = one.states.ravel()
        return np.concatenate([*out, states], axis=1)

    def _driven(self, m: int, modes: LeadModes, end: NDArray[np.intp]) -> Callable[[Blocks], Blocks]:
        """D for dV_m/dt = 1, of columns (N, 2, c); end: sites of the end slice."""
        columns, ny = self._columns, self._columns.ny
        added = columns.added[m]
        where = slice(added.start * ny, added.stop * ny)

        def apply(given: Blocks) -> Blocks:
            out = np.zeros_like(given)
            out[where] = given[where]
            out[end] -= modes.times_slope(given[end])
            return out

        return apply


class _MovingWindow(Window):
    """Energies for F_l = f_l - f_ref, -df_l/dE of both leads and -df_ref/dE, where there are leads or a bath.

    slopes: of which Fermi functions the slopes are, with their rows; at_steps: as `bathed_bias.MotionWindow`.
    """

    def __init__(self, device: System, takes_current: bool) -> None:
        reference = device.occupation
        every = [lead.occupation if lead.coupling else reference for lead in device.ends]
        band = device.with_tails([(f.fermi_energy, BIAS_TAILS * f.temperature) for f in (*every, reference)])
        # What has neither lead nor bath is not asked for.
        asked = [bool(lead.coupling) for lead in device.ends]
        self.slopes = [(2 + k, f) for k, f in enumerate((*every, reference)) if (*asked, takes_current)[k]]
        factors = [Factor(_difference(f, reference), steps_of(f, reference) if f != reference else ()) for f in every]
        present = dict(self.slopes)
        for row in (2, 3, 4):
            f = present.get(row)
            if f is not None and f.temperature > 0:
                factors.append(Factor(_minus_slope(f), steps_of(f)))
            else:
                factors.append(Factor(np.zeros_like, ()))
        mus = [(f.fermi_energy, BIAS_TAILS * f.temperature) for f in (*every, reference)]
        low, high = min(mu - reach for mu, reach in mus), max(mu + reach for mu, reach in mus)
        super().__init__(factors, low, high, band, device.openings, device.hopping, 2 * device.n_sites)
        energies, weights = [], []
        for row, f in self.slopes:
            if f.temperature == 0 and band[0] < f.fermi_energy < band[1]:
                energies.append(f.fermi_energy)
                weights.append([float(k == row) for k in range(5)])
        self.at_steps = np.array(energies), np.array(weights).reshape(-1, 5).T


def _difference(one: Occupation, reference: Occupation) -> Callable[[Floats], Floats]:
    return lambda energies: one(energies) - reference(energies)


def _minus_slope(one: Occupation) -> Callable[[Floats], Floats]:
    return lambda energies: -one.slope(energies)
