"""What is where in a run file: names, dimensions, attributes, the checksum of a frame; and the file before any frame.

Room for frames is taken on the disk before they are written (`writer.py` says when), many small ones to a chunk, so
that writing a frame touches no metadata.  Dimension scales on every axis let xarray and ncdump open it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from llgnegf.runfile.disk import fresh_file, real_path, take_name, temporary_name
from llgnegf.runfile.provenance import versions
from llgnegf.runfile.seal import BLOCK, index_block, places, seal

if TYPE_CHECKING:
    from llgnegf.deck import Deck

FORMAT = "llgnegf run"
FORMAT_VERSION = 2
READABLE = (1, 2)  # version 1 has neither a seal nor checksums of single variables
TIME, CRC = "time", "frame_crc"
# (time, variable): CRC-32 of each variable in each frame, so that one can be checked without reading all others.
CRCS, COLUMN = "variable_crc", "variable"
NOT_VARIABLES = (CRC, CRCS, COLUMN)
INTEGERS = ("step", "solves")  # int64; everything else is float64
# Bytes of a chunk.  HDF5 spends some 50 bytes of index and some microseconds of reading on each, so that one chunk for
# each number would cost more than the number; large chunks leave much room unused at the end of a short run.
_LARGEST_CHUNK, _SMALLEST_CHUNK = 32 << 10, 1 << 10
# No chunk cache: HDF5 passes every write on at once, which is what keeps data, CRC and time in that order.
OPEN: dict[str, Any] = {"libver": ("earliest", "v108"), "locking": False, "rdcc_nbytes": 0}


@dataclass(frozen=True)
class Layout:
    """A variable of the run file: its dimensions, unit and meaning.

    dims: "time" first, and the variable has a value per frame; without "time" it is written once, with the first frame.
    """

    dims: tuple[str, ...]
    unit: str = "1"
    long_name: str = ""

    @property
    def per_frame(self) -> bool:
        """Whether it has a value per frame."""
        return TIME in self.dims

    @property
    def inner(self) -> tuple[str, ...]:
        """Its dimensions beside time."""
        return self.dims[1:] if self.per_frame else self.dims


def attributes(deck: Deck) -> dict[str, Any]:
    """Root attributes of a new file: the deck as run, versions of the format and of the libraries, date and time."""
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


def scales_of(
    shape: Sequence[int], variables: Mapping[str, Layout], given: Mapping[str, Sequence[Any]]
) -> dict[str, NDArray[Any]]:
    """Values of every dimension but time, in the order x, y, component, ..., as far as a variable has it."""
    known: dict[str, Any] = {axis: np.arange(n, dtype="<f8") for axis, n in zip("xy", shape, strict=False)}
    known |= {"component": ["x", "y", "z"], "plane": ["x", "y"], "lead": ["left", "right"]}
    known |= dict(given)
    used = {dim for layout in variables.values() for dim in layout.inner}
    for name, layout in variables.items():
        if not layout.dims or any(dim not in known for dim in layout.inner):
            raise ValueError(
                f"{name}: dimensions {layout.dims} must be time alone, or some of {', '.join(known)} with or without "
                "time before them"
            )
        if len(set(layout.dims)) < len(layout.dims):  # which xarray does not take
            raise ValueError(f"{name}: dimensions {layout.dims} must differ from each other; allowed: another name")
        if name in (TIME, *NOT_VARIABLES, *known):
            raise ValueError(f"{name}: is the name of a dimension or of a checksum; allowed: another name")
    return {dim: _scale(values) for dim, values in known.items() if dim in used}


def _scale(values: Any) -> NDArray[Any]:
    array = np.asarray(values)
    # Fixed-length ASCII: what xarray, ncdump and h5py all read as labels.
    return array.astype("S") if array.dtype.kind in "US" else array.astype("<f8")


def create(
    path: Path,
    n_frames: int,
    scales: dict[str, NDArray[Any]],
    variables: Mapping[str, Layout],
    attrs: Mapping[str, Any],
    given_up: Sequence[Path] = (),
    time_unit: str = "hbar/energy",
) -> None:
    """The file, complete but for its frames; it takes its name only when all of it is on the disk.

    given_up: files, or links to them, that are removed just before that: checkpoints of a run that it replaces.
    time_unit: that of `time`, as layouts have those of all else.
    """
    temporary = temporary_name(path)
    fresh_file(temporary, path)
    frame_bytes = {name: 8 * math.prod(len(scales[dim]) for dim in layout.inner) for name, layout in variables.items()}
    indices = index_block(sum(-(-n_frames // _frames_per_chunk(size, n_frames)) for size in frame_bytes.values()))
    file = h5py.File(temporary, "w", track_order=True, userblock_size=BLOCK, meta_block_size=indices, **OPEN)
    try:
        set_attributes(file, attrs)
        time = _dataset(file, TIME, (n_frames,), "<f8", np.nan)
        time.make_scale(TIME)
        time.attrs.update({"units": time_unit, "long_name": "time"})
        for dim, values in scales.items():
            file.create_dataset(dim, data=values).make_scale(dim)
            if dim in "xy":
                file[dim].attrs.update({"units": "1", "long_name": f"position along {dim} (lattice constants)"})
        for name, layout in variables.items():
            sizes = tuple(len(scales[dim]) for dim in layout.inner)
            integer = name in INTEGERS
            kind, fill = ("<i8", -1) if integer else ("<f8", np.nan)
            whole = (n_frames, *sizes) if layout.per_frame else sizes
            dataset = _dataset(file, name, whole, kind, fill, layout.per_frame)
            for axis, dim in enumerate(layout.dims):
                dataset.dims[axis].attach_scale(file[dim])
            dataset.attrs.update({"units": layout.unit, "long_name": layout.long_name or name.replace("_", " ")})
        crc = _dataset(file, CRC, (n_frames,), "<u4", 0)
        crc.dims[0].attach_scale(time)
        crc.attrs.update({"units": "1", "long_name": "CRC-32 of the frame's time and variables, in file order"})
        names = variables_in(file)
        file.create_dataset(COLUMN, data=_scale(names)).make_scale(COLUMN)
        crcs = _dataset(file, CRCS, (n_frames, len(names)), "<u4", 0)
        for axis, dim in enumerate((TIME, COLUMN)):
            crcs.dims[axis].attach_scale(file[dim])
        crcs.attrs.update({"units": "1", "long_name": "CRC-32 of each variable in the frame; 0 where it is not in it"})
        frames = places(frames_in(file))
        file.close()  # HDF5 settles its indices only now
        seal(temporary, FORMAT_VERSION, frames)
        for old in given_up:
            real_path(old).unlink(missing_ok=True)
        take_name(temporary, path)
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            file.close()
        temporary.unlink(missing_ok=True)
        raise


def _dataset(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: str, fill: float, per_frame: bool = True
) -> h5py.Dataset:
    """A dataset whose room on the disk is taken at once: whole frames to a chunk, or one chunk in all."""
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    most: tuple[int | None, ...] = shape
    chunk = shape
    if per_frame:
        frame = np.dtype(dtype).itemsize * math.prod(shape[1:])
        most, chunk = (None, *shape[1:]), (_frames_per_chunk(frame, shape[0]), *shape[1:])
    return file.create_dataset(name, shape, dtype, maxshape=most, chunks=chunk, fillvalue=fill, dcpl=early)


def _frames_per_chunk(frame_bytes: int, n_frames: int) -> int:
    """How many frames of a variable share a chunk, so that `n_frames` fill their chunks evenly."""
    most, least = max(1, _LARGEST_CHUNK // frame_bytes), max(1, _SMALLEST_CHUNK // frame_bytes)
    pieces = max(1, -(-n_frames // most))
    return max(least, -(-n_frames // pieces))


def variables_in(file: h5py.File) -> list[str]:
    """Names of the variables, in the order of the file, `time` first; not those of dimensions and checksums."""
    return [name for name in file if name == TIME or (name not in NOT_VARIABLES and _scales_on(file[name], 0))]


def frames_in(file: h5py.File) -> list[h5py.Dataset]:
    """The datasets that are written frame by frame, or with the first frame."""
    return [file[name] for name in (*variables_in(file), CRC, CRCS) if name in file]


def is_per_frame(dataset: h5py.Dataset) -> bool:
    """Whether a variable has a value per frame; others are written once, with the first frame."""
    return as_text(dataset.name).lstrip("/") == TIME or TIME in _scales_on(dataset, 0)


def dims_of(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Names of the dimensions of a variable.  IndexError where it has none."""
    first = (TIME,) if is_per_frame(dataset) else ()
    return (*first, *(_scales_on(dataset, axis)[0] for axis in range(len(first), dataset.ndim)))


def _scales_on(dataset: h5py.Dataset, axis: int) -> list[str]:
    """Names of the dimension scales attached to an axis."""
    return [as_text(scale.name).lstrip("/") for scale in dataset.dims[axis].values()] if dataset.ndim else []


def set_attributes(file: h5py.File, attrs: Mapping[str, Any]) -> None:
    """Root attributes of any text: HDF5 takes no NUL, and h5py no folder whose name is not UTF-8."""
    for key, value in attrs.items():
        if isinstance(value, str):
            file.attrs.create(key, storable(value).encode("utf-8", "surrogateescape"), dtype=h5py.string_dtype())
        else:
            file.attrs[key] = value


def storable(text: str) -> str:
    """A text as it is stored as an attribute, and read again: with a visible sign for NUL."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def as_text(value: Any) -> str:
    """A name or attribute as HDF5 gives it, bytes or text, as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def as_plain(value: Any) -> Any:
    """A root attribute in Python's own types."""
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value
