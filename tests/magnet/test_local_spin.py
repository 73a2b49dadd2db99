"""Local spins: the solver against the laboratory frame, closed forms against the solver, the torque they give."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import integrators
from llgnegf.magnet import Magnet
from llgnegf.magnet.local_spin import EffectiveMagnet, LocalSpins, torque_coefficients
from textures import neel, spiral

TIMES = np.linspace(0.0, 12.0, 25)
BOTH = [LocalSpins(0.4), LocalSpins(0.4, 0.9), LocalSpins(-0.3, 2.0), LocalSpins(0.5, 0.2), LocalSpins(-0.4)]


def frame(theta, phi):
    """e_theta, e_phi and n."""
    c, s, C, D = np.cos(theta), np.sin(theta), np.cos(phi), np.sin(phi)
    return np.array([[c * C, c * D, -s], [-D, C, 0.0], [s * C, s * D, c]])


@pytest.mark.parametrize("spins", BOTH, ids=str)
@pytest.mark.parametrize("p", [1, -1])
def test_the_moving_frame_is_the_laboratory(spins, p):
    """Eq. (8) against ds/dt = n x s/tau_ex - (s - p n)/tau_sf, along a path that turns in every way."""

    def angles(t):
        return 1.1 + 0.5 * np.sin(0.7 * t), 0.3 * t + 0.4 * np.sin(t)

    def rhs(t, s):
        n = frame(*angles(t))[2]
        return np.cross(n, s) / spins.exchange_time - (s - p * n) / spins.spin_flip_time

    start = p * frame(*angles(0.0))[2]
    lab = solve_ivp(rhs, (0, 12), start, "DOP853", t_eval=TIMES, rtol=1e-10, atol=1e-11).y.T
    local = np.array([frame(*angles(t)) @ s for t, s in zip(TIMES, lab, strict=True)])
    path = lambda t: (angles(t)[0], 0.35 * np.cos(0.7 * t), 0.3 + 0.4 * np.cos(t))  # noqa: E731
    np.testing.assert_allclose(spins.follow(TIMES, path, equilibrium=p), local, atol=1e-8)


@pytest.mark.parametrize("spins", BOTH, ids=str)
def test_closed_forms_at_constant_rates(spins):
    """Appendix B is exact; Eqs. (9) hold to first order, s_3 with the lost term to second."""
    theta, theta_rate, phi_rate = 1.1, 0.6, -0.8
    turn, spin = np.sin(theta) * phi_rate, np.cos(theta) * phi_rate
    frozen_frame = lambda t: (theta, theta_rate, phi_rate)  # noqa: E731
    for p in (1, -1):
        exact = spins.steady_rotation(TIMES, theta_rate, turn, spin, p)
        np.testing.assert_allclose(spins.follow(TIMES, frozen_frame, equilibrium=p), exact, atol=1e-8)
    # In print: s_1 of appendix B, in its letters.
    tau, T, decay = spins.exchange_time, spins.spin_flip_time, np.exp(-TIMES / spins.spin_flip_time)
    w3 = 1 / tau - spin
    om = np.sqrt(w3**2 + turn**2 + theta_rate**2)
    even, odd = np.cos(om * TIMES) + np.sin(om * TIMES) / (om * T), np.sin(om * TIMES) - np.cos(om * TIMES) / (om * T)
    s_1 = w3 * turn - theta_rate / T - decay * (w3 * turn * even + om * theta_rate * odd)
    np.testing.assert_allclose(spins.steady_rotation(TIMES, theta_rate, turn, spin)[:, 0], s_1 / (om**2 + 1 / T**2))
    errors, lost = [], []
    for eps in (0.02, 0.01):
        eps_1, eps_2 = -0.8 * eps, 0.6 * eps
        exact = spins.steady_rotation(TIMES, eps_2 / tau, eps_1 / tau)
        slow = spins.slow_rotation(TIMES, eps_1, eps_2)
        assert slow[0] == pytest.approx([0, 0, 1], abs=1e-15)
        errors.append(abs(slow - exact).max(axis=0))
        lost.append(slow[0, 2] + eps**2 / (1 + spins.xi**2))  # (9c) as printed
    errors = np.array(errors)
    assert (errors[1] < errors[0] / 6).all()  # the next order of each
    assert (errors[0] < 20 * 0.02**3).all()
    assert lost[0] - 1 == pytest.approx(0.02**2 / (1 + spins.xi**2))
    average = spins.average(-0.008, 0.006)
    assert spins.slow_rotation([1e4], -0.008, 0.006)[0, :2] == pytest.approx(average[:2], abs=0.02)


@pytest.mark.parametrize("xi", [0.0, 0.3, 1.0, 4.0])
def test_averages_over_many_exchange_times(xi):
    """Eqs. (10): whatever xi is, the transient is below 2/N of eps; and then Eq. (11) = Eq. (13)."""
    spins = LocalSpins(1.0, 1.0 / xi if xi else np.inf)
    for N in (20, 80):
        t = np.linspace(0, N, 200 * N + 1)
        mean = np.trapezoid(spins.slow_rotation(t, 0.01, 0.02), t, axis=0) / N
        assert abs(mean - spins.average(0.01, 0.02))[:2].max() < 2 * 0.03 / N
    e_theta, e_phi, n = frame(0.7, 2.1)
    rate = 0.02 * e_theta + 0.01 * e_phi
    local = spins.average(0.01, 0.02)
    for p in (1, -1):
        found = spins.accumulation(n, rate, p)
        np.testing.assert_allclose(found, p * (local[0] * e_theta + local[1] * e_phi), atol=1e-15)


# Spins against their field, p J_sd < 0, are excited: without flips the damping of the moments throws them over.
@pytest.mark.parametrize(
    ("J", "s_0", "tau_sf"),
    [(2.0, 0.3, np.inf), (-2.0, -0.3, np.inf), (2.0, 0.3, 0.6), (-2.0, -0.3, 0.6), (-2.0, 0.2, 0.6)],
)
def test_a_moment_with_its_electrons_moves_as_the_effective_magnet(J, s_0, tau_sf):
    """Both followed in a field along z, beside the macrospin with S~ and alpha~: Eqs. (16), (17) without a current."""
    S, alpha, B, T = 1.2, 0.05, 0.02, 150.0

    def rhs(t, y):
        m, s = y[:3], y[3:]
        torque = -np.cross(m, [0, 0, B]) + J * np.cross(s, m)
        return np.concatenate(
            [
                (torque + alpha * np.cross(m, torque)) / (S * (1 + alpha**2)),
                -2 * J * np.cross(m, s) - (s - s_0 * m) / tau_sf,
            ]
        )

    m0 = np.array([np.sin(1.0), 0, np.cos(1.0)])
    electrons = LocalSpins.of_coupling(J, tau_sf)
    one = electrons.effective_magnet(S, alpha, s_0)
    b = T * B / (one.spin * (1 + one.damping**2))
    theta = 2 * np.arctan(np.tan(0.5) * np.exp(-one.damping * b))
    found = solve_ivp(rhs, (0, T), [*m0, *(s_0 * m0)], "DOP853", rtol=1e-7, atol=1e-8).y[:3, -1]
    expected = [np.sin(theta) * np.cos(b), np.sin(theta) * np.sin(b), np.cos(theta)]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    # Without the electrons, and with their friction reversed, it would be somewhere else.
    for spin, damping in ((S, alpha), (one.spin, 2 * alpha - one.damping)):
        b = T * B / (spin * (1 + damping**2))
        theta = 2 * np.arctan(np.tan(0.5) * np.exp(-damping * b))
        if (spin, damping) != (one.spin, one.damping) and not (tau_sf == np.inf and spin == one.spin):
            other = [np.sin(theta) * np.cos(b), np.sin(theta) * np.sin(b), np.cos(theta)]
            assert abs(np.array(other) - found).max() > 0.02


@pytest.mark.parametrize(
    ("J", "p", "tau_sf"),
    [(1.5, 1, np.inf), (-1.5, -1, np.inf), (1.5, 1, 1.0), (-1.5, -1, 1.0), (-1.5, 1, 1.0)],
)
def test_a_wall_in_a_current_of_local_spins(J, p, tau_sf):
    """Spins that flow with velocity v through a wall of moments, both moving: V of the effective Zhang-Li magnet."""
    n, width, S, alpha, density, v = 160, 8.0, 1.0, 0.1, 0.2, 1.0
    magnet = Magnet((n,), exchange=1.0, anisotropy=0.5 / width**2, easy_axis=(1, 0, 0), spin=S, damping=alpha)
    step = integrators.get("rk4").step

    def rhs(t, y):
        m, s = magnet.unpack(magnet.pack(y[0])), y[1]
        velocity = magnet.unpack(magnet.velocity(magnet.pack(m), magnet.pack(J * density * s)))
        slope = np.gradient(s, axis=0)
        return np.stack([velocity, -v * slope - 2 * J * np.cross(m, s) - (s - p * m) / tau_sf])

    m = neel((n,), 80.0, width, (1, 0, 0))
    electrons = LocalSpins.of_coupling(J, tau_sf)
    start = p * m + electrons.accumulation(m, v * np.gradient(m, axis=0), p)
    y, dt, positions = np.stack([m, start]), 0.1, []
    for k in range(300):
        positions.append(y[0, :, 0].sum() / 2)
        y = step(rhs, k * dt, y, dt)
    one = electrons.effective_magnet(S, alpha, p * density, p * density * v)
    u, a, b = one.zhang_li_velocity, one.damping, one.zhang_li_beta
    found = np.polyfit(dt * np.arange(50, 300), positions[50:], 1)[0]
    assert found == pytest.approx(u * (1 + a * b) / (1 + a * a), rel=0.02)
    # Spins along m that flow to +x push the wall to -x: moments turn against their spins here.
    assert np.sign(u) == -p
    assert np.sign(b) == (0 if tau_sf == np.inf else -np.sign(J))
    # What the non-adiabatic torque alone does, beta u/alpha, goes with the electrons where they are the majority.
    if tau_sf < np.inf and p == np.sign(J):
        assert b * u / a > 0


@pytest.mark.parametrize("normal", [(0, 0, 1), (1, 0, 0), (0, 1, 0)])
def test_zhang_li_coefficients_from_the_solver(normal):
    """Spins carried along a spiral, at rest after a while: torque J s x m, a = v p/(2 (1 + xi^2)), -b/a = xi."""
    period, v = 60.0, 0.5
    m = spiral((60,), period, normal=normal)
    slope = (2 * np.pi / period) * np.cross(np.array(normal, float), m)
    for J, tau_sf in [(2.0, 0.5), (-2.0, 0.25), (-1.0, np.inf)]:
        electrons, p = LocalSpins.of_coupling(J, tau_sf), int(np.sign(J))

        def rhs(t, s, J=J, tau_sf=tau_sf, p=p):
            angle = 2 * np.pi / period * v * t
            n = np.cos(angle) * m[0] + np.sin(angle) * np.cross(normal, m[0])
            return -2 * J * np.cross(n, s) - (s - p * n) / tau_sf

        times = np.arange(60) / v
        s = solve_ivp(rhs, (0, times[-1]), p * m[0], "DOP853", t_eval=times, rtol=1e-6, atol=1e-8).y.T
        late = slice(20, None)
        a, b = torque_coefficients(J * np.cross(s, m)[late], m[late], slope[late])
        near = 0.02 if np.isfinite(tau_sf) else 0.1  # without flips the transient stays
        assert a == pytest.approx(p * v / (2 * (1 + electrons.xi**2)), rel=near)
        assert -b / a == pytest.approx(electrons.xi, abs=near)
        one = electrons.effective_magnet(3.0, 0.1, 0.0, p * v)
        assert one == EffectiveMagnet(3.0, 0.1, pytest.approx(-a / 3.0, rel=near), electrons.xi)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: LocalSpins(0.0), "exchange_time = 0.0: a finite number other than 0"),
        (lambda: LocalSpins(1.0, -2.0), "spin_flip_time = -2.0: a number above 0"),
        (lambda: LocalSpins.of_coupling(0.0), "sd_exchange = 0: another number"),
        (lambda: LocalSpins(1.0).follow([0.0], lambda t: (0, 0, 0)), "ascending times"),
        (lambda: LocalSpins(1.0).follow([0, 1], lambda t: (0, 0, 0), equilibrium=2), "equilibrium = 2: allowed are 1"),
        (lambda: LocalSpins(1.0).follow([0, 1], lambda t: (0, 0, 0), start=[1.0]), "start = .*three numbers"),
        (lambda: LocalSpins(-1.0).effective_magnet(0.0, 0.1, 0.1), "spin = 0.0: a number above 0"),
        (lambda: LocalSpins(-1.0).effective_magnet(0.5, 0.1, 1.0), "spin_density = 1.0: below 1.0 is needed"),
        (lambda: torque_coefficients(np.zeros((2, 3)), np.ones((2, 3)), np.zeros((2, 3))), "slope: it is zero"),
    ],
)
def test_impossible_arguments(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
