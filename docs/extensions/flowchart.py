"""Flowcharts in Mermaid's language as SVG, which browsers show by themselves: a page needs no network and no script.

GitHub draws the same blocks with Mermaid itself.  Known are flowcharts from left to right with `id["text"]`,
`a --> b`, `a -->|text| b` and `subgraph id["text"]` ... `end`; anything else is an error of the build.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

_NODE = re.compile(r'(\w+)(?:\["(.+?)"\])?')
_EDGE = re.compile(rf"({_NODE.pattern})\s*-->(?:\|(.+?)\|)?\s*({_NODE.pattern})")
_GROUP = re.compile(r'subgraph (\w+)\["(.+?)"\]')
# Points: width of a letter, height of a line, rim of a box, gaps between layers and within one.
_LETTER, _LINE, _RIM, _ACROSS, _DOWN = 6.6, 16.0, 9.0, 44.0, 16.0
_STYLE = 'font-family="sans-serif" font-size="12"'


@dataclass
class Chart:
    """texts: lines of each node; edges: (from, to, text); groups: text and nodes of each."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)
    groups: dict[str, tuple[str, list[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Box:
    """Left and upper edge, width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def parse(text: str) -> Chart:
    """The chart that a text describes; ValueError naming the line that is not understood."""
    first, *lines = [line.strip() for line in text.strip().splitlines()]
    if first != "flowchart LR":
        raise ValueError(f"{first!r}: a chart begins with `flowchart LR`")
    chart, inside = Chart(), None

    def named(word: str) -> str:
        name, label = _NODE.fullmatch(word).groups()
        if label is not None or name not in chart.texts:
            chart.texts[name] = re.split(r"<br/?>", label or name)
        if inside is not None and name not in chart.groups[inside][1]:
            chart.groups[inside][1].append(name)
        return name

    for line in lines:
        if not line:
            continue
        if group := _GROUP.fullmatch(line):
            inside = group[1]
            chart.groups[inside] = group[2], []
        elif line == "end" and inside is not None:
            inside = None
        elif edge := _EDGE.fullmatch(line):
            chart.edges.append((named(edge[1]), named(edge[5]), edge[4] or ""))
        elif _NODE.fullmatch(line):
            named(line)
        else:
            raise ValueError(f"{line!r}: no node, edge or subgraph that is known here")
    return chart


def layers(chart: Chart) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """The column of each node, from left to right, and the edges that lead back."""
    after: dict[str, list[str]] = {name: [] for name in chart.texts}
    for a, b, _ in chart.edges:
        after[a].append(b)
    done: dict[str, int] = {}
    back: set[tuple[str, str]] = set()

    def depth(name: str, path: tuple[str, ...]) -> int:
        """Edges from here to the farthest end; those to a node of the path lead back."""
        if name not in done:
            found = 0
            for following in after[name]:
                if following in path:
                    back.add((name, following))
                else:
                    found = max(found, 1 + depth(following, (*path, following)))
            done[name] = found
        return done[name]

    deepest = max(depth(name, (name,)) for name in chart.texts)
    # From the right, so that what feeds a node stands next to it; then as far left as what comes before allows.
    column = {name: deepest - done[name] for name in chart.texts}
    before = {name: [a for a, b, _ in chart.edges if b == name and (a, b) not in back] for name in chart.texts}
    for name in sorted(chart.texts, key=column.__getitem__):
        if before[name]:
            column[name] = 1 + max(column[a] for a in before[name])
    return column, back


def placed(chart: Chart) -> tuple[dict[str, Box], dict[str, Box]]:
    """The boxes of the nodes and of the groups, none of which overlap but those of a group and its nodes."""
    column, back = layers(chart)
    sizes = {
        name: (2 * _RIM + _LETTER * max(map(len, lines)), 2 * _RIM - 4 + _LINE * len(lines))
        for name, lines in chart.texts.items()
    }
    group_of = {name: group for group, (_, names) in chart.groups.items() for name in names}
    labels = {(a, b): text for a, b, text in chart.edges}
    boxes: dict[str, Box] = {}
    x = _ACROSS / 2
    for k in range(max(column.values()) + 1):
        here = [name for name in chart.texts if column[name] == k]
        before = {b: [boxes[a].middle for a, c, _ in chart.edges if c == b and a in boxes] for b in here}
        rank = {name: sum(at) / len(at) if at else 0.0 for name, at in before.items()}
        together = {name: group_of.get(name, name) for name in here}
        mean = {
            one: sum(rank[n] for n in here if together[n] == one) / list(together.values()).count(one)
            for one in together.values()
        }
        here.sort(key=lambda name: (mean[together[name]], together[name], rank[name]))
        width = max(sizes[name][0] for name in here)
        rim = {name: _LINE + 6 if name in group_of and together[name] != together.get(last) else 0.0
               for last, name in zip([None, *here], here, strict=False)}  # fmt: skip
        y = 0.0
        for name in here:
            y += rim[name]
            boxes[name] = Box(x + (width - sizes[name][0]) / 2, y, *sizes[name])
            y += sizes[name][1] + _DOWN
        shift = -(y - _DOWN) / 2
        for name in here:
            box = boxes[name]
            boxes[name] = Box(box.x, box.y + shift, box.width, box.height)
        words = [len(text) for (a, b), text in labels.items() if column[a] == k and (a, b) not in back]
        x += width + _ACROSS + _LETTER * max(words, default=0)
    groups = {}
    for group, (_, names) in chart.groups.items():
        left, top = (min(getattr(boxes[name], edge) for name in names) for edge in ("x", "y"))
        right = max(boxes[name].x + boxes[name].width for name in names)
        bottom = max(boxes[name].y + boxes[name].height for name in names)
        groups[group] = Box(left - 8, top - _LINE - 4, right - left + 16, bottom - top + _LINE + 12)
    return boxes, groups


def svg(text: str) -> str:
    """The chart as an <svg> element.  ValueError as `parse`."""
    chart = parse(text)
    boxes, groups = placed(chart)
    _, back = layers(chart)
    every = [*boxes.values(), *groups.values()]
    low = max(box.y + box.height for box in every)
    parts, below = [], low + 14.0
    for name, box in groups.items():
        parts.append(_rectangle(box, "#f4f8f4", "#9ab09a"))
        parts.append(_words(box.x + box.width / 2, box.y + _LINE - 2, chart.groups[name][0]))
    for a, b, words in chart.edges:
        one, other = boxes[a], boxes[b]
        if (a, b) in back:
            start, end = one.x + one.width / 2, other.x + other.width / 2
            path = f"M{start:.1f},{one.y + one.height:.1f} V{below:.1f} H{end:.1f} V{other.y + other.height + 7:.1f}"
            at = (start + end) / 2, below
            below += 16
        else:
            start, end = one.x + one.width, other.x - 7
            bend = (end - start) / 2
            path = (
                f"M{start:.1f},{one.middle:.1f} C{start + bend:.1f},{one.middle:.1f} {end - bend:.1f},"
                f"{other.middle:.1f} {end:.1f},{other.middle:.1f}"
            )
            # Where the edge still is in the row of its node, which nobody shares.
            free = max([start, *(groups[g].x + groups[g].width for g, (_, of) in chart.groups.items() if a in of)])
            at = free + 8 + (_LETTER * len(words) + 4) / 2, one.middle
        parts.append(f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#arrow)"/>')
        if words:
            wide = _LETTER * len(words) + 4
            parts.append(f'<rect x="{at[0] - wide / 2:.1f}" y="{at[1] - 8:.1f}" width="{wide:.1f}" height="16" '
                         'fill="white"/>')  # fmt: skip
            parts.append(_words(at[0], at[1] + 4, words))
    for name, box in boxes.items():
        parts.append(_rectangle(box, "#eef3fb", "#8aa0c8"))
        lines = chart.texts[name]
        for k, line in enumerate(lines):
            y = box.middle + (k - (len(lines) - 1) / 2) * _LINE + 4
            parts.append(_words(box.x + box.width / 2, y, line))
    left, top = min(box.x for box in every) - 6, min(box.y for box in every) - 6
    width = max(box.x + box.width for box in every) + 6 - left
    height = max(below, low) + 6 - top
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}" '
        f'width="{width:.0f}" {_STYLE}>{arrow}{"".join(parts)}</svg>'
    )


def _rectangle(box: Box, fill: str, edge: str) -> str:
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="5" '
        f'fill="{fill}" stroke="{edge}"/>'
    )


def _words(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{html.escape(text)}</text>'
