"""What electrons do to moments that stand still: torques, flows of spin, and the spin that balances them.

At rest the spin that moments and spin-orbit coupling give to the electrons flows into the leads,

    sum_i J_sd s_i x m_i + tau_so = sum_l I_l,

with tau_so the torque of spin-orbit coupling on the electrons' spins sigma/2: Eqs. (B1) and (B2) of Xu et al., Phys.
Rev. B 108, 144409 (2023), who have no spin-orbit coupling there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llgnegf.electrons import Device, Frozen, FrozenMolecule, ToleranceError, in_plane_and_out_of_plane


@dataclass(frozen=True)
class AtRest:
    """Energies, hbar = 1: torque (n, 3), J_sd s x m on each moment, that of a bias included; spin_orbit (3,), tau_so,
    zero without spin-orbit coupling, None where it is not known.

    names: of the leads, and of all sites of a bath together; charge, spin: (leads,) and (leads, 3), particles and spin
    sigma/2 into them per time, None where they are not known.  reference: p, (3,), or None; damping_like, field_like:
    (n,), the parts of the torque beside it, in the plane of m and p and out of it (`electrons.torkance`), NaN along it.
    """

    torque: np.ndarray
    spin_orbit: np.ndarray | None
    names: tuple[str, ...]
    charge: np.ndarray | None
    spin: np.ndarray | None
    reference: np.ndarray | None = None
    damping_like: np.ndarray | None = None
    field_like: np.ndarray | None = None

    @property
    def balance(self) -> np.ndarray | None:
        """What is missing in the balance of spin, (3,): an estimate of the error of its terms."""
        if self.spin is None or self.spin_orbit is None:
            return None
        return np.asarray(self.torque.sum(axis=0) + self.spin_orbit - self.spin.sum(axis=0))

    def as_json(self) -> dict[str, Any]:
        """All numbers as lists; parts of the torque that do not exist are null."""
        found: dict[str, Any] = {"torque": self.torque.tolist(), "leads": list(self.names)}
        given = {
            "torque_spin_orbit": self.spin_orbit,
            "current_charge": self.charge,
            "current_spin": self.spin,
            "spin_balance": self.balance,
            "reference": self.reference,
        }
        found |= {name: value.tolist() for name, value in given.items() if value is not None}
        for name, part in (("damping_like", self.damping_like), ("field_like", self.field_like)):
            if part is not None:
                found[name] = [float(value) if np.isfinite(value) else None for value in part]
        return found

    def lines(self, label: str) -> list[str]:
        """A few lines for people; label: of the energy unit."""
        unit = "" if label == "1" else f" {label}"
        found = [f"  torque at rest   {_vector(self.torque.sum(axis=0))}{unit} on all moments"]
        if self.spin_orbit is not None and self.spin_orbit.any():
            found.append(f"  spin-orbit       {_vector(self.spin_orbit)}{unit} on the electrons' spins")
        if self.charge is not None and self.spin is not None:
            for name, charge, spin in zip(self.names, self.charge, self.spin, strict=True):
                found.append(f"  into {name:<12}{charge:+.5g} particles, spin {_vector(spin)} per time")
        if self.reference is not None and self.damping_like is not None and self.field_like is not None:
            beside = f"beside {_vector(self.reference)}"
            for name, part in (("damping-like", self.damping_like), ("field-like", self.field_like)):
                known = part[np.isfinite(part)]
                told = (
                    f"{known.min():.6g} to {known.max():.6g}{unit}" if known.size else "none, all moments are along it"
                )
                found.append(f"  {name:<17}{told}, {beside}")
        return found


def _vector(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:+.4g}" for value in values) + ")"


def of_device(device: Device, frozen: Frozen) -> AtRest:
    """Of a chain or lattice."""
    spin = frozen.at_rest[..., 1:]
    torque = device.exchange_times(np.cross(spin, frozen.m)).reshape(-1, 3)
    names = tuple(lead.side for lead in device.leads if lead.coupling)
    kept = [side for side, coupling in enumerate(device.couplings) if coupling]
    try:
        flows = device.currents(frozen.m, potential=frozen.potential)
    except (ValueError, ToleranceError):  # bonds of which flows do not follow, or not to the tolerance
        return AtRest(torque, None, names, None, None)
    charge, into = flows.into_leads()
    charge, into = charge[kept], into[kept]
    if device.bath is not None:
        still = np.zeros_like(frozen.m)
        taken = [part.sum(axis=0, keepdims=True) for part in frozen.bath_currents(still, still[..., 0])]
        charge, into = (np.concatenate(pair) for pair in zip((charge, into), taken, strict=True))
        names = (*names, "the bath")
    tau = sum((part.reshape(-1, 3).sum(axis=0) for part in flows.torque_spin_orbit.values()), np.zeros(3))
    return AtRest(torque, tau, names, charge, into)


def of_molecule(frozen: FrozenMolecule) -> AtRest:
    """Of the levels of a molecule; its leads are numbered."""
    names = tuple(f"lead {k}" for k in range(len(frozen.molecule.leads)))
    torque = frozen.molecule.sd_exchange * np.cross(frozen.spin, frozen.m)
    flow = frozen.currents
    return AtRest(torque[None], frozen.torque_spin_orbit, names, flow[:, 0], flow[:, 1:])


def beside(found: AtRest, m: np.ndarray, reference: np.ndarray | None) -> AtRest:
    """The same with the parts of the torque on moments m (n, 3) beside a reference (3,); None: as it is."""
    if reference is None:
        return found
    along, across = in_plane_and_out_of_plane(found.torque, m, reference)
    return replace(found, reference=reference, damping_like=along, field_like=across)
