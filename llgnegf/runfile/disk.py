"""The disk under all files: its errors in words, room on it, names that are taken in one stroke, and links."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from llgnegf.errors import DeckError, FileError

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


def real_path(path: str | Path) -> Path:
    """The file that a symbolic link leads to, where its checkpoints and its lock are too; another path as it is.

    FileError for links that lead in a circle.
    """
    path = Path(path)
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise FileError(f"{path}: links that lead to each other in a circle; remove them, or choose another name")
    return target


_SPECIAL = (
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def refuse_special(path: str | Path) -> None:
    """DeckError where `path`, or what it links to, is a folder, a device, a pipe or a socket: none becomes a file."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # not there, or not to be reached: writing will tell
        return
    if stat.S_ISDIR(mode):
        raise DeckError(f"{path}: is a folder; give the name of a file with -o, such as {Path(path) / 'run.h5'}")
    for is_kind, words in _SPECIAL:
        if is_kind(mode):
            raise DeckError(f"{path}: is {words}, which cannot hold this; give the name of a file with -o")


def write_file(path: Path, data: bytes, doing: str) -> None:
    """Writes a file from its beginning, through links.  FileError for trouble with the disk, DeckError for a device."""
    refuse_special(path)
    with disk_errors(path, doing):
        path.write_bytes(data)


def sync_folder(folder: Path) -> None:
    """Makes renames in `folder` survive a power cut, where the system can do that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders; a folder may also be writable and not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP):  # file systems without this
            raise
    finally:
        os.close(descriptor)


def refuse_full_disk(path: Path, needed: int) -> None:
    """FileError unless `needed` bytes are free on the disk where `path` will be."""
    with disk_errors(path, "look at its disk"):
        free = shutil.disk_usage(real_path(path).parent).free
    if needed + _ROOM > free:
        raise FileError(
            f"{path}: needs {needed / 1e6:.1f} MB, but only {free / 1e6:.1f} MB are free there: free some space, "
            "choose another folder with -o, or a larger run.save_every"
        )


def fresh_file(path: Path, like: Path) -> None:
    """Makes an empty file where another one will be prepared; what is left or planted there is removed, not followed.

    like: the file that it belongs to or will replace; where there is one, it gets the same permissions and owner.
    """
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        pattern = os.stat(like)
    except OSError:
        os.close(os.open(path, flags, 0o666))
        return
    os.close(os.open(path, flags, 0o600))  # never more open than it will be
    with contextlib.suppress(OSError):  # not every file system knows owners and permissions
        if hasattr(os, "chown"):
            with contextlib.suppress(PermissionError):
                os.chown(path, pattern.st_uid, pattern.st_gid)
        os.chmod(path, stat.S_IMODE(pattern.st_mode))


def temporary_name(path: Path) -> Path:
    """Where a file is made that will take the name `path`, or the place of the file that it links to."""
    return Path(f"{real_path(path)}.new")


def take_name(temporary: Path, path: Path) -> None:
    """Puts `temporary` on the disk, then in the place of `path`; never a moment without a whole file."""
    with open(temporary, "r+b") as file:  # not every system puts a file on the disk that is open for reading
        os.fsync(file.fileno())
    target = real_path(path)
    os.replace(temporary, target)
    sync_folder(target.parent)


def move(source: Path, target: Path) -> None:
    """Moves the file that `source` is or links to into the place of `target`.  FileNotFoundError if there is none."""
    source, target = real_path(source), real_path(target)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        fresh_file(temporary_name(target), source)
        shutil.copyfile(source, temporary_name(target))  # on another disk
        take_name(temporary_name(target), target)
        source.unlink()
