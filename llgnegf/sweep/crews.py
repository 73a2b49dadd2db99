"""Who does the runs of a sweep: processes on this machine (loky), or the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from llgnegf.errors import LLGNEGFError, missing_package
from llgnegf.interrupts import STOPPING, Interrupts
from llgnegf.sweep.work import Outcome, Task, work

_LOOK = 0.5  # seconds between two looks at whether to stop
_KILLS = 3  # a run whose process ended so many times is given up
_CONNECT = 10.0


def this_machine(tasks: Sequence[Task], stop: Interrupts, workers: int | None) -> Iterator[Outcome]:
    """The outcomes of runs that processes of this machine do, each with its share of the cores, as they end."""
    from loky import cpu_count
    from loky.process_executor import TerminatedWorkerError

    cores = cpu_count()
    workers = max(1, min(workers or cores, len(tasks)))
    share = os.environ.get("LLGNEGF_NUM_THREADS") or str(max(1, cores // workers))
    waiting, kills = list(tasks), dict.fromkeys(tasks, 0)
    while waiting and not stop.stops(True):
        try:
            for outcome in _by_processes(waiting, stop, workers, {"LLGNEGF_NUM_THREADS": share}):
                waiting = [task for task in waiting if task.folder != outcome.folder]
                yield outcome
            return
        except TerminatedWorkerError:
            # A process was killed, for its memory perhaps, and takes the others with it; all go on from checkpoints.
            begun = waiting[:workers]
            for task in begun:
                kills[task] += 1
                if kills[task] >= _KILLS:
                    waiting.remove(task)
                    yield Outcome(
                        task.folder,
                        "failed",
                        f"its process ended {_KILLS} times without a word: too little memory for {workers} runs at "
                        "once? --workers 1 does one at a time",
                    )


def _by_processes(
    tasks: Sequence[Task], stop: Interrupts, workers: int, environment: dict[str, str]
) -> Iterator[Outcome]:
    from loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(max_workers=workers, env=environment, initializer=_between_runs)
    try:
        following, running = iter(tasks), set[Future[Outcome]]()
        while True:
            while len(running) < workers and not stop and (task := next(following, None)) is not None:
                running.add(pool.submit(work, task, _left(stop)))
            if not running:
                return
            done, running = wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            if stop.stops(True):
                _pass_on(pool)
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _between_runs() -> None:
    """In a process that waits for its next run: a signal meant for runs does not end it."""
    for name in STOPPING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _pass_on(pool: Any) -> None:
    """Asks the runs to stop at a checkpoint; a terminal has asked them already, a scheduler has not."""
    for process in list((pool._processes or {}).values()):
        with contextlib.suppress(OSError):
            os.kill(process.pid, signal.SIGTERM)


def _left(stop: Interrupts) -> float | None:
    return None if stop.deadline is None else max(stop.deadline - time.monotonic(), 0.0)


def cluster(tasks: Sequence[Task], stop: Interrupts, address: str) -> Iterator[Outcome]:
    """The outcomes of runs that the workers of the Dask scheduler at `address` do, as they end.

    A worker that dies is no matter: another one continues its run from the newest checkpoint.  Where the sweep stops,
    workers are asked to stop their runs at a checkpoint, which is waited for.
    Raises LLGNEGFError where no scheduler answers, or without the package distributed.
    """
    try:
        from dask import config
        from distributed import Client, Event, TimeoutError, as_completed
    except ImportError as error:
        raise missing_package("--scheduler", error, "dask") from None
    try:
        with config.set({"distributed.comm.timeouts.connect": f"{_CONNECT:g}s"}):
            client = Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise LLGNEGFError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
    with client, client.as_current():
        # The scheduler gives up a run with which several workers died (`distributed.scheduler.allowed-failures`).
        ends = Event(f"llgnegf-sweep-{uuid.uuid4().hex}", client=client)
        futures = {client.submit(_on_worker, task, _left(stop), ends.name, pure=False): task for task in tasks}
        try:
            ended = as_completed(futures)
            while not ended.is_empty():
                if stop.stops(True) and not ends.is_set():
                    ends.set()
                    begun = {key for keys in client.processing().values() for key in keys}
                    client.cancel([future for future in futures if future.key not in begun], force=True)
                    ended = as_completed([f for f in futures if f.key in begun and not f.done()])
                for future in ended.next_batch(block=False) or _pause():
                    trouble, folder = future.exception(), futures[future].folder
                    if trouble is None:
                        yield future.result()
                    else:
                        yield Outcome(folder, "failed", f"{type(trouble).__name__}: {trouble}")
        finally:
            client.cancel(list(futures), force=True)


def _on_worker(task: Task, walltime: float | None, ends: str) -> Outcome:
    """`work` by a worker, which no signal reaches: it asks now and then whether the event `ends` is set."""
    from distributed import Event

    event = Event(ends)

    def asks() -> bool:
        with contextlib.suppress(OSError, TimeoutError):  # the scheduler may be busy; it will be asked again
            return bool(event.is_set())
        return False

    if asks():
        return Outcome(task.folder, "stopped", "stopped before it began")
    with Interrupts.asked_by(asks):
        return work(task, walltime)


def _pause() -> list[Any]:
    time.sleep(_LOOK / 5)
    return []
