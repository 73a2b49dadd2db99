"""What each command of `llgnegf` does.  What only some need is imported inside: `llgnegf list` loads no NumPy."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llgnegf.deck.shipped import shipped_decks
from llgnegf.errors import DeckError, FileError, LLGNEGFError
from llgnegf.streams import visible
from llgnegf.units import counted

if TYPE_CHECKING:
    from llgnegf.deck import Deck
    from llgnegf.runfile.reader import Run
    from llgnegf.sweep import Axis

# The options of `units` that describe a material: name, unit, meaning.
MATERIAL = (
    ("saturation", "A/m", "saturation magnetisation M_s"),
    ("exchange-stiffness", "J/m", "A"),
    ("anisotropy", "J/m^3", "K along easy_axis"),
    ("hard-anisotropy", "J/m^3", "K_hard along hard_axis"),
    ("dmi", "J/m^2", "D"),
)


# --- what several of them take ---------------------------------------------------------------------------------------


def _deck(arguments: argparse.Namespace) -> Deck:
    from llgnegf.deck import load_deck

    return load_deck(arguments.deck, _overrides(arguments))


def _overrides(arguments: argparse.Namespace) -> dict[str, object]:
    from llgnegf.deck import parse_override

    return dict(parse_override(text) for text in arguments.overrides)


def _walltime(arguments: argparse.Namespace) -> float | None:
    if arguments.walltime is None:
        return None
    from llgnegf.deck import parse_wall_time

    try:
        return parse_wall_time(arguments.walltime)
    except ValueError as error:
        raise DeckError(f"--walltime: {error}") from None


# --- the commands ---------------------------------------------------------------------------------------------------


def _list(_arguments: argparse.Namespace) -> None:
    decks = shipped_decks()
    width = max(len(name) for name in decks)
    for name, (_, title) in decks.items():
        print(f"{name:{width}}  {title}")


def _new(arguments: argparse.Namespace) -> None:
    from llgnegf.deck import load_deck

    deck = load_deck(arguments.name)
    path = arguments.path or Path(f"{deck.name}.toml")
    if path.is_dir():
        path = path / f"{deck.name}.toml"
    _write_new(path, deck.text)
    print(f"wrote {path}; try: llgnegf check {path}")


def _schema(arguments: argparse.Namespace) -> None:
    from llgnegf.deck.schema import deck_schema

    text = json.dumps(deck_schema(), indent=1) + "\n"
    if arguments.path is None:
        print(text, end="")
        return
    _write_new(arguments.path, text)
    line = arguments.path if arguments.path.is_absolute() else f"./{arguments.path}"
    print(
        f"wrote {arguments.path}; editors with TOML support use it in decks that begin with the line\n#:schema {line}"
    )


def _write_new(path: Path, text: str) -> None:
    """Writes a file that must not be there yet."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise DeckError(f"{path} is there already: give another PATH, or remove it first") from None
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error.strerror or error}") from None


def _check(arguments: argparse.Namespace) -> None:
    deck = _deck(arguments)
    from llgnegf.estimate import estimate

    print(estimate(deck))


def _run(arguments: argparse.Namespace) -> None:
    deck, walltime = _deck(arguments), _walltime(arguments)
    from llgnegf.simulation import run

    def action(path: Path, leads: bool) -> None:
        with run(
            deck,
            path,
            until=arguments.until,
            walltime=walltime,
            overwrite=arguments.overwrite,
            go_on=arguments.go_on,
            progress=leads and not arguments.quiet,
        ) as result:
            if leads:
                _tell_result(arguments, path, result)

    _alone_or_together(arguments, action, arguments.output or Path(f"{deck.name}.h5"), lambda: deck)


