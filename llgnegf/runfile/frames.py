"""The frames of an open run file, each number held against its checksum before it is returned.

In format 2 every variable has a checksum of its own in each frame, so that only what is asked for is read.  In format 1
a frame has one for all its variables: the first time that a part of it is asked for, all of it is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from llgnegf.errors import FileError
from llgnegf.once import cached_property
from llgnegf.runfile.crc import crc_of_array, crc_rows
from llgnegf.runfile.layout import CRC, CRCS, NOT_VARIABLES, TIME, as_text, dims_of, variables_in
from llgnegf.runfile.sound import hdf5_errors

_UNWRITTEN = np.array(np.nan, "<f8").view("<u8")[()]
_BLOCK_BYTES = 1 << 24  # that are held in memory beside what was asked for
_CRC_ROWS = 1 << 16
# What is known of a frame of format 1
_UNKNOWN, _SOUND, _DAMAGED = 0, 1, 2


class DamagedFrames(FileError):
    """Frames that are not as they were written.  name: the variable that was asked for; frames: their numbers."""

    def __init__(self, path: Path, name: str, frames: NDArray[np.int64], first: int, last: int):
        self.name, self.frames = name, [int(i) for i in frames]
        which = spans(frames)
        sound = spans(np.setdiff1d(np.arange(first, last), frames))
        rest = f"frames {sound} of it can be read, one by one or as a slice" if sound else "no other was asked for"
        super().__init__(
            f"{path}: {name} is damaged in frame{'s' if len(frames) > 1 else ''} {which}: the checksum does not hold; "
            f"{rest}. `llgnegf show` lists all damaged frames"
        )


def spans(frames: NDArray[np.int64]) -> str:
    """Increasing numbers in words: "0 to 2, 4, 6 to 9", shortened where they are many."""
    if not len(frames):
        return ""
    ends = np.flatnonzero(np.diff(frames, append=-1) != 1)
    starts = np.concatenate([[0], ends[:-1] + 1])
    words = [
        f"{frames[a]} to {frames[b]}" if b > a else f"{frames[a]}" for a, b in zip(starts[:6], ends[:6], strict=True)
    ]
    return ", ".join(words) + (", ..." if len(ends) > 6 else "")


@dataclass(frozen=True)
class Stored:
    """A variable as the file describes it.  shape: without that of time; column: its own in the checksums."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    per_frame: bool
    unit: str
    long_name: str
    column: int
    dataset: h5py.Dataset


