"""A variable of a run file, indexed like an array."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from llgnegf.runfile.arraylike import ReadOnlyArray
from llgnegf.runfile.frames import Frames, Stored


class LazyArray(ReadOnlyArray):
    """A variable of a run; use it like an array of NumPy, only the frames that are asked for are read.

    dims, shape: names and lengths of its dimensions.  Its first dimension is the complete frames, `time`, unless it was
    written once for all of them, with the first frame; before that frame its values are NaN.  unit, long_name: texts.
    Reading raises DamagedFrames where a frame that was asked for is not as it was written.
    """

    def __init__(self, frames: Frames, stored: Stored):
        self._frames, self._stored = frames, stored
        self.name = stored.name
        self.dims = stored.dims
        self.per_frame = stored.per_frame
        self.shape = (frames.n_frames, *stored.shape) if stored.per_frame else stored.shape
        self.dtype = stored.dtype
        self.unit = stored.unit
        self.long_name = stored.long_name

    def _name(self) -> str:
        return self.name if self._frames.is_open else "closed"

    def _read(self, first: int, last: int) -> NDArray[Any]:
        if not self.per_frame:
            return self._frames.read_once(self._stored)
        return self._frames.read(self._stored, first, last)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{dim}: {size}" for dim, size in zip(self.dims, self.shape, strict=True))
        return f"<{self._name()} ({sizes}) {self.dtype}, {self.unit}>"
