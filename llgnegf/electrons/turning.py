"""Steady precession: which electrons are the same in the frame that turns, and the parts of any such electrons.

The frame turns with K = (omega/2) sigma_a.  There a lead has the self-energies Sigma(E + K): E + omega/2 for spins
along the axis a, E - omega/2 for those against it.  They do not depend on time where Sigma commutes with K, that is for
a lead without a magnetisation or with one along the axis, whose splitting D of the two spins is D + omega there; and H
does not where its bonds commute with K.  Hoppings, potentials and J_sd of any kind change nothing in this.

With H - E = -G^-1 - Sigma and [K, Sigma] = 0, dH/dt = -i [K, H] turns G Hd G into i [G, K], and the response to any
motion (`frozen.py`) into the parts of Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202 (2020), Eq. (2),

    geometric =  (1/pi) int f Im[G K G],              lead (sea) = -(1/pi) int f Im[G K Sigma' G],
    surface   = (1/2pi) int f' G K Gamma G^+          = rho_surf - (1/2) {K, D},      D = (1/2pi) int (-f') G Gamma G^+,

so that the lead part is rho_sea + (1/2) {K, D} - geometric.  Sites are traced with 1 and sigma: of (1/2) {K, D} with
K = k.sigma these are k.d and d_0 k.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .pauli import pauli_traces
from .sweeps import Blocks, Floats, Sea, Sweeps
from .system import System

# |a x b| of unit vectors up to which they are the same axis.
_PARALLEL = 1e-12

NO_PRECESSION = (
    "steady precession is available between leads without voltages, with the chemical potential and the temperature of "
    "the device: use split = 'general', which takes any motion, or leads without these"
)


def turning_parts(sweeps: Sweeps, sea: Sea, surface: Floats, K: Blocks) -> tuple[Floats, Floats, Floats]:
    """Geometric, lead (sea) and surface part, (*s, 4), of the rotation with generator K (2, 2).

    sea, surface: what `sweeps` has for the dH/dt that it causes, zero where this is zero.
    """
    everywhere = np.broadcast_to(K, (*sweeps.device.shape, 2, 2)).copy()
    # Levels that keep their occupation are taken out of this rate: put them back.
    geometric = -(sweeps.adiabatic_rate(everywhere) + sweeps.surface.kept(everywhere))
    D = _thermal_states(sweeps)
    k = np.real(pauli_traces(K))[1:] / 2
    between = np.concatenate([(D[..., 1:] @ k)[..., None], D[..., :1] * k], axis=-1)
    return geometric, sea.density + between - geometric, surface - between


def _thermal_states(sweeps: Sweeps) -> Floats:
    """D, traced with 1 and sigma, (*s, 4), 1/energy."""
    device = sweeps.device
    if device.temperature:
        return sweeps.thermal_states()[0]
    low, high = device.band
    if device.is_closed or not low < device.fermi_energy < high:
        return np.zeros((*device.shape, 4))
    return np.asarray(sweeps.states(device.fermi_energy) / (2 * np.pi))


def refuse_precession(device: System, axis: NDArray[np.float64]) -> None:
    """ValueError for a device whose electrons are not the same in the frame that turns about this axis, (3,), not zero.

    See the equations of this module.
    """
    if device.is_biased or any(device.voltages):
        raise ValueError(NO_PRECESSION)
    refuse_tails(device)
    a = np.asarray(axis, float) / np.linalg.norm(axis)
    told = f"steady precession about {np.asarray(axis, float).tolist()}"
    instead = "use it, or split = 'general', which takes any motion"
    for about in _of_bonds(device):
        if np.linalg.norm(np.cross(about, a)) > _PARALLEL:
            raise ValueError(
                f"{told}: the bonds turn spins about {about.tolist()}, and only a precession about that axis is "
                f"steady; {instead}"
            )
    for lead in device.leads:
        direction = lead.polarization.unit if lead.polarization is not None and lead.splitting else a
        if lead.coupling and np.linalg.norm(np.cross(direction, a)) > _PARALLEL:
            raise ValueError(
                f"{told}: the {lead.side} lead has its magnetisation along {direction.tolist()}, and only a precession "
                f"about that axis is steady; {instead}"
            )


def refuse_tails(device: System) -> None:
    """ValueError for a bath and for wide-band leads, where steady precession is asked for."""
    if device.bath is not None:
        raise ValueError(
            f"steady precession: not available with a bath on sites, {device.bath!r}; use a device without"
        )
    wide = [lead for lead in device.leads if lead.width]
    if wide:
        raise ValueError(f"steady precession: not available with {wide!r}, a width; use leads with a coupling")


def _of_bonds(device: System) -> Iterator[NDArray[np.float64]]:
    """Unit vectors (3,) of all axes about which bonds turn spins, or along which they tell them apart."""
    vectors = list(device.bond_vectors[: len(device.shape)])
    for bonds in (device.bonds_along_x, device.bonds_along_y):
        if bonds is not None:
            vectors += list(pauli_traces(bonds)[:, 1:] / 2)
    for vector in vectors:
        for part in (np.real(vector), np.imag(vector)):
            length = np.linalg.norm(part)
            if length > 1e-14 * device.hopping:
                yield part / length
