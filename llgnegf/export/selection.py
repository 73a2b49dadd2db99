"""What of a run is exported: which variables, which frames."""

from __future__ import annotations

from collections.abc import Sequence

from llgnegf.deck.messages import among
from llgnegf.errors import DeckError
from llgnegf.runfile.reader import Run

SITES = ("x", "y")


def on_sites(run: Run, name: str) -> bool:
    """Whether a variable has a number, or a vector, for each site in each frame."""
    dims = run[name].dims
    return run[name].per_frame and "x" in dims and set(dims) <= {"time", "component", *SITES}


def is_series(run: Run, name: str) -> bool:
    """Whether a variable is some numbers in each frame, none of them a site's."""
    return run[name].per_frame and not set(SITES) & set(run[name].dims)


def chosen_variables(run: Run, names: Sequence[str]) -> list[str]:
    """`names`, each once.  Raises DeckError, which names the likely one, for a variable that the run has not."""
    for name in names:
        if name not in run:
            raise DeckError(f"--variable {name}: not in {run.path}; {among(name, run.names)}")
    return list(dict.fromkeys(names))


def chosen_frames(n_frames: int, text: str) -> list[int]:
    """Indices of the frames that `text` names: one number (-1: the last), or first:end:step as Python slices.

    Raises DeckError for other texts, and for a frame that is not there.
    """
    allowed = "an index such as 0 or -1 (the last frame), or FIRST:END:STEP such as ::10, as slices in Python"
    try:
        numbers = [int(word) if word.strip() else None for word in text.split(":")]
        if len(numbers) > 3 or (len(numbers) == 1 and numbers[0] is None):
            raise ValueError
        if len(numbers) == 1:
            return [range(n_frames)[numbers[0] or 0]]
        found = list(range(n_frames)[slice(*numbers)])
    except ValueError:
        raise DeckError(f"--frames {text}: must be {allowed}") from None
    except IndexError:
        raise DeckError(f"--frames {text}: there are {n_frames} frames, from 0 to {n_frames - 1}") from None
    if not found:
        raise DeckError(f"--frames {text}: names none of the {n_frames} frames; it must be {allowed}")
    return found
