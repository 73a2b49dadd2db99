"""What one frame of the run file holds: names, units, and how each value is had from the state of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import textures
from llgnegf.coupling import Coupling, Motion
from llgnegf.deck import Deck
from llgnegf.electrons import Frozen, FrozenLattice
from llgnegf.electrons.density import Response, SpinDensity
from llgnegf.magnet import Magnet
from llgnegf.trajectory import Field

ENERGIES = ("exchange", "dmi", "anisotropy", "zeeman", "classical")


@dataclass(frozen=True)
class ImposedMotion:
    """m(t) of a run whose moments are not integrated: at rest, or turning rigidly about `axis`.

    m(t) = R(axis, frequency t) m(0), dm/dt = frequency axis x m.
    """

    start: np.ndarray
    axis: np.ndarray
    frequency: float

    def moments(self, t: float) -> np.ndarray:
        """m(t) by Rodrigues' formula, shape of the lattice with (..., 3)."""
        angle, a, m = self.frequency * t, self.axis, self.start
        if angle == 0.0:
            return m.copy()  # bit for bit: a resumed run starts from the first frame
        along = (m @ a)[..., None] * a
        return along + np.cos(angle) * (m - along) + np.sin(angle) * np.cross(a, m)

    def velocity(self, m: np.ndarray) -> np.ndarray:
        """dm/dt, same shape."""
        return self.frequency * np.cross(self.axis, m)


class Observables:
    """The variables of one run and their values, frame by frame."""

    def __init__(self, deck: Deck, magnet: Magnet, coupling: Coupling, imposed: ImposedMotion | None) -> None:
        self.deck, self.magnet, self.coupling, self.imposed = deck, magnet, coupling, imposed
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

    def frame(self, step: int, m: np.ndarray, motion: Motion | None = None) -> dict[str, np.ndarray | float | int]:
        """All variables at the given step (time = step * dt), `time` included.

        motion: of these moments at this step, where it is not imposed; evaluated here if it is not known.
        """
        t = step * self.deck.integrator.step
        y = self.magnet.pack(m)
        values: dict[str, np.ndarray | float | int] = {"time": t, "step": step, "moment": m}
        if self.imposed is not None:
            velocity = self.imposed.velocity(m)
            frozen = None if self.coupling.device is None else self.coupling.freeze(t, m)
            response = None
        else:
            motion = motion or self.coupling.motion(t, y)
            velocity, frozen, response = self.magnet.unpack(motion.velocity), motion.frozen, motion.response
        values["velocity"] = velocity
        if frozen is not None:
            values |= self._electrons(t, frozen, velocity, response)
        values |= {f"energy_{name}": value for name, value in self.magnet.energies(y).items()}
        if self.has_wall:
            values["wall_position"] = textures.wall_position(m, self.easy_axis)
            values["wall_tilt"] = textures.wall_tilt(m, self.easy_axis)
        if self.has_charge:
            values["topological_charge"] = textures.topological_charge(m, self.periodic)
        if self.has_skyrmion:
            values["skyrmion_center"] = textures.skyrmion_center(m, periodic=self.periodic)
            values["skyrmion_center_thresholded"] = textures.thresholded_center(m)
        return values

    def _electrons(
        self, t: float, frozen: Frozen | FrozenLattice, velocity: np.ndarray, response: Response | None
    ) -> dict[str, np.ndarray | float | int]:
        """Of electrons frozen at t.  response: to the motion that acts on them, where the velocity came with it."""
        electrons = self.deck.electrons
        assert electrons is not None
        potential, rate = self.coupling.gate_state(t)
        shape = self.deck.lattice.shape
        still = np.zeros_like(frozen.m)
        moving = electrons.order == 1 and electrons.velocity_feedback and self.imposed is None
        motion = np.ascontiguousarray(velocity) if moving else still
        is_first_order = electrons.order == 1 or self.is_precession
        has_leads = any(lead.coupling for lead in electrons.lead)
        if response is None and is_first_order and (motion.any() or rate.any()):
            response = frozen.respond(motion, rate)
        if self.is_precession:
            assert self.imposed is not None
            assert isinstance(frozen, Frozen)  # decks of lattices that precess are refused
            spin, *turned = frozen.precession_with_currents(self.imposed.axis, self.imposed.frequency)
            if response is not None:
                spin = _with_gates(spin, frozen.parts(response))
        else:
            spin = frozen.parts(response)
        values: dict[str, np.ndarray | float | int] = {
            "spin_adiabatic": spin.adiabatic,
            "density": spin.density.reshape(shape),
            "grand_potential": frozen.grand_potential,
        }
        if is_first_order:
            values["spin_sea"], values["spin_surface"] = spin.sea, spin.surface
            values["torque"] = electrons.sd_exchange * np.cross(spin.nonadiabatic, frozen.m)
            values["first_order_ratio"] = _largest(spin.nonadiabatic) / max(_largest(spin.adiabatic), 1e-300)
            if has_leads:
                charge, flow = frozen.lead_currents(motion, rate, response)
                if self.is_precession:
                    charge, flow = charge + turned[0], flow + turned[1]
                values["current_charge"], values["current_spin"] = charge, flow
        if has_leads:
            rates = [abs(gate.frequency) for gate in electrons.gate if gate.amplitude]
            values["rate_over_width"] = max([_largest(velocity), *rates]) / frozen.level_width()
        if spin.geometric is not None:
            values["spin_geometric"] = spin.geometric
        if electrons.gate:
            values["potential"] = potential
        values["solves"] = self.coupling.solves
        return values


def _largest(vectors: np.ndarray) -> float:
    """Largest length of vectors (..., 3)."""
    return float(np.linalg.norm(vectors, axis=-1).max())


def _with_gates(precession: SpinDensity, gates: SpinDensity) -> SpinDensity:
    """Steady precession and moving gates at once: both are first order, so they add."""
    return SpinDensity(
        adiabatic=precession.adiabatic,
        sea=precession.sea + gates.sea,
        surface=precession.surface + gates.surface,
        geometric=precession.geometric,
        density_adiabatic=precession.density_adiabatic,
        density_sea=precession.density_sea + gates.density_sea,
        density_surface=precession.density_surface + gates.density_surface,
        solves=gates.solves,
    )
