"""What ends a run before its time: signals (Ctrl-C, a scheduler's SIGTERM) and the wall time that it was given."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType


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
        before = {s: signal.signal(s, self.signalled) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
