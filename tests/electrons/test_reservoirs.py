"""The memory of a lead as a user asks for it: against the integrals over energy that define it."""

import numpy as np
import pytest
from scipy.integrate import quad

from llgnegf.electrons import Lead, ToleranceError
from llgnegf.electrons.modes import transverse_modes

HOPPING, ONSITE, E_F = 1.2, 0.3, 0.4


def integrals(energy, coupling, temperature, tau):
    """g and n of a chain whose band is centred at `energy`, by adaptive quadrature."""

    def integral(weight, wave):
        def integrand(angle):  # E = energy + 2t sin(angle): no root at the band edges
            E = energy + 2 * HOPPING * np.sin(angle)
            gamma = (coupling / HOPPING) ** 2 * 2 * HOPPING * np.cos(angle)
            return weight(E) * gamma * wave(E * tau) / (2 * np.pi) * 2 * HOPPING * np.cos(angle)

        inside = (E_F - energy) / (2 * HOPPING)
        points = [np.arcsin(inside)] if abs(inside) < 1 else None
        return quad(integrand, -np.pi / 2, np.pi / 2, limit=500, epsabs=1e-11, points=points)[0]

    def fermi(E):
        return 1 / (1 + np.exp((E - E_F) / temperature))

    def sine(x):
        return -np.sin(x)

    return [integral(weight, np.cos) + 1j * integral(weight, sine) for weight in (lambda E: 1.0, fermi)]


@pytest.mark.parametrize("tau", [0.0, 0.5, 3.0, 17.0])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_memory_of_a_lead_is_the_integral_over_its_band(tau, temperature):
    lead = Lead("left", 0.7).memory(
        1e-6, width=3, hopping=HOPPING, onsite=ONSITE, fermi_energy=E_F, temperature=temperature
    )
    energies = transverse_modes(3, HOPPING, ONSITE, False).energies
    g, n = lead.memory(tau), lead.filled_memory(tau)
    for k, energy in enumerate(energies):
        exact_g, exact_n = integrals(energy, 0.7, temperature, tau)
        assert abs(g[k] - exact_g) <= 0.49 * 1e-6 * (1 + tau) ** 0.75
        assert abs(n[k] - exact_n) <= 0.49 * 2e-6 * (1 + tau) ** 0.75


def test_a_mode_far_above_the_fermi_energy_is_empty_and_one_far_below_full():
    lead = Lead("right", 1.0).memory(1e-6, fermi_energy=-30.0, temperature=0.1)
    assert abs(lead.filled_memory([0.0, 1.0, 5.0])).max() <= 1e-6
    lead = Lead("right", 1.0).memory(1e-6, fermi_energy=30.0, temperature=0.1)
    tau = np.array([0.0, 1.0, 5.0])
    assert abs(lead.filled_memory(tau) - lead.memory(tau)).max() <= 1e-6


def test_an_impossible_tolerance_is_told():
    with pytest.raises(ToleranceError, match=r"electrons\.tolerance"):
        Lead("left").memory(1e-13, temperature=0.1)
