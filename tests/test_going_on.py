"""How runs go on: what is said, what stays in the file meanwhile, when checkpoints come, what stops a call."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from llgnegf import build, interrupts, open_run, resume, run, simulation
from llgnegf.cli import main
from llgnegf.errors import DeckError, FileError, StoppedEarly
from llgnegf.interrupts import Interrupts
from llgnegf.runfile import checkpoint
from llgnegf.runfile.lock import Lock
from tests.test_cli import ENVIRONMENT
from tests.test_simulation import BASE, CLASSICAL, assert_same, datasets, deck, of_kind

DONE = "is reached already; nothing is left to compute (--until makes it longer)\n"


class Killed(BaseException):
    pass


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


@pytest.fixture
def whole(tmp_path):
    """The run that was never interrupted."""
    where = tmp_path / "whole.h5"
    run(deck(CLASSICAL), where).close()
    return where


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """command(*words) -> (exit code, standard output, standard error), in the folder tmp_path with CLASSICAL there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(CLASSICAL)

    def call(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "a bug" not in err
        return code, out, err

    return call


def killed_at(monkeypatch, step):
    """Runs are killed at their call of `advance` of this number."""
    real, count = build.build, [0]

    def built(*arguments):
        parts = real(*arguments)
        go = parts.stepper.advance

        def advance(n, y, limit):
            count[0] += 1
            if count[0] == step:
                raise Killed
            return go(n, y, limit)

        parts.stepper.advance = advance
        return parts

    monkeypatch.setattr(build, "build", built)


def kill(path, monkeypatch, step, text=CLASSICAL, **changes):
    """A run that is killed in one of its steps: its checkpoints come every 5 steps, its frames every 3."""
    with monkeypatch.context() as patch:
        killed_at(patch, step)
        with pytest.raises(Killed):
            run(deck(text, **changes), path)


# --- what is said, and what stays -----------------------------------------------------------------------------------


def test_resume_says_from_where_it_goes_on_and_what_comes_again(command, path, monkeypatch, whole):
    kill(path, monkeypatch, 10)  # at step 9, with frames 0, 3, 6, 9 and a checkpoint at 5
    with open_run(path) as left:
        assert left.n_frames == 4
    code, out, err = command("resume", "run.h5")
    assert code == 0
    assert err.splitlines()[0] == "run.h5: going on from t = 0.5 to 1.2; 2 frames are computed again"
    assert_same(whole, path)
    code, out, err = command("resume", "run.h5")
    assert (code, err) == (0, f"run.h5: t = 1.2 {DONE}")
    assert out == "done: 5 frames in run.h5; try: llgnegf show run.h5\n"
    code, out, err = command("resume", "run.h5", "--until", "1.5")
    assert err.splitlines()[0] == "run.h5: going on from t = 1.2 to 1.5; no frames are computed again"


def test_frames_stay_until_they_are_overtaken(path, monkeypatch, whole):
    kill(path, monkeypatch, 10)
    with open_run(path) as left:
        moments = left["moment"][:]
    seen = []
    append = simulation.Writer.append

    def looking(self, values):
        with open_run(path) as now:
            seen.append(now.n_frames)
            assert now.frames_ok().all()
            np.testing.assert_array_equal(now["moment"][:4], moments)
        append(self, values)

    monkeypatch.setattr(simulation.Writer, "append", looking)
    resume(path).close()
    assert seen == [4, 4, 4]  # frames 2 and 3 come again, then frame 4
    assert_same(whole, path)


def test_a_resume_that_stops_before_old_frames_keeps_them(path, monkeypatch, whole):
    kill(path, monkeypatch, 10)
    with resume(path, until=0.6) as result:
        assert result.n_frames == 4
        assert result.times[-1] == pytest.approx(0.9)
        assert result.frames_ok().all()
    resume(path).close()
    assert_same(whole, path)


def test_a_run_made_shorter_ends_where_it_shall(path, monkeypatch):
    kill(path, monkeypatch, 10)
    with resume(path, {"run.duration": 0.6}) as result:
        np.testing.assert_allclose(result.times, [0, 0.3, 0.6], rtol=0, atol=1e-12)


def test_a_damaged_frame_behind_the_checkpoint_is_healed(path, monkeypatch, whole):
    import h5py

    kill(path, monkeypatch, 10)
    with h5py.File(path, "r+") as file:
        file["moment"][3, 0, 0] += 1e-9
    resume(path).close()
    assert_same(whole, path)


def test_the_energy_of_frames_to_come_is_not_held_against_a_resumed_run(path, monkeypatch, whole):
    """They lie lower, as the energy falls."""
    kill(path, monkeypatch, 12, run__checkpoint_every=100)
    with open_run(path) as left:
        assert left.n_frames == 4
    found = []
    real = simulation.EnergyWatch

    def watching(*arguments):
        found.append(real(*arguments))
        found.append(found[-1].at)
        return found[0]

    monkeypatch.setattr(simulation, "EnergyWatch", watching)
    resume(path).close()
    assert found[1] == 0.0
    assert_same(whole, path)


# --- checkpoints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [CLASSICAL, BASE], ids=["classical", "electrons"])
def test_there_is_a_checkpoint_before_the_first_frame(path, monkeypatch, text, tmp_path):
    """A first frame may take minutes to compile and to compute."""

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(simulation.observables, "frame", killed)
        with pytest.raises(Killed):
            run(deck(text), path)
    with open_run(path) as left:
        assert left.n_frames == 0
    assert checkpoint.load_newest(path)[0].step == 0
    resume(path).close()
    run(deck(text), tmp_path / "other.h5").close()
    assert_same(tmp_path / "other.h5", path)


def test_checkpoints_come_soon_after_the_start_and_then_more_rarely(path, monkeypatch):
    """A step takes half a second by this clock; `run.checkpoint_every` is 20 s."""
    now, saved = [0.0], []
    monkeypatch.setattr(simulation.time, "monotonic", lambda: now[0])
    real, save = build.build, checkpoint.save

    def built(*arguments):
        parts = real(*arguments)
        go = parts.stepper.advance

        def advance(n, y, limit):
            now[0] += 0.5
            return go(n, y, limit)

        parts.stepper.advance = advance
        return parts

    def saving(*arguments):
        saved.append(now[0])
        return save(*arguments)

    monkeypatch.setattr(build, "build", built)
    monkeypatch.setattr(simulation.checkpoint, "save", saving)
    run(deck(CLASSICAL, run__duration=20.0, run__checkpoint_every="20 s"), path).close()
    assert saved == [0, 2, 4, 8, 16, 32, 52, 72, 92, 100]


# --- the end of a call ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stage", "adaptive", "classical", "precession"])
def test_a_wall_time_shorter_than_a_step_still_makes_progress(tmp_path, kind):
    one, cut, steps = of_kind(kind), tmp_path / "cut.h5", []
    end = 6 * one.integrator.step
    with pytest.raises(StoppedEarly, match="the wall time is over"):
        run(one, cut, until=end, walltime=1e-9)
    with open_run(cut) as stopped:  # between two frames there is none
        assert (stopped["step"][:] % one.save_interval_steps == 0).all()
    for _ in range(15):
        steps.append(checkpoint.load_newest(cut)[0].step)
        if steps[-1] == 6:
            break
        with contextlib.suppress(StoppedEarly):
            resume(cut, until=end, walltime=1e-9).close()
    assert steps[0] > 0
    assert steps[-1] == 6
    assert (np.diff(steps) > 0).all()
    run(one, tmp_path / "all.h5", until=end).close()
    assert_same(tmp_path / "all.h5", cut)


def test_a_signal_stops_before_the_first_step(path):
    """Unlike the wall time: whoever sends one does not wait for a step."""
    stop = Interrupts(1e-9)
    assert not stop.stops(moved=False)
    assert stop.stops(moved=True)
    other = Interrupts(None)
    other.signalled(signal.SIGTERM, None)
    assert other.stops(moved=False)


def stuck_at(monkeypatch, step):
    """Runs get SIGTERM in a step that would never end, and wait for a thread there, as steps of many energies do."""
    real, here = build.build, signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(interrupts, "GRACE", 0.05)

    def stuck():
        assert signal.getsignal(signal.SIGTERM) != here, "not caught: it would end the tests"
        signal.raise_signal(signal.SIGTERM)
        threading.Event().wait(30)
        raise AssertionError("not given up")

    def built(*arguments):
        if step is None:
            stuck()
        parts = real(*arguments)
        go = parts.stepper.advance

        def advance(n, y, limit):
            if n == step:
                go(n, y, limit)  # whose results and changes of the stepper are lost
                stuck()
            return go(n, y, limit)

        parts.stepper.advance = advance
        return parts

    monkeypatch.setattr(build, "build", built)


@pytest.mark.parametrize("kind", ["classical", "stage", "adaptive"])
@pytest.mark.parametrize(("slow", "reached"), [(1e9, 0.6), (0.0, 0.8)])
def test_a_step_that_takes_too_long_is_given_up_after_a_signal(path, tmp_path, monkeypatch, kind, slow, reached):
    """The checkpoint is of the step before, where steps are known to be slow, else of the last frame."""
    one = of_kind(kind, run__checkpoint_every=1000)
    with monkeypatch.context() as patch:
        stuck_at(patch, 8)
        patch.setattr(simulation, "_SLOW_STEP_SECONDS", slow)
        words = rf"stopped at t = {reached:g} of .* \(SIGTERM, in the middle of a step\); continue with"
        with pytest.raises(StoppedEarly, match=words):
            run(one, path)
    assert checkpoint.load_newest(path)[0].step == round(reached / one.integrator.step)
    resume(path).close()
    run(one, tmp_path / "whole.h5").close()
    assert_same(tmp_path / "whole.h5", path)


def test_a_start_that_takes_too_long_is_given_up_after_a_signal(path, monkeypatch):
    stuck_at(monkeypatch, None)
    with pytest.raises(StoppedEarly, match=r"stopped before the run began \(SIGTERM\): nothing is written yet"):
        run(deck(CLASSICAL), path)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"])
def test_every_signal_of_a_scheduler_stops_at_a_checkpoint(path, whole, name, monkeypatch):
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip("this system has no such signal")
    mine = signal.signal(number, lambda *_: None)  # pytest may have been told to ignore some
    try:
        handler = signal.getsignal(number)
        append = simulation.Writer.append

        def appending(self, values):
            append(self, values)
            if self.n_frames == 3:
                os.kill(os.getpid(), number)

        with monkeypatch.context() as patch:
            patch.setattr(simulation.Writer, "append", appending)
            with pytest.raises(StoppedEarly, match=rf"t = 0\.6 of 1\.2 \({name}\); continue with: llgnegf resume"):
                run(deck(CLASSICAL), path)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, mine)
    resume(path).close()
    assert_same(whole, path)


