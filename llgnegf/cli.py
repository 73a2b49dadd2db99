"""The command `llgnegf`.  Exit codes: 0 done, 1 a run failed, 2 wrong deck or arguments, 74 disk or file trouble,
75 stopped early at a checkpoint."""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llgnegf import _environment  # noqa: F401  first: before NumPy is loaded
from llgnegf._version import __version__
from llgnegf.arguments import Parser, direction, energy_unit, length, number, output_file, run_file, time_to_stop
from llgnegf.compiling import telling
from llgnegf.completion import answer
from llgnegf.deck.shipped import shipped_decks
from llgnegf.errors import DeckError, FileError, LLGNEGFError, RunWarning
from llgnegf.streams import Guarded, guarded, occupy_standard_descriptors, visible
from llgnegf.units import counted

# Commands whose result is what they print; schema without a PATH too.
_ANSWERS = ("list", "check", "show", "compare", "response", "doctor", "units")
# What a second Ctrl-C leaves behind.
_AT_ONCE = {
    **dict.fromkeys(("run", "resume"), "; a run file that was begun is kept: `llgnegf resume` it"),
    "sweep": "; the runs that were begun are kept: the same command goes on",
}
# The options of `units` that describe a material: name, unit, meaning.
MATERIAL = (
    ("saturation", "A/m", "saturation magnetisation M_s"),
    ("exchange-stiffness", "J/m", "A"),
    ("anisotropy", "J/m^3", "K along easy_axis"),
    ("hard-anisotropy", "J/m^3", "K_hard along hard_axis"),
    ("dmi", "J/m^2", "D"),
)
_SIGPIPE = 13  # Windows has no name for it

if TYPE_CHECKING:
    from llgnegf.deck import Deck
    from llgnegf.runfile.reader import Run
    from llgnegf.sweep import Axis


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        return _main(argv)
    finally:
        if argv is None:
            # The process ends with its command.  Python would look through all that was ever loaded for garbage first,
            # which takes an eighth of a short run.
            gc.freeze()


def _main(argv: Sequence[str] | None) -> int:
    occupy_standard_descriptors()
    parser = _parser()
    answer(parser)
    with guarded() as (out, err):
        arguments = parser.parse_args(argv)
        code = _act(arguments)
        out.flush()
        answers = arguments.command in _ANSWERS or (arguments.command == "schema" and arguments.path is None)
        return _told_to_nobody(answers, code, out, err)


def _told_to_nobody(answers: bool, code: int, out: Guarded, err: Guarded) -> int:
    """The exit code where standard output or standard error were lost meanwhile; says so on the other one.

    Losing them is no fault of a run.  answers: whether the command is there
    for what it prints; then losing standard output is one.
    """
    if answers and isinstance(out.lost, BrokenPipeError):  # `llgnegf show RUN.h5 | head` is no error
        return 128 + _SIGPIPE
    if out.lost is not None:
        print(f"llgnegf: note: standard output takes nothing ({out.why}): what was printed is lost", file=sys.stderr)
        if answers and not code and getattr(out.lost, "errno", None) != errno.EBADF:
            return FileError.exit_code
    if err.lost is not None and not answers:  # there it might end up in a table or in JSON
        print(f"llgnegf: note: standard error takes nothing ({err.why}): notes and progress are lost")
    return code


