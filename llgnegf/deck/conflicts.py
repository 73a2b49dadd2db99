"""Keys of a deck that contradict each other, though each is right by itself.

One function for each way to contradict, named in `CHECKS`; it yields one line per mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from llgnegf.beside import integrators
from llgnegf.deck import (
    closed_conflicts,
    drive_conflicts,
    inertial_conflicts,
    noise_conflicts,
    spin_bias_conflicts,
    spin_conflicts,
    tensor_conflicts,
)
from llgnegf.deck.drive_conflicts import MOST_STEPS
from llgnegf.deck.messages import close_to, show
from llgnegf.deck.rules import nearest
from llgnegf.deck.spin_conflicts import LEAST_WIDTH
from llgnegf.deck.tables import METHOD_TABLES, UNUSED, method_table, root, rule_of, table_of


def cross_problems(raw: dict[str, Any]) -> list[str]:
    """One line for each set of keys that contradict each other; keys that are wrong by themselves are left alone."""
    deck = _Known(root(), raw)
    problems: list[str] = []
    for check in CHECKS:
        try:
            problems.extend(check(deck))
        except _Unknown:
            continue  # that key has its own message already
    return problems


# --- the values that are known ----------------------------------------------------------------------------------------


class _Unknown(Exception):
    """The check needs a key that is itself wrong."""


class _Known:
    """The keys of a table that are right by themselves, defaults included; touching another one raises _Unknown."""

    def __init__(self, model: type[BaseModel], raw: dict[str, Any]):
        self.said = frozenset(raw)  # the keys that the deck gives
        for name, field in model.model_fields.items():
            if name not in raw:
                if not field.is_required():
                    setattr(self, name, field.default)
                continue
            value, rule = raw[name], rule_of(field)
            inner, many = table_of(field, value)
            if rule is not None and not (inner is not None and isinstance(value, dict)):
                try:
                    setattr(self, name, rule.parse(value))
                except ValueError:
                    continue
            elif inner is None:
                if not field.discriminator:
                    setattr(self, name, value)  # the kind of a texture, judged already
            elif many and isinstance(value, list) and all(isinstance(item, dict) for item in value):
                setattr(self, name, [_Known(inner, item) for item in value])
            elif not many and isinstance(value, dict):
                setattr(self, name, _Known(inner, value))

    def __getattr__(self, name: str) -> Any:
        raise _Unknown(name)


def _sides(deck: _Known) -> Iterator[str]:
    """At most one lead on each side."""
    if deck.electrons is None:
        return
    seen: dict[str, int] = {}
    for i, lead in enumerate(deck.electrons.lead):
        side = lead.__dict__.get("side")
        if side in seen:
            yield (
                f'electrons.lead[{i}].side = "{side}": electrons.lead[{seen[side]}] is there already; '
                "allowed: one lead on each side"
            )
        elif side is not None:
            seen[side] = i


# Keys of a lead by which it is filled otherwise than the device, with the values that say nothing.
_OF_ITS_OWN = {"voltage": 0.0, "chemical_potential": None, "temperature": None}


def _shown(value: object) -> str:
    """A value of these keys, as it may stand in a deck."""
    return show(value) if isinstance(value, float) else "{amplitude = ..., profile = {...}}"


def _biased_leads(deck: _Known) -> Iterator[str]:
    """Voltages and occupations of leads, where they mean nothing or nothing follows them."""
    if deck.electrons is None:
        return
    turns = deck.motion.__dict__.get("kind") == "precession"
    for i, lead in enumerate(deck.electrons.lead):
        for key, nothing in _OF_ITS_OWN.items():
            value = lead.__dict__.get(key, nothing)
            if value == nothing:
                continue
            told = f"electrons.lead[{i}].{key} = {_shown(value)}: "
            if lead.__dict__.get("coupling") == 0:
                yield f"{told}means nothing without contact, coupling = 0; remove the key, or use a coupling > 0"
            elif deck.electrons.method == "real-time":
                yield from _biased_in_real_time(lead, key, told)
            elif deck.electrons.method != "frozen":
                yield (
                    f"{told}not available with electrons.method = {show(deck.electrons.method)}; remove the key, or "
                    'use electrons.method = "frozen" or "real-time"'
                )
            elif turns:
                yield (
                    f'{told}motion.kind = "precession" splits the torque of electrons in equilibrium; allowed beside '
                    'it: "llg" or "frozen"'
                )


def _biased_in_real_time(lead: _Known, key: str, told: str) -> Iterator[str]:
    """A voltage is switched on and takes the occupation with it: where that would end is not what the key says."""
    if key == "chemical_potential" and lead.__dict__.get("voltage", 0.0) != 0.0:
        yield (
            f"{told}the voltage of the same lead, switched on at t = 0, moves levels and occupation together in real "
            "time, while frozen electrons keep this chemical potential; allowed: one of the two keys on a lead, with "
            "electrons.fermi_energy as the chemical potential of the lead with the voltage, and chemical_potential of "
            "the other lead"
        )


# As `electrons.fitting` has them, which decks do not import.
MOST_PAIRS, MOST_NET_PAIRS = 1_000_000, 40_000


def _bath(deck: _Known) -> Iterator[str]:
    """A bath on sites: with what it is available, and of what size."""
    electrons = deck.electrons
    if electrons is None or electrons.bath is None:
        return
    told = "electrons.bath = {sites = ..., width = ...}: "
    kind = electrons.bath.zero_current
    if electrons.method == "real-time":
        yield from _bath_in_real_time(deck, told)
    elif electrons.method != "frozen":
        yield (
            f"{told}not available with electrons.method = {show(electrons.method)}; remove the key, or use "
            'electrons.method = "frozen" or "real-time"'
        )
    elif deck.motion.__dict__.get("kind") == "precession":
        yield (
            f'{told}motion.kind = "precession" splits the torque of electrons without a bath; allowed beside it: '
            '"llg" or "frozen"'
        )
    elif electrons.order == 1 and kind == "net":
        yield (
            'electrons.bath.zero_current = "net": without the first order in velocities, by which motions pump; '
            "allowed beside it: electrons.order = 0; with order 1: true or false"
        )
    elif electrons.order == 1 and kind is True and all(lead.__dict__.get("coupling") == 0 for lead in electrons.lead):
        yield (
            f"{told}without a lead nothing carries away what a motion pumps into probes; allowed: a lead, "
            "electrons.order = 0, or electrons.bath.zero_current = false"
        )
    width = electrons.bath.__dict__.get("width")
    if width is not None and not LEAST_WIDTH <= width / nearest(electrons.hopping) <= 1e10:
        yield (
            f"electrons.bath.width = {show(width)}: is far out of scale; allowed: {LEAST_WIDTH:g} to 1e10 times "
            f"electrons.hopping = {show(electrons.hopping)}"
        )
    n, sites = math.prod(deck.lattice.shape), electrons.bath.sites
    b = n if sites == "all" else len(sites)
    most = MOST_NET_PAIRS if kind == "net" else MOST_PAIRS
    if electrons.method == "frozen" and n * b > most:
        yield (
            f"electrons.bath.sites: a bath on {b} of {n} sites; allowed: a product of the two up to {most}, for "
            "the bath on each site fills all others"
        )


def _bath_in_real_time(deck: _Known, told: str) -> Iterator[str]:
    """What a bath excludes beside electrons in real time."""
    electrons = deck.electrons
    if electrons.bath.zero_current is True:
        yield (
            "electrons.bath.zero_current = true: a probe without current at any energy is one of steady states; "
            'allowed with electrons.method = "real-time": "net" or false'
        )
    if deck.run.device == "gpu":
        yield f'{told}not available with run.device = "gpu"; allowed: "cpu"'
    if not electrons.frozen_beside:
        return
    if electrons.bath.zero_current == "net" or deck.motion.kind == "precession":
        yield (
            "electrons.frozen_beside = true: frozen electrons of first order with a bath have neither zero_current = "
            '"net" nor motion.kind = "precession"; allowed: false'
        )


def _gate_columns(deck: _Known) -> Iterator[str]:
    if deck.electrons is None:
        return
    nx = deck.lattice.shape[0]
    for i, gate in enumerate(deck.electrons.gate):
        outside = [column for column in gate.__dict__.get("columns", ()) if column >= nx]
        if outside:
            yield (
                f"electrons.gate[{i}].columns = {show(gate.columns)}: {show(outside)} lies outside the lattice; "
                f"allowed: 0 to {nx - 1} (lattice.shape = {show(deck.lattice.shape)})"
            )


def _energies_in_scale(deck: _Known) -> Iterator[str]:
    """Beyond this double precision loses the hopping, and numbers would come out that mean nothing."""
    electrons = deck.electrons
    if electrons is None:
        return
    hopping = nearest(electrons.hopping)
    found = {f"electrons.{key}": electrons.__dict__.get(key) for key in ("onsite", "fermi_energy", "sd_exchange")}
    if not isinstance(found["electrons.sd_exchange"], float):
        del found["electrons.sd_exchange"]  # its file is judged when it is read
    found["electrons.disorder.amplitude"] = electrons.disorder.__dict__.get("amplitude")
    for key in ("rashba", "dresselhaus"):
        found[f"electrons.spin_orbit.{key}"] = electrons.spin_orbit.__dict__.get(key)
    for key in spin_conflicts.HOPPINGS:
        vector = electrons.spin_hopping.__dict__.get(key)
        found[f"electrons.spin_hopping.{key}"] = None if vector is None else max(vector, key=abs)
    for i, lead in enumerate(electrons.lead):
        polarization = getattr(lead.__dict__.get("polarization"), "__dict__", {})
        found[f"electrons.lead[{i}].polarization.splitting"] = polarization.get("splitting")
        spin_bias = getattr(lead.__dict__.get("spin_bias"), "__dict__", {})
        found[f"electrons.lead[{i}].spin_bias.difference"] = spin_bias.get("difference")
        for key in ("coupling", "voltage", "chemical_potential", "hopping"):
            value = lead.__dict__.get(key)
            table = getattr(value, "__dict__", None)
            name = f"electrons.lead[{i}].{key}" + (".amplitude" if table is not None else "")
            found[name] = value if table is None else table.get("amplitude")
    for i, gate in enumerate(electrons.gate):
        found[f"electrons.gate[{i}].amplitude"] = gate.__dict__.get("amplitude")
    if not isinstance(electrons.hopping, float):
        found |= {f"electrons.hopping[{k}]": value for k, value in enumerate(electrons.hopping)}
    for key, value in found.items():
        if value is not None and abs(value) > 1e10 * hopping:
            yield (
                f"{key} = {show(value)}: is far out of scale; allowed: up to 1e10 times electrons.hopping = "
                f"{show(hopping)}"
            )


def _lattice_precession(deck: _Known) -> Iterator[str]:
    if deck.electrons is None or (deck.electrons.method == "real-time" and not deck.electrons.frozen_beside):
        return
    if deck.motion.kind == "precession" and len(deck.lattice.shape) == 2:
        yield (
            'motion.kind = "precession": its currents by origin and its exact reference are those of a chain; allowed '
            f'with electrons on lattice.shape = {show(deck.lattice.shape)}: "llg" or "frozen"'
        )


def _periodic_edges(deck: _Known) -> Iterator[str]:
    value, chain = deck.lattice.periodic, len(deck.lattice.shape) == 1
    electrons = deck.__dict__.get("electrons", 0) is not None
    allowed: tuple[bool | str, ...]
    if electrons and closed_conflicts.wraps_x(value):
        return  # closed_conflicts
    if electrons:
        allowed = (False,) if chain else (False, "y")
        reason = "a chain has no y"
    else:
        allowed = (False, True, "x") if chain else (False, "x", "y", "xy")
        reason = "a chain has no y" if chain else "name the periodic axes of a square lattice"
    if value not in allowed:
        lattice = "a chain" if chain else "a square lattice"
        beside = "with electrons" if electrons else "without electrons"
        yield (
            f"lattice.periodic = {show(value)}: {reason}; allowed for {lattice} {beside}: "
            f"{', '.join(show(option) for option in allowed)}"
        )


def _skyrmion_fits(deck: _Known) -> Iterator[str]:
    if deck.texture.kind != "skyrmion":
        return
    shape = deck.lattice.shape
    if len(shape) == 1:
        yield f'texture.kind = "skyrmion": needs a square lattice; allowed: lattice.shape = [nx, ny], not {show(shape)}'
    elif 2 * deck.texture.radius > min(shape):
        yield (
            f"texture.radius = {show(deck.texture.radius)}: the skyrmion is wider than the lattice {show(shape)}; "
            f"allowed: a number > 0 and <= {show(min(shape) / 2)}"
        )
    center = deck.texture.center
    if len(shape) == 2 and center and not all(0 <= c <= n - 1 for c, n in zip(center, shape, strict=True)):
        yield (
            f"texture.center = {show(list(center))}: the skyrmion is not on the lattice {show(shape)}; allowed: "
            f"[x, y] with 0 <= x <= {shape[0] - 1} and 0 <= y <= {shape[1] - 1}"
        )


def _directions_of_all_columns(deck: _Known) -> Iterator[str]:
    if deck.texture.kind == "columns":
        given, nx = len(deck.texture.directions), deck.lattice.shape[0]
        if given != nx:
            yield (
                f"texture.directions: {given} vectors; allowed: one for each x, {nx} (lattice.shape = "
                f"{show(deck.lattice.shape)})"
            )


def _bloch_needs_an_axis_across_x(deck: _Known) -> Iterator[str]:
    """The plane across x, in which it turns, has to hold its domains."""
    axis = deck.magnet.easy_axis
    if deck.texture.kind == "bloch" and abs(axis[0]) > 1e-9 * math.hypot(*axis):
        yield (
            f'texture.kind = "bloch": turns in the plane across x, but its domains lie along magnet.easy_axis = '
            f'{show(list(axis))}; allowed: an easy axis [0, y, z], or kind = "neel", which turns about any easy axis'
        )


def _chain_has_no_y(deck: _Known) -> Iterator[str]:
    if deck.texture.kind == "spiral" and deck.texture.axis == "y" and len(deck.lattice.shape) == 1:
        yield 'texture.axis = "y": a chain has no y; allowed: "x"'


def _zhang_li_on_a_chain(deck: _Known) -> Iterator[str]:
    if deck.magnet.zhang_li is not None and len(deck.lattice.shape) == 1 and deck.magnet.zhang_li.velocity[1] != 0:
        velocity = deck.magnet.zhang_li.velocity
        yield f"magnet.zhang_li.velocity = {show(velocity)}: a chain has no y; allowed: [{velocity[0]}, 0]"


def _plain(value: Any) -> Any:
    """A value as numbers and dicts, tables by what they say."""
    given = getattr(value, "__dict__", None)
    return value if given is None else {key: _plain(one) for key, one in given.items() if key != "said"}


def _one_current(deck: _Known) -> Iterator[str]:
    """The torque of a current on the moments comes from the electrons, or from Zhang and Li's formula."""
    zhang_li, table = deck.magnet.zhang_li, deck.electrons
    if zhang_li is None or table is None or not any(zhang_li.velocity) or table.back_action == 0:
        return
    connected = [i for i, lead in enumerate(table.lead) if lead.__dict__.get("coupling") != 0]
    if len(connected) < 2:
        return
    given = all(table.lead[i].__dict__.get("chemical_potential") is not None for i in connected)
    for key, nothing in _OF_ITS_OWN.items():
        if key == "voltage" and given:
            continue  # moves levels alone
        left, right = (_plain(table.lead[i].__dict__.get(key, nothing)) for i in connected[:2])
        if left != right:
            driving = f"electrons.lead[{connected[left == nothing]}].{key}"
            yield (
                f"magnet.zhang_li.velocity = {show(list(zhang_li.velocity))}: {driving} drives a current too, whose "
                "torque the electrons exert on the moments already; Zhang and Li's formula stands for the same torque, "
                "and both together would count it twice; allowed: one of the two, or electrons.back_action = 0.0, with "
                "which the electrons only watch"
            )
            return


