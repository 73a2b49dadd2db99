"""Baths on sites: probes and reservoirs of constant width, beside dense matrices, closed forms and balances."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from llgnegf.electrons import Bath, Device, Lead, ToleranceError, steady_precession
from llgnegf.electrons.bathed_motion import MotionAtBias
from tests.electrons.systems import AXES, wall
from tests.electrons.test_bias import leads_of, moments
from tests.oracles.bathed_dense import Bathed
from tests.oracles.biased_dense import Reservoir

SIDES, SLOW = ("left", "right"), pytest.mark.slow
# shape, J_sd, couplings, kT, chemical potentials, temperatures of the leads (None: kT), voltages, sites, width, probe
CASES = [
    ((1,), 0.5, (1.0, 0.6), 0.0, (0.25, -0.15), None, (0.0, 0.0), (0,), 0.3, True),
    ((1,), 0.5, (1.0, 0.6), 0.0, (0.25, -0.15), None, (0.0, 0.0), (0,), 0.3, False),
    ((2,), 0.0, (0.3, 1.0), 0.01, (0.25, -0.15), None, (0.3, -0.2), (1,), 0.1, True),
    ((2,), 0.7, (1.0, 0.0), 0.01, (0.25, 0.0), None, (0.0, 0.0), (0, 1), 2.0, False),
    ((2,), 0.7, (0.0, 0.9), 0.3, (0.0, 0.4), None, (0.0, 0.0), (0,), 0.5, True),
    ((3,), 2.5, (0.9, 1.0), 0.3, (-1.0, 0.1), (0.1, 0.3), (0.0, 0.0), (0, 2), 0.5, True),
    ((5,), 0.4, (1.0, 0.3), 0.0, (0.3, -0.2), None, (0.3, -0.2), (1, 2, 3), 0.2, True),
    ((5,), 0.4, (1.0, 1.0), 0.01, (0.3, -0.2), None, (0.0, 0.0), (0, 4), 0.05, False),
    ((2, 3), 0.7, (0.3, 1.0), 0.0, (0.2, -0.2), None, (0.2, 0.1), (0, 4), 0.3, True),
    pytest.param(
        ((3, 2), 0.4, (1.0, 1.0), 0.02, (0.25, -0.15), (0.02, 0.05), (0.1, 0.0), (1, 2), 0.3, True),
        marks=SLOW,
    ),
    pytest.param(
        ((3, 2), 0.4, (1.0, 1.0), 0.3, (0.25, -0.15), None, (0.0, 0.0), (1, 2), 0.3, True),
        marks=SLOW,
    ),
    ((3, 2), 0.4, (1.0, 1.0), 0.0, (0.25, -0.15), None, (0.0, 0.0), (1, 2), 0.3, True),
    ((3, 2), 0.4, (1.0, 1.0), 0.02, (0.25, -0.15), None, (0.0, 0.0), (3,), 0.3, False),
]


def both(case, seed=3, fermi_energy=0.03, tolerance=1e-8):
    shape, J, couplings, kT, mus, temperatures, voltages, where, width, probe = case
    rng = np.random.default_rng(seed)
    plane = shape if len(shape) == 2 else (shape[0], 1)
    m, V = moments(rng, plane), rng.uniform(-0.4, 0.4, plane)
    T = (kT, kT) if temperatures is None else temperatures
    left, right = (Reservoir(*one) for one in zip(couplings, voltages, mus, T, strict=True))
    nothing = np.zeros(plane)
    oracle = Bathed(
        m, 0 * m, V, nothing, J, left, right, Reservoir(mu=fermi_energy, kT=kT),
        where=where, width=width, zero_current=probe,
    )  # fmt: skip
    sites = [np.unravel_index(site, shape) for site in where]
    device = Device(
        shape,
        sd_exchange=J,
        fermi_energy=fermi_energy,
        temperature=kT,
        tolerance=tolerance,
        leads=leads_of(couplings, kT, mus, temperatures, voltages),
        bath=Bath([[int(c) for c in site] for site in sites], width, probe),
    )
    return oracle, device, m.reshape(*shape, 3), V.reshape(shape)


@pytest.mark.parametrize("case", CASES)
def test_dense_matrices_give_the_same(case):
    oracle, device, m, V = both(case)
    frozen = device.freeze(m, V)
    plane = (*oracle.shape, 4)
    assert frozen.adiabatic.reshape(plane) == pytest.approx(oracle.traced(oracle.equilibrium()), abs=1e-8)
    density, charge, spin, energy, into_bath, spin_into_bath = oracle.driven()
    assert frozen.bias.density.reshape(plane) == pytest.approx(density, abs=1e-8)
    found = frozen.lead_currents(np.zeros_like(m), np.zeros_like(V))
    assert found[0] == pytest.approx(charge, abs=1e-8)
    assert found[1] == pytest.approx(spin, abs=1e-8)
    assert frozen.energy_currents == pytest.approx(energy, abs=1e-7)
    into_bath_found = frozen.bath_currents(np.zeros_like(m), np.zeros_like(V))
    assert into_bath_found[0] == pytest.approx(into_bath, abs=1e-8)
    assert into_bath_found[1] == pytest.approx(spin_into_bath, abs=1e-8)
    for energy in (-1.3, 0.4):
        assert device.transmission(energy, m, V).sum() == pytest.approx(oracle.transmission(energy), abs=1e-10)


def wire(n=6, J=0.5, probe=True, where=(1, 2, 4), width=0.3, kT=0.0, mus=(0.3, -0.2), tolerance=1e-10, **options):
    leads = [Lead("left", 0.8, chemical_potential=mus[0]), Lead("right", 1.0, chemical_potential=mus[1])]
    options = {"fermi_energy": 0.05, "temperature": kT, "leads": leads} | options
    return Device(n, sd_exchange=J, tolerance=tolerance, bath=Bath(where, width, probe), **options)


def random_moments(n, seed=5):
    return moments(np.random.default_rng(seed), (n,))


@pytest.mark.parametrize("kT", [0.0, 0.02])
def test_no_particles_enter_a_probe_but_spin_does(kT):
    device = wire(kT=kT)
    m = random_moments(6)
    charge, spin = device.bath_currents(m)
    assert abs(charge).max() < 1e-15
    assert abs(spin).max() > 1e-4
    into_leads = device.lead_currents(m)[0]
    assert into_leads.sum() == pytest.approx(0.0, abs=1e-14)
    assert into_leads[1] > 0.02
    # Electrons keep their energy in a probe.
    assert device.freeze(m).energy_currents.sum() == pytest.approx(0.0, abs=1e-14)


def test_a_reservoir_takes_current():
    device = wire(probe=False)
    m = random_moments(6)
    into_bath, into_leads = device.bath_currents(m)[0], device.lead_currents(m)[0]
    assert into_bath.sum() + into_leads.sum() == pytest.approx(0.0, abs=1e-10)
    assert abs(into_bath).min() > 1e-4


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("kT", [0.0, pytest.param(0.02, marks=SLOW), pytest.param(0.3, marks=SLOW)])
def test_torque_is_the_spin_that_flows_in_less_what_bonds_and_bath_take(probe, kT):
    device = wire(probe=probe, kT=kT)
    m = random_moments(6)
    assert abs(device.spin_balance(m)).max() < 2e-10
    # What would be missing without the bath.
    assert abs(device.bath_currents(m)[1]).max() > 1e-4


@pytest.mark.parametrize("probe", [True, False])
def test_total_torque_is_the_spin_current_in_less_out(probe):
    device = wire(probe=probe)
    m = random_moments(6)
    found = device.spin_density(m)
    torque = device.sd_exchange * np.cross(found.bias, m).sum(axis=0)
    into_leads, into_bath = device.lead_currents(m)[1].sum(axis=0), device.bath_currents(m)[1].sum(axis=0)
    assert torque == pytest.approx(into_leads + into_bath, abs=1e-10)


def test_balance_on_a_lattice_and_conservation_on_each_of_its_sites():
    leads = [Lead("left", 0.8, chemical_potential=0.3), Lead("right", chemical_potential=-0.2)]
    bath = Bath([(0, 1), (2, 0), (2, 2)], 0.4)
    device = Device((3, 3), periodic="y", sd_exchange=0.6, tolerance=1e-9, leads=leads, bath=bath)
    m = moments(np.random.default_rng(2), (3, 3))
    assert abs(device.spin_balance(m)).max() < 1e-8
    flows = device.currents(m)
    x, y = flows.charge["bias"], flows.charge_y["bias"]
    assert np.diff(x, axis=0) + y - np.roll(y, 1, axis=1) == pytest.approx(np.zeros((3, 3)), abs=1e-9)
    assert flows.into_leads()[0] == pytest.approx(device.lead_currents(m)[0], abs=1e-9)
    assert flows.into_leads("bias")[1] == pytest.approx(device.lead_currents(m)[1], abs=1e-9)


def test_currents_over_bonds_end_in_leads_and_bath():
    device = wire(probe=False, where=(0, 3, 5), kT=0.02)
    m = random_moments(6)
    flows = device.currents(m)
    lost = np.zeros(6)
    lost[[0, 3, 5]] = device.bath_currents(m)[0]
    assert np.diff(flows.charge["bias"]) == pytest.approx(-lost, abs=1e-10)
    assert flows.into_leads("bias")[0] == pytest.approx(device.lead_currents(m)[0], abs=1e-10)


@pytest.mark.parametrize("kT", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("probe", [True, False])
def test_nothing_flows_in_equilibrium(kT, probe):
    device = Device(5, sd_exchange=0.5, temperature=kT, bath=Bath([1, 3], 0.2, probe))
    m = random_moments(5)
    frozen = device.freeze(m)
    assert frozen.bias is None
    charge, spin = device.bath_currents(m)
    assert abs(charge).max() == abs(spin).max() == 0.0
    assert spin.shape == (2, 3)
    assert abs(np.array(device.lead_currents(m)[0])).max() == 0.0


@pytest.mark.parametrize("probe", [True, False])
def test_rotated_moments_rotate_the_spin_density(probe):
    device = wire(probe=probe)
    m = random_moments(6)
    expected, flow = device.spin_density(m), device.bath_currents(m)[1]
    angle, axis = 0.7, np.array([0.36, 0.48, 0.8])
    K = np.cross(np.eye(3), axis)
    R = np.eye(3) - np.sin(angle) * K + (1 - np.cos(angle)) * K @ K
    for turn in (R, R.T, *(np.roll(np.eye(3), k, axis=0) for k in (1, 2))):
        found = device.spin_density(m @ turn.T)
        assert found.adiabatic == pytest.approx(expected.adiabatic @ turn.T, abs=1e-11)
        assert found.bias == pytest.approx(expected.bias @ turn.T, abs=1e-10)
        assert device.bath_currents(m @ turn.T)[1] == pytest.approx(flow @ turn.T, abs=1e-10)


@pytest.mark.parametrize("kT", [0.0, 0.05])
@pytest.mark.parametrize("probe", [True, False])
def test_a_bath_of_no_width_does_nothing(kT, probe):
    m = random_moments(6)
    without = wire(kT=kT, tolerance=1e-9).changed(bath=None)
    change = []
    for width in (2e-4, 1e-4):
        found, expected = wire(kT=kT, probe=probe, width=width, tolerance=1e-9).spin_density(m), without.spin_density(m)
        change.append(abs(found.total - expected.total).max())
        assert found.density == pytest.approx(expected.density, abs=1e-3)
    assert change[1] < 1e-4
    assert change[0] / change[1] == pytest.approx(2.0, abs=0.02)


def test_voltages_on_both_leads_are_a_shift_of_all_energies():
    m, shift = random_moments(6), 0.37
    one = wire()
    leads = [Lead(lead.side, lead.coupling, shift, lead.chemical_potential + shift) for lead in one.leads]
    other = one.changed(onsite=shift, fermi_energy=one.fermi_energy + shift, leads=leads).changed(onsite=0.0)
    other = other.changed(potential=np.full(6, shift))
    assert other.spin_density(m).total == pytest.approx(one.spin_density(m).total, abs=1e-9)
    assert other.lead_currents(m)[0] == pytest.approx(one.lead_currents(m)[0], abs=1e-9)


def test_with_probes_the_sum_does_not_depend_on_the_reference():
    m = random_moments(6)
    one, other = (wire(fermi_energy=mu).spin_density(m) for mu in (0.05, -0.4))
    assert one.density == pytest.approx(other.density, abs=1e-9)
    assert one.total == pytest.approx(other.total, abs=1e-9)
    assert abs(one.adiabatic - other.adiabatic).max() > 1e-3


@pytest.mark.parametrize("kT", [0.0, 0.02])
def test_level_between_two_leads_and_a_probe(kT):
    """A probe hands on what it takes: Gamma_L Gamma_R |G|^2 (1 + width/(Gamma_L + Gamma_R))."""
    from scipy.integrate import quad
    from scipy.special import expit

    couplings, level, width, mus = (0.3, 0.4), 0.1, 0.05, (0.25, -0.15)
    leads = [Lead(s, c, chemical_potential=mu) for s, c, mu in zip(("left", "right"), couplings, mus, strict=True)]
    device = Device(
        1, onsite=level, sd_exchange=0.0, temperature=kT, leads=leads, bath=Bath([0], width), tolerance=1e-10
    )

    def sigma(E, c):
        return c**2 * ((E - level) / 2 - 1j * np.sqrt(1 - ((E - level) / 2) ** 2))

    def f(E, mu):
        return expit(-(E - mu) / kT) if kT else float(mu > E)

    def through(E):
        left, right = (-2 * sigma(E, c).imag for c in couplings)
        G = 1 / (E - level - sum(sigma(E, c) for c in couplings) + 0.5j * width)
        return left * right * abs(G) ** 2 * (1 + width / (left + right))

    def flow(E):
        return 2 / (2 * np.pi) * (f(E, mus[0]) - f(E, mus[1])) * through(E)

    points = [*mus, level]
    expected = quad(flow, -1.4, 1.5, points=points, epsabs=1e-11, limit=400)[0]
    m = np.array([[0.0, 0.6, 0.8]])
    assert device.lead_currents(m)[0] == pytest.approx([-expected, expected], abs=1e-9)
    found = device.transmission([0.0, 0.2], m)
    assert found.sum(axis=(1, 2)) == pytest.approx([2 * through(0.0), 2 * through(0.2)], abs=1e-12)
    # Spins return from the probe as they may: half of what it hands on is flipped.
    flipped = -2 * sigma(0.2, couplings[1]).imag * -2 * sigma(0.2, couplings[0]).imag
    assert found[1, 0, 1] == found[1, 1, 0] > 0.0
    assert found[1, 0, 1] / found[1].sum() < 0.5
    assert flipped > 0.0


@pytest.mark.parametrize("width", [0.1, 0.4])
def test_a_wire_of_probes_obeys_ohms_law(width):
    """D'Amato and Pastawski: each site adds 1/sum d^2 T_d to the resistance, T_d = width^2 |G_d|^2 of the bulk."""
    energy = 0.6
    k = np.arccos(-(energy + 0.5j * width) / 2 + 0j)
    k = k if k.imag > 0 else -k  # G_d = exp(i k d)/(2i sin k)
    q = np.exp(-2 * k.imag)
    conductivity = width**2 / abs(2 * np.sin(k)) ** 2 * q * (1 + q) / (1 - q) ** 3
    resistance = {}
    for n in (300, 350):
        device = Device(n, sd_exchange=0.0, bath=Bath(range(n), width))
        resistance[n] = 2 / device.transmission(energy, np.zeros((n, 3))).sum()
    assert (resistance[350] - resistance[300]) / 50 == pytest.approx(1 / conductivity, rel=1e-6)
    # 1/(1 + L/(2 l)) with the mean free path l = v/width where that is long.
    if width == 0.1:
        velocity = np.sqrt(4 - energy**2)
        assert resistance[350] == pytest.approx(1 + 350 * width / (2 * velocity), rel=5e-3)


