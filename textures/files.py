"""A texture from a file: NumPy array, OVF, or a frame of a run; and numbers on the sites from an array.

What a file declares is held against the lattice before its numbers are read, so that no file takes more memory or time
than what was asked for.
"""

import math
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llgnegf.regular_files import refuse_no_file

from ._arguments import lattice_shape
from .ovf import segments

LENGTH_TOLERANCE = 1e-6  # single precision and text files round |m| this much
_SHORTEST = 1e-6  # of the longest: what is shorter and not zero is noise, whose direction means nothing


def from_file(
    shape: Sequence[int], path: str | os.PathLike[str], index: int = -1, normalize: bool = False
) -> NDArray[np.float64]:
    """Moments (*shape, 3) from `path`, by its suffix:

    * `.npy`: an array of that shape;
    * `.ovf`, `.omf`: OVF 1.0 or 2.0 (OOMMF, mumax3) with one node along z (chain: also along y), segment `index`;
    * `.h5`: frame `index` of a run, which must be as it was written (checksum); or of the dataset `moment` of another
      HDF5 file, counting the frames whose `time` is written (not NaN).

    Negative `index` counts from the end. Lengths within 1e-6 of 1 are made exactly 1; a zero vector is a vacancy.
    normalize: every other vector, such as a magnetisation in A/m, is divided by its length, whatever that is.
    Raises FileNotFoundError for no file, OSError for one that cannot be opened, and ValueError, naming the path and
    what to do, for another suffix, shape, index, or for moments that are neither unit vectors nor zero.
    """
    sizes = lattice_shape(shape)
    if not isinstance(index, Integral) or isinstance(index, bool):
        raise ValueError(f"index must be an integer, got {index!r}")
    file = Path(path)
    refuse_no_file(file, path, "texture file")
    readers = {".npy": _read_npy, ".ovf": _read_ovf, ".omf": _read_ovf, ".h5": _read_run}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"path must end in one of {', '.join(readers)}, got {str(path)!r}")
    return _unit_moments(reader(file, sizes, int(index)), sizes, file, normalize)


