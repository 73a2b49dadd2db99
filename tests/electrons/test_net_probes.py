"""Probes that take no net current in all: closed forms, dense matrices, Ohm's law, and what is conserved."""

import numpy as np
import pytest
from scipy.optimize import root

from llgnegf.electrons import Bath, Device, Lead
from tests.electrons.real_time_cases import unit_vectors
from tests.oracles.bathed_dense import Bathed
from tests.oracles.biased_dense import Reservoir

SIDES = ("left", "right")


def device(shape, sites, width, mus, probe="net", couplings=(1.0, 1.0), temperatures=(None, None), **options):
    options = {"sd_exchange": 0.5, "fermi_energy": 0.1, "tolerance": 1e-8} | options
    leads = [
        Lead(side, c, chemical_potential=mu, temperature=kT)
        for side, c, mu, kT in zip(SIDES, couplings, mus, temperatures, strict=True)
    ]
    return Device(shape, leads=leads, bath=Bath(sites, width, probe), **options)


def at_rest(system, m, V=None):
    """Potentials, particles and spin into the bath, particles into the leads."""
    frozen = system.freeze(m, V)
    still = np.zeros((*system.shape, 3)), np.zeros(system.shape)
    return frozen.bath_potentials, *frozen.bath_currents(*still), frozen.lead_currents(*still)[0]


@pytest.mark.parametrize("couplings", [(0.8, 0.8), (0.5, 1.0)])
def test_a_level_between_two_leads_and_a_voltmeter(couplings):
    """Buettiker's formula for a small bias: T + T_Lp T_pR/(T_Lp + T_pR), of a Breit-Wigner level."""
    E, width, V, level = 0.1, 0.3, 1e-4, 0.35
    system = device((1,), [0], width, (E + V / 2, E - V / 2), couplings=couplings, sd_exchange=0.0, tolerance=1e-10)
    potentials, into_bath, _, charge = at_rest(system, np.array([[0.0, 0, 1]]), np.array([level]))
    sigma = np.array(couplings) ** 2 * (E / 2 - 1j * np.sqrt(1 - E**2 / 4))
    G2 = abs(1 / (E - level - sigma.sum() + 0.5j * width)) ** 2
    left, right = -2 * sigma.imag
    T, from_left, to_right = (2 * a * b * G2 for a, b in ((left, right), (left, width), (width, right)))
    assert charge[1] == pytest.approx((T + from_left * to_right / (from_left + to_right)) * V / (2 * np.pi), rel=1e-6)
    assert charge.sum() == pytest.approx(0, abs=1e-15)
    assert abs(into_bath).max() < 1e-15
    expected = (from_left * (E + V / 2) + to_right * (E - V / 2)) / (from_left + to_right)
    assert potentials[0] == pytest.approx(expected, abs=1e-4 * V)


