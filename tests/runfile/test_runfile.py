"""The run file: readable by the field's tools, and nothing committed is lost or silently wrong."""

import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest

from llgnegf.deck import load_deck
from llgnegf.errors import DeckError, FileError, LLGNEGFError, RunWarning
from llgnegf.runfile import layout
from llgnegf.runfile import writer as files
from llgnegf.runfile.checkpoint import checkpoint_paths
from llgnegf.runfile.layout import Layout
from llgnegf.runfile.reader import open_run
from llgnegf.runfile.writer import Writer

VECTOR = ("time", "x", "component")
FIELDS = {
    "step": Layout(("time",), "1", "number of steps"),
    "moment": Layout(VECTOR, "1", "direction of the moments"),
    "potential": Layout(("time", "x"), "energy"),
    "current_spin": Layout(("time", "lead", "component"), "hbar/time"),
    "skyrmion_center": Layout(("time", "plane")),
    "solves": Layout(("time",)),
}
SIZES = {"x": 7, "y": 3, "component": 3, "lead": 2, "plane": 2}


@pytest.fixture(scope="module")
def deck():
    return load_deck("wall_in_wire")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def frame(i, fields=FIELDS):
    rng = np.random.default_rng(i)
    values = {name: rng.normal(size=[SIZES[dim] for dim in field.dims[1:]]) for name, field in fields.items()}
    return {**values, "time": 0.5 * i, "step": 5 * i, "solves": 100 * i}


def write(path, deck, n, room=10, **options):
    writer = Writer.create(path, deck, room, deck.lattice.shape, FIELDS, **options)
    for i in range(n):
        writer.append(frame(i))
    return writer


def holds(path, n):
    """Whether exactly the first n frames are there, bit for bit."""
    with open_run(path) as run:
        assert run.n_frames == n
    holds_first(path, n)


def holds_first(path, n):
    """Whether the first n frames are there, bit for bit."""
    with open_run(path) as run:
        assert all(run.frame_ok(i) for i in range(n))
        for i in range(n):
            for name, value in frame(i).items():
                assert np.array_equal(run[name][i], value), (i, name)


def test_round_trip(path, deck):
    with write(path, deck, 4) as writer:
        assert writer.names == list(FIELDS)
        writer.trim()
    holds(path, 4)
    with open_run(path) as run:
        assert run.names == ["time", *FIELDS]
        assert run.deck_text == deck.text
        assert run.deck.tables() == deck.tables()
        assert run.deck.folder == deck.folder
        assert run.times.tolist() == [0.0, 0.5, 1.0, 1.5]
        assert run.moment.dims == VECTOR
        assert run.moment.shape == (4, 7, 3)
        assert run.current_spin.unit == "hbar/time"
        assert run.moment.long_name == "direction of the moments"
        assert run["x"].tolist() == list(range(7))
        assert run["component"].tolist() == ["x", "y", "z"]
        assert run["lead"].tolist() == ["left", "right"]
        assert run["step"].dtype == np.int64 == run["solves"].dtype
        assert "moment" in run
        assert "torque" not in run
        assert "4 frames until t = 1.5" in repr(run)
        assert "x: 7" in repr(run.moment)
        for package in ("numpy", "scipy", "numba"):
            assert run.attrs[f"{package}_version"] == importlib.metadata.version(package)
        assert {"llgnegf_version", "created", "format_version"} <= set(run.attrs)
        with pytest.raises(KeyError, match="torque: not in this run; it has time, step, moment"):
            run["torque"]
        with pytest.raises(AttributeError, match="torque"):
            _ = run.torque


def test_square_lattice(path, deck):
    fields = {"moment": Layout(("time", "x", "y", "component"))}
    with Writer.create(path, deck, 2, (7, 3), fields) as writer:
        value = np.arange(63.0).reshape(7, 3, 3)
        writer.append({"time": 0.0, "moment": value})
    with open_run(path) as run:
        assert run.moment.dims == ("time", "x", "y", "component")
        assert np.array_equal(run.moment[0], value)


