"""The start of electrons in real time between leads with Fermi functions of their own: a steady state, not equilibrium.

With f_l of lead l, or of one of its two spins, and f of the device, which fills the levels bound in it, the state is
that of equilibrium with f, and what each lead has more or less.  From the stationary equation of `real_time` (its
Fourier integral) follows, with the scattering states psi_l = G sqrt(Gamma_l) of the leads made of exponentials,

    rho     += sum_l int dE/2pi (f_l - f) psi_l psi_l^+,
    phi_ck  += i g_ck^* sum_l int dE/2pi (f_l - f) psi_l psi_l^+ |c>/(E - z_ck^*)
                + i g_ck^* (f_l(z_ck^*) - f(z_ck^*)) G(z_ck^*) |c>      for c in lead l,

which is at rest wherever the integrals find all states.  Levels without contact to the leads, or outside their bands,
are filled by f, as those of frozen electrons (`bias.py`).  A wide-band lead has states beyond the energies where the
rational Fermi functions are right; what these fill there ends where levels are, at which they are right
(`near_poles.py`), so that nothing is left to be integrated beyond the steps of the true ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .quadrature import FermiPoles
from .reservoirs import occupation
from .system import System, tails
from .threads import each
from .window import Factor, Rule, Window

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]

# Share of the tolerance for the integrals over energy.
_SHARE = 0.05
# Numbers of blocks of G, or of the columns of phi, that are held at a time.
_MOST_BLOCKS, _MOST_COLUMNS = 1 << 22, 1 << 22


class _Electrons(Protocol):
    """What is needed of `real_time.RealTime`."""

    system: System
    nx: int
    ny: int
    n: int
    kept: int
    sides: NDArray[np.int64]
    ends: NDArray[np.int64]
    hops: Real
    along_x: Complex
    z: Complex
    g: Complex
    rule: FermiPoles
    lead_rules: list[tuple[FermiPoles, FermiPoles]]
    bath: NDArray[np.int64]
    wide: NDArray[np.int64]
    widths: Real
    rules_of_bath: list[FermiPoles]

    @property
    def in_probes(self) -> int:
        """How many of `bath` are sites of a bath, before those of wide-band leads."""

    @property
    def filled(self) -> list[tuple[int, slice, FermiPoles]]:
        """Channels that have a Fermi function in common: lead, which of its channels, the function."""

    def slices(self, m: Real, potential: Real) -> Complex:
        """Blocks of H on the slices, (nx, n, n)."""

    def bonds_along_x(self) -> Complex:
        """H_(x,x+1) between slices where it is no number, (nx - 1, n, n)."""

    def channels(self, lead: int) -> Complex:
        """|c> of a lead on its slice as columns, (n, n)."""


@dataclass(frozen=True, eq=False)
class _Source:
    """What scattering states with one Fermi function come from: channels of a lead, or a wide-band lead.

    end: its slice; columns: |c> on it, (n, channels); rule: Fermi function.  lead, channels: which, None and all of a
    wide-band lead; width: of that, else 0.
    """

    end: int
    columns: Complex
    rule: FermiPoles
    lead: int | None
    channels: slice
    width: float = 0.0


class BiasedStart:
    """What leads with Fermi functions of their own add to the state at rest at moments m and gates `potential`.

    Raises ToleranceError where an integral over energy does not converge.
    """

    def __init__(self, electrons: _Electrons, m: Real, potential: Real) -> None:
        self.electrons, self.system = electrons, electrons.system
        self.H = electrons.slices(m, potential)
        leads = range(len(electrons.lead_rules))
        # Of each lead: its channels on the slice, in columns; z of its exponents by channel, (kept, n); the levels of
        # its channels, (n,).
        self.channels = [electrons.channels(lead) for lead in leads]
        self.z = electrons.z.reshape(len(leads), electrons.kept, electrons.n)
        self.biased = [
            _Source(int(electrons.ends[lead]), self.channels[lead][:, channels], rule, lead, channels)
            for lead, channels, rule in electrons.filled
            if rule is not electrons.rule
        ]
        self.biased += _wide_sources(electrons)
        ends = [self.system.ends[side] for side in electrons.sides]
        self.levels = [np.concatenate([modes.energies for modes in one.by_spin]) for one in ends]
        self.reach = [2 * one.modes.hopping for one in ends]

    def add(self, rho: Complex, phi: Complex) -> None:
        """Adds to rho (orbitals, orbitals) and phi (orbitals, exponents)."""
        for source in self.biased:
            if source.lead is not None:
                self._add_own(source.lead, source.channels, source.rule, phi)
        rule = self._rule
        most = max(1, _MOST_COLUMNS // (self.electrons.n * max(1, phi.shape[1])))
        for first in range(0, len(rule.energies), most):
            part = slice(first, first + most)
            for k, source in enumerate(self.biased):
                self._add_states(source, rule.energies[part], rule.weights[k, part] / (2 * np.pi), rho, phi)

    # --- integrals over energy ----------------------------------------------------------------------

    @cached_property
    def _rule(self) -> Rule:
        """Energies at which the leads differ from the device, and weights for each of `biased`."""
        system, reach = self.system, tails(self.system.tolerance)
        reference = self.electrons.rule
        rules = [one.rule for one in self.biased]

        def factor(one: FermiPoles) -> Factor:
            return Factor(lambda e: _filled(one, e) - _filled(reference, e), (_step(one), _step(reference)))

        steps = [_step(one) for one in (*rules, reference)]
        low, high = min(mu - reach * kT for mu, kT in steps), max(mu + reach * kT for mu, kT in steps)
        window = Window(
            [factor(one) for one in rules], low, high, system.band, system.openings, system.hopping, 2 * system.n_sites
        )
        return window.panels.adapted(
            window.edges,
            self._judged,
            lambda values: values / (2 * np.pi),
            _SHARE * system.tolerance,
            1e-13 * system.hopping,
        )

    def _judged(self, energies: Real) -> Real:
        """What the rule has to integrate: densities of all sites, and of all exponents what they have of their own
        channel; (energies, sources, all)."""
        e, sites = self.electrons, self.electrons.nx * self.electrons.ny
        out = np.empty((len(energies), len(self.biased), 4 * sites + 2 * self.z.size))

        def part(which: slice) -> None:
            for k, source in enumerate(self.biased):
                psi = self._states(source, energies[which])
                on_sites = psi.reshape(len(psi), e.nx, 2, e.ny, psi.shape[2])
                up, down = on_sites[:, :, 0], on_sites[:, :, 1]
                traced = out[which, k, : 4 * sites].reshape(len(psi), 4, e.nx, e.ny)
                mixed = 2 * (up.conj() * down).sum(axis=-1)
                both = [(abs(one) ** 2).sum(axis=-1) for one in (up, down)]
                traced[:, 0], traced[:, 1], traced[:, 2], traced[:, 3] = (
                    both[0] + both[1],
                    mixed.real,
                    mixed.imag,
                    both[0] - both[1],
                )
                own = np.empty((len(psi), *self.z.shape), complex)
                for other, end in enumerate(e.ends):
                    met = (abs(self._met(other, psi, int(end))) ** 2).sum(axis=2)
                    own[:, other] = self._by_exponents(other, energies[which]) * met[:, None, :]
                own_parts = out[which, k, 4 * sites :].reshape(len(psi), 2, self.z.size)
                flat = own.reshape(len(psi), self.z.size)
                own_parts[:, 0], own_parts[:, 1] = flat.real, flat.imag

        most = max(1, _MOST_BLOCKS // (e.nx * e.n**2))
        each(part, [slice(first, first + most) for first in range(0, len(energies), most)])
        return out

    def _add_states(self, source: _Source, energies: Real, weights: Real, rho: Complex, phi: Complex) -> None:
        e = self.electrons
        psi = self._states(source, energies)
        _, N, n = psi.shape
        flat = np.ascontiguousarray(psi.transpose(1, 0, 2)).reshape(N, -1)
        weighted = (flat.conj() * np.repeat(weights, n)).T  # (energies and channels, N)
        rho += flat @ weighted
        for other, end in enumerate(e.ends):
            met = self._met(other, psi, int(end)).conj()  # (energies, channels met, channels of psi)
            factor = 1j * weights[:, None, None] * self._by_exponents(other, energies)  # (energies, kept, channels met)
            columns = met.swapaxes(1, 2)[:, :, None, :] * factor[:, None]
            first = other * e.kept * e.n
            phi[:, first : first + e.kept * e.n] += flat @ columns.reshape(flat.shape[1], -1)

    def _by_exponents(self, lead: int, energies: Real) -> Complex:
        """g^*/(E - z^*) of the exponents of a lead by channel, (energies, kept, n)."""
        g = self.electrons.g[lead].conj()[:, None]
        return np.asarray(g / (energies[:, None, None] - self.z[lead].conj()))

    def _add_own(self, lead: int, channels: slice, rule: FermiPoles, phi: Complex) -> None:
        """The part of the exponents of these channels themselves, at their own energies."""
        e = self.electrons
        z = self.z[lead][:, channels]
        more = occupation(rule, z) - occupation(e.rule, z)
        weights = 1j * (e.g[lead][:, None] * more).conj()
        first, sources = lead * e.kept * e.n + channels.start, self.channels[lead][:, channels]
        # Channels of the same energy have G in common.
        found, which = np.unique(z.conj().ravel(), return_inverse=True)
        different: Complex = found.astype(np.complex128)
        most = max(1, _MOST_BLOCKS // (e.nx * e.n**2))
        for start in range(0, len(different), most):
            green = self.columns(lead, different[start : start + most])
            for k, c in np.argwhere((which >= start).reshape(z.shape) & (which < start + most).reshape(z.shape)):
                at = which.reshape(z.shape)[k, c] - start
                phi[:, first + k * e.n + c] += weights[k, c] * (green[at] @ sources[:, c])

    # --- Green's functions --------------------------------------------------------------------------

    def _met(self, lead: int, psi: Complex, end: int) -> Complex:
        """<c|psi> of the channels c of a lead, on slice `end`, (energies, n, channels of psi)."""
        n = self.electrons.n
        return np.asarray(self.channels[lead].conj().T @ psi[:, end * n : (end + 1) * n])

    def _states(self, source: _Source, energies: Real) -> Complex:
        """G sqrt(Gamma) of a source at real energies, (energies, orbitals, channels); zero where they are closed."""
        z = energies.astype(np.complex128)
        if source.lead is None:
            return np.asarray(self._columns_at(source.end, z) @ source.columns * source.width**0.5)
        sigma = self._self_energy(source.lead, z)[:, source.channels]
        is_open = abs(energies[:, None] - self.levels[source.lead][source.channels]) < self.reach[source.lead]
        roots = np.sqrt(np.where(is_open, np.maximum(-2 * sigma.imag, 0.0), 0.0))
        return np.asarray(self._columns_at(source.end, z) @ (source.columns * roots[:, None, :]))

    def _self_energy(self, lead: int, energies: Complex) -> Complex:
        """Of the channels of a lead, (energies, n)."""
        return np.asarray((self.electrons.g[lead][:, None] / (energies[:, None, None] - self.z[lead])).sum(axis=1))

    def columns(self, lead: int, energies: Complex) -> Complex:
        """The columns of G that end at the slice of a lead, (energies, orbitals, n)."""
        return self._columns_at(int(self.electrons.ends[lead]), energies)

    def _columns_at(self, slice_: int, energies: Complex) -> Complex:
        """The same of the first or the last slice."""
        e = self.electrons
        k, nx, n = len(energies), e.nx, e.n
        own = energies[:, None, None, None] * np.eye(n) - self.H
        for other, end in enumerate(e.ends):
            sigma = self._self_energy(other, energies)
            own[:, end] -= (self.channels[other] * sigma[:, None, :]) @ self.channels[other].conj().T
        for rows, width in zip(e.bath, e.widths, strict=True):
            columns, i = np.divmod(rows, n)
            own[:, columns, i, i] += 0.5j * width
        begins = slice_ == 0
        own = own if begins else own[:, ::-1]
        # From the far end to the slice of the lead, and back with G.
        found = np.empty_like(own)
        found[:, -1] = np.linalg.inv(own[:, -1])
        if len(e.along_x):
            there = e.bonds_along_x()
            back = there.conj().swapaxes(1, 2)
            there, back = (there, back) if begins else (back[::-1], there[::-1])
            for x in range(nx - 2, -1, -1):
                found[:, x] = np.linalg.inv(own[:, x] - there[x] @ found[:, x + 1] @ back[x])
            for x in range(1, nx):
                found[:, x] = found[:, x] @ (back[x - 1] @ found[:, x - 1])
        else:
            hops = e.hops if begins else e.hops[::-1]
            for x in range(nx - 2, -1, -1):
                found[:, x] = np.linalg.inv(own[:, x] - hops[x] ** 2 * found[:, x + 1])
            for x in range(1, nx):
                found[:, x] = -hops[x - 1] * (found[:, x] @ found[:, x - 1])
        found = found if begins else found[:, ::-1]
        return found.reshape(k, nx * n, n)


def _wide_sources(electrons: _Electrons) -> list[_Source]:
    """Of each wide-band lead with a Fermi function of its own: all orbitals of its end that are there."""
    found, first = [], electrons.in_probes
    for side in np.unique(electrons.wide):
        of_side = first + np.flatnonzero(electrons.wide == side)
        rule = electrons.rules_of_bath[of_side[0]]
        if rule is not electrons.rule:
            columns = np.eye(electrons.n, dtype=complex)[:, np.sort(electrons.bath[of_side].ravel() % electrons.n)]
            end, width = (0, electrons.nx - 1)[int(side)], float(electrons.widths[of_side[0]])
            found.append(_Source(end, columns, rule, None, slice(None), width))
    return found


def _step(rule: FermiPoles) -> tuple[float, float]:
    """E_F and about kT of a Fermi function: its nearest pole is close to E_F + i pi kT."""
    nearest = complex(rule.nodes[rule.nodes.imag.argmin()])
    return nearest.real, nearest.imag / np.pi


def _filled(rule: FermiPoles, energies: Real) -> Real:
    """The rational Fermi function at real energies."""
    return occupation(rule, energies.astype(np.complex128)).real
