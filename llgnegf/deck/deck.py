"""Decks: reading, overriding and judging the TOML description of a run.

A wrong deck raises `DeckError` with every mistake at once, one line each: the dotted key, the value, what is allowed
and, for an unknown key, the likely one.  The tables themselves are in `tables.py`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llgnegf.deck.conflicts import cross_problems
from llgnegf.deck.edit import edited
from llgnegf.deck.messages import close_to, describe, show
from llgnegf.deck.profile_files import profiles_read
from llgnegf.deck.rules import PLANE_VECTOR
from llgnegf.deck.shipped import shipped_decks
from llgnegf.deck.tables import (
    UNUSED,
    Electrons,
    FromFile,
    Integrator,
    Lattice,
    Magnet,
    Molecule,
    Motion,
    NumbersFile,
    Root,
    RunTable,
    Table,
    Texture,
    Units,
    method_table,
    root,
    rule_of,
)
from llgnegf.errors import DeckError
from llgnegf.once import cached_property
from llgnegf.regular_files import is_hdf5

# These may change when a run is resumed: what has been computed stays what it would have been.
FREE_ON_RESUME = {"title", "run.duration", "run.save_every", "run.checkpoint_every", "run.device"}
# Bytes.  What is larger was not meant to be a deck, and is not read to its end to find out.
LARGEST_DECK = 2**24


@dataclass(frozen=True)
class Deck:
    """A valid deck.  Tables as attributes, defaults filled in; `text` is the TOML as run, comments included.

    method_table: that of the deck's `electrons.method`, where it has one.  run_file: the run that this deck was read
    from; numbers that the run had from other files are taken from it, since those files may have changed.
    """

    title: str
    units: Units
    lattice: Lattice
    texture: Texture
    magnet: Magnet
    electrons: Electrons | None
    molecule: Molecule | None
    motion: Motion
    integrator: Integrator
    run: RunTable
    text: str
    folder: Path
    name: str
    method_table: Table | None = None
    run_file: Path | None = field(default=None, compare=False)

    @cached_property
    def n_steps(self) -> int:
        """Steps in the whole run."""
        return round(self.run.duration / self.integrator.step)

    @cached_property
    def save_interval_steps(self) -> int:
        """Steps between two frames of the run file."""
        assert self.run.save_every is not None  # filled in by parse_deck
        return round(self.run.save_every / self.integrator.step)

    @property
    def n_frames(self) -> int:
        """Frames of the run file, the initial state included."""
        return 1 + self.frames_after(0)

    def frames_after(self, step: int) -> int:
        """Frames yet to come after so many steps: every `run.save_every`, and the last state if it is none of these."""
        return -(-self.n_steps // self.save_interval_steps) - step // self.save_interval_steps

    @property
    def is_known_beforehand(self) -> bool:
        """Whether nothing is integrated: the motion is imposed, and electrons, if any, follow from where it is."""
        return self.motion.is_imposed and (self.electrons is None or self.electrons.method != "real-time")

    @property
    def units_energy_ev(self) -> float:
        """The unit of energy, in eV."""
        return self.units.energy_ev

    @property
    def texture_path(self) -> Path | None:
        """Where the texture is read from: its `path` seen from the folder of the deck; None for other textures."""
        return self.path_of(self.texture.path) if isinstance(self.texture, FromFile) else None

    @property
    def site_files(self) -> dict[str, Path]:
        """By the key that names it, each file of numbers or vectors for the sites, seen from the folder of the deck."""
        electrons = self.electrons
        exchange = electrons.sd_exchange if electrons is not None else None
        vacancies, inertia, velocity = self.lattice.vacancies, self.magnet.inertia, self.motion.velocity
        named = {
            "electrons.potential": electrons.potential if electrons is not None else None,
            "electrons.sd_exchange.file": exchange.file if isinstance(exchange, NumbersFile) else None,
            "lattice.vacancies": vacancies if isinstance(vacancies, str) else None,
            "magnet.inertia.file": inertia.file if isinstance(inertia, NumbersFile) else None,
            "motion.velocity.file": velocity.file if isinstance(velocity, NumbersFile) else None,
        }
        return {key: self.path_of(name) for key, name in named.items() if name is not None}

    @property
    def files(self) -> dict[str, Path]:
        """By the key that names it, each file that the deck is read with: `site_files`, and that of its texture."""
        texture = self.texture_path
        return self.site_files | ({} if texture is None else {"texture.path": texture})

    def path_of(self, name: str) -> Path:
        """A file that the deck names, seen from the folder of the deck."""
        return self.folder / Path(name).expanduser()

    def tables(self) -> dict[str, Any]:
        """Everything the deck says, defaults included, as nested plain dictionaries."""
        tables: dict[str, Any] = {"title": self.title}
        for name in Root.model_fields:
            if name != "title":
                table = getattr(self, name)
                tables[name] = None if table is None else table.model_dump()
        if self.electrons is not None:
            tables["electrons"].update(dict.fromkeys(UNUSED.get(self.electrons.method, ())))
            for gate in tables["electrons"]["gate"]:
                if gate["profile"] is not None:
                    gate["phase"] = None  # of the cosine that it is not
        if self.electrons is not None and self.method_table is not None:
            tables[method_table(self.electrons.method)] = self.method_table.model_dump()
        return tables


def load_deck(path_or_name: str | Path, overrides: Mapping[str, object] | None = None, **kw: object) -> Deck:
    """The deck of a file, or a shipped one by name.

    `overrides` maps dotted keys to values, list indices included ("electrons.lead.0.coupling"); keyword arguments say
    the same with double underscores for dots (`electrons__temperature=0.01`).  A key that the deck does not have is
    created, then judged like the rest.  Relative paths count from the folder of the file, those given for a shipped
    deck from the current one.

    Raises DeckError: no such deck, unreadable file, broken TOML, or any mistake in the deck (all of them at once).
    """
    if isinstance(path_or_name, Mapping):
        raise DeckError("load_deck takes a file or the name of a shipped deck; a dictionary is read by deck_from")
    path, folder = _locate(path_or_name)
    changes = {**(overrides or {}), **{key.replace("__", "."): value for key, value in kw.items()}}
    return parse_deck(_read(path), folder=folder, name=path.stem, overrides=changes, source=str(path))


def deck_from(tables: Mapping[str, Any], folder: str | Path = ".", name: str = "deck", **kw: object) -> Deck:
    """The deck of nested dictionaries with the keys of a TOML deck, such as {"lattice": {"shape": [7]}, ...}.

    Dotted keys ("magnet.damping") and arrays of NumPy may be among them; None leaves a key at its default, so that
    `deck_from(deck.tables())` is the deck again.  `folder`: what relative paths in the deck count from; `name`: of the
    deck and, if nothing else is said, of its run file.  Keyword arguments as in `load_deck`.
    Raises DeckError with all mistakes at once.
    """
    if not isinstance(tables, Mapping):
        raise DeckError(
            f"deck_from takes a dictionary of tables, got {type(tables).__name__}; a file or a shipped deck is read by "
            "load_deck"
        )
    if not isinstance(folder, str | Path):
        raise DeckError(
            f"folder = {folder!r}: must be the folder that relative paths in the deck count from; keys are changed by "
            "keyword arguments such as magnet__damping=0.1"
        )
    given = {**tables, **{key.replace("__", "."): value for key, value in kw.items()}}
    wrong = [f"{key!r}: the keys of a deck are texts" for key in given if not isinstance(key, str)]
    if wrong:
        raise DeckError(wrong)
    text, _ = edited("", {}, _without_none(given))
    return parse_deck(text, folder=folder, name=name)


def _without_none(value: Any) -> Any:
    """TOML has no null: what is None is left out."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value


