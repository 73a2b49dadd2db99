"""Variables of response tensors, and of runs in which electrons act by them or are the levels of a molecule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from llgnegf.deck import Deck
from llgnegf.dynamics.torques import torque
from llgnegf.observables import Variable

_OF_MOTION = ("site", "motion_site", "component", "motion_component")


def _asked(deck: Deck) -> bool:
    """Whether a run of frozen electrons is to have the tensors of its first texture."""
    return deck.electrons is not None and deck.electrons.response_tensors


def _always(_deck: Deck) -> bool:
    return True


def as_sites(tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor (n, n, 3, 3) over sites counted one after the other as (*shape, *shape, 3, 3)."""
    return tensor.reshape(*shape, *shape, 3, 3)


def _tensor(instant: Any, name: str) -> np.ndarray:
    return as_sites(getattr(instant.tensors, name), instant.m.shape[:-1])


# Name in the run file, attribute of `Tensors`, unit, meaning.
NAMES = (
    ("damping_tensor", "gilbert", "hbar", "alpha_ij of S dm_i/dt = ... + m_i x sum_j alpha_ij dm_j/dt"),
    ("inertia_tensor", "inertia", "hbar^2/energy", "I_ij of S dm_i/dt = ... + m_i x sum_j I_ij d^2 m_j/dt^2"),
    ("susceptibility", "susceptibility", "1", "d s_i/d m_j at rest, s = Tr[rho sigma]"),
)


def _tensors(applies: Callable[[Deck], bool]) -> tuple[Variable, ...]:
    return tuple(
        Variable(name, _OF_MOTION, unit, f"{meaning}; at the first texture", applies, partial(_tensor, name=of))
        for name, of, unit, meaning in NAMES
    )


def _lead_numbers(deck: Deck) -> dict[str, Sequence[Any]]:
    assert deck.molecule is not None
    return {"molecule_lead": range(len(deck.molecule.lead))}


# Of frozen electrons, on request.
ON_REQUEST = _tensors(_asked)

_VECTOR = ("time", "site", "component")
_BY_TENSORS = (
    Variable(
        "spin_density",
        _VECTOR,
        "1",
        "Tr[rho sigma] at rest and to first order in the velocities, by response tensors",
        _always,
        lambda i: i.spin_density,
    ),
    Variable(
        "torque",
        _VECTOR,
        "energy",
        "J_sd s x m of the whole spin density",
        _always,
        lambda i: torque(i.spin_density, i.m, i.sd_exchange),
    ),
)
_SOLVES = Variable("solves", ("time",), "1", "Green's functions evaluated so far", _always, lambda i: i.solves)


def _has_energy(deck: Deck) -> bool:
    """Whether the electrons have a grand potential: in equilibrium, and not expanded about another texture."""
    return deck.motion.tensor == "instantaneous" and deck.electrons is not None and not deck.electrons.is_biased


# Of `motion.kind = "tensor"`, from a `TensorInstant`.
TENSORS = (
    *_BY_TENSORS,
    *_tensors(_always),
    Variable(
        "grand_potential",
        ("time",),
        "energy",
        "of the electrons, relative to the bare wire",
        _has_energy,
        lambda i: i.grand_potential,
    ),
    _SOLVES,
)


def _of_reference(deck: Deck) -> bool:
    """Whether a run of electrons that remember is to have the tensors about the reference."""
    return deck.molecule is not None or _asked(deck)


# Of `motion.kind = "kernel"`, from a `KernelInstant` or a `DeviceKernelInstant`.
KERNEL = (*_BY_TENSORS, *_tensors(_of_reference))

# Of a [molecule], from a `TensorInstant`.
MOLECULE = (
    *_BY_TENSORS,
    Variable(
        "current_charge",
        ("time", "molecule_lead"),
        "energy/hbar",
        "particles into the lead at rest",
        _always,
        lambda i: i.lead_currents[:, 0],
        coordinates=_lead_numbers,
    ),
    Variable(
        "current_spin",
        ("time", "molecule_lead", "component"),
        "energy/hbar",
        "Tr[sigma/2 ...] into the lead at rest",
        _always,
        lambda i: i.lead_currents[:, 1:],
        coordinates=_lead_numbers,
    ),
    Variable(
        "damping_instantaneous",
        ("time", "component", "motion_component"),
        "hbar",
        "Gilbert tensor at this instant",
        _always,
        lambda i: i.tensors.gilbert[0, 0],
    ),
    *_tensors(_always),
)
