"""What `resume` tells and what it refuses: damaged checkpoints, other machines, changed decks, changed keys."""

import functools
import os
import re
import warnings

import h5py
import numpy as np
import pytest

from llgnegf import build, observables, open_run, resume, run, simulation
from llgnegf.cli import main
from llgnegf.dynamics.coupling import may_be_same_field
from llgnegf.errors import DeckError, RunError, RunWarning
from llgnegf.magnet import Magnet
from llgnegf.runfile import checkpoint, layout, provenance, seal, sound, writer
from llgnegf.variables.variable import Variable
from tests.runfile.test_seal import edited
from tests.test_simulation import BASE, CLASSICAL, assert_same, datasets, deck


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def test_another_number_of_processes_is_told(path, monkeypatch):
    """Green's functions are counted otherwise then, so that frames that come again differ."""
    with monkeypatch.context() as patch:
        patch.setattr(simulation, "how_many", lambda: 2)
        run(deck(CLASSICAL), path).close()
        resume(path).close()
    with pytest.warns(RunWarning, match="was computed by 2 of the processes of --mpi, it goes on with 1: the count"):
        resume(path).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resume(path).close()


@pytest.fixture
def cut(path, monkeypatch):
    """A run that died after its fifth frame; its newest checkpoint knows of three."""
    append = simulation.Writer.append

    def dies(self, frame):
        append(self, frame)
        if self.n_frames == 5:
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(simulation.Writer, "append", dies)
        with pytest.raises(RuntimeError, match="power cut"):
            run(deck(CLASSICAL, run__checkpoint_every=7), path)
    assert checkpoint.load_newest(path)[1]["frames_written"] == 3
    return path


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """command(*words) -> (exit code, lines on standard error but for progress), in the folder tmp_path."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = main([str(word) for word in words])
        err = capsys.readouterr().err
        assert "Traceback" not in err
        assert "a bug" not in err
        progress = re.compile(r"t = |\S+: going on from t = |\S+: t = \S+ is reached already")
        return code, [line for line in err.splitlines() if not progress.match(line)]

    return call


@pytest.fixture
def whole(tmp_path):
    """The run that was never interrupted."""
    where = tmp_path / "whole.h5"
    run(deck(CLASSICAL), where).close()
    return where


def stop(path, until=0.9, text=CLASSICAL, **changes):
    run(deck(text, **changes), path, until=until).close()


# --- what is told ---------------------------------------------------------------------------------------------------


def test_damaged_checkpoints_are_told_one_line_each(command, path, whole):
    stop(path)
    newest, second, _ = checkpoint.checkpoint_paths(path)
    newest.write_bytes(b"nothing")
    second.write_bytes(second.read_bytes()[:-9])
    older = checkpoint.load_newest(path)[0].step
    code, lines = command("resume", "run.h5", "--until", "1.2")
    assert code == 0
    assert len(lines) == 2
    first = (
        rf"llgnegf: note: run\.h5\.ckpt: is not a checkpoint.*; going on from .*run\.h5\.ckpt\.2, t = {older / 10:g}"
    )
    assert re.fullmatch(first, lines[0])
    assert lines[1].startswith("llgnegf: note: run.h5.ckpt.1: holds ")
    assert_same(whole, path)


def test_another_installation_is_told(command, path, whole, monkeypatch):
    stop(path)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Atom")
    monkeypatch.setattr(provenance, "_processor", lambda: "Turing machine")
    code, lines = command("resume", "run.h5", "--until", "1.2")
    assert code == 0
    found = [re.match(r"llgnegf: note: (\w+): .* then, (.*) now: the last bits", line).groups() for line in lines]
    assert found == [("processor", "Turing machine"), ("OPENBLAS_CORETYPE", "Atom")]
    assert_same(whole, path)
    assert command("resume", "run.h5") == (0, [])  # the checkpoints are of this machine now


def test_frames_that_come_out_otherwise_are_told(command, cut, path, monkeypatch):
    """Frames 3 and 4 survive a crash; computed again with another rounding they are not the same."""
    assert checkpoint.load_newest(path)[0].step == 7
    with open_run(path) as left:
        before = np.asarray(left["moment"])
    normalize = Magnet.normalize

    def otherwise(self, y):
        y = normalize(self, y)
        y[0, 1, 1] = np.nextafter(y[0, 1, 1], 2)
        return y

    monkeypatch.setattr(Magnet, "normalize", otherwise)
    code, lines = command("resume", "run.h5")
    assert code == 0
    assert len(lines) == 1
    assert re.search(r"note: run\.h5: of the frames computed again, 2 differ .*\(frames 3, 4\); the new ones", lines[0])
    with open_run(path) as left:
        np.testing.assert_array_equal(left["moment"][:3], before[:3])
        assert (np.asarray(left["moment"])[3:] != before[3:]).any()


def test_a_resume_with_nothing_to_tell_tells_nothing(command, path, whole):
    stop(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resume(path, until=1.1).close()
    assert command("resume", "run.h5", "--until", "1.2") == (0, [])
    assert_same(whole, path)


def test_in_python_it_is_a_warning(path):
    stop(path)
    checkpoint.checkpoint_paths(path)[0].write_bytes(b"")
    with pytest.warns(RunWarning, match="going on from the older"):
        resume(path, until=1.2).close()


# --- other formats and other decks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["resume", "show", "plot", "compare"])
def test_another_format_is_refused_with_both_versions(command, path, verb, monkeypatch):
    with monkeypatch.context() as patch:
        for module in (layout, writer):
            patch.setattr(module, "FORMAT_VERSION", 7)
        patch.setattr(layout, "READABLE", (7,))
        patch.setattr(sound, "READABLE", (7,))
        patch.setattr(seal, "__version__", "9.9")
        stop(path)
    before = path.read_bytes()
    code, lines = command(verb, "run.h5")
    assert code == 74
    versions = "has format 7; this version of llgnegf reads 1 and 2: it was written by llgnegf 9.9, which can read it"
    assert lines == [f"llgnegf: run.h5: {versions}"]
    assert path.read_bytes() == before


def test_checkpoints_of_another_format_are_refused_with_both_versions(command, path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT_VERSION", 7)
        stop(path)
    before = datasets(path)
    code, lines = command("resume", "run.h5", "--until", "1.2")
    assert code == 74
    assert "none of its checkpoints can be used" in lines[0]
    assert any("has format 7; this version of llgnegf reads 1" in line for line in lines)
    assert datasets(path) == before


def test_a_run_file_whose_deck_was_changed_is_refused_with_the_difference(command, path):
    stop(path)
    with edited(path) as file:
        text = file.attrs["deck"].replace("damping = 0.05", "damping = 0.5").replace("exchange = 0.3", "exchange = 0.4")
        file.attrs["deck"] = text.replace("duration = 0.9", "duration = 3.0")  # this alone would be fine
    before = datasets(path)
    code, lines = command("resume", "run.h5")
    assert code == 2
    assert len(lines) == 2
    assert "magnet.exchange = 0.3 -> 0.4" in lines[0]
    assert "magnet.damping = 0.05 -> 0.5" in lines[1]
    assert all("deck was changed since the checkpoint run.h5.ckpt" in line for line in lines)
    assert datasets(path) == before


def test_the_start_is_the_files_not_the_decks(tmp_path):
    """A precession about its first frame: the texture's file may be gone when it is resumed."""
    m = np.random.default_rng(5).normal(size=(3, 3))
    np.save(tmp_path / "m.npy", m / np.linalg.norm(m, axis=1, keepdims=True))
    turning = {
        "texture": {"kind": "file", "path": str(tmp_path / "m.npy")},
        "motion": {"kind": "precession", "axis": [1, 2, 3], "frequency": 0.7},
    }
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(deck(CLASSICAL, **turning), whole).close()
    stop(cut, **turning)
    np.save(tmp_path / "m.npy", np.eye(3))
    resume(cut, until=1.2).close()
    assert_same(whole, cut)


