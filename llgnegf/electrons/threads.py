"""Energies side by side in threads, each with one thread of BLAS.

LLGNEGF_NUM_THREADS sets how many; by default as many as the process may use cores.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

# Below this many site-energies a kernel call is shorter than handing it to threads.
_THREADING_THRESHOLD = 4000


_place = threading.local()


def _enter() -> None:
    _place.is_worker = True


@lru_cache(maxsize=1)
def _pool() -> tuple[ThreadPoolExecutor, int]:
    workers = int(os.environ.get("LLGNEGF_NUM_THREADS", "0")) or len(os.sched_getaffinity(0))
    return ThreadPoolExecutor(workers, thread_name_prefix="energies", initializer=_enter), workers


def _is_worker() -> bool:
    """Whether this is a thread of the pool: it must not wait for others of it, who may all wait alike."""
    return getattr(_place, "is_worker", False)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


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
    with _blas().limit(limits=1, user_api="blas"):
        if workers == 1 or len(items) < 2 or _is_worker():
            return [function(item) for item in items]
        return list(pool.map(function, items))
