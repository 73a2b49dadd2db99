"""The command: every verb, every exit code, and never a traceback."""

import copy
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from llgnegf import open_run, simulation, trial
from llgnegf.cli import main
from llgnegf.deck import load_deck, shipped_decks
from tests.test_simulation import BASE, CLASSICAL, assert_same

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "OPENBLAS_NUM_THREADS": "1"}


def answer(words, capsys):
    """(exit code, stdout, stderr) of the command with these words; no traceback may appear."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as stop:  # argparse
        code = stop.code
    out, err = capsys.readouterr()
    assert "Traceback" not in err + out
    return code, out, err


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """command(*words) -> (exit code, stdout, stderr), in the folder tmp_path; no traceback may appear."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code, out, err = answer(words, capsys)
        assert "a bug" not in err
        return code, out, err

    return call


@pytest.fixture
def deck(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(BASE)
    return path


@pytest.fixture
def bare(tmp_path):
    path = tmp_path / "bare.toml"
    path.write_text(CLASSICAL)
    return path


def shell(*words, cwd, **options):
    """A process of its own."""
    line = [sys.executable, "-m", "llgnegf", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, cwd=cwd, env=ENVIRONMENT, **{**pipes, **options})


# --- list, new, check -----------------------------------------------------------------------------------------------


def test_list_names_every_shipped_deck_on_one_line(command):
    code, out, err = command("list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(shipped_decks())
    assert all(title in line for line, (_, title) in zip(lines, shipped_decks().values(), strict=True))


def test_new_writes_a_deck_to_edit_and_never_overwrites(command, tmp_path):
    assert command("new", "precessing_wall")[0] == 0
    written = tmp_path / "precessing_wall.toml"
    assert written.read_text() == shipped_decks()["precessing_wall"][0].read_text()
    written.write_text("mine")
    code, out, err = command("new", "precessing_wall")
    assert (code, out) == (2, "")
    assert "precessing_wall.toml is there already" in err
    assert written.read_text() == "mine"
    assert command("new", "precessing_wall", "other.toml")[0] == 0
    (tmp_path / "folder").mkdir()
    assert command("new", "precessing_wall", "folder")[0] == 0
    assert (tmp_path / "folder" / "precessing_wall.toml").is_file()
    code, _, err = command("new", "precesing_wall", "x.toml")
    assert code == 2
    assert 'did you mean "precessing_wall"?' in err
    assert command("new", "precessing_wall", "no/such/folder.toml")[0] == 74


@pytest.mark.parametrize("name", ["precessing_wall", "wall_in_wire", "wall_classical"])
def test_check_tells_size_cost_and_memory(command, tmp_path, name):
    code, out, err = command("check", name)
    assert (code, err) == (0, "")
    known = load_deck(name)
    assert f"{known.n_steps} steps of {known.integrator.step:g}" in out
    assert f"{known.n_frames} frames" in out
    assert " x ".join(map(str, known.lattice.shape)) in out
    assert 50 < float(re.search(r"memory +about (\S+) MB", out)[1]) < 2000
    assert 0 < float(re.search(r"run file +(\S+) MB", out)[1]) < 10
    per = re.search(r"([\d.e-]+) s per (step|frame)", out)
    assert 0 < float(per[1]) < 1
    if name == "wall_in_wire":
        assert int(re.search(r"(\d+) Green's functions in all", out)[1]) > 1e4
    assert list(tmp_path.iterdir()) == []


def test_check_predicts_the_size_of_the_run_file(command, bare, tmp_path):
    _, out, _ = command("check", bare, "--set", "run.duration=60", "--set", "run.save_every=0.1")
    predicted = float(re.search(r"run file +(\S+) MB", out)[1]) * 1e6
    command("run", bare, "--set", "run.duration=60", "--set", "run.save_every=0.1", "-o", "a.h5")
    assert predicted < (tmp_path / "a.h5").stat().st_size < 6 * predicted + 1e5


@pytest.mark.parametrize("verb", ["check", "run"])
def test_every_mistake_at_once_and_nothing_written(command, deck, tmp_path, verb):
    deck.write_text(BASE.replace("exchange = 0.3", "exchnge = 0.3").replace("seed = 3", "seed = -3"))
    code, out, err = command(verb, deck, "--set", "integrator.step=0.7", "--set", "electrons.temperature=cold")
    assert (code, out) == (2, "")
    for text in ('magnet.exchnge = 0.3: unknown key; did you mean "exchange"?', "run.seed = -3", "electrons.temp"):
        assert text in err
    assert len(err.splitlines()) >= 3
    assert list(tmp_path.iterdir()) == [deck]


# --- run ------------------------------------------------------------------------------------------------------------


def test_run_logs_one_line_per_save_without_a_terminal(command, deck, tmp_path):
    code, out, err = command("run", deck)
    assert code == 0
    assert "llgnegf show mine.h5" in out
    lines = err.splitlines()
    assert len(lines) == 4
    assert [line.split("  ")[0] for line in lines] == ["t = 0.3", "t = 0.6", "t = 0.9", "t = 1.2"]
    # The rate is counted from the first step on, before which kernels are loaded.
    rate = r"(  \S+ steps/s  \d+ s left)"
    assert all(re.search(rf"step \d+/12{rate}?  E = .*Omega = ", line) for line in lines)
    assert [bool(re.search(rate, line)) for line in lines] == [False, *[True] * (len(lines) - 1)]
    assert (tmp_path / "mine.h5").is_file()
    assert not (tmp_path / "mine.h5.lock").exists()


def test_the_log_has_no_number_for_a_wall_that_is_not_there(command, deck, tmp_path):
    np.save(tmp_path / "m.npy", np.tile([0.6, 0.0, 0.8], (3, 1)))
    lattice = ["--set", "lattice.shape=[3]", "--set", 'texture={kind="file", path="m.npy"}']
    code, _, err = command("run", "wall_classical", "-o", "a.h5", *lattice, "--set", "run.duration=1.0")
    assert code == 0, err
    assert "wall = none" in err
    assert "nan" not in err


def test_run_refuses_to_overwrite_and_names_resume(command, bare, tmp_path):
    assert command("run", bare, "-o", "a.h5")[0] == 0
    before = (tmp_path / "a.h5").read_bytes()
    code, out, err = command("run", bare, "-o", "a.h5")
    assert (code, out) == (2, "")
    assert "llgnegf resume a.h5" in err
    assert "--overwrite" in err
    assert (tmp_path / "a.h5").read_bytes() == before
    assert command("run", bare, "-o", "a.h5", "--overwrite", "--set", "run.seed=5")[0] == 0
    assert (tmp_path / "a.h5").read_bytes() != before


def test_set_reaches_any_key(command, deck, tmp_path):
    words = [
        "electrons.lead.0.coupling=0",
        "electrons.lead.1.coupling=0",
        "magnet.field=[0, 0, 1]",
        "title=closed wire",
    ]
    sets = itertools.chain(*(("--set", word) for word in words))
    code, _, err = command("run", deck, *sets, "--until", "0.6")
    assert code == 0, err
    with open_run(tmp_path / "mine.h5") as run:
        assert [lead.coupling for lead in run.deck.electrons.lead] == [0, 0]
        assert run.deck.magnet.field == (0, 0, 1)
        assert run.deck.title == "closed wire"
        assert run.times[-1] == pytest.approx(0.6)


@pytest.mark.parametrize("word", ["electrons.lead.7.coupling=0", "integrator.step", "=3", "run.duration=[1", "a.b.c=1"])
def test_a_wrong_set_is_an_argument_error(command, deck, word):
    code, out, err = command("run", deck, "--set", word)
    assert (code, out) == (2, "")
    assert err.startswith("llgnegf: ")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "required"),
        (("frobnicate",), "'frobnicate' is no command: the commands are list, new"),
        (("run",), "required"),
        (("run", "no_such_deck"), "no such file, and no shipped deck of that name"),
        (("run", "mine.toml", "--walltime", "soon"), '"90m"'),
        (("run", "mine.toml", "--walltime", "-1h"), "walltime"),
        (("run", "mine.toml", "--until", "never"), "--until"),
        (("run", "mine.toml", "--until", "0.25"), "nearest: 0.2 or 0.3"),
        (("run", "mine.toml", "--until", "-1"), "until = -1.0 (--until)"),
    ],
)
def test_wrong_arguments_give_2(command, deck, tmp_path, words, text):
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert text in err
    assert list(tmp_path.iterdir()) == [deck]


