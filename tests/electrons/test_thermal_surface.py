"""The Fermi surface at kT > 0 with narrow levels, bound levels and opening modes: the tolerance holds or is refused."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

import textures
from llgnegf.electrons import Device, Lead, ToleranceError, chain_surface
from llgnegf.electrons import resonances as resonances_module
from llgnegf.electrons.arc_paths import ArcPaths
from llgnegf.electrons.arcs import Gate, complex_fermi_derivative
from llgnegf.electrons.chain_surface import ChainSurface
from llgnegf.electrons.lattice_surface import LatticeSurface
from llgnegf.electrons.open_system import Segment, segments
from llgnegf.electrons.resonances import ResonanceSearch
from llgnegf.electrons.thermal_surface import ThermalSurface
from tests.oracles import thermal_lattice
from tests.oracles.electrons_dense import Wire, hermitian_imaginary, traced
from tests.oracles.lattice_dense import Lattice
from tests.oracles.thermal_surface import resonances, surface_and_states


def random_unit(rng, shape):
    m = rng.normal(size=(*shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def of_wire(wire, tolerance):
    leads = [Lead(side, c) for side, c in zip(("left", "right"), wire.couplings, strict=True)]
    device = Device(
        wire.n,
        sd_exchange=wire.exchange,
        fermi_energy=wire.fermi_energy,
        temperature=wire.temperature,
        tolerance=tolerance,
        leads=leads,
    )
    spin = device.spin_density(wire.m, wire.mdot, wire.potential, wire.potential_rate)
    return np.concatenate([spin.density_surface[:, None], spin.surface], axis=1)


def reference(wire):
    """Surface term with the discrete levels outside the band, and its own error."""
    surface, _, error = surface_and_states(wire)
    for energy, P, R in wire.bound_levels():
        surface = surface + traced(wire.slope(energy) * hermitian_imaginary(R @ wire.Hd @ P))
    return surface, error


def random_wire(seed, longest=19):
    """Couplings 0 ... 1 (some closed, many weak), kT up to 0.3, levels inside and outside the band, any motion."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, longest + 1))
    draws = rng.random((2, 2))
    couplings = [0.0 if a < 0.12 else 1.0 if b < 0.25 else float(10 ** rng.uniform(-3, 0)) for a, b in draws]
    if not any(couplings):
        couplings[0] = 0.3
    m = random_unit(rng, (n,))
    kind = rng.integers(4)
    if kind == 1:
        m[:] = m[0]
    if kind == 2:
        m[:] = [0, 0, 1]
    mdot, rate = np.cross(rng.normal(size=(n, 3)), m), rng.normal(size=n) * rng.choice([0, 1])
    if kind == 3:
        mdot, rate = np.zeros((n, 3)), np.eye(n)[0]
    wire = Wire(
        m=m,
        mdot=mdot,
        potential=rng.normal(size=n) * rng.choice([0, 0.5, 1.5]),
        potential_rate=rate,
        exchange=float(rng.choice([0, 0.1, 0.5, 1, 2, 3])),
        couplings=tuple(couplings),
        fermi_energy=float(rng.uniform(-3, 3)),
        temperature=float(rng.choice([0.01, 0.03, 0.05, 0.1, 0.3]) * rng.uniform(0.7, 1)),
    )
    return wire, float(10 ** rng.uniform(-8, -3))


def holds(wire, tolerance):
    """Whether the tolerance holds; None for a ToleranceError."""
    try:
        found = of_wire(wire, tolerance)
    except ToleranceError:
        return None
    expected, error = reference(wire)
    size = max(abs(wire.exchange * wire.mdot).max(), abs(wire.potential_rate).max())
    allowed = tolerance * min(1.0, size) + error * size + 1e-10 * abs(expected).max()
    assert abs(found - expected).max() <= allowed, (abs(found - expected).max(), allowed)
    return True


def test_a_narrow_level_of_a_weakly_coupled_wire():
    """Two sites, one lead with coupling 0.003: a half-width of 2e-6 and a response of more than a hundred."""
    wire = Wire(
        m=np.tile([0.6, 0.0, 0.8], (2, 1)),
        mdot=np.zeros((2, 3)),
        potential=np.array([1.0, 0.0]),
        potential_rate=np.array([1.0, 0.0]),
        exchange=0.5,
        couplings=(0.003, 0.0),
        fermi_energy=0.3,
        temperature=0.05,
    )
    assert -resonances(wire).imag.max() < 1e-5
    assert abs(reference(wire)[0]).max() > 100
    assert holds(wire, 1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_random_wires_hold_the_tolerance_or_refuse(seed):
    holds(*random_wire(seed))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(15))
