"""Profiles: their values, their derivatives, their jumps, and that decks know the same ones."""

import math

import numpy as np
import pytest

from llgnegf.deck.table import kinds_of
from llgnegf.deck.tables import Drive as DriveTable
from llgnegf.dynamics.profiles import PROFILES, Cosine, Drive, Square, Step, inside, make, next_jump

EXAMPLES = {
    "constant": {},
    "cosine": {"frequency": 0.7, "phase": 0.4},
    "ramp": {"start": 0.5, "duration": 3.0},
    "pulse": {"center": 2.0, "width": 0.8},
    "step": {"start": 1.5},
    "square": {"period": 1.6, "duty": 0.25},
    "chirp": {"from": 0.3, "to": 2.5, "duration": 3.0},
    "file": {"times": [0.5, 1.0, 2.5, 4.0], "values": [0.3, -1.0, 2.0, 1.0]},
}
JUMPS = {"step": [1.5], "square": [0.4, 1.6, 2.0, 3.2, 3.6, 4.8]}
TIMES = np.linspace(0.013, 5.013, 41)


def test_examples_are_of_all_kinds():
    assert set(EXAMPLES) == set(PROFILES)
    assert list(kinds_of(DriveTable.model_fields["profile"])) == list(PROFILES)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_table_of_a_deck_has_the_arguments_of_the_function(kind):
    table = kinds_of(DriveTable.model_fields["profile"])[kind](kind=kind, **EXAMPLES[kind])
    made = make(**table.model_dump(exclude={"path"}))
    for t in TIMES:
        assert made.value(t) == make(kind, **EXAMPLES[kind]).value(t)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_rate_is_the_derivative(kind):
    profile, h = make(kind, **EXAMPLES[kind]), 1e-5
    for t in TIMES:
        slope = (profile.value(t + h) - profile.value(t - h)) / (2 * h)
        assert profile.rate(t) == pytest.approx(slope, abs=1e-8)
        assert profile.rate(t, amplitude=-0.3) == pytest.approx(-0.3 * slope, abs=1e-8)
    if kind not in ("constant", *JUMPS):
        assert max(abs(profile.rate(t)) for t in TIMES) > 0.3


@pytest.mark.parametrize("kind", EXAMPLES)
def test_nothing_is_larger_than_its_reach_or_jumps_unsaid(kind):
    profile, fine = make(kind, **EXAMPLES[kind]), np.linspace(0, 6, 20001)
    values = np.array([profile.value(t) for t in fine])
    assert abs(values).max() == pytest.approx(profile.reach, rel=1e-6)
    found = fine[1:][abs(np.diff(values)) > 0.1]
    assert found == pytest.approx(
        [jump for jump in JUMPS.get(kind, []) if jump < 6] + [5.2] * (kind == "square"), abs=1e-3
    )
    told, t = [], 0.0
    while (t := profile.next_jump(t)) < 5.0:
        told.append(t)
    assert told == pytest.approx(JUMPS.get(kind, []))


