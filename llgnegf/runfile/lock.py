"""One writer at a time for each run file."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from pathlib import Path

from llgnegf.errors import FileError, RunWarning
from llgnegf.runfile.disk import disk_errors, real_path, refuse_special
from llgnegf.streams import occupy_standard_descriptors

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # where a system has no locks, `Lock` says so
    from filelock import lock_descriptor

# Some cluster file systems and some platforms have no locks: better to run there without one than not at all.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Locked(FileError):
    """Another process, or another writer in this one, writes the run."""


class Lock:
    """An exclusive lock on RUN.h5.lock; the system drops it when the process ends, however that happens.

    Not on the run file itself: HDF5 would then refuse plain readers.  A file reached through links has one lock.
    Raises Locked where another process, or another writer in this one, has it; RunWarning where there are no locks.
    """

    def __init__(self, path: Path):
        refuse_special(path)
        occupy_standard_descriptors()  # before the run file is opened and takes one of them
        self.path = Path(f"{real_path(path)}.lock")
        with disk_errors(path, "lock the run file"):
            while True:
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
                self._descriptor: int | None = os.open(self.path, flags, 0o644)
                if os.fstat(self._descriptor).st_size:
                    self._close()
                    raise FileError(
                        f"{self.path} is there and is no lock of llgnegf, which has nothing in it: move it, or choose "
                        "another name for the run with -o"
                    )
                try:
                    if not lock_descriptor(self._descriptor, blocking=False):
                        self._close()
                        raise Locked(f"{path}: another process is writing this run; wait for it or end it")
                except OSError as error:
                    if error.errno not in _NO_LOCKS:
                        self._close()
                        raise
                    warnings.warn(
                        f"{path}: this file system has no locks ({os.strerror(error.errno)}): see to it that no other "
                        "process writes this run meanwhile",
                        RunWarning,
                        stacklevel=3,
                    )
                if self._still_named():
                    return
                self._close()  # its last owner removed the file between our opening and locking it

    def release(self) -> None:
        """Gives the lock back and removes its file; twice does no harm."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()  # while still locked, so that nobody's newer lock is removed
            self._close()
            if os.name == "nt":  # which removes no file that is open, neither here nor in the hands of the next owner
                with contextlib.suppress(OSError):
                    self.path.unlink()

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
