"""Long wires: what `bias.py`, `bias_response.py` and the Fermi surface ask of them, by blocks (`wire_blocks.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .chain_surface import ChainSurface
from .outside_levels import tails, thermal_states
from .pauli import pauli_traces
from .quadrature import ToleranceError
from .shifted_surface import ShiftedChainSurface
from .sweeps import Blocks, Floats, Sweeps
from .system import BIAS_TAILS, System
from .wire_blocks import WireBlocks

# Chains of so many sites are long: shorter ones are faster energy by energy.  The response to a motion at kT > 0 needs
# levels that no density shows, which blocks find faster in shorter ones too.
LONG, LONG_MOVING = 256, 64
# Errors of blocks that grow by this factor where they are joined are allowed for.
_GROWTH = 1e3
# Attempts, in each of which panels are halved more often than in the one before.
_ATTEMPTS = 3


def is_long(device: System, *, moving: bool) -> bool:
    """Whether integrals over real energies are done by blocks; moving: those of the response to a motion."""
    if device.is_lattice or device.is_closed or device.is_polarized or device.has_matrices or device.vacancies:
        return False
    warm = device.temperature > 0 or any(lead.occupation.temperature for lead in device.ends)
    return device.n_sites >= (LONG_MOVING if moving and warm else LONG)


def accurate(
    make: Callable[[float], tuple[WireBlocks, Integrals]], lost: Callable[[Integrals], float], tolerance: float
) -> tuple[WireBlocks, Integrals]:
    """The first blocks that miss no states, and their integrals.

    make: blocks for a share of the tolerance; lost: what their integrals miss of a known density.
    Raises ToleranceError where all attempts miss some.
    """
    share, missed = 1.0, np.inf
    for _ in range(_ATTEMPTS):
        tree, found = make(share)
        missed = lost(found)
        needed = 1.0
        if found.first is not None:
            needed = tree.expected / max(tree.expected, float(abs(found.first).max())) * min(1.0, _GROWTH / tree.growth)
        if missed <= tolerance and needed >= 0.5 * share:
            return tree, found
        # Narrow levels amplify errors of either.
        share = min(1e-2 * share if missed > tolerance else share, needed)
    raise ToleranceError(f"{missed:.1e} of the states in a long wire are not found, {tolerance:.1e} is allowed")


@dataclass(frozen=True)
class Integrals:
    """Integrals of scattering states with weights for either lead, each divided by 2 pi.

    rows: (q, n, 4) on the sites for q weights; first: (n, 4) of the first order.  into: (q, 2, 4), flow over the first
    bond of each lead into it; energy: (2,), that of the energy above the levels of the lead, for the first weight;
    first_into, first_energy: (2, 4) and (2,), those of the first order (words 4).  bonds: as `wire_blocks.Sums`.
    """

    rows: Floats
    first: Floats | None
    into: Floats
    energy: Floats
    first_into: Floats | None
    first_energy: Floats | None
    bonds: Floats


def integrals(tree: WireBlocks, weights: Floats, first: Floats | None = None, with_bonds: bool = False) -> Integrals:
    """Integrals with weights (q, 2, k), [.., lead, factor] of factors w of the window, and (2, k) for the first order.

    E.g. weights[0] = identity: sum_p int w_p psi_p psi_p^+.
    """
    top = tree.top
    values = np.concatenate([one.weights for one in top.panels], axis=1)
    by_x = first @ values if first is not None else None
    if by_x is not None and tree.words == 4:
        by_x = by_x / top.slopes
    given = weights @ values
    found = tree.sums(given, by_x, with_bonds)
    still, moved, stored = _into_leads(tree)
    above = top.energies[:, None] - np.array(tree.device.voltages)
    scale = 1 / (2 * np.pi)
    first_into = first_energy = None
    if moved is not None and stored is not None and by_x is not None:
        first_into = np.einsum("pn,npla->la", by_x, moved) * scale
        first_energy = np.einsum("pn,npl->l", by_x, above[:, None] * moved[..., 0] + stored) * scale
    return Integrals(
        found.density * scale,
        None if found.first is None else found.first * scale,
        np.einsum("qpn,npla->qla", given, still) * scale,
        np.einsum("pn,nl,npl->l", given[0], above, still[..., 0]) * scale,
        first_into,
        first_energy,
        found.bonds * scale,
    )


def _into_leads(tree: WireBlocks) -> tuple[Floats, Floats | None, Floats | None]:
    """Flow into each lead of the states from each, (n, from, into, 4), and its first order times dE/dx (words 4).

    And (n, from, into) what their first bonds give to the leads' energy, times dE/dx.  As in `green.biased_terms`.
    """
    top = tree.top
    sigma, slopes = tree.device.chain_rules.ends_at(top.energies)
    roots = np.sqrt(np.maximum(-2 * sigma.imag, 0.0))
    n = len(roots)
    # [energy, word, from, into, spin, spin]
    states = top.ends[:, 0].reshape(n, -1, 2, 2, 2, 2).transpose(0, 1, 4, 2, 3, 5) * roots[:, None, :, None, None, None]
    by_lead = (slice(None), None, slice(None), None, None)

    def over(a: Blocks, b: Blocks) -> Blocks:
        return pauli_traces(a @ np.conj(np.swapaxes(b, -1, -2)))

    psi = states[:, 0]
    u = sigma[by_lead] * psi
    for p in range(2):
        u[:, p, p] += roots[:, p, None, None] * np.eye(2)
    still = -2 * np.imag(over(u, psi))
    if tree.words < 4:
        return still, None, None
    x, chi = states[:, 1], states[:, 3]
    v = sigma[by_lead] * chi - (slopes * top.slopes[:, None])[by_lead] * x
    stored = -2 * np.real(over(sigma[by_lead] * x, psi)[..., 0]) * top.slopes[:, None, None]
    return still, 2 * np.real(over(v, psi) - over(u, chi)), stored


class LongBias:
    """What `bias.Bias` asks, for a long wire: energies are chosen for the first motion and kept.

    lost: from a function k -> int w_k sum_p psi_p psi_p^+ / 2 pi, (n, 4), the largest part of a density of states
    between two Fermi functions that it misses.  Raises ToleranceError where states are missing.
    """

    def __init__(self, sweeps: Sweeps, lost: Callable[[Callable[[int], Floats]], float]) -> None:
        self.sweeps, self.device, self._lost = sweeps, sweeps.device, lost
        self.hides = False  # whether energies without blocks have missed states
        self._tree: WireBlocks | None = None
        self._found: Integrals | None = None
        self._moved: tuple[Blocks, Integrals] | None = None

    @property
    def moves(self) -> bool:
        """Whether energies have been chosen for a motion."""
        return self._moved is not None

    def at_rest(self) -> Integrals:
        """Of the bias at rest; the first of its weights."""
        if self._found is None:
            self._adapt(None)
        assert self._found is not None
        return self._found

    def moved(self, rate: Blocks) -> Integrals:
        """Of the first order for Hd = `rate`."""
        if self._moved is None and self._found is None:
            self._adapt(rate)
        if self._moved is None or self._moved[0] is not rate:
            if self._tree is None or self._tree.words < 4:
                self._tree, found = self._adapted(rate)
            else:
                self._tree = self._tree.with_rate(rate)
                found = integrals(self._tree, self._weights[:1], np.eye(2))
            self._moved = rate, found
        return self._moved[1]

    def bonds(self, rate: Blocks | None) -> tuple[Floats, Floats]:
        """See `Bias.bonds`."""
        if rate is not None:
            self.moved(rate)
        else:
            self.at_rest()
        assert self._tree is not None
        found = integrals(self._tree, self._weights, None if rate is None else np.eye(2), with_bonds=True).bonds
        return found[0], found[1]

    @property
    def _weights(self) -> Floats:
        """The bias, and for the check sum_p psi_p psi_p^+ with the factor of either lead."""
        each = [np.outer([1.0, 1.0], np.eye(2)[k]) for k in range(2)]
        return np.array([np.eye(2), *each])

    def _adapt(self, rate: Blocks | None) -> None:
        self._tree, self._found = self._adapted(rate)
        if rate is not None:
            self._moved = rate, self._found

    def _adapted(self, rate: Blocks | None) -> tuple[WireBlocks, Integrals]:
        device, words = self.device, 1 if rate is None else 4
        window, tails = device.bias_window(), False
        if rate is not None and window.stretches:
            # The response of narrow levels counts where hardly any electrons differ; at kT = 0 nowhere else.
            tails = device.temperature > 0 or any(lead.occupation.temperature for lead in device.ends)
            window = device.bias_window(BIAS_TAILS) if tails else window
        if not window.stretches:
            raise ToleranceError("no lead has states there")
        moving = None if rate is None else np.eye(2)

        def make(share: float) -> tuple[WireBlocks, Integrals]:
            allowed = share * device.tolerance
            sweeps = self.sweeps
            given = device, sweeps.blocks, window, sweeps.counter, allowed, rate, words
            tree = WireBlocks(*given, widths=tails or self.hides or share < 1, evenly=share < 1)
            return tree, integrals(tree, self._weights, moving)

        return accurate(make, lambda found: self._lost(lambda k: found.rows[1 + k]), device.tolerance)


def response_to_leads(sweeps: Sweeps, bound: Floats) -> tuple[Floats, Floats]:
    """int (-df/dE) psi_l psi_l^+ / 2 pi at kT > 0 for l the left and the right lead, and its flow into the leads.

    bound: what levels outside the bands have of the thermal density of states, (n, 4), 1/energy.  Returns (2, n, 4) and
    (2, 2, 4).  Raises ToleranceError where thermal states are missing.
    """
    device, window = sweeps.device, sweeps.device.thermal_window
    if not window.stretches:
        raise ToleranceError("no lead has states there")
    known, known_to = sweeps.thermal_states()
    weights = np.array([[[1.0], [0.0]], [[0.0], [1.0]], [[1.0], [1.0]]])

    def make(share: float) -> tuple[WireBlocks, Integrals]:
        tree = WireBlocks(device, sweeps.blocks, window, sweeps.counter, share * device.tolerance / device.hopping)
        return tree, integrals(tree, weights)

    def lost(found: Integrals) -> float:
        return max(float(abs(known - bound - found.rows[2]).max()) - known_to, 0.0) * device.hopping

    found = accurate(make, lost, device.tolerance)[1]
    return found.rows[:2], found.into[:2]


class _ByBlocks(ChainSurface):
    """The surface term at kT > 0 of a long wire, by blocks where they find all thermal states; else as its base."""

    def density(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """See `ChainSurface`."""
        found = self._by_blocks(rate)
        if found is None:
            return super().density(rate)
        assert found.first is not None
        return self.levels.surface(rate).on_sites() - found.first if self.levels.any else -found.first

    def kept(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """See `ChainSurface`; where all other thermal states come from the leads `levels` alone are discrete."""
        if self._by_blocks(rate) is None:
            return super().kept(rate)
        return self.levels.kept(rate).on_sites() if self.levels.any else np.zeros((self.device.n_sites, 4))

    def bonds(self, rate: NDArray[np.complex128], K: NDArray[np.complex128] | None = None) -> NDArray[np.float64]:
        """See `ChainSurface`."""
        if K is not None or self._by_blocks(rate) is None:
            return super().bonds(rate, K)
        assert self._tree is not None
        bonds = -integrals(self._tree, _THERMAL, _THERMAL[0], with_bonds=True).bonds[1]
        return bonds + self.levels.surface(rate).over_bonds(self.device.hops) if self.levels.any else bonds

    def _into_leads(self, rate: NDArray[np.complex128], K: NDArray[np.complex128] | None, energy: bool) -> Floats:
        if K is not None or self._by_blocks(rate) is None:
            return super()._into_leads(rate, K, energy)
        assert self._tree is not None
        top = self._tree.top
        sigma, _ = self.device.chain_rules.ends_at(top.energies)
        gamma = np.maximum(-2 * sigma.imag, 0.0)
        n = len(gamma)
        # [energy, word, into, spin, from, spin]
        psi, driven = np.moveaxis(top.ends[:, 0].reshape(n, -1, 2, 2, 2, 2), 1, 0)[:2]
        ends = np.imag(pauli_traces(np.einsum("np,nqapb,nqcpb->nqac", gamma, driven, psi.conj())))
        own = np.stack([driven[:, p, :, p] for p in range(2)], axis=1)
        weights = np.concatenate([one.weights[0] for one in top.panels]) / (2 * np.pi)
        above = top.energies[:, None] - np.array(self.device.voltages) if energy else 1.0
        flow = -np.einsum("n,nq,nqa->qa", weights, gamma * above, ends - np.real(pauli_traces(own)))
        return flow + tails(self.device, self.levels, rate, energy) if self.levels.any else flow

    def _by_blocks(self, rate: NDArray[np.complex128]) -> Integrals | None:
        """Integrals of G Gamma G^+ and of Im[G Hd G Gamma G^+]; None where states are missing."""
        if self._tree is None:
            if self._failed or not rate.any():
                return None
            self._choose(rate)
        elif self._for is not rate:
            self._tree = self._tree.with_rate(rate)
            self._for, self._found = rate, integrals(self._tree, _THERMAL, _THERMAL[0])
        return self._found

    def _choose(self, rate: NDArray[np.complex128]) -> None:
        device, sweeps, window = self.device, self.sweeps, self.device.thermal_window
        known, known_to = self._sharp_states
        bound = thermal_states(cast(Sweeps, sweeps), self.levels)

        def make(share: float) -> tuple[WireBlocks, Integrals]:
            allowed = share * device.tolerance
            given = device, sweeps.blocks, window, sweeps.counter, allowed, rate, 2
            tree = WireBlocks(*given, widths=True, evenly=share < 1)
            return tree, integrals(tree, _THERMAL, _THERMAL[0])

        def lost(found: Integrals) -> float:
            return max(float(abs(known - bound - found.rows[0]).max()) - known_to, 0.0) * device.hopping

        self._failed = not window.stretches
        if not self._failed:
            try:
                self._tree, self._found = accurate(make, lost, device.tolerance)
                self._for = rate
            except ToleranceError:
                self._failed = True

    _tree: WireBlocks | None = None
    _for: NDArray[np.complex128] | None = None
    _found: Integrals | None = None
    _failed = False


_THERMAL = np.ones((1, 2, 1))


class LongChainSurface(_ByBlocks):
    """The term of a long wire between leads of one band."""


class LongShiftedSurface(_ByBlocks, ShiftedChainSurface):
    """The same between leads with voltages."""