def test_what_the_process_was_told_to_ignore_stays_ignored():
    """`nohup llgnegf run ...` outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Interrupts(None)
        with stop.listening():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) == stop.signalled
            os.kill(os.getpid(), signal.SIGHUP)
        assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_ends_a_run_in_the_background_of_a_script():
    """`llgnegf run ... & kill -INT $!`: the shell has it ignore INT, which nobody sends by mistake."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stop = Interrupts(None)
        with stop.listening():
            os.kill(os.getpid(), signal.SIGINT)
        assert stop
        assert stop.reason == "SIGINT"
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_of_a_program_in_c_is_left_alone():
    """Python can neither tell nor restore it."""
    code = """
        import ctypes, signal
        from llgnegf.interrupts import Interrupts
        ctypes.CDLL(None).signal(signal.SIGUSR1, ctypes.CDLL(None).abs)
        signal.getsignal = lambda number, real=signal.getsignal: None if number == signal.SIGUSR1 else real(number)
        stop = Interrupts(None)
        with stop.listening():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)  # would end a process whose own handler is gone
        print(stop.reason)
    """
    line = [sys.executable, "-c", textwrap.dedent(code)]
    environment = {**ENVIRONMENT, "PYTHONWARNINGS": "default"}
    done = subprocess.run(line, env=environment, check=False, capture_output=True, text=True)
    assert done.stdout == "SIGTERM\n", done.stderr
    assert "SIGUSR1 is handled by another program" in done.stderr


