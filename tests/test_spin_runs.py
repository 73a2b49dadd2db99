"""Runs whose bonds and leads know the spin: numbers, files, resuming, and what is refused."""

import json

import numpy as np
import pytest

from llgnegf import build_device, load_deck, open_run, resume, run
from llgnegf.cli import main
from llgnegf.compare import NothingToCompare, compare
from llgnegf.deck import parse_deck
from llgnegf.electrons import Polarization, SpinHopping, SpinOrbit
from llgnegf.errors import DeckError
from llgnegf.spin_transfer import exchange_of, spin_transfer

CHAIN = """
[lattice]
shape = [4]
[texture]
kind = "bloch_wall"
width = 1.0
[magnet]
exchange = 0.4
field = [0.1, 0.0, 0.3]
damping = 0.1
[electrons]
sd_exchange = 0.8
fermi_energy = 0.2
tolerance = 1e-4
spin_orbit = {rashba = 0.3, dresselhaus = -0.1}
[[electrons.lead]]
side = "left"
coupling = 0.7
hopping = 1.2
[[electrons.lead]]
side = "right"
polarization = {direction = [0, 1, 1], splitting = 0.5}
[integrator]
step = 0.1
[run]
duration = 0.3
"""
HOPPING = {"electrons.spin_hopping": {"along_x": [0.2, 0.0, -0.1], "imaginary_x": [0.0, 0.1, 0.0]}}
LATTICE = {"lattice.shape": [3, 2], "run.duration": 0.1}
EXCHANGE = np.array([0.8, -0.2, 0.5, 0.0])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("j.npy", EXCHANGE)
    return tmp_path


def deck(**changes):
    return parse_deck(CHAIN, overrides=changes)


def test_a_deck_makes_this_device():
    device = build_device(deck(**{"electrons.sd_exchange": {"file": "j.npy"}}))
    assert device.spin_orbit == SpinOrbit(0.3, -0.1)
    left, right = device.leads
    assert (left.hopping, left.polarization, right.hopping) == (1.2, None, None)
    assert right.polarization == Polarization((0.0, 1.0, 1.0), 0.5)
    assert (device.sd_exchange == EXCHANGE).all()
    assert build_device(deck(**{"electrons.spin_orbit": {}})).spin_orbit is None
    assert device.spin_hopping is None
    device = build_device(
        deck(**HOPPING | {"lattice.shape": [3, 2], "electrons.spin_hopping.imaginary_y": [0.0, 0.3, 0.0]})
    )
    assert device.spin_hopping == SpinHopping((0.2, 0.1j, -0.1), (0, 0.3j, 0))


@pytest.mark.parametrize("changes", [{}, LATTICE, HOPPING], ids=["chain", "lattice", "hopping"])
@pytest.mark.parametrize("refresh", ["stage", "adaptive"])
def test_a_run_holds_what_the_device_says(changes, refresh):
    one = deck(**changes, **{"integrator.electrons": refresh})
    with run(one, "a.h5") as found:
        device, m, velocity = build_device(one), found["moment"][-1], found["velocity"][-1]
        spin = device.spin_density(m, velocity)
        for name in ("adiabatic", "sea", "surface"):
            np.testing.assert_allclose(found[f"spin_{name}"][-1], getattr(spin, name), atol=1e-4)
        T = 0.8 * np.cross(spin.nonadiabatic, m)
        np.testing.assert_allclose(found["torque"][-1], T, atol=2e-4)
        by_origin = device.currents(m, velocity).torque_spin_orbit
        np.testing.assert_allclose(found["torque_spin_orbit"][-1], by_origin["sea"] + by_origin["surface"], atol=2e-4)
        assert abs(by_origin["surface"]).max() > 1e-3
        charge, currents = device.lead_currents(m, velocity)
        np.testing.assert_allclose(found["current_charge"][-1], charge, atol=1e-3)
        np.testing.assert_allclose(found["current_spin"][-1], currents, atol=1e-3)
        # The velocity solves the equation with all of the electrons' field in it.
        B = 0.8 * spin.total
        classical = parse_deck(CHAIN, overrides=dict(changes)).magnet
        assert classical.damping == 0.1
        assert abs(np.einsum("...a,...a", velocity, m)).max() < 1e-6
        assert abs(B).max() > 0.1