SQUARE = CLASSICAL.replace("[3]", "[6, 5]")
LEAD = {"side": "left", "coupling": 1.0}


@pytest.mark.parametrize(
    ("text", "change", "told"),
    [
        (BASE, ("electrons.lead.1.side", "left"), ['electrons.lead[1].side = "left"', "one lead on each side"]),
        (BASE, ("electrons.gate.0.columns", "[1, 3]"), ["electrons.gate[0].columns = [1, 3]", "allowed: 0 to 2"]),
        (BASE, ("electrons.gate.0.columns", "[-1]"), ["electrons.gate[0].columns = [-1]", "whole numbers >= 0"]),
        (BASE, ("run.save_every", "0.25"), ["run.save_every = 0.25", "integrator.step = 0.1", "nearest: 0.2 or 0.3"]),
        (BASE, ("run.save_every", "0.04"), ["run.save_every = 0.04", "nearest: 0.1"]),
        (BASE, ("electrons.tolerance", "0.5"), ["electrons.tolerance = 0.5", "from 1e-12 to 0.1"]),
        (
            SQUARE,
            ("texture", '{kind = "skyrmion", radius = 2.6, wall_width = 1}'),
            ["texture.radius = 2.6", "wider than the lattice [6, 5]", "<= 2.5"],
        ),
        (
            SQUARE,
            ("texture", '{kind = "skyrmion", radius = 1, wall_width = 1, center = [2, 4.5]}'),
            ["texture.center = [2.0, 4.5]", "not on the lattice [6, 5]", "0 <= y <= 4"],
        ),
        (
            CLASSICAL,
            ("texture", '{kind = "skyrmion", radius = 1, wall_width = 1}'),
            ['texture.kind = "skyrmion"', "lattice.shape = [nx, ny], not [3]"],
        ),
        *[
            (CLASSICAL, ("texture", f'{{kind = "file", path = "{name}"}}'), [f'texture.path = "{name}"', *words])
            for name, words in [
                ("shape.npy", ["expected moments of shape (3, 3), got (4, 3)", "set the lattice's shape"]),
                ("nan.npy", ["1 of 3 moments are not unit vectors", "site (1,)", "such a vector has no direction"]),
                ("inf.npy", ["1 of 3 moments are not unit vectors", "site (2,)"]),
                (
                    "long.npy",
                    ["3 of 3 moments are not unit vectors", "of length 2", "divide every moment by its length"],
                ),
                ("text.npy", ["cannot be read as a .npy array"]),
                ("none.npy", ["does not exist"]),
                ("shape.txt", ["path must end in one of .npy"]),
            ]
        ],
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else None,
)
@pytest.mark.parametrize("verb", ["check", "run"])
def test_keys_that_contradict_each_other_give_2(command, tmp_path, text, change, told, verb):
    """One line with the key, its value and what is allowed; nothing is written."""
    np.save(tmp_path / "shape.npy", np.tile([0.0, 0.0, 1.0], (4, 1)))
    good = np.eye(3)
    for name, value in {"nan": (1, np.nan), "inf": (2, np.inf)}.items():
        bad = good.copy()
        bad[value[0], 0] = value[1]
        np.save(tmp_path / f"{name}.npy", bad)
    np.save(tmp_path / "long.npy", 2 * good)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "shape.txt").write_text("no array")
    (tmp_path / "d.toml").write_text(text)
    before = sorted(tmp_path.iterdir())
    code, out, err = command(verb, "d.toml", "--set", "=".join(change))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith(f"llgnegf: {told[0]}")
    for words in told:
        assert words in err
    assert sorted(tmp_path.iterdir()) == before


