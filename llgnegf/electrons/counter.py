"""How many Green's functions were evaluated."""

from __future__ import annotations

import os
import threading

# Of all counters: energies are shared by threads.
_lock = threading.Lock()


def _after_fork() -> None:
    """Whoever held the lock is not in the child."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class Counter:
    """Green's functions evaluated: sweeps through the system times the energies of each.

    Counted where the kernels are called (`density.contour_rows`, `density.surface_rows`, `slices.eliminate`) and
    nowhere else.  What goes through the results of a sweep again (responses, scattering states, flows) is not counted
    again, nor are scalar recursions and dense eigenvalue problems.

    above: a counter of more than this one counts, such as that of a whole run, which is told of everything.
    """

    def __init__(self, above: Counter | None = None) -> None:
        self.count, self._above = 0, above

    def add(self, n_energies: int) -> None:
        """A sweep at so many energies was made."""
        with _lock:
            one: Counter | None = self
            while one is not None:
                one.count += n_energies
                one = one._above