def test_energy_is_conserved_at_order_0():
    """Moments and electrons together, without damping: s is the derivative of the grand potential."""
    changes = {"electrons.order": 0, "magnet.damping": 0.0, "run.duration": 2.0, "electrons.tolerance": 1e-8}
    with run(deck(**changes, **{"integrator.step": 0.05, "integrator.electrons": "stage"}), "a.h5") as found:
        energy = np.asarray(found["energy_classical"]) + np.asarray(found["grand_potential"])
        assert abs(energy - energy[0]).max() < 1e-5 < 1e-3 < np.ptp(np.asarray(found["grand_potential"]))


def test_an_exchange_of_each_site():
    by_file = {"electrons.sd_exchange": {"file": "j.npy"}}
    with run(deck(**by_file), "file.h5") as found:
        assert (np.asarray(found["sd_exchange"]) == EXCHANGE).all()
        spin = build_device(deck(**by_file)).spin_density(found["moment"][0], found["velocity"][0])
        T = EXCHANGE[:, None] * np.cross(spin.nonadiabatic, found["moment"][0])
        np.testing.assert_allclose(found["torque"][0], T, atol=1e-4)
        assert (exchange_of(found) == EXCHANGE).all()
        found_T = spin_transfer(found).torques["equilibrium"][0]
        np.testing.assert_allclose(found_T, EXCHANGE[:, None] * np.cross(spin.adiabatic, found["moment"][0]), atol=1e-4)
    np.save("same.npy", np.full(4, 0.8))
    run(deck(), "number.h5").close()
    run(deck(**{"electrons.sd_exchange": {"file": "same.npy"}}), "same.h5").close()
    with open_run("number.h5") as a, open_run("same.h5") as b:
        assert set(b.names) == {*a.names, "sd_exchange"}
        for name in a.names:
            np.testing.assert_array_equal(np.asarray(a[name]), np.asarray(b[name]), err_msg=name)


def test_resuming_takes_the_exchange_from_the_run_file():
    by_file = {"electrons.sd_exchange": {"file": "j.npy"}}
    run(deck(**by_file), "whole.h5").close()
    run(deck(**by_file | {"run.duration": 0.1}), "part.h5").close()
    np.save("j.npy", 2 * EXCHANGE)
    resume("part.h5", until=0.3).close()
    with open_run("whole.h5") as a, open_run("part.h5") as b:
        for name in a.names:
            np.testing.assert_array_equal(np.asarray(a[name]), np.asarray(b[name]), err_msg=name)


def test_compare_has_no_exact_result():
    single = {"lattice.shape": [1], "texture": {"kind": "uniform"}}
    with run(deck(**single), "a.h5") as found, pytest.raises(NothingToCompare, match="without spin-orbit coupling"):
        compare(found)


BATH = {"electrons.bath": {"sites": [1], "width": 0.1}}
TURNING = {"motion.kind": "precession", "motion.axis": [0, 0, 1], "motion.frequency": 0.1}
RAMP = {"electrons.lead.0.voltage": {"amplitude": 0.1, "profile": {"kind": "ramp", "duration": 1.0}}}
BESIDE = {"electrons.method": "real-time", "electrons.frozen_beside": True}
PLAIN = {"electrons.spin_orbit": {}, "electrons.lead": [{"side": "left"}, {"side": "right"}]}
FILE = {"electrons.sd_exchange": {"file": "j.npy"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            BESIDE | {"run.device": "gpu", "lattice.shape": [3, 2]},
            r"electrons\.spin_orbit\.rashba = 0\.3: not available with run\.device = .gpu",
        ),
        (BESIDE | TURNING, r"electrons\.lead\[1\]\.polarization = .*the frozen parts of a precession"),
        (BESIDE | RAMP, r"electrons\.lead\[0\]\.hopping = 1\.2: frozen electrons are without it at first order"),
        (
            TURNING | {"electrons.spin_orbit": {}},
            r"electrons\.lead\[1\]\.polarization = .*precession.*, or motion.axis along its direction",
        ),
        (BATH, r"electrons\.lead\[1\]\.polarization = .*: not available with electrons\.bath"),
        ({"electrons.lead.0.coupling": 0.0}, r"electrons\.lead\[0\]\.hopping: means nothing without contact"),
        ({"electrons.lead.0.hopping": 0.0}, r"electrons\.lead\[0\]\.hopping = 0\.0: must be a number > 0"),
        (
            {"electrons.lead.1.polarization": {"direction": [0, 0, 0], "splitting": 0.5}},
            r"electrons\.lead\[1\]\.polarization\.direction = \[0, 0, 0\]: must be three finite numbers",
        ),
        (
            {"electrons.lead.1.polarization": {"direction": [0, 0, 1], "splitting": -1.0}},
            r"electrons\.lead\[1\]\.polarization\.splitting = -1\.0: must be a number >= 0",
        ),
        ({"electrons.lead.1.polarization": {"direction": [0, 0, 1]}}, r"polarization\.splitting is missing"),
        ({"electrons.spin_orbit": {"rashba": 1e11}}, r"electrons\.spin_orbit\.rashba = .*far out of scale"),
        ({"electrons.spin_orbit": {"rasba": 0.1}}, r'electrons\.spin_orbit\.rasba = 0\.1: unknown key.*"rashba"'),
        ({"electrons.lead.0.hopping": 1e11}, r"electrons\.lead\[0\]\.hopping = .*far out of scale"),
        (
            {"electrons.lead.1.polarization": {"direction": [0, 0, 1], "splitting": 1e11}},
            r"electrons\.lead\[1\]\.polarization\.splitting = .*far out of scale",
        ),
    ],
)
def test_refused(changes, message):
    with pytest.raises(DeckError, match=message):
        deck(**changes)


