"""From the command to the first step: how long a user waits, with the compiled kernels in numba's cache.

    python benchmarks/startup.py [--repeat 5]

Every number is the median over fresh processes, in seconds; one run before them fills the cache, and that of Python's
own compiled modules.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = 2.0
DECKS = ("precessing_wall", "wall_in_wire", "wall_classical", "precessing_wall_real_time")

# Times since the start of the process: imports done, deck read, first frame on the disk, first step or frame after it.
CHILD = """
import json, sys, time
from pathlib import Path

def since_start():
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / __import__("os").sysconf("SC_CLK_TCK")

from llgnegf import build, simulation
marks = {"import": since_start()}
deck = simulation.load_deck(sys.argv[1])
marks["deck"] = since_start()

class Enough(Exception):
    pass

frames = simulation.Writer.append
def append(self, frame):
    frames(self, frame)
    marks["first frame" if self.n_frames == 1 else "first step"] = since_start()
    if self.n_frames == 2:
        raise Enough
simulation.Writer.append = append

make_stepper = build.build_stepper
def build_stepper(*parts):
    made = make_stepper(*parts)
    advance = made.advance
    def timed(n, y, limit):
        advance(n, y, limit)
        marks["first step"] = since_start()
        raise Enough
    made.advance = timed
    return made
build.build_stepper = build_stepper
try:
    simulation.run(deck, sys.argv[2])
except Enough:
    pass
print(json.dumps(marks))
"""


def measure(deck: str, folder: str) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(Path(folder) / "modules")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    path = Path(folder) / "run.h5"
    for old in Path(folder).glob("run.h5*"):
        old.unlink()
    line = [sys.executable, "-c", CHILD, deck, str(path)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    names = ("import", "deck", "first frame", "first step")
    print(f"seconds since the process began, median of {repeat}; target for the first step: {TARGET:g} s")
    print(f"{'deck':<28}" + "".join(f"{name:>14}" for name in names) + f"{'slowest':>14}")
    late = []
    with tempfile.TemporaryDirectory() as folder:
        for deck in DECKS:
            measure(deck, folder)
            runs = [measure(deck, folder) for _ in range(repeat)]
            medians = [statistics.median(run[name] for run in runs) for name in names]
            slowest = max(run["first step"] for run in runs)
            print(f"{deck:<28}" + "".join(f"{value:>14.2f}" for value in medians) + f"{slowest:>14.2f}")
            if medians[-1] > TARGET:
                late.append(deck)
    print(f"above the target: {', '.join(late)}" if late else "all within the target")


if __name__ == "__main__":
    main()
