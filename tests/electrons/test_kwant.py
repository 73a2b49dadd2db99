"""Devices from Kwant systems and back.

Stand-ins with the public attributes of Kwant's objects are read on every machine, and compared with a dense
calculation; where Kwant is installed, its own systems, scattering matrices and scattering states are.
"""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import coo_matrix

from llgnegf.electrons import Bath, Device, GeneralDevice, Lead
from llgnegf.electrons.kwant_systems.reader import read
from llgnegf.errors import LLGNEGFError
from tests.oracles.lattice_dense import SIGMA, Lattice
from tests.test_cli import ROOT
from tests.test_docs import blocks

ENERGIES = [-1.31, -0.2, 0.37, 1.12]
UNIT = np.eye(2)


def random_moments(rng, shape):
    m = rng.normal(size=(*shape, 3))
    return m / np.linalg.norm(m, axis=-1)[..., None]


# --- stand-ins --------------------------------------------------------------------------------------------------


class StandIn:
    """The public attributes of a finalized Kwant system, of a dense `Lattice` whose sites come in another order.

    padding: the lattice with a column of each lead beside it, as `attach_lead(..., add_cells=1)` makes them.
    """

    def __init__(self, lattice, *, chain=False, padding=False, origin=(3, -2), order=0, norbs=2):
        self.couplings = lattice.couplings
        if padding:
            lattice = padded(lattice)
        nx, ny = lattice.nx, lattice.ny
        self.norbs = norbs
        self.asked = []
        places = np.random.default_rng(order).permutation(nx * ny)
        tags = [(x + origin[0], y + origin[1])[: 1 if chain else 2] for x in range(nx) for y in range(ny)]
        self.sites = [SimpleNamespace(family="square", tag=tags[place]) for place in places]
        orbitals = (2 * places[:, None] + np.arange(norbs)).ravel()
        self.H = lattice.H[np.ix_(orbitals, orbitals)]
        self.of = np.argsort(places)  # place in `sites` of each site of the lattice
        ends = self.of.reshape(nx, ny)[[0, -1]]
        # In the order of y in one lead, against it in the other.
        self.lead_interfaces = [np.array(ends[0]), np.array(ends[1][::-1])]
        self.lead_paddings = [interface if padding else np.array([], int) for interface in self.lead_interfaces]
        self.leads = [self.lead(lattice, sign, chain) for sign in (-1, 1)]

    def lead(self, lattice, sign, chain):
        ny = lattice.ny
        rows = range(ny) if sign < 0 else range(ny)[::-1]
        step = np.eye(ny)[list(rows)]
        cell = np.kron(step @ lattice.column @ step.T, np.eye(self.norbs))
        between = np.kron(-lattice.hopping * np.eye(ny), np.eye(self.norbs))
        sites = [SimpleNamespace(family="square", tag=(x, y)[: 1 if chain else 2]) for x in (sign, 0) for y in rows]
        lead = SimpleNamespace(sites=sites, cell_size=ny, cell=cell.astype(complex), between=between.astype(complex))
        lead.cell_hamiltonian = lambda params=None: (self.asked.append(params), lead.cell)[1]
        lead.inter_cell_hopping = lambda params=None: (self.asked.append(params), lead.between)[1]
        return lead

    def hamiltonian_submatrix(
        self, args=(), to_sites=None, from_sites=None, sparse=False, return_norb=False, params=None
    ):
        assert sparse
        assert return_norb
        self.asked.append(params)
        norbs = np.full(len(self.sites), self.norbs)
        return coo_matrix(self.H), norbs, norbs

    def block(self, a, b):
        """The rows and columns of H between sites a and b of the lattice."""
        n = self.norbs
        return np.ix_(*(np.arange(n) + n * self.of[site] for site in (a, b)))


def padded(lattice):
    """The lattice with a column of each lead on either side: its couplings are bonds of the system then."""
    bonds = lattice.x_bonds if lattice.x_bonds is not None else [lattice.hopping] * (lattice.nx - 1)
    beside = {name: np.pad(getattr(lattice, name), [(1, 1), (0, 0), (0, 0)]) for name in ("m", "mdot")}
    beside |= {name: np.pad(getattr(lattice, name), [(1, 1), (0, 0)]) for name in ("potential", "potential_rate")}
    # The oracle keeps onsite in its columns, so that the new ones are those of the leads.
    return Lattice(
        **beside,
        exchange=lattice.exchange,
        couplings=(lattice.hopping, lattice.hopping),
        periodic=lattice.periodic,
        hopping=lattice.hopping,
        onsite=lattice.onsite,
        x_bonds=(lattice.couplings[0], *bonds, lattice.couplings[1]),
    )