def _resume(arguments: argparse.Namespace) -> None:
    overrides, walltime = _overrides(arguments), _walltime(arguments)
    from llgnegf.runfile.reader import open_run
    from llgnegf.simulation import resume

    def action(path: Path, leads: bool) -> None:
        progress = leads and not arguments.quiet
        with resume(path, overrides, until=arguments.until, walltime=walltime, progress=progress) as result:
            if leads:
                _tell_result(arguments, path, result)

    def deck_of_run() -> Deck:
        with open_run(arguments.path) as old:
            return old.deck

    _alone_or_together(arguments, action, arguments.path, deck_of_run)


def _alone_or_together(
    arguments: argparse.Namespace, action: Callable[[Path, bool], None], path: Path, deck: Callable[[], Deck]
) -> None:
    """action(path, True), or as one of the processes of an MPI job, which share the energies."""
    if not arguments.mpi:
        action(path, True)
        return
    from llgnegf.together import refuse_what_gains_nothing, together

    refuse_what_gains_nothing(deck())
    together(action, path)


def _tell_result(arguments: argparse.Namespace, path: Path, result: Run) -> None:
    if arguments.quiet:
        return
    deck = result.deck
    rest = ""
    if result.n_frames and result.times[-1] < deck.run.duration - deck.integrator.step / 2:
        rest = f"; `llgnegf resume {path}` goes on to t = {deck.run.duration:g}"
    print(f"done: {counted(result.n_frames, 'frame')} in {path}{rest}; try: llgnegf show {path}")


def _ensemble_file(path: Path) -> Path | None:
    """The ensemble that `path` is or, as a folder, has; a run file is not opened for that."""
    if not os.path.isdir(path) and path.name != "ensemble.h5":  # unlike Path.is_dir, for any text
        return None
    from llgnegf.sweep.ensemble_summary import ensemble_file

    return ensemble_file(path)


def _show(arguments: argparse.Namespace) -> None:
    from llgnegf.runfile.reader import open_run
    from llgnegf.summary import summary

    if (found := _ensemble_file(arguments.path)) is not None:
        from llgnegf.sweep.ensemble_summary import ensemble_summary

        print(ensemble_summary(found))
        return
    with open_run(arguments.path) as result:
        try:
            print(summary(result))
            if not result.frames_ok().all():
                raise FileError(f"{arguments.path}: frames are damaged, see above")
        except LLGNEGFError:
            raise
        except Exception:
            from llgnegf.build import refuse_misfit

            refuse_misfit(result)  # not before: it loads all of the physics
            raise


def _compare(arguments: argparse.Namespace) -> int:
    within = arguments.within
    if within is not None and not within >= 0:
        raise DeckError(f"--within {within:g}: must be a share of at least 0, such as 0.01")
    from llgnegf.compare import compare, report
    from llgnegf.judged import judge, report_judgement
    from llgnegf.runfile.reader import open_run

    with open_run(arguments.path) as result:
        deck = result.deck
        if deck.electrons is not None and deck.electrons.method == "real-time":
            found = judge(result)
            told = {"run": str(arguments.path), **found.as_json()}
            print(json.dumps(told, indent=1) if arguments.json else report_judgement(found, deck.units.label))
            return _missed(found.share_missed, within)
        comparisons = compare(result)
    if arguments.json:
        print(json.dumps({"run": str(arguments.path), "frames": [c.as_json() for c in comparisons]}, indent=1))
    else:
        print(report(comparisons, deck.units.label))
    return _missed(max(c.share_missed for c in comparisons), within)


def _missed(share: float, within: float | None) -> int:
    """1 where frozen electrons miss a larger share than is allowed, which is told; else 0."""
    if within is None or share <= within:
        return 0
    print(f"llgnegf: frozen electrons miss a share of {share:.3g}, more than --within {within:g}", file=sys.stderr)
    return 1


def _response(arguments: argparse.Namespace) -> None:
    from llgnegf.response_report import response_of, save_response

    deck = _deck(arguments)
    found = response_of(deck, tuple(arguments.omegas), arguments.reference)
    if arguments.output is not None:
        save_response(deck, arguments.output, arguments.overwrite, tuple(arguments.omegas))
    print(json.dumps({"deck": deck.name, **found.as_json()}, indent=1) if arguments.json else found.text())


