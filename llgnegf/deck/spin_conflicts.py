"""Keys of a deck that contradict each other where bonds and leads of the electrons know the spin, or sites are missing.

See `conflicts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from llgnegf.deck.messages import show
from llgnegf.deck.rules import nearest

_LEADS = ("hopping", "polarization", "spin_bias")
HOPPINGS = ("along_x", "along_y", "imaginary_x", "imaginary_y")  # of electrons.spin_hopping
# As `electrons.fitting` has it, which decks do not import.
LEAST_WIDTH = 1e-9


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
    for key in HOPPINGS:
        value = electrons.spin_hopping.__dict__.get(key)
        if value and any(value):
            yield f"electrons.spin_hopping.{key} = {show(list(value))}", f"{key} = [0, 0, 0]"
    for i, lead in enumerate(electrons.lead):
        hopping, polarization, spin_bias = (lead.__dict__.get(key) for key in _LEADS)
        if hopping is not None and hopping != nearest(electrons.hopping):
            yield f"electrons.lead[{i}].hopping = {show(hopping)}", "that of electrons.hopping"
        if polarization is not None and polarization.__dict__.get("splitting"):
            yield f"electrons.lead[{i}].polarization = {{direction = ..., splitting = ...}}", "no polarization"
        if spin_bias is not None and spin_bias.__dict__.get("difference"):
            yield f"electrons.lead[{i}].spin_bias = {{direction = ..., difference = ...}}", "no spin_bias"
        width = lead.__dict__.get("width")
        if width is not None:
            yield f"electrons.lead[{i}].width = {show(width)}", "a lead with a coupling"


def _beside_precession(deck: Any) -> Iterator[tuple[str, str]]:
    """What is not the same in the frame that turns with the moments, as `electrons.turning` has it: a lead or a bond of
    a chain that tells spins apart along another axis, what fills spins by themselves, and a width."""
    axis, turns = deck.motion.__dict__.get("axis"), _bond_axes(deck.electrons)
    for told, without in _given(deck):
        if "electrons.spin_" in told:
            along = _are_along(turns, axis) and len(deck.lattice.shape) == 1
            yield from () if along else [(told, f"{without}, or motion.axis along that of its rotation")]
        elif ".polarization" in told:
            lead = deck.electrons.lead[int(told.split("[")[1].split("]")[0])]
            if not _are_along([lead.polarization.__dict__.get("direction")], axis):
                yield told, f"{without}, or motion.axis along its direction"
        elif ".hopping" not in told and "vacancies" not in told:
            yield told, without


def _bond_axes(electrons: Any) -> list[tuple[float, ...]]:
    """Vectors of sigma in the bonds along x: a of -t + a.sigma, its real and its imaginary part."""
    orbit, hopping = electrons.spin_orbit.__dict__, electrons.spin_hopping.__dict__
    x, y, z = hopping.get("imaginary_x", (0.0, 0.0, 0.0))
    imaginary = (x - orbit.get("dresselhaus", 0.0), y + orbit.get("rashba", 0.0), z)
    return [imaginary, hopping.get("along_x", (0.0, 0.0, 0.0))]


def _are_along(vectors: list[Any], axis: Any) -> bool:
    """Whether these vectors (some may be 0, or None where a deck is wrong) are along this axis or against it."""
    if axis is None or None in vectors:
        return False
    a, b, c = axis
    across = [math.hypot(y * c - z * b, z * a - x * c, x * b - y * a) for x, y, z in vectors]
    return all(s <= 1e-12 * math.hypot(*v) * math.hypot(a, b, c) for s, v in zip(across, vectors, strict=True))


def _those(of: Callable[[str], bool]) -> Callable[[Any], Iterator[tuple[str, str]]]:
    """Of the same those whose key, as it is told, is wanted."""
    return lambda deck: ((told, without) for told, without in _given(deck) if of(told))


_but_spin_biases = _those(lambda told: "spin_bias" not in told)  # which `spin_bias_conflicts` judges


def _widths_beside_bands(deck: Any) -> Iterator[tuple[str, str]]:
    """Widths of leads, where there is a lead with a band too."""
    leads = [lead.__dict__ for lead in deck.electrons.lead]
    if any(lead.get("width") is None and lead.get("coupling", 1.0) for lead in leads):
        yield from _those(lambda told: ".width" in told)(deck)


def _without_bath(deck: Any) -> Iterator[tuple[str, str]]:
    """Those of them that are not known beside a bath."""
    for told, without in _given(deck):
        on_a_chain = len(deck.lattice.shape) == 1 and "spin_hopping.along_x" in told
        if "vacancies" in told or "polarization" in told or on_a_chain:
            yield told, without


def _with_exchange(deck: Any) -> Iterator[tuple[str, str]]:
    """The same, and an exchange of each site."""
    yield from _given(deck)
    exchange = deck.electrons.__dict__.get("sd_exchange", 0.0)
    if not isinstance(exchange, float):
        yield "electrons.sd_exchange = {file = ...}", "a number"


def _without_memory(deck: Any) -> Iterator[tuple[str, str]]:
    """Those of these that electrons with a memory have not."""
    for told, without in _with_exchange(deck):
        if any(key in told for key in ("vacancies", "sd_exchange", "spin_bias")):
            yield told, without


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


def _are_beside(deck: Any) -> bool:
    """Whether frozen electrons of first order are recorded beside those in real time."""
    return bool(deck.electrons.method == "real-time" and deck.electrons.frozen_beside)


def _voltages_vary(deck: Any) -> bool:
    """Whether the voltage of a lead changes in time."""
    voltages = [lead.__dict__.get("voltage", 0.0) for lead in deck.electrons.lead]
    return not all(isinstance(voltage, float) for voltage in voltages)


def _has_moving_voltages(deck: Any) -> bool:
    return _is_frozen(deck) and deck.electrons.order == 1 and _voltages_vary(deck)


_EXCLUDED = (
    _beside(
        lambda deck: deck.electrons.method not in ("frozen", "real-time"),
        _with_exchange,
        'not available with electrons.method = {method}; allowed there: {without}, or electrons.method = "frozen"',
    ),
    _beside(
        lambda deck: deck.electrons.method == "real-time" and deck.run.device == "gpu",
        _given,
        'not available with run.device = "gpu"; allowed there: {without}, or run.device = "cpu"',
    ),
    _beside(
        lambda deck: _are_beside(deck) and deck.motion.kind == "precession",
        _beside_precession,
        "the frozen parts of a precession are without it; allowed beside electrons.frozen_beside = true: {without}, or "
        "electrons.frozen_beside = false",
    ),
    _beside(
        lambda deck: _are_beside(deck) and _voltages_vary(deck),
        _given,
        "frozen electrons are without it at first order in the rate of a voltage that changes; allowed beside "
        "electrons.frozen_beside = true: {without}, or electrons.frozen_beside = false",
    ),
    _beside(
        lambda deck: _is_frozen(deck) and deck.motion.kind == "precession",
        _beside_precession,
        'motion.kind = "precession" is without it; allowed: {without}, or motion.kind = "llg" or "frozen"',
    ),
    _beside(
        lambda deck: deck.electrons.bath is not None,
        _without_bath,
        "not available with electrons.bath; allowed beside it: {without}, or remove the bath",
    ),
    _beside(
        lambda deck: deck.electrons.bath is not None and _has_moving_voltages(deck),
        _but_spin_biases,
        "not available beside a bath and a voltage that changes, at first order; allowed beside these two: {without}, "
        "or electrons.order = 0",
    ),
    _beside(
        _has_moving_voltages,
        _widths_beside_bands,
        "not available beside a lead with a band at first order in the rate of a voltage that changes; allowed beside "
        "electrons.lead.voltage = {{amplitude = ..., profile = {{...}}}}: {without}, a width of all leads, or "
        "electrons.order = 0",
    ),
    _beside(
        lambda deck: deck.electrons.noise,
        _with_exchange,
        "the fluctuations of such electrons are not known; allowed beside electrons.noise = true: {without}, or "
        "electrons.noise = false",
    ),
    _beside(
        lambda deck: _is_frozen(deck) and deck.motion.kind == "kernel",
        _without_memory,
        'the memory of such electrons is not known; allowed beside motion.kind = "kernel": {without}',
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


def _wide_leads(deck: Any) -> Iterator[str]:
    """A width says all of a lead."""
    if deck.electrons is None:
        return
    polarized = [i for i, lead in enumerate(deck.electrons.lead) if lead.__dict__.get("polarization") is not None]
    for i, lead in enumerate(deck.electrons.lead):
        width = lead.__dict__.get("width")
        if width is None:
            continue
        told = f"electrons.lead[{i}].width = {show(width)}: "
        for key, plain in (("coupling", 1.0), ("hopping", None), ("polarization", None)):
            if lead.__dict__.get(key, plain) != plain:
                yield f"{told}a lead of constant width at all energies has no {key} of its own; remove one of the two"
        real = deck.electrons.spin_hopping.__dict__.get("along_x")
        if real and any(real) and len(deck.lattice.shape) == 1:
            yield (
                f"{told}not available on a chain beside electrons.spin_hopping.along_x = {show(list(real))}; allowed: "
                "imaginary_x, or a lead with a coupling"
            )
        for other in polarized:
            if other != i:
                yield (
                    f"{told}not available beside electrons.lead[{other}].polarization; remove that, or use a lead with "
                    "a coupling"
                )
        hopping = nearest(deck.electrons.hopping)
        if not LEAST_WIDTH <= width / hopping <= 1e10:
            yield (
                f"{told}is far out of scale; allowed: {LEAST_WIDTH:g} to 1e10 times electrons.hopping = {show(hopping)}"
            )


def _hoppings_along_y(deck: Any) -> Iterator[str]:
    """A chain has no bonds along y."""
    if deck.electrons is None or len(deck.lattice.shape) == 2:
        return
    for key in ("along_y", "imaginary_y"):
        value = deck.electrons.spin_hopping.__dict__.get(key)
        if value and any(value):
            yield (
                f"electrons.spin_hopping.{key} = {show(list(value))}: a chain has no y (lattice.shape = "
                f"{show(deck.lattice.shape)}); remove the key"
            )


CHECKS: tuple[Callable[[Any], Iterator[str]], ...] = (
    *_EXCLUDED,
    _vacancies_without_inertia,
    _leads_without_contact,
    _wide_leads,
    _hoppings_along_y,
)
