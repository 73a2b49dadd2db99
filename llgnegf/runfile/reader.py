"""Reading a run file, also while another process writes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from llgnegf.errors import FileError, LLGNEGFError
from llgnegf.runfile.arraylike import ReadOnlyArray
from llgnegf.runfile.checksums import checksums
from llgnegf.runfile.disk import disk_errors
from llgnegf.runfile.layout import (
    CRC,
    FORMAT,
    FORMAT_VERSION,
    TIME,
    as_plain,
    as_text,
    crc_of,
    dims_of,
    is_per_frame,
    variables_in,
)

if TYPE_CHECKING:
    import xarray

    from llgnegf.deck import Deck

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class LazyArray(ReadOnlyArray):
    """A variable of a run; use it like an array of NumPy, only the frames that are asked for are read.

    dims, shape: names and lengths of its dimensions.  Its first dimension is the complete frames, `time`, unless it was
    written once for all of them, with the first frame; before that frame its values are NaN.  unit, long_name: texts.
    """

    def __init__(self, dataset: h5py.Dataset, n_frames: int):
        self._dataset = dataset
        self.dims = dims_of(dataset)
        self.per_frame = TIME in self.dims
        self.shape = (n_frames, *dataset.shape[1:]) if self.per_frame else dataset.shape
        self.dtype = dataset.dtype
        self.unit = as_text(dataset.attrs.get("units", "1"))
        self.long_name = as_text(dataset.attrs.get("long_name", ""))

    def _name(self) -> str:
        return as_text(self._dataset.name).lstrip("/") if self._dataset else "closed"

    def _read(self, first: int, last: int) -> NDArray[Any]:
        values: NDArray[Any] = self._dataset[first:last] if self.per_frame else np.asarray(self._dataset[()])
        return values

    def __repr__(self) -> str:
        sizes = ", ".join(f"{dim}: {size}" for dim, size in zip(self.dims, self.shape, strict=True))
        return f"<{self._name()} ({sizes}) {self.dtype}, {self.unit}>"


class Run:
    """A run file to read: `run["moment"]` or `run.moment`, only the frames that are complete.  Close it after use."""

    def __init__(self, path: Path, file: h5py.File):
        self.path = path
        self._file = file
        time = file[TIME][()]
        unwritten = np.flatnonzero(np.isnan(time))
        self.n_frames: int = int(unwritten[0]) if len(unwritten) else len(time)
        self.times: NDArray[np.float64] = time[: self.n_frames]
        self.names: list[str] = variables_in(file)
        self.attrs: dict[str, Any] = {key: as_plain(value) for key, value in file.attrs.items()}
        self._arrays = {name: LazyArray(file[name], self.n_frames) for name in self.names}

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
        """Whether the bytes of a frame are those that were written (CRC-32).

        index: negative ones count from the last complete frame.  What was written once belongs to the first frame.
        Raises IndexError where there is no such frame, FileError where it cannot be read.
        """
        i = range(self.n_frames)[index]
        with disk_errors(self.path, f"read frame {i}"):
            stored = []
            for name in self.names:
                if name != TIME and (i == 0 or is_per_frame(self._file[name])):
                    dataset = self._file[name]
                    stored.append(np.ascontiguousarray(dataset[i] if is_per_frame(dataset) else dataset[()]))
            return crc_of(float(self.times[i]), stored) == self.stored_crc(i)

    def frames_ok(self, start: int = 0, stop: int | None = None) -> NDArray[np.bool_]:
        """`frame_ok` of the frames start, ..., stop - 1 (default: to the last one), (stop - start,), fast for many."""
        stop = self.n_frames if stop is None else min(stop, self.n_frames)
        start = min(start, stop)
        first = [self.frame_ok(0)] if start == 0 < stop else []  # with it comes what is written once
        with disk_errors(self.path, "read the frames"):
            names = [name for name in self.names if name != TIME and self._arrays[name].per_frame]
            later = start + len(first)
            found = checksums(self._file, names, self.times, later, stop)
            return np.concatenate([np.array(first, bool), found == self.stored_crcs(later, stop)])

    def to_xarray(self) -> xarray.Dataset:
        """The complete frames as a lazy xarray.Dataset, which opens the file for itself: close it after use."""
        try:
            import h5netcdf  # noqa: F401  xarray would say less clearly that it is missing
            import xarray
        except ImportError as error:
            raise LLGNEGFError(
                f'to_xarray needs the package {error.name}: pip install "llgnegf[xarray]" installs it'
            ) from None
        # By its path, not by an open file: pickled, the dataset opens it again.
        path = str(self.path)
        try:
            data = xarray.open_dataset(path, engine="h5netcdf")
        except OSError:  # as in open_run
            data = xarray.open_dataset(path, engine="h5netcdf", driver_kwds={"locking": False})
        close = data._close
        data = data.isel(time=slice(0, self.n_frames)).drop_vars(CRC)
        labels = {name: data[name].astype(str) for name in data.coords if data[name].dtype.kind == "S"}
        result = data.assign_coords(labels)
        result.set_close(close)
        return result

    def __reduce__(self) -> Any:
        """Copied or pickled, a run opens its file again."""
        return open_run, (self.path.absolute(),)

    def close(self) -> None:
        """Closes the file; variables that were not read by then are lost."""
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

    def stored_crcs(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint32]:
        """The checksums that were written with the frames start, ..., stop - 1 (default: to the last one)."""
        return np.asarray(self._file[CRC][start : self.n_frames if stop is None else stop])

    def stored_crc(self, i: int) -> int:
        """The checksum that was written with frame i."""
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
        if as_text(file.attrs.get("format", "")) != FORMAT or TIME not in file:
            raise FileError(f"{path}: an HDF5 file, but not a run file of llgnegf")
        version = int(file.attrs["format_version"])
        if version != FORMAT_VERSION:
            raise FileError(
                f"{path}: has format {version}; this version of llgnegf reads {FORMAT_VERSION}: "
                f"it was written by llgnegf {as_text(file.attrs.get('llgnegf_version', '?'))}, which can read it"
            )
        with disk_errors(path, "read the run file"):
            return Run(path, file)
    except (KeyError, ValueError, TypeError) as error:
        file.close()
        raise FileError(f"{path}: the run file is damaged: {error}") from None
    except BaseException:
        file.close()
        raise
