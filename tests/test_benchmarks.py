"""Benchmarks are run by hand and seldom: whether they still run at all, at their smallest sizes."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
# Words after the name of each that takes seconds and no other program.
QUICK = {
    "classical.py": ("--size", "8", "--seconds", "0.2"),
    "electrons_chain.py": (),
    "many_frames.py": ("50", "--folder", "{folder}"),
    "output_cost.py": ("--steps", "100", "--seconds", "1", "--folder", "{folder}"),
    "real_time.py": ("--sizes", "4", "--rounds", "1", "--memory", "1e-2"),
    "real_time_chain.py": ("--frequency", "0.3", "--tolerance", "1e-2"),
    "refresh.py": ("--until", "1"),
    "response_tensors.py": ("4",),
    "spin_bonds.py": ("6", "6", "--repeats", "1"),
    "startup.py": ("--repeat", "1"),
    "warm_lattice.py": ("--rounds", "1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_it_runs(name, tmp_path):
    words = [word.format(folder=tmp_path) for word in QUICK[name]]
    done = subprocess.run([sys.executable, FOLDER / name, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "it says nothing"
