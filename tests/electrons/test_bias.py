"""Leads at voltages, chemical potentials and temperatures of their own: densities, flows, the response to a motion."""

from dataclasses import replace

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, ToleranceError, narrow_levels, steady_precession
from llgnegf.errors import RunWarning
from tests.electrons.real_time_cases import follow
from tests.electrons.systems import wall
from tests.oracles import finite_chain
from tests.oracles.biased_dense import Biased, Reservoir

# shape, J_sd, couplings, kT, chemical potentials, temperatures of the leads (None: kT), voltages
CASES = [
    ((1,), 0.5, (1.0, 0.6), 0.0, (0.25, -0.15), None, (0.0, 0.0)),
    ((1,), 2.0, (0.3, 1.0), 0.3, (0.25, -0.15), (0.1, 0.3), (0.0, 0.0)),
    ((2,), 0.1, (0.3, 1.0), 0.01, (0.25, -0.15), None, (0.3, -0.2)),
    ((2,), 0.0, (1.0, 0.0), 0.01, (0.25, 0.03), None, (0.0, 0.0)),
    ((2,), 0.1, (0.9, 1.0), 0.3, (-1.0, 0.1), None, (-2.0, 0.0)),
    ((7,), 0.1, (1.0, 1.0), 0.0, (0.3, -0.2), None, (0.3, -0.2)),
    ((7,), 2.0, (1.0, 0.3), 0.0, (0.25, -0.15), None, (0.0, 0.0)),
    ((2, 3), 0.7, (0.3, 1.0), 0.0, (0.2, 0.2), None, (0.2, 0.1)),
    ((3, 2), 0.1, (1.0, 1.0), 0.02, (0.25, -0.15), (0.02, 0.05), (0.1, 0.0)),
]
MANY = [
    (shape, J, couplings, kT, (0.25, -0.15), None, (0.25, -0.15) if (k + n) % 2 else (0.0, 0.0))
    for k, (J, couplings) in enumerate([(0.1, (0.3, 1.0)), (2.0, (1.0, 0.3))])
    for shape in ((1,), (7,), (1, 2), (4, 3))
    for n, kT in enumerate((0.0, 0.01, 0.3))
]


