"""The sites of a system, with leads or without: what stands on them, and what users hand over for each of them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.errors import RunWarning
from llgnegf.once import cached_property

from .arguments import Rebuilt, finite_array


class Sites(Rebuilt):
    """shape (n,) of a chain or (nx, ny) of a square lattice; below (*s,).

    sd_exchange: J_sd, energy, a number or (*s,); potential: (*s,) on-site energies, None: none; vacancies: sites
    without an orbital and without a moment, as tuples.
    """

    shape: tuple[int, ...]
    sd_exchange: float | NDArray[np.float64]
    potential: NDArray[np.float64] | None
    vacancies: tuple[tuple[int, ...], ...]

    @cached_property
    def n_sites(self) -> int:
        """Number of sites, vacancies included."""
        return int(np.prod(self.shape))

    @property
    def is_lattice(self) -> bool:
        """True for a square lattice."""
        return len(self.shape) == 2

    def vectors(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        """`values` as finite (n, 3) or (nx, ny, 3) floats, or a ValueError naming the argument."""
        return finite_array(name, values, (*self.shape, 3))

    def scalars(self, name: str, values: ArrayLike | None) -> NDArray[np.float64]:
        """`values` as finite (n,) or (nx, ny) floats (None: zeros), or a ValueError naming the argument."""
        return np.zeros(self.shape) if values is None else finite_array(name, values, self.shape)

    @cached_property
    def holes(self) -> NDArray[np.bool_] | None:
        """Mask (*s,) of the sites without an orbital; None where all have one."""
        if not self.vacancies:
            return None
        mask = np.zeros(self.shape, bool)
        mask[tuple(np.array(self.vacancies).T)] = True
        return read_only(mask)

    @cached_property
    def _exchange(self) -> float | NDArray[np.float64]:
        """J_sd as a factor of vectors (..., *s, 3)."""
        return self.sd_exchange if isinstance(self.sd_exchange, float) else self.sd_exchange[..., None]

    def exchange_times(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """J_sd v_i for vectors (..., *s, 3) of the sites, such as the field of spin densities."""
        return self._exchange * vectors

    def on_sites(self, gates: NDArray[np.float64]) -> NDArray[np.float64]:
        """U_i + V_i at these gate voltages (..., *s), shaped as they are: what stands beside `onsite` on the sites."""
        return gates if self.potential is None else gates + self.potential

    @cached_property
    def tell_once(self) -> Callable[[str], None]:
        """Warns with RunWarning, once for each text and system."""
        return functools.lru_cache(maxsize=8)(_tell)


def _tell(text: str) -> None:
    warnings.warn(text, RunWarning, stacklevel=2)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, made read-only."""
    array.flags.writeable = False
    return array
