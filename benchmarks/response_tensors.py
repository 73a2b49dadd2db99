"""Time of all response tensors of a skyrmion on a square lattice at kT = 0, and what a dense inverse would take.

    python benchmarks/response_tensors.py [SIDE ...]          (default: 10 20)

Processor time of one process, the best of a few: every energy takes one elimination of the slices and all columns of G
and dG/dE, of which an inverse of the whole lattice would be slower.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from llgnegf.beside import textures
from llgnegf.electrons import Device, Lead, Polarization, SpinOrbit

SIDES = (10, 20)
SPINS = {
    "spin_orbit": SpinOrbit(0.1, 0.05),
    "leads": [Lead("left", polarization=Polarization((0.0, 1.0, 0.0), 0.4)), Lead("right")],
}


def best(function: Callable[[], object], times: int = 3) -> float:
    """Shortest processor time, s."""
    found = []
    for _ in range(times):
        begin = time.process_time()
        function()
        found.append(time.process_time() - begin)
    return min(found)


def main() -> None:
    for side in [int(word) for word in sys.argv[1:]] or SIDES:
        centre, size = (side - 1) / 2, side / 5
        m = textures.skyrmion((side, side), center=[centre, centre], radius=size, wall_width=size / 2)
        for name, given in (("scalar bonds", {}), ("spin-orbit, ferromagnet", SPINS)):
            device = Device((side, side), sd_exchange=-1.0, onsite=4.0, fermi_energy=1.9, **given)
            solves = device.freeze(m)
            _ = device.linear_response_of(solves).tensors
            all_tensors = best(lambda device=device, m=m: device.linear_response(m).tensors, 2)
            friction = best(lambda device=device, m=m: device.scattering_matrix(m).friction)
            print(
                f"{side} x {side}, {name}: {all_tensors:.2f} s for {solves.solves} energies, "
                f"friction from the scattering matrix {friction:.3f} s"
            )
        n = 2 * side * side
        matrix = np.random.default_rng(0).normal(size=(n, n)) + 1j * np.eye(n)
        dense = best(lambda matrix=matrix: np.linalg.inv(matrix))
        print(f"{side} x {side}: {dense:.3f} s for one dense inverse of {n} orbitals")


if __name__ == "__main__":
    main()
