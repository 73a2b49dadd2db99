"""Probes that take no net current in all: each has a chemical potential of its own, at which what enters leaves again.

Such a probe scatters electrons in energy too (Buettiker, Phys. Rev. B 33, 3020 (1986)): it is a reservoir with
temperature kT of the device, whose chemical potential mu_p is measured by a voltmeter.  With T_pq(E) the transmission
from q into p, summed over spins, and f_p(E) = f(E - mu_p),

    I_p = (1/2pi) int dE { sum_l T_pl (f_l - f_p) + sum_q T_pq (f_q - f_p) } = 0         l: leads, q: other probes

for all p, solved for all mu_p by Newton's method, from the solution for a small bias.  Everything is polynomials in E
on panels times Fermi functions (`window.py`), so that T is evaluated once, and the current is conserved to rounding
whatever the energies are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from llgnegf.once import cached_property

from .bath import fillings
from .bathed import NOT_TO_FIRST_ORDER
from .bathed_bias import BathedBias, joined
from .bathed_energy import BathedEnergy
from .leads import Occupation
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats
from .system import System, tails
from .threads import each
from .window import MOST_ENERGIES, Edges, Factor, Panel, Rule, Stretch, Window, good_enough, panel_of

# Net currents, in units of the hopping, at which Newton's method has converged, and those that rounding may leave.
_CONVERGED, _ROUNDING = 1e-14, 1e-11
_MOST_STEPS, _MOST_HALVINGS, _MOST_REFINEMENTS = 50, 12, 30
# For derivatives by a chemical potential at kT = 0, in hoppings.
_STEP = 1e-5
# Leads of different temperatures move chemical potentials beyond theirs, by less than so many times the difference.
_THERMAL = 4.0


@dataclass(frozen=True)
class Solved:
    """energies: (n,); weights: (2 + b, n) of what leads and probes have more than f_ref; potentials: mu_p (b,)."""

    energies: Floats
    weights: Floats
    potentials: Floats


class NetBias(BathedBias):
    """The terms of one texture, as those of `BathedBias` at rest.

    Raises ToleranceError where energies do not find all states, or no chemical potentials are found; ValueError for
    what is of first order in a motion.
    """

    @property
    def potentials(self) -> Floats:
        """mu_p of each probe, (b,), energy."""
        return self._solved.potentials

    @property
    def filled(self) -> tuple[Floats, Callable[[int, BathedEnergy], Floats]]:
        """See `BathedBias`."""
        solved = self._solved
        return solved.energies, lambda k, _one: solved.weights[:, k]

    def _motion(self, rate: Blocks) -> tuple[Floats, ...]:
        raise ValueError(NOT_TO_FIRST_ORDER)

    def bonds(self, rate: Blocks | None) -> tuple[Floats, Floats]:
        """Flows over the bonds of rho_bias, in the layout of `Sweeps.flows`, and zeros."""
        if rate is not None:
            raise ValueError(NOT_TO_FIRST_ORDER)
        solved = self._solved
        found = each(
            lambda k: self.sweeps.keep(solved.energies[k]).filled_bonds(solved.weights[:, k]),
            list(range(len(solved.energies))),
        )
        shape = (*self.sweeps.layout.bonds.shape, 4)
        total = np.sum(found, axis=0).reshape(shape) / (2 * np.pi) if found else np.zeros(shape)
        return total, np.zeros_like(total)

    # --- the chemical potentials ----------------------------------------------------------------------

    @cached_property
    def _still(self) -> tuple[Floats, Floats, Floats, Floats]:
        device, solved = self.device, self._solved
        b, N = len(self.sweeps.where), device.n_sites
        density, flows, energy, bath = np.zeros((N, 4)), np.zeros((2, 4)), np.zeros(2), np.zeros((b, 4))

        def at(k: int) -> tuple[Floats, Floats, Floats]:
            return self.sweeps.keep(solved.energies[k]).filled(solved.weights[:, k])

        for k, (rows, into, into_bath) in enumerate(each(at, list(range(len(solved.energies))))):
            density += rows
            flows += into
            energy += (solved.energies[k] - np.array(device.voltages)) * into[:, 0]
            bath += into_bath
        density, flows, energy, bath = (one / (2 * np.pi) for one in (density, flows, energy, bath))
        return density.reshape(*device.shape, 4), flows, energy, bath

    @cached_property
    def _solved(self) -> Solved:
        device, window = self.device, NetWindow(self.device)
        panels = list(self._first_panels(window))
        known: dict[tuple[Stretch, float, float], tuple[Floats, Floats]] = {}
        if not panels:
            potentials = np.full(len(self.sweeps.where), device.fermi_energy)
            return Solved(np.empty(0), np.empty((2 + len(potentials), 0)), potentials)
        span = sum(one.width for one in panels)
        start = None
        for _ in range(_MOST_REFINEMENTS):
            places = [(one.stretch, one.a, one.b) for one in panels]
            for where, one in zip(places, panels, strict=True):
                if where not in known:
                    known[where] = self._transmissions(one.energies)
            between, sources = (np.concatenate([known[where][i] for where in places]) for i in (0, 1))
            equations = Equations(device, window, panels, between, sources)
            start = equations.solve(start)
            weights, differences = equations.weights(start)
            energies = np.concatenate([one.energies for one in panels])
            good = self._judged(panels, energies, weights, differences, span)
            if good.all():
                return Solved(energies, weights, start)
            if len(energies) > MOST_ENERGIES:
                break
            halves = [window.halved(one) for one, fine in zip(panels, good, strict=True) if not fine]
            panels = [one for one, fine in zip(panels, good, strict=True) if fine] + [k for two in halves for k in two]
        raise ToleranceError(
            "the electrons that probes without net current give back are not found to the tolerance: use a larger "
            "electrons.tolerance, higher temperatures, or a bath on more sites"
        )

    def _first_panels(self, window: NetWindow) -> tuple[Panel, ...]:
        """Those that meet the tolerance for the leads, and for probes at the ends of what their potentials may be."""
        device = self.device
        flows = 8 + 4 * len(self.sweeps.where)
        scale = np.concatenate([np.ones(2 * 4 * device.n_sites), np.full(flows, 1 / device.hopping)]) / (2 * np.pi)

        def values(energies: Floats) -> Floats:
            found = joined(self.sweeps.mixed(energies), 2)
            return np.concatenate([found, found], axis=1)

        def attempt(edges: Edges, most: int) -> Rule:
            smallest = 1e-13 * device.hopping
            return window.panels.adapted(edges, values, lambda found: found * scale, device.tolerance, smallest, most)

        return self._complete(window, attempt, lambda rule: replace(rule, values=rule.values[:, :2])).panels

    def _transmissions(self, energies: Floats) -> tuple[Floats, Floats]:
        """T_pq (n, b, b) and T_pl (n, b, 2)."""

        def at(energy: float) -> tuple[Floats, Floats]:
            between, by_spin = self.sweeps.keep(energy).transmissions
            return between, by_spin.reshape(len(by_spin), 2, 2).sum(axis=2)

        between, sources = zip(*each(at, energies.tolist()), strict=True)
        return np.array(between), np.array(sources)

    def _judged(
        self, panels: list[Panel], energies: Floats, weights: Floats, differences: Floats, span: float
    ) -> np.ndarray:
        """Which panels are good enough for the density of everything."""

        def at(k: int) -> tuple[float, Floats]:
            one = self.sweeps.keep(energies[k])
            return float(abs(one.filled_density(abs(weights[:, k]))).max()), one.filled_density(differences[:, k])

        sizes, missed = zip(*each(at, list(range(len(energies)))), strict=True)
        shape = len(panels), len(energies) // len(panels)
        size = np.array(sizes).reshape(shape).sum(axis=1) / (2 * np.pi)
        off = abs(np.array(missed).reshape(*shape, -1).sum(axis=1)).max(axis=1) / (2 * np.pi)
        widths = np.array([one.width for one in panels])
        smallest = widths < 1e-13 * self.device.hopping
        return good_enough(off, size, widths, span, self.device.tolerance) | smallest


class NetWindow(Window):
    """Energies at which leads or probes may be filled otherwise than the device.

    reach: the least and the largest chemical potential that a probe may have.
    """

    def __init__(self, device: System) -> None:
        reference = device.occupation
        every = [lead.occupation if lead.coupling else reference for lead in device.ends]
        temperatures = [one.temperature for one in (*every, reference)]
        beyond = _THERMAL * (max(temperatures) - min(temperatures))
        mus = [lead.occupation.fermi_energy for lead in device.ends if lead.coupling] or [reference.fermi_energy]
        self.reach = min(mus) - beyond, max(mus) + beyond
        self.leads, self.reference = every, reference
        extremes = [Occupation(mu, reference.temperature) for mu in self.reach]
        factors = [
            Factor(_more_than(reference, one), tuple((f.fermi_energy, f.temperature) for f in (one, reference)))
            for one in (*every, *extremes)
        ]
        ends = [
            one.fermi_energy + sign * tails(device.tolerance) * one.temperature
            for one in (*every, *extremes, reference)
            for sign in (-1, 1)
        ]
        low, high = min(ends), max(ends)
        band = min(low, device.band[0]), max(high, device.band[1])
        super().__init__(factors, low, high, band, device.openings, device.hopping, 2 * device.n_sites)

    def halved(self, one: Panel) -> tuple[Panel, Panel]:
        """The two halves of a panel."""
        middle = (one.a + one.b) / 2
        return self.panels.panel(one.stretch, one.a, middle), self.panels.panel(one.stretch, middle, one.b)


def _more_than(reference: Occupation, one: Occupation) -> Callable[[Floats], Floats]:
    return lambda energies: one(energies) - reference(energies)


class Equations:
    """I_p = 0 on these panels.  between: T_pq (n, b, b), sources: T_pl (n, b, 2), at their energies."""

    def __init__(
        self, device: System, window: NetWindow, panels: list[Panel], between: Floats, sources: Floats
    ) -> None:
        self.device, self.window, self.panels = device, window, panels
        self.between = between.copy()
        b = between.shape[1]
        self.between[:, np.arange(b), np.arange(b)] = 0.0  # what returns to where it was does not count
        self.sources = sources
        self.total = self.between.sum(axis=2) + sources.sum(axis=2)
        self.of_leads = np.concatenate([one.weights[:2] for one in panels], axis=1)
        self._lead_differences = np.concatenate([one.differences[:2] for one in panels], axis=1)

    def weights(self, potentials: Floats) -> tuple[Floats, Floats]:
        """Of leads and probes at these energies, and those of the error, (2 + b, n) each."""
        weights, differences = self._of_probes(potentials, slopes=False)
        return np.concatenate([self.of_leads, weights]), np.concatenate([self._lead_differences, differences])

    def solve(self, start: Floats | None) -> Floats:
        """The chemical potentials, (b,); start: where to begin, None: with those of a small bias."""
        mu = self._small_bias() if start is None else start
        low, high = self.window.reach
        hopping = self.device.hopping
        flow = self._flow(mu)
        for _ in range(_MOST_STEPS):
            worst = float(abs(flow).max())
            if worst <= _CONVERGED * hopping:
                return mu
            step = self._newton(mu, flow)
            share, better = 1.0, False
            for _ in range(_MOST_HALVINGS):
                trial = np.clip(mu + share * step, low, high)
                found = self._flow(trial)
                if abs(found).max() < worst:
                    mu, flow, better = trial, found, True
                    break
                share /= 2
            if not better:
                break
        if float(abs(flow).max()) <= _ROUNDING * hopping:
            return mu
        raise ToleranceError(
            f"the chemical potentials of probes without net current are not found: {abs(flow).max():.1e} flows into "
            "one of them; use stronger contacts, higher temperatures, or zero_current = true"
        )

    def _small_bias(self) -> Floats:
        """To first order in the difference of the leads' chemical potentials, about the device's."""
        (left, right), reference = self.window.leads, self.window.reference
        share = self.of_leads[0] - self.of_leads[1]
        apart = left.fermi_energy - right.fermi_energy
        if apart == 0:
            return np.full(self.between.shape[1], np.clip(reference.fermi_energy, *self.window.reach))
        share = np.maximum(share / apart, 0.0)
        filled, _ = fillings(np.tensordot(share, self.between, 1), np.tensordot(share, self.sources, 1))
        reached = filled.sum(axis=1) > 0
        mu = filled @ np.array([left.fermi_energy, right.fermi_energy])
        return np.clip(np.where(reached, mu, reference.fermi_energy), *self.window.reach)

    def _flow(self, mu: Floats) -> Floats:
        """I_p, (b,)."""
        weights = self._of_probes(mu, slopes=False)[0]
        entering = np.einsum("npq,qn->p", self.between, weights) + np.einsum("npl,ln->p", self.sources, self.of_leads)
        return np.asarray(entering - np.einsum("np,pn->p", self.total, weights)) / (2 * np.pi)

    def _newton(self, mu: Floats, flow: Floats) -> Floats:
        if self.window.reference.temperature > 0:
            slopes = self._of_probes(mu, slopes=True)[0]
        else:
            step = _STEP * self.device.hopping
            above, below = (self._of_probes(mu + k * step, slopes=False)[0] for k in (1, -1))
            slopes = (above - below) / (2 * step)
        jacobian = np.einsum("npq,qn->pq", self.between, slopes)
        lost = np.einsum("np,pn->p", self.total, slopes)
        jacobian = (jacobian - np.diag(lost)) / (2 * np.pi)
        alone = lost <= 1e-300  # nothing enters it at these energies: it stays as it is
        jacobian[alone, alone] = -1.0
        return np.linalg.solve(jacobian, -np.where(alone, 0.0, flow))

    def _of_probes(self, mu: Floats, *, slopes: bool) -> tuple[Floats, Floats]:
        """Weights and those of the error, (b, n), of f(E - mu_p) - f_ref, or of its derivative by mu_p."""
        reference = self.window.reference
        kT = reference.temperature
        probes = [Occupation(float(one), kT) for one in mu]

        def values(energies: Floats) -> Floats:
            if slopes:
                return np.array([-one.slope(energies) for one in probes])
            less = reference(energies)
            return np.array([one(energies) - less for one in probes])

        steps = [(one, kT) for one in np.unique(np.append(mu, reference.fermi_energy)).tolist()]
        made = [panel_of(one.stretch, one.a, one.b, values, steps) for one in self.panels]
        return (
            np.concatenate([one.weights for one in made], axis=1),
            np.concatenate([one.differences for one in made], axis=1),
        )