def test_linear_response_is_the_derivative_of_the_currents():
    m, V = random_moments(5), 1e-3
    for kT, tolerance in ((0.0, 1e-11), (0.05, 1e-9)):
        device = Device(
            5, sd_exchange=0.5, fermi_energy=0.1, temperature=kT, bath=Bath([1, 2], 0.3), tolerance=tolerance
        )
        found = device.bias_response(m)
        for side in range(2):
            biased = [
                device.changed(
                    leads=[Lead(s, chemical_potential=0.1 + sign * V * (k == side)) for k, s in enumerate(SIDES)]
                )
                for sign in (1, -1)
            ]
            spin = [one.spin_density(m) for one in biased]
            expected = (spin[0].total - spin[1].total) / (2 * V)
            assert found.spin[side] == pytest.approx(expected, abs=1e-5)
            flow = [one.lead_currents(m)[0] for one in biased]
            assert found.charge[side] == pytest.approx((flow[0] - flow[1]) / (2 * V), abs=1e-5)


def test_levels_far_from_the_bath_are_found_or_refused():
    """Nearly closed: levels of width 1e-6 to 1e-8, which only the bath on one site broadens further."""
    leads = [Lead("left", 1e-3, chemical_potential=0.5), Lead("right", 2e-3, chemical_potential=-0.5)]
    m = wall(6)
    device = Device(6, sd_exchange=3.0, leads=leads, bath=Bath([0], 1e-3), tolerance=1e-6)
    try:
        found = device.spin_density(m)
    except ToleranceError:
        return
    sharper = device.changed(tolerance=1e-9).spin_density(m)
    assert found.total == pytest.approx(sharper.total, abs=2e-6)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("kT", [0.0, 0.05])
