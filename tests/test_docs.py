"""What README and docs/ say is what there is: links, keys, decks, commands and Python run as they are written."""

import re
import shlex
import tomllib

import pytest

import llgnegf
from llgnegf.arguments import Parser
from llgnegf.cli import main
from llgnegf.deck import parse_deck
from llgnegf.deck.table import kinds_of
from llgnegf.deck.tables import METHOD_TABLES, Gate, Root, method_table, rule_of, table_of
from llgnegf.options import command_line
from tests.test_cli import ROOT

DOCS = sorted(page for page in (ROOT / "docs").rglob("*.md") if "generated" not in page.parts)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "runs" / "README.md", *DOCS]
DECKS = (ROOT / "docs" / "decks.md").read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in targets if not (page.parent / link).exists()] == []
    assert not re.search(r"<[a-z ]*(repository|url)[a-z ]*>|example\.(com|org)|TODO", text, flags=re.I)


def test_every_page_is_linked_from_the_index_and_that_from_the_readme():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    names = [page.relative_to(ROOT / "docs").as_posix() for page in DOCS if page.name != "index.md"]
    assert [name for name in names if f"({name})" not in index] == []
    assert "(docs/index.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def keys_of(table, prefix=""):
    """Dotted names of the keys of a table and of the tables in it; textures have a list of their own."""
    for name, key in table.model_fields.items():
        inside, _ = table_of(key, None)
        if name == "texture":
            yield from ("texture.kind", "texture.relax")
        elif inside is not None:
            if rule_of(key) is not None:  # a value or a table
                yield prefix + name
            yield from keys_of(inside, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_the_page_of_decks_has_every_key_and_no_other():
    section = DECKS[DECKS.index("## All keys") : DECKS.index("## Textures")]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    tables = [(name, table) for name, table in METHOD_TABLES.items() if table is not None]
    methods = [key for name, table in tables for key in keys_of(table, f"{method_table(name)}.")]
    assert sorted(named) == sorted([*keys_of(Root), *methods])


def test_the_page_of_decks_has_every_texture_with_its_keys():
    agrees_with(DECKS[DECKS.index("## Textures") : DECKS.index("## Profiles")], Root.TEXTURES)


def test_the_page_of_decks_has_every_profile_with_its_keys():
    agrees_with(DECKS[DECKS.index("## Profiles") :], kinds_of(Gate.model_fields["profile"]))


def agrees_with(section, kinds):
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    told = {kind: row[1] for row in rows for kind in re.findall(r"`([^`]+)`", row[0])}
    assert list(told) == list(kinds)
    for kind, table in kinds.items():
        for key in set(table.model_fields) - {"kind", "relax"}:
            assert f"`{key}`" in told[kind], (kind, key)


def test_decks_are_valid():
    (text,) = blocks(ROOT / "docs" / "start.md", "toml")
    assert parse_deck(text).n_steps == 400
    for line in re.findall(r"^# \[\[(\S+)\]\] (.*?): ", text, flags=re.M):
        gate = "[[" + line[0] + "]]\n" + re.sub(r", (?=[a-z]+ =)", "\n", line[1])
        assert tomllib.loads(gate)
        assert parse_deck(f"{text}\n{gate}").electrons.gate


def commands():
    """(page, words) of every command `llgnegf ...` in code, names in capitals left out."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for code in re.findall(r"`(llgnegf [^`]+)`", text) + [
            line for b in blocks(page, "sh") for line in b.splitlines()
        ]:
            for part in code.partition(" #")[0].split("&&"):
                if part.strip().startswith("llgnegf ") and "llgnegf NAME" not in part:
                    yield page.name, part.strip()


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_commands_and_options_are_there(page, line):
    parser = command_line()
    words = shlex.split(line.replace(" or --continue", "").replace("...", "").replace("[", " ").replace("]", " "))[1:]
    command = next(word for word in words if not word.startswith("-"))
    assert isinstance(parser.commands[command], Parser)
    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert options <= set(parser.commands[command].option_names)


def test_the_page_of_python_names_every_door():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in llgnegf.__all__ if not re.search(rf"\b{name}\b", page)] == []


WITH_PYTHON = [page.relative_to(ROOT).as_posix() for page in PAGES if blocks(page, "python")]
SWEEPS = "docs/sweeps.md"  # its Python needs the runs of its command


def python_blocks(page):
    """(code, what it prints) of every block of Python; what it prints stands in a block of text right behind it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", text, flags=re.S | re.M)


@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if page != SWEEPS])
def test_python_runs_as_it_is_written_and_prints_what_is_told(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for code, told in python_blocks(page):
        names = {}
        exec(compile(code, page, "exec"), names)
        assert capsys.readouterr().out == told
        if page == "docs/python.md" and "lattice" in names:  # shapes that the comments tell
            m, mdot, gates = names["m"], names["mdot"], (names["potential"], names["rate"])
            assert [flow.shape for flow in names["lattice"].lead_currents(m, mdot, *gates)] == [(2,), (2, 3)]
            assert names["lattice"].currents(m, mdot, *gates).charge["surface"].shape == (7, 4)


@pytest.mark.slow
def test_the_page_of_sweeps_reads_the_runs_of_its_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep, ensemble, *_ = blocks(ROOT / SWEEPS, "sh")
    assert main([*shlex.split(sweep)[1:], "--set", "run.duration=1.0"]) == 0
    command, picture = (shlex.split(line)[1:] for line in ensemble.splitlines())
    command[command.index("100")] = "2"
    assert main([*command, "--set", "run.duration=2.0"]) == 0
    assert main(picture) == 0
    names = {}
    for code, _ in python_blocks(SWEEPS):
        exec(compile(code, SWEEPS, "exec"), names)
    assert names["table"]["current_charge_right_mean"].shape == (5, 2)
    assert names["variance"].shape == names["time"].shape == (3,)


# What messages say of a single run: numbers, keys, values.
OF_A_RUN = r"\.\.\.|\[?-?\d[\d.e-]*\]?|electrons\.lead|integrator\.step = |: unknown key; |WARNING|rk4|[{}]"


def test_messages_on_the_page_of_pitfalls_are_those_of_the_package():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "llgnegf").rglob("*.py")]
    source = re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))  # strings over several lines
    page = re.sub(r"\\([][])", r"\1", (ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8"))
    messages = re.findall(r'"([^"|]{20,})"', page)
    assert len(messages) > 10
    for message in messages:
        parts = re.split(OF_A_RUN, message)
        assert [part for part in parts if len(part.strip()) > 8 and part.strip(" .,;:}=") not in source] == [], message


def agree(told, printed):
    """Whether a line is that of a page: the same words, and numbers within a per cent, or rounding errors."""
    told, printed = re.split(r"[ (),]+", told.strip()), re.split(r"[ (),]+", printed.strip())
    return len(told) == len(printed) and all(map(alike, told, printed))


def alike(told, printed):
    try:
        return float(printed) == pytest.approx(float(told), rel=1e-2, abs=1e-11)
    except ValueError:
        return told == printed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["precessing_wall", "current_driven_wall"])
def test_commands_print_what_their_page_tells(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "howto" / f"{name}.md"
    commands, *_ = blocks(page, "sh")
    for line in commands.splitlines():
        assert main(shlex.split(line, comments=True)[1:]) == 0
    printed = capsys.readouterr().out.splitlines()
    told = [line for block in blocks(page, "text") for line in block.splitlines()]
    assert told
    assert [line for line in told if not any(agree(line, other) for other in printed)] == []
