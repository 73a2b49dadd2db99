"""Runs with `electrons.bath`: what is written, going on, what a deck may not ask."""

import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.build import build
from llgnegf.deck import conflicts, parse_deck, spin_conflicts
from llgnegf.electrons import fitting
from llgnegf.errors import DeckError
from llgnegf.parts.electrons import build_device
from llgnegf.parts.moments import build_magnet
from llgnegf.watch import EnergyWatch
from tests.test_simulation import BASE, assert_same

BIASED = BASE.replace('side = "left"\n', 'side = "left"\nvoltage = 0.3\ntemperature = 0.02\n').replace(
    "coupling = 0.7\n", "coupling = 0.7\nchemical_potential = -0.05\n"
)
BATH = {"sites": [0, 2], "width": 0.3}


def deck(text=BIASED, **changes):
    changes = {"electrons__order": 0, "electrons__bath": BATH} | changes
    return parse_deck(text, overrides={key.replace("__", "."): value for key, value in changes.items()})


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    path = tmp_path_factory.mktemp("bath") / "run.h5"
    run(deck(), path).close()
    return path


def test_probes_are_part_of_a_run(done):
    table = deck()
    device, magnet = build_device(table), build_magnet(table)
    assert device.bath.sites == ((0,), (2,))
    assert device.bath.zero_current
    with open_run(done) as found:
        assert "grand_potential" not in found.names
        assert found["bath_current_spin"].dims == ("time", "bath", "component")
        for k, t in enumerate(found.times):
            m, V = found.moment[k], np.array([0.0, 0.3 * np.cos(1.1 * t + 0.4), 0.0])
            spin = device.spin_density(m, potential=V)
            assert abs(found.spin_adiabatic[k] - spin.adiabatic).max() < 1e-7
            assert abs(found.spin_bias[k] - spin.bias).max() < 1e-7
            assert abs(found.density[k] - spin.density).max() < 1e-7
            charge, into_bath = device.bath_currents(m, potential=V)
            assert abs(found["bath_current_charge"][k]).max() < 1e-10
            assert abs(charge).max() < 1e-10
            assert abs(found["bath_current_spin"][k] - into_bath).max() < 1e-7
            assert abs(found.current_charge[k].sum()) < 1e-12
            # The moments obey their equation in the field of all electrons.
            expected = magnet.unpack(magnet.velocity(magnet.pack(m), magnet.pack(0.8 * spin.total)))
            assert abs(expected - found.velocity[k]).max() < 1e-6
        assert abs(found["bath_current_spin"][:]).max() > 1e-3


def test_going_on_changes_no_bit(done, tmp_path):
    path = tmp_path / "parts.h5"
    run(deck(), path, until=0.5).close()
    resume(path).close()
    assert_same(path, done)


def test_a_voltage_in_time_at_order_0(tmp_path):
    voltage = {"amplitude": 0.3, "profile": {"kind": "ramp", "duration": 1.0}}
    with run(deck(electrons__lead__0__voltage=voltage, run__duration=0.6), tmp_path / "run.h5") as found:
        for k in range(len(found.times)):
            assert abs(found["bath_current_charge"][k]).max() < 1e-10
        device = build_device(deck(electrons__lead__0__voltage=float(found["voltage"][-1][0])))
        V = np.array([0.0, 0.3 * np.cos(1.1 * found.times[-1] + 0.4), 0.0])
        expected = device.lead_currents(found.moment[-1], potential=V)[0]
        assert found.current_charge[-1] == pytest.approx(expected, abs=1e-7)


def test_all_sites_of_a_lattice_and_moments_at_rest(tmp_path):
    text = BIASED.replace("shape = [3]", "shape = [2, 2]")
    bath = {"sites": "all", "width": 0.2, "zero_current": False}
    with run(deck(text, electrons__bath=bath, motion__kind="frozen", run__duration=0.3), tmp_path / "run.h5") as found:
        into_bath, into_leads = found["bath_current_charge"][:], found.current_charge[:]
        assert into_bath.shape == (len(found.times), 4)
        assert abs(into_bath.sum(axis=1) + into_leads.sum(axis=1)).max() < 1e-6
        assert abs(into_bath).max() > 1e-3


def test_without_a_bias_there_is_no_current_to_write(tmp_path):
    with run(deck(BASE, run__duration=0.3), tmp_path / "run.h5") as found:
        assert not {"bath_current_charge", "bath_current_spin"} & set(found.names)
        assert abs(found.spin_adiabatic[:]).max() > 0.1


