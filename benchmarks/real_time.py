"""Electrons in real time on the processor: steps of rk4 against copies of the memory that they read and write.

    python benchmarks/real_time.py [--sizes 20 40] [--memory 1e-4] [--rounds 5]

The memory bound of a step is the time in which all threads together copy what its four stages read and write: 13 passes
over the state, and one more in each stage over what it has of the leads, since sums over their exponents come first.
It is measured right before each step, since other programs may use the memory meanwhile.  Beside it the time of the
same step in rows (`RealTime.derivative`, one thread), where that is not too long.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402

from llgnegf.electrons.leads import Lead  # noqa: E402
from llgnegf.electrons.memory import semicircle  # noqa: E402
from llgnegf.electrons.near_poles import near_poles  # noqa: E402
from llgnegf.electrons.real_time import RealTime  # noqa: E402
from llgnegf.electrons.real_time_step import StagedStep  # noqa: E402
from llgnegf.electrons.real_time_tiles import Tiles  # noqa: E402
from llgnegf.electrons.system import System  # noqa: E402
from llgnegf.electrons.threads import worker_count  # noqa: E402

RK4 = (0, 0.5, 0.5, 1), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
PASSES = 13  # of a step of rk4 over the state: read 1 + 2 + 2 + 4, written once in each stage
STEP = 0.02
# States in rows up to this size are timed too.
ROWS_BYTES = 3e8


def line(text, value, target=""):
    print(f"   {text:<60}{value:>36}   {target}", flush=True)


def electrons_of(size, memory):
    leads = [Lead("left"), Lead("right")]
    system = System((size, size), sd_exchange=-2.0, fermi_energy=-2.1, temperature=0.05, leads=leads)
    m = np.random.default_rng(0).normal(size=(size, size, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    potential = np.zeros((size, size))
    low, high = system.spectrum_bounds(m, potential)
    rule = near_poles(low, high, system.fermi_energy, 0.05, 0.1 * memory, 0.9 * (high - low))
    return RealTime(system, semicircle(memory), rule), m, potential


def step(tiles, y, arrays, m, potential):
    staged = StagedStep(tiles, y, STEP, RK4, arrays)
    for _ in RK4[0]:
        staged.advance(m, potential, np.zeros(2))


def copy(pool, workers, to, of):
    cuts = np.linspace(0, len(to), workers + 1).astype(int)
    list(pool.map(lambda w: np.copyto(to[cuts[w] : cuts[w + 1]], of[cuts[w] : cuts[w + 1]]), range(workers)))


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(size, memory, rounds):
    electrons, m, potential = electrons_of(size, memory)
    tiles, workers = Tiles(electrons), worker_count()
    print(
        f"{size} x {size}, {tiles.kept} exponentials a channel, {tiles.n_poles} poles, {workers} threads: "
        f"{8e-9 * np.prod(tiles.shape):.3f} GB a state"
    )
    start = time.perf_counter()
    y = tiles.at_rest(m, potential)
    line("equilibrium", f"{time.perf_counter() - start:.1f} s")
    arrays = [tiles.put(np.zeros(tiles.shape)) for _ in range(3)]
    m = np.ascontiguousarray(m[::-1])
    step(tiles, y, arrays, m, potential)
    pairs, passes = [], PASSES + 4 * (1 - tiles.nx * (tiles.nx + 1) / 2 / tiles.count)
    with ThreadPoolExecutor(workers) as pool:
        for _ in range(rounds):
            bound = timed(lambda: [copy(pool, workers, arrays[1], y) for _ in range(8)]) / 16 * passes
            pairs.append((timed(lambda: step(tiles, y, arrays, m, potential)), bound))
    ratios = sorted(taken / bound for taken, bound in pairs)
    fastest = min(pairs)
    line(f"memory bound of a step of rk4, {passes:.1f} passes", f"{fastest[1] * 1e3:.0f} ms")
    line("a step of rk4, fastest", f"{fastest[0] * 1e3:.0f} ms")
    line("over its bound, least, median, largest", ", ".join(f"{ratios[i]:.2f}" for i in (0, rounds // 2, -1)), "<= 3")
    if 8 * np.prod(electrons.shape) <= ROWS_BYTES:
        Y, out = np.zeros(electrons.shape), np.zeros(electrons.shape)
        once = min(timed(lambda: electrons.derivative(Y, m, potential, np.zeros(2), out)) for _ in range(3))
        line("four derivatives in rows, over a step", f"{4 * once / fastest[0]:.1f} x")
    line("peak memory of this process", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB", "<= 4 GB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[4, 8, 12, 20, 40])
    parser.add_argument("--memory", type=float, default=1e-4, help="tolerance of the memory of the leads")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for size in arguments.sizes:
        measure(size, arguments.memory, arguments.rounds)
