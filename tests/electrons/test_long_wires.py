"""Long wires between leads out of equilibrium, by blocks: against dense matrices, and energy by energy."""

import numpy as np
import pytest
from scipy.special import expit

from llgnegf.electrons import Device, Lead, ToleranceError, long_wires, wire_blocks
from llgnegf.electrons.counter import Counter
from tests.electrons.systems import wall
from tests.electrons.test_bias import leads_of


@pytest.fixture
def short_is_long(monkeypatch):
    monkeypatch.setattr(long_wires, "LONG", 24)
    monkeypatch.setattr(long_wires, "LONG_MOVING", 24)


def energy_by_energy(monkeypatch):
    monkeypatch.setattr(long_wires, "LONG", 10**9)
    monkeypatch.setattr(long_wires, "LONG_MOVING", 10**9)


def wire(n, seed=0, disorder=0.0, width=4.0):
    """Moments of a wall that no axis is distinguished in, a motion, potentials and their rate."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    u = (np.arange(n) - 0.45 * n) / width
    m = np.column_stack([1 / np.cosh(u), 0 * u, np.tanh(u)]) @ turn
    return m, 0.05 * np.cross(rng.normal(size=3), m), disorder * rng.uniform(-1, 1, n), 0.05 * rng.normal(size=n)


# kT, chemical potentials, voltages, couplings, J_sd, disorder
CASES = [
    (0.0, (-0.9, -1.1), (0.0, 0.0), (1.0, 1.0), 0.5, 0.0),
    (0.02, (-0.95, -1.1), (0.1, 0.0), (0.7, 1.0), 0.5, 0.2),
    # Modes open inside the window, and levels at the bottom of the minority band.
    (0.01, (-1.75, -1.85), (0.1, 0.0), (1.0, 1.0), 0.3, 0.0),
]


def fermi(energy, mu, kT):
    return expit((mu - energy) / kT) if kT else np.heaviside(mu - energy, 0.5)


def dense(n, case, energies, weights):
    """rho_bias, rho_motion (n, 4), and flow of charge and energy into both leads, by whole matrices at all energies."""
    kT, mus, voltages, couplings, J, disorder = case
    m, mdot, V, rate = wire(n, disorder=disorder)
    pauli = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    H = np.kron(-np.eye(n, k=1) - np.eye(n, k=-1), np.eye(2)).reshape(n, 2, n, 2).astype(complex)
    Hd, one = np.zeros_like(H), np.eye(2 * n)
    for out, vectors, scalars in ((H, m, V), (Hd, mdot, rate)):
        for i in range(n):
            out[i, :, i, :] += scalars[i] * pauli[0] - J * np.einsum("c,cab->ab", vectors[i], pauli[1:])
    H, Hd = (x.reshape(2 * n, 2 * n) for x in (H, Hd))
    ends = slice(0, 2), slice(2 * n - 2, 2 * n)

    def sigma(energy, p):
        x = complex(energy - voltages[p]) / 2
        return couplings[p] ** 2 * (x - np.sqrt(x - 1) * np.sqrt(x + 1))

    still, moved, into = np.zeros((n, 4)), np.zeros((n, 4)), np.zeros((2, 2))
    for energy, weight in zip(energies, weights, strict=True):
        K, B = energy * one - H, one.astype(complex)
        for p in range(2):
            K[ends[p], ends[p]] -= sigma(energy, p) * np.eye(2)
            B[ends[p], ends[p]] -= (sigma(energy + 1e-5, p) - sigma(energy - 1e-5, p)) / 2e-5 * np.eye(2)
        G = np.linalg.inv(K)
        for p in range(2):
            gamma = -2 * sigma(energy, p).imag
            filled = weight * (fermi(energy, mus[p], kT) - fermi(energy, mus[1], kT)) / (2 * np.pi)
            psi = np.sqrt(gamma) * G[:, ends[p]]
            chi = -1j * G @ (B @ (G @ (Hd @ psi)))
            for out, left, right in ((still, psi, psi), (moved, chi, psi), (moved, psi, chi)):
                on_sites = left.reshape(n, 2, 2) @ right.reshape(n, 2, 2).conj().swapaxes(1, 2)
                out += filled * np.einsum("iab,cba->ic", on_sites, pauli).real
            passes = gamma * -2 * sigma(energy, 1 - p).imag * np.sum(abs(G[ends[1 - p], ends[p]]) ** 2)
            for q, sign in ((1 - p, 1), (p, -1)):
                into[q] += sign * filled * passes * np.array([1.0, energy - voltages[q]])
    return still, moved, into


def check_against_dense_matrices(n, case, panels, tolerance):
    kT, mus, voltages, couplings, J, disorder = case
    m, mdot, V, rate = wire(n, disorder=disorder)
    low, high = mus[1] - 30 * kT, mus[0] + 30 * kT
    # Towards an energy at which a mode opens panels become shorter and shorter.
    openings = [e for e in (-2.0 + v for v in voltages) if low < e < high]
    near = [e + s * 0.05 * 0.4**k for e in openings for s in (-1, 1) for k in range(22)]
    cuts = np.unique([*np.linspace(low, high, panels), *openings, *near])
    cuts = cuts[(cuts >= low) & (cuts <= high)]
    x, w = np.polynomial.legendre.leggauss(16)
    middle, half = (cuts[1:] + cuts[:-1]) / 2, (cuts[1:] - cuts[:-1]) / 2
    still, moved, into = dense(n, case, (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel())
    leads = leads_of(couplings, kT, mus, None, voltages)
    device = Device(n, sd_exchange=J, fermi_energy=mus[1], temperature=kT, tolerance=tolerance, leads=leads)
    bias = device.freeze(m, V).bias
    found = bias.moved(device.coupling_blocks(mdot, rate))
    assert bias._long is not None
    assert bias._long.moves
    assert abs(bias.density - still).max() < tolerance < 1e-3 * abs(still).max()
    assert abs(found - moved).max() < tolerance < 1e-3 * abs(moved).max()
    assert abs(np.column_stack([bias.into_leads[:, 0], bias.energy_into_leads]) - into).max() < tolerance


@pytest.mark.parametrize("case", CASES[:2], ids=str)
def test_dense_matrices_agree(case, short_is_long):
    check_against_dense_matrices(32, case, 20, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", [CASES[0], (0.01, (-0.1, -0.2), (0.1, 0.0), (0.7, 1.0), 0.3, 0.2)], ids=str)
def test_dense_matrices_of_longer_wires_agree(case, short_is_long):
    """Without bands that end in the window: levels there are too narrow for a rule with given energies."""
    check_against_dense_matrices(100, case, 60, 1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_everything_is_what_all_energies_give(case, monkeypatch):
    """Densities, flows into the leads and over the bonds, of the bias, of its motion and of the Fermi surface."""
    kT, mus, voltages, couplings, J, disorder = case
    n, tolerance = 48, 1e-6
    m, mdot, V, rate = wire(n, 1, disorder)
    leads = leads_of(couplings, kT, mus, None, voltages)
    device = Device(n, sd_exchange=J, fermi_energy=mus[1], temperature=kT, tolerance=tolerance, leads=leads)

    def everything():
        frozen = device.freeze(m, V)
        parts = frozen.spin_density(mdot, rate)
        currents = frozen.lead_currents(mdot, rate)
        flows = frozen.flows(device.coupling_blocks(mdot, rate))
        return [
            parts.bias, parts.bias_motion, parts.surface, parts.density_bias, *currents, frozen.energy_currents,
            *(flows[origin] for origin in ("surface", "bias", "bias_motion")),
        ]  # fmt: skip

    monkeypatch.setattr(long_wires, "LONG", 24)
    monkeypatch.setattr(long_wires, "LONG_MOVING", 24)
    by_blocks = everything()
    energy_by_energy(monkeypatch)
    for one, other in zip(by_blocks, everything(), strict=True):
        assert abs(other).max() > 1e-5 or kT == 0
        assert abs(one - other).max() < tolerance


def test_linear_response_is_what_all_energies_give(monkeypatch):
    n = 66
    m, _, V, _ = wire(n, 4, 0.2)
    device = Device(n, sd_exchange=0.4, fermi_energy=-0.8, temperature=0.02, tolerance=1e-6, leads=[
        Lead("left", 0.7), Lead("right"),
    ])  # fmt: skip
    by_blocks = device.bias_response(m, V)
    energy_by_energy(monkeypatch)
    expected = device.bias_response(m, V)
    for name in ("spin", "torque", "density", "charge", "spin_current"):
        one, other = getattr(by_blocks, name), getattr(expected, name)
        assert 0 < abs(one - other).max() < 1e-6 * max(1.0, abs(other).max())
        assert abs(other).max() > 1e-2


def test_response_is_linear_and_its_energies_are_kept(short_is_long):
    n = 60
    m, mdot, V, rate = wire(n, 2)
    leads = [Lead("left", voltage=0.1), Lead("right", 0.8)]
    device = Device(n, sd_exchange=0.4, fermi_energy=-0.8, temperature=0.03, tolerance=1e-5, leads=leads)
    frozen = device.freeze(m, V)
    first, second = device.coupling_blocks(mdot, 0 * rate), device.coupling_blocks(np.roll(mdot, 5, axis=0), rate)
    for response in (frozen.bias.moved, frozen.surface, frozen.bias.moved_into_leads):
        one, other = response(first).copy(), response(second).copy()
        assert abs(response(first + 0.5 * second) - one - 0.5 * other).max() < 1e-13
        assert (response(first) == one).all()


def test_torque_is_the_spin_that_the_current_leaves_in_a_long_wire():
    n = 300
    m = wire(n, 3)[0]
    leads = [Lead("left", 0.8, voltage=0.2), Lead("right", chemical_potential=-1.1, temperature=0.02)]
    device = Device(n, sd_exchange=0.6, fermi_energy=-1.0, temperature=0.01, tolerance=1e-7, leads=leads)
    frozen = device.freeze(m)
    torque = device.sd_exchange * np.cross(frozen.bias.density[:, 1:], m)
    assert frozen.bias._long is not None
    charge, spin = frozen.lead_currents(0 * m, np.zeros(n))
    assert abs(torque.sum(axis=0) - spin.sum(axis=0)).max() < 1e-10
    assert abs(torque.sum(axis=0)).max() > 1e-4
    assert abs(charge.sum()) < 1e-10
    assert charge[1] > 1e-2


def test_level_that_no_density_shows_is_resolved(monkeypatch):
    """Half-width 2e-6, where exp(-25) of an electron differs between the leads: its response counts."""
    n, tolerance = 64, 1e-6
    hops = np.ones(n - 1)
    hops[30] = hops[31] = 1e-3
    V = np.zeros(n)
    V[31] = 0.45
    m = np.tile([0.6, 0.0, 0.8], (n, 1))
    mdot, rate = np.zeros((n, 3)), np.zeros(n)
    rate[31] = 0.1
    leads = [Lead("left", chemical_potential=0.1), Lead("right", chemical_potential=0.0)]
    device = Device(
        n, sd_exchange=0.1, temperature=0.01, tolerance=tolerance, leads=leads, bond_hoppings=hops,
    )  # fmt: skip
    H = device.coupling_blocks(mdot, rate)
    bias = device.freeze(m, V).bias
    found = bias.moved(H)
    assert bias._long is not None
    energy_by_energy(monkeypatch)
    expected = device.freeze(m, V).bias.moved(H)
    assert abs(expected).max() > 10 * tolerance
    assert abs(found - expected).max() < 0.1 * tolerance + 1e-5 * abs(expected).max()


def test_states_that_blocks_miss_are_found_energy_by_energy(monkeypatch):
    """Where the known density of states disagrees, the old rule is taken, or all is refused."""
    n = 256
    leads = [Lead("left", chemical_potential=0.1), Lead("right")]
    device = Device(n, sd_exchange=0.3, fermi_energy=-0.1, tolerance=1e-4, leads=leads)
    expected = device.freeze(wall(n)).bias.density
    original = wire_blocks.join

    def wrong(pairs, hops, *others):
        original(pairs, 1.01 * hops, *others)

    monkeypatch.setattr(wire_blocks, "join", wrong)
    bias = device.freeze(wall(n)).bias
    assert abs(bias.density - expected).max() < 1e-4
    assert bias._long is None


def test_energies_per_site_do_not_grow_with_the_length():
    """As many sweeps over all sites whatever their number; those of the whole wire, without sites, grow with it."""
    counts, whole = [], []
    leads = [Lead("left", voltage=0.1), Lead("right")]
    for n in (256, 512, 1024):
        device = Device(n, sd_exchange=-0.3, fermi_energy=-1.85, temperature=0.01, tolerance=1e-5, leads=leads)
        frozen = device.freeze(wire(n, width=6.0)[0])
        assert abs(frozen.at_rest).max() < 2
        counts.append(frozen.solves)
        whole.append(len(frozen.bias._long._tree.top.energies))
    assert max(counts) < 1.2 * min(counts)
    assert 1.5 * whole[0] < whole[1] < 2.5 * whole[0]
    assert counts[-1] < 600


def test_too_many_energies_are_refused(monkeypatch):
    leads = [Lead("left", 0.5, chemical_potential=0.5), Lead("right", 0.5)]
    device = Device(256, sd_exchange=0.3, tolerance=1e-6, leads=leads)
    monkeypatch.setattr(wire_blocks, "_MOST_ENERGIES", 1000)
    monkeypatch.setattr(wire_blocks, "_MOST_PER_SITE", 0)
    blocks = device.hamiltonian_blocks(wall(256), np.zeros(256))
    with pytest.raises(ToleranceError, match=r"did not converge to 1.0e-06 within 1000"):
        wire_blocks.WireBlocks(device, blocks, device.bias_window(), Counter(None), device.tolerance)