class Frames:
    """The complete frames of an open run file."""

    def __init__(self, path: Path, file: h5py.File):
        self._path, self._file = path, file
        self._lengths: dict[str, int] = {}
        time = file[TIME]
        if time.ndim != 1 or time.dtype != np.dtype("<f8") or not time.is_scale:
            raise FileError(f"{path}: 'time' is {time.dtype} of shape {time.shape}, not a number for each frame")
        self._crc: h5py.Dataset = self._checksums(CRC, ())
        for name in file:
            with hdf5_errors(path, f"read what the dimensions of {name!r} are"):
                dataset = file[name]
                placed = dataset.is_scale or len(dataset.dims[0])
            if not placed and name not in NOT_VARIABLES:
                raise FileError(f"{path}: {name!r} has no dimensions: not a run file of llgnegf")
        names = variables_in(file)
        self._crcs: h5py.Dataset | None = self._checksums(CRCS, (len(names),)) if CRCS in file else None
        self._rows: tuple[int, NDArray[np.uint32]] = 0, np.empty((0, len(names)), np.uint32)
        self.as_stored: NDArray[np.float64] = time[()]
        if self._crcs is not None:
            # Bit for bit: damage may make a NaN of a time, but not this one.
            written = self.as_stored.view("<u8") != _UNWRITTEN
        else:
            written = ~np.isnan(self.as_stored)
        # Behind a gap, which a power cut may leave, nothing counts: frames are written one after the other.
        self.n_frames = len(written) if written.all() else int(np.argmin(written))
        self.as_stored = self.as_stored[: self.n_frames]
        self.stored = {name: self._stored(name, column) for column, name in enumerate(names)}
        self._known = np.zeros(self.n_frames, np.uint8)  # of frames of format 1
        self._all_sound = False

    @property
    def is_open(self) -> bool:
        """Whether the file is."""
        return bool(self._file)

    @cached_property
    def times(self) -> NDArray[np.float64]:
        """Time of each frame.  DamagedFrames where one is damaged."""
        if self._crcs is not None:
            return self.read(self.stored[TIME], 0, self.n_frames)
        # Format 1 has no checksum of the time alone.
        bad = np.flatnonzero(~(np.diff(self.as_stored, prepend=-np.inf) > 0) | ~np.isfinite(self.as_stored))
        self._refuse(self.stored[TIME], bad, 0, self.n_frames)
        return self.as_stored

    def read(self, stored: Stored, first: int, last: int) -> NDArray[Any]:
        """Frames first to last - 1 of a variable with a time axis, (last - first, *shape).  Raises DamagedFrames."""
        with hdf5_errors(self._path, f"read {stored.name}"):
            values: NDArray[Any] = stored.dataset[first:last]
            bad = np.empty(0, np.int64)
            if self._all_sound:
                pass  # all of the file was looked at since it was opened
            elif self._crcs is None:
                bad = first + np.flatnonzero(self._known_of(first, last) == _DAMAGED)
            else:
                bad = self._otherwise(stored, first, values)
                if len(bad):  # another process may have written them anew while they were read
                    self._rows = 0, self._rows[1][:0]
                    values = stored.dataset[first:last]
                    bad = self._otherwise(stored, first, values)
        self._refuse(stored, bad, first, last)
        return values

    def read_once(self, stored: Stored) -> NDArray[Any]:
        """A variable without a time axis.  NaN before the first frame; raises DamagedFrames where that is damaged."""
        if not self.n_frames:
            return np.full(stored.shape, -1 if stored.dtype.kind in "iu" else np.nan, stored.dtype)
        with hdf5_errors(self._path, f"read {stored.name}"):
            values: NDArray[Any] = np.asarray(stored.dataset[()])
            if self._crcs is None:
                sound = self._known_of(0, 1)[0] == _SOUND
            else:
                sound = crc_of_array(values) == int(self._row(0, 1)[0, stored.column])
        self._refuse(stored, np.flatnonzero([not sound]), 0, 1)
        return values

    def ok(self, first: int, last: int) -> NDArray[np.bool_]:
        """Whether every checksum holds in each of the frames first to last - 1; all of them is read."""
        with hdf5_errors(self._path, "read frames"):
            if self._crcs is None:
                return self._known_of(first, last) == _SOUND
            good = np.ones(last - first, bool)
            each = [stored for stored in self.stored.values() if stored.per_frame]
            # Piece by piece, so that the checksums of a piece are read once for all variables.
            for a, b in _blocks(first, last, max(_bytes_of_frame(each), _BLOCK_BYTES // _CRC_ROWS)):
                for stored in each:
                    good[self._otherwise(stored, a, stored.dataset[a:b]) - first] = False
            if first == 0 < last:
                for stored in self.stored.values():
                    if not stored.per_frame:
                        values = np.asarray(stored.dataset[()])
                        good[0] &= crc_of_array(values) == int(self._row(0, 1)[0, stored.column])
            self._all_sound = self._all_sound or (first == 0 and last == self.n_frames and bool(good.all()))
            return good

    def crcs(self, first: int, last: int) -> NDArray[np.uint32]:
        """The checksums of all that was written with the frames first to last - 1."""
        with hdf5_errors(self._path, "read checksums of frames"):
            return np.asarray(self._crc[first:last])

    # --- the two formats --------------------------------------------------------------------------------------------

    def _otherwise(self, stored: Stored, first: int, values: NDArray[Any]) -> NDArray[np.int64]:
        """Frames in which `values`, read from frame `first` on, are not those that were written.  Format 2."""
        found = np.empty(len(values), bool)
        for a, b in _blocks(0, len(values), _BLOCK_BYTES // _CRC_ROWS):
            found[a:b] = crc_rows(values[a:b]) != self._row(first + a, first + b)[:, stored.column]
        return first + np.flatnonzero(found)

    def _row(self, first: int, last: int) -> NDArray[np.uint32]:
        """Checksums of the variables in frames first to last - 1, (last - first, variables)."""
        start, rows = self._rows
        if not start <= first <= last <= start + len(rows):
            assert self._crcs is not None
            start = first
            rows = self._crcs[first : max(last, min(first + _CRC_ROWS, self.n_frames))]
            self._rows = start, rows
        return rows[first - start : last - start]

    def _known_of(self, first: int, last: int) -> NDArray[np.uint8]:
        """What is known of frames first to last - 1 of format 1, after all of each was read once."""
        each = [stored for stored in self.stored.values() if stored.per_frame and stored.name != TIME]
        for a, b in _blocks(first, last, 8 + _bytes_of_frame(each)):
            if (self._known[a:b] == _UNKNOWN).any():
                self._known[a:b] = np.where(self._crcs_of(a, b, each) == self._crc[a:b], _SOUND, _DAMAGED)
        return self._known[first:last]

    def _crcs_of(self, first: int, last: int, each: list[Stored]) -> NDArray[np.uint32]:
        """Checksums of whole frames, computed from what is in the file."""
        parts = [self.as_stored[first:last], *(stored.dataset[first:last] for stored in each)]
        if first == 0 < last and len(each) + 1 < len(self.stored):
            # What was written once stands in the first frame among the others, in the order of the file.
            value = crc_of_array(self.as_stored[:1])
            for stored in self.stored.values():
                if stored.name != TIME:
                    value = crc_of_array(stored.dataset[:1] if stored.per_frame else stored.dataset[()], value)
            return np.concatenate([np.array([value], np.uint32), self._crcs_of(1, last, each)])
        count = last - first
        return crc_rows(np.concatenate([np.ascontiguousarray(a).reshape(count, -1).view("u1") for a in parts], axis=1))

    # --- what the file says -----------------------------------------------------------------------------------------

    def _refuse(self, stored: Stored, bad: NDArray[np.int64], first: int, last: int) -> None:
        if len(bad):
            raise DamagedFrames(self._path, stored.name, bad, first, last)

    def _checksums(self, name: str, inner: tuple[int, ...]) -> h5py.Dataset:
        """The dataset of checksums `name`.  FileError where it does not fit."""
        if name not in self._file:
            raise FileError(f"{self._path}: lacks {name!r}, the checksums of its frames: not a run file of llgnegf")
        dataset, frames = self._file[name], self._file[TIME].shape[:1]
        if dataset.shape != (*frames, *inner) or dataset.dtype != np.dtype("<u4"):
            raise FileError(
                f"{self._path}: {name!r} is {dataset.dtype} of shape {dataset.shape}, not <u4 of shape "
                f"{(*frames, *inner)}: not a run file of llgnegf"
            )
        return dataset

    def _length(self, dim: str) -> int:
        """Length of a dimension; each is looked up once."""
        if dim not in self._lengths:
            self._lengths[dim] = len(self._file[dim])
        return self._lengths[dim]

    def _stored(self, name: str, column: int) -> Stored:
        dataset = self._file[name]
        with hdf5_errors(self._path, f"read what the dimensions of {name!r} are"):
            dims = dims_of(dataset)
        per_frame = dims[0] == TIME
        sizes = [self._length(dim) for dim in dims]
        if list(dataset.shape) != sizes or dataset.dtype not in (np.dtype("<f8"), np.dtype("<i8")):
            raise FileError(
                f"{self._path}: {name!r} is {dataset.dtype} of shape {dataset.shape}, but its dimensions "
                f"{', '.join(dims)} have lengths {sizes}, and variables are float64 or int64: not a run file of llgnegf"
            )
        return Stored(
            name=name,
            dims=dims,
            shape=dataset.shape[1:] if per_frame else dataset.shape,
            dtype=dataset.dtype,
            per_frame=per_frame,
            unit=as_text(dataset.attrs.get("units", "1")),
            long_name=as_text(dataset.attrs.get("long_name", "")),
            column=column,
            dataset=dataset,
        )


def _bytes_of_frame(each: list[Stored]) -> int:
    """Bytes of these variables in one frame."""
    return sum(math.prod(stored.shape) * stored.dtype.itemsize for stored in each)


def _blocks(first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of pieces of the frames first to last - 1 that hold few bytes each; size: bytes of a frame."""
    step = max(1, _BLOCK_BYTES // max(size, 1))
    return ((a, min(a + step, last)) for a in range(first, last, step))
