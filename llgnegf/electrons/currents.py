"""Particle and spin currents over bonds and into leads, by origin.

The flow over the bond i -> i+1 is Tr[sigma_a j/2] (spin, hbar/time) and Tr[j] (particles, 1/time) with
j = -i t (rho_(i+1,i) - rho_(i,i+1)).  Continuity: on every site

    J_sd s_i x m_i = (flow out) - (flow in) + (1/2) ds_i/dt,

which holds to first order in the velocities for the sum of the parts, with ds/dt that of the adiabatic spin density.
In steady precession ds/dt belongs to the geometric part; the sea (lead) and the surface part each satisfy the equation
without it.

On a bond that knows the spin, as with spin-orbit coupling, spin is not conserved.  Its flow is then the mean of what
leaves one of the two sites and what arrives at the other, and the difference is a torque of the bond on the electrons'
spins, half of it at either site: with the sum tau_i of these halves at site i (`torque_spin_orbit`),

    J_sd s_i x m_i + tau_i = (flow out) - (flow in) + (1/2) ds_i/dt.

The device is extended by one site of each connected lead that has sites, which a wide-band lead does not.  The flow
over the bond to this site is the current into the lead, and one sweep gives the flows over all bonds.  In steady
precession the contribution of the leads to K belongs to the sea part.  For the currents into the leads alone,
`frozen.Frozen.lead_currents` needs no extended device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .bond_flows import outside
from .counter import Counter
from .frozen import Frozen, rotation_generator
from .leads import SIDES, Lead
from .spin_orbit import bond_matrix
from .system import System
from .turning import refuse_precession
from .wide_leads import into_wide_leads


@dataclass(frozen=True)
class Currents:
    """Flows along +x in a chain, by origin: "adiabatic", "geometric" (steady precession only), "sea", "surface".

    Leads with Fermi functions of their own add "bias" and "bias_motion".

    charge[origin]: (n + 1,) particle flow, 1/time; spin[origin]: (n + 1, 3) spin flow, hbar/time, with spin sigma/2.
    Entry 0 is the bond from the left lead to site 0, entry i the bond from site i-1 to site i, entry n the bond from
    site n-1 to the right lead; the flow is zero where no lead is connected.
    torque_spin_orbit[origin]: (n, 3), on a lattice (nx, ny, 3), energy (hbar = 1), what bonds that know the spin do to
    the electrons' spin sigma/2 at each site; empty without them.
    """

    charge: dict[str, np.ndarray]
    spin: dict[str, np.ndarray]
    torque_spin_orbit: dict[str, np.ndarray] = field(default_factory=dict, kw_only=True)

    @property
    def origins(self) -> tuple[str, ...]:
        """Names of the parts that exist for this motion."""
        return tuple(self.charge)

    def into_leads(self, *origins: str) -> tuple[np.ndarray, np.ndarray]:
        """(particles (2,), spin (2, 3)) that flow into the left and the right lead: of these origins, or of all."""
        chosen = origins or self.origins
        charge, spin = (np.sum([flow[o] for o in chosen], axis=0) for flow in (self.charge, self.spin))
        return np.array([-charge[0], charge[-1]]), np.array([-spin[0], spin[-1]])

    def divergence(self, origin: str) -> np.ndarray:
        """Spin flow out of each site minus the flow into it, (n, 3), hbar/time."""
        return np.diff(self.spin[origin], axis=0)


@dataclass(frozen=True)
class LatticeCurrents(Currents):
    """Flows in a square lattice by origin: "adiabatic", "sea", "surface", and under a bias as there; units as there.

    charge[origin]: (nx + 1, ny) along +x, spin[origin]: (nx + 1, ny, 3).  Entry 0 holds the bonds from the left lead
    to column 0, entry x those from column x-1 to x, entry nx those to the right lead; zero without a lead.
    charge_y[origin]: (nx, ny) along +y, spin_y[origin]: (nx, ny, 3).  Entry y is the bond from row y to row y+1; the
    last entry is the bond from the last row to the first, zero if y is not periodic.
    """

    charge_y: dict[str, np.ndarray]
    spin_y: dict[str, np.ndarray]

    def into_leads(self, *origins: str) -> tuple[np.ndarray, np.ndarray]:
        """(particles (2,), spin (2, 3)) that flow into the left and the right lead: of these origins, or of all."""
        charge, spin = super().into_leads(*origins)
        return charge.sum(axis=1), spin.sum(axis=1)

    def divergence(self, origin: str) -> np.ndarray:
        """Spin flow out of each site minus the flow into it, (nx, ny, 3), hbar/time."""
        along_y = self.spin_y[origin]
        return np.asarray(super().divergence(origin) + along_y - np.roll(along_y, 1, axis=1))


class Extended:
    """A device extended by one site (lattice: one column) of each connected lead, or by more.

    original: the device itself; device: the extended one, with spin-orbit coupling in the frame of `System.straight`;
    sites: slice (along x) of the original sites within it; depth: how many sites, of leads without polarization where
    it is not one.
    """

    def __init__(self, device: System, depth: int = 1) -> None:
        self.original, self._frame = device, device.frame
        device = device.straight
        self.pads = tuple(depth * int(lead.coupling > 0 and not lead.is_wide) for lead in device.ends)
        (left, right), hops = device.couplings, device.hops
        given = {lead.side: lead for lead in device.leads}
        inner = [lead.modes.hopping for lead in device.ends]  # of the bonds inside the leads
        leads = [
            self._shortened(given[side], hopping) if pad else given[side]
            for side, hopping, pad in zip(SIDES, inner, self.pads, strict=True)
            if side in given
        ]
        changes = {
            "shape": (device.shape[0] + sum(self.pads), *device.shape[1:]),
            "leads": leads,
            "bond_hoppings": [
                *[*inner[:1] * (depth - 1), left][: self.pads[0]],
                *hops,
                *[right, *inner[1:] * (depth - 1)][: self.pads[1]],
            ],
            "potential": None if device.potential is None else self.embed(device.potential),
            "vacancies": [(site[0] + self.pads[0], *site[1:]) for site in device.vacancies],
            "bath": None if device.bath is None else device.bath.moved(self.pads[0]),
        }
        # The first site of a ferromagnetic lead has a moment with half the splitting as its exchange.
        splittings = [one.splitting if pad else 0.0 for one, pad in zip(device.ends, self.pads, strict=True)]
        self._moments = [lead.polarization.unit for lead in leads if lead.polarization is not None and lead.splitting]
        self._ferromagnetic = [end for end, s in zip((0, -1), splittings, strict=True) if s]
        if self._ferromagnetic or not isinstance(device.sd_exchange, float):
            J = self.embed(np.broadcast_to(device.sd_exchange, device.shape))
            for end in self._ferromagnetic:
                J[end] = splittings[end] / 2
            changes["sd_exchange"] = J
        if device.is_lattice and (device.has_other_leads or device.bonds_along_y is not None):
            plain = np.full(device.shape[0], device.hopping)
            changes["bonds_along_y"] = self._between(inner, plain, device.bonds_along_y)
        if device.bonds_along_x is not None:
            changes["bonds_along_x"] = self._between([left, right], hops, device.bonds_along_x)
        kind = type(device) if device is self.original else System
        self.device = kind(**device._arguments() | changes)
        self.sites = slice(self.pads[0], self.pads[0] + device.shape[0])

    def _between(self, ends: Sequence[float], hops: np.ndarray, matrices: np.ndarray | None) -> np.ndarray:
        """Bonds as matrices, with those of the added sites, hoppings `ends`, before and after."""
        inside = bond_matrix(hops, np.zeros(3, complex)) if matrices is None else matrices
        first, last = (bond_matrix(np.array([hopping]), np.zeros(3, complex)) for hopping in ends)
        return np.concatenate([*self.pads[0] * [first], inside, *self.pads[1] * [last]])

    def _shortened(self, lead: Lead, hopping: float) -> Lead:
        """This lead without its first site, seen from the frame of the spins."""
        turned: dict[str, Any] = {"polarization": lead.polarization, "spin_bias": lead.spin_bias}
        for name, one in turned.items():
            if self._frame is not None and one is not None and lead.side == "right":
                turned[name] = replace(one, direction=tuple((self._frame.turns[-1] @ one.unit).tolist()))
        return replace(lead, coupling=hopping, **turned)

    def embed(self, values: np.ndarray) -> np.ndarray:
        """These values of the original sites, with zeros on the added lead sites."""
        return np.pad(values, [self.pads] + [(0, 0)] * (values.ndim - 1))

    def into_frame(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors of the original sites in the frame of the extended device, zero on the added lead sites."""
        return self.embed(vectors if self._frame is None else self._frame.into(vectors))

    def freeze(self, m: ArrayLike, potential: ArrayLike | None, counter: Counter | None = None) -> Frozen:
        """The electrons of the extended device; m, potential: of the original sites; counter: see `Frozen`."""
        given = self.original
        gates = self.embed(given.scalars("potential", potential))
        added = slice(0, self.pads[0]), slice(len(gates) - self.pads[1], len(gates))
        for where, voltage in zip(added, given.voltages, strict=True):
            gates[where] += voltage  # the added sites belong to the lead
        moments = self.into_frame(given.vectors("m", m))
        for end, direction in zip(self._ferromagnetic, self._moments, strict=True):
            moments[end] = direction
        return Frozen(self.device, moments, gates, counter)

    def out_of_frame(self, over: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flows of the extended device outside of the frame, and the torque of the bonds, see `bond_flows.outside`.

        torque: (*s, 4), at the sites of the device.
        """
        mean, torque = outside(over, self._frame, (self.pads[0], self.pads[1]))
        return mean, torque[self.sites]

    def flows(self, bonds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Particle (n + 1, ...) and spin (n + 1, ..., 3) flows from traces over bonds (n_bonds, ..., 4).

        Bonds to leads that are not connected are added as zeros.
        """
        full = np.pad(bonds, [(1 - self.pads[0], 1 - self.pads[1])] + [(0, 0)] * (bonds.ndim - 1))
        return full[..., 0], full[..., 1:] / 2


def currents(
    device: System,
    m: ArrayLike,
    mdot: ArrayLike | None = None,
    potential: ArrayLike | None = None,
    potential_rate: ArrayLike | None = None,
) -> Currents:
    """Flows of slowly moving moments and gates: adiabatic, sea and surface part.  Arguments as `Device.spin_density`.

    Returns `Currents` of a chain, `LatticeCurrents` of a lattice.
    """
    extended = Extended(device)
    frozen, embed = extended.freeze(m, potential), extended.embed
    velocity = np.zeros((*device.shape, 3)) if mdot is None else device.vectors("mdot", mdot)
    changing = extended.into_frame(velocity), embed(device.scalars("potential_rate", potential_rate))
    rate = extended.device.coupling_blocks(*changing)
    parts = frozen.flows(rate)
    found = _pack(extended, parts) if not device.is_lattice else _pack_lattice(extended, parts)
    for origin, flow in into_wide_leads(frozen, rate, device.frame).items():
        left, right = flow if device.is_lattice else flow[:, 0]
        found.charge[origin][[0, -1]] += np.array([-left[..., 0], right[..., 0]])
        found.spin[origin][[0, -1]] += np.array([-left[..., 1:], right[..., 1:]]) / 2
    return found


def precession_currents(
    device: System, m: ArrayLike, axis: ArrayLike, frequency: float, potential: ArrayLike | None = None
) -> Currents:
    """Flows of steady precession in the split of Bajpai and Nikolic: adiabatic, geometric, sea (leads) and surface.

    For chains.  m: (n, 3); axis: (3,), not zero; frequency: 1/time, right-handed about the axis; potential: (n,)
    gate voltages, energy.  Raises ValueError for a lattice or a zero axis.
    """
    K = rotation_generator(np.asarray(axis, float), frequency)
    refuse_precession(device, np.asarray(axis, float))
    extended = Extended(device)
    frozen = extended.freeze(m, potential)
    sweeps = frozen.turning
    if device.is_lattice:
        raise ValueError(f"shape = {device.shape}: steady precession has flows by origin on a chain, shape (n,)")
    if sweeps is None:
        raise ValueError(
            "flows of steady precession by origin: not available beside leads and bonds that tell spins apart, and at "
            "kT > 0 beside leads of another hopping and vacancies; use `currents`, which takes any motion"
        )
    unit = np.asarray(axis, float) / np.linalg.norm(np.asarray(axis, float))
    rate = frozen.device.coupling_blocks(frequency * np.cross(unit, frozen.m), np.zeros(frozen.device.n_sites))
    parts = sweeps.turning_flows(rate, K, extended.sites)
    frozen.check_first_order(rate, parts["surface"] + parts["sea"] + parts["geometric"])
    return _pack(extended, parts)


def _outside(extended: Extended, parts: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Flows by origin outside of the frame, and the torques of bonds that know the spin, (*s, 3)."""
    found = {origin: extended.out_of_frame(over) for origin, over in parts.items()}
    means = {origin: one[0] for origin, one in found.items()}
    if not extended.original.turns_spins:
        return means, {}
    return means, {origin: one[1][..., 1:] / 2 for origin, one in found.items()}


def _pack_lattice(extended: Extended, parts: dict[str, np.ndarray]) -> LatticeCurrents:
    means, torques = _outside(extended, parts)
    flows = {origin: extended.flows(mean[:-1, 0]) for origin, mean in means.items()}
    return LatticeCurrents(
        {origin: flow[0] for origin, flow in flows.items()},
        {origin: flow[1] for origin, flow in flows.items()},
        charge_y={origin: mean[extended.sites, 1, :, 0].copy() for origin, mean in means.items()},
        spin_y={origin: mean[extended.sites, 1, :, 1:] / 2 for origin, mean in means.items()},
        torque_spin_orbit=torques,
    )


def _pack(extended: Extended, parts: dict[str, np.ndarray]) -> Currents:
    means, torques = _outside(extended, parts)
    flows = {origin: extended.flows(mean) for origin, mean in means.items()}
    charge, spin = ({o: f[k] for o, f in flows.items()} for k in (0, 1))
    return Currents(charge, spin, torque_spin_orbit=torques)
