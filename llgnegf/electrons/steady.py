"""Exact electrons of a texture in steady precession, to all orders in the frequency.

In the frame that turns with the moments the problem is stationary (Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202
(2020), Eqs. (2)-(3)): with up and down along the axis a,

    H_RF = H(0) - (omega/2) sigma_a,   Sigma(E + omega/2) and f(E + omega/2) for up, E - omega/2 for down,

with Sigma of spins along and against a, in a ferromagnetic lead whose magnetisation is along a of bands of their own.

With w = |omega| (axis along the rotation vector), the density matrix is the equilibrium one with the Fermi function of
the up electrons, a sum over its poles, plus an integral over real energies where that of the down electrons differs:

    rho = -(1/pi) int f(E + w/2) Im G + (1/2pi) int [f(E - w/2) - f(E + w/2)] G Gamma_down G^+.

Discrete levels (all levels of a closed wire; bound states outside the lead band) turn with the frame and keep the
occupation f(E_n) that they have at rest.  The first term fills those of an open wire by f(E + w/2) instead; with the
projector P_n on level n the correction is

    rho += sum_n P_n [ f(E_n at rest) - f(E_n in motion + w/2) ].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bound_states import Shares
from .chain import dense_hamiltonian
from .chain_rows import contour_integral, surface_rows
from .chain_rules import Contour
from .currents import Extended
from .dragged_levels import Levels, discrete_levels, partners
from .fermi_step import rounding_of
from .frozen import Frozen, rotation_generator
from .pauli import IDENTITY
from .quadrature import FermiPoles, ToleranceError, adaptive_nodes
from .system import System
from .turning import refuse_precession
from .turning_leads import LeadsInMotion


@dataclass(frozen=True)
class SteadyPrecession:
    """Electrons in steady precession, exact in the frequency, at t = 0; later they are the same, rotated.

    spin: (n, 3) Tr[rho_i sigma]; spin_adiabatic: (n, 3) the same for the moments at rest; density: (n,) electrons per
    site.
    pumped_spin: (2,) currents of the spin component along the axis (sigma_a/2) into the left and the right lead;
    pumped_charge: (2,) particle currents; both 1/time.  In the rotating frame either spin of either lead is one
    reservoir, and these are the currents between the four.
    bond_spin: (n + 1, 3) spin flow along +x, 1/time, adiabatic part included, in the layout of `currents.Currents`.
    """

    spin: NDArray[np.float64]
    spin_adiabatic: NDArray[np.float64]
    density: NDArray[np.float64]
    pumped_spin: NDArray[np.float64]
    pumped_charge: NDArray[np.float64]
    bond_spin: NDArray[np.float64]

    @property
    def spin_nonadiabatic(self) -> NDArray[np.float64]:
        """What the precession adds to the adiabatic spin density, to all orders in the frequency, (n, 3)."""
        return self.spin - self.spin_adiabatic


def steady_precession(
    device: System,
    m: ArrayLike,
    axis: ArrayLike,
    frequency: float,
    potential: ArrayLike | None = None,
    tolerance: float = 2e-11,
) -> SteadyPrecession:
    """Electrons of a chain whose moments precess rigidly, m(t) = R_axis(frequency t) m; exact in the frequency.

    Leads may have hoppings of their own and magnetisations along the axis, J_sd may be another on each site.

    A reference for the first-order expansion in the velocities, and the only result for fast precession.
    device: its own tolerance is replaced by `tolerance`; m: (n, 3) moments at t = 0; axis: (3,), not zero; frequency:
    1/time, either sign; potential: (n,) static gate voltages, energy (None: zero).
    tolerance: bound on the error of the spin density.  If kT is too low for it, the calculation is repeated with ten
    times the tolerance, up to 1e-6.
    Raises ValueError for a zero axis, a wrong shape, and for electrons that are not steady in the frame that turns;
    ToleranceError if even 1e-6 cannot be reached.
    Source: Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202 (2020), Eqs. (2)-(3); see the equations of this module.
    """
    _ = rotation_generator(np.asarray(axis, float), frequency)  # which judges the axis
    refuse_precession(device, np.asarray(axis, float))
    if device.turns_spins or device.vacancies or device.is_lattice:
        raise ValueError(
            "the exact steady precession is that of a chain without vacancies and without bonds that know the spin; "
            "use `Frozen.precession`, the first order of it, or a device without these"
        )
    while True:
        try:
            return _steady(device.changed(tolerance=tolerance), m, axis, frequency, potential)
        except ToleranceError:
            tolerance *= 10
            if tolerance > 1e-6:
                raise


def _steady(device: System, m, axis, frequency, potential) -> SteadyPrecession:
    # The wire is extended by one site of each lead; the flow over the bond to that site is the current into the lead.
    extended = Extended(device)
    frozen = extended.freeze(m, potential)
    K = rotation_generator(np.asarray(axis, float), frequency)
    blocks = frozen.blocks - K
    if device.is_closed:
        traced, bonds = _closed(frozen, blocks, abs(frequency))
        into_up = into_down = np.zeros(2)
    else:
        traced, bonds, into_up, into_down = _open(frozen, blocks, K, abs(frequency) / 2, axis)
    return SteadyPrecession(
        spin=traced[extended.sites, 1:].copy(),
        spin_adiabatic=frozen.adiabatic[extended.sites, 1:].copy(),
        density=traced[extended.sites, 0].copy(),
        # Up and down are along the rotation vector, which is -axis for a negative frequency; report along `axis`.
        pumped_spin=0.5 * (into_up - into_down) * (1.0 if frequency >= 0 else -1.0),
        pumped_charge=into_up + into_down,
        bond_spin=extended.flows(bonds)[1],
    )


def _closed(frozen: Frozen, blocks: np.ndarray, frequency: float) -> tuple[np.ndarray, np.ndarray]:
    """Traces on sites (n, 4) and over bonds (n - 1, 4) of a closed wire, whose levels keep their occupation."""
    device = frozen.device
    at_rest, moving = (_all_levels(dense_hamiltonian(h, device.hops)) for h in (frozen.blocks, blocks))
    rest, motion = partners(at_rest, moving, frequency)
    filling = _occupation(frozen, at_rest.energies[rest])
    return _filled(device, filling, moving.states[motion])


def _occupation(frozen: Frozen, energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """f at these levels at rest; at kT = 0 a level that rounding cannot tell from E_F is half filled."""
    device = frozen.device
    mu = device.fermi_energy
    if device.temperature == 0:
        energies = np.where(abs(energies - mu) <= rounding_of(device, frozen.bounds), mu, energies)
    return device.occupation(energies)


def _all_levels(H: NDArray[np.complex128]) -> Levels:
    energies, vectors = np.linalg.eigh(H)
    return Levels(energies, vectors.T, vectors.T)


def _filled(device: System, filling: NDArray[np.float64], states: NDArray[np.complex128]):
    """sum_n filling_n v_n v_n^+ on sites (n, 4) and over bonds (n - 1, 4), for states (k, 2n)."""
    spinors = states.reshape(-1, device.n_sites, 2)
    shares = Shares([(f * v, v) for f, v in zip(filling, spinors, strict=True)], device.n_sites)
    return shares.on_sites(), shares.over_bonds(device.hops)


def _kept_occupation(frozen: Frozen, blocks: np.ndarray, leads: LeadsInMotion, rule: FermiPoles):
    """Correction for levels bound outside the lead band, which keep their occupation; None if there cannot be any.

    Returns traces on sites (n, 4) and over bonds (n - 1, 4).
    blocks: of H_RF; rule: the poles by which the first term of the density matrix fills the levels in motion.
    """
    device, half = frozen.device, leads.half
    # The rotating frame shifts a level by omega/2 at most, so that outside low ... high its two occupations agree
    # within the tolerance.
    reach = device.temperature * np.log(10 / device.tolerance)
    low, high = device.fermi_energy - reach - 2 * half, device.fermi_energy + reach + 2 * half
    hop, margin = device.hopping, 1e-9 * device.hopping
    gaps_at_rest = leads.gaps(low, high, 0.0, margin)
    # In the rotating frame the bands of the two spins are shifted by omega against each other.  A level between their
    # edges decays into one of the bands and is not discrete.
    gaps = leads.gaps(low - half, high + half, half, margin)
    if half == 0 or not gaps_at_rest or not gaps:
        return None

    def effective_of(site_blocks, shift):
        H = dense_hamiltonian(site_blocks, device.hops)

        def effective(energy):
            matrix, overlap = H.copy(), np.eye(len(H), dtype=complex)
            populations = leads.populations(energy, shift)
            for end, (plus, minus) in zip((slice(0, 2), slice(-2, None)), populations, strict=True):
                matrix[end, end] += plus[0].real * leads.up + minus[0].real * leads.down
                overlap[end, end] -= plus[1].real * leads.up + minus[1].real * leads.down
            return matrix, overlap

        return effective

    at_rest = discrete_levels(effective_of(frozen.blocks, 0.0), gaps_at_rest, hop)
    moving = discrete_levels(effective_of(blocks, half), gaps, hop)
    rest, motion = partners(at_rest, moving, 2 * half)
    energies = moving.energies[motion, None]
    given = rule.constant + 2 * (rule.weights / (energies - rule.nodes)).real.sum(axis=1)
    kept = _occupation(frozen, at_rest.energies[rest])
    return _filled(device, kept - given, moving.states[motion])


def _open(frozen: Frozen, blocks: np.ndarray, K: np.ndarray, half: float, axis):
    """Traces on sites and over bonds, and currents of up and of down electrons into the leads, (2,) each, 1/time."""
    device = frozen.device
    # sigma_a points along the rotation vector, so `half` = |omega|/2 is positive whatever the sign of the frequency.
    sigma_a = K / half if half else rotation_generator(np.asarray(axis, float), 2.0)
    up, down = ((IDENTITY + sign * sigma_a).astype(np.complex128) / 2 for sign in (1, -1))

    leads = LeadsInMotion(device, up, down, half)
    low, high = frozen.bounds
    poles = device.pole_rules
    rule = poles.rule((low - half, high + half), poles.least_gap, device.fermi_energy - half)
    left, right = leads.matrices(rule.nodes)
    zero = np.zeros_like(left)
    contour, counter = Contour(rule, (left, right), (zero, zero)), frozen.counter
    sums, _, flows = contour_integral(blocks, device.hops, contour, with_bonds=True, counter=counter)
    traced, bonds = sums[0].copy(), flows[0].copy()
    traced[:, 0] += 2 * rule.constant
    kept = _kept_occupation(frozen, blocks, leads, rule)
    if kept is not None:
        traced += kept[0]
        bonds += kept[1]

    none = np.zeros_like(blocks)

    def window_terms(energies):
        energies = np.asarray(energies, complex)
        sigma, roots = leads.matrices(energies), leads.roots(energies)
        found = surface_rows(
            *(energies.real, blocks, device.hops, (sigma[0], sigma[1]), roots, none, down, True),
            counter=counter,
        )
        out, amplitudes, window_bonds = found.rows, found.amplitudes, found.bonds
        flip_up = np.einsum("ab,eqpbc,cd,eqpad->eq", up, amplitudes, down, amplitudes.conj()).real
        flip_down = np.einsum("ab,eqpbc,cd,eqpad->eq", down, amplitudes, up, amplitudes.conj()).real
        weight = device.occupation(energies.real - half)
        weight = weight - device.occupation(energies.real + half)
        # Flows are energies (hbar = 1): divided by the hopping they are held to the same tolerance as the densities.
        t = device.hopping
        flow = window_bonds[:, 2].reshape(len(energies), -1) / t
        rows = out[:, 2].reshape(len(energies), -1), flow, flip_up / t, flip_down / t
        return weight[:, None] * np.concatenate(rows, axis=1) / (2 * np.pi)

    reach = half + device.temperature * 40.0
    edges = [device.fermi_energy + s for s in (-reach, -half, 0.0, half, reach)]
    bands = leads.bands(half)
    edges += [edge for band in bands for edge in band]
    limits = max(edges[0], min(low for low, _ in bands)), min(edges[4], max(high for _, high in bands))
    if limits[0] >= limits[1] or half == 0:
        return traced, bonds, np.zeros(2), np.zeros(2)
    points = np.unique([e for e in (*edges, *limits) if limits[0] <= e <= limits[1]])
    points = points[np.concatenate([[True], np.diff(points) > 1e-14 * device.hopping])]
    if len(points) < 2:  # the frequency is lost beside the energies
        return traced, bonds, np.zeros(2), np.zeros(2)
    nodes, weights, _ = adaptive_nodes(window_terms, points, device.tolerance / 4, unit=device.hopping)
    integral = weights @ window_terms(nodes)
    traced += integral[: traced.size].reshape(traced.shape)
    flows = device.hopping * integral[traced.size :]
    bonds += flows[:-4].reshape(bonds.shape)
    return traced, bonds, flows[-4:-2], -flows[-2:]
