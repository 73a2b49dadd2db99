"""`textures` and `integrators` are those beside llgnegf, whatever else a user has of these names."""

import os
import pickle
import shutil
import subprocess
import sys
import textwrap

import pytest

from llgnegf.beside import integrators, textures
from tests.test_cli import ENVIRONMENT, ROOT
from tests.test_simulation import CLASSICAL

MINE = "MINE = True\nprint('the user\\'s own', __name__)\n"


@pytest.fixture(params=["modules", "packages"])
def folder(request, tmp_path):
    """A user's folder, with a deck and with modules or packages of the names in question."""
    for name in ("textures", "integrators"):
        path = tmp_path / f"{name}.py" if request.param == "modules" else tmp_path / name / "__init__.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(MINE)
    (tmp_path / "mine.toml").write_text(CLASSICAL)
    return tmp_path


def python(folder, *words, root=ROOT):
    """A process in `folder`, which comes before the project in the search for modules."""
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(folder), str(root)])}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_in_a_folder_with_a_users_textures(folder):
    out = python(folder, "-m", "llgnegf", "run", "mine.toml")
    assert "the user's own" not in out
    assert (folder / "mine.h5").is_file()
    python(folder, "-m", "llgnegf", "resume", "mine.h5", "--until", "1.5")


def test_a_program_with_its_own_textures_keeps_them(folder):
    """Imported before, between and after; compiled kernels are then loaded from where the command has kept them."""
    (folder / "program.py").write_text(
        textwrap.dedent("""
        import textures
        import llgnegf
        llgnegf.run("mine.toml", "a.h5").close()
        import integrators
        assert textures.MINE and integrators.MINE
        from llgnegf.beside import integrators as ours
        assert ours.METHODS and not hasattr(ours, "MINE")
        llgnegf.run("mine.toml", "b.h5").close()
        """)
    )
    assert python(folder, "program.py").count("the user's own") == 2


def test_pickles_find_them_in_another_process(folder):
    things = [integrators.get("heun").step, integrators.METHODS["rk4"], textures.uniform, textures.measures.wall_tilt]
    (folder / "things.pickle").write_bytes(pickle.dumps(things))
    read = "import pickle; print(*[x.__module__ for x in pickle.load(open('things.pickle', 'rb'))])"
    out = python(folder, "-c", read)
    assert out.split() == [
        "llgnegf.beside.integrators.heun",
        "llgnegf.beside.integrators.registry",
        "llgnegf.beside.textures.simple",
        "llgnegf.beside.textures.measures",
    ]


@pytest.mark.slow
def test_a_linked_package_finds_those_of_its_own_folder(folder, tmp_path):
    """llgnegf alone is linked into a folder where somebody else's packages have these names."""
    site = folder / "site"
    site.mkdir()
    (site / "llgnegf").symlink_to(ROOT / "llgnegf", target_is_directory=True)
    (site / "textures.py").write_text(MINE)
    out = python(folder, "-m", "llgnegf", "run", "mine.toml", root=site)
    assert "the user's own" not in out


def test_a_copy_of_the_three_packages_is_complete(folder):
    """As a wheel is unpacked."""
    for name in ("llgnegf", "integrators", "textures", "runs"):
        shutil.copytree(ROOT / name, folder / "site" / name, ignore=shutil.ignore_patterns("__pycache__"))
    where = "import llgnegf.beside as b; from llgnegf.beside import integrators, textures; print(textures.__file__)"
    out = python(folder, "-c", where, root=folder / "site")
    assert out.strip() == str(folder / "site" / "textures" / "__init__.py")
