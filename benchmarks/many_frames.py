"""What many small frames cost: seconds, peak memory and bytes of `show`, `resume` and `plot`.

    python benchmarks/many_frames.py [FRAMES ...] [--folder DIR]

For every number of frames (default: 200000 1000000) a run file of one precessing moment is laid out, filled, and given
to the commands, each in a process of its own.  The frames are put into the file column by column, which takes seconds
where a run would take minutes; what a run spends on a frame is measured with few of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import h5py  # noqa: E402
import numpy as np  # noqa: E402

from llgnegf import build, observables, simulation  # noqa: E402
from llgnegf.deck import Deck, parse_deck  # noqa: E402
from llgnegf.runfile import checkpoint  # noqa: E402
from llgnegf.runfile.crc import crc_rows  # noqa: E402
from llgnegf.runfile.reader import open_run  # noqa: E402
from llgnegf.runfile.writer import Writer  # noqa: E402

STEP = 0.125  # a power of two: sums of it are exact
DECK = f"""
title = "One moment in a field"
[lattice]
shape = [1]
[texture]
kind = "uniform"
direction = [1, 0, 0]
[magnet]
field = [0.0, 0.0, 1.0]
damping = 1e-4
[integrator]
step = {STEP}
[run]
duration = 1.0
"""


def deck_of(frames: int) -> Deck:
    """A deck of so many frames, one a step."""
    return parse_deck(DECK, name="many", overrides={"run.duration": (frames - 1) * STEP})


def create(path: Path, deck: Deck) -> Writer:
    """The run file of a deck, without frames."""
    variables = build.build(deck).variables
    layouts = observables.layouts(deck, variables)
    return Writer.create(path, deck, deck.n_frames, deck.lattice.shape, layouts, overwrite=True)


def fill(path: Path, deck: Deck) -> None:
    """All frames of a deck, written column by column, and the checkpoint of its end."""
    n = deck.n_frames
    with create(path, deck) as writer:
        writer._resize(n)
    with h5py.File(path, "r+", rdcc_nbytes=0) as file:
        times = np.arange(n) * STEP
        moment = np.stack([np.cos(times), np.sin(times), np.zeros(n)], axis=-1)[:, None]
        with open_run(path) as run:
            names = [name for name in run.names if name != "time"]
        for name in names:
            if name in ("moment", "velocity"):
                file[name][...] = moment
            else:
                file[name][...] = np.arange(n) if name == "step" else -1e-12 * times
        arrays = [times, *(file[name][...] for name in names)]
        file["variable_crc"][...] = np.stack([crc_rows(values) for values in arrays], axis=1)
        rows = [np.ascontiguousarray(values).reshape(n, -1).view(np.uint8) for values in arrays]
        file["frame_crc"][...] = crc_rows(np.concatenate(rows, axis=1))
        file["time"][...] = times
    state = checkpoint.State(step=deck.n_steps, moment=moment[-1])
    checkpoint.save(path, state, deck.text, n)


# Its own peak: what the system tells of a child may be that of the process it was started from.
CHILD = """
import re, sys
from pathlib import Path
from llgnegf.cli import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""


def measured(*words: object) -> tuple[float, float, float]:
    """Seconds, those of the processor, and peak memory (MB) of a command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began, busy = time.perf_counter(), os.times()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, words)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{words}: exit status {done.returncode}: {done.stderr}")
    now = os.times()
    busy_seconds = now.children_user + now.children_system - busy.children_user - busy.children_system
    return time.perf_counter() - began, busy_seconds, int(done.stdout.split()[-1]) / 1e3


def describe(cost: tuple[float, float, float]) -> str:
    return f"{cost[0]:7.2f} s  ({cost[1]:.2f} s of the processor)  {cost[2]:6.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frames", nargs="*", type=int, default=[200_000, 1_000_000], metavar="FRAMES")
    parser.add_argument("--folder", help="where to write (default: the system's folder for temporary files)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "run.h5"
        few = deck_of(20_001)
        simulation.run(few, path, until=10 * STEP).close()  # loads the kernels
        began = time.perf_counter()
        simulation.run(few, path, overwrite=True).close()
        print(f"a run: {1e6 * (time.perf_counter() - began) / few.n_frames:.0f} us a frame, step included")
        print(f"  {'list':8}{describe(measured('list'))}")
        for frames in options.frames:
            deck = deck_of(frames)
            began = time.perf_counter()
            create(path, deck).close()
            created, empty = time.perf_counter() - began, path.stat().st_size
            fill(path, deck)
            with h5py.File(path) as file:
                data = sum(one.nbytes for one in file.values())
            print(f"{frames} frames: created in {created:.2f} s with {empty / 1e6:.1f} MB, ", end="")
            print(f"full {path.stat().st_size / 1e6:.1f} MB, {path.stat().st_size / data:.2f} times its numbers")
            longer = deck.run.duration + 1000 * STEP
            for words in (("show", path), ("resume", path, "--until", longer), ("plot", path)):
                print(f"  {words[0]:8}{describe(measured(*words))}")


if __name__ == "__main__":
    main()
