"""Response tensors beside elastic probes: the exact frame that turns, dense matrices, finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead
from tests.electrons.test_bath import MOVING, moving
from tests.electrons.test_response_tensors import moments
from tests.oracles.turning_probes import Turning

AXES = {"x": (1.0, 0, 0), "y": (0, 1.0, 0), "z": (0, 0, 1.0), "oblique": (0.5, -0.3, 0.8)}
J = np.array([0.6, -0.3, 0.5])


def wire(where, mus, kT, tolerance, shape=(3,), exchange=J):
    leads = [Lead("left", 0.8, chemical_potential=mus[0]), Lead("right", chemical_potential=mus[1])]
    given = {"fermi_energy": 0.2, "temperature": kT, "tolerance": tolerance, "leads": leads}
    return Device(shape, sd_exchange=exchange, bath=Bath(where, 0.5), **given)


def reservoirs(device):
    return device.changed(bath=Bath(device.bath.sites, device.bath.width, False))


@pytest.mark.parametrize(("axis", "mus"), [*((axis, (0.4, 0.1)) for axis in AXES), ("y", (0.2, 0.2))])
def test_rotations_against_the_exact_frame_that_turns(axis, mus):
    """What is odd in the frequency, w -> 0: there probes couple energies that differ by it."""
    m, a, where = moments((3,)), np.array(AXES[axis]) / np.linalg.norm(AXES[axis]), (0, 1)
    exact = Turning(m, J, where, 0.5, (0.8, 1.0), mus, 0.2, 0.05)
    large, small = ((exact.spin(a, w) - exact.spin(-a, w)) / (2 * w) for w in (0.04, 0.02))
    device = wire(where, mus, 0.05, 1e-7)
    found, other = (
        np.einsum("ijab,jb->ia", one.linear_response(m).tensors.drag, np.cross(a, m))
        for one in (device, reservoirs(device))
    )
    np.testing.assert_allclose(found, (4 * small - large) / 3, atol=5e-7)
    assert abs(found - other).max() > 5e-5


@pytest.mark.parametrize("case", [case for case in MOVING if isinstance(case, tuple) and case[-1] is True])
def test_a_motion_of_all_moments_against_dense_matrices(case):
    oracle, device, m, mdot, V, _ = moving(case)
    oracle = replace(oracle, potential_rate=0 * oracle.potential_rate)
    parts = oracle.parts()
    expected = (parts["sea"] + parts["surface"] + oracle.pumped()[0]).reshape(-1, 4)[:, 1:]
    tensors = device.linear_response(m, V).tensors
    found = np.einsum("ijab,jb->ia", tensors.drag, mdot.reshape(-1, 3))
    np.testing.assert_allclose(found, expected, atol=3e-8)


@pytest.mark.parametrize("kT", [0.0, 0.05])
@pytest.mark.parametrize("shape", [(3,), pytest.param((2, 2), marks=pytest.mark.slow)])
def test_at_rest_tensors_are_differences_of_the_spin_density(shape, kT):
    where = [1, 2] if len(shape) == 1 else [(0, 1), (1, 0)]
    exchange = J if len(shape) == 1 else np.array([[0.6, -0.3], [0.0, 0.5]])
    m, way, step = moments(shape), np.random.default_rng(2).normal(size=(*shape, 3)), 3e-4
    for mus in ((0.6, 0.1), (0.2, 0.2)):
        device = wire(where, mus, kT, 1e-7, shape, exchange)
        response = device.linear_response(m)
        found = response.tensors
        ahead, back = (device.freeze(m + s * step * way).at_rest.reshape(-1, 4)[:, 1:] for s in (1, -1))
        chi = np.einsum("ijab,jb->ia", found.susceptibility, way.reshape(-1, 3))
        np.testing.assert_allclose(chi, (ahead - back) / (2 * step), atol=2e-7)
        K = -exchange.ravel()[:, None, None, None] * found.susceptibility
        np.testing.assert_allclose(found.stiffness, K, atol=1e-13)
        without = response._at_bias
        if mus[0] != mus[1]:
            assert abs(without[1]).max() > 1e-4  # what probes give back at rest
    # without a bias: friction, and the stiffness of a grand potential
    n = 3 * device.n_sites
    assert np.linalg.eigvalsh(np.moveaxis(found.friction, 1, 2).reshape(n, n))[0] > -1e-10
    np.testing.assert_allclose(found.stiffness, np.transpose(found.stiffness, (1, 0, 3, 2)), atol=1e-12)
    np.testing.assert_array_equal(response.alpha(0.0), found.gilbert)


def test_columns_are_motions_of_single_moments():
    device, m = wire([0, 1], (0.4, 0.1), 0.0, 1e-7), moments((3,))
    found = device.linear_response(m).tensors
    for part, one in zip((found.sea, found.surface, found.bias), columns_by_site(device, m), strict=True):
        np.testing.assert_allclose(part, one, atol=3e-7)


def columns_by_site(device, m):
    frozen, out = device.freeze(m), np.zeros((3, 3, 3, 3, 3))
    for j in range(3):
        for b in range(3):
            velocity = np.zeros((3, 3))
            velocity[j, b] = 1.0
            found = frozen.respond(velocity, np.zeros(3))
            for k, part in enumerate((found.sea, found.surface, found.bias)):
                out[k, :, j, :, b] = -J[:, None] * part[:, 1:]
    return out


def test_what_is_not_known():
    m, device = moments((3,)), wire([1], (0.2, 0.2), 0.0, 1e-6)
    response = device.linear_response(m)
    assert np.isnan(response.tensors.inertia).all()
    with pytest.raises(ValueError, match=r"alpha\(0.1\): not known beside a bath of probes"):
        response.alpha(0.1)
    with pytest.raises(ValueError, match="second_order: not known beside a bath of probes"):
        response.second_order(m, m)
    long = Device(33, sd_exchange=0.1, bath=Bath([1], 0.5), leads=[Lead("left", chemical_potential=0.1)])
    with pytest.raises(ValueError, match="33 sites beside a bath of probes under a bias"):
        long.linear_response(moments((33,)))
    with pytest.raises(ValueError, match='zero_current="net"'):
        device.changed(bath=Bath([1], 0.5, "net")).linear_response(m)
    for kind in (True, "net"):
        with pytest.raises(ValueError, match="bath of probes"):
            device.changed(bath=Bath([1], 0.5, kind)).scattering_matrix(m)
