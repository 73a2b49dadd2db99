"""Variables of response tensors, and of runs in which electrons act by them or are the levels of a molecule."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from llgnegf.deck import Deck
from llgnegf.deck.closed_conflicts import is_closed_lattice
from llgnegf.dynamics.torques import torque
from llgnegf.electrons import ExchangeConstants, ToleranceError, in_plane_and_out_of_plane
from llgnegf.errors import RunWarning

from .conditions import always
from .variable import VECTOR, Variable

_OF_MOTION = ("site", "motion_site", "component", "motion_component")


def _asked(deck: Deck) -> bool:
    """Whether a run of frozen electrons is to have the tensors of its first texture."""
    return deck.electrons is not None and deck.electrons.response_tensors


def as_sites(tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor (n, n, 3, 3) over sites counted one after the other as (*shape, *shape, 3, 3)."""
    return tensor.reshape(*shape, *shape, 3, 3)


def _tensor(instant: Any, name: str) -> np.ndarray:
    return as_sites(getattr(instant.linear_response.tensors, name), instant.m.shape[:-1])


def _quadratic(instant: Any) -> np.ndarray:
    """Q^a_bc; nan, and told, where it is not found to the tolerance: no run is to fail for what it does not need."""
    try:
        found: np.ndarray = instant.linear_response.quadratic
    except ToleranceError as error:
        warnings.warn(f"second_order: not known (nan): {error}", RunWarning, stacklevel=2)
        return np.full((3, 3, 3), np.nan)
    return found


def _knows_second_order(deck: Deck) -> bool:
    """Whether more than the first order in a motion is known."""
    bath = None if deck.electrons is None else deck.electrons.bath
    return not is_closed_lattice(deck) and not (bath is not None and bath.zero_current)


def response_frequencies(deck: Deck) -> tuple[float, ...]:
    """At which a run of this deck has alpha(omega), energy/hbar."""
    table = deck.electrons if deck.molecule is None else deck.molecule
    return () if table is None else table.response_frequencies


def _alpha(instant: Any, part: Callable[[Any], np.ndarray]) -> np.ndarray:
    """The real or the imaginary part of alpha(omega), (frequencies, *shape, *shape, 3, 3)."""
    found = [part(instant.linear_response.alpha(omega)) for omega in instant.response_frequencies]
    return np.array([as_sites(one, instant.m.shape[:-1]) for one in found])


def reference_of(deck: Deck) -> np.ndarray | None:
    """The direction of the first lead of a deck that has one: of its polarization or its spin bias."""
    if deck.molecule is not None:
        for lead in deck.molecule.lead:
            if lead.polarization or lead.spin_bias:
                return np.array(lead.direction, float)
    for one in deck.electrons.lead if deck.electrons is not None else ():
        if one.polarization is not None and one.polarization.splitting:
            return np.array(one.polarization.direction, float)
        if one.spin_bias is not None and one.spin_bias.difference:
            return np.array(one.spin_bias.direction, float)
    return None


def _has_reference(deck: Deck) -> bool:
    """Whether a lead has a direction beside which torques can be taken apart."""
    return reference_of(deck) is not None and not is_closed_lattice(deck)


def _beside_reference(instant: Any, part: int) -> np.ndarray:
    """Damping-like or field-like part of the torque of moments at rest, shaped as the lattice."""
    acting = torque(instant.spin_at_rest, instant.m, instant.sd_exchange)
    return np.asarray(in_plane_and_out_of_plane(acting, instant.m, instant.reference)[part])


# Name in the run file, attribute of `Tensors`, unit, meaning.
NAMES = (
    ("damping_tensor", "gilbert", "hbar", "alpha_ij of S dm_i/dt = ... + m_i x sum_j alpha_ij dm_j/dt"),
    (
        "inertia_tensor",
        "inertia",
        "hbar^2/energy",
        "I_ij of S dm_i/dt = ... + m_i x sum_j I_ij d^2 m_j/dt^2; nan where it is not defined",
    ),
    ("susceptibility", "susceptibility", "1", "d s_i/d m_j at rest, s = Tr[rho sigma]"),
)


def _tensors(applies: Callable[[Deck], bool]) -> tuple[Variable, ...]:
    def asked(deck: Deck) -> bool:
        return applies(deck) and bool(response_frequencies(deck))

    return (
        *(
            Variable(name, _OF_MOTION, unit, f"{meaning}; at the first texture", applies, partial(_tensor, name=of))
            for name, of, unit, meaning in NAMES
        ),
        Variable(
            "second_order",
            ("component", "motion_component", "second_component"),
            "hbar^2/energy^2",
            "Q_abc of the spin density Q_abc dm_b/dt dm_c/dt of second order, of a single moment; at the first texture",
            lambda deck: applies(deck) and math.prod(deck.lattice.shape) == 1 and _knows_second_order(deck),
            _quadratic,
            coordinates=lambda _deck: {"second_component": ["x", "y", "z"]},
        ),
        *(
            Variable(
                f"damping_tensor_{name}",
                ("response_frequency", *_OF_MOTION),
                "hbar",
                f"{name} part of alpha(omega) = alpha - i omega I + ...; at the first texture",
                asked,
                partial(_alpha, part=part),
                coordinates=lambda deck: {"response_frequency": response_frequencies(deck)},
            )
            for name, part in (("real", np.real), ("imaginary", np.imag))
        ),
    )


