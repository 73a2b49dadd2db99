"""Variables that runs with frozen electrons and in real time both have: what the device is, and flows into its bath."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from llgnegf.deck import Deck

from .conditions import all_of, has_bath, has_exchange_of_sites, has_static_potential
from .variable import Variable

VACANCY = "vacancy"
MISSING = Variable(
    VACANCY,
    ("site",),
    "1",
    "1 where a site has neither a moment nor an orbital (lattice.vacancies), 0 elsewhere",
    lambda deck: bool(deck.lattice.vacancies),
    lambda i: i.vacancy,
)
SD_EXCHANGE = "sd_exchange"
EXCHANGE = Variable(
    SD_EXCHANGE,
    ("site",),
    "energy",
    "J_sd of each site, from the file of electrons.sd_exchange",
    has_exchange_of_sites,
    lambda i: i.sd_exchange,
)

STATIC_POTENTIAL = "static_potential"
STATIC = Variable(
    STATIC_POTENTIAL,
    ("site",),
    "energy",
    "on-site energies from electrons.potential and electrons.disorder, beside gates and electrons.onsite",
    has_static_potential,
    lambda i: i.static_potential,
)


def sites_of_bath(deck: Deck) -> dict[str, Sequence[int]]:
    """The sites of a bath, counted along its list."""
    assert deck.electrons is not None
    assert deck.electrons.bath is not None
    sites = deck.electrons.bath.sites
    return {"bath": range(math.prod(deck.lattice.shape) if isinstance(sites, str) else len(sites))}


def _into_bath(instant: Any, part: int) -> np.ndarray:
    return np.asarray(instant.bath_currents[part])


def bath_currents(applies: Callable[[Deck], bool], more: str = "") -> tuple[Variable, ...]:
    """What flows into a bath; applies: to which decks with one."""
    return tuple(
        Variable(
            f"bath_current_{name}",
            ("time", "bath", *dims),
            "energy/hbar",
            f"{words} into the bath on each of its sites, in the order of electrons.bath.sites{more}",
            all_of(applies, has_bath),
            partial(_into_bath, part=part),
            coordinates=sites_of_bath,
        )
        for part, (name, dims, words) in enumerate(
            (("charge", (), "particles"), ("spin", ("component",), "Tr[sigma/2 ...]"))
        )
    )