def test_the_tolerance_is_kept(tolerance, kT):
    case = ((4,), 0.6, (0.5, 1.0), kT, (0.3, -0.2), None, (0.0, 0.1), (0, 2), 0.15, True)
    oracle, device, m, V = both(case, tolerance=tolerance)
    found = device.spin_density(m, potential=V)
    expected = oracle.traced(oracle.equilibrium()) + oracle.driven()[0]
    assert abs(found.total - expected[:, 0, 1:]).max() < tolerance
    assert abs(found.density - expected[:, 0, 0]).max() < tolerance


def test_states_are_those_of_the_dense_matrix():
    oracle, device, m, V = both(CASES[6])
    for energy in (-3.0, 0.3):  # outside and inside the bands
        _, A, *_ = oracle.less(np.array([energy]))
        expected = oracle.traced(A[0])[:, 0] / (2 * np.pi)
        assert device.density_of_states(energy, m, V) == pytest.approx(expected, abs=1e-10)


def test_steady_precession_and_net_probes_beside_moving_leads_are_refused():
    device, m = wire().changed(leads=[Lead("left"), Lead("right")]), random_moments(6)
    for ask in (
        lambda: steady_precession(device, m, AXES["z"], 0.01),
        lambda: device.freeze(m).precession(np.array(AXES["z"]), 0.01),
        lambda: device.spin_density(m, np.cross(AXES["z"], m), split="precession"),
        lambda: device.changed(bath=Bath([1], 0.3, "net")).moving_leads(m),
    ):
        with pytest.raises(ValueError, match="bath"):
            ask()