def parse_deck(
    text: str,
    folder: str | Path = ".",
    name: str = "deck",
    overrides: Mapping[str, object] | None = None,
    source: str | None = None,
) -> Deck:
    """The deck written in `text`; `source` names it in messages about broken TOML.

    Tables of profiles are read from their files: the deck holds their numbers.  Raises DeckError.
    """
    raw = _parse_toml(text, source or name)
    if overrides:
        text, raw = edited(text, raw, overrides)
    tables = _judged(raw)
    read = profiles_read(tables, Path(folder))
    if read:
        text, raw = edited(text, raw, read)
        tables = _judged(raw)
    run = tables.run
    return Deck(
        title=tables.title,
        units=tables.units,
        lattice=tables.lattice,
        texture=_centred(tables.texture, tables.lattice.shape),
        magnet=tables.magnet,
        electrons=tables.electrons,
        molecule=tables.molecule,
        motion=tables.motion,
        integrator=tables.integrator,
        run=run if run.save_every else run.model_copy(update={"save_every": tables.integrator.step}),
        text=text,
        folder=Path(folder).resolve(),
        name=name,
        method_table=getattr(tables, method_table(tables.electrons.method), None) if tables.electrons else None,
    )


def with_changes(deck: Deck, overrides: Mapping[str, object]) -> Deck:
    """The deck with these dotted keys changed, of the same run file, if it is of one.  DeckError as `parse_deck`."""
    return replace(parse_deck(deck.text, deck.folder, deck.name, overrides), run_file=deck.run_file)


