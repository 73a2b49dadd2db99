"""Checksums of many frames at once: a file of a million small frames is judged in a second."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

# Frames are read in blocks of so many bytes.
_BLOCK = 8 << 20


def checksums(file: h5py.File, names: Sequence[str], times: NDArray[Any], start: int, stop: int) -> NDArray[np.uint32]:
    """CRC-32 of the frames start, ..., stop - 1 as they are in the file, (stop - start,).

    names: variables with a value per frame, `time` excluded, in file order; times: of all frames.
    """
    datasets = [file[name] for name in names]
    widths = [8, *(data.dtype.itemsize * int(np.prod(data.shape[1:], dtype=int)) for data in datasets)]
    ends = np.cumsum(widths).tolist()
    size, block = ends[-1], max(1, _BLOCK // ends[-1])
    found = np.empty(stop - start, np.uint32)
    for first in range(start, stop, block):
        past = min(first + block, stop)
        frames = np.empty((past - first, size), np.uint8)
        frames[:, :8] = _bytes_of(times[first:past].astype("<f8"))
        for data, begin, end in zip(datasets, ends[:-1], ends[1:], strict=True):
            frames[:, begin:end] = _bytes_of(data[first:past])
        flat = frames.reshape(-1).data
        found[first - start : past - start] = [zlib.crc32(flat[i : i + size]) for i in range(0, len(flat), size)]
    return found


def _bytes_of(values: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of each frame, (frames, bytes)."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