def test_indexing_is_like_numpy(path, deck):
    write(path, deck, 6).close()
    with open_run(path) as run:
        whole = np.array([frame(i)["moment"] for i in range(6)])
        assert np.array_equal(np.asarray(run.moment), whole)
        keys = [
            0, -1, np.int64(2), slice(None), slice(1, 4), slice(None, None, -1), slice(4, 1, -2), slice(9, 12),
            [0, 0, 5], [-1, 2], np.arange(6) % 2 == 0, (0, 3), (slice(None), 3, 2), (-1, slice(None, None, -1)),
            (..., 0), (slice(1, 3), ..., 1), (2, ..., 0), (), None, [],
        ]  # fmt: skip
        for key in keys:
            key = np.array(key, dtype=int) if isinstance(key, list) and not key else key
            assert np.array_equal(run.moment[key], whole[key]), key
        assert len(list(run.moment)) == 6 == len(run.moment)
        for outside in (6, -7):
            with pytest.raises(IndexError):
                run.moment[outside]


def test_unfinished_file_reads_to_the_last_committed_frame(path, deck):
    writer = write(path, deck, 3)
    shutil.copy(path, f"{path}.copy")  # without a flush: what a killed process leaves behind
    holds(f"{path}.copy", 3)
    holds(path, 3)  # and while the writer is at work
    writer.close()
    holds(path, 3)
    with h5py.File(path) as file:
        assert len(file["time"]) == 10
        assert np.isnan(file["time"][3:]).all()


def test_time_is_written_last(path, deck, monkeypatch):
    """Whatever write of a frame is the last one, the frame does not exist unless all of it does."""
    real, calls = files.put, []
    for dies_at in range(1, len(FIELDS) + 3):
        calls.clear()

        def dies(*arguments, dies_at=dies_at):
            calls.append(1)
            if len(calls) == dies_at:
                raise KeyboardInterrupt
            real(*arguments)

        writer = write(path, deck, 2, overwrite=True)
        with monkeypatch.context() as patch:
            patch.setattr(files, "put", dies)
            with pytest.raises(KeyboardInterrupt):
                writer.append(frame(2))
        holds(path, 2)
        writer.append(frame(2))
        writer.close()
        holds(path, 3)


def test_nothing_is_lost_to_kill(path):
    """A process killed between frames, and one killed within a frame."""
    code = """
        import os, signal, sys
        from tests.runfile.test_runfile import FIELDS, frame, write
        from llgnegf.runfile import writer as files
        from llgnegf.deck import load_deck
        writer = write(sys.argv[1], load_deck("wall_in_wire"), 5)
        real, calls = files.put, []
        def put(*arguments):
            calls.append(1)
            if len(calls) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*arguments)
        files.put = put
        writer.append(frame(5))
    """
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), path], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    holds(path, 5)
    with Writer.reopen(path, 3) as writer:  # the lock of the dead is no hindrance
        for i in (3, 4, 5):
            writer.append(frame(i))
        assert writer.differences == []
        writer.trim()
    holds(path, 6)


def test_damaged_frames_are_noticed(path, deck):
    write(path, deck, 3).close()
    with h5py.File(path, "r+") as file:
        file["moment"][1, 2, 0] = np.nextafter(file["moment"][1, 2, 0], 9)
        file["step"][2] += 1
    with open_run(path) as run:
        assert [run.frame_ok(i) for i in range(3)] == [True, False, False]
        assert run.frames_ok().tolist() == [True, False, False]
        assert run.frames_ok(1, 2).tolist() == [False]
        assert not run.frame_ok(-1)
        with pytest.raises(IndexError):
            run.frame_ok(3)
        words = r"run\.h5: moment is damaged in frame 1: .*frames 0, 2 of it can be read"
        for asked in (np.asarray, lambda moment: moment[:], lambda moment: moment[[0, 1, 2]][0], list):
            with pytest.raises(FileError, match=words if asked is np.asarray else "damaged in frame 1"):
                asked(run.moment)
        # What was not asked for, and what is in the same frame, is there.
        np.testing.assert_array_equal(run.moment[[0, 2]], [frame(0)["moment"], frame(2)["moment"]])
        np.testing.assert_array_equal(run.potential[1], frame(1)["potential"])
        np.testing.assert_array_equal(run["step"][:2], [0, 5])
        assert run.times.tolist() == [0.0, 0.5, 1.0]
        with run.to_xarray() as data:
            np.testing.assert_array_equal(data.moment[2], frame(2)["moment"])
            with pytest.raises(FileError, match=words):
                _ = data.moment.values