def _judged(raw: dict[str, Any]) -> Root:
    """The tables of a deck; DeckError with all that is wrong."""
    try:
        tables = root().model_validate(raw)
    except ValidationError as error:
        raise DeckError([*describe(raw, error), *cross_problems(raw)]) from None
    problems = cross_problems(raw)
    if problems:
        raise DeckError(problems)
    return tables


def with_refresh(deck: Deck, refresh: str) -> Deck:
    """The deck, whose text says `refresh` for integrator.electrons where it said nothing and electrons may act.

    A run file holds such a text, and so means the same to a version with another default.
    """
    if deck.electrons is None or deck.motion.is_imposed or "electrons" in deck.integrator.model_fields_set:
        return deck
    text, _ = edited(deck.text, tomllib.loads(deck.text), {"integrator.electrons": refresh})
    return replace(deck, text=text, integrator=deck.integrator.model_copy(update={"electrons": refresh}))


def recorded_deck(text: str, folder: str | Path = ".", name: str = "deck") -> Deck:
    """The deck in a run file or a checkpoint.  DeckError as for `parse_deck`.

    Texts that say nothing of integrator.electrons were written when every stage was the default.
    """
    return with_refresh(parse_deck(text, folder, name), "stage")


def changes_past(old: Deck, new: Deck) -> dict[str, tuple[str, str]]:
    """Dotted keys that a resumed run may not change and in which `new` differs from `old`, with both values as text."""
    before, after = leaves(old.tables()), leaves(new.tables())
    absent = object()
    changed = {}
    for key in dict.fromkeys([*before, *after]):
        values = before.get(key, absent), after.get(key, absent)
        if values[0] != values[1] and key not in FREE_ON_RESUME:
            one, other = ("absent" if value is absent or value is None else show(value) for value in values)
            changed[key] = one, other
    return changed


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """What tables within tables hold, by dotted key; of a list of tables with the number of each: "a[0].b"."""
    if isinstance(value, Mapping):
        items = [(f"{prefix}.{key}" if prefix else str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        items = [(f"{prefix}[{i}]", item) for i, item in enumerate(value)]
    else:
        return {prefix: value}
    return {key: leaf for name, item in items for key, leaf in leaves(item, name).items()}


def _centred(texture: Texture, shape: tuple[int, ...]) -> Texture:
    """The texture with its `center` filled in: the middle of the lattice unless the deck says otherwise.

    The rule of the key tells whether it is a point [x, y] or the x of a wall.
    """
    if getattr(texture, "center", 0.0) is not None:
        return texture
    middle = tuple((n - 1) / 2 for n in shape)
    is_point = rule_of(type(texture).model_fields["center"]) is PLANE_VECTOR
    return texture.model_copy(update={"center": middle if is_point else middle[0]})


def _locate(path_or_name: str | Path) -> tuple[Path, Path]:
    """The file meant by a path or by the name of a shipped deck, and what its relative paths count from.

    A file wins over a name.  A shipped deck names no files: those that a user adds lie where the user is.
    """
    path, asked = Path(path_or_name).expanduser(), str(path_or_name)
    is_folder = False
    try:
        if path.is_file():
            return path, path.parent
        is_folder = path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        pass
    shipped = shipped_decks()
    if asked in shipped:
        return shipped[asked][0], Path()
    likely = close_to(path.stem, shipped)
    problem = "is a folder" if is_folder else "no such file, and no shipped deck of that name"
    hint = f'; did you mean "{likely}"?' if likely else "."
    raise DeckError(f"{asked}: {problem}{hint} Shipped decks: {', '.join(shipped)}")


def _read(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_DECK + 1)
        if is_hdf5(content):
            raise DeckError(
                f"{path}: is a run file, not a deck; `llgnegf resume {path}` continues it, `llgnegf show {path}` says "
                "what it is (from Python: resume, open_run)"
            )
        if len(content) > LARGEST_DECK:
            raise DeckError(f"{path}: is larger than {LARGEST_DECK >> 20} MB; decks are short TOML files")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise DeckError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DeckError(f"{path}: is not UTF-8 text (byte {error.start}); decks are TOML files") from None


def _parse_toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib names line and column; ValueError: an endless integer
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        lines = text.split("\n")
        end = f"at the end, line {len(lines)}, column {len(lines[-1]) + 1}"
        reason = reason.replace("at end of document", end)
        raise DeckError(f"{source}: not valid TOML: {reason}") from None
