"""A slow motion of a system with a bath between leads out of equilibrium, at one real energy.

What leads have more or less of, F_l = f_l - f_ref, fills with S = i sum_l F_l (Gamma_l + sum_p w_pl Gamma_p), and S
changes in time with the weights w_pl(E, t) of the probes.  To first order (Gd = G Hd G, primes are d/dE)

    G<_1 = G1 S G^+ + G S G1^+ + (i/2) [-Gd S' G^+ + (G' S + G S') Gd^+ - Gd S G'^+]
         + (i/2) [G' (dS/dt) G^+ - G (dS/dt) G'^+] + G dS_1 G^+,        G1 = -(i/2) (G B Gd - Gd B G),

the gradient expansion of G S G^+ in time and energy.  dS_1 is what probes are filled further, so that at every energy
none takes a net current.  That into a bath, or a mode of a lead, is with its own F

    gamma (G^n_1 - F A_1) - Re[Sigma'] dG^n/dt - (F gamma)' Re[Gd] + (dF/dt) gamma Re[G'],

the last three from the gradients of Sigma and Sigma^<.  F_l multiplies one part of all this, dF_l/dE another.
Energy: as in `bias.py`, with (E - V) Sigma and (E - V) gamma of the lead in place of Sigma and gamma.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from llgnegf.once import cached_property

from .bath import fillings
from .bathed_energy import BathedEnergy, over_imaginary, pauli, traces
from .bond_flows import Bonds
from .sweeps import Blocks, Floats


class LeadModes(NamedTuple):
    """Of a lead at one energy: vectors (ny, ny) of its modes, gamma and d gamma/dE, Sigma and dSigma/dE of each, (ny,).

    above: the energy from its levels, E - V.
    """

    vectors: Floats
    gamma: Floats
    gamma_slope: Floats
    sigma: Blocks
    slope: Blocks
    above: float

    def times_slope(self, columns: Blocks) -> Blocks:
        """dSigma/dE times columns on its end slice, (ny, 2, c)."""
        return np.asarray(np.einsum("yk,k,zk,zsc->ysc", self.vectors, self.slope, self.vectors, columns))


class MotionAtBias:
    """What F_left, F_right, dF_left/dE and dF_right/dE multiply, over 2 pi; first axis of all, R = 4 rows, traced.

    density: (R, N, 4); into_bath: (R, b, 4).  rate: dH/dt as blocks (N, 2, 2), or as a function of columns (N, 2, c).
    lead_rates: dV/dt of the left and the right lead, whose levels move and of which `rate` has its part D on the end
    slices (`moving_leads.py`), where it is a function; then R = 7, with rows for d f_left/dE and d f_right/dE, by which
    F changes in time, and for d f_ref/dE of a bath that takes current.
    """

    def __init__(
        self,
        one: BathedEnergy,
        leads: tuple[LeadModes, LeadModes],
        rate: Blocks | Callable[[Blocks], Blocks],
        lead_rates: tuple[float, float] | None = None,
    ) -> None:
        self._one, self._leads = one, leads
        psi, where, width = one.psi, one.where, one.width
        self._psi = psi

        def moving(columns: Blocks) -> Blocks:
            return rate(columns) if callable(rate) else rate @ columns

        self._x = self._solve(moving(psi))  # G Hd psi
        self._y = self._solve(self.times_b(psi))  # G B psi: dpsi/dE is its negative, and that of sqrt(Gamma)
        # 2i G1 sqrt(Gamma)
        self._z = self._solve(self.times_b(self._x)) - self._solve(moving(self._y))
        self._parts = self._rows(lead_rates)
        self._further = np.zeros(self._parts[0].shape)
        sites = self._terms(lambda columns: columns)
        # Into the bath, as long as probes are not filled further.
        into = width * sites[:, where]
        for rows, columns in zip(self._parts, (self._z, self._x, self._y), strict=True):
            own = pauli(one.own(columns)) / np.sqrt(width)
            into -= width * rows[:, one.spans[2]][:, ::2, None] * own
        if one.layout.probes:
            filled = fillings(*one.transmissions, into[..., 0].T)[1]
            self._further[:, one.spans[2]] = np.repeat(filled.T, 2, axis=1)
            extra = np.moveaxis(traces(psi, psi) @ self._further.T, -1, 0)
            into = into + width * (extra[:, where] - filled.T[..., None] * one.states[where])
        self.into_bath = into
        self.density = self._with_further(sites, lambda columns: columns)

    def _rows(self, lead_rates: tuple[float, float] | None) -> tuple[Floats, Floats, Floats]:
        """Of each row, how far columns are filled in the terms with G1, with Gd, and with dG/dE: (R, columns) each."""
        one, n = self._one, self._psi.shape[2]
        bath = one.spans[2]
        first, second, third = np.zeros((2, n)), np.zeros((2, n)), np.zeros((2, n))  # u, u' and du/dt
        for q, span in enumerate(one.spans[:2]):
            open_modes = self._leads[q].gamma > 0
            change = np.repeat(self._leads[q].gamma_slope[open_modes] / self._leads[q].gamma[open_modes], 2)
            first[q, span], second[q, span] = 1.0, change
            if lead_rates is not None:
                third[q, span] = -lead_rates[q] * change
        w, w_slope, w_rate = self._weights(second.sum(axis=0), third.sum(axis=0))
        for rows, of in ((first, w), (second, w_slope), (third, w_rate)):
            rows[:, bath] = np.repeat(of.T, 2, axis=1)
        nothing = np.zeros((2, n))
        found = [first, nothing], [second, first], [third, nothing]
        if lead_rates is not None:
            taken = np.zeros((1, n))
            taken[0, bath] = 0.0 if one.layout.probes else 1.0
            changed = -np.array(lead_rates)[:, None] * first
            for part, more in zip(found, ((nothing, 0 * taken), (nothing, taken), (changed, 0 * taken)), strict=True):
                part += more
        return tuple(np.concatenate(part) for part in found)  # type: ignore[return-value]

    def _solve(self, columns: Blocks) -> Blocks:
        return self._one.lu.solve(columns.reshape(-1, columns.shape[-1])).reshape(self._one.psi.shape)

    def times_b(self, columns: Blocks) -> Blocks:
        """(1 - dSigma/dE) times columns (N, 2, c)."""
        out = columns.copy()
        for q, lead in enumerate(self._leads):
            out[self._one.end_sites[q]] -= lead.times_slope(columns[self._one.end_sites[q]])
        return out

    def _weights(self, gamma_slope: Floats, gamma_rate: Floats) -> tuple[Floats, Floats, Floats]:
        """w_pl (b, 2), their derivatives by energy and by time; given those of Gamma over Gamma, (columns,)."""
        one, psi = self._one, self._psi
        b = len(one.where)
        w = one.weights.T
        if not one.layout.probes:
            return w, np.zeros((b, 2)), np.zeros((b, 2))
        at = psi[one.where]
        found = []
        # sqrt(Gamma) of the leads changes, too.
        for change, of_gamma in ((-self._y, gamma_slope), (self._x, gamma_rate)):
            into = 2 * one.width * np.real(at.conj() * change[one.where]).sum(axis=1)
            into += one.width * (abs(at) ** 2).sum(axis=1) * of_gamma
            by_lead = np.stack([into[:, span].sum(axis=1) for span in one.spans[:2]], axis=1)
            between = into[:, one.spans[2]].reshape(b, b, 2).sum(axis=2)
            lost = between.sum(axis=1) + by_lead.sum(axis=1)
            found.append(fillings(*one.transmissions, by_lead + between @ w - lost[:, None] * w)[1])
        return w, found[0], found[1]

    def _terms(self, project: Callable[[Blocks], Blocks]) -> Floats:
        """G^n_1 without what probes are filled further: (R, ..., 4), of projected columns."""
        psi, x, y, z = (project(columns) for columns in (self._psi, self._x, self._y, self._z))
        first, second, third = self._parts
        found = (traces(z, psi, np.imag) - traces(x, y, np.imag)) @ first.T
        found += traces(x, psi, np.imag) @ second.T + traces(y, psi, np.imag) @ third.T
        return np.moveaxis(found, -1, 0)

    def _with_further(self, terms: Floats, project: Callable[[Blocks], Blocks]) -> Floats:
        psi = project(self._psi)
        return terms + np.moveaxis(traces(psi, psi) @ self._further.T, -1, 0)

    def bonds(self, bonds: Bonds | None = None) -> Floats:
        """Flows over the bonds of the system, or over these: (R, ..., 4)."""
        first, second, third = self._parts
        over = functools.partial(over_imaginary, self._one.layout.bonds if bonds is None else bonds)
        psi, x, y, z = self._psi, self._x, self._y, self._z
        found = over(z, psi, first) - over(x, y, first) + over(x, psi, second) + over(y, psi, third)
        return found + self._one.over_bonds(self._further, bonds)

    @cached_property
    def into_leads(self) -> tuple[Floats, Floats]:
        """Flow over the first bonds, (4, 2, 4), and d<H_lead>/dt from the levels of each lead, (4, 2); V at rest."""
        both = [self._into_lead(q) for q in range(2)]
        return np.stack([flow for flow, _ in both], axis=1), np.stack([energy for _, energy in both], axis=1)

    def into_modes(self, q: int) -> Floats:
        """Flow into each mode of the lead q, of a wide-band lead into each row: (rows, modes, 4)."""
        return self._into_modes(q)[0]

    def _into_lead(self, q: int) -> tuple[Floats, Floats]:
        """(4, 4), [F or dF/dE of either lead, trace], and the energy that comes with it, (4,)."""
        lead = self._leads[q]
        by_mode, changing, of_modes = self._into_modes(q)
        arriving = by_mode.sum(axis=1)
        # d((E - V) Sigma)/dE and d((E - V) F gamma)/dE have Sigma and F gamma besides.
        energy = lead.above * arriving[:, 0]
        energy[:2] -= lead.sigma.real @ changing[:, 0]
        energy[q] -= of_modes[:, 0].sum()
        return arriving, energy

    def _into_modes(self, q: int) -> tuple[Floats, Floats, Floats]:
        """Into each of its modes, (R, modes, 4); d(G^n)/dt in them, (modes, 4, 2); gamma Re[Gd] in them, (modes, 4)."""
        lead, one = self._leads[q], self._one

        def project(columns: Blocks) -> Blocks:
            return np.einsum("yk,ysc->ksc", lead.vectors, columns[one.end_sites[q]])

        arriving = lead.gamma[:, None] * self._with_further(self._terms(project), project)
        # Re[Sigma'] dG^n/dt
        psi, x = project(self._psi), project(self._x)
        first, _, third = (part[:2] for part in self._parts)
        changing = 2 * traces(x, psi) @ first.T + traces(psi, psi) @ third.T
        arriving[:2] -= np.einsum("k,kal->lka", lead.slope.real, changing)
        # F A_1 and (F gamma)' Re[Gd] of its own modes, from its own columns.
        open_modes = np.flatnonzero(lead.gamma > 0)
        root = np.sqrt(lead.gamma[open_modes])[:, None]
        own_x, own_z = (
            np.stack(
                [pauli(columns[k][:, one.spans[q]].reshape(2, -1, 2)[:, i]) for i, k in enumerate(open_modes)]
            ).reshape(-1, 4)
            if len(open_modes)
            else np.zeros((0, 4))
            for columns in (x, project(self._z))
        )
        arriving[q, open_modes] -= root * own_z
        arriving[q, open_modes] -= lead.gamma_slope[open_modes, None] / root * own_x
        arriving[2 + q, open_modes] -= root * own_x
        return arriving, changing, root * own_x
