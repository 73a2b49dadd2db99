"""The Fermi-surface term of a system with a bath on sites: energies on the real axis, and what they add up to.

    rho_surf = (1/2pi) int f' Im[G Hd A] + (1/2pi) int (-f') sum_p u_p phi_p phi_p^+,      A = i (G - G^+),

with u_p(E) such that no probe takes what the motion pumps into it (`bathed_energy.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .bathed_band import BathedBand
from .leads import Occupation
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats
from .system import System
from .window import Window


class _Moved(Protocol):
    """What the term needs of `bathed.BathedSweeps`."""

    device: System
    where: NDArray[np.intp]
    probes: bool

    @property
    def broadens_all(self) -> bool: ...

    def moved(self, energies: Floats, rate: Blocks, with_bonds: bool = False) -> tuple[Floats, ...]: ...

    @property
    def matrix(self) -> BathedBand: ...

    def filled_by(self, occupation: Occupation) -> Floats: ...


class BathedSurface:
    """The term of one texture; its energies are chosen for the first motion and kept for all others."""

    def __init__(self, sweeps: _Moved) -> None:
        self._sweeps = sweeps
        self._chosen: tuple[Floats, Floats] | None = None
        self._known: tuple[Blocks, tuple[Floats, ...]] | None = None

    def density(self, rate: Blocks) -> Floats:
        """rho_surf on the sites, (*s, 4), for Hd = `rate`."""
        return self._terms(rate)[0].reshape(*self._sweeps.device.shape, 4)

    def kept(self, rate: Blocks) -> Floats:
        """Nothing: beside a bath no level is discrete."""
        return np.zeros((*self._sweeps.device.shape, 4))

    def into_leads(self, rate: Blocks) -> Floats:
        """(2, 4), 1/time; on a chain without what dSigma/dE of the leads adds."""
        return self._terms(rate)[1]

    def into_bath(self, rate: Blocks) -> Floats:
        """Flow into the bath on each of its sites, (b, 4), 1/time."""
        return self._terms(rate)[2]

    def energy_into_leads(self, rate: Blocks) -> Floats:
        """Energy that `into_leads` carries, (2,), energy/time, from the levels of each lead."""
        return self._terms(rate)[3]

    def bonds(self, rate: Blocks) -> Floats:
        """Flows over the bonds in the layout of `Sweeps.flows`, 1/time."""
        energies, weights = self.rule(rate)
        return np.tensordot(weights, self._sweeps.moved(energies, rate, True)[3], 1) / (2 * np.pi)

    def _terms(self, rate: Blocks) -> tuple[Floats, ...]:
        if self._known is None or self._known[0] is not rate:
            energies, weights = self.rule(rate)
            found = self._sweeps.moved(energies, rate)[:3]
            carried = (energies[:, None] - np.array(self._sweeps.device.voltages)) * found[1][..., 0]
            self._known = rate, tuple(np.tensordot(weights, part, 1) / (2 * np.pi) for part in (*found, carried))
        return self._known[1]

    def rule(self, rate: Blocks) -> tuple[Floats, Floats]:
        """Energies and weights for int (-df/dE) dE."""
        if self._chosen is not None:
            return self._chosen
        device = self._sweeps.device
        if self._sweeps.probes:
            refuse_isolated_probes(device, device.occupation)
        if device.temperature == 0:
            self._chosen = np.array([device.fermi_energy]), np.ones(1)
            return self._chosen
        window, N, b = device.thermal_window, device.n_sites, len(self._sweeps.where)
        # A slow motion is held to a share of the tolerance in proportion.
        size = min(1.0, float(abs(rate).max()) / device.hopping**2) or 1.0
        flows = np.full(8 + 4 * b, 1 / size / device.hopping)
        scale = np.concatenate([np.full(4 * N, 1 / size), flows, np.full(4 * N, device.hopping)]) / (2 * np.pi)

        def values(energies: Floats) -> Floats:
            found = self._sweeps.moved(energies, rate)
            parts = [found[k].reshape(len(energies), 1, -1) for k in (0, 1, 2, 4)]
            return np.concatenate(parts, axis=2)

        levels = [] if self._sweeps.broadens_all else narrow_levels(self._sweeps, window)
        rule = window.panels.adapted(
            window.divided(levels),
            values,
            lambda found: found * scale,
            device.tolerance,
            1e-13 * device.hopping,
        )
        check_states(self._sweeps, device.occupation, rule.weights[0] @ rule.values[:, 0, -4 * N :])
        self._chosen = rule.energies, rule.weights[0]
        return self._chosen


# Of the tolerance, for the share of -df/dE outside the bands of the leads.
_TAIL = 0.1
# Of kT: steps of the Fermi energy in the check.
_SHIFT = 0.2


def check_states(
    sweeps: _Moved,
    occupation: Occupation,
    found: Floats,
    of_states: Callable[[Floats], Floats] = lambda traced: traced,
) -> None:
    """ToleranceError where levels were missed: poles know how the density changes with the Fermi energy.

    found: int (-df/dE) of all states on the sites, by energies on the real axis, (4 N,), for this occupation, kT > 0;
    of_states: takes traces of the sweeps (*s, 4) to the axes of these states.
    """
    if sweeps.broadens_all:
        return
    mu, kT = occupation.fermi_energy, occupation.temperature
    h = _SHIFT * kT
    above, below, far_above, far_below = (
        of_states(sweeps.filled_by(Occupation(mu + k * h, kT))).reshape(-1) for k in (1, -1, 2, -2)
    )
    known = (8 * (above - below) - (far_above - far_below)) / (12 * h)
    found = found / (2 * np.pi)
    lost = kT * float(abs(known - found).max())
    # The densities are known to the tolerance, their difference to a fourth power of the shift.
    allowed = 2 / _SHIFT * sweeps.device.tolerance + _SHIFT**4 * kT * float(abs(found).max())
    if lost > allowed:
        raise ToleranceError(
            f"the first order in the velocities: {lost:.1e} electrons within kT of the Fermi energy were not found "
            f"on the real axis, {allowed:.1e} is allowed: the bath, or a wide-band lead, hardly broadens a level "
            "outside the bands of the leads; use a wider one, baths on all sites, a lower temperature or order = 0"
        )


def refuse_isolated_probes(device: System, occupation: Occupation) -> None:
    """ToleranceError where probes answer at energies at which no lead takes what a motion pumps into them."""
    edges = np.array(device.band)
    below, above = 1 - occupation(edges)[0], occupation(edges)[1]
    if device.is_closed:
        where = "without leads"
    elif max(below, above) > _TAIL * device.tolerance:
        low, high = edges.tolist()
        where = f"at energies about {occupation.fermi_energy:g}, outside the bands of the leads, {low:g} to {high:g}"
    else:
        return
    raise ToleranceError(
        f"the first order in the velocities {where}: nothing carries away what a motion pumps into probes; "
        "use another fermi_energy, a lower temperature, order = 0, or zero_current = false for the bath"
    )


# Levels are searched for at so many energies of a window, and narrow below this share of it.
_SEARCHES, _NARROW = 5, 0.02
_STEPS = 40  # until a level has settled


def narrow_levels(sweeps: _Moved, window: Window) -> list[tuple[float, float]]:
    """Levels in the window that are narrow beside it: energies and half-widths."""
    found: list[tuple[float, float]] = []
    width = window.high - window.low
    for energy in np.linspace(window.low, window.high, _SEARCHES):
        for level in sweeps.matrix.levels_near(float(energy)):
            # A level is sharp where Sigma is taken at its own energy.
            if abs(level.real - energy) > 2 * width / (_SEARCHES - 1) or -level.imag > 4 * _NARROW * width:
                continue
            exact = _settled(sweeps, complex(level))
            if -exact.imag < _NARROW * width and window.low < exact.real < window.high:
                found.append((exact.real, max(-exact.imag, 1e-13 * sweeps.device.hopping)))
    return _distinct(sorted(found))


def _settled(sweeps: _Moved, level: complex) -> complex:
    """The level whose Sigma is taken at its own energy: levels move with the energy at which the leads are taken."""
    for _ in range(_STEPS):
        following = sweeps.matrix.level_near(level.real, level)
        moved = abs(following.real - level.real)
        level = following
        if moved <= max(0.1 * abs(level.imag), 1e-13 * sweeps.device.hopping):
            break
    return level


def _distinct(levels: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of levels that are one, found from several energies, the first."""
    kept: list[tuple[float, float]] = []
    for energy, width in levels:
        if not kept or energy - kept[-1][0] > 0.1 * min(width, kept[-1][1]):
            kept.append((energy, width))
    return kept
