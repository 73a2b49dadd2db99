"""The torques of a run's frozen electrons by origin, beside the direction of a fixed layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.deck import Deck
from llgnegf.dynamics.torques import fixed_direction, on_free_layer, torque
from llgnegf.electrons import in_plane_and_out_of_plane
from llgnegf.errors import RunError
from llgnegf.runfile.reader import Run
from llgnegf.variables.device import SD_EXCHANGE

Floats = NDArray[np.float64]

# Where the torque of a variable of the run file comes from.
_ORIGINS = {
    "spin_adiabatic": "equilibrium",
    "spin_bias": "current",
    "spin_bias_motion": "current_motion",
    "spin_sea": "sea",
    "spin_geometric": "geometric",
    "spin_surface": "surface",
}


@dataclass(frozen=True)
class SpinTransfer:
    """J_sd s x m at the frames of a run, energy.

    times: (frames,); m: (frames, nx[, ny], 3); fixed: mask (nx[, ny]) of the fixed layer.
    torques: by origin, each shaped as m.  "equilibrium": instantaneous equilibrium, coupling between the layers among
    it; "current": of the bias while moments and gates stand still, "current_motion": its change to first order in their
    motion; "sea": first order, Fermi sea, which is geometric (in an imposed precession "geometric", and "sea" the part
    of the leads); "surface": first order, Fermi surface, which damps.  Those that the run has.
    """

    times: Floats
    m: Floats
    fixed: NDArray[np.bool_]
    torques: dict[str, Floats]

    def parts(self, origin: str = "current", reference: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """(in-plane, out-of-plane) part of the torque of an origin on each moment, each (frames, nx[, ny]).

        reference: a direction (3,) of any length; None: that of the fixed layer at each frame.  Signs are those of
        `electrons.torkance`; NaN where there is no moment or where it lies along the reference.
        Raises ValueError for another origin or reference, RunError without a reference where no layer is fixed.
        """
        if reference is None:
            reference = self._direction().reshape(-1, *[1] * self.fixed.ndim, 3)
        return in_plane_and_out_of_plane(self._torque(origin), self.m, reference)

    def on_free_layer(self, origin: str = "current") -> tuple[Floats, Floats]:
        """(in-plane, out-of-plane) part of the sum over all moments that are not fixed, each (frames,); as `parts`.

        Of the mean free moment beside the mean fixed one; for "current" what run files have as `torque_in_plane` and
        `torque_out_of_plane`.
        """
        self._direction()
        return on_free_layer(self._torque(origin), self.m, self.fixed)

    def _torque(self, origin: str) -> Floats:
        if origin not in self.torques:
            raise ValueError(f"origin = {origin!r}: this run has {', '.join(map(repr, self.torques))}")
        return self.torques[origin]

    def _direction(self) -> Floats:
        found = fixed_direction(self.m, self.fixed)
        if np.isnan(found).any():
            raise RunError("magnet.fixed: no fixed moments, or they cancel: give a reference direction")
        return found


def spin_transfer(run: Run) -> SpinTransfer:
    """The torques of all frames of a run with frozen electrons, or with those recorded beside electrons in real time.

    Raises RunError for another run.
    """
    deck = run.deck
    found = {origin: name for name, origin in _ORIGINS.items() if name in run.names}
    if deck.electrons is None or not found:
        raise RunError(f"{run.path}: has no spin density of frozen electrons, whose torques have an origin")
    m, J = np.asarray(run["moment"]), exchange_of(run)
    torques = {origin: torque(np.asarray(run[name]), m, J) for origin, name in found.items()}
    return SpinTransfer(np.asarray(run.times), m, fixed_sites(deck), torques)


def exchange_of(run: Run) -> float | NDArray[np.float64]:
    """J_sd of a run with electrons, or that of each site, shape of the lattice; energy."""
    electrons = run.deck.electrons
    assert electrons is not None
    given = electrons.sd_exchange
    return given if isinstance(given, float) else np.asarray(run[SD_EXCHANGE])


def fixed_sites(deck: Deck) -> NDArray[np.bool_]:
    """Mask (nx[, ny]) of the moments that `magnet.fixed` names."""
    fixed = np.zeros(deck.lattice.shape, dtype=bool)
    for site in deck.magnet.fixed:
        fixed[site] = True
    return fixed