WIDE = {"electrons.lead": [{"side": "left", "width": 0.6}, {"side": "right", "coupling": 0.9}]}


@pytest.mark.parametrize(
    "more",
    [
        {},
        BATH | {"electrons.bath.zero_current": False},
        {"lattice.shape": [3, 2], "lattice.vacancies": [[0, 1]], **HOPPING},
    ],
    ids=["leads", "bath", "lattice"],
)
def test_a_run_with_a_wide_band_lead(more):
    one = deck(**WIDE, **more)
    with run(one, "a.h5") as found:
        device, m, velocity = build_device(one), found["moment"][-1], found["velocity"][-1]
        assert [lead.width for lead in device.leads] == [0.6, None]
        spin, flows = device.spin_density(m, velocity), device.currents(m, velocity)
        np.testing.assert_allclose(found["spin_adiabatic"][-1], spin.adiabatic, atol=1e-4)
        np.testing.assert_allclose(found["spin_surface"][-1], spin.surface, atol=1e-4)
        assert abs(spin.surface).max() > 1e-2
        for k, name in enumerate(("charge", "spin")):
            over_bonds, into = flows.into_leads("sea", "surface")[k], device.lead_currents(m, velocity)[k]
            np.testing.assert_allclose(found[f"current_{name}"][-1], into, atol=1e-4)
            # Into the lead with a band the flow over its bonds is that of a chain alone.
            both = slice(1 if "lattice.shape" in more else 2)
            np.testing.assert_allclose(over_bonds[both], into[both], atol=1e-4)
        torque = np.sum([flows.torque_spin_orbit[origin] for origin in ("sea", "surface")], axis=0)
        np.testing.assert_allclose(found["torque_spin_orbit"][-1], torque, atol=1e-4)
        if "electrons.bath" in more:
            into = device.bath_currents(m, velocity)[1]
            np.testing.assert_allclose(found["bath_current_spin"][-1], into, atol=1e-4)
    run(deck(**WIDE, **more, **{"run.duration": 0.1}), "part.h5").close()
    resume("part.h5", until=0.3).close()
    with open_run("a.h5") as a, open_run("part.h5") as b:
        np.testing.assert_array_equal(np.asarray(a["moment"]), np.asarray(b["moment"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"electrons.lead.0.width": 0.5}, r"electrons\.lead\[0\]\.width = 0\.5: .*no coupling of its own"),
        ({"electrons.lead.1.width": 0.5}, r"electrons\.lead\[1\]\.width = 0\.5: .*no polarization of its own"),
        (WIDE | {"electrons.lead.0.width": 0.0}, r"electrons\.lead\[0\]\.width = 0\.0: must be"),
        (WIDE | {"electrons.lead.0.width": 1e11}, "far out of scale"),
        (
            WIDE | {"electrons.lead.1.polarization": {"direction": [0, 0, 1], "splitting": 0.5}},
            r"electrons\.lead\[0\]\.width = 0\.6: not available beside electrons\.lead\[1\]\.polarization",
        ),
        (
            WIDE | HOPPING,
            r"electrons\.lead\[0\]\.width = 0\.6: not available on a chain beside electrons\.spin_hopping\.along_x",
        ),
        (WIDE | TURNING, r"electrons\.lead\[0\]\.width = 0\.6: motion\.kind"),
        (
            WIDE | {"electrons.method": "real-time", "run.device": "gpu"},
            r"electrons\.lead\[0\]\.width = 0\.6: not available with run\.device",
        ),
        (WIDE | RAMP, r"electrons\.lead\[0\]\.width = 0\.6: not available beside a lead with a band"),
        (WIDE | {"electrons.noise": True}, r"electrons\.lead\[0\]\.width = 0\.6: the fluctuations"),
    ],
)
def test_refused_widths(changes, message):
    with pytest.raises(DeckError, match=message):
        deck(**changes)


