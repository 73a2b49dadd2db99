"""Runs with electrons in real time between wide-band leads: files, balances, resuming, imposed motions."""

import numpy as np
import pytest

from llgnegf import resume, run
from llgnegf.cli import main
from llgnegf.deck import parse_deck
from llgnegf.judged import judge
from llgnegf.parts.electrons import build_device
from tests.oracles.spin_lattice import SpinLattice
from tests.oracles.wide_jump import jumped
from tests.test_real_time_runs import CHAIN
from tests.test_simulation import assert_same

# Steps that are too coarse on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:a step of integrator.step:llgnegf.errors.RunWarning")

RAMP = '{amplitude = 0.3, profile = {kind = "ramp", duration = 0.4}}'
WIDE = CHAIN.replace("coupling = 0.7\n", "width = 0.7\nchemical_potential = 0.4\n").replace(
    'side = "right"\n', f'side = "right"\nwidth = 1.2\nvoltage = {RAMP}\n'
)
MIXED = {"electrons.lead": [{"side": "left", "coupling": 0.8, "voltage": 0.2}, {"side": "right", "width": 1.2}]}


def deck(**changes):
    return parse_deck(WIDE, overrides={"run.duration": 0.9} | changes)


def integral(values, dt):
    """Simpson's rule over frames."""
    return dt / 3 * (values[0] + values[-1] + 4 * values[1:-1:2].sum(axis=0) + 2 * values[2:-1:2].sum(axis=0))


@pytest.mark.parametrize("changes", [{}, MIXED, {"electrons.spin_orbit.rashba": 0.3}], ids=["two", "one", "spin-orbit"])
def test_particles_balance_and_energies_are_not_told(changes, tmp_path):
    more = {"electrons.tolerance": 1e-5, "integrator.step": 0.025, "run.duration": 1.0, "run.save_every": 0.05}
    with run(deck(**more | changes), tmp_path / "run.h5") as found:
        assert not {"energy_electrons", "current_energy"} & set(found.names)
        number = found.density[:].sum(axis=1)
        left = integral(found.current_charge[:].sum(axis=1), 0.05)
        assert number[0] - number[-1] == pytest.approx(left, abs=5e-6)
        assert abs(left) > 1e-2
        assert np.isfinite(found.work[:]).all()


def test_going_on_changes_no_bit(tmp_path):
    run(deck(), tmp_path / "whole.h5").close()
    run(deck(), tmp_path / "parts.h5", until=0.3).close()
    resume(tmp_path / "parts.h5").close()
    assert_same(tmp_path / "parts.h5", tmp_path / "whole.h5")


def test_where_nothing_moves_it_is_the_device(tmp_path):
    still = {"motion.kind": "frozen", "electrons.gate": [], "electrons.lead.1.voltage": 0.0}
    table = deck(**still | {"electrons.frozen_beside": True})
    with run(table, tmp_path / "run.h5") as found:
        device, m = build_device(table), found.moment[0]
        spin, charge = device.spin_density(m), device.lead_currents(m)[0]
        for k in range(len(found.times)):
            np.testing.assert_allclose(found.spin_density[k], spin.total, atol=1e-4)
            np.testing.assert_allclose(found.spin_bias[k], spin.bias, atol=1e-6)
            np.testing.assert_allclose(found.current_charge[k], charge, atol=1e-4)
        assert abs(charge).min() > 1e-2
        assert judge(found).deviation(0).max() < 1e-4


def test_a_voltage_that_is_switched_on_at_once_is_its_closed_form(tmp_path):
    """Levels at rest, the right lead at 0.6 from t = 0 on: density matrix and currents as an integral over energies."""
    still = {"motion.kind": "frozen", "electrons.gate": [], "electrons.lead.1.voltage": 0.6, "run.duration": 1.0}
    more = {"electrons.tolerance": 1e-6, "integrator.electrons": "adaptive", "run.save_every": 0.5}
    with run(deck(**still | more), tmp_path / "run.h5") as found:
        zero = np.zeros((3, 1, 3))
        H = SpinLattice(found.moment[0][:, None], zero, zero[..., 0], zero[..., 0], 0.8).H
        gammas = np.zeros((2, 6, 6))
        gammas[0][:2, :2], gammas[1][-2:, -2:] = 0.7 * np.eye(2), 1.2 * np.eye(2)
        for k in (1, 2):
            rho, currents = jumped(found.times[k], H, H, gammas, [(0.4, 0.2), (0.2, 0.2)], (0.0, 0.6))
            assert found.density[k] == pytest.approx(np.diag(rho).real.reshape(3, 2).sum(axis=1), abs=2e-6)
            assert found.current_charge[k] == pytest.approx(currents, abs=1e-5)


@pytest.mark.parametrize("changes", [{}, MIXED], ids=["two", "one"])
def test_an_imposed_motion_and_its_work(changes, tmp_path):
    """Steps of many stages at once beside steps one by one, and what gates, voltages and the motion do."""
    turning = {"motion.kind": "precession", "motion.axis": [0, 1, 1], "motion.frequency": 0.5}
    more = {"electrons.tolerance": 1e-5, "integrator.step": 0.025, "run.duration": 1.0, "run.save_every": 0.05}
    table = deck(**turning | more | changes)
    with run(table, tmp_path / "run.h5") as found:
        power = -(found.voltage[:] * found.current_charge[:]).sum(axis=1)
        rate = -0.3 * 0.9 * np.sin(0.9 * found.times)  # of the gate on site 0
        power = power + rate * found.density[:, 0] - 0.8 * (found.spin_density[:] * found.velocity[:]).sum(axis=(1, 2))
        assert found.work[-1] == pytest.approx(integral(power, 0.05), abs=5e-6)
        assert abs(found.work[-1]) > 1e-2
        number = found.density[:].sum(axis=1)
        left = integral(found.current_charge[:].sum(axis=1), 0.05)
        assert number[0] - number[-1] == pytest.approx(left, abs=5e-6)


def test_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with open("mine.toml", "w") as file:
        file.write(WIDE.replace(RAMP, "0.2"))
    assert main(["check", "mine.toml"]) == 0
    assert main(["run", "mine.toml", "-o", "run.h5", "--until", "0.3"]) == 0
    for command in (["show", "run.h5"], ["plot", "run.h5", "-o", "run.png"], ["compare", "run.h5"]):
        assert main(command) == 0
    assert "frozen electrons may not be used" in capsys.readouterr().out