# --- until ----------------------------------------------------------------------------------------------------------


def test_after_until_a_run_goes_on_to_its_own_end(command, path, whole):
    code, out, _ = command("run", "run.toml", "--until", "0.6")
    assert code == 0
    assert out == ("done: 3 frames in run.h5; `llgnegf resume run.h5` goes on to t = 1.2; try: llgnegf show run.h5\n")
    with open_run(path) as result:
        assert result.deck.run.duration == 1.2
        assert len(result["time"]) == 3
    assert "t = 0.6 of 1.2" in command("show", "run.h5")[1]
    assert command("resume", "run.h5", "--until", "0.8")[0] == 0
    code, out, _ = command("resume", "run.h5")
    assert (code, out) == (0, "done: 5 frames in run.h5; try: llgnegf show run.h5\n")
    assert_same(whole, path)


def test_until_behind_the_end_makes_a_run_longer(command, path, tmp_path):
    assert command("run", "run.toml", "--until", "1.8")[0] == 0
    with open_run(path) as result:
        assert result.deck.run.duration == 1.8
        assert result.times[-1] == pytest.approx(1.8)


# --- run --continue -------------------------------------------------------------------------------------------------


def test_continue_starts_goes_on_and_is_done(command, path, whole, tmp_path):
    """The loop of a batch script: 75, 75, ..., 0, and then 0 for ever."""
    codes = []
    while len(codes) < 20 and 0 not in codes:
        codes.append(command("run", "run.toml", "--continue", "--walltime", "0.000001 s")[0])
    assert codes == [75] * 11 + [0]
    assert_same(whole, path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for _ in range(2):
        code, out, err = command("run", "run.toml", "--continue")
        assert (code, err) == (0, f"run.h5: t = 1.2 {DONE}")
        assert out == "done: 5 frames in run.h5; try: llgnegf show run.h5\n"
        assert command("run", "run.toml", "--continue", "--until", "0.6")[0] == 0
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_continue_goes_by_the_deck_that_it_is_given(command, path, tmp_path):
    assert command("run", "run.toml", "--continue", "--until", "0.6")[0] == 0
    (tmp_path / "run.toml").write_text(CLASSICAL.replace("duration = 1.2", "duration = 1.8"))
    code, _, err = command("run", "run.toml", "--continue", "--set", "title=longer")
    assert code == 0
    assert err.startswith("run.h5: going on from t = 0.6 to 1.8")
    with open_run(path) as result:
        assert (result.deck.title, result.deck.run.duration) == ("longer", 1.8)
    run(deck(CLASSICAL, run__duration=1.8), tmp_path / "long.h5").close()
    assert_same(tmp_path / "long.h5", path)


def test_continue_refuses_the_run_of_another_deck(command, path):
    assert command("run", "run.toml", "--until", "0.6")[0] == 0
    before = datasets(path)
    code, out, err = command("run", "run.toml", "--continue", "--set", "magnet.damping=0.5", "--set", "run.seed=8")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2
    assert "magnet.damping = 0.5: run.h5 was run with 0.05: continue it with `llgnegf resume run.h5`" in err
    assert "run.seed = 8" in err
    assert datasets(path) == before


def test_continue_begins_anew_where_nothing_was_begun(command, path, monkeypatch, whole):
    """Killed between the run file and its first checkpoint: there is nothing to lose."""

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed)
        with pytest.raises(Killed):
            command("run", "run.toml", "--continue")
    with open_run(path) as left:
        assert left.n_frames == 0
    assert command("run", "run.toml", "--continue")[0] == 0
    assert_same(whole, path)


