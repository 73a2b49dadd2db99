"""Wide-band leads on the end columns of a lattice, beside dense matrices, chains, reservoirs on sites and balances."""

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, SpinHopping, SpinOrbit, bathed, bathed_band
from llgnegf.electrons.bathed_surface import narrow_levels
from tests.oracles.biased_dense import Reservoir
from tests.oracles.wide_dense import Bonded

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
RASHBA, DRESSELHAUS = 0.5, -0.3
TURNING = (
    {"spin_orbit": SpinOrbit(RASHBA, DRESSELHAUS)},
    -np.eye(2) + 1j * (RASHBA * SIGMA[1] - DRESSELHAUS * SIGMA[0]),
    -np.eye(2) + 1j * (DRESSELHAUS * SIGMA[1] - RASHBA * SIGMA[0]),
)
ALONG_X, ALONG_Y = (0.1, 0.2, -0.3), (0.2, 0.1j, 0.3)
HOPPING = (
    {"spin_hopping": SpinHopping(ALONG_X, ALONG_Y)},
    *(-np.eye(2) + np.einsum("a,aij->ij", along, SIGMA) for along in (ALONG_X, ALONG_Y)),
)
PLAIN = {}, -np.eye(2), -np.eye(2)
J_BY_SITE = np.array([[0.8, -0.5], [0.3, 0.0], [1.1, 0.6]])


