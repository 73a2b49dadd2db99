"""Linear response to the chemical potentials of the leads: what a small bias does, from states at the Fermi energy.

    d rho/d mu_l = (1/2pi) int (-df/dE) psi_l psi_l^+,        psi_l = G sqrt(Gamma_l),

the derivative of `bias.py` where the bias vanishes.  At kT = 0 it is one energy, E_F.  Levels that no lead fills do not
respond.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bathed import BathedSweeps
from .bathed_surface import narrow_levels
from .frozen import Frozen
from .long_wires import is_long, response_to_leads
from .outside_levels import bound_levels
from .quadrature import ToleranceError
from .shifted_surface import thermal_rule
from .sweeps import Floats


@dataclass(frozen=True)
class BiasResponse:
    """Derivatives with respect to the chemical potential mu_l of the left, [0], and the right lead, [1].

    spin: (2, n, 3) or (2, nx, ny, 3) of the spin density, torque: of J_sd s x m, shaped as that; density: (2, n) or
    (2, nx, ny) of the electrons per site; charge: (2, 2) of the particles that flow into the left and the right lead,
    1/time, [lead of mu, into lead]; spin_current: (2, 2, 3), of the flow of sigma/2.  All per energy.

    A bias that raises the left lead by V/2 and lowers the right one as much gives (spin[0] - spin[1])/2 times V.
    """

    spin: NDArray[np.float64]
    torque: NDArray[np.float64]
    density: NDArray[np.float64]
    charge: NDArray[np.float64]
    spin_current: NDArray[np.float64]


def bias_response(frozen: Frozen) -> BiasResponse:
    """The response of this texture, about the equilibrium with E_F and kT of the device.

    Raises ValueError for probes without net current, ToleranceError where, at kT > 0, the states in the thermal window
    are not found to the tolerance.
    """
    sweeps = frozen.sweeps
    device = sweeps.device
    size = 4 * device.n_sites
    if device.bath is not None and device.bath.floats:
        raise ValueError(
            'a bath with zero_current="net": without linear response; use zero_current=True, whose response is '
            "the same at kT = 0, or a small bias"
        )

    def values(energies: Floats) -> Floats:
        found = sweeps.biased(energies, None)
        n = len(energies)
        # Both spins of a lead together.
        s = found.rows.shape[1] // 2
        both = [found.rows.reshape(n, 2, s, size).sum(axis=2), found.flows.reshape(n, 2, s, 8).sum(axis=2)]
        return np.concatenate(both, axis=2).reshape(n, 1, 2 * (size + 8))

    low, high = device.band
    if device.is_closed or (device.temperature == 0 and not low < device.fermi_energy < high):
        found = np.zeros(2 * (size + 8))
    elif device.temperature == 0:
        found = values(np.array([device.fermi_energy]))[0, 0]
    else:
        found = _thermal(frozen, values)
    found = found.reshape(2, size + 8) / (2 * np.pi)
    rows, flows = found[:, :size].reshape(2, *device.shape, 4), found[:, size:].reshape(2, 2, 4)
    rows, flows = np.array([frozen.out_of_frame(one) for one in rows]), frozen.flow_out_of_frame(flows)
    spin = rows[..., 1:].copy()
    torque = device.exchange_times(np.cross(spin, frozen.m[None]))
    return BiasResponse(spin, torque, rows[..., 0].copy(), flows[..., 0].copy(), flows[..., 1:] / 2)


def _thermal(frozen: Frozen, values) -> Floats:
    """int (-df/dE) of these values at kT > 0."""
    sweeps = frozen.sweeps
    device = sweeps.device
    size = 4 * device.n_sites
    one_lead = np.concatenate([np.full(size, device.hopping), np.ones(8)]) / (2 * np.pi)
    scale = np.tile(one_lead, 2)
    if isinstance(sweeps, BathedSweeps):  # all levels have a width
        window = device.thermal_window
        edges, smallest = window.divided(narrow_levels(sweeps, window)), 1e-13 * device.hopping
        rule = window.panels.adapted(edges, values, lambda found: found * scale, device.tolerance, smallest)
        return rule.integral(rule.values)

    def slope(energy: float) -> float:
        return -float(device.occupation.slope(np.array([energy]))[0])

    def states(found: Floats) -> Floats:
        return np.asarray(found.reshape(len(found), 2, size + 8)[:, :, :size].sum(axis=1))

    beyond = bound_levels(sweeps, device.thermal_window)
    bound = sum((slope(energy) * traced for energy, traced in beyond), np.zeros((*device.shape, 4)))
    if is_long(device, moving=True):
        with contextlib.suppress(ToleranceError):
            rows, into = response_to_leads(sweeps, bound)
            both = np.concatenate([rows.reshape(2, size), into.reshape(2, 8)], axis=1)
            return 2 * np.pi * both.ravel()
    rule, lost = thermal_rule(
        sweeps,
        values,
        lambda found: found * scale,
        states,
        lambda energy, _: slope(energy) * device.hopping > 1e-3 * device.tolerance,
        bound,
    )
    if lost > 0:
        raise ToleranceError(
            f"the states within some kT of the Fermi energy are found to {lost:.1e} only, {device.tolerance:.1e} is "
            "needed: a level has no contact to the leads; use a larger tolerance, a texture that mixes it with other "
            "levels, or temperature = 0.0"
        )
    return rule.integral(rule.values)
