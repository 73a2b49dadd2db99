"""Bonds that turn the spin, beside dense calculations, other gauges and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import expit

from llgnegf.electrons import Device, Lead, SpinHopping, SpinOrbit
from llgnegf.electrons.currents import precession_currents
from tests.electrons.spin_systems import FERROMAGNETS, ORBIT, device_of, errors, motion, row, system

CHAIN, LATTICE = (4, 1), (3, 2)
EXCHANGES = np.array([[0.5, -0.3], [0.0, 1.1], [0.7, 0.2]])


@pytest.mark.parametrize("kT", [0.0, 0.05])
@pytest.mark.parametrize(
    ("shape", "given"),
    [
        (CHAIN, {"rashba": 0.4}),
        (CHAIN, {"dresselhaus": -0.7}),
        (CHAIN, ORBIT | {"x_bonds": (1.0, 0.7, 1.2)}),
        (CHAIN, ORBIT | FERROMAGNETS),
        (LATTICE, ORBIT),
        (LATTICE, ORBIT | FERROMAGNETS | {"exchange": EXCHANGES}),
        ((2, 3), ORBIT | {"periodic": True, "couplings": (0.8, 1.1)}),
        ((2, 2), ORBIT | {"periodic": True, "couplings": (0.0, 1.1)}),
        (CHAIN, ORBIT | {"exchange": 0.0}),
        ((1, 1), ORBIT),
        ((2, 1), ORBIT),
    ],
)
def test_parts(shape, given, kT):
    found = errors(system(1, shape, temperature=kT, **given))
    assert max(found.values()) < 1e-9, found


def test_a_chain_is_a_scalar_chain_with_turned_moments():
    """Each bond turns spins about y by 2 arctan(rashba/t) and has the hopping (t^2 + rashba^2)^(1/2)."""
    oracle = system(2, (6, 1), rashba=0.5)
    m, mdot, potential, rate = motion(oracle)
    R = Rotation.from_rotvec(np.outer(2 * np.arctan(0.5) * np.arange(6), [0, 1, 0]))
    bonds = [np.hypot(1.0, 0.5)] * 5
    scalar = device_of(replace(oracle, rashba=0.0, x_bonds=tuple(bonds)))
    a = device_of(oracle).spin_density(m, mdot, potential, rate)
    b = scalar.spin_density(R.apply(m), R.apply(mdot), potential, rate)
    for name in ("adiabatic", "sea", "surface"):
        assert R.apply(getattr(a, name)) == pytest.approx(getattr(b, name), abs=1e-9)
        density = f"density_{name}"
        assert getattr(a, density) == pytest.approx(getattr(b, density), abs=1e-9)


@pytest.mark.parametrize("kT", [0.0, 0.05])
@pytest.mark.parametrize("v", [(0.5, 0, 0), (0, 0.5, 0), (0.2, -0.3, 0.4)])
def test_steady_precession_about_the_axis_of_the_bonds(v, kT):
    """Its parts add up to those of any motion, in density and in flows; about another axis nothing is steady."""
    m, _, potential, _ = motion(system(21, CHAIN))
    turning = SpinHopping(tuple(1j * np.array(v)))
    device = Device(4, sd_exchange=0.7, fermi_energy=0.3, temperature=kT, tolerance=1e-9, spin_hopping=turning)
    axis = np.array(v) / np.linalg.norm(v)
    velocity = 0.2 * np.cross(axis, m)
    frozen = device.freeze(m, potential)
    spin, charge, flow = frozen.precession_with_currents(-3 * axis, -0.2)
    expected = device.spin_density(m, velocity, potential)
    assert spin.first_order == pytest.approx(expected.first_order, abs=1e-8)
    assert spin.density == pytest.approx(expected.density, abs=1e-8)
    assert abs(spin.geometric).max() > 1e-3
    total = device.lead_currents(m, velocity, potential)
    assert charge == pytest.approx(total[0], abs=1e-8)
    assert flow == pytest.approx(total[1], abs=1e-8)
    flows = precession_currents(device, m, axis, 0.2, potential)
    others = device.currents(m, velocity, potential)
    torque = {"geometric", "sea", "surface"}
    assert sum(flows.torque_spin_orbit[k] for k in torque) == pytest.approx(
        sum(others.torque_spin_orbit[k] for k in ("sea", "surface")), abs=1e-8
    )
    with pytest.raises(ValueError, match="only a precession about that axis is steady"):
        frozen.precession(np.array([1.0, 1, 1]), 0.2)


@pytest.mark.parametrize("sign", [1, -1])
def test_persistent_helix(sign):
    """With dresselhaus = +-rashba all bonds turn about one axis: a closed lattice is a scalar one in that frame."""
    lam, n = 0.4, np.array([-sign, 1.0, 0.0]) / np.sqrt(2)
    oracle = system(3, (3, 3), rashba=lam, dresselhaus=sign * lam, couplings=(0.0, 0.0), temperature=0.2)
    theta = np.arctan(np.sqrt(2) * lam)
    x, y = np.indices((3, 3))
    # v = lam (-sign, 1, 0) along x, w = lam (-1, sign, 0) = sign v along y.
    turns = Rotation.from_rotvec(2 * theta * (x + sign * y)[..., None].reshape(-1, 1) * n)
    t = np.hypot(1.0, np.sqrt(2) * lam)

    def turned(vectors):
        return turns.apply(vectors.reshape(-1, 3)).reshape(vectors.shape)

    device = device_of(oracle, leads=[])
    scalar = Device((3, 3), hopping=t, sd_exchange=0.7, fermi_energy=0.3, temperature=0.2, tolerance=1e-9, leads=[])
    m, mdot, potential, rate = motion(oracle)
    a, b = device.spin_density(m, mdot, potential, rate), scalar.spin_density(turned(m), turned(mdot), potential, rate)
    for name in ("adiabatic", "sea", "surface"):
        assert turned(getattr(a, name)) == pytest.approx(getattr(b, name), abs=1e-8)


@pytest.mark.parametrize("ny", [3, 4, 5])
def test_ring(ny):
    """Aharonov and Casher: on a ring the levels are -2 t' cos(2 pi k/n + s theta), tan(theta) = lambda/t, s = +-1."""
    lam, mu, kT = 0.6, -0.7, 0.2
    device = Device(
        (1, ny), periodic="y", sd_exchange=0.0, fermi_energy=mu, temperature=kT, tolerance=1e-9, leads=[],
        spin_orbit=SpinOrbit(rashba=lam),
    )  # fmt: skip
    k, s = np.meshgrid(np.arange(ny), [-1, 1])
    levels = -2 * np.hypot(1, lam) * np.cos(2 * np.pi * k / ny + s * np.arctan(lam))
    found = device.spin_density(np.zeros((1, ny, 3))).density
    assert found == pytest.approx(np.full((1, ny), expit((mu - levels) / kT).sum() / ny), abs=1e-9)
    H = device.freeze(np.zeros((1, ny, 3))).sweeps.dense_hamiltonian()
    assert np.linalg.eigvalsh(H) == pytest.approx(np.sort(levels.ravel()), abs=1e-12)


