"""The site of docs/: pages that are made from the code say all of it, docstrings become what they mean."""

import html
import itertools
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

import llgnegf
from llgnegf import build, observables
from llgnegf.deck import shipped_decks
from llgnegf.deck.profiles import Chirp
from llgnegf.deck.table import Table, kinds_of
from llgnegf.deck.tables import Gate, Root, root
from llgnegf.options import command_line
from tests.test_cli import ROOT
from tests.test_docs import keys_of

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site():
    """The modules of docs/extensions that need no Sphinx, by name."""
    sys.path.insert(0, str(DOCS / "extensions"))
    import deck_reference
    import flowchart
    import generated_pages
    import outside_links
    import prose_docstrings

    found = deck_reference, flowchart, generated_pages, outside_links, prose_docstrings
    yield {one.__name__: one for one in found}
    sys.path.remove(str(DOCS / "extensions"))


def rows(page, heading):
    """{first cell without its backticks: all cells} of the table under a heading."""
    section = re.split(r"\n#+ ", page.split(f"# {heading}\n")[1])[0]
    cells = [re.split(r"(?<!\\) \| ", row.strip("| \n")) for row in section.splitlines() if row.startswith("| `")]
    return {row[0].strip("`"): row for row in cells}


def test_the_deck_reference_has_every_key_with_its_default(site):
    page = site["deck_reference"].deck_reference()
    tables = dict.fromkeys(re.findall(r"^## `\[+([\w.]+)\]+`", page, flags=re.M))
    named = {f"{table}.{key}" for table in tables for key in rows(page, re.search(rf"## (`\[+{table}\]+`)", page)[1])}
    asked = {key for key in keys_of(root()) if not key.startswith("texture.")} - {"title"}
    assert named == asked
    assert "electrons.gate.profile" in named
    assert rows(page, "`[electrons]`")["sd_exchange"][2] == "required"
    assert rows(page, "`[electrons]`")["tolerance"][1:5] == ["number", "`1e-06`", "a number from 1e-12 to 0.1", "none"]
    assert rows(page, "`[magnet]`")["field"][4] == "energy"
    assert rows(page, "`[integrator]`")["step"][4] == "hbar/energy"
    assert rows(page, "`[electrons]`")["fermi_energy"][5] == "Fermi energy E_F"


@pytest.mark.parametrize("kinds", [Root.TEXTURES, kinds_of(Gate.model_fields["profile"])], ids=["textures", "profiles"])
def test_the_deck_reference_has_every_kind_with_its_keys(site, kinds):
    page = site["deck_reference"].deck_reference()
    page = page[: page.index("## Profiles")] if kinds is Root.TEXTURES else page[page.index("## Profiles") :]
    for kind, table in kinds.items():
        keys = set(table.model_fields) - {"kind"}
        assert f'### `kind = "{kind}"`' in page
        assert not keys or set(rows(page, f'`kind = "{kind}"`')) == keys


def test_a_number_without_a_unit_is_told_by_its_name(site):
    reference = site["deck_reference"]
    assert reference.unit_of("chirp.from", Chirp.model_fields["from"]) == "energy/hbar"
    with pytest.raises(KeyError, match=r"new\.key: a number without a unit; add one to UNITS"):
        reference.unit_of("new.key", Chirp.model_fields["to"])


def test_no_unit_belongs_to_a_key_that_is_not_there(site):
    def names(table: type[Table], prefix: str) -> set[str]:
        return {f"{prefix}.{name}" for name in table.model_fields}

    kinds = Root.TEXTURES | kinds_of(Gate.model_fields["profile"])
    known = set(keys_of(root())).union(*(names(table, kind) for kind, table in kinds.items()))
    known |= {key.replace("electrons.lead.voltage.", "voltage.") for key in known}
    unused = [unit for unit in site["deck_reference"].UNITS if not any(f".{key}".endswith(f".{unit}") for key in known)]
    assert unused == []


def test_every_variable_is_on_its_page(site):
    page = site["generated_pages"].variables()
    tables = [observables.MOMENTS, observables.ENERGIES, observables.TEXTURE]
    tables += [method.variables for method in build.METHODS.values()]
    for one in (one for table in tables for one in table):
        assert f"| `{one.name}` | {', '.join(one.dims)} |" in page


def test_every_command_and_deck_is_on_its_page(site):
    commands, decks = site["generated_pages"].commands(), site["generated_pages"].decks()
    for name, command in command_line().commands.items():
        assert f"\n## {name}\n" in commands
        assert all(option in commands for option in command.option_names if option.startswith("--"))
    assert all(f"\n## {name}\n\n```toml\n" in decks for name in shipped_decks())


def test_links_out_of_docs_lead_to_pages_of_the_site_or_are_names(site):
    links = site["outside_links"]
    page = links.GENERATED / "readme.md"
    text = "![a](docs/p.svg) [b](docs/decks.md#k) [c](LICENSE) [`LICENSE`](LICENSE) [d](http://x.y) [e](runs/README.md)"
    assert links.rewritten(text, ROOT / "README.md", page) == (
        "![a](../p.svg) [b](../decks.md#k) c (`LICENSE`) `LICENSE` [d](http://x.y) [e](shipped_decks.md)"
    )
    page = DOCS / "howto" / "one.md"
    assert links.rewritten("[x](../../CONTRIBUTING.md#a)", page, page) == "[x](../generated/contributing.md#a)"


