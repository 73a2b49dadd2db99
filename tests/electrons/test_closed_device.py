"""Electrons without leads, diagonalised: printed numbers, bands, the device by Green's functions, slow motion."""

import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from llgnegf.electrons import ClosedDevice, Device, SpinHopping, SpinOrbit, ToleranceError
from llgnegf.errors import RunWarning
from tests.electrons.test_kondo_lattice import MU, J, L, hamiltonian, texture

ORBIT = SpinOrbit(rashba=0.3, dresselhaus=0.2)


def unit(rng, *shape):
    m = rng.normal(size=(*shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def test_kondo_lattice_on_a_torus():
    """The printed density matrix is that of a series in H: its last digits belong to another printed force, 0.0154766
    in place of (0.384519 - 0.4) along z, and 8e-6 from what the grand potential's own derivative is."""
    device = ClosedDevice((L, L), periodic="xy", hopping=(1.0, 0.0, 0.5), sd_exchange=J, fermi_energy=MU)
    frozen = device.freeze(texture())
    assert frozen.total_grand_potential / L**2 == pytest.approx(-1.98657216, abs=5e-9)
    rho = frozen.density_matrix[:2, :2]
    assert rho == pytest.approx(
        np.array([[0.481926, 0.0507966 * (1 - 1j)], [0.0507966 * (1 + 1j), 0.450972]]), abs=1e-5
    )
    field = J * frozen.adiabatic[0, 0, 1:] - [0, 0, 0.4]  # a classical coupling of 0.1 to four neighbours
    assert field == pytest.approx([0.0507964, 0.0507964, -0.384519], abs=6e-7)
    assert frozen.solves == 1


def test_matrix_of_another_program(rng):
    m = unit(rng, L, L)
    device = ClosedDevice((L, L), periodic="xy", hopping=(1.0, 0.0, 0.5), sd_exchange=J, fermi_energy=MU)
    assert device.levels(m) == pytest.approx(np.linalg.eigvalsh(hamiltonian(m, J, -0.5, False)), abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 3), (5, 4), (3,), (2, 4), (1, 3)])
def test_bands(shape):
    """E(k) = -2 t sum cos k - 4 t' cos kx cos ky - 2 t'' sum cos 2k +- 2 |v sin kx + w sin ky|, and of a chain.

    A site has no bond to itself.
    """
    t, next_t, third = hoppings = 1.1, 0.4, -0.3
    v, w = np.array([-0.2, 0.3]), np.array([-0.3, 0.2])
    k = np.meshgrid(*(2 * np.pi * np.arange(n) / n for n in shape), indexing="ij")
    if len(shape) == 1:
        hoppings = t, next_t
        found = -2 * t * np.cos(k[0]) - 2 * next_t * np.cos(2 * k[0])
        split = 2 * np.hypot(*v) * abs(np.sin(k[0]))
    else:
        found = -4 * next_t * np.cos(k[0]) * np.cos(k[1]) * (min(shape) > 1)
        for q, n in zip(k, shape, strict=True):
            found = found - 2 * t * np.cos(q) * (n > 1) - 2 * third * np.cos(2 * q) * (n > 2)
        split = 2 * np.linalg.norm(np.sin(k[0])[..., None] * v + np.sin(k[1])[..., None] * w, axis=-1)
    given = {"onsite": 0.7, "sd_exchange": 0.5, "spin_orbit": ORBIT, "fermi_energy": 0.1}
    device = ClosedDevice(shape, periodic=True, hopping=hoppings, **given)
    expected = 0.7 + np.sort(np.concatenate([(found + split).ravel(), (found - split).ravel()]))
    assert device.levels(np.zeros((*shape, 3))) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kT", [0.0, 0.1])
