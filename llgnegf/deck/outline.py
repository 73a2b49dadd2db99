"""A deck in a few words and numbers, for who tells of a run: read from its text without the tables.

The text must be that of a deck that was judged before (`deck.py`).  Its defaults are those of `tables.py`, which a test
sees to.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from llgnegf.units import energy_in_ev, energy_label

IMPOSED = ("precession", "frozen")  # kinds of motion for which m(t) is known beforehand


@dataclass(frozen=True)
class Outline:
    """What a deck says of its run; names as in the deck.

    texture, motion: their kinds.  axis, frequency: of a steady precession.  order: of frozen electrons.  order,
    back_action: None without electrons.  zhang_li_velocity: zero without a current.  temperature: of the thermal field,
    kT; electron_noise: `electrons.noise`; seed: `run.seed`.
    """

    title: str
    energy: str | float
    shape: tuple[int, ...]
    periodic: bool | str
    texture: str
    motion: str
    axis: tuple[float, ...] | None
    frequency: float | None
    duration: float
    order: int | None
    back_action: float | None
    zhang_li_velocity: tuple[float, ...]
    temperature: float
    electron_noise: bool
    seed: int

    @property
    def energy_ev(self) -> float:
        """The unit of energy, in eV."""
        return energy_in_ev(self.energy)

    @property
    def energy_label(self) -> str:
        """The unit of energy in words."""
        return energy_label(self.energy)

    @property
    def periodic_axes(self) -> str:
        """The periodic axes of the lattice: "", "x", "y" or "xy"."""
        return ("x" if self.periodic else "") if isinstance(self.periodic, bool) else self.periodic

    @property
    def is_imposed(self) -> bool:
        """Whether m(t) is known beforehand."""
        return self.motion in IMPOSED


def outline_of(text: str) -> Outline:
    """The outline of the deck `text`.  What is no valid deck raises whatever it meets, or is told as it stands."""
    deck = tomllib.loads(text)
    motion, electrons = deck.get("motion", {}), deck.get("electrons")
    magnet = deck.get("magnet", {})
    zhang_li = magnet.get("zhang_li", {})
    axis = motion.get("axis")
    return Outline(
        title=deck.get("title", ""),
        energy=deck.get("units", {}).get("energy", "eV"),
        shape=tuple(deck["lattice"]["shape"]),
        periodic=deck["lattice"].get("periodic", False),
        texture=deck["texture"]["kind"],
        motion=motion.get("kind", "llg"),
        axis=None if axis is None else tuple(map(float, axis)),
        frequency=motion.get("frequency"),
        duration=float(deck["run"]["duration"]),
        order=None if electrons is None else electrons.get("order", 1),
        back_action=None if electrons is None else float(electrons.get("back_action", 1.0)),
        zhang_li_velocity=tuple(map(float, zhang_li.get("velocity", (0.0, 0.0)))),
        temperature=float(magnet.get("temperature", 0.0)),
        electron_noise=(electrons or {}).get("noise", False),
        seed=deck["run"].get("seed", 0),
    )
