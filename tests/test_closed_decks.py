"""Decks without leads on a torus or with bonds to farther neighbours: what is written, going on, what is refused."""

import numpy as np
import pytest

from llgnegf import load_deck, open_run, resume, run
from llgnegf.compare import NothingToCompare, compare
from llgnegf.deck import closed_conflicts, parse_deck
from llgnegf.errors import DeckError, RunError, RunWarning
from llgnegf.estimate import estimate
from llgnegf.parts.electrons import build_device
from llgnegf.parts.moments import build_magnet
from llgnegf.response_report import response_of
from llgnegf.summary import summary
from llgnegf.unit_table import units_of
from tests.electrons.test_kondo_lattice import texture
from tests.test_simulation import assert_same

CHAIN = """
[lattice]
shape = [5]
periodic = "x"
[texture]
kind = "random"
[magnet]
exchange = 0.1
field = [0.1, 0.0, 0.2]
damping = 0.05
[electrons]
hopping = [1.0, 0.3]
sd_exchange = 0.6
fermi_energy = -0.6
temperature = 0.1
spin_orbit = {rashba = 0.2}
[[electrons.gate]]
columns = [1]
amplitude = 0.3
frequency = 0.7
[integrator]
step = 0.2
electrons = "stage"
[run]
duration = 2.0
save_every = 0.4
checkpoint_every = 2
"""


def deck(text=CHAIN, **changes):
    return parse_deck(text, overrides={key.replace("__", "."): value for key, value in changes.items()})


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    path = tmp_path_factory.mktemp("closed") / "run.h5"
    run(deck(), path).close()
    return path


def test_printed_numbers_from_a_deck(tmp_path):
    np.save(tmp_path / "m.npy", texture())
    (tmp_path / "texture.toml").write_text("")
    changes = {"texture": {"kind": "file", "path": str(tmp_path / "m.npy")}, "magnet.exchange": -0.1}
    golden = load_deck("kondo_torus", changes | {"electrons.temperature": 0.0, "run.duration": 0.0})
    with run(golden, tmp_path / "run.h5") as found:
        assert found["grand_potential_total"][0] / 36 == pytest.approx(-1.98657216, abs=5e-9)
        J, magnet = 0.5, build_magnet(golden)
        field = J * found["spin_adiabatic"][0, 0, 0] - [0, 0, 0.4]
        assert field == pytest.approx([0.0507964, 0.0507964, -0.384519], abs=6e-7)
        m = texture()
        whole = magnet.velocity(magnet.pack(m), magnet.pack(J * found["spin_adiabatic"][0]))
        by_hand = -np.cross(m[0, 0], field + 0.5 * np.cross(m[0, 0], field)) / 1.25  # damping 0.5
        assert magnet.unpack(whole)[0, 0] == pytest.approx(by_hand, abs=1e-6)


def test_moments_obey_their_equation(done):
    table = deck()
    device, magnet = build_device(table), build_magnet(table)
    with open_run(done) as found:
        for k, t in enumerate(found.times):
            m, v = found.moment[k], found.velocity[k]
            V, rate = np.zeros((2, 5))
            V[1], rate[1] = 0.3 * np.cos(0.7 * t), -0.21 * np.sin(0.7 * t)
            spin = device.spin_density(m, v, V, rate)
            assert found["spin_sea"][k] == pytest.approx(spin.sea, abs=1e-9)
            assert found["density"][k] == pytest.approx(spin.density, abs=1e-9)
            assert found["torque"][k] == pytest.approx(0.6 * np.cross(spin.sea, m), abs=1e-9)
            expected = magnet.unpack(magnet.velocity(magnet.pack(m), magnet.pack(0.6 * spin.total)))
            assert v == pytest.approx(expected, abs=1e-9)
            gap = found["level_gap"][k]
            fastest = max(0.7, np.linalg.norm(v, axis=-1).max())
            assert found["rate_over_gap"][k] == pytest.approx(fastest / gap, rel=1e-9)
        assert abs(found["spin_sea"][:]).max() > 1e-2
        assert not {"current_charge", "rate_over_width", "torque_spin_orbit"} & set(found.names)
        assert "matrices diagonalised so far" in summary(found)
        assert "times as fast as levels at E_F are apart" in summary(found)


def test_going_on_changes_no_bit(done, tmp_path):
    path = tmp_path / "parts.h5"
    run(deck(), path, until=0.8).close()
    resume(path).close()
    assert_same(path, done)


def test_energy_is_conserved(tmp_path):
    """At order 1 as well: the answer to dm/dt does no work, though it turns the moments."""
    same = {"magnet__damping": 0.0, "electrons__gate": [], "integrator__step": 0.05, "run__checkpoint_every": 100}
    last = []
    for order in (1, 0):
        with run(deck(**same, electrons__order=order), tmp_path / f"{order}.h5") as found:
            energy = np.asarray(found["energy_classical"]) + np.asarray(found["grand_potential"])
            assert np.ptp(energy) < 1e-7
            assert np.ptp(found["grand_potential"]) > 1e-3
            last.append(found["moment"][-1])
    assert abs(last[0] - last[1]).max() > 1e-3


def test_inertia_and_moments_at_rest(tmp_path):
    given = {"motion": {"kind": "inertial", "velocity": "from_llg"}, "magnet__inertia": 1.0}
    with run(deck(**given), tmp_path / "inertial.h5") as found:
        device = build_device(deck())
        spin = device.spin_density(found.moment[0], found.velocity[0], 0.3 * np.eye(5)[1])
        assert found["spin_sea"][0] == pytest.approx(spin.sea, abs=1e-9)
    with run(deck(motion={"kind": "frozen"}), tmp_path / "frozen.h5") as found:
        rate = np.zeros(5)
        rate[1] = -0.21 * np.sin(0.7 * 2.0)
        spin = device.spin_density(found.moment[-1], None, np.eye(5)[1] * 0.3 * np.cos(1.4), rate)
        assert found["spin_sea"][-1] == pytest.approx(spin.sea, abs=1e-9)


