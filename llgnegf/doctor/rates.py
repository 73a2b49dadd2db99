"""How fast this machine multiplies matrices and moves memory, and how much of that the sweeps of a lattice reach.

A complex multiply-add counts as 8 floating-point operations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from llgnegf.electrons import Device
from llgnegf.electrons.counter import Counter
from llgnegf.electrons.lattice import LatticeSweeps
from llgnegf.electrons.threads import each, one_blas_thread, worker_count
from llgnegf.units import counted

_SIDE = 40  # sites across the lattice that is swept: blocks of 80 x 80
_SIZES = (80, 160, 320, 640)  # of matrices among which the best rate is looked for
_SECONDS = 0.25  # for each thing that is timed, and at least three times
_COPIED = 1 << 27  # bytes: more than caches hold


@dataclass(frozen=True)
class Rate:
    """Something timed.  words: the number with its unit, as it is printed; unit: of `value`."""

    what: str
    value: float
    unit: str
    words: str

    def as_json(self) -> dict[str, Any]:
        """The same for other programs."""
        return {"what": self.what, "value": self.value, "unit": self.unit}


def measured_rates() -> list[Rate]:
    """Products, the sweep of a lattice, threads, memory: a few seconds."""
    with one_blas_thread:
        products = {n: 8e-9 * n**3 / _fastest(_product(n)) for n in _SIZES}
        n, swept = 2 * _SIDE, _sweep()
    best = max(products, key=lambda size: products[size])
    sweep = 24e-9 * n**3 * _SIDE / _fastest(swept)
    workers = worker_count()
    several = [_product(n, 20) for _ in range(workers)]
    with one_blas_thread:
        alone = _fastest(several[0], time.perf_counter)
    gained = workers * alone / _fastest(lambda: each(lambda product: product(), several), time.perf_counter)
    copy = 2e-9 * _COPIED / _fastest(_copy())
    return [
        _gflops(f"Green's function of a lattice {_SIDE} wide", sweep),
        _gflops(f"matrix products (zgemm) of that lattice, {n} x {n}", products[n]),
        _gflops(f"matrix products at their best, {best} x {best}", products[best]),
        _share("Green's function, share of products of its size", sweep / products[n]),
        _share("Green's function, share of products at their best", sweep / products[best]),
        Rate(f"products of {n} x {n}: {counted(workers, 'thread')} over one", gained, "1", f"{gained:.2f} x"),
        Rate("memory, copied (read and written)", copy, "GB/s", f"{copy:.1f} GB/s"),
    ]


def _gflops(what: str, value: float) -> Rate:
    return Rate(what, value, "GFlop/s", f"{value:.1f} GFlop/s")


def _share(what: str, value: float) -> Rate:
    return Rate(what, value, "1", f"{value:.0%}")


def _fastest(act: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    """Seconds of the fastest of some repetitions, after one that does not count: what else runs here only adds.

    clock: that of this thread does not go on while other processes have the core.
    """
    act()
    found: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(found) < 3 or time.perf_counter() < end:
        began = clock()
        act()
        found.append(clock() - began)
    return max(min(found), 1e-9)  # some clocks are coarse


def _product(n: int, times: int = 1) -> Callable[[], None]:
    """Multiplies matrices of n x n so many times, with SciPy's BLAS, which kernels use."""
    from scipy.linalg import blas

    rng = np.random.default_rng(n)
    a, b = (np.asfortranarray(rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))) for _ in range(2))
    c = np.zeros_like(a, order="F")

    def act() -> None:
        for _ in range(times):
            blas.zgemm(1.0, a, b, c=c, overwrite_c=True)

    return act


def _sweep() -> Callable[[], None]:
    """Evaluates one Green's function of a lattice: 3 n^3 multiply-adds for each of its slices."""
    shape = (_SIDE, _SIDE)
    device = Device(shape, sd_exchange=0.5, temperature=0.01)
    frozen = device.freeze(np.broadcast_to([0.6, 0.0, 0.8], (*shape, 3)))
    sweeps = LatticeSweeps(device, frozen.blocks, frozen.bounds, Counter())
    energy = np.array([0.3 + 0.5j])

    def act() -> None:
        with device.scratch.lent() as allocate:
            sweeps.sweep(energy, allocate=allocate)

    return act


def _copy() -> Callable[[], None]:
    source = np.ones(_COPIED // 8)
    target = np.zeros_like(source)
    return lambda: np.copyto(target, source)
