"""Sweeps: which runs they consist of, that they go on where they stopped, and that whoever does them gets the same."""

import csv
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from llgnegf import errors, load_deck, open_run, run
from llgnegf.cli import main
from llgnegf.interrupts import Interrupts
from llgnegf.runfile.checkpoint import load_newest
from llgnegf.runfile.lock import Lock
from llgnegf.sweep import crews, parse_axis, points_of, sweep, sweep_results
from llgnegf.sweep.work import Outcome, Task, work
from tests.test_cli import ENVIRONMENT

# A spin of one moment in a field; the run with damping has its own end.
DECK = """
[lattice]
shape = [2]
[texture]
kind = "uniform"
direction = [1, 0, 0.2]
[magnet]
field = [0, 0, 0.3]
[integrator]
step = 0.1
[run]
duration = 2.0
save_every = 0.5
"""
AXES = ("magnet.damping=0.0,0.1", "magnet.field.2=lin(0.1,0.3,3)")


@pytest.fixture
def deck(tmp_path):
    path = tmp_path / "spin.toml"
    path.write_text(DECK)
    return path


def axes(*texts):
    return [parse_axis(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=1,2", (1, 2)),
        ("a.b=lin(0,1,5)", (0, 0.25, 0.5, 0.75, 1)),
        ("a.b=lin(0.1,0.3,3)", (0.1, 0.2, 0.3)),
        ("a.b=log(1e-3,1,4)", (1e-3, 1e-2, 1e-1, 1)),
        ("a.b=lin(2,2,1)", (2,)),
        ("a.b=lin(1,7,4)", (1, 3, 5, 7)),
        ("a.b=neel, bloch", ("neel", "bloch")),
        ('a.b="x,y",z', ("x,y", "z")),
        ("a.b=[0, 0, 1],[1, 0, 0]", ([0, 0, 1], [1, 0, 0])),
        ("a={kind = 'ramp', start = 1},{kind = 'step'}", ({"kind": "ramp", "start": 1}, {"kind": "step"})),
        ("a.b=true,false", (True, False)),
    ],
)
def test_values_of_a_key(text, values):
    assert parse_axis(text).values == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.b", "must be KEY=VALUE,VALUE"),
        ("a.b=", "must be KEY=VALUE,VALUE"),
        ("a.b=1,,2", "a value is missing between two commas"),
        ("a.b=1,", "a value is missing between two commas, or at an end"),
        ("a.b=1,1.0", "--set a.b: the value 1.0 is given twice"),
        ("a.b=lin(0,1)", r"must be lin\(FIRST,LAST,N\), finite numbers"),
        ("a.b=lin(0,1,2.5)", r"must be lin\(FIRST,LAST,N\)"),
        ("a.b=lin(0,1,1)", r"must be lin\(FIRST,LAST,N\)"),
        ("a.b=lin(0,inf,3)", r"must be lin\(FIRST,LAST,N\)"),
        ("a.b=log(0,1,3)", "of one sign and not 0"),
        ("a.b=lin(0,1,10000000)", "10000000 values are more than 1000000"),
    ],
)
def test_values_that_are_none(text, message):
    with pytest.raises(errors.DeckError, match=message):
        parse_axis(text)


def test_folders_tell_what_is_computed(deck):
    base = load_deck(deck)
    points = points_of(base, axes(*AXES))
    assert [tuple(point.texts.values()) for point in points] == [
        (a, b) for a in ("0.0", "0.1") for b in ("0.1", "0.2", "0.3")
    ]
    assert [point.deck.magnet.damping for point in points] == [0.0] * 3 + [0.1] * 3
    assert len({point.folder for point in points}) == 6
    assert points[0].folder.startswith("damping=0.0,2=0.1-")

    def name(base, *texts):
        return points_of(base, axes(*texts))[0].folder.rpartition("-")[2]

    same = name(base, "magnet.damping=0.1")
    assert name(load_deck(deck, {"run.duration": 9.0, "title": "longer"}), "magnet.damping=0.1") == same
    assert name(load_deck(deck, {"magnet.damping": 0.1}), "magnet.exchange=0.0") == same
    assert name(load_deck(deck, {"magnet.exchange": 0.5}), "magnet.damping=0.1") != same
    longer = points_of(base, axes("magnet.damping=0.1,0.2", "run.duration=9"))  # the same runs, made longer
    assert longer[0].folder == points_of(base, axes("magnet.damping=0.1,0.2"))[0].folder
    assert [point.deck.run.duration for point in longer] == [9.0, 9.0]
    lengths = points_of(base, axes("run.duration=2,3"))
    assert len({point.folder for point in lengths}) == 2


