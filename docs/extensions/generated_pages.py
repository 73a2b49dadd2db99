"""Pages that are written anew for every build of the site, from the code: keys, variables, commands, shipped decks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from deck_reference import deck_reference
from outside_links import GENERATED, PAGES, ROOT, rewritten

from llgnegf import build, observables
from llgnegf.options import command_line


def variables() -> str:
    """Every variable of a run file, from the tables that write them."""
    tables = {
        "Every run": observables.MOMENTS + observables.ENERGIES + observables.TEXTURE,
        **{f'`electrons.method = "{name}"`': method.variables for name, method in build.METHODS.items()},
    }
    text = """# Variables of a run file

Made from the table of variables (`llgnegf/observables.py`, `llgnegf/variables/`). A run has those that mean something
for its deck; `llgnegf show RUN.h5` and `llgnegf.open_run(path).names` tell which. "energy" stands for `units.energy`,
"site" for the axes x, or x and y. Signs are on the page of [units and signs](../conventions.md).
"""
    for title, table in tables.items():
        text += f"\n## {title}\n\n| name | dimensions | unit | meaning |\n|---|---|---|---|\n"
        seen = set()
        for one in table:
            row = f"| `{one.name}` | {', '.join(one.dims)} | {_cell(one.unit)} | {_cell(one.meaning)} |\n"
            text += "" if row in seen else row
            seen.add(row)
    return text


def commands() -> str:
    """Every command with its options, as `--help` prints them."""
    parser = command_line()
    text = "# Commands\n\nWhat `llgnegf COMMAND --help` prints; exit codes are explained in [running](../running.md).\n"
    for name, command in parser.commands.items():
        text += f"\n## {name}\n\n```text\n{command.format_help().strip()}\n```\n"
    return text


def decks() -> str:
    """The page of runs/ with the text of every deck behind it."""
    text = copy_of("runs/README.md")
    text += "\n# Text of the decks\n"
    for path in sorted((ROOT / "runs").glob("*.toml")):
        text += f"\n## {path.stem}\n\n```toml\n{path.read_text(encoding='utf-8').strip()}\n```\n"
    return text


def copy_of(name: str) -> str:
    """A Markdown file outside docs/ as a page of the site."""
    return rewritten((ROOT / name).read_text(encoding="utf-8"), ROOT / name, GENERATED / f"{PAGES[name]}.md")


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


WRITERS: dict[str, Callable[[], str]] = {
    "deck_reference": deck_reference,
    "variables": variables,
    "commands": commands,
    "shipped_decks": decks,
    "readme": lambda: copy_of("README.md"),
    "contributing": lambda: copy_of("CONTRIBUTING.md"),
    "changelog": lambda: copy_of("CHANGELOG.md"),
}


def write(folder: Path) -> None:
    """All pages into this folder; files that would not change are not touched, nor built again."""
    folder.mkdir(exist_ok=True)
    for name, writer in WRITERS.items():
        path, text = folder / f"{name}.md", writer()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", lambda app: write(GENERATED))
    return {"parallel_read_safe": True}
