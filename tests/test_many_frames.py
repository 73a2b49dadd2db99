"""Runs of very many small frames: bytes, memory, reads and lines stay bounded."""

import importlib.util
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from llgnegf import interrupts, load_deck, observables, open_run, resume, run
from llgnegf.cli import main
from llgnegf.errors import FileError, RunWarning, StoppedEarly
from llgnegf.plots import plot
from llgnegf.plots.curves import extremes
from llgnegf.runfile import checkpoint, frames
from llgnegf.runfile import writer as files
from llgnegf.runfile.writer import Writer
from llgnegf.summary import summary
from tests.runfile.test_runfile import FIELDS, frame, holds, write
from tests.test_cli import ENVIRONMENT
from tests.test_simulation import CLASSICAL, assert_same, deck, of_kind

ROOT = Path(__file__).parents[1]
_SPEC = importlib.util.spec_from_file_location("many_frames", ROOT / "benchmarks" / "many_frames.py")
many_frames = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(many_frames)

MANY = 50_000


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A run file of many frames of one moment, with the checkpoint of its end."""
    path = tmp_path_factory.mktemp("many") / "run.h5"
    many_frames.fill(path, many_frames.deck_of(MANY))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def chunks(file):
    return sum(data.id.get_num_chunks() for data in file.values() if data.chunks)


# --- the file -------------------------------------------------------------------------------------------------------


def test_a_file_is_not_laid_out_for_a_length_that_is_not_reached(path):
    with pytest.warns(RunWarning, match="will take .* GB"):
        writer = many_frames.create(path, many_frames.deck_of(10**7))
    with writer:
        assert writer.capacity == 10**7
    assert path.stat().st_size < 40e6  # of 1.08 GB
    with h5py.File(path) as file:
        assert chunks(file) < 2000
        assert len(file["time"]) < 400_000


def test_many_small_frames_take_little_more_than_their_numbers(filled):
    with h5py.File(filled) as file:
        numbers = sum(data.nbytes for data in file.values())
        assert chunks(file) < 300
    assert filled.stat().st_size < 1.05 * numbers
    with open_run(filled) as result:
        assert result.n_frames == MANY
        assert result.frames_ok().all()
        assert [result.frame_ok(i) for i in (0, 1, MANY // 2, -1)] == [True] * 4


def test_few_frames_take_little_room(path, tmp_path):
    """A chunk for many frames must not make a short run large."""
    run(deck(CLASSICAL), path).close()
    assert path.stat().st_size < 100_000


@pytest.fixture
def growing(monkeypatch):
    """Files are laid out for four frames of `FIELDS` at once."""
    bytes_frame = (
        16 + 4 * len(FIELDS) + sum(np.asarray(value).nbytes for name, value in frame(0).items() if name != "time")
    )
    monkeypatch.setattr(files, "_AT_ONCE", 4 * bytes_frame)


@pytest.fixture
def wall():
    return load_deck("wall_in_wire")


@pytest.mark.usefixtures("growing")
def test_a_file_grows_as_frames_come(path, wall):
    rooms = []
    with write(path, wall, 0, room=25) as writer:
        assert writer.capacity == 25
        for i in range(25):
            with h5py.File(path, locking=False) as file:
                rooms.append(len(file["time"]))
            writer.append(frame(i))
            shutil.copy(path, f"{path}.copy")  # without a flush
            holds(f"{path}.copy", i + 1)
        with pytest.raises(ValueError, match="room for 25 frames"):
            writer.append(frame(25))
    assert sorted(set(rooms)) == [4, 8, 16, 25]
    holds(path, 25)
    assert sorted(os.listdir(path.parent)) == ["run.h5", "run.h5.copy"]
    with Writer.reopen(path, 25, 60) as writer:
        for i in range(25, 60):
            writer.append(frame(i))
    holds(path, 60)


@pytest.mark.usefixtures("growing")
def test_growing_cut_short_leaves_the_file_as_it_was(path, wall, monkeypatch):
    writer = write(path, wall, 4, room=25)
    with monkeypatch.context() as patch:
        patch.setattr(files, "take_name", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            writer.append(frame(4))
    holds(path, 4)
    with monkeypatch.context() as patch:
        patch.setattr(files.shutil, "disk_usage", lambda _: type("usage", (), {"free": 1000}))
        with pytest.raises(FileError, match="free some space"):
            writer.append(frame(4))
    holds(path, 4)
    writer.append(frame(4))
    writer.close()
    holds(path, 5)
    Path(f"{path}.new").write_bytes(b"half a copy, of a process that was killed")
    with Writer.reopen(path, 5, 25) as writer:
        assert not Path(f"{path}.new").exists()
        for i in range(5, 9):
            writer.append(frame(i))
    holds(path, 9)
    assert os.listdir(path.parent) == ["run.h5"]


@pytest.mark.parametrize("spot", ["copyfile", "seal", "take_name"])
@pytest.mark.parametrize("often", [1, 2])
def test_a_signal_while_a_file_grows(tmp_path, monkeypatch, spot, often):
    """One waits until the file has grown, however long that takes; a second Ctrl-C leaves the file as it was."""
    changes = {"run__save_every": 0.1, "run__checkpoint_every": 1000}
    path, calls = tmp_path / "run.h5", []
    monkeypatch.setattr(files, "_AT_ONCE", 1000)
    run(deck(CLASSICAL, **changes), tmp_path / "whole.h5").close()
    where = files.shutil if spot == "copyfile" else files
    real = getattr(where, spot)

    def signalled(*arguments):
        calls.append(spot)
        if len(calls) == 2:
            for _ in range(often):
                signal.raise_signal(signal.SIGINT)
            time.sleep(0.15)  # longer than a step would be given
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(where, spot, signalled)
        patch.setattr(interrupts, "GRACE", 0.05)
        error, told = (StoppedEarly, r"\(SIGINT\); continue") if often == 1 else (KeyboardInterrupt, None)
        with pytest.raises(error, match=told):
            run(deck(CLASSICAL, **changes), path)
    with open_run(path) as result:
        assert result.frames_ok().all()
        kept = result.n_frames
    assert checkpoint.load_newest(path)[0].step == (kept - 1 if often == 1 else 0)
    assert not {"run.h5.new", "run.h5.lock"} & set(os.listdir(tmp_path))
    resume(path).close()
    assert_same(tmp_path / "whole.h5", path)


@pytest.mark.usefixtures("growing")
def test_a_disk_without_room_for_a_copy_takes_the_whole_run_at_once(path, wall, monkeypatch):
    whole = 25 * files._AT_ONCE // 4
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: type("usage", (), {"free": (1 << 20) + whole + 10}))
    with write(path, wall, 25, room=25), h5py.File(path, locking=False) as file:
        assert len(file["time"]) == 25
    with pytest.raises(FileError, match="free some space"):
        write(path, wall, 0, room=26, overwrite=True)
    holds(path, 25)


def test_grown_files_are_those_of_runs_laid_out_at_once(tmp_path, monkeypatch):
    """Interrupted and resumed while they grow, too."""
    changes = {"run__save_every": 0.1, "run__duration": 4.0}
    run(deck(CLASSICAL, **changes), tmp_path / "whole.h5").close()
    monkeypatch.setattr(files, "_AT_ONCE", 1000)
    run(deck(CLASSICAL, **changes), tmp_path / "grown.h5").close()
    run(deck(CLASSICAL, **changes), tmp_path / "cut.h5", until=1.7).close()
    resume(tmp_path / "cut.h5", until=2.9).close()
    resume(tmp_path / "cut.h5").close()
    for name in ("grown.h5", "cut.h5"):
        assert_same(tmp_path / "whole.h5", tmp_path / name)


def test_damage_is_found_among_many_frames(filled, tmp_path):
    path = tmp_path / "copy.h5"
    shutil.copy(filled, path)
    damaged = [0, 7, 20_000, MANY - 1]
    with h5py.File(path, "r+") as file:
        for i in damaged:
            file["moment"][i, 0, 1] += 1e-9
    with open_run(path) as result:
        assert np.flatnonzero(~result.frames_ok()).tolist() == damaged
        assert np.flatnonzero(~result.frames_ok(5, 20_001)).tolist() == [2, 20_000 - 5]
        assert len(result.frames_ok(MANY)) == 0
        assert "frames [0, 7, 20000, 49999]" in summary(result)


# --- reading --------------------------------------------------------------------------------------------------------


class Reads:
    """Counts what is read from HDF5 datasets."""

    def __init__(self, monkeypatch):
        self.count = 0
        real = h5py.Dataset.__getitem__

        def counted(dataset, *arguments, **options):
            self.count += 1
            return real(dataset, *arguments, **options)

        monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)


def peak_of(action):
    """MB of Python and NumPy that an action takes at most."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_show_reads_columns_not_frames(filled, monkeypatch):
    with open_run(filled) as result:
        reads = Reads(monkeypatch)
        text = summary(result)
        assert reads.count < 200
        assert f"{MANY} frames" in text
        assert "DAMAGED" not in text
        assert peak_of(lambda: summary(result)) < 60


