"""What README and docs/ say is what there is: links, keys, decks, commands and Python run as they are written."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import llgnegf
from llgnegf.arguments import Parser
from llgnegf.cli import _parser
from llgnegf.deck import parse_deck
from llgnegf.deck.table import kinds_of
from llgnegf.deck.tables import METHOD_TABLES, Gate, Root, method_table, rule_of, table_of
from tests.test_cli import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "runs" / "README.md", *(ROOT / "docs").glob("*.md")]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DECKS = (ROOT / "docs" / "decks.md").read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in targets if not (page.parent / link).exists()] == []
    assert not re.search(r"<[a-z ]*(repository|url)[a-z ]*>|example\.(com|org)|TODO", text, flags=re.I)


def test_every_page_is_linked_from_the_readme():
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in README] == []


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
    (text,) = blocks(ROOT / "README.md", "toml")
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
    parser = _parser()
    words = shlex.split(line.replace(" or --continue", "").replace("...", "").replace("[", " ").replace("]", " "))[1:]
    command = next(word for word in words if not word.startswith("-"))
    assert isinstance(parser.commands[command], Parser)
    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert options <= set(parser.commands[command].option_names)


def test_the_page_of_python_names_every_door():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in llgnegf.__all__ if not re.search(rf"\b{name}\b", page)] == []


@pytest.mark.parametrize("page", ["README.md", "docs/python.md", "docs/units.md"])
def test_python_runs_as_it_is_written(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codes = blocks(Path(ROOT) / page, "python")
    assert codes
    for code in codes:
        names = {}
        exec(compile(code, page, "exec"), names)
        if "lattice" in names:  # shapes that the comments tell
            m, mdot, gates = names["m"], names["mdot"], (names["potential"], names["rate"])
            assert [flow.shape for flow in names["lattice"].lead_currents(m, mdot, *gates)] == [(2,), (2, 3)]
            assert names["lattice"].currents(m, mdot, *gates).charge["surface"].shape == (7, 4)