def test_many_random_wires_hold_the_tolerance_and_hardly_any_refuses(block):
    answers = [holds(*random_wire(1000 + 20 * block + i)) for i in range(20)]
    assert answers.count(None) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_long_random_textures_between_good_leads(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(44, 62))
    m = random_unit(rng, (n,))
    wire = Wire(
        m=m,
        mdot=np.cross(rng.normal(size=(n, 3)), m),
        potential=np.zeros(n),
        potential_rate=np.zeros(n),
        exchange=float(rng.choice([0.5, 1.0])),
        fermi_energy=float(rng.uniform(-1, 1)),
        temperature=0.01,
    )
    assert holds(wire, 1e-6) in (True, None)


def spin_is_balanced(device, rng, m, limit=10.0):
    mdot = np.cross(rng.normal(size=m.shape), m)
    missing = device.spin_balance(m, mdot, rng.normal(size=device.shape), rng.normal(size=device.shape))
    size = max(1.0, device.sd_exchange) * max(1.0, abs(device.sd_exchange) * abs(mdot).max())
    assert abs(missing).max() <= limit * device.tolerance * size
    return True


def random_texture(seed, temperature=0.01, tolerance=1e-6, n=60, **leads):
    """A wire of n sites with random moments, its motion and its device."""
    rng = np.random.default_rng(seed)
    m = random_unit(rng, (n,))
    device = Device(
        n,
        sd_exchange=rng.choice([0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0]),
        fermi_energy=rng.choice([0.0, rng.uniform(-1.5, 1.5)]),
        temperature=temperature,
        tolerance=tolerance,
        leads=[Lead(side, rng.choice([1.0, 0.8, 0.5, 0.3, 0.1])) for side in ("left", "right")],
    )
    return device, m, np.cross(rng.normal(size=m.shape), m)


def test_a_wire_of_sixty_sites_takes_few_green_functions_whatever_its_levels():
    """Levels narrow and wide, gaps without a level: at most 500 Green's functions for all parts of the spin density."""
    counts = []
    for seed in range(24):
        device, m, mdot = random_texture(seed)
        counts.append(device.spin_density(m, mdot).solves)
    assert max(counts) <= 500
    assert np.median(counts) <= 300


