"""`llgnegf check`: what a trial of the first steps foresees, in Green's functions, beside what the run evaluates."""

import math

import pytest

from llgnegf import compiling, estimate, run, trial
from llgnegf.build import build
from llgnegf.cli import main
from llgnegf.deck import load_deck, shipped_decks
from llgnegf.errors import RunError, RunWarning

SMALL = {"lattice.shape": [5, 4], "texture.center": [2.0, 1.5], "texture.radius": 1.5, "run.duration": 6.0}
FRAMES = {"run.duration": 800.0}
PROBES = {"lattice.shape": [6], "texture.center": 2.0, "run.duration": 20.0, "electrons.tolerance": 1e-4}
# Shipped decks, shortened to seconds; each is longer than the trial.
SHORT = {
    "closed_wall": FRAMES,
    "precessing_moment": FRAMES,
    "precessing_neel_wall": FRAMES,
    "precessing_wall": FRAMES,
    "precessing_wall_strong": FRAMES,
    "macrospin_in_wire": {"run.duration": 500.0},
    "wall_in_wire": {"run.duration": 100.0},
    "skyrmion_pump": SMALL,
    "skyrmion_pump_small": SMALL,
    "skyrmion_pump_slow": SMALL,
    "skyrmion_pump_real_time": SMALL,
    "precessing_wall_real_time": {"run.duration": 20.0},
    "switched_moment": {"run.duration": 20.0},
    "free_wall": {"run.duration": 20.0},
    "wall_classical": {"run.duration": 20.0},
    "diffusing_wall": {"run.duration": 2.0},
    "nutation": {"run.duration": 2.0},
    "pulsed_switching": {"run.duration": 20.0},
    "current_driven_wall": {"lattice.shape": [30], "texture.center": 14.0, "run.duration": 30.0},
    "wall_with_probes": PROBES,
    "wall_with_probes_real_time": {"lattice.shape": [12], "texture.center": 5.0, "run.duration": 20.0},
    "current_switching": {"run.duration": 100.0},
    "molecular_magnet": {"run.duration": 10.0},
    "bias_switching": {"run.duration": 300.0},
    "skyrmion_classical": {"run.duration": 2.0},
    "kondo_torus": {"run.duration": 250.0},
}
OTHERS = {
    "stage": ("wall_in_wire", {"run.duration": 10.0, "integrator.electrons": "stage"}),
    "step": ("wall_in_wire", {"run.duration": 20.0, "integrator.electrons": "step"}),
    "heun, rare frames": ("wall_in_wire", {"run.duration": 80.0, "run.save_every": 20.0, "integrator.method": "heun"}),
    "each step a frame": ("wall_in_wire", {"run.duration": 20.0, "run.save_every": 0.5}),
    "coarse": ("wall_in_wire", {"run.duration": 200.0, "run.save_every": 100.0, "electrons.tolerance": 1e-3}),
}
CASES = {name: (name, changes) for name, changes in SHORT.items()} | OTHERS


def forecast(deck, seconds=math.inf):
    return trial.forecast(build(deck), seconds)


def test_every_shipped_deck_is_among_them():
    assert SHORT.keys() >= shipped_decks().keys()


@pytest.mark.parametrize("case", CASES)
def test_the_green_functions_of_a_run_are_foreseen(tmp_path, case):
    name, changes = CASES[case]
    deck = load_deck(name, changes)
    parts = build(deck)
    found = trial.forecast(parts, math.inf)
    with run(deck, tmp_path / "run.h5") as result:
        if deck.electrons is None or deck.electrons.method == "real-time":  # they need no Green's functions
            # The trial leaves the electrons as a checkpoint would; the errors of their leads are told all the same.
            assert "known" not in getattr(parts.stepper, "in_words", "")
            assert found.total.solves == 0
            assert "solves" not in result
            return
        real = float(result["solves"][-1])
    assert 0.5 * real < found.total.solves < 2 * real
    assert found.least.solves <= found.total.solves <= found.most.solves
    assert found.steps < deck.n_steps / 1.2  # the rest is foreseen, not counted
    assert not found.cut_off
    assert not found.trouble


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("current_driven_wall", {"lattice.shape": [30], "texture.center": 14.0, "run.duration": 300.0}),
        ("current_switching", {"run.duration": 400.0}),
    ],
)
def test_what_rings_down_after_a_current_is_switched_on_does_not_stand_for_the_run(tmp_path, name, changes):
    """At first every step asks the electrons; a trial of 24 such steps foresaw 4 times too much."""
    deck = load_deck(name, changes)
    found = forecast(deck)
    with run(deck, tmp_path / "run.h5") as result:
        real = float(result["solves"][-1])
    assert 0.7 * real < found.total.solves < 1.5 * real


