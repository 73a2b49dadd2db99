"""Threads that share the energies; BLAS runs with one thread in each of them.

The environment variable LLGNEGF_NUM_THREADS sets their number; by default, the number of cores the
process may use: those of its affinity, of the limit of its container, or of the machine, where a system has neither.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ContextDecorator
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController

from .forks import in_every_child

Item = TypeVar("Item")
Result = TypeVar("Result")

# For fewer sites times energies, passing the work to threads takes longer than the kernel itself.
_THREADING_THRESHOLD = 4000

_place = threading.local()


def _enter() -> None:
    """Mark this thread as one of the pool."""
    _place.is_worker = True


def workers_asked_for() -> int:
    """LLGNEGF_NUM_THREADS, 0 where it is not set.  Raises ValueError if it is not a number >= 0."""
    asked = os.environ.get("LLGNEGF_NUM_THREADS", "0").strip() or "0"
    if not asked.isdecimal():
        raise ValueError(
            f"LLGNEGF_NUM_THREADS = {asked!r} (environment): allowed are whole numbers >= 1, or 0 for the cores this "
            "process may use"
        )
    return int(asked)


def worker_count() -> int:
    """Number of threads that share the energies.  Raises ValueError if LLGNEGF_NUM_THREADS is not a number >= 0."""
    asked = workers_asked_for()
    if asked:
        return asked
    from loky import cpu_count  # here, because it takes a tenth of a second to load

    with warnings.catch_warnings():  # it advises to install psutil where it cannot tell the affinity
        warnings.simplefilter("ignore")
        return cpu_count()


@lru_cache(maxsize=1)
def _pool() -> tuple[ThreadPoolExecutor, int]:
    """The pool of threads, made at the first call, and their number."""
    workers = worker_count()
    return ThreadPoolExecutor(workers, thread_name_prefix="energies", initializer=_enter), workers


def pool_size() -> int:
    """Number of threads of the pool: `worker_count` at the first call, which takes as long as a small kernel."""
    return _pool()[1]


def is_worker() -> bool:
    """Whether this is a thread of the pool, which must not wait for other tasks of the pool: that could deadlock."""
    return getattr(_place, "is_worker", False)


@lru_cache(maxsize=2)
def _blas(scipy_is_loaded: bool) -> ThreadpoolController:
    """The controller of the BLAS libraries that are loaded at the first call: SciPy has one of its own."""
    return ThreadpoolController()


def _let_go_of_blas(force: bool = False) -> None:
    """Allow other threads to set the limit of BLAS threads.

    Since threadpoolctl 3.8 only the first thread that set a limit may change it, until this control is given up.
    """
    if hasattr(OpenBLASController, "clear_controlling_thread"):
        OpenBLASController.clear_controlling_thread(force=force)


class _OneBlasThread(ContextDecorator):
    """Context and decorator that limits BLAS to one thread as long as at least one thread is inside.

    The limit holds for the whole process, and the package may be called from several threads: the first one to enter
    sets the limit, the last one to leave restores the old one.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset: no thread is inside."""
        self._lock, self._inside = threading.Lock(), 0
        self._limits: list[Any] = []
        self._limits_scipy = False

    def __enter__(self) -> None:
        # Loaded inside, it would not be limited.
        import scipy.linalg  # noqa: F401  heavy import, not needed in every run

        self.enter()

    def enter(self) -> None:
        """Begin without loading SciPy: limits its BLAS only if that is loaded already."""
        with self._lock:
            loaded = "scipy.linalg" in sys.modules
            if not self._limits or (loaded and not self._limits_scipy):
                if self._limits:
                    _let_go_of_blas(force=True)
                self._first, self._limits_scipy = threading.get_ident(), loaded
                self._limits.append(_blas(loaded).limit(limits=1, user_api="blas"))
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                if threading.get_ident() != self._first:
                    _let_go_of_blas(force=True)
                while self._limits:
                    self._limits.pop().restore_original_limits()
                _let_go_of_blas()


class _OneNumpyThread(ContextDecorator):
    """The same for what uses NumPy alone, without loading SciPy."""

    def __enter__(self) -> None:
        one_blas_thread.enter()

    def __exit__(self, *exception: object) -> None:
        one_blas_thread.__exit__(*exception)


one_blas_thread = _OneBlasThread()
one_numpy_thread = _OneNumpyThread()


def _after_fork() -> None:
    """Reset pool and BLAS limit: the threads of the parent do not exist in a child process."""
    _pool.cache_clear()
    one_blas_thread.forget()


in_every_child(_after_fork)


def spread(n_energies: int, n_sites: int, kernel: Callable[[slice], None]) -> None:
    """Call kernel(slice) in threads, each for a part of the energies; the kernel writes the results of its slice.

    n_energies: number of energies; n_sites: size of the system, to judge whether threads are worthwhile.
    """
    if n_energies * n_sites < _THREADING_THRESHOLD or n_energies < 2 or is_worker():
        kernel(slice(0, n_energies))
        return
    pool, workers = _pool()
    cuts = np.linspace(0, n_energies, min(workers, n_energies) + 1).astype(int)
    list(pool.map(kernel, [slice(a, b) for a, b in itertools.pairwise(cuts)]))


def total_of(function: Callable[[Item], Sequence[Any]], items: Sequence[Item]) -> list[Any]:
    """Sums of the arrays that function(item) returns, over all items; empty without items.

    As `each`, but no more results at once than there are threads.  Added up in the order of the items.
    """
    workers = pool_size()
    total: list[Any] = []
    for first in range(0, len(items), workers):
        for found in each(function, items[first : first + workers]):
            if total:
                for sum_of, one in zip(total, found, strict=True):
                    sum_of += one
            else:
                total = list(found)
    return total


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """function(item) for all items in threads, in their order: results do not depend on the number of threads.

    For functions that spend their time in BLAS.  BLAS itself is limited to one thread meanwhile: for matrices of this
    size more would gain nothing, and they would compete for the cores.
    """
    pool, workers = _pool()
    with one_blas_thread:
        if workers == 1 or len(items) < 2 or is_worker():
            return [function(item) for item in items]
        return list(pool.map(function, items))
