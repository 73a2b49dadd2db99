"""Electrons in real time against unitary evolution, closed forms, and what is conserved."""

import numpy as np
import pytest
from scipy.special import jv

from llgnegf.electrons import Device, Lead
from llgnegf.electrons.frozen import Frozen
from llgnegf.electrons.memory import semicircle
from llgnegf.electrons.near_poles import near_poles
from llgnegf.electrons.real_time import RealTime
from llgnegf.electrons.real_time_leads import adjusted
from tests.electrons.real_time_cases import (
    density_matrix,
    errors,
    evolved,
    follow,
    rows,
    tiles,
    turning,
    unit_vectors,
    unitary,
)
from tests.oracles.long_system import SIGMA
from tests.oracles.resonant_level import switched_level


def device(shape, couplings=(1.0, 1.0), **options):
    options = {"sd_exchange": 0.5, "fermi_energy": 0.3, "temperature": 0.1, "tolerance": 1e-5} | options
    return Device(shape, leads=[Lead(side, c) for side, c in zip(("left", "right"), couplings, strict=True)], **options)


def everything_moves(system, seed=1, gates=0.5, voltage=0.4):
    """Moments, gates and voltages as functions of time."""
    rng = np.random.default_rng(seed)
    V = gates * rng.uniform(-1, 1, system.shape)
    U = voltage * rng.uniform(-1, 1, 2)
    return (
        turning(unit_vectors(rng, system.shape), rng.normal(size=3), 0.7),
        lambda t: V * np.cos(0.9 * t),
        lambda t: U * np.array([1.0, np.cos(t)]),
    )


FAST = {
    "one site": {"shape": (1,)},
    "two sites, one lead": {"shape": (2,), "couplings": (0.0, 0.7), "sd_exchange": 2.0},
    "three sites, units": {"shape": (3,), "hopping": 1.3, "onsite": 0.6, "couplings": (0.3, 1.2), "temperature": 0.3},
    "closed": {"shape": (3,), "couplings": (0.0, 0.0)},
    "cold": {"shape": (2,), "temperature": 0.0, "couplings": (0.3, 1.0)},
    "ring of two": {"shape": (2, 2), "periodic": "y", "temperature": 0.3},
    "ring of one": {"shape": (2, 1), "periodic": "y", "temperature": 0.3},
    "one slice": {"shape": (1, 3), "couplings": (0.8, 0.6), "temperature": 0.3},
}


@pytest.mark.parametrize("name", FAST)
def test_moments_gates_and_sudden_voltages_equal_unitary_evolution(name):
    system, times = device(**FAST[name]), [1.0, 4.0]
    moves = everything_moves(system)
    exact = unitary(system, times, *moves)
    for carrier in (rows, tiles):
        found = errors(follow(system, times, *moves, carrier=carrier), exact)
        assert max(found.values()) <= system.tolerance, found
    assert abs(exact.spin[1] - exact.spin[0]).max() > 0.01


SWEEP = {
    f"{n} sites, J = {exchange}, kT = {kT}": {"shape": (n,), "sd_exchange": exchange, "temperature": kT}
    for n in (1, 2, 7)
    for exchange, kT in ((0.0, 0.01), (0.1, 0.0), (2.0, 0.3), (2.0, 0.0))
} | {
    "strong exchange, cold": {"shape": (7,), "sd_exchange": 20.0, "temperature": 0.0, "time": 6.0},
    "strong exchange": {"shape": (2,), "sd_exchange": 20.0, "temperature": 0.3, "time": 6.0},
    "narrow levels": {"shape": (3,), "couplings": (0.3, 0.3), "temperature": 0.01},
    "narrow levels, one lead": {"shape": (2,), "couplings": (0.3, 0.0), "temperature": 0.0, "sd_exchange": 0.1},
    "strong bonds": {"shape": (2,), "couplings": (2.0, 2.0), "temperature": 0.01, "fermi_energy": 1.97},
    "at a band edge": {"shape": (3,), "fermi_energy": -2.0, "temperature": 0.01},
    "beside a band edge, cold": {"shape": (2,), "fermi_energy": -1.9, "temperature": 0.0, "sd_exchange": 0.1},
    "level bound at the Fermi energy": {"shape": (1,), "sd_exchange": 3.0, "fermi_energy": -3.6, "temperature": 0.1},
    "for long": {"shape": (7,), "temperature": 0.05, "time": 40.0},
    "lattice": {"shape": (5, 4), "temperature": 0.1, "time": 10.0},
    "lattice, ring across": {"shape": (3, 3), "periodic": "y", "temperature": 0.0, "time": 10.0, "sd_exchange": 2.0},
    "ring of two, long": {"shape": (3, 2), "periodic": "y", "temperature": 0.1, "couplings": (0.5, 1.0)},
    "one slice, long": {"shape": (1, 3), "temperature": 0.1},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEP)
