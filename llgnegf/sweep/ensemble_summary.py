"""What an ensemble is and what came out of it: `llgnegf show ensemble.h5`, or of its folder."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import h5py

from llgnegf.deck.outline import outline_of
from llgnegf.runfile.disk import disk_errors
from llgnegf.runfile.layout import OPEN, as_text
from llgnegf.streams import visible
from llgnegf.sweep.paths import ENSEMBLE_FILE, ENSEMBLE_FORMAT
from llgnegf.units import counted, readable_time

# A variable with more numbers than this in each frame is left to its file.
_MOST_NUMBERS = 12


def ensemble_file(path: Path) -> Path | None:
    """The file of an ensemble that `path` is, or has in it as a folder; None where there is none."""
    file = path / ENSEMBLE_FILE if os.path.isdir(path) else path
    if not os.path.isfile(file):  # unlike Path.is_file, for any text
        return None
    try:
        with h5py.File(file, "r", **OPEN) as opened:
            return file if as_text(opened.attrs.get("format", "")) == ENSEMBLE_FORMAT else None
    except OSError:
        return None


def ensemble_summary(path: Path) -> str:
    """A page of text: of every number in time its mean and spread over the paths, first and last, with its unit.

    Raises FileError where the file cannot be read.
    """
    with disk_errors(path, "read the ensemble"), h5py.File(path, "r", **OPEN) as file:
        deck, times = outline_of(as_text(file.attrs["deck"])), file["time"][:]
        paths, asked, seed = (int(file.attrs[name]) for name in ("paths", "paths_asked", "seed"))
        shape = " x ".join(map(str, deck.shape))
        lines = [
            f"{path}: {as_text(file.attrs['title']) or 'ensemble'}",
            f"  written by   llgnegf {as_text(file.attrs['llgnegf_version'])}, {as_text(file.attrs['created'])}",
            f"  lattice      {shape}, texture {deck.texture}, motion {deck.motion}",
            f"  paths        {paths}{'' if paths == asked else f' of {asked} asked for'}, seeds from {seed} on; below: "
            "mean +- standard deviation",
            f"  reached      t = {times[-1]:g} of {deck.duration:g} hbar/{deck.energy_label} "
            f"({readable_time(times[-1], deck.energy_ev)}), {counted(len(times), 'frame')}",
        ]
        rows = list(_rows(file, paths))
    width = max((len(row[0]) for row in rows), default=0)
    head = ("", "first", "last", "unit")
    lines += [
        f"  {name:{width}}  {first:<26}  {last:<26}  {unit}".rstrip() for name, first, last, unit in (head, *rows)
    ]
    return "\n".join(map(visible, lines))


def _rows(file: h5py.File, paths: int) -> Iterator[tuple[str, str, str, str]]:
    for name in (each.removesuffix("_mean") for each in file if each.endswith("_mean")):
        mean, spread, counts = (file[f"{name}_{ending}"] for ending in ("mean", "std", "paths"))
        if mean[0].size > _MOST_NUMBERS or "x" in [axis.label or next(iter(axis), "") for axis in mean.dims]:
            continue
        unit = as_text(mean.attrs["units"]).replace("lattice constant", "a")
        for index in itertools.product(*map(range, mean.shape[1:])):
            both = [f"{mean[(k, *index)]:.8g} +- {spread[(k, *index)]:.3g}" for k in (0, -1)]
            there = int(counts[-1])
            left = "" if there == paths else f" (last: {there} of {paths} paths)"
            label = name + "".join(f"[{i}]" for i in index)
            yield label, *both, ("" if unit in ("", "1") else unit) + left
