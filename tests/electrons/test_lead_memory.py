"""The memory of a chain lead as decaying exponentials: accuracy, passivity, honesty of the error, number of terms."""

import math

import numpy as np
import pytest
from scipy.special import j1

from llgnegf.electrons.memory import semicircle
from llgnegf.electrons.modes import chain_self_energy
from llgnegf.electrons.quadrature import ToleranceError

TOLERANCES = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7]
SIZES = [4, 7, 11, 15, 20, 26]


def _exact(tau):
    return np.where(tau < 1e-9, 1.0, j1(2 * tau) / np.maximum(tau, 1e-9))


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_memory_at_random_times(tolerance):
    fit = semicircle(tolerance)
    random = np.random.default_rng(1)
    tau = np.concatenate([[0.0], random.uniform(0, 40, 5000), np.exp(random.uniform(0, np.log(1e9), 5000))])
    error = abs(fit.memory(tau) - _exact(tau)).max()
    assert 0.5 * tolerance < error <= tolerance
    assert error <= 1.05 * fit.error


@pytest.mark.parametrize(("tolerance", "size"), list(zip(TOLERANCES, SIZES, strict=True)))
def test_number_of_exponentials(tolerance, size):
    fit = semicircle(tolerance)
    assert len(fit.energies) == len(fit.weights) == size
    assert abs(fit.energies).max() < 2.1, "explicit steps of the band would not do"
    assert fit.energies.imag.max() < 0


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_broadening_is_a_square_at_every_real_energy(tolerance):
    """Gamma prod|E - z|^2 = -2 Im sum_k g_k prod_(j /= k) (E - z_j) prod_j (E - z_j^*) is const prod (E^2 - s^2)^2."""
    fit = semicircle(tolerance)
    z, s = fit.energies, fit.zeros
    assert fit.broadening(0.0) > 0
    assert (s > 2).all()
    # Two polynomials of degree < 2 K are the same if they agree at 2 K points (here: Chebyshev points of the band).
    points = 2.5 * np.cos(np.pi * (np.arange(4 * len(z)) + 0.5) / (4 * len(z)))
    square = fit.broadening(0.0) * np.prod((1 - (points[:, None] / s) ** 2) ** 2, axis=1)
    square /= np.prod(abs(1 - points[:, None] / z) ** 2, axis=1)
    np.testing.assert_allclose(-2 * fit.self_energy(points).imag, square, atol=1e-13)
    np.testing.assert_allclose(fit.broadening(points), square, atol=1e-13)
    far = np.concatenate([s, np.geomspace(2, 1e60, 2000), -np.geomspace(2, 1e60, 2000)])
    assert (fit.broadening(far) >= 0).all()


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_no_device_grows(tolerance):
    """Devices with levels within and outside of the band: no mode of the device with its lead grows."""
    fit = semicircle(tolerance)
    random = np.random.default_rng(2)
    for _ in range(200):
        n = random.integers(1, 5)
        H = np.diag(random.uniform(-4, 4, n)) + 0.5 * random.standard_normal((n, n))
        H = (H + H.T) / 2
        C = np.zeros((n, len(fit.energies)))
        C[0] = random.uniform(0.05, 2)
        A = np.block([[-1j * H, C], [-fit.weights[:, None] * C.T, np.diag(-1j * fit.energies)]])
        assert np.linalg.eigvals(A).real.max() < 1e-13


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_self_energy(tolerance):
    fit = semicircle(tolerance)
    energy = np.linspace(-3, 3, 101)
    for above in (0.1, 1.0, 10.0):
        exact = chain_self_energy(energy + 1j * above, 1.0, 1.0)[0]
        # int_0^inf |error of g| exp(-above tau) dtau
        assert abs(fit.self_energy(energy + 1j * above) - exact).max() < fit.error / above
    inside = np.linspace(-1.8, 1.8, 201)
    assert abs(fit.self_energy(inside) - chain_self_energy(inside, 1.0, 1.0)[0]).max() < 60 * tolerance
    assert abs(fit.weights.sum() - 1) <= fit.error
    assert abs(fit.weights.sum().imag) < 1e-14


def test_tolerance_that_cannot_be_reached():
    with pytest.raises(ToleranceError, match=r"electrons\.tolerance = 1e-12"):
        semicircle(1e-12)
    with pytest.raises(ValueError, match="positive"):
        semicircle(1e-4, 0.0)


def test_short_duration():
    fit = semicircle(1e-4, 10.0)
    tau = np.linspace(0, 10, 5001)
    assert abs(fit.memory(tau) - _exact(tau)).max() <= 1.05 * fit.error <= 1.05e-4
    assert len(fit.energies) <= len(semicircle(1e-4, math.inf).energies)
