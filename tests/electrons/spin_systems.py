"""Devices whose bonds and leads know the spin, beside the dense calculation of the same (`oracles.spin_lattice`)."""

import numpy as np

from llgnegf.electrons import Device, Lead, Polarization, SpinHopping, SpinOrbit
from tests.oracles.spin_lattice import SpinLattice

# Ferromagnetic leads along y and between x and z, of two hoppings and couplings.
FERROMAGNETS = {
    "directions": ((0, 1, 0), (1, 0, 1)),
    "splittings": (0.9, 0.4),
    "lead_hoppings": (1.3, None),
    "couplings": (0.8, 1.1),
}
ORBIT = {"rashba": 0.4, "dresselhaus": -0.2}


def system(seed, shape, **given):
    """An oracle with random moments, velocities, potentials and rates; shape (n, 1) is a chain."""
    rng = np.random.default_rng(seed)
    m = rng.normal(size=(*shape, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    mdot = 0.5 * np.cross(m, rng.normal(size=m.shape))
    potential, rate = 0.3 * rng.normal(size=(2, *shape))
    return SpinLattice(m, mdot, potential, rate, **{"exchange": 0.7, "fermi_energy": 0.3, **given})


def device_of(oracle, tolerance=1e-9, **changes):
    """The package's device; one row becomes a chain."""
    chain = oracle.ny == 1
    leads = [
        Lead(
            side,
            oracle.couplings[k],
            oracle.voltages[k],
            hopping=oracle.lead_hoppings[k],
            polarization=Polarization(oracle.directions[k], oracle.splittings[k]) if oracle.splittings[k] else None,
        )
        for k, side in enumerate(("left", "right"))
        if oracle.couplings[k]
    ]
    given = {
        "shape": (oracle.nx,) if chain else (oracle.nx, oracle.ny),
        "periodic": "y" if oracle.periodic else False,
        "hopping": oracle.hopping,
        "onsite": oracle.onsite,
        "sd_exchange": oracle.exchange if np.ndim(oracle.exchange) == 0 else row(oracle, oracle.exchange),
        "fermi_energy": oracle.fermi_energy,
        "temperature": oracle.temperature,
        "tolerance": tolerance,
        "leads": leads,
        "bond_hoppings": oracle.x_bonds,
        "spin_orbit": SpinOrbit(oracle.rashba, oracle.dresselhaus),
        "spin_hopping": SpinHopping(oracle.hop_x, oracle.hop_y),
        "vacancies": [site[0] if chain else site for site in oracle.vacancies],
    }
    return Device(**given | changes)


def row(oracle, values):
    """Values (nx, ny, ...) of the oracle in the shape of the device."""
    return values[:, 0] if oracle.ny == 1 else values


def motion(oracle):
    """m, mdot, potential and potential_rate in the shape of the device."""
    return tuple(row(oracle, v) for v in (oracle.m, oracle.mdot, oracle.potential, oracle.potential_rate))


def parts_of(device, oracle):
    """(*s, 4) of the package by origin."""
    found = device.spin_density(*motion(oracle))
    return {
        name: np.concatenate([getattr(found, f"density_{name}")[..., None], getattr(found, name)], axis=-1)
        for name in ("adiabatic", "sea", "surface")
    }


def errors(oracle, tolerance=1e-9):
    """Largest error of each part of the package, and of the grand potential."""
    device = device_of(oracle, tolerance)
    parts, reference = parts_of(device, oracle), oracle.parts()
    found = {name: float(abs(parts[name] - row(oracle, reference[name])).max()) for name in reference}
    potential = device.freeze(row(oracle, oracle.m), row(oracle, oracle.potential)).grand_potential
    return found | {"grand potential": abs(potential - oracle.grand_potential())}
