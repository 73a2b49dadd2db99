"""Runs from a deck to a file: motion, what is saved, stopping and going on."""

import os
import signal
import threading

import h5py
import numpy as np
import pytest

import integrators
from llgnegf import load_deck, open_run, resume, run, simulation
from llgnegf.deck import parse_deck
from llgnegf.dynamics.coupling import Coupling
from llgnegf.electrons import ToleranceError
from llgnegf.errors import DeckError, FileError, RunError, RunWarning, StoppedEarly
from llgnegf.interrupts import Interrupts
from llgnegf.magnet.relax import relax
from llgnegf.runfile import checkpoint
from tests.oracles import classical, self_consistent
from tests.oracles.electrons_dense import Wire

BASE = """
[lattice]
shape = [3]
[texture]
kind = "random"
[magnet]
exchange = 0.3
dmi = 0.2
anisotropy = 0.15
field = [0.1, 0.2, -0.3]
damping = 0.05
[electrons]
sd_exchange = 0.8
fermi_energy = 0.2
tolerance = 1e-8
[[electrons.lead]]
side = "left"
[[electrons.lead]]
side = "right"
coupling = 0.7
[[electrons.gate]]
columns = [1]
amplitude = 0.3
frequency = 1.1
phase = 0.4
[integrator]
step = 0.1
[run]
duration = 1.2
save_every = 0.3
checkpoint_every = 5
seed = 3
"""
CLASSICAL = BASE[: BASE.index("[electrons]")] + BASE[BASE.index("[integrator]") :]


def deck(text=BASE, **changes):
    return parse_deck(text, overrides={key.replace("__", "."): value for key, value in changes.items()})


def datasets(path):
    """Every dataset of a run file, byte for byte."""
    with h5py.File(path) as file:
        return {name: (data.shape, data.dtype.str, data[()].tobytes()) for name, data in file.items()}


def assert_same(path, other):
    ours, theirs = datasets(path), datasets(other)
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if ours[name] != theirs[name]]
    assert different == []


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


# --- what a run holds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"electrons__order": 0}, {"electrons__velocity_feedback": False}], ids=str)
def test_a_run_follows_the_dense_oracle(path, options):
    """Deck to file against dense RK4 with the same steps; gates, damping and all terms."""
    short = deck(run__duration=0.4, run__save_every=0.4, electrons__tolerance=1e-11, **options)
    with run(short, path) as result:
        first, last = result["moment"][0], result["moment"][-1]

    def gates(t):
        phase = 1.1 * t + 0.4
        return np.array([0, 0.3 * np.cos(phase), 0]), np.array([0, -0.33 * np.sin(phase), 0])

    table = short.electrons
    expected = self_consistent.trajectory(
        first,
        0.8,
        0.4,
        4,
        gates=gates,
        terms={"exchange": 0.3, "dmi": 0.2, "anisotropy": 0.15, "field": (0.1, 0.2, -0.3), "damping": 0.05},
        wire={"couplings": (1.0, 0.7), "fermi_energy": 0.2},
        order=table.order,
        feedback=table.velocity_feedback,
    )
    np.testing.assert_allclose(last, expected, atol=1e-9)


