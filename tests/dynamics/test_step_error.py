"""Steps that are divided: the estimate of every step, and that nothing passes between those that are halved."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import integrators
from llgnegf.dynamics.external import DrivenField
from llgnegf.dynamics.gates import LeadVoltages
from llgnegf.dynamics.profiles import Drive, make
from llgnegf.dynamics.step_error import Course, Trail
from llgnegf.errors import RunError
from tests.dynamics.test_profiles import EXAMPLES
from tests.dynamics.test_real_time import follower, run

TOLERANCE = 1e-4


# --- the estimate ---------------------------------------------------------------------------------


def trail_of(method, begins, h, rhs, y, jump=None):
    """Steps of `method` from given beginnings on, each from the solution there, so that only its own error counts."""
    values, rates, errors = [y(begins[0])], [], []
    for t in begins:
        end = integrators.get(method).step(rhs, t, values[-1], h)
        rates.append(rhs(t, values[-1]))
        errors.append(abs(end - y(t + h)).max())
        values.append(end)
        if jump is not None:
            values[-1] = end
    return Trail(np.array(begins), h, np.array(values), np.array(rates)), np.array(errors)


@pytest.mark.parametrize("method", ["rk4", "heun"])
@pytest.mark.parametrize("frequency", [0.3, 1.0])
def test_the_estimate_is_the_error_of_a_rotation(method, frequency):
    """y' = i w y: a method of order p misses (w h)^(p+1)/(p+1)! of it, whatever the steps before were."""
    order = integrators.get(method).order

    def y(t):
        return np.array([np.cos(frequency * t), np.sin(frequency * t)])

    def rhs(_t, at):
        return frequency * np.array([-at[1], at[0]])

    course = Course(order)
    assert not course
    for begin, h in ((0.0, 0.05), (0.2, 0.1), (0.6, 0.2), (1.4, 0.1)):
        begins = begin + h * np.arange(4)
        trail, _ = trail_of(method, begins, h, rhs, y)
        if course:
            # The largest of the two values, which take turns.
            found, told = course.errors(trail), (frequency * h) ** (order + 1) / math.factorial(order + 1)
            assert (found > 0.7 * told).all()
            assert (found < 1.4 * told).all()
        course.follow(trail)
        assert len(course.begins) == order - 1


def test_steps_much_longer_than_those_before_are_not_known():
    """Through beginnings near to each other goes the Taylor series, which a step is itself: both miss the same."""
    begins = 0.01 * np.arange(4)
    course, zero = Course(4), np.zeros((5, 1))
    course.follow(Trail(begins, 0.01, zero, zero[:4]))
    assert course.errors(Trail(np.array([0.04]), 0.01, zero[:2], zero[:1])) == [0.0]
    assert course.errors(Trail(np.array([0.04]), 0.5, zero[:2], zero[:1])) == [np.inf]


def test_with_few_steps_before_them_errors_are_not_underestimated():
    def y(t):
        return np.array([np.cos(t), np.sin(t)])

    trail, errors = trail_of("rk4", 0.1 * np.arange(5), 0.1, lambda _t, at: np.array([-at[1], at[0]]), y)
    told = Course(4).errors(trail)
    assert errors[0] == pytest.approx(0.1**5 / 120, rel=0.05)
    assert (told > 0.9 * errors[0]).all()
    assert (told[:3] > told[4]).all()


def test_what_begins_within_a_step_is_seen():
    """dy/dt = exp(-(t - 0.55)^2/(2 0.02^2)), which is nothing before t = 0.4."""

    def rhs(t, y):
        return np.full_like(y, math.exp(-0.5 * ((t - 0.55) / 0.02) ** 2))

    trail, _ = trail_of("rk4", 0.1 * np.arange(8), 0.1, rhs, lambda _t: np.zeros(1))
    told = Course(4).errors(trail)
    assert told[5] > 1e-3
    assert (told[:4] < 1e-12).all()


