"""Response tensors with bonds and leads that know the spin, J_sd by site and vacancies: dense Green's functions in the
given spin axes (`oracles.spin_lattice`), finite differences, the scattering matrix, everything turned at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from llgnegf.electrons import Device, ExchangeConstants, Lead, Polarization
from tests.electrons.spin_systems import FERROMAGNETS, ORBIT, device_of, motion, row, system
from tests.electrons.test_response_tensors import columns, moments
from tests.oracles import linear_response

EXCHANGES = np.array([[0.7, -0.3], [0.0, 0.5], [0.4, 0.9]])
ALL = ORBIT | FERROMAGNETS
CASES = [
    ((3, 1), ORBIT, 0.0),
    ((3, 1), ORBIT, 0.05),
    ((3, 1), ALL | {"exchange": EXCHANGES[:, :1]}, 0.0),
    ((3, 1), FERROMAGNETS, 0.05),
    ((3, 1), {"lead_hoppings": (1.3, 0.8)}, 0.05),
    ((1, 1), ALL, 0.0),
    ((3, 2), ALL | {"exchange": EXCHANGES}, 0.0),
    ((3, 2), ALL | {"exchange": EXCHANGES}, 0.05),
    ((3, 2), ALL | {"vacancies": ((1, 0), (0, 1))}, 0.05),
    ((2, 3), ORBIT | {"periodic": True, "couplings": (0.0, 1.1)}, 0.0),
    ((3, 1), {"hop_x": (0.1, 0.2j, 0.3)}, 0.05),
    ((2, 2), ALL | {"hop_x": (0.1, 0.2j, 0.3), "hop_y": (0.2 - 0.1j, 0, 0.1)}, 0.0),
]


def still(seed, shape, kT, given):
    """An oracle whose moments move along any axis, also along themselves, and whose gates stand still."""
    oracle = system(seed, shape, temperature=kT, **given)
    mdot = np.random.default_rng(seed + 100).normal(size=oracle.m.shape)
    return replace(oracle, mdot=mdot, potential_rate=np.zeros(shape))


def along(tensor, oracle):
    """sum_j T_ij v_j, (n, 3)."""
    return np.einsum("ijab,jb->ia", tensor, oracle.mdot.reshape(-1, 3))


@pytest.mark.parametrize(("shape", "given", "kT"), CASES)
def test_tensors_against_dense_greens_functions(shape, given, kT):
    oracle = still(1, shape, kT, given)
    device, (m, _, potential, _), step = device_of(oracle, 1e-8), motion(oracle), 2e-4
    response = device.linear_response(m, potential)
    found = response.tensors
    J = np.broadcast_to(oracle.exchange, shape).reshape(-1, 1)
    spins = {name: part.reshape(-1, 4)[:, 1:] for name, part in oracle.parts().items()}
    for name in ("sea", "surface"):
        np.testing.assert_allclose(along(getattr(found, name), oracle), -J * spins[name], atol=1e-8)
    np.testing.assert_allclose(along(found.drag, oracle), spins["sea"] + spins["surface"], atol=1e-8)
    ahead, back = (replace(oracle, m=oracle.m + s * step * oracle.mdot, mdot=0 * oracle.m) for s in (1, -1))
    chi = (ahead.parts()["adiabatic"] - back.parts()["adiabatic"]).reshape(-1, 4)[:, 1:] / (2 * step)
    np.testing.assert_allclose(along(found.susceptibility, oracle), chi, atol=2e-7)
    np.testing.assert_allclose(along(found.stiffness, oracle), -J * chi, atol=2e-7)
    assert abs(chi).max() > 0.02
    n = 3 * device.n_sites
    assert np.linalg.eigvalsh(np.moveaxis(found.friction, 1, 2).reshape(n, n)).min() > -1e-12
    S = device.scattering_matrix(m, potential=potential)
    np.testing.assert_allclose(S.S.conj().T @ S.S, np.eye(len(S.S)), atol=1e-12)
    if not kT:
        np.testing.assert_allclose(S.friction, found.friction, atol=1e-12)
        assert abs(S.friction).max() > 1e-3
    # alpha(omega), which has no derivative of G in it, has the inertia tensor as its slope
    left = [abs(response.alpha(w) - found.gilbert + 1j * w * found.inertia).max() for w in (0.04, 0.02)]
    assert 3.5 < left[0] / left[1] < 4.5


@pytest.mark.parametrize("shape", [(3, 1), pytest.param((2, 2), marks=pytest.mark.slow)])
def test_exchange_and_dmi_are_second_derivatives_of_the_grand_potential(shape):
    oracle = still(2, shape, 0.0, ORBIT | {"directions": ((0, 1, 0), (1, 0, 1)), "splittings": (0.9, 0.4)})
    step, i, j = 2e-3, (0, 0), (shape[0] - 1, shape[1] - 1)

    def omega(a, b, s, r):
        m = oracle.m.copy()
        m[(*i, a)] += s * step
        m[(*j, b)] += r * step
        return replace(oracle, m=m).grand_potential()

    signs = [(s, r) for s in (1, -1) for r in (1, -1)]
    K = np.array([[sum(s * r * omega(a, b, s, r) for s, r in signs) for b in range(3)] for a in range(3)])
    K /= 4 * step**2
    device = device_of(oracle, 1e-9)
    found = ExchangeConstants.of(device.linear_response(*motion(oracle)[::2]).tensors.stiffness)
    last = device.n_sites - 1
    np.testing.assert_allclose(found.stiffness[0, last], K, atol=1e-6)
    D = np.array([K[1, 2] - K[2, 1], K[2, 0] - K[0, 2], K[0, 1] - K[1, 0]]) / 2
    np.testing.assert_allclose(found.dmi[0, last], D, atol=1e-6)
    assert found.J[0, last] == pytest.approx(-np.trace(K) / 3, abs=1e-6)
    assert np.linalg.norm(D) > 0.005


def test_a_chain_is_a_scalar_chain_with_turned_moments():
    """T_ij = R_i^T T'_ij R_j with the turns R_i = R(y, 2 i arctan(rashba/t)) of `spin_orbit.py`, bias included."""
    oracle = still(3, (4, 1), 0.0, {"rashba": 0.5})
    R = Rotation.from_rotvec(np.outer(2 * np.arctan(0.5) * np.arange(4), [0, 1, 0])).as_matrix()
    leads = [Lead("left", 0.9, chemical_potential=0.6), Lead("right", 0.8)]
    turned = device_of(oracle, 1e-8, leads=leads)
    scalar = turned.changed(spin_orbit=None, bond_hoppings=[np.hypot(1.0, 0.5)] * 3)
    m, _, potential, _ = motion(oracle)
    a, b = (
        one.linear_response(at, potential).tensors for one, at in ((turned, m), (scalar, np.einsum("iab,ib->ia", R, m)))
    )
    v, w = np.random.default_rng(6).normal(size=(2, 4, 3))
    one, other = (
        of.linear_response(at, potential).second_order(*rates)
        for of, at, rates in (
            (turned, m, (v, w)),
            (scalar, np.einsum("iab,ib->ia", R, m), np.einsum("iab,kib->kia", R, np.array([v, w]))),
        )
    )
    np.testing.assert_allclose(np.einsum("iab,ib->ia", R, one), other, atol=1e-6)
    assert abs(other).max() > 0.1
    for name in ("sea", "surface", "bias", "inertia", "stiffness", "susceptibility"):
        expected = np.einsum("ica,ijcd,jdb->ijab", R, getattr(b, name), R)
        np.testing.assert_allclose(getattr(a, name), expected, atol=2e-7)
        assert abs(expected).max() > 1e-3