def test_frames_hold_the_electrons_of_their_instant(path):
    """Spin by origin, density, torque, potential and velocity of one frame, against dense Green's functions."""
    with run(deck(electrons__tolerance=1e-10), path) as result:
        i = 2
        t, m, v = result.times[i], result["moment"][i], result["velocity"][i]
        potential, rate = np.zeros(3), np.zeros(3)
        potential[1], rate[1] = 0.3 * np.cos(1.1 * t + 0.4), -0.33 * np.sin(1.1 * t + 0.4)
        wire = Wire(m, v, potential, rate, 0.8, couplings=(1.0, 0.7), fermi_energy=0.2)
        adiabatic, sea, surface = wire.adiabatic(), wire.sea(), wire.surface()
        close = {"atol": 2e-9}
        np.testing.assert_allclose(result["spin_adiabatic"][i], adiabatic[:, 1:], **close)
        np.testing.assert_allclose(result["spin_sea"][i], sea[:, 1:], **close)
        np.testing.assert_allclose(result["spin_surface"][i], surface[:, 1:], **close)
        np.testing.assert_allclose(result["density"][i], (adiabatic + sea + surface)[:, 0], **close)
        np.testing.assert_allclose(result["torque"][i], 0.8 * np.cross((sea + surface)[:, 1:], m), **close)
        np.testing.assert_allclose(result["potential"][i], potential, atol=1e-15)
        B = classical.field(m, exchange=0.3, dmi=0.2, anisotropy=0.15, field=(0.1, 0.2, -0.3))
        np.testing.assert_allclose(v, self_consistent.velocity(wire, B, damping=0.05), atol=1e-8)
        terms = {"exchange": 0.3, "dmi": 0.2, "anisotropy": 0.15, "field": (0.1, 0.2, -0.3)}
        for name, value in classical.energies(m, **terms).items():
            assert result[f"energy_{name}"][i] == pytest.approx(value, abs=1e-12)
        assert np.all(np.diff(result["solves"]) > 0)
        assert result["step"][:].tolist() == [0, 3, 6, 9, 12]
        np.testing.assert_allclose(result.times, 0.3 * np.arange(5), rtol=1e-15)


def test_surface_and_sea_are_saved_without_the_moments_motion_when_it_is_not_fed_back(path):
    with run(deck(electrons__velocity_feedback=False), path) as result:
        t, m = result.times[1], result["moment"][1]
        rate = np.array([0, -0.33 * np.sin(1.1 * t + 0.4), 0])
        potential = np.array([0, 0.3 * np.cos(1.1 * t + 0.4), 0])
        wire = Wire(m, 0 * m, potential, rate, 0.8, couplings=(1.0, 0.7), fermi_energy=0.2)
        np.testing.assert_allclose(result["spin_sea"][1], wire.sea()[:, 1:], atol=1e-7)
        np.testing.assert_allclose(result["spin_surface"][1], wire.surface()[:, 1:], atol=1e-7)


@pytest.mark.parametrize("changes", [{"electrons__back_action": 0}, {"electrons__sd_exchange": 0.0}], ids=str)
@pytest.mark.parametrize("refresh", ["stage", "step", "adaptive"])
def test_watching_electrons_change_no_bit_of_the_trajectory(tmp_path, changes, refresh):
    with (
        run(deck(CLASSICAL), tmp_path / "a.h5") as bare,
        run(deck(integrator__electrons=refresh, **changes), tmp_path / "b.h5") as watched,
    ):
        np.testing.assert_array_equal(bare["moment"], watched["moment"])
        np.testing.assert_array_equal(bare["velocity"], watched["velocity"])
        if "electrons__back_action" in changes:
            assert abs(np.asarray(watched["torque"])).max() > 1e-3
        else:
            assert not np.asarray(watched["torque"]).any()


def test_the_random_texture_belongs_to_its_seed(tmp_path):
    ends = []
    for k, seed in enumerate((3, 3, 4)):
        with run(deck(CLASSICAL, run__seed=seed), tmp_path / f"{k}.h5") as result:
            ends.append(result["moment"][-1])
    np.testing.assert_array_equal(ends[0], ends[1])
    assert abs(ends[0] - ends[2]).max() > 0.1


def test_electrons_held_for_a_step_converge_to_those_of_every_stage(tmp_path):
    """The held field lags by half a step on average: first order."""

    def end(dt, refresh):
        changes = {"integrator__step": dt, "run__duration": 0.8, "run__save_every": 0.8}
        where = tmp_path / f"{refresh}{dt}.h5"
        with run(deck(integrator__electrons=refresh, **changes), where) as result:
            return result["moment"][-1]

    exact = end(0.05, "stage")
    steps = np.array([0.1, 0.05, 0.025])
    errors = [np.linalg.norm(end(dt, "step") - exact) for dt in steps]
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert abs(slopes[-1] - 1) < 0.2, (errors, slopes)


