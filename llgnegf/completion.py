"""Completion in the shell: argcomplete asks the command itself what may come next, so that it knows every option."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from llgnegf.arguments import Parser
from llgnegf.deck.shipped import shipped_decks
from llgnegf.errors import LLGNEGFError

ASKED = "_ARGCOMPLETE"  # the shell sets it where a word is to be completed


def answer(parser: Parser) -> None:
    """Where the shell asks for completions, tells them and ends the process; otherwise nothing is loaded."""
    if ASKED not in os.environ:
        return
    try:
        import argcomplete
        from argcomplete.completers import FilesCompleter
    except ImportError:
        sys.exit(1)  # without a word, which would stand in the middle of the line that is typed
    run_files, toml_files = FilesCompleter(("h5",)), FilesCompleter(("toml",))

    def decks(prefix: str, **_: Any) -> Iterable[str]:
        return [*shipped_decks(), *toml_files(prefix)]

    # By what the arguments are called in the usage.
    known: dict[Any, Callable[..., Iterable[str]]] = {"RUN.h5": run_files, "DECK": decks, "KEY=VALUE": _keys}
    for name, command in parser.commands.items():
        for action in command._actions:
            completer = known.get(action.metavar)
            if name == "new" and action.metavar == "NAME":
                completer = _names
            elif "--variable" in action.option_strings:
                completer = _variables
            if completer is not None:
                action.completer = completer  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options=False)


def _names(**_: Any) -> Iterable[str]:
    return shipped_decks()


def _variables(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Of the run file that was named before."""
    from llgnegf.runfile.reader import open_run

    try:
        with open_run(parsed_args.path) as run:
            return run.names
    except (LLGNEGFError, TypeError):  # no path as yet
        return []


def _keys(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    from llgnegf.deck.messages import all_keys

    return [f"{key}=" for key in all_keys()]
