"""Standard output and standard error that may be gone: a closed pipe, a full disk under the log, no terminal any more.

What a run tells is a convenience; the run itself goes on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast


class Guarded:
    """A text stream to which writing never fails.

    stream: None, as Python has it where a process has no such stream, takes nothing.  Characters that its encoding does
    not have are written as escapes.  lost: the error with which the stream failed; from then on it takes nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.lost: Exception | None = None if stream is not None else OSError(errno.EBADF, "it is closed")

    def write(self, text: str) -> int:
        """Writes what can be written; returns the number of characters as if that were all."""
        self._try(lambda stream: stream.write(_writable(text, stream)))
        return len(text)

    def flush(self) -> None:
        """Hands on what was written, if that is possible."""
        self._try(lambda stream: stream.flush())

    def isatty(self) -> bool:
        """Whether it leads to a terminal."""
        if self._stream is None or self.lost is not None:
            return False
        try:
            return self._stream.isatty()
        except (OSError, ValueError):  # closed within Python
            return False

    @property
    def why(self) -> str:
        """Why it was lost, in words."""
        return getattr(self.lost, "strerror", None) or str(self.lost)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, act: Callable[[TextIO], Any]) -> None:
        if self.lost is None:
            assert self._stream is not None
            try:
                act(self._stream)
            except (OSError, ValueError) as error:  # ValueError: closed within Python
                self.lost = error


def _writable(text: str, stream: TextIO) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def visible(text: str) -> str:
    """A line with its control characters as escapes.

    A title or a name in a file of others may hold what clears a terminal, colours it, begins a new line or turns the
    direction of writing.
    """
    return "".join(c if c.isprintable() or not _controls(c) else c.encode("unicode_escape").decode() for c in text)


def _controls(character: str) -> bool:
    """Whether it is a control character, ends a line or a paragraph, or overrides the direction of what follows."""
    kind = unicodedata.category(character)
    return kind in ("Cc", "Zl", "Zp") or "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"


@contextlib.contextmanager
def guarded() -> Iterator[tuple[Guarded, Guarded]]:
    """Standard output and standard error of the command, guarded inside."""
    real = sys.stdout, sys.stderr
    both = Guarded(real[0]), Guarded(real[1])
    sys.stdout, sys.stderr = cast(TextIO, both[0]), cast(TextIO, both[1])
    try:
        yield both
    finally:
        sys.stdout, sys.stderr = real
        for stream, guard in zip(real, both, strict=True):
            guard.flush()
            if guard.lost is not None and stream is not None:
                _silence(stream)


def _silence(stream: TextIO) -> None:
    """What Python still holds for a stream that failed goes to the null device: at exit it would complain once more."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def occupy_standard_descriptors() -> None:
    """Opens the null device in the place of standard streams that are closed.

    Otherwise the next file to be opened takes the place, and what a library prints there ends up in the run file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, this one
            os.set_inheritable(null, True)
