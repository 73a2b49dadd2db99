"""The right-hand side: the velocity of moments that electrons act on and that act on the electrons.

The electrons' field on the moments is B_el = back_action J_sd s (Hellmann-Feynman, s = Tr[rho sigma]).  To first
order in the motion s = s_ad + chi_V dV/dt + chi dm/dt, with s_bias where leads are biased, so that dm/dt is the
solution of the equation in `velocity_equation.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llgnegf.dynamics.electron_noise import ElectronNoise
from llgnegf.dynamics.external import NOTHING, Drives, External
from llgnegf.dynamics.gates import Gates, LeadVoltages
from llgnegf.dynamics.profiles import Profile
from llgnegf.dynamics.thermal import ThermalField
from llgnegf.dynamics.velocity_equation import Tried, solve, sum_of
from llgnegf.electrons import ClosedDevice, ClosedFrozen, Device, Frozen, LeadResponse, Response
from llgnegf.electrons.counter import Counter
from llgnegf.electrons.spin_noise import MOST_SITES
from llgnegf.errors import RunError
from llgnegf.magnet import Magnet
from llgnegf.once import cached_property

Field = Callable[[float, np.ndarray], np.ndarray]

# Within a step moments lengthen a little.  Beyond this length the step is far too large, and what the electrons answer
# would mean nothing.
_LONGEST_MOMENT = 10.0


@dataclass(frozen=True)
class Motion:
    """Velocity and what came with it: v (packed), the electrons at this instant and their field (packed).

    tried: responses of the electrons that make up that to this motion, where any were needed; leads: that to voltages
    which change.
    """

    velocity: np.ndarray
    frozen: Frozen | ClosedFrozen | None
    electron_field: np.ndarray | None
    tried: Tried | None = None
    leads: LeadResponse | None = None

    @cached_property
    def response(self) -> Response | None:
        """Of the electrons to this motion and to that of the gates."""
        return None if self.tried is None else self.tried.together()


class Coupling:
    """The right-hand side of the self-consistent equations.

    order 0: only s_ad acts; order 1: also the sea and surface terms, with `velocity_feedback` those of dm/dt as well
    as those of dV/dt.  `velocity_tolerance`: residual of the velocity equation relative to the velocity.
    `field(t, m)`: a user's own effective field, energy units, shape of m.  `drives`: fields on the moments that change
    in time.

    `voltages`: of the leads, in place of those of the device; frozen electrons follow them as they follow gates.

    `thermal`: a random field on the moments, constant within each step; it is no part of the energy.  `electron_noise`:
    another one, from the electrons, of steps that `begin_step` was called for.

    Where gates or drives jump at the time of a call, `within` says on which side it is meant: a time inside the step
    that is being made (`Profile.value`).

    From one call to the next it keeps nothing but `solves`, the count of Green's functions evaluated by all electrons
    that it froze.
    """

    def __init__(
        self,
        magnet: Magnet,
        device: Device | ClosedDevice | None = None,
        gates: Gates | None = None,
        *,
        order: int = 1,
        velocity_feedback: bool = True,
        back_action: float = 1.0,
        velocity_tolerance: float = 1e-11,
        field: Field | None = None,
        drives: Drives | None = None,
        voltages: LeadVoltages | None = None,
        thermal: ThermalField | None = None,
        electron_noise: ElectronNoise | None = None,
    ) -> None:
        self.magnet, self.device, self.gates, self.field, self.drives = magnet, device, gates, field, drives
        self.voltages, self.electron_noise = voltages, electron_noise
        self.noises = tuple(one for one in (thermal, electron_noise) if one is not None)
        self.order, self.velocity_feedback = order, velocity_feedback
        self.velocity_tolerance = velocity_tolerance
        self.sd_exchange = device.sd_exchange if device else 0.0
        # Field of the electrons over their spin density, energy: a number, or (nx[, ny], 1) of each site.
        J = self.sd_exchange
        self.strength = back_action * (J if isinstance(J, float) else J[..., None])
        self.acts = bool(np.any(self.strength))  # whether the moments feel the electrons
        self.response_frequencies: tuple[float, ...] = ()  # at which run files have alpha(omega)
        self.reference: np.ndarray | None = None  # p, (3,), beside which run files have the torque at rest
        self._counter = Counter()

    @property
    def solves(self) -> int:
        """Green's functions evaluated so far."""
        return self._counter.count

    @solves.setter
    def solves(self, count: int) -> None:
        self._counter.count = count

    @property
    def static_potential(self) -> np.ndarray | None:
        """On-site energies of the device itself, of the lattice's shape; None where it has none."""
        return self.device.potential if self.device else None

    @property
    def vacancy(self) -> np.ndarray:
        """1.0 on the sites of the device without an orbital, 0.0 elsewhere, of the lattice's shape."""
        assert self.device is not None
        holes = self.device.holes
        return np.zeros(self.device.shape) if holes is None else holes.astype(float)

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Of all that changes in time: gates, voltages, fields, currents."""
        driven = self.gates or None, self.voltages, self.drives
        return tuple(profile for one in driven if one is not None for profile in one.profiles)

    @property
    def frequencies(self) -> tuple[float, ...]:
        """Of what drives the electrons and is on, gates and voltages: of its fastest change, 1/time."""
        gates = self.gates.frequencies if self.gates else ()
        return gates + (self.voltages.frequencies if self.voltages is not None else ())

    def external(self, t: float, within: float | None = None) -> External:
        """The fields on the moments that change in time."""
        return self.drives.at(t, within) if self.drives else NOTHING

    def freeze(self, t: float, m: np.ndarray, within: float | None = None) -> Frozen | ClosedFrozen:
        """The electrons of moments m (nx[, ny], 3), gates and voltages at t; what they evaluate counts as `solves`.

        Raises RunError where the voltages leave the leads no common band.
        """
        return self._device_at(t, within).freeze(m, self.gate_state(t, within)[0], self._counter)

    def _device_at(self, t: float, within: float | None) -> Device | ClosedDevice:
        assert self.device is not None
        if self.voltages is None:
            return self.device
        assert isinstance(self.device, Device)  # others have no leads
        try:
            return self.device.at_voltages(self.voltages.at(t, within))
        except ValueError as error:
            raise RunError(f"electrons.lead.voltage at t = {t:g}: {error}") from None

    def lead_response(
        self, t: float, m: np.ndarray, within: float | None = None, *, energy: bool = False
    ) -> LeadResponse | None:
        """First order of the electrons in the rates of the voltages at t; None where these stand still.

        energy: see `Device.moving_leads`.
        """
        if self.voltages is None or not (rates := self.voltages.rate(t, within)).any():
            return None
        device, gates = self._device_at(t, within), self.gate_state(t, within)[0]
        assert isinstance(device, Device)
        return device.moving_leads(m, gates, self._counter, energy=energy).response(rates)

    def voltages_at(self, t: float, within: float | None = None) -> np.ndarray:
        """Of the left and the right lead, (2,), energy."""
        if self.voltages is not None:
            return self.voltages.at(t, within)
        return np.array(self.device.voltages if self.device is not None else (0.0, 0.0))

    def begin_step(self, n: int, t: float, y: np.ndarray, within: float) -> None:
        """Draw what fluctuates with the electrons of packed moments y at t, the beginning of step n, once."""
        noise = self.electron_noise
        if noise is not None and (noise.begun is None or noise.begun[0] != n):
            frozen = self.freeze(t, self.magnet.unpack(y), within)
            assert isinstance(frozen, Frozen)  # decks refuse it elsewhere
            if frozen.device.n_sites > MOST_SITES:
                noise.begin_large(n, frozen)
            else:
                noise.begin(n, frozen.spin_noise())

    def velocity(self, t: float, y: np.ndarray) -> np.ndarray:
        """dm/dt, packed."""
        if not self.acts and self.field is None and self.drives is None and not self.noises:
            return self.magnet.velocity(y)
        return self.motion(t, y).velocity

    def velocity_in(
        self, electron_field: np.ndarray | None, t: float, y: np.ndarray, within: float | None = None
    ) -> np.ndarray:
        """dm/dt, packed, in a given field of the electrons (packed): explicit, without evaluating them."""
        external = self.external(t, within)
        own = self._own_field(t, y, external, within)
        return self.magnet.velocity(y, sum_of(own, electron_field), external.current)

    def motion(
        self,
        t: float,
        y: np.ndarray,
        near: np.ndarray | None = None,
        within: float | None = None,
        moving: np.ndarray | None = None,
    ) -> Motion:
        """Velocity, electrons and their field at time t and packed moments y.

        near: a guess of the electrons' field (packed), from which the velocity equation is solved.  moving: dm/dt
        (packed) of moments with inertia, to which the electrons answer instead; the velocity is then that of moments
        without inertia in the same field.  Raises RunError where the equation has no solution, where moments are far
        longer than 1, and where a user's field is wrong.
        """
        external = self.external(t, within)
        own, current = self._own_field(t, y, external, within), external.current
        if self.device is None:
            return Motion(self.magnet.velocity(y, own, current), None, None)
        if not np.abs(y).max() < _LONGEST_MOMENT:  # NaN included
            raise RunError(
                f"a moment grew to a length above {_LONGEST_MOMENT:g} within a step, at t = {t:g}: integrator.step is "
                "too large, or a term of the deck is; try half the step. The last checkpoint is kept"
            )
        rate = self.gate_state(t, within)[1]
        frozen = self.freeze(t, self.magnet.unpack(y), within)
        if not self.acts:
            return Motion(self.magnet.velocity(y, own, current), frozen, None)
        leads = self.lead_response(t, frozen.m, within) if self.order == 1 else None
        if self.order == 1 and self.velocity_feedback and moving is None:
            velocity, field, tried = solve(
                self.magnet,
                frozen,
                self.strength,
                y,
                rate,
                own,
                near,
                t=t,
                tolerance=self.velocity_tolerance,
                current=current,
                leads=None if leads is None else leads.density,
            )
            return Motion(velocity, frozen, field, tried, leads)
        # First the response: the sweeps that it makes give the adiabatic part as well.
        driving = np.zeros_like(frozen.m)
        if moving is not None and self.velocity_feedback:
            driving[...] = self.magnet.unpack(moving)
        moves = self.order == 1 and (rate.any() or driving.any())
        response = frozen.respond(driving, rate) if moves else None
        sea, surface = (0, 0) if response is None else (response.sea, response.surface)
        density = frozen.at_rest + sea + surface
        if response is not None and response.bias is not None:
            density = density + response.bias
        if leads is not None:
            density = density + leads.density
        field = self._packed_field(density)
        velocity = self.magnet.velocity(y, sum_of(own, field), current)
        return Motion(velocity, frozen, field, None if response is None else Tried([response]), leads)

    def gate_state(self, t: float, within: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Gate voltages and their rates at t, each of the lattice's shape."""
        assert self.device is not None
        if not self.gates:
            return np.zeros(self.device.shape), np.zeros(self.device.shape)
        return self.gates.potential(t, within), self.gates.rate(t, within)

    def _packed_field(self, density: np.ndarray) -> np.ndarray:
        """Field of a density (..., 4) traced with 1, sigma_x, sigma_y, sigma_z."""
        return self.magnet.pack(self.strength * density[..., 1:])

    def _own_field(self, t: float, y: np.ndarray, external: External, within: float | None) -> np.ndarray | None:
        """All that acts on the moments beside their classical field and the electrons, packed; None: nothing."""
        given = external.field if self.field is None else sum_of(self._user_field(t, y), external.field)
        for noise in self.noises:
            given = sum_of(given, noise.at(t if within is None else within))
        return given

    def _user_field(self, t: float, y: np.ndarray) -> np.ndarray | None:
        if self.field is None:
            return None
        m = self.magnet.unpack(y).copy()
        name = field_name(self.field)
        try:
            values = np.asarray(self.field(t, m), dtype=float)
        except Exception as error:
            raise RunError(f"field {name!r} raised {type(error).__name__} at t = {t:g}: {error}") from error
        if values.shape != m.shape:
            raise RunError(f"field {name!r} returned shape {values.shape} at t = {t:g}: expected {m.shape}")
        if not np.isfinite(values).all():
            site = np.argwhere(~np.isfinite(values).all(axis=-1))[0].tolist()
            raise RunError(
                f"field {name!r} returned {values[tuple(site)].tolist()} for site {site} at t = {t:g}: expected finite "
                "numbers"
            )
        return self.magnet.pack(values)


def field_name(field: Field) -> str:
    """The name under which a user's field is recorded."""
    module = getattr(field, "__module__", None)
    name = getattr(field, "__qualname__", type(field).__qualname__)
    return f"{module}.{name}" if module else name


def may_be_same_field(one: str, other: str) -> bool:
    """Whether two names of fields may mean the same one: that of a lambda or of a function made by another says
    nothing, and a function has another module where it is imported than where it was run."""
    nameless = any("<" in name or name.startswith("functools.") for name in (one, other))
    return nameless or one.rpartition(".")[2] == other.rpartition(".")[2]
