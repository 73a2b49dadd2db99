"""Formulas that fit on a line: one moment between two leads, static and moving."""

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, chain_self_energy
from tests.electrons.systems import AXES, still, wall
from tests.oracles.electrons_dense import chain_end, decimated_chain_end


def components(vector, m, mdot):
    """Damping-like (along m x mdot) and field-like (along mdot) parts, in units of |mdot|."""
    damping = np.cross(m, mdot)
    return vector @ damping / (damping @ damping), vector @ mdot / (mdot @ mdot)


@pytest.mark.parametrize("direction", AXES)
@pytest.mark.parametrize(
    ("exchange", "couplings", "fermi_energy"),
    [(0.1, (1.0, 1.0), 0.0), (1.3, (0.4, 0.9), 0.7), (-0.8, (1.0, 0.3), -1.2), (20.0, (1.0, 1.0), 0.4)],
)
def test_torque_of_one_moment_follows_from_the_two_phase_shifts(direction, exchange, couplings, fermi_energy):
    mdot = np.array(AXES[direction])
    m = np.cross(mdot, (0.3, 0.5, -0.8))
    m /= np.linalg.norm(m)
    device = Device(
        1,
        sd_exchange=exchange,
        fermi_energy=fermi_energy,
        tolerance=1e-10,
        leads=[Lead("left", couplings[0]), Lead("right", couplings[1])],
    )
    sigma = sum(g**2 for g in couplings) * chain_end(fermi_energy)
    D = np.angle(fermi_energy - exchange - sigma) - np.angle(fermi_energy + exchange - sigma)

    def torque(spin):
        return components(exchange * np.cross(spin[0], m), m, mdot)

    expected = (1 - np.cos(2 * D)) / (4 * np.pi), (2 * D - np.sin(2 * D)) / (4 * np.pi)
    result = device.spin_density(m[None], mdot[None])
    assert torque(result.nonadiabatic) == pytest.approx(expected, abs=1e-8)
    assert torque(result.nonadiabatic)[0] <= 1 / (2 * np.pi)

    axis = np.cross(m, mdot)  # m turns about this axis with mdot = axis x m
    split = device.freeze(m[None]).precession(axis, 1.0)
    assert torque(split.geometric + split.sea) == pytest.approx((0, D / (2 * np.pi)), abs=1e-8)
    damping = (1 - np.cos(2 * D)) / (4 * np.pi), -np.sin(2 * D) / (4 * np.pi)
    assert torque(split.surface) == pytest.approx(damping, abs=1e-8)


@pytest.mark.parametrize("exchange", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("fermi_energy", [0.0, 0.5])
def test_geometric_torque_between_chain_leads_of_the_same_hopping(exchange, fermi_energy):
    theta = 0.7
    m = np.array([[np.sin(theta), 0, np.cos(theta)]])
    device = Device(1, sd_exchange=exchange, fermi_energy=fermi_energy, tolerance=1e-10)
    split = device.freeze(m).precession(np.array([0, 0, 1.0]), 1.0)
    torque = exchange * np.cross(split.geometric, m)[0]
    assert torque[1] / np.sin(theta) == pytest.approx(exchange / (2 * np.sqrt(exchange**2 + 4)), abs=1e-8)
    assert abs(torque[[0, 2]]).max() < 1e-10


def test_lead_term_is_36_percent_of_the_geometric_one_at_weak_exchange():
    m = np.array([[np.sin(0.7), 0, np.cos(0.7)]])
    split = Device(1, sd_exchange=0.1, tolerance=1e-10).freeze(m).precession(np.array([0, 0, 1.0]), 1.0)
    torques = [np.cross(part, m)[0, 1] for part in (split.sea, split.geometric)]
    assert abs(torques[0] / torques[1]) == pytest.approx(0.36, abs=0.01)


# --- leads --------------------------------------------------------------------------------------


def test_lead_self_energy_equals_decimation_and_the_quadratic_equation(rng):
    energies = rng.uniform(-4, 4, 40) + 1j * 10.0 ** rng.uniform(-3, 1, 40)
    for e in energies:
        sigma = chain_self_energy(e, 1.3, 0.7, 0.2)[0]
        assert abs(sigma - 0.49 * decimated_chain_end(e - 0.2, 1.3)) < 1e-12
        assert abs(sigma - 0.49 * chain_end(e - 0.2, 1.3)) < 1e-12


def test_lead_self_energy_is_retarded_on_and_above_the_real_axis():
    real = np.linspace(-5, 5, 401)
    for height in (0.0, 1e-12, 1e-3, 1.0):
        sigma, _ = chain_self_energy(real + 1j * height, 1.0, 0.8)
        assert (sigma.imag <= 1e-15).all()
        assert (abs(sigma) <= 0.64 * (1 + 1e-12)).all()
    on_axis = chain_self_energy(real, 1.0, 0.8)[0]
    above = chain_self_energy(real + 1e-13j, 1.0, 0.8)[0]
    assert abs(on_axis - above).max() < 1e-6
    assert (on_axis.imag[abs(real) < 2] < 0).all()


def test_derivative_of_the_lead_self_energy_equals_a_difference(rng):
    energies = rng.uniform(-4, 4, 30) + 1j * rng.uniform(0.1, 2, 30)
    h = 1e-3
    ahead, behind, ahead2, behind2 = (chain_self_energy(energies + s * h, 1.1, 0.7)[0] for s in (1, -1, 2, -2))
    difference = (8 * (ahead - behind) - (ahead2 - behind2)) / (12 * h)
    assert abs(chain_self_energy(energies, 1.1, 0.7)[1] - difference).max() < 1e-8


def test_band_edges_are_finite():
    sigma, derivative = chain_self_energy(np.array([-2.0, 2.0]), 1.0, 0.5)
    assert sigma == pytest.approx([-0.25, 0.25])
    assert derivative == pytest.approx([0, 0])


# --- real energies ------------------------------------------------------------------------------


@pytest.mark.parametrize("energy", [-1.7, 0.0, 0.6])
def test_bare_wire_transmits_one_per_spin(energy):
    device = Device(9, sd_exchange=0.3)
    assert device.transmission(energy, np.zeros((9, 3))) == pytest.approx(np.eye(2), abs=1e-12)
    polarised = device.transmission(energy, np.tile((0, 0, 1.0), (9, 1)))
    assert abs(polarised - np.diag(np.diag(polarised))).max() < 1e-14
    assert (np.diag(polarised) < 1).all()


@pytest.mark.parametrize("energy", [-1.1, 0.3])
def test_transmission_and_density_of_states_equal_dense_matrices(rng, energy):
    m = rng.normal(size=(5, 3))
    wire = still(m, 0.5, couplings=(0.4, 1.0))
    G, gammas, _ = wire.green(energy)
    block = G[0][-2:, :2] * np.sqrt(gammas[1][0][-1, -1].real * gammas[0][0][0, 0].real)
    device = Device(5, sd_exchange=0.5, leads=[Lead("left", 0.4), Lead("right", 1.0)])
    assert abs(device.transmission(energy, m) - abs(block) ** 2).max() < 1e-13
    from tests.oracles.electrons_dense import hermitian_imaginary, traced

    assert abs(device.density_of_states(energy, m) + traced(hermitian_imaginary(G[0])) / np.pi).max() < 1e-13


def test_transmission_below_the_band_is_zero():
    assert not Device(3, sd_exchange=0.3).transmission(-2.5, wall(3)).any()
