"""The structure of the code: which module imports which, drawn from the source, and held against the order of rooms.

    python docs/structure.py [PICTURE]      draws docs/structure.svg, or PICTURE (.svg, .png, .pdf)
    python docs/structure.py --check        exit code 1 with the names of circles and of arrows against the order

Nothing is imported: the source is parsed.  An arrow is an import at the top of a module (solid), within a function
(lazy, dashed), or for type checkers alone (dotted); `--check` counts all three, since a lazy import hides a circle but
does not remove it.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("integrators", "textures", "llgnegf")
BESIDE = "llgnegf.beside"  # imports the first two, whatever modules of these names a user has

# --- the order of rooms ----------------------------------------------------------------------------------------------

# Room: what it consists of (a module or package), and the rooms that it may import, beside itself.
BASE = {"base"}
PHYSICS = {"base", "integrators", "textures", "magnet", "electrons", "dynamics"}
ROOMS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "base": (
        (
            "llgnegf.errors",
            "llgnegf.units",
            "llgnegf._version",
            "llgnegf._environment",
            "llgnegf.beside",
            "llgnegf.compiling",
            "llgnegf.kernels",
            "llgnegf.machine",
            "llgnegf.once",
            "llgnegf.regular_files",
            "llgnegf.streams",
        ),
        set(),
    ),
    "integrators": (("integrators",), BASE),
    "textures": (("textures",), BASE | {"runfile"}),  # a texture from a run file
    "deck": (("llgnegf.deck",), BASE | {"integrators"}),  # the names of the methods
    "magnet": (("llgnegf.magnet",), BASE),
    "electrons": (("llgnegf.electrons",), BASE),
    "dynamics": (("llgnegf.dynamics",), BASE | {"integrators", "magnet", "electrons"}),
    "runfile": (("llgnegf.runfile",), BASE | {"deck"}),
    "run": (
        (
            "llgnegf.build",
            "llgnegf.interrupts",
            "llgnegf.observables",
            "llgnegf.parts",
            "llgnegf.progress",
            "llgnegf.simulation",
            "llgnegf.continuing",
            "llgnegf.together",
            "llgnegf.variables",
            "llgnegf.watch",
        ),
        PHYSICS | {"deck", "runfile"},
    ),
    "results": (
        (
            "llgnegf.axes",
            "llgnegf.compare",
            "llgnegf.doctor",
            "llgnegf.judged",
            "llgnegf.materials",
            "llgnegf.response_at_rest",
            "llgnegf.response_report",
            "llgnegf.estimate",
            "llgnegf.export",
            "llgnegf.movie",
            "llgnegf.pictures",
            "llgnegf.plots",
            "llgnegf.reproduce",
            "llgnegf.seams",
            "llgnegf.spin_transfer",
            "llgnegf.summary",
            "llgnegf.sweep",
            "llgnegf.trial",
            "llgnegf.quantities",
            "llgnegf.unit_table",
            "llgnegf.walls_beside",
        ),
        PHYSICS | {"deck", "runfile", "run"},
    ),
    "doors": (
        (
            "llgnegf",
            "llgnegf.arguments",
            "llgnegf.cli",
            "llgnegf.commands",
            "llgnegf.completion",
            "llgnegf.options",
            "llgnegf.__main__",
        ),
        PHYSICS | {"deck", "runfile", "run", "results"},
    ),
}
# Packages whose circles are known and not yet untied; `--check` tells when an entry is needed no longer.
KNOWN_CIRCLES: tuple[str, ...] = ()


# --- what the source says --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    """`source` imports `target`, both modules by their full names; how: "top", "lazy" or "types".

    bare: by a name that a user's own module may have, not through `llgnegf.beside`.
    """

    source: str
    target: str
    how: str
    bare: bool = False


def modules(root: Path = ROOT) -> dict[str, Path]:
    """{full name: file} of every module of the project."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(known: dict[str, Path]) -> list[Import]:
    """Every import of one module of `known` by another."""
    found: dict[Import, None] = {}
    for name, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node, how in _imports_in(tree.body, "top"):
            for target, bare in _targets(node, package, known):
                if target != name:
                    found[Import(name, target, how, bare)] = None
    return list(found)


def _imports_in(body: list[ast.stmt], how: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, how
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports_in(node.body, "types")
            yield from _imports_in(node.orelse, how)
        else:
            inside = "lazy" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else how
            statements = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            others = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.ExceptHandler)]
            yield from _imports_in(statements + [one for handler in others for one in handler.body], inside)


