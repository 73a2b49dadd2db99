"""Contradictions among the keys of random fields, thermal or of electrons; `conflicts.py` says how they are found."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from llgnegf.beside import integrators
from llgnegf.deck.messages import show
from llgnegf.deck.outline import IMPOSED

# As `electrons.spin_noise` has it, which decks do not import.
_MOST_SITES = 1000


def _sources(deck: Any) -> list[str]:
    """The keys by which moments fluctuate, with their values."""
    found = []
    if deck.magnet.temperature:
        found.append(f"magnet.temperature = {show(deck.magnet.temperature)}")
    if deck.electrons is not None and deck.electrons.noise:
        found.append("electrons.noise = true")
    return found


def noise_needs_damping(deck: Any) -> Iterator[str]:
    """What damps is what fluctuates."""
    temperature = deck.magnet.temperature
    if temperature and deck.magnet.damping == 0.0:
        yield (
            f"magnet.temperature = {show(temperature)}: the thermal field has the strength 2 alpha S kT, which is 0 at "
            "magnet.damping = 0.0; allowed: a damping > 0, or temperature = 0.0"
        )


def noise_needs_free_moments(deck: Any) -> Iterator[str]:
    if (found := _sources(deck)) and deck.motion.kind in IMPOSED:
        yield (
            f"{found[0]}: a random field moves nothing where motion.kind = {show(deck.motion.kind)}; allowed: "
            f'{"temperature = 0.0" if deck.magnet.temperature else "false"}, or motion.kind = "llg"'
        )


def noise_is_stratonovich(deck: Any) -> Iterator[str]:
    methods = integrators.METHODS
    method = methods.get(deck.integrator.method)
    if (found := _sources(deck)) and method is not None and not method.is_stratonovich:
        allowed = ", ".join(show(one.name) for one in methods.values() if one.is_stratonovich)
        yield (
            f"integrator.method = {show(method.name)}: does not solve equations with noise in the sense of "
            f"Stratonovich, so that moments with {found[0]} would not settle at the Boltzmann distribution; allowed: "
            f"{allowed}"
        )


def noise_is_not_smooth(deck: Any) -> Iterator[str]:
    """Steps that are chosen by how smooth a motion is."""
    found, table = _sources(deck), deck.electrons
    if not found or table is None:
        return
    refresh, acts = deck.integrator.electrons, bool(table.back_action) and table.sd_exchange != 0.0
    if refresh not in ("stage", "step") and (acts or table.method == "real-time"):
        frozen = ', or "step" where electrons.order = 0 or electrons.velocity_feedback = false'
        yield (
            f"integrator.electrons = {show(refresh)}: follows motions that are smooth, which no random field "
            f'({found[0]}) leaves; allowed: "stage"{frozen if table.method == "frozen" and not table.noise else ""}'
        )
    elif deck.motion.kind == "inertial":
        return  # velocities without white noise
    elif refresh == "step" and acts and table.method == "frozen" and table.order == 1 and table.velocity_feedback:
        yield (
            'integrator.electrons = "step": holds the field of electrons that answer to dm/dt, noise included, over '
            f"the step, which is not in the sense of Stratonovich ({found[0]}); allowed: "
            '"stage", or electrons.order = 0 or electrons.velocity_feedback = false'
        )


def electrons_that_fluctuate(deck: Any) -> Iterator[str]:
    """Noise of electrons comes with their friction, and from what is known of them."""
    table = deck.electrons
    if table is None or not table.noise or table.method != "frozen":
        return
    told = "electrons.noise = true: "
    if table.order != 1 or not table.velocity_feedback:
        yield (
            f"{told}comes with the friction of the electrons, without which moments would heat up; allowed beside it: "
            "electrons.order = 1 and electrons.velocity_feedback = true"
        )
    if table.back_action != 1.0 or table.sd_exchange == 0.0:
        yield (
            f"{told}is that of electrons that act with their own field; allowed beside it: electrons.back_action = 1.0 "
            "and electrons.sd_exchange other than 0"
        )
    if table.bath is not None:
        yield f"{told}is not known with a bath; allowed: false, or remove electrons.bath"
    sites = math.prod(deck.lattice.shape)
    if sites > _MOST_SITES:
        yield f"{told}on {sites} sites; allowed: up to {_MOST_SITES}"


CHECKS = (
    noise_needs_damping,
    noise_needs_free_moments,
    noise_is_stratonovich,
    noise_is_not_smooth,
    electrons_that_fluctuate,
)
