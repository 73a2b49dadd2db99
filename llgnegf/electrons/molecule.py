"""A magnet of one moment with several levels: a molecule between leads with wide bands.

    H = sum_n eps_n d_n^+ d_n + sum_mn (t_nm d_m,up^+ d_n,down + h.c.) - J_sd sum_n d_n^+ sigma d_n . m

t_nm = -t_mn: spin-orbit coupling, which is -i t (x) sigma_y.  Every level couples to the one moment m.  Lead l broadens
level n by the constant width gamma_ln, through channels of its own for every level, and may be polarised:

    Sigma = -(i/2) sum_l Gamma_l,       Gamma_l = diag(gamma_l) (x) (1 + P_l n_l.sigma).

The model of Xu et al., Phys. Rev. B 108, 144409 (2023), Sec. II, with J_sd = -J M/2; a direction of polarisation fixed
in space in place of their (6), which turns with the moment.  Electrons of a lead may be filled by spin: along n_l up
to mu + spin_bias/2, against it up to mu - spin_bias/2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.once import cached_property

from .arguments import finite_array, number
from .leads import Occupation
from .line_rule import line_rule
from .molecule_pumping import Pumping
from .pauli import PAULI, pauli_traces
from .propagators import Integrand, slope_rule
from .quadrature import FermiPoles
from .response import LinearResponse
from .scattering_matrix import ScatteringMatrix, Waves, scattering_matrix
from .window import Factor, Rule, Window

Floats = NDArray[np.float64]
Matrices = NDArray[np.complex128]

# Beyond so many kT from a step nothing is left of a Fermi function.
_REACH = 40.0


@dataclass(frozen=True)
class MoleculeLead:
    """A lead with a wide band.

    widths: gamma_n >= 0 of each level, energy.  voltage: shifts the filling against fermi_energy; chemical_potential,
    temperature: of its own, None: those of the molecule (energies).  spin_bias: difference of the fillings along and
    against `direction`, energy.  polarization: P, -1 ... 1, along `direction` (3,), which need not be normalised.
    Raises ValueError for anything else.
    """

    widths: Sequence[float]
    voltage: float = 0.0
    chemical_potential: float | None = None
    temperature: float | None = None
    spin_bias: float = 0.0
    polarization: float = 0.0
    direction: Sequence[float] = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        widths = finite_array("widths", self.widths, (len(self.widths),))
        if not (widths >= 0).all():
            raise ValueError(f"widths = {list(self.widths)!r} of a lead: use numbers >= 0, one for each level")
        number("polarization", self.polarization, "between -1 and 1", lambda x: -1 <= x <= 1)
        for name in ("voltage", "spin_bias"):
            number(name, getattr(self, name), "finite")
        if self.chemical_potential is not None:
            number("chemical_potential", self.chemical_potential, "finite, or None")
        if self.temperature is not None:
            number("temperature", self.temperature, ">= 0, or None", lambda x: x >= 0)
        if not np.linalg.norm(finite_array("direction", self.direction, (3,))) > 0:
            raise ValueError(f"direction = {list(self.direction)!r} of a lead: must not be zero")

    @property
    def along(self) -> Matrices:
        """sigma.n, (2, 2)."""
        n = np.asarray(self.direction, float)
        return np.einsum("a,aqr->qr", n / np.linalg.norm(n), PAULI[1:])

    def width_matrix(self) -> Matrices:
        """Gamma, (2 levels, 2 levels), index 2 n + spin."""
        return np.kron(np.diag(np.asarray(self.widths, float)), PAULI[0] + self.polarization * self.along)

    def filled(self, mu: float, kT: float) -> list[tuple[Matrices, Occupation]]:
        """Parts of Gamma with the Fermi function of each; mu, kT: of the molecule."""
        mu = mu + self.voltage if self.chemical_potential is None else self.chemical_potential
        kT = kT if self.temperature is None else self.temperature
        if not self.spin_bias:
            return [(self.width_matrix(), Occupation(float(mu), float(kT)))]
        widths, found = np.diag(np.asarray(self.widths, float)), []
        for sign in (1, -1):
            part = np.kron(widths, (1 + sign * self.polarization) * (PAULI[0] + sign * self.along) / 2)
            found.append((part, Occupation(float(mu + sign * self.spin_bias / 2), float(kT))))
        return found


class Molecule:
    """Levels on one magnet between leads; see `molecule.py`.

    levels: (k,) eps_n, energy; sd_exchange: J_sd, energy; spin_orbit: (k, k), antisymmetric, energy, None: zero; leads:
    of `MoleculeLead`, with one width for each level; fermi_energy, temperature kT >= 0: energies; tolerance: bound
    asked of spin densities.  Raises ValueError naming the argument, its value and what is allowed.
    """

    def __init__(
        self,
        levels: ArrayLike,
        *,
        sd_exchange: float,
        leads: Sequence[MoleculeLead],
        spin_orbit: ArrayLike | None = None,
        fermi_energy: float = 0.0,
        temperature: float = 0.0,
        tolerance: float = 1e-9,
    ) -> None:
        self.levels = finite_array("levels", levels, (np.size(levels),))
        n = len(self.levels)
        if not n:
            raise ValueError("levels = []: a molecule needs at least one level")
        self.sd_exchange = number("sd_exchange", sd_exchange, "finite")
        self.fermi_energy = number("fermi_energy", fermi_energy, "finite")
        self.temperature = number("temperature", temperature, ">= 0", lambda x: x >= 0)
        self.tolerance = number("tolerance", tolerance, "between 1e-12 and 0.1", lambda x: 1e-12 <= x <= 0.1)
        t = np.zeros((n, n)) if spin_orbit is None else finite_array("spin_orbit", spin_orbit, (n, n))
        if not np.array_equal(t, -t.T):
            raise ValueError(f"spin_orbit = {t.tolist()!r}: must be antisymmetric, t_nm = -t_mn, with a zero diagonal")
        self.spin_orbit = t
        for lead in leads:
            if len(lead.widths) != n:
                raise ValueError(
                    f"widths = {list(lead.widths)!r} of a lead: {n} numbers, one for each of levels = "
                    f"{self.levels.tolist()!r}"
                )
        self.leads = tuple(leads)
        gamma = sum((lead.width_matrix() for lead in leads), np.zeros((2 * n, 2 * n), complex))
        broadened = np.linalg.eigvalsh(gamma)
        if not broadened.min(initial=np.inf) > 0:
            raise ValueError(
                "leads: every level needs a width in at least one lead, for both spins: what no lead fills has no "
                "occupation"
            )
        self.gamma = gamma

    def hamiltonian(self, m: ArrayLike) -> Matrices:
        """H at the moment m (3,): (2 levels, 2 levels), index 2 n + spin."""
        m = finite_array("m", m, (3,))
        bare = np.kron(np.diag(self.levels), PAULI[0]) - 1j * np.kron(self.spin_orbit, PAULI[2])
        return bare - self.sd_exchange * np.kron(np.eye(len(self.levels)), np.einsum("a,aqr->qr", m, PAULI[1:]))

    def freeze(self, m: ArrayLike) -> FrozenMolecule:
        """The electrons at a fixed moment m (3,)."""
        return FrozenMolecule(self, finite_array("m", m, (3,)))


class FrozenMolecule:
    """Electrons of a molecule at a fixed moment: `Propagators` for `LinearResponse`; densities and currents at rest."""

    def __init__(self, molecule: Molecule, m: Floats) -> None:
        self.molecule, self.m = molecule, m
        self.H = molecule.hamiltonian(m)
        levels = len(molecule.levels)
        self.exchange = np.full(levels, molecule.sd_exchange)
        self.owner = np.zeros(levels, np.intp)
        self.occupation = Occupation(molecule.fermi_energy, molecule.temperature)
        self.tolerance = molecule.tolerance
        filled = [
            (k, *part)
            for k, lead in enumerate(molecule.leads)
            for part in lead.filled(molecule.fermi_energy, molecule.temperature)
        ]
        self._lead_of = np.array([k for k, _, _ in filled], np.intp)
        self._gammas = np.array([gamma for _, gamma, _ in filled])
        self.reservoirs = tuple(occupation for _, _, occupation in filled)
        self.thresholds = np.empty(0)  # wide bands
        # Energies, widths and distances between them: all integrals are of these scales.
        self.scale = float(abs(molecule.gamma).sum(axis=0).max())
        # LAPACK rounds otherwise in other units, unless these are taken out as a power of two.
        unit = 2.0 ** math.frexp(self.scale)[1]
        found = np.linalg.eigvals((self.H - 0.5j * molecule.gamma) / unit)
        self._poles = np.asarray(found, complex)
        self._poles *= unit

    @property
    def distance_of_levels(self) -> float:
        """Of the nearest level, its half-width included, from the Fermi energy: energy."""
        return float(abs(self._poles - self.molecule.fermi_energy).min())

    # --- Green's functions --------------------------------------------------------------------------

    def at(self, z: NDArray[np.inexact], order: int) -> list[Matrices]:
        """See `propagators.Propagators`; with wide bands G' = -G G."""
        one = np.eye(len(self.H), dtype=complex)
        G = np.asarray(np.linalg.inv(z[:, None, None] * one - self.H + 0.5j * self.molecule.gamma), complex)
        return [G, -G @ G][: order + 1]

    def spectral(self, energies: Floats, green: Matrices) -> Matrices:
        """See `propagators.Propagators`."""
        return green[:, None] @ self._gammas @ np.conj(np.swapaxes(green, 1, 2))[:, None]

    def spectral_slope(self, energies: Floats, green: Matrices, slope: Matrices) -> Matrices:
        """See `propagators.Propagators`; widths are constant."""
        half = slope[:, None] @ self._gammas @ np.conj(np.swapaxes(green, 1, 2))[:, None]
        return half + np.conj(np.swapaxes(half, 2, 3))

    def waves(self, energy: float) -> Waves:
        """See `scattering_matrix`."""
        G = self.at(np.array([energy + 0j]), 0)[0][0]
        columns, lead = [], []
        for k, gamma in zip(self._lead_of, self._gammas, strict=True):
            values, vectors = np.linalg.eigh(gamma)
            is_open = values > 0
            columns.append(vectors[:, is_open] * np.sqrt(values[is_open]))
            lead += [k] * int(is_open.sum())
        W = np.concatenate(columns, axis=1)
        return Waves(W, G @ W, G.conj().T @ W, np.array(lead, np.intp))

    # --- energies -----------------------------------------------------------------------------------

    def rule(self, wider: float = 0.0) -> FermiPoles:
        """See `propagators.Propagators`; along the line above E_F."""
        mu = self.molecule.fermi_energy
        return line_rule(mu, self.molecule.temperature, np.concatenate([self._poles, self._poles + wider]))

    def _window(
        self, factors: Sequence[Factor], low: float, high: float, levels: NDArray[np.inexact]
    ) -> Callable[[Integrand], Rule]:
        wide = abs(self._poles).max() + abs(low) + abs(high) + self.scale
        window = Window(factors, low, high, (-wide, wide), np.empty(0), wide, len(levels))
        edges = window.divided([(float(e.real), float(-e.imag)) for e in levels])

        def rule(integrand: Integrand) -> Rule:
            def values(energies: Floats) -> Floats:
                return integrand(energies)[0]

            return window.panels.adapted(edges, values, lambda v: v, self.tolerance, 1e-13 * wide)

        return rule

    def thermal(self, integrand: Integrand) -> Rule:
        """See `propagators.Propagators`."""
        f = self.occupation
        reach = _REACH * f.temperature
        factor = Factor(lambda e: -f.slope(e), ((f.fermi_energy, f.temperature),))
        return self._window([factor], f.fermi_energy - reach, f.fermi_energy + reach, self._poles)(integrand)

    def biased(self, integrand: Integrand) -> Rule | None:
        """See `propagators.Propagators`."""
        f = self.occupation
        if all(one == f for one in self.reservoirs):
            return None

        def factor(one: Occupation) -> Factor:
            steps = tuple((g.fermi_energy, g.temperature) for g in (one, f))
            return Factor(lambda e: one(e) - f(e), steps)

        low, high = self._span
        return self._window([factor(one) for one in self.reservoirs], low, high, self._poles)(integrand)

    def biased_slopes(self, integrand: Integrand) -> Rule:
        """See `propagators.Propagators`."""

        def adapted(factors: Sequence[Factor], low: float, high: float) -> Rule:
            return self._window(factors, low, high, self._poles)(integrand)

        return slope_rule(self.reservoirs, self.occupation, _REACH, adapted)

    def occupied_above(self, low: float, integrand: Integrand) -> Rule:
        """A rule for int f_r dE above `low`, one factor for each reservoir."""
        factors = [Factor(one, ((one.fermi_energy, one.temperature),)) for one in self.reservoirs]
        return self._window(factors, low, self._span[1], self._poles)(integrand)

    @property
    def bottom(self) -> float:
        """An energy below all levels, at which every reservoir is full."""
        return min(self._span[0], float(self._poles.real.min()) - self.scale)

    def rule_below(self, energy: float, nearest: float) -> FermiPoles:
        """A rule for energies below this one, along the line above it, for functions that vary within `nearest`."""
        return line_rule(energy, 0.0, np.append(self._poles, energy - 1j * nearest))

    @property
    def _span(self) -> tuple[float, float]:
        """Energies beyond which all Fermi functions are constant."""
        every = [(g.fermi_energy, _REACH * g.temperature) for g in (*self.reservoirs, self.occupation)]
        return min(mu - reach for mu, reach in every), max(mu + reach for mu, reach in every)

    def between(self, factor: Factor, low: float, high: float, shift: float, integrand: Integrand) -> Rule:
        """See `propagators.Propagators`."""
        levels = np.concatenate([self._poles, self._poles - shift])
        return self._window([factor], low, high, levels)(integrand)

    def check(self, response: Floats) -> None:
        """Every level is broadened: nothing depends on rounding of E_F."""

    # --- results ------------------------------------------------------------------------------------

    @cached_property
    def density_matrix(self) -> Matrices:
        """rho at rest, with what a bias adds: (2 levels, 2 levels)."""
        rule = self.rule()
        half = np.einsum("k,kab->ab", rule.weights, self.at(rule.nodes, 0)[0])
        rho = rule.constant * np.eye(len(self.H)) - half - half.conj().T
        biased = self._biased
        return rho if biased is None else rho + biased[0]

    @cached_property
    def _biased(self) -> tuple[Matrices, Matrices] | None:
        """(1/2pi) int (f_r - f) A_r, summed over r, and (1/2pi) int (f_r - f) G for each r."""
        size = len(self.H)

        def integrand(energies: Floats) -> tuple[Floats, Floats]:
            G = self.at(energies + 0j, 0)[0]
            A = self.spectral(energies, G)
            both = np.stack([A, np.broadcast_to(G[:, None], A.shape)], axis=2).reshape(*A.shape[:2], 2 * size**2)
            return np.concatenate([both.real, both.imag], axis=2), np.empty((len(energies), 0, 0))

        rule = self.biased(integrand)
        if rule is None:
            return None
        values = rule.values[:, :, : 2 * size**2] + 1j * rule.values[:, :, 2 * size**2 :]
        each = np.einsum("rn,nrc->rc", rule.weights, values).reshape(-1, 2, size, size) / (2 * np.pi)
        return each[:, 0].sum(axis=0), each[:, 1]

    @cached_property
    def spin(self) -> Floats:
        """Tr[rho sigma] of all levels at rest, (3,), no unit."""
        return self._traced(self.density_matrix)[1:]

    @cached_property
    def charge(self) -> float:
        """Electrons in all levels."""
        return float(self._traced(self.density_matrix)[0])

    @staticmethod
    def _traced(matrix: Matrices) -> Floats:
        k = len(matrix) // 2
        return np.real(pauli_traces(np.einsum("nanb->ab", matrix.reshape(k, 2, k, 2))))

    @cached_property
    def currents(self) -> Floats:
        """Flow into each lead at rest, of particles and of the spin sigma/2, (leads, 4), 1/time.

        Of O: 2 Re int dE/2pi Tr[O (Sigma_l G< + Sigma_l< G^+)].  In equilibrium only spin may flow, between directions
        of polarised leads and the moment.
        """
        rule = self.rule()
        G = np.einsum("k,kab->ab", rule.weights, self.at(rule.nodes, 0)[0])
        operators = [np.kron(np.eye(len(self.H) // 2), part) for part in PAULI]
        out = np.zeros((len(self.molecule.leads), 4))
        for r, (lead, gamma) in enumerate(zip(self._lead_of, self._gammas, strict=True)):
            for a, one in enumerate(operators):
                found = -float(np.trace((one @ gamma - gamma @ one) @ G).real)
                if self._biased is not None:
                    rho, green = self._biased
                    found += float(np.trace(one @ gamma @ rho).real)
                    found += float((2j * np.trace(one @ gamma @ green[r].conj().T)).real)
                out[lead, a] += found
        out[:, 1:] /= 2
        return out

    @property
    def widths(self) -> list[tuple[int, Matrices]]:
        """Lead and Gamma (2 levels, 2 levels), energy, of each of `reservoirs`."""
        return list(zip(self._lead_of.tolist(), self._gammas, strict=True))

    def pumped(self, velocity: ArrayLike) -> Floats:
        """What `currents` have of first order in dm/dt (3,): (leads, 4), 1/time.  See `molecule_pumping.py`."""
        v = finite_array("velocity", velocity, (3,))
        if not (v.any() and self.molecule.sd_exchange):
            return np.zeros((len(self.molecule.leads), 4))
        # Rules over energy are judged by a motion of about one energy/time.
        unit = float(abs(v).max()) * abs(self.molecule.sd_exchange) / self.scale**2
        moving = -self.molecule.sd_exchange * np.einsum("a,apq->pq", v / unit, PAULI[1:])
        return unit * Pumping(self, np.kron(np.eye(len(self.molecule.levels)), moving)).into_leads()

    @cached_property
    def linear_response(self) -> LinearResponse:
        """Response tensors of the one moment, (1, 1, 3, 3)."""
        return LinearResponse(self)

    def scattering_matrix(self, energy: float | None = None) -> ScatteringMatrix:
        """S at a real energy, None: at E_F."""
        return scattering_matrix(self, self.molecule.fermi_energy if energy is None else energy)

    def second_order(self, velocity: ArrayLike, acceleration: ArrayLike) -> Floats:
        """What the spin density (3,) has of second order in the rate of a motion; dm/dt, d^2m/dt^2 (3,) each.

        See `LinearResponse.second_order`.
        """
        v, a = finite_array("velocity", velocity, (3,)), finite_array("acceleration", acceleration, (3,))
        return self.linear_response.second_order(v[None], a[None])[0]

    @cached_property
    def torque_spin_orbit(self) -> Floats:
        """Torque of spin-orbit coupling on the electrons' spin sigma/2 at rest, (3,), energy.

        i Tr[rho [H_so, sigma/2]].  With J_sd s x m it is what flows into the leads: (B1) and (B2) of Xu et al., who
        leave it out.
        """
        H, n = -1j * np.kron(self.molecule.spin_orbit, PAULI[2]), len(self.molecule.levels)
        spins = [np.kron(np.eye(n), one) / 2 for one in PAULI[1:]]
        return np.array([np.trace(self.density_matrix @ (1j * (H @ s - s @ H))).real for s in spins])

    def torque(self, reference: ArrayLike) -> tuple[float, float]:
        """(damping-like, field-like) parts of J_sd s x m at rest, beside a `reference` p; energy.

        T = T_DL (p - (m.p) m)/|m x p| + T_FL (p x m)/|m x p|.
        """
        from .torkance import in_plane_and_out_of_plane

        torque = self.molecule.sd_exchange * np.cross(self.spin, self.m)
        along, across = in_plane_and_out_of_plane(torque, self.m, reference)
        return float(along), float(across)