def test_a_trial_is_bounded_and_whole_runs_are_counted(tmp_path):
    """However long the run: the same steps are tried.  Where it is shorter than the trial, every step of it."""
    one, other = (forecast(load_deck("wall_in_wire", {"run.duration": t})) for t in (200.0, 2e6))
    assert one.steps == other.steps < 100
    assert other.total.solves > 5e3 * one.total.solves
    deck = load_deck("wall_in_wire", {"run.duration": 6.0})
    found = forecast(deck)
    with run(deck, tmp_path / "run.h5") as result:
        assert found.steps == deck.n_steps
        assert found.total.solves == pytest.approx(float(result["solves"][-1]), rel=0.1)


def test_without_time_for_a_trial_adaptive_electrons_have_an_upper_bound():
    deck = load_deck("wall_in_wire", {"run.duration": 100.0})
    whole, cut = forecast(deck), forecast(deck, 0.0)
    assert cut.cut_off
    assert not whole.cut_off
    assert cut.steps == 0
    assert whole.total.solves < cut.total.solves
    assert "at most" in estimate._in_all(cut)
    assert "at most" in estimate._solves(deck, cut)


def test_a_range_where_strides_differ():
    found = forecast(load_deck("macrospin_in_wire"))
    fewest, most = found.strides
    assert fewest < most
    assert found.least.solves < found.total.solves < found.most.solves
    assert "(" in estimate._in_all(trial.Forecast(trial.Cost(0, 60), trial.Cost(0, 40), trial.Cost(0, 90), *[None] * 5))


def test_compiling_is_left_out(monkeypatch):
    """A kernel that takes an hour to compile, in the first frame and in the second step."""
    deck, now = load_deck("wall_in_wire", {"run.duration": 20.0}), [0.0]
    watch = compiling.Watch()
    monkeypatch.setattr(compiling, "watch", watch)
    monkeypatch.setattr(compiling.time, "perf_counter", lambda: now[0])
    parts, calls = build(deck), []
    motion = parts.stepper.coupling.motion

    def slow(*arguments):
        calls.append(1)
        if len(calls) in (1, 7):
            watch.begins()
            watch.begins()  # a kernel that the first one calls
            now[0] += 1800.0
            watch.ends()
            now[0] += 1800.0
            watch.ends()
        now[0] += 1.0
        return motion(*arguments)

    monkeypatch.setattr(parts.stepper.coupling, "motion", slow)
    found = trial.forecast(parts, math.inf)
    assert watch.seconds == 7200.0
    assert len(calls) <= found.total.seconds < 200.0
    assert found.step.seconds < 2.0


def test_check_says_where_the_run_would_stop(monkeypatch):
    """What ends the trial will end the run; what was measured until then is told all the same."""
    deck = load_deck("macrospin_in_wire")
    build_parts = estimate.build

    def failing(deck):
        parts = build_parts(deck)
        advance = parts.stepper.advance

        def stop(n, y, limit):
            if n == 5:
                raise RunError("a moment grew")
            return advance(n, y, limit)

        parts.stepper.advance = stop
        return parts

    monkeypatch.setattr(estimate, "build", failing)
    with pytest.warns(RunWarning, match="the run would stop: t = 5: a moment grew"):
        assert "Green's functions in all" in estimate.estimate(deck)


@pytest.mark.parametrize("deck", ["wall_in_wire", "precessing_wall"])
def test_check_says_of_the_first_frame_what_the_run_would_say(tmp_path, capsys, deck):
    """A spectrum on which no poles represent such a Fermi function, stepped and imposed."""
    words = [deck, "--set", "electrons.temperature=1e-9"]
    assert main(["check", *words]) == 1
    told = capsys.readouterr().err
    assert told.startswith("llgnegf: t = 0: the Fermi function at temperature = 1e-09")
    assert main(["run", *words, "-o", str(tmp_path / "run.h5")]) == 1
    assert capsys.readouterr().err == told