@pytest.mark.parametrize(
    ("probe", "biased"), [(True, False), (False, False), pytest.param(True, True, marks=pytest.mark.slow)]
)
def test_first_order(probe, biased, tmp_path):
    text, bath = BIASED if biased else BASE, BATH | {"zero_current": probe}
    changes = {"electrons__tolerance": 1e-5, "electrons__velocity_tolerance": 1e-7} if biased else {}
    table = deck(text, electrons__order=1, electrons__bath=bath, run__duration=0.3 if biased else 0.6, **changes)
    near = 1e-4 if biased else 1e-6
    device, magnet = build_device(table), build_magnet(table)
    with run(table, tmp_path / "run.h5") as found:
        for k, t in enumerate(found.times):
            m, v = found.moment[k], found.velocity[k]
            V = np.array([0.0, 0.3 * np.cos(1.1 * t + 0.4), 0.0])
            rate = np.array([0.0, -0.33 * np.sin(1.1 * t + 0.4), 0.0])
            spin = device.spin_density(m, v, V, rate)
            for name in ("adiabatic", "sea", "surface", *(("bias", "bias_motion") if biased else ())):
                assert abs(found[f"spin_{name}"][k] - getattr(spin, name)).max() < near
            charge, into_bath = device.bath_currents(m, v, V, rate)
            assert abs(found["bath_current_charge"][k] - charge).max() < near
            assert abs(found["bath_current_spin"][k] - into_bath).max() < near
            assert abs(found.current_charge[k] - device.lead_currents(m, v, V, rate)[0]).max() < near
            expected = magnet.unpack(magnet.velocity(magnet.pack(m), magnet.pack(0.8 * spin.total)))
            assert abs(expected - v).max() < near
        assert (abs(found["bath_current_charge"][:]).max() < 1e-14) == probe
        assert abs(found["bath_current_spin"][:]).max() > 1e-4


def test_energy_is_conserved_in_equilibrium(tmp_path):
    """At order 0, without damping, of moments and electrons together."""
    changes = {"electrons__gate": [], "magnet__damping": 0.0, "run__duration": 3.0, "integrator__step": 0.05}
    with run(deck(BASE, **changes), tmp_path / "run.h5") as found:
        energy, electrons = found.energy_classical[:], found.grand_potential[:]
        assert abs(np.ptp(electrons)) > 1e-2
        assert np.ptp(energy + electrons) < 1e-6
    table = deck(BASE, electrons__gate=[])
    assert EnergyWatch(table, build_magnet(table)).applies


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"electrons__order": 1, "electrons__lead": []},
            "without a lead nothing carries away what a motion pumps into probes; allowed: a lead, electrons.order = 0",
        ),
        (
            {"motion__kind": "precession", "motion__axis": [0, 0, 1], "motion__frequency": 0.1},
            'electrons.bath = {sites = ..., width = ...}: motion.kind = "precession"',
        ),
        ({"electrons__bath__width": 0.0}, "electrons.bath.width = 0.0: must be a number > 0"),
        ({"electrons__bath__width": 1e-11}, "electrons.bath.width = 1e-11: is far out of scale; allowed: 1e-09"),
        ({"electrons__bath__width": 1e12}, "electrons.bath.width = 1000000000000.0: is far out of scale"),
        ({"electrons__bath__sites": [3]}, "electrons.bath.sites = [3]: 3 lies outside the lattice; allowed: 0 to 2"),
        ({"electrons__bath__sites": [1, 1]}, "electrons.bath.sites = [1, 1]: 1 is there twice"),
        ({"electrons__bath__sites": [[0, 1]]}, "is no site of a chain"),
        ({"electrons__bath__sites": []}, "electrons.bath.sites = []: no site"),
        ({"electrons__bath__sites": "every"}, 'electrons.bath.sites = "every": must be "all" or a list of sites'),
        ({"electrons__bath__zero_current": 1}, 'electrons.bath.zero_current = 1: must be true, false or "net"'),
        ({"electrons__bath": 0.1}, "electrons.bath = 0.1: must be a table"),
        ({"electrons__bath": {"sites": [0]}}, "electrons.bath.width is missing"),
        ({"electrons__bath": BATH | {"gamma": 1}}, "electrons.bath.gamma = 1: unknown key"),
    ],
)
def test_contradictions_are_told(changes, said):
    with pytest.raises(DeckError) as raised:
        build(deck(**changes))
    assert said in str(raised.value)


def test_too_many_sites_are_told():
    bath = {"sites": "all", "width": 0.1}
    with pytest.raises(DeckError, match=r"a bath on 1200 of 1200 sites; allowed: a product of the two up to 1000000"):
        deck(BASE.replace("shape = [3]", "shape = [1200]"), electrons__bath=bath)


def test_decks_and_devices_have_the_same_bounds():
    """Decks do not import the device, whose bounds these are."""
    assert spin_conflicts.LEAST_WIDTH == fitting.LEAST_WIDTH
    assert (conflicts.MOST_PAIRS, conflicts.MOST_NET_PAIRS) == (fitting.MOST_PAIRS, fitting.MOST_NET_PAIRS)
