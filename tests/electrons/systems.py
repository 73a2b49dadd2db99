"""Textures and devices that several tests of the electrons share."""

import numpy as np

from llgnegf.electrons import Device, Lead
from tests.oracles.electrons_dense import Wire

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def wall(n=7, width=0.9, kind="bloch"):
    """(n, 3) wall along z in the middle: in yz (bloch), xz (neel), or Bajpai and Nikolic's (twisted)."""
    u = ((n - 1) / 2 - np.arange(n)) / width
    sech = 1 / np.cosh(u)
    x, y = {"bloch": (0 * u, sech), "neel": (sech, 0 * u), "twisted": (-sech * np.tanh(u), sech**2)}[kind]
    return np.column_stack([x, y, np.tanh(u)])


def random_motion(rng, n):
    """Unit moments and velocities perpendicular to them, none faster than 1."""
    m = rng.normal(size=(n, 3))
    m /= np.linalg.norm(m, axis=1)[:, None]
    mdot = np.cross(m, rng.normal(size=(n, 3)))
    return m, mdot / max(1.0, np.linalg.norm(mdot, axis=1).max())


def device_of(wire, tolerance):
    """The package's device with the parameters of an oracle `Wire`."""
    return Device(
        wire.n,
        hopping=wire.hopping,
        onsite=wire.onsite,
        sd_exchange=wire.exchange,
        fermi_energy=wire.fermi_energy,
        temperature=wire.temperature,
        tolerance=tolerance,
        leads=[Lead("left", wire.couplings[0]), Lead("right", wire.couplings[1])],
    )


def still(m, exchange, **options):
    """An oracle `Wire` at rest."""
    n = len(m)
    return Wire(np.asarray(m, float), np.zeros((n, 3)), np.zeros(n), np.zeros(n), exchange, **options)


def moving(rng, n, exchange, gates=0.5, **options):
    """An oracle `Wire` with random moments, velocities, gates and gate rates."""
    m, mdot = random_motion(rng, n)
    return Wire(m, mdot, gates * rng.uniform(-1, 1, n), gates * rng.uniform(-1, 1, n), exchange, **options)


def parts_of(wire, tolerance):
    """(n, 4) arrays of the package by origin, in the layout of the oracle, and the number of Green's functions."""
    result = device_of(wire, tolerance).spin_density(wire.m, wire.mdot, wire.potential, wire.potential_rate)
    parts = {
        name: np.column_stack([getattr(result, f"density_{name}"), getattr(result, name)])
        for name in ("adiabatic", "sea", "surface")
    }
    return parts, result.solves


def largest_error(parts, reference):
    return {name: float(abs(parts[name] - reference[name]).max()) for name in reference}