BOTH_WIDE = {
    "electrons.lead": [{"side": "left", "width": 0.6}, {"side": "right", "width": 0.9}],
    "lattice.shape": [3, 2],
}


@pytest.mark.parametrize("changes", [{}, HOPPING, BOTH_WIDE], ids=["orbit", "hopping", "wide"])
def test_a_run_with_a_voltage_that_changes(changes):
    """At an instant the density has what moves, and what the rate of the voltage adds."""
    one = deck(**changes | RAMP, **{"run.duration": 0.2})
    with run(one, "a.h5") as found:
        m, velocity, voltage = found["moment"][-1], found["velocity"][-1], found["voltage"][-1]
        device = build_device(one).at_voltages(voltage)
        spin, leads = (
            device.spin_density(m, velocity),
            device.moving_leads(m).response((0.1 * np.pi / 2 * np.sin(0.2 * np.pi), 0.0)),
        )
        assert voltage[0] == pytest.approx(0.1 * np.sin(0.1 * np.pi) ** 2)
        np.testing.assert_allclose(found["spin_surface"][-1], spin.surface + leads.surface[..., 1:], atol=1e-4)
        assert abs(leads.surface[..., 1:]).max() > 2e-3
        into = device.lead_currents(m, velocity)[0] + leads.into_leads[:, 0]
        np.testing.assert_allclose(found["current_charge"][-1], into, atol=1e-4)


def test_a_precession_about_the_axis_of_the_bonds():
    """Rashba bonds of a chain turn spins about y."""
    turning = {"motion.kind": "precession", "motion.axis": [0, 2, 0], "motion.frequency": 0.1}
    one = deck(**PLAIN | turning | {"electrons.spin_orbit": {"rashba": 0.3}})
    with run(one, "a.h5") as found:
        m, velocity = found["moment"][-1], found["velocity"][-1]
        spin, device = build_device(one).spin_density(m, velocity), build_device(one)
        parts = sum(np.asarray(found[f"spin_{name}"][-1]) for name in ("geometric", "sea", "surface"))
        np.testing.assert_allclose(parts, spin.first_order, atol=1e-4)
        assert abs(spin.first_order).max() > 3e-3
        np.testing.assert_allclose(found["current_spin"][-1], device.lead_currents(m, velocity)[1], atol=1e-4)
    with pytest.raises(DeckError, match=r"electrons\.spin_orbit\.rashba = 0\.3: .*motion\.axis along"):
        deck(**PLAIN | TURNING | {"electrons.spin_orbit": {"rashba": 0.3}})


ABOUT = {
    "electrons.spin_orbit": {},
    "electrons.tolerance": 1e-8,
    "motion.kind": "precession",
    "motion.axis": [0, -2, -2],
}
ABOUT |= {"motion.frequency": 0.02}


