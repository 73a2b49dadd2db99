"""How far a run is: a bar in a terminal, some plain lines in a log."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from llgnegf.compiling import clock
from llgnegf.deck import Deck
from llgnegf.streams import Guarded

# A log gets a line per frame, but no more than about so many from one call.
_LINES = 200


class Progress:
    """Context manager that shows steps, rate and time left on standard error."""

    def __init__(self, deck: Deck, start: int, enabled: bool) -> None:
        """deck: whose end this call is to reach; start: steps taken before it."""
        self.deck, self.enabled = deck, enabled
        self.out = Guarded(sys.stderr)
        self.terminal = enabled and self.out.isatty()
        self.bar: Any = None
        if self.terminal:
            from tqdm import tqdm  # here, because a log needs none

            self.bar = tqdm(
                total=deck.n_steps, initial=start, unit="step", desc=deck.name, mininterval=0.2, file=self.out
            )
        self.start = start
        # From where the rate is counted: not from the start, where kernels are loaded, or even compiled.
        self._since: tuple[int, float] | None = None
        self._spacing = (deck.n_steps - start) / _LINES
        self._lines = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self, step: int) -> None:
        """The run has reached `step`."""
        if self._since is None and step > self.start:
            self._since = step, clock()
        if self.terminal:
            self.bar.update(step - self.bar.n)

    def frame(self, step: int, frame: dict) -> None:
        """A frame was saved; in a log this is one line, where it is not too soon after the last one."""
        self.update(step)
        if not self.enabled or self.terminal or step == self.start:
            return
        if step < self.start + self._lines * self._spacing and step < self.deck.n_steps:
            return
        self._lines = 1 + int((step - self.start) / self._spacing)
        assert self._since is not None
        first, began = self._since
        speed = ""
        if step > first:
            rate = (step - first) / max(clock() - began, 1e-9)
            speed = f"  {rate:.3g} steps/s  {(self.deck.n_steps - step) / rate:.0f} s left"
        extra = "".join(
            f"  {label} = {float(frame[name]):.6g}".replace("nan", "none")  # a wall that is not there
            for name, label in [
                ("energy_classical", "E"),
                ("grand_potential", "Omega"),
                ("wall_position", "wall"),
                ("topological_charge", "Q"),
            ]
            if name in frame
        )
        _line(f"t = {frame['time']:g}  step {step}/{self.deck.n_steps}{speed}{extra}")


def tell_resumed(path: str | Path, t: float, end: float, again: int) -> None:
    """Says from which time a run goes on to `end`, and how many frames behind that time are computed again."""
    if t < end:
        frames = "1 frame is" if again == 1 else f"{again or 'no'} frames are"
        _line(f"{path}: going on from t = {t:g} to {end:g}; {frames} computed again")
    else:
        tell_done(path, t)


def tell_done(path: str | Path, t: float) -> None:
    """Says that a run is at its end already."""
    _line(f"{path}: t = {t:g} is reached already; nothing is left to compute (--until makes it longer)")


def _line(text: str) -> None:
    print(text, file=Guarded(sys.stderr), flush=True)