def test_a_damaged_time_does_not_hide_the_frame(path, deck):
    write(path, deck, 4).close()
    data, time = path.read_bytes(), np.float64(1.0).tobytes()
    for broken in (np.float64(2.5).tobytes(), b"\x01\0\0\0\0\0\xf8\x7f", bytes(8)):  # the second is a NaN
        path.write_bytes(data.replace(time, broken, 1))
        with open_run(path) as run:
            assert run.n_frames == 4
            assert run.frames_ok().tolist() == [True, True, False, True]
            with pytest.raises(FileError, match="time is damaged in frame 2"):
                _ = run.times
            np.testing.assert_array_equal(run.moment[2], frame(2)["moment"])
            assert "4 frames" in repr(run)


def test_truncate_and_append_again(path, deck):
    with write(path, deck, 5) as writer:
        writer.truncate(2)
        assert writer.n_frames == 2
        holds(path, 2)
        writer.append(frame(2))
        with pytest.raises(ValueError, match="cannot truncate to 4 frames: there are 3"):
            writer.truncate(4)
    holds(path, 3)


def test_reopen_extend_and_compare_with_what_survived(path, deck):
    with write(path, deck, 6) as writer:
        writer.trim()
    with Writer.reopen(path, 2) as writer:
        assert writer.n_frames == 2
        writer.extend(9)
        writer.append(frame(2))
        holds(path, 6)  # all that survived stays as long as it comes again
        writer.append({**frame(3), "moment": np.zeros((7, 3))})
        with open_run(path) as run:
            assert run.n_frames == 4  # what followed the old frame 3 does not follow the new one
        writer.append(frame(4))  # one survivor is left: nothing is told yet
        assert writer.differences == [3]
        assert writer.capacity == 9
        writer.truncate(3)
        for i in range(3, 5):
            writer.append(frame(i))
        with pytest.warns(RunWarning, match=r"computed again, 1 differ .*\(frames 3\)"):
            writer.append(frame(5))
        for i in range(6, 9):
            writer.append(frame(i))
        assert writer.differences == [3]
        with pytest.raises(ValueError, match="frame 9: the file has room for 9 frames"):
            writer.append(frame(9))
    holds(path, 9)
    with Writer.reopen(path, 9) as writer:
        assert writer.n_frames == 9


def test_reopen_refuses_a_file_that_lacks_frames(path, deck):
    write(path, deck, 2).close()
    with pytest.raises(FileError, match="holds 2 frames, but its checkpoint knows of 3"):
        Writer.reopen(path, 3)
    Writer.reopen(path, 2).close()  # and the lock was given back
    assert os.listdir(path.parent) == ["run.h5"]


def test_space_is_taken_at_the_start(path, deck):
    writer = write(path, deck, 0, room=1000)
    frame_bytes = sum(np.asarray(value).nbytes for value in frame(0).values())
    before = os.path.getsize(path)
    assert before > 1000 * frame_bytes
    for i in range(20):
        writer.append(frame(i))
    writer.sync()
    assert os.path.getsize(path) == before
    writer.extend(3000)
    assert os.path.getsize(path) > 3000 * frame_bytes
    writer.close()


def test_wrong_frames_are_refused(path, deck):
    with write(path, deck, 0) as writer:
        good = frame(0)
        for bad, words in [
            ({**good, "torque": 1.0}, r"unknown \['torque'\]"),
            ({k: v for k, v in good.items() if k != "moment"}, r"missing \['moment'\]"),
            ({**good, "moment": np.zeros((3, 7))}, r"moment has shape \(3, 7\), not \(7, 3\)"),
            ({**good, "time": np.nan}, "time = nan must be finite"),
        ]:
            with pytest.raises(ValueError, match=words):
                writer.append(bad)
        assert writer.n_frames == 0


