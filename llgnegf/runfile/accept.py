"""Taking a run file as it is that a user has changed with another program."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from llgnegf.errors import FileError
from llgnegf.runfile.disk import disk_errors, real_path
from llgnegf.runfile.layout import CRCS, FORMAT_VERSION, frames_in
from llgnegf.runfile.lock import Lock
from llgnegf.runfile.reader import open_run
from llgnegf.runfile.seal import places, seal


def accept_changes(path: str | Path) -> None:
    """Makes a run file readable again to which another program has added attributes, say, by writing its seal anew.

    The deck, names, attributes and coordinates are taken as they are: call it only if the change was intended.
    Numbers are not: raises FileError where a frame is not as it was written, where the deck cannot be read, or where
    the file is being written.
    """
    path = real_path(path)
    lock = Lock(path)
    try:
        with open_run(path, check=False) as run:
            bad = np.flatnonzero(~run.frames_ok()).tolist()
            if bad:
                raise FileError(
                    f"{path}: frames {', '.join(map(str, bad[:10]))}{', ...' if len(bad) > 10 else ''} are not as they "
                    "were written; such changes are not accepted: restore the file from a copy"
                )
            _ = run.deck
            if CRCS not in run._file:
                return  # format 1 has no seal
            frames = places(frames_in(run._file))
        with disk_errors(path, "seal the run file"):
            seal(path, FORMAT_VERSION, frames)
    finally:
        lock.release()
