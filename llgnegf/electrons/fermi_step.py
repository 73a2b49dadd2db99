"""Where the step of the Fermi function is placed at kT = 0, and when a result would depend on the last digits of E_F.

The pole rule has errors of order one in a small interval around the step.  Three situations need special treatment.

* A discrete level next to E_F (closed wires, states bound outside the lead bands).  Only the occupation of the levels
  matters, so that the step may be anywhere in the gap of the spectrum that contains E_F; it is put in the middle.
  A level at E_F itself is half filled, as in the limit kT -> 0: the results are the mean of those for two steps, in the
  gaps below and above the level.  The same mean gives the response to a motion, because the contributions of df/dE at
  the level to the sea and to the surface term cancel.
* An edge of the lead band or the threshold of a transverse mode next to E_F.  There Sigma has a square-root singularity
  and the sea term an integrable one: the unresolved interval is narrowed until its contribution is negligible.
* A level inside a band that rounding cannot tell from E_F, or a response that diverges at a band edge.  The result
  would depend on the last digits of E_F: ToleranceError, which names the energy and its distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .quadrature import SHARPEST, FermiPoles, ToleranceError
from .system import System

# Eigenvalues of H + Sigma(E) - E, increasing, at a real energy E at which Sigma is real (energy).
Distances = Callable[[float], NDArray[np.float64]]

# In systems with more sites, the level that an error message names is only estimated.
_MANY_SITES = 256
# A threshold or band edge closer to E_F than this (times the hopping) gets special treatment.
_NEAR_ROOT = 0.015
# Rounding of the energies, in units of the largest one: E_F and a level closer than this cannot be told apart.
_ROUNDING = 16 * np.finfo(float).eps


def _lost(frozen: Probed, nearness: float) -> float:
    """Estimated error of the sea term for |dH/dt| = t^2: that of the pole rule, or rounding in products that cancel.

    nearness: largest |G| t near the step, about the hopping divided by the distance of the nearest level.
    """
    return max(SHARPEST * nearness, frozen.cancellation * np.finfo(float).eps * nearness**2)


class Probed(Protocol):
    """What this module needs of the electrons of one texture; `ChainSweeps` and `LatticeSweeps` have it.

    bounds: an interval that contains the spectrum, energy.
    """

    device: System
    bounds: tuple[float, float]

    @property
    def cancellation(self) -> float:
        """Factor by which rounding errors grow in the sea term, where products of two Green's functions cancel."""

    def probe(self, z: complex) -> NDArray[np.complex128]:
        """G on the sites at z, traced with 1, sigma_x, sigma_y, sigma_z (1/energy)."""

    @property
    def distances(self) -> Distances | None:
        """A function that returns the distances of all levels from an energy; None if the system is too large."""

    @property
    def step(self) -> Step | None:
        """Where the step of the Fermi function is placed at kT = 0."""

    def dense_hamiltonian(self) -> NDArray[np.complex128]:
        """H as a dense matrix (2 N, 2 N) for N sites, energy."""


@dataclass(frozen=True)
class Step:
    """Where the steps are placed at kT = 0; the occupation is the mean of one or two step functions.

    places: energies of the steps; gap: half-width, energy, of the interval around each in which the pole rule is wrong.
    nearness: largest |G| t next to the steps; largest: estimated largest eigenvalue of G, times t; lost: estimated
    error of the response to |dH/dt| = t^2, in addition to the tolerance.
    edge_blur: rounding error of E_F divided by its distance to the nearest band edge or threshold; 0 if this is not
    close.  sharp: for messages, what lies next to the Fermi energy.
    """

    places: tuple[float, ...]
    gap: float
    nearness: float
    lost: float
    sharp: str
    edge_blur: float = 0.0
    largest: float = 1.0

    @property
    def sharpness(self) -> int:
        """By how many powers of ten the error of the pole rule has to be smaller than its usual part of the tolerance.

        The sea term contains the derivative of the rule; its error is that of the rule divided by the distance of the
        nearest level.
        """
        powers = int(np.ceil(np.log10(self.nearness))) if self.nearness > np.sqrt(10) else 0
        return powers + (self.edge_blur > 0)

    def is_delicate(self, tolerance: float) -> bool:
        """Whether `check_first_order` may raise an error for motions up to |dH/dt| = 1000 t^2."""
        return self.edge_blur > 0 or 1e3 * self.lost > tolerance

    def check_first_order(self, device: System, rate: NDArray[np.complex128], response: NDArray[np.float64]) -> None:
        """Raise ToleranceError if the response to dH/dt = `rate` (energy/time) is less accurate than the tolerance.

        response: densities of that response, any shape.  If they exceed 1, the allowed error is relative.
        """
        size = abs(response).max(initial=0.0)
        lost = self.lost * abs(rate).max() / device.hopping**2
        # A response above 100 next to a band edge is taken to diverge there: its relative error is `edge_blur`.
        lost = max(lost, size * self.edge_blur) if size > 100 else lost
        if lost > device.tolerance * max(1.0, size):
            raise ToleranceError(
                f"at temperature = 0 the error of the first order is {lost:.1e}, but electrons.tolerance is "
                f"{device.tolerance:.1e}: {self.sharp}; change electrons.fermi_energy, or use a temperature > 0 or a "
                "larger tolerance"
            )

    def rule(self, device: System, bounds: tuple[float, float]) -> FermiPoles:
        """The pole rule for one step, or the mean of the rules for two steps."""
        rules = [device.pole_rules.rule(bounds, self.gap, place, self.sharpness) for place in self.places]
        if len(rules) == 1:
            return rules[0]
        return FermiPoles(
            nodes=np.concatenate([rule.nodes for rule in rules]),
            weights=np.concatenate([rule.weights for rule in rules]) / len(rules),
            constant=float(np.mean([rule.constant for rule in rules])),
            bound=max(rule.bound for rule in rules),
        )


