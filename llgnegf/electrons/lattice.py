"""Electrons of a square lattice at one texture: `density.Frozen` for slices of many sites.

The formulas are those of `density.py`.  Slices run along x; the sweeps are those of `slices.py`, the sea term is in
`sea.py`, the Fermi surface in `scattering.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .bound_states import NO_LEVELS, BoundStates, bound_states
from .density import SpinDensity, check_digits, sharpness, surface_loss
from .device import Device
from .modes import cross_section
from .quadrature import FermiPoles, ToleranceError, adaptive_nodes, fermi_derivative, thermal_gauss
from .scattering import RealEnergy, pauli_traces
from .sea import FOURTH_ORDER, SECOND_ORDER, Difference, FirstOrder, traced
from .slices import Allocator, Slices, Sweep, eliminate, new
from .slices import sweep as run_sweep
from .threads import each, one_blas_thread

# Elements of a stack of energies: small slices share the overhead of a call, large ones stay in the cache.
_STACK_ELEMENTS = 6400
_KEPT_STATES_BYTES = 500_000_000
# What a window of narrow resonances may ask for, for the estimate of memory.
_MOST_THERMAL_ENERGIES = 1000
_SURFACE_SHARE = 1 / 4
_ROUNDING = float(np.finfo(float).eps)
_GAUSS_LADDER = (5, 8, 13)
# Up to so many sites the levels are found by a dense eigenvalue solver, beside the sweep and instead of it.
_SMALL_LATTICE, _MOST_LEVEL_SITES = 128, 1000
# Below this share of the hopping a contact broadens the levels of what is eliminated from it too little.
_WEAK_CONTACT = 1 / 2
# A thermal window full of narrow resonances would take longer than anyone waits: energies times sites.
_MOST_SITE_ENERGIES = 6_400_000


class FrozenLattice:
    """The electrons of a `Device` on a square lattice at fixed moments and gates, and their linear response."""

    def __init__(self, device: Device, m: NDArray[np.float64], potential: NDArray[np.float64]) -> None:
        self.device, self.m, self.potential = device, m, potential
        self.blocks = device.hamiltonian_blocks(m, potential)
        self.bounds = device.spectrum_bounds(m, potential)
        self.solves = 0
        nx, ny = device.shape
        h = np.zeros((nx, ny, 2, ny, 2), complex)
        h[:, :, 0, :, 0] = h[:, :, 1, :, 1] = cross_section(ny, device.hopping, 0.0, device.periodic == "y")
        y = np.arange(ny)
        h[:, y, :, y, :] += np.moveaxis(self.blocks, 1, 0)
        self.slices = Slices(h.reshape(nx, 2 * ny, 2 * ny), device.hops)
        self._equilibrium: NDArray[np.float64] | None = None
        self._thermal_states: NDArray[np.float64] | None = None
        self._is_split = False
        self._first_order: FirstOrder | None = None
        # Largest element, and largest eigenvalue about, of G at E_F in units of 1/hopping; known at kT = 0.
        self._nearness = self._largest_green = 1.0
        self._surface_rule: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._states: dict[float, RealEnergy] = {}
        # Largest response to the motion that chose the rule, per state: what a missed resonance may be worth.
        self._gain = 0.0

    # --- equilibrium ------------------------------------------------------------------------------

    @cached_property
    @one_blas_thread
    def rule(self) -> FermiPoles:
        """The pole rule of this texture.  At kT = 0 the gap is narrowed until the states inside it do not matter."""
        device = self.device
        gap = 0.1 * device.tolerance * device.hopping
        if device.temperature > 0:
            return device.pole_rule(*self.bounds, gap, device.fermi_energy, 0)
        for _ in range(4):
            # As for chains: Im G one gap above E_F bounds the weight of the states that the rule does not resolve.
            z = np.array([device.fermi_energy + 1j * gap])
            found = pauli_traces(self.sweep(z).blocks)
            self.solves += 1
            if gap * abs(found.imag).max() <= 0.5 * device.tolerance or gap < 1e-13 * device.hopping:
                break
            gap *= 1e-2
        nearness = max(1.0, device.hopping * abs(found).max())
        self._nearness = float(nearness)
        self._largest_green = device.hopping * float(abs(found[:, :, 0]).max(axis=-1).sum())
        return device.pole_rule(*self.bounds, gap, device.fermi_energy, sharpness(float(nearness)))

    def sweep(
        self,
        z: NDArray[np.complex128],
        keep: int = 0,
        flipped: bool = False,
        with_bonds: bool = False,
        allocate: Allocator = new,
    ) -> Sweep:
        left, right = self.device.lead_slices(tuple(z))
        if flipped:
            return run_sweep(self.slices.reversed(), z, (right, left), keep, with_bonds, allocate)
        return run_sweep(self.slices, z, (left, right), keep, with_bonds, allocate)

    def chunks(self, n: int, per_node: int = 1) -> list[slice]:
        size = max(1, _STACK_ELEMENTS // (per_node * self.slices.h.shape[-1] ** 2))
        return [slice(a, min(a + size, n)) for a in range(0, n, size)]

    @property
    def contacts(self) -> tuple[float, float]:
        """How well the left and the right lead are connected: the weakest hopping at that end, energy."""
        hops, (left, right) = self.slices.hops, self.device.couplings
        return min([left, *hops[:1]]), min([right, *hops[-1:]])

    @property
    def adiabatic(self) -> NDArray[np.float64]:
        """rho_ad traced with 1, sigma_x, sigma_y, sigma_z: (nx, ny, 4)."""
        if self._equilibrium is None:
            self.remember(self.equilibrium_sum()[:, 0])
        assert self._equilibrium is not None
        return self._equilibrium

    def equilibrium_sum(self, with_bonds: bool = False) -> NDArray[np.float64]:
        """-(1/pi) int f Im G as `traced`, without the constant of the rule."""
        rule = self.rule

        def part(chunk: slice) -> NDArray[np.float64]:
            with self.device.scratch.lent() as allocate:
                found = self.sweep(rule.nodes[chunk], with_bonds=with_bonds, allocate=allocate)
                return traced(rule.weights[chunk], found.blocks)

        self.solves += len(rule.nodes)
        return np.asarray(sum(each(part, self.chunks(len(rule.nodes)))))

    def remember(self, total: NDArray[np.float64]) -> None:
        total[..., 0] += 2 * self.rule.constant
        self._equilibrium = total

    def _equilibrium_nodes(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Nodes and weights that gave `adiabatic`: those of the rule, or the pairs around them of the first order."""
        if not self._is_split:
            return self.rule.nodes, self.rule.weights
        steps, d = self.steps, self.difference
        nodes = [self.rule.nodes + sign * offset * steps for offset in d.offsets for sign in (1, -1)]
        weights = [self.rule.weights * mean / 2 for mean in d.means for _ in range(2)]
        return np.concatenate(nodes), np.concatenate(weights)

    @property
    def grand_potential(self) -> float:
        """Grand potential of the electrons relative to the same lattice with J_sd = 0 and V = 0, energy.

        Omega = (1/pi) int f Im ln det G^-1 with the poles that gave rho_ad: J_sd s_i = -dOmega/dm_i to rounding.
        """
        _ = self.adiabatic
        nodes, weights = self._equilibrium_nodes()

        def part(chunk: slice) -> float:
            z = nodes[chunk]
            logdet = eliminate(self.slices, z, self.device.lead_slices(tuple(z)), with_logdet=True)[1]
            return float((weights[chunk] * (logdet - self._bare_logdet(z))).sum().real)

        self.solves += len(nodes)
        trace = float(np.einsum("xyaa->", self.blocks).real) - 2 * self.device.n_sites * self.device.onsite
        return 2 * sum(each(part, self.chunks(len(nodes)))) + self.rule.constant * trace

    def _bare_logdet(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """ln det G^-1 of the lattice without moments and gates: scalar recursions, mode by mode."""
        device, modes = self.device, self.device.modes
        left, right = (modes.chain_self_energy(z, coupling) for coupling in device.couplings)
        total = np.zeros(len(z), complex)
        g = np.zeros_like(left)
        nx = device.shape[0]
        for i in range(nx):
            a = z[:, None] - modes.energies - (i == 0) * left - (i == nx - 1) * right
            if i:
                a -= self.slices.hops[i - 1] ** 2 * g
            phase = np.angle(a)
            total += 2 * (np.log(abs(a)) + 1j * np.where(phase < 0, phase + 2 * np.pi, phase)).sum(axis=1)
            g = 1 / a
        return total

    # --- first order in the velocities ------------------------------------------------------------

    @cached_property
    def difference(self) -> Difference:
        device = self.device
        # Where no lead broadens levels, partial lattices may have one at E_F: the larger step keeps more digits.
        broadened = not device.is_closed and device.band[0] < device.fermi_energy < device.band[1]
        _ = self.rule
        near = _ROUNDING / SECOND_ORDER.step * self._nearness**2 > 0.1 * device.tolerance
        return SECOND_ORDER if device.tolerance >= 1e-6 and broadened and not near else FOURTH_ORDER

    @cached_property
    def steps(self) -> NDArray[np.float64]:
        """Steps of the difference: a share of the distance of each node to the spectrum."""
        z, (low, high) = self.rule.nodes, self.bounds
        outside = np.maximum(0.0, np.maximum(low - z.real, z.real - high))
        # Far from the spectrum the Green's function varies over its width.
        return self.difference.step * np.minimum(np.hypot(z.imag, outside), high - low)

    @one_blas_thread
    def response(
        self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(sea, surface) densities, each (nx, ny, 4), linear in velocities (nx, ny, 3) and gate rates (nx, ny).

        The energies of the surface part are chosen in the first call and kept, so that later calls are linear maps
        of the velocities.  Gates on a few columns cost a third of a motion of all moments: ask for them first.
        """
        rate = self.device.coupling_blocks(mdot, potential_rate)
        if not rate.any():
            nothing = np.zeros((*self.device.shape, 4))
            return nothing, nothing.copy()
        sea = np.ascontiguousarray(self.sea(rate)[:, 0])
        return sea, self.surface(rate)

    def sea(self, rate: NDArray[np.complex128], with_bonds: bool = False) -> NDArray[np.float64]:
        """rho_sea of Hd = `rate` (nx, ny, 2, 2), not zero, as `traced`."""
        if self.device.temperature == 0 and not self.device.is_closed:
            loss = _ROUNDING / self.difference.step * self._nearness**2
            check_digits(self.device, rate, loss, self._nearest_level)
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
        """Memory that evaluations of this order take beside the results."""
        nx, n, _ = self.slices.h.shape
        sweeps = 2 * 6 * 16 * nx * n * n  # two threads' worth, each a pair of sweeps with what a first order needs
        if not order:
            return sweeps
        states = 2 * 16 * nx * n * n  # of one energy, about
        thermal = min(_KEPT_STATES_BYTES, _MOST_THERMAL_ENERGIES * states) if self.device.temperature > 0 else states
        return sweeps + FirstOrder(self, nx, False).nbytes + thermal

    @one_blas_thread
    def spin_density(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> SpinDensity:
        """All parts for one motion."""
        sea, surface = self.response(mdot, potential_rate)
        adiabatic = self.adiabatic
        return SpinDensity(
            adiabatic=adiabatic[..., 1:].copy(),
            sea=sea[..., 1:].copy(),
            surface=surface[..., 1:].copy(),
            geometric=None,
            density_adiabatic=adiabatic[..., 0].copy(),
            density_sea=sea[..., 0].copy(),
            density_surface=surface[..., 0].copy(),
            solves=self.solves,
        )

    # --- the Fermi surface ------------------------------------------------------------------------

    @one_blas_thread
    def at_energy(self, energy: float) -> RealEnergy:
        """Scattering states at a real energy; kept while there is room."""
        known = self._states.get(energy)
        if known is not None:
            return known
        state = RealEnergy(self, energy)
        if (1 + len(self._states)) * state.nbytes <= _KEPT_STATES_BYTES:
            self._states[energy] = state
        return state

    def surface(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """-(1/2pi) int (-f') Im[G Hd G Gamma G^+] for Hd (nx, ny, 2, 2): (nx, ny, 4)."""
        energies, weights = self.surface_rule(rate)
        terms = self._terms(energies, rate)
        total = np.zeros((*self.device.shape, 4))
        for weight, (_, term) in zip(weights, terms, strict=True):
            total -= weight / (2 * np.pi) * term
        if self.device.temperature == 0 and terms:
            _ = self.rule
            loss = surface_loss(self._largest_green, float(terms[0][0].max()) * self.device.hopping)
            check_digits(self.device, rate, loss, self._nearest_level)
        if self.levels.any:
            total += self.levels.surface(rate.reshape(-1, 2, 2)).on_sites().reshape(total.shape)
        return total

    def _nearest_level(self) -> complex:
        """E - E_F - i (half-width) of the level next to E_F, energy; for messages."""
        levels = self._resonances - self.device.fermi_energy
        if not len(levels):
            return complex(self.device.hopping / self._nearness)
        return complex(levels[np.argmin(abs(levels))])

    @cached_property
    def _window(self) -> tuple[float, float]:
        """Energies between which -df/dE matters."""
        device = self.device
        reach = device.temperature * min(45.0, 8 - np.log(device.tolerance))
        return device.fermi_energy - reach, device.fermi_energy + reach

    @cached_property
    @one_blas_thread
    def levels(self) -> BoundStates:
        """Discrete levels inside the thermal window: all of a closed lattice, bound states outside the lead bands."""
        device, (low, high) = self.device, self._window
        band = device.band
        if device.temperature == 0 or (not device.is_closed and band[0] <= low and high <= band[1]):
            return NO_LEVELS
        if device.n_sites > _MOST_LEVEL_SITES:
            raise ToleranceError(
                f"temperature = {device.temperature:g}: the thermal window {low:g} to {high:g} reaches levels that no "
                f"lead broadens; they are found on lattices of up to {_MOST_LEVEL_SITES} sites, not {device.n_sites}: "
                f"use temperature = 0.0, or a lower one and a Fermi energy inside the lead band {band[0]:g} to "
                f"{band[1]:g}"
            )
        return bound_states(device, self.dense_hamiltonian(), low, high)

    def dense_hamiltonian(self) -> NDArray[np.complex128]:
        """H of the lattice, (2 nx ny, 2 nx ny), index 2 (x ny + y) + spin; for small ones."""
        nx, n, _ = self.slices.h.shape
        H = np.zeros((nx, n, nx, n), complex)
        x, c = np.arange(nx), np.arange(n)
        H[x, :, x, :] = self.slices.h
        for a, b in ((x[:-1], x[1:]), (x[1:], x[:-1])):
            H[a[:, None], c, b[:, None], c] -= self.slices.hops[:, None]
        return H.reshape(nx * n, nx * n)

    @cached_property
    @one_blas_thread
    def _resonances(self) -> NDArray[np.complex128]:
        """Eigenvalues of H + Sigma(E_F) of a small lattice: where its levels are and how wide; else none."""
        device = self.device
        if device.n_sites > _SMALL_LATTICE:
            return np.empty(0, complex)
        matrix = self.dense_hamiltonian()
        for end, sigma, _ in device.end_self_energies(np.clip(device.fermi_energy, *device.band)):
            matrix[end, end] += sigma
        return np.asarray(np.linalg.eigvals(matrix), dtype=np.complex128)

    def _terms(self, energies: Sequence[float] | NDArray[np.float64], rate: NDArray[np.complex128]):
        """(G Gamma G^+, Im[G Hd G Gamma G^+]) traced, at each energy."""

        def both(energy: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            state = self.at_energy(energy)
            return state.states, state.driven(rate)

        self.solves += sum(1 for energy in energies if float(energy) not in self._states)
        return each(both, [float(energy) for energy in energies])

    def surface_rule(self, rate: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energies and weights of int (-f') dE that hold the tolerance for this motion; chosen once."""
        if self._surface_rule is None:
            self._surface_rule = self._choose_energies(rate)
            # What served to choose only.
            kept = set(self._surface_rule[0].tolist())
            self._states = {energy: state for energy, state in self._states.items() if energy in kept}
        return self._surface_rule

    def _choose_energies(self, rate: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        device = self.device
        nothing = np.empty(0), np.empty(0)
        low, high = device.band
        mu, kT = device.fermi_energy, device.temperature
        if device.is_closed:
            return nothing
        if kT == 0:
            return (np.array([mu]), np.ones(1)) if low < mu < high else nothing
        size = abs(rate).max() / device.hopping
        target = _SURFACE_SHARE * device.tolerance * 2 * np.pi * min(1.0, size)
        window = max(low, self._window[0]), min(high, self._window[1])
        if target == 0 or window[0] >= window[1]:
            return nothing
        inside = [float(e) for e in device.modes.thresholds if window[0] < e < window[1]]
        # An opening mode makes the integrand a root, a narrow level a peak: no Gauss rule for -f' follows them.
        near = self._resonances[(self._resonances.real > window[0]) & (self._resonances.real < window[1])]
        whole = self._window == window and not any(abs(e - mu) < 12 * kT for e in inside)
        if whole and (-near.imag).min(initial=np.inf) > kT:
            chosen = self._gauss_rule(rate, target)
            if chosen is not None:
                return chosen
        return self._panel_rule(rate, target, np.array([window[0], *inside, window[1]]))

    def _gauss_rule(self, rate: NDArray[np.complex128], target: float):
        """The shortest Gauss rule for -f' whose successor agrees with it, or None."""
        device = self.device
        before: NDArray[np.float64] | None = None
        for n in _GAUSS_LADDER:
            x, weights = thermal_gauss(n)
            energies = device.fermi_energy + device.temperature * x
            terms = self._terms(energies, rate)
            found = sum(w * driven for w, (_, driven) in zip(weights, terms, strict=True))
            self._note_gain(terms)
            states = sum(w * states for w, (states, _) in zip(weights, terms, strict=True))
            if before is not None and abs(found - before).max() < target and self._sees_all_states(states, target):
                return energies, weights
            before = found
        return None

    def _note_gain(self, terms) -> None:
        gains = [abs(driven).max() / states.max() for states, driven in terms if states.any()]
        self._gain = max([self._gain, *gains])

    def _sees_all_states(self, states: NDArray[np.float64], target: float) -> bool:
        """Whether a rule found the thermal density of states that the poles know without the real axis.

        A resonance between its energies would be missing in it, and would be worth so many states times their response.
        """
        if self._thermal_states is None or len(self._resonances):
            return True
        lost = abs(2 * np.pi * self._thermal_states - states).max()
        known_to = 2 * np.pi * self.device.tolerance / max(1.0, self.device.temperature / self.device.hopping)
        return bool(lost * self._gain < 4 * target or lost < 0.1 * known_to)

    def _panel_rule(self, rate: NDArray[np.complex128], target: float, edges: NDArray[np.float64]):
        """Adaptive panels between mode openings; E = middle - half cos(pi u) takes the roots out of both ends."""
        device = self.device
        mu, kT = device.fermi_energy, device.temperature
        middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2

        def energy_of(u: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            """E and -f' dE/du at u, panel j for j <= u <= j + 1."""
            j = np.clip(u.astype(int), 0, len(half) - 1)
            phase = np.pi * (u - j)
            energy = middle[j] - half[j] * np.cos(phase)
            return energy, -fermi_derivative(energy, mu, kT) * np.pi * half[j] * np.sin(phase)

        def integrand(u: NDArray[np.float64]) -> NDArray[np.float64]:
            energy, density = energy_of(u)
            terms = self._terms(energy, rate)
            self._note_gain(terms)
            driven = np.array([driven for _, driven in terms]).reshape(len(u), -1)
            return np.asarray(density[:, None] * driven)

        def starts(pieces: int) -> NDArray[np.float64]:
            points = [np.linspace(j, j + 1, pieces + 1) for j in range(len(half))]
            levels = [level.real + c * level.imag for level in self._resonances for c in (-4, 0, 4)]
            for e in (mu - 3 * kT, mu, mu + 3 * kT, *(e for e in levels if edges[0] < e < edges[-1])):
                j = int(np.clip(np.searchsorted(edges, e) - 1, 0, len(half) - 1))
                points.append(np.array([j + np.arccos(np.clip((middle[j] - e) / half[j], -1, 1)) / np.pi]))
            together = np.unique(np.concatenate(points))
            return together[np.concatenate([[True], np.diff(together) > 1e-9])]

        max_evaluations = max(1000, min(200_000, _MOST_SITE_ENERGIES // device.n_sites))
        for pieces in (1, 4, 16):
            u, weights, _ = adaptive_nodes(integrand, starts(pieces), target, max_evaluations=max_evaluations)
            energy, density = energy_of(u)
            weights = weights * density
            states = sum(w * term[0] for w, term in zip(weights, self._terms(energy, rate), strict=True))
            if self._sees_all_states(np.asarray(states), target):
                return energy, weights
        raise ToleranceError(
            f"the Fermi-surface integral at temperature = {kT:g} misses states at tolerance = {device.tolerance:g}: "
            "resonances much narrower than kT; use a larger electrons.tolerance, another temperature or 0.0"
        )

    # --- what users ask ---------------------------------------------------------------------------

    def transmission(self, energy: float) -> NDArray[np.float64]:
        """Sum over modes of |sqrt(Gamma_R) G sqrt(Gamma_L)|^2, (2, 2) [spin out, spin in]."""
        return self.at_energy(energy).transmission

    def density_of_states(self, energy: float) -> NDArray[np.float64]:
        """(nx, ny, 4): local density of states and its spin components at a real energy in the band."""
        return self.at_energy(energy).states / (2 * np.pi)

    @one_blas_thread
    def level_width(self) -> float:
        """Width (energy) of the sharpest level at E_F, 4 over its dwell time; inf where no mode is open.

        The dwell times are the eigenvalues of the overlap psi^+ psi of the scattering states in the device (Wigner and
        Smith, without the part of the leads); a lone Breit-Wigner level of width Gamma has 4/Gamma.
        """
        device = self.device
        low, high = device.band
        if device.is_closed or not low < device.fermi_energy < high:
            return np.inf
        psi = self.at_energy(device.fermi_energy).psi
        flat = psi.reshape(-1, psi.shape[-1])
        return float(4 / np.linalg.eigvalsh(flat.conj().T @ flat)[-1])

    def lead_currents(
        self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Particles (2,) and spin (2, 3) that flow into the left and the right lead, first order in the motion.

        (1/2pi) int (-f') Tr[(1, sigma/2) Gamma_lead G Hd G^+]: Buettiker, Thomas and Pretre, Z. Phys. B 94, 133
        (1994); Brouwer, Phys. Rev. B 58, R10135 (1998).  Xu et al., Eq. (40), print it without 1/2pi and with a
        Gamma that lacks its i.
        """
        rate = self.device.coupling_blocks(mdot, potential_rate)
        flow = np.zeros((2, 4))
        if rate.any():
            energies, weights = self.surface_rule(rate)

            def at(energy: float) -> NDArray[np.float64]:
                return self.at_energy(energy).into_leads(rate)

            for weight, found in zip(weights, each(at, energies.tolist()), strict=True):
                flow += weight / (2 * np.pi) * found
        return flow[:, 0], flow[:, 1:] / 2