def test_wrong_fields_are_refused(path, deck):
    for name, dims, words in [
        ("a", (), r"must be time alone, or some of x, component, .* with or without time before them"),
        ("a", ("time", "q"), "must be time alone, or some of x, component"),
        ("a", ("x", "time"), "must be time alone, or some of x, component"),
        ("a", ("x", "x"), "must differ from each other"),
        ("frame_crc", ("time",), "is the name of a dimension or of a checksum"),
        ("variable_crc", ("time",), "is the name of a dimension or of a checksum"),
        ("variable", ("time",), "is the name of a dimension or of a checksum"),
        ("x", ("time",), "is the name of a dimension or of a checksum"),
    ]:
        with pytest.raises(ValueError, match=words):
            Writer.create(path, deck, 1, (7,), {name: Layout(dims)})
    assert not path.exists()


# --- variables without a time axis ------------------------------------------------------------------------------------

SPECTRUM = {**FIELDS, "spectrum": Layout(("energy", "lead"), "1/energy"), "size": Layout(("x",))}
ENERGIES = [-0.5, 0.0, 0.25]


def first_frame():
    values = np.random.default_rng(9).normal(size=(3, 2))
    return {**frame(0), "spectrum": values, "size": np.arange(7.0)}


def write_spectrum(path, deck, n, **options):
    coordinates = {"energy": ENERGIES}
    writer = Writer.create(path, deck, 10, (7,), SPECTRUM, coordinates=coordinates, **options)
    for i in range(n):
        writer.append(frame(i) if i else first_frame())
    return writer


def holds_spectrum(path):
    with open_run(path) as run:
        assert run["spectrum"].dims == ("energy", "lead")
        assert run["spectrum"].shape == (3, 2)
        assert run["spectrum"].unit == "1/energy"
        assert not run["spectrum"].per_frame
        assert run["moment"].per_frame
        np.testing.assert_array_equal(run["spectrum"], first_frame()["spectrum"])
        np.testing.assert_array_equal(run["spectrum"][1:, 0], first_frame()["spectrum"][1:, 0])
        np.testing.assert_array_equal(run.size, np.arange(7.0))
        np.testing.assert_array_equal(run["energy"], ENERGIES)
        assert list(run.names) == ["time", *SPECTRUM]
        assert all(run.frame_ok(i) for i in range(run.n_frames))


def test_what_has_no_time_axis_is_written_with_the_first_frame_alone(path, deck):
    with write_spectrum(path, deck, 0) as writer:
        with open_run(path) as run:
            assert np.isnan(run["spectrum"][...]).all()
        with pytest.raises(ValueError, match=r"frame 0: missing \['size', 'spectrum'\]"):
            writer.append(frame(0))
        with pytest.raises(ValueError, match=r"spectrum has shape \(2, 3\), not \(3, 2\)"):
            writer.append({**first_frame(), "spectrum": np.zeros((2, 3))})
        writer.append(first_frame())
        with pytest.raises(ValueError, match=r"frame 1: missing \[\], unknown \['size', 'spectrum'\]"):
            writer.append({**first_frame(), "time": 1.0})
        writer.append(frame(1))
        holds_spectrum(path)
        writer.extend(30)
        writer.append(frame(2))
        writer.trim()
    holds_spectrum(path)
    with Writer.reopen(path, 1, 12) as writer:
        for i in range(1, 5):
            writer.append(frame(i))
        assert writer.differences == []
    holds_spectrum(path)


def test_without_a_time_axis_too_nothing_is_there_before_all_is(path, deck, monkeypatch):
    real, calls = files.put, []
    for dies_at in range(1, len(SPECTRUM) + 3):
        calls.clear()

        def dies(*arguments, dies_at=dies_at):
            calls.append(1)
            if len(calls) == dies_at:
                raise KeyboardInterrupt
            real(*arguments)

        writer = write_spectrum(path, deck, 0, overwrite=True)
        with monkeypatch.context() as patch:
            patch.setattr(files, "put", dies)
            with pytest.raises(KeyboardInterrupt):
                writer.append(first_frame())
        with open_run(path) as run:
            assert run.n_frames == 0
        writer.append(first_frame())
        shutil.copy(path, f"{path}.copy")  # without a flush: what a killed process leaves behind
        holds_spectrum(f"{path}.copy")
        writer.close()


def test_damage_without_a_time_axis_is_damage_of_the_first_frame(path, deck):
    write_spectrum(path, deck, 3).close()
    with h5py.File(path, "r+") as file:
        file["spectrum"][1, 1] += 1e-9
    with open_run(path) as run:
        assert [run.frame_ok(i) for i in range(3)] == [False, True, True]