# --- keys to change -------------------------------------------------------------------------------------------------


def test_what_leaves_the_past_alone_may_be_set(command, tmp_path, path):
    long, cut = tmp_path / "long.h5", path
    run(deck(CLASSICAL, run__duration=2.4), long).close()
    stop(cut, until=0.8)
    sets = ["run.duration=2.4", "title=longer", "run.checkpoint_every=2 h"]
    assert command("resume", "run.h5", *(word for one in sets for word in ("--set", one))) == (0, [])
    assert_same(long, cut)
    with open_run(cut) as result:
        assert result.deck.run.duration == 2.4
        assert result.deck.run.checkpoint_every == "2 h"
        assert result.deck.title == "longer" == result.attrs["title"]
    # --until ends this call, not the run.
    assert command("resume", "run.h5", "--set", "run.duration=9", "--until", "3") == (0, [])
    with open_run(cut) as result:
        assert result.deck.run.duration == 9.0
        assert result.times[-1] == pytest.approx(3.0)
    with resume(cut, {"run.duration": 3.3}) as result:
        assert result.times[-1] == pytest.approx(3.3)


@pytest.mark.parametrize("text", [BASE, CLASSICAL], ids=["electrons", "classical"])
@pytest.mark.parametrize(("first", "then"), [(0.3, 0.1), (0.1, 0.3), (0.2, 0.3)])
def test_frames_may_come_more_or_less_often(command, tmp_path, path, text, first, then):
    """From the checkpoint on, by multiples of the new interval; the moments are those of the run never stopped."""
    every = tmp_path / "every.h5"
    run(deck(text, run__save_every=0.1, run__duration=2.0), every).close()
    stop(path, until=0.8, text=text, run__save_every=first)
    assert command("resume", "run.h5", "--set", f"run.save_every={then}", "--until", "1.4") == (0, [])
    assert command("resume", "run.h5", "--until", "2.0") == (0, [])
    expected = [n for n in range(21) if n % round(10 * (first if n <= 8 else then)) == 0 or n == 20]
    with open_run(path) as found, open_run(every) as whole:
        assert found.deck.run.save_every == then
        assert np.array_equal(found.times, whole.times[expected])
        assert np.array_equal(found.moment[:], whole.moment[:][expected])
        assert all(found.frame_ok(i) for i in range(found.n_frames))


