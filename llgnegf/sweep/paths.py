"""Many paths of one deck, which differ in `run.seed`: a sweep, with mean and spread over the paths in one file.

ensemble.h5 has the dimensions and coordinates of a run file.  In place of each variable NAME of the runs that depends
on time it has

    NAME_mean    the mean over the paths
    NAME_std     their standard deviation, with n - 1 in its denominator; NaN for one path
    NAME_paths   how many paths have this variable at this time: NaN, such as a wall that has left, is left out

and the deck, the first seed and the numbers of paths as attributes.  Circular quantities are followed along each path
before they are averaged (`seams`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from llgnegf._version import __version__
from llgnegf.deck import Deck
from llgnegf.deck.messages import show
from llgnegf.deck.rules import MAX_INTEGER
from llgnegf.deck.unused import depends_on_seed
from llgnegf.errors import DeckError, RunError
from llgnegf.runfile.disk import disk_errors, take_name, temporary_name
from llgnegf.runfile.layout import OPEN, set_attributes
from llgnegf.runfile.reader import Run, open_run
from llgnegf.seams import path_of
from llgnegf.sweep.points import Axis
from llgnegf.sweep.runs import sweep
from llgnegf.sweep.work import RUN_FILE

ENSEMBLE_FILE, ENSEMBLE_FORMAT = "ensemble.h5", "llgnegf ensemble"
# Of no interest as a mean: the same in all paths, or a cost.
_LEFT_OUT = ("time", "step", "solves")
# Bytes of sums that are held at once; of more, the runs are read several times.
_MOST_HELD = 512 << 20


def ensemble(base: Deck, paths: int, folder: str | Path, **options: Any) -> list[dict[str, Any]]:
    """So many paths of a deck, with run.seed, run.seed + 1, ..., and ensemble.h5 in `folder` of those that are done.

    options: as `sweep` takes them.  Called again it goes on, also with more paths.  Returns the rows of the summary.

    Raises what `sweep` raises, and DeckError where the seed changes nothing.
    """
    axis = seeds(base, paths)
    folder = Path(folder).absolute()
    (folder / ENSEMBLE_FILE).unlink(missing_ok=True)  # of other paths, perhaps
    rows = sweep(base, [axis], folder, **options)
    done = [folder / row["folder"] / RUN_FILE for row in rows if row["state"] == "done"]
    if done:
        write_statistics(folder / ENSEMBLE_FILE, base, done, paths)
    return rows


def seeds(base: Deck, paths: int) -> Axis:
    """The key and the values in which the paths differ.  DeckError for an impossible number, or for equal paths."""
    if paths < 1:
        raise DeckError(f"--paths {paths}: must be at least 1")
    if not depends_on_seed(base):
        raise DeckError(
            f"--paths {paths}: every path would be the same, since nothing in {base.name} depends on run.seed; "
            "allowed: magnet.temperature > 0, electrons.noise with electrons.temperature > 0 or a bias, or "
            'texture.kind = "random"; over other keys, such as electrons.disorder.seed: llgnegf sweep'
        )
    first = base.run.seed
    if first + paths - 1 > MAX_INTEGER:
        raise DeckError(
            f"run.seed = {show(first)}: is the first of {paths} seeds; allowed: up to {MAX_INTEGER - paths + 1}"
        )
    values = tuple(range(first, first + paths))
    return Axis("run.seed", tuple(map(str, values)), values)


@dataclass
class _Sums:
    """Mean and sum of squared differences from it, path after path (B. P. Welford, Technometrics 4, 419 (1962)).

    frames: which frames of the variable; counts (frames,); mean, squares: (frames, ...).
    """

    name: str
    frames: slice
    counts: NDArray[np.int64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    def add(self, values: NDArray[np.float64]) -> None:
        """One more path; frames in which it is not finite are left out."""
        there = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        self.counts[there] += 1
        away = values[there] - self.mean[there]
        self.mean[there] += away / self.counts[there].reshape(-1, *[1] * (values.ndim - 1))
        self.squares[there] += away * (values[there] - self.mean[there])

    @property
    def results(self) -> dict[str, NDArray[Any]]:
        """By the ending of the name."""
        counts = self.counts.reshape(-1, *[1] * (self.mean.ndim - 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            deviation = np.sqrt(np.where(counts > 1, self.squares / (counts - 1), np.nan))
        return {"mean": np.where(counts > 0, self.mean, np.nan), "std": deviation, "paths": self.counts}


def write_statistics(path: Path, deck: Deck, runs: Sequence[Path], asked: int) -> None:
    """The file `path` of mean and spread over these run files, in their order; it takes its name when it is complete.

    Raises RunError where their frames are not at the same times, FileError for damaged ones and for the disk.
    """
    temporary = temporary_name(path)
    with open_run(runs[0]) as first, disk_errors(path, "write the ensemble"):
        try:
            with h5py.File(temporary, "w", track_order=True, **OPEN) as file:
                attrs = {"deck": deck.text, "title": deck.title, "seed": deck.run.seed, "paths": len(runs)}
                attrs |= {"paths_asked": asked, "format": ENSEMBLE_FORMAT, "llgnegf_version": __version__}
                set_attributes(file, attrs | {"created": datetime.now().astimezone().isoformat(timespec="seconds")})
                _lay_out(file, first)
                for batch in _batches(first):
                    for one in runs:
                        with open_run(one) as run:
                            _refuse_other_times(run, first)
                            for sums in batch:
                                sums.add(_values(run, sums.name, sums.frames))
                    for sums in batch:
                        for ending, values in sums.results.items():
                            file[f"{sums.name}_{ending}"][sums.frames] = values
            take_name(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _names(run: Run) -> list[str]:
    return [name for name in run.names if run[name].per_frame and name not in _LEFT_OUT]


def _lay_out(file: h5py.File, run: Run) -> None:
    """Dimensions and empty variables; what has no time axis is that of the first path."""
    coordinates = {"time": run.times, **{dim: np.asarray(run[dim]) for dim in run.coordinates}}
    variables = [name for name in run.names if name not in _LEFT_OUT]
    used = {dim for name in variables for dim in run[name].dims}
    for dim, values in coordinates.items():
        if dim in used or dim == "time":
            file.create_dataset(dim, data=values.astype("S") if values.dtype.kind in "US" else values).make_scale(dim)
    file["time"].attrs.update({"units": f"hbar/{run.outline.energy_label}", "long_name": "time"})

    def add(name: str, dims: Sequence[str], unit: str, meaning: str, values: Any = None, kind: str = "<f8") -> None:
        shape = tuple(len(file[dim]) for dim in dims)
        dataset = file.create_dataset(name, shape, kind, data=values)
        for axis, dim in enumerate(dims):
            dataset.dims[axis].attach_scale(file[dim])
        dataset.attrs.update({"units": unit, "long_name": meaning})

    for name in variables:
        one = run[name]
        if not one.per_frame:
            add(name, one.dims, one.unit, one.long_name, np.asarray(one))
            continue
        add(f"{name}_mean", one.dims, one.unit, f"mean over the paths: {one.long_name}")
        add(f"{name}_std", one.dims, one.unit, f"standard deviation over the paths: {one.long_name}")
        add(f"{name}_paths", ("time",), "1", f"paths that have {name} at this time", kind="<i8")


def _batches(run: Run) -> Iterator[list[_Sums]]:
    """All variables in time, as many at once as may be held; large ones in blocks of frames."""
    batch: list[_Sums] = []
    held = 0
    for name in _names(run):
        frame = run[name].shape[1:]
        size = 16 * max(1, int(np.prod(frame)))
        # What may be circular has one or two numbers a frame and needs all of its path.
        block = run.n_frames if len(frame) < 2 else max(1, _MOST_HELD // size)
        for begin in range(0, run.n_frames, block):
            frames = slice(begin, min(begin + block, run.n_frames))
            n = frames.stop - begin
            if batch and held + n * size > _MOST_HELD:
                yield batch
                batch, held = [], 0
            batch.append(_Sums(name, frames, np.zeros(n, dtype=np.int64), np.zeros((n, *frame)), np.zeros((n, *frame))))
            held += n * size
    if batch:
        yield batch


def _values(run: Run, name: str, frames: slice) -> NDArray[np.float64]:
    if len(run[name].shape) <= 2:
        return path_of(run, name)[frames]
    return np.asarray(run[name][frames], dtype=float)


def _refuse_other_times(run: Run, first: Run) -> None:
    if not np.array_equal(run.times, first.times):
        raise RunError(
            f"{run.path}: has other frames than {first.path}, because it went on with another run.save_every, perhaps: "
            "remove its folder, and the same command makes it anew"
        )