def moments(rng, shape):
    m = rng.normal(size=(*shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def leads_of(couplings, kT, mus, temperatures, voltages):
    found = []
    for k, side in enumerate(("left", "right")):
        own = {"chemical_potential": mus[k], "voltage": voltages[k]}
        if temperatures is not None:
            own["temperature"] = temperatures[k]
        found.append(Lead(side, couplings[k], **own) if couplings[k] else Lead(side, 0.0))
    return found


def both(case, seed, fermi_energy=0.03):
    """The oracle and the package's device for one case, with random moments, gates and rates."""
    shape, J, couplings, kT, mus, temperatures, voltages = case
    rng = np.random.default_rng(seed)
    plane = shape if len(shape) == 2 else (shape[0], 1)
    m = moments(rng, plane)
    mdot = 0.5 * np.cross(m, moments(rng, plane))
    V, rate = rng.uniform(-0.4, 0.4, (2, *plane))
    T = (kT, kT) if temperatures is None else temperatures
    left, right = (Reservoir(*one) for one in zip(couplings, voltages, mus, T, strict=True))
    oracle = Biased(m, mdot, V, rate, J, left, right, Reservoir(mu=fermi_energy, kT=kT))
    device = Device(
        shape,
        sd_exchange=J,
        fermi_energy=fermi_energy,
        temperature=kT,
        tolerance=1e-8,
        leads=leads_of(couplings, kT, mus, temperatures, voltages),
    )
    return oracle, device


def compare(case, seed):
    oracle, device = both(case, seed)
    m, mdot = oracle.m.reshape(*device.shape, 3), oracle.mdot.reshape(*device.shape, 3)
    V, rate = oracle.potential.reshape(device.shape), oracle.potential_rate.reshape(device.shape)
    found = device.spin_density(m, mdot, V, rate)
    expected = {
        "adiabatic": oracle.traced(oracle.equilibrium(oracle.green)),
        "bias": oracle.traced(oracle.bias()),
        "bias_motion": oracle.traced(oracle.bias_motion()),
    }
    total = sum(expected.values())[..., 0].reshape(device.shape)
    assert found.bias_motion is not None
    for name, value in expected.items():
        error = abs(getattr(found, name) - value[..., 1:].reshape(found.adiabatic.shape)).max()
        assert error < (3e-7 if name == "bias_motion" else 2e-8) * max(1.0, abs(value).max()), (case, name, error)
    first = found.density_sea + found.density_surface
    assert abs(found.density - first - total).max() < 5e-7 * max(1.0, abs(total).max())
    charge, spin, energy = oracle.into_leads()
    frozen = device.freeze(m, V)
    particles, spins = frozen.lead_currents(0 * mdot, 0 * rate)
    assert abs(particles - charge).max() < 2e-8
    assert abs(spins - spin).max() < 2e-8
    assert abs(frozen.energy_currents - energy).max() < 5e-8
    assert abs(particles.sum()) < 1e-12


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.filterwarnings("ignore:a level outside the bands")
def test_dense_matrices_and_brute_force_agree(case):
    compare(case, 3)


@pytest.mark.slow
@pytest.mark.parametrize("case", MANY, ids=str)
@pytest.mark.filterwarnings("ignore:a level outside the bands")
def test_many_devices_agree_with_dense_matrices(case):
    compare(case, 5)


@pytest.mark.parametrize("couplings", [(0.03, 0.1), (0.01, 0.01)])
def test_narrow_levels_are_found_and_their_tails_too(couplings):
    """Their response grows as 1/width, so that they count even where the leads' occupations hardly differ."""
    for mus, kT in (((0.25, -0.15), 0.01), ((0.08, -0.02), 0.01), ((0.45, -0.35), 0.0)):
        oracle, device = both(((2,), 0.5, couplings, kT, mus, None, (0.0, 0.0)), 1)
        rate = device.coupling_blocks(oracle.mdot[:, 0], oracle.potential_rate[:, 0])
        bias = device.freeze(oracle.m[:, 0], oracle.potential[:, 0]).bias
        expected = oracle.traced(oracle.bias_motion())[:, 0]
        found = bias.moved(rate)
        assert abs(found - expected).max() < 1e-7 + 1e-6 * abs(expected).max()
        assert abs(bias.density - oracle.traced(oracle.bias())[:, 0]).max() < 1e-7


def test_response_of_a_level_beyond_the_window():
    """Half-widths of 1e-6 at 0.5, where exp(-25) of an electron is driven: its response is still 1e-4."""
    left, right = Reservoir(1e-3, 0.0, 0.25, 0.01), Reservoir(1e-4, 0.0, -0.15, 0.01)
    m, mdot = np.array([[[0.6, 0.0, 0.8]]]), np.array([[[0.0, 0.5, 0.0]]])
    V, rate = np.array([[0.0]]), np.array([[0.3]])
    oracle = Biased(m, mdot, V, rate, 0.5, left, right, Reservoir(mu=0.03, kT=0.01))
    leads = leads_of((1e-3, 1e-4), 0.01, (0.25, -0.15), None, (0.0, 0.0))
    device = Device(1, sd_exchange=0.5, fermi_energy=0.03, temperature=0.01, tolerance=1e-8, leads=leads)
    found = device.freeze(m[0]).bias.moved(device.coupling_blocks(mdot[0], rate[0]))
    expected = oracle.traced(oracle.bias_motion())[0]
    assert abs(expected).max() > 1e-6
    assert abs(found - expected).max() < 1e-8 + 1e-3 * abs(expected).max()


def test_narrow_levels_in_other_units():
    """Powers of two change no mantissa: narrow levels, and those without contact, are the same to the last bit."""
    seen = []
    for unit in (1.0, 2.0**-62):
        given = {"hopping": unit, "temperature": 0.01 * unit}
        for shape, exchange, mus in (((3,), 0.3, (0.9, -0.8)), ((2, 2), 1.5, (-2.3, 0.9))):
            leads = leads_of((0.01 * unit, 0.02 * unit), 0.0, unit * np.array(mus), None, (0.0, 0.0))
            device = Device(shape, sd_exchange=exchange * unit, leads=leads, **given)
            # Uniform on the lattice: beside levels that the contacts broaden, one of a closed mode.
            bias = device.freeze(wall(3) if shape == (3,) else np.tile([0.0, 0.0, 1.0], (2, 2, 1))).bias
            levels = [(one.energy / unit, one.width / unit) for one in bias._resolvable]
            seen.append((levels, [energy / unit for energy, _ in bias._without_width]))
    assert seen[:2] == seen[2:]
    assert len(seen[0][0]) == 2
    assert seen[1][0]
    assert seen[1][1]


@pytest.mark.parametrize("shape", [(12,), (4, 3)])
def test_levels_by_band_matrices_are_those_by_dense_ones(shape, monkeypatch):
    rng = np.random.default_rng(1)
    leads = [Lead("left", 0.05, voltage=0.3), Lead("right", 0.1, chemical_potential=-0.3)]
    device = Device(shape, sd_exchange=0.6, temperature=0.02, tolerance=1e-6, leads=leads)
    m = moments(rng, shape)
    dense_ones = device.freeze(m).bias._narrow_levels
    monkeypatch.setattr(narrow_levels, "_BANDED", 0)
    found = device.freeze(m).bias._narrow_levels
    assert len(found) == len(dense_ones) > 2
    for one, other in zip(found, dense_ones, strict=True):
        assert abs(one.energy - other.energy) < 1e-12
        assert abs(one.width - other.width) < 1e-12
        assert abs(abs(np.vdot(one.state, other.state)) - 1) < 1e-9


def test_a_lattice_is_searched_once_for_the_surface_and_for_the_bias(monkeypatch):
    rng, searches = np.random.default_rng(1), []
    search = narrow_levels._all_narrow

    def counted(sweeps, stretches):
        searches.append(stretches)
        return search(sweeps, stretches)

    monkeypatch.setattr(narrow_levels, "_all_narrow", counted)
    leads = [Lead("left", 0.05, voltage=0.3), Lead("right", 0.1, voltage=-0.3)]
    device = Device((3, 2), sd_exchange=0.6, temperature=0.02, tolerance=1e-6, leads=leads)
    m = moments(rng, (3, 2))
    frozen = device.freeze(m)
    frozen.respond(np.cross(m, rng.normal(size=m.shape)), np.zeros((3, 2)))
    assert len(searches) == 1
    # A narrower window has those of the wider one that lie within, and that count.
    thermal = device.thermal_window.stretches
    assert thermal[0].low > searches[0][0].low
    found = narrow_levels.narrow_levels(frozen.sweeps, thermal, lambda energy, width: width < 0.01)
    expected = [one for one in search(frozen.sweeps, thermal) if one.width < 0.01]
    assert len(searches) == 1
    assert len(expected) > 1
    assert [one.energy for one in found] == pytest.approx([one.energy for one in expected], abs=1e-10)


def test_where_no_level_is_found_next_to_a_band_edge_none_has_lost_its_contact():
    """Newton's steps go back and forth over the edge at -1.7."""
    rng = np.random.default_rng(107)
    m, V = moments(rng, (3,)), rng.uniform(-0.9, 0.9, 3)
    leads = [Lead("left", voltage=0.3, chemical_potential=0.0), Lead("right", voltage=0.3, temperature=0.1)]
    device = Device(3, sd_exchange=2.0, fermi_energy=0.4, temperature=0.1, leads=leads)
    frozen = device.freeze(m, V)
    effective = narrow_levels.effective_hamiltonian(frozen.sweeps)
    values, vectors = np.linalg.eig(effective(-1.72)[0])
    near = int(np.argmin(abs(values + 1.7)))
    level, _ = narrow_levels._refined(effective, complex(values[near]), vectors[:, near], 1.0, np.linalg.solve)
    assert abs(level.real + 1.7) < 0.02
    assert -level.imag > 1e-3
    assert not frozen.bias._without_width


def test_standing_waves_of_a_long_wire_are_no_narrow_levels(monkeypatch):
    """They take more energies than a short wire may, and each is broad: energy by energy, without `long_wires`."""

    def search(*given):
        raise AssertionError("levels are searched for")

    monkeypatch.setattr("llgnegf.electrons.bias.narrow_levels", search)
    monkeypatch.setattr("llgnegf.electrons.long_wires.LONG", 10**9)
    n = 800
    angle = 2 * np.arctan(np.exp((np.arange(n) - n / 2) / 6.0))
    m = np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], axis=1)
    leads = [Lead("left", voltage=0.1), Lead("right")]
    device = Device(n, sd_exchange=-0.3, fermi_energy=-1.85, temperature=0.01, tolerance=1e-5, leads=leads)
    frozen = device.freeze(m)
    assert abs(frozen.at_rest).max() < 2
    assert 4000 < frozen.solves < 12 * n


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
def test_states_that_a_rule_misses_by_little_are_no_reason_to_search_for_levels(tolerance, monkeypatch):
    """A rule a little too coarse (1e-4) is made finer; a level that it does not see (1e-6) is found by blocks."""

    def search(*given):
        raise AssertionError("dense eigenvalues")

    n = 140
    angle = 2 * np.arctan(np.exp((np.arange(n) - 40.0) / 4.0))
    m = np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], axis=1)
    leads = [Lead("left", voltage=0.1), Lead("right")]
    device = Device(n, sd_exchange=-0.3, fermi_energy=-1.85, temperature=0.01, tolerance=tolerance, leads=leads)
    for name in ("narrow_levels", "bound_levels"):
        monkeypatch.setattr(f"llgnegf.electrons.bias.{name}", search)
    frozen = device.freeze(m)
    found = frozen.bias.density
    assert frozen.solves < 3000
    expected = device.changed(tolerance=1e-8).freeze(m).bias.density
    assert abs(found - expected).max() < tolerance


