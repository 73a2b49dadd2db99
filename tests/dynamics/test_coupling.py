"""The coupled right-hand side: implicit velocity, back-action, conserved quantities, closed form of one moment."""

import numpy as np
import pytest

import integrators
from llgnegf.deck.tables import Gate
from llgnegf.dynamics.coupling import Coupling, field_name
from llgnegf.dynamics.gates import Gates
from llgnegf.electrons import Device, Lead
from llgnegf.errors import RunError
from llgnegf.magnet import Magnet
from tests.electrons.systems import AXES
from tests.oracles import classical, self_consistent

TERMS = {
    "exchange": 0.3,
    "dmi": 0.2,
    "anisotropy": 0.15,
    "hard_anisotropy": 0.1,
    "hard_axis": (0, 1, 0.2),
    "field": (0.1, 0.2, -0.3),
}


def random_moments(n, seed=1):
    m = np.random.default_rng(seed).normal(size=(n, 3))
    return m / np.linalg.norm(m, axis=1)[:, None]


def couple(n, exchange, *, couplings=(1.0, 1.0), fermi_energy=0.2, temperature=0.0, gates=(), terms=TERMS, **options):
    device = Device(
        n,
        sd_exchange=exchange,
        fermi_energy=fermi_energy,
        temperature=temperature,
        tolerance=1e-11,
        leads=[Lead("left", couplings[0]), Lead("right", couplings[1])],
    )
    return Coupling(Magnet((n,), **terms), device, Gates(gates, (n,)), **options)


def oracle_wire(m, exchange, *, couplings=(1.0, 1.0), fermi_energy=0.2, temperature=0.0):
    options = {"couplings": couplings, "fermi_energy": fermi_energy, "temperature": temperature}
    return self_consistent.still(m, exchange, **options)


def advance(coupling, m, duration, dt, method="rk4", watch=None):
    step, magnet = integrators.get(method).step, coupling.magnet
    y = magnet.pack(m)
    for k in range(round(duration / dt)):
        if watch is not None:
            watch(k * dt, y)
        y = magnet.normalize(step(coupling.velocity, k * dt, y, dt))
    if watch is not None:
        watch(duration, y)
    return magnet.unpack(y).copy()


def total_energy(coupling, y):
    """Classical energy and grand potential of the electrons, no gates."""
    frozen = coupling.device.freeze(coupling.magnet.unpack(y))
    return coupling.magnet.energies(y)["classical"] + frozen.grand_potential


# --- the implicit velocity ------------------------------------------------------------------------------------------

WIRES = [
    pytest.param({"exchange": 0.1, "fermi_energy": 0.2}, id="weak"),
    pytest.param({"exchange": 2.0, "fermi_energy": 0.3}, id="J=2"),
    pytest.param({"exchange": -2.0, "fermi_energy": 1.1, "couplings": (1.0, 0.6)}, id="J=-2"),
    pytest.param({"exchange": -2.0, "fermi_energy": 0.3, "couplings": (0.6, 0.0), "temperature": 0.1}, id="J=-2, warm"),
    pytest.param({"exchange": 0.7, "fermi_energy": 0.1, "couplings": (0.0, 0.0)}, id="closed"),
]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("spin", "damping", "back_action"), [(1.0, 0.0, 1.0), (0.7, 0.2, 0.5)])
def test_velocity_solves_the_implicit_equation(wire, spin, damping, back_action):
    n, wire = 3, dict(wire)
    exchange = wire.pop("exchange")
    m, terms = random_moments(n), TERMS | {"spin": spin, "damping": damping}
    coupling = couple(n, exchange, terms=terms, back_action=back_action, **wire)
    velocity = coupling.magnet.unpack(coupling.velocity(0.0, coupling.magnet.pack(m)))

    dense, B = oracle_wire(m, exchange, **wire), classical.field(m, **terms)
    A, b, R = self_consistent.equations(dense, B, spin=spin, damping=damping, back_action=back_action)
    np.testing.assert_allclose(A @ velocity.ravel(), b, atol=1e-9)
    assert abs((velocity * m).sum(axis=1)).max() < 1e-10
    # A lagged response, one step of the plain iteration, is something else.
    lagged = np.linalg.solve(A - R, b - R @ np.linalg.solve(A - R, b))
    assert np.linalg.norm(lagged - velocity.ravel()) > 1e-7

    # The same with the device asked afresh, so that nothing of the solver's state is used.
    spins = coupling.device.spin_density(m, velocity)
    left = spin * velocity - spin * damping * np.cross(m, velocity)
    right = -np.cross(m, B + back_action * exchange * spins.total)
    np.testing.assert_allclose(left, right, atol=1e-9)


