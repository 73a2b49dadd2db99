"""Compiled kernels that are kept on the disk: a convenience, which may be damaged or find no room, and stops no run."""

import errno
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import warnings

import numba
import numpy as np
import pytest

from llgnegf import compiling, kernels, open_run
from llgnegf.errors import RunWarning
from tests.test_cli import ENVIRONMENT, ROOT
from tests.test_simulation import CLASSICAL, deck, run

SOURCE = """
from llgnegf.kernels import njit

@njit(cache=True, nogil=True)
def twice(x):
    return 2 * x

@njit("float64(float64)", error_model="numpy")
def thrice(x):
    return 3 * x
"""


def keep_in(folder, monkeypatch):
    """numba reads its environment at its start, and again where another variable has changed."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", folder)
    monkeypatch.setattr(numba.config, "CACHE_DIR", folder)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """project() -> a module with two kernels, loaded anew; what it compiles is kept in tmp_path/kept."""
    (tmp_path / "kernels_of_mine.py").write_text(SOURCE)
    keep_in(str(tmp_path / "kept"), monkeypatch)

    def load():
        monkeypatch.setattr(kernels, "_told", set())  # as in a process of its own
        spec = importlib.util.spec_from_file_location("kernels_of_mine", tmp_path / "kernels_of_mine.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "kernels_of_mine", module)  # kept code looks its module up
        spec.loader.exec_module(module)
        return module

    return load


def hits(module):
    """How often a kernel came from the disk; both must give the right numbers."""
    assert module.twice(2.5) == 5.0
    assert module.thrice(2.5) == 7.5
    return sum(sum(kernel.stats.cache_hits.values()) for kernel in (module.twice, module.thrice))


def kept(tmp_path, suffix):
    return sorted((tmp_path / "kept").rglob(f"*{suffix}"))


def test_kernels_are_compiled_once(project, tmp_path):
    assert hits(project()) == 0
    assert len(kept(tmp_path, ".nbc")) == len(kept(tmp_path, ".nbi")) == 2
    assert hits(project()) == 2


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["flipped", "emptied", "cut", "zeroed", "other", "folder"])
def test_a_damaged_file_is_told_once_and_made_anew(project, tmp_path, suffix, damage):
    hits(project())
    assert len(kept(tmp_path, suffix)) == 2
    for path in kept(tmp_path, suffix):
        content = bytearray(path.read_bytes())
        path.unlink()
        content[len(content) // 2] ^= 1
        bad = {"flipped": content, "emptied": b"", "cut": content[: len(content) // 2], "zeroed": bytes(len(content))}
        if damage == "folder":
            path.mkdir()
        else:
            path.write_bytes(bad.get(damage, b"another program's"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        module = project()
        assert hits(module) == 0
    expected = 2 if damage == "folder" else 1  # what stands there cannot be written over either
    if (suffix, damage) == (".nbc", "folder"):  # numba takes a file that cannot be opened for one that is gone
        expected = 1
    assert [warning.category for warning in told] == [RunWarning] * expected
    assert "compiled again" in str(told[0].message)
    assert "NUMBA_CACHE_DIR" in str(told[0].message)
    if damage != "folder":
        assert hits(project()) == 2


def test_every_flipped_byte_is_noticed(project, tmp_path):
    """Damaged machine code that is run would crash, or give another number."""
    hits(project())
    (path,) = (path for path in kept(tmp_path, ".nbc") if "twice" in path.name)
    content = path.read_bytes()
    for i in np.linspace(0, len(content) - 1, 40).astype(int):
        path.write_bytes(content[:i] + bytes([content[i] ^ 0x10]) + content[i + 1 :])
        with pytest.raises(kernels._Damaged):
            kernels._unsealed(path)
    path.write_bytes(content)
    assert kernels._unsealed(path)


def test_an_index_of_another_version_or_source_is_no_damage(project, tmp_path, monkeypatch):
    hits(project())
    with monkeypatch.context() as patch:
        patch.setattr(numba, "__version__", "0.0")
        assert hits(project()) == 0
    os.utime(tmp_path / "kernels_of_mine.py", (1, 1))
    assert hits(project()) == 0
    assert hits(project()) == 2


@pytest.mark.parametrize("trouble", ["full", "replaced"])
def test_a_kernel_that_cannot_be_kept_is_used(project, tmp_path, monkeypatch, trouble):
    def full(self, path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if trouble == "full":
            monkeypatch.setattr(kernels._SealedFile, "_open_for_write", full)
        module = project()
        if trouble == "replaced":
            shutil.rmtree(tmp_path / "kept")
            (tmp_path / "kept").write_text("a file now")
        assert hits(module) == 0
    last = str(told[-1].message)
    assert "cannot be kept there (" + ("No space left on device" if trouble == "full" else "") in last
    assert len(told) == (1 if trouble == "full" else 2)  # it can be neither read nor written


def no_place(folder, monkeypatch):
    """Neither NUMBA_CACHE_DIR nor the folder of the source nor the user's own can be written to (root included)."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    monkeypatch.setenv("HOME", "/dev/null/home")
    keep_in("/dev/null/numba", monkeypatch)
    for one in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        shutil.rmtree(one / "__pycache__", ignore_errors=True)
        (one / "__pycache__").write_text("in the way")


