"""Spin density of slowly driven electrons by origin: adiabatic, Fermi sea, Fermi surface.

With B = 1 - dSigma/dE, Hd = dH/dt and Im A = (A - A^+)/2i,

    rho_ad   = -(1/pi)  int f Im G
    rho_sea  = -(1/pi)  int f Im G1,     G1 = -(i/2) [G B G Hd G - G Hd G B G]
    rho_surf =  (1/2pi) int f' Im[G Hd G Gamma G^+]

The surface term is the symmetric form (1/2pi) int f' [(G^+ Hd G^+ + G Hd G)/2 - G Hd G^+] rewritten with
G - G^+ = -i G Gamma G^+: it needs scattering states only.  (First-order gradient expansion of the Keldysh equation,
as in Bode et al., Phys. Rev. Lett. 107, 036804 (2011), for any slow H(t).)  For rigid precession with
K = (omega/2) sigma_a the same total has the split of Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202 (2020), Eq. (2):

    geo = (1/pi) int f Im[G K G],   sea = -(1/pi) int f Im[G K Sigma' G],   surf = (1/2pi) int f' G K Gamma G^+.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .chain_surface import ChainSurface
from .counter import Counter
from .device import DERIVATIVE_ERROR, IDENTITY, Contour, Device, RealRule, dense_hamiltonian
from .fermi_step import Distances, Step, choose_step, distances_of
from .green import contour_sums, contour_sums_near_levels, ends_near_levels, surface_terms
from .quadrature import FermiPoles
from .scattering import pauli_traces
from .slices import backwards
from .threads import spread

# What a few operations on blocks of 2 x 2 lose.
_ROUNDING = 16 * float(np.finfo(float).eps)
_NO_TURN = np.zeros((2, 2), complex)


@dataclass(frozen=True)
class SpinDensity:
    """Tr[rho_i sigma], (n, 3), by origin, and electrons per site, (n,), by origin.

    `geometric` is there for steady precession only, where `sea` is the lead term of that split.
    """

    adiabatic: NDArray[np.float64]
    sea: NDArray[np.float64]
    surface: NDArray[np.float64]
    geometric: NDArray[np.float64] | None
    density_adiabatic: NDArray[np.float64]
    density_sea: NDArray[np.float64]
    density_surface: NDArray[np.float64]
    solves: int

    @property
    def nonadiabatic(self) -> NDArray[np.float64]:
        """Everything but the adiabatic part, (n, 3)."""
        total = self.sea + self.surface
        return total if self.geometric is None else total + self.geometric

    @property
    def total(self) -> NDArray[np.float64]:
        """Sum to first order in the velocities, (n, 3)."""
        return self.adiabatic + self.nonadiabatic

    @property
    def density(self) -> NDArray[np.float64]:
        """Electrons per site to first order, (n,)."""
        return self.density_adiabatic + self.density_sea + self.density_surface


class Response(NamedTuple):
    """Densities (..., 4) of the sea and the surface part, traced with 1 and sigma, linear in dH/dt.

    driven_ends: (n_nodes, 2, 2, 2) [node, left or right, spin, spin], G Hd G of both end sites of a chain at the nodes
    of the contour, for what the sea part lets flow into the leads.  None on lattices.
    """

    sea: NDArray[np.float64]
    surface: NDArray[np.float64]
    driven_ends: NDArray[np.complex128] | None


@lru_cache(maxsize=8)
def _no_perturbation(n_sites: int, n_energies: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    return np.zeros((n_sites, 2, 2), complex), np.zeros((n_energies, 2, 2, 2), complex)


@lru_cache(maxsize=8)
def _identity_blocks(n_sites: int) -> NDArray[np.complex128]:
    return np.ascontiguousarray(np.broadcast_to(IDENTITY, (n_sites, 2, 2)))


@dataclass(frozen=True)
class ContourRows:
    """What `green.contour_sums` gives at n energies.

    rows (n, 4, N, 4); ln det (n,); flows over the bonds (n, 4, N - 1, 4), or (0, ...) where they were not asked; blocks
    of G and G Y G at both ends (n, 2, 2, 2, 2) [energy, G or G Y G, left or right].
    """

    rows: NDArray[np.float64]
    logdet: NDArray[np.complex128]
    bonds: NDArray[np.float64]
    ends: NDArray[np.complex128]


def contour_rows(
    z: NDArray[np.complex128],
    weights: NDArray[np.complex128],
    blocks: NDArray[np.complex128],
    hops: NDArray[np.float64],
    sigma: tuple[NDArray[np.complex128], NDArray[np.complex128]],
    order: int = 0,
    X: NDArray[np.complex128] | None = None,
    Y: NDArray[np.complex128] | None = None,
    x_ends: NDArray[np.complex128] | None = None,
    y_ends: NDArray[np.complex128] | None = None,
    with_bonds: bool = False,
    *,
    counter: Counter,
    bound: float = np.inf,
) -> ContourRows:
    """The kernel `contour_sums` at complex energies z (n,), spread over threads.  Its only call.

    bound: what rounding may make of a density; nodes beside levels of partial chains that lose more are done again with
    `contour_sums_near_levels`.
    """
    n, n_energies = len(blocks), len(z)
    no_blocks, no_ends = _no_perturbation(n, n_energies)
    X, Y = no_blocks if X is None else X, no_blocks if Y is None else Y
    x_ends, y_ends = no_ends if x_ends is None else x_ends, no_ends if y_ends is None else y_ends
    out = np.empty((n_energies, 4, n, 4))
    bonds = np.empty((n_energies if with_bonds else 0, 4, n - 1, 4))
    logdet, growth = np.empty(n_energies, complex), np.empty(n_energies)
    ends = np.empty((n_energies, 2, 2, 4), complex)

    def kernel(s: slice) -> None:
        given = z[s], weights[s], blocks, hops, sigma[0][s], sigma[1][s], order, X, Y, x_ends[s], y_ends[s]
        contour_sums(*given, out[s], logdet[s], bonds[s], ends[s], growth[s])

    counter.add(n_energies)
    spread(n_energies, n, kernel)
    if order > 0 and n > 1:
        hopping = float(hops.max())
        redo = np.flatnonzero(_lost_digits(abs(weights), hopping, growth, order) > bound)
        if len(redo):
            w, again, bonds_again, ends_again = (a[redo] for a in (weights, out, bonds if with_bonds else out, ends))
            at_ends = [e[redo] for e in (*sigma, x_ends, y_ends)]
            bonds_again = bonds_again if with_bonds else bonds

            def careful_kernel(s: slice) -> None:
                left, right, x, y = (e[s] for e in at_ends)
                given = z[redo][s], w[s], blocks, hops, left, right, order, X, Y, x, y, hopping
                contour_sums_near_levels(*given, again[s], bonds_again[s])
                ends_near_levels(z[redo][s], blocks, hops, left, right, Y, y, ends_again[s])

            spread(len(redo), n, careful_kernel)
            out[redo], ends[redo] = again, ends_again
            if with_bonds:
                bonds[redo] = bonds_again
    return ContourRows(out, logdet, bonds, ends.reshape(n_energies, 2, 2, 2, 2))


def contour_integral(
    blocks: NDArray[np.complex128],
    hops: NDArray[np.float64],
    contour: Contour,
    order: int = 0,
    X: NDArray[np.complex128] | None = None,
    Y: NDArray[np.complex128] | None = None,
    x_ends: NDArray[np.complex128] | None = None,
    y_ends: NDArray[np.complex128] | None = None,
    with_bonds: bool = False,
    *,
    counter: Counter,
) -> tuple[NDArray[np.float64], NDArray[np.complex128], NDArray[np.float64]]:
    """-(1/pi) int f Im F for F = G, G X G, G Y G and -(i/2)(G X G Y G - G Y G X G): (4, n, 4); ln det per
    node; and with `with_bonds` the flow over each bond, (4, n - 1, 4) (`green.contour_sums`).

    The last axis is the trace with 1, sigma_x, sigma_y, sigma_z.  Without the constant of the rule.
    """
    rule, ends = contour.rule, (x_ends, y_ends)
    where = rule.nodes, rule.weights, blocks, hops, contour.sigma
    found = contour_rows(*where, order, X, Y, *ends, with_bonds, counter=counter, bound=rule.bound)
    # Rows are added in the order of the nodes: the result does not depend on the number of threads.
    return found.rows.sum(axis=0), found.logdet, found.bonds.sum(axis=0)


@dataclass(frozen=True)
class SurfaceRows:
    """What `green.surface_terms` gives at n real energies.

    rows (n, 3, N, 4); scattering amplitudes (n, 2, 2, 2, 2); flows over the bonds (n, 3, N - 1, 4), or (0, ...) where
    they were not asked; how the reflection into either lead answers to Y (n, 2, 2, 2).
    """

    rows: NDArray[np.float64]
    amplitudes: NDArray[np.complex128]
    bonds: NDArray[np.float64]
    driven: NDArray[np.complex128]


def surface_rows(
    energies: np.ndarray,
    blocks: NDArray[np.complex128],
    hops: NDArray[np.float64],
    sigma: tuple[NDArray[np.complex128], NDArray[np.complex128]],
    roots: NDArray[np.complex128],
    Y: NDArray[np.complex128],
    K: NDArray[np.complex128],
    with_bonds: bool = False,
    *,
    counter: Counter,
) -> SurfaceRows:
    """The kernel `surface_terms` at real energies, spread over threads.  Its only call."""
    # Elimination starts at the better connected end: from a closed one the partial chain has real levels, and digits
    # are lost wherever an energy meets one.
    mirrored = abs(sigma[0].imag).max() < abs(sigma[1].imag).max()
    if mirrored:
        flip = np.ascontiguousarray
        blocks, hops, Y = flip(blocks[::-1]), backwards(hops), flip(Y[::-1])
        sigma, roots = (sigma[1], sigma[0]), flip(roots[:, ::-1])
    n, n_energies = len(blocks), len(energies)
    out = np.empty((n_energies, 3, n, 4))
    bonds = np.empty((n_energies if with_bonds else 0, 3, n - 1, 4))
    amplitudes = np.empty((n_energies, 2, 2, 2, 2), complex)
    driven = np.empty((n_energies, 2, 2, 2), complex)
    z = np.asarray(energies, complex)

    def kernel(s: slice) -> None:
        received = out[s], amplitudes[s], bonds[s], driven[s]
        surface_terms(z[s], blocks, hops, sigma[0][s], sigma[1][s], roots[s], Y, K, *received)

    counter.add(n_energies)
    spread(n_energies, n, kernel)
    if mirrored:
        return SurfaceRows(out[:, :, ::-1], amplitudes[:, ::-1, ::-1], -bonds[:, :, ::-1], driven[:, ::-1])
    return SurfaceRows(out, amplitudes, bonds, driven)


def _lost_digits(weights, hopping, growth, order):
    """About what rounding makes of a sum over poles of these weights in `contour_sums` of `order` 1 or 2.

    Growth of the partial chains enters once for each factor of g in the algebra.
    """
    return _ROUNDING * weights / hopping * (hopping * growth) ** (order + 1)


def surface_integrand(
    energies: np.ndarray,
    blocks: NDArray[np.complex128],
    hops: NDArray[np.float64],
    sigma: tuple[NDArray[np.complex128], NDArray[np.complex128]],
    roots: NDArray[np.complex128],
    Y: NDArray[np.complex128],
    K: NDArray[np.complex128],
    with_bonds: bool = False,
    *,
    counter: Counter,
) -> tuple[NDArray[np.float64], NDArray[np.complex128], NDArray[np.float64]]:
    """Rows (n_e, 3, n, 4), amplitudes (n_e, 2, 2, 2, 2) and, with `with_bonds`, flows (n_e, 3, n - 1, 4)."""
    found = surface_rows(energies, blocks, hops, sigma, roots, Y, K, with_bonds, counter=counter)
    return found.rows, found.amplitudes, found.bonds


class Frozen:
    """The electrons of a `Device` at fixed moments and gates, and their linear response to a slow motion."""

    def __init__(
        self,
        device: Device,
        m: NDArray[np.float64],
        potential: NDArray[np.float64],
        counter: Counter | None = None,
    ) -> None:
        self.device, self.m, self.potential = device, m, potential
        self.blocks = device.hamiltonian_blocks(m, potential)
        self.bounds = device.spectrum_bounds(m, potential)
        self.counter = Counter(counter)
        self._equilibrium: tuple[NDArray[np.float64], float] | None = None
        # Density of states at the Fermi energy, (n, 4) times 2 pi, where a surface term came across it.
        self._states_at_fermi_energy: NDArray[np.float64] | None = None

    @property
    def solves(self) -> int:
        """Green's functions evaluated so far."""
        return self.counter.count

    # --- equilibrium ------------------------------------------------------------------------------

    @cached_property
    def contour(self) -> Contour:
        """The pole rule of this texture."""
        device, step = self.device, self.step
        if step is None:
            gap = 0.1 * device.tolerance * device.hopping
            return self._sharp_contour if self.surface.needs_arcs else device.contour(self.bounds, gap)
        if step.places == (device.fermi_energy,):
            return device.contour(self.bounds, step.gap, sharpness=step.sharpness)
        return device.contour_of(step.rule(device, self.bounds))

    @cached_property
    def step(self) -> Step | None:
        """What stands for the Fermi function at kT = 0; None at kT > 0."""
        return choose_step(self) if self.device.temperature == 0 else None

    @property
    def cancellation(self) -> float:
        """By how much rounding grows where products of two Green's functions cancel in the sea term."""
        return 1.0

    def probe(self, z: complex) -> NDArray[np.complex128]:
        """G on the sites at z, traced with 1, sigma_x, sigma_y, sigma_z: (n, 4), 1/energy."""
        device = self.device
        # The kernel keeps the real part of -2 w Tr[sigma G].
        where = np.full(2, z), np.array([-0.5, 0.5j]), self.blocks, device.hops, device.probed_self_energy(z)
        found = contour_rows(*where, counter=self.counter).rows
        return np.asarray(found[0, 0] + 1j * found[1, 0])

    @property
    def distances(self) -> Distances:
        """Eigenvalues of H + Sigma(E) - E at a real energy outside the bands."""
        return distances_of(self.device, self.dense_hamiltonian())

    @property
    def rule(self) -> FermiPoles:
        """The pole rule of this texture."""
        return self.contour.rule

    def _remember(self, traced: NDArray[np.float64], logdet: NDArray[np.complex128]) -> None:
        rule = self.contour.rule
        charge = np.zeros(4)
        charge[0] = 2 * rule.constant
        trace = float((self.blocks[:, 0, 0] + self.blocks[:, 1, 1]).real.sum())
        omega = 2 * (rule.weights * logdet).sum().real + rule.constant * trace
        self._equilibrium = traced + charge, float(omega)

    @property
    def adiabatic(self) -> NDArray[np.float64]:
        """rho_ad traced with 1, sigma_x, sigma_y, sigma_z: (n, 4)."""
        if self._equilibrium is None:
            sums, logdet, _ = contour_integral(self.blocks, self.device.hops, self.contour, counter=self.counter)
            self._remember(sums[0], logdet)
        assert self._equilibrium is not None
        return self._equilibrium[0]

    @property
    def grand_potential(self) -> float:
        """Grand potential of the electrons relative to the same wire with J_sd = 0 and V = 0, energy.

        Omega = (1/pi) int f Im ln det G^-1, with the poles of f that give rho_ad, so that
        J_sd s_i = -dOmega/dm_i holds to rounding whatever the tolerance.
        """
        _ = self.adiabatic
        assert self._equilibrium is not None
        if self.step is not None and self.step.places != (self.device.fermi_energy,):
            # The potential itself is smooth where a level crosses the Fermi energy; it depends on where that is.
            return self._at_fermi_energy().grand_potential
        return self._equilibrium[1] - self.device.bare_grand_potential(self.contour)

    def _at_fermi_energy(self) -> Frozen:
        """The same electrons with the step at the Fermi energy, whatever lies there."""
        other = Frozen(self.device, self.m, self.potential, self.counter)
        other.__dict__["step"] = None
        other.__dict__["contour"] = self.device.contour(self.bounds, 0.1 * self.device.tolerance * self.device.hopping)
        return other

    # --- first order in the velocities ------------------------------------------------------------

    def response(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]):
        """(sea, surface) spin densities, each (n, 4), linear in the velocities (n, 3) and gate rates (n,).

        The energies of the surface part are chosen in the first call and kept, so that later calls are linear maps
        of the velocities.
        """
        found = self.respond(mdot, potential_rate)
        return found.sea, found.surface

    def respond(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> Response:
        """`response` with what tells the currents of this motion, from the same sweeps."""
        device = self.device
        rate = device.coupling_blocks(mdot, potential_rate)
        contour = self.contour
        identity = _identity_blocks(device.n_sites)
        sums, ends = self._over_contour(2, identity, rate, contour.derivative_ends)
        surface = self.surface.density(rate, -sums[1])
        self.check_first_order(rate, sums[3] + surface)
        return Response(sums[3], surface, ends[:, 1])

    def _over_contour(self, *perturbed: Any) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
        """Sums and `ContourRows.ends` over the contour; what they tell about the equilibrium is remembered."""
        rule, sigma = self.contour.rule, self.contour.sigma
        wire = self.blocks, self.device.hops
        where = rule.nodes, rule.weights, *wire, sigma
        found = contour_rows(*where, *perturbed, counter=self.counter, bound=rule.bound)
        sums = found.rows.sum(axis=0)
        self._remember(sums[0], found.logdet)
        return sums, found.ends

    def adiabatic_rate(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """d rho_ad/dt = -(1/pi) int f Im[G Hd G] of dH/dt = `rate` (n, 2, 2), traced: (n, 4), 1/time.

        Without what discrete levels would have to change their occupation by.
        """
        found = contour_integral(self.blocks, self.device.hops, self.contour, 1, None, rate, counter=self.counter)
        return found[0][2] - self.surface.kept(rate)

    def check_first_order(self, rate: NDArray[np.complex128], response: NDArray[np.float64]) -> None:
        """ToleranceError where the response to dH/dt = `rate` (n, 2, 2) hangs on the last digits of E_F at kT = 0."""
        if self.step is not None and self.step.is_delicate(self.device.tolerance):
            self.step.check_first_order(self.device, rate, response)

    def spin_density(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> SpinDensity:
        """All parts for one motion."""
        if mdot.any() or potential_rate.any():
            return self.parts(self.respond(mdot, potential_rate))
        return self.parts(None)

    def parts(self, response: Response | None) -> SpinDensity:
        """All parts of the spin density with this response; None: nothing moves."""
        nothing = np.zeros((self.device.n_sites, 4))
        sea, surface = (nothing, nothing) if response is None else (response.sea, response.surface)
        return self._pack(sea, surface, None)

    def lead_currents(
        self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64], response: Response | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Particles (2,) and spin (2, 3) that flow over the first bonds of the left and the right lead, first order.

        response: that to this motion, where it is known.
        """
        if not (mdot.any() or potential_rate.any()):
            return np.zeros(2), np.zeros((2, 3))
        response = response or self.respond(mdot, potential_rate)
        assert response.driven_ends is not None
        # A perturbation reaches into a lead through the derivative of Sigma alone: G B G Hd G flows over the bond to it
        # as -dSigma/dE (G Hd G) on the end site.
        rule, slopes = self.contour.rule, np.stack([d[:, 0, 0] for d in self.contour.derivative], axis=1)
        sea = 2 * np.real(pauli_traces(np.einsum("k,kp,kpab->pab", rule.weights, slopes, response.driven_ends)))
        return _as_flow(sea + self.surface.into_leads(self.device.coupling_blocks(mdot, potential_rate)))

    def precession(self, axis: NDArray[np.float64], frequency: float) -> SpinDensity:
        """Geometric, lead (sea) and surface parts of steady precession about `axis` (Bajpai and Nikolic, Eq. (2)).

        axis: (3,); frequency: omega (1/time), right-handed about the axis.
        """
        return self._precession(axis, frequency)[0]

    def precession_with_currents(
        self, axis: NDArray[np.float64], frequency: float
    ) -> tuple[SpinDensity, NDArray[np.float64], NDArray[np.float64]]:
        """`precession`, with particles (2,) and spin (2, 3) that flow over the first bonds of both leads."""
        spin, sea_flow, (rate, K) = self._precession(axis, frequency)
        return spin, *_as_flow(sea_flow + self.surface.into_leads(rate, K))

    def _precession(self, axis, frequency):
        device, contour = self.device, self.contour
        K = rotation_generator(axis, frequency)
        K_sites = np.ascontiguousarray(np.broadcast_to(K, (device.n_sites, 2, 2)))
        y_ends = np.stack([d @ K for d in contour.derivative], axis=1)
        sums, ends = self._over_contour(1, K_sites, None, None, y_ends)
        # Over the bond to a lead flows [dSigma/dE K, G]; the geometric part, [Sigma, G K G], does not get there.
        turned = y_ends @ ends[:, 0] - ends[:, 0] @ y_ends
        flow = 2 * np.imag(pauli_traces(np.einsum("k,kpab->pab", contour.rule.weights, turned)))
        axis = np.asarray(axis, float) / np.linalg.norm(axis)
        rate = device.coupling_blocks(frequency * np.cross(axis, self.m), np.zeros(device.n_sites))
        surface = self.surface.turned(rate, K)
        self.check_first_order(rate, sums[2] + surface - sums[1])
        return self._pack(sums[2], surface, -sums[1]), flow, (rate, K)

    def _pack(self, sea, surface, geometric) -> SpinDensity:
        adiabatic = self.adiabatic
        first = sea if geometric is None else sea + geometric
        return SpinDensity(
            adiabatic=adiabatic[:, 1:].copy(),
            sea=sea[:, 1:].copy(),
            surface=surface[:, 1:].copy(),
            geometric=None if geometric is None else geometric[:, 1:].copy(),
            density_adiabatic=adiabatic[:, 0].copy(),
            density_sea=first[:, 0].copy(),
            density_surface=surface[:, 0].copy(),
            solves=self.solves,
        )

    # --- the Fermi surface ------------------------------------------------------------------------

    @cached_property
    def surface(self) -> ChainSurface:
        """The Fermi-surface term of this texture."""
        return ChainSurface(self)

    def thermal_states(self, known: NDArray[np.float64] | None = None) -> tuple[NDArray[np.float64], float]:
        """-(1/pi) int f Im dG/dE, (n, 4) as traces, at kT > 0, and to what it is known; both 1/energy.

        The number of thermal states of each site, from the poles of f: without any look at the real axis.
        known: the same where a response has come across it with the sharp rule.
        """
        device, contour = self.device, self._sharp_contour
        if known is not None:
            return known, DERIVATIVE_ERROR * contour.rule.bound / device.temperature
        X, x_ends = _identity_blocks(device.n_sites), contour.derivative_ends
        sums, _, _ = contour_integral(self.blocks, device.hops, contour, 1, X, None, x_ends, None, counter=self.counter)
        return -sums[1], DERIVATIVE_ERROR * contour.rule.bound / device.temperature

    @property
    def _sharp_contour(self) -> Contour:
        device = self.device
        return device.contour(self.bounds, device.hopping, sharpness=device.sharpness(self.bounds))

    def surface_bonds(self, rate: NDArray[np.complex128], K: NDArray[np.complex128] | None = None):
        """Flow over the bonds, (n - 1, 4), of the surface part: see `ChainSurface.bonds`."""
        return self.surface.bonds(rate, K)

    def dense_hamiltonian(self) -> NDArray[np.complex128]:
        """H of the wire, (2 n, 2 n), index 2 i + spin; for short ones."""
        return dense_hamiltonian(self.blocks, self.device.hops)

    def real_rows(self, rule: RealRule, rate, K=_NO_TURN, with_bonds: bool = False) -> SurfaceRows:
        """What scattering states at the energies of a rule give."""
        wire, leads = (self.blocks, self.device.hops), (rule.sigma, rule.roots)
        found = surface_rows(rule.energies, *wire, *leads, rate, K, with_bonds, counter=self.counter)
        if len(rule.energies) == 1 and rule.energies[0] == self.device.fermi_energy:
            self._states_at_fermi_energy = found.rows[0, 0]
        return found

    # --- real energies, for users -----------------------------------------------------------------

    def _at_energy(self, energy: float):
        rule = self.device.real_rule(np.array([energy]), np.ones(1))
        return self.real_rows(rule, np.zeros_like(self.blocks))

    def transmission(self, energy: float) -> NDArray[np.float64]:
        """|sqrt(Gamma_R) G sqrt(Gamma_L)|^2, (2, 2) [spin out, spin in]."""
        return abs(self._at_energy(energy).amplitudes[0, 1, 0]) ** 2

    def level_width(self) -> float:
        """Width (energy) of the sharpest level at E_F, 4 over its dwell time; inf where the leads have no states there.

        Dwell times as `FrozenLattice.level_width`; here from their sum, the density of states, for two equal spins.
        """
        device = self.device
        low, high = device.band
        if device.is_closed or not low < device.fermi_energy < high:
            return np.inf
        if self._states_at_fermi_energy is None:
            self._at_energy(device.fermi_energy)
        assert self._states_at_fermi_energy is not None
        states = float(self._states_at_fermi_energy[:, 0].sum())
        return 8 / states if states > 0 else np.inf

    def density_of_states(self, energy: float) -> NDArray[np.float64]:
        """(n, 4): local density of states and its spin components at a real energy in the band."""
        return self._at_energy(energy).rows[0, 0] / (2 * np.pi)


def _as_flow(traced: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Particles (2,) and spin (2, 3) from (2, 4), traced with 1 and sigma."""
    return traced[:, 0], traced[:, 1:] / 2


def rotation_generator(axis: NDArray[np.float64], frequency: float) -> NDArray[np.complex128]:
    """K = (omega/2) sigma.axis, (2, 2): spinors of a rigid precession turn by exp(-i K t)."""
    axis = np.asarray(axis, dtype=float)
    length = np.linalg.norm(axis)
    if axis.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"axis = {axis.tolist()!r}: a finite vector of three components, not zero")
    x, y, z = 0.5 * frequency * axis / length
    return np.array([[z, x - 1j * y], [x + 1j * y, -z]])
