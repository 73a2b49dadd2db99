"""Reading a run file, also while another process writes it.

Every number is held against its checksum before it is returned; `frames.py` does that, and knows both formats.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llgnegf._version import __version__
from llgnegf.deck.outline import Outline, outline_of
from llgnegf.errors import DeckError, FileError, missing_package
from llgnegf.once import cached_property
from llgnegf.runfile.frames import Frames
from llgnegf.runfile.layout import FORMAT, NOT_VARIABLES, TIME, as_plain, as_text
from llgnegf.runfile.lazy import LazyArray
from llgnegf.runfile.sound import hdf5_errors, open_sound, refuse_foreign, refuse_format

if TYPE_CHECKING:
    import h5py
    import xarray

    from llgnegf.deck import Deck


class MissingVariable(FileError, KeyError):
    """A run file has no variable of this name."""

    __str__ = Exception.__str__  # a KeyError puts its message in quotes


class Run:
    """A run file to read: `run["moment"]` or `run.moment`, only the frames that are complete.  Close it after use."""

    def __init__(self, path: Path, file: h5py.File, sealed_by: str | None = None):
        self.path = path
        self._file = file
        self._frames = Frames(path, file)
        self.n_frames: int = self._frames.n_frames
        self.names: list[str] = list(self._frames.stored)
        self.attrs: dict[str, Any] = {key: as_plain(value) for key, value in file.attrs.items()}
        if not isinstance(self.attrs.get("deck"), str):
            raise FileError(f"{path}: lacks the attribute 'deck', the text of its deck: not a run file of llgnegf")
        self._arrays = {name: LazyArray(self._frames, stored) for name, stored in self._frames.stored.items()}
        # What seals a file, a new one or one whose changes are accepted, has read its deck before.
        self._deck_is_judged = sealed_by == __version__
        self.coordinates: list[str] = [name for name in file if name not in self.names and name not in NOT_VARIABLES]

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each frame, hbar/energy.  DamagedFrames where one is not as it was written."""
        return self._frames.times

    @property
    def stored_times(self) -> NDArray[np.float64]:
        """Times as they are in the file, damaged ones as well: for whoever asks `frames_ok` which of them are not."""
        return self._frames.as_stored

    @property
    def deck_text(self) -> str:
        """The deck as run, in TOML."""
        return str(self.attrs["deck"])

    @property
    def deck(self) -> Deck:
        """The deck as run; a relative path in it counts from the folder of the original deck if that is known.

        It knows this file: numbers that the run had from other files are taken from here.

        Raises FileError where this version cannot read it.
        """
        from llgnegf.deck import recorded_deck

        folder, name = self.attrs.get("deck_folder", self.path.parent), self.attrs.get("deck_name", self.path.stem)
        try:
            deck = recorded_deck(self.deck_text, folder=str(folder), name=str(name))
        except (DeckError, ValueError) as error:
            raise FileError(f"{self.path}: the deck in it (attribute 'deck') cannot be read: {error}") from None
        self._refuse_another_lattice(deck.lattice.shape)
        return replace(deck, run_file=self.path.absolute())

    @cached_property
    def outline(self) -> Outline:
        """What the deck says of the run in a few words and numbers.

        The deck is judged, which takes longer than all the rest, only if the version that sealed this file is not this
        one.  Raises FileError where this version cannot read it.
        """
        if self._deck_is_judged:
            with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError):
                found = outline_of(self.deck_text)
                self._refuse_another_lattice(found.shape)
                return found
        _ = self.deck  # says what is wrong
        return outline_of(self.deck_text)

    def _refuse_another_lattice(self, expected: tuple[int, ...]) -> None:
        """FileError unless the coordinates of this file are those of a lattice of the shape `expected`."""
        shape = tuple(len(self._file[axis]) for axis in "xy" if axis in self.coordinates)
        if shape and shape != expected[: len(shape)]:
            raise FileError(
                f"{self.path}: its lattice is {shape}, but that of the deck in it is {expected}: not a run file of "
                "llgnegf"
            )

    def frame_ok(self, index: int) -> bool:
        """Whether the bytes of a frame are those that were written (CRC-32).

        index: negative ones count from the last complete frame.  What was written once belongs to the first frame.
        Raises IndexError where there is no such frame, FileError where it cannot be read.
        """
        i = range(self.n_frames)[index]
        return bool(self._frames.ok(i, i + 1)[0])

    def frames_ok(self, start: int = 0, stop: int | None = None) -> NDArray[np.bool_]:
        """`frame_ok` of the frames start, ..., stop - 1 (default: to the last one), (stop - start,), fast for many."""
        stop = self.n_frames if stop is None else min(stop, self.n_frames)
        if (start, stop) == (0, self.n_frames):
            return self._all_ok
        return self._frames.ok(min(start, stop), stop)

    @cached_property
    def _all_ok(self) -> NDArray[np.bool_]:
        return self._frames.ok(0, self.n_frames)

    def to_xarray(self) -> xarray.Dataset:
        """The complete frames as a lazy xarray.Dataset, which opens the file for itself: close it after use.

        Raises DamagedFrames, also later, where values are read that are not as they were written.
        """
        try:
            import xarray  # noqa: F401  first: its absence is told by its name

            from llgnegf.runfile.as_xarray import dataset_of
        except ImportError as error:
            raise missing_package("to_xarray", error, "xarray") from None
        run = open_run(self.path)
        try:
            coordinates = {dim: run[dim] for dim in run.coordinates}
            return dataset_of(
                self.path.absolute(), run._arrays, coordinates, run.attrs, self.n_frames, run.close, open_run
            )
        except BaseException:
            run.close()
            raise

    def __reduce__(self) -> Any:
        """Copied or pickled, a run opens its file again."""
        return open_run, (self.path.absolute(),)

    def close(self) -> None:
        """Closes the file; variables that were not read by then are lost."""
        self._file.close()

    def __getitem__(self, name: str) -> Any:
        """A variable, or the values of a coordinate (x, y, component, lead).  Others: MissingVariable, a KeyError."""
        if name in self._arrays:
            return self._arrays[name]
        if name in self.coordinates:
            with hdf5_errors(self.path, f"read {name}"):
                values = self._file[name][()]
                return values.astype(str) if values.dtype.kind == "S" else values
        if name == "spin_geometric" and "spin_sea" in self._arrays:
            raise MissingVariable(
                "spin_geometric: exists for motion.kind = 'precession' only; any other motion splits into spin_sea "
                "(which holds the geometric part) and spin_surface"
            )
        raise MissingVariable(f"{self.path}: {name}: not in this run; it has {', '.join(self.names)}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.names]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        until = f" until t = {self._frames.as_stored[-1]:.6g}" if self.n_frames else ""
        return f"<Run {self.path}: {self.n_frames} frames{until}; {', '.join(self.names)}>"

    def stored_crcs(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint32]:
        """The checksums that were written with the frames start, ..., stop - 1 (default: to the last one)."""
        return self._frames.crcs(start, self.n_frames if stop is None else stop)


def open_run(path: str | Path, check: bool = True) -> Run:
    """Opens a run file for reading, also while another process writes it.

    check: False also opens a file whose names, attributes or indices are damaged, as far as HDF5 can, which may then
    return wrong numbers or never return; the frames still are held against their checksums.

    Raises FileError where the file is not one of llgnegf or is damaged.
    """
    path = Path(path)
    file, sealed_by = open_sound(path, check)
    try:
        with hdf5_errors(path, "read the run file"):
            for name in file:
                refuse_foreign(file, name, path)
            if as_text(file.attrs.get("format", "")) != FORMAT or TIME not in file:
                raise FileError(f"{path}: an HDF5 file, but not a run file of llgnegf")
            if "format_version" not in file.attrs:
                raise FileError(f"{path}: lacks the attribute 'format_version': not a run file of llgnegf")
            writer = as_text(file.attrs.get("llgnegf_version", "?"))
            refuse_format(path, as_plain(file.attrs["format_version"]), writer)
            return Run(path, file, sealed_by)
    except BaseException:
        file.close()
        raise