# Values that make small systems, right and wrong ones.
NUMBER = int | float
TAME = [
    0, 1, 2, 3, 5, -1, 0.1, 0.2, 0.3, 0.5, 1.5, -0.4, 1e-3, 1e-9, 1e30, 1e-30, 1e308, True, "x", "y", "xy", "left",
    "right", "heun", "step", "stage", "precession", "frozen", "llg", "uniform", "random", "spiral", "bloch_wall",
    "file", "skyrmion", "bulk", "interfacial", "1 s", [],
    [1], [2], [1, 0, 0], [0, 0, 1], [0.5, -0.5], [2, 2], [0, 0, 0],
    {"kind": "bloch_wall", "width": 1.0}, {"kind": "spiral", "period": 3}, {"velocity": [0.3, 0.0]}, LEAD, [LEAD],
]  # fmt: skip
CROSSED = {
    "motion": {"kind": "precession", "axis": [0, 0, 1], "frequency": 0.1},
    "electrons": {"temperature": 0.05, "back_action": 0.5, "velocity_feedback": False, "onsite": 0.1, "hopping": 1.0},
    "magnet": {"easy_axis": [0, 1, 0], "hard_axis": [1, 0, 0], "hard_anisotropy": 0.1, "spin": 1.0, "zhang_li": {}},
    "texture": {"relax": False},
    "lattice": {"periodic": False},
}


