"""Contradictions among the keys of moments with inertia; `conflicts.py` says how they are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llgnegf.deck.messages import show

_KIND = 'kind = "inertial"'
_VELOCITIES = (
    '"from_llg" (as moments without inertia begin to move), "zero", three numbers [x, y, z] or {file = "v.npy"}'
)
_ABSENT = object()  # the key is there, but wrong by itself


def _shown(value: Any) -> str:
    return show(value) if isinstance(value, str | float | tuple | list) else '{file = "..."}'


def inertia_is_given(deck: Any) -> Iterator[str]:
    """Moments with inertia need eta and velocities to start with; others have neither."""
    kind = deck.motion.kind
    inertia, velocity = deck.magnet.__dict__.get("inertia", _ABSENT), deck.motion.__dict__.get("velocity", _ABSENT)
    if kind == "inertial":
        if inertia is None:
            yield f'magnet.inertia is missing: motion.{_KIND} needs a number > 0, a time, or {{file = "eta.npy"}}'
        if velocity is None:
            yield f"motion.velocity is missing: {_KIND} needs velocities to start with: {_VELOCITIES}"
    else:
        if inertia not in (None, _ABSENT):
            yield (
                f"magnet.inertia = {_shown(inertia)}: moments have none with motion.kind = {show(kind)}; remove the "
                f"key, or use motion.{_KIND}"
            )
        if velocity not in (None, _ABSENT):
            yield (
                f"motion.velocity = {_shown(velocity)}: with motion.kind = {show(kind)} velocities follow from the "
                f"moments; remove the key, or use {_KIND}"
            )


def inertia_with_electrons(deck: Any) -> Iterator[str]:
    """Electrons that were not made to move with accelerated moments."""
    table = deck.electrons
    if deck.motion.kind != "inertial" or table is None:
        return
    if table.method != "frozen":
        yield (
            f"electrons.method = {show(table.method)}: not available with motion.{_KIND}; allowed beside it: "
            '"frozen", or motion.kind = "llg"'
        )
    elif deck.integrator.electrons not in ("stage", "step") and table.back_action and table.sd_exchange != 0.0:
        yield (
            f"integrator.electrons = {show(deck.integrator.electrons)}: not available with motion.{_KIND}; "
            'allowed beside it: "stage", or "step", which is cheaper and of first order in the step'
        )


CHECKS = (inertia_is_given, inertia_with_electrons)
