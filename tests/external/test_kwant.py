"""Electrons against Kwant (Groth et al., New J. Phys. 16, 063065 (2014)), where it is installed.

Kwant finds scattering states and scattering matrices of the same Hamiltonian by sparse LU, from modes of the leads that
it finds by itself.  What is made of them here are formulas of scattering theory, not those of the package.
"""

from functools import cache

import numpy as np
import pytest

from llgnegf.beside import textures
from llgnegf.electrons import Device, Lead

SIGMA = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


@cache
def case(name):
    """(device, m, mdot, gates, rates): a wall in a wire, and a skyrmion on a lattice with two gates."""
    rng = np.random.default_rng(5)
    if name == "wall":
        m = textures.TEXTURES["bloch_wall"]((7,), center=3.2, width=0.9)
        leads = [Lead("left", 0.7), Lead("right", 1.1)]
        device = Device(7, sd_exchange=0.6, fermi_energy=0.3, tolerance=1e-9, leads=leads)
        return device, m, np.cross([0.2, 0.3, 1.0], m), rng.uniform(-0.2, 0.2, 7), rng.uniform(-1, 1, 7)
    shape = (9, 7)
    m = textures.TEXTURES["skyrmion"](shape, center=(4.2, 2.9), radius=2.0, wall_width=1.0, helicity=-1.2, charge=-1)
    leads = [Lead("left", 0.9), Lead("right", 0.8)]
    device = Device(shape, onsite=4.0, sd_exchange=-1.3, fermi_energy=2.13, tolerance=1e-8, leads=leads, periodic="y")
    gates, rates = np.zeros((2, *shape))
    gates[1], rates[3] = 0.5, 0.7
    return device, m, np.cross(m, rng.normal(size=m.shape)), gates, rates


CASES = ["wall", "skyrmion"]
# Energies of a Gauss-Legendre rule: a level of the skyrmion is 0.01 wide.
POINTS = {"wall": 12, "skyrmion": 40}


class Kwant:
    """Scattering states of a device in Kwant, in the order of its sites; its couplings differ from its hopping."""

    def __init__(self, kwant, device, m, gates):
        self.kwant, self.shape = kwant, device.shape
        self.system = device.to_kwant(m, gates)
        numbers = {site.tag: number for number, site in enumerate(self.system.sites)}
        self.sites = [numbers[tag] for tag in np.ndindex(self.shape)]
        rows, nx = list(np.ndindex(self.shape[1:])), self.shape[0]
        # Flow of particles and of sigma/2 over the bonds to the column of a lead.
        self.currents = [
            [
                kwant.operator.Current(
                    self.system,
                    matrix if c == 0 else matrix / 2,
                    where=[(numbers[outer, *row], numbers[inner, *row]) for row in rows],
                    sum=True,
                )
                for c, matrix in enumerate(SIGMA)
            ]
            for outer, inner in ((-1, 0), (nx, nx - 1))
        ]

    def waves(self, energy, lead):
        return self.kwant.wave_function(self.system, energy)(lead)

    def states(self, energy, lead):
        """(*shape, 4) density of all states that enter from a lead, traced with 1 and sigma."""
        psi = self.waves(energy, lead)
        psi = psi.reshape(len(psi), -1, 2)[:, self.sites]
        traced = np.einsum("kia,kib,cba->ic", psi, psi.conj(), SIGMA).real
        return traced.reshape(*self.shape, 4) / (2 * np.pi)

    def flows(self, energy, lead):
        """(2, 4) flows of particles and of sigma/2 into left and right lead, of states that enter from a lead."""
        psi = self.waves(energy, lead)
        return np.array([[sum(map(of, psi)) for of in side] for side in self.currents]) / (2 * np.pi)


