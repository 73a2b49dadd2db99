"""Runs between leads with a spin bias: what is written, going on, what is refused."""

import numpy as np
import pytest

from llgnegf import build_device, open_run, resume, run
from llgnegf.compare import NothingToCompare, compare
from llgnegf.deck import parse_deck, spin_bias_conflicts
from llgnegf.electrons import Device, Lead, SpinBias, fitting
from llgnegf.errors import DeckError
from llgnegf.judged import judge
from llgnegf.response_report import response_of
from llgnegf.unit_table import units_of
from tests.test_simulation import assert_same

CHAIN = """
[lattice]
shape = [3]
[texture]
kind = "spiral"
period = 12.0
[magnet]
exchange = 0.4
field = [0.1, 0.0, 0.3]
[electrons]
sd_exchange = 0.8
fermi_energy = 0.2
tolerance = 1e-4
[[electrons.lead]]
side = "left"
coupling = 0.7
spin_bias = {direction = [0, 1, 1], difference = 0.2}
[[electrons.lead]]
side = "right"
[integrator]
step = 0.1
electrons = "stage"
[run]
duration = 0.4
save_every = 0.2
checkpoint_every = 1
"""


def deck(**changes):
    return parse_deck(CHAIN, overrides=changes)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    path = tmp_path_factory.mktemp("biased") / "run.h5"
    run(deck(), path).close()
    return path


def test_the_run_holds_what_the_device_says(done):
    device = build_device(deck())
    assert device.leads[0].spin_bias == SpinBias((0.0, 1.0, 1.0), 0.2)
    with open_run(done) as found:
        assert "grand_potential" not in found.names
        assert "by the bias at rest alone" in found["current_energy"].long_name
        assert "deep in the lead, what a bias drives over its first bond" in found["current_spin"].long_name
        m, v = found["moment"][-1], found["velocity"][-1]
        spin = device.spin_density(m, v)
        for name in ("adiabatic", "sea", "surface", "bias", "bias_motion"):
            np.testing.assert_allclose(found[f"spin_{name}"][-1], getattr(spin, name), atol=1e-4)
        charge, currents = device.lead_currents(m, v)
        np.testing.assert_allclose(found["current_charge"][-1], charge, atol=1e-3)
        np.testing.assert_allclose(found["current_spin"][-1], currents, atol=1e-3)
        still = device.freeze(m).energy_currents
        np.testing.assert_allclose(found["current_energy"][-1], still, atol=1e-3)
        with pytest.raises(NothingToCompare):
            compare(found)
    assert abs(spin.bias).max() > 1e-2
    assert abs(currents[1]).max() > 1e-3
    assert "electrons.lead[0].spin_bias.difference" in units_of(deck(), None)


def test_electrons_that_act_by_their_tensors_move_moments_alike(done, tmp_path):
    """By alpha and the torque at rest of a spin bias; `response` takes it apart beside the spins of the lead."""
    with open_run(done) as one, run(deck(**{"motion.kind": "tensor"}), tmp_path / "run.h5") as other:
        np.testing.assert_allclose(other["moment"][-1], one["moment"][-1], atol=1e-6)
        assert abs(one["moment"][-1] - one["moment"][0]).max() > 0.05
    rest = response_of(deck()).rest
    np.testing.assert_array_equal(rest.reference, (0, 1, 1))
    assert abs(rest.balance).max() < 1e-3
    # without it no current flows, and what is left is the torque of the other moments
    still = response_of(deck(**{"electrons.lead.0.spin_bias.difference": 0.0}), reference=(0, 1, 1)).rest
    assert abs(rest.damping_like - still.damping_like).max() > 1e-3
    assert abs(rest.field_like - still.field_like).max() > 1e-3


def test_going_on_changes_no_bit(done, tmp_path):
    path = tmp_path / "parts.h5"
    run(deck(), path, until=0.2).close()
    resume(path).close()
    assert_same(path, done)


REAL_TIME = {"electrons.method": "real-time", "electrons.temperature": 0.1, "electrons.lead.1.chemical_potential": 0.5}


