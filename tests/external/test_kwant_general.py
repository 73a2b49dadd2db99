"""Kwant systems of any shape as general devices, against Kwant's scattering matrices and states of the same systems."""

import numpy as np
import pytest

from llgnegf.electrons import Device, GeneralDevice
from tests.external.test_kwant import SIGMA, window

UNIT = SIGMA[0]
ENERGIES = [-1.31, -0.42, 0.37, 1.12]


def of_site(site, what):
    """Three numbers between -1 and 1 for each site, always the same ones."""
    return np.random.default_rng([*(abs(3 * int(t) + 100) for t in site.tag), len(site.family.name), what]).uniform(
        -1, 1, 3
    )


def moment(site, J):
    """An onsite matrix with a level and a moment of its own."""
    b, level = of_site(site, 1), 0.3 * of_site(site, 2)[0]
    return level * UNIT - J * np.tensordot(b / np.linalg.norm(b), SIGMA[1:], 1)


def honeycomb(kwant):
    """Zigzag ribbon with second neighbours, Rashba-like bonds and a hole; a magnetic lead."""
    lattice = kwant.lattice.honeycomb(norbs=2, name="honeycomb")
    system = kwant.Builder()
    system[lattice.shape(lambda p: 0 <= p[0] < 7 and 0 <= p[1] < 5, (0, 0))] = moment
    del system[next(s for s in system.sites() if 3 < s.pos[0] < 4 and 2 < s.pos[1] < 3)]
    system[lattice.neighbors()] = -UNIT + 0.2j * SIGMA[1] + 0.1j * SIGMA[2]
    system[lattice.neighbors(2)] = -0.15 * UNIT
    for direction in (-1, 1):
        lead = kwant.Builder(kwant.TranslationalSymmetry(lattice.vec((direction, 0))))
        lead[lattice.shape(lambda p: 0 <= p[1] < 5, (0, 0))] = 0.2 * SIGMA[1] if direction < 0 else 0.1 * SIGMA[2]
        lead[lattice.neighbors()] = -UNIT
        lead[lattice.neighbors(2)] = -0.1 * UNIT
        system.attach_lead(lead)
    return system


def funnel(kwant):
    """Slices of unequal size with a magnetic flux, between a wide lead and a narrow one off the centre."""
    lattice = kwant.lattice.square(norbs=2)
    system = kwant.Builder()
    widths = [4, 6, 7, 5, 5, 3, 2]
    system[(lattice(x, y) for x, width in enumerate(widths) for y in range(width))] = moment
    system[kwant.builder.HoppingKind((1, 0), lattice)] = lambda a, b, J: -np.exp(0.3j * a.tag[1]) * UNIT
    system[kwant.builder.HoppingKind((0, 1), lattice)] = -UNIT
    for direction, rows in ((-1, range(4)), (1, range(1, 2))):
        lead = kwant.Builder(kwant.TranslationalSymmetry((direction, 0)))
        lead[(lattice(0, y) for y in rows)] = 0 * UNIT
        lead[lattice.neighbors()] = -UNIT if direction < 0 else -1.3 * UNIT
        system.attach_lead(lead)
    return system


def bands(kwant):
    """Three orbitals on each site of a chain; the cell of a lead has two sites, and its hopping is singular."""
    lattice = kwant.lattice.chain(norbs=3)
    rng = np.random.default_rng(3)
    A, B = rng.normal(size=(2, 3, 3)) + 1j * rng.normal(size=(2, 3, 3))
    system = kwant.Builder()
    system[(lattice(x) for x in range(5))] = lambda site: np.diag(of_site(site, 1)) + A + A.conj().T
    system[lattice.neighbors()] = B
    for direction in (-1, 1):
        lead = kwant.Builder(kwant.TranslationalSymmetry((2 * direction,)))
        lead[lattice(0)], lead[lattice(1)] = 0.3 * (A + A.conj().T), 0.2 * np.eye(3)
        lead[lattice.neighbors()] = B
        system.attach_lead(lead)
    return system


def same_side(kwant):
    """Both leads on the left of a square flake: slices beyond the second lead."""
    lattice = kwant.lattice.square(norbs=2)
    system = kwant.Builder()
    system[(lattice(x, y) for x in range(5) for y in range(7))] = moment
    system[lattice.neighbors()] = -UNIT
    for rows in (range(2), range(4, 7)):
        lead = kwant.Builder(kwant.TranslationalSymmetry((-1, 0)))
        lead[(lattice(0, y) for y in rows)] = 0 * UNIT
        lead[lattice.neighbors()] = -UNIT
        system.attach_lead(lead)
    return system


SYSTEMS = {of.__name__: of for of in (honeycomb, funnel, bands, same_side)}


def finalized(kwant, name, J=0.6):
    """The system, and its parameters."""
    return SYSTEMS[name](kwant).finalized(), None if name == "bands" else {"J": J}


