"""A texture from a file: NumPy array, OVF 2.0, or a frame of a run."""

import math
import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._arguments import lattice_shape
from .ovf import read_ovf

LENGTH_TOLERANCE = 1e-6  # single precision and text files round |m| this much


def from_file(shape: Sequence[int], path: str | os.PathLike[str], index: int = -1) -> NDArray[np.float64]:
    """Moments (*shape, 3) from `path`, by its suffix:

    * `.npy`: an array of that shape;
    * `.ovf`, `.omf`: OVF 2.0 (OOMMF, mumax3) with one node along z (chain: also along y), segment `index`;
    * `.h5`: frame `index` of the dataset `moment` of a run, counting the frames whose `time` is written (not NaN).

    Negative `index` counts from the end. Lengths within 1e-6 of 1 are made exactly 1; a zero vector is a vacancy.
    Raises FileNotFoundError for no file, OSError for one that cannot be opened, and ValueError, naming the path and
    what to do, for another suffix, shape, index, or for moments that are neither unit vectors nor zero.
    """
    sizes = lattice_shape(shape)
    if not isinstance(index, Integral) or isinstance(index, bool):
        raise ValueError(f"index must be an integer, got {index!r}")
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise FileNotFoundError(f"texture file {str(path)!r} {what} (looked in {file.absolute().parent})")
    readers = {".npy": _read_npy, ".ovf": _read_ovf, ".omf": _read_ovf, ".h5": _read_run}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"path must end in one of {', '.join(readers)}, got {str(path)!r}")
    return _unit_moments(reader(file, sizes, int(index)), sizes, file)


def _read_npy(file: Path, sizes: tuple[int, ...], index: int) -> NDArray[np.float64]:
    _frame(1, index, file, "array")
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{file}: cannot be read as a .npy array: {error}") from None
    return _real(array, file)


def _read_ovf(file: Path, sizes: tuple[int, ...], index: int) -> NDArray[np.float64]:
    segments = read_ovf(file)
    m = segments[_frame(len(segments), index, file, "segment")]
    # Drop axes of one node that the lattice does not have: (nx, ny, 1, 3) is a square, (nx, 1, 1, 3) a chain.
    surplus = tuple(axis for axis in range(len(sizes), 3) if m.shape[axis] == 1)
    return m.squeeze(surplus)


def _read_run(file: Path, sizes: tuple[int, ...], index: int) -> NDArray[np.float64]:
    import h5py  # here, so that nothing but a run file needs it

    if not h5py.is_hdf5(file):
        raise ValueError(f"{file}: is not an HDF5 file")
    try:
        run = h5py.File(file, "r")
    except OSError as error:
        raise OSError(f"{file}: cannot be opened: damaged, or a run is writing it ({error})") from None
    with run:
        for name in ("time", "moment"):
            if not isinstance(run.get(name), h5py.Dataset):
                raise ValueError(f"{file}: holds no dataset {name!r}; is it the file of a run?")
        committed = np.flatnonzero(~np.isnan(run["time"][:]))
        return _real(run["moment"][int(committed[_frame(committed.size, index, file, "saved frame")])], file)


def _frame(count: int, index: int, file: Path, what: str) -> int:
    if not -count <= index < count:
        allowed = f"from {-count} to {count - 1}" if count else "impossible"
        plural = "" if count == 1 else "s"
        raise ValueError(f"{file}: index {index} is out of range: {count} {what}{plural}, so index is {allowed}")
    return index % count


def _real(array: NDArray, file: Path) -> NDArray[np.float64]:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{file}: moments must be real numbers, got an array of {array.dtype}")
    return array.astype(np.float64)


def _unit_moments(m: NDArray[np.float64], sizes: tuple[int, ...], file: Path) -> NDArray[np.float64]:
    if m.shape != (*sizes, 3):
        raise ValueError(
            f"{file}: expected moments of shape {(*sizes, 3)}, got {m.shape}; set the lattice's shape to the file's"
        )
    lengths = np.array([math.hypot(*v) for v in m.reshape(-1, 3)]).reshape(sizes)  # never overflows, as squares may
    vacant = lengths == 0.0
    wrong = ~(vacant | (np.abs(lengths - 1.0) <= LENGTH_TOLERANCE))  # True for NaN and infinity
    if wrong.any():
        site = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{file}: {int(wrong.sum())} of {lengths.size} moments are not unit vectors, first at site {site}: "
            f"{m[site].tolist()} of length {lengths[site]:.9g}; divide every moment by its length "
            "(a magnetisation by its saturation value), and leave exact zeros for vacancies"
        )
    return m / np.where(vacant, 1.0, lengths)[..., None]
