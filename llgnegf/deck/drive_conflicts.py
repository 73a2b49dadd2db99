"""Contradictions among the keys of what changes in time, and of sites; `conflicts.py` says how they are found."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from llgnegf.deck.messages import show

MOST_STEPS = 2**53  # step numbers beyond are not exact in float64


def given_profiles(deck: Any) -> Iterator[tuple[str, Any]]:
    """(dotted key, table) of every profile in a deck; parts that are not known are left out."""
    magnet, electrons = deck.__dict__.get("magnet"), deck.__dict__.get("electrons")
    for i, drive in enumerate(getattr(magnet, "__dict__", {}).get("drive", ())):
        yield f"magnet.drive[{i}].profile", drive.__dict__.get("profile")
    zhang_li = getattr(magnet, "__dict__", {}).get("zhang_li")
    yield "magnet.zhang_li.profile", getattr(zhang_li, "__dict__", {}).get("profile")
    for i, gate in enumerate(getattr(electrons, "__dict__", {}).get("gate", ())):
        yield f"electrons.gate[{i}].profile", gate.__dict__.get("profile")
    for i, lead in enumerate(getattr(electrons, "__dict__", {}).get("lead", ())):
        voltage = lead.__dict__.get("voltage")
        yield f"electrons.lead[{i}].voltage.profile", getattr(voltage, "__dict__", {}).get("profile")


def _known_profiles(deck: Any) -> Iterator[tuple[str, Any]]:
    return ((key, profile) for key, profile in given_profiles(deck) if profile is not None)


def gate_in_time(deck: Any) -> Iterator[str]:
    """A gate is a cosine or has a profile."""
    if deck.electrons is None:
        return
    for i, gate in enumerate(deck.electrons.gate):
        both = [key for key in ("frequency", "phase") if key in gate.said]
        if "profile" in gate.said and both:
            yield (
                f"electrons.gate[{i}].{both[0]} = {show(gate.__dict__.get(both[0]))}: the gate has a profile too; "
                f"allowed: either frequency and phase, a cosine, or profile; remove {' and '.join(both)}, or profile"
            )
        elif "profile" not in gate.said and "frequency" not in gate.said:
            yield f"electrons.gate[{i}].frequency is missing: must be a finite number, or give the gate a profile"


def jumps_between_steps(deck: Any) -> Iterator[str]:
    """A step sees a smooth function only if what jumps does so where it begins or ends."""
    step = deck.integrator.step
    for key, profile in _known_profiles(deck):
        kind = profile.kind
        if kind == "step" and profile.start > 0:
            yield from _whole(f"{key}.start = {show(profile.start)}", profile.start, step, "the start of the jump")
        elif kind == "square":
            wrong = [*_whole(f"{key}.period = {show(profile.period)}", profile.period, step, "the period")]
            on = profile.duty * profile.period
            yield from wrong or _whole(f"{key}.duty = {show(profile.duty)}", on, step, "duty times period")


def _whole(told: str, value: float, step: float, what: str) -> Iterator[str]:
    ratio = value / step
    if not ratio < MOST_STEPS:
        yield f"{told}: too many steps of integrator.step = {show(step)}; allowed: less than 2^53"
    elif round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-9 * max(1.0, ratio):
        near = " or ".join(f"{n * step:.12g}" for n in (math.floor(ratio), math.ceil(ratio)) if n >= 1)
        yield (
            f"{told}: jumps lie between two steps: {what}, {value:.12g}, must be a multiple of integrator.step = "
            f"{show(step)}; nearest: {near}; or use a ramp"
        )


def no_jump_at_first_order(deck: Any) -> Iterator[str]:
    """Frozen electrons of first order answer to dV/dt of gates and leads, which a jump has not."""
    if deck.electrons is None or deck.electrons.method != "frozen":
        return
    if deck.electrons.order == 0 and deck.motion.kind != "precession":
        return
    for key, profile in _known_profiles(deck):
        if key.startswith("electrons.") and profile.kind in ("step", "square"):
            yield (
                f'{key}.kind = "{profile.kind}": frozen electrons of first order need dV/dt, and '
                'a jump has none; allowed: a ramp, electrons.order = 0 (but for motion.kind = "precession"), or '
                'electrons.method = "real-time"'
            )


def tables_of_profiles(deck: Any) -> Iterator[str]:
    """A profile of kind "file": a path, or the numbers."""
    for key, profile in _known_profiles(deck):
        if profile.kind != "file":
            continue
        path, times, values = profile.path, profile.times, profile.values
        if path is not None and (times is not None or values is not None):
            yield (
                f"{key}.path = {show(path)}: the numbers are in the deck too; allowed: either path, or times and "
                "values; remove what is not meant"
            )
        elif path is None and (times is None or values is None):
            yield f"{key}.path is missing: must be a non-empty text in quotes, the file of two columns, time and value"
        elif times is not None and values is not None:
            wrong = next((k for k in range(1, len(times)) if not times[k] > times[k - 1]), None)
            if len(times) != len(values):
                yield (
                    f"{key}.values = {show(values)}: {len(values)} numbers; allowed: as many as {key}.times has, "
                    f"{len(times)}"
                )
            if wrong is not None:
                yield (
                    f"{key}.times = {show(times)}: must increase; number {wrong} is {times[wrong]:g} after "
                    f"{times[wrong - 1]:g}"
                )


def sites_exist(deck: Any) -> Iterator[str]:
    """Vacancies, sites of fixed moments and of driven fields are on the lattice, and named once."""
    shape = deck.lattice.shape
    given = [("magnet.fixed", deck.magnet.__dict__.get("fixed", ()))]
    vacancies = deck.lattice.__dict__.get("vacancies", ())
    if not isinstance(vacancies, str):
        given.append(("lattice.vacancies", vacancies))
    for i, drive in enumerate(deck.magnet.__dict__.get("drive", ())):
        sites = drive.__dict__.get("sites")
        if sites is not None:
            given.append((f"magnet.drive[{i}].sites", sites))
            if not sites:
                yield f"magnet.drive[{i}].sites = []: no site; remove the key for all sites, or the drive"
    bath = getattr(deck.__dict__.get("electrons"), "__dict__", {}).get("bath")
    in_bath = getattr(bath, "__dict__", {}).get("sites", "all")
    if in_bath != "all":
        given.append(("electrons.bath.sites", in_bath))
        if not in_bath:
            yield 'electrons.bath.sites = []: no site; allowed: sites, "all", or remove electrons.bath'
    for key, sites in given:
        yield from _sites_of(f"{key} = {show(sites)}", sites, shape)


def _sites_of(told: str, sites: Any, shape: tuple[int, ...]) -> Iterator[str]:
    chain = len(shape) == 1
    form = "whole numbers" if chain else "[x, y]"
    misfit = [site for site in sites if isinstance(site, int) != chain]
    if misfit:
        lattice = "a chain" if chain else "a square lattice"
        yield f"{told}: {show(misfit[0])} is no site of {lattice}; allowed: {form} (lattice.shape = {show(shape)})"
        return
    each = [(site,) if chain else site for site in sites]
    outside = next((k for k, site in enumerate(each) if any(c >= n for c, n in zip(site, shape, strict=True))), None)
    if outside is not None:
        most = show([n - 1 for n in shape]) if not chain else str(shape[0] - 1)
        first = "[0, 0]" if not chain else "0"
        yield (
            f"{told}: {show(sites[outside])} lies outside the lattice; allowed: {first} to {most} (lattice.shape = "
            f"{show(shape)})"
        )
    twice = next((k for k, site in enumerate(each) if site in each[:k]), None) if len(set(each)) < len(each) else None
    if twice is not None:
        yield f"{told}: {show(sites[twice])} is there twice; allowed: each site once"


def fixed_moments_do_not_turn(deck: Any) -> Iterator[str]:
    if deck.magnet.fixed and deck.motion.kind == "precession":
        yield (
            f"magnet.fixed = {show(deck.magnet.fixed)}: an imposed precession turns every moment; allowed: "
            'motion.kind = "llg" or "frozen", or no fixed moments'
        )


CHECKS = (
    gate_in_time,
    jumps_between_steps,
    no_jump_at_first_order,
    tables_of_profiles,
    sites_exist,
    fixed_moments_do_not_turn,
)