def equidistant_and_arcs(seed, monkeypatch):
    """Surface parts by the rule that the device chooses and by arcs; None for the first if it chooses arcs as well."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(33, 100))
    m = random_unit(rng, (n,))
    device = Device(
        n,
        temperature=10 ** rng.uniform(-2.3, -1.5),
        sd_exchange=rng.choice([0.1, 0.2, 0.3, 0.5]),
        tolerance=1e-7,
        fermi_energy=rng.uniform(-1, 1),
    )
    mdot = np.cross(rng.normal(size=m.shape), m)
    arcs_made = []
    along_arcs = ChainSurface._along_arcs
    with monkeypatch.context() as patch:
        patch.setattr(ChainSurface, "_along_arcs", lambda *given: arcs_made.append(1) or along_arcs(*given))
        chosen = device.spin_density(m, mdot).surface
        patch.setattr(ChainSurface, "_real_axis", lambda *given: None)
        chosen_arcs = bool(arcs_made)
        return None if chosen_arcs else chosen, device.spin_density(m, mdot).surface


@pytest.mark.parametrize("seed", [2, 11, 92, 23, 29, 33])
def test_equidistant_energies_judged_by_the_thermal_states_hold_the_tolerance(seed, monkeypatch):
    chosen, along_arcs = equidistant_and_arcs(seed, monkeypatch)
    assert (chosen is None) == (seed == 92)
    if chosen is not None:
        assert abs(chosen - along_arcs).max() <= 1e-7


def test_without_the_estimate_by_the_thermal_states_the_tolerance_would_be_missed(monkeypatch):
    monkeypatch.setattr(chain_surface, "_REDUCED_SHARE", np.inf)
    chosen, along_arcs = equidistant_and_arcs(92, monkeypatch)
    assert abs(chosen - along_arcs).max() > 2e-7


def test_thermal_states_alone_do_not_decide_where_a_narrower_level_owns_the_response(monkeypatch):
    """Levels at -0.7 and 4.0 kT with half-widths of 2.4 and 1.3 kT: one has the states, the other the response."""
    n, kT, fermi_energy = 63, 0.01343717508435206, -0.7499449802039662
    hops, potential, rate = np.ones(n - 1), np.zeros(n), np.zeros(n)
    hops[[35, 36, 53, 61]] = 0.43364559907211825, 0.06100195163103429, 0.6294096263619957, 0.7604964436423991
    potential[36] = -0.694331644497132
    momentum = np.arccos(-fermi_energy / 2)
    rate[40:60] = np.cos(2 * momentum * np.arange(20) + 0.41074716581802934)
    m = np.zeros((n, 3))
    m[0, 2] = 1.0
    device = Device(
        n,
        sd_exchange=0.05,
        fermi_energy=fermi_energy,
        temperature=kT,
        tolerance=0.00480880329360681,
        leads=[Lead("left", 1.2), Lead("right", 1.1099908788086064)],
        bond_hoppings=hops,
    )
    chosen = device.spin_density(m, None, potential, rate).density_surface
    monkeypatch.setattr(ChainSurface, "_real_axis", lambda *given: None)
    along_arcs = device.changed(tolerance=1e-6).spin_density(m, None, potential, rate).density_surface
    assert abs(chosen - along_arcs).max() <= device.tolerance


@pytest.mark.parametrize("x", [3e-4, 1e-5])
def test_a_level_behind_two_weak_bonds_is_narrow(x):
    """Two splits of one motion, whose surface parts are integrated apart; a bound on widths that took all bonds for
    equal missed the level between them, and one of the two was off by its whole size."""
    m = np.zeros((5, 3))
    m[2] = 0.6, 0.0, 0.8
    device = Device(
        5, sd_exchange=0.3, fermi_energy=0.317, temperature=5e-3, tolerance=1e-6, bond_hoppings=[1, x, x, 1]
    )
    frozen, mdot = device.freeze(m), np.cross((0, 0, 0.5), m)
    turning = frozen.precession([0, 0, 1.0], 0.5)
    general = device.spin_density(m, mdot)
    assert abs(turning.surface).max() > 0.9
    assert abs(turning.nonadiabatic - general.nonadiabatic).max() < 2e-6
    fresh = device.freeze(m).surface(device.coupling_blocks(mdot, np.zeros(5)))[:, 1:]
    assert abs(fresh - general.surface).max() < 2e-6


def a_level_near_the_first_pole(monkeypatch, error):
    """Error of the surface part, in tolerances, if the estimated error of the circle is multiplied by `error`."""
    rng = np.random.default_rng(9006)
    n = int(rng.integers(1, 6))
    m = random_unit(rng, (n,))
    exchange, temperature, coupling = (10 ** rng.uniform(*span) for span in ((-1, 0), (-4.3, -2), (-2, -0.5)))
    H = np.kron(-np.eye(n, k=1) - np.eye(n, k=-1), np.eye(2)).astype(complex)
    for i, (x, y, z) in enumerate(m):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = -exchange * np.array([[z, x - 1j * y], [x + 1j * y, -z]])
    levels = np.linalg.eigvalsh(H)
    fermi_energy = float(rng.choice(levels[abs(levels) < 1.5]) + temperature * 2 * rng.normal())
    mdot = np.cross(random_unit(rng, (n,)), m) / exchange
    device = Device(
        n,
        sd_exchange=exchange,
        fermi_energy=fermi_energy,
        temperature=temperature,
        tolerance=1e-6,
        leads=[Lead("left", coupling), Lead("right", coupling)],
    )
    estimate = ThermalSurface._error_of_circle
    with monkeypatch.context() as patch:
        patch.setattr(ThermalSurface, "_error_of_circle", lambda self, one: error * estimate(self, one))
        patch.setattr(ThermalSurface, "_check_rounding", lambda self, allowed: None)
        found = device.spin_density(m, mdot).surface
    with monkeypatch.context() as patch:
        patch.setattr(ArcPaths, "_crossing", lambda self, segment, highest: False)
        below = device.changed(tolerance=6e-7).spin_density(m, mdot).surface
    return abs(found - below).max() / device.tolerance


def test_a_level_near_the_first_pole_of_the_fermi_function(monkeypatch):
    assert a_level_near_the_first_pole(monkeypatch, 1.0) < 0.5


def test_without_the_estimated_error_of_the_circle_the_tolerance_would_be_missed(monkeypatch):
    assert a_level_near_the_first_pole(monkeypatch, 0.0) > 2.0


@pytest.mark.parametrize("x", [0.02, 0.005])
def test_narrow_widths_are_accurate_to_their_last_digits(x, monkeypatch):
    """One more inverse iteration changes no width by more than rounding."""
    rng = np.random.default_rng(5)
    m = random_unit(rng, (11,))
    hops = np.ones(10)
    hops[[2, 7]] = x
    device = Device(11, sd_exchange=1.0, temperature=0.05, tolerance=1e-8, bond_hoppings=hops)

    def half_widths():
        surface = device.freeze(m).sweeps
        poles = surface.surface._along_arcs(device.coupling_blocks(np.cross(m[::-1], m), np.zeros(11))).paths.poles
        return np.sort([pole.residue.block.half_widths[pole.p] for pole in poles])

    usual = half_widths()
    monkeypatch.setattr("llgnegf.electrons.zeros._CONVERGED", 0.0)
    assert usual.min() < 1e-4
    assert np.allclose(half_widths(), usual, rtol=3e-14, atol=0)


def test_levels_bound_in_one_mode_and_inside_the_band_of_another():
    """A wall that does not depend on y: the modes know nothing of each other, and some have levels below their band."""
    device = Device((7, 4), sd_exchange=1.0, onsite=4.0, fermi_energy=3.0, temperature=0.05, tolerance=1e-8)
    m = textures.TEXTURES["bloch_wall"]((7, 4), center=3.0, width=1.5)
    missing = device.spin_balance(m, np.cross([0.0, 0.0, 1.0], m))
    assert abs(missing).max() < 1e-8
    levels = device.freeze(m)
    levels.surface(device.coupling_blocks(np.cross([0.0, 0.0, 1.0], m), np.zeros((7, 4))))
    inside = levels.sweeps.surface._chosen.discrete().energies
    assert len(inside)
    assert device.band[0] < inside.min()


def random_lattice(seed):
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    periodic = "y" if rng.random() < 0.3 else False
    couplings = [float(rng.choice([0.0, 1.0, 10 ** rng.uniform(-2, 0)])) for _ in range(2)]
    if not any(couplings):
        couplings[1] = 1.0
    m = random_unit(rng, shape)
    kind = rng.integers(3)
    if kind == 1:  # independent of y
        m[:] = m[:, :1]
    if kind == 2:
        m[:] = [0, 0, 1]
    device = Device(
        shape,
        periodic=periodic,
        sd_exchange=float(rng.choice([0.1, 1.0, 2.0])),
        onsite=4.0,
        fermi_energy=float(rng.uniform(0, 8)),
        temperature=float(rng.choice([0.02, 0.05, 0.3])),
        tolerance=float(10 ** rng.uniform(-7, -4)),
        leads=[Lead("left", couplings[0]), Lead("right", couplings[1])],
    )
    return device, m, rng


def lattice_holds(seed):
    device, m, rng = random_lattice(seed)
    try:
        return spin_is_balanced(device, rng, m)
    except ToleranceError:
        return None


@pytest.mark.parametrize("seed", range(5))
def test_random_lattices_balance_their_spin_or_refuse(seed):
    lattice_holds(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(7))
def test_many_random_lattices_balance_their_spin_and_hardly_any_refuses(block):
    answers = [lattice_holds(100 + 10 * block + i) for i in range(10)]
    assert answers.count(None) <= 2


@pytest.mark.parametrize("kT", [0.05, 0.3])
def test_a_small_lattice_equals_its_dense_calculation(kT):
    rng = np.random.default_rng(4)
    m = random_unit(rng, (3, 2))
    mdot, rate = np.cross(rng.normal(size=(3, 2, 3)), m), rng.normal(size=(3, 2))
    couplings = (0.4, 1.0)
    dense = Lattice(
        m=m,
        mdot=mdot,
        potential=np.zeros((3, 2)),
        potential_rate=rate,
        exchange=1.0,
        couplings=couplings,
        onsite=4.0,
        fermi_energy=2.6,
        temperature=kT,
    )
    device = Device(
        (3, 2),
        sd_exchange=1.0,
        onsite=4.0,
        fermi_energy=2.6,
        temperature=kT,
        tolerance=1e-7,
        leads=[Lead("left", couplings[0]), Lead("right", couplings[1])],
    )
    spin = device.spin_density(m, mdot, np.zeros((3, 2)), rate)
    assert abs(spin.surface - dense.parts()["surface"][..., 1:]).max() < 1e-7


# --- lattices against their dense calculation -----------------------------------------------------------------------


def random_dense_lattice(seed, most=20):
    """Up to `most` sites, couplings 0 ... 1, kT 0 ... 0.3, textures with and without symmetry, any motion."""
    rng = np.random.default_rng(seed)
    shape = 9, 9
    while shape[0] * shape[1] > most:
        shape = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    draws = rng.random((2, 2))
    couplings = [0.0 if a < 0.15 else 1.0 if b < 0.3 else float(10 ** rng.uniform(-2.5, 0)) for a, b in draws]
    m = random_unit(rng, shape)
    kind = rng.integers(5)
    if kind == 1:  # independent of y
        m[:] = m[:, :1]
    if kind == 2:
        m[:] = [0, 0, 1]
    if kind == 3:
        m[:] = m[0, 0]
    potential = rng.normal(size=shape) * rng.choice([0, 0, 0.5, 1.5])
    if rng.random() < 0.5:
        potential[:] = potential[:, :1]
    mdot, rate = np.cross(rng.normal(size=(*shape, 3)), m), rng.normal(size=shape) * rng.choice([0, 1])
    motion = rng.integers(4)
    if motion == 1:
        mdot = np.cross([0.3, 0.5, 0.8], m)
    if motion == 2:
        mdot, rate = np.zeros((*shape, 3)), np.zeros(shape)
        rate[rng.integers(shape[0]), rng.integers(shape[1])] = 1.0
    lattice = Lattice(
        m=m,
        mdot=mdot,
        potential=potential,
        potential_rate=rate,
        exchange=float(rng.choice([0, 0.1, 0.5, 1, 2, 3, -1])),
        couplings=tuple(couplings),
        periodic=bool(rng.random() < 0.35),
        onsite=float(rng.choice([0, 4.0])),
        temperature=float(rng.choice([0, 0.01, 0.03, 0.1, 0.3]) * rng.uniform(0.7, 1)),
    )
    return replace(lattice, fermi_energy=float(lattice.onsite + rng.uniform(-5, 5))), float(10 ** rng.uniform(-8, -3))


def lattice_device(lattice, tolerance):
    return Device(
        (lattice.nx, lattice.ny),
        periodic="y" if lattice.periodic else False,
        onsite=lattice.onsite,
        sd_exchange=lattice.exchange,
        fermi_energy=lattice.fermi_energy,
        temperature=lattice.temperature,
        tolerance=tolerance,
        leads=[Lead(side, c) for side, c in zip(("left", "right"), lattice.couplings, strict=True)],
    )


def of_lattice(lattice, tolerance):
    device = lattice_device(lattice, tolerance)
    spin = device.spin_density(lattice.m, lattice.mdot, lattice.potential, lattice.potential_rate)
    return np.concatenate([spin.density_surface[..., None], spin.surface], axis=-1)


def dense_lattice_holds(lattice, tolerance):
    """Whether the tolerance holds; None for a ToleranceError."""
    try:
        found = of_lattice(lattice, tolerance)
    except ToleranceError:
        return None
    expected, error, missed = thermal_lattice.surface(lattice)
    assert missed < 1e-10
    size = max(abs(lattice.exchange * lattice.mdot).max(), abs(lattice.potential_rate).max())
    allowed = tolerance * min(1.0, size) + error * size + 1e-10 * abs(expected).max()
    assert abs(found - expected).max() <= allowed, (abs(found - expected).max(), allowed)
    return True


@pytest.mark.parametrize("seed", [6, 8, 12, 24, 33, 35])
def test_random_lattices_hold_the_tolerance_or_refuse(seed):
    dense_lattice_holds(*random_dense_lattice(seed))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(8))
def test_many_random_lattices_hold_the_tolerance_and_hardly_any_refuses(block):
    answers = [dense_lattice_holds(*random_dense_lattice(1000 + 10 * block + i)) for i in range(10)]
    assert answers.count(None) <= 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_dense_lattice_of_width_one_is_the_dense_wire(seed):
    wire, _ = random_wire(1000 + seed, longest=6)
    lattice = Lattice(
        m=wire.m[:, None],
        mdot=wire.mdot[:, None],
        potential=wire.potential[:, None],
        potential_rate=wire.potential_rate[:, None],
        exchange=wire.exchange,
        couplings=wire.couplings,
        fermi_energy=wire.fermi_energy,
        temperature=wire.temperature,
    )
    (found, error, missed), (expected, own) = thermal_lattice.surface(lattice), reference(wire)
    assert missed < 1e-12
    assert abs(found[:, 0] - expected).max() <= error + own + 1e-10 * abs(expected).max()


def test_levels_that_the_leads_shift_far_from_those_at_the_fermi_energy_are_found():
    """Twice degenerate inside the band of another mode, and a third of the hopping from where E_F sees it."""
    assert dense_lattice_holds(*random_dense_lattice(16))


def test_a_level_of_a_partial_lattice_at_a_threshold_costs_no_digits():
    assert dense_lattice_holds(*random_dense_lattice(175))


def test_currents_into_leads_near_a_level_of_a_partial_lattice_come_another_way(monkeypatch):
    lattice, _ = random_dense_lattice(175)
    motion = lattice.m, lattice.mdot, lattice.potential, lattice.potential_rate
    expected = np.column_stack(lattice_device(lattice, 1e-6).lead_currents(*motion))
    # As if there were one at all energies.
    monkeypatch.setattr(LatticeSurface, "_largest_growth", 0.0)
    found = np.column_stack(lattice_device(lattice, 1e-6).lead_currents(*motion))
    assert abs(expected[0]).max() > 0.1
    assert abs(found - expected).max() < 1e-9


@pytest.mark.parametrize("shape", [(2, 4), (3, 1)])
def test_a_level_exactly_at_a_threshold_is_refused(shape):
    """A wave that just fits between perfect leads: the response to a gate is 1/(E - threshold)."""
    device = Device(shape, sd_exchange=2.0 if shape[0] == 2 else 1.0, fermi_energy=1.8, temperature=0.1)
    m = np.tile([0.0, 0.0, 1.0], (*shape, 1))
    rate = np.zeros(shape)
    rate[0, 0] = 1.0
    with pytest.raises(ToleranceError, match="no limit at"):
        device.spin_density(m, None, None, rate)


# --- how resonances and arcs are had --------------------------------------------------------------------------------


def skyrmion_search(accuracy):
    m = textures.TEXTURES["skyrmion"]((7, 6), center=(3.0, 2.5), radius=2.0, wall_width=1.0)
    device = Device((7, 6), onsite=4.0, sd_exchange=-2.0, fermi_energy=1.9, temperature=0.05)
    frozen = device.freeze(m)
    system = frozen.sweeps.surface.open_system
    return ResonanceSearch(system, -np.inf, np.inf, 1.9, accuracy), segments(device.modes, 1.0, 3.0)


def test_levels_folded_into_the_ends_give_the_same_resonances(monkeypatch):
    found, polish, directly_polished = [], resonances_module.polished, []

    def counted(*arguments):
        directly_polished.append(accuracy)
        return polish(*arguments)

    monkeypatch.setattr(resonances_module, "polished", counted)
    for accuracy in (1e-6, 0.0):
        search, pieces = skyrmion_search(accuracy)
        assert (search._folded is None) == (accuracy == 0)
        energies = []
        for piece in pieces:
            guesses = search.first_guesses(piece, 1.0, 3.0)
            blocks = search.zeros(guesses, [-guess.energies.imag < 0.3 for guess in guesses])
            energies += [e for block in blocks for e in block.energies if piece.low < e.real < piece.high]
        found.append(np.array([e for e in energies if -e.imag < 0.2]))
    folded, directly = found
    # What the basis of the levels does not give to the digits asked is done with the whole matrix.
    assert 4 * directly_polished.count(1e-6) < directly_polished.count(0.0)
    assert len(folded) == len(directly) > 15
    assert max(abs(directly - e).min() for e in folded) < 1e-8


@pytest.mark.parametrize("couplings", [(1.0, 0.6), (0.0, 2.5), (0.1, 0.0)])
@pytest.mark.parametrize("shape", [(1,), (3,), (3, 2)])
def test_levels_are_looked_for_wherever_leads_may_shift_them(rng, shape, couplings):
    """Piece by piece far beyond the spectrum: none that a level is near lies outside, and the ends are not far away."""
    leads = [Lead(side, c) for side, c in zip(("left", "right"), couplings, strict=True)]
    device = Device(shape, sd_exchange=1.5, fermi_energy=0.4, temperature=0.1, leads=leads)
    frozen = device.freeze(random_unit(rng, shape), rng.uniform(-3, 3, shape))
    surface = frozen.sweeps.surface
    system = (surface if device.is_lattice else surface.on_arcs).open_system
    search = ResonanceSearch(system, -np.inf, np.inf, 0.4)
    lowest, highest = search._all_levels_between(0.3)
    near = []
    for segment in segments(device.modes, -60.0, 60.0):
        middles = np.arange(segment.low + 0.05, segment.high, 0.1)
        near += [e for e in middles if search._near(segment, e - 0.05, e + 0.05, 0.2).any()]
    assert len(near) > 5
    assert lowest < min(near) - 0.05
    assert max(near) + 0.05 < highest
    assert highest - lowest < max(near) - min(near) + 4 * max(couplings) ** 2 + 2


def test_what_quadrature_misses_of_a_pole_near_the_path_is_known():
    """Against Gauss' rule on panels graded towards the pole, which lies below, above and beside the path."""
    segment = Segment(1.0, 1.6, np.array([True]), (True, True))
    gate = Gate(segment, 0.1)
    x, w = np.polynomial.legendre.leggauss(40)
    for pole in (1.3 + 0.09j, 1.21 + 0.11j, 1.02 + 0.015j, 1.59 + 0.03j):
        total, panels = 0j, gate.panels(0, 0.05)
        while panels:
            panel = panels.pop()
            z, dz = panel.at(x)
            if abs(z - pole).min() > abs(panel.c1):
                values = complex_fermi_derivative(z, 1.35, 0.08) / (z - pole)
                total += (w * dz * values).sum()
            else:
                panels += panel.halves()
        assert gate.over_pole(pole, 1.35, 0.08) == pytest.approx(total, rel=1e-11)


