"""Particle and spin currents over bonds and into leads, by origin.

The flow over the bond i -> i+1 is Tr[sigma_a j/2] (spin, hbar/time) and Tr[j] (particles, 1/time) with
j = -i t (rho_(i+1,i) - rho_(i,i+1)).  Continuity: on every site

    J_sd s_i x m_i = (flow out) - (flow in) + (1/2) ds_i/dt,

to first order in the velocities for the sum of the parts, where ds/dt is that of the adiabatic spin density; in steady
precession it belongs to the geometric part, and the lead (sea) and surface part balance by themselves.

The device is extended by one site of each connected lead: the bond to it carries the lead current, and the same sweep
gives all bonds.  What the leads contribute to the split (their part of K) stays with the sea term.  The currents into
the leads alone need no longer wire: `density.Frozen.lead_currents`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .density import Frozen, contour_integral, rotation_generator
from .device import IDENTITY, Device
from .leads import SIDES, Lead


@dataclass(frozen=True)
class Currents:
    """Flows along +x of one motion by origin: "adiabatic", "geometric" (steady precession only), "sea", "surface".

    charge[origin]: (n + 1,) particles; spin[origin]: (n + 1, 3).  Entry 0 is the bond from the left lead to site 0,
    entry i the bond i-1 -> i, entry n the bond from site n-1 to the right lead; zero where there is no lead.
    """

    charge: dict[str, np.ndarray]
    spin: dict[str, np.ndarray]

    @property
    def origins(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(self.charge)

    def into_leads(self, *origins: str) -> tuple[np.ndarray, np.ndarray]:
        """(particles (2,), spin (2, 3)) that flow into the left and the right lead: of these origins, or of all."""
        chosen = origins or self.origins
        charge, spin = (np.sum([flow[o] for o in chosen], axis=0) for flow in (self.charge, self.spin))
        return np.array([-charge[0], charge[-1]]), np.array([-spin[0], spin[-1]])

    def divergence(self, origin: str) -> np.ndarray:
        """Spin flow out of each site minus the flow in, (n, 3)."""
        return np.diff(self.spin[origin], axis=0)


class Extended:
    """A device with one site (lattice: one column) of each connected lead attached to it."""

    def __init__(self, device: Device) -> None:
        self.original = device
        self.pads = tuple(int(coupling > 0) for coupling in device.couplings)
        (left, right), hops = device.couplings, device.hops
        self.device = device.changed(
            shape=(device.shape[0] + sum(self.pads), *device.shape[1:]),
            leads=[Lead(side, device.hopping) for side, pad in zip(SIDES, self.pads, strict=True) if pad],
            bond_hoppings=[*self.pads[0] * [left], *hops, *self.pads[1] * [right]],
        )
        self.sites = slice(self.pads[0], self.pads[0] + device.shape[0])

    def embed(self, values: np.ndarray) -> np.ndarray:
        """Values of the device's sites with zeros on the lead sites."""
        return np.pad(values, [self.pads] + [(0, 0)] * (values.ndim - 1))

    def freeze(self, m: ArrayLike, potential: ArrayLike | None) -> Frozen:
        """The extended electrons at one texture."""
        device = self.original
        return Frozen(
            self.device,
            self.embed(device.vectors("m", m)),
            self.embed(device.scalars("potential", potential)),
        )

    def flows(self, bonds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(particles (n + 1, ...), spin (n + 1, ..., 3)) from traced bond sums (n_bonds, ..., 4); zero without lead."""
        full = np.pad(bonds, [(1 - self.pads[0], 1 - self.pads[1])] + [(0, 0)] * (bonds.ndim - 1))
        return full[..., 0], full[..., 1:] / 2


def currents(
    device: Device,
    m: ArrayLike,
    mdot: ArrayLike | None = None,
    potential: ArrayLike | None = None,
    potential_rate: ArrayLike | None = None,
) -> Currents:
    """Flows of moments and gates in slow motion: adiabatic, sea and surface part.  Arguments as `spin_density`."""
    extended = Extended(device)
    frozen = extended.freeze(m, potential)
    velocity = np.zeros((device.n_sites, 3)) if mdot is None else device.vectors("mdot", mdot)
    rate = extended.device.coupling_blocks(
        extended.embed(velocity), extended.embed(device.scalars("potential_rate", potential_rate))
    )
    contour = frozen.contour
    identity = np.ascontiguousarray(np.broadcast_to(IDENTITY, rate.shape))
    _, _, bonds = contour_integral(
        *(frozen.blocks, frozen.device.hops, contour, 2, identity, rate, contour.derivative_ends),
        with_bonds=True,
        counter=frozen.counter,
    )
    parts = {"adiabatic": bonds[0], "sea": bonds[3], "surface": frozen.surface_bonds(rate)}
    frozen.check_first_order(rate, parts["sea"] + parts["surface"])
    return _pack(extended, parts)


def precession_currents(
    device: Device, m: ArrayLike, axis: ArrayLike, frequency: float, potential: ArrayLike | None = None
) -> Currents:
    """Flows of steady precession in the split of Bajpai and Nikolic: adiabatic, geometric, sea (leads) and surface."""
    extended = Extended(device)
    frozen = extended.freeze(m, potential)
    contour = frozen.contour
    K = rotation_generator(np.asarray(axis, float), frequency)
    n = extended.device.n_sites
    on_device = np.zeros((n, 2, 2), complex)
    on_device[extended.sites] = K
    on_leads = on_device - K
    y_ends = np.stack([d @ K for d in contour.derivative], axis=1)
    _, _, bonds = contour_integral(
        *(frozen.blocks, frozen.device.hops, contour, 1, on_device, on_leads, None, y_ends),
        with_bonds=True,
        counter=frozen.counter,
    )
    unit = np.asarray(axis, float) / np.linalg.norm(np.asarray(axis, float))
    rate = extended.device.coupling_blocks(frequency * np.cross(unit, frozen.m), np.zeros(n))
    surface = frozen.surface_bonds(rate, K)
    frozen.check_first_order(rate, surface + bonds[2] - bonds[1])
    return _pack(extended, {"adiabatic": bonds[0], "geometric": -bonds[1], "sea": bonds[2], "surface": surface})


def _pack(extended: Extended, bonds: dict[str, np.ndarray]) -> Currents:
    flows = {origin: extended.flows(values) for origin, values in bonds.items()}
    return Currents({o: f[0] for o, f in flows.items()}, {o: f[1] for o, f in flows.items()})