def _precession_keys(deck: _Known) -> Iterator[str]:
    """axis and frequency are needed by a precession; another motion may keep them for later and does not use them."""
    if deck.motion.kind != "precession":
        return
    for key, allowed in {"axis": "three numbers [x, y, z], not all zero", "frequency": "a finite number"}.items():
        if deck.motion.__dict__.get(key, _Unknown) is None:  # _Unknown: given, but wrong by itself
            yield f'motion.{key} is missing: kind = "precession" needs {allowed}'


def _registered_method(deck: _Known) -> Iterator[str]:
    method, known = deck.integrator.method, integrators.METHODS
    if method not in known:
        likely = close_to(method, known)
        hint = f'; did you mean "{likely}"?' if likely else ""
        yield f"integrator.method = {show(method)}: must be one of {', '.join(map(show, known))}{hint}"


def _electrons_method(deck: _Known) -> Iterator[str]:
    """One that there is, with the table that it needs and no other method's."""
    method = deck.electrons.method if deck.electrons is not None else None
    if method is not None and method not in METHOD_TABLES:
        likely = close_to(method, METHOD_TABLES)
        hint = f'; did you mean "{likely}"?' if likely else ""
        yield f"electrons.method = {show(method)}: must be {' or '.join(map(show, METHOD_TABLES))}{hint}"
        return
    for other, table in METHOD_TABLES.items():
        name = method_table(other)
        if table is None:
            continue
        given = deck.__dict__.get(name, _Unknown)  # _Unknown: there, but wrong by itself
        needed = [key for key, field in table.model_fields.items() if field.is_required()]
        if other == method and given is None and needed:
            yield f"electrons.method = {show(method)}: needs a table [{name}] with at least {', '.join(needed)}"
        elif other != method and given is not None:
            yield f"[{name}]: belongs to electrons.method = {show(other)}; remove the table, or choose that method"


