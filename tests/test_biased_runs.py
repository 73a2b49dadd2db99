"""Runs whose leads are at a bias: what moves the moments, what is written, going on, what a deck may not ask."""

import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.deck import parse_deck
from llgnegf.errors import DeckError
from llgnegf.parts.electrons import build_device
from llgnegf.parts.moments import build_magnet
from llgnegf.summary import summary
from llgnegf.watch import EnergyWatch
from tests.test_simulation import BASE, assert_same

BIASED = BASE.replace('side = "left"\n', 'side = "left"\nvoltage = 0.3\ntemperature = 0.02\n').replace(
    "coupling = 0.7\n", "coupling = 0.7\nchemical_potential = -0.05\n"
)


def deck(text=BIASED, **changes):
    return parse_deck(text, overrides={key.replace("__", "."): value for key, value in changes.items()})


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    path = tmp_path_factory.mktemp("biased") / "run.h5"
    run(deck(), path).close()
    return path


def test_current_driven_electrons_are_written_and_turn_the_moments(done):
    table = deck()
    device, magnet = build_device(table), build_magnet(table)
    with open_run(done) as found:
        assert "grand_potential" not in found.names
        for k, t in enumerate(found.times):
            m, v = found.moment[k], found.velocity[k]
            V = np.array([0.0, 0.3 * np.cos(1.1 * t + 0.4), 0.0])
            rate = np.array([0.0, -0.33 * np.sin(1.1 * t + 0.4), 0.0])
            spin = device.spin_density(m, v, V, rate)
            for name in ("adiabatic", "sea", "surface", "bias", "bias_motion"):
                assert abs(found[f"spin_{name}"][k] - getattr(spin, name)).max() < 1e-7
            assert abs(found.density[k] - spin.density).max() < 1e-7
            assert abs(found.torque[k] - 0.8 * np.cross(spin.nonadiabatic, m)).max() < 1e-7
            charge, spin_flow = device.lead_currents(m, v, V, rate)
            assert abs(found.current_charge[k] - charge).max() < 1e-7
            assert abs(found.current_spin[k] - spin_flow).max() < 1e-7
            assert abs(found.current_energy[k] - device.lead_energies(m, v, V, rate)).max() < 1e-7
            first = spin.sea + spin.surface + spin.bias_motion
            ratio = np.linalg.norm(first, axis=-1).max() / np.linalg.norm(spin.adiabatic, axis=-1).max()
            assert found.first_order_ratio[k] == pytest.approx(ratio, rel=1e-5)
            # The moments obey their equation in the field of all electrons.
            expected = magnet.unpack(magnet.velocity(magnet.pack(m), magnet.pack(0.8 * spin.total)))
            assert abs(expected - v).max() < 1e-6
        assert abs(found.spin_bias[:]).max() > 1e-2
        assert abs(found.spin_bias_motion[:]).max() > 1e-4
        assert "current_charge" in summary(found)


def test_going_on_changes_no_bit(done, tmp_path):
    path = tmp_path / "parts.h5"
    run(deck(), path, until=0.5).close()
    resume(path).close()
    assert_same(path, done)


def test_order_0_and_moments_at_rest_on_a_lattice(tmp_path):
    text = BIASED.replace("shape = [3]", "shape = [2, 2]")
    with run(deck(text, electrons__order=0, motion__kind="frozen", run__duration=0.3), tmp_path / "run.h5") as found:
        assert {"spin_bias", "torque", "current_charge", "current_spin", "current_energy"} <= set(found.names)
        assert not {"spin_sea", "spin_bias_motion", "first_order_ratio"} & set(found.names)
        device = build_device(deck(text))
        for k, t in enumerate(found.times):
            V = np.zeros((2, 2))
            V[1] = 0.3 * np.cos(1.1 * t + 0.4)
            spin = device.spin_density(found.moment[k], potential=V)
            assert abs(found.torque[k] - 0.8 * np.cross(spin.bias, found.moment[k])).max() < 1e-7
            assert abs(found.current_charge[k] - device.lead_currents(found.moment[k], potential=V)[0]).max() < 1e-7
            assert abs(found.current_charge[k].sum()) < 1e-12


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"motion__kind": "precession", "motion__axis": [0, 0, 1], "motion__frequency": 0.1},
            "lead[0].voltage = 0.3: mot",
        ),
        ({"electrons__lead__1__coupling": 0.0}, "electrons.lead[1].chemical_potential = -0.05: means nothing without"),
        ({"electrons__lead__0__voltage": 5.0}, "electrons.lead: voltage = 5 and 0 of the leads: their bands"),
    ],
)
def test_contradictions_are_told(changes, said):
    with pytest.raises(DeckError) as raised:
        build_device(deck(**changes))
    assert said in str(raised.value)


def test_the_energy_of_a_driven_run_may_rise():
    still = {"electrons__gate": []}
    for text, watched in ((BASE, True), (BIASED, False)):
        table = deck(text, **still)
        assert EnergyWatch(table, build_magnet(table)).applies is watched


def test_keys_that_say_nothing_leave_an_equilibrium():
    table = deck(BASE, electrons__lead__0__chemical_potential=0.2, electrons__lead__1__temperature=0.0)
    assert not table.electrons.is_biased
    device = build_device(table)
    assert not device.is_biased
    assert device.freeze(np.zeros((3, 3))).bias is None
    assert deck().electrons.is_biased