def test_a_device_with_a_bath_is_copied_and_shown_whole():
    import copy

    device = wire()
    assert copy.copy(device).bath == device.bath
    assert "bath=Bath([1, 2, 4], 0.3, zero_current=True)" in repr(device)
    assert device.changed(bath=None).bath is None
    assert Bath([(0, 1)], 0.2) != Bath([(0, 1)], 0.2, zero_current=False)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Bath([], 0.1), "sites"),
        (lambda: Bath([1, 1], 0.1), "each once"),
        (lambda: Bath([-1], 0.1), "-1"),
        (lambda: Bath([True], 0.1), "True"),
        (lambda: Bath("12", 0.1), "12"),
        (lambda: Bath([0], 0.0), "width = 0.0"),
        (lambda: Bath([0], np.inf), "width = inf"),
        (lambda: Bath([0], True), "width = True"),
        (lambda: Bath([0], 0.1, "yes"), "zero_current = 'yes'"),
        (lambda: Device(3, sd_exchange=0.1, bath=Bath([3], 0.1)), "3 is no site"),
        (lambda: Device(3, sd_exchange=0.1, bath=Bath([(0, 0)], 0.1)), "no site"),
        (lambda: Device(3, sd_exchange=0.1, bath=Bath([0], 1e-12)), "at least 1e-09"),
        (lambda: Device(3, sd_exchange=0.1, bath=[0]), "bath = "),
        (lambda: Device(1100, sd_exchange=0.1, bath=Bath(range(1100), 0.1)), "1100 of 1100"),
    ],
)
def test_wrong_baths_are_told(make, told):
    with pytest.raises(ValueError, match=told):
        make()


