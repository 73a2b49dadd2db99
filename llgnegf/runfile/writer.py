"""The run file: one HDF5 file that survives being killed at any moment.

The whole file is allocated at the start (chunk = 1 frame, no chunk cache), so that later writes touch no metadata and
a full disk is met before the run, not in it; resizing works on a copy.  A frame is written as data, then the CRC-32 of
its bytes, then its `time`: a frame whose time is NaN does not exist.  Dimension scales on every axis let xarray and
ncdump open it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from llgnegf.errors import DeckError, FileError, LLGNEGFError, RunWarning
from llgnegf.runfile.checkpoint import checkpoint_paths, disk_errors, sync_folder, versions

if TYPE_CHECKING:
    import xarray

    from llgnegf.deck import Deck

FORMAT = "llgnegf run"
FORMAT_VERSION = 1
TIME, CRC = "time", "frame_crc"
INTEGERS = ("step", "solves")  # int64; everything else is float64
# No chunk cache: HDF5 passes every write on at once, which is what keeps data, CRC and time in that order.
_OPEN: dict[str, Any] = {"libver": ("earliest", "v108"), "locking": False, "rdcc_nbytes": 0}
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ROOM = 1 << 20  # bytes left for indices, scales and attributes when the free space is judged


@dataclass(frozen=True)
class Field:
    """A variable of the run file: its dimensions ("time" first), unit and meaning."""

    dims: tuple[str, ...]
    unit: str = "1"
    long_name: str = ""


class Writer:
    """Writes a run file frame by frame.  One writer at a time: a second one, in any process, gets a FileError."""

    def __init__(self, path: Path, file: h5py.File, lock: _Lock):
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
        fields: Mapping[str, Field],
        overwrite: bool = False,
        attrs: Mapping[str, Any] | None = None,
        coordinates: Mapping[str, Sequence[Any]] | None = None,
    ) -> Writer:
        """A new run file with room for `n_frames` frames of `fields` on a lattice of `shape`.

        The variable `time` comes by itself.  `attrs` are further root attributes; `coordinates` gives values of
        dimensions beside time, x, y, component, plane and lead (left, right), or other ones for these.

        Raises DeckError if a run is there already and `overwrite` is false; FileError for trouble with the disk.
        """
        path = Path(path)
        scales = _scales(shape, fields, coordinates or {})
        lock = _Lock(path)
        try:
            _refuse_overwriting(path, overwrite)
            _refuse_small_disk(path, n_frames, scales, fields)
            for old in checkpoint_paths(path):  # before the new file: an old checkpoint must not continue a new run
                with disk_errors(old, "remove the old checkpoint"):
                    old.unlink(missing_ok=True)
            with disk_errors(path, "create the run file"):
                _create(path, n_frames, scales, fields, {**_attributes(deck), **(attrs or {})})
                file = h5py.File(path, "r+", **_OPEN)
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
        path = Path(path)
        lock = _Lock(path)
        try:
            with open_run(path) as run:
                if run.n_frames < frames_written:
                    raise FileError(
                        f"{path}: holds {run.n_frames} frames, but its checkpoint knows of {frames_written}: it was "
                        "changed or damaged since; run its deck again with --overwrite"
                    )
                frames = range(frames_written, run.n_frames)
                survivors = {i: (run._crc(i), float(run.times[i])) for i in frames if run.frame_ok(i)}
                there = run.n_frames
            with disk_errors(path, "open the run file for writing"):
                writer = cls(path, h5py.File(path, "r+", **_OPEN), lock)
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
        """What `append` asks for beside `time`."""
        return list(self._data)

    def append(self, frame: Mapping[str, Any]) -> None:
        """Writes the next frame: `time` and every variable by name.

        Raises ValueError for a frame of other variables or shapes, a time that is not finite, or a full file; FileError
        for trouble with the disk.
        """
        i = self.n_frames
        if i >= self.capacity:
            raise ValueError(f"frame {i}: the file has room for {self.capacity} frames; extend it first")
        if set(frame) != {TIME, *self._data}:
            missing, unknown = sorted({TIME, *self._data} - set(frame)), sorted(set(frame) - {TIME, *self._data})
            raise ValueError(f"frame {i}: missing {missing}, unknown {unknown}")
        time = float(frame[TIME])
        if not math.isfinite(time):
            raise ValueError(f"frame {i}: time = {time} must be finite")
        arrays = {name: np.asarray(frame[name], dtype=kind, order="C") for name, (kind, _) in self._layout.items()}
        for name, array in arrays.items():
            if array.shape != self._layout[name][1]:
                raise ValueError(f"frame {i}: {name} has shape {array.shape}, not {self._layout[name][1]}")
        crc = _crc(time, arrays.values())
        with disk_errors(self.path, f"write frame {i}"):
            for name, array in arrays.items():
                _put(self._data[name], i, array)
            _put(self._crc, i, np.array(crc, "<u4"))
            _put(self._time, i, np.array(time, "<f8"))
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
        changed = {key: text for key, text in (attrs or {}).items() if text != _text(self._file.attrs[key])}
        if n_frames > self.capacity or changed:
            n_frames = max(n_frames, self.capacity)
            growth = (n_frames - self.capacity) * os.path.getsize(self.path) // max(self.capacity, 1)
            _refuse_full_disk(self.path, os.path.getsize(self.path) + growth)
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
        self._data: dict[str, h5py.Dataset] = {name: file[name] for name in _variables(file) if name != TIME}
        self._layout = {name: (data.dtype, data.shape[1:]) for name, data in self._data.items()}
        self._capacity = len(self._time)

    def _resize(self, n_frames: int, attrs: Mapping[str, str] | None = None) -> None:
        """Resizes a copy, which then takes the name: HDF5 cannot be killed safely while it moves its own indices."""
        temporary = _temporary(self.path)
        with disk_errors(self.path, "resize"):
            self._file.flush()
            try:
                shutil.copyfile(self.path, temporary)
                with h5py.File(temporary, "r+", **_OPEN) as file:
                    for name in (*_variables(file), CRC):
                        file[name].resize(n_frames, axis=0)
                    file.attrs.update(attrs or {})
                _take_name(temporary, self.path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            self._file.close()
            self._attach(h5py.File(self.path, "r+", **_OPEN))


class Variable:
    """A variable of a run, one frame per entry; index it like an array, only what is asked for is read."""

    def __init__(self, dataset: h5py.Dataset, n_frames: int):
        self._dataset = dataset
        self.shape: tuple[int, ...] = (n_frames, *dataset.shape[1:])
        self.dtype = dataset.dtype
        self.dims = tuple(_text(dataset.dims[axis][0].name).lstrip("/") for axis in range(1, dataset.ndim))
        self.dims = (TIME, *self.dims)
        self.unit = _text(dataset.attrs.get("units", "1"))
        self.long_name = _text(dataset.attrs.get("long_name", ""))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if not keys or keys[0] is Ellipsis or keys[0] is None:
            return np.asarray(self)[key]
        first, rest = keys[0], keys[1:]
        if isinstance(first, int | np.integer) and not isinstance(first, bool):
            return self._dataset[range(len(self))[first]][(*rest,)]
        wanted = np.arange(len(self))[first]
        frames, places = np.unique(wanted, return_inverse=True)
        if len(frames) == 0:
            block = np.empty((0, *self.shape[1:]), self.dtype)
        elif len(frames) == frames[-1] - frames[0] + 1:
            block = self._dataset[frames[0] : frames[-1] + 1]
        else:
            block = self._dataset[frames]
        return block[places.reshape(wanted.shape)][(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a variable of a run file has to be read: copy=False is not possible")
        return np.asarray(self._dataset[: len(self)], dtype=dtype)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        name = _text(self._dataset.name).lstrip("/") if self._dataset else "closed"
        sizes = ", ".join(f"{dim}: {size}" for dim, size in zip(self.dims, self.shape, strict=True))
        return f"<{name} ({sizes}) {self.dtype}, {self.unit}>"


class Run:
    """A run file to read: `run["moment"]` or `run.moment`, only the frames that are complete.  Close it after use."""

    def __init__(self, path: Path, file: h5py.File):
        self.path = path
        self._file = file
        time = file[TIME][()]
        unwritten = np.flatnonzero(np.isnan(time))
        self.n_frames: int = int(unwritten[0]) if len(unwritten) else len(time)
        self.times: NDArray[np.float64] = time[: self.n_frames]
        self.names: list[str] = _variables(file)
        self.attrs: dict[str, Any] = {key: _plain(value) for key, value in file.attrs.items()}
        self._arrays = {name: Variable(file[name], self.n_frames) for name in self.names}

    @property
    def deck_text(self) -> str:
        """The deck as run, in TOML."""
        return str(self.attrs["deck"])

    @property
    def deck(self) -> Deck:
        """The deck as run; a relative path in it counts from the folder of the original deck if that is known."""
        from llgnegf.deck import parse_deck

        folder = self.attrs.get("deck_folder", str(self.path.parent))
        return parse_deck(self.deck_text, folder=folder, name=self.attrs.get("deck_name", self.path.stem))

    def frame_ok(self, index: int) -> bool:
        """Whether the bytes of a frame are those that were written (CRC-32)."""
        i = range(self.n_frames)[index]
        with disk_errors(self.path, f"read frame {i}"):
            stored = [np.ascontiguousarray(self._file[name][i]) for name in self.names if name != TIME]
            return _crc(float(self.times[i]), stored) == self._crc(i)

    def to_xarray(self) -> xarray.Dataset:
        """The complete frames as a lazy xarray.Dataset, which opens the file for itself: close it after use."""
        try:
            import h5netcdf
            import xarray
        except ImportError as error:
            raise LLGNEGFError(
                f'to_xarray needs the package {error.name}: pip install "llgnegf[xarray]" installs it'
            ) from None
        try:
            file = h5netcdf.File(self.path, "r")
        except OSError:  # as in open_run
            file = h5netcdf.File(self.path, "r", locking=False)
        data = xarray.open_dataset(xarray.backends.H5NetCDFStore(file))
        data = data.isel(time=slice(0, self.n_frames)).drop_vars(CRC)
        labels = {name: data[name].astype(str) for name in data.coords if data[name].dtype.kind == "S"}
        result = data.assign_coords(labels)
        result.set_close(file.close)
        return result

    def close(self) -> None:
        self._file.close()

    def __getitem__(self, name: str) -> Any:
        """A variable, or the values of a coordinate (x, y, component, lead)."""
        if name in self._arrays:
            return self._arrays[name]
        if name in self._file and name != CRC:
            values = self._file[name][()]
            return values.astype(str) if values.dtype.kind == "S" else values
        if name == "spin_geometric" and "spin_sea" in self._arrays:
            raise KeyError(
                "spin_geometric: exists for motion.kind = 'precession' only; any other motion splits into spin_sea "
                "(which holds the geometric part) and spin_surface"
            )
        raise KeyError(f"{name}: not in this run; it has {', '.join(self.names)}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.names]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        until = f" until t = {self.times[-1]:.6g}" if self.n_frames else ""
        return f"<Run {self.path}: {self.n_frames} frames{until}; {', '.join(self.names)}>"

    def _crc(self, i: int) -> int:
        return int(self._file[CRC][i])


def open_run(path: str | Path) -> Run:
    """Opens a run file for reading, also while another process writes it.  Raises FileError."""
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path}: is a folder, not a run file" if path.is_dir() else f"{path}: no such file")
    with disk_errors(path, "read the run file"), open(path, "rb") as raw:
        signature = raw.read(len(_SIGNATURE))
    if signature != _SIGNATURE:
        raise FileError(f"{path}: not a run file of llgnegf (not HDF5), or its first bytes are damaged")
    with disk_errors(path, "open the run file"):
        try:
            file = h5py.File(path, "r", rdcc_nbytes=0)
        except OSError:  # held by a writer of this process, or by a stranger's lock: reading does no harm
            file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
    try:
        if _text(file.attrs.get("format", "")) != FORMAT or TIME not in file:
            raise FileError(f"{path}: an HDF5 file, but not a run file of llgnegf")
        version = int(file.attrs["format_version"])
        if version != FORMAT_VERSION:
            raise FileError(
                f"{path}: has format {version}; this version of llgnegf reads {FORMAT_VERSION}: "
                f"it was written by llgnegf {_text(file.attrs.get('llgnegf_version', '?'))}, which can read it"
            )
        with disk_errors(path, "read the run file"):
            return Run(path, file)
    except (KeyError, ValueError, TypeError) as error:
        file.close()
        raise FileError(f"{path}: the run file is damaged: {error}") from None
    except BaseException:
        file.close()
        raise


# --- making the file --------------------------------------------------------------------------------------------------


def _attributes(deck: Deck) -> dict[str, Any]:
    found = versions()
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "title": deck.title,
        "deck": deck.text,
        "deck_name": deck.name,
        "deck_folder": str(deck.folder),
        **{f"{name}_version": found[name] for name in ("llgnegf", "numpy", "scipy", "numba")},
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _scales(
    shape: Sequence[int], fields: Mapping[str, Field], given: Mapping[str, Sequence[Any]]
) -> dict[str, NDArray[Any]]:
    """Values of every dimension but time, in the order x, y, component, ..., as far as a field has it."""
    known: dict[str, Any] = {axis: np.arange(n, dtype="<f8") for axis, n in zip("xy", shape, strict=False)}
    known |= {"component": ["x", "y", "z"], "plane": ["x", "y"], "lead": ["left", "right"]}
    known |= dict(given)
    used = {dim for field in fields.values() for dim in field.dims[1:]}
    for name, field in fields.items():
        unknown = [dim for dim in field.dims[1:] if dim not in known]
        if field.dims[:1] != (TIME,) or unknown or name in (TIME, CRC, *known):
            raise ValueError(f"{name}: dimensions {field.dims} must be time, then some of {', '.join(known)}")
    # Fixed-length ASCII: what xarray, ncdump and h5py all read as labels.
    return {dim: np.asarray(values, dtype=None if dim in "xy" else "S") for dim, values in known.items() if dim in used}


def _create(
    path: Path, n_frames: int, scales: dict[str, NDArray[Any]], fields: Mapping[str, Field], attrs: Mapping[str, Any]
) -> None:
    """The file, complete but for its frames; it takes its name only when all of it is on the disk."""
    temporary = _temporary(path)
    file = h5py.File(temporary, "w", track_order=True, **_OPEN)
    try:
        for key, value in attrs.items():
            file.attrs[key] = value
        time = _dataset(file, TIME, (n_frames,), "<f8", np.nan)
        time.make_scale(TIME)
        time.attrs.update({"units": "hbar/energy", "long_name": "time"})
        for dim, values in scales.items():
            file.create_dataset(dim, data=values).make_scale(dim)
            if dim in "xy":
                file[dim].attrs.update({"units": "1", "long_name": f"position along {dim} (lattice constants)"})
        for name, field in fields.items():
            sizes = (n_frames, *(len(scales[dim]) for dim in field.dims[1:]))
            integer = name in INTEGERS
            dataset = _dataset(file, name, sizes, "<i8" if integer else "<f8", -1 if integer else np.nan)
            for axis, dim in enumerate(field.dims):
                dataset.dims[axis].attach_scale(file[dim])
            dataset.attrs.update({"units": field.unit, "long_name": field.long_name or name.replace("_", " ")})
        crc = _dataset(file, CRC, (n_frames,), "<u4", 0)
        crc.dims[0].attach_scale(time)
        crc.attrs.update({"units": "1", "long_name": "CRC-32 of the frame's time and variables, in file order"})
        file.close()  # HDF5 settles its indices only now
        _take_name(temporary, path)
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            file.close()
        temporary.unlink(missing_ok=True)
        raise


def _temporary(path: Path) -> Path:
    return Path(f"{path}.new")


def _take_name(temporary: Path, path: Path) -> None:
    """Puts `temporary` on the disk, then in the place of `path`; never a moment without a whole file."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def _dataset(file: h5py.File, name: str, shape: tuple[int, ...], dtype: str, fill: float) -> h5py.Dataset:
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    return file.create_dataset(
        name, shape, dtype, maxshape=(None, *shape[1:]), chunks=(1, *shape[1:]), fillvalue=fill, dcpl=early
    )