def leaves(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))
    if not items:
        yield path


def mutated(rng, raw):
    """A deck's tables with other keys filled in and 1 to 3 leaves changed, scaled, taken away or renamed."""
    for table, keys in CROSSED.items():
        if table in raw or (table == "motion" and rng.random() < 0.2):
            given = {key: value for key, value in keys.items() if table == "motion" or rng.random() < 0.3}
            raw.setdefault(table, {}).update(copy.deepcopy(given))
    raw["run"]["duration"] = 0.6
    for _ in range(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])):
        places = list(leaves(raw))
        *parents, last = places[rng.integers(len(places))]
        here = raw
        for part in parents:
            here = here[part]
        old, action = here[last], rng.random()
        if action < 0.5 and isinstance(old, NUMBER):
            here[last] = old * [0.5, 2, -1, 10, 0.01, 1e3, 1e-12, 1e12][rng.integers(8)]
        elif action < 0.85:
            alike = [new for new in TAME if isinstance(new, NUMBER if isinstance(old, NUMBER) else type(old))]
            here[last] = copy.deepcopy(alike[rng.integers(len(alike))])
        elif action < 0.9 and isinstance(here, dict):
            here[f"{last}s"] = here.pop(last)
        elif action < 0.95 and isinstance(here, dict):
            del here[last]
        else:
            here[last] = copy.deepcopy(TAME[rng.integers(len(TAME))])
    return raw


@pytest.mark.slow
def test_five_hundred_mutated_decks_run_or_are_refused(command, tmp_path):
    """A change, a key too many or too few in 1 to 3 places of a small deck: exit 2 and the reason, or a valid run.

    1 is for runs that are right as decks and cannot be computed; it has to say what to change.
    75 is for tiny steps, 74 for files beyond any disk.
    """
    import tomlkit

    rng, codes = np.random.default_rng(2020), []
    for k in range(500):
        raw = mutated(rng, tomlkit.parse(BASE if k % 2 else CLASSICAL).unwrap())
        path = tmp_path / "d.toml"
        path.write_text(tomlkit.dumps(raw))
        with np.errstate(all="ignore"):
            code, _, err = command("run", "d.toml", "-o", "d.h5", "--overwrite", "--walltime", "5 s")
        codes.append(code)
        assert code in (0, 1, 2, 74, 75), (path.read_text(), err)
        if code in (1, 2):
            last = err.splitlines()[-1]
            assert last.startswith("llgnegf: "), (path.read_text(), err)
            assert re.search(r"[a-z_]+(\.[a-z_]+)+|is missing|unknown key|must be", last), (path.read_text(), err)
        if code == 0:
            with open_run(tmp_path / "d.h5") as result:
                assert result.n_frames == result.deck.n_frames
                assert all(result.frame_ok(i) for i in range(result.n_frames))
    counts = {code: codes.count(code) for code in (0, 1, 2, 74, 75)}
    assert counts[0] > 100, counts
    assert counts[2] > 150, counts
    assert counts[1] + counts[74] + counts[75] < 25, counts