# --- profiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EXAMPLES)
def test_steps_as_long_as_the_inverse_of_the_fastest_change_see_the_profile(kind):
    """The cubic through values and rates at their ends is the profile, to a few per cent of its largest value."""
    profile, worst = make(kind, **EXAMPLES[kind]), 0.0
    for begin in np.arange(0.0, 6.0, 0.25):
        fastest = profile.fastest(begin, begin + 0.25)
        assert fastest >= 0
        parts = max(1, math.ceil(0.25 * fastest))
        h = 0.25 / parts
        for k in range(parts):
            t = begin + k * h
            middle = t + h / 2
            ends = [(profile.value(s, middle), profile.rate(s, middle)) for s in (t, t + h)]
            between = (ends[0][0] + ends[1][0]) / 2 + h * (ends[0][1] - ends[1][1]) / 8
            worst = max(worst, abs(profile.value(middle, middle) - between))
    assert worst < 0.03 * profile.reach


def test_a_narrow_profile_is_fast_where_it_is_alone():
    pulse, ramp = make("pulse", center=5.0, width=0.01), make("ramp", start=5.0, duration=0.01)
    times = np.r_[0.0, np.linspace(4.98, 5.02, 9), 10.0]
    table = make("file", times=times, values=np.exp(-0.5 * ((times - 5.0) / 0.01) ** 2))
    for one in (pulse, ramp, table):
        assert one.fastest(0.0, 4.8) == one.fastest(5.2, 10.0) == 0.0 or one is table
        assert 50 < one.fastest(4.9, 5.1) < 1000
        assert one.fastest(1.0, 4.0) < 3
    assert make("constant").fastest(0.0, 1.0) == make("square", period=0.5).fastest(0.0, 9.0) == 0.0
    flat = make("file", times=[0.0, 1.0, 2.0], values=[0.5, 0.5, 0.5])
    assert flat.fastest(0.5, 1.5) == flat.fastest(-3.0, -1.0) == 0.0
    chirp = make("chirp", duration=10.0, **{"from": 1.0, "to": 3.0})
    assert (chirp.fastest(0.0, 5.0), chirp.fastest(20.0, 21.0)) == (2.0, 3.0)


# --- runs -----------------------------------------------------------------------------------------


def gate(amplitude=2.0, **profile):
    return {"gates": (SimpleNamespace(columns=(0,), amplitude=amplitude, profile=make(**profile)),)}


def lead(amplitude, **profile):
    return {"stepper": {"voltages": LeadVoltages(Drive(amplitude, make(**profile)))}}


def field(amplitude, **profile):
    return {"fields": (DrivenField((1, 2, 0), amplitude, make(**profile)),)}


# The steps that are halved begin at 0, 8, 16 of dt; between them, at 12.3 dt, there is what no other step knows of.
SUDDEN = {
    "gate, 4 steps wide": lambda dt: gate(kind="pulse", center=12.3 * dt, width=4 * dt),
    "gate, a third of a step wide": lambda dt: gate(kind="pulse", center=12.3 * dt, width=0.3 * dt),
    "gate, between the stages": lambda dt: gate(kind="pulse", center=12.29 * dt, width=0.008 * dt),
    "gate, a ramp of a step": lambda dt: gate(kind="ramp", start=12.3 * dt, duration=dt),
    "gate, a jump": lambda dt: gate(kind="step", start=13 * dt),
    "gate, a table": lambda dt: gate(kind="file", times=[0, 12 * dt, 12.2 * dt, 12.4 * dt], values=[0, 0, 1, 0]),
    "lead, a third of a step wide": lambda dt: lead(2.0, kind="pulse", center=12.3 * dt, width=0.3 * dt),
    "lead, between the stages": lambda dt: lead(2.0, kind="pulse", center=12.29 * dt, width=0.008 * dt),
    "lead, a jump": lambda dt: lead(2.0, kind="step", start=13 * dt),
    "field, 4 steps wide": lambda dt: field(10.0, kind="pulse", center=12.3 * dt, width=4 * dt),
    "field, a step wide": lambda dt: field(10.0, kind="pulse", center=12.3 * dt, width=dt),
    "field, between the stages": lambda dt: field(10.0, kind="pulse", center=12.29 * dt, width=0.008 * dt),
    "nothing but the start": lambda dt: {},
}