def test_frames_on_another_grid_survive_a_kill(command, tmp_path, path, monkeypatch):
    """Killed after the change, before and after its checkpoint; frames written again at other times are no surprise."""
    every = tmp_path / "every.h5"
    run(deck(CLASSICAL, run__save_every=0.1, run__duration=2.0), every).close()
    stop(path, until=0.8, run__save_every=0.2)
    step, real = {"count": 0}, build.build

    class Killed(BaseException):
        pass

    def slow(*arguments):
        parts = real(*arguments)
        go = parts.stepper.advance

        def counted(n, y, limit):
            step["count"] += 1
            if step["count"] == 7:
                raise Killed
            return go(n, y, limit)

        parts.stepper.advance = counted
        return parts

    monkeypatch.setattr(build, "build", slow)
    for interval in (0.1, 0.3):
        step["count"] = 0
        with pytest.raises(Killed):
            resume(path, {"run.save_every": interval}, until=2.0)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert command("resume", "run.h5") == (0, [])
    with open_run(path) as found, open_run(every) as whole:
        expected = [0, 2, 4, 6, 8, 9, 10, 12, 15, 18, 20]  # a checkpoint at step 10 has the frames until there
        assert np.array_equal(found.times, whole.times[expected])
        assert np.array_equal(found.moment[:], whole.moment[:][expected])


