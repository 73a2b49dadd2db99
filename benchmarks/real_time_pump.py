"""The 20 x 20 pump: processor time of electrons in real time beside frozen ones of order 1 with velocity feedback.

    python benchmarks/real_time_pump.py [--steps 3] [--rounds 1]

Decks `skyrmion_pump_real_time` and `skyrmion_pump_small`, both at electrons.tolerance = 1e-4, as they are.  The frozen
ones make some steps, those in real time eight, of which one is compared with its halves as in any run; as many before
them are not counted.  Rounds alternate.  CPU seconds per period of the gates, one thread each, and their ratio.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "LLGNEGF_NUM_THREADS"):
    os.environ[_name] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402

from llgnegf.build import build  # noqa: E402
from llgnegf.deck import load_deck  # noqa: E402

JUDGED = 8  # steps, one of which is judged


class Moving:
    """A run without files, and the CPU seconds of its steps."""

    def __init__(self, deck: str) -> None:
        self.deck = load_deck(deck)
        parts = build(self.deck)
        self.stepper, self.n = parts.stepper, 0
        self.y = parts.magnet.pack(parts.start)

    def advance(self, steps: int) -> float:
        """Seconds per period of the gates."""
        first, end, began = self.n, self.n + steps, time.process_time()
        while self.n < end:
            self.n, self.y = self.stepper.advance(self.n, self.y, end)
        frequency = self.deck.electrons.gate[0].cosine_frequency
        lasted = (self.n - first) * self.deck.integrator.step * frequency / (2 * np.pi)
        return (time.process_time() - began) / lasted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    exact, frozen = Moving("skyrmion_pump_real_time"), Moving("skyrmion_pump_small")
    print("CPU seconds per period of the gates")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the motion is too fast for order 1
        exact.advance(JUDGED)
        frozen.advance(options.steps)
        for _ in range(options.rounds):
            one, other = exact.advance(JUDGED), frozen.advance(options.steps)
            print(
                f"in real time {one:8.1f}   order 1 with feedback {other:8.0f}   ratio {other / one:6.1f}", flush=True
            )


if __name__ == "__main__":
    main()
