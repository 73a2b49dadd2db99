"""Baths of constant width in real time: closed forms, unitary evolution, frozen electrons, and what is conserved."""

import numpy as np
import pytest
from scipy.integrate import quad_vec
from scipy.special import expit

from llgnegf.electrons import Bath, Device, Lead
from llgnegf.electrons.real_time import RealTime
from llgnegf.electrons.real_time_leads import Gating, adjusted, exponentials
from llgnegf.electrons.real_time_tiles import Tiles
from tests.electrons.real_time_cases import evolved, follow, rows, turning, unit_vectors
from tests.oracles.long_system import SIGMA, LongSystem

X, Y, Z = np.eye(3)
SLOW = pytest.mark.slow


def device(shape, sites, width=0.4, probe=False, couplings=(0.0, 0.0), **options):
    options = {"sd_exchange": 0.5, "fermi_energy": 0.3, "temperature": 0.1, "tolerance": 1e-6} | options
    leads = [Lead(side, c) for side, c in zip(("left", "right"), couplings, strict=True)]
    return Device(shape, leads=leads, bath=Bath(sites, width, probe), **options)


def hamiltonian(system, m, V):
    """Of a chain without its surroundings, (2 n, 2 n), orbital 2 site + spin."""
    n = system.shape[0]
    H = np.kron(-system.hopping * (np.eye(n, k=1) + np.eye(n, k=-1)), np.eye(2)).astype(complex)
    for i in range(n):
        spin = np.einsum("k,kab->ab", m[i], SIGMA)
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += (system.onsite + V[i]) * np.eye(2) - system.sd_exchange * spin
    return H


def filled(energies, system):
    x = energies - system.fermi_energy
    return expit(-x / system.temperature) if system.temperature else (x < 0) + 0.5 * (x == 0)


# --- closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kT", [pytest.param(0.0, marks=SLOW), 0.1])
def test_a_level_that_jumps_beside_a_bath_alone(kT):
    """A(E, t) of Jauho, Wingreen and Meir, Phys. Rev. B 50, 5528 (1994), Eq. (34), in a wide band."""
    before, after, width, times = -0.4, 0.7, 0.6, [0.3, 1.5, 6.0]
    system = device((1,), [0], width, sd_exchange=0.0, temperature=kT)
    m = np.array([Z])
    start = adjusted(system, m, np.array([before]), times[-1], rows, Gating(0.7, after - before))
    found = evolved(*start, times, m, np.array([after]))
    z_0, z_1 = before - 0.5j * width, after - 0.5j * width
    for k, t in enumerate(times):

        def level(E, t=t):
            A = 1 / (E - z_1) + np.exp(1j * (E - z_1) * t) * (1 / (E - z_0) - 1 / (E - z_1))
            return width * abs(A) ** 2 / (2 * np.pi)

        n = _occupied(level, system)
        assert found["density"][k, 0] == pytest.approx(2 * n, abs=2e-6)
    assert np.ptp(found["density"]) > 0.05


def _occupied(f, system, accuracy=1e-8):
    """int f(E) F(E) dE of a function F with tails: below E_F, and what a temperature moves."""
    mu, kT = system.fermi_energy, system.temperature
    below = quad_vec(lambda u: f(mu - u / (1 - u)) / (1 - u) ** 2, 0, 1, epsabs=accuracy, limit=20000)[0]
    if kT == 0:
        return below
    return below + quad_vec(lambda x: expit(-x / kT) * (f(mu + x) - f(mu - x)), 0, 40 * kT, epsabs=accuracy)[0]


