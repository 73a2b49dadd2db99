"""What came out of a sweep: a row for each run, with the last value and the time average of each series."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.deck.key_units import unit_of_key
from llgnegf.errors import DeckError, FileError, LLGNEGFError, missing_package
from llgnegf.export.selection import is_series
from llgnegf.export.tables import flattened
from llgnegf.runfile.reader import Run, open_run
from llgnegf.sweep.work import ERROR_FILE, RUN_FILE

if TYPE_CHECKING:
    import xarray

SWEEP_FILE, TABLE, UNIT_TABLE = "sweep.json", "summary.csv", "units.csv"
_TEXTS = ("folder", "state", "message")
_FIXED = (*_TEXTS, "frames", "time")
_NOT_SUMMARISED = ("time", "step", "solves")


@dataclass(frozen=True)
class Summary:
    """What came out of a sweep.  keys: texts of the values of each key.  rows: one for each run, by column.

    Columns: folder, the keys, state (done, unfinished, failed, absent), message, frames, time, then NAME_last and
    NAME_mean, the last value and the average over time of every number of the series NAME.
    units: of columns and keys that have one; "of each run" where runs have several.
    """

    keys: dict[str, list[str]]
    rows: list[dict[str, Any]]
    units: dict[str, str]

    @property
    def keys_of_several(self) -> dict[str, list[str]]:
        """The keys that have several values: the dimensions of the sweep."""
        return {key: texts for key, texts in self.keys.items() if len(texts) > 1}

    @property
    def columns(self) -> list[str]:
        """Columns with numbers of runs."""
        fixed = {*self.keys, *_FIXED}
        return [column for column in dict.fromkeys(name for row in self.rows for name in row) if column not in fixed]

    def column(self, name: str) -> NDArray[Any]:
        """A column as an array over the keys of several values; NaN, or an empty text, where a run has none."""
        keys = self.keys_of_several
        is_text = name in _TEXTS
        values = np.full(
            [len(texts) for texts in keys.values()], "" if is_text else math.nan, object if is_text else float
        )
        for row in self.rows:
            if name in row:
                values[tuple(texts.index(row[key]) for key, texts in keys.items())] = row[name]
        return values.astype(str) if is_text else values


def summary_of(folder: Path) -> Summary:
    """The summary of the sweep in `folder`, as it is now.  Raises FileError where there is no sweep."""
    told = _told(folder)
    units: dict[str, str] = {}
    rows = [_row(folder, point, units) for point in told["points"]]
    return Summary(told["keys"], rows, {name: unit for name, unit in units.items() if unit not in ("", "1")})


def _told(folder: Path) -> dict[str, Any]:
    path = folder / SWEEP_FILE
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"{folder}: is a folder without a sweep: {SWEEP_FILE} is not there") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: cannot be read: {error}") from None
    return found


def has_reached(run: Run, end: float) -> bool:
    """Whether a run has a frame at the time `end`."""
    return bool(run.n_frames and run.times[-1] >= end - run.deck.integrator.step / 2)


def _row(folder: Path, point: dict[str, Any], units: dict[str, str]) -> dict[str, Any]:
    """One row; adds to `units` what this run says of them."""
    path, error_file = folder / point["folder"] / RUN_FILE, folder / point["folder"] / ERROR_FILE
    row: dict[str, Any] = {"folder": point["folder"], **point["values"]}
    message = error_file.read_text(encoding="utf-8").strip() if error_file.exists() else ""
    row |= {"state": "failed" if message else "absent", "message": message, "frames": 0, "time": math.nan}
    if not path.exists():
        return row
    try:
        with open_run(path) as run:
            row["frames"] = run.n_frames
            if run.n_frames:
                row["time"] = float(run.times[-1])
                done = has_reached(run, point["end"])
                row["state"] = "done" if done else row["state"] if message else "unfinished"
                row |= _numbers(run, units)
                energy = run.outline.energy_label
                _agree(units, "time", f"hbar/{energy}")
                for key in point["values"]:
                    _agree(units, key, unit_of_key(key, energy))
    except LLGNEGFError as error:
        row |= {"state": "failed", "message": str(error)}
    return row


def _agree(units: dict[str, str], name: str, unit: str) -> None:
    if units.setdefault(name, unit) != unit:
        units[name] = "of each run"


def _numbers(run: Run, units: dict[str, str]) -> dict[str, float]:
    times = run.times
    found = {}
    for name in run.names:
        if name in _NOT_SUMMARISED or not is_series(run, name):
            continue
        columns, values = flattened(run, name, slice(None))
        values = values.astype(float)
        if len(times) > 1 and times[-1] > times[0]:
            means = np.trapezoid(values, times, axis=0) / (times[-1] - times[0])
        else:
            means = values.mean(axis=0)
        for k, column in enumerate(columns):
            found[f"{column}_last"], found[f"{column}_mean"] = float(values[-1, k]), float(means[k])
            for end in ("last", "mean"):
                _agree(units, f"{column}_{end}", run[name].unit)
    return found


def table_of(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV, with all columns that any of them has; what a row lacks is empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if _absent(row.get(column)) else row[column] for column in columns])
    return out.getvalue()


def units_of(found: Summary) -> str:
    """Column and unit of the table as CSV, for those that have one."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("column", "unit"), *found.units.items()])
    return out.getvalue()


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def sweep_results(folder: str | Path) -> xarray.Dataset:
    """The results of a sweep as an xarray.Dataset with a dimension for each key of several values.

    Variables are the columns of summary.csv (NAME_last, NAME_mean, frames, time: NaN where a run has none; state,
    folder), with the attribute `units` where there is one.  Values that are numbers are coordinates, others stand there
    as they were written.
    Raises FileError where there is no sweep, DeckError where it has no key of several values, LLGNEGFError without
    xarray.
    """
    try:
        import xarray
    except ImportError as error:
        raise missing_package("sweep_results", error, "xarray") from None
    folder = Path(folder)
    found = summary_of(folder)
    keys = found.keys_of_several
    if not keys:
        raise DeckError(f"{folder}: its sweep has one run; llgnegf.open_run reads it")

    def told(name: str) -> dict[str, str]:
        return {"units": found.units[name]} if name in found.units else {}

    variables = {name: (tuple(keys), found.column(name), told(name)) for name in (*_FIXED, *found.columns)}
    return xarray.Dataset(variables, coords={key: (key, _coordinate(texts), told(key)) for key, texts in keys.items()})


def _coordinate(texts: list[str]) -> list[Any]:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return texts
