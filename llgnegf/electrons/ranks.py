"""Energies of lattices spread over the processes (ranks) of an MPI job, each of which has threads of its own.

Every rank runs the whole program; only here do they differ: each evaluates its share of the energies, and all get the
results of all, in the order of the energies.  So every rank goes on with the same numbers, and they are those of one
process.  `llgnegf.together` makes the ranks and decides who writes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from llgnegf.errors import RunError

from .counter import Counter
from .threads import each, is_worker

Item = TypeVar("Item")
Result = TypeVar("Result")


class Communicator(Protocol):
    """What is asked of an MPI communicator (mpi4py's `Comm`)."""

    def Get_rank(self) -> int:
        """Number of this process, from 0."""

    def Get_size(self) -> int:
        """How many processes there are."""

    def allgather(self, sendobj: Any) -> list[Any]:
        """What every rank gave, in their order."""


class RanksDiverged(RunError):
    """The ranks are not at the same place of the program: their numbers must have differed."""


_ranks: Communicator | None = None
_inside = False
_calls = 0


@contextlib.contextmanager
def spread_over(ranks: Communicator) -> Iterator[None]:
    """Inside, `each_energy` spreads its work over these ranks."""
    global _ranks, _calls
    _ranks, _calls = ranks, 0
    try:
        yield
    finally:
        _ranks = None


def how_many() -> int:
    """Over how many processes energies are spread."""
    return 1 if _ranks is None else _ranks.Get_size()


def are_several() -> bool:
    """Whether energies are spread over more than this process."""
    return how_many() > 1


def each_energy(function: Callable[[Item], Result], items: Sequence[Item], counter: Counter) -> list[Result]:
    """function(item) for all items in their order, in the threads of all ranks.

    counter: what `function` counts Green's functions with; afterwards it has those of all ranks.  An error of any rank
    is raised on all.  The items that a rank gets depend on their number alone: what `function` keeps for an item stays
    where that item is evaluated.  Raises RanksDiverged where another rank asks for something else.
    """
    global _inside, _calls
    if _ranks is None or _inside or is_worker() or _ranks.Get_size() == 1:
        return each(function, items)
    rank, size = _ranks.Get_rank(), _ranks.Get_size()
    before, error, found = counter.count, None, []
    _inside = True
    try:
        found = each(function, items[rank::size])
    except Exception as one:
        error = one
    finally:
        _inside = False
    _calls += 1
    counted = counter.count - before
    told = _ranks.allgather(((_calls, len(items)), found, counted, error))
    if any(place != told[0][0] for place, *_ in told):
        places = ", ".join(f"{n} energies at call {call}" for (call, n), *_ in told)
        raise RanksDiverged(
            f"the ranks of this job ask for different Green's functions ({places}): they run on processors that round "
            "differently, or with other versions of the libraries; use nodes of one kind"
        )
    for *_, each_error in told:
        if each_error is not None:
            raise each_error
    counter.add(sum(n for _, _, n, _ in told) - counted)
    shares = [list(results) for _, results, _, _ in told]
    return [shares[i % size][i // size] for i in range(len(items))]