# --- the checks themselves can fail ---------------------------------------------------------------------------------


def narrow_wire():
    rng = np.random.default_rng(3)
    m = random_unit(rng, (12,))
    weak = [Lead("left", 0.02), Lead("right", 0.01)]
    device = Device(12, sd_exchange=1.0, fermi_energy=0.3, temperature=0.05, tolerance=1e-6, leads=weak)
    return device, m, np.cross(rng.normal(size=(12, 3)), m)


@pytest.fixture
def a_missed_resonance(monkeypatch):
    """The search overlooks the levels next to the Fermi energy."""
    found = ResonanceSearch.zeros

    def with_a_gap(*arguments):
        return [block for block in found(*arguments) if abs(block.energies - 0.3).min() > 0.2]

    monkeypatch.setattr(ResonanceSearch, "zeros", with_a_gap)


def test_a_missed_resonance_shows_in_the_thermal_states(a_missed_resonance):
    with pytest.raises(ToleranceError, match="other thermal states"):
        narrow_wire()[0].spin_density(*narrow_wire()[1:])


def without_the_largest_pole(monkeypatch):
    """The search overlooks the resonance with the largest weight."""
    search = ArcPaths.search

    def with_a_gap(self, height):
        search(self, height)
        del self.poles[int(np.argmax([abs(pole.weight) for pole in self.poles]))]

    monkeypatch.setattr(ArcPaths, "search", with_a_gap)


