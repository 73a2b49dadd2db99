"""The reference of all keys of a deck, from its tables: every key with type, default, what is allowed, unit, meaning.

Types, defaults and what is allowed come from `llgnegf.deck.tables` and the rules there, meanings from the list of all
keys in docs/decks.md, which the tests hold against the tables.  Units are here: a number without one is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from outside_links import GENERATED, rewritten
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from llgnegf.deck.rules import BOOLEAN, DIRECTION, DIRECTIONS, NAME, TEXT, NumberOrTable, Rule
from llgnegf.deck.table import kinds_of
from llgnegf.deck.tables import Gate, Root, root, rule_of, table_of

DECKS = Path(__file__).resolve().parents[1] / "decks.md"

ENERGY, TIME, RATE = "energy", "hbar/energy", "energy/hbar"
LENGTH, POSITION, ANGLE, NO_UNIT = "lattice constants", "index coordinates", "radians", "none"
# The units of keys whose values are numbers, by their dotted names.
UNITS = {
    "units.energy": "eV",
    "magnet.spin": "hbar",
    **dict.fromkeys(("exchange", "dmi", "anisotropy", "hard_anisotropy", "field", "magnet.temperature"), ENERGY),
    "magnet.inertia": TIME,
    "motion.velocity": RATE,
    **dict.fromkeys(("damping", "zhang_li.beta"), NO_UNIT),
    "zhang_li.velocity": "lattice constants energy/hbar",
    "drive.amplitude": ENERGY,
    **dict.fromkeys(("hopping", "onsite", "sd_exchange", "fermi_energy", "electrons.temperature"), ENERGY),
    **dict.fromkeys(("rashba", "dresselhaus", "splitting"), ENERGY),
    **dict.fromkeys(("along_x", "along_y", "imaginary_x", "imaginary_y"), ENERGY),
    **dict.fromkeys(("tolerance", "velocity_tolerance", "back_action"), NO_UNIT),
    **dict.fromkeys(("disorder.amplitude", "gate.amplitude", "voltage.amplitude"), ENERGY),
    **dict.fromkeys(("lead.coupling", "lead.voltage", "chemical_potential", "lead.temperature", "bath.width"), ENERGY),
    "lead.width": ENERGY,
    **dict.fromkeys(("molecule.levels", "spin_orbit", "widths", "spin_bias", "molecule.temperature"), ENERGY),
    "polarization": NO_UNIT,
    "gate.frequency": RATE,
    "gate.phase": ANGLE,
    "motion.frequency": RATE,
    **dict.fromkeys(("integrator.step", "run.duration", "run.save_every"), TIME),
    # textures
    "center": POSITION,
    **dict.fromkeys(("width", "radius", "wall_width", "spiral.period"), LENGTH),
    **dict.fromkeys(("helicity", "phase"), ANGLE),
    # profiles
    **dict.fromkeys(("cosine.frequency", "chirp.from", "chirp.to"), RATE),
    **dict.fromkeys(("start", "duration", "pulse.center", "pulse.width", "square.period", "times"), TIME),
    **dict.fromkeys(("duty", "values"), NO_UNIT),
}
_WORDS = {float: "number", int: "whole number", str: "text", bool: "boolean"}


def meanings() -> dict[str, str]:
    """By dotted name: what a key means, from the list of all keys in docs/decks.md."""
    text = DECKS.read_text(encoding="utf-8").replace("](#", "](decks.md#")
    text = rewritten(text, DECKS, GENERATED / "deck_reference.md")
    section = text[text.index("## All keys") : text.index("## Textures")]
    found: dict[str, str] = {}
    for row in section.splitlines():
        if row.startswith("| `"):
            names, _, meaning = (cell.strip() for cell in row.strip("| ").split("|", 2))
            keys = re.findall(r"`([^`]+)`", names)
            parts = re.split(r", (?![^(]*\))", meaning)
            found |= zip(keys, parts, strict=True) if len(keys) == len(parts) > 1 else dict.fromkeys(keys, meaning)
    return found


def unit_of(name: str, key: FieldInfo) -> str:
    """The unit of the key with this dotted name.  Raises KeyError for a number that has none in `UNITS`."""
    for tail in (name.split(".", i)[-1] for i in range(name.count(".") + 1)):  # the longest name first
        if tail in UNITS:
            return UNITS[tail]
    rule = rule_of(key)
    is_number = float in _kinds(key.annotation) and rule not in (BOOLEAN, DIRECTION, DIRECTIONS, NAME, TEXT)
    if is_number:
        raise KeyError(f"{name}: a number without a unit; add one to UNITS in docs/extensions/deck_reference.py")
    return ""


def _kinds(annotation: Any) -> set[Any]:
    """The plain types within an annotation."""
    inside = get_args(annotation)
    return {annotation} if not inside else set().union(*(_kinds(one) for one in inside))


def type_of(key: FieldInfo) -> str:
    """What a key holds, in words: "number", "list of numbers", "number or table"."""
    plain = [_WORDS[one] for one in (bool, int, float, str) if one in _kinds(key.annotation)]
    words = " or ".join(plain)
    if "tuple" in str(key.annotation):
        inside = [one for one in plain if one != "text"] or plain
        words = "list of lists" if "tuple[tuple" in str(key.annotation) else f"list of {inside[-1]}s"
        if str in get_args(key.annotation):
            words = f"text or {words}"
    return f"{words} or table" if isinstance(rule_of(key), NumberOrTable) else words


def default_of(key: FieldInfo) -> str:
    """The default of a key as a deck would have it."""
    if key.is_required():
        return "required"
    value = key.get_default(call_default_factory=True)
    return "" if value is None else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return str(value)


def rows(table: type[BaseModel], prefix: str, meaning: dict[str, str] | None) -> Iterator[str]:
    """One line of Markdown for each key of a table, but for tables in it; meaning: None where the docstring has it."""
    for name, key in table.model_fields.items():
        rule = rule_of(key)
        if rule is None and not key.discriminator:  # a table, which has a section of its own, or its `kind`
            continue
        dotted = f"{prefix}.{name}" if prefix else name
        if rule is None:
            where = "texture" if name == "texture" else "profiles"
            cells = [f"`{name}`", "table", default_of(key), f"[by its kind](#{where}-by-kind)", ""]
        else:
            cells = [f"`{name}`", type_of(key), default_of(key), _allowed(rule), unit_of(dotted, key)]
        if meaning is not None:
            cells.append(meaning[f"{dotted}.kind" if name == "texture" else dotted])
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def _allowed(rule: Rule) -> str:
    return rule.allowed.replace("[", r"\[").replace("<", "&lt;")


def section(title: str, table: type[BaseModel], prefix: str, meaning: dict[str, str] | None, level: int = 2) -> str:
    """A table of a deck: heading, docstring, keys."""
    head = ["key", "type", "default", "allowed", "unit", *(["meaning"] if meaning is not None else [])]
    text = f"\n{'#' * level} {title}\n\n{_prose(table)}\n"
    keys = "".join(rows(table, prefix, meaning))
    return text + (f"\n| {' | '.join(head)} |\n{'|---' * len(head)}|\n{keys}" if keys else "")


def _prose(table: type[BaseModel]) -> str:
    text = re.sub(r"^\[+[\w.]+\]+:? ?", "", (table.__doc__ or "").strip())
    text = re.sub(r"\n[ ]+", "\n", re.sub(r"^[a-z]+ ", lambda word: word[0].capitalize(), text))
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(one if one.startswith("`") else re.sub(r"([*_<|\[\]])", r"\\\1", one) for one in parts)


def sections(table: type[BaseModel], prefix: str, meaning: dict[str, str]) -> Iterator[str]:
    """The tables within a table, each with its heading, in the order of the deck."""
    for name, key in table.model_fields.items():
        inside, is_list = table_of(key, None)
        if inside is None or key.discriminator:
            continue
        dotted = f"{prefix}.{name}" if prefix else name
        yield section(f"`[[{dotted}]]`" if is_list else f"`[{dotted}]`", inside, dotted, meaning)
        yield from sections(inside, dotted, meaning)


def kinds(title: str, words: str, tables: dict[str, type[BaseModel]]) -> str:
    """The tables that one key may hold, by their `kind`."""
    text = f"\n## {title}\n\n{words}\n"
    for kind, table in tables.items():
        text += section(f'`kind = "{kind}"`', table, kind, None, level=3)
    return text


def deck_reference() -> str:
    """The whole page, as Markdown."""
    meaning = meanings()
    top = section("Top level", Root, "", meaning)
    text = """# Deck reference

Every key of a deck, made from the tables with which decks are checked (`llgnegf/deck/tables.py`). "energy" stands for
`units.energy`; hbar = 1. [Decks](../decks.md) explains what belongs together, and
[units and signs](../conventions.md) the conventions; `llgnegf schema` writes the same as a JSON schema, for editors.
Tables with double brackets may come several times.
"""
    tables = root()
    text += top + "".join(sections(tables, "", meaning))
    text += kinds("Texture by kind", "The moments at the beginning. `kind` is required.", dict(Root.TEXTURES))
    profiles = kinds_of(Gate.model_fields["profile"])
    words = (
        "`profile = {kind = ..., ...}` of gates, driven fields, the Zhang-Li current and voltages: a function g(t) "
        "without dimension. `kind` is required."
    )
    return text + kinds("Profiles by kind", words, profiles)