@pytest.mark.parametrize("kT", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("shape", [(4,), (3, 2)])
def test_the_field_on_the_moments_is_the_slope_of_the_grand_potential(shape, kT):
    rng = np.random.default_rng(6)
    sites = [0, 2] if len(shape) == 1 else [(0, 0), (1, 1), (2, 0)]
    device = Device(
        shape, sd_exchange=0.7, fermi_energy=0.2, onsite=0.1, temperature=kT, bath=Bath(sites, 0.4), tolerance=1e-8
    )
    m, V = moments(rng, shape), rng.uniform(-0.3, 0.3, shape)
    found = device.spin_density(m, potential=V)
    step = 1e-3
    for _ in range(4):
        d, u = rng.normal(size=m.shape), rng.normal(size=shape)
        there, back = (device.freeze(m + s * d, V + s * u).grand_potential for s in (step, -step))
        expected = (-0.7 * (found.adiabatic * d).sum() + (found.density * u).sum()) * 2 * step
        assert there - back == pytest.approx(expected, abs=2e-8)
    assert device.freeze(0 * m).grand_potential == pytest.approx(0.0, abs=1e-12)


# --- first order in the velocities ------------------------------------------------------------------------------------

# shape, J_sd, couplings, kT, sites, width, probe
MOVING = [
    ((1,), 0.5, (1.0, 0.6), 0.0, (0,), 0.3, False),
    ((1,), 0.5, (1.0, 0.6), 0.0, (0,), 0.3, True),
    ((2,), 0.5, (0.0, 0.0), 0.0, (0, 1), 0.3, False),
    ((2,), 0.5, (0.0, 0.7), 0.05, (0,), 0.4, True),
    ((3,), 2.0, (0.3, 1.0), 0.0, (0, 2), 0.2, True),
    ((4,), 0.4, (1.0, 0.8), 0.05, (1, 2), 0.3, True),
    pytest.param(((4,), 0.4, (1.0, 0.8), 0.3, (1, 3), 0.3, False), marks=SLOW),
    ((2, 2), 0.4, (1.0, 0.8), 0.0, (0, 3), 0.3, True),
    pytest.param(((2, 2), 0.4, (1.0, 0.8), 0.05, (1, 2), 0.3, True), marks=SLOW),
]


def moving(case, seed=4, tolerance=1e-8):
    shape, J, couplings, kT, where, width, probe = case
    mus = (0.03, 0.03)
    oracle, device, m, V = both((shape, J, couplings, kT, mus, None, (0.0, 0.0), where, width, probe), seed)
    rng = np.random.default_rng(seed + 1)
    mdot = 0.1 * np.cross(m, moments(rng, shape))
    rate = 0.1 * rng.uniform(-1, 1, shape)
    plane = oracle.shape
    oracle = replace(oracle, mdot=mdot.reshape(*plane, 3), potential_rate=rate.reshape(plane))
    return oracle, device.changed(tolerance=tolerance), m, mdot, V, rate


@pytest.mark.parametrize("case", MOVING)
def test_dense_matrices_give_the_same_first_order(case):
    oracle, device, m, mdot, V, rate = moving(case)
    frozen = device.freeze(m, V)
    assert frozen.bias is None
    response = frozen.respond(mdot, rate)
    expected = oracle.parts()
    plane = (*oracle.shape, 4)
    assert response.sea.reshape(plane) == pytest.approx(expected["sea"], abs=1e-8)
    further, into_bath = oracle.pumped()
    assert response.surface.reshape(plane) == pytest.approx(expected["surface"] + further, abs=1e-8)
    charge, spin = frozen.bath_currents(mdot, rate)
    assert charge == pytest.approx(into_bath[:, 0], abs=1e-8)
    assert spin == pytest.approx(into_bath[:, 1:] / 2, abs=1e-8)
    if case[-1]:
        assert abs(charge).max() < 1e-15
        assert abs(further).max() > 1e-6


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 2)])
def test_spin_balances_at_first_order(probe, shape):
    rng = np.random.default_rng(8)
    sites = [1, 3] if len(shape) == 1 else [(0, 1), (2, 0)]
    leads = [Lead("left", 0.8), Lead("right")]
    device = Device(shape, sd_exchange=0.6, fermi_energy=0.2, leads=leads, bath=Bath(sites, 0.3, probe), tolerance=1e-9)
    m = moments(rng, shape)
    mdot = 0.3 * np.cross(m, moments(rng, shape))
    V, rate = rng.uniform(-0.3, 0.3, (2, *shape))
    assert abs(device.spin_balance(m, mdot, V, rate)).max() < 1e-8
    charge, spin = device.bath_currents(m, mdot, V, rate)
    assert abs(spin).max() > 1e-3
    # Particles that leave are those that the device has less of.
    lost = device.lead_currents(m, mdot, V, rate)[0].sum() + charge.sum()
    step = 1e-4
    now, then = (device.spin_density(_turned(m, mdot, s), potential=V + s * rate).density.sum() for s in (step, -step))
    gained = (now - then) / (2 * step)
    # On a lattice the flow deep in the leads counts what they store near their ends, too.
    assert lost == pytest.approx(-gained, abs=1e-6) or len(shape) == 2
    assert (abs(charge).max() < 1e-15) == probe


def _turned(m, mdot, step):
    turned = m + step * mdot
    return turned / np.linalg.norm(turned, axis=-1, keepdims=True)


