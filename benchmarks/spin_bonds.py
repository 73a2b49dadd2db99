"""How much longer bonds that are 2 x 2 matrices take than scalar ones, on a lattice: processor time, paired.

    python benchmarks/spin_bonds.py [columns] [rows] [--repeats N] [--temperature kT] [--sweeps]

Each line: the least time of some evaluations of either kind, made in one process in turn, the scalar one first in every
other pair, and their ratio.  Both are evaluated as in any run, large lattices by nested dissection; with --sweeps both
by sweeps.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from llgnegf.electrons import Device, SpinHopping, SpinOrbit
from llgnegf.electrons.lattice import LatticeSweeps

KINDS = {
    "spin-orbit coupling": {"spin_orbit": SpinOrbit(rashba=0.2)},
    "any 2 x 2 hopping": {"spin_hopping": SpinHopping((0.1, 0.2j, 0.15), (0.1j, 0.1, -0.1))},
}


def evaluate(device: Device, m: np.ndarray, velocity: np.ndarray, order: int, by_sweeps: bool) -> tuple[float, str]:
    """Processor time of one evaluation, seconds, and its method and number of energies."""
    start = time.process_time()
    frozen = device.freeze(m)
    sweeps = frozen.sweeps
    assert isinstance(sweeps, LatticeSweeps)
    if by_sweeps:
        sweeps.nested = None
        _ = sweeps.slices
    if order:
        frozen.respond(velocity, np.zeros(device.shape))
    _ = frozen.adiabatic
    taken = time.process_time() - start
    nested = sweeps.nested is not None and (not order or sweeps.nested.gains_for_motion)
    return taken, f"{frozen.solves} energies by {'nested dissection' if nested else 'sweeps'}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", type=int, nargs="*", default=[16, 16])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--sweeps", action="store_true")
    given = parser.parse_args()
    shape = tuple(given.shape)
    rng = np.random.default_rng(1)
    m = rng.normal(size=(*shape, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    velocity = 0.1 * np.cross(m, rng.normal(size=m.shape))
    scalar = Device(shape, onsite=4.0, sd_exchange=-2.0, fermi_energy=1.9, temperature=given.temperature)
    for order in (0, 1):
        for words, bonds in KINDS.items():
            pair = scalar, scalar.changed(**bonds)
            best, ways = [np.inf, np.inf], ["", ""]
            for repeat in range(1 + given.repeats):  # the first one compiles
                for k in (0, 1) if repeat % 2 else (1, 0):
                    taken, ways[k] = evaluate(pair[k], m, velocity, order, given.sweeps)
                    best[k] = min(best[k], taken if repeat else np.inf)
            (plain, matrices), (way, other) = best, ways
            by = way if way == other else f"{way} and {other} beside matrices"
            print(
                f"order {order}, {words}, {by}: scalar {plain:.3f} s, matrices {matrices:.3f} s, "
                f"ratio {matrices / plain:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
