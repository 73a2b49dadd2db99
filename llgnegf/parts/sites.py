"""What a deck gives for each site: from a file, or for the deck of a run from what its run file holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from llgnegf.beside import textures
from llgnegf.deck import Deck
from llgnegf.deck.messages import show
from llgnegf.electrons import uniform_disorder
from llgnegf.electrons.arguments import MOST_HOPPINGS
from llgnegf.errors import DeckError
from llgnegf.runfile.reader import Run, open_run
from llgnegf.variables.device import SD_EXCHANGE, STATIC_POTENTIAL, VACANCY


def sites_of(sites: Sequence[int | tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Indices of sites as tuples, of a deck that names those of a chain by numbers."""
    return [(site,) if isinstance(site, int) else tuple(site) for site in sites]


def numbers_of_sites(deck: Deck, told: str, key: str) -> np.ndarray:
    """A number for each site, from one of `deck.site_files`; told: what a DeckError of a wrong file begins with."""
    try:
        return textures.numbers_from_file(deck.lattice.shape, deck.site_files[key])
    except (ValueError, OSError) as error:
        raise DeckError(f"{told}: {error}") from None


def kept_in_run(deck: Deck, name: str, is_same: Callable[[Run], bool]) -> np.ndarray | None:
    """A variable of the sites that the run file of a deck holds, whatever became of the file it came from.

    is_same: whether the deck of that file gives it as this one does.  None where it does not, and for a deck that is
    of no run yet.  FileError where the run file is damaged there.
    """
    if deck.run_file is None:
        return None
    with open_run(deck.run_file) as run:
        if run.n_frames and is_same(run):
            return np.array(run[name])
    return None


def static_potential(deck: Deck) -> np.ndarray | None:
    """On-site energies of a deck beside `electrons.onsite`, shape of the lattice: its file and disorder; None: neither.

    Of the deck of a run they are those that the run file holds, whatever became of the file.  DeckError where the file
    does not fit, FileError where the run file is damaged there.
    """
    table = deck.electrons
    if table is None or not (table.potential or table.disorder.amplitude):
        return None
    kept = kept_in_run(deck, STATIC_POTENTIAL, lambda run: _potential_keys(run.deck) == _potential_keys(deck))
    if kept is not None:
        return kept
    found = uniform_disorder(deck.lattice.shape, table.disorder.amplitude, table.disorder.seed)
    if table.potential is None:
        return found
    told = f"electrons.potential = {show(table.potential)}"
    given = numbers_of_sites(deck, told, "electrons.potential")
    largest, allowed = float(abs(given).max()), MOST_HOPPINGS * table.nearest_hopping
    if largest + table.disorder.amplitude > allowed:
        raise DeckError(
            f"{told}: holds energies up to {largest:g}, with those of electrons.disorder far out of scale; allowed: up "
            f"to {MOST_HOPPINGS:g} times electrons.hopping = {show(table.nearest_hopping)}"
        )
    return given + found


def vacancies(deck: Deck) -> list[tuple[int, ...]]:
    """Sites without a moment and without an orbital; from a file, or of the deck of a run from what its file holds.

    DeckError where the file does not fit, FileError where the run file is damaged there.
    """
    given = deck.lattice.vacancies
    if not isinstance(given, str):
        return sites_of(given)
    found = kept_in_run(deck, VACANCY, lambda run: run.deck.lattice == deck.lattice and VACANCY in run.names)
    if found is None:
        found = numbers_of_sites(deck, f"lattice.vacancies = {show(given)}", "lattice.vacancies")
    return [tuple(site) for site in np.argwhere(found).tolist()]


def sd_exchange(deck: Deck) -> float | np.ndarray:
    """J_sd of a deck with electrons, or that of each site, shape of the lattice, from its file.

    Of the deck of a run it is what the run file holds.  DeckError where the file does not fit, FileError where the run
    file is damaged there.
    """
    table = deck.electrons
    assert table is not None
    given = table.sd_exchange
    if isinstance(given, float):
        return given
    kept = kept_in_run(
        deck, SD_EXCHANGE, lambda run: run.deck.electrons is not None and run.deck.electrons.sd_exchange == given
    )
    if kept is not None:
        return kept
    told = f"electrons.sd_exchange.file = {show(given.file)}"
    found = numbers_of_sites(deck, told, "electrons.sd_exchange.file")
    largest, allowed = float(abs(found).max()), MOST_HOPPINGS * table.nearest_hopping
    if largest > allowed:
        raise DeckError(
            f"{told}: holds energies up to {largest:g}, far out of scale; allowed: up to {MOST_HOPPINGS:g} times "
            f"electrons.hopping = {show(table.nearest_hopping)}"
        )
    return found


def _potential_keys(deck: Deck) -> tuple[object, ...]:
    """All that a deck says of its static potential."""
    table = deck.electrons
    return (None,) if table is None else (deck.lattice.shape, table.potential, table.disorder)