@pytest.mark.parametrize("width", [0.2, 1.0, 4.0])
def test_one_moment_in_a_bath_alone_has_the_torque_of_the_wide_band(width):
    """Sigma = -i width/2 for all energies: closed forms of spin pumping and of the geometric torque."""
    J, m, axis, omega = 0.8, np.array([[0.6, 0.0, 0.8]]), np.array([0.0, 0.0, 1.0]), 0.01
    device = Device(1, sd_exchange=J, leads=[], bath=Bath([0], width, zero_current=False), tolerance=1e-10)
    mdot = omega * np.cross(axis, m)
    found = device.spin_density(m, mdot)
    torque = J * np.cross(found.first_order, m)[0]
    D = np.angle(-J + 0.5j * width) - np.angle(J + 0.5j * width)
    expected = ((1 - np.cos(2 * D)) * np.cross(m, mdot) + (2 * D - np.sin(2 * D)) * mdot)[0] / (4 * np.pi)
    assert torque == pytest.approx(expected, abs=1e-9)


def test_probes_without_a_lead_do_not_answer_to_a_motion():
    m = random_moments(3)
    mdot = np.cross(m, [0.0, 0.0, 0.1])
    for device in (
        Device(3, sd_exchange=0.5, leads=[], bath=Bath([1], 0.2)),
        Device(3, sd_exchange=0.5, fermi_energy=3.0, bath=Bath([1], 0.2)),
        Device(3, sd_exchange=0.5, fermi_energy=1.9, temperature=0.1, bath=Bath([1], 0.2)),
    ):
        with pytest.raises(ToleranceError, match="probes"):
            device.spin_density(m, mdot)
        reservoirs = device.changed(bath=Bath([1], 0.2, zero_current=False))
        assert np.isfinite(reservoirs.spin_density(m, mdot).total).all()


# --- first order under a bias -----------------------------------------------------------------------------------------


def driven(shape, sites, kT=0.0, probe=True, mus=(0.3, -0.2), voltages=(0.0, 0.0), tolerance=1e-9):
    """A biased device with a bath, moments, velocities, gates and rates."""
    rng = np.random.default_rng(3)
    leads = [Lead(s, c, v, mu, kT) for s, c, v, mu in zip(SIDES, (0.8, 1.0), voltages, mus, strict=True)]
    device = Device(
        shape, sd_exchange=0.6, fermi_energy=0.1, temperature=kT, tolerance=tolerance, leads=leads,
        bath=Bath(sites, 0.3, probe),
    )  # fmt: skip
    m = moments(rng, shape)
    return device, m, 0.3 * np.cross(m, moments(rng, shape)), *rng.uniform(-0.3, 0.3, (2, *shape))


DRIVEN = [
    ((1,), [0], 0.0, True, (0.3, -0.2), (0.0, 0.0)),
    ((4,), [1, 2], 0.0, True, (0.3, -0.2), (0.3, -0.2)),
    ((3,), [0, 2], 0.0, False, (0.3, -0.2), (0.0, 0.0)),
    pytest.param(((4,), [0, 3], 0.05, True, (0.3, -0.2), (0.0, 0.0)), marks=SLOW),
    ((2, 2), [(0, 0), (1, 1)], 0.0, True, (0.3, -0.2), (0.0, 0.0)),
]


@pytest.mark.parametrize("case", DRIVEN)
def test_particles_and_spin_are_conserved_on_each_site_to_first_order(case):
    """d rho_0/dt = what flows in less what bonds, bath and torque take, with derivatives of the density at rest."""
    shape = case[0]
    device, m, mdot, V, rate = driven(*case)
    found = device.spin_density(m, mdot, V, rate)
    step = 1e-4

    def at(s):
        one = device.spin_density(_turned(m, mdot, s), potential=V + s * rate)
        return np.concatenate([one.density[..., None], one.total], axis=-1)

    change = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    flows, parts = device.currents(m, mdot, V, rate), ("sea", "surface", "bias_motion")
    into_bath = np.zeros((device.n_sites, 4))
    moved, still = device.bath_currents(m, mdot, V, rate), device.bath_currents(m, None, V)
    into_bath[device.bath.on(shape)] = np.column_stack([moved[0] - still[0], moved[1] - still[1]])
    into_bath = into_bath.reshape(*shape, 4)
    charge = sum(np.diff(flows.charge[o], axis=0) for o in parts)
    if len(shape) == 2:
        charge = charge + sum(flows.charge_y[o] - np.roll(flows.charge_y[o], 1, axis=1) for o in parts)
    spin = sum(flows.divergence(o) for o in parts)
    assert abs(change[..., 0] + charge + into_bath[..., 0]).max() < 1e-9
    torque = 0.6 * np.cross(found.first_order, m)
    assert abs(torque - spin - 0.5 * change[..., 1:] - into_bath[..., 1:]).max() < 1e-9
    assert abs(found.bias_motion).max() > 1e-4
    assert (abs(moved[0]).max() < 1e-14) == case[3]


# shape, sites, kT, probe
MOVED = [
    ((3,), [1], 0.0, True),
    ((2,), [0, 1], 0.0, False),
    ((2, 2), [(0, 1)], 0.0, True),
    pytest.param(((4,), [0, 2], 0.05, True), marks=SLOW),
    pytest.param(((3,), [0, 2], 0.05, False), marks=SLOW),
]


def between_moving_leads(shape, sites, kT, probe):
    rng = np.random.default_rng(5)
    leads = [Lead(*one) for one in zip(SIDES, (0.8, 0.9), (0.3, -0.1), strict=True)]
    options = {"sd_exchange": 0.6, "fermi_energy": -0.3, "temperature": kT, "tolerance": 1e-8, "leads": leads}
    potential = 0.3 * rng.normal(size=shape)
    return Device(shape, bath=Bath(sites, 0.4, probe), potential=potential, **options), moments(rng, shape)