@pytest.mark.parametrize("exchange", [2.0, -2.0])
@pytest.mark.parametrize("axis", AXES)
def test_strong_coupling_where_plain_iteration_diverges(exchange, axis):
    """A field along x, y or z on moments near it; S = 1/2, weak contacts."""
    wire = {"couplings": (0.6, 0.6), "fermi_energy": 0.3}
    terms = {"exchange": 0.1, "spin": 0.5, "damping": 0.02, "field": 0.2 * np.array(AXES[axis])}
    dense, distances = None, np.zeros(1)
    for seed in range(10):
        m = random_moments(3, seed)
        dense, B = oracle_wire(m, exchange, **wire), classical.field(m, **terms)
        distances = self_consistent.plain_iteration(dense, B, spin=0.5, damping=0.02)
        if distances[-1] > 1e3 * distances[0]:
            break
    assert distances[-1] > 1e3 * distances[0], "the oracle iteration should diverge here"
    expected = self_consistent.velocity(dense, B, spin=0.5, damping=0.02)
    coupling = couple(3, exchange, terms=terms, **wire)
    velocity = coupling.magnet.unpack(coupling.velocity(0.0, coupling.magnet.pack(m)))
    np.testing.assert_allclose(velocity, expected, atol=1e-9)


def test_gates_push_with_and_without_the_feedback_of_the_moments():
    gates = [Gate(columns=(0, 1), amplitude=0.8, frequency=0.7, phase=0.4)]
    m, t, exchange = random_moments(3), 1.3, 0.9
    potential, rate = np.zeros(3), np.zeros(3)
    potential[:2], rate[:2] = 0.8 * np.cos(0.7 * t + 0.4), -0.8 * 0.7 * np.sin(0.7 * t + 0.4)
    dense = oracle_wire(m, exchange)
    dense = type(dense)(**{**vars(dense), "potential": potential, "potential_rate": rate})
    B, found = classical.field(m, **TERMS), {}
    for order, feedback in [(0, True), (1, False), (1, True)]:
        coupling = couple(3, exchange, gates=gates, order=order, velocity_feedback=feedback)
        found[order, feedback] = coupling.magnet.unpack(coupling.velocity(t, coupling.magnet.pack(m)))
        expected = self_consistent.velocity(dense, B, order=order, feedback=feedback)
        np.testing.assert_allclose(found[order, feedback], expected, atol=1e-9)
    assert abs(found[0, True] - found[1, False]).max() > 1e-3
    assert abs(found[1, True] - found[1, False]).max() > 1e-3


