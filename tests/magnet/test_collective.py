"""Collective coordinates of a wall: the equations as printed, their exact solution, and a full chain of moments."""

import numpy as np
import pytest
from scipy.linalg import expm

import integrators
from llgnegf.magnet import Magnet
from llgnegf.magnet.collective import CollectiveWall, boltzmann_torque, wall_width
from textures import neel
from textures.zero_mode import flat_wall, spin_on_wall, wall_velocity


def printed(w, xi, V, dxi, T, P, Q=0.0):
    """What is left of Eqs. (12a), (12b) in their letters, with S in its place, kappa^2 = J/2K_hard, and Q."""
    g = w.spin * np.sqrt(2 / w.width) * (1 if w.clockwise else -w.turn)
    return (
        g * dxi + w.sd_exchange * T + 2 * w.damping * w.spin * V / w.width,
        -g * V + (2 * w.hard_anisotropy + w.sd_exchange * P) * xi + w.sd_exchange * Q + w.damping * w.spin * dxi,
    )


CASES = [
    CollectiveWall(5.0, 0.03, 1.0, 0.1, 0.5, clockwise=True),  # as printed
    CollectiveWall(5.0, 0.03, 1.7, 0.1, 0.5),
    CollectiveWall(2.5, 0.0, 0.6, 0.4, -0.8, turn=-1),
    CollectiveWall(3.0, 0.02, 1.0, 0.0, 1.0),
]


@pytest.mark.parametrize("w", CASES, ids=str)
def test_rates_solve_the_printed_equations(w):
    for xi, *spins in [(0.0, 0.3, 0.1), (0.7, -0.2, 0.4, 0.3), (-0.4, 0.0, -0.5, -0.2)]:
        V, dxi = w.rates(xi, *spins)
        assert printed(w, xi, V, dxi, *spins) == pytest.approx((0, 0), abs=1e-14)


@pytest.mark.parametrize("w", CASES, ids=str)
@pytest.mark.parametrize("spins", [(0.02, 0.1, 0.0), (-0.03, 0.05, 0.04), (0.01, 0.0, 0.0), (0.01, -0.1, 0.0)])
def test_exact_solution_integrator_and_matrix_exponential_agree(w, spins):
    times = np.linspace(0.0, 120.0, 7)
    exact = w.exact(times, *spins, position=3.0, out_of_plane=0.2)
    found = w.integrate(times, lambda t, X, xi: spins, position=3.0, out_of_plane=0.2)
    for a, b in zip(found, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)
    # X, xi_0, 1: linear equations, from rates at xi_0 = 0 and 1.
    (v0, x0), (v1, x1) = w.rates(0.0, *spins), w.rates(1.0, *spins)
    generator = np.array([[0, v1 - v0, v0], [0, x1 - x0, x0], [0, 0, 0]])
    for k, t in enumerate(times):
        X, xi, _ = expm(t * generator) @ [3.0, 0.2, 1.0]
        assert (exact.position[k], exact.out_of_plane[k]) == pytest.approx((X, xi), rel=1e-9)


def test_from_rest_the_velocity_is_not_that_of_print():
    """V = V* [1 - exp(-t/tau)/(1 + alpha^2)]; V*, xi_0*, tau as in their Eqs. (15) and (16), kappa^2 = J/2K_hard."""
    w, J, (T, P) = CASES[0], 0.5, (0.02, 0.1)
    alpha, width, M = 0.1, 5.0, 0.06 + 0.5 * 0.1
    assert w.terminal_velocity(T) == pytest.approx(-width * J * T / (2 * alpha))
    assert w.terminal_out_of_plane(T, P) == pytest.approx(-np.sqrt(width / 2) * J * T / (alpha * M))
    tau = w.relaxation_time(P)
    assert tau == pytest.approx((1 / alpha + alpha) / M)
    t = np.linspace(0, 4 * tau, 9)
    motion = w.exact(t, T, P)
    np.testing.assert_allclose(motion.velocity, w.terminal_velocity(T) * (1 - np.exp(-t / tau) / (1 + alpha**2)))
    np.testing.assert_allclose(motion.out_of_plane, w.terminal_out_of_plane(T, P) * (1 - np.exp(-t / tau)))
    # Here moments turn the other way: the tilt is reversed, the velocity is not; so for a wall that turns otherwise.
    here, other = (CollectiveWall(width, 0.03, 1.0, alpha, J, turn=turn).exact(t, T, P) for turn in (1, -1))
    np.testing.assert_allclose(here.velocity, motion.velocity)
    np.testing.assert_allclose(here.out_of_plane, -motion.out_of_plane)
    np.testing.assert_allclose(other.out_of_plane, motion.out_of_plane)


