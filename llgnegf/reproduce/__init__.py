"""`llgnegf reproduce`: figures of papers as data (CSV) and picture, from shipped decks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from llgnegf.errors import DeckError
from llgnegf.reproduce import beyond, geometric_torque
from llgnegf.reproduce.panels import Figure


@dataclass(frozen=True)
class Target:
    """A figure by name: what it shows, who makes it, and whether it goes beyond the paper."""

    title: str
    make: Callable[[Callable[[Iterable], Iterable]], Figure]
    beyond: bool = False


TARGETS: dict[str, Target] = {
    "fig2": Target("single moment: torque by origin against the coupling to the leads", geometric_torque.fig2),
    "fig3": Target("Bloch wall: torque profiles by origin", geometric_torque.fig3),
    "fig4": Target("Bloch wall: total torque and spin currents", geometric_torque.fig4),
    "figS1": Target("Neel wall: torque profiles by origin", geometric_torque.fig_s1),
    "figS2": Target("Neel wall: total torque and spin currents", geometric_torque.fig_s2),
    "figS3": Target("wide walls: local and outflowing spin current", geometric_torque.fig_s3),
    "exact_fig2": Target("fig2 to all orders in the frequency", beyond.exact_fig2, True),
    "exact_fig3": Target("fig3 to all orders in the frequency", beyond.exact_fig3, True),
    "exact_fig4": Target("fig4 to all orders in the frequency", beyond.exact_fig4, True),
    "exact_figS1": Target("figS1 to all orders in the frequency", beyond.exact_fig_s1, True),
    "exact_figS2": Target("figS2 to all orders in the frequency", beyond.exact_fig_s2, True),
    "exact_figS3": Target("figS3 to all orders in the frequency", beyond.exact_fig_s3, True),
    "free_wall": Target("the field-driven wall, self-consistent, torque by origin", beyond.free_wall, True),
}


def choose(names: Sequence[str]) -> list[str]:
    """Names of targets meant by `names`: "all" is every figure of the papers, "beyond" the rest; none means all.

    DeckError for an unknown name, with the nearest known one.
    """
    from llgnegf.deck_checks import close_to

    chosen: list[str] = []
    for name in names or ["all"]:
        if name in ("all", "beyond"):
            chosen += [key for key, target in TARGETS.items() if target.beyond == (name == "beyond")]
        elif name in TARGETS:
            chosen.append(name)
        else:
            likely = close_to(name, [*TARGETS, "all", "beyond"])
            hint = f'; did you mean "{likely}"?' if likely else ""
            raise DeckError(f"reproduce {name}: no such figure{hint}; allowed: all, beyond, {', '.join(TARGETS)}")
    return list(dict.fromkeys(chosen))


def reproduce(names: Sequence[str], folder: str | Path, progress: bool = False) -> list[Path]:
    """Write data and picture of the named figures into `folder`; returns the paths."""
    written: list[Path] = []
    for name in choose(names):

        def track(items: Iterable, name: str = name) -> Iterable:
            return tqdm(items, desc=name, leave=False, disable=None if progress else True)

        written += TARGETS[name].make(track).write(Path(folder), name)
        if progress:
            print(f"{name}: {TARGETS[name].title} -> {written[-2]}, {written[-1].name}", flush=True)
    return written
