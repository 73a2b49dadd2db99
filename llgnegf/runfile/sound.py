"""Opening HDF5 files that may be damaged, or may come from anywhere: nothing in them leads to another file.

Links, external storage and virtual datasets make HDF5 read, and write, files that nobody named.  They are refused, and
so is what declares more numbers than the file can hold, before anything else is asked of HDF5.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import h5py

from llgnegf.errors import DeckError, FileError, LLGNEGFError
from llgnegf.runfile import seal
from llgnegf.runfile.disk import disk_errors
from llgnegf.runfile.layout import FORMAT, READABLE, as_text

# No filter of HDF5 makes data smaller than this.
_MOST_COMPRESSION = 1100
_LARGEST_PACKED_CHUNK = 1 << 28
NO_HDF5 = "not a run file of llgnegf (not HDF5), or its first bytes are damaged"


@contextlib.contextmanager
def hdf5_errors(path: str | Path, doing: str) -> Iterator[None]:
    """Turns whatever HDF5 raises into a FileError that names the file."""
    try:
        with disk_errors(path, doing):
            yield
    except (LLGNEGFError, MemoryError):
        raise
    except Exception as error:
        told = str(error) or type(error).__name__
        raise FileError(f"{path}: cannot {doing}: damaged, or not written by llgnegf ({told})") from error


def refuse_what_is_no_file(path: Path) -> None:
    """FileError unless `path` is a regular file, or a link to one: reading a pipe or a device may never end."""
    with disk_errors(path, "look at the file"):
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            raise FileError(f"{path}: no such file") from None
        except ValueError as error:  # a NUL in the name
            raise FileError(f"{path}: no such file ({error})") from None
    if stat.S_ISDIR(mode):
        raise FileError(f"{path}: is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise FileError(f"{path}: is a device, a pipe or a socket, not a file")


def refuse_replacing(path: Path) -> None:
    """DeckError where a file is there that is not known to be a run file: it may be the only copy of something else.

    An empty file holds nothing.  A damaged run file is known by its seal.
    """
    if not path.exists():
        return
    with disk_errors(path, "look at what is there"), open(path, "rb") as raw:
        ours = seal.is_sealed(raw) or not raw.seek(0, os.SEEK_END)
    if not ours:
        with contextlib.suppress(Exception), _opened(path) as file:  # written before there were seals
            ours = as_text(file.attrs.get("format", "")) == FORMAT
    if not ours:
        raise DeckError(f"{path} is there and is not a run file of llgnegf: give another name, or remove it first")


def refuse_run_file(path: Path) -> None:
    """DeckError where a run file is at `path`, which a picture or a table would destroy."""
    if not path.is_file():  # opening a pipe would wait for its other end
        return
    with contextlib.suppress(OSError), open(path, "rb") as raw:
        ours = seal.is_sealed(raw)
        if not ours and not raw.seek(0) and raw.read(len(seal.HDF5)) == seal.HDF5:
            with contextlib.suppress(Exception), _opened(path) as file:  # written before there were seals
                ours = as_text(file.attrs.get("format", "")) == FORMAT
        if ours:
            raise DeckError(f"{path}: is a run file, which is not replaced; give another name with -o")


def open_sound(path: Path, check: bool = True) -> tuple[h5py.File, str | None]:
    """Opens a run file, or another HDF5 file, for reading, after its seal was checked, where it has one.

    Returns the file, in which nothing is opened yet, and the version that sealed it; None where nothing sealed was
    found to be as it was.  check: False passes the seal over.  Raises FileError.
    """
    refuse_what_is_no_file(path)
    while True:
        sealed_by = None
        with hdf5_errors(path, "read the file"), open(path, "rb") as raw:
            if seal.is_sealed(raw):
                if check:
                    record = seal.record_of(raw, path)
                    refuse_format(path, record["format_version"], record["llgnegf_version"])
                    if seal.check(raw, path, record):
                        sealed_by = record["llgnegf_version"]
            elif raw.seek(0) or raw.read(len(seal.HDF5)) != seal.HDF5:
                raise FileError(f"{path}: {NO_HDF5}")
            file = _opened(path)
            # A writer that resizes the file puts another one in its place; what was checked is what is read.
            if os.path.samestat(os.fstat(raw.fileno()), os.fstat(file.id.get_vfd_handle())):
                return file, sealed_by
            file.close()


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", rdcc_nbytes=0)
    except OSError:  # held by a writer of this process, or by a stranger's lock: reading does no harm
        return h5py.File(path, "r", locking=False, rdcc_nbytes=0)


def refuse_format(path: Path, version: object, writer: str) -> None:
    """FileError unless `version` is a format that this version of llgnegf reads."""
    if not isinstance(version, int) or version not in READABLE:
        raise FileError(
            f"{path}: has format {version}; this version of llgnegf reads {' and '.join(map(str, READABLE))}: it was "
            f"written by llgnegf {writer}, which can read it"
        )


def refuse_foreign(file: h5py.File, name: str, path: Path) -> None:
    """FileError unless `name` is a dataset of plain numbers or labels, all of it in this file."""
    kind = type(file.get(name, getlink=True))
    if kind is not h5py.HardLink:
        what = "another file" if kind is h5py.ExternalLink else "another place of the file"
        raise FileError(f"{path}: {name!r} is a link to {what}, not a variable; links are not followed")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        what = "group" if isinstance(dataset, h5py.Group) else "type"
        raise FileError(f"{path}: {name!r} is a {what}, not a variable: not a run file of llgnegf")
    if dataset.is_virtual or dataset.external:
        raise FileError(f"{path}: the numbers of {name!r} lie in other files, which are not opened")
    if dataset.shape is None or dataset.dtype.kind not in "fiuS" or dataset.dtype.subdtype:
        raise FileError(f"{path}: {name!r} holds {dataset.dtype}, not plain numbers")
    plist = dataset.id.get_create_plist()
    packed = _MOST_COMPRESSION if plist.get_nfilters() else 1
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if dataset.nbytes > packed * dataset.id.get_storage_size() or (packed > 1 and chunk > _LARGEST_PACKED_CHUNK):
        raise FileError(
            f"{path}: {name!r} declares {dataset.shape} numbers, {dataset.nbytes / 1e6:.3g} MB, but holds "
            f"{dataset.id.get_storage_size() / 1e6:.3g} MB: damaged, or not written by llgnegf"
        )
