"""Green's functions of a system with a bath on some of its sites: `Sweeps` for moments and gates at rest.

The bath adds -i width/2 to H on its sites (`bath.py`).  Its levels have tails at all energies, as Lorentz curves have,
which no rule for a finite spectrum can integrate.  On each of these sites the local level 1/(E - h_i + i width/2) has
the same tail and is filled in closed form, and the pole rule takes the difference, which falls off as E^-4: it needs a
spectrum some hundred times the hopping wide, a few poles more than without a bath.

Real energies: G sqrt(Gamma) of all leads and all sites of the bath, by one banded LU with row exchanges for each
energy, and the weights with which probes hand on what the leads inject.  Cost: sites times sites of the bath.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .bath import filled_level, fillings
from .chain_rows import BiasedRows, contour_rows
from .counter import Counter
from .lattice import LatticeSweeps, lattice_bonds
from .modes import cross_section
from .quadrature import FermiPoles, ToleranceError, fermi_poles, step_poles
from .scattering import pauli_traces
from .sea import traced
from .sweeps import Blocks, Floats, Response, Sea, Surface
from .system import IDENTITY, POLE_SHARE, System
from .threads import each, one_blas_thread

NO_MOTION = (
    "electrons with a bath on sites answer to moments and gates at rest alone: use order = 0, or a device without bath"
)
# Half-widths, in units of the hopping, down to which states at E_F are told apart at kT = 0.
_SMALLEST_GAP = 1e-14
# Of the tolerance, for states beyond the poles.
_TAIL_SHARE = 1 / 8


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
    """`sweeps.Sweeps` of a chain or lattice with a bath; what needs a motion raises ValueError."""

    leads_need_response = False
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
        assert device.bath is not None
        self.device, self.blocks, self.bounds, self.counter = device, blocks, bounds, counter
        self.width, self.probes = device.bath.width, device.bath.zero_current
        self.where = device.bath.on(device.shape)
        damped = blocks.reshape(-1, 2, 2).copy()
        damped[self.where] -= 0.5j * self.width * IDENTITY
        self._damped = damped.reshape(blocks.shape)
        self._lattice = LatticeSweeps(device, self._damped, bounds, counter) if device.is_lattice else None

    # --- equilibrium ------------------------------------------------------------------------------

    @cached_property
    @one_blas_thread
    def rule(self) -> FermiPoles:
        """Poles for the difference from the local levels, whose tails are short.

        At kT = 0 no more than a quarter of the tolerance of any density lies so close to E_F that the rule is blind.
        """
        device = self.device
        mu, share = device.fermi_energy, POLE_SHARE * device.tolerance
        scale = max(abs(mu - end) for end in self.bounds) + self.width
        # Less the local level, the states of both spins beyond E are width hops^2/(pi E^3), about.
        neighbours = 2 * max([device.hopping, *device.couplings, *device.hops]) ** 2 * (1 + device.is_lattice)
        beyond = (self.width * (neighbours + self.width**2) / (_TAIL_SHARE * device.tolerance)) ** (1 / 3)
        fraction, exponent = math.frexp(max(4 * scale, beyond))
        reach = math.ldexp(math.ceil(16 * fraction) / 16, exponent)  # few different rules for all textures
        if device.temperature > 0:
            rule = fermi_poles(-reach, reach, 0.0, device.temperature, share)
            return FermiPoles(rule.nodes + mu, rule.weights, rule.constant, rule.bound)
        return step_poles(mu, self._gap, reach, share)

    @property
    def _gap(self) -> float:
        """Half-width of an interval around E_F in which no density has more than half of the tolerance.

        A share p of states within g of E_F makes -Im G(E_F + ig) at least p/(2g).
        """
        device = self.device
        gap = 0.1 * device.tolerance * device.hopping
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
            blocks = self._lattice.sweep(nodes, with_bonds=with_bonds).blocks
            found = traced(weights, blocks)
            return found[:, 0], lattice_bonds(device).hops[..., None] * found[:, 1:] if with_bonds else found[:, 1:]
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
        local = self._damped.reshape(-1, 2, 2)[self.where]
        G = np.linalg.inv(rule.nodes[:, None, None, None] * IDENTITY - local)
        found[self.where] += np.real(pauli_traces(2 * np.einsum("k,kpab->pab", rule.weights, G)))
        found[self.where, 0] -= 2 * rule.constant
        levels, spinors = np.linalg.eigh(self.blocks.reshape(-1, 2, 2)[self.where])
        filled = filled_level(levels, self.width, device.occupation)
        found[self.where] += np.real(pauli_traces(np.einsum("pak,pk,pbk->pab", spinors, filled, spinors.conj())))
        return found.reshape(*device.shape, 4)

    @property
    def grand_potential(self) -> float:
        """Not available with a bath: ValueError."""
        raise ValueError("grand_potential: not available with a bath on sites; use a device without bath")

    def flows(self, rate: Blocks) -> dict[str, Floats]:
        """See `Sweeps`; rate: zero."""
        if rate.any():
            refuse_motion()
        bonds = self._summed(self.rule.nodes, self.rule.weights, with_bonds=True)[1]
        return {"adiabatic": bonds, "sea": np.zeros_like(bonds), "surface": np.zeros_like(bonds)}

    # --- real energies ----------------------------------------------------------------------------

    @cached_property
    def _bonds(self) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Bonds a -> b in the layout of `Sweeps.flows`, flat indices of sites, and their hoppings."""
        if self._lattice is not None:
            found = lattice_bonds(self.device)
            return found.starts, found.ends, found.hops
        sites = np.arange(self.device.n_sites)
        return sites[:-1], sites[1:], self.device.hops

    @cached_property
    def _band(self) -> tuple[int, Blocks]:
        """Bandwidth b and the bands (2 b + 1, 2 N) of -(H + Sigma of the bath)."""
        device, N = self.device, 2 * self.device.n_sites
        ny = device.shape[1] if device.is_lattice else 1
        b = 2 * ny
        bands = np.zeros((2 * b + 1, N), complex)

        def put(i: NDArray[np.intp], j: NDArray[np.intp], value: Any) -> None:
            bands[b + i - j, j] -= value

        sites = np.arange(device.n_sites)
        for s in range(2):
            for r in range(2):
                put(2 * sites + s, 2 * sites + r, self._damped.reshape(-1, 2, 2)[:, s, r])
            ahead = sites[:-ny].reshape(-1, ny)
            for i, j in ((ahead, ahead + ny), (ahead + ny, ahead)):
                put(2 * i + s, 2 * j + s, -device.hops[:, None])
            if device.is_lattice:
                y, z = np.nonzero(across := cross_section(ny, device.hopping, 0.0, device.periodic == "y"))
                column = ny * np.arange(device.shape[0])[:, None]
                put(2 * (column + y) + s, 2 * (column + z) + s, across[y, z])
        return b, bands

    @cached_property
    def _ends(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Orbitals 2 site + spin of the first and of the last slice."""
        width = 2 * (self.device.shape[1] if self.device.is_lattice else 1)
        orbitals = np.arange(2 * self.device.n_sites)
        return orbitals[:width], orbitals[-width:]

    def _columns(self, energy: float) -> tuple[Blocks, list[Blocks]]:
        """G sqrt(Gamma), (N, 2, columns): of left, right and bath, spin fastest; sources of both leads, (ny, modes)."""
        from scipy.linalg import solve_banded  # heavy import

        device, (b, bands) = self.device, self._band
        matrix = bands.copy()
        matrix[b] += energy
        sources = [lead.injection(energy) for lead in device.ends]
        width = len(self._ends[0])
        rhs = np.zeros((2 * device.n_sites, sum(s.shape[1] for s in sources) + 2 * len(self.where)), complex)
        first = 0
        for lead, orbitals, source in zip(device.ends, self._ends, sources, strict=True):
            sigma = lead.self_energy(np.array([energy], complex))[0]
            i, j = np.repeat(orbitals, width), np.tile(orbitals, width)
            matrix[b + i - j, j] -= sigma.ravel()
            rhs[orbitals, first : first + source.shape[1]] += source
            first += source.shape[1]
        orbitals = (2 * self.where[:, None] + np.arange(2)).ravel()
        rhs[orbitals, first + np.arange(len(orbitals))] = np.sqrt(self.width)
        self.counter.add(1)
        solved = solve_banded((b, b), matrix, rhs, overwrite_ab=True, overwrite_b=True, check_finite=False)
        return solved.reshape(device.n_sites, 2, rhs.shape[1]), [s[::2, ::2] for s in sources]

    def _at(self, energy: float, with_bonds: bool) -> tuple[Floats, ...]:
        """One energy of `Mixed`."""
        psi, sources = self._columns(energy)
        counts = [2 * s.shape[1] for s in sources]
        first, n = sum(counts), psi.shape[2]
        spans = slice(0, counts[0]), slice(counts[0], first), slice(first, n)
        # Into each site of the bath from each column; those of one probe, and those of one lead and spin, added up.
        into = self.width * (abs(psi[self.where]) ** 2).sum(axis=1)
        by_lead = np.stack([into[:, span][:, s::2].sum(axis=1) for span in spans[:2] for s in range(2)], axis=1)
        between = into[:, spans[2]].reshape(len(self.where), -1, 2).sum(axis=2)
        by_spin = fillings(between, by_lead) if self.probes else np.zeros_like(by_lead)
        weights = np.stack([by_spin[:, :2].sum(axis=1), by_spin[:, 2:].sum(axis=1)])
        # Of the columns: how far each is filled from the left and the right lead, and by all.
        filled = np.zeros((3, n))
        filled[0, spans[0]] = filled[1, spans[1]] = filled[2] = 1.0
        filled[:2, spans[2]] = np.repeat(weights, 2, axis=1)
        density = _traces(psi, psi) @ filled.T  # (N, 4, 3)
        rows, everything = np.moveaxis(density[..., :2], -1, 0), density[..., 2]
        into_bath = self.width * (rows[:, self.where] - weights[..., None] * everything[self.where])
        flows = np.empty((2, 2, 4))
        for q, (orbitals, source) in enumerate(zip(self._ends, sources, strict=True)):
            amplitudes = np.einsum("yk,ysc->ksc", source, psi[orbitals[::2] // 2])
            found = (_traces(amplitudes, amplitudes) @ filled.T).sum(axis=0)
            flows[:, q] = found[:, :2].T
            flows[q, q] -= found[:, 2]
        bonds = self._over_bonds(psi, filled[:2]) if with_bonds else np.empty((2, 0))
        return rows, everything, flows, into_bath, bonds, self._through(psi, sources, spans, by_spin)

    def _over_bonds(self, psi: Blocks, filled: Floats) -> Floats:
        """Tr[sigma_a j] over bonds a -> b from either lead, j = -i t (X - X^+), X = sum psi_b psi_a^+: (2, ..., 4)."""
        starts, ends, hops = self._bonds
        over = 2 * hops[..., None, None] * (_traces(psi[ends], psi[starts], np.imag) @ filled.T)
        return np.moveaxis(over, -1, 0)

    def _through(self, psi: Blocks, sources: list[Blocks], spans: tuple[slice, ...], by_spin: Floats) -> Floats:
        """Transmission from left to right, (2, 2), of what comes directly and what probes hand on."""
        amplitudes = np.einsum("yk,ysc->ksc", sources[1], psi[self._ends[1][::2] // 2])
        out = (abs(amplitudes) ** 2).sum(axis=0)  # (spin, columns)
        direct = np.stack([out[:, spans[0]][:, s::2].sum(axis=1) for s in range(2)], axis=1)
        from_bath = out[:, spans[2]].reshape(2, -1, 2).sum(axis=2)
        return np.asarray(direct + from_bath @ by_spin[:, :2])

    def mixed(self, energies: Floats, with_bonds: bool = False) -> Mixed:
        """What either lead fills at these real energies (n,)."""
        found = each(lambda energy: self._at(energy, with_bonds), energies.tolist())
        shape, n = self.device.shape, len(energies)
        sizes = (2, *shape, 4), (*shape, 4), (2, 2, 4), (2, len(self.where), 4)
        parts = list(zip(*found, strict=True)) or [()] * 6
        rows, states, flows, bath = (
            np.array(part).reshape(n, *size) for part, size in zip(parts[:4], sizes, strict=True)
        )
        bonds = np.array(parts[4]).reshape(n, 2, *self._bonds[2].shape, 4) if with_bonds else np.empty((0, 2, 4))
        return Mixed(rows, states, flows, bath, bonds, np.array(parts[5]).reshape(n, 2, 2))

    def biased(self, energies: Floats, rate: Blocks | None, with_bonds: bool = False) -> BiasedRows:
        """See `Sweeps`: of either lead, what probes hand on of it included; rate: None."""
        if rate is not None:
            refuse_motion()
        found = self.mixed(energies, with_bonds)
        return BiasedRows(found.rows[:, :, None], found.bonds[:, :, None], found.flows[:, :, None])

    def levels_near(self, energy: float) -> Blocks:
        """Eigenvalues of H + Sigma(E) at a real energy, those of the bath included: levels e - i half-width."""
        dense = self.dense_hamiltonian()
        orbitals = (2 * self.where[:, None] + np.arange(2)).ravel()
        dense[orbitals, orbitals] -= 0.5j * self.width
        for part, sigma, _ in self.device.end_self_energies(energy):
            dense[part, part] += sigma
        return np.asarray(np.linalg.eigvals(dense))

    def states(self, energy: float) -> Floats:
        """i (G - G^+) at a real energy, (*s, 4): all states, 1/energy."""
        return np.asarray(self.mixed(np.array([energy])).all_states[0])

    def transmission(self, energy: float) -> Floats:
        """From left to right, what probes hand on included, (2, 2) [spin out, spin in]."""
        return np.asarray(self.mixed(np.array([energy])).through[0])

    def level_width(self, energy: float) -> float:
        """8 over the density of states times 2 pi: as of a chain without bath."""
        states = float(self.states(energy)[..., 0].sum())
        return 8 / states if states > 0 else np.inf

    def dense_hamiltonian(self) -> Blocks:
        """H without the bath, (2 N, 2 N), index 2 site + spin."""
        b, bands = self._band
        N = bands.shape[1]
        dense = np.zeros((N, N), complex)
        i, j = np.nonzero(abs(np.subtract.outer(np.arange(N), np.arange(N))) <= b)
        dense[i, j] = -bands[b + i - j, j]
        orbitals = (2 * self.where[:, None] + np.arange(2)).ravel()
        dense[orbitals, orbitals] += 0.5j * self.width
        return dense

    def working_bytes(self, order: int) -> int:
        """See `Sweeps`."""
        N, n = 2 * self.device.n_sites, 2 * len(self.where)
        return 2 * 16 * N * n * 4 + 8 * 4 * N * 2000

    # --- what needs a motion ----------------------------------------------------------------------

    @property
    def surface(self) -> Surface:
        """ValueError."""
        refuse_motion()

    def sea(self, rate: Blocks) -> Sea:
        """ValueError."""
        refuse_motion()

    def adiabatic_rate(self, rate: Blocks) -> Floats:
        """d rho_ad/dt of moments and gates at rest: 0; otherwise ValueError."""
        if rate.any():
            refuse_motion()
        return np.zeros((*self.device.shape, 4))

    def into_leads(self, rate: Blocks, response: Response | None) -> Floats:
        """ValueError."""
        refuse_motion()

    def turned(self, rate: Blocks, K: Blocks) -> tuple[Floats, Floats, Floats, Floats]:
        """ValueError."""
        refuse_motion()

    def turning_into_leads(self, rate: Blocks, K: Blocks) -> Floats:
        """ValueError."""
        refuse_motion()

    def thermal_states(self) -> tuple[Floats, float]:
        """ValueError."""
        refuse_motion()

    def smallest_width(self, energies: Floats) -> float:
        """0: not known."""
        return 0.0


def refuse_motion() -> NoReturn:
    """ValueError: nothing here may move."""
    raise ValueError(NO_MOTION)


def _traces(a: Blocks, b: Blocks, part: Any = np.real) -> Floats:
    """Tr[sigma F] of F = a_c b_c^+ for each column c: (..., 2, C) twice -> (..., 4, C).

    part: np.real for the Hermitian part of F, np.imag for (F - F^+)/2i.
    """
    up, down = a[..., 0, :], a[..., 1, :]
    to_up, to_down = b[..., 0, :].conj(), b[..., 1, :].conj()
    f00, f01, f10, f11 = up * to_up, up * to_down, down * to_up, down * to_down
    return np.asarray(part(np.stack([f00 + f11, f01 + f10, 1j * (f01 - f10), f00 - f11], axis=-2)))
