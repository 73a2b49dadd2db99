"""A run as an xarray.Dataset whose variables are read, and held against their checksums, when they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray
from xarray.backends import BackendArray
from xarray.core import indexing

from llgnegf.runfile.reader import LazyArray, Run, open_run


class _Checked(BackendArray):
    """A variable as xarray asks for it; after pickling it opens the file for itself."""

    def __init__(self, path: Path, array: LazyArray, n_frames: int):
        self._path, self._array, self._n_frames = path, array, n_frames
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
        return _reopened, (self._path.absolute(), self._array.name, self._n_frames)


def _reopened(path: Path, name: str, n_frames: int) -> _Checked:
    return _Checked(path, open_run(path)[name], n_frames)


def dataset_of(run: Run, n_frames: int) -> xarray.Dataset:
    """The first `n_frames` frames of `run`, which the dataset closes.  Raises DamagedFrames for damaged times."""
    try:
        arrays = {name: run[name] for name in run.names}
        variables = {
            name: xarray.Variable(
                array.dims,
                indexing.MemoryCachedArray(
                    indexing.CopyOnWriteArray(indexing.LazilyIndexedArray(_Checked(run.path, array, n_frames)))
                ),
                {"units": array.unit, "long_name": array.long_name},
            )
            for name, array in arrays.items()
            if name != "time"
        }
        used = {dim for array in arrays.values() for dim in array.dims if dim != "time"}
        time = arrays["time"]
        coordinates = {
            "time": ("time", run.times[:n_frames], {"units": time.unit, "long_name": time.long_name}),
            **{dim: (dim, run[dim]) for dim in run.coordinates if dim in used},
        }
        dataset = xarray.Dataset(variables, coordinates, run.attrs)
    except BaseException:
        run.close()
        raise
    dataset.set_close(run.close)
    return dataset
