"""Runs with electrons in real time whose bonds and leads know the spin: energy, files, resuming, commands."""

import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.cli import main
from llgnegf.compare import NothingToCompare
from llgnegf.deck import parse_deck
from llgnegf.judged import judge
from llgnegf.parts.electrons import build_device
from tests.test_real_time_runs import CHAIN
from tests.test_simulation import assert_same

# Steps that are too coarse on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:a step of integrator.step:llgnegf.errors.RunWarning")

EXCHANGE = np.array([0.8, -0.2, 0.5])
SPINS = (
    CHAIN.replace("sd_exchange = 0.8\n", 'sd_exchange = {file = "j.npy"}\nspin_orbit = {rashba = 0.3}\n')
    .replace("coupling = 0.7\n", "coupling = 0.7\nhopping = 1.2\nchemical_potential = 0.4\n")
    .replace('side = "right"\n', 'side = "right"\npolarization = {direction = [0, 1, 1], splitting = 0.5}\n')
)
SQUARE = {
    "lattice.shape": [3, 2],
    "lattice.periodic": "y",
    "lattice.vacancies": [[1, 0]],
    "electrons.sd_exchange": 0.7,
    "texture": {"kind": "random"},
}
HOPPING = {"electrons.spin_hopping": {"along_x": [0.2, 0.1, -0.3], "imaginary_x": [0.0, 0.2, 0.3]}}
BOTH = SQUARE | {
    "electrons.spin_hopping": HOPPING["electrons.spin_hopping"] | {"along_y": [0, 0.2, 0], "imaginary_y": [0.1, 0, 0]}
}
SYSTEMS = pytest.mark.parametrize(
    "changes", [{}, SQUARE, HOPPING, BOTH], ids=["chain", "lattice", "chain, hopping", "lattice, hopping"]
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("j.npy", EXCHANGE)
    return tmp_path


def deck(**changes):
    return parse_deck(SPINS, overrides={"run.duration": 0.9} | changes)


@SYSTEMS
def test_energy_and_particles_balance(changes):
    more = {"magnet.damping": 0.0, "electrons.tolerance": 1e-5, "integrator.step": 0.05, "run.duration": 1.5}
    more |= {"run.save_every": 0.05}
    with run(deck(**more, **changes), "run.h5") as found:
        total = found.energy_classical[:] + found.energy_electrons[:] - found.work[:]
        assert abs(total - total[0]).max() < 1e-6
        assert abs(np.ptp(found.energy_electrons[:])) > 1e-3
        number = found.density[:].reshape(len(found.times), -1).sum(axis=1)
        # Simpson's rule.
        into = found.current_charge[:].sum(axis=1)
        left = 0.05 / 3 * (into[0] + into[-1] + 4 * into[1:-1:2].sum() + 2 * into[2:-1:2].sum())
        assert number[0] - number[-1] == pytest.approx(left, abs=1e-6)
        # The spin of all sites: what moments and bonds do to it, less what flows out.
        spin = found.spin_density[:].reshape(len(found.times), -1, 3).sum(axis=1) / 2
        torques = (found.torque[:] + found["torque_spin_orbit"][:]).reshape(len(found.times), -1, 3).sum(axis=1)
        rate = torques - found.current_spin[:].sum(axis=1)
        turned = 0.05 / 3 * (rate[0] + rate[-1] + 4 * rate[1:-1:2].sum(axis=0) + 2 * rate[2:-1:2].sum(axis=0))
        assert spin[-1] - spin[0] == pytest.approx(turned, abs=1e-6)
        assert abs(spin[-1] - spin[0]).max() > 1e-3
        if "lattice.shape" in changes:
            assert not found.spin_density[:, 1, 0].any()
            assert not found.density[:, 1, 0].any()
            assert found["vacancy"][1, 0] == 1


@SYSTEMS
def test_going_on_changes_no_bit_whatever_became_of_the_files(changes):
    run(deck(**changes), "whole.h5").close()
    run(deck(**changes), "parts.h5", until=0.3).close()
    np.save("j.npy", 3 * EXCHANGE)
    resume("parts.h5").close()
    assert_same("parts.h5", "whole.h5")


def test_frozen_electrons_beside_are_those_of_the_device(capsys):
    table = deck(**{"electrons.frozen_beside": True, "motion.kind": "frozen", "electrons.gate": []})
    with run(table, "run.h5") as found:
        spin = build_device(table).spin_density(found.moment[0])
        for k in range(len(found.times)):
            assert abs(found.spin_density[k] - spin.total).max() < 1e-4
            assert abs(found.spin_bias[k] - spin.bias).max() < 1e-6
            torque = EXCHANGE[:, None] * np.cross(found.spin_density[k], found.moment[0])
            assert abs(found.torque[k] - torque).max() < 1e-12
    assert main(["plot", "run.h5", "-o", "run.png"]) == 0
    assert main(["compare", "run.h5"]) == 0
    assert "frozen electrons of order" in capsys.readouterr().out


@pytest.mark.parametrize("changes", [{}, HOPPING], ids=["spin-orbit coupling", "hopping"])
def test_an_imposed_motion_does_all_the_work(changes):
    turning = {"motion.kind": "precession", "motion.axis": [0, 1, 1], "motion.frequency": 0.5, "electrons.gate": []}
    more = {"electrons.tolerance": 1e-5, "integrator.step": 0.05, "run.save_every": 0.9}
    with run(deck(**turning, **more, **changes), "run.h5") as found:
        assert found.energy_electrons[-1] == pytest.approx(found.work[-1], abs=1e-7)
        assert abs(found.work[-1]) > 1e-3


def test_compare_and_check_tell():
    ramp = {"electrons.lead.1.voltage": {"amplitude": 0.1, "profile": {"kind": "ramp", "duration": 1.0}}}
    run(deck(**ramp), "run.h5").close()
    with (
        open_run("run.h5") as found,
        pytest.raises(NothingToCompare, match="without bonds and leads that know the spin"),
    ):
        judge(found)
    with open("mine.toml", "w") as file:
        file.write(SPINS)
    assert main(["check", "mine.toml"]) == 0
