"""Response tensors between leads that fill either spin by itself: dense quadrature, columns, differences, turns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from llgnegf.electrons import Device, Lead, Polarization, SpinBias
from tests.electrons.spin_systems import ORBIT, device_of, row
from tests.electrons.test_response_tensors import columns, moments
from tests.electrons.test_spin_bias import with_spins
from tests.electrons.test_spin_tensors import still
from tests.oracles import linear_response

DIFFERENCES, MUS, COUPLINGS = (0.3, -0.2), (0.25, 0.1), (0.7, 0.8)


def dense(m, J, directions, kT):
    """Chain of moments (n, 3) whose leads are two reservoirs each, one for each spin along a direction."""
    plain = linear_response.chain(m, J, MUS, kT, COUPLINGS, 0.5)
    halves = [(np.eye(2) + s * np.tensordot(d, linear_response.SIGMA, 1)) / 2 for d in directions for s in (1, -1)]
    projectors = [np.kron(np.eye(len(m)), P) for P in halves]
    steps = [mu + s * b / 2 for mu, b in zip(MUS, DIFFERENCES, strict=True) for s in (1, -1)]
    edges = [-2.0, 2.0, *steps, *(mu + k * kT for mu in steps for k in (-8, 8) if kT)]

    def sigmas(E):
        return [one @ P for one, P in zip(np.repeat(plain.sigmas(E), 2, axis=0), projectors, strict=True)]

    return linear_response.Dense(plain.H, np.full(len(m), J), sigmas, [(mu, kT) for mu in steps], edges)


def biased(n, J, directions, kT, tolerance):
    leads = [Lead(side, gc) for side, gc in zip(("left", "right"), COUPLINGS, strict=True)]
    given = {"fermi_energy": 0.2, "temperature": kT, "tolerance": tolerance, "bond_hoppings": [0.5] * (n - 1)}
    return with_spins(Device(n, sd_exchange=J, leads=leads, **given), DIFFERENCES, directions, MUS)


@pytest.mark.parametrize(
    ("n", "kT", "turn"),
    [(1, 0.0, k) for k in range(3)]
    + [(1, 0.05, 1), *(pytest.param(2, kT, 2, marks=pytest.mark.slow) for kT in (0.0, 0.05))],
)
def test_tensors_against_dense_quadrature(n, kT, turn):
    directions = np.roll(np.eye(3), turn, axis=0)[:2]
    m, J, omega, slow = moments((n,), 6), 0.3, 0.2, 1e-3
    oracle, response = dense(m, J, directions, kT), biased(n, J, directions, kT, 1e-9).linear_response(m)
    rest = oracle.forces(0.0)
    np.testing.assert_allclose(response.tensors.stiffness, rest.real, atol=2e-7)
    np.testing.assert_allclose(response.alpha(omega), 1j * (oracle.forces(omega) - rest) / omega, atol=1e-6)
    alpha = 1j * (oracle.forces(slow) - rest) / slow
    np.testing.assert_allclose(response.tensors.gilbert, alpha.real, atol=3e-6)
    assert abs(response.tensors.bias).max() > 1e-3
    inertia = response.tensors.inertia
    np.testing.assert_allclose(inertia, -alpha.imag / slow, atol=1e-3 * abs(inertia).max())


KINDS = {
    "chain": ((3, 1), {}, 0.0),
    "warm lattice": ((2, 2), {}, 0.05),
    "spin-orbit and ferromagnets": (
        (3, 1),
        ORBIT
        | {"directions": ((0, 1, 0), (1, 0, 1)), "splittings": (0.3, 0.0), "exchange": np.array([[0.3], [0], [0.4]])},
        0.05,
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_columns_differences_and_the_slope_of_alpha(name):
    shape, given, kT = KINDS[name]
    oracle = still(5, shape, kT, {"couplings": COUPLINGS, "exchange": 0.3} | given)
    plain = device_of(oracle, 1e-7)
    device = with_spins(plain, DIFFERENCES, ((0, 2, 0), (1, 1, -1)), MUS)
    m, step = row(oracle, oracle.m), 3e-4
    response = device.linear_response(m)
    found, way = response.tensors, np.random.default_rng(1).normal(size=m.shape)
    velocities = way.reshape(-1, 3)
    moved = device.spin_density(m, way)
    drag = np.einsum("ijab,jb->ia", found.drag, velocities)
    np.testing.assert_allclose(drag, moved.first_order.reshape(-1, 3), atol=1e-6)
    assert abs(moved.bias_motion).max() > 3e-3
    ahead, back = (device.freeze(m + s * step * way).at_rest.reshape(-1, 4)[:, 1:] for s in (1, -1))
    chi = np.einsum("ijab,jb->ia", found.susceptibility, velocities)
    np.testing.assert_allclose(chi, (ahead - back) / (2 * step), atol=1e-6)
    if np.isfinite(found.inertia).all():
        left = [abs(response.alpha(w) - found.gilbert + 1j * w * found.inertia).max() for w in (0.04, 0.02)]
        assert 3.5 < left[0] / left[1] < 4.5
    else:
        assert kT
    # S does not ask how leads are filled
    one, other = (of.scattering_matrix(m, 0.2) for of in (device, plain))
    np.testing.assert_allclose(one.friction, other.friction, atol=1e-12)
    np.testing.assert_allclose(one.S.conj().T @ one.S, np.eye(len(one.S)), atol=1e-12)


def test_by_sites_and_axes_as_motions_of_single_moments():
    device, m = biased(2, 0.7, np.eye(3)[1:], 0.0, 1e-7), moments((2,))
    found = device.linear_response(m).tensors
    for part, one in zip((found.sea, found.surface, found.bias), columns(device, m), strict=True):
        np.testing.assert_allclose(part, one, atol=3e-7)


@pytest.mark.parametrize("turn", [(0.7, 0.0, 0.0), (0.0, -1.2, 0.0), (0.0, 0.0, 0.9), (0.3, -1.1, 2.0)])
def test_everything_turned_at_once_turns_the_tensors(turn):
    R, m = Rotation.from_rotvec(turn), moments((2,), 8)
    v, a = np.random.default_rng(3).normal(size=(2, 2, 3))

    def of(R):
        device = biased(2, 0.4, R.apply([[0, 0.6, 0.8], [1.0, 0, 0]]), 0.0, 1e-7)
        response = device.linear_response(R.apply(m))
        return response.tensors, response.second_order(R.apply(v), R.apply(a))

    (one, second), (other, turned), matrix = of(Rotation.identity()), of(R), R.as_matrix()
    for name in ("gilbert", "stiffness", "susceptibility", "inertia"):
        expected = np.einsum("ac,ijcd,bd->ijab", matrix, getattr(one, name), matrix)
        np.testing.assert_allclose(getattr(other, name), expected, atol=1e-6)
    np.testing.assert_allclose(turned, R.apply(second), atol=1e-6)
    assert abs(one.bias).max() > 1e-3


def test_a_small_spin_bias_adds_in_proportion():
    m, tensors = moments((2,), 2), []
    for b in (0.0, 0.01, -0.02):
        lead = Lead("left", 0.6, spin_bias=SpinBias((0, 0, 1), b))
        device = Device(2, sd_exchange=0.5, fermi_energy=0.3, tolerance=1e-7, leads=[lead, Lead("right", 0.8)])
        tensors.append(device.linear_response(m).tensors)
    none, one, other = tensors
    assert np.linalg.eigvalsh(np.moveaxis(none.friction, 1, 2).reshape(6, 6))[0] > 0
    for part in ("sea", "surface"):
        np.testing.assert_allclose(getattr(one, part), getattr(none, part), atol=1e-9)
    # of first order in b and of the size of b times alpha over the hopping
    assert abs(other.bias + 2 * one.bias).max() < 0.02 * abs(other.bias).max()
    assert 0.1 < abs(one.bias).max() / (0.01 * abs(none.gilbert).max()) < 2


@pytest.mark.parametrize("s", [1, -1])
@pytest.mark.parametrize("axis", np.eye(3))
def test_what_a_half_metal_fills_of_its_only_spin(axis, s):
    """Where one spin alone has states a spin bias is a chemical potential, b/2 higher or lower."""
    m, b = moments((2,), 4), 0.2
    metal = Lead("left", 0.6, polarization=Polarization(tuple(axis), 4.0))
    plain = Device(2, sd_exchange=0.3, fermi_energy=-0.3 * s, tolerance=1e-8, leads=[metal, Lead("right", 0.8)])
    one, other = (
        plain.changed(leads=[replace(metal, **bias), plain.leads[1]]).linear_response(m).tensors
        for bias in ({"spin_bias": SpinBias(tuple(axis), b)}, {"chemical_potential": s * (b / 2 - 0.3)})
    )
    for name in ("gilbert", "stiffness", "inertia"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-7)
    assert abs(one.bias).max() > 5e-4
