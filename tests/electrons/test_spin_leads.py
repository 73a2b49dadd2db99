"""Ferromagnetic leads, leads of another hopping, and an exchange of each site, beside dense calculations."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from llgnegf.electrons import Bath, Device, Lead, Polarization, ToleranceError, steady_precession
from tests.electrons.spin_systems import FERROMAGNETS, ORBIT, device_of, errors, motion, parts_of, row, system
from tests.electrons.systems import AXES

CHAIN, LATTICE = (4, 1), (3, 2)
EXCHANGES = np.array([[0.5, -0.3], [0.0, 1.1], [0.7, 0.2]])


@pytest.mark.parametrize("side", [0, 1])
def test_leads_of_the_oracle_are_those_of_decimation(side):
    oracle, z = system(1, LATTICE, **FERROMAGNETS), 0.4 + 0.05j
    assert oracle.lead(side, np.array([z]))[0][0] == pytest.approx(oracle.decimated(side, z), abs=1e-12)


@pytest.mark.parametrize("polarization", [None, Polarization((1.0, 2.0, -1.0), 0.9)])
def test_slope_of_a_lead_is_the_difference_of_its_self_energy(polarization):
    lead = Lead("left", 0.8, polarization=polarization)
    end, h = Device((2, 3), sd_exchange=0.5, leads=[lead]).ends[0], 1e-3
    z = np.array([0.3 + 0.4j, -1.7 + 0.2j])
    sigma = end.self_energy
    steps = 8 * (sigma(z + h) - sigma(z - h)) - (sigma(z + 2 * h) - sigma(z - 2 * h))
    np.testing.assert_allclose(end.slope(z), steps / (12 * h), atol=1e-8)


@pytest.mark.parametrize("kT", [0.0, 0.05])
@pytest.mark.parametrize(
    ("shape", "given"),
    [
        (CHAIN, FERROMAGNETS),
        ((1, 1), FERROMAGNETS),
        ((2, 1), FERROMAGNETS | {"couplings": (0.0, 1.0)}),
        (LATTICE, FERROMAGNETS | {"exchange": EXCHANGES, "periodic": True}),
        (CHAIN, {"lead_hoppings": (1.4, 0.8)}),
        (CHAIN, {"exchange": EXCHANGES[:, :1][[0, 1, 2, 0]]}),
        (CHAIN, FERROMAGNETS | {"exchange": 0.0}),
        (CHAIN, FERROMAGNETS | {"voltages": (0.2, -0.1)}),
    ],
)
def test_parts(shape, given, kT):
    if given.get("voltages"):
        oracle = system(2, shape, temperature=kT, **given)
        # The reference has one Fermi function; so has the device with these chemical potentials.
        leads = device_of(oracle).leads
        device = device_of(
            oracle,
            leads=[
                Lead(one.side, one.coupling, one.voltage, 0.3, None, one.hopping, one.polarization) for one in leads
            ],
        )
        parts, reference = parts_of(device, oracle), oracle.parts()
        assert max(abs(parts[name] - row(oracle, reference[name])).max() for name in parts) < 1e-9
        return
    found = errors(system(2, shape, temperature=kT, **given))
    assert max(found.values()) < 1e-9, found


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize(("shape", "fermi_energy"), [(CHAIN, -2.0), (LATTICE, -3.2)])
def test_a_half_metal_lets_one_spin_through(axis, shape, fermi_energy):
    oracle = system(3, shape, directions=(AXES[axis],) * 2, splittings=(3.0, 3.0), fermi_energy=fermi_energy)
    assert max(errors(oracle).values()) < 1e-9
    device, m = device_of(oracle), np.broadcast_to(AXES[axis], row(oracle, oracle.m).shape)
    through = device.transmission(fermi_energy, m)
    assert through[0, 0] > 0.5
    assert abs(through - np.diag([through[0, 0], 0.0])).max() < 1e-12
    # Against the leads nothing passes where both are of the other spin.
    other = device.changed(
        leads=[
            device.leads[0],
            Lead("right", polarization=Polarization(tuple(-x for x in AXES[axis]), 3.0)),
        ]
    )
    assert other.transmission(fermi_energy, m).max() < 1e-12
    assert device.transmission(fermi_energy, *motion(oracle)[::2]).sum() == pytest.approx(
        oracle.transmission(fermi_energy), abs=1e-12
    )


@pytest.mark.parametrize("kT", [0.0, 0.05])
@pytest.mark.parametrize("shape", [CHAIN, LATTICE])
def test_rotation_of_everything(shape, kT):
    R = Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix()
    oracle = system(4, shape, temperature=kT, **FERROMAGNETS)
    m, mdot, potential, rate = motion(oracle)
    device = device_of(oracle)
    turned = device.changed(
        leads=[
            Lead(one.side, one.coupling, hopping=one.hopping, polarization=Polarization(tuple(R @ d), s))
            for one, d, s in zip(device.leads, oracle.directions, oracle.splittings, strict=True)
        ]
    )
    a, b = device.spin_density(m, mdot, potential, rate), turned.spin_density(m @ R.T, mdot @ R.T, potential, rate)
    for name in ("adiabatic", "sea", "surface"):
        assert abs(getattr(a, name) @ R.T - getattr(b, name)).max() < 1e-11
    (charge, spin), (other, turned_spin) = (
        device.lead_currents(m, mdot, potential, rate),
        turned.lead_currents(m @ R.T, mdot @ R.T, potential, rate),
    )
    assert charge == pytest.approx(other, abs=1e-12)
    assert spin @ R.T == pytest.approx(turned_spin, abs=1e-12)


@pytest.mark.parametrize("given", [{}, ORBIT])
@pytest.mark.parametrize("shape", [CHAIN, LATTICE])
def test_flow_deep_in_the_leads(shape, given):
    """Charge, and spin along the polarization: traces with projectors on either spin of the lead."""
    oracle = system(5, shape, **FERROMAGNETS, **given)
    charge, spin = device_of(oracle).lead_currents(*motion(oracle))
    G, gammas, _ = oracle.green(np.array([oracle.fermi_energy]))
    for side, gamma in enumerate(gammas):
        d = np.array(oracle.directions[side]) / np.linalg.norm(oracle.directions[side])
        along = np.kron(np.eye(oracle.nx * oracle.ny), d[0] * SX + d[1] * SY + d[2] * SZ)
        flow = gamma[0] @ G[0] @ oracle.Hd @ G[0].conj().T / (2 * np.pi)
        assert charge[side] == pytest.approx(np.trace(flow).real, abs=1e-9)
        assert spin[side] == pytest.approx(0.5 * np.trace(along @ flow).real * d, abs=1e-9)


SX, SY, SZ = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@pytest.mark.parametrize("kT", [0.0, pytest.param(0.05, marks=pytest.mark.slow)])
@pytest.mark.parametrize("given", [FERROMAGNETS, {"lead_hoppings": (1.4, 0.8)}])
@pytest.mark.parametrize("shape", [CHAIN, LATTICE])
def test_bias(shape, given, kT):
    oracle, mu = system(6, shape, temperature=kT, **given), (0.5, 0.1)
    device = device_of(oracle)
    leads = [
        Lead(one.side, one.coupling, 0.0, at, None, one.hopping, one.polarization)
        for one, at in zip(device.leads, mu, strict=True)
    ]
    device, (m, _, potential, _) = device.changed(leads=leads), motion(oracle)
    found = device.spin_density(m, None, potential)
    both = np.concatenate([found.density_bias[..., None], found.bias], axis=-1)
    assert both == pytest.approx(row(oracle, oracle.biased(mu, kT)), abs=1e-9)
    charge, _ = device.lead_currents(m, None, potential)
    assert abs(charge.sum()) < 1e-9 < abs(charge[0])
    assert abs(device.spin_balance(m, None, potential)).max() < 1e-8


@pytest.mark.parametrize("shape", [CHAIN, LATTICE])
def test_spin_balance(shape):
    oracle = system(7, shape, exchange=EXCHANGES if shape == LATTICE else 0.7, **FERROMAGNETS)
    assert abs(device_of(oracle).spin_balance(*motion(oracle))).max() < 1e-8


def test_torque_is_the_derivative_of_the_grand_potential():
    oracle = system(8, LATTICE, exchange=EXCHANGES, **FERROMAGNETS)
    device, m, h = device_of(oracle, 1e-10), oracle.m, 1e-4
    spin = device.spin_density(m, None, oracle.potential).adiabatic
    for site, component in (((0, 0), 0), ((2, 1), 1), ((1, 1), 2)):
        ahead, back = m.copy(), m.copy()
        ahead[(*site, component)] += h
        back[(*site, component)] -= h
        slope = (
            device.freeze(ahead, oracle.potential).grand_potential
            - device.freeze(back, oracle.potential).grand_potential
        ) / (2 * h)
        assert EXCHANGES[site] * spin[(*site, component)] == pytest.approx(-slope, abs=1e-7)


@pytest.mark.parametrize("edge", [-2.45, 1.55, *(pytest.param(e, marks=pytest.mark.slow) for e in (-1.55, 2.45, 1.8))])
def test_fermi_energy_at_the_edge_of_one_spin(edge):
    """Results agree with the reference, or the tolerance that cannot be had is named."""
    oracle = system(9, CHAIN, splittings=(0.9, 0.4), couplings=(0.8, 1.1), fermi_energy=edge)
    still = device_of(oracle).spin_density(*motion(oracle)[::2][:1], None, motion(oracle)[2])
    assert still.adiabatic == pytest.approx(row(oracle, oracle.parts()["adiabatic"])[:, 1:], abs=1e-9)
    try:
        found = errors(oracle)
    except ToleranceError as error:
        assert "a band of the leads begins or ends" in str(error)  # noqa: PT017
    else:
        assert max(found.values()) < 1e-8


def test_a_lead_without_splitting_is_a_plain_one():
    m = np.array([[0.0, 0.6, 0.8]] * 3)
    plain = Device(3, sd_exchange=0.5)
    other = plain.changed(leads=[Lead("left", polarization=Polarization((1, 0, 0), 0.0)), Lead("right", hopping=1.0)])
    assert (plain.spin_density(m).adiabatic == other.spin_density(m).adiabatic).all()


def test_kept_at_first_site_of_the_lead():
    """The first site of a ferromagnetic lead may as well be one of the device, with half the splitting as exchange."""
    d = np.array([0.6, 0.0, 0.8])
    m = np.concatenate([[d], system(10, CHAIN).m[:, 0]])
    lead = Lead("left", 0.7, hopping=1.2, polarization=Polarization(tuple(d), 0.6))
    short = Device(4, sd_exchange=0.5, tolerance=1e-9, leads=[lead, Lead("right")])
    inside = Lead("left", 1.2, hopping=1.2, polarization=Polarization(tuple(d), 0.6))
    long = Device(
        5,
        sd_exchange=np.array([0.3, *[0.5] * 4]),
        tolerance=1e-9,
        leads=[inside, Lead("right")],
        bond_hoppings=[0.7, 1.0, 1.0, 1.0],
    )
    mdot = np.cross(m, [0.1, 0.2, 0.3])
    mdot[0] = 0.0
    a, b = short.spin_density(m[1:], mdot[1:]), long.spin_density(m, mdot)
    for name in ("adiabatic", "sea", "surface"):
        assert getattr(a, name) == pytest.approx(getattr(b, name)[1:], abs=1e-9)


def test_levels_that_no_spin_of_the_leads_fills_are_refused():
    """Minority levels beside half-metals have no width: at kT > 0 their response is not a number."""
    lead = [Lead(side, polarization=Polarization((0, 0, 1), 9.0)) for side in ("left", "right")]
    device = Device(3, sd_exchange=0.4, fermi_energy=-4.0, temperature=0.3, leads=lead)
    m = np.array([[0.0, 0.0, 1.0]] * 3)
    with pytest.raises(ToleranceError, match="of the states within about"):
        device.spin_density(m, np.cross([0.1, 0.0, 0.0], m))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polarization((0, 0, 0), 0.5), "direction = "),
        (lambda: Polarization((0, 0, 1), -0.5), "splitting = -0.5"),
        (lambda: Lead("left", hopping=0.0), "hopping = 0.0"),
        (lambda: Lead("left", polarization=0.5), "polarization = 0.5"),
        (lambda: Lead("left", 0.0, polarization=Polarization((0, 0, 1), 0.5)), "means nothing without contact"),
        (lambda: Lead("left", 0.0, hopping=2.0), "means nothing without contact"),
        (lambda: Device(3, sd_exchange=[0.1, 0.2]), "must be a number, finite, or an array"),
        (lambda: Device(3, sd_exchange=np.nan), "sd_exchange = nan"),
        (lambda: Device(3, sd_exchange=0.1, leads=[Lead("left", voltage=9.0), Lead("right", hopping=2.0)]), "overlap"),
        (
            lambda: Device(
                3, sd_exchange=0.1, leads=[Lead("left", polarization=Polarization((0, 0, 1), 1.0))], bath=Bath([0], 0.1)
            ),
            "not available with a polarization of a lead",
        ),
        (
            lambda: steady_precession(device_of(system(1, CHAIN, **FERROMAGNETS)), np.ones((4, 3)), (0, 0, 1), 0.1),
            "steady precession",
        ),
        (lambda: device_of(system(1, CHAIN, **FERROMAGNETS)).to_kwant(np.ones((4, 3))), "to_kwant: not available"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_repr_makes_the_device_again():
    device = device_of(system(1, CHAIN, **FERROMAGNETS))
    names = {"Device": Device, "Lead": Lead, "Polarization": Polarization}
    assert repr(eval(repr(device), names)) == repr(device)
