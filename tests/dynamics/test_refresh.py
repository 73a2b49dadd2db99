"""When the electrons are asked: accuracy and number of evaluations, and that nothing but the motion decides."""

import itertools

import h5py
import numpy as np
import pytest

from llgnegf import resume, run
from llgnegf.build import build
from llgnegf.deck import parse_deck
from llgnegf.dynamics import adaptive
from llgnegf.errors import RunError
from llgnegf.runfile import checkpoint

CHAIN = """
[lattice]
shape = [5]
[texture]
kind = "bloch_wall"
width = 1.2
[magnet]
exchange = 0.1
anisotropy = 0.06
hard_anisotropy = 0.02
field = [0.02, 0.0, 0.05]
damping = 0.02
[electrons]
sd_exchange = 0.5
fermi_energy = 0.2
tolerance = 1e-5
[[electrons.lead]]
side = "left"
[[electrons.lead]]
side = "right"
coupling = 0.7
[[electrons.gate]]
columns = [2]
amplitude = 0.3
frequency = 0.4
[integrator]
step = 0.2
electrons = "adaptive"
[run]
duration = 8.0
save_every = 0.4
checkpoint_every = 7
"""
PERIOD = 2 * np.pi / 0.4


def deck(**changes):
    return parse_deck(CHAIN, overrides={key.replace("__", "."): value for key, value in changes.items()})


class Followed:
    """A run without frames or files: moments after every step, evaluations and rejected strides."""

    def __init__(self, duration, field=None, **changes):
        one = deck(**changes)
        parts = build(one, field)
        self.stepper, self.coupling, self.evaluated = parts.stepper, parts.stepper.coupling, []
        motion = self.coupling.motion

        def counted(t, y, near=None, within=None):
            self.evaluated.append(t)
            return motion(t, y, near, within)

        self.coupling.motion = counted
        y = parts.magnet.pack(parts.start)
        moments = [parts.magnet.unpack(y).copy()]
        for n in range(round(duration / one.integrator.step)):
            _, y = parts.stepper.advance(n, y, n + 1)
            moments.append(parts.magnet.unpack(y).copy())
        self.moments = np.array(moments)

    @property
    def solves(self):
        return self.coupling.solves

    @property
    def rejected(self):
        """Evaluations after which the next one was earlier."""
        return int((np.diff(self.evaluated) < 0).sum())


@pytest.fixture(scope="module")
def exact():
    """Electrons at every stage of a quarter of the step, over a period of the gate."""
    fine = {"integrator__step": 0.05, "electrons__tolerance": 1e-8, "electrons__velocity_tolerance": 1e-9}
    return Followed(15.8, integrator__electrons="stage", **fine).moments[::4]


def error(followed, exact):
    return abs(followed.moments - exact).max()


# --- accuracy and cost ----------------------------------------------------------------------------------------------


def test_far_fewer_evaluations_for_the_same_accuracy(exact):
    assert PERIOD < 15.8
    stage = Followed(15.8, integrator__electrons="stage")
    step = Followed(15.8, integrator__electrons="step")
    adaptive = Followed(15.8, electrons__tolerance=2e-5)
    assert error(stage, exact) < 1e-4
    assert error(adaptive, exact) < 1e-4
    assert error(step, exact) > 1e-2
    assert 10 * adaptive.solves < stage.solves
    assert 2 * adaptive.solves < step.solves
    assert abs(exact[-1] - exact[0]).max() > 0.5


def test_a_smaller_tolerance_gives_a_smaller_error(exact):
    runs = [Followed(15.8, electrons__tolerance=tolerance) for tolerance in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)]
    errors = [error(one, exact) for one in runs]
    assert all(next_one < one / 2 for one, next_one in itertools.pairwise(errors)), errors
    assert errors[-1] < 1e-5
    evaluations = [len(one.evaluated) for one in runs]
    assert evaluations == sorted(set(evaluations))