def _plot(arguments: argparse.Namespace) -> None:
    from llgnegf.plots import plot
    from llgnegf.runfile.reader import open_run

    found = _ensemble_file(arguments.path)
    if found is not None or arguments.path.is_dir():
        folder = arguments.path if found is None else found.parent
        path = arguments.output or folder / "summary.png"
        plot(folder, path, arguments.variable, arguments.frame)
        print(f"wrote {path}")
        return
    with open_run(arguments.path) as result:  # first: what is no run may have no name to put a suffix on
        path = arguments.output or arguments.path.with_suffix(".png")
        plot(result, path, arguments.variable, arguments.frame)
    print(f"wrote {path}")


def _units(arguments: argparse.Namespace) -> None:
    from llgnegf.unit_table import (
        cell_of,
        json_of,
        json_of_material,
        lines_of,
        lines_of_quantities,
        quantities_of,
        units_of,
    )

    given = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name, _, _ in MATERIAL}
    material = {name: value for name, value in given.items() if value is not None}
    sides = arguments.cell, arguments.width, arguments.thickness
    if arguments.deck is not None:
        beside = next((f"--{name.replace('_', '-')}" for name in (*material, "dmi_kind", "energy", "dimension")
                       if getattr(arguments, name) is not None), None)  # fmt: skip
        if beside is not None:
            raise DeckError(f"{beside}: says of a material what the deck says; give the one or the other")
        deck = _deck(arguments)
        of_deck = deck, cell_of(*sides, len(deck.lattice.shape)), arguments.g
        told = quantities_of(arguments.quantities, deck.units.energy, *of_deck[1:])
        if arguments.json:
            print(json.dumps(json_of(*of_deck) | ({"quantities": told} if told else {}), indent=1))
        else:
            print("\n".join([units_of(*of_deck), *([""] if told else []), *lines_of_quantities(told)]))
        return
    from llgnegf.materials import Material

    for name, words in (("saturation", "--saturation 8.6e5"), ("exchange_stiffness", "--exchange-stiffness 1.3e-11")):
        if name not in material:
            raise DeckError(f"units takes a DECK, or a material with at least {words}, ... and --cell 2nm")
    if arguments.overrides:
        raise DeckError("--set: changes a key of a DECK, which is not given")
    if not material["saturation"] > 0:
        raise DeckError(f"--saturation = {material['saturation']:g}: must be a number > 0, in A/m")
    dimension = arguments.dimension or 1
    cell = cell_of(*sides, dimension)
    if cell is None:
        raise DeckError("--cell is missing: what a site stands for, such as --cell 2nm")
    found = Material(**material, dmi_kind=arguments.dmi_kind or "bulk")
    of_material = found, cell, arguments.energy or "eV", arguments.g, dimension
    told = quantities_of(arguments.quantities, arguments.energy or "eV", cell, arguments.g)
    if arguments.json:
        print(json.dumps(json_of_material(*of_material) | ({"quantities": told} if told else {}), indent=1))
    else:
        print(
            "\n".join([lines_of(*of_material), *([""] if told else []), *(f"# {x}" for x in lines_of_quantities(told))])
        )


def _doctor(arguments: argparse.Namespace) -> int:
    from llgnegf.doctor import diagnose, report

    found = diagnose()
    print(json.dumps(found.as_json(), indent=1) if arguments.json else report(found))
    return 0 if found.is_well else 1


def _movie(arguments: argparse.Namespace) -> None:
    from llgnegf.movie import movie
    from llgnegf.runfile.reader import open_run

    with open_run(arguments.path) as result:
        path = arguments.output or arguments.path.with_suffix(".mp4")
        n = movie(result, path, arguments.variable, arguments.frames, arguments.fps, progress=not arguments.quiet)
    if not arguments.quiet:
        print(f"wrote {path}, {counted(n, 'picture')}")