@pytest.mark.parametrize("case", [MOVED[k] for k in (0, 2, 3)])  # those of probes
def test_leads_probes_and_sites_that_rise_together_are_a_gauge(case):
    """Probes are filled from the leads alone, and rise with them; energies by two sites of each lead, or without."""
    device, m = between_moving_leads(*case)
    frozen, ones = device.freeze(m), np.ones(device.shape)
    sites, leads = frozen.respond(np.zeros_like(m), ones), device.moving_leads(m, energy=True).response((1.0, 1.0))
    assert abs(sites.density).max() > 0.1
    assert leads.density == pytest.approx(-sites.density, abs=1e-9)
    spin = frozen.bath_currents(np.zeros_like(m), ones)[1] - frozen.bath_currents(np.zeros_like(m), 0 * ones)[1]
    assert abs(spin).max() > 1e-3
    assert leads.into_bath[:, 1:] / 2 == pytest.approx(-spin, abs=1e-9)
    assert abs(leads.into_bath[:, 0]).max() < 1e-13
    if not device.is_lattice:  # there deep in the leads
        pumped = frozen.energy_pumped(np.zeros_like(m), ones)
        assert abs(pumped).min() > 1e-2
        assert leads.energy_into_leads == pytest.approx(-pumped, abs=1e-9)
        flow = [frozen.lead_currents(np.zeros_like(m), s * ones)[0] for s in (1.0, 0.0)]
        assert leads.into_leads[:, 0] == pytest.approx(flow[1] - flow[0], abs=1e-9)


def test_a_reservoir_that_stays_as_all_else_rises_is_filled_less():
    """At kT = 0, -Im[dG/dE Gamma G^+]/2pi of its states at E_F is what it would add, did it rise with them: a gauge."""
    device, m = between_moving_leads(*MOVED[1])
    sigma = [np.array([[z, x - 1j * y], [x + 1j * y, -z]]) for x, y, z in m]
    H = -np.kron(np.array([[0, 1], [1, 0]]), np.eye(2)) + 0j
    for i in range(2):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += device.potential[i] * np.eye(2) - 0.6 * sigma[i]

    def G(energy):
        x = (energy - np.array(device.voltages)) / 2 + 0j
        ends = np.array(device.couplings) ** 2 * (x - np.sqrt(x - 1) * np.sqrt(x + 1)) - 0.2j
        return np.linalg.inv((energy * np.eye(4) - H) - np.kron(np.diag(ends), np.eye(2)))

    h, at = 1e-3, device.fermi_energy
    slope = (8 * (G(at + h) - G(at - h)) - (G(at + 2 * h) - G(at - 2 * h))) / (12 * h)
    added = -0.4 * slope @ G(at).conj().T
    added = (added - added.conj().T) / (2j * 2 * np.pi)
    electrons = [added[2 * i, 2 * i].real + added[2 * i + 1, 2 * i + 1].real for i in range(2)]
    sites = device.freeze(m).respond(np.zeros_like(m), np.ones(2)).density
    found = sites + device.moving_leads(m).response((1.0, 1.0)).density
    assert abs(np.array(electrons)).max() > 1e-2
    assert found[:, 0] == pytest.approx(-np.array(electrons), abs=1e-8)


@pytest.mark.parametrize("case", MOVED)
def test_what_leads_and_bath_gain_as_a_lead_moves_the_device_loses(case):
    device, m = between_moving_leads(*case)
    moving, h = device.moving_leads(m), 1e-3
    for unit in np.eye(2):

        def at(shift, unit=unit):
            return device.at_voltages(device.voltages + shift * unit).freeze(m).at_rest.reshape(-1, 4).sum(axis=0)

        rate = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        found = moving.response(unit)
        flow = found.into_leads.sum(axis=0) + found.into_bath.sum(axis=0)
        assert abs(rate[0]) > 0.1
        assert flow[0] == pytest.approx(-rate[0], abs=1e-9)
        torque = 0.6 * np.cross(found.density[..., 1:], m).reshape(-1, 3).sum(axis=0)
        assert torque == pytest.approx((flow[1:] + rate[1:]) / 2, abs=1e-9)
        assert abs(flow[1:]).max() > 1e-3
        assert (abs(found.into_bath[:, 0]).max() < 1e-13) == device.bath.elastic


@pytest.mark.parametrize("case", [DRIVEN[k] for k in (0, 1, 3, 4)])
def test_leads_filled_alike_are_an_equilibrium_to_first_order(case):
    shape, sites, kT = case[:3]
    device, m, mdot, V, rate = driven(shape, sites, kT, mus=(-0.25, -0.25))
    other = device.changed(fermi_energy=-0.25, leads=[Lead(s, c) for s, c in zip(SIDES, (0.8, 1.0), strict=True)])
    found, expected = (one.spin_density(m, mdot, V, rate) for one in (device, other))
    assert found.first_order == pytest.approx(expected.first_order, abs=1e-9)
    assert found.density == pytest.approx(expected.density, abs=1e-9)
    flows = [(*one.bath_currents(m, mdot, V, rate), *one.lead_currents(m, mdot, V, rate)) for one in (device, other)]
    # On lattices what a bias drives is taken over the first bonds, all else deep in the leads.
    for one, two in list(zip(*flows, strict=True))[: 4 if len(shape) == 1 else 2]:
        assert one == pytest.approx(two, abs=1e-9)


