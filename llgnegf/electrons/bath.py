"""Baths on sites: leads of constant width that scatter electrons, as probes of Buettiker or as reservoirs.

A bath adds Sigma = -i width/2 on its site, the same for both spins and all energies: Gamma = width, so that a level on
that site alone has the full width at half maximum `width` and empties into the bath at the rate width (hbar = 1).
What comes back from it has lost phase and spin, so that a bath is both a scatterer and a spin flip of rate `width`.

As a probe (zero_current) it is filled at each energy such that no net particle enters it there: electrons keep their
energy (Buettiker, IBM J. Res. Dev. 32, 63 (1988); D'Amato and Pastawski, Phys. Rev. B 41, 7411 (1990)).  With T_pq the
transmission from q into the probe p, summed over spins,

    0 = sum_l T_pl (f_l - f_p) + sum_q T_pq (f_q - f_p),        l: leads, q: the other probes,

so that f_p(E) = sum_l w_pl(E) f_l(E) with weights w_pl >= 0 whose sum is 1: linear, at any bias.  Outside the bands of
all leads, where nothing flows, probes are filled as the device is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llgnegf.kernels import njit

from .leads import Occupation, real_number

# Of `Bath.zero_current`.
NET = "net"


@dataclass(frozen=True)
class Bath:
    """The same bath on each of these sites.

    sites: whole numbers on a chain, pairs (x, y) on a lattice, counted from 0, each once; kept as tuples of indices.
    width: its Gamma > 0, energy.  zero_current: True for a probe, which takes no net current at any energy; "net" for
    one that takes none in all, with the temperature of the device and a chemical potential that follows; False for a
    reservoir with the Fermi energy and temperature of the device, which takes current.
    Raises ValueError for anything else.
    """

    sites: tuple[tuple[int, ...], ...]
    width: float
    zero_current: bool | str = True

    def __init__(self, sites: Sequence[int | Sequence[int]], width: float, zero_current: bool | str = True) -> None:
        object.__setattr__(self, "sites", _indices(sites))
        value = real_number(width)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"width = {width!r} of a bath: use a finite number > 0")
        object.__setattr__(self, "width", value)
        of_text = isinstance(zero_current, str) and zero_current == NET
        if not (isinstance(zero_current, bool | np.bool_) or of_text):
            raise ValueError(
                f'zero_current = {zero_current!r} of a bath: use True or "net" (probes) or False (a reservoir)'
            )
        object.__setattr__(self, "zero_current", NET if of_text else bool(zero_current))

    @property
    def elastic(self) -> bool:
        """Whether it takes no net current at any energy."""
        return self.zero_current is True

    @property
    def floats(self) -> bool:
        """Whether it takes no net current in all, but at single energies."""
        return self.zero_current == NET

    def __repr__(self) -> str:
        """The call that makes this bath."""
        sites = [site[0] if len(site) == 1 else site for site in self.sites]
        return f"Bath({sites!r}, {self.width!r}, zero_current={self.zero_current!r})"

    def on(self, shape: tuple[int, ...]) -> NDArray[np.intp]:
        """Flat indices of its sites on a system of this shape; ValueError where one is not there."""
        for site in self.sites:
            if len(site) != len(shape) or any(c >= n for c, n in zip(site, shape, strict=False)):
                shown = site[0] if len(site) == 1 else site
                raise ValueError(f"sites of a bath: {shown!r} is no site of a system of shape {shape}")
        return np.ravel_multi_index(np.array(self.sites).T, shape)

    def moved(self, by: int) -> Bath:
        """The same bath `by` sites further along x."""
        return Bath([(site[0] + by, *site[1:]) for site in self.sites], self.width, self.zero_current)


def _indices(sites: Any) -> tuple[tuple[int, ...], ...]:
    found = []
    for site in sites if isinstance(sites, Iterable) and not isinstance(sites, str) else ():
        parts = tuple(site) if isinstance(site, Iterable) and not isinstance(site, str) else (site,)
        whole = all(isinstance(c, Integral) and not isinstance(c, bool) and int(c) >= 0 for c in parts)
        if not whole or len(parts) not in (1, 2):
            raise ValueError(f"sites of a bath: {site!r} is no site; use whole numbers >= 0, or pairs (x, y) of them")
        found.append(tuple(int(c) for c in parts))
    if not found or len(set(found)) < len(found):
        raise ValueError(
            f"sites = {sites!r} of a bath: use a list of sites, each once, such as [3] or [(0, 1), (2, 2)]"
        )
    return tuple(found)


def filled_level(
    energies: NDArray[np.float64], width: float | NDArray[np.float64], occupation: Occupation
) -> NDArray[np.float64]:
    """Electrons in levels of this full width in equilibrium, shaped as `energies`; width: one, or to be broadcast:

        -(1/pi) int f(E) Im 1/(E - e + i width/2) dE = 1/2 - Im psi(1/2 + (width/2 + i (e - mu))/(2 pi kT))/pi

    with the digamma function psi; its limit at kT = 0 is an arc tangent.
    """
    above, half = energies - occupation.fermi_energy, width / 2
    if occupation.temperature == 0:
        return np.asarray(0.5 - np.arctan(above / half) / np.pi)
    from scipy.special import digamma  # heavy import, at kT > 0 alone

    argument = 0.5 + (half + 1j * above) / (2 * np.pi * occupation.temperature)
    return np.asarray(0.5 - digamma(argument).imag / np.pi)


def level_potential(
    energies: NDArray[np.float64], width: float | NDArray[np.float64], occupation: Occupation
) -> NDArray[np.float64]:
    """A function of levels of this full width whose derivative is `filled_level`, energy, shaped as `energies`:

        e/2 + 2 kT Re ln Gamma(1/2 + (width/2 + i (e - mu))/(2 pi kT)),

    their grand potential up to a constant; Gamma is Euler's function.
    """
    above, half = energies - occupation.fermi_energy, width / 2
    if occupation.temperature == 0:
        tail = above * np.arctan(above / half) - half / 2 * np.log1p((above / half) ** 2)
        return np.asarray(energies / 2 - tail / np.pi)
    from scipy.special import loggamma  # heavy import

    kT = occupation.temperature
    argument = 0.5 + (half + 1j * above) / (2 * np.pi * kT)
    return np.asarray(energies / 2 + 2 * kT * loggamma(argument).real)


def fillings(
    between: NDArray[np.float64], sources: NDArray[np.float64], pumped: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """w_pl >= 0 of probes p and sources l, (n, k): f_p = sum_l w_pl f_l, from which no net current enters a probe.

    between: (n, n), transmission T_pq into p from the probe q; sources: (n, k), into p from l.  Returned beside them:
    how far probes are filled where `pumped` (n, m) enters them and nothing comes from the sources, (n, m).

    Probes are eliminated one by one, each leaving its share to the others, as D'Amato and Pastawski do; only positive
    numbers are added, so that every weight has a small relative error and their sum is 1 however weak the contact is
    (Grassmann, Taksar, Heyman, Oper. Res. 33, 1107 (1985)).  Probes that no source reaches have weights 0.
    """
    k = sources.shape[1]
    s = sources.copy() if pumped is None else np.concatenate([sources, pumped], axis=1)
    _eliminate(between.copy(), s, k)
    return s[:, :k], s[:, k:]


@njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
def _eliminate(T, s, k_sources):
    """Replaces `s`, (n, k), by the solution; T: (n, n), destroyed; the first k_sources columns are sources."""
    n = T.shape[0]
    columns = s.shape[1]
    total = np.zeros(n)
    for k in range(n - 1, -1, -1):
        for j in range(k):
            total[k] += T[k, j]
        for c in range(k_sources):
            total[k] += s[k, c]
        if total[k] > 0:
            for i in range(k):
                share = T[i, k] / total[k]
                for j in range(k):
                    T[i, j] += share * T[k, j]
                for c in range(columns):
                    s[i, c] += share * s[k, c]
    for k in range(n):
        for c in range(columns):
            if total[k] > 0:
                reached = s[k, c]
                for j in range(k):
                    reached += T[k, j] * s[j, c]
                s[k, c] = reached / total[k]
            else:
                s[k, c] = 0.0
