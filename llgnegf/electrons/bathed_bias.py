"""What leads with Fermi functions of their own add to the density of a system with a bath on sites.

As in `bias.py`, with the probes' shares: electrons are filled by f_ref first, then by

    rho_bias = (1/2pi) sum_l int (f_l - f_ref) [psi_l psi_l^+ + sum_p w_pl phi_p phi_p^+],

psi_l = G sqrt(Gamma_l), phi_p = G sqrt(width) from the site of the probe p, with the weights w_pl of `bath.fillings` (0
for a bath that takes current, which is filled by f_ref).  Into the bath on a site flow (1/2pi) int width Tr[sigma_a
(G^n - f_p A)], G^n = sum_l f_l [...], A = i (G - G^+): of probes no particles, but spin.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from llgnegf.once import cached_property

from .bathed import BathedSweeps, Mixed
from .bathed_energy import BathedEnergy
from .bathed_surface import narrow_levels
from .leads import Occupation
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats
from .system import BIAS_TAILS, System
from .window import MOST_ENERGIES, Edges, Factor, Rule, Window

# Energies for each site of a wire, above what is enough for a smooth function; beyond, narrow levels are searched for.
_MOST_WITHOUT_LEVELS, _MOST_PER_SITE = 4000, 12


class BathedBias:
    """The terms of one texture, as `bias.Bias`; equilibrium: its density (*s, 4) by another Fermi function.

    Raises ToleranceError where the energies on the real axis do not find all states between two Fermi functions.
    """

    def __init__(self, sweeps: BathedSweeps, equilibrium: Callable[[Occupation], Floats]) -> None:
        self.sweeps, self.device, self._equilibrium = sweeps, sweeps.device, equilibrium
        self._chosen: tuple[Floats, Floats] | None = None  # for motions
        self._known: tuple[Blocks, tuple[Floats, ...]] | None = None

    @property
    def density(self) -> Floats:
        """rho_bias, traced with 1 and sigma: (*s, 4)."""
        return self._still[0]

    @property
    def into_leads(self) -> Floats:
        """Flow of rho_bias over the first bond of the left and the right lead into it, (2, 4), 1/time."""
        return self._still[1]

    @property
    def energy_into_leads(self) -> Floats:
        """Energy that it carries into the left and the right lead, (2,), energy/time, from the levels of each lead."""
        return self._still[2]

    @property
    def into_bath(self) -> Floats:
        """Flow into the bath on each of its sites, (b, 4), 1/time; of spin also into probes."""
        return self._still[3]

    def moved(self, rate: Blocks) -> Floats:
        """Its change to first order in the motion Hd = `rate` (*s, 2, 2): (*s, 4)."""
        return self._motion(rate)[0]

    def moved_into_leads(self, rate: Blocks) -> Floats:
        """Flow of that over the first bond of the left and the right lead into it, (2, 4), 1/time."""
        return self._motion(rate)[1]

    def moved_into_bath(self, rate: Blocks) -> Floats:
        """Flow of that into the bath on each of its sites, (b, 4), 1/time."""
        return self._motion(rate)[2]

    def moved_energy_into_leads(self, rate: Blocks) -> Floats:
        """Energy that it carries into the left and the right lead, (2,), energy/time, from the levels of each lead."""
        return self._motion(rate)[3]

    @property
    def filled(self) -> tuple[Floats, Callable[[int, BathedEnergy], Floats]]:
        """Energies (n,), and what leads and sites of the bath have more than f_ref at the k-th of them, (2 + b,),
        times its weight."""
        rule = self._rule

        def at(k: int, one: BathedEnergy) -> Floats:
            return np.concatenate([rule.weights[:, k], rule.weights[:, k] @ one.weights])

        return rule.energies, at

    def bonds(self, rate: Blocks | None) -> tuple[Floats, Floats]:
        """Flows over the bonds of rho_bias, and of its change, in the layout of `Sweeps.flows`."""
        found = self._rule.integral(self.sweeps.mixed(self._rule.energies, with_bonds=True).bonds) / (2 * np.pi)
        if rate is None:
            return found, np.zeros_like(found)
        energies, weights = self.rule_of_motion(rate)
        return found, self._sum(weights, self.sweeps.moved_at_bias(energies, rate, True)[0])

    def _motion(self, rate: Blocks) -> tuple[Floats, ...]:
        if self._known is None or self._known[0] is not rate:
            energies, weights = self.rule_of_motion(rate)
            found = self.sweeps.moved_at_bias(energies, rate)
            density, *flows = (self._sum(weights, part) for part in found)
            self._known = rate, (density.reshape(*self.device.shape, 4), *flows)
        return self._known[1]

    @staticmethod
    def _sum(weights: Floats, values: Floats) -> Floats:
        """sum over energies and factors of values (n, 4, ...) with weights (4, n), over 2 pi."""
        return np.asarray(np.einsum("wn,nw...->...", weights, values)) / (2 * np.pi)

    def rule_of_motion(self, rate: Blocks) -> tuple[Floats, Floats]:
        """Energies (n,) and weights (4, n) for F and dF/dE of both leads, chosen for the first motion and kept."""
        if self._chosen is not None:
            return self._chosen
        device = self.device
        if device.is_closed or not device.is_biased:
            self._chosen = np.empty(0), np.empty((4, 0))
            return self._chosen
        window = MotionWindow(device)
        size = min(1.0, float(abs(rate).max()) / device.hopping**2) or 1.0
        flows = np.full(8 + 4 * len(self.sweeps.where), 1 / size / device.hopping)
        energies_in = np.full(2, 1 / size / device.hopping**2)
        scale = np.concatenate([np.full(4 * device.n_sites, 1 / size), flows, energies_in]) / (2 * np.pi)

        def values(energies: Floats) -> Floats:
            found = self.sweeps.moved_at_bias(energies, rate)
            return np.concatenate([part.reshape(*part.shape[:2], math.prod(part.shape[2:])) for part in found], axis=2)

        levels = [] if self.sweeps.broadens_all else narrow_levels(self.sweeps, window)
        smallest = 1e-13 * device.hopping
        rule = window.panels.adapted(
            window.divided(levels), values, lambda found: found * scale, device.tolerance, smallest
        )
        steps, of_steps = window.at_steps
        self._chosen = np.concatenate([rule.energies, steps]), np.concatenate([rule.weights, of_steps], axis=1)
        return self._chosen

    # --- energies -----------------------------------------------------------------------------------

    @cached_property
    def _still(self) -> tuple[Floats, Floats, Floats, Floats]:
        rule = self._rule
        _, rows, flows, bath = split(self.sweeps, rule.values)
        above = rule.energies[:, None, None] - np.array(self.device.voltages)
        energy = rule.integral(above * flows[..., 0])
        parts = rule.integral(rows), rule.integral(flows), energy, rule.integral(bath)
        return tuple(part / (2 * np.pi) for part in parts)  # type: ignore[return-value]

    @cached_property
    def _rule(self) -> Rule:
        device, window = self.device, self.device.bias_window()

        def attempt(edges: Edges, most: int) -> Rule:
            return adapted(self.sweeps, window, edges, 1 / device.hopping, most)

        return self._complete(window, attempt, lambda rule: rule)

    def _complete(
        self, window: Window, attempt: Callable[[Edges, int], Rule], of_leads: Callable[[Rule], Rule]
    ) -> Rule:
        """A rule that finds all states: narrow levels are searched for where it does not at once.

        attempt: makes one from first panels and the most energies; of_leads: its part that `adapted` makes.
        """
        device = self.device
        most = max(_MOST_WITHOUT_LEVELS, _MOST_PER_SITE * device.n_sites)
        try:
            rule = attempt(window.edges, most)
            if self._lost(of_leads(rule)) <= device.tolerance:
                return rule
        except ToleranceError:
            pass
        rule = attempt(window.divided(narrow_levels(self.sweeps, window)), MOST_ENERGIES)
        lost = self._lost(of_leads(rule))
        if lost > device.tolerance:
            raise ToleranceError(
                f"the electrons between the chemical potentials of the leads are found to {lost:.1e} only, "
                f"{device.tolerance:.1e} is needed: use a larger electrons.tolerance, higher temperatures, or a bath "
                "on more sites"
            )
        return rule

    def _lost(self, rule: Rule) -> float:
        """Largest part of a density that the rule misses of the states between f_ref and the Fermi function of a lead.

        By the poles of the Fermi functions, which miss none.
        """
        states, device, worst = split(self.sweeps, rule.values)[0], self.device, 0.0
        for k, lead in enumerate(device.ends):
            if lead.coupling and lead.occupation != device.occupation:
                known = self._equilibrium(lead.occupation) - self.sweeps.adiabatic
                found = np.tensordot(rule.weights[k], states[:, k], 1) / (2 * np.pi)
                lost = abs(known - found)
                if device.holes is not None:
                    lost[device.holes] = 0.0  # which hold what nobody asks for
                worst = max(worst, float(lost.max()))
        return worst


class MotionWindow(Window):
    """Energies within the bands for F_l = f_l - f_ref and dF_l/dE of both leads.

    at_steps: energies (n,) inside the bands at which a Fermi function of kT = 0 has its step, and weights (4, n) there:
    those of dF_l/dE.
    """

    def __init__(self, device: System) -> None:
        reference, band = device.occupation, device.band
        every = [lead.occupation if lead.coupling else reference for lead in device.ends]
        factors = [
            *(Factor(_difference(one, reference), steps_of(one, reference)) for one in every),
            *(Factor(_slopes(one, reference), steps_of(one, reference)) for one in every),
        ]
        mus = [(one.fermi_energy, BIAS_TAILS * one.temperature) for one in (*every, reference)]
        low, high = min(mu - reach for mu, reach in mus), max(mu + reach for mu, reach in mus)
        super().__init__(factors, low, high, band, device.openings, device.hopping, 2 * device.n_sites)
        steps, weights = [], []
        for k, one in enumerate(every):
            for occupation, sign in ((one, -1.0), (reference, 1.0)):
                if one != reference and occupation.temperature == 0 and band[0] < occupation.fermi_energy < band[1]:
                    steps.append(occupation.fermi_energy)
                    weights.append([sign * (row == 2 + k) for row in range(4)])
        self.at_steps = np.array(steps), np.array(weights).reshape(-1, 4).T


def steps_of(*occupations: Occupation) -> tuple[tuple[float, float], ...]:
    """Where these Fermi functions vary, see `window.Factor`."""
    return tuple((one.fermi_energy, one.temperature) for one in occupations)


def _difference(one: Occupation, reference: Occupation) -> Callable[[Floats], Floats]:
    return lambda energies: one(energies) - reference(energies)


def _slopes(one: Occupation, reference: Occupation) -> Callable[[Floats], Floats]:
    """Of those at kT > 0."""

    def of(occupation: Occupation, energies: Floats) -> Floats:
        return occupation.slope(energies) if occupation.temperature > 0 else np.zeros_like(energies)

    return lambda energies: of(one, energies) - of(reference, energies)


def joined(found: Mixed, copies: int) -> Floats:
    """All states, and rows, flows into leads and into the bath of either lead, one after the other: (n, copies, all).

    copies: 2 for a factor of each lead, 1 for one factor, with both leads one after the other.
    """
    n = len(found.rows)
    parts = [np.repeat(found.all_states.reshape(n, 1, found.all_states[:1].size), copies, axis=1)]
    for part in (found.rows, found.flows, found.into_bath):
        parts.append(part.reshape(n, copies, part[:1].size // copies))
    return np.concatenate(parts, axis=2)


def split(sweeps: BathedSweeps, values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The four of `joined` again: (n, copies, *s, 4), (n, 2, *s, 4), (n, 2, 2, 4) and (n, 2, b, 4)."""
    shape, n = sweeps.device.shape, len(values)
    copies, size, b = values.shape[1], 4 * sweeps.device.n_sites, 4 * len(sweeps.where)
    leads = 2 // copies
    cuts = np.cumsum([size, leads * size, leads * 8])
    states, rows, flows, bath = np.split(values, cuts, axis=2)
    assert bath.shape[2] == leads * b
    return (
        states.reshape(n, copies, *shape, 4),
        rows.reshape(n, 2, *shape, 4),
        flows.reshape(n, 2, 2, 4),
        bath.reshape(n, 2, len(sweeps.where), 4),
    )


def adapted(
    sweeps: BathedSweeps, window: Window, edges: Edges, per_flow: float, most: int = MOST_ENERGIES, copies: int = 2
) -> Rule:
    """Energies that meet the tolerance for all of `joined`; per_flow: scale of a flow beside a density, 1/energy."""
    device, leads = sweeps.device, 2 // copies
    sites = (1 + leads) * 4 * device.n_sites
    scale = np.concatenate([np.ones(sites), np.full(leads * (8 + 4 * len(sweeps.where)), per_flow)]) / (2 * np.pi)
    return window.panels.adapted(
        edges,
        lambda energies: joined(sweeps.mixed(energies), copies),
        lambda values: values * scale,
        device.tolerance,
        1e-13 * device.hopping,
        most,
    )
