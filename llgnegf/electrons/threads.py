"""Energies side by side in threads, each with one thread of BLAS.

LLGNEGF_NUM_THREADS sets how many; by default as many as the process may use cores.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ContextDecorator
from functools import lru_cache
from typing import TypeVar

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

# Below this many site-energies a kernel call is shorter than handing it to threads.
_THREADING_THRESHOLD = 4000

_place = threading.local()


def _enter() -> None:
    _place.is_worker = True


def worker_count() -> int:
    """How many threads share the energies; ValueError where the environment says something impossible."""
    asked = os.environ.get("LLGNEGF_NUM_THREADS", "0").strip() or "0"
    if not asked.isdecimal():
        raise ValueError(
            f"LLGNEGF_NUM_THREADS = {asked!r} (environment): allowed are whole numbers >= 1, or 0 for the cores this "
            "process may use"
        )
    return int(asked) or len(os.sched_getaffinity(0))


@lru_cache(maxsize=1)
def _pool() -> tuple[ThreadPoolExecutor, int]:
    workers = worker_count()
    return ThreadPoolExecutor(workers, thread_name_prefix="energies", initializer=_enter), workers


def _is_worker() -> bool:
    """Whether this is a thread of the pool: it must not wait for others of it, who may all wait alike."""
    return getattr(_place, "is_worker", False)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _let_go_of_blas(force: bool = False) -> None:
    """Since threadpoolctl 3.8 the first thread that sets a number is the only one that may, until it lets go."""
    if hasattr(OpenBLASController, "clear_controlling_thread"):
        OpenBLASController.clear_controlling_thread(force=force)


class _OneBlasThread(ContextDecorator):
    """BLAS on one thread as long as anybody is inside: the setting is the process's, and users have threads as well."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Nobody is inside."""
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._first = threading.get_ident()
                self._limit = _blas().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                if threading.get_ident() != self._first:
                    _let_go_of_blas(force=True)
                self._limit.restore_original_limits()
                _let_go_of_blas()


one_blas_thread = _OneBlasThread()


def _after_fork() -> None:
    """A child has none of the threads, and what they were about to give back never comes."""
    _pool.cache_clear()
    one_blas_thread.forget()


os.register_at_fork(after_in_child=_after_fork)


def spread(n_energies: int, n_sites: int, kernel: Callable[[slice], None]) -> None:
    """Call kernel(slice) so that the energies are shared by the threads; each writes its own rows."""
    if n_energies * n_sites < _THREADING_THRESHOLD or n_energies < 2 or _is_worker():
        kernel(slice(0, n_energies))
        return
    pool, workers = _pool()
    cuts = np.linspace(0, n_energies, min(workers, n_energies) + 1).astype(int)
    list(pool.map(kernel, [slice(a, b) for a, b in itertools.pairwise(cuts)]))


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """function(item) for all items in threads, in their order: results do not depend on the number of threads.

    For functions that spend their time in BLAS: its own threads are switched off meanwhile, for they gain nothing on
    matrices of this size and would fight over the cores.
    """
    pool, workers = _pool()
    with one_blas_thread:
        if workers == 1 or len(items) < 2 or _is_worker():
            return [function(item) for item in items]
        return list(pool.map(function, items))
