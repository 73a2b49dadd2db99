"""The entry point for users of electrons without leads; H is in `closed_system.py`, all else in `closed_frozen.py`."""

from __future__ import annotations

import inspect
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .closed_frozen import ClosedFrozen
from .closed_response import ClosedResponse
from .closed_system import ClosedSystem
from .counter import Counter
from .frozen import SpinDensity


class ClosedDevice(ClosedSystem):
    """Electrons of a chain of n sites or a lattice of nx x ny that no lead is attached to.

    shape: n or (n,) for a chain, (nx, ny) for a square lattice.
    periodic: False, True (all axes), "x", and on a lattice "y" or "xy": axes whose last site is bonded to the first.
    A periodic axis of two sites has two bonds between them, one of one site has none, as for the moments
    (`magnet.Magnet`); bonds of farther reach follow the same rule, so that each site has as many as on a large lattice,
    but none to itself.
    hopping: t > 0, or up to three numbers, of nearest (> 0), next and third neighbours.
    onsite, sd_exchange J_sd (a number or one for each site), fermi_energy E_F, temperature kT >= 0: energies.
    potential: (n,) or (nx, ny) on-site energies beside `onsite`; None: none.
    spin_orbit: a `SpinOrbit`, spin_hopping: a `SpinHopping`; None: none.  vacancies: sites without an orbital and
    without a moment.

    Levels are filled by the Fermi function at every instant: the number of electrons is not fixed.
    Immutable: `changed` returns a new one.  Raises ValueError naming the argument, its value and what is allowed.
    """

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(ClosedDevice.__init__).parameters.items()}
        words = [repr(self.shape)]
        for name, value in self._arguments().items():
            if isinstance(value, np.ndarray):
                words.append(f"{name}={value.tolist()}")
            elif name != "shape" and value not in (defaults[name], ()):
                words.append(f"{name}={value!r}")
        return f"ClosedDevice({', '.join(words)})"

    def __getattr__(self, name: str) -> NoReturn:
        # Reached for what is not there.
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"{name}: not available for a ClosedDevice, which has freeze, spin_density, linear_response and levels; "
            "all else needs leads (`Device`)"
        )

    def freeze(self, m: ArrayLike, potential: ArrayLike | None = None, counter: Counter | None = None) -> ClosedFrozen:
        """The electrons at fixed moments and gates; all that is asked of the result shares its eigenvectors.

        m: (n, 3) or (nx, ny, 3) moments, taken as they are; potential: (n,) or (nx, ny) gate voltages, energy (None:
        zero); counter: an additional counter of matrices diagonalised.
        Raises ValueError if a shape is wrong or a value is not finite.
        """
        return ClosedFrozen(self, self.vectors("m", m), self.scalars("potential", potential), counter)

    def spin_density(
        self,
        m: ArrayLike,
        mdot: ArrayLike | None = None,
        potential: ArrayLike | None = None,
        potential_rate: ArrayLike | None = None,
    ) -> SpinDensity:
        """Spin density Tr[rho_i sigma] of slowly moving moments and gates, to first order in the velocities, by origin.

        mdot: (n, 3) or (nx, ny, 3) dm/dt, 1/time; potential_rate: (n,) or (nx, ny) dV/dt, energy/time (None: at rest).
        The whole answer to a motion is `sea`; `surface`, which needs leads, is zero.  Raises ValueError as `freeze`,
        ToleranceError where a level lies at the Fermi energy, to first order alone.
        """
        velocity = np.zeros((*self.shape, 3)) if mdot is None else self.vectors("mdot", mdot)
        return self.freeze(m, potential).spin_density(velocity, self.scalars("potential_rate", potential_rate))

    def linear_response(self, m: ArrayLike, potential: ArrayLike | None = None) -> ClosedResponse:
        """Gilbert tensor (geometric alone), inertia tensor, susceptibility and alpha(omega) of every pair of moments.

        See `response.py` and `closed_response.py`; m, potential: as `freeze`.  Its arrays have (sites, sites, 3, 3).
        Raises ValueError for more than 100 sites, ToleranceError where a level lies at the Fermi energy at kT = 0.
        """
        return ClosedResponse(self.freeze(m, potential))

    def levels(self, m: ArrayLike, potential: ArrayLike | None = None) -> NDArray[np.float64]:
        """All energies, increasing, two for each site that is no vacancy; arguments as `freeze`."""
        return self.freeze(m, potential).levels.copy()