@pytest.mark.parametrize("shape", [[1], [2], [1, 1], [3, 2]], ids=str)
@pytest.mark.parametrize("duration", [0.0, 0.3])
def test_odd_sizes(path, shape, duration):
    text = BASE if len(shape) == 1 else CLASSICAL
    changes = {"electrons__gate": []} if len(shape) == 1 else {}
    with run(deck(text, lattice__shape=shape, run__duration=duration, **changes), path) as result:
        assert result.n_frames == (2 if duration else 1)
        assert result["moment"].shape == (result.n_frames, *shape, 3)
        np.testing.assert_allclose(np.linalg.norm(result["moment"], axis=-1), 1, atol=1e-14)
        assert all(np.isfinite(np.asarray(result[name])).all() for name in result.names)


# --- imposed motion -------------------------------------------------------------------------------------------------


def precessing(axis=(0, 0, 1), frequency=0.02, **changes):
    motion = {"motion__kind": "precession", "motion__axis": list(axis), "motion__frequency": frequency}
    return deck(**{"electrons__gate": [], **motion, **changes})


def turned(vectors, axis, angle):
    """Rotation by the matrix exponential's closed form, written with spinors to share nothing with Rodrigues."""
    a = np.asarray(axis, float) / np.linalg.norm(axis)
    w, (x, y, z) = np.cos(angle / 2), np.sin(angle / 2) * a
    R = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return vectors @ R.T


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -2, 0.5)])
@pytest.mark.parametrize("frequency", [0.5, -0.5])
def test_imposed_precession_turns_everything_rigidly(path, axis, frequency):
    with run(precessing(axis, frequency), path) as result:
        m0 = result["moment"][0]
        a = np.array(axis) / np.linalg.norm(axis)
        for i, t in enumerate(result.times):
            np.testing.assert_allclose(result["moment"][i], turned(m0, axis, frequency * t), atol=1e-14)
            np.testing.assert_allclose(result["velocity"][i], frequency * np.cross(a, result["moment"][i]), atol=1e-15)
            for name in ("spin_adiabatic", "spin_geometric", "spin_sea", "spin_surface", "torque"):
                expected = turned(result[name][0], axis, frequency * t)
                np.testing.assert_allclose(result[name][i], expected, atol=1e-8, err_msg=name)
            assert result["grand_potential"][i] == pytest.approx(result["grand_potential"][0], abs=1e-10)
        # dm/dt is the slope of the saved moments.
        h = 1e-6
        slope = (turned(m0, axis, frequency * h) - turned(m0, axis, -frequency * h)) / (2 * h)
        np.testing.assert_allclose(result["velocity"][0], slope, atol=1e-9)


def test_imposed_precession_saves_the_papers_split(path):
    with run(precessing((0, 1, 1), 0.02, electrons__tolerance=1e-10), path) as result:
        m = result["moment"][0]
        wire = self_consistent.still(m, 0.8, couplings=(1.0, 0.7), fermi_energy=0.2)
        for name, part in wire.precession_parts((0, 1, 1), 0.02).items():
            np.testing.assert_allclose(result[f"spin_{name}"][0], part[:, 1:], atol=2e-9, err_msg=name)


def test_frequency_zero_and_frozen_moments_do_not_move(tmp_path):
    with (
        run(precessing(frequency=0.0), tmp_path / "a.h5") as still,
        run(deck(motion__kind="frozen", electrons__gate=[]), tmp_path / "b.h5") as frozen,
    ):
        for result in (still, frozen):
            assert not np.asarray(result["velocity"]).any()
            assert not np.asarray(result["torque"]).any()
            np.testing.assert_array_equal(result["moment"][-1], result["moment"][0])
        assert "spin_geometric" in still
        assert "spin_geometric" not in frozen


def test_frozen_moments_feel_gates_that_move(path):
    with run(deck(motion__kind="frozen"), path) as result:
        assert abs(result["spin_surface"][1]).max() > 1e-4
        assert np.ptp(result["density"][:, 1]) > 1e-3
        np.testing.assert_array_equal(result["moment"][-1], result["moment"][0])


