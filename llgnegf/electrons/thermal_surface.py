"""The Fermi-surface term of an open device at kT > 0, also where its resonances are much narrower than kT.

    rho_surf = (1/2pi) int f' [ (G Y G + h.c.)/2 - G Y G^+ ] dE,        Y = dH/dt.

The first term is analytic above the real axis and is integrated there, well away from the poles of f.  In the second
each resonance of half-width gamma causes a peak of height 1/gamma^2.  Let A(z) be the continuation of G^+ from a
segment of the real axis between two thresholds into the upper half plane.  The integral over G Y A is taken along an
arc above that segment, where it is smooth, and the poles of A between the arc and the axis contribute their residues,

    int f' G Y G^+ dE = int_arc f' G Y A dz + 2 pi i sum_p f'(z_p) G(z_p) Y l_p r_p^+,        z_p = E_p^*

(`residues.py`).  A pole about as high as the arc would need a very fine quadrature.  Instead the quadrature error of
1/(z - z_p), which is known exactly, is added to the weight of the residue of that pole.  A discrete level is a pole on
the axis itself: it keeps its occupation while the moments move, so that its diagonal response is left out.  Where all
modes are closed, A equals G and both terms cancel except for such levels.

Where G Y (A - G) costs less than G Y A, as on a lattice (`slices_on_arcs.py`), the arcs serve both terms: the integral
over G Y G does not depend on the path.

A resonance that was missed would change the thermal density of states, -(1/2pi) int f' i (G - G^+) dE, which is known
independently from the poles of f.  If the two values disagree, levels are looked for more thoroughly, then the arcs are
lowered; if they still disagree after several attempts, ToleranceError is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .arc_paths import ArcPaths, Pole, Searched
from .arcs import Arcs, Gauss, Panel, complex_fermi_derivative, gauss_rule
from .bound_states import NO_LEVELS, BoundStates
from .open_system import Segment, Vectors
from .pauli import PAULI, state_traces
from .quadrature import ToleranceError
from .residues import Residue

# Points on a circle for the residue of a pole of f, whose radius is this share of the distance to the next pole.
_CIRCLE, _RADIUS = 8, 0.04
# The arcs are tried at this many heights; each is the previous height times this factor.
_ATTEMPTS, _LOWER = 5, 0.3
_MOST_PANELS = 2000
# Panels are not halved below this (half-length over the hopping): a level at a threshold makes the response diverge.
_SHORTEST_PANEL = 1e-10
# Relative rounding error of a width computed from the amplitudes at the ends.
_WIDTH_ROUNDING = 5e-15


@dataclass(frozen=True)
class _Done:
    """Nodes (k,) on the path of one segment, their weights, and traces of A (states) and of G Y A (response) there."""

    owner: int
    nodes: Vectors
    weights: Vectors
    states: Vectors
    response: Vectors


class Backend(Searched, Protocol):
    """What `ThermalSurface` needs of a chain or a lattice: a search for resonances, and Green's functions.

    gives_jump: `between` returns A - G and G Y (A - G) in place of A and G Y A.  Both terms of rho_surf are then
    integrated along the arcs.
    """

    gives_jump: bool

    def between(
        self, z: Vectors, segment: Segment, rate: Vectors, ends: Vectors | None = None, with_bonds: bool = False
    ) -> tuple[Vectors, Vectors, Vectors]:
        """Traces with 1, sigma_x, sigma_y, sigma_z at energies z (k,): of A and G Y A on sites, of G Y A over bonds.

        Over a bond of F: F_(next, this) - F_(this, next).
        rate: Y on the sites; ends: (k, 2, 2, 2), a term added to Y on the first and on the last site.
        """
        ...

    def at_ends(
        self, z: Vectors, segment: Segment, rate: Vectors, ends: Vectors | None, response: Vectors | None
    ) -> Vectors:
        """Traces of G Y A on the end slices, by mode: (k, 2, ny, 4); response: that of `between`, if it is known."""
        ...

    def over_bonds(self, a: Vectors, b: Vectors) -> Vectors:
        """The traces over bonds of F = a b^+, for states a, b (N,)."""
        ...


@dataclass
class ThermalSurface:
    """Arcs and resonances that meet the tolerance for one texture; its methods are linear in dH/dt.

    temperature kT > 0, fermi_energy: energies; tolerance: bound on the error of the density.
    thermal_states: -(1/2pi) int f' i (G - G^+) from the poles of f, traced, with an error below `known_to`; 1/energy.
    rate: the motion for which the tolerance is met; size: about its largest |dH/dt| over hopping^2; ends: a term that
    is added to Y on the end sites, see `Backend.between`.
    Raises ToleranceError naming the level or the remedy.
    """

    backend: Backend
    fermi_energy: float
    temperature: float
    tolerance: float
    thermal_states: NDArray[np.float64]
    known_to: float
    rate: Vectors
    ends: Callable[[Vectors, Segment], Vectors] | None = None
    size: float = 1.0
    arcs: Arcs = field(init=False)
    missed: float = field(init=False)

    _circle_error: float = field(init=False, default=0.0)
    _known: dict[int, tuple[Vectors, Vectors]] = field(init=False, default_factory=dict)
    _at_poles: dict[int, tuple[Vectors, Vectors, Vectors]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.system = self.backend.open_system
        self.hopping = self.system.modes.hopping
        with_analytic = not (self.ends or self.backend.gives_jump)
        self.paths = ArcPaths(self.backend, self.fermi_energy, self.temperature, self.tolerance, with_analytic)
        height = self.paths.highest
        allowed = min(1.0, self.size) * self.tolerance
        for attempt in range(_ATTEMPTS):
            self.paths.thorough = attempt > 0
            self.paths.search(height)
            self._lay_arcs(allowed)
            if self._circle_error > 0.1 * allowed:
                self.paths.may_cross = False
                self.paths.search(height)
                self._lay_arcs(allowed)
            self.missed = float(abs(self.states() - self.thermal_states).max())
            if self.missed <= self._states_target + self.known_to:  # False for NaN
                self._check_rounding(allowed)
                self._check_widths(self.rate)
                return
            if attempt:  # the second attempt looks for levels again, at the same height
                height *= _LOWER
        raise ToleranceError(
            f"the Fermi-surface term at temperature = {self.temperature:g} finds other thermal states than the poles "
            f"of the Fermi function do ({self.missed:.1e} a site and unit of energy, {self.known_to:.1e} are allowed) "
            f"at tolerance = {self.tolerance:g}: use a larger electrons.tolerance, another temperature or 0.0"
        )

    # --- energies on the paths ------------------------------------------------------------------------

    @property
    def _states_target(self) -> float:
        """Allowed error of the arcs in the thermal density of states, 1/energy."""
        return max(2.5e-2 * self._share * self.tolerance, 1e-12) / self.hopping

    @property
    def _share(self) -> int:
        """How often what `between` says of the states counts: A - G once; A twice, since on the axis G is A^+."""
        return 1 if self.backend.gives_jump else 2

    @property
    def _rule(self) -> Gauss:
        """Gauss' rule used on each panel."""
        return gauss_rule(8 if self.tolerance > 3e-5 else 13)

    def _lay_arcs(self, tolerance: float) -> None:
        """Halve panels until the integrals of `rate` and of the thermal states converge; sets `arcs`."""
        kT, rule = self.temperature, self._rule
        paths = self.paths.paths()
        for pole in self.paths.poles:
            pole.is_near = pole.is_near and any(n == pole.owner and g.passes_by(np.array([pole.at])) for n, g in paths)
        panels = []
        for number, gate in paths:
            panels += self.paths.resolving(gate.panels(number, 12 * kT), number, len(rule.x), tolerance)
        done: list[_Done] = []
        self._at_poles = {}
        target = 2 * np.pi * tolerance / np.sqrt(max(len(panels), 1))
        states_target = np.pi / self._share * self._states_target / np.sqrt(max(len(panels), 1))
        while panels:
            if len(panels) + len(done) > _MOST_PANELS:
                raise ToleranceError(
                    f"the Fermi-surface term at temperature = {kT:g} did not converge to tolerance = "
                    f"{self.tolerance:g} within {_MOST_PANELS * len(rule.x)} energies: use a larger "
                    "electrons.tolerance, a higher temperature or a stronger coupling to the leads"
                )
            coarse = []
            for panel, one in zip(panels, self._evaluated(panels), strict=True):
                jacobian = (one.weights / rule.weights)[:, None]
                states, response = (
                    jacobian * (values.reshape(len(rule.x), -1) - poles.reshape(len(rule.x), -1))
                    for values, poles in zip((one.states, one.response), self._near_poles(one), strict=True)
                )
                # The thermal states are taken from A; on the path for G Y G they are not needed.
                fine = one.owner == len(self.paths.gates) or rule.error(states) <= states_target
                if fine and rule.error(response) <= target:
                    done.append(one)
                elif abs(panel.c1) > _SHORTEST_PANEL * self.hopping:
                    coarse.append(panel)
                else:
                    raise ToleranceError(
                        f"the Fermi-surface term at temperature = {kT:g} has no limit at "
                        f"{complex(one.nodes[0]).real:.9g}, where a mode of the leads opens and there is a level: "
                        "change electrons.fermi_energy or electrons.sd_exchange, or use temperature = 0.0"
                    )
            panels = [half for panel in coarse for half in panel.halves()]
        path_of = dict(paths)
        for pole in self.paths.poles:
            if pole.is_near:
                gate = path_of[pole.owner]
                on_path = [one for one in done if one.owner == pole.owner]
                z, weights = (np.concatenate([getattr(one, name) for one in on_path]) for name in ("nodes", "weights"))
                exact = gate.over_pole(pole.at, self.fermi_energy, kT)
                pole.weight += (exact - (weights / (z - pole.at)).sum()) / (2j * np.pi)
        circles = [self._circle(owner) for owner, gate in paths if gate.crosses]
        self._circle_error = max((self._error_of_circle(one) for one in circles), default=0.0)
        done += circles
        done.sort(key=lambda one: (one.owner, one.nodes[0].real))
        self.arcs = Arcs(
            nodes=np.concatenate([np.empty(0, complex), *(one.nodes for one in done)]),
            weights=np.concatenate([np.empty(0, complex), *(one.weights for one in done)]),
            owners=np.concatenate([np.empty(0, int), *(np.full(len(one.nodes), one.owner) for one in done)]),
        )
        # (states, response) at the nodes of each owner, kept so that they are not evaluated again.
        self._known = {}
        for owner in sorted({one.owner for one in done}):
            mine = [one for one in done if one.owner == owner]
            both = np.concatenate([one.states for one in mine]), np.concatenate([one.response for one in mine])
            self._known[owner] = both

    def _near_poles(self, one: _Done) -> tuple[Vectors, Vectors]:
        """Contributions of the poles near a path to the states and the response at its nodes: (nodes, sites x 4)."""
        if one.owner not in self._at_poles:
            mine = [pole for pole in self.paths.poles if pole.owner == one.owner and pole.is_near]
            traces = [(state_traces(left, r), state_traces(a, r)) for left, r, a in map(self._vectors, mine)]
            size = self.thermal_states.size
            states, response = (
                np.array([pair[i].ravel() for pair in traces], complex).reshape(len(mine), size) for i in (0, 1)
            )
            self._at_poles[one.owner] = np.array([pole.at for pole in mine], complex), states, response
        at, states, response = self._at_poles[one.owner]
        cauchy = 1 / (one.nodes[:, None] - at)
        return cauchy @ states, cauchy @ response

    def _vectors(self, pole: Pole) -> tuple[Vectors, Vectors, Vectors]:
        """l_p, r_p and G(z_p) Y l_p, (N,) each, for the motion `rate`."""
        block = pole.residue.block
        return block.left[:, pole.p], block.right[:, pole.p], self._driven_response(pole, self.rate)

    def _evaluated(self, panels: list[Panel]) -> list[_Done]:
        """Integrands of the states and of the response at the points of each panel."""
        rule = self._rule
        points = [panel.at(rule.x) for panel in panels]
        out: dict[int, _Done] = {}
        for owner in sorted({panel.owner for panel in panels}):
            mine = [i for i, panel in enumerate(panels) if panel.owner == owner]
            states, response, _ = self._between(np.concatenate([points[i][0] for i in mine]), owner, self.rate)
            for j, i in enumerate(mine):
                z, dz = points[i]
                weights = complex_fermi_derivative(z, self.fermi_energy, self.temperature) * dz * rule.weights
                part = slice(j * len(rule.x), (j + 1) * len(rule.x))
                out[i] = _Done(owner, z, weights, states[part], response[part])
        return [out[i] for i in range(len(panels))]

    def _circle(self, owner: int) -> _Done:
        """2 pi i times the residue at the first pole z_0 of f, where f' = kT/(z - z_0)^2.

        It is a derivative of the integrand at z_0, evaluated from points on a circle around z_0.
        """
        radius = _RADIUS * self.paths.near_pole
        turns = np.exp(2j * np.pi * np.arange(_CIRCLE) / _CIRCLE)
        z = self.fermi_energy + 1j * np.pi * self.temperature + radius * turns
        states, response, _ = self._between(z, owner, self.rate)
        return _Done(owner, z, 2j * np.pi * self.temperature / (_CIRCLE * radius * turns), states, response)

    def _error_of_circle(self, one: _Done) -> float:
        """Estimated error of the density due to the circle: of its number of points, and of rounding on it."""
        radius = _RADIUS * self.paths.near_pole
        energy = max(abs(self.fermi_energy), self.hopping)
        relative = _RADIUS ** (_CIRCLE + 1) + np.finfo(float).eps * energy / radius
        size = abs(one.weights) @ abs(one.response).reshape(len(one.weights), -1)
        return float(relative * size.max() / (2 * np.pi))

    def _between(self, z: Vectors, owner: int, rate: Vectors, with_bonds: bool = False):
        segment = (self.paths.gates[owner] if owner < len(self.paths.gates) else self.paths.analytic_gate).segment
        ends = None if self.ends is None else self.ends(z, segment)
        return self.backend.between(z, segment, rate, ends, with_bonds)

    # --- results --------------------------------------------------------------------------------------

    def states(self) -> NDArray[np.float64]:
        """Thermal density of states -(1/2pi) int f' i (G - G^+) on the sites, traced, 1/energy."""
        out = np.zeros(self.thermal_states.shape)
        for owner, part in self.arcs.parts():
            if owner == len(self.paths.gates):
                continue
            states, _ = self._known[owner]
            out += np.real(np.tensordot(self._share * 0.5j * self.arcs.weights[part] / np.pi, states, axes=1))
        for pole in self.paths.poles:
            block, p = pole.residue.block, pole.p
            share = self._share if block.segment.open_modes.any() else 1
            out -= np.real(share * pole.weight * state_traces(block.left[:, p], block.right[:, p])).reshape(out.shape)
        return out

    def _is_known(self, rate: Vectors) -> bool:
        return rate is self.rate or np.array_equal(rate, self.rate)

    def _sign(self, owner: int) -> int:
        return -1 if owner == len(self.paths.gates) else 1

    def density(self, rate: Vectors) -> NDArray[np.float64]:
        """rho_surf on the sites, traced, for Y = `rate` (dH/dt on the sites)."""
        out = np.zeros(self.thermal_states.shape)
        for owner, part in self.arcs.parts():
            response = (
                self._known[owner][1] if self._is_known(rate) else self._between(self.arcs.nodes[part], owner, rate)[1]
            )
            out -= self._sign(owner) * np.real(np.tensordot(self.arcs.weights[part] / (2 * np.pi), response, axes=1))
        for a, b in self._pairs(rate):
            out += np.real(state_traces(a, b)).reshape(out.shape)
        if not np.isfinite(out).all():
            raise ToleranceError(
                f"the Fermi-surface term at temperature = {self.temperature:g} is not a number: an energy is out of "
                "range or a level lies exactly at a band edge; change electrons.fermi_energy or electrons.temperature"
            )
        return out

    def bonds(self, rate: Vectors) -> NDArray[np.float64]:
        """rho_surf over bonds: Tr[sigma_a i (rho_this,next - rho_next,this)], the flow if the hopping were 1.

        Of a lattice whose bonds along y are matrices also Tr[sigma_a (rho_this,next + rho_next,this)] of those, [:, 2].
        """
        nothing = np.zeros(self.system.size, complex)
        total = self.backend.over_bonds(nothing, nothing)
        for owner, part in self.arcs.parts():
            _, _, bonds = self._between(self.arcs.nodes[part], owner, rate, with_bonds=True)
            total = total - self._sign(owner) * np.tensordot(self.arcs.weights[part] / (2 * np.pi), bonds, axes=1)
        for a, b in self._pairs(rate):
            total = total + self.backend.over_bonds(a, b)
        found = np.imag(total)
        if total.ndim == 4 and total.shape[1] == 3:
            found[:, 2] = np.real(total[:, 2])
        return found

    def into_leads(self, rate: Vectors, K: Vectors | None = None, energy: bool = False) -> NDArray[np.float64]:
        """Flow into the left and the right lead, Tr[sigma_a Gamma rho_surf] on the end slices: (2, 4), 1/time.

        K: generator of the rotation, if `ends` is the `TurningLeads` of a chain; then 2 Im[K Gamma G^+] is subtracted,
        for the wave that enters from the same lead.  energy: the energy that all this carries, energy/time.
        """
        flow = np.zeros((2, 4))
        for owner, part in self.arcs.parts():
            if owner == len(self.paths.gates):
                continue
            z, weights, segment = self.arcs.nodes[part], self.arcs.weights[part], self.paths.gates[owner].segment
            weights = z * weights if energy else weights
            widths = self.system.widths(z, segment.open_modes)
            ends = None if self.ends is None else self.ends(z, segment)
            known = self._known[owner][1] if self._is_known(rate) else None
            taken = self.backend.at_ends(z, segment, rate, ends, known)
            flow -= np.real(np.einsum("k,kpm,kpma->pa", weights, widths, taken)) / (2 * np.pi)
            if K is not None:
                states = self._known[owner][0][:, [0, -1]]
                flow -= np.imag(np.einsum("k,kp,kpa,ba->pb", weights, widths[..., 0], states, _turned(K))) / np.pi
        for pole, (a, b) in zip(self.paths.poles, self._pairs(rate), strict=True):
            block, p = pole.residue.block, pole.p
            z = np.array([pole.at])
            widths = self.system.widths(z, block.segment.open_modes)[0] * (pole.at if energy else 1.0)
            flow += np.real(np.einsum("pm,pma->pa", widths, self._end_traces(a, b)))
            if K is not None:
                states = self._end_traces(block.left[:, p], block.right[:, p])[:, 0]
                flow -= np.imag(2j * pole.weight * widths * (states @ _turned(K).T))
        return flow

    def _end_traces(self, a: Vectors, b: Vectors) -> Vectors:
        """Traces of a b^+ on both end slices by mode, for states a, b (N,): (2, ny, 4)."""
        at_ends = [self.system.amplitudes(v[:, None])[:, 0] for v in (a, b)]
        return state_traces(*at_ends).reshape(2, -1, 4)

    def tails(self, rate: Vectors, energy: bool = False) -> NDArray[np.float64]:
        """Flow over the first bonds of the leads due to changing tails of discrete levels in the leads: (2, 4), 1/time.

        It decays inside the lead: no particles arrive deep inside.  energy: what leads have of their energy instead.
        """
        flow = np.zeros((2, 4))
        for pole in self.paths.poles:
            residue, p = pole.residue, pole.p
            block = residue.block
            if block.half_widths[p] == 0:
                left_out = residue.response(p, self._driven(residue, p, rate))[1]
                at = complex(block.energies[p])
                change = self.system.slope(at, block.segment.open_modes)[::2].reshape(2, -1)
                if energy:  # d(E Sigma)/dE
                    sigma = self.system.self_energy(at, block.segment.open_modes)[::2].reshape(2, -1)
                    change = at * change + sigma
                traces = self._end_traces(block.right @ left_out, block.right[:, p])
                flow += np.real(pole.weight * np.einsum("pm,pma->pa", change, traces))
        return flow

    def discrete(self) -> BoundStates:
        """The discrete levels in the thermal window, as `BoundStates` without resolvents."""
        levels = [pole for pole in self.paths.poles if pole.residue.block.half_widths[pole.p] == 0]
        states, weighted, energies = [], [], []
        done: list[tuple[int, float]] = []
        for pole in levels:
            residue, p = pole.residue, pole.p
            energy = float(residue.block.energies[p].real)
            if any(key == id(residue) and abs(e - energy) <= residue.same for key, e in done):
                continue
            done.append((id(residue), energy))
            basis = residue.orthonormal(p)
            for v, w in zip(basis.T, residue.overlapping(p, basis).T, strict=True):
                states.append(v.reshape(-1, 2))
                weighted.append(w.reshape(-1, 2))
                energies.append(energy)
        if not energies:
            return NO_LEVELS
        slopes = np.real(complex_fermi_derivative(np.array(energies, complex), self.fermi_energy, self.temperature))
        same = 1e-8 * self.hopping
        return BoundStates(np.array(energies), np.array(states), np.array(weighted), [], slopes, same)

    def _pairs(self, rate: Vectors) -> list[tuple[Vectors, Vectors]]:
        """Pairs of states (a, b), (N,) each: the residues add the Hermitian part of sum a b^+ to the density matrix."""
        self._check_widths(rate)
        return [
            (-1j * pole.weight * self._driven_response(pole, rate), pole.residue.block.right[:, pole.p])
            for pole in self.paths.poles
        ]

    def _driven_response(self, pole: Pole, rate: Vectors) -> Vectors:
        """G(z_p) Y l_p, (N,), without the diagonal response of a discrete level; kept for the motion `self.rate`."""
        if pole.response is not None and self._is_known(rate):
            return pole.response
        residue, p, block = pole.residue, pole.p, pole.residue.block
        response, left_out = residue.response(p, self._driven(residue, p, rate))
        if block.half_widths[p] > 0:
            response = response + block.right[:, p] * (left_out[p] / (2j * block.half_widths[p]))
        if self._is_known(rate):
            pole.response = response
        return response

    def _driven(self, residue: Residue, p: int, rate: Vectors) -> Vectors:
        """Y l_p, (N,)."""
        left = residue.block.left[:, p]
        spinors = left.reshape(-1, 2)
        out = np.matmul(rate.reshape(-1, 2, 2), spinors[:, :, None])[:, :, 0]
        if self.ends is not None:
            z = np.array([np.conj(residue.block.energies[p])])
            on_ends = self.ends(z, residue.block.segment)[0]
            out = out.copy()
            out[0] += on_ends[0] @ spinors[0]
            out[-1] += on_ends[1] @ spinors[-1]
        return out.ravel()

    def _check_rounding(self, allowed: float) -> None:
        """Raise ToleranceError if rounding of the energies changes the integrals along the paths by more than this.

        Singularities, of f' as of resonances, are about as far away as the path is high above the axis.
        """
        energy = max(abs(self.fermi_energy), self.hopping)
        total = np.zeros(self.thermal_states.size)
        for owner, part in self.arcs.parts():
            z, weights = self.arcs.nodes[part], self.arcs.weights[part]
            response = abs(self._known[owner][1]).reshape(len(z), -1)
            total += (abs(weights) * energy / abs(z.imag)) @ response / (2 * np.pi)
        error = 4 * np.finfo(float).eps * float(total.max(initial=0.0))
        if error > allowed:
            raise ToleranceError(
                f"the Fermi-surface response at temperature = {self.temperature:g} is so large that rounding of the "
                f"energies changes it by up to {error:.1e}, more than tolerance = {self.tolerance:g} allows: use a "
                "larger electrons.tolerance, a stronger coupling to the leads, a higher temperature, or 0.0"
            )

    def _check_widths(self, rate: Vectors) -> None:
        """Raise ToleranceError if rounding of a narrow width changes its response by more than the tolerance."""
        size = float(abs(rate).max()) / self.hopping**2 if self.ends is None else self.size
        allowed = self.tolerance * min(1.0, size)
        for pole in self.paths.poles:
            residue, p, slope = pole.residue, pole.p, pole.weight
            block = residue.block
            gamma = block.half_widths[p]
            if gamma == 0:
                continue
            share = abs(np.vdot(block.left[:, p], self._driven(residue, p, rate)))
            largest = abs(block.right[:, p].reshape(-1, 2) ** 2).sum(axis=1).max()
            response = abs(slope) * share * largest / (2 * gamma)
            # f'(E_p) has a relative error of the rounding of E_p over kT.
            energy = max(abs(block.energies[p]), abs(self.fermi_energy), self.hopping)
            rounding = _WIDTH_ROUNDING + 1.5 * np.finfo(float).eps * energy / self.temperature
            if response * rounding > allowed:
                raise ToleranceError(
                    f"a level at {block.energies[p].real:.6g}, {block.energies[p].real - self.fermi_energy:.3g} from "
                    f"the Fermi energy, has a half-width of {gamma:.1e}: its Fermi-surface response is {response:.1e} "
                    f"and cannot be computed to tolerance = {self.tolerance:g}; use a larger electrons.tolerance, a "
                    "stronger coupling to the leads, or temperature = 0.0"
                )


def _turned(K: Vectors) -> Vectors:
    """Matrix (4, 4) that maps the traces of a 2 x 2 block B with 1, sigma_x, sigma_y, sigma_z to those of K B."""
    return np.einsum("bij,jk,aki->ba", PAULI, K, PAULI) / 2
