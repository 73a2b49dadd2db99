"""The seal of a run file: a digest of everything in it but the frames, checked before HDF5 reads any of it.

HDF5 has no checksums of its own here, and where its indices, names or attributes are damaged it returns other numbers,
raises whatever it likes, or never returns.  So a run file begins with a block of `BLOCK` bytes, which HDF5 leaves to
its users.  It holds, as text, the length of the file, the pieces of the file that hold frames (begin and end), and the
SHA-256 of all bytes outside these pieces and outside the flags of a writer at work.  The pieces stay as they are while
frames are written; `seal` is called when a file is made and when it is resized, before it takes its name.

Files of format 1 begin with HDF5 and have no seal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from llgnegf._version import __version__
from llgnegf.errors import FileError

HDF5 = b"\x89HDF\r\n\x1a\n"
BLOCK = 8192  # bytes before HDF5
_MAGIC = b"llgnegf run file\n"
_WORDS = _MAGIC + b"HDF5 begins at byte %d. This block seals all of it but the frames, which have checksums.\n" % BLOCK
_END = b"\n\n"
_FLAGS = BLOCK + 20, BLOCK + 24  # of HDF5's superblock: whether a writer has the file open
_PIECE = 1 << 20
REMEDY = (
    "restore the file from a copy or run its deck again. If you changed it on purpose: llgnegf.accept_changes(path). "
    "To read at your own risk what is left: llgnegf.open_run(path, check=False)"
)


def index_block(n_chunks: int) -> int:
    """Bytes that HDF5 shall take at a time for its indices of so many chunks: few pieces, and little left unused."""
    return min(max(8192, 4 * n_chunks), 1 << 20)


def places(datasets: Sequence[h5py.Dataset]) -> list[list[int]]:
    """The pieces of the file, begin and end, that hold the numbers of chunked datasets whose room is taken."""
    found: list[list[int]] = []
    for begin, end in sorted(piece for dataset in datasets for piece in _chunks(dataset)):
        if found and found[-1][1] == begin:
            found[-1][1] = end
        else:
            found.append([begin, end])
    return found


def seal(path: Path, format_version: int, frames: list[list[int]]) -> None:
    """Seals the closed file `path`; frames: the `places` in it that are yet to be written."""
    with open(path, "r+b") as raw:
        size = os.fstat(raw.fileno()).st_size
        record = {
            "format_version": format_version,
            "llgnegf_version": __version__,
            "bytes": size,
            "sha256": _digest(raw, frames, size),
            "frames": frames,
        }
        block = _block(record)
        if len(block) > BLOCK:  # more pieces than `index_block` lets expect: the frames have their checksums still
            block = _block({**record, "sha256": None, "frames": []})
        raw.seek(0)
        raw.write(block.ljust(BLOCK, b"\n"))


def _block(record: dict[str, Any]) -> bytes:
    text = _WORDS + json.dumps(record, separators=(",", ":")).encode() + _END
    return text + hashlib.sha256(text).hexdigest().encode() + b"\n"


def is_sealed(raw: BinaryIO) -> bool:
    """Whether a file begins with a seal, sound or not."""
    raw.seek(0)
    return raw.read(len(_MAGIC)) == _MAGIC


def record_of(raw: BinaryIO, path: Path) -> dict[str, Any]:
    """What the seal of `raw` says, under format_version, llgnegf_version, ...  FileError where it is damaged."""
    raw.seek(0)
    block = raw.read(BLOCK)
    text, end, rest = block.partition(_END)
    if len(block) < BLOCK or hashlib.sha256(text + end).hexdigest().encode() != rest.rstrip(b"\n"):
        raise FileError(f"{path}: damaged in its first {BLOCK} bytes, the seal of the run file: {REMEDY}")
    record: dict[str, Any] = json.loads(text[len(_WORDS) :])
    return record


def check(raw: BinaryIO, path: Path, record: dict[str, Any]) -> bool:
    """FileError unless everything in `raw` but its frames is as it was sealed; False where the seal cannot tell."""
    size = os.fstat(raw.fileno()).st_size
    if size < record["bytes"]:
        raise FileError(f"{path}: cut short, {size} of {record['bytes']} bytes are there: {REMEDY}")
    if record["sha256"] is None:
        return False
    if size > record["bytes"] or _digest(raw, record["frames"], size) != record["sha256"]:
        raise FileError(
            f"{path}: damaged, or changed by another program: names, attributes (the deck), coordinates or indices "
            f"are not those that were written (checksum): {REMEDY}"
        )
    return True


def _digest(raw: BinaryIO, frames: list[list[int]], size: int) -> str:
    """SHA-256 of all bytes from BLOCK to `size` outside the pieces `frames`."""
    found = hashlib.sha256()
    place = BLOCK
    for begin, end in [_FLAGS, *frames, (size, size)]:
        raw.seek(place)
        while place < begin:
            data = raw.read(min(_PIECE, begin - place))
            if not data:
                break
            found.update(data)
            place += len(data)
        place = max(place, end)
    return found.hexdigest()


def _chunks(dataset: h5py.Dataset) -> list[list[int]]:
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