def test_xarray_takes_variables_without_a_time_axis(path, deck):
    pytest.importorskip("h5netcdf")
    write_spectrum(path, deck, 3).close()
    with open_run(path) as run, run.to_xarray() as data:
        assert data["spectrum"].dims == ("energy", "lead")
        assert data["spectrum"].sel(energy=0.25, lead="right") == first_frame()["spectrum"][2, 1]
        assert data["moment"].sizes["time"] == 3
        assert "size" in data.data_vars


def test_own_coordinates(path, deck):
    fields = {"power": Layout(("time", "band"))}
    coordinates = {"band": ["low", "high"]}
    with Writer.create(path, deck, 1, (7,), fields, coordinates=coordinates, attrs={"field": "mine"}) as writer:
        writer.append({"time": 0.0, "power": [1.0, 2.0]})
    with open_run(path) as run:
        assert run["band"].tolist() == ["low", "high"]
        assert run.attrs["field"] == "mine"


def test_a_resize_cut_short_leaves_the_file_as_it_was(path, deck, monkeypatch):
    with write(path, deck, 3) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                writer.extend(100)
        writer.append(frame(3))
        assert writer.capacity == 10
        with monkeypatch.context() as patch:  # no room for a copy: trimming can wait
            usage = namedtuple("usage", "free")
            patch.setattr(files.shutil, "disk_usage", lambda _: usage(1000))
            writer.trim()
            assert writer.capacity == 10
            with pytest.raises(FileError, match="free some space"):
                writer.extend(100)
    holds(path, 4)
    assert os.listdir(path.parent) == ["run.h5"]


# --- other tools ------------------------------------------------------------------------------------------------------


def test_h5py_sees_scales_on_every_axis(path, deck):
    write(path, deck, 2).close()
    with h5py.File(path) as file:
        assert next(iter(file)) == "time"
        for name, dataset in file.items():
            if not dataset.is_scale:
                assert all(len(dim) == 1 for dim in dataset.dims), name
                assert dataset.chunks[1:] == dataset.shape[1:]
            if dataset.dtype.kind != "S":
                assert dataset.attrs["units"]
        assert [dim[0].name for dim in file["moment"].dims] == ["/time", "/x", "/component"]


def test_xarray_opens_it(path, deck):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with write(path, deck, 3) as writer:
        shutil.copy(path, f"{path}.unfinished")
        writer.trim()
    with xarray.open_dataset(f"{path}.unfinished", engine="h5netcdf") as data:
        assert data.sizes["time"] == 10
    with open_run(path), xarray.open_dataset(path, engine="h5netcdf") as data:
        assert data.moment.dims == VECTOR
        assert np.array_equal(data.moment[2], frame(2)["moment"])
        assert data.attrs["deck"] == deck.text


def test_to_xarray(path, deck):
    pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    write(path, deck, 3).close()
    with open_run(path) as run:
        with run.to_xarray() as data:
            assert dict(data.sizes) == {"time": 3, "x": 7, "component": 3, "lead": 2, "plane": 2}
            assert data.moment.sel(component="z", time=1.0).values.tolist() == frame(2)["moment"][:, 2].tolist()
            assert set(data.data_vars) == set(FIELDS)
        assert run.moment[0].shape == (7, 3)  # the run itself stays open


def test_to_xarray_names_the_extra(path, deck, monkeypatch):
    write(path, deck, 1).close()
    monkeypatch.setitem(sys.modules, "xarray", None)
    with open_run(path) as run, pytest.raises(LLGNEGFError, match=r'pip install "llgnegf\[xarray\]"'):
        run.to_xarray()


def test_netcdf4_opens_it(path, deck):
    netcdf = pytest.importorskip("netCDF4")
    write(path, deck, 3).close()
    with netcdf.Dataset(path) as data:
        assert data["moment"].dimensions == VECTOR
        assert np.array_equal(data["moment"][2], frame(2)["moment"])
        assert data["lead"][:].tolist() == ["left", "right"]
        assert data.deck == deck.text


