"""Electrons in real time where gates, voltages and fields jump: order of the method, energy, and the same bits."""

from types import SimpleNamespace

import numpy as np
import pytest

from llgnegf.dynamics.external import DrivenField
from llgnegf.dynamics.gates import LeadVoltages
from llgnegf.dynamics.profiles import Drive, make
from tests.dynamics.test_real_time import TERMS, end_of, follower, run, without_coefficients

SQUARE = make("square", period=0.8, duty=0.25)
GATES = (
    SimpleNamespace(columns=(0,), amplitude=0.6, profile=SQUARE),
    SimpleNamespace(columns=(-1,), amplitude=-0.4, profile=make("step", start=1.0)),
)
VOLTAGES = LeadVoltages(Drive(0.5, make("step", start=0.6)), Drive(-0.3, make("constant")))
FIELDS = (
    DrivenField((1, 2, 0), 0.7, make("step", start=1.4), sites=[(0,), (2,)]),
    DrivenField((0, 0, 1), 0.4, make("pulse", center=1.0, width=0.3)),
)
EVERYTHING = {"gates": GATES, "fields": FIELDS, "stepper": {"voltages": VOLTAGES}}
SITUATIONS = {
    "chain": EVERYTHING,
    "half the back-action, one moment held": EVERYTHING | {"back_action": 0.5, "terms": TERMS | {"fixed": [(1,)]}},
    "imposed": {"gates": GATES, "stepper": {"voltages": VOLTAGES}, "turning": ((0.3, 0.4, 0.8), 0.7)},
    "a method without coefficients": EVERYTHING | {"method": without_coefficients("rk4")},
    "lattice": {"shape": (2, 8), "gates": GATES, "stepper": {"voltages": VOLTAGES}},
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_jumps_between_two_steps_leave_order_and_energy(name):
    """Work at a jump of a gate is its step times the electrons there; that of a field, the energy of moments in it."""
    options, errors, lost = SITUATIONS[name], [], []
    exact = end_of(follower(dt=0.025, **options))
    for dt in (0.1, 0.05):
        seen = run(follower(dt=dt, **options), 2.0, 0.2)
        last = seen[-1]
        found = np.concatenate([last.m.ravel(), last.traced.ravel(), [last.energy_electrons, last.work]])
        errors.append(abs(found - exact).max())
        share, moments = options.get("back_action", 1.0), 0.0 if "turning" in options else 1.0
        total = [
            moments * i.energies["classical"] - i.work_drives + share * (i.energy_electrons - (i.work - i.work_drives))
            for i in seen
        ]
        lost.append(abs(np.array(total) - total[0]).max())
    assert errors[1] < 1e-5
    assert errors[0] / errors[1] > 12
    assert lost[1] < 1e-5
    assert lost[0] / lost[1] > 11
    assert abs(seen[-1].work) > 0.05
    if "fields" in options:
        assert abs(seen[-1].work_drives) > 0.05
        assert (seen[-1].m[1] == seen[0].m[1]).all() == ("fixed" in options.get("terms", {}))


def test_a_frame_shows_what_is_behind_a_jump():
    stepper = follower(dt=0.1, **EVERYTHING)
    seen = {round(one.t, 9): one for one in run(stepper, 1.4, 0.1)}
    assert [seen[t].potential[0] for t in (0.0, 0.1, 0.2, 0.7, 0.8, 0.9, 1.0)] == [0.6, 0.6, 0, 0, 0.6, 0.6, 0]
    assert [seen[t].potential[2] for t in (0.9, 1.0)] == [0, -0.4]
    assert [seen[t].voltages.tolist() for t in (0.0, 0.5, 0.6)] == [[0, -0.3], [0, -0.3], [0.5, -0.3]]
    assert [seen[t].external.strengths[0] for t in (1.3, 1.4)] == [0, 0.7]
    assert (seen[0.0].work, seen[0.0].work_drives) == (0, 0)
    # 3 * 0.15 is below 0.45 in floating point.
    late = follower(dt=0.15, gates=[SimpleNamespace(columns=(0,), amplitude=0.5, profile=make("step", start=0.45))])
    assert 3 * 0.15 < 0.45
    assert late.instant(3, late.coupling.magnet.pack(late.start)).potential[0] == 0.5


@pytest.mark.parametrize("tolerance", [None, 1e-5])
def test_many_steps_at_once_are_single_steps(tolerance):
    """Imposed moments: the steps between two jumps go through one call of the kernel."""
    options = SITUATIONS["imposed"] | {"stepper": {"voltages": VOLTAGES, "tolerance": tolerance}}
    together, apart = follower(dt=0.1, **options), follower(dt=0.1, **options)
    run(together, 2.0)
    y = apart.coupling.magnet.pack(apart.start)
    for n in range(20):
        _, y = apart.advance(n, y, n + 1)
    one, other = together.state(), apart.state()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_sums_of_older_checkpoints_are_taken_up():
    """They have no driven fields, whose sum is the last one."""
    stepper = follower(dt=0.1, gates=GATES)
    stepper.advance(0, stepper.coupling.magnet.pack(stepper.start), 1)
    state = stepper.state()
    assert state["sums"][4] == 0
    again = follower(dt=0.1, gates=GATES)
    again.restore(state | {"sums": state["sums"][:4]})
    assert (again.state()["sums"] == state["sums"]).all()
    with pytest.raises(ValueError, match="sums of shape"):
        again.restore(state | {"sums": state["sums"][:3]})


def test_steps_know_the_largest_voltage():
    """One so large that rk4 of this step is unstable is divided, or refused."""
    large = {"voltages": LeadVoltages(None, Drive(60.0, make("ramp", start=0.0, duration=1.0)))}
    small, divided = (follower(dt=0.1, stepper={"tolerance": 1e-2} | more) for more in ({}, large))
    assert small._fewest_parts(small.planned) == 1
    assert divided._fewest_parts(divided.planned) >= 3
    last = run(divided, 3.0)[-1]
    assert np.isfinite(last.traced).all()


def test_a_step_that_begins_at_a_jump_is_judged():
    """A gate that jumps between two estimates of the error, far more violently than what came before."""
    gate = SimpleNamespace(columns=(1,), amplitude=8.0, profile=make("step", start=0.6))
    stepper = follower(dt=0.2, gates=[gate], stepper={"tolerance": 1e-4}, duration=1.4)
    y, parts = stepper.coupling.magnet.pack(stepper.start), []
    for n in range(5):
        _, y = stepper.advance(n, y, n + 1)
        parts.append(stepper.steps.parts)
    assert parts[3] > parts[2]