def _put(dataset: h5py.Dataset, i: int, values: NDArray[Any] | np.generic) -> None:
    """dataset[i] = values of the dataset's own type and order of bytes, at a twentieth of the cost.

    A frame is a chunk, and a chunk goes to its place in one write, past selections and conversions.
    """
    dataset.id.write_direct_chunk((i, *(0 for _ in range(values.ndim))), values)


def _refuse_overwriting(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise DeckError(f"{path}: is a folder; give the name of a file with -o, such as {path / 'run.h5'}")
    there = [str(old) for old in (path, *checkpoint_paths(path)) if old.exists()]
    if there and not overwrite:
        raise DeckError(
            f"{path}: there already ({', '.join(there)}); continue it with `llgnegf resume {path}`, choose another "
            "name with -o, or replace it with --overwrite (in Python overwrite=True)"
        )


def _refuse_small_disk(path: Path, n_frames: int, scales: dict[str, NDArray[Any]], fields: Mapping[str, Field]) -> None:
    frame = 16 + sum(8 * math.prod(len(scales[dim]) for dim in field.dims[1:]) for field in fields.values())
    _refuse_full_disk(path, n_frames * frame)


def _refuse_full_disk(path: Path, needed: int) -> None:
    with disk_errors(path, "look at its disk"):
        free = shutil.disk_usage(path.parent).free
    if needed + _ROOM > free:
        raise FileError(
            f"{path}: needs {needed / 1e6:.1f} MB, but only {free / 1e6:.1f} MB are free there: free some space, "
            "choose another folder with -o, or a larger run.save_every"
        )


# --- the lock ---------------------------------------------------------------------------------------------------------


class _Lock:
    """An exclusive lock on RUN.h5.lock; the system drops it when the process ends, however that happens.

    Not on the run file itself: HDF5 would then refuse plain readers.
    """

    def __init__(self, path: Path):
        self.path = Path(f"{path}.lock")
        with disk_errors(path, "lock the run file"):
            while True:
                self._descriptor: int | None = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._close()
                    raise FileError(f"{path}: another process is writing this run; wait for it or end it") from None
                except OSError as error:
                    # Some cluster file systems have no locks: better to run there without one than not at all.
                    if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                        self._close()
                        raise
                if self._still_named():
                    return
                self._close()  # its last owner removed the file between our opening and locking it

    def release(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)  # while still locked, so that nobody's newer lock is removed
            self._close()

    def _still_named(self) -> bool:
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


# --- small things -----------------------------------------------------------------------------------------------------


def _variables(file: h5py.File) -> list[str]:
    """Names of what has a value per frame, in the order of the file, `time` first."""
    return [name for name in file if name == TIME or (TIME in _first_scale(file[name]) and name != CRC)]


def _first_scale(dataset: h5py.Dataset) -> list[str]:
    return [_text(scale.name).lstrip("/") for scale in dataset.dims[0].values()] if dataset.ndim else []


def _crc(time: float, arrays: Any) -> int:
    value = zlib.crc32(np.float64(time).astype("<f8").tobytes())
    for array in arrays:
        value = zlib.crc32(array.tobytes(), value)
    return value


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    """A root attribute in Python's own types."""
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value