def test_sharpest_level_at_any_chemical_potential():
    leads = [Lead("left", 0.1, chemical_potential=0.2), Lead("right", 0.1, chemical_potential=-0.2)]
    device = Device(1, sd_exchange=0.2, leads=leads)
    m = np.array([[0.0, 0.0, 1.0]])
    at_level = Device(1, sd_exchange=0.2, fermi_energy=0.2, leads=[Lead("left", 0.1), Lead("right", 0.1)])
    assert device.freeze(m).level_width() == pytest.approx(at_level.freeze(m).level_width(), rel=1e-12)
    assert device.freeze(m).level_width() < 0.2 * device.changed(leads=at_level.leads).freeze(m).level_width()


def test_levels_that_no_first_panel_sees_are_missed_by_the_poles_and_found():
    """Half-widths of 1e-9 between the chemical potentials: filled by the leads in proportion to the contacts."""
    c, m = 1e-4, wall(3)
    leads = [Lead("left", c, chemical_potential=0.9), Lead("right", 2 * c, chemical_potential=-0.8)]
    device = Device(3, sd_exchange=0.3, fermi_energy=0.1, leads=leads)
    found = device.spin_density(m)
    energies, states = np.linalg.eigh(dense(m, 0.3))
    ends = [(abs(states[part]) ** 2).sum(axis=0) for part in (slice(0, 2), slice(-2, None))]
    share = ends[0] / (ends[0] + 4 * ends[1])
    filling = np.where(energies < -0.8, 1.0, np.where(energies > 0.9, 0.0, share))
    assert ((energies > -0.8) & (energies < 0.9)).sum() == 2
    n = ((abs(states) ** 2) @ filling).reshape(3, 2).sum(axis=1)
    assert found.density == pytest.approx(n, abs=1e-5)


