"""Keys that contradict each other where electrons have no leads: x periodic, or bonds between farther neighbours.

Such electrons are a dense matrix (`electrons.ClosedDevice`).  One function for each way to contradict, named in
`CHECKS`, as in `conflicts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from llgnegf.deck.messages import show
from llgnegf.deck.rules import reaches_farther

# As `electrons.closed_device` has it, which decks do not import.
_MOST_SITES = 2500
# As `electrons.closed_response` has it.
_MOST_WITH_TENSORS = 100


def wraps_x(periodic: bool | str) -> bool:
    """Whether the last x is bonded to the first."""
    return periodic is True or (isinstance(periodic, str) and "x" in periodic)


def is_closed_lattice(deck: Any) -> bool:
    """Whether the electrons of a deck are diagonalised: no lead can be attached to them."""
    electrons = deck.electrons
    return electrons is not None and (wraps_x(deck.lattice.periodic) or reaches_farther(electrons.hopping))


def _keys(deck: Any) -> tuple[str, str]:
    """The key that makes it so, as the deck has it, and what else it may be where there are leads."""
    if wraps_x(deck.lattice.periodic):
        allowed = "false" if len(deck.lattice.shape) == 1 else 'false or "y"'
        return f"lattice.periodic = {show(deck.lattice.periodic)}", allowed
    return f"electrons.hopping = {show(list(deck.electrons.hopping))}", "a number"


def _has_leads(deck: Any) -> bool:
    return any(lead.__dict__.get("coupling") != 0 for lead in deck.electrons.lead)


def _no_leads(deck: Any) -> Iterator[str]:
    if not is_closed_lattice(deck) or not _has_leads(deck):
        return
    told, allowed = _keys(deck)
    why = "the leads need an open x" if wraps_x(deck.lattice.periodic) else "leads have bonds to nearest neighbours"
    lattice = "a chain" if len(deck.lattice.shape) == 1 else "a square lattice"
    yield (
        f"{told}: {why}; allowed for {lattice} with electrons.lead: {allowed}; a system without leads has none, or "
        "coupling = 0 in all of them"
    )


def _axes(deck: Any) -> Iterator[str]:
    if deck.electrons is None or not wraps_x(deck.lattice.periodic) or _has_leads(deck):
        return
    chain = len(deck.lattice.shape) == 1
    allowed: tuple[bool | str, ...] = (False, True, "x") if chain else (False, "x", "y", "xy")
    if deck.lattice.periodic not in allowed:
        reason = "a chain has no y" if chain else "name the periodic axes of a square lattice"
        lattice = "a chain" if chain else "a square lattice"
        yield (
            f"lattice.periodic = {show(deck.lattice.periodic)}: {reason}; allowed for {lattice} without leads: "
            f"{', '.join(map(show, allowed))}"
        )


def _size(deck: Any) -> Iterator[str]:
    sites = math.prod(deck.lattice.shape)
    if is_closed_lattice(deck) and deck.electrons.response_tensors and sites > _MOST_WITH_TENSORS:
        yield (
            f"electrons.response_tensors = true: on {sites} sites; allowed without leads: up to {_MOST_WITH_TENSORS}"
        )
    if is_closed_lattice(deck) and sites > _MOST_SITES:
        yield (
            f"lattice.shape = {show(list(deck.lattice.shape))}: {sites} sites; allowed with {_keys(deck)[0]}: up to "
            f"{_MOST_SITES}, since electrons without leads are one dense matrix"
        )


def _excluded(deck: Any) -> Iterator[str]:
    """What is not known of electrons that are diagonalised."""
    if not is_closed_lattice(deck):
        return
    electrons, kind = deck.electrons, deck.motion.kind
    beside, instead = _keys(deck)
    found = (
        (
            electrons.method != "frozen",
            f"electrons.method = {show(electrons.method)}",
            f'"frozen", or {beside.split(" = ")[0]}: {instead}',
        ),
        (electrons.__dict__.get("bath") is not None, "electrons.bath = {sites = ..., width = ...}", "no bath"),
        (electrons.noise, "electrons.noise = true", "false"),
        (kind in ("precession", "tensor", "kernel"), f"motion.kind = {show(kind)}", '"llg", "inertial" or "frozen"'),
    )
    for asks, told, allowed in found:
        if asks:
            yield f"{told}: not available without leads, {beside}; allowed there: {allowed}"


# Keys of [electrons] that `build_device` (`parts/electrons.py`) and the runs of such electrons use, or that `_excluded`
# judges.
_USED = {
    *("method", "hopping", "onsite", "potential", "disorder", "bath", "spin_orbit", "spin_hopping"),
    *("sd_exchange", "fermi_energy"),
    *("temperature", "order", "velocity_feedback", "noise", "back_action", "tolerance", "response_tensors"),
    "response_frequencies",
    *("velocity_tolerance", "lead", "frozen_beside", "gate"),
}


def _unused(deck: Any) -> Iterator[str]:
    """Keys of [electrons] that say nothing to them, so that none is ignored."""
    if not is_closed_lattice(deck):
        return
    for key in sorted(deck.electrons.said - _USED):
        yield f"electrons.{key}: not available without leads, {_keys(deck)[0]}; remove the key"


CHECKS: tuple[Callable[[Any], Iterator[str]], ...] = (_no_leads, _axes, _size, _excluded, _unused)
