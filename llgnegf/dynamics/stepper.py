"""What carries a run from one step to the next, and what a run is at one of its steps.

The loop in `simulation.py` knows a run through these two alone.  Whoever moves moments or electrons in another way
writes a `Stepper`, with an `Instant` that holds what its variables are made of, and names it in `build.METHODS`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.dynamics.external import NOTHING, External
from llgnegf.errors import RunError
from llgnegf.magnet import Magnet
from llgnegf.once import cached_property

# What a stepper remembers: its own part of a checkpoint.
Remembered = dict[str, NDArray[Any]]


class Instant:
    """A run after n steps.  Quantities not known by then are evaluated when first asked for, and only once.

    magnet: the classical terms; n, t: steps taken and time; y: packed moments (`Magnet.pack`); m, velocity: unit
    vectors and dm/dt, (nx[, ny], 3); external: fields on the moments that change in time, after a jump at t; kinetic:
    energy of the motion of moments that have inertia, inertia: theirs, (nx[, ny]), time.
    """

    kinetic = 0.0
    inertia: np.ndarray | None = None

    def __init__(
        self,
        magnet: Magnet,
        n: int,
        t: float,
        y: np.ndarray,
        velocity: np.ndarray,
        external: External = NOTHING,
    ) -> None:
        """velocity: packed."""
        self.magnet, self.n, self.t, self.y, self.external = magnet, n, t, y, external
        self.m, self.velocity = magnet.unpack(y).copy(), magnet.unpack(velocity)

    @cached_property
    def energies(self) -> dict[str, float]:
        """Energy of the moments by term and in all, see `Magnet.energies`; driven fields are part of zeeman."""
        return self.magnet.energies(self.y, self.external.field)


class Stepper(Protocol):
    """Moves the moments, and whatever moves with them, from one step to the next.

    Nothing that it does depends on frames, checkpoints or the end of the run, so that an interrupted run has the bits
    of an uninterrupted one.
    """

    solves: int  # Green's functions evaluated so far; the loop sets it when it resumes
    # A stepper may also have `state_is_large`: True where copying `state()` at every frame would cost too much.  If the
    # run goes wrong, it then ends at the last checkpoint that was due instead of the last frame.

    def advance(self, n: int, y: np.ndarray, limit: int) -> tuple[int, np.ndarray]:
        """Steps taken and packed moments after one step or more, from step n with moments y, at most to `limit`.

        y is left as it is.  Raises RunError where a step is wrong, such as one that stretches moments
        (`check_moments`), ValueError or ArithmeticError where the equations have no solution.
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


def check_moments(m: np.ndarray, n: int, dt: float, stretched: tuple[int, ...] | None = None) -> None:
    """RunError where moments are no numbers, or a site was `stretched` by the step.

    m: (..., 3), after step n of length dt; stretched: `Magnet.stretched`.
    """
    wrong = np.argwhere(~np.isfinite(m).all(axis=-1))
    if stretched is None and not len(wrong):
        return
    site = wrong[0].tolist() if len(wrong) else list(stretched or ())
    what = (
        f"the moment of site {site} is not finite at t = {n * dt:g}"
        if len(wrong)
        else f"the step to t = {n * dt:g} changed the length of the moment of site {site} by more than "
        f"{100 * Magnet.LARGEST_STRETCH:.0f} %"
    )
    raise RunError(
        f"{what}: integrator.step = {dt:g} is too large, or a term of the deck is; try half the step, --set "
        f"integrator.step={dt / 2:g}. The last checkpoint is kept"
    )