def dense(m, exchange):
    """H of a closed chain of hopping 1."""
    H = -np.kron(np.eye(len(m), k=1) + np.eye(len(m), k=-1), np.eye(2)).astype(complex)
    for i, (x, y, z) in enumerate(m):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = -exchange * np.array([[z, x - 1j * y], [x + 1j * y, -z]])
    return H


def biased(shape, **more):
    leads = [Lead("left", 0.8, voltage=0.2), Lead("right", 1.0, chemical_potential=-0.1, temperature=0.05)]
    return Device(shape, **({"sd_exchange": 0.6, "temperature": 0.02, "tolerance": 1e-9, "leads": leads} | more))


@pytest.mark.parametrize("shape", [(5,), (3, 2)])
def test_torque_is_the_spin_that_the_current_leaves(shape):
    device = biased(shape)
    rng = np.random.default_rng(0)
    m = moments(rng, shape)
    spin, flows = device.spin_density(m), device.currents(m)
    torque = device.sd_exchange * np.cross(spin.bias, m)
    assert abs(torque - flows.divergence("bias")).max() < 1e-12
    assert abs(device.spin_balance(m)).max() < 1e-8
    charge, spin_flow = device.lead_currents(m)
    assert abs(torque.reshape(-1, 3).sum(axis=0) - spin_flow.sum(axis=0)).max() < 1e-12
    assert abs(torque.reshape(-1, 3).sum(axis=0)).max() > 1e-3
    into = flows.into_leads("bias")
    assert abs(into[0] - charge).max() < 1e-12
    assert abs(into[1] - spin_flow).max() < 1e-12
    # In motion: over the bonds of the extended device as into the leads.
    mdot = 0.1 * np.cross(m, moments(rng, shape))
    moved = device.currents(m, mdot).into_leads("bias_motion")
    frozen = device.freeze(m)
    expected = frozen.bias.moved_into_leads(device.coupling_blocks(mdot, np.zeros(shape)))
    assert abs(moved[0] - expected[:, 0]).max() < 1e-9
    assert abs(moved[1] - expected[:, 1:] / 2).max() < 1e-9
    with pytest.raises(ValueError, match="at rest"):
        device.spin_balance(m, mdot)