def test_the_weights_of_probes_change_as_energy_and_moments_do():
    device, m, mdot, V, rate = driven((4,), [0, 2, 3])
    sweeps, energy, h = device.freeze(m, V).sweeps, 0.17, 1e-4
    motion = MotionAtBias(sweeps.at_energy(energy), sweeps.modes_at(energy), device.coupling_blocks(mdot, rate))
    bath = motion._one.spans[2]
    _, by_energy, by_time = (part[:2, bath][:, ::2] for part in motion._parts)
    weights = [sweeps.at_energy(energy + s).weights for s in (h, -h)]
    assert by_energy == pytest.approx((weights[0] - weights[1]) / (2 * h), abs=1e-7)
    weights = [device.freeze(m + s * mdot, V + s * rate).sweeps.at_energy(energy).weights for s in (h, -h)]
    assert by_time == pytest.approx((weights[0] - weights[1]) / (2 * h), abs=1e-7)
    assert abs(by_energy).max() > 1e-2
    assert abs(by_time).max() > 1e-3


@pytest.mark.parametrize("probe", [True, False])
def test_a_bath_of_no_width_does_nothing_to_first_order(probe):
    device, m, mdot, V, rate = driven((3,), [0, 2], tolerance=1e-8)
    expected = device.changed(bath=None).spin_density(m, mdot, V, rate)
    flows = device.changed(bath=None).lead_currents(m, mdot, V, rate)
    energies = device.changed(bath=None).lead_energies(m, mdot, V, rate)
    change = []
    for width in (2e-4, 1e-4):
        one = device.changed(bath=Bath([0, 2], width, probe))
        found = one.spin_density(m, mdot, V, rate)
        change.append(abs(found.first_order - expected.first_order).max())
        assert one.lead_currents(m, mdot, V, rate)[0] == pytest.approx(flows[0], abs=1e-3)
        assert found.bias_motion == pytest.approx(expected.bias_motion, abs=1e-3)
        assert one.lead_energies(m, mdot, V, rate) == pytest.approx(energies, abs=3e-4)
    pumped = device.changed(bath=None).freeze(m, V).energy_pumped(mdot, rate)
    assert abs(pumped).max() > 5e-3
    assert change[1] < 2e-4
    assert change[0] / change[1] == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    ("width", "potential", "fermi_energy", "kT"), [(1e-4, 3.0, 0.0, 0.3), (1e-3, 2.0, 1.0, 0.1), (1e-4, 2.0, 1.0, 0.1)]
)
def test_a_level_outside_the_band_is_found(width, potential, fermi_energy, kT):
    """One site at the end of a lead, its level broadened by the bath alone, beside an integral of scalars.

    Sigma(E) = (E - sqrt(E^2 - 4)) / 2 above the band moves the level.
    """
    device = Device(
        1, sd_exchange=0.0, fermi_energy=fermi_energy, temperature=kT, leads=[Lead("right")],
        bath=Bath([0], width, zero_current=False),
    )  # fmt: skip
    found = device.spin_density([[0, 0, 1]], None, [potential], [0.01]).density_surface

    def integrand(E):
        root = np.sqrt(E + 2 + 0j) * np.sqrt(E - 2 + 0j)
        G = 1 / (E - potential - (E - root) / 2 + 0.5j * width)
        slope = -1 / (4 * kT) / np.cosh((E - fermi_energy) / (2 * kT)) ** 2
        return 2 * 0.01 * slope * np.imag(G * 1j * (G - G.conj())) / (2 * np.pi)

    level = potential + 1 / potential  # of E - V - Sigma(E) = 0 above the band, where Sigma = 1 / V
    places = [level + sign * width * 10.0**k for k in range(-2, 5) for sign in (1, -1)]
    low, high = fermi_energy - 30 * kT, fermi_energy + 40 * kT
    edges = sorted({low, -2.0, 2.0, level, high, *(p for p in places if 2.0 < p < high)})
    expected = sum(quad(integrand, a, b, limit=400, epsabs=1e-12)[0] for a, b in itertools.pairwise(edges) if b > a)
    assert abs(expected) > 1e-4
    np.testing.assert_allclose(found, [expected], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kT", [0.0, 0.001])
@pytest.mark.parametrize("fermi_energy", [2.4, -2.3])
def test_a_bias_where_nothing_conducts(fermi_energy, kT):
    leads = [Lead("left", chemical_potential=fermi_energy + 0.1), Lead("right")]
    bath = Bath([0], 0.3, zero_current=False)
    device = Device((2,), sd_exchange=0.5, fermi_energy=fermi_energy, temperature=kT, leads=leads, bath=bath)
    found = device.spin_density(np.eye(3)[:2], np.full((2, 3), 0.1))
    assert not found.bias_motion.any()
    alone = Device(
        (2,), sd_exchange=0.5, fermi_energy=fermi_energy, temperature=kT, leads=[Lead("left"), Lead("right")], bath=bath
    )
    expected = alone.spin_density(np.eye(3)[:2], np.full((2, 3), 0.1))
    np.testing.assert_allclose(found.sea + found.surface, expected.sea + expected.surface, rtol=0, atol=1e-6)