def test_a_precession_beside_magnets_with_an_exchange_of_each_site(capsys):
    """Beside the exact one, leads of another hopping and a magnet along the axis: what is missed is of second order."""
    missed = []
    for frequency in (0.02, 0.01):
        one = deck(**ABOUT | FILE | {"motion.frequency": frequency})
        with run(one, f"{frequency}.h5") as found:
            (c,) = compare(found)
            missed.append(c.absolute_error.max())
            device, m, velocity = build_device(one), found["moment"][-1], found["velocity"][-1]
            first = device.spin_density(m, velocity)
            np.testing.assert_allclose(c.total, first.first_order, atol=1e-7)
            np.testing.assert_allclose(
                found["torque"][-1], EXCHANGE[:, None] * np.cross(first.first_order, m), atol=1e-7
            )
            np.testing.assert_allclose(found["current_spin"][-1], device.lead_currents(m, velocity)[1], atol=1e-7)
    assert missed[0] / missed[1] == pytest.approx(4, abs=0.4)
    np.testing.assert_allclose(c.torques()["sum"], EXCHANGE[:, None] * np.cross(c.total, c.m), atol=1e-12)
    assert main(["compare", "0.02.h5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"][0]["sd_exchange"] == EXCHANGE.tolist()
    assert main(["plot", "0.02.h5", "-o", "a.png"]) == 0


def test_real_time_beside_frozen_electrons_in_precession():
    """The same split is recorded beside electrons in real time."""
    with run(deck(**ABOUT | FILE | BESIDE | {"electrons.tolerance": 1e-4, "run.duration": 0.1}), "a.h5") as found:
        m, velocity = found["moment"][-1], found["velocity"][-1]
        parts = sum(np.asarray(found[f"spin_{name}"][-1]) for name in ("geometric", "sea", "surface"))
        first = build_device(found.deck).spin_density(m, velocity).first_order
        np.testing.assert_allclose(parts, first, atol=2e-4)
        assert abs(first).max() > 5e-4


def test_a_precession_with_a_vacancy():
    one = deck(**PLAIN | TURNING | {"lattice.vacancies": [1], "electrons.temperature": 0.05})
    with run(one, "a.h5") as found:
        first = build_device(one).spin_density(found["moment"][-1], found["velocity"][-1]).first_order
        parts = sum(np.asarray(found[f"spin_{name}"][-1]) for name in ("geometric", "sea", "surface"))
        np.testing.assert_allclose(parts, first, atol=1e-4)
        assert not parts[1].any()
        assert abs(first).max() > 1e-3
        with pytest.raises(NothingToCompare, match="vacancies"):
            compare(found)


ALONG_X = r"electrons\.spin_hopping\.along_x = \[0\.2, 0\.0, -0\.1\]: "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"electrons.spin_hopping.along_y": [0, 0, 0.1]}, r"along_y = \[0\.0, 0\.0, 0\.1\]: a chain has no y"),
        ({"electrons.spin_hopping.along_x": [0, 0.1]}, r"electrons\.spin_hopping\.along_x = .*three finite numbers"),
        ({"electrons.spin_hopping.along_x": [0, 0, 1e11]}, "far out of scale"),
        (HOPPING | {"electrons.method": "real-time", "run.device": "gpu"}, ALONG_X + r"not available with run\.device"),
        (HOPPING | TURNING, ALONG_X + r"motion\.kind"),
        (HOPPING | {"electrons.noise": True}, ALONG_X + "the fluctuations"),
        (PLAIN | HOPPING | BATH, ALONG_X + r"not available with electrons\.bath"),
    ],
)
def test_refused_hoppings(changes, message):
    with pytest.raises(DeckError, match=message):
        deck(**changes)


def test_compare_without_spin_hopping():
    single = {"lattice.shape": [1], "texture": {"kind": "uniform"}} | PLAIN | HOPPING
    with run(deck(**single), "a.h5") as found, pytest.raises(NothingToCompare, match="spin_hopping"):
        compare(found)


def test_a_wrong_file_of_an_exchange_is_told_by_its_key():
    with pytest.raises(DeckError, match=r"electrons\.sd_exchange\.file = .none\.npy.: "):
        build_device(deck(**{"electrons.sd_exchange": {"file": "none.npy"}}))
    np.save("short.npy", EXCHANGE[:2])
    with pytest.raises(DeckError, match=r"electrons\.sd_exchange\.file = .short\.npy.: .*shape"):
        build_device(deck(**{"electrons.sd_exchange": {"file": "short.npy"}}))
    np.save("large.npy", 1e12 * EXCHANGE)
    with pytest.raises(DeckError, match="far out of scale"):
        build_device(deck(**{"electrons.sd_exchange": {"file": "large.npy"}}))


