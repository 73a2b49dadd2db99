"""Pictures of a run: the figure a person of the field expects for that kind of run.

Precession with electrons: field-like and damping-like torque profile by origin (as Fig. 3 of Bajpai and Nikolic, Phys.
Rev. Lett. 125, 187202 (2020)).  A chain or a single moment in motion: trajectory, energies, torque.  A square lattice:
maps of the first and the last frame.  A free layer beside a fixed one, under bias: both parts of the torque.  A run of
no length with response tensors: these.  One file for each kind; `curves` has what they share.
"""

from __future__ import annotations

from pathlib import Path

from llgnegf.axes import fit
from llgnegf.build import refuse_misfit
from llgnegf.errors import DeckError, RunError
from llgnegf.pictures import Figure, check_ending, drawing, save
from llgnegf.plots import lattice, precession, spin_valve, tensors, trajectory
from llgnegf.plots import real_time as in_real_time
from llgnegf.plots import variable as one_variable
from llgnegf.runfile.reader import Run, open_run
from llgnegf.runfile.sound import refuse_run_file

__all__ = ["plot"]


def plot(
    run: Run | str | Path, path: str | Path | None = None, variable: str | None = None, frame: int | None = None
) -> Figure:
    """The picture of a run as a matplotlib Figure, also written to `path` if one is given.

    run: an open run, the path of a run file, or the folder of a sweep (`sweep_picture.picture`) or of an ensemble
    (`ensemble_picture.picture`); path: its ending (.png, .pdf, .svg, ...) decides the format.  variable: the name of
    one that is drawn instead; frame: of it, the index of a single frame (-1: the last).  The figure is not pyplot's:
    notebooks show it, `figure.axes` and `figure.savefig` change and write it.
    Raises RunError without frames, DeckError for another ending and for a variable or a frame that is not there,
    FileError for disk trouble.
    """
    if not isinstance(run, Run):
        if Path(run).is_dir():
            return _plot_sweep(Path(run), path, variable, frame)
        with open_run(run) as opened:
            return plot(opened, path, variable, frame)
    if not run.n_frames:
        raise RunError(f"{run.path} holds no complete frame yet: nothing to draw")
    path = None if path is None else Path(path)
    if path is not None:
        check_ending(path)
        refuse_run_file(path)
    if frame is not None and variable is None:
        raise DeckError(f"--frame {frame}: belongs to --variable; the picture of a run shows all frames")
    # A line through one frame would be invisible.
    markers = {"lines__marker": "o"} if run.n_frames == 1 else {}
    with drawing(**markers):
        refuse_misfit(run)
        shape = run.deck.lattice.shape
        real_time = run.deck.electrons is not None and run.deck.electrons.method == "real-time"
        if variable is not None:
            figure = one_variable.picture(run, variable, frame)
        elif run.n_frames == 1 and run.deck.run.duration == 0 and tensors.tensors_of(run):
            figure = tensors.picture(run)
        elif real_time and (len(shape) == 1 or min(shape) == 1):
            figure = in_real_time.picture(run)
        elif "spin_geometric" in run.names:
            figure = precession.picture(run)
        elif "torque_in_plane" in run.names:
            figure = spin_valve.picture(run)
        elif len(shape) == 2 and min(shape) > 1:
            figure = lattice.picture(run)
        else:
            figure = trajectory.picture(run)
        fit(figure)
        if path is not None:
            save(figure, path)
    return figure


def _plot_sweep(folder: Path, path: str | Path | None, variable: str | None, frame: int | None) -> Figure:
    from llgnegf.plots import ensemble_picture, sweep_picture
    from llgnegf.sweep.paths import ENSEMBLE_FILE

    if frame is not None:
        raise DeckError(f"--frame {frame}: a sweep has no frames; its runs have")
    path = None if path is None else Path(path)
    if path is not None:
        check_ending(path)
        refuse_run_file(path)
    with drawing():
        kind = ensemble_picture if (folder / ENSEMBLE_FILE).exists() else sweep_picture
        figure = kind.picture(folder, variable)
        fit(figure)
        if path is not None:
            save(figure, path)
    return figure
