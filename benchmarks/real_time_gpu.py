"""Electrons in real time on an NVIDIA GPU: checked against the processor, and timed against copies of their memory.

    python benchmarks/real_time_gpu.py [--sizes 20 40] [--memory 1e-5]

Needs CuPy and a GPU.  The exit code is 1 if a check fails.  The memory bound of a step is the time in which the GPU
copies what the four stages read and write: 13 passes over the state, and one more in each stage over what it has of the
leads, since sums over their exponents come first.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("LLGNEGF_NUM_THREADS", str(os.cpu_count()))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from llgnegf.electrons.leads import Lead
from llgnegf.electrons.memory import semicircle
from llgnegf.electrons.near_poles import near_poles
from llgnegf.electrons.real_time import RealTime
from llgnegf.electrons.real_time_gpu import GpuTiles
from llgnegf.electrons.real_time_step import StagedStep
from llgnegf.electrons.real_time_tiles import Tiles
from llgnegf.electrons.system import System

BOTH = Lead("left", 0.9), Lead("right", 0.6)
SYSTEMS = {
    "7 x 5": {"shape": (7, 5)},
    "4 x 6, ring across": {"shape": (4, 6), "periodic": "y"},
    "4 x 2, ring of two": {"shape": (4, 2), "periodic": "y"},
    "1 x 5, one slice": {"shape": (1, 5)},
    "chain of 9": {"shape": (9,)},
    "5 x 4, left lead alone": {"shape": (5, 4), "leads": BOTH[:1]},
    "5 x 4, right lead alone": {"shape": (5, 4), "leads": BOTH[1:]},
    "4 x 4, closed": {"shape": (4, 4), "leads": ()},
    "4 x 5, no exchange": {"shape": (4, 5), "sd_exchange": 0.0},
    "4 x 3, bonds of different strength": {"shape": (4, 3), "bond_hoppings": (0.4, 0.9, 1.3)},
    "20 x 20": {"shape": (20, 20)},
}
RK4 = (0, 0.5, 0.5, 1), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
PASSES = 13  # of a step of rk4 over the state: read 1 + 2 + 2 + 4, written once in each stage
STEP = 0.1


def line(text, value, target=""):
    print(f"   {text:<66}{value:>28}   {target}", flush=True)


def situation(system, seed):
    rng = np.random.default_rng(seed)
    m = rng.normal(size=(*system.shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True), 0.4 * rng.normal(size=system.shape)


def electrons_of(memory=1e-2, **options):
    defaults = {"sd_exchange": 0.7, "leads": BOTH, "hopping": 1.1, "onsite": 0.1, "fermi_energy": 0.3}
    system = System(temperature=0.1, **(defaults | options))
    low, high = system.spectrum_bounds(*situation(system, 0))
    rule = near_poles(low, high, system.fermi_energy, 0.1, 1e-2 * memory, 0.9 * (high - low))
    return RealTime(system, semicircle(memory), rule)


def any_state(tiles, seed=1):
    """A NumPy array: random tiles, Hermitian on the diagonal."""
    state = np.random.default_rng(seed).normal(size=tiles.shape)
    for i in range(tiles.columns):
        tile = state[i * (i + 1) // 2 + i]
        tile[:, 0], tile[:, 1] = tile[:, 0] + tile[:, 0].T, tile[:, 1] - tile[:, 1].T
    return state


def step(tiles, y, arrays, given, voltages, watch=None):
    """One step of rk4 in three arrays; watch: called with each stage, as a stepper asks for densities."""
    staged = StagedStep(tiles, y, STEP, RK4, arrays)
    for m, potential in given:
        if watch is not None:
            watch(staged.at)
        staged.advance(m, potential, voltages)
    return staged.at


def check(name, options):
    """Whether GPU and processor agree: a step, densities, flows, energy; and equilibrium at rest on the GPU."""
    electrons = electrons_of(**options)
    host, gpu = Tiles(electrons), GpuTiles(electrons)
    state = any_state(host)
    there = gpu.put(state)
    given = [situation(electrons.system, i) for i in range(4)]
    voltages = np.array([0.2, -0.3])
    expected = step(host, state, [host.empty() for _ in range(3)], given, voltages)
    found = gpu.get(step(gpu, there, [gpu.empty() for _ in range(3)], given, voltages))
    errors = [abs(found - expected).max() / abs(expected).max()]
    for result, reference in (
        (gpu.traced(there), host.traced(state)),
        (gpu.flows(there).exchanged, host.flows(state).exchanged),
        (gpu.flows(there).energy, host.flows(state).energy),
        (gpu.energy(there, *given[0]), host.energy(state, *given[0])),
    ):
        errors.append(np.max(abs(result - reference)) / (1 + np.max(abs(reference))))
    rest = gpu.derivative(gpu.at_rest(*given[0]), *given[0], np.zeros(2))
    errors.append(abs(gpu.get(rest)).max())
    worst = max(errors)
    line(name, ", ".join(f"{error:.0e}" for error in errors), "<= 1e-12")
    return worst <= 1e-12


def seconds(call, synchronize, repeats):
    """Shortest time of a call, of five rounds."""
    call()
    best = np.inf
    for _ in range(5):
        synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        synchronize()
        best = min(best, (time.perf_counter() - start) / repeats)
    return best


def measure(cupy, size, memory):
    electrons = electrons_of(memory, shape=(size, size), sd_exchange=-2.0, fermi_energy=-2.1, hopping=1.0, onsite=0.0)
    gpu = GpuTiles(electrons)
    given, voltages = [situation(electrons.system, i) for i in range(4)], np.zeros(2)
    y, *arrays = (gpu.empty() for _ in range(4))
    for one in (y, *arrays):
        one[...] = 0.01
    synchronize = cupy.cuda.Device().synchronize
    repeats = max(1, round(4e9 / (PASSES * 8 * np.prod(gpu.shape)))) * 2
    bytes_of_state = 8 * int(np.prod(gpu.shape))
    leads = f"{gpu.kept} exponentials a channel, {gpu.n_poles} poles"
    print(f"{size} x {size}, {leads}: {bytes_of_state / 1e9:.3f} GB a state")

    def copy():
        arrays[1][...] = arrays[2]

    def watch(stage):
        gpu.traced(stage)
        gpu.flows(stage)

    of_copy = seconds(copy, synchronize, 8 * repeats)
    passes = PASSES + 4 * (1 - gpu.nx * (gpu.nx + 1) / 2 / gpu.count)
    bound = passes / 2 * of_copy
    of_step = seconds(lambda: step(gpu, y, arrays, given, voltages), synchronize, repeats)
    of_run = seconds(lambda: step(gpu, y, arrays, given, voltages, watch), synchronize, repeats)
    line("a copy of the state, read and written", f"{2 * bytes_of_state / of_copy / 1e12:.2f} TB/s")
    line(f"memory bound of a step of rk4 ({passes:.1f} passes)", f"{bound * 1e3:.2f} ms")
    line("a step of rk4", f"{of_step * 1e3:.2f} ms: {of_step / bound:.2f} x", "<= 2 x")
    line("   with densities and flows of each stage on the processor", f"{of_run * 1e3:.2f} ms: {of_run / bound:.2f} x")
    # each kernel of a middle stage
    launches = []
    launch = gpu.machine.launch

    def recorded(*call):
        launches.append(call)
        launch(*call)

    gpu.machine.launch = recorded
    step(gpu, y, arrays, given, voltages)
    watch(y)
    del gpu.machine.launch
    per_stage = len(launches) // 4 if len(launches) > 8 else 1
    for call in [*launches[per_stage : 2 * per_stage], *launches[4 * per_stage :]]:
        line(
            f"   kernel {call[0]}", f"{seconds(lambda call=call: launch(*call), synchronize, 4 * repeats) * 1e6:.0f} us"
        )


def main(sizes, memory):
    import cupy

    start = time.perf_counter()
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    name = properties["name"]
    print(f"{name.decode() if isinstance(name, bytes) else name}, CuPy {cupy.__version__}, NumPy {np.__version__}")
    print("1. difference from the processor: step, density, exchange, energy of the leads, energy; and at rest")
    fine = [check(name, options) for name, options in SYSTEMS.items()]
    line("seconds so far", f"{time.perf_counter() - start:.0f}")
    print("2. times")
    for size in sizes:
        measure(cupy, size, memory)
    line("seconds so far", f"{time.perf_counter() - start:.0f}")
    print("all checks passed" if all(fine) else "A CHECK FAILED")
    return 0 if all(fine) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[20, 40])
    parser.add_argument("--memory", type=float, default=1e-5, help="tolerance of the memory of the leads")
    arguments = parser.parse_args()
    sys.exit(main(arguments.sizes, arguments.memory))
