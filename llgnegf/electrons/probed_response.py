"""Response tensors beside probes on sites, which take no net current at any energy.

A probe p is filled as F_p(E) = sum_l w_pl(E) F_l(E), F_l = f_l - f_ref of the leads (`bath.py`), and follows what the
moments do: where a small change of them lets i_p more particles into it, it is filled by u_p further, with

    sum_q T_pq (u_q - u_p) - sum_l T_pl u_p + i_p = 0,      dG^n = G V G^n + G^n V G^+ + sum_p u_p A_p,

as a vertex correction, A_p = G Gamma_p G^+.  For moments at rest, with G^n_l = G (Gamma_l + sum_p w_pl Gamma_p) G^+ of
the lead l,

    i_p = Gamma_p 2 Re Tr[G V (G^n_l - w_pl A)]_pp,         chi = ... + (1/2pi) sum_lp int F_l Tr[sigma (A_p)_ii] u_pl.

In equilibrium F_l = 0: chi and K(0) are those of reservoirs, and a motion pumps i_p = (-f'/2pi) Gamma_p Tr[G V G^+]_pp.
What a bias adds to the Gilbert tensor is the response to a motion of one moment after the other (`bathed_motion.py`).

At a frequency electrons come into a probe at E and at E + omega, so that what it gives back
at "each energy" is known to first order alone: there is no inertia tensor, no alpha(omega) and no second order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.once import cached_property

from .bath import Bath, fillings
from .bathed_propagators import NO_NET_PROBES, BathedPropagators, propagators_of
from .frozen import Frozen
from .pairs import local_traces
from .pauli import PAULI
from .propagators import Floats, Integrand, Matrices, chunks
from .response import LinearResponse, Tensors, Terms
from .threads import total_of
from .window import Rule

# Random motions and directions by which the rule for vertices is judged.
_PROBES = 3
MOST_BIASED_SITES = 32


class ProbedPropagators(BathedPropagators):
    """`Propagators` beside probes: each lead is a reservoir together with what it fills of them.

    A sum over `spectral` is A where a lead has states, and zero elsewhere.
    """

    def _admit(self, bath: Bath) -> None:
        if bath.floats:
            raise ValueError(NO_NET_PROBES)

    @property
    def _probes(self) -> Any:
        return self._orbitals[::2] // 2

    def _transmissions(self, green: Matrices, of_leads: Matrices) -> tuple[Floats, Floats]:
        """T_pq, (k, b, b), and T_pl, (k, b, 2), into probes from probes and leads, summed over spins."""
        k, b = len(green), len(self._probes)
        between = (abs(green[:, self._orbitals][:, :, self._orbitals]) ** 2).reshape(k, b, 2, b, 2).sum(axis=(2, 4))
        entering = local_traces(of_leads)[..., self._probes, 0]
        return self._width**2 * between, self._width * np.moveaxis(entering, 1, 2)

    def spectral(self, energies: Floats, green: Matrices) -> Matrices:
        """See `Propagators`."""
        of_leads = super().spectral(energies, green)
        between, sources = self._transmissions(green, of_leads)
        columns = green[:, :, self._orbitals]
        for out, T, S, G in zip(of_leads, between, sources, columns, strict=True):
            w = np.repeat(fillings(T, S)[0], 2, axis=0)
            for r in range(2):
                out[r] += self._width * (G * w[:, r]) @ G.conj().T
        return of_leads

    def given_back(self, energies: Floats) -> Floats:
        """What moments at rest change by the vertices: d Tr[sigma G^n_l]_i/dm_j, (k, 2, N, 3, N, 3), per F_l."""
        green, N = self.at(energies, 0)[0], self._device.n_sites
        of_leads = super().spectral(energies, green)
        between, sources = self._transmissions(green, of_leads)
        filled = self.spectral(energies, green)
        at = self._probes
        out = np.empty((len(energies), 2, N, 3, N, 3))
        for k, G in enumerate(green):
            A = 1j * (G - G.conj().T)
            w = fillings(between[k], sources[k])[0]
            states = self._of_probes(G)
            for r in range(2):
                # G^n_l - w_pl A, (N, 2, b, 2)
                less = filled[k, r].reshape(N, 2, N, 2)[:, :, at] - w[:, r, None] * A.reshape(N, 2, N, 2)[:, :, at]
                out[k, r] = self._back(2 * less, G, between[k], sources[k], states)
        return out

    def pumped_back(self, energies: Floats) -> Floats:
        """What a motion in equilibrium changes by them: d Tr[sigma rho]_i/d(dm_j/dt), (k, N, 3, N, 3), per -f'/2pi."""
        green, N = self.at(energies, 0)[0], self._device.n_sites
        between, sources = self._transmissions(green, super().spectral(energies, green))
        adjoint = np.conj(np.swapaxes(green, 1, 2)).reshape(-1, N, 2, N, 2)[:, :, :, self._probes]
        each = zip(adjoint, green, between, sources, strict=True)
        return np.array([self._back(back, G, T, S, self._of_probes(G)) for back, G, T, S in each])

    def _of_probes(self, G: Matrices) -> Floats:
        """Tr[sigma (A_p)_ii], (b, N, 3)."""
        columns = np.moveaxis(G[:, self._orbitals].reshape(len(G), -1, 2), 1, 0)
        return np.array([local_traces(self._width * c @ c.conj().T)[:, 1:] for c in columns])

    def _back(self, X: Matrices, G: Matrices, between: Floats, sources: Floats, states: Floats) -> Floats:
        """sum_p Tr[sigma (A_p)_ii] u_p for i_p = Gamma_p Re Tr[G V_jb X]_pp, (N, 3, N, 3); X: (N, 2, b, 2)."""
        N, b = len(G) // 2, len(states)
        here = G.reshape(N, 2, N, 2)[self._probes]
        entering = np.real(np.einsum("psjx,cxy,jyps->pjc", here, PAULI[1:], X, optimize=True))
        entering *= -self._width * self.exchange[:, None]
        u = fillings(between, sources, entering.reshape(b, 3 * N))[1].reshape(b, N, 3)
        return np.asarray(np.einsum("pia,pjc->iajc", states, u))


