"""Checkpoints: everything a run needs to go on bit for bit, in a file that shows any damage.

A file is    magic | length of the header | header (JSON) | sha256 of all that | payload (npz)

and the header holds length and sha256 of the payload, so that every byte is guarded.  Files are written beside the
run as `RUN.h5.ckpt` through a temporary file, fsync, `os.replace` and fsync of the folder; the two before it stay as
`.ckpt.1` and `.ckpt.2`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import operator
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.errors import FileError
from llgnegf.runfile.disk import disk_errors, fresh_file, move, real_path, refuse_special, sync_folder
from llgnegf.runfile.provenance import environment

FORMAT_VERSION = 2
READABLE = (1, 2)  # version 1 also held a velocity and a field, which nothing started from
KEPT = 3
_LARGE = 1 << 24  # bytes: below, a checkpoint is written whatever room there is
_MAGIC = b"LLGNEGF checkpoint\n"
_LENGTH = struct.Struct("<Q")
_SHA = 32


@dataclass(frozen=True)
class State:
    """All that the next step depends on.  The time is step * dt: never accumulated, so never stored.

    moment: (nx[, ny], 3), unit vectors; solves: Green's functions evaluated so far; extra: what the stepper remembers
    (`Stepper.state`), arrays of numbers or texts by name.
    """

    step: int
    moment: NDArray[np.float64]
    solves: int = 0
    extra: dict[str, NDArray[Any]] = field(default_factory=dict)


def checkpoint_paths(run_path: str | Path) -> list[Path]:
    """Where the checkpoints of a run are, the newest first; not all need exist."""
    newest = Path(f"{run_path}.ckpt")
    return [newest, *(Path(f"{newest}.{k}") for k in range(1, KEPT))]


def save(
    run_path: str | Path,
    state: State,
    deck_text: str,
    frames_written: int,
    info: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the newest checkpoint of `run_path`, keeps the two before it, and returns its path.

    `info` is anything JSON can hold that the resumed run should know.  When this returns the checkpoint is on the
    disk; whenever it is cut short, an earlier one still is.  Raises FileError.
    """
    payload = _payload(state)
    header = {
        "format_version": FORMAT_VERSION,
        "step": int(state.step),
        "solves": int(state.solves),
        "frames_written": int(frames_written),
        "deck": deck_text,
        "payload_bytes": len(payload),
        "payload_sha256": hashlib.sha256(payload).hexdigest(),
        "environment": environment(),
        "info": dict(info or {}),
    }
    text = json.dumps(header).encode()
    head = _MAGIC + _LENGTH.pack(len(text)) + text
    newest, *older = paths = checkpoint_paths(run_path)
    for path in paths:
        refuse_special(path)
    temporary = Path(f"{real_path(newest)}.tmp")  # a checkpoint may lie elsewhere, with a link in its place
    _make_room(paths[1:], len(payload))
    with disk_errors(newest, "write the checkpoint"):
        try:
            fresh_file(temporary, Path(run_path))
            with open(temporary, "wb") as file:
                file.write(head + hashlib.sha256(head).digest())
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()  # on a full disk, what was begun only takes room
            raise
        for younger, older_path in reversed(list(zip(paths[:-1], older, strict=True))):
            with contextlib.suppress(FileNotFoundError):
                move(younger, older_path)
        move(temporary, newest)
        sync_folder(temporary.parent)
    return newest


def _make_room(older: list[Path], size: int) -> None:
    """Gives up the oldest checkpoints, never the newest, where the disk has no room for one more of `size` bytes."""
    if size < _LARGE:
        return
    for path in reversed(older):
        with contextlib.suppress(OSError):
            if shutil.disk_usage(path.parent).free < 2 * size:
                path.unlink(missing_ok=True)


def load_newest(run_path: str | Path) -> tuple[State, dict[str, Any]]:
    """The newest sound checkpoint and its header; header["notes"] names each newer one that was passed over, and why.

    Raises FileError when there is none, or none that is sound.
    """
    notes: list[str] = []
    for path in checkpoint_paths(run_path):
        try:
            mode = os.stat(path).st_mode
            if not stat.S_ISREG(mode):  # reading a pipe or a device may never end
                notes.append(f"{path}: is not a file")
                continue
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            notes.append(f"{path}: cannot be read: {error.strerror or error}")
            continue
        try:
            state, header = _decode(data)
        except _Damaged as damage:
            notes.append(f"{path}: {damage}")
            continue
        return state, {**header, "path": str(path), "notes": notes}
    remedy = f"run its deck again with `llgnegf run DECK -o {run_path} --overwrite`"
    if notes:
        raise FileError("\n".join([f"{run_path}: none of its checkpoints can be used; {remedy}", *notes]))
    raise FileError(f"{run_path}: there is no checkpoint beside it ({run_path}.ckpt); {remedy}")


# --- the bytes ------------------------------------------------------------------------------------------------------


class _Damaged(Exception):
    """The file is not the checkpoint that was written."""


def _payload(state: State) -> bytes:
    arrays: dict[str, Any] = {"moment": state.moment}
    arrays.update({f"extra/{name}": array for name, array in state.extra.items()})
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:  # would be pickled, and refused when read
            raise TypeError(f"{name}: a checkpoint holds plain numbers and texts, not Python objects")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _decode(data: bytes) -> tuple[State, dict[str, Any]]:
    start = len(_MAGIC) + _LENGTH.size
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        raise _Damaged("is not a checkpoint, or its first bytes are damaged")
    end = start + _LENGTH.unpack(data[len(_MAGIC) : start])[0]
    if hashlib.sha256(data[:end]).digest() != data[end : end + _SHA]:
        raise _Damaged("its header is damaged (checksum)")
    try:
        header = json.loads(data[start:end])
        return _state(header, data[end + _SHA :]), header
    except (KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile, RecursionError) as error:
        # With a checksum that holds: not damaged, but not ours.
        raise _Damaged(f"is not a checkpoint of llgnegf ({type(error).__name__}: {error})") from None


def _state(header: dict[str, Any], payload: bytes) -> State:
    """The state in a checkpoint whose header is sound.  Raises _Damaged, or what a header from elsewhere ends in."""
    if header["format_version"] not in READABLE:
        readable = " and ".join(map(str, READABLE))
        raise _Damaged(f"has format {header['format_version']}; this version of llgnegf reads {readable}")
    if len(payload) != header["payload_bytes"]:
        raise _Damaged(f"holds {len(payload)} bytes of data instead of {header['payload_bytes']}")
    if hashlib.sha256(payload).hexdigest() != header["payload_sha256"]:
        raise _Damaged("its data are damaged (checksum)")
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
            raise ValueError("its data are compressed")  # to any size
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        state = State(
            step=operator.index(header["step"]),
            moment=arrays["moment"],
            solves=operator.index(header["solves"]),
            extra={name.removeprefix("extra/"): arrays[name] for name in arrays if name.startswith("extra/")},
        )
    if state.moment.dtype != np.float64 or state.step < 0 or operator.index(header["frames_written"]) < 0:
        raise ValueError(f"step {state.step}, moments {state.moment.dtype}")
    if not isinstance(header["deck"], str):
        raise TypeError(f"its deck is {type(header['deck']).__name__}")
    return state
