"""Checks that a run goes right: the step against the precession before it, the energy at every frame.

Every message names the time, the site where one is to blame, and what to change.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from llgnegf.beside import integrators
from llgnegf.deck.drive_conflicts import given_profiles
from llgnegf.errors import DeckError, RunError, RunWarning
from llgnegf.magnet import Magnet
from llgnegf.magnet.energy import TERMS
from llgnegf.parts.driven import build_drives, profile_of
from llgnegf.parts.moments import inertia_of
from llgnegf.parts.sites import sd_exchange
from llgnegf.runfile.frames import DamagedFrames
from llgnegf.units import readable_temperature

if TYPE_CHECKING:
    from llgnegf.deck import Deck
    from llgnegf.runfile.reader import Run

# The energy may rise by this share of the energy of the motion, since smaller errors leave the motion right ...
_SHARE_OF_MOTION = 0.1
# ... and by rounding (a share of the terms that it is the sum of) and by so many tolerances of the electrons.
_ROUNDING = 1e-9
_TOLERANCES = 10.0


_BOLTZMANN_EV = 8.617333262e-5  # per kelvin (CODATA 2018, exact)
# By which a drive may turn in a step.
_MOST_RADIANS = 1.0
# By which the thermal field may turn a moment in a step: largest standard deviation about an axis.
_MOST_NOISE = 0.1


class EnergyRises(RunError):
    """The energy rose where only damping acts: states since the last frame are wrong."""


# --- the step against the precession --------------------------------------------------------------------------------


def check_step(deck: Deck, magnet: Magnet, m: np.ndarray) -> None:
    """Compares `integrator.step` with the fastest precession at the start of a run, where the moments are m (..., 3).

    DeckError where the method is certainly unstable; RunWarning where it may be, since waves of moments turn up to
    twice as fast as one moment in the field of the rest, and currents and electrons turn them as well.
    """
    _check_temperature(deck)
    if not deck.n_steps:
        return
    _check_drives(deck)
    _check_noise(deck)
    if deck.motion.is_imposed:
        return
    method = integrators.get(deck.integrator.method)
    step, damping = deck.integrator.step, deck.magnet.damping
    with np.errstate(all="ignore"):
        # Damping slows: dm/dt of a field B is |m x B| / (S sqrt(1 + alpha^2)).
        slower = math.hypot(1.0, damping)
        rate = magnet.max_precession_rate(magnet.pack(m)) / slower
    zhang_li = deck.magnet.zhang_li
    drift = sum(map(abs, zhang_li.velocity)) if zhang_li else 0.0
    electrons = 2 * _strength(deck) / deck.magnet.spin  # |Tr rho sigma| < 2
    drives = build_drives(deck, magnet)
    driven = 0.0
    if drives is not None:
        driven, drift = drives.reach / deck.magnet.spin, drift * drives.current_reach
    fastest = max(rate, (magnet.fastest_rate + electrons + driven) / slower + drift)
    what = "moments start to precess at"
    if deck.motion.kind == "inertial":
        what, shortest = "moments with inertia nutate at", float(inertia_of(deck).min())
        rate, _ = _nutation(shortest, damping, rate * slower)
        fastest, damping = _nutation(shortest, damping, fastest * slower)
    # A wave that grows less than tenfold in the whole run is none to warn of: Heun lets every undamped one grow.
    stable = integrators.stable_product(method, damping, 10 ** (1 / deck.n_steps))
    if step * fastest <= stable:
        return
    sensible = _rounded_down(stable / fastest) if math.isfinite(fastest) else 0.0
    remedy = f"allowed: up to {sensible:g}" if sensible > 0 else "allowed: smaller terms in [magnet]"
    told = f"integrator.step = {step:g}: "
    if not step * rate <= method.stability:
        raise DeckError(
            f"{told}too large for {method.name}, which is unstable beyond {method.stability:g} over the precession or "
            f"nutation rate, and {what} {rate:.3g}; {remedy}"
        )
    warnings.warn(
        f"{told}perhaps too large for {method.name}, which makes motion grow beyond {stable:.3g} over its rate at this "
        f"damping and duration: {what} {rate:.3g}, but waves and electrons may turn them at up to "
        f"{fastest:.3g}; sure to be stable: {sensible:g}",
        RunWarning,
        stacklevel=3,
    )


def _nutation(inertia: float, damping: float, precession: float) -> tuple[float, float]:
    """The faster of the two motions exp(lambda t) of a moment with inertia near rest: |lambda|, -Re lambda/|Im lambda|.

    Across the field, z = x + iy obeys eta z'' + (alpha + i) z' + Omega z = 0, with Omega = `precession`, the rate
    without damping and inertia.
    """
    root = np.sqrt(complex(damping, 1.0) ** 2 - 4 * inertia * precession)
    fast = max((-(complex(damping, 1.0) + sign * root) / (2 * inertia) for sign in (1, -1)), key=abs)
    return abs(fast), -fast.real / max(abs(fast.imag), 1e-300)


def _check_drives(deck: Deck) -> None:
    """RunWarning where a drive changes so fast that steps, or frames where nothing is integrated, pass it by."""
    table, step = deck.electrons, deck.integrator.step
    if table is not None and table.method == "real-time" and deck.integrator.electrons == "adaptive":
        return  # electrons in real time divide their steps as what drives them needs
    rates = {
        key: profile_of(profile).frequency
        for key, profile in given_profiles(deck)
        if profile is not None and profile.kind not in ("step", "square")
    }
    gates = table.gate if table is not None else ()
    rates |= {f"electrons.gate[{i}].frequency": abs(gate.frequency or 0.0) for i, gate in enumerate(gates)}
    for key, fastest in rates.items():
        if not step * fastest <= _MOST_RADIANS:
            enough = (
                f"shorter than {_rounded_down(_MOST_RADIANS / fastest):g}" if math.isfinite(fastest) else "far shorter"
            )
            warnings.warn(
                f"{key} changes at a rate of up to {fastest:.3g}, of which integrator.step = {step:g} sees "
                f"little: steps should be {enough}",
                RunWarning,
                stacklevel=4,
            )


def _check_noise(deck: Deck) -> None:
    """RunWarning where the thermal field turns a moment so far in one step that the method sees little of the way."""
    magnet, step = deck.magnet, deck.integrator.step
    if not magnet.temperature:
        return
    # Diffusion on the sphere: <angle^2> = 2 D dt about each axis across the moment.
    rate = 2.0 * magnet.damping * magnet.temperature / (magnet.spin * (1.0 + magnet.damping * magnet.damping))
    turn = math.sqrt(rate * step)
    if turn > _MOST_NOISE:
        warnings.warn(
            f"integrator.step = {step:g}: at magnet.temperature = {magnet.temperature:g} (kT, an energy: "
            f"{readable_temperature(magnet.temperature, deck.units_energy_ev)}) the thermal field turns a moment by "
            f"{turn:.2g} in a step (standard deviation, radians); for distributions right to about a per cent use "
            f"steps of {_rounded_down(_MOST_NOISE**2 / rate):g} or less",
            RunWarning,
            stacklevel=4,
        )


def _check_temperature(deck: Deck) -> None:
    """RunWarning where kT is beyond the band, as kelvins are."""
    table = deck.electrons
    if table is None:
        return
    given = {"electrons.temperature": table.temperature}
    given |= {f"electrons.lead[{i}].temperature": lead.temperature or 0.0 for i, lead in enumerate(table.lead)}
    for key, value in given.items():
        if value > 4 * table.nearest_hopping:
            kelvin = 300 * _BOLTZMANN_EV / deck.units_energy_ev
            warnings.warn(
                f"{key} = {value:g}: is kT, an energy, here more than the width of the band; "
                f"300 kelvin are {kelvin:.4g} {deck.units.label}",
                RunWarning,
                stacklevel=3,
            )


def _rounded_down(x: float) -> float:
    """x to two digits, never more than x."""
    unit = 10.0 ** (math.floor(math.log10(x)) - 1)
    return math.floor(x / unit) * unit


# --- at every frame -------------------------------------------------------------------------------------------------


class EnergyWatch:
    """Whether the energy falls, where damping acts and nothing drives.

    Then E = classical + kinetic + back_action * grand potential cannot rise (kinetic: of moments with inertia): the
    adiabatic electrons are its gradient, their sea term does no work, their surface term takes energy out.  What rises
    is the error of the step.  It is set against the energy of the motion, S sum |dm/dt|^2 / (2 rate), so that heating
    of a small texture shows within a large lattice.
    """

    def __init__(
        self, deck: Deck, magnet: Magnet, user_field: bool = False, past: Run | None = None, n_past: int = 0
    ) -> None:
        """user_field: whether one drives the moments; past: a run that is resumed after its first `n_past` frames."""
        table, zhang_li = deck.electrons, deck.magnet.zhang_li
        gates = table.gate if table is not None else ()
        self.deck, self.magnet, self.strength = deck, magnet, _strength(deck)
        current = zhang_li is not None and any(zhang_li.velocity)
        # The energy is known where electrons are frozen; others may drive the moments.
        others = table is not None and (table.method != "frozen" or table.is_biased) and self.strength
        random = deck.magnet.temperature or (table is not None and table.noise)
        driven = user_field or gates or current or deck.magnet.drive or others or random
        # Expanded about a texture they have no energy of their own; that of a molecule is not recorded.
        expanded = deck.motion.kind == "tensor" and deck.motion.tensor == "reference"
        expanded = expanded or deck.motion.kind == "kernel"
        driven = driven or deck.molecule is not None or expanded
        self.applies = not deck.motion.is_imposed and deck.magnet.damping > 0 and not driven
        self.back_action = table.back_action if table is not None and self.strength else 0.0
        self.electrons = 0.0
        if table is not None and self.back_action:
            sites = math.prod(deck.lattice.shape)
            scale = self.back_action * (table.nearest_hopping + _largest_exchange(deck)) * sites
            self.electrons = _TOLERANCES * table.tolerance * scale
        self.lowest, self.at = np.inf, 0.0
        self._moved = 0.0
        if past is not None and self.applies and n_past:
            names = [name for name in past.names if name in _SUMMANDS]
            sound = np.arange(n_past)
            try:
                energies = self._energy({name: past[name][:n_past] for name in names})
            except DamagedFrames as damage:  # which does not touch the state that the run goes on from
                warnings.warn(f"{damage}. The run goes on; these frames stay damaged", RunWarning, stacklevel=3)
                sound = np.flatnonzero(past.frames_ok(0, n_past))
                energies = self._energy({name: past[name][sound] for name in names})
            if len(sound):
                lowest = int(sound[np.argmin(energies)])
                self.lowest, self.at = float(np.min(energies)), float(past["time"][lowest])

    def frame(self, frame: Mapping[str, Any]) -> None:
        """Judges a frame, {variable: value}, before it is saved.  Raises EnergyRises."""
        if not self.applies:
            return
        energy, velocity = float(self._energy(frame)), np.asarray(frame["velocity"])
        magnet, deck = self.magnet, self.deck
        rate = magnet.max_precession_rate(magnet.pack(frame["moment"])) + self.strength / magnet.spin
        moving = magnet.spin * float(np.sum(velocity**2)) / (2 * rate) if rate else 0.0
        # A run from before a term was added goes on without it, and its deck has none.
        terms = sum(abs(float(frame.get(f"energy_{name}", 0.0))) for name in TERMS)
        terms += float(frame.get("energy_kinetic", 0.0))
        terms += self.back_action * abs(float(frame.get("grand_potential", 0.0)))
        allowed = _SHARE_OF_MOTION * max(moving, self._moved) + _ROUNDING * terms + self.electrons
        if not energy - self.lowest <= allowed:
            speed = np.linalg.norm(velocity, axis=-1)
            site = [int(i) for i in np.unravel_index(np.argmax(speed), speed.shape)]
            dt, asked = deck.integrator.step, deck.integrator.electrons
            also = ""
            if self.back_action:
                also = ", or a smaller electrons.tolerance"
                also += ', or integrator.electrons = "stage"' if asked != "stage" else ""
            raise EnergyRises(
                f"the energy rose by {energy - self.lowest:.3g} from t = {self.at:g} to t = {float(frame['time']):g}, "
                f"but magnet.damping = {deck.magnet.damping:g} and nothing drives the moments (the fastest is site "
                f"{site}, |dm/dt| = {speed.max():.3g}): integrator.step = {dt:g} is too large; try half of it, --set "
                f"integrator.step={dt / 2:g}{also}. The checkpoint stays at the last frame"
            )
        self._moved = moving
        if energy < self.lowest:
            self.lowest, self.at = energy, float(frame["time"])

    def _energy(self, values: Mapping[str, Any]) -> Any:
        energy = values["energy_classical"]
        if "energy_kinetic" in values:
            energy = energy + values["energy_kinetic"]
        return energy + self.back_action * values["grand_potential"] if self.back_action else energy


_SUMMANDS = ("energy_classical", "energy_kinetic", "grand_potential")


def _strength(deck: Deck) -> float:
    """Largest field of the electrons on a moment over their spin density, without its sign, energy."""
    if deck.molecule is not None:
        return deck.molecule.back_action * abs(deck.molecule.sd_exchange)
    return deck.electrons.back_action * _largest_exchange(deck) if deck.electrons is not None else 0.0


def _largest_exchange(deck: Deck) -> float:
    return float(np.abs(sd_exchange(deck)).max())