def test_a_missed_resonance_of_a_lattice_breaks_its_agreement(monkeypatch):
    monkeypatch.setattr(ThermalSurface, "states", lambda self: self.thermal_states)
    lattice, tolerance = random_dense_lattice(33)
    assert dense_lattice_holds(lattice, tolerance)
    without_the_largest_pole(monkeypatch)
    with pytest.raises(AssertionError):
        dense_lattice_holds(lattice, tolerance)


def test_a_missed_resonance_of_a_lattice_shows_in_the_thermal_states(monkeypatch):
    without_the_largest_pole(monkeypatch)
    with pytest.raises(ToleranceError, match="other thermal states"):
        of_lattice(*random_dense_lattice(33))


def test_a_missed_resonance_breaks_the_spin_balance(a_missed_resonance, monkeypatch):
    # The other check sleeps.
    monkeypatch.setattr(ThermalSurface, "states", lambda self: self.thermal_states)
    device, m, mdot = narrow_wire()
    assert abs(device.spin_balance(m, mdot)).max() > 1e-4


def test_the_narrow_wire_of_these_checks_balances_its_spin():
    device, m, mdot = narrow_wire()
    assert abs(device.spin_balance(m, mdot)).max() < 1e-6


def test_a_width_that_rounding_decides_is_refused_by_name():
    """A level behind twelve sites of a barrier: its half-width is 1e-12, its response beyond any digit."""
    n = 25
    barrier = np.full(n, 3.0)
    barrier[12] = 0.0
    device = Device(n, sd_exchange=0.1, fermi_energy=-0.5, temperature=0.1, tolerance=1e-6)
    with pytest.raises(ToleranceError, match="half-width"):
        device.spin_density(np.tile([0.0, 0.0, 1.0], (n, 1)), None, barrier, np.eye(n)[12])