def test_a_sweep_and_its_table(deck, tmp_path):
    base, folder = load_deck(deck), tmp_path / "out"
    rows = sweep(base, axes(*AXES), folder, workers=1)
    assert [row["state"] for row in rows] == ["done"] * 6
    with open(folder / "summary.csv", newline="") as file:
        table = list(csv.DictReader(file))
    for row, point in zip(table, points_of(base, axes(*AXES)), strict=True):
        assert row["folder"] == point.folder
        run(point.deck, tmp_path / "alone.h5", overwrite=True).close()
        with open_run(tmp_path / "alone.h5") as alone, open_run(folder / point.folder / "run.h5") as one:
            np.testing.assert_array_equal(one.moment[:], alone.moment[:])
            energy = alone.energy_zeeman[:]
            assert float(row["energy_zeeman_last"]) == energy[-1]
            mean = sum((energy[i] + energy[i + 1]) / 2 for i in range(4)) / 4
            assert float(row["energy_zeeman_mean"]) == pytest.approx(mean, rel=1e-14)


def test_results_by_key(deck, tmp_path):
    pytest.importorskip("xarray")
    sweep(load_deck(deck), axes(*AXES, "texture.direction=[1,0,0],[0,1,0.5]", "run.seed=3"), tmp_path, workers=1)
    found = sweep_results(tmp_path)
    assert dict(found.sizes) == {"magnet.damping": 2, "magnet.field.2": 3, "texture.direction": 2}
    chosen = found.sel({"magnet.damping": 0.1, "magnet.field.2": 0.2, "texture.direction": "[0,1,0.5]"})
    with open_run(tmp_path / str(chosen["folder"].item()) / "run.h5") as one:
        assert one.deck.magnet.damping == 0.1
        assert one.deck.texture.direction == (0.0, 1.0, 0.5)
        assert float(chosen["energy_zeeman_last"]) == one.energy_zeeman[-1]