@pytest.mark.parametrize("name", CASES)
def test_linear_response_to_a_bias(kwant, name):
    """Spin density, torque, particles and spin that flow: those of the states from either lead at E_F."""
    device, m, _, gates, _ = case(name)
    peer = Kwant(kwant, device, m, gates)
    found = device.bias_response(m, gates)
    for lead in (0, 1):
        states, flows = peer.states(device.fermi_energy, lead), peer.flows(device.fermi_energy, lead)
        spin = states[..., 1:]
        assert found.density[lead] == pytest.approx(states[..., 0], abs=1e-11)
        assert found.spin[lead] == pytest.approx(spin, abs=1e-11)
        assert found.torque[lead] == pytest.approx(device.sd_exchange * np.cross(spin, m), abs=1e-11)
        assert found.charge[lead] == pytest.approx(flows[:, 0], abs=1e-11)
        assert found.spin_current[lead] == pytest.approx(flows[:, 1:], abs=1e-11)
        for axis in range(3):
            assert abs(found.torque[lead][..., axis]).max() > 1e-3
            assert abs(found.spin_current[lead][:, axis]).max() > 1e-3


def window(function, low, high, n):
    """int function(E) dE by n Gauss-Legendre points."""
    x, w = np.polynomial.legendre.leggauss(n)
    values = [function(energy) for energy in (low + high) / 2 + (high - low) / 2 * x]
    return (high - low) / 2 * np.tensordot(w, np.array(values), 1)


def test_linear_response_at_a_temperature(kwant):
    """The same states with the weight -df/dE, for the wall."""
    device, m, _, gates, _ = case("wall")
    warm = device.changed(temperature=0.02)
    peer = Kwant(kwant, warm, m, gates)
    found = warm.bias_response(m, gates)
    mu, kT = warm.fermi_energy, warm.temperature
    for lead in (0, 1):

        def weighted(energy, lead=lead):
            return peer.states(energy, lead) / (4 * kT * np.cosh((energy - mu) / (2 * kT)) ** 2)

        wanted = sum(window(weighted, mu + a * kT, mu + (a + 6) * kT, 12) for a in range(-24, 24, 6))
        assert found.density[lead] == pytest.approx(wanted[..., 0], abs=1e-8)
        assert found.spin[lead] == pytest.approx(wanted[..., 1:], abs=1e-8)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["chemical_potential", "voltage"])
