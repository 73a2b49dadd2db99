"""How far a run is: a bar in a terminal, one plain line per frame in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

from llgnegf.deck import Deck
from llgnegf.streams import Guarded


class Progress:
    """Context manager that shows steps, rate and time left on standard error."""

    def __init__(self, deck: Deck, start: int, enabled: bool) -> None:
        self.deck, self.enabled = deck, enabled
        self.out = Guarded(sys.stderr)
        self.terminal = enabled and self.out.isatty()
        self.bar = tqdm(
            total=deck.n_steps,
            initial=start,
            unit="step",
            disable=not self.terminal,
            desc=deck.name,
            mininterval=0.2,
            file=self.out,
        )
        self.start, self.began = start, time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def update(self, step: int) -> None:
        """The run has reached `step`."""
        if self.terminal:
            self.bar.update(step - self.bar.n)

    def frame(self, step: int, frame: dict) -> None:
        """A frame was saved; in a log this is one line."""
        self.update(step)
        if not self.enabled or self.terminal:
            return
        elapsed = max(time.monotonic() - self.began, 1e-9)
        rate = (step - self.start) / elapsed
        left = (self.deck.n_steps - step) / rate if rate > 0 else float("inf")
        extra = "".join(
            f"  {label} = {float(frame[name]):.6g}"
            for name, label in [
                ("energy_classical", "E"),
                ("grand_potential", "Omega"),
                ("wall_position", "wall"),
                ("topological_charge", "Q"),
            ]
            if name in frame
        )
        print(
            f"t = {frame['time']:g}  step {step}/{self.deck.n_steps}  {rate:.3g} steps/s  {left:.0f} s left{extra}",
            file=self.out,
            flush=True,
        )
