"""The memory of a chain lead as decaying exponentials: accuracy, passivity, honesty of the error, number of terms."""

import numpy as np
import pytest
from scipy.special import j1

from llgnegf.electrons.memory import semicircle
from llgnegf.electrons.memory_table import ERRORS
from llgnegf.electrons.modes import chain_self_energy
from llgnegf.electrons.quadrature import ToleranceError

# Tolerance and the number of exponentials that it takes; the error falls by a factor of about 2 with each.
SIZES = {1e-2: 3, 1e-3: 5, 1e-4: 8, 1e-5: 11, 1e-6: 14, 1e-7: 18, 1e-8: 23, 1e-9: 28}
every_tolerance = pytest.mark.parametrize("tolerance", SIZES)


def _exact(tau):
    return np.where(tau < 1e-9, 1.0, j1(2 * tau) / np.maximum(tau, 1e-9))


def test_memory_at_random_times():
    """Each entry of the table has the errors that it says, also between the times at which they were measured."""
    random = np.random.default_rng(1)
    tau = np.concatenate([[0.0], random.uniform(0, 40, 10000), np.exp(random.uniform(0, np.log(1e9), 10000))])
    exact = _exact(tau)
    for count, (error, _) in ERRORS.items():
        fit = semicircle(error)
        assert len(fit.energies) == count
        found = abs(fit.memory(tau) - exact)
        assert 0.9 * fit.error < (found / (1 + tau) ** 0.75).max() <= 1.03 * fit.error, count
        assert 0.9 * fit.largest_error < found.max() <= 1.03 * fit.largest_error, count


@every_tolerance
def test_no_error_is_above_the_tolerance(tolerance):
    assert semicircle(tolerance).error <= tolerance


@every_tolerance
def test_number_of_exponentials(tolerance):
    fit = semicircle(tolerance)
    assert len(fit.energies) == len(fit.weights) == SIZES[tolerance]
    assert fit.energies.imag.max() < 0
    assert abs(fit.energies).max() < 2.1, "no faster than the band, or explicit steps would have to be smaller"
    assert abs(fit.weights).sum() < 3, "nothing cancels"
    assert semicircle(tolerance) is fit


@every_tolerance
def test_broadening_is_a_square_at_every_real_energy(tolerance):
    """-2 Im Sigma of poles and weights is the square of which `broadening` consists, at all energies if at 2 K."""
    fit = semicircle(tolerance)
    z, s = fit.energies, fit.zeros
    assert (s > 2).all()
    assert 2 * len(s) < len(z)
    # Both have the same denominator, prod |E - z|^2; numerators of degree < 2 K agree if they agree at 2 K points.
    points = 2.5 * np.cos(np.pi * (np.arange(4 * len(z)) + 0.5) / (4 * len(z)))
    square = np.prod((1 - (points[:, None] / s) ** 2) ** 2, axis=1) / np.prod(abs(1 - points[:, None] / z) ** 2, axis=1)
    height = fit.broadening(0.0)
    assert height == pytest.approx(2.0, abs=10 * fit.largest_error)
    np.testing.assert_allclose(-2 * fit.self_energy(points).imag, height * square, atol=1e-13)
    np.testing.assert_allclose(fit.broadening(points), height * square, atol=1e-13)
    outside = np.concatenate([s, np.geomspace(2, 1e60, 2000)])
    assert (fit.broadening(outside) >= 0).all()
    assert (fit.broadening(-outside) >= 0).all()


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_no_device_grows(tolerance):
    """Levels within and outside of the band: without passivity some would grow with about the error as their rate."""
    fit = semicircle(tolerance)
    random = np.random.default_rng(2)
    for _ in range(200):
        n = random.integers(1, 5)
        H = np.diag(random.uniform(-4, 4, n)) + 0.5 * random.standard_normal((n, n))
        C = np.zeros((n, len(fit.energies)))
        C[0] = random.uniform(0.05, 2)
        A = np.block([[-0.5j * (H + H.T), C], [-fit.weights[:, None] * C.T, np.diag(-1j * fit.energies)]])
        assert np.linalg.eigvals(A).real.max() < 1e-13


@every_tolerance
def test_self_energy(tolerance):
    fit = semicircle(tolerance)
    energy = np.linspace(-3, 3, 301)

    def error(energy):
        return abs(fit.self_energy(energy) - chain_self_energy(energy, 1.0, 1.0)[0]).max()

    for above in (0.1, 1.0, 10.0):
        assert error(energy + 1j * above) < 4 * tolerance / above
    # On the axis, where sharp features count in full, the band edges are hard for any sum of exponentials.
    assert error(np.linspace(-1, 1, 2001)) < 40 * tolerance
    assert error(np.linspace(-1.9, 1.9, 2001)) < 400 * tolerance
    assert error(np.linspace(2.1, 9, 2001)) < 400 * tolerance
    assert abs(fit.weights.sum() - 1) <= fit.error


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
def test_decay_of_a_level_into_a_chain(tolerance):
    """Amplitude on a site that is attached to a chain, against the chain itself, as long as its end is not seen."""
    fit = semicircle(tolerance)
    k = len(fit.energies)
    sites, tau = 150, np.linspace(0, 100, 401)
    for level, coupling in ((0.0, 1.0), (1.2, 0.5), (-0.6, 0.3)):
        chain = np.diag(-np.ones(sites), 1)
        chain[0, 1] = -coupling
        chain += chain.T
        chain[0, 0] = level
        e, v = np.linalg.eigh(chain)
        exact = np.exp(-1j * np.outer(tau, e)) @ v[0] ** 2

        column = np.full((k, 1), coupling)
        A = np.block(
            [[np.array([[-1j * level]]), column.T], [-fit.weights[:, None] * column, np.diag(-1j * fit.energies)]]
        )
        rates, states = np.linalg.eig(A)
        amplitude = np.exp(np.outer(tau, rates)) @ (states[0] * np.linalg.inv(states)[:, 0])
        assert (abs(amplitude - exact) / (1 + tau) ** 0.75).max() < 2 * fit.error


def test_what_cannot_be_had_is_refused():
    with pytest.raises(ToleranceError, match=r"electrons\.tolerance = 1e-12: .*use a tolerance of \d\.\de-\d+ or more"):
        semicircle(1e-12)
    for wrong in (0.0, -1e-4, float("nan")):
        with pytest.raises(ValueError, match="positive"):
            semicircle(wrong)
