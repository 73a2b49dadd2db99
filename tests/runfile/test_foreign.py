"""Run files and checkpoints from elsewhere: refused with their names, before anything is opened or written."""

import hashlib
import json
import os
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.errors import FileError
from llgnegf.runfile import checkpoint
from tests.test_cli import command  # noqa: F401
from tests.test_simulation import deck

RUNS = Path(__file__).parents[1] / "data" / "older_runs.zip"


@pytest.fixture
def path(tmp_path):
    """A run file of format 1, which has no seal, and its checkpoint."""
    with zipfile.ZipFile(RUNS) as archive:
        for suffix in (".h5", ".h5.ckpt"):
            (tmp_path / f"run{suffix}").write_bytes(archive.read(f"older_at_a_frame{suffix}"))
    return tmp_path / "run.h5"


def again(file, name, make):
    """`name` replaced by what `make` makes of its numbers, attached to the same dimensions as far as there are such."""
    values, scales = file[name][()], [axis[0].name for axis in file[name].dims if len(axis)]
    attrs = dict(file[name].attrs)
    del file[name]
    make(values)
    made = file.get(name, getlink=True)
    if isinstance(made, h5py.HardLink) and isinstance(file[name], h5py.Dataset) and name != "time":
        for axis in range(min(file[name].ndim, len(scales))):
            file[name].dims[axis].attach_scale(file[scales[axis]])
        file[name].attrs.update({key: attrs[key] for key in ("units", "long_name")})


def group(file, name):
    again(file, name, lambda _: file.create_group(name))


def named_type(file, name):
    again(file, name, lambda _: file.__setitem__(name, np.dtype("<f8")))


def link_to_itself(file, name):
    again(file, name, lambda _: file.__setitem__(name, h5py.SoftLink(f"/{name}")))


def link_to_another_name(file, name):
    again(file, name, lambda _: file.__setitem__(name, h5py.SoftLink("/step")))


def link_to_another_file(file, name):
    with h5py.File("other.h5", "w") as other:
        other[name] = file[name][()]
    again(file, name, lambda _: file.__setitem__(name, h5py.ExternalLink("other.h5", name)))


def numbers_in_another_file(file, name):
    def make(values):
        Path("other.raw").write_bytes(values.tobytes())
        file.create_dataset(name, values.shape, values.dtype, external=[("other.raw", 0, values.nbytes)])

    again(file, name, make)


def numbers_in_another_dataset(file, name):
    def make(values):
        with h5py.File("other.h5", "w") as other:
            other["a"] = values
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[...] = h5py.VirtualSource("other.h5", "a", shape=values.shape)
        file.create_virtual_dataset(name, layout)

    again(file, name, make)


def texts(file, name):
    again(file, name, lambda values: file.create_dataset(name, data=values.astype("S")))


def texts_of_any_length(file, name):
    again(
        file, name, lambda values: file.create_dataset(name, data=values.astype(str).astype(object),
                                                       dtype=h5py.string_dtype())
    )  # fmt: skip


def complex_numbers(file, name):
    again(file, name, lambda values: file.create_dataset(name, data=values + 0j))


def two_dimensional(file, name):
    again(file, name, lambda values: file.create_dataset(name, data=values.reshape(len(values), -1)))


def a_number(file, name):
    again(file, name, lambda _: file.create_dataset(name, data=1.0))


def huge(file, name):
    again(
        file,
        name,
        lambda values: file.create_dataset(
            name, (10**12, *values.shape[1:]), values.dtype, chunks=(1, *values.shape[1:])
        ),
    )


EDITS = [
    group, named_type, link_to_itself, link_to_another_name, link_to_another_file, numbers_in_another_file,
    numbers_in_another_dataset, texts, texts_of_any_length, complex_numbers, two_dimensional, a_number, huge,
]  # fmt: skip
# A number for each frame may as well be a table, in which the time is one of its columns.
EXCEPT = {(two_dimensional, name) for name in ("step", "time", "frame_crc", "x")}


