"""Wide-band leads, whose width does not depend on the energy, beside closed forms, dense matrices and chain leads."""

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, Polarization, SpinOrbit
from tests.oracles.biased_dense import Reservoir
from tests.oracles.wide_dense import WideBand

AXES = np.eye(3)
ALONG_Z = Polarization((0, 0, 1), 1.0)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(("gamma", "J"), [(0.5, 0.8), (1.3, -0.4)])
def test_torque_of_one_moment(gamma, J, axis):
    """Field-like (w/2pi)(pi - 2 atan(G/J)) + (w/pi) G J (J^2 - G^2)/(...)^2, damping-like 2w/pi (GJ)^2/(...)^2."""
    w, theta = 0.03, 0.7
    leads = [Lead("left", width=1.2 * gamma), Lead("right", width=0.8 * gamma)]  # Sigma = -i gamma
    device = Device(1, sd_exchange=J, tolerance=1e-9, leads=leads)
    a, b = AXES[axis], AXES[axis - 2]
    m = (np.cos(theta) * a + np.sin(theta) * b)[None]
    velocity = w * np.cross(a, m)
    torque = J * np.cross(device.spin_density(m, velocity).nonadiabatic, m)[0]
    along = velocity[0] / np.linalg.norm(velocity)
    geometric = np.sign(J) * np.pi - 2 * np.arctan(gamma / J) if J < 0 else np.pi - 2 * np.arctan(gamma / J)
    square = (gamma**2 + J**2) ** 2
    field = w / (2 * np.pi) * geometric + w / np.pi * gamma * J * (J * J - gamma * gamma) / square
    damping = 2 * w / np.pi * (gamma * J) ** 2 / square
    assert torque @ along == pytest.approx(field * np.sin(theta), abs=1e-12)
    assert torque @ np.cross(m[0], along) == pytest.approx(damping * np.sin(theta), abs=1e-12)
    assert abs(torque @ m[0]) < 1e-15


# n, J_sd, widths (0: a chain lead of this coupling), couplings, kT, chemical potentials
CASES = [
    (1, 0.6, (0.5, 0.9), (0.0, 0.0), 0.0, (0.2, -0.3)),
    pytest.param((1, 0.6, (0.5, 0.0), (0.0, 0.8), 0.05, (0.2, -0.3)), marks=pytest.mark.slow),
    (3, 0.8, (0.7, 0.0), (0.0, 1.0), 0.0, (0.2, -0.3)),
    (3, 0.8, (0.0, 1.4), (0.8, 0.0), 0.0, (2.3, 0.1)),  # beyond the band of the left lead, E = 2
    (2, 0.0, (0.7, 0.4), (0.0, 0.0), 0.0, (0.2, 0.0)),
    pytest.param((3, 0.8, (0.7, 0.4), (0.0, 0.0), 0.05, (0.2, 0.0)), marks=pytest.mark.slow),
    (2, 0.8, (0.7, 0.0), (0.0, 0.0), 0.0, (0.2, 0.0)),  # closed on the right
]


