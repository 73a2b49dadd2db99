"""Leads that fill spins along an axis higher than those against it, beside closed forms and dense integrals."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from llgnegf.electrons import Bath, Device, Lead, Polarization, SpinBias, SpinOrbit
from tests.electrons.spin_systems import FERROMAGNETS, ORBIT, device_of, motion, row, system

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
AXES = np.eye(3)


def with_spins(device, differences, directions, mu=(None, None)):
    """The same device with spin biases on its leads."""
    leads = [
        replace(one, spin_bias=SpinBias(tuple(d), b), chemical_potential=at)
        for one, b, d, at in zip(device.leads, differences, directions, mu, strict=True)
    ]
    return device.changed(leads=leads)


@pytest.mark.parametrize("d", AXES)
@pytest.mark.parametrize("shape", [(4,), (3, 2)])
def test_spin_current_without_moments(shape, d):
    """b/4 pi for each open mode flows through, half of the accumulation of the left lead is in the device."""
    b = 0.2
    device = Device(shape, sd_exchange=0.0, fermi_energy=0.15, tolerance=1e-9)
    lead, m = replace(device.leads[0], spin_bias=SpinBias(tuple(3 * d), b)), np.zeros((*shape, 3))
    biased = device.changed(leads=[lead, device.leads[1]])
    charge, spin = biased.lead_currents(m)
    modes = 1 if len(shape) == 1 else 2  # between -1 and 1 both modes of two rows are open
    assert charge == pytest.approx([0, 0], abs=1e-9)
    assert spin == pytest.approx(np.outer([-1, 1], modes * b / (4 * np.pi) * d), abs=1e-9)
    # By spins along d on the left, along z on the right.
    along = [[(1 + s * t * d[2]) / 2 for t in (1, -1)] for s in (1, -1)]
    assert biased.transmission(0.1, m) == pytest.approx(modes * np.array(along), abs=1e-9)
    if len(shape) == 1:
        both = device.changed(leads=[lead, replace(lead, side="right")])
        n = [np.arccos(-(0.15 + s * b / 2) / 2) / np.pi for s in (1, -1)]  # of each spin, of an infinite chain
        found = both.spin_density(m)
        assert found.bias == pytest.approx(np.tile((n[0] - n[1]) * d, (4, 1)), abs=1e-8)
        assert found.density == pytest.approx(np.full(4, sum(n)), abs=1e-8)


def dense(oracle, mu, differences, directions, kT):
    """At rest and to first order, (nx, ny, 4) each, by integrals over single spins of the leads."""
    halves = [np.kron(np.eye(oracle.ny), np.tensordot(d, SIGMA, 1)) for d in directions]
    reach, f_ref = 40 * max(kT, 1e-13), oracle.fermi_energy
    steps = [at + s * b / 2 for at, b in zip(mu, differences, strict=True) for s in (1, -1)]
    low, high = min(*steps, f_ref) - reach, max(*steps, f_ref) + reach
    cuts = np.concatenate([[low, high, f_ref, *steps], oracle.openings[0], oracle.resonances().real])
    cuts = np.unique(cuts[(cuts >= low) & (cuts <= high)])

    def f(energy, at):
        return 1 / (1 + np.exp(np.clip((energy - at) / kT, -700, 700))) if kT else np.heaviside(at - energy, 0.5)

    def integrand(energies):
        G, gammas, slopes = oracle.green(energies)
        filled = np.zeros_like(G)
        for side, (gamma, half) in enumerate(zip(gammas, halves, strict=True)):
            rows = slice(0, 2 * oracle.ny) if side == 0 else slice(oracle.size - 2 * oracle.ny, oracle.size)
            for k, s in enumerate((1, -1)):
                weight = f(energies, steps[2 * side + k]) - f(energies, f_ref)
                P = np.zeros((oracle.size, oracle.size), complex)
                P[rows, rows] = (np.eye(2 * oracle.ny) + s * half) / 2
                filled = filled + weight[:, None, None] * (P @ gamma @ P)
        states = G @ filled @ G.conj().swapaxes(1, 2)
        slope = -G @ (np.eye(oracle.size) - sum(slopes)) @ G
        moved = slope @ oracle.Hd @ states
        return np.stack([states / (2 * np.pi), -(moved - moved.conj().swapaxes(1, 2)) / (2j * np.pi)], axis=1)

    x, w = np.polynomial.legendre.leggauss(60)
    total = 0
    for a, b in pairwise(cuts):
        # Square roots at either end, where a mode may open.
        y = (1 + x) / 2
        energies, jac = a + (b - a) * np.sin(np.pi * y / 2) ** 2, (b - a) * np.pi / 4 * np.sin(np.pi * y)
        total = total + np.tensordot(w * jac, integrand(energies), 1)
    return [row(oracle, oracle.on_sites(one)) for one in total]


D = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()


@pytest.mark.parametrize("kT", [0.0, pytest.param(0.04, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("shape", "given"),
    [((4, 1), {}), ((4, 1), ORBIT), ((4, 1), FERROMAGNETS), ((3, 2), ORBIT | {"couplings": (0.8, 1.1)})],
)
def test_dense(shape, given, kT):
    oracle = system(6, shape, temperature=kT, **{"couplings": (0.8, 0.9)} | given)
    directions = [D[0], D[1]]
    if "directions" in given:
        directions = [np.array(d) / np.linalg.norm(d) for d in given["directions"]]
    differences, mu = (0.25, -0.1), (0.4, 0.25)
    device = with_spins(device_of(oracle), differences, directions, mu)
    m, mdot, potential, rate = motion(oracle)
    found = device.spin_density(m, mdot, potential, rate)
    still, moved = dense(oracle, mu, differences, directions, kT)
    assert found.bias == pytest.approx(still[..., 1:], abs=2e-8)
    assert found.bias_motion == pytest.approx(moved[..., 1:], abs=2e-7)
    assert found.density_bias == pytest.approx(still[..., 0] + moved[..., 0], abs=2e-7)
    plain = with_spins(device, (0.0, 0.0), directions, mu).spin_density(m, mdot, potential, rate)
    assert abs(plain.bias - found.bias).max() > 1e-2
    assert found.adiabatic == pytest.approx(plain.adiabatic, abs=1e-8)
    assert found.surface == pytest.approx(plain.surface, abs=1e-7)


@pytest.mark.parametrize("given", [{}, ORBIT, FERROMAGNETS])
def test_spin_that_does_not_leave_turns_the_moments(given):
    oracle = system(7, (4, 1), **{"couplings": (0.8, 0.9)} | given)
    directions = given.get("directions", (D[0], D[1]))
    device = with_spins(device_of(oracle), (0.25, -0.1), directions)
    m, _, potential, _ = motion(oracle)
    assert abs(device.spin_balance(m, None, potential)).max() < 1e-8
    flows = device.currents(m, None, potential)
    charge, spin = flows.into_leads("bias")
    expected = device.lead_currents(m, None, potential)
    assert charge == pytest.approx(expected[0], abs=1e-9)
    assert spin == pytest.approx(expected[1], abs=1e-9)
    if "rashba" not in given:
        torque = 0.7 * np.cross(device.spin_density(m, None, potential).bias, m).sum(axis=0)
        assert torque == pytest.approx(spin.sum(axis=0), abs=1e-8)


def test_turning_everything():
    oracle = system(8, (3, 2), couplings=(0.8, 1.1))
    device = with_spins(device_of(oracle), (0.3, 0.1), AXES[:2])
    m, mdot, potential, rate = motion(oracle)
    R = Rotation.from_rotvec([1.0, -0.4, 0.7])

    def turned(vectors):
        return R.apply(vectors.reshape(-1, 3)).reshape(vectors.shape)

    a = device.spin_density(m, mdot, potential, rate)
    b = with_spins(device, (0.3, 0.1), R.apply(AXES[:2])).spin_density(turned(m), turned(mdot), potential, rate)
    for name in ("bias", "bias_motion", "surface"):
        assert turned(getattr(a, name)) == pytest.approx(getattr(b, name), abs=1e-8)
    assert b.density == pytest.approx(a.density, abs=1e-8)
    response = device.bias_response(m, potential)
    plain = with_spins(device, (0.0, 0.0), AXES[:2])
    assert response.spin == pytest.approx(plain.bias_response(m, potential).spin, abs=1e-9)


def test_injected_spins_form_a_helix():
    """On a chain they turn by 2 theta from site to site; on a lattice with equal couplings some do not."""
    n, lam, still = 5, 0.6, np.zeros((5, 3))
    left, right = Lead("left", 0.8, spin_bias=SpinBias((0, 0, 1), 0.3)), Lead("right", 1.1)
    given = {"sd_exchange": 0.0, "fermi_energy": 0.3, "leads": [left, right], "tolerance": 1e-9}
    scalar = Device(n, bond_hoppings=[np.hypot(1, lam)] * (n - 1), **given).spin_density(still)
    helix = Device(n, spin_orbit=SpinOrbit(rashba=lam), **given).spin_density(still)
    turns = Rotation.from_rotvec(np.outer(-2 * np.arctan(lam) * np.arange(n), [0, 1, 0]))
    assert helix.bias == pytest.approx(turns.apply(scalar.bias), abs=1e-9)
    assert abs(scalar.bias[:, 2]).min() > 1e-2

    axis = np.array([-1.0, 1.0, 0.0]) / np.sqrt(2)
    given["leads"] = [replace(left, spin_bias=SpinBias(tuple(axis), 0.3)), right]
    for beta, stays in ((0.4, True), (0.1, False)):
        device, still = Device((4, 3), spin_orbit=SpinOrbit(0.4, beta), **given), np.zeros((4, 3, 3))
        spin, across = device.spin_density(still).bias, np.array([[1, 1, 0], [0, 0, 1]])
        into = device.lead_currents(still)[1]
        assert bool(abs(spin @ across.T).max() < 1e-9) is stays
        assert bool(abs(into.sum(axis=0) @ axis) < 1e-9) is stays
        assert abs(into @ axis).min() > 1e-3


UP = np.tile([0.0, 0.0, 1.0], (3, 1))
WIRE = Device(3, sd_exchange=0.3, leads=[Lead("left", spin_bias=SpinBias((0, 0, 1), 0.1)), Lead("right")])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpinBias((0, 0, 0), 0.1), "of a spin_bias: use three finite numbers"),
        (lambda: SpinBias((0, 0, 1), np.inf), "difference = inf of a spin_bias"),
        (lambda: Lead("left", spin_bias=0.1), "spin_bias = 0.1 of the left lead: use None, or for example SpinBias"),
        (lambda: Lead("left", 0.0, spin_bias=SpinBias((0, 0, 1), 0.1)), "means nothing without contact"),
        (
            lambda: Lead("left", polarization=Polarization((0, 0, 1), 0.5), spin_bias=SpinBias((1, 0, 0), 0.1)),
            "spins across its polarization do not stay in it",
        ),
        (lambda: WIRE.changed(bath=Bath([0], 0.1)), "not available with a spin_bias of a lead"),
        (lambda: WIRE.moving_leads(UP), "moving_leads: not available with .*a spin_bias"),
        (lambda: WIRE.spin_noise(UP), "spin_noise: not available with .*a spin_bias"),
        (lambda: WIRE.to_kwant(UP), "to_kwant: not available with .*a spin_bias"),
        (lambda: WIRE.lead_energies(UP, UP), "lead_energies: not available with"),
        (
            lambda: WIRE.spin_density(np.tile([1.0, 0, 0], (3, 1)), np.tile([0, 0.1, 0], (3, 1)), split="precession"),
            "steady precession is available",
        ),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_nothing_where_the_difference_is_zero():
    device = WIRE.changed(leads=[Lead("left", spin_bias=SpinBias((1, 0, 0), 0.0)), Lead("right")])
    assert device.freeze(np.tile([0.0, 0, 1], (3, 1))).bias is None
    assert device.spin_orbit is None
    assert "spin_bias=SpinBias(direction=(0.0, 0.0, 1.0), difference=0.1)" in repr(WIRE)
    assert WIRE.changed(spin_orbit=SpinOrbit(0.1)).fills_spins
