"""What of a device fits together: each message of a ValueError names what does not fit, and what to write instead.

`arguments.py` has the checks of single arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import in_scale, no_along_y, spin_hopping_or_none, spin_orbit_or_none
from .bath import Bath
from .leads import SIDES, AttachedLead, Lead
from .sites import read_only
from .spin_orbit import SpinHopping, SpinOrbit

# A bath is at least so wide, in units of the hopping; sites times those of a bath are at most so many, or so many where
# probes have chemical potentials of their own.
LEAST_WIDTH, MOST_PAIRS, MOST_NET_PAIRS = 1e-9, 1_000_000, 40_000
# What leads may have beside a spin bias.
_BESIDE_SPIN_BIAS = {
    *("side", "coupling", "voltage", "chemical_potential", "temperature", "hopping", "polarization", "spin_bias"),
}


# --- bonds -----------------------------------------------------------------------------------------------------------


def bond_matrices(name: str, given: ArrayLike, shape: tuple[int, ...], hopping: float) -> NDArray[np.complex128]:
    """`bonds_along_x` or `bonds_along_y` as finite complex numbers, read-only; ValueError otherwise."""
    along_y, is_lattice = name == "bonds_along_y", len(shape) == 2
    n = shape[0] if along_y else shape[0] - 1
    try:
        found = np.array(given, complex)
        fine = found.shape == (n, 2, 2) and bool(np.isfinite(found).all()) and (is_lattice or not along_y)
    except (TypeError, ValueError):
        fine = False
    if not fine:
        what = "one 2 x 2 matrix for each " + ("column of a lattice" if along_y else "bond along x")
        allowed = f"({n}, 2, 2), finite, or None" if is_lattice or not along_y else "None on a chain"
        raise ValueError(f"{name}: {what} is allowed, {allowed}")
    in_scale(hopping, **{name: float(abs(found).max(initial=0.0))})
    return read_only(found)


def fitting_spin_orbit(given: Any, hopping: float, has_matrices: bool) -> SpinOrbit | None:
    """The spin-orbit coupling, if it fits; None where it is zero."""
    found = spin_orbit_or_none(given)
    if found is None:
        return None
    sizes = {f"{key} of spin_orbit": getattr(found, key) for key in ("rashba", "dresselhaus")}
    in_scale(hopping, **sizes)
    if has_matrices:
        raise ValueError(
            f"spin_orbit = {found!r}: gives the bonds; use bonds_along_x=None and bonds_along_y=None beside it"
        )
    return found if any(sizes.values()) else None


def fitting_spin_hopping(given: Any, shape: tuple[int, ...], hopping: float, has_matrices: bool) -> SpinHopping | None:
    """The spin-dependent hopping, if it fits; None where it is zero."""
    found = spin_hopping_or_none(given)
    if found is None:
        return None
    along = {"along_x": found.along_x, "along_y": found.along_y}
    sizes = {f"{key} of spin_hopping": float(abs(np.array(vector)).max()) for key, vector in along.items()}
    in_scale(hopping, **sizes)
    if has_matrices:
        raise ValueError(f"spin_hopping = {found!r}: beside it use bonds_along_x=None and bonds_along_y=None")
    no_along_y(found, shape)
    return found if any(sizes.values()) else None


def refuse_matrices(told: str, matrices: str, instead: str) -> None:
    """ValueError for what a chain has not beside bonds that are matrices; matrices: what makes them so, "" for none."""
    if matrices:
        raise ValueError(f"{told}: not available on a chain with {matrices}; {instead}, or bonds that turn spins alone")


# --- leads -----------------------------------------------------------------------------------------------------------


def check_wide_leads(
    leads: Sequence[Lead], hopping: float, holes: NDArray[np.bool_] | None, vacancies: Sequence[tuple[int, ...]]
) -> None:
    """ValueError where a wide-band lead is too narrow, has no site, or is beside a lead that it is not known beside."""
    for lead in leads:
        if lead.width is None:
            continue
        if lead.width < LEAST_WIDTH * hopping:
            raise ValueError(
                f"width = {lead.width!r} of the {lead.side} lead: must be at least {LEAST_WIDTH:g} times the "
                f"hopping, which is {hopping:g}; below, levels would be told from sharp ones by rounding "
                "errors; leave the lead out"
            )
        if holes is not None and holes[-SIDES.index(lead.side)].all():
            raise ValueError(
                f"width = {lead.width!r} of the {lead.side} lead: there is no site for it, its end of the device "
                f"is vacant; vacancies = {list(vacancies)}; leave one of the two out"
            )
        for other in leads:
            if other.splitting:
                raise ValueError(
                    f"width = {lead.width!r} of the {lead.side} lead: not available beside a polarization of the "
                    f"{other.side} lead; use polarization=None, or leads with a coupling"
                )


def check_spin_biases(leads: Sequence[Lead]) -> None:
    """ValueError where a lead has something that is not known beside a spin bias of either."""
    if not any(lead.coupling and lead.spin_difference for lead in leads):
        return
    for lead in leads:
        for one in fields(lead):
            value = getattr(lead, one.name)
            if one.name not in _BESIDE_SPIN_BIAS and value != one.default:
                raise ValueError(
                    f"{one.name} = {value!r} of the {lead.side} lead: not available beside a spin_bias; use leads "
                    "without one of the two"
                )


def check_overlap(ends: Sequence[AttachedLead], voltages: Sequence[float]) -> None:
    """ValueError where there is no energy at which both leads have states."""
    if not all(lead.coupling for lead in ends):
        return
    (low, high), (lower, higher) = (lead.band for lead in ends)
    if not max(low, lower) < min(high, higher):
        bands = [f"{low:g} to {high:g}", f"{lower:g} to {higher:g}"]
        told = " and ".join(f"{v:g}" for v in voltages)
        raise ValueError(
            f"voltage = {told} of the leads: their bands, {' and '.join(bands)}, do not overlap; use voltages "
            "that differ by less"
        )


# --- a bath ----------------------------------------------------------------------------------------------------------


def fitting_bath(bath: Any, shape: tuple[int, ...], hopping: float, *, matrices: str, other: str) -> Bath | None:
    """The bath, if it fits; ValueError otherwise.

    matrices: what makes bonds of a chain matrices, other: what else of the device a bath is not known beside; "" for
    none.
    """
    if bath is None:
        return None
    if not isinstance(bath, Bath):
        raise ValueError(f"bath = {bath!r}: use None, or for example Bath([3], 0.1) of llgnegf.electrons")
    bath.on(shape)
    refuse_matrices(f"bath = {bath!r}", matrices, "use bath=None")
    if other:
        raise ValueError(f"bath = {bath!r}: not available with {other}; use bath=None, or a device without it")
    in_scale(hopping, **{"width of the bath": bath.width})
    if bath.width < LEAST_WIDTH * hopping:
        raise ValueError(
            f"width = {bath.width:g} of the bath: must be at least {LEAST_WIDTH:g} times the hopping, which is "
            f"{hopping:g}; below, levels would be told from sharp ones by rounding errors; use bath=None"
        )
    n_sites = math.prod(shape)
    most = MOST_NET_PAIRS if bath.floats else MOST_PAIRS
    if n_sites * len(bath.sites) > most:
        raise ValueError(
            f"bath on {len(bath.sites)} of {n_sites} sites: their product is at most {most}, for the "
            "bath on each site fills all others; use fewer sites"
        )
    return bath
