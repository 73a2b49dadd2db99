"""Rules of integration: measured against what they claim, on points that did not make them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import AAA
from scipy.special import expit

from llgnegf.electrons import Device, Lead, ToleranceError, quadrature, threads
from llgnegf.electrons.near_poles import near_poles
from llgnegf.electrons.quadrature import (
    GAUSS_WEIGHTS,
    KRONROD_NODES,
    KRONROD_WEIGHTS,
    _quarter_period,
    adaptive_nodes,
    fermi_poles,
    step_poles,
    thermal_gauss,
)
from llgnegf.electrons.rational import aaa


def evaluate(rule, energies):
    terms = rule.weights / (energies[:, None] - rule.nodes)
    return rule.constant + 2 * terms.real.sum(axis=1)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    kT=st.sampled_from([0.001, 0.01, 0.05, 0.3]),
    tolerance=st.sampled_from([1e-4, 1e-7, 1e-10]),
    mu=st.floats(-2.5, 2.5),
    reach=st.sampled_from([2.5, 4.0, 22.0]),
)
def test_poles_reproduce_the_fermi_function_within_their_bound(kT, tolerance, mu, reach):
    low, high = -reach, reach + 0.25
    rule = fermi_poles(low, high, mu, kT, tolerance)
    assert rule.bound <= tolerance
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.uniform(low, high, 4000), mu + kT * 20 * rng.standard_normal(4000), [low, high]])
    points = points[(points >= low) & (points <= high)]
    assert abs(evaluate(rule, points) - expit(-(points - mu) / kT)).max() <= 1.05 * rule.bound + 1e-14
    assert (rule.nodes.imag >= 0).all()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    gap=st.sampled_from([1e-3, 1e-6, 1e-10, 1e-13]),
    tolerance=st.sampled_from([1e-4, 1e-7, 1e-10, 1e-13]),
    mu=st.floats(-2, 2),
)
def test_zolotarev_poles_reproduce_the_step_outside_the_gap(gap, tolerance, mu):
    rule = step_poles(mu, gap, 5.0, tolerance)
    assert rule.bound <= tolerance
    distance = np.concatenate([np.geomspace(1.0001 * gap, 4.999, 3001), np.geomspace(gap, 5, 17) * 0.9999])
    for sign in (-1, 1):
        outside = np.clip(distance, gap * 1.0001, 5)
        # Offsets from mu: forming E - mu in floating point would spoil a small gap.
        values = rule.constant + 2 * (rule.weights / (sign * outside[:, None] - (rule.nodes - mu))).real.sum(axis=1)
        assert abs(values - (sign < 0)).max() <= 1.01 * rule.bound + 1e-14
    inside = rule.constant + 2 * (rule.weights / (gap * np.linspace(-1, 1, 41)[:, None] - (rule.nodes - mu))).real.sum(
        axis=1
    )
    assert (inside > -2 * tolerance).all()
    assert (inside < 1 + 2 * tolerance).all()


def test_aaa_finds_a_rational_function():
    """By both ways to its poles; points and weights are those of SciPy, to the last digit."""
    poles, residues = np.array([0.3 + 0.2j, -1.1 + 0.05j, 2 + 1j]), np.array([0.4 - 1j, 0.2, 1.5j])
    x = np.linspace(-2.0, 3.0, 400)
    fit = aaa(x, 0.7 + 2 * (residues / (x[:, None] - poles)).real.sum(axis=1), 1e-13)
    for found in (fit.poles(), fit.poles_of_pencil()):
        strong = found[(abs(fit.residues(found)) > 1e-6) & (found.imag > 0)]
        order = [int(abs(strong - one).argmin()) for one in poles]
        assert len(strong) == 3
        np.testing.assert_allclose(strong[order], poles, atol=1e-11)
        np.testing.assert_allclose(fit.residues(strong)[order], residues, atol=1e-10)
    f = expit(-30 * x)
    fit, wanted = aaa(x, f, 1e-9), AAA(x, f, rtol=1e-9)
    np.testing.assert_array_equal(fit.points, wanted.support_points)
    np.testing.assert_allclose(fit.weights, wanted.weights, rtol=1e-9)


@pytest.mark.parametrize(("kT", "fermi_energy"), [(2e-5, 0.0), (0.01, 1.9), (0.3, -2.5), (0.01, 4.0)])
def test_near_poles_reproduce_the_fermi_function_and_stay_near(kT, fermi_energy):
    rule = near_poles(-3.0, 3.0, fermi_energy, kT, 1e-6, 5.4)
    e = np.unique(np.concatenate([np.linspace(-3, 3, 9001), fermi_energy + kT * np.linspace(-50, 50, 9001)]))
    e = e[abs(e) <= 3]
    assert abs(evaluate(rule, e) - expit(-(e - fermi_energy) / kT)).max() < 1.05 * rule.bound <= 1.05e-6
    assert (rule.nodes.imag > 0).all()
    assert abs(rule.nodes - (max(fermi_energy, 3) - 3) / 2).max() <= 5.4 * (1 + 1e-9)


def test_near_poles_of_a_spectrum_a_million_kt_wide():
    """Where the quicker way to the poles is not exact enough."""
    low, high, mu, kT, tolerance = -4.16, 4.16, -0.34, 7.4e-6, 9.3e-10
    rule = near_poles(low, high, mu, kT, tolerance, 4.0)
    E = np.clip(np.concatenate([mu + kT * np.linspace(-40, 40, 501), np.linspace(low, high, 501)]), low, high)
    found = rule.constant + 2 * (rule.weights / (E[:, None] - rule.nodes)).real.sum(axis=1)
    assert abs(found - expit(-(E - mu) / kT)).max() < 2 * tolerance


@pytest.mark.parametrize("poles", [fermi_poles, near_poles])
def test_poles_are_looked_for_with_one_thread_of_blas(poles, monkeypatch):
    """AAA factors many small matrices: two threads of OpenBLAS make it fifteen times as slow."""
    inside, real = [], np.linalg.svd
    monkeypatch.setattr(
        np.linalg, "svd", lambda *a, **k: inside.append(threads.one_blas_thread._inside) or real(*a, **k)
    )
    poles(-3.0, 3.0, 0.123, 0.05, 1e-4, *([4.0] if poles is near_poles else []))
    assert inside
    assert all(inside)


def test_a_fermi_function_of_which_next_to_nothing_is_left():
    """E_F far below the spectrum: values whose squares underflow."""
    assert fermi_poles(-3.0, 3.0, -3.25, 6.142552e-4, 4.8e-11).bound < 1e-170


@given(st.floats(1e-25, 1.0))
def test_quarter_period_by_the_arithmetic_geometric_mean(complement):
    a, b = 1.0, math.sqrt(complement)
    while a - b > 1e-15:
        a, b = (a + b) / 2, math.sqrt(a * b)
    assert _quarter_period(complement) == pytest.approx(math.pi / (a + b), rel=1e-14)


def test_the_optimal_rule_needs_few_poles():
    assert len(fermi_poles(-3.0, 3.0, 0.0, 0.01, 1e-6).nodes) <= 11
    assert len(step_poles(0.0, 1e-7, 3.0, 5e-8).nodes) <= 36


@pytest.mark.parametrize("reach", [1e41, 1e200, 1e308, np.inf])
def test_energies_without_any_common_scale_are_refused(reach):
    """The rule for kT = 0 would need hundreds of poles, or could not be found at all and was looked for without end."""
    with pytest.raises(ToleranceError, match="too far apart for double precision"):
        step_poles(0.0, 1.0, reach, 1e-6)
    with np.errstate(all="ignore"):
        for poles in (fermi_poles, lambda *rest: near_poles(*rest, 1.0)):
            with pytest.raises(ToleranceError, match="too low for a spectrum of width"):
                poles(-reach, reach, 0.0, 1.0, 1e-6)
    assert step_poles(0.0, 1.0, 1e30, 1e-6).bound <= 1e-6


def test_a_rule_that_cannot_be_found_is_not_looked_for_without_end(monkeypatch):
    monkeypatch.setattr(quadrature, "_zolotarev", lambda n, gap: (np.ones(n), np.ones(n), np.nan))
    with pytest.raises(ToleranceError, match="cannot be represented"):
        step_poles(0.0, 1e-3, 1.25, 1e-6)


def test_thermal_gauss_integrates_powers_against_the_fermi_slope():
    """int x^p (-f') dx = 2 p! (1 - 2^(1-p)) zeta(p) for even p."""
    zeta = {2: math.pi**2 / 6, 4: math.pi**4 / 90, 6: math.pi**6 / 945, 8: math.pi**8 / 9450}
    for n in (5, 8, 13):
        x, w = thermal_gauss(n)
        assert w.sum() == pytest.approx(1, abs=1e-14)
        for p in (1, 3, 5, 7):
            assert abs((w * x**p).sum()) < 1e-9 * (w * abs(x) ** p).sum()
        for p, z in zeta.items():
            assert (w * x**p).sum() == pytest.approx(2 * math.factorial(p) * (1 - 2.0 ** (1 - p)) * z, rel=1e-12)


def test_kronrod_and_gauss_weights_integrate_monomials_exactly():
    for p in range(23):
        exact = 2 / (p + 1) if p % 2 == 0 else 0.0
        assert KRONROD_WEIGHTS @ KRONROD_NODES**p == pytest.approx(exact, abs=5e-16 * 4)
        if p < 14:
            assert GAUSS_WEIGHTS @ KRONROD_NODES**p == pytest.approx(exact, abs=5e-16 * 4)
    x, w = np.polynomial.legendre.leggauss(7)
    assert KRONROD_NODES[1::2] == pytest.approx(x, abs=1e-15)
    assert GAUSS_WEIGHTS[1::2] == pytest.approx(w, abs=1e-15)


@pytest.mark.parametrize("width", [1.0, 1e-3, 1e-6])
def test_adaptive_panels_find_a_peak_at_a_break_point(width):
    def peak(x):
        return (width / np.pi / ((x - 0.3) ** 2 + width**2))[:, None] * np.array([1.0, 2.0])

    nodes, weights, used = adaptive_nodes(peak, np.array([-1.0, 0.3, 2.0]), 1e-10)
    exact = (np.arctan(1.7 / width) + np.arctan(1.3 / width)) / np.pi
    assert weights @ peak(nodes) == pytest.approx([exact, 2 * exact], abs=1e-9)
    assert used < 2500


# --- what is refused, and how -------------------------------------------------------------------


def test_an_integral_that_cannot_converge_says_what_to_change():
    with pytest.raises(ToleranceError, match=r"did not converge to 1\.0e-12 within 1000 Green's functions: use a"):
        adaptive_nodes(lambda x: np.sign(np.sin(1e5 * x))[:, None], np.array([0.0, 1.0]), 1e-12, 1000)


@pytest.mark.slow
def test_a_temperature_too_low_for_the_poles_says_what_to_change():
    with pytest.raises(ToleranceError, match=r"at temperature = 1e-08 .* use temperature = 0.0, a higher temperature"):
        fermi_poles(-3.0, 3.0, 0.1, 1e-8, 1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hopping": 0.0}, "hopping = 0.0: must be a number, > 0"),
        ({"temperature": -0.1}, "temperature = -0.1: must be a number, >= 0"),
        ({"sd_exchange": np.nan}, "sd_exchange = nan: must be a number, finite"),
        ({"fermi_energy": np.inf}, "fermi_energy = inf: must be a number, finite"),
        ({"tolerance": 1e-13}, "tolerance = 1e-13: must be a number, between 1e-12 and 0.1"),
        ({"leads": [Lead("left"), Lead("left")]}, "leads = ['left', 'left']: at most one lead a side"),
        ({"shape": (2, 3, 4)}, "shape = (2, 3, 4): use n or (n,) for a chain or (nx, ny) for a square lattice, whole"),
        ({"shape": 0}, "shape = 0: use n or (n,) for a chain"),
        ({"periodic": "y"}, "periodic = 'y': allowed are False (a chain has no y)"),
        ({"shape": (2, 3), "periodic": "x"}, "periodic = 'x': allowed are False and 'y' (the leads need an open x)"),
    ],
)
def test_a_device_refuses_wrong_arguments_by_name_and_value(arguments, message):
    with pytest.raises(ValueError, match=r".") as error:
        Device(**{"shape": (3,), "sd_exchange": 0.1, **arguments})
    assert message in str(error.value)


def test_leads_and_arrays_are_refused_by_name():
    with pytest.raises(ValueError, match="side = 'top' of a lead: use 'left' or 'right'"):
        Lead("top")
    with pytest.raises(ValueError, match="coupling = -1 of the left lead: use a finite number >= 0"):
        Lead("left", -1)
    device = Device(3, sd_exchange=0.1)
    with pytest.raises(ValueError, match=r"m: expected finite values of shape \(3, 3\), got shape \(2, 3\)"):
        device.freeze(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"mdot: expected finite values of shape \(3, 3\)"):
        device.spin_density(np.zeros((3, 3)), np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match=r"potential: expected finite values of shape \(3,\), got shape \(4,\)"):
        device.freeze(np.zeros((3, 3)), np.zeros(4))
    with pytest.raises(ValueError, match=r"potential_rate: expected finite values of shape \(3,\)"):
        device.spin_density(np.zeros((3, 3)), potential_rate=np.zeros(2))
