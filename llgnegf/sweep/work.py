"""One run of a sweep, in whatever process does it: begun or continued, and told how it ended."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from pathlib import Path

from llgnegf.deck import parse_deck
from llgnegf.errors import DeckError, FileError, LLGNEGFError, RunWarning, StoppedEarly
from llgnegf.runfile.lock import Locked

RUN_FILE, ERROR_FILE = "run.h5", "error.txt"


@dataclass(frozen=True)
class Task:
    """What a process needs to know of a run.  folder: of the run; text, deck_folder, name: of its deck."""

    folder: str
    text: str
    deck_folder: str
    name: str


@dataclass(frozen=True)
class Outcome:
    """How a run ended, or went on without us.

    state: "done", "stopped" (at a checkpoint), "failed", or "elsewhere": another process writes it; message: why;
    notes: warnings.
    """

    folder: str
    state: str
    message: str = ""
    notes: tuple[str, ...] = ()


def work(task: Task, walltime: float | None = None) -> Outcome:
    """Begins or continues the run of `task`; walltime: seconds, after which it stops at a checkpoint."""
    from llgnegf.simulation import run  # here: the process that hands out tasks needs no kernels

    folder = Path(task.folder)
    error_file = folder / ERROR_FILE
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RunWarning)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            deck = parse_deck(task.text, folder=task.deck_folder, name=task.name)
            run(deck, folder / RUN_FILE, go_on=True, walltime=walltime).close()
            error_file.unlink(missing_ok=True)
            outcome = "done", ""
        except StoppedEarly as stopped:
            outcome = "stopped", str(stopped)
        except Locked as locked:
            outcome = "elsewhere", str(locked)
        except Exception as error:
            message = str(error) if isinstance(error, LLGNEGFError) else f"{type(error).__name__}: {error}"
            if isinstance(error, FileError | DeckError) and any(folder.glob(f"{RUN_FILE}*")):
                message += f" (in a sweep: remove {folder}, and the same command begins this run anew)"
            outcome = "failed", message
            with contextlib.suppress(OSError):  # the message is told all the same
                error_file.write_text(f"{message}\n", encoding="utf-8")
    notes = dict.fromkeys(str(warning.message) for warning in caught)
    return Outcome(task.folder, *outcome, tuple(notes))
