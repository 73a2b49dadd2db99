"""Docstrings for Sphinx: they are prose in plain Markdown, which is made into reStructuredText here.

Our docstrings are neither NumPy's nor Google's style: sentences, arguments as lines that begin with their name and a
colon, equations as indented blocks, code in single backticks.  numpydoc and napoleon would read none of that as meant,
and reStructuredText alone would take `c^+`, `|m|` or `x_` for markup.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Collection
from typing import Any

_CODE = re.compile(r"(`[^`\n]+`)")
_BOLD = re.compile(r"(\*\*[^*\n]+\*\*)")
_SPECIAL = re.compile(r"([\\*|_])")
_ARGUMENTS = re.compile(r"([A-Za-z_]\w*(?:, [A-Za-z_]\w*)*): ")
_SENTENCES = re.compile(r"(Raises|Returns|Arguments) ")


def inline(text: str) -> str:
    """Prose with code in single backticks and **bold** as reStructuredText; all other marks are taken literally."""
    parts = []
    for piece in _CODE.split(text):
        if _CODE.fullmatch(piece):
            parts.append(f"`{piece}`")
        else:
            parts += [word if _BOLD.fullmatch(word) else _SPECIAL.sub(r"\\\1", word) for word in _BOLD.split(piece)]
    return "".join(parts)


def restructured(text: str, arguments: Collection[str] = ()) -> list[str]:
    """A docstring as lines of reStructuredText.

    arguments: names of the arguments or fields; lines that begin with such names and a colon become items of a list.
    Blocks that are indented after an empty line stay as they are, as code.
    """
    blocks = re.split(r"\n[ ]*\n", inspect.cleandoc(text))
    lines: list[str] = []
    for block in blocks:
        if block.startswith((" ", "\t")):
            lines += ["::", "", *textwrap.indent(textwrap.dedent(block), "    ").splitlines(), ""]
        else:
            lines += _paragraphs(block, arguments)
    return lines


def _paragraphs(block: str, arguments: Collection[str]) -> list[str]:
    lines: list[str] = []
    in_item = False
    for line in block.splitlines():
        stripped = line.strip()
        named = _ARGUMENTS.match(stripped)
        begins_item = stripped.startswith("* ")
        if named and not line.startswith(" ") and set(named[1].split(", ")) <= set(arguments):
            lines += ["", f"* **{inline(named[1])}**: {inline(stripped[named.end() :])}"]
            in_item = True
        elif begins_item:
            lines += ["", "* " + inline(stripped[2:])]
            in_item = True
        elif in_item and _SENTENCES.match(stripped):
            lines += ["", inline(stripped)]
            in_item = False
        else:
            lines.append(("  " if in_item else "") + inline(stripped))
    return [*lines, ""]


def _names(thing: Any) -> set[str]:
    """The arguments of a function or a class."""
    try:
        return set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return set()


def _docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = restructured("\n".join(lines), _names(thing))


def _signature(app: Any, what: str, name: str, thing: Any, options: Any, signature: Any, returns: Any) -> Any:
    """The signature as it is written in the source, without the modules of its types."""
    if signature is None:
        return None
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    parameters = [one for one in found.parameters.values() if one.name != "self"]
    shown = str(found.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    result = found.return_annotation
    quotes = re.compile(r"(?<=: )'([^']*)'")
    return quotes.sub(r"\1", shown), result if isinstance(result, str) else None


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True}
