"""Energy that moments and gates carry into leads: conservation by finite differences at rest, and dense matrices."""

from dataclasses import replace

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, long_wires
from tests.electrons.systems import wall
from tests.electrons.test_bias import both, moments
from tests.electrons.test_outside_levels import EXCHANGE, MDOT, WARM, LongChain, M, fermi, filled
from tests.oracles.biased_dense import dagger

# shape, J, couplings, kT, chemical potentials, temperatures, voltages: as in `test_bias.py`
CHAINS = [
    ((2,), 0.6, (0.9, 1.0), 0.0, (0.03, 0.03), None, (0.0, 0.0)),
    ((2,), 0.6, (0.9, 1.0), 0.05, (0.03, 0.03), None, (0.0, 0.0)),
    ((3,), 0.7, (0.9, 0.4), 0.0, (0.3, -0.2), None, (0.3, -0.2)),
    ((2,), 0.5, (0.9, 1.0), 0.1, (0.25, -0.1), None, (0.25, -0.1)),
    ((2,), 0.3, (0.9, 0.4), 0.02, (0.25, 0.03), (0.02, 0.1), (0.0, 0.1)),
]


def stored_energy(oracle):
    """Energy of the device and of its bonds to the leads, at rest."""
    rho = oracle.equilibrium(oracle.green) + oracle.bias()

    def bonds(z):
        left, right = oracle.sigmas(z)
        return (left + right) @ oracle.green(z)

    def window(energy):
        G, _, gammas, _ = oracle.everything(energy)
        sigma = sum(oracle.sigmas(energy))
        S = sum(
            (lead.f(energy) - oracle.reference.f(energy))[:, None, None] * g
            for lead, g in zip(oracle.leads, gammas, strict=True)
        )
        return np.real(np.trace(G @ S + G @ S @ dagger(G) @ dagger(sigma), axis1=1, axis2=2))

    of_bonds = 2 * np.trace(oracle.equilibrium(bonds)).real + oracle.over(window) / np.pi
    return np.trace(rho @ oracle.H).real + of_bonds, rho


@pytest.mark.parametrize("case", CHAINS, ids=str)
def test_energy_is_conserved(case):
    """What moves does work: on device and bonds, whose energy is a difference at rest, and on the leads."""
    oracle, device = both(case, 2)
    m, mdot = oracle.m.reshape(*device.shape, 3), oracle.mdot.reshape(*device.shape, 3)
    V, rate, h = oracle.potential.ravel(), oracle.potential_rate.ravel(), 0.02

    def at(s):
        moved = replace(oracle, m=oracle.m + s * oracle.mdot, potential=oracle.potential + s * oracle.potential_rate)
        return stored_energy(moved)[0]

    kept = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    work = np.trace(stored_energy(oracle)[1] @ oracle.Hd).real
    frozen = device.freeze(m, V)
    pumped = frozen.energy_pumped(mdot, rate)
    flow = frozen.lead_currents(mdot, rate)[0] - frozen.lead_currents(0 * mdot, 0 * rate)[0]
    into_leads = pumped + np.array(device.voltages) * flow
    assert abs(into_leads).max() > 5e-4
    assert kept + into_leads.sum() == pytest.approx(work, abs=2e-6)
    given = device.lead_energies(m, mdot, V, rate)
    assert given == pytest.approx(frozen.energy_currents + pumped, abs=1e-9)


def bias_energy(oracle):
    """Energy into either lead by F_l = f_l - f_ref to first order, with dF/dE as it comes; kT > 0.

    -2 Re int dE/2pi Tr[G1 S_q + G<_1 Sigma_q^+ - (i/2)(Gd S_q' + dG</dt Sigma_q^+')], S_q, Sigma_q of the lead
    times the energy above its levels.
    """
    Hd = oracle.Hd

    def window(energy):
        G, dG, gammas, d_gammas = oracle.everything(energy)
        sigmas, slopes, Gd = oracle.sigmas(energy), oracle.slopes(energy), G @ Hd @ G
        G1 = 0.5j * (dG @ Hd @ G - G @ Hd @ dG)
        S = dS = 0.0
        parts = []
        for lead, g, dg in zip(oracle.leads, gammas, d_gammas, strict=True):
            F = (lead.f(energy) - oracle.reference.f(energy))[:, None, None]
            slope = (lead.slope(energy) - oracle.reference.slope(energy))[:, None, None]
            parts.append((1j * F * g, 1j * (slope * g + F * dg)))
            S, dS = S + parts[-1][0], dS + parts[-1][1]
        lesser = G1 @ S @ dagger(G) + G @ S @ dagger(G1)
        lesser += 0.5j * (-Gd @ dS @ dagger(G) + (dG @ S + G @ dS) @ dagger(Gd) - Gd @ S @ dagger(dG))
        changing = Gd @ S @ dagger(G) + G @ S @ dagger(Gd)
        out = np.zeros((len(energy), 2))
        for q, (lead, (own, d_own)) in enumerate(zip(oracle.leads, parts, strict=True)):
            e = (energy - lead.shift)[:, None, None]
            sigma, d_sigma = e * dagger(sigmas[q]), e * dagger(slopes[q]) + dagger(sigmas[q])
            terms = e * G1 @ own + lesser @ sigma - 0.5j * (Gd @ (e * d_own + own) + changing @ d_sigma)
            out[:, q] = -2 * np.trace(terms, axis1=1, axis2=2).real
        return out

    return oracle.over(window) / (2 * np.pi)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (1, 2)])