@pytest.mark.parametrize("options", [{"electrons__order": 0}, {"electrons__velocity_feedback": False}], ids=str)
@pytest.mark.parametrize("method", ["rk4", "heun"])
def test_every_order_and_method(options, method):
    changes = {**options, "integrator__method": method, "integrator__step": 0.1}
    stage = Followed(10.0, integrator__electrons="stage", electrons__tolerance=1e-9, **changes)
    adaptive = Followed(10.0, **changes)
    assert abs(adaptive.moments - stage.moments).max() < 3e-5
    assert 3 * len(adaptive.evaluated) < len(stage.evaluated)


def test_the_bound_holds_for_the_field_between_evaluations():
    """The interpolated field against the electrons asked at every step, across the moments."""
    one = deck(electrons__tolerance=1e-4)
    parts = build(one)
    y, worst = parts.magnet.pack(parts.start), []
    for n in range(100):
        _, y = parts.stepper.advance(n, y, n + 1)
        if n < 2:
            continue
        there = parts.stepper._field(n + 1, parts.stepper.points + 1)
        true = parts.stepper.coupling.motion((n + 1) * 0.2, y).electron_field
        worst.append(abs(np.cross(parts.magnet.unpack(there - true), parts.magnet.unpack(y))).max())
    assert max(worst) < 2 * 0.5 * 1e-4
    assert len(parts.stepper.nodes) > 3


def test_nothing_moves_nothing_is_asked():
    """Along the axis of everything: the stride grows by factors of two up to the longest."""
    still = {"texture": {"kind": "uniform"}, "magnet__field": [0, 0, 0.1], "electrons__gate": []}
    followed = Followed(600.0, **still)
    assert len(followed.evaluated) < 30
    assert followed.stepper.stride == adaptive._LONGEST_STRIDE
    assert np.diff(followed.stepper.nodes).max() == adaptive._LONGEST_STRIDE


def pulse(t, m):
    """Sets in at t = 4, when strides have grown."""
    return 0.5 * np.sin(2 * (t - 4)) * (t > 4) * np.broadcast_to([1.0, 0.0, 0.0], m.shape)


def test_a_stride_that_was_too_long_is_tried_again():
    followed = Followed(8.0, field=pulse, electrons__tolerance=1e-4)
    calm = Followed(8.0, electrons__tolerance=1e-4)
    assert calm.rejected == 0
    assert followed.rejected > 0
    exact = Followed(8.0, field=pulse, integrator__electrons="stage", electrons__tolerance=1e-8)
    assert abs(followed.moments - exact.moments).max() < 3e-3
    with pytest.MonkeyPatch.context() as patch:  # without rejections the pulse is missed
        patch.setattr(adaptive.Adaptive, "_errors", lambda self, ahead, field: {1: 0.0})
        careless = Followed(8.0, field=pulse, electrons__tolerance=1e-4)
    assert abs(careless.moments - exact.moments).max() > 3e-2


def test_where_no_stride_is_short_enough_every_stage_asks():
    """A gate with an eighth of its period in a step: as good as every stage, and no dearer."""
    fast = {"electrons__gate": [{"columns": [2], "amplitude": 1.0, "frequency": 4.0}]}
    exact = Followed(6.0, integrator__electrons="stage", integrator__step=0.02, electrons__tolerance=1e-7, **fast)
    stage, adaptive = (Followed(6.0, integrator__electrons=mode, **fast) for mode in ("stage", "adaptive"))
    errors = [abs(one.moments - exact.moments[::10]).max() for one in (stage, adaptive)]
    assert errors[1] < 1.1 * errors[0] < 2e-4
    assert len(adaptive.evaluated) < 1.1 * len(stage.evaluated)
    assert adaptive.stepper.stride == 0


def test_where_the_field_calms_down_strides_grow_again():
    """Stride 0 is left as soon as what the electrons answer is what was extrapolated."""
    followed = Followed(0.4, electrons__tolerance=1e-4)
    followed.stepper.stride = 0  # as where the first one was refused
    y, evaluated = followed.stepper.coupling.magnet.pack(followed.moments[-1]), len(followed.evaluated)
    for n in range(2, 60):
        _, y = followed.stepper.advance(n, y, n + 1)
    assert np.diff(followed.stepper.nodes).max() > 1
    assert len(followed.evaluated) - evaluated < 58


