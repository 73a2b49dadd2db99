"""Standard output and standard error that are lost, at the start or on the way: the run goes on and says so once."""

import io
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from llgnegf import open_run
from llgnegf.streams import Guarded
from tests.test_cli import ENVIRONMENT, LONG
from tests.test_simulation import BASE, CLASSICAL, assert_same, deck, run

COMMAND = f"{sys.executable} -m llgnegf"
NOBODY = "takes nothing"


def shell(line, folder):
    """A line of bash in `folder`; the exit code of each part of the last pipe is appended to standard output."""
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr + done.stdout
    assert "a bug" not in done.stderr + done.stdout
    return done


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.toml").write_text(CLASSICAL)
    return tmp_path


@pytest.mark.parametrize(
    ("streams", "told_in"),
    [
        ("2>/dev/full", "stdout"),
        (">/dev/full", "stderr"),
        (">/dev/full 2>&1", None),
        ("2>&-", "stdout"),
        (">&-", "stderr"),
        ("<&- >&- 2>&-", None),
    ],
)
def test_a_run_without_its_streams(folder, streams, told_in):
    done = shell(f"{COMMAND} run mine.toml {streams}", folder)
    assert done.returncode == 0
    for name in ("stdout", "stderr"):
        assert getattr(done, name).count(NOBODY) == (name == told_in)
    run(deck(CLASSICAL), folder / "whole.h5").close()
    assert_same(folder / "whole.h5", folder / "mine.h5")
    # Nothing that a library prints may end up in the run file.
    open_run(folder / "mine.h5").close()  # raises where another byte was written into it


def test_what_libraries_print_never_gets_into_the_run_file(folder):
    """Where standard error is closed, the next file to be opened would take its number."""
    (folder / "program.py").write_text(
        textwrap.dedent("""
        import os, llgnegf
        def field(t, m):
            os.write(1, b"printed")
            os.write(2, b"printed")
            return 0 * m

        llgnegf.run("mine.toml", "a.h5", field=field)
        """)
    )
    assert shell(f"{sys.executable} program.py <&- >&- 2>&-", folder).returncode == 0
    assert b"printed" not in (folder / "a.h5").read_bytes()
    with open_run(folder / "a.h5") as result:
        assert all(result.frame_ok(i) for i in range(result.n_frames))


def test_a_run_whose_reader_leaves(folder):
    (folder / "long.toml").write_text(BASE)
    words = " ".join(LONG).replace("1000", "20")
    done = shell(f"{COMMAND} run long.toml {words} 2>&1 | head -1; echo ${{PIPESTATUS[0]}}", folder)
    first, code = done.stdout.splitlines()
    assert first.startswith(("t = ", "llgnegf: compiling"))  # the latter by whoever comes first
    assert code == "0"
    with open_run(folder / "long.h5") as result:
        assert result.times[-1] == 20.0


@pytest.mark.slow
@pytest.mark.parametrize("streams", [">/dev/full 2>&1", "2>&- >&-"])
@pytest.mark.parametrize("words", ["resume mine.h5", "plot mine.h5", "new wall_classical", "schema keys.json"])
def test_other_work_without_streams(folder, words, streams):
    run(deck(CLASSICAL), folder / "mine.h5").close()
    assert shell(f"{COMMAND} {words} {streams}", folder).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("words", ["list", "check mine.toml", "show mine.h5", "schema"])
def test_an_answer_that_is_lost_is_an_error(folder, words):
    """A result that did not reach the file it was meant for must not look like one that did."""
    run(deck(CLASSICAL), folder / "mine.h5").close()
    done = shell(f"{COMMAND} {words} > /dev/full", folder)
    assert done.returncode == 74
    assert done.stderr.count(NOBODY) == 1
    # Closed on purpose: the exit code is what is asked for.
    assert shell(f"{COMMAND} {words} >&-", folder).returncode == 0
    # A reader that has seen enough is no error.
    done = shell(f"{COMMAND} {words} | true; echo ${{PIPESTATUS[0]}}", folder)
    assert done.stdout.strip() in ("0", str(128 + signal.SIGPIPE))
    assert done.stderr == ""


def test_notes_never_end_up_in_an_answer(folder):
    """`compare --json` without standard error is still JSON, and `check` a page that begins as ever."""
    done = shell(f"{COMMAND} check mine.toml 2>&-", folder)
    assert done.returncode == 0
    assert NOBODY not in done.stdout


def test_mistakes_are_judged_without_streams(folder):
    assert shell(f"{COMMAND} run mine.toml --set magnet.dampin=1 >&- 2>&-", folder).returncode == 2
    assert shell(f"{COMMAND} show none.h5 2>/dev/full", folder).returncode == 74
    assert shell(f"{COMMAND} --help >/dev/full", folder).returncode == 0


def test_progress_of_a_program_without_standard_error(folder):
    """From Python too; and a program's own standard error is as it was afterwards."""
    (folder / "program.py").write_text(
        textwrap.dedent("""
        import sys, llgnegf
        before = sys.stderr
        llgnegf.run("mine.toml", "a.h5", progress=True).close()
        assert sys.stderr is before
        print("done")
        """)
    )
    for streams in ("2>/dev/full", "2>&-"):
        (folder / "a.h5").unlink(missing_ok=True)
        for file in folder.glob("a.h5.ckpt*"):
            file.unlink()
        assert shell(f"{sys.executable} program.py {streams}", folder).stdout == "done\n"


def test_an_encoding_without_the_characters(tmp_path):
    """A folder whose name is no UTF-8 and a title in Greek, on a terminal that knows ASCII alone."""
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.toml").write_text('title = "\u03b1"\n' + CLASSICAL, encoding="utf-8")
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii:strict"}
    for words in (["run", f"{name}/mine.toml", "-o", f"{name}/a.h5"], ["show", f"{name}/a.h5"]):
        done = subprocess.run(
            [sys.executable, "-m", "llgnegf", *words], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert rb"caf\udce9/a.h5" in done.stdout
    assert rb"\u03b1" in done.stdout


class Failing(io.StringIO):
    encoding = "ascii"

    def __init__(self, errors):
        super().__init__()
        self.errors_to_come = errors

    def write(self, text):
        if self.errors_to_come:
            raise self.errors_to_come.pop()
        return super().write(text)


def test_a_guarded_stream():
    good = Failing([])
    guard = Guarded(good)
    assert guard.write("a \N{GREEK SMALL LETTER ALPHA}") == 3
    assert good.getvalue() == r"a \u03b1"
    assert guard.lost is None
    bad = Failing([OSError(28, "No space left on device")])
    guard = Guarded(bad)
    assert guard.write("lost") == 4
    assert (guard.why, guard.isatty()) == ("No space left on device", False)
    guard.write("lost, too, rather than half a line")
    guard.flush()
    assert bad.getvalue() == ""
    closed = io.StringIO()
    closed.close()
    assert not Guarded(closed).isatty()
    Guarded(closed).write("x")
    assert Guarded(Guarded(None)).write("x") == 1
    with pytest.raises(ZeroDivisionError):  # anything else is not a lost stream
        Guarded(Failing([ZeroDivisionError()])).write("x")