@pytest.mark.parametrize(
    ("turn", "kT"), [((0.7, 0.0, 0.0), 0.05), ((0.0, 0.7, 0.0), 0.0), ((0.0, 0.0, 0.7), 0.05), ((0.3, -1.1, 2.0), 0.05)]
)
def test_everything_turned_at_once_turns_the_tensors(turn, kT):
    """Moments, polarizations of both leads and bonds along y of any kind, under a bias."""
    R, m = Rotation.from_rotvec(turn), moments((2, 2), 8)
    half = np.linalg.norm(turn) / 2
    sigma = np.einsum("a,apq->pq", np.array(turn) / (2 * half), linear_response.SIGMA)
    U = np.cos(half) * np.eye(2) - 1j * np.sin(half) * sigma
    bonds = np.random.default_rng(9).normal(size=(2, 2, 2, 2)) @ [1, 0.5j]

    def tensors(R, U):
        leads = [
            Lead("left", 0.9, polarization=Polarization(R.apply([0, 0.6, 1.0]), 0.8), chemical_potential=0.6),
            Lead("right", 0.8, polarization=Polarization(R.apply([1.0, 0, 0]), 0.5), hopping=1.2),
        ]
        given = {"bonds_along_y": U @ bonds @ U.conj().T, "sd_exchange": EXCHANGES[:2], "leads": leads}
        device = Device((2, 2), fermi_energy=0.3, temperature=kT, tolerance=1e-7, **given)
        response = device.linear_response(R.apply(m.reshape(-1, 3)).reshape(m.shape))
        return response.tensors

    one, other, matrix = tensors(Rotation.identity(), np.eye(2)), tensors(R, U), R.as_matrix()
    for name in ("gilbert", "stiffness", "susceptibility", "drag"):
        expected = np.einsum("ac,ijcd,bd->ijab", matrix, getattr(one, name), matrix)
        np.testing.assert_allclose(getattr(other, name), expected, atol=1e-6)
    assert abs(one.bias).max() > 1e-2


