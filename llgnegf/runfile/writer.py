"""Writing a run file, so that it survives being killed at any moment.

A frame is written as data, then the CRC-32 of its bytes, then its `time`: a frame whose time is NaN does not exist.
Resizing works on a copy.
"""

from __future__ import annotations

import math
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from llgnegf.errors import DeckError, FileError, RunWarning
from llgnegf.runfile.checkpoint import checkpoint_paths
from llgnegf.runfile.crc import crc_of, crc_of_array
from llgnegf.runfile.disk import disk_errors, real_path, refuse_full_disk, refuse_special, take_name, temporary_name
from llgnegf.runfile.layout import (
    CRC,
    CRCS,
    FORMAT_VERSION,
    OPEN,
    TIME,
    Layout,
    as_text,
    attributes,
    create,
    frames_in,
    is_per_frame,
    put,
    scales_of,
    set_attributes,
    storable,
    variables_in,
)
from llgnegf.runfile.lock import Lock
from llgnegf.runfile.reader import open_run
from llgnegf.runfile.seal import index_block, places, seal

if TYPE_CHECKING:
    from llgnegf.deck import Deck


class Writer:
    """Writes a run file frame by frame.  One writer at a time: a second one, in any process, gets a FileError."""

    def __init__(self, path: Path, file: h5py.File, lock: Lock):
        self.path = path
        self._lock = lock
        self._attach(file)
        self.n_frames = 0  # frames written
        self.differences: list[int] = []  # frames computed again that came out otherwise than before
        self._survivors: dict[int, tuple[int, float]] = {}  # their CRC and time
        self._told = False

    @classmethod
    def create(
        cls,
        path: str | Path,
        deck: Deck,
        n_frames: int,
        shape: Sequence[int],
        variables: Mapping[str, Layout],
        overwrite: bool = False,
        attrs: Mapping[str, Any] | None = None,
        coordinates: Mapping[str, Sequence[Any]] | None = None,
    ) -> Writer:
        """A new run file with room for `n_frames` frames of `variables` on a lattice of `shape`.

        The variable `time` comes by itself.  `attrs` are further root attributes; `coordinates` gives values of
        dimensions beside time, x, y, component, plane and lead (left, right), or other ones for these.

        Raises DeckError if a run is there already and `overwrite` is false; FileError for trouble with the disk.
        """
        path = real_path(path)
        scales = scales_of(shape, variables, coordinates or {})
        lock = Lock(path)
        try:
            _refuse_overwriting(path, overwrite)
            _refuse_small_disk(path, n_frames, scales, variables)
            for old in checkpoint_paths(path):  # before the new file: an old checkpoint must not continue a new run
                with disk_errors(old, "remove the old checkpoint"):
                    real_path(old).unlink(missing_ok=True)
            with disk_errors(path, "create the run file"):
                create(path, n_frames, scales, variables, {**attributes(deck), **(attrs or {})})
                file = h5py.File(path, "r+", **OPEN)
        except BaseException:
            lock.release()
            raise
        return cls(path, file, lock)

    @classmethod
    def reopen(
        cls, path: str | Path, frames_written: int, n_frames: int = 0, attrs: Mapping[str, str] | None = None
    ) -> Writer:
        """Goes on with a run file after its first `frames_written` frames, those its checkpoint knows of.

        Later frames become unwritten; when one of them is appended again and its bytes differ from the sound ones that
        were there, its number is added to `differences`.  `n_frames` and `attrs` are those of `extend`, which comes
        first: where there is no room, no frame is lost.  Raises FileError.
        """
        path = real_path(path)
        lock = Lock(path)
        try:
            with open_run(path) as run:
                if run.n_frames < frames_written:
                    raise FileError(
                        f"{path}: holds {run.n_frames} frames, but its checkpoint knows of {frames_written}: it was "
                        "changed or damaged since; run its deck again with --overwrite"
                    )
                frames = range(frames_written, run.n_frames)
                survivors = {i: (run.stored_crc(i), float(run.stored_times[i])) for i in frames if run.frame_ok(i)}
                there = run.n_frames
            with disk_errors(path, "open the run file for writing"):
                writer = cls(path, h5py.File(path, "r+", **OPEN), lock)
        except BaseException:
            lock.release()
            raise
        try:
            writer.n_frames = there
            writer.extend(n_frames, attrs)
            writer.truncate(frames_written)
        except BaseException:
            writer.close()
            raise
        writer._survivors = survivors
        return writer

    @property
    def capacity(self) -> int:
        """Frames the file has room for."""
        return self._capacity

    @property
    def names(self) -> list[str]:
        """What `append` asks for beside `time`; what is written once, it asks for with the first frame alone."""
        return list(self._data)

    def append(self, frame: Mapping[str, Any]) -> None:
        """Writes the next frame: `time` and every variable by name, with the first one those that have no time axis.

        Raises ValueError for a frame of other variables or shapes, a time that is not finite, or a full file; FileError
        for trouble with the disk.
        """
        i = self.n_frames
        if i >= self.capacity:
            raise ValueError(f"frame {i}: the file has room for {self.capacity} frames; extend it first")
        wanted = self._layout if i == 0 else self._layout_later
        if frame.keys() != {TIME, *wanted}:
            missing, unknown = sorted({TIME, *wanted} - set(frame)), sorted(set(frame) - {TIME, *wanted})
            raise ValueError(f"frame {i}: missing {missing}, unknown {unknown}")
        time = float(frame[TIME])
        if not math.isfinite(time):
            raise ValueError(f"frame {i}: time = {time} must be finite")
        arrays = {name: np.asarray(frame[name], dtype=kind, order="C") for name, (kind, _) in wanted.items()}
        for name, array in arrays.items():
            if array.shape != self._layout[name][1]:
                raise ValueError(f"frame {i}: {name} has shape {array.shape}, not {self._layout[name][1]}")
        crc = crc_of(time, arrays.values())
        columns = [crc_of_array(np.array(time, "<f8"))]
        columns += [crc_of_array(arrays[name]) if name in arrays else 0 for name in self._data]
        with disk_errors(self.path, f"write frame {i}"):
            for name, array in arrays.items():
                put(self._data[name], i if name in self._layout_later else None, array)
            if self._crcs is not None:
                put(self._crcs, i, np.array(columns, "<u4"))
            put(self._crc, i, np.array(crc, "<u4"))
            put(self._time, i, np.array(time, "<f8"))
        self.n_frames = i + 1
        if i in self._survivors:
            before, when = self._survivors.pop(i)
            if time == when and crc != before:  # at another time where the run is now saved more or less often
                self.differences.append(i)
            if not self._survivors:
                self._tell_differences()

    def flush(self) -> None:
        """Hands everything to the operating system: it survives the end of this process."""
        with disk_errors(self.path, "flush"):
            self._file.flush()

    def sync(self) -> None:
        """Puts everything on the disk: it survives a power cut.  To be called before each checkpoint."""
        self.flush()
        with disk_errors(self.path, "sync"):
            os.fsync(self._file.id.get_vfd_handle())

    def truncate(self, n_frames: int) -> None:
        """Makes every frame from `n_frames` on unwritten."""
        if not 0 <= n_frames <= self.n_frames:
            raise ValueError(f"cannot truncate to {n_frames} frames: there are {self.n_frames}")
        with disk_errors(self.path, "truncate"):
            written = np.flatnonzero(~np.isnan(self._time[()]))
            for i in written[written >= n_frames][::-1]:  # backwards: no gap if this is cut short
                self._time[i] = np.nan
        self.n_frames = n_frames
        self.flush()

    def trim(self) -> None:
        """Cuts the unwritten frames off: the file of a finished run has none.

        Needs room for a copy; without it the file stays as it is, which readers do not mind.
        """
        if self.n_frames < self.capacity and shutil.disk_usage(self.path.parent).free > os.path.getsize(self.path):
            self._resize(self.n_frames)

    def extend(self, n_frames: int, attrs: Mapping[str, str] | None = None) -> None:
        """Makes room for `n_frames` frames in all; never less than there is.  Needs room for a copy meanwhile.

        `attrs` are root attributes to replace: "deck" and "title" of a deck that differs in what is yet to come.
        """
        changed = {key: text for key, text in (attrs or {}).items() if storable(text) != as_text(self._file.attrs[key])}
        if n_frames > self.capacity or changed:
            n_frames = max(n_frames, self.capacity)
            growth = (n_frames - self.capacity) * os.path.getsize(self.path) // max(self.capacity, 1)
            refuse_full_disk(self.path, os.path.getsize(self.path) + growth)
            self._resize(n_frames, changed)

    def close(self) -> None:
        """Closes the file and gives the lock back.  Closing twice does no harm."""
        if self._file:
            try:
                with disk_errors(self.path, "close"):
                    self._file.close()
            finally:
                self._lock.release()
            self._tell_differences()  # if fewer frames came again than there had been

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _tell_differences(self) -> None:
        """Warns, once, of frames that came out otherwise than those that survived an interruption."""
        if self.differences and not self._told:
            self._told = True
            which = ", ".join(map(str, self.differences[:8])) + (", ..." if len(self.differences) > 8 else "")
            warnings.warn(
                f"{self.path}: of the frames computed again, {len(self.differences)} differ from what was written "
                f"before the interruption (frames {which}); the new ones are kept. Other libraries, another machine or "
                "a changed user's field do that; with one installation on one machine: please report it",
                RunWarning,
                stacklevel=3,
            )

    def _attach(self, file: h5py.File) -> None:
        """Keeps the datasets open: looking them up for each frame is slow and can hide a failing write."""
        self._file: h5py.File = file
        self._time: h5py.Dataset = file[TIME]
        self._crc: h5py.Dataset = file[CRC]
        self._crcs: h5py.Dataset | None = file.get(CRCS)  # none in a file of format 1
        self._data: dict[str, h5py.Dataset] = {name: file[name] for name in variables_in(file) if name != TIME}
        later = {name for name, data in self._data.items() if is_per_frame(data)}
        # Type and shape of what a frame gives: of the first frame, and of those after it.
        self._layout = {
            name: (data.dtype, data.shape[1:] if name in later else data.shape) for name, data in self._data.items()
        }
        self._layout_later = {name: layout for name, layout in self._layout.items() if name in later}
        self._capacity = len(self._time)

    def _resize(self, n_frames: int, attrs: Mapping[str, str] | None = None) -> None:
        """Resizes a copy, which then takes the name: HDF5 cannot be killed safely while it moves its own indices."""
        temporary = temporary_name(self.path)
        with disk_errors(self.path, "resize"):
            self._file.flush()
            try:
                shutil.copyfile(self.path, temporary)
                indices = index_block(n_frames * (len(self._data) + 3))
                with h5py.File(temporary, "r+", meta_block_size=indices, **OPEN) as file:
                    for dataset in frames_in(file):
                        if is_per_frame(dataset):
                            dataset.resize(n_frames, axis=0)
                    set_attributes(file, attrs or {})
                    frames = places(frames_in(file))
                if self._crcs is not None:
                    seal(temporary, FORMAT_VERSION, frames)
                self._file.close()  # not every system replaces a file that is open
                try:
                    take_name(temporary, self.path)
                finally:
                    self._attach(h5py.File(self.path, "r+", **OPEN))
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise


def _refuse_overwriting(path: Path, overwrite: bool) -> None:
    for old in checkpoint_paths(path):
        refuse_special(old)  # before it is removed
    there = [str(old) for old in (path, *checkpoint_paths(path)) if old.exists()]
    if there and not overwrite:
        raise DeckError(
            f"{path}: there already ({', '.join(there)}); continue it with `llgnegf resume {path}`, choose another "
            "name with -o, or replace it with --overwrite (in Python overwrite=True)"
        )


def _refuse_small_disk(
    path: Path, n_frames: int, scales: dict[str, NDArray[Any]], variables: Mapping[str, Layout]
) -> None:
    sizes = {name: 8 * math.prod(len(scales[dim]) for dim in layout.inner) for name, layout in variables.items()}
    frame = 16 + sum(size for name, size in sizes.items() if variables[name].per_frame)
    once = sum(size for name, size in sizes.items() if not variables[name].per_frame)
    refuse_full_disk(path, n_frames * frame + once)