@pytest.mark.skipif(shutil.which("ncdump") is None, reason="ncdump is not installed")
def test_ncdump_opens_it(path, deck):
    write(path, deck, 3).close()
    shown = subprocess.run(["ncdump", "-h", path], check=True, capture_output=True, text=True).stdout
    assert "double moment(time, x, component)" in shown


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unasked(path, deck):
    write(path, deck, 2).close()
    with pytest.raises(DeckError, match=r"llgnegf resume .*run\.h5.*--overwrite") as caught:
        write(path, deck, 1)
    assert caught.value.exit_code == 2
    holds(path, 2)
    for old in checkpoint_paths(path):
        old.write_bytes(b"of the old run")
    write(path, deck, 1, overwrite=True).close()
    holds(path, 1)
    assert os.listdir(path.parent) == ["run.h5"]


def test_checkpoints_alone_are_not_thrown_away_either(path, deck):
    checkpoint_paths(path)[1].write_bytes(b"precious")
    with pytest.raises(DeckError, match=r"run\.h5\.ckpt\.1"):
        write(path, deck, 1)


def test_second_writer_is_refused(path, deck):
    code = f"""
        from llgnegf.errors import FileError
        from llgnegf.runfile.writer import Writer
        try:
            Writer.reopen({str(path)!r}, 1)
        except FileError as error:
            print(error)
    """
    with write(path, deck, 1):
        with pytest.raises(FileError, match="another process is writing this run"):
            Writer.reopen(path, 1)
        with pytest.raises(FileError, match="another process is writing this run"):
            write(path, deck, 1, overwrite=True)
        root = Path(__file__).parents[2]
        command = [sys.executable, "-c", textwrap.dedent(code)]
        said = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
        assert "another process is writing this run" in said
        holds(path, 1)  # reading is free
    Writer.reopen(path, 1).close()


def test_disk_trouble(path, deck, monkeypatch, tmp_path):
    with pytest.raises(FileError, match="make the folder first") as caught:
        write(tmp_path / "none" / "run.h5", deck, 1)
    assert caught.value.exit_code == 74
    with monkeypatch.context() as patch:
        usage = namedtuple("usage", "free")
        patch.setattr(files.shutil, "disk_usage", lambda _: usage(10**6))
        with pytest.raises(FileError, match=r"only 1\.0 MB are free there.*run\.save_every"):
            write(path, deck, 0, room=10**5)
    assert os.listdir(tmp_path) == []
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(FileError, match="cannot create the run file: the disk is full"):
            write(path, deck, 0)
    assert os.listdir(tmp_path) == []


def test_a_file_that_outgrows_its_limit_is_refused_at_the_start(path):
    """The real thing: HDF5 meets a limit of the system while it takes the space, and nothing is left behind."""
    resource = pytest.importorskip("resource")
    code = """
        import resource, signal, sys
        from llgnegf.errors import FileError
        from llgnegf.deck import load_deck
        from tests.runfile.test_runfile import write
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            write(sys.argv[1], load_deck("wall_in_wire"), 0, room=2000)
        except FileError as error:
            print(error)
    """
    assert resource.RLIM_INFINITY
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", textwrap.dedent(code), path]
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    assert "cannot create the run file: the file grew beyond the limit" in done.stdout, done
    assert done.returncode == 0, done
    assert os.listdir(path.parent) == []


def test_files_that_are_no_runs(path, tmp_path, deck):
    def refused(file, words):
        with pytest.raises(FileError, match=words):
            open_run(file)

    refused(tmp_path / "none.h5", "no such file")
    refused(tmp_path, "is a folder")
    path.write_text("hello")
    refused(path, r"not HDF5")
    with h5py.File(path, "w") as file:
        file["a"] = 1
    refused(path, "an HDF5 file, but not a run file of llgnegf")
    path.unlink()
    write(path, deck, 2, overwrite=True).close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path, rf"cut short, {len(data) // 2} of {len(data)} bytes are there")
    os.truncate(path, 100)
    refused(path, "damaged in its first 8192 bytes")


def test_another_format_is_refused_by_its_number(path, deck, monkeypatch):
    monkeypatch.setattr(layout, "FORMAT_VERSION", 99)
    write(path, deck, 2).close()
    with pytest.raises(FileError, match="has format 99; this version of llgnegf reads 1 and 2"):
        open_run(path)
