"""Bonds that turn spins, and ferromagnetic leads, against Kwant: scattering matrices and states of the same H."""

import numpy as np
import pytest

from llgnegf.electrons import ClosedDevice, Device, Lead, Polarization, SpinOrbit
from tests.external.test_kwant import SIGMA

UNIT = SIGMA[0]
RASHBA, DRESSELHAUS = 0.35, -0.2
POLARIZATIONS = (Polarization((0.3, -0.5, 0.8), 0.6), Polarization((1.0, 0.4, 0.0), 0.3))
SHAPES = [(6, 1), (5, 4)]
ENERGIES = [-1.13, 0.29, 1.41]


def bonds(t, rashba, dresselhaus):
    """H_(i,i+x) and H_(i,i+y)."""
    along_x = -t * UNIT + 1j * (rashba * SIGMA[2] - dresselhaus * SIGMA[1])
    along_y = -t * UNIT + 1j * (dresselhaus * SIGMA[2] - rashba * SIGMA[1])
    return along_x, along_y


def moments(shape):
    m = np.random.default_rng(11).normal(size=(*shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def in_kwant(kwant, shape, m, J, couplings, hoppings, polarizations):
    """The same system; a column of each lead stands beside the device."""
    (nx, ny), lattice = shape, kwant.lattice.square(norbs=2)
    system = kwant.Builder()
    system[(lattice(x, y) for x in range(nx) for y in range(ny))] = lambda site: (
        -J * np.tensordot(m[site.tag[0], site.tag[1]], SIGMA[1:], 1)
    )
    for (dx, dy), bond in zip(((1, 0), (0, 1)), bonds(1.0, RASHBA, DRESSELHAUS), strict=True):
        for x, y in np.ndindex(nx - dx, ny - dy):
            system[lattice(x, y), lattice(x + dx, y + dy)] = bond
    ends = zip((-1, 1), (0, nx - 1), couplings, hoppings, polarizations, strict=True)
    for step, end, coupling, hopping, polarization in ends:
        d = SIGMA[3] if polarization is None else np.tensordot(polarization.unit, SIGMA[1:], 1)
        split = 0 * UNIT if polarization is None else -polarization.splitting / 2 * d
        lead = kwant.Builder(kwant.TranslationalSymmetry((step, 0)), conservation_law=-d)
        lead[(lattice(0, y) for y in range(ny))] = split
        lead[lattice.neighbors()] = -hopping * UNIT
        system.attach_lead(lead, add_cells=1)
        for y in range(ny):
            system[lattice(end + step, y), lattice(end, y)] = -coupling * UNIT
    return system.finalized(), lattice


@pytest.mark.parametrize("polarizations", [(None, None), POLARIZATIONS])
@pytest.mark.parametrize("shape", SHAPES)
def test_transmission_and_states(kwant, shape, polarizations):
    m, J, couplings, hoppings = moments(shape), 0.6, (0.7, 1.1), (1.0, 1.2)
    system, lattice = in_kwant(kwant, shape, m, J, couplings, hoppings, polarizations)
    leads = [
        Lead(side, coupling, hopping=hopping, polarization=polarization)
        for side, coupling, hopping, polarization in zip(
            ("left", "right"), couplings, hoppings, polarizations, strict=True
        )
    ]
    chain = shape[1] == 1
    given, mine = (shape[0], m[:, 0]) if chain else (shape, m)
    device = Device(given, sd_exchange=J, leads=leads, spin_orbit=SpinOrbit(RASHBA, DRESSELHAUS))
    for energy in ENERGIES:
        matrix = kwant.smatrix(system, energy)
        expected = [[matrix.transmission((1, out), (0, into)) for into in range(2)] for out in range(2)]
        found = device.transmission(energy, mine)
        assert found == pytest.approx(np.array(expected), abs=1e-10)
        assert abs(found[0, 1] - found[1, 0]) > 1e-4
        waves = kwant.wave_function(system, energy)
        psi = np.concatenate([waves(0), waves(1)]).reshape(-1, len(system.sites), 2)
        numbers = [system.id_by_site[lattice(x, y)] for x, y in np.ndindex(shape)]
        states = np.einsum("kia,kib,cba->ic", psi[:, numbers], psi[:, numbers].conj(), SIGMA).real / (2 * np.pi)
        states = states.reshape(device.density_of_states(energy, mine).shape)
        assert device.density_of_states(energy, mine) == pytest.approx(states, abs=1e-10)


def test_read_as_a_general_device(kwant):
    shape = (5, 4)
    system, _ = in_kwant(kwant, shape, moments(shape), 0.6, (0.7, 1.1), (1.0, 1.0), (None, None))
    device, _, _ = Device.from_kwant(system)
    for energy in ENERGIES:
        matrix = kwant.smatrix(system, energy)
        expected = sum(matrix.transmission((1, out), (0, into)) for out, into in np.ndindex(2, 2))
        assert device.transmission(energy) == pytest.approx(expected, abs=1e-10)


def test_levels_on_a_torus(kwant):
    """Farther neighbours and spin-orbit coupling of a closed lattice."""
    shape, m = (4, 5), moments((4, 5))
    lattice = kwant.lattice.square(norbs=2)
    system = kwant.Builder()
    for x, y in np.ndindex(shape):
        system[lattice(x, y)] = -0.6 * np.tensordot(m[x, y], SIGMA[1:], 1)
    shifts = {(1, 1): -0.3 * UNIT, (1, -1): -0.3 * UNIT, (0, 2): -0.2 * UNIT}
    shifts |= dict(zip(((1, 0), (0, 1)), bonds(1.0, RASHBA, DRESSELHAUS), strict=True))
    for (dx, dy), bond in shifts.items():
        for x, y in np.ndindex(shape):
            system[lattice(x, y), lattice((x + dx) % 4, (y + dy) % 5)] = bond
    for x, y in np.ndindex(2, 5):
        system[lattice(x, y), lattice(x + 2, y)] = -0.4 * UNIT  # two bonds around the torus
    H = system.finalized().hamiltonian_submatrix()
    device = ClosedDevice(
        shape, periodic="xy", hopping=(1.0, 0.3, 0.2), sd_exchange=0.6, spin_orbit=SpinOrbit(RASHBA, DRESSELHAUS)
    )
    assert device.levels(m) == pytest.approx(np.linalg.eigvalsh(H), abs=1e-12)
