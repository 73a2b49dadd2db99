"""The Fermi-surface term of a chain, and the choice of the energies at which it is evaluated.

    rho_surf = (1/2pi) int f' Im[G Hd G Gamma G^+]

At kT = 0 this is one energy, E_F.  At kT > 0 a few energies on the real axis suffice if no level in the thermal window
is expected to be narrow and the window lies inside the band of the leads.  Otherwise the integral is taken along arcs
above the real axis, and resonances contribute residues (`thermal_surface.py`).
"""

from __future__ import annotations

import weakref
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .bound_states import NO_LEVELS, BoundStates, closed_levels
from .chain_arcs import ChainArcs, TurningLeads
from .chain_rows import SurfaceRows
from .chain_rules import RealRule
from .counter import Counter
from .fermi_step import Distances, Step, check_surface
from .green import smallest_widths
from .pauli import IDENTITY, pauli_traces
from .quadrature import fermi_derivative
from .system import System
from .thermal_surface import ThermalSurface

# Part of the tolerance that the rule over energy may use.
_SURFACE_SHARE = 1 / 4
_NO_TURN = np.zeros((2, 2), complex)
Floats = NDArray[np.float64]
# dH/dt (n, 2, 2) and the generator K (2, 2) of a rigid rotation.
Drive = tuple[np.ndarray, np.ndarray]
# Lengths of the Gauss rules that are tried in turn.
_GAUSS_LADDER = (5, 8, 13)
# Up to this number of sites a wire counts as short: widths are bounded cheaply, and arcs cost little.
_SHORT_WIRE = 32
# Share of the allowed error for the estimate by the thermal density of states: in 390 random wires of 2 to 127 sites
# that met it, the error was at most 0.11 of the tolerance (0.2 for a share of 1).
_REDUCED_SHARE = 1 / 2
# A width estimated from a few energies may be too large by this factor (2 from the average over both spins, the rest
# from energies between the samples).
ESTIMATE_MARGIN = 4


class _Chain(Protocol):
    """What `ChainSurface` needs of a chain.

    blocks: (n, 2, 2), H on the sites, energy; bounds: an interval that contains the spectrum, energy; counter: counts
    Green's functions; step, cancellation, distances, probe, dense_hamiltonian: see `fermi_step.Probed`.
    known_states: -(1/pi) int f Im dG/dE, (n, 4), 1/energy, if it has been evaluated already, else None.
    """

    device: System
    blocks: NDArray[np.complex128]
    bounds: tuple[float, float]
    counter: Counter
    known_states: NDArray[np.float64] | None

    @property
    def step(self) -> Step | None: ...

    @property
    def cancellation(self) -> float: ...

    @property
    def distances(self) -> Distances | None: ...

    def probe(self, z: complex) -> NDArray[np.complex128]: ...

    def dense_hamiltonian(self) -> NDArray[np.complex128]: ...

    def thermal_states(self, known: NDArray[np.float64] | None = None) -> tuple[NDArray[np.float64], float]:
        """-(1/pi) int f Im dG/dE, (n, 4), and a bound on its error, 1/energy; known: this density, if it is known."""
        ...

    def real_rows(
        self, rule: RealRule, rate: NDArray[np.complex128], K: NDArray[np.complex128], with_bonds: bool = False
    ) -> SurfaceRows:
        """Integrands from scattering states at the energies of `rule`."""
        ...


