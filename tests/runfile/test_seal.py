"""The seal of a run file: no byte outside the frames changes unnoticed, and writing frames changes none."""

from contextlib import contextmanager

import h5py
import numpy as np
import pytest

from llgnegf.deck import load_deck
from llgnegf.errors import FileError
from llgnegf.runfile import seal
from llgnegf.runfile.accept import accept_changes
from llgnegf.runfile.crc import crc_rows
from llgnegf.runfile.layout import FORMAT_VERSION, frames_in
from llgnegf.runfile.reader import open_run
from llgnegf.runfile.writer import Writer
from tests.runfile.test_runfile import frame, holds, write


@pytest.fixture(scope="module")
def deck():
    return load_deck("wall_in_wire")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


@contextmanager
def edited(path):
    """A run file to change with h5py, which then is sealed as if it had been written so."""
    with h5py.File(path, "r+") as file:
        yield file
        frames = seal.places(frames_in(file))
    seal.seal(path, FORMAT_VERSION, frames)


def pieces(path):
    with open(path, "rb") as raw:
        return seal.record_of(raw, path)["frames"]


@pytest.mark.parametrize("trimmed", [False, True])
def test_every_byte_outside_the_frames_is_guarded(path, deck, trimmed):
    with write(path, deck, 4) as writer:
        if trimmed:
            writer.trim()
    data = path.read_bytes()
    guarded = np.ones(len(data), bool)
    for begin, end in [*pieces(path), seal._FLAGS]:
        guarded[begin:end] = False
    places = np.flatnonzero(guarded)
    assert len(places) > seal.BLOCK + 10_000
    with open(path, "r+b") as file:
        for place in places[:: len(places) // 300]:
            file.seek(place)
            file.write(bytes([data[place] ^ 1]))
            file.flush()
            with pytest.raises(FileError, match=r"run\.h5"):
                open_run(path)
            file.seek(place)
            file.write(data[place : place + 1])
            file.flush()
    holds(path, 4)


def test_the_pieces_hold_the_frames(path, deck):
    """All of their bytes, also after the file was made longer and shorter."""
    with write(path, deck, 4) as writer:
        writer.extend(50)
        for i in range(4, 30):
            writer.append(frame(i))
        writer.trim()
    data = path.read_bytes()
    inside = b"".join(data[begin:end] for begin, end in pieces(path))
    outside, end_before = b"", 0
    for begin, end in pieces(path):
        outside += data[end_before:begin]
        end_before = end
    for i in range(30):
        moment = np.asarray(frame(i)["moment"]).tobytes()
        assert moment in inside
        assert moment not in outside
    with open_run(path) as run:
        whole = {name: np.asarray(run[name]) for name in run.names}
    assert sum(values.nbytes for values in whole.values()) < len(inside)


def test_another_program_that_changes_the_file_is_noticed(path, deck):
    write(path, deck, 3).close()
    data = path.read_bytes()
    with h5py.File(path, "r+") as file:
        file.attrs["deck"] = file.attrs["deck"].replace("damping", "dampong")
    with pytest.raises(FileError, match=r"run\.h5: damaged, or changed by another program.*the deck.*check=False"):
        open_run(path)
    with open_run(path, check=False) as run:  # at one's own risk; the frames are checked still
        np.testing.assert_array_equal(run.moment[2], frame(2)["moment"])
        assert "dampong" in run.deck_text
        with pytest.raises(FileError, match=r"the deck in it .*dampong"):
            _ = run.deck
    path.write_bytes(data + b"more")
    with pytest.raises(FileError, match="damaged, or changed"):
        open_run(path)
    with pytest.raises(FileError, match="damaged, or changed"):
        Writer.reopen(path, 3)
    assert path.read_bytes() == data + b"more"


def test_a_file_of_too_many_pieces_is_read_without_its_seal(path, deck):
    """Rather than not at all."""
    write(path, deck, 3).close()
    seal.seal(path, 2, [[20_000 + 2 * i, 20_001 + 2 * i] for i in range(2000)])
    holds(path, 3)
    assert pieces(path) == []


def test_a_deck_that_another_version_sealed_is_judged_before_it_is_told(path, deck, monkeypatch):
    """And one without a seal; that of a file which this version sealed was judged then."""
    write(path, deck, 3).close()
    with open_run(path) as run:
        assert run.outline.shape == deck.lattice.shape
    with edited(path) as file:
        file.attrs["deck"] = file.attrs["deck"].replace("damping", "dampong")
    with open_run(path) as run:
        assert run.outline.shape == deck.lattice.shape
    monkeypatch.setattr(seal, "__version__", "9.9")
    with edited(path):
        pass
    for check in (True, False):
        with open_run(path, check=check) as run, pytest.raises(FileError, match=r"the deck in it .*dampong"):
            _ = run.outline
    seal.seal(path, FORMAT_VERSION, [[20_000 + 2 * i, 20_001 + 2 * i] for i in range(2000)])  # too many for the seal
    with open_run(path) as run, pytest.raises(FileError, match=r"the deck in it .*dampong"):
        _ = run.outline


@pytest.mark.parametrize(("text", "told"), [("hello", "cannot be read"), ("[4]", "its lattice is")])
def test_an_outline_that_cannot_be_is_refused_whoever_sealed_it(path, deck, text, told):
    write(path, deck, 3).close()
    with edited(path) as file:
        shape = f"shape = [{deck.lattice.shape[0]}]"
        assert shape in deck.text
        file.attrs["deck"] = text if text == "hello" else deck.text.replace(shape, "shape = [4]")
    with open_run(path) as run, pytest.raises(FileError, match=told):
        _ = run.outline


@pytest.mark.parametrize("shape", [(), (3,), (7,), (2, 5)])
@pytest.mark.parametrize("n", [0, 1, 63, 64, 40_000])
def test_checksums_of_many_rows_are_those_of_zlib(n, shape, rng):
    import zlib

    values = rng.normal(size=(n, *shape))
    assert crc_rows(values).tolist() == [zlib.crc32(row.tobytes()) for row in values]
    words = (values.astype("<i8") & 0xFFFF).astype("<u2")
    assert crc_rows(words).tolist() == [zlib.crc32(row.tobytes()) for row in words]


def test_a_change_made_on_purpose_can_be_accepted(path, deck):
    write(path, deck, 4).close()
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = "field ramp, second try"
    with pytest.raises(FileError, match=r"changed by another program.*accept_changes\(path\)"):
        open_run(path)
    accept_changes(path)
    with open_run(path) as run:
        assert run.attrs["note"] == "field ramp, second try"
        holds(path, 4)
    with Writer.reopen(path, 4, 6) as writer:
        writer.append(frame(4))
    holds(path, 5)


def test_a_changed_number_is_not_accepted(path, deck):
    write(path, deck, 4).close()
    with h5py.File(path, "r+") as file:
        file["moment"][2, 0, 0] += 1e-9
        file.attrs["note"] = "mine"
    before = path.read_bytes()
    with pytest.raises(FileError, match="frames 2 are not as they were written"):
        accept_changes(path)
    assert path.read_bytes() == before
