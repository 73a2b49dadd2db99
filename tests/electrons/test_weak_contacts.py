"""Wires and lattices with weak contacts, where the Fermi energy meets levels of their parts: no digits are lost.

What a sweep eliminates from a weakly connected end has levels of its own.  They mean nothing to the whole system.
"""

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead
from llgnegf.electrons.chain_rows import contour_integral, surface_rows
from llgnegf.electrons.chain_rules import Contour
from llgnegf.electrons.counter import Counter
from llgnegf.electrons.currents import precession_currents
from llgnegf.electrons.green import contour_sums, contour_sums_near_levels, ends_near_levels
from llgnegf.electrons.quadrature import FermiPoles, ToleranceError
from llgnegf.electrons.slice_blocks import Slices
from llgnegf.electrons.slices import sweep as run_sweep
from llgnegf.electrons.slices_near_levels import two_point_near_levels
from tests.electrons.systems import device_of, moving, wall
from tests.electrons.test_lattice import device_of as lattice_device
from tests.electrons.test_lattice import motion, stacked
from tests.electrons.test_lattice import moving as moving_lattice
from tests.oracles.electrons_dense import Wire, traced
from tests.oracles.precise import PreciseWire

WEAK = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
COUPLINGS = (0.0, 1e-9, 1e-8, 1e-6, 1e-4, 1e-2, 0.3, 1.0)
IDENTITY = np.eye(2, dtype=complex)


def precessing_wall(coupling):
    """The wall of seven sites whose end moments have a level at E_F = J_sd."""
    m = wall()
    none = np.zeros(7)
    return Wire(m, np.cross((0, 0, 1.0), m), none, none, 0.1, couplings=(coupling, coupling), fermi_energy=0.1)


def at_level_of_a_part(rng, n, sites, offset=0.0):
    """A random wire of n sites with E_F `offset` away from a level of its first (negative: last) `sites` sites."""
    couplings = tuple(rng.choice(COUPLINGS, 2))
    wire = moving(rng, n, rng.choice([0.1, 0.5]), gates=rng.choice([0.0, 0.5]), couplings=couplings)
    part = slice(0, 2 * sites) if sites > 0 else slice(2 * sites, None)
    levels = np.linalg.eigvalsh(wire.H[part, part])
    level = levels[np.argmin(abs(levels - rng.uniform(-1, 1)))]
    return Wire(**{**vars(wire), "fermi_energy": float(level + offset)})


def real_terms(wire):
    """G Gamma G^+ and Im[G Hd G Gamma G^+] traced, transmission amplitudes: of the package."""
    device = device_of(wire, 1e-8)
    rule = device.chain_rules.real_rule(np.array([wire.fermi_energy]), np.ones(1))
    blocks = device.hamiltonian_blocks(wire.m, wire.potential)
    rate = device.coupling_blocks(wire.mdot, wire.potential_rate)
    found = surface_rows(
        rule.energies, blocks, device.hops, rule.sigma, rule.roots, rate, np.zeros((2, 2), complex), counter=Counter()
    )
    return found.rows[0, 0], found.rows[0, 1], found.amplitudes[0]


@pytest.mark.parametrize("coupling", [pytest.param(c, marks=[pytest.mark.slow] * (c > 1e-6)) for c in WEAK])
def test_the_wall_whose_end_sites_have_a_level_at_the_fermi_energy(coupling):
    wire = precessing_wall(coupling)
    states, driven, G, *gammas = PreciseWire(wire).at_energy(0.1)
    frozen = device_of(wire, 1e-8).freeze(wire.m)
    sea, surface = frozen.response(wire.mdot, wire.potential_rate)
    expected = -traced(driven) / (2 * np.pi)
    assert abs(surface - expected).max() < 1e-10 * abs(expected).max()
    density = traced(states) / (2 * np.pi)
    assert abs(frozen.density_of_states(0.1) - density).max() < 1e-12 * abs(density).max()
    assert frozen.level_width() == pytest.approx(4 / (np.pi * density[:, 0].sum()), rel=1e-10)
    through = np.sqrt(gammas[1][-1, -1].real * gammas[0][0, 0].real) * G[-2:, :2]
    assert frozen.transmission(0.1) == pytest.approx(abs(through) ** 2, rel=1e-10, abs=0)
    # No level of the whole wire is near: sea and adiabatic part are those of the closed one.
    adiabatic, first = Wire(**{**vars(wire), "couplings": (0.0, 0.0)}).closed_parts()
    assert abs(frozen.adiabatic - adiabatic).max() < 1e-8 + coupling
    assert abs(sea - first).max() < 1e-8 + coupling


