"""Electrons in real time over bonds of any 2 x 2 matrices: unitary evolution, frozen electrons, the balance of spin."""

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, Polarization, SpinHopping, SpinOrbit
from llgnegf.electrons.frozen import Frozen
from llgnegf.electrons.real_time_leads import adjusted
from llgnegf.electrons.real_time_torque import torque_of_bonds
from tests.electrons.real_time_cases import density_matrix, evolved, follow, rows, softly_turning, unit_vectors
from tests.electrons.test_real_time_spins import FILLED, MAGNETS, ORBIT, SITES, device_of, moves_of, shape_of
from tests.oracles.spin_lattice import SIGMA, SpinLattice
from tests.oracles.spin_long import SpinLong

pytestmark = pytest.mark.filterwarnings("ignore:a level outside the bands:llgnegf.errors.RunWarning")

ANY_X = {"hop_x": (0.3, 0.1 + 0.2j, -0.25)}
ANY = ANY_X | {"hop_y": (0.1j, -0.3, 0.2 + 0.1j)}
FRAMED = {"hop_x": (0, 0.4j, -0.2j), "hop_y": (0.3, 0, 0.1j)}  # a frame removes those along x
SPIN = (SIGMA[1:] / 2).astype(complex)


def hopping_of(oracle):
    return SpinHopping(oracle.hop_x, oracle.hop_y)


UNITARY = {
    "chain, ferromagnets": SpinLong((3, 1), 20, SITES[:, :1], **MAGNETS, **ORBIT, **ANY_X),
    "chain in a frame": SpinLong((3, 1), 20, 0.7, hop_x=(0.1j, 0.3j, -0.5j)),
    "lattice with a vacancy": SpinLong((2, 2), 14, 0.7, **ANY, periodic=True, vacancies=((1, 0),), temperature=0.5),
    "lattice in a frame": SpinLong((2, 2), 14, SITES[:2], **FRAMED, temperature=0.5),
    "at a bias": SpinLong((2, 1), 52, 0.2, couplings=(0.6, 0.7), **ANY_X, **FILLED),
}


@pytest.mark.parametrize("name", UNITARY)
def test_everything_that_moves_equals_unitary_evolution(name):
    oracle, times = UNITARY[name], [3.0]
    system, moves, at = device_of(oracle, spin_hopping=hopping_of(oracle)), moves_of(oracle), shape_of(oracle)
    exact = oracle.evolve(times, *moves)
    found = follow(system, times, lambda t: moves[0](t).reshape(*at, 3), lambda t: moves[1](t).reshape(at), moves[2])
    for key in ("spin", "density", "current", "spin_current"):
        assert abs(found[key] - getattr(exact, key).reshape(found[key].shape)).max() <= 2e-4, key
    torque = torque_of_bonds(found["electrons"], found["state"])
    assert abs(torque - exact.torque[-1].reshape(torque.shape)).max() <= 2e-4
    assert abs(torque).max() > 0.005


BALANCE = {
    "chain": ((3,), 0.1, ANY_X),
    "chain in a frame": ((3,), 0.0, {"hop_x": (0.1j, 0.3j, -0.5j)}),
    "one site": ((1,), 0.1, ANY_X),
    "lattice": ((3, 2), 0.1, ANY | {"periodic": True}),
    "lattice in a frame": ((2, 3), 0.1, FRAMED | ORBIT),
    "a vacancy": ((3, 2), 0.1, ANY | {"vacancies": ((1, 0),)}),
}


