"""Keys that a valid deck gives, and that change nothing beside its other keys: `llgnegf check` names them.

They are accepted, so that one key switches a deck to another motion or order.  A key that says its default is not
named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from llgnegf.deck.closed_conflicts import is_closed_lattice
from llgnegf.deck.deck import Deck
from llgnegf.deck.messages import show
from llgnegf.deck.table import Table


def depends_on_seed(deck: Deck) -> bool:
    """Whether random numbers of `run.seed` enter."""
    return bool(deck.magnet.temperature) or _is_noisy(deck) or deck.texture.kind == "random"


def _is_noisy(deck: Deck) -> bool:
    """Whether electrons fluctuate: by their temperature, or by what leads are filled with beside it."""
    electrons = deck.electrons
    if electrons is None or not electrons.noise:
        return False
    return bool(electrons.temperature) or electrons.is_biased


def unused_keys(deck: Deck) -> dict[str, list[str]]:
    """By the reason why, dotted keys of the deck that change nothing in its run."""
    found: dict[str, list[str]] = {}
    for reason, key in _unused(deck):
        found.setdefault(reason, []).append(key)
    return found


def _unused(deck: Deck) -> Iterator[tuple[str, str]]:
    """(reason, key) of each."""
    kind = f"motion.kind = {show(deck.motion.kind)}"
    if deck.motion.kind != "precession":
        yield from _said(kind, deck.motion, "motion", "axis", "frequency")
    if deck.motion.is_imposed:
        yield from _said(kind, deck.magnet, "magnet", "damping")
        if deck.magnet.zhang_li is None or deck.magnet.zhang_li.profile is None:  # a profile is recorded
            yield from _said(kind, deck.magnet, "magnet", "zhang_li")
        # The torque of a bias is summed over moments that are free, and a texture relaxes beside those that are not.
        if not deck.texture.relax and (deck.electrons is None or not deck.electrons.leads_differ):
            yield from _said(kind, deck.magnet, "magnet", "fixed")
    if deck.is_known_beforehand:
        yield from _said(kind, deck.integrator, "integrator", "method", "electrons")
    elif deck.electrons is None and deck.molecule is None:
        yield from _said("no [electrons]", deck.integrator, "integrator", "electrons")
    yield from _of_electrons(deck, kind)
    yield from _of_magnet(deck)
    if not depends_on_seed(deck):
        yield from _said("nothing random", deck.run, "run", "seed")


def _of_electrons(deck: Deck, kind: str) -> Iterator[tuple[str, str]]:
    electrons = deck.electrons
    if electrons is None:
        return
    said: list[str] = []
    if deck.motion.is_imposed:
        yield from _said(kind, electrons, "electrons", "back_action")
    if electrons.method == "frozen":
        order = "electrons.order = 0"
        if deck.motion.kind == "precession":
            order, said = kind, ["order", "velocity_feedback", "velocity_tolerance"]
        elif deck.motion.kind == "frozen":
            order, said = kind, ["velocity_feedback", "velocity_tolerance"]
        elif electrons.order == 0:  # which velocity_feedback = false agrees with
            said = ["velocity_tolerance"]
        elif deck.motion.kind in ("tensor", "kernel"):
            order, said = kind, ["velocity_tolerance"]  # its equation is linear
        elif not electrons.velocity_feedback:
            order, said = "electrons.velocity_feedback = false", ["velocity_tolerance"]
        yield from _said(order, electrons, "electrons", *said)
    # Otherwise the tolerance says how seldom the electrons are asked.
    if is_closed_lattice(deck) and (deck.motion.is_imposed or deck.integrator.electrons != "adaptive"):
        yield from _said("electrons without leads, diagonalised", electrons, "electrons", "tolerance")
    if not _is_noisy(deck):
        yield from _said("electrons.temperature = 0 without a bias", electrons, "electrons", "noise")
    if electrons.disorder is not None and electrons.disorder.amplitude == 0:
        yield from _said("electrons.disorder.amplitude = 0", electrons.disorder, "electrons.disorder", "seed")


def _of_magnet(deck: Deck) -> Iterator[tuple[str, str]]:
    magnet = deck.magnet
    for strength, *keys in (("dmi", "dmi_kind"), ("hard_anisotropy", "hard_axis")):
        if getattr(magnet, strength) == 0:
            yield from _said(f"magnet.{strength} = 0", magnet, "magnet", *keys)
    if math.prod(deck.lattice.shape) == 1:
        yield from _said("a single moment", magnet, "magnet", "exchange", "dmi")
    # Walls are followed along the easy axis also without an anisotropy.
    if magnet.anisotropy == 0 and deck.texture.kind in ("uniform", "columns", "random", "skyrmion", "spiral"):
        yield from _said("magnet.anisotropy = 0", magnet, "magnet", "easy_axis")
    if magnet.zhang_li is not None and not any(magnet.zhang_li.velocity) and not deck.motion.is_imposed:
        yield from _said("magnet.zhang_li.velocity = 0", magnet.zhang_li, "magnet.zhang_li", "beta")


def _said(reason: str, table: Table, name: str, *keys: str) -> Iterator[tuple[str, str]]:
    """Those of these keys that the table gives with another value than the default."""
    for key in keys:
        if key in table.model_fields_set and getattr(table, key) != type(table).model_fields[key].default:
            yield reason, f"{name}.{key}"
