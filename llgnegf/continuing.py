"""With which deck a run goes on, where its checkpoints are, where a call ends: what `run` and `resume` ask first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.deck import FREE_ON_RESUME, Deck, changes_past, recorded_deck, with_changes, with_refresh
from llgnegf.errors import DeckError, FileError
from llgnegf.runfile import checkpoint
from llgnegf.runfile.checkpoint import State
from llgnegf.runfile.disk import real_path
from llgnegf.runfile.reader import open_run


def beside(path: str | Path) -> Path:
    """The name that checkpoints are beside: of the file itself, where a link leads to it.

    Where there are none, because the file was moved and a link left in its place, that of the link.
    """
    real = real_path(path)
    return real if any(one.exists() for one in checkpoint.checkpoint_paths(real)) else Path(path)


def begun(path: str | Path) -> bool:
    """Whether there is something to go on with: a frame, or a checkpoint beside the run file.  FileError if no run."""
    with open_run(path) as old:
        return old.n_frames > 0 or any(one.exists() for one in checkpoint.checkpoint_paths(beside(path)))


def ends(deck: Deck, until: float | None) -> tuple[Deck, Deck]:
    """The deck of the run, and the same that ends where this call is to end.

    until: a time that may lie behind the end of `deck`, which it then moves, or None.  DeckError where it is no time.
    """
    if until is None:
        return deck, deck
    with contextlib.suppress(TypeError, ValueError):  # what is no number is told below
        until = float(until)
    try:
        end = with_changes(deck, {"run.duration": until})
    except DeckError as error:
        raise DeckError([_of_until(problem) for problem in error.problems]) from None
    return (end if end.n_steps > deck.n_steps else deck), end


def _of_until(problem: str) -> str:
    """What the deck says about the time, by the name that the user gave it."""
    value, colon, rest = problem.removeprefix("run.duration = ").partition(": ")
    return f"until = {value} (--until){colon}{rest}" if problem.startswith("run.duration = ") else problem


def left_to_do(path: str | Path, deck: Deck, until: float | None) -> dict[str, object] | None:
    """What to set in the run file `path` so that it goes on as `deck` says; None where it is at its end already.

    until: as for `ends`.  DeckError where it is the run of another deck, FileError where it cannot go on.
    """
    with open_run(path) as run:
        old, reached = run.deck, float(run.times[-1]) if run.n_frames else -1.0
    deck = with_refresh(deck, old.integrator.electrons)  # a default may have changed meanwhile
    _refuse_changes(
        old,
        deck,
        lambda key, was, now: (
            f"{key} = {now}: {path} was run with {was}: continue it with `llgnegf resume {path}`, choose another name "
            "with -o, or replace it with --overwrite"
        ),
    )
    new, end = ends(deck, until)
    step = checkpoint.load_newest(beside(path))[0].step
    if step > end.n_steps or (step == end.n_steps and reached > (step - 0.5) * deck.integrator.step):
        return None
    free = {key: reduce(getattr, key.split("."), new) for key in FREE_ON_RESUME}
    return {key: value for key, value in free.items() if value != reduce(getattr, key.split("."), old)}


def continued(path: str | Path, deck: Deck, overrides: Mapping[str, object]) -> Deck:
    """The deck of a run with `overrides`.  DeckError for keys that would change results computed so far."""
    new = with_changes(deck, overrides)
    _refuse_changes(
        deck,
        new,
        lambda key, was, wanted: (
            f"{key} = {wanted}: {path} was run with {was}, and it would change what was computed; allowed when "
            f"resuming: {', '.join(sorted(FREE_ON_RESUME))}. For another value begin a new run from its last frame: "
            f'--set texture=\'{{kind = "file", path = "{Path(path).resolve()}"}}\''
        ),
    )
    return new


def refuse_other_deck(path: str | Path, deck: Deck, header: Mapping[str, Any]) -> None:
    """Refuses a run file whose deck is not the one that its checkpoint was computed with."""
    computed = recorded_deck(header["deck"], deck.folder, deck.name)
    _refuse_changes(
        computed,
        deck,
        lambda key, was, now: (
            f"{path}: its deck was changed since the checkpoint {header['path']}: {key} = {was} -> {now}; restore the "
            "run file, or run the changed deck anew with --overwrite"
        ),
    )


def refuse_own_files(path: str | Path, deck: Deck) -> None:
    """DeckError where a new run file would take the place of one that the deck reads: a texture, numbers for sites."""
    for key, file in deck.files.items():
        with contextlib.suppress(OSError):
            if Path(path).samefile(file):
                raise DeckError(
                    f"{path}: the deck reads this file, {key}, so that it cannot be replaced: give another name with -o"
                )


def _refuse_changes(was: Deck, now: Deck, words: Callable[[str, object, object], str]) -> None:
    """DeckError with a message of `words(key, was, now)` for each key that changes what was computed."""
    problems = [words(key, *both) for key, both in changes_past(was, now).items()]
    if problems:
        raise DeckError(problems)


def refuse_other_lattice(path: str | Path, deck: Deck, state: State, header: Mapping[str, Any]) -> None:
    """FileError unless the moments of a checkpoint are those of this deck's lattice."""
    m, shape = state.moment, (*deck.lattice.shape, 3)
    if m.shape != shape or not np.isfinite(m).all():
        raise FileError(
            f"{header['path']}: is not a checkpoint of {path}: its moments are of shape {m.shape}, those of the run "
            f"finite and of shape {shape}; remove it, or run the deck again with --overwrite"
        )