def test_a_resume_without_room_keeps_the_frames_behind_the_checkpoint(command, path, monkeypatch):
    """Frames come before their checkpoint: the disk is looked at before they are cut off."""
    stop(path)
    for newer in checkpoint.checkpoint_paths(path)[:-1]:
        newer.unlink()
    at = checkpoint.load_newest(path)[0].step
    with open_run(path) as before:
        frames = before.n_frames
        assert before.times[-1] > (at + 0.5) * 0.1
        moments = before.moment[:]
    for words in (("--until", "1e9"), ("--set", "run.save_every=0.2", "--until", "1e9")):
        code, lines = command("resume", "run.h5", *words)
        assert code == 74
        assert "free some space" in lines[0]
        with open_run(path) as after:
            assert after.n_frames == frames
            assert np.array_equal(after.moment[:], moments)
    assert command("resume", "run.h5", "--until", "1.2") == (0, [])


@pytest.mark.parametrize(
    ("key", "value", "shown", "reason"),
    [
        ("magnet.damping", "0.5", "magnet.damping = 0.5: run.h5 was run with 0.05, and it would change what", 1),
        ("electrons.lead.0.coupling", "0.5", "electrons.lead[0].coupling = 0.5: run.h5 was run with 1.0", 1),
        ("electrons.gate", "[]", "electrons.gate", 1),
        ("integrator.step", "0.05", "integrator.step = 0.05: run.h5 was run with 0.1", 1),
        ("run.seed", "4", "run.seed = 4: run.h5 was run with 3", 1),
        ("run.save_every", "0.25", "run.save_every = 0.25: must be a multiple of integrator.step", 0),
        ("magnet.dampin", "1", 'magnet.dampin = 1: unknown key; did you mean "damping"?', 0),
        ("run.duration", "0.1", "run.duration = 0.1 (--until): run.h5 has reached t = 0.4 already", 0),
        ("run.duration", "0.45", "run.duration = 0.45: must be a multiple of integrator.step", 0),
    ],
)
def test_what_would_change_the_past_is_refused(command, path, key, value, shown, reason):
    stop(path, until=0.4, text=BASE)
    before = datasets(path)
    code, lines = command("resume", "run.h5", "--set", f"{key}={value}")
    assert code == 2
    assert lines[0].startswith(f"llgnegf: {shown}")
    if reason:
        assert (
            "allowed when resuming: run.checkpoint_every, run.device, run.duration, run.save_every, title" in lines[0]
        )
        assert f'--set texture=\'{{kind = "file", path = "{path}"}}\'' in lines[0]
    assert datasets(path) == before


def test_the_remedy_works(command, path):
    """A new run from the last frame, as the message says."""
    (path.parent / "deck.toml").write_text(CLASSICAL)
    stop(path)
    _, lines = command("resume", "run.h5", "--set", "magnet.damping=0.5")
    texture = re.search(r"--set (texture='.*')", lines[0])[1].replace("'", "")
    assert command("run", "deck.toml", "-o", "next.h5", "--set", texture, "--set", "magnet.damping=0.5") == (0, [])
    with open_run(path) as one, open_run(path.parent / "next.h5") as two:
        np.testing.assert_allclose(two["moment"][0], one["moment"][-1], rtol=0, atol=1e-15)
        assert two.deck.magnet.damping == 0.5


def test_a_run_that_failed_resumes_and_fails_alike(path):
    def failing(t, m):
        if t > 0.85:
            raise ZeroDivisionError("table ends")
        return 0 * m

    told = []
    for again in (False, True, True):
        with pytest.raises(RunError, match=r"raised ZeroDivisionError at t = 0\.9") as caught:
            resume(path, field=failing) if again else run(
                deck(CLASSICAL, integrator__method="heun"), path, field=failing
            )
        told.append(str(caught.value))
        assert checkpoint.load_newest(path)[0].step == 6
    assert len(set(told)) == 1
    with pytest.raises(DeckError, match="pass the same one"):
        resume(path)


# --- damaged frames -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["time", "moment", "energy_classical", "variable_crc"])
def test_damage_behind_the_checkpoint_is_computed_again(command, cut, whole, name):
    """A power cut may leave it."""
    with h5py.File(cut, "r+") as file:
        file[name][3] = file[name][3] + 1
    code, lines = command("resume", "run.h5")
    assert (code, lines) == (0, [])
    assert_same(whole, cut)


