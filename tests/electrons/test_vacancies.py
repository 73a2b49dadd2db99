"""Sites without an orbital, beside dense matrices from which they are left out."""

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead, ToleranceError
from llgnegf.electrons.counter import Counter
from llgnegf.electrons.slice_blocks import Slices
from llgnegf.electrons.slices_near_levels import _blocks
from tests.electrons.spin_systems import FERROMAGNETS, ORBIT, device_of, errors, motion, parts_of, system

SOME = ((1, 1), (2, 0))


@pytest.mark.parametrize("kT", [0.0, pytest.param(0.05, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ((4, 3), {"vacancies": SOME}),
        ((4, 3), {"vacancies": ((0, 1), (3, 2))}),  # beside the leads
        ((4, 3), {"vacancies": SOME, "periodic": True} | ORBIT),
        ((3, 2), {"vacancies": ((1, 0),)} | FERROMAGNETS),
        ((4, 1), {"vacancies": ((0, 0),)}),
        ((4, 1), {"vacancies": ((2, 0),)}),
        ((4, 1), {"vacancies": ((2, 0),)} | FERROMAGNETS),
        ((4, 1), {"vacancies": ((0, 0), (3, 0)), "fermi_energy": 0.1}),
        ((2, 1), {"vacancies": ((0, 0), (1, 0))}),
        ((4, 3), {"vacancies": SOME, "couplings": (0.0, 0.0)}),
    ],
)
def test_parts(shape, given, kT):
    oracle = system(1, shape, temperature=kT, **given)
    if shape == (4, 1) and len(oracle.vacancies) == 2 and kT:
        with pytest.raises(ToleranceError, match="have no contact"):  # levels between two vacancies
            errors(oracle)
        return
    if not any(oracle.couplings):
        device = device_of(oracle)
        closed = closed_parts(oracle)
        found = parts_of(device, oracle)
        assert found["adiabatic"] == pytest.approx(closed[0], abs=1e-9)
        assert found["sea"] + found["surface"] == pytest.approx(closed[1], abs=1e-8)
        return
    found = errors(oracle)
    assert max(found.values()) < 1e-9, found
    parts = parts_of(device_of(oracle), oracle)
    for site in oracle.vacancies:
        at = site[:1] if oracle.ny == 1 else site
        assert all((part[at] == 0.0).all() for part in parts.values())


def closed_parts(oracle):
    """Adiabatic density and first order of a closed lattice whose level populations are frozen, from its levels."""
    there = np.ix_(oracle.kept, oracle.kept)
    E, U = np.linalg.eigh(oracle.H[there])
    kT, mu = oracle.temperature, oracle.fermi_energy
    f = 1 / (1 + np.exp((E - mu) / kT)) if kT else np.heaviside(mu - E, 0.5)
    gap = E[:, None] - E[None, :]
    far = abs(gap) > 1e-9
    rate = U.conj().T @ oracle.Hd[there] @ U
    first = np.where(far, 1j * (f[:, None] - f[None, :]) * rate / np.where(far, gap, 1) ** 2, 0)
    out = []
    for matrix in (np.diag(f), first):
        full = np.zeros((oracle.size, oracle.size), complex)
        full[there] = U @ matrix @ U.conj().T
        out.append(oracle.on_sites(full))
    return out


@pytest.mark.parametrize("kT", [0.0, pytest.param(0.05, marks=pytest.mark.slow)])
def test_bias_and_transmission(kT):
    oracle, mu = system(2, (4, 3), temperature=kT, vacancies=SOME), (0.5, 0.1)
    m, _, potential, _ = motion(oracle)
    device = device_of(oracle, leads=[Lead("left", chemical_potential=0.5), Lead("right", chemical_potential=0.1)])
    found = device.spin_density(m, None, potential)
    both = np.concatenate([found.density_bias[..., None], found.bias], axis=-1)
    assert both == pytest.approx(oracle.biased(mu, kT), abs=1e-9)
    assert device.transmission(0.3, m, potential).sum() == pytest.approx(oracle.transmission(0.3), abs=1e-11)


def test_matrices_for_levels():
    """H and the self-energies from which levels are found: those of the dense calculation, vacancies far away."""
    oracle = system(7, (3, 2), vacancies=((0, 1), (1, 0)))
    device = device_of(oracle)
    H = device.freeze(oracle.m, oracle.potential).sweeps.dense_hamiltonian()
    there = np.ix_(oracle.kept, oracle.kept)
    assert H[there] == pytest.approx(oracle.H[there], abs=1e-12)
    far = np.ix_(~oracle.kept, ~oracle.kept)
    assert H[far] == pytest.approx(H[far][0, 0] * np.eye(4), abs=0)
    assert 10 < H[far][0, 0].real < 1000
    assert not H[np.ix_(oracle.kept, ~oracle.kept)].any()
    sigma = sum(oracle.self_energies(np.array([0.3]))[0])[0]
    for part, found, _ in device.end_self_energies(0.3):
        assert found == pytest.approx(sigma[part, part], abs=1e-12)


def test_spin_balance_and_flows():
    oracle = system(3, (4, 3), vacancies=SOME)
    device = device_of(oracle)
    assert abs(device.spin_balance(*motion(oracle))).max() < 1e-8
    flows = device.currents(*motion(oracle))
    assert abs(flows.charge["surface"][1:3, 1]).max() < 1e-9  # over the bonds along x of the vacancy (1, 1)
    assert abs(flows.charge["surface"]).max() > 1e-2


def test_what_is_given_on_a_vacancy_is_not_used():
    oracle = system(4, (4, 3), vacancies=SOME)
    device, (m, mdot, potential, rate) = device_of(oracle), motion(oracle)
    a = device.spin_density(m, mdot, potential, rate)
    for site in SOME:
        m[site], mdot[site], potential[site], rate[site] = (0, 0, 2), (1, 0, 0), 7.0, -3.0
    b = device.spin_density(m, mdot, potential, rate)
    for name in ("adiabatic", "sea", "surface"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), abs=1e-8)


