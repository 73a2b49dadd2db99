"""The command `llgnegf`.  Exit codes: 0 done, 1 a run failed, 2 wrong deck or arguments, 74 disk or file trouble,
75 stopped early at a checkpoint."""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import sys
import warnings
from collections.abc import Iterator, Sequence

from llgnegf import _environment  # noqa: F401  first: before NumPy is loaded
from llgnegf.compiling import telling
from llgnegf.completion import answer
from llgnegf.errors import DeckError, FileError, LLGNEGFError, RunWarning
from llgnegf.options import command_line
from llgnegf.streams import Guarded, guarded, occupy_standard_descriptors, visible

# Commands whose result is what they print; schema without a PATH too.
_ANSWERS = ("list", "check", "show", "compare", "response", "doctor", "units")
# What a second Ctrl-C leaves behind.
_AT_ONCE = {
    **dict.fromkeys(("run", "resume"), "; a run file that was begun is kept: `llgnegf resume` it"),
    "sweep": "; the runs that were begun are kept: the same command goes on",
}
_SIGPIPE = 13  # Windows has no name for it


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
    parser = command_line()
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


if __name__ == "__main__":
    sys.exit(main())