@pytest.mark.parametrize("name", BALANCE)
def test_the_spin_of_each_site_balances(name):
    """(1/2) ds/dt = J_sd s x m + tau - what flows out; flows of matrices that share no code with the torque."""
    shape, kT, given = BALANCE[name]
    rng = np.random.default_rng(4)
    m, V = unit_vectors(rng, shape), 0.2 * rng.normal(size=shape)
    plane = (*shape, 1)[:2]
    oracle = SpinLattice(m.reshape(*plane, 3), np.zeros((*plane, 3)), V.reshape(plane), np.zeros(plane), 0.8, **given)
    leads = [
        Lead("left", 0.8, hopping=1.3, polarization=Polarization((0, 1, 1), 0.9), chemical_potential=0.5),
        Lead("right", 1.1),
    ]
    system = Device(
        shape, sd_exchange=0.8, fermi_energy=0.2, temperature=kT, tolerance=1e-3, leads=leads,
        spin_hopping=hopping_of(oracle), spin_orbit=SpinOrbit(oracle.rashba, oracle.dresselhaus),
        periodic="y" if oracle.periodic else False, vacancies=[*oracle.vacancies],
    )  # fmt: skip
    before = unit_vectors(rng, shape)
    if system.holes is not None:
        m[system.holes] = before[system.holes] = 0.0
    electrons, carried, state = adjusted(system, before, V, 5.0, rows)
    state = evolved(electrons, carried, state, [1.5], m, V)["state"]
    rho, frame = density_matrix(electrons, state), system.frame
    rho = rho if frame is None else frame.matrix_back(rho)
    out = np.zeros((len(rho) // 2, 3))
    for a in range(len(out)):
        for b in range(len(out)):
            T, back = oracle.H[2 * a : 2 * a + 2, 2 * b : 2 * b + 2], rho[2 * b : 2 * b + 2, 2 * a : 2 * a + 2]
            if a != b:
                # The mean of what leaves a and what arrives at b.
                out[a] += [-np.trace((s @ T + T @ s) @ back).imag for s in SPIN]
    out = out.reshape(*plane, 3)
    out[[0, -1]] += into_leads(electrons, state) if shape[0] > 1 else 0.0
    if shape[0] == 1:
        out[0] += into_leads(electrons, state).sum(axis=0)
    for side in (0, -1):
        assert into_leads(electrons, state)[side].sum(axis=0) == pytest.approx(
            carried.flows(state).spin[side], abs=1e-12
        )
    rate = carried.traced(carried.derivative(state, m, V, np.zeros(2)))[..., 1:]
    torque = torque_of_bonds(electrons, state)
    given = 0.8 * np.cross(carried.traced(state)[..., 1:], m) + torque - out.reshape(rate.shape)
    assert rate / 2 == pytest.approx(given, abs=1e-9)
    assert abs(rate).max() > 1e-2
    assert (abs(torque).max() > 1e-2) == (shape != (1,))


def into_leads(electrons, Y):
    """Spin that flows from each site of the first and of the last column into the lead there, (2, ny, 3)."""
    N, n, ny = electrons.orbitals, electrons.n, electrons.ny
    phi = Y[:N, 0] + 1j * Y[:N, 1]
    parts = (
        phi[:, N : electrons.D].reshape(N, 2, -1, n).sum(axis=2),
        phi[:, electrons.D :].reshape(N, 2, -1, n).sum(axis=2),
    )
    found = []
    for lead, end in enumerate((0, electrons.nx - 1)):
        own = sum(part[end * n : (end + 1) * n, lead] for part in parts) @ electrons.channels(lead).conj().T
        by_site = np.einsum("syty->yst", own.reshape(2, ny, 2, ny))
        if electrons.given.frame is not None:
            turn = electrons.given.frame.spinors[end]
            by_site = turn @ by_site @ turn.conj().T
        found.append(-2 * np.einsum("ast,yts->ya", SPIN, by_site).real)
    return np.array(found)


AT_REST = {
    "chain, kT = 0": ((3,), {"temperature": 0.0, "spin_hopping": SpinHopping((0.3, 0.1 + 0.2j, -0.25))}),
    "lattice": ((2, 3), {"spin_hopping": SpinHopping((0.3, 0.1 + 0.2j, -0.25), (0.1j, -0.3, 0.2)), "periodic": "y"}),
    "in a frame": ((3, 2), {"spin_hopping": SpinHopping((0, 0.4j, -0.2j), (0.3, 0, 0.1j))}),
    "closed to one spin": ((2,), {"spin_hopping": SpinHopping((0, 1.0, 0))}),
    "bonds as arrays": ((3,), {"bonds_along_x": [[[-0.5, 0.2j], [0.1, -1.2]], [[-1, 0.3], [0.3, -0.4j]]]}),
}


@pytest.mark.parametrize("name", AT_REST)
def test_the_start_at_a_bias_is_that_of_frozen_electrons(name):
    shape, given = AT_REST[name]
    leads = [Lead("left", 0.8, chemical_potential=0.5, hopping=1.3), Lead("right", 1.1, chemical_potential=0.1)]
    given = {"temperature": 0.1, "leads": leads, "tolerance": 1e-5} | given
    system = Device(shape, sd_exchange=0.8, fermi_energy=0.2, **given)
    rng = np.random.default_rng(4)
    m, V = unit_vectors(rng, system.shape), 0.2 * rng.normal(size=system.shape)
    _, carried, state = adjusted(system, m, V, 20.0, rows)
    frozen = Frozen(system, m, V)
    assert abs(carried.derivative(state, m, V, np.zeros(2))).max() <= system.tolerance
    assert abs(carried.traced(state) - frozen.at_rest).max() <= system.tolerance
    charge = frozen.lead_currents(np.zeros_like(m), np.zeros(system.shape))[0]
    assert carried.flows(state).charge == pytest.approx(charge, abs=system.tolerance)


@pytest.mark.parametrize(
    "axis",
    [
        pytest.param((1.0, 0.0, 0.0), marks=pytest.mark.slow),
        (0.0, 1.0, 0.0),
        pytest.param((0.0, 0.0, 1.0), marks=pytest.mark.slow),
    ],
)
def test_a_slow_motion_is_that_of_frozen_electrons_to_first_order(axis):
    """What is left of spins falls as the square of the frequency, of the torque of the bonds as fast or faster."""
    leads = [Lead("left", 0.9, chemical_potential=0.5), Lead("right", 1.1, polarization=Polarization((1, 0, 1), 0.4))]
    system = Device(
        (2,), sd_exchange=0.5, fermi_energy=0.2, temperature=0.06, tolerance=1e-6, leads=leads,
        spin_hopping=SpinHopping((0.2, 0.1 + 0.2j, -0.15)), spin_orbit=SpinOrbit(0.2, -0.1),
    )  # fmt: skip
    m, left = unit_vectors(np.random.default_rng(5), (2,)), []
    for w in (0.025, 0.0125):
        moments = softly_turning(m, axis, w)
        found = follow(system, [30.0], moments, np.zeros(2))
        now = moments(30.0)
        rate = w * np.cross(axis, now)
        parts = Frozen(system, now, np.zeros(2)).spin_density(rate, np.zeros(2))
        torque = sum(system.currents(now, rate).torque_spin_orbit.values())
        of_bonds = torque_of_bonds(found["electrons"], found["state"])
        left.append([np.linalg.norm(found["spin"][-1] - parts.total), np.linalg.norm(of_bonds - torque)])
        assert left[-1][0] < 0.02 * np.linalg.norm(parts.first_order)
    ratio = np.divide(*left)
    assert (ratio > 3.2).all()
    assert ratio[0] < 4.8


@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_spins_that_flow_into_a_bath_beside_bonds_that_turn_them(shape):
    """Those of frozen electrons at a bias: in the given axes, whatever frame the bonds are seen from."""
    sites = [2] if shape == (3,) else [(1, 1), (0, 0)]
    leads = [Lead("left", chemical_potential=0.6), Lead("right")]
    system = Device(
        shape, sd_exchange=0.8, fermi_energy=0.2, temperature=0.2, tolerance=1e-5, leads=leads,
        bath=Bath(sites, 0.4, zero_current=False), spin_orbit=SpinOrbit(0.4, -0.2),
    )  # fmt: skip
    m, V = unit_vectors(np.random.default_rng(4), shape), np.zeros(shape)
    electrons, _, state = adjusted(system, m, V, 5.0, rows)
    charge, spin = electrons.into_bath(state)
    frozen = Frozen(system, m, V).bath_currents(np.zeros_like(m), V)
    assert charge == pytest.approx(frozen[0], abs=1e-5)
    # In equilibrium spin flows into a reservoir too, which frozen electrons leave out.
    equal = system.changed(leads=[Lead("left"), Lead("right")])
    rest, _, at_rest = adjusted(equal, m, V, 5.0, rows)
    assert spin - rest.into_bath(at_rest)[1] == pytest.approx(frozen[1], abs=2e-5)
    assert abs(frozen[1]).max() > 4e-4
