"""What one frame of the run file holds: names, units, and how each value is had from the state of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

import textures
from llgnegf.deck import Deck
from llgnegf.electron_instant import ElectronInstant
from llgnegf.stepper import Instant
from llgnegf.trajectory import Field

ENERGIES = ("exchange", "dmi", "anisotropy", "zeeman", "classical")


class Observables:
    """The variables of one run and their values, frame by frame."""

    def __init__(self, deck: Deck) -> None:
        self.deck = deck
        self.lattice = ("x", "y")[: len(deck.lattice.shape)]
        kind = deck.texture.kind
        two_dimensional = len(deck.lattice.shape) == 2 and min(deck.lattice.shape) > 1
        self.has_wall = kind in ("bloch_wall", "neel_wall") or (kind == "file" and not two_dimensional)
        self.has_charge = two_dimensional
        self.has_skyrmion = two_dimensional and kind in ("skyrmion", "file", "random")
        kishine = getattr(deck.texture, "orientation", "paper") == "kishine"
        self.easy_axis = (1.0, 0.0, 0.0) if kishine else deck.magnet.easy_axis
        periodic = deck.lattice.periodic_axes
        self.periodic = "".join(name for name, wraps in zip("xy", periodic, strict=False) if wraps)
        self.is_precession = deck.motion.kind == "precession"

    def fields(self) -> dict[str, Field]:
        """Every variable beside `time`, with dimensions, unit and meaning."""
        energy = self.deck.units.label
        vector, scalar = ("time", *self.lattice, "component"), ("time", *self.lattice)
        fields = {
            "step": Field(("time",), "1", "steps taken"),
            "moment": Field(vector, "1", "unit vectors of the local moments"),
            "velocity": Field(vector, f"{energy}/hbar", "dm/dt"),
        }
        if self.deck.electrons is not None:
            fields["spin_adiabatic"] = Field(vector, "1", "Tr[rho sigma] of the instantaneous equilibrium")
            if self.deck.electrons.order == 1 or self.is_precession:
                sea = "Fermi sea (lead term)" if self.is_precession else "Fermi sea (geometric)"
                fields["spin_sea"] = Field(vector, "1", f"Tr[rho sigma], first order, {sea}")
                if self.is_precession:
                    fields["spin_geometric"] = Field(vector, "1", "Tr[rho sigma], first order, geometric")
                fields["spin_surface"] = Field(vector, "1", "Tr[rho sigma], first order, Fermi surface")
                fields["torque"] = Field(vector, energy, "J_sd s x m without the adiabatic part")
                if any(lead.coupling for lead in self.deck.electrons.lead):
                    rate = f"{energy}/hbar"
                    # What a lead stores near its end comes in between; over a cycle both agree.
                    where = "over the lead's first bond" if len(self.lattice) == 1 else "arriving deep in the lead"
                    fields["current_charge"] = Field(("time", "lead"), rate, f"particles into the lead, {where}")
                    text = f"Tr[sigma/2 ...] into the lead, {where}"
                    fields["current_spin"] = Field(("time", "lead", "component"), rate, text)
                fields["first_order_ratio"] = Field(
                    ("time",), "1", "largest first-order over largest adiabatic spin density: should be small"
                )
            if any(lead.coupling for lead in self.deck.electrons.lead):
                fields["rate_over_width"] = Field(
                    ("time",), "1", "fastest motion over the width of the sharpest level at E_F: should be small"
                )
            fields["density"] = Field(scalar, "1", "electrons per site")
            fields["grand_potential"] = Field(("time",), energy, "of the electrons, relative to the bare wire")
            fields["solves"] = Field(("time",), "1", "Green's functions evaluated so far")
            if self.deck.electrons.gate:
                fields["potential"] = Field(scalar, energy, "gate voltage")
        for name in ENERGIES:
            fields[f"energy_{name}"] = Field(("time",), energy, f"{name} energy of the moments")
        if self.has_wall:
            fields["wall_position"] = Field(("time",), "lattice constant", "where the easy component changes sign")
            fields["wall_tilt"] = Field(("time",), "rad", "azimuth of the wall about the easy axis")
        if self.has_charge:
            fields["topological_charge"] = Field(("time",), "1", "Berg-Luscher charge")
        if self.has_skyrmion:
            fields["skyrmion_center"] = Field(("time", "plane"), "lattice constant", "centre of the reversed core")
            fields["skyrmion_center_thresholded"] = Field(
                ("time", "plane"), "lattice constant", "centre of all moments with m_z < -0.1 (Xu et al.)"
            )
        return fields

    def frame(self, instant: Instant) -> dict[str, Any]:
        """All variables at an instant, `time` included."""
        m = instant.m
        values: dict[str, np.ndarray | float | int] = {"time": instant.t, "step": instant.n, "moment": m}
        values["velocity"] = instant.velocity
        if isinstance(instant, ElectronInstant):
            values |= self._electrons(instant)
        values |= {f"energy_{name}": value for name, value in instant.energies.items()}
        if self.has_wall:
            values["wall_position"] = textures.wall_position(m, self.easy_axis)
            values["wall_tilt"] = textures.wall_tilt(m, self.easy_axis)
        if self.has_charge:
            values["topological_charge"] = textures.topological_charge(m, self.periodic)
        if self.has_skyrmion:
            values["skyrmion_center"] = textures.skyrmion_center(m, periodic=self.periodic)
            values["skyrmion_center_thresholded"] = textures.thresholded_center(m)
        return values

    def _electrons(self, instant: ElectronInstant) -> dict[str, np.ndarray | float | int]:
        electrons = self.deck.electrons
        assert electrons is not None
        spin = instant.spin
        values: dict[str, np.ndarray | float | int] = {
            "spin_adiabatic": spin.adiabatic,
            "density": spin.density.reshape(self.deck.lattice.shape),
            "grand_potential": instant.grand_potential,
        }
        has_leads = any(lead.coupling for lead in electrons.lead)
        if electrons.order == 1 or self.is_precession:
            values["spin_sea"], values["spin_surface"] = spin.sea, spin.surface
            values["torque"] = electrons.sd_exchange * np.cross(spin.nonadiabatic, instant.m)
            values["first_order_ratio"] = _largest(spin.nonadiabatic) / max(_largest(spin.adiabatic), 1e-300)
            if has_leads:
                values["current_charge"], values["current_spin"] = instant.currents
        if has_leads:
            rates = [abs(gate.frequency) for gate in electrons.gate if gate.amplitude]
            values["rate_over_width"] = max([_largest(instant.velocity), *rates]) / instant.level_width
        if spin.geometric is not None:
            values["spin_geometric"] = spin.geometric
        if electrons.gate:
            values["potential"] = instant.potential
        values["solves"] = instant.solves
        return values


def _largest(vectors: np.ndarray) -> float:
    """Largest length of vectors (..., 3)."""
    return float(np.linalg.norm(vectors, axis=-1).max())
