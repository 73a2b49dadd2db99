"""Time series, and variables on sites, as CSV: a first line of names, then numbers that read back exactly."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from llgnegf.export.selection import SITES
from llgnegf.runfile.reader import Run


def series_table(run: Run, names: Sequence[str], frames: Sequence[int]) -> str:
    """One row a frame: time, then every number of the variables `names`, such as current_spin_left_x."""
    columns, values = ["time"], [run.times[list(frames)][:, None]]
    for name in names:
        if name == "time":
            continue
        more, numbers = flattened(run, name, list(frames))
        columns += more
        values.append(numbers)
    return _text(columns, values)


def flattened(run: Run, name: str, frames: Any) -> tuple[list[str], np.ndarray]:
    """The numbers of a series at `frames` (an index of NumPy), (frames, n), and a name for each of the n."""
    variable = run[name]
    values = np.asarray(variable[:])[frames]
    names = ["_".join((name, *labels)) for labels in itertools.product(*_labels(run, variable.dims[1:]))]
    return names, values.reshape(len(values), -1)


def sites_table(run: Run, name: str, frames: Sequence[int]) -> str:
    """One row a frame and site: time, the indices x[, y], then the variable, or its components such as moment_x."""
    variable = run[name]
    axes = [dim for dim in variable.dims if dim in SITES]
    rest = variable.dims[1 + len(axes) :]
    columns = ["time", *axes, *("_".join((name, *labels)) for labels in itertools.product(*_labels(run, rest)))]
    sites = np.indices(variable.shape[1 : 1 + len(axes)]).reshape(len(axes), -1).T
    out, times = [], run.times
    for n, i in enumerate(frames):
        values = np.asarray(variable[i]).reshape(len(sites), -1)
        text = _text(columns, [np.full((len(sites), 1), times[i]), sites, values])
        out.append(text if n == 0 else text.partition("\n")[2])
    return "".join(out)


def _labels(run: Run, dims: Sequence[str]) -> list[list[str]]:
    """A word for each index along each dimension."""
    found = []
    for dim in dims:
        names = run[dim] if dim in run.coordinates else None
        if names is None or names.dtype.kind not in "UO":
            size = next(run[name].shape[run[name].dims.index(dim)] for name in run.names if dim in run[name].dims)
            names = range(size)
        found.append([str(name) for name in names])
    return found


def _text(columns: Sequence[str], values: Sequence[np.ndarray]) -> str:
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(columns)
    lists = [part.tolist() for part in values]  # Python's numbers: repr is the shortest text that reads back the same
    rows.writerows([number for part in parts for number in part] for parts in zip(*lists, strict=True))
    return out.getvalue()
