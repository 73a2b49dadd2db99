"""Moments and electrons in real time as one system: against unitary evolution, its order, and what it conserves."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

import integrators
from llgnegf.dynamics.coupling import Coupling
from llgnegf.dynamics.external import Drives
from llgnegf.dynamics.gates import Gates
from llgnegf.dynamics.imposed import Imposed
from llgnegf.dynamics.real_time import RealTimeStepper
from llgnegf.electrons import Device, Lead
from llgnegf.electrons.steady import steady_precession
from llgnegf.errors import RunError
from llgnegf.magnet import Magnet
from tests.electrons.real_time_cases import long_system, unit_vectors
from tests.oracles import classical
from tests.oracles.unitary import evolve_with_moments

# Levels that no lead fills are told, as by frozen electrons.
pytestmark = pytest.mark.filterwarnings("ignore:a level outside the bands:llgnegf.errors.RunWarning")

TERMS = {
    "exchange": 0.4,
    "anisotropy": 0.2,
    "easy_axis": (0.0, 1.0, 0.0),
    "field": (0.5, 0.1, -0.6),
    "spin": 1.3,
}
GATES = (
    SimpleNamespace(columns=(0,), amplitude=0.5, frequency=0.9, phase=0.3),
    SimpleNamespace(columns=(-1,), amplitude=0.3, frequency=1.4, phase=0.0),
)


def follower(
    shape=(3,),
    dt=0.1,
    method="rk4",
    couplings=(0.8, 1.0),
    filled=({}, {}),
    damping=0.0,
    gates=GATES,
    back_action=1.0,
    turning=None,
    duration=20.0,
    start=None,
    terms=TERMS,
    stepper=None,
    fields=(),
    **options,
):
    """A `RealTimeStepper`; filled: what leads have of their own; turning: (axis, frequency) of imposed moments; fields:
    driven; options: of the device; stepper: its own."""
    options = {"sd_exchange": 0.8, "fermi_energy": 0.3, "temperature": 0.2, "tolerance": 1e-5} | options
    leads = [Lead(side, c, **more) for side, c, more in zip(("left", "right"), couplings, filled, strict=True)]
    device = Device(shape, leads=leads, **options)
    magnet = Magnet(shape, damping=damping, **terms)
    coupling = Coupling(
        magnet, device, Gates(gates, shape), back_action=back_action, drives=Drives(magnet, fields) if fields else None
    )
    start = unit_vectors(np.random.default_rng(3), shape) if start is None else start
    method = integrators.get(method) if isinstance(method, str) else method
    imposed = Imposed(coupling, start, dt, *turning, precession=True) if turning else None
    return RealTimeStepper(coupling, start, dt, method, duration, imposed=imposed, **(stepper or {}))


def run(stepper, until, every=None):
    """Instants at 0, every, ..., until."""
    steps, y = round(until / stepper.dt), stepper.coupling.magnet.pack(stepper.start)
    every = steps if every is None else round(every / stepper.dt)
    seen, n = [stepper.instant(0, y)], 0
    while n < steps:
        n, y = stepper.advance(n, y, steps)
        if n % every == 0:
            seen.append(stepper.instant(n, y))
    return seen


def end_of(stepper, until=2.0):
    """Moments and spins, flat."""
    last = run(stepper, until)[-1]
    return np.concatenate([last.m.ravel(), last.traced.ravel(), [last.energy_electrons, last.work]])


# --- against unitary evolution --------------------------------------------------------------------


def beside_unitary(stepper, until, every, damping=0.0, back_action=1.0):
    """Largest error of moments, spins, densities and currents, and how far the moments turned."""
    seen = run(stepper, until, every)[1:]
    coupling = stepper.coupling
    long, options = long_system(coupling.device, until)
    exact = evolve_with_moments(
        long,
        [one.t for one in seen],
        stepper.start,
        lambda t, m: classical.field(m, periodic=coupling.magnet.periodic, **TERMS),
        spin=TERMS["spin"],
        damping=damping,
        back_action=back_action,
        potential=coupling.gates.potential,
        **options,
    )
    pairs = (
        ("m", exact.moments),
        ("spin_density", exact.spin),
        ("density", exact.density),
        ("charge", exact.current),
        ("spin", exact.spin_current),
    )
    found = {
        name: max(float(abs(value_of(one, name) - value).max()) for one, value in zip(seen, values, strict=True))
        for name, values in pairs
    }
    return found, abs(exact.moments[-1] - stepper.start).max()


def value_of(instant, name):
    if name == "density":
        return instant.traced[..., 0]
    return getattr(instant.flows, name) if name in ("charge", "spin") else getattr(instant, name)


@pytest.mark.parametrize(
    ("shape", "damping", "back_action", "options"),
    [
        ((2,), 0.1, 0.7, {}),
        ((1,), 0.0, 1.0, {"sd_exchange": 2.0}),
        ((2, 2), 0.1, 1.0, {"couplings": (0.0, 1.0), "temperature": 0.4, "periodic": "y"}),
    ],
)
def test_moments_and_electrons_equal_unitary_evolution(shape, damping, back_action, options):
    stepper = follower(shape, 0.025, damping=damping, back_action=back_action, terms=terms_of(options), **options)
    found, turned = beside_unitary(stepper, 3.0, 1.5, damping, back_action)
    assert max(found.values()) < stepper.coupling.device.tolerance, found
    assert turned > 0.3


def terms_of(options):
    return TERMS | ({"periodic": options["periodic"]} if "periodic" in options else {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "options", "damping"),
    [
        ((7,), {"temperature": 0.05}, 0.1),
        ((7,), {"temperature": 0.0, "sd_exchange": 2.0}, 0.0),
        ((2,), {"temperature": 0.05, "couplings": (0.3, 0.0)}, 0.0),
        ((2,), {"temperature": 0.05, "couplings": (0.3, 0.0)}, 0.1),
        ((3, 2), {"temperature": 0.1}, 0.1),
    ],
)
def test_moments_and_electrons_equal_unitary_evolution_for_long(shape, options, damping):
    until = 20.0 if len(shape) == 1 else 12.0
    stepper = follower(shape, 0.04, damping=damping, tolerance=1e-4, duration=until, **options)
    found, _ = beside_unitary(stepper, until, 4.0, damping)
    # What the electrons miss, the moments take up for as long as they turn.
    assert max(found.values()) < 3 * stepper.coupling.device.tolerance, found


# --- the order of the step ------------------------------------------------------------------------


def three_stages(rhs, t, y, h):
    """Ralston's method of order 3 (Math. Comp. 16, 431 (1962))."""
    a = rhs(t, y)
    b = rhs(t + h / 2, y + h / 2 * a)
    c = rhs(t + 3 * h / 4, y + 3 * h / 4 * b)
    return y + h / 9 * (2 * a + 3 * b + 4 * c)


