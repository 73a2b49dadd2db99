"""Without what only Linux has: the main job runs, with the same numbers.

The process below loses the modules, functions and signals that Windows or macOS lack, and its files behave as on
Windows: what is open is neither replaced nor removed, and folders are not opened.
"""

import math
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import numpy as np
import pytest

from llgnegf import load_deck, machine, open_run, run
from llgnegf.cli import main
from llgnegf.electrons import threads
from llgnegf.errors import RunWarning
from llgnegf.interrupts import STOPPING, Interrupts
from llgnegf.runfile import provenance
from tests.test_cli import ENVIRONMENT

ELSEWHERE = """
import errno, os, signal, sys

for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "sched_setaffinity", "register_at_fork", "fork", "forkpty", "O_CLOEXEC",
             "O_NOFOLLOW", "getuid", "geteuid", "getgid", "getloadavg", "posix_fallocate", "process_cpu_count"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGPIPE", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGXFSZ", "SIGALRM", "SIGCHLD"):
    if hasattr(signal, name):
        delattr(signal, name)

def is_open(path):
    held = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            held.add(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return os.path.realpath(path) in held

def like_windows(function, *which):
    def guarded(*arguments, **options):
        for i in which:
            if is_open(arguments[i]):
                raise PermissionError(errno.EACCES, "used by a process", os.fspath(arguments[i]))
        return function(*arguments, **options)
    return guarded

os.replace, os.rename = like_windows(os.replace, 0, 1), like_windows(os.rename, 0, 1)
os.unlink = os.remove = like_windows(os.unlink, 0)
opened = os.open

def open_no_folder(path, flags, *arguments, **options):
    if os.path.isdir(path) and flags & os.O_TMPFILE != os.O_TMPFILE:  # which makes a file
        raise PermissionError(errno.EACCES, "Permission denied", path)
    return opened(path, flags, *arguments, **options)

os.open = open_no_folder
"""
JOB = """
from llgnegf.cli import main

def call(*words):
    code = main(list(words))
    assert code == 0, (words, code)

call("run", "precessing_wall", "-o", "a.h5", "--until", "400")
call("resume", "a.h5", "--until", "800")
call("compare", "a.h5")
call("plot", "a.h5")
call("run", "wall_classical", "-o", "b.h5", "--until", "10")
call("run", "wall_classical", "-o", "b.h5", "--until", "10", "--overwrite")
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="sees by /proc which files are open")
def test_the_main_job_without_what_only_linux_has(tmp_path):
    (tmp_path / "job.py").write_text(textwrap.dedent(ELSEWHERE) + JOB)
    done = subprocess.run(
        [sys.executable, "job.py"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # Said once a run: without fcntl nothing keeps a second process out.
    assert done.stderr.count("this file system has no locks") == 4
    run(load_deck("precessing_wall"), tmp_path / "whole.h5", until=800.0).close()
    with open_run(tmp_path / "a.h5") as a, open_run(tmp_path / "whole.h5") as b:
        assert a.names == b.names
        assert all(np.array_equal(a[name], b[name]) for name in a.names)
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert not list(tmp_path.glob("*.new")) + list(tmp_path.glob("*.tmp"))


def test_a_folder_that_cannot_be_put_on_the_disk_is_no_error(tmp_path, monkeypatch):
    """Some network file systems sync no folders; any other trouble there is told."""
    import errno

    from llgnegf.runfile import disk

    def failing(code):
        def fsync(descriptor):
            raise OSError(code, os.strerror(code))

        return fsync

    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    disk.sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        disk.sync_folder(tmp_path)


def test_threads_are_those_that_the_process_may_use(monkeypatch):
    """The limits of batch systems and containers count, as far as a system knows them."""
    monkeypatch.delenv("LLGNEGF_NUM_THREADS", raising=False)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert threads.worker_count() == 1
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT")
    assert 1 <= threads.worker_count() <= os.cpu_count()
    with monkeypatch.context() as patch:
        patch.setattr("loky.cpu_count", lambda: 5)
        assert threads.worker_count() == 5
    monkeypatch.setenv("LLGNEGF_NUM_THREADS", "3")
    assert threads.worker_count() == 3


def test_a_system_that_does_not_tell_its_memory_refuses_no_run(monkeypatch):
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__, raising=False)
    assert machine.memory_of_machine() == 4_096_000
    for error in (ValueError, OSError):
        monkeypatch.setattr(os, "sysconf", lambda _, error=error: (_ for _ in ()).throw(error))
        assert machine.memory_of_machine() == math.inf
    monkeypatch.delattr(os, "sysconf")
    assert machine.memory_of_machine() == math.inf


@pytest.mark.parametrize(
    ("cpuinfo", "found"),
    [("flags: x\nmodel name\t: Turing 1936\n", "Turing 1936"), ("Hardware: none\n", "arm"), (None, "arm")],
)
def test_the_processor_is_known_by_its_model_or_by_what_python_says(monkeypatch, cpuinfo, found):
    def text(path, **_):
        assert path == Path("/proc/cpuinfo")
        if cpuinfo is None:
            raise FileNotFoundError(path)
        return cpuinfo

    with monkeypatch.context() as patch:
        patch.setattr(provenance.platform, "processor", lambda: "arm")
        patch.setattr(Path, "read_text", text)
        assert provenance._processor.__wrapped__() == found


def test_no_module_asks_for_what_a_system_may_lack():
    """Named in the code, these must stand behind a guard; none of them is needed."""
    root = Path(main.__code__.co_filename).parent.parent
    for package in ("llgnegf", "integrators", "textures"):
        for path in (root / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for name in ("sched_getaffinity", "import fcntl", "import resource", "signal.SIGPIPE", "os.O_CLOEXEC"):
                assert name not in text, path


PROGRAM = r"""
#include <Python.h>
#include <signal.h>
#include <unistd.h>

