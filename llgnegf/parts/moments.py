"""The moments of a deck: their classical terms, where they start, their inertia and first velocity."""

from __future__ import annotations

import math
import warnings

import numpy as np

from llgnegf.beside import textures
from llgnegf.deck import Deck
from llgnegf.deck.messages import show
from llgnegf.deck.tables import FromFile, NumbersFile
from llgnegf.errors import DeckError, RunError, RunWarning
from llgnegf.magnet import Magnet
from llgnegf.magnet.relax import relax
from llgnegf.runfile.reader import open_run
from llgnegf.variables.moments import INERTIA

from .sites import kept_in_run, numbers_of_sites, sites_of, vacancies


def build_magnet(deck: Deck) -> Magnet:
    """The classical terms of a deck."""
    table = deck.magnet
    zhang_li = table.zhang_li
    return Magnet(
        deck.lattice.shape,
        periodic=deck.lattice.periodic,
        spin=table.spin,
        exchange=table.exchange,
        dmi=table.dmi,
        dmi_kind=table.dmi_kind,
        anisotropy=table.anisotropy,
        easy_axis=table.easy_axis,
        hard_anisotropy=table.hard_anisotropy,
        hard_axis=table.hard_axis,
        field=table.field,
        damping=table.damping,
        zhang_li_velocity=zhang_li.velocity if zhang_li else (0.0, 0.0),
        zhang_li_beta=zhang_li.beta if zhang_li else 0.0,
        fixed=sites_of(table.fixed),
    )


def initial_moments(deck: Deck, magnet: Magnet | None = None) -> np.ndarray:
    """m(0), shape (nx, 3) or (nx, ny, 3).  DeckError where the texture or its file does not fit.

    RunWarning tells of zeros in a file, since a site without a moment may not be what was meant.
    """
    table = deck.texture
    parameters = table.model_dump(exclude={"kind", "relax"})
    if table.kind == "random":
        parameters["seed"] = deck.run.seed
    if table.kind in ("bloch", "neel"):
        parameters["easy_axis"] = deck.magnet.easy_axis
    if deck.texture_path is not None:
        parameters["path"] = deck.texture_path
    try:
        m = textures.TEXTURES[table.kind](deck.lattice.shape, **parameters)
    except (ValueError, OSError) as error:
        key = f"texture.path = {show(table.path)}" if isinstance(table, FromFile) else "texture"
        raise DeckError(f"{key}: {error}") from None
    holes = vacancies(deck)
    if len(set(holes)) == math.prod(deck.lattice.shape):
        raise DeckError(
            f"lattice.vacancies: all {len(set(holes))} sites of lattice.shape = {show(list(deck.lattice.shape))}; "
            "allowed: at least one site that is none"
        )
    for site in holes:
        m[site] = 1.0  # no zeros to warn of
    empty = ~m.any(axis=-1)
    if isinstance(table, FromFile) and empty.any():
        site = tuple(int(i) for i in np.argwhere(empty)[0])
        warnings.warn(
            f"texture.path = {show(table.path)}: {int(empty.sum())} of {empty.size} moments are zero, first at site "
            f"{site}: such a site carries no moment",
            RunWarning,
            stacklevel=2,
        )
    for site in holes:
        m[site] = 0.0
    if table.relax:
        magnet = magnet or build_magnet(deck)
        m, torque = relax(magnet, m)
        if not np.isfinite(torque) or torque > 1e-6 * magnet.largest_energy:
            raise RunError(
                f"texture.relax: a torque of {torque:.1e} was left; start from a texture nearer to a minimum, or relax "
                "by a run with large magnet.damping"
            )
    return m


def inertia_of(deck: Deck) -> np.ndarray:
    """eta of every moment of a deck with inertia, time, shape of the lattice.

    Of the deck of a run it is that of the run file, whatever became of the file.  DeckError where a file does not fit.
    """
    table = deck.magnet.inertia
    assert table is not None
    if not isinstance(table, NumbersFile):
        return np.full(deck.lattice.shape, table)
    kept = kept_in_run(deck, INERTIA, lambda run: run.deck.magnet.inertia == table)
    if kept is not None:
        return kept
    told = f"magnet.inertia.file = {show(table.file)}"
    given = numbers_of_sites(deck, told, "magnet.inertia.file")
    if not (given > 0).all():
        site = tuple(int(i) for i in np.argwhere(~(given > 0))[0])
        raise DeckError(f"{told}: the number of site {site} is {given[site]:g}; every one must be > 0")
    return given


# Largest part of a velocity along its moment that is taken for rounding.
_LARGEST_ALONG = 1e-6


def start_velocity(deck: Deck, start: np.ndarray) -> np.ndarray | None:
    """dm/dt of moments with inertia at t = 0, (nx[, ny], 3), of a deck whose m(0) is `start`; None: "from_llg".

    Of the deck of a run it is that of the run file.  DeckError where it does not fit, or is not across the moments.
    """
    table = deck.motion.velocity
    if table == "from_llg":
        return None
    if table == "zero":
        return np.zeros_like(start)
    if not isinstance(table, NumbersFile):
        told, given = (
            f"motion.velocity = {show(table)}",
            np.tile(np.array(table, dtype=float), (*deck.lattice.shape, 1)),
        )
    else:
        if deck.run_file is not None:
            with open_run(deck.run_file) as run:
                if run.n_frames and run.deck.motion.velocity == table and run.frame_ok(0):
                    return np.array(run["velocity"][0])
        told = f"motion.velocity.file = {show(table.file)}"
        try:
            given = textures.vectors_from_file(deck.lattice.shape, deck.site_files["motion.velocity.file"])
        except (ValueError, OSError) as error:
            raise DeckError(f"{told}: {error}") from None
    along = abs((given * start).sum(axis=-1))
    wrong = np.argwhere(along > _LARGEST_ALONG * np.linalg.norm(given, axis=-1))
    if len(wrong):
        site = tuple(int(i) for i in wrong[0])
        raise DeckError(
            f"{told}: dm/dt of a unit vector is across it, but at site {site} {along[site]:.3g} of the velocity is "
            "along the moment; allowed: velocities across the moments"
        )
    return given