def distances_of(device: System, H: NDArray[np.complex128]) -> Distances:
    """A function that returns the eigenvalues (2n,) of H + Sigma(E) - E, increasing; H: dense (2n, 2n), energy.

    Its argument is a real energy E outside the bands, where Sigma is real.
    """

    def at(energy: float) -> NDArray[np.float64]:
        matrix = H.copy()
        for end, sigma, _ in device.end_self_energies(energy):
            matrix[end, end] += sigma.real
        return np.asarray(np.linalg.eigvalsh(matrix) - energy)

    return at


def rounding_of(device: System, bounds: tuple[float, float]) -> float:
    """Distance (energy) within which a level and the Fermi energy cannot be told apart."""
    return float(_ROUNDING * max(abs(device.fermi_energy), *map(abs, bounds)))


def choose_step(frozen: Probed) -> Step:
    """The step(s) for one texture at kT = 0 with which the tolerance of its device is met.

    Raises ToleranceError if a narrow level lies at the Fermi energy inside a band, where its occupation depends on
    rounding.
    """
    device, mu, t = frozen.device, frozen.device.fermi_energy, frozen.device.hopping
    root = device.nearest_opening
    near_root = abs(root - mu) < _NEAR_ROOT * t
    outside = device.is_closed or not device.band[0] < mu < device.band[1]
    asked = 0.1 * device.tolerance * t
    gap, real, imaginary, largest = narrowed(frozen.probe, device.tolerance, mu, asked, 1e-13 * t)
    largest *= t
    nearness = max(1.0, t * real, t * imaginary)
    unresolved = gap * imaginary > 0.5 * device.tolerance
    if not near_root and not unresolved and _lost(frozen, nearness) <= 0.1 * device.tolerance:
        return Step((mu,), gap, nearness, _lost(frozen, nearness), "", largest=largest)
    rounding = rounding_of(device, frozen.bounds)
    blur, edge_blur, sharp = 0.0, 0.0, ""
    if near_root:
        sharp = (
            f"the Fermi energy {mu:.16g} lies {abs(mu - root):.1e} from {root:.16g}, where a band of the leads begins "
            "or ends"
        )
        # Outside the band results do not depend on the last digits of E_F, unless the response diverges at the edge.
        last_digit = 4 * np.finfo(float).eps * max(abs(mu), t)
        blur, edge_blur = _sea_within(frozen, mu, last_digit), last_digit / max(abs(mu - root), last_digit)
        if outside and (abs(mu - root) > last_digit or blur < _sea_within(frozen, mu, 1e4 * last_digit)):
            blur = 0.0
    if outside:
        levels = frozen.distances
        if levels is not None:
            return _in_the_gap(frozen, levels, mu, asked, rounding, blur, sharp)
    if near_root:
        while gap > 1e-3 * rounding and _sea_within(frozen, mu, gap) > 0.2 * device.tolerance:
            gap *= 1e-2
    else:
        level = _nearest_level(frozen, mu, gap)
        sharp = f"a level at {level:.16g} lies {abs(level - mu):.1e} from the Fermi energy {mu:.16g}"
    if unresolved and not near_root:
        raise ToleranceError(
            f"{sharp} at temperature = 0, so that its occupation depends on rounding of the Fermi energy: change "
            "electrons.fermi_energy, or use a temperature > 0"
        )
    return Step((mu,), gap, nearness, max(blur, _lost(frozen, nearness)), sharp, edge_blur, largest)