@pytest.mark.parametrize(
    ("shape", "sites", "kT", "temperatures"),
    [
        ((3,), [0, 2], 0.05, (None, None)),
        pytest.param((2,), [0, 1], 0.2, (0.05, 0.3), marks=pytest.mark.slow),
        pytest.param((2, 2), [(0, 1), (1, 0)], 0.1, (None, None), marks=pytest.mark.slow),
    ],
)
def test_dense_matrices_give_the_same(shape, sites, kT, temperatures):
    """T by traces of dense matrices, integrals by a fine sum, chemical potentials by a general solver."""
    rng, width, mus, E_F = np.random.default_rng(4), 0.4, (0.5, -0.3), 0.1
    m, V = unit_vectors(rng, shape), rng.uniform(-0.3, 0.3, shape)
    system = device(shape, sites, width, mus, temperature=kT, temperatures=temperatures)
    potentials, into_bath, spin, charge = at_rest(system, m, V)
    plane = (*shape, 1)[:2]
    T = [kT if one is None else one for one in temperatures]
    left, right = (Reservoir(1.0, 0.0, mu, one) for mu, one in zip(mus, T, strict=True))
    where = tuple(int(i) for i in np.ravel_multi_index(np.array([np.atleast_1d(s) for s in sites]).T, shape))
    m_, V_ = m.reshape(*plane, 3), V.reshape(plane)
    oracle = Bathed(
        m_, 0 * m_, V_, 0 * V_, 0.5, left, right, Reservoir(mu=E_F, kT=kT), where=where, width=width
    )  # fmt: skip
    x, w = np.polynomial.legendre.leggauss(20)
    # Square roots where modes open: finer towards there.
    openings = [-2.0, 2.0] if len(shape) == 1 else [-3.0, -1.0, 1.0, 3.0]
    near = [e + s * 2.0**-k for e in openings for s in (-1, 1) for k in range(2, 40)]
    edges = np.unique([*near, *openings, *np.arange(-12.0, 12.1, 0.25)])
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    energies, weights = (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel() / (2 * np.pi)
    G, _, gammas, _ = oracle.everything(energies)
    every = [*gammas, *(np.broadcast_to(one, G.shape) for one in oracle.of_bath)]
    between = np.array([[np.einsum("kab,kbc,kcd,kad->k", p, G, q, G.conj()).real for q in every] for p in every])

    def flows(mu):
        f = np.array([left.f(energies), right.f(energies), *(Reservoir(mu=one, kT=kT).f(energies) for one in mu)])
        return np.array([((between[p] * (f - f[p])).sum(axis=0) * weights).sum() for p in range(len(every))])

    found = root(lambda mu: flows(mu)[2:], np.full(len(sites), E_F), tol=1e-13)
    assert potentials == pytest.approx(found.x, abs=1e-7)
    assert charge == pytest.approx(flows(found.x)[:2], abs=1e-8)
    assert abs(into_bath).max() < 1e-12
    assert abs(charge.sum()) < 1e-12
    # All of the density: by the dense matrices, too.
    f = np.array([left.f(energies), right.f(energies), *(Reservoir(mu=one, kT=kT).f(energies) for one in found.x)])
    ref = oracle.reference.f(energies)
    less = sum(
        ((f_p - ref) * weights)[:, None, None] * (G @ gamma @ G.conj().swapaxes(1, 2))
        for f_p, gamma in zip(f, every, strict=True)
    )
    rho = oracle.equilibrium() + less.sum(axis=0)
    assert system.freeze(m, V).at_rest.reshape(*plane, 4) == pytest.approx(oracle.traced(rho), abs=2e-7)
    assert abs(spin).max() > 1e-4


def test_resistances_in_series():
    """Each probe adds width/(2 v) in units of one open channel: Ohm's law, for a small bias as with elastic probes."""
    width, E, V = 0.2, 0.0, 1e-4
    resistance = []
    for n in (10, 20, 30):
        system = device((n,), range(n), width, (V / 2, -V / 2), sd_exchange=0.0, fermi_energy=E, tolerance=1e-7)
        potentials, _, _, charge = at_rest(system, np.tile([0.0, 0, 1], (n, 1)))
        resistance.append(2 * V / (2 * np.pi) / charge[1])
        # The voltage drops evenly, but for waves of half the Fermi wavelength, two sites here.
        line = (potentials[1:] + potentials[:-1]) / 2
        assert abs(np.diff(line, 2)).max() < 0.05 * abs(np.diff(line)).mean()
    first, second = np.diff(resistance)
    assert first == pytest.approx(second, rel=1e-3)
    assert first / 10 == pytest.approx(width / (2 * 2.0), rel=0.02)


def test_they_are_elastic_probes_for_a_small_bias_at_zero_temperature_and_no_others():
    rng = np.random.default_rng(6)
    m = unit_vectors(rng, (4,))
    small, large = ((0.1 + V / 2, 0.1 - V / 2) for V in (1e-5, 0.8))
    for mus, same in ((small, True), (large, False)):
        net, elastic = (
            device((4,), [1, 2], 0.5, mus, probe, couplings=(0.3, 0.5), tolerance=1e-9) for probe in ("net", True)
        )
        a, b = (at_rest(one, m)[3][1] for one in (net, elastic))
        assert (abs(a - b) < 1e-4 * abs(b)) == same


def test_energy_is_dissipated_where_the_voltage_drops():
    """What the leads give, V I, all stays in the probes: sum over all of energy flows is zero with them included."""
    m, mus = unit_vectors(np.random.default_rng(7), (3,)), (0.5, -0.3)
    system = device((3,), [1], 0.5, mus, temperature=0.05)
    frozen = system.freeze(m)
    charge = frozen.lead_currents(np.zeros_like(m), np.zeros(3))[0]
    heat_of_leads = frozen.energy_currents - np.array(mus) * charge
    assert heat_of_leads.sum() < 0.8 * charge[1]  # less than all of V I: the probe takes the rest
    assert (0.8 * charge[1] - heat_of_leads.sum()) > 0.05 * charge[1]


@pytest.mark.parametrize("kT", [0.0, 0.1])
def test_without_a_bias_nothing_flows(kT):
    m = unit_vectors(np.random.default_rng(8), (3,))
    net, elastic = (device((3,), [0, 2], 0.5, (0.1, 0.1), probe, temperature=kT) for probe in ("net", True))
    potentials, into_bath, spin, charge = at_rest(net, m)
    assert (potentials == 0.1).all()
    assert not into_bath.any()
    assert not spin.any()
    assert not charge.any()
    assert net.freeze(m).adiabatic == pytest.approx(elastic.freeze(m).adiabatic, abs=1e-12)


def test_voltages_on_both_leads_are_a_shift_of_all_energies():
    m, V = unit_vectors(np.random.default_rng(9), (3,)), 0.25
    options = {"sd_exchange": 0.5, "bath": Bath([0, 2], 0.4, "net"), "tolerance": 1e-9, "temperature": 0.05}
    one = Device((3,), leads=[Lead("left", 1.0, V + 0.2), Lead("right", 1.0, V)], fermi_energy=0.1, **options)
    other = Device((3,), leads=[Lead("left", 1.0, 0.2), Lead("right", 1.0)], fermi_energy=0.1, onsite=0.0, **options)
    a, b = at_rest(one, m), at_rest(other, m, np.full(3, -V))
    assert a[0] == pytest.approx(b[0] + V, abs=1e-7)
    assert a[3] == pytest.approx(b[3], abs=1e-8)


def test_a_bond_carries_what_enters_and_leaves():
    m = unit_vectors(np.random.default_rng(10), (4,))
    system = device((4,), [1, 2], 0.5, (0.5, -0.2), temperature=0.05)
    flows = system.currents(m)
    charge = at_rest(system, m)[3]
    assert flows.charge["bias"] == pytest.approx(np.full(5, charge[1]), abs=1e-8)


def test_what_is_not_available_is_told():
    m = np.tile([0.0, 0, 1], (2, 1))
    system = device((2,), [0], 0.4, (0.3, 0.0))
    with pytest.raises(ValueError, match='zero_current="net": without the first order in velocities'):
        system.spin_density(m, np.array([[0.1, 0, 0], [0, 0, 0]]))
    with pytest.raises(ValueError, match='zero_current="net": without linear response'):
        system.bias_response(m)
    with pytest.raises(ValueError, match="zero_current = 'current' of a bath: use True or \"net\""):
        Bath([0], 0.1, "current")
    with pytest.raises(ValueError, match="their product is at most 40000"):
        Device((201,), sd_exchange=0.1, bath=Bath(range(201), 0.1, "net"))
    assert np.isnan(device((2,), [0], 0.4, (0.3, 0.0), True).bath_potentials(m)).all()
    assert device((2,), [0], 0.4, (0.3, 0.0), False).bath_potentials(m) == [0.1]
