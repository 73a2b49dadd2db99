"""llgnegf: classical moments and quantum transport that move together.

The doors, imported when first used:

    load_deck, deck_from     a deck, from TOML or from a dictionary (`Deck`)
    run, resume              run it into a run file, continue it
    open_run                 read a run file (`Run`)
    accept_changes           read a run file again that another program has changed
    plot                     its picture
    sweep_results            what came out of a sweep
    Device, Lead             the open electronic system alone; more of it in `llgnegf.electrons`
    build_device             the electrons of a deck
    initial_moments          where the moments of a deck start

    deck = llgnegf.load_deck("wall_in_wire", electrons__temperature=0.02)
    with llgnegf.run(deck, "wall.h5") as run:
        print(run.moment[-1])

Exceptions are in `llgnegf.errors`.
"""

from typing import TYPE_CHECKING, Any

from llgnegf._version import __version__

if TYPE_CHECKING:
    from llgnegf import electrons, errors
    from llgnegf.deck import Deck, deck_from, load_deck
    from llgnegf.electrons import Device, Lead
    from llgnegf.parts.electrons import build_device
    from llgnegf.parts.moments import initial_moments
    from llgnegf.plots import plot
    from llgnegf.runfile.accept import accept_changes
    from llgnegf.runfile.reader import Run, open_run
    from llgnegf.simulation import resume, run
    from llgnegf.sweep.summary import sweep_results

__all__ = [
    "Deck",
    "Device",
    "Lead",
    "Run",
    "__version__",
    "accept_changes",
    "build_device",
    "deck_from",
    "electrons",
    "errors",
    "initial_moments",
    "load_deck",
    "open_run",
    "plot",
    "resume",
    "run",
    "sweep_results",
]

_HOMES = {
    "accept_changes": "runfile.accept",
    "Deck": "deck",
    "deck_from": "deck",
    "load_deck": "deck",
    "Device": "electrons",
    "Lead": "electrons",
    "plot": "plots",
    "Run": "runfile.reader",
    "open_run": "runfile.reader",
    "build_device": "parts.electrons",
    "initial_moments": "parts.moments",
    "resume": "simulation",
    "run": "simulation",
    "sweep_results": "sweep.summary",
}
_ROOMS = ("electrons", "errors")


def __getattr__(name: str) -> Any:
    """Import on first use: `llgnegf list` and a typo in a deck need no compiled kernels."""
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"llgnegf.{_HOMES[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"llgnegf.{name}")
    raise AttributeError(f"module 'llgnegf' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    """The doors, whether imported yet or not, for completion and `help`."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
