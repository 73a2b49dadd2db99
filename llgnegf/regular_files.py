"""What a file is that a user names, before it is read: reading a pipe or a device may never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def refuse_no_file(file: Path, path: str | os.PathLike[str], what: str) -> None:
    """FileNotFoundError, told as `what` (such as "texture file") under the name `path`, unless `file` is a file."""
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        mode = 0
    if not stat.S_ISREG(mode):
        kind = "is a folder" if stat.S_ISDIR(mode) else "is a device, a pipe or a socket" if mode else "does not exist"
        raise FileNotFoundError(f"{what} {str(path)!r} {kind} (looked in {file.absolute().parent})")


def is_hdf5(content: bytes) -> bool:
    """Whether a file that begins like this may be a run file: HDF5 begins at byte 0, 512, 1024, 2048, ..."""
    return any(content.startswith(b"\x89HDF\r\n\x1a\n", at) for at in (0, *(512 << k for k in range(16))))
