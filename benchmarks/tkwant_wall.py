"""One period of the precessing wall of seven moments beside tkwant: the spin density, and processor time as a ratio.

    python benchmarks/tkwant_wall.py --tkwant PYTHON [--frequency 0.01] [--tolerance 1e-4] [--padding 150]

PYTHON: an interpreter that has tkwant (Kloss et al., New J. Phys. 23, 023025 (2021)), which needs one of its own:
version 1.1.0 can be built for Python 3.10 and older, with `numpy<2`, `cython<3`, `kwant` and `kwantspectrum`.  Both
begin in equilibrium at kT = 0, levels bound outside the band included, and turn the moments rigidly from t = 0 on.
tkwant gets the wall with some sites of the wire on both sides: its bound levels are those of this piece, and the
shallower one, 0.0013 below the band, is 30 sites long.  Times are CPU seconds of whole processes, one thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Run by the other interpreter: reads a case as JSON, prints the spin density at its times, (times, sites, 3).
THEIRS = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import kwant, numpy as np
from tkwant import manybody

case = json.load(sys.stdin)
moments, exchange, omega, padding = np.array(case["m"]), case["sd_exchange"], case["frequency"], case["padding"]
sigma = [np.array(s) for s in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]])]
chain = kwant.lattice.chain(norbs=2)

def onsite(site, time):
    (x, y, z), c, s = moments[site.tag[0]], np.cos(omega * time), np.sin(omega * time)
    x, y = c * x - s * y, s * x + c * y
    return -exchange * np.array([[z, x - 1j * y], [x + 1j * y, -z]])

system = kwant.Builder()
for i in range(-padding, len(moments) + padding):
    system[chain(i)] = onsite if 0 <= i < len(moments) else np.zeros((2, 2))
system[chain.neighbors()] = -np.eye(2)
lead = kwant.Builder(kwant.TranslationalSymmetry((-1,)), conservation_law=np.diag([-1.0, 1.0]))
lead[chain(0)], lead[chain.neighbors()] = np.zeros((2, 2)), -np.eye(2)
system.attach_lead(lead)
system.attach_lead(lead.reversed())
system = system.finalized()

where = [chain(i) for i in range(len(moments))]
spin = [kwant.operator.Density(system, s, where=where) for s in sigma]
occupied = manybody.lead_occupation(chemical_potential=0, temperature=0)
state = manybody.State(system, case["times"][-1], occupied, error_op=spin[0], refine=False)
state.refine_intervals(rtol=case["tolerance"], atol=case["tolerance"])
levels, vectors = np.linalg.eigh(system.hamiltonian_submatrix(params={"time": 0}))
for k in np.flatnonzero(levels < -2):
    state.add_boundstate(vectors[:, k], levels[k])
found = []
for t in case["times"]:
    if t > 0:
        state.evolve(t)
    found.append(np.array([state.evaluate(one, root=None) for one in spin]).T.tolist())
print(json.dumps(found))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tkwant", required=True, metavar="PYTHON")
    parser.add_argument("--frequency", type=float, default=0.01)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--padding", type=int, default=150)
    options = parser.parse_args()
    import numpy as np
    import tomlkit
    from real_time_chain import cpu_seconds, deck_of, without_none

    from llgnegf import open_run
    from llgnegf.parts.moments import initial_moments

    deck, _ = deck_of(options.frequency, options.tolerance, frames=4)
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "deck.toml", Path(folder) / "run.h5"
        path.write_text(tomlkit.dumps(without_none(deck.tables())))
        command = [sys.executable, "-m", "llgnegf", "run", str(path), "-o", str(out), "--quiet", "--overwrite"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        cpu_seconds(command, env=environment)  # compiles
        case = {
            "m": initial_moments(deck).tolist(),
            "sd_exchange": deck.electrons.sd_exchange,
            "frequency": options.frequency,
            "tolerance": options.tolerance,
            "padding": options.padding,
        }
        ours = [cpu_seconds(command, env=environment)[1]]
        with open_run(out) as run:
            case["times"] = np.asarray(run["time"]).tolist()
            spin = np.asarray(run["spin_density"])
        printed, theirs = cpu_seconds([options.tkwant, "-c", THEIRS], input=json.dumps(case))
        ours.append(cpu_seconds(command, env=environment)[1])
    their_spin = np.array(json.loads(printed.splitlines()[-1]))
    for t, one, other in zip(case["times"], spin, their_spin, strict=True):
        print(f"t = {t:7.2f}  middle site {one[3]}, tkwant {other[3]}, largest difference {abs(one - other).max():.1e}")
    ratio = theirs / np.mean(ours)
    print(f"CPU seconds: llgnegf {ours[0]:.2f} and {ours[1]:.2f}, tkwant {theirs:.1f}: ratio {ratio:.0f}")


if __name__ == "__main__":
    main()