def test_torques_that_change_and_follow_the_wall():
    """A spring that pulls the wall back, and torques that come and go: against small steps of the printed equations."""
    w = CASES[1]

    def spins(t, X, xi):
        return 0.05 * X + 0.02 * np.sin(0.3 * t), 0.1 * np.cos(0.2 * t), 0.01 * t / 10

    def rhs(t, y):
        T, P, Q = spins(t, y[0], y[1])
        g, J, S, a = -np.sqrt(2 / w.width) * w.spin, w.sd_exchange, w.spin, w.damping
        matrix = np.array([[2 * a * S / w.width, g], [-g, a * S]])
        return np.linalg.solve(matrix, [-J * T, -(2 * w.hard_anisotropy + J * P) * y[1] - J * Q])

    y, dt = np.array([1.0, 0.1]), 0.02
    for n in range(1000):
        y = integrators.get("rk4").step(rhs, n * dt, y, dt)
    found = w.integrate([0.0, 20.0], spins, position=1.0, out_of_plane=0.1)
    assert (found.position[-1], found.out_of_plane[-1]) == pytest.approx(tuple(y), rel=1e-7)
    assert found.velocity[-1] == pytest.approx(rhs(20.0, y)[0], rel=1e-6)


def test_the_field_of_walker_and_the_current_of_zhang_and_li():
    """A field B along x pushes a head-to-head wall with lambda B/alpha to +x; a current gives both known velocities."""
    w = CollectiveWall(6.0, 0.05, 1.4, 0.2)
    x = np.arange(101)
    field = np.tile([1.4 * 0.01, 0.0, 0.0], (101, 1))  # S B
    T = spin_on_wall(neel((101,), 50.0, 6.0, (1, 0, 0)), field, 6.0).torque_perpendicular
    assert w.terminal_velocity(T) == pytest.approx(6.0 * 0.01 / 0.2, rel=1e-4)
    u, beta = 0.03, 0.5
    for turn in (1, -1):
        w = CollectiveWall(6.0, 0.05, 1.4, 0.2, turn=turn)
        T, Q = w.spins_of_current(u, beta)
        assert w.terminal_velocity(T) == pytest.approx(beta * u / 0.2)
        assert w.rates(0.0, T, 0.0, Q)[0] == pytest.approx(u * (1 + 0.2 * beta) / (1 + 0.2**2))
        # The torque of the current itself, from the LLG, moves X as T and Q do.
        m = neel((101,), 50.0, 6.0, (1, 0, 0), turn)
        magnet = Magnet((101,), spin=1.4, damping=0.2, zhang_li_velocity=(u, 0), zhang_li_beta=beta)
        velocity = magnet.unpack(magnet.velocity(magnet.pack(m)))
        assert wall_velocity(m, velocity, 6.0) == pytest.approx(w.rates(0.0, T, 0.0, Q)[0], rel=2 / 6**2)
    assert x.size == 101


