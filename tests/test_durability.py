"""Whatever moment a run is cut short at: its file opens, its frames are right, and it goes on to the same end."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from llgnegf import open_run, resume, run, simulation
from llgnegf.errors import RunWarning
from llgnegf.runfile import checkpoint
from llgnegf.runfile import writer as files
from llgnegf.runfile.writer import Writer
from tests.runfile.test_runfile import FIELDS, frame, holds_first
from tests.test_cli import ENVIRONMENT, ROOT, shell
from tests.test_simulation import BASE, CLASSICAL, assert_same, datasets, deck


class Recorded(io.RawIOBase):
    """A file opened for reading and writing whose every change calls `event`: what a killed process leaves behind."""

    def __init__(self, path, event):
        self.descriptor, self.event, self.place = os.open(path, os.O_RDWR), event, 0

    def seek(self, offset, whence=0):
        assert whence in (0, 2)
        self.place = offset if whence == 0 else os.fstat(self.descriptor).st_size + offset
        return self.place

    def tell(self):
        return self.place

    def readinto(self, buffer):
        data = os.pread(self.descriptor, len(buffer), self.place)
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)

    def write(self, data):
        self.event()
        written = os.pwrite(self.descriptor, data, self.place)
        assert written == len(data)
        self.place += written
        return written

    def truncate(self, size=None):
        size = self.place if size is None else size
        if size != os.fstat(self.descriptor).st_size:
            self.event()
        os.ftruncate(self.descriptor, size)
        return size

    def flush(self):
        pass

    def __del__(self):
        os.close(self.descriptor)


def record(monkeypatch, event):
    """From now on HDF5 writes run files through `Recorded`; files in the making are not yet anybody's run."""
    real = h5py.File

    def file(path, mode="r", **options):
        if mode != "r+" or str(path).endswith(".new"):
            return real(path, mode, **options)
        options.pop("locking")
        return real(Recorded(path, event), mode, **options)

    monkeypatch.setattr(files.h5py, "File", file)
    monkeypatch.setattr(Writer, "sync", Writer.flush)  # it asks HDF5 for a descriptor, which there is none of


def test_every_prefix_of_the_writes_is_a_sound_file(tmp_path, monkeypatch):
    """Appends, and appends again, first the same and then others; the file is looked at before each single write."""
    from llgnegf.deck import load_deck

    path, copy, seen, other = tmp_path / "run.h5", tmp_path / "copy.h5", [], 3
    one = load_deck("wall_in_wire")
    Writer.create(path, one, 8, one.lattice.shape, FIELDS).close()

    def look():
        shutil.copyfile(path, copy)
        with h5py.File(copy) as file:
            times = file["time"][()]
        n = int(np.sum(~np.isnan(times)))
        assert not np.isnan(times[:n]).any()  # no gap
        with open_run(copy) as run:
            assert all(run.frame_ok(i) for i in range(n))
            first_other = other if run.n_frames > other and run["moment"][other][0, 0] == 0 else n
        holds_first(copy, first_other)
        seen.append(n)

    def another(i):
        return {**frame(i), "moment": np.zeros((7, 3))}

    with monkeypatch.context() as patch:
        real = files.h5py.File
        record(patch, lambda: look_with(real, look))
        with Writer.reopen(path, 0) as writer:
            for i in range(4):
                writer.append(frame(i))
        with Writer.reopen(path, 1) as writer:
            for i in range(1, 6):
                writer.append(frame(i))
        with Writer.reopen(path, 1) as writer:
            for i in range(1, other):
                writer.append(frame(i))
            unchanged = len(seen)
            for i in range(other, 5):
                writer.append(another(i))
            with pytest.warns(RunWarning, match=r"3 differ .*\(frames 3, 4, 5\)"):
                writer.append(another(5))
            for i in range(6, 8):
                writer.append(another(i))
    look()
    assert set(seen) == set(range(9))
    # A frame becomes visible with its last write alone: growing; then 1, 2 came again and changed nothing, and from 3
    # on all were given up, the last one first, before other ones took their place.
    kept = [n for n in seen if n]
    assert seen[: len(seen) - len(kept)] == [0] * (len(FIELDS) + 3)
    assert all(seen.count(n) >= len(FIELDS) + 2 for n in range(6))
    assert seen[unchanged : unchanged + 4] == [6, 5, 4, 3]
    assert min(seen[unchanged:]) == 3


def look_with(real, look):
    """Looks through HDF5's own driver, in the middle of a write of another."""
    recording, files.h5py.File = files.h5py.File, real
    try:
        look()
    finally:
        files.h5py.File = recording