@pytest.mark.parametrize("path", ["no/such/run.h5", "mine.toml/run.h5", "/proc/run.h5", "x" * 300 + ".h5"])
def test_disk_trouble_gives_74(command, bare, path):
    (bare.parent / "mine.toml").write_text("")
    code, out, err = command("run", bare, "-o", path)
    assert (code, out) == (74, "")
    assert path in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder_gives_74(command, bare, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    code, _, err = command("run", bare, "-o", folder / "run.h5")
    assert code == 74
    assert "permission denied" in err


@pytest.mark.parametrize("verb", ["show", "plot", "compare", "resume"])
def test_what_is_not_a_run_gives_74(command, tmp_path, verb):
    (tmp_path / "text.h5").write_text("not HDF5 at all")
    for path, text in [("none.h5", "no such file"), ("text.h5", "not a run file"), (".", "is a folder")]:
        code, out, err = command(verb, path)
        assert (code, out) == (74, "")
        assert text in err


def test_a_run_that_fails_gives_1_and_says_where(command, bare):
    """Heun drives an almost undamped moment outwards."""
    words = ["lattice.shape=[1]", "magnet.damping=1e-9", "integrator.method=heun", "integrator.step=1.5",
             "run.duration=3000", "run.save_every=15"]  # fmt: skip
    code, _, err = command("run", bare, *itertools.chain(*(("--set", word) for word in words)))
    assert code == 1
    assert re.search(r"llgnegf: the energy rose .* site \[0\].*integrator\.step=0\.75", err.splitlines()[-1])


def test_numbers_out_of_all_scale_are_told(command, deck):
    with np.errstate(all="ignore"):
        code, _, err = command("run", deck, "--set", "electrons.hopping=1e308")
    assert code == 1
    assert re.search(r"llgnegf: t = 0: .*; compare .* with electrons\.hopping", err)


def test_debug_shows_where_an_error_comes_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="no such file"):
        main(["show", "none.h5", "--debug"])


def test_a_bug_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("llgnegf.deck.shipped_decks", lambda: 1 / 0)
    monkeypatch.setattr("llgnegf.commands.shipped_decks", lambda: 1 / 0)
    assert main(["list"]) == 1
    err = capsys.readouterr().err
    assert err == "llgnegf: ZeroDivisionError: division by zero (a bug: please report it with --debug)\n"