@pytest.mark.parametrize(
    ("shape", "given"), [((4,), {}), ((3, 2), {"periodic": "y", "vacancies": [(1, 1)]}), ((3, 3), {})]
)
def test_where_green_s_functions_know_it_too(rng, shape, given, kT):
    """Closed ends: the sum of sea and surface is what levels of no width answer."""
    given = given | {
        "sd_exchange": rng.normal(size=shape), "fermi_energy": 0.3, "temperature": kT, "spin_orbit": ORBIT,
        "spin_hopping": SpinHopping((0.1, 0.2j, 0.3), (0.2 - 0.1j, 0, 0.1) if len(shape) > 1 else (0, 0, 0)),
        "potential": 0.3 * rng.normal(size=shape),
    }  # fmt: skip
    motion = unit(rng, *shape), rng.normal(size=(*shape, 3)), rng.normal(size=shape), rng.normal(size=shape)
    if "vacancies" in given:
        motion[0][1, 1] = 0.0
    by_green, closed = Device(shape, leads=[], tolerance=1e-10, **given), ClosedDevice(shape, **given)
    a, b = by_green.spin_density(*motion), closed.spin_density(*motion)
    for one, other in ((a.adiabatic, b.adiabatic), (a.sea + a.surface, b.sea), (a.density, b.density)):
        assert other == pytest.approx(one, abs=1e-8)
    assert abs(b.sea).max() > 0.1
    assert not b.surface.any()
    grand = [one.freeze(motion[0], motion[2]).grand_potential for one in (by_green, closed)]
    assert grand[1] == pytest.approx(grand[0], abs=1e-8)


