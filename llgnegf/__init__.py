"""llgnegf: classical moments and quantum transport that move together.

The doors: `load_deck`, `run`, `resume`, `open_run`; `llgnegf.electrons.Device` is the open electronic system alone,
`build_device` and `initial_moments` give that of a deck and where its moments start.
"""

from typing import TYPE_CHECKING, Any

from llgnegf._version import __version__

if TYPE_CHECKING:
    from llgnegf.build import build_device, initial_moments
    from llgnegf.deck import Deck, load_deck
    from llgnegf.runfile.reader import Run, open_run
    from llgnegf.simulation import resume, run

__all__ = ["Deck", "Run", "__version__", "build_device", "initial_moments", "load_deck", "open_run", "resume", "run"]

_HOMES = {
    "Deck": "deck",
    "load_deck": "deck",
    "Run": "runfile.reader",
    "open_run": "runfile.reader",
    "build_device": "build",
    "initial_moments": "build",
    "resume": "simulation",
    "run": "simulation",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `llgnegf list` and a typo in a deck need no compiled kernels."""
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"llgnegf.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'llgnegf' has no attribute {name!r}")
