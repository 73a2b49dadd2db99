"""A run as an xarray.Dataset whose variables are read, and held against their checksums, when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from xarray.backends import BackendArray
from xarray.core import indexing

from llgnegf.runfile.lazy import LazyArray


class _Checked(BackendArray):
    """A variable as xarray asks for it; after pickling it opens the file for itself."""

    def __init__(self, path: Path, array: LazyArray, n_frames: int, reopen: Callable[[Path], Any]):
        """reopen: opens the run at `path`, and can be pickled itself."""
        self._path, self._array, self._n_frames, self._reopen = path, array, n_frames, reopen
        self.shape = (n_frames, *array.shape[1:]) if array.per_frame else array.shape
        self.dtype = array.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._basic)

    def _basic(self, key: tuple[Any, ...]) -> Any:
        if not self._array.per_frame:
            return self._array[key]
        first, rest = key[0], key[1:]
        return self._array[(range(self._n_frames)[first] if isinstance(first, int) else self._frames(first), *rest)]

    def _frames(self, wanted: slice) -> slice:
        start, stop, step = wanted.indices(self._n_frames)
        return slice(start, None if stop < 0 else stop, step)

    def __reduce__(self) -> Any:
        return _reopened, (self._path, self._array.name, self._n_frames, self._reopen)


def _reopened(path: Path, name: str, n_frames: int, reopen: Callable[[Path], Any]) -> _Checked:
    return _Checked(path, reopen(path)[name], n_frames, reopen)


def dataset_of(
    path: Path,
    arrays: Mapping[str, LazyArray],
    coordinates: Mapping[str, np.ndarray],
    attrs: Mapping[str, Any],
    n_frames: int,
    close: Callable[[], None],
    reopen: Callable[[Path], Any],
) -> xarray.Dataset:
    """The first `n_frames` frames of a run, which `close` closes.  Raises DamagedFrames for damaged times."""
    variables = {}
    for name, array in arrays.items():
        stored: Any = indexing.LazilyIndexedArray(_Checked(path, array, n_frames, reopen))
        cached = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(stored))
        about = {"units": array.unit, "long_name": array.long_name}
        if name == "time":
            variables[name] = xarray.Variable(array.dims, array[:n_frames], about)
        else:
            variables[name] = xarray.Variable(array.dims, cached, about)
    used = {dim for array in arrays.values() for dim in array.dims}
    labels = {dim: (dim, values) for dim, values in coordinates.items() if dim in used}
    dataset = xarray.Dataset(variables, labels, attrs)
    dataset.set_close(close)
    return dataset
