"""A variable of a run file, indexed like an array."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.runfile.frames import Frames, Stored


class LazyArray:
    """A variable of a run; index it like an array, only what is asked for is read.

    dims, shape: names and lengths of its dimensions.  Its first dimension is the complete frames, `time`, unless it was
    written once for all of them, with the first frame; before that frame its values are NaN.  unit, long_name: texts.
    Reading raises DamagedFrames where a frame that was asked for is not as it was written.
    """

    def __init__(self, frames: Frames, stored: Stored):
        self._frames, self._stored = frames, stored
        self.name = stored.name
        self.dims = stored.dims
        self.per_frame = stored.per_frame
        self.shape: tuple[int, ...] = (frames.n_frames, *stored.shape) if stored.per_frame else stored.shape
        self.dtype = stored.dtype
        self.unit = stored.unit
        self.long_name = stored.long_name

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if not self.per_frame or not keys or keys[0] is Ellipsis or keys[0] is None:
            return np.asarray(self)[key]
        first, rest = keys[0], keys[1:]
        if isinstance(first, int | np.integer) and not isinstance(first, bool):
            i = range(len(self))[first]
            return self._read(i, i + 1)[(0, *rest)]
        wanted = np.arange(len(self))[first]
        frames, places = np.unique(wanted, return_inverse=True)
        starts = np.flatnonzero(np.diff(frames, prepend=-2) != 1)
        pieces = np.split(frames, starts[1:]) if len(frames) else []
        blocks = [self._read(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]
        block = blocks[0] if len(blocks) == 1 else np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *blocks])
        return block[places.reshape(wanted.shape)][(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a variable of a run file has to be read: copy=False is not possible")
        values = self._read(0, len(self)) if self.per_frame else self._frames.read_once(self._stored)
        return np.asarray(values, dtype=dtype)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        name = self.name if self._frames.is_open else "closed"
        sizes = ", ".join(f"{dim}: {size}" for dim, size in zip(self.dims, self.shape, strict=True))
        return f"<{name} ({sizes}) {self.dtype}, {self.unit}>"

    def _read(self, first: int, last: int) -> NDArray[Any]:
        return self._frames.read(self._stored, first, last)