def both(case, moving=True, tolerance=1e-9):
    n, J, widths, couplings, kT, mus = case
    rng = np.random.default_rng(1)
    m = rng.normal(size=(n, 1, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    mdot = moving * 0.5 * np.cross(m, rng.normal(size=m.shape))
    V, rate = 0.3 * rng.normal(size=(2, n, 1))
    left, right = (Reservoir(c, 0.0, mu, kT) for c, mu in zip(couplings, mus, strict=True))
    where = m, mdot, V, moving * rate
    oracle = WideBand(*where, J, left, right, Reservoir(mu=0.1, kT=kT), widths=widths)
    leads = [
        Lead(side, width=w, chemical_potential=mu) if w else Lead(side, c, chemical_potential=mu)
        for side, w, c, mu in zip(("left", "right"), widths, couplings, mus, strict=True)
        if w or c
    ]
    device = Device(n, sd_exchange=J, fermi_energy=0.1, temperature=kT, tolerance=tolerance, leads=leads)
    return oracle, device, tuple(x[:, 0] for x in where)


@pytest.mark.parametrize("case", CASES)
def test_dense_matrices_give_the_same(case):
    oracle, device, motion = both(case)
    found, expected = device.spin_density(*motion), oracle.parts()
    for name, value in expected.items():
        if name in ("bias", "bias_motion"):
            assert getattr(found, name) == pytest.approx(value[:, 0, 1:], abs=2e-8)
        else:
            assert getattr(found, name) == pytest.approx(value[:, 0, 1:], abs=2e-8)
            assert getattr(found, f"density_{name}") == pytest.approx(value[:, 0, 0], abs=2e-8)
    density = (expected["bias"] + expected["bias_motion"])[:, 0, 0]
    assert found.density_bias == pytest.approx(density, abs=2e-8)
    m, _, V, _ = motion
    charge, spin, energy = oracle.into_leads()
    at_rest = device.lead_currents(m, None, V)
    assert at_rest[0] == pytest.approx(charge, abs=1e-8)
    assert at_rest[1] == pytest.approx(spin, abs=1e-8)
    assert device.freeze(m, V).energy_currents == pytest.approx(energy, abs=1e-8)
    G, _, (left, right), _ = oracle.everything(0.4)
    expected = np.einsum("kab,kbc,kcd,kad->", right, G, left, G.conj()).real
    assert device.transmission(0.4, m, V).sum() == pytest.approx(expected, abs=1e-12)


def test_spin_balances_and_flows_end_in_the_leads():
    """With one wide-band lead, and spin-orbit coupling on the bonds."""
    case = (3, 0.8, (0.7, 0.0), (0.0, 0.9), 0.0, (0.1, 0.1))
    _, device, motion = both(case)
    turning = device.changed(spin_orbit=SpinOrbit(0.3, -0.2))
    for one in (device, turning, turning.changed(temperature=0.2, tolerance=1e-7)):
        assert abs(one.spin_balance(*motion)).max() < one.tolerance
        flows = one.currents(*motion)
        found, expected = flows.into_leads(), one.lead_currents(*motion)
        # In equilibrium spin flows into a chain lead of moments that are not parallel, none into a wide-band lead.
        assert found[0] == pytest.approx(expected[0], abs=one.tolerance)
        assert flows.into_leads("sea", "surface")[1] == pytest.approx(expected[1], abs=one.tolerance)


def test_a_lead_of_a_very_wide_band_is_one():
    """A chain lead of hopping t has the width 2 coupling^2/t in the middle of its band, up to (E/2t)^2."""
    t, width = 2e3, 0.8
    wide = [Lead("left", width=width), Lead("right")]
    band = [Lead("left", np.sqrt(width * t / 2), hopping=t), Lead("right")]
    _, device, motion = both((3, 0.8, (0.7, 0.0), (0.0, 1.0), 0.0, (0.1, 0.1)), tolerance=1e-5)
    a, b = (device.changed(leads=leads).spin_density(*motion) for leads in (wide, band))
    assert a.adiabatic == pytest.approx(b.adiabatic, abs=1e-3)
    assert a.first_order == pytest.approx(b.first_order, abs=1e-3)


def test_torque_is_the_derivative_of_the_grand_potential():
    for kT in (0.0, 0.1):
        _, device, (m, _, V, _) = both((2, 0.8, (0.7, 0.0), (0.0, 0.9), kT, (0.1, 0.1)), tolerance=1e-10)
        spin, h = device.spin_density(m, None, V).adiabatic, 1e-3
        for site, axis in np.ndindex(2, 3):
            step = np.zeros((2, 3))
            step[site, axis] = h
            ahead, back = (device.freeze(m + s * step, V).grand_potential for s in (1, -1))
            assert (ahead - back) / (2 * h) == pytest.approx(-0.8 * spin[site, axis], abs=1e-6)


def test_a_bath_beside_wide_leads():
    """Widths on one site add up: a reservoir on the end site is a lead there."""
    m = np.eye(3)[:2]
    for leads, bath in (
        ([Lead("left", width=0.7)], None),
        ([Lead("left", width=0.3)], Bath([0], 0.4, zero_current=False)),
        ([], Bath([0], 0.7, zero_current=False)),
    ):
        device = Device(2, sd_exchange=0.5, fermi_energy=0.2, tolerance=1e-9, leads=leads, bath=bath)
        found = device.spin_density(m, 0.1 * np.roll(m, 1, axis=1))
        if not bath:
            expected = found
        assert found.adiabatic == pytest.approx(expected.adiabatic, abs=1e-9)
        assert found.first_order == pytest.approx(expected.first_order, abs=1e-9)


@pytest.mark.parametrize("kT", [0.0, 0.1])
def test_tensors_are_the_response_to_a_motion(kT):
    rng = np.random.default_rng(8)
    m = rng.normal(size=(3, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    leads = [Lead("left", width=0.7), Lead("right", 0.6)]
    device = Device(3, sd_exchange=0.8, leads=leads, temperature=kT, fermi_energy=0.2, tolerance=1e-8)
    mdot = np.cross(m, rng.normal(size=(3, 3)))
    found, spin = device.linear_response(m).tensors, device.spin_density(m, mdot)
    for name in ("sea", "surface"):
        expected = -0.8 * getattr(spin, name)
        np.testing.assert_allclose(np.einsum("ijab,jb->ia", getattr(found, name), mdot), expected, atol=1e-7)
        assert abs(expected).max() > 1e-2


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Lead("left", width=0.0), "width = 0.0"),
        (lambda: Lead("left", width=np.nan), "width = nan"),
        (lambda: Lead("left", 0.5, width=1.0), "coupling = 0.5"),
        (lambda: Lead("left", width=1.0, hopping=2.0), "hopping = 2.0"),
        (lambda: Device(2, sd_exchange=0.1, leads=[Lead("left", width=1e-12)]), "at least"),
        (
            lambda: wide().changed(leads=[Lead("left", width=1.0), Lead("right", polarization=ALONG_Z)]),
            "beside a polarization",
        ),
        (
            lambda: wide().changed(leads=[Lead("left", width=1.0), Lead("right")]).moving_leads(np.eye(3)[:2]),
            "moving_leads.*beside a lead with a band",
        ),
        (
            lambda: wide().changed(bath=Bath([1], 0.2, zero_current=False)).moving_leads(np.eye(3)[:2]),
            "moving_leads.*beside a bath",
        ),
        (lambda: wide().moving_leads(np.eye(3)[:2], energy=True), "moving_leads with energy=True"),
        (lambda: wide().spin_noise(np.eye(3)[:2]), "spin_noise"),
        (lambda: wide().lead_energies(np.eye(3)[:2], np.eye(3)[1:]), "lead_energies"),
        (lambda: wide().spin_density(np.eye(3)[:2], np.cross(AXES[2], np.eye(3)[:2]), split="precession"), "steady"),
    ],
)  # fmt: skip
def test_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def wide():
    return Device(2, sd_exchange=0.5, leads=[Lead("left", width=1.0)])
