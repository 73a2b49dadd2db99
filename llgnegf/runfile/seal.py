"""The seal of a run file: a digest of everything in it but the frames, checked before HDF5 reads any of it.

HDF5 has no checksums of its own here, and where its indices, names or attributes are damaged it returns other numbers,
raises whatever it likes, or never returns.  So a run file begins with a block of 512 bytes, which HDF5 leaves to its
users.  It holds, as text, the length of the file, where the table of the frames' places is (the dataset `data_extents`:
begin and end of each piece of the file that holds frames or the table), and the SHA-256 of that table and of all bytes
outside these pieces and the flags of a writer at work.  The pieces stay as they are while frames are written; `seal` is called when a file is made and
when it is resized, before it takes its name.

Files of format 1 begin with HDF5 and have no seal.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from llgnegf._version import __version__
from llgnegf.errors import FileError

HDF5 = b"\x89HDF\r\n\x1a\n"
EXTENTS = "data_extents"
BLOCK = 512  # bytes before HDF5
_MAGIC = b"llgnegf run file\n"
_WORDS = _MAGIC + b"HDF5 begins at byte 512. This block seals all of it but the frames, which have checksums.\n"
_FLAGS = BLOCK + 20, BLOCK + 24  # of HDF5's superblock: whether a writer has the file open
_PIECE = 1 << 20
REMEDY = (
    "restore the file from a copy or run its deck again. To read at your own risk what is left: "
    "llgnegf.open_run(path, check=False)"
)


def lay_table(file: h5py.File, frames: list[h5py.Dataset]) -> None:
    """Writes the table of the places of `frames`, datasets with all their room taken, into a file in the making."""
    if EXTENTS in file:
        del file[EXTENTS]
    pieces = _merged(np.array([place for dataset in frames for place in _places(dataset)], np.uint64).reshape(-1, 2))
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    table = file.create_dataset(EXTENTS, (2 * len(pieces) + 2,), "<u8", dcpl=early)
    table.make_scale(EXTENTS)
    table.attrs.update({"units": "1", "long_name": "bytes of the file that hold frames: begin, end, begin, end, ..."})
    begin = table.id.get_offset()
    own = np.array([[begin, begin + table.nbytes]], np.uint64)
    table[:] = np.concatenate([pieces, own]).reshape(-1)  # its own place last, which keeps its length


def seal(path: Path, format_version: int) -> None:
    """Seals the closed file `path`, in which `lay_table` has left the table."""
    with h5py.File(path, "r", locking=False) as file:
        table, begin = file[EXTENTS][()], file[EXTENTS].id.get_offset()
    with open(path, "r+b") as raw:
        record = {
            "format_version": format_version,
            "llgnegf_version": __version__,
            "bytes": os.fstat(raw.fileno()).st_size,
            "table": [begin, len(table)],
            "table_sha256": hashlib.sha256(table.astype("<u8").tobytes()).hexdigest(),
            "structure_sha256": _digest(raw, table, os.fstat(raw.fileno()).st_size),
        }
        text = _WORDS + json.dumps(record).encode() + b"\n"
        raw.seek(0)
        raw.write((text + hashlib.sha256(text).hexdigest().encode() + b"\n").ljust(BLOCK, b"\n"))


def is_sealed(raw: BinaryIO) -> bool:
    """Whether a file begins with a seal, sound or not."""
    raw.seek(0)
    return raw.read(len(_MAGIC)) == _MAGIC


def record_of(raw: BinaryIO, path: Path) -> dict[str, Any]:
    """What the seal of `raw` says, under format_version, llgnegf_version, ...  FileError where it is damaged."""
    raw.seek(0)
    block = raw.read(BLOCK)
    text, _, rest = block.rpartition(b"}\n")
    text += b"}\n"
    if len(block) < BLOCK or hashlib.sha256(text).hexdigest().encode() != rest.strip():
        raise FileError(f"{path}: damaged in its first {BLOCK} bytes, the seal of the run file: {REMEDY}")
    record: dict[str, Any] = json.loads(text[len(_WORDS) :])
    return record


def check(raw: BinaryIO, path: Path, record: dict[str, Any]) -> None:
    """FileError unless everything in `raw` but its frames is as it was sealed."""
    size = os.fstat(raw.fileno()).st_size
    if size < record["bytes"]:
        raise FileError(f"{path}: cut short, {size} of {record['bytes']} bytes are there: {REMEDY}")
    begin, length = record["table"]
    raw.seek(begin)
    data = raw.read(8 * length)
    if hashlib.sha256(data).hexdigest() != record["table_sha256"]:
        raise FileError(f"{path}: damaged in bytes {begin} to {begin + 8 * length}, where its frames are: {REMEDY}")
    if size > record["bytes"] or _digest(raw, np.frombuffer(data, "<u8"), size) != record["structure_sha256"]:
        raise FileError(
            f"{path}: damaged, or changed by another program: names, attributes (the deck), coordinates or indices "
            f"are not those that were written (checksum): {REMEDY}"
        )


def _digest(raw: BinaryIO, table: NDArray[np.uint64], size: int) -> str:
    """SHA-256 of all bytes from BLOCK to `size` outside the pieces of the table, (2 n,)."""
    found = hashlib.sha256()
    place = BLOCK
    for begin, end in [_FLAGS, *_sorted(table), (size, size)]:
        raw.seek(place)
        while place < begin:
            data = raw.read(min(_PIECE, begin - place))
            if not data:
                break
            found.update(data)
            place += len(data)
        place = max(place, end)
    return found.hexdigest()


def _sorted(table: NDArray[np.uint64]) -> list[tuple[int, int]]:
    return sorted((int(begin), int(end)) for begin, end in table.reshape(-1, 2))


def _merged(pieces: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Pieces (n, 2) in the order of the file, those that touch made one."""
    if not len(pieces):
        return pieces
    pieces = pieces[np.argsort(pieces[:, 0], kind="stable")]
    starts = np.concatenate([[True], pieces[1:, 0] != pieces[:-1, 1]])
    ends = np.concatenate([starts[1:], [True]])
    return np.stack([pieces[starts, 0], pieces[ends, 1]], axis=1)


def _places(dataset: h5py.Dataset) -> list[list[int]]:
    """Begin and end of its chunks in the file, those that follow each other made one."""
    found: list[list[int]] = []
    shift = _shift()

    def add(chunk: Any) -> None:
        begin = chunk.byte_offset + shift
        if found and found[-1][1] == begin:
            found[-1][1] += chunk.size
        else:
            found.append([begin, begin + chunk.size])

    dataset.id.chunk_iter(add)
    return found


@cache
def _shift() -> int:
    """What must be added to the place of a chunk that HDF5 tells: some versions count from the end of the block."""
    values = np.arange(1, 5, dtype="<f8")
    with h5py.File("shift", "w", driver="core", backing_store=False, userblock_size=BLOCK) as file:
        dataset = file.create_dataset("a", data=values, chunks=values.shape)
        file.flush()
        told = dataset.id.get_chunk_info(0).byte_offset
        image = file.id.get_file_image()
        return int(image.find(values.tobytes())) + (BLOCK if image.startswith(HDF5) else 0) - told