def error_of(dt, options, turning, method="rk4"):
    """Largest difference of moments and densities to whole steps that are many times shorter."""
    options = {"damping": 0.1, "gates": (), "turning": turning, "duration": 20 * dt} | options
    own = options.pop("stepper", {})
    seen = []
    for step, more, by in ((dt, {"tolerance": TOLERANCE}, method), (dt / 200, {}, "rk4")):
        stepper = follower((2,), step, by, stepper=own | more, tolerance=TOLERANCE, **options)
        y, n, every, found = stepper.coupling.magnet.pack(stepper.start), 0, round(dt / step), []
        while n < 20 * every:
            n, y = stepper.advance(n, y, (n // every + 1) * every)
            if n % every == 0:
                one = stepper.instant(n, y)
                found.append(np.concatenate([one.m.ravel(), one.traced.ravel()]))
        seen.append(np.array(found))
    return abs(seen[0] - seen[1]).max()


@pytest.mark.parametrize("name", SUDDEN)
@pytest.mark.parametrize("turning", [None, ((0.3, 0.4, 0.8), 0.3)], ids=["LLG", "imposed"])
def test_what_happens_between_two_steps_that_are_halved_keeps_the_tolerance(name, turning):
    if turning and name.startswith("field"):
        pytest.skip("imposed moments feel no field")
    assert error_of(0.1, SUDDEN[name](0.1), turning) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", SUDDEN)
@pytest.mark.parametrize("method", ["rk4", "heun"])
def test_long_steps_keep_the_tolerance(name, method):
    assert error_of(0.5, SUDDEN[name](0.5), None, method) < TOLERANCE


@pytest.mark.parametrize("turning", [None, ((0.3, 0.4, 0.8), 0.3)], ids=["LLG", "imposed"])
def test_steps_of_a_lattice_are_judged_alike(turning):
    """The state as tiles: a pulse in the fourth step, against steps forty times shorter."""
    options = gate(kind="pulse", center=0.33, width=0.03) | {"turning": turning, "temperature": 0.4, "duration": 0.8}
    ends, rows = [], []
    for step, more in ((0.1, {"tolerance": TOLERANCE}), (0.0025, {})):
        stepper = follower((2, 8), step, tolerance=TOLERANCE, stepper=more, **options)
        last = run(stepper, 0.8)[-1]
        ends.append(np.concatenate([last.m.ravel(), last.traced.ravel()]))
        rows.append(stepper.electrons is stepper.equation)
    assert rows == [False, False]
    assert abs(ends[0] - ends[1]).max() < TOLERANCE


def test_a_gate_whose_period_divides_the_step_is_seen():
    """All stages of steps of 0.1, halved too, meet cos = 1 at an angular frequency of 80 pi."""
    assert error_of(0.1, gate(kind="cosine", frequency=80 * math.pi), None) < TOLERANCE


def test_a_moment_set_into_motion_suddenly_keeps_the_tolerance():
    assert error_of(0.5, {}, ((0.0, 0.0, 1.0), 0.5)) < TOLERANCE


def test_a_step_has_parts_enough_to_integrate_its_potentials():
    """A high ramp, whose bends lie within the step: the integral of sin^2 is known."""
    begin, length, V = 1.283, 0.13, 30.0
    stepper = follower(
        (2,), 0.1, stepper={"tolerance": TOLERANCE}, **gate(V, kind="ramp", start=begin, duration=length)
    )
    steps = stepper.steps
    allowed = TOLERANCE / 2 * 0.1 / 20.0

    def integral(t):
        x = min(max((t - begin) / length, 0.0), 1.0)
        return V * (length * (x / 2 - math.sin(math.pi * x) / (2 * math.pi)) + max(t - begin - length, 0.0))

    for n in (12, 13, 14):
        parts, exact = steps._least(n), integral(0.1 * (n + 1)) - integral(0.1 * n)
        assert abs(steps._phases(n, parts)[0] - exact) <= 3 * allowed
        assert abs(steps._phases(n, math.ceil(0.1 * math.pi / length))[0] - exact) > 30 * allowed


def test_a_pulse_that_no_part_can_see_is_told():
    stepper = follower(dt=0.5, stepper={"tolerance": TOLERANCE}, **gate(kind="pulse", center=1.2, width=1e-5))
    with pytest.raises(RunError, match=r"t = 1: a gate, voltage or field changes within 1e-05, .* step of up to 0.04"):
        run(stepper, 2.0)


def test_smooth_motion_is_halved_at_every_eighth_step_alone(monkeypatch):
    judged = []
    for options in ({"damping": 0.1}, {"turning": ((0.3, 0.4, 0.8), 0.3)}):
        stepper = follower(dt=0.1, stepper={"tolerance": TOLERANCE}, tolerance=TOLERANCE, **options)
        original = stepper.steps._judged
        judged.clear()
        monkeypatch.setattr(
            stepper.steps, "_judged", lambda n, now, original=original: (judged.append(n), original(n, now))[1]
        )
        run(stepper, 6.4)
        assert judged == list(range(0, 64, 8))


@pytest.mark.parametrize("turning", [None, ((0.3, 0.4, 0.8), 0.3)], ids=["LLG", "imposed"])
def test_what_is_known_of_the_steps_before_is_remembered(turning):
    """Stopped just before a pulse, and taken up again: the same bits.  Without it, as in older checkpoints, it runs."""
    options = {"gates": (), "turning": turning, "stepper": {"tolerance": TOLERANCE}}
    options |= gate(kind="pulse", center=1.25, width=0.1)

    def ended(cut, forget=False):
        stepper = follower((2,), 0.1, **options)
        y = stepper.coupling.magnet.pack(stepper.start)
        for n in range(18):
            if n == cut:
                state = {k: np.array(v) for k, v in stepper.state().items() if not (forget and "course" in k)}
                stepper = follower((2,), 0.1, **options)
                stepper.restore(state)
            _, y = stepper.advance(n, y, n + 1)
        return np.concatenate([y.ravel(), stepper.electrons.traced(stepper._now()[0]).ravel()])

    whole = ended(None)
    for cut in (3, 11, 12, 14):
        assert (ended(cut) == whole).all()
    assert abs(ended(11, forget=True) - whole).max() < TOLERANCE


def test_checkpoints_with_many_parts_or_odd_courses():
    stepper = follower((2,), 0.1, stepper={"tolerance": TOLERANCE})
    run(stepper, 0.3)
    state = stepper.state()
    again = follower((2,), 0.1, stepper={"tolerance": TOLERANCE})
    again.restore(state | {"parts": np.array(6144)})
    assert again.steps.parts == 6144
    for wrong in ({"parts": np.array(0)}, {"course_begins": np.zeros(9)}, {"course_ratio": np.array(np.nan)}):
        with pytest.raises(ValueError, match=r"parts|beginnings|no size"):
            follower((2,), 0.1, stepper={"tolerance": TOLERANCE}).restore(state | wrong)


def random_drive(rng, dt):
    """A gate, voltage or field that does something, somewhere within 28 steps."""
    begin, width = rng.uniform(2, 26) * dt, 10 ** rng.uniform(-2, 1) * dt
    times = np.append(0.0, np.sort(rng.uniform(0.0, 28 * dt, 6)))
    profiles = (
        {"kind": "pulse", "center": begin, "width": width},
        {"kind": "ramp", "start": begin, "duration": width},
        {"kind": "step", "start": int(rng.integers(1, 27)) * dt},
        {"kind": "cosine", "frequency": 10 ** rng.uniform(-1, 2) / dt, "phase": rng.uniform(0, 6)},
        {"kind": "file", "times": times.tolist(), "values": rng.normal(size=7).tolist()},
    )
    drive = (gate, lead, field)[rng.integers(3)]
    return drive(10 ** rng.uniform(-1, 1), **profiles[rng.integers(5)]), drive is not field


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_whatever_drives_a_run_its_errors_are_within_the_tolerance(seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        dt = float(rng.choice([0.05, 0.1, 0.25, 0.5]))
        options, may_turn = random_drive(rng, dt)
        turning = ((0.3, 0.4, 0.8), 10 ** rng.uniform(-1, 0.5)) if may_turn and rng.random() < 0.5 else None
        assert error_of(dt, options, turning) < TOLERANCE, (dt, options, turning)