@pytest.mark.parametrize("kind", ["classical", "electrons"])
def test_a_run_cut_short_before_any_write_goes_on_to_the_same_end(tmp_path, monkeypatch, kind):
    """The folder as it stands before each write of the run file, and each write and rename of a checkpoint."""
    one = deck(CLASSICAL, run__duration=0.9) if kind == "classical" else deck(electrons__order=0, run__duration=0.6)
    whole, path, taken = tmp_path / "whole.h5", tmp_path / "run.h5", []
    run(one, whole).close()
    frames = {}
    with open_run(whole) as result:
        for name in result.names:
            frames[name] = np.asarray(result[name])

    def snapshot():
        folder = tmp_path / f"cut{len(taken)}"
        folder.mkdir()
        for file in tmp_path.glob("run.h5*"):
            shutil.copyfile(file, folder / file.name)
        taken.append(folder)

    with monkeypatch.context() as patch:
        record(patch, snapshot)
        replace = os.replace

        def renamed(source, target):
            snapshot()
            replace(source, target)

        patch.setattr(checkpoint.os, "replace", renamed)
        run(one, path).close()
    assert_same(whole, path)
    assert len(taken) > 50
    # Frames of electrons are many writes of one kind: every third of them is gone on from.
    every, resumed = {"classical": 1, "electrons": 3}[kind], 0
    for number, folder in enumerate(taken):
        cut = folder / "run.h5"
        if not cut.exists():
            continue  # killed while the file was made: there is no run yet
        with open_run(cut) as left:
            assert all(left.frame_ok(i) for i in range(left.n_frames))
            for name, values in frames.items():
                np.testing.assert_array_equal(np.asarray(left[name]), values[: left.n_frames])
        if not checkpoint.checkpoint_paths(cut)[0].exists() and not checkpoint.checkpoint_paths(cut)[1].exists():
            continue  # killed before the first checkpoint: run it again
        resumed += 1
        if number % every == 0:
            resume(cut).close()
            assert_same(whole, cut)
    assert resumed > 0.6 * len(taken)


# --- killed, for real -----------------------------------------------------------------------------------------------

MANY_STEPS = """
[lattice]
shape = [12, 12]
[texture]
kind = "random"
[magnet]
exchange = 1.0
dmi = 0.3
anisotropy = 0.2
field = [0.1, 0.0, 0.2]
damping = 0.05
[integrator]
step = 0.05
[run]
duration = 15000.0
save_every = 10.0
checkpoint_every = 700
seed = 8
"""


@pytest.mark.slow
def test_thirty_kills_and_still_the_same(tmp_path):
    """kill -9 at random moments: while it starts, opens, computes and writes.  The frames left are always right."""
    (tmp_path / "mine.toml").write_text(MANY_STEPS)
    with shell("run", "mine.toml", "-o", "whole.h5", cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        process.communicate(timeout=200)
    assert process.returncode == 0
    with open_run(tmp_path / "whole.h5") as result:
        moments = np.asarray(result["moment"])
    rng, kills, most, lost = np.random.default_rng(12), 0, 0, 0
    words, cut = ("run", "mine.toml", "-o", "cut.h5"), tmp_path / "cut.h5"
    while kills < 30:
        process = shell(*words, cwd=tmp_path)
        if kills % 3:
            while process.poll() is None and not process.stderr.readline().startswith("t = "):
                pass
            time.sleep(rng.uniform(0, 0.12))
        else:
            time.sleep(rng.uniform(0.3, 1.3))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before the kills did"
        kills += 1
        if not cut.exists():
            continue
        with open_run(cut) as left:
            assert all(left.frame_ok(i) for i in range(left.n_frames))
            np.testing.assert_array_equal(np.asarray(left["moment"]), moments[: left.n_frames])
            lost += left.n_frames < most
            most = max(most, left.n_frames)
        if any(old.exists() for old in checkpoint.checkpoint_paths(cut)):
            header = checkpoint.load_newest(cut)[1]
            assert header["notes"] == []
            assert header["frames_written"] <= most
            words = ("resume", "cut.h5")
        else:
            words = ("run", "mine.toml", "-o", "cut.h5", "--overwrite")
    assert most > 20, "no progress between kills"
    assert not lost, "frames stay until the same come again"
    with shell("resume", "cut.h5", cwd=tmp_path) as process:
        _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "note:" not in err, "frames computed again must be the same"
    assert_same(tmp_path / "whole.h5", cut)


@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.6])
def test_a_signal_before_the_run_begins_leaves_nothing_behind(tmp_path, seconds):
    """SIGTERM while Python imports ends the process in the system's own way; then no file may be there."""
    (tmp_path / "mine.toml").write_text(CLASSICAL + "\n")
    process = shell("run", "mine.toml", "--set", "run.duration=9000", cwd=tmp_path)
    time.sleep(seconds)
    process.terminate()
    _, err = process.communicate(timeout=60)
    left = sorted(file.name for file in tmp_path.iterdir())
    if process.returncode == -signal.SIGTERM:
        assert left == ["mine.toml"]
    else:
        assert process.returncode == 75, err
        assert "llgnegf resume mine.h5" in err
        assert "mine.h5.ckpt" in left


# --- disks ----------------------------------------------------------------------------------------------------------

CONFINED = """
set -e
mount -t tmpfs -o size={size} tmpfs {folder}
cd {folder}
exec {python} -c {code}
"""