def test_any_trouble_of_the_system_gives_74(command, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("llgnegf.commands.shipped_decks", full)
    code, out, err = command("list")
    assert (code, out) == (74, "")
    assert "No space left on device" in err


def test_an_early_stop_gives_75_and_the_way_on(command, deck, tmp_path):
    assert command("run", deck, "-o", "whole.h5")[0] == 0
    code, out, err = command("run", deck, "-o", "cut.h5", "--walltime", "0.000001 s")
    assert (code, out) == (75, "")
    assert "llgnegf resume cut.h5" in err
    assert command("show", "cut.h5")[0] == 0
    assert command("resume", "cut.h5", "--walltime", "1h")[0] == 0
    assert_same(tmp_path / "whole.h5", tmp_path / "cut.h5")
    code, _, err = command("resume", "cut.h5", "--until", "1.5")
    assert code == 0
    assert err.splitlines()[1].startswith("t = 1.5  step 15/15")


# --- show, compare, plot --------------------------------------------------------------------------------------------


def test_show_tells_what_how_far_and_what_is_conserved(command, deck):
    command("run", deck, "--until", "0.6", "--set", "title=a wire")
    code, out, err = command("show", "mine.h5")
    assert (code, err) == (0, "")
    for text in ("a wire", "t = 0.6 of 1.2", "3 frames", "random", "llg", "classical + grand pot.", "mean moment"):
        assert text in out
    assert float(re.search(r"\| \|m\| - 1 \| +(\S+) at most", out)[1]) < 1e-14
    row = re.search(r"energy_classical +(\S+) +(\S+) +(\S+) +(\S+)", out)
    first, last, mean, change = map(float, row.groups())
    assert last - first == pytest.approx(change, abs=2e-3 * abs(change))
    assert min(first, last) <= mean <= max(first, last)


def test_a_wrong_number_of_threads_is_told_before_anything_is_written(command, deck, tmp_path, monkeypatch):
    monkeypatch.setenv("LLGNEGF_NUM_THREADS", "all")
    for verb in ("check", "run"):
        code, _, err = command(verb, deck)
        assert code == 2
        assert err.startswith("llgnegf: LLGNEGF_NUM_THREADS = 'all' (environment): allowed are whole numbers >= 1")
    assert not list(tmp_path.glob("*.h5*"))


def test_averages_are_over_time_not_over_frames(command, deck):
    """A resume made frames rarer."""
    command("run", deck, "--until", "0.6", "--set", "run.save_every=0.1")
    command("resume", "mine.h5", "--until", "1.8", "--set", "run.save_every=0.6")
    with open_run("mine.h5") as run:
        t, energy = run.times, run["energy_classical"][:]
    assert len(t) == 9
    shown = float(re.search(r"energy_classical +\S+ +\S+ +(\S+)", command("show", "mine.h5")[1])[1])
    expected = sum((b - a) * (x + y) / 2 for a, b, x, y in zip(t, t[1:], energy, energy[1:], strict=False)) / t[-1]
    assert shown == pytest.approx(expected, rel=1e-6)
    assert abs(energy.mean() - expected) > 1e-4 * abs(expected)


def test_show_points_at_damaged_frames(command, bare, tmp_path):
    import h5py

    command("run", bare)
    with h5py.File(tmp_path / "bare.h5", "r+") as file:
        file["moment"][2] = 0.5
    code, out, err = command("show", "bare.h5")
    assert code == 74
    assert "DAMAGED      frames [2]: their checksums do not hold" in out
    assert "sound        frames 0 to 1, 3 to 4 of 5" in out
    assert "bare.h5: frames are damaged" in err
    code, _, err = command("plot", "bare.h5")
    assert code == 74
    assert "bare.h5: moment is damaged in frame 2" in err
    (tmp_path / "next.toml").write_text(
        CLASSICAL.replace('kind = "random"', 'kind = "file"\npath = "bare.h5"\nindex = 2')
    )
    code, _, err = command("check", "next.toml")
    assert code == 2
    assert 'texture.path = "bare.h5": ' in err
    assert "moment is damaged in frame 2" in err


def no_constants(word):
    raise AssertionError(f"{word} is no JSON")


def test_compare_prints_a_table_or_json(command, tmp_path):
    assert command("run", "precessing_wall", "--until", "80", "-o", "a.h5")[0] == 0
    code, out, err = command("compare", "a.h5")
    assert (code, err) == (0, "")
    for text in ("field-like", "damping-like", "geometric", "sea", "surface", "exact", "pumped into the leads"):
        assert text in out
    code, out, err = command("compare", "a.h5", "--json")
    assert (code, err) == (0, "")
    frame = json.loads(out, parse_constant=no_constants)["frames"][0]
    assert frame["contributions"] == ["geometric", "sea", "surface"]
    assert {"time", "frequency", "axis", "sites", "total_torque", "relative_error", "max_absolute_error"} <= set(frame)
    assert len(frame["sites"]) == 7
    assert {"geometric", "sea", "surface", "sum", "exact", "absolute_error", "relative_error"} <= set(frame["sites"][0])
    assert set(frame["sites"][3]["sum"]) == {"spin", "torque", "field_like", "damping_like"}
    assert 0 < frame["relative_error"] < 3e-3


@pytest.mark.parametrize("words", [["motion.frequency=0"], ["electrons.sd_exchange=0"], ["texture.width=1e-3"]])
def test_compare_where_nothing_moves_writes_null_and_not_nan(command, words):
    sets = itertools.chain(*(("--set", word) for word in words))
    assert command("run", "precessing_wall", "--until", "0", "-o", "a.h5", *sets)[0] == 0
    code, out, _ = command("compare", "a.h5", "--json")
    assert code == 0
    json.loads(out, parse_constant=no_constants)
    assert command("compare", "a.h5")[0] == 0
    assert command("plot", "a.h5")[0] == 0


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        (CLASSICAL, [], "a classical run: compare needs electrons in steady precession"),
        (BASE, [], "moving gates"),
        (BASE, ["electrons.gate=[]"], "motion.kind = 'llg' of 3 moments has no exact result here"),
        (BASE, ["electrons.gate=[]", "motion.kind=frozen"], "motion.kind = 'frozen'"),
        (BASE, ["electrons.gate=[]", "lattice.shape=[1]", "electrons.order=0"], "electrons.order = 1"),
    ],
)
def test_compare_without_an_exact_result_gives_2(command, tmp_path, text, words, reason):
    (tmp_path / "d.toml").write_text(text)
    sets = itertools.chain(*(("--set", word) for word in words))
    assert command("run", "d.toml", "--until", "0", *sets)[0] == 0
    for more in ([], ["--json"]):
        code, out, err = command("compare", "d.h5", *more)
        assert (code, out) == (2, "")
        assert reason in err