@pytest.mark.parametrize("steps", [38, 39, 40, 41])
def test_a_field_that_ends_with_the_run_shortens_the_stride(steps):
    end = 0.2 * steps

    def table(t, m):
        if t > end + 1e-9:
            raise KeyError("the table ends")
        return 0 * m

    followed = Followed(end, field=table, electrons__tolerance=1e-4)
    free = Followed(end, electrons__tolerance=1e-4)
    assert followed.evaluated[-1] == pytest.approx(end)
    np.testing.assert_allclose(followed.moments, free.moments, atol=1e-4)
    with pytest.raises(RunError, match=r"KeyError at t = \d\.\d: 'the table ends'"):
        Followed(end + 0.2, field=table, electrons__tolerance=1e-4)


# --- polynomials ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [[3], [0, 4], [1, 2, 8], [0, 1, 3, 4, 9, 11, 12]])
def test_lagrange_gives_polynomials_exactly(nodes):
    coefficients = np.arange(1.0, len(nodes) + 1)
    values = np.polyval(coefficients, np.array(nodes) / 10)
    for x in (-1.0, 2.5, nodes[-1], 14.0):
        assert adaptive.lagrange(nodes, x) @ values == pytest.approx(np.polyval(coefficients, x / 10), rel=1e-11)


@pytest.mark.parametrize("nodes", [[3], [0, 4], [1, 2, 8], [0, 1, 3, 4]])
def test_share_is_the_ratio_of_the_errors_of_both_polynomials(nodes):
    """Of t^n, whose n-th derivative is constant."""
    ahead, n = 12, len(nodes)
    values = np.array(nodes, float) ** n
    extrapolation = abs(adaptive.lagrange(nodes, ahead) @ values - ahead**n)
    inner = [*nodes[1:], ahead]
    between = np.linspace(nodes[-1], ahead, 2001)
    found = [adaptive.lagrange(inner, x) @ np.array(inner, float) ** n - x**n for x in between]
    assert adaptive.share(nodes, ahead) == pytest.approx(abs(np.array(found)).max() / extrapolation, rel=0.01)


# --- frames, ends and checkpoints change no bit ---------------------------------------------------------------------


def moments(path, **changes):
    with run(deck(**changes), path) as result:
        return {round(float(t), 9): m for t, m in zip(result.times, result["moment"], strict=True)}


def test_frames_ends_and_checkpoints_change_no_bit(tmp_path):
    plain = moments(tmp_path / "plain.h5", run__save_every=0.2)
    others = {
        "rare": {"run__save_every": 2.0},
        "short": {"run__duration": 5.0, "run__save_every": 0.2},
        "checkpoints": {"run__checkpoint_every": 1},
        "long": {"run__duration": 9.0},
    }
    for name, changes in others.items():
        found = moments(tmp_path / f"{name}.h5", **changes)
        common = plain.keys() & found.keys()
        assert len(common) >= 5
        assert all((plain[t] == found[t]).all() for t in common), name


@pytest.mark.parametrize("method", ["rk4", "heun"])
@pytest.mark.parametrize("mode", ["stage", "step", "adaptive"])
def test_every_step_is_a_place_to_stop(tmp_path, method, mode):
    """Stopped at every step of the first strides, and in the midst of a long one; else all steps are alike."""
    stops = (2, 3, 4, 5, 6, 7, 8, 9, 24, 25, 26, 27, 28, 40) if mode == "adaptive" else (2, 3, 8, 10)
    changes = {"integrator__method": method, "integrator__electrons": mode, "electrons__tolerance": 1e-4}
    changes["run__duration"] = 0.2 * stops[-1]
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(deck(**changes), whole).close()
    run(deck(**changes), cut, until=0.2).close()
    inside = 0
    for n in stops:
        resume(cut, until=0.2 * n).close()
        state = checkpoint.load_newest(cut)[0]
        if mode == "adaptive":
            inside += state.extra["nodes"][-1] > n + 1
    assert (inside > 4) == (mode == "adaptive")
    with h5py.File(whole) as a, h5py.File(cut) as b:
        assert a.keys() == b.keys()
        assert [name for name in a if not np.array_equal(a[name][()], b[name][()])] == []
