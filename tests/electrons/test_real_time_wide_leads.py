"""Wide-band leads in real time: a closed form of what follows a jump, baths, frozen electrons, what is conserved."""

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, SpinOrbit
from llgnegf.electrons.frozen import Frozen
from llgnegf.electrons.real_time import RealTime
from llgnegf.electrons.real_time_leads import Gating, adjusted
from llgnegf.electrons.real_time_torque import torque_of_bonds
from tests.electrons.real_time_cases import density_matrix, evolved, follow, rows, softly_turning, turning, unit_vectors
from tests.oracles.spin_lattice import SpinLattice
from tests.oracles.wide_jump import jumped

WIDTHS = 0.6, 1.1
SIDES = "left", "right"


def device(n, left=None, right=None, **options):
    """Between two wide-band leads, with these keys more."""
    leads = [Lead(side, width=w, **(one or {})) for side, w, one in zip(SIDES, WIDTHS, (left, right), strict=True)]
    options = {"sd_exchange": 0.8, "fermi_energy": 0.2, "temperature": 0.1, "tolerance": 1e-5, "leads": leads} | options
    return Device(n, **options)


JUMPS = {
    "equilibrium": (3, {}, {}, (0.0, 0.0)),
    "one site, a bias": (1, {"chemical_potential": 0.8}, {"temperature": 0.3}, (0.0, 0.0)),
    "a bias and voltages": (2, {"chemical_potential": 0.8}, {"chemical_potential": -0.3}, (0.5, -0.4)),
    "kT = 0": (2, {"chemical_potential": 0.7, "temperature": 0.0}, {"temperature": 0.0}, (-0.4, 0.0)),
    "bonds that turn spins": (3, {"chemical_potential": 0.8}, {}, (0.0, 0.4)),
}


@pytest.mark.parametrize("name", JUMPS)
def test_what_follows_a_jump_is_its_closed_form(name):
    """Moments, gates and voltages jump at t = 0; density matrix and currents at two times."""
    n, left, right, voltages = JUMPS[name]
    orbit = SpinOrbit(0.4, -0.2) if "bonds" in name else None
    system = device(n, left, right, spin_orbit=orbit, temperature=0.0 if name == "kT = 0" else 0.1)
    rng = np.random.default_rng(3)
    m, V = unit_vectors(rng, (2, n)), rng.uniform(-0.3, 0.3, (2, n))
    H = [
        SpinLattice(
            m[k][:, None], np.zeros((n, 1, 3)), V[k][:, None], np.zeros((n, 1)), 0.8,
            rashba=0.4 if orbit else 0.0, dresselhaus=-0.2 if orbit else 0.0,
        ).H
        for k in (0, 1)
    ]  # fmt: skip
    gammas = np.zeros((2, 2 * n, 2 * n))
    gammas[0][:2, :2], gammas[1][-2:, -2:] = WIDTHS[0] * np.eye(2), WIDTHS[1] * np.eye(2)
    filled = [(one.get("chemical_potential", 0.2), one.get("temperature", system.temperature)) for one in (left, right)]
    gates = Gating(0.3 + max(map(abs, voltages)), 2.0)
    electrons, carried, state = adjusted(system, m[0], V[0], 3.0, rows, gates)
    times = [1e-9, 0.7, 3.0]
    found = evolved(electrons, carried, state, times, m[1], V[1], voltages)
    for k, t in enumerate(times):
        rho, currents = jumped(t, *H, gammas, filled, voltages)
        own = found["density_matrix"][k]
        own = own if system.frame is None else system.frame.matrix_back(own)
        assert abs(own - rho).max() < 2e-5
        assert abs(found["current"][k] - currents).max() < 4e-5
    assert abs(found["spin"][-1] - found["spin"][0]).max() > 0.05