def test_values_at_chosen_times():
    ramp, pulse = make("ramp", **EXAMPLES["ramp"]), make("pulse", **EXAMPLES["pulse"])
    assert [ramp.value(t) for t in (0.0, 0.5, 2.0, 3.5, 9.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    half = 0.8 * math.sqrt(2 * math.log(2))  # where a Gaussian of this standard deviation has half its height
    assert [pulse.value(t) for t in (2.0, 2 + half, 2 - half)] == pytest.approx([1, 0.5, 0.5])
    chirp = make("chirp", **EXAMPLES["chirp"])
    middle, end = 0.3 * 1.5 + 2.2 * 1.5**2 / 6, (0.3 + 2.5) / 2 * 3
    assert [chirp.value(t) for t in (0.0, 1.5, 3.0, 4.0)] == pytest.approx(np.cos([0, middle, end, end + 2.5]))
    table = make("file", **EXAMPLES["file"])
    assert [table.value(t) for t in (0.0, 0.5, 1.0, 2.5, 4.0, 7.0)] == pytest.approx([0.3, 0.3, -1, 2, 1, 1])
    assert [table.rate(t) for t in (0.0, 0.4999999, 4.0000001, 9.0)] == [0, 0, 0, 0]
    assert abs(table.rate(0.5 + 1e-7)) < 1e-5  # flat where it begins
    two = make("file", times=[0.0, 2.0], values=[0.0, 1.0])  # its only cubic is 3 x^2 - 2 x^3
    assert two.value(0.5) == pytest.approx(3 / 16 - 2 / 64)
    assert make("cosine", frequency=0.7, phase=0.4).value(2.0) == np.cos(0.7 * 2.0 + 0.4)


@pytest.mark.parametrize(
    ("kind", "jump", "sides"), [("step", 1.5, (0, 1)), ("square", 1.6, (0, 1)), ("square", 2.0, (1, 0))]
)
def test_at_a_jump_a_time_within_the_step_decides(kind, jump, sides):
    profile = make(kind, **EXAMPLES[kind])
    for t in (jump, np.nextafter(jump, 0), np.nextafter(jump, 9)):
        assert (profile.value(t, jump - 0.05), profile.value(t, jump + 0.05)) == sides
    assert profile.value(jump + 1e-12) == sides[1]


@pytest.mark.parametrize("dt", [0.1, 0.2, 0.7, 1 / 3, 0.05])
def test_steps_of_jumps_are_found_whatever_rounding_does(dt):
    profiles = [Step(7 * dt), Square(12 * dt, 0.25), Cosine(1.0)]
    found, n = [], -1
    while len(found) < 200:
        n = next_jump(profiles, n, dt)
        found.append(n)
    expected = sorted({7, *range(0, 2000, 12), *range(3, 2000, 12)})
    assert found == expected[:200]
    for n in range(40):
        assert profiles[0].value(n * dt, inside(n, dt)) == (n >= 7)
        assert profiles[1].value((n + 1) * dt, inside(n, dt)) == (n % 12 < 3)
    assert next_jump([Cosine(1.0)], 0, dt) is None
    assert next_jump([], 0, dt) is None


def test_a_drive_is_its_amplitude_times_the_profile():
    drive = Drive(-0.4, make("file", **EXAMPLES["file"]))
    assert drive.value(1.3) == -0.4 * drive.profile.value(1.3)
    assert drive.rate(1.3) == pytest.approx(-0.4 * drive.profile.rate(1.3))
    assert drive.reach == 0.4 * drive.profile.reach


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "boxcar"}, "kind = 'boxcar': allowed are constant, cosine"),
        ({"kind": "pulse", "center": 0.0, "width": 0.0}, "width = 0.0: a number above 0"),
        ({"kind": "ramp", "start": 0.0, "duration": -1.0}, "duration = -1.0: a number above 0"),
        ({"kind": "square", "period": 1.0, "duty": 1.0}, "duty = 1.0: a number between 0 and 1"),
        ({"kind": "file", "times": [0.0, 0.0], "values": [1.0, 2.0]}, "times must be two or more increasing"),
        ({"kind": "file", "times": [0.0], "values": [1.0]}, "times must be two or more increasing"),
        ({"kind": "file", "times": [0.0, 1e-200], "values": [0.0, 1.0]}, "times too near to each other"),
        ({"kind": "file", "times": [0.0, 1.0], "values": [-1e308, 1e308]}, "or values too large"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        make(**arguments)


def test_a_constant_table_has_no_frequency():
    flat = make("file", times=[0.0, 1.0, 2.0], values=[0.5, 0.5, 0.5])
    assert (flat.reach, flat.frequency, flat.value(1.5)) == (0.5, 0.0, 0.5)
    nothing = make("file", times=[0.0, 1.0], values=[0.0, 0.0])
    assert (nothing.reach, nothing.frequency) == (0.0, 0.0)