def test_in_real_time_nothing_moves_where_moments_are_held(tmp_path):
    still = REAL_TIME | {"motion.kind": "frozen", "electrons.frozen_beside": True, "run.duration": 1.0}
    with run(deck(**still), tmp_path / "run.h5") as found:
        device, m = build_device(deck(**still)), found["moment"][0]
        spin, (charge, _) = device.spin_density(m), device.lead_currents(m)
        for k in range(len(found.times)):
            np.testing.assert_allclose(found["spin_density"][k], spin.total, atol=1e-4)
            np.testing.assert_allclose(found["spin_bias"][k], spin.bias, atol=1e-6)
            np.testing.assert_allclose(found["current_charge"][k], charge, atol=1e-4)
        assert abs(spin.bias).max() > 1e-2
        assert judge(found).deviation(0).max() < 1e-4


def test_in_real_time_balances_and_going_on(tmp_path):
    """Energy and particles of moments, electrons, and a voltage on top; parts of a run are the whole."""
    ramp = {"amplitude": 0.3, "profile": {"kind": "ramp", "duration": 0.5}}
    more = {"magnet.damping": 0.0, "integrator.step": 0.05, "run.save_every": 0.05, "run.duration": 1.0}
    table = deck(**REAL_TIME | more | {"electrons.lead.0.voltage": ramp, "electrons.tolerance": 1e-5})
    with run(table, tmp_path / "whole.h5") as found:
        total = found["energy_classical"][:] + found["energy_electrons"][:] - found["work"][:]
        assert abs(total - total[0]).max() < 1e-6
        assert abs(found["work"][-1]) > 1e-3
    run(table, tmp_path / "parts.h5", until=0.5).close()
    resume(tmp_path / "parts.h5").close()
    assert_same(tmp_path / "parts.h5", tmp_path / "whole.h5")


def test_a_difference_of_zero_says_nothing(tmp_path):
    zero = {"electrons.lead.0.spin_bias.difference": 0.0}
    with run(deck(**zero), tmp_path / "run.h5") as found:
        assert "spin_bias" not in found.names
        assert "over the lead's first bond" in found["current_spin"].long_name


TURNING = {"motion.kind": "precession", "motion.axis": [0, 0, 1], "motion.frequency": 0.1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"electrons.lead.0.coupling": 0.0}, "electrons.lead[0].spin_bias: means nothing without contact"),
        (TURNING, 'motion.kind = "precession" is without it'),
        ({"electrons.method": "real-time", "run.device": "gpu"}, 'not available with run.device = "gpu"'),
        ({"electrons.noise": True}, "the fluctuations of such electrons are not known"),
        ({"motion.kind": "kernel", "integrator.method": "heun"}, "the memory of such electrons is not known"),
        ({"electrons.bath": {"sites": [1], "width": 0.1}}, "not available with electrons.bath"),
        (
            {"electrons.lead.1.voltage": {"amplitude": 0.1, "profile": {"kind": "ramp", "duration": 1.0}}},
            "not available at first order in the rate of a voltage that changes",
        ),
        (
            {"electrons.lead.0.polarization": {"direction": [0, 0, 1], "splitting": 0.3}},
            "electrons.lead[0].spin_bias.direction = [0.0, 1.0, 1.0]: spins across the polarization of the lead",
        ),
        ({"electrons.lead.0.spin_bias.difference": 1e11}, "spin_bias.difference = 100000000000.0: is far out of scale"),
        ({"electrons.lead.0.spin_bias.direction": [0, 0, 0]}, "spin_bias.direction = [0, 0, 0]: must be three"),
        ({"electrons.lead.0.spin_bias": 0.1}, "electrons.lead[0].spin_bias = 0.1: must be a table"),
    ],
)
def test_refused(changes, words):
    with pytest.raises(DeckError) as error:
        deck(**changes)
    assert words in str(error.value)


def test_keys_that_nobody_thought_of(monkeypatch):
    """What a lead has beside a spin bias is refused unless it is known there."""
    monkeypatch.setattr(spin_bias_conflicts, "_KNOWN", spin_bias_conflicts._KNOWN - {"coupling"})
    with pytest.raises(DeckError, match=r"electrons.lead\[0\].coupling: not available beside a spin_bias"):
        deck()
    monkeypatch.setattr(fitting, "_BESIDE_SPIN_BIAS", fitting._BESIDE_SPIN_BIAS - {"hopping"})
    leads = [Lead("left", spin_bias=SpinBias((0, 0, 1), 0.1)), Lead("right", hopping=1.2)]
    with pytest.raises(ValueError, match=r"hopping = 1.2 of the right lead: not available beside a spin_bias"):
        Device(3, sd_exchange=0.1, leads=leads)