def late(device, m, axes, w):
    """Spin density minus that at rest after unitary evolution, where each moment turns about its axis, over w; the
    first order of the device."""
    steps, T = 2000, 60.0

    def at(t):
        # Velocities that are switched on smoothly.
        x = t / T
        turned = T * (x**6 - 3 * x**5 + 2.5 * x**4)  # its first three derivatives: 0, 0, 0 at first, 1, 0, 0 at last
        return Rotation.from_rotvec((w * turned * axes).reshape(-1, 3)).apply(m.reshape(-1, 3)).reshape(m.shape)

    rho = device.freeze(m).density_matrix
    gates = np.zeros(m.shape[:-1])
    E, states = np.linalg.eigh([device.hamiltonian(at((n + 0.5) * T / steps), gates) for n in range(steps)])
    for U in (states * np.exp(-1j * T / steps * E)[:, None, :]) @ states.conj().swapaxes(1, 2):
        rho = U @ rho @ U.conj().T
    end = at(T)
    frozen = device.freeze(end)
    found = np.einsum("iaib,cba->ic", rho.reshape(len(rho) // 2, 2, -1, 2), PAULI).real.reshape(m.shape)
    assert at(T) == pytest.approx(Rotation.from_rotvec((w * T / 2 * axes).reshape(-1, 3)).apply(m))
    return (found - frozen.adiabatic[..., 1:]) / w, device.spin_density(end, w * np.cross(axes, end)).sea / w


PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@pytest.mark.parametrize("kT", [0.0, 0.2])
def test_first_order_is_that_of_slow_motion(rng, kT):
    """Unitary evolution of a ring; at kT > 0 all turn together, so that levels stay where they are."""
    device = ClosedDevice(3, periodic="x", sd_exchange=1.3, fermi_energy=-0.4, temperature=kT)
    m = unit(rng, 3)
    axes = unit(rng, 3) if kT == 0 else np.tile(unit(rng, 1), (3, 1))
    errors = []
    for w in (0.04, 0.02):
        found, expected = late(device, m, axes, w)
        errors.append(abs(found - expected).max())
    assert abs(expected).max() > 0.03
    assert errors[1] < 0.6 * errors[0] < 0.05 * abs(expected).max()


@pytest.mark.parametrize("kT", [0.0, 0.1])
def test_field_is_the_slope_of_the_grand_potential(rng, kT):
    device = ClosedDevice(
        (3, 4), periodic="xy", hopping=(1.0, 0.3), sd_exchange=0.8, fermi_energy=0.2, temperature=kT, spin_orbit=ORBIT
    )
    m, h = unit(rng, 3, 4), 1e-4
    spin = device.spin_density(m).adiabatic
    for c in range(3):
        step = np.zeros_like(m)
        step[1, 2, c] = h
        ahead, back = (device.freeze(m + s * step).total_grand_potential for s in (1, -1))
        assert 0.8 * spin[1, 2, c] == pytest.approx((back - ahead) / (2 * h), abs=1e-7)


@pytest.mark.parametrize("kT", [0.0, 0.1])
def test_answer_to_a_motion_does_no_work(rng, kT):
    """chi is antisymmetric: the Berry curvature of the occupied levels."""
    device = ClosedDevice((3, 2), periodic="x", sd_exchange=0.8, fermi_energy=0.2, temperature=kT, spin_orbit=ORBIT)
    frozen, still = device.freeze(unit(rng, 3, 2)), np.zeros((3, 2))
    columns = [frozen.respond(one.reshape(3, 2, 3), still).sea[..., 1:].ravel() for one in np.eye(18)]
    chi = np.array(columns)
    assert chi == pytest.approx(-chi.T, abs=1e-12)
    assert abs(chi).max() > 0.05


def test_response_tensors_where_green_s_functions_know_them(rng):
    given = {"sd_exchange": 0.8, "fermi_energy": 0.3}
    m = unit(rng, 3)
    a, b = Device(3, leads=[], tolerance=1e-10, **given).linear_response(m), ClosedDevice(3, **given).linear_response(m)
    for name in ("gilbert", "inertia", "stiffness", "susceptibility"):
        one, other = getattr(a.tensors, name), getattr(b.tensors, name)
        assert other == pytest.approx(one, abs=1e-7), name
        assert abs(other).max() > 1e-2
    assert b.alpha(0.03) == pytest.approx(a.alpha(0.03), abs=1e-6)


@pytest.mark.parametrize("kT", [0.0, 0.1])
def test_response_tensors_on_a_torus(rng, kT):
    """Beside the answer to dm/dt, differences of densities at rest, and alpha(omega) = alpha - i omega I + ..."""
    given = {"fermi_energy": 0.3, "temperature": kT}
    J = rng.uniform(0.3, 1.0, (3, 2))
    given |= {"sd_exchange": J, "spin_orbit": ORBIT, "vacancies": [(1, 1)], "hopping": (1.0, 0.3)}
    device, m = ClosedDevice((3, 2), periodic="xy", **given), unit(rng, 3, 2)
    m[1, 1] = 0.0
    response, frozen, still = device.linear_response(m), device.freeze(m), np.zeros((3, 2))
    found, w = response.tensors, 1e-3
    assert response.alpha(0.0) == pytest.approx(found.gilbert, abs=1e-12)
    assert (response.alpha(-w) - response.alpha(w)) / (2j * w) == pytest.approx(found.inertia, abs=1e-4)
    assert abs(found.inertia).max() > 0.1
    for j, c in ((0, 0), (4, 1), (3, 2)):
        kick = np.zeros((6, 3))
        kick[j, c] = 1.0
        answer = frozen.respond(kick.reshape(3, 2, 3), still).sea[..., 1:].reshape(6, 3)
        assert -J.reshape(6, 1) * answer == pytest.approx(found.gilbert[:, j, :, c], abs=1e-12)
        ahead, back = (device.spin_density(m + s * 1e-4 * kick.reshape(3, 2, 3)).adiabatic for s in (1, -1))
        slope = (ahead - back).reshape(6, 3) / 2e-4
        assert found.susceptibility[:, j, :, c] == pytest.approx(slope, abs=1e-6)
        assert found.stiffness[:, j, :, c] == pytest.approx(-J.reshape(6, 1) * slope, abs=1e-6)


def test_resonances_have_no_width():
    device = ClosedDevice(2, sd_exchange=0.0, fermi_energy=0.0).changed(sd_exchange=[0.3, 0.3])
    m = np.tile([0.0, 0.0, 1.0], (2, 1))
    E = device.levels(m)
    with pytest.raises(ToleranceError, match="is the distance of two levels without a width"):
        device.linear_response(m).alpha(E[2] - E[1])
    with pytest.raises(ValueError, match="101 sites without leads; up to 100"):
        ClosedDevice(101, sd_exchange=0.1).linear_response(np.tile([0.0, 0.0, 1.0], (101, 1)))


def test_persistent_helix_on_a_torus():
    """dresselhaus = rashba: moments that turn by 2 theta from site to site are a ferromagnet without the coupling."""
    n, theta = 6, np.pi / 3
    lam = np.tan(theta) / np.sqrt(2)
    given = {"periodic": "xy", "sd_exchange": 0.7, "fermi_energy": 0.4, "temperature": 0.1}
    helical = ClosedDevice((n, n), spin_orbit=SpinOrbit(lam, lam), **given)
    scalar = ClosedDevice((n, n), hopping=1 / np.cos(theta), **given)
    axis = np.array([-1.0, 1.0, 0.0]) / np.sqrt(2)
    x, y = np.indices((n, n))
    turns = Rotation.from_rotvec(-2 * theta * (x + y).reshape(-1, 1) * axis)
    helix = turns.apply([0.0, 0.0, 1.0]).reshape(n, n, 3)
    uniform = np.tile([0.0, 0.0, 1.0], (n, n, 1))
    assert helical.levels(helix) == pytest.approx(scalar.levels(uniform), abs=1e-12)
    spin = helical.spin_density(helix).adiabatic
    expected = turns.apply(scalar.spin_density(uniform).adiabatic.reshape(-1, 3)).reshape(n, n, 3)
    assert spin == pytest.approx(expected, abs=1e-12)
    assert helical.levels(uniform) != pytest.approx(scalar.levels(uniform), abs=1e-2)


def test_a_level_at_the_fermi_energy():
    """Half filled at kT = 0, which is told; to first order refused; at any temperature both are there."""
    device = ClosedDevice(4, periodic="x", sd_exchange=0.0, fermi_energy=0.0)
    m = np.tile([0.0, 0.0, 1.0], (4, 1))
    with pytest.warns(RunWarning, match="lie at the Fermi energy 0"):
        assert device.spin_density(m).density == pytest.approx(np.ones(4), abs=1e-12)
    assert device.freeze(m).level_gap() == 0
    with pytest.raises(ToleranceError, match="a level of the closed system lies at the Fermi energy 0"):
        device.spin_density(m, None, None, np.eye(4)[0])
    warm = device.changed(temperature=0.1).spin_density(m, None, None, np.eye(4)[0])
    assert np.isfinite(warm.density_sea).all()
    assert device.changed(fermi_energy=5.0).freeze(m).level_gap() == np.inf


def test_copies_and_words(rng):
    device = ClosedDevice(
        (2, 3), periodic="xy", hopping=(1, 0.2), sd_exchange=rng.normal(size=(2, 3)), vacancies=[(0, 1)]
    )
    m = unit(rng, 2, 3)
    m[0, 1] = 0
    copy = pickle.loads(pickle.dumps(device))
    assert np.array_equal(copy.levels(m), device.levels(m))
    assert len(device.levels(m)) == 10
    assert "periodic='xy', hopping=(1.0, 0.2)" in repr(device)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"periodic": "z"}, "periodic = 'z': allowed are False, True, 'x'"),
        ({"hopping": ()}, "hopping = "),
        ({"hopping": -1.0}, "hopping = -1.0: must be a number, > 0 between nearest neighbours"),
        ({"hopping": (1.0, np.nan)}, r"hopping\[1\] = nan"),
        ({"hopping": (1.0, 1e11)}, "farther hopping = 1e\\+11"),
        ({"shape": 3000}, "3000 sites; up to 2500"),
        ({"spin_orbit": 0.1}, "spin_orbit = 0.1: use None"),
        ({"temperature": -0.1}, "temperature = -0.1"),
    ],
)
def test_refused(given, words):
    with pytest.raises(ValueError, match=words):
        ClosedDevice(**({"shape": 4, "sd_exchange": 0.1} | given))
    with pytest.raises(AttributeError, match="transmission: not available for a ClosedDevice"):
        _ = ClosedDevice(4, sd_exchange=0.1).transmission
