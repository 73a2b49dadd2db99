"""A variable of the run file that frames are written to, one after the other."""

from __future__ import annotations

from typing import Any

import h5py
from numpy.typing import NDArray


class Column:
    """A dataset kept open for writing: looking it up for each frame is slow and can hide a failing write.

    per_frame: whether its first axis is time.  shape, dtype: of what is written at once, a frame or all of it.
    """

    def __init__(self, dataset: h5py.Dataset, per_frame: bool = True) -> None:
        self.dataset, self.per_frame = dataset, per_frame
        self.dtype = dataset.dtype
        self.shape: tuple[int, ...] = dataset.shape[1:] if per_frame else dataset.shape
        block = (1, *self.shape) if per_frame else self.shape
        # Made once: they would take four times as long as the writing itself.
        self._file = dataset.id.get_space()
        self._memory = h5py.h5s.create_simple(block)
        self._type = h5py.h5t.py_create(self.dtype)
        self._block, self._origin = block, (0,) * len(self.shape)


def put(column: Column, i: int | None, values: NDArray[Any]) -> None:
    """Frame i of the column = values, C-contiguous and of its type and shape; i None: all of it.

    One write of the bytes to their place in the file, whose room is taken already.
    """
    start = column._origin if i is None else (i, *column._origin)
    column._file.select_hyperslab(start, column._block)
    column.dataset.id.write(column._memory, column._file, values, column._type)