def test_boltzmann_torque_is_their_integral():
    """Eq. (20) from Eqs. (18a), (19) and (4) on a fine mesh of k: hbar = a = m = e = 1, their J_sd and T."""
    kT, mu, tau_E, J, eta = 0.2, 1.0, 1e-3, 0.3, 2e-3
    k = np.linspace(-np.pi, np.pi, 400_001)
    shift = np.pi / 2

    def occupation(sign):
        energy, velocity = (k - sign * shift) ** 2 / 2, k - sign * shift
        f = 1 / (np.exp((energy - mu) / kT) + 1)
        return energy, f + tau_E * velocity * (-f * (1 - f) / kT)

    (up, f_up), (down, f_down) = occupation(1), occupation(-1)
    lesser = -1j * J / 2 * (f_up - f_down) / (up - down - 1j * eta)
    T = 0.5 * np.trapezoid(lesser.real, k)
    # j/j0 = (n e^2 tau E/m)/(4 n e hbar/(pi m a)); here J is half of theirs and T twice theirs.
    found = boltzmann_torque(J / 2, kT, shift**2 / 2 - mu, tau_E * np.pi / 4)
    assert found == pytest.approx(2 * T, rel=2e-3)
    # Eq. (21), in their letters.
    w = CollectiveWall(8.0, 0.1, 1.0, 0.02, J / 2)
    sech2 = 1 / np.cosh((shift**2 / 2 - mu) / (2 * kT)) ** 2
    assert w.terminal_velocity(found) == pytest.approx(-8 * J * J / kT * sech2 * tau_E * np.pi / 4 / (8 * 0.02))
    assert boltzmann_torque(0.1, 0.001, 10.0, 1.0) == 0.0  # no overflow


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0.0}, "width = 0.0: a number above 0"),
        ({"spin": -1.0}, "spin = -1.0: a number above 0"),
        ({"damping": -0.1}, "damping = -0.1: a number not below 0"),
        ({"sd_exchange": np.nan}, "sd_exchange = nan: a finite number"),
        ({"turn": 0}, "turn = 0: allowed are 1 and -1"),
    ],
)
def test_impossible_walls(changes, message):
    with pytest.raises(ValueError, match=message):
        CollectiveWall(**({"width": 1.0} | changes))


def test_impossible_questions():
    w = CollectiveWall(3.0)
    with pytest.raises(ValueError, match="without it the wall has no terminal velocity"):
        w.terminal_velocity(1.0)
    with pytest.raises(ValueError, match=r"2 K_hard \+ J_sd P = 0.0"):
        CollectiveWall(3.0, damping=0.1).terminal_out_of_plane(1.0)
    assert w.relaxation_time() == np.inf
    with pytest.raises(ValueError, match="ascending times"):
        w.integrate([1.0, 0.0], lambda t, X, xi: (0, 0, 0))
    with pytest.raises(ValueError, match="counterclockwise"):
        CollectiveWall(3.0, clockwise=True).spins_of_current(1.0, 0.0)
    with pytest.raises(ValueError, match="numbers above 0 are needed for a wall"):
        wall_width(1.0, 0.0)
    with pytest.raises(ValueError, match="temperature = 0"):
        boltzmann_torque(1.0, 0.0, 1.0, 1.0)
    assert wall_width(1.0, 0.02) == 5.0
    assert w.integrate([2.0], lambda t, X, xi: (0.1, 0, 0), position=4.0).position == [4.0]


# --- a chain of moments in a prescribed spin density ------------------------------------------------------------------

DAMPING, HARD, J = 0.3, 0.04, 0.5


