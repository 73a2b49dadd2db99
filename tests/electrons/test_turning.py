"""Steady precession beside leads and bonds that know the spin and on lattices: dense matrices, time on a long chain."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, Polarization, steady_precession
from llgnegf.electrons.currents import precession_currents
from tests.electrons.real_time_cases import turning
from tests.electrons.spin_systems import device_of, row, system
from tests.oracles import spin_long
from tests.oracles.lattice_dense import integrate
from tests.oracles.spin_lattice import field

AXES = {"x": (1.0, 0, 0), "y": (0, 1.0, 0), "z": (0, 0, -1.0), "oblique": (0.5, -0.3, 0.8)}
EXCHANGES = np.array([0.7, -0.3, 0.5, 0.0])


def unit(axis):
    return np.array(axis) / np.linalg.norm(axis)


def ferromagnets(axis):
    """One along the axis, the other against it, which is a half-metal at E_F = 0.3."""
    a = unit(axis)
    return {"directions": (tuple(a), tuple(-2 * a)), "splittings": (0.9, 4.0), "couplings": (0.8, 1.1)}


def by_site(shape):
    return {"exchange": np.resize(EXCHANGES, shape)}


KINDS = {
    "ferromagnets": ((3, 1), lambda a: ferromagnets(a) | by_site((3, 1))),
    "J of each site": ((4, 1), lambda _a: by_site((4, 1))),
    "hoppings of leads": ((3, 1), lambda _a: {"lead_hoppings": (1.3, 0.8)}),
    "one ferromagnet": ((1, 1), lambda a: ferromagnets(a) | {"couplings": (0.8, 0.0)}),
    "bonds": ((3, 1), lambda a: ferromagnets(a) | {"hop_x": tuple((0.2 + 0.3j) * unit(a))}),
    "vacancy": ((3, 1), lambda _a: {"vacancies": ((2, 0),)}),
    "lattice": ((2, 2), lambda a: ferromagnets(a) | {"periodic": True} | by_site((2, 2))),
    "scalar lattice": ((2, 3), lambda _a: {}),
}
CASES = [
    ("ferromagnets", "x", 0.0),
    ("ferromagnets", "y", 0.05),
    ("ferromagnets", "z", 0.05),
    ("ferromagnets", "oblique", 0.0),
    *(("J of each site", axis, kT) for axis in ("y", "oblique") for kT in (0.0, 0.05)),
    *(("hoppings of leads", "oblique", kT) for kT in (0.0, 0.05)),
    *(("one ferromagnet", "y", kT) for kT in (0.0, 0.05)),
    *(("bonds", "oblique", kT) for kT in (0.0, 0.05)),
    *(("vacancy", "x", kT) for kT in (0.0, 0.05)),
    *(("lattice", "y", kT) for kT in (0.0, 0.05)),
    ("scalar lattice", "oblique", 0.0),
]


def parts(oracle, K):
    """Geometric, lead and surface part, (nx, ny, 4), from dense matrices."""
    K = np.kron(np.eye(oracle.nx * oracle.ny), K)

    def geometric(z):
        G = oracle.green(z)[0]
        return G @ K @ G

    def lead(z):
        G, _, slopes = oracle.green(z)
        return G @ K @ sum(slopes) @ G

    def surface(energies):
        G, gammas, _ = oracle.green(energies)
        return G @ K @ sum(gammas) @ np.conj(np.swapaxes(G, 1, 2))

    found = -oracle.fermi_sea(geometric), oracle.fermi_sea(lead), oracle.fermi_surface(surface) / (2 * np.pi)
    return dict(zip(("geometric", "sea", "surface"), map(oracle.on_sites, found), strict=True))


@pytest.mark.parametrize(("kind", "axis", "kT"), CASES)
def test_parts_against_dense_matrices(kind, axis, kT):
    shape, given = KINDS[kind]
    axis, w = AXES[axis], -0.2
    oracle = system(4, shape, temperature=kT, **given(axis))
    turning = replace(oracle, mdot=w * np.cross(unit(axis), oracle.m), potential_rate=np.zeros(shape))
    device, m, potential = device_of(oracle, 1e-8), row(oracle, oracle.m), row(oracle, oracle.potential)
    frozen = device.freeze(m, potential)
    found, charge, spin = frozen.precession_with_currents(np.array(axis), w)
    for name, expected in parts(oracle, w / 2 * field(unit(axis))).items():
        expected = row(oracle, expected)
        if oracle.vacancies:
            expected[oracle.vacancies[0][0]] = 0
        np.testing.assert_allclose(getattr(found, name), expected[..., 1:], atol=1e-8, err_msg=name)
        assert abs(expected).max() > 1e-4
    # the parts of any motion have the same sum
    any_motion = turning.parts()
    total = row(oracle, any_motion["sea"] + any_motion["surface"])
    np.testing.assert_allclose(found.first_order, total[..., 1:], atol=1e-8)
    np.testing.assert_allclose(found.density_sea + found.density_surface, total[..., 0], atol=1e-8)
    flows = device.lead_currents(m, row(oracle, turning.mdot), potential)
    np.testing.assert_allclose(charge, flows[0], atol=1e-8)
    np.testing.assert_allclose(spin, flows[1], atol=1e-8)


def exact(oracle, axis, w):
    """rho of the frame that turns, (nx, ny, 4): filled by f(E), and by what f(E +- w/2) of either spin changes."""
    a, size = unit(axis), oracle.nx * oracle.ny
    spins = [(np.kron(np.eye(oracle.ny), (np.eye(2) + s * field(a)) / 2), s * w / 2) for s in (1, -1)]
    H = oracle.H - w / 2 * np.kron(np.eye(size), field(a))

    def green(z):
        """G, and Gamma of spins along and against the axis."""
        z, G = np.atleast_1d(np.asarray(z, complex)), 0
        sigmas = []
        for P, shift in spins:
            of_spin = np.zeros((len(z), 2 * size, 2 * size), complex)
            for side, rows in ((0, slice(0, 2 * oracle.ny)), (1, slice(-2 * oracle.ny, None))):
                of_spin[:, rows, rows] += P @ oracle.lead(side, z + shift)[0] @ P
            sigmas.append(of_spin)
        G = np.linalg.inv(z[:, None, None] * np.eye(2 * size) - H - sum(sigmas))
        return G, [1j * (one - np.conj(np.swapaxes(one, 1, 2))) for one in sigmas]

    mu, kT = oracle.fermi_energy, oracle.temperature

    def f(energies):
        return 1 / (1 + np.exp(np.clip((energies - mu) / kT, -700, 700))) if kT else np.heaviside(mu - energies, 0.5)

    def window(energies):
        G, gammas = green(energies)
        filled = sum(
            (f(energies + s * w / 2) - f(energies))[:, None, None] * one for s, one in zip((1, -1), gammas, strict=True)
        )
        return G @ filled @ np.conj(np.swapaxes(G, 1, 2)) / (2 * np.pi)

    reach = abs(w) / 2 + 40 * kT
    cuts = [mu - reach, mu - abs(w) / 2, mu, mu + abs(w) / 2, mu + reach]
    cuts += [e + s * w / 2 for e in oracle.openings[0] for s in (1, -1)]
    cuts = sorted({e for e in cuts if mu - reach <= e <= mu + reach})
    rho = oracle.fermi_sea(lambda z: green(z)[0])
    for low, high in pairwise(cuts):
        rho = rho + integrate(window, low, high, 1e-13)
    return oracle.on_sites(rho)


@pytest.mark.parametrize("kT", [0.0, 0.05])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("kind", ["ferromagnets", "hoppings of leads"])
def test_exact_precession_equals_the_dense_rotating_frame(kind, axis, kT):
    shape, given = KINDS[kind]
    oracle = system(5, shape, temperature=kT, **given(AXES[axis]) | by_site(shape))
    device, m, potential = device_of(oracle), row(oracle, oracle.m), row(oracle, oracle.potential)
    found, expected = (
        steady_precession(device, m, AXES[axis], -0.3, potential),
        row(oracle, exact(oracle, AXES[axis], -0.3)),
    )
    np.testing.assert_allclose(found.spin, expected[:, 1:], atol=1e-10)
    np.testing.assert_allclose(found.density, expected[:, 0], atol=1e-10)
    np.testing.assert_allclose(found.spin_adiabatic, row(oracle, oracle.parts()["adiabatic"])[:, 1:], atol=1e-9)
    assert abs(found.spin_nonadiabatic).max() > 3e-3
    # spin: torque = flow out - flow in + (1/2) ds/dt; along the axis it is what is pumped
    a, J = unit(AXES[axis]), row(oracle, np.broadcast_to(oracle.exchange, shape))[:, None]
    torque = J * np.cross(found.spin, m)
    balance = torque - np.diff(found.bond_spin, axis=0) + 0.5 * 0.3 * np.cross(a, found.spin)
    np.testing.assert_allclose(balance, 0, atol=1e-9)
    assert (torque @ a).sum() == pytest.approx(found.pumped_spin.sum(), abs=1e-9)


def left_out(device, m, axis, frequencies):
    """|exact - first order| at these frequencies."""
    found = []
    for w in frequencies:
        first = device.freeze(m).precession(np.array(axis), w)
        found.append(abs(steady_precession(device, m, axis, w).spin_nonadiabatic - first.nonadiabatic).max())
    return found


@pytest.mark.parametrize(
    ("axis", "kT", "splitting"), [("y", 0.0, 0.9), ("oblique", 0.05, 0.9), ("x", 0.05, 4.0), ("y", 0.0, 5.0)]
)
def test_the_first_order_leaves_out_what_is_of_second_order(axis, kT, splitting):
    """Between half-metals, and with E_F and levels in a gap between the bands of the two spins (splitting 5)."""
    d = tuple(unit(AXES[axis]))
    leads = [Lead(s, g, polarization=Polarization(d, splitting)) for s, g in (("left", 0.8), ("right", 1.1))]
    m = row(system(6, (3, 1)), system(6, (3, 1)).m)
    device = Device(3, sd_exchange=EXCHANGES[:3], fermi_energy=0.1, temperature=kT, tolerance=1e-10, leads=leads)
    large, small = left_out(device, m, AXES[axis], (0.02, 0.01))
    assert large / small == pytest.approx(4, abs=0.4)
    assert large < 1e-3


@pytest.mark.parametrize(
    ("axis", "w", "splittings", "mu"), [*((axis, 0.4, (0.9, 0.5), 0.0) for axis in AXES), ("y", 0.1, (9.0, 9.0), -0.9)]
)
def test_exact_precession_is_what_a_long_chain_evolves_to(axis, w, splittings, mu):
    """The rotation begins softly; the leads are magnets along its axis and against it.

    With splittings of 9 all levels of the device are in the gap between the bands, and keep their occupation.
    """
    a, in_gap = unit(AXES[axis]), splittings[0] > 4
    rise, time = (60.0, 64.0) if in_gap else (12.0, 24.0)
    magnets = ((tuple(a), splittings[0]), (tuple(-a), splittings[1]))
    given = (0.8, 1.1), (1.3, 1.0), magnets
    oracle = spin_long.SpinLong((2, 1), 12 if in_gap else 40, np.array([[0.5], [-0.8]]), *given, fermi_energy=mu)
    m = system(7, (2, 1)).m

    def angle(t):
        x = min(t / rise, 1.0)
        return w * (rise * (x**3 - x**4 / 2) + max(t - rise, 0.0))

    def moments(t):
        return turning(m, a, 1.0)(angle(t))

    seen = oracle.evolve([time], moments, lambda _t: np.zeros((2, 1)), lambda _t: np.zeros(2)).spin[0, :, 0]
    leads = [
        Lead(side, oracle.couplings[k], hopping=oracle.lead_hoppings[k], polarization=Polarization(*magnets[k]))
        for k, side in enumerate(("left", "right"))
    ]
    given = {"temperature": oracle.temperature, "fermi_energy": mu, "leads": leads}
    device = Device(2, sd_exchange=oracle.exchange[:, 0], **given)
    now = moments(time)[:, 0]
    found = steady_precession(device, now, a, w)
    np.testing.assert_allclose(found.spin, seen, atol=2e-4)
    assert abs(found.spin_nonadiabatic).max() > 20 * abs(found.spin - seen).max()


M = np.array([[1.0, 0, 0], [0, 0.6, 0.8], [0, 0, 1.0]])
ACROSS = [Lead("left", polarization=Polarization((0, 1, 1), 0.5)), Lead("right")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"leads": ACROSS},
            r"the left lead has its magnetisation along .* only a precession about that axis is steady",
        ),
        ({"leads": [Lead("left", chemical_potential=0.1), Lead("right")]}, "between leads without voltages"),
        ({"leads": [Lead("left", width=0.4), Lead("right")]}, "a width"),
        ({"bath": Bath([1], 0.1)}, "a bath on sites"),
        ({"bonds_along_x": np.tile([[0, 1], [1, 0]], (2, 1, 1))}, "the bonds turn spins about"),
    ],
)
def test_refused(changes, message):
    device = Device(3, sd_exchange=0.5, **changes)
    for ask in (
        lambda: device.freeze(M).precession(np.array([0, 0, 1]), 0.1),
        lambda: steady_precession(device, M, (0, 0, 1), 0.1),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


def test_what_has_no_flows_by_origin_and_no_exact_reference():
    polarized = Device(
        3, sd_exchange=0.5, leads=[Lead("left", polarization=Polarization((0, 0, 1), 0.5)), Lead("right")]
    )
    with pytest.raises(ValueError, match="flows of steady precession by origin"):
        precession_currents(polarized, M, (0, 0, 1), 0.1)
    lattice = Device((3, 1), sd_exchange=0.5)
    with pytest.raises(ValueError, match="that of a chain"):
        steady_precession(lattice, M[:, None], (0, 0, 1), 0.1)


@pytest.mark.parametrize("leads", [True, False])
def test_levels_keep_their_occupation_on_a_lattice_as_on_a_chain(leads):
    """Levels below the bands within some kT of E_F, and those without leads."""
    given = {"sd_exchange": 3.0, "fermi_energy": -3.2, "temperature": 0.2, "tolerance": 1e-8}
    given |= {} if leads else {"leads": ()}
    v = 0.1 * np.cross((0, 0.6, 0.8), M)
    lattice = Device((3, 1), **given).spin_density(M[:, None], v[:, None], split="precession")
    chain = Device(3, **given).spin_density(M, v, split="precession")
    for name in ("geometric", "sea", "surface"):
        np.testing.assert_allclose(getattr(lattice, name)[:, 0], getattr(chain, name), atol=1e-7)
    assert abs(chain.geometric).max() > 1e-3