def refused(command, path, *words):  # noqa: F811
    """Every verb says that the file is wrong, with these words, and nothing in the folder changes."""
    before = {one.name: one.read_bytes() for one in path.parent.iterdir()}
    for verb in ("show", "compare", "plot", "resume"):
        code, out, err = command(verb, path.name)
        assert code == 74, (verb, code, out, err)
        assert "run.h5" in err
        for word in words:
            assert word in err, (verb, err)
        assert {one.name: one.read_bytes() for one in path.parent.iterdir()} == before, verb


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        pytest.param(edit, name, id=f"{edit.__name__}-{name}")
        for edit in EDITS
        for name in ("time", "moment", "step", "frame_crc", "x")
        if (edit, name) not in EXCEPT
    ],
)
def test_what_is_no_variable_of_this_file_is_refused_by_its_name(command, path, edit, name):  # noqa: F811
    os.chdir(path.parent)
    with h5py.File(path, "r+") as file:
        edit(file, name)
    elsewhere = edit in (numbers_in_another_file, numbers_in_another_dataset)
    refused(command, path, repr(name), *(["lie in other files, which are not opened"] if elsewhere else []))


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("deck", None, "lacks the attribute 'deck'"),
        ("deck", 5, "lacks the attribute 'deck'"),
        ("deck", "hello", "the deck in it (attribute 'deck') cannot be read"),
        ("deck", "", "the deck in it (attribute 'deck') cannot be read"),
        ("format", None, "not a run file of llgnegf"),
        ("format", [1, 2], "not a run file of llgnegf"),
        ("format_version", None, "lacks the attribute 'format_version'"),
        ("format_version", "two", "has format two"),
        ("format_version", [1, 1], "has format"),
    ],
)
def test_wrong_attributes(command, path, attribute, value, words):  # noqa: F811
    with h5py.File(path, "r+") as file:
        del file.attrs[attribute]
        if value is not None:
            file.attrs[attribute] = value
    refused(command, path, words)


@pytest.mark.parametrize("missing", ["time", "moment", "frame_crc"])
def test_what_is_missing(command, path, missing):  # noqa: F811
    with h5py.File(path, "r+") as file:
        del file[missing]
    refused(command, path, *([missing] if missing == "frame_crc" else []))


def test_a_lattice_that_is_not_the_decks(command, path):  # noqa: F811
    with h5py.File(path, "r+") as file:
        file.attrs["deck"] = file.attrs["deck"].replace("shape = [2]", "shape = [4]")
    refused(command, path)


@pytest.mark.parametrize("kind", ["pipe", "device", "link to itself", "folder"])
def test_what_is_no_file_is_not_opened(command, path, kind):  # noqa: F811
    """A pipe would be waited for forever."""
    checkpoints = checkpoint.checkpoint_paths(path)
    for place in (path, checkpoints[0]):
        place.unlink()
        if kind == "pipe":
            os.mkfifo(place)
        elif kind == "device":
            place.symlink_to("/dev/zero")
        elif kind == "folder":
            place.mkdir()
        else:
            place.symlink_to(place)
        if place == path:
            for verb in ("show", "compare", "plot", "resume"):
                code, _, err = command(verb, "run.h5")
                assert code == 74
                assert "run.h5: is a" in err or kind == "link to itself"
        else:
            words = "cannot be read" if kind == "link to itself" else "is not a file"
            with pytest.raises(FileError, match=rf"run\.h5\.ckpt: {words}"):
                checkpoint.load_newest(path)


# --- checkpoints ------------------------------------------------------------------------------------------------------


def rewritten(path, change, payload=None):
    """The checkpoint of the run `path` with a header that `change` has changed, and checksums that hold."""
    newest = checkpoint.checkpoint_paths(path)[0]
    data = newest.read_bytes()
    start = len(checkpoint._MAGIC) + 8
    end = start + struct.unpack("<Q", data[start - 8 : start])[0]
    header = json.loads(data[start:end])
    payload = data[end + 32 :] if payload is None else payload
    header |= {"payload_bytes": len(payload), "payload_sha256": hashlib.sha256(payload).hexdigest()}
    header = change(header) or header
    text = json.dumps(header).encode()
    head = checkpoint._MAGIC + struct.pack("<Q", len(text)) + text
    newest.write_bytes(head + hashlib.sha256(head).digest() + payload)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda header: header.pop("step") and None, "is not a checkpoint of llgnegf (KeyError: 'step')"),
        (lambda header: header.update(step="four"), "is not a checkpoint of llgnegf (TypeError"),
        (lambda header: header.update(step=-1), "is not a checkpoint of llgnegf (ValueError: step -1"),
        (lambda header: header.update(frames_written=None), "is not a checkpoint of llgnegf (TypeError"),
        (lambda header: header.update(deck=5), "its deck is int"),
        (lambda header: header.pop("format_version") and None, "is not a checkpoint of llgnegf (KeyError"),
        (lambda header: [1, 2], "is not a checkpoint of llgnegf (TypeError"),
    ],
)
def test_headers_from_elsewhere(command, path, change, words):  # noqa: F811
    rewritten(path, change)
    before = path.read_bytes()
    code, _, err = command("resume", "run.h5", "--until", "1.0")
    assert code == 74
    assert "run.h5.ckpt" in err
    assert words in err
    assert path.read_bytes() == before


