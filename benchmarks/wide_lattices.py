"""Wide lattices: nested dissection beside sweeps, one energy, in turn.

    python benchmarks/wide_lattices.py [--sizes 40 60 100 140] [--repeats 3]

For L x L sites with random moments between two leads, CPU time of one thread and the ratio sweep/nested of

    G             blocks of G on the sites: one energy of the adiabatic density
    first motion  the Fermi-sea term of a motion of all moments, at one energy
    next motion   the same for a further motion of the same texture
    real energy   scattering states at a real energy, and the Fermi-surface term
    arc columns   what one energy on an arc needs (kT > 0): G U, U^T G and G Y G U for the open modes U; the package
                  takes sweeps there, since nested dissection gains nothing

the largest difference of the densities, over the largest density, and the peak memory of a process that computes G, or
a first motion, without that of its libraries.  The fastest of the repeats counts: what else runs here only adds.
"""

from __future__ import annotations

import os
import sys

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "LLGNEGF_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llgnegf.electrons import Device  # noqa: E402
from llgnegf.electrons.counter import Counter  # noqa: E402
from llgnegf.electrons.lattice import LatticeSweeps  # noqa: E402
from llgnegf.electrons.open_system import mode_self_energies, segments  # noqa: E402
from llgnegf.electrons.quadrature import FermiPoles  # noqa: E402
from llgnegf.electrons.scattering import RealEnergy  # noqa: E402
from llgnegf.electrons.slices import new  # noqa: E402
from llgnegf.electrons.slices_on_arcs import Sheets  # noqa: E402

NODE, REAL = 0.3 + 0.05j, 0.3
WAYS = {"sweep": False, "nested": True}


class Lattice:
    """L x L sites, their evaluation in one way, and what is timed."""

    def __init__(self, size: int, nested: bool) -> None:
        rng = np.random.default_rng(size)
        m = rng.normal(size=(size, size, 3))
        m /= np.linalg.norm(m, axis=-1)[..., None]
        self.device = Device((size, size), sd_exchange=0.7, fermi_energy=0.3)
        blocks = self.device.hamiltonian_blocks(m, np.zeros((size, size)))
        bounds = self.device.spectrum_bounds(m, np.zeros((size, size)))
        self.rate = self.device.coupling_blocks(np.cross(m, rng.normal(size=m.shape)), np.zeros((size, size)))
        self.make = lambda: self._with_one_node(LatticeSweeps(self.device, blocks, bounds, Counter(), nested=nested))
        self.known = self.make()

    @staticmethod
    def _with_one_node(sweeps: LatticeSweeps) -> LatticeSweeps:
        sweeps.__dict__["step"] = None
        sweeps.__dict__["rule"] = FermiPoles(np.array([NODE]), np.array([0.1 + 0.2j]), 0.0, 0.0)
        return sweeps

    def green(self):
        return self.make().adiabatic

    def first_motion(self):
        self.known = self.make()
        return self.known.sea(self.rate).density

    def next_motion(self):
        return self.known.sea(self.rate).density

    def real_energy(self):
        return RealEnergy(self.make(), REAL).driven(self.rate)

    def arc_columns(self):
        sweeps, z = self.make(), np.array([NODE])
        (segment,) = segments(self.device.modes, NODE.real - 1e-6, NODE.real + 1e-6)
        sheets = Sheets(sweeps.surface._from_one_end, segment.open_modes, self.rate)
        if sweeps.nested is None:
            of_modes = mode_self_energies(z, self.device.modes, segment.open_modes)
            columns = sheets._columns(z, of_modes, np.inf)
            return np.stack([sheets.lattice.ordered(one[0]) for one in columns])
        factors, (first, last) = sweeps.nested.factorize(NODE, new, new), sheets.lattice.ordered(sheets._U)
        nx, ny = self.device.shape
        U = np.zeros((nx, 2 * ny, first.shape[1] + last.shape[1]), complex)
        left, right = (slice(None, first.shape[1]), slice(first.shape[1], None))[:: 1 - 2 * sheets.lattice.from_left]
        U[0, :, left], U[-1, :, right] = first, last
        X, W = factors.solve(U), factors.solve(U, adjoint=True).conj()
        source = np.matmul(self.rate, X.reshape(nx, ny, 2, -1)).reshape(X.shape)
        return np.stack([X, W, factors.solve(source)])


def peak() -> float:
    """Megabytes of this process at most so far."""
    status = Path("/proc/self/status").read_text()
    return int(next(row.split()[1] for row in status.splitlines() if row.startswith("VmHWM"))) / 1024


def memory_of(size: int, way: str, what: str) -> float:
    """Megabytes that this takes in a process of its own, beyond what a small lattice takes."""
    command = [sys.executable, __file__, "--memory", str(size), way, what]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def measure_memory(size: int, way: str, what: str) -> None:
    """Print it."""
    getattr(Lattice(8, WAYS[way]), what)()  # libraries and kernels
    before = peak()
    getattr(Lattice(size, WAYS[way]), what)()
    print(peak() - before)


def main(sizes: list[int], repeats: int) -> None:
    for way in WAYS.values():  # kernels
        for what in ("green", "first_motion", "real_energy", "arc_columns"):
            getattr(Lattice(8, way), what)()
    for size in sizes:
        lattices = {way: Lattice(size, nested) for way, nested in WAYS.items()}
        print(f"{size} x {size} sites")
        for what in ("green", "first_motion", "next_motion", "real_energy", "arc_columns"):
            best = dict.fromkeys(WAYS, np.inf)
            found = {}
            for _ in range(repeats):
                for way, lattice in lattices.items():
                    start = time.process_time()
                    found[way] = getattr(lattice, what)()
                    best[way] = min(best[way], time.process_time() - start)
            difference = abs(found["sweep"] - found["nested"]).max() / abs(found["sweep"]).max()
            text = "G" if what == "green" else what.replace("_", " ")
            times = ", ".join(f"{way} {seconds * 1e3:.0f} ms" for way, seconds in best.items())
            print(
                f"   {text:13} {times}: {best['sweep'] / best['nested']:.2f} x, difference {difference:.0e}", flush=True
            )
        for what in ("green", "first_motion"):
            used = ", ".join(f"{way} {memory_of(size, way, what):.0f} MB" for way in WAYS)
            print(f"   memory, {'G' if what == 'green' else 'first motion'}: {used}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        measure_memory(int(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("--sizes", type=int, nargs="+", default=[40, 60, 100, 140])
        parser.add_argument("--repeats", type=int, default=3)
        arguments = parser.parse_args()
        main(arguments.sizes, arguments.repeats)