def test_mirror_image():
    """Left and right exchanged: the same densities in reverse order, the flows exchanged."""
    for shape in ((5,), (3, 2)):
        device = biased(shape)
        (a, b), m = device.leads, moments(np.random.default_rng(1), shape)
        turned = device.changed(leads=[replace(b, side="left"), replace(a, side="right")])
        mdot = 0.2 * np.cross(m, moments(np.random.default_rng(2), shape))
        one, other = device.spin_density(m, mdot), turned.spin_density(m[::-1], mdot[::-1])
        assert abs(one.bias - other.bias[::-1]).max() < 1e-9
        assert abs(one.bias_motion - other.bias_motion[::-1]).max() < 1e-9
        assert abs(device.lead_currents(m)[0] - turned.lead_currents(m[::-1])[0][::-1]).max() < 1e-12


def test_rows_of_a_ring_are_alike():
    """Three rows, periodic: two modes open at the same energy, and the window ends there."""
    m = np.random.default_rng(4).normal(size=(4, 3, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    leads = [Lead("left", chemical_potential=0.5), Lead("right", temperature=0.1)]
    device = Device(
        (4, 3), leads=leads, sd_exchange=0.7, fermi_energy=0.3, temperature=0.04, periodic="y", tolerance=1e-4
    )
    mdot = np.cross(m, [0.1, 0.2, 0.3])
    one, other = (device.spin_density(np.roll(m, k, axis=1), np.roll(mdot, k, axis=1)).bias_motion for k in (0, 1))
    assert abs(one).max() > 5e-3
    np.testing.assert_allclose(np.roll(one, 1, axis=1), other, atol=1e-4)


def test_all_reversed_moments_reverse_the_spin_about_every_axis():
    """Rotations: a bias knows no axis.  Reversal of a coplanar texture is a rotation by pi about the normal."""
    device, m = biased((5,)), moments(np.random.default_rng(3), (5,))
    spin = device.spin_density(m).bias
    for axis in range(3):
        turn = -np.ones(3)
        turn[axis] = 1.0
        assert abs(device.spin_density(m * turn).bias - spin * turn).max() < 1e-9


@pytest.mark.filterwarnings("ignore:a level outside the bands")
def test_uniform_moments_feel_no_torque():
    for direction in np.eye(3):
        for shape in ((5,), (2, 3)):
            m = np.tile(direction, (*shape, 1))
            spin = biased(shape).spin_density(m).bias
            assert abs(np.cross(spin, m)).max() < 1e-12
            assert abs(spin).max() > 1e-3


def test_equal_leads_are_an_equilibrium():
    """Both leads at one chemical potential and temperature: the device in equilibrium with them, moving as it does."""
    rng = np.random.default_rng(4)
    for shape, kT in (((4,), 0.0), ((4,), 0.02), ((2, 2), 0.0)):
        m = moments(rng, shape)
        mdot = 0.1 * np.cross(m, moments(rng, shape))
        plain = Device(shape, sd_exchange=0.6, fermi_energy=0.3, temperature=kT, tolerance=1e-9)
        leads = [Lead(side, chemical_potential=0.3, temperature=kT) for side in ("left", "right")]
        off = plain.changed(fermi_energy=0.1, leads=leads)
        expected, found = plain.spin_density(m, mdot), off.spin_density(m, mdot)
        assert abs(expected.total - found.total).max() < 1e-8
        assert abs(expected.density - found.density).max() < 1e-8
        assert abs(off.lead_currents(m)[0]).max() < 1e-12
        assert abs(plain.lead_currents(m, mdot)[0] - off.lead_currents(m, mdot)[0]).max() < 1e-8 or len(shape) == 2


def test_voltage_on_everything_is_another_zero_of_energy():
    rng = np.random.default_rng(6)
    for shape, kT in (((4,), 0.02), ((2, 2), 0.0)):
        m = moments(rng, shape)
        mdot = 0.1 * np.cross(m, moments(rng, shape))
        plain = Device(shape, sd_exchange=0.6, fermi_energy=0.3, temperature=kT, tolerance=1e-9)
        raised = plain.changed(leads=[Lead("left", voltage=0.4), Lead("right", voltage=0.4)])
        expected, found = plain.spin_density(m, mdot), raised.spin_density(m, mdot, np.full(shape, 0.4))
        assert abs(expected.total - found.total).max() < 1e-8
        assert abs(expected.density - found.density).max() < 1e-8


def test_landauer_staircase():
    """Clean lattice: one conductance quantum 1/2pi for each open mode and spin."""
    width = 4
    modes = -2 * np.cos(np.pi * np.arange(1, width + 1) / (width + 1))
    for energy in (-2.7, -1.0, 0.9):
        n_open = int((abs(energy - modes) < 2).sum())
        leads = [Lead("left", chemical_potential=energy + 0.02), Lead("right", chemical_potential=energy - 0.03)]
        device = Device((3, width), sd_exchange=0.5, fermi_energy=energy, leads=leads)
        flow = device.lead_currents(np.zeros((3, width, 3)))[0]
        assert flow == pytest.approx(2 * n_open * 0.05 / (2 * np.pi) * np.array([-1, 1]), rel=1e-9)


def test_level_between_weak_contacts():
    """Breit-Wigner: n = sum_l (Gamma_l/Gamma) [1/2 + atan(2 (mu_l - e)/Gamma)/pi] for each spin, and its current."""
    c, (left, right) = 0.03, (0.45, 0.2)
    energies = np.array([0.2 - 0.15, 0.2 + 0.15])  # up, down
    leads = [Lead("left", c, chemical_potential=left), Lead("right", 2 * c, chemical_potential=right)]
    device = Device(1, sd_exchange=0.15, fermi_energy=0.2, leads=leads)
    m, V = np.array([[0.0, 0.0, 1.0]]), np.array([0.2])
    gammas = np.array([c**2, 4 * c**2]) * 2  # at the middle of the band, Gamma = 2 c^2/t
    total = gammas.sum()
    filled = 0.5 + np.arctan(2 * (np.array([[left], [right]]) - energies) / total) / np.pi
    n = (gammas[:, None] * filled).sum(axis=0) / total
    found = device.spin_density(m, potential=V)
    assert found.density[0] == pytest.approx(n.sum(), abs=2e-3)
    assert found.total[0, 2] == pytest.approx(n[0] - n[1], abs=2e-3)
    current = gammas.prod() / total * (filled[0] - filled[1]).sum()
    assert device.lead_currents(m, potential=V)[0] == pytest.approx([-current, current], rel=2e-2)


@pytest.mark.parametrize(("kT", "exchange"), [(0.0, 0.6), (0.3, 2.0)])
@pytest.mark.filterwarnings("ignore:a level outside the bands")
def test_linear_response_is_the_limit_of_small_bias(kT, exchange):
    for shape in ((3,), (2, 2)):
        m = moments(np.random.default_rng(8), shape)
        device = Device(shape, sd_exchange=exchange, fermi_energy=0.1, temperature=kT, tolerance=1e-9)
        response = device.bias_response(m)
        assert response.torque == pytest.approx(exchange * np.cross(response.spin, m), abs=1e-14)
        for p, side in enumerate(("left", "right")):
            step, found = 2e-3, []
            for mu in (0.1 + step, 0.1 - step):
                leads = [Lead(s, chemical_potential=mu if s == side else None) for s in ("left", "right")]
                frozen = device.changed(leads=leads).freeze(m)
                found.append((frozen.bias.density, frozen.bias.into_leads))
            density, flow = ((a - b) / (2 * step) for a, b in zip(*found, strict=True))
            assert abs(density[..., 1:] - response.spin[p]).max() < 1e-5
            assert abs(density[..., 0] - response.density[p]).max() < 1e-5
            assert abs(flow[:, 0] - response.charge[p]).max() < 1e-5
            assert abs(flow[:, 1:] / 2 - response.spin_current[p]).max() < 1e-5
        if kT == 0:
            transmission = device.transmission(0.1, m).sum()
            expected = transmission / (2 * np.pi) * np.array([[-1, 1], [1, -1]])
            assert response.charge == pytest.approx(expected, abs=1e-12)
    closed = Device(3, sd_exchange=0.5, leads=[]).bias_response(moments(np.random.default_rng(1), (3,)))
    assert not closed.spin.any()


@pytest.mark.parametrize("one", [{"chemical_potential": 0.2}, {"voltage": 0.2}])
def test_few_energies_serve_a_bias_at_low_temperature(one):
    """The wall of seven moments: no more than five times the Green's functions of the equilibrium."""
    m = wall()
    leads = [Lead("left", **one), Lead("right", **{key: -value for key, value in one.items()})]
    device = Device(7, sd_exchange=0.1, temperature=0.01)
    mdot = 0.01 * np.cross([0.0, 0.0, 1.0], m)
    still, driven = (one.freeze(m) for one in (device, device.changed(leads=leads)))
    still.spin_density(mdot, np.zeros(7))
    driven.spin_density(mdot, np.zeros(7))
    assert driven.solves <= 5 * still.solves


def test_level_outside_the_bands_stays_filled_as_by_the_device():
    m = np.array([[0.0, 0.0, 1.0]])
    leads = [Lead("left", chemical_potential=2.6), Lead("right", chemical_potential=1.5)]
    for fermi_energy, filled in ((2.3, 0.0), (2.55, 1.0)):
        device = Device(1, sd_exchange=1.5, fermi_energy=fermi_energy, leads=leads)
        with pytest.warns(RunWarning, match="no lead fills it"):
            found = device.spin_density(m)
        # Spin down is bound at sqrt(4 + J^2) = 2.5, with the weight J/sqrt(4 + J^2) on the site.
        bound = Device(1, sd_exchange=1.5, fermi_energy=2.4).spin_density(m)
        share = found.adiabatic[0, 2] - bound.adiabatic[0, 2]
        assert share == pytest.approx(-0.6 * filled, abs=1e-6)


def test_what_is_not_available_is_refused():
    m = wall(5)
    device = Device(5, sd_exchange=0.5, leads=[Lead("left", voltage=0.2), Lead("right")])
    mdot = np.cross([0.0, 0.0, 1.0], m)
    with pytest.raises(ValueError, match="steady precession"):
        device.spin_density(m, mdot, split="precession")
    with pytest.raises(ValueError, match="steady precession"):
        steady_precession(device, m, [0, 0, 1], 0.1)
    with pytest.raises(ValueError, match="do not overlap"):
        Device(5, sd_exchange=0.5, leads=[Lead("left", voltage=2.5), Lead("right", voltage=-1.5)])
    for key in ("voltage", "chemical_potential"):
        with pytest.raises(ValueError, match=rf"{key} of the left lead = 1e\+11: must be within 1e\+10"):
            Device(5, sd_exchange=0.5, leads=[Lead("left", **{key: 1e11})])


@pytest.mark.slow
def test_first_order_of_a_level_without_contact_is_refused():
    # A level of a mode that is closed, in the band of another one that no moment mixes with it.
    uniform = np.tile([0.0, 0.0, 1.0], (2, 2, 1))
    leads = [Lead("left", chemical_potential=-2.3), Lead("right", chemical_potential=-0.9)]
    lattice = Device((2, 2), sd_exchange=0.8, fermi_energy=-2.0, leads=leads)
    turning = 0.1 * np.cross(uniform, moments(np.random.default_rng(0), (2, 2)))
    with pytest.raises(ToleranceError, match="has no contact to the leads"):
        lattice.spin_density(uniform, turning)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"voltage": np.nan}, "voltage = nan"),
        ({"voltage": "high"}, "voltage = 'high'"),
        ({"temperature": -0.1}, "temperature = -0.1"),
        ({"chemical_potential": np.inf}, "chemical_potential = inf"),
        ({"coupling": 0.0, "chemical_potential": 0.1}, "means nothing without contact"),
        ({"coupling": 0.0, "voltage": 0.1}, "means nothing without contact"),
        ({"coupling": 0.0, "temperature": 0.1}, "means nothing without contact"),
    ],
)
def test_wrong_leads_are_told(keys, said):
    with pytest.raises(ValueError, match="left lead") as raised:
        Lead("left", **keys)
    assert said in str(raised.value)