def _unused_keys(deck: _Known) -> Iterator[str]:
    """Keys that mean nothing to a method would look as if they did."""
    table = deck.electrons
    if table is None:
        return
    for key in UNUSED.get(table.method, ()):
        if key in table.said and (key != "frozen_beside" or table.frozen_beside):
            allowed = next(show(other) for other, unused in UNUSED.items() if key not in unused)
            yield (
                f"electrons.{key} = {show(getattr(table, key))}: means nothing with electrons.method = "
                f"{show(table.method)}; remove the key, or use electrons.method = {allowed}"
            )


def _real_time_refresh(deck: _Known) -> Iterator[str]:
    """Electrons that move are part of every stage."""
    if deck.electrons is None or deck.electrons.method != "real-time":
        return
    if deck.integrator.electrons not in ("stage", "adaptive"):
        yield (
            f"integrator.electrons = {show(deck.integrator.electrons)}: electrons in real time move with the moments; "
            'allowed with electrons.method = "real-time": "stage" (steps as they are) or "adaptive" (divided as '
            "electrons.tolerance needs)"
        )


def _varying_voltage(deck: _Known) -> Iterator[str]:
    """What frozen electrons cannot follow where voltages change, or drive a current."""
    table = deck.electrons
    if table is None:
        return
    for i, lead in enumerate(table.lead):
        voltage = lead.__dict__.get("voltage", 0.0)
        mu = lead.__dict__.get("chemical_potential")
        own = [key for key, nothing in _OF_ITS_OWN.items() if lead.__dict__.get(key, nothing) != nothing]
        if not own or (voltage == 0.0 and table.method == "frozen"):
            continue
        if table.method == "frozen" and table.order == 1 and not isinstance(voltage, float) and mu is not None:
            yield (
                f"electrons.lead[{i}].chemical_potential = {show(mu)}: frozen electrons of first order follow a "
                "voltage that changes, by which levels and occupation of the lead move together; allowed beside "
                f"electrons.lead[{i}].voltage = {_shown(voltage)}: no chemical_potential, or electrons.order = 0"
            )
        elif table.method == "real-time" and table.frozen_beside and deck.motion.kind == "precession":
            yield (
                f"electrons.frozen_beside = true: the frozen parts of a precession are those of electrons in "
                f"equilibrium, and electrons.lead[{i}] has a {own[0]}; allowed: false, a lead without it, or "
                'motion.kind = "llg" or "frozen"'
            )
            return


