"""Currents: continuity by origin, lead formulas, and a dense calculation that shares no code with the package."""

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, steady_precession
from llgnegf.electrons.currents import currents, precession_currents

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
AXES = {"x": (1.0, 0, 0), "y": (0, 1.0, 0), "z": (0, 0, 1.0), "oblique": (0.6, -0.48, 0.64)}
COUPLINGS = [(1.0, 1.0), (0.6, 1.2), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
J = 0.7


def wire(couplings, temperature=0.0, n=5, fermi_energy=0.3):
    leads = [Lead(side, c) for side, c in zip(("left", "right"), couplings, strict=True)]
    return Device(n, sd_exchange=J, fermi_energy=fermi_energy, temperature=temperature, tolerance=1e-9, leads=leads)


def moments(rng, n=5):
    m = rng.normal(size=(n, 3))
    return m / np.linalg.norm(m, axis=1, keepdims=True)


def torque(spin, m):
    return J * np.cross(spin, m)


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
@pytest.mark.parametrize("couplings", COUPLINGS)
@pytest.mark.parametrize("temperature", [0.0, 0.03])
def test_continuity_of_every_origin_in_steady_precession(rng, couplings, axis, temperature):
    """Torque = spin flow out - in + ds/2dt; ds/dt of the turning adiabatic spin belongs to the geometric part."""
    device, m = wire(couplings, temperature), moments(rng)
    spin = device.freeze(m).precession(np.array(axis), 1.0)
    flows = precession_currents(device, m, axis, 1.0)
    turning = 0.5 * np.cross(axis, spin.adiabatic)
    for origin, rate in (("adiabatic", 0), ("geometric", turning), ("sea", 0), ("surface", 0)):
        balance = torque(getattr(spin, origin), m) - flows.divergence(origin) - rate
        assert abs(balance).max() < 1e-10, origin
        assert abs(np.diff(flows.charge[origin])).max() < 1e-10


@pytest.mark.parametrize("couplings", COUPLINGS)
@pytest.mark.parametrize("temperature", [0.0, 0.03])
def test_continuity_of_any_slow_motion(rng, couplings, temperature):
    """ds/dt of the adiabatic part by finite differences; gates and moments move at once."""
    if couplings == (0.0, 0.0) and temperature > 0:
        pytest.skip("a closed wire keeps its occupations: its density does not follow the instantaneous equilibrium")
    device, m = wire(couplings, temperature), moments(rng)
    mdot = np.cross(rng.normal(size=m.shape), m)
    potential, rate = rng.normal(size=(2, 5)) * 0.2
    spin, flows = device.spin_density(m, mdot, potential, rate), currents(device, m, mdot, potential, rate)
    h = 1e-4
    after, before = (device.spin_density(m + s * mdot, None, potential + s * rate) for s in (h, -h))
    ds = (after.adiabatic - before.adiabatic) / (2 * h)
    dn = (after.density_adiabatic - before.density_adiabatic) / (2 * h)
    spin_balance = torque(spin.nonadiabatic, m) - flows.divergence("sea") - flows.divergence("surface") - 0.5 * ds
    charge_balance = np.diff(flows.charge["sea"] + flows.charge["surface"]) + dn
    # The finite difference of rules that adapt to the texture costs the digits.
    assert abs(spin_balance).max() < 3e-6
    assert abs(charge_balance).max() < 3e-6


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
@pytest.mark.parametrize("couplings", COUPLINGS[:4])
def test_exact_currents_scattering_formula_equals_the_bonds_at_the_edge(rng, couplings, axis):
    """Four-terminal scattering between half-metallic leads (self-energies only) against the bond to the lead."""
    device, m = wire(couplings, 0.0), moments(rng)
    steady = steady_precession(device, m, axis, 0.07)
    edges = np.array([-steady.bond_spin[0] @ axis, steady.bond_spin[-1] @ axis])
    assert edges == pytest.approx(steady.pumped_spin, abs=1e-11)
    balance = torque(steady.spin, m) - np.diff(steady.bond_spin, axis=0) - 0.035 * np.cross(axis, steady.spin)
    assert abs(balance).max() < 1e-11


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_first_order_lead_current_is_the_limit_of_the_exact_one(rng, axis):
    device, m = wire((1.0, 0.8)), moments(rng)
    first = precession_currents(device, m, AXES[axis], 1.0).into_leads()[1] @ np.array(AXES[axis])
    errors = [
        abs(steady_precession(device, m, AXES[axis], w).pumped_spin.sum() / w - first.sum()) for w in (0.02, -0.02)
    ]
    slope = [steady_precession(device, m, AXES[axis], w).pumped_spin / w for w in (0.01, -0.01)]
    assert max(errors) < 0.02
    assert np.mean(slope, axis=0) == pytest.approx(first, abs=2e-4)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("couplings", COUPLINGS)
@pytest.mark.parametrize(("temperature", "exchange"), [(0.0, 0.7), (0.03, 0.7), (0.03, 3.0)])
def test_currents_from_the_end_sites_are_those_over_the_bonds_to_the_leads(rng, n, couplings, temperature, exchange):
    """A strong exchange has levels outside the band; one of them in the thermal window."""
    energy = 0.3 if exchange == J else 2.9
    leads = [Lead(side, c) for side, c in zip(("left", "right"), couplings, strict=True)]
    device = Device(n, sd_exchange=exchange, fermi_energy=energy, temperature=temperature, tolerance=1e-10, leads=leads)
    m = moments(rng, n)
    mdot, (potential, rate) = np.cross(rng.normal(size=m.shape), m), rng.normal(size=(2, n)) * 0.2
    frozen = device.freeze(m, potential)
    found = frozen.lead_currents(mdot, rate)
    expected = currents(device, m, mdot, potential, rate).into_leads()
    np.testing.assert_allclose(np.column_stack(found), np.column_stack(expected), rtol=0, atol=1e-10)
    assert (abs(found[0]).max() > 1e-4) == any(couplings)
    assert not np.column_stack(found)[np.array(couplings) == 0].any()
    assert not np.column_stack(frozen.lead_currents(0 * mdot, 0 * rate)).any()
    axis = np.array(AXES["oblique"])
    spin, *found = device.freeze(m, potential).precession_with_currents(axis, 1.0)
    expected = precession_currents(device, m, axis, 1.0, potential).into_leads()
    np.testing.assert_allclose(np.column_stack(found), np.column_stack(expected), rtol=0, atol=1e-10)
    assert (abs(found[1]).max() > 1e-4) == any(couplings)
    np.testing.assert_array_equal(spin.geometric, device.freeze(m, potential).precession(axis, 1.0).geometric)


def test_bound_levels_carry_their_share_into_the_leads(rng):
    """The case above has some in the thermal window, and they matter."""
    device, m = Device(5, sd_exchange=3.0, fermi_energy=2.9, temperature=0.03, tolerance=1e-10), moments(rng)
    mdot, still = np.cross(rng.normal(size=m.shape), m), np.zeros(5)
    frozen, rate = device.freeze(m), device.coupling_blocks(mdot, still)
    frozen.lead_currents(mdot, still)
    chosen = frozen.sweeps.surface._for_motion(rate)
    assert chosen.discrete().any
    assert abs(chosen.tails(rate)).max() > 1e-6


def dense_brouwer(m, rate, couplings, energy, potential):
    """Charge and spin pumped at kT = 0 by dH/dt = `rate` blocks from dense matrices and own self-energies.

    From S = 1 - i W^+ G W with W W^+ = Gamma: I = (i/2pi) Tr[(1, sigma/2) dS S^+] on the block of each lead.  This is
    (1/2pi) Tr[(1, sigma/2) W^+ G Hd G^+ W], because dS S^+ = -i W^+ G Hd G^+ W.  It is what arrives deep inside the
    leads: instant by instant the bond at the edge differs by what the lead stores behind it.
    """
    n = len(m)
    H = np.zeros((2 * n, 2 * n), complex)
    Hd = np.zeros((2 * n, 2 * n), complex)
    for i in range(n):
        block = -J * np.einsum("a,abc->bc", m[i], PAULI) + potential[i] * np.eye(2)
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = block
        Hd[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = rate[i]
        if i:
            H[2 * i : 2 * i + 2, 2 * i - 2 : 2 * i] = -np.eye(2)
            H[2 * i - 2 : 2 * i, 2 * i : 2 * i + 2] = -np.eye(2)
    k = np.arccos(-energy / 2)
    W = np.zeros((2 * n, 4))
    Sigma = np.zeros((2 * n, 2 * n), complex)
    for p, (site, c) in enumerate(((0, couplings[0]), (n - 1, couplings[1]))):
        s = -(c**2) * np.exp(1j * k)
        for spin in range(2):
            Sigma[2 * site + spin, 2 * site + spin] += s
            W[2 * site + spin, 2 * p + spin] = np.sqrt(-2 * s.imag)
    G = np.linalg.inv(energy * np.eye(2 * n) - H - Sigma)
    S = np.eye(4) - 1j * W.T @ G @ W
    dS = -1j * W.T @ G @ Hd @ G @ W
    flow = dS @ S.conj().T / (2j * np.pi)
    charge = np.array([-np.trace(flow[b, b]).real for b in (slice(0, 2), slice(2, 4))])
    spin = np.array([[-0.5 * np.trace(s @ flow[b, b]).real for s in PAULI] for b in (slice(0, 2), slice(2, 4))])
    return charge, spin


@pytest.mark.parametrize("couplings", [(1.0, 1.0), (0.6, 1.2)])
def test_pumping_over_a_cycle_agrees_with_the_scattering_matrix(rng, couplings):
    """Brouwer's emissivity (dense, own self-energies) for charge and spin: moments and gates moving, kT = 0.

    Instant by instant the bond at the edge also charges the lead beyond it; over a cycle that drops out.
    """
    device, start = wire(couplings), moments(rng)
    amplitude, phase = rng.normal(size=5) * 0.3, rng.uniform(0, 2 * np.pi, size=5)
    wobble = rng.normal(size=(5, 3)) * 0.3
    steps = 48
    pumped, expected = [], []
    for angle in 2 * np.pi * np.arange(steps) / steps:
        # A closed path of the moments: a fixed direction plus a turning one, normalised.
        v = start + wobble * np.cos(angle) + np.roll(wobble, 1, axis=1) * np.sin(angle)
        dv = -wobble * np.sin(angle) + np.roll(wobble, 1, axis=1) * np.cos(angle)
        length = np.linalg.norm(v, axis=1, keepdims=True)
        m = v / length
        mdot = (dv - m * (m * dv).sum(axis=1, keepdims=True)) / length
        potential, gate = amplitude * np.cos(angle + phase), -amplitude * np.sin(angle + phase)
        rate = -J * np.einsum("ia,abc->ibc", mdot, PAULI) + gate[:, None, None] * np.eye(2)
        charge, spin = currents(device, m, mdot, potential, gate).into_leads()
        pumped.append(np.column_stack([charge, spin]))
        charge, spin = dense_brouwer(m, rate, couplings, 0.3, potential)
        expected.append(np.column_stack([charge, spin]))
    pumped, expected = np.mean(pumped, axis=0), np.mean(expected, axis=0)
    assert abs(expected).max() > 1e-3
    assert pumped == pytest.approx(expected, abs=1e-6)
    assert pumped[:, 0].sum() == pytest.approx(0, abs=1e-6)


def test_neel_wall_has_no_geometric_spin_current_along_the_axis():
    u = (3.0 - np.arange(7)) / 0.9
    m = np.stack([0 * u, 1 / np.cosh(u), np.tanh(u)], axis=1)
    flows = precession_currents(Device(7, sd_exchange=0.1), m, (0, 0, 1), 1.0)
    assert abs(flows.spin["geometric"][:, 2]).max() < 1e-10
    assert abs(flows.spin["surface"][:, 2]).max() > 1e-3


def test_closed_end_carries_nothing_and_reports_it_as_zero(rng):
    flows = currents(wire((0.0, 1.0)), moments(rng), moments(rng))
    for origin in flows.origins:
        assert flows.charge[origin][0] == 0
        assert not flows.spin[origin][0].any()


@pytest.mark.parametrize("temperature", [0.0, 0.01])
@pytest.mark.parametrize("coupling", [0.0, 1e-9, 0.1])
def test_precession_of_moments_along_the_axis_moves_nothing(temperature, coupling):
    """J_sd = 0, or moments along the axis: dH/dt = 0, so the geometric, sea and surface parts cancel exactly."""
    m = np.tile([0.0, 0.0, 1.0], (4, 1))
    device = Device(4, sd_exchange=coupling, temperature=temperature)
    spin = device.freeze(m).precession(np.array([0.0, 0.0, 1.0]), 0.001)
    assert abs(spin.geometric).max() > 1e-5
    assert abs(spin.nonadiabatic).max() < 1e-9
    into = precession_currents(device, m, (0, 0, 1), 0.001).into_leads()[1]
    assert abs(into).max() < 1e-9


def test_the_split_of_precession_is_refused_where_there_is_none(rng):
    device, m = wire((1.0, 1.0)), moments(rng)
    rotation = rng.normal(size=3) * 0.1
    turning = device.spin_density(m, np.cross(rotation, m), split="precession")
    frequency = np.linalg.norm(rotation)
    assert turning.geometric == pytest.approx(device.freeze(m).precession(rotation, frequency).geometric, abs=1e-12)
    general = device.spin_density(m, np.cross(rotation, m))
    assert turning.nonadiabatic == pytest.approx(general.nonadiabatic, abs=1e-9)
    with pytest.raises(ValueError, match=r"no rotation about one axis .* the split that exists .* 'general'"):
        device.spin_density(m, np.cross(rng.normal(size=(5, 3)), m), split="precession")
    with pytest.raises(ValueError, match="the gates move"):
        device.spin_density(m, np.cross(rotation, m), None, np.ones(5), split="precession")
    with pytest.raises(ValueError, match="allowed are 'general' and 'precession'"):
        device.spin_density(m, split="geo")