def test_currents_into_the_leads_agree_with_the_bonds_where_levels_are_narrow():
    device, m, mdot = narrow_wire()
    weak = device.changed(leads=[Lead("left", 0.2), Lead("right", 0.05)])
    frozen = weak.freeze(m)
    charge, spin = frozen.lead_currents(mdot, np.zeros(12))
    flows = weak.currents(m, mdot)
    into = flows.into_leads("sea", "surface")
    assert abs(charge - into[0]).max() < 1e-6
    assert abs(spin - into[1]).max() < 1e-6


def slow_level(level, coupling, temperature, fermi_energy):
    """Density that a gate on a single site between t = 1 and one lead drives, per dV/dt: -f'(E) |Z|^2/w, both spins.

    E - i w is the pole of G, Z its residue; the next term of this series is smaller by (w/kT)^2.
    """
    z = complex(level)
    for _ in range(100):
        x = z / 2
        z = level + coupling**2 * (x - 1j * np.sqrt(1 - x * x))
    slope = coupling**2 * (0.5 + 0.5j * x / np.sqrt(1 - x * x))
    f = 1 / (1 + np.exp((z.real - fermi_energy) / temperature))
    return f * (1 - f) / temperature * abs(1 / (1 - slope)) ** 2 / -z.imag


@pytest.mark.parametrize("level", [0.1, 0.37, -0.83, 1.71, 1.74, -1.93])
@pytest.mark.parametrize("coupling", [1e-3, 1e-4, 1e-5, 3e-6, 2e-6, 1.3e-6, 1e-6])
def test_a_response_whose_rounding_exceeds_the_tolerance_is_refused(level, coupling):
    """Up to 1e13 electrons: to 0.01 of one, or a refusal."""
    fermi_energy, temperature = np.sign(level) * (0.05 if abs(level) < 1 else 1.7), 0.05 if abs(level) < 1 else 0.01
    options = {"fermi_energy": fermi_energy, "temperature": temperature, "leads": [Lead("left", coupling)]}
    device = Device((1,), sd_exchange=0.0, tolerance=1e-2, **options)
    expected = slow_level(level, coupling, temperature, fermi_energy)
    found = None
    if expected < 1e9:  # the digits are there
        found = device.spin_density(np.zeros((1, 3)), potential=[level], potential_rate=[1.0])
    else:
        with contextlib.suppress(ToleranceError):
            found = device.spin_density(np.zeros((1, 3)), potential=[level], potential_rate=[1.0])
    if found is not None:
        assert abs(found.density_surface[0] - expected) <= 1e-2


