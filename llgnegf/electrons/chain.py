"""Green's functions of a chain and integrals of them over energy; the equations are in `frozen.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .chain_rows import (
    BiasedRows,
    SurfaceRows,
    biased_rows,
    contour_integral,
    contour_rows,
    identity_blocks,
    surface_rows,
)
from .chain_rules import Contour, RealRule
from .chain_surface import ESTIMATE_MARGIN, ChainSurface
from .counter import Counter
from .fermi_step import Distances, Step, choose_step, distances_of
from .green import smallest_widths
from .leads import Occupation
from .long_wires import LongChainSurface, LongShiftedSurface, is_long
from .pauli import pauli_traces
from .pole_rules import DERIVATIVE_ERROR
from .quadrature import FermiPoles
from .shifted_surface import ShiftedChainSurface
from .sweeps import Response, Sea
from .system import System

_NO_TURN = np.zeros((2, 2), complex)

# Up to so many equidistant energies take less time than the blocks of a long wire.
_FEWER_THAN_BLOCKS = 1000


class ChainSweeps:
    """`sweeps.Sweeps` of a chain at fixed moments (n, 3) and gates (n,)."""

    leads_need_response = True
    surface_is_cheap = False

    def __init__(
        self,
        device: System,
        blocks: NDArray[np.complex128],
        bounds: tuple[float, float],
        counter: Counter,
        at_fermi_energy: bool = False,
    ) -> None:
        self._at_fermi_energy = at_fermi_energy
        self.device, self.blocks, self.bounds, self.counter = device, blocks, bounds, counter
        self.narrow: dict[Any, Any] = {}
        # rho_ad, (n, 4), and ln det G^-1 at the nodes of the contour, (k,).
        self._equilibrium: tuple[NDArray[np.float64], NDArray[np.complex128]] | None = None
        # -(1/pi) int f Im dG/dE by the pole rule, a by-product of the sea term; None until that is evaluated.
        self.known_states: NDArray[np.float64] | None = None
        # 2 pi times the density of states at the Fermi energy, (n, 4), a by-product of the surface term.
        self._states_at_fermi_energy: NDArray[np.float64] | None = None

    # --- equilibrium ------------------------------------------------------------------------------

    @cached_property
    def contour(self) -> Contour:
        """The pole rule of this texture, with the self-energies at its nodes."""
        device, step = self.device, self.step
        rules = device.chain_rules
        if step is None:
            gap = device.pole_rules.least_gap
            return self._sharp_contour if self.surface.needs_arcs else rules.contour(self.bounds, gap)
        if step.places == (device.fermi_energy,):
            return rules.contour(self.bounds, step.gap, step.sharpness)
        return rules.contour_of(step.rule(device, self.bounds))

    @cached_property
    def step(self) -> Step | None:
        """Where the step of the Fermi function is placed at kT = 0; None at kT > 0."""
        return choose_step(self) if self.device.temperature == 0 and not self._at_fermi_energy else None

    @property
    def cancellation(self) -> float:
        """By which factor rounding grows where products of two Green's functions cancel in the sea term."""
        return 1.0

    def probe(self, z: complex) -> NDArray[np.complex128]:
        """G on the sites at z, traced with 1, sigma_x, sigma_y, sigma_z: (n, 4), 1/energy."""
        device, sigma = self.device, self.device.chain_rules.probed_self_energy(z)
        # The kernel returns only the real part of -2 w Tr[sigma G]; two weights give real and imaginary part of G.
        where = np.full(2, z), np.array([-0.5, 0.5j]), self.blocks, device.hops, sigma
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
        charge = np.zeros(4)
        charge[0] = 2 * self.contour.rule.constant
        traced = traced + charge
        if self.device.holes is not None:
            traced[self.device.holes] = 0.0  # the rule is none for energies so high
        self._equilibrium = traced, logdet

    @property
    def adiabatic(self) -> NDArray[np.float64]:
        """rho_ad traced with 1, sigma_x, sigma_y, sigma_z: (n, 4)."""
        if self._equilibrium is None:
            sums, logdet, _ = contour_integral(self.blocks, self.device.hops, self.contour, counter=self.counter)
            self._remember(sums[0], logdet)
        assert self._equilibrium is not None
        return self._equilibrium[0]

    def filled_by(self, occupation: Occupation) -> NDArray[np.float64]:
        """rho_ad with another Fermi function, of kT > 0, traced: (n, 4)."""
        device = self.device
        # The error of a density is that of the rule; only derivatives of Fermi functions need a sharper one.
        contour = device.filled_by(occupation).chain_rules.contour(self.bounds, device.pole_rules.least_gap)
        traced = contour_integral(self.blocks, device.hops, contour, counter=self.counter)[0][0]
        traced[:, 0] += 2 * contour.rule.constant
        if device.holes is not None:
            traced[device.holes] = 0.0
        return traced

    @property
    def grand_potential(self) -> float:
        """See `frozen.Frozen.grand_potential`, energy."""
        _ = self.adiabatic
        assert self._equilibrium is not None
        device, rule = self.device, self.contour.rule
        # The difference at every node first: weights of nodes far from the spectrum are large and cancel in the sum.
        logdet = self._equilibrium[1] - device.chain_rules.bare_logdet(self.contour)
        if device.holes is None:
            trace = float((self.blocks[:, 0, 0] + self.blocks[:, 1, 1]).real.sum()) - 2 * device.n_sites * device.onsite
        else:
            trace = float(np.einsum("xaa->", self.blocks - device.bare_blocks).real)
        return float(2 * (rule.weights * logdet).sum().real + rule.constant * trace)

    # --- first order in the velocities ------------------------------------------------------------

    def sea(self, rate: NDArray[np.complex128]) -> Sea:
        """See `Sweeps`; the same sweeps also give the adiabatic density and the thermal states, which are kept."""
        identity = identity_blocks(self.device.n_sites)
        sums, ends = self._over_contour(2, identity, rate, self.contour.derivative_ends)
        self.known_states = -sums[1]
        return Sea(sums[3], ends[:, 1])

    def _over_contour(self, *perturbed: Any) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
        """Sums over the pole rule, and `ContourRows.ends`; the adiabatic density and ln det are kept as by-products."""
        rule, sigma = self.contour.rule, self.contour.sigma
        wire = self.blocks, self.device.hops
        where = rule.nodes, rule.weights, *wire, sigma
        found = contour_rows(*where, *perturbed, counter=self.counter, bound=rule.bound)
        sums = found.rows.sum(axis=0)
        self._remember(sums[0], found.logdet)
        return sums, found.ends

    def adiabatic_rate(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """d rho_ad/dt = -(1/pi) int f Im[G Hd G] for dH/dt = `rate` (n, 2, 2), traced: (n, 4), 1/time.

        Discrete levels keep their occupation when they move, so the change of f at their energy is left out.
        """
        found = contour_integral(self.blocks, self.device.hops, self.contour, 1, None, rate, counter=self.counter)
        return found[0][2] - self.surface.kept(rate)

    def flows(self, rate: NDArray[np.complex128]) -> dict[str, NDArray[np.float64]]:
        """See `Sweeps`."""
        identity = identity_blocks(self.device.n_sites)
        wire = self.blocks, self.device.hops, self.contour
        ends = self.contour.derivative_ends
        bonds = contour_integral(*wire, 2, identity, rate, ends, with_bonds=True, counter=self.counter)[2]
        return {"adiabatic": bonds[0], "sea": bonds[3], "surface": self.surface.bonds(rate)}

    def into_leads(self, rate: NDArray[np.complex128], response: Response | None) -> NDArray[np.float64]:
        """See `Sweeps`."""
        assert response is not None
        assert response.driven_ends is not None
        sea = sea_into_leads(self.contour, response.driven_ends)
        return sea + self.surface.into_leads(rate)

    def energy_into_leads(self, rate: NDArray[np.complex128], response: Response | None) -> NDArray[np.float64]:
        """See `Sweeps`.

        The bond to a lead is part of this as far as it gives energy to the lead: d<H_lead>/dt.
        """
        assert response is not None
        assert response.driven_ends is not None
        sea = energy_of_sea_into_leads(self.contour, response.driven_ends, self.device.voltages)
        return sea + self.surface.energy_into_leads(rate)

    def turned(
        self, rate: NDArray[np.complex128], K: NDArray[np.complex128]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """See `Sweeps`."""
        contour = self.contour
        K_sites = np.tile(K, (self.device.n_sites, 1, 1))
        y_ends = np.stack([d @ K for d in contour.derivative], axis=1)
        sums, ends = self._over_contour(1, K_sites, None, None, y_ends)
        # The flow over the bond to a lead is that of [dSigma/dE K, G]; the geometric part, [Sigma, G K G], adds none.
        turned = y_ends @ ends[:, 0] - ends[:, 0] @ y_ends
        flow = 2 * np.imag(pauli_traces(np.einsum("k,kpab->pab", contour.rule.weights, turned)))
        return -sums[1], sums[2], self.surface.turned(rate, K), flow

    def turning_into_leads(self, rate: NDArray[np.complex128], K: NDArray[np.complex128]) -> NDArray[np.float64]:
        """See `Sweeps`."""
        return self.surface.into_leads(rate, K)

    def turning_flows(
        self, rate: NDArray[np.complex128], K: NDArray[np.complex128], inside: slice
    ) -> dict[str, NDArray[np.float64]]:
        """`flows` of steady precession, with "geometric" among the origins; inside: the sites of the device."""
        on_device = np.zeros_like(rate)
        on_device[inside] = K
        y_ends = np.stack([d @ K for d in self.contour.derivative], axis=1)
        wire = self.blocks, self.device.hops, self.contour
        perturbed = on_device, on_device - K, None, y_ends
        bonds = contour_integral(*wire, 1, *perturbed, with_bonds=True, counter=self.counter)[2]
        surface = self.surface.bonds(rate, K)
        return {"adiabatic": bonds[0], "geometric": -bonds[1], "sea": bonds[2], "surface": surface}

    # --- the Fermi surface ------------------------------------------------------------------------

    @cached_property
    def surface(self) -> ChainSurface:
        """The Fermi-surface term of this texture."""
        device = self.device
        shifted, by_blocks = (
            device.needs_shifted_surface,
            device.temperature > 0 and is_long(device, moving=device.is_shifted),
        )
        if by_blocks and not shifted:
            plain = ChainSurface(self)
            if not plain.needs_arcs and plain.equidistant <= _FEWER_THAN_BLOCKS:
                return plain
        kinds = (LongChainSurface, LongShiftedSurface) if by_blocks else (ChainSurface, ShiftedChainSurface)
        return kinds[shifted](self)

    def narrow_zeros(self, _low: float, _high: float, _widest: float) -> None:
        """See `Sweeps`."""

    def thermal_states(self, known: NDArray[np.float64] | None = None) -> tuple[NDArray[np.float64], float]:
        """See `Sweeps`.  known: the density itself, if the sea term has already given it with the sharp rule."""
        device, contour = self.device, self._sharp_contour
        if known is not None:
            return known, DERIVATIVE_ERROR * contour.rule.bound / device.temperature
        X, x_ends = identity_blocks(device.n_sites), contour.derivative_ends
        sums, _, _ = contour_integral(self.blocks, device.hops, contour, 1, X, None, x_ends, None, counter=self.counter)
        return -sums[1], DERIVATIVE_ERROR * contour.rule.bound / device.temperature

    @property
    def _sharp_contour(self) -> Contour:
        device, sharpness = self.device, self.device.pole_rules.sharpness(self.bounds)
        return device.chain_rules.contour(self.bounds, device.hopping, sharpness)

    def dense_hamiltonian(self) -> NDArray[np.complex128]:
        """H of the wire, (2 n, 2 n), index 2 i + spin; for short ones."""
        return self.device.without_holes(dense_hamiltonian(self.blocks, self.device.hops))

    def real_rows(self, rule: RealRule, rate, K=_NO_TURN, with_bonds: bool = False) -> SurfaceRows:
        """Integrands of the surface term, from scattering states at the energies of `rule`; see `SurfaceRows`."""
        wire, leads = (self.blocks, self.device.hops), (rule.sigma, rule.roots)
        found = surface_rows(rule.energies, *wire, *leads, rate, K, with_bonds, counter=self.counter)
        if len(rule.energies) == 1 and rule.energies[0] == self.device.fermi_energy:
            self._states_at_fermi_energy = found.rows[0, 0]
        return found

    def biased(
        self, energies: NDArray[np.float64], rate: NDArray[np.complex128] | None, with_bonds: bool = False
    ) -> BiasedRows:
        """See `Sweeps`."""
        sigma, slopes = self.device.chain_rules.ends_at(energies)
        wire = self.blocks, self.device.hops, sigma, slopes
        return biased_rows(energies, *wire, rate, with_bonds, counter=self.counter)

    def smallest_width(self, energies: NDArray[np.float64]) -> float:
        """See `Sweeps`; an estimate by `green.smallest_widths`, divided by its margin."""
        widths = np.empty(len(energies))
        smallest_widths(energies, self.blocks, self.device.hops, self.device.chain_rules.ends_at(energies)[0], widths)
        return float(widths.min()) / ESTIMATE_MARGIN

    # --- real energies, for users -----------------------------------------------------------------

    def _at_energy(self, energy: float):
        rule = self.device.chain_rules.real_rule(np.array([energy]), np.ones(1))
        return self.real_rows(rule, np.zeros_like(self.blocks))

    def transmission(self, energy: float) -> NDArray[np.float64]:
        """|sqrt(Gamma_R) G sqrt(Gamma_L)|^2, (2, 2) [spin out, spin in]."""
        amplitudes, out = self._at_energy(energy).amplitudes[0, 1, 0], self.device.ends[1].spin
        return np.asarray(abs(amplitudes if out is None else out.conj().T @ amplitudes) ** 2)

    def level_width(self, energy: float) -> float:
        """See `frozen.Frozen.level_width`; on a chain from the sum of the dwell times, which is the density of states.

        It is divided equally between the two spins.
        """
        found = self._states_at_fermi_energy if energy == self.device.fermi_energy else None
        if found is None:
            found = self._at_energy(energy).rows[0, 0]
        states = float(found[:, 0].sum())
        return 8 / states if states > 0 else np.inf

    def states(self, energy: float) -> NDArray[np.float64]:
        """See `Sweeps`."""
        return self._at_energy(energy).rows[0, 0]

    def working_bytes(self, order: int) -> int:
        """See `Sweeps`."""
        device, moving = self.device, order > 0
        by_blocks = (device.is_biased or (moving and device.temperature > 0)) and is_long(device, moving=moving)
        # What `benchmarks/long_wires.py` measures for each site.
        each = (220_000 if moving else 25_000) if by_blocks else 0
        return device.n_sites * (40 * 16 * 8 + each)


def sea_into_leads(contour: Contour, driven_ends: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Flow of the sea part over the first bond of each lead into it, (2, 4), 1/time; driven_ends: see `Response`."""
    # The perturbation enters a lead only through dSigma/dE: the flow of G B G Hd G over the bond to the lead is that of
    # -dSigma/dE (G Hd G) on the end site.
    rule, slopes = contour.rule, np.stack([d[:, 0, 0] for d in contour.derivative], axis=1)
    return 2 * np.real(pauli_traces(np.einsum("k,kp,kpab->pab", rule.weights, slopes, driven_ends)))


def energy_of_sea_into_leads(
    contour: Contour, driven_ends: NDArray[np.complex128], voltages: tuple[float, ...]
) -> NDArray[np.float64]:
    """Energy that the leads get of the sea part, from their levels, (2,), energy/time; arguments as `sea_into_leads`.

    (1/pi) int f Im Tr[d((E - V) Sigma)/dE G Hd G].
    """
    nodes, levels = contour.rule.nodes, np.array(voltages)
    sigma, slopes = (np.stack([d[:, 0, 0] for d in one], axis=1) for one in (contour.sigma, contour.derivative))
    change = (nodes[:, None] - levels) * slopes + sigma
    traced = np.einsum("kpaa->kp", driven_ends)
    return 2 * np.real(np.einsum("k,kp,kp->p", contour.rule.weights, change, traced))


def dense_hamiltonian(blocks: NDArray[np.complex128], hops: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The (2n, 2n) Hamiltonian of the device; for short wires and discrete levels."""
    n = len(blocks)
    matrix = np.zeros((n, 2, n, 2), complex)
    i = np.arange(n)
    matrix[i, :, i, :] = blocks
    for spin in range(2):
        matrix[i[:-1], spin, i[1:], spin] = -hops
        matrix[i[1:], spin, i[:-1], spin] = -hops
    return matrix.reshape(2 * n, 2 * n)
