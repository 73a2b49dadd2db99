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

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from .bound_states import BoundStates, bound_states
from .device import IDENTITY, Contour, Device, RealRule, dense_hamiltonian
from .green import contour_sums, contour_sums_near_levels, surface_terms
from .quadrature import FermiPoles, ToleranceError, adaptive_nodes, fermi_derivative
from .threads import spread

_SURFACE_SHARE = 1 / 4
# What a few operations on blocks of 2 x 2 lose.
_ROUNDING = 16 * float(np.finfo(float).eps)
# Of the sea term near a level, times the square of G in units of 1/hopping (measured).
_SEA_LOSS = 0.3 * float(np.finfo(float).eps)
_NO_TURN = np.zeros((2, 2), complex)
Drive = tuple[np.ndarray, np.ndarray]
_GAUSS_LADDER = (5, 8, 13)
# Up to this many sites the levels of the wire are found by a dense eigenvalue solver.
_SHORT_WIRE = 32


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


@lru_cache(maxsize=8)
def _no_perturbation(n_sites: int, n_energies: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    return np.zeros((n_sites, 2, 2), complex), np.zeros((n_energies, 2, 2, 2), complex)


@lru_cache(maxsize=8)
def _identity_blocks(n_sites: int) -> NDArray[np.complex128]:
    return np.ascontiguousarray(np.broadcast_to(IDENTITY, (n_sites, 2, 2)))


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
) -> tuple[NDArray[np.float64], NDArray[np.complex128], NDArray[np.float64]]:
    """-(1/pi) int f Im F for F = G, G X G, G Y G and -(i/2)(G X G Y G - G Y G X G): (4, n, 4); ln det per
    node; and with `with_bonds` the flow over each bond, (4, n - 1, 4) (`green.contour_sums`).

    The last axis is the trace with 1, sigma_x, sigma_y, sigma_z.  Without the constant of the rule.
    """
    n, n_energies = len(blocks), len(contour.rule.nodes)
    no_blocks, no_ends = _no_perturbation(n, n_energies)
    X, Y = no_blocks if X is None else X, no_blocks if Y is None else Y
    x_ends, y_ends = no_ends if x_ends is None else x_ends, no_ends if y_ends is None else y_ends
    out = np.empty((n_energies, 4, n, 4))
    bonds = np.empty((n_energies if with_bonds else 0, 4, n - 1, 4))
    logdet, growth = np.empty(n_energies, complex), np.empty(n_energies)
    nodes, weights = contour.rule.nodes, contour.rule.weights

    def kernel(s: slice) -> None:
        given = blocks, hops, contour.sigma[0][s], contour.sigma[1][s], order, X, Y, x_ends[s], y_ends[s]
        contour_sums(nodes[s], weights[s], *given, out[s], logdet[s], bonds[s], growth[s])

    spread(n_energies, n, kernel)
    if order > 0 and n > 1:
        hopping = float(hops.max())
        redo = np.flatnonzero(_lost_digits(abs(weights), hopping, growth, order) > contour.rule.bound)
        if len(redo):
            z, w, again, bonds_again = nodes[redo], weights[redo], out[redo], bonds[redo if with_bonds else slice(0)]
            ends = [e[redo] for e in (*contour.sigma, x_ends, y_ends)]

            def careful_kernel(s: slice) -> None:
                left, right, x, y = (e[s] for e in ends)
                given = z[s], w[s], blocks, hops, left, right, order, X, Y, x, y, hopping
                contour_sums_near_levels(*given, again[s], bonds_again[s])

            spread(len(redo), n, careful_kernel)
            out[redo] = again
            if with_bonds:
                bonds[redo] = bonds_again
    # Rows are added in the order of the nodes: the result does not depend on the number of threads.
    return out.sum(axis=0), logdet, bonds.sum(axis=0)


def sharpness(nearness: float) -> int:
    """By how many powers of ten a pole rule at kT = 0 is better than the tolerance where t |G(E_F)| is `nearness`."""
    return int(np.round(np.log10(nearness)) if nearness < 30 else np.ceil(np.log10(nearness)))


