"""Levels outside the bands of leads with voltages: they keep their occupation while moments, gates and leads move.

The leads' Fermi functions say nothing about these levels, and the device's says nothing about what leads fill: two
Fermi functions of the device differ by the levels alone.  Those are compared with eigenvectors of long finite chains,
psi_n + (first order) = v_n - i R_n^2 Hd v_n.
"""

import numpy as np
import pytest
from scipy.optimize import brentq

from llgnegf.electrons import Device, Lead, ToleranceError, long_wires, outside_levels

M = np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.48, 0.6, 0.64]])
MDOT = np.cross(M, [[0.2, -0.5, 0.4], [0.3, 0.1, 0.7], [-0.4, 0.6, 0.2]])
SIGMA = np.array([np.eye(2), [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], complex)
EXCHANGE, COUPLINGS, VOLTAGES, TAIL = 2.8, (1.0, 0.8), (0.3, -0.2), 50
pytestmark = pytest.mark.filterwarnings("ignore:a level outside the bands")


def filled(fermi_energy, kT, shape=(3,), couplings=COUPLINGS, voltages=VOLTAGES, **changes):
    """A device whose leads are filled by Fermi functions of their own."""
    leads = [Lead(s, c, v, 0.1, 0.05) for s, c, v in zip(("left", "right"), couplings, voltages, strict=True)]
    given = {"sd_exchange": EXCHANGE, "fermi_energy": fermi_energy, "temperature": kT, "tolerance": 1e-8}
    return Device(shape, leads=leads, **given | changes)


class LongChain:
    """Device and `TAIL` sites of each lead; slices of `width` sites, open across."""

    def __init__(self, m, width=1, couplings=COUPLINGS, voltages=VOLTAGES):
        self.width, n = width, len(m)
        self.sites, total = n, n + 2 * TAIL
        hops = np.ones(total - 1)
        hops[TAIL - 1], hops[TAIL + n - 1] = couplings
        along = -(np.diag(hops, 1) + np.diag(hops, -1))
        across = -(np.eye(width, k=1) + np.eye(width, k=-1))
        H = np.kron(along, np.eye(width)) + np.kron(np.eye(total), across)
        self.H = np.kron(H, np.eye(2)).astype(complex)
        for lead, voltage in enumerate(voltages):
            self.H += voltage * self.lead(lead)
        self.H += self.local(-EXCHANGE * m)
        self.energies, self.states = np.linalg.eigh(self.H)
        reach = 2 + 2 * np.cos(np.pi / (width + 1))
        self.levels = np.flatnonzero((self.energies > max(voltages) + reach) | (self.energies < min(voltages) - reach))

    def lead(self, k):
        """Number of electrons in the left or the right lead."""
        out = np.zeros(len(self.H), complex)
        out[slice(0, 2 * TAIL * self.width) if k == 0 else slice(-2 * TAIL * self.width, None)] = 1
        return np.diag(out)

    def local(self, vectors, scalars=None):
        """sum_i (v_i . sigma + u_i) on the sites of the device."""
        out = np.zeros_like(self.H)
        vectors = vectors.reshape(-1, 3)
        scalars = np.zeros(len(vectors)) if scalars is None else scalars.ravel()
        for i, (v, u) in enumerate(zip(vectors, scalars, strict=True)):
            at = 2 * (TAIL * self.width + i)
            out[at : at + 2, at : at + 2] = u * SIGMA[0] + np.tensordot(v, SIGMA[1:], 1)
        return out

    def first_order(self, rate, filling):
        """sum_n filling(E_n) 2 Im[R_n^2 Hd P_n] over levels outside the bands."""
        rho = np.zeros_like(self.H)
        for n in self.levels:
            other = abs(self.energies - self.energies[n]) > 1e-9
            rest, gaps = self.states[:, other], self.energies[n] - self.energies[other]
            v = self.states[:, n]
            moved = -1j * rest @ ((rest.conj().T @ (rate @ v)) / gaps**2)
            rho += filling(self.energies[n]) * (np.outer(moved, v.conj()) + np.outer(v, moved.conj()))
        return rho

    def traced(self, rho):
        inside = slice(TAIL * self.width, (TAIL + self.sites) * self.width)
        blocks = np.einsum("isit->ist", rho.reshape(len(rho) // 2, 2, -1, 2))[inside]
        return np.einsum("ist,ats->ia", blocks, SIGMA).real

    def into_leads(self, rho):
        """(2, 4): flow of 1 and sigma over the first bonds, i [H, N_lead sigma] on average."""
        flow = []
        for k in range(2):
            operators = [self.lead(k) @ np.kron(np.eye(len(rho) // 2), s) for s in SIGMA]
            flow.append([np.trace(1j * (self.H @ o - o @ self.H) @ rho).real for o in operators])
        return np.array(flow)


def fermi(mu, kT):
    return lambda e: 1 / (1 + np.exp((e - mu) / kT)) if kT else float(e < mu)


WARM, COLD = (2.6, 0.3), (1.0, 0.0)
DIFFERENCE = lambda e: fermi(*WARM)(e) - fermi(*COLD)(e)  # noqa: E731


@pytest.mark.parametrize("rates", [(1.0, 0.0), (0.0, 1.0)])
def test_leads_that_move_take_levels_along(rates):
    found = [filled(*one).moving_leads(M).response(rates) for one in (WARM, COLD)]
    chain = LongChain(M)
    rho = chain.first_order(sum(rate * chain.lead(k) for k, rate in enumerate(rates)), DIFFERENCE)
    expected = chain.traced(rho)
    assert abs(expected).max() > 2e-4
    np.testing.assert_allclose(found[0].density - found[1].density, expected, rtol=0, atol=1e-7)
    flow = chain.into_leads(rho)
    assert abs(flow).max() > 2e-3
    np.testing.assert_allclose(found[0].into_leads - found[1].into_leads, flow, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rates", [(1.0, 0.0), (0.0, 1.0)])
def test_levels_of_a_lattice_follow_its_leads(rates):
    rng = np.random.default_rng(3)
    m = rng.normal(size=(3, 2, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    warm, cold = (3.2, 0.3), (1.0, 0.0)
    found = [filled(*one, (3, 2), tolerance=1e-6).moving_leads(m).response(rates) for one in (warm, cold)]
    chain = LongChain(m, 2)
    rate = sum(rate * chain.lead(k) for k, rate in enumerate(rates))
    rho = chain.first_order(rate, lambda e: fermi(*warm)(e) - fermi(*cold)(e))
    expected = chain.traced(rho).reshape(3, 2, 4)
    assert abs(expected).max() > 1e-3
    np.testing.assert_allclose(found[0].density - found[1].density, expected, rtol=0, atol=1e-7)
    np.testing.assert_allclose(found[0].into_leads - found[1].into_leads, chain.into_leads(rho), rtol=0, atol=1e-6)


@pytest.mark.parametrize("moves", ["moments", "gates"])
def test_moments_and_gates_take_levels_along_between_leads_with_voltages(moves):
    mdot, rate = (MDOT, np.zeros(3)) if moves == "moments" else (np.zeros((3, 3)), np.array([1.0, -0.4, 0.6]))
    chain = LongChain(M)
    rho = chain.first_order(chain.local(-EXCHANGE * mdot, rate), DIFFERENCE)
    parts, flows = [], []
    for one in (WARM, COLD):
        device = filled(*one)
        parts.append(device.freeze(M).respond(mdot, rate).density)
        charge, spin = device.lead_currents(M, mdot, potential_rate=rate)
        still = device.lead_currents(M)
        flows.append(np.column_stack([charge - still[0], 2 * (spin - still[1])]))
    expected = chain.traced(rho)
    assert abs(expected).max() > 1e-3
    np.testing.assert_allclose(parts[0] - parts[1], expected, rtol=0, atol=1e-7)
    flow = chain.into_leads(rho)
    assert abs(flow).max() > 2e-3
    np.testing.assert_allclose(flows[0] - flows[1], flow, rtol=0, atol=1e-6)


def test_levels_of_a_lattice_between_leads_with_voltages():
    rng = np.random.default_rng(4)
    m = rng.normal(size=(2, 2, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    mdot, rate = np.cross(m, rng.normal(size=m.shape)), rng.normal(size=(2, 2))
    warm, cold = (3.2, 0.3), (1.0, 0.0)
    parts = [filled(*one, (2, 2), tolerance=1e-6).freeze(m).respond(mdot, rate).density for one in (warm, cold)]
    chain = LongChain(m, 2)
    rho = chain.first_order(chain.local(-EXCHANGE * mdot, rate), lambda e: fermi(*warm)(e) - fermi(*cold)(e))
    expected = chain.traced(rho).reshape(2, 2, 4)
    assert abs(expected).max() > 1e-3
    np.testing.assert_allclose(parts[0] - parts[1], expected, rtol=0, atol=1e-7)


def test_too_many_sites_for_their_levels_are_refused(monkeypatch):
    monkeypatch.setattr(outside_levels, "MOST_ORBITALS", 4)
    with pytest.raises(ToleranceError, match=r"fermi_energy = 2\.6 lie outside the bands .* not 5: use order = 0"):
        filled(*WARM).moving_leads(M).response((1.0, 0.0))


def test_degenerate_levels_move_together():
    """A gate lifts the level of spin up to that of spin down, which reaches into the leads otherwise."""
    m, other = np.zeros((2, 3)), {"couplings": (1.0, 0.7), "voltages": (0.2, 0.2)}
    m[:, 2] = 1.0, -1.0

    def chain(gate):
        found = LongChain(m, **other)
        found.H += found.local(0 * m, np.array([gate, 0.0]))
        found.energies, found.states = np.linalg.eigh(found.H)
        found.levels = np.flatnonzero((found.energies > 2.2) | (found.energies < -1.8))
        return found

    def apart(gate):
        H = chain(gate).H.real
        return np.linalg.eigvalsh(H[::2, ::2])[-1] - np.linalg.eigvalsh(H[1::2, 1::2])[-1]

    gate = brentq(apart, -1.0, 1.0, xtol=1e-15)
    assert abs(gate) > 0.01
    mdot, rate = np.array([[0.3, 0.7, 0.0], [-0.2, 0.5, 0.0]]), np.array([0.5, -0.3])
    parts = [filled(*one, (2,), **other).freeze(m, np.array([gate, 0.0])).respond(mdot, rate) for one in (WARM, COLD)]
    at_gate = chain(gate)
    expected = at_gate.traced(at_gate.first_order(at_gate.local(-EXCHANGE * mdot, rate), DIFFERENCE))
    assert abs(expected).max() > 1e-4
    np.testing.assert_allclose(parts[0].density - parts[1].density, expected, rtol=0, atol=1e-7)


@pytest.mark.slow
def test_blocks_of_a_long_wire_know_the_same_levels(monkeypatch):
    n = 64
    m, potential, rate = np.tile([0.0, 0.6, 0.8], (n, 1)), np.zeros(n), np.zeros(n)
    m[30], m[31], potential[30:32], rate[30] = (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), 1.5, 1.0
    mdot = np.zeros((n, 3))
    mdot[31] = 0.5, 0.0, -0.3
    device = filled(2.3, 0.1, (n,), sd_exchange=0.6, tolerance=1e-6)

    hd = device.coupling_blocks(mdot, rate)

    def evaluated():
        frozen = device.freeze(m, potential)  # of which the surface has a weak reference
        surface = frozen.sweeps.surface
        assert surface.levels.any
        return type(surface).__name__, *(getattr(surface, f)(hd) for f in ("density", "kept", "bonds", "into_leads"))

    name, *by_blocks = evaluated()
    assert name == "LongShiftedSurface"
    monkeypatch.setattr(long_wires, "LONG_MOVING", 1000)
    name, *expected = evaluated()
    assert name == "ShiftedChainSurface"
    for one, other in zip(by_blocks, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)
    assert abs(expected[0]).max() > 0.01
