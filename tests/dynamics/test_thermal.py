"""The thermal field: its strength, the distribution it leads to, the sense in which it is integrated."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from llgnegf.beside import integrators
from llgnegf.dynamics.coupling import Coupling
from llgnegf.dynamics.refresh import Classical
from llgnegf.dynamics.thermal import ThermalField
from llgnegf.magnet import Magnet

AXES = np.eye(3)


def settled(shape, dt, steps, temperature, *, start=(1.0, 1.0, 1.0), method="heun", seed=5, frames=1, **terms):
    """Moments (frames, sites, 3) of independent macrospins after so many steps, and after as many again for each."""
    magnet = Magnet(shape, **terms)
    thermal = ThermalField(magnet, temperature, seed, dt)
    stepper = Classical(Coupling(magnet, thermal=thermal), integrators.get(method).step, dt)
    m = np.broadcast_to(np.array(start) / np.linalg.norm(start), (*magnet.shape, 3))
    y, found = magnet.pack(m), []
    for n in range(steps * frames):
        _, y = stepper.advance(n, y, n + 1)
        if (n + 1) % steps == 0:
            found.append(magnet.unpack(y).reshape(-1, 3).copy())
    return np.array(found)


def boltzmann(energy):
    """The distribution function of u = m.axis, for the energy over kT as a function of u."""
    u = np.linspace(-1, 1, 4001)
    weight = np.exp(-energy(u) + energy(u).min())
    grown = np.concatenate([[0.0], np.cumsum((weight[1:] + weight[:-1]) / 2)])
    return lambda x: np.interp(x, u, grown / grown[-1])


# --- the field -------------------------------------------------------------------------------------------------------


def test_strength_is_that_of_fluctuation_and_dissipation():
    spin, damping, kT, dt = 2.5, 0.3, 0.2, 0.05
    magnet = Magnet((60, 60), spin=spin, damping=damping)
    field = magnet.unpack(ThermalField(magnet, kT, 1, dt).in_step(7))
    expected = 2 * damping * spin * kT / dt
    assert field.reshape(-1, 3).var(axis=0) == pytest.approx([expected] * 3, rel=0.08)
    assert abs(np.corrcoef(field.reshape(-1, 3).T) - np.eye(3)).max() < 0.06
    assert kstest(field.ravel() / np.sqrt(expected), "norm").pvalue > 1e-3


def test_field_depends_on_seed_and_step_alone():
    magnet = Magnet((5, 4), damping=0.1, periodic="xy", fixed=[(1, 2)])
    field = ThermalField(magnet, 0.1, 3, 0.1)
    forward = [field.at((n + 0.5) * 0.1).copy() for n in range(4)]
    other = ThermalField(magnet, 0.1, 3, 0.1)
    for n in (3, 0, 2, 2, 1):
        assert np.array_equal(other.at((n + 0.5) * 0.1), forward[n])
        assert not np.any(magnet.unpack(forward[n])[1, 2])
    assert len({one.tobytes() for one in forward}) == 4
    assert not np.array_equal(ThermalField(magnet, 0.1, 4, 0.1).in_step(0), forward[0])
    # Steps far on are told apart too, and the middle of each is inside it.
    far = 2**40
    assert np.array_equal(field.at((far + 0.5) * 0.1), field.in_step(far))


def test_successive_steps_are_independent():
    magnet = Magnet((40, 40), damping=1.0)
    field = ThermalField(magnet, 0.5, 0, 1.0)
    one, two = (magnet.unpack(field.in_step(n)).ravel() for n in (0, 1))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.06


def test_fixed_moments_stay():
    shape = (6,)
    magnet = Magnet(shape, damping=0.5, fixed=[(2,)])
    stepper = Classical(Coupling(magnet, thermal=ThermalField(magnet, 0.5, 1, 0.1)), integrators.get("heun").step, 0.1)
    y = magnet.pack(np.tile([0.0, 0.6, 0.8], (6, 1)))
    start = magnet.unpack(y).copy()
    for n in range(5):
        _, y = stepper.advance(n, y, n + 1)
    moved = (magnet.unpack(y) != start).any(axis=-1)
    assert moved.tolist() == [True, True, False, True, True, True]


# --- equilibrium -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", AXES, ids="xyz")
@pytest.mark.parametrize("method", ["heun", "rk4"])
def test_uniaxial_macrospins_settle_at_the_boltzmann_distribution(axis, method):
    """Kolmogorov-Smirnov, cosine of the angle to the axis and azimuth about it."""
    K, kT = 0.5, 0.4
    terms = {"anisotropy": K, "easy_axis": axis, "damping": 0.6, "spin": 1.7}
    m = settled((60, 50), 0.08, 900, kT, method=method, **terms)[0]
    assert kstest(m @ axis, boltzmann(lambda u: -K / kT * u**2)).pvalue > 1e-3
    one, two = np.roll(axis, 1), np.roll(axis, 2)
    azimuth = np.arctan2(m @ two, m @ one)
    assert kstest(azimuth, "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-3


@pytest.mark.parametrize("axis", AXES, ids="xyz")
def test_mean_moment_in_a_field_is_the_langevin_function(axis):
    B, kT, S = 0.6, 0.3, 0.5
    m = settled((60, 50), 0.012, 800, kT, spin=S, field=B * axis, damping=0.8)[0]
    x = S * B / kT
    assert kstest(m @ axis, boltzmann(lambda u: -x * u)).pvalue > 1e-3
    assert (m @ axis).mean() == pytest.approx(1 / np.tanh(x) - 1 / x, abs=0.04)


@pytest.mark.slow
def test_public_number_of_uniaxial_macrospins():
    """<|m_z|> of independent macrospins at K V / kT, within 1e-3 of the Boltzmann integral."""
    for energy, kelvin in ((2.5e-21, 100.0), (6.1567e-21, 100.0)):
        kT, K = 1.380649e-23 * kelvin / 1.602176634e-19, energy / 1.602176634e-19
        x = K / kT
        z = settled((250, 250), 0.005 / K, 300, kT, anisotropy=K, damping=0.9, frames=30, start=(0.2, 0.3, 1.0))
        weight = lambda u, x=x: np.exp(x * (u * u - 1))  # noqa: E731
        expected = quad(lambda u, w=weight: u * w(u), 0, 1)[0] / quad(weight, 0, 1)[0]
        assert abs(z[3:, :, 2]).mean() == pytest.approx(expected, abs=1e-3)
    assert expected == pytest.approx(0.8366, abs=1e-4)


# --- the sense of the equation ---------------------------------------------------------------------------------------


class AlongZ(ThermalField):
    """Increments dW of one Wiener process along z, the same at all sites of a row, as a field dW/dt."""

    def __init__(self, magnet, increments, dt):
        super().__init__(magnet, 0.0, 0, dt)
        self.increments = increments  # (steps, sites)

    def in_step(self, n):
        field = np.zeros((*self._magnet.shape, 3))
        field[:, 2] = self.increments[n] / self.dt
        return self._magnet.pack(field)


@pytest.mark.parametrize("name", ["heun", "rk4"])
def test_strong_order_against_the_closed_form(name):
    """A field B + dW/dt along z: tan(theta/2) falls as exp(-alpha b), phi grows as b, b = (B t + W)/[S (1 + alpha^2)].

    The chain rule with which the closed form follows is that of Stratonovich.
    """
    paths, finest, T, B, alpha, S = 400, 256, 1.0, 0.7, 0.4, 1.3
    fine = np.random.default_rng(8).standard_normal((finest, paths)) * np.sqrt(T / finest)
    magnet = Magnet((paths,), spin=S, field=(0, 0, B), damping=alpha)
    theta = 1.1
    b = (S * B * T + fine.sum(axis=0)) / (S * (1 + alpha**2))
    angle = 2 * np.arctan(np.tan(theta / 2) * np.exp(-alpha * b))
    exact = np.stack([np.sin(angle) * np.cos(b), np.sin(angle) * np.sin(b), np.cos(angle)], axis=-1)
    errors = []
    for steps in (8, 16, 32, 64, 128):
        dt = T / steps
        noise = AlongZ(magnet, fine.reshape(steps, -1, paths).sum(axis=1), dt)
        stepper = Classical(Coupling(magnet, thermal=noise), integrators.get(name).step, dt)
        y = magnet.pack(np.tile([np.sin(theta), 0.0, np.cos(theta)], (paths, 1)))
        for n in range(steps):
            _, y = stepper.advance(n, y, n + 1)
        errors.append(np.linalg.norm(magnet.unpack(y) - exact, axis=-1).mean())
    slope = np.polyfit(np.log2([8, 16, 32, 64, 128]), np.log2(errors), 1)[0]
    # Local errors of size dW^(p + 1), without mean where that power is odd: heun 1, rk4 2.
    assert slope == pytest.approx({"heun": -1.0, "rk4": -2.0}[name], abs=0.15)
    assert errors[-1] < 0.01


def test_paths_converge_with_noise_in_three_directions():
    """Twice the steps for the same Wiener path leave less: strong order 1/2 or more."""

    class Given(AlongZ):
        def in_step(self, n):
            return self._magnet.pack(self.increments[n] / self.dt)

    paths, finest, T = 300, 1024, 1.0
    fine = np.random.default_rng(2).standard_normal((finest, paths, 3)) * np.sqrt(0.3 * T / finest)
    magnet = Magnet((paths,), anisotropy=0.8, easy_axis=(0, 1, 0), damping=0.3)

    def end(steps):
        noise = Given(magnet, fine.reshape(steps, -1, paths, 3).sum(axis=1), T / steps)
        stepper = Classical(Coupling(magnet, thermal=noise), integrators.get("heun").step, T / steps)
        y = magnet.pack(np.tile([0.6, 0.0, 0.8], (paths, 1)))
        for n in range(steps):
            _, y = stepper.advance(n, y, n + 1)
        return magnet.unpack(y)

    best = end(finest)
    errors = [np.linalg.norm(end(steps) - best, axis=-1).mean() for steps in (8, 16, 32, 64)]
    slope = np.polyfit(np.log2([8, 16, 32, 64]), np.log2(errors), 1)[0]
    assert -1.2 < slope < -0.4


@pytest.mark.slow
def test_a_free_wall_diffuses():
    """<dX^2> = 2 D t with D = alpha kT Delta / [2 S (1 + alpha^2)].

    Two coordinates X, phi with the forces 2 S dphi/dt + (2 S alpha/Delta) dX/dt on X and
    -2 S dX/dt + 2 S alpha Delta dphi/dt on phi: D is kT times the XX element of the inverse.
    """
    J, K, alpha, kT, S, dt = 1.0, 0.03, 0.5, 0.004, 1.2, 0.1
    width = np.sqrt(J / (2 * K))
    n = 121
    magnet = Magnet((n,), exchange=J, anisotropy=K, damping=alpha, spin=S)
    thermal = ThermalField(magnet, kT, 11, dt)
    stepper = Classical(Coupling(magnet, thermal=thermal), integrators.get("heun").step, dt)
    x = np.arange(n) - n // 2
    m = np.stack([1 / np.cosh(x / width), 0 * x, np.tanh(x / width)], axis=-1)
    y, positions, every = magnet.pack(m), [], 200
    for k in range(160_000):
        _, y = stepper.advance(k, y, k + 1)
        if (k + 1) % every == 0:
            # Sum of m_z over the chain: each step to the right lowers it by 2.
            positions.append(-magnet.unpack(y)[:, 2].sum() / 2)
    found = np.array(positions)
    assert abs(found).max() < n / 2 - 4 * width
    lags = np.array([1, 2, 3, 4])
    squares = [np.mean((found[lag:] - found[:-lag]) ** 2) for lag in lags]
    diffusion = np.polyfit(lags * every * dt, squares, 1)[0] / 2
    assert diffusion == pytest.approx(alpha * kT * width / (2 * S * (1 + alpha**2)), rel=0.15)