@pytest.mark.parametrize("shape", [CHAIN, LATTICE])
def test_transmission(shape):
    """Spins along z on either side, outside of the frame in which bonds along x are scalars."""
    oracle = system(4, shape, **ORBIT)
    m, _, potential, _ = motion(oracle)
    found = device_of(oracle).transmission(0.3, m, potential)
    G, (left, right), _ = oracle.green(np.array([0.3]))
    for out, into in np.ndindex(2, 2):
        up, down = (np.kron(np.eye(oracle.nx * oracle.ny), np.diag(np.eye(2)[s])) for s in (out, into))
        expected = np.trace(up @ right[0] @ G[0] @ down @ left[0] @ G[0].conj().T).real
        assert found[out, into] == pytest.approx(expected, abs=1e-12)
    assert found[1, 0] != pytest.approx(found[0, 1], abs=1e-3)  # moments break what would make them equal


@pytest.mark.parametrize("shape", [CHAIN, LATTICE])
def test_local_density_of_states(shape):
    oracle = system(5, shape, **ORBIT)
    m, _, potential, _ = motion(oracle)
    found = device_of(oracle).density_of_states(0.3, m, potential)
    G, gammas, _ = oracle.green(np.array([0.3]))
    expected = oracle.on_sites(G[0] @ sum(gammas)[0] @ G[0].conj().T / (2 * np.pi))
    assert found == pytest.approx(row(oracle, expected), abs=1e-10)


@pytest.mark.parametrize("kT", [0.0, pytest.param(0.05, marks=pytest.mark.slow)])
@pytest.mark.parametrize("given", [{}, FERROMAGNETS])
@pytest.mark.parametrize("shape", [CHAIN, LATTICE])
def test_bias(shape, given, kT):
    oracle, mu = system(6, shape, temperature=kT, **ORBIT, **given), (0.5, 0.1)
    device, (m, _, potential, _) = device_of(oracle), motion(oracle)
    leads = [
        Lead(one.side, one.coupling, 0.0, at, None, one.hopping, one.polarization)
        for one, at in zip(device.leads, mu, strict=True)
    ]
    device = device.changed(leads=leads)
    found = device.spin_density(m, None, potential)
    both = np.concatenate([found.density_bias[..., None], found.bias], axis=-1)
    assert both == pytest.approx(row(oracle, oracle.biased(mu, kT)), abs=1e-9)
    assert abs(device.lead_currents(m, None, potential)[0].sum()) < 1e-9
    at_rest = device.freeze(m, potential).at_rest
    assert at_rest[..., 1:] == pytest.approx(found.adiabatic + found.bias, abs=1e-12)


