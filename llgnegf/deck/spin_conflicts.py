"""Keys of a deck that contradict each other where bonds and leads of the electrons know the spin, or sites are missing.

See `conflicts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from llgnegf.deck.messages import show

_LEADS = ("hopping", "polarization")


def _given(deck: Any) -> Iterator[tuple[str, str]]:
    """Keys by which bonds or leads differ from scalar ones of one hopping: as a deck has them, and what else to do."""
    electrons = deck.electrons
    orbit = electrons.spin_orbit
    if deck.lattice.__dict__.get("vacancies"):
        yield "lattice.vacancies", "none"
    for key in ("rashba", "dresselhaus"):
        value = orbit.__dict__.get(key)
        if value:
            yield f"electrons.spin_orbit.{key} = {show(value)}", f"{key} = 0.0"
    for i, lead in enumerate(electrons.lead):
        hopping, polarization = (lead.__dict__.get(key) for key in _LEADS)
        if hopping is not None and hopping != electrons.hopping:
            yield f"electrons.lead[{i}].hopping = {show(hopping)}", "that of electrons.hopping"
        if polarization is not None and polarization.__dict__.get("splitting"):
            yield f"electrons.lead[{i}].polarization = {{direction = ..., splitting = ...}}", "no polarization"


def _with_exchange(deck: Any) -> Iterator[tuple[str, str]]:
    """The same, and an exchange of each site."""
    yield from _given(deck)
    exchange = deck.electrons.__dict__.get("sd_exchange", 0.0)
    if not isinstance(exchange, float):
        yield "electrons.sd_exchange = {file = ...}", "a number"


def _not_in_real_time(deck: Any) -> Iterator[str]:
    """The equation of electrons in real time knows scalar bonds and equal leads."""
    electrons = deck.electrons
    if electrons is None or electrons.method == "frozen":
        return
    for told, without in _with_exchange(deck):
        yield (
            f"{told}: not available with electrons.method = {show(electrons.method)}; allowed there: {without}, or "
            'electrons.method = "frozen"'
        )


def _not_in_precession(deck: Any) -> Iterator[str]:
    """Its exact reference is that of spins which leads and bonds do not tell apart."""
    electrons = deck.electrons
    if electrons is None or electrons.method != "frozen" or deck.motion.kind != "precession":
        return
    for told, without in _with_exchange(deck):
        yield (
            f'{told}: motion.kind = "precession" and its exact reference are without it; allowed: {without}, or '
            'motion.kind = "llg" or "frozen"'
        )


def _not_with_a_bath(deck: Any) -> Iterator[str]:
    electrons = deck.electrons
    if electrons is None or electrons.bath is None:
        return
    for told, without in _given(deck):
        yield f"{told}: not available with electrons.bath; allowed beside it: {without}, or remove the bath"


def _not_with_moving_voltages(deck: Any) -> Iterator[str]:
    """The first order in the rates of voltages is that of equal leads and scalar bonds."""
    electrons = deck.electrons
    if electrons is None or electrons.method != "frozen" or electrons.order != 1:
        return
    if all(isinstance(lead.__dict__.get("voltage", 0.0), float) for lead in electrons.lead):
        return
    for told, without in _given(deck):
        yield (
            f"{told}: not available at first order in the rate of a voltage that changes; allowed beside "
            f"electrons.lead.voltage = {{amplitude = ..., profile = {{...}}}}: {without}, or electrons.order = 0"
        )


def _without_noise(deck: Any) -> Iterator[str]:
    """The fluctuations are known for scalar bonds, equal leads and one J_sd."""
    if deck.electrons is None or not deck.electrons.noise:
        return
    for told, without in _with_exchange(deck):
        yield (
            f"{told}: the fluctuations of such electrons are not known; allowed beside electrons.noise = true: "
            f"{without}, or electrons.noise = false"
        )


def _without_tensors(deck: Any) -> Iterator[str]:
    electrons = deck.electrons
    if electrons is None or not (electrons.response_tensors or deck.motion.kind == "tensor"):
        return
    for told, without in _with_exchange(deck):
        yield (
            f"{told}: the response tensors of such electrons are not known; allowed beside electrons.response_tensors "
            f'and motion.kind = "tensor": {without}'
        )


def _vacancies_without_inertia(deck: Any) -> Iterator[str]:
    if deck.motion.kind == "inertial" and deck.lattice.__dict__.get("vacancies"):
        yield 'lattice.vacancies: not available with motion.kind = "inertial"; allowed: none, or motion.kind = "llg"'


def _leads_without_contact(deck: Any) -> Iterator[str]:
    if deck.electrons is None:
        return
    for i, lead in enumerate(deck.electrons.lead):
        for key in _LEADS:
            if lead.__dict__.get(key) is not None and lead.__dict__.get("coupling") == 0:
                yield (
                    f"electrons.lead[{i}].{key}: means nothing without contact, coupling = 0; remove the key, or use a "
                    "coupling > 0"
                )


CHECKS: tuple[Callable[[Any], Iterator[str]], ...] = (
    _not_in_real_time,
    _not_in_precession,
    _not_with_a_bath,
    _not_with_moving_voltages,
    _without_noise,
    _without_tensors,
    _vacancies_without_inertia,
    _leads_without_contact,
)
