"""Moments with inertia: against the linearised equation, the equation itself, its energy, and its limits."""

import numpy as np
import pytest
from scipy.stats import kstest

from llgnegf.beside import integrators
from llgnegf.dynamics.coupling import Coupling
from llgnegf.dynamics.external import DrivenField, Drives
from llgnegf.dynamics.inertial import Inertial
from llgnegf.dynamics.profiles import make
from llgnegf.dynamics.refresh import Classical
from llgnegf.dynamics.thermal import ThermalField
from llgnegf.electrons import Device, Lead
from llgnegf.magnet import Magnet
from tests.oracles import classical

AXES = np.eye(3)
TERMS = {
    "exchange": 0.7,
    "dmi": 0.2,
    "anisotropy": 0.3,
    "easy_axis": (0.2, 1.0, 0.4),
    "hard_anisotropy": 0.15,
    "hard_axis": (1.0, 0.3, -0.2),
    "field": (0.1, 0.25, -0.2),
}


def random_state(shape, seed=3):
    rng = np.random.default_rng(seed)
    m = rng.standard_normal((*shape, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    v = rng.standard_normal((*shape, 3))
    return m, v - m * (m * v).sum(axis=-1, keepdims=True)


def path(coupling, m, v, dt, steps, inertia, method="rk4", **options):
    """Moments, velocities, energies (classical, kinetic) after each step, and the stepper."""
    magnet = coupling.magnet
    stepper = Inertial(coupling, integrators.get(method).step, dt, m, inertia, v, **options)
    y, found = magnet.pack(m), []
    for n in range(steps + 1):
        instant = stepper.instant(n, y)
        found.append((instant.m, np.array(instant.velocity), instant.energies["classical"], instant.kinetic))
        if n < steps:
            _, y = stepper.advance(n, y, n + 1)
    return (*(np.array(one) for one in zip(*found, strict=True)), stepper)


# --- the equation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", AXES, ids="xyz")
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_nutation_and_precession_of_a_small_deflection(axis, damping):
    """z = x + iy across the field: eta z'' + (alpha + i) z' + Omega z = 0, whose solution is two exponentials."""
    omega, eta, spin, dt, steps = 0.8, 0.6, 1.4, 0.01, 1000
    one, two = np.roll(axis, 1), np.roll(axis, 2)
    magnet = Magnet((1,), spin=spin, field=omega * axis, damping=damping)
    z0, v0 = 1e-5, (0.3 - 0.7j) * 1e-5
    m = (axis + z0 * one) / np.linalg.norm(axis + z0 * one)
    v = v0.real * one + v0.imag * two
    v -= m * (m @ v)
    moments = path(Coupling(magnet), m[None], v[None], dt, steps, eta)[0][:, 0]
    found = moments @ one + 1j * (moments @ two)
    slow, fast = np.roots([eta, damping + 1j, omega])
    amplitudes = np.linalg.solve([[1, 1], [slow, fast]], [z0, v0])
    t = dt * np.arange(steps + 1)
    exact = amplitudes[0] * np.exp(slow * t) + amplitudes[1] * np.exp(fast * t)
    assert abs(found - exact).max() < 1e-7 * abs(z0)
    # Without damping the two turn in opposite senses, the nutation at (1 + sqrt(1 + 4 eta Omega))/(2 eta).
    if not damping:
        root = np.sqrt(1 + 4 * eta * omega)
        assert sorted([slow.imag, fast.imag]) == pytest.approx([-(1 + root) / (2 * eta), (root - 1) / (2 * eta)])


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_the_equation_holds_with_a_current_and_a_drive(shape):
    """S v = -m x B + S alpha m x v + S eta m x a + S tau on each site: a by differences of v, B and tau by loops."""
    spin, damping, dt = 1.3, 0.25, 1e-3
    eta = 0.4 + 0.3 * np.random.default_rng(1).random(shape)
    current = {"zhang_li_velocity": (0.3, -0.2), "zhang_li_beta": 0.4}
    periodic = "x" if len(shape) == 1 else "y"
    magnet = Magnet(shape, periodic=periodic, spin=spin, damping=damping, **TERMS, **current)
    drive = DrivenField((0, 1, 1), 0.3, make("cosine", frequency=2.0, phase=0.4))
    m, v = random_state(shape)
    moments, velocities, *_ = path(Coupling(magnet, drives=Drives(magnet, [drive])), m, v, dt, 4, eta)
    here, moving = moments[2], velocities[2]
    acceleration = (velocities[0] - 8 * velocities[1] + 8 * velocities[3] - velocities[4]) / (12 * dt)
    driven = spin * 0.3 * np.cos(2.0 * 2 * dt + 0.4) * np.array([0, 1, 1]) / np.sqrt(2)
    b = classical.field(here, periodic=periodic, spin=spin, **TERMS) + driven
    tau = classical.zhang_li(here, periodic=periodic, **current)
    right = -np.cross(here, b) + spin * np.cross(here, damping * moving + eta[..., None] * acceleration) + spin * tau
    assert np.allclose(spin * moving, right, atol=1e-8)


def test_moments_stay_unit_vectors_and_velocities_across_them():
    magnet = Magnet((4, 3), periodic="y", damping=0.1, **TERMS)
    m, v = random_state((4, 3))
    moments, velocities, *_ = path(Coupling(magnet), m, v, 0.05, 100, 0.5)
    assert abs(np.linalg.norm(moments, axis=-1) - 1).max() < 1e-14
    assert abs((moments * velocities).sum(axis=-1)).max() < 1e-14


@pytest.mark.parametrize("method", ["heun", "rk4"])
def test_order_of_the_method(method):
    """The projection onto |m| = 1 and m.v = 0 does not lower it."""
    magnet = Magnet((4,), damping=0.2, **TERMS)
    m, v = random_state((4,))
    ends = [path(Coupling(magnet), m, v, 0.8 / k, k, 0.5, method)[0][-1] for k in (16, 32, 64, 512)]
    errors = [np.linalg.norm(end - ends[-1]) for end in ends[:-1]]
    order = integrators.get(method).order
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.4)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.4)


