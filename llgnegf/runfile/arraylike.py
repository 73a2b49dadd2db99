"""What makes a variable of a run file behave like a NumPy array that cannot be written to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

# Methods that would change a copy that nobody sees.
_CHANGE = frozenset({"fill", "partition", "put", "resize", "setfield", "setflags", "sort"})
_ARRAY = frozenset(name for name in dir(np.ndarray) if not name.startswith("_"))


class ReadOnlyArray(NDArrayOperatorsMixin):
    """Indexing, arithmetic, comparison and the functions and methods of NumPy, on values that are read when needed.

    A subclass has `shape`, `dtype`, `per_frame` (whether the first axis is the frames), `_name()`, and `_read(first,
    last)`, the frames first to last - 1, or everything where there is no axis of frames.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    per_frame: bool

    def _name(self) -> str:
        raise NotImplementedError

    def _read(self, first: int, last: int) -> NDArray[Any]:
        raise NotImplementedError

    # --- values ---------------------------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a variable of a run file has to be read: copy=False is not possible")
        return np.asarray(self._read(0, self.shape[0] if self.per_frame else 1), dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        """As of a NumPy array; an index of whole numbers, a mask or a slice of the frames reads these frames alone."""
        first, *rest = (key if isinstance(key, tuple) else (key,)) or (Ellipsis,)
        if self.per_frame and isinstance(first, int | np.integer) and not isinstance(first, bool):
            n = len(self)
            if not -n <= first < n:
                raise IndexError(f"{self._name()}: index {first} is out of bounds for axis 0 with size {n}")
            i = int(first) % n
            return self._read(i, i + 1)[(0, *rest)]
        if self.per_frame and isinstance(first, slice):
            wanted = np.arange(len(self))[first]
            turn = -1 if len(wanted) > 1 and wanted[0] > wanted[1] else 1
            return self._gathered(wanted[::turn])[::turn][(slice(None), *rest)]
        if self.per_frame and isinstance(first, list | np.ndarray):
            index = np.asarray(first, dtype=np.intp if len(np.shape(first)) and not np.size(first) else None)
            if index.ndim and (index.dtype.kind in "iu" or (index.dtype.kind == "b" and index.ndim == 1)):
                wanted = np.arange(len(self))[index]
                frames, places = np.unique(wanted, return_inverse=True)
                # The places stay an index among others: NumPy pairs several lists of numbers.
                return self._gathered(frames)[(places.reshape(wanted.shape), *rest)]
        return np.asarray(self)[key]

    def _gathered(self, wanted: NDArray[np.intp]) -> NDArray[Any]:
        """These frames, in ascending order, read in as few pieces as there are gaps."""
        if len(wanted) == 0:
            return np.empty((0, *self.shape[1:]), self.dtype)
        starts = np.flatnonzero(np.diff(wanted) != 1) + 1
        pieces = [self._read(int(piece[0]), int(piece[-1]) + 1) for piece in np.split(wanted, starts)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: object) -> bool:
        return value in np.asarray(self)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Memory of all values once they are read, bytes."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"{self._name()}: a single value has no length")
        return self.shape[0]

    # --- the rest of an array ---------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        outputs = options.get("out", ())
        if any(isinstance(item, ReadOnlyArray) for item in outputs) or (method == "at" and inputs[0] is self):
            raise TypeError(self._refusal())
        given = {key: _plain(value) for key, value in options.items()}
        return getattr(ufunc, method)(*map(_plain, inputs), **given)

    def __getattr__(self, name: str) -> Any:
        if name in _CHANGE:
            raise AttributeError(f"{name}: {self._refusal()}")
        if name in _ARRAY:
            return getattr(np.asarray(self), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(_ARRAY - _CHANGE)})

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(self._refusal())

    def _refusal(self) -> str:
        return f"a variable of a run file cannot be changed; np.array(run[{self._name()!r}]) is a copy that can"

    def __bool__(self) -> bool:
        return bool(np.asarray(self))

    def __float__(self) -> float:
        return float(np.asarray(self))

    def __int__(self) -> int:
        return int(np.asarray(self))

    def __complex__(self) -> complex:
        return complex(np.asarray(self))

    def __reduce__(self) -> Any:
        """Copied or pickled, it is a plain array: the file stays with the run."""
        return np.asarray, (np.asarray(self),)


def _plain(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, ReadOnlyArray) else value