@pytest.mark.slow
def test_moments_that_jump_beside_baths_of_several_sites():
    """The same as a matrix: A(E, t) = G_1 + exp(i (E - H_1) t) (G_0 - G_1), which no exponent of this package knows."""
    rng = np.random.default_rng(3)
    system, times, width = device((3,), [0, 2], sd_exchange=0.8, tolerance=1e-5), [0.5, 2.0], 0.4
    m, V = unit_vectors(rng, (2, 3)), rng.uniform(-0.4, 0.4, (2, 3))
    found = evolved(*adjusted(system, m[0], V[0], times[-1], rows, Gating(0.4, 1.5)), times, m[1], V[1])
    gamma = width * np.kron(np.diag([1.0, 0, 1]), np.eye(2))
    H_0, H_1 = (hamiltonian(system, m[k], V[k]) - 0.5j * gamma for k in (0, 1))
    z, U = np.linalg.eig(H_1)
    W, one = np.linalg.inv(U), np.eye(6)
    for k, t in enumerate(times):

        def density(E, t=t):
            G_0, G_1 = (np.linalg.inv(E * one - H) for H in (H_0, H_1))
            A = G_1 + (U * np.exp(1j * (E - z) * t)) @ W @ (G_0 - G_1)
            return A @ gamma @ A.conj().T / (2 * np.pi)

        rho = _occupied(density, system)
        assert abs(found["density_matrix"][k] - rho).max() < system.tolerance
    assert abs(found["spin"][-1] - found["spin"][0]).max() > 0.05


# --- unitary evolution of a finite band ----------------------------------------------------------------------------


def banded(system, n_lead, reach, spacing):
    """A long chain whose bath is a band of levels, -reach to reach, on its site: (H(m, V), orbitals of the device)."""
    couplings = tuple(system.couplings)
    long = LongSystem(system.shape, n_lead, system.sd_exchange, couplings=couplings, hopping=system.hopping)
    levels = np.arange(-reach + spacing / 2, reach, spacing)
    bond = np.sqrt(system.bath.width * spacing / (2 * np.pi))
    chain = sum(long.columns) * 2
    at = [long.device.start + 2 * i + s for (i,) in system.bath.sites for s in range(2)]
    size = chain + len(at) * len(levels)
    bare = np.zeros((size, size), complex)
    for k, orbital in enumerate(at):
        own = slice(chain + k * len(levels), chain + (k + 1) * len(levels))
        bare[own, own] = np.diag(levels)
        bare[orbital, own] = bare[own, orbital] = bond

    def H(m, V):
        full = bare.copy()
        full[:chain, :chain] += long.hamiltonian(m, V)
        return full

    return H, long.device


@pytest.mark.parametrize("couplings", [(0.0, 0.0), pytest.param((0.8, 1.0), marks=SLOW)])
def test_a_band_of_levels_becomes_the_bath_as_it_gets_wide(couplings):
    """Beyond a reach W the band misses width/(pi W) electrons of each spin and site at most: in proportion to 1/W."""
    rng, t = np.random.default_rng(5), 4.0
    system = device((2,), [1], 0.3, couplings=couplings, sd_exchange=0.8, temperature=0.3)
    m = turning(unit_vectors(rng, (2,)), np.array([0.3, 1.0, -0.5]), 0.9)
    V = np.array([0.2, -0.3])
    exact = follow(system, [t], m, V)
    missed = []
    for reach in (8.0, 16.0):
        H, where = banded(system, 14 if any(couplings) else 0, reach, 0.4)
        energies, states = np.linalg.eigh(H(m(0.0), V))
        U, h = states * np.sqrt(filled(energies, system)), 0.1
        for k in range(round(t / h)):  # Magnus, second order
            e, v = np.linalg.eigh(H(m((k + 0.5) * h), V))
            U = (v * np.exp(-1j * e * h)) @ (v.conj().T @ U)
        rho = U[where] @ U[where].conj().T
        missed.append(abs(exact["density_matrix"][0] - rho).max())
    assert missed[0] < 2 * 0.3 / (np.pi * 8)
    assert missed[1] < 0.6 * missed[0]


# --- rest, slow motion, what is conserved --------------------------------------------------------------------------

CASES = {
    "one site, no lead": {"shape": (1,), "sites": [0]},
    "chain": {"shape": (4,), "sites": [1, 3], "couplings": (1.0, 0.7)},
    "cold": {"shape": (3,), "sites": [0, 1, 2], "couplings": (0.0, 1.0), "temperature": 0.0},
    "wide": {"shape": (2,), "sites": [0], "couplings": (1.0, 0.0), "width": 20.0},
    "narrow": {"shape": (2,), "sites": [1], "couplings": (1.0, 0.0), "width": 1e-3, "temperature": 0.02},
    "lattice": {"shape": (3, 2), "sites": [(0, 1), (2, 0)], "couplings": (1.0, 1.0)},
    "ring": {"shape": (2, 3), "sites": [(0, 1), (1, 1)], "couplings": (0.5, 1.0), "periodic": "y"},
    "units": {"shape": (3,), "sites": [1], "hopping": 2.0, "onsite": 0.5, "couplings": (1.5, 2.0)},
    "level outside the band": {"shape": (2,), "sites": [1], "couplings": (1.0, 0.0), "sd_exchange": 4.0},
}