class ChainSurface:
    """The Fermi-surface term of one texture, linear in dH/dt; its energies are chosen for the first motion and kept.

    Raises ToleranceError, naming the level or the remedy, if the tolerance cannot be met.
    """

    def __init__(self, sweeps: _Chain) -> None:
        # A weak reference: in a reference cycle large arrays would stay alive until the next garbage collection.
        self.sweeps: _Chain = weakref.proxy(sweeps)
        self.device, self.blocks = sweeps.device, sweeps.blocks
        self._rule: RealRule | None = None
        self._arcs: ThermalSurface | None = None
        # (rule, dH/dt, sums): integrals computed while choosing the rule, kept so that they are not repeated.
        self._known: tuple[RealRule, np.ndarray, np.ndarray] | None = None
        self._turned: dict[bytes, RealRule | ThermalSurface] = {}

    # --- results ------------------------------------------------------------------------------------

    def density(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """rho_surf on the sites, (n, 4), for dH/dt = `rate` (n, 2, 2), contributions of discrete levels included."""
        chosen = self._for_motion(rate)
        if isinstance(chosen, ThermalSurface):
            return chosen.density(rate)
        surface = -self._integrate(chosen, rate, 1) / (2 * np.pi)
        if self.levels.any:
            surface += self.levels.surface(rate).on_sites()
        return surface

    def turned(self, rate: NDArray[np.complex128], K: NDArray[np.complex128]) -> NDArray[np.float64]:
        """The surface part of Bajpai and Nikolic for the rigid precession with generator K, dH/dt = `rate`: (n, 4)."""
        chosen = self._for_turn(rate, K)
        if isinstance(chosen, ThermalSurface):
            out = chosen.density(chosen.rate)
        else:
            out = -self._integrate(chosen, rate, 2, K) / (2 * np.pi)
        levels = self._discrete(chosen)
        return out + levels.unturned(K).on_sites() if levels.any else out

    def kept(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Part of d rho_ad/dt from changes of f at discrete levels, whose occupation is kept: (n, 4), 1/time."""
        levels = self._discrete(self._for_motion(rate))
        return levels.kept(rate).on_sites() if levels.any else np.zeros((self.device.n_sites, 4))

    def bonds(self, rate: NDArray[np.complex128], K: NDArray[np.complex128] | None = None) -> NDArray[np.float64]:
        """Flow over the bonds of the surface part for dH/dt = `rate` (n, 2, 2): (n - 1, 4) as in `green.contour_sums`.

        K: None, or the generator of a rigid precession, for the surface part of Bajpai and Nikolic.
        """
        hops = self.device.hops[:, None]
        chosen = self._for_motion(rate) if K is None else self._for_turn(rate, K)
        if isinstance(chosen, ThermalSurface):
            bonds = hops * chosen.bonds(rate if K is None else chosen.rate)
            levels = NO_LEVELS if K is None else self._discrete(chosen)
        else:
            bonds = -self._integrate(chosen, rate, 1 if K is None else 2, K, with_bonds=True) / (2 * np.pi)
            levels = self.levels
        if levels.any:
            shares = levels.surface(rate) if K is None else levels.unturned(K)
            bonds = bonds + shares.over_bonds(self.device.hops)
        return bonds

    def into_leads(self, rate: NDArray[np.complex128], K: NDArray[np.complex128] | None = None) -> NDArray[np.float64]:
        """Flow of the surface part over the first bonds of the left and the right lead, (2, 4), 1/time; K as `bonds`.

        On the real axis it has two terms: from G Hd G Gamma G^+ (with K: G K Gamma G^+) on the end site, and from the
        wave that enters from the same lead, sqrt(Gamma) (G Hd G) sqrt(Gamma) (with K: K sqrt(Gamma) G^+ sqrt(Gamma)).
        """
        return self._into_leads(rate, K, False)

    def energy_into_leads(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Energy that `into_leads` carries into either lead, (2,), energy/time, from the levels of the lead."""
        return self._into_leads(rate, None, True)[:, 0]

    def _into_leads(self, rate: NDArray[np.complex128], K: NDArray[np.complex128] | None, energy: bool) -> Floats:
        """Particles and spin, or in their place the `energy` that each of them carries, (2, 4)."""
        chosen = self._for_motion(rate) if K is None else self._for_turn(rate, K)
        if isinstance(chosen, ThermalSurface):
            # Discrete levels keep their occupation, but the change of their tails in the leads is a flow over the first
            # bonds.
            flow = chosen.into_leads(rate if K is None else chosen.rate, K, energy)
            return flow + chosen.tails(rate, energy) if K is None else flow
        flow = np.zeros((2, 4))
        if len(chosen.energies):
            found = self._rows(chosen, rate, K)
            gamma = np.real(chosen.roots[:, :, 0, 0] ** 2)[..., None]
            ends = found.rows[:, 1 if K is None else 2][:, [0, -1]]
            if K is None:
                own = np.real(pauli_traces(found.driven))
            else:
                reflected = np.stack([found.amplitudes[:, p, p] for p in range(2)], axis=1)
                own = 2 * np.imag(pauli_traces(K @ np.conj(np.swapaxes(reflected, -1, -2))))
            each = gamma * ends - own
            if energy:
                each = (chosen.energies[:, None] - np.array(self.device.voltages))[..., None] * each
            flow -= _weighted_sum(chosen.weights, each) / (2 * np.pi)
        return flow

    # --- choice of energies -------------------------------------------------------------------------

    @cached_property
    def levels(self) -> BoundStates:
        """Discrete levels of a closed wire inside the thermal window."""
        if not self.device.is_closed:
            return NO_LEVELS
        return closed_levels(self.device, self.sweeps.dense_hamiltonian(), *self.device.thermal_range)

    def _discrete(self, chosen: RealRule | ThermalSurface) -> BoundStates:
        """Discrete levels inside the thermal window."""
        return chosen.discrete() if isinstance(chosen, ThermalSurface) else self.levels

    def _for_motion(self, rate: NDArray[np.complex128]) -> RealRule | ThermalSurface:
        """The rule on the real axis or the arcs, chosen for the first motion and kept."""
        if self._arcs is None and self._rule is None:
            self._rule = self._real_axis((rate, _NO_TURN))
            if self._rule is None:
                self._arcs = self._along_arcs(rate)
        chosen = self._arcs or self._rule
        assert chosen is not None
        return chosen

    def _for_turn(self, rate: NDArray[np.complex128], K: NDArray[np.complex128]) -> RealRule | ThermalSurface:
        """The same for the rigid precession with generator K, which causes dH/dt = `rate`; kept for each K."""
        chosen = self._turned.get(K.tobytes())
        if chosen is None:
            chosen = self._real_axis((rate, K))
            if chosen is None:
                chosen = self._along_arcs(np.zeros_like(rate), K)
            self._turned[K.tobytes()] = chosen
        return chosen

    def _along_arcs(self, rate: NDArray[np.complex128], K: NDArray[np.complex128] | None = None) -> ThermalSurface:
        """Arcs and resonances that meet the tolerance for this motion, or for the precession with generator K."""
        device = self.device
        states, known_to = self._sharp_states
        return ThermalSurface(
            self.on_arcs,
            device.fermi_energy,
            device.temperature,
            device.tolerance,
            states,
            known_to,
            rate,
            None if K is None else TurningLeads(self.on_arcs.open_system, K),
            size=float(abs(rate).max() / device.hopping if K is None else abs(K).max()) / device.hopping,
        )

    @cached_property
    def on_arcs(self) -> ChainArcs:
        """Green's functions of this texture above the real axis."""
        return ChainArcs(self.device, self.blocks, self.sweeps.counter)

    @cached_property
    def _sharp_states(self) -> tuple[NDArray[np.float64], float]:
        """Thermal density of states as accurate as arcs need it, and a bound on its error: see `thermal_states`."""
        return self.sweeps.thermal_states(self.sweeps.known_states if self.needs_arcs else None)

    @cached_property
    def needs_arcs(self) -> bool:
        """Whether levels in the thermal window may be too narrow for a rule on the real axis."""
        device = self.device
        low, high = device.band
        if device.is_closed or device.temperature == 0:
            return False
        if not (low < self.device.thermal_range[0] and self.device.thermal_range[1] < high):
            return True
        if device.n_sites <= _SHORT_WIRE:
            return self.narrowest < device.temperature
        # In long wires arcs are expensive, and equidistant energies with smaller spacings are tried first.  In shorter
        # wires a rule with equidistant energies does not resolve levels narrower than the longest spacing: of 72 random
        # textures of 60 sites those where it held the tolerance had no level below 1.18 times that.
        share = 0.1 if device.n_sites > 4 * _SHORT_WIRE else 1.2
        return self.narrowest < min(share * self._longest_spacing, device.temperature)

    @cached_property
    def narrowest(self) -> float:
        """Smallest half-width, energy, of the levels in the thermal window, which must lie inside the band.

        For short wires the lower bound of `_width_bound` if it exceeds kT; otherwise an estimate by
        `green.smallest_widths` at a few energies.
        """
        device = self.device
        short = device.n_sites <= _SHORT_WIRE
        bound = self._width_bound() if short else 0.0
        if bound >= device.temperature:
            return bound
        samples = device.chain_rules.width_samples
        widths = np.empty(len(samples.energies))
        smallest_widths(samples.energies, self.blocks, device.hops, samples.retarded, widths)
        response = samples.largest / np.maximum(widths, 1e-300)
        return float(widths[samples.inside | (response > 1e-2 * device.tolerance)].min())

    @cached_property
    def _are_levels_broad(self) -> bool:
        """Whether no level in the thermal window can have a half-width below kT."""
        kT = self.device.temperature
        if self.device.n_sites <= _SHORT_WIRE and self._width_bound() >= kT:
            return True
        return self.narrowest >= ESTIMATE_MARGIN * kT

    def _real_axis(self, drive: Drive) -> RealRule | None:
        """Rule for int (-f') dE on the lead band that meets the tolerance for this motion; None if arcs are needed.

        The integrals for dH/dt and for the generator K of `drive` both meet it.
        """
        device = self.device
        nothing = device.chain_rules.no_rule
        low, high = device.band
        mu, kT = device.fermi_energy, device.temperature
        if device.is_closed:
            return nothing
        if kT == 0:
            return device.chain_rules.fermi_rule if low < mu < high else nothing
        size = max(abs(drive[0]).max() / device.hopping, abs(drive[1]).max()) / device.hopping
        target = _SURFACE_SHARE * device.tolerance * 2 * np.pi * min(1.0, size)
        if target == 0:
            return nothing
        if self.needs_arcs:
            return None
        # A Gauss rule with few energies can follow no more than about one oscillation of the integrand within kT, and
        # no level narrower than kT.
        smooth = self._ripple * kT <= 4 and self.narrowest >= kT
        chosen = self._gauss_rule(drive, target) if smooth else None
        return chosen or self._trapezoidal_rule(drive, target)

    def _gauss_rule(self, drive: Drive, target: float) -> RealRule | None:
        """A Gauss rule for -f' that agrees with the next shorter one within `target` and finds all thermal states.

        None if no rule does.
        """
        device = self.device
        sums = []
        for lengths in (_GAUSS_LADDER[:2], _GAUSS_LADDER[2:]):
            both = device.chain_rules.thermal_rule(lengths)
            terms = self._rows(both, *drive).rows
            end = 0
            for n in lengths:
                start, end = end, end + n
                sums.append(_weighted_sum(both.weights[start:end], terms[start:end]))
            if abs(sums[-1][1:] - sums[-2][1:]).max() < target:
                rule = device.chain_rules.thermal_rule(lengths[-1:])
                self._known = rule, drive[0], sums[-1]
                return rule if self._sees_all_states(sums[-1][0]) else None
        return None

    def _trapezoidal_rule(self, drive: Drive, target: float) -> RealRule | None:
        """Equidistant energies with an error below `target`; None if there are none.

        Waves reflected at the ends make the integrand oscillate as exp(i ripple E), see `_ripple`.  f' is analytic for
        |Im E| < pi kT, so that the sum over energies with spacing h has an error of about
        exp(-pi kT (2 pi/h - ripple)).  In long wires h follows from this formula: waves that are reflected more often
        oscillate faster, and would show as missing thermal states.  In shorter wires, and in long ones if states are
        missing, the spacing is halved, and the sums over the even and over the odd energies must agree.  If they do
        not, the error of the finer rule is estimated: halving the spacing reduces the error of the response about as
        much as that of the thermal density of states, which is known.
        """
        device = self.device
        bound = self._longest_spacing_for(target)
        is_long = device.n_sites > 4 * _SHORT_WIRE  # arcs would be expensive
        for spacing in [bound / 2**k for k in (range(5) if is_long else (1,))]:
            half = int(np.ceil((self.device.thermal_range[1] - device.fermi_energy) / (2 * spacing)))
            energies = np.asarray(device.fermi_energy + spacing * (np.arange(-2 * half, 2 * half) + 0.5), dtype=float)
            weights = -spacing * fermi_derivative(energies, device.fermi_energy, device.temperature)
            rule = device.chain_rules.real_rule(energies, weights)
            rows = self._rows(rule, *drive).rows
            even, odd = (_weighted_sum(weights[first::2], rows[first::2]) for first in range(2))
            del rows
            difference = 2 * abs(even[1:] - odd[1:]).max()
            agree = difference <= target
            if not (agree or is_long):
                self.sweeps.known_states = self._sharp_states[0]
                reduction = self._lost_states(even[0] + odd[0]) / max(self._lost_states(2 * even[0]), 1e-300)
                # That of the response, if narrower levels cause it than those whose states are missing.
                reduction = max(reduction, 2 * np.exp(-np.pi * self.narrowest / spacing))
                agree = difference * reduction <= _REDUCED_SHARE * target
            if (agree or spacing == bound) and self._sees_all_states(even[0] + odd[0]):
                self._known = rule, drive[0], even + odd
                return rule
        return None

    @property
    def _longest_spacing(self) -> float:
        """`_longest_spacing_for` motions of |dH/dt| = t^2 and more."""
        return self._longest_spacing_for(_SURFACE_SHARE * self.device.tolerance * 2 * np.pi)

    @property
    def equidistant(self) -> float:
        """How many energies the first rule on the real axis has, for motions of |dH/dt| = t^2 and more."""
        return 2 * (self.device.thermal_range[1] - self.device.fermi_energy) / self._longest_spacing

    def _longest_spacing_for(self, target: float) -> float:
        """Spacing of equidistant energies at which the error bound of `_trapezoidal_rule` equals `target`, energy."""
        return float(2 * np.pi / (self._ripple - np.log(target) / (np.pi * self.device.temperature)))

    @property
    def _ripple(self) -> float:
        """4 n/v, 1/energy, for n sites and the velocity v at E_F: twice the time to cross the wire and come back.

        The integrand contains terms that oscillate as exp(i ripple E), from waves that do so twice.
        """
        device = self.device
        return float(2 * device.n_sites / (device.hopping * np.sin(self._momentum(device.fermi_energy))))

    def _momentum(self, energy):
        """k of the leads, E = onsite - 2t cos k, in [0, pi]."""
        return np.arccos(np.clip((self.device.onsite - energy) / (2 * self.device.hopping), -1, 1))

    def _sees_all_states(self, states: NDArray[np.float64]) -> bool:
        """Whether a rule on the real axis that gives `states` reproduces the thermal density of states.

        states: 2 pi times this density, (n, 4); the reference is evaluated at the poles of f, where no level is missed.
        If no level in the window can be narrower than kT, the result is True without a comparison.
        """
        if self.sweeps.known_states is None and self._are_levels_broad:
            return True
        return self._lost_states(states) < self.device.tolerance

    def _lost_states(self, states: NDArray[np.float64]) -> float:
        """Largest difference between `states`/(2 pi), (n, 4), and the thermal density of states, times the hopping."""
        if self.sweeps.known_states is None:
            self.sweeps.known_states = self._sharp_states[0]
        return float(abs(self.sweeps.known_states - states / (2 * np.pi)).max() * self.device.hopping)

    def _width_bound(self) -> float:
        """A cheap lower bound on the half-widths of all levels in the thermal window, energy; 0 if one side is closed.

        The half-width of a normalised level v is (Gamma_L |v_1|^2 + Gamma_R |v_n|^2)/2.  From one site to the next
        |v|^2 grows at most by a factor exp(d/(t sin k)), where d bounds |H - onsite - (E - E_F)| on a site.
        """
        device = self.device
        t, k = device.hopping, self._momentum(device.fermi_energy)
        if not 0 < k < np.pi or (device.hops != t).any():
            return 0.0
        departure = self.device.thermal_range[1] - device.fermi_energy
        departure += abs(self.blocks - device.onsite * IDENTITY).sum(axis=2).max()
        growth = np.exp(min(0.5 * device.n_sites * departure / (t * np.sin(k)), 700.0))
        mismatch = (1 + abs(np.cos(k))) / (1 - abs(np.cos(k))) * (1 + max(device.couplings) ** 4 / t**4)
        gamma = min(-2 * sigma.imag for sigma in device.chain_rules.sigma_at_fermi_energy)
        return float(gamma / (device.n_sites * mismatch * growth))

    # --- integrals on the real axis -----------------------------------------------------------------

    def _rows(self, rule: RealRule, rate, K=None, with_bonds: bool = False) -> SurfaceRows:
        """Integrands at the energies of `rule`; ToleranceError if rounding makes them too inaccurate."""
        found = self.sweeps.real_rows(rule, rate, _NO_TURN if K is None else K, with_bonds)
        if len(rule.energies):
            # K is an energy, dH/dt an energy per time (hbar = 1).
            check_surface(self.sweeps, rate if K is None else K * self.device.hopping, found.rows[:, 0])
        return found

    def _integrate(self, rule: RealRule, rate, term: int, K=None, with_bonds: bool = False) -> NDArray[np.float64]:
        """int (-f') of part `term` of `green.surface_terms`, on the sites (n, 4) or over the bonds (n - 1, 4)."""
        if not len(rule.energies):
            return np.zeros((self.device.n_sites - with_bonds, 4))
        if self._known is not None and self._known[0] is rule and self._known[1] is rate and not with_bonds:
            return self._known[2][term]
        found = self._rows(rule, rate, K, with_bonds)
        return _weighted_sum(rule.weights, found.bonds if with_bonds else found.rows)[term]


def _weighted_sum(weights: NDArray[np.float64], terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """sum_k weights_k terms_k; a matrix product, because tensordot takes longer than the kernels of a short wire."""
    return (weights @ terms.reshape(len(weights), -1)).reshape(terms.shape[1:])
