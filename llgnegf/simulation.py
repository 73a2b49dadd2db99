"""The time loop: from a deck to a run file, stopping and resuming in between.

`run` and `resume` are the doors; `_advance` is the only loop over time.  The loop owns time, output and checkpoints.
What it moves is put together by `build.py` and known to it through the protocol `dynamics.stepper.Stepper` alone.
`interrupts.py` ends it early (signals, wall time), `watch.py` examines its frames, `observables.py` defines them.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf import build, observables
from llgnegf.build import Parts
from llgnegf.compiling import telling
from llgnegf.continuing import (
    begun,
    beside,
    continued,
    ends,
    left_to_do,
    refuse_other_deck,
    refuse_other_lattice,
    refuse_own_files,
)
from llgnegf.deck import Deck, load_deck, with_refresh
from llgnegf.dynamics.coupling import Field, field_name, may_be_same_field
from llgnegf.dynamics.stepper import check_moments
from llgnegf.electrons import ToleranceError
from llgnegf.electrons.ranks import how_many
from llgnegf.errors import DeckError, FileError, LLGNEGFError, RunError, RunWarning, StoppedEarly
from llgnegf.interrupts import GivenUp, Interrupts
from llgnegf.progress import Progress, tell_done, tell_resumed
from llgnegf.runfile import checkpoint
from llgnegf.runfile.checkpoint import State
from llgnegf.runfile.disk import real_path
from llgnegf.runfile.frames import DamagedFrames
from llgnegf.runfile.provenance import environment_changes
from llgnegf.runfile.reader import Run, open_run
from llgnegf.runfile.writer import Writer, refuse_overwriting
from llgnegf.watch import EnergyRises, EnergyWatch, check_step

# Between two updates of the bar.
_CHECK_SECONDS = 0.5
# After a step of so many seconds the state is held, since the next one may be given up.
_SLOW_STEP_SECONDS = 0.5
# The first checkpoint after the start comes so soon, the next ones after twice the time, until `run.checkpoint_every`.
_FIRST_CHECKPOINT_SECONDS = 2.0
# Between two checkpoints, in units of the time that one takes.
_LEAST_PAUSE = 50.0


# --- the doors ------------------------------------------------------------------------------------------------------


def run(
    deck: Deck | str | Path,
    path: str | Path,
    *,
    field: Field | None = None,
    until: float | None = None,
    walltime: float | str | None = None,
    overwrite: bool = False,
    go_on: bool = False,
    progress: bool = False,
) -> Run:
    """Run a deck into a new run file and open it.

    field: `field(t, m)` -> (..., 3), a user's own term of the effective field (energy units, shape of m).
    until: stop at this time (a multiple of the step); `resume` goes on from there.  A time beyond `run.duration`
    becomes the duration of the run.  walltime: seconds, or a text such as "1h30m", after which to stop at a checkpoint,
    once a step is made.  overwrite: replace a run file that is there; what is no run file is never replaced.
    go_on: where the run file is there already, continue it instead, to the end of this deck; a run that is done stays
    as it is.  progress: show how far it is.

    Raises DeckError (also for an existing file without `overwrite`, and with `go_on` for a file of another deck),
    RunError, FileError, and StoppedEarly when a signal or the wall time ended it at a checkpoint.  RunWarning tells
    what may go wrong.
    """
    if not isinstance(deck, Deck):
        deck = load_deck(deck)
    if go_on and overwrite:
        raise DeckError("overwrite and go_on (--overwrite and --continue) exclude each other: choose one")
    if go_on and Path(path).exists():
        if begun(path):
            changes = left_to_do(path, deck, until)
            if changes is not None:
                return resume(path, changes, field=field, until=until, walltime=walltime, progress=progress)
            done = open_run(path)
            if progress:
                tell_done(path, float(done.times[-1]))
            return done
        overwrite = True
    deck, end = ends(with_refresh(deck, deck.integrator.electrons), until)
    stop = Interrupts(walltime)
    refuse_overwriting(real_path(path), overwrite)  # before the work; `Writer.create` asks again, behind its lock
    refuse_own_files(path, deck)
    with stop.listening(), telling(progress):
        try:
            with stop.long_work:
                parts = build.build(deck, field)
        except GivenUp:
            raise StoppedEarly(f"stopped before the run began ({stop.reason}): nothing is written yet") from None
        check_step(deck, parts.magnet, parts.start)
        attributes: dict[str, Any] = {} if field is None else {"user_field": field_name(field)}
        if deck.magnet.temperature:
            attributes["temperature"] = deck.magnet.temperature
        if deck.magnet.temperature or (deck.electrons is not None and deck.electrons.noise):
            attributes["seed"] = deck.run.seed
        state = State(step=0, moment=parts.start)
        layouts = observables.layouts(deck, parts.variables)
        writer = Writer.create(
            path,
            deck,
            end.n_frames,
            deck.lattice.shape,
            layouts,
            overwrite=overwrite,
            attrs=attributes,
            coordinates=observables.coordinates(deck, parts.variables),
        )
        with _closing(writer):
            watch = EnergyWatch(deck, parts.magnet, field is not None)
            _advance(parts, state, writer, end, path, stop, progress, watch)
    return open_run(path)


def resume(
    path: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    field: Field | None = None,
    until: float | None = None,
    walltime: float | str | None = None,
    progress: bool = False,
) -> Run:
    """Continue a run from its newest good checkpoint, bit for bit as if it had never stopped, to its deck's end.

    Frames behind the checkpoint are computed again; each stays until the new one is there.

    until: stop at this time; one beyond the deck's end becomes its end.  overrides: dotted keys of the deck to change
    from here on; only those are accepted that cannot change results computed so far (title, run.duration,
    run.save_every, run.checkpoint_every).  The other arguments are those of `run`; a run with a user's field asks for
    that field again.

    Raises what `run` raises, and DeckError where deck, field or `until` do not fit what was computed.  RunWarning tells
    of damaged checkpoints that were passed over, of another installation or machine, and of frames that came out
    otherwise than before the interruption.
    """
    with open_run(path) as old:
        deck, recorded = old.deck, old.attrs.get("user_field")
        committed, times, damage = old.n_frames, old.stored_times, _damaged_times(old)
        # Not from the deck: the file of its texture may have changed since, and relaxation may take long.
        meanings = {name: old[name].long_name for name in old.names}
        start = old["moment"][0] if committed and old.frame_ok(0) else None
        build.refuse_misfit(old)
    given = None if field is None else field_name(field)
    if given and recorded and given != recorded and may_be_same_field(given, recorded):
        _warn(f"{path} was run with field = {recorded}; it goes on with {given}, which is taken for the same one")
    elif given != recorded:
        wanted = f"field = {recorded}" if recorded else "no field"
        raise DeckError(f"{path} was run with {wanted}, resume was given {given or 'none'}: pass the same one")
    deck, end = ends(continued(path, deck, overrides or {}), until)
    try:
        state, header = checkpoint.load_newest(beside(path))
    except FileError:
        if committed:
            raise
        raise FileError(f"{path} holds no frame and no checkpoint: run its deck again with --overwrite") from None
    refuse_other_deck(path, deck, header)
    dt = deck.integrator.step
    if end.n_steps < state.step:
        raise DeckError(
            f"run.duration = {end.run.duration:g} (--until): {path} has reached t = {state.step * dt:g} already; "
            "allowed: a later time"
        )
    refuse_other_lattice(path, deck, state, header)
    if not state.step:
        start = state.moment
    if start is None and committed and deck.motion.is_imposed and (deck.texture_path or deck.texture.relax):
        raise FileError(
            f"{path}: frame 0 is damaged, and the motion is a rotation of its moments: run the deck again with "
            "--overwrite"
        )
    parts = build.build(deck, field, start)
    # A version that knew fewer variables may have begun the run.
    parts = replace(parts, variables=tuple(one for one in parts.variables if one.name in meanings))
    for one in parts.variables:
        if one.meaning != meanings[one.name]:
            _warn(f"{one.name} of {path} so far: {meanings[one.name]}; in what follows: {one.meaning}")
    parts.stepper.solves = state.solves
    try:
        # Else files that were read again may have changed: start anew.
        if committed or not deck.site_files:
            parts.stepper.restore(state.extra)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        told = f"{type(error).__name__}: {error}"
        raise FileError(
            f"{header['path']}: is not a checkpoint of this run: its stepper cannot use it ({told})"
        ) from None
    for note in header["notes"]:
        _warn(f"{note}; going on from the older {header['path']}, t = {state.step * dt:g}")
    for change in environment_changes(header):
        _warn(f"{change}: the last bits of what follows may differ from a run that was never interrupted")
    processes = header.get("info", {}).get("processes", 1)
    if processes != how_many():
        _warn(
            f"{path} was computed by {processes} of the processes of --mpi, it goes on with {how_many()}: the count of "
            "Green's functions and the last bits of the grand potential may differ"
        )
    done = header["frames_written"]
    if damage is not None and min(damage.frames) < done:  # those behind are computed again
        raise damage
    if committed >= done:  # else `reopen` tells that frames are missing
        # Counted by their times: the run may have been saved at another interval so far.
        done = int(np.searchsorted(times[:done], (state.step + 0.5) * dt))
    stop = Interrupts(walltime)
    with stop.listening(), telling(progress):
        room = max(done, 1) + end.frames_after(state.step)
        writer = Writer.reopen(path, done, room, {"deck": deck.text, "title": deck.title})
        with _closing(writer):
            if progress:
                again = int(np.sum(times[done:] > (state.step + 0.5) * dt))
                tell_resumed(path, state.step * dt, end.n_steps * dt, again)
            with open_run(path) as past:
                watch = EnergyWatch(deck, parts.magnet, field is not None, past, done)
            _advance(parts, state, writer, end, path, stop, progress, watch)
    return open_run(path)


def _damaged_times(run: Run) -> DamagedFrames | None:
    try:
        _ = run.times
    except DamagedFrames as damage:
        return damage
    return None


def _warn(text: str) -> None:
    warnings.warn(text, RunWarning, stacklevel=3)


@contextlib.contextmanager
def _closing(writer: Writer) -> Iterator[None]:
    try:
        yield
    finally:
        writer.close()


# --- the loop -------------------------------------------------------------------------------------------------------


# Raised where a tolerance cannot be reached (a ValueError), and where parameters are out of range.
TROUBLE = (ValueError, ArithmeticError, np.linalg.LinAlgError)


def at_time(t: float, error: Exception) -> RunError:
    """One of `TROUBLE` at the time t, as a run tells it."""
    if isinstance(error, ToleranceError):
        return RunError(f"t = {t:g}: {error}")
    return RunError(
        f"t = {t:g}: {type(error).__name__}: {error}; a number in [electrons] or [magnet] is far out of scale, or a "
        "level lies exactly on an edge; compare them with electrons.hopping"
    )


def _recorded(parts: Parts, n: int, y: np.ndarray, watch: EnergyWatch) -> dict[str, Any]:
    """The frame at step n with packed moments y, after `watch` has examined it.  RunError with the time if wrong."""
    dt = parts.deck.integrator.step
    try:
        frame = observables.frame(parts.stepper.instant(n, y), parts.variables)
    except TROUBLE as error:
        raise at_time(n * dt, error) from error
    check_moments(frame["moment"], n, dt)
    watch.frame(frame)
    return frame


def _advance(
    parts: Parts,
    state: State,
    writer: Writer,
    end: Deck,
    path: str | Path,
    stop: Interrupts,
    progress: bool,
    watch: EnergyWatch,
) -> None:
    """Step from `state` to the end of the deck `end`, saving frames and checkpoints.  The only loop over time.

    path: the run file as the user named it.  A run that goes wrong leaves a checkpoint of its last good state behind.
    """
    deck, magnet, stepper = parts.deck, parts.magnet, parts.stepper
    every, last, dt = deck.save_interval_steps, end.n_steps, deck.integrator.step
    n, y = state.step, magnet.pack(state.moment)

    def here() -> State:
        return State(step=n, moment=magnet.unpack(y).copy(), solves=stepper.solves, extra=stepper.state())

    def save_frame() -> State:
        """Returns the state with what the frame has evaluated for the next step, or the one before if it is large."""
        with stop.long_work:
            frame = _recorded(parts, n, y, watch)
        writer.append(frame)
        bar.frame(n, frame)
        return framed if is_large else here()

    def save_checkpoint(now: State | None = None, n_frames: int | None = None) -> State:
        began = time.monotonic()
        now = now or here()
        writer.sync()
        info = {"processes": how_many()}
        checkpoint.save(writer.path, now, deck.text, writer.n_frames if n_frames is None else n_frames, info)
        due.saved(time.monotonic() - began)
        return now

    due = _Due(deck)
    is_large = getattr(stepper, "state_is_large", False)
    saved = framed = held = save_checkpoint()  # from here on a killed run can be resumed
    now = looked_at = time.monotonic()
    with Progress(end, n, enabled=progress) as bar:
        try:
            if not writer.n_frames:
                framed = save_frame()
            while n < last and not stop.stops(moved=n > state.step):
                before = n
                with stop.long_work:
                    n, y = stepper.advance(n, y, min(n - n % every + every, last))
                if n % every == 0:
                    framed = save_frame()
                began, now = now, time.monotonic()
                if now - began > _SLOW_STEP_SECONDS and not is_large:
                    held = here()
                if now - looked_at > _CHECK_SECONDS:
                    looked_at = now
                    bar.update(n)
                if n < last and due(before, n):
                    saved = save_checkpoint()
                    framed = saved if is_large else framed
            bar.update(n)
            arrived, regular = here(), writer.n_frames
            if n == last and n % every and not writer.take_next(n * dt):
                # The last state has a frame too.  It is none of those that a longer run has, which goes on from the
                # state before it and puts its next frame in the place of this one.
                save_frame()
        except GivenUp:
            newest = max(saved, framed, held, key=lambda state: state.step)
            if newest.step > saved.step:
                save_checkpoint(newest)
            raise _stopped(newest.step * dt, end, f"{stop.reason}, in the middle of a step", path) from None
        except (RunError, *TROUBLE) as error:
            # The energy is examined at frames alone: a checkpoint after the last good frame may be wrong already.
            if framed.step > saved.step or (isinstance(error, EnergyRises) and framed.step < saved.step):
                with contextlib.suppress(LLGNEGFError):  # what went wrong first is the thing to tell
                    save_checkpoint(framed)
            if isinstance(error, RunError):
                raise
            raise at_time(n * dt, error) from error
    save_checkpoint(arrived, regular)
    if n < last:
        raise _stopped(n * dt, end, stop.reason, path)
    if n == deck.n_steps:
        writer.truncate(writer.n_frames)  # the run was to be longer once
    writer.trim()


def _stopped(t: float, end: Deck, reason: str | None, path: str | Path) -> StoppedEarly:
    return StoppedEarly(
        f"stopped at t = {t:g} of {end.run.duration:g} ({reason}); continue with: llgnegf resume {path}"
    )


class _Due:
    """When the next checkpoint is due: after the steps or the time of `run.checkpoint_every`, sooner near the start.

    Where the deck gives a time, checkpoints take at most a fiftieth of that of the run.
    """

    def __init__(self, deck: Deck) -> None:
        self.seconds, self.steps = deck.run.checkpoint_seconds, deck.run.checkpoint_steps
        self.began = self.at = time.monotonic()
        self.cost = 0.0

    def __call__(self, before: int, n: int) -> bool:
        """Whether one is due after step n, where it was not after the step `before`."""
        if self.steps is not None:
            return n // self.steps > before // self.steps
        assert self.seconds is not None
        pause = min(self.seconds, max(_FIRST_CHECKPOINT_SECONDS, self.at - self.began))
        return time.monotonic() - self.at >= max(pause, _LEAST_PAUSE * self.cost)

    def saved(self, cost: float) -> None:
        """A checkpoint was written, which took so many seconds."""
        self.at, self.cost = time.monotonic(), cost
