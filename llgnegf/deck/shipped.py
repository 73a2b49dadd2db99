"""The decks that come with the package, found without reading more of them than their titles."""

from __future__ import annotations

import tomllib
from pathlib import Path


def shipped_decks() -> dict[str, tuple[Path, str]]:
    """Decks that come with the package: name -> (path, title), in alphabetical order."""
    package = Path(__file__).parent.parent
    packaged = package / "_decks"  # made by setup.py; a checkout has runs/ instead
    folder = packaged if packaged.is_dir() else package.parent / "runs"
    decks = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            title = tomllib.loads(path.read_text(encoding="utf-8")).get("title", "")
        except (OSError, ValueError):
            title = "(unreadable)"  # one broken file must not hide the others
        decks[path.stem] = (path, str(title))
    return decks
