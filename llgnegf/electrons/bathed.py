"""Green's functions of a system with a bath on some of its sites: its `Sweeps`.

The bath adds -i width/2 to H on its sites (`bath.py`).  Its levels have tails at all energies, as Lorentz curves have,
which no rule for a finite spectrum can integrate.  On each of these sites the local level 1/(E - h_i + i width/2) has
the same tail and is filled in closed form, and the pole rule takes the difference, which falls off as E^-4: it needs a
spectrum some hundred times the hopping wide, a few poles more than without a bath.

Real energies: G sqrt(Gamma) of all leads and all sites of the bath, by one banded LU with row exchanges for each
energy, and the weights with which probes hand on what the leads inject (`bathed_energy.py`).  Cost: sites times sites
of the bath.

The first order in the velocities is that of `frozen.py`, with the bath in Sigma and Gamma, and with what probes are
filled further; what a bias adds to it is in `bathed_motion.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from llgnegf.once import cached_property

from .bath import filled_level, level_potential
from .bathed_band import BathedBand
from .bathed_energy import BandedLU, BathedEnergy, Layout
from .bathed_few_sites import MOST_SITES, FewSites
from .bathed_motion import LeadModes, MotionAtBias
from .bathed_surface import BathedSurface
from .bond_flows import Bonds, of_layers
from .chain import energy_of_sea_into_leads, sea_into_leads
from .chain_rows import BiasedRows, contour_integral, contour_rows, identity_blocks
from .counter import Counter
from .lattice import LatticeSweeps, lattice_bonds
from .leads import Occupation
from .pauli import IDENTITY, pauli_traces
from .quadrature import FermiPoles, ToleranceError
from .sea import traced
from .sweeps import Blocks, Floats, Response, Sea
from .system import System
from .tail_rules import TailRules
from .threads import each, one_blas_thread

NOT_TO_FIRST_ORDER = (
    'a bath with zero_current="net": without the first order in velocities; use zero_current=True or False, or rest'
)
# Half-widths, in units of the hopping, down to which states at E_F are told apart at kT = 0.
_SMALLEST_GAP = 1e-14
# Scattering states of one texture that are kept for further motions.
_KEPT_BYTES = 200e6


@dataclass(frozen=True)
class Mixed:
    """What either lead fills at n real energies, directly and by way of probes, *s the shape of the system.

    rows: (n, 2, *s, 4) density of what comes from the left and the right lead, 1/energy; all_states: (n, *s, 4),
    i (G - G^+), all there is; flows: (n, 2, 2, 4), flow into the left and the right lead of what comes from either,
    [lead it comes from, lead]; into_bath: (n, 2, b, 4), into each site of the bath; bonds: (n, 2, ..., 4) over the
    bonds, in the layout of `Sweeps.flows`, or (0, ...) if not requested; through: (n, 2, 2), transmission from left to
    right, [spin out, spin in], that by way of probes included.
    """

    rows: Floats
    all_states: Floats
    flows: Floats
    into_bath: Floats
    bonds: Floats
    through: Floats


class BathedSweeps:
    """`sweeps.Sweeps` of a chain or lattice with a bath."""

    surface_is_cheap = False
    step = None

    def __init__(
        self,
        device: System,
        blocks: Blocks,
        bounds: tuple[float, float],
        counter: Counter,
        at_fermi_energy: bool = False,
    ) -> None:
        self.device, self.blocks, self.bounds, self.counter = device, blocks, bounds, counter
        self.narrow: dict[Any, Any] = {}
        bath = device.bath
        self.width, self.probes = (0.0, False) if bath is None else (bath.width, bath.elastic)
        self.where = np.empty(0, np.intp) if bath is None else bath.on(device.shape)
        damped = blocks.reshape(-1, 2, 2).copy()
        damped[self.where] -= 0.5j * self.width * IDENTITY
        self._damped = damped.reshape(blocks.shape)
        self._lattice = _DampedLattice(device, self._damped, bounds, counter) if device.is_lattice else None
        self.leads_need_response = not device.is_lattice
        self._kept: dict[float, BathedEnergy] = {}  # for further motions
        # Sites whose levels have tails, (q,), and their widths by the bath and by wide-band leads, (q, 1), energy.
        self._tailed, self._widths = device.tails

    @property
    def damped_slices(self) -> Blocks:
        """H with -i width/2 by slices along x, (nx, 2 ny, 2 ny)."""
        return self._damped if self._lattice is None else self._lattice.slices.h

    # --- equilibrium ------------------------------------------------------------------------------

    @cached_property
    @one_blas_thread
    def rule(self) -> FermiPoles:
        """Poles for the difference from the local levels, whose tails are short.

        At kT = 0 no more than a quarter of the tolerance of any density lies so close to E_F that the rule is blind.
        """
        return self._rules.rule(self._gap if self.device.temperature == 0 else 0.0)

    @cached_property
    @one_blas_thread
    def sharp_rule(self) -> FermiPoles:
        """The rule for the sea term, which contains its energy derivative; at kT = 0 the same one."""
        return self.rule if self.device.temperature == 0 else self._rules.sharp(self.rule)

    @cached_property
    def _rules(self) -> TailRules:
        return TailRules(self.device, self.bounds, float(self._widths.max()))

    @property
    def _gap(self) -> float:
        """Half-width of an interval around E_F in which no density has more than half of the tolerance.

        A share p of states within g of E_F makes -Im G(E_F + ig) at least p/(2g).
        """
        device = self.device
        gap = device.pole_rules.least_gap
        while gap > _SMALLEST_GAP * device.hopping:
            found, _ = self._summed(np.array([device.fermi_energy + 1j * gap]), np.array([-1j]))
            if gap * float(found[..., 0].max()) / 2 <= device.tolerance / 4:
                return gap
            gap /= 10
        raise ToleranceError(
            f"a level stands at the Fermi energy {device.fermi_energy:g} and has no width, neither from a lead nor "
            "from the bath: use temperature > 0, another fermi_energy, or a bath on more sites"
        )

    def _summed(self, nodes: Blocks, weights: Blocks, with_bonds: bool = False) -> tuple[Floats, Floats]:
        """-sum_k [w_k G(z_k) + h.c.] traced, on the sites (*s, 4), and its flows over the bonds (`Sweeps.flows`)."""
        device = self.device
        if self._lattice is not None:
            blocks = self._lattice.local_blocks(nodes, with_bonds)
            found = traced(weights, blocks)
            return found[:, 0], self.layout.bonds.flow(of_layers(found)) if with_bonds else found[:, 1:]
        sigma = [one[:, None, None] * IDENTITY for one, _ in device.self_energy(nodes)]
        wire = self._damped, device.hops, (sigma[0], sigma[1])
        rows = contour_rows(nodes, weights, *wire, with_bonds=with_bonds, counter=self.counter)
        return rows.rows[:, 0].sum(axis=0), rows.bonds[:, 0].sum(axis=0)

    @cached_property
    @one_blas_thread
    def adiabatic(self) -> Floats:
        """-(1/pi) int f Im G, (*s, 4)."""
        rule, device = self.rule, self.device
        found = self._summed(rule.nodes, rule.weights)[0].reshape(-1, 4).copy()
        found[:, 0] += 2 * rule.constant
        at = self._tailed
        G = np.linalg.inv(rule.nodes[:, None, None, None] * IDENTITY - self._local_levels)
        found[at] += np.real(pauli_traces(2 * np.einsum("k,kpab->pab", rule.weights, G)))
        found[at, 0] -= 2 * rule.constant
        found[at] += self._local(self.blocks.reshape(-1, 2, 2)[at])
        return found.reshape(*device.shape, 4)

    @property
    def _local_levels(self) -> Blocks:
        """H of the sites with tails, with all of their width, (q, 2, 2): levels without neighbours."""
        return self.blocks.reshape(-1, 2, 2)[self._tailed] - 0.5j * self._widths[..., None] * IDENTITY

    @property
    def grand_potential(self) -> float:
        """See `frozen.Frozen.grand_potential`, energy; that of the bath on its sites included, as of leads."""
        rule, device = self.rule, self.device
        still, bare = (blocks.reshape(-1, 2, 2) for blocks in (self.blocks, device.bare_blocks))
        logdet: Any = np.zeros(len(rule.nodes), complex)
        trace, local = float(np.einsum("iaa->", still - bare).real), 0.0  # those of vacancies cancel exactly
        for blocks, sign in ((still, 1), (bare, -1)):
            levels = np.linalg.eigvalsh(blocks[self._tailed]).astype(float)
            damped = np.log(rule.nodes[:, None, None] - levels + 0.5j * self._widths).sum(axis=(1, 2))
            logdet = logdet + sign * (self._logdet(blocks.reshape(self.blocks.shape)) - damped)
            trace -= sign * float(levels.sum())
            local += sign * float(level_potential(levels, self._widths, device.occupation).sum())
        return float(2 * (rule.weights * logdet).sum().real + rule.constant * trace + local)

    def _logdet(self, blocks: Blocks) -> Blocks:
        """ln det G^-1 of these blocks (*s, 2, 2) with the bath, at the nodes of the rule."""
        device, nodes = self.device, self.rule.nodes
        damped = blocks.reshape(-1, 2, 2).copy()
        damped[self.where] -= 0.5j * self.width * IDENTITY
        shaped = damped.reshape(blocks.shape)
        if device.is_lattice:
            lattice = _DampedLattice(device, shaped, self.bounds, self.counter)
            with one_blas_thread:
                return np.concatenate([lattice.log_determinants(nodes[c]) for c in lattice.chunks(len(nodes))])
        sigma = [one[:, None, None] * IDENTITY for one, _ in device.self_energy(nodes)]
        weights = np.zeros(len(nodes), complex)
        return contour_rows(nodes, weights, shaped, device.hops, (sigma[0], sigma[1]), counter=self.counter).logdet

    # --- first order in the velocities ------------------------------------------------------------

    def sea(self, rate: Blocks) -> Sea:
        """See `Sweeps`."""
        self._refuse_motion()
        if self._lattice is not None:
            return Sea(np.ascontiguousarray(self._lattice.sea_by(self.sharp_rule, rate)[:, 0]), None)
        return self._sea(rate, False)[0]

    def _sea(self, rate: Blocks, with_bonds: bool) -> tuple[Sea, Floats]:
        """Of a chain, with its flows over the bonds."""
        rule, device = self.sharp_rule, self.device
        contour = device.chain_rules.contour_of(rule)
        wire = self._damped, device.hops, contour.sigma
        perturbed = 2, identity_blocks(device.n_sites), rate, contour.derivative_ends, None
        where = rule.nodes, rule.weights, *wire, *perturbed, with_bonds
        found = contour_rows(*where, counter=self.counter, bound=rule.bound)
        return Sea(found.rows[:, 3].sum(axis=0), found.ends[:, 1]), found.bonds[:, 3].sum(axis=0)

    @cached_property
    def surface(self) -> BathedSurface:
        """The Fermi-surface term of this texture."""
        self._refuse_motion()
        return BathedSurface(self)

    def _refuse_motion(self) -> None:
        bath = self.device.bath
        if bath is not None and bath.floats:
            raise ValueError(NOT_TO_FIRST_ORDER)

    def flows(self, rate: Blocks) -> dict[str, Floats]:
        """See `Sweeps`."""
        bonds = self._summed(self.rule.nodes, self.rule.weights, with_bonds=True)[1]
        parts = {"adiabatic": bonds, "sea": np.zeros_like(bonds), "surface": np.zeros_like(bonds)}
        if rate.any():
            if self._lattice is not None:
                parts["sea"] = self.layout.bonds.flow(of_layers(self._lattice.sea_by(self.sharp_rule, rate, True)))
            else:
                parts["sea"] = self._sea(rate, True)[1]
            parts["surface"] = self.surface.bonds(rate)
        return parts

    def into_leads(self, rate: Blocks, response: Response | None) -> Floats:
        """See `Sweeps`; on a chain over the first bonds, on a lattice deep in the leads."""
        flow = self.surface.into_leads(rate)
        if response is None or response.driven_ends is None:
            return flow
        return flow + sea_into_leads(self.device.chain_rules.contour_of(self.sharp_rule), response.driven_ends)

    def energy_into_leads(self, rate: Blocks, response: Response | None) -> Floats:
        """See `Sweeps`; what probes send on is part of it."""
        energy = self.surface.energy_into_leads(rate)
        if response is None or response.driven_ends is None:
            return energy
        contour = self.device.chain_rules.contour_of(self.sharp_rule)
        return energy + energy_of_sea_into_leads(contour, response.driven_ends, self.device.voltages)

    def adiabatic_rate(self, rate: Blocks) -> Floats:
        """d rho_ad/dt = -(1/pi) int f Im[G Hd G], traced: (*s, 4), 1/time."""
        rule, device = self.rule, self.device
        if self._lattice is not None:
            found = self._lattice.driven_sum(rule, rate)
        else:
            contour = device.chain_rules.contour_of(rule)
            wire = self._damped, device.hops, contour
            found = contour_integral(*wire, 1, None, rate, counter=self.counter)[0][2]
        found = found.reshape(-1, 4).copy()
        at = self._tailed
        moving = rate.reshape(-1, 2, 2)[at]
        G = np.linalg.inv(rule.nodes[:, None, None, None] * IDENTITY - self._local_levels)
        found[at] += np.real(pauli_traces(2 * np.einsum("k,kpab->pab", rule.weights, G @ moving @ G)))
        # The local levels follow the motion: a difference, whose step is small beside their width.
        still = self.blocks.reshape(-1, 2, 2)[at]
        step = 1e-3 * float(self._widths.min()) / max(float(abs(moving).max()), 1e-300)
        ahead, behind, far, back = (self._local(still + k * step * moving) for k in (1, -1, 2, -2))
        found[at] += (8 * (ahead - behind) - (far - back)) / (12 * step)
        return found.reshape(*device.shape, 4)

    def _local(self, blocks: Blocks) -> Floats:
        """Electrons and spin in local levels (q, 2, 2) with all of their width, traced: (q, 4)."""
        levels, spinors = np.linalg.eigh(blocks)
        filled = filled_level(levels, self._widths, self.device.occupation)
        return np.real(pauli_traces(np.einsum("pak,pk,pbk->pab", spinors, filled, spinors.conj())))

    # --- real energies ----------------------------------------------------------------------------

    @cached_property
    def layout(self) -> Layout:
        """Where bath, leads and bonds are."""
        device = self.device
        width = 2 * (device.shape[1] if device.is_lattice else 1)
        orbitals, sites = np.arange(2 * device.n_sites), np.arange(device.n_sites)
        bonds = lattice_bonds(device) if device.is_lattice else Bonds(sites[:-1], sites[1:], device.hops)
        ends = orbitals[:width], orbitals[-width:]
        return Layout(device.n_sites, self.where, self.width, self.probes, ends, bonds)

    @cached_property
    def matrix(self) -> BathedBand:
        """z - H - Sigma at any energy, and its levels."""
        return BathedBand(self.device, self._damped, self.where, self.width, self.layout.ends)

    def at_energy(self, energy: float) -> BathedEnergy:
        """Scattering states at a real energy."""
        device = self.device
        sources = [lead.sources(energy) for lead in device.ends]
        rhs = np.zeros((2 * device.n_sites, 2 * sum(s.shape[1] for s in sources) + 2 * len(self.where)), complex)
        first = 0
        for orbitals, source in zip(self.layout.ends, sources, strict=True):
            for s in range(2):
                rhs[orbitals[s::2], first + s : first + 2 * source.shape[1] : 2] += source
            first += 2 * source.shape[1]
        orbitals = (2 * self.where[:, None] + np.arange(2)).ravel()
        rhs[orbitals, first + np.arange(len(orbitals))] = np.sqrt(self.width)
        self.counter.add(1)
        lu = BandedLU(self.matrix.at(energy, energy), self.matrix.bandwidth)
        return BathedEnergy(self.layout, lu, rhs, sources, device.ends[1].spin)

    def mixed(self, energies: Floats, with_bonds: bool = False) -> Mixed:
        """What either lead fills at these real energies (n,)."""
        found = each(lambda energy: self.at_energy(energy).mixed(with_bonds), energies.tolist())
        shape, n = self.device.shape, len(energies)
        sizes = (2, *shape, 4), (*shape, 4), (2, 2, 4), (2, len(self.where), 4)
        parts = list(zip(*found, strict=True)) or [()] * 6
        rows, states, flows, bath = (
            np.array(part).reshape(n, *size) for part, size in zip(parts[:4], sizes, strict=True)
        )
        bonds = np.array(parts[4]).reshape(n, 2, *self.layout.bonds.shape, 4) if with_bonds else np.empty((0, 2, 4))
        return Mixed(rows, states, flows, bath, bonds, np.array(parts[5]).reshape(n, 2, 2))

    def biased(self, energies: Floats, rate: Blocks | None, with_bonds: bool = False) -> BiasedRows:
        """See `Sweeps`: of either lead, what probes hand on of it included; rate: None, see `moved_at_bias`."""
        assert rate is None
        found = self.mixed(energies, with_bonds)
        nothing = np.empty((len(energies), 2, 0, 2))
        return BiasedRows(found.rows[:, :, None], found.bonds[:, :, None], found.flows[:, :, None], nothing)

    def moved(self, energies: Floats, rate: Blocks, with_bonds: bool = False) -> tuple[Floats, ...]:
        """What (-df/dE)/2pi multiplies at real energies (n,), see `BathedEnergy.moved`, and all states (n, N, 4)."""
        blocks = rate.reshape(-1, 2, 2)
        if self._few_sites is not None and not with_bonds:
            return self._few_sites.moved(energies, blocks)

        def at(energy: float) -> tuple[Floats, ...]:
            one = self.keep(energy)
            return *one.moved(blocks, with_bonds), one.states

        return tuple(np.array(part) for part in zip(*each(at, energies.tolist()), strict=True))

    def moved_at_bias(self, energies: Floats, rate: Blocks, with_bonds: bool = False) -> tuple[Floats, ...]:
        """Parts of `MotionAtBias` at real energies (n,): density, into leads and bath, energy into leads, or the flows
        over the bonds."""
        blocks = rate.reshape(-1, 2, 2)
        if self._few_sites is not None and not with_bonds:
            return self._few_sites.moved_at_bias(energies, blocks)

        def at(energy: float) -> tuple[Floats, ...]:
            found = self.motion_at_bias(self.keep(energy), energy, blocks)
            if with_bonds:
                return (found.bonds(),)
            flow, energy_flow = found.into_leads
            return found.density, flow, found.into_bath, energy_flow

        # Without energies the shapes are those of any other.
        found = each(at, energies.tolist() or [self.device.fermi_energy])
        return tuple(np.array(part)[: len(energies)] for part in zip(*found, strict=True))

    @cached_property
    def _few_sites(self) -> FewSites | None:
        """What is faster for few sites; None for others, and with probes."""
        bath = self.device.bath
        return FewSites(self) if self.device.n_sites <= MOST_SITES and not (bath and bath.zero_current) else None

    def motion_at_bias(self, one: BathedEnergy, energy: float, blocks: Blocks) -> MotionAtBias:
        """Of dH/dt = `blocks` (N, 2, 2) at this energy, of which `one` is."""
        return MotionAtBias(one, self.modes_at(energy), blocks)

    def keep(self, energy: float) -> BathedEnergy:
        """`at_energy`, kept for further motions as far as there is room."""
        one = self._kept.get(energy) or self.at_energy(energy)
        if (1 + len(self._kept)) * one.nbytes <= _KEPT_BYTES:
            self._kept[energy] = one
        return one

    def modes_at(self, energy: float) -> tuple[LeadModes, LeadModes]:
        """Of the left and the right lead."""
        found = []
        for lead, voltage in zip(self.device.ends, self.device.voltages, strict=True):
            modes = lead.modes
            sigma, slope = lead.at_real(energy)
            gamma = np.maximum(-2 * sigma.imag, 0.0)
            d_gamma = np.where(gamma > 0, -2 * slope.imag, 0.0)
            found.append(LeadModes(modes.vectors, gamma, d_gamma, sigma, slope, energy - voltage))
        return found[0], found[1]

    def filled_by(self, occupation: Occupation) -> Floats:
        """rho_ad of the same texture with another Fermi function, traced, (*s, 4)."""
        return BathedSweeps(self.device.filled_by(occupation), self.blocks, self.bounds, self.counter, False).adiabatic

    def states(self, energy: float) -> Floats:
        """i (G - G^+) at a real energy, (*s, 4): all states, 1/energy."""
        return np.asarray(self.mixed(np.array([energy])).all_states[0])

    def transmission(self, energy: float) -> Floats:
        """From left to right, what probes hand on included, (2, 2) [spin out, spin in]."""
        return np.asarray(self.mixed(np.array([energy])).through[0])

    def level_width(self, energy: float) -> float:
        """See `frozen.Frozen.level_width`; on a chain 8 over the density of states times 2 pi, as without a bath."""
        if self._lattice is not None:
            psi = self.at_energy(energy).psi.reshape(2 * self.device.n_sites, -1)
            longest = float(np.linalg.eigvalsh(psi.conj().T @ psi)[-1]) if psi.size else 0.0
            return 4 / longest if longest > 0 else np.inf
        states = float(self.states(energy)[..., 0].sum())
        return 8 / states if states > 0 else np.inf

    def dense_hamiltonian(self) -> Blocks:
        """H without the bath, (2 N, 2 N), index 2 site + spin."""
        return self.matrix.dense_hamiltonian()

    def working_bytes(self, order: int) -> int:
        """See `Sweeps`."""
        device = self.device
        rows = device.shape[1] if device.is_lattice else 1
        N, n = 2 * device.n_sites, 2 * (len(self.where) + rows * sum(c > 0 for c in device.couplings))
        return 2 * 16 * N * n * 4 + 8 * 4 * N * 2000

    @property
    def broadens_all(self) -> bool:
        """Whether there is a bath on every site, as wide as the hopping: then no level is narrow, also near an edge."""
        return len(self.where) == self.device.n_sites and self.width >= 2 * self.device.hopping

    # --- what is not available ----------------------------------------------------------------------

    def narrow_zeros(self, _low: float, _high: float, _widest: float) -> None:
        """See `Sweeps`."""

    def thermal_states(self) -> tuple[Floats, float]:
        """ValueError: nothing asks for it."""
        raise ValueError("thermal_states: not available with a bath on sites")

    def smallest_width(self, energies: Floats) -> float:
        """0: not known."""
        return 0.0


class _DampedLattice(LatticeSweeps):
    """A lattice with -i width/2 in its blocks: sums over poles that are given."""

    step = None

    def sea_by(self, rule: FermiPoles, rate: Blocks, with_bonds: bool = False) -> Floats:
        """rho_sea in the layout of `sea.traced`."""
        self.__dict__["rule"] = rule  # in place of its own, which knows no tails
        with one_blas_thread:
            return self._sea(rate, with_bonds)

    def driven_sum(self, rule: FermiPoles, rate: Blocks) -> Floats:
        """-(1/pi) int f Im[G Hd G] traced, (nx, ny, 4)."""
        found = np.zeros((*self.device.shape, 4))
        with one_blas_thread:
            for chunk in self.chunks(len(rule.nodes)):
                found += traced(rule.weights[chunk], self.driven_blocks(rule.nodes[chunk], rate))[:, 0]
        return found
