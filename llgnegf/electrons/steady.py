"""Exact electrons of a texture in steady precession, to all orders in the frequency.

In the frame that turns with the moments the problem is stationary (Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202
(2020), Eqs. (2)-(3)): with up and down along the axis a,

    H_RF = H(0) - (omega/2) sigma_a,   Sigma(E + omega/2) and f(E + omega/2) for up, E - omega/2 for down.

The density matrix is the equilibrium one of the up population, summed over poles of its Fermi function (this also
fills states bound outside the lead band), plus a window on the real axis in which the down population differs,

    rho = -(1/pi) int f(E + w/2) Im G + (1/2pi) int [f(E - w/2) - f(E + w/2)] G Gamma_down G^+.

In a closed wire the levels turn with the frame and keep the occupation they have at rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bound_states import Shares
from .current import Extended
from .density import Frozen, contour_integral, rotation_generator, surface_integrand
from .device import IDENTITY, Contour, Device, dense_hamiltonian
from .quadrature import ToleranceError, adaptive_nodes, fermi


@dataclass(frozen=True)
class SteadyPrecession:
    """Exact result at t = 0.

    spin: (n, 3) Tr[rho sigma]; spin_adiabatic: (n, 3) of the frozen texture; density: (n,) electrons per site.
    pumped_spin, pumped_charge: (2,) currents into the left and right lead: spin (Tr[sigma_a/2 ...], along the axis)
    and particles, both in 1/time, from the scattering between the four half-metallic terminals.
    bond_spin: (n + 1, 3) spin flow along +x, adiabatic part included, in the layout of `current.Currents`.
    """

    spin: NDArray[np.float64]
    spin_adiabatic: NDArray[np.float64]
    density: NDArray[np.float64]
    pumped_spin: NDArray[np.float64]
    pumped_charge: NDArray[np.float64]
    bond_spin: NDArray[np.float64]

    @property
    def spin_nonadiabatic(self) -> NDArray[np.float64]:
        """What the motion adds to the adiabatic spin density, (n, 3)."""
        return self.spin - self.spin_adiabatic


def steady_precession(
    device: Device,
    m: ArrayLike,
    axis: ArrayLike,
    frequency: float,
    potential: ArrayLike | None = None,
    tolerance: float = 2e-11,
) -> SteadyPrecession:
    """Electrons of moments m(t) = R_axis(frequency t) m, exact in the frequency.

    m: (n, 3); axis: (3,); frequency: 1/time, either sign; potential: (n,) static gate voltages.
    tolerance: of the spin density; loosened by tens where kT is too low for it.
    Raises ValueError for a zero axis, ToleranceError where an integral does not converge.
    """
    while True:
        try:
            return _steady(device.changed(tolerance=tolerance), m, axis, frequency, potential)
        except ToleranceError:
            tolerance *= 10
            if tolerance > 1e-6:
                raise


def _steady(device: Device, m, axis, frequency, potential) -> SteadyPrecession:
    # One site of each lead is attached: its bond carries the lead current, and nothing else changes.
    extended = Extended(device)
    frozen = extended.freeze(m, potential)
    K = rotation_generator(np.asarray(axis, float), frequency)
    blocks = frozen.blocks - K
    if device.is_closed:
        traced, bonds = _closed(frozen, blocks)
        into_up = into_down = np.zeros(2)
    else:
        traced, bonds, into_up, into_down = _open(frozen, blocks, K, abs(frequency) / 2, axis)
    return SteadyPrecession(
        spin=traced[extended.sites, 1:].copy(),
        spin_adiabatic=frozen.adiabatic[extended.sites, 1:].copy(),
        density=traced[extended.sites, 0].copy(),
        # Up and down refer to the rotation vector; the current is reported along the axis as given.
        pumped_spin=0.5 * (into_up - into_down) * (1.0 if frequency >= 0 else -1.0),
        pumped_charge=into_up + into_down,
        bond_spin=extended.flows(bonds)[1],
    )


def _closed(frozen: Frozen, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Site and bond traces (n, 4), (n - 1, 4) of a closed wire, whose levels keep their occupation.

    Levels of H(0) and H_RF correspond in the order of their energies.
    """
    device = frozen.device
    energies = np.linalg.eigvalsh(dense_hamiltonian(frozen.blocks, device.hops))
    states = np.linalg.eigh(dense_hamiltonian(blocks, device.hops))[1].T.reshape(-1, device.n_sites, 2)
    filling = fermi(energies, device.fermi_energy, device.temperature)
    shares = Shares([(f * state, state) for f, state in zip(filling, states, strict=True)], device.n_sites)
    return shares.on_sites(), shares.over_bonds(device.hops)