@pytest.mark.parametrize(("n", "trials"), [(1, 60), (2, 60), (3, 60), (7, 30), (20, 8)])
def test_real_energies_at_levels_of_parts_equal_fifty_digits(rng, n, trials):
    compared = 0
    for _ in range(trials):
        sites = int(rng.integers(1, max(n, 2))) * int(rng.choice([-1, 1]))
        wire = at_level_of_a_part(rng, n, sites, rng.choice([0.0, 1e-12, 1e-6, 1e-3]))
        if not any(wire.couplings):
            continue
        states, driven, G, *_ = PreciseWire(wire).at_energy(wire.fermi_energy)
        size = np.linalg.norm(G, 2)
        if size > 1e5:
            continue  # a level of the whole wire
        compared += 1
        found = real_terms(wire)
        assert abs(found[0] - traced(states)).max() < 2e-12 * size * abs(states).max() + 1e-300
        assert abs(found[1] - traced(driven)).max() < 2e-12 * size**2 * abs(states).max() * abs(wire.Hd).max()
    # A single site is the whole wire: only the better connected ones are left.
    assert compared >= 5


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-7, 1e-10, 1e-13])
def test_poles_near_levels_of_parts_equal_fifty_digits(rng, distance):
    """Pole by pole as in the rule at kT = 0, where a pole weighs about its distance from the axis."""
    compared = 0
    for trial in range(12):
        n = (2, 3, 5)[trial % 3]
        wire = at_level_of_a_part(rng, n, (1, -1, 2, -2)[trial % 4] if n > 2 else 1)
        z = wire.fermi_energy + 1j * distance
        expected = PreciseWire(wire).sea_at(z)
        size = np.linalg.norm(expected[0], 2)
        if size > 1e3:
            continue  # a level of the whole wire
        compared += 1
        device = device_of(wire, 1e-8)
        rule = FermiPoles(np.array([z]), np.array([distance + 0j]), 0.0, 1e-10)
        ends = device.self_energy(rule.nodes)
        sigma, slope = (tuple(e[i][:, None, None] * IDENTITY for e in ends) for i in (0, 1))
        contour = Contour(rule, sigma, slope)
        blocks = device.hamiltonian_blocks(wire.m, wire.potential)
        rate = device.coupling_blocks(wire.mdot, wire.potential_rate)
        identity = np.ascontiguousarray(np.broadcast_to(IDENTITY, blocks.shape))
        for order in (1, 2):
            where = blocks, device.hops, contour, order, identity, rate, contour.derivative_ends
            sums, _, _ = contour_integral(*where, counter=Counter())
            for found, F in zip(sums[: order + 2], expected[: order + 2], strict=True):
                assert abs(found + distance * traced(F + F.conj().T)).max() < 1e-9, (n, wire.couplings, order)
    assert compared >= 5


@pytest.mark.slow
def test_both_sweeps_agree_where_no_level_is_near(rng):
    """All orders, sites and bonds, bonds of different strength, perturbations without symmetry."""
    n, k = 6, 3

    def random(*shape):
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)

    h = random(n, 2, 2)
    h = h + np.conj(np.swapaxes(h, 1, 2))
    hops = rng.uniform(0.3, 1.5, n - 1)
    z, w = rng.normal(size=k) + 1j * rng.uniform(0.2, 1, k), random(k)
    left, right = (np.ascontiguousarray(np.broadcast_to(-1j * c * IDENTITY, (k, 2, 2))) for c in (0.4, 0.9))
    given = z, w, h, hops, left, right
    perturbed = random(n, 2, 2), random(n, 2, 2), random(k, 2, 2, 2), random(k, 2, 2, 2)
    for order in (0, 1, 2):
        out, bonds = np.empty((2, k, 4, n, 4)), np.empty((2, k, 4, n - 1, 4))
        ends = np.empty((2, k, 2, 2, 4), complex)
        contour_sums(*given, order, *perturbed, out[0], np.empty(k, complex), bonds[0], ends[0], np.empty(k))
        contour_sums_near_levels(*given, order, *perturbed, 0.8, out[1], bonds[1])
        assert abs(out[1] - out[0]).max() < 1e-11 * abs(out[0]).max()
        assert abs(bonds[1] - bonds[0]).max() < 1e-11 * abs(bonds[0]).max()
        assert bonds[0][:, : order + 2 if order else 1].any()
        if order:
            ends_near_levels(*given[:1], *given[2:], perturbed[1], perturbed[3], ends[1])
            assert abs(ends[1] - ends[0]).max() < 1e-11 * abs(ends[0]).max()


