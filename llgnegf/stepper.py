"""What carries a run from one step to the next, and what a run is at one of its steps.

The loop in `simulation.py` knows a run through these two alone.  Whoever moves moments or electrons in another way
writes a `Stepper`, with an `Instant` that holds what its variables are made of, and names it in `build.METHODS`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.deck import Deck
from llgnegf.magnet import Magnet

# What a stepper remembers: its own part of a checkpoint.
Remembered = dict[str, NDArray[Any]]


class Instant:
    """A run after n steps.  What is not known when it is reached is evaluated when first asked for, and once.

    n, t: steps taken and time; y: packed moments (`Magnet.pack`); m, velocity: (nx[, ny], 3), unit vectors and dm/dt.
    """

    def __init__(self, deck: Deck, magnet: Magnet, n: int, y: np.ndarray, velocity: np.ndarray) -> None:
        """velocity: packed."""
        self.deck, self.n, self.t, self.y = deck, n, n * deck.integrator.step, y
        self.m, self.velocity = magnet.unpack(y).copy(), magnet.unpack(velocity)
        self._magnet = magnet

    @cached_property
    def energies(self) -> dict[str, float]:
        """Energy of the moments by term and in all: exchange, dmi, anisotropy, zeeman, classical."""
        return self._magnet.energies(self.y)


class Stepper(Protocol):
    """Moves the moments, and whatever moves with them, from one step to the next.

    Nothing that it does depends on frames, checkpoints or the end of the run, so that an interrupted run has the bits
    of an uninterrupted one.
    """

    solves: int  # Green's functions evaluated so far; the loop sets it when it resumes

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        """Steps taken and packed moments after one step or more, from step n with moments y, at most to `limit`.

        y is left as it is.  Raises RunError where a step is wrong, such as one that stretches moments
        (`watch.check_moments`), ValueError or ArithmeticError where there is none.
        """
        ...

    def instant(self, n: int, y: np.ndarray) -> Instant:
        """The run at step n with moments y, for a frame.  What is evaluated here serves the step that begins here."""
        ...

    def state(self) -> Remembered:
        """All that the next step depends on beside n and the moments; arrays in it are never changed afterwards."""
        ...

    def restore(self, remembered: Remembered) -> None:
        """Takes up what `state` gave, also that of an older version."""
        ...