def followed(width, push, easy_axis=(1, 0, 0), chirality=1, sd_exchange=J, duration=150.0, dt=0.15):
    """Times, X, V and xi_0 of 200 moments in a spin density that goes with the wall, and its T, P, Q.

    Transverse spin accumulation along y-bar and out of the plane in the wall, spins along their field everywhere.
    """
    n = 200
    magnet = Magnet(
        (n,), exchange=1.0, anisotropy=0.5 / width**2, easy_axis=(1, 0, 0), hard_anisotropy=HARD, hard_axis=(0, 0, 1),
        damping=DAMPING,
    )  # fmt: skip
    x, step = np.arange(n), integrators.get("rk4").step
    y = magnet.pack(neel((n,), 0.5 * n - 0.5, width, easy_axis, chirality))
    spins = None

    def density(position, head, side):
        u = (x - position) / width
        n0 = np.stack([-head * np.tanh(u), side / np.cosh(u), 0 * u], axis=-1)
        across = np.cross([0, 0, 1], n0)
        bump = (1 / np.cosh(1.3 * u) / width)[:, None]
        return 0.1 * np.sign(sd_exchange) * n0 + push * bump * (head * side * across + 0.6 * np.array([0, 0, 1.0]))

    def rhs(t, y):
        wall = flat_wall(magnet.unpack(y), width)
        return magnet.velocity(y, magnet.pack(sd_exchange * density(wall.position, wall.head, wall.side)))

    record = []
    for k in range(round(duration / dt) + 1):
        if k % 50 == 0:
            m = magnet.unpack(y)
            wall = flat_wall(m, width)
            spins = spin_on_wall(m, density(wall.position, wall.head, wall.side), width)
            velocity = magnet.unpack(rhs(0, y))
            record.append((k * dt, wall.position, wall_velocity(m, velocity, width), wall.out_of_plane))
        y = magnet.normalize(step(rhs, k * dt, y, dt))
    return np.array(record).T, spins, CollectiveWall(width, HARD, 1.0, DAMPING, sd_exchange, turn=wall.turn)


def deviations(*arguments, **changes):
    """Of the chain from the collective coordinates: of X(t), V(t), xi_0(t), V*, xi_0* and tau, relative."""
    (t, X, V, xi), spins, w = followed(*arguments, **changes)
    exact = w.exact(t, *spins, position=X[0])
    ends = w.terminal_velocity(spins[0]), w.terminal_out_of_plane(*spins)
    early = t < 2 * w.relaxation_time(spins[1])
    rate = -np.polyfit(t[early], np.log(np.abs(ends[1] - xi[early])), 1)[0]
    return [
        np.abs(X - exact.position).max() / np.ptp(exact.position),
        np.abs(V - exact.velocity).max() / abs(ends[0]),
        np.abs(xi - exact.out_of_plane).max() / abs(ends[1]),
        abs(V[-1] / ends[0] - 1),
        abs(xi[-1] / ends[1] - 1),
        abs(rate * w.relaxation_time(spins[1]) - 1),
    ]


def test_a_chain_of_moments_moves_as_the_collective_coordinates():
    """The first two relaxation times; of another chirality and for J_sd < 0, so that no sign can hide."""
    (t, X, V, xi), spins, w = followed(4.0, 0.006, chirality=-1, sd_exchange=-J, duration=60.0, dt=0.3)
    exact = w.exact(t, *spins, position=X[0])
    assert np.ptp(exact.position) > 0.2
    np.testing.assert_allclose(X, exact.position, atol=0.005 * np.ptp(exact.position))
    np.testing.assert_allclose(V, exact.velocity, atol=0.01 * abs(exact.velocity).max())
    np.testing.assert_allclose(xi, exact.out_of_plane, atol=0.005 * abs(exact.out_of_plane).max())


@pytest.mark.slow
def test_the_deviation_falls_with_the_width_of_the_wall():
    narrow, wide = (np.array(deviations(width, 0.002, duration=280.0, dt=0.3)) for width in (3.0, 6.0))
    assert (narrow < 0.01).all()
    assert (wide < 0.002).all()
    assert (wide < 0.5 * narrow).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("easy_axis", "chirality", "sd_exchange"),
    [((1, 0, 0), 1, -J), ((1, 0, 0), -1, J), ((-1, 0, 0), 1, J), ((-1, 0, 0), -1, -J)],
)
def test_every_wall_and_both_signs_of_the_coupling(easy_axis, chirality, sd_exchange):
    """Head to head and tail to tail, both chiralities: deviations are those of signed numbers."""
    found = np.array(deviations(6.0, 0.002, easy_axis, chirality, sd_exchange, duration=280.0, dt=0.3))
    assert (found < 0.005).all()
