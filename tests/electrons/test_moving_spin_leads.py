"""Voltages that change, of leads and between bonds that know the spin: a dense calculation, gauges, conservation."""

from dataclasses import replace

import numpy as np
import pytest

from llgnegf.electrons import Lead, lead_columns
from tests.electrons.spin_systems import FERROMAGNETS, ORBIT, device_of, motion, row, system

HOPPING = {"hop_x": (0.3, 0.1 + 0.2j, -0.25)}
CASES = [
    ((3, 1), ORBIT),
    ((3, 1), HOPPING | FERROMAGNETS),
    ((2, 2), ORBIT | FERROMAGNETS),
    ((2, 2), HOPPING | {"hop_y": (0.1j, -0.3, 0.2 + 0.1j)}),
    ((2, 2), {"vacancies": ((1, 1),)}),
]


def dense(oracle, k):
    """Sea and surface on the device for a unit rate of the voltage of lead k, as the file of the package has them."""

    def slopes(z):
        G, gammas, d = oracle.green(z)
        return G, -G @ (np.eye(oracle.size) - d[0] - d[1]) @ G, -d[k], gammas

    def sea(z):
        G, dG, D, _ = slopes(z)
        return 0.5j * (dG @ D @ G - G @ D @ dG)

    def surface(energies):
        G, dG, D, gammas = slopes(energies)
        moved = [G @ D @ G + (dG if side == k else 0) for side in (0, 1)]
        X = sum(one @ gamma for one, gamma in zip(moved, gammas, strict=True)) @ np.conj(np.swapaxes(G, 1, 2))
        return (X - np.conj(np.swapaxes(X, 1, 2))) / 2j

    both = oracle.fermi_sea(sea), oracle.fermi_surface(surface) / (2 * np.pi)
    return [row(oracle, oracle.on_sites(one)) for one in both]


@pytest.mark.parametrize("kT", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("shape", "given"), CASES)
def test_dense_matrices_give_the_same(shape, given, kT):
    oracle = system(3, shape, temperature=kT, **given)
    m, _, potential, _ = motion(oracle)
    found = device_of(oracle, 1e-8).moving_leads(m, potential)
    for k in (0, 1):
        one = found.response(np.eye(2)[k])
        sea, surface = dense(oracle, k)
        assert one.sea == pytest.approx(sea, abs=1e-8)
        assert one.surface == pytest.approx(surface, abs=2e-7 if kT else 1e-9)  # by the oracle, at edges of bands


@pytest.mark.parametrize("kT", [0.0, 0.1])
@pytest.mark.parametrize(("shape", "given"), CASES)
def test_the_same_shift_of_leads_and_sites_changes_nothing(shape, given, kT):
    oracle = system(4, shape, temperature=kT, **given)
    m, _, potential, _ = motion(oracle)
    device = device_of(oracle, 1e-8)
    leads = [replace(one, chemical_potential=mu) for one, mu in zip(device.leads, (0.5, 0.2), strict=True)]
    device = device.changed(leads=leads) if kT == 0 else device
    both = device.moving_leads(m, potential).response([1, 1])
    sites = device.spin_density(m, None, potential, np.ones(potential.shape))
    assert both.density[..., 1:] == pytest.approx(-sites.first_order, abs=1e-7)
    charge, spin = device.lead_currents(m, None, potential, np.ones(potential.shape))
    still, at_rest = device.lead_currents(m, None, potential)
    if shape[1] == 1 and given is ORBIT:  # the flow of others is that deep in the leads
        assert both.into_leads[:, 0] == pytest.approx(still - charge, abs=1e-7)
        assert both.into_leads[:, 1:] / 2 == pytest.approx(at_rest - spin, abs=1e-7)


@pytest.mark.parametrize(("shape", "given"), CASES)
def test_what_flows_into_the_leads_leaves_the_device(shape, given):
    oracle, h = system(5, shape, **given), 1e-3
    m, _, potential, _ = motion(oracle)
    device = device_of(oracle, 1e-9)
    for k in (0, 1):
        electrons = [
            device.at_voltages(s * h * np.eye(2)[k]).freeze(m, potential).at_rest[..., 0].sum() for s in (2, 1, -1, -2)
        ]
        rate = (8 * (electrons[1] - electrons[2]) - (electrons[0] - electrons[3])) / (12 * h)
        flow = device.moving_leads(m, potential).response(np.eye(2)[k]).into_leads
        assert flow[:, 0].sum() == pytest.approx(-rate, abs=1e-6)
        assert abs(rate) > 1e-3


def test_next_to_levels_of_parts_the_whole_matrix_is_solved(monkeypatch):
    oracle = system(6, (3, 1), **HOPPING)
    m, _, potential, _ = motion(oracle)
    expected = device_of(oracle).moving_leads(m, potential).response([0.3, 1])
    monkeypatch.setattr(lead_columns, "_LARGEST_GROWTH", 0.0)
    found = device_of(oracle).moving_leads(m, potential).response([0.3, 1])
    assert found.density == pytest.approx(expected.density, abs=1e-11)


def test_refused_between_a_wide_band_lead_and_another():
    device = device_of(system(3, (3, 1)), leads=[Lead("left", width=0.3), Lead("right")])
    with pytest.raises(ValueError, match=r"moving_leads: .*width=0\.3.*beside a lead with a band"):
        device.moving_leads(np.eye(3))
