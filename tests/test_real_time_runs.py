"""Runs with electrons in real time from beginning to end: decks, checkpoints, frozen electrons beside, commands."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
import tomllib

import h5py
import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.build import build_coupling
from llgnegf.cli import main
from llgnegf.deck import deck_from, parse_deck
from llgnegf.errors import DeckError, RunError, RunWarning
from llgnegf.judged import judge
from llgnegf.parts.moments import build_magnet, initial_moments
from llgnegf.runfile import checkpoint
from llgnegf.summary import summary
from tests.test_cli import ENVIRONMENT, shell
from tests.test_simulation import assert_same

CHAIN = """
[lattice]
shape = [3]
[texture]
kind = "bloch_wall"
width = 1.0
[magnet]
exchange = 0.4
anisotropy = 0.2
field = [0.1, 0.0, 0.3]
damping = 0.05
[electrons]
method = "real-time"
sd_exchange = 0.8
fermi_energy = 0.2
temperature = 0.2
tolerance = 1e-4
[[electrons.lead]]
side = "left"
coupling = 0.7
[[electrons.lead]]
side = "right"
[[electrons.gate]]
columns = [0]
amplitude = 0.3
frequency = 0.9
[integrator]
step = 0.1
electrons = "stage"
[run]
duration = 3.0
save_every = 0.3
checkpoint_every = 7
"""
LATTICE = (
    CHAIN.replace("shape = [3]", 'shape = [2, 8]\nperiodic = "y"')
    .replace('kind = "bloch_wall"\nwidth = 1.0', 'kind = "random"')
    .replace("step = 0.1", "step = 0.05")
    .replace("duration = 3.0", "duration = 0.9")
)
# Some of these runs have steps that are too coarse on purpose; `test_real_time_trouble` sees to what is told of them.
pytestmark = pytest.mark.filterwarnings("ignore:a step of integrator.step:llgnegf.errors.RunWarning")

KINDS = {
    "chain": (CHAIN, {}),
    "divided": (CHAIN, {"integrator__electrons": "adaptive", "integrator__step": 0.3}),
    "heun": (CHAIN, {"integrator__method": "heun"}),
    "at rest": (CHAIN, {"motion__kind": "frozen"}),
    "precession": (CHAIN, {"motion__kind": "precession", "motion__axis": [0, 0, 1], "motion__frequency": 0.4}),
    "precession, divided": (
        CHAIN,
        {
            "motion__kind": "precession",
            "motion__axis": [0, 0, 1],
            "motion__frequency": 0.4,
            "integrator__electrons": "adaptive",
        },
    ),
    "frozen beside": (CHAIN, {"electrons__frozen_beside": True, "run__duration": 1.2}),
    "tiles": (LATTICE, {}),
    "narrow": (LATTICE, {"lattice__shape": [3, 2]}),
}


def deck(text=CHAIN, **changes):
    return parse_deck(text, overrides={key.replace("__", "."): value for key, value in changes.items()})


def of_kind(kind, **changes):
    text, own = KINDS[kind]
    return deck(text, **(own | changes))


# --- interrupted runs -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_goes_on_bit_for_bit(kind, tmp_path):
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(of_kind(kind), whole)
    run(of_kind(kind), cut, until=0.6)
    resume(cut)
    assert_same(whole, cut)


@pytest.mark.parametrize("kind", ["chain", "divided", "precession", "precession, divided", "tiles"])
def test_frames_and_checkpoints_change_no_bit(kind, tmp_path):
    many, few = tmp_path / "many.h5", tmp_path / "few.h5"
    one = of_kind(kind)
    run(of_kind(kind, run__save_every=one.integrator.step, run__checkpoint_every=1), many)
    run(of_kind(kind, run__save_every=one.run.duration), few)
    with open_run(many) as ours, open_run(few) as theirs:
        for name in ("moment", "spin_density", "current_charge", "current_energy", "energy_electrons", "work"):
            np.testing.assert_array_equal(ours[name][-1], theirs[name][-1], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["divided", "precession"])
def test_killed_and_stopped_processes_go_on_bit_for_bit(kind, tmp_path):
    options = {"run__duration": 60.0, "run__checkpoint_every": 20}
    one = of_kind(kind, **options)
    run(one, tmp_path / "whole.h5")
    (tmp_path / "mine.toml").write_text(deck_from(one.tables()).text)
    words = ("run", "mine.toml", "-o", "cut.h5")
    for stop in (signal.SIGKILL, signal.SIGTERM):
        process = shell(*words, cwd=tmp_path)
        before = (tmp_path / "cut.h5.ckpt").stat().st_mtime_ns if (tmp_path / "cut.h5.ckpt").exists() else 0
        while process.poll() is None:
            newest = tmp_path / "cut.h5.ckpt"
            if newest.exists() and newest.stat().st_mtime_ns > before:
                break
            time.sleep(0.001)
        process.send_signal(stop)
        _, err = process.communicate(timeout=120)
        # A fast machine may have been done.
        assert process.returncode in ((-signal.SIGKILL, 0) if stop == signal.SIGKILL else (75, 0)), err
        words = ("resume", "cut.h5")
    with shell("resume", "cut.h5", cwd=tmp_path) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert_same(tmp_path / "whole.h5", tmp_path / "cut.h5")


def forged(path, change):
    """The newest checkpoint of a run with its arrays changed, sealed as if it were genuine."""
    state, header = checkpoint.load_newest(path)
    extra = {name: value.copy() for name, value in state.extra.items()}
    change(extra)
    for old in checkpoint.checkpoint_paths(path):
        old.unlink(missing_ok=True)
    with_extra = dataclasses.replace(state, extra=extra)
    checkpoint.save(path, with_extra, header["deck"], header["frames_written"], {})


FORGERIES = {
    "a state of another shape": lambda extra: extra.update(electrons=extra["electrons"][:-1]),
    "no state": lambda extra: extra.pop("electrons"),
    "other exponents": lambda extra: extra.update(lead_energies=extra["lead_energies"][:-1]),
    "poles without weights": lambda extra: extra.update(fermi_weights=extra["fermi_weights"][:-1]),
    "sums of another shape": lambda extra: extra.update(sums=np.zeros(3)),
    "steps in no part": lambda extra: extra.update(parts=np.array(0)),
    "numbers that are none": lambda extra: extra["electrons"].fill(np.nan),
    "exponents that are none": lambda extra: extra["lead_energies"].fill(np.nan),
    "sums that are none": lambda extra: extra["sums"].fill(np.nan),
    "text": lambda extra: extra.update(electrons=np.array("none")),
}


@pytest.mark.parametrize("kind", ["chain", "tiles"])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_checkpoint_is_told(forgery, kind, tmp_path, capsys):
    path = tmp_path / "run.h5"
    run(of_kind(kind), path, until=0.6)
    forged(path, FORGERIES[forgery])
    assert main(["resume", str(path)]) == 74
    err = capsys.readouterr().err
    assert "is not a checkpoint of this run" in err
    assert "run.h5.ckpt" in err


# --- frozen electrons beside, and compare ---------------------------------------------------------


@pytest.mark.parametrize("kind", ["frozen beside", "precession"])
def test_frozen_electrons_beside_are_those_of_the_instant(kind, tmp_path):
    one = of_kind(kind, electrons__frozen_beside=True, run__duration=1.2)
    found = run(one, tmp_path / "run.h5")
    device = build_coupling(one, build_magnet(one)).device
    for k in (0, 2, -1):
        t, m, velocity = found.times[k], found["moment"][k], found["velocity"][k]
        V = np.array([0.3 * np.cos(0.9 * t), 0.0, 0.0])
        rate = np.array([-0.27 * np.sin(0.9 * t), 0.0, 0.0])
        expected = device.spin_density(m, velocity, V, rate)
        parts = sum(found[f"spin_{name}"][k] for name in ("geometric", "sea", "surface") if f"spin_{name}" in found)
        np.testing.assert_allclose(found["spin_adiabatic"][k], expected.adiabatic, atol=1e-10)
        np.testing.assert_allclose(parts, expected.nonadiabatic, atol=2e-4)
    apart = run(of_kind(kind, electrons__frozen_beside=False, run__duration=1.2), tmp_path / "apart.h5")
    np.testing.assert_array_equal(found["spin_density"][-1], apart["spin_density"][-1])
    assert "spin_adiabatic" not in apart.names


def test_judging_from_the_file_and_anew_agree(tmp_path):
    beside = judge(run(of_kind("frozen beside"), tmp_path / "beside.h5"))
    anew = judge(run(of_kind("frozen beside", electrons__frozen_beside=False), tmp_path / "anew.h5"))
    np.testing.assert_allclose(beside.order_1, anew.order_1, atol=1e-9)
    np.testing.assert_array_equal(beside.exact, anew.exact)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"motion__frequency": 0.05}, "frozen electrons of order 1 may be used"),
        ({"motion__frequency": 3.0}, "frozen electrons may not be used"),
        pytest.param(
            {"motion__frequency": 3.0, "electrons__sd_exchange": 1e-4, "electrons__tolerance": 1e-8},
            "may not be used",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_compare_says_whether_frozen_electrons_may_be_used(changes, verdict, tmp_path, capsys):
    one = of_kind("precession", electrons__gate=[], run__duration=24.0, run__save_every=3.0, **changes)
    path = tmp_path / "run.h5"
    run(one, path)
    assert main(["compare", str(path)]) == 0
    assert verdict in capsys.readouterr().out
    assert main(["compare", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert verdict in told["verdict"]
    assert len(told["frames"]) == 9
    k = -1
    with open_run(path) as found:
        device = build_coupling(one, build_magnet(one)).device
        frozen = device.spin_density(found["moment"][k], found["velocity"][k])
        missed = np.linalg.norm(found["spin_density"][k] - frozen.adiabatic - frozen.nonadiabatic, axis=-1)
    np.testing.assert_allclose(told["frames"][k]["order_1"]["by_site"], missed, rtol=1e-6, atol=1e-12)


# --- commands and decks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "changes"),
    [(CHAIN, {}), (CHAIN, {"lattice__shape": [1], "texture": {"kind": "uniform"}}), (LATTICE, {})],
    ids=["chain", "one site", "lattice"],
)
def test_check_show_and_plot(text, changes, tmp_path, capsys):
    one = deck(text, run__duration=0.6, **changes)
    (tmp_path / "mine.toml").write_text(deck_from(one.tables()).text)
    assert main(["check", str(tmp_path / "mine.toml")]) == 0
    told = capsys.readouterr().out
    assert "in real time" in told
    assert "checkpoints" in told
    path = tmp_path / "run.h5"
    run(one, path)
    with open_run(path) as found:
        assert "all energies - work" in summary(found)
    assert main(["plot", str(path), "-o", str(tmp_path / "run.png")]) == 0
    assert (tmp_path / "run.png").stat().st_size > 5000


CONFLICTS = {
    "order": ({"electrons__order": 1}, "electrons.order"),
    "velocity_feedback": ({"electrons__velocity_feedback": True}, "electrons.velocity_feedback"),
    "velocity_tolerance": ({"electrons__velocity_tolerance": 1e-9}, "electrons.velocity_tolerance"),
    "step": ({"integrator__electrons": "step"}, 'integrator.electrons = "step"'),
    "frozen_beside": ({"electrons__method": "frozen", "electrons__frozen_beside": True}, "electrons.frozen_beside"),
    "gpu": ({"run__device": "gpu"}, 'run.device = "gpu"'),
    "unstable": ({"integrator__step": 0.9, "run__duration": 9.0, "run__save_every": 0.9}, "integrator.step = 0.9"),
    "tolerance": ({"electrons__tolerance": 1e-12}, "electrons.tolerance = 1e-12"),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_decks_that_contradict_themselves_are_refused_and_leave_nothing(name, tmp_path, capsys):
    changes, told = CONFLICTS[name]
    (tmp_path / "mine.toml").write_text(CHAIN)
    words = [word for key, value in changes.items() for word in ("--set", f"{key.replace('__', '.')}={toml(value)}")]
    assert main(["run", str(tmp_path / "mine.toml"), "-o", str(tmp_path / "run.h5"), *words]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert any(word in err for word in ("allowed", "use ")), err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.toml"]


def toml(value):
    return json.dumps(value)


def test_more_memory_than_the_machine_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("llgnegf.build.memory_of_machine", lambda: 150e6)
    with pytest.raises(
        DeckError, match=r'electrons.method = "real-time": the run needs 0\.\d+ GB .* has 0\.15 GB; use'
    ):
        run(deck(), tmp_path / "run.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_deck_made_of_its_tables_is_the_same_deck(kind):
    one = of_kind(kind)
    again = deck_from(one.tables())
    assert again.tables() == one.tables()
    assert tomllib.loads(again.text)["electrons"]["method"] == "real-time"


def test_electrons_that_leave_their_range_end_the_run(tmp_path, monkeypatch):
    """A step that is not refused although it is unstable."""
    monkeypatch.setattr("llgnegf.dynamics.real_time._STABLE", 9.0)
    one = deck(integrator__step=1.0, run__duration=40.0, run__save_every=1.0, motion__kind="frozen")
    with pytest.raises(RunError, match=r"site \[\d\] left their range .* integrator.step = 1 .*checkpoint is"):
        run(one, tmp_path / "run.h5")
    # What is left is sound, and there is a checkpoint.
    with open_run(tmp_path / "run.h5") as found:
        density = np.asarray(found["density"])[: found.n_frames]
    assert ((density > 0) & (density < 2)).all()
    assert (tmp_path / "run.h5.ckpt").exists()


ODD = {
    "one site": {"lattice__shape": [1], "texture": {"kind": "uniform"}},
    "two sites, cold": {"lattice__shape": [2], "electrons__temperature": 0.0},
    "no exchange": {"electrons__sd_exchange": 0.0},
    "no coupling": {"electrons__lead": [{"side": "left", "coupling": 0.0}]},
    "closed": {"electrons__lead": []},
    "one lead": {"electrons__lead": [{"side": "right"}]},
    "no gates": {"electrons__gate": []},
    "no back-action": {"electrons__back_action": 0.0},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_systems_keep_their_energy(name, tmp_path):
    one = deck(magnet__damping=0.0, integrator__step=0.05, run__duration=1.5, **ODD[name])
    share = one.electrons.back_action
    frozen = build_coupling(one, build_magnet(one)).freeze(0.0, initial_moments(one)).adiabatic
    with run(one, tmp_path / "run.h5") as found:
        electrons = np.asarray(found["energy_electrons"]) - np.asarray(found["work"])
        total = np.asarray(found["energy_classical"]) + share * electrons
        assert abs(total - total[0]).max() < 1e-6
        assert np.isfinite(found["spin_density"]).all()
        assert abs(found["spin_density"][0] - frozen[..., 1:]).max() < one.electrons.tolerance
        assert abs(found["density"][0] - frozen[..., 0]).max() < one.electrons.tolerance
    with pytest.warns(RunWarning, match="chosen for a run of 1.5"):
        assert resume(tmp_path / "run.h5", until=1.8).times[-1] == 1.8


def test_what_ran_before_in_the_same_process_changes_no_bit(tmp_path):
    """Kernels that are loaded together must not serve each other.

    Both in processes that begin here and read the kernels that are kept: two compilations may differ in last bits.
    """
    for name in ("chain", "precession"):
        (tmp_path / f"{name}.toml").write_text(deck_from(of_kind(name).tables()).text)
    alone = "run('precession.toml', 'alone.h5')"
    for lines in (alone, f"run('chain.toml', 'other.h5'); {alone.replace('alone', 'after')}"):
        done = subprocess.run(
            [sys.executable, "-c", f"from llgnegf import run; {lines}"],
            cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "alone.h5", tmp_path / "after.h5")


def test_sites_without_a_moment_feel_nothing_and_stay_empty(tmp_path):
    np.save(tmp_path / "m.npy", np.array([[0, 0, 1.0], [0, 0, 0], [0.6, 0.8, 0]]))
    one = deck(texture={"kind": "file", "path": str(tmp_path / "m.npy")})
    with pytest.warns(match="1 of 3 moments are zero"):
        found = run(one, tmp_path / "run.h5")
    assert not np.asarray(found["moment"])[:, 1].any()
    assert np.isfinite(found["spin_density"]).all()
    assert abs(np.asarray(found["spin_density"])[:, 1]).max() > 1e-3


@pytest.mark.parametrize("unit", [2.0**-62, 1e6])
@pytest.mark.parametrize("text", [CHAIN, LATTICE], ids=["chain", "lattice"])
def test_another_unit_of_energy_is_the_same_run(text, unit, tmp_path):
    short = {"run__duration": 0.6}
    energies = ("magnet.exchange", "magnet.anisotropy", "electrons.sd_exchange", "electrons.fermi_energy")
    energies += ("electrons.temperature",)
    tables = deck(text, **short).tables()
    scaled = json.loads(json.dumps(tables))
    for key in energies:
        table, name = key.split(".")
        scaled[table][name] *= unit
    scaled["electrons"]["hopping"] *= unit
    scaled["magnet"]["field"] = [unit * b for b in scaled["magnet"]["field"]]
    for lead in scaled["electrons"]["lead"]:
        lead["coupling"] *= unit
    for gate in scaled["electrons"]["gate"]:
        gate["amplitude"] *= unit
        gate["frequency"] *= unit
    for table, name in (("integrator", "step"), ("run", "duration"), ("run", "save_every")):
        scaled[table][name] /= unit
    ours = run(deck_from(tables), tmp_path / "ours.h5")
    theirs = run(deck_from(scaled), tmp_path / "theirs.h5")
    for name in ("moment", "spin_density", "density"):
        np.testing.assert_allclose(np.asarray(theirs[name]), np.asarray(ours[name]), atol=1e-9)
    for name, power in (("current_charge", 1), ("current_energy", 2), ("energy_electrons", 1), ("work", 1)):
        np.testing.assert_allclose(np.asarray(theirs[name]) / unit**power, np.asarray(ours[name]), atol=1e-8)


def test_a_run_of_twice_the_length_begins_as_the_short_one_resumed(tmp_path):
    """Resuming beyond the end of the deck keeps the exponents that were chosen at the start."""
    run(deck(run__duration=1.5), tmp_path / "run.h5")
    with pytest.warns(RunWarning, match="chosen for a run of 1.5"):
        longer = resume(tmp_path / "run.h5", until=3.0)
    state = checkpoint.load_newest(tmp_path / "run.h5")[0].extra
    assert longer.times[-1] == 3.0
    assert float(state["planned_for"]) == 1.5
    with h5py.File(tmp_path / "run.h5") as file:
        assert len(file["time"]) == 11
