"""How the electrons answer to small motions of the moments: damping, inertia, susceptibility, alpha(omega).

Let m_i = m_i^0 + dm_i exp(-i omega t), dH/dm_i^a = V_ia = -J_i sigma_a, and P_ij[X, Y] = Tr[V_i X V_j Y] (`pairs.py`).
Linear response, dG<(omega) = G(E + omega) dH G<(E) + G<(E + omega) dH G^+(E), gives the forces

    d<V_i> = sum_j K_ij(omega) dm_j,     K = int dE/(2 pi i) { P[G(E + omega), G<(E)] + P[G<(E), G^+(E - omega)] }

    K = K(0) - i omega alpha - omega^2 I + ...
    S dm_i/dt = -m_i x B_i + m_i x sum_j (alpha_ij mdot_j + I_ij mddot_j)

with B_i the field at rest, -K(0) dm included.  alpha is the Gilbert tensor in units of hbar, I the inertia tensor in
hbar^2/energy, alpha(omega) = i [K(omega) - K(0)]/omega, chi_ij = ds_i/dm_j = -K_ij(0)/J_i.

With A = G Gamma G^+ = i (G - G^+), in equilibrium at f, and for what reservoirs r have more, f_r - f,

    K(0)   = -(1/pi) int f Im P[G, G]                                  + (1/pi)  int (f_r - f) Re P[G, A_r]
    sea    = -(1/2pi) int f Re (P[G', G] - P[G, G'])                   antisymmetric
    surf   =  (1/2pi) int f' Im P[G, A]                                symmetric part: (1/4pi) int (-f') Re P[A, A] >= 0
    bias   =                                                           - (1/pi)  int (f_r - f) Im P[G', A_r]
    I      = -(1/2pi) int f Im P[G', G'] + (1/2pi) int f' Re P[G', A]
             + (1/2pi) int [ (f_r - f)' Re P[G', A_r] + (f_r - f) Re P[G', A_r'] ]

where Im and Re are those of numbers and f' = df/dE.  alpha = sea + surf + bias is (1/pi) int Re P[G', G<] with all of
G<.  The symmetric part of alpha (under exchange of (i, a) and (j, b)) is friction, the antisymmetric one geometric.

Where a mode of a lead opens at an energy E_0 that reservoirs fill differently there is no inertia tensor under a bias.
With r = (E - E_0)^(1/2), i|r| below, G = g_0 + g_1 r and A_r = ... + a_r r^*, K(omega) has a term omega^2 log(omega):

    -Im alpha(omega)/omega = -(1/4pi) log(omega) sum_r (f_r - f)(E_0) Re P[g_1, a_r] + ...,    sum_r Re P[g_1, a_r] = 0.

Source: Xu et al., Phys. Rev. B 108, 144409 (2023), Sec. IV, with M the length of their moment and J_sd = -J M/2, from
which these differ in prefactors.  With wide bands G' = -G G, and for unit vectors (their tensors divided by M):

* Eq. (15) holds.  alpha is -(J M)^2/2 int dE/2pi Re Tr[G< sigma_i G G sigma_j]; (19) in print is -1/2 times it.
* I is -(J M)^2/2 int dE/2pi Im Tr[G< sigma_i G^3 sigma_j]; (22) in print has the other sign.
* alpha(omega) of (30) is -K(omega), of which the text says that alpha and I follow: they do, with the signs above.
  The static -K(0), which does not damp, is part of it.
* (D1) needs an adjoint, (1/4pi) Re Tr[dS/dm_i dS^+/dm_j]; see `scattering_matrix.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.once import cached_property

from .arguments import finite_array
from .pairs import SPIN, exchanged, local_traces, pair_sum, pauli_components
from .propagators import Floats, Integrand, Matrices, Propagators, chunks
from .quadrature import ToleranceError
from .second_order import second_order
from .threads import total_of
from .window import Factor, Rule

# Beyond so many kT from a step nothing is left of differences of Fermi functions.
_TAILS = 40.0
# Fillings at a threshold that differ by less than this share of the tolerance are the same.
_SAME_FILLING = 1e-8
# Where the divergence at a threshold is judged, in units of `scale`; rules over energies end 1e-13 from it, and
# log(1e13) = 30.
_NEXT_TO_IT = 1e-8
_LOGARITHM = 30.0
# Random contractions by which rules over real energies are judged.
_PROBES = 5
# alpha(omega) is a series below this (over `scale`), if its next terms at this omega are at most such a share of alpha;
# where there is none the difference of forces has no digits below the last one.
_SERIES, _NEXT, _SMALLEST = 1e-4, 1e-2, 1e-8


@dataclass(frozen=True)
class Tensors:
    """Tensors (moments, moments, 3, 3), [i, j, a, b], of one texture; see `response.py`.

    sea, surface, bias: of the Gilbert tensor by origin, hbar; inertia: hbar^2/energy; stiffness: K(0) =
    d<dH/dm_i^a>/dm_j^b, energy, in equilibrium the second derivative of the grand potential; susceptibility:
    ds_i^a/dm_j^b; drag: ds_i^a/d(dm_j^b/dt), hbar/energy, also where J_i = 0 (alpha_ij = -J_i drag_ij).  Complete at a
    bias too, but inertia is nan where a mode of a lead opens at an energy that one reservoir fills otherwise than
    another: alpha(omega) has no slope there, it grows as log(omega) (`LinearResponse.inertia_logarithm`).
    """

    sea: Floats
    surface: Floats
    bias: Floats
    inertia: Floats
    stiffness: Floats
    susceptibility: Floats
    drag: Floats

    @property
    def gilbert(self) -> Floats:
        """alpha_ij^ab of S dm_i/dt = ... + m_i x sum_j alpha_ij dm_j/dt, hbar."""
        return self.sea + self.surface + self.bias

    @property
    def gyromagnetic(self) -> Floats:
        """eta_ij of (S + eta) dm/dt = ..., hbar: d(s_i/2)/dm_j, the electrons' spin that a moment carries along.

        Where the equation is written with the spin current into the leads in place of the field of the electrons, as
        (B4) of Xu et al.; (B5) in print has the other sign.
        """
        return self.susceptibility / 2

    @property
    def friction(self) -> Floats:
        """The symmetric part of `gilbert`, which does work; without a bias it has no negative eigenvalue."""
        return (self.gilbert + exchanged(self.gilbert)) / 2

    @property
    def geometric(self) -> Floats:
        """The antisymmetric part of `gilbert`, which does no work."""
        return (self.gilbert - exchanged(self.gilbert)) / 2


class Terms(NamedTuple):
    """(X, Y) of the P[X, Y] to be integrated, for each term and factor; states: (k, factors, n, n).

    states: G Gamma G^+ of each reservoir, or of all together, with which rules are checked.
    """

    pairs: list[list[tuple[Matrices, Matrices]]]
    states: Matrices


class _Sums:
    """Tensors over moments from matrices over sites."""

    def __init__(self, source: Propagators) -> None:
        self.exchange = source.exchange
        self.moments = int(source.owner.max()) + 1
        self.members = (source.owner[None] == np.arange(self.moments)[:, None]).astype(float)
        self.is_one_to_one = self.moments == len(source.owner) and bool((np.diff(source.owner) == 1).all())

    def energies(self, pair: Matrices) -> Matrices:
        """P[X, Y] over moments, for Tr[sigma_a X_ij sigma_b Y_ji] over sites, (sites, sites, 3, 3)."""
        return self._over_moments(pair * (self.exchange[:, None] * self.exchange)[:, :, None, None])

    def spins(self, pair: Matrices) -> Matrices:
        """The same with sigma in place of V on the left: of the spin densities."""
        return -self._over_moments(pair * self.exchange[:, None, None])

    def _over_moments(self, pair: Matrices) -> Matrices:
        if self.is_one_to_one:
            return pair
        return np.einsum("is,jr,srab->ijab", self.members, self.members, pair)


class LinearResponse:
    """Response tensors of electrons at fixed moments; evaluated on first use and kept.

    source: `DevicePropagators` of a chain or lattice, or a molecule's.  Raises ToleranceError, which names a remedy,
    where an integral cannot reach the tolerance.
    """

    is_slow_alone = False  # whether nothing is known beyond the first order in a frequency

    def __init__(self, source: Propagators) -> None:
        self._source, self._sums = source, _Sums(source)

    @cached_property
    def tensors(self) -> Tensors:
        """All tensors of slow motions."""
        static, sea, inertia = self._from_poles
        surface, inertia_surface = self._from_surface
        biased = self._from_bias
        P, spins = self._sums.energies, self._sums.spins
        stiffness, chi = -2 * P(static).real, -2 * spins(static).real
        alpha_sea = P(sea).imag
        alpha_surface = P(surface).imag / (2 * np.pi)
        total = -P(inertia).real + P(inertia_surface).real / (2 * np.pi)
        alpha_bias = np.zeros_like(alpha_sea)
        drag = spins(sea).imag + spins(surface).imag / (2 * np.pi)
        if biased is not None:
            moved, still = biased[:2]
            alpha_bias, drag = -P(moved).imag / np.pi, drag - spins(moved).imag / np.pi
            if self._knows_inertia:
                total = total + P(biased[2] + self._from_bias_slopes).real / (2 * np.pi)
            else:
                total = np.full_like(total, np.nan)
            stiffness, chi = stiffness + P(still).real / np.pi, chi + spins(still).real / np.pi
        found = Tensors(alpha_sea, alpha_surface, alpha_bias, total, stiffness, chi, drag)
        self._source.check(found.gilbert)
        return found

    def alpha(self, omega: float) -> NDArray[np.complex128]:
        """alpha(omega) = i [K(omega) - K(0)]/omega, (moments, moments, 3, 3), complex, hbar; `gilbert` at omega = 0.

        Its Taylor series is `gilbert` - i omega `inertia` + ..., which is used below 1e-4 hopping/hbar; above its error
        is at most about the tolerance over omega.  Raises ToleranceError for an omega so small that rounding decides,
        where there is no inertia.
        """
        if not math.isfinite(omega):
            raise ValueError(f"omega = {omega!r}: a finite number, energy/hbar")
        if omega == 0:
            return self.tensors.gilbert.astype(complex)
        if omega < 0:  # K(-omega) = K(omega)^*
            return np.conj(self.alpha(-omega))
        if omega < _SERIES * self._source.scale and (found := self._by_series(omega)) is not None:
            return found
        if omega < _SMALLEST * self._source.scale:
            raise ToleranceError(
                f"alpha(omega = {omega:g}): a difference that rounding of the energies decides at so small a "
                f"frequency; use omega = 0, or at least {_SMALLEST * self._source.scale:g}"
            )
        return 1j * (self._forces(omega) - self._forces_at_rest(omega)) / omega

    def _by_series(self, omega: float) -> NDArray[np.complex128] | None:
        """alpha(omega) at small omega > 0, from `tensors` and the next terms by alpha where the series is left.

        The difference of forces over omega has no digits left there.  None where there is no inertia, or where levels
        or modes change within this frequency, so that the next terms are not small.
        """
        end, tensors = _SERIES * self._source.scale, self.tensors

        def series(w: float) -> NDArray[np.complex128]:
            return tensors.gilbert - 1j * w * tensors.inertia

        rest = self.alpha(end) - series(end)
        if not abs(rest).max() <= max(_NEXT * abs(tensors.gilbert).max(), self._source.tolerance):  # nan: no inertia
            return None
        share = omega / end
        return series(omega) + share**2 * rest.real + 1j * share**3 * rest.imag

    def second_order(self, velocity: ArrayLike, acceleration: ArrayLike) -> Floats:
        """Spin density Tr[rho sigma] of second order in the rate of a motion, (moments, 3); see `second_order.py`.

        velocity, acceleration: dm/dt and d^2m/dt^2 of all moments, (moments, 3), 1/time and 1/time^2.  It is nan where
        the inertia tensor is.  Raises ValueError for another shape, ToleranceError as the tensors.
        """
        shape = (self._sums.moments, 3)
        v, a = finite_array("velocity", velocity, shape), finite_array("acceleration", acceleration, shape)
        return self._sums.members @ second_order(self._source, v, a, self._knows_inertia)

    @cached_property
    def quadratic(self) -> Floats:
        """Q^a_bc, (3, 3, 3), symmetric in b and c, of the second order Q^a_bc mdot_b mdot_c of a single moment.

        Of more moments `second_order` of their motion is to be asked for: ValueError.
        """
        if self._sums.moments != 1:
            raise ValueError(f"quadratic: of a single moment, here are {self._sums.moments}; use second_order")

        def along(velocity: Floats) -> Floats:
            return self.second_order(velocity[None], np.zeros((1, 3)))[0]

        unit, Q = np.eye(3), np.empty((3, 3, 3))
        for b in range(3):
            Q[:, b, b] = along(unit[b])
        for b, c in ((0, 1), (0, 2), (1, 2)):
            Q[:, b, c] = Q[:, c, b] = (along(unit[b] + unit[c]) - Q[:, b, b] - Q[:, c, c]) / 2
        return Q

    def _forces(self, omega: float) -> Matrices:
        """K(omega), omega > 0."""
        source, rule = self._source, self._source.rule(wider=omega)

        def part(chunk: slice) -> tuple[Matrices, Matrices]:
            z, weights = rule.nodes[chunk], rule.weights[chunk]
            here, below = (source.at(e, 0)[0] for e in (z, z - omega))
            return pair_sum(weights, here, below), pair_sum(weights, below, here)

        forth, back = total_of(part, chunks(len(rule.nodes), 2 * len(source.owner)))
        found = -self._sums.energies(forth) - np.conj(self._sums.energies(back))
        f, kT = source.occupation, source.occupation.temperature
        step = f.fermi_energy
        factor = Factor(lambda e: f(e) - f(e + omega), ((step, kT), (step - omega, kT)))

        def crossed(energies: Floats) -> Terms:
            G, ahead = (source.at(energies + s, 0)[0] for s in (0.0, omega))
            A = source.spectral(energies, G).sum(axis=1)
            return Terms([[(ahead, A)]], A[:, None])

        def shifted(energies: Floats) -> Terms:
            G, ahead, behind = (source.at(energies + s, 0)[0] for s in (0.0, omega, -omega))
            A = source.spectral(energies, G)
            behind = np.conj(np.swapaxes(behind, 1, 2))
            return Terms([[(ahead, a) for a in _each(A)], [(a, behind) for a in _each(A)]], A)

        low, high = step - omega - _TAILS * kT, step + _TAILS * kT
        rule_between = source.between(factor, low, high, omega, self._judged(crossed, (1,)))
        found = found + self._sums.energies(self._integrals(rule_between, crossed, 1)[0]) / (2 * np.pi)
        biased = source.biased(self._judged(shifted, (1, 1)))
        if biased is not None:
            forth, back = self._integrals(biased, shifted, 2)
            found = found + self._sums.energies(forth + back) / (2 * np.pi)
        return found

    def _forces_at_rest(self, wider: float) -> Matrices:
        """K(0) by the poles that serve K(omega), so that their errors cancel in the difference."""
        source, rule = self._source, self._source.rule(wider)

        def part(chunk: slice) -> list[Matrices]:
            G = source.at(rule.nodes[chunk], 0)[0]
            return [pair_sum(rule.weights[chunk], G, G)]

        (static,) = total_of(part, chunks(len(rule.nodes), 2 * len(source.owner)))
        found = -2 * self._sums.energies(static).real
        still = (
            np.zeros_like(found) if self._from_bias is None else self._sums.energies(self._from_bias[1]).real / np.pi
        )
        return (found + still).astype(complex)

    # --- integrals ----------------------------------------------------------------------------------

    @cached_property
    def _from_poles(self) -> tuple[Matrices, Matrices, Matrices]:
        """sum_k R_k of P[G, G], of P[G', G] - P[G, G'] and of P[G', G'], by the poles of f."""
        source, rule = self._source, self._source.rule()

        def part(chunk: slice) -> tuple[Matrices, Matrices, Matrices]:
            G, slope = source.at(rule.nodes[chunk], 1)
            R = rule.weights[chunk]
            moved = pair_sum(R, slope, G)
            # P_ij[G, G']^ab = P_ji[G', G]^ba
            return pair_sum(R, G, G), moved - np.transpose(moved, (1, 0, 3, 2)), pair_sum(R, slope, slope)

        static, sea, inertia = total_of(part, chunks(len(rule.nodes), 2 * len(source.owner)))
        return static, sea, inertia

    @cached_property
    def _from_surface(self) -> list[Matrices]:
        """int f' of P[G, A] and of P[G', A]."""
        source, kT = self._source, self._source.occupation.temperature

        def terms(energies: Floats) -> Terms:
            G, slope = source.at(energies, 1)
            A = source.spectral(energies, G).sum(axis=1)
            return Terms([[(G, A)], [(slope, A)]], A[:, None])

        if kT == 0:
            step = np.array([source.occupation.fermi_energy])
            rule = Rule(step, np.ones((1, 1)), np.empty((1, 1, 0)))
        else:
            rule = source.thermal(self._judged(terms, (2, 3)))
        return [-one for one in self._integrals(rule, terms, 2)]

    @cached_property
    def _from_bias(self) -> list[Matrices] | None:
        """int (f_r - f) of P[G', A_r], of P[G, A_r] and, where inertia is known, of P[G', A_r'].

        None where no reservoir has more than f.
        """
        source, knows = self._source, self._knows_inertia

        def terms(energies: Floats) -> Terms:
            G, slope = source.at(energies, 1)
            A = source.spectral(energies, G)
            pairs = [[(slope, a) for a in _each(A)], [(G, a) for a in _each(A)]]
            if knows:
                pairs.append([(slope, a) for a in _each(source.spectral_slope(energies, G, slope))])
            return Terms(pairs, A)

        powers = (2, 1, 3) if knows else (2, 1)
        rule = source.biased(self._judged(terms, powers))
        return None if rule is None else self._integrals(rule, terms, len(powers))

    @property
    def _from_bias_slopes(self) -> Matrices:
        """int (f_r - f)' of P[G', A_r]."""
        source = self._source

        def terms(energies: Floats) -> Terms:
            G, slope = source.at(energies, 1)
            A = source.spectral(energies, G)
            return Terms([[(slope, a) for a in _each(A)]], A)

        return self._integrals(source.biased_slopes(self._judged(terms, (3,))), terms, 1)[0]

    @cached_property
    def _knows_inertia(self) -> bool:
        """Whether no mode opens where reservoirs are filled otherwise than the reference.

        There P[G', A_r'] diverges as 1/(E - E_0) on either side; the integral over it, which ends next to E_0, must be
        below the tolerance.
        """
        scale = self._source.scale
        return all(
            abs(one).max() * _NEXT_TO_IT * scale**2 / (2 * np.pi) * _LOGARITHM < self._source.tolerance
            for one in self._next_to_thresholds()
        )

    @cached_property
    def inertia_logarithm(self) -> Floats:
        """L_ij^ab, (moments, moments, 3, 3), hbar^2/energy: -Im alpha(omega)/omega goes as L log(omega) at small omega.

        Zero where the inertia tensor exists; where a mode of a lead opens at an energy that reservoirs fill otherwise
        than each other it does not, because of this.
        """
        shape = (self._sums.moments, self._sums.moments, 3, 3)
        if self._knows_inertia:
            return np.zeros(shape)
        # P[g_1, a_r] is 2 |E - E_0| times the sum of P[G', A_r'] on either side.
        total = sum((one.real for one in self._next_to_thresholds()), np.zeros(shape))
        return np.asarray(-_NEXT_TO_IT * self._source.scale / (2 * np.pi) * total)

    def _next_to_thresholds(self) -> Iterator[Matrices]:
        """sum_r (f_r - f) P[G', A_r'] above and below each threshold at which reservoirs are filled otherwise."""
        source = self._source
        filled = np.array([one(source.thresholds) - source.occupation(source.thresholds) for one in source.reservoirs])
        differs = abs(filled).max(axis=0, initial=0.0) > _SAME_FILLING * source.tolerance
        for E, f in zip(source.thresholds[differs], filled[:, differs].T, strict=True):
            for energy in E + np.array([[1.0], [-1.0]]) * _NEXT_TO_IT * source.scale:
                G, slope = source.at(energy, 1)
                changes = _each(source.spectral_slope(energy, G, slope))
                each = sum(pair_sum(f[r : r + 1], slope, a) for r, a in enumerate(changes))
                yield self._sums.energies(np.asarray(each))

    def _judged(self, terms: Callable[[Floats], Terms], powers: tuple[int, ...]) -> Integrand:
        """By which a rule is chosen: contractions of P with random unit vectors, without dimension.

        powers: of the energy scale, one for each of the terms, that make their integrals numbers.
        """
        source = self._source
        sites = len(source.owner)
        random = np.random.default_rng(0).normal(size=(2, _PROBES, sites, 3))
        u, v = random / np.linalg.norm(random, axis=-1, keepdims=True)
        strength = max(1.0, float(abs(source.exchange).max()) / source.scale)

        # (probes, i, j, c, d), so that the contraction is sum C_ij^cd x_ij^c y_ji^d.
        C = np.einsum("cdab,pia,pjb->pijcd", SPIN, u, v, optimize=True)

        def probed(X: Matrices, Y: Matrices) -> Floats:
            """u P[X, Y] v at each energy, real and imaginary parts: (k, 2 probes)."""
            x, back = pauli_components(X), np.swapaxes(pauli_components(Y), 1, 2)
            found = [((x[..., None, :] @ one)[..., 0, :] * back).sum(axis=(1, 2, 3)) for one in C]
            return np.concatenate([np.real(found), np.imag(found)]).T

        def integrand(energies: Floats) -> tuple[Floats, Floats]:
            parts = [judged(energies[chunk]) for chunk in chunks(len(energies), 2 * sites)] or [judged(energies)]
            found, states = (np.concatenate(one) for one in zip(*parts, strict=True))
            return found, states

        def judged(energies: Floats) -> tuple[Floats, Floats]:
            found, states = terms(energies)
            scale = [strength * source.scale**power / (2 * np.pi) for power in powers]
            # (terms, factors, k, probes)
            values = np.array([[s * probed(x, y) for x, y in one] for s, one in zip(scale, found, strict=True)])
            k, w = states.shape[:2]
            values = np.moveaxis(values, (0, 1), (2, 1)).reshape(k, w, len(powers) * 2 * _PROBES)
            return values, local_traces(states).reshape(k, w, 4 * sites)

        return integrand

    def _integrals(self, rule: Rule, terms: Callable[[Floats], Terms], number: int) -> list[Matrices]:
        """sum over energies and factors of the rule's weights times P, for each of the `number` terms."""
        sites = len(self._source.owner)

        def part(chunk: slice) -> list[Matrices]:
            found, weights = terms(rule.energies[chunk]).pairs, rule.weights[:, chunk]
            return [np.asarray(sum(pair_sum(w, x, y) for w, (x, y) in zip(weights, one, strict=True))) for one in found]

        found = total_of(part, chunks(len(rule.energies), 2 * sites))
        return found or [np.zeros((sites, sites, 3, 3), complex)] * number


def _each(spectral: Matrices) -> list[Matrices]:
    """Matrices of each reservoir, (k, 2 sites, 2 sites), of (k, r, 2 sites, 2 sites)."""
    return [spectral[:, r] for r in range(spectral.shape[1])]
