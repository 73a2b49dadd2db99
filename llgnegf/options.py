"""The commands of `llgnegf` and their options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from llgnegf._version import __version__
from llgnegf.arguments import Parser, direction, energy_unit, length, number, output_file, run_file, time_to_stop
from llgnegf.commands import ACTIONS, MATERIAL


def command_line() -> Parser:
    """The parser of the whole command line."""
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

    def add(name: str, text: str) -> Parser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=[common])
        sub.set_defaults(action=ACTIONS[name])
        parser.commands[name] = sub
        return sub

    add("list", "list the shipped decks")

    sub = add("new", "write a shipped deck to edit")
    sub.add_argument("name", metavar="NAME", help="a name from `llgnegf list`")
    sub.add_argument("path", metavar="PATH", nargs="?", type=Path, help="where to write it (default: NAME.toml)")

    sub = add("check", "validate a deck and say what it will cost")
    _deck_arguments(sub)

    sub = add("run", "run a deck")
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

    sub = add("resume", "continue a run from its newest checkpoint")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)
    _set_argument(sub, "run.duration=500; only what leaves alone what was computed")
    _loop_arguments(sub)

    sub = add("show", "tell what a run is, how far it is and what it conserves")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)

    sub = add("compare", "set frozen electrons beside exact ones: steady precession, or real time")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)
    sub.add_argument(
        "--within", metavar="SHARE", type=number,
        help="exit code 1 where frozen electrons miss more than this share, such as 0.01 (default: no bound)",
    )  # fmt: skip
    sub.add_argument("--json", action="store_true", help="print numbers for another program")

    sub = add("response", "damping, inertia and exchange that electrons give the moments of a deck at t = 0")
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

    sub = add("plot", "draw a run, or a sweep by its folder")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)
    sub.add_argument("-o", "--output", metavar="FIG.png", type=Path, help="picture (default: beside the run file)")
    sub.add_argument("--variable", metavar="NAME", help="draw this variable of the run file, or column of the sweep")
    sub.add_argument("--frame", metavar="N", type=int, help="of the variable, one frame alone (-1: the last)")

    sub = add("movie", "show a variable of a run frame by frame")
    sub.add_argument("path", metavar="RUN.h5", type=run_file)
    sub.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help=".mp4 or .gif (default: .mp4 beside the run file)"
    )
    sub.add_argument("--variable", metavar="NAME", default="moment", help="a variable on sites (default: moment)")
    sub.add_argument("--frames", metavar="FIRST:END:STEP", help="which (default: all), such as ::10")
    sub.add_argument("--fps", metavar="N", type=float, default=25.0, help="pictures per second (default: 25)")
    sub.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors alone")

    sub = add("export", "write a run for other programs: OVF, VTK, CSV")
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

    sub = add("sweep", "run a deck for every combination of values of its keys")
    sub.add_argument("deck", metavar="DECK", help="a TOML file or the name of a shipped deck")
    sub.add_argument(
        "--set", metavar="KEY=VALUES", action="append", default=[], dest="axes",
        help="values with commas between, lin(FIRST,LAST,N) or log(FIRST,LAST,N); every key has its own --set",
    )  # fmt: skip
    _many_arguments(sub, "folder of the sweep (default: NAME_sweep)")

    sub = add("ensemble", "run many paths of a deck with random numbers: their mean and spread in one file")
    _deck_arguments(sub)
    sub.add_argument("--paths", metavar="N", type=int, required=True, help="how many, with run.seed, run.seed + 1, ...")
    _many_arguments(sub, "folder of the ensemble (default: NAME_ensemble)")

    sub = add("units", "tell what the numbers of a deck are in SI units, or a material in numbers of a deck")
    _units_arguments(sub)

    sub = add("doctor", "tell what this installation is, whether it computes right and how fast (ten seconds)")
    sub.add_argument("--json", action="store_true", help="print numbers for another program")

    sub = add("schema", "write the JSON schema of decks, with which editors complete keys and mark mistakes")
    sub.add_argument("path", metavar="PATH", nargs="?", type=Path, help="where to write it (default: standard output)")

    sub = add("reproduce", "regenerate the figures of the papers: data (CSV) and picture")
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