@pytest.mark.parametrize("given", [{}, FERROMAGNETS])
def test_spin_balance_with_the_torque_of_the_bonds(given):
    oracle = system(7, CHAIN, **ORBIT, **given)
    device = device_of(oracle)
    assert abs(device.spin_balance(*motion(oracle))).max() < 1e-8
    flows = device.currents(*motion(oracle))
    assert abs(flows.torque_spin_orbit["surface"]).max() > 1e-2
    # Half a torque of each bond at either of its ends: flows are means of what leaves and what arrives.
    if not given:
        charge, spin = device.lead_currents(*motion(oracle))
        both = flows.into_leads("sea", "surface")
        assert charge == pytest.approx(both[0], abs=1e-9)
        assert spin == pytest.approx(both[1], abs=1e-9)


def test_flow_into_leads_of_a_lattice():
    """All of the spin, outside of the frame in which bonds along x are scalars."""
    oracle = system(10, LATTICE, **ORBIT)
    charge, spin = device_of(oracle).lead_currents(*motion(oracle))
    G, gammas, _ = oracle.green(np.array([oracle.fermi_energy]))
    for side, gamma in enumerate(gammas):
        flow = gamma[0] @ G[0] @ oracle.Hd @ G[0].conj().T / (2 * np.pi)
        assert charge[side] == pytest.approx(np.trace(flow).real, abs=1e-9)
        along = [np.kron(np.eye(6), one) for one in (SX, SY, SZ)]
        assert spin[side] == pytest.approx([0.5 * np.trace(one @ flow).real for one in along], abs=1e-9)


def test_flow_over_a_bond():
    """The mean of what leaves a site and what arrives at the next, from the dense density matrix."""
    oracle = system(8, CHAIN, **ORBIT)
    rho, H = oracle.matrices()["surface"], oracle.H
    flows = device_of(oracle).currents(*motion(oracle))
    for i in range(3):
        a, b = slice(2 * i, 2 * i + 2), slice(2 * i + 2, 2 * i + 4)
        sigma = np.array([SX, SY, SZ])
        leaves = -np.imag(np.einsum("sij,ji->s", sigma, H[a, b] @ rho[b, a]))
        arrives = -np.imag(np.einsum("ij,sjk,ki->s", H[a, b], sigma, rho[b, a]))
        assert flows.spin["surface"][i + 1] == pytest.approx((leaves + arrives) / 2, abs=1e-9)


SX, SY, SZ = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@pytest.mark.parametrize("shape", [CHAIN, LATTICE])
def test_torque_is_the_derivative_of_the_grand_potential(shape):
    oracle = system(9, shape, **ORBIT)
    device, (m, _, potential, _), h = device_of(oracle, 1e-10), motion(oracle), 1e-4
    spin = device.spin_density(m, None, potential).adiabatic
    last = tuple(n - 1 for n in m.shape[:-1])
    for component in range(3):
        ahead, back = m.copy(), m.copy()
        ahead[(*last, component)] += h
        back[(*last, component)] -= h
        slope = (device.freeze(ahead, potential).grand_potential - device.freeze(back, potential).grand_potential) / (
            2 * h
        )
        assert 0.7 * spin[(*last, component)] == pytest.approx(-slope, abs=1e-7)


def test_bonds_along_y_of_any_kind():
    """Different hoppings of the two spins along y: without moments two lattices of one spin each."""
    T = np.broadcast_to(np.diag([-1.0, -0.4]), (3, 2, 2))
    device = Device((3, 2), sd_exchange=0.0, fermi_energy=0.3, tolerance=1e-9, bonds_along_y=T, leads=[Lead("left")])
    found = device.spin_density(np.zeros((3, 2, 3)))
    other = Device((3, 2), sd_exchange=0.0, fermi_energy=0.3, tolerance=1e-9, bonds_along_y=T[:, ::-1, ::-1],
                   leads=[Lead("left")])  # fmt: skip
    assert found.adiabatic[..., 2] == pytest.approx(
        -other.spin_density(np.zeros((3, 2, 3))).adiabatic[..., 2], abs=1e-8
    )
    assert abs(found.adiabatic[..., 2]).max() > 1e-2
    plain = device.changed(bonds_along_y=np.broadcast_to(-np.eye(2), (3, 2, 2)))
    bare = plain.changed(bonds_along_y=None)
    m = system(1, (3, 2)).m
    assert plain.spin_density(m).density == pytest.approx(bare.spin_density(m).density, abs=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpinOrbit(rashba=np.nan), "rashba = nan of spin_orbit"),
        (lambda: SpinOrbit(dresselhaus="1"), "dresselhaus = '1' of spin_orbit"),
        (lambda: Device(3, sd_exchange=0.1, spin_orbit=0.1), "spin_orbit = 0.1: use None"),
        (lambda: Device(3, sd_exchange=0.1, spin_orbit=SpinOrbit(1e11)), "rashba of spin_orbit = 1e"),
        (lambda: Device(3, sd_exchange=0.1, bonds_along_y=np.ones((3, 2, 2))), "bonds_along_y"),
        (lambda: Device((3, 2), sd_exchange=0.1, bonds_along_y=np.ones((2, 2, 2))), "bonds_along_y"),
        (lambda: device_of(system(1, CHAIN, **ORBIT)).to_kwant(np.ones((4, 3))), "to_kwant: not available"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