def stored(compression=zipfile.ZIP_STORED, **arrays):
    with zipfile.ZipFile("made.npz", "w", compression) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name.replace('__', '/')}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return Path("made.npz").read_bytes()


UP = np.array([[0.0, 0, 1], [0, 0, 1]])


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (lambda: b"", "is not a checkpoint of llgnegf (BadZipFile"),
        (lambda: stored(other=UP), "is not a checkpoint of llgnegf (KeyError"),
        (lambda: stored(moment=UP.astype(str)), "is not a checkpoint of llgnegf (ValueError"),
        (lambda: stored(moment=UP.astype(object)), "is not a checkpoint of llgnegf (ValueError"),
        (lambda: stored(zipfile.ZIP_DEFLATED, moment=np.zeros((10**6, 3))), "its data are compressed"),
        (lambda: stored(moment=UP[:1]), "its moments are of shape (1, 3)"),
        (lambda: stored(moment=UP * np.nan), "finite and of shape (2, 3)"),
        (lambda: stored(moment=UP, extra__begun_step=4), "is not a checkpoint of this run"),
    ],
)
def test_states_from_elsewhere(command, path, payload, words):  # noqa: F811
    os.chdir(path.parent)
    rewritten(path, lambda header: None, payload())
    before = path.read_bytes()
    code, _, err = command("resume", "run.h5", "--until", "1.0")
    assert code == 74, err
    assert "run.h5.ckpt" in err
    assert words in err
    assert path.read_bytes() == before


@pytest.mark.parametrize("refresh", ["stage", "adaptive"])
def test_arrays_of_a_stepper_are_checked_before_kernels_see_them(tmp_path, refresh):
    """Kernels do not look where an array ends."""
    where = tmp_path / "run.h5"
    run(deck(integrator__electrons=refresh), where, until=0.6).close()
    state, header = checkpoint.load_newest(where)
    names = {
        "stage": ["begun_velocity", "begun_field", "electron_field"],
        "adaptive": ["electron_fields", "nodes", "plan"],
    }
    for name in names[refresh]:
        array = state.extra[name]
        wrong = [array[..., :-1], array.astype(np.float32), array[None]]
        wrong += [np.where(np.arange(array.size).reshape(array.shape) == 1, np.nan, array)]
        for one in wrong if array.dtype.kind == "f" else [*wrong[:3], -array]:
            forged = checkpoint.State(state.step, state.moment, state.solves, state.extra | {name: one})
            checkpoint.save(where, forged, header["deck"], header["frames_written"])
            with pytest.raises(FileError, match=rf"is not a checkpoint of this run.*({name}|electron_fields): "):
                resume(where)
    checkpoint.save(where, state, header["deck"], header["frames_written"])
    resume(where).close()


def test_a_run_of_format_1_is_read_and_its_damage_noticed(path):
    with open_run(path) as run:
        whole = {name: np.asarray(run[name]) for name in run.names}
        assert run.frames_ok().tolist() == [True, True, True]
    data = path.read_bytes()
    place = data.index(whole["spin_sea"][1].tobytes())
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with open_run(path) as run:
        assert run.frames_ok().tolist() == [True, False, True]
        for name in run.names:
            if name != "time":
                np.testing.assert_array_equal(run[name][[0, 2]], whole[name][[0, 2]])
                with pytest.raises(FileError, match=rf"{name} is damaged in frame 1: .*frames 0, 2 of it can be read"):
                    np.asarray(run[name])