def narrowed(
    probe: Callable[[complex], NDArray[np.complex128]], tolerance: float, energy: float, gap: float, least: float
) -> tuple[float, float, float, float]:
    """The half-width of an interval around `energy` whose states have negligible weight on every site, and |G| there.

    probe: as that of `Probed`.  Tries `gap` and then smaller half-widths (energies), until the weight is below half
    the tolerance or the half-width below `least`.  Returns the half-width, the largest |Re G| and |Im G| at that height
    above `energy` (1/energy), and an estimate of the largest eigenvalue of G (1/energy).

    With the weights |n|^2 of the levels E_n on a site, the weight inside the interval is bounded by Im G:
    sum_n |n|^2 [ |E_n - E_F| < gap ] <= 2 gap |Im G(E_F + i gap)|.
    """
    while True:
        G = probe(energy + 1j * gap)
        imaginary = float(abs(G.imag).max())
        if gap * imaginary <= 0.5 * tolerance or gap < least:
            of_sites = np.maximum(abs(G.real), abs(G.imag)).max(axis=-1)
            return gap, float(abs(G.real).max()), imaginary, float(of_sites.sum())
        gap *= 1e-2


def _slope(frozen: Probed, z: complex) -> NDArray[np.complex128]:
    """dG/dE at z, traced as `probe`, 1/energy^2, from a central difference along the imaginary axis."""
    step = 0.1j * z.imag
    return np.asarray((frozen.probe(z + step) - frozen.probe(z - step)) / (2 * step))


def _sea_within(frozen: Probed, energy: float, width: float) -> float:
    """Estimated contribution to the sea term of energies within `width` of `energy`, for |dH/dt| = t^2."""
    z = energy + 1j * width
    scale = max(frozen.device.hopping, frozen.device.largest_exchange) * frozen.device.hopping
    # The sea term contains G' Hd G - G Hd G'.  If one level dominates G, the part in which both factors have its pole
    # cancels: one factor is from the other levels.
    others = min(abs(frozen.probe(z)).max(), 3 / frozen.device.hopping)
    return float(width * scale * abs(_slope(frozen, z)).max() * others)


def _nearest_level(frozen: Probed, energy: float, gap: float) -> float:
    """Energy E_n of the level that dominates G near `energy`: for G = w/(E - E_n), -G/(dG/dE) = E - E_n."""
    z = energy + 1j * gap
    G = frozen.probe(z)
    k = np.unravel_index(np.argmax(abs(G)), G.shape)
    return float((z + G[k] / _slope(frozen, z)[k]).real)


def _in_the_gap(
    frozen: Probed, distances: Distances, mu: float, asked: float, rounding: float, blur: float, sharp: str
) -> Step:
    """A step in the middle of the gap of the spectrum around mu; for a level at mu, one in each gap next to it.

    distances: see `distances_of`; asked: largest half-width of the interval in which the rule may be wrong; rounding:
    see `rounding_of`; blur, sharp: `lost` and `sharp` of the result, as far as band edges cause them; energies.
    Raises ToleranceError if the gap is not wider than the rounding error.
    """
    device, t = frozen.device, frozen.device.hopping
    limits = [frozen.bounds[0] - t, frozen.bounds[1] + t]
    if not device.is_closed:
        limits[0 if mu >= device.band[1] else 1] = device.band[1 if mu >= device.band[1] else 0]
    here = distances(mu)
    # An eigenvalue 0 at a band edge is not a level: its wave does not decay in the lead, its weight here vanishes.
    half_filled = bool((abs(here) <= rounding).any()) and min(abs(mu - e) for e in limits) > rounding
    above = _neighbour(distances, mu, np.flatnonzero(here > rounding)[:1], limits[1], rounding)
    below = _neighbour(distances, mu, np.flatnonzero(here < -rounding)[-1:], limits[0], rounding)
    places = ((below + mu) / 2, (mu + above) / 2) if half_filled else ((below + above) / 2,)
    room = min(mu - below, above - mu) / 2 if half_filled else (above - below) / 2
    if not sharp or room < 1e-3 * t:
        ends = [f"{e:.16g}, {abs(e - mu):.1e} away" for e in (below, above) if e not in limits]
        at = [f"{mu:.16g} itself"] if half_filled else []
        sharp = (
            f"next to the Fermi energy {mu:.16g} lie levels at "
            + " and ".join(at + ends)
            + ("; " + sharp) * bool(sharp)
        )
    if room <= rounding:
        raise ToleranceError(
            f"{sharp}: at temperature = 0 their occupation depends on rounding of the Fermi energy; change "
            "electrons.fermi_energy, or use a temperature > 0"
        )
    gap = min(asked, 1e-3 * room)
    nearness = max(1.0, *(t * abs(part).max() for place in places for part in _parts(frozen.probe(place + 1j * gap))))
    return Step(places, gap, nearness, max(blur, _lost(frozen, nearness)), sharp)