def test_what_a_bias_adds_agrees_with_dense_matrices(shape):
    case = (shape, 0.6, (0.9, 0.7), 0.1, (0.25, -0.15), (0.1, 0.06), (0.1, 0.0))
    oracle, device = both(case, 4)
    mdot, rate = oracle.mdot.reshape(*shape, 3), oracle.potential_rate.reshape(shape)
    frozen = device.freeze(oracle.m.reshape(*shape, 3), oracle.potential.reshape(shape))
    found = frozen.bias.moved_energy_into_leads(device.coupling_blocks(mdot, rate))
    expected = bias_energy(oracle)
    assert abs(expected).max() > 1e-3
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("kT", "voltages"), [(0.0, (0.0, 0.0)), (0.05, (0.0, 0.0)), (0.05, (0.2, -0.1))])
def test_deep_in_the_leads_of_a_lattice(kT, voltages):
    """(1/2pi) int (-f') (E - V) Tr[Gamma G Hd G^+]: the part of the Fermi surface."""
    case = ((2, 2), 0.6, (0.9, 0.7), kT, voltages, None, voltages)
    oracle, device = both(case, 6, fermi_energy=-0.4)
    mdot, rate = oracle.mdot.reshape(2, 2, 3), oracle.potential_rate.reshape(2, 2)

    def window(energy):
        G, _, gammas, _ = oracle.everything(energy)
        M = G @ oracle.Hd @ dagger(G)
        each = [np.trace(g @ M, axis1=1, axis2=2).real * (energy - v) for g, v in zip(gammas, voltages, strict=True)]
        slope = -oracle.reference.slope(energy) if kT else np.ones(len(energy))
        return slope[:, None] * np.stack(each, axis=1)

    expected = (oracle.over(window) if kT else window(np.array([-0.4]))[0]) / (2 * np.pi)
    frozen = device.freeze(oracle.m.reshape(2, 2, 3), oracle.potential.reshape(2, 2))
    found = frozen.sweeps.energy_into_leads(device.coupling_blocks(mdot, rate), None)
    assert abs(expected).max() > 1e-2
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("ignore:a level outside the bands")
@pytest.mark.parametrize("voltages", [(0.0, 0.0), (0.3, -0.2)])
def test_levels_outside_the_bands_carry_their_tails(voltages):
    """They differ between two Fermi functions of the device, and nothing else does."""
    rate, cold = np.array([1.0, -0.4, 0.6]), (1.0, 0.0)
    found = [filled(*one, voltages=voltages).freeze(M).energy_pumped(MDOT, rate) for one in (WARM, cold)]
    chain = LongChain(M, voltages=voltages)
    rho = chain.first_order(chain.local(-EXCHANGE * MDOT, rate), lambda e: fermi(*WARM)(e) - fermi(*cold)(e))
    expected = []
    for k, voltage in enumerate(voltages):
        inside = chain.lead(k)
        H = inside @ chain.H @ inside - voltage * inside
        expected.append(np.trace(1j * (chain.H @ H - H @ chain.H) @ rho).real)
    assert abs(np.array(expected)).max() > 1e-2
    assert found[0] - found[1] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kT", [0.0, pytest.param(0.05, marks=pytest.mark.slow)])
def test_blocks_of_a_long_wire_carry_the_same_energy(kT, monkeypatch):
    n = 70
    m = wall(n, 6.0)
    leads = [Lead("left", 0.9, 0.15), Lead("right", 1.0, -0.1)]
    device = Device(n, sd_exchange=0.4, fermi_energy=0.1, temperature=kT, leads=leads)
    mdot, rate = 0.1 * np.cross([0.3, 1.0, 0.2], m), 0.1 * np.cos(np.arange(n))
    found = []
    for longest in (0, 1000):
        for name in ("LONG", "LONG_MOVING"):
            monkeypatch.setattr(long_wires, name, longest)
        found.append(device.freeze(m).energy_pumped(mdot, rate))
    assert abs(found[0]).max() > 1e-3
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_leads_of_another_hopping_are_refused():
    m = moments(np.random.default_rng(0), (2,))
    device = Device(2, sd_exchange=0.5, leads=[Lead("left", hopping=1.3), Lead("right")])
    with pytest.raises(ValueError, match="lead_energies: not available"):
        device.lead_energies(m, np.cross(m, [0.0, 0.0, 1.0]))