def test_damage_before_the_checkpoint_is_told_and_stays(command, cut, whole):
    with h5py.File(cut, "r+") as file:
        file["energy_classical"][1] -= 1
    code, lines = command("resume", "run.h5")
    assert code == 0
    assert len(lines) == 1
    assert "run.h5: energy_classical is damaged in frame 1" in lines[0]
    assert "these frames stay damaged" in lines[0]
    with open_run(cut) as ours, open_run(whole) as theirs:
        assert ours.frames_ok().tolist() == [True, False, True, True, True]
        np.testing.assert_array_equal(ours["moment"], theirs["moment"])


def test_a_damaged_time_before_the_checkpoint_is_refused(command, cut):
    with h5py.File(cut, "r+") as file:
        file["time"][1] = 7.0
    before = datasets(cut)
    code, lines = command("resume", "run.h5")
    assert code == 74
    assert "run.h5: time is damaged in frame 1" in lines[0]
    assert datasets(cut) == before


def test_a_rotation_whose_start_is_damaged_and_not_known_otherwise_is_refused(command, tmp_path):
    """The file of the texture may have changed since."""
    np.save(tmp_path / "m.npy", [[0.6, 0, 0.8]] * 3)
    text = CLASSICAL.replace('kind = "random"', f'kind = "file"\npath = "{tmp_path / "m.npy"}"')
    text += '[motion]\nkind = "precession"\naxis = [0, 0, 1]\nfrequency = 0.1\n'
    stop(tmp_path / "run.h5", text=text)
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        file["moment"][0, 0] = [0, 0, 1]
    code, lines = command("resume", "run.h5", "--until", "1.2")
    assert code == 74
    assert "run.h5: frame 0 is damaged" in lines[0]


def test_a_field_without_a_name_of_its_own_is_taken_for_the_same_one(tmp_path):
    """Names of lambdas, partial functions and functions of a notebook say nothing: the run goes on, and says so."""
    path, whole = tmp_path / "a.h5", tmp_path / "whole.h5"
    field = lambda t, m: 0.1 * m[..., ::-1]  # noqa: E731
    run(deck(CLASSICAL), whole, field=field).close()
    run(deck(CLASSICAL), path, field=field, until=0.6).close()
    with pytest.warns(RunWarning, match="goes on with functools.partial, which is taken for the same one"):
        resume(path, field=functools.partial(field), until=1.2).close()
    assert_same(whole, path)
    assert may_be_same_field("__main__.pulse", "experiment.pulse")
    assert not may_be_same_field("experiment.pulse", "experiment.ramp")


def test_a_title_with_a_nul_and_a_folder_that_is_no_utf8(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    moments = np.zeros((3, 3))
    moments[:, 2] = 1
    np.save(folder / "m.npy", moments)
    (folder / "mine.toml").write_text(
        'title = "a\\u0000b"\n' + CLASSICAL.replace('kind = "random"', 'kind = "file"\npath = "m.npy"')
    )
    path = folder / "run.h5"
    run(folder / "mine.toml", path, until=0.6).close()
    resume(path, {"title": "c\0d"}, until=1.2).close()
    with open_run(path) as result:
        assert result.attrs["title"] == "c\N{SYMBOL FOR NULL}d"
        assert result.deck.title == "c\0d"
        assert result.deck.folder == folder
        with result.to_xarray() as data:
            assert data.sizes["time"] == result.n_frames
    resume(path, {"title": "c\0d"}).close()


def test_a_run_begun_before_a_variable_was_known_goes_on_without_it(tmp_path, monkeypatch):
    whole, path, one = tmp_path / "whole.h5", tmp_path / "run.h5", deck(CLASSICAL)
    run(one, whole).close()
    run(one, path, until=one.run.duration / 2).close()
    later = Variable("length", ("time",), "1", "sum", lambda deck: True, lambda instant: instant.m.sum())
    monkeypatch.setattr(observables, "MOMENTS", [*observables.MOMENTS, later])
    with resume(path) as result:
        assert "length" not in result.names
    assert_same(whole, path)
