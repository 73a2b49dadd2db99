"""The documentation as a site: `sphinx-build -W -b html docs OUT`, after `pip install ".[docs]"`.

Pages are Markdown, readable as they are; docs/generated/ is written anew by every build, from the code.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "extensions"))

from llgnegf import __version__

project = "llgnegf"
author = "The llgnegf developers"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "prose_docstrings",
    "mathml",
    "mermaid",
    "outside_links",
    "generated_pages",
]
exclude_patterns = ["extensions", "structure.py"]

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math", "mermaid"]  # GitHub shows ```math as an equation and draws ```mermaid, too
myst_heading_anchors = 3

highlight_language = "text"  # of blocks that name none: equations in docstrings
autodoc_member_order = "bysource"
add_module_names = False

html_theme = "alabaster"
html_math_renderer = "mathml"
html_theme_options = {
    "description": "Classical magnetisation and quantum transport that move together",
    "fixed_sidebar": True,
    "page_width": "1200px",
    "sidebar_width": "260px",
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
