"""CRC-32 of frames: one number for many bytes, as `zlib.crc32` computes it, also for many frames at once."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Rows up to so many bytes are looked up in tables, which is ten times as fast as one call for each; beyond it slower.
_SHORT = 24
_BLOCK = 1 << 14  # rows that are worked on while they are in the processor's cache


def crc_of(time: float, arrays: Iterable[NDArray[np.generic]]) -> int:
    """Checksum of a frame: its time and its variables, in file order."""
    value = crc_of_array(np.array(time, "<f8"))
    for array in arrays:
        value = crc_of_array(array, value)
    return value


def crc_of_array(array: NDArray[np.generic], value: int = 0) -> int:
    """CRC-32 of the bytes of an array, continued from `value`."""
    return zlib.crc32(np.ascontiguousarray(array).tobytes(), value)


def crc_rows(values: NDArray[np.generic]) -> NDArray[np.uint32]:
    """CRC-32 of values[i] for every i, (n,); values: (n, ...)."""
    n = len(values)
    values = np.ascontiguousarray(values)
    length = values.itemsize * int(np.prod(values.shape[1:], dtype=np.int64))
    if not n or not length:
        return np.zeros(n, np.uint32)
    rows = values.reshape(n, -1).view(np.uint8)
    if length > _SHORT or length % 2 or n < 64:
        return np.fromiter((zlib.crc32(row.data) for row in rows), np.uint32, n)
    start, tables = _tables(length)
    found = np.full(n, start, np.uint32)
    words = rows.view("<u2")
    for first in range(0, n, _BLOCK):
        block, part = words[first : first + _BLOCK], found[first : first + _BLOCK]
        for position, table in enumerate(tables):
            part ^= table.take(block[:, position])
    return found


@lru_cache(maxsize=_SHORT)
def _tables(length: int) -> tuple[int, NDArray[np.uint32]]:
    """CRC-32 of `length` zeros, and what each pair of bytes at each place changes in it, (length / 2, 65536).

    The CRC of messages of one length is linear in their bits, but for a constant.
    """
    start, single, message = zlib.crc32(bytes(length)), np.zeros((length, 256), np.uint32), bytearray(length)
    for place in range(length):
        for bit in (1, 2, 4, 8, 16, 32, 64, 128):
            message[place] = bit
            single[place, bit : 2 * bit] = single[place, :bit] ^ np.uint32(zlib.crc32(message) ^ start)
        message[place] = 0
    return start, (single[0::2, None, :] ^ single[1::2, :, None]).reshape(length // 2, 1 << 16)