class ProbedResponse(LinearResponse):
    """Tensors beside probes.

    Raises ValueError under a bias for more than 32 sites, for each of which three motions are evaluated there.
    """

    is_slow_alone = True

    def __init__(self, frozen: Frozen) -> None:
        sites = frozen.device.n_sites
        if frozen.bias is not None and sites > MOST_BIASED_SITES:
            raise ValueError(
                f"response tensors: {sites} sites beside a bath of probes under a bias; up to {MOST_BIASED_SITES} are "
                "allowed, for each of them moves by itself"
            )
        self._probed = ProbedPropagators(frozen)
        super().__init__(self._probed)
        self._frozen = frozen

    @cached_property
    def tensors(self) -> Tensors:
        """All tensors of slow motions; inertia is nan."""
        P, spins, J = self._sums.energies, self._sums.spins, self._probed.exchange[:, None, None, None]
        static, sea, _ = self._from_poles
        surface, pumped = self._in_equilibrium
        stiffness, chi = -2 * P(static).real, -2 * spins(static).real
        still, moved = self._at_bias, self._moved_at_bias
        if still is not None:
            pair, back = still
            stiffness = stiffness + P(pair).real / np.pi - J * back
            chi = chi + spins(pair).real / np.pi + back
        found = Tensors(
            sea=P(sea).imag,
            surface=P(surface).imag / (2 * np.pi) - J * pumped,
            bias=-J * moved,
            inertia=np.full_like(chi, np.nan),
            stiffness=stiffness,
            susceptibility=chi,
            drag=spins(sea).imag + spins(surface).imag / (2 * np.pi) + pumped + moved,
        )
        self._probed.check(found.gilbert)
        return found

    def alpha(self, omega: float) -> NDArray[np.complex128]:
        """`gilbert` at omega = 0; ValueError at any other."""
        if omega == 0:
            return self.tensors.gilbert.astype(complex)
        raise ValueError(_SLOW_ALONE.format(what=f"alpha({omega:g})"))

    def second_order(self, velocity: ArrayLike, acceleration: ArrayLike) -> Floats:
        """ValueError."""
        raise ValueError(_SLOW_ALONE.format(what="second_order"))

    @cached_property
    def _in_equilibrium(self) -> tuple[Matrices, Floats]:
        """int f' of P[G, A], and what probes give back of what is pumped into them, (N, N, 3, 3)."""
        source, kT = self._probed, self._probed.occupation.temperature

        def terms(energies: Floats) -> Terms:
            G = source.at(energies, 0)[0]
            A = 1j * (G - np.conj(np.swapaxes(G, 1, 2)))
            return Terms([[(G, A)]], A[:, None])

        if kT:
            rule = source.thermal(self._with_vertices(terms, 2, lambda e: source.pumped_back(e)[:, None]))
        else:
            rule = Rule(np.array([source.occupation.fermi_energy]), np.ones((1, 1)), np.empty((1, 1, 0)))
        back = self._summed(rule, lambda e: source.pumped_back(e)[:, None])
        return -self._integrals(rule, terms, 1)[0], back

    @cached_property
    def _moved_at_bias(self) -> Floats:
        """What a bias adds to ds_i^a/d(dm_j^b/dt), (N, N, 3, 3)."""
        frozen, N = self._frozen, self._frozen.device.n_sites
        out = np.zeros((N, N, 3, 3))
        bias = frozen.bias
        if bias is None:
            return out

        def moved(velocity: Floats) -> Floats:
            rate = frozen.device.coupling_blocks(velocity.reshape(frozen.m.shape), np.zeros(frozen.device.shape))
            return frozen.out_of_frame(bias.moved(rate)).reshape(N, 4)[:, 1:]

        # Energies are chosen for the first motion.
        moved(np.random.default_rng(0).normal(size=(N, 3)))
        for j in np.flatnonzero(self._probed.exchange):
            for b in range(3):
                velocity = np.zeros((N, 3))
                velocity[j, b] = 1.0
                out[:, j, :, b] = moved(velocity)
        return out

    @cached_property
    def _at_bias(self) -> tuple[Matrices, Floats] | None:
        """int F_l of P[G, A_l], and (1/2pi) int F_l of what probes give back, (N, N, 3, 3); None without a bias."""
        source = self._probed

        def terms(energies: Floats) -> Terms:
            G = source.at(energies, 0)[0]
            A = source.spectral(energies, G)
            return Terms([[(G, A[:, r]) for r in range(2)]], A)

        rule = source.biased(self._with_vertices(terms, 1, source.given_back))
        if rule is None:
            return None
        return self._integrals(rule, terms, 1)[0], self._summed(rule, source.given_back)

    def _with_vertices(self, terms: Callable[[Floats], Terms], power: int, vertices: Vertices) -> Integrand:
        """By which a rule is chosen: see `LinearResponse._judged`; with contractions of vertices beside it."""
        source, judged = self._probed, self._judged(terms, (power,))
        u, v = np.random.default_rng(1).normal(size=(2, _PROBES, 3 * self._frozen.device.n_sites))
        u, v = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (u, v))

        def integrand(energies: Floats) -> tuple[Floats, Floats]:
            values, states = judged(energies)
            back = vertices(energies)
            back = back.reshape(*back.shape[:2], u.shape[1], u.shape[1])
            probed = np.einsum("pi,krij,pj->krp", u, back, v, optimize=True) * source.scale**power / (2 * np.pi)
            return np.concatenate([values, probed], axis=2), states

        return integrand

    def _summed(self, rule: Rule, vertices: Vertices) -> Floats:
        """1/2pi of the integral, (N, N, 3, 3)."""

        def part(chunk: slice) -> list[Floats]:
            return [np.einsum("rk,kriajb->ijab", rule.weights[:, chunk], vertices(rule.energies[chunk]))]

        parts = chunks(len(rule.energies), 6 * self._frozen.device.n_sites)
        return np.asarray(total_of(part, parts)[0] / (2 * np.pi))


# (k, factors, N, 3, N, 3) at energies (k,).
Vertices = Callable[[Floats], Floats]

_SLOW_ALONE = (
    "{what}: not known beside a bath of probes, which give back what comes at each energy, to first order in a motion "
    "alone; use zero_current=False, reservoirs, or a device without"
)


def response_of(frozen: Frozen) -> LinearResponse:
    """The tensors of the electrons of a chain or lattice.  ValueError for probes without current in all."""
    bath = frozen.device.bath
    if bath is not None and bath.zero_current:
        return ProbedResponse(frozen)
    return LinearResponse(propagators_of(frozen))