def numbers_from_file(shape: Sequence[int], path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """One finite number a site, `shape`, from the array of that shape in a `.npy` file.

    Raises FileNotFoundError for no file, OSError for one that cannot be opened, and ValueError, naming the path and
    what to do, for another suffix or shape, or for what are not finite real numbers.
    """
    return _finite(lattice_shape(shape), path, "numbers")


def vectors_from_file(shape: Sequence[int], path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """One vector of finite numbers a site, (nx, 3) or (nx, ny, 3), from the array of that shape in a `.npy` file.

    Raises as `numbers_from_file`.
    """
    return _finite((*lattice_shape(shape), 3), path, "vectors")


def _finite(sizes: tuple[int, ...], path: str | os.PathLike[str], what: str) -> NDArray[np.float64]:
    file = Path(path)
    refuse_no_file(file, path, "file")
    if file.suffix.lower() != ".npy":
        raise ValueError(f"path must end in .npy, got {str(path)!r}")
    values = _npy(file, sizes, what)
    if not np.isfinite(values).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        whose = f"the number of site {place}" if what == "numbers" else f"number {place[-1]} of site {place[:-1]}"
        raise ValueError(f"{file}: {whose} is {values[place]}; every one must be finite")
    return values


def _read_npy(file: Path, sizes: tuple[int, ...], index: int) -> NDArray[np.float64]:
    _frame(1, index, file, "array")
    return _npy(file, (*sizes, 3), "moments")


def _npy(file: Path, expected: tuple[int, ...], what: str) -> NDArray[np.float64]:
    try:
        # Only its header is read, and the size of the file compared with it.
        array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # a header may be any text, which NumPy evaluates
        raise ValueError(f"{file}: cannot be read as a .npy array: {error}") from None
    _refuse_type(array.dtype, file, what)
    _refuse_shape(array.shape, expected, file, what)
    return np.array(array, dtype=np.float64)


def _read_ovf(file: Path, sizes: tuple[int, ...], index: int) -> NDArray[np.float64]:
    with segments(file) as found:
        segment = found[_frame(len(found), index, file, "segment")]
        # Drop axes of one node that the lattice does not have: (nx, ny, 1, 3) is a square, (nx, 1, 1, 3) a chain.
        surplus = tuple(axis for axis in range(len(sizes), 3) if segment.shape[axis] == 1)
        _refuse_shape(tuple(n for axis, n in enumerate(segment.shape) if axis not in surplus), (*sizes, 3), file)
        return segment.values().squeeze(surplus)


def _read_run(file: Path, sizes: tuple[int, ...], index: int) -> NDArray[np.float64]:
    from llgnegf.errors import FileError  # here, so that nothing but a run file needs HDF5
    from llgnegf.runfile.reader import open_run
    from llgnegf.runfile.sound import NO_HDF5, hdf5_errors, open_sound, refuse_foreign

    def reading() -> AbstractContextManager[None]:
        return hdf5_errors(file, "read the texture")

    try:
        hdf5, _ = open_sound(file)
    except FileError as error:
        told = str(error).removeprefix(f"{file}: ")
        if told.startswith(NO_HDF5):
            raise ValueError(f"{file}: is not an HDF5 file, or damaged in its first bytes") from None
        raise OSError(f"{file}: cannot be opened: damaged, or a run is writing it ({told})") from None
    with hdf5:
        try:
            with reading():
                is_run = "format" in hdf5.attrs and "deck" in hdf5.attrs
            if is_run:
                with open_run(file) as run:
                    moments = run["moment"]
                    _refuse_shape(moments.shape[1:], (*sizes, 3), file)
                    return np.array(moments[_frame(run.n_frames, index, file, "saved frame")], dtype=np.float64)
            for name in ("time", "moment"):
                with reading():
                    there = hdf5.get(name, getlink=True) is not None
                if not there:
                    raise ValueError(f"{file}: holds no dataset {name!r}; is it the file of a run?")
                with reading():
                    refuse_foreign(hdf5, name, file)
            time, moment = hdf5["time"], hdf5["moment"]
            _refuse_type(moment.dtype, file)
            _refuse_type(time.dtype, file, "times")
            _refuse_shape(moment.shape[1:], (*sizes, 3), file)
            if time.shape != moment.shape[:1]:
                raise ValueError(f"{file}: 'time' must be a number for each of the {len(moment)} frames of 'moment'")
            with reading():
                committed = np.flatnonzero(~np.isnan(time[:]))
            i = int(committed[_frame(committed.size, index, file, "saved frame")])
            with reading():
                return np.array(moment[i], dtype=np.float64)
        except FileError as error:
            raise ValueError(str(error)) from None


def _frame(count: int, index: int, file: Path, what: str) -> int:
    if not -count <= index < count:
        allowed = f"from {-count} to {count - 1}" if count else "impossible"
        plural = "" if count == 1 else "s"
        raise ValueError(f"{file}: index {index} is out of range: {count} {what}{plural}, so index is {allowed}")
    return index % count


def _refuse_type(dtype: np.dtype, file: Path, what: str = "moments") -> None:
    if dtype.kind not in "fiu":
        raise ValueError(f"{file}: {what} must be real numbers, got an array of {dtype}")


def _refuse_shape(shape: tuple[int, ...], expected: tuple[int, ...], file: Path, what: str = "moments") -> None:
    if tuple(shape) != expected:
        raise ValueError(
            f"{file}: expected {what} of shape {expected}, got {tuple(shape)}; set the lattice's shape to the file's"
        )


def _unit_moments(m: NDArray[np.float64], sizes: tuple[int, ...], file: Path, normalize: bool) -> NDArray[np.float64]:
    _refuse_shape(m.shape, (*sizes, 3), file)
    lengths = np.array([math.hypot(*v) for v in m.reshape(-1, 3)]).reshape(sizes)  # never overflows, as squares may
    vacant = lengths == 0.0
    finite, without_direction = np.isfinite(lengths), "such a vector has no direction: write exact zeros for vacancies"
    if normalize:
        wrong = ~(vacant | (finite & (lengths >= _SHORTEST * lengths.max(where=finite, initial=0.0))))
        what = f"neither zero nor finite and at least {_SHORTEST:g} times as long as the longest"
        remedy = without_direction
    else:
        wrong = ~(vacant | (np.abs(lengths - 1.0) <= LENGTH_TOLERANCE))  # True for NaN and infinity
        what = "not unit vectors"
        remedy = (
            "set normalize = true (texture.normalize) to divide every moment by its length, and leave exact zeros for "
            "vacancies"
        )
    if wrong.any():
        site = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{file}: {int(wrong.sum())} of {lengths.size} moments are {what}, first at site {site}: "
            f"{m[site].tolist()} of length {lengths[site]:.9g}; {remedy if finite[site] else without_direction}"
        )
    return m / np.where(vacant, 1.0, lengths)[..., None]