def test_pages_that_would_not_change_are_not_written_again(site, tmp_path):
    site["generated_pages"].write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    site["generated_pages"].write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert len(before) == len(site["generated_pages"].WRITERS)


def test_docstrings_are_taken_literally_but_for_their_own_marks(site):
    prose = site["prose_docstrings"]
    assert prose.inline("c^+ |m| x_ *s `a_b` **Which.**") == r"c^+ \|m\| x\_ \*s ``a_b`` **Which.**"
    text = """First line.

    m, mdot: moments
    and velocity; rest: no argument.
    Raises ValueError if wrong.

        H = -t c^+ c

    * a point
      that goes on
    """
    assert prose.restructured(text, {"m", "mdot"}) == [
        *("First line.", ""),
        *("", "* **m, mdot**: moments", "  and velocity; rest: no argument.", "", "Raises ValueError if wrong.", ""),
        *("::", "", "    H = -t c^+ c", ""),
        *("", "* a point", "  that goes on", ""),
    ]


def test_every_door_is_in_the_python_reference():
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    modules = {"electrons", "errors", "__version__"}
    asked = [name for name in (*llgnegf.__all__, *llgnegf.electrons.__all__) if name not in modules]
    assert [name for name in asked if not re.search(rf"\.\. auto\w+:: (\S+\.)?{name}$", page, flags=re.M)] == []


def test_every_equation_becomes_mathml(site):
    pytest.importorskip("sphinx")
    from docutils import nodes
    from mathml import _mathml
    from sphinx.errors import ExtensionError

    text = (DOCS / "theory.md").read_text(encoding="utf-8")
    displayed = re.findall(r"^```math\n(.*?)^```", text, flags=re.S | re.M)
    within = re.findall(r"\$([^$]+)\$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))
    assert len(displayed) > 8
    assert len(within) > 40
    for block, all_of in ((True, displayed), (False, within)):
        for tex in all_of:
            assert "merror" not in _mathml(nodes.math(tex, tex), as_block=block)
    with pytest.raises(ExtensionError, match="cannot be made into MathML"):
        _mathml(nodes.math("", r"\nothing{x}"), as_block=False)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {page.stem: page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")}
    assert re.search(r"<strong>tolerance</strong>: requested bound on\s+the error", pages["api"])
    assert 'display="block"' in pages["theory"]
    assert "rho_ad   = -(1/pi)  int f Im G\n" in html.unescape(pages["equations"])
    assert not re.search(r'(src|href)="(https?:)?//[^"]*\.(js|css)"', "".join(pages.values()))  # nothing from a network


def test_the_way_of_the_data_is_drawn(site):
    """Every node, edge and label of the chart, from left to right, in boxes that do not overlap."""
    (text,) = re.findall(r"```mermaid\n(.*?)```", (DOCS / "architecture.md").read_text(), flags=re.S)
    chart = site["flowchart"].parse(text)
    boxes, groups = site["flowchart"].placed(chart)
    assert boxes.keys() == chart.texts.keys()
    assert ("ck", "build", "resume") in chart.edges
    assert chart.groups == {"dynamics": ("dynamics/: a Stepper", ["advance", "instant", "state"])}
    _, back = site["flowchart"].layers(chart)
    assert back == {("ck", "build")}
    for a, b, _ in chart.edges:
        assert (boxes[a].x + boxes[a].width < boxes[b].x) == ((a, b) not in back)
    for a, b in itertools.combinations([*boxes, *groups], 2):
        one, other = {**boxes, **groups}[a], {**boxes, **groups}[b]
        apart = (
            one.x + one.width <= other.x
            or other.x + other.width <= one.x
            or one.y + one.height <= other.y
            or other.y + other.height <= one.y
        )
        assert apart or {a, b} & {"dynamics"}
        if "dynamics" in (a, b):
            assert apart != ({a, b} <= {"dynamics", "advance", "instant", "state"})
    drawn = ElementTree.fromstring(site["flowchart"].svg(text))
    told = [node.text for node in drawn.iter("{http://www.w3.org/2000/svg}text")]
    wanted = [line for lines in chart.texts.values() for line in lines] + [words for *_, words in chart.edges if words]
    assert sorted(told) == sorted([*wanted, "dynamics/: a Stepper"])
    arrows = [node for node in drawn.iter("{http://www.w3.org/2000/svg}path") if node.get("marker-end")]
    assert len(arrows) == len(chart.edges)


@pytest.mark.parametrize("text", ["graph TD", "flowchart LR\n  a ==> b", "flowchart LR\n  a --> b & c"])
def test_charts_of_other_kinds_are_refused(site, text):
    with pytest.raises(ValueError, match=r"a chart begins with|is known here"):
        site["flowchart"].parse(text)
