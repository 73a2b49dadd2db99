"""A variable of a run as a movie: `llgnegf movie`.  Pictures are drawn by several processes, and written in order."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.errors import DeckError, LLGNEGFError, RunError
from llgnegf.export.selection import chosen_frames, on_sites
from llgnegf.pictures import Figure, drawing
from llgnegf.plots import variable as one_variable
from llgnegf.runfile.disk import disk_errors, refuse_special
from llgnegf.runfile.reader import Run, open_run
from llgnegf.runfile.sound import refuse_run_file
from llgnegf.streams import Guarded

Picture = NDArray[np.uint8]

_DPI, _SIZE = 150, (6.4, 4.8)  # 960 x 720: both divisible by 16, as encoders like it
_CHUNK = 8  # pictures that a process draws in one go
_MOST_IN_GIF = 2000
_WORTH_PROCESSES = 24  # fewer pictures are drawn sooner than processes are started


def movie(
    run: Run,
    path: str | Path,
    variable: str = "moment",
    frames: str | None = None,
    fps: float = 25.0,
    progress: bool = False,
) -> int:
    """Writes frames of a variable on sites as a movie, with one scale for all of them; returns how many.

    path: ends in .mp4 (needs imageio-ffmpeg) or .gif.  frames: as `export.selection.chosen_frames` reads them (default:
    all).  fps: pictures per second.  The file appears when it is complete.

    Raises DeckError for an unknown variable, one that is not on sites, frames that are not there, another ending or
    an impossible rate; RunError without frames; LLGNEGFError without imageio-ffmpeg; FileError for disk trouble.
    """
    path = Path(path)
    if not run.n_frames:
        raise RunError(f"{run.path} holds no complete frame yet: nothing to show")
    one_variable.check_variable(run, variable)
    if not on_sites(run, variable):
        fields = ", ".join(name for name in run.names if on_sites(run, name))
        raise DeckError(
            f"--variable {variable}: not on sites; `llgnegf plot --variable {variable}` draws it against the time. A "
            f"movie shows {fields}"
        )
    chosen = chosen_frames(run.n_frames, ":" if frames is None else frames)
    if not 0 < fps <= 1000:
        raise DeckError(f"--fps {fps:g}: must be above 0 and at most 1000 pictures per second")
    writers: dict[str, Callable[[Path, float], Generator[None, Picture, None]]] = {".mp4": _mp4, ".gif": _gif}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise DeckError(f"-o {path}: a movie ends in .mp4 or .gif")
    if writer is _gif and len(chosen) > _MOST_IN_GIF:
        raise DeckError(
            f"-o {path}: {len(chosen)} pictures are too many for a .gif, all of which are held in memory: at most "
            f"{_MOST_IN_GIF}; take some, such as --frames ::{-(-len(chosen) // 500)}, or a .mp4"
        )
    refuse_run_file(path)
    refuse_special(path)
    scale = one_variable.scale_of(run, variable, chosen)
    with _completed(path) as unfinished:
        write = writer(unfinished, fps)
        next(write)
        try:
            for picture in _bar(_pictures(run, variable, chosen, scale), len(chosen), progress):
                write.send(picture)
        finally:
            write.close()
    return len(chosen)


@contextlib.contextmanager
def _completed(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which becomes `path` if nothing fails, and vanishes otherwise."""
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f".{target.stem}.{os.getpid()}{path.suffix.lower()}")
    with disk_errors(path, "write the movie"):
        try:
            unfinished.touch()
            yield unfinished
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)


def _bar(pictures: Iterator[Picture], total: int, shown: bool) -> Iterator[Picture]:
    out = Guarded(sys.stderr)
    if not shown or not out.isatty():
        return pictures
    from tqdm import tqdm

    return iter(tqdm(pictures, total=total, unit="picture", file=out))


def _pictures(run: Run, name: str, frames: Sequence[int], scale: one_variable.Scale) -> Iterator[Picture]:
    """The pictures of all frames in their order; drawn by as many processes as this one may use cores."""
    from loky import cpu_count

    workers = min(cpu_count(), math.ceil(len(frames) / _CHUNK))
    chunks = [list(frames[i : i + _CHUNK]) for i in range(0, len(frames), _CHUNK)]
    if workers < 2 or len(frames) < _WORTH_PROCESSES:
        for chunk in chunks:
            yield from _drawn(run, name, chunk, scale)
        return
    from loky import ProcessPoolExecutor

    # Started anew, not forked: threads and open files of a user's program stay where they are.
    with ProcessPoolExecutor(max_workers=workers) as pool:
        try:
            waiting: list[Any] = []
            following = iter(chunks)
            for chunk in itertools.islice(following, 2 * workers):  # no more pictures in memory than that
                waiting.append(pool.submit(_drawn_elsewhere, run.path.absolute(), name, chunk, scale))
            while waiting:
                done = waiting.pop(0).result()
                for chunk in itertools.islice(following, 1):
                    waiting.append(pool.submit(_drawn_elsewhere, run.path.absolute(), name, chunk, scale))
                yield from done
        except BaseException:
            pool.shutdown(wait=False, kill_workers=True)
            raise


def _drawn_elsewhere(path: Path, name: str, frames: list[int], scale: one_variable.Scale) -> list[Picture]:
    with open_run(path) as run:
        return _drawn(run, name, frames, scale)


def _drawn(run: Run, name: str, frames: list[int], scale: one_variable.Scale) -> list[Picture]:
    """Pictures (height, width, 3) of these frames."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    found = []
    with drawing():
        for i in frames:
            figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
            one_variable.at_frame(figure, run, name, i, scale)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            found.append(np.array(canvas.buffer_rgba())[..., :3])
    return found


def _mp4(path: Path, fps: float) -> Generator[None, Picture, None]:
    """Takes pictures by `send`, and writes them as H.264."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise LLGNEGFError(
            f'a movie in .mp4 needs the package {error.name}: pip install "llgnegf[movie]" installs it; '
            ".gif needs nothing more"
        ) from None
    writer = None
    try:
        while True:
            picture = yield
            if writer is None:
                height, width = picture.shape[:2]
                # Colours at half the resolution, as players expect it.
                writer = imageio_ffmpeg.write_frames(str(path), (width, height), fps=fps, quality=8)
                writer.send(None)
            writer.send(np.ascontiguousarray(picture))
    finally:
        if writer is not None:
            writer.close()


def _gif(path: Path, fps: float) -> Generator[None, Picture, None]:
    """Takes pictures by `send`, and writes them when it is closed: the format has its number of them in front."""
    from PIL import Image

    images: list[Any] = []
    try:
        while True:
            picture = yield
            # One palette for all: colours do not flicker.
            image = Image.fromarray(picture)
            images.append(image.quantize(colors=255, palette=images[0]) if images else image.quantize(colors=255))
    finally:
        if images:
            # Hundredths of a second are the unit of the format.
            duration = max(10 * round(100 / fps), 10)
            images[0].save(path, save_all=True, append_images=images[1:], duration=duration, loop=0)
