"""The disk under both files: its errors in words, room on it, and names that are taken in one stroke."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from llgnegf.errors import FileError

_ROOM = 1 << 20  # bytes left for indices, scales and attributes when the free space is judged

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder with -o",
    errno.EDQUOT: "your quota is used up: free some space or choose another folder with -o",
    errno.EFBIG: "the file grew beyond the limit for one file: choose another folder or a larger run.save_every",
    errno.EACCES: "permission denied: choose a folder you may write to with -o",
    errno.EPERM: "permission denied: choose a folder you may write to with -o",
    errno.EROFS: "the file system is read-only: choose another folder with -o",
    errno.ENOENT: "no such file or folder: make the folder first, or correct the path",
    errno.EISDIR: "it is a folder: give the name of a file",
    errno.ENOTDIR: "a part of the path is a file, not a folder: correct the path",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.EIO: "the disk reports an input/output error: check it, then resume from the last checkpoint",
}


@contextlib.contextmanager
def disk_errors(path: str | Path, doing: str) -> Iterator[None]:
    """Turns errors of the operating system, HDF5's included, into a FileError that names path and remedy."""
    try:
        yield
    except Exception as error:
        # HDF5 raises whatever it likes, ValueError for a full disk included, and puts errno into the text only.
        found = re.search(r"errno = (\d+)", str(error))
        if not isinstance(error, OSError) and found is None:
            raise
        code = getattr(error, "errno", None) or (int(found[1]) if found else None)
        reason = _REMEDIES.get(code or 0) or (os.strerror(code) if code else str(error))
        raise FileError(f"{path}: cannot {doing}: {reason}") from error


def sync_folder(folder: Path) -> None:
    """Makes renames in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_full_disk(path: Path, needed: int) -> None:
    """FileError unless `needed` bytes are free on the disk where `path` will be."""
    with disk_errors(path, "look at its disk"):
        free = shutil.disk_usage(path.parent).free
    if needed + _ROOM > free:
        raise FileError(
            f"{path}: needs {needed / 1e6:.1f} MB, but only {free / 1e6:.1f} MB are free there: free some space, "
            "choose another folder with -o, or a larger run.save_every"
        )


def real_path(path: str | Path) -> Path:
    """The file that a symbolic link leads to, where its checkpoints and its lock are too; another path as it is."""
    path = Path(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def temporary_name(path: Path) -> Path:
    """Where a file is made that will take the name `path` when it is complete."""
    return Path(f"{path}.new")


def take_name(temporary: Path, path: Path) -> None:
    """Puts `temporary` on the disk, then in the place of `path`; never a moment without a whole file."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)