def test_gates_beside_a_precession_add_their_first_order(path):
    with run(precessing((1, 0, 0), 0.02, electrons__gate=deck().tables()["electrons"]["gate"]), path) as result:
        t, m, v = result.times[1], result["moment"][1], result["velocity"][1]
        rate = np.array([0, -0.33 * np.sin(1.1 * t + 0.4), 0])
        potential = np.array([0, 0.3 * np.cos(1.1 * t + 0.4), 0])
        wire = Wire(m, v, potential, rate, 0.8, couplings=(1.0, 0.7), fermi_energy=0.2)
        total = sum(result[f"spin_{name}"][1] for name in ("geometric", "sea", "surface"))
        np.testing.assert_allclose(total, (wire.sea() + wire.surface())[:, 1:], atol=1e-7)


def test_only_a_precession_with_electrons_has_a_geometric_part(tmp_path):
    classical_turn = deck(CLASSICAL, motion__kind="precession", motion__axis=[0, 0, 1], motion__frequency=0.1)
    cases = {"llg": deck(), "turn": precessing(), "order0": precessing(electrons__order=0), "bare": classical_turn}
    for name, one in cases.items():
        with run(one, tmp_path / f"{name}.h5") as result:
            assert ("spin_geometric" in result) == (name in ("turn", "order0"))
            assert ("spin_sea" in result) == (name != "bare")


# --- going on after a stop ------------------------------------------------------------------------------------------

ADAPTIVE = {"integrator__electrons": "adaptive", "electrons__tolerance": 1e-3}
KINDS = {
    "stage": {},
    "step": {"integrator__electrons": "step"},
    "adaptive": ADAPTIVE,
    "adaptive, order 0": ADAPTIVE | {"electrons__order": 0},
    "adaptive, frozen": ADAPTIVE | {"motion__kind": "frozen"},
    "order 0": {"electrons__order": 0},
    "warm": {"electrons__temperature": 0.05},
    "precession": {"motion__kind": "precession", "motion__axis": [1, 1, 0], "motion__frequency": 0.3},
    "frozen": {"motion__kind": "frozen"},
    "classical": {},
}


def of_kind(kind, method="rk4", **changes):
    return deck(CLASSICAL if kind == "classical" else BASE, integrator__method=method, **KINDS[kind], **changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", integrators.METHODS)
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, kind, method):
    """Stopped off the grid of frames, on it, and twice."""
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(of_kind(kind, method), whole).close()
    run(of_kind(kind, method), cut, until=0.4).close()
    for until in (0.9, 1.2):
        resume(cut, until=until).close()
    assert_same(whole, cut)


def test_until_extends_a_finished_run(tmp_path):
    whole, short = tmp_path / "whole.h5", tmp_path / "short.h5"
    run(deck(run__duration=2.4), whole).close()
    run(deck(), short).close()
    with resume(short, until=2.4) as result:
        assert result.deck.run.duration == 2.4
    assert_same(whole, short)


def test_resuming_a_finished_run_changes_nothing(path):
    run(deck(CLASSICAL), path).close()
    before = datasets(path)
    resume(path).close()
    assert datasets(path) == before


