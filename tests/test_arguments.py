"""Slips on the command line: the message says what was meant, below the usage of the command it belongs to."""

import json
import subprocess
import sys
import tomllib

import jsonschema
import pytest

from llgnegf.arguments import COMMANDS
from llgnegf.cli import main
from llgnegf.deck import shipped_decks
from llgnegf.deck.schema import deck_schema
from llgnegf.options import command_line
from tests.test_cli import answer
from tests.test_simulation import CLASSICAL


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """told(*words) -> (exit code, standard output, lines of standard error), beside mine.toml and its run mine.h5."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(CLASSICAL)
    (tmp_path / "mine.h5").write_bytes(b"\x89HDF\r\n\x1a\n")

    def call(*words):
        code, out, err = answer(words, capsys)
        assert {path.name for path in tmp_path.iterdir()} <= {"mine.toml", "mine.h5", "s.json"}
        assert (tmp_path / "mine.toml").read_text() == CLASSICAL
        return code, out, err.splitlines()

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        # Commands.
        (("rnu", "mine.toml"), "'rnu' is no command: did you mean `llgnegf run`?"),
        (("Resum", "mine.h5"), "'Resum' is no command: did you mean `llgnegf resume`?"),
        (("--debug", "shw", "mine.h5"), "'shw' is no command: did you mean `llgnegf show`?"),
        (("restart", "mine.h5"), "'restart' is no command: did you mean `llgnegf resume`?"),
        (("contineu", "mine.h5"), "'contineu' is no command: did you mean `llgnegf resume`?"),
        (("mine.toml",), "'mine.toml' is no command: did you mean `llgnegf run mine.toml`?"),
        (("wall_classical",), "'wall_classical' is no command: did you mean `llgnegf run wall_classical`?"),
        (("mine.h5",), "'mine.h5' is no command: did you mean `llgnegf show mine.h5` or `llgnegf resume mine.h5`?"),
        (("xyzzy",), "'xyzzy' is no command: the commands are list, new, check, run"),
        ((), "the following arguments are required: COMMAND"),
        # Options.
        (("run", "mine.toml", "--untill", "5"), "--untill is no option of `llgnegf run`; did you mean --until?"),
        (("run", "--untill", "5"), "--untill is no option of `llgnegf run`; did you mean --until?"),
        (("run", "mine.toml", "--wall-time=5"), "--wall-time is no option of `llgnegf run`; did you mean --walltime?"),
        (("run", "mine.toml", "-set", "a.b=1"), "-set is no option of `llgnegf run`; did you mean --set?"),
        (("compare", "mine.h5", "--jsn"), "--jsn is no option of `llgnegf compare`; did you mean --json?"),
        (("resume", "mine.h5", "--overwrite"), "is no option of `llgnegf resume`; it belongs to `llgnegf run`"),
        (("list", "--foo"), "--foo is no option of `llgnegf list`; its options are --help, --debug"),
        (("run", "mine.toml", "more.toml"), "unexpected argument 'more.toml'"),
        # Keys of the deck taken for options.
        (("run", "mine.toml", "--duration", "10"), "a key of the deck is changed by --set run.duration=10"),
        (("check", "mine.toml", "--dt=0.1"), "a key of the deck is changed by --set integrator.step=0.1"),
        (("run", "mine.toml", "--alpha"), "a key of the deck is changed by --set magnet.damping=VALUE"),
        (("run", "mine.toml", "--B", "[0,0,1]"), "a key of the deck is changed by --set 'magnet.field=[0,0,1]'"),
        (("run", "mine.toml", "--bias", "0.1"), "a key of the deck is changed by --set electrons.lead.0.voltage=0.1"),
        (("run", "mine.toml", "--fermi-energy", "1"), "a key of the deck is changed by --set electrons.fermi_energy=1"),
        (("run", "mine.toml", "--magnet.damping=1"), "a key of the deck is changed by --set magnet.damping=1"),
        (("run", "mine.toml", "magnet.damping=1"), "'magnet.damping=1' stands alone: write --set magnet.damping=1"),
        (("run", "mine.toml", "alpha=1"), "'alpha=1' stands alone: write --set magnet.damping=1"),
        (("run", "mine.toml", "--set", "a.b", "1"), "--set takes KEY=VALUE as one word: --set a.b=1"),
        (("run", "mine.toml", "--set", "a.b", "=", "1"), "--set takes KEY=VALUE as one word: --set a.b=1"),
        (("show", "mine.h5", "--duration"), "is no option of `llgnegf show`; its options are --help, --debug"),
        # Values.
        (("run", "mine.toml", "--until", "never"), "argument --until: 'never' is not a time: give a number >= 0"),
        (("run", "mine.toml", "--walltime"), "argument --walltime: expected one argument"),
        # Files of another kind.
        (("resume", "mine.toml"), "is a deck, not a run file: `llgnegf run mine.toml` runs it; its run file may be"),
        (("show", "other.toml"), "other.toml is a deck, not a run file: `llgnegf run other.toml` runs it"),
        (("compare", "wall_classical"), "is a shipped deck, not a run file: `llgnegf run wall_classical` runs it"),
        (("plot", "mine.h5.ckpt"), "mine.h5.ckpt is a checkpoint; name its run file: mine.h5"),
        (("resume", "a/mine.h5.ckpt.2"), "a/mine.h5.ckpt.2 is a checkpoint; name its run file: a/mine.h5"),
        (("show", "mine"), "mine: no such file; did you mean mine.h5?"),
        (("run", "mine.toml", "-o", "mine.toml", "--overwrite"), "mine.toml is there and is not a run file: give"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_slips_are_told_below_the_usage_of_their_command(told, words, message):
    code, out, err = told(*words)
    assert (code, out) == (2, "")
    assert err[-1].startswith("llgnegf: ")
    assert message in err[-1]
    command = next((word for word in words if word in command_line().commands), None)
    assert err[0].startswith(f"usage: llgnegf {command} [-h]" if command else "usage: llgnegf [-h]")


@pytest.mark.parametrize("verb", ["run", "check", "new"])
def test_a_run_file_given_for_a_deck_names_the_commands_for_it(told, verb):
    code, out, err = told(verb, "mine.h5")
    assert (code, out) == (2, "")
    assert "mine.h5: is a run file, not a deck; `llgnegf resume mine.h5` continues it, `llgnegf show mine.h5`" in err[0]


@pytest.mark.parametrize("text", ["x" * 300, "x" * 300 + ".h5", "a\nb", "no/such/mine.h5", "mine.h5/x"])
def test_a_path_that_cannot_be_is_told_in_a_line(told, text):
    code, out, err = told("show", text)
    assert (code, out) == (74, "")
    assert "no such file" in " ".join(err) or "cannot look at the file: " in err[-1]


def test_other_names_lead_to_commands_that_there_are():
    commands = command_line().commands
    assert set(COMMANDS.values()) <= set(commands)
    assert not set(COMMANDS) & set(commands)


@pytest.mark.parametrize("words", [("help",), ("--help",), ("-h",)])
def test_help_lists_the_commands(told, words):
    code, out, err = told(*words)
    assert (code, err) == (0, [])
    assert {line.split()[0] for line in out.splitlines() if line.startswith("    ")} >= set(command_line().commands)


def test_help_of_a_command(told):
    assert told("help", "run") == told("run", "--help")
    code, out, _ = told("help", "run")
    assert code == 0
    assert out.startswith("usage: llgnegf run")
    assert "1-00:00:00" in out
    assert told("help", "rnu")[0] == 2


@pytest.mark.parametrize("words", [("--debug", "show", "none.h5"), ("show", "none.h5", "--debug")])
def test_debug_stands_before_or_after_the_command(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="no such file"):
        main(words)


# --- the schema of decks ----------------------------------------------------------------------------------------------


def test_schema_is_written_for_editors(told, tmp_path):
    code, out, err = told("schema")
    assert (code, err) == (0, [])
    assert json.loads(out) == deck_schema()
    code, out, err = told("schema", "s.json")
    assert (code, err) == (0, [])
    assert out.splitlines()[-1] == "#:schema ./s.json"
    schema = json.loads((tmp_path / "s.json").read_text())
    jsonschema.validate(tomllib.loads(CLASSICAL), schema)
    code, out, err = told("schema", "s.json")
    assert (code, out) == (2, "")
    assert "s.json is there already" in err[0]
    assert told("schema", "no/such/s.json")[0] == 74


def test_the_command_as_a_process_tells_slips_in_two_lines(tmp_path):
    line = [sys.executable, "-m", "llgnegf", "rnu", next(iter(shipped_decks()))]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[1] == "llgnegf: 'rnu' is no command: did you mean `llgnegf run`?"