def _parts(G: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Real and imaginary part."""
    return G.real, G.imag


def _neighbour(distances: Distances, mu: float, index: NDArray[np.intp], limit: float, rounding: float) -> float:
    """Energy of the level next to mu: the zero, as a function of E, of eigenvalue number `index` (none or one).

    `limit` if there is none, or if it lies beyond.  The eigenvalue of H + Sigma(E) - E decreases with E at a rate of at
    least 1, so that the distance of the level from mu is at most the eigenvalue at mu.
    """
    from scipy.optimize import brentq

    if not len(index):
        return limit
    k, first = int(index[0]), float(distances(mu)[index[0]])
    end = min(mu + first, limit) if first > 0 else max(mu + first, limit)
    last = float(distances(end)[k])
    if abs(last) <= rounding:
        return end
    if last * first > 0:
        return limit
    return float(brentq(lambda e: distances(e)[k], mu, end, xtol=0.1 * rounding))


def check_surface(frozen: Probed, drive: NDArray[np.complex128], states: NDArray[np.float64]) -> None:
    """Raise ToleranceError if, at kT = 0, a level at E_F makes the rounding error of the surface term too large.

    drive: dH/dt, energy/time; states: G Gamma G^+ at E_F.  For |dH/dt| = t^2 the error is compared with the tolerance;
    in a slower motion both are smaller in proportion.  For a faster motion, where the expansion in the velocities does
    not hold anyway, the error at |dH/dt| = t^2 is compared.
    """
    device, step = frozen.device, frozen.step
    # Near a band edge `Step.check_first_order` decides.  In most cases the bound from G Gamma G^+ = -2 Im G suffices.
    if step is None or step.edge_blur > 0 or surface_loss(step.largest, 4 * step.largest) <= device.tolerance:
        return
    loss = surface_loss(step.largest, float(abs(states).max()) * device.hopping)
    size = min(1.0, float(abs(drive).max()) / device.hopping**2)
    if loss <= device.tolerance or size == 0:
        return
    level = _level_next_to(frozen, step)
    raise ToleranceError(
        f"fermi_energy = {device.fermi_energy:g} at temperature = 0: a level lies {level.real:.1e} from it, with a "
        f"half-width of {abs(level.imag):.1e}; by rounding the error of the response is {loss * size:.1e}, but only "
        f"{device.tolerance * size:.1e} is allowed: use a temperature > 0, another Fermi energy, a stronger coupling "
        "to the leads or a larger electrons.tolerance"
    )


def _level_next_to(frozen: Probed, step: Step) -> complex:
    """E - E_F - i (half-width) of the level nearest to E_F, energy; for messages."""
    device = frozen.device
    if device.n_sites > _MANY_SITES:
        return complex(device.hopping / step.nearness)
    matrix = frozen.dense_hamiltonian()
    for end, sigma, _ in device.end_self_energies(complex(np.clip(device.fermi_energy, *device.band))):
        matrix[end, end] += sigma
    levels = np.linalg.eigvals(matrix) - device.fermi_energy
    return complex(levels[np.argmin(abs(levels))])


def surface_loss(green: float, states: float) -> float:
    """Estimated rounding error of Im[G Hd G Gamma G^+]/2 pi for |Hd| = hopping^2 (hbar = 1).

    green: largest eigenvalue of G; states: largest element of G Gamma G^+; both in units of 1/hopping.  Rounding acts
    as a small change of H, so that the error has two factors of G besides the states: one for Hd, one for this change.
    """
    return 2 * float(np.finfo(float).eps) * green**2 * states / (2 * np.pi)