def test_unitary_evolution_for_long(name):
    options = dict(SWEEP[name])
    times = options.pop("time", 20.0) * np.array([0.25, 0.5, 0.75, 1.0])
    exact = None
    for tolerance in (1e-4, 1e-6):
        system = device(**options, tolerance=tolerance)
        moves = everything_moves(system)
        exact = exact or unitary(system, times, *moves)
        carrier = tiles if system.shape[-1] >= 3 and len(system.shape) == 2 else rows
        found = errors(follow(system, times, *moves, carrier=carrier), exact)
        print(name, tolerance, {key: round(value / tolerance, 3) for key, value in found.items()})
        assert max(found.values()) <= tolerance, found


# At kT = 0, where clean chains have a density of states that diverges: temperatures of 1e-5 and less stand for 0.
AT_AN_EDGE = [(0.05, 1e-3), (0.1, 1e-4), (0.2, 1e-5)]


@pytest.mark.parametrize(("exchange", "tolerance"), AT_AN_EDGE)
def test_the_fermi_energy_may_be_on_a_band_edge_where_little_scatters(exchange, tolerance):
    system = device((3,), fermi_energy=-2.0, temperature=0.0, sd_exchange=exchange, tolerance=tolerance)
    m = unit_vectors(np.random.default_rng(1), (3,))
    electrons, _, state = adjusted(system, m, np.zeros(3), 10.0, rows)
    assert abs(electrons.traced(state) - Frozen(system, m, np.zeros(3)).adiabatic).max() <= tolerance / 2


@pytest.mark.slow
@pytest.mark.parametrize(("exchange", "tolerance"), AT_AN_EDGE)
def test_unitary_evolution_from_a_fermi_energy_on_a_band_edge(exchange, tolerance):
    system = device((3,), fermi_energy=-2.0, temperature=0.0, sd_exchange=exchange, tolerance=tolerance)
    times, moves = [2.5, 5.0, 10.0], everything_moves(system)
    assert adjusted(system, moves[0](0.0), moves[1](0.0), 10.0, rows)[0].sharper > 4
    found = errors(follow(system, times, *moves), unitary(system, times, *moves))
    assert max(found.values()) <= tolerance, found


@pytest.mark.parametrize("tolerance", [1e-3, 1e-7])
def test_the_error_follows_the_tolerance(tolerance):
    system, times = device((2,), tolerance=tolerance, sd_exchange=2.0), [2.0, 5.0]
    moves = everything_moves(system)
    found = errors(follow(system, times, *moves), unitary(system, times, *moves))
    assert max(found.values()) <= tolerance, found


def test_a_switched_level_equals_the_integral_over_energy():
    """Voltages on the leads that begin at t = 0, against a calculation that has no leads of finite length."""
    exchange, steps, times = 0.2, (0.7, -0.1), [0.7, 4.0]
    system = device((1,), couplings=(0.8, 0.6), sd_exchange=exchange, onsite=0.4, fermi_energy=0.7, tolerance=1e-6)
    direction = np.array([[0.6, 0.0, 0.8]])
    found = follow(system, times, direction, np.zeros(1), np.array(steps))
    options = {"couplings": (0.8, 0.6), "steps": steps, "fermi_energy": 0.3, "temperature": 0.1}
    along, against = (switched_level(times, J, **options) for J in (-exchange, exchange))
    assert abs(found["density"][:, 0] - along[0] - against[0]).max() < system.tolerance
    assert abs(found["current"] - along[1] - against[1]).max() < system.tolerance
    assert abs(found["spin"][:, 0] - np.outer(along[0] - against[0], direction[0])).max() < system.tolerance
    assert abs(found["spin_current"] - ((along[1] - against[1]) / 2)[..., None] * direction[0]).max() < system.tolerance
    assert abs(along[1]).max() > 0.1


