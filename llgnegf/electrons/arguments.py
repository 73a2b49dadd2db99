"""Checks of what users hand to a device: every message names the argument, its value and what to write."""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .leads import SIDES, Lead, real_number
from .spin_orbit import SpinHopping, SpinOrbit

# Energies may be so many times the hopping.
MOST_HOPPINGS = 1e10


class Rebuilt(abc.ABC):
    """What is the same again from its arguments: a copy or a pickle starts with empty caches."""

    @abc.abstractmethod
    def _arguments(self) -> dict[str, Any]:
        """Those of the constructor, by name."""

    def changed(self, **changes: Any) -> Self:
        """A new device with these constructor arguments changed and all others as here."""
        return type(self)(**(self._arguments() | changes))

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(type(self), **self._arguments()), ()


def number(name: str, value: Any, allowed: str, fine: Callable[[float], bool] = lambda _: True) -> float:
    """`value` as a finite float for which `fine` holds; ValueError, with what is `allowed` in words, otherwise."""
    result = real_number(value)
    if not (math.isfinite(result) and fine(result)):
        raise ValueError(f"{name} = {value!r}: must be a number, {allowed}")
    return result


def whole_number(name: str, value: Any) -> int:
    """`value` as an int >= 0; ValueError otherwise."""
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < 0:
        raise ValueError(f"{name} = {value!r}: must be a whole number >= 0")
    return int(value)


def in_scale(hopping: float, **energies: float) -> None:
    """ValueError where one of the energies, given by name, is so large that double precision loses the hopping."""
    for name, value in energies.items():
        if abs(value) > MOST_HOPPINGS * hopping:
            raise ValueError(
                f"{name} = {value:g}: must be within {MOST_HOPPINGS:g} times the hopping, which is {hopping:g}; beyond "
                "that its rounding errors hide everything else"
            )


def lattice_shape(shape: Any) -> tuple[int, ...]:
    """`shape` as (n,) or (nx, ny); ValueError otherwise."""
    sizes = (shape,) if isinstance(shape, Integral) else shape
    sizes = tuple(sizes) if isinstance(sizes, Iterable) and not isinstance(sizes, str) else ()
    whole = all(isinstance(n, Integral) and not isinstance(n, bool) and int(n) >= 1 for n in sizes)
    if len(sizes) not in (1, 2) or not whole:
        raise ValueError(
            f"shape = {shape!r}: use n or (n,) for a chain or (nx, ny) for a square lattice, whole numbers >= 1"
        )
    return tuple(int(n) for n in sizes)


def lead_tuple(leads: Any) -> tuple[Lead, ...]:
    """`leads` as a tuple of at most one `Lead` a side; ValueError, with what to write, otherwise."""
    write = 'write for example leads=[Lead("left"), Lead("right", coupling=0.5)], with Lead from llgnegf.electrons'
    if isinstance(leads, str | Lead) or not isinstance(leads, Iterable):
        meant = f"leads=[{_as_written(leads)}]" if isinstance(leads, Lead) or leads in SIDES else "leads=[] for none"
        raise ValueError(f"leads = {leads!r}: must be a list of leads ({meant}); {write}")
    found = tuple(leads)
    for k, lead in enumerate(found):
        if not isinstance(lead, Lead):
            meant = f", here {_as_written(lead)}" if isinstance(lead, str) and lead in SIDES else ""
            raise ValueError(f"leads[{k}] = {lead!r}: must be a Lead{meant}; {write}")
    sides = [lead.side for lead in found]
    if len(set(sides)) != len(sides):
        raise ValueError(f"leads = {sides}: at most one lead a side")
    return found


def _as_written(lead: Lead | str) -> str:
    return repr(lead) if isinstance(lead, Lead) else f'Lead("{lead}")'


