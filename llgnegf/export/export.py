"""Which files an export writes, and writing them: `llgnegf export`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf._version import __version__
from llgnegf.beside import textures
from llgnegf.errors import DeckError, missing_package
from llgnegf.export.selection import chosen_frames, chosen_variables, is_series, on_sites
from llgnegf.export.tables import series_table, sites_table
from llgnegf.runfile.disk import disk_errors, write_file
from llgnegf.runfile.reader import Run
from llgnegf.units import femtoseconds

FORMATS = ("ovf", "vtk", "csv")
_MANY = 10_000  # so many files are only written where the frames were named


@dataclass(frozen=True)
class _File:
    """A file that is to be written; `write` does it."""

    path: Path
    write: Callable[[], None]


def export(
    run: Run,
    folder: str | Path | None = None,
    formats: Sequence[str] = ("ovf",),
    variables: Sequence[str] | None = None,
    frames: str | None = None,
    lattice_constant: float | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Writes frames and time series of a run for other programs, and returns the files.

    folder: where to; by default NAME_export beside NAME.h5.  formats: names of `FORMATS`:

    * ovf: OVF 2.0, binary 8; a file for each frame and variable on sites (default: `moment`);
    * vtk: a .vti file for each frame with the variables on sites (default: all), and a .pvd file of them all with
      their times, for ParaView; needs the package pyevtk;
    * csv: series.csv with all that is no site's in each frame; a file for each variable on sites in `variables`.

    variables: names of those to write.  frames: which, as `selection.chosen_frames` reads them (default: all).
    lattice_constant: in metres; with it positions are in metres in OVF files and in nm in VTK files, without it in
    lattice constants.
    overwrite: whether files that are there are replaced.

    Raises DeckError for a format, variable or frame that is not known, for files that are there already and for more
    than 10 000 files where `frames` is not given; FileError for trouble with the disk; DamagedFrames for a frame that
    is not as it was written; LLGNEGFError without pyevtk.
    """
    for name in formats:
        if name not in FORMATS:
            raise DeckError(f"--format {name}: must be {', '.join(FORMATS)}, or some of them with commas between")
    if lattice_constant is not None and not 0 < lattice_constant < math.inf:
        raise DeckError(f"lattice_constant must be a length in metres above 0, got {lattice_constant!r}")
    if not run.n_frames:
        raise DeckError(f"{run.path}: has no complete frame yet: nothing to export")
    names = None if variables is None else chosen_variables(run, variables)
    which = chosen_frames(run.n_frames, ":" if frames is None else frames)
    folder = run.path.with_name(f"{run.path.stem}_export") if folder is None else Path(folder)
    job = _Job(run, folder, names, which, lattice_constant)
    files = [file for name in dict.fromkeys(formats) for file in getattr(job, name)()]
    if len(files) > _MANY and frames is None:
        raise DeckError(
            f"{run.path}: {len(which)} frames make {len(files)} files: choose some of them, such as --frames "
            f"::{-(-len(which) // 1000)}, or all by --frames :"
        )
    there = [file.path for file in files if file.path.exists()]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if there[1:] else ""
        raise DeckError(f"{there[0]}{more}: there already: give another folder with -o, or --overwrite")
    with disk_errors(folder, "make the folder"):
        folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        file.write()
    return [file.path for file in files]