@pytest.mark.parametrize("kind", ["stage", "adaptive", "classical", "precession"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_a_checkpoint(tmp_path, kind, number, monkeypatch):
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(of_kind(kind), whole).close()

    frames = simulation.Writer.append
    handler = signal.getsignal(number)

    def append(self, frame):
        frames(self, frame)
        if self.n_frames == 3:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(simulation.Writer, "append", append)
        with pytest.raises(StoppedEarly, match=rf"{number.name}\); continue with: llgnegf resume {cut}") as caught:
            run(of_kind(kind), cut)
    assert caught.value.exit_code == 75
    assert "stopped at t = 0.6 of 1.2" in str(caught.value)
    assert signal.getsignal(number) == handler
    with open_run(cut) as stopped:
        assert stopped.n_frames == 3
    resume(cut).close()
    assert_same(whole, cut)


@pytest.mark.parametrize(("frame", "stops"), [(12, True), (13, False)], ids=["one step before", "at"])
def test_a_signal_next_to_the_end(path, monkeypatch, frame, stops):
    """One step short is stopped early; at the end there is nothing left to stop."""
    frames = simulation.Writer.append

    def append(self, values):
        frames(self, values)
        if self.n_frames == frame:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(simulation.Writer, "append", append)
    if stops:
        with pytest.raises(StoppedEarly):
            run(deck(CLASSICAL, run__save_every=0.1), path)
    else:
        run(deck(CLASSICAL, run__save_every=0.1), path).close()


def test_a_second_interrupt_stops_at_once(path, monkeypatch):
    stop = Interrupts(None)
    stop.signalled(signal.SIGINT, None)
    assert stop
    with pytest.raises(KeyboardInterrupt):
        stop.signalled(signal.SIGINT, None)
    stop.signalled(signal.SIGTERM, None)  # a scheduler may send several


def test_the_wall_time_stops_at_a_checkpoint(tmp_path):
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(deck(), whole).close()
    with pytest.raises(StoppedEarly, match="the wall time is over"):
        run(deck(), cut, walltime=1e-9)
    for _ in range(3):
        with pytest.raises(StoppedEarly):
            resume(cut, walltime=1e-9)
    resume(cut, walltime=3600.0).close()
    assert_same(whole, cut)


def test_a_run_may_live_in_a_thread(tmp_path):
    """Signals belong to the main thread; elsewhere a run goes without."""
    found = []
    thread = threading.Thread(target=lambda: found.append(run(deck(CLASSICAL), tmp_path / "t.h5")))
    thread.start()
    thread.join()
    assert found[0].n_frames == 5
    found[0].close()


@pytest.mark.parametrize("kind", ["stage", "adaptive", "classical"])
def test_a_run_that_broke_down_goes_on_from_its_last_checkpoint(tmp_path, kind, monkeypatch):
    """Dies between a frame and the next checkpoint (steps 6 and 10): the frames after the checkpoint come again."""
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(of_kind(kind), whole).close()
    frames = simulation.Writer.append

    def append(self, frame):
        frames(self, frame)
        if self.n_frames == 4:
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(simulation.Writer, "append", append)
        with pytest.raises(RuntimeError, match="power cut"):
            run(of_kind(kind), cut)
    state, header = checkpoint.load_newest(cut)
    assert (state.step, header["frames_written"]) == (5, 2)
    resume(cut).close()
    assert_same(whole, cut)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(deck(), whole).close()
    run(deck(), cut, until=0.9).close()
    newest = checkpoint.checkpoint_paths(cut)[0]
    newest.write_bytes(newest.read_bytes()[:-7])
    with pytest.warns(RunWarning, match=rf"{newest}: holds \d+ bytes .* older {newest}\.1, t = 0\.5"):
        resume(cut, until=1.2).close()
    assert_same(whole, cut)


def test_without_any_checkpoint_resume_says_what_to_do(path):
    run(deck(CLASSICAL), path).close()
    for old in checkpoint.checkpoint_paths(path):
        old.unlink(missing_ok=True)
    with pytest.raises(FileError, match=r"no checkpoint beside it.*--overwrite"):
        resume(path)


def test_an_existing_run_is_refused_and_its_resume_named(path):
    run(deck(CLASSICAL), path).close()
    before = datasets(path)
    with pytest.raises(DeckError, match=f"llgnegf resume {path}"):
        run(deck(CLASSICAL), path)
    assert datasets(path) == before
    run(deck(CLASSICAL, run__seed=9), path, overwrite=True).close()
    assert datasets(path) != before


# --- a user's field -------------------------------------------------------------------------------------------------


def pulse(t, m):
    return np.sin(t) * np.broadcast_to([0.2, 0.0, 0.1], m.shape)


def other(t, m):
    return 0 * m


@pytest.mark.parametrize("text", [BASE, CLASSICAL], ids=["electrons", "classical"])
@pytest.mark.parametrize("refresh", ["stage", "step", "adaptive"])
def test_a_users_field_is_recorded_and_asked_for_again(tmp_path, text, refresh):
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    one = deck(text, integrator__electrons=refresh)
    run(one, whole, field=pulse).close()
    with run(one, cut, field=pulse, until=0.5) as result:
        assert result.attrs["user_field"] == "tests.test_simulation.pulse"
    with pytest.raises(DeckError, match=r"was run with field = tests\.test_simulation\.pulse, resume was given none"):
        resume(cut, until=1.2)
    with pytest.raises(DeckError, match=r"resume was given tests\.test_simulation\.other: pass the same one"):
        resume(cut, until=1.2, field=other)
    resume(cut, until=1.2, field=pulse).close()
    assert_same(whole, cut)
    bare = tmp_path / "bare.h5"
    run(one, bare).close()
    with pytest.raises(DeckError, match="was run with no field"):
        resume(bare, field=pulse)
    with open_run(bare) as a, open_run(whole) as b:
        assert abs(a["moment"][-1] - b["moment"][-1]).max() > 1e-3


@pytest.mark.parametrize("text", [BASE, CLASSICAL], ids=["electrons", "classical"])
def test_a_users_field_can_stand_for_the_decks(tmp_path, text):
    def zeeman(t, m):
        return np.broadcast_to(1.5 * np.array([0.1, 0.2, -0.3]), m.shape)

    with (
        run(deck(text, magnet__spin=1.5), tmp_path / "a.h5") as a,
        run(deck(text, magnet__spin=1.5, magnet__field=[0, 0, 0]), tmp_path / "b.h5", field=zeeman) as b,
    ):
        np.testing.assert_allclose(a["moment"], b["moment"], atol=1e-12 if text is CLASSICAL else 1e-9)


def test_a_field_that_fails_later_leaves_a_run_that_can_be_read(path):
    def failing(t, m):
        if t > 0.65:
            raise ZeroDivisionError("table ends")
        return 0 * m

    with pytest.raises(RunError, match=r"raised ZeroDivisionError at t = 0\.7: table ends"):
        run(deck(CLASSICAL, integrator__method="heun"), path, field=failing)
    with open_run(path) as result:
        assert result.n_frames == 3


# --- trouble --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [BASE, CLASSICAL], ids=["electrons", "classical"])
def test_a_step_that_is_far_too_large_is_told(path, text):
    """A field that grows later is not known at the start: it is met by the step itself."""

    def growing(t, m):
        return (1e200 if t > 0.45 else 0.1) * m[..., [1, 2, 0]]

    with np.errstate(all="ignore"), pytest.raises(RunError, match=r"integrator\.step"):
        run(deck(text), path, field=growing)
    with open_run(path) as result:
        assert result.n_frames == 2
        assert np.isfinite(np.asarray(result["moment"])).all()


def test_trouble_of_the_electrons_is_told_with_its_time(path, monkeypatch):
    count = iter(range(100))

    def motion(self, *arguments, real=Coupling.motion):
        if next(count) > 20:
            raise ToleranceError("no poles left")
        return real(self, *arguments)

    monkeypatch.setattr(Coupling, "motion", motion)
    with pytest.raises(RunError, match=r"t = 0\.\d+: no poles left"):
        run(deck(), path)


def test_nothing_is_written_for_a_wrong_texture(path, tmp_path):
    with pytest.raises(DeckError, match="texture"):
        run(deck(CLASSICAL, texture={"kind": "file", "path": str(tmp_path / "none.npy")}), path)
    assert list(tmp_path.iterdir()) == []


def test_relax_starts_from_a_minimum(path):
    start = deck(CLASSICAL, texture__relax=True, magnet__damping=0.0)
    with run(start, path) as result:
        moments = np.asarray(result["moment"])
        np.testing.assert_allclose(moments[-1], moments[0], atol=1e-7)
        assert abs(np.asarray(result["velocity"])).max() < 1e-8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llgnegf.parts.moments.relax", lambda magnet, m: relax(magnet, m, max_steps=1))
        with pytest.raises(RunError, match=r"texture\.relax: a torque of .* was left"):
            run(start, path, overwrite=True)


@pytest.mark.parametrize("until", [-1.0, float("nan"), 0.25])
def test_a_wrong_until_is_refused(path, until):
    with pytest.raises(DeckError, match=r"until = .* must be a (number >= 0|multiple of integrator\.step)"):
        run(deck(CLASSICAL), path, until=until)
    assert not path.exists()


def test_run_takes_a_name(path):
    with run("precessing_moment", path, until=80.0) as result:
        assert result.n_frames == 3
        assert load_deck("precessing_moment").title == result.deck.title
