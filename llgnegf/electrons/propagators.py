"""The protocol `Propagators`: what response tensors need of the electrons, and its implementation for a device.

Indices of matrices are 2 site + spin.  A *reservoir* fills scattering states with a Fermi function of its own: a lead,
or the electrons of one spin direction in it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .block_columns import BlockColumns
from .frozen import Frozen, refuse_spins
from .leads import Occupation
from .narrow_levels import may_be_narrow, narrow_levels
from .quadrature import FermiPoles, ToleranceError
from .scattering_matrix import Waves
from .shifted_surface import thermal_rule
from .threads import one_blas_thread
from .window import Factor, Rule, Window

Floats = NDArray[np.float64]
Matrices = NDArray[np.complex128]


class Integrand(Protocol):
    """Values (n, factors, c) that are to be integrated and values (n, factors, 4 sites) of G Gamma G^+, traced."""

    def __call__(self, energies: Floats, /) -> tuple[Floats, Floats]: ...


class Propagators(Protocol):
    """Green's functions of electrons at fixed moments.

    exchange: (sites,) J_sd on each site, energy: dH/dm_i = -J_i sigma.  owner: (sites,) which moment acts there.
    scale: a typical energy (the hopping); tolerance: of densities.  reservoirs: Fermi functions of scattering states;
    occupation: that of everything else, the reference.  thresholds: energies at which modes open.
    """

    exchange: Floats
    owner: NDArray[np.intp]
    scale: float
    tolerance: float
    occupation: Occupation
    reservoirs: tuple[Occupation, ...]
    thresholds: Floats

    def at(self, z: NDArray[np.inexact], order: int) -> list[Matrices]:
        """G, dG/dz, ... up to derivative `order` (0, 1, 2) at energies z (k,), Im z >= 0: (k, 2 sites, 2 sites)."""
        ...

    def spectral(self, energies: Floats, green: Matrices) -> Matrices:
        """G Gamma_r G^+ of each reservoir at real energies (k,), where G is `green`: (k, r, 2 sites, 2 sites)."""
        ...

    def waves(self, energy: float) -> Waves:
        """The open channels at a real energy; see `scattering_matrix`."""
        ...

    def rule(self, wider: float = 0.0) -> FermiPoles:
        """Poles of the Fermi function `occupation` on the spectrum, and `wider` (energy) beyond it on either side."""
        ...

    def thermal(self, integrand: Integrand) -> Rule:
        """A rule for int (-df/dE) dE at kT > 0; integrand with one factor."""
        ...

    def biased(self, integrand: Integrand) -> Rule | None:
        """A rule for int (f_r - f) dE, one factor for each reservoir; None where all are filled by f."""
        ...

    def between(self, factor: Factor, low: float, high: float, shift: float, integrand: Integrand) -> Rule:
        """A rule for int w(E) dE over low < E < high; shift: G is needed at E + shift too."""
        ...

    def check(self, response: Floats) -> None:
        """Raise ToleranceError where rounding of E_F changes such a first-order response by more than the tolerance."""
        ...


def chunks(n: int, orbitals: int) -> list[slice]:
    """Slices of n energies whose matrices (orbitals, orbitals) stay within some ten MB each."""
    size = max(1, int(1_000_000 / orbitals**2))
    return [slice(a, min(a + size, n)) for a in range(0, n, size)]


class DevicePropagators:
    """`Propagators` of a chain or lattice; each site has a moment."""

    def __init__(self, frozen: Frozen) -> None:
        device = frozen.device
        if device.bath is not None:
            raise ValueError(
                f"response tensors: not available with a bath on sites, {device.bath!r}; use a device without"
            )
        refuse_spins(device, "response tensors")
        self._frozen, self._device = frozen, device
        unit = np.zeros((*device.shape, 3))
        unit[..., 2] = 1.0
        self.exchange = -device.coupling_blocks(unit, np.zeros(device.shape))[..., 0, 0].real.ravel()
        self.owner = np.arange(device.n_sites)
        self.scale, self.tolerance = device.hopping, device.tolerance
        self.occupation = device.occupation
        self.thresholds = device.openings
        self.reservoirs = tuple(lead.occupation if lead.coupling else device.occupation for lead in device.ends)

    @cached_property
    def _blocks(self) -> BlockColumns:
        return BlockColumns.of_dense(self._frozen.sweeps.dense_hamiltonian(), self._device.shape[0])

    @one_blas_thread
    def at(self, z: NDArray[np.inexact], order: int) -> list[Matrices]:
        """See `Propagators`; columns by `BlockColumns`, derivatives from G' = -G B G, B = 1 - dSigma/dE."""
        left, right = self._device.ends
        energies = z.astype(complex)
        self._frozen.counter.add(len(energies))
        solver = self._blocks.at(energies, left.self_energy(energies), right.self_energy(energies))
        size = 2 * self._device.n_sites
        G = solver.solve(np.broadcast_to(np.eye(size, dtype=complex), (len(energies), size, size)))
        found = [G]
        if order:
            slopes = left.slope(energies), right.slope(energies)
            found.append(solver.solve(self._on_ends(slopes, G) - G))
        if order > 1:  # G'' = -2 G B G' + G Sigma'' G
            curvatures = left.curvature(energies), right.curvature(energies)
            found.append(solver.solve(2 * (self._on_ends(slopes, found[1]) - found[1]) + self._on_ends(curvatures, G)))
        return found

    @property
    def _ends(self) -> tuple[slice, slice]:
        """Orbitals of the slices next to the left and the right lead."""
        width = 2 * self._device.n_sites // self._device.shape[0]
        return slice(0, width), slice(-width, None)

    def _on_ends(self, matrices: tuple[Matrices, Matrices], x: Matrices) -> Matrices:
        """Matrices (k, n, n) of the left and the right lead times x (k, 2 sites, p), zero on all other rows."""
        out = np.zeros_like(x)
        for end, matrix in zip(self._ends, matrices, strict=True):
            out[:, end] += matrix @ x[:, end]
        return out

    def spectral(self, energies: Floats, green: Matrices) -> Matrices:
        """See `Propagators`."""
        k, size, _ = green.shape
        out = np.empty((k, 2, size, size), complex)
        for r, (lead, end) in enumerate(zip(self._device.ends, self._ends, strict=True)):
            for i, energy in enumerate(energies.tolist()):
                psi = green[i][:, end] @ lead.injection(energy)
                out[i, r] = psi @ psi.conj().T
        return out

    def waves(self, energy: float) -> Waves:
        """See `scattering_matrix`; only the columns of G that belong to open channels."""
        z, (left, right) = np.array([energy + 0j]), self._device.ends
        sources = [lead.injection(energy) for lead in (left, right)]
        split = sources[0].shape[1]
        W = np.zeros((2 * self._device.n_sites, split + sources[1].shape[1]), complex)
        W[self._ends[0], :split] += sources[0]
        W[self._ends[1], split:] += sources[1]
        first, last = left.self_energy(z), right.self_energy(z)
        self._frozen.counter.add(1)
        psi = self._blocks.at(z, first, last).solve(W[None])[0]
        adjoint = (np.conj(np.swapaxes(one, 1, 2)) for one in (first, last))
        phi = self._blocks.at(z, *adjoint).solve(W[None])[0]
        return Waves(W, psi, phi, (np.arange(W.shape[1]) >= split).astype(np.intp))

    # --- energies -----------------------------------------------------------------------------------

    def rule(self, wider: float = 0.0) -> FermiPoles:
        """See `Propagators`."""
        if not wider:
            return self._frozen.rule
        device, (low, high) = self._device, self._frozen.bounds
        bounds, step = (low - wider, high + wider), self._frozen.step
        if step is not None:
            return step.rule(device, bounds)
        return device.pole_rule(*bounds, 0.1 * device.tolerance * device.hopping, device.fermi_energy, 0)

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
        rule, lost = thermal_rule(sweeps, values, lambda v: v[:, :, :-rows], lambda v: v[:, 0, -rows:], counts)
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
        levels: list[tuple[float, float]] = []
        if may_be_narrow(self._frozen.sweeps, window.edges):
            found = narrow_levels(self._frozen.sweeps, window.stretches, lambda _e, width: width < device.hopping)
            levels = [(one.energy, one.width) for one in found]
        edges = window.divided(levels)
        rule = window.panels.adapted(edges, values, lambda v: v, device.tolerance, 1e-13 * device.hopping)
        states = rule.integral(rule.values[:, :, -rows:]) / (2 * np.pi)
        lost = float(abs(states - bias.density.ravel()).max())
        if lost > 2 * device.tolerance:
            raise ToleranceError(
                f"the electrons between the chemical potentials of the leads are found to {lost:.1e} only, "
                f"{device.tolerance:.1e} is needed for response tensors: use a larger electrons.tolerance, higher "
                "temperatures or stronger couplings to the leads"
            )
        return rule

    def between(self, factor: Factor, low: float, high: float, shift: float, integrand: Integrand) -> Rule:
        """See `Propagators`; panels end where a mode opens at E or at E + shift."""
        device = self._device
        openings = np.unique(np.concatenate([device.openings, device.openings - shift]))
        window = Window([factor], low, high, device.band, openings, device.hopping, 2 * device.n_sites)
        levels: list[tuple[float, float]] = []
        if may_be_narrow(self._frozen.sweeps, window.edges):
            found = narrow_levels(self._frozen.sweeps, window.stretches, lambda _e, width: width < device.hopping)
            levels = [(one.energy + s, one.width) for one in found for s in (0.0, -shift)]

        def values(energies: Floats) -> Floats:
            return integrand(energies)[0]

        return window.panels.adapted(
            window.divided(levels), values, lambda v: v, device.tolerance, 1e-13 * device.hopping
        )

    def check(self, response: Floats) -> None:
        """See `Propagators`."""
        self._frozen.check_first_order(np.array([[[abs(self.exchange).max()]]], complex), response)
