"""What the command line says about arguments that it does not know: what was probably meant, below the right usage."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from llgnegf.deck.shipped import shipped_decks
from llgnegf.regular_files import is_hdf5
from llgnegf.units import ENERGY_UNITS, metres

# What other programs call these commands.
COMMANDS = {
    **dict.fromkeys(("start", "go", "execute", "simulate", "launch"), "run"),
    **dict.fromkeys(("continue", "restart", "proceed"), "resume"),
    **dict.fromkeys(("info", "status", "summary", "describe", "stat", "cat"), "show"),
    **dict.fromkeys(("validate", "verify", "lint", "estimate"), "check"),
    **dict.fromkeys(("draw", "figure", "picture", "fig"), "plot"),
    **dict.fromkeys(("init", "create", "copy", "template"), "new"),
    **dict.fromkeys(("ls", "decks", "examples"), "list"),
    **dict.fromkeys(("scan", "batch", "grid", "array"), "sweep"),
    **dict.fromkeys(("animate", "video", "film"), "movie"),
    **dict.fromkeys(("diagnose", "selftest", "self-test", "sysinfo"), "doctor"),
    **dict.fromkeys(("convert", "si"), "units"),
    "diff": "compare",
    **dict.fromkeys(("save", "ovf", "vtk", "csv"), "export"),
    "figures": "reproduce",
}


class Parser(argparse.ArgumentParser):
    """A parser with commands, each a `Parser` in `commands`; its errors are told by the command they belong to."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.commands: dict[str, Parser] = {}

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse's, for the whole command line."""
        words = list(sys.argv[1:] if args is None else args)
        place = next((i for i, word in enumerate(words) if not word.startswith("-")), None)
        if place is not None and words[place] == "help":
            words[place : place + 2] = [*words[place + 1 : place + 2], "--help"]
        elif place is not None and words[place] not in self.commands:
            self.error(_unknown_command(words[place], self.commands))
        found, unknown = self.parse_known_args(words, namespace)
        if unknown:
            command = self.commands[found.command]
            command.error(_unknown_arguments(found, unknown, command, self.commands))
        return found

    def error(self, message: str) -> NoReturn:
        """The usage of this command and the message, on standard error; exit code 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"llgnegf: {message}\n")

    @property
    def option_names(self) -> list[str]:
        """Every way to write an option of this command."""
        return [name for action in self._actions for name in action.option_strings]


def run_file(text: str) -> Path:
    """The argument RUN.h5: a path that is not obviously something else."""
    path = Path(text)
    if path.suffix.lower() == ".toml":
        there = Path(f"{path.stem}.h5")
        more = f"; its run file may be {there}" if os.path.isfile(there) else ""
        raise argparse.ArgumentTypeError(f"{text} is a deck, not a run file: `llgnegf run {text}` runs it{more}")
    name, _, rest = path.name.partition(".ckpt")
    if name != path.name and (not rest or rest.lstrip(".").isdigit()):
        raise argparse.ArgumentTypeError(f"{text} is a checkpoint; name its run file: {path.with_name(name)}")
    if not os.path.exists(path):  # unlike Path.exists, for any text
        beside = f"{text}.h5"
        if os.path.isfile(beside):
            raise argparse.ArgumentTypeError(f"{text}: no such file; did you mean {beside}?")
        if text in shipped_decks():
            raise argparse.ArgumentTypeError(
                f"{text} is a shipped deck, not a run file: `llgnegf run {text}` runs it into {beside}"
            )
    return path


def output_file(text: str) -> Path:
    """The argument -o of `run`: not a file that is there and is something else, which --overwrite would destroy."""
    if os.path.isfile(text):
        try:
            with open(text, "rb") as file:
                content = file.read(2**16)
        except OSError:  # told when it is written
            content = b""
        if content and not is_hdf5(content):
            raise argparse.ArgumentTypeError(f"{text} is there and is not a run file: give another name")
    return Path(text)


def time_to_stop(text: str) -> float:
    """The argument of --until."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time: give a number >= 0 of hbar/energy, a multiple of integrator.step, such as "
            "--until 100 (--walltime ends a call after so much time of the clock)"
        ) from None


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def direction(text: str) -> tuple[float, float, float]:
    """Three finite numbers with commas between them, not all zero."""
    try:
        x, y, z = map(float, text.split(","))
    except ValueError:
        x = y = z = 0.0
    if not (math.isfinite(x + y + z) and (x or y or z)):
        raise argparse.ArgumentTypeError(f"{text!r} is no direction: three numbers, not all zero, such as 0,0,1")
    return x, y, z


def length(text: str) -> float:
    """An argument that is a length with its unit, in metres."""
    try:
        return metres(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def energy_unit(text: str) -> str | float:
    """The argument --energy: a name, or a number of eV."""
    if text in ENERGY_UNITS:
        return text
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no unit of energy: {', '.join(ENERGY_UNITS)} or a number > 0 of eV")


def _unknown_command(word: str, commands: Iterable[str]) -> str:
    from llgnegf.deck.messages import close_to  # only here and below: it loads the tables of decks

    likely = close_to(word, [*commands, *COMMANDS])
    likely = COMMANDS.get(likely, likely) if likely else None
    path = Path(word)
    if path.suffix == ".h5":
        hint = f"did you mean `llgnegf show {word}` or `llgnegf resume {word}`?"
    elif path.suffix == ".toml" or word in shipped_decks():
        hint = f"did you mean `llgnegf run {word}`?"
    elif likely:
        hint = f"did you mean `llgnegf {likely}`?"
    else:
        hint = f"the commands are {', '.join(commands)}"
    return f"{word!r} is no command: {hint}"


def _unknown_arguments(
    found: argparse.Namespace, unknown: list[str], command: Parser, commands: dict[str, Parser]
) -> str:
    """What to write instead of the first of these words; overrides without a value are what went before it."""
    from llgnegf.deck.messages import keys_named

    first, takes_keys = unknown[0], "--set" in command.option_names
    unfinished = next((text for text in getattr(found, "overrides", []) if "=" not in text), None)
    if unfinished is not None and not first.startswith("--"):
        value = " ".join(unknown).lstrip("= ")
        return f"--set takes KEY=VALUE as one word: --set {shlex.quote(f'{unfinished}={value}')}"
    name, equals, value = first.partition("=")
    if not first.startswith("-"):
        if equals and takes_keys and keys_named(name):
            return f"{first!r} stands alone: write --set {shlex.quote(f'{keys_named(name)[0]}={value}')}"
        return f"unexpected argument {first!r}"
    return f"{name} is no option of `{command.prog}`{_option_hint(name, value, unknown[1:], command, commands)}"


def _option_hint(name: str, value: str, rest: list[str], command: Parser, commands: dict[str, Parser]) -> str:
    from llgnegf.deck.messages import close_to, keys_named

    others = [other.prog for other in commands.values() if name in other.option_names]
    if others:
        return f"; it belongs to {', '.join(f'`{other}`' for other in others)}"
    keys = keys_named(name.lstrip("-").replace("-", "_")) if "--set" in command.option_names else []
    if keys:
        value = value or next((word for word in rest[:1] if not word.startswith("-")), "VALUE")
        return f"; a key of the deck is changed by --set {shlex.quote(f'{keys[0]}={value}')}"
    bare = {option.lstrip("-"): option for option in command.option_names if option.startswith("--")}
    likely = close_to(name.lstrip("-"), bare)
    return f"; did you mean {bare[likely]}?" if likely else f"; its options are {', '.join(bare.values())}"