@pytest.mark.parametrize("coupling", [1e-5, 1e-8])
def test_spin_flows_balance_torques_where_end_sites_have_a_level(rng, coupling):
    m = rng.normal(size=(5, 3))
    m /= np.linalg.norm(m, axis=1)[:, None]
    leads = [Lead("left", coupling), Lead("right", coupling)]
    device = Device(5, sd_exchange=0.5, fermi_energy=0.5, tolerance=1e-9, leads=leads)
    axis = (0.6, -0.48, 0.64)
    spin, flows = device.freeze(m).precession(np.array(axis), 1.0), precession_currents(device, m, axis, 1.0)
    turning = 0.5 * np.cross(axis, spin.adiabatic)
    for origin, rate in (("adiabatic", 0), ("geometric", turning), ("sea", 0), ("surface", 0)):
        balance = 0.5 * np.cross(getattr(spin, origin), m) - flows.divergence(origin) - rate
        assert abs(balance).max() < 3e-9, origin


# --- lattices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("couplings", [(1e-5, 1e-5), (1e-8, 1e-8), (1e-8, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("tolerance", [1e-6, 1e-8])
def test_a_lattice_of_one_row_is_the_wire(rng, couplings, tolerance):
    wire = Wire(**{**vars(at_level_of_a_part(rng, 4, 1)), "couplings": couplings})
    assert abs(np.linalg.eigvalsh(wire.H) - wire.fermi_energy).min() > 1e-2
    leads = [Lead(side, c) for side, c in zip(("left", "right"), couplings, strict=True) if c]
    device = Device((4, 1), sd_exchange=wire.exchange, fermi_energy=wire.fermi_energy, tolerance=tolerance, leads=leads)
    frozen = device.freeze(wire.m[:, None], wire.potential[:, None])
    sea, surface = frozen.response(wire.mdot[:, None], wire.potential_rate[:, None])
    adiabatic, first = Wire(**{**vars(wire), "couplings": (0.0, 0.0)}).closed_parts()
    assert abs(frozen.adiabatic[:, 0] - adiabatic).max() < tolerance + max(couplings) ** 2
    assert abs(sea[:, 0] - first).max() < tolerance + 100 * max(couplings) ** 2
    states, driven, *_ = PreciseWire(wire).at_energy(wire.fermi_energy)
    assert abs(surface[:, 0] + traced(driven) / (2 * np.pi)).max() < 1e-10 * abs(driven).max() + 1e-300
    density = frozen.density_of_states(wire.fermi_energy)[:, 0]
    assert abs(density - traced(states) / (2 * np.pi)).max() < 1e-11 * abs(states).max() + 1e-300


def lattice_at_a_level_of_its_edge(rng, couplings, **options):
    """A random lattice with E_F at a level of its last column, where elimination begins."""
    lattice = moving_lattice(rng, 3, 2, couplings=couplings, **options)
    edge = np.linalg.eigvalsh(lattice.H[-4:, -4:])
    level = float(edge[np.argmin(abs(edge))])
    return type(lattice)(**{**vars(lattice), "fermi_energy": level})


@pytest.mark.parametrize("couplings", [(1e-6, 1e-6), (0.0, 0.0)])
def test_densities_of_a_lattice_with_a_level_of_its_edge_at_the_fermi_energy(rng, couplings):
    lattice = lattice_at_a_level_of_its_edge(rng, couplings)
    assert abs(np.linalg.eigvalsh(lattice.H) - lattice.fermi_energy).min() > 1e-3
    adiabatic, first = type(lattice)(**{**vars(lattice), "couplings": (0.0, 0.0)}).closed_parts()
    parts = stacked(lattice_device(lattice, 1e-8).spin_density(*motion(lattice)))
    assert abs(parts["adiabatic"] - adiabatic).max() < 1e-8
    assert abs(parts["sea"] + parts["surface"] - first).max() < 1e-8


def test_scattering_states_of_a_lattice_with_a_level_of_its_edge_at_the_fermi_energy(rng):
    lattice = lattice_at_a_level_of_its_edge(rng, (1e-6, 1e-6))
    energy = lattice.fermi_energy
    G, gammas, _ = lattice.green(energy)
    G, gamma, Hd = G[0], sum(gammas)[0], lattice.Hd
    state = lattice_device(lattice).freeze(lattice.m, lattice.potential).sweeps.at_energy(energy)
    rate = lattice_device(lattice).coupling_blocks(lattice.mdot, lattice.potential_rate)
    states, driven = G @ gamma @ G.conj().T, G @ Hd @ G @ gamma @ G.conj().T
    assert abs(state.states - lattice.on_sites(states)).max() < 1e-10 * abs(states).max()
    expected = lattice.on_sites((driven - driven.conj().T) / 2j)
    assert abs(state.driven(rate) - expected).max() < 1e-9 * abs(driven).max()
    through = np.trace(gammas[1][0] @ G @ gammas[0][0] @ G.conj().T).real
    assert state.transmission.sum() == pytest.approx(through, rel=1e-9)
    charge = [np.trace(g[0] @ G @ Hd @ G.conj().T).real for g in gammas]
    assert state.into_leads(rate)[:, 0] == pytest.approx(charge, rel=1e-9, abs=0)