@pytest.mark.parametrize("probe", [False, pytest.param("net", marks=SLOW)])
@pytest.mark.parametrize("name", CASES)
def test_a_system_at_rest_stays_at_rest_as_frozen_electrons_say(name, probe):
    system = device(**CASES[name], probe=probe)
    rng = np.random.default_rng(7)
    m, V = unit_vectors(rng, system.shape), rng.uniform(-0.3, 0.3, system.shape)
    electrons, _, state = adjusted(system, m, V, 50.0, rows)
    assert abs(electrons.traced(state) - system.freeze(m, V).adiabatic).max() < system.tolerance / 2
    rate = electrons.derivative(state, m, V, np.zeros(2))
    assert abs(rate).max() < 1e-12 * max(1.0, electrons.fastest_rate(0.0))
    assert max(abs(one).max() for one in electrons.into_bath(state)) < 1e-12
    assert abs(electrons.probe_voltages(state)).max(initial=0.0) == 0


def equation(electrons, m, V, voltages=(0.0, 0.0)):
    """A of the module's page as a dense matrix, from single columns: dR/dt = A R + R A^+ + S, and dX/dt = A X + ..."""
    D, E = electrons.D, electrons.E
    U, nothing = np.array(voltages), np.zeros(electrons.shape)
    source = electrons.derivative(nothing, m, V, U)
    A = np.zeros((D, D), complex)
    # A column of X whose pole does not count: what is left of its derivative, less i zeta times itself, is A times it.
    zeta = electrons.rule.nodes[0]
    column = D + electrons.in_bath if electrons.in_bath < E else D
    for j in range(D):
        Y = nothing.copy()
        Y[j, 0, column] = 1.0
        rate = (electrons.derivative(Y, m, V, U) - source)[:, :, column]
        A[:, j] = rate[:, 0] + 1j * rate[:, 1]
        A[j, j] -= 1j * zeta
    return A


@pytest.mark.parametrize("name", ["chain", "wide", "narrow", "lattice", "level outside the band"])
def test_nothing_grows(name):
    """Passivity: every eigenvalue of the homogeneous equation decays, so that rest lasts for 10^4 units of time."""
    system = device(**CASES[name])
    m = unit_vectors(np.random.default_rng(8), system.shape)
    V = np.zeros(system.shape)
    electrons, _, state = adjusted(system, m, V, 1e4, rows)
    A = equation(electrons, m, V)
    assert np.linalg.eigvals(A).real.max() < 1e-10
    # The rate at the start, which is rounding alone, after 10^4 units of time.
    values, vectors = np.linalg.eig(A)
    rate = electrons.derivative(state, m, V, np.zeros(2))
    dR = rate[:, 0, : electrons.D] + 1j * rate[:, 1, : electrons.D]
    inverse = np.linalg.inv(vectors)
    both = values[:, None] + values.conj()
    grown = vectors @ ((inverse @ dR @ inverse.conj().T) * np.expm1(1e4 * both) / both) @ vectors.conj().T
    N = electrons.orbitals
    assert abs(grown[:N, :N]).max() < 1e-9


@pytest.mark.parametrize("probe", [False, "net"])
@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_particles_are_conserved(shape, probe):
    """What a site loses flows over its bonds, into a lead, or into its bath; of all together, to rounding."""
    sites = [0, 2] if len(shape) == 1 else [(0, 1), (1, 0)]
    system = device(shape, sites, probe=probe, couplings=(0.8, 1.0))
    rng = np.random.default_rng(9)
    m, V, U = unit_vectors(rng, shape), rng.uniform(-0.3, 0.3, shape), np.array([0.4, -0.2])
    found = follow(system, [3.0], turning(m, Y, 0.7), V, U)
    electrons, state = found["electrons"], found["state"]
    rate = electrons.derivative(state, m, V, U)
    gained = electrons.traced(rate)[..., 0].sum()
    into_bath, spin = electrons.into_bath(state)
    assert gained + electrons.flows(state).charge.sum() + into_bath.sum() == pytest.approx(0, abs=1e-12)
    assert abs(into_bath).min() > 1e-4
    # And the spin: what the torque of the moments gives.
    s = electrons.traced(state)[..., 1:]
    torque = system.sd_exchange * np.cross(s, m).reshape(-1, 3).sum(axis=0)
    gained = electrons.traced(rate)[..., 1:].reshape(-1, 3).sum(axis=0) / 2
    assert gained + electrons.flows(state).spin.sum(axis=0) + spin.sum(axis=0) - torque == pytest.approx(0, abs=1e-12)
    assert abs(electrons.probe_voltages(state)).max(initial=0.0) > 1e-3 or not probe