def states(kwant, system, energy, params):
    """(N, 4) density of all states that enter, traced with 1 and, with two orbitals, sigma."""
    wave = kwant.wave_function(system, energy, params=params)
    psi = np.concatenate([wave(0), wave(1)])
    psi = psi.reshape(len(psi), len(system.sites), -1)
    if psi.shape[-1] != 2:
        density = (abs(psi) ** 2).sum(axis=(0, 2))
        return np.stack([density, *np.zeros((3, len(density)))], axis=-1) / (2 * np.pi)
    return np.einsum("kia,kib,cba->ic", psi, psi.conj(), SIGMA).real / (2 * np.pi)


@pytest.mark.parametrize("name", SYSTEMS)
def test_transmission_and_states(kwant, name):
    system, params = finalized(kwant, name)
    device, m, sites = Device.from_kwant(system, params)
    assert isinstance(device, GeneralDevice)
    assert sites.tolist() == list(range(len(system.sites)))
    wanted = [kwant.smatrix(system, energy, params=params).transmission(1, 0) for energy in ENERGIES]
    assert max(wanted) > 0.1
    assert device.transmission(ENERGIES) == pytest.approx(np.array(wanted), abs=1e-10)
    assert device.transmission(ENERGIES, m) == pytest.approx(np.array(wanted), abs=1e-10)
    for energy in ENERGIES:
        of_kwant = states(kwant, system, energy, params)
        assert device.density_of_states(energy) == pytest.approx(of_kwant, abs=1e-10)
        assert (abs(of_kwant).max(axis=0) > 1e-3).all() or name == "bands"


@pytest.mark.parametrize("name", SYSTEMS)
def test_equilibrium_at_two_fermi_energies(kwant, name):
    """Their difference is that of all states between them, at kT = 0; bound states drop out."""
    system, params = finalized(kwant, name)
    low, high = 0.30, 0.33
    wanted = window(lambda e: states(kwant, system, e, params), low, high, 24)
    device = Device.from_kwant(system, params, fermi_energy=low, tolerance=1e-9).device
    before, after = device.spin_density(), device.changed(fermi_energy=high).spin_density()
    assert after.density - before.density == pytest.approx(wanted[:, 0], abs=3e-9)
    assert after.total - before.total == pytest.approx(wanted[:, 1:], abs=3e-9)
    assert abs(wanted[:, 0]).max() > 1e-3


@pytest.mark.parametrize("name", ["honeycomb", "funnel", "same_side"])
def test_other_moments_and_gates(kwant, name):
    """As in the system whose onsite matrices have them."""
    system, params = finalized(kwant, name)
    device, m, _ = Device.from_kwant(system, params, sd_exchange=-0.6, temperature=0.05)
    rng = np.random.default_rng(2)
    turned, gates = rng.normal(size=m.shape), rng.uniform(-0.5, 0.5, len(m))

    def onsite(site, J):
        k = numbers[site]
        return (levels[k] + gates[k]) * UNIT - J * np.tensordot(turned[k], SIGMA[1:], 1)

    numbers = {site: k for k, site in enumerate(system.sites)}
    levels = [np.trace(system.hamiltonian(k, k, params=params)).real / 2 for k in range(len(m))]
    builder = SYSTEMS[name](kwant)
    for site in builder.sites():
        builder[site] = onsite
    other = builder.finalized()
    wanted = [kwant.smatrix(other, energy, params={"J": -0.6}).transmission(1, 0) for energy in ENERGIES]
    assert device.transmission(ENERGIES, turned, gates) == pytest.approx(np.array(wanted), abs=1e-10)
    again = Device.from_kwant(other, {"J": -0.6}, sd_exchange=-0.6, temperature=0.05).device
    found = device.spin_density(turned, potential=gates)
    assert found.total == pytest.approx(again.spin_density().total, abs=1e-13)
    assert abs(found.total - device.spin_density().total).max() > 0.1


def test_a_lattice_as_a_general_device(kwant):
    """The same numbers as those of a `Device`, at kT > 0 and at kT = 0."""
    from llgnegf.electrons.kwant_systems.general import read_general

    rng = np.random.default_rng(4)
    m = rng.normal(size=(4, 3, 3))
    device = Device((4, 3), sd_exchange=0.7, fermi_energy=0.3, tolerance=1e-9)
    for kT in (0.0, 0.04):
        device = device.changed(temperature=kT)
        filling = {key: getattr(device, key) for key in ("fermi_energy", "temperature", "tolerance")}
        system = device.to_kwant(m)
        general = read_general(system, None, 0.7, filling, "")
        places = [site.tag for site in system.sites]
        x, y = np.array(places).T
        wanted, found = device.spin_density(m), general.spin_density()
        assert found.total == pytest.approx(wanted.total[x, y], abs=1e-9)
        assert found.density == pytest.approx(wanted.density[x, y], abs=1e-9)
        assert general.transmission(0.3) == pytest.approx(device.transmission(0.3, m).sum(), abs=1e-10)