def test_plot_refuses_endings_it_cannot_draw(command, bare, tmp_path):
    command("run", bare)
    for name in ("figure.xyz", "figure", "figure.h5"):
        code, out, err = command("plot", "bare.h5", "-o", name)
        assert (code, out) == (2, "")
        assert ".png" in err
        assert not (tmp_path / name).exists()
    assert command("plot", "bare.h5", "-o", "no/such/figure.png")[0] == 74
    assert command("plot", "bare.h5", "-o", "figure.pdf")[0] == 0
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


# --- odd systems through every verb ---------------------------------------------------------------------------------

ODD = {
    "one site": (BASE, ["lattice.shape=[1]", "electrons.gate=[]"]),
    "two sites": (BASE, ["lattice.shape=[2]"]),
    "no exchange": (BASE, ["electrons.sd_exchange=0"]),
    "closed": (BASE, ["electrons.lead.0.coupling=0", "electrons.lead.1.coupling=0"]),
    "closed, warm": (BASE, ["electrons.lead=[]", "electrons.temperature=0.1"]),
    "one lead": (BASE, ["electrons.lead.1.coupling=0"]),
    "cold": (BASE, ["electrons.temperature=0"]),
    "warm": (BASE, ["electrons.temperature=0.2"]),
    "outside the band": (BASE, ["electrons.fermi_energy=2.5", "electrons.temperature=0.05"]),
    "square of one": (CLASSICAL, ["lattice.shape=[1, 1]"]),
    "square": (CLASSICAL, ["lattice.shape=[3, 2]", "lattice.periodic=xy"]),
    "strip": (CLASSICAL, ["lattice.shape=[1, 4]"]),
    "no time": (BASE, ["run.duration=0"]),
    "no time, square": (CLASSICAL, ["run.duration=0", "lattice.shape=[3, 2]"]),
    "one turning": (BASE, ["lattice.shape=[1]", "electrons.gate=[]", "motion={kind='precession',axis=[0,0,1],"
                           "frequency=-0.1}"]),
    "classical, turning": (CLASSICAL, ["motion={kind='precession',axis=[0,1,0],frequency=0.1}"]),
    "saved after the end": (CLASSICAL, ["run.save_every=100"]),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ("warm", "closed, warm"))) for name in ODD]
)
def test_odd_systems_pass_through_every_verb(command, tmp_path, name, monkeypatch):
    monkeypatch.setattr(trial.forecast, "__defaults__", (0.1,))  # seconds of `check`
    text, words = ODD[name]
    (tmp_path / "d.toml").write_text(text.replace("duration = 1.2", "duration = 0.4"))
    sets = [*itertools.chain(*(("--set", word) for word in words)), "--set", "run.save_every=0.2"]
    sets = sets if name != "saved after the end" else sets[:2]
    assert command("check", "d.toml", *sets)[0] == 0
    code, _, err = command("run", "d.toml", *sets, "-o", "d.h5")
    assert code == 0, err
    for verb in ("show", "resume", "plot"):
        code, _, err = command(verb, "d.h5")
        assert code == 0, (verb, err)
    assert (tmp_path / "d.png").stat().st_size > 5000
    assert command("compare", "d.h5")[0] in (0, 2)
    assert command("resume", "d.h5", "--until", "0.6")[0] == 0


# --- processes ------------------------------------------------------------------------------------------------------


def test_a_closed_pipe_is_no_error(tmp_path):
    process = shell("list", cwd=tmp_path)
    process.stdout.close()
    assert process.wait(60) in (0, 128 + signal.SIGPIPE)
    assert process.stderr.read() == ""
    process.stderr.close()


LONG = ("--set", "run.duration=1000", "--set", "run.save_every=0.5", "--set", "electrons.order=0")