static void handler(int number) { (void)!write(1, "mine\n", 5); }

int main(void) {
    signal(SIGTERM, handler);
    Py_Initialize();
    int failed = PyRun_SimpleString(
        "import signal, warnings, llgnegf\n"
        "assert signal.getsignal(signal.SIGTERM) is None\n"
        "warnings.simplefilter('always')\n"
        "llgnegf.run('wall_classical', 'a.h5', until=10.0).close()\n");
    raise(SIGTERM);
    return failed ? 1 : Py_FinalizeEx() < 0;
}
"""


def test_a_program_in_c_keeps_its_signal_handler(tmp_path):
    """Python cannot give back a handler that is not Python's: it is left alone, which is said once."""
    compiler, libraries = shutil.which("cc"), sysconfig.get_config_var("LIBDIR")
    headers = Path(sysconfig.get_path("include"), "Python.h")
    name = f"python{sysconfig.get_config_var('LDVERSION')}"
    if not compiler or not headers.is_file() or not list(Path(libraries).glob(f"lib{name}.so")):
        pytest.skip("needs a C compiler and Python as a shared library")
    (tmp_path / "program.c").write_text(PROGRAM)
    build = [compiler, "program.c", f"-I{headers.parent}", f"-L{libraries}", f"-Wl,-rpath,{libraries}", f"-l{name}"]
    subprocess.run([*build, "-o", "program"], cwd=tmp_path, check=True, capture_output=True)
    paths = [ENVIRONMENT["PYTHONPATH"], *(path for path in sys.path if path.endswith("site-packages"))]
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": ""}
    done = subprocess.run(["./program"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "mine\n"
    assert done.stderr.count("SIGTERM is handled by another program") == 1


def test_a_handler_that_cannot_be_given_back_is_left_alone(monkeypatch):
    """The same in this process: what Python does with a handler that it does not know."""
    real, set_to = signal.getsignal, []
    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == signal.SIGTERM else real(number))
    monkeypatch.setattr(signal, "signal", lambda number, handler: set_to.append((number, handler)))
    with pytest.warns(RunWarning, match="SIGTERM is handled by another program"), Interrupts(None).listening():
        pass
    ignored = {signal.SIGHUP} if real(signal.SIGHUP) == signal.SIG_IGN else set()  # under nohup
    expected = {getattr(signal, name) for name in STOPPING} - {signal.SIGTERM} - ignored
    assert {number for number, _ in set_to} == expected