def _at_rest(applies: Callable[[Deck], bool]) -> tuple[Variable, ...]:
    """The torque at rest beside the direction of a lead."""
    return tuple(
        Variable(
            f"torque_{name}_like",
            ("site",),
            "energy",
            f"of J_sd s x m at rest beside the first lead with a polarization or spin bias p, {words}; nan along p; at "
            "the first texture",
            lambda deck: applies(deck) and _has_reference(deck),
            partial(_beside_reference, part=k),
        )
        for k, (name, words) in enumerate((("damping", "in the plane of m and p"), ("field", "out of it, along p x m")))
    )


def _constant(instant: Any, name: str) -> np.ndarray:
    """J_ij or D_ij, (*shape, *shape[, 3])."""
    found = getattr(ExchangeConstants.of(instant.linear_response.tensors.stiffness), name)
    shape = instant.m.shape[:-1]
    return np.asarray(found.reshape(*shape, *shape, *found.shape[2:]))


def _exchange(applies: Callable[[Deck], bool]) -> tuple[Variable, ...]:
    """Constants of pairs, of more than one moment."""

    def pairs(deck: Deck) -> bool:
        return applies(deck) and math.prod(deck.lattice.shape) > 1

    energy = "of the electrons, E = sum_(i<j) -J_ij m_i.m_j + D_ij.(m_i x m_j) + ..., about the first texture"
    return (
        Variable(
            "exchange_constants",
            ("site", "motion_site"),
            "energy",
            f"J_ij {energy}",
            pairs,
            partial(_constant, name="J"),
        ),
        Variable(
            "dmi_vectors",
            ("site", "motion_site", "component"),
            "energy",
            f"D_ij {energy}",
            pairs,
            partial(_constant, name="dmi"),
        ),
    )


def _lead_numbers(deck: Deck) -> dict[str, Sequence[Any]]:
    assert deck.molecule is not None
    return {"molecule_lead": range(len(deck.molecule.lead))}


# Of frozen electrons, on request.
ON_REQUEST = (*_tensors(_asked), *_exchange(_asked), *_at_rest(_asked))

_BY_TENSORS = (
    Variable(
        "spin_density",
        VECTOR,
        "1",
        "Tr[rho sigma] at rest and to first order in the velocities, by response tensors",
        always,
        lambda i: i.spin_density,
    ),
    Variable(
        "torque",
        VECTOR,
        "energy",
        "J_sd s x m of the whole spin density",
        always,
        lambda i: torque(i.spin_density, i.m, i.sd_exchange),
    ),
)
_SOLVES = Variable("solves", ("time",), "1", "Green's functions evaluated so far", always, lambda i: i.solves)


def _has_energy(deck: Deck) -> bool:
    """Whether the electrons have a grand potential: in equilibrium, and not expanded about another texture."""
    return deck.motion.tensor == "instantaneous" and deck.electrons is not None and not deck.electrons.is_biased


# Of `motion.kind = "tensor"`, from a `TensorInstant`.
TENSORS = (
    *_BY_TENSORS,
    *_tensors(always),
    *_exchange(always),
    *_at_rest(always),
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


def _answers_motion(deck: Deck) -> bool:
    """Whether the electrons of a molecule answer to dm/dt."""
    return deck.molecule is not None and deck.molecule.order == 1


def _into_leads(
    ending: str, words: str, applies: Callable[[Deck], bool], of: Callable[[Any], np.ndarray]
) -> tuple[Variable, ...]:
    """Particles and spin into each lead of a molecule.

    words: what of them, where {} stands for the name without the ending; of: both, traced, (leads, 4).
    """
    return tuple(
        Variable(
            f"{name}{ending}",
            ("time", "molecule_lead", *axes),
            "energy/hbar",
            f"{what} into the lead {words.format(name)}",
            applies,
            part,
            coordinates=_lead_numbers,
        )
        for name, axes, what, part in (
            ("current_charge", (), "particles", lambda i: of(i)[:, 0]),
            ("current_spin", ("component",), "Tr[sigma/2 ...]", lambda i: of(i)[:, 1:]),
        )
    )


# Of a [molecule], from a `TensorInstant`.
MOLECULE = (
    *_BY_TENSORS,
    *_into_leads("", "at rest", always, lambda i: i.lead_currents),
    *_into_leads("_motion", "to first order in dm/dt, beside {}", _answers_motion, lambda i: i.pumped_currents),
    Variable(
        "torque_spin_orbit",
        ("time", "component"),
        "energy",
        "of spin-orbit coupling on the electrons' spin sigma/2 at rest",
        lambda deck: deck.molecule is not None and bool(np.any(deck.molecule.spin_orbit)),
        lambda i: i.torque_spin_orbit,
    ),
    Variable(
        "damping_instantaneous",
        ("time", "component", "motion_component"),
        "hbar",
        "Gilbert tensor at this instant",
        always,
        lambda i: i.linear_response.tensors.gilbert[0, 0],
    ),
    *_tensors(always),
    *_at_rest(always),
)
