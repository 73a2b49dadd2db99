"""How many Green's functions were evaluated."""

from __future__ import annotations

import threading

from .forks import in_every_child

# One lock for all counters: threads that share the energies add to the same counter.
_lock = threading.Lock()


def _after_fork() -> None:
    """The child gets a new lock: a thread that held the old one does not exist there."""
    global _lock
    _lock = threading.Lock()


in_every_child(_after_fork)


class Counter:
    """Number of Green's functions evaluated: for each sweep through the system, its number of energies.

    Counted where the kernels are called (`chain_rows`, `ChainArcs.between`, `slices.eliminate`).  What is computed
    from the results of a sweep (responses, scattering states, flows) is not counted again, nor are scalar recursions
    and dense eigenvalue problems, nor the lattice without moments, to which grand potentials are relative.

    above: another counter, such as that of a whole run, that counts everything this one counts.
    """

    def __init__(self, above: Counter | None = None) -> None:
        self.count, self._above = 0, above

    def add(self, n_energies: int) -> None:
        """Count a sweep at `n_energies` energies."""
        with _lock:
            one: Counter | None = self
            while one is not None:
                one.count += n_energies
                one = one._above