def surface_loss(green: float, states: float) -> float:
    """What rounding makes of Im[G Hd G Gamma G^+]/2 pi, about, for Hd = hopping.

    green: largest eigenvalue of G; states: largest element of G Gamma G^+, both in units of 1/hopping.  There are two
    more factors of G, one of Hd and one of the change of H that rounding amounts to.
    """
    return 2 * float(np.finfo(float).eps) * green**2 * states / (2 * np.pi)


def check_digits(device: Device, drive: np.ndarray, loss: float, nearest_level: Callable[[], complex]) -> None:
    """ToleranceError where a level at E_F and kT = 0 makes rounding worth more than the tolerance.

    drive: dH/dt; loss: of the density, for dH/dt = hopping.  Slower motions are held to as much less; what is faster is
    no slow motion, and often a run about to end for another reason.
    """
    if loss <= device.tolerance:
        return
    size = min(1.0, float(abs(drive).max()) / device.hopping)
    if size == 0:
        return
    level = nearest_level()
    raise ToleranceError(
        f"fermi_energy = {device.fermi_energy:g} at temperature = 0: a level lies {level.real:.1e} from it, with a "
        f"half-width of {abs(level.imag):.1e}; the last digit of an energy decides, so that the response to the motion "
        f"is known to {loss * size:.1e} only and {device.tolerance * size:.1e} is needed: use a temperature "
        "> 0, another Fermi energy, a stronger coupling to the leads or a larger electrons.tolerance"
    )


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
) -> tuple[NDArray[np.float64], NDArray[np.complex128], NDArray[np.float64]]:
    """The kernel `surface_terms` at real energies, spread over threads: (n_e, 4, n, 4), (n_e, 2, 2, 2, 2) and, with
    `with_bonds`, (n_e, 4, n - 1, 4)."""
    # Elimination starts at the better connected end: from a closed one the partial chain has real levels, and digits
    # are lost wherever an energy meets one.
    if abs(sigma[0].imag).max() < abs(sigma[1].imag).max():
        flip = np.ascontiguousarray
        mirrored = flip(blocks[::-1]), flip(hops[::-1]), (sigma[1], sigma[0]), flip(roots[:, ::-1]), flip(Y[::-1])
        out, scattering, bonds = _surface_from_left(energies, mirrored, K, with_bonds)
        return out[:, :, ::-1], scattering[:, ::-1, ::-1], -bonds[:, :, ::-1]
    return _surface_from_left(energies, (blocks, hops, sigma, roots, Y), K, with_bonds)


def _surface_from_left(energies, wire, K, with_bonds):
    blocks, hops, sigma, roots, Y = wire
    out = np.empty((len(energies), 3, len(blocks), 4))
    bonds = np.empty((len(energies) if with_bonds else 0, 3, len(blocks) - 1, 4))
    scattering = np.empty((len(energies), 2, 2, 2, 2), complex)
    z = np.asarray(energies, complex)

    def kernel(s: slice) -> None:
        surface_terms(z[s], blocks, hops, *(e[s] for e in sigma), roots[s], Y, K, out[s], scattering[s], bonds[s])

    spread(len(energies), len(blocks), kernel)
    return out, scattering, bonds


