"""kT far above the band: the Fermi function is nearly linear on the spectrum, f = 1/2 - (E - E_F)/4kT."""

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, ToleranceError
from llgnegf.electrons.quadrature import fermi, fermi_poles
from tests.electrons.systems import largest_error, moving, parts_of, random_motion
from tests.electrons.test_lattice import moving as moving_lattice
from tests.electrons.test_lattice import parts_of as lattice_parts

HOT = (50.0, 1e3, 1e6)
LEADS = {"open": (Lead("left", 1.0), Lead("right", 0.6)), "closed": ()}


def device(shape, leads, temperature, **options):
    return Device(shape, sd_exchange=0.4, fermi_energy=0.3, temperature=temperature, leads=LEADS[leads], **options)


@pytest.mark.parametrize("tolerance", [5e-3, 5e-8, 1e-13])
@pytest.mark.parametrize("fermi_energy", [0.0, 0.3, 40.0])
@pytest.mark.parametrize("temperature", [0.3, 0.5, 0.65, 0.7, 1.0, 3.0, *HOT, 1e12])
def test_poles_hold_their_bound(temperature, fermi_energy, tolerance):
    """Across the change from one kind of poles to the other, at 8/6, and beyond."""
    rule = fermi_poles(-4.0, 4.0, fermi_energy, temperature, tolerance)
    energies = np.linspace(-4, 4, 997)
    found = rule.constant + 2 * (rule.weights / (energies[:, None] - rule.nodes)).sum(axis=1).real
    # The comparison itself is rounded to 1e-16 of the largest term of the sum; the peaks of the error lie between the
    # energies at which the bound was measured.
    rounding = 4e-16 * (1 + abs(rule.weights / (energies[:, None] - rule.nodes)).max())
    assert abs(found - fermi(energies, fermi_energy, temperature)).max() <= 1.01 * rule.bound + rounding
    assert rule.bound <= tolerance
    if temperature >= 50:
        assert len(rule.nodes) <= 3


@pytest.mark.parametrize("temperature", HOT)
def test_the_little_that_is_polarised_is_right_to_its_own_digits(temperature):
    """f - 1/2 may be below the tolerance, and yet is all that matters: the bound is relative to it."""
    rule = fermi_poles(-4.0, 4.0, 0.0, temperature, 1e-6)
    assert rule.bound <= 1e-6 / temperature
    energies = np.linspace(-4, 4, 101)
    found = 2 * (rule.weights / (energies[:, None] - rule.nodes)).sum(axis=1).real
    assert abs(found + np.tanh(energies / (2 * temperature)) / 2).max() < 1e-6 / temperature


@pytest.mark.parametrize("temperature", HOT)
@pytest.mark.parametrize("leads", LEADS)
@pytest.mark.parametrize("shape", [(1,), (6,), (60,), (3, 3), (4, 2)])
def test_moments_polarise_by_the_closed_form(rng, shape, leads, temperature):
    """s -> J_sd m/(2 kT) up to the square of the spectrum over kT, and electrons fill sites to 1 + E_F/(2kT)."""
    m = random_motion(rng, int(np.prod(shape)))[0].reshape(*shape, 3)
    found = device(shape, leads, temperature).spin_density(m)
    assert abs(found.adiabatic * 2 * temperature / 0.4 - m).max() < 5 / temperature**2 + 1e-9
    assert abs((found.density_adiabatic - 1) * 2 * temperature / 0.3 - 1).max() < 5 / temperature**2 + 1e-9


@pytest.mark.parametrize("temperature", [3.0, 50.0, 1e3])
@pytest.mark.parametrize("couplings", [(1.0, 0.6), (0.0, 1.0), (0.1, 0.0)])
def test_first_order_of_a_chain_equals_the_dense_reference(rng, couplings, temperature):
    wire = moving(rng, 4, 0.7, fermi_energy=0.3, temperature=temperature, couplings=couplings)
    parts, _ = parts_of(wire, 1e-8)
    reference = wire.parts()
    assert abs(reference["surface"]).max() > 1e-8 * temperature
    for name, error in largest_error(parts, reference).items():
        assert error < 1e-8, name


@pytest.mark.parametrize("temperature", [3.0, pytest.param(50.0, marks=pytest.mark.slow)])
def test_first_order_of_a_lattice_equals_the_dense_reference(rng, temperature):
    lattice = moving_lattice(rng, 2, 2, couplings=(1.0, 0.6), fermi_energy=0.3, temperature=temperature)
    parts, reference = lattice_parts(lattice, 1e-8), lattice.parts()
    assert abs(reference["surface"]).max() > 1e-4
    for name, error in largest_error(parts, reference).items():
        assert error < 1e-8, name


@pytest.mark.parametrize("temperature", HOT)
def test_first_order_of_closed_wires_equals_their_levels(rng, temperature):
    wire = moving(rng, 4, 0.7, fermi_energy=0.3, temperature=temperature, couplings=(0.0, 0.0))
    parts, _ = parts_of(wire, 1e-8)
    adiabatic, first = wire.closed_parts()
    assert abs(parts["adiabatic"] - adiabatic).max() < 1e-13
    # The response, 1/kT, is right to its own digits.
    assert abs(first).max() * temperature > 1e-3
    assert abs(parts["sea"] + parts["surface"] - first).max() < 1e-8 / temperature


@pytest.mark.parametrize("temperature", [0.3, 0.01])
@pytest.mark.parametrize(("fermi_energy", "filling"), [(40.0, 2.0), (-40.0, 0.0)])
@pytest.mark.parametrize("leads", LEADS)
@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_full_and_empty_bands_do_nothing(rng, shape, leads, fermi_energy, filling, temperature):
    """f is constant on the spectrum, so that there are no poles to sum over."""
    m, mdot = (v.reshape(*shape, 3) for v in random_motion(rng, int(np.prod(shape))))
    wire = device(shape, leads, temperature).changed(fermi_energy=fermi_energy)
    found = wire.spin_density(m, mdot)
    np.testing.assert_allclose(found.total, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.density, filling, atol=1e-12)
    assert wire.freeze(m).grand_potential == pytest.approx(0, abs=1e-12)
    currents = wire.currents(m, mdot)
    for origin in currents.origins:
        np.testing.assert_allclose(currents.spin[origin], 0.0, atol=1e-12)


def test_no_advice_to_heat_what_is_hot():
    """The one refusal left is that of too low a temperature, and a higher one does help."""
    with pytest.raises(ToleranceError, match="a higher temperature"):
        fermi_poles(-4.0, 4.0, 0.0, 1e-9, 1e-12)
    for temperature in (1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e6, 1e9):
        assert fermi_poles(-4.0, 4.0, 0.0, temperature, 1e-12).bound <= 1e-12