@pytest.mark.parametrize(
    ("rows", "fermi_energy"), [(4, 0.3), (4, -0.44), pytest.param(33, 0.2, marks=pytest.mark.slow)]
)
def test_one_wide_slice_has_the_levels_of_its_modes(rows, fermi_energy):
    """Moments all alike: each mode is a chain of one site, and what is bound beside its band lies in other modes'.

    With both couplings equal to the hopping the levels of H + Re Sigma(E_F) are degenerate: their first-order shifts
    and widths say nothing of the modes.
    """
    m, mdot = np.array([1, -2, 2]) / 3, np.array([0.2, 0.1, 0.0])
    common = {"sd_exchange": 0.5, "temperature": 0.05, "leads": [Lead("left"), Lead("right")]}
    whole = Device((1, rows), fermi_energy=fermi_energy, **common)
    found = whole.spin_density(np.tile(m, (1, rows, 1)), np.tile(mdot, (1, rows, 1))).surface[0]
    q, expected = np.arange(1, rows + 1), 0.0
    for mode in q:
        level = -2 * np.cos(mode * np.pi / (rows + 1))
        chain = Device(1, fermi_energy=fermi_energy - level, **common).spin_density(m[None], mdot[None])
        share = 2 / (rows + 1) * np.sin(q * mode * np.pi / (rows + 1)) ** 2
        expected = expected + share[:, None] * chain.surface
    assert abs(expected).max() > 1e-3
    assert found == pytest.approx(expected, abs=1e-6)


def test_levels_without_width_between_the_modes_of_one_slice_are_found_under_a_bias():
    """Both spins of each mode have the same |G|^2 there: the current leaves no spin behind."""
    m = np.tile(np.array([1, -2, 2]) / 3, (1, 4, 1))
    leads = [Lead("left", chemical_potential=0.55), Lead("right")]
    device = Device((1, 4), sd_exchange=0.5, fermi_energy=0.3, leads=leads)
    with pytest.warns(UserWarning, match="no lead fills it"):
        spin = device.spin_density(m)
    assert spin.bias == pytest.approx(np.zeros((1, 4, 3)), abs=1e-6)
    assert abs(spin.density_bias).min() > 0.01