def test_mirror_of_a_lattice_with_spin_orbit_coupling():
    """y -> -y with spins turned by pi about x turns the sign of Rashba, not of Dresselhaus coupling."""
    oracle = still(4, (3, 2), 0.0, ORBIT)
    m, _, potential, _ = motion(oracle)
    flip = np.array([1.0, -1.0, -1.0])
    mirrored = device_of(replace(oracle, rashba=-oracle.rashba), 1e-8)
    one = device_of(oracle, 1e-8).linear_response(m, potential).tensors
    other = mirrored.linear_response(m[:, ::-1] * flip, potential[:, ::-1]).tensors
    order = np.arange(6).reshape(3, 2)[:, ::-1].ravel()
    for name in ("gilbert", "inertia", "susceptibility"):
        expected = getattr(one, name)[np.ix_(order, order)] * np.outer(flip, flip)
        np.testing.assert_allclose(getattr(other, name), expected, atol=1e-7)


BIASED = {"couplings": (0.7, 0.8), "x_bonds": (0.6,), "exchange": 0.3, "rashba": 0.2, "dresselhaus": 0.1} | {
    "directions": ((0, 1, 0), (1, 0, 1)),
    "splittings": (0.3, 0.4),
}


@pytest.mark.parametrize("kT", [0.0, 0.05])
def test_bias_column_by_column(kT):
    oracle = still(5, (2, 1), kT, BIASED)
    leads = [replace_lead(one, mu) for one, mu in zip(device_of(oracle).leads, (0.5, 0.1), strict=True)]
    device, m = device_of(oracle, 1e-7, leads=leads), row(oracle, oracle.m)
    found, expected = device.linear_response(m).tensors, columns(device, m)
    for part, one in zip((found.sea, found.surface, found.bias), expected, strict=True):
        np.testing.assert_allclose(part, one, atol=3e-7)
    assert abs(found.bias).max() > 1e-3


def replace_lead(lead, mu):
    return Lead(lead.side, lead.coupling, hopping=lead.hopping, polarization=lead.polarization, chemical_potential=mu)


@pytest.mark.slow
@pytest.mark.parametrize(("mus", "kT"), [((0.3, 0.3), 0.0), ((0.3, 0.3), 0.05), ((0.5, 0.1), 0.0), ((0.5, 0.1), 0.05)])
def test_frequency_dependence_against_dense_quadrature(mus, kT):
    oracle, omega = replace(still(5, (2, 1), kT, BIASED), potential=np.zeros((2, 1))), 0.2
    edges = oracle.openings[0].tolist() + list(mus) + [mu + s * kT for mu in mus for s in (-8, 8) if kT]

    def sigmas(E):
        return [one[0] for one in oracle.self_energies(np.array([E + 0j]))[0]]

    dense = linear_response.Dense(oracle.H, np.full(2, 0.3), sigmas, [(mu, kT) for mu in mus], edges)
    leads = [replace_lead(one, mu) for one, mu in zip(device_of(oracle).leads, mus, strict=True)]
    response = device_of(oracle, 1e-8, leads=leads).linear_response(row(oracle, oracle.m))
    rest, slow = dense.forces(0.0), 1e-3
    np.testing.assert_allclose(response.tensors.stiffness, rest.real, atol=2e-7)
    np.testing.assert_allclose(response.alpha(omega), 1j * (dense.forces(omega) - rest) / omega, atol=1e-6)
    inertia = -(1j * (dense.forces(slow) - rest)).imag / slow**2
    if np.isfinite(response.tensors.inertia).all():
        np.testing.assert_allclose(response.tensors.inertia, inertia, atol=1e-3 * abs(inertia).max())
    else:
        assert kT