def confined(folder, code, size="2m"):
    """What `code` prints as JSON when it runs on a small disk of its own, mounted on `folder` for it alone."""
    script = CONFINED.format(size=size, folder=folder, python=sys.executable, code='"$CODE"')
    environment = {**ENVIRONMENT, "CODE": textwrap.dedent(code)}
    line = ["unshare", "--map-root-user", "--mount", "bash", "-c", script]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*line[:3], "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no mounts of one's own here")
    done = subprocess.run(line, env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
    if "mount:" in done.stderr:
        pytest.skip(f"no tmpfs here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SETUP = """
import contextlib, io, json, os, subprocess, sys
from pathlib import Path
from llgnegf.cli import main
from tests import test_simulation as s
def command(*words):
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = main(list(words))
    return [code, err.getvalue()]
Path("d.toml").write_text(s.CLASSICAL)
"""


def test_a_disk_too_small_for_the_run_is_refused_at_the_start(tmp_path):
    told, files = confined(
        tmp_path,
        SETUP + 'r = command("run", "d.toml", "--set", "run.duration=3000")\nprint(json.dumps([r, os.listdir(".")]))',
    )
    assert told[0] == 74
    assert "MB are free there: free some space" in told[1]
    assert files == ["d.toml"]


def test_a_disk_that_fills_up_loses_nothing(tmp_path):
    """Something else takes the last byte between two frames; space is given back, and the run goes on."""
    code = (
        SETUP
        + """
from llgnegf import simulation
assert command("run", "d.toml", "-o", "whole.h5")[0] == 0
append = simulation.Writer.append
def fills(self, frame):
    append(self, frame)
    if self.n_frames == 3 and not Path("hog").exists():
        with contextlib.suppress(OSError), open("hog", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
simulation.Writer.append = fills
cut = command("run", "d.toml", "-o", "cut.h5")
simulation.Writer.append = append
left = sorted(os.listdir("."))
again = command("resume", "cut.h5")
shown = command("show", "cut.h5")
os.remove("hog")
end = command("resume", "cut.h5")
s.assert_same("whole.h5", "cut.h5")
print(json.dumps([cut, left, again, shown, end]))
"""
    )
    cut, left, again, shown, end = confined(tmp_path, code, size="4m")
    for code, err in (cut, again):
        assert code == 74
        assert "the disk is full: free some space" in err.splitlines()[-1]
    assert not [name for name in left if name.endswith((".tmp", ".new", ".lock"))]
    assert shown[0] == 0
    assert end[0] == 0


def test_a_disk_that_becomes_read_only(tmp_path):
    code = (
        SETUP
        + """
assert command("run", "d.toml", "-o", "a.h5", "--until", "0.6")[0] == 0
subprocess.run(["mount", "-o", "remount,ro", os.getcwd()], check=True)
print(json.dumps([
    command("run", "d.toml", "-o", "b.h5"), command("resume", "a.h5", "--until", "1.2"),
    command("show", "a.h5"), sorted(os.listdir(".")),
]))
"""
    )
    started, resumed, shown, files = confined(tmp_path, code)
    for code, err in (started, resumed):
        assert code == 74
        assert "the file system is read-only: choose another folder with -o" in err
    assert shown[0] == 0
    assert "b.h5" not in files


@pytest.mark.parametrize("text", [CLASSICAL, BASE], ids=["classical", "electrons"])
def test_a_limit_on_files_met_in_a_checkpoint_loses_nothing(tmp_path, text):
    """RLIMIT_FSIZE smaller than a checkpoint: the run stops with 74, its file and the checkpoint before are sound."""
    (tmp_path / "d.toml").write_text(text)
    code = """
        import resource, signal, sys
        from llgnegf import simulation
        from llgnegf.cli import main
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        append = simulation.Writer.append
        def limited(self, frame):
            append(self, frame)
            if self.n_frames == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        simulation.Writer.append = limited
        sys.exit(main(["run", "d.toml", "-o", "cut.h5"]))
    """
    line = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(line, cwd=tmp_path, env=ENVIRONMENT, check=False, capture_output=True, text=True)
    assert done.returncode == 74, done.stderr
    assert "the file grew beyond the limit" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.tmp"))
    run(deck(text), tmp_path / "whole.h5").close()
    resume(tmp_path / "cut.h5").close()
    assert_same(tmp_path / "whole.h5", tmp_path / "cut.h5")


def test_the_lock_of_a_running_run_holds_for_resume_overwrite_and_threads(tmp_path, monkeypatch):
    """A second writer comes while the first is at its third frame, from within the same process."""
    append, refused = simulation.Writer.append, []

    def second(self, values):
        append(self, values)
        if self.n_frames == 3 and not refused:
            for attempt in (lambda: resume(self.path), lambda: run(deck(CLASSICAL), self.path, overwrite=True)):
                with pytest.raises(simulation.FileError, match="another process is writing this run") as caught:
                    attempt()
                refused.append(caught.value.exit_code)

    monkeypatch.setattr(simulation.Writer, "append", second)
    run(deck(CLASSICAL), tmp_path / "a.h5").close()
    monkeypatch.undo()
    run(deck(CLASSICAL), tmp_path / "b.h5").close()
    assert refused == [74, 74]
    assert_same(tmp_path / "a.h5", tmp_path / "b.h5")
    assert not Path(tmp_path / "a.h5.lock").exists()
    assert datasets(tmp_path / "a.h5")
