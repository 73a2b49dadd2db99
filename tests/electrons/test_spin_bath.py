"""A bath beside bonds that turn spins and leads of another hopping: dense matrices, balances."""

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, SpinOrbit
from tests.oracles.biased_dense import Reservoir
from tests.oracles.wide_dense import Bonded

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
RASHBA, DRESSELHAUS = 0.5, -0.3
ALONG_X = -np.eye(2) + 1j * (RASHBA * SIGMA[1] - DRESSELHAUS * SIGMA[0])
ALONG_Y = -np.eye(2) + 1j * (DRESSELHAUS * SIGMA[1] - RASHBA * SIGMA[0])


def both(shape, where, probe, kT=0.0, mus=(0.3, -0.2), tolerance=1e-8, moving=True, seed=2):
    rng = np.random.default_rng(seed)
    plane = (*shape, 1)[:2]
    m = rng.normal(size=(*plane, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    mdot = moving * 0.5 * np.cross(m, rng.normal(size=m.shape))
    V, rate = 0.3 * rng.normal(size=(2, *plane))
    motion = m, mdot, V, moving * rate
    left, right = (Reservoir(c, 0.0, mu, kT) for c, mu in zip((0.8, 1.1), mus, strict=True))
    oracle = Bonded(
        *motion, 0.7, left, right, Reservoir(mu=0.1, kT=kT), where=where, width=0.4, zero_current=probe,
        along_x=ALONG_X, along_y=ALONG_Y,
    )  # fmt: skip
    leads = [
        Lead(side, c, chemical_potential=mu) for side, c, mu in zip(("left", "right"), (0.8, 1.1), mus, strict=True)
    ]
    sites = [[int(c) for c in np.unravel_index(site, shape)] for site in where]
    device = Device(
        shape, sd_exchange=0.7, fermi_energy=0.1, temperature=kT, tolerance=tolerance, leads=leads,
        bath=Bath(sites, 0.4, probe), spin_orbit=SpinOrbit(RASHBA, DRESSELHAUS),
    )  # fmt: skip
    return oracle, device, tuple(x.reshape(*shape, *x.shape[2:]) for x in motion)


@pytest.mark.parametrize(
    ("shape", "where", "probe", "kT"),
    [
        ((4,), (0, 2), True, 0.0),
        ((3,), (1, 2), False, 0.02),
        pytest.param((2, 2), (0, 3), True, 0.0, marks=pytest.mark.slow),
    ],
)
def test_dense_matrices_give_the_same_at_rest(shape, where, probe, kT):
    oracle, device, (m, _, V, _) = both(shape, where, probe, kT, moving=False)
    frozen, plane = device.freeze(m, V), (*oracle.shape, 4)
    assert frozen.adiabatic.reshape(plane) == pytest.approx(oracle.traced(oracle.equilibrium()), abs=1e-8)
    density, charge, spin, _, into_bath, spin_into_bath = oracle.driven()
    assert (frozen.at_rest - frozen.adiabatic).reshape(plane) == pytest.approx(density, abs=1e-8)
    still = np.zeros_like(m), np.zeros_like(V)
    found = frozen.lead_currents(*still)
    assert found[0] == pytest.approx(charge, abs=1e-8)
    assert found[1] == pytest.approx(spin, abs=1e-8)
    found = frozen.bath_currents(*still)
    assert found[0] == pytest.approx(into_bath, abs=1e-8)
    assert found[1] == pytest.approx(spin_into_bath, abs=1e-8)
    assert device.transmission(0.4, m, V).sum() == pytest.approx(oracle.transmission(0.4), abs=1e-10)


@pytest.mark.parametrize(
    ("shape", "where", "probe"), [((4,), (0, 2), False), ((2, 2), (0, 3), False), ((4,), (1, 3), True)]
)
def test_dense_matrices_give_the_same_to_first_order(shape, where, probe):
    oracle, device, motion = both(shape, where, probe, mus=(0.1, 0.1))
    found, expected, plane = device.spin_density(*motion), oracle.parts(), (*oracle.shape, 4)
    surface = expected["surface"] + oracle.pumped()[0]
    assert found.sea.reshape((*plane[:2], 3)) == pytest.approx(expected["sea"][..., 1:], abs=1e-7)
    assert found.surface.reshape((*plane[:2], 3)) == pytest.approx(surface[..., 1:], abs=1e-7)


@pytest.mark.parametrize("probe", [False, True])
def test_spin_balances(probe):
    _, device, motion = both((4,), (0, 2), probe, mus=(0.1, 0.1))
    assert abs(device.spin_balance(*motion)).max() < 1e-8
    assert abs(device.currents(*motion).torque_spin_orbit["surface"]).max() > 1e-2
    wider = device.changed(leads=[Lead("left", 0.8, hopping=1.6), Lead("right", hopping=0.7)])
    assert abs(wider.spin_balance(*motion)).max() < 1e-8


def test_a_lead_of_another_hopping_is_no_other_beside_a_bath():
    """Of a bath that is hardly there, the device without."""
    m = np.roll(np.eye(3), 1, axis=0)
    leads = [Lead("left", 0.8, hopping=1.6), Lead("right", hopping=0.7)]
    plain = Device(3, sd_exchange=0.7, fermi_energy=0.1, tolerance=1e-8, leads=leads)
    bathed = plain.changed(bath=Bath([1], 1e-8, zero_current=False))
    a, b = (one.spin_density(m, 0.1 * np.roll(m, 1, axis=1)) for one in (plain, bathed))
    assert a.adiabatic == pytest.approx(b.adiabatic, abs=1e-6)
    assert a.first_order == pytest.approx(b.first_order, abs=1e-6)


def test_transmission_tells_spins_along_z_on_either_side():
    """Of a bath that is hardly there, and of a wide-band lead, beside the device without and with a wide chain lead."""
    m = np.roll(np.eye(3), 1, axis=0)
    plain = Device(3, sd_exchange=0.7, fermi_energy=0.1, tolerance=1e-8, spin_orbit=SpinOrbit(RASHBA, DRESSELHAUS))
    expected = plain.transmission(0.3, m)
    assert abs(expected[0] - expected[1]).max() > 0.05
    bathed = plain.changed(bath=Bath([1], 1e-8, zero_current=False))
    assert bathed.transmission(0.3, m) == pytest.approx(expected, abs=1e-7)
    wide = plain.changed(leads=[Lead("left"), Lead("right", width=0.8)])
    chain = plain.changed(leads=[Lead("left"), Lead("right", np.sqrt(0.4e6), hopping=1e6)])
    assert wide.transmission(0.3, m) == pytest.approx(chain.transmission(0.3, m), abs=1e-6)
