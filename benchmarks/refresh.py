"""How often the electrons are asked, and what that does to the trajectory.

    python benchmarks/refresh.py [DECK] [--until T] [--steps H ...] [--tolerances TOL ...]

Every way to ask (integrator.electrons) against a reference that asks at every stage of a tenth of the smallest step,
to a hundredth of the smallest tolerance.  The error is the largest one of any component of any moment after any step;
"fewer" is the number of Green's functions of "stage" at the same step over that of the line.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llgnegf import load_deck  # noqa: E402
from llgnegf.build import build  # noqa: E402


def follow(deck: str, until: float, mode: str, step: float, tolerance: float) -> tuple[np.ndarray, int, int, float]:
    """Packed moments after every step, evaluations of the electrons, Green's functions and seconds."""
    table = {"integrator__step": step, "integrator__electrons": mode, "electrons__tolerance": tolerance}
    parts = build(load_deck(deck, run__duration=until, run__save_every=until, **table))
    coupling = parts.stepper.coupling
    motion, evaluations = coupling.motion, 0

    def counted(*arguments):
        nonlocal evaluations
        evaluations += 1
        return motion(*arguments)

    coupling.motion = counted
    y = parts.magnet.pack(parts.start)
    moments = [y]
    began = time.perf_counter()
    for n in range(round(until / step)):
        _, y = parts.stepper.advance(n, y, n + 1)
        moments.append(y)
    return np.array(moments), evaluations, parts.stepper.solves, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deck", nargs="?", default="wall_in_wire")
    parser.add_argument("--until", type=float, default=100.0)
    parser.add_argument("--steps", type=float, nargs="+", default=[0.5, 0.25])
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-3, 1e-4, 1e-5, 1e-6])
    arguments = parser.parse_args()
    deck, until, tightest = arguments.deck, arguments.until, min(arguments.tolerances)

    fine = min(arguments.steps) / 10
    exact, _, _, seconds = follow(deck, until, "stage", fine, tightest / 100)
    print(f"{deck}, t = 0 to {until:g}; reference: every stage of a step of {fine:g}, {seconds:.1f} s")
    print(
        f"{'electrons':<10}{'step':>7}{'tolerance':>11}{'error':>10}{'evaluations':>13}{'solves':>10}{'fewer':>8}{'s':>8}"
    )
    for step in arguments.steps:
        every, stage_solves = round(step / fine), 0
        cases = [("stage", tightest), ("step", tightest), *(("adaptive", t) for t in arguments.tolerances)]
        for mode, tolerance in cases:
            moments, evaluations, solves, seconds = follow(deck, until, mode, step, tolerance)
            stage_solves = stage_solves or solves
            error = abs(moments - exact[::every]).max()
            print(
                f"{mode:<10}{step:>7g}{tolerance:>11.0e}{error:>10.1e}{evaluations:>13}{solves:>10}"
                f"{stage_solves / solves:>8.1f}{seconds:>8.2f}"
            )


if __name__ == "__main__":
    main()
