"""Moments and electrons in real time as one system of equations, and steps of it.

The moments feel the field back_action J_sd s(t) of the electrons as they are, with no expansion in velocities; the
electrons feel the moments as they are.  Both are stages of the same one-step method, so that its order holds for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from llgnegf.beside import integrators
from llgnegf.dynamics.coupling import Coupling
from llgnegf.dynamics.gates import Voltages
from llgnegf.dynamics.imposed import Imposed
from llgnegf.dynamics.profiles import inside
from llgnegf.dynamics.step_error import Trail
from llgnegf.electrons.real_time import RealTime
from llgnegf.electrons.real_time_carrier import Carrier
from llgnegf.electrons.real_time_step import StagedStep, arrays_for

# What is added up along the run: energy of the leads, particles in the left and the right one, work on the electrons;
# and what driven fields give to the moments, S sum B.dm.
SUMS = 5
# Arrays kept to be used again.
_MOST_FREE = 4
_NO_VOLTAGES = np.zeros(2)


# Time, what is seen, and its rate, at the beginnings of steps.
Points = list[tuple[float, np.ndarray, np.ndarray]]


@dataclass
class Together:
    """All that is integrated: packed moments, the sums, and the state of the electrons."""

    y: np.ndarray
    sums: np.ndarray
    state: Any


class MomentsAndElectrons:
    """The equations of a run, and steps of them.

    dt: a whole step, of the registered `method`; equation: of the electrons, carrier: of their state; imposed: the
    motion of the moments, where it is known beforehand; voltages: of the leads, None: zero.
    """

    def __init__(
        self,
        coupling: Coupling,
        dt: float,
        method: integrators.Method,
        equation: RealTime,
        carrier: Carrier,
        imposed: Imposed | None,
        voltages: Voltages | None,
    ) -> None:
        self.coupling, self.dt, self.method = coupling, dt, method
        self.equation, self.carrier, self.imposed, self.voltages = equation, carrier, imposed, voltages
        self._free: list[Any] = []

    @property
    def makes_many(self) -> bool:
        """Whether many steps can be made at once."""
        return self.imposed is not None and self.method.coefficients is not None and self.carrier is self.equation

    @property
    def can_be_watched(self) -> bool:
        """Whether steps leave a `Trail`."""
        return self.method.coefficients is not None and self.method.stages > 1

    def make(
        self, n: int, now: Together, parts: int, steps: int = 1, *, watched: bool = False
    ) -> tuple[Together, Trail | None]:
        """All after `steps` steps from step n on, each in equal parts; their `Trail` if watched, and if there is one.

        Moments that are known beforehand stay as they are.
        """
        h, watched = self.dt / parts, watched and self.can_be_watched
        if self.makes_many:
            return self._quickly(n, now, parts, steps, watched)
        step = self._in_stages if self.method.coefficients else self._by_method
        begin = now
        points: Points | None = [] if watched else None
        for k in range(n, n + steps):
            for part in range(parts):
                before, now = now, step(k * self.dt + part * h, now, h, inside(k, self.dt), points)
                if before is not begin:
                    self.release(before.state)
        if points is None:
            return now, None
        times, seen, rates = (np.array(one) for one in zip(*points, strict=True))
        return now, Trail(times, h, np.concatenate([seen, [self._seen(now.y, self.carrier.traced(now.state))]]), rates)

    def release(self, state: Any) -> None:
        """An array that is not used any more; ways to step that take none need not have them kept."""
        if len(self._free) < _MOST_FREE:
            self._free.append(state)

    def seen(self, one: Together) -> np.ndarray:
        """What errors are judged by: moments, unless they are known beforehand, and density and spin density, flat."""
        return self._seen(one.y, self.carrier.traced(one.state))

    def velocity(self, t: float, y: np.ndarray, traced: np.ndarray, within: float) -> np.ndarray:
        """dm/dt, packed, in the field of the electrons."""
        coupling = self.coupling
        field = coupling.magnet.pack(coupling.strength * traced[..., 1:]) if coupling.acts else None
        return coupling.velocity_in(field, t, y, within)

    def _seen(self, y: np.ndarray | None, traced: np.ndarray) -> np.ndarray:
        return traced.ravel() if self.imposed is not None or y is None else np.append(y, traced)

    def _array(self) -> Any:
        """An array for a state: one that is not used any more, if there is one, because new ones cost time."""
        return self._free.pop() if self._free else self.carrier.empty()

    def _quickly(self, n: int, now: Together, parts: int, steps: int, watched: bool) -> tuple[Together, Trail | None]:
        """Steps in which moments and gates are known beforehand."""
        h, coefficients, shape = self.dt / parts, self.method.coefficients, self.equation.system.shape
        assert coefficients is not None
        assert self.imposed is not None
        # As `make` counts: the same bits for one step as for many.
        begins = np.arange(n, n + steps)[:, None] * self.dt + np.arange(parts) * h
        times = begins.reshape(-1, 1) + np.array(coefficients[0]) * h
        within = np.repeat([inside(k, self.dt) for k in range(n, n + steps)], parts * len(coefficients[0]))
        each = [(float(t), float(side)) for t, side in zip(times.flat, within, strict=True)]
        gates = [self.coupling.gate_state(*one) for one in each] if self.coupling.gates else None
        on_sites = (*times.shape, *shape)
        potential, rate = (
            (np.stack([gate[k] for gate in gates]).reshape(on_sites) if gates else np.zeros(on_sites)) for k in (0, 1)
        )
        voltages = np.zeros((*times.shape, 2))
        if self.voltages is not None:
            voltages[:] = np.array([self.voltages.at(*one) for one in each]).reshape(voltages.shape)
        state, sums, traced = self.equation.steps(
            now.state, h, coefficients, self.imposed.at(times), (potential, rate), voltages, now.sums
        )
        moved = Together(now.y, sums, state)
        if not watched:
            return moved, None
        first, second = traced.reshape(len(times), 2, -1).swapaxes(0, 1)
        rates = (second - first) / (coefficients[0][1] * h)
        return moved, Trail(begins.ravel(), h, np.concatenate([first, [self.seen(moved)]]), rates)

    def _in_stages(
        self,
        t: float,
        now: Together,
        h: float,
        within: float,
        points: Points | None,
    ) -> Together:
        """One step of a method with `coefficients`: electrons in a few arrays of their size.

        within: a time inside the whole step, for what jumps at its ends.  points: gets time, what is seen, and its rate
        at the beginning: the second stage is y + c_1 h dy/dt, so that this costs nothing.
        """
        coefficients = self.method.coefficients
        assert coefficients is not None
        nodes, weights = coefficients
        y, sums = now.y, now.sums
        arrays = [self._array() for _ in range(arrays_for(coefficients))]
        electrons = StagedStep(self.carrier, now.state, h, coefficients, arrays)
        y_end = now.y.copy()
        begins: tuple[np.ndarray | None, np.ndarray] | None = None
        for i, (node, weight) in enumerate(zip(nodes, weights, strict=True)):
            m, potential, voltages, velocity, rates, traced = self._rates(t + node * h, y, electrons.at, within)
            if points is not None and i == 0:
                begins = velocity, traced
            elif points is not None and i == 1:
                assert begins is not None
                rate = self._seen(begins[0], (traced - begins[1]) / (node * h))
                points.append((t, self._seen(now.y, begins[1]), rate))
            electrons.advance(m, potential, voltages)
            sums = sums + weight * h * rates
            if velocity is not None:
                y_end += weight * h * velocity
                y = now.y + (nodes[i + 1] if i + 1 < len(nodes) else 0.0) * h * velocity
        for array in electrons.released:
            self.release(array)
        return Together(y_end, sums, electrons.at)

    def _by_method(self, t: float, now: Together, h: float, within: float, _points: Points | None) -> Together:
        """One step of any registered method, on everything as one array; within: as above."""
        sizes = np.cumsum([now.y.size, now.sums.size])
        shapes = now.y.shape, now.sums.shape, now.state.shape

        def split(flat: np.ndarray) -> Together:
            return Together(*(part.reshape(shape) for part, shape in zip(np.split(flat, sizes), shapes, strict=True)))

        def rhs(at: float, flat: np.ndarray) -> np.ndarray:
            now, out = split(flat), np.zeros_like(flat)
            change = split(out)
            m, potential, voltages, velocity, change.sums[:], _ = self._rates(at, now.y, now.state, within)
            if velocity is not None:
                change.y[:] = velocity
            change.state[...] = self.carrier.derivative(now.state, m, potential, voltages)
            return out

        return split(self.method.step(rhs, t, np.concatenate([now.y.ravel(), now.sums, now.state.ravel()]), h))

    def _rates(
        self, t: float, y: np.ndarray, state: Any, within: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
        """Moments (nx[, ny], 3), gates and voltages at t; dm/dt, packed, unless imposed; d(sums)/dt; and densities,
        traced."""
        carrier, coupling, magnet = self.carrier, self.coupling, self.coupling.magnet
        traced = carrier.traced(state)
        potential, rate = coupling.gate_state(t, within)
        voltages = _NO_VOLTAGES if self.voltages is None else self.voltages.at(t, within)
        sums, velocity = np.zeros(SUMS), None
        flows = carrier.flows(state)
        charge = flows.charge
        # That of a wide-band lead is not known, nor needed.
        sums[0], sums[1:3] = np.nansum(flows.energy), charge
        sums[3] = (rate * traced[..., 0]).sum() - voltages @ charge
        if self.imposed is None:
            velocity = self.velocity(t, y, traced, within)
            driving = coupling.external(t, within).field
            if driving is not None:
                sums[4] = magnet.overlap(velocity, driving)
            m = np.ascontiguousarray(magnet.unpack(y))
        else:
            m = self.imposed.moments(t)
            assert coupling.device is not None
            rate = coupling.device.exchange_times(self.imposed.velocity(t))
            sums[3] -= (traced[..., 1:] * rate).sum()
        return m, potential, voltages, velocity, sums, traced
