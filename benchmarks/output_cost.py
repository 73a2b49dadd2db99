"""What trust costs: the share of frames and checkpoints in the time of a run, and what one of each takes.

    python benchmarks/output_cost.py [DECK] [--set a.b=value] [--steps 2000] [--seconds 20] [--folder DIR]

Runs the deck (default: skyrmion_classical) for so many steps or so long, whichever ends first, and times every part of
the loop while it goes.  A run has a first frame and two checkpoints at least, so that each part is timed however slow
its steps; the shares are those of the intervals that the deck asks for.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from llgnegf import observables, simulation  # noqa: E402
from llgnegf.deck import load_deck, parse_override  # noqa: E402
from llgnegf.errors import StoppedEarly  # noqa: E402
from llgnegf.runfile import checkpoint  # noqa: E402
from llgnegf.runfile.writer import Writer  # noqa: E402
from llgnegf.watch import EnergyWatch  # noqa: E402


class Clock:
    """Seconds and calls of the functions that it has been put around."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    def around(self, owner, name: str, label: str) -> None:
        real = getattr(owner, name)

        def timed(*arguments, **options):
            began = time.perf_counter()
            try:
                return real(*arguments, **options)
            finally:
                self.seconds[label] = self.seconds.get(label, 0.0) + time.perf_counter() - began
                self.calls[label] = self.calls.get(label, 0) + 1

        setattr(owner, name, timed)

    def each(self, label: str) -> float:
        return self.seconds[label] / self.calls[label]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deck", nargs="?", default="skyrmion_classical", metavar="DECK")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--folder", help="where to write (default: the system's folder for temporary files)")
    options = parser.parse_args()
    deck = load_deck(options.deck, dict(parse_override(text) for text in options.overrides))
    every = deck.save_interval_steps
    steps = max(every, options.steps // every * every)  # whole intervals: each has its frame
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "run.h5"
        simulation.run(deck, path, until=0.0).close()  # loads the kernels

        clock = Clock()
        clock.around(simulation, "_advance", "all")
        clock.around(observables, "frame", "computing a frame")
        clock.around(EnergyWatch, "frame", "judging a frame")
        clock.around(Writer, "append", "writing a frame")
        clock.around(Writer, "sync", "syncing the run file")
        clock.around(checkpoint, "save", "writing a checkpoint")
        began = time.perf_counter()
        with contextlib.suppress(StoppedEarly):
            until = steps * deck.integrator.step
            simulation.run(deck, path, until=until, walltime=options.seconds, overwrite=True).close()
        whole = time.perf_counter() - began
        done = checkpoint.load_newest(path)[0].step
        size = path.stat().st_size, checkpoint.checkpoint_paths(path)[0].stat().st_size
        variables = len(simulation.open_run(path).names)

    frame = clock.each("computing a frame") + clock.each("judging a frame") + clock.each("writing a frame")
    save = clock.each("syncing the run file") + clock.each("writing a checkpoint")
    # The first frame and the first and the last checkpoint belong to any run.
    output = sum(clock.seconds[label] for label in clock.seconds if label != "all")
    step = (clock.seconds["all"] - output) / max(done, 1)
    print(
        f"{deck.name}: {done} steps in {whole:.2f} s, {clock.calls['writing a frame']} frames of {variables} variables"
    )
    print(f"{'':24}{'ms each':>10}{'calls':>8}")
    for label, seconds in clock.seconds.items():
        if label != "all":
            print(f"  {label:<22}{1e3 * seconds / clock.calls[label]:>10.3f}{clock.calls[label]:>8}")
    print(f"  {'a step':<22}{1e3 * step:>10.4f}{done:>8}")
    seconds, count = deck.run.checkpoint_seconds, deck.run.checkpoint_steps
    interval = every * step + frame
    per_frame = frame / interval
    writing = clock.each("writing a frame") / interval
    per_save = save / seconds if seconds is not None else save / (count * (step + frame / every))
    print(f"share of the run time as the deck asks (save_every = {every} steps, checkpoint_every = ", end="")
    print(f"{deck.run.checkpoint_every}):")
    print(f"  frames       {100 * per_frame:8.3f} %  (writing alone {100 * writing:.3f} %)")
    print(f"  checkpoints  {100 * per_save:8.3f} %")
    print(f"run file {size[0] / 1e6:.3g} MB, checkpoint {size[1] / 1e3:.3g} kB")


if __name__ == "__main__":
    main()