class _Job:
    """The files of each format.  Each method returns them; nothing is read or written before their `write`."""

    def __init__(
        self, run: Run, folder: Path, names: list[str] | None, frames: list[int], lattice_constant: float | None
    ):
        """names: the variables that were asked for, or None for those that a format writes by default."""
        self.run, self.folder, self.names, self.frames = run, folder, names, frames
        self.deck = run.deck
        self.spacing, self.length_unit = (1.0, "a") if lattice_constant is None else (lattice_constant, "m")

    def ovf(self) -> list[_File]:
        names = self._fields("ovf", ["moment"])
        return [
            _File(path, self._bytes(path, self._ovf, name, i))
            for name in names
            for i in self.frames
            for path in [self.folder / f"{name}{i:06d}.ovf"]
        ]

    def vtk(self) -> list[_File]:
        try:
            import pyevtk  # noqa: F401
        except ImportError as error:
            raise missing_package("--format vtk", error, "vtk") from None
        names = self._fields("vtk", [name for name in self.run.names if on_sites(self.run, name)])
        stem = self.folder / self.run.path.stem
        images = {i: stem.with_name(f"{stem.name}{i:06d}.vti") for i in self.frames}
        files = [_File(path, self._vti(path, names, i)) for i, path in images.items()]
        return [*files, _File(stem.with_name(f"{stem.name}.pvd"), self._pvd(stem, images))]

    def csv(self) -> list[_File]:
        run, names = self.run, self.names
        series = [name for name in (run.names if names is None else names) if is_series(run, name)]
        sites = [name for name in names or () if on_sites(run, name)]
        for name in names or ():
            if name not in series and name not in sites:
                raise DeckError(
                    f"--variable {name}: written once, or with dimensions ({', '.join(run[name].dims)}) that no table "
                    "has; read it with llgnegf.open_run"
                )
        files = []
        if series:
            path = self.folder / "series.csv"
            files.append(_File(path, self._bytes(path, lambda: series_table(run, series, self.frames).encode())))
        for name in sites:
            path = self.folder / f"{name}.csv"
            files.append(_File(path, self._bytes(path, lambda n: sites_table(run, n, self.frames).encode(), name)))
        return files

    def _fields(self, what: str, by_default: list[str]) -> list[str]:
        """The variables on sites; DeckError for others that were asked for."""
        names = by_default if self.names is None else self.names
        for name in names:
            if not on_sites(self.run, name):
                raise DeckError(
                    f"--variable {name}: not a number or vector on each site, as --format {what} needs; those are "
                    f"{', '.join(other for other in self.run.names if on_sites(self.run, other))}"
                )
        return names

    @staticmethod
    def _bytes(path: Path, made: Callable[..., bytes], *arguments: Any) -> Callable[[], None]:
        return lambda: write_file(path, made(*arguments), "write the export")

    def _field(self, name: str, i: int) -> NDArray[np.float64]:
        """A variable on sites in frame i, (nx, ny, 1, components)."""
        variable = self.run[name]
        values = np.asarray(variable[i], dtype=float)
        nx, ny = (*values.shape[: len(variable.dims) - 1 - ("component" in variable.dims)], 1)[:2]
        return values.reshape(nx, ny, 1, -1)

    def _ovf(self, name: str, i: int) -> bytes:
        values = self._field(name, i)
        time, unit = float(self.run.times[i]), self.run[name].unit
        # In braces where there are several words; discretisedfield calls a component by what follows the underscore.
        words = name.replace("_", " ")
        labels = [f"{words}_{axis}" for axis in "xyz"] if values.shape[3] == 3 else [words]
        labels = [f"{{{label}}}" if " " in label else label for label in labels]
        seconds = femtoseconds(time, self.deck.units_energy_ev) * 1e-15
        return textures.ovf_bytes(
            values,
            title=name,
            labels=labels,
            unit=unit.replace(" ", "") or "1",
            spacing=self.spacing,
            length_unit=self.length_unit,
            about=(
                f"llgnegf {__version__}, {self.deck.title or self.deck.name}, frame {i}, "
                f"t = {time:.12g} hbar/{self.deck.units.label}",
                f"Total simulation time:  {seconds!r}  s",
            ),
        )

    def _vti(self, path: Path, names: list[str], i: int) -> Callable[[], None]:
        def write() -> None:
            from pyevtk.hl import imageToVTK

            data: dict[str, Any] = {}
            for name in names:
                parts = [np.asfortranarray(part) for part in np.moveaxis(self._field(name, i), 3, 0)]
                data[name] = tuple(parts) if len(parts) == 3 else parts[0]
            # nm: pyevtk takes a spacing below 1e-8 for none.
            spacing = self.spacing if self.length_unit == "a" else self.spacing * 1e9
            with disk_errors(path, "write the export"):
                imageToVTK(str(path.with_suffix("")), spacing=(spacing,) * 3, pointData=data)

        return write

    def _pvd(self, stem: Path, images: dict[int, Path]) -> Callable[[], None]:
        def write() -> None:
            from pyevtk.vtk import VtkGroup

            times = self.run.times
            with disk_errors(stem.with_name(f"{stem.name}.pvd"), "write the export"):
                group = VtkGroup(str(stem))
                for i, path in images.items():
                    group.addFile(str(path), sim_time=float(times[i]))
                group.save()

        return write
