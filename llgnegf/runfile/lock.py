"""One writer at a time for each run file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from llgnegf.errors import FileError
from llgnegf.runfile.disk import disk_errors


class Lock:
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
        """Gives the lock back and removes its file; twice does no harm."""
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