class Frozen:
    """The electrons of a `Device` at fixed moments and gates, and their linear response to a slow motion."""

    def __init__(self, device: Device, m: NDArray[np.float64], potential: NDArray[np.float64]) -> None:
        self.device, self.m, self.potential = device, m, potential
        self.blocks = device.hamiltonian_blocks(m, potential)
        self.bounds = device.spectrum_bounds(m, potential)
        self.solves = 0
        # Largest element, and largest eigenvalue about, of G at E_F in units of 1/hopping; known at kT = 0.
        self._nearness = self._largest_green = 1.0
        self._surface_rule: RealRule | None = None
        # The integrals with which a rule was chosen: (rule, dH/dt, sums), so that they are not done twice.
        self._known: tuple[RealRule, np.ndarray, np.ndarray] | None = None
        self._equilibrium: tuple[NDArray[np.float64], float] | None = None

    # --- equilibrium ------------------------------------------------------------------------------

    @cached_property
    def contour(self) -> Contour:
        """The pole rule of this texture.  At kT = 0 the gap is narrowed until the states inside it do not matter."""
        device = self.device
        gap = 0.1 * device.tolerance * device.hopping
        if device.temperature > 0:
            return device.contour(self.bounds, gap)
        for _ in range(4):
            # Im G one gap above E_F bounds the weight of the states that the rule does not resolve:
            # sum_n |n|^2 [ |E_n - E_F| < gap ] <= 2 gap |Im G(E_F + i gap)|.
            z = np.full(2, device.fermi_energy + 1j * gap)
            sigma = [s[:, None, None] * IDENTITY for s, _ in device.self_energy(z)]
            no_blocks, no_ends = _no_perturbation(device.n_sites, 2)
            out, logdet = np.empty((2, 4, device.n_sites, 4)), np.empty(2, complex)
            factors = np.array([0.5j, 0.5])
            contour_sums(
                z,
                factors,
                self.blocks,
                device.hops,
                *sigma,
                0,
                no_blocks,
                no_blocks,
                no_ends,
                no_ends,
                out,
                logdet,
                out[:0],
                np.empty(2),
            )
            self.solves += 2
            imaginary, real = abs(out[:, 0]).max(axis=(1, 2))
            if gap * imaginary <= 0.5 * device.tolerance or gap < 1e-13 * device.hopping:
                break
            gap *= 1e-2
        # The sea term holds the derivative of the rule, whose error is that of the rule over the distance of the
        # nearest level; |G(E_F)| is one over that distance.
        nearness = max(1.0, device.hopping * max(imaginary, real))
        self._largest_green = device.hopping * float(abs(out[:, 0]).max(axis=2).sum(axis=1).max())
        self._nearness = float(nearness)
        return device.contour(self.bounds, gap, sharpness=sharpness(nearness))

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
            sums, logdet, _ = contour_integral(self.blocks, self.device.hops, self.contour)
            self.solves += len(logdet)
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
        return self._equilibrium[1] - self._reference

    @cached_property
    def _reference(self) -> float:
        bare = Frozen(self.device, np.zeros_like(self.m), np.zeros_like(self.potential))
        bare.__dict__["contour"] = self.contour
        _ = bare.adiabatic
        assert bare._equilibrium is not None
        return bare._equilibrium[1]

    # --- first order in the velocities ------------------------------------------------------------

    def response(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]):
        """(sea, surface) spin densities, each (n, 4), linear in the velocities (n, 3) and gate rates (n,).

        The energies of the surface part are chosen in the first call and kept, so that later calls are linear maps
        of the velocities.
        """
        device = self.device
        rate = device.coupling_blocks(mdot, potential_rate)
        contour = self.contour
        if device.temperature == 0 and not device.is_closed:
            check_digits(device, rate, _SEA_LOSS * self._nearness**2, self._nearest_level)
        identity = _identity_blocks(device.n_sites)
        sums, logdet, _ = contour_integral(
            self.blocks, device.hops, contour, 2, identity, rate, contour.derivative_ends
        )
        self.solves += len(logdet)
        self._remember(sums[0], logdet)
        return sums[3], self._surface(rate, thermal_states=-sums[1])

    def spin_density(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> SpinDensity:
        """All parts for one motion."""
        if mdot.any() or potential_rate.any():
            sea, surface = self.response(mdot, potential_rate)
        else:
            sea = surface = np.zeros((self.device.n_sites, 4))
        return self._pack(sea, surface, None)

    def precession(self, axis: NDArray[np.float64], frequency: float) -> SpinDensity:
        """Geometric, lead (sea) and surface parts of steady precession about `axis` (Bajpai and Nikolic, Eq. (2)).

        axis: (3,); frequency: omega (1/time), right-handed about the axis.
        """
        device, contour = self.device, self.contour
        K = rotation_generator(axis, frequency)
        K_sites = np.ascontiguousarray(np.broadcast_to(K, (device.n_sites, 2, 2)))
        y_ends = np.stack([d @ K for d in contour.derivative], axis=1)
        sums, logdet, _ = contour_integral(self.blocks, device.hops, contour, 1, K_sites, None, None, y_ends)
        self.solves += len(logdet)
        self._remember(sums[0], logdet)
        axis = np.asarray(axis, float) / np.linalg.norm(axis)
        rate = device.coupling_blocks(frequency * np.cross(axis, self.m), np.zeros(device.n_sites))
        surface = -self._integrate(self._choose_rule((rate, K), None), rate, 2, K) / (2 * np.pi)
        if self._levels.any:
            surface += self._levels.unturned(K).on_sites()
        return self._pack(sums[2], surface, -sums[1])

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

    def _surface_terms(self, rule: RealRule, rate, K=None, with_bonds: bool = False):
        self.solves += len(rule.energies)
        K = _NO_TURN if K is None else K
        ends = rule.sigma, rule.roots
        out, _, bonds = surface_integrand(rule.energies, self.blocks, self.device.hops, *ends, rate, K, with_bonds)
        if self.device.temperature == 0:
            _ = self.contour
            # G Gamma G^+ = -2 Im G bounds what is worth a look.
            if surface_loss(self._largest_green, 4 * self._largest_green) > self.device.tolerance:
                states = float(out[:, 0].max()) * self.device.hopping
                drive = rate if abs(rate).max() > abs(K).max() else K
                check_digits(self.device, drive, surface_loss(self._largest_green, states), self._nearest_level)
        return bonds if with_bonds else out

    def _nearest_level(self) -> complex:
        """E - E_F - i (half-width) of the level of the wire next to E_F, energy; for messages."""
        if self.device.n_sites > 8 * _SHORT_WIRE:
            return complex(self.device.hopping / self._nearness)
        levels = self._resonances() - self.device.fermi_energy
        return complex(levels[np.argmin(abs(levels))])

    def _integrate(self, rule: RealRule, rate, term: int, K=None, with_bonds: bool = False) -> NDArray[np.float64]:
        if not len(rule.energies):
            return np.zeros((self.device.n_sites - with_bonds, 4))
        if self._known is not None and self._known[0] is rule and self._known[1] is rate and not with_bonds:
            return self._known[2][term]
        return _weighted_sum(rule.weights, self._surface_terms(rule, rate, K, with_bonds))[term]

    def surface_bonds(self, rate: NDArray[np.complex128], K: NDArray[np.complex128] | None = None):
        """Flow over the bonds, (n - 1, 4) as in `green.contour_sums`, of the surface part of dH/dt = `rate` (n, 2, 2).

        K: generator of a rigid precession; with it the surface part is that of Bajpai and Nikolic.
        """
        rule = self._choose_rule((rate, _NO_TURN if K is None else K), None)
        bonds = -self._integrate(rule, rate, 1 if K is None else 2, K, with_bonds=True) / (2 * np.pi)
        if self._levels.any:
            levels = self._levels.surface(rate) if K is None else self._levels.unturned(K)
            bonds += levels.over_bonds(self.device.hops)
        return bonds

    def _surface(self, rate: NDArray[np.complex128], thermal_states: NDArray[np.float64]) -> NDArray[np.float64]:
        """(1/2pi) int f' Im[G Hd G Gamma G^+], with the discrete levels in the thermal window: (n, 4)."""
        if self._surface_rule is None:
            self._surface_rule = self._choose_rule((rate, _NO_TURN), thermal_states)
        surface = -self._integrate(self._surface_rule, rate, 1) / (2 * np.pi)
        if self._levels.any:
            surface += self._levels.surface(rate).on_sites()
        return surface

    @cached_property
    def _window(self) -> tuple[float, float]:
        """Energies between which -df/dE matters."""
        reach = self.device.temperature * min(45.0, 8 - np.log(self.device.tolerance))
        return self.device.fermi_energy - reach, self.device.fermi_energy + reach

    @cached_property
    def _levels(self) -> BoundStates:
        """Discrete levels inside the thermal window: all of a closed wire, bound states outside the lead band."""
        return bound_states(self.device, dense_hamiltonian(self.blocks, self.device.hops), *self._window)

    def _choose_rule(self, drive: Drive, thermal_states) -> RealRule:
        """Energies and weights of int (-f') dE on the lead band that hold the tolerance for this motion.

        drive: dH/dt (n, 2, 2) and generator K (2, 2) of a rigid rotation; the terms of both are converged.
        """
        device = self.device
        nothing = device.no_rule
        low, high = device.band
        mu, kT = device.fermi_energy, device.temperature
        if device.is_closed:
            return nothing
        if kT == 0:
            return device.real_rule(np.array([mu]), np.array([1.0])) if low < mu < high else nothing
        size = max(abs(part).max() for part in drive) / device.hopping
        target = _SURFACE_SHARE * device.tolerance * 2 * np.pi * min(1.0, size)
        if target == 0:
            return nothing
        window = max(low, self._window[0]), min(high, self._window[1])
        if window[0] >= window[1]:
            return nothing
        if self._window == window:
            # A Gauss rule of a few energies follows no more than a turn or so of the integrand within kT.
            chosen = None if self._ripple * kT > 4 else self._gauss_rule(drive, target, thermal_states)
            chosen = chosen or self._trapezoidal_rule(drive, target, thermal_states)
            if chosen is not None:
                return chosen
        return self._panel_rule(drive, target, window)

    def _gauss_rule(self, drive: Drive, target, thermal_states) -> RealRule | None:
        """The shortest Gauss rule for -f' whose successor agrees with it, or None."""
        device = self.device
        sums = []
        for lengths in (_GAUSS_LADDER[:2], _GAUSS_LADDER[2:]):
            both = device.thermal_rule(lengths)
            terms = self._surface_terms(both, *drive)
            end = 0
            for n in lengths:
                start, end = end, end + n
                sums.append(_weighted_sum(both.weights[start:end], terms[start:end]))
            if abs(sums[-1][1:] - sums[-2][1:]).max() < target:
                rule = device.thermal_rule(lengths[-1:])
                self._known = rule, drive[0], sums[-1]
                return rule if self._sees_all_resonances(sums[-1][0], target, thermal_states) else None
        return None

    def _trapezoidal_rule(self, drive: Drive, target, thermal_states) -> RealRule | None:
        """Equidistant energies that hold the target, or None.

        Waves that run to and fro twice in a wire of n sites make the integrand oscillate as exp(i ripple E); with the
        poles of f at a distance pi kT, a spacing h errs by exp(-pi kT (2 pi/h - ripple)): the best rule for long wires.
        In those the spacing is that of this bound, and what the wire does beyond it would show in the thermal density
        of states.  Otherwise, and where it does show, the spacing is half as wide and even and odd halves must agree.
        """
        device = self.device
        bound = 2 * np.pi / (self._ripple - np.log(target) / (np.pi * device.temperature))
        for spacing in (bound, bound / 2) if device.n_sites > 4 * _SHORT_WIRE else (bound / 2,):
            half = int(np.ceil((self._window[1] - device.fermi_energy) / (2 * spacing)))
            energies = device.fermi_energy + spacing * (np.arange(-2 * half, 2 * half) + 0.5)
            weights = -spacing * fermi_derivative(energies, device.fermi_energy, device.temperature)
            rule = device.real_rule(energies, weights)
            terms = self._surface_terms(rule, *drive)
            even, odd = (_weighted_sum(weights[part], terms[part]) for part in (slice(0, None, 2), slice(1, None, 2)))
            agree = 2 * abs(even[1:] - odd[1:]).max() <= target
            if (agree or spacing == bound) and self._sees_all_resonances(even[0] + odd[0], target, thermal_states):
                self._known = rule, drive[0], even + odd
                return rule
        return None

    @property
    def _ripple(self) -> float:
        """4 n/v: how fast waves that run to and fro twice let the integrand oscillate with energy."""
        device = self.device
        return float(2 * device.n_sites / (device.hopping * np.sin(self._momentum(device.fermi_energy))))

    def _momentum(self, energy):
        """k of the leads, E = onsite - 2t cos k, in [0, pi]."""
        return np.arccos(np.clip((self.device.onsite - energy) / (2 * self.device.hopping), -1, 1))

    def _sees_all_resonances(self, states, target, thermal_states) -> bool:
        """Whether a rule that found 2 pi `states` thermal states can have missed a resonance narrower than kT.

        What is missing shows in the thermal density of states, which the poles know as -(1/pi) int f Im dG/dE without
        looking at the real axis; its share of the surface term is larger by dH/dt over the width.
        """
        device = self.device
        narrowest = self._narrowest_resonance()
        if thermal_states is None:
            return narrowest >= device.temperature
        lost = abs(thermal_states - states / (2 * np.pi)).max() * device.hopping
        if narrowest >= device.temperature:
            return lost < device.tolerance
        return lost * device.hopping < target * min(narrowest, device.hopping)

    def _narrowest_resonance(self) -> float:
        """Half-width (energy) of the sharpest level in the thermal window; estimated where the wire is long."""
        device = self.device
        if device.n_sites <= _SHORT_WIRE:
            bound = self._width_bound()
            if bound >= device.temperature:
                return bound
            levels = self._resonances()
            near = (levels.real >= self._window[0]) & (levels.real <= self._window[1])
            return float(-levels.imag[near].max()) if near.any() else np.inf
        # A standing wave loses 1 - |r|^2 of itself at each end, once per 2 n/v.
        t = device.hopping
        k = self._momentum(device.fermi_energy)
        log_r = 0.0
        for sigma in device.sigma_at_fermi_energy:
            log_r += np.log(max(abs((sigma + t * np.exp(1j * k)) / (sigma + t * np.exp(-1j * k))), 1e-16))
        return float(-log_r * t * np.sin(k) / device.n_sites)

    def _panel_rule(self, drive: Drive, target, window) -> RealRule:
        """Adaptive panels in k, where the self-energy has no root singularity: E = onsite - 2t cos k."""
        device = self.device
        t, mu, kT = device.hopping, device.fermi_energy, device.temperature

        def energy_of(k):
            return device.onsite - 2 * t * np.cos(k)

        def density(k):
            return -fermi_derivative(energy_of(k), mu, kT) * 2 * t * np.sin(k)

        def integrand(k):
            terms = self._surface_terms(device.real_rule(energy_of(k), k), *drive)[:, 1:]
            return (density(k)[:, None, None, None] * terms).reshape(len(k), -1)

        edges = [window[0], window[1], mu - 3 * kT, mu, mu + 3 * kT]
        if device.n_sites <= 4 * _SHORT_WIRE:
            # Narrow resonances of a weakly coupled wire: panels start at their positions and a few widths away.
            for level in self._resonances():
                edges += [level.real + c * level.imag for c in (-4, 0, 4)]
            edges_k = self._momentum(np.array([e for e in edges if window[0] <= e <= window[1]]))
        else:
            k_low, k_high = (float(self._momentum(edge)) for edge in window)
            n_panels = 8 + int(device.n_sites * (window[1] - window[0]) / (4 * t))
            edges_k = np.concatenate([self._momentum(np.array(edges[2:])), np.linspace(k_low, k_high, n_panels + 1)])
            edges_k = np.clip(edges_k, k_low, k_high)
        edges_k = np.unique(edges_k)
        edges_k = edges_k[np.concatenate([[True], np.diff(edges_k) > 1e-12])]
        nodes, weights, _ = adaptive_nodes(integrand, edges_k, target)
        return device.real_rule(energy_of(nodes), weights * density(nodes))

    def _width_bound(self) -> float:
        """A cheap lower bound for the widths of all levels in the thermal window; 0 where one side is closed.

        The width of a level v is (Gamma_L |v_1|^2 + Gamma_R |v_n|^2)/2, and |v|^2 grows from an end towards the middle
        by at most exp(d/(t sin k)) a site, where d bounds |H - onsite - (E - E_F)| on it.
        """
        device = self.device
        t, k = device.hopping, self._momentum(device.fermi_energy)
        if not 0 < k < np.pi:
            return 0.0
        departure = self._window[1] - device.fermi_energy
        departure += abs(self.blocks - device.onsite * IDENTITY).sum(axis=2).max()
        growth = np.exp(min(0.5 * device.n_sites * departure / (t * np.sin(k)), 700.0))
        mismatch = (1 + abs(np.cos(k))) / (1 - abs(np.cos(k))) * (1 + max(device.couplings) ** 4 / t**4)
        gamma = min(-2 * sigma.imag for sigma in device.sigma_at_fermi_energy)
        return float(gamma / (device.n_sites * mismatch * growth))

    def _resonances(self) -> NDArray[np.complex128]:
        """Eigenvalues of H + Sigma(E_F): where the levels of a short wire are and how wide."""
        matrix = dense_hamiltonian(self.blocks, self.device.hops)
        for side, sigma in zip((slice(0, 2), slice(-2, None)), self.device.sigma_at_fermi_energy, strict=True):
            matrix[side, side] += sigma * IDENTITY
        return np.asarray(np.linalg.eigvals(matrix), dtype=np.complex128)

    # --- real energies, for users -----------------------------------------------------------------

    def _at_energy(self, energy: float):
        rule = self.device.real_rule(np.array([energy]), np.ones(1))
        none = np.zeros_like(self.blocks)
        ends = rule.sigma, rule.roots
        return surface_integrand(rule.energies, self.blocks, self.device.hops, *ends, none, none[0])

    def transmission(self, energy: float) -> NDArray[np.float64]:
        """|sqrt(Gamma_R) G sqrt(Gamma_L)|^2, (2, 2) [spin out, spin in]."""
        return abs(self._at_energy(energy)[1][0, 1, 0]) ** 2

    def level_width(self) -> float:
        """Width (energy) of the sharpest level at E_F, 4 over its dwell time; inf where the leads have no states there.

        Dwell times as `FrozenLattice.level_width`; here from their sum, the density of states, for two equal spins.
        """
        device = self.device
        low, high = device.band
        if device.is_closed or not low < device.fermi_energy < high:
            return np.inf
        states = 2 * np.pi * float(self.density_of_states(device.fermi_energy)[:, 0].sum())
        return 8 / max(states, 1e-300)

    def density_of_states(self, energy: float) -> NDArray[np.float64]:
        """(n, 4): local density of states and its spin components at a real energy in the band."""
        return self._at_energy(energy)[0][0, 0] / (2 * np.pi)


def _weighted_sum(weights: NDArray[np.float64], terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the first axis; a matrix product, because tensordot costs more than the kernels of a short wire."""
    return (weights @ terms.reshape(len(weights), -1)).reshape(terms.shape[1:])


def rotation_generator(axis: NDArray[np.float64], frequency: float) -> NDArray[np.complex128]:
    """K = (omega/2) sigma.axis, (2, 2): spinors of a rigid precession turn by exp(-i K t)."""
    axis = np.asarray(axis, dtype=float)
    length = np.linalg.norm(axis)
    if axis.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"axis = {axis.tolist()!r}: a finite vector of three components, not zero")
    x, y, z = 0.5 * frequency * axis / length
    return np.array([[z, x - 1j * y], [x + 1j * y, -z]])