THIRD = SimpleNamespace(name="ralston", order=3, stages=3, stability=2.5, coefficients=None, step=three_stages)


def without_coefficients(name):
    known = integrators.get(name)
    return SimpleNamespace(
        name=name, order=known.order, stages=known.stages, stability=known.stability, coefficients=None, step=known.step
    )


@pytest.mark.parametrize("method", ["rk4", "heun", THIRD], ids=["rk4", "heun", "ralston"])
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_moments_and_electrons_converge_with_the_order_of_the_method(method, damping):
    order = (integrators.get(method) if isinstance(method, str) else method).order
    exact = end_of(follower((2,), 0.00625, damping=damping))
    steps = np.array([0.2, 0.1, 0.05]) if order == 4 else np.array([0.1, 0.05, 0.025])
    errors = [abs(end_of(follower((2,), h, method, damping=damping)) - exact).max() for h in steps]
    slopes = np.diff(np.log(errors)) / np.diff(np.log(steps))
    assert abs(slopes - order).max() < 0.35, slopes


@pytest.mark.parametrize("method", ["rk4", "heun"])
def test_both_ways_to_make_a_step_are_the_same_step(method):
    one, other = (end_of(follower((2,), method=m, damping=0.1)) for m in (method, without_coefficients(method)))
    assert abs(one - other).max() < 1e-13
    in_tiles, apart = (end_of(follower((2, 8), 0.05, m), 0.5) for m in (method, without_coefficients(method)))
    assert abs(in_tiles - apart).max() < 1e-13


@pytest.mark.parametrize(
    "options",
    [{}, {"method": without_coefficients("rk4")}, {"turning": ((0, 0, 1.0), 0.3)}, {"stepper": {"tolerance": 1e-3}}],
    ids=["stages", "any method", "known beforehand", "divided"],
)
def test_memory_does_not_grow_with_the_number_of_steps(options):
    stepper = follower((1,), tolerance=1e-3, **options)
    run(stepper, 0.8, 0.1)
    tracemalloc.start()
    try:
        y = stepper.coupling.magnet.pack(stepper.start)
        for n in range(8, 40):
            _, y = stepper.advance(n, y, n + 1)
        assert tracemalloc.get_traced_memory()[0] < 6 * 8 * np.prod(stepper.electrons.shape)
    finally:
        tracemalloc.stop()


def test_a_step_that_is_unstable_is_refused():
    with pytest.raises(RunError, match=r"integrator.step = 0.9: rk4 is unstable .* at most 0\.\d+, or .*adaptive"):
        _ = follower(dt=0.9).planned
    with pytest.raises(RunError, match="heun is unstable"):
        run(follower(dt=0.5, method="heun"), 1.0)
    assert follower(dt=0.9, stepper={"tolerance": 1e-5}).planned is not None


