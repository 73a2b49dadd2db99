"""Running the combinations of a sweep, on this machine or an existing cluster: `llgnegf sweep`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from llgnegf.deck import Deck
from llgnegf.errors import DeckError, FileError, StoppedEarly
from llgnegf.interrupts import Interrupts
from llgnegf.runfile.disk import disk_errors, write_file
from llgnegf.runfile.reader import open_run
from llgnegf.streams import Guarded
from llgnegf.sweep.crews import cluster, this_machine
from llgnegf.sweep.points import Axis, Point, points_of, write_axes
from llgnegf.sweep.summary import SWEEP_FILE, TABLE, UNIT_TABLE, has_reached, summary_of, table_of, units_of
from llgnegf.sweep.work import RUN_FILE, Outcome, Task


def sweep(
    base: Deck,
    axes: Sequence[Axis],
    folder: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    walltime: float | str | None = None,
    many: bool = False,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Runs every combination of a sweep that is not done yet; returns the rows of its summary.

    base: the deck that `axes` change.  folder: where each run gets a folder of its own, named by its values and what it
    computes, so that the same sweep called again continues; with summary.csv, the units of its columns in units.csv,
    and sweep.json.  workers: processes on this machine, which share its cores (default: as many as cores).  scheduler:
    the address of a Dask scheduler, whose workers do the runs instead; they see the same files.  walltime: for all
    together.  many: whether more than 100 000 runs are meant.

    A run that fails does not stop the others; its row tells why.  Raises DeckError before anything is written,
    FileError for trouble with the disk, StoppedEarly where a signal or the wall time ended it: the same call goes on.
    """
    points = points_of(base, axes, many)
    folder = Path(folder).absolute()
    prepare(folder, axes, points)
    todo = [_task(folder, point) for point in points if not is_done(folder, point)]
    stop = Interrupts(walltime)
    crew: Callable[..., Iterator[Outcome]] = this_machine if scheduler is None else cluster
    with stop.listening():
        doing = crew(todo, stop, workers) if scheduler is None else crew(todo, stop, scheduler)
        outcomes = list(_told(doing, len(points), len(points) - len(todo), progress))
    found = summary_of(folder)
    rows = found.rows
    try:
        write_file(folder / TABLE, table_of(rows).encode(), "write the summary")
        write_file(folder / UNIT_TABLE, units_of(found).encode(), "write its units")
    except FileError as error:
        told = [f"{outcome.folder}: {outcome.message}" for outcome in outcomes if outcome.state == "failed"]
        raise FileError("\n".join([*told, str(error)])) from None
    elsewhere = sum(outcome.state == "elsewhere" for outcome in outcomes)
    unfinished = len(todo) - sum(outcome.state in ("done", "failed") for outcome in outcomes)
    if unfinished:
        why = [f"{elsewhere} of {len(points)} runs are being written by another process"] if elsewhere else []
        if unfinished > elsewhere:
            why.append(f"stopped ({stop.reason}): {unfinished - elsewhere} of {len(points)} runs are not finished")
        raise StoppedEarly(f"{'; '.join(why)}; the same command goes on")
    return rows


def prepare(folder: Path, axes: Sequence[Axis], points: Sequence[Point]) -> None:
    """Makes the folder of a sweep and writes what it consists of."""
    if folder.exists() and not folder.is_dir():
        raise DeckError(f"{folder}: is a file; a sweep takes a folder: choose another one with -o")
    with disk_errors(folder, "make the folder"):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / SWEEP_FILE, write_axes(folder, axes, points).encode(), "write what the sweep is")


def is_done(folder: Path, point: Point) -> bool:
    """Whether the run of a combination has reached its end."""
    path = folder / point.folder / RUN_FILE
    if not path.exists():
        return False
    try:
        with open_run(path) as run:
            return has_reached(run, point.deck.run.duration)
    except FileError:  # told by the run that wants to continue it
        return False


def _task(folder: Path, point: Point) -> Task:
    deck = point.deck
    return Task(str(folder / point.folder), deck.text, str(deck.folder), deck.name)


def _told(outcomes: Iterator[Outcome], total: int, done: int, shown: bool) -> Iterator[Outcome]:
    """The outcomes, with a bar in a terminal and a line for each in a log."""
    out = Guarded(sys.stderr)
    bar: Any = None
    if shown and out.isatty():
        from tqdm import tqdm

        bar = tqdm(total=total, initial=done, unit="run", file=out)
    began = time.monotonic()
    for outcome in outcomes:
        done += 1
        if bar is not None:
            bar.update(1)
        elif shown:
            print(
                f"{done}/{total} {outcome.state} {Path(outcome.folder).name} ({time.monotonic() - began:.0f} s)",
                file=out, flush=True,
            )  # fmt: skip
        yield outcome
    if bar is not None:
        bar.close()
