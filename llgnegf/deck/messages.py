"""What is wrong with a key of a deck, in words: its dotted name, its value, what is allowed, the likely spelling."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from llgnegf.deck.rules import NumberOrTable
from llgnegf.deck.synonyms import meant_by
from llgnegf.deck.table import kinds_of
from llgnegf.deck.tables import Root, root, rule_of, table_of


def describe(raw: dict[str, Any], error: ValidationError) -> list[str]:
    """One line for each mistake that the tables found in `raw`."""
    return [_line(raw, _without_tags(found["loc"]), found["type"], found["msg"]) for found in error.errors()]


def close_to(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if any."""
    lower = {k.lower(): k for k in known}
    matches = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return lower[matches[0]] if matches else None


def among(word: str, known: Sequence[str]) -> str:
    """What to say of a word that is none of `known`: which was probably meant, and all of them."""
    likely = close_to(word, known)
    return f"{f'did you mean {likely}? ' if likely else ''}it has {', '.join(known)}"


def dotted(loc: Iterable[str | int]) -> str:
    """("electrons", "lead", 1, "side") -> electrons.lead[1].side; keys that TOML would quote are quoted."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part and all(c.isascii() and (c.isalnum() or c in "_-") for c in part)
            text += ("." if text else "") + (part if bare else json.dumps(part))
    return text


def show(value: Any) -> str:
    """A value as TOML would write it, shortened."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key} = {show(item)}" for key, item in list(value.items())[:4]) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(show(item) for item in value[:12]) + "]"
    elif isinstance(value, int) and value.bit_length() > 256:  # printing it may be refused, and would say nothing
        text = f"a whole number of {value.bit_length()} bits"
    else:
        text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def keys_named(word: str) -> list[str]:
    """The dotted keys that `word` may stand for, as `--set` takes them: itself, its last part, or another name."""
    indexed = _indexed()
    keys = _all_keys()
    plain = re.sub(r"\.\d+(?=\.)|\[\d+\]", "", word)
    found = [key for key in sorted(keys) if key == plain or key.rpartition(".")[2] == plain]
    found = found or list(meant_by(plain.rpartition(".")[2]))
    homes = [key.rpartition(".") for key in found if key not in indexed]  # tables are no keys
    return [f"{indexed.get(home, home)}.{key}" for home, _, key in homes]


def all_keys() -> list[str]:
    """Every dotted key as `--set` takes it, in alphabetical order."""
    indexed = _indexed()
    homes = [key.rpartition(".") for key in sorted(_all_keys()) if key not in indexed]
    return ["title", *(f"{indexed.get(home, home)}.{key}" for home, _, key in homes)]


def _all_keys() -> set[str]:
    keys = {f"{name}.{key}" for name, model, _ in _all_tables() for key in model.model_fields}
    return keys | {f"texture.{key}" for model in Root.TEXTURES.values() for key in model.model_fields}


def _indexed() -> dict[str, str]:
    """Tables, as the keys in them name them: those of which there may be several by the first one."""
    return {name: f"{name}.0" if many else name for name, _, many in _all_tables()}


# --- single keys --------------------------------------------------------------------------------------------------


def _line(raw: dict[str, Any], loc: tuple[str | int, ...], kind: str, message: str) -> str:
    key, value = dotted(loc), _at(raw, loc)
    if kind == "extra_forbidden":
        return _unknown_key(raw, loc)
    if kind == "missing":
        return f"{key} is missing: {_allowed(raw, loc)}"
    if kind == "union_tag_not_found":
        return f"{key}.kind is missing: must be {_kinds(_field(raw, loc))}"
    if kind == "union_tag_invalid":
        likely = close_to(str(value["kind"]), kinds_of(_field(raw, loc)))
        hint = f'; did you mean "{likely}"?' if likely else ""
        return f"{key}.kind = {show(value['kind'])}: must be {_kinds(_field(raw, loc))}{hint}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key} = {show(value)}: must be a table, {_written(loc)}"
    if kind == "tuple_type":
        return f"{key} = {show(value)}: must be a list of tables, each written [[{key}]]"
    if kind == "rule":
        return f"{key} = {show(value)}: {message}"
    raise AssertionError(f"no words for a mistake of type {kind} at {key}")


def _unknown_key(raw: dict[str, Any], loc: tuple[str | int, ...]) -> str:
    word, table = str(loc[-1]), _model(raw, loc[:-1])
    known = list(table.model_fields)
    likely = close_to(word, known)
    homes = [
        f"[[{name}]]" if many else f"[{name}]"
        for name, model, many in _all_tables()
        if word in model.model_fields and model is not table
    ]
    has_kind = len(loc) > 1 and isinstance(loc[-2], str) and bool(kinds_of(_field(raw, loc[:-1])))
    synonyms = _synonyms(raw, word, loc[:-1], known)
    if synonyms:
        hint = f"; did you mean {synonyms}?"
    elif has_kind and (kinds := _kinds_with(raw, loc)):  # the right key of another kind
        hint = f"; it belongs to {loc[-2]}s of kind {kinds}"
    elif homes:  # the right key under the wrong heading
        hint = f"; it belongs in {' or '.join(homes)}"
    elif underscored := [
        (name, key)
        for name, model, _ in _all_tables()
        for key in model.model_fields
        if word in (f"{name}_{key}".replace(".", "_"), f"{name}_{key}")
    ]:
        name, key = underscored[0]
        hint = f"; did you mean {name}.{key}, in Python {name.replace('.', '__')}__{key}?"
    else:
        hint = f'; did you mean "{likely}"?' if likely is not None else ""
    kind = _at(raw, (*loc[:-1], "kind")) if has_kind else None
    scope = f'a {loc[-2]} of kind "{kind}"' if kind else f"[{dotted(loc[:-1])}]" if loc[:-1] else "a deck"
    return f"{dotted(loc)} = {show(_at(raw, loc))}: unknown key{hint} ({scope} knows {', '.join(known)})"