def test_a_band_that_is_full(tmp_path):
    with run(deck(electrons__fermi_energy=9.0, run__duration=0.4), tmp_path / "run.h5") as found:
        assert np.isnan(found["level_gap"][:]).all()
        assert not np.any(found["rate_over_gap"])
        assert found["density"][-1] == pytest.approx(np.full(5, 2.0), abs=1e-9)
        assert "level_gap                          none" in summary(found)


def test_a_level_at_the_fermi_energy_ends_a_run_of_first_order(tmp_path):
    given = {"electrons__temperature": 0.0, "electrons__fermi_energy": 0.0, "electrons__sd_exchange": 0.0}
    given |= {"electrons__hopping": 1.0, "electrons__spin_orbit": {}, "lattice__shape": [4]}
    with pytest.raises(RunError, match="a level of the closed system lies at the Fermi energy 0"), told():
        run(deck(**given), tmp_path / "run.h5")
    with told(), run(deck(**given, electrons__order=0), tmp_path / "order 0.h5") as found:
        assert np.isfinite(found["density"][:]).all()


def told():
    return pytest.warns(RunWarning, match="lie at the Fermi energy 0: at kT = 0 they are half filled")


def test_words(done):
    assert "10 levels without leads, diagonalised" in estimate(deck())
    assert "matrices diagonalised in all" in estimate(deck())
    assert "electrons.hopping[1]" in units_of(deck(), None)
    single = {"lattice__shape": [1], "electrons__hopping": 1.0, "electrons__gate": [], "magnet__exchange": 0.0}
    with (
        open_run(done) as found,
        pytest.raises(NothingToCompare, match="electrons without leads that are diagonalised"),
    ):
        compare(found)
    assert build_device(deck(**single)).levels([[0, 0, 1.0]]) == pytest.approx([-0.6, 0.6])


LEAD = {"electrons.lead": [{"side": "left"}]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (LEAD, 'lattice.periodic = "x": the leads need an open x; allowed for a chain with electrons.lead: false'),
        (LEAD | {"lattice.periodic": False}, "electrons.hopping = [1.0, 0.3]: leads have bonds to nearest neighbours"),
        ({"lattice.periodic": "xy"}, 'lattice.periodic = "xy": a chain has no y; allowed for a chain without leads'),
        ({"lattice.shape": [5, 3], "lattice.periodic": True}, "name the periodic axes of a square lattice"),
        ({"lattice.shape": [2501]}, "2501 sites; allowed with"),
        (
            {"motion.kind": "precession", "motion.axis": [0, 0, 1], "motion.frequency": 0.1},
            'motion.kind = "precession"',
        ),
        ({"motion.kind": "tensor", "electrons.gate": []}, 'motion.kind = "tensor": not available without leads'),
        ({"electrons.noise": True, "magnet.damping": 0.0}, "electrons.noise = true: not available without leads"),
        (
            {"electrons.response_tensors": True, "lattice.shape": [101]},
            "on 101 sites; allowed without leads: up to 100",
        ),
        ({"electrons.bath": {"sites": [0], "width": 0.1, "zero_current": False}}, "electrons.bath = {sites"),
        ({"electrons.hopping": [1.0, 0.3, 1e11]}, "electrons.hopping[2] = 100000000000.0: is far out of scale"),
        ({"electrons.hopping": []}, "electrons.hopping = []: must be a number > 0, or a list of up to three"),
        ({"electrons.hopping": [1.0, True]}, "must be a number > 0, or a list of up to three"),
        (
            {"electrons.method": "real-time", "electrons.spin_orbit": {}},
            'electrons.method = "real-time": not available without leads, lattice.periodic = "x"',
        ),
    ],
)
def test_refused(changes, words):
    with pytest.raises(DeckError) as error:
        parse_deck(CHAIN, overrides=changes)
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_response_tensors(tmp_path):
    plain = {"electrons__spin_orbit": {}, "electrons__response_tensors": True}
    report = response_of(deck(**plain), (0.1,))
    assert "friction         from" in report.text()
    assert abs(report.tensors.friction).max() < 1e-12 < 1e-3 < abs(report.exchange.J).max()
    with run(deck(**plain), tmp_path / "run.h5") as found:
        tensor = np.asarray(found["damping_tensor"])
        assert np.moveaxis(tensor, 2, 1).ravel() == pytest.approx(np.moveaxis(report.tensors.gilbert, 2, 1).ravel())


def test_leads_that_are_not_connected(done, tmp_path):
    """coupling = 0 is no lead; a list of one number is that number."""
    closed = [{"side": side, "coupling": 0.0} for side in ("left", "right")]
    with run(deck(electrons__lead=closed), tmp_path / "run.h5") as found, open_run(done) as expected:
        assert np.array_equal(found["moment"][-1], expected["moment"][-1])
    open_wire = deck(lattice__periodic=False, electrons__hopping=[1.3], electrons__lead=[{"side": "left"}])
    assert build_device(open_wire).hopping == 1.3


def test_keys_that_nobody_thought_of(monkeypatch):
    monkeypatch.setattr(closed_conflicts, "_USED", closed_conflicts._USED - {"fermi_energy"})
    with pytest.raises(DeckError, match=r"electrons.fermi_energy: not available without leads, lattice.periodic"):
        deck()