def _open(frozen: Frozen, blocks: np.ndarray, K: np.ndarray, half: float, axis):
    """Site and bond traces, and the particles of either spin that flow into the leads, (2,) each."""
    device = frozen.device
    # sigma_a points along the rotation vector, so `half` = |omega|/2 is positive whatever the sign of the frequency.
    sigma_a = K / half if half else rotation_generator(np.asarray(axis, float), 2.0)
    up, down = ((IDENTITY + sign * sigma_a).astype(np.complex128) / 2 for sign in (1, -1))

    def ends(energies):
        shifted = device.self_energy(energies + half), device.self_energy(energies - half)
        return [
            plus[0][:, None, None] * up + minus[0][:, None, None] * down for plus, minus in zip(*shifted, strict=True)
        ]

    low, high = frozen.bounds
    gap = 0.1 * device.tolerance * device.hopping
    rule = device.contour((low - half, high + half), gap, device.fermi_energy - half).rule
    left, right = ends(rule.nodes)
    zero = np.zeros_like(left)
    sums, _, flows = contour_integral(blocks, device.hops, Contour(rule, (left, right), (zero, zero)), with_bonds=True)
    traced, bonds = sums[0].copy(), flows[0].copy()
    traced[:, 0] += 2 * rule.constant

    none = np.zeros_like(blocks)

    def window_terms(energies):
        energies = np.asarray(energies, complex)
        roots = []
        for plus, minus in zip(device.self_energy(energies + half), device.self_energy(energies - half), strict=True):
            gamma_up, gamma_down = (np.sqrt(np.maximum(-2 * s[0].imag, 0.0)) for s in (plus, minus))
            roots.append(gamma_up[:, None, None] * up + gamma_down[:, None, None] * down)
        sigma = ends(energies)
        out, amplitudes, window_bonds = surface_integrand(
            energies.real, blocks, device.hops, (sigma[0], sigma[1]), np.stack(roots, axis=1), none, down, True
        )
        flip_up = np.einsum("ab,eqpbc,cd,eqpad->eq", up, amplitudes, down, amplitudes.conj()).real
        flip_down = np.einsum("ab,eqpbc,cd,eqpad->eq", down, amplitudes, up, amplitudes.conj()).real
        weight = fermi(energies.real - half, device.fermi_energy, device.temperature)
        weight = weight - fermi(energies.real + half, device.fermi_energy, device.temperature)
        # Flows are energies; in units of the hopping the tolerance of the densities serves for them too.
        t = device.hopping
        flow = window_bonds[:, 2].reshape(len(energies), -1) / t
        rows = out[:, 2].reshape(len(energies), -1), flow, flip_up / t, flip_down / t
        return weight[:, None] * np.concatenate(rows, axis=1) / (2 * np.pi)

    reach = half + device.temperature * 40.0
    edges = [device.fermi_energy + s for s in (-reach, -half, 0.0, half, reach)]
    edges += [edge + s for edge in device.band for s in (-half, half)]
    limits = max(edges[0], device.band[0] - half), min(edges[4], device.band[1] + half)
    if limits[0] >= limits[1] or half == 0:
        return traced, bonds, np.zeros(2), np.zeros(2)
    points = np.unique([e for e in (*edges, *limits) if limits[0] <= e <= limits[1]])
    points = points[np.concatenate([[True], np.diff(points) > 1e-14 * device.hopping])]
    nodes, weights, _ = adaptive_nodes(window_terms, points, device.tolerance / 4, unit=device.hopping)
    integral = weights @ window_terms(nodes)
    traced += integral[: traced.size].reshape(traced.shape)
    flows = device.hopping * integral[traced.size :]
    bonds += flows[:-4].reshape(bonds.shape)
    return traced, bonds, flows[-4:-2], -flows[-2:]