def _gpu_for_real_time(deck: _Known) -> Iterator[str]:
    """Nothing else has kernels for a GPU."""
    fits = deck.electrons is not None and deck.electrons.method == "real-time" and len(deck.lattice.shape) == 2
    if deck.run.device == "gpu" and not fits:
        yield (
            'run.device = "gpu": moves electrons in real time on square lattices; allowed here: "cpu", or '
            'electrons.method = "real-time" with lattice.shape = [nx, ny]'
        )


def _whole_steps(deck: _Known, key: str, smallest: int) -> Iterator[str]:
    value, step = getattr(deck.run, key), deck.integrator.step
    if value is None:
        return
    ratio = value / step
    if not ratio < MOST_STEPS:
        yield f"run.{key} = {show(value)}: too many steps; allowed: less than 2^53 of integrator.step = {show(step)}"
    elif round(ratio) < smallest or (value and not round(ratio)) or abs(ratio - round(ratio)) > 1e-9 * max(1.0, ratio):
        below, above = math.floor(ratio), math.ceil(ratio)
        near = " or ".join(f"{n * step:.12g}" for n in (below, above) if n >= smallest)
        yield f"run.{key} = {show(value)}: must be a multiple of integrator.step = {show(step)}; nearest: {near}"


def _duration(deck: _Known) -> Iterator[str]:
    return _whole_steps(deck, "duration", smallest=0)


def _save_every(deck: _Known) -> Iterator[str]:
    return _whole_steps(deck, "save_every", smallest=1)


CHECKS: tuple[Callable[[_Known], Iterator[str]], ...] = (
    _lattice_precession,
    _periodic_edges,
    _skyrmion_fits,
    _directions_of_all_columns,
    _bloch_needs_an_axis_across_x,
    _chain_has_no_y,
    _zhang_li_on_a_chain,
    _sides,
    _biased_leads,
    _bath,
    _one_current,
    _gate_columns,
    _energies_in_scale,
    _precession_keys,
    _registered_method,
    _electrons_method,
    _unused_keys,
    _real_time_refresh,
    _varying_voltage,
    _gpu_for_real_time,
    _duration,
    _save_every,
    *drive_conflicts.CHECKS,
    *spin_conflicts.CHECKS,
    *spin_bias_conflicts.CHECKS,
    *noise_conflicts.CHECKS,
    *inertial_conflicts.CHECKS,
    *tensor_conflicts.CHECKS,
    *closed_conflicts.CHECKS,
)
