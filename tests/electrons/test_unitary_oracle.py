"""The reference in real time, judged by what shares no code with it: closed forms, rotating frame, conservation."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.special import expit

from llgnegf.electrons import Device, Lead
from tests.electrons.systems import AXES, random_motion, wall
from tests.oracles import finite_chain
from tests.oracles.long_system import SIGMA, fermi_poles
from tests.oracles.resonant_level import switched_level
from tests.oracles.unitary import LongSystem, columns_needed, default_step, evolve, evolve_with_moments

LATTICES = [((3, 2), True), ((2, 3), True), ((2, 3), False), ((3, 1), True)]


def moments(rng, shape):
    return random_motion(rng, int(np.prod(shape)))[0].reshape(*shape, 3)


def turning(m, axis, frequency):
    return lambda t: m @ finite_chain.rotation(axis, frequency * t).T


def device_of(system):
    return Device(
        system.shape,
        periodic="y" if system.periodic else False,
        hopping=system.hopping,
        onsite=system.onsite,
        sd_exchange=system.sd_exchange,
        fermi_energy=system.fermi_energy,
        temperature=system.temperature,
        tolerance=1e-10,
        leads=[Lead(side, c) for side, c in zip(("left", "right"), system.couplings, strict=True)],
    )


@pytest.mark.parametrize("temperature", [0.0, 0.1])
@pytest.mark.parametrize("axis", AXES)
def test_a_switched_level_between_chains_equals_the_integral_over_energy(axis, temperature):
    exchange, times = 0.2, [0.7, 4.0]
    start = "finite" if temperature else "infinite"
    n_lead = columns_needed(times[-1], temperature=temperature, start=start)
    system = LongSystem(
        (1,), n_lead, exchange, couplings=(0.8, 0.6), onsite=0.4, fermi_energy=0.7, temperature=temperature
    )
    seen = evolve(
        system,
        times,
        np.array([AXES[axis]]),
        potential=np.array([0.25]),
        voltages=(0.7, -0.1),
        before={"potential": np.array([0.1]), "voltages": (0.0, 0.0)},
        start=start,
    )
    options = {"couplings": (0.8, 0.6), "steps": (0.7, -0.1), "level_step": 0.15, "temperature": temperature}
    along, against = (switched_level(times, 0.1 + J, fermi_energy=0.3, **options) for J in (-exchange, exchange))
    assert abs(seen.density[:, 0] - along[0] - against[0]).max() < 2e-9
    assert abs(seen.current - along[1] - against[1]).max() < 2e-9
    direction = np.array(AXES[axis])
    assert abs(seen.spin[:, 0] - np.outer(along[0] - against[0], direction)).max() < 2e-9
    assert abs(seen.spin_current - ((along[1] - against[1]) / 2)[..., None] * direction).max() < 2e-9


@pytest.mark.parametrize("axis", AXES)
def test_precession_equals_the_rotating_frame_at_every_time(axis):
    m, times = wall(5), [0.4, 3.0, 8.0]
    options = {"n_lead": 12, "fermi_energy": 0.2, "temperature": 0.05}
    system = LongSystem((5,), sd_exchange=0.8, couplings=(0.7, 0.7), **options)
    seen = evolve(system, times, turning(m, AXES[axis], 0.6))
    exact = finite_chain.evolve_in_rotating_frame(m, AXES[axis], 0.6, 0.8, times, coupling=0.7, **options)
    back = np.array([s @ finite_chain.rotation(AXES[axis], 0.6 * t) for t, s in zip(times, seen.spin, strict=True)])
    assert abs(back - exact).max() < 1e-9


@pytest.mark.parametrize(("shape", "periodic"), [((4,), False), *LATTICES])
@pytest.mark.parametrize(("temperature", "start"), [(0.0, "infinite"), (0.1, "infinite"), (0.3, "finite")])
def test_equilibrium_is_that_of_the_device_and_stays_at_rest(rng, shape, periodic, temperature, start):
    n_lead = columns_needed(1.0, temperature=temperature, start=start, error=1e-10)
    system = LongSystem(
        shape,
        n_lead,
        sd_exchange=0.7,
        couplings=(0.8, 1.1),
        onsite=0.3,
        fermi_energy=0.1,
        temperature=temperature,
        periodic=periodic,
    )
    m, gates = moments(rng, shape), rng.uniform(-0.5, 0.5, shape)
    seen = evolve(system, [0.0, 1.0], m, potential=gates, start=start)
    expected = device_of(system).spin_density(m, potential=gates)
    assert abs(seen.spin[0] - expected.adiabatic).max() < 1e-9
    assert abs(seen.density[0] - expected.density_adiabatic).max() < 1e-9
    assert abs(seen.spin[1] - seen.spin[0]).max() < 1e-9
    assert abs(seen.density_matrix[1] - seen.density_matrix[0]).max() < 1e-9
    assert abs(seen.current).max() < 1e-9


def test_a_level_at_the_fermi_energy_is_half_filled_and_both_spins_of_a_closed_chain_are_counted():
    system = LongSystem((3,), 0, 0.5, couplings=(0.0, 0.0), onsite=0.2, fermi_energy=0.2)
    seen = evolve(system, [0.0], np.zeros((3, 3)))
    assert abs(seen.density[0] - 1).max() < 1e-12
    assert abs(seen.energy[0] - (3 * 0.2 - 2 * np.sqrt(2))) < 1e-12


@pytest.mark.parametrize("reach", [3.0, 3.05, 3.1, 8.0])
def test_the_poles_of_the_fermi_function_are_exact_within_reach(reach):
    heights, residues = fermi_poles(0.1, reach)
    x = np.linspace(-reach, reach, 401)
    poles = 2 * (residues / (1j * heights - x[:, None])).real.sum(1)
    assert abs(0.5 + poles - expit(-x / 0.1)).max() < 1e-13


def moving(rng, shape, periodic=False, **options):
    """A system under moments, gates and voltages that all move, and the arguments of `evolve`."""
    system = LongSystem(shape, 30, 0.9, **{"couplings": (0.8, 1.1), "fermi_energy": 0.3, "temperature": 0.2} | options)
    m, gates = moments(rng, shape), rng.uniform(-0.5, 0.5, shape)
    arguments = {
        "moments": turning(m, (0.4, 0.8, -0.3), 0.7),
        "potential": lambda t: gates * np.cos(0.9 * t),
        "voltages": lambda t: (0.3 * np.sin(t), 0.2 - 0.1 * t),
        "before": {"voltages": (0.0, 0.1)},
    }
    return system, arguments


def test_longer_leads_columns_that_are_kept_and_the_way_to_start_change_nothing(rng):
    system, arguments = moving(rng, (3,), temperature=0.4)
    time, seen = 4.0, []
    for start, more, whole in (
        ("finite", 0, False),
        ("finite", 17, True),
        ("infinite", 0, False),
        ("infinite", 9, True),
    ):
        n_lead = more + columns_needed(time, temperature=0.4, start=start, error=1e-10)
        changed = LongSystem(**vars(system) | {"n_lead": n_lead})
        seen.append(evolve(changed, [time], start=start, whole=whole, **arguments))
    for other in seen[1:]:
        for name in ("density_matrix", "current", "spin_current", "energy"):
            assert abs(getattr(other, name) - getattr(seen[0], name)).max() < 1e-9, name
        assert other.norm_error < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "periodic"), [((7,), False), ((3, 2), True)])
def test_both_ways_to_start_agree_until_late_also_with_moments_that_follow(rng, shape, periodic):
    time, temperature = (30.0, 0.05) if len(shape) == 1 else (10.0, 0.1)
    m, seen = moments(rng, shape), []
    for start in ("finite", "infinite"):
        n_lead = columns_needed(time, temperature=temperature, start=start)
        system = LongSystem(shape, n_lead, 0.8, temperature=temperature, fermi_energy=-0.5, periodic=periodic)
        seen.append(evolve_with_moments(system, [time], m, lambda t, m: 0 * m + [0.3, -0.5, 0.2], start=start))
    assert abs(seen[1].density_matrix - seen[0].density_matrix).max() < 1e-8
    assert abs(seen[1].moments - seen[0].moments).max() < 1e-8
    assert abs(seen[1].moments - m).max() > 0.5


@pytest.mark.parametrize(
    ("shape", "options"),
    [((3,), {}), ((3,), {"couplings": (0.0, 0.9)}), ((2, 2), {"periodic": True}), ((2, 3), {"fermi_energy": -1.5})],
)
def test_charge_and_spin_are_conserved_where_they_should_be(rng, shape, options):
    system, arguments = moving(rng, shape, **options)
    h, t = 0.02, 1.3
    seen = evolve(system, t + h * np.arange(-2, 3), **arguments)
    rate = np.array([1, -8, 0, 8, -1]) / (12 * h)
    charge = seen.density.reshape(5, -1).sum(1)
    spin = seen.spin.reshape(5, -1, 3).sum(1) / 2
    torque = -system.sd_exchange * np.cross(seen.moments[2], seen.spin[2]).reshape(-1, 3).sum(0)
    assert abs(rate @ charge + seen.current[2].sum()) < 2e-7
    assert abs(rate @ spin + seen.spin_current[2].sum(0) - torque).max() < 2e-7
    assert abs(seen.current[2]).max() > 0.01
    assert abs(torque).max() > 0.01


def test_steps_converge_with_their_order_and_the_default_is_small(rng):
    system, arguments = moving(rng, (3,))
    steps = default_step(system) * np.array([0.5, 1.0, 4.0, 8.0])
    seen = [evolve(system, [4.0], step=h, **arguments) for h in steps]
    errors = [abs(s.density_matrix - seen[0].density_matrix).max() for s in seen[1:]]
    assert errors[0] < 1e-9
    assert 7.0 < np.log2(errors[2] / errors[1]) < 10.0
    assert seen[1].norm_error < 1e-9
    assert seen[3].norm_error > 1e-5  # it tells of steps that are too long


def test_moments_gates_and_voltages_equal_dense_magnus_steps_of_order_4(rng):
    system, arguments = moving(rng, (3,))
    system = LongSystem(**vars(system) | {"n_lead": 4, "onsite": 0.6})
    seen = evolve(system, [3.0], whole=True, **arguments)
    m, V, leads = (arguments[name] for name in ("moments", "potential", "voltages"))
    weights, orbitals = system.equilibrium(m(0), V(0), (0.0, 0.1))
    rho, steps = (orbitals * weights) @ orbitals.conj().T, 60
    h = 3.0 / steps
    for k in range(steps):  # Blanes and Moan, Appl. Numer. Math. 56, 1519 (2006)
        H = [system.hamiltonian(m(t), V(t), leads(t)) for t in h * (k + 0.5 + np.array([-1, 1]) * 3**0.5 / 6)]
        a, b = 0.25 + 3**0.5 / 6, 0.25 - 3**0.5 / 6
        U = expm(-1j * h * (a * H[1] + b * H[0])) @ expm(-1j * h * (b * H[1] + a * H[0]))
        rho = U @ rho @ U.conj().T
    assert abs(seen.density_matrix[0] - rho[system.device, system.device]).max() < 1e-7
    H = system.hamiltonian(m(3.0), V(3.0), leads(3.0))
    inside = np.arange(len(H))[system.device]
    assert abs(seen.total_energy[0] - np.trace(H @ rho).real) < 1e-6
    assert abs(seen.energy[0] - np.trace(H[np.ix_(inside, inside)] @ rho[np.ix_(inside, inside)]).real) < 1e-6


def classical_field(t, m):
    """Exchange 0.3, easy axis y, and a field that oscillates."""
    B = 2 * 0.4 * m * [0.0, 1.0, 0.0] + np.array([0.9 * np.cos(t), 0.4, -0.6])
    B[1:] += 0.3 * m[:-1]
    B[:-1] += 0.3 * m[1:]
    return B


def test_moments_that_move_with_the_electrons_equal_the_equation_of_the_density_matrix(rng):
    system = LongSystem((2,), 4, 0.9, couplings=(0.8, 1.1), fermi_energy=0.3, temperature=0.2)
    m, S, damping, back = moments(rng, (2,)), 1.3, 0.2, 0.7
    seen = evolve_with_moments(system, [1.0, 2.0], m, classical_field, spin=S, damping=damping, back_action=back)
    weights, orbitals = system.equilibrium(m)
    N = len(weights)

    def rates(t, y):
        rho, m = y[: N * N].reshape(N, N), y[N * N :].real.reshape(2, 3)
        H = system.hamiltonian(m)
        s = np.einsum("iaib,kba->ik", rho[system.device, system.device].reshape(2, 2, 2, 2), SIGMA).real
        B = classical_field(t, m) + back * 0.9 * s
        # (S - S damping m x) dm/dt = -m x B as a system of equations.
        A = [S * (np.eye(3) - damping * np.cross(u, np.eye(3)).T) for u in m]
        dm = [np.linalg.solve(a, -np.cross(u, b)) for a, u, b in zip(A, m, B, strict=True)]
        return np.concatenate([(-1j * (H @ rho - rho @ H)).ravel(), np.ravel(dm)])

    begin = np.concatenate([((orbitals * weights) @ orbitals.conj().T).ravel(), m.ravel()])
    found = solve_ivp(rates, (0, 2), begin, "DOP853", [1.0, 2.0], rtol=1e-9, atol=1e-11)
    assert abs(seen.moments.reshape(2, -1) - found.y[N * N :].real.T).max() < 1e-7
    assert abs(found.y[N * N :].real.T[1] - m.ravel()).max() > 0.1
    rho = found.y[: N * N, 1].reshape(N, N)
    assert abs(seen.density_matrix[1] - rho[system.device, system.device]).max() < 1e-7


@pytest.mark.parametrize(("shape", "periodic", "fermi_energy"), [((3,), False, 0.6), ((2, 2), True, -0.4)])
def test_energy_is_kept_without_damping_and_lost_with_it(rng, shape, periodic, fermi_energy):
    system = LongSystem(shape, 10, 1.2, fermi_energy=fermi_energy, temperature=0.1, periodic=periodic)
    m, field = moments(rng, shape), np.array([0.3, -0.5, 0.2])
    energies = []
    for damping in (0.0, 0.3):
        seen = evolve_with_moments(system, [0.0, 3.0, 6.0], m, lambda t, m: 0 * m + field, damping=damping, whole=True)
        energies.append(seen.total_energy - (seen.moments @ field).reshape(3, -1).sum(1))
    assert abs(energies[0] - energies[0][0]).max() < 1e-8
    assert np.diff(energies[1]).max() < -0.01


def test_total_spin_of_moments_and_electrons_is_kept_without_leads(rng):
    system = LongSystem((3, 2), 0, 1.2, couplings=(0.0, 0.0), fermi_energy=-0.4, temperature=0.1)
    m = moments(rng, (3, 2))
    seen = evolve_with_moments(system, [0.0, 4.0], m, lambda t, m: 0 * m, spin=1.5)
    total = 1.5 * seen.moments.sum((1, 2)) - seen.spin.sum((1, 2)) / 2
    assert abs(total[1] - total[0]).max() < 1e-9
    assert abs(seen.moments[1] - m).max() > 0.1


@pytest.mark.parametrize("axis", ["x", "y"])
def test_slow_rotation_is_the_first_order_response_but_for_the_second_order(axis):
    start, end = 8.0, 12.0
    system = LongSystem((3,), columns_needed(end, temperature=0.3, error=1e-7), 0.8, fermi_energy=0.2, temperature=0.3)
    m, errors = wall(3), []

    def angle(t):
        """Its rate rises from 0 to 1 within `start`, smoothly."""
        x = min(t / start, 1.0)
        return start * (2.5 * x**4 - 3 * x**5 + x**6) + max(t - start, 0.0)

    for frequency in (0.1, 0.05):

        def turned(t, w=frequency):
            return m @ finite_chain.rotation(AXES[axis], w * (angle(t) - angle(end))).T

        seen = evolve(system, [end], turned, step=0.2)
        expected = device_of(system).spin_density(m, frequency * np.cross(AXES[axis], m))
        errors.append(abs(seen.spin[0] - expected.adiabatic - expected.nonadiabatic).max())
        assert errors[-1] < 0.2 * abs(expected.nonadiabatic).max()
    assert 3.7 < errors[0] / errors[1] < 4.3


def test_what_cannot_be_right_is_refused():
    system = LongSystem((2,), 10, 0.5, temperature=0.1)
    m = np.eye(3)[:2]
    with pytest.raises(ValueError, match=r"n_lead = 10: echoes reach the device before t = 11"):
        evolve(system, [11.0], m)
    with pytest.raises(ValueError, match=r"n_lead = 10: echoes .* more than 12"):
        evolve(system, [6.0], m, start="infinite")
    with pytest.raises(ValueError, match="start = 'endless': allowed are"):
        evolve(system, [1.0], m, start="endless")
    with pytest.raises(ValueError, match=r"before has \['voltage'\]"):
        evolve(system, [1.0], m, before={"voltage": (0, 0)})
    with pytest.raises(ValueError, match="ascending"):
        evolve(system, [2.0, 1.0], m)
    with pytest.raises(ValueError, match="use start = 'infinite'"):
        columns_needed(5.0)
    with pytest.raises(ValueError, match=r"level = 1\.5, couplings = "):
        switched_level(1.0, 1.5, couplings=(0.8, 0.6), steps=(0.1, 0.0))