def dense_lattice(rng, shape, **options):
    shape = (*shape, 1)[:2]
    still = {"mdot": np.zeros((*shape, 3)), "potential_rate": np.zeros(shape)}
    given = {"m": random_moments(rng, shape), "potential": rng.uniform(-0.4, 0.4, shape), "exchange": 0.8}
    return Lattice(**(still | given | options))


def dense_transmission(lattice, energy):
    """(2, 2) [spin out, spin in] Tr[Gamma_R G Gamma_L G^+] of spin blocks along z."""
    G, (left, right), _ = lattice.green(energy)
    out = np.zeros((2, 2))
    up = np.tile([1.0, 0.0], lattice.size // 2)
    for i, into in enumerate((up, 1 - up)):
        for o, leaving in enumerate((up, 1 - up)):
            out[o, i] = np.trace((right[0] * leaving) @ G[0] @ (left[0] * into) @ G[0].conj().T).real
    return out


SYSTEMS = {
    "chain": {"shape": (5,)},
    "one site": {"shape": (1,)},
    "chain, weak contacts": {"shape": (4,), "couplings": (0.6, 1.7), "hopping": 1.3, "onsite": 0.2},
    "chain with random bonds": {"shape": (4,), "x_bonds": (0.7, 1.4, 0.9), "couplings": (0.5, 1.0)},
    "long": {"shape": (5, 3), "onsite": 0.3, "hopping": 0.9, "couplings": (0.9, 0.9)},
    "wide": {"shape": (2, 4), "couplings": (1.0, 0.4)},
    "ring": {"shape": (3, 4), "periodic": True, "couplings": (0.8, 1.2), "x_bonds": (1.1, 0.6)},
    "ring of two": {"shape": (3, 2), "periodic": True},
    "two rows": {"shape": (3, 2)},
    "one row": {"shape": (3, 1), "couplings": (0.7, 1.0)},
}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("exchange", [0.8, -0.6])
def test_a_stand_in_is_read(rng, name, exchange):
    options = dict(SYSTEMS[name])
    shape = options.pop("shape")
    lattice = dense_lattice(rng, shape, exchange=exchange, **options)
    same = (lattice.hopping, lattice.hopping)
    stand_in = StandIn(lattice, chain=len(shape) == 1, padding=lattice.couplings != same, order=len(name))
    device, m, sites = Device.from_kwant(stand_in, sd_exchange=exchange, fermi_energy=0.1, temperature=0.02)

    assert device.shape == shape
    assert device.periodic == ("y" if lattice.periodic else False)
    assert (device.fermi_energy, device.temperature, device.sd_exchange) == (0.1, 0.02, exchange)
    assert device.couplings == pytest.approx(lattice.couplings, abs=1e-14)
    assert device.hops == pytest.approx(lattice.x_bonds or lattice.hopping, abs=1e-14)
    assert m == pytest.approx(lattice.m.reshape(*shape, 3), abs=1e-14)
    assert device.potential + device.onsite == pytest.approx((lattice.potential + lattice.onsite).reshape(shape))
    first = stand_in.sites[sites.flat[0]].tag
    for place in np.ndindex(shape):
        assert stand_in.sites[sites[place]].tag == tuple(np.add(first, place))
    found = device.transmission(ENERGIES, m)
    wanted = [dense_transmission(lattice, energy) for energy in ENERGIES]
    assert found == pytest.approx(np.array(wanted), abs=1e-12)
    if lattice.size > 4 * lattice.ny:  # the entries matter
        assert abs(found[:, 0, 1] - found[:, 1, 0]).max() > 1e-3


def test_without_sd_exchange_its_sign_is_positive(rng):
    lattice = dense_lattice(rng, (4,), exchange=-0.6)
    device, m, _ = Device.from_kwant(StandIn(lattice, chain=True))
    assert device.sd_exchange == pytest.approx(0.6)
    assert m == pytest.approx(-lattice.m[:, 0], abs=1e-14)
    wanted = dense_transmission(lattice, 0.37)
    assert device.transmission(0.37, m) == pytest.approx(wanted, abs=1e-12)


def test_moments_have_any_length_where_sd_exchange_is_given(rng):
    m = random_moments(rng, (4, 2)) * rng.uniform(0.2, 2.0, (4, 2, 1))
    lattice = dense_lattice(rng, (4, 2), m=m, exchange=-0.7)
    device, found, _ = Device.from_kwant(StandIn(lattice), sd_exchange=-0.7)
    assert found == pytest.approx(m, abs=1e-14)
    assert device.transmission(0.37, found) == pytest.approx(dense_transmission(lattice, 0.37), abs=1e-12)
    with pytest.raises(ValueError, match=r"allowed: .*, or 0: moments of length 1 or 0; with sd_exchange = J given"):
        Device.from_kwant(StandIn(lattice))


def test_sites_without_spin_have_no_moment(rng):
    m = random_moments(rng, (4, 2))
    m[1, 0] = m[3] = 0
    lattice = dense_lattice(rng, (4, 2), m=m)
    device, found, _ = Device.from_kwant(StandIn(lattice))
    assert found == pytest.approx(m, abs=1e-14)
    assert not found[1, 0].any()
    assert device.transmission(0.37, found) == pytest.approx(dense_transmission(lattice, 0.37), abs=1e-12)


def test_one_orbital_is_either_spin(rng):
    lattice = dense_lattice(rng, (3, 2), exchange=0.0, couplings=(0.5, 1.0))
    device, m, _ = Device.from_kwant(StandIn(lattice, padding=True, norbs=1))
    assert (device.sd_exchange, device.couplings) == (0.0, (0.5, 1.0))
    assert not m.any()
    found = device.transmission(0.37, m)
    assert found == pytest.approx(dense_transmission(lattice, 0.37), abs=1e-12)
    assert found[0, 0] == pytest.approx(found[1, 1])


def test_leads_in_the_other_order(rng):
    stand_in = StandIn(dense_lattice(rng, (3, 2), couplings=(0.5, 1.0)), padding=True)
    for name in ("leads", "lead_interfaces", "lead_paddings"):
        getattr(stand_in, name).reverse()
    assert Device.from_kwant(stand_in).device.couplings == pytest.approx((0.5, 1.0))


def test_leads_at_different_levels_have_a_voltage_and_one_filling(rng):
    stand_in = StandIn(dense_lattice(rng, (3, 2), couplings=(0.5, 1.0)), padding=True)
    stand_in.leads[1].cell += 0.25 * np.eye(4)
    for number in stand_in.lead_interfaces[1]:
        stand_in.H[[2 * number, 2 * number + 1], [2 * number, 2 * number + 1]] += 0.25
    device, _, _ = Device.from_kwant(stand_in, fermi_energy=0.1)
    assert device.shape == (3, 2)
    assert device.leads == (Lead("left", 0.5), Lead("right", 1.0, 0.25, chemical_potential=0.1))
    assert not device.is_biased


def test_added_columns_unlike_the_lead_are_of_the_device(rng):
    stand_in = StandIn(dense_lattice(rng, (3, 2), couplings=(0.5, 0.6)), padding=True)
    number = stand_in.lead_interfaces[0][1]
    stand_in.H[2 * number : 2 * number + 2, 2 * number : 2 * number + 2] += 0.1 * UNIT
    device, m, _ = Device.from_kwant(stand_in)
    assert device.shape == (4, 2)
    assert device.couplings == pytest.approx((1.0, 0.6))
    assert device.hops == pytest.approx([0.5, 1.0, 1.0])
    assert device.potential[0] == pytest.approx([0.0, 0.1])
    assert not m[0].any()


def test_the_lead_ends_at_the_first_bond_unlike_it(rng):
    """Also where further columns look like the lead, and where a column has moments."""
    m, potential = random_moments(rng, (4, 2)), rng.uniform(-0.4, 0.4, (4, 2))
    m[:2], potential[:3] = 0, 0
    lattice = dense_lattice(rng, (4, 2), m=m, potential=potential, couplings=(0.5, 0.6))
    stand_in = StandIn(lattice, padding=True)
    stand_in.lead_paddings[0] = stand_in.of.reshape(6, 2)[:4].ravel()  # with three columns of the device
    device, found, _ = Device.from_kwant(stand_in)
    assert (device.shape, device.couplings) == ((4, 2), pytest.approx((0.5, 0.6)))
    assert device.transmission(0.37, found) == pytest.approx(dense_transmission(lattice, 0.37), abs=1e-12)

    plain = StandIn(dense_lattice(rng, (4, 2), m=m, potential=potential))
    plain.lead_paddings[0] = plain.of.reshape(4, 2)[:3].ravel()
    device, found, _ = Device.from_kwant(plain)
    assert (device.shape, device.couplings) == ((2, 2), (1.0, 1.0))
    assert found == pytest.approx(m[2:], abs=1e-14)


def test_one_lead_is_enough(rng):
    stand_in = StandIn(dense_lattice(rng, (3,)), chain=True)
    for name in ("leads", "lead_interfaces", "lead_paddings"):
        del getattr(stand_in, name)[0]
    device = Device.from_kwant(stand_in).device
    assert device.leads == (Lead("right"),)


def test_parameters_are_handed_on(rng):
    stand_in = StandIn(dense_lattice(rng, (3,)), chain=True)
    given = {"V": 0.3}
    Device.from_kwant(stand_in, given)
    assert len(stand_in.asked) == 5
    assert all(asked is given for asked in stand_in.asked)


def test_kwant_is_not_needed_to_read_and_asked_for_to_write(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "kwant", None)
    device, m, _ = Device.from_kwant(StandIn(dense_lattice(rng, (3,)), chain=True))
    with pytest.raises(LLGNEGFError, match=r'needs the package kwant: pip install "llgnegf\[kwant\]"'):
        device.to_kwant(m)


# --- what is refused ------------------------------------------------------------------------------------------------


def site_of(stand_in, a, change):
    stand_in.H[stand_in.block(a, a)] += change


def bond_of(stand_in, a, b, change):
    change = np.asarray(change, complex)
    stand_in.H[stand_in.block(a, b)] += change
    stand_in.H[stand_in.block(b, a)] += change.conj().T


def lead_of(stand_in, number, which, a, b, change):
    matrix = getattr(stand_in.leads[number], which)
    matrix[2 * a : 2 * a + 2, 2 * b : 2 * b + 2] += change
    if which == "cell" and a != b:
        matrix[2 * b : 2 * b + 2, 2 * a : 2 * a + 2] += np.conj(change).T


def other_family(stand_in):
    stand_in.sites[stand_in.of[4]].family = "other"


def missing_site(stand_in):
    stand_in.sites[stand_in.of[4]].tag = (7, 7)


def four_orbitals(stand_in):
    whole = stand_in.hamiltonian_submatrix

    def changed(**options):
        H, norbs, _ = whole(**options)
        norbs[stand_in.of[4]] = 4
        return H, norbs, norbs

    stand_in.hamiltonian_submatrix = changed


def no_cell(stand_in):
    stand_in.leads[1] = SimpleNamespace(selfenergy=lambda energy: None)


def along_y(stand_in):
    for site in stand_in.leads[0].sites[:3]:
        site.tag = (0, site.tag[1] - 1)


def two_columns(stand_in):
    for site in stand_in.leads[0].sites[:3]:
        site.tag = (-2, site.tag[1])


def narrow(stand_in):
    stand_in.lead_interfaces[0] = stand_in.lead_interfaces[0][:2]


def inside(stand_in):
    stand_in.lead_interfaces[0] = stand_in.of.reshape(4, 3)[1]


def both_left(stand_in):
    stand_in.leads[1], stand_in.lead_interfaces[1] = stand_in.leads[0], stand_in.lead_interfaces[0]


def third_lead(stand_in):
    stand_in.leads.append(stand_in.leads[0])


def nothing_between(stand_in):
    stand_in.leads[0].sites = stand_in.leads[0].sites[:3]


def faster_lead(stand_in):
    stand_in.leads[1].between *= 1.5
    cell = stand_in.leads[1].cell
    cell += 0.5 * (cell - np.diag(np.diag(cell)))


def only_one_periodic(stand_in):
    lead_of(stand_in, 1, "cell", 0, 2, -UNIT)


def negative_hopping(stand_in):
    stand_in.leads[0].between *= -1


Z, X, Y = SIGMA[3], SIGMA[1], SIGMA[2]
# Sites of 4 x 3 by number 3 x + y; tags begin at (3, -2).
REFUSED = {
    "another lattice": (other_family, r"site \(4, -1\) is of another lattice .* spin up and down are two orbitals"),
    "a missing site": (missing_site, r"there is no site \(3, 1\); allowed: .*rectangle"),
    "orbitals": (four_orbitals, r"site \(4, -1\) has 4 orbitals; allowed: one orbital .*, or two"),
    "gain": (lambda s: site_of(s, 4, 0.1j * UNIT), r"not Hermitian at site \(4, -1\)"),
    "gain of the spin": (lambda s: site_of(s, 4, [[0, 0.1], [0, 0]]), r"not Hermitian at site \(4, -1\)"),
    "one-way bond": (
        lambda s: s.H.__setitem__(s.block(4, 5), 0.1 * UNIT),
        r"not Hermitian at the bond between sites \(4, -1\) and \(4, 0\): 0.1 .* and back -1 times",
    ),
    "not a number": (lambda s: site_of(s, 4, np.nan), r"its Hamiltonian is not finite"),
    "another exchange": (
        lambda s: site_of(s, 4, 0.5 * s.H[s.block(4, 4)]),
        r"\|b\| of b.sigma on site \(4, -1\) is 1.2; allowed: 0.8 as on site \(3, -2\), or 0: .* with sd_exchange",
    ),
    "spin-orbit along y": (
        lambda s: bond_of(s, 4, 5, 0.3j * X),
        r"bond between sites \(4, -1\) and \(4, 0\) is \[\[-1, 0\+0.3j\], \[0\+0.3j, -1\]\]; allowed: -1 times the "
        r"unit matrix, as in the leads: no spin-orbit coupling, no magnetic flux",
    ),
    "real spin-orbit along y": (
        lambda s: bond_of(s, 4, 5, 0.3j * Y),
        r"\[\[-1, 0.3\], \[-0.3, -1\]\]; allowed: -1 times",
    ),
    "spin-orbit along x": (lambda s: bond_of(s, 4, 7, 0.3j * Y), r"\(4, -1\) and \(5, -1\) .* the same on all rows"),
    "spin-dependent bond in the first row": (lambda s: bond_of(s, 3, 6, 0.3 * Z), r"\(4, -2\) and \(5, -2\)"),
    "flux": (lambda s: bond_of(s, 4, 7, (1 - np.exp(0.2j)) * UNIT), r"\(5, -1\) is -0.980067-0.198669j times the unit"),
    "flux in the first row": (lambda s: bond_of(s, 3, 6, 0.1j * UNIT), r"\(4, -2\) and \(5, -2\) is -1\+0.1j times"),
    "unequal rows": (lambda s: bond_of(s, 4, 7, 0.1 * UNIT), r"is -0.9 times the unit matrix; allowed: -1 times"),
    "another hopping along y": (lambda s: bond_of(s, 4, 5, 0.1 * UNIT), r"is -0.9 times .* as in the leads"),
    "no bond along y": (lambda s: bond_of(s, 4, 5, UNIT), r"\(4, -1\) and \(4, 0\) is 0 times the unit matrix"),
    "positive hopping": (
        lambda s: [bond_of(s, 3 + y, 6 + y, 1.5 * UNIT) for y in range(3)],
        r"\(4, -2\) and \(5, -2\) is 0.5 times the unit matrix; allowed: -t with t > 0",
    ),
    "next neighbours": (lambda s: bond_of(s, 4, 8, 0.1 * UNIT), r"\(4, -1\) and \(5, 0\) is 0.1 .*nearest neighbours"),
    "third neighbours": (lambda s: bond_of(s, 4, 10, 0.1 * UNIT), r"\(4, -1\) and \(6, -1\) is 0.1 .*nearest neigh"),
    "a ring, leads open": (lambda s: bond_of(s, 3, 5, -UNIT), r"\(4, -2\) and \(4, 0\) is -1 .*nearest neighbours"),
    "no Hamiltonian of a lead": (no_cell, r"lead 1 is a SimpleNamespace; allowed: leads made of a kwant.Builder"),
    "a lead along y": (along_y, r"lead 0 repeats itself by \(0, -1\); allowed: .*\(-1, 0\) and \(1, 0\)"),
    "two columns a cell": (two_columns, r"lead 0 repeats itself by \(-2, 0\)"),
    "a narrow lead": (
        narrow,
        r"lead 0, 3 sites wide, is attached to sites \(3, -2\) ... \(3, -1\); allowed: .*0\)",
    ),
    "a lead inside": (inside, r"lead 0, 3 sites wide, is attached to sites \(4, -2\) ... \(4, 0\)"),
    "two on the left": (both_left, r"both leads are on the left"),
    "three leads": (third_lead, r"it has 3 leads; allowed: two leads"),
    "cells apart": (nothing_between, r"no hopping connects the cells of lead 0"),
    "faster lead": (faster_lead, r"the hopping of lead 0 is -1, that of lead 1 -1.5; allowed: the same hopping"),
    "one lead periodic": (only_one_periodic, r"lead 0 is open along y, the other one periodic"),
    "lead with positive hopping": (negative_hopping, r"the hopping along lead 0 is 1; allowed: -t with t > 0"),
    "magnetic lead": (
        lambda s: lead_of(s, 0, "cell", 1, 1, 0.2 * X),
        r"of row 1 of lead 0 is \[\[0, 0.2\], \[",
    ),
    "lead with a rough edge": (lambda s: lead_of(s, 0, "cell", 1, 1, 0.2 * UNIT), r"of row 1 of lead 0 is 0.2 times"),
    "lead with gain": (lambda s: lead_of(s, 0, "cell", 0, 0, 0.2j * UNIT), r"of row 0 of lead 0 is 0\+0.2j times"),
    "lead with spin-orbit": (
        lambda s: lead_of(s, 0, "cell", 1, 2, 0.3j * X),
        r"between rows 1 and 2 of lead 0 within a cell is .*; allowed: -1 times the unit matrix",
    ),
    "lead with a flux": (lambda s: lead_of(s, 1, "between", 1, 1, 0.3j * UNIT), r"of row 1 of lead 1 along it"),
    "lead with diagonal bonds": (
        lambda s: lead_of(s, 1, "between", 0, 1, UNIT),
        r"rows 2 and 1 of lead 1 along it is 1 times .*; allowed: 0 times",
    ),
    "lead with other rows": (
        lambda s: lead_of(s, 0, "cell", 0, 1, 0.2 * UNIT),
        r"0 and 1 of lead 0 within a cell is -0.8 ",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_lattice_has_is_refused(rng, what):
    change, message = REFUSED[what]
    lattice = dense_lattice(rng, (4, 3), potential=np.zeros((4, 3)))
    stand_in = StandIn(lattice)
    Device.from_kwant(stand_in)
    change(stand_in)
    with pytest.raises(ValueError, match=message):
        read(stand_in, None, None, 0.0)


def test_rounding_errors_are_no_reason(rng):
    lattice = dense_lattice(rng, (4, 3))
    stand_in = StandIn(lattice)
    noise = 1e-14 * rng.normal(size=stand_in.H.shape)
    stand_in.H = stand_in.H * (1 + noise + noise.T)
    device, m, _ = Device.from_kwant(stand_in)
    assert device.bond_hoppings is None
    assert device.couplings == (1.0, 1.0)
    assert device.transmission(0.37, m) == pytest.approx(dense_transmission(lattice, 0.37), abs=1e-12)


def test_arguments_that_cannot_be(rng):
    stand_in = StandIn(dense_lattice(rng, (3,)), chain=True)
    with pytest.raises(ValueError, match=r"\|b\| of b.sigma on site \(3,\) is 0.8; allowed: 0 as sd_exchange = 0 says"):
        Device.from_kwant(stand_in, sd_exchange=0.0)
    with pytest.raises(ValueError, match="sd_exchange = 'J': must be a number"):
        Device.from_kwant(stand_in, sd_exchange="J")
    with pytest.raises(ValueError, match="temperature = -1: must be a number, >= 0"):
        Device.from_kwant(stand_in, temperature=-1)
    with pytest.raises(ValueError, match=r"system = 3: must be a finalized system of a kwant.Builder$"):
        Device.from_kwant(3)
    with pytest.raises(ValueError, match=r"must be a finalized system .*; call its method `finalized\(\)`"):
        Device.from_kwant(SimpleNamespace(finalized=lambda: stand_in))
    device = Device((3, 2), sd_exchange=0.5)
    with pytest.raises(ValueError, match=r"m = None: moments of shape \(3, 2, 3\) are needed"):
        device.to_kwant()
    with pytest.raises(ValueError, match=r"m: expected finite values of shape \(3, 2, 3\), got shape \(3, 3\)"):
        device.to_kwant(np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"to_kwant: a bath on sites, Bath\(.*; use changed\(bath=None\)"):
        device.changed(bath=Bath([[0, 0]], 0.1)).to_kwant(np.zeros((3, 2, 3)))


# --- Kwant itself ---------------------------------------------------------------------------------------------------


def kwant_transmission(kwant, system, energy, leads=(0, 1), **options):
    """(2, 2) [spin out, spin in]."""
    matrix = kwant.smatrix(system, energy, **options)
    one, other = leads
    return np.array([[matrix.transmission((other, out), (one, into)) for into in (0, 1)] for out in (0, 1)])


def kwant_states(kwant, system, energy, sites, **options):
    """(*shape, 4) density of scattering states of both leads, traced with 1 and sigma."""
    states = kwant.wave_function(system, energy, **options)
    psi = np.concatenate([states(0), states(1)]).reshape(-1, len(system.sites), 2)[:, sites.ravel()]
    traced = np.einsum("kia,kib,cba->ic", psi, psi.conj(), SIGMA).real / (2 * np.pi)
    return traced.reshape(*sites.shape, 4)


def sizes_of(name):
    options = dict(SYSTEMS[name])
    shape = options.pop("shape")
    ends = options.pop("couplings", (1.0, 1.0))
    return shape, ends, options


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("voltages", [(0.0, 0.0), (0.2, -0.1)])
def test_there_and_back(kwant, rng, name, voltages):
    shape, couplings, options = sizes_of(name)
    device = Device(
        shape,
        periodic="y" if options.get("periodic") else False,
        hopping=options.get("hopping", 1.0),
        onsite=options.get("onsite", 0.0),
        bond_hoppings=options.get("x_bonds"),
        sd_exchange=-0.8,
        leads=[Lead(side, c, v) for side, c, v in zip(("left", "right"), couplings, voltages, strict=True)],
        potential=rng.uniform(-0.4, 0.4, shape),
    )
    m, gates = random_moments(rng, shape), rng.uniform(-0.4, 0.4, shape)
    system = device.to_kwant(m, gates)
    again, moments, sites = Device.from_kwant(system, sd_exchange=-0.8)
    assert moments == pytest.approx(m, abs=1e-14)
    assert [system.sites[number].tag for number in sites.flat] == list(np.ndindex(shape))
    told = {key: getattr(again, key) for key in ("shape", "periodic", "hopping", "bond_hoppings", "couplings")}
    assert told == {key: getattr(device, key) for key in told}
    levels = device.onsite + device.potential + gates
    assert again.onsite + again.potential == pytest.approx(levels, abs=1e-14)
    wanted = device.transmission(ENERGIES, m, gates)
    assert again.transmission(ENERGIES, moments) == pytest.approx(wanted, abs=1e-12)
    found = [kwant_transmission(kwant, system, energy) for energy in ENERGIES]
    assert np.array(found) == pytest.approx(wanted, abs=1e-10)
    assert abs(wanted).max() > 0.1
    for energy in ENERGIES:
        states = device.density_of_states(energy, m, gates)
        assert kwant_states(kwant, system, energy, sites) == pytest.approx(states, abs=1e-10)


def test_a_device_without_moments_needs_none(kwant):
    device = Device((4, 3), sd_exchange=0.0)
    assert Device.from_kwant(device.to_kwant()).device.transmission(0.3, np.zeros((4, 3, 3))) == pytest.approx(
        kwant_transmission(kwant, device.to_kwant(), 0.3), abs=1e-10
    )


def test_a_closed_end_has_no_lead(kwant, rng):
    device = Device(4, sd_exchange=0.5, leads=[Lead("right", 0.7), Lead("left", 0.0)])
    system = device.to_kwant(random_moments(rng, (4,)))
    assert len(system.leads) == 1
    again = Device.from_kwant(system).device
    assert (again.shape, again.couplings) == ((4,), (0.0, 0.7))


def test_the_documented_way(kwant):
    (code,) = blocks(ROOT / "docs" / "python.md", "py")
    names = {}
    exec(compile(code, "docs/python.md", "exec"), names)
    system, device, m, sites = (names[name] for name in ("system", "device", "m", "sites"))
    through = kwant.smatrix(system, 1.9, params={"J": 0.5}).transmission(1, 0)
    assert device.transmission(1.9, m).sum() == pytest.approx(through, abs=1e-10)
    assert names["torque"].shape == (2, 6, 4, 3)
    assert m[..., 2] == pytest.approx(1.0)
    assert names["density"][sites].shape == (6, 4)


def users_system(kwant, *, change=None, leads="ab", lattice=None, lead_change=None):
    """A system as a user of Kwant writes it: functions, parameters, tags that begin anywhere, leads in any order."""
    lattice = kwant.lattice.square(norbs=2) if lattice is None else lattice

    def onsite(site, J, theta, V):
        x, y = site.tag
        axis = [np.sin(theta * x), np.sin(theta * y) * np.cos(theta * x), np.cos(theta * x) * np.cos(theta * y)]
        return (4.0 + V * (x == -1)) * UNIT - J * np.tensordot(axis, SIGMA[1:], 1)

    def hopping(one, other, t):
        return -t * UNIT

    system = kwant.Builder()
    system[(lattice(x, y) for x in range(-2, 3) for y in range(5, 8))] = onsite
    system[lattice.neighbors()] = hopping
    if change is not None:
        change(system, lattice)
    for which in leads:
        lead = kwant.Builder(kwant.TranslationalSymmetry((-1 if which == "a" else 1, 0)), conservation_law=-SIGMA[3])
        lead[(lattice(0, y) for y in range(5, 8))] = 4.0 * UNIT
        lead[lattice.neighbors()] = hopping
        if lead_change is not None:
            lead_change(lead, lattice)
        system.attach_lead(lead, add_cells=2 if which == "b" else 0)
    return system


PARAMETERS = {"J": 0.7, "theta": 0.4, "V": 0.3, "t": 1.2}


@pytest.mark.parametrize("leads", ["ab", "ba"])
def test_a_users_system(kwant, leads):
    system = users_system(kwant, leads=leads).finalized()
    device, m, sites = Device.from_kwant(system, PARAMETERS, sd_exchange=0.7)
    # Two columns that attach_lead added are of the lead.
    assert (device.shape, device.hopping, device.onsite, device.couplings) == ((5, 3), 1.2, 4.0, (1.2, 1.2))
    assert m[2, 0] == pytest.approx([0, np.sin(2.0), np.cos(2.0)])
    energies = [0.5, 1.9, 4.3]
    numbers = tuple(map(leads.index, "ab"))
    found = [kwant_transmission(kwant, system, energy, numbers, params=PARAMETERS) for energy in energies]
    assert device.transmission(energies, m) == pytest.approx(np.array(found), abs=1e-10)
    for energy in energies:
        states = kwant_states(kwant, system, energy, sites, params=PARAMETERS)
        assert device.density_of_states(energy, m) == pytest.approx(states, abs=1e-10)


def test_a_coupling_within_the_users_system(kwant):
    """A weak bond between two columns is a bond of the device where the columns are the user's."""

    def weaken(system, lattice):
        for y in range(5, 8):
            system[lattice(1, y), lattice(2, y)] = -0.4 * UNIT

    system = users_system(kwant, change=weaken).finalized()
    device, m, _ = Device.from_kwant(system, PARAMETERS)
    assert device.hops == pytest.approx([1.2, 1.2, 1.2, 0.4])
    found = kwant_transmission(kwant, system, 4.3, params=PARAMETERS)
    assert device.transmission(4.3, m) == pytest.approx(found, abs=1e-10)


def test_kwant_without_spin(kwant):
    lattice = kwant.lattice.chain(norbs=1)
    system = kwant.Builder()
    system[(lattice(x) for x in range(4))] = lambda site: 0.3 * site.tag[0]
    system[lattice.neighbors()] = -1
    lead = kwant.Builder(kwant.TranslationalSymmetry((-1,)))
    lead[lattice(0)], lead[lattice.neighbors()] = 0, -1
    system.attach_lead(lead)
    system.attach_lead(lead.reversed())
    system = system.finalized()
    device, m, _ = Device.from_kwant(system)
    assert (device.shape, device.sd_exchange, m.any()) == ((4,), 0.0, False)
    transmission = kwant.smatrix(system, 0.4).transmission(1, 0)
    assert device.transmission(0.4, m) == pytest.approx(transmission * np.eye(2), abs=1e-10)


def rashba(system, lattice):
    def hopping(one, other, t):
        return -t * UNIT + 0.2j * SIGMA[2]

    system[kwant_kind(lattice)] = hopping


def kwant_kind(lattice):
    import kwant

    return kwant.builder.HoppingKind((1, 0), lattice, lattice)


def peierls(system, lattice):
    def hopping(one, other, t):
        return -t * np.exp(0.1j * one.tag[1]) * UNIT

    system[kwant_kind(lattice)] = hopping


def next_nearest(system, lattice):
    system[lattice.neighbors(2)] = -0.1 * UNIT


def own_self_energy(system, lattice):
    import kwant

    interface = [lattice(-2, y) for y in range(5, 8)]
    system.leads.append(kwant.builder.SelfEnergyLead(lambda energy, args: -0.5j * np.eye(6), interface, ()))


NO_LATTICE = {
    "spin-orbit": ({"change": rashba}, r"\(-2, 5\) and \(-1, 5\) is \[\[-1.2, .*no spin-orbit"),
    "flux": ({"change": peierls}, r"\(-2, 5\) and \(-1, 5\) is .* times the unit matrix; .*no magnetic flux"),
    "next neighbours": ({"change": next_nearest}, r"\(-2, 5\) and \(-1, 6\) is -0.1 times .*nearest neighbours"),
    "spin-orbit in the leads": ({"lead_change": rashba}, r"the hopping of row 0 of lead 0 along it is \[\[-1.2, "),
    "next neighbours in the leads": ({"lead_change": next_nearest}, r"rows 0 and 1 of lead 0 along it is -0.1 times"),
    "self-energies": ({"change": own_self_energy, "leads": "b"}, r"lead 0 is a SelfEnergyLead; allowed: leads made of"),
}


@pytest.mark.parametrize("what", NO_LATTICE)
def test_other_kwant_systems_are_general_devices(kwant, what):
    options, message = NO_LATTICE[what]
    system = users_system(kwant, **options).finalized()
    device, m, sites = Device.from_kwant(system, PARAMETERS, fermi_energy=1.9)
    assert isinstance(device, GeneralDevice)
    assert re.search(message, device.reason)
    through = kwant.greens_function(system, 1.9, params=PARAMETERS).transmission(1, 0)
    assert through > 0.1
    assert device.transmission(1.9, m) == pytest.approx(through, abs=1e-10)
    assert sites.tolist() == list(range(len(system.sites)))


def test_kwant_systems_without_leads_are_none(kwant):
    with pytest.raises(ValueError, match="it has 0 leads; allowed"):
        Device.from_kwant(users_system(kwant, leads="").finalized(), PARAMETERS)


def test_other_lattices_and_systems_that_are_not_finalized(kwant):
    with pytest.raises(ValueError, match=r"must be a finalized system of a kwant.Builder; call its method `finalized"):
        Device.from_kwant(users_system(kwant), PARAMETERS)
    triangular = kwant.lattice.Monatomic([(1, 0), (0.5, 3**0.5 / 2)], norbs=2)
    device = Device.from_kwant(users_system(kwant, lattice=triangular).finalized(), PARAMETERS).device
    assert "of lead 0 along it is -1.2 times the unit matrix; allowed: 0 times" in device.reason
    precalculated = users_system(kwant).finalized().precalculate(1.0, params=PARAMETERS, what="selfenergy")
    device = Device.from_kwant(precalculated, PARAMETERS).device
    assert "lead 0 is a PrecalculatedLead; allowed" in device.reason
    with pytest.raises(ValueError, match="lead 0 is known by its self-energy at real energies alone"):
        device.spin_density()
