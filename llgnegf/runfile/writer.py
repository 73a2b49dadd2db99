"""Writing a run file, so that it survives being killed at any moment.

A frame is written as data, then the CRC-32 of its bytes, then its `time`: a frame whose time is NaN does not exist.
Room for frames is taken before they come, for all of a short run at once, for a long one as it goes, twice as much each
time.  Resizing works on a copy.  Frames computed again take the place of those that survived one by one.
"""

from __future__ import annotations

import contextlib
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
from llgnegf.runfile.columns import Column, put
from llgnegf.runfile.crc import crc_of, crc_of_array
from llgnegf.runfile.disk import (
    disk_errors,
    fresh_file,
    real_path,
    refuse_full_disk,
    refuse_special,
    take_name,
    temporary_name,
)
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
    scales_of,
    set_attributes,
    storable,
    variables_in,
)
from llgnegf.runfile.lock import Lock
from llgnegf.runfile.reader import open_run
from llgnegf.runfile.seal import BLOCK, index_block, is_sealed, places, seal
from llgnegf.runfile.sound import refuse_replacing
from llgnegf.runfile.survivors import Survivors

if TYPE_CHECKING:
    from llgnegf.deck import Deck

# A file of more bytes is not laid out for a length that may never be reached: it grows.
_AT_ONCE = 32 << 20
# A file of more bytes is announced before it is made.
_LARGE = 10**9