def _kinds_with(raw: dict[str, Any], loc: tuple[str | int, ...]) -> str:
    """The kinds of the table around the unknown key at `loc` that know this key, or nothing."""
    every = kinds_of(_field(raw, loc[:-1])).items()
    found = [f'"{kind}"' for kind, model in every if str(loc[-1]) in model.model_fields]
    return ", ".join(found[:-1]) + (" or " if len(found) > 1 else "") + found[-1] if found else ""


def _synonyms(raw: dict[str, Any], word: str, table: tuple[str | int, ...], known: list[str]) -> str:
    """The keys that `word` is another name for, those of the table it stands in if there are any; or nothing."""
    here = ".".join(part for part in table if isinstance(part, str))
    keys = meant_by(word)
    alike = [key.rpartition(".")[2] for key in keys if key.rpartition(".")[0] == here]
    alike = [key for key in alike if key in known]  # a texture of this kind may not have it
    if alike:
        return " or ".join(f'"{key}"' for key in alike)
    kind = _at(raw, ("texture", "kind"))
    texture = Root.TEXTURES.get(kind) if isinstance(kind, str) else None
    lists = [name for name, _, many in _all_tables() if many]
    words = []
    for home, _, key in (key.rpartition(".") for key in keys):
        if home != "texture" or (texture is not None and key in texture.model_fields):
            words.append(f"{home}{'[0]' * (home in lists)}.{key}" if home else f"[{key}]")
    return " or ".join(words)


def _allowed(raw: dict[str, Any], loc: tuple[str | int, ...]) -> str:
    """What a missing key should hold."""
    field = _field(raw, loc)
    rule = rule_of(field)
    if rule is not None:
        return f"must be {rule.allowed}"
    table, _ = table_of(field, None)
    if table is None or field.discriminator:
        return f"a table {_written(loc)} with kind = {_kinds(field)}"
    needed = ", ".join(name for name, inner in table.model_fields.items() if inner.is_required())
    return f"a table [{dotted(loc)}] with at least {needed}"


def _kinds(field: FieldInfo) -> str:
    *most, last = [f'"{kind}"' for kind in kinds_of(field)]
    return f"{', '.join(most)} or {last}"


def _written(loc: tuple[str | int, ...]) -> str:
    """How a deck writes a table at `loc`: under a heading, or within an item of a list of tables."""
    if isinstance(loc[-1], int):
        return f"[[{dotted(loc[:-1])}]]"
    if any(isinstance(part, int) for part in loc):
        return f"{loc[-1]} = {{...}}"
    return f"[{dotted(loc)}]"


def _without_tags(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Drops what pydantic puts after a key of several kinds.

    Users write texture.width, not texture.bloch_wall.width.
    """
    model: type[BaseModel] | None = root()
    kept: list[str | int] = []
    rest = list(loc)
    while rest:
        part = rest.pop(0)
        kept.append(part)
        if isinstance(part, int) or model is None or part not in model.model_fields:
            continue
        field = model.model_fields[part]
        kinds, rule = kinds_of(field), rule_of(field)
        if kinds:
            model = kinds[str(rest.pop(0))] if rest else None
        elif isinstance(rule, NumberOrTable):
            model = rule.table if rest and rest.pop(0) == "table" else None
        else:
            model = table_of(field, None)[0]
    return tuple(kept)


def _at(raw: Any, loc: tuple[str | int, ...]) -> Any:
    for part in loc:
        if isinstance(part, str):
            raw = raw.get(part) if isinstance(raw, dict) else None
        else:
            raw = raw[part]
    return raw


def _field(raw: dict[str, Any], loc: tuple[str | int, ...]) -> FieldInfo:
    """The key at `loc`."""
    return _model(raw, loc[:-1]).model_fields[str(loc[-1])]


def _model(raw: dict[str, Any], loc: tuple[str | int, ...]) -> type[BaseModel]:
    """The class of the table at `loc`."""
    model: type[BaseModel] = root()
    for i, part in enumerate(loc):
        if isinstance(part, str):
            inner, _ = table_of(model.model_fields[part], _at(raw, loc[: i + 1]))
            assert inner is not None
            model = inner
    return model


def _all_tables(model: type[BaseModel] | None = None, prefix: str = "") -> Iterator[tuple[str, type[BaseModel], bool]]:
    """(dotted name, class, whether there may be several) of every table but the textures."""
    for name, field in (model or root()).model_fields.items():
        inner, many = table_of(field, None)
        if inner is not None and rule_of(field) is None:  # one with a rule is first of all a number
            yield f"{prefix}{name}", inner, many
            yield from _all_tables(inner, f"{prefix}{name}.")
