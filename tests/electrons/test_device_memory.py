"""What electrons of chains and lattices remember: brute force on the real axis, response tensors, symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import simpson

from llgnegf.electrons import Bath, Device, Lead, Polarization, SpinBias, SpinHopping, SpinOrbit
from llgnegf.electrons.device_memory import DeviceMemory, Steps
from tests.electrons.test_real_time_spins import device_of
from tests.electrons.test_response_tensors import moments
from tests.oracles import linear_response
from tests.oracles.spin_lattice import SIGMA, SpinLattice
from tests.oracles.spin_long import SpinLong
from tests.oracles.wide_jump import jumped

J = 0.3


def weak(kT, J=J):
    """Two sites whose levels all lie within the bands of the leads."""
    leads = [Lead("left", 0.7), Lead("right", 0.6)]
    return Device(2, bond_hoppings=[0.5], sd_exchange=J, temperature=kT, tolerance=2e-8, fermi_energy=0.3, leads=leads)


@pytest.mark.parametrize("kT", [0.05, 0.0])
def test_forces_at_any_frequency_are_those_of_dense_quadrature(kT):
    m = moments((2,))
    memory = DeviceMemory.of(weak(kT), m, 50.0)
    expected = linear_response.chain(m, J, [0.3, 0.3], kT, (0.7, 0.6), 0.5)
    for omega in (0.4, 1.7) if kT else (0.0,):
        np.testing.assert_allclose(-J * memory.at_frequency(omega), expected.forces(omega), atol=1e-9)
    assert abs(memory.at_frequency(1.7).imag).max() > 0.01


RIGHT = Lead("right", 0.8, hopping=1.2)
CASES = {
    "bound levels": Device(3, sd_exchange=0.8, fermi_energy=0.2, tolerance=1e-7),
    "J_sd < 0, warm": Device(2, sd_exchange=-0.6, fermi_energy=0.2, temperature=0.06, tolerance=1e-7),
    "lattice": Device((2, 3), sd_exchange=0.5, fermi_energy=-0.3, temperature=0.08, tolerance=1e-5),
    "closed end": Device(2, sd_exchange=0.5, fermi_energy=0.2, tolerance=1e-7, leads=[Lead("right", 0.8)]),
    "potential": Device(2, sd_exchange=0.5, potential=[0.3, -0.4], onsite=0.1, tolerance=1e-7),
    "one site": Device(1, sd_exchange=0.5, fermi_energy=0.4, tolerance=1e-7),
    "bias": Device(
        2, sd_exchange=0.5, fermi_energy=0.3, tolerance=1e-6, leads=[Lead("left", 0.7, chemical_potential=0.8), RIGHT]
    ),
    "voltage": Device(
        2, sd_exchange=0.5, fermi_energy=0.3, temperature=0.05, leads=[Lead("left", 0.7, voltage=0.5), RIGHT]
    ),
    "wide bands": Device(
        2,
        sd_exchange=0.5,
        fermi_energy=0.3,
        leads=[Lead("left", width=0.7, voltage=0.6), Lead("right", width=0.8)],
        spin_orbit=SpinOrbit(0.3),
    ),
    "a reservoir": Device(
        2,
        sd_exchange=0.5,
        fermi_energy=0.3,
        leads=[Lead("left", 0.7, chemical_potential=0.7), RIGHT],
        bath=Bath([1], 0.3, False),
        temperature=0.05,
    ),
    "all that knows the spin": Device(
        2,
        sd_exchange=0.5,
        fermi_energy=0.3,
        temperature=0.05,
        spin_orbit=SpinOrbit(0.3, -0.1),
        leads=[Lead("left", 0.7, chemical_potential=0.8, polarization=Polarization((0, 1, 1), 0.5)), RIGHT],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_slow_motions_are_answered_by_the_response_tensors(name):
    """Levels without width included, which ring for ever: moments that come smoothly to rest do not excite them."""
    device = CASES[name]
    m = moments(device.shape, 3)
    memory, tensors = DeviceMemory.of(device, m, 80.0), device.linear_response(m).tensors
    tau = np.linspace(0, 80.0, 1201)
    still = np.exp(-((tau / 50.0) ** 6))
    chi = memory.kernel(tau)
    static, slope = (simpson(np.moveaxis(chi, 0, -1) * one, x=tau) for one in (still, still * tau))
    # Beside bands without an end chi begins within less than a step of tau.
    close = {"lattice": 2e-2, "wide bands": 1e-3, "a reservoir": 5e-4}.get(name, 2e-5)
    np.testing.assert_allclose(static, tensors.susceptibility, atol=close * abs(tensors.susceptibility).max())
    np.testing.assert_allclose(device.sd_exchange * slope, tensors.gilbert, atol=close * abs(tensors.gilbert).max())


BIASED = {"filled": ((0.6, 0.2), (-0.2, 0.3)), "settling": 30.0, "n_lead": 40, "exchange": 0.3, "couplings": (0.6, 0.7)}
MAGNETS = {"polarizations": (((0, 1, 0), 0.3), ((1, 0, 1), 0.2))}


@pytest.mark.parametrize(
    "oracle",
    [
        SpinLong((1, 1), **BIASED, **MAGNETS),
        SpinLong((2, 1), **BIASED, rashba=0.3, dresselhaus=-0.2),
        SpinLong((2, 1), **BIASED, hop_x=(0.2, 0.1 + 0.2j, -0.15)),
        SpinLong((2, 2), **BIASED, hop_y=(0.2, 0.3j, 0.0), rashba=0.2),
    ],
    ids=["one site, ferromagnets", "spin-orbit coupling", "hopping", "lattice"],
)
def test_what_follows_a_jump_at_a_bias_is_that_of_unitary_evolution(oracle):
    """Moments jump at t = 0 by dm: ds(t) = int_0^t chi dm, against halves of differences of exact evolutions."""
    device = device_of(oracle, spin_hopping=SpinHopping(oracle.hop_x, oracle.hop_y))
    m, T, size = moments(oracle.shape, 7), 3.0, 0.02
    dm = size * np.random.default_rng(1).normal(size=m.shape)
    V, U = np.zeros(oracle.shape), np.zeros(2)
    both = [
        oracle.evolve([T], lambda t, sign=sign: m + sign * dm * (t > 0), lambda t: V, lambda t: U).spin[0]
        for sign in (1, -1)
    ]
    memory = DeviceMemory.of(device, m.reshape(*device.shape, 3), T)
    chi = simpson(memory.kernel(np.linspace(0, T, 201)), dx=T / 200, axis=0)
    found = np.einsum("ijab,jb->ia", chi, dm.reshape(-1, 3))
    expected = ((both[0] - both[1]) / 2).reshape(-1, 3)
    np.testing.assert_allclose(found, expected, atol=3e-3 * abs(expected).max())


def test_what_follows_a_jump_between_wide_bands_is_its_closed_form():
    """As there; halves of differences of integrals over energies."""
    leads = [Lead("left", width=0.6, chemical_potential=0.8), Lead("right", width=1.1, temperature=0.3)]
    device = Device(2, sd_exchange=0.8, fermi_energy=0.2, temperature=0.1, tolerance=1e-7, leads=leads)
    m, T = moments((2,), 7), 2.0
    dm = 0.02 * np.random.default_rng(1).normal(size=m.shape)
    gammas = np.zeros((2, 4, 4))
    gammas[0][:2, :2], gammas[1][2:, 2:] = 0.6 * np.eye(2), 1.1 * np.eye(2)
    zero = np.zeros((2, 1, 3))
    H, forth, back = (
        SpinLattice((m + way * dm)[:, None], zero, zero[..., 0], zero[..., 0], 0.8).H for way in (0.0, 1.0, -1.0)
    )
    filled = [(0.8, 0.1), (0.2, 0.3)]
    rho = [jumped(T, H, then, gammas, filled, (0.0, 0.0))[0] for then in (forth, back)]
    blocks = ((rho[0] - rho[1]) / 2).reshape(2, 2, 2, 2)
    expected = np.einsum("iaib,kba->ik", blocks, SIGMA[1:]).real
    chi = simpson(DeviceMemory.of(device, m, T).kernel(np.linspace(0, T, 201)), dx=T / 200, axis=0)
    np.testing.assert_allclose(np.einsum("ijab,jb->ia", chi, dm), expected, atol=1e-3 * abs(expected).max())


def test_kernel_transforms_to_its_frequencies():
    memory = DeviceMemory.of(weak(0.05), moments((2,)), 50.0)
    tau, omega = 0.02 * np.arange(5001), 0.4 + 0.3j
    swing = np.exp(1j * omega * tau)[:, None, None, None, None]
    found = simpson(memory.kernel(tau) * swing, x=tau, axis=0)
    np.testing.assert_allclose(found, memory.at_frequency(omega), atol=1e-7)


def test_a_kick_is_a_rotation_of_the_spins_at_first():
    """chi_ij(0) dm = 2 J_sd s_i x dm_i: dH = -J_sd sigma.dm turns the spins that are there."""
    device = CASES["bound levels"]
    m = moments((3,), 4)
    at_once = DeviceMemory.of(device, m, 50.0).kernel([0.0])[0]
    spin, dm = device.freeze(m).adiabatic[:, 1:], np.array([0.3, -0.2, 0.5])
    for i in range(3):
        np.testing.assert_allclose(at_once[i, i] @ dm, 2 * 0.8 * np.cross(spin[i], dm), atol=1e-6)
        assert abs(np.delete(at_once[i], i, axis=0)).max() < 1e-6


def test_steps_add_up_to_the_convolution():
    memory = DeviceMemory.of(weak(0.05), moments((2,)), 50.0)
    T = 6.0

    def moved(t):
        return np.array([[np.sin(0.7 * t), 0.1 * t, 0.0], [1 - np.cos(0.5 * t), 0.0, 0.2 * np.sin(0.3 * t)]])

    tau = np.linspace(0, T, 2001)
    past = np.array([moved(T - one) for one in tau])
    expected = simpson(np.einsum("tijab,tjb->tia", memory.kernel(tau), past), x=tau, axis=0)
    errors = []
    for count in (30, 60):
        dt = T / count
        steps = Steps(memory, dt)
        Y = steps.nothing
        for n in range(count):
            Y = steps.goes_on(Y, moved(n * dt))
            end = moved((n + 1) * dt)
            foreseen = steps.spin(Y) + steps.spin_at_once(end)
            Y = steps.ends(Y, end)
            np.testing.assert_allclose(steps.spin(Y), foreseen, atol=1e-13)
        errors.append(abs(steps.spin(Y) - expected).max())
    assert errors[1] < 2e-4 * abs(expected).max()
    assert 3.6 < errors[0] / errors[1] < 4.4


def test_recalled_from_arrays():
    memory = DeviceMemory.of(weak(0.05), moments((2,)), 50.0)
    again = DeviceMemory.recalled(memory.remembered())
    np.testing.assert_array_equal(again.kernel([0.0, 1.0]), memory.kernel([0.0, 1.0]))
    wrong = memory.remembered()
    wrong["memory_held"] = wrong["memory_held"][:-1]
    with pytest.raises(ValueError, match="memory_held"):
        DeviceMemory.recalled(wrong)


def test_what_has_no_memory_is_refused():
    for changes, words in (
        ({"bath": Bath([(0,)], 0.1)}, "probes"),
        ({"vacancies": [0]}, "without vacancies"),
        ({"leads": [Lead("left", spin_bias=SpinBias((0, 1, 0), 0.1)), Lead("right")]}, "without spin_bias"),
        ({"sd_exchange": np.array([0.3, 0.2])}, "one J_sd"),
    ):
        device = Device(2, **{"sd_exchange": 0.3, "temperature": 0.05, "tolerance": 1e-4} | changes)
        with pytest.raises(ValueError, match=words):
            DeviceMemory.of(device, moments((2,)), 10.0)