class Writer:
    """Writes a run file frame by frame.  One writer at a time: a second one, in any process, gets a FileError.

    path: of the file itself, where it was given by a symbolic link.  n_frames: frames written or found equal to
    what is there; capacity: frames that may be written.
    """

    def __init__(self, path: Path, file: h5py.File, lock: Lock):
        self.path = path
        self._lock = lock
        self._attach(file)
        self.n_frames = 0
        self.capacity = self._room
        self.differences: list[int] = []  # frames computed again that came out otherwise than before
        self._there = 0  # complete frames in the file: those written, or more where others survived behind them
        self._survivors: Survivors | None = None
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
        """A new run file for up to `n_frames` frames of `variables` on a lattice of `shape`.

        The variable `time` comes by itself.  `attrs` are further root attributes; `coordinates` gives values of
        dimensions beside time, x, y, component, plane and lead (left, right), or other ones for these.

        Raises DeckError if a run is there already and `overwrite` is false, or a file that is no run; FileError for
        trouble with the disk.
        """
        path = real_path(path)
        scales = scales_of(shape, variables, coordinates or {})
        lock = Lock(path)
        try:
            refuse_overwriting(path, overwrite)
            frame, once = _sizes(scales, variables)
            room = _room_to_take(path, n_frames, frame, once)
            if n_frames * frame > _LARGE:
                warnings.warn(
                    f"{path}: will take {n_frames * frame / 1e9:.3g} GB for {n_frames} frames; a larger run.save_every "
                    "means fewer",
                    RunWarning,
                    stacklevel=3,
                )
            with disk_errors(path, "create the run file"):
                # Old checkpoints go before the new file has its name, since they must not continue a new run; and not
                # before all of it is there, since they may be needed if it cannot be made.
                old = checkpoint_paths(path)
                whole, unit = {**attributes(deck), **(attrs or {})}, f"hbar/{deck.units.label}"
                create(path, room, scales, variables, whole, given_up=old, time_unit=unit)
                file = h5py.File(path, "r+", **OPEN)
        except BaseException:
            lock.release()
            raise
        writer = cls(path, file, lock)
        writer.capacity = n_frames
        return writer

    @classmethod
    def reopen(
        cls, path: str | Path, frames_written: int, n_frames: int = 0, attrs: Mapping[str, str] | None = None
    ) -> Writer:
        """Goes on with a run file after its first `frames_written` frames, those its checkpoint knows of.

        Later frames stay until they are appended again.  One that comes again with the same bytes is left as it is.
        One that comes otherwise, or at another time, takes the place of the old one and of all behind it, which belong
        to another course of the run; where a sound frame of the same time differs, its number is added to
        `differences`.  `n_frames` and `attrs` are those of `extend`.  Raises FileError.
        """
        path = real_path(path)
        lock = Lock(path)
        try:
            _refuse_shared(path)
            with open_run(path) as run:
                if run.n_frames < frames_written:
                    raise FileError(
                        f"{path}: holds {run.n_frames} frames, but its checkpoint knows of {frames_written}: it was "
                        "changed or damaged since; run its deck again with --overwrite"
                    )
                survivors = Survivors(run, frames_written)
            with disk_errors(path, "open the run file for writing"):
                temporary_name(path).unlink(missing_ok=True)  # of a resize that was cut short
                writer = cls(path, h5py.File(path, "r+", **OPEN), lock)
        except BaseException:
            lock.release()
            raise
        writer._survivors = survivors
        writer.n_frames, writer._there = frames_written, survivors.stop
        try:
            writer.extend(n_frames, attrs)
        except BaseException:
            writer.close()
            raise
        return writer

    @property
    def names(self) -> list[str]:
        """What `append` asks for beside `time`; what is written once, it asks for with the first frame alone."""
        return list(self._columns)

    def append(self, frame: Mapping[str, Any]) -> None:
        """Writes the next frame: `time` and every variable by name, with the first one those that have no time axis.

        Raises ValueError for a frame of other variables or shapes, a time that is not finite, or a full file; FileError
        for trouble with the disk.
        """
        i = self.n_frames
        if i >= self.capacity:
            raise ValueError(f"frame {i}: the file has room for {self.capacity} frames; extend it first")
        wanted = self._columns if i == 0 else self._columns_later
        if frame.keys() != {TIME, *wanted}:
            missing, unknown = sorted({TIME, *wanted} - set(frame)), sorted(set(frame) - {TIME, *wanted})
            raise ValueError(f"frame {i}: missing {missing}, unknown {unknown}")
        time = float(frame[TIME])
        if not math.isfinite(time):
            raise ValueError(f"frame {i}: time = {time} must be finite")
        arrays = {name: np.asarray(frame[name], dtype=column.dtype, order="C") for name, column in wanted.items()}
        for name, array in arrays.items():
            if array.shape != wanted[name].shape:
                raise ValueError(f"frame {i}: {name} has shape {array.shape}, not {wanted[name].shape}")
        crc = crc_of(time, arrays.values())
        if i < self._there:
            assert self._survivors is not None
            if self._survivors.same(i, time, crc):
                self.n_frames = i + 1
                return
            self._drop(i)
        if i >= self._room:
            self._grow(i + 1)
            wanted = self._columns if i == 0 else self._columns_later
        crcs = [crc_of_array(np.array(time, "<f8"))]
        crcs += [crc_of_array(arrays[name]) if name in arrays else 0 for name in self._columns]
        with disk_errors(self.path, f"write frame {i}"):
            for name, array in arrays.items():
                column = wanted[name]
                put(column, i if column.per_frame else None, array)
            if self._crcs is not None:
                put(self._crcs, i, np.array(crcs, "<u4"))
            put(self._crc, i, np.array(crc, "<u4"))
            put(self._time, i, np.array(time, "<f8"))
        self.n_frames = self._there = i + 1
        if self._survivors is not None:
            if self._survivors.differs(i, time, crc):
                self.differences.append(i)
            if i + 1 == self._survivors.stop:
                self._tell_differences()

    def take_next(self, time: float) -> bool:
        """Whether a sound frame of this time is there already behind those written; it then counts as written."""
        found = self.n_frames < self._there and self._survivors is not None and self._survivors.has(self.n_frames, time)
        self.n_frames += found
        return found

    def flush(self) -> None:
        """Hands everything to the operating system: it survives the end of this process."""
        with disk_errors(self.path, "flush"):
            self._file.flush()

    def sync(self) -> None:
        """Puts everything on the disk: it survives a power cut.  To be called before each checkpoint.

        FileError where the file no longer has its name: what is written would be lost with it.
        """
        self._refuse_lost()
        self.flush()
        with disk_errors(self.path, "sync"):
            os.fsync(self._file.id.get_vfd_handle())

    def truncate(self, n_frames: int) -> None:
        """Makes every frame from `n_frames` on unwritten."""
        if not 0 <= n_frames <= self._there:
            raise ValueError(f"cannot truncate to {n_frames} frames: there are {self._there}")
        self._drop(n_frames)
        self.n_frames = min(self.n_frames, n_frames)
        self.flush()

    def trim(self) -> None:
        """Cuts the unwritten frames off: the file of a finished run has none.

        Needs room for a copy; without it the file stays as it is, which readers do not mind.
        """
        if self._there < self._room and shutil.disk_usage(self.path.parent).free > os.path.getsize(self.path):
            self._resize(self._there)

    def extend(self, n_frames: int, attrs: Mapping[str, str] | None = None) -> None:
        """Allows `n_frames` frames in all; never less than there is room for.  FileError where the disk has too little.

        `attrs` are root attributes to replace: "deck" and "title" of a deck that differs in what is yet to come.
        """
        changed = {key: text for key, text in (attrs or {}).items() if storable(text) != as_text(self._file.attrs[key])}
        room = self._room
        if n_frames > room:
            frame = sum(_bytes_of(column) for column in (*self._columns_later.values(), self._time, self._crc))
            frame += 0 if self._crcs is None else _bytes_of(self._crcs)
            room = max(room, _room_to_take(self.path, n_frames, frame, 0))
        if room > self._room or changed:
            self._resize(room, changed)
        self.capacity = max(n_frames, room)

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
                f"before the interruption (frames {which}); the new ones are kept. Other libraries, another machine, "
                "another number of processes (--mpi) or a changed user's field do that; with one installation on one "
                "machine: please report it",
                RunWarning,
                stacklevel=3,
            )

    def _refuse_lost(self) -> None:
        """FileError unless `path` still is the file that is being written."""
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            raise FileError(
                f"{self.path}: was removed or renamed while the run wrote it. If it was renamed, give it this name "
                f"again and continue with `llgnegf resume {self.path}`; if it is gone, run its deck again with "
                "--overwrite"
            ) from None
        except OSError as error:
            raise FileError(f"{self.path}: cannot be found any more: {error.strerror or error}") from None
        if not os.path.samestat(there, os.fstat(self._file.id.get_vfd_handle())):
            raise FileError(
                f"{self.path}: was replaced by another file while the run wrote it, which is left as it is. The frames "
                "of this run are in the file that had the name before, if there is another one for it; give it a name "
                "of its own, with the checkpoints beside it, to continue"
            )
        if _seal_of(self.path) != self._seal:
            raise FileError(
                f"{self.path}: was overwritten by another program while the run wrote it, and its frames with it: run "
                "its deck again with --overwrite"
            )

    def _attach(self, file: h5py.File) -> None:
        self._file: h5py.File = file
        self._time, self._crc = Column(file[TIME]), Column(file[CRC])
        self._crcs = Column(file[CRCS]) if CRCS in file else None  # not in a file of format 1
        # What a frame gives: the first frame, and those after it.
        self._columns = {name: Column(file[name], is_per_frame(file[name])) for name in variables_in(file)[1:]}
        self._columns_later = {name: column for name, column in self._columns.items() if column.per_frame}
        self._room = len(file[TIME])
        self._seal = _seal_of(self.path)

    def _drop(self, first: int) -> None:
        """Frames from `first` on become unwritten."""
        with disk_errors(self.path, "truncate"):
            for i in range(self._there - 1, first - 1, -1):  # backwards: no gap if this is cut short
                put(self._time, i, np.array(np.nan, "<f8"))
        self._there = min(self._there, first)

    def _grow(self, least: int) -> None:
        """Takes more room on the disk, for `least` frames at least."""
        room = min(self.capacity, max(least, 2 * self._room))
        size = os.path.getsize(self.path)
        refuse_full_disk(self.path, size * room // max(self._room, 1))
        self._resize(room)

    def _resize(self, n_frames: int, attrs: Mapping[str, str] | None = None) -> None:
        """Resizes a copy, which then takes the name: HDF5 cannot be killed safely while it moves its own indices."""
        temporary = temporary_name(self.path)
        with disk_errors(self.path, "resize"):
            self._file.flush()
            try:
                self._refuse_lost()
                fresh_file(temporary, self.path)
                shutil.copyfile(self.path, temporary)
                chunks = [data.chunks[0] for data in frames_in(self._file) if is_per_frame(data)]
                indices = index_block(sum(-(-n_frames // frames) for frames in chunks))
                with h5py.File(temporary, "r+", meta_block_size=indices, **OPEN) as file:
                    if n_frames != self._room:
                        for dataset in frames_in(file):
                            if is_per_frame(dataset):
                                dataset.resize(n_frames, axis=0)
                    set_attributes(file, attrs or {})
                    frames = places(frames_in(file))
                if self._crcs is not None:
                    seal(temporary, FORMAT_VERSION, frames)
                self._refuse_lost()
                self._file.close()  # not every system replaces a file that is open
                try:
                    take_name(temporary, self.path)
                finally:
                    self._attach(h5py.File(self.path, "r+", **OPEN))
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise


def _seal_of(path: Path) -> bytes:
    """The block that seals a run file, which only the writer changes; empty for one of format 1."""
    with open(path, "rb") as raw:
        return raw.read(BLOCK) if is_sealed(raw) and not raw.seek(0) else b""


def _bytes_of(column: Column) -> int:
    return int(column.dtype.itemsize) * math.prod(column.shape)


def _refuse_shared(path: Path) -> None:
    """FileError where a run file has several names (hard links): each would have a lock and checkpoints of its own."""
    with contextlib.suppress(OSError):
        names = os.stat(path).st_nlink
        if names > 1:
            raise FileError(
                f"{path}: the file has {names} names (hard links), and writing would change it under all of them; make "
                f"it a file of its own: cp -p {path} {path}.copy && mv {path}.copy {path}"
            )


def refuse_overwriting(path: Path, overwrite: bool) -> None:
    """DeckError where something is at `path` that a new run must not replace: a run, or what is no run file at all."""
    for old in (path, *checkpoint_paths(path)):
        refuse_special(old)  # before it is removed
    refuse_replacing(path)
    there = [str(old) for old in (path, *checkpoint_paths(path)) if old.exists()]
    if there and not overwrite:
        raise DeckError(
            f"{path}: there already ({', '.join(there)}); continue it with `llgnegf resume {path}`, choose another "
            "name with -o, or replace it with --overwrite (in Python overwrite=True)"
        )


def _sizes(scales: Mapping[str, NDArray[Any]], variables: Mapping[str, Layout]) -> tuple[int, int]:
    """Bytes of a frame, time and checksums included, and of what is written once."""
    sizes = {name: 8 * math.prod(len(scales[dim]) for dim in layout.inner) for name, layout in variables.items()}
    frame = 16 + 4 * len(sizes) + sum(size for name, size in sizes.items() if variables[name].per_frame)
    return frame, sum(size for name, size in sizes.items() if not variables[name].per_frame)


def _room_to_take(path: Path, n_frames: int, frame: int, once: int) -> int:
    """For how many frames of a run of `n_frames` room is taken at once; FileError where the disk cannot hold them all.

    frame, once: bytes of a frame, and of what is written once.
    """
    whole = n_frames * frame + once
    refuse_full_disk(path, whole)
    if whole <= _AT_ONCE:
        return n_frames
    try:
        refuse_full_disk(path, 2 * whole)  # a file grows by a copy
    except FileError:
        return n_frames
    return min(n_frames, max(1, _AT_ONCE // frame))