def both(
    shape, widths, couplings=(0.0, 0.0), kT=0.0, mus=(0.2, -0.3), J=0.8, bonds=PLAIN, periodic=False, missing=(),
    voltages=(0.0, 0.0), moving=True, tolerance=1e-9, warmer=0.0,
):  # fmt: skip
    """The dense calculation, the device, and m, mdot, V and dV/dt; warmer: by how much the right lead is."""
    rng = np.random.default_rng(1)
    m = rng.normal(size=(*shape, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    mdot = moving * 0.5 * np.cross(m, rng.normal(size=m.shape))
    V, rate, static = 0.3 * rng.normal(size=(3, *shape))
    # The levels of a wide-band lead are the same with any voltage.
    kTs = kT, kT + warmer
    left, right = (
        Reservoir(c, v if c else 0.0, mu, one) for c, v, mu, one in zip(couplings, voltages, mus, kTs, strict=True)
    )
    arguments, along_x, along_y = bonds
    oracle = Bonded(
        m, mdot, V + static, moving * rate, J, left, right, Reservoir(mu=0.1, kT=kT), widths=widths,
        along_x=along_x, along_y=along_y, periodic=periodic, missing=missing, onsite=0.2,
    )  # fmt: skip
    leads = [
        Lead(side, 1.0 if w else c, voltage=v, width=w or None, chemical_potential=mu, temperature=one)
        for side, w, c, v, mu, one in zip(("left", "right"), widths, couplings, voltages, mus, kTs, strict=True)
        if w or c
    ]
    device = Device(
        shape, sd_exchange=J, fermi_energy=0.1, temperature=kT, tolerance=tolerance, leads=leads, onsite=0.2,
        potential=static, periodic="y" if periodic else False, vacancies=missing, **arguments,
    )  # fmt: skip
    return oracle, device, (m, mdot, V, moving * rate)


CASES = {
    "one site": {"shape": (1, 1), "widths": (0.5, 0.9)},
    "one column": {"shape": (1, 3), "widths": (0.5, 0.9)},
    "one row": {"shape": (3, 1), "widths": (0.7, 0.0), "couplings": (0.0, 1.0)},
    "closed on the left": {"shape": (2, 3), "widths": (0.0, 0.6)},
    "beyond a band": {"shape": (2, 2), "widths": (0.7, 0.0), "couplings": (0.0, 0.8), "mus": (4.0, 0.1)},
    "by site": {"shape": (3, 2), "widths": (0.7, 0.4), "J": J_BY_SITE},
    "turning bonds": {"shape": (3, 2), "widths": (0.7, 0.4), "bonds": TURNING},
    "hopping": {"shape": (3, 2), "widths": (0.0, 0.4), "couplings": (0.8, 0.0), "bonds": HOPPING},
    "ring": {"shape": (2, 3), "widths": (0.7, 0.4), "periodic": True},
    "vacancies": {"shape": (3, 3), "widths": (0.7, 0.4), "missing": ((0, 1), (1, 0)), "bonds": TURNING},
    "no exchange": {"shape": (2, 2), "widths": (0.7, 0.4), "J": 0.0},
    "voltages": {"shape": (2, 2), "widths": (0.7, 0.0), "couplings": (0.0, 0.9), "voltages": (0.3, -0.1)},
}
WARM = {
    "warm": {"shape": (2, 2), "widths": (0.7, 0.4), "kT": 0.05, "bonds": TURNING},
    "warm, with vacancies": {
        "shape": (3, 2), "widths": (0.7, 0.0), "couplings": (0.0, 0.9), "kT": 0.05, "bonds": HOPPING,
        "missing": ((0, 1),),
    },
    "another temperature, with vacancies": {
        "shape": (2, 2), "widths": (0.7, 0.4), "mus": (0.1, 0.1), "kT": 0.05, "warmer": 0.03, "missing": ((0, 1),),
    },
}  # fmt: skip


QUICK = (
    "one column",
    "by site",
    "turning bonds",
    "hopping",
    "vacancies",
    "voltages",
    "another temperature, with vacancies",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in CASES | WARM]
)
def test_dense_matrices_give_the_same(name):
    case = (CASES | WARM)[name]
    oracle, device, motion = both(**case)
    m, _, V, _ = motion
    there = np.ones(device.shape, bool)
    there[tuple(np.array(device.vacancies, int).reshape(-1, 2).T)] = False
    found, expected = device.spin_density(*motion), oracle.parts()
    for part, value in expected.items():
        assert getattr(found, part)[there] == pytest.approx(value[there][:, 1:], abs=1e-9), part
        assert abs(getattr(found, part)[~there]).max(initial=0.0) == 0.0
        if not part.startswith("bias"):
            assert getattr(found, f"density_{part}")[there] == pytest.approx(value[there][:, 0], abs=1e-9), part
    density = (expected["bias"] + expected["bias_motion"])[there][:, 0]
    assert found.density_bias[there] == pytest.approx(density, abs=1e-9)
    charge, spin, energy = oracle.into_leads()
    at_rest = device.lead_currents(m, None, V)
    assert at_rest[0] == pytest.approx(charge, abs=1e-10)
    assert at_rest[1] == pytest.approx(spin, abs=1e-10)
    # Energy is counted from the levels, which a voltage of a wide-band lead shifts all the same.
    shifts = np.where(np.array(case["widths"]) > 0, device.voltages, 0.0)
    assert device.freeze(m, V).energy_currents == pytest.approx(energy - shifts * charge, abs=1e-10)
    G, _, (left, right), _ = oracle.everything(0.4)
    through = np.einsum("kab,kbc,kcd,kad->", right, G, left, G.conj()).real
    assert device.transmission(0.4, m, V).sum() == pytest.approx(through, abs=1e-10)


@pytest.mark.parametrize("name", ["hopping", "ring", "vacancies"])
def test_what_leaves_a_site_arrives(name):
    """Charge and spin on every site, at rest under a bias and in motion without; flows over bonds end in the leads."""
    _, biased, motion = both(**CASES[name])
    m, _, V, _ = motion
    assert abs(biased.spin_balance(m, None, V)).max() < 1e-12
    flows = biased.currents(m, None, V)
    assert abs(out_of(flows, "bias")).max() < 1e-12 < 1e-3 < abs(flows.charge["bias"]).max()
    _, device, motion = both(**CASES[name] | {"mus": (0.1, 0.1)})
    assert not device.is_biased
    assert abs(device.spin_balance(*motion)).max() < 1e-9
    flows, frozen = device.currents(*motion), device.freeze(m, V)
    rate = device.coupling_blocks(motion[1], motion[3])
    assert abs(out_of(flows, "sea", "surface") + frozen.adiabatic_rate(rate)[..., 0]).max() < 1e-8
    sides = [k for k, width in enumerate(CASES[name]["widths"]) if width]
    into = zip(flows.into_leads("sea", "surface"), device.lead_currents(*motion), strict=True)
    for of_flows, of_leads in into:  # particles and spin
        assert of_flows[sides] == pytest.approx(of_leads[sides], abs=1e-12)
        assert abs(of_leads).max() > 1e-3


def out_of(flows, *origins):
    """Particles that leave each site, (nx, ny)."""
    found = 0.0
    for origin in origins:
        y = flows.charge_y[origin]
        found = found + np.diff(flows.charge[origin], axis=0) + y - np.roll(y, 1, axis=1)
    return found


@pytest.mark.parametrize("kT", [0.0, pytest.param(0.05, marks=pytest.mark.slow)])
def test_what_leaves_a_site_in_motion_under_a_bias(kT):
    """It is missing there: of charge and spin, at first order in the motion; and what enters the leads row by row."""
    _, device, motion = both(**CASES["turning bonds"], kT=kT)
    m, mdot, V, rate = motion
    first, h = ("sea", "surface", "bias_motion"), 3e-3

    def at_rest(k):
        return device.freeze(m + k * h * mdot, V + k * h * rate).at_rest

    change = (8 * (at_rest(1) - at_rest(-1)) - (at_rest(2) - at_rest(-2))) / (12 * h)
    flows, spin = device.currents(*motion), device.spin_density(*motion)
    assert out_of(flows, *first) == pytest.approx(-change[..., 0], abs=1e-7)
    torque = 0.8 * np.cross(spin.first_order, m) + sum(flows.torque_spin_orbit[one] for one in first)
    leaving = sum(flows.divergence(one) for one in first)
    assert torque == pytest.approx(leaving + change[..., 1:] / 2, abs=1e-7)
    into, leads = flows.into_leads("surface", "bias", "bias_motion"), device.lead_currents(*motion)
    assert into[0] == pytest.approx(leads[0], abs=1e-12)
    assert into[1] == pytest.approx(leads[1], abs=1e-12)
    assert abs(np.diff(flows.charge["bias_motion"][0])).max() > 1e-4


@pytest.mark.parametrize("probe", [True, False, "net"])
def test_rows_beside_a_bath(probe):
    _, device, motion = both((2, 2), (0.7, 0.4), moving=probe != "net")
    device, (m, mdot, V, rate) = device.changed(bath=Bath([(0, 1), (1, 0)], 0.3, probe)), motion
    for moved in (mdot, rate):
        moved *= probe != "net"
    flows, leads = device.currents(m, mdot, V, rate), device.lead_currents(m, mdot, V, rate)
    charge, spin = flows.into_leads(*(origin for origin in flows.origins if origin not in ("adiabatic", "sea")))
    assert charge == pytest.approx(leads[0], abs=1e-12)
    assert spin == pytest.approx(leads[1], abs=1e-12)
    still = device.currents(m, None, V)
    into_bath = np.zeros(4)
    into_bath[[1, 2]] = device.bath_currents(m, None, V)[0]
    assert out_of(still, "bias").ravel() == pytest.approx(-into_bath, abs=1e-11)


def test_one_row_is_a_chain():
    _, device, motion = both((3, 1), (0.7, 0.4), bonds=TURNING)
    chain = Device(**device._arguments() | {"shape": 3, "potential": device.potential[:, 0]})
    row = tuple(x[:, 0] for x in motion)
    a, b = device.spin_density(*motion), chain.spin_density(*row)
    for part in ("adiabatic", "sea", "surface", "bias", "bias_motion"):
        assert getattr(a, part)[:, 0] == pytest.approx(getattr(b, part), abs=1e-10), part
    for one, other in zip(device.lead_currents(*motion), chain.lead_currents(*row), strict=True):
        assert one == pytest.approx(other, abs=1e-12)
    assert device.freeze(motion[0], motion[2]).grand_potential == pytest.approx(
        chain.freeze(row[0], row[2]).grand_potential, abs=1e-8
    )
    flows, of_chain = device.currents(*motion), chain.currents(*row)
    for origin in ("surface", "bias", "bias_motion"):
        assert flows.spin[origin][:, 0] == pytest.approx(of_chain.spin[origin], abs=1e-11)


def test_reservoirs_on_the_end_column_are_the_same_lead():
    """In equilibrium; what flows into them is what flows into the rows of the lead."""
    _, device, motion = both((3, 2), (0.7, 0.0), (0.0, 0.9), mus=(0.1, 0.1))
    bath = device.changed(leads=device.leads[1:], bath=Bath([(0, 0), (0, 1)], 0.7, zero_current=False))
    a, b = device.spin_density(*motion), bath.spin_density(*motion)
    for part in ("adiabatic", "sea", "surface"):
        assert getattr(a, part) == pytest.approx(getattr(b, part), abs=1e-10), part
    charge, spin = bath.bath_currents(*motion)
    flows = device.currents(*motion)
    assert -flows.charge["surface"][0] == pytest.approx(charge, abs=1e-12)
    assert -flows.spin["surface"][0] == pytest.approx(spin, abs=1e-12)
    assert device.freeze(motion[0]).grand_potential == pytest.approx(bath.freeze(motion[0]).grand_potential, abs=1e-8)


@pytest.mark.parametrize("name", [pytest.param("turning bonds", marks=pytest.mark.slow), "vacancies"])
def test_torque_is_the_derivative_of_the_grand_potential(name):
    _, device, (m, _, V, _) = both(**CASES[name] | {"mus": (0.1, 0.1), "tolerance": 1e-10})
    found, h = device.spin_density(m, None, V), 1e-2
    for site in ((0, 0), (1, 1)):
        for axis in range(3):
            step = np.zeros_like(m)
            step[*site, axis] = h
            ahead, back, far, farther = (device.freeze(m + s * step, V).grand_potential for s in (1, -1, 2, -2))
            slope = (8 * (ahead - back) - (far - farther)) / (12 * h)
            assert slope == pytest.approx(-0.8 * found.adiabatic[*site, axis], abs=2e-7)
    # Beside no moments and no gates there is none.
    bare = device.changed(sd_exchange=0.0, potential=None)
    assert bare.freeze(m).grand_potential == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", [pytest.param("turning bonds", marks=pytest.mark.slow), "vacancies"])
def test_tensors_are_the_response_to_a_motion_and_to_a_bias(name):
    _, device, (m, mdot, V, _) = both(**CASES[name] | {"tolerance": 1e-8})
    tensors, spin = device.linear_response(m, V).tensors, device.spin_density(m, mdot, V)
    sites = mdot.reshape(-1, 3)
    for found, part in ((tensors.sea, spin.sea), (tensors.surface, spin.surface), (tensors.bias, spin.bias_motion)):
        expected = -0.8 * part.reshape(-1, 3)
        assert np.einsum("ijab,jb->ia", found, sites) == pytest.approx(expected, abs=1e-8)
        assert abs(expected).max() > 1e-3
    S = device.scattering_matrix(m, 0.3, V).S
    np.testing.assert_allclose(S.conj().T @ S, np.eye(len(S)), atol=1e-12)
    assert len(S) == 4 * device.shape[1] - 2 * sum(x in (0, device.shape[0] - 1) for x, _ in device.vacancies)
    step, response = 1e-4, device.bias_response(m, V)

    def at(mu):
        left, right = device.leads
        leads = [Lead("left", width=left.width, chemical_potential=mu), Lead("right", width=right.width)]
        return device.changed(leads=leads).freeze(m, V).at_rest[..., 1:]

    difference = (at(0.1 + step) - at(0.1 - step)) / (2 * step)
    assert response.spin[0] == pytest.approx(difference, abs=1e-6)


def test_the_width_of_a_level_is_that_of_both_leads():
    device = Device((1, 1), sd_exchange=0.0, leads=[Lead("left", width=0.7), Lead("right", width=0.4)])
    assert device.freeze(np.zeros((1, 1, 3))).level_width() == pytest.approx(1.1, rel=1e-12)


@pytest.mark.parametrize("name", ["vacancies", "by site", pytest.param("warm", marks=pytest.mark.slow)])
def test_voltages_that_change(name):
    """Density and flows of a rate of all leads and sites are zero: a change of gauge.  What flows in is missing."""
    _, device, (m, _, V, _) = both(**(CASES | WARM)[name])
    leads = [Lead(one.side, width=one.width, voltage=v) for one, v in zip(device.leads, (0.2, -0.1), strict=True)]
    device = device.changed(leads=leads)
    still, everywhere = np.zeros_like(m), np.ones(device.shape)
    moving, frozen = device.moving_leads(m, V), device.freeze(m, V)
    leads, sites = moving.response((0.7, 0.7)), frozen.respond(still, 0.7 * everywhere)
    assert leads.density + sites.sea + sites.surface + sites.bias == pytest.approx(0.0 * leads.density, abs=1e-8)
    assert abs(leads.surface).max() > 0.1
    at_rest = frozen.lead_currents(still, 0.0 * V)
    driven = frozen.lead_currents(still, 0.7 * everywhere)
    assert leads.into_leads[:, 0] == pytest.approx(at_rest[0] - driven[0], abs=1e-8)
    assert leads.into_leads[:, 1:] / 2 == pytest.approx(at_rest[1] - driven[1], abs=1e-8)
    found, h = moving.response((1.0, 0.0)), 1e-3
    ahead, back, far, farther = (
        device.at_voltages((0.2 + k * h, -0.1)).freeze(m, V).at_rest[..., 0].sum() for k in (1, -1, 2, -2)
    )
    assert found.into_leads[:, 0].sum() == pytest.approx((far - farther - 8 * (ahead - back)) / (12 * h), abs=1e-6)
    assert abs(found.into_leads[:, 1:]).max() > 1e-3


@pytest.mark.parametrize("bath", [None, Bath([(1, 0), (0, 1)], 0.3, zero_current=False)])
def test_many_energies_at_once_are_those_one_by_one(monkeypatch, bath):
    """Inside and outside of a band, with voltages: densities, flows of particles, spin and energy."""
    case = {"widths": (0.7, 0.0), "couplings": (0.0, 0.9), "voltages": (0.3, -0.1), "bonds": TURNING}
    _, device, (m, mdot, V, rate) = both((2, 2), **case)
    device = device.changed(bath=bath)
    driven, energies = device.coupling_blocks(mdot, rate), np.array([-7.0, -0.4, 0.3, 5.0])
    found = []
    for most in (0, 32):
        monkeypatch.setattr(bathed, "MOST_SITES", most)
        sweeps = device.freeze(m, V).sweeps
        assert (sweeps._few_sites is None) == (most == 0)
        found.append((*sweeps.moved(energies, driven), *sweeps.moved_at_bias(energies, driven)))
        assert [len(part) for part in sweeps.moved_at_bias(np.empty(0), driven)] == [0, 0, 0, 0]
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        assert one == pytest.approx(other, abs=1e-12)
    assert all(abs(part).max(initial=1.0) > 1e-2 for part in found[0])


def test_levels_are_followed_one_by_one(monkeypatch):
    """Beside a lead with a band, as by all eigenvalues; with and without vacancies, which have none."""
    for name in ("vacancies", "hopping"):
        case = CASES[name] | {"widths": (0.05, 0.0), "couplings": (0.0, 0.2), "kT": 0.1, "mus": (0.1, 0.1)}
        _, device, (m, _, V, _) = both(**case)
        found = []
        for few in (0, 1000):
            monkeypatch.setattr(bathed_band, "_FEW_SITES", few)
            found.append(np.array(narrow_levels(device.freeze(m, V).sweeps, device.thermal_window)))
        assert len(found[0]) > 4
        assert found[0] == pytest.approx(found[1], rel=0.1, abs=1e-3)


def test_a_small_unit_of_energy():
    """The coupling of a wide-band lead says nothing, whatever the hopping."""
    _, device, (m, mdot, _, _) = both((2, 2), (0.7, 0.4))
    small = 1e-12
    leads = [Lead(a.side, width=a.width * small, chemical_potential=a.chemical_potential * small) for a in device.leads]
    scaled = Device(
        (2, 2), hopping=small, sd_exchange=0.8 * small, fermi_energy=0.1 * small, tolerance=1e-9, leads=leads,
        onsite=0.2 * small, potential=device.potential * small,
    )  # fmt: skip
    a, b = device.spin_density(m, mdot), scaled.spin_density(m, mdot * small)
    assert a.solves == b.solves
    assert a.adiabatic == pytest.approx(b.adiabatic, abs=1e-10)
    assert a.first_order == pytest.approx(b.first_order, abs=1e-9)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda device, m: device.changed(bath=Bath([(0, 0)], 0.2)).moving_leads(m), "moving_leads"),
        (lambda device, m: device.spin_noise(m), "spin_noise"),
        (lambda device, m: device.lead_energies(m, np.roll(m, 1, axis=-1)), "lead_energies"),
        (lambda device, m: device.to_kwant(m), "to_kwant"),
        (lambda device, m: device.spin_density(m, 0.1 * m, split="precession"), "precession"),
    ],
)
def test_refused(ask, told):
    _, device, (m, _, _, _) = both((2, 2), (0.7, 0.4))
    with pytest.raises(ValueError, match=told):
        ask(device, m)


@pytest.mark.parametrize(("shape", "missing"), [(3, [2]), ((2, 2), [(1, 0), (1, 1)])])
def test_a_lead_without_a_site_is_refused(shape, missing):
    leads = [Lead("left"), Lead("right", width=0.4)]
    with pytest.raises(ValueError, match=r"width = 0\.4 of the right lead: .* vacant; vacancies = \[\(.*leave one"):
        Device(shape, sd_exchange=0.5, leads=leads, vacancies=missing)
