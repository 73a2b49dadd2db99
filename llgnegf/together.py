"""One run by all processes of an MPI job: `mpiexec -n 4 llgnegf run DECK --mpi`.

Every rank computes the whole run, with its share of the energies (`electrons.ranks`); rank 0 alone writes the run file
and decides when to stop.  The others keep a run file of their own for as long as they run, in a folder that is removed:
what checkpoints and frames are made of, they have as well.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from llgnegf.deck import Deck
from llgnegf.electrons.ranks import spread_over
from llgnegf.errors import DeckError, LLGNEGFError, RunWarning, StoppedEarly
from llgnegf.interrupts import Interrupts
from llgnegf.runfile.checkpoint import checkpoint_paths
from llgnegf.streams import visible

_PATIENCE = 10.0  # seconds


def communicator() -> Any:
    """mpi4py's communicator of all ranks.  LLGNEGFError without mpi4py or without MPI."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise LLGNEGFError(
            f'--mpi needs the package mpi4py and an MPI library: pip install "llgnegf[mpi]" installs mpi4py ({error})'
        ) from None
    return MPI.COMM_WORLD


def refuse_what_gains_nothing(deck: Deck) -> None:
    """DeckError for a run whose energies are not spread: without frozen electrons on a lattice."""
    electrons = deck.electrons
    if electrons is None or electrons.method != "frozen" or len(deck.lattice.shape) == 1:
        slow = (
            "has no electrons"
            if electrons is None
            else "has chains"
            if electrons.method == "frozen"
            else "is in real time"
        )
        raise DeckError(
            f"--mpi: spreads the energies of frozen electrons on lattices; this run {slow}: leave --mpi out"
        )


@contextlib.contextmanager
def on_all_ranks(path: Path, comm: Any) -> Iterator[Path]:
    """Where this rank writes: `path` on rank 0, elsewhere a copy of what is there, in a folder for the time inside.

    Inside, energies are spread over the ranks, rank 0 decides for all when to stop, and the others tell nothing.
    """
    rank = comm.Get_rank()
    with contextlib.ExitStack() as stack:
        mine = path
        if rank:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llgnegf-rank-")))
            mine = folder / path.name
            for there in (path, *checkpoint_paths(Path(os.path.realpath(path)))):
                if there.exists():
                    shutil.copyfile(there, folder / there.name)
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", RunWarning)
        comm.Barrier()  # rank 0 touches nothing before the others have their copies
        stack.enter_context(Interrupts.decided_by(lambda reason: comm.bcast(reason if rank == 0 else None)))
        stack.enter_context(spread_over(comm))
        yield mine


def together(action: Callable[[Path, bool], Any], path: Path) -> Any:
    """action(where to write, whether this rank tells of it) on all ranks; what it returns.

    An error that all ranks meet, and one that only one of them does (a full disk), for which the others would wait for
    ever, both end the job: rank 0 tells it, or whoever is left alone with it.
    """
    comm = communicator()
    leads = comm.Get_rank() == 0
    try:
        with on_all_ranks(path, comm) as mine:
            return action(mine, leads)
    except StoppedEarly:
        if leads:
            raise
        sys.exit(StoppedEarly.exit_code)
    except Exception as error:
        if not leads:
            time.sleep(_PATIENCE)  # rank 0 meets it as well, as a rule, and tells it
        problems = error.problems if isinstance(error, DeckError) else [str(error) or type(error).__name__]
        for problem in problems:
            print(visible(f"llgnegf: {problem}"), file=sys.stderr, flush=True)
        comm.Abort(getattr(error, "exit_code", 1))
        raise
