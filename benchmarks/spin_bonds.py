"""How much longer bonds that are 2 x 2 matrices take than scalar ones, on a lattice: processor time, paired.

    python benchmarks/spin_bonds.py [columns] [rows]

Each line: the least time of some evaluations of either kind, made in turn in one process, and their ratio.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from llgnegf.electrons import Device, SpinHopping, SpinOrbit
from llgnegf.electrons.lattice import LatticeSweeps

REPEATS = 5
KINDS = {
    "spin-orbit coupling": {"spin_orbit": SpinOrbit(rashba=0.2)},
    "any 2 x 2 hopping": {"spin_hopping": SpinHopping((0.1, 0.2j, 0.15), (0.1j, 0.1, -0.1))},
}


def evaluate(device: Device, m: np.ndarray, velocity: np.ndarray, order: int) -> float:
    """Processor time of one evaluation, by sweeps, seconds."""
    start = time.process_time()
    frozen = device.freeze(m)
    assert isinstance(frozen.sweeps, LatticeSweeps)
    frozen.sweeps.nested = None  # which scalar bonds alone have, on large lattices
    _ = frozen.sweeps.slices
    if order:
        frozen.respond(velocity, np.zeros(device.shape))
    _ = frozen.adiabatic
    return time.process_time() - start


def main() -> None:
    """Prints the table."""
    shape = tuple(int(word) for word in sys.argv[1:3]) or (16, 16)
    rng = np.random.default_rng(1)
    m = rng.normal(size=(*shape, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    velocity = 0.1 * np.cross(m, rng.normal(size=m.shape))
    scalar = Device(shape, onsite=4.0, sd_exchange=-2.0, fermi_energy=1.9)
    for order in (0, 1):
        for words, bonds in KINDS.items():
            other = scalar.changed(**bonds)
            times = [[evaluate(one, m, velocity, order) for one in (scalar, other)] for _ in range(REPEATS)]
            plain, matrices = np.min(times[1:], axis=0)
            print(
                f"order {order}, {words}: scalar {plain:.3f} s, matrices {matrices:.3f} s, ratio {matrices / plain:.2f}"
            )


if __name__ == "__main__":
    main()
