"""Fluctuations of the electrons' spin density: against friction, a closed form, and a dense sum over G< and G>."""

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, spin_noise
from llgnegf.electrons.counter import Counter

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
J = 0.6


def texture(shape, seed=1):
    m = np.random.default_rng(seed).standard_normal((*shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def friction(device, m):
    """Symmetric part of the damping: the force J s is -D dm/dt."""
    shape, n = device.shape, device.n_sites
    response, frozen = np.zeros((n, n, 3, 3)), device.freeze(m)
    for j in range(n):
        for b in range(3):
            v = np.zeros((n, 3))
            v[j, b] = 1
            found = frozen.respond(v.reshape(*shape, 3), np.zeros(shape)).density
            response[:, j, :, b] = found[..., 1:].reshape(n, 3)
    return -device.sd_exchange * (response + response.transpose(1, 0, 3, 2)) / 2


def self_energy(E, coupling, voltage=0.0):
    """Sigma of a chain lead of hopping 1 within its band, outgoing waves."""
    x = (E - voltage) / 2
    return (
        coupling**2 * (x - 1j * np.sqrt(1 - x**2))
        if abs(x) < 1
        else coupling**2 * (x - np.sign(x) * np.sqrt(x * x - 1))
    )


def dense(m, couplings, voltages, occupations, energies):
    """int dE/2pi Re Tr[sigma_i G< sigma_j G>] of a chain on a plain grid, G< = G Sigma< G^+ and G> likewise."""
    n = len(m)
    H = np.zeros((n, 2, n, 2), complex)
    for i in range(n):
        H[i, :, i, :] = -J * np.einsum("a,ast->st", m[i], PAULI)
        if i + 1 < n:
            H[i, :, i + 1, :] = H[i + 1, :, i, :] = -np.eye(2)
    H = H.reshape(2 * n, 2 * n)
    sigma = np.zeros((n, 3, 2 * n, 2 * n), complex)
    for i in range(n):
        sigma[i, :, 2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = PAULI
    total = np.zeros((n, n, 3, 3))
    for k, E in enumerate(energies):
        S, lesser, greater = (np.zeros((2 * n, 2 * n), complex) for _ in range(3))
        for site, coupling, V, f in zip((0, n - 1), couplings, voltages, occupations, strict=True):
            one = self_energy(E, coupling, V)
            end = slice(2 * site, 2 * site + 2)
            S[end, end] += one * np.eye(2)
            width = -2 * np.imag(one)
            lesser[end, end] += 1j * f(E) * width * np.eye(2)
            greater[end, end] += -1j * (1 - f(E)) * width * np.eye(2)
        G = np.linalg.inv(E * np.eye(2 * n) - H - S)
        lesser, greater = G @ lesser @ G.conj().T, G @ greater @ G.conj().T
        part = np.einsum("iaxy,yz,jbzw,wx->ijab", sigma, lesser, sigma, greater, optimize=True).real
        total += part * (0.5 if k in (0, len(energies) - 1) else 1.0)
    return total * (energies[1] - energies[0]) / (2 * np.pi)


def fermi(mu, kT):
    return lambda E: 1 / (np.exp((E - mu) / kT) + 1)


@pytest.mark.parametrize(
    ("shape", "coupling", "tolerance"),
    [((1,), 1.0, 1e-11), ((4,), 0.3, 1e-11), ((4,), 0.03, 1e-7), ((2, 3), 1.0, 1e-10)],
)
def test_fluctuation_and_dissipation(shape, coupling, tolerance):
    """J_sd^2 C = 2 kT times the friction that the electrons exert, between sites too, with narrow levels too."""
    kT = 0.05
    device = Device(
        shape,
        sd_exchange=J,
        fermi_energy=0.3,
        temperature=kT,
        tolerance=1e-8,
        leads=[Lead("left", coupling), Lead("right", 0.8 * coupling)],
    )
    m = texture(shape)
    noise = J**2 * device.spin_noise(m)
    assert abs(noise - 2 * kT * friction(device, m)).max() < tolerance * abs(noise).max()
    n = device.n_sites
    matrix = noise.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    assert np.allclose(matrix, matrix.T, rtol=1e-13, atol=1e-14)
    assert np.linalg.eigvalsh(matrix).min() > -1e-13 * abs(matrix).max()


def test_one_moment_against_the_closed_form():
    """At low kT: 2 kT (1 - cos 2D)/4pi across the moment, D the difference of the phases of E_F -+ J - Sigma."""
    kT, mu, coupling = 1e-4, 0.4, 0.7
    device = Device(
        (1,), sd_exchange=J, fermi_energy=mu, temperature=kT, leads=[Lead("left", coupling), Lead("right", coupling)]
    )
    sigma = 2 * self_energy(mu, coupling)
    D = np.angle(mu - J - sigma) - np.angle(mu + J - sigma)
    for m in np.eye(3):
        noise = J**2 * device.spin_noise(m[None])[0, 0]
        across = np.eye(3) - np.outer(m, m)
        expected = 2 * kT * (1 - np.cos(2 * D)) / (4 * np.pi)
        assert np.allclose(across @ noise @ across, expected * across, atol=1e-4 * expected)


def test_shot_noise_and_temperatures_of_two_leads():
    """Leads of their own chemical potentials, voltages and temperatures, against G< and G> on a fine grid."""
    m = texture((3,), 4)
    leads = [Lead("left", 0.8, 0.3, 0.5, 0.08), Lead("right", 0.6, -0.1, -0.4, 0.03)]
    device = Device((3,), sd_exchange=J, fermi_energy=0.2, temperature=0.05, leads=leads)
    energies = np.linspace(-2.0999, 1.9, 2001)
    expected = dense(m, (0.8, 0.6), (0.3, -0.1), (fermi(0.5, 0.08), fermi(-0.4, 0.03)), energies)
    found = device.spin_noise(m)
    assert abs(expected).max() > 0.1
    assert np.allclose(found, expected, atol=2e-6)


def test_shot_noise_at_zero_temperature():
    """Between the chemical potentials f_l (1 - f_l') is 1 for one order of the leads, 0 for the other."""
    m = texture((3,), 5)
    mu = 0.35, -0.25
    leads = [Lead(side, 0.8, chemical_potential=one) for side, one in zip(("left", "right"), mu, strict=True)]
    device = Device((3,), sd_exchange=J, fermi_energy=0.0, leads=leads)
    energies = np.linspace(mu[1], mu[0], 1001)
    expected = dense(m, (0.8, 0.8), (0, 0), (lambda E: 1.0, lambda E: 0.0), energies)
    assert abs(expected).max() > 0.03
    assert np.allclose(device.spin_noise(m), expected, atol=1e-6)


def test_nothing_fluctuates_at_zero_temperature_without_a_bias():
    device = Device((3,), sd_exchange=J, leads=[Lead("left"), Lead("right")])
    assert not device.spin_noise(texture((3,))).any()
    closed = Device((3,), sd_exchange=J, temperature=0.1, leads=[])
    assert not closed.spin_noise(texture((3,))).any()


def test_it_turns_with_the_moments():
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    turn *= np.linalg.det(turn)
    device = Device((3,), sd_exchange=J, temperature=0.1, leads=[Lead("left"), Lead("right", 0.5)])
    m = texture((3,))
    turned = np.einsum("ac,bd,ijcd->ijab", turn, turn, device.spin_noise(m))
    assert np.allclose(device.spin_noise(m @ turn.T), turned, atol=1e-9)


def test_what_is_not_known_is_refused():
    with pytest.raises(ValueError, match="spin_noise: not available with a bath on sites"):
        Device((3,), sd_exchange=J, temperature=0.1, bath=Bath([1], 0.1)).spin_noise(texture((3,)))
    with pytest.raises(ValueError, match="not available on 65 sites; allowed: up to 64"):
        Device((65,), sd_exchange=J, temperature=0.1).spin_noise(texture((65,)))


SAMPLED = {
    "warm lattice": ((2, 2), {"temperature": 0.05, "leads": [Lead("left", 0.6, 0.2), Lead("right", 0.8)]}),
    "shot noise": ((3,), {"leads": [Lead("left", 0.6, 0.2), Lead("right", 0.3, -0.1)], "fermi_energy": 0.2}),
    "narrow": ((3,), {"leads": [Lead("left", 0.02, chemical_potential=0.9), Lead("right", 0.02)]}),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_on_many_sites_states_come_from_a_sweep(name, monkeypatch):
    shape, changes = SAMPLED[name]
    device, m = Device(shape, sd_exchange=J, **changes), texture(shape)
    expected = device.spin_noise(m)
    monkeypatch.setattr(spin_noise, "MOST_SITES", 1)
    frozen = device.freeze(m)
    noise = spin_noise.SpinNoise(device, frozen.sweeps, Counter(), 1000)
    monkeypatch.undo()
    assert np.allclose(noise.matrix, expected, atol=1e-5 * abs(expected).max())


class One:
    """In place of a generator: 1 at one place of all numbers that are drawn, and 0 elsewhere."""

    def __init__(self, place):
        self.place, self.drawn = place, 0

    def standard_normal(self, shape):
        out = np.zeros(np.prod(shape))
        if 0 <= self.place - self.drawn < len(out):
            out[self.place - self.drawn] = 1.0
        self.drawn += len(out)
        return out.reshape(shape)


def test_samples_have_the_covariance_of_the_matrix():
    """They are linear in the numbers: the sum of squares over all of these, one by one."""
    leads = [Lead("left", 0.6, chemical_potential=0.3), Lead("right", 0.9)]
    device, m = Device(2, sd_exchange=J, leads=leads), texture((2,))
    frozen = device.freeze(m)
    noise = spin_noise.SpinNoise(device, frozen.sweeps, Counter(), 1000)
    counting = One(-1)
    noise.sample(counting)
    columns = np.array([noise.sample(One(place)).ravel() for place in range(counting.drawn)])
    expected = device.spin_noise(m).transpose(0, 2, 1, 3).reshape(6, 6)
    assert abs(expected).max() > 1e-3
    assert np.allclose(columns.T @ columns, expected, atol=1e-10)