# --- energy ----------------------------------------------------------------------------------------------------------


def test_energy_is_conserved_without_damping():
    magnet = Magnet((4, 3), spin=1.4, **TERMS)
    m, v = random_state((4, 3))
    eta = 0.3 + np.random.default_rng(5).random((4, 3))
    _, _, potential, kinetic, _ = path(Coupling(magnet), m, v, 0.01, 400, eta)
    assert np.ptp(kinetic) > 1.0
    assert np.ptp(potential + kinetic) < 1e-6


def test_damping_takes_the_energy_of_friction():
    """d/dt(E + S eta/2 sum v^2) = -S alpha sum v^2."""
    spin, damping, dt = 1.4, 0.3, 0.01
    magnet = Magnet((5,), spin=spin, damping=damping, **TERMS)
    m, v = random_state((5,))
    _, velocities, potential, kinetic, _ = path(Coupling(magnet), m, v, dt, 400, 0.5)
    squares = (velocities**2).sum(axis=(1, 2))
    taken = spin * damping * dt * (squares.sum() - (squares[0] + squares[-1]) / 2)
    change = potential[-1] + kinetic[-1] - potential[0] - kinetic[0]
    assert taken > 1.0
    assert change == pytest.approx(-taken, rel=1e-4)


# --- limits ----------------------------------------------------------------------------------------------------------


def test_without_inertia_it_is_the_llg_equation():
    """From the velocity of the LLG equation, the difference vanishes with eta, and in proportion to it."""
    magnet = Magnet((5,), damping=0.3, **TERMS)
    m, _ = random_state((5,))
    y, dt, steps = magnet.pack(m), 0.001, 1000
    stepper = Classical(Coupling(magnet), integrators.get("rk4").step, dt)
    for n in range(steps):
        _, y = stepper.advance(n, y, n + 1)
    expected = magnet.unpack(y)
    apart = [
        np.linalg.norm(path(Coupling(magnet), m, None, dt, steps, eta)[0][-1] - expected) for eta in (0.02, 0.01, 0.005)
    ]
    assert apart[-1] < 0.02
    assert apart[0] / apart[1] == pytest.approx(2.0, abs=0.3)
    assert apart[1] / apart[2] == pytest.approx(2.0, abs=0.2)


