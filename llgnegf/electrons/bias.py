"""What leads with other Fermi functions than the device's own add to the density: a current and what it carries.

Electrons are filled by one Fermi function f_ref first (`System.occupation`), as without a bias, and then by what the
leads have more or less of.  With psi_l = G sqrt(Gamma_l), the scattering states that come from lead l,

    rho_bias   = (1/2pi) sum_l int (f_l - f_ref) psi_l psi_l^+
    rho_motion = -(1/pi) sum_l int (f_l - f_ref) Im[G' Hd psi_l psi_l^+],      G' = dG/dE = -G (1 - dSigma/dE) G

at rest and to first order in the velocities; l is a lead, or one spin of a lead with a spin bias.  A scattering state
follows slow moments and gates as psi + i G' Hd psi (Entin-Wohlman, Aharony, Levinson, Phys. Rev. B 65, 195411 (2002)).
That is the first order of the Keldysh equation for leads with Sigma^< = i sum_l f_l Gamma_l after the derivatives of
f_l were integrated by parts.  Nothing is symmetric in these terms: the response to a motion does work, and may drive
it.

Energy: a lead whose levels carry their energy E - V as a weight has the self-energies (E - V) Sigma up to a constant.
With these d<H_lead>/dt is what the flow of particles is with Sigma: the flow j of rho_motion becomes

    int [(E - V_q) j_q - (1/pi) sum_l (f_l - f_ref) Re Tr Sigma_q G Hd psi_l psi_l^+],

of which the last term comes from d(E Sigma)/dE = E dSigma/dE + Sigma in the gradients.

Levels outside the bands of all leads, and those without contact to any, are filled by f_ref.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import numpy as np

from llgnegf.once import cached_property

from .leads import Occupation
from .long_wires import Integrals, LongBias, is_long
from .narrow_levels import Level, has_width, may_be_narrow, narrow_levels, without_width
from .outside_levels import bound_levels
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats, Sweeps
from .system import BIAS_TAILS
from .window import MOST_ENERGIES, Edges, Rule

# Where more energies than this are needed, narrow levels are searched for: in all, and for each site of a long wire,
# whose standing waves take about six.
_MOST_WITHOUT_LEVELS, _MOST_PER_SITE = 4000, 12
# Share of the tolerance for which panels are halved where states are missing, before levels are searched for.
_FINER = 1e-2
# Only if the states that are missing are no more than this times the tolerance: else they are narrow levels.
_A_LITTLE = 10.0


class _HiddenLevels(Exception):
    """A rule misses states, and blocks may find them."""


class Bias:
    """The terms of one texture.  Energies are chosen for the first motion, so that the response is linear in it.

    sweeps: Green's functions of the texture; equilibrium: its density (*s, 4) by another Fermi function, by which the
    energies on the real axis are checked: where no level is missed, all states between two Fermi functions are found.
    Raises ToleranceError, which names the level or a remedy, where they are not.
    """

    def __init__(self, sweeps: Sweeps, equilibrium: Callable[[Occupation], Floats]) -> None:
        self.sweeps, self.device, self._equilibrium = sweeps, sweeps.device, equilibrium
        self._for_motion: Rule | None = None
        # The last motion, its integral, and the values that this is the integral of.
        self._known: tuple[Blocks, Floats, Floats] | None = None
        self._searched = False  # for narrow levels inside the bands
        self._long = LongBias(sweeps, self._lost) if is_long(sweeps.device, moving=True) else None

    # --- results ------------------------------------------------------------------------------------

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
        """Energy that it carries into the left and the right lead, (2,), energy/time.

        Counted from the levels of the lead, which a voltage shifts.
        """
        return self._still[2]

    def moved(self, rate: Blocks) -> Floats:
        """rho_motion for Hd = `rate` (*s, 2, 2): (*s, 4)."""
        return self._motion(rate)[0]

    def moved_into_leads(self, rate: Blocks) -> Floats:
        """Flow of rho_motion over the first bond of the left and the right lead into it, (2, 4), 1/time."""
        return self._motion(rate)[1]

    def moved_energy_into_leads(self, rate: Blocks) -> Floats:
        """Energy that rho_motion carries into the left and the right lead, (2,), energy/time, from their levels.

        d<H_lead>/dt, what the first bond gives to the lead included.
        """
        rule = self._chosen(rate)
        if isinstance(rule, Integrals):
            assert rule.first_energy is not None
            return rule.first_energy
        _ = self._motion(rate)
        assert self._known is not None
        values = self._known[2]
        flows = self._parts(values)[1][:, :, 1, :, 0]
        above = rule.energies[:, None, None] - np.array(self.device.voltages)
        stored = values[:, :, -2:]
        return rule.integral(above * flows + stored) / (2 * np.pi)

    def bonds(self, rate: Blocks | None) -> tuple[Floats, Floats]:
        """Flows over the bonds of rho_bias, and of rho_motion (zero without a `rate`), as `Sweeps.flows`."""
        rule = self._chosen(rate)
        if isinstance(rule, Integrals):
            assert self._long is not None
            return self._long.bonds(rate)
        found = rule.integral(self.sweeps.biased(rule.energies, rate, with_bonds=True).bonds) / (2 * np.pi)
        return found[0], found[1] if rate is not None else np.zeros_like(found[0])

    # --- energies -----------------------------------------------------------------------------------

    @cached_property
    def _at_rest(self) -> Rule:
        return self._adapted(None)

    def _rule(self, rate: Blocks | None) -> Rule:
        if rate is None:
            return self._at_rest if self._for_motion is None else self._for_motion
        if self._for_motion is None:
            self._for_motion = self._adapted(rate)
            values = self._for_motion.values
            self._known = rate, self._for_motion.integral(values) / (2 * np.pi), values
        return self._for_motion

    def _chosen(self, rate: Blocks | None) -> Integrals | Rule:
        """Integrals by blocks in a long wire, and where levels hide from a shorter one; else the rule."""
        found = self._by_blocks(rate)
        if found is not None:
            return found
        try:
            return self._rule(rate)
        except _HiddenLevels:
            return self._chosen(rate)

    def _by_blocks(self, rate: Blocks | None) -> Integrals | None:
        """Integrals at rest, or of this motion, in a long wire; None in others, and where blocks miss states."""
        if self._long is None:
            return None
        if not (self._long.moves or self._long.hides or is_long(self.device, moving=rate is not None)):
            return None
        try:
            return self._long.at_rest() if rate is None else self._long.moved(rate)
        except ToleranceError:
            self._long = None
            return None

    @cached_property
    def _still(self) -> tuple[Floats, Floats, Floats]:
        rule = self._chosen(None)
        if isinstance(rule, Integrals):
            return rule.rows[0], rule.into[0], rule.energy
        values = rule.values
        found = rule.integral(values) / (2 * np.pi)
        above = rule.energies[:, None, None] - np.array(self.device.voltages)
        energy = rule.integral(above * self._parts(values)[1][:, :, 0, :, 0]) / (2 * np.pi)
        rows, flows = self._parts(found[None, None])
        return rows[0, 0, 0], flows[0, 0, 0], energy

    def _motion(self, rate: Blocks) -> tuple[Floats, Floats]:
        rule = self._chosen(rate)
        if isinstance(rule, Integrals):
            assert rule.first is not None
            assert rule.first_into is not None
            return rule.first, rule.first_into
        if self._known is not None and np.array_equal(self._known[0], rate):
            found = self._known[1]
        else:
            values = self._values(rule.energies, rate)
            found = rule.integral(values) / (2 * np.pi)
            self._known = rate, found, values
        rows, flows = self._parts(found[None, None])
        return rows[0, 0, 1], flows[0, 0, 1]

    def _values(self, energies: Floats, rate: Blocks | None) -> Floats:
        """States on the sites, flows into the leads, `BiasedRows.stored`, one after the other: (n, s, all).

        s: `System.sources`.
        """
        found = self.sweeps.biased(energies, rate)
        n, s, f = len(energies), *found.rows.shape[1:3]
        # Explicit sizes: without energies -1 would be ambiguous.
        both = found.rows.reshape(n, s, f * 4 * self.device.n_sites), found.flows.reshape(n, s, f * 8)
        return np.concatenate([*both, found.stored.reshape(n, s, 2 * f - 2)], axis=2)

    def _parts(self, values: Floats) -> tuple[Floats, Floats]:
        """The first two of `_values` again: (n, sources, f, *s, 4) and (n, sources, f, 2, 4)."""
        shape, n = self.device.shape, values.shape[:2]
        f = values.shape[2] // (4 * self.device.n_sites + 8)
        sites = 4 * f * self.device.n_sites
        flows = values[:, :, sites : sites + 8 * f]
        return values[:, :, :sites].reshape(*n, f, *shape, 4), flows.reshape(*n, f, 2, 4)

    def _adapted(self, rate: Blocks | None) -> Rule:
        """A rule that meets the tolerance, for the bias at rest and for this motion, and finds all states."""
        device = self.device
        scale = self._scale(rate)
        sites = np.repeat(scale, 4 * device.n_sites)
        scales = np.concatenate([sites, np.repeat(scale / device.hopping, 8), self._scale_stored(scale)])

        def attempt(edges, most: int, share: float = 1.0) -> Rule:
            return device.bias_window().panels.adapted(
                edges,
                lambda energies: self._values(energies, rate),
                lambda values: values * scales,
                share * device.tolerance,
                1e-13 * device.hopping,
                most,
            )

        if rate is None or not self._tails_matter:
            with contextlib.suppress(ToleranceError):
                most = max(_MOST_WITHOUT_LEVELS, _MOST_PER_SITE * device.n_sites)
                coarse = attempt(device.bias_window().edges, most)
                lost = self._lost(self._found_by(coarse), with_levels=False)
                if lost <= device.tolerance:
                    return coarse
                # A rule that is only a little too coarse is made finer: that costs less than any search for levels.
                rules = [coarse]
                if lost <= _A_LITTLE * device.tolerance:
                    with contextlib.suppress(ToleranceError):
                        rules.append(attempt(device.bias_window().edges, most, _FINER))
                        if self._lost(self._found_by(rules[1]), with_levels=False) <= device.tolerance:
                            return rules[1]
                if self._long is not None and not self._long.hides:
                    self._long.hides = True
                    raise _HiddenLevels
                for rule in rules:
                    if self._lost(self._found_by(rule)) <= device.tolerance:
                        return rule
        self._searched = True
        if rate is not None:
            self._check_for_motion()
        rule = attempt(self._divided(moving=rate is not None), MOST_ENERGIES)
        lost = self._lost(self._found_by(rule))
        if lost > device.tolerance:
            raise ToleranceError(
                f"the electrons between the chemical potentials of the leads are found to {lost:.1e} only, "
                f"{device.tolerance:.1e} is needed: use a larger electrons.tolerance, higher temperatures or stronger "
                "couplings to the leads"
            )
        return rule

    def _scale(self, rate: Blocks | None) -> Floats:
        """By which values of the bias at rest, and for this motion, count beside the tolerance, (1,) or (2,)."""
        # A slow motion is held to a share of the tolerance in proportion, as the surface term is.
        size = 1.0 if rate is None else min(1.0, float(abs(rate).max()) / self.device.hopping**2)
        scale = np.full(1 if rate is None else 2, 1 / (2 * np.pi))
        if rate is not None and size:
            scale[1] /= size
        return scale

    def _scale_stored(self, scale: Floats) -> Floats:
        """The same of `BiasedRows.stored`."""
        return np.repeat(scale[1:] / self.device.hopping**2, 2)

    @property
    def _tails_matter(self) -> bool:
        """Whether there may be levels so narrow that their response counts where hardly any electrons differ.

        `_lost` does not see these.  At kT = 0 there are no such energies.
        """
        device, window = self.device, self.device.bias_window(BIAS_TAILS)
        at_zero = device.temperature == 0 and not any(lead.occupation.temperature for lead in device.ends)
        return not at_zero and may_be_narrow(self.sweeps, window.edges)

    # --- whether all states were found ------------------------------------------------------------

    def _found_by(self, rule: Rule) -> Callable[[int], Floats]:
        """All states between f_ref and the Fermi function of lead k, as a rule finds them: (*s, 4)."""
        found = rule.crossed(self._parts(rule.values)[0][:, :, 0]) / (2 * np.pi)
        return lambda k: found[k]

    def _lost(self, found: Callable[[int], Floats], *, with_levels: bool = True) -> float:
        """Largest part of a density that is missing in the states between f_ref and the Fermi function of a lead k.

        found: these states from real energies, by k, (*s, 4).  By the poles of the Fermi functions, which miss none,
        less those of discrete levels, which are searched for only `with_levels`.
        """
        device, worst = self.device, 0.0
        seen: list[Occupation] = []
        for k, (lead, occupation) in enumerate(device.sources):
            if lead.coupling == 0 or occupation == device.occupation or occupation in seen:
                continue
            seen.append(occupation)
            all_states = self._equilibrium(occupation) - self.sweeps.adiabatic
            missing = all_states - found(k)
            if with_levels and abs(missing).max() > device.tolerance:
                missing = missing - self._bound(occupation)
            worst = max(worst, float(abs(missing).max()))
        return worst

    def _bound(self, occupation: Occupation) -> Floats:
        """Part of the density by which discrete levels differ between a Fermi function and f_ref: (*s, 4)."""
        total = np.zeros((*self.device.shape, 4))
        for energy, traced in self._discrete:
            share = float(occupation(energy) - self.device.occupation(energy))
            total += share * traced
            if abs(share) > self.device.tolerance:
                self.device.tell_once(
                    "a level outside the bands of the leads, or without contact to them, lies where their occupations "
                    "differ: no lead fills it, it stays as filled as by fermi_energy and temperature of the electrons"
                )
        return total

    @property
    def _discrete(self) -> list[tuple[float, Floats]]:
        """Levels that no lead fills, those inside the bands as soon as they were searched for."""
        return self._outside + (self._without_width if self._searched else [])

    @cached_property
    def _outside(self) -> list[tuple[float, Floats]]:
        # Farther off no density can notice how they are filled.
        return bound_levels(self.sweeps, self.device.bias_window())

    @cached_property
    def _without_width(self) -> list[tuple[float, Floats]]:
        return without_width(self.sweeps, self._narrow_levels)

    @cached_property
    def _narrow_levels(self) -> list[Level]:
        """Levels inside the bands and the window at which panels should end."""
        return narrow_levels(self.sweeps, self.device.bias_window(BIAS_TAILS).stretches, self._counts)

    @property
    def _resolvable(self) -> list[Level]:
        """Those that have a width; at the others there is nothing to integrate."""
        return [one for one in self._narrow_levels if has_width(self.sweeps, one)]

    def _check_for_motion(self) -> None:
        """Raise ToleranceError where a level inside the bands has no width: a motion that gives it one diverges."""
        device = self.device
        for energy, _ in self._without_width:
            filled = device.occupation(energy)
            if any(abs(one(energy) - filled) > device.tolerance for lead, one in device.sources if lead.coupling):
                raise ToleranceError(
                    f"a level at {energy:.9g} has no contact to the leads but lies within their bands, where their "
                    "occupations differ: its response to a motion is not defined; use order = 0, other chemical "
                    "potentials, or a texture that mixes it with other levels"
                )

    def _counts(self, energy: float, width: float) -> bool:
        """Whether a level, whose response to a motion grows as 1/width, can be seen in a density."""
        return self._response(energy, width) > 1e-3 * self.device.tolerance

    def _response(self, energy: float, width: float) -> float:
        """How large that of a level may be, for a motion of the order of the hopping."""
        return self._differs(energy) * self.device.hopping / width

    def _differs(self, energy: float) -> float:
        """By how much a lead is filled otherwise than the device."""
        device = self.device
        filled, sources = device.occupation(energy), [one for lead, one in device.sources if lead.coupling]
        return float(max(abs(one(energy) - filled) for one in sources))

    def _divided(self, *, moving: bool) -> Edges:
        """First panels that end at narrow levels, those that a density or, if `moving`, a response can show."""
        levels = self._resolvable
        if moving:
            reached = [(one.energy, one.width, self._reach(one)) for one in levels]
            return self.device.bias_window(BIAS_TAILS).divided(reached)
        seen = [one for one in levels if self._differs(one.energy) > 1e-2 * self.device.tolerance]
        return self.device.bias_window().divided([(one.energy, one.width) for one in seen])

    def _reach(self, level: Level) -> float:
        """Up to how many half-widths from it the tails of a level, which fall as the square, count; at least 30."""
        return max(30.0, math.sqrt(self._response(level.energy, level.width) / (1e-2 * self.device.tolerance)))