def test_all_frames_are_checked_in_one_pass(filled, monkeypatch):
    """The checksums of all variables stand side by side: they are not read once for each."""
    read = []
    real = h5py.Dataset.__getitem__

    def counted(dataset, *arguments, **options):
        values = real(dataset, *arguments, **options)
        read.append(np.asarray(values).nbytes)
        return values

    with h5py.File(filled) as file:
        numbers = sum(data.nbytes for data in file.values())
    monkeypatch.setattr(frames, "_CRC_ROWS", 10_000)  # that are held in memory
    with open_run(filled) as result:
        monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
        assert result.frames_ok().all()
    assert sum(read) < 1.02 * numbers


def test_plot_takes_little_memory(filled, tmp_path):
    with open_run(filled) as result:
        plot(result, tmp_path / "first.png")
        assert peak_of(lambda: plot(result, tmp_path / "second.png")) < 60
    assert (tmp_path / "second.png").stat().st_size > 10_000


def test_thinned_curves_keep_their_extremes_and_gaps():
    rng = np.random.default_rng(3)
    values = rng.normal(size=100_000)
    values[1234], values[77_777], values[50_000:50_040] = 9.0, -9.0, np.nan
    chosen = extremes(values, 5000)
    assert len(chosen) < 11_000
    assert (np.diff(chosen) > 0).all()
    assert {0, 1234, 77_777, 99_999} <= set(chosen.tolist())
    assert np.isnan(values[chosen]).any()
    steps = np.linspace(0, len(values), 101).astype(int)
    for a, b in itertools.pairwise(steps):
        part = values[chosen[(chosen >= a) & (chosen < b)]]
        assert np.nanmax(part) == np.nanmax(values[a:b])
        assert np.nanmin(part) == np.nanmin(values[a:b])