@pytest.mark.parametrize("distance", [1.0, 1e-3, 1e-8])
def test_blocks_of_lattices_near_levels_equal_dense_inverses(rng, distance):
    lattice = lattice_at_a_level_of_its_edge(rng, (1e-7, 1e-7), periodic=False)
    device = lattice_device(lattice)
    frozen = device.freeze(lattice.m, lattice.potential)
    z = (np.array([lattice.fermi_energy + 1j * distance]), np.array([lattice.fermi_energy + 1.1j * distance]))
    G = [lattice.green(e)[0][0] for e in z]
    Y = device.coupling_blocks(lattice.mdot, lattice.potential_rate)
    ends = [device.lead_slices(tuple(e)) for e in z]
    found = two_point_near_levels(frozen.sweeps.slices, z, (ends[0][0], ends[1][0]), (ends[0][1], ends[1][1]), Y, True)
    single = run_sweep(frozen.sweeps.slices, z[0], ends[0], with_bonds=True).blocks
    assert isinstance(frozen.sweeps.slices, Slices)
    for blocks, dense in ((found, G[0] @ lattice.Hd @ G[1]), (single, G[0])):
        sites = dense.reshape(3, 2, 2, 3, 2, 2)
        limit = 1e-10 * abs(dense).max()
        for x in range(3):
            for y in range(2):
                assert abs(blocks[0, x, 0, y] - sites[x, y, :, x, y]).max() < limit
                if x < 2:
                    bond = sites[x, y, :, x + 1, y] - sites[x + 1, y, :, x, y]
                    assert abs(blocks[0, x, 1, y] - bond).max() < limit
            bond = sites[x, 0, :, x, 1] - sites[x, 1, :, x, 0]
            assert abs(blocks[0, x, 2, 0] - bond).max() < limit


# --- a level of the whole system at E_F -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [4, (4, 1)])
def test_a_level_at_the_fermi_energy_that_rounding_moves_is_told(rng, shape):
    wire = moving(rng, 4, 0.5, couplings=(1e-6, 1e-6))
    level = float(np.linalg.eigvalsh(wire.H)[3])
    leads = [Lead("left", 1e-6), Lead("right", 1e-6)]
    give = (lambda v: v[:, None]) if isinstance(shape, tuple) else (lambda v: v)

    def density(fermi_energy, tolerance=1e-6):
        device = Device(shape, sd_exchange=0.5, fermi_energy=fermi_energy, tolerance=tolerance, leads=leads)
        return device.spin_density(*map(give, (wire.m, wire.mdot, wire.potential, wire.potential_rate)))

    for offset in (0.0, 1e-12, 1e-9):
        with pytest.raises(ToleranceError, match=r"a level (at|lies) .* from (it|the Fermi energy)"):
            density(level + offset)
    # Far enough away it is right, and what does not move has no response to lose.
    closed = Wire(**{**vars(wire), "couplings": (0.0, 0.0), "fermi_energy": level + 1e-3})
    first = density(level + 1e-3)
    assert abs(give(closed.closed_parts()[1][:, 1:]) - first.sea).max() < 1e-6
    device = Device(shape, sd_exchange=0.5, fermi_energy=level + 1e-5, leads=leads)
    assert not device.spin_density(give(wire.m), potential=give(wire.potential)).surface.any()


def test_what_is_not_refused_is_right_beside_levels_of_the_whole_wire(rng):
    """Distances and widths of all sizes: the surface part against fifty digits."""
    refused = 0
    for _ in range(32):
        wire = at_level_of_a_part(rng, int(rng.choice([1, 2, 3])), 1)
        levels = np.linalg.eigvalsh(wire.H)
        offset = rng.choice([0.0, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3, 1e-2])
        wire = Wire(**{**vars(wire), "fermi_energy": float(rng.choice(levels) + offset)})
        tolerance = rng.choice([1e-4, 1e-6, 1e-8])
        if not any(wire.couplings) or abs(wire.fermi_energy) > 1.9:
            continue
        _, driven, *_ = PreciseWire(wire).at_energy(wire.fermi_energy)
        frozen = device_of(wire, tolerance).freeze(wire.m, wire.potential)
        try:
            _, surface = frozen.response(wire.mdot, wire.potential_rate)
        except ToleranceError:
            refused += 1
            continue
        assert abs(surface + traced(driven) / (2 * np.pi)).max() <= tolerance, (wire.couplings, offset, tolerance)
    assert 0 < refused < 25