def test_a_moment_at_rest_stays_at_rest():
    coupling = couple(1, 0.5, terms={"field": (0, 0, 0.3)})
    y = coupling.magnet.pack([[0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(coupling.velocity(0.0, y), np.zeros_like(y))


def test_vacancies_carry_no_velocity():
    m = random_moments(4)
    m[1] = 0
    coupling = couple(4, 0.8)
    velocity = coupling.magnet.unpack(coupling.velocity(0.0, coupling.magnet.pack(m)))
    np.testing.assert_array_equal(velocity[1], np.zeros(3))
    B = classical.field(m, **TERMS)
    np.testing.assert_allclose(velocity, self_consistent.velocity(oracle_wire(m, 0.8), B), atol=1e-9)


# --- back-action ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("exchange", "back_action"), [(0.8, 0.0), (0.0, 1.0)])
def test_watching_electrons_leave_the_classical_velocity_as_it_is(exchange, back_action):
    m = random_moments(4)
    coupling = couple(4, exchange, back_action=back_action)
    y = coupling.magnet.pack(m)
    np.testing.assert_array_equal(coupling.velocity(0.0, y), coupling.magnet.velocity(y))
    np.testing.assert_array_equal(coupling.motion(0.0, y).velocity, coupling.magnet.velocity(y))
    assert coupling.motion(0.0, y).electron_field is None


def test_half_back_action_is_half_the_field():
    """order 0: linear in the back-action; this is the letter of the skyrmion paper, s_D = <sigma>/2."""
    m = random_moments(3)
    found = {}
    for scale in (0.0, 0.5, 1.0):
        coupling = couple(3, 0.8, order=0, back_action=scale)
        found[scale] = coupling.velocity(0.0, coupling.magnet.pack(m))
    np.testing.assert_allclose(found[0.5], (found[0.0] + found[1.0]) / 2, atol=1e-14)
    assert abs(found[1.0] - found[0.0]).max() > 1e-2


def test_a_given_field_of_the_electrons_makes_the_velocity_explicit():
    coupling = couple(3, 0.8)
    y = coupling.magnet.pack(random_moments(3))
    motion = coupling.motion(0.0, y)
    solves = coupling.solves
    np.testing.assert_allclose(coupling.velocity_in(motion.electron_field, 0.0, y), motion.velocity, atol=1e-10)
    np.testing.assert_array_equal(coupling.velocity_in(None, 0.0, y), coupling.magnet.velocity(y))
    assert coupling.solves == solves


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_a_near_field_shortens_the_solution_and_leaves_it_as_it_is(temperature):
    coupling = couple(3, 0.8, temperature=temperature)
    y = coupling.magnet.pack(random_moments(3))
    cold = coupling.motion(0.0, y)
    first = coupling.solves
    for near, share in ((cold.electron_field, 0.7), (0 * y, 1.5), (100 * cold.electron_field, 1.5)):
        coupling.solves = 0
        warm = coupling.motion(0.0, y, near)
        np.testing.assert_allclose(warm.velocity, cold.velocity, atol=1e-10)
        np.testing.assert_allclose(warm.electron_field, cold.electron_field, atol=1e-10)
        assert coupling.solves < share * first


def test_velocity_tolerance_is_the_residual_of_the_velocity_equation():
    coupling = couple(3, 0.8)
    y = coupling.magnet.pack(random_moments(3))
    exact = coupling.velocity(0.0, y)
    solves, errors = [], []
    for tolerance in (1e-2, 1e-5, 1e-8):
        loose = couple(3, 0.8, velocity_tolerance=tolerance)
        errors.append(np.linalg.norm(loose.velocity(0.0, y) - exact) / np.linalg.norm(exact))
        assert errors[-1] < 5 * tolerance
        solves.append(loose.solves)
    assert errors[0] > 1e-4 > errors[1]
    assert solves == sorted(set(solves))


def test_every_greens_function_is_counted():
    coupling = couple(3, 0.8)
    y = coupling.magnet.pack(random_moments(3))
    frozen = coupling.motion(0.0, y).frozen
    first = coupling.solves
    assert first > 30
    assert frozen.solves == first  # its own, and told to the run's
    frozen.density_of_states(0.1)
    assert (frozen.solves, coupling.solves) == (first + 1, first + 1)
    coupling.velocity(0.0, y)
    assert (frozen.solves, coupling.solves) == (first + 1, 2 * first + 1)


# --- conservation ---------------------------------------------------------------------------------------------------

CONSERVING = [
    pytest.param({"order": 0, "couplings": (1.0, 0.7)}, id="adiabatic"),
    pytest.param({"order": 0, "couplings": (1.0, 0.7), "temperature": 0.1}, id="adiabatic, warm"),
    pytest.param({"order": 1, "couplings": (0.0, 0.0)}, id="geometric"),
    pytest.param({"order": 1, "couplings": (0.0, 0.0), "temperature": 0.2}, id="geometric, warm"),
]
STEPS = {"rk4": (0.2, 0.1, 0.05), "heun": (0.025, 0.0125, 0.00625)}


@pytest.mark.parametrize("system", CONSERVING)
@pytest.mark.parametrize("method", integrators.METHODS)
def test_energy_and_grand_potential_are_conserved_to_the_order_of_the_step(system, method):
    """Without friction (alpha = 0; no lead or order 0) only the integrator loses energy."""
    steps = STEPS[method]
    duration = 2.0 if method == "heun" and system["order"] == 1 else 4.0
    drifts = []
    for dt in steps:
        coupling, energies = couple(3, 0.8, **system), []
        every = round(steps[0] / dt)
        count = iter(range(10**6))

        def watch(t, y, coupling=coupling, energies=energies, every=every, count=count):
            if next(count) % every == 0:
                energies.append(total_energy(coupling, y))

        advance(coupling, random_moments(3), duration, dt, method, watch)
        drifts.append(abs(np.array(energies) - energies[0]).max())
    slopes = np.log2(np.array(drifts[:-1]) / drifts[1:])
    assert abs(slopes[-1] - integrators.get(method).order) < 0.3, (drifts, slopes)
    assert drifts[-1] < 2e-6


def test_friction_takes_energy_and_only_the_surface_part_does():
    """Power of the electrons' first-order field: -J s_surface.v <= 0 is all that is lost, J s_sea.v what is stored."""
    coupling = couple(3, 0.8, couplings=(1.0, 0.7))
    energies, powers = [], []

    def watch(t, y):
        energies.append(total_energy(coupling, y))
        motion = coupling.motion(t, y)
        m, v = coupling.magnet.unpack(y), np.ascontiguousarray(coupling.magnet.unpack(motion.velocity))
        spins = coupling.device.spin_density(m, v)
        powers.append([0.8 * (part * v).sum() for part in (spins.sea, spins.surface)])

    dt = 0.05
    advance(coupling, random_moments(3), 3.0, dt, watch=watch)
    total = np.sum(powers, axis=1)
    assert (total < 0).all()
    assert np.all(np.diff(energies) < 0)
    work = np.concatenate([[0], np.cumsum((total[1:] + total[:-1]) / 2 * dt)])
    np.testing.assert_allclose(np.array(energies) - energies[0], work, atol=2e-4 * abs(work).max())


def test_gates_do_work_on_the_charge():
    """alpha = 0, order 0: d(E + Omega)/dt = sum n_i dV_i/dt."""
    gate = Gate(columns=(0, 2), amplitude=0.5, frequency=1.1, phase=0.3)
    coupling = couple(3, 0.8, gates=[gate], order=0)
    energies, powers = [], []

    def watch(t, y):
        frozen = coupling.device.freeze(coupling.magnet.unpack(y), coupling.gates.potential(t))
        energies.append(coupling.magnet.energies(y)["classical"] + frozen.grand_potential)
        powers.append(frozen.adiabatic[:, 0] @ coupling.gates.rate(t))

    dt = 0.05
    advance(coupling, random_moments(3), 4.0, dt, watch=watch)
    powers = np.array(powers)
    simpson = dt / 3 * (powers[:-2:2] + 4 * powers[1:-1:2] + powers[2::2]).cumsum()
    np.testing.assert_allclose(np.array(energies)[2::2] - energies[0], simpson, atol=1e-6)
    assert np.ptp(simpson) > 0.1


# --- trajectories ---------------------------------------------------------------------------------------------------

ORDERS = [
    pytest.param({"order": 1, "temperature": 0.0}, id="feedback"),
    pytest.param({"order": 1, "velocity_feedback": False}, id="no feedback"),
    pytest.param({"order": 0, "temperature": 0.05}, id="adiabatic"),
]


@pytest.mark.parametrize("options", ORDERS)
@pytest.mark.parametrize("method", integrators.METHODS)
def test_trajectory_converges_with_the_order_of_the_integrator(method, options):
    gates = [Gate(columns=(1,), amplitude=0.4, frequency=1.3)]
    terms = TERMS | {"damping": 0.05}

    def end(dt, method):
        return advance(couple(3, 0.8, gates=gates, terms=terms, **options), random_moments(3), 1.0, dt, method)

    exact = end(1 / 80, "rk4")
    steps = np.array([1 / 5, 1 / 10, 1 / 20]) if method == "rk4" else np.array([1 / 20, 1 / 40, 1 / 80])
    errors = [np.linalg.norm(end(dt, method) - exact) for dt in steps]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - integrators.get(method).order) < 0.2, (errors, slope)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize(
    ("exchange", "couplings", "fermi_energy", "spin", "damping"),
    [
        (0.5, (1.0, 1.0), 0.0, 1.0, 0.0),
        (-1.3, (0.4, 0.9), 0.7, 0.8, 0.05),
        (2.0, (0.3, 0.3), -0.4, 0.3, 0.0),  # S' = S - (2D - sin 2D)/4pi is negative: the moment turns the other way
    ],
)
def test_macrospin_in_a_wire_follows_its_closed_form(axis, exchange, couplings, fermi_energy, spin, damping):
    field = 0.3 * np.array(AXES[axis])
    m0 = random_moments(1, 5)[0]
    terms = {"spin": spin, "field": field, "damping": damping}
    coupling = couple(1, exchange, couplings=couplings, fermi_energy=fermi_energy, terms=terms)
    dt = 0.02 if spin < 0.5 else 0.1
    parameters = {"exchange": exchange, "couplings": couplings, "fermi_energy": fermi_energy}
    for duration in (dt, 5.0):
        m = advance(coupling, m0[None], duration, dt)[0]
        expected = self_consistent.macrospin(m0, field, duration, spin=spin, damping=damping, **parameters)
        np.testing.assert_allclose(m, expected, atol=2e-8)
    free = self_consistent.macrospin(m0, field, 5.0, exchange=0, couplings=(1, 1), spin=spin, damping=damping)
    assert np.linalg.norm(expected - free) > 0.01


# --- a user's field -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", [None, 0.0, 0.6])
def test_a_users_field_is_a_zeeman_term(exchange):
    B, spin, m = np.array([0.1, 0.2, -0.3]), 1.3, random_moments(3)
    terms = {**TERMS, "spin": spin}
    bare = {**terms, "field": (0, 0, 0)}

    def user(t, m):
        return np.broadcast_to(spin * B, m.shape)

    if exchange is None:
        ours, reference = Coupling(Magnet((3,), **bare), field=user), Coupling(Magnet((3,), **terms))
    else:
        ours, reference = couple(3, exchange, terms=bare, field=user), couple(3, exchange, terms=terms)
    y = ours.magnet.pack(m)
    np.testing.assert_allclose(ours.velocity(0.0, y), reference.velocity(0.0, y), atol=1e-10)
    given = ours.magnet.pack(random_moments(3, 2))
    np.testing.assert_allclose(ours.velocity_in(given, 0.0, y), reference.velocity_in(given, 0.0, y), atol=1e-10)


def test_a_users_field_gets_time_and_a_copy_of_the_moments():
    seen = []

    def user(t, m):
        seen.append((t, m.copy()))
        m[:] = 7.0
        return np.zeros((3, 3))

    m = random_moments(3)
    coupling = couple(3, 0.5, field=user)
    y = coupling.magnet.pack(m)
    before = y.copy()
    coupling.velocity(1.5, y)
    np.testing.assert_array_equal(y, before)
    assert seen[0][0] == 1.5
    np.testing.assert_array_equal(seen[0][1], m)


def raising(t, m):
    raise KeyError("no table for this time")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (raising, r"field 'tests\.\w+\.test_coupling\.raising' raised KeyError at t = 2\.5: 'no table for this time'"),
        (lambda t, m: np.zeros(3), r"returned shape \(3,\) at t = 2\.5: expected \(2, 3\)"),
        (lambda t, m: np.where(np.arange(2)[:, None], np.nan, m), r"\[nan, nan, nan\] for site \[1\] at t = 2\.5"),
        (lambda t, m: [[1, 2, 3], [np.inf, 0, 0]], r"\[inf, 0\.0, 0\.0\] for site \[1\]"),
        (lambda t, m: "north", "raised ValueError"),
        (lambda t, m: None, "raised TypeError|returned shape"),
    ],
)
def test_a_wrong_field_is_told_with_name_time_and_remedy(field, text):
    coupling = Coupling(Magnet((2,)), field=field)
    with pytest.raises(RunError, match=text):
        coupling.velocity(2.5, coupling.magnet.pack(random_moments(2)))


class Pulse:
    def __call__(self, t, m):
        return 0 * m


def test_field_names():
    assert field_name(raising) == "tests.dynamics.test_coupling.raising"
    assert field_name(Pulse()) == "tests.dynamics.test_coupling.Pulse"


# --- trouble --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [50.0, 1e200, np.nan])
def test_a_moment_that_blows_up_is_blamed_on_the_step(length):
    coupling = couple(2, 0.5)
    y = coupling.magnet.pack(length * random_moments(2))
    with pytest.raises(RunError, match=r"t = 3\.5: integrator\.step is too large"):
        coupling.velocity(3.5, y)


def test_an_unsolved_velocity_equation_stops_the_run(monkeypatch):
    coupling = couple(3, 0.5)
    monkeypatch.setattr("llgnegf.dynamics.velocity_equation._MOST_DIRECTIONS", 1)
    with pytest.raises(RunError, match=r"did not converge at t = 0 \(residual .*electrons\.velocity_feedback = false"):
        coupling.velocity(0.0, coupling.magnet.pack(random_moments(3)))
