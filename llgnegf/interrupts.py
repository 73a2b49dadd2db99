"""What ends a run before its time: signals (Ctrl-C, a scheduler's SIGTERM) and the wall time that it was given."""

from __future__ import annotations

import _thread
import contextlib
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from llgnegf.deck import parse_wall_time
from llgnegf.errors import DeckError, RunWarning

# Schedulers announce the end of a job by any of these; a terminal that closes sends HUP, a used up processor time XCPU.
# Not every system has all of them.
STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")


# Between two questions of a run to who began it, whether it shall stop: seconds.
_ASK = 1.0
# What still goes on so many seconds after a signal is given up: schedulers kill soon after they have asked.
GRACE = 5.0


class GivenUp(BaseException):
    """Raised in the middle of a step that takes too long after a signal; what the step worked on is of no use then."""


class _LongWork:
    """A context around work that may be given up in the middle."""

    inside = False

    def __enter__(self) -> None:
        self.inside = True

    def __exit__(self, *exception: object) -> None:
        self.inside = False


class Interrupts:
    """Whether a run shall stop at the next checkpoint: true from then on, with the `reason` in words.

    long_work: a context; what is inside it `GRACE` seconds after a signal ends with `GivenUp`.
    """

    _decide: Callable[[str | None], str | None] | None = None  # of all runs of this process

    @classmethod
    @contextlib.contextmanager
    def decided_by(cls, decide: Callable[[str | None], str | None]) -> Iterator[None]:
        """Inside, `decide` makes of this process's reason to stop that of the job it belongs to, before each step.

        No step is given up in the middle then: others would wait for this process.
        """
        cls._decide = staticmethod(decide)
        try:
            yield
        finally:
            cls._decide = None

    _asked = threading.local()

    @classmethod
    @contextlib.contextmanager
    def asked_by(cls, asks: Callable[[], bool]) -> Iterator[None]:
        """Inside, runs of this thread stop where `asks()` is true: where no signal reaches them, on another machine."""
        cls._asked.asks = asks
        try:
            yield
        finally:
            del cls._asked.asks

    def __init__(self, walltime: float | str | None) -> None:
        """walltime: seconds from now, or a text such as "1h30m", or None.  DeckError where it is neither."""
        self.deadline = None if walltime is None else time.monotonic() + _seconds(walltime)
        self.reason: str | None = None
        self.long_work = _LongWork()
        self._came, self._over = threading.Event(), threading.Event()
        self._number, self._overdue = 0, False
        self._asks: Callable[[], bool] | None = getattr(self._asked, "asks", None)
        self._asked_at = -math.inf

    def signalled(self, number: int, _frame: FrameType | None) -> None:
        """First signal: stop after this step; a second Ctrl-C stops at once (nothing flushed is lost)."""
        if self._overdue:  # the signal is `_remind`'s
            self._overdue = False
            if self.long_work.inside:
                raise GivenUp
            return
        if self.reason is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.reason is None:
            self.reason, self._number = signal.Signals(number).name, number
            self._came.set()

    def _remind(self) -> None:
        """In a thread of its own: where the main one still works after a while, it gets the signal once more."""
        self._came.wait()
        while not self._over.wait(GRACE):
            if self.long_work.inside and self._decide is None:
                self._overdue = True
                if hasattr(signal, "pthread_kill"):  # wakes it up where it waits for threads
                    signal.pthread_kill(threading.main_thread().ident or 0, self._number)
                else:
                    _thread.interrupt_main(signal.Signals(self._number))

    def __bool__(self) -> bool:
        return self.reason is not None

    def stops(self, moved: bool) -> bool:
        """Whether to stop now; moved: whether a step was made, without which the wall time ends nothing.

        So a run that is called again and again ends, however short the wall time of each call.
        """
        if self.reason is None and moved and self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = "the wall time is over"
        if self._asks is not None and self.reason is None and time.monotonic() - self._asked_at >= _ASK:
            self._asked_at = time.monotonic()
            self.reason = "who began it was stopped" if self._asks() else None
        if self._decide is not None:
            self.reason = self._decide(self.reason)
        return self.reason is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Signals are caught inside; only the main thread may do so.

        HUP stays ignored where the process was told so (`nohup`).  Others do not: a shell without job control lets what
        it starts with & ignore INT, and a scheduler's INT must still end the run at a checkpoint.  A signal that a
        program in C handles stays its own.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {}
        reminder = threading.Thread(target=self._remind, name="signals", daemon=True)
        reminder.start()  # here: a handler may interrupt what threads need to start
        try:
            for name in STOPPING:
                number = getattr(signal, name, None)
                if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
                    continue
                if signal.getsignal(number) is None:  # of a program in C: it could not be given back afterwards
                    warnings.warn(
                        f"{name} is handled by another program: it stops no run at a checkpoint", RunWarning, 4
                    )
                else:
                    before[number] = signal.signal(number, self.signalled)
            yield
        finally:
            self._over.set()
            self._came.set()
            reminder.join()  # no signal comes any more when handlers are given back
            for number, handler in before.items():
                signal.signal(number, handler)


def _seconds(walltime: float | str) -> float:
    try:
        if isinstance(walltime, str):
            return parse_wall_time(walltime)
        if float(walltime) >= 0:
            return float(walltime)
    except ValueError as error:
        raise DeckError(f"walltime: {error}") from None
    except TypeError:
        pass
    raise DeckError(f'walltime = {walltime!r}: must be a number >= 0 of seconds, or a text such as "1h30m"')