def test_what_is_done_is_not_done_again(deck, tmp_path, monkeypatch):
    base, folder = load_deck(deck), tmp_path / "out"
    sweep(base, axes("magnet.damping=0.0,0.1"), folder, workers=1)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/run.h5")}
    done = []
    real = crews.this_machine
    monkeypatch.setattr(
        "llgnegf.sweep.runs.this_machine", lambda tasks, *rest: (done.extend(tasks), real(tasks, *rest))[1]
    )
    sweep(base, axes("magnet.damping=0.0,0.1,0.2"), folder, workers=1)
    assert [os.path.basename(task.folder)[:11] for task in done] == ["damping=0.2"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # A longer sweep goes on with the same run files.
    longer = sweep(load_deck(deck, {"run.duration": 4.0}), axes("magnet.damping=0.0,0.1,0.2"), folder, workers=1)
    assert [row["time"] for row in longer] == [4.0] * 3
    assert len(list(folder.glob("*/run.h5"))) == 3


def test_a_run_that_fails_is_told_and_stops_no_other(deck, tmp_path, capsys, monkeypatch):
    # A file that becomes worthless after the decks were judged.
    monkeypatch.setattr("llgnegf.sweep.points._judge_start", lambda deck: None)
    (tmp_path / "m.npy").write_text("no array")
    np.save(tmp_path / "n.npy", [[0, 0, 1.0], [0, 0, 1.0]])
    words = ["sweep", str(deck), "--set", "texture={kind='file',path='m.npy'},{kind='file',path='n.npy'}"]
    assert main([*words, "-o", str(tmp_path / "out"), "--workers", "1", "-q"]) == 1
    told = capsys.readouterr()
    assert not told.out
    assert "m.npy: cannot be read as a .npy array" in told.err
    (tmp_path / "n.npy").rename(tmp_path / "kept.npy")
    np.save(tmp_path / "m.npy", [[0, 0, 1.0], [0, 1.0, 0]])  # mended: the same command does the rest
    assert main([*words, "-o", str(tmp_path / "out"), "--workers", "1"]) == 0
    told = capsys.readouterr()
    assert "2 of 2 runs done" in told.out
    assert not list((tmp_path / "out").glob("*/error.txt"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "magnet.dampng=1,2"), "magnet.dampng = 1: unknown key"),
        (("--set", "magnet.damping=0.1,-1"), "magnet.damping"),
        (("--set", "magnet.damping=0.1", "--set", "magnet.damping=0.2"), "--set magnet.damping: is given twice"),
        (
            ("--set", "magnet.damping=lin(0,1,1000)", "--set", "run.seed=lin(0,200,201)"),
            "201000 runs, more than 100000",
        ),
        (("--workers", "0"), "--workers 0: must be at least 1"),
        (("--workers", "2", "--slurm"), "--workers: is of this machine"),
        (("--set", "magnet.damping=0.1,0.2", "--set", "magnet={spin=1},{spin=2}"), "one sets a part of the other"),
        (("--set", "texture={kind='file',path='not.npy'},{kind='random'}"), "not.npy"),
        (("--set", "magnet.exchange=0.1,1e6"), "integrator.step = 0.1: too large"),
        (("-o", "spin.toml"), "spin.toml: is a file; a sweep takes a folder"),
        (("--slurm", "--set", "magnet.dampng=1,2"), "magnet.dampng = 1: unknown key"),
    ],
)
def test_wrong_wishes_begin_nothing(deck, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", str(deck), *words]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["spin.toml"]


LONG = {"run.duration": 4000.0, "integrator.step": 0.01, "run.save_every": 100.0}


def test_a_signal_stops_all_runs_at_checkpoints(deck, tmp_path):
    """A scheduler asks the one process that it knows; the runs are in others."""
    folder = tmp_path / "out"
    overrides = [f"--set={key}={value}" for key, value in LONG.items()]
    command = [sys.executable, "-m", "llgnegf", "sweep", str(deck), *overrides]
    command += ["--set", "magnet.damping=0.0,0.1", "-o", str(folder), "--workers", "2"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len([path for path in folder.glob("*/run.h5*")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, (out, err)
    assert "the same command goes on" in err
    reached = []
    for path in folder.glob("*/run.h5"):
        with open_run(path) as one:
            reached.append(one.times[-1] if one.n_frames else 0.0)
            assert list(path.parent.glob("run.h5.ckpt*"))
    assert len(reached) == 2
    assert min(reached) < 4000.0


def test_a_wall_time_is_for_all_runs(deck, tmp_path):
    base = load_deck(deck, LONG)
    with pytest.raises(errors.StoppedEarly, match=r"stopped \(the wall time is over\): . of 3 runs are not finished"):
        sweep(base, axes("magnet.damping=0.0,0.1,0.2"), tmp_path, workers=1, walltime=1.0)
    assert (tmp_path / "summary.csv").exists()


def dies_once(task, walltime):
    mark = os.path.join(os.path.dirname(task.folder), "died")
    if not os.path.exists(mark):
        open(mark, "x").close()
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return work(task, walltime)


def always_dies(task, walltime):
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


@pytest.mark.parametrize(("does", "states"), [(dies_once, ["done", "done"]), (always_dies, ["failed", "failed"])])
def test_processes_that_are_killed(deck, tmp_path, monkeypatch, does, states):
    monkeypatch.setattr(crews, "work", does)
    tasks = [Task(str(tmp_path / name), DECK, str(tmp_path), "spin") for name in ("a", "b")]
    outcomes = list(crews.this_machine(tasks, Interrupts(None), 1))
    assert [outcome.state for outcome in outcomes] == states
    if states[0] == "failed":
        assert "its process ended 3 times without a word" in outcomes[0].message


def test_a_dead_scheduler_is_told_soon(deck, tmp_path, monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setattr(crews, "_CONNECT", 2.0)
    began = time.monotonic()
    words = ["--set", "magnet.damping=0,0.1", "-o", str(tmp_path / "out"), "--scheduler", "tcp://127.0.0.1:9"]
    assert main(["sweep", str(deck), *words]) == 1
    assert time.monotonic() - began < 30
    assert "--scheduler tcp://127.0.0.1:9: no Dask scheduler answers there" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*/run.h5"))


@pytest.mark.slow
def test_workers_of_a_cluster_may_die(deck, tmp_path):
    pytest.importorskip("distributed")
    environment = {**ENVIRONMENT, "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}

    def start(*words):
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]],
            env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    address_file = tmp_path / "scheduler.json"
    here = ("--scheduler-file", str(address_file), "--dashboard-address", ":0")  # never the fixed port of a neighbour
    scheduler = start("dask_scheduler", *here, "--host", "127.0.0.1", "--port", "0")
    worker = ("dask_worker", *here, "--nthreads", "1", "--no-nanny")
    workers = [start(*worker) for _ in range(2)]
    base = load_deck(deck, {"run.duration": 400.0, "integrator.step": 0.01, "run.save_every": 100.0})
    chosen = axes("magnet.damping=lin(0.01,0.06,6)")
    try:
        deadline = time.monotonic() + 60
        while not address_file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        address = json.loads(address_file.read_text())["address"]

        def kill_one():
            while not list((tmp_path / "out").glob("*/run.h5")) and time.monotonic() < deadline:
                time.sleep(0.05)
            workers[0].kill()
            workers.append(start(*worker))

        killer = threading.Thread(target=kill_one)
        killer.start()
        rows = sweep(base, chosen, tmp_path / "out", scheduler=address)
        killer.join()
    finally:
        for process in [*workers, scheduler]:
            process.kill()
            process.wait()
    assert [row["state"] for row in rows] == ["done"] * 6
    assert sweep(base, chosen, tmp_path / "here", workers=1) == rows


SBATCH = """#!/bin/bash
# Runs the tasks of an array one after the other, as often as they ask for it; the first time each is asked to stop.
script="$1"
folder=$(dirname "$script")
grep -q '^#SBATCH --signal=B:USR1@90$' "$script" && grep -q '^#SBATCH --requeue$' "$script" || exit 3
last=$(sed -n 's/^#SBATCH --array=0-//p' "$script")
for task in $(seq 0 "$last"); do
    export SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_JOB_ID=7 SLURM_JOB_ID=7
    for try in 1 2 3 4 5; do
        rm -f requeued
        bash "$script" & job=$!
        if [ "$try" -eq 1 ]; then
            until ls "$folder"/*/run.h5.ckpt* >/dev/null 2>&1; do sleep 0.05; done
            sleep 0.3
            kill -USR1 "$job"
        fi
        wait "$job"
        echo "$task $?" >>codes
        [ -e requeued ] || break
    done
done
"""


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
@pytest.mark.slow
def test_a_job_array_goes_on_after_its_limit(deck, tmp_path, capsys):
    for name, text in (("sbatch", SBATCH), ("scontrol", '#!/bin/bash\necho "$@" >>requests\ntouch requeued\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(stat.S_IRWXU)
    np.save(tmp_path / "m.npy", [[0.6, 0, 0.8], [0, 0, 1.0]])
    changes = {"run.duration": 400.0, "integrator.step": 0.01, "run.save_every": 100.0, "run.checkpoint_every": 1000}
    more = [f"--set={key}={value}" for key, value in changes.items()]
    more += ["--set", "texture={kind='file',path='m.npy'}", "--set", "magnet.damping=0.05,0.1"]
    folder = tmp_path / "a sweep"  # a space, as in many a folder
    words = ["sweep", str(deck), *more, "-o", str(folder)]
    assert main([*words, "--slurm"]) == 0
    assert "2 runs to do; submit them with: sbatch" in capsys.readouterr().out
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sbatch", str(folder / "sweep.sbatch")], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0
    codes = (tmp_path / "codes").read_text().splitlines()
    assert "0 75" in codes
    assert [line for line in codes if line.endswith(" 0")] == ["0 0", "1 0"]
    assert (tmp_path / "requests").read_text().splitlines()[0] == "requeue 7_0"
    # Nothing is left to do, and the table can be written.
    assert main([*words, "--workers", "1"]) == 0
    chosen = [text.removeprefix("--set=") for text in more if text != "--set"]
    for point in points_of(load_deck(deck), axes(*chosen)):
        run(point.deck, tmp_path / "alone.h5", overwrite=True).close()
        with open_run(tmp_path / "alone.h5") as alone, open_run(folder / point.folder / "run.h5") as one:
            np.testing.assert_array_equal(one.moment[:], alone.moment[:])


def test_runs_that_another_process_writes_are_left_to_it(deck, tmp_path, capsys):
    command = ["sweep", str(deck), "--set", "magnet.damping=0.0,0.1", "-o", str(tmp_path / "out"), "--workers", "1"]
    assert main(command) == 0
    table = (tmp_path / "out" / "summary.csv").read_text()
    for point in ("damping=0.0", "damping=0.1"):
        (folder,) = (tmp_path / "out").glob(f"{point}*")
        for path in folder.glob("*"):
            path.unlink()
        lock = Lock(folder / "run.h5")
        capsys.readouterr()
        assert main(command) == 75
        assert "1 of 2 runs are being written by another process; the same command goes on" in capsys.readouterr().err
        assert not (folder / "error.txt").exists()
        lock.release()
        assert main(command) == 0
    assert (tmp_path / "out" / "summary.csv").read_text() == table


@pytest.mark.parametrize(("command", "told"), [("sweep", "the same command goes on"), ("run", "`llgnegf resume` it")])
def test_a_second_interrupt_says_how_to_go_on(deck, tmp_path, capsys, monkeypatch, command, told):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("llgnegf.sweep.sweep", interrupted)
    monkeypatch.setattr("llgnegf.simulation.run", interrupted)
    assert main([command, str(deck), "-o", str(tmp_path / "out.h5")]) == 75
    assert told in capsys.readouterr().err


def test_a_run_may_be_asked_to_stop():
    """By who began it, where no signal reaches it; asked not more than once a second."""
    questions = []
    with Interrupts.asked_by(lambda: bool(questions.append(None) or len(questions) > 1)):
        stop = Interrupts(None)
        assert not any(stop.stops(True) for _ in range(100))
        assert len(questions) == 1
        time.sleep(1.1)
        assert stop.stops(False)
        assert stop.reason == "who began it was stopped"
    assert not Interrupts(None).stops(True)


@pytest.mark.slow
def test_a_cluster_stops_its_runs_at_checkpoints(deck, tmp_path):
    distributed = pytest.importorskip("distributed")
    base = load_deck(deck, {**LONG, "run.duration": 40000.0})

    def stop_when_two_have_begun():
        while len([path for path in tmp_path.glob("*/run.h5") if path.stat().st_size]) < 2:
            time.sleep(0.2)
        time.sleep(2.0)
        os.kill(os.getpid(), signal.SIGUSR1)

    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as here,
    ):
        warnings.simplefilter("ignore")
        threading.Thread(target=stop_when_two_have_begun, daemon=True).start()
        with pytest.raises(errors.StoppedEarly, match=r"stopped \(SIGUSR1\): 6 of 6 runs are not finished"):
            sweep(base, axes("magnet.damping=lin(0.01,0.06,6)"), tmp_path, scheduler=here.scheduler_address)
        begun = list(tmp_path.glob("*/run.h5"))
        assert len(begun) == 2
        for path in begun:
            assert not path.with_name("run.h5.lock").exists()  # nobody writes it any more
            state, header = load_newest(path)
            with open_run(path) as one:
                assert 0 < state.step < 4_000_000
                assert header["frames_written"] == one.n_frames


def test_outcomes_are_plain(deck, tmp_path):
    outcome = work(Task(str(tmp_path / "a"), DECK.replace("duration = 2.0", "duration = -1"), str(tmp_path), "spin"))
    assert outcome == Outcome(str(tmp_path / "a"), "failed", outcome.message)
    assert "run.duration" in outcome.message
