"""Links of a page that lead out of docs/: to the page of the site that holds that file, or to its name alone."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GENERATED = DOCS / "generated"
# Files outside docs/ that are pages of the site, by the name of the page.
PAGES = {
    "README.md": "readme",
    "runs/README.md": "shipped_decks",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def rewritten(text: str, origin: Path, page: Path) -> str:
    """Markdown of the file `origin` with links as the page `page` of the site needs them."""

    def one(link: re.Match[str]) -> str:
        picture, words, target, anchor = link[1], link[2], link[3], link[4] or ""
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = Path(os.path.normpath(origin.parent / target))
        outside = path.relative_to(ROOT).as_posix()
        if outside in PAGES:
            path = GENERATED / f"{PAGES[outside]}.md"
        elif not picture and (path.suffix != ".md" or not path.is_relative_to(DOCS)):
            return words if words.strip("`") == outside else f"{words} (`{outside}`)"
        return f"{picture}[{words}]({Path(os.path.relpath(path, page.parent)).as_posix()}{anchor})"

    return _LINK.sub(one, text)


def _source_read(app: Any, docname: str, content: list[str]) -> None:
    page = DOCS / f"{docname}.md"
    if page.exists() and not page.is_relative_to(GENERATED):
        content[0] = rewritten(content[0], page, page)


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", _source_read)
    return {"parallel_read_safe": True}