def _act(arguments: argparse.Namespace) -> int:
    try:
        with _warnings_as_lines(), telling(not getattr(arguments, "quiet", False)):
            return arguments.action(arguments) or 0
    except KeyboardInterrupt:
        print(f"llgnegf: stopped at once{_AT_ONCE.get(arguments.command, '')}", file=sys.stderr)
        return 75
    except (LLGNEGFError, OSError, MemoryError) as error:
        if arguments.debug:
            raise
        return _tell(error)
    except Exception as error:
        if arguments.debug:
            raise
        print(f"llgnegf: {type(error).__name__}: {error} (a bug: please report it with --debug)", file=sys.stderr)
        return 1


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """What a user should know about a run is one line on standard error, wherever in the code it was found."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", RunWarning)
        others = warnings.showwarning

        def line(message, category, *more, **options):
            if issubclass(category, RunWarning):
                print(visible(f"llgnegf: note: {message}"), file=sys.stderr, flush=True)
            else:
                others(message, category, *more, **options)

        warnings.showwarning = line
        yield


def _tell(error: BaseException) -> int:
    """One message a mistake, on standard error; returns the exit code."""
    problems = error.problems if isinstance(error, DeckError) else [str(error) or type(error).__name__]
    for problem in problems:
        print("\n".join(map(visible, f"llgnegf: {problem}".split("\n"))), file=sys.stderr)
    if isinstance(error, LLGNEGFError):
        return error.exit_code
    return FileError.exit_code if isinstance(error, OSError) else 1


def _parser() -> Parser:
    # Suppressed, so that a command without the option leaves alone what stood before the command.
    debug: dict[str, Any] = {"action": "store_true", "help": "show where an error comes from"}
    common = Parser(add_help=False)
    common.add_argument("--debug", default=argparse.SUPPRESS, **debug)
    parser = Parser(
        prog="llgnegf",
        description="Classical moments and quantum transport that move together (LLG + NEGF).",
        epilog="Start with `llgnegf list` and `llgnegf run precessing_wall`.",
    )
    parser.add_argument("--version", action="version", version=f"llgnegf {__version__}")
    parser.add_argument("--debug", **debug)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name, action, text):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=[common])
        sub.set_defaults(action=action)
        parser.commands[name] = sub
        return sub

    add("list", _list, "list the shipped decks")

    sub = add("new", _new, "write a shipped deck to edit")
    sub.add_argument("name", metavar="NAME", help="a name from `llgnegf list`")
    sub.add_argument("path", metavar="PATH", nargs="?", type=Path, help="where to write it (default: NAME.toml)")

    sub = add("check", _check, "validate a deck and say what it will cost")
    _deck_arguments(sub)

    sub = add("run", _run, "run a deck")
    _deck_arguments(sub)
    sub.add_argument(
        "-o", "--output", metavar="RUN.h5", type=output_file, help="run file (default: the deck's name .h5)"
    )
    there = sub.add_mutually_exclusive_group()
    there.add_argument("--overwrite", action="store_true", help="replace a run file that is there already")
    there.add_argument(
        "--continue", action="store_true", dest="go_on",
        help="continue a run file that is there already; nothing to do where it is done (for loops of batch scripts)",
    )  # fmt: skip
    _loop_arguments(sub)

    sub = add("resume", _resume, "continue a run from its newest checkpoint")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)
    _set_argument(sub, "run.duration=500; only what leaves alone what was computed")
    _loop_arguments(sub)

    sub = add("show", _show, "tell what a run is, how far it is and what it conserves")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)

    sub = add("compare", _compare, "set frozen electrons beside exact ones: steady precession, or real time")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)
    sub.add_argument(
        "--within", metavar="SHARE", type=number,
        help="exit code 1 where frozen electrons miss more than this share, such as 0.01 (default: no bound)",
    )  # fmt: skip
    sub.add_argument("--json", action="store_true", help="print numbers for another program")

    sub = add("response", _response, "damping, inertia and exchange that electrons give the moments of a deck at t = 0")
    _deck_arguments(sub)
    sub.add_argument("--json", action="store_true", help="print numbers for another program")
    sub.add_argument(
        "--omega", metavar="W", type=number, action="append", default=[], dest="omegas",
        help="also alpha(omega) at this frequency, energy/hbar (may be repeated)",
    )  # fmt: skip
    sub.add_argument(
        "--reference", metavar="X,Y,Z", type=direction,
        help="take the torque at rest apart beside this direction (default: that of a lead that has one)",
    )  # fmt: skip
    sub.add_argument("-o", "--output", metavar="RUN.h5", type=output_file, help="save as a run file with one frame")
    sub.add_argument("--overwrite", action="store_true", help="replace a run file that is there already")

    sub = add("plot", _plot, "draw a run, or a sweep by its folder")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)
    sub.add_argument("-o", "--output", metavar="FIG.png", type=Path, help="picture (default: beside the run file)")
    sub.add_argument("--variable", metavar="NAME", help="draw this variable of the run file, or column of the sweep")
    sub.add_argument("--frame", metavar="N", type=int, help="of the variable, one frame alone (-1: the last)")

    sub = add("movie", _movie, "show a variable of a run frame by frame")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)
    sub.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help=".mp4 or .gif (default: .mp4 beside the run file)"
    )
    sub.add_argument("--variable", metavar="NAME", default="moment", help="a variable on sites (default: moment)")
    sub.add_argument("--frames", metavar="FIRST:END:STEP", help="which (default: all), such as ::10")
    sub.add_argument("--fps", metavar="N", type=float, default=25.0, help="pictures per second (default: 25)")
    sub.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors alone")

    sub = add("export", _export, "write a run for other programs: OVF, VTK, CSV")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)
    sub.add_argument(
        "--format", metavar="NAMES", default="ovf",
        help="ovf (OOMMF, mumax3; the default), vtk (ParaView), csv (time series), or some with commas between",
    )  # fmt: skip
    sub.add_argument("--variable", metavar="NAMES", help="variables with commas between (default: by the format)")
    sub.add_argument("--frames", metavar="FRAMES", help="one, such as -1 (the last), or FIRST:END:STEP (default: all)")
    sub.add_argument("--lattice-constant", metavar="LENGTH", type=length, help="such as 0.5nm, for positions in metres")
    sub.add_argument("-o", "--output", metavar="DIR", type=Path, help="folder (default: NAME_export beside NAME.h5)")
    sub.add_argument("--overwrite", action="store_true", help="replace files that are there already")

    sub = add("sweep", _sweep, "run a deck for every combination of values of its keys")
    sub.add_argument("deck", metavar="DECK", help="a TOML file or the name of a shipped deck")
    sub.add_argument(
        "--set", metavar="KEY=VALUES", action="append", default=[], dest="axes",
        help="values with commas between, lin(FIRST,LAST,N) or log(FIRST,LAST,N); every key has its own --set",
    )  # fmt: skip
    _many_arguments(sub, "folder of the sweep (default: NAME_sweep)")

    sub = add("ensemble", _ensemble, "run many paths of a deck with random numbers: their mean and spread in one file")
    _deck_arguments(sub)
    sub.add_argument("--paths", metavar="N", type=int, required=True, help="how many, with run.seed, run.seed + 1, ...")
    _many_arguments(sub, "folder of the ensemble (default: NAME_ensemble)")

    sub = add("units", _units, "tell what the numbers of a deck are in SI units, or a material in numbers of a deck")
    _units_arguments(sub)

    sub = add("doctor", _doctor, "tell what this installation is, whether it computes right and how fast (ten seconds)")
    sub.add_argument("--json", action="store_true", help="print numbers for another program")

    sub = add("schema", _schema, "write the JSON schema of decks, with which editors complete keys and mark mistakes")
    sub.add_argument("path", metavar="PATH", nargs="?", type=Path, help="where to write it (default: standard output)")

    sub = add("reproduce", _reproduce, "regenerate the figures of the papers: data (CSV) and picture")
    sub.add_argument(
        "names", metavar="NAME", nargs="*",
        help='"all" (figures of the papers, the default), "beyond" (what goes beyond them), or names; see --list',
    )  # fmt: skip
    sub.add_argument("-o", "--output", metavar="DIR", type=Path, default=Path("figures"), help="default: figures")
    sub.add_argument("--list", action="store_true", help="list the figures, one line each")
    return parser


def _many_arguments(sub: argparse.ArgumentParser, folder: str) -> None:
    """Of commands that make many runs."""
    sub.add_argument("-o", "--output", metavar="DIR", type=Path, help=folder)
    sub.add_argument("--workers", metavar="N", type=int, help="runs at once on this machine (default: one a core)")
    where = sub.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the runs instead")
    where.add_argument("--slurm", action="store_true", help="write a job array for sbatch instead of running")
    sub.add_argument("--walltime", metavar="TIME", help="for all runs together: they stop at checkpoints")
    sub.add_argument("--yes", action="store_true", help="more than 100 000 runs are meant")
    sub.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors alone")


def _units_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("deck", metavar="DECK", nargs="?", help="a TOML file or the name of a shipped deck")
    _set_argument(sub, "magnet.exchange=0.02")
    for name, unit, text in MATERIAL:
        sub.add_argument(
            f"--{name}", metavar=unit, type=number, help=f"of a material instead of a deck: {text}, {unit}"
        )
    sub.add_argument("--dmi-kind", choices=("bulk", "interfacial"), help="of --dmi (default: bulk)")
    sub.add_argument(
        "--energy", metavar="UNIT", type=energy_unit, help="units.energy of a material's deck (default: eV)"
    )
    sub.add_argument(
        "--cell", "--lattice-constant", metavar="LENGTH", type=length, help="what a site stands for, along x: 2nm"
    )
    sub.add_argument("--width", metavar="LENGTH", type=length, help="the same along y, on a chain (default: --cell)")
    sub.add_argument("--thickness", metavar="LENGTH", type=length, help="the same along z (default: --cell)")
    sub.add_argument("--dimension", type=int, choices=(1, 2), help="of a material: chain (default) or square lattice")
    sub.add_argument("--g", metavar="G", type=number, default=2.0, help="of the moments (default: 2)")
    sub.add_argument(
        "--quantity", metavar="Q", action="append", default=[], dest="quantities",
        help="as a number of the deck: 300K, 5ps, 0.1T, 20GHz, 3meV, 10nm, ... (may be repeated)",
    )  # fmt: skip
    sub.add_argument("--json", action="store_true", help="print numbers for another program")


def _deck_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("deck", metavar="DECK", help="a TOML file or the name of a shipped deck")
    _set_argument(sub, "electrons.temperature=0.01")


def _set_argument(sub: argparse.ArgumentParser, example: str) -> None:
    sub.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides",
        help=f"change one key, for example --set {example} (may be repeated)",
    )  # fmt: skip


def _loop_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--until", metavar="T", type=time_to_stop, help="stop at this time, or make the run longer, to this time"
    )
    sub.add_argument(
        "--walltime", metavar="TIME", help="stop at a checkpoint after 90 (seconds), 90m, 1:30:00, 1-00:00:00"
    )
    sub.add_argument(
        "--mpi", action="store_true", help="as one of the processes of mpiexec or srun, which share the energies"
    )
    sub.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors alone")


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


if __name__ == "__main__":
    sys.exit(main())
