"""A run file keeps its name, its permissions and its checkpoints; what others put beside it is left alone."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from llgnegf import open_run, resume, run, simulation
from llgnegf.errors import DeckError, FileError, RunWarning
from llgnegf.plots import plot
from llgnegf.runfile import checkpoint, layout
from llgnegf.runfile import writer as files
from llgnegf.runfile.lock import Lock
from tests.test_simulation import CLASSICAL, assert_same, deck

posix = pytest.mark.skipif(os.name == "nt", reason="names and permissions of POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# --- the name of a run file while it is written ---------------------------------------------------------------------


def meanwhile(monkeypatch, action, frames=3):
    """`action` happens to a run once it has written so many frames."""
    append = simulation.Writer.append

    def appending(self, values):
        append(self, values)
        if self.n_frames == frames:
            action()

    monkeypatch.setattr(simulation.Writer, "append", appending)


@posix
@pytest.mark.parametrize("what", ["removed", "renamed", "replaced"])
def test_a_run_whose_file_loses_its_name_ends(path, monkeypatch, what):
    """At its next checkpoint, which is not written then; a renamed file can be given its name back."""
    moved, other = path.with_name("moved.h5"), path.with_name("other.h5")
    run(deck(CLASSICAL, run__duration=0.3), other).close()
    theirs = other.read_bytes()
    action = {
        "removed": path.unlink,
        "renamed": lambda: path.rename(moved),
        "replaced": lambda: (path.rename(moved), other.rename(path)),
    }[what]
    with monkeypatch.context() as patch:
        meanwhile(patch, action)
        words = "was replaced by another file" if what == "replaced" else "was removed or renamed"
        with pytest.raises(FileError, match=rf"run\.h5: {words} while the run wrote it"):
            run(deck(CLASSICAL, run__checkpoint_every=5), path)
    assert f"{path.name}.lock" not in names(path.parent)
    assert FileError.exit_code == 74
    assert checkpoint.load_newest(path)[0].step < 7
    if what == "replaced":
        assert path.read_bytes() == theirs
    if what != "removed":
        moved.rename(path)
        resume(path).close()
        run(deck(CLASSICAL), path.with_name("whole.h5")).close()
        assert_same(path.with_name("whole.h5"), path)


def test_a_run_whose_file_is_overwritten_ends(path, monkeypatch):
    """As `cp OTHER.h5 RUN.h5` does, which keeps the file and changes what is in it."""
    other = path.with_name("other.h5")
    run(deck(CLASSICAL, run__duration=0.3), other).close()
    meanwhile(monkeypatch, lambda: path.write_bytes(other.read_bytes()))
    with pytest.raises(FileError, match=r"run\.h5: was overwritten by another program while the run wrote it"):
        run(deck(CLASSICAL, run__checkpoint_every=5), path)
    assert checkpoint.load_newest(path)[0].step < 7


@posix
def test_a_growing_file_replaces_no_other_one(path, monkeypatch):
    monkeypatch.setattr(files, "_AT_ONCE", 1000)
    mine = b"of somebody else"
    meanwhile(monkeypatch, lambda: (path.unlink(), path.write_bytes(mine)), frames=1)
    with pytest.raises(FileError, match="was replaced by another file"):
        run(deck(CLASSICAL, run__save_every=0.1, run__checkpoint_every=1000), path)
    assert path.read_bytes() == mine
    assert not path.with_name("run.h5.new").exists()


@posix
def test_a_file_of_several_names_has_no_second_writer(path):
    run(deck(CLASSICAL), path, until=0.6).close()
    other = path.with_name("other.h5")
    os.link(path, other)
    shutil.copy(f"{path}.ckpt", f"{other}.ckpt")
    before = path.read_bytes()
    for name in (path, other):
        with pytest.raises(FileError, match=rf"{name.name}: the file has 2 names \(hard links\).*cp -p"):
            resume(name)
    assert path.read_bytes() == before
    other.unlink()
    resume(path).close()


# --- what is there before -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["create", "seal"])
def test_a_failed_overwrite_keeps_what_was_there(path, monkeypatch, where):
    """The old run could still be continued."""
    run(deck(CLASSICAL), path, until=0.6).close()
    before = {name: (path.parent / name).read_bytes() for name in names(path.parent)}
    with monkeypatch.context() as patch:
        full = OSError(28, "No space left on device")
        if where == "create":
            patch.setattr(layout, "_dataset", lambda *_: (_ for _ in ()).throw(full))
        else:
            patch.setattr(layout, "seal", lambda *_: (_ for _ in ()).throw(full))
        with pytest.raises(FileError, match="the disk is full"):
            run(deck(CLASSICAL), path, overwrite=True)
    assert {name: (path.parent / name).read_bytes() for name in names(path.parent)} == before
    resume(path).close()
    run(deck(CLASSICAL, run__duration=0.3), path, overwrite=True).close()
    with open_run(path) as result:
        assert result.n_frames == 2
    assert checkpoint.load_newest(path)[1]["notes"] == []


def test_a_picture_takes_the_place_of_no_run_file(path, tmp_path):
    one = tmp_path / "run.png"
    run(deck(CLASSICAL, run__duration=0.3), one).close()
    run(deck(CLASSICAL, run__duration=0.3), path).close()
    (tmp_path / "link.png").symlink_to(path)
    before = one.read_bytes(), path.read_bytes()
    for source, target in ((one, one), (path, one), (path, tmp_path / "link.png")):
        with pytest.raises(DeckError, match=f"{target.name}: is a run file, which is not replaced"):
            plot(source, target)
    assert (one.read_bytes(), path.read_bytes()) == before
    (tmp_path / "other.png").write_bytes(b"an older picture")
    plot(path, tmp_path / "other.png")
    assert (tmp_path / "other.png").stat().st_size > 1000


def test_a_run_does_not_replace_the_file_of_its_texture(path):
    run(deck(CLASSICAL, run__duration=0.3), path).close()
    before = path.read_bytes()
    texture = {"texture": {"kind": "file", "path": str(path)}, "run__duration": 0.3}
    with pytest.raises(DeckError, match=r"run\.h5: the deck reads this file, texture\.path,"):
        run(deck(CLASSICAL, **texture), path, overwrite=True)
    assert path.read_bytes() == before
    run(deck(CLASSICAL, **texture), path.with_name("next.h5")).close()


def test_a_run_does_not_replace_a_file_of_numbers_that_its_deck_reads(tmp_path):
    """Whatever it holds: that it cannot be read is told only later."""
    path = tmp_path / "numbers.npy"
    run(deck(CLASSICAL, run__duration=0.3), path).close()
    before = path.read_bytes()
    with pytest.raises(DeckError, match=r"numbers\.npy: the deck reads this file, lattice\.vacancies,"):
        run(deck(CLASSICAL, lattice__vacancies=str(path)), path, overwrite=True)
    assert path.read_bytes() == before


def test_a_file_that_is_no_lock_is_not_taken_for_one(path):
    lock = Path(f"{path}.lock")
    lock.write_text("versions of packages")
    with pytest.raises(FileError, match=r"run\.h5\.lock is there and is no lock"):
        run(deck(CLASSICAL), path)
    assert names(path.parent) == ["run.h5.lock"]
    lock.write_text("")  # of a process that was killed
    Lock(path).release()
    assert not lock.exists()


@posix
def test_planted_links_are_not_followed(path, monkeypatch, tmp_path):
    """In a folder that others may write to."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    planted = [tmp_path / f"run.h5.{end}" for end in ("new", "ckpt.tmp")]
    for link in planted:
        link.symlink_to(victim)
    monkeypatch.setattr(files, "_AT_ONCE", 1000)  # so that it grows, too
    run(deck(CLASSICAL, run__save_every=0.1), path, overwrite=True).close()
    assert victim.read_text() == "precious"
    assert not path.is_symlink()
    assert names(tmp_path) == ["run.h5", "run.h5.ckpt", "run.h5.ckpt.1", "run.h5.ckpt.2", "victim"]


@posix
def test_permissions_stay(path, monkeypatch):
    """Of the run file when it is resized or replaced, and those of its checkpoints are the same."""
    monkeypatch.setattr(files, "_AT_ONCE", 1000)
    changes = {"run__save_every": 0.1}
    run(deck(CLASSICAL, **changes), path, until=0.2).close()
    open_to_all = mode(path)
    assert mode(f"{path}.ckpt") == open_to_all
    path.chmod(0o600)
    resume(path, until=0.6).close()
    assert mode(path) == mode(f"{path}.ckpt") == 0o600
    run(deck(CLASSICAL, **changes), path, until=0.2, overwrite=True).close()
    assert mode(path) == mode(f"{path}.ckpt") == 0o600


def test_large_files_are_announced(path, monkeypatch):
    monkeypatch.setattr(files, "_LARGE", 1000)
    with pytest.warns(RunWarning, match=r"run\.h5: will take .* GB for 5 frames; a larger run\.save_every"):
        run(deck(CLASSICAL), path).close()