def wait_for_line(process, seconds=60):
    line = process.stderr.readline()
    if line.startswith("llgnegf: compiling"):  # whoever comes first
        line = process.stderr.readline()
    assert line.startswith("t = "), line + process.stderr.read()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_from_outside_gives_75_and_the_way_on(deck, tmp_path, number):
    process = shell("run", deck, *LONG, "-o", "cut.h5", cwd=tmp_path)
    wait_for_line(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert out == ""
    assert "Traceback" not in err
    assert re.search(
        rf"llgnegf: stopped at t = \S+ of 1000 \({number.name}\); continue with: llgnegf resume cut\.h5", err
    )
    with open_run(tmp_path / "cut.h5") as run:
        until = np.ceil(run.times[-1]) + 1
    with shell("resume", "cut.h5", "--until", until, cwd=tmp_path) as process:
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    with shell("run", deck, *LONG, "--until", until, "-o", "whole.h5", cwd=tmp_path) as process:
        process.communicate(timeout=100)
    assert_same(tmp_path / "whole.h5", tmp_path / "cut.h5")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("--set", "electrons.order=0", "--set", "run.duration=60"),
        ("--set", "integrator.electrons=step", "--set", "run.duration=20"),
        ("--set", "integrator.method=heun", "--set", "run.duration=15"),
    ],
    ids=["order 0", "step", "heun"],
)
def test_killed_again_and_again_and_still_the_same(deck, tmp_path, words):
    """kill -9 at random moments; the run that goes on each time ends as the one that was never killed."""
    words = (*words, "--set", "run.save_every=0.5", "--set", "run.checkpoint_every=3")
    rng, kills = np.random.default_rng(7), 0
    process = shell("run", deck, *words, "-o", "cut.h5", cwd=tmp_path)
    while kills < 5:
        if not any(line.startswith("t = ") for line in process.stderr):
            break
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        process = shell("resume", "cut.h5", cwd=tmp_path)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert kills >= 3
    with shell("run", deck, *words, "-o", "whole.h5", cwd=tmp_path) as process:
        process.communicate(timeout=200)
    assert_same(tmp_path / "whole.h5", tmp_path / "cut.h5")


@pytest.mark.slow
def test_two_processes_cannot_write_one_run(deck, tmp_path):
    process = shell("run", deck, *LONG, "-o", "a.h5", cwd=tmp_path)
    wait_for_line(process)
    for words in (("resume", "a.h5"), ("run", deck, "-o", "a.h5", "--overwrite")):
        with shell(*words, cwd=tmp_path) as second:
            _, err = second.communicate(timeout=60)
        assert second.returncode == 74
        assert "another process is writing this run" in err
    with shell("show", "a.h5", cwd=tmp_path) as reader:  # reading does no harm
        _, err = reader.communicate(timeout=60)
        assert reader.returncode == 0, err
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 75


# --- the decks that come with it ------------------------------------------------------------------------------------


# A frame at every step of these.
COSTLY = ("skyrmion_pump_small", "skyrmion_pump_slow", "current_driven_wall", "wall_with_probes_real_time")
# Smaller ones run in tests/test_units.py and tests/test_estimate.py.
SLOW = ("skyrmion_pump_small", "skyrmion_pump_slow", "skyrmion_pump_real_time", "wall_with_probes")
# Half a minute a step: tests/test_first_run.py runs it for a few seconds.
DEAR = "skyrmion_pump"


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in sorted(shipped_decks()) if name != DEAR],
)
def test_every_shipped_deck_runs_and_plots(command, tmp_path, name, monkeypatch):
    deck = load_deck(name)
    monkeypatch.setattr(trial.forecast, "__defaults__", (0.5,))  # seconds of `check`
    every = deck.integrator.step if name in COSTLY else deck.run.save_every
    assert command("check", name)[0] == 0
    code, out, err = command("run", name, "--set", f"run.save_every={every}", "--until", 2 * every)
    assert code == 0, err
    assert "done: 3 frames" in out
    for verb in ("show", "plot"):
        assert command(verb, f"{name}.h5")[0] == 0
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    with open_run(tmp_path / f"{name}.h5") as run:
        for variable in run.names:
            assert np.isfinite(np.asarray(run[variable])).all(), variable


def test_the_loop_needs_no_terminal_and_no_stderr(tmp_path):
    """progress = False prints nothing at all."""
    import contextlib
    import io

    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()) as out:
        simulation.run("wall_classical", tmp_path / "a.h5", until=10.0).close()
    assert (err.getvalue(), out.getvalue()) == ("", "")
