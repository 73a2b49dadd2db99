"""Hoppings that know the spin, of any kind, along x and y: dense calculations, two lattices of one spin, rotations."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from llgnegf.electrons import Bath, Device, Lead, SpinHopping, SpinOrbit
from llgnegf.electrons.counter import Counter
from llgnegf.electrons.slice_blocks import Slices
from llgnegf.electrons.slices import eliminate, solve, solve_adjoint, sweep, two_point
from llgnegf.electrons.slices_near_levels import BandFactors, two_point_near_levels
from llgnegf.electrons.system import read_only
from tests.electrons.spin_systems import FERROMAGNETS, ORBIT, device_of, errors, motion, row, system

CHAIN, LATTICE = (4, 1), (3, 2)
ANY_X = {"hop_x": (0.3, 0.1 + 0.2j, -0.25)}
ANY = ANY_X | {"hop_y": (0.1j, -0.3, 0.2 + 0.1j)}
ALONG_Z = {"hop_x": (0, 0, 0.9), "hop_y": (0, 0, -0.4)}
SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@pytest.mark.parametrize(
    ("shape", "kT", "given"),
    [
        (CHAIN, 0.0, ANY_X | ORBIT | {"x_bonds": (1.0, 0.7, 1.2)}),
        (CHAIN, 0.05, ANY_X | FERROMAGNETS),
        (CHAIN, 0.0, {"hop_x": (0, 1.0, 0)}),  # closed to one spin
        (CHAIN, 0.0, ANY_X | {"exchange": 0.0}),
        ((1, 1), 0.0, {"hop_x": (0.3, 0, 0)}),
        (LATTICE, 0.0, ANY | FERROMAGNETS | {"vacancies": ((1, 1),)}),
        (LATTICE, 0.05, ANY | ORBIT),
        (LATTICE, 0.0, ALONG_Z | {"couplings": (0.0, 0.9)}),
        (LATTICE, 0.0, ANY | {"couplings": (1.1, 0.2)}),  # sweeps from the other end
        (LATTICE, 0.0, {"hop_x": (0, 0.4j, -0.2j), "hop_y": (0.3, 0, 0.1j)}),  # a frame removes those along x
        pytest.param((2, 3), 0.05, ANY | {"periodic": True}, marks=pytest.mark.slow),
    ],
)
def test_parts_and_spin_balance(shape, kT, given):
    oracle = system(1, shape, temperature=kT, **given)
    found = errors(oracle)
    assert max(found.values()) < 1e-9, found
    assert abs(device_of(oracle).spin_balance(*motion(oracle))).max() < 1e-9


def test_a_closed_lattice():
    """Of all levels, each filled as the Fermi function says."""
    oracle = system(5, LATTICE, temperature=0.3, **ANY)
    device = device_of(oracle, leads=[])
    levels, states = np.linalg.eigh(oracle.H)
    rho = (states / (1 + np.exp((levels - 0.3) / 0.3))) @ states.conj().T
    assert device.spin_density(*motion(oracle)).adiabatic == pytest.approx(oracle.on_sites(rho)[..., 1:], abs=1e-9)
    assert abs(device.spin_balance(*motion(oracle))).max() < 1e-9


def between(H, rho, a, b):
    """Means of the spin sigma/2 that leaves a and that arrives at b, of particles, and the torque at either end."""
    T, rho_ba = H[2 * a : 2 * a + 2, 2 * b : 2 * b + 2], rho[2 * b : 2 * b + 2, 2 * a : 2 * a + 2]
    leaves = -np.imag(np.einsum("sij,jk,ki->s", SIGMA, T, rho_ba))
    arrives = -np.imag(np.einsum("ij,sjk,ki->s", T, SIGMA, rho_ba))
    return -2 * np.imag(np.trace(T @ rho_ba)), (leaves + arrives) / 2, (arrives - leaves) / 2


@pytest.mark.parametrize("kT", [0.0, 0.05])
@pytest.mark.parametrize("given", [ORBIT, ANY])
def test_flows_over_bonds_of_a_lattice(given, kT):
    oracle = system(8, LATTICE, temperature=kT, **given)
    flows, matrices = device_of(oracle).currents(*motion(oracle)), oracle.matrices()
    for origin, rho in matrices.items():
        torque = np.zeros((6, 3))
        for x, y in np.ndindex(LATTICE):
            a = 2 * x + y
            for b, exists, of_charge, of_spin in (
                (a + 2, x < 2, flows.charge[origin][x + 1, y], flows.spin[origin][x + 1, y]),
                (a + 1, y < 1, flows.charge_y[origin][x, y], flows.spin_y[origin][x, y]),
            ):
                if exists:
                    charge, spin, half = between(oracle.H, rho, a, b)
                    assert of_charge == pytest.approx(charge, abs=1e-9)
                    assert of_spin == pytest.approx(spin, abs=1e-9)
                    torque[a] += half
                    torque[b] += half
        assert flows.torque_spin_orbit[origin].reshape(6, 3) == pytest.approx(torque, abs=1e-9)
    frozen = device_of(oracle).freeze(*motion(oracle)[::2])
    again = frozen.torque_spin_orbit(*motion(oracle)[1::2])
    assert again["surface"] == pytest.approx(flows.torque_spin_orbit["surface"], abs=1e-9)


def test_flows_over_bonds_of_a_chain():
    oracle = system(8, CHAIN, **ANY_X)
    flows, matrices = device_of(oracle).currents(*motion(oracle)), oracle.matrices()
    for origin, rho in matrices.items():
        for a in range(3):
            charge, spin, _ = between(oracle.H, rho, a, a + 1)
            assert flows.charge[origin][a + 1] == pytest.approx(charge, abs=1e-9)
            assert flows.spin[origin][a + 1] == pytest.approx(spin, abs=1e-9)


@pytest.mark.parametrize(("shape", "given"), [(CHAIN, ANY_X | FERROMAGNETS), (LATTICE, ANY)])
def test_bias(shape, given):
    oracle, mu = system(6, shape, **given), (0.5, 0.1)
    device, (m, mdot, potential, rate) = device_of(oracle), motion(oracle)
    leads = [replace(one, voltage=0.0, chemical_potential=at) for one, at in zip(device.leads, mu, strict=True)]
    device = device.changed(leads=leads)
    found = device.spin_density(m, None, potential)
    both = np.concatenate([found.density_bias[..., None], found.bias], axis=-1)
    assert both == pytest.approx(row(oracle, oracle.biased(mu, 0.0)), abs=1e-9)
    assert abs(device.lead_currents(m, None, potential)[0].sum()) < 1e-9
    assert abs(device.spin_balance(m, None, potential)).max() < 1e-9
    # Leads that are filled alike, otherwise than the device says, are an equilibrium, to first order in a motion too.
    alike = [replace(one, chemical_potential=0.4) for one in leads]
    a, b = device.changed(leads=alike), device.changed(leads=alike, fermi_energy=0.4)
    for name in ("total", "density"):
        one, other = (getattr(x.spin_density(m, mdot, potential, rate), name) for x in (a, b))
        assert one == pytest.approx(other, abs=1e-8)


def test_two_lattices_of_one_spin():
    """Moments and hoppings along z: each spin is a scalar lattice with its own hopping."""
    m = np.zeros((3, 2, 3))
    m[..., 2] = np.random.default_rng(1).choice([-1, 1], (3, 2))
    leads = [Lead("left", 0.8), Lead("right", 0.6)]
    given = {"sd_exchange": 0.5, "fermi_energy": 0.2, "tolerance": 1e-9, "leads": leads}
    both = Device((3, 2), **given, spin_hopping=SpinHopping((0, 0, 0.3), (0, 0, 0.3)))
    found = both.spin_density(m)
    for spin, hopping in ((1, 0.7), (-1, 1.3)):
        # This spin alone; leads have the hopping 1.
        other = [replace(lead, hopping=1.0) for lead in leads]
        alone = Device((3, 2), hopping=hopping, **given | {"leads": other}).spin_density(m)
        one, expected = ((x.density + spin * x.total[..., 2]) / 2 for x in (found, alone))
        assert one == pytest.approx(expected, abs=1e-9)
        T = (
            both.transmission(0.2, m)[int(spin < 0)],
            Device((3, 2), hopping=hopping, **given | {"leads": other}).transmission(0.2, m)[int(spin < 0)],
        )
        assert T[0] == pytest.approx(T[1], abs=1e-11)


@pytest.mark.parametrize("shape", [CHAIN, LATTICE])
def test_all_turned_at_once(shape):
    """Moments, hoppings and leads turned by one rotation turn what comes out."""
    oracle = system(11, shape, **(ANY if shape == LATTICE else ANY_X), **FERROMAGNETS)
    R = Rotation.from_rotvec([0.7, -1.1, 0.4]).as_matrix()
    turned = replace(
        oracle,
        m=oracle.m @ R.T,
        mdot=oracle.mdot @ R.T,
        hop_x=tuple(R @ oracle.hop_x),
        hop_y=tuple(R @ oracle.hop_y),
        directions=tuple(R @ d for d in oracle.directions),
    )
    a, b = (device_of(one).spin_density(*motion(one)) for one in (oracle, turned))
    for name in ("adiabatic", "sea", "surface"):
        assert getattr(a, name) @ R.T == pytest.approx(getattr(b, name), abs=1e-9)
        assert getattr(a, f"density_{name}") == pytest.approx(getattr(b, f"density_{name}"), abs=1e-9)


def test_imaginary_parts_are_spin_orbit_coupling():
    oracle = system(12, LATTICE, **ORBIT)
    alpha, beta = ORBIT["rashba"], ORBIT["dresselhaus"]
    turning = SpinHopping((-1j * beta, 1j * alpha, 0), (-1j * alpha, 1j * beta, 0))
    a = device_of(oracle)
    for b in (a.changed(spin_orbit=None, spin_hopping=turning), _as_arrays(a)):
        one, other = (x.spin_density(*motion(oracle)) for x in (a, b))
        assert one.total == pytest.approx(other.total, abs=1e-9)
        assert one.surface == pytest.approx(other.surface, abs=1e-10)
        charge, spin = (x.lead_currents(*motion(oracle)) for x in (a, b))
        assert charge[0] == pytest.approx(spin[0], abs=1e-9)
        assert charge[1] == pytest.approx(spin[1], abs=1e-9)


def _as_arrays(device):
    """The same bonds without a frame of spins."""
    nx = device.shape[0]
    x, y = (-np.eye(2) + 1j * np.tensordot(v, SIGMA, 1) for v in (device.spin_orbit.along_x, device.spin_orbit.along_y))
    arrays = {"bonds_along_x": [x] * (nx - 1), "bonds_along_y": [y] * nx}
    return device.changed(spin_orbit=None, spin_hopping=None, **arrays)


def test_torque_is_the_derivative_of_the_grand_potential():
    oracle = system(9, LATTICE, **ANY)
    device, (m, _, potential, _), h = device_of(oracle, 1e-10), motion(oracle), 1e-4
    spin = device.spin_density(m, None, potential).adiabatic
    for component in range(3):
        step = np.zeros_like(m)
        step[2, 1, component] = h
        ahead, back = (device.freeze(m + s * step, potential).grand_potential for s in (1, -1))
        assert 0.7 * spin[2, 1, component] == pytest.approx((back - ahead) / (2 * h), abs=1e-7)


@pytest.mark.parametrize("flipped", [False, True])
def test_slices_with_bonds_of_any_kind(flipped):
    """Elimination, two-point functions, solutions beside the dense inverse; one of the bonds is closed to one spin."""
    rng, nx, ny = np.random.default_rng(3), 4, 3
    n = 2 * ny

    def some(*shape):
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)

    h, bonds = some(nx, n, n), some(nx - 1, 2, 2)
    h = h + np.conj(np.swapaxes(h, 1, 2))
    bonds[1] = np.outer([1, 0.5j], [0.3, 1])
    slices = Slices(h, read_only(np.linalg.norm(bonds, 2, axis=(1, 2))), Counter(), None, bonds, True)
    slices = slices.reversed() if flipped else slices
    z, sigma = np.array([0.3 + 0.5j, -0.8 + 0.2j]), tuple(-0.3j * np.array([np.eye(n)] * 2) for _ in range(2))
    H = slices.dense()
    assert pytest.approx(H.conj().T) == H
    H[:n, :n] += sigma[0][0]
    H[-n:, -n:] += sigma[1][0]
    G = np.linalg.inv(z[:, None, None] * np.eye(nx * n) - H)
    a = sweep(slices, z, sigma, 2, with_bonds=True)
    Y = np.zeros((nx, ny, 2, 2), complex)
    Y[:2] = some(2, ny, 2, 2)
    Y_dense = np.zeros_like(H)
    for i, block in enumerate(Y.reshape(-1, 2, 2)):
        Y_dense[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = block
    b = sweep(slices, z[::-1].copy(), sigma, 2)
    found = {
        "G": (a.blocks, G),
        "G Y G": (two_point(a, b, slices, Y, 2, with_bonds=True), G @ Y_dense @ G[::-1]),
        "near": (
            two_point_near_levels(slices, (z, z[::-1]), (sigma[0], sigma[0]), (sigma[1], sigma[1]), Y, True),
            G @ Y_dense @ G[::-1],
        ),
    }
    for name, (blocks, dense) in found.items():
        F = dense.reshape(2, nx, ny, 2, nx, ny, 2)
        for k, x, y in np.ndindex(2, nx, ny):
            up = (y + 1) % ny
            assert blocks[k, x, 0, y] == pytest.approx(F[k, x, y, :, x, y], abs=1e-12), name
            pairs = [(2, 4, x, up)] + [(1, 3, x + 1, y)] * (x + 1 < nx)
            for difference, total, to_x, to_y in pairs:
                forth, back = F[k, x, y, :, to_x, to_y], F[k, to_x, to_y, :, x, y]
                assert blocks[k, x, difference, y] == pytest.approx(forth - back, abs=1e-12), name
                assert blocks[k, x, total, y] == pytest.approx(forth + back, abs=1e-12), name
    g, logdet = eliminate(slices, z, sigma, with_logdet=True)
    phase = np.exp(logdet) / np.linalg.det(z[:, None, None] * np.eye(nx * n) - H)
    assert phase == pytest.approx([1, 1])
    c = some(nx, n, 2)
    flat = c.reshape(nx * n, 2)
    assert solve(g[0], slices, c).reshape(nx * n, 2) == pytest.approx(G[0] @ flat)
    assert solve_adjoint(g[0], slices, c).reshape(nx * n, 2) == pytest.approx(G[0].conj().T @ flat)
    assert slices.times(c).reshape(nx * n, 2) == pytest.approx(slices.dense() @ flat)
    factors = BandFactors(slices, 0.4, (sigma[0][0], sigma[1][0]))
    at = np.linalg.inv(0.4 * np.eye(nx * n) - H)
    assert factors.solve(c).reshape(nx * n, 2) == pytest.approx(at @ flat)
    assert factors.solve(c, adjoint=True).reshape(nx * n, 2) == pytest.approx(at.conj().T @ flat)


@pytest.mark.parametrize("probe", [True, False])
def test_a_bath_beside_them(probe):
    oracle = system(7, LATTICE, **ANY)
    device = device_of(oracle, bath=Bath([(0, 1), (2, 0)], 0.3, probe))
    assert abs(device.spin_balance(*motion(oracle))).max() < 1e-9


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: SpinHopping((0, 0)), "along_x"),
        (lambda: SpinHopping(along_y=(0, 0, np.inf)), "along_y"),
        (lambda: Device(3, sd_exchange=0.1, spin_hopping=(0, 0, 1)), "spin_hopping"),
        (lambda: Device(3, sd_exchange=0.1, spin_hopping=SpinHopping(along_y=(0, 0, 1))), "no y"),
        (lambda: Device(3, sd_exchange=0.1, spin_hopping=SpinHopping((0, 0, 1e12))), "within 1e"),
        (lambda: Device(3, sd_exchange=0.1, bonds_along_x=np.zeros((3, 2, 2))), "bonds_along_x"),
        (
            lambda: Device(2, sd_exchange=0.1, bonds_along_x=[np.eye(2)], spin_orbit=SpinOrbit(0.1)),
            "spin_orbit.*bonds_along_x=None",
        ),
        (lambda: hopping(bath=Bath([1], 0.1)), "bath = "),
        (lambda: hopping(leads=[Lead("left", width=0.1)]), "width = "),
        (lambda: hopping().spin_noise(np.eye(3)), "spin_noise"),
        (lambda: hopping().to_kwant(np.eye(3)), "to_kwant"),
        (lambda: hopping().lead_energies(np.eye(3), np.eye(3)[::-1]), "lead_energies"),
    ],
)
def test_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def hopping(**given):
    return Device(3, sd_exchange=0.5, spin_hopping=SpinHopping((0, 0, 0.2)), **given)
