"""Electrons without leads at one texture: levels E_n, their filling, and what they answer to a slow motion.

Levels are filled by the Fermi function, rho_ad = sum_n f_n |n><n|, Omega = -kT sum_n ln(1 + exp(-(E_n - E_F)/kT)), so
that J_sd s_i = -dOmega/dm_i.  While H moves, d|n>/dt = sum_m |m> <m|Hd|n>/(E_n - E_m) with Hd = dH/dt, and states lag
behind by adiabatic perturbation theory (M. V. Berry, Proc. R. Soc. A 392, 45 (1984); D. J. Thouless, Phys. Rev. B 27,
6083 (1983)):

    <n|rho_1|m> = i <n|Hd|m> (f_n - f_m)/(E_n - E_m)^2,        E_n != E_m.

Its answer to dm/dt is antisymmetric, the Berry curvature of the occupied levels: it does no work, and a closed lattice
has no friction.  It is all of the first order, the sum of what `frozen.py` calls sea and surface when the widths of the
levels go to zero: levels keep their occupation while they move.  Degenerate levels do not mix in it; where E_F lies
at a level at kT = 0, its occupation to first order is not defined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .closed_system import ClosedSystem
from .counter import Counter
from .frozen import SpinDensity
from .pauli import SIGMA
from .quadrature import ToleranceError, fermi
from .sweeps import LeadResponse, Response

# Levels are as exact as this, in units of the largest energy; closer ones, or one so near to E_F, are not told apart.
_ROUNDING = 64 * np.finfo(float).eps
# Levels on either side of E_F have to be so far apart, in the same unit: the first order goes with the inverse square.
_LEAST_GAP = 1e-8
# Levels that are filled to less than this are taken for empty, those that lack less for full.
_PARTLY = 0.01


class ClosedFrozen:
    """Electrons of a `ClosedSystem` at fixed moments m (*s, 3) and gates `potential` (*s,), energy.

    "Traced" means traces with 1, sigma_x, sigma_y, sigma_z in the last axis, zero on vacancies.  Names are those of
    `Frozen`; counter: counts matrices diagonalised.
    """

    bias = None
    surface_is_cheap = False

    def __init__(
        self,
        device: ClosedSystem,
        m: NDArray[np.float64],
        potential: NDArray[np.float64],
        counter: Counter | None = None,
    ) -> None:
        self.device, self.m, self.potential = device, m, potential
        self.counter = Counter(counter)

    @property
    def solves(self) -> int:
        """How many matrices were diagonalised so far."""
        return self.counter.count

    # --- levels -----------------------------------------------------------------------------------

    @cached_property
    def _eigen(self) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
        self.counter.add(1)
        energies, states = np.linalg.eigh(self.device.hamiltonian(self.m, self.potential))
        return energies, states

    @property
    def levels(self) -> NDArray[np.float64]:
        """E_n, increasing, energy."""
        return self._eigen[0]

    @property
    def states(self) -> NDArray[np.complex128]:
        """Column n is the state of E_n; rows are 2 site + spin over the sites of `ClosedSystem.kept`."""
        return self._eigen[1]

    @cached_property
    def _scale(self) -> float:
        """The largest energy that there is."""
        device = self.device
        return max(float(abs(self.levels).max(initial=0.0)), abs(device.fermi_energy), device.hoppings[0])

    @cached_property
    def _at_fermi_energy(self) -> NDArray[np.bool_]:
        """Levels that rounding does not tell from E_F at kT = 0."""
        near = abs(self.levels - self.device.fermi_energy) <= _ROUNDING * self._scale
        return near & (self.device.temperature == 0)

    @cached_property
    def occupations(self) -> NDArray[np.float64]:
        """f_n; 1/2 of levels at E_F at kT = 0, the limit kT -> 0, of which a RunWarning tells once."""
        device, E = self.device, self.levels
        if device.temperature > 0:
            return fermi(E, device.fermi_energy, device.temperature)
        if self._at_fermi_energy.any():
            device.tell_once(
                f"levels of the closed system lie at the Fermi energy {device.fermi_energy:g}: at kT = 0 they are half "
                "filled, and what they do to the moments jumps where one passes it; a temperature > 0 or another Fermi "
                "energy may be meant"
            )
        return np.where(self._at_fermi_energy, 0.5, np.where(device.fermi_energy > E, 1.0, 0.0))

    def level_gap(self) -> float:
        """Distance of levels that are filled differently, energy: motions have to be slower for an expansion to hold.

        At kT = 0 from the highest filled level to the lowest empty one (0: a level is at E_F), at kT > 0 the smallest
        between levels in the thermal window.  inf where there are no two.
        """
        device, E = self.device, self.levels
        if device.temperature == 0:
            if self._at_fermi_energy.any():
                return 0.0
            full, empty = E[device.fermi_energy > E], E[device.fermi_energy < E]
            return float(empty[0] - full[-1]) if len(full) and len(empty) else np.inf
        f, distances = self.occupations, np.diff(E)
        # What is degenerate does not mix; two that are both full, or both empty, do not count.
        counts = (distances > _ROUNDING * self._scale) & (f[:-1] > _PARTLY) & (f[1:] < 1 - _PARTLY)
        return float(distances[counts].min(initial=np.inf))

    # --- equilibrium ------------------------------------------------------------------------------

    @cached_property
    def density_matrix(self) -> NDArray[np.complex128]:
        """rho_ad, <c_j^+ c_i> at [i, j], (2 k, 2 k); rows as in `states`."""
        return np.asarray((self.states * self.occupations) @ self.states.conj().T)

    @cached_property
    def adiabatic(self) -> NDArray[np.float64]:
        """rho_ad traced: (*s, 4)."""
        return self._traced(self.states * self.occupations, self.states)

    @property
    def at_rest(self) -> NDArray[np.float64]:
        """The density of everything that does not need a motion: rho_ad, traced, (*s, 4)."""
        return self.adiabatic

    @cached_property
    def total_grand_potential(self) -> float:
        """Omega of all electrons, energy."""
        above, kT = self.levels - self.device.fermi_energy, self.device.temperature
        if kT == 0:
            return float(np.minimum(above, 0.0).sum())
        return float(-kT * np.logaddexp(0.0, -above / kT).sum())

    @property
    def grand_potential(self) -> float:
        """Omega less that of the same system with J_sd = 0 and U = V = 0, energy."""
        device = self.device
        if "bare" not in device.known:
            bare = device.changed(sd_exchange=0.0, potential=None)
            nothing = np.zeros((*device.shape, 3))
            device.known["bare"] = ClosedFrozen(bare, nothing, nothing[..., 0]).total_grand_potential
        return self.total_grand_potential - device.known["bare"]

    # --- first order in the velocities ------------------------------------------------------------

    def respond(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> Response:
        """rho_1, linear in velocities (*s, 3) and gate rates (*s,), as `sea`; `surface` is zero.

        Raises ToleranceError where it would depend on the last digits of E_F.
        """
        nothing = np.zeros((*self.device.shape, 4))
        rate = self.device.coupling_blocks(mdot, potential_rate)
        if not rate.any():
            return Response(nothing, nothing.copy(), None)
        U = self.states
        driven = np.einsum("iab,ibn->ian", rate, U.reshape(-1, 2, len(U))).reshape(U.shape)
        if self.device.temperature == 0:
            full = self._full
            lag = (U[:, ~full].conj().T @ driven[:, full]) * self._inverse_squares  # <empty|rho_1|full>/(-i)
            # rho_1 = -i sum |e> lag <f| + h.c.
            half = self._traced(-2j * (U[:, ~full] @ lag), U[:, full])
            return Response(half, nothing, None)
        return Response(self._traced(U @ (1j * self._weights * (U.conj().T @ driven)), U), nothing, None)

    @cached_property
    def _full(self) -> NDArray[np.bool_]:
        """Which levels are filled at kT = 0.  ToleranceError where this is not certain."""
        gap, scale = self.level_gap(), self._scale
        if not gap > _LEAST_GAP * scale:
            E_F = self.device.fermi_energy
            where = "lies at" if self._at_fermi_energy.any() else f"lies within {gap:.1e} of another on either side of"
            raise ToleranceError(
                f"a level of the closed system {where} the Fermi energy {E_F:g}: what it answers to a motion at kT = 0 "
                "is not defined; use another fermi_energy, a temperature > 0, or order 0"
            )
        return np.asarray(self.device.fermi_energy > self.levels)

    @cached_property
    def _inverse_squares(self) -> NDArray[np.float64]:
        """1/(E_e - E_f)^2 for empty e and filled f."""
        E, full = self.levels, self._full
        return np.asarray(np.subtract.outer(E[~full], E[full]) ** -2)

    @cached_property
    def pairs(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """f_n - f_m, E_n - E_m and whether these levels are not one within rounding, (n, m) each.

        ToleranceError at kT = 0 where it is not certain which levels are filled.
        """
        E, kT, mu = self.levels, self.device.temperature, self.device.fermi_energy
        distance = np.subtract.outer(E, E)
        apart = np.asarray(abs(distance) > _ROUNDING * self._scale)
        if kT == 0:
            full = self._full.astype(float)
            return np.subtract.outer(full, full), distance, apart
        # f_n - f_m = -f_n (1 - f_m) (exp((E_n - E_m)/kT) - 1) for E_n <= E_m: no digits are lost where they are close.
        f, hole = self.occupations, fermi(2 * mu - E, mu, kT)
        lower = -np.outer(f, hole) * np.expm1(np.minimum(distance, 0.0) / kT)
        return np.where(distance <= 0, lower, -lower.T), distance, apart

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        """(f_n - f_m)/(E_n - E_m)^2, 0 for levels that are one within rounding."""
        difference, distance, apart = self.pairs
        return np.divide(difference, distance**2, out=np.zeros_like(distance), where=apart)

    def spin_density(self, mdot: NDArray[np.float64], potential_rate: NDArray[np.float64]) -> SpinDensity:
        """All parts of the spin density for one motion: mdot (*s, 3), 1/time; potential_rate (*s,), energy/time."""
        moves = mdot.any() or potential_rate.any()
        return self.parts(self.respond(mdot, potential_rate) if moves else None)

    def parts(self, response: Response | None, leads: LeadResponse | None = None) -> SpinDensity:
        """All parts of the spin density, with a `respond` result as the first order; None: nothing moves.

        leads: None, for there are none that could move.
        """
        assert leads is None
        nothing = np.zeros((*self.device.shape, 4))
        sea = nothing if response is None else response.sea
        return SpinDensity(
            adiabatic=self.adiabatic[..., 1:].copy(),
            sea=sea[..., 1:].copy(),
            surface=nothing[..., 1:].copy(),
            geometric=None,
            density_adiabatic=self.adiabatic[..., 0].copy(),
            density_sea=sea[..., 0].copy(),
            density_surface=nothing[..., 0].copy(),
            solves=self.solves,
        )

    def working_bytes(self, order: int) -> int:
        """Estimated working memory of evaluations of this order in the velocities (0 or 1), bytes, without results."""
        return (5 + 5 * order) * 16 * (2 * len(self.device.kept)) ** 2

    def _traced(self, left: NDArray[np.complex128], right: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Hermitian part of left right^+, columns of (2 k, l), on the sites, traced: (*s, 4)."""
        k = len(self.device.kept)
        a, b = left.reshape(k, 2, -1), right.reshape(k, 2, -1)
        blocks = np.einsum("ian,ibn->iab", a, b.conj())
        found = np.zeros((self.device.n_sites, 4))
        found[self.device.kept, 0] = np.trace(blocks, axis1=1, axis2=2).real
        found[self.device.kept, 1:] = np.einsum("iab,cba->ic", blocks, SIGMA).real
        return found.reshape(*self.device.shape, 4)
