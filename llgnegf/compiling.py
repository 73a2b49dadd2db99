"""While kernels are compiled: the user is told once that this takes time, and clocks can leave it out.

`kernels.py` tells the one `watch` of a process when numba really compiles, which it does not where a kernel comes from
the disk.  This file does not load numba.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

from llgnegf.streams import Guarded


class Watch:
    """Notes when kernels are compiled.

    telling: whether the user is told on standard error; told: whether that was done, which it is once a process.
    """

    def __init__(self) -> None:
        self.telling = self.told = False
        self._lock, self._depth, self._began, self._seconds = threading.Lock(), 0, 0.0, 0.0

    def begins(self) -> None:
        """A kernel begins to be compiled; those that it calls are compiled before this one ends."""
        with self._lock:
            if not self._depth:
                self._began = time.perf_counter()
            self._depth += 1
            first = self.telling and not self.told
            self.told = self.told or first
        if first:
            _tell()

    def ends(self) -> None:
        """A kernel is compiled, or cannot be."""
        with self._lock:
            self._depth -= 1
            if not self._depth:
                self._seconds += time.perf_counter() - self._began

    @property
    def seconds(self) -> float:
        """Time in which kernels were compiled so far."""
        with self._lock:
            return self._seconds + (time.perf_counter() - self._began if self._depth else 0.0)


watch = Watch()


@contextlib.contextmanager
def telling(wanted: bool = True) -> Iterator[None]:
    """Inside, the user is told where kernels are compiled, if that is `wanted`."""
    before, watch.telling = watch.telling, wanted or watch.telling
    try:
        yield
    finally:
        watch.telling = before


def clock() -> float:
    """Seconds from any beginning, as time.perf_counter, but without those in which kernels were compiled."""
    return time.perf_counter() - watch.seconds


def _tell() -> None:
    from tqdm import tqdm  # here, because only few processes compile

    # Above a bar, if there is one.
    tqdm.write(
        "llgnegf: compiling the kernels for this machine: up to a minute or two, the first time only",
        file=Guarded(sys.stderr),
    )
