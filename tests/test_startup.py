"""What commands import: none that only reads decks or run files loads the compiled physics."""

import subprocess
import sys

import pytest

from llgnegf import load_deck, run
from tests.test_cli import ENVIRONMENT
from tests.test_simulation import CLASSICAL

COMPILED = ("numba", "scipy", "matplotlib")
FILES = ("numpy", "h5py")  # neither do those that read no run file
TABLES = ("pydantic", "pydantic_core", "email")  # nor the tables of decks, where no deck has to be judged

CODE = """
import sys
from llgnegf.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:  # argparse
    code = stop.code
print("loaded:", *{name.partition(".")[0] for name in sys.modules})
sys.exit(code)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("startup")
    (folder / "good.toml").write_text(CLASSICAL)
    (folder / "key.toml").write_text(CLASSICAL.replace("step =", "stepp ="))
    run(load_deck(folder / "good.toml"), folder / "run.h5").close()
    return folder


@pytest.mark.parametrize(
    ("words", "code", "absent"),
    [
        (("show", "run.h5"), 0, COMPILED + TABLES),
        (("units", "good.toml", "--cell", "1nm"), 0, COMPILED + FILES),
        (("list",), 0, COMPILED + FILES + TABLES),
        (("new", "wall_in_wire"), 0, COMPILED + FILES),
        (("schema",), 0, COMPILED + FILES),
        (("--help",), 0, COMPILED + FILES + TABLES),
        (("--version",), 0, COMPILED + FILES + TABLES),
        (("check", "key.toml"), 2, COMPILED + FILES),
        (("check", "good.toml", "--set", "integrator.method=rk5"), 2, COMPILED + FILES),
        (("run", "good.toml", "--set", "run.duration=-1"), 2, COMPILED + FILES),
        (("run", "good.toml", "--until", "never"), 2, COMPILED + FILES),
        (("rnu", "good.toml"), 2, COMPILED + FILES),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_reading_alone_loads_no_kernels(folder, words, code, absent):
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    loaded = done.stdout.rpartition("loaded:")[2].split()
    assert "argparse" in loaded
    assert not set(loaded) & set(absent)


def test_a_run_loads_no_more_than_it_needs(folder):
    """At kT = 0: no SciPy, no processes, no bars; nor what numba takes to compile, where nothing is left to compile."""
    words = ["precessing_wall_real_time", "--set", "electrons.frozen_beside=false", "--set", "electrons.temperature=0"]
    words += ["--set", "run.duration=0.5", "--set", "run.save_every=0.5", "--set", "integrator.step=0.5"]
    line = [sys.executable, "-c", CODE.replace('name.partition(".")[0]', "name"), "run", *words]
    for _ in range(2):  # the first one may compile
        done = subprocess.run(
            [*line, "-o", "a.h5", "--quiet", "--overwrite"],
            cwd=folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
    loaded = set(done.stdout.rpartition("loaded:")[2].split())
    assert {"numba", "llgnegf.electrons.real_time_rows"} <= loaded
    heavy = {"scipy.linalg", "scipy.special", "scipy.interpolate", "scipy.optimize", "scipy.sparse", "scipy.stats"}
    heavy |= {"numba.np.random", "numba.np.linalg", "loky", "multiprocessing", "tqdm", "matplotlib"}
    assert loaded & heavy == set()


@pytest.mark.parametrize("argv", [None, ["list"]], ids=["its own process", "called"])
def test_only_a_process_of_its_own_keeps_its_garbage(argv):
    """Where the command is the process, its end is not delayed by a collection; a caller's objects stay as they are."""
    code = "import gc, sys; from llgnegf.cli import main; sys.argv[1:] = ['list']"
    code += f"; main({argv}); print(gc.get_freeze_count())"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert (int(done.stdout.split()[-1]) > 0) == (argv is None)
