"""Checkpoints: bit for bit what was saved, and no damage goes unnoticed."""

import errno
import os
import shutil

import numpy as np
import pytest

from llgnegf.errors import FileError
from llgnegf.runfile import checkpoint
from llgnegf.runfile.checkpoint import State, checkpoint_paths, load_newest, save
from llgnegf.runfile.disk import disk_errors
from llgnegf.runfile.provenance import environment_changes


@pytest.fixture
def state(rng):
    return State(
        step=12345,
        moment=rng.normal(size=(4, 3)),
        solves=10**15,
        extra={
            "edge": np.array([[-0.0, np.nextafter(0, 1), np.inf]] * 4),
            "history": rng.normal(size=(2, 4, 3)),
            "count": np.array(7),
            "a/b c": np.arange(3),
        },
    )


def same(a: State, b: State) -> bool:
    def arrays(s):
        return {"moment": s.moment, **s.extra}

    one, two = arrays(a), arrays(b)
    return (a.step, a.solves) == (b.step, b.solves) and one.keys() == two.keys() and all(
        np.asarray(one[k]).tobytes() == np.asarray(two[k]).tobytes()
        and np.shape(one[k]) == np.shape(two[k])
        and np.asarray(one[k]).dtype == np.asarray(two[k]).dtype
        for k in one
    )  # fmt: skip


def test_round_trip_is_bitwise(tmp_path, state):
    run = tmp_path / "run.h5"
    path = save(run, state, "deck", 17, {"until": 3.0, "field": ["mine"]})
    assert path == tmp_path / "run.h5.ckpt"
    loaded, header = load_newest(run)
    assert same(state, loaded)
    assert header["frames_written"] == 17
    assert header["deck"] == "deck"
    assert header["info"] == {"until": 3.0, "field": ["mine"]}
    assert header["notes"] == []
    assert environment_changes(header) == []
    assert os.listdir(tmp_path) == ["run.h5.ckpt"]


def test_optional_parts_may_be_absent(tmp_path, rng):
    plain = State(step=0, moment=rng.normal(size=(2, 3, 3)))
    save(tmp_path / "r", plain, "", 1)
    loaded, _ = load_newest(tmp_path / "r")
    assert same(plain, loaded)
    assert loaded.extra == {}


def test_three_are_kept_and_the_newest_is_loaded(tmp_path, state):
    for step in range(5):
        save(tmp_path / "r", State(step, state.moment), "", step)
    assert [path.exists() for path in checkpoint_paths(tmp_path / "r")] == [True] * 3
    for step in (4, 3, 2):
        loaded, header = load_newest(tmp_path / "r")
        assert loaded.step == step == header["frames_written"]
        checkpoint_paths(tmp_path / "r")[4 - step].unlink()
    with pytest.raises(FileError, match=r"there is no checkpoint beside it .*--overwrite"):
        load_newest(tmp_path / "r")


