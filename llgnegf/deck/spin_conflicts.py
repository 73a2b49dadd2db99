"""Keys of a deck that contradict each other where bonds and leads of the electrons know the spin, or sites are missing.

See `conflicts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from llgnegf.deck.messages import show
from llgnegf.deck.rules import nearest

_LEADS = ("hopping", "polarization", "spin_bias")


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
        hopping, polarization, spin_bias = (lead.__dict__.get(key) for key in _LEADS)
        if hopping is not None and hopping != nearest(electrons.hopping):
            yield f"electrons.lead[{i}].hopping = {show(hopping)}", "that of electrons.hopping"
        if polarization is not None and polarization.__dict__.get("splitting"):
            yield f"electrons.lead[{i}].polarization = {{direction = ..., splitting = ...}}", "no polarization"
        if spin_bias is not None and spin_bias.__dict__.get("difference"):
            yield f"electrons.lead[{i}].spin_bias = {{direction = ..., difference = ...}}", "no spin_bias"


def _but_spin_biases(deck: Any) -> Iterator[tuple[str, str]]:
    """Without spin biases, which `spin_bias_conflicts` judges."""
    for told, without in _given(deck):
        if without != "no spin_bias":
            yield told, without


def _with_exchange(deck: Any) -> Iterator[tuple[str, str]]:
    """The same, and an exchange of each site."""
    yield from _given(deck)
    exchange = deck.electrons.__dict__.get("sd_exchange", 0.0)
    if not isinstance(exchange, float):
        yield "electrons.sd_exchange = {file = ...}", "a number"


def _beside(
    asks: Callable[[Any], bool], others: Callable[[Any], Iterator[tuple[str, str]]], words: str
) -> Callable[[Any], Iterator[str]]:
    """What cannot be had beside such electrons, of a deck that has electrons and `asks` for it.

    others: `_given` or `_with_exchange`; words: behind the key that is told, {without}: what else to do about it,
    {method}: electrons.method.
    """

    def check(deck: Any) -> Iterator[str]:
        if deck.electrons is None or not asks(deck):
            return
        for told, without in others(deck):
            yield f"{told}: {words.format(without=without, method=show(deck.electrons.method))}"

    return check


def _is_frozen(deck: Any) -> bool:
    return bool(deck.electrons.method == "frozen")


def _has_moving_voltages(deck: Any) -> bool:
    """Of frozen electrons of first order, which is known in the rates of voltages of equal leads alone."""
    voltages = [lead.__dict__.get("voltage", 0.0) for lead in deck.electrons.lead]
    varies = not all(isinstance(voltage, float) for voltage in voltages)
    return _is_frozen(deck) and deck.electrons.order == 1 and varies


_EXCLUDED = (
    _beside(
        lambda deck: not _is_frozen(deck),
        _with_exchange,
        'not available with electrons.method = {method}; allowed there: {without}, or electrons.method = "frozen"',
    ),
    _beside(
        lambda deck: _is_frozen(deck) and deck.motion.kind == "precession",
        _with_exchange,
        'motion.kind = "precession" and its exact reference are without it; allowed: {without}, or motion.kind = "llg" '
        'or "frozen"',
    ),
    _beside(
        lambda deck: deck.electrons.bath is not None,
        _but_spin_biases,
        "not available with electrons.bath; allowed beside it: {without}, or remove the bath",
    ),
    _beside(
        _has_moving_voltages,
        _but_spin_biases,
        "not available at first order in the rate of a voltage that changes; allowed beside electrons.lead.voltage = "
        "{{amplitude = ..., profile = {{...}}}}: {without}, or electrons.order = 0",
    ),
    _beside(
        lambda deck: deck.electrons.noise,
        _with_exchange,
        "the fluctuations of such electrons are not known; allowed beside electrons.noise = true: {without}, or "
        "electrons.noise = false",
    ),
    _beside(
        lambda deck: deck.electrons.response_tensors or deck.motion.kind == "tensor",
        _with_exchange,
        "the response tensors of such electrons are not known; allowed beside electrons.response_tensors and "
        'motion.kind = "tensor": {without}',
    ),
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
    *_EXCLUDED,
    _vacancies_without_inertia,
    _leads_without_contact,
)
