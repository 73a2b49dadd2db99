"""What ends a run before its time: signals (Ctrl-C, a scheduler's SIGTERM) and the wall time that it was given."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from types import FrameType

from llgnegf.errors import RunWarning


class Interrupts:
    """Whether a run shall stop at the next checkpoint: true from then on, with the `reason` in words."""

    def __init__(self, walltime: float | None) -> None:
        self.deadline = None if walltime is None else time.monotonic() + walltime
        self.reason: str | None = None

    def signalled(self, number: int, _frame: FrameType | None) -> None:
        """First signal: stop after this step; a second Ctrl-C stops at once (nothing flushed is lost)."""
        if self.reason is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.reason = signal.Signals(number).name

    def __bool__(self) -> bool:
        if self.reason is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = "the wall time is over"
        return self.reason is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Signals are caught inside; only the main thread may do so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        foreign = [s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) is None]
        for number in foreign:  # of a program in C around Python: it could not be given back afterwards
            warnings.warn(
                f"{number.name} is handled by another program: it stops no run at a checkpoint", RunWarning, 4
            )
        own = [s for s in (signal.SIGINT, signal.SIGTERM) if s not in foreign]
        before = {s: signal.signal(s, self.signalled) for s in own}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