def test_every_flipped_byte_is_noticed(tmp_path, rng):
    small = State(step=1, moment=rng.normal(size=(1, 3)))
    path = save(tmp_path / "r", small, "", 1)
    sound = path.read_bytes()
    for i in range(len(sound)):
        damaged = bytearray(sound)
        damaged[i] ^= 1 << (i % 8)
        path.write_bytes(damaged)
        with pytest.raises(FileError, match="none of its checkpoints can be used"):
            load_newest(tmp_path / "r")
    for damaged in (b"", sound[:-1], sound + b"\0", sound[:20], sound[:30], sound[: len(sound) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(FileError, match="none of its checkpoints can be used"):
            load_newest(tmp_path / "r")


def test_falls_back_on_the_one_before_and_says_so(tmp_path, state):
    for step in range(3):
        save(tmp_path / "r", State(step, state.moment), "", step)
    newest, middle, _ = checkpoint_paths(tmp_path / "r")
    data = newest.read_bytes()
    newest.write_bytes(data[:-100] + bytes(100))
    loaded, header = load_newest(tmp_path / "r")
    assert loaded.step == 1
    assert header["notes"] == [f"{newest}: its data are damaged (checksum)"]
    middle.write_bytes(b"nothing")
    loaded, header = load_newest(tmp_path / "r")
    assert loaded.step == 0
    assert len(header["notes"]) == 2


@pytest.mark.parametrize("call", ["write", "replace 1", "replace 2", "replace 3", "fsync"])
def test_cut_short_anywhere_an_earlier_checkpoint_survives(tmp_path, state, monkeypatch, call):
    """Dies at each step of saving; what is there afterwards loads, and the next save mends the rest."""
    for step in range(3):
        save(tmp_path / "r", State(step, state.moment), "", step)
    name, count = [*call.split(), "1"][:2]
    left = [int(count)]
    real = {"replace": os.replace, "fsync": os.fsync}

    def dies(*arguments):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return real[name](*arguments)

    with monkeypatch.context() as patch:
        if name == "write":
            patch.setattr(checkpoint.hashlib, "sha256", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        else:
            patch.setattr(checkpoint.os, name, dies)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path / "r", State(3, state.moment), "", 3)
    assert load_newest(tmp_path / "r")[0].step == 2
    save(tmp_path / "r", State(4, state.moment), "", 4)
    assert load_newest(tmp_path / "r")[0].step == 4


def test_other_format_versions_are_passed_over(tmp_path, state, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT_VERSION", 99)
        save(tmp_path / "r", state, "", 1)
    with pytest.raises(FileError, match="has format 99; this version of llgnegf reads 1"):
        load_newest(tmp_path / "r")


def test_environment_changes_are_named(tmp_path, state, monkeypatch):
    save(tmp_path / "r", state, "", 1)
    _, header = load_newest(tmp_path / "r")
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    assert any(line.startswith("OMP_NUM_THREADS: ") and "77 now" in line for line in environment_changes(header))
    assert header["environment"]["numpy"] == np.__version__


def test_python_objects_are_refused(tmp_path, state):
    with pytest.raises(TypeError, match="extra/x: a checkpoint holds plain numbers"):
        save(tmp_path / "r", State(0, state.moment, extra={"x": np.array([{}])}), "", 1)


def test_disk_trouble_names_path_and_remedy(tmp_path, state):
    with pytest.raises(FileError, match="no such file or folder: make the folder first") as caught:
        save(tmp_path / "none" / "r", state, "", 1)
    assert caught.value.exit_code == 74
    remedies = {
        errno.ENOSPC: "disk is full",
        errno.EDQUOT: "quota is used up",
        errno.EROFS: "read-only",
        errno.EACCES: "permission",
    }
    for code, remedy in remedies.items():
        with pytest.raises(FileError, match=f"r.h5: cannot write: .*{remedy}"), disk_errors("r.h5", "write"):
            raise OSError(code, "x")
        with pytest.raises(FileError, match=remedy), disk_errors("r.h5", "write"):
            raise OSError(f"Can't write data (file write failed: errno = {code}, error message = 'x')")
    with pytest.raises(NotImplementedError), disk_errors("r.h5", "write"):
        raise NotImplementedError


@pytest.mark.parametrize(("free", "kept"), [(0, 2), (10**12, 3)])
def test_the_oldest_are_given_up_where_the_disk_has_no_room(tmp_path, monkeypatch, free, kept):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: usage._replace(free=free))
    large = np.zeros(3_000_000)
    for step in range(4):
        save(tmp_path / "run.h5", State(step, np.zeros((1, 3)), extra={"large": large}), "deck", 0)
    assert [path.exists() for path in checkpoint_paths(tmp_path / "run.h5")] == [True, True, kept == 3]
    assert load_newest(tmp_path / "run.h5")[0].step == 3


def test_small_ones_are_kept_whatever_room_there_is(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: usage._replace(free=0))
    for step in range(4):
        save(tmp_path / "run.h5", State(step, np.zeros((1, 3))), "deck", 0)
    assert all(path.exists() for path in checkpoint_paths(tmp_path / "run.h5"))