def _export(arguments: argparse.Namespace) -> None:
    from llgnegf.export import export
    from llgnegf.runfile.reader import open_run

    with open_run(arguments.path) as result:
        files = export(
            result,
            arguments.output,
            arguments.format.split(","),
            None if arguments.variable is None else arguments.variable.split(","),
            arguments.frames,
            arguments.lattice_constant,
            arguments.overwrite,
        )
    print(f"wrote {counted(len(files), 'file')} in {files[0].parent}{os.sep}")


def _sweep(arguments: argparse.Namespace) -> int:
    from llgnegf.deck import load_deck
    from llgnegf.sweep import parse_axis, sweep

    base = load_deck(arguments.deck)
    axes = [parse_axis(text) for text in arguments.axes]
    folder = arguments.output or Path(f"{base.name}_sweep")
    return _many(arguments, base, axes, folder, "summary.csv", lambda **options: sweep(base, axes, folder, **options))


def _ensemble(arguments: argparse.Namespace) -> int:
    from llgnegf.sweep.paths import ENSEMBLE_FILE, ensemble, seeds

    base = _deck(arguments)
    axis, folder = seeds(base, arguments.paths), arguments.output or Path(f"{base.name}_ensemble")

    def make(**options: Any) -> list[dict[str, Any]]:
        return ensemble(base, arguments.paths, folder, **options)

    return _many(arguments, base, [axis], folder, ENSEMBLE_FILE, make)


def _many(
    arguments: argparse.Namespace,
    base: Deck,
    axes: Sequence[Axis],
    folder: Path,
    result: str,
    make: Callable[..., list[dict[str, Any]]],
) -> int:
    """Makes the runs of `axes`, or a job array of them, and tells how they ended.  result: the file that has it all."""
    from llgnegf.sweep import points_of

    walltime = _walltime(arguments)
    if arguments.workers is not None and arguments.workers < 1:
        raise DeckError(f"--workers {arguments.workers}: must be at least 1")
    if arguments.workers is not None and (arguments.slurm or arguments.scheduler is not None):
        raise DeckError("--workers: is of this machine; leave it out with --slurm and --scheduler")
    if arguments.slurm:
        from llgnegf.sweep.slurm import write_job_array

        script, n = write_job_array(base, axes, points_of(base, axes, arguments.yes), folder)
        print(f"wrote {script}: {counted(n, 'run')} to do; submit them with: sbatch {script}")
        return 0
    rows = make(
        workers=arguments.workers,
        scheduler=arguments.scheduler,
        walltime=walltime,
        many=arguments.yes,
        progress=not arguments.quiet,
    )
    failed = [row for row in rows if row["state"] == "failed"]
    for row in failed:
        print(visible(f"llgnegf: {folder / row['folder']}: {row['message']}"), file=sys.stderr)
    if not arguments.quiet:
        print(f"{len(rows) - len(failed)} of {counted(len(rows), 'run')} done in {folder}; see {folder / result}")
    return 1 if failed else 0


def _reproduce(arguments: argparse.Namespace) -> None:
    from llgnegf.reproduce import TARGETS, choose, reproduce

    if arguments.list:
        width = max(len(name) for name in TARGETS)
        for name, target in TARGETS.items():
            print(f"{name:{width}}  {target.title}{' (beyond the paper)' if target.beyond else ''}")
        return
    choose(arguments.names)
    reproduce(arguments.names, arguments.output, progress=True)


# By their names; each returns its exit code, None for 0.
ACTIONS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "check": _check,
    "compare": _compare,
    "doctor": _doctor,
    "ensemble": _ensemble,
    "export": _export,
    "list": _list,
    "movie": _movie,
    "new": _new,
    "plot": _plot,
    "reproduce": _reproduce,
    "response": _response,
    "resume": _resume,
    "run": _run,
    "schema": _schema,
    "show": _show,
    "sweep": _sweep,
    "units": _units,
}
