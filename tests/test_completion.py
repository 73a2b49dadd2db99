"""Completion in the shell: what may come next, without running anything, and without a cost where no shell asks."""

import os
import shutil
import subprocess
import sys

import pytest

from llgnegf import run
from llgnegf.deck import load_deck, parse_deck, shipped_decks
from llgnegf.deck.messages import all_keys
from llgnegf.deck.rules import NumberOrTable
from llgnegf.deck.tables import rule_of, table_of
from tests.test_cli import ENVIRONMENT

pytest.importorskip("argcomplete")


@pytest.fixture
def folder(tmp_path):
    for name in ("mine.toml", "wall.h5", "notes.txt"):
        (tmp_path / name).touch()
    return tmp_path


def completed(folder, line, code="import sys; from llgnegf.cli import main; sys.exit(main())"):
    """(exit code, the words that argcomplete offers, all that was printed) where `line` has been typed so far."""
    answer = folder / "answer"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=ENVIRONMENT | asked, capture_output=True, text=True, check=False
    )
    words = answer.read_text().split("\n") if answer.exists() else None
    answer.unlink(missing_ok=True)
    return done.returncode, words, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "there", "absent"),
    [
        ("llgnegf ", ["run", "show", "doctor"], ["wall.h5", "--debug"]),
        ("llgnegf re", ["resume", "reproduce"], ["run"]),
        ("llgnegf show ", ["wall.h5"], ["mine.toml", "notes.txt", "wall_in_wire"]),
        ("llgnegf run ", ["mine.toml", "wall_in_wire"], ["wall.h5", "notes.txt"]),
        ("llgnegf new wall_", ["wall_in_wire", "wall_classical"], ["precessing_wall"]),
        ("llgnegf run mine.toml --set magnet.d", ["magnet.damping=", "magnet.dmi_kind="], ["magnet.spin="]),
        ("llgnegf check --s", ["--set"], []),
        ("llgnegf units --dmi-kind ", ["bulk", "interfacial"], []),
    ],
)
def test_what_may_come_next(folder, line, there, absent):
    code, words, printed = completed(folder, line)
    assert (code, printed) == (0, "")
    assert set(there) <= set(words)
    assert not set(absent) & set(words)
    assert sorted(path.name for path in folder.iterdir()) == ["mine.toml", "notes.txt", "wall.h5"]


def test_variables_are_those_of_the_run_file(folder):
    run(load_deck("macrospin_in_wire", run__duration=0), folder / "wall.h5", overwrite=True).close()
    _, words, _ = completed(folder, "llgnegf plot wall.h5 --variable energy_")
    assert set(words) > {"energy_exchange", "energy_classical"}
    assert all(word.startswith("energy_") for word in words)
    for name in ("mine.toml", "none.h5"):
        assert "moment" not in completed(folder, f"llgnegf plot {name} --variable ")[1]


def test_every_key_that_is_offered_is_one_and_every_key_is_offered():
    """Of all tables that shipped decks have, and of the textures."""
    offered = set(all_keys())

    def keys(table, prefix):
        for name, field in type(table).model_fields.items():
            value, inner = getattr(table, name), table_of(field, {"kind": getattr(getattr(table, name), "kind", None)})
            if inner[0] is None or isinstance(rule_of(field), NumberOrTable):
                yield f"{prefix}{name}"
            elif isinstance(value, tuple) and value:
                yield from keys(value[0], f"{prefix}{name}.0.")
            elif value is not None and not isinstance(value, tuple) and (name != "profile"):
                yield from keys(value, f"{prefix}{name}.")

    said = set()
    for name in shipped_decks():
        deck = load_deck(name)
        for table in ("units", "lattice", "texture", "magnet", "electrons", "motion", "integrator", "run"):
            if getattr(deck, table) is not None:
                said |= set(keys(getattr(deck, table), f"{table}."))
    assert len(said) > 50
    assert said <= offered
    deck = load_deck("wall_in_wire")
    for key in ("title", "magnet.damping", "electrons.lead.0.coupling", "lattice.periodic", "electrons.disorder.seed"):
        assert key in offered
        parse_deck(deck.text, overrides={key: {"title": "a", "lattice.periodic": False}.get(key, 1)})


def test_a_shell_completes(folder):
    """bash with the function that argcomplete defines; the command by its module."""
    register = os.path.join(os.path.dirname(sys.executable), "register-python-argcomplete")
    if shutil.which("bash") is None or not os.path.exists(register):
        pytest.skip("no bash here")
    script = f"""
eval "$({register} llgnegf)"
llgnegf() {{ {sys.executable} -m llgnegf "$@"; }}
COMP_LINE="llgnegf sho"; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9; COMP_WORDS=(llgnegf sho); COMP_CWORD=1
_python_argcomplete llgnegf
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["show"], done.stderr


def test_without_argcomplete_nothing_is_said_and_nothing_is_run(folder):
    code = "import sys; sys.modules['argcomplete'] = None; from llgnegf.cli import main; sys.exit(main(['list']))"
    assert completed(folder, "llgnegf list ", code) == (1, None, "")


def test_no_shell_asks_nothing_is_loaded(folder):
    code = "import sys; from llgnegf.cli import main; main(['list']); print('argcomplete' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "False"
