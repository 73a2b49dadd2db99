"""Large arrays that are used again."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .slice_blocks import Allocator, Stack

# Sweeps are kept for later applications of a response up to this size (bytes); beyond it they are done again.
KEPT_BYTES = 1_000_000_000

# Of all of them: a garbage collection in the middle of a call may give arrays back, so it can be taken twice.
_lock = threading.RLock()


def _after_fork() -> None:
    """Whoever held the lock is not in the child."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


class Scratch:
    """Complex arrays, by shape, that nobody needs at the moment.

    The pages of fresh memory cost the system a third of the time of a first order on a large lattice.  Safe between
    threads.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes, self.free_bytes = most_bytes, 0
        self._free: defaultdict[tuple[int, ...], list[Stack]] = defaultdict(list)

    @contextmanager
    def lent(self) -> Iterator[Allocator]:
        """Makes arrays, not initialised, that nobody looks at after the block."""
        arrays: list[Stack] = []
        try:
            yield self.lender(arrays)
        finally:
            self.take_back(arrays)

    def lender(self, arrays: list[Stack]) -> Allocator:
        """Makes arrays, not initialised, and notes them in `arrays` for `take_back`."""

        def allocate(shape: tuple[int, ...]) -> Stack:
            arrays.append(self._array(shape))
            return arrays[-1]

        return allocate

    def _array(self, shape: tuple[int, ...]) -> Stack:
        with _lock:
            if self._free[shape]:
                found = self._free[shape].pop()
                self.free_bytes -= found.nbytes
                return found
        return np.empty(shape, complex)

    def take_back(self, arrays: list[Stack]) -> None:
        """Arrays that nobody looks at any more; what is too much for the limit goes to the system."""
        with _lock:
            for one in arrays:
                if self.free_bytes + one.nbytes <= self.most_bytes:
                    self._free[one.shape].append(one)
                    self.free_bytes += one.nbytes