def test_no_place_for_kernels_is_told_once(project, tmp_path, monkeypatch):
    no_place(tmp_path, monkeypatch)
    with pytest.warns(RunWarning, match="no folder in which compiled kernels could be kept") as told:
        assert hits(project()) == 0
    assert len(told) == 1


def compile_told(project, capsys, monkeypatch, wanted=True):
    """What is said while both kernels are made; "once" also means that the second one adds nothing."""
    monkeypatch.setattr(compiling.watch, "told", False)
    before = compiling.watch.seconds
    with compiling.telling(wanted):
        came = hits(project())
    assert (compiling.watch.seconds > before) == (came < 2)
    return capsys.readouterr()


def test_compiling_is_told_once_and_only_when_it_happens(project, capsys, monkeypatch):
    out, err = compile_told(project, capsys, monkeypatch)
    assert (out, err.count("compiling the kernels"), err.count("\n")) == ("", 1, 1)
    assert compile_told(project, capsys, monkeypatch) == ("", "")  # they come from the disk now


def test_compiling_is_not_told_where_nobody_asks(project, capsys, monkeypatch):
    assert compile_told(project, capsys, monkeypatch, wanted=False) == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_command_says_that_it_compiles(tmp_path, verb):
    (tmp_path / "mine.toml").write_text(CLASSICAL)
    environment = {**ENVIRONMENT, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}

    def said(*words):
        words = [sys.executable, "-m", "llgnegf", *words]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr.count("compiling the kernels")

    overwrite = ["--overwrite"] if verb == "run" else []
    if verb == "run":
        assert said("run", "mine.toml", "--quiet") == 0
        shutil.rmtree(tmp_path / "kept")
    assert said(verb, "mine.toml", *overwrite) == 1
    assert said(verb, "mine.toml", *overwrite) == 0


@pytest.mark.slow
def test_a_run_without_any_place_for_kernels(tmp_path, monkeypatch):
    """A read-only installation under a read-only home: the same numbers, one line about it."""
    for name in ("llgnegf", "integrators", "textures", "runs"):
        shutil.copytree(ROOT / name, tmp_path / "site" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "mine.toml").write_text(CLASSICAL)
    with monkeypatch.context() as patch:
        no_place(tmp_path / "site", patch)
        words = [sys.executable, "-m", "llgnegf", "run", "mine.toml", "-o", "a.h5"]
        environment = {**ENVIRONMENT, **os.environ, "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no folder in which compiled kernels could be kept") == 1
    run(deck(CLASSICAL), tmp_path / "b.h5").close()
    with open_run(tmp_path / "a.h5") as a, open_run(tmp_path / "b.h5") as b:
        assert np.array_equal(a["moment"][:], b["moment"][:])


def test_promise_of_arrays_apart_reaches_the_compiler():
    def add(total, row):
        for i in range(len(row)):
            total[i] += row[i]

    found = []
    for noalias in (True, False):
        compiled = kernels.njit(cache=False, noalias=noalias)(add)
        total = np.arange(5.0)
        compiled(total, np.ones(5))
        assert (total == np.arange(5.0) + 1).all()
        head = next(iter(compiled.inspect_llvm().values())).split("define", 2)[1].split("{")[0]
        found.append(head.count("noalias"))
    # Where results go has the attribute in any case.
    assert found[0] > found[1]


def test_an_array_that_does_not_fit_a_slice_is_an_error_without_strings():
    @kernels.njit(cache=False)
    def put(target, source):
        target[1:] = source

    target = np.zeros((3, 2))
    put(target, np.array([5.0, 7.0]))
    assert target.tolist() == [[0, 0], [5, 7], [5, 7]]
    with pytest.raises(ValueError, match="cannot assign slice"):
        put(target, np.ones((3, 2)))
    assert "unicode" not in "".join(put.inspect_llvm().values())


def test_kernels_of_others_keep_the_words_of_numba():
    @kernels.njit(cache=False)
    def put(target, source):
        target[1:] = source

    put(np.zeros((3, 2, 1)), np.ones((2, 2, 1)))

    @numba.njit
    def of_others(target, source):
        target[2:] = source

    with pytest.raises(ValueError, match=r"\(3, 2, 1, 1\)"):
        of_others(np.zeros((3, 2, 1, 1)), np.ones((3, 2, 1, 1)))


def test_functions_that_are_inlined_are_so_by_the_compiler_of_machine_code():
    @kernels.njit(cache=False, inline="always")
    def square(x):
        return x * x

    @kernels.njit(cache=False)
    def fourth(x):
        return square(square(x))

    assert fourth(3.0) == 81.0
    assert len(square.signatures) == 1  # numba itself would have no types for it
    assert "alwaysinline" in "".join(square.inspect_llvm().values())
    assert not re.search("call .*square", "".join(fourth.inspect_llvm().values()))