def test_continue_never_replaces_what_it_cannot_go_on_with(command, path):
    assert command("run", "run.toml")[0] == 0
    for old in checkpoint.checkpoint_paths(path):
        old.unlink(missing_ok=True)
    before = path.read_bytes()
    code, _, err = command("run", "run.toml", "--continue")
    assert code == 74
    assert "there is no checkpoint beside it" in err
    assert path.read_bytes() == before
    path.write_bytes(b"the letters of a friend")
    assert command("run", "run.toml", "--continue")[0] == 74
    assert path.read_bytes() == b"the letters of a friend"


def test_continue_and_overwrite_exclude_each_other(command, path):
    with pytest.raises(SystemExit) as caught:
        command("run", "run.toml", "--continue", "--overwrite")
    assert caught.value.code == 2
    with pytest.raises(DeckError, match="exclude each other"):
        run(deck(CLASSICAL), path, go_on=True, overwrite=True)


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [False, True], ids=["to nothing yet", "to a run"])
def test_a_run_file_reached_by_a_link(tmp_path, whole, there):
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / "real.h5", tmp_path / "link.h5"
    if there:
        run(deck(CLASSICAL), real, until=0.3).close()
    link.symlink_to(real)
    run(deck(CLASSICAL), link, until=0.6, overwrite=there).close()
    assert link.is_symlink()
    assert sorted(file.name for file in real.parent.iterdir()) == [
        "real.h5", "real.h5.ckpt", "real.h5.ckpt.1"
    ] + ["real.h5.ckpt.2"] * Path(f"{real}.ckpt.2").exists()  # fmt: skip
    assert sorted(file.name for file in tmp_path.glob("link*")) == ["link.h5"]
    lock = Lock(real)
    with pytest.raises(FileError, match="another process is writing this run"):
        resume(link)
    lock.release()
    resume(link, until=0.9).close()
    run(deck(CLASSICAL), link, go_on=True).close()
    assert link.is_symlink()
    assert_same(whole, real)
    assert sorted(file.name for file in tmp_path.glob("link*")) == ["link.h5"]


def test_a_run_that_was_moved_and_left_a_link_finds_its_checkpoints(tmp_path, whole):
    (tmp_path / "far").mkdir()
    path = tmp_path / "run.h5"
    run(deck(CLASSICAL), path, until=0.6).close()
    shutil.move(path, tmp_path / "far" / "run.h5")
    path.symlink_to(tmp_path / "far" / "run.h5")
    resume(path, until=0.9).close()
    assert (tmp_path / "far" / "run.h5.ckpt").exists()
    resume(path).close()
    assert_same(whole, tmp_path / "far" / "run.h5")


def test_the_name_that_was_given_is_the_one_in_messages(tmp_path):
    (tmp_path / "far").mkdir()
    link = tmp_path / "link.h5"
    link.symlink_to(tmp_path / "far" / "real.h5")
    with pytest.raises(StoppedEarly, match=rf"continue with: llgnegf resume {re.escape(str(link))}$"):
        run(deck(CLASSICAL), link, walltime=1e-9)
