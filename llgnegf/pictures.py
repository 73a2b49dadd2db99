"""matplotlib as this project uses it: in a style of its own, whatever settings, backend or fonts a user has.

A user's matplotlibrc may ask for LaTeX that is not there, or MPLBACKEND name a window system; pictures are written to
files and need neither.  They come out alike on every machine.  This module is imported before any of matplotlib.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llgnegf.errors import DeckError, RunWarning
from llgnegf.runfile.disk import write_file


def _load_matplotlib() -> None:
    """Imports matplotlib also where the environment names a backend, or a file of settings, that it cannot use."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        try:
            import matplotlib
        except (ValueError, TypeError) as error:  # a settings file that is no text, for example
            for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
                del sys.modules[name]  # half of it is loaded
            # matplotlib looks into the current folder first.
            with _environment("MATPLOTLIBRC", os.devnull), contextlib.chdir(os.path.dirname(__file__)):
                import matplotlib
            _warn(f"the settings of matplotlib cannot be read ({error}): its own are used")
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        try:
            matplotlib.rcParams["backend"] = backend  # for the other pictures of this process
        except ValueError:
            _warn(f"MPLBACKEND = {backend}: matplotlib has no such backend; pictures here need none")


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _warn(text: str) -> None:
    warnings.warn(text, RunWarning, stacklevel=3)


_load_matplotlib()

import matplotlib  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import MaxNLocator, ScalarFormatter  # noqa: E402

__all__ = [
    "Axes",
    "Figure",
    "FigureCanvasAgg",
    "MaxNLocator",
    "ScalarFormatter",
    "as_label",
    "check_ending",
    "drawing",
    "save",
    "with_unit",
]

STYLE: Any = {
    "font.size": 9,
    "axes.labelsize": 10,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "axes.grid": False,
    "axes.formatter.use_mathtext": True,
    "axes.formatter.useoffset": False,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "savefig.dpi": 200,
}
_LONGEST_LABEL = 120


@contextlib.contextmanager
def drawing(**settings: Any) -> Iterator[None]:
    """Inside, matplotlib has its own settings with STYLE and `settings` (dots as __); afterwards the user's again."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a title in a script that the font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE | {key.replace("__", "."): value for key, value in settings.items()})
        yield


def as_label(text: str) -> str:
    """A user's text as one line that is drawn as it stands: no formula between dollars, nothing that no font has."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    if len(line) > _LONGEST_LABEL:
        line = line[: _LONGEST_LABEL - 1] + "…"
    return line.replace("$", r"\$")


def with_unit(label: str, unit: str) -> str:
    """The label of an axis with the unit of a variable of a run file: "torque (meV)"; without one where that is 1.

    hbar is drawn as a letter, the lattice constant as a.
    """
    if unit in ("", "1"):
        return label
    readable = re.sub(r"\^(\d)", r"$^\1$", as_label(unit)).replace("hbar", r"$\hbar$")
    readable = readable.replace("lattice constant", "$a$")
    return f"{label} ({readable})"


def check_ending(path: Path) -> None:
    """DeckError unless the ending of `path` is that of a picture."""
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in known:
        raise DeckError(f"-o {path}: a picture ends in one of .{', .'.join(sorted(known))}")


def save(figure: Figure, path: Path) -> None:
    """Writes the picture, through links.  FileError for trouble with the disk, DeckError for what holds no file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.lstrip(".").lower())
    write_file(path, buffer.getvalue(), "write the picture")