def test_the_file_counts_from_the_folder_of_the_deck(tmp_path):
    (tmp_path / "decks").mkdir()
    (tmp_path / "decks" / "a.toml").write_text(CHAIN.replace("sd_exchange = 0.8", 'sd_exchange = {file = "../j.npy"}'))
    assert (build_device(load_deck(tmp_path / "decks" / "a.toml")).sd_exchange == EXCHANGE).all()


def test_leads_whose_bands_do_not_overlap_are_refused():
    with pytest.raises(DeckError, match="do not overlap"):
        build_device(deck(**{"electrons.lead.0.voltage": 6.0}))


# --- vacancies ------------------------------------------------------------------------------------------------------

HOLES = {"lattice.shape": [4, 3], "lattice.vacancies": [[1, 1], [2, 0]], "run.duration": 0.2}


def test_a_run_with_vacancies():
    with run(deck(**HOLES), "a.h5") as found:
        assert np.argwhere(np.asarray(found["vacancy"])).tolist() == [[1, 1], [2, 0]]
        device, m = build_device(deck(**HOLES)), found["moment"][-1]
        assert device.vacancies == ((1, 1), (2, 0))
        spin = device.spin_density(m, found["velocity"][-1])
        np.testing.assert_allclose(found["spin_adiabatic"][-1], spin.adiabatic, atol=1e-4)
        np.testing.assert_allclose(found["spin_surface"][-1], spin.surface, atol=1e-4)
        for name in ("moment", "velocity", "spin_adiabatic", "spin_sea", "spin_surface", "density", "torque"):
            assert not np.asarray(found[name])[:, [1, 2], [1, 0]].any()
        assert np.linalg.norm(m, axis=-1).sum() == pytest.approx(10)


def test_vacancies_by_file_and_resumed():
    mask = np.zeros((4, 3))
    mask[1, 1] = mask[2, 0] = 1
    np.save("mask.npy", mask)
    by_file = HOLES | {"lattice.vacancies": "mask.npy"}
    run(deck(**HOLES), "list.h5").close()
    run(deck(**by_file), "file.h5").close()
    run(deck(**by_file | {"run.duration": 0.1}), "part.h5").close()
    np.save("mask.npy", np.ones((4, 3)))
    resume("part.h5", until=0.2).close()
    with open_run("list.h5") as a, open_run("file.h5") as b, open_run("part.h5") as c:
        for name in a.names:
            np.testing.assert_array_equal(np.asarray(a[name]), np.asarray(b[name]), err_msg=name)
            np.testing.assert_array_equal(np.asarray(a[name]), np.asarray(c[name]), err_msg=name)


def test_vacancies_of_a_classical_run():
    before, _, electrons = CHAIN.partition("[electrons]")
    text = before + "[integrator]" + electrons.partition("[integrator]")[2]
    with run(parse_deck(text, overrides={"lattice.vacancies": [1]}), "a.h5") as found:
        assert not np.asarray(found["moment"])[:, 1].any()
        assert np.asarray(found["moment"])[:, [0, 2, 3]].any(axis=-1).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lattice.vacancies": [4]}, r"lattice\.vacancies = \[4\]: 4 lies outside the lattice"),
        ({"lattice.vacancies": [[0, 0]]}, r"lattice\.vacancies = .*is no site of a chain"),
        ({"lattice.vacancies": [1, 1]}, r"lattice\.vacancies = .*is there twice"),
        ({"lattice.vacancies": 1}, r"lattice\.vacancies = 1: must be a list of sites"),
        (
            PLAIN | {"lattice.vacancies": [[1, 0]], "lattice.shape": [3, 2], "run.device": "gpu"} | BESIDE,
            r"lattice\.vacancies: not available with run\.device",
        ),
        (PLAIN | {"lattice.vacancies": [2]} | BATH, r"lattice\.vacancies: not available with electrons\.bath"),
    ],
)
def test_refused_vacancies(changes, message):
    with pytest.raises(DeckError, match=message):
        deck(**changes)


def test_a_wrong_file_of_vacancies_is_told_by_its_key():
    with pytest.raises(DeckError, match=r"lattice\.vacancies = .none\.npy.: "):
        build_device(deck(**{"lattice.vacancies": "none.npy"}))


def test_a_lattice_of_vacancies_alone_is_told():
    every = [[x, y] for x in range(4) for y in range(3)]
    with pytest.raises(DeckError, match=r"lattice\.vacancies: all 12 sites"):
        run(deck(**HOLES | {"lattice.vacancies": every}), "a.h5")