def test_finite_bias(kwant, name, kind):
    """At kT = 0: states from the left lead between E_F and its chemical potential, those from the right one emptied.

    Landauer's current is that of the transmission between the two chemical potentials; its spin comes from the states.
    """
    device, m, _, gates, _ = case(name)
    mu = device.fermi_energy + 0.02, device.fermi_energy - 0.015
    if kind == "chemical_potential":
        more = [{"chemical_potential": each} for each in mu]
    else:
        more = [{"voltage": each - device.fermi_energy} for each in mu]
    leads = [Lead(lead.side, lead.coupling, **given) for lead, given in zip(device.leads, more, strict=True)]
    driven = device.changed(leads=leads)
    peer = Kwant(kwant, driven, m, gates)
    points = POINTS[name]
    left, right = (
        window(lambda e, lead=lead: peer.states(e, lead), driven.fermi_energy, mu[lead], points) for lead in (0, 1)
    )
    found = driven.spin_density(m, potential=gates)
    assert found.density_bias == pytest.approx((left + right)[..., 0], abs=1e-9)
    assert found.bias == pytest.approx((left + right)[..., 1:], abs=1e-9)
    assert abs(found.bias).max() > 1e-3

    flows = window(lambda e: peer.flows(e, 0), mu[1], mu[0], points)
    charge, spin = driven.lead_currents(m, potential=gates)
    through = window(lambda e: kwant.smatrix(peer.system, e).transmission(1, 0), mu[1], mu[0], points)
    landauer = through / (2 * np.pi)
    assert charge == pytest.approx([-landauer, landauer], abs=1e-9)
    assert landauer > 1e-3
    # A pure spin flow of equilibrium is in the bonds of a non-collinear texture, but none of it reaches a lead.
    assert spin == pytest.approx(flows[:, 1:], abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_equilibrium_at_two_fermi_energies(kwant, name):
    """Their difference is that of all scattering states between them, at kT = 0; bound states drop out."""
    device, m, _, gates, _ = case(name)
    low, high = device.fermi_energy - 0.015, device.fermi_energy + 0.02
    peer = Kwant(kwant, device, m, gates)
    wanted = window(lambda e: peer.states(e, 0) + peer.states(e, 1), low, high, POINTS[name])
    low, high = (device.changed(fermi_energy=e).spin_density(m, potential=gates) for e in (low, high))
    assert high.adiabatic - low.adiabatic == pytest.approx(wanted[..., 1:], abs=1e-9)
    assert high.density_adiabatic - low.density_adiabatic == pytest.approx(wanted[..., 0], abs=1e-9)
    assert abs(wanted[..., 1:]).max() > 1e-3


def spin_of_modes(lead):
    """(4, n, n): 1 and sigma between the n outgoing modes of a lead, each of unit flow."""
    n = len(lead.velocities) // 2
    waves = lead.wave_functions[:, n:] * np.sqrt(lead.velocities[n:])
    waves = waves.reshape(-1, 2, n)
    return np.einsum("yak,cab,ybl->ckl", waves.conj(), SIGMA, waves)


@pytest.mark.parametrize("name", CASES)
def test_pumped_currents_and_friction(kwant, name):
    """Of moments and gates that move, from the time derivative of Kwant's scattering matrix at E_F, kT = 0.

    Into lead l flow -(1/2pi) Im Tr_l[dS/dt S^+] particles (Brouwer, Phys. Rev. B 58, R10135 (1998); the sign is that of
    Friedel's sum rule: less phase, fewer electrons inside) and with sigma/2 in the trace spin (Tserkovnyak et al.,
    Phys. Rev. Lett. 88, 117601 (2002)).  The motion loses the power (1/4pi) Tr[dS/dt dS^+/dt] (Avron et al., Phys. Rev.
    Lett. 87, 236601 (2001)).
    """
    device, m, mdot, gates, rates = case(name)
    energy, step = device.fermi_energy, 4e-4
    still = Kwant(kwant, device, m, gates).system.precalculate(energy)

    def scattering(time):
        system = Kwant(kwant, device, m + time * mdot, gates + time * rates).system
        system.leads = still.leads  # their modes are those of one calculation
        return kwant.smatrix(system, energy)

    S = kwant.smatrix(still, energy)
    far, near = ([scattering(sign * t).data for sign in (1, -1)] for t in (2 * step, step))
    rate = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * step)
    assert S.data @ S.data.conj().T == pytest.approx(np.eye(len(rate)), abs=1e-12)
    spin = device.spin_density(m, mdot, gates, rates)
    lost = -device.sd_exchange * (spin.surface * mdot).sum() + (spin.density_surface * rates).sum()
    assert lost == pytest.approx(np.trace(rate @ rate.conj().T).real / (4 * np.pi), rel=1e-7)

    # A chain has its flows at the first bond of each lead; a lattice has them far inside.
    shape = (*device.shape, 1)[:2]
    deep = device.changed(shape=shape) if not device.is_lattice else device
    motion = (a.reshape(*shape, *a.shape[len(device.shape) :]) for a in (m, mdot, gates, rates))
    charge, carried = deep.lead_currents(*motion)
    pumped = rate @ S.data.conj().T
    for lead in (0, 1):
        rows = S.out_block_coords(lead)
        of_modes = spin_of_modes(S.lead_info[lead])
        wanted = -np.einsum("ckl,lk->c", of_modes, pumped[rows, rows]) / (2 * np.pi)
        antihermitian = wanted.imag
        assert charge[lead] == pytest.approx(antihermitian[0], abs=1e-8)
        assert carried[lead] == pytest.approx(antihermitian[1:] / 2, abs=1e-8)
        assert abs(antihermitian).min() > 1e-4