@pytest.mark.parametrize("axis", [Y, pytest.param(X, marks=SLOW), pytest.param(Z, marks=SLOW)])
def test_a_slow_motion_is_that_of_frozen_electrons_to_first_order(axis):
    system = device((2,), [1], 0.6, couplings=(1.0, 0.0), sd_exchange=0.8)
    m = unit_vectors(np.random.default_rng(11), (2,))
    missed = []
    for frequency in (0.1, 0.05):
        moves = turning(m, axis, frequency)
        start = adjusted(system, m, np.zeros(2), 30.0, rows)
        found = evolved(*start, [30.0], lambda t, moves=moves: moves(_softly(t)), np.zeros(2))
        at = moves(_softly(30.0))
        spin = system.spin_density(at, frequency * np.cross(axis, at))
        missed.append(abs(found["spin"][0] - spin.adiabatic - spin.sea - spin.surface).max())
    first = abs(spin.sea + spin.surface).max()
    assert missed[1] < 0.3 * missed[0]  # w^2: a quarter
    assert missed[1] < 0.1 * first


def _softly(t, begin=10.0):
    """A time that begins at rest and passes as usual from `begin` on."""
    x = min(t / begin, 1.0)
    return begin * (x**6 - 3 * x**5 + 2.5 * x**4) + max(t - begin, 0.0)


@pytest.mark.parametrize("kT", [pytest.param(0.0, marks=SLOW), 0.1])
def test_voltages_and_reservoirs_end_in_the_steady_state_of_frozen_electrons(kT):
    options = {"couplings": (0.8, 1.0), "width": 0.5, "temperature": kT, "tolerance": 1e-5}
    voltages = (0.3, -0.1)
    for probe in (False, "net"):
        system = device((3,), [0, 2], probe=probe, **options)
        m = unit_vectors(np.random.default_rng(12), (3,))
        found = follow(system, [60.0], m, np.zeros(3), voltages)
        leads = [Lead(s, c, V) for s, c, V in zip(("left", "right"), (0.8, 1.0), voltages, strict=True)]
        frozen = system.changed(leads=leads).freeze(m)
        still = np.zeros_like(m), np.zeros(3)
        assert abs(found["density"][0] - frozen.at_rest[..., 0]).max() < 3e-5
        assert abs(found["spin"][0] - frozen.at_rest[..., 1:]).max() < 3e-5
        assert abs(found["current"][0] - frozen.lead_currents(*still)[0]).max() < 3e-5
        electrons = found["electrons"]
        into_bath = electrons.into_bath(found["state"])
        assert abs(into_bath[0] - frozen.bath_currents(*still)[0]).max() < 3e-5
        assert abs(into_bath[1] - frozen.bath_currents(*still)[1]).max() < 3e-5
        if probe:
            assert electrons.probe_voltages(found["state"]) == pytest.approx(frozen.bath_potentials - 0.3, abs=1e-4)
        else:
            assert abs(into_bath[0]).max() > 1e-2


# --- what is refused -----------------------------------------------------------------------------------------------


def test_elastic_probes_and_tiles_are_refused():
    m, V = np.array([[Z, Z]]), np.zeros((1, 2))
    with pytest.raises(ValueError, match='use zero_current="net" or False'):
        exponentials(device((1, 2), [(0, 1)], probe=True), m, V, 1.0)
    system = device((1, 2), [(0, 1)])
    with pytest.raises(ValueError, match="as tiles: not available with a bath on sites"):
        Tiles(RealTime(system, *exponentials(system, m, V, 1.0)))
