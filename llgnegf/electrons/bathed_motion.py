"""A slow motion of a system with a bath between leads out of equilibrium, at one real energy.

What leads have more or less of, F_l = f_l - f_ref, fills with S = i sum_l F_l (Gamma_l + sum_p w_pl Gamma_p), and S
changes in time with the weights w_pl(E, t) of the probes.  To first order (Gd = G Hd G, primes are d/dE)

    G<_1 = G1 S G^+ + G S G1^+ + (i/2) [-Gd S' G^+ + (G' S + G S') Gd^+ - Gd S G'^+]
         + (i/2) [G' (dS/dt) G^+ - G (dS/dt) G'^+] + G dS_1 G^+,        G1 = -(i/2) (G B Gd - Gd B G),

the gradient expansion of G S G^+ in time and energy.  dS_1 is what probes are filled further, so that at every energy
none takes a net current.  That into a bath, or a mode of a lead, is with its own F

    gamma (G^n_1 - F A_1) - Re[Sigma'] dG^n/dt - (F gamma)' Re[Gd] + (dF/dt) gamma Re[G'],

the last three from the gradients of Sigma and Sigma^<.  F_l multiplies one part of all this, dF_l/dE another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .bath import fillings
from .bathed_energy import BathedEnergy, over_imaginary, pauli, traces
from .sweeps import Blocks, Floats


class LeadModes(NamedTuple):
    """Of a lead at one energy: vectors (ny, ny) of its modes, gamma and d gamma/dE, dSigma/dE of each, (ny,)."""

    vectors: Floats
    gamma: Floats
    gamma_slope: Floats
    slope: Blocks


class MotionAtBias:
    """What F_left, F_right, dF_left/dE and dF_right/dE multiply, over 2 pi; first axis of all, traced.

    density: (4, N, 4); into_leads: (4, 2, 4), flow over the first bonds; into_bath: (4, b, 4).
    """

    def __init__(self, one: BathedEnergy, leads: tuple[LeadModes, LeadModes], rate: Blocks) -> None:
        self._one, self._leads = one, leads
        psi, where, width = one.psi, one.where, one.width
        self._psi = psi
        self._x = self._solve(rate @ psi)  # G Hd psi
        self._y = self._solve(self._times_b(psi))  # G B psi: dpsi/dE is its negative, and that of sqrt(Gamma)
        # 2i G1 sqrt(Gamma)
        self._z = self._solve(self._times_b(self._x)) - self._solve(rate @ self._y)
        n = psi.shape[2]
        bath = one.spans[2]
        first, second = np.zeros((2, n)), np.zeros((2, n))  # u and u'
        first[0, one.spans[0]] = first[1, one.spans[1]] = 1.0
        for q in range(2):
            open_modes = leads[q].gamma > 0
            second[q, one.spans[q]] = np.repeat(leads[q].gamma_slope[open_modes] / leads[q].gamma[open_modes], 2)
        third = np.zeros((2, n))  # du/dt
        own_x, own_y, own_z = (pauli(one.own(c)) / np.sqrt(width) for c in (self._x, self._y, self._z))
        w, w_slope, w_rate = self._weights(second)
        for q in range(2):
            first[q, bath], second[q, bath], third[q, bath] = (np.repeat(v[:, q], 2) for v in (w, w_slope, w_rate))
        self._u = first, second, third
        # Into the bath, as long as probes are not filled further.
        sites = self._terms(lambda columns: columns)
        into = width * np.stack([part[:, where] for part in sites])  # (F or F', lead, b, 4)
        of = np.moveaxis(np.stack([w, w_slope, w_rate]), -1, 1)[..., None]  # (3, lead, b, 1)
        into[0] += width * (-of[0] * own_z - of[1] * own_x - of[2] * own_y)
        into[1] -= width * of[0] * own_x
        further = np.zeros((4, n))
        if one.layout.probes:
            pumped = into[..., 0].reshape(4, len(where)).T
            filled = fillings(*one.transmissions, pumped)[1]
            further[:, bath] = np.repeat(filled.T, 2, axis=1)
            into = into.reshape(4, len(where), 4)
            extra = np.moveaxis(traces(psi, psi) @ further.T, -1, 0)
            into = into + width * (extra[:, where] - filled.T[..., None] * one.states[where])
        self._further = further
        self.into_bath = into.reshape(4, len(where), 4)
        self.density = self._with_further(sites, lambda columns: columns)
        self.into_leads = np.stack([self._into_lead(q) for q in range(2)], axis=1)

    def _solve(self, columns: Blocks) -> Blocks:
        return self._one.lu.solve(columns.reshape(-1, columns.shape[-1])).reshape(self._one.psi.shape)

    def _times_b(self, columns: Blocks) -> Blocks:
        """(1 - dSigma/dE) times columns (N, 2, c)."""
        out = columns.copy()
        for q, lead in enumerate(self._leads):
            sites = self._one.end_sites[q]
            out[sites] -= np.einsum("yk,k,zk,zsc->ysc", lead.vectors, lead.slope, lead.vectors, columns[sites])
        return out

    def _weights(self, second: Floats) -> tuple[Floats, Floats, Floats]:
        """w_pl (b, 2), their derivatives by energy and by time."""
        one, psi = self._one, self._psi
        b = len(one.where)
        w = one.weights.T
        if not one.layout.probes:
            return w, np.zeros((b, 2)), np.zeros((b, 2))
        at = psi[one.where]
        found = []
        for change in (-self._y, self._x):
            into = 2 * one.width * np.real(at.conj() * change[one.where]).sum(axis=1)
            if change is not self._x:  # sqrt(Gamma) of the leads changes with the energy, too
                into += one.width * (abs(at) ** 2).sum(axis=1) * second.sum(axis=0)
            by_lead = np.stack([into[:, span].sum(axis=1) for span in one.spans[:2]], axis=1)
            between = into[:, one.spans[2]].reshape(b, b, 2).sum(axis=2)
            lost = between.sum(axis=1) + by_lead.sum(axis=1)
            found.append(fillings(*one.transmissions, by_lead + between @ w - lost[:, None] * w)[1])
        return w, found[0], found[1]

    def _terms(self, project: Callable[[Blocks], Blocks]) -> tuple[Floats, Floats]:
        """G^n_1 without what probes are filled further, of F and of dF/dE: (2, ..., 4) each, of projected columns."""
        psi, x, y, z = (project(columns) for columns in (self._psi, self._x, self._y, self._z))
        first, second, third = self._u
        driven = traces(x, psi, np.imag)
        both = traces(z, psi, np.imag) - traces(x, y, np.imag)
        of_f = both @ first.T + driven @ second.T + traces(y, psi, np.imag) @ third.T
        return np.moveaxis(of_f, -1, 0), np.moveaxis(driven @ first.T, -1, 0)

    def _with_further(self, terms: tuple[Floats, Floats], project: Callable[[Blocks], Blocks]) -> Floats:
        psi = project(self._psi)
        return np.concatenate(terms) + np.moveaxis(traces(psi, psi) @ self._further.T, -1, 0)

    def bonds(self) -> Floats:
        """Flows over the bonds: (4, ..., 4)."""
        first, second, third = self._u
        over = functools.partial(over_imaginary, self._one.layout.bonds)
        psi, x, y, z = self._psi, self._x, self._y, self._z
        of_f = over(z, psi, first) - over(x, y, first) + over(x, psi, second) + over(y, psi, third)
        return np.concatenate([of_f, over(x, psi, first)]) + self._one.over_bonds(self._further)

    def _into_lead(self, q: int) -> Floats:
        """(4, 4), [F or dF/dE of either lead, trace]."""
        lead, one = self._leads[q], self._one

        def project(columns: Blocks) -> Blocks:
            return np.einsum("yk,ysc->ksc", lead.vectors, columns[one.end_sites[q]])

        arriving = np.einsum("k,lka->la", lead.gamma, self._with_further(self._terms(project), project))
        # Re[Sigma'] dG^n/dt
        psi, x = project(self._psi), project(self._x)
        first, _, third = self._u
        changing = 2 * traces(x, psi) @ first.T + traces(psi, psi) @ third.T
        arriving[:2] -= np.einsum("k,kal->la", lead.slope.real, changing)
        # F A_1 and (F gamma)' Re[Gd] of its own modes, from its own columns.
        open_modes = np.flatnonzero(lead.gamma > 0)
        root = np.sqrt(lead.gamma[open_modes])
        own_x, own_z = (
            np.stack(
                [pauli(columns[k][:, one.spans[q]].reshape(2, -1, 2)[:, i]) for i, k in enumerate(open_modes)]
            ).reshape(-1, 4)
            if len(open_modes)
            else np.zeros((0, 4))
            for columns in (x, project(self._z))
        )
        arriving[q] -= (root[:, None] * own_z).sum(axis=0)
        arriving[q] -= (lead.gamma_slope[open_modes] / root) @ own_x
        arriving[2 + q] -= root @ own_x
        return arriving