def test_a_hard_wall_of_vacancies_is_a_narrower_lattice():
    """Two rows of vacancies leave independent strips; the upper one has its own leads' modes cut away as well."""
    oracle = system(5, (3, 3), vacancies=tuple((x, 1) for x in range(3)), couplings=(0.0, 0.0), temperature=0.2)
    m, mdot, potential, _ = motion(oracle)
    whole = device_of(oracle, leads=[]).spin_density(m, mdot, potential)
    row_of = Device(3, sd_exchange=0.7, fermi_energy=0.3, temperature=0.2, tolerance=1e-9, leads=[])
    alone = row_of.spin_density(m[:, 2], mdot[:, 2], potential[:, 2])
    for name in ("adiabatic", "sea", "surface"):
        assert getattr(whole, name)[:, 2] == pytest.approx(getattr(alone, name), abs=1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Device(4, sd_exchange=0.1, vacancies=[4]), r"vacancies: 4 is no site of a system of shape \(4,\)"),
        (lambda: Device((4, 3), sd_exchange=0.1, vacancies=[2]), "vacancies: 2 is no site"),
        (lambda: Device((4, 3), sd_exchange=0.1, vacancies=[(1, 1), (1, 1)]), "each site once"),
        (lambda: Device((4, 3), sd_exchange=0.1, vacancies=["a"]), "is no site"),
        (lambda: Device(4, sd_exchange=0.1, vacancies=[1], bath=Bath([0], 0.1)), "not available with vacancies"),
        (lambda: Device(4, sd_exchange=0.1, vacancies=[1]).to_kwant(np.ones((4, 3))), "to_kwant: not available"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("Y", [None, system(6, (3, 2)).mdot[..., :1, None] * np.array([[1, 2j], [-2j, 3]])])
def test_near_levels_the_whole_matrix_is_inverted(Y):
    """The same blocks, bonds included, as by partial lattices where there are no vacancies."""
    rng = np.random.default_rng(0)
    h = rng.normal(size=(3, 4, 4)) + 0j
    sigma = rng.normal(size=(2, 2, 8, 8)) - 1j * np.eye(8) if Y is not None else rng.normal(size=(2, 2, 4, 4)) + 0j
    if Y is not None:
        sigma[..., :4, 4:] = sigma[..., 4:, :4] = 0.0
    z = np.array([0.3 + 0.1j, 0.5 + 0.2j])
    z = z if Y is None else np.stack([z, z + 0.01j], axis=1)
    found = [
        _blocks(Slices(h, np.array([1.0, 0.7]), Counter(), holes), z, tuple(sigma), Y, True)
        for holes in (None, np.zeros((3, 2), bool))
    ]
    assert found[1] == pytest.approx(found[0], abs=1e-11)
