"""Electrons in real time under moments, gates and voltages that are told, beside unitary evolution of a long system."""

import numpy as np
from scipy.integrate import DOP853

from llgnegf.electrons.real_time_leads import adjusted
from llgnegf.electrons.real_time_tiles import Tiles
from tests.oracles import finite_chain
from tests.oracles.unitary import LongSystem, columns_needed, evolve

SEEN = ("spin", "density", "current", "spin_current", "density_matrix")


def unit_vectors(rng, shape):
    """(*shape, 3)."""
    m = rng.normal(size=(*shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def turning(m, axis, frequency):
    """m(t), rotated rigidly."""
    return lambda t: m @ finite_chain.rotation(axis, frequency * t).T


def softly_turning(m, axis, frequency):
    """m(t), rotated rigidly from rest, with the whole frequency from t = 5 on."""

    def angle(t):
        return frequency * ((t - 5 / np.pi * np.sin(np.pi * t / 5)) / 2 if t < 5 else t - 2.5)

    return lambda t: turning(m, axis, angle(t))(1.0)


def in_time(given):
    return given if callable(given) else lambda t: given


def rows(electrons):
    return electrons


def tiles(electrons):
    return Tiles(electrons)


def density_matrix(electrons, Y):
    """Of the device, orbital 2 site + spin, from a state in rows."""
    N = electrons.orbitals
    rho = (Y[:N, 0, :N] + 1j * Y[:N, 1, :N]).reshape(electrons.nx, 2, electrons.ny, electrons.nx, 2, electrons.ny)
    return rho.transpose(0, 2, 1, 3, 5, 4).reshape(N, N)


def follow(system, times, moments, potential, voltages=(0.0, 0.0), *, carrier=rows, step=None, duration=None):
    """{name of `SEEN`: at each of `times`} of electrons in real time, by Dormand and Prince's method of order 8."""
    moments, potential, voltages = map(in_time, (moments, potential, voltages))
    at_start = np.ascontiguousarray(moments(0.0)), potential(0.0)
    electrons, carried, state = adjusted(system, *at_start, duration or times[-1], carrier)
    return evolved(electrons, carried, state, times, moments, potential, voltages, step)


def evolved(electrons, carried, state, times, moments, potential, voltages=(0.0, 0.0), step=None):
    """As `follow`, from a given state."""
    moments, potential, voltages = map(in_time, (moments, potential, voltages))
    longest = step or 1.6 / electrons.fastest_rate(1.0)
    slopes = np.empty((DOP853.n_stages, state.size))
    seen, now, shape = {name: [] for name in SEEN}, 0.0, state.shape
    for until in times:
        count = int(np.ceil((until - now) / longest - 1e-9))
        h = (until - now) / max(count, 1)
        for k in range(count):
            t = now + k * h
            for i, (a, c) in enumerate(zip(DOP853.A[: len(slopes)], DOP853.C[: len(slopes)], strict=True)):
                stage = state + (h * a[:i] @ slopes[:i]).reshape(shape)
                at = t + c * h
                m, V, U = (np.ascontiguousarray(q(at), float) for q in (moments, potential, voltages))
                slopes[i] = carried.derivative(stage, m, V, U).ravel()
            state = state + (h * DOP853.B @ slopes).reshape(shape)
        now = until
        traced, flows = carried.traced(state), carried.flows(state)
        Y = carried.to_rows(state) if isinstance(carried, Tiles) else state
        values = traced[..., 1:], traced[..., 0], flows.charge, flows.spin, density_matrix(electrons, Y)
        for name, value in zip(SEEN, values, strict=True):
            seen[name].append(value)
    return {name: np.array(values) for name, values in seen.items()} | {"electrons": electrons, "state": state}


def long_system(system, time):
    """The same device between finite leads, and the options with which `evolve` starts in equilibrium."""
    start = "infinite" if system.temperature < 0.15 * system.hopping else "finite"
    options = {"hopping": system.hopping, "temperature": system.temperature, "start": start}
    n_lead = columns_needed(time, **options) if any(system.couplings) else 0
    long = LongSystem(
        system.shape,
        n_lead,
        system.sd_exchange,
        couplings=tuple(system.couplings),
        hopping=system.hopping,
        onsite=system.onsite,
        fermi_energy=system.fermi_energy,
        temperature=system.temperature,
        periodic=system.periodic == "y",
    )
    return long, {"start": start}


def unitary(system, times, moments, potential, voltages=(0.0, 0.0)):
    """What `follow` should give; the leads are without voltage at t = 0-."""
    long, options = long_system(system, times[-1])
    return evolve(
        long, times, moments, potential=potential, voltages=voltages, before={"voltages": (0.0, 0.0)}, **options
    )


def errors(found, exact):
    """{name: largest error}."""
    return {name: float(abs(found[name] - getattr(exact, name)).max()) for name in SEEN}