@pytest.mark.parametrize("vacancies", [(), [(0, 1)]], ids=["all sites", "one of the end is vacant"])
def test_what_follows_a_jump_on_a_lattice(vacancies):
    """Of a lattice of 2 x 2 sites, beside leads with a bias and a voltage: what each site holds, and the currents."""
    shape, widths, voltages, mu = (2, 2), (0.6, 1.1), (0.5, -0.4), (0.8, -0.3)
    leads = [Lead(side, width=w, chemical_potential=one) for side, w, one in zip(SIDES, widths, mu, strict=True)]
    options = {"sd_exchange": 0.8, "temperature": 0.1, "tolerance": 1e-5, "vacancies": vacancies}
    system = Device(shape, leads=leads, spin_orbit=SpinOrbit(0.4, -0.2), **options)
    rng = np.random.default_rng(3)
    m, V = unit_vectors(rng, (2, *shape)), rng.uniform(-0.3, 0.3, (2, *shape))
    zero = np.zeros(shape)
    dense = [
        SpinLattice(m[k], np.zeros((*shape, 3)), V[k], zero, 0.8, rashba=0.4, dresselhaus=-0.2, vacancies=vacancies)
        for k in (0, 1)
    ]
    there = np.flatnonzero(dense[0].kept)
    H = [one.H[np.ix_(there, there)] for one in dense]
    ends = [np.diag(w * (there // 4 == x)) for x, w in enumerate(widths)]
    gates = Gating(0.8, 2.0)
    electrons, carried, state = adjusted(system, m[0], V[0], 2.0, rows, gates)
    found = evolved(electrons, carried, state, [1e-9, 1.7], m[1], V[1], voltages)
    sigma = np.array([np.eye(2), [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    for k, t in enumerate([1e-9, 1.7]):
        rho, currents = jumped(t, *H, np.array(ends), [(one, 0.1) for one in mu], voltages)
        whole = np.zeros((8, 8), complex)
        whole[np.ix_(there, there)] = rho
        blocks = np.einsum("iaib->iab", whole.reshape(4, 2, 4, 2))
        traced = np.einsum("iab,sba->is", blocks, sigma).real.reshape(*shape, 4)
        assert abs(found["density"][k] - traced[..., 0]).max() < 2e-5
        assert abs(found["spin"][k] - traced[..., 1:]).max() < 2e-5
        assert abs(found["current"][k] - currents).max() < 8e-5
    assert abs(found["spin"][1] - found["spin"][0]).max() > 0.05


def test_in_equilibrium_it_is_a_bath_on_its_site():
    """Reservoirs on the end sites, in the place of one lead and beside the other."""
    m, V = unit_vectors(np.random.default_rng(3), (3,)), np.array([0.2, -0.1, 0.3])
    options = {"sd_exchange": 0.8, "fermi_energy": 0.2, "temperature": 0.1, "tolerance": 1e-6}
    wide = Device(3, leads=[Lead("left", 0.7), Lead("right", width=0.4)], **options)
    bathed = Device(3, leads=[Lead("left", 0.7)], bath=Bath([2], 0.4, False), **options)
    found = [follow(one, [1.0, 4.0], lambda t: turning(m, (0, 1, 1), 0.8)(t), V) for one in (wide, bathed)]
    for key in ("spin", "density"):
        assert found[0][key] == pytest.approx(found[1][key], abs=1e-6)
    assert found[0]["current"][:, 0] == pytest.approx(found[1]["current"][:, 0], abs=1e-6)
    into = found[1]["electrons"].into_bath(found[1]["state"])
    assert found[0]["current"][-1, 1] == pytest.approx(into[0][0], abs=1e-6)
    assert found[0]["spin_current"][-1, 1] == pytest.approx(into[1][0], abs=1e-6)
    assert np.isnan(found[0]["electrons"].flows(found[0]["state"]).energy).tolist() == [False, True]


AT_REST = {
    "beside a lead with a band": ([Lead("left", width=0.6, chemical_potential=0.7), Lead("right", 0.8)], {}),
    "a band that is filled higher": ([Lead("left", 0.8, chemical_potential=0.7), Lead("right", width=0.6)], {}),
    "kT = 0": (
        [Lead("left", width=0.6, chemical_potential=0.7), Lead("right", 0.8, chemical_potential=-0.2)],
        {"temperature": 0.0},
    ),
    "beside a bath": (
        [Lead("left", width=0.6, chemical_potential=0.7), Lead("right", width=0.8)],
        {"bath": Bath([0, 1], 0.3, False)},
    ),
    "beside probes that float": (
        [Lead("left", width=0.6), Lead("right", width=0.8)],
        {"bath": Bath([0, 1], 0.3, "net")},
    ),
    "J_sd = 0": ([Lead("left", width=0.6, temperature=0.4)], {"sd_exchange": 0.0}),
}


@pytest.mark.parametrize("name", AT_REST)
def test_the_start_is_that_of_frozen_electrons_and_stays(name):
    leads, given = AT_REST[name]
    system = device(3, **{"leads": leads} | given)
    m, V = unit_vectors(np.random.default_rng(4), (3,)), np.array([0.2, -0.1, 0.3])
    electrons, carried, state = adjusted(system, m, V, 20.0, rows)
    frozen = Frozen(system, m, V)
    charge = frozen.lead_currents(np.zeros_like(m), np.zeros(3))[0]
    found = evolved(electrons, carried, state, [1e-9, 5.0], m, V)
    for k in range(2):
        assert abs(found["spin"][k] - frozen.at_rest[..., 1:]).max() <= system.tolerance
        assert abs(found["density"][k] - frozen.at_rest[..., 0]).max() <= system.tolerance
        assert abs(found["current"][k] - charge).max() <= system.tolerance
    again = RealTime.recalled(system, electrons.remembered())
    U = np.array([0.3, -0.2])
    assert np.array_equal(again.derivative(state, m, V, U), electrons.derivative(state, m, V, U))
    assert np.array_equal(again.flows(state).exchanged, electrons.flows(state).exchanged)


@pytest.mark.parametrize("orbit", [None, SpinOrbit(0.4, -0.2)])
def test_particles_and_the_spin_of_each_site_balance(orbit):
    system = device(3, {"chemical_potential": 0.8}, spin_orbit=orbit, tolerance=1e-3)
    m, V, U = unit_vectors(np.random.default_rng(4), (3,)), np.array([0.2, -0.1, 0.3]), np.array([0.2, -0.3])
    electrons, carried, state = adjusted(system, m[::-1].copy(), V, 5.0, rows)
    state = evolved(electrons, carried, state, [1.5], m, V, U)["state"]
    rate, flows = carried.traced(carried.derivative(state, m, V, U)), carried.flows(state)
    assert rate[..., 0].sum() == pytest.approx(-flows.charge.sum(), abs=1e-10)
    torque = 0.8 * np.cross(carried.traced(state)[..., 1:], m)
    if orbit:
        torque = torque + torque_of_bonds(electrons, state)
    assert rate[..., 1:].sum(axis=0) / 2 == pytest.approx(torque.sum(axis=0) - flows.spin.sum(axis=0), abs=1e-10)
    assert abs(flows.spin).min() > 1e-5
    if not orbit:
        rho = density_matrix(electrons, state)
        over = [rho[2 * i + 2 : 2 * i + 4, 2 * i : 2 * i + 2] for i in range(2)]  # of the bonds, -t on each
        sigma = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
        flow = np.array([np.einsum("sab,ba->s", sigma, one).imag for one in over])
        out = np.array([flows.spin[0] + flow[0], flow[1] - flow[0], flows.spin[1] - flow[1]])
        assert rate[..., 1:] / 2 == pytest.approx(torque - out, abs=1e-10)


@pytest.mark.parametrize(
    "axis",
    [pytest.param((1, 0, 0), marks=pytest.mark.slow), (0, 1, 0), pytest.param((0, 0, 1), marks=pytest.mark.slow)],
)
def test_a_slow_motion_is_that_of_frozen_electrons_to_first_order(axis):
    """What is left of spins and of currents falls as the square of the frequency; a bias."""
    system = device(2, {"chemical_potential": 0.7}, tolerance=1e-6)
    m, left = unit_vectors(np.random.default_rng(5), (2,)), []
    for w in (0.03, 0.015):
        moments = softly_turning(m, axis, w)
        found = follow(system, [20.0], moments, np.zeros(2))
        now = moments(20.0)
        rate, frozen = w * np.cross(axis, now), Frozen(system, now, np.zeros(2))
        parts, charge = frozen.spin_density(rate, np.zeros(2)), frozen.lead_currents(rate, np.zeros(2))[0]
        left.append([np.linalg.norm(found["spin"][-1] - parts.total), np.linalg.norm(found["current"][-1] - charge)])
        assert left[-1][0] < 0.1 * np.linalg.norm(parts.first_order)
    ratio = np.divide(*left)
    assert 3.2 < ratio[0] < 4.8
    assert ratio[1] > 3.2