# --- steps that are divided -----------------------------------------------------------------------


def gate(frequency, amplitude=0.4):
    return (SimpleNamespace(columns=(0,), amplitude=amplitude, frequency=frequency, phase=0.3),)


@pytest.mark.parametrize("frequency", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("method", ["rk4", "heun"])
def test_divided_steps_keep_the_error_below_the_tolerance(frequency, method):
    tolerance, gates = 1e-4, gate(frequency)
    options = {"gates": gates, "damping": 0.1, "tolerance": tolerance}
    divided = follower((2,), 0.5, method, stepper={"tolerance": tolerance}, **options)
    found, exact = end_of(divided, 6.0), end_of(follower((2,), 0.0125, **options), 6.0)
    assert abs(found[:-2] - exact[:-2]).max() < tolerance
    assert divided.steps.parts > 1


def test_the_number_of_parts_goes_up_and_down():
    """A user's field that turns the moments fast for a while."""

    def kick(t, m):
        return 20.0 * np.exp(-(((t - 20.0) / 6.0) ** 2)) * np.broadcast_to([0.0, 0.6, 0.8], m.shape)

    stepper = follower((2,), 0.2, gates=(), damping=0.0, stepper={"tolerance": 1e-4}, tolerance=1e-4)
    stepper.coupling.field = kick
    y, parts = stepper.coupling.magnet.pack(stepper.start), []
    for n in range(240):
        _, y = stepper.advance(n, y, 240)
        parts.append(stepper.steps.parts)
    assert max(parts) >= 4 * parts[0]
    assert parts[-1] <= max(parts) / 4


def test_an_error_that_cannot_be_reached_is_told(monkeypatch):
    monkeypatch.setattr("llgnegf.dynamics.step_lengths._MOST_PARTS", 4)
    stepper = follower((2,), 0.5, gates=gate(8.0, 20.0), stepper={"tolerance": 1e-8})
    with pytest.raises(RunError, match=r"t = 0: the error of a step of .* use a larger electrons.tolerance"):
        run(stepper, 4.0)


# --- what is conserved ----------------------------------------------------------------------------


def voltages(function, reach=0.3):
    """Smooth voltages of the leads, for a stepper."""
    return SimpleNamespace(at=lambda t, _within: np.array(function(t)), reach=reach, drives=(), profiles=())


SITUATIONS = {
    "open, gates": {},
    "closed, no gates": {"couplings": (0.0, 0.0), "gates": ()},
    "one lead, half the back-action": {"couplings": (0.0, 1.0), "back_action": 0.5},
    "imposed": {"turning": ((0.3, 0.4, 0.8), 0.7)},
    "voltages": {"stepper": {"voltages": voltages(lambda t: (0.3 * np.sin(t) ** 2, -0.2 * np.sin(1.3 * t) ** 2))}},
    "lattice, voltages": {
        "shape": (2, 2),
        "periodic": "y",
        "stepper": {"voltages": voltages(lambda t: (0.3 * np.sin(t) ** 2, 0.0))},
    },
    "hot and cold, at a bias": {
        "filled": ({"chemical_potential": 0.8}, {"temperature": 0.4}),
        "stepper": {"voltages": voltages(lambda t: (0.3 * np.sin(t) ** 2, -0.2 * np.sin(1.3 * t) ** 2))},
    },
    "lattice, imposed": {"shape": (2, 8), "turning": ((0.3, 0.4, 0.8), 0.7)},
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_energy_is_conserved_to_the_order_of_the_method_and_particles_to_rounding(name):
    options = dict(SITUATIONS[name])
    options["terms"] = terms_of(options)
    lost = []
    for dt in (0.1, 0.05):
        seen = run(follower(dt=dt, **options), 4.0, 1.0)
        share, moments = options.get("back_action", 1.0), 0.0 if "turning" in options else 1.0
        total = [moments * i.energies["classical"] + share * (i.energy_electrons - i.work) for i in seen]
        lost.append(max(abs(np.array(total) - total[0])))
        assert abs(np.linalg.norm(seen[-1].m, axis=-1) - 1).max() < 1e-14
    assert lost[1] < 1e-4
    assert lost[0] / lost[1] > 11, lost
    moved = abs(np.array([i.energy_electrons for i in seen])).max()
    assert moved > 1e-3


@pytest.mark.parametrize("name", SITUATIONS)
def test_particles_are_where_the_currents_took_them(name):
    options = dict(SITUATIONS[name])
    options["terms"] = terms_of(options)
    stepper = follower(dt=0.1, **options)
    seen = run(stepper, 3.0)
    arrived = stepper.state()["sums"][1:3]
    change = seen[-1].traced[..., 0].sum() - seen[0].traced[..., 0].sum()
    assert abs(change + arrived.sum()) < 1e-12
    if any(stepper.coupling.device.couplings):
        assert abs(arrived).max() > 1e-3


# --- rest, and slow motion ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 0.1])
def test_a_system_at_rest_stays_at_rest_step_after_step(temperature):
    """Moments along the axis of an easy axis, with levels bound outside the bands."""
    start = np.broadcast_to([0.0, 1.0, 0.0], (3, 3)).copy()
    stepper = follower(
        dt=0.15625, start=start, gates=(), sd_exchange=2.5, temperature=temperature, duration=2000.0, tolerance=1e-4,
        terms={"anisotropy": 3.0, "easy_axis": (0, 1, 0)},
    )  # fmt: skip
    seen = run(stepper, 2000.0, 200.0)
    assert max(abs(i.traced - seen[0].traced).max() for i in seen) < 1e-9
    assert max(abs(i.m - start).max() for i in seen) < 1e-9
    assert abs(seen[-1].energy_electrons) < 1e-8


def precession_error(frequency, until=60.0, tolerance=1e-6):
    """Largest errors of the spins: steady precession, and frozen electrons of orders 0 and 0 + 1."""
    m = unit_vectors(np.random.default_rng(5), (2,))
    stepper = follower(
        (2,), 0.1, start=m, gates=(), turning=((0.0, 0.0, 1.0), frequency), temperature=0.3, couplings=(0.6, 0.6),
        sd_exchange=0.3, duration=until, tolerance=tolerance,
    )  # fmt: skip
    last = run(stepper, until)[-1]
    exact = steady_precession(stepper.coupling.device, last.m, (0.0, 0.0, 1.0), frequency)
    frozen = stepper.coupling.device.spin_density(last.m, frequency * np.cross([0.0, 0.0, 1.0], last.m))
    s = last.spin_density
    return (
        abs(s - exact.spin_adiabatic - exact.spin_nonadiabatic).max(),
        abs(s - frozen.adiabatic).max(),
        abs(s - frozen.adiabatic - frozen.nonadiabatic).max(),
    )


def test_precession_settles_into_the_exact_steady_one_and_order_1_misses_the_square_of_the_frequency():
    fast, slow = precession_error(0.2), precession_error(0.1)
    assert max(fast[0], slow[0]) < 2e-6
    assert 1.8 < fast[1] / slow[1] < 2.2
    assert 3.6 < fast[2] / slow[2] < 4.4


def test_a_weak_pulse_on_a_gate_gives_the_response_of_kubo():
    """chi_ij(t) = -i <[n_i(t), n_j(0)]> of equilibrium, from the eigenstates of a long system, with the same pulse."""

    class Pulse:
        reach = 2e-3
        frequencies = profiles = ()

        def potential(self, t, _within=None):
            return self.reach * np.array([np.sin(t) ** 2 * np.exp(-t / 3), 0.0, 0.0])

        def rate(self, t, _within=None):
            e = np.exp(-t / 3)
            return self.reach * np.array([(np.sin(2 * t) - np.sin(t) ** 2 / 3) * e, 0.0, 0.0])

    until, start = 6.0, unit_vectors(np.random.default_rng(3), (3,))
    stepper = follower(
        dt=0.05, gates=GATES, terms={}, start=start, turning=((0, 0, 1.0), 0.0), temperature=0.3, tolerance=1e-7
    )
    stepper.coupling.gates = Pulse()
    seen = run(stepper, until)
    long, _ = long_system(stepper.coupling.device, until)
    E, psi = np.linalg.eigh(long.hamiltonian(start))
    f = long.occupation(E)
    inside = psi[long.device].reshape(3, 2, len(E))
    gate_on = np.einsum("sa,sb->ab", inside[0].conj(), inside[0])
    x, w = np.polynomial.legendre.leggauss(60)
    times, w = until / 2 * (x + 1), until / 2 * w
    response = np.zeros((3, 4))
    basis = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    for t, weight in zip(times, w, strict=True):
        # d rho = -i V(t) U [n, rho] U^+
        commutator = -1j * gate_on * (f[None, :] - f[:, None])
        turned = commutator * np.exp(-1j * (E[:, None] - E[None, :]) * (until - t))
        found = np.einsum("isa,ab,irb,krs->ik", inside, turned, inside.conj(), basis).real
        response += weight * Pulse().potential(t)[0] * found
    change = seen[-1].traced - seen[0].traced
    assert abs(response).max() > 1e-5
    assert abs(change - response).max() < 0.01 * abs(response).max()
