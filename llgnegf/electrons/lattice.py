"""Green's functions of a square lattice and integrals of them over energy; the equations are in `frozen.py`.

A slice is one column x with all its y; sweeps go through the slices (`slices.py`).  The sea term is in `sea.py`,
scattering states in `scattering.py`, the Fermi surface in `lattice_surface.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .bond_flows import Bonds, of_layers
from .chain_rows import BiasedRows
from .counter import Counter
from .fermi_step import Distances, Step, choose_step, distances_of
from .lattice_hops import hops_and_matrices
from .lattice_parts import Difference
from .lattice_surface import MOST_LEVEL_SITES, LatticeSurface
from .modes import cross_section
from .nested_dissection import NestedDissection
from .nested_sea import NestedFirstOrder
from .open_system import segments
from .pauli import pauli_traces
from .pole_rules import DERIVATIVE_ERROR
from .quadrature import FermiPoles
from .ranks import are_several, each_energy
from .scattering import RealEnergy
from .sea import FOURTH_ORDER, SECOND_ORDER, FirstOrder, WeightedLogarithms, traced
from .shifted_surface import ShiftedLatticeSurface
from .slice_blocks import Allocator, Slices, Stack
from .slices import Sweep, eliminate, new, two_point
from .slices import sweep as run_sweep
from .sweeps import Response, Sea
from .system import System
from .threads import one_blas_thread

# Number of energies swept in one call times the number of matrix elements of a slice, (2 ny)^2.  For narrow lattices
# several energies share the overhead of a call; for wide ones the matrices stay in the processor's cache.
_STACK_ELEMENTS = 6400
# Scattering states are kept for further motions up to this total size.
_KEPT_STATES_BYTES = 500_000_000
# Energies at which a device keeps ln det G^-1 of its lattice without moments.
_MOST_BARE = 5000
# For the estimate of memory: largest number of energies in a thermal window with narrow resonances.
_MOST_THERMAL_ENERGIES = 1000
_ROUNDING = float(np.finfo(float).eps)
# A lead connected by less than this (times the hopping) broadens the levels of partial lattices too little, so that
# elimination should start at the other end.
_WEAK_CONTACT = 1 / 2


class LatticeSweeps:
    """`sweeps.Sweeps` of a square lattice at fixed moments (nx, ny, 3) and gates (nx, ny).

    blocks: (nx, ny, 2, 2), H on the sites, energy; bounds: an interval that contains the spectrum, energy.
    at_fermi_energy: at kT = 0, always put the step of the Fermi function at E_F, even if a level lies there.
    nested: whether nested dissection takes the place of sweeps; None: where it is faster.
    """

    leads_need_response = False
    surface_is_cheap = True

    def __init__(
        self,
        device: System,
        blocks: NDArray[np.complex128],
        bounds: tuple[float, float],
        counter: Counter,
        at_fermi_energy: bool = False,
        *,
        nested: bool | None = None,
    ) -> None:
        self._at_fermi_energy = at_fermi_energy
        self.device, self.blocks, self.bounds, self.counter = device, blocks, bounds, counter
        self.narrow: dict[Any, Any] = {}
        self.nested = NestedDissection.of(device, blocks, counter, nested)
        self._wanted = nested
        if self.nested is None:
            _ = self.slices  # before threads, which would each make them
        self._equilibrium: NDArray[np.float64] | None = None
        self._is_split = False
        self._first_order: FirstOrder | None = None
        self._nested_order: NestedFirstOrder | None = None
        self._states: dict[float, RealEnergy] = {}

    @cached_property
    def slices(self) -> Slices:
        """Blocks of H along x."""
        return self._slices_of(self.blocks, self.counter)

    def _slices_of(self, blocks: NDArray[np.complex128], counter: Counter) -> Slices:
        """Those of other blocks on the sites."""
        device = self.device
        h = slice_hamiltonians(device, blocks)
        return Slices(h, device.hops, counter, device.holes, device.bonds_along_x, device.has_matrices)

    @cached_property
    def near_levels(self) -> NestedDissection | None:
        """See `LatticeParts`."""
        if self.nested is not None:
            return self.nested
        return NestedDissection.near_levels(self.device, self.blocks, self.counter, self._wanted)

    # --- equilibrium ------------------------------------------------------------------------------

    @cached_property
    @one_blas_thread
    def rule(self) -> FermiPoles:
        """The pole rule of this texture."""
        device, step = self.device, self.step
        if step is None:
            return device.pole_rules.rule(self.bounds, device.pole_rules.least_gap)
        return step.rule(device, self.bounds)

    @cached_property
    @one_blas_thread
    def step(self) -> Step | None:
        """Where the step of the Fermi function is placed at kT = 0; None at kT > 0."""
        return choose_step(self) if self.device.temperature == 0 and not self._at_fermi_energy else None

    @property
    def cancellation(self) -> float:
        """Factor by which rounding errors grow in the sea term, where products of two Green's functions cancel.

        It is 1 over the relative step of the central difference; close to levels that is the one of fourth order.
        """
        return 1 / FOURTH_ORDER.step

    def probe(self, z: complex) -> NDArray[np.complex128]:
        """G on the sites at z, traced with 1, sigma_x, sigma_y, sigma_z: (nx, 1, ny, 4), 1/energy."""
        return pauli_traces(self.local_blocks(np.array([z])))

    @property
    def distances(self) -> Distances | None:
        """Eigenvalues of H + Sigma(E) - E at a real energy outside the bands; None for large lattices."""
        if self.device.n_sites > MOST_LEVEL_SITES:
            return None
        return distances_of(self.device, self.dense_hamiltonian())

    def sweep(
        self,
        z: NDArray[np.complex128],
        keep: int = 0,
        flipped: bool = False,
        with_bonds: bool = False,
        allocate: Allocator = new,
    ) -> Sweep:
        """See `LatticeParts`."""
        left, right = self.device.lead_slices(tuple(z))
        if flipped:
            return run_sweep(self.slices.reversed(), z, (right, left), keep, with_bonds, allocate)
        return run_sweep(self.slices, z, (left, right), keep, with_bonds, allocate)

    def local_blocks(self, z: NDArray[np.complex128], with_bonds: bool = False, allocate: Allocator = new) -> Stack:
        """Blocks of G in the layout of `slices.Sweep.blocks` at energies z (k,), Im z >= 0."""
        if self.nested is None:
            return self.sweep(z, with_bonds=with_bonds, allocate=allocate).blocks
        found = []
        for energy in z:
            with self.device.scratch.lent() as temporary:
                factors = self.nested.factorize(complex(energy), temporary, temporary)
                if factors is not None:
                    found.append(factors.blocks(with_bonds, temporary))
            if factors is None:
                found.append(self.sweep(np.array([energy]), with_bonds=with_bonds, allocate=allocate).blocks[0])
        return np.array(found)

    def driven_blocks(self, z: NDArray[np.complex128], rate: Stack) -> Stack:
        """G Hd G at energies z (k,), Im z > 0, in the layout of `slices.Sweep.blocks`; `rate` = Hd (nx, ny, 2, 2)."""
        if self.nested is None:
            G = self.sweep(z, len(rate))
            return two_point(G, G, self.slices, rate, len(rate))
        found = []
        for energy in z[:, None]:
            with self.device.scratch.lent() as temporary:
                factors = self.nested.factorize(complex(energy[0]), temporary, temporary)
                if factors is not None:
                    found.append(self.nested.driven(factors, None, rate, temporary)[1][None])
            if factors is None:
                G = self.sweep(energy, len(rate))
                found.append(two_point(G, G, self.slices, rate, len(rate)))
        return np.concatenate(found)

    def log_determinants(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """ln det G^-1 at energies z (k,): (k,)."""
        return self._log_determinants(self.nested, lambda: self.slices, z)

    def _log_determinants(
        self, nested: NestedDissection | None, slices: Callable[[], Slices], z: NDArray[np.complex128]
    ) -> NDArray[np.complex128]:
        """Those of a lattice with these leads, by nested dissection where there is one, else by its slices."""

        def by_sweeps(energies: NDArray[np.complex128]) -> NDArray[np.complex128]:
            return eliminate(slices(), energies, self.device.lead_slices(tuple(energies)), with_logdet=True)[1]

        if nested is None:
            return by_sweeps(z)
        found = []
        for energy in z[:, None]:
            with self.device.scratch.lent() as temporary:
                factors = nested.factorize(complex(energy[0]), temporary, temporary)
                if factors is not None:
                    found.append(factors.log_determinant())
            if factors is None:
                found.append(by_sweeps(energy))
        return np.concatenate(found)

    def chunks(self, n: int, per_node: int = 1) -> list[slice]:
        """See `LatticeParts`."""
        size = max(1, _STACK_ELEMENTS // (per_node * (2 * self.device.shape[1]) ** 2))
        return [slice(a, min(a + size, n)) for a in range(0, n, size)]

    @property
    def contacts(self) -> tuple[float, float]:
        """Weakest hopping at the left and at the right end, of the bonds to the lead and to the next slice; energy."""
        hops, (left, right) = self.device.hops, self.device.couplings
        return min([left, *hops[:1]]), min([right, *hops[-1:]])

    @property
    def adiabatic(self) -> NDArray[np.float64]:
        """See `Sweeps`; rho_ad traced with 1, sigma_x, sigma_y, sigma_z: (nx, ny, 4)."""
        if self._equilibrium is None:
            self._remember(self.equilibrium_sum()[:, 0])
        assert self._equilibrium is not None
        return self._equilibrium

    def equilibrium_sum(self, with_bonds: bool = False) -> NDArray[np.float64]:
        """-(1/pi) int f Im G in the layout of `sea.traced`, without the constant of the pole rule."""
        rule = self.rule

        def part(chunk: slice) -> NDArray[np.float64]:
            with self.device.scratch.lent() as allocate:
                return traced(rule.weights[chunk], self.local_blocks(rule.nodes[chunk], with_bonds, allocate))

        return np.asarray(sum(each_energy(part, self.chunks(len(rule.nodes)), self.counter)))

    def _remember(self, total: NDArray[np.float64]) -> None:
        """Store the adiabatic density: these sums over the nodes, and the constant of the rule for the charge."""
        total[..., 0] += 2 * self.rule.constant
        if self.device.holes is not None:
            total[self.device.holes] = 0.0  # the rule is none for energies so high
        self._equilibrium = total

    @property
    def knows_equilibrium(self) -> bool:
        """Whether `adiabatic` has been evaluated, or the sea term has given it as a by-product."""
        return self._equilibrium is not None

    def come_across(self, equilibrium: NDArray[np.float64], is_split: bool) -> None:
        """See `LatticeParts`."""
        self._is_split = is_split
        self._remember(equilibrium)

    def _equilibrium_nodes(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Nodes and weights that gave `adiabatic`: those of the rule, or the pairs around them used by the sea term."""
        if not self._is_split:
            return self.rule.nodes, self.rule.weights
        steps, d = self.steps, self.difference
        nodes = [self.rule.nodes + sign * offset * steps for offset in d.offsets for sign in (1, -1)]
        weights = [self.rule.weights * mean / 2 for mean in d.means for _ in range(2)]
        return np.concatenate(nodes), np.concatenate(weights)

    @property
    def grand_potential(self) -> float:
        """See `frozen.Frozen.grand_potential`, energy."""
        _ = self.adiabatic
        known = None
        if not are_several():  # a rank keeps sweeps of its own energies alone
            if self._is_split and self._first_order:
                known = self._first_order.log_determinants(self)
            elif self._nested_order:
                known = self._nested_order.log_determinants(self)
        if known is None:
            nodes, weights = self._equilibrium_nodes()
            known = [(nodes[c], weights[c], partial(self.log_determinants, nodes[c])) for c in self.chunks(len(nodes))]

        bare = self._bare_logdet if self.device.is_separable else self._bare_logdet_of_all

        def part(one: WeightedLogarithms) -> float:
            z, weight, logdet = one
            return float((weight * (logdet() - bare(z))).sum().real)

        if self.device.holes is None:
            trace = float(np.einsum("xyaa->", self.blocks).real) - 2 * self.device.n_sites * self.device.onsite
        else:
            trace = float(np.einsum("xyaa->", self.blocks - self.device.bare_blocks).real)
        return 2 * sum(each_energy(part, known, self.counter)) + self.rule.constant * trace

    def _bare_logdet(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """ln det G^-1 (k,) at energies z (k,) of the lattice without moments and gates: one recursion for each mode."""
        device, modes = self.device, self.device.modes
        left, right = (lead.of_modes(z) for lead in device.ends)
        total = np.zeros(len(z), complex)
        g = np.zeros_like(left)
        nx = device.shape[0]
        for i in range(nx):
            a = z[:, None] - modes.energies - (i == 0) * left - (i == nx - 1) * right
            if i:
                a -= device.hops[i - 1] ** 2 * g
            phase = np.angle(a)
            total += 2 * (np.log(abs(a)) + 1j * np.where(phase < 0, phase + 2 * np.pi, phase)).sum(axis=1)
            g = 1 / a
        return total

    def _bare_logdet_of_all(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """The same where modes or spins mix without moments as well: the whole lattice is eliminated.

        That is done once for each energy and device, and not counted: a resumed run would count it again.
        """
        device, kept = self.device, self.device.bare_logdets
        known = dict(kept)
        new_ones = np.array([e for e in z.tolist() if e not in known])
        if len(new_ones):
            bare = device.bare_blocks
            nested = None if self.nested is None else NestedDissection(device, bare, Counter())
            found = self._log_determinants(nested, lambda: self._slices_of(bare, Counter()), new_ones)
            known |= zip(new_ones.tolist(), found.tolist(), strict=True)
            if len(kept) > _MOST_BARE:
                kept.clear()
            kept.update(zip(new_ones.tolist(), found.tolist(), strict=True))
        return np.array([known[e] for e in z.tolist()])

    # --- first order in the velocities ------------------------------------------------------------

    @cached_property
    def difference(self) -> Difference:
        """Central difference for the sea term: of fourth order, with a larger step, where rounding would be too large.

        That is so for tolerances below 1e-6, and close to levels.
        """
        device = self.device
        # If no lead broadens the levels, a partial lattice may have one at E_F.
        broadened = not device.is_closed and device.band[0] < device.fermi_energy < device.band[1]
        nearness = 1.0 if self.step is None else self.step.nearness
        near = _ROUNDING / SECOND_ORDER.step * nearness**2 > 0.1 * device.tolerance
        return SECOND_ORDER if device.tolerance >= 1e-6 and broadened and not near else FOURTH_ORDER

    @cached_property
    def steps(self) -> NDArray[np.inexact]:
        """Step of the central difference at each node, (k,), energy: a fixed fraction of its distance to the spectrum.

        At kT = 0 the steps are imaginary, along the line on which the nodes lie.
        """
        return self._steps(self.rule)

    def _steps(self, rule: FermiPoles) -> NDArray[np.inexact]:
        """The same for the nodes of another pole rule."""
        z, (low, high) = rule.nodes, self.bounds
        if self.device.temperature == 0:
            # A real step would be lost in the rounding error of E_F, to which some nodes are closer than that next to
            # a threshold.
            return 1j * self.difference.step * np.minimum(z.imag, high - low)
        outside = np.maximum(0.0, np.maximum(low - z.real, z.real - high))
        # Far from the spectrum the Green's function varies on the scale of the width of the spectrum.
        return self.difference.step * np.minimum(np.hypot(z.imag, outside), high - low)

    @one_blas_thread
    def adiabatic_rate(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """See `Sweeps`."""
        rule = self.rule

        def part(chunk: slice) -> NDArray[np.float64]:
            return traced(rule.weights[chunk], self.driven_blocks(rule.nodes[chunk], rate))[:, 0]

        return np.asarray(sum(each_energy(part, self.chunks(len(rule.nodes)), self.counter))) - self.surface.kept(rate)

    @one_blas_thread
    def sea(self, rate: NDArray[np.complex128]) -> Sea:
        """See `Sweeps`."""
        return Sea(np.ascontiguousarray(self._sea(rate)[:, 0]), None)

    def _sea(self, rate: NDArray[np.complex128], with_bonds: bool = False) -> NDArray[np.float64]:
        """rho_sea for Hd = `rate` (nx, ny, 2, 2), which must not be zero, in the layout of `sea.traced`."""
        if self.nested is not None and self.nested.gains_for_motion:
            if self._nested_order is None:
                self._nested_order = NestedFirstOrder(self, self.nested)
            return self._nested_order.apply(self, self.nested, rate, with_bonds)
        columns = np.flatnonzero(rate.any(axis=(1, 2, 3)))
        nx = len(rate)
        flipped = columns[0] > nx - 1 - columns[-1]
        left, right = self.contacts
        if min(left, right) < _WEAK_CONTACT * self.device.hopping and left != right:
            flipped = left > right  # see `RealEnergy`
        moved = nx - int(columns[0]) if flipped else int(columns[-1]) + 1
        if self._first_order is None or not self._first_order.serves(moved, flipped):
            self._first_order = FirstOrder(self, moved, flipped)
        return self._first_order.apply(self, rate, with_bonds)

    def working_bytes(self, order: int) -> int:
        """See `Sweeps`."""
        nx, n = self.device.shape[0], 2 * self.device.shape[1]
        sweeps = 2 * 6 * 16 * nx * n * n  # two threads, each with a pair of sweeps and what the sea term needs of them
        by_nested = self.nested is not None and (not order or self.nested.gains_for_motion)
        if self.nested is not None and by_nested:
            sweeps = 2 * self.nested.working_bytes(order)
        if not order:
            return sweeps
        states = 2 * 16 * nx * n * n  # of one energy, approximately
        thermal = min(_KEPT_STATES_BYTES, _MOST_THERMAL_ENERGIES * states) if self.device.temperature > 0 else states
        if self.nested is not None and by_nested:
            return sweeps + NestedFirstOrder(self, self.nested).nbytes + thermal
        return sweeps + FirstOrder(self, nx, False).nbytes + thermal

    def flows(self, rate: NDArray[np.complex128]) -> dict[str, NDArray[np.float64]]:
        """See `Sweeps`."""
        bonds = lattice_bonds(self.device)
        parts = {"adiabatic": bonds.flow(of_layers(self.equilibrium_sum(with_bonds=True)))}
        if rate.any():
            parts["sea"] = bonds.flow(of_layers(self._sea(rate, with_bonds=True)))
            parts["surface"] = bonds.flow(self.surface.between_sites(rate, bonds.starts, bonds.ends))
        else:
            parts["sea"], parts["surface"] = (np.zeros_like(parts["adiabatic"]) for _ in range(2))
        return parts

    def into_leads(self, rate: NDArray[np.complex128], response: Response | None) -> NDArray[np.float64]:
        """See `Sweeps`; the flow deep inside the leads, which scattering states determine.

        (1/2pi) int (-f') Tr[(1, sigma) Gamma_lead G Hd G^+], Gamma = i (Sigma - Sigma^+): Buettiker, Thomas and Pretre,
        Z. Phys. B 94, 133 (1994); Brouwer, Phys. Rev. B 58, R10135 (1998).  In Eq. (40) of Xu et al. the factor 1/2pi
        and the i of Gamma are missing.
        """
        return self.surface.into_leads(rate)

    def energy_into_leads(self, rate: NDArray[np.complex128], response: Response | None) -> NDArray[np.float64]:
        """See `Sweeps`; deep inside the leads, as `into_leads`."""
        return self.surface.energy_into_leads(rate)

    # --- the Fermi surface ------------------------------------------------------------------------

    @one_blas_thread
    def at_energy(self, energy: float) -> RealEnergy:
        """Scattering states at a real energy; kept up to a total of 0.5 GB."""
        known = self._states.get(energy)
        if known is not None:
            return known
        state = RealEnergy(self, energy)
        if (1 + len(self._states)) * state.nbytes <= _KEPT_STATES_BYTES:
            self._states[energy] = state
        return state

    @cached_property
    def surface(self) -> LatticeSurface:
        """The Fermi-surface term of this texture."""
        return (ShiftedLatticeSurface if self.device.needs_shifted_surface else LatticeSurface)(self)

    def keep_states(self, energies: NDArray[np.float64]) -> None:
        """See `lattice_surface`: discard the scattering states kept at all energies but these."""
        kept = set(energies.tolist())
        self._states = {energy: state for energy, state in self._states.items() if energy in kept}

    def narrow_zeros(
        self, low: float, high: float, widest: float
    ) -> list[tuple[complex, NDArray[np.complex128]]] | None:
        """See `Sweeps`; by the search for resonances of the surface term.

        That is made without vacancies, with scalar bonds along x, and between leads without voltages, of one hopping,
        which know no spin.
        """
        device = self.device
        if (
            device.is_shifted
            or device.vacancies
            or device.bonds_along_x is not None
            or device.n_sites > MOST_LEVEL_SITES
        ):
            return None
        search, found = self.surface.search(low, high), []
        # Segments reach beyond, so that they know whether they end at a threshold.
        for segment in segments(device.modes, low - device.hopping, high + device.hopping):
            guesses = search.first_guesses(segment, low, high, lambda _, widths: widths < widest)
            chosen = [-guess.energies.imag < widest for guess in guesses]
            for block in search.zeros(guesses, chosen):
                widths = block.half_widths
                found += [
                    (complex(e.real, -w), v) for e, w, v in zip(block.energies, widths, block.right.T, strict=True)
                ]
        return found

    @one_blas_thread
    def thermal_states(self) -> tuple[NDArray[np.float64], float]:
        """See `Sweeps`."""
        device, d = self.device, self.difference
        rule = device.pole_rules.sharp_rule(self.bounds)
        steps = self._steps(rule)

        def part(chunk: slice) -> NDArray[np.float64]:
            z, s, weights = rule.nodes[chunk], steps[chunk], rule.weights[chunk]
            total = np.zeros((*device.shape, 4))
            for offset, slope in zip(d.offsets, d.slopes, strict=True):
                ahead, back = (self.local_blocks(z + sign * offset * s) for sign in (1, -1))
                total += traced(slope * weights / s, ahead - back)[:, 0]
            return total

        found = sum(each_energy(part, self.chunks(len(rule.nodes)), self.counter))
        rounding = 1e-8 if d is SECOND_ORDER else 1e-9
        return np.asarray(found), DERIVATIVE_ERROR * rule.bound / device.temperature + rounding / device.hopping

    def dense_hamiltonian(self) -> NDArray[np.complex128]:
        """H of the lattice, (2 nx ny, 2 nx ny), index 2 (x ny + y) + spin; for small ones."""
        return self.device.without_holes(self.slices.dense())

    def biased(
        self, energies: NDArray[np.float64], rate: NDArray[np.complex128] | None, with_bonds: bool = False
    ) -> BiasedRows:
        """See `Sweeps`."""
        bonds = lattice_bonds(self.device) if with_bonds else None
        ends = None if bonds is None else (bonds.starts, bonds.ends)

        def at(energy: float):
            return self.at_energy(energy).biased(rate, ends)

        found = each_energy(at, energies.tolist(), self.counter)
        if not found:
            f, s = 1 if rate is None else 2, len(self.device.sources)
            over = np.empty((0, s, f, *(self.device.shape if bonds is None else bonds.shape), 4))
            nothing = np.empty((0, s, f, 2, 4)), np.empty((0, s, f - 1, 2))
            return BiasedRows(np.empty((0, s, f, *self.device.shape, 4)), over, *nothing)
        rows, into, stored = (np.array([one[k] for one in found]) for k in (0, 2, 3))
        if bonds is None:
            return BiasedRows(rows, np.empty((0, *rows.shape[1:])), into, stored)
        return BiasedRows(rows, bonds.flow(np.array([one[1] for one in found])), into, stored)

    def smallest_width(self, _energies: NDArray[np.float64]) -> float:
        """See `Sweeps`; any level may be narrow."""
        return 0.0

    # --- what users ask ---------------------------------------------------------------------------

    def transmission(self, energy: float) -> NDArray[np.float64]:
        """See `Sweeps`."""
        return self.at_energy(energy).transmission

    def states(self, energy: float) -> NDArray[np.float64]:
        """See `Sweeps`."""
        return self.at_energy(energy).refined_states

    @one_blas_thread
    def level_width(self, energy: float) -> float:
        """See `frozen.Frozen.level_width`."""
        psi = self.at_energy(energy).psi
        if not psi.size:
            return np.inf
        flat = psi.reshape(-1, psi.shape[-1])
        return float(4 / np.linalg.eigvalsh(flat.conj().T @ flat)[-1])


def slice_hamiltonians(device: System, blocks: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """H of the slices, (nx, 2 ny, 2 ny), index 2 y + spin, for blocks (nx, ny, 2, 2) on the sites; energy."""
    nx, ny = device.shape
    h = np.zeros((nx, ny, 2, ny, 2), complex)
    if device.bonds_along_y is None:
        h[:, :, 0, :, 0] = h[:, :, 1, :, 1] = cross_section(ny, device.hopping, 0.0, device.periodic == "y")
    else:
        forth = device.bonds_along_y
        back = np.conj(np.swapaxes(forth, 1, 2))
        for y in range(ny if device.periodic and ny > 1 else ny - 1):
            up = (y + 1) % ny
            h[:, y, :, up, :] += forth
            h[:, up, :, y, :] += back
    rows = np.arange(ny)
    h[:, rows, :, rows, :] += np.moveaxis(blocks, 1, 0)
    return h.reshape(nx, 2 * ny, 2 * ny)


def lattice_bonds(device: System) -> Bonds:
    """The bonds of this device; with periodic y also those from the last y to the first."""
    nx, ny = device.shape
    site = np.arange(nx * ny).reshape(nx, ny)
    ends = np.stack([np.roll(site, -1, axis=0), np.roll(site, -1, axis=1)], axis=1)
    return Bonds(np.stack([site, site], axis=1), ends, *hops_and_matrices(device))