def bond_array(bond_hoppings: ArrayLike | None, shape: tuple[int, ...], hopping: float) -> NDArray[np.float64]:
    """Hoppings of the bonds along x, (nx - 1,): `bond_hoppings`, or `hopping` everywhere; ValueError if not all > 0."""
    n_bonds = shape[0] - 1
    try:
        hops = np.full(n_bonds, hopping) if bond_hoppings is None else real_array(bond_hoppings)
        fine = hops.shape == (n_bonds,) and bool(np.isfinite(hops).all() and (hops > 0).all())
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ValueError(
            f"bond_hoppings = {bond_hoppings!r}: one number > 0 for each of the {n_bonds} bonds along x of shape "
            f"{shape}, or None"
        )
    return hops


def exchange(values: ArrayLike, shape: tuple[int, ...]) -> float | NDArray[np.float64]:
    """J_sd as a float, or for an array as one for each site, read-only; ValueError otherwise."""
    try:
        array = np.ascontiguousarray(real_array(values))
    except (TypeError, ValueError):
        array = np.empty(0)
    if np.ndim(values) == 0 or array.shape != shape or not np.isfinite(array).all():
        allowed = f"finite, or an array of finite ones, one for each site, shape {shape}"
        return number("sd_exchange", values, allowed)
    array.flags.writeable = False
    return array


def spin_orbit_or_none(given: Any) -> SpinOrbit | None:
    """`given`, if it is one of the two; ValueError otherwise."""
    if given is None or isinstance(given, SpinOrbit):
        return given
    raise ValueError(f"spin_orbit = {given!r}: use None, or for example SpinOrbit(rashba=0.1) of llgnegf.electrons")


def spin_hopping_or_none(given: Any) -> SpinHopping | None:
    """`given`, if it is one of the two; ValueError otherwise."""
    if given is None or isinstance(given, SpinHopping):
        return given
    raise ValueError(
        f"spin_hopping = {given!r}: use None, or for example SpinHopping(along_x=(0, 0, 0.2)) of llgnegf.electrons"
    )


def no_along_y(spin_hopping: SpinHopping, shape: tuple[int, ...]) -> None:
    """ValueError for a spin-dependent hopping along y on a chain."""
    if len(shape) == 1 and any(spin_hopping.along_y):
        raise ValueError(f"along_y = {spin_hopping.along_y!r} of spin_hopping: a chain has no y; leave it out")


def site_list(name: str, sites: Any, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Sites of a system of this shape, each once, as increasing tuples of indices; ValueError otherwise."""
    found = []
    for site in sites if isinstance(sites, Iterable) and not isinstance(sites, str) else [sites]:
        parts = tuple(site) if isinstance(site, Iterable) and not isinstance(site, str) else (site,)
        whole = all(isinstance(c, Integral) and not isinstance(c, bool) for c in parts)
        if not whole or len(parts) != len(shape) or not all(0 <= c < n for c, n in zip(parts, shape, strict=True)):
            raise ValueError(f"{name}: {site!r} is no site of a system of shape {shape}")
        found.append(tuple(int(c) for c in parts))
    if len(set(found)) < len(found):
        raise ValueError(f"{name} = {sites!r}: each site once")
    return tuple(sorted(found))


def finite_array(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """`values` as finite floats of this shape; ValueError otherwise."""
    try:
        array = np.ascontiguousarray(real_array(values))
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}: expected finite values of shape {shape}, got what is no array of real numbers"
        ) from None
    if array.shape != shape:
        raise ValueError(f"{name}: expected finite values of shape {shape}, got shape {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: expected finite values of shape {shape}, got {array[where]} at {list(where)}")
    return array


def energies(energy: ArrayLike) -> NDArray[np.float64]:
    """One real energy or an array of them of any shape, finite; ValueError otherwise."""
    try:
        array = real_array(energy)
    except (TypeError, ValueError):
        raise ValueError(f"energy = {energy!r}: must be a real number or an array of them") from None
    if not np.isfinite(array).all():
        raise ValueError(f"energy = {energy!r}: must be finite")
    return array


def real_array(values: ArrayLike) -> NDArray[np.float64]:
    """As floats; ValueError for texts and complex numbers, which NumPy might convert."""
    array = np.asarray(values)
    if array.size == 0:  # of no type in particular
        return array.astype(float)
    if array.dtype.kind not in "fiu":
        raise ValueError
    return array.astype(float)
