"""Devices of any shape: cuts, elimination and leads against dense matrices, equilibrium against f(H) of long systems.

Kwant's own numbers for such systems are in `tests/external/test_kwant_general.py`.
"""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad_vec
from scipy.sparse import csr_array
from scipy.special import expit

from llgnegf.electrons import Device, GeneralDevice, ToleranceError
from llgnegf.electrons.general.elimination import Elimination
from llgnegf.electrons.general.leads import Cells, GeneralLead
from llgnegf.electrons.general.slicing import cut
from tests.electrons.test_kwant import SIGMA, StandIn, bond_of, dense_lattice

ORBITALS = np.array([2, 2, 1, 2, 3, 2, 2, 1, 2, 2])
# Bonds of ten sites without any order; one that nothing connects to a lead.
BONDS = [(0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (3, 5), (4, 5), (4, 6), (5, 7), (6, 7), (8, 9)]
FIRST = np.concatenate([[0], np.cumsum(ORBITALS)])
SPIN = ORBITALS == 2


def complex_matrix(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def irregular(rng, size=0.5):
    """A Hermitian H with these orbitals and bonds."""
    H = np.zeros((FIRST[-1],) * 2, complex)
    for a, b in [*BONDS, *((k, k) for k in range(len(ORBITALS)))]:
        H[FIRST[a] : FIRST[a + 1], FIRST[b] : FIRST[b + 1]] = size * complex_matrix(rng, ORBITALS[a], ORBITALS[b])
    return H + H.conj().T


def rows_of(sites):
    return np.concatenate([np.arange(FIRST[s], FIRST[s + 1]) for s in sites])


INTERFACES = [np.array([1, 0]), np.array([7])]


def cells(rng, sites, more=1):
    """A lead whose cells have more orbitals than it is attached to: its hopping is singular."""
    k = len(rows_of(sites))
    h = 0.4 * complex_matrix(rng, k + more, k + more)
    return Cells(h + h.conj().T, 0.6 * complex_matrix(rng, k + more, k))


def long_system(H, leads, lengths):
    """Dense H of the device with so many cells of each lead."""
    size = len(H) + sum(n * len(lead.cells.h) for n, lead in zip(lengths, leads, strict=True))
    whole = np.zeros((size, size), complex)
    whole[: len(H), : len(H)] = H
    place = len(H)
    for n, lead in zip(lengths, leads, strict=True):
        inner = rows_of(lead.sites)
        for _ in range(n):
            mine = np.arange(place, place + len(lead.cells.h))
            whole[np.ix_(mine, mine)] = lead.cells.h
            whole[np.ix_(mine, inner)] = lead.cells.V
            whole[np.ix_(inner, mine)] = lead.cells.V.conj().T
            inner, place = mine[: lead.cells.V.shape[1]], place + len(mine)
    return whole


def traced(matrix):
    """(N, 4): traces of the blocks of the sites with 1 and, with two orbitals, sigma."""
    found = np.zeros((len(ORBITALS), 4), complex)
    for k, n in enumerate(ORBITALS):
        block = matrix[FIRST[k] : FIRST[k + 1], FIRST[k] : FIRST[k + 1]]
        found[k, 0] = np.trace(block)
        if n == 2:
            found[k, 1:] = np.einsum("ab,cba->c", block, SIGMA[1:])
    return found


def no_real(energy):
    raise AssertionError("not asked for at real energies")


def device_of(rng, **options):
    H = irregular(rng)
    leads = [GeneralLead(sites, no_real, cells(rng, sites)) for sites in INTERFACES]
    given = {"m": np.zeros((len(ORBITALS), 3)), "sd_exchange": 0.7} | options
    return GeneralDevice(csr_array(H), ORBITALS, leads, **given), H


# --- parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_slices_are_coupled_to_the_next_ones_alone(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    bonds = rng.random((n, n)) < 1.5 / n
    bonds |= bonds.T
    sites = rng.permutation(n)
    interfaces = [sites[: 1 + n // 5], sites[-1 - n // 7 :]]
    slices = cut(csr_array(bonds.astype(float)), interfaces)
    assert sorted(np.concatenate(slices).tolist()) == list(range(n))
    number = np.empty(n, int)
    for k, those in enumerate(slices):
        number[those] = k
        assert (np.diff(those) > 0).all()
    a, b = np.nonzero(bonds)
    assert (abs(number[a] - number[b]) <= 1).all()
    for interface in interfaces:
        assert len(set(number[interface].tolist())) == 1
    assert number[interfaces[0]][0] == 0


def test_elimination_is_the_inverse(rng):
    sizes = [2, 4, 1, 3, 3]
    first = np.concatenate([[0], np.cumsum(sizes)])
    spans = [slice(a, b) for a, b in pairwise(first)]
    A = np.zeros((first[-1],) * 2, complex)
    for k, span in enumerate(spans):
        A[span, span] = complex_matrix(rng, sizes[k], sizes[k])
        if k:
            A[spans[k - 1], span] = complex_matrix(rng, sizes[k - 1], sizes[k])
            A[span, spans[k - 1]] = complex_matrix(rng, sizes[k], sizes[k - 1])
    wanted = np.linalg.inv(A)
    pairs = list(pairwise(spans))
    found = Elimination([A[s, s] for s in spans], [A[a, b] for a, b in pairs], [A[b, a] for a, b in pairs])
    for i, span in enumerate(spans):
        which = np.arange(sizes[i])[::-1]
        for k, block in enumerate(found.columns(i, which)):
            assert block == pytest.approx(wanted[spans[k], span][:, which], abs=1e-10)
        assert found.diagonal(i) == pytest.approx(wanted[span, span], abs=1e-10)
        for k in range(i + 1):
            which = np.arange(sizes[k])[:1]
            assert found.block(i, k, which) == pytest.approx(wanted[span, spans[k]][:, which], abs=1e-10)


def test_the_self_energy_of_a_lead_is_that_of_many_cells(rng):
    """Also on the real axis outside its spectrum, where nothing propagates."""
    lead = GeneralLead(np.array([0, 2]), no_real, cells(rng, [0, 2], more=2))
    low, high = lead.cells.bounds
    inside = np.zeros((FIRST[-1],) * 2)
    whole = long_system(inside, [lead], [60])[len(inside) :, len(inside) :]
    levels = np.linalg.eigvalsh(whole)
    assert low < levels[0]
    assert levels[-1] < high
    V = np.zeros((len(whole), lead.cells.V.shape[1]), complex)
    V[: len(lead.cells.h)] = lead.cells.V
    for z in (0.3 + 1.0j, -0.8 + 0.7j, low - 0.1, high + 0.1):
        wanted = V.conj().T @ np.linalg.solve(z * np.eye(len(whole)) - whole, V)
        assert lead.cells.self_energy(z) == pytest.approx(wanted, abs=1e-10)
    # Close to the axis it is that of a lead without an end, which loses what enters.
    near = lead.cells.self_energy(0.1 + 1e-9j)
    assert np.linalg.eigvalsh((near - near.conj().T) / 2j)[0] < -0.01


def test_a_chain_of_single_sites_has_the_known_self_energy():
    lead = Cells(np.array([[0.2 + 0j]]), np.array([[-1.3j]]))
    for z in (0.4 + 1e-10j, -1.9 + 1e-6j, 0.3 + 2j, 4.0 + 0j):
        x = (z - 0.2) / 2.6
        assert lead.self_energy(z)[0, 0] == pytest.approx(1.3 * (x - np.sqrt(x - 1) * np.sqrt(x + 1)), abs=1e-12)


# --- devices ----------------------------------------------------------------------------------------------------


def test_equilibrium_is_that_of_a_long_system(rng):
    """At kT = 0.3 nothing comes back from the far ends."""
    device, H = device_of(rng, fermi_energy=0.2, temperature=0.3, tolerance=1e-9)
    m, gates = rng.normal(size=(len(ORBITALS), 3)) * SPIN[:, None], rng.uniform(-0.5, 0.5, len(ORBITALS))
    for moments, V in ((None, None), (m, gates)):
        inside = H.copy()
        if moments is not None:
            inside += np.diag(np.repeat(V, ORBITALS))
            for k in np.flatnonzero(SPIN):
                inside[FIRST[k] : FIRST[k] + 2, FIRST[k] : FIRST[k] + 2] -= 0.7 * np.tensordot(m[k], SIGMA[1:], 1)
        levels, states = np.linalg.eigh(long_system(inside, device.leads, [90, 90]))
        rho = (states * expit(-(levels - 0.2) / 0.3)) @ states.conj().T
        wanted = traced(rho).real
        found = device.spin_density(moments, potential=V)
        assert found.density == pytest.approx(wanted[:, 0], abs=2e-9)
        assert found.total == pytest.approx(wanted[:, 1:], abs=2e-9)
        assert (abs(wanted).max(axis=0) > 0.05).all()


def test_equilibrium_without_temperature(rng):
    """f Im G on a vertical line above E_F, where it has no poles: 1/2 and an integral of Re G."""
    device, H = device_of(rng, fermi_energy=0.2, tolerance=1e-8)

    def of_line(x):
        y = x / (1 - x)
        z = 0.2 + 1j * y
        A = z * np.eye(len(H)) - H
        for lead in device.leads:
            rows = rows_of(lead.sites)
            A[np.ix_(rows, rows)] -= lead.cells.self_energy(z)
        G = np.linalg.inv(A)
        return traced(G + G.conj().T).real / (2 * np.pi * (1 - x) ** 2)

    wanted = quad_vec(of_line, 0, 1 - 1e-12, epsabs=1e-9, limit=400)[0]
    wanted[:, 0] += ORBITALS / 2
    found = device.spin_density()
    assert found.density == pytest.approx(wanted[:, 0], abs=2e-8)
    assert found.total == pytest.approx(wanted[:, 1:], abs=2e-8)


def test_transmission_and_states_are_those_of_dense_matrices(rng):
    """With any self-energies, also of a lead that is known at real energies alone."""
    H = irregular(rng)
    leads, sigmas = [], []
    for sites in INTERFACES:
        k = len(rows_of(sites))
        A, B = complex_matrix(rng, k, k), complex_matrix(rng, k, k)
        sigmas.append(A + A.conj().T - 0.5j * B @ B.conj().T)
        leads.append(GeneralLead(sites, lambda energy, s=sigmas[-1]: s * (1 + energy), None))
    m = np.zeros((len(ORBITALS), 3))
    device = GeneralDevice(csr_array(H), ORBITALS, leads, m=m, sd_exchange=0.7)
    assert repr(device) == "<GeneralDevice of 10 sites in 6 slices, 2 leads>"
    turned = rng.normal(size=m.shape) * SPIN[:, None]
    for k in np.flatnonzero(SPIN):
        H[FIRST[k] : FIRST[k] + 2, FIRST[k] : FIRST[k] + 2] -= 0.7 * np.tensordot(turned[k], SIGMA[1:], 1)
    for energy in (0.3, 1.4):
        inverse, gammas = energy * np.eye(len(H)) - H, []
        for sites, sigma in zip(INTERFACES, sigmas, strict=True):
            gammas.append(np.zeros_like(H))
            where = np.ix_(rows_of(sites), rows_of(sites))
            inverse[where] -= sigma * (1 + energy)
            gammas[-1][where] = 1j * (sigma - sigma.conj().T) * (1 + energy)
        G = np.linalg.inv(inverse)
        through = np.trace(gammas[1] @ G @ gammas[0] @ G.conj().T).real
        assert device.transmission(energy, turned) == pytest.approx(through, abs=1e-11)
        states = traced(G @ (gammas[0] + gammas[1]) @ G.conj().T).real / (2 * np.pi)
        assert device.density_of_states(energy, turned) == pytest.approx(states, abs=1e-11)
        assert not states[8:].any()  # no lead reaches them
    assert device.transmission([[0.3, 1.4]], turned).shape == (1, 2)
    assert device.transmission(1.4, turned) == device.transmission([0.3, 1.4], turned)[1]
    back = GeneralDevice(csr_array(H), ORBITALS, leads[::-1], m=turned, sd_exchange=0.7)
    assert back.density_of_states(0.3) == pytest.approx(device.density_of_states(0.3, turned), abs=1e-11)
    with pytest.raises(ValueError, match="lead 0 is known by its self-energy at real energies alone"):
        device.spin_density()


def test_a_stand_in_with_spin_orbit_coupling_is_read(rng):
    lattice = dense_lattice(rng, (4, 3))
    stand_in = StandIn(lattice)
    bond_of(stand_in, 4, 5, 0.3j * SIGMA[1] + 0.2j * SIGMA[2])
    plain = Device.from_kwant(StandIn(lattice)).device
    for lead, end in zip(stand_in.leads, plain.ends, strict=True):
        # The rows of the second stand-in lead come in the order -y.
        order = slice(None) if end.side == "left" else slice(None, None, -1)

        def selfenergy(energy, params=None, end=end, order=order):
            sigma = end.self_energy(np.array([energy + 0j]))[0].reshape(3, 2, 3, 2)
            return sigma[order, :, order].reshape(6, 6)

        lead.selfenergy = selfenergy
    device, m, _ = Device.from_kwant(stand_in, fermi_energy=0.37)
    assert "no spin-orbit coupling" in device.reason
    assert m[stand_in.of] == pytest.approx(lattice.m.reshape(-1, 3), abs=1e-14)
    assert (device.sd_exchange, device.fermi_energy) == (pytest.approx(0.8), 0.37)
    G, (left, right), _ = lattice.green(0.37)
    A = np.linalg.inv(G[0])
    A[8:10, 10:12] -= 0.3j * SIGMA[1] + 0.2j * SIGMA[2]
    A[10:12, 8:10] += 0.3j * SIGMA[1] + 0.2j * SIGMA[2]
    G = np.linalg.inv(A)
    through = np.trace(right[0] @ G @ left[0] @ G.conj().T).real
    assert device.transmission(0.37, m) == pytest.approx(through, abs=1e-11)
    assert abs(plain.transmission(0.37, lattice.m).sum() - through) > 1e-3
    with pytest.raises(ValueError, match=r"\|b\| of b.sigma on .* is 0.8; allowed: 0 as sd_exchange = 0 says"):
        Device.from_kwant(stand_in, sd_exchange=0.0)
    del stand_in.leads[0].selfenergy
    with pytest.raises(ValueError, match="lead 0 is a SimpleNamespace; allowed: leads of Kwant"):
        Device.from_kwant(stand_in)


def test_a_level_at_the_fermi_energy_is_refused_without_temperature(rng):
    """The two sites without a lead have levels of their own."""
    device, H = device_of(rng)
    level = float(np.linalg.eigvalsh(H[FIRST[8] :, FIRST[8] :])[1])
    with pytest.raises(ToleranceError, match=r"a level lies within .* of it, .* or a temperature > 0"):
        device.changed(fermi_energy=level).spin_density()
    below, above = (device.changed(fermi_energy=level + e).spin_density().density for e in (-1e-3, 1e-3))
    assert (above - below)[8:].sum() == pytest.approx(1.0, abs=1e-6)
    assert device.changed(fermi_energy=level, temperature=0.01).spin_density().solves > 5


def test_what_is_refused(rng):
    device, H = device_of(rng)
    m = np.zeros((len(ORBITALS), 3))
    m[4] = 0, 1, 0
    with pytest.raises(ValueError, match=r"m: site 4 has the moment \[0.0, 1.0, 0.0\], but 3 orbitals; moments are"):
        device.spin_density(m)
    with pytest.raises(ValueError, match=r"m: expected finite values of shape \(10, 3\), got shape \(3,\)"):
        device.transmission(0.1, [0, 0, 1])
    with pytest.raises(ValueError, match=r"potential: expected finite values of shape \(10,\)"):
        device.spin_density(potential=[1.0])
    with pytest.raises(AttributeError, match="currents: not available for a GeneralDevice, which has transmission"):
        device.currents(m)
    with pytest.raises(TypeError, match="changed: 'hopping' is none of fermi_energy, temperature, tolerance"):
        device.changed(hopping=2.0)
    with pytest.raises(ValueError, match="temperature = -1: must be a number, >= 0"):
        device.changed(temperature=-1)
    one = GeneralDevice(csr_array(H), ORBITALS, device.leads[:1], m=0 * m, sd_exchange=0.7)
    with pytest.raises(ValueError, match="transmission: there is one lead, two are needed"):
        one.transmission(0.1)
    nowhere = [GeneralLead(lead.sites, lambda energy: np.full((1, 1), np.nan), None) for lead in device.leads]
    with pytest.raises(ValueError, match=r"energy = 0.1: lead 0 has no self-energy there \(4 x 4 finite"):
        GeneralDevice(csr_array(H), ORBITALS, nowhere, m=0 * m, sd_exchange=0.7).transmission(0.1)
