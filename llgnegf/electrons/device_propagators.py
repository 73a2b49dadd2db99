"""Green's functions of a chain or lattice, from which response tensors are made.

They are those in the given spin axes: with spin-orbit coupling H is turned out of the frame in which its bonds along x
are scalars (`spin_orbit.py`), which `frozen.py` calculates in, and the leads are as the user gave them.  So tensors
need not be turned.  What is found in the frame and does not depend on it, such as levels and rules, is taken from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .block_columns import BlockColumns
from .frozen import Frozen
from .leads import AttachedLead
from .narrow_levels import may_be_narrow, narrow_levels
from .propagators import Floats, Integrand, Matrices, slope_rule
from .quadrature import FermiPoles, ToleranceError
from .scattering_matrix import Waves
from .shifted_surface import thermal_rule
from .system import tails
from .threads import one_blas_thread
from .window import Edges, Factor, Rule, Window


class DevicePropagators:
    """`Propagators` of a chain or lattice; each site has a moment."""

    def __init__(self, frozen: Frozen) -> None:
        device = frozen.device
        self._frozen, self._device = frozen, device
        exchange = np.broadcast_to(np.asarray(device.sd_exchange, float), device.shape)
        self.exchange = (exchange if device.holes is None else np.where(device.holes, 0.0, exchange)).ravel()
        self.owner = np.arange(device.n_sites)
        self.scale, self.tolerance = device.hopping, device.tolerance
        self.occupation = device.occupation
        self.thresholds = device.openings
        self.reservoirs = tuple(one if lead.coupling else device.occupation for lead, one in device.sources)

    @cached_property
    def _blocks(self) -> BlockColumns:
        return BlockColumns.of_dense(self._hamiltonian(), self._device.shape[0])

    def _hamiltonian(self) -> Matrices:
        """H, (2 sites, 2 sites), in the given spin axes; without leads."""
        H, frame = self._frozen.sweeps.dense_hamiltonian(), self._device.frame
        return H if frame is None else frame.matrix_back(H)

    @one_blas_thread
    def at(self, z: NDArray[np.inexact], order: int) -> list[Matrices]:
        """See `Propagators`; columns by `BlockColumns`, the derivative from G' = -G B G, B = 1 - dSigma/dE."""
        energies = z.astype(complex)
        self._frozen.counter.add(len(energies))
        solver = self._blocks.at(energies, *self._on_leads(lambda lead: lead.self_energy(energies)))
        size = 2 * self._device.n_sites
        G = solver.solve(np.broadcast_to(np.eye(size, dtype=complex), (len(energies), size, size)))
        if not order:
            return [G]
        slopes = self._on_leads(lambda lead: lead.slope(energies))
        return [G, solver.solve(self._on_ends(slopes, G) - G)]

    def _on_leads(self, of: Callable[[AttachedLead], Matrices]) -> list[Matrices]:
        """Matrices (k, n, n) of the left and the right lead on the slices next to them, zero on vacancies."""
        found = [of(lead) for lead in self._device.ends]
        if self._kept is None:
            return found
        return [np.where(kept[:, None] & kept, one, 0.0) for one, kept in zip(found, self._kept, strict=True)]

    def _injections(self, energy: float) -> list[Matrices]:
        """sqrt(Gamma) of the open channels of the left and the right lead, (n, p) each."""
        return [_open(columns) for columns in self._columns(energy)]

    def _by_source(self, energy: float) -> list[tuple[slice, Matrices]]:
        """The same of each of `System.sources`, with the orbitals next to it: leads, or one spin of a lead each."""
        given = zip(self._ends, self._columns(energy), strict=True)
        spins = [slice(0, None, 2), slice(1, None, 2)] if self._device.fills_spins else [slice(None)]
        return [(end, _open(columns[:, one])) for end, columns in given for one in spins]

    def _columns(self, energy: float) -> list[Matrices]:
        found = [lead.injection(energy) for lead in self._device.ends]
        if self._kept is None:
            return found
        return [np.where(kept[:, None], one, 0.0) for one, kept in zip(found, self._kept, strict=True)]

    @cached_property
    def _spins(self) -> list[list[Matrices]]:
        """Projectors (n, n) on the spin of each of `System.sources`, of the left and of the right lead."""
        width = self._ends[0].stop
        if not self._device.fills_spins:
            return [[np.eye(width, dtype=complex)]] * 2
        found = []
        for lead in self._device.ends:
            states = np.eye(2) if lead.spin is None else lead.spin
            found.append([np.asarray(np.kron(np.eye(width // 2), np.outer(u, u.conj())), complex) for u in states.T])
        return found

    @cached_property
    def _kept(self) -> list[NDArray[np.bool_]] | None:
        """Which orbitals of the end slices are there; None where all are."""
        holes = self._device.holes
        return None if holes is None else [np.repeat(~np.atleast_1d(holes[x]), 2) for x in (0, -1)]

    @property
    def _ends(self) -> tuple[slice, slice]:
        """Orbitals of the slices next to the left and the right lead."""
        width = 2 * self._device.n_sites // self._device.shape[0]
        return slice(0, width), slice(-width, None)

    def _on_ends(self, matrices: Sequence[Matrices], x: Matrices) -> Matrices:
        """Matrices (k, n, n) of the left and the right lead times x (k, 2 sites, p), zero on all other rows."""
        out = np.zeros_like(x)
        for end, matrix in zip(self._ends, matrices, strict=True):
            out[:, end] += matrix @ x[:, end]
        return out

    def spectral(self, energies: Floats, green: Matrices) -> Matrices:
        """See `Propagators`."""
        k, size, _ = green.shape
        out = np.empty((k, len(self._device.sources), size, size), complex)
        for i, energy in enumerate(energies.tolist()):
            for r, (end, W) in enumerate(self._by_source(energy)):
                psi = green[i][:, end] @ W
                out[i, r] = psi @ psi.conj().T
        return out

    def spectral_slope(self, energies: Floats, green: Matrices, slope: Matrices) -> Matrices:
        """See `Propagators`."""
        z = energies.astype(complex)
        gammas, changes = (
            [1j * (one - _adjoint(one)) for one in self._on_leads(of)]
            for of in (lambda lead: lead.self_energy(z), lambda lead: lead.slope(z))
        )
        out = []
        for gamma, change, spins, end in zip(gammas, changes, self._spins, self._ends, strict=True):
            G = green[:, :, end]
            for P in spins:  # Sigma is diagonal in the spin of the lead
                half = slope[:, :, end] @ (gamma @ P) @ _adjoint(G)
                out.append(half + _adjoint(half) + G @ (change @ P) @ _adjoint(G))
        return np.stack(out, axis=1)

    def waves(self, energy: float) -> Waves:
        """See `scattering_matrix`; only the columns of G that belong to open channels."""
        z, sources = np.array([energy + 0j]), self._injections(energy)
        split = sources[0].shape[1]
        W = np.zeros((2 * self._device.n_sites, split + sources[1].shape[1]), complex)
        W[self._ends[0], :split] += sources[0]
        W[self._ends[1], split:] += sources[1]
        sigmas = self._on_leads(lambda lead: lead.self_energy(z))
        self._frozen.counter.add(1)
        psi = self._blocks.at(z, *sigmas).solve(W[None])[0]
        phi = self._blocks.at(z, *map(_adjoint, sigmas)).solve(W[None])[0]
        return Waves(W, psi, phi, (np.arange(W.shape[1]) >= split).astype(np.intp))

    # --- energies -----------------------------------------------------------------------------------

    def rule(self, wider: float = 0.0) -> FermiPoles:
        """See `Propagators`."""
        if not wider:
            return self._frozen.rule
        device, (low, high) = self._frozen.sweeps.device, self._frozen.bounds
        bounds, step = (low - wider, high + wider), self._frozen.step
        if step is not None:
            return step.rule(device, bounds)
        return device.pole_rules.rule(bounds, device.pole_rules.least_gap)

    def thermal(self, integrand: Integrand) -> Rule:
        """See `Propagators`; the rule finds all thermal states, or ToleranceError says that it does not."""
        device = self._device
        rows = 4 * device.n_sites

        def values(energies: Floats) -> Floats:
            found, states = integrand(energies)
            return np.concatenate([found, states], axis=2)

        def counts(energy: float, width: float) -> bool:
            slope = -float(device.occupation.slope(np.array([energy]))[0])
            return slope * device.hopping**2 / width > 1e-3 * device.tolerance

        sweeps = self._frozen.sweeps
        if device.is_closed:
            raise ToleranceError(
                f"temperature = {device.temperature:g} without leads: discrete levels dissipate nothing, and response "
                "tensors of them are available at temperature = 0.0 alone; use this, or a lead"
            )
        known = self._frozen.thermal_states
        rule, lost = thermal_rule(
            sweeps, values, lambda v: v[:, :, :-rows], lambda v: v[:, 0, -rows:], counts, known=known
        )
        if lost > 0:
            raise ToleranceError(
                f"{lost:.1e} of the states within some kT of the Fermi energy have no contact to the leads: discrete "
                "levels; use temperature = 0.0, another fermi_energy or a larger electrons.tolerance"
            )
        return rule

    def biased(self, integrand: Integrand) -> Rule | None:
        """See `Propagators`; the states that the rule finds are held against those of `Frozen.bias`."""
        device, bias = self._device, self._frozen.bias
        if bias is None:
            return None
        rows = 4 * device.n_sites

        def values(energies: Floats) -> Floats:
            return np.concatenate(integrand(energies), axis=2)

        window = device.bias_window()
        edges = self._edges(window)
        rule = window.panels.adapted(edges, values, lambda v: v, device.tolerance, 1e-13 * device.hopping)
        states = rule.integral(rule.values[:, :, -rows:]) / (2 * np.pi)
        lost = float(abs(states - self._frozen.out_of_frame(bias.density).ravel()).max())
        if lost > 2 * device.tolerance:
            raise ToleranceError(
                f"the electrons between the chemical potentials of the leads are found to {lost:.1e} only, "
                f"{device.tolerance:.1e} is needed for response tensors: use a larger electrons.tolerance, higher "
                "temperatures or stronger couplings to the leads"
            )
        return rule

    def biased_slopes(self, integrand: Integrand) -> Rule:
        """See `Propagators`."""
        reach = tails(self._device.tolerance)
        return slope_rule(
            self.reservoirs,
            self.occupation,
            reach,
            lambda factors, low, high: self._adapted(factors, low, high, 0.0, integrand),
        )

    def between(self, factor: Factor, low: float, high: float, shift: float, integrand: Integrand) -> Rule:
        """See `Propagators`; panels end where a mode opens at E or at E + shift."""
        return self._adapted([factor], low, high, shift, integrand)

    def _adapted(self, factors: Sequence[Factor], low: float, high: float, shift: float, integrand: Integrand) -> Rule:
        device = self._device
        openings = np.unique(np.concatenate([device.openings, device.openings - shift]))
        window = Window(factors, low, high, self._band(low, high), openings, device.hopping, 2 * device.n_sites)

        def values(energies: Floats) -> Floats:
            return integrand(energies)[0]

        edges = self._edges(window, shift)
        return window.panels.adapted(edges, values, lambda v: v, device.tolerance, 1e-13 * device.hopping)

    def _band(self, _low: float, _high: float) -> tuple[float, float]:
        """Energies at which there are states, as far as those between these two matter."""
        return self._device.band

    def _edges(self, window: Window, shift: float = 0.0) -> Edges:
        """First panels, which end at narrow levels; shift: G is needed at E + shift too."""
        levels: list[tuple[float, float]] = []
        if may_be_narrow(self._frozen.sweeps, window.edges):
            hopping = self._device.hopping
            found = narrow_levels(self._frozen.sweeps, window.stretches, lambda _e, width: width < hopping)
            levels = [(one.energy + s, one.width) for one in found for s in ((0.0, -shift) if shift else (0.0,))]
        return window.divided(levels)

    def check(self, response: Floats) -> None:
        """See `Propagators`."""
        self._frozen.check_first_order(np.array([[[abs(self.exchange).max()]]], complex), response)


def _open(columns: Matrices) -> Matrices:
    """Those that are not zero."""
    return columns[:, abs(columns).max(axis=0, initial=0.0) > 0]


def _adjoint(stack: Matrices) -> Matrices:
    return np.conj(np.swapaxes(stack, -1, -2))
