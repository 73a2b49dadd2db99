"""Keys that contradict each other where a lead has a spin bias, beside those of `spin_conflicts`.

One function for each way to contradict, named in `CHECKS`, as in `conflicts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from llgnegf.deck.messages import show

# Keys of leads that are known beside one.
_KNOWN = {"side", "coupling", "voltage", "chemical_potential", "temperature", "hopping", "polarization", "spin_bias"}


def _told(deck: Any) -> str | None:
    """The first key that has one, as a deck may have it; None where there is none."""
    leads = deck.electrons.lead if deck.electrons is not None else ()
    for i, lead in enumerate(leads):
        bias = lead.__dict__.get("spin_bias")
        if bias is not None and bias.__dict__.get("difference"):
            return f"electrons.lead[{i}].spin_bias = {{direction = ..., difference = ...}}"
    return None


def _excluded(deck: Any) -> Iterator[str]:
    """What is not known of leads that fill either spin by itself."""
    told = _told(deck)
    if told is None:
        return
    electrons = deck.electrons
    if electrons.__dict__.get("bath") is not None:
        yield f"{told}: not available with electrons.bath; allowed beside it: no spin_bias, or remove the bath"
    varies = any(not isinstance(lead.__dict__.get("voltage", 0.0), float) for lead in electrons.lead)
    if electrons.method == "frozen" and electrons.order == 1 and varies:
        yield (
            f"{told}: not available at first order in the rate of a voltage that changes; allowed beside "
            "electrons.lead.voltage = {amplitude = ..., profile = {...}}: no spin_bias, or electrons.order = 0"
        )
    for i, lead in enumerate(electrons.lead):
        for key in sorted(lead.said - _KNOWN):
            yield f"electrons.lead[{i}].{key}: not available beside a spin_bias; remove the key, or the spin_bias"


def _along_the_polarization(deck: Any) -> Iterator[str]:
    if deck.electrons is None:
        return
    for i, lead in enumerate(deck.electrons.lead):
        bias, polarization = (getattr(lead.__dict__.get(key), "__dict__", {}) for key in ("spin_bias", "polarization"))
        d, e = bias.get("direction"), polarization.get("direction")
        if d is None or e is None or not polarization.get("splitting"):
            continue
        apart = math.dist([x / math.hypot(*d) for x in d], [x / math.hypot(*e) for x in e])
        if apart > 1e-9:
            yield (
                f"electrons.lead[{i}].spin_bias.direction = {show(list(d))}: spins across the polarization of the lead "
                f"do not stay in it, and those against it have the other sign of the difference; allowed: its "
                f"direction, {show(list(e))} (with a difference of either sign)"
            )


CHECKS: tuple[Callable[[Any], Iterator[str]], ...] = (_excluded, _along_the_polarization)