def _targets(node: ast.Import | ast.ImportFrom, package: str, known: dict[str, Path]) -> Iterator[tuple[str, bool]]:
    """Modules of the project that are imported, and whether by a bare name."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.name.removeprefix(f"{BESIDE}.")
            if name in known:
                yield name, _is_bare(alias.name)
        return
    base, bare = node.module or "", not node.level and _is_bare(node.module or "")
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
    for alias in node.names:
        whole, home = (name.removeprefix(f"{BESIDE}.") for name in (f"{base}.{alias.name}", base))
        if whole in known:
            yield whole, bare
        elif home in known:
            yield home, bare


def _is_bare(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES and not f"{name}.".startswith("llgnegf.")


# --- the checks ------------------------------------------------------------------------------------------------------


def room_of(module: str) -> str | None:
    """The room of a module: that with the longest matching name; None where no room has it."""
    best, chosen = "", None
    for room, (members, _) in ROOMS.items():
        for member in members:
            inside = module == member or (module.startswith(f"{member}.") and member != "llgnegf")
            if inside and len(member) > len(best):
                best, chosen = member, room
    return chosen


def circles(arrows: list[Import]) -> list[frozenset[str]]:
    """Groups of modules that import each other around a circle: strongly connected components (Tarjan)."""
    graph: dict[str, list[str]] = {}
    for arrow in arrows:
        graph.setdefault(arrow.source, []).append(arrow.target)
        graph.setdefault(arrow.target, [])
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for following in graph[node]:
            if following not in number:
                visit(following)
                lowest[node] = min(lowest[node], lowest[following])
            elif following in stack:
                lowest[node] = min(lowest[node], number[following])
        if lowest[node] == number[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(frozenset(group))

    for node in graph:
        if node not in number:
            visit(node)
    return found


def problems(known: dict[str, Path], arrows: list[Import]) -> list[str]:
    """One line for each module without a room, each arrow against the order, each circle; [] if all is well."""
    lines = [f"{name}: belongs to no room; add it to ROOMS" for name in known if room_of(name) is None]
    lines += [
        f"{arrow.source} imports {arrow.target} by its bare name, which a user's own module may have: take it from "
        f"{BESIDE}, or within its package by a relative import"
        for arrow in arrows
        if arrow.bare
    ]
    for arrow in arrows:
        source, target = room_of(arrow.source), room_of(arrow.target)
        if source is None or target is None or target == source:
            continue
        if target not in ROOMS[source][1]:
            allowed = ", ".join(sorted(ROOMS[source][1])) or "nothing"
            lines.append(
                f"{arrow.source} imports {arrow.target} ({arrow.how}): {source} may import {allowed}, not {target}"
            )
    excused: set[str] = set()
    for group in circles(arrows):
        packages = [one for one in KNOWN_CIRCLES if all(name.startswith(f"{one}.") for name in group)]
        excused.update(packages)
        if not packages:
            lines.append(f"import circle: {', '.join(sorted(group))}")
    lines += [f"KNOWN_CIRCLES: {one} has none any more; remove it" for one in KNOWN_CIRCLES if one not in excused]
    return lines


# --- the picture -----------------------------------------------------------------------------------------------------

# Rows from the top: what users touch first, what knows nothing of the rest last.
ROWS = (("doors",), ("results",), ("run",), ("runfile", "dynamics"), ("deck", "magnet", "electrons"))
FOOT = ("integrators", "textures", "base")
COLOURS = {
    "doors": "#EEEEEE",
    "results": "#F6E3C5",
    "run": "#FBF3B9",
    "runfile": "#D7E8F7",
    "deck": "#D7E8F7",
    "dynamics": "#D9EFDD",
    "magnet": "#D9EFDD",
    "electrons": "#D9EFDD",
    "integrators": "#E9DDF0",
    "textures": "#E9DDF0",
    "base": "#EEEEEE",
}
STYLES = {"top": "-", "lazy": (0, (5, 2)), "types": (0, (1, 1.5))}
_WIDTH, _LINE = 17.0, 0.3


def draw(known: dict[str, Path], arrows: list[Import], path: Path) -> None:
    """Rooms as large boxes, modules as small ones; arrows between rooms and, thinner, within a room."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    matplotlib.rcParams["svg.hashsalt"] = "structure"  # the same picture from the same source
    members: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name in known:
        room = room_of(name)
        if room is not None:
            members[room].append(name)

    def weight(room: str) -> int:
        """The share of a row that a room takes: more modules get more width, up to a point."""
        return min(max(len(members[room]), 7), 15)

    rows = [*ROWS, FOOT]
    boxes: dict[str, tuple[float, float, float, float]] = {}  # of rooms: left, bottom, width, height
    small: dict[str, tuple[float, float]] = {}  # of modules: centre
    labels: dict[str, str] = {}
    top = 0.0
    for row in rows:
        total = sum(map(weight, row))
        left, heights = 0.0, []
        for room in row:
            width = (_WIDTH - 0.5 * (len(row) - 1)) * weight(room) / total
            across = max(1, int(width / 1.75))
            lines = -(-len(members[room]) // across)
            height = 0.55 + 0.42 * lines
            heights.append(height)
            for i, name in enumerate(members[room]):
                column, line = i % across, i // across
                small[name] = (left + (column + 0.5) * width / across, top - 0.6 - 0.42 * line)
                labels[name] = _label(name, room)
            boxes[room] = (left, top, width, height)
            left += width + 0.5
        for room in row:
            left_edge, upper, width, _ = boxes[room]
            boxes[room] = (left_edge, upper - max(heights), width, max(heights))
        top -= max(heights) + 0.85
    figure = Figure(figsize=(_WIDTH * 0.72, -top * 0.72))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set_xlim(-0.2, _WIDTH + 0.2)
    axes.set_ylim(top + 0.2, 0.45)
    axes.axis("off")
    for room, (left, bottom, width, height) in boxes.items():
        axes.add_patch(
            FancyBboxPatch(
                (left, bottom),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=COLOURS[room],
                edgecolor="#555555",
                linewidth=1.0,
                zorder=1,
            )
        )
        axes.text(left + 0.12, bottom + height - 0.08, room, va="top", fontsize=9, fontweight="bold", zorder=5)
    for name, (x, y) in small.items():
        axes.text(
            x,
            y,
            labels[name],
            ha="center",
            va="center",
            fontsize=6.5,
            zorder=4,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "#888888", "linewidth": 0.5},
        )
    between: dict[tuple[str, str], set[str]] = {}
    for arrow in arrows:
        source, target = room_of(arrow.source), room_of(arrow.target)
        if source is None or target is None or target == "base":  # everybody knows the errors
            continue
        if source == target:
            how = STYLES[arrow.how]
            axes.add_patch(
                FancyArrowPatch(
                    small[arrow.source],
                    small[arrow.target],
                    arrowstyle="-|>",
                    mutation_scale=5,
                    linestyle=how,
                    color="#999999",
                    linewidth=0.4,
                    shrinkA=8,
                    shrinkB=8,
                    connectionstyle="arc3,rad=0.15",
                    zorder=3,
                )
            )
        else:
            between.setdefault((source, target), set()).add(arrow.how)
    for (source, target), hows in between.items():
        left, bottom, width, height = boxes[source]
        low_left, low_bottom, low_width, low_height = boxes[target]
        share = (list(ROOMS).index(target) + 1) / (len(ROOMS) + 1)
        entry = (list(ROOMS).index(source) + 1) / (len(ROOMS) + 1)
        same_row = abs(bottom + height - low_bottom - low_height) < 1e-9
        if same_row:
            right = left < low_left
            start = (left + width if right else left, bottom + height / 2)
            end = (low_left if right else low_left + low_width, low_bottom + low_height / 2)
        else:
            start = (left + share * width, bottom)
            end = (low_left + entry * low_width, low_bottom + low_height)
        how = "top" if "top" in hows else "lazy" if "lazy" in hows else "types"
        axes.add_patch(
            FancyArrowPatch(
                start,
                end,
                arrowstyle="-|>",
                mutation_scale=9,
                linestyle=STYLES[how],
                color="#333333",
                linewidth=0.9,
                shrinkA=0,
                shrinkB=0,
                zorder=2,
            )
        )
    axes.text(
        _WIDTH,
        0.15,
        "solid: imported at the top   dashed: within a function   dotted: for types alone; arrows to base left out",
        ha="right",
        va="bottom",
        fontsize=7,
    )
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, dpi=150, metadata=metadata)


def _label(name: str, room: str) -> str:
    """The short name of a module within its room."""
    members = ROOMS[room][0]
    if len(members) == 1 and name != members[0]:
        return name[len(members[0]) + 1 :]
    return name.removeprefix("llgnegf.") if name != members[0] or len(members) > 1 else "__init__"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?", type=Path, default=Path(__file__).with_name("structure.svg"))
    parser.add_argument("--check", action="store_true", help="judge instead of drawing")
    options = parser.parse_args()
    known = modules()
    arrows = imports(known)
    if options.check:
        lines = problems(known, arrows)
        print("\n".join(lines) or f"{len(known)} modules, {len(arrows)} imports: no circle, no arrow against the order")
        return bool(lines)
    draw(known, arrows, options.picture)
    print(f"wrote {options.picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