def test_a_level_bound_to_an_impurity_has_electrons_of_its_own():
    """An infinite chain with one level of another energy, the system of tkwant's tutorial on bound states.

    Its level below the band is sqrt((1 - q^2)/(1 + q^2)) q^|n|.  States of the band alone, even all of them, leave a
    hole there.  Let loose, its electrons spread as Bessel functions.
    """
    impurity, n, m = -2.5, np.arange(7) - 3, np.tile([0.0, 0.0, 1.0], (7, 1))
    V, nowhere = impurity * (n == 0), np.zeros(7)

    def level(n):
        q = (impurity + np.sqrt(impurity**2 + 4)) / 2
        return np.sqrt((1 - q**2) / (1 + q**2)) * q ** abs(n)

    for fermi_energy, expected in ((4.0, 2.0), (-2.6, 2 * level(n) ** 2)):
        system = device((7,), sd_exchange=0.0, fermi_energy=fermi_energy, temperature=0.02)
        electrons, carried, state = adjusted(system, m, V, 10.0, rows)
        kept = evolved(electrons, carried, state, [10.0], m, V)
        assert abs(carried.traced(state)[:, 0] - expected).max() < system.tolerance
        assert abs(kept["density"][0] - expected).max() < system.tolerance
    j, times = np.arange(-60, 61), np.array([1.0, 4.0])
    free = evolved(electrons, carried, state, times, m, nowhere)
    for t, density in zip(times, free["density"], strict=True):
        psi = (1j ** (n[:, None] - j) * jv(n[:, None] - j, 2 * t)) @ level(j)
        assert abs(density - 2 * abs(psi) ** 2).max() < system.tolerance
    assert 2 * level(0) ** 2 > 1.5 > 0.5 > free["density"][-1].max() > 0.01


# --- the equation ---------------------------------------------------------------------------------


def written_out(electrons, m, V, U):
    """A and S of the equation dR/dt = A R + R A^+ + S among all exponents, those of the Fermi function included.

    Order: as that of `RealTime`, the columns of X after all rows of R.
    """
    N, H = electrons.orbitals, electrons.hamiltonian(m, V)
    modes, spins = electrons.system.modes.vectors, np.eye(2)
    C, z, g, a = [], [], [], []
    for kind in ("energies", "poles"):
        for side, (one, _) in zip(electrons.sides, electrons.reservoirs, strict=True):
            at = np.zeros((N, electrons.n))
            at[one.site * electrons.n : (one.site + 1) * electrons.n] = np.kron(spins, modes)
            exponents = one.energies if kind == "energies" else np.repeat(one.poles[:, None], electrons.ny, axis=1)
            weights = one.weights if kind == "energies" else np.zeros(len(one.poles))
            filled = one.filled if kind == "energies" else one.pole_filled
            for k in range(len(exponents)):
                C.append(at)
                z.append(np.tile(exponents[k] + U[side], 2))
                g.append(np.full(electrons.n, weights[k]))
                a.append(np.tile(filled[k], 2))
    C, z, g, a = np.hstack(C), np.concatenate(z), np.concatenate(g), np.concatenate(a)
    A = np.block([[-1j * H, C], [-g[:, None] * C.T, np.diag(-1j * z)]])
    S = np.zeros_like(A)
    S[:N, N:] = C * a.conj()
    S[N:, :N] = S[:N, N:].conj().T
    return A, S


@pytest.mark.parametrize("name", [name for name in FAST if name != "closed"])
def test_the_derivative_is_the_equation(name):
    electrons = small(device(**FAST[name]))
    D, E = electrons.D, electrons.E
    rng = np.random.default_rng(2)
    R = rng.normal(size=(D + E, D + E)) + 1j * rng.normal(size=(D + E, D + E))
    R += R.conj().T
    R[D:, D:] = 0
    m, V, U = unit_vectors(rng, electrons.system.shape), rng.normal(size=electrons.system.shape), np.array([0.3, -0.2])
    A, S = written_out(electrons, m, V, U)
    expected = A @ R + R @ A.conj().T + S
    assert abs(expected[D:, D:]).max() < 1e-12
    Y = np.ascontiguousarray(np.stack([R.real, R.imag], axis=1)[:D])
    found = electrons.derivative(Y, m, V, U)
    assert abs(found[:, 0] + 1j * found[:, 1] - expected[:D]).max() < 1e-12


def small(system, tolerance=1e-2):
    """Few exponents."""
    low, high = system.spectrum_bounds(np.ones((*system.shape, 3)) / 3**0.5, np.zeros(system.shape))
    rule = near_poles(low, high, system.fermi_energy, system.temperature or 0.05, tolerance, 0.9 * (high - low))
    return RealTime(system, semicircle(tolerance), rule)


