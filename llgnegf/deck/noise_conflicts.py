"""Contradictions among the keys of a thermal field; `conflicts.py` says how they are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llgnegf.beside import integrators
from llgnegf.deck.messages import show
from llgnegf.deck.outline import IMPOSED


def _told(deck: Any) -> str | None:
    """The beginning of a message; None without a thermal field."""
    temperature = deck.magnet.temperature
    return f"magnet.temperature = {show(temperature)}: " if temperature else None


def noise_needs_damping(deck: Any) -> Iterator[str]:
    """What damps is what fluctuates."""
    if (told := _told(deck)) and deck.magnet.damping == 0.0:
        yield (
            f"{told}the thermal field has the strength 2 alpha S kT, which is 0 at magnet.damping = 0.0; allowed: a "
            "damping > 0, or temperature = 0.0"
        )


def noise_needs_free_moments(deck: Any) -> Iterator[str]:
    if (told := _told(deck)) and deck.motion.kind in IMPOSED:
        yield (
            f"{told}a thermal field moves nothing where motion.kind = {show(deck.motion.kind)}; allowed: "
            'temperature = 0.0, or motion.kind = "llg"'
        )


def noise_is_stratonovich(deck: Any) -> Iterator[str]:
    methods = integrators.METHODS
    method = methods.get(deck.integrator.method)
    if (told := _told(deck)) and method is not None and not method.is_stratonovich:
        allowed = ", ".join(show(one.name) for one in methods.values() if one.is_stratonovich)
        yield (
            f"integrator.method = {show(method.name)}: does not solve equations with noise in the sense of "
            f"Stratonovich, so that moments at {told[:-2]} would not settle at the Boltzmann distribution; allowed: "
            f"{allowed}"
        )


def noise_is_not_smooth(deck: Any) -> Iterator[str]:
    """Steps that are chosen by how smooth a motion is."""
    told, table = _told(deck), deck.electrons
    if told is None or table is None:
        return
    refresh, acts = deck.integrator.electrons, bool(table.back_action * table.sd_exchange)
    if refresh == "adaptive" and (acts or table.method == "real-time"):
        frozen = ', or "step" where electrons.order = 0 or electrons.velocity_feedback = false'
        yield (
            f'integrator.electrons = "adaptive": follows motions that are smooth, which no thermal field '
            f'({told[:-2]}) leaves; allowed: "stage"{frozen if table.method == "frozen" else ""}'
        )
    elif deck.motion.kind == "inertial":
        return  # velocities without white noise
    elif refresh == "step" and acts and table.method == "frozen" and table.order == 1 and table.velocity_feedback:
        yield (
            'integrator.electrons = "step": holds the field of electrons that answer to dm/dt, noise included, over '
            f"the step, which is not in the sense of Stratonovich ({told[:-2]}); allowed: "
            '"stage", or electrons.order = 0 or electrons.velocity_feedback = false'
        )


CHECKS = (noise_needs_damping, noise_needs_free_moments, noise_is_stratonovich, noise_is_not_smooth)
