"""Runs in real time: what a checkpoint may hold, what a longer run is told, how trouble with electrons ends."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.build import build
from llgnegf.deck import parse_deck
from llgnegf.dynamics import real_time
from llgnegf.electrons import Device, Lead
from llgnegf.electrons.frozen import Frozen
from llgnegf.electrons.real_time_leads import adjusted
from llgnegf.errors import DeckError, RunError, RunWarning
from llgnegf.estimate import estimate
from llgnegf.summary import summary

CHAIN = """
[lattice]
shape = [2]
[texture]
kind = "uniform"
direction = [0.6, 0.0, 0.8]
[electrons]
method = "real-time"
sd_exchange = 1.0
temperature = 0.05
tolerance = 1e-4
[[electrons.lead]]
side = "left"
[[electrons.lead]]
side = "right"
[motion]
kind = "precession"
axis = [0, 0, 1]
frequency = 0.5
[integrator]
step = 0.5
[run]
duration = 50
save_every = 25
"""


def made(**changes):
    deck = parse_deck(CHAIN, Path(), "chain", {key.replace("__", "."): value for key, value in changes.items()})
    return build(deck)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("electrons", lambda one: np.where(np.arange(one.shape[-1]) == 3, np.nan, one)),
        ("electrons", lambda one: one[:-1]),
        ("sums", lambda one: one * np.inf),
        ("energy_at_start", lambda _: np.array(np.nan)),
        ("parts", lambda _: np.array(0)),
        ("planned_for", lambda _: np.array(np.nan)),
        ("parts", lambda _: np.array(-1)),
        ("parts", lambda _: np.array(1.5)),
        ("lead_energies", np.conj),
        ("lead_energies", lambda one: one * np.nan),
        ("lead_weights", lambda one: one[:-1]),
        ("fermi_nodes", np.conj),
        ("fermi_weights", lambda one: one * np.inf),
        ("fermi_constant", lambda _: np.array(np.nan)),
    ],
)
def test_a_state_that_cannot_be_is_not_taken_up(name, change):
    parts = made()
    remembered = parts.stepper.state()
    parts.stepper.restore(remembered)
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=r"finite|shape|parts|decay"):
        parts.stepper.restore(remembered | {name: change(remembered[name])})


def test_a_run_that_goes_on_beyond_its_end_says_what_its_leads_were_chosen_for(tmp_path):
    changes = {"run.duration": 1.0, "run.save_every": 0.5}
    run(parse_deck(CHAIN, Path(), "chain", changes), tmp_path / "run.h5").close()
    with pytest.warns(RunWarning, match=r"for a run of 1 .*need not hold up to run\.duration = 1000") as told:
        resume(tmp_path / "run.h5", {"run.duration": 1000.0}, until=2.0).close()
    assert len(told) == 1


def test_an_equilibrium_that_cannot_be_had_ends_the_run_like_other_trouble(tmp_path):
    changes = {
        "lattice.shape": [1],
        "electrons.temperature": 0.0,
        "electrons.fermi_energy": 1.0,
        "electrons.lead": [{"side": "left", "coupling": 0.003}],
    }
    deck = parse_deck(CHAIN, Path(), "chain", changes)
    with pytest.raises(RunError, match=r"at the start: the spin density .* Fermi energy farther from narrow levels"):
        run(deck, tmp_path / "run.h5")


def test_orbitals_out_of_their_range_are_told_by_their_site():
    changes = {"lattice__shape": [2, 2], "motion__kind": "llg", "integrator__electrons": "stage"}
    parts = made(**changes, integrator__step=0.1, run__save_every=1.0)
    stepper = parts.stepper
    remembered = stepper.state()
    remembered["electrons"] = 3 * remembered["electrons"]
    stepper.restore(remembered)
    with pytest.raises(RunError, match=r"site \[[01], [01]\] left their range at t = 0\.1"):
        stepper.advance(0, parts.magnet.pack(parts.start), 1)


def test_of_an_imposed_motion_the_energies_are_counted_whatever_acts_on_moments(tmp_path):
    changes = {"electrons.back_action": 0.0, "run.duration": 1.0, "run.save_every": 0.5}
    with run(parse_deck(CHAIN, Path(), "chain", changes), tmp_path / "run.h5") as found:
        total = np.asarray(found["energy_electrons"]) - np.asarray(found["work"])
        (line,) = (line for line in summary(found).splitlines() if " electrons - work" in line)
    assert total[-1] != 0
    assert float(line.split()[-4]) == pytest.approx(total[-1], rel=1e-6)


@pytest.mark.parametrize(("duration", "coupling"), [(100.0, 0.1), (1000.0, 0.03)])
def test_at_kt_zero_a_narrow_level_that_comes_to_the_fermi_energy_late_is_filled_right(duration, coupling):
    # Far from it at the start: half-widths of 0.01 and 0.0009, of levels at -0.5 + V and 0.5 + V.
    one = Device((1,), sd_exchange=0.5, tolerance=1e-4, leads=[Lead("left", coupling), Lead("right", coupling)])
    m, start = np.array([[0.0, 0.0, 1.0]]), np.array([1.2])
    electrons = adjusted(one, m, start, duration, lambda found: found)[0]
    # What a slow gate leads to.
    for gate in (*np.linspace(0.495, 0.505, 21), 0.49, 0.51, 0.45, 0.55):
        potential = np.array([gate])
        found = electrons.traced(electrons.at_rest(m, potential))
        assert abs(found - Frozen(one, m, potential).adiabatic).max() <= 1.5 * one.tolerance


def test_leads_sharper_than_planned_count_as_they_are(monkeypatch):
    """Beside a narrow level at E_F: in what `check` says of exponentials and memory, which has to be there."""
    narrow = [{"side": "left", "coupling": 0.1}, {"side": "right", "coupling": 0.0}]
    changes = {"lattice.shape": [1], "electrons.sd_exchange": 0.5, "electrons.fermi_energy": 0.5, "run.duration": 20.0}
    changes |= {"electrons.temperature": 0.0, "electrons.lead": narrow, "run.save_every": 20.0}
    parts = made(**changes)
    planned, words = parts.stepper.memory_bytes, parts.stepper.in_words
    used = parts.stepper.equation
    assert used.sharper > 0
    assert parts.stepper.memory_bytes[0] == 8 * np.prod(used.shape) == 8 * parts.stepper.state()["electrons"].size
    assert parts.stepper.memory_bytes > planned
    assert parts.stepper.in_words != words
    assert f"{used.kept} exponentials" in parts.stepper.in_words
    assert re.search(rf"memory +about {180 + sum(parts.stepper.memory_bytes) / 1e6:.0f} MB", estimate(parts.deck))

    parts = made(**changes)
    monkeypatch.setattr(real_time, "memory_of_machine", lambda: sum(planned))
    with pytest.raises(RunError, match=r"the equilibrium at the start takes, they need 0\.\d+ GB of memory"):
        parts.stepper.advance(0, parts.magnet.pack(parts.start), 1)


def test_at_kt_zero_the_fermi_energy_on_a_band_edge_is_refused_where_little_scatters():
    parts = made(**{"electrons.temperature": 0.0, "electrons.fermi_energy": 2.0, "electrons.sd_exchange": 0.01})
    words = (
        r"fermi_energy = 2 is 0 from the edge of a lead's band at 2, .* farther from narrow levels and from the edges"
    )
    with pytest.raises(RunError, match=words):
        parts.stepper.advance(0, parts.magnet.pack(parts.start), 1)


@pytest.mark.parametrize(("step", "method", "told"), [(0.2, "rk4", True), (0.05, "rk4", False), (0.05, "heun", True)])
def test_whole_steps_too_long_for_the_tolerance_are_told(tmp_path, step, method, told):
    changes = {"integrator.step": step, "integrator.method": method, "integrator.electrons": "stage"}
    changes |= {"run.duration": 10.0, "run.save_every": 10.0}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run(parse_deck(CHAIN, overrides=changes), tmp_path / "a.h5").close()
    words = [str(one.message) for one in found if "a step of integrator.step" in str(one.message)]
    assert len(words) == told
    finer = {**changes, "integrator.step": 0.01, "integrator.method": "rk4"}
    with run(parse_deck(CHAIN, overrides=finer), tmp_path / "b.h5") as exact, open_run(tmp_path / "a.h5") as coarse:
        error = abs(exact["spin_density"][-1] - coarse["spin_density"][-1]).max()
    if told:
        foreseen = float(re.search(r"add up to (\S+) by", words[0])[1])
        assert error <= foreseen <= 100 * error
    else:
        assert error <= 1e-4


def test_a_step_beyond_all_parts_is_refused(tmp_path):
    one = parse_deck(CHAIN, overrides={"integrator.step": 1e80, "run.duration": 1e80, "run.save_every": 1e80})
    with pytest.raises(DeckError, match=r"integrator\.step = 1e\+80: electrons in real time need steps of 0\.\d+;"):
        run(one, tmp_path / "run.h5")
    assert not (tmp_path / "run.h5.ckpt").exists()


def test_a_short_run_is_told_too(tmp_path):
    changes = {"integrator.step": 0.2, "integrator.electrons": "stage", "run.duration": 0.8, "run.save_every": 0.8}
    with pytest.warns(RunWarning, match=r"a step of integrator\.step = 0\.2"):
        run(parse_deck(CHAIN, overrides={**changes, "electrons.tolerance": 1e-7}), tmp_path / "a.h5").close()


def test_leads_known_less_well_than_a_long_run_needs_are_told():
    changes = {"electrons.tolerance": 1e-7, "run.duration": 2000.0, "run.save_every": 2000.0}
    with pytest.warns(RunWarning, match=r"known to 2\.\de-10 at best; within run\.duration = 2000"):
        build(parse_deck(CHAIN, overrides=changes))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(parse_deck(CHAIN, overrides={**changes, "run.duration": 100.0, "run.save_every": 100.0}))