def test_fixed_moments_and_vacancies_stay():
    magnet = Magnet((5,), damping=0.3, fixed=[(1,)], **TERMS)
    m, v = random_state((5,))
    m[3] = 0.0
    moments, velocities, *_ = path(Coupling(magnet), m, v, 0.02, 20, 0.5)
    assert np.array_equal(moments[-1][[1, 3]], m[[1, 3]])
    assert not velocities[:, [1, 3]].any()
    assert (moments[-1][[0, 2, 4]] != m[[0, 2, 4]]).all()


# --- with electrons, at a temperature --------------------------------------------------------------------------------


def wire(**options):
    return Device(
        (3,), sd_exchange=0.6, fermi_energy=0.4, temperature=0.05, leads=[Lead("left"), Lead("right")], **options
    )


@pytest.mark.parametrize("order", [0, 1])
def test_electrons_answer_to_the_velocity_that_the_moments_have(order):
    """The equation with B_el = J_sd s(m, v), s from the device itself."""
    spin, damping, eta, dt = 1.2, 0.1, 0.7, 2e-3
    magnet, device = Magnet((3,), spin=spin, damping=damping, **TERMS), wire()
    m, v = random_state((3,))
    moments, velocities, *_ = path(Coupling(magnet, device, order=order), m, v, dt, 4, eta)
    here, moving = moments[2], velocities[2]
    acceleration = (velocities[0] - 8 * velocities[1] + 8 * velocities[3] - velocities[4]) / (12 * dt)
    s = device.spin_density(here, moving if order else None)
    b = classical.field(here, spin=spin, **TERMS) + 0.6 * s.total
    right = -np.cross(here, b) + spin * np.cross(here, damping * moving + eta * acceleration)
    assert np.allclose(spin * moving, right, atol=1e-6)
    assert abs(s.total).max() > 0.02
    if order:
        assert abs(s.nonadiabatic).max() > 1e-3


def test_held_electrons_agree_to_first_order_in_the_step():
    magnet = Magnet((3,), damping=0.1, **TERMS)
    m, v = random_state((3,))

    def end(steps, holds):
        return path(Coupling(magnet, wire()), m, v, 0.8 / steps, steps, 0.7, holds=holds)[0][-1]

    best = end(32, False)
    errors = [np.linalg.norm(end(steps, True) - best) for steps in (8, 16)]
    assert 0 < errors[1] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.4)


@pytest.mark.parametrize("method", ["heun", "rk4"])
def test_equipartition_and_the_langevin_function(method):
    """S eta v^2/2 has the mean kT, two degrees of freedom, and m the Boltzmann distribution."""
    spin, damping, eta, kT, field, dt = 1.5, 0.8, 0.6, 0.3, 0.4, 0.02
    magnet = Magnet((50, 40), spin=spin, damping=damping, field=(0, field, 0))
    coupling = Coupling(magnet, thermal=ThermalField(magnet, kT, 4, dt))
    m = np.broadcast_to([0.0, 0.6, 0.8], (50, 40, 3))
    stepper = Inertial(coupling, integrators.get(method).step, dt, m, eta, np.zeros((50, 40, 3)))
    y = magnet.pack(m)
    for n in range(1500):
        _, y = stepper.advance(n, y, n + 1)
    assert stepper.instant(1500, y).kinetic / 2000 == pytest.approx(kT, rel=0.06)
    u, x = magnet.unpack(y)[..., 1].ravel(), spin * field / kT
    assert kstest(u, lambda u: (np.exp(x * u) - np.exp(-x)) / (np.exp(x) - np.exp(-x))).pvalue > 1e-3
