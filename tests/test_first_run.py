"""`bash runs/first_run.sh DECK`: what it does with each end of a command; every shipped deck passes through."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llgnegf.deck import load_deck, shipped_decks
from tests.test_cli import COSTLY

ROOT = Path(__file__).resolve().parent.parent
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="bash is not installed")


@pytest.fixture
def first_run(tmp_path):
    """first_run(command, *words) -> finished process, with `command` (a shell script) in the place of llgnegf."""
    tree = tmp_path / "a tree"
    (tree / "runs").mkdir(parents=True)
    (tree / ".ci").mkdir()
    shutil.copy(ROOT / "runs" / "first_run.sh", tree / "runs")
    (tree / ".ci" / "environment.sh").write_text('use_environment() { PATH="$FAKE:$PATH"; }\n')

    def start(command, *words):
        (tmp_path / "bin").mkdir(exist_ok=True)
        fake = tmp_path / "bin" / "llgnegf"
        fake.write_text(f"#!{BASH}\n{command}\n")
        fake.chmod(0o755)
        line = [BASH, tree / "runs" / "first_run.sh", *words]
        environment = {**os.environ, "FAKE": str(tmp_path / "bin"), "PYTHONPATH": str(ROOT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(line, cwd=tmp_path, env=environment, start_new_session=True, **pipes)

    def call(command, *words):
        process = start(command, *words)
        process.output, _ = process.communicate()
        return process

    call.start = start
    return call


def ends(**codes):
    """A command that prints how it was called and ends with the code of its verb."""
    cases = "".join(f"{verb}) exit {code};; " for verb, code in codes.items())
    return f'echo "[llgnegf $*]"; case "$1" in {cases} esac'


def test_a_deck_is_run_compared_and_drawn(first_run, tmp_path):
    done = first_run(ends())
    calls = [line for line in done.output.splitlines() if line.startswith("[")]
    assert done.returncode == 0
    assert calls == [
        "[llgnegf run precessing_wall -o results/precessing_wall.h5 --overwrite --walltime 5m]",
        "[llgnegf compare results/precessing_wall.h5]",
        "[llgnegf plot results/precessing_wall.h5]",
    ]
    assert "longer than" not in done.output
    assert f"{tmp_path}/bin/llgnegf show results/precessing_wall.h5" in done.output
    done = first_run(ends(), "my decks/a wall.toml", "my results", "1:30:00")
    assert done.returncode == 0
    assert "[llgnegf run my decks/a wall.toml -o my results/a wall.h5 --overwrite --walltime 1:30:00]" in done.output
    assert (tmp_path / "my results").is_dir()


def test_a_long_deck_stops_early_and_is_drawn(first_run):
    done = first_run(ends(run=75), "skyrmion_pump")
    assert done.returncode == 0
    assert "takes longer than 5m" in done.output
    assert "llgnegf resume results/skyrmion_pump.h5" in done.output
    assert "[llgnegf plot results/skyrmion_pump.h5]" in done.output


def test_a_deck_without_an_exact_result_is_drawn(first_run):
    done = first_run(ends(compare=2), "wall_classical")
    assert done.returncode == 0
    assert "no table beside an exact result" in done.output
    assert "[llgnegf plot results/wall_classical.h5]" in done.output


@pytest.mark.parametrize("codes", [{"run": 1}, {"run": 2}, {"run": 74}, {"compare": 1}, {"compare": 74}, {"plot": 74}])
def test_what_fails_ends_it_with_its_code(first_run, codes):
    done = first_run(ends(**codes))
    ((verb, code),) = codes.items()
    assert done.returncode == code
    assert done.output.splitlines()[-1].startswith(f"[llgnegf {verb} ")


def test_a_signal_ends_it_after_the_checkpoint(first_run):
    """The run answers a signal with a checkpoint and 75, as it does at the wall time: the script must not go on."""
    patient = "trap 'exit 75' TERM; echo started; while :; do sleep 0.05; done"
    process = first_run.start(patient)
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, signal.SIGTERM)  # the script and the command, as a terminal does
    output, _ = process.communicate()
    assert process.returncode == 75
    assert "started" not in output  # nothing else was called
    assert "longer than" not in output


QUICK = "skyrmion_classical"  # no exact result


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != QUICK)) for name in shipped_decks()]
)
def test_every_shipped_deck_passes_through(first_run, tmp_path, name):
    """The real command, a few frames of each deck."""
    deck = load_deck(name)
    every = deck.integrator.step if name in COSTLY else deck.run.save_every
    if name == "skyrmion_pump":  # half a minute a step: the wall time ends it
        more = ""
    else:
        more = f'; [ "$1" = run ] && set -- "$@" --set run.save_every={every} --until {2 * every}'
    done = first_run(f'true{more}; exec "{sys.executable}" -m llgnegf "$@"', name, "out", "20 s")
    assert done.returncode == 0, done.output
    assert "Traceback" not in done.output
    assert (tmp_path / "out" / f"{name}.png").stat().st_size > 10_000
    assert (tmp_path / "out" / f"{name}.h5").is_file()
