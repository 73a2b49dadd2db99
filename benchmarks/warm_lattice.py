"""First order of the 20 x 20 skyrmion pump at kT = 0.05, tolerance 1e-4: CPU time and Green's functions.

    python benchmarks/warm_lattice.py [--beside TREE] [--rounds 4]

Moments and gates move; one evaluation is the spin density of a new texture, from equilibrium to the Fermi surface.
--beside: another version of the source, whose evaluations alternate with those of this one.  Each version has a process
of its own, two threads and one thread of BLAS in each; the first evaluation, which may compile kernels, does not count,
and of the others the fastest does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SHAPE, ONSITE, J, FERMI, KT, TOLERANCE = (20, 20), 4.0, -2.0, 1.9, 0.05, 1e-4


def work() -> None:
    """Evaluate once for every line read; print the CPU time (s), Green's functions and the surface density."""
    import numpy as np

    from llgnegf.electrons import Device
    from textures import TEXTURES

    place = {"center": (9.5, 9.5), "radius": 4.0, "wall_width": 2.0}
    m = TEXTURES["skyrmion"](SHAPE, **place, helicity=-np.pi / 2, charge=-1)
    # The gates of `skyrmion_pump_small` at t = 0.
    potential, potential_rate = np.zeros(SHAPE), np.zeros(SHAPE)
    potential[0], potential_rate[4] = 0.8, -0.8
    velocity = np.cross(m, np.random.default_rng(1).normal(size=m.shape))
    for _ in sys.stdin:
        device = Device(SHAPE, onsite=ONSITE, sd_exchange=J, fermi_energy=FERMI, temperature=KT, tolerance=TOLERANCE)
        start = time.process_time()
        spin = device.freeze(m, potential).spin_density(velocity, potential_rate)
        seconds = time.process_time() - start
        print(json.dumps([seconds, spin.solves, spin.surface.tolist()]), flush=True)


class Worker:
    """A process with one version of the source."""

    def __init__(self, tree: Path) -> None:
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, "1") | {"LLGNEGF_NUM_THREADS": "2", "PYTHONPATH": str(tree)}
        command = [sys.executable, __file__, "--worker"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment, **pipes)
        self.seconds = float("inf")
        self.evaluate()
        self.seconds = float("inf")

    def evaluate(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        seconds, self.solves, self.surface = json.loads(self.process.stdout.readline())
        self.seconds = min(self.seconds, seconds)


def main(beside: Path | None, rounds: int) -> None:
    import numpy as np

    here = Path(__file__).resolve().parents[1]
    workers = {"this version": Worker(here)} | ({str(beside): Worker(beside)} if beside else {})
    for _ in range(rounds):
        for worker in workers.values():
            worker.evaluate()
    for name, worker in workers.items():
        print(f"{name}: {worker.seconds:.2f} s CPU, {worker.solves} Green's functions")
        worker.process.stdin.close()
        worker.process.wait()
    if beside:
        one, other = workers.values()
        print(f"ratio {one.seconds / other.seconds:.3f}, Green's functions {one.solves / other.solves:.3f}")
        print(
            f"largest difference of the surface part {abs(np.array(one.surface) - np.array(other.surface)).max():.1e}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work()
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("--beside", type=Path, help="another version of the source")
        parser.add_argument("--rounds", type=int, default=4)
        arguments = parser.parse_args()
        main(arguments.beside, arguments.rounds)