def test_a_resume_reads_columns_not_frames(filled, tmp_path, monkeypatch):
    path = tmp_path / "copy.h5"
    for file in filled.parent.iterdir():
        shutil.copy(file, tmp_path / file.name.replace("run", "copy"))
    reads = Reads(monkeypatch)
    end = (MANY + 9) * many_frames.STEP
    result = resume(path, until=end)
    assert reads.count < 200
    with result:
        assert result.n_frames == MANY + 10
        assert result.frames_ok(MANY - 10).all()


@pytest.mark.slow
def test_a_million_frames(tmp_path):
    """Peak memory of processes, HDF5's own included."""
    path = tmp_path / "run.h5"
    many_frames.fill(path, many_frames.deck_of(10**6))
    with h5py.File(path) as file:
        assert path.stat().st_size < 1.05 * sum(data.nbytes for data in file.values())
    later = (10**6 + 100) * many_frames.STEP
    for words in (("show", path), ("resume", path, "--until", later), ("plot", path)):
        assert many_frames.measured(*words)[2] < 500, words


# --- logs -----------------------------------------------------------------------------------------------------------


def lines_of(words, tmp_path):
    line = [sys.executable, "-m", "llgnegf", *words]
    done = subprocess.run(line, cwd=tmp_path, env=ENVIRONMENT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    compiling = "llgnegf: compiling"  # told the first time only
    return done.stdout.splitlines(), [line for line in done.stderr.splitlines() if not line.startswith(compiling)]


@pytest.mark.slow
def test_a_log_has_a_few_hundred_lines_however_many_frames(tmp_path):
    (tmp_path / "d.toml").write_text(CLASSICAL)
    words = ("run", "d.toml", "-o", "a.h5", "--set", "run.save_every=0.1", "--until")
    out, err = lines_of((*words, "300"), tmp_path)
    assert len(out) == 1
    assert 150 < len(err) < 210
    assert all(line.startswith("t = ") for line in err)
    steps = [int(re.search(r"step (\d+)/3000 ", line)[1]) for line in err]
    assert steps[0] == 1
    assert steps[-1] == 3000
    assert np.diff(steps).max() <= 30
    out, err = lines_of(("resume", "a.h5", "--until", "600"), tmp_path)
    assert 150 < len(err) < 210


def test_quiet_prints_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("d.toml").write_text(CLASSICAL)
    assert main(["run", "d.toml", "--quiet", "--until", "0.6"]) == 0
    assert main(["resume", "d.h5", "-q"]) == 0
    assert main(["run", "d.toml", "--continue", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["run", "d.toml", "--quiet"]) == 2  # what went wrong is told all the same
    assert "resume d.h5" in capsys.readouterr().err


# --- the last state -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["classical", "electrons", "adaptive", "precession"])
def test_the_last_state_has_a_frame_wherever_it_ends(tmp_path, monkeypatch, text):
    kind = {"electrons": "stage"}.get(text, text)
    changes = {"run__save_every": 0.3, "run__duration": 1.1}
    whole, ended = tmp_path / "whole.h5", tmp_path / "ended.h5"
    with run(of_kind(kind, **changes), ended) as result:
        np.testing.assert_allclose(result.times, [0, 0.3, 0.6, 0.9, 1.1], rtol=0, atol=1e-12)
        assert result["step"][-1] == 11
        last = result["moment"][-1]
    with run(of_kind(kind, run__save_every=0.1, run__duration=1.1), tmp_path / "each.h5") as each:
        np.testing.assert_array_equal(each["moment"][-1], last)
    # Where it goes on, it becomes the run that was never to end there.
    run(of_kind(kind, **{**changes, "run__duration": 2.3}), whole).close()
    resume(ended, until=1.7).close()
    with open_run(ended) as result:
        np.testing.assert_allclose(result.times, [0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.7], rtol=0, atol=1e-12)
    resume(ended, until=2.3).close()
    assert_same(whole, ended)
    before = ended.read_bytes()
    with monkeypatch.context() as patch:  # the last state's frame is there, and is not evaluated once more
        patch.setattr(observables, "frame", lambda *_: pytest.fail("a frame is evaluated again"))
        resume(ended).close()
    assert ended.read_bytes() == before


def test_a_last_state_without_its_frame_gets_it(path):
    """Stopped there by a signal, then the run's end is moved there."""
    run(deck(CLASSICAL), path, until=0.9).close()
    with resume(path, {"run.save_every": 0.4}, until=1.1) as result:
        np.testing.assert_allclose(result.times, [0, 0.3, 0.6, 0.9, 1.1], rtol=0, atol=1e-12)
    with h5py.File(path, "r+") as file:
        file["time"][4] = np.nan  # as a version left it that saved multiples of save_every alone
    with resume(path, until=1.1) as result:
        np.testing.assert_allclose(result.times, [0, 0.3, 0.6, 0.9, 1.1], rtol=0, atol=1e-12)
        assert result.frames_ok().all()