@pytest.mark.parametrize("name", FAST)
def test_particles_and_spin_are_where_they_flow(name):
    """Of each site: d/dt Tr[rho_i (1, sigma/2)] = flows over its bonds - what leads take + torque, to rounding."""
    system = device(**FAST[name])
    m, V, U = (q(0.7) for q in everything_moves(system))
    m, nx, ny = np.ascontiguousarray(m), system.shape[0], (*system.shape, 1)[1]
    state = follow(system, [1.5], *everything_moves(system))
    electrons, Y = state["electrons"], state["state"]
    rho = density_matrix(electrons, Y).reshape(nx, ny, 2, nx, ny, 2)
    rate = electrons.traced(electrons.derivative(Y, m, V, U)).reshape(nx, ny, 4)
    basis = np.concatenate([np.eye(2)[None], SIGMA / 2])

    def into(i, j, hop):
        """From site j over a bond into site i, traced."""
        return 2 * np.einsum("kab,ba->k", basis, hop * rho[(*i, slice(None), *j, slice(None))]).imag

    expected = np.zeros((nx, ny, 4))
    for x in range(nx):
        for y in range(ny):
            near = [(x + 1, y)] if x + 1 < nx else []
            if ny > 1 and (y + 1 < ny or system.periodic):
                near.append((x, (y + 1) % ny))
            for other in near:
                flow = into((x, y), other, system.hopping)
                expected[x, y] += flow
                expected[other] -= flow
            s = np.einsum("kab,ba->k", SIGMA, rho[x, y, :, x, y, :]).real
            expected[x, y, 1:] -= system.sd_exchange * np.cross(m.reshape(nx, ny, 3)[x, y], s)
    rate[..., 1:] /= 2
    missing = (rate - expected).sum(axis=1)
    flows = electrons.flows(Y)
    taken = np.column_stack([flows.charge, flows.spin])
    by_slice = np.zeros((nx, 4))
    by_slice[0] -= taken[0]
    by_slice[-1] -= taken[1]
    assert abs(missing - by_slice).max() < 1e-12
    inner = (rate - expected)[1:-1]
    assert inner.size == 0 or abs(inner).max() < 1e-12
    if any(system.couplings):
        assert abs(flows.charge).max() > 1e-3


# --- equilibrium ----------------------------------------------------------------------------------


def random_system(seed):
    """A chain or a lattice with bound states, moments and gates."""
    rng = np.random.default_rng(seed)
    shape = [(1,), (2,), (5,), (2, 2), (3, 2), (1, 3)][seed % 6]
    system = device(
        shape,
        couplings=(rng.choice([0.3, 1.0, 2.0]), rng.choice([0.0, 0.5, 1.0])),
        sd_exchange=rng.choice([0.5, 3.0]),
        temperature=rng.choice([0.0, 0.02, 0.2]),
        fermi_energy=rng.uniform(-1.5, 1.5),
        periodic="y" if len(shape) == 2 and seed % 4 == 3 else False,
        tolerance=1e-4,
    )
    return system, unit_vectors(rng, shape), rng.uniform(-1, 1, shape)


@pytest.mark.parametrize("seed", range(20))
def test_equilibrium_does_not_move_and_nothing_grows(seed):
    system, m, V = random_system(seed)
    electrons, carried, state = adjusted(system, m, V, 20.0, rows)
    rate = carried.derivative(state, m, V, np.zeros(2))
    assert abs(rate).max() < 1e-11
    A, _ = written_out(electrons, m, V, (0.0, 0.0))
    assert np.linalg.eigvals(A).real.max() < 1e-12
    exact = device_at(system, 1e-9).spin_density(m, potential=V)
    traced = carried.traced(state)
    assert abs(traced[..., 1:] - exact.adiabatic).max() < 0.6 * system.tolerance
    assert abs(traced[..., 0] - exact.density_adiabatic).max() < 0.6 * system.tolerance
    assert abs(carried.flows(state).exchanged - carried.flows(state).exchanged.conj().swapaxes(1, 2)).max() < 1e-11 or (
        abs(carried.flows(state).charge).max() < 1e-11
    )


def device_at(system, tolerance):
    return device(
        system.shape,
        system.couplings,
        sd_exchange=system.sd_exchange,
        temperature=system.temperature,
        fermi_energy=system.fermi_energy,
        periodic=system.periodic,
        tolerance=tolerance,
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_system_at_rest_stays_there_for_10000_units_of_time_and_comes_back(seed):
    system, m, V = random_system(seed)
    electrons, _, state = adjusted(system, m, V, 1e4, rows)
    A, S = written_out(electrons, m, V, (0.0, 0.0))
    D = electrons.D
    R = np.zeros_like(A)
    R[:D] = state[:, 0] + 1j * state[:, 1]
    R[:, :D] = R[:D].conj().T
    # The state after 10^4 in rows of exponentials of the dense matrix; and a kicked one, which never grows.
    values, vectors = np.linalg.eig(A)
    back = np.linalg.inv(vectors)

    def after(t, R):
        U = vectors * np.exp(values * t) @ back
        return U @ R @ U.conj().T

    kicked = np.zeros_like(R)
    kicked[0, 1] = kicked[1, 0] = 0.1
    N = electrons.orbitals
    sizes = [abs(after(t, kicked)[:N, :N]).max() for t in (0.0, 10.0, 1e2, 1e3, 1e4)]
    assert max(sizes) < 0.11
    assert abs(A @ R + R @ A.conj().T + S)[:D].max() < 1e-10
