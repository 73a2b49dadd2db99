"""Runs with electrons in real time between leads with chemical potentials and temperatures of their own."""

import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.cli import main
from llgnegf.errors import DeckError
from llgnegf.judged import judge
from llgnegf.parts.electrons import build_device
from tests.test_real_time_runs import CHAIN, LATTICE, deck
from tests.test_simulation import assert_same

# Steps that are too coarse on purpose, and levels that no lead fills.
pytestmark = [
    pytest.mark.filterwarnings("ignore:a step of integrator.step:llgnegf.errors.RunWarning"),
    pytest.mark.filterwarnings("ignore:a level outside the bands:llgnegf.errors.RunWarning"),
]

BIASED = CHAIN.replace("coupling = 0.7\n", "coupling = 0.7\nchemical_potential = 0.8\n").replace(
    'side = "right"\n',
    'side = "right"\ntemperature = 0.05\nvoltage = {amplitude = 0.3, profile = {kind = "ramp", duration = 1.5}}\n',
)
STILL = {
    "motion__kind": "frozen",
    "electrons__gate": [],
    "electrons__lead__1__voltage": 0.0,
    "run__save_every": 1.5,
}


def test_at_rest_a_run_is_the_steady_state_from_beginning_to_end(tmp_path):
    table = deck(BIASED, electrons__frozen_beside=True, **STILL)
    with run(table, tmp_path / "run.h5") as found:
        device = build_device(table)
        m = found.moment[0]
        spin = device.spin_density(m)
        charge, spins = device.lead_currents(m)
        for k in range(len(found.times)):
            assert abs(found.spin_density[k] - spin.total).max() < 1e-4
            assert abs(found.density[k] - spin.density).max() < 1e-4
            assert abs(found.current_charge[k] - charge).max() < 1e-4
            assert abs(found.current_spin[k] - spins).max() < 1e-4
            assert abs(found.spin_bias[k] - spin.bias).max() < 1e-4
        # Nothing moves by itself, and the energy that one lead loses the other gains: heat and charge.
        assert abs(np.ptp(found.spin_density[:], axis=0)).max() < 1e-5
        assert abs(found.energy_electrons[:]).max() < 1e-4
        assert abs(found.current_energy[:].sum(axis=1)).max() < 1e-5
        assert abs(found.current_energy[:]).min() > 1e-3
        assert abs(charge).min() > 0.01
        assert judge(found).deviation(0).max() < 1e-4


def test_a_voltage_on_top_of_chemical_potentials(tmp_path):
    """Moments, gates, a ramp: particles and energy balance, and frozen electrons beside see the same leads."""
    path = tmp_path / "run.h5"
    changes = {"electrons__frozen_beside": True, "electrons__tolerance": 1e-5, "magnet__damping": 0.0}
    run(deck(BIASED, run__save_every=1.0, **changes), path).close()
    with open_run(path) as found:
        assert {"spin_bias", "spin_bias_motion", "voltage"} <= set(found.names)
        total = found.energy_classical[:] + found.energy_electrons[:] - found.work[:]
        assert abs(total - total[0]).max() < 2e-4
        assert abs(found.energy_electrons[:]).max() > 0.05
        last = found.moment[-1]
        device = build_device(deck(BIASED)).at_voltages(found.voltage[-1])
        V = np.zeros(3)
        V[0] = 0.3 * np.cos(0.9 * found.times[-1])
        assert abs(found.spin_bias[-1] - device.spin_density(last, potential=V).bias).max() < 1e-4
        assert found.voltage[-1, 1] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("text", "changes"),
    [(BIASED, {}), (BIASED, {"integrator__electrons": "adaptive", "integrator__step": 0.3}), (LATTICE, {})],
    ids=["chain", "divided", "tiles"],
)
def test_going_on_changes_no_bit(text, changes, tmp_path):
    changes = {"electrons__lead__0__chemical_potential": 0.8, "electrons__lead__1__temperature": 0.4} | changes
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    run(deck(text, run__duration=0.9, **changes), whole).close()
    run(deck(text, run__duration=0.9, **changes), parts, until=0.3).close()
    resume(parts).close()
    assert_same(parts, whole)


def test_check_tells_what_the_run_takes(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(BIASED.replace("temperature = 0.05", "temperature = 0.0"))
    assert main(["check", str(tmp_path / "mine.toml")]) == 0
    told = capsys.readouterr().out
    assert "in real time" in told
    assert "for 0" in told  # the temperature that stands for that of the lead


PRECESSION = {"motion__kind": "precession", "motion__axis": [0, 0, 1], "motion__frequency": 0.1}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"electrons__lead__0__voltage": 0.2}, "electrons.lead[0].chemical_potential = 0.8: the voltage of the same"),
        ({"electrons__lead__0__coupling": 0.0}, "electrons.lead[0].chemical_potential = 0.8: means nothing without"),
        (
            {"electrons__frozen_beside": True, "electrons__lead__1__voltage": 0.0, **PRECESSION},
            "electrons.frozen_beside = true: the frozen parts",
        ),
        ({"electrons__lead__0__temperature": -0.1}, "electrons.lead[0].temperature = -0.1"),
    ],
)
def test_contradictions_are_told(changes, told):
    with pytest.raises(DeckError) as raised:
        deck(BIASED, **changes)
    assert told in str(raised.value)