def test_a_lead_is_written_as_it_was_given():
    lead = Lead("left", 0.5, voltage=0.1, temperature=0.2)
    assert eval(repr(lead), {"Lead": Lead}) == lead
    assert repr(Lead("right")) == "Lead(side='right', coupling=1.0)"


@pytest.mark.slow
@pytest.mark.parametrize("bath", [None, Bath([1], 0.6, False)])
def test_electrons_in_real_time_settle_to_it(bath):
    """Voltages and a rotation that begin slowly: what is left falls as the square of the frequency."""
    start, volts, axis = moments(np.random.default_rng(1), (3,)), np.array([0.2, -0.1]), [0.3, 0.5, 1.0]
    ramp, end = 60.0, 120.0
    equilibrium = Device(3, sd_exchange=0.5, temperature=0.1, tolerance=1e-6 if bath else 1e-7, bath=bath)
    device = equilibrium.changed(leads=[Lead("left", voltage=0.2), Lead("right", voltage=-0.1)])

    def phase(t):
        return (t - ramp / np.pi * np.sin(np.pi * t / ramp)) / 2 if t < ramp else t - ramp / 2

    left = []
    for frequency in (0.03, 0.015):

        def turned(t, frequency=frequency):
            return start @ finite_chain.rotation(axis, frequency * phase(t)).T

        seen = follow(
            equilibrium, [end], turned, np.zeros(3), lambda t: volts * np.sin(np.pi * min(t / ramp, 1.0) / 2) ** 2
        )
        m = turned(end)
        mdot = frequency * np.cross(np.array(axis) / np.linalg.norm(axis), m)
        spin = device.spin_density(m, mdot)
        charge, spin_flow = device.lead_currents(m, mdot)
        differences = seen["spin"][-1] - spin.total, seen["density"][-1] - spin.density
        flows = seen["current"][-1] - charge, seen["spin_current"][-1] - spin_flow
        left.append([abs(one).max() for one in (*differences, *flows)])
        assert abs(spin.bias_motion).max() > 3 * left[-1][0] * (frequency < 0.02)
        energy = seen["electrons"].flows(seen["state"]).energy
        left[-1].append(abs(energy - device.lead_energies(m, mdot)).max())
        still = abs(energy - device.freeze(m).energy_currents).max()
        assert still > 3 * left[-1][-1] * (frequency < 0.02)
    assert max(left[1]) < 3e-5
    assert (np.array(left[1]) < 0.35 * np.array(left[0])).all()


