"""Large work arrays that are reused instead of being allocated again."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .forks import in_every_child
from .slice_blocks import Allocator, Stack

# Sweeps of the sea term up to this total size (bytes) are kept for further motions; larger ones are repeated each time.
KEPT_BYTES = 1_000_000_000

# One lock for all instances.  Reentrant, because a garbage collection that happens inside one of the methods may call
# `take_back` in the same thread.
_lock = threading.RLock()


def _after_fork() -> None:
    """The child gets a new lock: a thread that held the old one does not exist there."""
    global _lock
    _lock = threading.RLock()


in_every_child(_after_fork)


class Scratch:
    """Complex arrays not in use at the moment, by shape; safe to use from several threads.

    Newly allocated memory is slow at its first use (page faults): without reuse, that takes a third of the time of an
    evaluation to first order on a large lattice.
    most_bytes: unused arrays beyond this total are released.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes, self.free_bytes = most_bytes, 0
        self._free: defaultdict[tuple[int, ...], list[Stack]] = defaultdict(list)

    @contextmanager
    def lent(self) -> Iterator[Allocator]:
        """Context with a function `allocate(shape)`; its arrays, not initialised, must not be used afterwards."""
        arrays: list[Stack] = []
        try:
            yield self.lender(arrays)
        finally:
            self.take_back(arrays)

    def lender(self, arrays: list[Stack]) -> Allocator:
        """A function `allocate(shape)` for arrays, not initialised; it appends each to `arrays`, for `take_back`."""

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
        """Keep these arrays, which are no longer in use, for reuse; beyond the limit they are released."""
        with _lock:
            for one in arrays:
                if self.free_bytes + one.nbytes <= self.most_bytes:
                    self._free[one.shape].append(one)
                    self.free_bytes += one.nbytes
