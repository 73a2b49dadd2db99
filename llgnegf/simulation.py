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
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf import build, observables
from llgnegf.build import Parts
from llgnegf.deck import FREE_ON_RESUME, Deck, changes_past, load_deck, parse_deck
from llgnegf.dynamics.coupling import Field, field_name, may_be_same_field
from llgnegf.dynamics.stepper import check_moments
from llgnegf.electrons import ToleranceError
from llgnegf.errors import DeckError, FileError, LLGNEGFError, RunError, RunWarning, StoppedEarly
from llgnegf.interrupts import Interrupts
from llgnegf.progress import Progress
from llgnegf.runfile import checkpoint
from llgnegf.runfile.checkpoint import State
from llgnegf.runfile.frames import DamagedFrames
from llgnegf.runfile.provenance import environment_changes
from llgnegf.runfile.reader import Run, open_run
from llgnegf.runfile.writer import Writer
from llgnegf.watch import EnergyRises, EnergyWatch, check_step

# Between two updates of the bar.
_CHECK_SECONDS = 0.5


# --- the doors ------------------------------------------------------------------------------------------------------


def run(
    deck: Deck | str | Path,
    path: str | Path,
    *,
    field: Field | None = None,
    until: float | None = None,
    walltime: float | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Run:
    """Run a deck into a new run file and open it.

    field: `field(t, m)` -> (..., 3), a user's own term of the effective field (energy units, shape of m).
    until: stop at this time (a multiple of the step) instead of `run.duration`.  walltime: seconds after which to stop
    at a checkpoint.  progress: show how far it is.

    Raises DeckError (also for an existing file without `overwrite`), RunError, FileError, and StoppedEarly when a
    signal or the wall time ended it at a checkpoint.  RunWarning tells what may go wrong.
    """
    if not isinstance(deck, Deck):
        deck = load_deck(deck)
    deck = _until(deck, until)
    stop = Interrupts(walltime)
    with stop.listening():
        parts = build.build(deck, field)
        check_step(deck, parts.magnet, parts.start)
        attributes = {} if field is None else {"user_field": field_name(field)}
        state = State(step=0, moment=parts.start)
        layouts = observables.layouts(deck, parts.variables)
        writer = Writer.create(
            path,
            deck,
            deck.n_frames,
            deck.lattice.shape,
            layouts,
            overwrite=overwrite,
            attrs=attributes,
            coordinates=observables.coordinates(deck, parts.variables),
        )
        with _closing(writer):
            watch = EnergyWatch(deck, parts.magnet, field is not None)
            writer.append(_recorded(parts, 0, parts.magnet.pack(parts.start), watch))
            _advance(parts, state, writer, stop, progress, watch)
    return open_run(path)


def resume(
    path: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    field: Field | None = None,
    until: float | None = None,
    walltime: float | None = None,
    progress: bool = False,
) -> Run:
    """Continue a run from its newest good checkpoint, bit for bit as if it had never stopped.

    until: extends or shortens the run to this time.  overrides: dotted keys of the deck to change from here on; only
    those are accepted that cannot change results computed so far (title, run.duration, run.save_every,
    run.checkpoint_every).  The other arguments are those of `run`; a run with a user's field asks for that field again.

    Raises what `run` raises, and DeckError where deck, field or `until` do not fit what was computed.  RunWarning tells
    of damaged checkpoints that were passed over, of another installation or machine, and of frames that came out
    otherwise than before the interruption.
    """
    with open_run(path) as old:
        deck, recorded = old.deck, old.attrs.get("user_field")
        committed, times, damage = old.n_frames, old.stored_times, _damaged_times(old)
        # Not from the deck: the file of its texture may have changed since, and relaxation may take long.
        start = old["moment"][0] if committed and old.frame_ok(0) else None
        build.refuse_misfit(old)
    given = None if field is None else field_name(field)
    if given and recorded and given != recorded and may_be_same_field(given, recorded):
        _warn(f"{path} was run with field = {recorded}; it goes on with {given}, which is taken for the same one")
    elif given != recorded:
        wanted = f"field = {recorded}" if recorded else "no field"
        raise DeckError(f"{path} was run with {wanted}, resume was given {given or 'none'}: pass the same one")
    deck = _continued(path, deck, {**(overrides or {}), **({} if until is None else {"run.duration": float(until)})})
    try:
        state, header = checkpoint.load_newest(path)
    except FileError:
        if committed:
            raise
        raise FileError(f"{path} holds no frame and no checkpoint: run its deck again with --overwrite") from None
    _same_deck(path, deck, header)
    if start is None and committed and deck.motion.is_imposed and (deck.texture_path or deck.texture.relax):
        raise FileError(
            f"{path}: frame 0 is damaged, and the motion is a rotation of its moments: run the deck again with "
            "--overwrite"
        )
    _fits(path, deck, state, header)
    parts = build.build(deck, field, start)
    parts.stepper.solves = state.solves
    try:
        parts.stepper.restore(state.extra)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        told = f"{type(error).__name__}: {error}"
        raise FileError(
            f"{header['path']}: is not a checkpoint of this run: its stepper cannot use it ({told})"
        ) from None
    if deck.n_steps < state.step:
        raise DeckError(
            f"run.duration = {deck.run.duration:g} (--until): {path} has reached "
            f"t = {state.step * deck.integrator.step:g} already; allowed: a later time"
        )
    for note in header["notes"]:
        _warn(f"{note}; going on from the older {header['path']}, t = {state.step * deck.integrator.step:g}")
    for change in environment_changes(header):
        _warn(f"{change}: the last bits of what follows may differ from a run that was never interrupted")
    done = header["frames_written"]
    if damage is not None and min(damage.frames) < done:  # those behind are computed again
        raise damage
    if committed >= done:  # else `reopen` tells that frames are missing
        # Counted by their times: the run may have been saved at another interval so far.
        done = int(np.searchsorted(times[:done], (state.step + 0.5) * deck.integrator.step))
    stop = Interrupts(walltime)
    with stop.listening():
        writer = Writer.reopen(
            path, done, done + deck.frames_after(state.step), {"deck": deck.text, "title": deck.title}
        )
        with _closing(writer):
            with open_run(path) as past:
                watch = EnergyWatch(deck, parts.magnet, field is not None, past)
            _advance(parts, state, writer, stop, progress, watch)
    return open_run(path)


def _continued(path: str | Path, deck: Deck, overrides: Mapping[str, object]) -> Deck:
    """The deck of a run with `overrides`.  DeckError for keys that would change results computed so far."""
    new = parse_deck(deck.text, deck.folder, deck.name, overrides)
    problems = []
    for key, (was, wanted) in changes_past(deck, new).items():
        problems.append(
            f"{key} = {wanted}: {path} was run with {was}, and it would change what was computed; allowed when "
            f"resuming: {', '.join(sorted(FREE_ON_RESUME))}. For another value begin a new run from its last frame: "
            f'--set texture=\'{{kind = "file", path = "{Path(path).resolve()}"}}\''
        )
    if problems:
        raise DeckError(problems)
    return new


def _same_deck(path: str | Path, deck: Deck, header: Mapping[str, Any]) -> None:
    """Refuses a run file whose deck is not the one that its checkpoint was computed with."""
    computed = parse_deck(header["deck"], deck.folder, deck.name)
    problems = [
        f"{path}: its deck was changed since the checkpoint {header['path']}: {key} = {was} -> {now}; restore the run "
        "file, or run the changed deck anew with --overwrite"
        for key, (was, now) in changes_past(computed, deck).items()
    ]
    if problems:
        raise DeckError(problems)


def _damaged_times(run: Run) -> DamagedFrames | None:
    try:
        _ = run.times
    except DamagedFrames as damage:
        return damage
    return None


def _fits(path: str | Path, deck: Deck, state: State, header: Mapping[str, Any]) -> None:
    """FileError unless the moments of a checkpoint are those of this deck's lattice."""
    m, shape = state.moment, (*deck.lattice.shape, 3)
    if m.shape != shape or not np.isfinite(m).all():
        raise FileError(
            f"{header['path']}: is not a checkpoint of {path}: its moments are of shape {m.shape}, those of the run "
            f"finite and of shape {shape}; remove it, or run the deck again with --overwrite"
        )


def _warn(text: str) -> None:
    warnings.warn(text, RunWarning, stacklevel=3)


def _until(deck: Deck, until: float | None) -> Deck:
    if until is None:
        return deck
    return parse_deck(deck.text, deck.folder, deck.name, {"run.duration": float(until)})


@contextlib.contextmanager
def _closing(writer: Writer) -> Iterator[None]:
    try:
        yield
    finally:
        writer.close()


# --- the loop -------------------------------------------------------------------------------------------------------


# Raised where a tolerance cannot be reached (a ValueError), and where parameters are out of range.
TROUBLE = (ValueError, ArithmeticError, np.linalg.LinAlgError)


def _at_time(t: float, error: Exception) -> RunError:
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
        raise _at_time(n * dt, error) from error
    check_moments(frame["moment"], n, dt)
    watch.frame(frame)
    return frame


def _advance(parts: Parts, state: State, writer: Writer, stop: Interrupts, progress: bool, watch: EnergyWatch) -> None:
    """Step from `state` to the end of the deck, saving frames and checkpoints.  The only loop over time.

    A run that goes wrong leaves a checkpoint of its last good state behind.
    """
    deck, magnet, stepper = parts.deck, parts.magnet, parts.stepper
    every, last, dt = deck.save_interval_steps, deck.n_steps, deck.integrator.step
    seconds, steps = deck.run.checkpoint_seconds, deck.run.checkpoint_steps
    n, y = state.step, magnet.pack(state.moment)

    def here() -> State:
        return State(step=n, moment=magnet.unpack(y).copy(), solves=stepper.solves, extra=stepper.state())

    def save_checkpoint(now: State | None = None) -> State:
        now = now or here()
        writer.sync()
        checkpoint.save(writer.path, now, deck.text, writer.n_frames, {})
        return now

    saved = framed = save_checkpoint()  # from here on a killed run can be resumed
    saved_at = looked_at = time.monotonic()
    with Progress(deck, n, enabled=progress) as bar:
        try:
            while n < last and not stop:
                before = n
                n, y = stepper.advance(n, y, min(n - n % every + every, last))
                if n % every == 0:
                    frame = _recorded(parts, n, y, watch)
                    writer.append(frame)
                    bar.frame(n, frame)
                    framed = here()  # with what the frame has evaluated for the next step
                now = time.monotonic()
                if now - looked_at > _CHECK_SECONDS:
                    looked_at = now
                    bar.update(n)
                due = n // steps > before // steps if steps is not None else now - saved_at >= (seconds or np.inf)
                if due and n < last:
                    saved = save_checkpoint()
                    saved_at = now
            bar.update(n)
        except (RunError, *TROUBLE) as error:
            # The energy is examined at frames alone: a checkpoint after the last good frame may be wrong already.
            if framed.step > saved.step or (isinstance(error, EnergyRises) and framed.step < saved.step):
                with contextlib.suppress(LLGNEGFError):  # what went wrong first is the thing to tell
                    save_checkpoint(framed)
            if isinstance(error, RunError):
                raise
            raise _at_time(n * dt, error) from error
    save_checkpoint()
    if n < last:
        raise StoppedEarly(
            f"stopped at t = {n * dt:g} of {deck.run.duration:g} ({stop.reason}); continue with: "
            f"llgnegf resume {writer.path}"
        )
    writer.trim()
