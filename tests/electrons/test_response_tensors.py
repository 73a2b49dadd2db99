"""Response tensors of chains and lattices: columns of the response to a motion, dense quadrature, closed forms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, ExchangeConstants, Lead, ToleranceError, steady_precession
from tests.oracles import linear_response

MU = 0.3


def moments(shape, seed=0):
    m = np.random.default_rng(seed).normal(size=(*shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def small_skyrmion(shape):
    from llgnegf.beside import textures

    return textures.skyrmion(shape, center=[(shape[0] - 1) / 2, (shape[1] - 1) / 2], radius=1.2, wall_width=0.6)


def bloch_wall(n):
    from llgnegf.beside import textures

    return textures.bloch_wall((n,), center=(n - 1) / 2, width=0.9)


def columns(device, m, sites=None):
    """(sea, surface, bias) of alpha by one motion of one moment along one axis after the other."""
    frozen, n = device.freeze(m), device.n_sites
    out = np.zeros((3, n, n, 3, 3))
    for j in range(n) if sites is None else sites:
        for b in range(3):
            velocity = np.zeros((n, 3))
            velocity[j, b] = 1.0
            found = frozen.respond(velocity.reshape(m.shape), np.zeros(device.shape))
            bias = np.zeros_like(found.sea) if found.bias is None else found.bias
            for k, part in enumerate((found.sea, found.surface, bias)):
                out[k, :, j, :, b] = -device.sd_exchange * part.reshape(n, 4)[:, 1:]
    return out


CASES = {
    "chain": Device(5, sd_exchange=0.7, fermi_energy=MU, tolerance=1e-8),
    "warm chain": Device(4, sd_exchange=0.7, fermi_energy=MU, temperature=0.05, tolerance=1e-7),
    "lattice": Device((3, 3), sd_exchange=-0.7, fermi_energy=MU, tolerance=1e-7),
    "warm lattice": Device((3, 2), sd_exchange=0.7, fermi_energy=MU, temperature=0.05, tolerance=1e-7, periodic="y"),
    "closed end": Device(4, sd_exchange=0.7, fermi_energy=MU, tolerance=1e-8, leads=[Lead("right", 0.8)]),
    "bonds": Device(4, sd_exchange=0.7, fermi_energy=MU, tolerance=1e-8, bond_hoppings=[0.8, 1.0, 1.3]),
    "bias": Device(
        4,
        sd_exchange=0.7,
        fermi_energy=MU,
        tolerance=1e-7,
        leads=[Lead("left", chemical_potential=0.5), Lead("right", 0.8, chemical_potential=0.1)],
    ),
    "warm bias": Device(
        4,
        sd_exchange=0.7,
        fermi_energy=MU,
        temperature=0.03,
        tolerance=1e-7,
        leads=[Lead("left", 0.9, 0.2), Lead("right")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_gilbert_tensor_is_the_response_to_a_motion_column_by_column(name):
    device = CASES[name]
    m = moments(device.shape)
    found, expected = device.linear_response(m).tensors, columns(device, m)
    for part, one in zip((found.sea, found.surface, found.bias), expected, strict=True):
        np.testing.assert_allclose(part, one, atol=3 * device.tolerance)
    assert abs(expected.sum(axis=0)).max() > 0.1


@pytest.mark.parametrize("name", [name for name in CASES if "bias" not in name])
def test_friction_is_positive_and_sea_does_no_work_in_equilibrium(name):
    device = CASES[name]
    found = device.linear_response(moments(device.shape, 1)).tensors
    n = 3 * device.n_sites
    assert np.linalg.eigvalsh(np.moveaxis(found.friction, 1, 2).reshape(n, n)).min() > -1e-10
    np.testing.assert_allclose(found.sea, -np.transpose(found.sea, (1, 0, 3, 2)), atol=1e-12)
    np.testing.assert_allclose(found.friction + found.geometric, found.gilbert, atol=1e-14)
    K = found.stiffness
    np.testing.assert_allclose(K, np.transpose(K, (1, 0, 3, 2)), atol=1e-12)


@pytest.mark.parametrize("name", ["chain", "warm lattice", "warm bias"])
def test_susceptibility_is_the_derivative_of_the_spin_density(name):
    device = CASES[name]
    m, step = moments(device.shape, 2), 1e-4
    found = device.linear_response(m).tensors
    for j, b in ((0, 1), (device.n_sites - 1, 2), (1, 0)):
        sides = []
        for sign in (1, -1):
            moved = m.reshape(-1, 3).copy()
            moved[j, b] += sign * step
            sides.append(device.freeze(moved.reshape(m.shape)).at_rest.reshape(-1, 4)[:, 1:])
        np.testing.assert_allclose(found.susceptibility[:, j, :, b], (sides[0] - sides[1]) / (2 * step), atol=2e-8)
    np.testing.assert_allclose(found.stiffness, -device.sd_exchange * found.susceptibility, atol=1e-13)


def test_exchange_constants_are_second_derivatives_of_the_grand_potential():
    device = Device(4, sd_exchange=0.8, fermi_energy=MU, tolerance=1e-10)
    m, step = moments((4,), 3), 2e-3
    found = ExchangeConstants.of(device.linear_response(m).tensors.stiffness)

    def omega(*changes):
        moved = m.copy()
        for i, a, by in changes:
            moved[i, a] += by
        return device.freeze(moved).grand_potential

    i, j = 0, 2
    K = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            corners = [s * r * omega((i, a, s * step), (j, b, r * step)) for s in (1, -1) for r in (1, -1)]
            K[a, b] = sum(corners) / (4 * step**2)
    rebuilt = -found.J[i, j] * np.eye(3) + np.cross(np.eye(3), -found.dmi[i, j]) + found.anisotropic[i, j]
    np.testing.assert_allclose(K, found.stiffness[i, j], atol=1e-6)
    np.testing.assert_allclose(rebuilt, found.stiffness[i, j], atol=1e-14)
    assert abs(np.trace(found.anisotropic[i, j])) < 1e-14
    np.testing.assert_allclose(found.dmi, -np.swapaxes(found.dmi, 0, 1), atol=1e-14)
    assert not found.J.diagonal().any()
    # the energy of two vectors as the docstring writes it
    u, v = moments((2,), 4)
    pair = -found.J[i, j] * u @ v + found.dmi[i, j] @ np.cross(u, v) + u @ found.anisotropic[i, j] @ v
    assert pair == pytest.approx(u @ found.stiffness[i, j] @ v, abs=1e-13)


BIASED_LEADS = [Lead("left", chemical_potential=0.6), Lead("right", 0.8)]
RESERVOIRS = [
    Device(4, sd_exchange=0.7, fermi_energy=MU, tolerance=1e-7, bath=Bath([1, 2], 0.3, zero_current=False)),
    Device(
        2,
        sd_exchange=0.4,
        fermi_energy=MU,
        temperature=0.05,
        tolerance=1e-6,
        bath=Bath([1], 0.3, zero_current=False),
        leads=BIASED_LEADS,
    ),
    Device(2, sd_exchange=0.7, fermi_energy=MU, tolerance=1e-7, bath=Bath([0, 1], 0.3, zero_current=False), leads=[]),
]


@pytest.mark.parametrize("device", RESERVOIRS, ids=["chain", "warm bias", "no leads"])
def test_reservoirs_on_sites(device):
    """Column by column, by differences of the density at rest, by alpha(omega) and by the scattering matrix."""
    m, step = moments(device.shape), 3e-4
    response = device.linear_response(m)
    found, expected = response.tensors, columns(device, m)
    for part, one in zip((found.sea, found.surface, found.bias), expected, strict=True):
        np.testing.assert_allclose(part, one, atol=3 * device.tolerance)
    assert abs(expected).max() > 1e-2
    way = np.random.default_rng(1).normal(size=m.shape)
    ahead, back = (device.freeze(m + s * step * way).at_rest.reshape(-1, 4)[:, 1:] for s in (1, -1))
    chi = np.einsum("ijab,jb->ia", found.susceptibility, way.reshape(-1, 3))
    np.testing.assert_allclose(chi, (ahead - back) / (2 * step), atol=2e-6)
    left = [abs(response.alpha(w) - found.gilbert + 1j * w * found.inertia).max() for w in (0.04, 0.02)]
    assert 3.5 < left[0] / left[1] < 4.5
    S = device.scattering_matrix(m)
    np.testing.assert_allclose(S.S.conj().T @ S.S, np.eye(len(S.S)), atol=1e-12)
    if not device.temperature:
        np.testing.assert_allclose(S.friction, found.friction, atol=1e-9)


def test_reservoirs_next_to_an_edge_of_the_leads():
    """Sigma of the leads varies there on a scale of its own, however wide the levels are."""
    reservoirs = Bath([0, 1], 0.5, zero_current=False)
    device, m = Device(2, sd_exchange=0.3, fermi_energy=1.997, tolerance=1e-7, bath=reservoirs), moments((2,))
    found = device.linear_response(m).tensors
    for part, one in zip((found.sea, found.surface), columns(device, m), strict=False):
        np.testing.assert_allclose(part, one, atol=5e-7)


@pytest.mark.parametrize("axis", np.eye(3).tolist())
def test_constants_of_rotations_of_collinear_moments(axis):
    device = Device(4, sd_exchange=0.8, fermi_energy=MU)
    m = np.outer([1, 1, -1, 1], axis)
    constants = ExchangeConstants.of(device.linear_response(m).tensors.stiffness)
    J = constants.of_rotations(m)
    across = [k for k in range(3) if not axis[k]]
    expected = -sum(constants.stiffness[:, :, k, k] for k in across) / 2
    np.testing.assert_allclose(J, expected * (1 - np.eye(4)), atol=1e-13)
    with pytest.raises(ValueError, match="collinear"):
        constants.of_rotations(moments((4,)))


@pytest.mark.parametrize("axis", np.eye(3).tolist())
def test_rigid_rotation_sums_to_the_torque_of_steady_precession(axis):
    device = Device(7, sd_exchange=0.5, fermi_energy=0.2, tolerance=1e-9)
    m, omega = bloch_wall(7), 1e-3
    velocity = omega * np.cross(axis, m)
    spin = -np.einsum("ijab,jb->ia", device.linear_response(m).tensors.gilbert, velocity) / 0.5
    expected = device.freeze(m).precession(np.array(axis), omega)
    np.testing.assert_allclose(spin, expected.first_order, atol=1e-12)
    assert abs(spin).max() > 1e-5


@pytest.mark.parametrize("v", np.eye(3).tolist())
def test_one_moment_has_its_closed_form(v):
    J, mu, gc = 0.8, 0.4, (0.9, 0.6)
    device = Device(
        1, sd_exchange=J, fermi_energy=mu, tolerance=1e-10, leads=[Lead("left", gc[0]), Lead("right", gc[1])]
    )
    m = moments((1,), 5)
    sigma = (gc[0] ** 2 + gc[1] ** 2) * (mu / 2 - 1j * np.sqrt(1 - mu**2 / 4))
    D = np.angle(mu - J - sigma) - np.angle(mu + J - sigma)
    v = np.array(v) - m[0] * (m[0] @ v)
    torque = np.cross(m[0], device.linear_response(m).tensors.gilbert[0, 0] @ v)
    expected = ((1 - np.cos(2 * D)) * np.cross(m[0], v) + (2 * D - np.sin(2 * D)) * v) / (4 * np.pi)
    np.testing.assert_allclose(torque, expected, atol=1e-10)


@pytest.mark.parametrize(("axis", "kT"), [((1, 0, 0), 0.0), ((0, 1, 0), 0.05), ((0, 0, 1), 0.05), ((1, 2, -1), 0.0)])
def test_second_order_against_exact_steady_precession(axis, kT):
    """s - s_0 + alpha v/J - s_2 is of third order in the frequency of a chain that turns rigidly."""
    device = Device(3, sd_exchange=0.5, fermi_energy=0.2, temperature=kT, tolerance=1e-9, leads=[Lead("left", 0.8)])
    m, axis = moments((3,), 11), np.array(axis) / np.linalg.norm(axis)
    response, still = device.linear_response(m), device.freeze(m).adiabatic[:, 1:]
    missed = []
    for omega in (0.04, 0.02):
        v = omega * np.cross(axis, m)
        second = response.second_order(v, omega * np.cross(axis, v))
        exact = steady_precession(device, m, axis, omega).spin
        beyond = exact - still - np.einsum("ijab,jb->ia", response.tensors.drag, v)
        missed.append(abs(beyond - second).max())
        assert abs(second).max() > 0.05 * omega**2
        assert missed[-1] < 0.3 * abs(second).max()
    assert 6 < missed[0] / missed[1] < 18  # third order, or fourth


def test_second_order_is_linear_in_the_acceleration_with_the_inertia_tensor():
    device, a = CASES["warm lattice"], np.random.default_rng(12).normal(size=(6, 3))
    response = device.linear_response(moments((3, 2), 12))
    expected = -np.einsum("ijab,jb->ia", response.tensors.inertia, a) / 0.7
    np.testing.assert_allclose(response.second_order(np.zeros((6, 3)), a), expected, atol=1e-7)
    np.testing.assert_array_equal(response.second_order(np.zeros((6, 3)), np.zeros((6, 3))), 0.0)
    with pytest.raises(ValueError, match="velocity"):
        response.second_order(np.zeros((3, 3)), a)


ORACLES = {
    "equilibrium": ((MU, MU), 0.0),
    "warm": ((MU, MU), 0.05),
    "bias": ((0.5, 0.1), 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ORACLES)
def test_frequency_dependence_against_dense_quadrature(name):
    mus, kT = ORACLES[name]
    m, omega, J = moments((2,), 6), 0.2, 0.3
    oracle = linear_response.chain(m, J, mus, kT, (0.7, 0.8), 0.5)
    leads = [Lead("left", 0.7, chemical_potential=mus[0]), Lead("right", 0.8, chemical_potential=mus[1])]
    given = {"fermi_energy": MU, "temperature": kT, "tolerance": 1e-9, "bond_hoppings": [0.5]}
    device = Device(2, sd_exchange=J, leads=leads, **given)
    response = device.linear_response(m)
    rest = oracle.forces(0.0)
    expected = 1j * (oracle.forces(omega) - rest) / omega
    np.testing.assert_allclose(response.tensors.stiffness, rest.real, atol=2e-7)
    np.testing.assert_allclose(response.alpha(omega), expected, atol=1e-6)
    np.testing.assert_allclose(response.alpha(-omega), expected.conj(), atol=1e-6)
    assert abs(expected.imag).max() > 0.005


@pytest.mark.parametrize("name", ["chain", "warm chain", "lattice", "bias", "closed end"])
def test_taylor_coefficients_of_alpha_are_gilbert_and_inertia(name):
    device = CASES[name]
    response = device.linear_response(moments(device.shape, 7))
    found = response.tensors
    left = [abs(response.alpha(w) - (found.gilbert - 1j * w * found.inertia)).max() for w in (0.04, 0.02)]
    assert left[0] < 1e-3
    assert 3.5 < left[0] / left[1] < 4.5  # of second order
    np.testing.assert_array_equal(response.alpha(0.0), found.gilbert)
    with pytest.raises(ValueError, match="omega"):
        response.alpha(np.inf)


def test_bias_brings_anti_damping():
    device = CASES["bias"].changed(
        sd_exchange=1.5, leads=[Lead("left", 0.4, chemical_potential=1.4), Lead("right", 0.4)]
    )
    found = device.linear_response(bloch_wall(4)).tensors
    friction = np.moveaxis(found.friction, 1, 2).reshape(12, 12)
    assert np.linalg.eigvalsh(friction).min() < -1e-3


SCATTERERS = {
    "wall": (Device(7, sd_exchange=0.5, fermi_energy=0.2), bloch_wall(7)),
    "skyrmion": (Device((5, 5), sd_exchange=-1.0, onsite=4.0, fermi_energy=1.9), small_skyrmion((5, 5))),
    "one site": (Device(1, sd_exchange=0.5, fermi_energy=0.2, leads=[Lead("left", 0.7), Lead("right")]), moments((1,))),
}


@pytest.mark.filterwarnings("ignore:all moments have the length")
@pytest.mark.parametrize("name", SCATTERERS)
def test_scattering_matrix_gives_the_friction(name):
    device, m = SCATTERERS[name]
    found = device.scattering_matrix(m)
    p = len(found.S)
    np.testing.assert_allclose(found.S.conj().T @ found.S, np.eye(p), atol=1e-12)
    np.testing.assert_allclose(found.friction, device.linear_response(m).tensors.friction, atol=1e-8)
    assert abs(found.friction).max() > 1e-3
    # transmission from left to right, and the derivative by finite differences
    left = found.lead == 0
    through = (abs(found.S[np.ix_(~left, left)]) ** 2).sum()
    assert through == pytest.approx(device.transmission(device.fermi_energy, m).sum(), abs=1e-10)
    step, i = 1e-3, device.n_sites // 2
    for a in range(3):
        ahead = {}
        for k in (-2, -1, 1, 2):
            moved = m.reshape(-1, 3).copy()
            moved[i, a] += k * step
            ahead[k] = device.scattering_matrix(moved.reshape(m.shape)).S
        slope = (8 * (ahead[1] - ahead[-1]) - (ahead[2] - ahead[-2])) / (12 * step)
        np.testing.assert_allclose(found.derivative[i, a], slope, atol=1e-9)


def test_levels_of_partial_chains_lose_no_digits():
    """Without a left lead the elimination meets levels of partial chains; one is put next to the Fermi energy."""
    m = np.tile([0.0, 0.0, 1.0], (4, 1))
    device = Device(4, sd_exchange=0.5, fermi_energy=0.5, tolerance=1e-8, leads=[Lead("left", 1.0)])
    for mu in (0.5, 0.5 + 1e-11):
        one = device.changed(fermi_energy=mu)
        found = one.linear_response(m).tensors
        np.testing.assert_allclose(found.gilbert, columns(one, m).sum(axis=0), atol=1e-7)
        np.testing.assert_allclose(one.scattering_matrix(m).friction, found.friction, atol=1e-8)


def test_what_is_refused():
    with pytest.raises(ValueError, match="bath of probes"):
        Device(3, sd_exchange=0.5, bath=Bath([1], 0.1, zero_current="net")).scattering_matrix(moments((3,)))
    closed = Device(3, sd_exchange=0.5, temperature=0.1, leads=[])
    with pytest.raises(ToleranceError, match="discrete levels"):
        _ = closed.linear_response(moments((3,))).tensors


def test_inertia_under_a_bias_is_the_slope_of_alpha():
    """At kT > 0 too, where tails of the Fermi functions reach the band edges, at which d^2G/dE^2 diverges."""
    leads, m = [Lead("left", voltage=0.3), Lead("right", 0.7)], moments((3,))
    for kT in (0.0, 0.02, 0.1):
        device = Device(3, sd_exchange=0.3, fermi_energy=0.2, temperature=kT, leads=leads)
        response = device.linear_response(m)
        inertia = response.tensors.inertia
        np.testing.assert_allclose(-response.alpha(0.01).imag / 0.01, inertia, atol=2e-6)
        assert not response.inertia_logarithm.any()
        unbiased = device.changed(leads=[Lead("left"), Lead("right", 0.7)]).linear_response(m)
        assert abs(inertia - unbiased.tensors.inertia).max() > 1e-4
    # a level next to an edge makes more of the same tail
    device = Device(3, sd_exchange=0.5, fermi_energy=0.2, temperature=0.1, leads=leads)
    found = device.linear_response(m).tensors
    assert np.isnan(found.inertia).all()
    assert np.isfinite(found.gilbert).all()


@pytest.mark.parametrize("edge", [2.0, -2.0])
def test_where_a_mode_opens_between_chemical_potentials_alpha_has_no_slope(edge):
    """-Im alpha(omega)/omega = -(1/4pi) log(omega) sum_r (f_r - f) Re P[g_1, a_r] + ..., from dense 4 x 4 matrices.

    Sigma = gc^2 (x - r s) next to an edge x = +-1, r = (E - E_0)^(1/2), s = 1 above the band and i at its bottom.
    """
    m, J, gc, bond, upper = moments((2,)), 0.3, (0.7, 0.8), 0.5, edge > 0
    leads = [Lead("left", gc[0], chemical_potential=1.5 * edge), Lead("right", gc[1])]
    device = Device(2, sd_exchange=J, fermi_energy=MU, tolerance=1e-9, leads=leads, bond_hoppings=[bond])
    response = device.linear_response(m)
    assert np.isnan(response.tensors.inertia).all()
    assert np.isfinite(response.tensors.gilbert).all()
    slow = [-response.alpha(w).imag / w for w in (0.02, 0.01, 0.005)]
    slopes = [(a - b) / np.log(2) for a, b in pairwise(slow)]  # by log(omega)

    H = np.kron([[0, -bond], [-bond, 0]], np.eye(2)).astype(complex)
    V = np.zeros((2, 3, 4, 4), complex)
    for i in range(2):
        V[i, :, 2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = -J * linear_response.SIGMA
    H += np.einsum("ia,iapq->pq", m, V)
    ends = [gc[0] ** 2 * np.diag([1, 1, 0, 0]), gc[1] ** 2 * np.diag([0, 0, 1, 1])]
    g0 = np.linalg.inv(edge * np.eye(4) - H - np.sign(edge) * sum(ends))
    g1 = g0 @ (sum(ends) * (-1 if upper else -1j)) @ g0
    left = g0 @ (ends[0] * (1j if upper else 1)) @ g0.conj().T
    traces = np.einsum("iapq,qr,jbrs,sp->ijab", V, g1, V, left, optimize=True).real
    expected = -(1 if upper else -1) * traces / (4 * np.pi)
    np.testing.assert_allclose(response.inertia_logarithm, expected, atol=3e-3 * abs(expected).max())
    missed = [abs(one - expected).max() / abs(expected).max() for one in slopes]
    assert missed[1] < 0.2
    assert missed[1] < 0.75 * missed[0]


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_alpha_at_the_smallest_frequencies_is_its_series(bias):
    """By a difference over omega the error was 2e-5 at omega = 1e-7, where omega I is 1e-9, and 200 at 1e-14."""
    leads = [Lead("left", voltage=bias), Lead("right")]
    device = Device(2, sd_exchange=0.5, fermi_energy=MU, temperature=0.05, leads=leads)
    response = device.linear_response(moments((2,), 3))
    tensors = response.tensors
    assert abs(tensors.inertia).max() > 1e-3
    for omega in (1e-5, 1e-7, 1e-14):
        found = response.alpha(omega)
        np.testing.assert_allclose(found.real, tensors.gilbert, atol=1e-9)
        np.testing.assert_allclose(-found.imag / omega, tensors.inertia, atol=1e-5)
        np.testing.assert_array_equal(response.alpha(-omega), found.conj())
    above, below = response.alpha(1.01e-4), response.alpha(0.99e-4)
    np.testing.assert_allclose(above, below, atol=1e-6)


def test_without_inertia_the_smallest_frequencies_are_told():
    """A mode opens at 2, which the leads fill differently."""
    leads = [Lead("left", 0.5, chemical_potential=2.2), Lead("right", 0.5)]
    response = Device(1, sd_exchange=0.2, fermi_energy=1.5, leads=leads).linear_response(moments((1,)))
    assert np.isnan(response.tensors.inertia).all()
    assert np.isfinite(response.alpha(1e-6)).all()
    with pytest.raises(ToleranceError, match="use omega = 0, or at least 1e-08"):
        response.alpha(1e-12)
