"""The directive `mermaid`: a flowchart as SVG on the site, as its text elsewhere (`flowchart`)."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from flowchart import svg
from sphinx.util.docutils import SphinxDirective


class Mermaid(SphinxDirective):
    has_content = True

    def run(self) -> list[nodes.Node]:
        text = "\n".join(self.content)
        try:
            picture = svg(text)
        except ValueError as error:
            raise self.error(f"mermaid: {error}") from None
        node = nodes.raw("", f'<div class="chart">{picture}</div>\n', format="html")
        only_text = nodes.literal_block(text, text)
        if self.env.app.builder.format == "html":
            return [node]
        return [only_text]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("mermaid", Mermaid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