@pytest.mark.parametrize("coupling", [0.02, 0.3])
def test_levels_of_a_lattice_by_its_resonances_are_those_of_its_eigenvalues(coupling, monkeypatch):
    """Between leads without voltages the search for resonances finds them, and with voltages one by dense matrices."""
    m = moments(np.random.default_rng(5), (4, 4))
    m[..., :2] *= 0.05
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    leads = [Lead("left", coupling, chemical_potential=-1.5), Lead("right", coupling, chemical_potential=-1.9)]
    device = Device((4, 4), sd_exchange=2.0, fermi_energy=-1.7, temperature=0.02, leads=leads)
    frozen = device.freeze(m)
    found = {round(one.energy, 6): one for one in frozen.bias._narrow_levels}
    monkeypatch.setattr(type(frozen.sweeps), "narrow_zeros", lambda *_: None)
    expected = device.freeze(m).bias._narrow_levels
    assert len(expected) >= 2
    for one in expected:
        # That one has Sigma at the real part of the energy: wide levels differ a little.
        near = found[min(found, key=lambda e, one=one: abs(e - one.energy))]
        assert near.energy == pytest.approx(one.energy, abs=0.1 * one.width + 1e-9)
        assert near.width == pytest.approx(one.width, rel=12 * one.width + 1e-3)
        overlap = abs(np.vdot(near.state, one.state)) / np.linalg.norm(near.state) / np.linalg.norm(one.state)
        assert overlap == pytest.approx(1.0, abs=0.05)
